#include "pick.h"
#include "../base/err.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 16 }; /* at a time */

/* ---- how much may be tried ---------------------------------------------------------------------
 */

struct attempt {
	double work;
	int layer, row;
};

static int by_work(const void *a, const void *b)
{
	const struct attempt *x = a, *y = b;

	if (x->work != y->work)
		return x->work < y->work ? -1 : 1;
	return x->layer != y->layer ? x->layer - y->layer : x->row - y->row;
}

static bool is_tried(int row)
{
	return !pare_roundings[row].tries && !pare_roundings[row].stored;
}

enum pare_status pare_tries_allot(const struct pare_walk *w, const struct pare_fit_layer *layers,
	const int *order, int n, unsigned *may, struct pare_err *err)
{
	int rows = 0, found = 0;
	struct attempt *a;

	while (pare_roundings[rows].name)
		rows++;
	if (!(a = calloc((size_t)n * (size_t)rows + 1, sizeof *a)))
		return pare_nomem(err, "what is to be tried");
	for (int i = 0; i < n; i++) {
		struct pare_windows win = pare_walk_windows(w, order[i]);

		if (!layers[order[i]].fits || !layers[order[i]].rounding ||
			!layers[order[i]].rounding->tries || !win.k)
			continue;
		for (int r = 0; r < rows; r++) /* once by a part of the samples, once by all */
			if (is_tried(r))
				a[found++] =
					(struct attempt){ pare_roundings[r].work
								  ? 2 * pare_roundings[r].work(&win)
								  : 0,
						order[i], r };
	}
	qsort(a, (size_t)found, sizeof *a, by_work);
	for (int i = 0; i < found; i++) {
		double limit = layers[a[i].layer].work, sum = 0;

		for (int j = 0; j <= i; j++)
			sum += layers[a[j].layer].work == limit ? a[j].work : 0;
		if (sum <= limit)
			may[a[i].layer] |= 1u << a[i].row;
	}
	free(a);
	return PARE_OK;
}

/* ---- what a layer loses ------------------------------------------------------------------------
 */

struct losing {
	const struct pare_layer_fit *f;
	const struct pare_columns *c;
	struct pare_channels channels;
	int chunks;   /* of a group's rows */
	double *lost; /* [groups][chunks] */
};

static float clamp(const struct pare_columns *c, float x)
{
	return x < c->lo ? c->lo : x > c->hi ? c->hi : x;
}

/* Squared error of a row that gives y on the columns kept aside. */
static double row_lost(const struct losing *t, int64_t row, const float *y)
{
	const struct pare_columns *c = t->c;
	const float *was = pare_model_bias(t->f->m, t->f->layer);
	const float *now = t->f->bias ? t->f->bias->data : was;
	size_t at = (size_t)row * (size_t)c->wide + (size_t)(c->n - c->aside);
	const float *want = c->t + at, *more = c->s + at;
	float b = was ? was[row] : 0, a = now ? now[row] : 0;
	double sum = 0;

	for (int64_t i = 0; i < c->aside; i++) {
		double d = (double)clamp(c, y[i] + a + more[i]) -
			   (double)clamp(c, want[i] + b + more[i]);

		sum += d * d;
	}
	return sum;
}

static enum pare_status lose_rows(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct losing *t = ctx;
	const struct pare_columns *c = t->c;
	int part = chunk % t->chunks, group = chunk / t->chunks;
	int from = c->o * part / t->chunks, rows = c->o * (part + 1) / t->chunks - from;
	int64_t row = (int64_t)group * c->o + from, n = c->aside;
	const float *x = c->x + (size_t)group * (size_t)c->k * (size_t)c->wide + (c->n - n);
	float *w = malloc((size_t)rows * (size_t)c->k * sizeof *w);
	float *y = malloc((size_t)rows * (size_t)n * sizeof *y);
	enum pare_status st = w && y ? PARE_OK : pare_nomem(err, "what a layer gives");

	(void)worker;
	for (int64_t i = 0; i < (int64_t)rows * c->k && !st; i++)
		w[i] = ((const float *)t->f->weights
				->data)[pare_channel_at(&t->channels, row + i / c->k, i % c->k)];
	if (!st)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, (int)n, c->k, 1, w,
			c->k, x, (int)c->wide, 0, y, (int)n);
	for (int r = 0; r < rows && !st; r++)
		t->lost[chunk] += row_lost(t, row + r, y + (size_t)r * (size_t)n);
	free(w);
	free(y);
	return st;
}

/* Of the layer's output, by the weights and the bias that f has come to. */
static enum pare_status layer_lost(const struct pare_layer_fit *f, const struct pare_columns *c,
	double *lost, struct pare_err *err)
{
	const struct pare_layer *l = pare_model_layer(f->m, f->layer);
	struct losing t = { .f = f,
		.c = c,
		.channels = pare_channels_of(&l->weight, l->out_axis),
		.chunks = (c->o + ROWS - 1) / ROWS };
	struct pare_progress_span quiet = { 0 };
	int n = c->groups * t.chunks;
	enum pare_status st;

	if (!(t.lost = calloc((size_t)n, sizeof *t.lost)))
		return pare_nomem(err, "what a layer gives");
	st = pare_parallel(n, lose_rows, &t, f->ctl, quiet, err);
	*lost = 0;
	for (int i = 0; i < n; i++)
		*lost += t.lost[i];
	free(t.lost);
	return st;
}

/* ---- trying ------------------------------------------------------------------------------------
 */

/* By a method of its own; one that does not look leaves the layer as it is given, each weight at
 * the nearest. */
static enum pare_status round_by(struct pare_layer_fit *f, const struct pare_rounding *r,
	struct pare_moments *s, struct pare_err *err)
{
	int64_t n = pare_model_layer(f->m, f->layer)
			    ->weight.d[pare_model_layer(f->m, f->layer)->out_axis];

	f->l.rounding = r;
	if (r->look || f->l.prunes) {
		enum pare_status st = pare_layer_round(f, s, err);

		if (st)
			return st;
	}
	/* room for a bias is counted, whichever method it is */
	if (!f->bias && !pare_model_bias(f->m, f->layer) && pare_model_can_shift(f->m, f->layer) &&
		!(f->bias = pare_blob_new((size_t)n * sizeof(float))))
		return pare_nomem(err, "a bias");
	return PARE_OK;
}

/* The same on copies: what it loses on the columns kept aside. */
static enum pare_status try_one(const struct pare_layer_fit *f, const struct pare_rounding *r,
	const struct pare_moments *part, const struct pare_columns *columns, double *lost,
	struct pare_err *err)
{
	size_t scales = (size_t)pare_grid_scales(&f->l.grid);
	size_t n = (size_t)pare_model_layer(f->m, f->layer)->weights;
	struct pare_layer_fit t = *f;
	struct pare_moments s = { 0 };
	enum pare_status st = pare_moments_copy(part, &s, err);

	t.l.scale = malloc(scales * (sizeof *t.l.scale + 1) + n);
	t.weights = pare_blob_ref(f->weights);
	t.bias = f->bias ? pare_blob_ref(f->bias) : NULL;
	t.seen = NULL;
	if (!st && !t.l.scale)
		st = pare_nomem(err, "a layer's rounding");
	if (!st) {
		t.l.zero = (int8_t *)(t.l.scale + scales);
		t.l.q = t.l.zero + scales;
		memcpy(t.l.scale, f->l.scale, scales * sizeof *t.l.scale);
		memcpy(t.l.zero, f->l.zero, scales);
		memcpy(t.l.q, f->l.q, n);
		s.columns = pare_columns_part(columns);
		st = round_by(&t, r, &s, err);
		s.columns = (struct pare_columns){ 0 }; /* they were borrowed */
	}
	if (!st)
		st = layer_lost(&t, columns, lost, err);
	pare_moments_free(&s);
	pare_blob_free(t.weights);
	pare_blob_free(t.bias);
	free(t.l.scale);
	return st;
}

enum pare_status
pare_layer_try(struct pare_layer_fit *f, struct pare_moments *s, const struct pare_moments *part,
	unsigned may, const struct pare_rounding **picked, struct pare_err *err)
{
	const struct pare_rounding *best = NULL;
	double least = INFINITY;
	enum pare_status st = PARE_OK;

	for (int i = 0; pare_roundings[i].name && !st; i++) {
		const struct pare_rounding *r = &pare_roundings[i];
		double lost;

		if (!(may >> i & 1))
			continue;
		if (!part->win.k || !s->columns.aside)
			lost = r->work ? -r->work(&s->win) : 0;
		else
			st = try_one(f, r, part, &s->columns, &lost, err);
		if (!st && (!best || lost < least)) {
			least = lost;
			best = r;
		}
	}
	if (st)
		return st;
	*picked = best;
	return round_by(f, best, s, err);
}
