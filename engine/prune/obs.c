#include "obs.h"
#include "../base/err.h"
#include "solve.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
	const int *lda, double *b, const int *ldb, int *info);

enum { WIDEST = 8, TALLEST = 8, STRETCH = 128 };
/* Multiplications of all strips of a layer; above it they are not taken one by one. */
static const double dear = 4e11;

/* ---- one strip, site after site ---------------------------------------------------------------
 */

/* The columns that are left, and some that went since they were last gathered. */
struct strip {
	const struct pare_lay *lay;
	int n, left;   /* columns at hand; of which not gone */
	int stride;    /* of a */
	double *a;     /* [n][n], lower half: Hinv of what is left */
	double *w;     /* [tall][n] */
	double *t;     /* [wide][n] */
	int *column;   /* [n] which it is */
	int *at;       /* [columns] where it is; -1 = gone */
	int *set_left; /* [sets] how many may still go; NULL = any */
};

static double inverse_at(const struct strip *s, int i, int j)
{
	return i > j ? s->a[(size_t)i * s->stride + j] : s->a[(size_t)j * s->stride + i];
}

/* Cholesky factor of Hinv_BB, [wide][wide] */
static void factor_site(const struct strip *s, const int *at, double l[WIDEST][WIDEST])
{
	for (int i = 0; i < s->lay->pattern->wide; i++)
		for (int j = 0; j <= i; j++) {
			double sum = inverse_at(s, at[i], at[j]);

			for (int m = 0; m < j; m++)
				sum -= l[i][m] * l[j][m];
			l[i][j] = i == j ? sqrt(sum > 1e-300 ? sum : 1e-300) : sum / l[j][j];
		}
}

/* y = L^-1 w_B of row r; returns |y|² */
static double
solve_site(const struct strip *s, const int *at, double l[WIDEST][WIDEST], int r, double *y)
{
	double sum = 0;

	for (int i = 0; i < s->lay->pattern->wide; i++) {
		double v = s->w[(size_t)r * s->stride + at[i]];

		for (int j = 0; j < i; j++)
			v -= l[i][j] * y[j];
		y[i] = v / l[i][i];
		sum += y[i] * y[i];
	}
	return sum;
}

static void places_of(const struct strip *s, int site, int *at)
{
	for (int j = 0; j < s->lay->pattern->wide; j++)
		at[j] = s->at[pare_lay_column(s->lay, site, j)];
}

static double site_cost(const struct strip *s, const int *at)
{
	double l[WIDEST][WIDEST], y[WIDEST], sum = 0;

	if (s->lay->pattern->wide == 1) {
		for (int r = 0; r < s->lay->pattern->tall; r++) {
			double v = s->w[(size_t)r * s->stride + at[0]];

			sum += v * v;
		}
		return sum / fmax(inverse_at(s, at[0], at[0]), 1e-300);
	}
	factor_site(s, at, l);
	for (int r = 0; r < s->lay->pattern->tall; r++)
		sum += solve_site(s, at, l, r, y);
	return sum;
}

static void drop_site(struct strip *s, const int *at)
{
	int wide = s->lay->pattern->wide;
	double l[WIDEST][WIDEST], y[WIDEST];

	factor_site(s, at, l);
	for (int i = 0; i < wide; i++) { /* t = L^-1 Hinv_B: */
		double *t = s->t + (size_t)i * s->stride;

		for (int j = 0; j < s->n; j++)
			t[j] = inverse_at(s, at[i], j);
		for (int j = 0; j < i; j++)
			cblas_daxpy(s->n, -l[i][j], s->t + (size_t)j * s->stride, 1, t, 1);
		cblas_dscal(s->n, 1 / l[i][i], t, 1);
	}
	for (int r = 0; r < s->lay->pattern->tall; r++) {
		solve_site(s, at, l, r, y);
		for (int i = 0; i < wide; i++)
			cblas_daxpy(s->n, -y[i], s->t + (size_t)i * s->stride, 1,
				s->w + (size_t)r * s->stride, 1);
	}
	for (int i = 0; i < wide; i++)
		cblas_dsyr(CblasRowMajor, CblasLower, s->n, -1, s->t + (size_t)i * s->stride, 1,
			s->a, s->stride);
	for (int i = 0; i < wide; i++)
		s->at[s->column[at[i]]] = -1;
	s->left -= wide;
}

/* What is left moves together. */
static void gather(struct strip *s)
{
	int n = 0;

	for (int i = 0; i < s->n; i++) {
		int m = 0;

		if (s->at[s->column[i]] < 0)
			continue;
		for (int j = 0; j <= i; j++)
			if (s->at[s->column[j]] >= 0)
				s->a[(size_t)n * s->stride + m++] = s->a[(size_t)i * s->stride + j];
		for (int r = 0; r < s->lay->pattern->tall; r++)
			s->w[(size_t)r * s->stride + n] = s->w[(size_t)r * s->stride + i];
		n++;
	}
	n = 0;
	for (int i = 0; i < s->n; i++)
		if (s->at[s->column[i]] >= 0) {
			s->column[n] = s->column[i];
			s->at[s->column[n]] = n;
			n++;
		}
	s->n = n;
}

/* All sites in the order in which they go, and what each costs; with sets, those that go.  Returns
 * how many. */
static int walk_strip(struct strip *s, int *order, double *cost)
{
	int n = 0;

	while (s->left > 0) {
		int best = -1, best_at[WIDEST];
		double least = INFINITY;

		for (int i = 0; i < s->lay->sites; i++) {
			int at[WIDEST] = { 0 };
			double c;

			places_of(s, i, at);
			if (at[0] < 0 || (s->set_left && !s->set_left[pare_lay_set(s->lay, i)]))
				continue;
			if ((c = site_cost(s, at)) < least) {
				least = c;
				best = i;
				memcpy(best_at, at, sizeof at);
			}
		}
		if (best < 0)
			break;
		order[n] = best;
		cost[n++] = least;
		if (s->set_left)
			s->set_left[pare_lay_set(s->lay, best)]--;
		drop_site(s, best_at);
		if (s->left * 8 <= s->n * 7)
			gather(s);
	}
	return n;
}

/* ---- all strips --------------------------------------------------------------------------------
 */

struct pruning {
	const struct pare_obs *o;
	struct pare_ctl *ctl;
	double **inverse; /* [groups] of Hinv */
	int *order;       /* [strips][sites] */
	double *cost;     /* [strips][sites] */
	int *n;           /* [strips] how many were ordered, then how many go */
};

static int group_of(const struct pare_obs *o, int64_t row)
{
	return (int)(row / o->rows);
}

static enum pare_status trace_strip(void *ctx, int strip, int worker, struct pare_err *err)
{
	struct pruning *p = ctx;
	const struct pare_lay *l = p->o->lay;
	size_t k = (size_t)l->columns, tall = (size_t)l->pattern->tall;
	size_t wide = (size_t)l->pattern->wide, row = (size_t)strip * tall;
	double *room = malloc(k * (k + tall + wide) * sizeof *room);
	int *places = malloc(3 * k * sizeof *places);
	struct strip s = { .lay = l, .n = (int)k, .left = (int)k, .stride = (int)k, .a = room };

	(void)worker;
	if (!room || !places) {
		free(room);
		free(places);
		return pare_nomem(err, "a row's second moments");
	}
	s.w = s.a + k * k;
	s.t = s.w + k * tall;
	s.column = places;
	s.at = places + k;
	memcpy(s.a, p->inverse[group_of(p->o, (int64_t)row)], k * k * sizeof *s.a);
	memcpy(s.w, p->o->w + row * k, tall * k * sizeof *s.w);
	for (int i = 0; i < (int)k; i++)
		s.column[i] = s.at[i] = i;
	if (l->pattern->of) {
		s.set_left = places + 2 * k;
		for (int i = 0; i < l->sites / l->pattern->of; i++)
			s.set_left[i] = l->pattern->of - l->pattern->keep;
	}
	p->n[strip] = walk_strip(&s, p->order + (size_t)strip * (size_t)l->sites,
		p->cost + (size_t)strip * (size_t)l->sites);
	free(room);
	free(places);
	return PARE_OK;
}

static enum pare_status invert_group(void *ctx, int g, int worker, struct pare_err *err)
{
	struct pruning *p = ctx;
	const struct pare_gram *gram = &p->o->gram[g];
	size_t k = (size_t)gram->k;

	(void)worker;
	if (!(p->inverse[g] = malloc(k * k * sizeof(double))))
		return pare_nomem(err, "the inverse of a layer's second moments");
	return pare_invert(p->inverse[g], gram->h, gram->k, 0)
		       ? PARE_OK
		       : pare_fail(err, PARE_E_ARG, "the products of its inputs have no inverse");
}

/* Where in the heap of strips the least next cost is on top; among equals the first strip. */
static bool before(const struct pruning *p, const int *at, int a, int b)
{
	size_t sites = (size_t)p->o->lay->sites;
	double x = p->cost[(size_t)a * sites + (size_t)at[a]];
	double y = p->cost[(size_t)b * sites + (size_t)at[b]];

	return x < y || (x == y && a < b);
}

static void sift(const struct pruning *p, const int *at, int *heap, int n, int i)
{
	for (;;) {
		int c = 2 * i + 1, t = heap[i];

		if (c >= n)
			return;
		if (c + 1 < n && before(p, at, heap[c + 1], heap[c]))
			c++;
		if (!before(p, at, heap[c], t))
			return;
		heap[i] = heap[c];
		heap[c] = t;
		i = c;
	}
}

/* The `gone` cheapest next steps over all strips; n[] becomes how many are of each.  path: what
 * each costs; may be NULL. */
static enum pare_status merge(struct pruning *p, int64_t gone, double *path, struct pare_err *err)
{
	int strips = (int)p->o->lay->strips, n = strips, *at = calloc(2 * (size_t)n, sizeof *at);
	int *heap = at + n;
	size_t sites = (size_t)p->o->lay->sites;

	if (!at)
		return pare_nomem(err, "the order of a layer's weights");
	for (int i = 0; i < n; i++)
		heap[i] = i;
	for (int i = n / 2 - 1; i >= 0; i--)
		sift(p, at, heap, n, i);
	for (int64_t i = 0; i < gone && n > 0; i++) {
		int top = heap[0];

		if (path)
			path[i] = p->cost[(size_t)top * sites + (size_t)at[top]];
		if (++at[top] == p->n[top])
			heap[0] = heap[--n];
		sift(p, at, heap, n, 0);
	}
	memcpy(p->n, at, (size_t)strips * sizeof *at);
	free(at);
	return PARE_OK;
}

static void mark(const struct pare_obs *o, int64_t strip, int site)
{
	const struct pare_lay *l = o->lay;

	for (int r = 0; r < l->pattern->tall; r++)
		for (int j = 0; j < l->pattern->wide; j++)
			o->zero[(strip * l->pattern->tall + r) * l->columns +
				pare_lay_column(l, site, j)] = true;
}

static enum pare_status
pruning_new(struct pruning *p, const struct pare_obs *o, struct pare_ctl *ctl, struct pare_err *err)
{
	size_t groups = (size_t)(o->lay->rows / o->rows), strips = (size_t)o->lay->strips;
	struct pare_progress_span quiet = { 0 };

	*p = (struct pruning){ .o = o,
		.ctl = ctl,
		.inverse = calloc(groups, sizeof *p->inverse),
		.order = malloc(strips * (size_t)o->lay->sites * sizeof *p->order),
		.cost = malloc(strips * (size_t)o->lay->sites * sizeof *p->cost),
		.n = calloc(strips, sizeof *p->n) };
	if (!p->inverse || !p->order || !p->cost || !p->n)
		return pare_nomem(err, "a layer's pruning");
	return pare_parallel((int)groups, invert_group, p, ctl, quiet, err);
}

static void pruning_free(struct pruning *p)
{
	for (int64_t g = 0; p->inverse && g < p->o->lay->rows / p->o->rows; g++)
		free(p->inverse[g]);
	free(p->inverse);
	free(p->order);
	free(p->cost);
	free(p->n);
}

/* ---- what stays -------------------------------------------------------------------------------
 */

struct refitting {
	const struct pare_obs *o;
};

static enum pare_status refit_row(void *ctx, int row, int worker, struct pare_err *err)
{
	const struct pare_obs *o = ((struct refitting *)ctx)->o;
	int k = o->lay->columns, n = 0, one = 1, info = 0, *at = malloc((size_t)k * sizeof *at);
	const bool *zero = o->zero + (size_t)row * (size_t)k;
	const double *h = o->gram[group_of(o, row)].h, *c = o->c + (size_t)row * (size_t)k;
	double *w = o->w + (size_t)row * (size_t)k, *a = NULL, *v;

	(void)worker;
	for (int i = 0; at && i < k; i++)
		if (!zero[i])
			at[n++] = i;
	if (!at || !(a = malloc((size_t)(n + 1) * (size_t)(n + 1) * sizeof *a))) {
		free(at);
		return pare_nomem(err, "the weights of a channel");
	}
	v = a + (size_t)n * (size_t)n;
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++)
			a[(size_t)i * n + j] = h[(size_t)at[i] * k + at[j]];
		v[i] = c[at[i]];
	}
	if (n)
		dpotrf_("L", &n, a, &n, &info);
	if (!info && n)
		dpotrs_("L", &n, &one, a, &n, v, &n, &info);
	memset(w, 0, (size_t)k * sizeof *w);
	for (int i = 0; i < n; i++)
		w[at[i]] = v[i];
	free(a);
	free(at);
	return !info ? PARE_OK
		     : pare_fail(err, PARE_E_ARG, "the products of its inputs have no factor");
}

enum pare_status
pare_obs_refit(const struct pare_obs *o, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	struct refitting r = { o };

	return pare_parallel((int)o->lay->rows, refit_row, &r, ctl, quiet, err);
}

/* ---- in one go --------------------------------------------------------------------------------
 */

static bool too_dear(const struct pare_lay *l)
{
	double k = l->columns;

	return (double)l->strips * k * k * k / 3 > dear;
}

enum pare_status
pare_obs_prune(const struct pare_obs *o, float sparsity, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	size_t sites = (size_t)o->lay->sites;
	struct pruning p;
	enum pare_status st;

	memset(o->zero, 0, (size_t)o->lay->rows * (size_t)o->lay->columns);
	if (pare_lay_gone(o->lay, sparsity) < 1)
		return PARE_OK;
	st = pruning_new(&p, o, ctl, err);
	if (!st)
		st = pare_parallel((int)o->lay->strips, trace_strip, &p, ctl, quiet, err);
	if (!st)
		st = merge(&p, pare_lay_gone(o->lay, sparsity), NULL, err);
	for (int64_t s = 0; s < o->lay->strips && !st; s++)
		for (int i = 0; i < p.n[s]; i++)
			mark(o, s, p.order[(size_t)s * sites + (size_t)i]);
	pruning_free(&p);
	return st ? st : pare_obs_refit(o, ctl, err);
}

enum pare_status
pare_obs_costs(const struct pare_obs *o, double *cost, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	struct pruning p;
	enum pare_status st;

	if (too_dear(o->lay))
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is too large to try what it loses");
	st = pruning_new(&p, o, ctl, err);
	if (!st)
		st = pare_parallel((int)o->lay->strips, trace_strip, &p, ctl, quiet, err);
	if (!st)
		st = merge(&p, o->lay->strips * o->lay->sites, cost, err);
	pruning_free(&p);
	return st;
}
