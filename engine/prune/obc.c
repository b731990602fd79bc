/* One strip of rows, site after site: Optimal Brain Compression. */
#include "../base/err.h"
#include "obs_path.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDEST = 8 };

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

enum pare_status pare_obc_strip(void *path, int strip, int worker, struct pare_err *err)
{
	struct pare_obs_path *p = path;
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
	memcpy(s.a, p->inverse[pare_obs_group(p->o, (int64_t)row)], k * k * sizeof *s.a);
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
