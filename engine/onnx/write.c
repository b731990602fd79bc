/* Model → ONNX file, with QuantizeLinear / DequantizeLinear where the spec asks for it
 * (write_weights.c, write_acts.c).  The whole file is built as messages that borrow the weights and
 * then packed once; its size is that of the same messages without their data. */
#include "../base/err.h"
#include "source.h"
#include "writer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET_LOWEST = 7, PER_LAYER = 9 };

/* ---- names ----------------------------------------------------------------------------------- */

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

/* The layer whose weight input i of a node is; -1 = none. */
static int reads_weight(const struct pare_model *m, int node, int i)
{
	int layer = m->node_info[node].layer;

	for (; layer >= 0 && layer < m->info.n_layers && m->layers[layer].node == node; layer++)
		if (i == m->weight_at[layer].input)
			return layer;
	return -1;
}

static enum pare_status write_node(struct writer *w, int node, const char **act_names)
{
	const struct pare_graph *g = &w->m->graph;
	const struct pare_node *n = &g->nodes[node];
	int layer = w->m->node_info[node].layer,
	    act = layer >= 0 && w->spec->acts && w->spec->acts[layer].on
			  ? pare_writer_activation(g, n)
			  : -1;
	bool table = layer >= 0 && pare_writes_codes(w, layer);
	const char *scale = NULL, *zero = NULL;
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
	pare_writer_opset(w, n->op->since);
	p = pare_proto_node(
		w->a, n->name, n->op->name, n->op->domain, (size_t)n->n_in, (size_t)n->n_out, 0);
	if (!p || !pare_proto_attributes(w->a, n, p))
		return pare_writer_nomem(w);
	for (int i = 0; i < n->n_in; i++) {
		const char *name = n->in[i] < 0 ? "" : w->name[n->in[i]];
		const struct pare_var *v = n->in[i] < 0 ? NULL : &g->vars[n->in[i]];

		st = PARE_OK;
		if (table && !i)
			st = pare_write_codes(w, layer, &name, &scale, &zero);
		else if (reads_weight(w->m, node, i) >= 0)
			st = pare_write_weight(w, reads_weight(w->m, node, i), &name);
		else if (i == act)
			st = pare_write_activation(w, layer, i, act_names, &name);
		else if (v && v->blob && !w->written[n->in[i]]) {
			if (!pare_writer_initializer(w, name, v->declared.dtype, &v->declared.shape,
				    v->declared.value->data))
				st = pare_writer_nomem(w);
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
	if (!table)
		return PARE_OK;
	if (!(p->output[0] = (char *)pare_writer_derived(w, n->name, "codes")))
		return pare_writer_nomem(w);
	return pare_write_decoded(
		w, layer, p->output[0], scale, zero, p->input[1], w->name[n->out[0]]);
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
			return pare_writer_nomem(w);
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
		if (!pare_writer_initializer(w, w->name[var], c->dtype, &c->shape, c->value->data))
			return pare_writer_nomem(w);
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
		return pare_writer_nomem(w);
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
		return pare_writer_nomem(w);
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
		return pare_writer_nomem(w);
	st = write_graph(w);
	if (!st)
		st = pare_write_choices(w);
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
			st = pare_writer_nomem(&w);
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
