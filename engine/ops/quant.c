/* Quantizers: q = clamp(round_half_even(x / scale) + zero, lo, hi) and x = (q - zero) * scale, by
 * one scale or one an index of an axis. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>

struct quant {
	int64_t axis, block_size, saturate, output_dtype, precision;
};
#define AT(f) offsetof(struct quant, f)
static const struct pare_attr quant_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), 1, 0 },
	{ "block_size", PARE_ATTR_INT, AT(block_size), 0, 0 },
	{ "saturate", PARE_ATTR_INT, AT(saturate), 1, 0 },
	{ "output_dtype", PARE_ATTR_INT, AT(output_dtype), 0, 0 },
	{ "precision", PARE_ATTR_INT, AT(precision), 0, 0 }, { 0 } };
#define QUANTIZED (OP_T(PARE_I8) | OP_T(PARE_U8) | OP_T(PARE_I16) | OP_T(PARE_U16) | OP_T(PARE_I32))

static const char *refuse_quant(const struct pare_node *n, const void *attr)
{
	const struct quant *a = attr;

	(void)n;
	return a->block_size      ? "scales by the block"
	       : a->output_dtype  ? "output_dtype"
	       : a->precision > 1 ? "precision"
				  : NULL;
}

static enum pare_status scales_fit(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct quant *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t n = pare_shape_elems(&c->in[1]->shape);
	int axis = 0;
	enum pare_status st = op_types(c, 1, OP_F32, err);

	if (!st && op_has(c, 2) && pare_shape_elems(&c->in[2]->shape) != n)
		st = pare_fail(err, PARE_E_FORMAT, "as many zero points as scales are needed");
	if (st || n == 1)
		return st;
	st = pare_axis(a->axis, x->n, &axis, err);
	if (!st && (c->in[1]->shape.n != 1 || x->d[axis] != n))
		st = pare_fail(
			err, PARE_E_FORMAT, "%lld scales do not fit axis %d", (long long)n, axis);
	return st;
}

static enum pare_status shape_quantize(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (!st && op_has(c, 2))
		st = op_types(c, 2, QUANTIZED & ~OP_T(PARE_I32), err);
	if (!st)
		st = scales_fit(c, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = op_has(c, 2) ? c->in[2]->dtype : PARE_U8;
	return st;
}

static enum pare_status shape_dequantize(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, QUANTIZED | OP_T(PARE_I4) | OP_T(PARE_U4), err);

	if (!st && op_has(c, 2) && c->in[2]->dtype != c->in[0]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "the zero point is not of the input's type");
	if (!st)
		st = scales_fit(c, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = PARE_F32;
	return st;
}

static float number(const struct pare_tensor *t, size_t i)
{
	switch (t->dtype) {
	case PARE_I8:
		return t->i8[i];
	case PARE_U8:
		return t->u8[i];
	case PARE_I16:
		return t->i16[i];
	case PARE_U16:
		return t->u16[i];
	case PARE_U4:
		return (float)(t->u8[i / 2] >> i % 2 * 4 & 15);
	case PARE_I4: /* the sign bit weighs -8 */
		return (float)((t->u8[i / 2] >> i % 2 * 4 & 15) ^ 8) - 8;
	default:
		return (float)t->i32[i];
	}
}

/* [outer][n][inner], scale i for index i of the middle; n 1 when there is but one. */
struct spans {
	size_t outer, n, inner;
};

static struct spans spans_of(const struct pare_call *c)
{
	const struct quant *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis;

	if (pare_shape_elems(&c->in[1]->shape) == 1)
		return (struct spans){ 1, 1, op_count(c->in[0]) };
	axis = op_axis(a->axis, s->n);
	return (struct spans){ op_span(s, 0, axis), (size_t)s->d[axis],
		op_span(s, axis + 1, s->n) * (size_t)c->in[0]->lanes };
}

static float zero_of(const struct pare_call *c, size_t i)
{
	return op_given(c, 2) ? number(c->in[2], i) : 0;
}

/* NaN becomes the zero point. */
static void quantize_run(
	const float *x, size_t n, float scale, float zero, const struct pare_tensor *out, size_t at)
{
	bool wide = out->dtype == PARE_I16 || out->dtype == PARE_U16;
	bool sign = out->dtype == PARE_I8 || out->dtype == PARE_I16;
	float hi = wide ? 65535 : 255, lo = 0;

	if (sign) {
		lo = wide ? -32768 : -128;
		hi += lo;
	}
	for (size_t i = 0; i < n; i++) {
		float q = rintf(x[i] / scale) + zero;
		int32_t v = (int32_t)(q != q ? zero : q < lo ? lo : q > hi ? hi : q);

		if (wide)
			out->u16[at + i] = (uint16_t)v;
		else
			out->u8[at + i] = (uint8_t)v;
	}
}

static void quantize_forward(const struct pare_call *c)
{
	struct spans s = spans_of(c);

	for (size_t o = 0; o < s.outer; o++)
		for (size_t i = 0; i < s.n; i++) {
			size_t at = (o * s.n + i) * s.inner;

			quantize_run(c->in[0]->f32 + at, s.inner, c->in[1]->f32[i], zero_of(c, i),
				c->out[0], at);
		}
}

static void dequantize_forward(const struct pare_call *c)
{
	struct spans s = spans_of(c);
	size_t at = 0;

	for (size_t o = 0; o < s.outer; o++)
		for (size_t i = 0; i < s.n; i++) {
			float scale = c->in[1]->f32[i], zero = zero_of(c, i);

			for (size_t j = 0; j < s.inner; j++, at++)
				c->out[0]->f32[at] = (number(c->in[0], at) - zero) * scale;
		}
}

/* clang-format off */
const struct pare_op pare_ops_quant[] = {
	{ .name = "QuantizeLinear", .since = 13, .min_in = 2, .max_in = 3, .attrs = quant_attrs,
	  .attr_size = sizeof(struct quant), .refuse = refuse_quant, .shape = shape_quantize,
	  .forward = quantize_forward, .plain = 6, .per_channel = 6, .flow = PARE_FLOW_PASS,
	  .sample = "f32[1,3,2,5] f32=0.01 i8=-3|f32[1,3,2,5] f32+[3]! u8+[3]! axis=1" },
	{ .name = "DequantizeLinear", .since = 13, .min_in = 2, .max_in = 3, .attrs = quant_attrs,
	  .attr_size = sizeof(struct quant), .refuse = refuse_quant, .shape = shape_dequantize,
	  .forward = dequantize_forward, .plain = 6, .per_channel = 6, .flow = PARE_FLOW_PASS,
	  .sample = "i8[1,3,2,5] f32=0.01 i8=-3|u8[1,3,5] f32+[3]! u8+[3]! axis=1" },
	{ 0 } };
/* clang-format on */
