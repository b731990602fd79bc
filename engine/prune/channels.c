/* Which channels of a group go. */
#include "../base/err.h"
#include "criteria.h"
#include "reader.h"
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct pare_channel_criterion pare_channel_criteria[] = {
	{ "reconstruction", "what readers cannot make up for: OBS on channels, by least squares", NULL, NULL },
	{ "l2", "size of the weights that make the channel", pare_score_l2, NULL },
	{ "l1", "sum of the weights that make the channel", pare_score_l1, NULL },
	{ "fpgm", "distance to the weights of all other channels", pare_score_fpgm, NULL },
	{ "random", "chance, as a control", pare_score_random, NULL },
	{ "batchnorm", "scale of the BatchNorm over the channel, where the file has one", pare_score_batchnorm, NULL },
	{ "activation", "mean size of what is read of the channel, on samples", NULL, pare_measure_activation },
	{ "taylor", "what the loss would change, to first order, on samples", NULL, pare_measure_taylor },
	{ "fisher", "how sharply the answers hang on the channel, on samples", NULL, pare_measure_fisher },
	{ 0 },
};
/* clang-format on */

const struct pare_repair pare_repairs[] = {
	{ "least-squares", "those who read them are refitted to give what the float network gives",
		true, false },
	{ "none", "what is left stays as it was", false, false },
	{ "throughout", "as least-squares, and so is every layer behind them; slower", true, true },
	{ 0 },
};

/* ---- units -------------------------------------------------------------------------------------
 */

void pare_drop_units(
	const struct pare_model *m, int group, float share, const int *order, bool *keep)
{
	const struct pare_group *g = &m->groups[group];

	for (int k = 0; k < g->n_kinds; k++) {
		int64_t gone = pare_n_pruned(pare_kind_size(m, group, k), share);

		for (int i = 0; i < g->n && gone > 0; i++) {
			int u = g->first + (order ? order[i] : i);

			if (m->kind[u] == k) {
				keep[u] = false;
				gone--;
			}
		}
	}
}

/* ---- what makes them ---------------------------------------------------------------------------
 */

/* Rows of weights by unit: [n][most], as far as they are filled. */
struct rows {
	int first, n;
	int64_t *used, most;
	float *row; /* NULL: they are counted first */
};

/* A weight whose channels, over and over, lie along an axis. */
static void
add_rows(struct rows *r, const struct pare_tensor *t, int axis, const struct pare_var_channels *c)
{
	int64_t inner = pare_shape_span(&t->shape, axis + 1, t->shape.n);

	for (int64_t i = 0; i < pare_shape_elems(&t->shape); i++) {
		int u = c->unit[i / inner % t->shape.d[axis] % c->n] - r->first;

		if (u < 0 || u >= r->n)
			continue;
		if (r->row)
			r->row[u * r->most + r->used[u]] = t->f32[i];
		r->used[u]++;
	}
}

/* What a layer makes its channels of, if they are of the group and do not merely pass. */
static void add_layer(struct rows *r, const struct pare_model *m, int layer)
{
	const struct pare_layer *l = &m->layers[layer];
	const struct pare_node *n = &m->graph.nodes[l->node];
	const struct pare_var_channels *own = pare_own_units(m, layer),
				       *c = own ? own : &m->channels[n->out[0]];
	const struct pare_tensor *w =
		m->graph.vars[n->in[m->weight_at[layer].input]].declared.value;

	if (!pare_layer_leads(m, layer) || (!own && c->n != l->weight.d[l->out_axis]))
		return;
	add_rows(r, w, l->out_axis, c);
	for (const struct pare_beside *b = n->op->beside; own && b->input; b++)
		if (b->reads) /* rows of what reads them make them too */
			add_rows(r, m->graph.vars[n->in[b->input]].declared.value, l->out_axis, c);
}

/* The weights that make each unit, one behind the other; owned by the caller. */
static float *unit_rows(const struct pare_model *m, int group, int64_t *len)
{
	const struct pare_group *g = &m->groups[group];
	struct rows r = { g->first, g->n, calloc((size_t)g->n, sizeof *r.used), 1, NULL };

	for (int pass = 0; pass < 2 && r.used; pass++) {
		for (int l = 0; l < m->info.n_layers; l++)
			if (m->layers[l].group == group)
				add_layer(&r, m, l);
		for (int u = 0; u < g->n && !pass; u++) {
			r.most = r.used[u] > r.most ? r.used[u] : r.most;
			r.used[u] = 0;
		}
		if (!pass && !(r.row = calloc((size_t)g->n * (size_t)r.most, sizeof *r.row)))
			break;
	}
	free(r.used);
	*len = r.most;
	return r.row;
}

/* ---- the order ---------------------------------------------------------------------------------
 */

struct scored {
	double score;
	int unit;
};

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
				    : x->unit - y->unit;
}

enum pare_status pare_order_by_score(const double *score, int n, int *order, struct pare_err *err)
{
	struct scored *s = malloc((size_t)n * sizeof *s);

	if (!s)
		return pare_nomem(err, "the scores of channels");
	for (int i = 0; i < n; i++)
		s[i] = (struct scored){ score[i], i };
	qsort(s, (size_t)n, sizeof *s, by_score);
	for (int i = 0; i < n; i++)
		order[i] = s[i].unit;
	free(s);
	return PARE_OK;
}

enum pare_status pare_order_by_weights(const struct pare_model *m, int group,
	const struct pare_channel_criterion *by, int *order, struct pare_err *err)
{
	int n = m->groups[group].n;
	struct pare_channel_view v = { .m = m, .group = group, .n = n };
	float *score = malloc((size_t)n * sizeof *score), *row = unit_rows(m, group, &v.len);
	double *sum = malloc((size_t)n * sizeof *sum);
	enum pare_status st = PARE_OK;

	v.row = row;
	if (score && row && sum)
		st = by->score(&v, score, err);
	else
		st = pare_nomem(err, "the scores of channels");
	for (int i = 0; i < n && !st; i++)
		sum[i] = (double)score[i];
	if (!st)
		st = pare_order_by_score(sum, n, order, err);
	free(score);
	free(row);
	free(sum);
	return st;
}
