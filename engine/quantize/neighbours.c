/* Pairs of layers whose channels can be scaled against each other. */
#include "../graph/model.h"
#include "steps.h"
#include <math.h>
#include <string.h>

static int only_reader(const struct pare_model *m, int var)
{
	int found = -1;

	for (int i = 0; i < m->graph.n_out; i++)
		if (m->graph.out[i] == var)
			return -1;
	for (int i = 0; i < m->graph.n_nodes; i++)
		for (int k = 0; k < m->graph.nodes[i].n_in; k++)
			if (m->graph.nodes[i].in[k] == var) {
				if (found >= 0)
					return -1;
				found = i;
			}
	return found;
}

/* Clamped to 0 and nothing above. */
static bool cuts_at_zero(const struct pare_model *m, const struct pare_node *n)
{
	struct pare_tensor t[8] = { { 0 } };
	const struct pare_tensor *in[8] = { 0 };
	struct pare_call c = { .node = n, .attr = n->attr, .lanes = 1, .n_in = n->n_in, .in = in };
	float lo = -INFINITY, hi = INFINITY;

	if (!n->op || !n->op->clamp || n->n_in > 8)
		return false;
	for (int i = 0; i < n->n_in; i++) { /* constants with data, the rest without */
		const struct pare_known *k = n->in[i] < 0 ? NULL : &m->known[n->in[i]];

		if (!k)
			continue;
		t[i] = (struct pare_tensor){ .dtype = k->dtype, .lanes = 1, .shape = k->shape };
		if (m->graph.vars[n->in[i]].declared.value)
			t[i] = *m->graph.vars[n->in[i]].declared.value;
		in[i] = &t[i];
	}
	return n->op->clamp(&c, &lo, &hi) && lo == 0 && hi == INFINITY;
}

/* Scales pass through it: from its first input to its output, channel by channel. */
static bool
stretches(const struct pare_model *m, const struct pare_node *n, int var, int64_t channels)
{
	const struct pare_known *x = &m->known[var];

	if (!n->op || n->in[0] != var || n->n_out != 1)
		return false;
	if (cuts_at_zero(m, n))
		return true;
	if (!(n->op->quant & PARE_Q_STRETCHES))
		return false;
	/* what moves elements about must have none to move but channels */
	return n->op->flow != PARE_FLOW_SPREAD ||
	       (x->dtype == PARE_F32 && pare_shape_elems(&x->shape) == channels);
}

static bool is_product(const struct pare_model *m, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];
	const struct pare_weight_at *at = &m->weight_at[layer];

	return n->op->windows && !at->alone && pare_layer_leads(m, layer) &&
	       (at->out_axis == 0 || at->groups == 1) &&
	       (at->bias < 0 || pare_model_can_shift(m, layer));
}

static int64_t in_channels(const struct pare_model *m, int layer)
{
	return m->layers[layer].weight.d[m->layers[layer].in_axis] * m->weight_at[layer].groups;
}

static bool follow(const struct pare_model *m, int layer, struct pare_neighbours *out)
{
	int64_t channels = m->layers[layer].weight.d[m->layers[layer].out_axis];
	int var = m->graph.nodes[m->layers[layer].node].out[0], next;

	*out = (struct pare_neighbours){ layer, -1, -1 };
	while ((next = only_reader(m, var)) >= 0) {
		const struct pare_node *n = &m->graph.nodes[next];
		int to = m->node_info[next].layer;

		if (to >= 0) {
			out->to = to;
			return is_product(m, to) && n->in[0] == var &&
			       in_channels(m, to) == channels;
		}
		if (!stretches(m, n, var, channels))
			return false;
		if (cuts_at_zero(m, n))
			out->clamp = next;
		var = n->out[0];
	}
	return false;
}

int pare_neighbours_find(const struct pare_model *m, struct pare_neighbours *out)
{
	int n = 0;

	for (int i = 0; i < m->info.n_layers; i++)
		n += is_product(m, i) && follow(m, i, &out[n]);
	return n;
}

void pare_visit_inputs(
	const struct pare_model *m, int layer, float *w, pare_visit_fn *v, void *user)
{
	const struct pare_layer *l = &m->layers[layer];
	struct pare_channels c = pare_channels_of(&l->weight, l->in_axis);
	int64_t per_group = l->out_axis == 0 ? l->weight.d[0] / m->weight_at[layer].groups : 0;

	for (int64_t o = 0; o < c.outer; o++) {
		int64_t first = per_group ? o / per_group * c.channels : 0;

		for (int64_t k = 0; k < c.channels; k++)
			for (int64_t i = 0; i < c.inner; i++)
				v(user, first + k, w++);
	}
}
