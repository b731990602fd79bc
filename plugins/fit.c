/* Non-negative least squares on relative errors (Lawson & Hanson, Solving Least Squares Problems,
 * 1974, chapter 23), and what is left out to find how wrong a fit is on what it has not seen. */
#include "profile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TERMS = PARE_N_RATES };

/* ---- least squares ---------------------------------------------------------------------- */

struct problem {
	int n, terms;
	double (*a)[MAX_TERMS]; /* [n], each row divided by its measurement; the aim is 1 */
};

/* Normal equations of the chosen terms by Cholesky; false where they are singular. */
static bool solve_chosen(const struct problem *p, const bool *chosen, double *x)
{
	double g[MAX_TERMS][MAX_TERMS + 1] = { 0 };
	int at[MAX_TERMS], m = 0;

	for (int j = 0; j < p->terms; j++)
		if (chosen[j])
			at[m++] = j;
	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < m; j++) {
			const double *row = p->a[i];

			for (int k = 0; k <= j; k++)
				g[j][k] += row[at[j]] * row[at[k]];
			g[j][MAX_TERMS] += row[at[j]];
		}
	for (int j = 0; j < m; j++) {
		double floor = g[j][j] * 1e-12;

		for (int k = 0; k < j; k++) {
			for (int l = 0; l < k; l++)
				g[j][k] -= g[j][l] * g[k][l];
			g[j][k] /= g[k][k];
			g[j][j] -= g[j][k] * g[j][k];
		}
		if (!(g[j][j] > floor))
			return false;
		g[j][j] = sqrt(g[j][j]);
	}
	for (int j = 0; j < m; j++) {
		for (int k = 0; k < j; k++)
			g[j][MAX_TERMS] -= g[j][k] * g[k][MAX_TERMS];
		g[j][MAX_TERMS] /= g[j][j];
	}
	memset(x, 0, sizeof(double) * MAX_TERMS);
	for (int j = m - 1; j >= 0; j--) {
		for (int k = j + 1; k < m; k++)
			g[j][MAX_TERMS] -= g[k][j] * x[at[k]];
		x[at[j]] = g[j][MAX_TERMS] / g[j][j];
	}
	return true;
}

static double row_value(const struct problem *p, int i, const double *x)
{
	double v = 0;

	for (int j = 0; j < p->terms; j++)
		v += p->a[i][j] * x[j];
	return v;
}

/* The term whose growth lowers the error most, of those that are 0; -1 = none would. */
static int steepest(const struct problem *p, const bool *chosen, const double *x)
{
	double slope[MAX_TERMS] = { 0 }, most = 1e-9;
	int best = -1;

	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < p->terms; j++)
			slope[j] += p->a[i][j] * (1 - row_value(p, i, x));
	for (int j = 0; j < p->terms; j++)
		if (!chosen[j] && slope[j] > most) {
			most = slope[j];
			best = j;
		}
	return best;
}

/* Go from x towards z until the first term reaches 0, and take that one out. */
static void step_back(int terms, bool *chosen, double *x, const double *z)
{
	double alpha = 1;

	for (int j = 0; j < terms; j++)
		if (chosen[j] && z[j] <= 0)
			alpha = fmin(alpha, x[j] / (x[j] - z[j]));
	for (int j = 0; j < terms; j++) {
		if (!chosen[j])
			continue;
		x[j] += alpha * (z[j] - x[j]);
		if (x[j] <= 1e-15) {
			x[j] = 0;
			chosen[j] = false;
		}
	}
}

static void nnls(const struct problem *p, double x[MAX_TERMS])
{
	bool chosen[MAX_TERMS] = { 0 };

	memset(x, 0, sizeof(double) * MAX_TERMS);
	for (int turn = 0; turn < 10 * MAX_TERMS; turn++) {
		double z[MAX_TERMS];
		int j = steepest(p, chosen, x);

		if (j < 0)
			return;
		chosen[j] = true;
		while (true) {
			bool inside = true;

			if (!solve_chosen(p, chosen, z)) { /* says nothing new */
				chosen[j] = false;
				x[j] = 0;
				return;
			}
			for (int k = 0; k < p->terms; k++)
				inside = inside && (!chosen[k] || z[k] > 0);
			if (inside)
				break;
			step_back(p->terms, chosen, x, z);
		}
		memcpy(x, z, sizeof z);
	}
}

/* Columns are brought to one size, so that pivots can be told from noise. */
static void fit(struct problem *p, double x[MAX_TERMS])
{
	double scale[MAX_TERMS] = { 0 };

	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < p->terms; j++)
			scale[j] = fmax(scale[j], p->a[i][j]);
	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < p->terms; j++)
			p->a[i][j] /= scale[j] > 0 ? scale[j] : 1;
	nnls(p, x);
	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < p->terms; j++)
			p->a[i][j] *= scale[j] > 0 ? scale[j] : 1;
	for (int j = 0; j < p->terms; j++)
		x[j] /= scale[j] > 0 ? scale[j] : 1;
}

/* ---- terms ------------------------------------------------------------------------------ */

/* "conv+1x1 dw": which term each quantity belongs to; -1 = none.  Number of terms; -1 when a word
 * is not known or there are too many. */
static int parse_terms(const char *text, const char *const *names, int n, int *term_of)
{
	int terms = 0;

	for (int i = 0; i < n; i++)
		term_of[i] = -1;
	for (const char *at = text; *at; at += strspn(at, " "), terms++) {
		if (terms == MAX_TERMS)
			return -1;
		while (*at && *at != ' ') {
			size_t len = strcspn(at, "+ ");
			int i = 0;

			while (i < n && !(strlen(names[i]) == len && !memcmp(names[i], at, len)))
				i++;
			if (i == n)
				return -1;
			term_of[i] = terms;
			at += len + (at[len] == '+');
		}
	}
	return terms;
}

/* One measurement: `y` of what is made of the quantities. */
struct point {
	const struct pare_published_row *row;
	double y, quantity[PARE_N_RATES];
};

/* What is left out of a fit: all points of this model or family; NULL = nothing. */
struct left_out {
	const char *name;
	bool family;
};

static bool is_left_out(const struct left_out *l, const struct point *p)
{
	return l->name && !strcmp(l->name, l->family ? p->row->family : p->row->model);
}

struct points {
	struct point *at;
	int n;
};

/* Coefficients of `quantities` named quantities; false when there is nothing to fit on. */
static bool fit_terms(const struct points *points, const struct left_out *left, const int *term_of,
	int terms, int quantities, double *coefficients)
{
	struct problem p = { .terms = terms };
	double x[MAX_TERMS];

	p.a = calloc((size_t)points->n + 1, sizeof *p.a);
	for (int i = 0; p.a && i < points->n; i++) {
		const struct point *at = &points->at[i];

		if (is_left_out(left, at))
			continue;
		for (int q = 0; q < quantities; q++)
			if (term_of[q] >= 0)
				p.a[p.n][term_of[q]] += at->quantity[q] / at->y;
		p.n++;
	}
	if (p.n)
		fit(&p, x);
	for (int q = 0; p.n && q < quantities; q++)
		coefficients[q] = term_of[q] >= 0 ? x[term_of[q]] : 0;
	free(p.a);
	return p.n > 0;
}

static double predicted(const struct point *p, const double *coefficients, int quantities)
{
	double v = 0;

	for (int q = 0; q < quantities; q++)
		v += p->quantity[q] * coefficients[q];
	return v;
}

/* ---- sets ------------------------------------------------------------------------------- */

struct fitting {
	struct pare_profile *p;
	struct points points[PARE_PROFILE_SETS];
};

static int base_of(const struct pare_profile *p, const struct pare_profile_set *s)
{
	int i = 0;

	/* pare_profile_read has seen to it that there is one */
	while (strcmp(p->sets[i].name, s->like))
		i++;
	return i;
}

/* Fit set `s` without what is left out; a ratio's base is fitted without it too, so that what is
 * left out has been seen by neither.  A set without terms stays as it was given. */
static bool fit_set(const struct fitting *f, int s, const struct left_out *left,
	double rate[PARE_N_RATES], double *times)
{
	struct pare_profile copy = *f->p;
	struct pare_profile_set *set = &copy.sets[s];
	const struct points *points = &f->points[s];
	int term_of[PARE_N_RATES],
		terms = parse_terms(set->terms, pare_profile_rate_names, PARE_N_RATES, term_of);
	double over = 0, under = 0;

	if (!*set->terms)
		return pare_profile_rates(&copy, set, rate);
	if (!*set->like)
		return fit_terms(points, left, term_of, terms, PARE_N_RATES, rate);
	if (!fit_set(f, base_of(&copy, set), left, copy.sets[base_of(&copy, set)].rate, times))
		return false;
	set->times = 1;
	pare_profile_rates(&copy, set, rate);
	for (int i = 0; i < points->n; i++) { /* least squares of times * x - 1 */
		double x = predicted(&points->at[i], rate, PARE_N_RATES) / points->at[i].y;

		if (is_left_out(left, &points->at[i]))
			continue;
		over += x;
		under += x * x;
	}
	*times = under > 0 ? over / under : 1;
	for (int i = 0; i < PARE_N_RATES; i++)
		rate[i] *= *times;
	return under > 0;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts v. */
static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The 90 % quantile with split conformal prediction's correction for a finite sample.  Sorts v. */
static double quantile_90(double *v, int n)
{
	int k = (int)ceil((n + 1) * 0.9);

	qsort(v, (size_t)n, sizeof *v, by_value);
	return v[(k < n ? k : n) - 1];
}

/* ratio[i]: predicted / measured of each point when its model or family is left out. */
static bool leave_out(const struct fitting *f, int s, bool family, double *ratio)
{
	const struct points *points = &f->points[s];

	for (int i = 0; i < points->n; i++) {
		const struct pare_published_row *row = points->at[i].row;
		struct left_out left = { family ? row->family : row->model, family };
		double rate[PARE_N_RATES], times;

		if (!fit_set(f, s, &left, rate, &times))
			return false;
		ratio[i] = predicted(&points->at[i], rate, PARE_N_RATES) / points->at[i].y;
	}
	return true;
}

/* The three figures that tell how wrong a set is; ratio: [n] of leave_out, spoiled. */
static double median_error(double *ratio, int n)
{
	for (int i = 0; i < n; i++)
		ratio[i] = 100 * fabs(ratio[i] - 1);
	return median(ratio, n);
}

static double band(const double *ratio, int n, double *scratch)
{
	for (int i = 0; i < n; i++) /* a rate of 0 on the left-out must not make it infinite */
		scratch[i] = fabs(log(fmax(ratio[i], 1e-3)));
	return exp(quantile_90(scratch, n));
}

static enum pare_status fit_and_judge(struct fitting *f, int s, struct pare_err *err)
{
	struct pare_profile_set *set = &f->p->sets[s];
	const struct left_out nothing = { NULL, false };
	int n = f->points[s].n;
	double rate[PARE_N_RATES], *model = calloc(3 * (size_t)n + 1, sizeof *model);
	double *family = model + n, *scratch = family + n;
	enum pare_status st = PARE_OK;

	if (!model)
		return pare_nomem(err, "a fit");
	if (!fit_set(f, s, &nothing, rate, &set->times) || !leave_out(f, s, false, model) ||
		!leave_out(f, s, true, family)) {
		st = pare_fail(err, PARE_E_MISMATCH,
			"%s: %d published rows of precision %s are too few to fit; rows of at "
			"least two families are needed",
			f->p->name, n, set->name);
	} else {
		if (!*set->like)
			memcpy(set->rate, rate, sizeof rate);
		set->rows = n;
		set->band = band(family, n, scratch);
		set->error_model_out = median_error(model, n);
		set->error_family_out = median_error(family, n);
	}
	free(model);
	return st;
}

/* ---- memory ----------------------------------------------------------------------------- */

static enum pare_status fit_memory(const struct pare_profile *p, struct pare_profile_memory *m,
	struct points *points, struct pare_err *err)
{
	int term_of[PARE_N_NEEDS],
		terms = parse_terms(m->terms, pare_profile_need_names, PARE_N_NEEDS, term_of);
	struct left_out left = { NULL, false };
	double *error = calloc((size_t)points->n + 1, sizeof *error), need[PARE_N_NEEDS];
	enum pare_status st = PARE_OK;
	bool good = true;

	if (!error)
		return pare_nomem(err, "a fit");
	for (int i = 0; i < points->n && good; i++) {
		left.name = points->at[i].row->model;
		good = fit_terms(points, &left, term_of, terms, PARE_N_NEEDS, need);
		if (good)
			error[i] = predicted(&points->at[i], need, PARE_N_NEEDS) / points->at[i].y;
	}
	left.name = NULL;
	if (!good || !fit_terms(points, &left, term_of, terms, PARE_N_NEEDS, m->need)) {
		st = pare_fail(err, PARE_E_MISMATCH,
			"%s: too few published rows tell of its memory (%d)", p->name, points->n);
	} else {
		m->rows = points->n;
		m->error = median_error(error, points->n);
	}
	free(error);
	return st;
}

/* ---- the whole -------------------------------------------------------------------------- */

enum aim { AIM_LATENCY, AIM_RAM, AIM_FLASH };

/* The rows of one set, with what their networks count for. */
static enum pare_status collect(const struct pare_profile *p, const struct pare_profile_set *s,
	enum aim aim, const struct pare_published *rows, const struct pare_layer_table *layers,
	struct points *out, struct pare_err *err)
{
	out->n = 0;
	out->at = calloc((size_t)rows->n + 1, sizeof *out->at);
	if (!out->at)
		return pare_nomem(err, "published rows");
	for (int i = 0; i < rows->n; i++) {
		const struct pare_published_row *r = &rows->rows[i];
		struct point *to = &out->at[out->n];
		struct pare_plugin_work work;

		to->row = r;
		to->y = aim == AIM_LATENCY ? r->latency_ms * 1e6
			: aim == AIM_RAM   ? r->ram
					   : r->flash;
		if (strcmp(r->device, p->device) || strcmp(r->runtime, p->runtime) ||
			strcmp(r->precision, s->name) || strcmp(r->threads, p->threads) ||
			!(to->y > 0) || !pare_layer_table_find(layers, r->model, &work))
			continue;
		if (aim == AIM_LATENCY)
			pare_profile_count_work(s, &work, to->quantity);
		else
			pare_profile_needs_work(s, &work, to->quantity);
		out->n++;
	}
	return PARE_OK;
}

static double macs_of(const struct point *p)
{
	double macs = 0;

	for (int i = PARE_RATE_CONV; i <= PARE_RATE_DENSE; i++)
		macs += p->quantity[i];
	return macs;
}

static void find_range(struct pare_profile *p, const struct points *points)
{
	p->macs_from = points->n ? macs_of(&points->at[0]) : 0;
	p->macs_to = p->macs_from;
	for (int i = 1; i < points->n; i++) {
		p->macs_from = fmin(p->macs_from, macs_of(&points->at[i]));
		p->macs_to = fmax(p->macs_to, macs_of(&points->at[i]));
	}
}

static bool terms_are_known(const struct pare_profile *p)
{
	int at[PARE_N_RATES];
	bool good =
		parse_terms(p->need_ram.terms, pare_profile_need_names, PARE_N_NEEDS, at) >= 0 &&
		parse_terms(p->need_flash.terms, pare_profile_need_names, PARE_N_NEEDS, at) >= 0;

	for (int i = 0; i < p->n_sets; i++)
		good = good &&
		       (*p->sets[i].like || parse_terms(p->sets[i].terms, pare_profile_rate_names,
						    PARE_N_RATES, at) >= 0);
	return good;
}

enum pare_status pare_profile_fit(struct pare_profile *p, const struct pare_published *rows,
	const struct pare_layer_table *layers, struct pare_err *err)
{
	struct pare_profile fitted = *p;
	struct fitting f = { .p = &fitted };
	struct points ram = { 0 }, flash = { 0 };
	enum pare_status st = PARE_OK;

	if (!terms_are_known(p))
		return pare_fail(
			err, PARE_E_FORMAT, "%s: 'fit' names a term that there is not", p->name);
	for (int i = 0; i < p->n_sets && !st; i++)
		st = collect(p, &p->sets[i], AIM_LATENCY, rows, layers, &f.points[i], err);
	for (int i = 0; i < p->n_sets && !st; i++)
		if (*p->sets[i].terms)
			st = fit_and_judge(&f, i, err);
	if (!st)
		find_range(&fitted, &f.points[0]);
	if (!st && *p->need_ram.terms &&
		!(st = collect(p, &p->sets[0], AIM_RAM, rows, layers, &ram, err)))
		st = fit_memory(p, &fitted.need_ram, &ram, err);
	if (!st && *p->need_flash.terms &&
		!(st = collect(p, &p->sets[0], AIM_FLASH, rows, layers, &flash, err)))
		st = fit_memory(p, &fitted.need_flash, &flash, err);
	for (int i = 0; i < p->n_sets; i++)
		free(f.points[i].at);
	free(ram.at);
	free(flash.at);
	if (!st)
		*p = fitted;
	return st;
}
