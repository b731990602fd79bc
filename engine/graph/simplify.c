/* What the reader hands over is brought into the form that everything else works on: nodes in
 * order, no constants that are computed, nothing that does nothing, no BatchNormalization behind
 * a layer that can absorb it, float32 weights, no node that no output needs. */
#include "../base/err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

/* A folded result may be this much larger than what it is made from. */
enum { FOLD_GROWTH = 4, FOLD_EXTRA = 1 << 20 };

struct simplifier {
	struct pare_graph *g;
	struct pare_arena *a;
	int room;     /* of g->vars, grown at the start */
	bool *gone;   /* [nodes] */
	int *same_as; /* [room] the var that stands for this one */
	int *uses;    /* [room] how many inputs and graph outputs read it */
	bool *is_out; /* [room] */
	struct pare_err *err;
};

static enum pare_status no_memory(const struct simplifier *s)
{
	return pare_nomem(s->err, "its graph");
}

/* ---- order ----------------------------------------------------------------------------------- */

enum mark { NEW, OPEN, DONE };

/* Depth first along what a node reads, with a stack of its own: files can be deep. */
static enum pare_status
visit(struct simplifier *s, int root, char *mark, int *stack, int *next, int *order, int *n_order)
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
static enum pare_status sort_nodes(struct simplifier *s)
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

static enum pare_status
set_constant(struct simplifier *s, int var, const struct pare_tensor *t, struct pare_blob *b)
{
	struct pare_var *v = &s->g->vars[var];
	struct pare_tensor *copy = pare_memdup(s->a, t, sizeof *t);

	pare_blob_free(v->blob);
	v->blob = b; /* the model frees it */
	if (!copy)
		return no_memory(s);
	v->declared = (struct pare_known){ t->dtype, t->shape, copy };
	v->producer = -1;
	return PARE_OK;
}

static int add_var(struct simplifier *s, const char *owner, const char *what)
{
	struct pare_var *v = &s->g->vars[s->g->n_vars];

	if (s->g->n_vars >= s->room || !(v->name = pare_sprintf(s->a, "%s.%s", owner, what)))
		return -1;
	s->same_as[s->g->n_vars] = s->g->n_vars;
	return s->g->n_vars++;
}

static size_t bytes_of(const struct pare_known *k)
{
	size_t bytes;

	return pare_dtype_bytes(k->dtype, pare_shape_elems(&k->shape), &bytes) ? bytes : SIZE_MAX;
}

/* What is known of a node's inputs from constants alone; false when nothing can follow from it. */
static bool constant_call(const struct simplifier *s, const struct pare_node *n,
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

static bool worth_folding(const struct pare_shape_call *c)
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
	return out <= FOLD_GROWTH * in + FOLD_EXTRA;
}

static enum pare_status fold_node(struct simplifier *s, int node, bool *folded)
{
	struct pare_node *n = &s->g->nodes[node];
	size_t n_in = (size_t)n->n_in + 1, n_out = (size_t)n->n_out + 1;
	const struct pare_known **in = calloc(n_in, sizeof *in);
	struct pare_known *out = calloc(n_out, sizeof *out);
	struct pare_tensor *t = calloc(n_out, sizeof *t);
	struct pare_blob **b = calloc(n_out, sizeof *b);
	struct pare_shape_call c;
	enum pare_status st = in && out && t && b ? PARE_OK : no_memory(s);

	for (int i = 0; i < n->n_out && !st; i++)
		if (n->out[i] >= 0 && s->is_out[n->out[i]])
			goto done; /* an output stays something that a node makes */
	if (st || !constant_call(s, n, in, out, &c) || n->op->shape(&c, NULL) || !worth_folding(&c))
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
	if (!st)
		st = pare_node_compute(&c, t, s->err);
	for (int i = 0; i < n->n_out && !st; i++) {
		st = set_constant(s, n->out[i], &t[i], b[i]);
		b[i] = NULL;
	}
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

static int find(const struct simplifier *s, int var)
{
	while (var >= 0 && s->same_as[var] != var)
		var = s->same_as[var];
	return var;
}

/* Everyone who read `var` now reads `other`. */
static void replace_reads(struct simplifier *s, int var, int other)
{
	for (int i = 0; i < s->g->n_nodes; i++)
		for (int k = 0; k < s->g->nodes[i].n_in; k++)
			if (s->g->nodes[i].in[k] == var)
				s->g->nodes[i].in[k] = other;
}

static bool remove_alias(struct simplifier *s, const struct pare_node *n)
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

static enum pare_status fold_and_bypass(struct simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		enum pare_status st;

		for (int k = 0; k < n->n_in; k++)
			n->in[k] = find(s, n->in[k]);
		s->gone[i] = remove_alias(s, n);
		if (!s->gone[i] && (st = fold_node(s, i, &s->gone[i])))
			return st;
	}
	return PARE_OK;
}

/* ---- use ------------------------------------------------------------------------------------- */

static void count_uses(struct simplifier *s)
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

static void drop_dead(struct simplifier *s)
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

/* ---- weights --------------------------------------------------------------------------------- */

/* The constant at a node's input, as float32 that no other node reads; -1 on failure. */
static int own_floats(struct simplifier *s, struct pare_node *n, int input)
{
	int var = n->in[input];
	const struct pare_tensor *old = s->g->vars[var].declared.value;
	struct pare_tensor t = *old;
	int64_t elems = pare_shape_elems(&t.shape);
	struct pare_blob *b = pare_blob_new((size_t)elems * sizeof(float));

	t.dtype = PARE_F32;
	t.data = b ? b->data : NULL;
	if (!b || pare_to_f32(old->dtype, old->data, elems, t.f32, s->err)) {
		pare_blob_free(b);
		return -1;
	}
	if (s->uses[var] > 1) {
		int copy = add_var(s, s->g->vars[var].name,
			n->out[0] >= 0 ? s->g->vars[n->out[0]].name : "copy");

		if (copy < 0) {
			pare_blob_free(b);
			return -1;
		}
		s->uses[var]--;
		s->uses[copy] = 1;
		n->in[input] = var = copy;
	}
	return set_constant(s, var, &t, b) ? -1 : var;
}

static bool is_other_float(const struct pare_known *k)
{
	return k->value && (k->dtype == PARE_F16 || k->dtype == PARE_BF16 || k->dtype == PARE_F64);
}

static struct pare_weight_at weight_of(const struct pare_node *n)
{
	struct pare_weight_at at = { .input = -1, .bias = -1 };

	if (n->op && n->op->weight)
		at = n->op->weight(n, n->attr);
	if (at.input >= n->n_in || (at.input >= 0 && n->in[at.input] < 0))
		at.input = -1;
	return at;
}

static bool weight_fits(const struct pare_shape *w, const struct pare_weight_at *at)
{
	return at->out_axis < w->n && at->groups > 0 &&
	       (at->out_axis == 0 || w->d[0] % at->groups == 0) && pare_shape_elems(w) > 0;
}

/* Layers have float32 weights, however they were stored. */
static enum pare_status widen_weights(struct simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		struct pare_weight_at at = weight_of(n);
		int slot[2] = { at.input, at.bias };

		for (int k = 0; k < 2 && !s->gone[i] && at.input >= 0; k++)
			if (slot[k] >= 0 && slot[k] < n->n_in && n->in[slot[k]] >= 0 &&
				is_other_float(&s->g->vars[n->in[slot[k]]].declared) &&
				own_floats(s, n, slot[k]) < 0)
				return no_memory(s);
	}
	return PARE_OK;
}

/* ---- BatchNormalization into the layer before ------------------------------------------------ */

struct absorb {
	struct pare_node *layer;
	struct pare_weight_at at;
	int64_t channels;
	float *scale, *shift;
};

/* Output channels of a weight: a transposed grouped convolution counts them per group. */
static int64_t out_channels(const struct pare_shape *w, const struct pare_weight_at *at)
{
	return w->d[at->out_axis] * (at->out_axis > 0 ? at->groups : 1);
}

static bool can_absorb(const struct simplifier *s, const struct pare_node *n, struct absorb *x)
{
	int var = n->op && n->op->affine && n->n_in > 0 ? n->in[0] : -1;
	const struct pare_known *w, *b = NULL;
	int producer = var < 0 ? -1 : s->g->vars[var].producer;

	if (producer < 0 || s->uses[var] != 1 || s->is_out[var])
		return false;
	x->layer = &s->g->nodes[producer];
	x->at = weight_of(x->layer);
	if (x->at.input < 0 || x->at.bias_at <= 0 || x->layer->out[0] != var)
		return false;
	w = &s->g->vars[x->layer->in[x->at.input]].declared;
	if (!w->value || w->dtype != PARE_F32 || !weight_fits(&w->shape, &x->at))
		return false;
	x->channels = out_channels(&w->shape, &x->at);
	if (x->at.bias_at < x->layer->n_in && x->layer->in[x->at.bias_at] >= 0)
		b = &s->g->vars[x->layer->in[x->at.bias_at]].declared;
	/* a bias of another shape is broadcast in ways that a shift per channel is not */
	return !b || (b->value && b->dtype == PARE_F32 && b->shape.n > 0 &&
			     pare_shape_elems(&b->shape) == x->channels &&
			     b->shape.d[b->shape.n - 1] == x->channels);
}

static void scale_weight(const struct pare_tensor *w, const struct absorb *x)
{
	int64_t outer = pare_shape_span(&w->shape, 0, x->at.out_axis),
		inner = pare_shape_span(&w->shape, x->at.out_axis + 1, w->shape.n),
		per_group = w->shape.d[x->at.out_axis];
	float *p = w->f32;

	for (int64_t o = 0; o < outer; o++) {
		int64_t first = x->at.out_axis > 0 ? o / (outer / x->at.groups) * per_group : 0;

		for (int64_t c = 0; c < per_group; c++)
			for (int64_t i = 0; i < inner; i++)
				*p++ *= x->scale[first + c];
	}
}

/* The layer's bias, made if there is none, as a var of its own; -1: no memory. */
static int own_bias(struct simplifier *s, const struct absorb *x)
{
	struct pare_node *n = x->layer;
	int at = x->at.bias_at, *in, var;
	struct pare_tensor t = { .dtype = PARE_F32, .lanes = 1, .shape = { 1, { x->channels } } };
	struct pare_blob *b;

	if (at < n->n_in && n->in[at] >= 0)
		return own_floats(s, n, at);
	if (!(in = pare_alloc_n(s->a, (size_t)at + 1, sizeof *in)) ||
		(var = add_var(s, s->g->vars[n->out[0]].name, "bias")) < 0 ||
		!(b = pare_blob_new((size_t)x->channels * sizeof(float))))
		return -1;
	t.data = b->data;
	for (int i = 0; i <= at; i++)
		in[i] = i < n->n_in ? n->in[i] : -1;
	in[at] = var;
	s->uses[var] = 1;
	n->in = in;
	n->n_in = n->n_in > at + 1 ? n->n_in : at + 1;
	return set_constant(s, var, &t, b) ? -1 : var;
}

static enum pare_status absorb_node(struct simplifier *s, int node, struct absorb *x)
{
	struct pare_node *n = &s->g->nodes[node];
	int w = own_floats(s, x->layer, x->at.input), b = w < 0 ? -1 : own_bias(s, x);
	float *bias;

	if (b < 0)
		return no_memory(s);
	scale_weight(s->g->vars[w].declared.value, x);
	bias = s->g->vars[b].declared.value->f32;
	for (int64_t c = 0; c < x->channels; c++)
		bias[c] = bias[c] * x->scale[c] + x->shift[c];
	x->layer->out[0] = n->out[0];
	s->g->vars[n->out[0]].producer = (int)(x->layer - s->g->nodes);
	s->gone[node] = true;
	return PARE_OK;
}

static enum pare_status absorb_affine(struct simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		const struct pare_known *in[16] = { NULL };
		struct pare_shape_call c = {
			.node = n, .attr = n->attr, .n_in = n->n_in, .in = in
		};
		struct absorb x = { 0 };
		enum pare_status st = PARE_OK;

		if (s->gone[i] || n->n_in > 16 || !can_absorb(s, n, &x))
			continue;
		for (int k = 0; k < n->n_in; k++)
			in[k] = n->in[k] < 0 ? NULL : &s->g->vars[n->in[k]].declared;
		x.scale = calloc((size_t)x.channels + 1, sizeof *x.scale);
		x.shift = calloc((size_t)x.channels + 1, sizeof *x.shift);
		if (!x.scale || !x.shift)
			st = no_memory(s);
		else if (n->op->affine(&c, x.channels, x.scale, x.shift))
			st = absorb_node(s, i, &x);
		free(x.scale);
		free(x.shift);
		if (st)
			return st;
	}
	return PARE_OK;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Nodes and values that are gone leave no gap; numbers change. */
static enum pare_status compact(struct simplifier *s)
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

static enum pare_status prepare(struct simplifier *s)
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

enum pare_status
pare_graph_simplify(struct pare_graph *g, struct pare_arena *a, struct pare_err *err)
{
	struct simplifier s = { .g = g, .a = a, .err = err };
	enum pare_status st;

	if ((st = sort_nodes(&s)) || (st = prepare(&s)))
		goto out;
	count_uses(&s);
	if ((st = fold_and_bypass(&s)))
		goto out;
	count_uses(&s);
	if ((st = widen_weights(&s)) || (st = absorb_affine(&s)))
		goto out;
	drop_dead(&s);
	if ((st = compact(&s)))
		goto out;
	st = pare_graph_name_nodes(g, a, err);
out:
	free(s.gone);
	free(s.same_as);
	free(s.uses);
	free(s.is_out);
	return st;
}
