/* Once over all columns, a stretch of sites at a time: SparseGPT. */
#include "../base/err.h"
#include "obs_path.h"
#include "prune.h"
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum { STRETCH = 128 };
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

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
					   s->u[pare_obs_group(s->p->o, (int64_t)row)][at * k + at];

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
	const double *u = s->u[pare_obs_group(s->p->o, row)];
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
			pare_obs_mark(s->p->o, i / s->n, s->site[s->from + i % s->n]);
	return pare_parallel((int)l->rows, sweep_row, s, s->p->ctl, quiet, err);
}

enum pare_status pare_obs_sweep(struct pare_obs_path *p, float sparsity, struct pare_err *err)
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

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void pare_obs_sweep_costs(const struct pare_obs_path *p, double *cost)
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

				sum += w * w /
				       p->inverse[pare_obs_group(p->o, row)][(size_t)at * k + at];
			}
			cost[s * l->sites + i] = sum;
		}
	qsort(cost, (size_t)(l->strips * l->sites), sizeof *cost, by_size);
}
