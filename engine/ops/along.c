/* Operators that walk along an axis, or place elements by where they stand. */
#include "../graph/model.h"
#include "kit.h"
#include <string.h>

struct along {
	int64_t axis, exclusive, reverse, upper, k, dtype, batch_axis, time_axis;
	const char *mode;
};
#define AT(f) offsetof(struct along, f)
static const struct pare_attr running_attrs[] = { { "exclusive", PARE_ATTR_INT, AT(exclusive), 0,
							  0 },
	{ "reverse", PARE_ATTR_INT, AT(reverse), 0, 0 }, { 0 } };
static const struct pare_attr trilu_attrs[] = { { "upper", PARE_ATTR_INT, AT(upper), 1, 0 },
	{ 0 } };
static const struct pare_attr eye_attrs[] = { { "k", PARE_ATTR_INT, AT(k), 0, 0 },
	{ "dtype", PARE_ATTR_INT, AT(dtype), 0, 0 }, { 0 } };
static const struct pare_attr one_hot_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), -1, 0 },
	{ 0 } };
static const struct pare_attr sequence_attrs[] = { { "batch_axis", PARE_ATTR_INT, AT(batch_axis), 1,
							   0 },
	{ "time_axis", PARE_ATTR_INT, AT(time_axis), 0, 0 }, { 0 } };
static const struct pare_attr scatter_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), -2, 0 },
	{ "mode", PARE_ATTR_STRING, AT(mode), 0, 0 }, { 0 } };

/* ---- CumSum, CumProd ------------------------------------------------------------------------ */

static enum pare_status shape_running(const struct pare_shape_call *c, struct pare_err *err)
{
	int64_t axis[1] = { 0 };
	int n = 0, at;
	enum pare_status st = op_types(c, 0, OP_NUMBERS | OP_REALS, err);

	if (!st)
		st = op_const_ints(c, 1, axis, 1, &n, err);
	if (!st)
		st = op_axis_of(c, n == 1 ? axis[0] : c->in[0]->shape.n, &at, err);
	return st ? st : pare_shape_same(c, err);
}

static void running(const struct pare_call *c, bool product)
{
	const struct along *a = c->attr;
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	int axis = op_axis(op_get_int(c->in[1], 0), x->shape.n);
	size_t n = (size_t)x->shape.d[axis], inner = op_span(&x->shape, axis + 1, x->shape.n);
	size_t outer = op_span(&x->shape, 0, axis);
	bool real = OP_T(x->dtype) & OP_REALS;

	for (size_t o = 0; o < outer * inner; o++) {
		uint64_t whole = product;
		double sum = product;

		for (size_t j = 0; j < n; j++) {
			size_t k = a->reverse ? n - 1 - j : j;
			size_t at = (o / inner * n + k) * inner + o % inner;
			uint64_t v = real ? 0 : (uint64_t)op_get_int(x, at);
			double r = real ? op_get(x, at) : 0, sum_was = sum;
			uint64_t whole_was = whole;

			sum = product ? sum * r : sum + r;
			whole = product ? whole * v : whole + v;
			if (real)
				op_put(y, at, a->exclusive ? sum_was : sum);
			else
				op_put_int(y, at, (int64_t)(a->exclusive ? whole_was : whole));
		}
	}
}

static void sum_one(const struct pare_call *c)
{
	running(c, false);
}
OP_BY_LANE(sum)

static void product_one(const struct pare_call *c)
{
	running(c, true);
}
OP_BY_LANE(product)

/* ---- Trilu, EyeLike ------------------------------------------------------------------------- */

static enum pare_status shape_trilu(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st && op_has(c, 1))
		st = op_types(c, 1, OP_T(PARE_I64), err);
	if (!st && c->in[0]->shape.n < 2)
		st = pare_fail(err, PARE_E_FORMAT, "a triangle needs two axes");
	return st ? st : pare_shape_same(c, err);
}

static void trilu_one(const struct pare_call *c)
{
	const struct along *a = c->attr;
	const struct pare_tensor *x = c->in[0];
	int64_t k = op_given(c, 1) ? c->in[1]->i64[0] : 0, n = x->shape.d[x->shape.n - 1];
	int64_t rows = x->shape.d[x->shape.n - 2];
	size_t size = op_size(x->dtype), total = op_count(x);

	for (size_t i = 0; i < total; i++) {
		int64_t column = (int64_t)i % n, row = (int64_t)i / n % rows;
		bool kept = a->upper ? column - row >= k : column - row <= k;

		if (kept)
			memcpy(c->out[0]->u8 + i * size, x->u8 + i * size, size);
		else
			memset(c->out[0]->u8 + i * size, 0, size);
	}
}
OP_BY_LANE(trilu)

static const char *refuse_eye(const struct pare_node *n, const void *attr)
{
	const struct along *a = attr;

	(void)n;
	return a->dtype && !pare_dtype_from_onnx(a->dtype) ? "its type" : NULL;
}

static enum pare_status shape_eye(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct along *a = c->attr;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st && c->in[0]->shape.n != 2)
		st = pare_fail(err, PARE_E_FORMAT, "the input must have two axes");
	if (st)
		return st;
	st = pare_shape_same(c, err);
	if (a->dtype)
		c->out[0].dtype = pare_dtype_from_onnx(a->dtype);
	return st;
}

static void eye_forward(const struct pare_call *c)
{
	const struct along *a = c->attr;
	const struct pare_tensor *y = c->out[0];
	size_t lanes = (size_t)y->lanes, n = (size_t)pare_shape_elems(&y->shape);

	for (size_t i = 0; i < n * lanes; i++) {
		int64_t row = (int64_t)(i / lanes) / y->shape.d[1];
		int64_t column = (int64_t)(i / lanes) % y->shape.d[1];

		op_put(y, i, column - row == a->k);
	}
}

/* ---- OneHot --------------------------------------------------------------------------------- */

static enum pare_status shape_one_hot(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct along *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	struct pare_shape *out = &c->out[0].shape;
	int axis = 0;
	double depth;
	enum pare_status st = op_types(c, 0, OP_NUMBERS | OP_REALS, err);

	if (!st)
		st = op_types(c, 1, OP_NUMBERS | OP_REALS, err);
	if (!st)
		st = op_types(c, 2, OP_BYTES, err);
	if (!st)
		st = op_known(c, 1, err);
	if (!st)
		st = pare_axis(a->axis, x->n + 1, &axis, err);
	if (st)
		return st;
	if (pare_shape_elems(&c->in[1]->shape) != 1 || pare_shape_elems(&c->in[2]->shape) != 2)
		return pare_fail(err, PARE_E_FORMAT, "depth must be one number, values two");
	depth = op_get(c->in[1]->value, 0);
	if (!(depth >= 0 && depth <= 1 << 30))
		return pare_fail(err, PARE_E_FORMAT, "a depth of %g", depth);
	if (x->n == PARE_MAX_DIMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than %d axes", PARE_MAX_DIMS);
	out->n = x->n + 1;
	for (int k = 0; k < out->n; k++)
		out->d[k] = k < axis ? x->d[k] : k > axis ? x->d[k - 1] : (int64_t)depth;
	c->out[0].dtype = c->in[2]->dtype;
	return PARE_OK;
}

static void one_hot_one(const struct pare_call *c)
{
	const struct along *a = c->attr;
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	int axis = op_axis(a->axis, y->shape.n);
	size_t depth = (size_t)y->shape.d[axis], inner = op_span(&y->shape, axis + 1, y->shape.n);
	size_t size = op_size(y->dtype), n = op_count(y);

	for (size_t i = 0; i < n; i++) {
		double v = op_get(x, i / (inner * depth) * inner + i % inner);
		size_t at = i / inner % depth;
		bool on = (v < 0 ? v + (double)depth : v) == (double)at;

		memcpy(y->u8 + i * size, c->in[2]->u8 + (on ? size : 0), size);
	}
}
OP_BY_LANE(one_hot)

/* ---- ReverseSequence, TensorScatter --------------------------------------------------------- */

static enum pare_status shape_sequence(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct along *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = op_types(c, 1, OP_T(PARE_I64), err);
	if (!st && (x->n < 2 || a->batch_axis < 0 || a->batch_axis > 1 || a->time_axis < 0 ||
			   a->time_axis > 1 || a->batch_axis == a->time_axis ||
			   pare_shape_elems(&c->in[1]->shape) != x->d[a->batch_axis]))
		st = pare_fail(err, PARE_E_FORMAT, "axes or lengths do not fit the input");
	return st ? st : pare_shape_same(c, err);
}

static void sequence_one(const struct pare_call *c)
{
	const struct along *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	size_t unit = op_span(x, 2, x->n) * op_size(c->in[0]->dtype);

	for (int64_t i = 0; i < x->d[0] * x->d[1]; i++) {
		int64_t at[] = { i / x->d[1], i % x->d[1] }, t = at[a->time_axis];
		int64_t len = c->in[1]->i64[at[a->batch_axis]], from = t;

		len = len > x->d[a->time_axis] ? x->d[a->time_axis] : len;
		if (t < len)
			from = len - 1 - t;
		at[a->time_axis] = from;
		memcpy(c->out[0]->u8 + (size_t)i * unit,
			c->in[0]->u8 + (size_t)(at[0] * x->d[1] + at[1]) * unit, unit);
	}
}
OP_BY_LANE(sequence)

static enum pare_status shape_tensor_scatter(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct along *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *u = &c->in[1]->shape;
	int axis = 0;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);
	bool fits;

	if (!st)
		st = op_axis_of(c, a->axis, &axis, err);
	if (st)
		return st;
	fits = axis > 0 && u->n == x->n && c->in[1]->dtype == c->in[0]->dtype;
	for (int k = 0; fits && k < x->n; k++)
		fits = k == axis ? u->d[k] <= x->d[k] : u->d[k] == x->d[k];
	if (!fits || (op_has(c, 2) && (c->in[2]->dtype != PARE_I64 ||
					      pare_shape_elems(&c->in[2]->shape) != x->d[0])))
		return pare_fail(err, PARE_E_FORMAT, "the update does not fit the cache");
	return pare_shape_same(c, err);
}

static void tensor_scatter_one(const struct pare_call *c)
{
	const struct along *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *u = &c->in[1]->shape;
	int axis = op_axis(a->axis, x->n);
	size_t outer = op_span(x, 0, axis), batch = op_span(x, 1, axis);
	size_t unit = op_span(x, axis + 1, x->n) * op_size(c->in[0]->dtype);
	bool circular = op_word(a->mode, "linear", "circular");

	memcpy(c->out[0]->data, c->in[0]->data, op_count(c->in[0]) * op_size(c->in[0]->dtype));
	for (size_t o = 0; o < outer; o++)
		for (int64_t t = 0; t < u->d[axis]; t++) {
			int64_t to = (op_given(c, 2) ? c->in[2]->i64[o / batch] : 0) + t;

			to = circular && to >= 0 ? to % x->d[axis] : to;
			if (to >= 0 && to < x->d[axis])
				memcpy(c->out[0]->u8 + (o * (size_t)x->d[axis] + (size_t)to) * unit,
					c->in[1]->u8 + (o * (size_t)u->d[axis] + (size_t)t) * unit,
					unit);
		}
}
OP_BY_LANE(tensor_scatter)

/* clang-format off */
#define ALONG(n, v, least, most, at, sh, fw, ...)                                                  \
	{ .name = n, .since = v, .min_in = least, .max_in = most, .attrs = at,                     \
	  .attr_size = sizeof(struct along), .shape = sh, .forward = fw,                           \
	  .scratch = op_lanes_scratch, __VA_ARGS__ }
const struct pare_op pare_ops_along[] = {
	ALONG("CumSum", 14, 2, 2, running_attrs, shape_running, sum_forward, .plain = 2,
	      .takes = OP_REALS, .sample = "f32[1,3,4] i64=1|i64[1,5] i32=-1 exclusive=1 reverse=1"),
	ALONG("CumProd", 26, 2, 2, running_attrs, shape_running, product_forward, .plain = 2,
	      .takes = OP_REALS, .sample = "f32[1,3,4] i64=1 reverse=1|i64[1,5] i64=-1"),
	ALONG("Trilu", 14, 1, 2, trilu_attrs, shape_trilu, trilu_forward,
	      .takes = OP_MOVED, .sample = "f32[1,3,4] i64=1|i64[1,4,4] upper=0"),
	ALONG("EyeLike", 9, 1, 1, eye_attrs, shape_eye, eye_forward, .refuse = refuse_eye,
	      .by_shape = true, .takes = OP_MOVED, .sample = "f32[3,4] k=1|f32[3,3] dtype=7"),
	ALONG("OneHot", 11, 3, 3, one_hot_attrs, shape_one_hot, one_hot_forward,
	      .takes = OP_MOVED, .sample = "i64[1,3] i64=4 f32{0,1}|i64[1,3] f32=5 i64{-1,2} axis=1"),
	ALONG("ReverseSequence", 10, 2, 2, sequence_attrs, shape_sequence, sequence_forward,
	      .takes = OP_MOVED, .sample = "f32[4,2,3] i64+[2]|f32[1,5] i64{3} batch_axis=0 time_axis=1"),
	ALONG("TensorScatter", 24, 2, 3, scatter_attrs, shape_tensor_scatter,
	      tensor_scatter_forward,
	      .takes = OP_MOVED, .sample = "f32[1,2,4,3] f32[1,2,2,3] i64{1}|"
			"f32[1,4,3] f32[1,2,3] i64{3} mode=circular"),
	{ 0 } };
/* clang-format on */
