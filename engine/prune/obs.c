#include "../base/err.h"
#include "obs_path.h"
#include "solve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
	const int *lda, double *b, const int *ldb, int *info);

/* Multiplications of all strips of a layer; above it they are not taken one by one. */
static const double dear = 4e11;

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

/* ---- what stays -------------------------------------------------------------------------------
 */

static enum pare_status refit_row(void *ctx, int row, int worker, struct pare_err *err)
{
	const struct pare_obs *o = ((struct pare_obs_path *)ctx)->o;
	int k = o->lay->columns, n = 0, one = 1, info = 0, *at = malloc((size_t)k * sizeof *at);
	const bool *zero = o->zero + (size_t)row * (size_t)k;
	const double *h = o->gram[pare_obs_group(o, row)].h, *c = o->c + (size_t)row * (size_t)k;
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
		st = pare_parallel((int)strips, pare_obc_strip, p, ctl, quiet, err);
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
		pare_obs_sweep_costs(p, cost);
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
			pare_obs_mark(p->o, s, p->order[s * l->sites + i]);
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
	return once(p->o) ? pare_obs_sweep(p, sparsity, err) : site_by_site(p, sparsity, err);
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
