/* Operators of several inputs with numpy broadcasting.  The lane is one more trailing axis, of size
 * 1 for constants beside activations of a batched run. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

enum { DIMS = PARE_MAX_DIMS + 1 };

/* Axes of the output, joined where all inputs allow it; steps in elements, innermost 0 or 1. */
struct spread {
	int n, n_in;
	size_t d[DIMS], s[3][DIMS];
};

static void spread_find(struct spread *s, const struct pare_tensor *out, int n_in,
	const struct pare_tensor *const *in)
{
	size_t step[3][DIMS], d;
	int n = out->shape.n + 1; /* the last one is the lane */

	for (int i = 0; i < n_in; i++) {
		size_t run = 1;

		for (int k = n; k-- > 0;) {
			int j = k - (out->shape.n - in[i]->shape.n);
			size_t have = k == n - 1 ? (size_t)in[i]->lanes
				      : j >= 0   ? (size_t)in[i]->shape.d[j]
						 : 1;

			step[i][k] = have == 1 ? 0 : run;
			run *= have;
		}
	}
	s->n = 0;
	s->n_in = n_in;
	for (int k = 0; k < n; k++) {
		bool join = s->n > 0;

		d = (size_t)(k == n - 1 ? out->lanes : out->shape.d[k]);
		if (d == 1)
			continue;
		for (int i = 0; i < n_in; i++)
			join = join && s->s[i][s->n - 1] == step[i][k] * d;
		if (!join)
			s->d[s->n++] = 1;
		s->d[s->n - 1] *= d;
		for (int i = 0; i < n_in; i++)
			s->s[i][s->n - 1] = step[i][k];
	}
}

/* On to the next index of axes 0..top: p[i] are the inputs' places.  False after the last. */
static bool spread_next(const struct spread *s, int top, size_t at[DIMS], size_t p[3])
{
	for (int k = top; k >= 0; k--) {
		bool wrap = ++at[k] == s->d[k];

		for (int i = 0; i < s->n_in; i++)
			p[i] += s->s[i][k] - (wrap ? s->s[i][k] * s->d[k] : 0);
		if (!wrap)
			return true;
		at[k] = 0;
	}
	return false;
}

/* Two innermost axes at once, so that a short one (the lanes) does not cost a call an element. */
struct loop {
	size_t n0, n1;         /* outer, inner */
	size_t a0, a1, b0, b1; /* steps; a1, b1 are 0 or 1 */
};
typedef void kernel_fn(const struct loop *l, void *out, const void *a, const void *b);

static void run_kernel(kernel_fn *fn, const struct pare_tensor *out, const struct pare_tensor *a,
	const struct pare_tensor *b)
{
	const struct pare_tensor *in[] = { a, b };
	struct spread s;
	size_t at[DIMS] = { 0 }, p[3] = { 0 }, out_size = op_size(out->dtype);
	size_t size = op_size(a->dtype);
	char *o = out->data;
	struct loop l = { 1, 1, 0, 0, 0, 0 };

	if (!op_count(out))
		return;
	spread_find(&s, out, 2, in);
	if (s.n > 0) {
		l.n1 = s.d[s.n - 1];
		l.a1 = s.s[0][s.n - 1];
		l.b1 = s.s[1][s.n - 1];
	}
	if (s.n > 1) {
		l.n0 = s.d[s.n - 2];
		l.a0 = s.s[0][s.n - 2];
		l.b0 = s.s[1][s.n - 2];
	}
	do {
		fn(&l, o, a->u8 + p[0] * size, b->u8 + p[1] * size);
		o += l.n0 * l.n1 * out_size;
	} while (spread_next(&s, s.n - 3, at, p));
}

/* ---- kernels -------------------------------------------------------------------------------- */

/* EXPR in x and y.  Three loops, so that each can be vectorized. */
#define KERNEL(hot, name, T, R, EXPR)                                                              \
	hot static void name(const struct loop *l, void *out, const void *pa, const void *pb)      \
	{                                                                                          \
		const T *a = pa, *b = pb;                                                          \
		R *o = out;                                                                        \
		size_t n = l->n1;                                                                  \
                                                                                                   \
		for (size_t j = 0; j < l->n0; j++, a += l->a0, b += l->b0, o += n) {               \
			if (l->a1 && l->b1)                                                        \
				for (size_t i = 0; i < n; i++) {                                   \
					T x = a[i], y = b[i];                                      \
					o[i] = (R)(EXPR);                                          \
				}                                                                  \
			else if (l->a1)                                                            \
				for (size_t i = 0; i < n; i++) {                                   \
					T x = a[i], y = *b;                                        \
					o[i] = (R)(EXPR);                                          \
				}                                                                  \
			else                                                                       \
				for (size_t i = 0; i < n; i++) {                                   \
					T x = *a, y = b[i * l->b1];                                \
					o[i] = (R)(EXPR);                                          \
				}                                                                  \
		}                                                                                  \
	}
#define COLD
#define INTEGERS(X, ...)                                                                           \
	X(I8, int8_t, __VA_ARGS__)                                                                 \
	X(U8, uint8_t, __VA_ARGS__)                                                                \
	X(I16, int16_t, __VA_ARGS__)                                                               \
	X(U16, uint16_t, __VA_ARGS__)                                                              \
	X(I32, int32_t, __VA_ARGS__)                                                               \
	X(U32, uint32_t, __VA_ARGS__)                                                              \
	X(I64, int64_t, __VA_ARGS__)                                                               \
	X(U64, uint64_t, __VA_ARGS__)

#define ARITH_INT(D, T, name, EXPR) KERNEL(COLD, name##_##D, T, T, EXPR)
#define TEST_INT(D, T, name, EXPR) KERNEL(COLD, name##_##D, T, uint8_t, EXPR)
#define ENTRY(D, T, name) [PARE_##D] = name##_##D,

/* T is the element's type inside EXPR; float and double share one, integers have their own. */
#define ARITH(name, REAL, INT)                                                                     \
	KERNEL(OP_HOT, name##_F32, float, float, REAL)                                             \
	KERNEL(COLD, name##_F64, double, double, REAL)                                             \
	INTEGERS(ARITH_INT, name, INT)                                                             \
	static kernel_fn *const name[PARE_BOOL + 1] = {                                            \
		[PARE_F32] = name##_F32, [PARE_F64] = name##_F64, INTEGERS(ENTRY, name)            \
	};
#define TEST(name, EXPR)                                                                           \
	KERNEL(OP_HOT, name##_F32, float, uint8_t, EXPR)                                           \
	KERNEL(COLD, name##_F64, double, uint8_t, EXPR)                                            \
	INTEGERS(TEST_INT, name, EXPR)                                                             \
	static kernel_fn *const name[PARE_BOOL + 1] = { [PARE_F32] = name##_F32,                   \
		[PARE_F64] = name##_F64,                                                           \
		INTEGERS(ENTRY, name)[PARE_BOOL] = name##_U8 };
#define LOGIC(name, EXPR)                                                                          \
	KERNEL(COLD, name##_BOOL, uint8_t, uint8_t, EXPR)                                          \
	static kernel_fn *const name[PARE_BOOL + 1] = { [PARE_BOOL] = name##_BOOL };

/* Integers wrap around, as in ONNX Runtime, by way of unsigned arithmetic. */
#define WRAP(op) ((uint64_t)x op(uint64_t) y)

/* Division by zero has no right answer: 0 is at least no trap, and neither is the lowest by -1. */
static int64_t divide(int64_t x, int64_t y)
{
	return y == 0 ? 0 : y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static int64_t remainder_of(int64_t x, int64_t y)
{
	return y == 0 || y == -1 ? 0 : x % y;
}

/* The sign of the divisor, as in Python. */
static int64_t modulo(int64_t x, int64_t y)
{
	int64_t r = remainder_of(x, y);

	return r && (r < 0) != (y < 0) ? r + y : r;
}

static double modulo_real(double x, double y)
{
	double r = fmod(x, y);

	return r == 0 ? copysign(r, y) : (r < 0) != (y < 0) ? r + y : r;
}

KERNEL(COLD, power_F32, float, float, y == 2 ? x * x : powf(x, y))

ARITH(add, x + y, WRAP(+))
ARITH(sub, x - y, WRAP(-))
ARITH(mul, x *y, WRAP(*))
/* 64-bit unsigned above 2^63 divide as such */
#define DIVIDE                                                                                     \
	(sizeof x == 8 && x > 0 && y > 0 ? (int64_t)((uint64_t)x / (uint64_t)y)                    \
					 : divide((int64_t)x, (int64_t)y))
ARITH(quotient, x / y, DIVIDE)
ARITH(fmod_rest, fmod(x, y), remainder_of((int64_t)x, (int64_t)y))
ARITH(floor_rest, modulo_real(x, y), modulo((int64_t)x, (int64_t)y))
/* NaN goes through from either side */
ARITH(lesser, x < y || x != x ? x : y, x < y ? x : y)
ARITH(larger, x > y || x != x ? x : y, x > y ? x : y)
ARITH(prelu, x < 0 ? x * y : x, x < 1 ? WRAP(*) : (uint64_t)x)
TEST(equal, x == y)
TEST(greater, x > y)
TEST(less, x < y)
TEST(greater_equal, x >= y)
TEST(less_equal, x <= y)
LOGIC(both, x &&y)
LOGIC(either, x || y)
LOGIC(one_of, !x != !y)

/* ---- forward -------------------------------------------------------------------------------- */

/* Before opset 7, `axis` said where in the first input the second one lies. */
enum { BEHIND = INT32_MIN }; /* not said: at its end, as numpy has it */
struct pair {
	int64_t axis, broadcast, fmod;
};
#define AT(f) offsetof(struct pair, f)
static const struct pare_attr pair_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), BEHIND, 0 },
	{ "broadcast", PARE_ATTR_INT, AT(broadcast), 0, 0 }, { 0 } };

/* Shape `b` where `axis` puts it in `a`. */
static enum pare_status
put_at(int64_t axis, const struct pare_shape *a, struct pare_shape *b, struct pare_err *err)
{
	int at = 0;
	enum pare_status st;

	if (axis == BEHIND || !b->n)
		return PARE_OK;
	if ((st = pare_axis(axis, a->n, &at, err)))
		return st;
	if (at + b->n > a->n)
		return pare_fail(err, PARE_E_FORMAT, "input 1 does not fit in at axis %d", at);
	while (at + b->n < a->n)
		b->d[b->n++] = 1;
	return PARE_OK;
}

static void binary(const struct pare_call *c, kernel_fn *const *kernels)
{
	const struct pair *p = c->attr;
	struct pare_tensor b = *c->in[1];

	if (put_at(p->axis, &c->in[0]->shape, &b.shape, NULL))
		return; /* shapes were checked: does not happen */
	run_kernel(kernels[c->in[0]->dtype], c->out[0], c->in[0], &b);
}

/* Of any number of inputs, from the left. */
static void fold(const struct pare_call *c, kernel_fn *const *kernels)
{
	struct pare_tensor *out = c->out[0];

	if (c->n_in == 1) {
		memcpy(out->data, c->in[0]->data, op_count(out) * op_size(out->dtype));
		return;
	}
	run_kernel(kernels[out->dtype], out, c->in[0], c->in[1]);
	for (int i = 2; i < c->n_in; i++)
		run_kernel(kernels[out->dtype], out, out, c->in[i]);
}

#define FORWARD(how, name)                                                                         \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		how(c, name);                                                                      \
	}
FORWARD(binary, add)
FORWARD(binary, sub)
FORWARD(binary, mul)
FORWARD(binary, quotient)
FORWARD(fold, lesser)
FORWARD(fold, larger)
FORWARD(binary, prelu)
FORWARD(binary, equal)
FORWARD(binary, greater)
FORWARD(binary, less)
FORWARD(binary, greater_equal)
FORWARD(binary, less_equal)
FORWARD(binary, both)
FORWARD(binary, either)
FORWARD(binary, one_of)

static void sum_forward(const struct pare_call *c)
{
	fold(c, add);
}

static void mean_forward(const struct pare_call *c)
{
	size_t n = op_count(c->out[0]);

	fold(c, add);
	if (c->out[0]->dtype == PARE_F64)
		for (size_t i = 0; i < n; i++)
			c->out[0]->f64[i] /= (double)c->n_in;
	else
		for (size_t i = 0; i < n; i++)
			c->out[0]->f32[i] /= (float)c->n_in;
}

static const struct pare_attr mod_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), BEHIND, 0 },
	{ "fmod", PARE_ATTR_INT, AT(fmod), 0, 0 }, { 0 } };

static void mod_forward(const struct pare_call *c)
{
	const struct pair *p = c->attr;

	binary(c, p->fmod ? fmod_rest : floor_rest);
}

static void store_power(const struct pare_tensor *out, size_t i, double r)
{
	switch (out->dtype) {
	case PARE_F32:
		out->f32[i] = (float)r;
		break;
	case PARE_F64:
		out->f64[i] = r;
		break;
	case PARE_I32:
		out->i32[i] = r >= -0x1p31 && r < 0x1p31 ? (int32_t)r : INT32_MIN;
		break;
	default:
		out->i64[i] = r >= -0x1p63 && r < 0x1p63 ? (int64_t)r : INT64_MIN;
	}
}

/* The exponent may be of another type than the base: then both are read as doubles. */
static void pow_forward(const struct pare_call *c)
{
	struct spread s;
	size_t at[DIMS] = { 0 }, p[3] = { 0 }, n = op_count(c->out[0]);

	struct pare_tensor b = *c->in[1];
	const struct pare_tensor *in[] = { c->in[0], &b };

	if (put_at(((const struct pair *)c->attr)->axis, &in[0]->shape, &b.shape, NULL))
		return;
	if (in[0]->dtype == PARE_F32 && b.dtype == PARE_F32) {
		run_kernel(power_F32, c->out[0], in[0], &b);
		return;
	}
	spread_find(&s, c->out[0], 2, in);
	for (size_t i = 0; i < n; i++) {
		struct pare_tensor x = *in[0], y = b;

		x.u8 += p[0] * op_size(x.dtype);
		y.u8 += p[1] * op_size(y.dtype);
		store_power(c->out[0], i, pow(op_scalar(&x), op_scalar(&y)));
		spread_next(&s, s.n - 1, at, p);
	}
}

static void where_forward(const struct pare_call *c)
{
	struct spread s;
	size_t at[DIMS] = { 0 }, p[3] = { 0 }, n = op_count(c->out[0]);
	size_t size = op_size(c->out[0]->dtype);

	spread_find(&s, c->out[0], 3, c->in);
	for (size_t i = 0; i < n; i++) {
		int from = c->in[0]->u8[p[0]] ? 1 : 2;

		memcpy(c->out[0]->u8 + i * size, c->in[from]->u8 + p[from] * size, size);
		spread_next(&s, s.n - 1, at, p);
	}
}

/* ---- by a constant a channel ---------------------------------------------------------------- */

/* Value c of a constant that is one number, or one a channel of axis 1; false when it is neither,
 * or the input's axes are not known. */
static bool channel_values(const struct pare_shape_call *c, int64_t channels, float *v)
{
	const struct pare_known *k = c->n_in == 2 ? c->in[1] : NULL;
	int rank = c->in[0]->shape.n, skip = k ? rank - k->shape.n : 0;

	if (!k || !k->value || k->dtype != PARE_F32 || rank < 2 || skip < 0 ||
		((const struct pair *)c->attr)->axis != BEHIND)
		return false;
	for (int i = 0; i < k->shape.n; i++)
		if (k->shape.d[i] != 1 && (i + skip != 1 || k->shape.d[i] != channels))
			return false;
	for (int64_t i = 0; i < channels; i++)
		v[i] = k->value->f32[pare_shape_elems(&k->shape) == 1 ? 0 : i];
	return true;
}

static bool
add_affine(const struct pare_shape_call *c, int64_t channels, float *scale, float *shift)
{
	for (int64_t i = 0; i < channels; i++)
		scale[i] = 1;
	return channel_values(c, channels, shift);
}

static bool
sub_affine(const struct pare_shape_call *c, int64_t channels, float *scale, float *shift)
{
	bool good = add_affine(c, channels, scale, shift);

	for (int64_t i = 0; good && i < channels; i++)
		shift[i] = -shift[i];
	return good;
}

static bool
mul_affine(const struct pare_shape_call *c, int64_t channels, float *scale, float *shift)
{
	memset(shift, 0, (size_t)channels * sizeof *shift);
	return channel_values(c, channels, scale);
}

static bool
div_affine(const struct pare_shape_call *c, int64_t channels, float *scale, float *shift)
{
	bool good = mul_affine(c, channels, scale, shift);

	for (int64_t i = 0; good && i < channels; i++) {
		good = scale[i] != 0;
		scale[i] = 1 / scale[i];
	}
	return good;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static enum pare_status
of_types(const struct pare_shape_call *c, unsigned set, struct pare_err *err)
{
	enum pare_status st = pare_shape_elementwise(c, err);

	for (int i = 0; !st && i < c->n_in; i++) {
		st = op_types(c, i, set, err);
		if (!st && c->in[i]->dtype != c->in[0]->dtype)
			st = pare_fail(err, PARE_E_FORMAT, "inputs of types %s and %s",
				pare_dtype_name(c->in[0]->dtype), pare_dtype_name(c->in[i]->dtype));
	}
	return st;
}

/* Of two inputs, the second of which may lie at an axis of the first. */
static enum pare_status
shape_at(const struct pare_shape_call *c, unsigned set, struct pare_err *err)
{
	struct pare_known b = *c->in[1];
	const struct pare_known *in[] = { c->in[0], &b };
	struct pare_shape_call call = *c;
	enum pare_status st =
		put_at(((const struct pair *)c->attr)->axis, &in[0]->shape, &b.shape, err);

	call.in = in;
	return st ? st : set ? of_types(&call, set, err) : pare_shape_elementwise(&call, err);
}

static enum pare_status shape_pair(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_at(c, OP_NUMBERS, err);
}

static bool writable_pair(const struct pare_shape_call *c)
{
	return ((const struct pair *)c->attr)->axis == BEHIND;
}

static enum pare_status upgrade_pair(struct pare_node *n, int opset, struct pare_err *err)
{
	struct pair *p = n->attr;

	if (opset >= 7 && (p->axis != BEHIND || p->broadcast))
		return pare_fail(err, PARE_E_UNSUPPORTED, "axis and broadcast are of opset 6");
	p->broadcast = 0; /* what it said, shapes say now */
	return PARE_OK;
}

/* A channel's constant at an axis that no row knows of. */
static enum pare_flow flow_pair(const struct pare_shape_call *c)
{
	return writable_pair(c) ? PARE_FLOW_TIE : PARE_FLOW_BLOCK;
}

static int apart_pair(const struct pare_call *c, int *axes)
{
	return ((const struct pair *)c->attr)->axis == BEHIND ? op_apart_tied(c, axes) : 0;
}

static enum pare_status shape_numbers(const struct pare_shape_call *c, struct pare_err *err)
{
	return of_types(c, OP_NUMBERS, err);
}

static enum pare_status shape_mean(const struct pare_shape_call *c, struct pare_err *err)
{
	return of_types(c, OP_FLOATS, err);
}

static enum pare_status shape_test(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = shape_at(c, OP_NUMBERS | OP_T(PARE_BOOL), err);

	c->out[0].dtype = PARE_BOOL;
	return st;
}

static enum pare_status shape_logic(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_at(c, OP_T(PARE_BOOL), err);
}

/* Before opset 7 a slope was one number, or one a channel. */
static enum pare_status upgrade_prelu(struct pare_node *n, int opset, struct pare_err *err)
{
	(void)err;
	((struct pair *)n->attr)->axis = opset < 7 ? 1 : BEHIND;
	return PARE_OK;
}

/* The slope spreads over the input, never the other way. */
static enum pare_status shape_prelu(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = shape_pair(c, err);

	if (!st && !pare_shape_equal(&c->out[0].shape, &c->in[0]->shape))
		return pare_fail(err, PARE_E_FORMAT, "the slope does not broadcast to the input");
	return st;
}

static enum pare_status shape_pow(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_FLOATS | OP_T(PARE_I32) | OP_T(PARE_I64), err);

	if (!st)
		st = op_types(c, 1, OP_NUMBERS, err);
	return st ? st : shape_at(c, 0, err);
}

static enum pare_status shape_where(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_T(PARE_BOOL), err);

	if (!st)
		st = op_types(c, 1, OP_BYTES, err);
	if (!st && c->in[1]->dtype != c->in[2]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "the two choices differ in type");
	if (!st)
		st = pare_shape_elementwise(c, err);
	c->out[0].dtype = c->in[1]->dtype;
	return st;
}

/* clang-format off */
#define TIED(n, v, sh, fw, ex)                                                                     \
	{ .name = n, .since = v, .min_in = 1, .max_in = -1, .shape = sh, .forward = fw,            \
	  .takes = OP_T(PARE_F64), .mixed = true, .flow = PARE_FLOW_TIE,                           \
	  .apart = op_apart_tied, .sample = ex }
#define PAIR(n, v, at, sh, fw, ex, ...)                                                            \
	{ .name = n, .since = v, .min_in = 2, .max_in = 2, .attrs = at,                            \
	  .attr_size = sizeof(struct pair), .shape = sh, .forward = fw, .takes = OP_T(PARE_F64),   \
	  .writable = writable_pair, .flow_at = flow_pair, .mixed = true, .apart = apart_pair,     \
	  .flow = PARE_FLOW_TIE, .sample = ex, __VA_ARGS__ }
#define OLD(n, v, sh, fw, ex, ...)                                                                 \
	PAIR(n, v, pair_attrs, sh, fw, ex, .upgrade = upgrade_pair, __VA_ARGS__)
const struct pare_op pare_ops_elementwise[] = {
	OLD("Add", 7, shape_pair, add_forward,
	    "f32[1,3,2,5] f32[1,3,2,5]|f32[1,3,2,5] f32=0.5|f32[5]! f32[1,3,2,5]|"
	    "f32[1,3,1,5] f32[1,3,2,1]|f32[1,3,2,5] f32[2,1]!|i64[1,4] i64{1,2,3,4}|"
	    "f32[1,3,2,5] f32[3,2]! axis=1",
	    .affine = add_affine, .adds = true),
	OLD("Sub", 7, shape_pair, sub_forward,
	    "f32[1,3,2,5] f32[1,3,1,1]|f32[1,3,5] f32[3,1]!", .affine = sub_affine,
	    .codes = op_codes_sub),
	OLD("Mul", 7, shape_pair, mul_forward,
	    "f32[3,1,1]! f32[1,3,2,5]|f32[1,3,5] f32[1,3,1]!", .affine = mul_affine,
	    .codes = op_codes_mul),
	OLD("Div", 7, shape_pair, quotient_forward,
	    "f32[1,3,2,5] f32+[1,1,1,5]|f32[1,3,5] f32+[1,3,1]!", .affine = div_affine),
	OLD("Pow", 12, shape_pow, pow_forward,
	    "f32+[1,3,2,5] f32[3,1,1]!|f32[1,7] i64=2|f32+[1,3,2] f32[3]! axis=1"),
	OLD("Equal", 11, shape_test, equal_forward, "i64+[1,7] i64+[1,7]"),
	OLD("Greater", 9, shape_test, greater_forward, "f32[1,3,2,5] f32[3,2,5]!"),
	OLD("Less", 9, shape_test, less_forward, "f32[1,3,2,5] f32[3,2,5]!"),
	OLD("And", 7, shape_logic, both_forward, "bool[1,7] bool[1,7]"),
	OLD("Or", 7, shape_logic, either_forward, "bool[1,7] bool[7]!"),
	OLD("Xor", 7, shape_logic, one_of_forward, "bool[1,1] bool[7]!"),
	OLD("GreaterOrEqual", 12, shape_test, greater_equal_forward,
	     "f32[1,3,2,5] f32[3,2,5]!"),
	OLD("LessOrEqual", 12, shape_test, less_equal_forward,
	     "f32[1,3,2,5] f32[3,2,5]!"),
	PAIR("PRelu", 9, pair_attrs, shape_prelu, prelu_forward,
	     "f32[1,3,2,5] f32[3,1,1]!|f32[1,3,2,5] f32[3]! axis=1", .upgrade = upgrade_prelu,
	     .quant = PARE_Q_STRETCHES),
	PAIR("Mod", 10, mod_attrs, shape_pair, mod_forward,
	     "i64[1,9] i64{3,-3,2,1,-1,5,7,-2,0}"),
	TIED("Sum", 8, shape_numbers, sum_forward, "f32[1,3,2,5] f32[1,3,2,5] f32[3,1,1]!"),
	TIED("Mean", 8, shape_mean, mean_forward, "f32[1,3,2,5] f32[1,3,1,1] f32[5]!"),
	TIED("Min", 8, shape_numbers, lesser_forward,
	     "f32[1,3,2,5] f32[1,3,2,5] f32=0|f32[1,7]|f32[7]! f32[1,1] f32[1,7]"),
	TIED("Max", 8, shape_numbers, larger_forward, "i64[1,4] i64[1,4]"),
	{ .name = "Where", .since = 9, .min_in = 3, .max_in = 3, .shape = shape_where,
	  .forward = where_forward, .takes = OP_MOVED, .mixed = true, .flow = PARE_FLOW_TIE,
	  .sample = "bool[1,3,1,1] f32[1,3,2,5] f32=0.5|bool[4]! f32[1,4] f32[1,4]" },
	{ 0 } };
/* clang-format on */
