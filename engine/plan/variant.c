/* A plan carried out: blocks, channels, ranks, steps, layers, exits. */
#include "variant.h"
#include "../base/err.h"
#include "../prune/blocks.h"
#include "../prune/rank.h"
#include "../quantize/keep.h"
#include "../quantize/saturate.h"
#include "../quantize/steps.h"
#include "asks.h"
#include "making.h"
#include <stdlib.h>
#include <string.h>

/* Heads for where samples leave early; fitted last, to the network as it has become. */
static enum pare_status join_exits(struct making *k, struct pare_err *err)
{
	struct pare_variant *v = k->v;
	enum pare_status st = pare_exits_place(v->model, k->p, v->arena, &v->exits, err);

	if (!st && v->exits.n && (!k->calibration || !k->calibration->dataset))
		return pare_fail(err, PARE_E_ARG,
			"exits are fitted to calibration data: name some with --data");
	if (!st && v->exits.n)
		st = pare_exits_fit(
			v->model, v->acts, k->p, k->calibration, k->ctl, &v->exits, err);
	if (st)
		return st;
	if (v->exits.n)
		return pare_exits_join(v->model, &v->exits, true, NULL, &v->joined, err);
	v->joined = pare_model_ref(v->model);
	return PARE_OK;
}

/* ---- what is done to the whole network ---------------------------------------------------------
 */

/* The network as it has become; the plan has become one for it. */
static const struct pare_model *now(const struct making *k)
{
	return k->left ? k->left : k->m;
}

static void become(struct making *k, struct pare_model *m)
{
	pare_model_free(k->left);
	k->left = m;
}

/* The plan for fewer or more layers, which is taken over; whole [p->n]: that of the plan before of
 * which each is, or is a part; freed. */
static void plan_becomes(struct making *k, struct pare_plan *p, int *whole)
{
	for (int i = 0; i < p->n; i++)
		whole[i] = k->v->whole[whole[i]];
	memcpy(k->v->whole, whole, (size_t)p->n * sizeof *whole);
	free(whole);
	pare_plan_free(k->own);
	k->p = k->own = p;
}

static enum pare_status drop_blocks(struct making *k, struct pare_err *err)
{
	bool *gone = calloc((size_t)k->m->n_residuals + 1, sizeof *gone);
	struct pare_model *m = NULL;
	struct pare_plan *rest;
	int *whole;
	enum pare_status st = gone ? PARE_OK : pare_nomem(err, "the removal of a block");

	if (!st && pare_plan_blocks(k->m, k->p, gone)) {
		st = pare_prune_blocks(k->m, k->p, gone, k->calibration, k->ctl, &m, err);
		if (!st && !(rest = pare_plan_of_rest(k->m, k->p, gone, &whole)))
			st = pare_nomem(err, "the removal of a block");
		else if (!st)
			plan_becomes(k, rest, whole);
		become(k, m);
	}
	free(gone);
	return st;
}

static enum pare_status
drop_channels(struct making *k, struct pare_channel_memo *memo, struct pare_err *err)
{
	struct pare_model *m;
	enum pare_status st;

	if (!pare_plan_cuts(now(k), k->p))
		return PARE_OK;
	st = pare_prune_channels(
		now(k), k->p, k->calibration, k->left ? NULL : memo, k->ctl, &m, err);
	if (!st)
		become(k, m);
	return st;
}

/* Layers become two. */
static enum pare_status part(struct making *k, struct pare_err *err)
{
	struct pare_model *factored;
	struct pare_plan *parts;
	int *whole;
	enum pare_status st;

	if (!pare_plan_factors(now(k), k->p))
		return PARE_OK;
	st = pare_factor_layers(now(k), k->p, k->calibration, false, k->ctl, &factored, err);
	if (st)
		return st;
	st = pare_plan_of_parts(now(k), k->p, &parts, &whole, err);
	if (st) {
		pare_model_free(factored);
		return st;
	}
	plan_becomes(k, parts, whole);
	become(k, factored);
	return PARE_OK;
}

/* The steps before rounding, on what is left. */
static enum pare_status prepare(struct making *k, struct pare_err *err)
{
	struct pare_model *m;
	unsigned steps = k->p->steps;
	enum pare_status st;

	if (pare_steps_look(steps) && !pare_has_samples(k))
		return pare_fail(err, PARE_E_ARG,
			"step %s looks at calibration data: name some with --data",
			pare_steps_look(steps));
	if (!pare_steps_prepare(steps))
		return PARE_OK;
	st = pare_prepare(now(k), steps, k->calibration, k->ctl, &m, err);
	if (!st)
		become(k, m);
	return st;
}

/* Ranges of activations are asked for; roundings that look do so by themselves. */
static bool wants_ranges(const struct making *k)
{
	for (int i = 0; i < k->p->n; i++)
		if (pare_wants_range(now(k), i, &k->p->dials[i]))
			return true;
	return false;
}

/* What enters the layers of another network is new. */
static enum pare_status range_anew(struct making *k, struct pare_err *err)
{
	const struct pare_calibration *c = k->calibration;
	enum pare_status st;

	if (!k->left || !c || !wants_ranges(k))
		return PARE_OK;
	st = pare_calibration_new(k->left, c->dataset, c->n_samples, k->ctl, &k->ranges, err);
	if (st)
		return st;
	pare_keep_free(k->ranges->keep);
	k->ranges->keep = pare_keep_ref(c->keep);
	k->calibration = k->ranges;
	return PARE_OK;
}

/* All of it, in the order of a recipe: blocks, channels, ranks, steps, then layer by layer. */
static enum pare_status
carry_out(struct making *k, struct pare_channel_memo *memo, struct pare_err *err)
{
	struct pare_variant *v = k->v;
	enum pare_status st;

	if (k->p->n != k->m->info.n_layers)
		return pare_fail(err, PARE_E_MISMATCH,
			"the plan is for %d layers, the model has %d", k->p->n,
			k->m->info.n_layers);
	if ((st = drop_blocks(k, err)) || (st = drop_channels(k, memo, err)) ||
		(st = part(k, err)) || (st = prepare(k, err)) || (st = range_anew(k, err)))
		return st;
	k->memo = memo && !k->left ? &memo->first : NULL;
	k->m = now(k);
	v->plain = pare_model_ref(k->m);
	if (k->p->n)
		memcpy(v->dials, k->p->dials, (size_t)k->p->n * sizeof *k->p->dials);
	if ((st = pare_carry_out(k, err)))
		return st;
	st = pare_model_with_weights(k->m, k->weights, k->bias, &v->model, err);
	memset(k->weights, 0, (size_t)k->p->n * sizeof *k->weights); /* taken over, come what may */
	memset(k->bias, 0, (size_t)k->p->n * sizeof *k->bias);
	return st ? st : join_exits(k, err);
}

/* Room for everything, each layer becoming two. */
static struct pare_variant *room_for(struct making *k, struct pare_arena *a)
{
	size_t n = 2 * (size_t)k->m->info.n_layers, heads = n + PARE_MAX_EXITS;
	struct pare_variant *v = k->v = pare_alloc(a, sizeof *v);

	if (!v || !(k->weights = pare_alloc_n(a, n + 1, sizeof *k->weights)) ||
		!(k->bias = pare_alloc_n(a, n + 1, sizeof *k->bias)) ||
		!(k->pruned = pare_alloc_n(a, n + 1, sizeof *k->pruned)) ||
		!(k->fit = pare_alloc_n(a, n, sizeof *k->fit)) ||
		!(v->store = pare_alloc_n(a, heads, sizeof *v->store)) ||
		!(v->pack = pare_alloc_n(a, heads, sizeof *v->pack)) ||
		!(v->acts = pare_alloc_n(a, heads, sizeof *v->acts)) ||
		!(v->plain_acts = pare_alloc_n(a, n + 1, sizeof *v->plain_acts)) ||
		!(v->whole = pare_alloc_n(a, n + 1, sizeof *v->whole)) ||
		!(v->dials = pare_alloc_n(a, n + 1, sizeof *v->dials)) ||
		!(v->picked = pare_alloc_n(a, n, sizeof *v->picked)) ||
		!(v->snr = pare_alloc_n(a, n, sizeof *v->snr)))
		return NULL;
	v->arena = a;
	for (int i = 0; i < (int)n; i++)
		v->whole[i] = i;
	return v;
}

static enum pare_status variant_new(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_channel_memo *memo,
	struct pare_ctl *ctl, struct pare_variant **out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	struct making k = { .m = m, .p = p, .calibration = calibration, .ctl = ctl };
	size_t n = 2 * (size_t)m->info.n_layers;
	enum pare_status st;

	if (!a || !room_for(&k, a)) {
		pare_arena_free(a);
		return pare_nomem(err, "a variant");
	}
	st = carry_out(&k, memo, err);
	for (size_t i = 0; i < n; i++) {
		pare_blob_free(k.pruned[i]);
		pare_blob_free(k.weights[i]);
		pare_blob_free(k.bias[i]);
	}
	pare_calibration_free(k.ranges);
	pare_plan_free(k.own);
	pare_model_free(k.left);
	if (st)
		pare_variant_free(k.v);
	else
		*out = k.v;
	return st;
}

enum pare_status pare_variants_new(const struct pare_model *m, const struct pare_plan *const *plans,
	int n, const struct pare_calibration *calibration, struct pare_ctl *ctl,
	struct pare_variant **out, struct pare_err *err)
{
	struct pare_channel_memo memo = { 0 };
	enum pare_status st = PARE_OK;
	int made = 0;

	while (made < n && !st)
		if (!(st = variant_new(m, plans[made], calibration, n > 1 ? &memo : NULL, ctl,
			      &out[made], err)))
			made++;
	for (int i = 0; i < made && st; i++) {
		pare_variant_free(out[i]);
		out[i] = NULL;
	}
	pare_channel_memo_free(&memo);
	return st;
}

enum pare_status pare_variant_new(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_variant **out,
	struct pare_err *err)
{
	return pare_variants_new(m, &p, 1, calibration, ctl, out, err);
}

void pare_variant_free(struct pare_variant *v)
{
	if (!v)
		return;
	pare_model_free(v->joined);
	pare_model_free(v->model);
	pare_model_free(v->plain);
	pare_arena_free(v->arena);
}

const struct pare_model *pare_variant_model(const struct pare_variant *v)
{
	return v->model;
}

double pare_variant_weight_snr(const struct pare_variant *v, int i)
{
	return v->snr[i];
}

int pare_variant_picked(const struct pare_variant *v, int i)
{
	return v->picked[i];
}

int pare_variant_saturates(const struct pare_variant *v, int *first)
{
	int n = 0;

	for (int i = 0; i < v->model->info.n_layers; i++)
		if (pare_multiplies_bytes(v, i) &&
			pare_pairs_exceed(v->model, i, v->store[i].q) > 0 && !n++)
			*first = v->whole[i];
	return n;
}
