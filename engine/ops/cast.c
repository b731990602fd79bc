/* Casts between all types.  Integers go by way of int64 (so that they wrap
 * around), all else by way of double. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>

struct cast {
	int64_t to, saturate;
	const char *round_mode; /* of float8e8m0 */
};
static const struct pare_attr cast_attrs[] = { { "to", PARE_ATTR_INT, offsetof(struct cast, to), 0,
						       0 },
	{ "saturate", PARE_ATTR_INT, offsetof(struct cast, saturate), 1, 0 },
	{ "round_mode", PARE_ATTR_STRING, offsetof(struct cast, round_mode), 0, 0 }, { 0 } };
#define ANY (OP_BYTES | OP_PACKED)

static enum pare_dtype cast_type(const struct cast *a)
{
	return pare_dtype_from_onnx(a->to);
}

static const char *refuse_cast(const struct pare_node *n, const void *attr)
{
	(void)n;
	return cast_type(attr) ? NULL : "the type that it casts to";
}

static enum pare_status
cast_in_float32(struct pare_node *n, struct pare_arena *a, struct pare_err *err)
{
	struct cast *c = n->attr;

	(void)a;
	(void)err;
	if (OP_T(cast_type(c)) & OP_REALS)
		c->to = pare_dtype_to_onnx(PARE_F32);
	return PARE_OK;
}

static enum pare_status shape_cast(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, ANY, err);

	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = cast_type(c->attr);
	return st;
}

static enum pare_status shape_cast_like(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, ANY, err);

	if (!st)
		st = op_types(c, 1, ANY, err);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].dtype = c->in[1]->dtype;
	return st;
}

static bool is_real(enum pare_dtype t)
{
	return OP_T(t) & (OP_REALS | OP_SMALL | OP_T(PARE_F4E2M1));
}

#define GET(D, T, field)                                                                           \
	case PARE_##D:                                                                             \
		for (size_t i = 0; i < n; i++)                                                     \
			v[i] = (V)((const T *)p)[i];                                               \
		break;
#define PUT(D, T, field)                                                                           \
	case PARE_##D:                                                                             \
		for (size_t i = 0; i < n; i++)                                                     \
			((T *)p)[i] = (T)v[i];                                                     \
		break;
#define INTEGERS(X)                                                                                \
	X(I8, int8_t, )                                                                            \
	X(U8, uint8_t, )                                                                           \
	X(I16, int16_t, )                                                                          \
	X(U16, uint16_t, )                                                                         \
	X(I32, int32_t, )                                                                          \
	X(U32, uint32_t, )                                                                         \
	X(I64, int64_t, )                                                                          \
	X(U64, uint64_t, )

/* n numbers from place `at` on. */
static void get_integers(const struct pare_tensor *t, size_t at, size_t n, int64_t *v)
{
	const void *p = t->u8 + at * op_size(t->dtype);
	typedef int64_t V;

	switch (t->dtype) {
		INTEGERS(GET)
		GET(BOOL, uint8_t, )
	default:
		for (size_t i = 0; i < n; i++)
			v[i] = op_get_int(t, at + i);
	}
}

static void get_reals(const struct pare_tensor *t, size_t at, size_t n, double *v)
{
	const void *p = t->u8 + at * op_size(t->dtype);
	typedef double V;

	switch (t->dtype) {
		INTEGERS(GET)
		GET(BOOL, uint8_t, )
		GET(F32, float, )
		GET(F64, double, )
	default:
		for (size_t i = 0; i < n; i++)
			v[i] = op_get(t, at + i);
	}
}

static void put_integers(const struct pare_tensor *t, size_t at, size_t n, const int64_t *v)
{
	void *p = t->u8 + at * op_size(t->dtype);

	switch (t->dtype) {
		INTEGERS(PUT)
	case PARE_BOOL:
		for (size_t i = 0; i < n; i++)
			((uint8_t *)p)[i] = v[i] != 0;
		break;
	default:
		for (size_t i = 0; i < n; i++)
			op_put_int(t, at + i, v[i]);
	}
}

static enum pare_round round_of(const struct cast *a)
{
	return op_word(a->round_mode, "up", "up")     ? PARE_UP
	       : op_word(a->round_mode, "up", "down") ? PARE_DOWN
						      : PARE_NEAREST;
}

static void
put_reals(const struct cast *a, const struct pare_tensor *t, size_t at, size_t n, const double *v)
{
	unsigned bits = (unsigned)pare_dtype_bits(t->dtype);
	void *p = t->u8 + at * op_size(t->dtype);

	switch (t->dtype) {
		PUT(F32, float, )
		PUT(F64, double, )
	case PARE_F16:
	case PARE_BF16:
	case PARE_BOOL:
		for (size_t i = 0; i < n; i++)
			op_put(t, at + i, v[i]);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			pare_bits_put(t->data, at + i, bits,
				pare_f32_to_small(
					t->dtype, (float)v[i], a->saturate != 0, round_of(a)));
	}
}

/* What no integer can hold becomes the lowest one, as the processor does it. */
static int64_t truncated(double v)
{
	return v >= -0x1p63 && v < 0x1p63  ? (int64_t)v
	       : v >= 0x1p63 && v < 0x1p64 ? (int64_t)(uint64_t)v
					   : INT64_MIN;
}

static void cast_forward(const struct pare_call *c)
{
	enum { CHUNK = 256 };
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	size_t total = op_count(y);

	for (size_t at = 0; at < total; at += CHUNK) {
		size_t n = total - at < CHUNK ? total - at : CHUNK;
		int64_t whole[CHUNK];
		double real[CHUNK];

		if (!is_real(x->dtype) && !is_real(y->dtype)) {
			get_integers(x, at, n, whole);
			put_integers(y, at, n, whole);
			continue;
		}
		get_reals(x, at, n, real);
		if (is_real(y->dtype) || y->dtype == PARE_BOOL) {
			put_reals(c->attr, y, at, n, real);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			whole[i] = truncated(real[i]);
		put_integers(y, at, n, whole);
	}
}

/* clang-format off */
const struct pare_op pare_ops_cast[] = {
	{ .name = "Cast", .since = 13, .min_in = 1, .max_in = 1, .attrs = cast_attrs,
	  .attr_size = sizeof(struct cast), .refuse = refuse_cast, .in_float32 = cast_in_float32, .shape = shape_cast,
	  .forward = cast_forward, .takes = OP_REALS | OP_SMALL | OP_PACKED, .flow = PARE_FLOW_PASS,
	  .codes = op_codes_cast, .sample = "f32[1,9] to=7|i64[1,9] to=1|f32[1,9] to=10|i64[1,9] to=2|i64[1,9] to=9" },
	{ .name = "CastLike", .since = 15, .min_in = 2, .max_in = 2, .attrs = cast_attrs,
	  .attr_size = sizeof(struct cast), .shape = shape_cast_like, .forward = cast_forward, .takes = OP_REALS | OP_SMALL | OP_PACKED,
	  .plain = 2, .flow = PARE_FLOW_PASS, .sample = "i64[1,9] f32=0" },
	{ 0 } };
/* clang-format on */
