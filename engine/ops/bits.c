/* Operators on bits, and tests on single numbers. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

struct bits {
	const char *direction;
	int64_t to, negative, positive;
};
#define AT(f) offsetof(struct bits, f)
static const struct pare_attr shift_attrs[] = {
	{ "direction", PARE_ATTR_STRING, AT(direction), 0, 0 }, { 0 }
};
static const struct pare_attr cast_attrs[] = { { "to", PARE_ATTR_INT, AT(to), 0, 0 }, { 0 } };
static const struct pare_attr inf_attrs[] = { { "detect_negative", PARE_ATTR_INT, AT(negative), 1,
						      0 },
	{ "detect_positive", PARE_ATTR_INT, AT(positive), 1, 0 }, { 0 } };
#define WHOLE (OP_SIGNED | OP_UNSIGNED)

static enum pare_status shape_pair(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, WHOLE, err);

	if (!st && c->in[1]->dtype != c->in[0]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "the inputs are of two types");
	return st ? st : pare_shape_elementwise(c, err);
}

/* Where element i of the output, its lane included, reads an input that broadcasts. */
static size_t reads(const struct pare_tensor *y, const struct pare_tensor *x, size_t i)
{
	size_t yl = (size_t)y->lanes, xl = (size_t)x->lanes, rest = i / yl, from = 0, step = 1;

	for (int k = 1; k <= x->shape.n; k++) {
		size_t d = (size_t)x->shape.d[x->shape.n - k];
		size_t at = rest % (size_t)y->shape.d[y->shape.n - k];

		rest /= (size_t)y->shape.d[y->shape.n - k];
		from += d == 1 ? 0 : at * step;
		step *= d;
	}
	return from * xl + (xl == 1 ? 0 : i % yl);
}

#define PAIR(name, EXPR)                                                                           \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		const struct pare_tensor *out = c->out[0];                                         \
		uint64_t bits = op_size(out->dtype) * 8;                                           \
                                                                                                   \
		for (size_t i = 0, n = op_count(out); i < n; i++) {                                \
			uint64_t x = (uint64_t)op_get_int(c->in[0], reads(out, c->in[0], i));      \
			uint64_t y = (uint64_t)op_get_int(c->in[1], reads(out, c->in[1], i));      \
                                                                                                   \
			(void)bits;                                                                \
			op_put_int(out, i, (int64_t)(EXPR));                                       \
		}                                                                                  \
	}
PAIR(bits_and, x &y)
PAIR(bits_or, x | y)
PAIR(bits_xor, x ^ y)
PAIR(shift_left, y >= bits ? 0 : x << y)

/* Signed numbers keep their sign. */
static uint64_t shifted_right(enum pare_dtype t, uint64_t x, uint64_t y, uint64_t bits)
{
	bool minus = (OP_T(t) & OP_SIGNED) && (int64_t)x < 0;

	if (y >= bits)
		return minus ? UINT64_MAX : 0;
	return minus ? ~(~x >> y) : x >> y;
}
PAIR(shift_right, shifted_right(out->dtype, x, y, bits))

static const char *refuse_shift(const struct pare_node *n, const void *attr)
{
	const struct bits *a = attr;

	(void)n;
	return op_word(a->direction, "", "LEFT") || op_word(a->direction, "", "RIGHT")
		       ? NULL
		       : "its direction";
}

static void shift_forward(const struct pare_call *c)
{
	const struct bits *a = c->attr;

	if (op_word(a->direction, "", "LEFT"))
		shift_left_forward(c);
	else
		shift_right_forward(c);
}

static enum pare_status shape_not(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, WHOLE, err);

	return st ? st : pare_shape_same(c, err);
}

static void bits_not_forward(const struct pare_call *c)
{
	for (size_t i = 0, n = op_count(c->out[0]) * op_size(c->out[0]->dtype); i < n; i++)
		c->out[0]->u8[i] = (uint8_t)~c->in[0]->u8[i];
}

static enum pare_status shape_cast(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct bits *a = c->attr;
	enum pare_dtype to = pare_dtype_from_onnx(a->to);
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st && !to)
		st = pare_fail(err, PARE_E_UNSUPPORTED, "the type that it casts to");
	if (!st && op_size(to) != op_size(c->in[0]->dtype))
		st = pare_fail(err, PARE_E_FORMAT, "the types are not equally wide");
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = to;
	return st;
}

static void cast_forward(const struct pare_call *c)
{
	memcpy(c->out[0]->data, c->in[0]->data, op_count(c->in[0]) * op_size(c->in[0]->dtype));
}

static enum pare_status shape_inf(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = PARE_BOOL;
	return st;
}

static void inf_forward(const struct pare_call *c)
{
	const struct bits *a = c->attr;

	for (size_t i = 0, n = op_count(c->in[0]); i < n; i++) {
		double x = op_get(c->in[0], i);

		c->out[0]->u8[i] =
			(a->positive && x == HUGE_VAL) || (a->negative && x == -HUGE_VAL);
	}
}

/* clang-format off */
#define BITS(n, v, in, at, sh, fw, ...)                                                            \
	{ .name = n, .since = v, .min_in = in, .max_in = in, .attrs = at,                          \
	  .attr_size = sizeof(struct bits), .shape = sh, .forward = fw, __VA_ARGS__ }
const struct pare_op pare_ops_bits[] = {
	BITS("BitShift", 11, 2, shift_attrs, shape_pair, shift_forward, .refuse = refuse_shift,
	     .mixed = true,
	     .sample = "u8[1,5] u8+[1,5] direction=LEFT|i64[1,3,2] i64+[2]! direction=RIGHT"),
	BITS("BitwiseAnd", 18, 2, NULL, shape_pair, bits_and_forward, .mixed = true,
	     .sample = "i32[1,3,2] i32[3,1]!"),
	BITS("BitwiseOr", 18, 2, NULL, shape_pair, bits_or_forward, .mixed = true,
	     .sample = "i32[1,3,2] i32[3,1]!"),
	BITS("BitwiseXor", 18, 2, NULL, shape_pair, bits_xor_forward, .mixed = true,
	     .sample = "i32[1,3,2] i32[3,1]!"),
	BITS("BitwiseNot", 18, 1, NULL, shape_not, bits_not_forward, .sample = "i32[1,5]"),
	BITS("BitCast", 26, 1, cast_attrs, shape_cast, cast_forward, .takes = OP_MOVED, .sample = "f32[1,5] to=6"),
	BITS("IsInf", 20, 1, inf_attrs, shape_inf, inf_forward, .flow = PARE_FLOW_PASS,
	     .takes = OP_REALS, .sample = "f32[1,5]"),
	{ 0 } };
/* clang-format on */
