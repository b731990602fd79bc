#include "lattice.h"
#include "quantize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK, as it comes with OpenBLAS */
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

enum {
	TRIES = 6,
	ROUNDS = 4,
	SWEEPS = 50,
	COARSE = 32, /* codes; finer lattices lose too little for pairs to be worth their time */
};

/* ---- what rows share ---------------------------------------------------------------------------
 */

/* Least curved coordinates first, so that the most curved, at the end, are rounded while all others
 * can still make up for it. */
static void sort_order(const struct pare_gram *g)
{
	for (int i = 0; i < g->k; i++) {
		int j = i;

		for (; j > 0 && g->h[(size_t)g->order[j - 1] * g->k + g->order[j - 1]] >
					g->h[(size_t)i * g->k + i];
			j--)
			g->order[j] = g->order[j - 1];
		g->order[j] = i;
	}
}

static bool factor(const struct pare_gram *g)
{
	int info = 0, k = g->k;

	for (int i = 0; i < k; i++)
		for (int j = 0; j < k; j++)
			g->r[(size_t)i * k + j] = g->h[(size_t)g->order[i] * k + g->order[j]];
	dpotrf_("L", &k, g->r, &k, &info); /* columns first: its lower is our upper */
	return !info;
}

enum pare_status pare_gram_new(
	double *h, int k, double damp, struct pare_gram *out, double *ridge, struct pare_err *err)
{
	struct pare_gram g = { k, h, malloc((size_t)k * (size_t)k * sizeof(double)),
		malloc((size_t)k * sizeof(int)) };
	double mean = 0, add = 0;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < k; i++)
		mean += h[(size_t)i * k + i] / k;
	if (!g.r || !g.order)
		st = pare_nomem(err, "the inputs' products of a layer");
	else if (!isfinite(mean))
		st = pare_fail(err, PARE_E_ARG, "the activations that enter it are not finite");
	for (int t = 0; t < TRIES && !st; t++, damp = damp > 0 ? damp * 10 : 1e-6) {
		double more = (mean > 0 ? mean : 1) * damp;

		for (int i = 0; i < k; i++)
			h[(size_t)i * k + i] += more;
		add += more;
		if (!t)
			sort_order(&g);
		if (factor(&g)) {
			*ridge = add;
			*out = g;
			return PARE_OK;
		}
	}
	pare_gram_free(&g);
	return st ? st : pare_fail(err, PARE_E_ARG, "the products of its inputs have no factor");
}

void pare_gram_free(struct pare_gram *g)
{
	free(g->h);
	free(g->r);
	free(g->order);
	*g = (struct pare_gram){ 0 };
}

/* r'r v = c, forth and back. */
static void solve_row(const struct pare_gram *g, double *v, double *t)
{
	int k = g->k;

	for (int i = 0; i < k; i++)
		t[i] = v[g->order[i]];
	for (int i = 0; i < k; i++) {
		const double *r = g->r + (size_t)i * k;

		t[i] /= r[i];
		for (int j = i + 1; j < k; j++)
			t[j] -= t[i] * r[j];
	}
	for (int i = k - 1; i >= 0; i--) {
		const double *r = g->r + (size_t)i * k;

		for (int j = i + 1; j < k; j++)
			t[i] -= r[j] * t[j];
		t[i] /= r[i];
	}
	for (int i = 0; i < k; i++)
		v[g->order[i]] = t[i];
}

void pare_gram_solve(const struct pare_gram *g, double *v, int n, double *room)
{
	for (int i = 0; i < n; i++)
		solve_row(g, v + (size_t)i * g->k, room);
}

/* ---- one row -----------------------------------------------------------------------------------
 */

static int clamp_int(double x, int lo, int hi)
{
	double q = rint(x);

	return q < lo ? lo : q > hi ? hi : (int)q;
}

/* g = H v - c */
static void gradient(const struct pare_row *r, double scale, const int8_t *q, double *g)
{
	int k = r->gram->k;

	for (int j = 0; j < k; j++)
		g[j] = -r->c[j];
	for (int i = 0; i < k; i++) {
		const double *h = r->gram->h + (size_t)i * k;
		double v = scale * q[i];

		for (int j = 0; v != 0 && j < k; j++)
			g[j] += v * h[j];
	}
}

/* f, by its gradient g */
static double error_by(const struct pare_row *r, double scale, const int8_t *q, const double *g)
{
	double f = 0;

	for (int i = 0; i < r->gram->k; i++)
		f += scale * q[i] * (g[i] - r->c[i]) / 2;
	return f;
}

double pare_row_error(const struct pare_row *r, double scale, const int8_t *q)
{
	gradient(r, scale, q, r->room);
	return error_by(r, scale, q, r->room);
}

void pare_row_plane(const struct pare_row *r, double scale, int8_t *q)
{
	const struct pare_gram *g = r->gram;
	double *lost = r->room; /* by place */

	for (int i = g->k - 1; i >= 0; i--) {
		const double *row = g->r + (size_t)i * g->k;
		int at = g->order[i];
		double want = r->w[at];

		for (int j = i + 1; j < g->k; j++)
			want -= row[j] * lost[j] / row[i];
		q[at] = (int8_t)(r->zero && r->zero[at] ? 0
							: clamp_int(want / scale, r->lo, r->hi));
		lost[i] = scale * q[at] - r->w[at];
	}
}

static void move(const struct pare_row *r, double scale, int8_t *q, double *g, int i, int by)
{
	const double *h = r->gram->h + (size_t)i * r->gram->k;
	double v = scale * by;

	q[i] = (int8_t)(q[i] + by);
	for (int j = 0; j < r->gram->k; j++)
		g[j] += v * h[j];
}

static bool sweep_singles(const struct pare_row *r, double scale, int8_t *q, double *g)
{
	int k = r->gram->k;
	bool moved = false;

	for (int i = 0; i < k; i++) {
		double curve = r->gram->h[(size_t)i * k + i];
		double at = q[i] - g[i] / (curve * scale);
		int to = clamp_int(at, r->lo, r->hi);

		/* a little nearer is no gain that rounding errors could not take back */
		if ((r->zero && r->zero[i]) || to == q[i] || fabs(at - to) > fabs(at - q[i]) - 1e-9)
			continue;
		move(r, scale, q, g, i, to - q[i]);
		moved = true;
	}
	return moved;
}

/* The best partner for a step of `by` in i: least change of f, *with and its direction. */
static double best_partner(const struct pare_row *r, double scale, const int8_t *q, const double *g,
	int i, int by, int *with)
{
	int k = r->gram->k;
	const double *h = r->gram->h + (size_t)i * k;
	double half = scale * scale / 2, best = 0, step = scale * by;

	for (int j = 0; j < k; j++) {
		double slope = g[j] + step * h[j];
		double d = half * r->gram->h[(size_t)j * k + j] - scale * fabs(slope);

		if (d >= best || j == i || (r->zero && r->zero[j]) ||
			(slope > 0 ? q[j] <= r->lo : q[j] >= r->hi))
			continue;
		best = d;
		*with = slope > 0 ? -(j + 1) : j + 1;
	}
	return best + step * g[i] + half * h[i];
}

static bool sweep_pairs(const struct pare_row *r, double scale, int8_t *q, double *g)
{
	bool moved = false;

	for (int i = 0; i < r->gram->k; i++) {
		if (r->zero && r->zero[i])
			continue;
		for (int by = -1; by <= 1; by += 2) {
			int with = 0, to = q[i] + by;
			double d;

			if (to < r->lo || to > r->hi)
				continue;
			d = best_partner(r, scale, q, g, i, by, &with);
			if (!with ||
				d > -1e-9 * scale * scale * r->gram->h[(size_t)i * r->gram->k + i])
				continue;
			move(r, scale, q, g, i, by);
			move(r, scale, q, g, abs(with) - 1, with > 0 ? 1 : -1);
			moved = true;
			break;
		}
	}
	return moved;
}

double pare_row_descend(const struct pare_row *r, double scale, bool pairs, int8_t *q)
{
	double *g = r->room;

	gradient(r, scale, q, g);
	for (int t = 0; t < SWEEPS; t++) {
		if (sweep_singles(r, scale, q, g))
			continue;
		if (!pairs || r->hi - r->lo >= COARSE || !sweep_pairs(r, scale, q, g))
			break;
	}
	return error_by(r, scale, q, g);
}

double pare_row_nearest_scale(const struct pare_row *r)
{
	for (int i = 0; i < r->gram->k; i++)
		r->floats[i] = (float)(r->zero && r->zero[i] ? 0 : r->w[i]);
	return (double)pare_scale_mse(r->floats, r->gram->k, r->lo, r->hi);
}

double pare_row_scale(const struct pare_row *r, double scale, const int8_t *q)
{
	double up = 0, down = 0;

	gradient(r, 1, q, r->room);
	for (int i = 0; i < r->gram->k; i++) {
		up += q[i] * r->c[i];
		down += q[i] * (r->room[i] + r->c[i]);
	}
	return up > 0 && down > 0 && isnormal((float)(up / down)) ? (double)(float)(up / down)
								  : scale;
}

/* q, of error `best`, and its scale in turn, while it helps. */
static double refine(const struct pare_row *r, double scale, double best, int8_t *q)
{
	for (int t = 0; t < ROUNDS; t++) {
		double s = pare_row_scale(r, scale, q), e;

		memcpy(r->spare, q, (size_t)r->gram->k);
		e = pare_row_descend(r, s, true, r->spare);
		if (!(e < best))
			break;
		best = e;
		scale = s;
		memcpy(q, r->spare, (size_t)r->gram->k);
	}
	return scale;
}

double pare_row_search(const struct pare_row *r, double fixed, int8_t *q)
{
	int k = r->gram->k, candidates = r->hi - r->lo < COARSE ? 16 : 6;
	double top = 0, best = INFINITY, scale = 1;

	for (int i = 0; i < k; i++)
		if (!r->zero || !r->zero[i])
			top = fmax(top, fabs(r->w[i]));
	top = (float)(top / r->hi);
	memset(q, 0, (size_t)k);
	if (!isnormal((float)top) && !(fixed > 0))
		return 1;
	for (int t = 0; t < (fixed > 0 ? 1 : candidates); t++) {
		double s = fixed > 0 ? fixed : (double)(float)(top * (1.1 - 0.055 * t)), e;

		pare_row_plane(r, s, r->spare);
		e = pare_row_descend(r, s, false, r->spare);
		if (!(e < best))
			continue;
		best = e;
		scale = s;
		memcpy(q, r->spare, (size_t)k);
	}
	best = pare_row_descend(r, scale, true, q);
	return fixed > 0 ? scale : refine(r, scale, best, q);
}
