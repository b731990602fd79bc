/* ONNX files, in and out. */
#ifndef PARE_ONNX_H
#define PARE_ONNX_H
#include "../graph/model.h"
#include "../run/run.h"

/* How layer i's weight is stored.  All zero = float32, as it is in the model. */
struct pare_weight_store {
	enum pare_dtype dtype; /* F16, BF16: a Cast stands behind it.  I8, U8, I4, U4:
				  DequantizeLinear does */
	int axis;              /* of the scales; -1 = one for the tensor */
	int64_t group; /* weights of a channel, counted as pare_channel_at does, that share a scale;
			  0 = the whole channel */
	int64_t n_scales;
	const float *scale; /* [n_scales], channel by channel */
	const int8_t *zero; /* [n_scales], as q; NULL = all 0 */
	const int8_t *q;    /* [weight elements] of integers: the low 8 bits, in the file's order */
	/* I4 with zero points: ONNX has them 8 higher, as U4, which is what runtimes with kernels
	 * for 4 bits know zero points of. */
	bool lifted;
};

struct pare_write_spec {
	const struct pare_weight_store *weights; /* [n_layers]; NULL = all float32 */
	const struct pare_act_quant
		*acts;          /* [n_layers]: QuantizeLinear + DequantizeLinear before the
     layer, int8 or uint8 by lo < 0; layers that share an input and a quantizer share the pair */
	const char *recipe_sha; /* metadata "pare.recipe"; NULL = none */
	/* Values made by a Where of [condition, one answer, another], the outermost first: each is
	 * written as an If, whose else branch holds all that the first answer does without. */
	const int *choice;
	int n_choices;
};

/* The file's bytes, malloc'ed.  The same model and spec give the same bytes.  The opset is the one
 * that the model was read in, or the lowest above it that everything allows: per-channel QDQ asks
 * for 13, int4 for 21, rows for their `since`.  Dims that are not known stay so ("N" for the
 * batch).  PARE_E_UNSUPPORTED: a node without a row. */
PARE_MUST_CHECK enum pare_status pare_onnx_write(const struct pare_model *m,
	const struct pare_write_spec *spec, void **data, size_t *len, struct pare_err *err);
/* Its length, without laying out the bytes and without reading q or scale: under 1 ms for 100
 * layers. */
PARE_MUST_CHECK enum pare_status pare_onnx_size(const struct pare_model *m,
	const struct pare_write_spec *spec, int64_t *len, struct pare_err *err);

/* A TensorProto file (ONNX test data), as an array. */
PARE_MUST_CHECK enum pare_status
pare_onnx_tensor_read(const char *path, struct pare_array *out, struct pare_err *err);

/* Read a model from memory; `path` is for messages and for external data beside it. */
PARE_MUST_CHECK enum pare_status pare_onnx_read(const void *data, size_t len, const char *path,
	struct pare_model **out, struct pare_err *err);

#endif
