#include "obs.h"
#include "../base/err.h"
#include "prune.h"
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

struct pare_obs_path {
	const struct pare_obs *o;
	struct pare_ctl *ctl;
	double **inverse; /* [groups] of Hinv */
	int *order;       /* [strips][sites] */
	double *cost;     /* [strips][sites] */
	double *best;     /* [rows][columns] w without zeros */
	int *n;           /* [strips] how many were ordered, then how many go */
};

static int group_of(const struct pare_obs *o, int64_t row)
{
	return (int)(row / o->rows);
}

static enum pare_status trace_strip(void *ctx, int strip, int worker, struct pare_err *err)
{
	struct pare_obs_path *p = ctx;
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
	struct pare_obs_path *p = ctx;
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
static bool before(const struct pare_obs_path *p, const int *at, int a, int b)
{
	size_t sites = (size_t)p->o->lay->sites;
	double x = p->cost[(size_t)a * sites + (size_t)at[a]];
	double y = p->cost[(size_t)b * sites + (size_t)at[b]];

	return x < y || (x == y && a < b);
}

static void sift(const struct pare_obs_path *p, const int *at, int *heap, int n, int i)
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

/* The `gone` cheapest next steps over all strips: at[] becomes how many are of each, path what each
 * costs (may be NULL). */
static enum pare_status
merge(const struct pare_obs_path *p, int64_t gone, double *path, int *at, struct pare_err *err)
{
	int n = (int)p->o->lay->strips, *heap = malloc((size_t)n * sizeof *heap);
	size_t sites = (size_t)p->o->lay->sites;

	if (!heap)
		return pare_nomem(err, "the order of a layer's weights");
	memset(at, 0, (size_t)n * sizeof *at);
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
	free(heap);
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

/* ---- what stays -------------------------------------------------------------------------------
 */

static enum pare_status refit_row(void *ctx, int row, int worker, struct pare_err *err)
{
	const struct pare_obs *o = ((struct pare_obs_path *)ctx)->o;
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

/* ---- once over all columns --------------------------------------------------------------------
 */

struct sweep {
	struct pare_obs_path *p;
	int *site;             /* [sites] in the order in which they are looked at, sets together */
	int *column;           /* [columns] theirs */
	double **u;            /* [groups] [columns][columns], upper: Hinv = u'u in that order */
	double *w;             /* [rows][columns] in that order */
	int from, n;           /* sites at hand */
	float *score, *sorted; /* [strips][n] */
	bool *goes;            /* [strips][n] */
};

static void order_columns(const struct pare_lay *l, struct sweep *s)
{
	int of = l->pattern->of ? l->pattern->of : 1, n = 0;

	for (int i = 0; i < l->sites; i++)
		for (int j = 0; j < of && i / l->inner % (l->channels / l->pattern->wide) % of == 0;
			j++)
			s->site[n++] = i + j * l->inner;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < l->pattern->wide; j++)
			s->column[i * l->pattern->wide + j] = pare_lay_column(l, s->site[i], j);
}

/* The factor of a group's Hinv, and its rows in order. */
static enum pare_status start_group(void *ctx, int g, int worker, struct pare_err *err)
{
	struct sweep *s = ctx;
	const struct pare_obs *o = s->p->o;
	int k = o->lay->columns, info;
	double *u = s->u[g] = malloc((size_t)k * (size_t)k * sizeof *u);

	(void)worker;
	if (!u)
		return pare_nomem(err, "the factor of a layer's second moments");
	for (size_t i = 0; i < (size_t)k; i++)
		for (int j = 0; j < k; j++)
			u[i * k + j] = s->p->inverse[g][(size_t)s->column[i] * k + s->column[j]];
	dpotrf_("L", &k, u, &k, &info); /* columns first: its lower is our upper */
	for (int64_t r = (int64_t)g * o->rows; r < (int64_t)(g + 1) * o->rows; r++)
		for (int j = 0; j < k; j++)
			s->w[r * k + j] = s->p->best[r * k + s->column[j]];
	return info ? pare_fail(err, PARE_E_ARG, "the products of its inputs have no factor")
		    : PARE_OK;
}

static void score_stretch(const struct sweep *s)
{
	const struct pare_lay *l = s->p->o->lay;
	int wide = l->pattern->wide, tall = l->pattern->tall;
	size_t k = (size_t)l->columns;

	for (int64_t strip = 0; strip < l->strips; strip++)
		for (int i = 0; i < s->n; i++) {
			double sum = 0;

			for (int j = 0; j < wide * tall; j++) {
				size_t row = (size_t)(strip * tall + j / wide);
				size_t at = (size_t)((s->from + i) * wide + j % wide);
				double v = s->w[row * k + at] /
					   s->u[group_of(s->p->o, (int64_t)row)][at * k + at];

				sum += v * v;
			}
			s->score[strip * s->n + i] = (float)sum;
		}
}

/* What goes of a row's columns at hand is made up for by those behind. */
static enum pare_status sweep_row(void *ctx, int row, int worker, struct pare_err *err)
{
	struct sweep *s = ctx;
	const struct pare_lay *l = s->p->o->lay;
	int k = l->columns, wide = l->pattern->wide;
	const bool *goes = s->goes + (size_t)(row / l->pattern->tall) * (size_t)s->n;
	const double *u = s->u[group_of(s->p->o, row)];
	double *w = s->w + (size_t)row * (size_t)k;

	(void)worker;
	(void)err;
	for (int i = 0; i < s->n * wide; i++) {
		int at = s->from * wide + i;
		const double *from = u + (size_t)at * (size_t)k + at;

		if (!goes[i / wide])
			continue;
		cblas_daxpy(k - at, -w[at] / *from, from, 1, w + at, 1);
		w[at] = 0;
	}
	return PARE_OK;
}

static enum pare_status sweep_stretch(struct sweep *s, int64_t gone, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	const struct pare_lay *l = s->p->o->lay;
	int of = l->pattern->of;
	int64_t n = l->strips * s->n;

	score_stretch(s);
	memset(s->goes, 0, (size_t)n);
	if (!of)
		pare_take_least(s->score, n, gone, s->sorted, s->goes);
	for (int64_t i = 0; of && i < n; i += of)
		pare_take_least(s->score + i, of, of - l->pattern->keep, s->sorted, s->goes + i);
	for (int64_t i = 0; i < n; i++)
		if (s->goes[i])
			mark(s->p->o, i / s->n, s->site[s->from + i % s->n]);
	return pare_parallel((int)l->rows, sweep_row, s, s->p->ctl, quiet, err);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Costs as they are at the start, least first: what comes later is dearer than that. */
static void list_costs(const struct pare_obs_path *p, double *cost)
{
	const struct pare_lay *l = p->o->lay;
	int k = l->columns, wide = l->pattern->wide;

	for (int64_t s = 0; s < l->strips; s++)
		for (int i = 0; i < l->sites; i++) {
			double sum = 0;

			for (int j = 0; j < wide * l->pattern->tall; j++) {
				int64_t row = s * l->pattern->tall + j / wide;
				int at = pare_lay_column(l, i, j % wide);
				double w = p->o->w[row * k + at];

				sum += w * w / p->inverse[group_of(p->o, row)][(size_t)at * k + at];
			}
			cost[s * l->sites + i] = sum;
		}
	qsort(cost, (size_t)(l->strips * l->sites), sizeof *cost, by_size);
}

static enum pare_status in_one_sweep(struct pare_obs_path *p, float sparsity, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	const struct pare_lay *l = p->o->lay;
	size_t k = (size_t)l->columns, rows = (size_t)l->rows;
	size_t groups = rows / (size_t)p->o->rows, stretch = (size_t)l->strips * STRETCH;
	int64_t gone = pare_lay_gone(l, sparsity), all = l->strips * l->sites;
	struct sweep s = { .p = p,
		.site = malloc(2 * k * sizeof *s.site),
		.u = calloc(groups, sizeof *s.u),
		.w = malloc(rows * k * sizeof *s.w),
		.score = malloc(2 * stretch * sizeof *s.score),
		.goes = malloc(stretch) };
	enum pare_status st = PARE_OK;

	if (!s.site || !s.u || !s.w || !s.score || !s.goes)
		st = pare_nomem(err, "a layer's pruning");
	if (!st) {
		s.column = s.site + k;
		s.sorted = s.score + stretch;
		order_columns(l, &s);
		st = pare_parallel((int)groups, start_group, &s, p->ctl, quiet, err);
	}
	for (int from = 0; from < l->sites && !st; from += STRETCH) {
		int to = from + STRETCH < l->sites ? from + STRETCH : l->sites;

		s.from = from;
		s.n = to - from;
		/* as many of each stretch, to the site */
		st = sweep_stretch(
			&s, gone * to * l->strips / all - gone * from * l->strips / all, err);
	}
	for (size_t i = 0; i < rows * k && !st; i++)
		p->o->w[i / k * k + (size_t)s.column[i % k]] = s.w[i];
	for (size_t g = 0; g < groups && s.u; g++)
		free(s.u[g]);
	free(s.site);
	free(s.u);
	free(s.w);
	free(s.score);
	free(s.goes);
	return st;
}

/* ---- the choice -------------------------------------------------------------------------------
 */

static bool once(const struct pare_obs *o)
{
	double k = o->lay->columns;

	return o->once || (double)o->lay->strips * k * k * k / 3 > dear;
}

enum pare_status pare_obs_path_new(const struct pare_obs *o, struct pare_ctl *ctl,
	struct pare_obs_path **out, struct pare_err *err)
{
	size_t groups = (size_t)(o->lay->rows / o->rows), strips = (size_t)o->lay->strips;
	size_t sites = strips * (size_t)o->lay->sites;
	size_t weights = (size_t)o->lay->rows * (size_t)o->lay->columns;
	struct pare_progress_span quiet = { 0 };
	struct pare_obs_path *p = calloc(1, sizeof *p);
	enum pare_status st;

	if (!p)
		return pare_nomem(err, "a layer's pruning");
	*p = (struct pare_obs_path){ .o = o,
		.ctl = ctl,
		.inverse = calloc(groups, sizeof *p->inverse),
		.order = malloc(sites * sizeof *p->order),
		.cost = malloc(sites * sizeof *p->cost),
		.best = malloc(weights * sizeof *p->best),
		.n = calloc(strips, sizeof *p->n) };
	if (p->inverse && p->order && p->cost && p->best && p->n) {
		memcpy(p->best, o->w, weights * sizeof *p->best);
		st = pare_parallel((int)groups, invert_group, p, ctl, quiet, err);
	} else
		st = pare_nomem(err, "a layer's pruning");
	if (!st && !once(o))
		st = pare_parallel((int)strips, trace_strip, p, ctl, quiet, err);
	if (st)
		pare_obs_path_free(p);
	else
		*out = p;
	return st;
}

void pare_obs_path_free(struct pare_obs_path *p)
{
	if (!p)
		return;
	for (int64_t g = 0; p->inverse && g < p->o->lay->rows / p->o->rows; g++)
		free(p->inverse[g]);
	free(p->inverse);
	free(p->order);
	free(p->cost);
	free(p->best);
	free(p->n);
	free(p);
}

enum pare_status
pare_obs_path_costs(const struct pare_obs_path *p, double *cost, struct pare_err *err)
{
	const struct pare_lay *l = p->o->lay;
	int *take;
	enum pare_status st;

	if (once(p->o)) {
		list_costs(p, cost);
		return PARE_OK;
	}
	if (!(take = malloc((size_t)l->strips * sizeof *take)))
		return pare_nomem(err, "a layer's pruning");
	st = merge(p, l->strips * l->sites, cost, take, err);
	free(take);
	return st;
}

static enum pare_status site_by_site(struct pare_obs_path *p, float sparsity, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	const struct pare_lay *l = p->o->lay;
	int *take = malloc((size_t)l->strips * sizeof *take);
	enum pare_status st = take ? PARE_OK : pare_nomem(err, "a layer's pruning");

	if (!st)
		st = merge(p, pare_lay_gone(l, sparsity), NULL, take, err);
	for (int64_t s = 0; s < l->strips && !st; s++)
		for (int i = 0; i < take[s]; i++)
			mark(p->o, s, p->order[s * l->sites + i]);
	free(take);
	return st ? st : pare_parallel((int)l->rows, refit_row, p, p->ctl, quiet, err);
}

enum pare_status pare_obs_path_take(struct pare_obs_path *p, float sparsity, struct pare_err *err)
{
	size_t weights = (size_t)p->o->lay->rows * (size_t)p->o->lay->columns;

	memset(p->o->zero, 0, weights);
	if (pare_lay_gone(p->o->lay, sparsity) < 1) {
		memcpy(p->o->w, p->best, weights * sizeof *p->best);
		return PARE_OK;
	}
	return once(p->o) ? in_one_sweep(p, sparsity, err) : site_by_site(p, sparsity, err);
}

enum pare_status
pare_obs_prune(const struct pare_obs *o, float sparsity, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_obs_path *p = NULL;
	enum pare_status st = pare_obs_path_new(o, ctl, &p, err);

	if (!st)
		st = pare_obs_path_take(p, sparsity, err);
	pare_obs_path_free(p);
	return st;
}
