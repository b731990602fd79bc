#include "variant.h"
#include "../base/err.h"
#include "../prune/rank.h"
#include "../quantize/choose.h"
#include "../quantize/keep.h"
#include "../quantize/saturate.h"
#include "../quantize/steps.h"
#include "fit.h"
#include "stored.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double snr_db(const float *was, const float *now, int64_t n)
{
	double signal = 0, noise = 0;

	for (int64_t i = 0; i < n; i++) {
		double d = (double)was[i] - (double)now[i];

		signal += (double)was[i] * (double)was[i];
		noise += d * d;
	}
	return noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

void pare_round_floats(const struct pare_format *f, float *w, int64_t n)
{
	for (int64_t k = 0; f->store == PARE_F16 && k < n; k++)
		w[k] = pare_f16_to_f32(pare_f32_to_f16(w[k]));
	for (int64_t k = 0; f->store == PARE_BF16 && k < n; k++)
		w[k] = pare_bf16_to_f32(pare_f32_to_bf16(w[k]));
}

struct pare_grid pare_plan_grid(const struct pare_layer *l, const struct pare_dials *d)
{
	const struct pare_format *f = &pare_formats[d->weights];

	return pare_grid_of(&l->weight, l->out_axis, d->granularity, d->scheme, f->lo, f->hi);
}

struct pare_weight_store
pare_plan_store(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	const struct pare_layer *l = pare_model_layer(m, layer);
	const struct pare_codes *stored = pare_stored_codes(m, layer, d);
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_weight_store s = { .dtype = f->store, .axis = -1 };
	struct pare_grid g;

	if (stored)
		return (struct pare_weight_store){ .dtype = stored->store,
			.axis = stored->axis,
			.group = stored->group,
			.n_scales = stored->n,
			.scale = stored->scale };
	if (f->kind != PARE_KIND_INT)
		return s;
	g = pare_plan_grid(l, d);
	s.axis = pare_granularities[d->granularity].per_channel ? l->out_axis : -1;
	s.group = g.n_groups > 1 ? g.group : 0;
	s.n_scales = pare_grid_scales(&g);
	return s;
}

/* While a plan is carried out. */
struct making {
	struct pare_variant *v;
	const struct pare_model *m;
	const struct pare_plan *p;
	const struct pare_calibration *calibration;
	struct pare_moments_memo *memo; /* of what enters the layers of `m`; NULL = none */
	struct pare_ctl *ctl;
	struct pare_blob **weights, **bias; /* [n_layers] */
	struct pare_blob **pruned;          /* [n_layers] of layers that look at samples */
	struct pare_fit_layer *fit;         /* [n_layers] */
	struct pare_plan *parts;            /* p, where layers became two */
};

static enum pare_status quantize_layer(struct making *k, const struct pare_layer *l, int i,
	const struct pare_dials *d, float *w, struct pare_err *err)
{
	struct pare_variant *v = k->v;
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_weight_store *s = &v->store[i];
	struct pare_grid g;
	size_t n;
	float *scale;
	int8_t *zero, *q;
	enum pare_status st;

	*s = pare_plan_store(k->m, i, d);
	if (pare_stored_codes(k->m, i, d))
		return pare_quantize_stored(
			pare_stored_codes(k->m, i, d), &l->weight, v->arena, w, s, err);
	if (f->kind == PARE_KIND_FLOAT) {
		pare_round_floats(f, w, l->weights);
		return PARE_OK;
	}
	g = pare_plan_grid(l, d);
	n = (size_t)pare_grid_scales(&g);
	scale = pare_alloc_n(v->arena, n, sizeof *scale);
	zero = pare_alloc(v->arena, n);
	q = pare_alloc(v->arena, (size_t)l->weights);
	if (!scale || !zero || !q)
		return pare_nomem(err, "quantized weights");
	s->scale = scale;
	s->zero = zero;
	s->q = q;
	st = pare_grid_round(w, &g, scale, zero, q, w, err);
	return st ? st
		  : pare_bias_for(&g, &v->acts[i], pare_model_bias(k->m, i),
			    l->weight.d[l->out_axis], scale, zero, q, w, &k->bias[i], err);
}

static bool rounding_looks(const struct pare_dials *d)
{
	return pare_formats[d->weights].kind == PARE_KIND_INT &&
	       pare_rounding_looks(&pare_roundings[d->rounding]);
}

/* Each weight to the nearest will do where there are no samples. */
static bool makes_do(const struct pare_dials *d)
{
	return pare_roundings[d->rounding].makes_do;
}

static bool has_samples(const struct making *k)
{
	return k->calibration && k->calibration->dataset;
}

static bool pruning_looks(const struct pare_dials *d)
{
	return d->sparsity > 0 && !pare_criteria[d->criterion].score;
}

static bool weights_go(const struct pare_model *m, int i, const struct pare_dials *d)
{
	struct pare_lay l = pare_lay_over(m, i, d->pattern);

	return pare_lay_gone(&l, d->sparsity) > 0;
}

bool pare_plan_adds_bias(const struct pare_model *m, const struct pare_plan *p, int i)
{
	const struct pare_dials *d = &p->dials[i];
	bool shifts = (rounding_looks(d) && pare_roundings[d->rounding].shifts) ||
		      (pruning_looks(d) && weights_go(m, i, d)) ||
		      (pare_steps_shift(p->steps) && (d->weights || weights_go(m, i, d)));

	return shifts && m->weight_at[i].bias < 0 && pare_model_can_shift(m, i);
}

static bool wants_range(const struct pare_model *m, int i, const struct pare_dials *d)
{
	return d->activations && !pare_rangings[d->ranging].dynamic && !pare_stored_act(m, i, d);
}

bool pare_plan_looks(const struct pare_model *m, const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (rounding_looks(&p->dials[i]))
			return true;
	return pare_plan_needs_samples(m, p);
}

bool pare_plan_needs_samples(const struct pare_model *m, const struct pare_plan *p)
{
	bool space;

	if (pare_steps_look(p->steps))
		return true;
	for (int i = 0; i < p->n; i++) {
		const struct pare_dials *d = &p->dials[i];

		if (wants_range(m, i, d) || d->exit != 0 || (rounding_looks(d) && !makes_do(d)) ||
			pruning_looks(d) ||
			(d->channels > 0 && (!pare_channel_criteria[d->channel_criterion].score ||
						    pare_repairs[d->repair].looks)) ||
			(pare_rank_criteria[d->rank_criterion].looks &&
				pare_rank_of(m, i, d, &space)))
			return true;
	}
	return false;
}

static enum pare_status
check_dials(const struct making *k, int i, const struct pare_dials *d, struct pare_err *err)
{
	bool ranged = wants_range(k->m, i, d);

	if (ranged && !k->calibration)
		return pare_fail(err, PARE_E_ARG,
			"activations can be quantized only with calibration data: name some with "
			"--data, or say range dynamic");
	if (d->activations && pare_rangings[d->ranging].dynamic &&
		pare_formats[d->activations].bits != 8)
		return pare_fail(err, PARE_E_ARG,
			"range dynamic is for 8 bits: activations %s cannot have it",
			pare_formats[d->activations].name);
	if (rounding_looks(d) && !makes_do(d) && !has_samples(k))
		return pare_fail(err, PARE_E_ARG,
			"round %s looks at calibration data: name some with --data",
			pare_roundings[d->rounding].name);
	if (pruning_looks(d) && !has_samples(k))
		return pare_fail(err, PARE_E_ARG,
			"weights go by %s by looking at calibration data: name some with --data",
			pare_criteria[d->criterion].name);
	return PARE_OK;
}

/* Quantizers of activations; `choices`: for whom there are several. */
static void find_range(struct making *k, int i, struct pare_act_choices *choices)
{
	const struct pare_dials *d = &k->p->dials[i];
	const struct pare_ranging *how = &pare_rangings[d->ranging];
	const struct pare_format *f = &pare_formats[d->activations];
	const struct pare_range *r = wants_range(k->m, i, d) ? &k->calibration->range[i] : NULL;
	const struct pare_calibrator *c = &pare_calibrators[d->calibrator];

	if (pare_stored_act(k->m, i, d))
		k->v->acts[i] = *pare_stored_act(k->m, i, d);
	else if (d->activations)
		k->v->acts[i] = pare_act_quant_of(r, c, how, f);
	k->v->plain_acts[i] =
		r ? pare_act_quant_of(r, pare_calibrator_plain(), how, f) : k->v->acts[i];
	if (!r || !c->tries || !k->calibration->dataset)
		return;
	for (c = pare_calibrators; c->name && choices->n < PARE_MOST_CHOICES; c++)
		if (!c->tries && !c->stored)
			choices->from[choices->n++] = pare_act_quant_of(r, c, how, f);
}

static enum pare_status find_ranges(struct making *k, struct pare_err *err)
{
	int n = pare_model_info(k->m)->n_layers;
	struct pare_act_choices *choices = calloc((size_t)n + 1, sizeof *choices);
	enum pare_status st = choices ? PARE_OK : pare_nomem(err, "a variant");

	for (int i = 0; i < n && !st; i++) {
		st = check_dials(k, i, &k->p->dials[i], err);
		if (st)
			pare_wrap(err, st, "layer '%s'", pare_model_layer(k->m, i)->name);
		else
			find_range(k, i, &choices[i]);
	}
	if (!st)
		st = pare_acts_choose(k->m, k->calibration, choices, k->v->acts, k->ctl, err);
	free(choices);
	return st;
}

/* New weights for a layer; weights[i] stays NULL when the plan leaves them alone. */
static enum pare_status carry_out(struct making *k, int i, struct pare_err *err)
{
	const struct pare_dials *d = &k->p->dials[i];
	const struct pare_layer *l = pare_model_layer(k->m, i);
	const float *was = pare_model_weights(k->m, i);
	struct pare_lay lay = pare_lay_over(k->m, i, d->pattern);
	bool goes = weights_go(k->m, i, d), later = goes && pruning_looks(d);
	struct pare_blob *b;
	enum pare_status st = PARE_OK;

	k->v->pack[i] = pare_plan_pack(k->m, i, d);
	if (!d->weights && !goes)
		return PARE_OK;
	b = k->weights[i] = pare_blob_new((size_t)l->weights * sizeof *was);
	if (!b)
		return pare_nomem(err, "the weights of a layer");
	memcpy(b->data, was, (size_t)l->weights * sizeof *was);
	if (goes && !later)
		st = pare_prune_by_score(
			b->data, &lay, i, d->sparsity, &pare_criteria[d->criterion], err);
	if (!st && ((rounding_looks(d) && has_samples(k)) || later)) {
		if (!(k->pruned[i] = pare_blob_new(b->len)))
			return pare_nomem(err, "the weights of a layer");
		memcpy(k->pruned[i]->data, b->data, b->len);
	}
	if (!st)
		st = quantize_layer(k, l, i, d, b->data, err);
	return st;
}

/* Layers that look at samples: again, from their weights as they were before. */
static enum pare_status look(struct making *k, struct pare_err *err)
{
	int n = pare_model_info(k->m)->n_layers;
	enum pare_status st;

	for (int i = 0; i < n; i++) {
		const struct pare_dials *d = &k->p->dials[i];
		const struct pare_weight_store *s = &k->v->store[i];
		bool integer = pare_formats[d->weights].kind == PARE_KIND_INT;
		const struct pare_layer *l = pare_model_layer(k->m, i);
		bool settles = k->weights[i] && pare_steps_shift(k->p->steps);

		if (!k->pruned[i] && !settles)
			continue;
		k->fit[i] = (struct pare_fit_layer){ .fits = true,
			.shifts = settles,
			.scales = settles && pare_steps_scale(k->p->steps),
			.w = k->pruned[i] ? k->pruned[i]->data : NULL,
			.prunes = pruning_looks(d) && weights_go(k->m, i, d),
			.lay = pare_lay_over(k->m, i, d->pattern),
			.sparsity = d->sparsity,
			.rounding = integer && k->pruned[i] ? &pare_roundings[d->rounding] : NULL,
			.grid = pare_plan_grid(l, d),
			.keep_zeros = d->sparsity > 0,
			.scale = (float *)(uintptr_t)s->scale,
			.zero = (int8_t *)(uintptr_t)s->zero,
			.q = (int8_t *)(uintptr_t)s->q,
			.work = pare_efforts[d->effort].work };
	}
	st = pare_fit(k->m, k->calibration, k->memo, k->v->acts, k->fit, k->weights, k->bias,
		k->ctl, err);
	for (int i = 0; i < n && !st; i++) {
		if (k->fit[i].picked)
			k->v->picked[i] = (int)(k->fit[i].picked - pare_roundings);
		if (k->fit[i].fits)
			pare_round_floats(&pare_formats[k->p->dials[i].weights],
				k->weights[i]->data, pare_model_layer(k->m, i)->weights);
	}
	return st;
}

/* Without samples: biases that the plan brings in are zeros, the others are corrected as far as
 * what enters their layers is known. */
static enum pare_status correct_blindly(struct making *k, struct pare_err *err)
{
	for (int i = 0; i < k->p->n; i++) {
		const struct pare_layer *l = pare_model_layer(k->m, i);

		if (pare_plan_adds_bias(k->m, k->p, i) && !k->bias[i] &&
			!(k->bias[i] = pare_blob_new(
				  (size_t)l->weight.d[l->out_axis] * sizeof(float))))
			return pare_nomem(err, "a bias");
	}
	return pare_correct_by_normals(k->m, k->weights, k->bias, err);
}

/* Weights that a runtime multiplies as int8 by uint8: in groups they are floats to it. */
static bool multiplies_bytes(const struct pare_variant *v, int i)
{
	const struct pare_weight_store *s = &v->store[i];

	return s->q && s->dtype == PARE_I8 && !s->group && pare_act_saturates(&v->acts[i]);
}

static enum pare_status narrow_pairs(struct making *k, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	for (int i = 0; i < k->p->n && !st; i++) {
		const struct pare_weight_store *s = &k->v->store[i];
		const struct pare_layer *l = pare_model_layer(k->m, i);
		struct pare_grid g = pare_plan_grid(l, &k->p->dials[i]);
		float *scale = (float *)(uintptr_t)s->scale, *w;
		int8_t *zero = (int8_t *)(uintptr_t)s->zero, *q = (int8_t *)(uintptr_t)s->q;

		if (!multiplies_bytes(k->v, i) || pare_stored_codes(k->m, i, &k->p->dials[i]))
			continue;
		w = k->weights[i]->data;
		if (pare_pairs_narrow(k->m, i, &g, scale, zero, q, w))
			st = pare_bias_for(&g, &k->v->acts[i],
				k->bias[i] ? k->bias[i]->data : pare_model_bias(k->m, i),
				l->weight.d[l->out_axis], scale, zero, q, w, &k->bias[i], err);
	}
	return st;
}

int pare_variant_saturates(const struct pare_variant *v, int *first)
{
	int n = 0;

	for (int i = 0; i < v->model->info.n_layers; i++)
		if (multiplies_bytes(v, i) && pare_pairs_exceed(v->model, i, v->store[i].q) > 0 &&
			!n++)
			*first = v->whole[i];
	return n;
}

static enum pare_status make(struct making *k, struct pare_err *err)
{
	int n = pare_model_info(k->m)->n_layers;
	enum pare_status st = find_ranges(k, err);
	bool looks = false;

	if (st)
		return st;
	for (int i = 0; i < n; i++) {
		if (k->ctl && atomic_load(&k->ctl->cancel))
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		k->v->picked[i] = -1;
		if ((st = carry_out(k, i, err)))
			return pare_wrap(err, st, "layer '%s'", pare_model_layer(k->m, i)->name);
		looks |= k->pruned[i] || (k->weights[i] && pare_steps_shift(k->p->steps));
	}
	if (looks && has_samples(k))
		st = look(k, err);
	else if (looks)
		st = correct_blindly(k, err);
	if (st)
		return st;
	if (pare_steps_narrow(k->p->steps) && (st = narrow_pairs(k, err)))
		return st;
	for (int i = 0; i < n; i++)
		k->v->snr[i] = k->weights[i]
				       ? snr_db(pare_model_weights(k->m, i), k->weights[i]->data,
						 pare_model_layer(k->m, i)->weights)
				       : INFINITY;
	return PARE_OK;
}

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
		if (wants_range(m, i, &p->dials[i]))
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
		st = make(&k, err);
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
