/* Lists of sizes that nodes read (Reshape), constant or concatenated, and the channels that go by
 * them. */
#include "groups.h"

static bool is_number(const struct pare_var *v, int at)
{
	const struct pare_tensor *t = v->declared.value;

	return v->blob && t && t->dtype == PARE_I64 && at < pare_shape_elems(&t->shape);
}

bool pare_model_size_at(
	const struct pare_model *m, int node, int input, int at, struct pare_size_at *out)
{
	const struct pare_graph *g = &m->graph;
	int list = g->nodes[node].in[input], from = g->vars[list].producer;
	const struct pare_node *n = from < 0 ? NULL : &g->nodes[from];

	if (is_number(&g->vars[list], at)) {
		*out = (struct pare_size_at){ node, input, at };
		return true;
	}
	if (!n || !n->op || n->op->flow != PARE_FLOW_CAT)
		return false;
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_known *part = n->in[i] < 0 ? NULL : &m->known[n->in[i]];
		int64_t len;

		if (!part || part->dtype == PARE_UNDEFINED)
			return false;
		len = pare_shape_elems(&part->shape);
		if (at < len) {
			*out = (struct pare_size_at){ from, i, at };
			return is_number(&g->vars[n->in[i]], at);
		}
		at -= (int)len;
	}
	return false;
}

/* The input in which a node reads sizes; -1: none. */
static int sizes_of(const struct pare_node *n)
{
	for (int i = 0; n->op && i < n->n_in; i++)
		if (n->op->sizes >> i & 1 && n->in[i] >= 0)
			return i;
	return -1;
}

bool grouping_cut_sizes(struct grouping *g, const struct pare_node *n, int axis)
{
	int i = sizes_of(n);
	const struct pare_tensor *t = i < 0 ? NULL : g->m->known[n->in[i]].value;
	struct pare_size_at at;

	if (i < 0)
		return true;
	if (!t || t->dtype != PARE_I64 || axis >= t->shape.d[0])
		return false;
	return t->i64[axis] <= 0 ||
	       pare_model_size_at(g->m, (int)(n - g->m->graph.nodes), i, axis, &at);
}

void grouping_set_sized(
	struct grouping *g, const struct pare_node *n, int axis, const int *id, int64_t len)
{
	int i = sizes_of(n), list = i < 0 ? -1 : n->in[i];
	struct sized s = { .list = list, .place = axis, .id = id, .n = len };

	grouping_set(g, n->out[0], axis, id, len, 1);
	if (i < 0 || g->m->graph.vars[list].blob ||
		!pare_model_size_at(g->m, (int)(n - g->m->graph.nodes), i, axis, &s.at))
		return;
	for (int k = 0; k < g->n_sized; k++)
		if (g->sized[k].at.node == s.at.node && g->sized[k].at.input == s.at.input &&
			g->sized[k].at.at == s.at.at)
			for (int64_t e = 0; e < len && e < g->sized[k].n; e++)
				grouping_unite(g, g->sized[k].id[e], id[e]);
	g->sized[g->n_sized++] = s;
}

/* Is all that reads the list a size of these channels? */
static bool only_sizes(const struct grouping *g, const struct sized *s)
{
	const struct pare_graph *graph = &g->m->graph;

	for (int k = 0; k < graph->n_nodes; k++) {
		const struct pare_node *n = &graph->nodes[k];
		const struct channels *c;

		for (int i = 0; i < n->n_in; i++) {
			if (n->in[i] != s->list)
				continue;
			c = n->n_out && n->out[0] >= 0 ? &g->of[n->out[0]] : NULL;
			if (sizes_of(n) != i || !c || !c->n || c->axis != s->place)
				return false;
		}
	}
	return true;
}

void grouping_check_sizes(struct grouping *g)
{
	for (int i = 0; i < g->n_sized && !g->nomem; i++)
		if (!only_sizes(g, &g->sized[i]))
			for (int64_t e = 0; e < g->sized[i].n; e++)
				grouping_stick_element(g, g->sized[i].id[e],
					"have their number in a list of sizes that is read "
					"elsewhere");
}
