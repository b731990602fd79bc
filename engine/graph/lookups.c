/* Tables of integers that are looked up in first and made floats after: runtimes have less to do
 * so.  Here the table becomes one of floats, which is what layers are. */
#include "../base/err.h"
#include "simplify.h"

static bool is_lookup(const struct pare_simplifier *s, const struct pare_node *n)
{
	struct pare_weight_at at = { .input = -1 };

	if (n->op && n->op->weight)
		at = n->op->weight(n, n->attr);
	return at.alone && at.input == 0 && pare_simplify_is_constant(s, n, 0);
}

static const struct pare_node *maker(const struct pare_simplifier *s, int var)
{
	int from = var < 0 ? -1 : s->g->vars[var].producer;

	return from < 0 || s->gone[from] ? NULL : &s->g->nodes[from];
}

/* Scales or zero points beside codes that `codes` looked up: one for all, or looked up alike, in
 * which case they are of blocks of the last axis.  Which constant they are of; -1: neither. */
static int beside(const struct pare_simplifier *s, const struct pare_node *n, int i,
	const struct pare_node *codes)
{
	const struct pare_node *m = maker(s, n->in[i]);
	const int64_t *axis = pare_node_attr(n, "axis", PARE_ATTR_INT),
		      *block = pare_node_attr(n, "block_size", PARE_ATTR_INT);
	const struct pare_tensor *t = s->g->vars[n->in[i]].declared.value;

	if (t)
		return pare_shape_elems(&t->shape) == 1 ? n->in[i] : -1;
	return m && is_lookup(s, m) && m->in[1] == codes->in[1] && axis && *axis == -1 && block &&
			       *block > 0
		       ? m->in[0]
		       : -1;
}

enum pare_status pare_simplify_lookups(struct pare_simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i], *codes, was;
		int in[3], *inputs;
		bool good = !s->gone[i] && n->op && n->op->coding == PARE_CODING_DECODE &&
			    n->n_in <= 3 && n->in[0] >= 0;

		codes = good ? (struct pare_node *)(uintptr_t)maker(s, n->in[0]) : NULL;
		if (!codes || !is_lookup(s, codes) || s->uses[n->in[0]] != 1 || s->is_out[n->in[0]])
			continue;
		in[0] = codes->in[0];
		for (int k = 1; k < n->n_in; k++) {
			in[k] = n->in[k] < 0 ? -1 : beside(s, n, k, codes);
			good &= n->in[k] < 0 || in[k] >= 0;
		}
		if (!good)
			continue;
		if (!(inputs = pare_memdup(s->a, in, (size_t)n->n_in * sizeof *in)))
			return pare_nomem(s->err, "its graph");
		/* the first node decodes now, the second looks up; values stay where they were */
		was = *codes;
		codes->op = n->op;
		codes->op_type = n->op_type;
		codes->domain = n->domain;
		codes->attr = n->attr;
		codes->name = n->name;
		codes->n_in = n->n_in;
		codes->in = inputs;
		if (!(inputs = pare_memdup(s->a, was.in, (size_t)was.n_in * sizeof *inputs)))
			return pare_nomem(s->err, "its graph");
		inputs[0] = codes->out[0];
		n->op = was.op;
		n->op_type = was.op_type;
		n->domain = was.domain;
		n->attr = was.attr;
		n->name = was.name;
		n->n_in = was.n_in;
		n->in = inputs;
	}
	return PARE_OK;
}
