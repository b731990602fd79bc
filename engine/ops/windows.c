/* Operators that take windows of an image apart, or put them together again. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

struct windows {
	struct pare_ints kernel, strides, pads, dilations, axes;
};
#define AT(f) offsetof(struct windows, f)
static const struct pare_attr unpool_attrs[] = { { "kernel_shape", PARE_ATTR_INTS, AT(kernel), 0,
							 0 },
	{ "pads", PARE_ATTR_INTS, AT(pads), 0, 0 },
	{ "strides", PARE_ATTR_INTS, AT(strides), 0, 0 }, { 0 } };
static const struct pare_attr col_attrs[] = { { "dilations", PARE_ATTR_INTS, AT(dilations), 0, 0 },
	{ "pads", PARE_ATTR_INTS, AT(pads), 0, 0 },
	{ "strides", PARE_ATTR_INTS, AT(strides), 0, 0 }, { 0 } };
static const struct pare_attr crop_attrs[] = { { "axes", PARE_ATTR_INTS, AT(axes), 0, 0 }, { 0 } };

/* ---- MaxUnpool ------------------------------------------------------------------------------ */

static int64_t listed(const struct pare_ints *l, int i, int64_t preset)
{
	return l->n ? l->v[i] : preset;
}

/* What the pooling had before, as far as it can be told. */
static struct pare_shape unpooled(const struct windows *a, const struct pare_shape *x)
{
	struct pare_shape s = *x;
	int n = x->n - 2;

	for (int k = 0; k < n; k++)
		s.d[2 + k] = (x->d[2 + k] - 1) * listed(&a->strides, k, 1) + a->kernel.v[k] -
			     listed(&a->pads, k, 0) - listed(&a->pads, n + k, 0);
	return s;
}

static enum pare_status shape_unpool(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct windows *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	struct pare_shape *y = &c->out[0].shape;
	int64_t size[PARE_MAX_DIMS];
	int rank = x->n - 2, n = 0;
	bool fits = rank >= 1 && a->kernel.n == rank && (!a->strides.n || a->strides.n == rank) &&
		    (!a->pads.n || a->pads.n == 2 * rank) && pare_shape_equal(x, &c->in[1]->shape);
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = op_types(c, 1, OP_T(PARE_I64), err);
	if (!st && !fits)
		st = pare_fail(err, PARE_E_FORMAT, "indices, kernel, strides or pads do not fit");
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	*y = unpooled(a, x);
	for (int k = 2; k < y->n; k++)
		if (y->d[k] < 1 || y->d[k] > 1 << 30)
			return pare_fail(err, PARE_E_FORMAT, "axis %d becomes %lld long", k,
				(long long)y->d[k]);
	if (!op_has(c, 2))
		return PARE_OK;
	if ((st = pare_const_ints(c, 2, size, &n, err)))
		return st;
	for (int k = 0; k < y->n; k++) {
		if (n != y->n || size[k] < y->d[k])
			return pare_fail(err, PARE_E_FORMAT, "the output's shape is too small");
		y->d[k] = size[k];
	}
	return PARE_OK;
}

static void unpool_one(const struct pare_call *c)
{
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	struct pare_shape s = unpooled(c->attr, &x->shape);
	size_t n = op_count(x), size = op_size(x->dtype);
	int64_t total = pare_shape_elems(&s);

	memset(y->data, 0, op_count(y) * size);
	for (size_t i = 0; i < n; i++) {
		int64_t rest = c->in[1]->i64[i];
		size_t to = 0, step = 1;

		if (rest < 0 || rest >= total)
			continue;
		for (int k = s.n; k-- > 0; step *= (size_t)y->shape.d[k]) {
			to += (size_t)(rest % s.d[k]) * step;
			rest /= s.d[k];
		}
		memcpy(y->u8 + to * size, x->u8 + i * size, size);
	}
}
OP_BY_LANE(unpool)

/* ---- Col2Im --------------------------------------------------------------------------------- */

struct columns {
	int n;
	int64_t image[3], block[3], stride[3], pad[3], dilation[3], steps[3];
};

static enum pare_status columns_of(const struct windows *a, const int64_t *image, int n,
	const int64_t *block, int n_block, struct columns *p, struct pare_err *err)
{
	p->n = n;
	if (n < 1 || n > 3)
		return pare_fail(err, PARE_E_UNSUPPORTED, "1 to 3 spatial axes are supported");
	if (n_block != n || (a->strides.n && a->strides.n != n) ||
		(a->pads.n && a->pads.n != 2 * n) || (a->dilations.n && a->dilations.n != n))
		return pare_fail(
			err, PARE_E_FORMAT, "blocks, strides, pads or dilations do not fit");
	for (int k = 0; k < n; k++) {
		int64_t end = listed(&a->pads, n + k, 0), room;

		p->image[k] = image[k];
		p->block[k] = block[k];
		p->stride[k] = listed(&a->strides, k, 1);
		p->pad[k] = listed(&a->pads, k, 0);
		p->dilation[k] = listed(&a->dilations, k, 1);
		if (image[k] < 1 || block[k] < 1 || p->stride[k] < 1 || p->dilation[k] < 1 ||
			p->pad[k] < 0 || end < 0 || image[k] > 1 << 24 || block[k] > 1 << 12 ||
			p->dilation[k] > 1 << 12 || p->pad[k] > 1 << 12 || end > 1 << 12)
			return pare_fail(
				err, PARE_E_FORMAT, "a size of axis %d is out of range", k);
		room = image[k] + p->pad[k] + end - (block[k] - 1) * p->dilation[k] - 1;
		if (room < 0)
			return pare_fail(
				err, PARE_E_FORMAT, "a block does not fit into axis %d", k);
		p->steps[k] = room / p->stride[k] + 1;
	}
	return PARE_OK;
}

static enum pare_status shape_col(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t image[PARE_MAX_DIMS], block[PARE_MAX_DIMS], size = 1, steps = 1;
	int n = 0, n_block = 0;
	struct columns p;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st)
		st = pare_const_ints(c, 1, image, &n, err);
	if (!st)
		st = pare_const_ints(c, 2, block, &n_block, err);
	if (!st)
		st = columns_of(c->attr, image, n, block, n_block, &p, err);
	if (st)
		return st;
	for (int k = 0; k < n; k++) {
		size *= p.block[k];
		steps *= p.steps[k];
	}
	if (x->n != 3 || x->d[1] % size || x->d[2] != steps)
		return pare_fail(err, PARE_E_FORMAT, "the blocks do not fit the input");
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ 2 + n, { x->d[0], x->d[1] / size } };
	for (int k = 0; k < n; k++)
		c->out[0].shape.d[2 + k] = image[k];
	return PARE_OK;
}

/* Where element `e` of a block at step `s` lies in the image; -1: on the padding. */
static int64_t pixel_of(const struct columns *p, int64_t e, int64_t s)
{
	int64_t at = 0, step = 1;

	for (int k = p->n; k-- > 0; step *= p->image[k]) {
		int64_t i = s % p->steps[k] * p->stride[k] + e % p->block[k] * p->dilation[k] -
			    p->pad[k];

		s /= p->steps[k];
		e /= p->block[k];
		if (i < 0 || i >= p->image[k])
			return -1;
		at += i * step;
	}
	return at;
}

static void col_one(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0]->shape;
	int64_t image[PARE_MAX_DIMS], block[PARE_MAX_DIMS], size, plane;
	struct columns p;

	if (columns_of(c->attr, image, op_ints(c->in[1], image, PARE_MAX_DIMS), block,
		    op_ints(c->in[2], block, PARE_MAX_DIMS), &p, NULL))
		return; /* shapes were checked: does not happen */
	size = x->d[1] / y->d[1];
	plane = pare_shape_span(y, 2, y->n);
	memset(c->out[0]->data, 0, op_count(c->out[0]) * sizeof(float));
	for (int64_t i = 0; i < x->d[0] * x->d[1]; i++)
		for (int64_t s = 0; s < x->d[2]; s++) {
			int64_t at = pixel_of(&p, i % size, s);

			if (at >= 0)
				c->out[0]->f32[i / size * plane + at] +=
					c->in[0]->f32[i * x->d[2] + s];
		}
}
OP_BY_LANE(col)

/* ---- CenterCropPad -------------------------------------------------------------------------- */

static enum pare_status shape_crop(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct windows *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t size[PARE_MAX_DIMS];
	int n = 0;
	unsigned set;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = pare_const_ints(c, 1, size, &n, err);
	if (!st && n != (a->axes.n ? a->axes.n : x->n))
		st = pare_fail(err, PARE_E_FORMAT, "as many sizes as axes are needed");
	if (!st)
		st = op_axes(a->axes.v, a->axes.n, x->n, &set, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	for (int i = 0; i < n; i++) {
		if (size[i] < 0)
			return pare_fail(err, PARE_E_FORMAT, "a size below 0");
		c->out[0].shape.d[a->axes.n ? op_axis(a->axes.v[i], x->n) : i] = size[i];
	}
	return st;
}

static void crop_one(const struct pare_call *c)
{
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	size_t n = op_count(y), size = op_size(y->dtype);

	for (size_t i = 0; i < n; i++) {
		int64_t rest = (int64_t)i, from = 0, step = 1;
		bool inside = true;

		for (int k = y->shape.n; k-- > 0; step *= x->shape.d[k]) {
			int64_t was = x->shape.d[k], is = y->shape.d[k], at = rest % is;

			rest /= is;
			at += is < was ? (was - is) / 2 : -((is - was) / 2);
			inside = inside && at >= 0 && at < was;
			from += at * step;
		}
		if (inside)
			memcpy(y->u8 + i * size, x->u8 + (size_t)from * size, size);
		else
			memset(y->u8 + i * size, 0, size);
	}
}
OP_BY_LANE(crop)

/* ---- Det ------------------------------------------------------------------------------------ */

static enum pare_status shape_det(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st && (x->n < 2 || x->d[x->n - 1] != x->d[x->n - 2]))
		st = pare_fail(err, PARE_E_FORMAT, "the matrices are not square");
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].shape.n -= 2;
	return st;
}

/* Gauss, with the largest pivot of the column; m is used up. */
static double determinant(double *m, size_t n)
{
	double det = 1;

	for (size_t k = 0; k < n; k++) {
		size_t best = k;

		for (size_t i = k + 1; i < n; i++)
			best = fabs(m[i * n + k]) > fabs(m[best * n + k]) ? i : best;
		if (m[best * n + k] == 0)
			return 0;
		for (size_t j = 0; best != k && j < n; j++) {
			double t = m[k * n + j];

			m[k * n + j] = m[best * n + j];
			m[best * n + j] = t;
		}
		det *= best == k ? m[k * n + k] : -m[k * n + k];
		for (size_t i = k + 1; i < n; i++) {
			double f = m[i * n + k] / m[k * n + k];

			for (size_t j = k; j < n; j++)
				m[i * n + j] -= f * m[k * n + j];
		}
	}
	return det;
}

static size_t scratch_det(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape;

	return op_lanes_scratch(c) + op_span(x, x->n - 2, x->n) * sizeof(double);
}

static void det_one(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape;
	size_t n = (size_t)x->d[x->n - 1], matrices = op_span(x, 0, x->n - 2);
	double *m = c->scratch;

	for (size_t i = 0; i < matrices; i++) {
		for (size_t j = 0; j < n * n; j++)
			m[j] = c->in[0]->f32[i * n * n + j];
		c->out[0]->f32[i] = (float)determinant(m, n);
	}
}
OP_BY_LANE(det)

/* clang-format off */
#define WINDOWS(n, v, least, most, at, sh, fw, scr, ...)                                           \
	{ .name = n, .since = v, .min_in = least, .max_in = most, .attrs = at,                     \
	  .attr_size = sizeof(struct windows), .shape = sh, .forward = fw, .scratch = scr,         \
	  __VA_ARGS__ }
const struct pare_op pare_ops_windows[] = {
	WINDOWS("MaxUnpool", 11, 2, 3, unpool_attrs, shape_unpool, unpool_forward,
		op_lanes_scratch, .plain = 4,
		.takes = OP_MOVED, .sample = "f32[1,1,2,2] i64+[1,1,2,2] i64{1,1,5,5} kernel_shape=2,2 strides=2,2"),
	WINDOWS("Col2Im", 18, 3, 3, col_attrs, shape_col, col_forward, op_lanes_scratch,
		.plain = 6,
		.sample = "f32[1,4,12] i64{4,5} i64{2,2}|"
			  "f32[1,4,4] i64{3,3} i64{2,2} pads=1,1,0,0 strides=2,2"),
	WINDOWS("CenterCropPad", 18, 2, 2, crop_attrs, shape_crop, crop_forward,
		op_lanes_scratch, .plain = 2,
		.takes = OP_MOVED, .sample = "f32[1,5,4] i64{1,3,7}|f32[1,5,4] i64{3} axes=1"),
	WINDOWS("Det", 11, 1, 1, NULL, shape_det, det_forward, scratch_det,
		.sample = "f32[1,2,3,3]"),
	{ 0 } };
/* clang-format on */
