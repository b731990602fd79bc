/* What enters each layer, over the calibration samples: bounds first, then histograms between them.
 */
#include "../base/err.h"
#include "../run/feed.h"
#include "quantize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Runs of samples whose bounds are kept apart for the moving average, however many samples. */
enum { RUNS = 64 };
static const float momentum = 0.9f;

struct runs {
	float min[RUNS], max[RUNS];
};

struct watch {
	const struct pare_program *program;
	int n;         /* layers */
	bool counting; /* second pass */
	struct pare_calibration *calibration;
	struct pare_range **mine; /* [threads] [n]: what this worker saw */
	struct runs **runs;       /* [threads] [n]: the same */
};

struct seen { /* one block as its observer sees it */
	const struct watch *w;
	struct pare_range *mine;
	struct runs *runs;
	int count, run; /* samples; where they belong */
};

/* Some apart, for vectors. */
static void find_bounds(const float *x, int64_t n, int lanes, int count, float *least, float *most)
{
	enum { APART = 16 };
	float lo[APART], hi[APART];
	int64_t all = n * lanes, i = 0;

	for (int j = 0; j < APART; j++) {
		lo[j] = *least;
		hi[j] = *most;
	}
	for (; count == lanes && i + APART <= all; i += APART)
		for (int j = 0; j < APART; j++) {
			lo[j] = x[i + j] < lo[j] ? x[i + j] : lo[j];
			hi[j] = x[i + j] > hi[j] ? x[i + j] : hi[j];
		}
	for (; i < all; i++)
		if (i % lanes < count) {
			lo[0] = x[i] < lo[0] ? x[i] : lo[0];
			hi[0] = x[i] > hi[0] ? x[i] : hi[0];
		}
	for (int j = 0; j < APART; j++) {
		*least = fminf(*least, lo[j]);
		*most = fmaxf(*most, hi[j]);
	}
}

static void observe(void *user, int layer, const struct pare_tensor *x)
{
	const struct seen *s = user;
	struct pare_range *r = &s->mine[layer];
	int64_t n = pare_shape_elems(&x->shape);
	int lanes = x->lanes, count = lanes == 1 ? 1 : s->count;

	if (!s->w->counting) {
		find_bounds(x->f32, n, lanes, count, &s->runs[layer].min[s->run],
			&s->runs[layer].max[s->run]);
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

static bool watcher_start(struct watch *w, int worker)
{
	struct runs *runs = calloc((size_t)w->n + 1, sizeof *runs);

	w->runs[worker] = runs;
	w->mine[worker] = calloc((size_t)w->n + 1, sizeof *w->mine[worker]);
	for (int i = 0; runs && i < w->n; i++)
		for (int k = 0; k < RUNS; k++) {
			runs[i].min[k] = INFINITY;
			runs[i].max[k] = -INFINITY;
		}
	return runs && w->mine[worker];
}

static enum pare_status watch_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct watch *w = user;
	struct seen s = { .w = w, .count = b->count };
	enum pare_status st;

	if (!w->mine[b->worker] && !watcher_start(w, b->worker))
		return pare_nomem(err, "activation statistics");
	s.mine = w->mine[b->worker];
	s.runs = w->runs[b->worker];
	s.run = (int)(b->first * RUNS / w->calibration->n_samples);
	pare_frame_observe(b->frame, observe, &s);
	st = pare_program_run(w->program, b->frame, 0, pare_program_steps(w->program), err);
	pare_frame_observe(b->frame, NULL, NULL);
	return st;
}

/* Of all runs, whoever saw them, in their order. */
static void merge_bounds(const struct watch *w, int threads, int layer)
{
	struct pare_range *r = &w->calibration->range[layer];

	for (int k = 0; k < RUNS; k++) {
		float min = INFINITY, max = -INFINITY;

		for (int t = 0; t < threads; t++) {
			min = w->runs[t] ? fminf(min, w->runs[t][layer].min[k]) : min;
			max = w->runs[t] ? fmaxf(max, w->runs[t][layer].max[k]) : max;
		}
		if (min > max)
			continue;
		if (r->min > r->max) {
			r->moving_min = min;
			r->moving_max = max;
		}
		r->moving_min = momentum * r->moving_min + (1 - momentum) * min;
		r->moving_max = momentum * r->moving_max + (1 - momentum) * max;
		r->min = fminf(r->min, min);
		r->max = fmaxf(r->max, max);
	}
}

/* Bounds and counts do not depend on who saw what. */
static void merge(struct watch *w, int threads)
{
	for (int i = 0; i < w->n; i++) {
		if (!w->counting)
			merge_bounds(w, threads, i);
		for (int t = 0; t < threads && w->counting; t++)
			for (int k = 0; w->mine[t] && k < PARE_BINS; k++)
				w->calibration->range[i].count[k] += w->mine[t][i].count[k];
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
	w.runs = calloc((size_t)threads, sizeof *w.runs);
	if (!w.calibration || !w.mine || !w.runs ||
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
	for (int t = 0; t < threads && w.mine && w.runs; t++) {
		free(w.mine[t]);
		free(w.runs[t]);
	}
	free(w.mine);
	free(w.runs);
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
