/* Plain inference of a network whose shapes hang on its data (NonZero, Reshape to a computed
 * shape, If): node by node, so that whatever a node reads is known when its shape is asked for.
 * Every value stays in memory until the end of its graph. */
#include "../base/pool.h"
#include "program.h"
#include <math.h>
#include <string.h>

/* Loops of a file that never end, or nearly so, end here. */
enum { MOST_TURNS = 1 << 20 };

struct interpreter {
	const struct pare_graph *g;
	struct pare_arena *a;
	struct pare_tensor *values;         /* [n_vars]; dtype UNDEFINED = not there yet */
	struct pare_known *known;           /* [n_vars] */
	const struct pare_known **known_in; /* [most inputs of a node] */
	const struct pare_tensor **in;
	struct pare_known *known_out;     /* [most outputs] */
	struct pare_tensor *spare, **out; /* for outputs that nobody reads */
	int64_t *turns;                   /* steps of loops that are left */
};

static bool interpreter_room(struct interpreter *t)
{
	size_t vars = (size_t)t->g->n_vars, in = 1, out = 1;

	for (int i = 0; i < t->g->n_nodes; i++) {
		size_t n_in = (size_t)t->g->nodes[i].n_in, n_out = (size_t)t->g->nodes[i].n_out;

		in = n_in > in ? n_in : in;
		out = n_out > out ? n_out : out;
	}
	return (t->values = pare_alloc_n(t->a, vars, sizeof *t->values)) &&
	       (t->known = pare_alloc_n(t->a, vars, sizeof *t->known)) &&
	       (t->known_in = pare_alloc_n(t->a, in, sizeof *t->known_in)) &&
	       (t->in = pare_alloc_n(t->a, in, sizeof *t->in)) &&
	       (t->known_out = pare_alloc_n(t->a, out, sizeof *t->known_out)) &&
	       (t->spare = pare_alloc_n(t->a, out, sizeof *t->spare)) &&
	       (t->out = pare_alloc_n(t->a, out, sizeof *t->out));
}

static void learn(struct interpreter *t, int var, struct pare_tensor x)
{
	t->values[var] = x;
	t->known[var] = (struct pare_known){ x.dtype, x.shape, &t->values[var] };
}

static enum pare_status
make_outputs(struct interpreter *t, const struct pare_node *n, struct pare_err *err)
{
	for (int i = 0; i < n->n_out; i++) {
		struct pare_tensor x = {
			.dtype = t->known_out[i].dtype, .lanes = 1, .shape = t->known_out[i].shape
		};
		size_t bytes;

		if (!pare_dtype_bytes(x.dtype, pare_shape_elems(&x.shape), &bytes))
			return pare_fail(err, PARE_E_FORMAT, "its output would be absurdly large");
		if (!(x.data = pare_alloc(t->a, bytes)))
			return pare_nomem(err, "an activation");
		t->spare[i] = x;
		t->out[i] = &t->spare[i];
		if (n->out[i] >= 0) {
			learn(t, n->out[i], x);
			t->out[i] = &t->values[n->out[i]];
		}
	}
	return PARE_OK;
}

static enum pare_status
interpret(const struct pare_graph *g, const struct pare_tensor *in, int64_t *turns,
	struct pare_arena *a, const struct pare_tensor **values, struct pare_err *err);

/* A graph inside a node: its own inputs are given, the rest is in the node's. */
static enum pare_status
run_inside(const struct pare_control *c, const struct pare_graph *g, const struct pare_tensor *own,
	struct pare_arena *a, struct pare_tensor *out, struct pare_err *err)
{
	int n_own = g->n_in - g->n_captured;
	struct pare_tensor *in = pare_alloc_n(a, (size_t)g->n_in, sizeof *in);
	const struct pare_tensor *values;
	enum pare_status st;

	if (!in)
		return pare_nomem(err, "a run");
	for (int i = 0; i < g->n_in; i++)
		in[i] = i < n_own ? own[i] : *c->in[g->first_captured + i - n_own];
	if ((st = interpret(g, in, c->turns, a, &values, err)))
		return st;
	for (int i = 0; i < g->n_out; i++)
		out[i] = values[g->out[i]];
	return PARE_OK;
}

static enum pare_status
run_control(struct interpreter *t, const struct pare_node *n, struct pare_err *err)
{
	struct pare_control c = { .node = n,
		.attr = n->attr,
		.n_in = n->n_in,
		.n_out = n->n_out,
		.in = t->in,
		.out = t->spare,
		.a = t->a,
		.turns = t->turns,
		.run = run_inside };
	enum pare_status st = n->op->control(&c, err);

	for (int i = 0; i < n->n_out && !st; i++)
		if (n->out[i] >= 0)
			learn(t, n->out[i], t->spare[i]);
	return st;
}

/* The activation that enters a layer, through the quantizer that the file has before it. */
static enum pare_status
quantize(struct interpreter *t, const struct pare_node *n, struct pare_err *err)
{
	struct pare_tensor *x = pare_alloc(t->a, sizeof *x);
	size_t count;
	int at = 0;

	while (n->in[at] < 0 || t->g->vars[n->in[at]].declared.value)
		at++;
	if (!x)
		return pare_nomem(err, "an activation");
	if (t->in[at]->dtype != PARE_F32)
		return pare_fail(err, PARE_E_UNSUPPORTED, "a quantizer of %s before it",
			pare_dtype_name(t->in[at]->dtype));
	*x = *t->in[at];
	count = (size_t)pare_shape_elems(&x->shape);
	if (!(x->data = pare_alloc_n(t->a, count, sizeof(float))))
		return pare_nomem(err, "an activation");
	pare_kernels_best()->quantize(
		t->in[at]->f32, x->f32, count, n->act->scale, n->act->zero, n->act->lo, n->act->hi);
	t->in[at] = x;
	return PARE_OK;
}

static enum pare_status
run_node(struct interpreter *t, const struct pare_node *n, struct pare_err *err)
{
	struct pare_shape_call s = { n, n->attr, n->n_in, n->n_out, t->known_in, t->known_out };
	struct pare_after after = { NULL, -INFINITY, INFINITY };
	struct pare_err unheard;
	struct pare_call c = { .node = n,
		.attr = n->attr,
		.lanes = 1,
		.n_in = n->n_in,
		.n_out = n->n_out,
		.in = t->in,
		.out = t->out,
		.k = pare_kernels_best(),
		.after = &after,
		.wrong = err ? err : &unheard };
	enum pare_status st;
	size_t scratch;

	if (!n->op || !n->op->shape || (!n->op->forward && !n->op->control))
		return pare_fail(err, PARE_E_UNSUPPORTED, "%s",
			n->why ? n->why : "this operator cannot run");
	for (int i = 0; i < n->n_in; i++) {
		t->known_in[i] = n->in[i] < 0 ? NULL : &t->known[n->in[i]];
		t->in[i] = n->in[i] < 0 ? NULL : &t->values[n->in[i]];
	}
	if (n->op->control)
		return run_control(t, n, err);
	memset(t->known_out, 0, (size_t)n->n_out * sizeof *t->known_out);
	if ((st = pare_op_shape(&s, err)) || (st = make_outputs(t, n, err)))
		return st;
	if (n->act && (st = quantize(t, n, err)))
		return st;
	if ((st = pare_op_prepare(&c, t->a, &c.packed, err)))
		return st;
	scratch = pare_op_scratch(&c);
	if (scratch && !(c.scratch = pare_alloc(t->a, scratch)))
		return pare_nomem(err, "scratch memory");
	return pare_op_forward(&c);
}

static enum pare_status
interpret(const struct pare_graph *g, const struct pare_tensor *in, int64_t *turns,
	struct pare_arena *a, const struct pare_tensor **values, struct pare_err *err)
{
	struct interpreter t = { .g = g, .a = a, .turns = turns };
	struct pare_err inner = { 0 };

	if (!interpreter_room(&t))
		return pare_nomem(err, "a run");
	for (int i = 0; i < g->n_vars; i++)
		if (g->vars[i].declared.value)
			learn(&t, i, *g->vars[i].declared.value);
	for (int i = 0; i < g->n_in; i++)
		learn(&t, g->in[i], in[i]);
	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *n = &g->nodes[i];
		enum pare_status st = PARE_E_CANCELED;

		if (pare_canceled())
			return pare_fail(err, st, "stopped");
		st = run_node(&t, n, &inner);
		if (st)
			return pare_fail(
				err, st, "node '%s' (%s): %s", n->name, n->op_type, inner.text);
	}
	*values = t.values;
	return PARE_OK;
}

enum pare_status pare_interpret(const struct pare_model *m, const struct pare_array *in,
	struct pare_arena *a, const struct pare_tensor **values, struct pare_err *err)
{
	struct pare_tensor *x = pare_alloc_n(a, (size_t)m->graph.n_in, sizeof *x);
	int64_t turns = MOST_TURNS;

	if (!x)
		return pare_nomem(err, "a run");
	for (int i = 0; i < m->graph.n_in; i++)
		x[i] = (struct pare_tensor){ in[i].dtype, 1, in[i].shape, { in[i].data } };
	return interpret(&m->graph, x, &turns, a, values, err);
}
