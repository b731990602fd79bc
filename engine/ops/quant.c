/* Quantizers: q = clamp(round_half_even(x / scale) + zero, lo, hi) and x = (q - zero) * scale, by
 * one scale, one an index of an axis, or one a block of it.  Of 4- and 8-bit floats, q is the
 * nearest one to x / scale. */
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
#define PACKED_INTEGERS (OP_PACKED & ~OP_T(PARE_F4E2M1))
#define FLOAT_CODES ((OP_SMALL & ~OP_T(PARE_F8E8M0)) | OP_T(PARE_F4E2M1))
#define CODES                                                                                      \
	(OP_T(PARE_I8) | OP_T(PARE_U8) | OP_T(PARE_I16) | OP_T(PARE_U16) | PACKED_INTEGERS |       \
		FLOAT_CODES)

static const char *refuse_quant(const struct pare_node *n, const void *attr)
{
	const struct quant *a = attr;

	(void)n;
	if (a->block_size < 0)
		return "its block_size";
	return a->output_dtype && !pare_dtype_from_onnx(a->output_dtype) ? "output_dtype"
	       : a->precision > 1 && !(OP_T(pare_dtype_from_onnx(a->precision)) & OP_REALS)
		       ? "precision"
		       : NULL;
}

/* How scales lie over the input: [outer][n][inner], scale (o, i / block, j) for element (o, i, j);
 * `row` scales an outer index, `column` an inner one. */
struct spans {
	size_t outer, n, inner, block, row, column;
};

static enum pare_status spans_of(const struct quant *a, const struct pare_shape *x,
	const struct pare_shape *scale, struct spans *s, struct pare_err *err)
{
	int64_t n = pare_shape_elems(scale), blocks;
	int axis = 0;
	enum pare_status st;

	if (n == 1 && scale->n < 2) {
		*s = (struct spans){ 1, 1, (size_t)pare_shape_elems(x), 1, 0, 0 };
		return PARE_OK;
	}
	if ((st = pare_axis(a->axis, x->n, &axis, err)))
		return st;
	*s = (struct spans){ op_span(x, 0, axis), (size_t)x->d[axis], op_span(x, axis + 1, x->n), 1,
		0, 0 };
	if (scale->n == 1 && !a->block_size) {
		if (x->d[axis] != n)
			return pare_fail(err, PARE_E_FORMAT, "%lld scales do not fit axis %d",
				(long long)n, axis);
		return PARE_OK;
	}
	blocks = scale->n == x->n ? scale->d[axis] : 0;
	for (int k = 0; k < x->n && blocks > 0; k++)
		if (k != axis && scale->d[k] != x->d[k])
			blocks = 0;
	s->block = a->block_size ? (size_t)a->block_size
		   : blocks > 0  ? (size_t)((x->d[axis] + blocks - 1) / blocks)
				 : 0;
	if (blocks < 1 || (s->n + s->block - 1) / s->block != (size_t)blocks)
		return pare_fail(
			err, PARE_E_FORMAT, "the scales do not fit blocks of axis %d", axis);
	s->row = (size_t)blocks * s->inner;
	s->column = 1;
	return PARE_OK;
}

static enum pare_status scales_fit(const struct pare_shape_call *c, struct pare_err *err)
{
	struct spans s;
	enum pare_status st = op_types(c, 1, OP_REALS | OP_T(PARE_I32) | OP_T(PARE_F8E8M0), err);

	if (!st && op_has(c, 2) &&
		pare_shape_elems(&c->in[2]->shape) != pare_shape_elems(&c->in[1]->shape))
		st = pare_fail(err, PARE_E_FORMAT, "as many zero points as scales are needed");
	return st ? st : spans_of(c->attr, &c->in[0]->shape, &c->in[1]->shape, &s, err);
}

static enum pare_status shape_quantize(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct quant *a = c->attr;
	enum pare_status st = op_types(c, 0, OP_REALS | OP_T(PARE_I32), err);
	enum pare_dtype to = op_has(c, 2)      ? c->in[2]->dtype
			     : a->output_dtype ? pare_dtype_from_onnx(a->output_dtype)
					       : PARE_U8;

	if (!st && !(CODES & OP_T(to)))
		st = pare_fail(err, PARE_E_UNSUPPORTED, "quantizing to %s", pare_dtype_name(to));
	if (!st)
		st = scales_fit(c, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = to;
	return st;
}

static enum pare_status shape_dequantize(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct quant *a = c->attr;
	enum pare_status st = op_types(c, 0, CODES | OP_T(PARE_I32), err);
	enum pare_dtype to = a->output_dtype ? pare_dtype_from_onnx(a->output_dtype)
			     : OP_T(c->in[1]->dtype) & OP_REALS ? c->in[1]->dtype
								: PARE_F32;

	if (!st && op_has(c, 2) && c->in[2]->dtype != c->in[0]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "the zero point is not of the input's type");
	if (!st && !(OP_T(to) & OP_REALS))
		st = pare_fail(err, PARE_E_UNSUPPORTED, "output_dtype");
	if (!st)
		st = scales_fit(c, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = to;
	return st;
}

/* ---- running -------------------------------------------------------------------------------- */

/* `n` elements from place `at` on that share scale and zero point, or, with step 1, have their own
 * from number `k` on.  Lanes count as elements that share them. */
struct run {
	size_t at, n, k, step, lanes;
};
typedef void run_fn(const struct pare_call *c, const struct run *r);

static void each_run(const struct pare_call *c, run_fn *fn)
{
	size_t lanes = (size_t)c->in[0]->lanes;
	struct spans s;

	if (spans_of(c->attr, &c->in[0]->shape, &c->in[1]->shape, &s, NULL))
		return; /* shapes were checked: does not happen */
	for (size_t o = 0; o < s.outer; o++)
		for (size_t i = 0; i < s.n; i++) {
			struct run r = { (o * s.n + i) * s.inner * lanes, s.inner * lanes,
				o * s.row + i / s.block * (s.column ? s.inner : 1), s.column,
				lanes };

			fn(c, &r);
		}
}

static float zero_of(const struct pare_call *c, size_t k)
{
	return op_given(c, 2) ? (float)op_get(c->in[2], k) : 0;
}

/* What the type of codes holds. */
static void limits(enum pare_dtype t, float *lo, float *hi)
{
	bool sign = OP_T(t) & (OP_SIGNED | OP_T(PARE_I4) | OP_T(PARE_I2));

	*hi = ldexpf(1, (int)pare_dtype_bits(t) - sign) - 1;
	*lo = sign ? -*hi - 1 : 0;
}

/* NaN becomes the zero point. */
OP_HOT static void
quantize_bytes(const float *x, size_t n, float scale, float zero, float lo, float hi, uint8_t *out)
{
	for (size_t i = 0; i < n; i++) {
		float q = rintf(x[i] / scale) + zero;

		out[i] = (uint8_t)(int32_t)(q != q ? zero : q < lo ? lo : q > hi ? hi : q);
	}
}

static float quotient(const struct pare_call *c, size_t at, size_t k)
{
	const struct quant *a = c->attr;
	double q = op_get(c->in[0], at), scale = op_get(c->in[1], k);

	/* float16 divides as such */
	if (a->precision == 0 && c->in[0]->dtype == PARE_F16)
		return pare_f16_to_f32(pare_f32_to_f16((float)q / (float)scale));
	if (a->precision == 0 && c->in[0]->dtype == PARE_BF16)
		return pare_bf16_to_f32(pare_f32_to_bf16((float)q / (float)scale));
	return (float)q / (float)scale;
}

static void quantize_run(const struct pare_call *c, const struct run *r)
{
	const struct quant *a = c->attr;
	const struct pare_tensor *y = c->out[0];
	float lo, hi;

	limits(y->dtype, &lo, &hi);
	if (c->in[0]->dtype == PARE_F32 && c->in[1]->dtype == PARE_F32 && !r->step &&
		(y->dtype == PARE_U8 || y->dtype == PARE_I8)) {
		quantize_bytes(c->in[0]->f32 + r->at, r->n, c->in[1]->f32[r->k], zero_of(c, r->k),
			lo, hi, y->u8 + r->at);
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		size_t k = r->k + i / r->lanes * r->step;
		float zero = zero_of(c, k), q = quotient(c, r->at + i, k);

		if (OP_T(y->dtype) & FLOAT_CODES) {
			pare_bits_put(y->data, r->at + i, (unsigned)pare_dtype_bits(y->dtype),
				pare_f32_to_small(y->dtype, q, a->saturate != 0, PARE_NEAREST));
			continue;
		}
		q = rintf(q) + zero;
		op_put_int(y, r->at + i, (int64_t)(q != q ? zero : q < lo ? lo : q > hi ? hi : q));
	}
}

static void quantize_forward(const struct pare_call *c)
{
	each_run(c, quantize_run);
}

static void dequantize_run(const struct pare_call *c, const struct run *r)
{
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	float zero = zero_of(c, r->k), scale = (float)op_get(c->in[1], r->k);

	if (y->dtype == PARE_F32 && !r->step && x->dtype == PARE_U8) {
		for (size_t i = r->at; i < r->at + r->n; i++)
			y->f32[i] = ((float)x->u8[i] - zero) * scale;
	} else if (y->dtype == PARE_F32 && !r->step && x->dtype == PARE_I8) {
		for (size_t i = r->at; i < r->at + r->n; i++)
			y->f32[i] = ((float)x->i8[i] - zero) * scale;
	} else {
		for (size_t i = 0; i < r->n; i++) {
			size_t k = r->k + i / r->lanes * r->step;

			op_put(y, r->at + i,
				((float)op_get(x, r->at + i) - zero_of(c, k)) *
					(float)op_get(c->in[1], k));
		}
	}
}

static void dequantize_forward(const struct pare_call *c)
{
	each_run(c, dequantize_run);
}

/* Blocks of a matrix: its other axis counts channels, index by index. */
static bool codes_of_blocks(const struct pare_codes_call *g, const struct pare_tensor *scale,
	const struct pare_tensor *zero, struct pare_codes *x)
{
	const struct pare_shape *of = &g->c->in[0]->shape;
	struct spans s;
	float *scales;
	int *zeros, axis;

	if (of->n != 2 || spans_of(g->c->attr, of, &scale->shape, &s, NULL) || !s.column ||
		pare_axis(((const struct quant *)g->c->attr)->axis, 2, &axis, NULL) ||
		!op_codes_new(g->a, x, &scales, &zeros))
		return false;
	x->axis = 1 - axis;
	x->group = x->n == of->d[x->axis] ? 0 : (int64_t)s.block;
	for (int64_t i = 0, per = x->n / of->d[x->axis]; i < x->n; i++) {
		size_t at = (size_t)(axis ? i : i % per * of->d[1] + i / per);

		scales[i] = scale->f32[at];
		zeros[i] = zero ? (int)op_get(zero, at) : 0;
	}
	return true;
}

static bool codes_linear(const struct pare_codes_call *g, struct pare_codes *out)
{
	const struct pare_shape_call *c = g->c;
	const struct quant *a = c->attr;
	const struct pare_tensor *scale = op_has(c, 1) ? c->in[1]->value : NULL,
				 *zero = op_has(c, 2) ? c->in[2]->value : NULL;
	struct pare_codes x = { .axis = -1 };
	float *scales;
	int *zeros;

	if (!scale || scale->dtype != PARE_F32 || (op_has(c, 2) && !zero))
		return false;
	x.store = zero                                        ? zero->dtype
		  : c->node->op->coding == PARE_CODING_DECODE ? c->in[0]->dtype
		  : a->output_dtype ? pare_dtype_from_onnx(a->output_dtype)
				    : PARE_U8;
	x.n = pare_shape_elems(&scale->shape);
	if (x.n < 1 || !op_code_range(x.store, &x.lo, &x.hi) ||
		(zero && pare_shape_elems(&zero->shape) != x.n))
		return false;
	if (scale->shape.n > 1 || a->block_size) {
		*out = x;
		return codes_of_blocks(g, scale, zero, out);
	}
	if (x.n > 1 && pare_axis(a->axis, c->in[0]->shape.n, &x.axis, NULL))
		return false;
	if (!op_codes_new(g->a, &x, &scales, &zeros))
		return false;
	for (int64_t i = 0; i < x.n; i++) {
		scales[i] = scale->f32[i];
		zeros[i] = zero ? (int)op_get(zero, (size_t)i) : 0;
	}
	*out = x;
	return true;
}

/* clang-format off */
#define LINEAR(n, v, d, sh, fw, code, ex)                                                          \
	{ .name = n, .domain = d, .since = v, .min_in = 2, .max_in = 3, .attrs = quant_attrs,      \
	  .attr_size = sizeof(struct quant), .refuse = refuse_quant, .shape = sh, .forward = fw,   \
	  .takes = OP_REALS | OP_SMALL | OP_PACKED, .coding = code, .codes = codes_linear,         \
	  .plain = 6, .per_channel = 6, .flow = PARE_FLOW_PASS, .sample = ex }
#define QUANTIZE(v, d)                                                                             \
	LINEAR("QuantizeLinear", v, d, shape_quantize, quantize_forward, PARE_CODING_ENCODE,       \
	       "f32[1,3,2,5] f32=0.01 i8=-3|f32[1,3,2,5] f32+[3]! u8+[3]! axis=1|"                 \
	       "f32[1,3,4] f32+[1,3,2]! i8+[1,3,2]! axis=2 block_size=2")
#define DEQUANTIZE(v, d)                                                                           \
	LINEAR("DequantizeLinear", v, d, shape_dequantize, dequantize_forward, PARE_CODING_DECODE, \
	       "i8[1,3,2,5] f32=0.01 i8=-3|u8[1,3,5] f32+[3]! u8+[3]! axis=1|"                     \
	       "i8[1,4,3] f32+[1,2,3]! axis=1 block_size=2")
const struct pare_op pare_ops_quant[] = {
	QUANTIZE(13, NULL), DEQUANTIZE(13, NULL),
	/* ONNX Runtime's own, for types that ONNX had not yet */
	QUANTIZE(1, "com.microsoft"), DEQUANTIZE(1, "com.microsoft"),
	{ 0 } };
/* clang-format on */
