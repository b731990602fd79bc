/* A choice between two answers, of which all is computed, becomes an If: what only the second needs
 * moves into its else branch, so that who takes the first does without. */
#include "../base/err.h"
#include "writer.h"
#include <string.h>

static enum pare_status no_memory(const struct writer *w)
{
	return pare_nomem(w->err, "an ONNX file");
}

/* The values that each node makes: name → node. */
static bool index_outputs(const Onnx__GraphProto *g, struct pare_names *names)
{
	for (size_t i = 0; i < g->n_node; i++)
		for (size_t k = 0; k < g->node[i]->n_output; k++)
			if (!pare_names_add(names, g->node[i]->output[k], (int)i))
				return false;
	return true;
}

/* need[]: that node, and all that it hangs on.  Nodes stand in order, so one pass back is enough.
 */
static void
mark(const Onnx__GraphProto *g, const struct pare_names *names, const char *value, bool *need)
{
	int at = pare_names_find(names, value);

	if (at >= 0)
		need[at] = true;
	for (; at >= 0; at--)
		for (size_t k = 0; need[at] && k < g->node[at]->n_input; k++) {
			int from = pare_names_find(names, g->node[at]->input[k]);

			if (from >= 0)
				need[from] = true;
		}
}

/* A branch of no node yet whose output is `value`, which is like `var`. */
static Onnx__GraphProto *
branch(struct writer *w, const char *name, const char *value, int var, size_t nodes)
{
	struct pare_io io = { value, w->m->known[var].dtype, w->m->known[var].shape };
	Onnx__GraphProto *g = pare_alloc(w->a, sizeof *g);

	if (!g)
		return NULL;
	*g = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
	g->name = (char *)name;
	g->node = pare_alloc_n(w->a, nodes, sizeof *g->node);
	g->output = pare_alloc_n(w->a, 1, sizeof *g->output);
	if (!g->node || !g->output || !(g->output[0] = pare_proto_value(w->a, &io)))
		return NULL;
	g->n_output = 1;
	return g;
}

static Onnx__AttributeProto *
graph_attribute(struct writer *w, const char *name, Onnx__GraphProto *g)
{
	Onnx__AttributeProto *p = pare_proto_int(w->a, name, 0);

	if (!p)
		return NULL;
	p->has_i = false;
	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
	p->g = g;
	return p;
}

/* The If that stands for the Where at `at`; *rest is its else branch. */
static Onnx__NodeProto *make_if(struct writer *w, const Onnx__NodeProto *where, int var,
	size_t nodes, Onnx__GraphProto **rest)
{
	const char *taken = pare_writer_unique(w, where->input[1]);
	Onnx__NodeProto *n = pare_proto_node(w->a, where->name, "If", NULL, 1, 1, 2),
			*copy = pare_proto_node(w->a, "", pare_op_identity()->name, NULL, 1, 1, 0);
	Onnx__GraphProto *leave = taken ? branch(w, "leave", taken, var, 1) : NULL;

	*rest = branch(w, "go_on", where->input[2], var, nodes);
	if (!n || !copy || !leave || !*rest ||
		!(n->attribute[0] = graph_attribute(w, "then_branch", leave)) ||
		!(n->attribute[1] = graph_attribute(w, "else_branch", *rest)))
		return NULL;
	copy->input[0] = where->input[1];
	copy->output[0] = (char *)taken;
	leave->node[leave->n_node++] = copy;
	n->n_attribute = 2;
	n->input[0] = where->input[0];
	n->output[0] = where->output[0];
	return n;
}

/* In `g`, which holds the choice and all behind it; *rest: what has moved away. */
static enum pare_status
nest(struct writer *w, Onnx__GraphProto *g, int var, Onnx__GraphProto **rest)
{
	bool *need = pare_alloc(w->a, g->n_node);
	struct pare_names names = { 0 };
	size_t kept = 0;
	Onnx__NodeProto *choice = NULL, *where;
	int at = -1;

	if (need && index_outputs(g, &names) && (at = pare_names_find(&names, w->name[var])) >= 0) {
		where = g->node[at];
		mark(g, &names, where->input[0], need);
		mark(g, &names, where->input[1], need);
		choice = make_if(w, where, var, g->n_node, rest);
	}
	pare_names_free(&names);
	if (!choice)
		return no_memory(w);
	for (size_t i = 0; i < g->n_node; i++)
		if (need[i])
			g->node[kept++] = g->node[i];
		else if (i != (size_t)at)
			(*rest)->node[(*rest)->n_node++] = g->node[i];
	g->node[kept++] = choice;
	g->n_node = kept;
	return PARE_OK;
}

enum pare_status pare_write_choices(struct writer *w)
{
	Onnx__GraphProto *g = &w->graph;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < w->spec->n_choices && !st; i++)
		st = nest(w, g, w->spec->choice[i], &g);
	return st;
}
