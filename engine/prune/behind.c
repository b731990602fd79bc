#include "behind.h"
#include "../base/err.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>

struct rows { /* of one window group */
	struct pare_moments *m;
	struct pare_solve *s;
	int group, k, o;
	const float *bias;  /* of all groups; NULL = none is given */
	const float *x;     /* [k][n] */
	const double *mean; /* [k] */
	float *w, *by;      /* [o][k] */
	float *y;           /* [o][n] */
	double *more;       /* [o][k] */
};

/* y = what the rows give before their biases. */
static void give(const struct rows *r)
{
	int n = (int)r->m->columns.n;

	for (int i = 0; i < r->o * r->k; i++)
		r->w[i] = (float)r->s->w[i];
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r->o, n, r->k, 1, r->w, r->k, r->x,
		n, 0, r->y, n);
}

/* y [n] of a row becomes how far what is wanted may move towards what is given. */
static void let_move(const struct rows *r, int o, float *y)
{
	const struct pare_columns *c = &r->m->columns;
	int row = r->group * r->o + o;
	const float *t = c->t + (size_t)row * (size_t)c->n, *s = c->s + (size_t)row * (size_t)c->n;
	float bias = r->bias ? r->bias[row] : 0;
	double shift = r->bias ? r->m->t[row] : 0;

	for (int k = 0; k < r->k && r->bias; k++)
		shift -= r->s->w[o * r->k + k] * r->mean[k];
	for (int64_t i = 0; i < c->n; i++) {
		float want = t[i] + bias + s[i], got = y[i] + bias + (float)shift + s[i];

		y[i] = want < c->lo   ? fminf(got, c->lo) - want
		       : want > c->hi ? fmaxf(got, c->hi) - want
				      : 0;
	}
}

/* What is wanted has moved by y: the best weights follow, and its mean. */
static void follow(const struct rows *r)
{
	int n = (int)r->m->columns.n;
	double *t = r->m->t + (size_t)r->group * (size_t)r->o;

	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, r->o, r->k, n, 1 / (float)n, r->y, n,
		r->x, n, 0, r->by, r->k);
	for (int o = 0; o < r->o; o++) {
		double mean = 0;

		for (int i = 0; i < n && r->bias; i++)
			mean += (double)r->y[(size_t)o * (size_t)n + (size_t)i] / n;
		for (int k = 0; k < r->k; k++)
			r->more[o * r->k + k] = (double)r->by[o * r->k + k] - mean * r->mean[k];
		t[o] += mean;
	}
	cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r->o, r->k, r->k, 1, r->more, r->k,
		r->s->hinv, r->k, 1, r->s->w, r->k);
}

enum pare_status pare_readers_refit_behind(
	struct pare_reader *x, struct pare_moments *m, const float *bias, struct pare_err *err)
{
	const struct pare_columns *c = &m->columns;
	struct rows r = { .m = m, .k = m->win.k, .o = m->win.o, .bias = bias };
	size_t ok = (size_t)r.o * (size_t)r.k;
	enum pare_status st = PARE_OK;

	if (c->n < 1 || (isinf(c->lo) && isinf(c->hi)))
		return PARE_OK;
	r.w = malloc(ok * sizeof *r.w);
	r.by = malloc(ok * sizeof *r.by);
	r.y = malloc((size_t)r.o * (size_t)c->n * sizeof *r.y);
	r.more = malloc(ok * sizeof *r.more);
	if (!r.w || !r.by || !r.y || !r.more)
		st = pare_nomem(err, "a layer's least squares");
	for (; r.group < m->win.groups && !st; r.group++) {
		r.s = &x[r.group].s;
		r.x = c->x + (size_t)r.group * (size_t)r.k * (size_t)c->n;
		r.mean = m->x + (size_t)r.group * (size_t)r.k;
		give(&r);
		for (int o = 0; o < r.o; o++)
			let_move(&r, o, r.y + (size_t)o * (size_t)c->n);
		follow(&r);
	}
	free(r.w);
	free(r.by);
	free(r.y);
	free(r.more);
	return st;
}
