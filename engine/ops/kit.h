/* What the row files share among themselves.
 *
 * In a batched run an activation is [shape][lanes]: for most operators the lane is nothing but one
 * more axis, the innermost, and their loops run over it with the dense rest. */
#ifndef PARE_OPS_KIT_H
#define PARE_OPS_KIT_H
#include "op.h"
#include <stddef.h>

/* Loops that decide how fast a network runs: vectorized, on x86-64 for wider vectors too, chosen
 * when the program starts.  Without contraction all give the same bits.  Clang vectorizes by
 * itself; sanitizers want neither. */
#if !defined(__GNUC__) || defined(__clang__) || !defined(__OPTIMIZE__) ||                          \
	defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OP_HOT
#elif defined(__x86_64__)
#define OP_HOT __attribute__((target_clones("default", "arch=x86-64-v3"), optimize("O3")))
#else
#define OP_HOT __attribute__((optimize("O3")))
#endif
#define OP_INLINE static inline __attribute__((always_inline))

/* Sets of types, one bit a dtype. */
#define OP_T(t) (1u << (t))
#define OP_F32 OP_T(PARE_F32)
#define OP_FLOATS (OP_F32 | OP_T(PARE_F64))
#define OP_SIGNED (OP_T(PARE_I8) | OP_T(PARE_I16) | OP_T(PARE_I32) | OP_T(PARE_I64))
#define OP_UNSIGNED (OP_T(PARE_U8) | OP_T(PARE_U16) | OP_T(PARE_U32) | OP_T(PARE_U64))
#define OP_NUMBERS (OP_FLOATS | OP_SIGNED | OP_UNSIGNED)
#define OP_REALS (OP_FLOATS | OP_T(PARE_F16) | OP_T(PARE_BF16))
#define OP_SMALL                                                                                   \
	(OP_T(PARE_F8E4M3) | OP_T(PARE_F8E4M3UZ) | OP_T(PARE_F8E5M2) | OP_T(PARE_F8E5M2UZ) |       \
		OP_T(PARE_F8E8M0))
#define OP_PACKED                                                                                  \
	(OP_T(PARE_I4) | OP_T(PARE_U4) | OP_T(PARE_I2) | OP_T(PARE_U2) | OP_T(PARE_F4E2M1))
#define OP_BYTES (OP_NUMBERS | OP_REALS | OP_SMALL | OP_T(PARE_BOOL))
/* `takes` of rows that move elements whatever they are. */
#define OP_MOVED (OP_REALS | OP_SMALL)

/* PARE_E_UNSUPPORTED unless input i is of a type in the set. */
PARE_MUST_CHECK enum pare_status
op_types(const struct pare_shape_call *c, int i, unsigned set, struct pare_err *err);
/* Is optional input i there? */
static inline bool op_has(const struct pare_shape_call *c, int i)
{
	return i < c->n_in && c->in[i];
}
static inline bool op_given(const struct pare_call *c, int i)
{
	return i < c->n_in && c->in[i];
}
/* Is output i asked for? */
static inline bool op_wants(const struct pare_call *c, int i)
{
	return i < c->n_out && c->out[i];
}
/* Bytes of one element, of the types in OP_BYTES. */
static inline size_t op_size(enum pare_dtype t)
{
	return pare_dtype_bits(t) / 8;
}
/* Elements with their lanes: how many numbers lie behind `data`. */
static inline size_t op_count(const struct pare_tensor *t)
{
	return (size_t)pare_shape_elems(&t->shape) * (size_t)t->lanes;
}
/* Product of the dimensions from <= i < to. */
static inline size_t op_span(const struct pare_shape *s, int from, int to)
{
	return (size_t)pare_shape_span(s, from, to);
}
/* An axis that the shape function has checked. */
static inline int op_axis(int64_t axis, int rank)
{
	return (int)(axis < 0 ? axis + rank : axis);
}

/* Integers of an int64 or int32 tensor, as they lie in an input read without lanes; at most `max`.
 * Returns how many there are. */
int op_ints(const struct pare_tensor *t, int64_t *v, int max);
/* pare_const_ints with a limit of one's own. */
PARE_MUST_CHECK enum pare_status op_const_ints(
	const struct pare_shape_call *c, int i, int64_t *v, int max, int *n, struct pare_err *err);
/* Set of axes (bit per axis) from `n` axes; all when n is 0. */
PARE_MUST_CHECK enum pare_status
op_axes(const int64_t *axes, int n, int rank, unsigned *set, struct pare_err *err);

/* apart of rows that work element by element, with numpy's broadcasting. */
int op_apart_tied(const struct pare_call *c, int *axes);

/* flow_at of rows that work on the axes behind the channel's, when they left that one alone. */
enum pare_flow op_flow_spatial(const struct pare_shape_call *c);
/* carry of rows that see axis 1 as channels, and what is behind it as places that they mix. */
int op_carry_channels(const struct pare_shape_call *c, int axis);

/* unfold of rows whose layer is one on every row of in[0], [rows][k]. */
void op_unfold_rows(const struct pare_call *c, int group, int64_t from, int64_t n, float *to);
/* pare_op.factor of a product with a matrix, but for attributes. */
PARE_MUST_CHECK enum pare_status op_factor_rows(const struct pare_shape_call *c, int out_axis,
	struct pare_factors *f, struct pare_err *err);

/* Windows that slide over 1 to 3 spatial axes: pooling and convolution.  Empty lists mean all ones
 * or zeros.  Missing leading axes have size 1. */
struct op_window {
	int n; /* spatial axes */
	int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};
PARE_MUST_CHECK enum pare_status
op_window_find(struct op_window *w, const struct pare_shape *x, const struct pare_ints *kernel,
	const struct pare_ints *strides, const struct pare_ints *dilations,
	const struct pare_ints *pads, const char *auto_pad, bool ceil_mode, struct pare_err *err);

/* Copy that moves whole elements: out is dense, [d[0]]…[d[n-1]] units of `unit` bytes, and output
 * index i reads from `in` + sum i[k]*s[k] bytes.  Steps may be 0 or negative. */
enum { OP_MOVE_DIMS = 2 * PARE_MAX_DIMS };
struct op_move {
	int n;
	size_t d[OP_MOVE_DIMS];
	ptrdiff_t s[OP_MOVE_DIMS];
	size_t unit;
};
void op_move_run(const struct op_move *m, const void *in, void *out);
/* Bytes of one element with its lanes: the unit of moving. */
static inline size_t op_unit(const struct pare_tensor *t)
{
	return op_size(t->dtype) * (size_t)t->lanes;
}
/* Byte steps of a dense tensor's axes. */
void op_steps(const struct pare_tensor *t, ptrdiff_t s[PARE_MAX_DIMS]);

/* ---- rows that know nothing of lanes -------------------------------------------------------- */

/* Run `one`, written for a plain run, on each lane by itself: its inputs and outputs have one lane
 * and its scratch is what the row asked for beyond op_lanes_scratch. */
void op_each_lane(const struct pare_call *c, pare_forward_fn *one);
/* Bytes for a sample's inputs and outputs; 0 in a plain run. */
size_t op_lanes_scratch(const struct pare_call *c);
#define OP_BY_LANE(name)                                                                           \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		op_each_lane(c, name##_one);                                                       \
	}

/* Element i of a tensor, lanes counted. */
double op_get(const struct pare_tensor *t, size_t i);
static inline double op_scalar(const struct pare_tensor *t)
{
	return op_get(t, 0);
}
int64_t op_get_int(const struct pare_tensor *t, size_t i);
void op_put(const struct pare_tensor *t, size_t i, double v);
void op_put_int(const struct pare_tensor *t, size_t i, int64_t v);

/* Index i into an axis of n > 0, from the end when negative; out of range it is what `wrong` is
 * for, and 0. */
size_t op_place(const struct pare_call *c, int64_t i, size_t n);

/* ---- codes ---------------------------------------------------------------------------------- */

/* The `codes` of rows behind which constants still stand for codes. */
bool op_codes_cast(const struct pare_codes_call *g, struct pare_codes *out);
bool op_codes_mul(const struct pare_codes_call *g, struct pare_codes *out);
bool op_codes_sub(const struct pare_codes_call *g, struct pare_codes *out);
bool op_codes_transpose(const struct pare_codes_call *g, struct pare_codes *out);
bool op_codes_reshape(const struct pare_codes_call *g, struct pare_codes *out);
/* The axis, of `rank`, along which a tensor that is broadcast to it says more than one thing; -1 =
 * none.  False: along several. */
bool op_list_axis(const struct pare_shape *s, int rank, int *axis);
/* Room for g->n scales and zeros. */
bool op_codes_new(struct pare_arena *a, struct pare_codes *g, float **scale, int **zero);
/* The codes of a type; false for what is no small integer. */
bool op_code_range(enum pare_dtype t, int *lo, int *hi);

/* A value that decides about a shape: PARE_E_UNSUPPORTED while it is not known. */
PARE_MUST_CHECK enum pare_status
op_known(const struct pare_shape_call *c, int i, struct pare_err *err);
/* An axis of input 0. */
PARE_MUST_CHECK enum pare_status
op_axis_of(const struct pare_shape_call *c, int64_t axis, int *out, struct pare_err *err);
/* Does an attribute hold this word? */
bool op_word(const char *value, const char *preset, const char *word);

#endif
