/* What simplification does to layers: float32 weights, and BatchNormalization folded into them. */
#include "../base/err.h"
#include "simplify.h"
#include <stdlib.h>

static enum pare_status no_memory(const struct pare_simplifier *s)
{
	return pare_nomem(s->err, "its graph");
}

/* The constant at a node's input, as float32 that no other node reads; -1 on failure. */
static int own_floats(struct pare_simplifier *s, struct pare_node *n, int input)
{
	int var = n->in[input];
	const struct pare_tensor *old = s->g->vars[var].declared.value;
	struct pare_tensor t = *old;
	int64_t elems = pare_shape_elems(&t.shape);
	struct pare_blob *b = pare_blob_new((size_t)elems * sizeof(float));
	enum pare_dtype stored = pare_simplify_stored(&s->g->vars[var], elems);

	t.dtype = PARE_F32;
	t.data = b ? b->data : NULL;
	if (!b || pare_to_f32(old->dtype, old->data, elems, t.f32, s->err)) {
		pare_blob_free(b);
		return -1;
	}
	if (s->uses[var] > 1) {
		int copy = pare_simplify_add(s, s->g->vars[var].name,
			n->out[0] >= 0 ? s->g->vars[n->out[0]].name : "copy");

		if (copy < 0) {
			pare_blob_free(b);
			return -1;
		}
		s->uses[var]--;
		s->uses[copy] = 1;
		s->g->vars[copy].codes = s->g->vars[var].codes;
		n->in[input] = var = copy;
	}
	s->g->vars[var].stored = stored;
	return pare_simplify_constant(s, var, &t, b) ? -1 : var;
}

static bool is_other_float(const struct pare_known *k)
{
	return k->value && (k->dtype == PARE_F16 || k->dtype == PARE_BF16 || k->dtype == PARE_F64);
}

static struct pare_weight_at weight_of(const struct pare_node *n)
{
	struct pare_weight_at at = { .input = -1, .bias = -1 };

	if (n->op && n->op->weight)
		at = n->op->weight(n, n->attr);
	if (at.input >= n->n_in || (at.input >= 0 && n->in[at.input] < 0))
		at.input = -1;
	return at;
}

static bool weight_fits(const struct pare_shape *w, const struct pare_weight_at *at)
{
	return at->out_axis < w->n && at->groups > 0 &&
	       (at->out_axis == 0 || w->d[0] % at->groups == 0) && pare_shape_elems(w) > 0;
}

/* Layers have float32 weights, however they were stored. */
static enum pare_status widen_weights(struct pare_simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		struct pare_weight_at at = weight_of(n);
		int slot[3] = { at.input, at.bias, -1 };

		if (at.input >= 0 && n->op->second)
			slot[2] = n->op->second(n, n->attr).input;
		for (int k = 0; k < 3 && !s->gone[i] && at.input >= 0; k++)
			if (slot[k] >= 0 && slot[k] < n->n_in && n->in[slot[k]] >= 0 &&
				is_other_float(&s->g->vars[n->in[slot[k]]].declared) &&
				own_floats(s, n, slot[k]) < 0)
				return no_memory(s);
	}
	return PARE_OK;
}

/* ---- BatchNormalization into the layer before ------------------------------------------------ */

struct absorb {
	struct pare_node *layer;
	struct pare_weight_at at;
	int64_t channels;
	float *scale, *shift;
};

/* Output channels of a weight: a transposed grouped convolution counts them per group. */
static int64_t out_channels(const struct pare_shape *w, const struct pare_weight_at *at)
{
	return w->d[at->out_axis] * (at->out_axis > 0 ? at->groups : 1);
}

static bool can_absorb(const struct pare_simplifier *s, const struct pare_node *n, struct absorb *x)
{
	int var = n->op && n->op->affine && n->n_in > 0 ? n->in[0] : -1;
	const struct pare_known *w, *b = NULL;
	int producer = var < 0 ? -1 : s->g->vars[var].producer;

	if (producer < 0 || s->uses[var] != 1 || s->is_out[var])
		return false;
	x->layer = &s->g->nodes[producer];
	x->at = weight_of(x->layer);
	if (x->at.input < 0 || x->at.bias_at <= 0 || x->layer->out[0] != var)
		return false;
	w = &s->g->vars[x->layer->in[x->at.input]].declared;
	if (!w->value || w->dtype != PARE_F32 || !weight_fits(&w->shape, &x->at))
		return false;
	if (s->g->vars[x->layer->in[x->at.input]].stored ||
		s->g->vars[x->layer->in[x->at.input]].codes)
		return false; /* what the file rounded would lie between its codes */
	x->channels = out_channels(&w->shape, &x->at);
	if (x->at.bias_at < x->layer->n_in && x->layer->in[x->at.bias_at] >= 0)
		b = &s->g->vars[x->layer->in[x->at.bias_at]].declared;
	/* a bias of another shape is broadcast in ways that a shift per channel is not */
	return !b || (b->value && b->dtype == PARE_F32 && b->shape.n > 0 &&
			     pare_shape_elems(&b->shape) == x->channels &&
			     b->shape.d[b->shape.n - 1] == x->channels);
}

static void scale_weight(const struct pare_tensor *w, const struct absorb *x)
{
	int64_t outer = pare_shape_span(&w->shape, 0, x->at.out_axis),
		inner = pare_shape_span(&w->shape, x->at.out_axis + 1, w->shape.n),
		per_group = w->shape.d[x->at.out_axis];
	float *p = w->f32;

	for (int64_t o = 0; o < outer; o++) {
		int64_t first = x->at.out_axis > 0 ? o / (outer / x->at.groups) * per_group : 0;

		for (int64_t c = 0; c < per_group; c++)
			for (int64_t i = 0; i < inner; i++)
				*p++ *= x->scale[first + c];
	}
}

/* The layer's bias, made if there is none, as a var of its own; -1: no memory. */
static int own_bias(struct pare_simplifier *s, const struct absorb *x)
{
	struct pare_node *n = x->layer;
	int at = x->at.bias_at, *in, var;
	struct pare_tensor t = { .dtype = PARE_F32, .lanes = 1, .shape = { 1, { x->channels } } };
	struct pare_blob *b;

	if (at < n->n_in && n->in[at] >= 0)
		return own_floats(s, n, at);
	if (!(in = pare_alloc_n(s->a, (size_t)at + 1, sizeof *in)) ||
		(var = pare_simplify_add(s, s->g->vars[n->out[0]].name, "bias")) < 0 ||
		!(b = pare_blob_new((size_t)x->channels * sizeof(float))))
		return -1;
	t.data = b->data;
	for (int i = 0; i <= at; i++)
		in[i] = i < n->n_in ? n->in[i] : -1;
	in[at] = var;
	s->uses[var] = 1;
	n->in = in;
	n->n_in = n->n_in > at + 1 ? n->n_in : at + 1;
	return pare_simplify_constant(s, var, &t, b) ? -1 : var;
}

/* The statistics that a normalization leaves in its output. */
static enum pare_status
keep_normal(struct pare_simplifier *s, const struct pare_node *n, int64_t channels)
{
	struct pare_normal normal = { .n = channels }, *kept;
	float *spread;

	if (!n->op->normal || pare_shape_elems(&s->g->vars[n->in[1]].declared.shape) != channels)
		return PARE_OK;
	normal.mean = pare_memdup(
		s->a, s->g->vars[n->in[2]].declared.value->f32, (size_t)channels * sizeof(float));
	normal.spread = spread = pare_memdup(
		s->a, s->g->vars[n->in[1]].declared.value->f32, (size_t)channels * sizeof(float));
	kept = pare_memdup(s->a, &normal, sizeof normal);
	if (!kept || !normal.mean || !spread)
		return no_memory(s);
	for (int64_t i = 0; i < channels; i++)
		spread[i] = spread[i] < 0 ? -spread[i] : spread[i];
	kept->mean = normal.mean;
	kept->spread = spread;
	s->g->vars[n->out[0]].normal = kept;
	return PARE_OK;
}

static enum pare_status absorb_node(struct pare_simplifier *s, int node, struct absorb *x)
{
	struct pare_node *n = &s->g->nodes[node];
	int w = own_floats(s, x->layer, x->at.input), b = w < 0 ? -1 : own_bias(s, x);
	float *bias;

	if (b < 0)
		return no_memory(s);
	scale_weight(s->g->vars[w].declared.value, x);
	bias = s->g->vars[b].declared.value->f32;
	for (int64_t c = 0; c < x->channels; c++)
		bias[c] = bias[c] * x->scale[c] + x->shift[c];
	x->layer->out[0] = n->out[0];
	s->g->vars[n->out[0]].producer = (int)(x->layer - s->g->nodes);
	s->gone[node] = true;
	return keep_normal(s, n, x->channels);
}

static enum pare_status absorb_affine(struct pare_simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		struct pare_node *n = &s->g->nodes[i];
		const struct pare_known *in[16] = { NULL };
		struct pare_shape_call c = {
			.node = n, .attr = n->attr, .n_in = n->n_in, .in = in
		};
		struct absorb x = { 0 };
		enum pare_status st = PARE_OK;

		if (s->gone[i] || n->n_in > 16 || !can_absorb(s, n, &x))
			continue;
		for (int k = 0; k < n->n_in; k++)
			in[k] = n->in[k] < 0 ? NULL : &s->g->vars[n->in[k]].declared;
		x.scale = calloc((size_t)x.channels + 1, sizeof *x.scale);
		x.shift = calloc((size_t)x.channels + 1, sizeof *x.shift);
		if (!x.scale || !x.shift)
			st = no_memory(s);
		else if (n->op->affine(&c, x.channels, x.scale, x.shift))
			st = absorb_node(s, i, &x);
		free(x.scale);
		free(x.shift);
		if (st)
			return st;
	}
	return PARE_OK;
}

enum pare_status pare_simplify_weights(struct pare_simplifier *s)
{
	enum pare_status st = widen_weights(s);

	return st ? st : absorb_affine(s);
}
