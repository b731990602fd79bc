/* Which channels of a group go. */
#include "../base/err.h"
#include "../base/rng.h"
#include "prune.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- criteria ----------------------------------------------------------------------------------
 */

static void score_l2(const struct pare_channel_view *v, float *score)
{
	for (int u = 0; u < v->n; u++) {
		double sum = 0;

		for (int64_t i = 0; i < v->len; i++)
			sum += (double)v->row[u * v->len + i] * (double)v->row[u * v->len + i];
		score[u] = (float)sum;
	}
}

static void score_l1(const struct pare_channel_view *v, float *score)
{
	for (int u = 0; u < v->n; u++) {
		double sum = 0;

		for (int64_t i = 0; i < v->len; i++)
			sum += fabs((double)v->row[u * v->len + i]);
		score[u] = (float)sum;
	}
}

/* He et al. 2019, "Filter Pruning via Geometric Median": what lies closest to all others. */
static void score_fpgm(const struct pare_channel_view *v, float *score)
{
	for (int u = 0; u < v->n; u++) {
		double far = 0;

		for (int w = 0; w < v->n; w++) {
			double sum = 0;

			for (int64_t i = 0; i < v->len; i++) {
				double d = (double)v->row[u * v->len + i] -
					   (double)v->row[w * v->len + i];

				sum += d * d;
			}
			far += sqrt(sum);
		}
		score[u] = (float)far;
	}
}

static void score_random(const struct pare_channel_view *v, float *score)
{
	struct pare_rng r = pare_rng_seed(1, (uint64_t)v->group);

	for (int u = 0; u < v->n; u++)
		score[u] = (float)pare_rng_unit(&r);
}

const struct pare_channel_criterion pare_channel_criteria[] = {
	{ "reconstruction", "what those who read the channel cannot make up for, by least squares",
		NULL },
	{ "l2", "size of the weights that make the channel", score_l2 },
	{ "l1", "sum of the weights that make the channel", score_l1 },
	{ "fpgm", "distance to the weights of all other channels", score_fpgm },
	{ "random", "chance, as a control", score_random },
	{ 0 },
};

const struct pare_repair pare_repairs[] = {
	{ "least-squares", "those who read them are refitted to give what the float network gives",
		true, false },
	{ "none", "what is left stays as it was", false, false },
	{ "throughout", "as least-squares, and so is every layer behind them; slower", true, true },
	{ 0 },
};

/* ---- units -------------------------------------------------------------------------------------
 */

int pare_kind_size(const struct pare_model *m, int group, int kind)
{
	const struct pare_group *g = &m->groups[group];
	int n = 0;

	for (int u = g->first; u < g->first + g->n; u++)
		n += m->kind[u] == kind;
	return n;
}

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

/* Layers that make channels of the group: they come out of it and do not merely pass. */
static const struct pare_var_channels *makes(const struct pare_model *m, int group, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];
	const struct pare_var_channels *out = &m->channels[n->out[0]];

	return m->layers[layer].group == group &&
			       out->n == m->layers[layer].weight.d[m->layers[layer].out_axis]
		       ? out
		       : NULL;
}

/* The weights that make each unit, one behind the other; owned by the caller. */
static float *unit_rows(const struct pare_model *m, int group, int64_t *len)
{
	const struct pare_group *g = &m->groups[group];
	int64_t *used = calloc((size_t)g->n, sizeof *used), most = 1;
	float *row = NULL;

	for (int pass = 0; pass < 2 && used; pass++) {
		for (int l = 0; l < m->info.n_layers; l++) {
			const struct pare_var_channels *out = makes(m, group, l);
			const struct pare_layer *x = &m->layers[l];
			const float *w = pare_model_weights(m, l);
			int64_t inner = pare_shape_span(&x->weight, x->out_axis + 1, x->weight.n);

			for (int64_t i = 0; out && i < x->weights; i++) {
				int u = out->unit[i / inner % out->n] - g->first;

				if (row)
					row[u * most + used[u]] = w[i];
				used[u]++;
			}
		}
		for (int u = 0; u < g->n && !pass; u++) {
			most = used[u] > most ? used[u] : most;
			used[u] = 0;
		}
		if (!pass && !(row = calloc((size_t)g->n * (size_t)most, sizeof *row)))
			break;
	}
	free(used);
	*len = most;
	return row;
}

struct scored {
	float score;
	int unit;
};

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
				    : x->unit - y->unit;
}

enum pare_status pare_drop_by_score(const struct pare_model *m, int group,
	const struct pare_dials *d, bool *keep, struct pare_err *err)
{
	size_t n = (size_t)m->groups[group].n;
	struct pare_channel_view v = { .m = m, .group = group, .n = (int)n };
	float *score = malloc(n * sizeof *score), *row = unit_rows(m, group, &v.len);
	struct scored *s = malloc(n * sizeof *s);
	int *order = malloc(n * sizeof *order);
	enum pare_status st = PARE_OK;

	if (score && row && s && order) {
		v.row = row;
		pare_channel_criteria[d->channel_criterion].score(&v, score);
		for (size_t i = 0; i < n; i++)
			s[i] = (struct scored){ score[i], (int)i };
		qsort(s, n, sizeof *s, by_score);
		for (size_t i = 0; i < n; i++)
			order[i] = s[i].unit;
		pare_drop_units(m, group, d->channels, order, keep);
	} else
		st = pare_nomem(err, "the scores of channels");
	free(score);
	free(row);
	free(s);
	free(order);
	return st;
}
