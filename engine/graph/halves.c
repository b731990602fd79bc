/* A network whose weights are float16, bfloat16 or double, and so its activations, is read as one
 * of float32: what it computes is the same but for rounding, its layers have dials for their
 * activations, run fast, and what export writes is of one type.  Not where such a type enters or
 * leaves the network, or graphs lie inside nodes: there each node converts for itself. */
#include "../base/err.h"
#include "simplify.h"

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

static bool stays_inside(const struct pare_graph *g)
{
	for (int i = 0; i < g->n_in; i++)
		if (is_other(g->vars[g->in[i]].declared.dtype))
			return false;
	for (int i = 0; i < g->n_out; i++)
		if (is_other(g->vars[g->out[i]].declared.dtype) ||
			!g->vars[g->out[i]].declared.dtype)
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
	return st;
}
