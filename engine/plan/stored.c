/* What the file has quantized, as dials and carried out again. */
#include "stored.h"
#include "../base/err.h"
#include "../quantize/quantize.h"
#include <math.h>

static const struct pare_var *weight_var(const struct pare_model *m, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];

	return &m->graph.vars[n->in[m->weight_at[layer].input]];
}

static int width(const struct pare_format *f)
{
	return f->hi - f->lo;
}

/* The narrowest row that holds all codes; codes of another zero are as wide as their type. */
static int codes_row(const struct pare_codes *g)
{
	int best = 0, bits = (int)pare_dtype_bits(g->store);

	for (int i = 1; pare_formats[i].name; i++) {
		const struct pare_format *f = &pare_formats[i];

		if (f->kind == PARE_KIND_INT && f->uses & PARE_FOR_WEIGHTS && f->lo <= g->least &&
			g->most <= f->hi && (!best || width(f) < width(&pare_formats[best])))
			best = i;
	}
	for (int i = 1; pare_formats[i].name && !best; i++)
		if (pare_formats[i].kind == PARE_KIND_INT &&
			pare_formats[i].uses & PARE_FOR_WEIGHTS && pare_formats[i].bits == bits)
			best = i;
	return best;
}

static int weight_row(const struct pare_var *v)
{
	if (v->codes)
		return codes_row(v->codes);
	for (int i = 1; pare_formats[i].name; i++)
		if (pare_formats[i].kind == PARE_KIND_FLOAT && v->stored &&
			pare_formats[i].store == v->stored)
			return i;
	return 0;
}

/* The narrowest row that tells its codes apart, of the same sign if there is one. */
static int act_row(const struct pare_act_quant *q)
{
	int best = 0;
	bool same = false;

	for (int i = 1; pare_formats[i].name; i++) {
		const struct pare_format *f = &pare_formats[i];
		int lo, hi;

		if (f->kind != PARE_KIND_INT || !(f->uses & PARE_FOR_ACTIVATIONS))
			continue;
		pare_act_codes(f, &lo, &hi);
		if (q->hi - q->lo <= hi - lo &&
			(!best || f->bits < pare_formats[best].bits ||
				(f->bits == pare_formats[best].bits && !same))) {
			best = i;
			same = (lo < 0) == (q->lo < 0);
		}
	}
	return best;
}

static int ranging_of(const struct pare_act_quant *q)
{
	int exponent;
	bool power = !q->zero && frexpf(q->scale, &exponent) == .5f;

	for (int i = 0; pare_rangings[i].name; i++)
		if (!pare_rangings[i].dynamic && pare_rangings[i].symmetric == !q->zero &&
			pare_rangings[i].powers == power)
			return i;
	return 0;
}

static int stored_rounding(void)
{
	int i = 0;

	while (!pare_roundings[i].stored)
		i++;
	return i;
}

static int stored_calibrator(void)
{
	int i = 0;

	while (!pare_calibrators[i].stored)
		i++;
	return i;
}

/* The row that says best how scales lie over the weights. */
static int granularity_of(const struct pare_codes *c)
{
	int best = -1;

	for (int i = 0; pare_granularities[i].name; i++)
		if (pare_granularities[i].per_channel == (c->axis >= 0) &&
			(best < 0 || pare_granularities[i].group == c->group))
			best = i;
	return best;
}

static int scheme_of(const struct pare_codes *c)
{
	bool zeros = false, powers = true;
	int exponent;

	for (int64_t i = 0; i < c->n; i++) {
		zeros |= c->zero[i] != 0;
		powers &= frexpf(c->scale[i], &exponent) == .5f;
	}
	for (int i = 0; pare_schemes[i].name; i++)
		if (pare_schemes[i].zeros == zeros && pare_schemes[i].powers == (powers && !zeros))
			return i;
	return 0;
}

static struct pare_dials dials_of(const struct pare_model *m, int layer)
{
	const struct pare_var *v = weight_var(m, layer);
	struct pare_dials d = { .weights = (uint8_t)weight_row(v) };

	if (d.weights && v->codes) {
		d.rounding = (uint8_t)stored_rounding();
		d.granularity = (uint8_t)granularity_of(v->codes);
		d.scheme = (uint8_t)scheme_of(v->codes);
	}
	if (m->acts && m->acts[layer].on) {
		d.activations = (uint8_t)act_row(&m->acts[layer]);
		d.calibrator = (uint8_t)(d.activations ? stored_calibrator() : 0);
		d.ranging = (uint8_t)(d.activations ? ranging_of(&m->acts[layer]) : 0);
	}
	return d;
}

struct pare_plan *pare_plan_of(const struct pare_model *m)
{
	struct pare_plan *p = pare_plan_new(m->info.n_layers);

	for (int i = 0; p && i < p->n; i++)
		p->dials[i] = dials_of(m, i);
	return p;
}

const struct pare_codes *
pare_stored_codes(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	const struct pare_codes *c = weight_var(m, layer)->codes;
	struct pare_dials file;

	if (!c || !pare_roundings[d->rounding].stored)
		return NULL;
	file = dials_of(m, layer);
	return d->weights == file.weights && d->granularity == file.granularity &&
			       d->scheme == file.scheme
		       ? c
		       : NULL;
}

const struct pare_act_quant *
pare_stored_act(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	return m->acts && m->acts[layer].on && pare_calibrators[d->calibrator].stored &&
			       d->activations == act_row(&m->acts[layer]) &&
			       d->ranging == ranging_of(&m->acts[layer])
		       ? &m->acts[layer]
		       : NULL;
}

enum pare_status pare_quantize_stored(const struct pare_codes *g, const struct pare_shape *shape,
	struct pare_arena *a, float *w, struct pare_weight_store *s, struct pare_err *err)
{
	int64_t n = pare_shape_elems(shape);
	int8_t *q = pare_alloc(a, (size_t)n), *zero = pare_alloc(a, (size_t)g->n);

	if (!q || !zero)
		return pare_nomem(err, "quantized weights");
	for (int64_t i = 0; i < g->n; i++)
		zero[i] = (int8_t)(uint8_t)g->zero[i];
	for (int64_t i = 0; i < n; i++) {
		int64_t c = pare_codes_at(g, shape, i);
		int code = (int)rintf(w[i] / g->scale[c]) + g->zero[c];

		q[i] = (int8_t)(uint8_t)code;
		w[i] = (float)(code - g->zero[c]) * g->scale[c];
	}
	s->zero = zero;
	s->q = q;
	return PARE_OK;
}
