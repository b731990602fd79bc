/* Cross-layer equalization and the absorption of high biases (Nagel, van Baalen, Blankevoort,
 * Welling 2019, "Data-free quantization through weight equalization and bias correction"). */
#include "../base/err.h"
#include "../graph/model.h"
#include "steps.h"
#include <math.h>
#include <stdlib.h>

struct ranges {
	float *top;         /* [channels] the largest weight of each */
	const float *scale; /* [channels] */
};

static void take_top(void *user, int64_t channel, float *w)
{
	struct ranges *r = user;

	r->top[channel] = fmaxf(r->top[channel], fabsf(*w));
}

static void stretch(void *user, int64_t channel, float *w)
{
	*w *= ((const struct ranges *)user)->scale[channel];
}

/* The largest weights on either side of a pair, and the scales that make them alike.  Returns how
 * far the most uneven channel is from that. */
static double find_scales(struct pare_prepared *p, const struct pare_neighbours *pair,
	const float *from, float *to, float *top, float *scale)
{
	const struct pare_layer *l = pare_model_layer(p->m, pair->from);
	struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	struct ranges r = { top, NULL };
	double worst = 0;

	for (int64_t k = 0; k < c.channels; k++)
		top[k] = 0;
	pare_visit_inputs(p->m, pair->to, to, take_top, &r);
	for (int64_t k = 0; k < c.channels; k++) {
		float most = 0;

		for (int64_t i = 0; i < c.outer * c.inner; i++)
			most = fmaxf(most, fabsf(from[pare_channel_at(&c, k, i)]));
		scale[k] = sqrtf(most / top[k]);
		if (!(most > 0) || !(top[k] > 0) || !isnormal(scale[k]))
			scale[k] = 1;
		worst = fmax(worst, fabs(log((double)scale[k])));
	}
	return worst;
}

/* Output channels of `from` divided by the scales, what they meet in `to` multiplied. */
static double
even_out(struct pare_prepared *p, const struct pare_neighbours *pair, float *top, float *scale)
{
	const struct pare_layer *l = pare_model_layer(p->m, pair->from);
	struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	float *from = pare_prepared_weights(p, pair->from),
	      *bias = pare_prepared_bias(p, pair->from), *to = pare_prepared_weights(p, pair->to);
	struct pare_normal *normal = &p->normal[pair->from];
	struct ranges r = { NULL, scale };
	double worst;

	if (!from || !to || (!bias && pare_model_bias(p->m, pair->from)))
		return -1;
	worst = find_scales(p, pair, from, to, top, scale);
	for (int64_t k = 0; k < c.channels; k++) {
		for (int64_t i = 0; i < c.outer * c.inner; i++)
			from[pare_channel_at(&c, k, i)] /= scale[k];
		if (bias)
			bias[k] /= scale[k];
		if (normal->n) {
			((float *)(uintptr_t)normal->mean)[k] /= scale[k];
			((float *)(uintptr_t)normal->spread)[k] /= scale[k];
		}
	}
	pare_visit_inputs(p->m, pair->to, to, stretch, &r);
	return worst;
}

/* What both halves of a pair are made of: pairs, and room for the channels of the widest. */
struct pairs {
	struct pare_neighbours *pair;
	int n;
	float *top, *scale;
};

static enum pare_status
find_pairs(const struct pare_prepared *p, struct pairs *out, struct pare_err *err)
{
	const struct pare_model *m = p->m;
	int64_t widest = 1;

	for (int i = 0; i < m->info.n_layers; i++) {
		int64_t n = m->layers[i].weight.d[m->layers[i].out_axis];

		widest = n > widest ? n : widest;
	}
	out->pair = pare_alloc_n(p->a, (size_t)m->info.n_layers + 1, sizeof *out->pair);
	out->top = pare_alloc_n(p->a, (size_t)widest, sizeof *out->top);
	out->scale = pare_alloc_n(p->a, (size_t)widest, sizeof *out->scale);
	if (!out->pair || !out->top || !out->scale)
		return pare_nomem(err, "the equalization of a network");
	out->n = pare_neighbours_find(m, out->pair);
	return PARE_OK;
}

enum pare_status pare_equalize(struct pare_prepared *p, struct pare_err *err)
{
	enum { ROUNDS = 40 };
	struct pairs all;
	enum pare_status st = find_pairs(p, &all, err);
	double worst = 1;

	for (int round = 0; round < ROUNDS && worst > 1e-3 && !st; round++) {
		worst = 0;
		for (int i = 0; i < all.n && !st; i++) {
			double d = even_out(p, &all.pair[i], all.top, all.scale);

			if (d < 0)
				return pare_nomem(err, "the equalization of a network");
			worst = fmax(worst, d);
			if (p->ctl && atomic_load(&p->ctl->cancel))
				st = pare_fail(err, PARE_E_CANCELED, "stopped");
		}
	}
	return st;
}

/* ---- high biases -------------------------------------------------------------------------------
 */

static bool pads(const struct pare_model *m, int layer)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[layer].node];
	const struct pare_ints *v = pare_node_attr(n, "pads", PARE_ATTR_INTS);
	const char *const *by_name = pare_node_attr(n, "auto_pad", PARE_ATTR_STRING);
	bool any = by_name && *by_name && (*by_name)[0] == 'S'; /* SAME_UPPER, SAME_LOWER */

	for (int i = 0; v && i < v->n; i++)
		any |= v->v[i] != 0;
	return any;
}

struct moving {
	const float *by; /* [channels] taken from what enters */
	float *bias;     /* [outputs] */
	const struct pare_layer *l;
	int64_t at; /* elements seen */
};

/* The element's share of what its output loses. */
static void move_on(void *user, int64_t channel, float *w)
{
	struct moving *m = user;
	struct pare_channels c = pare_channels_of(&m->l->weight, m->l->out_axis);

	m->bias[m->at++ / c.inner % c.channels] += *w * m->by[channel];
}

/* Where a channel is three spreads above zero it is hardly ever cut: what it is at least can be
 * left out and be made up for in the next bias.  Not where zeros are padded in, which are at 0. */
static enum pare_status absorb_pair(struct pare_prepared *p, const struct pare_neighbours *pair,
	float *by, struct pare_err *err)
{
	struct pare_normal *normal = &p->normal[pair->from];
	struct moving moving = { .by = by, .l = pare_model_layer(p->m, pair->to) };
	float *bias, *w;
	bool any = false;

	if (pair->clamp < 0 || !normal->n || pads(p->m, pair->to) ||
		!pare_model_bias(p->m, pair->from) || !pare_model_bias(p->m, pair->to))
		return PARE_OK;
	for (int64_t k = 0; k < normal->n; k++) {
		by[k] = fmaxf(0, normal->mean[k] - 3 * normal->spread[k]);
		any |= by[k] > 0;
	}
	if (!any)
		return PARE_OK;
	bias = pare_prepared_bias(p, pair->from);
	moving.bias = pare_prepared_bias(p, pair->to);
	w = pare_prepared_weights(p, pair->to);
	if (!bias || !moving.bias || !w)
		return pare_nomem(err, "the biases of a network");
	for (int64_t k = 0; k < normal->n; k++) {
		bias[k] -= by[k];
		((float *)(uintptr_t)normal->mean)[k] -= by[k];
	}
	pare_visit_inputs(p->m, pair->to, w, move_on, &moving);
	return PARE_OK;
}

enum pare_status pare_absorb_bias(struct pare_prepared *p, struct pare_err *err)
{
	struct pairs all;
	enum pare_status st = find_pairs(p, &all, err);

	for (int i = 0; i < all.n && !st; i++)
		st = absorb_pair(p, &all.pair[i], all.top, err);
	return st;
}
