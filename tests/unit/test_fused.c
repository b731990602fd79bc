/* Operators of com.microsoft are read as what they stand for. */
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>

static Onnx__NodeProto *
fused(struct build *b, const char *op, const char *name, const char *in, const char *out)
{
	Onnx__NodeProto *n = build_node(b, op, name, in, out);

	n->domain = "com.microsoft";
	return n;
}

static void word(struct build *b, const char *name, const char *v)
{
	Onnx__AttributeProto *p = build_int(b, name, 0);

	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
	p->has_i = false;
	p->has_s = true;
	p->s = (ProtobufCBinaryData){ strlen(v), (uint8_t *)v };
}

/* Output 0 for one input of floats [1, n]. */
static bool gives(const struct pare_model *m, float *x, int n, const float *want, int n_want)
{
	struct pare_array in = { PARE_F32, { 2, { 1, n } }, x }, out[4] = { 0 };
	struct pare_err err = { 0 };
	bool good = !pare_model_run(m, &in, out, &err) && pare_shape_elems(&out[0].shape) == n_want;

	if (*err.text)
		printf("# %s\n", err.text);
	for (int i = 0; i < n_want && good; i++)
		good = fabsf(((float *)out[0].data)[i] - want[i]) < 1e-5f;
	for (int i = 0; i < 4; i++)
		pare_array_free(&out[i]);
	return good;
}

static void a_fused_layer_is_a_layer(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, 1, 1, 3, 3);
	build_weight(b, "w", 1, 4, 2, 1, 1, 1);
	fused(b, "FusedConv", "first", "x w", "y");
	word(b, "activation", "Relu");
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_info(m)->n_layers == 1 && !strcmp(pare_model_layer(m, 0)->name, "first") &&
			!strcmp(pare_model_layer(m, 0)->op, "Conv") &&
			!strcmp(pare_model_node(m, 1)->op, "Relu"),
		"FusedConv is a Conv, a layer of its name, and a Relu");
	pare_model_free(m);
}

static void gelu_has_a_bias(void)
{
	struct build *b = build_new(13);
	float x[2] = { 1, -3 };
	struct pare_model *m;

	build_input(b, "x", 2, 1, 2);
	build_weight(b, "bias", 1, 1, 2); /* 1, 2 */
	fused(b, "BiasGelu", "", "x bias", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(gives(m, x, 2, (float[]){ 1.9544997f, -0.15865526f }, 2), "Gelu of 2 and of -1");
	pare_model_free(m);
}

static void sums_are_normalized(void)
{
	struct build *b = build_new(13);
	float x[2] = { 1, 1 };
	struct pare_model *m;

	build_input(b, "x", 2, 1, 2);
	build_weight(b, "skip", 1, 1, 2);
	build_weight(b, "gamma", 3, 1, 2);
	fused(b, "SkipLayerNormalization", "", "x skip gamma", "y - - sum");
	build_output(b, "y");
	build_output(b, "sum");
	m = build_model(b); /* 2, 3: half a step to either side of the mean */
	ok(gives(m, x, 2, (float[]){ -3, 6 }, 2), "x + skip, normalized, by gamma");
	pare_model_free(m);
}

/* Codes 1, 2 … of 16, the scale 0.5, the zero point 8 unless there is one. */
static void four_bits_are_a_weight(bool zero)
{
	struct build *b = build_new(13);
	uint8_t codes[16] = { 0x21, 0x43 }, point = 1;
	float scale = 0.5f, x[16] = { 1, 10 };
	struct pare_model *m;

	build_input(b, "x", 2, 1, 16);
	build_tensor(b, "w", PARE_U8, codes, (struct pare_shape){ 3, { 1, 1, 8 } });
	build_tensor(b, "scale", PARE_F32, &scale, (struct pare_shape){ 1, { 1 } });
	build_tensor(b, "zero", PARE_U8, &point, (struct pare_shape){ 1, { 1 } });
	fused(b, "MatMulNBits", "product", zero ? "x w scale zero" : "x w scale", "y");
	build_int(b, "K", 16);
	build_int(b, "N", 1);
	build_int(b, "bits", 4);
	build_int(b, "block_size", 16);
	build_output(b, "y");
	m = build_model(b);
	ok(gives(m, x, 16, zero ? (float[]){ 5 } : (float[]){ -33.5f }, 1),
		"codes less %s, by their scale, times x", zero ? "their zero point" : "8");
	ok(pare_model_info(m)->n_layers == 1 && pare_model_layer(m, 0)->stored_weight_bits == 4,
		"a layer of 4 bits: %d", pare_model_layer(m, 0)->stored_weight_bits);
	pare_model_free(m);
}

static void what_is_not_read_is_said(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 2, 2, 2);
	fused(b, "FusedMatMul", "", "x x", "y");
	build_int(b, "transBatchA", 1);
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_info(m)->n_unsupported == 1 &&
			strstr(pare_model_unsupported(m, 0)->why, "transposed batches"),
		"%s", pare_model_unsupported(m, 0)->why);
	pare_model_free(m);
}

int main(void)
{
	a_fused_layer_is_a_layer();
	gelu_has_a_bias();
	sums_are_normalized();
	four_bits_are_a_weight(false);
	four_bits_are_a_weight(true);
	what_is_not_read_is_said();
	return tap_done();
}
