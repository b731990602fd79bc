#include "reader.h"
#include <stdlib.h>
#include <string.h>

static int entry_of(const struct pare_model *m, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];

	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !m->graph.vars[n->in[i]].blob)
			return n->in[i];
	return -1;
}

const struct pare_var_channels *pare_reads(const struct pare_model *m, int layer)
{
	int var = entry_of(m, layer);
	const struct pare_var_channels *in = var < 0 ? NULL : &m->channels[var];

	/* others lie along another axis than that which it mixes */
	return in && !m->weight_at[layer].alone &&
			       in->n == m->layers[layer].weight.d[m->layers[layer].in_axis] *
						m->weight_at[layer].groups &&
			       m->weight_at[layer].groups < in->n
		       ? in
		       : NULL;
}

const struct pare_var_channels *pare_own_units(const struct pare_model *m, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];

	for (int i = 0; i < n->n_out && n->op->beside && pare_layer_leads(m, layer); i++)
		if (n->out[i] >= 0 && m->channels[n->out[i]].n)
			return &m->channels[n->out[i]];
	return NULL;
}

bool pare_reads_group(const struct pare_model *m, int layer, int group)
{
	const struct pare_var_channels *in = pare_reads(m, layer);
	const struct pare_group *g = &m->groups[group];

	for (int64_t i = 0; in && i < in->n; i++)
		if (in->unit[i] >= g->first && in->unit[i] < g->first + g->n)
			return true;
	return false;
}

int pare_layers_in_order(const struct pare_model *m, const struct pare_program *p, int *order)
{
	int n = 0;

	for (int i = 0; i < m->info.n_layers; i++) {
		int step = pare_program_step_of_layer(p, i), j = n;

		if (step < 0)
			continue;
		for (n++; j > 0 && pare_program_step_of_layer(p, order[j - 1]) > step; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	return n;
}

/* ---- what is known of a reader -----------------------------------------------------------------
 */

static enum pare_status reader_new(const struct pare_model *m, int layer, int g,
	const float *weights, struct pare_moments *s, struct pare_reader *out, struct pare_err *err)
{
	const struct pare_layer *l = &m->layers[layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	const struct pare_var_channels *in = pare_reads(m, layer);
	int k = s->win.k, o = s->win.o;
	double *was = malloc((size_t)o * (size_t)k * sizeof *was);
	enum pare_status st;

	if (!was)
		return pare_nomem(err, "a layer's least squares");
	for (int i = 0; i < o; i++)
		for (int j = 0; j < k; j++)
			was[i * k + j] = (double)weights[pare_channel_at(&ch, g * o + i, j)];
	pare_moments_center(s, g, pare_model_bias(m, layer) != NULL);
	*out = (struct pare_reader){ .channels = in ? (int)in->n / s->win.groups : 1 };
	out->per = k / out->channels;
	out->unit = in ? in->unit + (int64_t)g * out->channels : NULL;
	st = pare_solve_new(s->h + (size_t)g * (size_t)k * (size_t)k,
		s->c + (size_t)g * (size_t)o * (size_t)k, was, k, o,
		PARE_RIDGE_SAMPLES * (double)s->win.columns / s->n, &out->s, err);
	free(was);
	return st;
}

enum pare_status pare_readers_new(const struct pare_model *m, int layer, const float *weights,
	struct pare_moments *s, struct pare_reader **out, struct pare_err *err)
{
	struct pare_reader *x = calloc((size_t)s->win.groups, sizeof *x);
	enum pare_status st = x ? PARE_OK : pare_nomem(err, "a layer's least squares");

	for (int g = 0; g < s->win.groups && !st; g++)
		st = reader_new(m, layer, g, weights, s, &x[g], err);
	if (st)
		pare_readers_free(x, s->win.groups);
	else
		*out = x;
	return st;
}

void pare_readers_free(struct pare_reader *x, int n)
{
	for (int i = 0; i < n && x; i++)
		pare_solve_free(&x[i].s);
	free(x);
}

enum pare_status pare_readers_settle(const struct pare_reader *x, const struct pare_model *m,
	int layer, const struct pare_moments *s, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_err *err)
{
	const struct pare_layer *l = &m->layers[layer];
	struct pare_channels ch = pare_channels_of(&l->weight, l->out_axis);
	const float *had = pare_model_bias(m, layer);
	struct pare_blob *w = pare_blob_new((size_t)l->weights * sizeof(float)),
			 *b = pare_blob_new((size_t)ch.channels * sizeof(float));

	if (!w || !b) {
		pare_blob_free(w);
		pare_blob_free(b);
		return pare_nomem(err, "the weights of a layer");
	}
	for (int g = 0; g < s->win.groups; g++)
		for (int o = 0; o < s->win.o; o++) {
			int64_t row = (int64_t)g * s->win.o + o;
			double shift = s->t[row];

			for (int k = 0; k < s->win.k; k++) {
				double v = x[g].s.w[(int64_t)o * s->win.k + k];

				((float *)w->data)[pare_channel_at(&ch, row, k)] = (float)v;
				shift -= v * s->x[(int64_t)g * s->win.k + k];
			}
			((float *)b->data)[row] = (had ? had[row] : 0) + (float)shift;
		}
	pare_blob_free(*weights);
	*weights = w;
	if (!had) {
		pare_blob_free(b);
		return PARE_OK;
	}
	pare_blob_free(*bias);
	*bias = b;
	return PARE_OK;
}

/* Columns that belong to a unit. */
static int columns_of(const struct pare_reader *x, int unit, int *at)
{
	int n = 0;

	for (int c = 0; c < x->channels && x->unit; c++)
		for (int i = 0; i < x->per && x->unit[c] == unit; i++)
			at[n++] = c * x->per + i;
	return n;
}

enum pare_status pare_readers_drop(
	struct pare_reader *x, int n, int from, int to, const bool *keep, struct pare_err *err)
{
	for (int i = 0; i < n; i++) {
		size_t k = (size_t)x[i].s.k;
		int *at = malloc(k * sizeof *at);

		for (int u = from; u < to && at; u++) {
			int len = keep[u] ? 0 : columns_of(&x[i], u, at);
			double *room =
				len ? malloc((size_t)len * ((size_t)len + k) * sizeof *room) : NULL;

			if (room)
				pare_solve_drop(&x[i].s, at, len, room);
			else if (len) {
				free(at);
				at = NULL;
			}
			free(room);
		}
		if (!at)
			return pare_nomem(err, "a layer's least squares");
		free(at);
	}
	return PARE_OK;
}

/* ---- the choice --------------------------------------------------------------------------------
 */

struct choice {
	struct pare_reader *x;
	int n, first;
	const bool *open; /* [units] may go next */
	double *cost;     /* [units] */
};

static enum pare_status cost_of_unit(void *ctx, int u, int worker, struct pare_err *err)
{
	const struct choice *c = ctx;

	(void)worker;
	c->cost[u] = 0;
	for (int i = 0; i < c->n && c->open[u]; i++) {
		const struct pare_reader *x = &c->x[i];
		int *at = malloc((size_t)x->s.k * sizeof *at), len;
		double *room = NULL;

		len = at ? columns_of(x, c->first + u, at) : 0;
		if (len)
			room = malloc((size_t)len * (size_t)(len + 1) * sizeof *room);
		if (room)
			c->cost[u] += pare_solve_cost(&x->s, at, len, room);
		free(room);
		if (!at || (len && !room)) {
			free(at);
			return pare_nomem(err, "the choice of channels");
		}
		free(at);
	}
	return PARE_OK;
}

enum pare_status pare_readers_choose(const struct pare_model *m, int group, struct pare_reader *x,
	int n, float share, bool *keep, int *order, double *cost, struct pare_ctl *ctl,
	struct pare_err *err)
{
	const struct pare_group *g = &m->groups[group];
	int *left = calloc((size_t)g->n_kinds, sizeof *left), total = 0;
	bool *open = calloc((size_t)g->n, sizeof *open);
	double *each = calloc((size_t)g->n, sizeof *each), sum = 0;
	struct choice c = { x, n, g->first, open, each };
	struct pare_progress_span quiet = { 0 };
	enum pare_status st =
		left && open && each ? PARE_OK : pare_nomem(err, "the choice of channels");

	for (int k = 0; k < g->n_kinds && !st; k++) {
		int size = pare_kind_size(m, group, k);

		left[k] = (int)pare_n_pruned(size, share);
		left[k] = left[k] < size ? left[k] : size - 1;
		total += left[k];
	}
	for (int i = 0; i < total && !st; i++) {
		int best = -1;

		for (int u = 0; u < g->n; u++)
			open[u] = keep[g->first + u] && left[m->kind[g->first + u]] > 0;
		st = pare_parallel(g->n, cost_of_unit, &c, ctl, quiet, err);
		for (int u = 0; u < g->n && !st; u++)
			if (open[u] && (best < 0 || each[u] < each[best]))
				best = u;
		if (st || best < 0)
			break;
		left[m->kind[g->first + best]]--;
		keep[g->first + best] = false;
		sum += each[best];
		if (order)
			order[i] = best;
		if (cost)
			cost[i] = sum;
		st = pare_readers_drop(x, n, g->first + best, g->first + best + 1, keep, err);
	}
	free(left);
	free(open);
	free(each);
	return st;
}
