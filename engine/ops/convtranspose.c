/* ConvTranspose.  X [N, C, spatial…], W [C, O/groups, kernel…], B [O]; 1 to 3 spatial axes.
 *
 * It is the convolution, by the kernel turned around, of the input with zeros put between its
 * elements, stride-1 of them along each axis. */
#include "../graph/model.h"
#include "conv.h"
#include <math.h>
#include <string.h>

static const struct pare_attr transpose_attrs[] = {
	{ "auto_pad", PARE_ATTR_STRING, offsetof(struct op_conv, auto_pad), 0, 0 },
	{ "dilations", PARE_ATTR_INTS, offsetof(struct op_conv, dilations), 0, 0 },
	{ "group", PARE_ATTR_INT, offsetof(struct op_conv, group), 1, 0 },
	{ "kernel_shape", PARE_ATTR_INTS, offsetof(struct op_conv, kernel), 0, 0 },
	{ "output_padding", PARE_ATTR_INTS, offsetof(struct op_conv, output_padding), 0, 0 },
	{ "output_shape", PARE_ATTR_INTS, offsetof(struct op_conv, output_shape), 0, 0 },
	{ "pads", PARE_ATTR_INTS, offsetof(struct op_conv, pads), 0, 0 },
	{ "strides", PARE_ATTR_INTS, offsetof(struct op_conv, strides), 0, 0 },
	{ 0 },
};

struct transpose {
	struct pare_conv v;     /* of the spread input */
	int in[3], stride[3];   /* of the input as it is */
	size_t spread, weights; /* floats of a spread sample, and of the turned weights */
};

/* Pads of an axis of which `total` is cut off the full result; where it is less than nothing, the
 * rest is zeros behind. */
static int64_t pad_front(const struct op_conv *a, int64_t total)
{
	bool upper = a->auto_pad && !strcmp(a->auto_pad, "SAME_UPPER");

	total = total < 0 ? 0 : total;
	return upper ? total / 2 : total - total / 2;
}

static enum pare_status fit_transposed_axis(const struct op_conv *a, const struct op_window *o,
	int k, int i, struct transpose *t, struct pare_err *err)
{
	bool same = a->auto_pad && !strncmp(a->auto_pad, "SAME", 4);
	bool valid = a->auto_pad && !strcmp(a->auto_pad, "VALID");
	int64_t extra = i >= 0 && a->output_padding.n ? a->output_padding.v[i] : 0;
	int64_t reach = (o->kernel[k] - 1) * o->dilation[k] + 1;
	int64_t spread = (o->in[k] - 1) * o->stride[k] + 1, full, out, front = o->pad[k];

	if (extra < 0 || extra > 1 << 20)
		return pare_fail(err, PARE_E_FORMAT, "output_padding is not in 0..2^20");
	full = spread - 1 + reach + extra;
	out = full - (valid ? 0 : o->pad[k] + o->pad_end[k]);
	if (i >= 0 && (a->output_shape.n || same)) {
		out = a->output_shape.n ? a->output_shape.v[i] : o->in[k] * o->stride[k];
		front = pad_front(a, full - out);
	} else if (valid)
		front = 0;
	if (out < 1 || spread < 1 || out > OP_CONV_PIXELS || spread > OP_CONV_PIXELS)
		return pare_fail(err, PARE_E_FORMAT,
			"the output would have %lld elements along axis %d", (long long)out, i + 2);
	t->in[k] = (int)o->in[k];
	t->stride[k] = (int)o->stride[k];
	t->v.in[k] = (int)spread;
	t->v.out[k] = (int)out;
	t->v.kernel[k] = (int)o->kernel[k];
	t->v.stride[k] = 1;
	t->v.dilation[k] = (int)o->dilation[k];
	t->v.pad[k] = (int)(reach - 1 - front);
	return PARE_OK;
}

static enum pare_status fit_transposed(const struct op_conv *a, const struct pare_shape *x,
	const struct pare_shape *w, struct transpose *t, struct pare_err *err)
{
	struct pare_shape edges = *w, wide = *x;
	struct pare_ints kernel = { w->n - 2, edges.d + 2 };
	struct op_window o;
	int64_t in = 1, out = 1;
	enum pare_status st;

	if (w->n != x->n || x->n < 3 || (a->output_shape.n && a->output_shape.n != x->n - 2) ||
		(a->output_padding.n && a->output_padding.n != x->n - 2))
		return pare_fail(err, PARE_E_FORMAT, "input, weight and attributes differ in rank");
	for (int i = 2; i < x->n; i++) /* the window need not fit: here it slides over the output */
		wide.d[i] = OP_CONV_PIXELS;
	st = op_window_find(
		&o, &wide, &kernel, &a->strides, &a->dilations, &a->pads, NULL, false, err);
	if (st)
		return st;
	if (a->group < 1 || x->d[1] < 1 || x->d[1] != w->d[0] || x->d[1] % a->group ||
		w->d[1] < 1 || x->d[1] > OP_CONV_CHANNELS || w->d[1] > OP_CONV_CHANNELS / a->group)
		return pare_fail(err, PARE_E_FORMAT,
			"input has %lld channels, weight %lld by %lld in %lld groups",
			(long long)x->d[1], (long long)w->d[0], (long long)w->d[1],
			(long long)a->group);
	if (pare_shape_elems(w) < 0 || pare_shape_elems(w) / w->d[1] / a->group > OP_CONV_TERMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 terms in a sum");
	*t = (struct transpose){
		.v = { .groups = (int)a->group, .c = (int)(x->d[1] / a->group), .o = (int)w->d[1] }
	};
	for (int k = 0; k < 3; k++) {
		int i = k - (3 - o.n);

		o.in[k] = i < 0 ? 1 : x->d[2 + i];
		if ((st = fit_transposed_axis(a, &o, k, i, t, err)))
			return st;
		if (t->v.in[k] > OP_CONV_PIXELS / in || t->v.out[k] > OP_CONV_PIXELS / out)
			return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 pixels");
		in *= t->v.in[k];
		out *= t->v.out[k];
	}
	t->spread = (size_t)x->d[1] * (size_t)in;
	t->weights = (size_t)pare_shape_elems(w);
	return PARE_OK;
}

static enum pare_status transpose_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape, *w = &c->in[1]->shape;
	struct transpose t;
	enum pare_status st;

	if (c->in[0]->dtype != PARE_F32 || c->in[1]->dtype != PARE_F32)
		return pare_fail(err, PARE_E_UNSUPPORTED, "only float32 can run");
	if ((st = fit_transposed(c->attr, x, w, &t, err)))
		return st;
	if (c->n_in > 2 && c->in[2] &&
		(c->in[2]->dtype != PARE_F32 ||
			pare_shape_elems(&c->in[2]->shape) != (int64_t)t.v.groups * t.v.o))
		return pare_fail(err, PARE_E_FORMAT, "the bias must be %lld float32 values",
			(long long)t.v.groups * t.v.o);
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = *x;
	c->out[0].shape.d[1] = (int64_t)t.v.groups * t.v.o;
	for (int i = 2; i < x->n; i++)
		c->out[0].shape.d[i] = t.v.out[3 - x->n + i];
	return PARE_OK;
}

/* [groups*c][o][kernel] to [groups*o][c][kernel turned around] */
static void turn_weights(const struct pare_conv *v, const float *w, float *to)
{
	size_t kernel = (size_t)v->kernel[0] * v->kernel[1] * v->kernel[2];

	for (int g = 0; g < v->groups; g++, w += (size_t)v->c * v->o * kernel)
		for (int o = 0; o < v->o; o++)
			for (int c = 0; c < v->c; c++)
				for (size_t k = 0; k < kernel; k++)
					*to++ = w[((size_t)c * v->o + o) * kernel + kernel - 1 - k];
}

/* One sample with zeros put between its elements. */
static void spread_input(const struct transpose *t, int lanes, const float *x, float *to)
{
	int channels = t->v.groups * t->v.c;
	size_t row = (size_t)t->v.in[2] * lanes;

	memset(to, 0, t->spread * lanes * sizeof *to);
	for (int c = 0; c < channels; c++)
		for (int z = 0; z < t->in[0]; z++)
			for (int y = 0; y < t->in[1]; y++) {
				size_t plane = (size_t)c * t->v.in[0] + (size_t)z * t->stride[0];
				float *out =
					to + (plane * t->v.in[1] + (size_t)y * t->stride[1]) * row;

				for (int i = 0; i < t->in[2]; i++, x += lanes)
					memcpy(out + (size_t)i * t->stride[2] * lanes, x,
						lanes * sizeof *x);
			}
}

static enum pare_status transpose_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	struct transpose *t;
	float *w;
	enum pare_status st;

	if (c->lanes == 1)
		return PARE_OK;
	if (!(t = pare_alloc(a, sizeof *t)))
		return pare_nomem(err, "a convolution");
	if ((st = fit_transposed(c->attr, &c->in[0]->shape, &c->in[1]->shape, t, err)))
		return st;
	if (!(w = pare_alloc_n(a, t->weights, sizeof *w)))
		return pare_nomem(err, "weights turned around");
	turn_weights(&t->v, c->in[1]->f32, w);
	if ((st = pare_conv_plan(c->k, &t->v, w, op_conv_bias(c), a, err)))
		return st;
	*packed = t;
	return PARE_OK;
}

/* Floats, kept at a multiple of a vector: what follows is aligned. */
static size_t aligned(size_t n)
{
	return (n + 15) / 16 * 16;
}

static size_t transpose_scratch(const struct pare_call *c)
{
	const struct transpose *p = c->packed;
	struct transpose t;

	if (p)
		return aligned(p->spread * c->lanes) * sizeof(float) +
		       pare_conv_scratch(c->k, &p->v);
	if (fit_transposed(c->attr, &c->in[0]->shape, &c->in[1]->shape, &t, NULL))
		return 0; /* shapes were checked: does not happen */
	return (aligned(t.spread) + aligned(t.weights)) * sizeof(float) +
	       op_conv_plain_scratch(&t.v);
}

static void transpose_forward(const struct pare_call *c)
{
	const struct transpose *t = c->packed;
	int64_t batch = c->in[0]->shape.d[0];
	size_t n = (size_t)pare_shape_elems(&c->out[0]->shape) * c->lanes;
	size_t in = (size_t)pare_shape_elems(&c->in[0]->shape) * c->lanes;
	struct pare_finish none = { NULL, -INFINITY, INFINITY };
	float *spread = c->scratch, *turned = NULL, *rest;
	struct transpose own;

	if (!t) {
		if (fit_transposed(c->attr, &c->in[0]->shape, &c->in[1]->shape, &own, NULL))
			return;
		t = &own;
		turned = spread + aligned(t->spread);
		turn_weights(&t->v, c->in[1]->f32, turned);
	}
	rest = turned ? turned + aligned(t->weights) : spread + aligned(t->spread * c->lanes);
	for (int64_t i = 0; i < batch; i++) {
		float *out = c->out[0]->f32 + n / batch * i;

		spread_input(t, c->lanes, c->in[0]->f32 + in / batch * i, spread);
		if (turned)
			op_conv_plain(&t->v, 1, spread, turned, op_conv_bias(c), out, rest);
		else
			pare_conv_run(c->k, &t->v, spread, out, &none, rest);
	}
	c->k->finish(c->out[0]->f32, c->out[0]->f32, n,
		&(struct pare_finish){
			c->after->add ? c->after->add->f32 : NULL, c->after->lo, c->after->hi });
}

static int64_t transpose_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *w = &c->in[1]->shape;

	return pare_shape_elems(&c->in[0]->shape) * pare_shape_span(w, 1, w->n);
}

static struct pare_weight_at transpose_weight(const struct pare_node *n, const void *attr)
{
	const struct op_conv *a = attr;

	return (struct pare_weight_at){ .input = 1,
		.bias = n->n_in > 2 && n->in[2] >= 0 ? 2 : -1,
		.out_axis = 1,
		.in_axis = 0,
		.groups = (int)a->group,
		.bias_at = 2 };
}

const struct pare_op pare_ops_convtranspose[] = {
	{ .name = "ConvTranspose",
		.since = 1,
		.min_in = 2,
		.max_in = 3,
		.attrs = transpose_attrs,
		.attr_size = sizeof(struct op_conv),
		.shape = transpose_shape,
		.forward = transpose_forward,
		.scratch = transpose_scratch,
		.prepare = transpose_prepare,
		.fuses = true,
		.plain = 1 << 1 | 1 << 2,
		.macs = transpose_macs,
		.weight = transpose_weight,
		.flow = PARE_FLOW_PRODUCE,
		.sample = "f32[1,4,5,3] f32[4,3,3,3]! f32[6]! group=2 strides=2,1 pads=1,0,0,1"
			  "|f32[1,3,4,4] f32[3,5,2,2]! strides=2,2 output_padding=1,0"
			  "|f32[1,2,3,4] f32[2,2,3,3]! strides=2,3 output_shape=6,13"
			  "|f32[1,2,7] f32[2,3,4]! strides=2 auto_pad=SAME_UPPER"
			  "|f32[1,2,3,2,4] f32[2,1,2,3,2]! dilations=1,2,1"
			  "|f32[1,2,7] f32[2,1,1]! strides=3 pads=2,0 output_padding=2" },
	{ 0 },
};
