/* A network whose weights are float16, bfloat16 or double, and so its activations, is read as one
 * of float32: what it computes is the same but for rounding, its layers have dials for their
 * activations, run fast, and what export writes is of one type.  Halves that enter or leave the
 * network are cast there.  Not where doubles do, or graphs lie inside nodes: there each node
 * converts for itself. */
#include "../base/err.h"
#include "simplify.h"
#include <string.h>

static bool is_other(enum pare_dtype t)
{
	return t == PARE_F16 || t == PARE_BF16 || t == PARE_F64;
}

static bool has_other_weights(const struct pare_graph *g)
{
	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *n = &g->nodes[i];
		int at = n->op && n->op->weight ? n->op->weight(n, n->attr).input : -1;

		if (at >= 0 && at < n->n_in && n->in[at] >= 0 &&
			g->vars[n->in[at]].declared.value &&
			is_other(g->vars[n->in[at]].declared.dtype))
			return true;
	}
	return false;
}

/* Of a value that enters or leaves: what is not float32 must be a half, and made by a node. */
static bool can_be_cast(const struct pare_var *v, bool leaves)
{
	if (!is_other(v->declared.dtype))
		return v->declared.dtype || !leaves;
	return v->declared.dtype != PARE_F64 && (!leaves || v->producer >= 0);
}

static bool stays_inside(const struct pare_graph *g)
{
	for (int i = 0; i < g->n_in; i++)
		if (!can_be_cast(&g->vars[g->in[i]], false))
			return false;
	for (int i = 0; i < g->n_out; i++)
		if (!can_be_cast(&g->vars[g->out[i]], true))
			return false;
	for (int i = 0; i < g->n_nodes; i++)
		if (g->nodes[i].op && g->nodes[i].op->control)
			return false;
	return true;
}

static enum pare_status to_float32(struct pare_simplifier *s, int var)
{
	struct pare_var *v = &s->g->vars[var];
	struct pare_tensor t = *v->declared.value;
	int64_t elems = pare_shape_elems(&t.shape);
	enum pare_dtype stored = pare_simplify_stored(v, elems);
	struct pare_blob *b = pare_blob_new((size_t)elems * sizeof(float));
	enum pare_status st;

	if (!b)
		return pare_nomem(s->err, "its constants");
	if ((st = pare_to_f32(t.dtype, t.data, elems, b->data, s->err))) {
		pare_blob_free(b);
		return st;
	}
	t.dtype = PARE_F32;
	t.data = b->data;
	v->stored = stored;
	return pare_simplify_constant(s, var, &t, b);
}

/* ---- the border ------------------------------------------------------------------------------ */

static void rename_value(struct pare_graph *g, int from, int to)
{
	for (int i = 0; i < g->n_nodes; i++) {
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] == from)
				g->nodes[i].in[k] = to;
		for (int k = 0; k < g->nodes[i].n_out; k++)
			if (g->nodes[i].out[k] == from)
				g->nodes[i].out[k] = to;
	}
}

/* Inside, the value is another, of float32; a node casts between them. */
static enum pare_status cast_value(struct pare_simplifier *s, int var, bool leaves)
{
	struct pare_graph *g = s->g;
	struct pare_node *n = &g->nodes[g->n_nodes];
	struct pare_var *v = &g->vars[var], *inside = &g->vars[g->n_vars];
	int in = leaves ? g->n_vars : var, out = leaves ? var : g->n_vars;

	*inside = (struct pare_var){ .name = pare_sprintf(s->a, "%s.float32", v->name),
		.declared = { .dtype = PARE_F32, .shape = v->declared.shape },
		.producer = leaves ? v->producer : g->n_nodes };
	*n = (struct pare_node){ .name = "",
		.op_type = pare_op_cast()->name,
		.domain = "",
		.op = pare_op_cast(),
		.attr = pare_op_attr(pare_op_cast(), s->a),
		.n_in = 1,
		.n_out = 1,
		.in = pare_memdup(s->a, &in, sizeof in),
		.out = pare_memdup(s->a, &out, sizeof out) };
	if (!inside->name || !n->attr || !n->in || !n->out)
		return pare_nomem(s->err, "a cast");
	*(int64_t *)(uintptr_t)pare_node_attr(n, "to", PARE_ATTR_INT) =
		pare_dtype_to_onnx(leaves ? v->declared.dtype : PARE_F32);
	rename_value(g, var, g->n_vars);
	v->producer = leaves ? g->n_nodes : -1;
	g->n_vars++;
	g->n_nodes++;
	return PARE_OK;
}

static bool named_before(const int *list, int i)
{
	for (int k = 0; k < i; k++)
		if (list[k] == list[i])
			return true;
	return false;
}

static enum pare_status cast_border(struct pare_simplifier *s)
{
	struct pare_graph *g = s->g;
	size_t more = (size_t)g->n_in + (size_t)g->n_out;
	struct pare_node *nodes = pare_alloc_n(s->a, (size_t)g->n_nodes + more, sizeof *nodes);
	struct pare_var *vars = pare_alloc_n(s->a, (size_t)g->n_vars + more, sizeof *vars);
	enum pare_status st = PARE_OK;

	if (!nodes || !vars)
		return pare_nomem(s->err, "casts");
	g->nodes = memcpy(nodes, g->nodes, (size_t)g->n_nodes * sizeof *nodes);
	g->vars = memcpy(vars, g->vars, (size_t)g->n_vars * sizeof *vars);
	for (int i = 0; i < g->n_in && !st; i++)
		if (is_other(vars[g->in[i]].declared.dtype))
			st = cast_value(s, g->in[i], false);
	for (int i = 0; i < g->n_out && !st; i++)
		if (is_other(vars[g->out[i]].declared.dtype) && !named_before(g->out, i))
			st = cast_value(s, g->out[i], true);
	return st;
}

enum pare_status pare_simplify_halves(struct pare_simplifier *s)
{
	struct pare_graph *g = s->g;
	enum pare_status st = PARE_OK;

	if (!s->outermost || g->next || !has_other_weights(g) || !stays_inside(g))
		return PARE_OK;
	for (int i = 0; i < g->n_vars && !st; i++)
		if (g->vars[i].declared.value && is_other(g->vars[i].declared.dtype))
			st = to_float32(s, i);
	for (int i = 0; i < g->n_nodes && !st; i++)
		if (g->nodes[i].op && g->nodes[i].op->in_float32)
			st = g->nodes[i].op->in_float32(&g->nodes[i], s->a, s->err);
	return st ? st : cast_border(s);
}
