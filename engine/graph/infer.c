/* Shapes, and what becomes constant once they are known. */
#include "../base/err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

enum { FOLD_BYTES = 1 << 16 }; /* shape arithmetic is small; larger results are left to the run */

bool pare_node_is_constant(const struct pare_shape_call *c)
{
	const struct pare_op *op = c->node->op;

	/* rows with a layout or kernels of their own are a program's business */
	if (!op || !op->forward || !op->shape || (op->weight && op->macs) || op->prepare ||
		op->fuses)
		return false;
	for (int i = 0; i < c->n_in && !op->by_shape; i++)
		if (c->in[i] && !c->in[i]->value)
			return false;
	return true;
}

enum pare_status
pare_node_compute(const struct pare_shape_call *c, struct pare_tensor *out, struct pare_err *err)
{
	size_t n_in = (size_t)c->n_in, n_out = (size_t)c->n_out, scratch;
	struct pare_tensor *in = calloc(n_in + 1, sizeof *in);
	const struct pare_tensor **ins = calloc(n_in + 1, sizeof *ins);
	struct pare_tensor **outs = calloc(n_out + 1, sizeof *outs);
	struct pare_err unheard;
	struct pare_call call = { .node = c->node,
		.attr = c->attr,
		.lanes = 1,
		.n_in = c->n_in,
		.n_out = c->n_out,
		.in = ins,
		.out = outs,
		.wrong = err ? err : &unheard };
	enum pare_status st = PARE_OK;

	if (!in || !ins || !outs) {
		st = pare_nomem(err, "a constant");
		goto done;
	}
	for (size_t i = 0; i < n_in; i++) {
		if (!c->in[i])
			continue;
		in[i] = c->in[i]->value ? *c->in[i]->value
					: (struct pare_tensor){ .dtype = c->in[i]->dtype,
						  .lanes = 1,
						  .shape = c->in[i]->shape };
		ins[i] = &in[i];
	}
	for (size_t i = 0; i < n_out; i++)
		outs[i] = &out[i];
	scratch = pare_op_scratch(&call);
	if (scratch && !(call.scratch = aligned_alloc(64, (scratch + 63) / 64 * 64)))
		st = pare_nomem(err, "a constant");
	else
		st = pare_op_forward(&call);
	free(call.scratch);
done:
	free(in);
	free(ins);
	free(outs);
	return st;
}

struct inference {
	const struct pare_graph *g;
	struct pare_arena *a;
	struct pare_known *known;
	const struct pare_known **in; /* [most inputs of a node] */
	struct pare_known *out;       /* [most outputs] */
};

static enum pare_status
fold(struct inference *f, const struct pare_shape_call *c, struct pare_err *err)
{
	struct pare_tensor *t = pare_alloc_n(f->a, (size_t)c->n_out, sizeof *t);
	enum pare_status st;
	size_t bytes;

	for (int i = 0; t && i < c->n_out; i++) {
		int64_t elems = pare_shape_elems(&c->out[i].shape);

		if (!pare_dtype_bytes(c->out[i].dtype, elems, &bytes) || bytes > FOLD_BYTES)
			return PARE_OK;
		t[i] = (struct pare_tensor){ .dtype = c->out[i].dtype,
			.lanes = 1,
			.shape = c->out[i].shape,
			.data = pare_alloc(f->a, bytes) };
		if (!t[i].data)
			t = NULL;
	}
	if (!t)
		return pare_nomem(err, "a constant");
	if ((st = pare_node_compute(c, t, err)))
		return st;
	for (int i = 0; i < c->n_out; i++)
		c->out[i].value = &t[i];
	return PARE_OK;
}

static enum pare_status
infer_node(struct inference *f, const struct pare_node *n, struct pare_err *err)
{
	struct pare_shape_call c = { .node = n,
		.attr = n->attr,
		.n_in = n->n_in,
		.n_out = n->n_out,
		.in = f->in,
		.out = f->out };
	enum pare_status st;

	if (!n->op)
		return pare_fail(err, PARE_E_UNSUPPORTED, "%s", n->why);
	for (int i = 0; i < n->n_in; i++) {
		f->in[i] = n->in[i] < 0 ? NULL : &f->known[n->in[i]];
		if (f->in[i] && f->in[i]->dtype == PARE_UNDEFINED)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"nothing is known of its input '%s'", f->g->vars[n->in[i]].name);
	}
	memset(f->out, 0, (size_t)n->n_out * sizeof *f->out);
	if (!n->op->shape)
		return pare_fail(err, PARE_E_UNSUPPORTED, "its output's shape cannot be told");
	if ((st = pare_op_shape(&c, err)))
		return st;
	for (int i = 0; i < n->n_out; i++)
		if (pare_shape_elems(&f->out[i].shape) < 0)
			return pare_fail(err, PARE_E_FORMAT, "its output would be absurdly large");
	if (pare_node_is_constant(&c) && (st = fold(f, &c, err)))
		return st;
	for (int i = 0; i < n->n_out; i++)
		if (n->out[i] >= 0)
			f->known[n->out[i]] = f->out[i];
	return PARE_OK;
}

enum pare_status pare_graph_infer(const struct pare_graph *g, const struct pare_shape *inputs,
	bool lenient, struct pare_arena *a, struct pare_known *known, struct pare_err *err)
{
	struct inference f = { .g = g, .a = a, .known = known };
	size_t most_in = 1, most_out = 1;
	struct pare_err inner = { 0 };
	enum pare_status st = PARE_OK;

	for (int i = 0; i < g->n_nodes; i++) {
		size_t n_in = (size_t)g->nodes[i].n_in, n_out = (size_t)g->nodes[i].n_out;

		most_in = n_in > most_in ? n_in : most_in;
		most_out = n_out > most_out ? n_out : most_out;
	}
	f.in = calloc(most_in, sizeof *f.in);
	f.out = calloc(most_out, sizeof *f.out);
	if (!f.in || !f.out)
		st = pare_nomem(err, "shapes");
	for (int i = 0; i < g->n_vars && !st; i++)
		if (g->vars[i].declared.value)
			known[i] = g->vars[i].declared;
	for (int i = 0; i < g->n_in && inputs && !st; i++)
		known[g->in[i]] = (struct pare_known){ .dtype = g->vars[g->in[i]].declared.dtype,
			.shape = inputs[i] };
	for (int i = 0; i < g->n_nodes && !st; i++) {
		st = infer_node(&f, &g->nodes[i], &inner);
		if (lenient && st != PARE_E_NOMEM)
			st = PARE_OK;
		if (st)
			pare_fail(err, st, "node '%s' (%s): %s", g->nodes[i].name,
				g->nodes[i].op_type, inner.text);
	}
	free(f.in);
	free(f.out);
	return st;
}
