/* What simplification does to nodes that hold graphs: constants go in, what is read no longer goes
 * out of the node's inputs, and where it is known which graph runs, that one stands for the node.
 */
#include "../base/err.h"
#include "simplify.h"
#include <stdlib.h>
#include <string.h>

static enum pare_status no_memory(const struct pare_simplifier *s)
{
	return pare_nomem(s->err, "its graph");
}

/* ---- into a node ----------------------------------------------------------------------------- */

static int own_inputs(const struct pare_graph *g)
{
	return g->n_in - g->n_captured;
}

/* The constants around the graph that it reads become its own. */
static void
hand_down(const struct pare_simplifier *s, const struct pare_node *n, const struct pare_graph *g)
{
	for (int i = 0; i < g->n_captured; i++) {
		const struct pare_var *v = &s->g->vars[n->in[g->first_captured + i]];
		struct pare_var *to = &g->vars[g->in[own_inputs(g) + i]];

		if (!v->blob || !v->declared.value)
			continue;
		pare_blob_free(to->blob);
		to->declared = v->declared;
		to->stored = v->stored;
		to->codes = v->codes;
		to->blob = pare_blob_ref(v->blob);
	}
}

static bool reads(const struct pare_graph *g, int var)
{
	for (int i = 0; i < g->n_out; i++)
		if (g->out[i] == var)
			return true;
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] == var)
				return true;
	return false;
}

/* The node's inputs from `to` on, without those that the graph does not read; returns their end. */
static int drop_captures(struct pare_node *n, struct pare_graph *g, int to)
{
	int first = to, own = own_inputs(g), kept = own;

	for (int i = 0; i < g->n_captured; i++) {
		int var = g->in[own + i];

		if (g->vars[var].blob || !reads(g, var))
			continue;
		g->in[kept++] = var;
		n->in[to++] = n->in[g->first_captured + i];
	}
	g->first_captured = first;
	g->n_captured = kept - own;
	g->n_in = kept;
	return to;
}

enum pare_status pare_simplify_inside(struct pare_simplifier *s, struct pare_node *n)
{
	struct pare_graph *g = pare_node_graph(n, 0);
	int end = g ? g->first_captured : 0;

	for (int k = 0; (g = pare_node_graph(n, k)); k++) {
		enum pare_status st;

		hand_down(s, n, g);
		if ((st = pare_simplify_graph(g, s->a, s->fold_room, s->err)))
			return pare_wrap(s->err, st, "in node '%s' (%s)", n->name, n->op_type);
		end = drop_captures(n, g, end);
		n->n_in = pare_node_graph(n, k + 1) ? n->n_in : end;
	}
	return PARE_OK;
}

/* ---- in the place of a node ------------------------------------------------------------------ */

struct choice {
	struct pare_simplifier *s;
	const struct pare_graph **chosen; /* [nodes]; NULL = it stays */
	int n_nodes, n_vars;              /* of the new graph so far */
	struct pare_node *nodes;
	struct pare_var *vars;
};

static bool inputs_are_fixed(const struct pare_graph *g)
{
	for (int i = 0; i < g->n_in; i++) {
		const struct pare_known *k = &g->vars[g->in[i]].declared;

		if (k->dtype == PARE_UNDEFINED || k->shape.n < 0 || pare_shape_elems(&k->shape) < 0)
			return false;
	}
	return true;
}

/* Values that follow from the shapes of the inputs, where those are always the same. */
static enum pare_status
infer_fixed(const struct pare_simplifier *s, struct pare_arena *a, struct pare_known *known)
{
	struct pare_shape *shapes = pare_alloc_n(a, (size_t)s->g->n_in, sizeof *shapes);

	if (!shapes)
		return no_memory(s);
	for (int i = 0; i < s->g->n_in; i++)
		shapes[i] = s->g->vars[s->g->in[i]].declared.shape;
	return pare_graph_infer(s->g, shapes, true, a, known, s->err);
}

static enum pare_status find_choices(struct choice *c, bool *any)
{
	const struct pare_graph *g = c->s->g;
	struct pare_arena *a = NULL;
	struct pare_known *known = NULL;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < g->n_nodes && !st; i++) {
		const struct pare_node *n = &g->nodes[i];
		const struct pare_tensor *x;

		if (c->s->gone[i] || !n->op || !n->op->choose || n->n_in < 1 || n->in[0] < 0)
			continue;
		if (!a && inputs_are_fixed(g)) {
			a = pare_arena_new();
			known = a ? pare_alloc_n(a, (size_t)g->n_vars, sizeof *known) : NULL;
			st = known ? infer_fixed(c->s, a, known) : no_memory(c->s);
		}
		x = st ? NULL : g->vars[n->in[0]].declared.value;
		if (!x && known && !st)
			x = known[n->in[0]].value;
		c->chosen[i] = x ? n->op->choose(n, x) : NULL;
		*any |= c->chosen[i] != NULL;
	}
	pare_arena_free(a);
	return st;
}

static int *mapped(struct pare_arena *a, const int *from, int n, const int *map)
{
	int *to = pare_alloc_n(a, (size_t)n, sizeof *to);

	for (int i = 0; to && i < n; i++)
		to[i] = from[i] < 0 ? -1 : map[from[i]];
	return to;
}

/* out = value, by a node that the next round takes away if it can. */
static bool add_identity(struct choice *c, int value, int out)
{
	struct pare_node *n = &c->nodes[c->n_nodes++];
	const struct pare_op *op = pare_op_identity();

	*n = (struct pare_node){ .name = "", .op_type = op->name, .domain = "", .op = op };
	n->n_in = n->n_out = 1;
	n->in = pare_memdup(c->s->a, &value, sizeof value);
	n->out = pare_memdup(c->s->a, &out, sizeof out);
	return n->in && n->out;
}

static enum pare_status
splice(struct choice *c, const struct pare_node *n, const struct pare_graph *g)
{
	struct pare_arena *a = c->s->a;
	int *map = calloc((size_t)g->n_vars + 1, sizeof *map), own = own_inputs(g);
	bool good = map;

	for (int i = 0; i < g->n_vars && good; i++) {
		map[i] = c->n_vars;
		c->vars[c->n_vars] = g->vars[i];
		if (g->vars[i].blob)
			pare_blob_ref(g->vars[i].blob);
		c->n_vars++;
	}
	for (int i = 0; i < g->n_captured && good; i++)
		map[g->in[own + i]] = n->in[g->first_captured + i];
	for (int i = 0; i < g->n_nodes && good; i++) {
		struct pare_node *to = &c->nodes[c->n_nodes++];

		*to = g->nodes[i];
		to->in = mapped(a, to->in, to->n_in, map);
		to->out = mapped(a, to->out, to->n_out, map);
		good = to->in && to->out;
	}
	for (int i = 0; i < n->n_out && good; i++)
		if (n->out[i] >= 0)
			good = add_identity(c, map[g->out[i]], n->out[i]);
	free(map);
	return good ? PARE_OK : no_memory(c->s);
}

static enum pare_status rebuild(struct choice *c)
{
	struct pare_graph *g = c->s->g;
	size_t nodes = (size_t)g->n_nodes, vars = (size_t)g->n_vars;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < g->n_nodes; i++)
		if (c->chosen[i]) {
			nodes += (size_t)c->chosen[i]->n_nodes + (size_t)g->nodes[i].n_out;
			vars += (size_t)c->chosen[i]->n_vars;
		}
	if (nodes > INT32_MAX / 2 || vars > INT32_MAX / 2)
		return no_memory(c->s);
	c->nodes = pare_alloc_n(c->s->a, nodes, sizeof *c->nodes);
	c->vars = pare_alloc_n(c->s->a, vars, sizeof *c->vars);
	if (!c->nodes || !c->vars)
		return no_memory(c->s);
	memcpy(c->vars, g->vars, (size_t)g->n_vars * sizeof *c->vars);
	c->n_vars = g->n_vars;
	g->vars = c->vars;
	for (int i = 0; i < g->n_nodes && !st; i++) {
		if (c->chosen[i])
			st = splice(c, &g->nodes[i], c->chosen[i]);
		else if (!c->s->gone[i])
			c->nodes[c->n_nodes++] = g->nodes[i];
		g->n_vars = c->n_vars; /* what has blobs is seen by the model */
	}
	if (st)
		return st;
	g->nodes = c->nodes;
	g->n_nodes = c->n_nodes;
	for (int i = 0; i < g->n_vars; i++)
		g->vars[i].producer = -1;
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_out; k++)
			if (g->nodes[i].out[k] >= 0)
				g->vars[g->nodes[i].out[k]].producer = i;
	return PARE_OK;
}

enum pare_status pare_simplify_choose(struct pare_simplifier *s, bool *changed)
{
	struct choice c = { .s = s };
	enum pare_status st;

	*changed = false;
	c.chosen = calloc((size_t)s->g->n_nodes + 1, sizeof *c.chosen);
	if (!c.chosen)
		return no_memory(s);
	st = find_choices(&c, changed);
	if (!st && *changed)
		st = rebuild(&c);
	free(c.chosen);
	return st;
}
