/* What enters each layer, over the calibration samples: bounds first, then histograms between them.
 */
#include "../base/err.h"
#include "../run/feed.h"
#include "keep.h"
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

static inline int32_t bin_of(float x, float least, float to_bin)
{
	float at = (x - least) * to_bin;

	at = at > 0 ? at : 0; /* what is no number, too */
	return (int32_t)(at < PARE_BINS - 1 ? at : PARE_BINS - 1);
}

/* Some bins at a time, for vectors and without branches; every other one is counted apart, for
 * values come in runs and a count must not wait for the one before. */
static void count_values(const float *x, int64_t n, int lanes, int count,
	const struct pare_range *whole, uint64_t *counts)
{
	enum { AT_ONCE = 16 };
	float to_bin = whole->max > whole->min ? PARE_BINS / (whole->max - whole->min) : 0;
	uint64_t apart[PARE_BINS] = { 0 };
	int32_t bin[AT_ONCE];
	int64_t all = n * lanes, i = 0;

	for (; count == lanes && i + AT_ONCE <= all; i += AT_ONCE) {
		for (int j = 0; j < AT_ONCE; j++)
			bin[j] = bin_of(x[i + j], whole->min, to_bin);
		for (int j = 0; j < AT_ONCE; j += 2) {
			counts[bin[j]]++;
			apart[bin[j + 1]]++;
		}
	}
	for (; i < all; i++)
		if (i % lanes < count)
			counts[bin_of(x[i], whole->min, to_bin)]++;
	for (int k = 0; k < PARE_BINS; k++)
		counts[k] += apart[k];
}

static void observe(void *user, int layer, const struct pare_tensor *x)
{
	const struct seen *s = user;
	int64_t n = pare_shape_elems(&x->shape);
	int lanes = x->lanes, count = lanes == 1 ? 1 : s->count;

	if (s->w->counting)
		count_values(x->f32, n, lanes, count, &s->w->calibration->range[layer],
			s->mine[layer].count);
	else
		find_bounds(x->f32, n, lanes, count, &s->runs[layer].min[s->run],
			&s->runs[layer].max[s->run]);
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
	w.calibration->keep = pare_keep_new();
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
	pare_keep_free(r->keep);
	free(r->range);
	free(r);
}
