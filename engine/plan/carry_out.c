/* The layers of a plan, carried out. */
#include "../base/err.h"
#include "../prune/prune.h"
#include "../quantize/choose.h"
#include "../quantize/saturate.h"
#include "../quantize/steps.h"
#include "asks.h"
#include "making.h"
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

static enum pare_status
check_dials(const struct making *k, int i, const struct pare_dials *d, struct pare_err *err)
{
	bool ranged = pare_wants_range(k->m, i, d);

	if (ranged && !k->calibration)
		return pare_fail(err, PARE_E_ARG,
			"activations can be quantized only with calibration data: name some with "
			"--data, or say range dynamic");
	if (d->activations && pare_rangings[d->ranging].dynamic &&
		pare_formats[d->activations].bits != 8)
		return pare_fail(err, PARE_E_ARG,
			"range dynamic is for 8 bits: activations %s cannot have it",
			pare_formats[d->activations].name);
	if (pare_rounds_by_samples(d) && !pare_rounds_without(d) && !pare_has_samples(k))
		return pare_fail(err, PARE_E_ARG,
			"round %s looks at calibration data: name some with --data",
			pare_roundings[d->rounding].name);
	if (pare_prunes_by_samples(d) && !pare_has_samples(k))
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
	const struct pare_range *r =
		pare_wants_range(k->m, i, d) ? &k->calibration->range[i] : NULL;
	const struct pare_calibrator *c = &pare_calibrators[d->calibrator];

	if (pare_stored_act(k->m, i, d))
		k->v->acts[i] = *pare_stored_act(k->m, i, d);
	else if (pare_rounds_activation(k->m, i, d))
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
static enum pare_status first_pass(struct making *k, int i, struct pare_err *err)
{
	const struct pare_dials *d = &k->p->dials[i];
	const struct pare_layer *l = pare_model_layer(k->m, i);
	const float *was = pare_model_weights(k->m, i);
	struct pare_lay lay = pare_lay_over(k->m, i, d->pattern);
	bool goes = pare_weights_go(k->m, i, d), later = goes && pare_prunes_by_samples(d);
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
	if (!st && ((pare_rounds_by_samples(d) && pare_has_samples(k)) || later)) {
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
			.prunes = pare_prunes_by_samples(d) && pare_weights_go(k->m, i, d),
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

static enum pare_status narrow_pairs(struct making *k, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	for (int i = 0; i < k->p->n && !st; i++) {
		const struct pare_weight_store *s = &k->v->store[i];
		const struct pare_layer *l = pare_model_layer(k->m, i);
		struct pare_grid g = pare_plan_grid(l, &k->p->dials[i]);
		float *scale = (float *)(uintptr_t)s->scale, *w;
		int8_t *zero = (int8_t *)(uintptr_t)s->zero, *q = (int8_t *)(uintptr_t)s->q;

		if (!pare_multiplies_bytes(k->v, i) || pare_stored_codes(k->m, i, &k->p->dials[i]))
			continue;
		w = k->weights[i]->data;
		if (pare_pairs_narrow(k->m, i, &g, scale, zero, q, w))
			st = pare_bias_for(&g, &k->v->acts[i],
				k->bias[i] ? k->bias[i]->data : pare_model_bias(k->m, i),
				l->weight.d[l->out_axis], scale, zero, q, w, &k->bias[i], err);
	}
	return st;
}

bool pare_multiplies_bytes(const struct pare_variant *v, int i)
{
	const struct pare_weight_store *s = &v->store[i];

	return s->q && s->dtype == PARE_I8 && !s->group && pare_act_saturates(&v->acts[i]);
}

enum pare_status pare_carry_out(struct making *k, struct pare_err *err)
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
		if ((st = first_pass(k, i, err)))
			return pare_wrap(err, st, "layer '%s'", pare_model_layer(k->m, i)->name);
		looks |= k->pruned[i] || (k->weights[i] && pare_steps_shift(k->p->steps));
	}
	if (looks && pare_has_samples(k))
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
