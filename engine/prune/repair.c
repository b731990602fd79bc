/* Channels go, and who read them makes up for it.
 *
 * A walk through the float network and the pruned one side by side, in network order.  At each
 * layer that reads channels of a group: which of them are missed least (unless that has been
 * settled), then weights and bias that give, from what is left and as it has become, what the float
 * network gives. Until the walk is over the pruned network keeps its shape and merely does not look
 * at what went. */
#include "../quantize/follow.h"
#include "behind.h"
#include "criteria.h"
#include <stdlib.h>
#include <string.h>

struct repair {
	const struct pare_model *m;
	struct pare_model *start; /* the same, whose recurrent layers do not look at what went */
	const struct pare_calibration *calibration; /* NULL = none */
	struct pare_channel_memo *memo;             /* NULL = none is kept */
	struct pare_ctl *ctl;
	const struct pare_dials **dials;    /* [n_groups]; NULL = nothing goes */
	bool *keep;                         /* [n_units] */
	bool *chosen;                       /* [n_groups]: keep says what goes */
	int *order;                         /* layers as they run */
	struct pare_blob **weights, **bias; /* [n_layers]; NULL = as they were */
	bool changed;                       /* a layer has been visited */
	bool throughout;                    /* from there on all are */
	struct pare_follow pruned;          /* the network as it is so far */
};

static const float *weights_now(const struct repair *r, int layer)
{
	return r->weights[layer] ? r->weights[layer]->data : pare_model_weights(r->m, layer);
}

/* Does what enters the layer change, so that something is to be done, and is it to be refitted? */
static bool reads_pruned(struct repair *r, int layer, bool *repairs)
{
	bool reads = false;

	*repairs = false;
	for (int g = 0; g < r->m->n_groups; g++)
		if (r->dials[g] && pare_reads_group(r->m, layer, g)) {
			reads = true;
			*repairs |= pare_repairs[r->dials[g]->repair].looks;
			r->throughout |= pare_repairs[r->dials[g]->repair].throughout;
		}
	*repairs |= r->throughout;
	return reads || r->throughout;
}

/* ---- one layer ---------------------------------------------------------------------------------
 */

/* Nobody looks at what went; weights are otherwise as they were. */
static enum pare_status mask(struct repair *r, int layer, struct pare_err *err)
{
	const struct pare_layer *l = &r->m->layers[layer];
	const struct pare_var_channels *in = pare_reads(r->m, layer);
	int64_t len = l->weight.d[l->in_axis],
		inner = pare_shape_span(&l->weight, l->in_axis + 1, l->weight.n);
	struct pare_blob *b = pare_blob_new((size_t)l->weights * sizeof(float));
	float *w;

	if (!b)
		return pare_nomem(err, "the weights of a layer");
	w = b->data;
	memcpy(w, weights_now(r, layer), b->len);
	for (int64_t i = 0; in && i < l->weights; i++) {
		int unit = in->unit[i / inner % len];

		if (unit >= 0 && !r->keep[unit])
			w[i] = 0;
	}
	pare_blob_free(r->weights[layer]);
	r->weights[layer] = b;
	return PARE_OK;
}

/* Groups that a layer reads and that are not chosen yet are chosen by what it alone loses. */
static enum pare_status
refit(struct repair *r, int layer, struct pare_moments *s, bool repairs, struct pare_err *err)
{
	const struct pare_model *m = r->m;
	struct pare_reader *x = NULL;
	int n = s->win.groups;
	enum pare_status st = pare_readers_new(m, layer, weights_now(r, layer), s, &x, err);

	/* what has been chosen first: the others count without it */
	for (int pass = 0; pass < 2; pass++)
		for (int g = 0; g < m->n_groups && !st; g++) {
			const struct pare_group *u = &m->groups[g];

			if (!r->dials[g] || !pare_reads_group(m, layer, g) || r->chosen[g] == pass)
				continue;
			if (!pass) {
				st = pare_readers_drop(
					x, n, u->first, u->first + u->n, r->keep, err);
				continue;
			}
			st = pare_readers_choose(m, g, x, n, r->dials[g]->channels, r->keep, NULL,
				NULL, r->ctl, err);
			r->chosen[g] = true;
		}
	if (!st && repairs)
		st = pare_readers_refit_behind(x, s, pare_model_bias(m, layer), err);
	if (!st)
		st = repairs ? pare_readers_settle(
				       x, m, layer, s, &r->weights[layer], &r->bias[layer], err)
			     : mask(r, layer, err);
	pare_readers_free(x, x ? n : 0);
	return st;
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static enum pare_status
visit(struct repair *r, int layer, struct pare_progress_span span, struct pare_err *err)
{
	struct pare_moments s = { 0 };
	bool repairs;
	enum pare_status st;

	if (!reads_pruned(r, layer, &repairs))
		return PARE_OK;
	st = r->changed ? pare_follow_to(&r->pruned, layer, span, r->ctl, &s, err)
			/* what enters it is what enters it in the float network, whatever goes */
			: pare_walk_float(r->pruned.walk, layer, r->memo ? &r->memo->first : NULL,
				  span, r->ctl, &s, err);
	r->changed = true;
	if (!st && s.win.k)
		st = refit(r, layer, &s, repairs, err);
	else if (!st)
		st = mask(r, layer, err);
	pare_moments_free(&s);
	return st ? pare_wrap(err, st, "layer '%s'", r->m->layers[layer].name) : st;
}

static enum pare_status walk_through(struct repair *r, struct pare_err *err)
{
	enum pare_status st =
		pare_follow_new(r->m, r->calibration, r->weights, r->bias, &r->pruned, err);
	int n;

	if (st)
		return st;
	r->pruned.m = r->start;
	pare_walk_want_columns(r->pruned.walk, true);
	n = pare_layers_in_order(r->m, pare_walk_program(r->pruned.walk), r->order);
	for (int i = 0; i < n && !st; i++)
		st = visit(r, r->order[i], (struct pare_progress_span){ 16.0 * i, 16.0 * n }, err);
	pare_follow_free(&r->pruned);
	return st;
}

/* ---- the choice that need not wait for the walk ------------------------------------------------
 */

/* Layers that read the group and whose loss can be told. */
static int n_readers(const struct pare_model *m, int group)
{
	int n = 0;

	for (int l = 0; l < m->info.n_layers; l++)
		n += pare_reads_group(m, l, group) && m->graph.nodes[m->layers[l].node].op->windows;
	return n;
}

static bool is_recurrent(const struct pare_model *m, int group)
{
	for (int l = 0; l < m->info.n_layers; l++)
		if (m->layers[l].group == group && pare_own_units(m, l))
			return true;
	return false;
}

static void drop(struct repair *r, int group, const int *order)
{
	pare_drop_units(r->m, group, r->dials[group]->channels, order, r->keep);
	r->chosen[group] = true;
}

/* Drop by an order [units] that is taken over and kept for the next plan. */
static void drop_and_keep(struct repair *r, int group, int *order)
{
	struct pare_channel_memo *memo = r->memo;

	drop(r, group, order);
	if (!memo) {
		free(order);
		return;
	}
	free(memo->order);
	memo->group = group;
	memo->criterion = r->dials[group]->channel_criterion;
	memo->order = order;
}

static bool drop_as_before(struct repair *r, int group)
{
	const struct pare_channel_memo *memo = r->memo;

	if (!memo || !memo->order || memo->group != group ||
		memo->criterion != r->dials[group]->channel_criterion)
		return false;
	drop(r, group, memo->order);
	return true;
}

/* Groups of several readers, or none, and those that read themselves, are chosen by what all of
 * them lose in the float network. */
static enum pare_status choose_shared(struct repair *r, struct pare_err *err)
{
	bool *wanted = calloc((size_t)r->m->n_groups + 1, sizeof *wanted), any = false;
	struct pare_survey survey = { 0 };
	enum pare_status st = PARE_OK;

	if (!wanted)
		return pare_nomem(err, "the choice of channels");
	for (int g = 0; g < r->m->n_groups; g++) {
		wanted[g] = r->dials[g] && !r->chosen[g] &&
			    (n_readers(r->m, g) != 1 || is_recurrent(r->m, g)) &&
			    !drop_as_before(r, g);
		any |= wanted[g];
	}
	if (any)
		st = pare_survey_new(r->m, wanted, r->calibration, r->ctl, &survey, err);
	for (int g = 0; g < r->m->n_groups && any && !st; g++) {
		if (!wanted[g])
			continue;
		if (!survey.group[g].n) {
			drop(r, g, NULL);
			continue;
		}
		drop_and_keep(r, g, survey.group[g].order);
		survey.group[g].order = NULL;
	}
	pare_survey_free(&survey);
	free(wanted);
	return st;
}

/* The first criterion that looks at weights alone stands in where no reader's loss can be told. */
static const struct pare_channel_criterion *criterion_of(const struct repair *r, int group)
{
	const struct pare_channel_criterion *c =
		&pare_channel_criteria[r->dials[group]->channel_criterion];

	if (!c->score && !c->measure && !n_readers(r->m, group))
		for (c = pare_channel_criteria; !c->score;)
			c++;
	return c;
}

/* By weights, where criteria look at no more; true in *looks when samples are needed still. */
static enum pare_status choose_by_weights(struct repair *r, bool *looks, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	*looks = false;
	for (int g = 0; g < r->m->n_groups && !st; g++) {
		const struct pare_channel_criterion *c = r->dials[g] ? criterion_of(r, g) : NULL;
		int *order;

		if (!c)
			continue;
		*looks |= pare_repairs[r->dials[g]->repair].looks || !c->score;
		if (!c->score)
			continue;
		order = malloc((size_t)r->m->groups[g].n * sizeof *order);
		st = order ? pare_order_by_weights(r->m, g, c, order, err)
			   : pare_nomem(err, "the choice of channels");
		if (!st)
			drop(r, g, order);
		free(order);
	}
	return st;
}

/* The groups that ask for one criterion, by what it finds on samples. */
static enum pare_status choose_measured(struct repair *r, const struct pare_channel_criterion *by,
	bool *wanted, struct pare_err *err)
{
	double *score = calloc((size_t)r->m->n_units + 1, sizeof *score);
	bool any = false;
	enum pare_status st = score ? PARE_OK : pare_nomem(err, "the choice of channels");

	for (int g = 0; g < r->m->n_groups; g++) {
		wanted[g] = r->dials[g] && criterion_of(r, g) == by && !drop_as_before(r, g);
		any |= wanted[g];
	}
	if (!st && any)
		st = by->measure(r->m, wanted, r->calibration, r->ctl, score, err);
	for (int g = 0; g < r->m->n_groups && !st; g++) {
		const struct pare_group *u = &r->m->groups[g];
		int *order;

		if (!wanted[g])
			continue;
		order = malloc((size_t)u->n * sizeof *order);
		st = order ? pare_order_by_score(score + u->first, u->n, order, err)
			   : pare_nomem(err, "the choice of channels");
		if (!st)
			drop_and_keep(r, g, order);
		else
			free(order);
	}
	free(score);
	return st;
}

static enum pare_status choose_by_samples(struct repair *r, struct pare_err *err)
{
	bool *wanted = calloc((size_t)r->m->n_groups + 1, sizeof *wanted);
	enum pare_status st = wanted ? PARE_OK : pare_nomem(err, "the choice of channels");

	for (const struct pare_channel_criterion *c = pare_channel_criteria; c->name && !st; c++)
		if (c->measure)
			st = choose_measured(r, c, wanted, err);
	free(wanted);
	return st ? st : choose_shared(r, err);
}

/* Recurrent layers look at themselves all along: what went of them is gone from the start. */
static enum pare_status begin(struct repair *r, struct pare_err *err)
{
	float *gate = malloc(((size_t)r->m->n_units + 1) * sizeof *gate);
	enum pare_status st;

	if (!gate)
		return pare_nomem(err, "the choice of channels");
	for (int u = 0; u < r->m->n_units; u++)
		gate[u] = 1;
	for (int g = 0; g < r->m->n_groups; g++) {
		const struct pare_group *u = &r->m->groups[g];

		if (!r->dials[g] || !is_recurrent(r->m, g))
			continue;
		r->changed = true;
		for (int i = u->first; i < u->first + u->n; i++)
			gate[i] = r->keep[i];
	}
	st = pare_model_gated(r->m, gate, &r->start, err);
	free(gate);
	return st;
}

static enum pare_status prune(struct repair *r, struct pare_model **out, struct pare_err *err)
{
	struct pare_model *masked;
	bool looks;
	enum pare_status st = choose_by_weights(r, &looks, err);

	if (!st && looks && (!r->calibration || !r->calibration->dataset))
		return pare_fail(err, PARE_E_ARG,
			"channels are chosen and made up for by looking at calibration data: name "
			"some with --data, or prune by l2 with repair none");
	if (!st && looks)
		st = choose_by_samples(r, err);
	if (!st)
		st = begin(r, err);
	if (!st && looks)
		st = walk_through(r, err);
	if (!st)
		st = pare_model_now(r->start, r->weights, r->bias, &masked, err);
	if (st)
		return st;
	st = pare_model_without_channels(masked, r->keep, false, out, err);
	pare_model_free(masked);
	return st;
}

enum pare_status pare_prune_channels(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_channel_memo *memo,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	size_t n = (size_t)m->info.n_layers + 1, groups = (size_t)m->n_groups + 1;
	struct repair r = { .m = m, .calibration = calibration, .memo = memo, .ctl = ctl };
	enum pare_status st;

	if (a && (r.keep = pare_alloc(a, (size_t)m->n_units + 1)) &&
		(r.chosen = pare_alloc_n(a, groups, sizeof *r.chosen)) &&
		(r.dials = pare_alloc_n(a, groups, sizeof *r.dials)) &&
		(r.order = pare_alloc_n(a, n, sizeof *r.order)) &&
		(r.weights = pare_alloc_n(a, n, sizeof *r.weights)) &&
		(r.bias = pare_alloc_n(a, n, sizeof *r.bias))) {
		memset(r.keep, true, (size_t)m->n_units);
		for (int i = 0; i < m->info.n_layers; i++)
			if (pare_group_gone(m, i, p->dials[i].channels) > 0)
				r.dials[m->layers[i].group] = &p->dials[i];
		st = prune(&r, out, err);
	} else
		st = pare_nomem(err, "the choice of channels");
	for (int i = 0; i < m->info.n_layers && r.bias; i++) {
		pare_blob_free(r.weights[i]);
		pare_blob_free(r.bias[i]);
	}
	pare_model_free(r.start);
	pare_arena_free(a);
	return st;
}

void pare_channel_memo_free(struct pare_channel_memo *memo)
{
	pare_moments_memo_free(&memo->first);
	free(memo->order);
	*memo = (struct pare_channel_memo){ 0 };
}
