/* The steps around rounding, as rows, and those before it carried out. */
#include "steps.h"
#include "../base/err.h"
#include "../graph/model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct pare_plan_step pare_plan_steps[] = {
	{ "equalize", "channels of layers that follow each other scaled to like ranges; needs no data", pare_equalize, false, false, false, false },
	{ "absorb-bias", "high biases moved into the next layer, where a BatchNormalization tells; needs no data", pare_absorb_bias, false, false, false, false },
	{ "smooth", "outliers that leave a LayerNormalization moved into the weights of the products behind", pare_smooth, false, false, true, false },
	{ "correct-bias", "biases make up for the mean error: by samples, or by what BatchNormalizations tell", NULL, true, false, false, false },
	{ "reestimate-batchnorm", "scale and bias of each output channel fitted to what the float network gives", NULL, true, true, true, false },
	{ "avoid-saturation", "uint8 activations on x86 without VNNI: channels of int8 weights in which two products together could exceed 16 bits get wider scales; needs no data", NULL, false, false, false, true },
	{ 0 },
};
/* clang-format on */

bool pare_steps_prepare(unsigned set)
{
	for (int i = 0; pare_plan_steps[i].name; i++)
		if (set >> i & 1 && pare_plan_steps[i].prepare)
			return true;
	return false;
}

bool pare_steps_shift(unsigned set)
{
	for (int i = 0; pare_plan_steps[i].name; i++)
		if (set >> i & 1 && pare_plan_steps[i].shifts)
			return true;
	return false;
}

bool pare_steps_scale(unsigned set)
{
	for (int i = 0; pare_plan_steps[i].name; i++)
		if (set >> i & 1 && pare_plan_steps[i].scales)
			return true;
	return false;
}

bool pare_steps_narrow(unsigned set)
{
	for (int i = 0; pare_plan_steps[i].name; i++)
		if (set >> i & 1 && pare_plan_steps[i].narrows)
			return true;
	return false;
}

const char *pare_steps_look(unsigned set)
{
	for (int i = 0; pare_plan_steps[i].name; i++)
		if (set >> i & 1 && pare_plan_steps[i].looks)
			return pare_plan_steps[i].name;
	return NULL;
}

static float *copy_to(struct pare_blob **b, const float *from, int64_t n)
{
	if (!*b && from && (*b = pare_blob_new((size_t)n * sizeof *from)))
		memcpy((*b)->data, from, (*b)->len);
	return *b ? (*b)->data : NULL;
}

float *pare_prepared_weights(struct pare_prepared *p, int layer)
{
	return copy_to(
		&p->weights[layer], pare_model_weights(p->m, layer), p->m->layers[layer].weights);
}

float *pare_prepared_bias(struct pare_prepared *p, int layer)
{
	const struct pare_layer *l = &p->m->layers[layer];

	return copy_to(&p->bias[layer], pare_model_bias(p->m, layer), l->weight.d[l->out_axis]);
}

float *pare_prepared_constant(struct pare_prepared *p, int node, int input)
{
	int var = p->m->graph.nodes[node].in[input];
	const struct pare_tensor *t = p->m->graph.vars[var].declared.value;
	struct pare_new_input *c = &p->constant[p->n_constants];

	for (int i = 0; i < p->n_constants; i++)
		if (p->constant[i].node == node && p->constant[i].input == input)
			return p->constant[i].blob->data;
	*c = (struct pare_new_input){ node, input, NULL };
	if (!copy_to(&c->blob, t->f32, pare_shape_elems(&t->shape)))
		return NULL;
	p->n_constants++;
	return c->blob->data;
}

/* Copies of what BatchNormalizations left, for they change with the scales. */
static bool take_normals(struct pare_prepared *p)
{
	for (int i = 0; i < p->m->info.n_layers; i++) {
		const struct pare_layer *l = &p->m->layers[i];
		const struct pare_normal *n =
			p->m->graph.vars[p->m->graph.nodes[l->node].out[0]].normal;
		size_t bytes;

		if (!n || n->n != l->weight.d[l->out_axis])
			continue;
		bytes = (size_t)n->n * sizeof(float);
		p->normal[i].n = n->n;
		p->normal[i].mean = pare_memdup(p->a, n->mean, bytes);
		p->normal[i].spread = pare_memdup(p->a, n->spread, bytes);
		if (!p->normal[i].mean || !p->normal[i].spread)
			return false;
	}
	return true;
}

/* The model of what was prepared; blobs are given away. */
static enum pare_status
finish(struct pare_prepared *p, struct pare_model **out, struct pare_err *err)
{
	struct pare_model *e = NULL;
	enum pare_status st = pare_model_with_weights(p->m, p->weights, p->bias, &e, err);

	for (int i = 0; i < p->n_constants; i++) {
		if (!st)
			st = pare_model_set_input(e, &p->constant[i], err);
		pare_blob_free(p->constant[i].blob);
	}
	for (int i = 0; !st && i < p->m->info.n_layers; i++) {
		struct pare_var *v = &e->graph.vars[e->graph.nodes[e->layers[i].node].out[0]];
		struct pare_normal *n = pare_memdup(e->arena, &p->normal[i], sizeof p->normal[i]);
		size_t bytes = (size_t)p->normal[i].n * sizeof(float);

		v->normal = NULL;
		if (!n || !p->normal[i].n)
			continue;
		n->mean = pare_memdup(e->arena, n->mean, bytes);
		n->spread = pare_memdup(e->arena, n->spread, bytes);
		v->normal = n->mean && n->spread ? n : NULL;
	}
	if (st)
		pare_model_free(e);
	else
		*out = e;
	return st;
}

enum pare_status
pare_prepare(const struct pare_model *m, unsigned steps, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err)
{
	size_t n = (size_t)m->info.n_layers;
	struct pare_arena *a = pare_arena_new();
	struct pare_prepared p = { .m = m, .calibration = calibration, .ctl = ctl, .a = a };
	enum pare_status st = PARE_OK;

	if (!a || !(p.weights = pare_alloc_n(a, n + 1, sizeof *p.weights)) ||
		!(p.bias = pare_alloc_n(a, n + 1, sizeof *p.bias)) ||
		!(p.normal = pare_alloc_n(a, n + 1, sizeof *p.normal)) ||
		!(p.constant = pare_alloc_n(
			  a, 2 * (size_t)m->graph.n_nodes + 1, sizeof *p.constant)) ||
		!take_normals(&p)) {
		pare_arena_free(a);
		return pare_nomem(err, "the steps of a plan");
	}
	for (int i = 0; pare_plan_steps[i].name && !st; i++)
		if (steps >> i & 1 && pare_plan_steps[i].prepare)
			st = pare_plan_steps[i].prepare(&p, err);
	if (!st)
		st = finish(&p, out, err);
	else {
		for (size_t i = 0; i < n; i++) {
			pare_blob_free(p.weights[i]);
			pare_blob_free(p.bias[i]);
		}
		for (int i = 0; i < p.n_constants; i++)
			pare_blob_free(p.constant[i].blob);
	}
	pare_arena_free(a);
	return st;
}

/* ---- biases without samples --------------------------------------------------------------------
 */

/* The mean of a normal that is cut at zero. */
static double cut_mean(double mean, double spread)
{
	double z = spread > 0 ? mean / spread : 0;

	if (!(spread > 0))
		return mean > 0 ? mean : 0;
	return mean * 0.5 * erfc(-z * M_SQRT1_2) + spread * exp(-z * z / 2) / sqrt(2 * M_PI);
}

struct correcting {
	const struct pare_layer *l;
	const struct pare_normal *enters;
	const float *was;
	float *bias;
	bool cut;
	int64_t at;
};

static void correct(void *user, int64_t channel, float *w)
{
	struct correcting *c = user;
	struct pare_channels ch = pare_channels_of(&c->l->weight, c->l->out_axis);
	double mean = (double)c->enters->mean[channel];

	if (c->cut)
		mean = cut_mean(mean, (double)c->enters->spread[channel]);
	c->bias[c->at / ch.inner % ch.channels] -= (float)((double)(*w - c->was[c->at]) * mean);
	c->at++;
}

enum pare_status pare_correct_by_normals(const struct pare_model *m, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_err *err)
{
	struct pare_neighbours *pair = calloc((size_t)m->info.n_layers + 1, sizeof *pair);
	int n = pair ? pare_neighbours_find(m, pair) : 0;
	enum pare_status st = pair ? PARE_OK : pare_nomem(err, "the biases of a network");

	for (int i = 0; i < n && !st; i++) {
		const struct pare_layer *from = &m->layers[pair[i].from];
		const struct pare_normal *normal =
			m->graph.vars[m->graph.nodes[from->node].out[0]].normal;
		int to = pair[i].to;
		struct correcting c = { .l = &m->layers[to],
			.enters = normal,
			.was = pare_model_weights(m, to),
			.cut = pair[i].clamp >= 0 };

		if (!weights[to] || !normal || normal->n != from->weight.d[from->out_axis] ||
			!pare_model_bias(m, to))
			continue;
		if (!(c.bias = copy_to(
			      &bias[to], pare_model_bias(m, to), c.l->weight.d[c.l->out_axis])))
			st = pare_nomem(err, "the biases of a network");
		else
			pare_visit_inputs(m, to, weights[to]->data, correct, &c);
	}
	free(pair);
	return st;
}
