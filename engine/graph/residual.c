#include "residual.h"
#include "../base/err.h"
#include "edit.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_SHORTCUT = 16 }; /* nodes: a longer way is no shortcut */

/* ---- finding -----------------------------------------------------------------------------------
 */

struct finder {
	const struct pare_model *m;
	int *readers; /* [vars] how many inputs read it, outputs of the graph counted */
	int *mark;    /* [nodes] the way that took it last */
	int way;
	int *node; /* [nodes] of the way at hand */
	int n;
};

/* Computed from samples: neither a constant nor what shapes alone tell. */
static bool flows(const struct pare_model *m, int var)
{
	return var >= 0 && !m->graph.vars[var].blob && !m->known[var].value;
}

/* The way takes the node that makes `var`; false: nothing makes it. */
static bool take_maker(struct finder *f, int var)
{
	int node = f->m->graph.vars[var].producer;

	if (node < 0)
		return false;
	if (f->mark[node] != f->way) {
		f->mark[node] = f->way;
		f->node[f->n++] = node;
	}
	return true;
}

/* Everything that the way makes is read on it, but for `end`, which is read once elsewhere. */
static bool keeps_to_itself(struct finder *f, int end)
{
	const struct pare_graph *g = &f->m->graph;
	bool good = true;

	for (int i = 0; i < f->n; i++)
		for (int k = 0; k < g->nodes[f->node[i]].n_in; k++)
			if (g->nodes[f->node[i]].in[k] >= 0)
				f->readers[g->nodes[f->node[i]].in[k]]--;
	for (int i = 0; i < f->n; i++)
		for (int k = 0; k < g->nodes[f->node[i]].n_out; k++) {
			int var = g->nodes[f->node[i]].out[k];

			good &= var < 0 || f->readers[var] == (var == end) || !flows(f->m, var);
		}
	for (int i = 0; i < f->n; i++)
		for (int k = 0; k < g->nodes[f->node[i]].n_in; k++)
			if (g->nodes[f->node[i]].in[k] >= 0)
				f->readers[g->nodes[f->node[i]].in[k]]++;
	return good;
}

/* The nodes between `from` and `end` into f->node, latest first; false: something else enters, they
 * are more than `most`, or what they make goes elsewhere too. */
static bool find_way(struct finder *f, int from, int end, int most)
{
	const struct pare_graph *g = &f->m->graph;
	bool reaches = false;

	f->way++;
	f->n = 0;
	if (!take_maker(f, end))
		return false;
	for (int i = 0; i < f->n; i++) {
		const struct pare_node *n = &g->nodes[f->node[i]];

		if (f->n > most || f->node[i] < g->vars[from].producer)
			return false;
		for (int k = 0; k < n->n_in; k++) {
			if (!flows(f->m, n->in[k]))
				continue;
			if (n->in[k] == from)
				reaches = true;
			else if (!take_maker(f, n->in[k]))
				return false;
		}
	}
	return reaches && keeps_to_itself(f, end);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The way at hand, kept in the model, in the order of the graph. */
static const int *keep_way(struct finder *f, int *n)
{
	int *own = pare_memdup(f->m->arena, f->node, (size_t)(f->n + 1) * sizeof *own);

	*n = f->n;
	if (own)
		qsort(own, (size_t)f->n, sizeof *own, by_number);
	return own;
}

static int count_layers(const struct pare_model *m, const int *node, int n)
{
	int layers = 0;

	for (int i = 0; i < n; i++)
		layers += m->node_info[node[i]].layer >= 0;
	return layers;
}

/* The block whose branch ends in `end` and whose shortcut ends in `past`; r->n_branch 0: none. */
static bool find_block(struct finder *f, int sum, int end, int past, struct pare_residual *r)
{
	const struct pare_graph *g = &f->m->graph;
	int shortcut[MOST_SHORTCUT + 1], n = 0;

	*r = (struct pare_residual){ .from = past, .sum = sum, .past = past };
	if (find_way(f, past, end, g->n_nodes)) {
		r->branch = keep_way(f, &r->n_branch);
		return r->branch != NULL;
	}
	/* values on the way back from `past`, the nearest first: the first from which both come */
	f->way++;
	f->n = 0;
	if (!take_maker(f, past))
		return true;
	for (; n < f->n && n < MOST_SHORTCUT; n++) {
		const struct pare_node *x = &g->nodes[f->node[n]];

		shortcut[n] = f->node[n];
		for (int k = 0; k < x->n_in; k++)
			if (flows(f->m, x->in[k]))
				take_maker(f, x->in[k]);
	}
	for (int i = 0; i < n; i++)
		for (int k = 0; k < g->nodes[shortcut[i]].n_in; k++) {
			int from = g->nodes[shortcut[i]].in[k];

			if (!flows(f->m, from) || !find_way(f, from, past, MOST_SHORTCUT))
				continue;
			r->shortcut = keep_way(f, &r->n_shortcut);
			if (!r->shortcut)
				return false;
			if (!find_way(f, from, end, g->n_nodes))
				continue;
			r->from = from;
			r->branch = keep_way(f, &r->n_branch);
			return r->branch != NULL;
		}
	return true;
}

static bool same_shape(const struct pare_model *m, int x, int y)
{
	return m->known[x].dtype == m->known[y].dtype &&
	       pare_shape_equal(&m->known[x].shape, &m->known[y].shape);
}

/* The block that ends in this sum, of the two ways the one with more layers its branch. */
static bool find_at(struct finder *f, int sum, struct pare_residual *out)
{
	const struct pare_model *m = f->m;
	const struct pare_node *n = &m->graph.nodes[sum];
	int most = 0;

	out->n_branch = 0;
	if (!n->op || !n->op->adds || n->n_in != 2 || !flows(m, n->in[0]) || !flows(m, n->in[1]) ||
		n->in[0] == n->in[1])
		return true;
	for (int i = 0; i < m->graph.n_out; i++)
		if (m->graph.out[i] == n->out[0])
			return true;
	for (int i = 0; i < 2; i++) {
		struct pare_residual r;
		int layers;

		if (!same_shape(m, n->in[!i], n->out[0]))
			continue;
		if (!find_block(f, sum, n->in[i], n->in[!i], &r))
			return false;
		layers = count_layers(m, r.branch, r.n_branch);
		if (layers > most && layers >= count_layers(m, r.shortcut, r.n_shortcut)) {
			most = layers;
			*out = r;
		}
	}
	return true;
}

static void count_readers(const struct pare_graph *g, int *readers)
{
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				readers[g->nodes[i].in[k]]++;
	for (int i = 0; i < g->n_out; i++)
		readers[g->out[i]]++;
}

/* Of several that a layer lies in, the one with the fewest nodes. */
static void place_layers(struct pare_model *m)
{
	for (int i = 0; i < m->info.n_layers; i++)
		m->layers[i].block = -1;
	for (int r = 0; r < m->n_residuals; r++)
		for (int k = 0; k < m->residuals[r].n_branch; k++) {
			int layer = m->node_info[m->residuals[r].branch[k]].layer;
			int *block = layer < 0 ? NULL : &m->layers[layer].block;

			if (block && (*block < 0 || m->residuals[r].n_branch <
							    m->residuals[*block].n_branch))
				*block = r;
		}
}

enum pare_status pare_residuals_find(struct pare_model *m, struct pare_err *err)
{
	const struct pare_graph *g = &m->graph;
	size_t nodes = (size_t)g->n_nodes + 1;
	struct finder f = { .m = m,
		.readers = calloc((size_t)g->n_vars + 1, sizeof *f.readers),
		.mark = calloc(nodes, sizeof *f.mark),
		.node = calloc(nodes, sizeof *f.node) };
	bool good = f.readers && f.mark && f.node;

	m->residuals = pare_alloc_n(m->arena, nodes, sizeof *m->residuals);
	good &= m->residuals != NULL;
	if (good)
		count_readers(g, f.readers);
	for (int i = 0; i < g->n_nodes && good; i++) {
		good = find_at(&f, i, &m->residuals[m->n_residuals]);
		m->n_residuals += good && m->residuals[m->n_residuals].n_branch > 0;
	}
	free(f.readers);
	free(f.mark);
	free(f.node);
	if (good)
		place_layers(m);
	return good ? PARE_OK : pare_nomem(err, "its residual blocks");
}

/* ---- without them ------------------------------------------------------------------------------
 */

/* What is read in place of `var`. */
static int read_past(const struct pare_model *m, const bool *gone, int var)
{
	for (int r = m->n_residuals - 1; r >= 0; r--) /* a block may begin with another's end */
		if (gone[r] && m->graph.nodes[m->residuals[r].sum].out[0] == var)
			var = m->residuals[r].past;
	return var;
}

static void read_others(struct pare_edit *e, const bool *gone)
{
	struct pare_graph *g = &e->m->graph;

	for (int i = 0; i < g->n_nodes && !e->failed; i++) {
		struct pare_node *n = &g->nodes[i];
		int *in = NULL;

		for (int k = 0; k < n->n_in && !e->failed; k++) {
			int past = n->in[k] < 0 ? -1 : read_past(e->m->base, gone, n->in[k]);

			if (past == n->in[k])
				continue;
			if (!in && !(in = pare_memdup(
					     e->m->arena, n->in, (size_t)n->n_in * sizeof *in)))
				e->failed = true;
			else {
				in[k] = past;
				n->in = in;
			}
		}
	}
}

static void drop_nodes(struct pare_edit *e, const bool *gone)
{
	const struct pare_model *m = e->m->base;
	struct pare_graph *g = &e->m->graph;
	bool *dead = pare_alloc_n(e->m->arena, (size_t)g->n_nodes + 1, sizeof *dead);

	e->failed |= !dead;
	if (e->failed)
		return;
	for (int r = 0; r < m->n_residuals; r++) {
		if (!gone[r])
			continue;
		dead[m->residuals[r].sum] = true;
		for (int i = 0; i < m->residuals[r].n_branch; i++)
			dead[m->residuals[r].branch[i]] = true;
	}
	pare_edit_drop(e, dead);
}

enum pare_status pare_model_without_branches(const struct pare_model *m, const bool *gone,
	bool bare, struct pare_model **out, struct pare_err *err)
{
	struct pare_edit e;
	enum pare_status st = pare_edit_new(m, 0, 0, &e, err);

	if (st)
		return st;
	read_others(&e, gone);
	if (bare)
		drop_nodes(&e, gone);
	return pare_edit_finish(&e, out, err);
}
