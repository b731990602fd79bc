/* What is asked of a node, whatever its flow. */
#include "../base/err.h"
#include "groups.h"

bool grouping_is_activation(const struct grouping *g, int var)
{
	return var >= 0 && !g->m->graph.vars[var].blob && !g->m->known[var].value;
}

const char *grouping_goes_into(struct grouping *g, const struct pare_node *n, const char *what)
{
	const char *s = pare_sprintf(g->m->arena, "%s %s '%s'", what, n->op_type, n->name);

	g->nomem |= !s;
	return s;
}

void grouping_block(struct grouping *g, const struct pare_node *n, const char *what)
{
	const char *why = grouping_goes_into(g, n, what);

	for (int i = 0; i < n->n_in; i++)
		if (grouping_is_activation(g, n->in[i]))
			grouping_stick(g, n->in[i], why);
}

int grouping_only_activation(const struct grouping *g, const struct pare_node *n)
{
	int var = -1;

	for (int i = 0; i < n->n_in; i++) {
		if (!grouping_is_activation(g, n->in[i]))
			continue;
		if (var >= 0)
			return -1;
		var = n->in[i];
	}
	return var;
}

bool grouping_call(struct grouping *g, const struct pare_node *n, struct pare_shape_call *c)
{
	const struct pare_known **in = pare_alloc_n(g->a, (size_t)n->n_in, sizeof *in);

	*c = (struct pare_shape_call){
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in
	};
	c->out = pare_alloc_n(g->a, (size_t)n->n_out, sizeof *c->out);
	g->nomem |= !in || !c->out;
	for (int i = 0; i < n->n_in && !g->nomem; i++) {
		if (n->in[i] >= 0 && !grouping_shape(g, n->in[i]))
			return false;
		in[i] = n->in[i] < 0 ? NULL : &g->m->known[n->in[i]];
	}
	for (int i = 0; i < n->n_out && !g->nomem; i++) {
		if (n->out[i] < 0)
			continue;
		if (!grouping_shape(g, n->out[i]))
			return false;
		c->out[i] = g->m->known[n->out[i]];
	}
	return !g->nomem;
}

enum pare_flow grouping_flow(struct grouping *g, const struct pare_node *n)
{
	struct pare_shape_call c;

	if (!n->op->flow_at)
		return n->op->flow;
	return grouping_call(g, n, &c) ? n->op->flow_at(&c) : PARE_FLOW_BLOCK;
}
