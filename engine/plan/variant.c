/* A plan carried out: channels, ranks, steps, layers, exits. */
#include "variant.h"
#include "../base/err.h"
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

/* Ranges of activations are asked for; roundings that look do so by themselves. */
static bool wants_ranges(const struct pare_model *m, const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (pare_wants_range(m, i, &p->dials[i]))
			return true;
	return false;
}

/* The steps before rounding, on what channels have left. */
static enum pare_status
prepare(struct pare_model **narrow, const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_model *prepared = NULL;
	enum pare_status st =
		pare_prepare(*narrow ? *narrow : m, p->steps, calibration, ctl, &prepared, err);

	if (st)
		return st;
	pare_model_free(*narrow);
	*narrow = prepared;
	return PARE_OK;
}

/* Layers become two, and the plan is for them from then on. */
static enum pare_status part(struct making *k, struct pare_model **narrow, struct pare_err *err)
{
	const struct pare_model *m = *narrow ? *narrow : k->m;
	struct pare_model *factored;
	int *whole;
	enum pare_status st;

	if (!pare_plan_factors(m, k->p))
		return PARE_OK;
	if ((st = pare_plan_of_parts(m, k->p, &k->parts, &whole, err)))
		return st;
	memcpy(k->v->whole, whole, (size_t)k->parts->n * sizeof *whole);
	free(whole);
	st = pare_factor_layers(m, k->p, k->calibration, false, k->ctl, &factored, err);
	if (st)
		return st;
	pare_model_free(*narrow);
	*narrow = factored;
	k->p = k->parts;
	return PARE_OK;
}

static enum pare_status variant_new(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_channel_memo *memo,
	struct pare_ctl *ctl, struct pare_variant **out, struct pare_err *err)
{
	struct pare_calibration *narrow_ranges = NULL;
	struct pare_model *narrow = NULL;
	size_t n = 2 * (size_t)pare_model_info(m)->n_layers; /* each may become two */
	struct pare_arena *a = pare_arena_new();
	struct making k = { .m = m, .p = p, .calibration = calibration, .ctl = ctl };
	enum pare_status st = PARE_OK;

	if (!a)
		return pare_nomem(err, "a variant");
	if (!(k.v = pare_alloc(a, sizeof *k.v)) ||
		!(k.weights = pare_alloc_n(a, n, sizeof *k.weights)) ||
		!(k.bias = pare_alloc_n(a, n, sizeof *k.bias)) ||
		!(k.pruned = pare_alloc_n(a, n, sizeof *k.pruned)) ||
		!(k.fit = pare_alloc_n(a, n, sizeof *k.fit)) ||
		!(k.v->store = pare_alloc_n(a, n + PARE_MAX_EXITS, sizeof *k.v->store)) ||
		!(k.v->pack = pare_alloc_n(a, n + PARE_MAX_EXITS, sizeof *k.v->pack)) ||
		!(k.v->acts = pare_alloc_n(a, n + PARE_MAX_EXITS, sizeof *k.v->acts)) ||
		!(k.v->plain_acts = pare_alloc_n(a, n + 1, sizeof *k.v->plain_acts)) ||
		!(k.v->whole = pare_alloc_n(a, n + 1, sizeof *k.v->whole)) ||
		!(k.v->dials = pare_alloc_n(a, n + 1, sizeof *k.v->dials)) ||
		!(k.v->picked = pare_alloc_n(a, n, sizeof *k.v->picked)) ||
		!(k.v->snr = pare_alloc_n(a, n, sizeof *k.v->snr))) {
		pare_arena_free(a);
		return pare_nomem(err, "a variant");
	}
	k.v->arena = a;
	for (int i = 0; i < (int)n; i++)
		k.v->whole[i] = i;
	if (p->n != pare_model_info(m)->n_layers)
		st = pare_fail(err, PARE_E_MISMATCH, "the plan is for %d layers, the model has %d",
			p->n, pare_model_info(m)->n_layers);
	else if (pare_plan_cuts(m, p))
		st = pare_prune_channels(m, p, calibration, memo, ctl, &narrow, err);
	if (!st)
		st = part(&k, &narrow, err);
	if (!st && pare_steps_look(p->steps) && (!calibration || !calibration->dataset))
		st = pare_fail(err, PARE_E_ARG,
			"step %s looks at calibration data: name some with --data",
			pare_steps_look(p->steps));
	if (!st && pare_steps_prepare(p->steps))
		st = prepare(&narrow, m, p, calibration, ctl, err);
	k.m = narrow ? narrow : m;
	if (!st && narrow && calibration &&
		wants_ranges(k.m, k.p)) { /* what enters its layers is new */
		st = pare_calibration_new(narrow, calibration->dataset, calibration->n_samples, ctl,
			&narrow_ranges, err);
		if (!st) {
			pare_keep_free(narrow_ranges->keep);
			narrow_ranges->keep = pare_keep_ref(calibration->keep);
		}
		k.calibration = narrow_ranges;
	}
	k.memo = memo && !narrow ? &memo->first : NULL;
	k.v->plain = pare_model_ref(k.m);
	if (!st && k.p->n)
		memcpy(k.v->dials, k.p->dials, (size_t)k.p->n * sizeof *k.p->dials);
	if (!st)
		st = pare_carry_out(&k, err);
	for (size_t i = 0; i < n; i++) {
		pare_blob_free(k.pruned[i]);
		if (st) {
			pare_blob_free(k.weights[i]);
			pare_blob_free(k.bias[i]);
		}
	}
	if (!st)
		st = pare_model_with_weights(k.m, k.weights, k.bias, &k.v->model, err);
	if (!st)
		st = join_exits(&k, err);
	pare_calibration_free(narrow_ranges);
	pare_plan_free(k.parts);
	pare_model_free(narrow);
	if (st) {
		pare_model_free(k.v->model);
		pare_model_free(k.v->plain);
		pare_arena_free(a);
	} else
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
