/* Model → ONNX file, with QuantizeLinear / DequantizeLinear where the spec asks for it.  The whole
 * file is built as messages that borrow the weights and then packed once; its size is that of the
 * same messages without their data. */
#include "../base/err.h"
#include "source.h"
#include "writer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET_LOWEST = 7, OPSET_QDQ = 13, OPSET_INT4 = 21, OPSET_INT16 = 21, PER_LAYER = 9 };

static enum pare_status no_memory(const struct writer *w)
{
	return pare_nomem(w->err, "an ONNX file");
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *pare_writer_unique(struct writer *w, const char *name)
{
	const char *s = name;

	for (int k = 2; s && pare_names_find(&w->names, s) >= 0; k++)
		s = pare_sprintf(w->a, "%s_%d", name, k);
	return s && pare_names_add(&w->names, s, 0) ? s : NULL;
}

static const char *derived(struct writer *w, const char *stem, const char *what)
{
	const char *s = pare_sprintf(w->a, "%s.%s", stem, what);

	return s ? pare_writer_unique(w, s) : NULL;
}

/* Inputs and outputs first: their names are what callers know. */
static bool name_vars(struct writer *w)
{
	const struct pare_graph *g = &w->m->graph;

	for (int i = 0; i < g->n_in; i++)
		if (!(w->name[g->in[i]] = pare_writer_unique(w, g->vars[g->in[i]].name)))
			return false;
	for (int i = 0; i < g->n_out; i++)
		if (!w->name[g->out[i]] &&
			!(w->name[g->out[i]] = pare_writer_unique(w, g->vars[g->out[i]].name)))
			return false;
	for (int i = 0; i < g->n_vars; i++)
		if (!w->name[i] && !(w->name[i] = pare_writer_unique(w, g->vars[i].name)))
			return false;
	return true;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool add_initializer(struct writer *w, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data)
{
	Onnx__TensorProto *t = name ? pare_proto_tensor(w->a, name, dtype, shape, data) : NULL;

	if (t)
		w->graph.initializer[w->graph.n_initializer++] = t;
	return t != NULL;
}

/* A node of one output named after what it is for; the output's name is returned. */
static const char *add_node(struct writer *w, const char *op, const char *stem, const char *what,
	const char *const *in, size_t n_in, Onnx__AttributeProto *attr)
{
	const char *out = derived(w, stem, what),
		   *name = out ? pare_sprintf(w->a, "%s/%s", out, op) : NULL;
	Onnx__NodeProto *n =
		name ? pare_proto_node(w->a, name, op, NULL, n_in, 1, attr ? 1 : 0) : NULL;

	if (!n)
		return NULL;
	for (size_t i = 0; i < n_in; i++)
		n->input[i] = (char *)in[i];
	n->output[0] = (char *)out;
	if (attr)
		n->attribute[0] = attr;
	w->graph.node[w->graph.n_node++] = n;
	return out;
}

static void need_opset(struct writer *w, int opset)
{
	w->opset = w->opset < opset ? opset : w->opset;
}

/* ---- weights --------------------------------------------------------------------------------- */

static const void *
to_half(struct writer *w, enum pare_dtype dtype, const float *f, int64_t n, bool *good)
{
	uint16_t *h = w->bytes ? pare_alloc_n(w->a, (size_t)n, sizeof *h) : NULL;

	*good = h || !w->bytes;
	for (int64_t i = 0; h && i < n; i++)
		h[i] = dtype == PARE_F16 ? pare_f32_to_f16(f[i]) : pare_f32_to_bf16(f[i]);
	return h;
}

static const void *to_nibbles(struct writer *w, const int8_t *q, int64_t n, bool *good)
{
	uint8_t *p = w->bytes ? pare_alloc(w->a, (size_t)(n + 1) / 2) : NULL;

	*good = p || !w->bytes;
	for (int64_t i = 0; p && i < n; i++)
		p[i / 2] |= (uint8_t)((q[i] & 15) << i % 2 * 4);
	return p;
}

static const char *write_half(struct writer *w, const struct pare_layer *l,
	const struct pare_tensor *x, enum pare_dtype dtype)
{
	bool good;
	const void *data = to_half(w, dtype, x->f32, l->weights, &good);
	const char *name = derived(w, l->name, "weight.half");
	Onnx__AttributeProto *to = pare_proto_int(w->a, "to", pare_dtype_to_onnx(PARE_F32));

	need_opset(w, OPSET_QDQ); /* Cast of bfloat16 */
	if (!good || !to || !add_initializer(w, name, dtype, &x->shape, data))
		return NULL;
	return add_node(w, "Cast", l->name, "weight", &name, 1, to);
}

static const char *write_quantized(struct writer *w, const struct pare_layer *l,
	const struct pare_tensor *x, const struct pare_weight_store *s)
{
	bool per_axis = s->axis >= 0, good = true;
	struct pare_shape shape = { per_axis, { s->n_scales } };
	const char *in[3] = { derived(w, l->name, "weight.q"), derived(w, l->name, "weight.scale"),
		derived(w, l->name, "weight.zero") };
	const void *q = s->q, *zero;
	Onnx__AttributeProto *axis = per_axis ? pare_proto_int(w->a, "axis", s->axis) : NULL;

	if (s->dtype == PARE_I4)
		q = to_nibbles(w, s->q, l->weights, &good);
	zero = w->bytes ? pare_alloc(w->a, (size_t)s->n_scales) : NULL;
	need_opset(w, s->dtype == PARE_I4 ? OPSET_INT4 : OPSET_QDQ);
	if (!good || (w->bytes && !zero) || (per_axis && !axis) ||
		!add_initializer(w, in[0], s->dtype, &x->shape, w->bytes ? q : NULL) ||
		!add_initializer(w, in[1], PARE_F32, &shape, w->bytes ? s->scale : NULL) ||
		!add_initializer(w, in[2], s->dtype, &shape, zero))
		return NULL;
	return add_node(w, "DequantizeLinear", l->name, "weight", in, 3, axis);
}

/* The name under which layer i reads its weight. */
static enum pare_status write_weight(struct writer *w, int i, const char **name)
{
	const struct pare_layer *l = &w->m->layers[i];
	int var = w->m->graph.nodes[l->node].in[w->m->weight_at[i].input];
	const struct pare_tensor *x = w->m->graph.vars[var].declared.value;
	const struct pare_weight_store *s = w->spec->weights ? &w->spec->weights[i] : NULL;
	enum pare_dtype dtype = s ? s->dtype : PARE_UNDEFINED;

	*name = w->name[var];
	if (dtype == PARE_UNDEFINED || dtype == PARE_F32) {
		if (!w->written[var] && !add_initializer(w, *name, PARE_F32, &x->shape, x->data))
			return no_memory(w);
		w->written[var] = true;
		return PARE_OK;
	}
	if (dtype == PARE_F16 || dtype == PARE_BF16)
		*name = write_half(w, l, x, dtype);
	else if (dtype != PARE_I8 && dtype != PARE_I4)
		return pare_fail(w->err, PARE_E_ARG, "layer '%s': weights cannot be stored as %s",
			l->name, pare_dtype_name(dtype));
	else if (s->axis >= l->weight.n || s->n_scales != (s->axis < 0 ? 1 : l->weight.d[s->axis]))
		return pare_fail(w->err, PARE_E_ARG, "layer '%s': %lld scales on axis %d", l->name,
			(long long)s->n_scales, s->axis);
	else
		*name = write_quantized(w, l, x, s);
	return *name ? PARE_OK : no_memory(w);
}

/* ---- activations ----------------------------------------------------------------------------- */

static enum pare_dtype act_dtype(const struct pare_act_quant *q)
{
	if (q->lo < 0 && q->lo >= -128 && q->hi <= 127)
		return PARE_I8;
	if (q->lo == INT16_MIN && q->hi == INT16_MAX)
		return PARE_I16;
	return q->lo >= 0 && q->hi <= 255 ? PARE_U8 : PARE_UNDEFINED;
}

/* To what the outermost codes stand for. */
static const char *write_clip(
	struct writer *w, const struct pare_layer *l, const struct pare_act_quant *q, const char *x)
{
	struct pare_shape scalar = { 0 };
	float bound[2] = { (float)(q->lo - q->zero) * q->scale,
		(float)(q->hi - q->zero) * q->scale };
	float *kept = pare_memdup(w->a, bound, sizeof bound);
	const char *in[3] = { x, derived(w, l->name, "input.min"),
		derived(w, l->name, "input.max") };

	if (!kept || !add_initializer(w, in[1], PARE_F32, &scalar, kept) ||
		!add_initializer(w, in[2], PARE_F32, &scalar, kept + 1))
		return NULL;
	return add_node(w, "Clip", l->name, "input.clip", in, 3, NULL);
}

static int activation_input(const struct pare_graph *g, const struct pare_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !g->vars[n->in[i]].blob)
			return i;
	return -1;
}

static bool same_quant(const struct pare_act_quant *a, const struct pare_act_quant *b)
{
	return b->on && a->scale == b->scale && a->zero == b->zero && a->lo == b->lo &&
	       a->hi == b->hi;
}

static bool has_float_weight(const struct writer *w, int layer)
{
	const struct pare_weight_store *s = w->spec->weights ? &w->spec->weights[layer] : NULL;

	return !s || (s->dtype != PARE_I8 && s->dtype != PARE_I4);
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
	struct pare_shape scalar = { 0 };
	float *scale = pare_memdup(w->a, &q->scale, sizeof *scale);
	int16_t zero = (int16_t)q->zero, *kept = pare_memdup(w->a, &zero, sizeof zero);
	bool behind = has_float_weight(w, layer), before = !behind && q->hi - q->lo < 255;
	const char *in[3] = { x, derived(w, l->name, "input.scale"),
		derived(w, l->name, "input.zero") };

	if (kept && dtype != PARE_I16)
		*(int8_t *)kept = (int8_t)q->zero;
	need_opset(w, dtype == PARE_I16 ? OPSET_INT16 : OPSET_QDQ);
	if (before)
		in[0] = write_clip(w, l, q, x);
	if (!scale || !kept || !in[0] || !add_initializer(w, in[1], PARE_F32, &scalar, scale) ||
		!add_initializer(w, in[2], dtype, &scalar, kept))
		return NULL;
	in[0] = add_node(w, "QuantizeLinear", l->name, "input.q", in, 3, NULL);
	if (in[0])
		in[0] = add_node(w, "DequantizeLinear", l->name, "input", in, 3, NULL);
	return in[0] && behind ? write_clip(w, l, q, in[0]) : in[0];
}

/* The name under which layer i reads its activation; `names[k]`: what earlier layers read. */
static enum pare_status
write_activation(struct writer *w, int i, int input, const char **names, const char **name)
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
		int at = activation_input(g, n);

		if (names[k] && at >= 0 && n->in[at] == var && same_quant(q, &w->spec->acts[k]) &&
			has_float_weight(w, i) == has_float_weight(w, k)) {
			*name = names[i] = names[k];
			return PARE_OK;
		}
	}
	*name = names[i] = write_pair(w, i, q, w->name[var]);
	return *name ? PARE_OK : no_memory(w);
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* A node of an older opset may mean what the form that is written cannot say. */
static bool can_say(const struct writer *w, const struct pare_node *n)
{
	struct pare_shape_call c = {
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out
	};
	const struct pare_known **in;

	if (!n->op->writable || w->m->info.opset >= n->op->since)
		return true;
	in = pare_alloc_n(w->a, (size_t)n->n_in, sizeof *in);
	c.in = in;
	c.out = pare_alloc_n(w->a, (size_t)n->n_out, sizeof *c.out);
	for (int i = 0; i < n->n_in + n->n_out; i++) {
		int var = i < n->n_in ? n->in[i] : n->out[i - n->n_in];

		if (!in || !c.out || (var >= 0 && w->m->known[var].dtype == PARE_UNDEFINED))
			return false;
		if (i < n->n_in)
			in[i] = var < 0 ? NULL : &w->m->known[var];
		else if (var >= 0)
			c.out[i - n->n_in] = w->m->known[var];
	}
	return n->op->writable(&c);
}

static enum pare_status write_node(struct writer *w, int node, const char **act_names)
{
	const struct pare_graph *g = &w->m->graph;
	const struct pare_node *n = &g->nodes[node];
	int layer = w->m->node_info[node].layer,
	    act = layer >= 0 && w->spec->acts && w->spec->acts[layer].on ? activation_input(g, n)
									 : -1;
	Onnx__NodeProto *p;
	enum pare_status st;

	if (!n->op)
		return pare_fail(w->err, PARE_E_UNSUPPORTED, "node '%s' (%s) cannot be written: %s",
			n->name, n->op_type, n->why);
	if (!can_say(w, n))
		return pare_fail(w->err, PARE_E_UNSUPPORTED,
			"node '%s' (%s) cannot be written: opset %d has no form for what it means "
			"in "
			"opset %d",
			n->name, n->op_type, n->op->since, w->m->info.opset);
	need_opset(w, n->op->since);
	p = pare_proto_node(
		w->a, n->name, n->op->name, n->op->domain, (size_t)n->n_in, (size_t)n->n_out, 0);
	if (!p || !pare_proto_attributes(w->a, n, p))
		return no_memory(w);
	for (int i = 0; i < n->n_in; i++) {
		const char *name = n->in[i] < 0 ? "" : w->name[n->in[i]];
		const struct pare_var *v = n->in[i] < 0 ? NULL : &g->vars[n->in[i]];

		st = PARE_OK;
		if (layer >= 0 && i == w->m->weight_at[layer].input)
			st = write_weight(w, layer, &name);
		else if (i == act)
			st = write_activation(w, layer, i, act_names, &name);
		else if (v && v->blob && !w->written[n->in[i]]) {
			if (!add_initializer(w, name, v->declared.dtype, &v->declared.shape,
				    v->declared.value->data))
				st = no_memory(w);
			w->written[n->in[i]] = true;
		}
		if (st)
			return st;
		p->input[i] = (char *)name;
	}
	if ((st = pare_write_inside(w, n, w->name, p)))
		return st;
	for (int i = 0; i < n->n_out; i++)
		p->output[i] = (char *)(n->out[i] < 0 ? "" : w->name[n->out[i]]);
	w->graph.node[w->graph.n_node++] = p;
	return PARE_OK;
}

static enum pare_status write_io(struct writer *w)
{
	const struct pare_model *m = w->m;

	for (int i = 0; i < m->graph.n_in + m->graph.n_out; i++) {
		int k = i - m->graph.n_in;
		struct pare_io io = k < 0 ? m->inputs[i] : m->outputs[k];
		Onnx__ValueInfoProto *v;

		if (io.dtype == PARE_UNDEFINED)
			return pare_fail(w->err, PARE_E_UNSUPPORTED,
				"'%s' cannot be written: its type is not known", io.name);
		io.name = w->name[k < 0 ? m->graph.in[i] : m->graph.out[k]];
		if (!(v = pare_proto_value(w->a, &io)))
			return no_memory(w);
		if (k < 0)
			w->graph.input[w->graph.n_input++] = v;
		else
			w->graph.output[w->graph.n_output++] = v;
	}
	for (int i = 0; i < m->graph.n_out; i++) {
		int var = m->graph.out[i];
		const struct pare_known *c = &m->graph.vars[var].declared;

		if (!m->graph.vars[var].blob || w->written[var])
			continue;
		if (!add_initializer(w, w->name[var], c->dtype, &c->shape, c->value->data))
			return no_memory(w);
		w->written[var] = true;
	}
	return PARE_OK;
}

static enum pare_status write_graph(struct writer *w)
{
	const struct pare_graph *g = &w->m->graph;
	size_t n_layers = (size_t)w->m->info.n_layers, n_vars = (size_t)g->n_vars;
	const char **act_names = pare_alloc_n(w->a, n_layers, sizeof *act_names);
	Onnx__GraphProto *p = &w->graph;
	enum pare_status st;

	*p = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
	p->name = (char *)(*g->name ? g->name : "graph");
	p->node = pare_alloc_n(w->a, (size_t)g->n_nodes + PER_LAYER * n_layers, sizeof *p->node);
	p->initializer = pare_alloc_n(w->a, n_vars + PER_LAYER * n_layers, sizeof *p->initializer);
	p->input = pare_alloc_n(w->a, (size_t)g->n_in, sizeof *p->input);
	p->output = pare_alloc_n(w->a, (size_t)g->n_out, sizeof *p->output);
	w->name = pare_alloc_n(w->a, n_vars, sizeof *w->name);
	w->written = pare_alloc_n(w->a, n_vars, sizeof *w->written);
	if (!act_names || !p->node || !p->initializer || !p->input || !p->output || !w->name ||
		!w->written || !name_vars(w))
		return no_memory(w);
	for (int i = 0; i < g->n_nodes; i++)
		if ((st = write_node(w, i, act_names)))
			return st;
	return write_io(w);
}

/* IR versions by the opset that they came with. */
static int64_t ir_for(int opset)
{
	return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : opset < 23 ? 10 : 11;
}

static enum pare_status finish(struct writer *w, Onnx__ModelProto *p)
{
	Onnx__OperatorSetIdProto *opset = pare_alloc_n(w->a, 1, sizeof *opset);
	Onnx__StringStringEntryProto *meta = pare_alloc_n(w->a, 1, sizeof *meta);

	p->opset_import = pare_alloc_n(w->a, 1, sizeof *p->opset_import);
	p->metadata_props = pare_alloc_n(w->a, 1, sizeof *p->metadata_props);
	if (!opset || !meta || !p->opset_import || !p->metadata_props)
		return no_memory(w);
	*opset = (Onnx__OperatorSetIdProto)ONNX__OPERATOR_SET_ID_PROTO__INIT;
	opset->domain = "";
	opset->has_version = true;
	opset->version = w->opset;
	p->opset_import[p->n_opset_import++] = opset;
	p->has_ir_version = true;
	p->ir_version = ir_for(w->opset);
	p->producer_name = "pare";
	p->producer_version = PARE_VERSION;
	p->graph = &w->graph;
	if (w->spec->recipe_sha) {
		*meta = (Onnx__StringStringEntryProto)ONNX__STRING_STRING_ENTRY_PROTO__INIT;
		meta->key = "pare.recipe";
		meta->value = (char *)w->spec->recipe_sha;
		p->metadata_props[p->n_metadata_props++] = meta;
	}
	return PARE_OK;
}

static enum pare_status
build(struct writer *w, const struct pare_write_spec *spec, Onnx__ModelProto *p)
{
	static const struct pare_write_spec plain;
	enum pare_status st;

	w->spec = spec ? spec : &plain;
	w->opset = w->m->info.opset < OPSET_LOWEST ? OPSET_LOWEST : w->m->info.opset;
	*p = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
	if (!(w->a = pare_arena_new()))
		return no_memory(w);
	st = write_graph(w);
	return st ? st : finish(w, p);
}

static void tear_down(struct writer *w)
{
	pare_names_free(&w->names);
	pare_arena_free(w->a);
}

enum pare_status pare_onnx_write(const struct pare_model *m, const struct pare_write_spec *spec,
	void **data, size_t *len, struct pare_err *err)
{
	struct writer w = { .m = m, .bytes = true, .err = err };
	Onnx__ModelProto p;
	enum pare_status st = build(&w, spec, &p);
	uint8_t *out;
	size_t n;

	if (!st) {
		n = onnx__model_proto__get_packed_size(&p);
		if (n > INT32_MAX)
			st = pare_fail(err, PARE_E_UNSUPPORTED,
				"the file would be %zu bytes; protobuf ends at 2 GB", n);
		else if (!(out = malloc(n)))
			st = no_memory(&w);
		else {
			*len = onnx__model_proto__pack(&p, out);
			*data = out;
		}
	}
	tear_down(&w);
	return st;
}

enum pare_status pare_onnx_size(const struct pare_model *m, const struct pare_write_spec *spec,
	int64_t *len, struct pare_err *err)
{
	struct writer w = { .m = m, .err = err };
	Onnx__ModelProto p;
	enum pare_status st = build(&w, spec, &p);

	if (!st)
		*len = (int64_t)onnx__model_proto__get_packed_size(&p);
	tear_down(&w);
	return st;
}
