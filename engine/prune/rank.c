#include "rank.h"
#include "../base/err.h"
#include "../quantize/follow.h"
#include "reader.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct pare_factoring pare_factorings[] = {
	{ "best", "spatial where the kernel has two edges, else channel", true, true },
	{ "channel", "the whole kernel to fewer channels, then 1×1", false, true },
	{ "spatial", "a column of the kernel to fewer channels, then a row of it", true, false },
	{ 0 },
};
const struct pare_rank_criterion pare_rank_criteria[] = {
	{ "whitened", "what the layer's output loses on calibration samples, and making up for what was lost before", true },
	{ "plain", "what the weights lose; looks at no samples", false },
	{ 0 },
};
/* clang-format on */

/* ---- how wide ----------------------------------------------------------------------------------
 */

int pare_layer_rank(
	const struct pare_model *m, int layer, const struct pare_dials *d, char why[PARE_WHY])
{
	struct pare_err err = { 0 };
	bool space;
	int64_t rank = pare_rank_of(m, layer, d, &space);

	if (why && !rank) {
		const struct pare_factoring *way = &pare_factorings[d->factoring];
		struct pare_factors f = { .space = !way->channels, .rank = 1 };

		if (!pare_layer_factors(m, layer, NULL, &f, &err))
			snprintf(err.text, sizeof err.text,
				"two parts would be no fewer multiply-accumulates than it has");
		snprintf(why, PARE_WHY, "%.*s", PARE_WHY - 1, err.text);
	}
	return (int)rank;
}

double pare_rank_macs(const struct pare_model *m, int layer, bool space)
{
	const struct pare_layer *l = &m->layers[layer];
	struct pare_factors f = { .space = space, .rank = 1 };

	if (l->macs <= 0 || pare_layer_factors(m, layer, NULL, &f, NULL))
		return 0;
	return (double)pare_shape_elems(&f.weight[0]) * (double)f.places +
	       (double)pare_shape_elems(&f.weight[1]) * (double)(l->macs / l->weights);
}

int64_t pare_rank_of(const struct pare_model *m, int i, const struct pare_dials *d, bool *space)
{
	const struct pare_factoring *way = &pare_factorings[d->factoring];
	double whole = (double)m->layers[i].macs, one = 0, n;

	*space = false;
	if (!(d->rank > 0))
		return 0;
	*space = way->space && pare_rank_macs(m, i, true) > 0;
	if (*space || way->channels)
		one = pare_rank_macs(m, i, *space);
	if (!(one > 0) || one >= whole)
		return 0;
	n = floor((1 - (double)d->rank) * whole / one * (1 + 1e-9));
	return n < 1 ? 1 : n * one < whole ? (int64_t)n : 0;
}

bool pare_plan_factors(const struct pare_model *m, const struct pare_plan *p)
{
	bool space;

	for (int i = 0; i < p->n; i++)
		if (pare_rank_of(m, i, &p->dials[i], &space))
			return true;
	return false;
}

/* ---- one layer ---------------------------------------------------------------------------------
 */

extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
	double *w, double *work, const int *lwork, int *iwork, const int *liwork, int *info);

/* Eigenvalues of a [n][n], symmetric, to w, the least first; its rows become their vectors. */
static bool eigen(double *a, double *w, int n)
{
	double size = 0;
	int ints = 0, ask = -1, info, len;
	double *work;
	int *iwork;

	dsyevd_("V", "L", &n, a, &n, w, &size, &ask, &ints, &ask, &info);
	len = (int)size;
	work = malloc(((size_t)len + 1) * sizeof *work);
	iwork = malloc(((size_t)ints + 1) * sizeof *iwork);
	if (work && iwork)
		dsyevd_("V", "L", &n, a, &n, w, work, &len, iwork, &ints, &info);
	else
		info = 1;
	free(work);
	free(iwork);
	return !info;
}

/* A layer's weights as a product: o outputs, each a sum over k = p * edge, `edge` the places of the
 * kernel that the second part goes along (1 across channels). */
struct low {
	int o, k, edge, rank;
	const double *h, *c, *w; /* [k][k], [o][k] t x', [o][k] */
	double *first;           /* [rank][p] */
	double *second;          /* [o][rank * edge] */
	double *wide;            /* [rank * edge][k]: the first part at every place of the edge */
};

static int edge_of(const struct pare_layer *l, bool space)
{
	return space ? (int)l->weight.d[l->weight.n - 1] : 1;
}

static double *room_for(size_t a, size_t b)
{
	return a && b > SIZE_MAX / sizeof(double) / a ? NULL : malloc((a * b + 1) * sizeof(double));
}

/* H between the kernel's columns, whatever their place. */
static void mean_products(const struct low *x, double *g)
{
	size_t k = (size_t)x->k, edge = (size_t)x->edge, p = k / edge;

	for (size_t i = 0; i < p; i++)
		for (size_t j = 0; j < p; j++) {
			double sum = 0;

			for (size_t b = 0; b < edge; b++)
				sum += x->h[(i * edge + b) * k + j * edge + b];
			g[i * p + j] = sum / (double)edge;
		}
}

/* W turned so that the second part's edge goes with the outputs, t [p][q]; then the eigenvectors of
 * t' H t as rows of v [q][q] and their values, the least first. */
static enum pare_status
find_vectors(const struct low *x, double *t, double *v, double *value, struct pare_err *err)
{
	int p = x->k / x->edge, q = x->o * x->edge;
	double *g = room_for((size_t)p, (size_t)p), *gt = room_for((size_t)p, (size_t)q);
	enum pare_status st = g && gt ? PARE_OK : pare_nomem(err, "a product");

	if (!st) {
		mean_products(x, g);
		for (int i = 0; i < p; i++)
			for (int j = 0; j < q; j++)
				t[(size_t)i * (size_t)q + (size_t)j] = x->w[(
					size_t)(j / x->edge * x->k + i * x->edge + j % x->edge)];
		cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p, q, p, 1, g, p, t, q, 0,
			gt, q);
		cblas_dgemm(
			CblasRowMajor, CblasTrans, CblasNoTrans, q, q, p, 1, t, q, gt, q, 0, v, q);
		if (!eigen(v, value, q))
			st = pare_fail(err, PARE_E_ARG,
				"its inputs are not finite, or there is no memory");
	}
	free(g);
	free(gt);
	return st;
}

/* What is kept, and a second part to begin with. */
static enum pare_status find_first(struct low *x, struct pare_err *err)
{
	int p = x->k / x->edge, q = x->o * x->edge;
	size_t edge = (size_t)x->edge, wide = (size_t)x->rank * edge;
	double *t = room_for((size_t)p, (size_t)q), *v = room_for((size_t)q, (size_t)q);
	double *value = room_for((size_t)q, 1);
	enum pare_status st =
		t && v && value ? find_vectors(x, t, v, value, err) : pare_nomem(err, "a product");

	for (int s = 0; s < x->rank && !st; s++) {
		double *vector = v + (size_t)(q - 1 - s) * (size_t)q;
		/* values between the parts are of one size, so that they can share a scale */
		double size = sqrt(fmax(value[q - 1 - s], 1e-12 * fabs(value[q - 1]) + 1e-300));

		cblas_dgemv(CblasRowMajor, CblasNoTrans, p, q, 1 / size, t, q, vector, 1, 0,
			x->first + (size_t)s * (size_t)p, 1);
		for (int j = 0; j < q; j++)
			x->second[(size_t)(j / x->edge) * wide + (size_t)s * edge +
				  (size_t)(j % x->edge)] = vector[j] * size;
	}
	free(t);
	free(v);
	free(value);
	return st;
}

/* The second part that gives the outputs best from what the first gives. */
static enum pare_status find_second(struct low *x, double ridge, struct pare_err *err)
{
	int k = x->k, n = x->rank * x->edge, p = k / x->edge;
	double *z = room_for((size_t)n, (size_t)n), *c = room_for((size_t)x->o, (size_t)n);
	double *hv = room_for((size_t)n, (size_t)k);
	struct pare_solve solved = { 0 };
	enum pare_status st = z && c && hv ? PARE_OK : pare_nomem(err, "a product");

	memset(x->wide, 0, (size_t)n * (size_t)k * sizeof *x->wide);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < p; j++)
			x->wide[(size_t)i * (size_t)k + (size_t)(j * x->edge + i % x->edge)] =
				x->first[(size_t)(i / x->edge) * (size_t)p + (size_t)j];
	if (!st) {
		cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, k, k, 1, x->wide, k, x->h,
			k, 0, hv, k);
		cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, k, 1, hv, k, x->wide, k,
			0, z, n);
		cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, x->o, n, k, 1, x->c, k,
			x->wide, k, 0, c, n);
		st = pare_solve_new(z, c, x->second, n, x->o, ridge, &solved, err);
	}
	if (!st)
		memcpy(x->second, solved.w, (size_t)x->o * (size_t)n * sizeof *x->second);
	pare_solve_free(&solved);
	free(z);
	free(c);
	free(hv);
	return st;
}

/* ---- the network -------------------------------------------------------------------------------
 */

struct factoring {
	const struct pare_model *m;
	const struct pare_plan *p;
	const struct pare_calibration *calibration;
	struct pare_ctl *ctl;
	struct pare_factored *part; /* [n_parts] */
	int *part_of;               /* [n_layers]; -1 = it stays whole */
	int n_parts;
	struct pare_blob **weights, **bias; /* [n_layers] what both parts come to */
};

static float *laid_out(const struct pare_shape *s, int out_axis, const double *rows)
{
	struct pare_channels ch = pare_channels_of(s, out_axis);
	int64_t k = pare_shape_elems(s) / ch.channels;
	float *w = malloc((size_t)pare_shape_elems(s) * sizeof *w);

	for (int64_t o = 0; o < ch.channels && w; o++)
		for (int64_t i = 0; i < k; i++)
			w[pare_channel_at(&ch, o, i)] = (float)rows[o * k + i];
	return w;
}

/* Two parts, and the weights that they come to together. */
static enum pare_status
keep(struct factoring *f, int layer, const struct low *x, struct pare_err *err)
{
	const struct pare_layer *l = &f->m->layers[layer];
	struct pare_factored *part = &f->part[f->part_of[layer]];
	struct pare_factors sizes = { .space = part->space, .rank = part->rank };
	int n = x->rank * x->edge;
	double *both = room_for((size_t)x->o, (size_t)x->k);
	struct pare_blob *b = pare_blob_new((size_t)l->weights * sizeof(float));
	enum pare_status st = pare_layer_factors(f->m, layer, NULL, &sizes, err);

	if (!st && both && b) {
		struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);

		cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, x->o, x->k, n, 1, x->second,
			n, x->wide, x->k, 0, both, x->k);
		for (int64_t i = 0; i < l->weights; i++)
			((float *)b->data)[pare_channel_at(&ch, i / x->k, i % x->k)] =
				(float)both[i];
		part->w[0] = laid_out(&sizes.weight[0], l->out_axis, x->first);
		part->w[1] = laid_out(&sizes.weight[1], l->out_axis, x->second);
	}
	if (!st && (!both || !b || !part->w[0] || !part->w[1]))
		st = pare_nomem(err, "a layer in two");
	free(both);
	if (st) {
		pare_blob_free(b);
		return st;
	}
	f->weights[layer] = b;
	return PARE_OK;
}

/* By products h and c of means; `was`: the weights that give c best from h. */
static enum pare_status factor(struct factoring *f, int layer, const double *h, const double *c,
	const double *was, int k, double ridge, struct pare_err *err)
{
	const struct pare_layer *l = &f->m->layers[layer];
	const struct pare_factored *part = &f->part[f->part_of[layer]];
	struct low x = { (int)(l->weights / k), k, edge_of(l, part->space), (int)part->rank, h, c,
		was, NULL, NULL, NULL };
	size_t n = (size_t)x.rank * (size_t)x.edge;
	enum pare_status st = PARE_OK;

	x.first = room_for((size_t)x.rank, (size_t)(k / x.edge));
	x.second = room_for((size_t)x.o, n);
	x.wide = room_for(n, (size_t)k);
	if (!x.first || !x.second || !x.wide)
		st = pare_nomem(err, "a layer in two");
	if (!st)
		st = find_first(&x, err);
	if (!st)
		st = find_second(&x, ridge, err);
	if (!st)
		st = keep(f, layer, &x, err);
	free(x.first);
	free(x.second);
	free(x.wide);
	return st;
}

/* The weights as rows, [o][k]; NULL: no memory. */
static double *weight_rows(const struct pare_model *m, int layer, int *k)
{
	const struct pare_layer *l = &m->layers[layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	double *w = room_for((size_t)l->weights, 1);

	*k = (int)(ch.outer * ch.inner);
	for (int64_t i = 0; i < l->weights && w; i++)
		w[i] = (double)pare_model_weights(m, layer)[pare_channel_at(&ch, i / *k, i % *k)];
	return w;
}

/* As if inputs were alike and told nothing of each other, [k][k]. */
static double *alike(int k)
{
	double *h = room_for((size_t)k, (size_t)k);

	for (size_t i = 0; i < (size_t)k * (size_t)k && h; i++)
		h[i] = i % ((size_t)k + 1) == 0;
	return h;
}

static enum pare_status factor_plain(struct factoring *f, int layer, struct pare_err *err)
{
	int k;
	double *w = weight_rows(f->m, layer, &k), *h = w ? alike(k) : NULL;
	enum pare_status st = h ? PARE_OK : pare_nomem(err, "a layer in two");

	if (!st)
		st = factor(f, layer, h, w, w, k, 1e-12, err);
	free(w);
	free(h);
	return st;
}

enum pare_status pare_rank_values(const struct pare_model *m, int layer, bool space,
	const double *h, double **value, int *n, struct pare_err *err)
{
	int k;
	double *w = weight_rows(m, layer, &k), *own = h || !w ? NULL : alike(k);
	struct low x = {
		.k = k, .edge = edge_of(&m->layers[layer], space), .h = h ? h : own, .w = w
	};
	size_t q, p;
	double *t, *v, *values;
	enum pare_status st;

	x.o = (int)(m->layers[layer].weights / k);
	q = (size_t)(x.o * x.edge);
	p = (size_t)(k / x.edge);
	t = room_for(p, q);
	v = room_for(q, q);
	values = room_for(q, 1);
	st = w && x.h && t && v && values ? find_vectors(&x, t, v, values, err)
					  : pare_nomem(err, "a layer in two");
	free(t);
	free(v);
	free(own);
	free(w);
	if (st) {
		free(values);
		return st;
	}
	*value = values;
	*n = (int)q;
	return PARE_OK;
}

/* The bias, and what it lacks by means s; NULL: nothing is known of them. */
static enum pare_status
settle_bias(struct factoring *f, int layer, const struct pare_moments *s, struct pare_err *err)
{
	const struct pare_layer *l = &f->m->layers[layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	const float *was = pare_model_bias(f->m, layer), *w = f->weights[layer]->data;
	struct pare_blob *b = pare_blob_new((size_t)ch.channels * sizeof(float));

	if (!b)
		return pare_nomem(err, "a bias");
	for (int64_t o = 0; o < ch.channels; o++) {
		double shift = s ? s->t[o] : 0;

		for (int i = 0; s && i < s->win.k; i++)
			shift -= (double)w[pare_channel_at(&ch, o, i)] * s->x[i];
		((float *)b->data)[o] = (was ? was[o] : 0) + (float)shift;
	}
	f->bias[layer] = b;
	f->part[f->part_of[layer]].bias = b->data;
	return PARE_OK;
}

static enum pare_status
factor_whitened(struct factoring *f, int layer, struct pare_moments *s, struct pare_err *err)
{
	bool shifts = f->part[f->part_of[layer]].shifts;
	double ridge = PARE_RIDGE_SAMPLES * (double)s->win.columns / s->n;
	struct pare_solve best = { 0 };
	int k;
	double *was = weight_rows(f->m, layer, &k);
	enum pare_status st = was ? PARE_OK : pare_nomem(err, "a layer in two");

	pare_moments_center(s, 0, shifts);
	if (!st)
		st = pare_solve_new(s->h, s->c, was, k, s->win.o, ridge, &best, err);
	if (!st)
		st = factor(f, layer, s->h, s->c, best.w, k, ridge, err);
	if (!st && shifts)
		st = settle_bias(f, layer, s, err);
	pare_solve_free(&best);
	free(was);
	return st;
}

static enum pare_status walk_through(struct factoring *f, struct pare_err *err)
{
	struct pare_follow now;
	int *order = calloc((size_t)f->p->n + 1, sizeof *order), n = 0;
	enum pare_status st =
		order ? pare_follow_new(f->m, f->calibration, f->weights, f->bias, &now, err)
		      : pare_nomem(err, "a layer in two");

	if (st) {
		free(order);
		return st;
	}
	n = pare_layers_in_order(f->m, pare_walk_program(now.walk), order);
	for (int i = 0; i < n && !st; i++) {
		struct pare_progress_span span = { 16.0 * i, 16.0 * n };
		struct pare_moments s = { 0 };

		if (f->part_of[order[i]] < 0 || f->weights[order[i]])
			continue;
		st = pare_follow_to(&now, order[i], span, f->ctl, &s, err);
		if (!st && s.win.k)
			st = factor_whitened(f, order[i], &s, err);
		if (st)
			pare_wrap(err, st, "layer '%s'", f->m->layers[order[i]].name);
		pare_moments_free(&s);
	}
	pare_follow_free(&now);
	free(order);
	return st;
}

/* What the walk did not come by is parted by its weights. */
static enum pare_status find_parts(struct factoring *f, struct pare_err *err)
{
	bool looks = false;
	enum pare_status st = PARE_OK;

	for (int pass = 0; pass < 2 && !st; pass++) {
		for (int i = 0; i < f->p->n && !st; i++) {
			bool plain = !pare_rank_criteria[f->p->dials[i].rank_criterion].looks;

			if (f->part_of[i] < 0 || f->weights[i])
				continue;
			if (!plain && !pass) {
				looks = true;
				continue;
			}
			st = factor_plain(f, i, err);
			if (!st && f->part[f->part_of[i]].shifts)
				st = settle_bias(f, i, NULL, err);
		}
		if (st || pass || !looks)
			continue;
		if (!f->calibration || !f->calibration->dataset)
			return pare_fail(err, PARE_E_ARG,
				"ranks are found by looking at calibration data: name some with "
				"--data, or say by plain");
		st = walk_through(f, err);
	}
	return st;
}

enum pare_status pare_factor_layers(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, bool bare, struct pare_ctl *ctl,
	struct pare_model **out, struct pare_err *err)
{
	size_t n = (size_t)p->n + 1;
	struct pare_arena *a = pare_arena_new();
	struct factoring f = { .m = m, .p = p, .calibration = calibration, .ctl = ctl };
	enum pare_status st = PARE_OK;

	if (!a || !(f.part = pare_alloc_n(a, n, sizeof *f.part)) ||
		!(f.part_of = pare_alloc_n(a, n, sizeof *f.part_of)) ||
		!(f.weights = pare_alloc_n(a, n, sizeof *f.weights)) ||
		!(f.bias = pare_alloc_n(a, n, sizeof *f.bias))) {
		pare_arena_free(a);
		return pare_nomem(err, "layers in two");
	}
	for (int i = 0; i < p->n; i++) {
		bool space;
		int64_t rank = pare_rank_of(m, i, &p->dials[i], &space);

		f.part_of[i] = rank ? f.n_parts : -1;
		if (rank)
			f.part[f.n_parts++] = (struct pare_factored){
				.layer = i,
				.space = space,
				.rank = rank,
				.shifts = pare_rank_criteria[p->dials[i].rank_criterion].looks &&
					  pare_model_can_shift(m, i),
			};
	}
	if (!bare)
		st = find_parts(&f, err);
	if (!st)
		st = pare_model_factored(m, f.part, f.n_parts, out, err);
	for (int i = 0; i < p->n; i++) {
		pare_blob_free(f.weights[i]);
		pare_blob_free(f.bias[i]);
	}
	for (int i = 0; i < f.n_parts; i++)
		for (int k = 0; k < 2; k++)
			free((void *)(uintptr_t)f.part[i].w[k]);
	pare_arena_free(a);
	return st;
}
