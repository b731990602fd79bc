/* Which nodes a step carries out beside its own. */
#include "builder.h"
#include <math.h>

/* The one node that reads `var`; -1 when there are more, or it leaves the graph. */
static int only_reader(const struct pare_builder *b, int var)
{
	return b->uses[var] == 1 ? b->reader[var] : -1;
}

static bool same_tensor(const struct pare_builder *b, int x, int y)
{
	return b->known[x].dtype == PARE_F32 && b->known[y].dtype == PARE_F32 &&
	       pare_shape_equal(&b->known[x].shape, &b->known[y].shape);
}

/* A sum of the step's result and something that is there before the step runs. */
static bool join_add(struct pare_builder *b, struct pare_step *s, const struct pare_node *n)
{
	int other;

	if (!n->op || !n->op->adds || n->n_in != 2)
		return false;
	other = n->in[n->in[0] == s->out];
	if (other < 0 || pare_builder_constant(b, other) || !same_tensor(b, other, s->out) ||
		!same_tensor(b, n->out[0], s->out) || b->g->vars[other].producer >= s->node)
		return false;
	s->add = other;
	return true;
}

/* A constant that the result gets along its last axis. */
static bool join_bias(struct pare_builder *b, struct pare_step *s, const struct pare_node *n)
{
	const struct pare_shape *y = &b->known[s->out].shape;
	const struct pare_tensor *in[2];
	struct pare_tensor *out = &b->p->places[n->out[0]].t;
	struct pare_call c = {
		.node = n, .attr = n->attr, .n_in = 2, .n_out = 1, .in = in, .out = &out
	};
	int other, axes[2];

	if (!s->n->op->biases || !n->op || !n->op->adds || !n->op->apart || n->n_in != 2 || !y->n)
		return false;
	other = n->in[n->in[0] == s->out];
	if (other < 0 || !pare_builder_constant(b, other) || b->known[other].dtype != PARE_F32 ||
		!same_tensor(b, n->out[0], s->out))
		return false;
	for (int i = 0; i < 2; i++)
		in[i] = &b->p->places[n->in[i]].t;
	if (!y->d[y->n - 1] || pare_shape_elems(&b->known[other].shape) != y->d[y->n - 1] ||
		n->op->apart(&c, axes) < y->n - 1 || axes[n->in[1] == other])
		return false;
	s->bias = b->p->places[other].constant;
	return true;
}

static bool join_clamp(struct pare_builder *b, struct pare_step *s, const struct pare_node *n)
{
	const struct pare_tensor *in[8] = { 0 };
	struct pare_call c = {
		.node = n, .attr = n->attr, .lanes = b->p->lanes, .n_in = n->n_in, .in = in
	};
	float lo = -INFINITY, hi = INFINITY;

	if (!n->op || !n->op->clamp || n->n_in > 8 || n->in[0] != s->out ||
		!same_tensor(b, n->out[0], s->out))
		return false;
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0)
			in[i] = &b->p->places[n->in[i]].t;
	if (!n->op->clamp(&c, &lo, &hi))
		return false;
	s->lo = lo;
	s->hi = hi;
	return true;
}

typedef bool join_fn(struct pare_builder *b, struct pare_step *s, const struct pare_node *n);

void pare_step_join(struct pare_builder *b, struct pare_step *s)
{
	static join_fn *const joins[] = { join_bias, join_add, join_clamp };

	if (!s->n->op->fuses || b->known[s->out].dtype != PARE_F32)
		return;
	for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
		int next = only_reader(b, s->out);

		if (next >= 0 && joins[i](b, s, &b->g->nodes[next])) {
			b->joined[next] = true;
			s->out = b->g->nodes[next].out[0];
		}
	}
}
