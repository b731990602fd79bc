/* Tensors inside the engine. */
#ifndef PARE_TENSOR_H
#define PARE_TENSOR_H
#include "../pare.h"

/* A view of dense data.  Its elements are [shape][lanes]: `lanes` copies of the network run side by
 * side, one sample each, and the lane is the innermost axis.  lanes 1 = the same for every sample
 * (weights, constants) or a plain run. */
struct pare_tensor {
	enum pare_dtype dtype;
	int lanes;
	struct pare_shape shape;
	union {
		void *data;
		float *f32;
		double *f64;
		int8_t *i8;
		uint8_t *u8;
		int16_t *i16;
		uint16_t *u16;
		int32_t *i32;
		int64_t *i64;
		uint64_t *u64;
	};
};

/* Elements of a shape (lanes not counted); -1 when a dimension is unknown or the product overflows
 * or exceeds 2^40. */
int64_t pare_shape_elems(const struct pare_shape *s);
bool pare_shape_equal(const struct pare_shape *a, const struct pare_shape *b);
/* Product of dimensions from <= i < to. */
int64_t pare_shape_span(const struct pare_shape *s, int from, int to);
/* Bytes of `elems` elements, sub-byte types packed; false on overflow. */
bool pare_dtype_bytes(enum pare_dtype t, int64_t elems, size_t *bytes);
/* ONNX's TensorProto.DataType to ours and back; UNDEFINED for what pare does not have. */
enum pare_dtype pare_dtype_from_onnx(int64_t type);
int32_t pare_dtype_to_onnx(enum pare_dtype t);
/* Shape of numpy broadcasting; false when a and b do not broadcast. */
bool pare_shape_broadcast(
	const struct pare_shape *a, const struct pare_shape *b, struct pare_shape *out);

/* Weights: an immutable block shared by models, the only thing with a count of its own. */
struct pare_blob {
	atomic_int refs;
	size_t len;
	void *data;  /* aligned to 64 unless mapped from a file */
	void *owner; /* what holds data alive; freed by `release` with the last reference */
	void (*release)(struct pare_blob *b);
};
struct pare_blob *pare_blob_new(size_t len); /* malloc'ed and zeroed; NULL: no memory */
struct pare_blob *pare_blob_ref(struct pare_blob *b);
void pare_blob_free(struct pare_blob *b);

float pare_f16_to_f32(uint16_t h);
uint16_t pare_f32_to_f16(float f); /* to nearest even; overflow to inf */
float pare_bf16_to_f32(uint16_t h);
uint16_t pare_f32_to_bf16(float f);
/* Floats of 4 and 8 bits, by their codes.  To the nearest, ties to even; what is too large becomes
 * the largest if `saturate` (or if there is nothing else), else infinity, or NaN where there is
 * none. float8e8m0 rounds `up`, `down` or to the nearest, and knows no sign. */
enum pare_round { PARE_NEAREST, PARE_UP, PARE_DOWN };
bool pare_is_small_float(enum pare_dtype t);
float pare_small_to_f32(enum pare_dtype t, unsigned code);
unsigned pare_f32_to_small(enum pare_dtype t, float f, bool saturate, enum pare_round how);
/* Element i of those that share a byte, low bits first. */
static inline unsigned pare_bits_get(const void *data, size_t i, unsigned bits)
{
	return ((const uint8_t *)data)[i * bits / 8] >> i * bits % 8 & ((1u << bits) - 1);
}
static inline void pare_bits_put(void *data, size_t i, unsigned bits, unsigned code)
{
	uint8_t *p = (uint8_t *)data + i * bits / 8;
	unsigned at = (unsigned)(i * bits % 8), mask = ((1u << bits) - 1) << at;

	*p = (uint8_t)((*p & ~mask) | (code << at & mask));
}
/* Any dtype to float32, element by element. */
PARE_MUST_CHECK enum pare_status
pare_to_f32(enum pare_dtype from, const void *data, int64_t n, float *out, struct pare_err *err);

#endif
