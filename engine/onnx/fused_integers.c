/* Fused operators of integers: quantized ones become DequantizeLinear, the operator of floats,
 * QuantizeLinear, so that their bits are seen. */
#include "fused.h"
#include <string.h>

#define IN(i) pare_unfuse_in(u, i)
#define OUT(i) pare_unfuse_out(u, i)
#define NODE(op, out, ...) pare_unfuse_node(u, op, out, PARE_IN(__VA_ARGS__))
enum { UINT4 = 21 }; /* newer than some onnx.proto */

static void float_type(struct pare_unfuse *u)
{
	pare_unfuse_int(u, "to", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
}

/* Input i as floats: scale and zero point follow it. */
static const char *dequantized(struct pare_unfuse *u, size_t i)
{
	return NODE("DequantizeLinear", NULL, IN(i), IN(i + 1), IN(i + 2));
}

/* The output, by scale and zero point at input i. */
static bool quantize(struct pare_unfuse *u, const char *x, size_t i)
{
	NODE("QuantizeLinear", OUT(0), x, IN(i), IN(i + 1));
	return true;
}

/* ---- QLinear… ------------------------------------------------------------------------------- */

static bool two(struct pare_unfuse *u, const char *op)
{
	const char *a = dequantized(u, 0), *b = dequantized(u, 3);

	return quantize(u, NODE(op, NULL, a, b), 6);
}

static bool qlinear_add(struct pare_unfuse *u)
{
	return two(u, "Add");
}

static bool qlinear_mul(struct pare_unfuse *u)
{
	return two(u, "Mul");
}

/* Of one input, with these attributes. */
static bool one(struct pare_unfuse *u, const char *op, const char *const *kept)
{
	const char *x = dequantized(u, 0);

	x = NODE(op, NULL, x);
	pare_unfuse_copy(u, kept);
	return quantize(u, x, 3);
}

static bool qlinear_sigmoid(struct pare_unfuse *u)
{
	return one(u, "Sigmoid", (const char *[]){ NULL });
}

static bool qlinear_leaky(struct pare_unfuse *u)
{
	return one(u, "LeakyRelu", (const char *[]){ "alpha", NULL });
}

static bool qlinear_softmax(struct pare_unfuse *u)
{
	return one(u, "Softmax", (const char *[]){ "axis", NULL });
}

static bool qlinear_average(struct pare_unfuse *u)
{
	static const char *const kept[] = { "auto_pad", "ceil_mode", "count_include_pad",
		"kernel_shape", "pads", "strides", NULL };

	return !pare_unfuse_attr_int(u, "channels_last", 0) && one(u, "AveragePool", kept);
}

static bool qlinear_global(struct pare_unfuse *u)
{
	return !pare_unfuse_attr_int(u, "channels_last", 0) &&
	       one(u, "GlobalAveragePool", (const char *[]){ NULL });
}

/* scale, zero point, then three inputs a part */
static bool qlinear_concat(struct pare_unfuse *u)
{
	size_t n = u->n->n_input < 2 ? 0 : (u->n->n_input - 2) / 3;
	Onnx__NodeProto *x;
	const char *y;
	char **in;

	if (!n || !(in = pare_alloc_n(u->a, n, sizeof *in)))
		return false;
	for (size_t i = 0; i < n; i++)
		in[i] = (char *)dequantized(u, 2 + 3 * i);
	y = NODE("Concat", NULL, in[0]);
	if (u->no_memory)
		return false;
	x = u->nodes[u->n_nodes - 1];
	x->n_input = n;
	x->input = in;
	pare_unfuse_copy(u, (const char *[]){ "axis", NULL });
	return quantize(u, y, 0);
}

/* Forms of 16 and 4 bits under an opset that does not have them. */
static bool quantize_linear(struct pare_unfuse *u)
{
	NODE("QuantizeLinear", OUT(0), IN(0), IN(1), IN(2));
	pare_unfuse_copy(u, (const char *[]){ "axis", "block_size", "saturate", NULL });
	return true;
}

static bool dequantize_linear(struct pare_unfuse *u)
{
	NODE("DequantizeLinear", OUT(0), IN(0), IN(1), IN(2));
	pare_unfuse_copy(u, (const char *[]){ "axis", "block_size", NULL });
	return true;
}

/* ---- products ------------------------------------------------------------------------------- */

/* a times b in integers, by both scales, and the bias. */
static bool by_scales(struct pare_unfuse *u, const char *sum, const char *a_scale,
	const char *b_scale, const char *bias)
{
	const char *scale = NODE("Mul", NULL, a_scale, b_scale), *x = NODE("Cast", NULL, sum);

	float_type(u);
	x = NODE("Mul", bias ? NULL : OUT(0), x, scale);
	if (bias)
		NODE("Add", OUT(0), x, bias);
	return true;
}

/* A, B, scale of A, of B, zero point of A, of B, bias */
static bool integer_to_float(struct pare_unfuse *u)
{
	const char *sum = NODE("MatMulInteger", NULL, IN(0), IN(1), IN(4), IN(5));

	return by_scales(u, sum, IN(2), IN(3), IN(6));
}

/* A, B, scale of B, zero point of B, bias */
static bool dynamic_matmul(struct pare_unfuse *u)
{
	const char *q = NODE("DynamicQuantizeLinear", NULL, IN(0)), *more[2], *sum;

	more[0] = pare_unfuse_name(u);
	more[1] = pare_unfuse_name(u);
	pare_unfuse_outputs(u, 2, more);
	sum = NODE("MatMulInteger", NULL, q, IN(1), more[1], IN(3));
	return by_scales(u, sum, more[0], IN(2), IN(4));
}

/* A weight [directions, in, gates] with a scale a direction, or a direction and gate, to the floats
 * that LSTM reads: [directions, gates, in]. */
static const char *
lstm_weight(struct pare_unfuse *u, const char *w, const char *scale, const char *zero)
{
	static const int64_t wide[] = { 0, 1, -1 }, perm[] = { 0, 2, 1 };
	const char *shape = pare_unfuse_ints(u, 3, wide), *x = NODE("Cast", NULL, w), *z;

	float_type(u);
	if (zero) {
		z = NODE("Cast", NULL, zero);
		float_type(u);
		z = NODE("Reshape", NULL, z, shape);
		x = NODE("Sub", NULL, x, z);
	}
	scale = NODE("Reshape", NULL, scale, shape);
	x = NODE("Mul", NULL, x, scale);
	x = NODE("Transpose", NULL, x);
	pare_unfuse_list(u, "perm", 3, perm);
	return x;
}

/* Inputs of LSTM, then scale and zero point of W, of R.  What runtimes do beside, rounding
 * activations to 8 bits by the range of the moment, is left out. */
static bool dynamic_lstm(struct pare_unfuse *u)
{
	static const char *const kept[] = { "activation_alpha", "activation_beta", "activations",
		"clip", "direction", "hidden_size", "input_forget", NULL };
	const char *w = lstm_weight(u, IN(1), IN(8), IN(9)),
		   *r = lstm_weight(u, IN(2), IN(10), IN(11));

	NODE("LSTM", OUT(0), IN(0), w, r, IN(3), IN(4), IN(5), IN(6), IN(7));
	pare_unfuse_outputs(u, 2, (const char *[]){ OUT(1), OUT(2) });
	pare_unfuse_copy(u, kept);
	return true;
}

/* The first `n` of axis 1. */
static const char *first(struct pare_unfuse *u, const char *x, int64_t n)
{
	static const int64_t zero = 0, axis = 1;
	const char *from = pare_unfuse_ints(u, 1, &zero), *to = pare_unfuse_ints(u, 1, &n);
	const char *axes = pare_unfuse_ints(u, 1, &axis);

	return NODE("Slice", NULL, x, from, to, axes);
}

/* A [.., K], B [N, K / block, bytes of a block], scales [N * K / block], zero points packed row by
 * row, order of groups, bias [N]: the weight is 4-bit codes with a scale a block of a row. */
static bool matmul_nbits(struct pare_unfuse *u)
{
	const Onnx__TensorProto *b = pare_unfuse_constant(u, IN(1));
	const Onnx__TensorProto *zero = pare_unfuse_constant(u, IN(3));
	int64_t k = pare_unfuse_attr_int(u, "K", 0), n = pare_unfuse_attr_int(u, "N", 0);
	int64_t block = pare_unfuse_attr_int(u, "block_size", 0), blocks, wide[2], few[2];
	static const int64_t perm[] = { 1, 0 };
	const char *codes, *scales, *x, *z, *to;

	if (pare_unfuse_attr_int(u, "bits", 4) != 4 || IN(4) || !b || (IN(3) && !zero) || k < 1 ||
		n < 1 || block < 16 || block % 2 || k > 1 << 30 || block > 1 << 30 ||
		b->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 ||
		(zero && zero->data_type != ONNX__TENSOR_PROTO__DATA_TYPE__UINT8))
		return false;
	blocks = (k + block - 1) / block;
	wide[0] = few[0] = n;
	wide[1] = blocks * block;
	few[1] = blocks;
	codes = pare_unfuse_retype(u, b, UINT4, 2, wide);
	to = pare_unfuse_ints(u, 2, few);
	scales = NODE("Reshape", NULL, IN(2), to);
	if (zero) {
		few[1] = (blocks + 1) / 2 * 2; /* rows begin with a byte */
		z = pare_unfuse_retype(u, zero, UINT4, 2, few);
		z = NODE("Cast", NULL, z);
		float_type(u);
		z = few[1] == blocks ? z : first(u, z, blocks);
	} else {
		z = pare_unfuse_number(u, 8);
		z = NODE("Expand", NULL, z, to);
	}
	z = NODE("Cast", NULL, z);
	pare_unfuse_int(u, "to", UINT4);
	x = NODE("DequantizeLinear", NULL, codes, scales, z);
	pare_unfuse_int(u, "axis", 1);
	pare_unfuse_int(u, "block_size", block);
	if (wide[1] != k)
		x = first(u, x, k);
	x = NODE("Transpose", NULL, x);
	pare_unfuse_list(u, "perm", 2, perm);
	x = NODE("MatMul", IN(5) ? NULL : OUT(0), IN(0), x);
	if (IN(5))
		NODE("Add", OUT(0), x, IN(5));
	return true;
}

/* clang-format off */
const struct pare_fused pare_fused_integers[] = {
	{ "QLinearAdd", qlinear_add, "DequantizeLinear, Add, QuantizeLinear", NULL },
	{ "QLinearMul", qlinear_mul, "DequantizeLinear, Mul, QuantizeLinear", NULL },
	{ "QLinearSigmoid", qlinear_sigmoid, "DequantizeLinear, Sigmoid, QuantizeLinear", NULL },
	{ "QLinearLeakyRelu", qlinear_leaky, "DequantizeLinear, LeakyRelu, QuantizeLinear", NULL },
	{ "QLinearSoftmax", qlinear_softmax, "DequantizeLinear, Softmax, QuantizeLinear", NULL },
	{ "QLinearAveragePool", qlinear_average, "DequantizeLinear, AveragePool, QuantizeLinear",
	  "channels last" },
	{ "QLinearGlobalAveragePool", qlinear_global,
	  "DequantizeLinear, GlobalAveragePool, QuantizeLinear", "channels last" },
	{ "QLinearConcat", qlinear_concat, "DequantizeLinear, Concat, QuantizeLinear", NULL },
	{ "QuantizeLinear", quantize_linear, "QuantizeLinear", NULL },
	{ "DequantizeLinear", dequantize_linear, "DequantizeLinear", NULL },
	{ "MatMulIntegerToFloat", integer_to_float, "MatMulInteger, Mul, Add", NULL },
	{ "DynamicQuantizeMatMul", dynamic_matmul, "DynamicQuantizeLinear, MatMulInteger, Mul, Add",
	  NULL },
	{ "DynamicQuantizeLSTM", dynamic_lstm, "LSTM, its activations in float32", NULL },
	{ "MatMulNBits", matmul_nbits, "DequantizeLinear, MatMul, Add",
	  "bits other than 4, weights that are not constant, an order of groups" },
	{ 0 } };
/* clang-format on */
