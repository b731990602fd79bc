/* What enters each layer, over the calibration samples: bounds first, then histograms between them.
 */
#include "../base/err.h"
#include "../quantize/quantize.h"
#include "../run/feed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct watch {
	const struct pare_program *program;
	int n;         /* layers */
	bool counting; /* second pass */
	struct pare_calibration *calibration;
	struct pare_range **mine; /* [threads] [n]: what this worker saw */
};

struct seen { /* one block as its observer sees it */
	const struct watch *w;
	struct pare_range *mine;
	int count;
};

static void observe(void *user, int layer, const struct pare_tensor *x)
{
	const struct seen *s = user;
	struct pare_range *r = &s->mine[layer];
	int64_t n = pare_shape_elems(&x->shape);
	int lanes = x->lanes, count = lanes == 1 ? 1 : s->count;

	if (!s->w->counting) {
		for (int64_t i = 0; i < n; i++)
			for (int k = 0; k < count; k++) {
				float v = x->f32[i * lanes + k];

				r->min = v < r->min ? v : r->min;
				r->max = v > r->max ? v : r->max;
			}
		return;
	}
	const struct pare_range *whole = &s->w->calibration->range[layer];
	float to_bin = whole->max > whole->min ? PARE_BINS / (whole->max - whole->min) : 0;

	for (int64_t i = 0; i < n; i++)
		for (int k = 0; k < count; k++) {
			float at = (x->f32[i * lanes + k] - whole->min) * to_bin;

			r->count[at >= PARE_BINS - 1 ? PARE_BINS - 1 : at > 0 ? (int)at : 0]++;
		}
}

static enum pare_status watch_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct watch *w = user;
	struct seen s = { w, w->mine[b->worker], b->count };
	enum pare_status st;

	if (!s.mine) {
		s.mine = w->mine[b->worker] = calloc((size_t)(w->n ? w->n : 1), sizeof *s.mine);
		if (!s.mine)
			return pare_nomem(err, "activation statistics");
		for (int i = 0; i < w->n; i++) {
			s.mine[i].min = INFINITY;
			s.mine[i].max = -INFINITY;
		}
	}
	pare_frame_observe(b->frame, observe, &s);
	st = pare_program_run(w->program, b->frame, 0, pare_program_steps(w->program), err);
	pare_frame_observe(b->frame, NULL, NULL);
	return st;
}

/* Bounds and counts do not depend on who saw what. */
static void merge(struct watch *w, int threads)
{
	for (int t = 0; t < threads; t++)
		for (int i = 0; w->mine[t] && i < w->n; i++) {
			struct pare_range *r = &w->calibration->range[i], *s = &w->mine[t][i];

			if (!w->counting) {
				r->min = fminf(r->min, s->min);
				r->max = fmaxf(r->max, s->max);
			} else
				for (int k = 0; k < PARE_BINS; k++)
					r->count[k] += s->count[k];
		}
}

enum pare_status pare_calibration_new(const struct pare_model *m, const struct pare_dataset *d,
	int64_t limit, struct pare_ctl *ctl, struct pare_calibration **out, struct pare_err *err)
{
	int n = pare_model_info(m)->n_layers, threads = pare_threads();
	int64_t have = pare_dataset_info(d)->n_calibrate;
	struct watch w = { .n = n };
	struct pare_program *p = NULL;
	enum pare_status st;

	w.calibration = calloc(1, sizeof *w.calibration);
	w.mine = calloc((size_t)threads, sizeof *w.mine);
	if (!w.calibration || !w.mine ||
		!(w.calibration->range = calloc((size_t)n + 1, sizeof *w.calibration->range))) {
		st = pare_nomem(err, "activation statistics");
		goto out;
	}
	w.calibration->n = n;
	w.calibration->dataset = d;
	w.calibration->n_samples = limit && limit < have ? limit : have;
	for (int i = 0; i < n; i++) {
		w.calibration->range[i].min = INFINITY;
		w.calibration->range[i].max = -INFINITY;
	}
	st = pare_feed_program(m, NULL, NULL, &p, err);
	for (int pass = 0; pass < 2 && !st; pass++) {
		struct pare_feed f = { .program = p,
			.dataset = d,
			.split = PARE_CALIBRATE,
			.n = limit && limit < have ? limit : have,
			.fn = watch_block,
			.user = &w };
		int blocks = pare_feed_blocks(p, f.n);

		f.span = (struct pare_progress_span){ pass * blocks, 2 * blocks };
		w.program = p;
		w.counting = pass == 1;
		st = pare_feed_run(&f, ctl, err);
		if (!st)
			merge(&w, threads);
	}
out:
	for (int t = 0; t < threads && w.mine; t++)
		free(w.mine[t]);
	free(w.mine);
	pare_program_free(p);
	if (st)
		pare_calibration_free(w.calibration);
	else
		*out = w.calibration;
	return st;
}

void pare_calibration_free(struct pare_calibration *r)
{
	if (!r)
		return;
	free(r->range);
	free(r);
}
