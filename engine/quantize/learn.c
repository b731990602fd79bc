#include "learn.h"
#include "../base/rng.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	BATCH = 512, /* columns at a time */
	SHIFTS = 3,  /* steps to a bias that leaves no mean error */
	/* polishing */
	SWEEPS = 40,
	TRIED = 32, /* weights of a row in a sweep */
	PARTS = 16, /* sums that are taken apart, for vectors */
	/* AdaRound */
	ITERATIONS = 500,
	WARM = ITERATIONS / 5, /* of them without the pull to 0 and 1 */
};
static const double gain = 2e-4; /* the least that a step must win, of the row's error */
static const float stretch = 1.2f, below = 0.1f; /* the rectified sigmoid's */
static const float rate = 0.02f, pull = 20, shift_rate = 0.05f;
static const float sharp = 20, blunt = 2; /* β, from and to */

struct state {
	const struct pare_learning *l;
	int64_t n, batch;             /* columns to learn from; the others judge what was learned */
	int64_t all;                  /* both */
	size_t wide;                  /* from row to row */
	float *x;                     /* [k][wide] of the group, borrowed */
	float *w, *g;                 /* [rows][k]: weights, gradient */
	float *shift;                 /* [rows] */
	double *error, *mean, *count; /* [rows]: square of the error, mean of what is let through,
					 and how many columns are */
};

static float clamp(float x, float lo, float hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static const float *row_of(const struct state *s, const float *of, int r)
{
	return of + (size_t)(s->l->row + r) * s->wide;
}

/* y [rows][n] = w x of columns from … from + n. */
static void product(const struct state *s, int64_t from, int64_t n, float *y)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s->l->rows, (int)n, s->l->k, 1, s->w,
		s->l->k, s->x + from, (int)s->wide, 0, y, (int)n);
}

/* g = e x', e [rows][n] */
static void pull_back(const struct state *s, int64_t from, int64_t n, const float *e)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, s->l->rows, s->l->k, (int)n, 1, e,
		(int)n, s->x + from, (int)s->wide, 0, s->g, s->l->k);
}

/* e = the error behind the clamp of those columns where it lets through, else 0, by y (may be e);
 * error, mean and count of each row. */
static void weigh(const struct state *s, int64_t from, int64_t n, const float *y, float *e)
{
	const struct pare_learning *l = s->l;
	const struct pare_columns *c = l->columns;

	for (int r = 0; r < l->rows; r++) {
		const float *t = row_of(s, c->t, r) + from, *more = row_of(s, c->s, r) + from;
		float bias = l->bias ? l->bias[r] : 0, shift = s->shift[r];
		double square = 0, sum = 0, count = 0;

		for (int64_t i = 0; i < n; i++) {
			float at = y[r * n + i] + bias + shift + more[i];
			float d = clamp(at, c->lo, c->hi) -
				  clamp(t[i] + bias + more[i], c->lo, c->hi);
			bool through = at > c->lo && at < c->hi;

			square += (double)d * (double)d;
			e[r * n + i] = through ? d : 0;
			sum += (double)e[r * n + i];
			count += through;
		}
		s->error[r] = square / (double)n;
		s->mean[r] = sum / fmax(count, 1);
		s->count[r] = count;
	}
}

/* What the rows give by q, with their best biases: y [rows][n]; e [rows][n]: their errors.
 */
static void judge(const struct state *s, const int8_t *q, float *y, float *e)
{
	const struct pare_learning *l = s->l;

	for (int i = 0; i < l->rows * l->k; i++)
		s->w[i] = (float)q[i] * l->scale[i / l->k];
	product(s, 0, s->n, y);
	for (int t = 0; t < SHIFTS && l->shift; t++) {
		weigh(s, 0, s->n, y, e);
		for (int r = 0; r < l->rows; r++)
			s->shift[r] -= (float)s->mean[r];
	}
	weigh(s, 0, s->n, y, e);
}

/* Errors of the rows by q and its shifts on the columns that are kept aside; of all where there are
 * none.  y: room [rows][all] */
static void
prove(const struct state *s, const int8_t *q, const float *shift, float *y, double *error)
{
	const struct pare_learning *l = s->l;
	int64_t all = s->all, from = s->n < all ? s->n : 0;

	for (int i = 0; i < l->rows * l->k; i++)
		s->w[i] = (float)q[i] * l->scale[i / l->k];
	for (int r = 0; r < l->rows; r++)
		s->shift[r] = shift ? shift[r] : 0;
	product(s, from, all - from, y);
	weigh(s, from, all - from, y, y);
	memcpy(error, s->error, (size_t)l->rows * sizeof *error);
}

/* ---- polishing ---------------------------------------------------------------------------------
 */

/* Squared error of a row once `by` times x is added to y; base: what else is added, want: behind
 * the clamp. */
static double error_with(const struct state *s, const float *y, const float *x, float by,
	const float *base, const float *want)
{
	const struct pare_columns *c = s->l->columns;
	float part[PARTS] = { 0 };
	double sum = 0;
	int64_t n = s->n / PARTS * PARTS;

	for (int64_t i = 0; i < n; i += PARTS)
		for (int j = 0; j < PARTS; j++) {
			float at = y[i + j] + by * x[i + j] + base[i + j], d;

			at = at < c->lo ? c->lo : at;
			at = at > c->hi ? c->hi : at;
			d = at - want[i + j];
			part[j] += d * d;
		}
	for (int j = 0; j < PARTS; j++)
		sum += (double)part[j];
	for (int64_t i = n; i < s->n; i++) {
		float d = clamp(y[i] + by * x[i] + base[i], c->lo, c->hi) - want[i];

		sum += (double)d * (double)d;
	}
	return sum / (double)s->n;
}

struct step {
	double by; /* change of the error, by the slope and an even share of the curve */
	int i;
};

/* The most promising steps of a row, best first. */
static int find_steps(const struct state *s, int r, const double *curve, struct step *steps)
{
	const struct pare_learning *l = s->l;
	double scale = (double)l->scale[r], share = s->count[r] / (double)s->n;
	int n = 0;

	for (int i = 0; i < l->k; i++) {
		double g = (double)s->g[r * l->k + i] / (double)s->n;
		double by = scale * (scale * curve[i] * share - 2 * fabs(g));
		int q = l->q[r * l->k + i], j = n;

		if (by >= 0 || (l->zero && l->zero[r * l->k + i]) ||
			(g > 0 ? q <= l->lo : q >= l->hi))
			continue;
		if (n == TRIED && by >= steps[n - 1].by)
			continue;
		for (j = n < TRIED ? n++ : n - 1; j > 0 && steps[j - 1].by > by; j--)
			steps[j] = steps[j - 1];
		steps[j] = (struct step){ by, g > 0 ? -(i + 1) : i + 1 };
	}
	return n;
}

/* room: [2][n] */
static bool polish_row(const struct state *s, int r, const double *curve, float *y, float *room)
{
	const struct pare_learning *l = s->l;
	const struct pare_columns *c = l->columns;
	struct step steps[TRIED];
	const float *t = row_of(s, c->t, r), *more = row_of(s, c->s, r);
	int n = find_steps(s, r, curve, steps);
	float bias = l->bias ? l->bias[r] : 0, *base = room, *want = room + s->n;
	bool moved = false;

	for (int64_t i = 0; i < s->n && n; i++) {
		base[i] = bias + s->shift[r] + more[i];
		want[i] = clamp(t[i] + bias + more[i], c->lo, c->hi);
	}
	for (int j = 0; j < n; j++) {
		int i = abs(steps[j].i) - 1, by = steps[j].i > 0 ? 1 : -1;
		const float *x = s->x + (size_t)i * s->wide;
		float d = (float)by * l->scale[r];
		double e = error_with(s, y, x, d, base, want);

		if (e >= s->error[r] * (1 - gain))
			continue;
		l->q[r * l->k + i] = (int8_t)(l->q[r * l->k + i] + by);
		for (int64_t p = 0; p < s->n; p++)
			y[p] += d * x[p];
		s->error[r] = e;
		moved = true;
	}
	return moved;
}

static enum pare_status polish(struct state *s, struct pare_err *err)
{
	const struct pare_learning *l = s->l;
	size_t n = (size_t)s->n, rows = (size_t)l->rows;
	float *y = malloc((2 * rows + 2) * n * sizeof *y), *e = y + rows * n, *room = e + rows * n;
	double *curve = calloc((size_t)l->k, sizeof *curve);
	enum pare_status st = y && curve ? PARE_OK : pare_nomem(err, "a layer's rounding");
	bool moved = true;

	for (int i = 0; i < l->k && !st; i++)
		curve[i] = (double)cblas_sdot((int)n, s->x + (size_t)i * s->wide, 1,
				   s->x + (size_t)i * s->wide, 1) /
			   (double)n;
	if (!st)
		judge(s, l->q, y, e);
	for (int t = 0; t < SWEEPS && moved && !st; t++) {
		moved = false;
		pull_back(s, 0, s->n, e);
		for (int r = 0; r < l->rows && !st; r++) {
			moved |= polish_row(s, r, curve, y + (size_t)r * n, room);
			if (l->ctl && atomic_load(&l->ctl->cancel))
				st = pare_fail(err, PARE_E_CANCELED, "stopped");
		}
		weigh(s, 0, s->n, y, e);
		for (int r = 0; r < l->rows && l->shift; r++)
			s->shift[r] -= (float)s->mean[r];
		weigh(s, 0, s->n, y, e);
	}
	for (int r = 0; r < l->rows && l->shift && !st; r++)
		l->shift[r] = s->shift[r];
	free(y);
	free(curve);
	return st;
}

/* Room for what all of it needs; free s->w. */
static enum pare_status begin(const struct pare_learning *l, struct state *s, struct pare_err *err)
{
	size_t n = (size_t)l->rows * (size_t)l->k, rows = (size_t)l->rows;
	const struct pare_columns *c = l->columns;

	*s = (struct state){ .l = l, .n = c->n - c->aside, .all = c->n, .wide = (size_t)c->wide };
	s->batch = s->n < BATCH ? s->n : BATCH;
	s->x = c->x + (size_t)(l->row / c->o) * (size_t)c->k * s->wide;
	s->w = calloc(2 * n + rows, sizeof *s->w);
	s->error = calloc(3 * rows, sizeof *s->error);
	if (!s->w || !s->error)
		return pare_nomem(err, "a layer's rounding");
	s->g = s->w + n;
	s->shift = s->g + n;
	s->mean = s->error + rows;
	s->count = s->mean + rows;
	if (l->shift)
		memcpy(s->shift, l->shift, rows * sizeof *s->shift);
	return PARE_OK;
}

static void end(struct state *s)
{
	free(s->w);
	free(s->error);
}

/* ---- AdaRound ----------------------------------------------------------------------------------
 */

struct soft {
	float *base, *v, *h; /* [rows][k]: rounded down, the variable, its share of a step */
	float *m1, *m2;      /* [rows][k] Adam's */
	float *e;            /* [rows][n] */
	double *weight;      /* [rows] one over the error at the start */
};

/* Between the two integers around the best weight of which one is where it starts; half way from
 * there. */
static void start(const struct state *s, const struct soft *f)
{
	const struct pare_learning *l = s->l;

	for (int i = 0; i < l->rows * l->k; i++) {
		float at = (float)(l->w[i] / (double)l->scale[i / l->k]), q = l->q[i];

		f->base[i] = clamp(at < q ? q - 1 : q, (float)l->lo, (float)l->hi - 1);
		at = clamp(at - f->base[i], 0, 1) / 2 + (q - f->base[i]) / 2;
		at = (at + below) / stretch;
		f->v[i] = logf(at / (1 - at));
	}
}

/* Soft weights; h of what is pruned is such that they are 0. */
static void soften(const struct state *s, const struct soft *f)
{
	const struct pare_learning *l = s->l;

	for (int i = 0; i < l->rows * l->k; i++) {
		if (l->zero && l->zero[i])
			f->h[i] = -f->base[i];
		else
			f->h[i] = clamp(stretch / (1 + expf(-f->v[i])) - below, 0, 1);
		s->w[i] = (f->base[i] + f->h[i]) * l->scale[i / l->k];
	}
}

/* Slope of 1 - |2h - 1|^β. */
static float slope(float h, float beta)
{
	float d = 2 * h - 1, a = fabsf(d);

	if (a < 0.25f && beta > 6) /* nothing */
		return 0;
	return -2 * beta * copysignf(powf(a, beta - 1), d);
}

static void adam(const struct state *s, const struct soft *f, int step, float beta, float by)
{
	const struct pare_learning *l = s->l;
	float one = 1 - powf(0.9f, (float)step + 1), two = 1 - powf(0.999f, (float)step + 1);

	for (int i = 0; i < l->rows * l->k; i++) {
		float h = f->h[i], sig = (h + below) / stretch, g;
		float weight = 2 * (float)f->weight[i / l->k] / (float)s->batch;

		if (!(h > 0 && h < 1))
			continue;
		g = weight * s->g[i] * l->scale[i / l->k] + by * slope(h, beta);
		g *= stretch * sig * (1 - sig);
		f->m1[i] = 0.9f * f->m1[i] + 0.1f * g;
		f->m2[i] = 0.999f * f->m2[i] + 0.001f * g * g;
		f->v[i] -= rate * (f->m1[i] / one) / (sqrtf(f->m2[i] / two) + 1e-12f);
	}
}

static enum pare_status learn(const struct state *s, const struct soft *f, struct pare_err *err)
{
	const struct pare_learning *l = s->l;
	struct pare_rng rng = pare_rng_seed(1, (uint64_t)l->row);
	uint64_t places = (uint64_t)((s->n - s->batch) / l->columns->lanes) + 1;

	start(s, f);
	for (int t = 0; t < ITERATIONS; t++) {
		int64_t from = (int64_t)pare_rng_below(&rng, places) * l->columns->lanes;
		float left = (float)(ITERATIONS - t) / (ITERATIONS - WARM);

		if (l->ctl && atomic_load(&l->ctl->cancel))
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		soften(s, f);
		product(s, from, s->batch, f->e);
		weigh(s, from, s->batch, f->e, f->e);
		for (int r = 0; r < l->rows && l->shift; r++)
			s->shift[r] -= shift_rate * (float)s->mean[r];
		pull_back(s, from, s->batch, f->e);
		adam(s, f, t, blunt + (sharp - blunt) * left, t < WARM ? 0 : pull / (float)l->k);
	}
	return PARE_OK;
}

/* Rows that came out better; q: room [rows][k], y: [rows][n], was: their errors. */
static void
take(const struct state *s, const struct soft *f, const double *was, int8_t *q, float *y)
{
	const struct pare_learning *l = s->l;

	soften(s, f);
	for (int i = 0; i < l->rows * l->k; i++) {
		float to = f->base[i] + (f->h[i] >= 0.5f ? 1 : 0);

		q[i] = (int8_t)(l->zero && l->zero[i] ? 0 : to);
	}
	judge(s, q, y, f->e);
	for (int r = 0; r < l->rows; r++) {
		if (!(s->error[r] < was[r]))
			continue;
		memcpy(l->q + r * l->k, q + r * l->k, (size_t)l->k);
		if (l->shift)
			l->shift[r] = s->shift[r];
	}
}

/* Back to where rows started that came out no better on what was kept aside; q0, shift0: there. */
static void keep_proven(const struct state *s, const int8_t *q0, const float *shift0, float *y,
	double *before, double *after)
{
	const struct pare_learning *l = s->l;
	size_t k = (size_t)l->k;

	prove(s, q0, l->shift ? shift0 : NULL, y, before);
	prove(s, l->q, l->shift, y, after);
	for (int r = 0; r < l->rows; r++) {
		if (after[r] < before[r])
			continue;
		memcpy(l->q + (size_t)r * k, q0 + (size_t)r * k, k);
		if (l->shift)
			l->shift[r] = shift0[r];
	}
}

enum pare_status pare_adaround(const struct pare_learning *l, struct pare_err *err)
{
	size_t n = (size_t)l->rows * (size_t)l->k, rows = (size_t)l->rows;
	struct state s;
	struct soft f = { .base = calloc(5 * n + rows, sizeof(float)) };
	float *shift = NULL;
	int8_t *q = malloc(2 * n);
	float *y = malloc(2 * rows * (size_t)l->columns->n * sizeof *y);
	double *was = calloc(2 * rows, sizeof *was);
	enum pare_status st = begin(l, &s, err);

	if (!st && (!f.base || !q || !y || !was))
		st = pare_nomem(err, "a layer's rounding");
	if (!st) {
		shift = f.base + 5 * n;
		f.v = f.base + n;
		f.h = f.v + n;
		f.m1 = f.h + n;
		f.m2 = f.m1 + n;
		f.e = y + rows * (size_t)s.all;
		f.weight = was + rows;
		judge(&s, l->q, y, f.e);
		memcpy(was, s.error, rows * sizeof *was);
		memcpy(shift, s.shift, rows * sizeof *shift);
		memcpy(q + n, l->q, n);
		for (size_t r = 0; r < rows; r++)
			f.weight[r] = was[r] > 1e-30 ? 1 / was[r] : 0;
		if (l->shift)
			memcpy(l->shift, s.shift, rows * sizeof *s.shift);
		st = learn(&s, &f, err);
	}
	if (!st) {
		take(&s, &f, was, q, y);
		if (l->shift)
			memcpy(s.shift, l->shift, rows * sizeof *s.shift);
		st = polish(&s, err);
	}
	if (!st)
		keep_proven(&s, q + n, shift, y, was, was + rows);
	end(&s);
	free(f.base);
	free(q);
	free(y);
	free(was);
	return st;
}
