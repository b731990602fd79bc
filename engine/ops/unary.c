/* Operators of one activation, element by element.  NaN goes through or becomes 0 where it does in
 * ONNX Runtime. */
#include "../run/kernels.h"
#include "curves.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Two numbers do for all of them. */
struct unary {
	float alpha, beta;
	const char *mode;
};
#define ALPHA(v)                                                                                   \
	{                                                                                          \
		"alpha", PARE_ATTR_FLOAT, offsetof(struct unary, alpha), v, 0                      \
	}
#define BETA(n, v)                                                                                 \
	{                                                                                          \
		n, PARE_ATTR_FLOAT, offsetof(struct unary, beta), v, 0                             \
	}
#define PARAMS(name, ...) static const struct pare_attr name##_attrs[] = { __VA_ARGS__, { 0 } };
PARAMS(leaky, ALPHA(0.01))
PARAMS(elu, ALPHA(1))
PARAMS(selu, ALPHA(1.67326319217681884765625), BETA("gamma", 1.05070102214813232421875))
PARAMS(hard_sigmoid, ALPHA(0.2), BETA("beta", 0.5))
PARAMS(threshold, ALPHA(1))
PARAMS(shrink, { "lambd", PARE_ATTR_FLOAT, offsetof(struct unary, alpha), 0.5, 0 }, BETA("bias", 0))
PARAMS(gelu, { "approximate", PARE_ATTR_STRING, offsetof(struct unary, mode), 0, 0 })

/* EXPR in x, alpha and beta, for float and, by the functions of the library, for double. */
#define UNARY_OF(hot, name, T, field, EXPR)                                                        \
	hot static void name##_##field(const struct unary *u, size_t n, const T *in, T *out)       \
	{                                                                                          \
		T alpha = u->alpha, beta = u->beta;                                                \
                                                                                                   \
		(void)alpha;                                                                       \
		(void)beta;                                                                        \
		for (size_t i = 0; i < n; i++) {                                                   \
			T x = in[i];                                                               \
			out[i] = EXPR;                                                             \
		}                                                                                  \
	}
#define UNARY(hot, name, F, D)                                                                     \
	UNARY_OF(hot, name, float, f32, F)                                                         \
	WITH_DOUBLE(name, D)
/* For float by a kernel. */
#define CURVE(name, which, D)                                                                      \
	static void name##_f32(const struct unary *u, size_t n, const float *in, float *out)       \
	{                                                                                          \
		(void)u;                                                                           \
		pare_kernels_best()->curve[which](in, out, n);                                     \
	}                                                                                          \
	WITH_DOUBLE(name, D)
#define WITH_DOUBLE(name, D)                                                                       \
	UNARY_OF(COLD, name, double, f64, D)                                                       \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		static const struct unary none;                                                    \
		const struct unary *u = c->attr ? c->attr : &none;                                 \
		size_t n = op_count(c->out[0]);                                                    \
                                                                                                   \
		if (c->out[0]->dtype == PARE_F64)                                                  \
			name##_f64(u, n, c->in[0]->f64, c->out[0]->f64);                           \
		else                                                                               \
			name##_f32(u, n, c->in[0]->f32, c->out[0]->f32);                           \
	}
#define BOTH(hot, name, EXPR) UNARY(hot, name, EXPR, EXPR)
#define COLD

/* min(max(x, 0), 1) that keeps NaN */
#define UNIT(x) ((x) < 0 ? 0 : (x) > 1 ? 1 : (x))

static float softplus(float x)
{
	return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
}

static double softplus_double(double x)
{
	return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static bool by_tanh(const struct unary *u)
{
	return u->mode && !strcmp(u->mode, "tanh");
}

/* Both forms written so that nothing cancels where the result is small. */
static float gelu(float x, bool by_tanh)
{
	if (by_tanh) /* (1 + tanh(u)) / 2 = logistic(2u) */
		return x * op_logistic(2 * 0.797884561f * (x + 0.044715f * x * x * x));
	return 0.5f * x * erfcf(-x * 0.707106781f);
}

static double gelu_double(double x, bool by_tanh)
{
	if (by_tanh)
		return x / (1 + exp(-2 * 0.79788456080286536 * (x + 0.044715 * x * x * x)));
	return 0.5 * x * erfc(-x * 0.70710678118654752);
}

BOTH(OP_HOT, leaky, x < 0 ? alpha * x : x)
BOTH(OP_HOT, hard_sigmoid, UNIT(alpha *x + beta))
UNARY(OP_HOT, hard_swish, x *UNIT(x *(1.f / 6) + 0.5f), x *UNIT(x *(1. / 6) + 0.5))
BOTH(OP_HOT, threshold, x > alpha ? x : 0)
UNARY(OP_HOT, softsign, x / (1 + fabsf(x)), x / (1 + fabs(x)))
UNARY(OP_HOT, square_root, sqrtf(x), sqrt(x))
BOTH(OP_HOT, reciprocal, 1 / x)
BOTH(OP_HOT, shrink, (x > alpha) ? x - beta : (-x > alpha) ? x + beta : 0)
UNARY(OP_HOT, elu, x < 0 ? alpha * (op_exp(x) - 1) : x, x < 0 ? alpha * expm1(x) : x)
UNARY(OP_HOT, celu, x < 0 ? alpha * (op_exp(x / alpha) - 1) : x,
	x < 0 ? alpha * expm1(x / alpha) : x)
UNARY(OP_HOT, selu, beta *(x <= 0 ? alpha * (op_exp(x) - 1) : x),
	beta *(x <= 0 ? alpha * expm1(x) : x))
UNARY(COLD, softplus, softplus(x), softplus_double(x))
UNARY(COLD, mish, x *tanhf(softplus(x)), x *tanh(softplus_double(x)))
UNARY(COLD, gelu, gelu(x, by_tanh(u)), gelu_double(x, by_tanh(u)))
CURVE(exponential, PARE_EXP, exp(x))
CURVE(sigmoid, PARE_LOGISTIC, 1 / (1 + exp(-x)))
CURVE(hyperbolic, PARE_TANH, tanh(x))
CURVE(error, PARE_ERF, erf(x))
#define LIBRARY(name, function) UNARY(COLD, name, function##f(x), function(x))
LIBRARY(logarithm, log)
LIBRARY(floor, floor)
LIBRARY(ceil, ceil)
LIBRARY(round, rint)
LIBRARY(sine, sin)
LIBRARY(cosine, cos)
LIBRARY(tangent, tan)
LIBRARY(arc_sine, asin)
LIBRARY(arc_cosine, acos)
LIBRARY(arc_tangent, atan)
LIBRARY(sinh, sinh)
LIBRARY(cosh, cosh)
LIBRARY(arc_sinh, asinh)
LIBRARY(arc_cosh, acosh)
LIBRARY(arc_tanh, atanh)

/* ---- of integers too ------------------------------------------------------------------------ */

#define EACH(D, T, EXPR)                                                                           \
	case PARE_##D:                                                                             \
		for (size_t i = 0; i < n; i++) {                                                   \
			T x = ((const T *)in)[i];                                                  \
			((T *)out)[i] = (T)(EXPR);                                                 \
		}                                                                                  \
		break;
#define NUMBERS(X, REAL, INT)                                                                      \
	X(F32, float, REAL)                                                                        \
	X(F64, double, REAL)                                                                       \
	X(I8, int8_t, INT)                                                                         \
	X(U8, uint8_t, INT)                                                                        \
	X(I16, int16_t, INT)                                                                       \
	X(U16, uint16_t, INT)                                                                      \
	X(I32, int32_t, INT)                                                                       \
	X(U32, uint32_t, INT)                                                                      \
	X(I64, int64_t, INT)                                                                       \
	X(U64, uint64_t, INT)
#define NUMERIC(hot, name, REAL, INT)                                                              \
	hot static void name##_forward(const struct pare_call *c)                                  \
	{                                                                                          \
		const void *in = c->in[0]->data;                                                   \
		void *out = c->out[0]->data;                                                       \
		size_t n = op_count(c->out[0]);                                                    \
                                                                                                   \
		switch (c->out[0]->dtype) {                                                        \
			NUMBERS(EACH, REAL, INT)                                                   \
		default:                                                                           \
			break;                                                                     \
		}                                                                                  \
	}
/* the lowest integer stays what it is, by way of unsigned arithmetic */
#define NEGATIVE (0 - (uint64_t)x)
NUMERIC(OP_HOT, relu, x < 0 ? 0 : x, x < 1 ? 0 : x)
NUMERIC(OP_HOT, absolute, x < 0 ? -x : x + 0, x < 1 ? NEGATIVE : (uint64_t)x)
NUMERIC(OP_HOT, negative, -x, NEGATIVE)
NUMERIC(COLD, sign, x > 0 ? 1 : x < 0 ? -1 : x, x > 0 ? 1 : x == 0 ? 0 : -1)

static void not_forward(const struct pare_call *c)
{
	for (size_t i = 0, n = op_count(c->out[0]); i < n; i++)
		c->out[0]->u8[i] = !c->in[0]->u8[i];
}

static void nan_forward(const struct pare_call *c)
{
	for (size_t i = 0, n = op_count(c->out[0]); i < n; i++) {
		double x = op_get(c->in[0], i);

		c->out[0]->u8[i] = x != x;
	}
}

/* Clip: bounds are inputs; integer types have bounds of their own type. */
OP_HOT static void clip_f32(const float *x, size_t n, float lo, float hi, float *out)
{
	for (size_t i = 0; i < n; i++) {
		float v = x[i] < lo ? lo : x[i];

		out[i] = v > hi ? hi : v;
	}
}

#define BOUND(D, T, EXPR)                                                                          \
	case PARE_##D: {                                                                           \
		const T *lo = low ? low->data : NULL, *hi = high ? high->data : NULL;              \
                                                                                                   \
		for (size_t i = 0; i < n; i++) {                                                   \
			T v = ((const T *)in)[i];                                                  \
                                                                                                   \
			v = lo && v < *lo ? *lo : v;                                               \
			((T *)out)[i] = hi && v > *hi ? *hi : v;                                   \
		}                                                                                  \
		break;                                                                             \
	}

static void clip_forward(const struct pare_call *c)
{
	const struct pare_tensor *low = op_given(c, 1) ? c->in[1] : NULL;
	const struct pare_tensor *high = op_given(c, 2) ? c->in[2] : NULL;
	const void *in = c->in[0]->data;
	void *out = c->out[0]->data;
	size_t n = op_count(c->out[0]);

	if (c->out[0]->dtype == PARE_F32) {
		clip_f32(in, n, low ? low->f32[0] : -INFINITY, high ? high->f32[0] : INFINITY, out);
		return;
	}
	switch (c->out[0]->dtype) {
		NUMBERS(BOUND, , )
	default:
		break;
	}
}

static bool relu_clamp(const struct pare_call *c, float *lo, float *hi)
{
	*lo = 0;
	*hi = INFINITY;
	return c->in[0]->dtype == PARE_F32;
}

static bool clip_clamp(const struct pare_call *c, float *lo, float *hi)
{
	float *bound[] = { NULL, lo, hi };

	*lo = -INFINITY;
	*hi = INFINITY;
	for (int i = 1; i < 3; i++)
		if (op_given(c, i)) {
			if (!c->in[i]->data)
				return false;
			*bound[i] = c->in[i]->f32[0];
		}
	return c->in[0]->dtype == PARE_F32 && *lo <= *hi;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static enum pare_status like(const struct pare_shape_call *c, unsigned set, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, set, err);

	return st ? st : pare_shape_same(c, err);
}

static enum pare_status shape_float(const struct pare_shape_call *c, struct pare_err *err)
{
	return like(c, OP_FLOATS, err);
}

static enum pare_status shape_number(const struct pare_shape_call *c, struct pare_err *err)
{
	return like(c, OP_NUMBERS, err);
}

static enum pare_status shape_not(const struct pare_shape_call *c, struct pare_err *err)
{
	return like(c, OP_T(PARE_BOOL), err);
}

static enum pare_status shape_nan(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = like(c, OP_REALS, err);

	c->out[0].dtype = PARE_BOOL;
	return st;
}

static enum pare_status shape_clip(const struct pare_shape_call *c, struct pare_err *err)
{
	for (int i = 1; i < 3; i++)
		if (op_has(c, i) && (pare_shape_elems(&c->in[i]->shape) != 1 ||
					    c->in[i]->dtype != c->in[0]->dtype))
			return pare_fail(err, PARE_E_FORMAT,
				"bound %d is not one number of the input's type", i);
	return shape_number(c, err);
}

/* The loader turns these into inputs, which no row's struct needs to hold. */
static const struct pare_attr clip_attrs[] = { { "min", PARE_ATTR_FLOAT, 0, -FLT_MAX, 1 },
	{ "max", PARE_ATTR_FLOAT, 0, FLT_MAX, 2 }, { 0 } };

/* clang-format off */
#define SMALL "f32[1,3,2,7]"
#define PLAIN(n, v, sh, fw, q)                                                                     \
	{ .name = n, .since = v, .min_in = 1, .max_in = 1, .shape = sh, .forward = fw,             \
	  .takes = OP_T(PARE_F64), .flow = PARE_FLOW_PASS, .apart = op_apart_tied, .quant = q, .sample = SMALL }
#define TUNED(n, v, at, fw, q)                                                                     \
	{ .name = n, .since = v, .min_in = 1, .max_in = 1, .attrs = at,                            \
	  .attr_size = sizeof(struct unary), .shape = shape_float, .forward = fw,                  \
	  .takes = OP_T(PARE_F64), .flow = PARE_FLOW_PASS, .apart = op_apart_tied, .quant = q, .sample = SMALL }
const struct pare_op pare_ops_unary[] = {
	{ .name = "Relu", .since = 6, .min_in = 1, .max_in = 1, .shape = shape_number,
	  .forward = relu_forward, .takes = OP_T(PARE_F64), .clamp = relu_clamp, .apart = op_apart_tied, .flow = PARE_FLOW_PASS,
	  .quant = PARE_Q_FUSE | PARE_Q_SAME_SCALE, .sample = SMALL },
	{ .name = "Clip", .since = 11, .min_in = 1, .max_in = 3, .attrs = clip_attrs,
	  .attr_size = sizeof(float), .shape = shape_clip, .forward = clip_forward,
	  .takes = OP_T(PARE_F64), .plain = 6, .clamp = clip_clamp, .apart = op_apart_tied,
	  .flow = PARE_FLOW_PASS, .quant = PARE_Q_FUSE | PARE_Q_SAME_SCALE,
	  .sample = "f32[1,3,2,7] f32=-0.5 f32=0.25" },
	TUNED("LeakyRelu", 6, leaky_attrs, leaky_forward, PARE_Q_FUSE | PARE_Q_STRETCHES),
	TUNED("HardSigmoid", 6, hard_sigmoid_attrs, hard_sigmoid_forward, PARE_Q_FUSE),
	PLAIN("HardSwish", 14, shape_float, hard_swish_forward, PARE_Q_FUSE),
	TUNED("ThresholdedRelu", 10, threshold_attrs, threshold_forward, 0),
	TUNED("Shrink", 9, shrink_attrs, shrink_forward, 0),
	TUNED("Elu", 6, elu_attrs, elu_forward, 0),
	TUNED("Celu", 12, elu_attrs, celu_forward, 0),
	TUNED("Selu", 6, selu_attrs, selu_forward, 0),
	TUNED("Gelu", 20, gelu_attrs, gelu_forward, 0),
	PLAIN("Sigmoid", 6, shape_float, sigmoid_forward, PARE_Q_FUSE),
	PLAIN("Tanh", 6, shape_float, hyperbolic_forward, PARE_Q_FUSE),
	PLAIN("Softplus", 1, shape_float, softplus_forward, 0),
	PLAIN("Softsign", 1, shape_float, softsign_forward, 0),
	PLAIN("Mish", 18, shape_float, mish_forward, 0),
	PLAIN("Abs", 6, shape_number, absolute_forward, 0),
	PLAIN("Neg", 6, shape_number, negative_forward, 0),
	PLAIN("Sign", 9, shape_number, sign_forward, 0),
	PLAIN("Exp", 6, shape_float, exponential_forward, 0),
	PLAIN("Log", 6, shape_float, logarithm_forward, 0),
	PLAIN("Sqrt", 6, shape_float, square_root_forward, 0),
	PLAIN("Reciprocal", 6, shape_float, reciprocal_forward, 0),
	PLAIN("Erf", 9, shape_float, error_forward, 0),
	PLAIN("Floor", 6, shape_float, floor_forward, 0),
	PLAIN("Ceil", 6, shape_float, ceil_forward, 0),
	PLAIN("Round", 11, shape_float, round_forward, 0),
	PLAIN("Sin", 7, shape_float, sine_forward, 0),
	PLAIN("Cos", 7, shape_float, cosine_forward, 0),
	PLAIN("Tan", 7, shape_float, tangent_forward, 0),
	PLAIN("Asin", 7, shape_float, arc_sine_forward, 0),
	PLAIN("Acos", 7, shape_float, arc_cosine_forward, 0),
	PLAIN("Atan", 7, shape_float, arc_tangent_forward, 0),
	PLAIN("Sinh", 9, shape_float, sinh_forward, 0),
	PLAIN("Cosh", 9, shape_float, cosh_forward, 0),
	PLAIN("Asinh", 9, shape_float, arc_sinh_forward, 0),
	PLAIN("Acosh", 9, shape_float, arc_cosh_forward, 0),
	PLAIN("Atanh", 9, shape_float, arc_tanh_forward, 0),
	{ .name = "Not", .since = 1, .min_in = 1, .max_in = 1, .shape = shape_not,
	  .forward = not_forward, .flow = PARE_FLOW_PASS, .sample = "bool[1,3,5]" },
	{ .name = "IsNaN", .since = 9, .min_in = 1, .max_in = 1, .shape = shape_nan,
	  .forward = nan_forward, .takes = OP_REALS, .flow = PARE_FLOW_PASS, .sample = SMALL },
	{ 0 } };
/* clang-format on */
