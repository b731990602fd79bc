#include "edit.h"
#include "../base/err.h"
#include <string.h>

enum pare_status pare_edit_new(const struct pare_model *m, int nodes, int values,
	struct pare_edit *out, struct pare_err *err)
{
	struct pare_edit e = { .m = pare_model_new(),
		.nodes = m->graph.n_nodes + nodes,
		.values = m->graph.n_vars + nodes + values };
	struct pare_graph *g;

	if (!e.m)
		return pare_nomem(err, "a larger network");
	g = &e.m->graph;
	*g = m->graph;
	g->n_vars = 0; /* until they are there */
	g->next = NULL;
	g->nodes = pare_alloc_n(e.m->arena, (size_t)e.nodes, sizeof *g->nodes);
	g->vars = pare_alloc_n(e.m->arena, (size_t)e.values, sizeof *g->vars);
	if (!g->nodes || !g->vars) {
		pare_model_free(e.m);
		return pare_nomem(err, "a larger network");
	}
	memcpy(g->nodes, m->graph.nodes, (size_t)m->graph.n_nodes * sizeof *g->nodes);
	for (int i = 0; i < m->graph.n_vars; i++) {
		g->vars[i] = m->graph.vars[i];
		if (g->vars[i].blob)
			pare_blob_ref(g->vars[i].blob);
		g->n_vars++;
	}
	e.m->base = pare_model_ref(m);
	e.m->ir_version = m->ir_version;
	e.m->info.path = m->info.path;
	e.m->info.shapes = m->info.shapes;
	memcpy(e.m->info.sha256, m->info.sha256, sizeof m->info.sha256);
	e.m->info.opset = m->info.opset;
	e.m->info.bytes = m->info.bytes;
	*out = e;
	return PARE_OK;
}

/* A value without a producer; -1: failed. */
static int add_value(struct pare_edit *e, const char *name)
{
	struct pare_graph *g = &e->m->graph;
	struct pare_var *v = &g->vars[g->n_vars];

	if (e->failed || g->n_vars == e->values || !(v->name = pare_strdup(e->m->arena, name))) {
		e->failed = true;
		return -1;
	}
	v->producer = -1;
	v->declared.shape.n = -1;
	return g->n_vars++;
}

int pare_edit_constant(struct pare_edit *e, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data)
{
	struct pare_tensor t = { .dtype = dtype, .lanes = 1, .shape = *shape };
	int at = add_value(e, name);
	struct pare_var *v;
	struct pare_tensor *own;
	size_t bytes;

	if (at < 0)
		return -1;
	v = &e->m->graph.vars[at];
	if (!pare_dtype_bytes(dtype, pare_shape_elems(shape), &bytes) ||
		!(own = pare_memdup(e->m->arena, &t, sizeof t)) ||
		!(v->blob = pare_blob_new(data ? bytes : 0))) {
		e->failed = true;
		return -1;
	}
	if (data)
		memcpy(v->blob->data, data, bytes);
	own->data = data ? v->blob->data : NULL;
	v->declared = (struct pare_known){ dtype, *shape, own };
	return at;
}

int pare_edit_node(struct pare_edit *e, const char *op, const char *name, const int *in, int n_in)
{
	struct pare_graph *g = &e->m->graph;
	struct pare_node n = {
		.op_type = op, .op = pare_op_find(NULL, op), .n_in = n_in, .n_out = 1
	};
	int out = add_value(e, name);

	if (out < 0 || !n.op || g->n_nodes == e->nodes ||
		!(n.name = pare_strdup(e->m->arena, name)) ||
		!(n.in = pare_memdup(e->m->arena, in, (size_t)n_in * sizeof *in)) ||
		!(n.out = pare_memdup(e->m->arena, &out, sizeof out)) ||
		(n.op->attr_size && !(n.attr = pare_op_attr(n.op, e->m->arena)))) {
		e->failed = true;
		return -1;
	}
	n.domain = n.op->domain;
	g->vars[out].producer = g->n_nodes;
	g->nodes[g->n_nodes++] = n;
	return out;
}

void pare_edit_before(struct pare_edit *e, int at)
{
	struct pare_graph *g = &e->m->graph;
	int last = g->n_nodes - 1;
	struct pare_node n;

	if (e->failed)
		return;
	n = g->nodes[last];
	memmove(g->nodes + at + 1, g->nodes + at, (size_t)(last - at) * sizeof n);
	g->nodes[at] = n;
	for (int i = 0; i < g->n_vars; i++)
		if (g->vars[i].producer == last)
			g->vars[i].producer = at;
		else if (g->vars[i].producer >= at)
			g->vars[i].producer++;
}

void pare_edit_ints(struct pare_edit *e, const char *name, const int64_t *v, int n)
{
	struct pare_graph *g = &e->m->graph;
	struct pare_ints *to;

	if (e->failed)
		return;
	to = (struct pare_ints *)(uintptr_t)pare_node_attr(
		&g->nodes[g->n_nodes - 1], name, PARE_ATTR_INTS);
	if (to)
		*to = (struct pare_ints){ n, pare_memdup(e->m->arena, v, (size_t)n * sizeof *v) };
	e->failed = !to || !to->v;
}

void pare_edit_outputs(struct pare_edit *e, const int *out, int n)
{
	e->m->graph.out = pare_memdup(e->m->arena, out, (size_t)n * sizeof *out);
	e->m->graph.n_out = n;
	e->failed |= !e->m->graph.out;
}

void pare_edit_drop_unread(struct pare_edit *e)
{
	struct pare_graph *g = &e->m->graph;
	bool *read = pare_alloc_n(e->m->arena, (size_t)g->n_vars + 1, sizeof *read);

	e->failed |= !read;
	if (e->failed)
		return;
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				read[g->nodes[i].in[k]] = true;
	for (int i = 0; i < g->n_out; i++)
		read[g->out[i]] = true;
	for (int i = 0; i < g->n_vars; i++)
		if (!read[i] && g->vars[i].blob) {
			pare_blob_free(g->vars[i].blob);
			g->vars[i].blob = NULL;
			g->vars[i].declared.value = NULL;
		}
}

void pare_edit_drop(struct pare_edit *e, const bool *dead)
{
	struct pare_graph *g = &e->m->graph;
	int n = 0;

	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *x = &g->nodes[i];

		for (int k = 0; k < x->n_out; k++)
			if (x->out[k] >= 0)
				g->vars[x->out[k]].producer = dead[i] ? -1 : n;
		if (!dead[i])
			g->nodes[n++] = *x;
	}
	g->n_nodes = n;
	pare_edit_drop_unread(e);
}

enum pare_status
pare_edit_finish(struct pare_edit *e, struct pare_model **out, struct pare_err *err)
{
	enum pare_status st =
		e->failed ? pare_nomem(err, "a larger network") : pare_model_index(e->m, err);

	if (st)
		pare_model_free(e->m);
	else
		*out = e->m;
	return st;
}
