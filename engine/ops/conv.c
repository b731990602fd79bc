/* Conv.  X [N, C, spatial…], W [O, C/groups, kernel…], B [O]; 1 to 3 spatial axes. */
#include "conv.h"
#include "../graph/model.h"
#include <cblas.h>
#include <string.h>

static const struct pare_attr conv_attrs[] = {
	{ "auto_pad", PARE_ATTR_STRING, offsetof(struct op_conv, auto_pad), 0, 0 },
	{ "dilations", PARE_ATTR_INTS, offsetof(struct op_conv, dilations), 0, 0 },
	{ "group", PARE_ATTR_INT, offsetof(struct op_conv, group), 1, 0 },
	{ "kernel_shape", PARE_ATTR_INTS, offsetof(struct op_conv, kernel), 0, 0 },
	{ "pads", PARE_ATTR_INTS, offsetof(struct op_conv, pads), 0, 0 },
	{ "strides", PARE_ATTR_INTS, offsetof(struct op_conv, strides), 0, 0 },
	{ 0 },
};

enum pare_status op_conv_fit(const struct op_conv *a, const struct pare_shape *x,
	const struct pare_shape *w, struct pare_conv *v, struct pare_err *err)
{
	struct pare_shape edges = *w; /* the kernel's are those of the weight, named or not */
	struct pare_ints kernel = { w->n - 2, edges.d + 2 };
	int64_t in = 1, out = 1;
	struct op_window o;
	enum pare_status st;

	if (w->n != x->n || x->n < 3)
		return pare_fail(err, PARE_E_FORMAT, "input has %d axes, weight %d", x->n, w->n);
	st = op_window_find(
		&o, x, &kernel, &a->strides, &a->dilations, &a->pads, a->auto_pad, false, err);
	if (st)
		return st;
	if (a->group < 1 || x->d[1] < 1 || x->d[1] != w->d[1] * a->group || w->d[0] % a->group ||
		w->d[0] < 1 || x->d[1] > OP_CONV_CHANNELS || w->d[0] > OP_CONV_CHANNELS)
		return pare_fail(err, PARE_E_FORMAT,
			"input has %lld channels, weight %lld by %lld in %lld groups",
			(long long)x->d[1], (long long)w->d[0], (long long)w->d[1],
			(long long)a->group);
	if (pare_shape_elems(w) < 0 || pare_shape_span(w, 1, w->n) > OP_CONV_TERMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 terms in a sum");
	*v = (struct pare_conv){
		.groups = (int)a->group, .c = (int)w->d[1], .o = (int)(w->d[0] / a->group)
	};
	for (int i = 0; i < 3; i++) {
		if (o.in[i] < 1)
			return pare_fail(err, PARE_E_FORMAT, "input has an empty axis");
		if (o.in[i] > OP_CONV_PIXELS / in || o.out[i] > OP_CONV_PIXELS / out)
			return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 pixels");
		in *= o.in[i];
		out *= o.out[i];
		v->in[i] = (int)o.in[i];
		v->out[i] = (int)o.out[i];
		v->kernel[i] = (int)o.kernel[i];
		v->stride[i] = (int)o.stride[i];
		v->dilation[i] = (int)o.dilation[i];
		v->pad[i] = (int)o.pad[i];
	}
	return PARE_OK;
}

static enum pare_status conv_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape, *w = &c->in[1]->shape;
	struct pare_conv v;
	enum pare_status st;

	if (c->in[0]->dtype != PARE_F32 || c->in[1]->dtype != PARE_F32)
		return pare_fail(err, PARE_E_UNSUPPORTED, "only float32 can run");
	if ((st = op_conv_fit(c->attr, x, w, &v, err)))
		return st;
	if (c->n_in > 2 && c->in[2] &&
		(c->in[2]->dtype != PARE_F32 || pare_shape_elems(&c->in[2]->shape) != w->d[0]))
		return pare_fail(err, PARE_E_FORMAT, "the bias must be %lld float32 values",
			(long long)w->d[0]);
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = *x;
	c->out[0].shape.d[1] = w->d[0];
	for (int i = 2; i < x->n; i++)
		c->out[0].shape.d[i] = v.out[3 - x->n + i];
	return PARE_OK;
}

/* ---- what has no plan: columns of windows, then a matrix product
 * ---------------------------
 */

enum { COLUMN_BYTES = 1 << 20 };

static bool is_plain_product(const struct pare_conv *v)
{
	for (int i = 0; i < 3; i++)
		if (v->kernel[i] != 1 || v->stride[i] != 1 || v->pad[i] || v->in[i] != v->out[i])
			return false;
	return true;
}

struct op_columns op_conv_columns(const struct pare_conv *v)
{
	int64_t k = (int64_t)v->c * v->kernel[0] * v->kernel[1] * v->kernel[2];
	int64_t pixels = (int64_t)v->out[0] * v->out[1] * v->out[2];
	int64_t most = COLUMN_BYTES / (int64_t)sizeof(float) / k;

	most = most < 16 ? 16 : most;
	return (struct op_columns){ (int)k, (int)(pixels < most ? pixels : most) };
}

/* Row (c, d, h, w) of the columns for output pixels from <= p < from + n. */
static void
fill_row(const struct pare_conv *v, const float *x, const int at[3], int from, int n, float *to)
{
	int ox = from % v->out[2], oy = from / v->out[2] % v->out[1];
	int oz = from / v->out[2] / v->out[1];

	for (int i = 0; i < n;) { /* a row of outputs at a time */
		int z = oz * v->stride[0] - v->pad[0] + at[0] * v->dilation[0];
		int y = oy * v->stride[1] - v->pad[1] + at[1] * v->dilation[1];
		int c = ox * v->stride[2] - v->pad[2] + at[2] * v->dilation[2];
		int end = v->out[2] - ox < n - i ? i + v->out[2] - ox : n;
		bool there = z >= 0 && z < v->in[0] && y >= 0 && y < v->in[1];
		const float *row = there ? x + ((size_t)z * v->in[1] + y) * v->in[2] : NULL;

		for (; i < end; i++, c += v->stride[2])
			to[i] = row && c >= 0 && c < v->in[2] ? row[c] : 0;
		ox = 0;
		if (++oy == v->out[1]) {
			oy = 0;
			oz++;
		}
	}
}

void op_conv_fill(const struct pare_conv *v, const float *x, int from, int n, float *to)
{
	size_t area = (size_t)v->in[0] * v->in[1] * v->in[2];
	int at[3];

	for (int c = 0; c < v->c; c++, x += area)
		for (at[0] = 0; at[0] < v->kernel[0]; at[0]++)
			for (at[1] = 0; at[1] < v->kernel[1]; at[1]++)
				for (at[2] = 0; at[2] < v->kernel[2]; at[2]++, to += n)
					fill_row(v, x, at, from, n, to);
}

/* One group of one sample: out [o][pixels]. */
static void group_forward(const struct pare_conv *v, const float *x, const float *w,
	const float *bias, float *out, float *scratch)
{
	struct op_columns m = op_conv_columns(v);
	int pixels = v->out[0] * v->out[1] * v->out[2];

	for (int o = 0; o < v->o; o++)
		for (int p = 0; p < pixels; p++)
			out[(size_t)o * pixels + p] = bias ? bias[o] : 0;
	if (is_plain_product(v)) {
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, v->o, pixels, m.k, 1, w, m.k,
			x, pixels, 1, out, pixels);
		return;
	}
	for (int p = 0; p < pixels; p += m.p) {
		int n = pixels - p < m.p ? pixels - p : m.p;

		op_conv_fill(v, x, p, n, scratch);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, v->o, n, m.k, 1, w, m.k,
			scratch, n, 1, out + p, pixels);
	}
}

void op_conv_plain(const struct pare_conv *v, int64_t n, const float *x, const float *w,
	const float *bias, float *out, float *scratch)
{
	size_t in_size = (size_t)v->c * v->in[0] * v->in[1] * v->in[2];
	size_t out_size = (size_t)v->o * v->out[0] * v->out[1] * v->out[2];
	size_t w_size = (size_t)v->o * v->c * v->kernel[0] * v->kernel[1] * v->kernel[2];

	for (int64_t i = 0; i < n * v->groups; i++) {
		size_t g = (size_t)(i % v->groups);

		group_forward(v, x + (size_t)i * in_size, w + g * w_size,
			bias ? bias + g * v->o : NULL, out + (size_t)i * out_size, scratch);
	}
}

size_t op_conv_plain_scratch(const struct pare_conv *v)
{
	struct op_columns m = op_conv_columns(v);

	return is_plain_product(v) ? 0 : (size_t)m.k * m.p * sizeof(float);
}

/* ---- windows: what each output is a sum over ----------------------------------------------------
 */

static bool conv_windows(const struct pare_call *c, struct pare_windows *w)
{
	struct pare_conv v;
	int64_t pixels;

	if (op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, &v, NULL) ||
		c->in[0]->shape.d[0] != 1)
		return false;
	pixels = (int64_t)v.out[0] * v.out[1] * v.out[2];
	*w = (struct pare_windows){ v.groups, v.o, op_conv_columns(&v).k, pixels, pixels, 1,
		false };
	return true;
}

/* Row (channel, at) of the windows: to[n][lanes]. */
static void unfold_row(const struct pare_conv *v, const float *x, const int at[3], int64_t from,
	int64_t n, int lanes, float *to)
{
	size_t bytes = (size_t)lanes * sizeof(float);

	for (int64_t p = from; p < from + n;) {
		int row = (int)(p / v->out[2]), ox = (int)(p % v->out[2]);
		int y = row % v->out[1] * v->stride[1] - v->pad[1] + at[1] * v->dilation[1];
		int z = row / v->out[1] * v->stride[0] - v->pad[0] + at[0] * v->dilation[0];
		bool there = z >= 0 && z < v->in[0] && y >= 0 && y < v->in[1];
		const float *line = x + ((int64_t)z * v->in[1] + y) * v->in[2] * lanes;

		for (; ox < v->out[2] && p < from + n; ox++, p++, to += lanes) {
			int i = ox * v->stride[2] - v->pad[2] + at[2] * v->dilation[2];

			if (there && i >= 0 && i < v->in[2])
				memcpy(to, line + (int64_t)i * lanes, bytes);
			else
				memset(to, 0, bytes);
		}
	}
}

static void conv_unfold(const struct pare_call *c, int group, int64_t from, int64_t n, float *to)
{
	struct pare_conv v;
	int at[3];
	size_t area;
	const float *x;

	if (op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, &v, NULL))
		return; /* shapes were checked: does not happen */
	area = (size_t)v.in[0] * v.in[1] * v.in[2] * c->lanes;
	x = c->in[0]->f32 + (size_t)group * v.c * area;
	for (int i = 0; i < v.c; i++, x += area)
		for (at[0] = 0; at[0] < v.kernel[0]; at[0]++)
			for (at[1] = 0; at[1] < v.kernel[1]; at[1]++)
				for (at[2] = 0; at[2] < v.kernel[2]; at[2]++, to += n * c->lanes)
					unfold_row(&v, x, at, from, n, c->lanes, to);
}

/* ---- Conv --------------------------------------------------------------------------------------
 */

static bool conv_conv(const struct pare_call *c, struct pare_conv *v)
{
	if (!c->in[1]->data || (op_given(c, 2) && !c->in[2]->data) || c->in[0]->shape.d[0] != 1 ||
		op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, v, NULL))
		return false;
	v->w = c->in[1]->f32;
	v->bias = op_conv_bias(c);
	return true;
}

static enum pare_status conv_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	struct pare_conv *v;
	enum pare_status st;

	if (!c->in[1]->data || (op_given(c, 2) && !c->in[2]->data))
		return PARE_OK; /* weights that are not constant */
	if (!(v = pare_alloc(a, sizeof *v)))
		return pare_nomem(err, "a convolution");
	st = op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, v, err);
	if (!st && c->lanes == 1) {
		st = pare_wide_plan(c->k, v, c->in[1]->f32, op_conv_bias(c), a, err);
		if (st == PARE_E_UNSUPPORTED)
			return PARE_OK; /* rows too long for it */
	} else if (!st)
		st = pare_conv_plan(c->k, v, c->in[1]->f32, op_conv_bias(c), a, err);
	if (!st)
		*packed = v;
	return st;
}

static size_t conv_scratch(const struct pare_call *c)
{
	struct pare_conv v;

	if (c->packed)
		return pare_conv_scratch(c->k, c->packed);
	if (op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, &v, NULL))
		return 0; /* shapes were checked: does not happen */
	return op_conv_plain_scratch(&v);
}

static void conv_forward(const struct pare_call *c)
{
	struct pare_finish f = { c->after->add ? c->after->add->f32 : NULL, c->after->lo,
		c->after->hi };
	size_t n = (size_t)pare_shape_elems(&c->out[0]->shape);
	struct pare_conv v;

	if (!c->packed) {
		if (op_conv_fit(c->attr, &c->in[0]->shape, &c->in[1]->shape, &v, NULL))
			return;
		op_conv_plain(&v, c->in[0]->shape.d[0], c->in[0]->f32, c->in[1]->f32,
			op_conv_bias(c), c->out[0]->f32, c->scratch);
		c->k->finish(c->out[0]->f32, c->out[0]->f32, n, &f);
		return;
	}
	for (int64_t i = 0, batch = c->in[0]->shape.d[0]; i < batch; i++) {
		size_t x = (size_t)pare_shape_elems(&c->in[0]->shape) / batch * c->lanes;
		size_t y = n / batch * c->lanes;
		struct pare_finish g = { f.add ? f.add + i * y : NULL, f.lo, f.hi };

		pare_conv_run(c->k, c->packed, c->in[0]->f32 + i * x, c->out[0]->f32 + i * y, &g,
			c->scratch);
	}
}

static int64_t conv_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *w = &c->in[1]->shape;

	return pare_shape_elems(&c->out[0].shape) * pare_shape_span(w, 1, w->n);
}

static struct pare_weight_at conv_weight(const struct pare_node *n, const void *attr)
{
	const struct op_conv *a = attr;

	return (struct pare_weight_at){ .input = 1,
		.bias = n->n_in > 2 && n->in[2] >= 0 ? 2 : -1,
		.out_axis = 0,
		.in_axis = 1,
		.groups = (int)a->group,
		.bias_at = 2 };
}

/* A list of the spatial axes as it was along one of them, `other` along the other. */
static bool keep_axis(struct pare_ints *l, int axis, int64_t other, struct pare_arena *a)
{
	l->v = l->n ? pare_memdup(a, l->v, (size_t)l->n * sizeof *l->v) : NULL;
	for (int i = 0; i < l->n && l->v; i++)
		l->v[i] = i % 2 == axis ? l->v[i] : other;
	return !l->n || l->v;
}

/* The attributes of both. */
static bool factor_attrs(const struct op_conv *was, struct pare_factors *f, struct pare_arena *a)
{
	for (int i = 0; i < 2; i++) {
		struct op_conv *k = f->attr[i] = pare_memdup(a, was, sizeof *was);
		int n = f->weight[i].n - 2;

		if (!k)
			return false;
		if (f->space &&
			(!keep_axis(&k->strides, i, 1, a) || !keep_axis(&k->dilations, i, 1, a) ||
				!keep_axis(&k->pads, i, 0, a)))
			return false;
		if (!f->space && i)
			*k = (struct op_conv){ .group = 1 };
		k->kernel.n = n;
		k->kernel.v = pare_memdup(a, f->weight[i].d + 2, (size_t)n * sizeof *k->kernel.v);
		if (!k->kernel.v)
			return false;
	}
	return true;
}

static enum pare_status conv_factor(const struct pare_shape_call *c, struct pare_arena *a,
	struct pare_factors *f, struct pare_err *err)
{
	const struct op_conv *was = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *w = &c->in[1]->shape, *y = &c->out[0].shape;

	if (was->group != 1)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it does not mix all of its channels");
	if (f->space && (w->n != 4 || w->d[2] < 2 || w->d[3] < 2))
		return pare_fail(err, PARE_E_UNSUPPORTED, "its kernel does not have two edges");
	f->weight[0] = f->weight[1] = *w;
	f->weight[0].d[0] = f->weight[1].d[1] = f->rank;
	for (int i = 2; i < w->n; i++)
		f->weight[!f->space || i == 2].d[i] = 1;
	f->places = f->space ? y->d[2] * x->d[3] : pare_shape_span(y, 2, y->n);
	if (!a || factor_attrs(was, f, a))
		return PARE_OK;
	return pare_nomem(err, "a layer in two");
}

const struct pare_op pare_ops_conv[] = {
	{ .name = "Conv",
		.since = 1,
		.min_in = 2,
		.max_in = 3,
		.attrs = conv_attrs,
		.attr_size = sizeof(struct op_conv),
		.shape = conv_shape,
		.forward = conv_forward,
		.scratch = conv_scratch,
		.prepare = conv_prepare,
		.conv = conv_conv,
		.fuses = true,
		.plain = 1 << 1 | 1 << 2,
		.macs = conv_macs,
		.weight = conv_weight,
		.windows = conv_windows,
		.unfold = conv_unfold,
		.factor = conv_factor,
		.flow = PARE_FLOW_PRODUCE,
		.sample = "f32[1,4,6,5] f32[6,2,3,3]! f32[6]! group=2 pads=1,0,1,2 strides=1,2"
			  "|f32[1,9,12,11] f32[8,9,3,3]! f32[8]! pads=1,1,1,1"
			  "|f32[1,5,9,9] f32[5,1,3,3]! group=5 auto_pad=SAME_UPPER strides=2,2"
			  "|f32[1,6,7,5] f32[4,6,1,1]! f32[4]!"
			  "|f32[1,3,20] f32[4,3,5]! f32[4]! dilations=2 pads=4,0"
			  "|f32[1,2,5,6,4] f32[3,2,2,3,3]! strides=1,2,1 auto_pad=SAME_LOWER"
			  "|f32[1,3,4,4] f32[7,3,4,4]!" },
	{ 0 },
};
