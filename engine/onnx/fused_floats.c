/* Fused operators of floats: activations, products, normalizations, attention. */
#include "fused.h"
#include <string.h>

#define IN(i) pare_unfuse_in(u, i)
#define OUT(i) pare_unfuse_out(u, i)
#define NODE(op, out, ...) pare_unfuse_node(u, op, out, PARE_IN(__VA_ARGS__))

static const char *ints(struct pare_unfuse *u, int64_t v)
{
	return pare_unfuse_ints(u, 1, &v);
}

/* a + b, or a where there is no b */
static const char *plus(struct pare_unfuse *u, const char *a, const char *b, const char *out)
{
	if (b)
		return NODE("Add", out, a, b);
	return out ? NODE("Identity", out, a) : a;
}

/* ---- activations ---------------------------------------------------------------------------- */

static bool gelu(struct pare_unfuse *u)
{
	NODE("Gelu", OUT(0), plus(u, IN(0), IN(1), NULL));
	return true;
}

static bool fast_gelu(struct pare_unfuse *u)
{
	gelu(u);
	pare_unfuse_word(u, "approximate", "tanh");
	return true;
}

static bool quick_gelu(struct pare_unfuse *u)
{
	const char *alpha = pare_unfuse_number(u, pare_unfuse_attr_float(u, "alpha", 1.702f));

	NODE("Mul", OUT(0), IN(0), NODE("Sigmoid", NULL, NODE("Mul", NULL, IN(0), alpha)));
	return true;
}

/* What an attribute `activation` names, applied to `x`; false: it is none that is known. */
static bool activate(struct pare_unfuse *u, const char *x)
{
	static const char *const names[] = { "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid",
		"Clip" };
	const Onnx__AttributeProto *kind = pare_unfuse_attr(u, "activation");
	const Onnx__AttributeProto *v = pare_unfuse_attr(u, "activation_params");
	size_t n_v = v ? v->n_floats : 0, i = 0;

	if (!kind || !kind->s.len) {
		NODE("Identity", OUT(0), x);
		return true;
	}
	while (i < 6 &&
		(strlen(names[i]) != kind->s.len || memcmp(names[i], kind->s.data, kind->s.len)))
		i++;
	if (i == 6 || (i == 5 && n_v != 2))
		return false;
	if (i == 5) {
		NODE("Clip", OUT(0), x, pare_unfuse_number(u, v->floats[0]),
			pare_unfuse_number(u, v->floats[1]));
		return true;
	}
	NODE(names[i], OUT(0), x);
	if (i > 2 && n_v > 0)
		pare_unfuse_float(u, "alpha", v->floats[0]);
	else if (i > 2 && pare_unfuse_attr(u, "activation_alpha"))
		pare_unfuse_float(u, "alpha", pare_unfuse_attr_float(u, "activation_alpha", 0));
	if (i == 4 && n_v > 1)
		pare_unfuse_float(u, "beta", v->floats[1]);
	return true;
}

/* ---- products ------------------------------------------------------------------------------- */

static bool fused_conv(struct pare_unfuse *u)
{
	static const char *const kept[] = { "auto_pad", "dilations", "group", "kernel_shape",
		"pads", "strides", NULL };
	const char *y = NODE("Conv", NULL, IN(0), IN(1), IN(2));

	pare_unfuse_copy(u, kept);
	return activate(u, plus(u, y, IN(3), NULL));
}

static bool fused_gemm(struct pare_unfuse *u)
{
	static const char *const kept[] = { "alpha", "beta", "transA", "transB", NULL };
	const char *y = NODE("Gemm", NULL, IN(0), IN(1), IN(2));

	pare_unfuse_copy(u, kept);
	return activate(u, y);
}

/* The last two axes the other way; NULL: it is not known how many there are. */
static const char *transposed(struct pare_unfuse *u, const char *x)
{
	int rank = pare_unfuse_rank(u, x);
	int64_t perm[PARE_MAX_DIMS];
	const char *y;

	if (rank < 2 || rank > PARE_MAX_DIMS)
		return NULL;
	for (int i = 0; i < rank; i++)
		perm[i] = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
	y = NODE("Transpose", NULL, x);
	pare_unfuse_list(u, "perm", (size_t)rank, perm);
	return y;
}

/* Where the axes are not counted, Einsum says it. */
static const char *product(struct pare_unfuse *u, bool trans_a, bool trans_b)
{
	static const char *const sums[] = { "...ij,...jk->...ik", "...ij,...kj->...ik",
		"...ji,...jk->...ik", "...ji,...kj->...ik" };
	const char *a = trans_a ? transposed(u, IN(0)) : IN(0);
	const char *b = trans_b ? transposed(u, IN(1)) : IN(1);
	const char *y;

	if (a && b)
		return NODE("MatMul", NULL, a, b);
	y = NODE("Einsum", NULL, IN(0), IN(1));
	pare_unfuse_word(u, "equation", sums[2 * trans_a + trans_b]);
	return y;
}

static bool fused_matmul(struct pare_unfuse *u)
{
	float alpha = pare_unfuse_attr_float(u, "alpha", 1);
	const char *y;

	if (pare_unfuse_attr_int(u, "transBatchA", 0) || pare_unfuse_attr_int(u, "transBatchB", 0))
		return false;
	y = product(u, pare_unfuse_attr_int(u, "transA", 0) != 0,
		pare_unfuse_attr_int(u, "transB", 0) != 0);
	NODE("Mul", OUT(0), y, pare_unfuse_number(u, alpha));
	return true;
}

/* ---- normalizations ------------------------------------------------------------------------- */

static void layer_norm(struct pare_unfuse *u, const char *x, const char *gamma, const char *beta,
	const char *mean, const char *inv)
{
	NODE("LayerNormalization", OUT(0), x, gamma, beta);
	pare_unfuse_float(u, "epsilon", pare_unfuse_attr_float(u, "epsilon", 1e-12f));
	if (mean || inv)
		pare_unfuse_outputs(u, 2, (const char *[]){ mean, inv });
}

/* x + skip + bias, which may be an output too. */
static const char *skip_sum(struct pare_unfuse *u, const char *bias)
{
	const char *sum = NODE("Add", bias ? NULL : OUT(3), IN(0), IN(1));

	return bias ? NODE("Add", OUT(3), sum, bias) : sum;
}

static bool skip_layer_norm(struct pare_unfuse *u)
{
	const char *sum = skip_sum(u, IN(4));

	layer_norm(u, sum, IN(2), IN(3), OUT(1), OUT(2));
	return true;
}

static bool skip_simplified(struct pare_unfuse *u)
{
	if (OUT(1) || OUT(2))
		return false;
	NODE("RMSNormalization", OUT(0), skip_sum(u, IN(3)), IN(2));
	pare_unfuse_float(u, "epsilon", pare_unfuse_attr_float(u, "epsilon", 1e-12f));
	return true;
}

static bool simplified(struct pare_unfuse *u)
{
	static const char *const kept[] = { "axis", "epsilon", "stash_type", NULL };

	if (OUT(1))
		return false;
	NODE("RMSNormalization", OUT(0), IN(0), IN(1));
	pare_unfuse_copy(u, kept);
	return true;
}

/* ids, segments, words, positions, segment table, gamma, beta, mask, position ids */
static bool embed(struct pare_unfuse *u)
{
	const char *words = NODE("Gather", NULL, IN(2), IN(0)), *where, *sum;

	if (IN(8)) {
		where = NODE("Gather", NULL, IN(3), IN(8));
	} else { /* the first rows, as many as there are ids */
		const char *zero = ints(u, 0), *length = NODE("Shape", NULL, IN(0));

		pare_unfuse_int(u, "start", 1);
		where = NODE("Slice", NULL, IN(3), zero, length, zero);
	}
	sum = NODE("Add", NULL, words, where);
	if (IN(1) && IN(4))
		sum = plus(u, sum, NODE("Gather", NULL, IN(4), IN(1)), NULL);
	if (OUT(2))
		NODE("Identity", OUT(2), sum);
	layer_norm(u, sum, IN(5), IN(6), NULL, NULL);
	if (OUT(1)) { /* how many ids of each text are seen */
		const char *one = ints(u, 1);
		const char *seen = IN(7) ? IN(7) : NODE("Sub", NULL, IN(0), IN(0));

		NODE("ReduceSum", OUT(1), seen, one);
		pare_unfuse_int(u, "keepdims", 0);
	}
	return true;
}

/* ---- attention ------------------------------------------------------------------------------ */

/* [N, T, heads * d] to [N, heads, T, d], keys to [N, heads, d, T]; what has its heads apart stays.
 */
static const char *heads(struct pare_unfuse *u, const char *x, bool key, bool apart)
{
	static const int64_t as_key[] = { 0, 2, 3, 1 }, as_rest[] = { 0, 2, 1, 3 };
	static const int64_t turned[] = { 0, 1, 3, 2 };
	int64_t shape[] = { 0, 0, pare_unfuse_attr_int(u, "num_heads", 1), -1 };
	const char *y = x;

	if (apart && !key)
		return x;
	if (!apart) {
		const char *to = pare_unfuse_ints(u, 4, shape);

		y = NODE("Reshape", NULL, x, to);
	}
	y = NODE("Transpose", NULL, y);
	pare_unfuse_list(u, "perm", 4, apart ? turned : key ? as_key : as_rest);
	return y;
}

/* [N, T] bools: which keys come before the length of each text. */
static const char *before_length(struct pare_unfuse *u, const char *length, const char *count)
{
	const char *one = ints(u, 1), *zero = ints(u, 0), *at, *each;

	at = NODE("Expand", NULL, one, count);
	at = NODE("CumSum", NULL, at, zero);
	pare_unfuse_int(u, "exclusive", 1);
	each = NODE("Cast", NULL, length);
	pare_unfuse_int(u, "to", ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
	each = NODE("Unsqueeze", NULL, each, one);
	return NODE("Less", NULL, at, each);
}

/* What a mask adds to scores [N, heads, S, T]: nothing where it is 1.  Of one axis it counts the
 * keys that are seen, of `count`; NULL: a form that is not read. */
static const char *mask_sum(struct pare_unfuse *u, const char *mask, const char *count)
{
	static const int64_t behind[] = { 1, 2 };
	float filter = pare_unfuse_attr_float(u, "mask_filter_value", -10000);
	const char *one = pare_unfuse_number(u, 1), *by = pare_unfuse_number(u, filter), *axes, *x;
	int rank = pare_unfuse_rank(u, mask);

	if (rank < 1 || rank > 4)
		return NULL;
	x = rank == 1 ? before_length(u, mask, count) : mask;
	x = NODE("Cast", NULL, x);
	pare_unfuse_int(u, "to", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
	x = NODE("Sub", NULL, one, x);
	x = NODE("Mul", NULL, x, by);
	if (rank == 4)
		return x;
	axes = pare_unfuse_ints(u, rank == 3 ? 1 : 2, behind);
	return NODE("Unsqueeze", NULL, x, axes);
}

/* [S, S]: keys behind the query are as good as not there. */
static const char *causal_sum(struct pare_unfuse *u, const char *count)
{
	const char *low = pare_unfuse_number(u, -1e30f), *one = ints(u, 1);
	const char *square = NODE("Concat", NULL, count, count);

	pare_unfuse_int(u, "axis", 0);
	square = NODE("Expand", NULL, low, square);
	return NODE("Trilu", NULL, square, one);
}

struct attention {
	const char *q, *k, *v;          /* [N, heads, S, d], [N, heads, d, T], [N, heads, T, d] */
	const char *mask, *bias, *keys; /* keys: [N, T, …], to count them */
	float scale;                    /* 0 = by d, which Shape tells */
};

static const char *scaled(struct pare_unfuse *u, const struct attention *a, const char *scores)
{
	const char *by;

	if (a->scale != 0) {
		by = pare_unfuse_number(u, a->scale);
		return NODE("Mul", NULL, scores, by);
	}
	by = NODE("Shape", NULL, a->q);
	pare_unfuse_int(u, "start", 3);
	by = NODE("Cast", NULL, by);
	pare_unfuse_int(u, "to", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
	by = NODE("Sqrt", NULL, by);
	return NODE("Div", NULL, scores, by);
}

static bool attend(struct pare_unfuse *u, const struct attention *a)
{
	static const int64_t perm[] = { 0, 2, 1, 3 }, flat[] = { 0, 0, -1 };
	const char *count, *x, *to, *sum;

	x = scaled(u, a, NODE("MatMul", NULL, a->q, a->k));
	count = NODE("Shape", NULL, a->keys);
	pare_unfuse_int(u, "start", pare_unfuse_rank(u, a->keys) == 4 ? 2 : 1);
	pare_unfuse_int(u, "end", pare_unfuse_rank(u, a->keys) == 4 ? 3 : 2);
	if (a->mask) {
		if (!(sum = mask_sum(u, a->mask, count)))
			return false;
		x = NODE("Add", NULL, x, sum);
	}
	if (pare_unfuse_attr_int(u, "unidirectional", 0)) {
		sum = causal_sum(u, count);
		x = NODE("Add", NULL, x, sum);
	}
	x = plus(u, x, a->bias, NULL);
	x = NODE("Softmax", NULL, x);
	pare_unfuse_int(u, "axis", -1);
	x = NODE("MatMul", NULL, x, a->v);
	x = NODE("Transpose", NULL, x);
	pare_unfuse_list(u, "perm", 4, perm);
	to = pare_unfuse_ints(u, 3, flat);
	NODE("Reshape", OUT(0), x, to);
	return true;
}

/* Three parts of the last axis. */
static void split(struct pare_unfuse *u, const char *x, const int64_t size[3], const char *part[3])
{
	const char *sizes = pare_unfuse_ints(u, 3, size);

	part[0] = NODE("Split", NULL, x, sizes);
	part[1] = pare_unfuse_name(u);
	part[2] = pare_unfuse_name(u);
	pare_unfuse_outputs(u, 2, part + 1);
	pare_unfuse_int(u, "axis", -1);
}

/* input, weights [in, q + k + v], bias, mask, past, what is added to scores */
static bool attention(struct pare_unfuse *u)
{
	const Onnx__TensorProto *w = pare_unfuse_constant(u, IN(1));
	const Onnx__AttributeProto *sizes = pare_unfuse_attr(u, "qkv_hidden_sizes");
	int64_t size[3];
	const char *part[3], *x;
	struct attention a = { .mask = IN(3),
		.bias = IN(5),
		.keys = IN(0),
		.scale = pare_unfuse_attr_float(u, "scale", 0) };

	if (IN(4) || IN(6) || OUT(1) || !w || w->n_dims != 2 || (sizes && sizes->n_ints != 3) ||
		pare_unfuse_attr_int(u, "do_rotary", 0))
		return false;
	for (int i = 0; i < 3; i++)
		size[i] = sizes ? sizes->ints[i] : w->dims[1] / 3;
	x = NODE("MatMul", NULL, IN(0), IN(1));
	split(u, plus(u, x, IN(2), NULL), size, part);
	a.q = heads(u, part[0], false, false);
	a.k = heads(u, part[1], true, false);
	a.v = heads(u, part[2], false, false);
	return attend(u, &a);
}

/* query, key, value, bias, mask, what is added to scores, past keys and values */
static bool multi_head(struct pare_unfuse *u)
{
	const Onnx__TensorProto *b = pare_unfuse_constant(u, IN(3));
	bool apart = pare_unfuse_rank(u, IN(1)) == 4;
	const char *x[3] = { IN(0), IN(1), IN(2) }, *part[3];
	struct attention a = { .mask = IN(4),
		.bias = IN(5),
		.keys = IN(1),
		.scale = pare_unfuse_attr_float(u, "scale", 0) };

	if (!x[1] || !x[2] || OUT(1) || OUT(2) || (IN(3) && (!b || b->n_dims != 1 || apart)))
		return false;
	for (size_t i = 6; i < u->n->n_input; i++)
		if (IN(i))
			return false;
	if (b) {
		int64_t size[3] = { b->dims[0] / 3, b->dims[0] / 3, b->dims[0] / 3 };

		split(u, IN(3), size, part);
		for (int i = 0; i < 3; i++)
			x[i] = NODE("Add", NULL, x[i], part[i]);
	}
	a.q = heads(u, x[0], false, false);
	a.k = heads(u, x[1], true, apart);
	a.v = heads(u, x[2], false, apart);
	return attend(u, &a);
}

/* clang-format off */
const struct pare_fused pare_fused_floats[] = {
	{ "Gelu", gelu, "Gelu", NULL },
	{ "BiasGelu", gelu, "Add, Gelu", NULL },
	{ "FastGelu", fast_gelu, "Add, Gelu", NULL },
	{ "QuickGelu", quick_gelu, "Mul, Sigmoid, Mul", NULL },
	{ "FusedConv", fused_conv, "Conv, Add, activation", NULL },
	{ "FusedGemm", fused_gemm, "Gemm, activation", NULL },
	{ "FusedMatMul", fused_matmul, "Transpose, MatMul, Mul", "transposed batches" },
	{ "SkipLayerNormalization", skip_layer_norm, "Add, LayerNormalization", NULL },
	{ "SkipSimplifiedLayerNormalization", skip_simplified, "Add, RMSNormalization",
	  "means and deviations" },
	{ "SimplifiedLayerNormalization", simplified, "RMSNormalization", "deviations" },
	{ "EmbedLayerNormalization", embed, "Gather, Add, LayerNormalization", NULL },
	{ "Attention", attention, "MatMul, Split, MatMul, Softmax, MatMul",
	  "past states, rotary positions, weights that are not constant" },
	{ "MultiHeadAttention", multi_head, "MatMul, Softmax, MatMul",
	  "packed inputs, past states" },
	{ 0 } };
/* clang-format on */
