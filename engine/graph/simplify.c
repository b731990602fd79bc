/* What the reader hands over is brought into the form that everything else works on: nodes in
 * order, no constants that are computed, nothing that does nothing, no BatchNormalization behind
 * a layer that can absorb it, float32 weights, no node that no output needs. */
#include "simplify.h"
#include "../base/err.h"
#include <stdlib.h>
#include <string.h>

/* A folded result may be this much larger than what it is made from, and all of them together this
 * much larger than the file's own constants. */
enum { FOLD_GROWTH = 8, FOLD_EXTRA = 1 << 20, FOLD_TOTAL = 1 << 26 };

static enum pare_status no_memory(const struct pare_simplifier *s)
{
	return pare_nomem(s->err, "its graph");
}

/* ---- order ----------------------------------------------------------------------------------- */

enum mark { NEW, OPEN, DONE };

/* Depth first along what a node reads, with a stack of its own: files can be deep. */
static enum pare_status visit(struct pare_simplifier *s, int root, char *mark, int *stack,
	int *next, int *order, int *n_order)
{
	const struct pare_graph *g = s->g;
	int depth = 0;

	stack[0] = root;
	mark[root] = OPEN;
	while (depth >= 0) {
		int node = stack[depth];
		const struct pare_node *n = &g->nodes[node];

		if (next[node] == n->n_in) {
			mark[node] = DONE;
			order[(*n_order)++] = node;
			depth--;
			continue;
		}
		int var = n->in[next[node]++], from = var < 0 ? -1 : g->vars[var].producer;

		if (from < 0 || mark[from] == DONE)
			continue;
		if (mark[from] == OPEN)
			return pare_fail(s->err, PARE_E_FORMAT,
				"node '%s' (%s) needs its own result: the graph has a cycle",
				*g->nodes[from].name ? g->nodes[from].name : g->vars[var].name,
				g->nodes[from].op_type);
		mark[from] = OPEN;
		stack[++depth] = from;
	}
	return PARE_OK;
}

/* Sorted so that what a node reads comes before it; a sorted graph keeps its order. */
static enum pare_status sort_nodes(struct pare_simplifier *s)
{
	struct pare_graph *g = s->g;
	size_t n = (size_t)g->n_nodes + 1;
	char *mark = calloc(n, 1);
	int *work = calloc(3 * n, sizeof *work), *order = work, n_order = 0;
	struct pare_node *sorted = pare_alloc_n(s->a, n, sizeof *sorted);
	enum pare_status st = mark && work && sorted ? PARE_OK : no_memory(s);

	for (int i = 0; i < g->n_nodes && !st; i++)
		if (mark[i] == NEW)
			st = visit(s, i, mark, work + n, work + 2 * n, order, &n_order);
	for (int i = 0; i < n_order && !st; i++) {
		sorted[i] = g->nodes[order[i]];
		for (int k = 0; k < sorted[i].n_out; k++)
			if (sorted[i].out[k] >= 0)
				g->vars[sorted[i].out[k]].producer = i;
	}
	if (!st)
		g->nodes = sorted;
	free(mark);
	free(work);
	return st;
}

/* ---- constants ------------------------------------------------------------------------------- */

static size_t bytes_of(const struct pare_known *k)
{
	size_t bytes;

	return pare_dtype_bytes(k->dtype, pare_shape_elems(&k->shape), &bytes) ? bytes : SIZE_MAX;
}

/* What is known of a node's inputs from constants alone; false when nothing can follow from it. */
static bool constant_call(const struct pare_simplifier *s, const struct pare_node *n,
	const struct pare_known **in, struct pare_known *out, struct pare_shape_call *c)
{
	*c = (struct pare_shape_call){
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out
	};
	for (int i = 0; i < n->n_in; i++) {
		in[i] = n->in[i] < 0 ? NULL : &s->g->vars[n->in[i]].declared;
		if (in[i] && !in[i]->value)
			return false;
	}
	return pare_node_is_constant(c);
}

static bool worth_folding(struct pare_simplifier *s, const struct pare_shape_call *c)
{
	size_t in = 0, out = 0;

	for (int i = 0; i < c->n_in; i++)
		in += c->in[i] ? bytes_of(c->in[i]) : 0;
	for (int i = 0; i < c->n_out; i++) {
		size_t bytes = bytes_of(&c->out[i]);

		if (c->node->out[i] < 0 || bytes > SIZE_MAX / 64)
			return false;
		out += bytes;
	}
	if (out > FOLD_GROWTH * in + FOLD_EXTRA || out > *s->fold_room)
		return false;
	*s->fold_room -= out;
	return true;
}

static enum pare_status fold_node(struct pare_simplifier *s, int node, bool *folded)
{
	struct pare_node *n = &s->g->nodes[node];
	size_t n_in = (size_t)n->n_in + 1, n_out = (size_t)n->n_out + 1;
	const struct pare_known **in = calloc(n_in, sizeof *in);
	struct pare_known *out = calloc(n_out, sizeof *out);
	struct pare_tensor *t = calloc(n_out, sizeof *t);
	struct pare_blob **b = calloc(n_out, sizeof *b);
	struct pare_shape_call c;
	struct pare_err inner = { 0 };
	enum pare_status st = in && out && t && b ? PARE_OK : no_memory(s);

	for (int i = 0; i < n->n_out && !st; i++)
		if (n->out[i] >= 0 && s->is_out[n->out[i]])
			goto done; /* an output stays something that a node makes */
	if (st || !constant_call(s, n, in, out, &c) || pare_op_shape(&c, NULL) ||
		!worth_folding(s, &c))
		goto done;
	for (int i = 0; i < n->n_out && !st; i++) {
		if (!(b[i] = pare_blob_new(bytes_of(&out[i]))))
			st = no_memory(s);
		else
			t[i] = (struct pare_tensor){ .dtype = out[i].dtype,
				.lanes = 1,
				.shape = out[i].shape,
				.data = b[i]->data };
	}
	if (!st && pare_node_compute(&c, t, &inner)) { /* what its data lacks, the run will say */
		st = inner.code == PARE_E_NOMEM ? no_memory(s) : PARE_OK;
		goto done;
	}
	for (int i = 0; i < n->n_out && !st; i++) {
		struct pare_var *v = &s->g->vars[n->out[i]];

		st = pare_simplify_constant(s, n->out[i], &t[i], b[i]);
		b[i] = NULL;
		for (int k = 0; k < n->n_in && t[i].dtype == PARE_F32; k++)
			if (n->in[k] >= 0 && !v->stored)
				v->stored = pare_simplify_stored(
					&s->g->vars[n->in[k]], pare_shape_elems(&t[i].shape));
	}
	if (!st && n->n_out > 0)
		s->g->vars[n->out[0]].codes = pare_simplify_codes(s, n, &c);
	*folded = !st;
done:
	for (int i = 0; b && i < n->n_out; i++)
		pare_blob_free(b[i]);
	free(in);
	free(out);
	free(t);
	free(b);
	return st;
}

/* ---- nodes that do nothing ------------------------------------------------------------------- */

static int find(const struct pare_simplifier *s, int var)
{
	while (var >= 0 && s->same_as[var] != var)
		var = s->same_as[var];
	return var;
}

/* Everyone who read `var` now reads `other`. */
static void replace_reads(struct pare_simplifier *s, int var, int other)
{
	for (int i = 0; i < s->g->n_nodes; i++)
		for (int k = 0; k < s->g->nodes[i].n_in; k++)
			if (s->g->nodes[i].in[k] == var)
				s->g->nodes[i].in[k] = other;
}

static bool remove_alias(struct pare_simplifier *s, const struct pare_node *n)
{
	int from = n->in[0], to = n->out[0], producer;

	/* a third input of Dropout can switch it to training */
	if (!n->op || !n->op->alias || n->n_in > 2 || from < 0)
		return false;
	for (int k = 1; k < n->n_out; k++)
		if (n->out[k] >= 0 && (s->uses[n->out[k]] || s->is_out[n->out[k]]))
			return false;
	if (!s->is_out[to]) {
		s->same_as[to] = from;
		return true;
	}
	producer = s->g->vars[from].producer;
	if (producer < 0 || s->is_out[from])
		return false;
	/* the output keeps its name: the producer writes it directly */
	for (int k = 0; k < s->g->nodes[producer].n_out; k++)
		if (s->g->nodes[producer].out[k] == from)
			s->g->nodes[producer].out[k] = to;
	s->g->vars[to].producer = producer;
	s->same_as[from] = to;
	replace_reads(s, from, to);
	return true;
}

static enum pare_status fold_and_bypass(struct pare_simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		enum pare_status st;

		for (int k = 0; k < n->n_in; k++)
			n->in[k] = find(s, n->in[k]);
		if ((st = pare_simplify_inside(s, n)))
			return st;
		s->gone[i] = remove_alias(s, n);
		if (!s->gone[i] && (st = fold_node(s, i, &s->gone[i])))
			return st;
	}
	return PARE_OK;
}

/* ---- use ------------------------------------------------------------------------------------- */

static void count_uses(struct pare_simplifier *s)
{
	const struct pare_graph *g = s->g;

	memset(s->uses, 0, (size_t)s->room * sizeof *s->uses);
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in && !s->gone[i]; k++)
			if (g->nodes[i].in[k] >= 0)
				s->uses[g->nodes[i].in[k]]++;
	for (int i = 0; i < g->n_out; i++) {
		s->uses[g->out[i]]++;
		s->is_out[g->out[i]] = true;
	}
}

static void drop_dead(struct pare_simplifier *s)
{
	const struct pare_graph *g = s->g;
	bool *need = s->is_out; /* grows from the outputs upwards */

	for (int i = g->n_nodes - 1; i >= 0; i--) {
		const struct pare_node *n = &g->nodes[i];
		bool used = false;

		for (int k = 0; k < n->n_out; k++)
			used |= n->out[k] >= 0 && need[n->out[k]];
		s->gone[i] |= !used;
		for (int k = 0; k < n->n_in && !s->gone[i]; k++)
			if (n->in[k] >= 0)
				need[n->in[k]] = true;
	}
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Nodes and values that are gone leave no gap; numbers change. */
static enum pare_status compact(struct pare_simplifier *s)
{
	struct pare_graph *g = s->g;
	int *number = pare_alloc_n(s->a, (size_t)s->room, sizeof *number), n_nodes = 0, n_vars = 0;
	bool *keep = s->is_out;

	if (!number)
		return no_memory(s);
	for (int i = 0; i < g->n_in; i++)
		keep[g->in[i]] = true;
	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *n = &g->nodes[i];

		if (s->gone[i])
			continue;
		for (int k = 0; k < n->n_in; k++)
			if (n->in[k] >= 0)
				keep[n->in[k]] = true;
		for (int k = 0; k < n->n_out; k++)
			if (n->out[k] >= 0) {
				keep[n->out[k]] = true;
				g->vars[n->out[k]].producer = n_nodes;
			}
		g->nodes[n_nodes++] = *n;
	}
	for (int i = 0; i < g->n_vars; i++) {
		number[i] = n_vars;
		if (keep[i])
			g->vars[n_vars++] = g->vars[i];
		else
			pare_blob_free(g->vars[i].blob);
	}
	g->n_nodes = n_nodes;
	g->n_vars = n_vars;
	for (int i = 0; i < g->n_in; i++)
		g->in[i] = number[g->in[i]];
	for (int i = 0; i < g->n_out; i++)
		g->out[i] = number[g->out[i]];
	for (int i = 0; i < g->n_nodes; i++) {
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				g->nodes[i].in[k] = number[g->nodes[i].in[k]];
		for (int k = 0; k < g->nodes[i].n_out; k++)
			if (g->nodes[i].out[k] >= 0)
				g->nodes[i].out[k] = number[g->nodes[i].out[k]];
	}
	return PARE_OK;
}

static enum pare_status prepare(struct pare_simplifier *s)
{
	struct pare_graph *g = s->g;
	size_t room = (size_t)g->n_vars + 3 * (size_t)g->n_nodes + 1;
	struct pare_var *vars;

	if (room > INT32_MAX)
		return no_memory(s);
	s->room = (int)room;
	vars = pare_alloc_n(s->a, room, sizeof *vars);
	s->gone = calloc((size_t)g->n_nodes + 1, sizeof *s->gone);
	s->same_as = calloc(room, sizeof *s->same_as);
	s->uses = calloc(room, sizeof *s->uses);
	s->is_out = calloc(room, sizeof *s->is_out);
	if (!vars || !s->gone || !s->same_as || !s->uses || !s->is_out)
		return no_memory(s);
	memcpy(vars, g->vars, (size_t)g->n_vars * sizeof *vars);
	g->vars = vars;
	for (int i = 0; i < s->room; i++)
		s->same_as[i] = i;
	return PARE_OK;
}

static void tear_down(struct pare_simplifier *s)
{
	free(s->gone);
	free(s->same_as);
	free(s->uses);
	free(s->is_out);
	s->gone = s->is_out = NULL;
	s->same_as = s->uses = NULL;
}

/* Again when a branch has taken the place of its If: more may be constant then. */
static enum pare_status fold_all(struct pare_simplifier *s)
{
	bool changed = true;

	while (changed) {
		enum pare_status st;

		tear_down(s);
		if ((st = sort_nodes(s)) || (st = prepare(s)))
			return st;
		count_uses(s);
		if ((st = pare_simplify_lookups(s)))
			return st;
		count_uses(s);
		if ((st = fold_and_bypass(s)) || (st = pare_simplify_choose(s, &changed)))
			return st;
	}
	return PARE_OK;
}

static enum pare_status simplify(struct pare_simplifier *s)
{
	enum pare_status st;

	if ((st = pare_simplify_halves(s)) || (st = fold_all(s)))
		goto out;
	count_uses(s);
	if ((st = pare_simplify_weights(s)) || (st = pare_simplify_quantizers(s)))
		goto out;
	drop_dead(s);
	if ((st = compact(s)))
		goto out;
	st = pare_graph_name_nodes(s->g, s->a, s->err);
out:
	tear_down(s);
	return st;
}

enum pare_status pare_simplify_graph(
	struct pare_graph *g, struct pare_arena *a, size_t *fold_room, struct pare_err *err)
{
	struct pare_simplifier s = { .g = g, .a = a, .fold_room = fold_room, .err = err };

	return simplify(&s);
}

enum pare_status
pare_graph_simplify(struct pare_graph *g, struct pare_arena *a, struct pare_err *err)
{
	size_t fold_room = FOLD_TOTAL;
	struct pare_simplifier s = {
		.g = g, .outermost = true, .a = a, .fold_room = &fold_room, .err = err
	};

	for (const struct pare_graph *x = g; x; x = x->next)
		for (int i = 0; i < x->n_vars; i++)
			fold_room += x->vars[i].blob ? FOLD_GROWTH * x->vars[i].blob->len : 0;
	return simplify(&s);
}
