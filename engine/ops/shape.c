/* Operators that change what a tensor is called, not what is in it, and those that make one from
 * nothing but shapes. */
#include "../graph/model.h"
#include "kit.h"
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

struct reshape {
	int64_t allowzero, axis, start, end;
	struct pare_tensor value;
};
#define AT(f) offsetof(struct reshape, f)

static void copy_forward(const struct pare_call *c)
{
	memcpy(c->out[0]->data, c->in[0]->data, op_count(c->out[0]) * op_size(c->out[0]->dtype));
}

/* ---- new shapes for the same elements ------------------------------------------------------- */

static enum pare_status same_elems(const struct pare_shape_call *c, struct pare_err *err)
{
	char a[96], b[96];
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st && pare_shape_elems(&c->out[0].shape) != pare_shape_elems(&c->in[0]->shape))
		return pare_fail(err, PARE_E_FORMAT, "%s cannot become %s",
			pare_shape_text(&c->in[0]->shape, "x", a, sizeof a),
			pare_shape_text(&c->out[0].shape, "x", b, sizeof b));
	c->out[0].dtype = c->in[0]->dtype;
	return st;
}

static enum pare_status shape_reshape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct reshape *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	struct pare_shape *out = &c->out[0].shape;
	int free_axis = -1;
	int64_t known;
	enum pare_status st = pare_const_ints(c, 1, out->d, &out->n, err);

	if (st)
		return st;
	for (int k = 0; k < out->n; k++) {
		if (out->d[k] == 0 && !a->allowzero) {
			if (k >= x->n)
				return pare_fail(err, PARE_E_FORMAT,
					"axis %d of the new shape copies one that is not there", k);
			out->d[k] = x->d[k];
		} else if (out->d[k] == -1 && free_axis < 0) {
			free_axis = k;
			out->d[k] = 1;
		} else if (out->d[k] < 0) {
			return pare_fail(err, PARE_E_FORMAT, "axis %d of the new shape is %lld", k,
				(long long)out->d[k]);
		}
	}
	known = pare_shape_elems(out);
	if (free_axis >= 0 && known > 0)
		out->d[free_axis] = pare_shape_elems(x) / known;
	return same_elems(c, err);
}

static const struct pare_attr reshape_attrs[] = { { "allowzero", PARE_ATTR_INT, AT(allowzero), 0,
							  0 },
	{ "shape", PARE_ATTR_INTS, 0, 0, 1 }, { 0 } };

static enum pare_status shape_flatten(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct reshape *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int axis = x->n;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st && a->axis != x->n)
		st = pare_axis(a->axis, x->n, &axis, err);
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ 2,
		{ pare_shape_span(x, 0, axis), pare_shape_span(x, axis, x->n) } };
	return st;
}

static const struct pare_attr flatten_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), 1, 0 },
	{ 0 } };
static const struct pare_attr axes_attrs[] = { { "axes", PARE_ATTR_INTS, 0, 0, 1 }, { 0 } };

static enum pare_status shape_squeeze(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	struct pare_shape *out = &c->out[0].shape;
	int64_t axes[PARE_MAX_DIMS];
	int n = 0;
	unsigned set = 0;
	enum pare_status st = PARE_OK;

	if (op_has(c, 1)) {
		st = pare_const_ints(c, 1, axes, &n, err);
		if (!st && n)
			st = op_axes(axes, n, x->n, &set, err);
	}
	if (st)
		return st;
	out->n = 0;
	for (int k = 0; k < x->n; k++)
		if (n ? !(set & 1u << k) : x->d[k] != 1)
			out->d[out->n++] = x->d[k];
	return same_elems(c, err); /* an axis that is not 1 shows here */
}

static enum pare_status shape_unsqueeze(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	struct pare_shape *out = &c->out[0].shape;
	int64_t axes[PARE_MAX_DIMS];
	int n = 0, from = 0;
	unsigned set = 0;
	enum pare_status st = pare_const_ints(c, 1, axes, &n, err);

	if (!st && x->n + n > PARE_MAX_DIMS)
		st = pare_fail(err, PARE_E_UNSUPPORTED, "more than %d axes", PARE_MAX_DIMS);
	if (!st && n)
		st = op_axes(axes, n, x->n + n, &set, err);
	if (st)
		return st;
	out->n = x->n + n;
	for (int k = 0; k < out->n; k++)
		out->d[k] = set & 1u << k ? 1 : x->d[from++];
	return same_elems(c, err);
}

/* ---- the same ------------------------------------------------------------------------------- */

static bool is_false(const struct pare_known *k)
{
	return k->value && pare_shape_elems(&k->shape) == 1 && !k->value->u8[0];
}

static enum pare_status shape_dropout(const struct pare_shape_call *c, struct pare_err *err)
{
	bool drops = !op_has(c, 1) || !c->in[1]->value || op_scalar(c->in[1]->value) != 0;

	if (op_has(c, 2) && !is_false(c->in[2]) && drops)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is in training mode");
	if (c->n_out > 1) {
		c->out[1].dtype = PARE_BOOL;
		c->out[1].shape = c->in[0]->shape;
	}
	return pare_shape_same(c, err);
}

static void dropout_forward(const struct pare_call *c)
{
	copy_forward(c);
	if (c->n_out > 1 && c->out[1]) /* the mask: nothing is dropped */
		memset(c->out[1]->data, 1, op_count(c->out[1]));
}

static const struct pare_attr dropout_attrs[] = { { "ratio", PARE_ATTR_FLOAT, 0, 0.5, 1 },
	{ "seed", PARE_ATTR_INT, AT(start), 0, 0 }, { "is_test", PARE_ATTR_INT, AT(end), 1, 0 },
	{ 0 } };

static enum pare_status shape_identity(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	return st ? st : pare_shape_same(c, err);
}

/* ---- made from shapes ----------------------------------------------------------------------- */

/* One element for all lanes. */
static void fill_element(const struct pare_tensor *out, size_t i, const void *value)
{
	size_t size = op_size(out->dtype);

	for (size_t l = 0; l < (size_t)out->lanes; l++)
		memcpy(out->u8 + (i * (size_t)out->lanes + l) * size, value, size);
}

static const struct pare_attr shape_attrs[] = { { "start", PARE_ATTR_INT, AT(start), 0, 0 },
	{ "end", PARE_ATTR_INT, AT(end), INT_MAX, 0 }, { 0 } };

/* Which axes Shape tells: from, and how many. */
static int shape_part(const struct reshape *a, int rank, int *n)
{
	int64_t from = a->start < 0 ? a->start + rank : a->start;
	int64_t to = a->end < 0 ? a->end + rank : a->end;

	from = from < 0 ? 0 : from > rank ? rank : from;
	to = to < from ? from : to > rank ? rank : to;
	*n = (int)(to - from);
	return (int)from;
}

static enum pare_status shape_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	int n;

	(void)err;
	shape_part(c->attr, c->in[0]->shape.n, &n);
	c->out[0].dtype = PARE_I64;
	c->out[0].shape = (struct pare_shape){ 1, { n } };
	return PARE_OK;
}

static void shape_forward(const struct pare_call *c)
{
	int n, from = shape_part(c->attr, c->in[0]->shape.n, &n);

	for (int i = 0; i < n; i++)
		fill_element(c->out[0], (size_t)i, &c->in[0]->shape.d[from + i]);
}

static enum pare_status shape_size(const struct pare_shape_call *c, struct pare_err *err)
{
	(void)err;
	c->out[0].dtype = PARE_I64;
	c->out[0].shape = (struct pare_shape){ 0 };
	return PARE_OK;
}

static void size_forward(const struct pare_call *c)
{
	int64_t n = pare_shape_elems(&c->in[0]->shape);

	fill_element(c->out[0], 0, &n);
}

static const struct pare_attr fill_attrs[] = { { "value", PARE_ATTR_TENSOR, AT(value), 0, 0 },
	{ 0 } };

static enum pare_status shape_fill(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct reshape *a = c->attr;
	struct pare_shape *out = &c->out[0].shape;
	enum pare_status st = pare_const_ints(c, 0, out->d, &out->n, err);

	if (st)
		return st;
	c->out[0].dtype = a->value.data ? a->value.dtype : PARE_F32;
	if (a->value.data &&
		(pare_shape_elems(&a->value.shape) != 1 || !(OP_BYTES & OP_T(a->value.dtype))))
		return pare_fail(err, PARE_E_UNSUPPORTED, "its value is not one number");
	if (pare_shape_elems(out) < 0)
		return pare_fail(err, PARE_E_FORMAT, "a shape with negative or absurd sizes");
	return PARE_OK;
}

static enum pare_status
fill_in_float32(struct pare_node *n, struct pare_arena *a, struct pare_err *err)
{
	struct pare_tensor *v = &((struct reshape *)n->attr)->value;
	float *f;

	if (!v->data || !(OP_T(v->dtype) & OP_REALS) || pare_shape_elems(&v->shape) != 1)
		return PARE_OK;
	if (!(f = pare_alloc(a, sizeof *f)))
		return pare_nomem(err, "a constant");
	*f = (float)op_scalar(v);
	v->dtype = PARE_F32;
	v->f32 = f;
	return PARE_OK;
}

static void fill_forward(const struct pare_call *c)
{
	const struct reshape *a = c->attr;
	const float zero = 0;
	size_t n = (size_t)pare_shape_elems(&c->out[0]->shape);

	for (size_t i = 0; i < n; i++)
		fill_element(c->out[0], i, a->value.data ? a->value.data : &zero);
}

struct constant {
	struct pare_tensor value;
	float f;
	int64_t i;
	struct pare_floats floats;
	struct pare_ints ints;
};
#define CONST_AT(f) offsetof(struct constant, f)
static const struct pare_attr constant_attrs[] = { { "value", PARE_ATTR_TENSOR, CONST_AT(value), 0,
							   0 },
	{ "value_float", PARE_ATTR_FLOAT, CONST_AT(f), -FLT_MAX, 0 },
	{ "value_int", PARE_ATTR_INT, CONST_AT(i), -0x1p63, 0 },
	{ "value_floats", PARE_ATTR_FLOATS, CONST_AT(floats), 0, 0 },
	{ "value_ints", PARE_ATTR_INTS, CONST_AT(ints), 0, 0 }, { 0 } };

/* Whichever of the attributes is there. */
static struct pare_tensor constant_of(const struct constant *a)
{
	struct pare_tensor t = { PARE_UNDEFINED, 1, { 0 }, { NULL } };

	if (a->value.data)
		return a->value;
	if (a->floats.n) {
		t = (struct pare_tensor){ PARE_F32, 1, { 1, { a->floats.n } }, { a->floats.v } };
	} else if (a->ints.n) {
		t = (struct pare_tensor){ PARE_I64, 1, { 1, { a->ints.n } }, { a->ints.v } };
	} else if (a->i != INT64_MIN) {
		t.dtype = PARE_I64;
		t.data = (void *)&a->i;
	} else if (a->f != -FLT_MAX) {
		t.dtype = PARE_F32;
		t.data = (void *)&a->f;
	}
	return t;
}

static const char *refuse_constant(const struct pare_node *n, const void *attr)
{
	struct pare_tensor t = constant_of(attr);

	(void)n;
	return !t.data                    ? "its value is neither a tensor nor numbers"
	       : OP_BYTES & OP_T(t.dtype) ? NULL
					  : "its type";
}

static enum pare_status shape_constant(const struct pare_shape_call *c, struct pare_err *err)
{
	struct pare_tensor t = constant_of(c->attr);

	(void)err;
	c->out[0].dtype = t.dtype;
	c->out[0].shape = t.shape;
	return PARE_OK;
}

static void constant_forward(const struct pare_call *c)
{
	struct pare_tensor t = constant_of(c->attr);
	size_t n = (size_t)pare_shape_elems(&t.shape), size = op_size(t.dtype);

	for (size_t i = 0; i < n; i++)
		fill_element(c->out[0], i, t.u8 + i * size);
}

/* start, limit, delta */
static enum pare_status shape_range(const struct pare_shape_call *c, struct pare_err *err)
{
	double v[3], n;

	for (int i = 0; i < 3; i++) {
		enum pare_status st = op_types(
			c, i, OP_FLOATS | OP_T(PARE_I16) | OP_T(PARE_I32) | OP_T(PARE_I64), err);

		if (st)
			return st;
		if (!c->in[i]->value || pare_shape_elems(&c->in[i]->shape) != 1)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"input %d is computed while running; pare needs it constant", i);
		v[i] = op_scalar(c->in[i]->value);
	}
	n = ceil((v[1] - v[0]) / v[2]);
	if (!(n < 0x1p30)) /* step 0, NaN */
		return pare_fail(err, PARE_E_FORMAT, "a range without end");
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ 1, { n > 0 ? (int64_t)n : 0 } };
	return PARE_OK;
}

static void range_forward(const struct pare_call *c)
{
	double start = op_scalar(c->in[0]), delta = op_scalar(c->in[2]);
	int64_t n = c->out[0]->shape.d[0];

	for (int64_t i = 0; i < n; i++)
		for (int l = 0; l < c->out[0]->lanes; l++)
			op_put(c->out[0], (size_t)(i * c->out[0]->lanes + l),
				start + (double)i * delta);
}

/* clang-format off */
#define RENAMED(n, v, least, most, at, sh, ex, ...)                                                \
	{ .name = n, .since = v, .min_in = least, .max_in = most, .attrs = at,                     \
	  .attr_size = sizeof(struct reshape), .shape = sh, .forward = copy_forward, .plain = 2,   \
	  .flow = PARE_FLOW_SPREAD, .quant = PARE_Q_SAME_SCALE | PARE_Q_STRETCHES, .takes = OP_MOVED, \
	  .codes = op_codes_reshape, .renames = true,                                                               \
	  .sample = ex, __VA_ARGS__ }
const struct pare_op pare_ops_shape[] = {
	RENAMED("Reshape", 13, 2, 2, reshape_attrs, shape_reshape,
		"f32[1,3,2,5] i64{0,-1}|f32[1,3,2,5] i64{3,10}", .sizes = 2),
	RENAMED("Flatten", 13, 1, 1, flatten_attrs, shape_flatten, "f32[1,3,2,5]", ),
	RENAMED("Squeeze", 13, 1, 2, axes_attrs, shape_squeeze,
		"f32[1,3,1,1] i64{2,-1}|f32[1,3,1,2]"),
	RENAMED("Unsqueeze", 13, 2, 2, axes_attrs, shape_unsqueeze, "f32[1,3] i64{-1,2}"),
	{ .name = "Identity", .since = 1, .min_in = 1, .max_in = 1, .shape = shape_identity,
	  .forward = copy_forward, .flow = PARE_FLOW_PASS,
	  .quant = PARE_Q_SAME_SCALE, .alias = true, .takes = OP_MOVED, .sample = "f32[1,3,5]" },
	{ .name = "Dropout", .since = 12, .min_in = 1, .max_in = 3, .max_out = 2,
	  .attrs = dropout_attrs, .attr_size = sizeof(struct reshape), .shape = shape_dropout,
	  .forward = dropout_forward, .plain = 6, .flow = PARE_FLOW_PASS,
	  .quant = PARE_Q_SAME_SCALE, .alias = true, .takes = OP_MOVED, .sample = "f32[1,3,5]" },
	{ .name = "Shape", .since = 1, .min_in = 1, .max_in = 1, .attrs = shape_attrs,
	  .attr_size = sizeof(struct reshape), .shape = shape_shape, .forward = shape_forward,
	  .by_shape = true, .takes = OP_MOVED, .sample = "f32[1,3,5,2] start=1 end=-1" },
	{ .name = "Size", .since = 1, .min_in = 1, .max_in = 1, .shape = shape_size,
	  .forward = size_forward, .by_shape = true, .takes = OP_MOVED, .sample = "f32[1,3,5]" },
	{ .name = "ConstantOfShape", .since = 9, .min_in = 1, .max_in = 1, .attrs = fill_attrs,
	  .attr_size = sizeof(struct reshape), .in_float32 = fill_in_float32, .shape = shape_fill,
	  .forward = fill_forward,
	  .plain = 1, .sample = "i64{2,3}" },
	{ .name = "Constant", .since = 1, .min_in = 0, .max_in = 0, .attrs = constant_attrs,
	  .attr_size = sizeof(struct constant), .refuse = refuse_constant, .shape = shape_constant,
	  .forward = constant_forward, .sample = "value_floats=1,2.5" },
	{ .name = "Range", .since = 11, .min_in = 3, .max_in = 3, .shape = shape_range,
	  .forward = range_forward, .plain = 7,
	  .takes = OP_T(PARE_F64), .sample = "f32=1 f32=6 f32=2|i64=5 i64=0 i64=-2|i32=0 i32=0 i32=1" },
	{ 0 } };
/* clang-format on */
