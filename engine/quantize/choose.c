#include "choose.h"
#include "../base/err.h"
#include "../run/feed.h"
#include "../run/program.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct trying {
	const struct pare_model *m;
	const struct pare_act_choices *choices;
	int n, n_layers;             /* most choices of a layer */
	struct pare_act_quant *acts; /* [n][n_layers] */
	struct pare_program *plain, *program[PARE_MOST_CHOICES];
	struct trier {
		struct pare_frame *plain, *frame[PARE_MOST_CHOICES];
		float *was;     /* what the layer gives in float */
		uint64_t *lost; /* [n_layers][n], in 2^-32 of what there is: sums in any order */
	} * trier;              /* [threads] */
};

static size_t most_floats(const struct trying *t)
{
	size_t most = 0;

	for (int i = 0; i < t->plain->n_steps; i++) {
		size_t bytes = t->plain->places[t->plain->steps[i].out].bytes;

		most = bytes > most ? bytes : most;
	}
	return most / sizeof(float) + 1;
}

/* All of them in the memory of the block's frame: what one step leaves, any of them can go on with.
 */
static bool trier_start(const struct trying *t, struct trier *k, const struct pare_block *b)
{
	k->plain = pare_frame_share(t->plain, b->frame);
	k->was = malloc(most_floats(t) * sizeof *k->was);
	k->lost = calloc((size_t)t->n_layers * (size_t)t->n, sizeof *k->lost);
	for (int c = 0; c < t->n; c++)
		if (!(k->frame[c] = pare_frame_share(t->program[c], b->frame)))
			return false;
	return k->plain && k->was && k->lost;
}

static void trier_end(struct trier *k)
{
	pare_frame_free(k->plain);
	for (int c = 0; c < PARE_MOST_CHOICES; c++)
		pare_frame_free(k->frame[c]);
	free(k->was);
	free(k->lost);
}

/* Layers that read one value have the same to choose from, and read it through one quantizer. */
static bool same_choices(const struct pare_act_choices *a, const struct pare_act_choices *b)
{
	bool same = a->n == b->n;

	for (int i = 0; i < a->n && same; i++)
		same = a->from[i].scale == b->from[i].scale && a->from[i].zero == b->from[i].zero &&
		       a->from[i].lo == b->from[i].lo && a->from[i].hi == b->from[i].hi;
	return same;
}

/* Squared distance of y from x, as a share of x; samples beyond `count` count for nothing. */
static uint64_t share_lost(const float *x, const float *y, int64_t n, int lanes, int count)
{
	double lost = 0, all = 0;

	for (int64_t i = 0; i < n; i++)
		for (int l = 0; l < count; l++) {
			double v = (double)x[i * lanes + l], d = v - (double)y[i * lanes + l];

			lost += d * d;
			all += v * v;
		}
	return all > 0 ? (uint64_t)(fmin(lost / all, 16) * 0x1p32) : 0;
}

static enum pare_status
try_step(const struct trying *t, struct trier *k, int step, int count, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	int layer = t->plain->steps[step].layer;
	struct pare_tensor *y = &k->plain->vars[t->plain->steps[step].out];
	int64_t n = pare_shape_elems(&y->shape);
	size_t bytes = (size_t)n * (size_t)y->lanes * sizeof(float);

	memcpy(k->was, y->f32, bytes);
	for (int c = 0; c < t->choices[layer].n && !st; c++) {
		st = pare_program_run(t->program[c], k->frame[c], step, step + 1, err);
		k->lost[layer * t->n + c] +=
			share_lost(k->was, y->f32, n, y->lanes, y->lanes == 1 ? 1 : count);
	}
	/* all that the step gives is as it was, its other outputs too */
	return st ? st : pare_program_run(t->plain, k->plain, step, step + 1, err);
}

static enum pare_status try_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct trying *t = user;
	struct trier *k = &t->trier[b->worker];
	enum pare_status st = PARE_OK;

	if (!k->was && !trier_start(t, k, b))
		return pare_nomem(err, "what quantizers lose");
	for (int i = 0; i < t->plain->n_steps && !st; i++) {
		int layer = t->plain->steps[i].layer;

		st = pare_program_run(t->plain, k->plain, i, i + 1, err);
		if (!st && layer >= 0 && t->choices[layer].n)
			st = try_step(t, k, i, b->count, err);
	}
	return st;
}

static enum pare_status make_programs(struct trying *t, struct pare_err *err)
{
	enum pare_status st = pare_feed_program(t->m, NULL, NULL, &t->plain, err);

	t->acts = calloc((size_t)t->n * (size_t)t->n_layers, sizeof *t->acts);
	if (!st && !t->acts)
		st = pare_nomem(err, "what quantizers lose");
	for (int c = 0; c < t->n && !st; c++) {
		struct pare_act_quant *a = t->acts + c * t->n_layers;

		for (int i = 0; i < t->n_layers; i++)
			if (t->choices[i].n)
				a[i] = t->choices[i].from[c < t->choices[i].n ? c : 0];
		st = pare_feed_program(t->m, a, t->plain, &t->program[c], err);
	}
	return st;
}

static uint64_t lost_by(const struct trying *t, int threads, int layer, int choice)
{
	uint64_t lost = 0;

	for (int w = 0; w < threads; w++)
		lost += t->trier[w].lost ? t->trier[w].lost[layer * t->n + choice] : 0;
	return lost;
}

static void choose(const struct trying *t, int threads, struct pare_act_quant *acts)
{
	for (int i = 0; i < t->n_layers; i++) {
		uint64_t least = UINT64_MAX;

		for (int c = 0; c < t->choices[i].n; c++) {
			uint64_t lost = 0;

			for (int k = 0; k < t->n_layers; k++)
				if (same_choices(&t->choices[i], &t->choices[k]))
					lost += lost_by(t, threads, k, c);
			if (lost < least) {
				least = lost;
				acts[i] = t->choices[i].from[c];
			}
		}
	}
}

enum pare_status pare_acts_choose(const struct pare_model *m,
	const struct pare_calibration *calibration, const struct pare_act_choices *choices,
	struct pare_act_quant *acts, struct pare_ctl *ctl, struct pare_err *err)
{
	int threads = pare_threads();
	struct trying t = { .m = m, .choices = choices, .n_layers = m->info.n_layers };
	struct pare_feed f = { .dataset = calibration ? calibration->dataset : NULL,
		.split = PARE_CALIBRATE,
		.n = calibration ? calibration->n_samples : 0,
		.fn = try_block,
		.user = &t };
	enum pare_status st;

	for (int i = 0; i < t.n_layers; i++)
		t.n = choices[i].n > t.n ? choices[i].n : t.n;
	if (!t.n)
		return PARE_OK;
	if (!(t.trier = calloc((size_t)threads, sizeof *t.trier)))
		return pare_nomem(err, "what quantizers lose");
	st = make_programs(&t, err);
	f.program = t.program[0];
	if (!st)
		st = pare_feed_run(&f, ctl, err);
	if (!st)
		choose(&t, threads, acts);
	for (int i = 0; i < threads; i++)
		trier_end(&t.trier[i]);
	for (int c = 0; c < t.n; c++)
		pare_program_free(t.program[c]);
	pare_program_free(t.plain);
	free(t.trier);
	free(t.acts);
	return st;
}
