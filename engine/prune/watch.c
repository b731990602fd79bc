/* What readers see of channels on calibration samples. */
#include "../base/err.h"
#include "../run/feed.h"
#include "criteria.h"
#include "reader.h"
#include <math.h>
#include <stdlib.h>

struct watching {
	const struct pare_model *m;
	const struct pare_program *program;
	double *sum; /* [blocks][n_units] of |x|: blocks are added in their order */
};
struct block {
	const struct watching *w;
	const struct pare_block *b;
	double *sum; /* [n_units] */
};

static void look(void *user, int layer, const struct pare_tensor *x)
{
	const struct block *k = user;
	const struct pare_var_channels *c = pare_reads(k->w->m, layer);
	int64_t inner, outer, at = 0;

	if (!c || x->dtype != PARE_F32 || x->shape.d[c->axis] != c->n)
		return;
	outer = pare_shape_span(&x->shape, 0, c->axis);
	inner = pare_shape_span(&x->shape, c->axis + 1, x->shape.n);
	for (int64_t o = 0; o < outer; o++)
		for (int64_t i = 0; i < c->n; i++) {
			double sum = 0;

			for (int64_t j = 0; j < inner; j++, at += x->lanes)
				for (int l = 0; l < k->b->count; l++)
					sum += fabs((double)x->f32[at + l]);
			if (c->unit[i] >= 0)
				k->sum[c->unit[i]] += sum / (double)(outer * inner);
		}
}

static enum pare_status watch_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	const struct watching *w = user;
	int block = (int)(b->first / pare_program_lanes(w->program));
	struct block k = { w, b, w->sum + (size_t)block * (size_t)w->m->n_units };

	pare_frame_observe(b->frame, look, &k);
	return pare_program_run(w->program, b->frame, 0, pare_program_steps(w->program), err);
}

/* Places at which layers read each unit. */
static void count_places(const struct pare_model *m, double *count)
{
	for (int l = 0; l < m->info.n_layers; l++) {
		const struct pare_var_channels *c = pare_reads(m, l);

		for (int64_t i = 0; c && i < c->n; i++)
			if (c->unit[i] >= 0)
				count[c->unit[i]]++;
	}
}

enum pare_status pare_measure_activation(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, double *score,
	struct pare_err *err)
{
	struct watching w = { .m = m };
	struct pare_program *p = NULL;
	double *count = calloc((size_t)m->n_units + 1, sizeof *count);
	enum pare_status st = pare_feed_program(m, NULL, NULL, &p, err);
	size_t blocks = st ? 0 : (size_t)pare_feed_blocks(p, calibration->n_samples);
	struct pare_feed f = { .program = p,
		.dataset = calibration->dataset,
		.split = PARE_CALIBRATE,
		.n = calibration->n_samples,
		.fn = watch_block,
		.user = &w };

	w.program = p;
	w.sum = calloc(blocks * (size_t)m->n_units + 1, sizeof *w.sum);
	if (!st && (!count || !w.sum))
		st = pare_nomem(err, "the scores of channels");
	if (!st)
		st = pare_feed_run(&f, ctl, err);
	if (!st)
		count_places(m, count);
	for (int g = 0; g < m->n_groups && !st; g++)
		for (int u = m->groups[g].first;
			wanted[g] && u < m->groups[g].first + m->groups[g].n; u++) {
			score[u] = 0;
			for (size_t b = 0; b < blocks; b++)
				score[u] += w.sum[b * (size_t)m->n_units + (size_t)u];
			score[u] /= fmax(count[u], 1) * (double)calibration->n_samples;
		}
	pare_program_free(p);
	free(count);
	free(w.sum);
	return st;
}
