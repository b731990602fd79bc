/* What would this plan cost?  Superposition of logit moves on the nearest measured plan. */
#include "../base/err.h"
#include "../plan/fields.h"
#include "study.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 }; /* samples added up at a time, so that sums stay in the cache */

struct term {
	const float *move;
	float share;
};

struct study_mix pare_study_mix(const struct pare_dials *d)
{
	struct study_mix m = { .n = 0 };

	for (int dial = 0; dial < PARE_N_DIALS; dial++) {
		int at = pare_option_of(d, dial), other;
		float have = pare_options[at].share, part = 0,
		      want = dial == PARE_DIAL_SPARSITY   ? d->sparsity
			     : dial == PARE_DIAL_CHANNELS ? d->channels
							  : have;

		other = want > have ? at + 1 : at - 1;
		if (want != have && pare_options[other].name &&
			(int)pare_options[other].dial == dial &&
			pare_options[other].pattern == pare_options[at].pattern) { /* between two */
			part = (want - have) / (pare_options[other].share - have);
			m.option[m.n] = other;
			m.share[m.n++] = part;
		}
		m.option[m.n] = at;
		m.share[m.n++] = 1 - part;
	}
	return m;
}

/* The cells of the map are measured with the first row of every method: a dial that names another
 * is not on the map, nor is a format without a column. */
static bool on_map(const struct pare_dials *dials)
{
	struct pare_dials d = pare_dials_effective(*dials);

	for (int i = 0; i < pare_n_fields; i++)
		if (pare_fields[i].family != PARE_N_METHODS &&
			pare_fields[i].family != PARE_PATTERN && *pare_field_of(&d, i))
			return false;
	return pare_options[pare_option_of(&d, PARE_DIAL_SPARSITY)].pattern == d.pattern &&
	       pare_options[pare_option_of(&d, PARE_DIAL_WEIGHTS)].format == d.weights &&
	       pare_options[pare_option_of(&d, PARE_DIAL_ACTIVATIONS)].format == d.activations;
}

/* Cells in which layer `l` differs between plan and anchor: signed shares by option.  Channels
 * count once for a group. */
static void layer_terms(const struct pare_study *s, int l, const struct pare_dials *plan,
	const struct pare_dials *anchor, float *share)
{
	struct study_mix a = pare_study_mix(plan), b = pare_study_mix(anchor);

	memset(share, 0, (size_t)s->n_options * sizeof *share);
	for (int i = 0; i < a.n; i++)
		share[a.option[i]] += a.share[i];
	for (int i = 0; i < b.n; i++)
		share[b.option[i]] -= b.share[i];
	for (int o = 0; o < s->n_options && s->leader[l] != l; o++)
		if (pare_options[o].dial == PARE_DIAL_CHANNELS)
			share[o] = 0;
}

/* How far the plan is from a measured one, by the size of the moves between; infinite when a cell
 * is missing. */
static double
distance(const struct pare_study *s, const struct pare_plan *p, const struct study_plan *anchor)
{
	double sum = 0;
	float share[64];

	/* cells are measured without steps, which change the layers that they are of: a plan with
	 * steps is known once it was measured, and not before */
	if (p->steps || anchor->plan->steps)
		return INFINITY;
	for (int l = 0; l < s->n_layers; l++) {
		const struct pare_dials *a = &p->dials[l], *b = &anchor->plan->dials[l];

		if (!memcmp(a, b, sizeof *a) || pare_dials_equal(a, b))
			continue;
		if (!on_map(a) || !on_map(b) || a->exit != b->exit || a->rank != b->rank ||
			a->block != b->block)
			return INFINITY;
		layer_terms(s, l, a, b, share);
		for (int o = 0; o < s->n_options; o++) {
			const struct study_cell *c = &s->cell[l * s->n_options + o];

			if (share[o] == 0)
				continue;
			if (!c->known)
				return INFINITY;
			sum += (double)(share[o] * share[o]) * c->size * c->size;
		}
	}
	return sum;
}

static const struct study_plan *
nearest(const struct pare_study *s, const struct pare_plan *p, const struct study_plan *but)
{
	const struct study_plan *best = NULL;
	double least = INFINITY;

	for (int i = 0; i < s->n_plans; i++) {
		double d = &s->plan[i] == but ? INFINITY : distance(s, p, &s->plan[i]);

		if (d < least) {
			least = d;
			best = &s->plan[i];
		}
	}
	return best;
}

static int collect(const struct pare_study *s, const struct pare_plan *p,
	const struct study_plan *anchor, struct term *term)
{
	int n = 0;
	float share[64];

	for (int l = 0; l < s->n_layers; l++) {
		const struct pare_dials *a = &p->dials[l], *b = &anchor->plan->dials[l];

		if (!memcmp(a, b, sizeof *a) || pare_dials_equal(a, b))
			continue;
		layer_terms(s, l, a, b, share);
		for (int o = 0; o < s->n_options; o++)
			if (share[o] != 0 && s->cell[l * s->n_options + o].move)
				term[n++] = (struct term){ s->cell[l * s->n_options + o].move,
					share[o] };
	}
	return n;
}

bool pare_study_superpose(const struct pare_study *s, const struct pare_plan *p,
	const struct study_plan *but, struct study_guess *out)
{
	const struct study_baseline *b = s->base;
	const struct study_plan *anchor = b && p->n == s->n_layers ? nearest(s, p, but) : NULL;
	int64_t guess_right = 0, anchor_right = 0, flips = 0;
	float sum[BLOCK * PARE_SLOTS];
	struct term *term;
	int n_terms;

	if (!anchor)
		return false;
	/* at most four cells of a dial that stands between two positions, in plan and anchor */
	term = malloc((size_t)(s->n_layers * 4 * PARE_N_DIALS + 1) * sizeof *term);
	if (!term)
		return false;
	n_terms = collect(s, p, anchor, term);
	for (int64_t first = 0; first < b->n; first += BLOCK) {
		int64_t count = b->n - first < BLOCK ? b->n - first : BLOCK;
		const float *from = anchor->slots + first * b->k;

		memcpy(sum, from, (size_t)(count * b->k) * sizeof *sum);
		for (int t = 0; t < n_terms; t++) {
			const float *move = term[t].move + first * b->k;
			float share = term[t].share;

			for (int64_t i = 0; i < count * b->k; i++)
				sum[i] += share * move[i];
		}
		for (int64_t i = 0; i < count; i++) {
			int8_t truth = b->truth[first + i];
			bool was = pare_argmax(from + i * b->k, b->k) == truth;
			bool is = pare_argmax(sum + i * b->k, b->k) == truth;

			anchor_right += was;
			guess_right += is;
			flips += was != is;
		}
	}
	free(term);
	/* counted against the anchor's measured figure: classes outside the slots are in it */
	out->n_right = (double)(anchor->n_right + guess_right - anchor_right);
	out->n_flips = (double)flips;
	return true;
}

double pare_guess_width(const struct study_guess *g, int64_t n)
{
	/* Nine of ten errors, in samples, stay below 0.85 √(flips + 1) while less than a tenth of
	 * the samples flip; beyond, moves no longer add up (459 random plans on three networks) */
	double f = g->n_flips, far = f / (f + 0.1 * (double)n);

	return 100 * (0.85 * sqrt(f + 1) + 0.7 * f * far * far) / (double)n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Conformal: the width that would have covered nine of ten of the estimates whose truth came out,
 * at least the prior's while there are few. */
static double surprise_quantile(const struct pare_study *s)
{
	enum { WINDOW = 64, PRIOR = 9 };
	double v[WINDOW + PRIOR];
	int have = s->n_surprises < WINDOW ? s->n_surprises : WINDOW, n = have;

	for (int i = 0; i < have; i++)
		v[i] = s->surprise[s->n_surprises - have + i];
	for (int i = 0; i < PRIOR && have < 2 * PRIOR; i++)
		v[n++] = 1.0 * (i + 1) / PRIOR;
	qsort(v, (size_t)n, sizeof *v, by_value);
	return v[(int)ceil(0.9 * (n + 1)) - 1 < n ? (int)ceil(0.9 * (n + 1)) - 1 : n - 1];
}

static enum pare_status fill_cost(const struct pare_study *s, const struct pare_plan *p,
	struct pare_metrics *m, struct pare_err *err)
{
	enum pare_status st = pare_plan_cost(s->model, p, &m->cost, err);

	m->ratio = s->float_bytes ? (double)m->cost.bytes / (double)s->float_bytes : 1;
	return st;
}

static struct pare_value shifted(struct pare_value drop, double from)
{
	double lo = drop.lo;

	drop.value = from - drop.value;
	drop.lo = fmax(from - drop.hi, 0);
	drop.hi = fmin(from - lo, 100);
	return drop;
}

/* By superposition, from any measured plan but `but`. */
static void guess(const struct pare_study *s, const struct pare_plan *p,
	const struct study_plan *but, struct pare_value *accuracy, struct pare_value *drop)
{
	struct study_guess g;

	*accuracy = *drop = (struct pare_value){ PARE_UNKNOWN, NAN, NAN, NAN, 0 };
	if (s->n && pare_study_superpose(s, p, but, &g)) {
		double base = 100 * (double)s->base->n_right / (double)s->n;
		double by = base - 100 * g.n_right / (double)s->n;
		double half = surprise_quantile(s) * pare_guess_width(&g, s->n);

		*drop = (struct pare_value){ PARE_ESTIMATED, by, by - half, by + half, s->n };
		*accuracy = shifted(*drop, base);
	}
}

void pare_study_value(const struct pare_study *s, const struct pare_plan *p,
	struct pare_value *accuracy, struct pare_value *drop)
{
	const struct study_plan *known = s->base && s->n ? pare_study_find(s, p) : NULL;

	if (!known) {
		guess(s, p, NULL, accuracy, drop);
		return;
	}
	*accuracy = (struct pare_value){ PARE_MEASURED, 100 * (double)known->n_right / (double)s->n,
		0, 0, s->n };
	pare_share_interval(known->n_right, s->n, &accuracy->lo, &accuracy->hi);
	*drop = pare_measured_drop(known->fixed, known->broken, s->n);
}

enum pare_status pare_study_predict(const struct pare_study *s, const struct pare_plan *p,
	struct pare_metrics *out, struct pare_err *err)
{
	struct pare_metrics m = { 0 };
	enum pare_status st = fill_cost(s, p, &m, err);

	if (st)
		return st;
	guess(s, p, pare_study_find(s, p), &m.accuracy, &m.drop);
	*out = m;
	return PARE_OK;
}

enum pare_status pare_study_estimate(const struct pare_study *s, const struct pare_plan *p,
	struct pare_metrics *out, struct pare_err *err)
{
	struct pare_metrics m = { 0 };
	enum pare_status st = fill_cost(s, p, &m, err);

	if (st)
		return st;
	pare_study_value(s, p, &m.accuracy, &m.drop);
	*out = m;
	return PARE_OK;
}
