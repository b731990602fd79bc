/* One share of all weights, spread over the layers: zeros come where they cost least.
 *
 * By obs what a layer's output loses as its weights go is known from the path that takes them
 * (obs.h); how much that matters is measured at a few shares, by how far apart from the float
 * network's answers on the calibration samples come with this layer alone pruned.  Between those
 * shares it follows the output's loss, and what several layers do is taken to add up.  By a score
 * the scores of all layers are compared as they are: one threshold for all. */
#include "../base/err.h"
#include "../prune/answers.h"
#include "../prune/obs.h"
#include "../prune/prune.h"
#include "../prune/reader.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 200, KNOTS = 3 }; /* a layer's share goes up by half a percent at a time */
static const int knots[KNOTS] = { STEPS / 2, STEPS * 3 / 4, STEPS * 9 / 10 }; /* shares measured */
/* As in fitting: what the samples do not show should stay. */
static const double damp = 0.01;

struct curve {
	bool wanted;
	struct pare_lay lay;
	double cost[STEPS]; /* at each share */
	int at;             /* the share so far */
};

struct spreading {
	const struct pare_model *m;
	const struct pare_plan *p;
	const struct pare_calibration *calibration;
	struct pare_ctl *ctl;
	struct curve *curve; /* [n_layers] */
	float *float_answers;
};

static int64_t sites_at(const struct curve *c, int step)
{
	return pare_lay_gone(&c->lay, (float)step / STEPS);
}

/* From what each site costs, in the order in which they go, to what each share does. */
static void sum_up(struct curve *c, const double *cost)
{
	double sum = 0;
	int64_t n = 0;

	for (int i = 0; i < STEPS; i++) {
		for (; n < sites_at(c, i); n++)
			sum += cost[n];
		c->cost[i] = sum;
	}
}

/* ---- by what the output loses ------------------------------------------------------------------
 */

struct looking {
	struct spreading *s;
	struct pare_moments *moments;
	struct pare_gram *gram;
	double *best;
	bool *zero;
	int layer;
};

static enum pare_status look_at_group(void *ctx, int g, int worker, struct pare_err *err)
{
	struct looking *x = ctx;
	struct pare_moments *s = x->moments;
	const struct pare_layer *l = &x->s->m->layers[x->layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	size_t k = (size_t)s->win.k, o = (size_t)s->win.o;
	double *h = malloc(k * k * sizeof *h), *c = s->c + (size_t)g * o * k, ridge;
	const float *w = pare_model_weights(x->s->m, x->layer);
	enum pare_status st;

	(void)worker;
	if (!h)
		return pare_nomem(err, "the products of a layer's inputs");
	pare_moments_center(s, g, pare_model_can_shift(x->s->m, x->layer));
	memcpy(h, s->h + (size_t)g * k * k, k * k * sizeof *h);
	if ((st = pare_gram_new(h, (int)k, damp, &x->gram[g], &ridge, err)))
		return st;
	for (size_t i = 0; i < o * k; i++) {
		x->best[(size_t)g * o * k + i] = (double)
			w[pare_channel_at(&ch, (int64_t)((size_t)g * o + i / k), (int64_t)(i % k))];
		c[i] = 0;
	}
	for (size_t i = 0; i < o; i++) /* its own output is asked for, and it gives it */
		for (size_t j = 0; j < k; j++)
			for (size_t q = 0; q < k; q++)
				c[i * k + q] += x->best[((size_t)g * o + i) * k + j] *
						x->gram[g].h[j * k + q];
	return PARE_OK;
}

/* How far apart the answers come when this layer alone has the weights in x->best. */
static enum pare_status measure(struct looking *x, double *out, struct pare_err *err)
{
	const struct spreading *s = x->s;
	const struct pare_layer *l = &s->m->layers[x->layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	struct pare_blob **both = calloc(2 * (size_t)s->p->n, sizeof *both), *b, *c;
	struct pare_model *m = NULL;
	const float *bias = pare_model_bias(s->m, x->layer);
	bool shifts = pare_model_can_shift(s->m, x->layer);
	int k = x->moments->win.k;
	float *now = NULL;
	enum pare_status st;

	b = pare_blob_new((size_t)l->weights * sizeof(float));
	c = shifts ? pare_blob_new((size_t)ch.channels * sizeof(float)) : NULL;
	if (!both || !b || (shifts && !c)) {
		pare_blob_free(b);
		pare_blob_free(c);
		free(both);
		return pare_nomem(err, "a changed model");
	}
	for (int64_t row = 0; row < ch.channels; row++) {
		double shift = x->moments->t[row];

		for (int i = 0; i < k; i++) {
			double w = x->best[row * k + i];

			((float *)b->data)[pare_channel_at(&ch, row, i)] = (float)w;
			shift -= w * x->moments->x[row / x->moments->win.o * k + i];
		}
		if (c)
			((float *)c->data)[row] = (bias ? bias[row] : 0) + (float)shift;
	}
	both[x->layer] = b;
	both[s->p->n + x->layer] = c;
	st = pare_model_with_weights(s->m, both, both + s->p->n, &m, err);
	if (!st)
		st = pare_answers_of(m, s->calibration, s->ctl, &now, err);
	if (!st)
		*out = pare_answers_apart(s->m, s->calibration, s->float_answers, now);
	free(now);
	pare_model_free(m);
	free(both);
	return st;
}

/* From what the output loses to what the answers lose, which is apart[] at the knots. */
static void bend(struct curve *c, const double *apart)
{
	double local[STEPS], from = 0, from_apart = 0;
	int step = 0;

	memcpy(local, c->cost, sizeof local);
	for (int k = 0; k < KNOTS; k++) {
		double to = local[knots[k]], to_apart = fmax(apart[k], from_apart);
		double slope = (to_apart - from_apart) / fmax(to - from, 1e-30);

		/* beyond the last knot as before it */
		for (; step < STEPS && (step <= knots[k] || k == KNOTS - 1); step++)
			c->cost[step] = from_apart + slope * (local[step] - from);
		from = to;
		from_apart = to_apart;
	}
}

static enum pare_status
follow(struct looking *x, struct pare_obs_path *path, double *cost, struct pare_err *err)
{
	struct curve *c = &x->s->curve[x->layer];
	double apart[KNOTS];
	enum pare_status st = pare_obs_path_costs(path, cost, err);

	for (int i = 0; i < KNOTS && !st; i++) {
		st = pare_obs_path_take(path, (float)knots[i] / STEPS, err);
		if (!st)
			st = measure(x, &apart[i], err);
	}
	if (!st) {
		sum_up(c, cost);
		bend(c, apart);
	}
	return st;
}

static enum pare_status
look_at_layer(struct spreading *s, int layer, struct pare_moments *moments, struct pare_err *err)
{
	const struct curve *c = &s->curve[layer];
	size_t n = (size_t)(c->lay.rows * c->lay.columns);
	struct looking x = { s, moments, calloc((size_t)moments->win.groups, sizeof *x.gram),
		malloc(n * sizeof *x.best), malloc(n), layer };
	struct pare_obs o = { &c->lay, moments->win.o, x.gram, moments->c, x.best, x.zero, false };
	struct pare_obs_path *path = NULL;
	struct pare_progress_span quiet = { 0 };
	double *cost = malloc((size_t)(c->lay.strips * c->lay.sites) * sizeof *cost);
	enum pare_status st = PARE_OK;

	if (!x.gram || !x.best || !x.zero || !cost)
		st = pare_nomem(err, "the choice of weights");
	if (!st)
		st = pare_parallel(moments->win.groups, look_at_group, &x, s->ctl, quiet, err);
	if (!st)
		st = pare_obs_path_new(&o, s->ctl, &path, err);
	if (!st)
		st = follow(&x, path, cost, err);
	pare_obs_path_free(path);
	for (int g = 0; g < moments->win.groups && x.gram; g++)
		pare_gram_free(&x.gram[g]);
	free(x.gram);
	free(x.best);
	free(x.zero);
	free(cost);
	return st;
}

static enum pare_status look(struct spreading *s, struct pare_err *err)
{
	int *order = calloc((size_t)s->p->n + 1, sizeof *order), n = 0;
	struct pare_walk *w = NULL;
	enum pare_status st = order ? pare_walk_new(s->m, s->calibration, &w, err)
				    : pare_nomem(err, "the choice of weights");

	if (!st)
		st = pare_answers_of(s->m, s->calibration, s->ctl, &s->float_answers, err);
	if (!st)
		n = pare_layers_in_order(s->m, pare_walk_program(w), order);
	for (int i = 0; i < n && !st; i++) {
		struct pare_progress_span span = { 16.0 * i, 16.0 * n };
		struct pare_moments moments = { 0 };

		if (!s->curve[order[i]].wanted)
			continue;
		st = pare_walk_to(
			w, order[i], pare_walk_program(w), span, s->ctl, &moments, NULL, err);
		if (!st && moments.win.k)
			st = look_at_layer(s, order[i], &moments, err);
		else
			s->curve[order[i]].wanted = false; /* no product: nothing is known of it */
		pare_moments_free(&moments);
	}
	pare_walk_free(w);
	free(order);
	return st;
}

/* ---- by a score --------------------------------------------------------------------------------
 */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static enum pare_status score(struct spreading *s, int layer, struct pare_err *err)
{
	struct curve *c = &s->curve[layer];
	int64_t n = c->lay.strips * c->lay.sites;
	float *sum = malloc((size_t)n * sizeof *sum);
	double *cost = malloc((size_t)n * sizeof *cost);
	enum pare_status st = sum && cost ? PARE_OK : pare_nomem(err, "the scores of weights");

	if (!st)
		st = pare_site_scores(pare_model_weights(s->m, layer), &c->lay, layer,
			&pare_criteria[s->p->dials[layer].criterion], sum, err);
	for (int64_t i = 0; i < n && !st; i++)
		cost[i] = (double)sum[i];
	if (!st) {
		qsort(cost, (size_t)n, sizeof *cost, by_size);
		sum_up(c, cost);
	}
	free(sum);
	free(cost);
	return st;
}

/* ---- all layers --------------------------------------------------------------------------------
 */

static int64_t weights_at(const struct curve *c, int step)
{
	return sites_at(c, step) * c->lay.pattern->tall * c->lay.pattern->wide;
}

/* What a weight costs when the layer's share goes up to the next at which weights go; infinite when
 * it cannot. */
static double price(const struct curve *c, int *to)
{
	int64_t was = weights_at(c, c->at);

	for (*to = c->at + 1; *to < STEPS; (*to)++)
		if (weights_at(c, *to) > was)
			return (c->cost[*to] - c->cost[c->at]) / (double)(weights_at(c, *to) - was);
	return INFINITY;
}

static enum pare_status spend(struct spreading *s, double share, struct pare_err *err)
{
	int64_t all = 0, gone = 0;

	for (int i = 0; i < s->p->n; i++)
		if (s->curve[i].wanted)
			all += s->m->layers[i].weights;
	while ((double)gone < share * (double)all) {
		double least = INFINITY;
		int best = -1, best_to = 0;

		for (int i = 0; i < s->p->n; i++) {
			double cost;
			int to;

			if (!s->curve[i].wanted)
				continue;
			cost = price(&s->curve[i], &to);
			if (cost < least) {
				least = cost;
				best = i;
				best_to = to;
			}
		}
		if (best < 0)
			return pare_fail(err, PARE_E_ARG,
				"no more than %.1f%% of the weights of these layers can go",
				all ? 100 * (double)gone / (double)all : 0.0);
		gone += weights_at(&s->curve[best], best_to) -
			weights_at(&s->curve[best], s->curve[best].at);
		s->curve[best].at = best_to;
	}
	return PARE_OK;
}

static enum pare_status check(const struct spreading *s, bool *looks, struct pare_err *err)
{
	const struct pare_dials *first = NULL;

	for (int i = 0; i < s->p->n; i++) {
		const struct pare_dials *d = &s->p->dials[i];

		if (!s->curve[i].wanted)
			continue;
		if (first && d->criterion != first->criterion)
			return pare_fail(err, PARE_E_ARG,
				"weights are spread by one criterion for all layers: name it, as "
				"in "
				"'by obs'");
		if (pare_patterns[d->pattern].of)
			return pare_fail(err, PARE_E_ARG,
				"pattern %s takes the same from every layer: nothing to spread",
				pare_patterns[d->pattern].name);
		first = d;
	}
	*looks = first && !pare_criteria[first->criterion].score;
	if (*looks && (!s->calibration || !s->calibration->dataset))
		return pare_fail(err, PARE_E_ARG,
			"weights are spread by obs by looking at calibration data: name some with "
			"--data");
	return PARE_OK;
}

enum pare_status pare_plan_spread_weights(const struct pare_model *m, struct pare_plan *p,
	const bool *layers, double share, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_err *err)
{
	struct spreading s = { .m = m,
		.p = p,
		.calibration = calibration,
		.ctl = ctl,
		.curve = calloc((size_t)p->n + 1, sizeof *s.curve) };
	enum pare_status st = s.curve ? PARE_OK : pare_nomem(err, "the choice of weights");
	bool looks = false;

	for (int i = 0; i < p->n && !st; i++) {
		s.curve[i].lay = pare_lay_over(m, i, p->dials[i].pattern);
		s.curve[i].wanted = layers[i] && s.curve[i].lay.fits;
	}
	if (!st)
		st = check(&s, &looks, err);
	if (!st && looks)
		st = look(&s, err);
	for (int i = 0; i < p->n && !st && !looks; i++)
		if (s.curve[i].wanted)
			st = score(&s, i, err);
	if (!st)
		st = spend(&s, share, err);
	for (int i = 0; i < p->n && !st; i++)
		if (layers[i])
			pare_dials_set_sparsity(&p->dials[i], (float)s.curve[i].at / STEPS);
	free(s.float_answers);
	free(s.curve);
	return st;
}
