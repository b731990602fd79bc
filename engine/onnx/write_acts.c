/* Activations as they are written: QuantizeLinear and DequantizeLinear before a layer. */
#include "../base/err.h"
#include "writer.h"

static enum pare_dtype act_dtype(const struct pare_act_quant *q)
{
	if (q->lo < 0 && q->lo >= -128 && q->hi <= 127)
		return PARE_I8;
	if (q->lo < 0)
		return q->lo >= INT16_MIN && q->hi <= INT16_MAX ? PARE_I16 : PARE_UNDEFINED;
	return q->hi <= 255 ? PARE_U8 : q->hi <= UINT16_MAX ? PARE_U16 : PARE_UNDEFINED;
}

/* To what the outermost codes stand for. */
static const char *write_clip(
	struct writer *w, const struct pare_layer *l, const struct pare_act_quant *q, const char *x)
{
	struct pare_shape scalar = { 0 };
	float bound[2] = { (float)(q->lo - q->zero) * q->scale,
		(float)(q->hi - q->zero) * q->scale };
	float *kept = pare_memdup(w->a, bound, sizeof bound);
	const char *in[3] = { x, pare_writer_derived(w, l->name, "input.min"),
		pare_writer_derived(w, l->name, "input.max") };

	if (!kept || !pare_writer_initializer(w, in[1], PARE_F32, &scalar, kept) ||
		!pare_writer_initializer(w, in[2], PARE_F32, &scalar, kept + 1))
		return NULL;
	return pare_writer_node(w, "Clip", l->name, "input.clip", in, 3, NULL, 0);
}

int pare_writer_activation(const struct pare_graph *g, const struct pare_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !g->vars[n->in[i]].blob)
			return i;
	return -1;
}

static bool same_quant(const struct pare_act_quant *a, const struct pare_act_quant *b)
{
	if (!b->on || a->dynamic != b->dynamic)
		return false;
	return a->dynamic ||
	       (a->scale == b->scale && a->zero == b->zero && a->lo == b->lo && a->hi == b->hi);
}

/* Weights that come in groups are floats to a runtime that joins layers. */
static bool has_float_weight(const struct writer *w, int layer)
{
	const struct pare_weight_store *s = w->spec->weights ? &w->spec->weights[layer] : NULL;

	return !s || s->group || !pare_writer_is_integer(s->dtype);
}

/* QuantizeLinear and DequantizeLinear, and a Clip where one is needed.  Before them for codes of
 * fewer than 8 bits, since runtimes know 8 bits alone.  Behind them, where it changes nothing, for
 * a layer whose weight stays float: ONNX Runtime (1.32) would else quantize that weight to 8 bits
 * per tensor on its own account. */
static const char *
write_pair(struct writer *w, int layer, const struct pare_act_quant *q, const char *x)
{
	const struct pare_layer *l = &w->m->layers[layer];
	enum pare_dtype dtype = act_dtype(q);
	bool wide = pare_dtype_bits(dtype) == 16;
	struct pare_shape scalar = { 0 };
	float *scale = pare_memdup(w->a, &q->scale, sizeof *scale);
	int16_t zero = (int16_t)q->zero, *kept = pare_memdup(w->a, &zero, sizeof zero);
	bool behind = has_float_weight(w, layer),
	     before = !behind && q->hi - q->lo < (wide ? UINT16_MAX : UINT8_MAX);
	const char *in[3] = { x, pare_writer_derived(w, l->name, "input.scale"),
		pare_writer_derived(w, l->name, "input.zero") };

	if (kept && !wide)
		*(int8_t *)kept = (int8_t)q->zero;
	pare_writer_opset(w, wide ? PARE_OPSET_INT16 : PARE_OPSET_QDQ);
	if (before)
		in[0] = write_clip(w, l, q, x);
	if (!scale || !kept || !in[0] ||
		!pare_writer_initializer(w, in[1], PARE_F32, &scalar, scale) ||
		!pare_writer_initializer(w, in[2], dtype, &scalar, kept))
		return NULL;
	in[0] = pare_writer_node(w, "QuantizeLinear", l->name, "input.q", in, 3, NULL, 0);
	if (in[0])
		in[0] = pare_writer_node(w, "DequantizeLinear", l->name, "input", in, 3, NULL, 0);
	return in[0] && behind ? write_clip(w, l, q, in[0]) : in[0];
}

/* The bounds are those of all that runs at once: of the batch, not of a sample. */
static const char *write_dynamic(struct writer *w, int layer, const char *x)
{
	const struct pare_layer *l = &w->m->layers[layer];
	const char *in[3] = { pare_writer_derived(w, l->name, "input.q"),
		pare_writer_derived(w, l->name, "input.scale"),
		pare_writer_derived(w, l->name, "input.zero") };
	const char *name = in[0] ? pare_sprintf(w->a, "%s/DynamicQuantizeLinear", in[0]) : NULL;
	Onnx__NodeProto *n =
		name ? pare_proto_node(w->a, name, "DynamicQuantizeLinear", NULL, 1, 3, 0) : NULL;

	if (!n || !in[1] || !in[2])
		return NULL;
	n->input[0] = (char *)x;
	for (int i = 0; i < 3; i++)
		n->output[i] = (char *)in[i];
	w->graph.node[w->graph.n_node++] = n;
	pare_writer_opset(w, PARE_OPSET_QDQ);
	return pare_writer_node(w, "DequantizeLinear", l->name, "input", in, 3, NULL, 0);
}

enum pare_status
pare_write_activation(struct writer *w, int i, int input, const char **names, const char **name)
{
	const struct pare_graph *g = &w->m->graph;
	const struct pare_layer *l = &w->m->layers[i];
	const struct pare_act_quant *q = &w->spec->acts[i];
	int var = g->nodes[l->node].in[input];

	if (act_dtype(q) == PARE_UNDEFINED)
		return pare_fail(w->err, PARE_E_ARG, "layer '%s': activations in %d..%d", l->name,
			q->lo, q->hi);
	for (int k = 0; k < i; k++) {
		const struct pare_node *n = &g->nodes[w->m->layers[k].node];
		int at = pare_writer_activation(g, n);

		if (names[k] && at >= 0 && n->in[at] == var && same_quant(q, &w->spec->acts[k]) &&
			has_float_weight(w, i) == has_float_weight(w, k)) {
			*name = names[i] = names[k];
			return PARE_OK;
		}
	}
	*name = names[i] =
		q->dynamic ? write_dynamic(w, i, w->name[var]) : write_pair(w, i, q, w->name[var]);
	return *name ? PARE_OK : pare_writer_nomem(w);
}
