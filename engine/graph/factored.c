#include "factored.h"
#include "../base/err.h"
#include "edit.h"
#include <string.h>

enum { MOST_INPUTS = 8 }; /* of a layer */

enum pare_status pare_layer_factors(const struct pare_model *m, int i, struct pare_arena *a,
	struct pare_factors *f, struct pare_err *err)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[i].node];
	const struct pare_known *in[MOST_INPUTS] = { NULL };
	struct pare_known out = m->known[n->out[0]];
	struct pare_shape_call c = { n, n->attr, n->n_in, 1, in, &out };

	if (!n->op->factor || n->n_in > MOST_INPUTS || m->weight_at[i].input != 1)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is no product with a matrix");
	for (int k = 0; k < n->n_in; k++)
		in[k] = n->in[k] < 0 ? NULL : &m->known[n->in[k]];
	if (!in[0] || in[0]->dtype == PARE_UNDEFINED || out.dtype == PARE_UNDEFINED)
		return pare_fail(err, PARE_E_UNSUPPORTED, "its shapes are not known");
	return n->op->factor(&c, a, f, err);
}

/* An input of a node becomes another value. */
static void set_input(struct pare_edit *e, struct pare_node *n, int at, int var)
{
	int n_in = n->n_in > at ? n->n_in : at + 1;
	int *in = pare_alloc_n(e->m->arena, (size_t)n_in, sizeof *in);

	if (!in || var < 0) {
		e->failed = true;
		return;
	}
	for (int i = 0; i < n_in; i++)
		in[i] = i < n->n_in ? n->in[i] : -1;
	in[at] = var;
	n->in = in;
	n->n_in = n_in;
}

static int constant(struct pare_edit *e, const char *layer, const char *what,
	const struct pare_shape *s, const float *data)
{
	const char *name = pare_sprintf(e->m->arena, "%s.%s", layer, what);

	e->failed |= !name;
	return e->failed ? -1 : pare_edit_constant(e, name, PARE_F32, s, data);
}

static enum pare_status
factor(struct pare_edit *e, const struct pare_factored *x, struct pare_err *err)
{
	const struct pare_model *m = e->m->base;
	const struct pare_layer *l = &m->layers[x->layer];
	const struct pare_node *was = &m->graph.nodes[l->node];
	struct pare_shape bias = { 1, { l->weight.d[l->out_axis] } };
	struct pare_factors f = { .space = x->space, .rank = x->rank };
	const char *name = pare_sprintf(e->m->arena, "%s.rank", l->name);
	enum pare_status st = pare_layer_factors(m, x->layer, e->m->arena, &f, err);
	struct pare_node *n;
	int in[2] = { was->in[0], -1 }, between;

	if (st || !name)
		return st ? st : pare_nomem(err, "a layer in two");
	in[1] = constant(e, l->name, "first", &f.weight[0], x->w[0]);
	between = pare_edit_node(e, was->op_type, name, in, 2);
	pare_edit_before(e, l->node);
	if (e->failed)
		return PARE_OK; /* pare_edit_finish tells */
	n = &e->m->graph.nodes[l->node];
	n[0].attr = f.attr[0];
	n[0].act = was->act;
	n[1].attr = f.attr[1];
	n[1].act = NULL;
	set_input(e, &n[1], 0, between);
	set_input(e, &n[1], 1, constant(e, l->name, "second", &f.weight[1], x->w[1]));
	if (x->shifts)
		set_input(e, &n[1], m->weight_at[x->layer].bias_at,
			constant(e, l->name, "shift", &bias, x->bias));
	return PARE_OK;
}

enum pare_status pare_model_factored(const struct pare_model *m, const struct pare_factored *f,
	int n, struct pare_model **out, struct pare_err *err)
{
	struct pare_edit e;
	enum pare_status st = pare_edit_new(m, n, 3 * n, &e, err);

	if (st)
		return st;
	/* from the last on: what stands before keeps its place */
	for (int i = n - 1; i >= 0 && !st; i--)
		if ((st = factor(&e, &f[i], err)))
			pare_wrap(err, st, "layer '%s'", m->layers[f[i].layer].name);
	if (st) {
		pare_model_free(e.m);
		return st;
	}
	pare_edit_drop_unread(&e);
	return pare_edit_finish(&e, out, err);
}
