/* Graphs inside nodes, written.  What they see of the graph around them goes by its name there. */
#include "../base/err.h"
#include "writer.h"

static enum pare_status no_memory(const struct writer *w)
{
	return pare_nomem(w->err, "an ONNX file");
}

/* Names of all values: of what is captured as it is called around, all others new. */
static const char **name_inside(struct writer *w, const struct pare_graph *g,
	const struct pare_node *n, const char *const *around)
{
	const char **name = pare_alloc_n(w->a, (size_t)g->n_vars, sizeof *name);
	int own = g->n_in - g->n_captured;

	for (int i = 0; name && i < g->n_captured; i++)
		name[g->in[own + i]] = around[n->in[g->first_captured + i]];
	for (int i = 0; name && i < g->n_vars; i++)
		if (!name[i] && !(name[i] = pare_writer_unique(w, g->vars[i].name)))
			return NULL;
	return name;
}

static Onnx__ValueInfoProto *describe(struct writer *w, const struct pare_var *v, const char *name)
{
	struct pare_io io = { name, v->declared.dtype, v->declared.shape };
	Onnx__ValueInfoProto *p;

	for (int i = 0; i < io.shape.n; i++)
		if (io.shape.d[i] < 0)
			io.shape.n = -1;
	if ((p = pare_proto_value(w->a, &io)) && io.dtype == PARE_UNDEFINED)
		p->type = NULL;
	return p;
}

static enum pare_status write_node(
	struct writer *w, const struct pare_node *n, const char *const *name, Onnx__GraphProto *p)
{
	Onnx__NodeProto *to;
	enum pare_status st;

	if (!n->op)
		return pare_fail(w->err, PARE_E_UNSUPPORTED, "node '%s' (%s) cannot be written: %s",
			n->name, n->op_type, n->why);
	if (n->op->writable && w->m->info.opset < n->op->since)
		return pare_fail(w->err, PARE_E_UNSUPPORTED,
			"node '%s' (%s) inside another cannot be written in another opset than %d",
			n->name, n->op_type, w->m->info.opset);
	w->opset = w->opset < n->op->since ? n->op->since : w->opset;
	to = pare_proto_node(
		w->a, n->name, n->op->name, n->op->domain, (size_t)n->n_in, (size_t)n->n_out, 0);
	if (!to || !pare_proto_attributes(w->a, n, to))
		return no_memory(w);
	for (int i = 0; i < n->n_in; i++)
		to->input[i] = (char *)(n->in[i] < 0 ? "" : name[n->in[i]]);
	for (int i = 0; i < n->n_out; i++)
		to->output[i] = (char *)(n->out[i] < 0 ? "" : name[n->out[i]]);
	if ((st = pare_write_inside(w, n, name, to)))
		return st;
	p->node[p->n_node++] = to;
	return PARE_OK;
}

/* Inputs of its own, constants, outputs: each output is made inside, if by a node that copies. */
static enum pare_status write_values(
	struct writer *w, const struct pare_graph *g, const char *const *name, Onnx__GraphProto *p)
{
	for (int i = 0; i < g->n_in - g->n_captured; i++) {
		int var = g->in[i];

		if (!(p->input[p->n_input++] = describe(w, &g->vars[var], name[var])))
			return no_memory(w);
	}
	for (int i = 0; i < g->n_vars; i++) {
		const struct pare_known *k = &g->vars[i].declared;

		if (g->vars[i].blob &&
			!(p->initializer[p->n_initializer++] = pare_proto_tensor(
				  w->a, name[i], k->dtype, &k->shape, k->value->data)))
			return no_memory(w);
	}
	for (int i = 0; i < g->n_out; i++) {
		int var = g->out[i];
		const char *as = name[var];

		if (g->vars[var].producer < 0) {
			Onnx__NodeProto *copy =
				pare_proto_node(w->a, "", pare_op_identity()->name, NULL, 1, 1, 0);

			as = pare_writer_unique(w, name[var]);
			if (!copy || !as)
				return no_memory(w);
			copy->input[0] = (char *)name[var];
			copy->output[0] = (char *)as;
			p->node[p->n_node++] = copy;
		}
		if (!(p->output[p->n_output++] = describe(w, &g->vars[var], as)))
			return no_memory(w);
	}
	return PARE_OK;
}

static enum pare_status write_inside(struct writer *w, const struct pare_graph *g,
	const struct pare_node *n, const char *const *around, Onnx__GraphProto *p)
{
	const char **name = name_inside(w, g, n, around);
	enum pare_status st;

	*p = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
	p->name = (char *)(*g->name ? g->name : "graph");
	p->node = pare_alloc_n(w->a, (size_t)g->n_nodes + (size_t)g->n_out, sizeof *p->node);
	p->initializer = pare_alloc_n(w->a, (size_t)g->n_vars, sizeof *p->initializer);
	p->input = pare_alloc_n(w->a, (size_t)g->n_in, sizeof *p->input);
	p->output = pare_alloc_n(w->a, (size_t)g->n_out, sizeof *p->output);
	if (!name || !p->node || !p->initializer || !p->input || !p->output)
		return no_memory(w);
	for (int i = 0; i < g->n_nodes; i++)
		if ((st = write_node(w, &g->nodes[i], name, p)))
			return st;
	return write_values(w, g, name, p);
}

enum pare_status pare_write_inside(
	struct writer *w, const struct pare_node *n, const char *const *name, Onnx__NodeProto *to)
{
	size_t k = 0, at = to->n_attribute;
	Onnx__AttributeProto **attribute;
	struct pare_graph *g = pare_node_graph(n, 0);

	if (!g)
		return PARE_OK;
	to->n_input = (size_t)g->first_captured; /* the rest is seen, not passed */
	while (pare_node_graph(n, (int)k))
		k++;
	if (!(attribute = pare_alloc_n(w->a, at + k, sizeof *attribute)))
		return no_memory(w);
	for (size_t i = 0; i < at; i++)
		attribute[i] = to->attribute[i];
	to->attribute = attribute;
	k = 0;
	for (const struct pare_attr *t = n->op->attrs; t->name; t++) {
		Onnx__AttributeProto *p;
		enum pare_status st;

		if (t->type != PARE_ATTR_GRAPH)
			continue;
		if (!(p = pare_proto_int(w->a, t->name, 0)) ||
			!(p->g = pare_alloc(w->a, sizeof *p->g)))
			return no_memory(w);
		p->has_i = false;
		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
		if ((st = write_inside(w, pare_node_graph(n, (int)k++), n, name, p->g)))
			return st;
		to->attribute[to->n_attribute++] = p;
	}
	return PARE_OK;
}
