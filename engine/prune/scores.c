/* Criteria of channels that look at weights alone. */
#include "../base/err.h"
#include "../base/rng.h"
#include "criteria.h"
#include <math.h>
#include <stdlib.h>

enum pare_status
pare_score_l2(const struct pare_channel_view *v, float *score, struct pare_err *err)
{
	(void)err;
	for (int u = 0; u < v->n; u++) {
		double sum = 0;

		for (int64_t i = 0; i < v->len; i++)
			sum += (double)v->row[u * v->len + i] * (double)v->row[u * v->len + i];
		score[u] = (float)sum;
	}
	return PARE_OK;
}

enum pare_status
pare_score_l1(const struct pare_channel_view *v, float *score, struct pare_err *err)
{
	(void)err;
	for (int u = 0; u < v->n; u++) {
		double sum = 0;

		for (int64_t i = 0; i < v->len; i++)
			sum += fabs((double)v->row[u * v->len + i]);
		score[u] = (float)sum;
	}
	return PARE_OK;
}

enum pare_status
pare_score_fpgm(const struct pare_channel_view *v, float *score, struct pare_err *err)
{
	(void)err;
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
	return PARE_OK;
}

enum pare_status
pare_score_random(const struct pare_channel_view *v, float *score, struct pare_err *err)
{
	struct pare_rng r = pare_rng_seed(1, (uint64_t)v->group);

	(void)err;
	for (int u = 0; u < v->n; u++)
		score[u] = (float)pare_rng_unit(&r);
	return PARE_OK;
}

/* ---- BatchNorm ---------------------------------------------------------------------------------
 */

/* Numbers of channels are added to their units; true if any is of the group. */
static bool
add_sizes(const struct pare_channel_view *v, int var, const float *x, int64_t n, float *score)
{
	const struct pare_var_channels *c = &v->m->channels[var];
	int first = v->m->groups[v->group].first;
	bool any = false;

	for (int64_t i = 0; c->n == n && i < n; i++)
		if (c->unit[i] >= first && c->unit[i] < first + v->n) {
			score[c->unit[i] - first] += fabsf(x[i]);
			any = true;
		}
	return any;
}

/* Of those that were folded into layers, and of those that still stand. */
enum pare_status
pare_score_batchnorm(const struct pare_channel_view *v, float *score, struct pare_err *err)
{
	const struct pare_graph *g = &v->m->graph;
	bool any = false;
	int layer = 0;

	for (int u = 0; u < v->n; u++)
		score[u] = 0;
	for (int i = 0; i < g->n_vars; i++)
		if (g->vars[i].normal)
			any |= add_sizes(
				v, i, g->vars[i].normal->spread, g->vars[i].normal->n, score);
	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *n = &g->nodes[i];
		const struct pare_tensor *t =
			n->op && n->op->normal ? g->vars[n->in[1]].declared.value : NULL;

		if (t && t->dtype == PARE_F32 && t->data)
			any |= add_sizes(v, n->out[0], t->f32, t->shape.d[0], score);
	}
	while (v->m->layers[layer].group != v->group)
		layer++;
	return any ? PARE_OK
		   : pare_fail(err, PARE_E_UNSUPPORTED,
			     "channels of '%s' cannot be chosen by batchnorm: the file has no "
			     "BatchNormalization over them (it was folded before the file was "
			     "written); choose by l2 or activation",
			     v->m->layers[layer].name);
}
