#include "layer.h"
#include "../base/err.h"
#include "../prune/obs.h"
#include "../quantize/learn.h"
#include <stdlib.h>
#include <string.h>

/* The share of the mean curvature that pulls weights to where they were: calibration samples are
 * few, and what they do not show should stay. */
static const double damp = 0.01;

enum { LEARN_ROWS = 16 }; /* at a time */

struct fitting {
	struct pare_layer_fit *f;
	const struct pare_fit_layer *l;
	struct pare_channels channels; /* of the output, whatever shares a scale */
	struct pare_moments *s;
	bool makes_up, shifts;  /* the output in float is asked for; the bias is free */
	struct pare_gram *gram; /* [groups] */
	const float *was;       /* the weights in float */
	double *best;           /* [channels][k] those that cost least */
	bool *zero;             /* [channels][k] and that are 0 */
	float *now;             /* as they are given, then as they become */
	float *shift;           /* [channels] what is added to the bias; NULL = nothing */
	bool free;              /* each row has one scale, and finds it */
	int chunks;             /* of a group's rows, to learn by */
};

static enum pare_status make_gram(void *ctx, int g, int worker, struct pare_err *err)
{
	struct fitting *t = ctx;
	struct pare_moments *s = t->s;
	const struct pare_channels *ch = &t->channels;
	size_t k = (size_t)s->win.k, o = (size_t)s->win.o;
	double *h = malloc(k * k * sizeof *h), ridge;
	enum pare_status st;

	(void)worker;
	if (!h)
		return pare_nomem(err, "the products of a layer's inputs");
	pare_moments_center(s, g, t->shifts);
	memcpy(h, s->h + (size_t)g * k * k, k * k * sizeof *h);
	if ((st = pare_gram_new(h, (int)k, damp, &t->gram[g], &ridge, err)))
		return st;
	for (size_t i = 0; i < o; i++) {
		double *c = s->c + ((size_t)g * o + i) * k;

		for (size_t j = 0; j < k; j++) {
			double w = (double)t->was[pare_channel_at(
				ch, (int64_t)((size_t)g * o + i), (int64_t)j)];

			if (t->makes_up)
				c[j] += ridge * w;
			else if (!j)
				memset(c, 0, k * sizeof *c);
			for (size_t m = 0; m < k && !t->makes_up; m++)
				c[m] += w * h[j * k + m];
		}
	}
	if (!(h = malloc(k * sizeof *h)))
		return pare_nomem(err, "the products of a layer's inputs");
	memcpy(t->best + (size_t)g * o * k, s->c + (size_t)g * o * k, o * k * sizeof *t->best);
	pare_gram_solve(&t->gram[g], t->best + (size_t)g * o * k, (int)o, h);
	free(h);
	return PARE_OK;
}

/* Which weights are 0. */
static enum pare_status choose_zeros(struct fitting *t, struct pare_err *err)
{
	const struct pare_fit_layer *l = t->l;
	int k = t->s->win.k;
	struct pare_obs obs = { &l->lay, t->s->win.o, t->gram, t->s->c, t->best, t->zero, false };

	if (l->prunes)
		return pare_obs_prune(&obs, l->sparsity, t->f->ctl, err);
	for (int64_t row = 0; row < t->channels.channels && l->keep_zeros; row++)
		for (int i = 0; i < k; i++)
			t->zero[row * k + i] = l->w[pare_channel_at(&t->channels, row, i)] == 0;
	return PARE_OK;
}

/* What pruning left, and where it is to be rounded, each weight to the nearest. */
static enum pare_status write_best(struct fitting *t, struct pare_err *err)
{
	const struct pare_fit_layer *l = t->l;
	int k = t->s->win.k;

	for (int64_t row = 0; row < t->channels.channels; row++)
		for (int i = 0; i < k; i++)
			t->now[pare_channel_at(&t->channels, row, i)] = (float)t->best[row * k + i];
	return l->rounding ? pare_grid_round(t->now, &l->grid, l->scale, l->zero, l->q, t->now, err)
			   : PARE_OK;
}

/* The scale and zero point of element i of a row. */
static int64_t scale_at(const struct fitting *t, int row, int i)
{
	return t->l->grid.channels.channels == 1 ? 0 : pare_grid_at(&t->l->grid, row, i);
}

/* A row whose weights have scales s and zero points z of their own, as one on the plain grid of
 * scale 1: with v = S (q - z) the quadratic of q has SHS, of which RS is a factor, for H, and
 * Sc + SHSz for c.  What stays 0 has 0 for its code, so no zero point. */
static bool
rescale(const struct fitting *t, int row, const struct pare_row *r, struct pare_row *out)
{
	size_t k = (size_t)r->gram->k, kk = k * k;
	double *room = malloc((2 * kk + 4 * k) * sizeof *room), *h = room, *f = h + kk, *c = f + kk;
	double *w = c + k, *s = w + k, *z = s + k;
	struct pare_gram *g = room ? malloc(sizeof *g) : NULL;

	if (!g) {
		free(room);
		return false;
	}
	for (size_t i = 0; i < k; i++) {
		int64_t at = scale_at(t, row, (int)i);

		s[i] = (double)t->l->scale[at];
		z[i] = r->zero && r->zero[i] ? 0 : t->l->zero[at];
		w[i] = r->w[i] / s[i] + z[i];
		c[i] = s[i] * r->c[i];
	}
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < k; j++) {
			h[i * k + j] = s[i] * r->gram->h[i * k + j] * s[j];
			f[i * k + j] = r->gram->r[i * k + j] * s[r->gram->order[j]];
			c[i] += h[i * k + j] * z[j];
		}
	*g = (struct pare_gram){ (int)k, h, f, r->gram->order };
	*out = *r;
	out->gram = g;
	out->c = c;
	out->w = w;
	return true;
}

/* Integers for a row whose scales are as they are. */
static enum pare_status look_fixed(
	const struct fitting *t, int row, const struct pare_row *r, int8_t *q, struct pare_err *err)
{
	int64_t first = scale_at(t, row, 0);
	struct pare_row own;

	if (t->l->grid.n_groups == 1 && !t->l->zero[first]) {
		t->l->rounding->look(r, (double)t->l->scale[first], q);
		return PARE_OK;
	}
	if (!rescale(t, row, r, &own))
		return pare_nomem(err, "the weights of a channel");
	t->l->rounding->look(&own, 1, q);
	for (int i = 0; r->zero && i < r->gram->k; i++)
		if (r->zero[i])
			q[i] = t->l->zero[scale_at(t, row, i)];
	free(own.gram->h);
	free((void *)(uintptr_t)own.gram);
	return PARE_OK;
}

/* Integers by what the rounding looks at. */
static enum pare_status round_row(struct fitting *t, int row, struct pare_err *err)
{
	struct pare_moments *s = t->s;
	int k = s->win.k;
	double *room = malloc((size_t)k * (sizeof(double) + sizeof(float) + 2));
	struct pare_row r = { .gram = &t->gram[row / s->win.o],
		.c = s->c + (size_t)row * k,
		.w = t->best + (size_t)row * k,
		.zero = t->l->prunes || t->l->keep_zeros ? t->zero + (size_t)row * k : NULL,
		.lo = t->l->grid.lo,
		.hi = t->l->grid.hi,
		.room = room };
	int8_t *q;
	enum pare_status st = PARE_OK;

	if (!room)
		return pare_nomem(err, "the weights of a channel");
	r.floats = (float *)(room + k);
	r.spare = (int8_t *)(r.floats + k);
	q = r.spare + k;
	if (t->free)
		t->l->scale[row] = (float)t->l->rounding->look(&r, 0, q);
	else
		st = look_fixed(t, row, &r, q, err);
	for (int i = 0; i < k && !st; i++) {
		int64_t at = pare_channel_at(&t->channels, row, i), of = scale_at(t, row, i);

		t->l->q[at] = q[i];
		t->now[at] = (float)(q[i] - t->l->zero[of]) * t->l->scale[of];
	}
	free(room);
	return st;
}

static enum pare_status fit_row(void *ctx, int row, int worker, struct pare_err *err)
{
	struct fitting *t = ctx;
	struct pare_moments *s = t->s;
	int k = s->win.k;
	const double *x = s->x + (size_t)(row / s->win.o) * (size_t)k;
	double shift = s->t[row];
	bool looks = t->l->rounding && t->l->rounding->look;
	enum pare_status st = looks ? round_row(t, row, err) : PARE_OK;

	(void)worker;
	for (int i = 0; i < k && !st; i++)
		shift -= (double)t->now[pare_channel_at(&t->channels, row, i)] * x[i];
	if (t->shift)
		t->shift[row] = (float)shift;
	return st;
}

/* What goes on by columns, some rows at a time. */
static enum pare_status learn_rows(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct fitting *t = ctx;
	int k = t->s->win.k, o = t->s->win.o, part = chunk % t->chunks;
	int from = o * part / t->chunks, rows = o * (part + 1) / t->chunks - from;
	int row = chunk / t->chunks * o + from;
	size_t n = (size_t)rows * (size_t)k, first = (size_t)row * (size_t)k;
	int8_t *q = malloc(n + 1);
	const float *bias = pare_model_bias(t->f->m, t->f->layer);
	float scales[LEARN_ROWS];
	struct pare_learning l = { .columns = &t->s->columns,
		.row = row,
		.rows = rows,
		.k = k,
		.lo = t->l->grid.lo,
		.hi = t->l->grid.hi,
		.w = t->best + first,
		.zero = t->l->prunes || t->l->keep_zeros ? t->zero + first : NULL,
		.scale = scales,
		.bias = bias ? bias + row : NULL,
		.q = q,
		.shift = t->shift ? t->shift + row : NULL,
		.ctl = t->f->ctl };
	enum pare_status st;

	(void)worker;
	if (!q)
		return pare_nomem(err, "a layer's rounding");
	for (int r = 0; r < rows; r++)
		scales[r] = t->l->scale[scale_at(t, row + r, 0)];
	for (size_t i = 0; i < n; i++)
		q[i] = t->l->q[pare_channel_at(&t->channels, row + (int64_t)i / k, (int64_t)i % k)];
	st = t->l->rounding->learn(&l, err);
	for (size_t i = 0; i < n && !st; i++) {
		int64_t at = pare_channel_at(&t->channels, row + (int64_t)i / k, (int64_t)i % k);

		t->l->q[at] = q[i];
		t->now[at] = (float)q[i] * scales[i / (size_t)k];
	}
	free(q);
	return st;
}

/* Only rows of one scale and no zero point can. */
static enum pare_status learn(struct fitting *t, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };

	t->chunks = (t->s->win.o + LEARN_ROWS - 1) / LEARN_ROWS;
	if (!t->s->columns.n || t->l->grid.n_groups > 1 || t->l->grid.scheme->zeros)
		return PARE_OK;
	return pare_parallel(t->s->win.groups * t->chunks, learn_rows, t, t->f->ctl, quiet, err);
}

/* The bias that the layer has, or zeros, and the shift. */
static enum pare_status shift_bias(struct fitting *t, struct pare_err *err)
{
	struct pare_layer_fit *f = t->f;
	int64_t n = t->channels.channels;
	const float *was = pare_model_bias(f->m, f->layer);
	struct pare_blob *b = pare_blob_new((size_t)n * sizeof(float));

	if (!b)
		return pare_nomem(err, "a bias");
	for (int64_t i = 0; i < n; i++)
		((float *)b->data)[i] = (was ? was[i] : 0) + t->shift[i];
	pare_blob_free(f->bias);
	f->bias = b;
	return PARE_OK;
}

static void tell_seen(const struct fitting *t)
{
	size_t groups = (size_t)t->s->win.groups, k = (size_t)t->s->win.k;

	for (size_t g = 0; g < groups; g++)
		memcpy(t->f->seen + g * k * k, t->gram[g].h, k * k * sizeof *t->f->seen);
	memcpy(t->f->seen + groups * k * k, t->s->x, groups * k * sizeof *t->f->seen);
}

enum pare_status
pare_layer_round(struct pare_layer_fit *f, struct pare_moments *s, struct pare_err *err)
{
	const struct pare_fit_layer *l = &f->l;
	int layer = f->layer;
	struct pare_progress_span quiet = { 0 };
	struct fitting t = { .f = f,
		.l = l,
		.s = s,
		.channels = pare_channels_of(&pare_model_layer(f->m, layer)->weight,
			pare_model_layer(f->m, layer)->out_axis),
		.free = l->rounding && l->grid.scheme->free && l->grid.n_groups == 1 &&
			l->grid.channels.channels > 1,
		.makes_up = !s->win.inner && (l->prunes || l->rounding->makes_up),
		.shifts = (l->prunes || l->shifts || l->rounding->shifts) &&
			  pare_model_can_shift(f->m, layer),
		.was = pare_model_weights(f->m, layer) };
	int n = s->win.groups * s->win.o;
	/* a new one: programs know weights that they share by where they lie */
	struct pare_blob *b = pare_blob_new(f->weights->len);
	enum pare_status st = PARE_OK;

	if (!b)
		return pare_nomem(err, "the weights of a layer");
	memcpy(b->data, l->w, b->len);
	pare_blob_free(f->weights);
	f->weights = b;
	t.now = b->data;
	t.gram = calloc((size_t)s->win.groups, sizeof *t.gram);
	t.shift = t.shifts ? calloc((size_t)n, sizeof *t.shift) : NULL;
	t.best = malloc((size_t)n * (size_t)s->win.k * sizeof *t.best);
	t.zero = calloc((size_t)n * (size_t)s->win.k, sizeof *t.zero);
	if (!t.gram || (t.shifts && !t.shift) || !t.best || !t.zero)
		st = pare_nomem(err, "the fitting of a layer");
	if (!st)
		st = pare_parallel(s->win.groups, make_gram, &t, f->ctl, quiet, err);
	if (!st)
		st = choose_zeros(&t, err);
	if (!st && l->prunes)
		st = write_best(&t, err);
	if (!st)
		st = pare_parallel(n, fit_row, &t, f->ctl, quiet, err);
	if (!st && l->rounding && l->rounding->learn)
		st = learn(&t, err);
	if (f->seen && !st)
		tell_seen(&t);
	if (!st && t.shifts)
		st = shift_bias(&t, err);
	if (!st && f->acts && l->rounding)
		st = pare_bias_for(&l->grid, &f->acts[layer],
			t.shifts ? f->bias->data : pare_model_bias(f->m, layer), n, l->scale,
			l->zero, l->q, t.now, &f->bias, err);
	for (int g = 0; g < s->win.groups && t.gram; g++)
		pare_gram_free(&t.gram[g]);
	free(t.gram);
	free(t.shift);
	free(t.best);
	free(t.zero);
	return st;
}

/* ---- integers that stay ------------------------------------------------------------------------
 */

/* Least squares of what row o should give on what it gives: a factor for its scales, unless they
 * must stay, and what its bias lacks. */
static void settle_row(struct fitting *t, int row, bool scales)
{
	const struct pare_moments *s = t->s;
	size_t k = (size_t)s->win.k, g = (size_t)(row / s->win.o);
	const double *h = s->h + g * k * k, *c = s->c + (size_t)row * k, *x = s->x + g * k;
	double gives = 0, wants = s->t[row] / s->n, square = 0, cross = 0, by = 1;

	for (size_t i = 0; i < k; i++) {
		double v = (double)t->now[pare_channel_at(&t->channels, row, (int64_t)i)];

		gives += v * x[i] / s->n;
		cross += v * c[i] / s->n;
		for (size_t j = 0; j < k; j++)
			square += v * h[i * k + j] / s->n *
				  (double)t->now[pare_channel_at(&t->channels, row, (int64_t)j)];
	}
	if (scales && square - gives * gives > 1e-12 * square)
		by = (cross - wants * gives) / (square - gives * gives);
	by = !(by > 0.5) ? 0.5 : by > 2 ? 2 : by;
	for (int64_t i = 0; by != 1 && i < t->l->grid.n_groups; i++)
		t->l->scale[row * t->l->grid.n_groups + i] *= (float)by;
	for (size_t i = 0; by != 1 && i < k; i++) {
		int64_t at = pare_channel_at(&t->channels, row, (int64_t)i);
		int64_t of = scale_at(t, row, (int)i);

		t->now[at] = (float)(t->l->q[at] - t->l->zero[of]) * t->l->scale[of];
	}
	if (t->shift)
		t->shift[row] = (float)(wants - by * gives);
}

enum pare_status
pare_layer_settle(struct pare_layer_fit *f, struct pare_moments *s, struct pare_err *err)
{
	const struct pare_fit_layer *l = &f->l;
	int layer = f->layer;
	struct pare_channels channels = pare_channels_of(
		&pare_model_layer(f->m, layer)->weight, pare_model_layer(f->m, layer)->out_axis);
	struct fitting t = { .f = f, .l = l, .s = s, .channels = channels };
	int n = s->win.groups * s->win.o;
	bool scales = l->scales && l->scale && !l->grid.scheme->powers &&
		      l->grid.channels.channels == channels.channels;
	struct pare_blob *b = pare_blob_new(f->weights->len);
	enum pare_status st = PARE_OK;

	if (!b)
		return pare_nomem(err, "the weights of a layer");
	memcpy(b->data, f->weights->data, b->len);
	pare_blob_free(f->weights);
	f->weights = b;
	t.now = b->data;
	if (pare_model_can_shift(f->m, layer) && !(t.shift = calloc((size_t)n, sizeof *t.shift)))
		return pare_nomem(err, "a bias");
	for (int i = 0; i < n; i++)
		settle_row(&t, i, scales);
	if (t.shift)
		st = shift_bias(&t, err);
	if (!st && t.shift && f->acts && l->scale)
		st = pare_bias_for(&l->grid, &f->acts[layer], f->bias->data, n, l->scale, l->zero,
			l->q, t.now, &f->bias, err);
	free(t.shift);
	return st;
}
