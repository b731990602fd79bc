/* Channel groups: from the inputs to what is published. */
#include "groups.h"
#include "../base/err.h"
#include <stdlib.h>

static void enter(struct grouping *g)
{
	const struct pare_graph *graph = &g->m->graph;

	for (int i = 0; i < graph->n_in; i++) {
		const struct pare_shape *s = grouping_shape(g, graph->in[i]);
		const char *why = pare_sprintf(
			g->m->arena, "tied to the input '%s'", graph->vars[graph->in[i]].name);

		g->nomem |= !why;
		if (s && s->n > 1)
			grouping_fresh(g, graph->in[i], 1, s->d[1], why);
	}
}

static void leave(struct grouping *g)
{
	const struct pare_graph *graph = &g->m->graph;

	for (int i = 0; i < graph->n_out; i++) {
		const char *why = pare_sprintf(
			g->m->arena, "reaches the output '%s'", graph->vars[graph->out[i]].name);

		g->nomem |= !why;
		grouping_stick(g, graph->out[i], why);
	}
}

/* ---- what is published ------------------------------------------------------------------------
 */

/* Groups in the order of their first layer; the group of each root block, -1 = none. */
static void number_groups(struct grouping *g, int *number)
{
	struct pare_model *m = g->m;

	for (int i = 0; i < g->n_blocks; i++)
		number[i] = -1;
	m->n_groups = 0;
	for (int i = 0; i < m->info.n_layers; i++) {
		struct pare_layer *l = &m->layers[i];
		int block = g->layer_block[i] < 0 ? -1 : grouping_root_block(g, g->layer_block[i]);

		l->group = -1;
		if (m->weight_at[i].alone && pare_layer_leads(m, i))
			l->stuck = "is a table";
		else if (block < 0)
			l->stuck = "follows several groups";
		else if (g->block[block].stuck)
			l->stuck = g->block[block].stuck;
		else {
			if (number[block] < 0)
				number[block] = m->n_groups++;
			l->group = number[block];
		}
	}
}

/* Units by group, in the order of their first channel; the unit of each element, -1 = stays. */
static int *number_units(struct grouping *g, const int *number)
{
	struct pare_model *m = g->m;
	int *unit = grouping_new_row(g, g->n_elements + 1),
	    *next = grouping_new_row(g, m->n_groups + 1);

	m->groups = pare_alloc_n(m->arena, (size_t)m->n_groups + 1, sizeof *m->groups);
	g->nomem |= !m->groups;
	m->n_units = 0;
	for (int pass = 0; pass < 2 && !g->nomem; pass++) {
		for (int e = 0; e < g->n_elements; e++) {
			int group = number[grouping_root_block(g, g->element[e].block)];

			if (pass && group < 0)
				unit[e] = -1;
			else if (grouping_root_element(g, e) != e)
				unit[e] = pass ? unit[grouping_root_element(g, e)] : 0;
			else if (!pass && group >= 0)
				m->groups[group].n++;
			else if (pass)
				unit[e] = m->groups[group].first + next[group]++;
		}
		for (int i = 0; i < m->n_groups && !pass; i++) {
			m->groups[i].first = m->n_units;
			m->n_units += m->groups[i].n;
		}
	}
	return unit;
}

/* Of which kind a unit is: units of one kind stand equally often along every value. */
static void number_kinds(struct grouping *g, uint64_t *sign)
{
	struct pare_model *m = g->m;

	for (int v = 0; v < m->graph.n_vars; v++)
		for (int64_t i = 0; i < m->channels[v].n; i++)
			if (m->channels[v].unit[i] >= 0)
				sign[m->channels[v].unit[i]] +=
					((uint64_t)v + 1) * 0x9e3779b97f4a7c15u;
	for (int i = 0; i < m->n_groups; i++) {
		int from = m->groups[i].first, kinds = 0;

		for (int u = from; u < from + m->groups[i].n; u++) {
			int same = from;

			while (sign[same] != sign[u])
				same++;
			m->kind[u] = same < u ? m->kind[same] : kinds++;
		}
		m->groups[i].n_kinds = kinds;
	}
}

static void publish(struct grouping *g)
{
	struct pare_model *m = g->m;
	int *number = grouping_new_row(g, g->n_blocks + 1), *unit;
	uint64_t *sign;
	const int *last = NULL;
	int *own = NULL;

	if (g->nomem)
		return;
	number_groups(g, number);
	unit = number_units(g, number);
	m->channels = pare_alloc_n(m->arena, (size_t)m->graph.n_vars + 2 * (size_t)m->info.n_layers,
		sizeof *m->channels); /* edits add values, without channels */
	m->kind = pare_alloc_n(m->arena, (size_t)m->n_units, sizeof *m->kind);
	sign = pare_alloc_n(g->a, (size_t)m->n_units, sizeof *sign);
	g->nomem |= !m->channels || !m->kind || !sign;
	for (int v = 0; v < m->graph.n_vars && !g->nomem; v++) {
		const struct channels *c = &g->of[v];

		if (!c->n)
			continue;
		if (c->id != last || !own) { /* neighbours often share theirs */
			if (!(own = pare_alloc_n(m->arena, (size_t)c->n, sizeof *own))) {
				g->nomem = true;
				return;
			}
			for (int64_t i = 0; i < c->n; i++)
				own[i] = unit[c->id[i]];
			last = c->id;
		}
		m->channels[v] = (struct pare_var_channels){ c->axis, c->n, own };
	}
	if (!g->nomem)
		number_kinds(g, sign);
}

enum pare_status pare_groups_find(struct pare_model *m, struct pare_err *err)
{
	struct grouping g = { .m = m, .a = pare_arena_new() };

	if (!g.a)
		return pare_nomem(err, "channel groups");
	g.of = pare_alloc_n(g.a, (size_t)m->graph.n_vars, sizeof *g.of);
	g.layer_block = pare_alloc_n(g.a, (size_t)m->info.n_layers, sizeof *g.layer_block);
	g.sized = pare_alloc_n(g.a, (size_t)m->graph.n_nodes, sizeof *g.sized);
	g.nomem = !g.of || !g.layer_block || !g.sized;
	if (!g.nomem)
		enter(&g);
	for (int i = 0; i < m->graph.n_nodes && !g.nomem; i++)
		grouping_visit(&g, i);
	grouping_check_sizes(&g);
	if (!g.nomem)
		leave(&g);
	if (!g.nomem)
		publish(&g);
	free(g.element);
	free(g.block);
	pare_arena_free(g.a);
	return g.nomem ? pare_nomem(err, "channel groups") : PARE_OK;
}

int pare_kind_size(const struct pare_model *m, int group, int kind)
{
	const struct pare_group *g = &m->groups[group];
	int n = 0;

	for (int u = g->first; u < g->first + g->n; u++)
		n += m->kind[u] == kind;
	return n;
}
