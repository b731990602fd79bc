#include "variant.h"
#include "../base/err.h"
#include "../prune/prune.h"
#include "../quantize/quantize.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum pare_dtype pare_format_store(const struct pare_format *f)
{
	if (f->kind == PARE_KIND_FLOAT)
		return f->bits == 16 ? PARE_F16 : PARE_UNDEFINED;
	return f->bits == 4 ? PARE_I4 : PARE_I8; /* ONNX has no widths between */
}

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

static enum pare_status quantize_layer(struct pare_variant *v, const struct pare_layer *l, int i,
	const struct pare_dials *d, float *w, struct pare_err *err)
{
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_weight_store *s = &v->store[i];
	int axis = pare_granularities[d->granularity].per_channel ? l->out_axis : -1;
	struct pare_channels c = pare_channels_of(&l->weight, axis);
	float *scale;
	int8_t *q;

	if (f->kind == PARE_KIND_FLOAT) {
		for (int64_t k = 0; f->bits == 16 && k < l->weights; k++)
			w[k] = pare_f16_to_f32(pare_f32_to_f16(w[k]));
		s->dtype = pare_format_store(f);
		return PARE_OK;
	}
	scale = pare_alloc_n(v->arena, (size_t)c.channels, sizeof *scale);
	q = pare_alloc(v->arena, (size_t)l->weights);
	if (!scale || !q)
		return pare_nomem(err, "quantized weights");
	*s = (struct pare_weight_store){ pare_format_store(f), axis, c.channels, scale, q };
	return pare_quantize_weights(w, c, f->bits, &pare_roundings[d->rounding], scale, q, w, err);
}

/* New weights for a layer; *out stays NULL when the plan leaves them alone. */
static enum pare_status carry_out(struct pare_variant *v, const struct pare_model *m, int i,
	const struct pare_dials *d, struct pare_blob **out, struct pare_err *err)
{
	const struct pare_layer *l = pare_model_layer(m, i);
	const float *was = pare_model_weights(m, i);
	struct pare_blob *b;
	enum pare_status st;

	if (!d->weights && !(d->sparsity > 0))
		return PARE_OK;
	b = pare_blob_new((size_t)l->weights * sizeof *was);
	if (!b)
		return pare_nomem(err, "the weights of a layer");
	memcpy(b->data, was, (size_t)l->weights * sizeof *was);
	st = pare_prune_unstructured(
		b->data, l->weights, i, d->sparsity, &pare_criteria[d->criterion], err);
	if (!st)
		st = quantize_layer(v, l, i, d, b->data, err);
	if (st) {
		pare_blob_free(b);
		return pare_wrap(err, st, "layer '%s'", l->name);
	}
	v->snr[i] = snr_db(was, b->data, l->weights);
	*out = b;
	return PARE_OK;
}

enum pare_status pare_variant_new(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_variant **out,
	struct pare_err *err)
{
	struct pare_model *narrow = NULL;
	int n = pare_model_info(m)->n_layers;
	struct pare_arena *a = pare_arena_new();
	struct pare_blob **weights;
	struct pare_variant *v;
	enum pare_status st = PARE_OK;

	if (!a)
		return pare_nomem(err, "a variant");
	v = pare_alloc(a, sizeof *v);
	weights = pare_alloc_n(a, (size_t)n, sizeof *weights);
	if (!v || !weights || !(v->store = pare_alloc_n(a, (size_t)n, sizeof *v->store)) ||
		!(v->acts = pare_alloc_n(a, (size_t)n, sizeof *v->acts)) ||
		!(v->snr = pare_alloc_n(a, (size_t)n, sizeof *v->snr))) {
		pare_arena_free(a);
		return pare_nomem(err, "a variant");
	}
	v->arena = a;
	if (p->n != n)
		st = pare_fail(err, PARE_E_MISMATCH, "the plan is for %d layers, the model has %d",
			p->n, n);
	else if (pare_plan_cuts(m, p))
		st = pare_prune_channels(m, p, calibration, ctl, &narrow, err);
	m = narrow ? narrow : m;
	for (int i = 0; i < n && !st; i++) {
		const struct pare_dials *d = &p->dials[i];

		v->snr[i] = INFINITY;
		if (ctl && atomic_load(&ctl->cancel))
			st = pare_fail(err, PARE_E_CANCELED, "stopped");
		else if (d->activations && !calibration)
			st = pare_fail(err, PARE_E_ARG,
				"activations can be quantized only with calibration data: name "
				"some with --data");
		else if (d->activations)
			v->acts[i] = pare_act_quant_of(&calibration->range[i],
				&pare_calibrators[d->calibrator],
				pare_formats[d->activations].bits);
		if (!st)
			st = carry_out(v, m, i, d, &weights[i], err);
	}
	if (st)
		for (int i = 0; i < n; i++)
			pare_blob_free(weights[i]);
	else
		st = pare_model_with_weights(m, weights, &v->model, err);
	pare_model_free(narrow);
	if (st)
		pare_arena_free(a);
	else
		*out = v;
	return st;
}

void pare_variant_free(struct pare_variant *v)
{
	if (!v)
		return;
	pare_model_free(v->model);
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
