/* One share of the multiply-accumulates of several layers, spread over them: ranks go where least
 * is lost.
 *
 * What a layer loses at a rank is taken as the logarithm of the share of its output's squares that
 * the values between its parts still carry, in the float network; layers add up (Zhang et al. 2016,
 * section 2.4, where the product of those shares is what is to be large).  For one price of a
 * multiply-accumulate each layer takes the rank that is best for it alone; the price is raised
 * until enough go. */
#include "../base/err.h"
#include "../quantize/follow.h"
#include "rank.h"
#include "reader.h"
#include <math.h>
#include <stdlib.h>

enum { PRICES = 60 }; /* halvings of the interval in which the price is */

struct choice {
	bool wanted, space;
	double whole, one; /* multiply-accumulates of the layer, and of a value between its parts */
	double *lost;      /* [n + 1] at each rank; NULL = nothing is known of it, it stays whole */
	int n;
	int rank; /* 0 = whole */
};

struct sharing {
	const struct pare_model *m;
	const struct pare_plan *p;
	const struct pare_calibration *calibration;
	struct pare_ctl *ctl;
	struct choice *layer; /* [n_layers] */
};

/* h: products of what enters; NULL = by the weights alone. */
static enum pare_status look_at(struct sharing *s, int i, const double *h, struct pare_err *err)
{
	struct choice *c = &s->layer[i];
	double *value, all = 0, kept = 0;
	int n;
	enum pare_status st = pare_rank_values(s->m, i, c->space, h, &value, &n, err);

	if (st)
		return st;
	c->n = (int)fmin(n, ceil(c->whole / c->one) - 1);
	c->lost = calloc((size_t)c->n + 1, sizeof *c->lost);
	for (int k = 0; k < n; k++)
		all += fmax(value[k], 0);
	for (int k = 1; k <= c->n && c->lost; k++) {
		kept += fmax(value[n - k], 0);
		c->lost[k] = all > 0 ? -log(fmin(fmax(kept / all, 1e-12), 1)) : 0;
	}
	free(value);
	return c->lost ? PARE_OK : pare_nomem(err, "the ranks of layers");
}

static enum pare_status walk(struct sharing *s, struct pare_err *err)
{
	int *order = calloc((size_t)s->p->n + 1, sizeof *order), n = 0;
	struct pare_walk *w = NULL;
	enum pare_status st = order ? pare_walk_new(s->m, s->calibration, &w, err)
				    : pare_nomem(err, "the ranks of layers");

	if (!st)
		n = pare_layers_in_order(s->m, pare_walk_program(w), order);
	for (int i = 0; i < n && !st; i++) {
		struct pare_progress_span span = { 16.0 * i, 16.0 * n };
		struct pare_moments moments = { 0 };
		int l = order[i];

		if (!s->layer[l].wanted || !pare_rank_criteria[s->p->dials[l].rank_criterion].looks)
			continue;
		st = pare_walk_float(w, l, NULL, span, s->ctl, &moments, err);
		if (!st && moments.win.k) {
			pare_moments_center(&moments, 0, pare_model_can_shift(s->m, l));
			st = look_at(s, l, moments.h, err);
		}
		pare_moments_free(&moments);
	}
	pare_walk_free(w);
	free(order);
	return st;
}

static enum pare_status look(struct sharing *s, struct pare_err *err)
{
	bool looks = false;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < s->p->n && !st; i++) {
		if (!s->layer[i].wanted)
			continue;
		if (pare_rank_criteria[s->p->dials[i].rank_criterion].looks)
			looks = true;
		else
			st = look_at(s, i, NULL, err);
	}
	if (!st && looks && (!s->calibration || !s->calibration->dataset))
		st = pare_fail(err, PARE_E_ARG,
			"ranks are spread by looking at calibration data: name some with --data, "
			"or say by plain");
	return st || !looks ? st : walk(s, err);
}

/* Each layer's best at a price; returns what is left of all. */
static double choose(struct sharing *s, double price)
{
	double left = 0;

	for (int i = 0; i < s->p->n; i++) {
		struct choice *c = &s->layer[i];
		double least = price * c->whole;

		c->rank = 0;
		for (int k = 1; k <= c->n && c->lost; k++)
			if (c->lost[k] + price * c->one * k < least) {
				least = c->lost[k] + price * c->one * k;
				c->rank = k;
			}
		left += c->rank ? c->one * c->rank : c->whole;
	}
	return left;
}

static enum pare_status spend(struct sharing *s, double share, struct pare_err *err)
{
	double all = choose(s, 0), low = -60, high = 60; /* logarithms of prices */

	if (choose(s, exp(high)) > (1 - share) * all)
		return pare_fail(err, PARE_E_ARG,
			"no more than %.1f%% of the multiply-accumulates of these layers can go",
			all > 0 ? 100 * (1 - choose(s, exp(high)) / all) : 0.0);
	for (int i = 0; i < PRICES; i++) {
		double mid = (low + high) / 2;

		*(choose(s, exp(mid)) > (1 - share) * all ? &low : &high) = mid;
	}
	choose(s, exp(high));
	return PARE_OK;
}

enum pare_status pare_plan_spread_rank(const struct pare_model *m, struct pare_plan *p,
	const bool *layers, double share, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_err *err)
{
	struct sharing s = { .m = m,
		.p = p,
		.calibration = calibration,
		.ctl = ctl,
		.layer = calloc((size_t)p->n + 1, sizeof *s.layer) };
	bool cuts = false;
	enum pare_status st = s.layer ? PARE_OK : pare_nomem(err, "the ranks of layers");

	for (int i = 0; i < p->n && !st; i++) {
		struct choice *c = &s.layer[i];
		struct pare_dials d = p->dials[i];

		d.rank = 1e-3F;
		c->wanted = layers[i] && pare_rank_of(m, i, &d, &c->space) > 0;
		c->whole = layers[i] && m->layers[i].macs > 0 ? (double)m->layers[i].macs : 0;
		c->one = c->wanted ? pare_rank_macs(m, i, c->space) : 0;
		cuts |= d.block || pare_group_gone(m, i, d.channels) > 0;
	}
	if (!st && cuts)
		st = pare_fail(err, PARE_E_ARG,
			"ranks are spread over layers that are whole: say it before channels or "
			"blocks go, or give each layer its own share");
	if (!st)
		st = look(&s, err);
	if (!st)
		st = spend(&s, share, err);
	for (int i = 0; i < p->n && !st; i++) {
		const struct choice *c = &s.layer[i];
		/* amid the shares that leave this rank */
		double room = fmin(c->rank + 0.5, (c->rank + c->whole / fmax(c->one, 1)) / 2);

		if (layers[i])
			p->dials[i].rank = c->rank ? (float)(1 - room * c->one / c->whole) : 0;
	}
	for (int i = 0; i < p->n && s.layer; i++)
		free(s.layer[i].lost);
	free(s.layer);
	return st;
}
