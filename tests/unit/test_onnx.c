/* Reading and writing files: what is refused and how, what is kept, what comes back. */
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pare-onnx-XXXXXX";

static char *in_folder(const char *name)
{
	static char path[4][128];
	static int next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
	return path[next];
}

static void put_file(const char *name, const void *data, size_t n)
{
	FILE *f = fopen(in_folder(name), "wb");

	if (!f || fwrite(data, 1, n, f) != n || fclose(f))
		abort();
}

/* x [N,4] · w [4,3] → y */
static struct build *product(int opset)
{
	struct build *b = build_new(opset);

	build_input(b, "x", 2, -1, 4);
	build_weight(b, "w", .5f, 2, 4, 3);
	build_node(b, "MatMul", "mm", "x w", "y");
	build_output(b, "y");
	return b;
}

static int refused(struct build *b, enum pare_status want, const char *word)
{
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	enum pare_status st = build_read(b, &m, &err);
	int good = st == want && !m && strstr(err.text, word) && strstr(err.text, "test.onnx");

	printf("# %s\n", err.text);
	pare_model_free(m);
	build_free(b);
	return good;
}

/* ---- what is no model ------------------------------------------------------------------------ */

static void files_that_are_no_onnx(void)
{
	struct build *b = product(13);
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	int good = 1;

	ok(pare_onnx_read("", 0, "e.onnx", &m, &err) == PARE_E_FORMAT && strstr(err.text, "empty"),
		"an empty file");
	ok(pare_onnx_read("hello, world", 12, "t.onnx", &m, &err) == PARE_E_FORMAT &&
			strstr(err.text, "not an ONNX"),
		"a text: %s", err.text);
	ok(pare_model_open(in_folder("nothing"), &m, &err) == PARE_E_IO, "no file: %s", err.text);
	ok(pare_model_open(folder, &m, &err) == PARE_E_IO, "a folder: %s", err.text);
	build_pack(b);
	for (size_t n = 0; n < b->len; n++) {
		err.text[0] = 0;
		good &= pare_onnx_read(b->data, n, "cut.onnx", &m, &err) == PARE_E_FORMAT && !m &&
			strstr(err.text, "cut.onnx");
	}
	ok(good, "a file cut at any of its %zu bytes is refused by name: %s", b->len, err.text);
	build_free(b);
}

static void versions_out_of_range(void)
{
	struct build *b = product(13);

	b->model.ir_version = 99;
	ok(refused(b, PARE_E_UNSUPPORTED, "IR version"), "IR version 99");
	ok(refused(product(0), PARE_E_UNSUPPORTED, "opset"), "opset 0");
	ok(refused(product(99), PARE_E_UNSUPPORTED, "opset"), "opset 99");
	b = product(13);
	b->model.n_opset_import = 0;
	ok(refused(b, PARE_E_FORMAT, "opset"), "no opset at all");
}

static void graphs_that_do_not_hold_together(void)
{
	struct build *b = product(13);
	float nan_at_2[12] = { 0, 0, NAN };

	b->nodes[0]->input[1] = "absent";
	ok(refused(b, PARE_E_FORMAT, "'absent'"), "an input that nothing makes");
	b = product(13);
	build_node(b, "Relu", "again", "x", "y");
	ok(refused(b, PARE_E_FORMAT, "'y'"), "a value made twice");
	b = product(13);
	build_weight(b, "w", 1, 1, 3);
	ok(refused(b, PARE_E_FORMAT, "'w'"), "a constant given twice");
	b = product(13);
	b->nodes[0]->n_input = 1;
	ok(refused(b, PARE_E_FORMAT, "'mm'"), "an input too few");
	b = product(13);
	b->graph.n_output = 0;
	ok(refused(b, PARE_E_FORMAT, "outputs"), "no outputs");
	b = product(13);
	memcpy(b->initializers[0]->raw_data.data, nan_at_2, sizeof nan_at_2);
	ok(refused(b, PARE_E_FORMAT, "NaN"), "NaN in a weight");
	b = product(13);
	b->initializers[0]->dims[0] = (int64_t)1 << 40;
	b->initializers[0]->dims[1] = (int64_t)1 << 40;
	ok(refused(b, PARE_E_FORMAT, "'w'"), "an absurd shape");
	b = product(13);
	b->initializers[0]->dims[0] = -4;
	ok(refused(b, PARE_E_FORMAT, "-4"), "a negative dimension");
	b = product(13);
	b->initializers[0]->raw_data.len--;
	ok(refused(b, PARE_E_FORMAT, "47 bytes"), "data that does not fit its shape");
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* The same six numbers in the field that is made for the type. */
static void typed(Onnx__TensorProto *t, const int *v, enum pare_dtype dtype)
{
	static float f[6];
	static double d[6];
	static int32_t i32[6];
	static int64_t i64[6];
	static uint64_t u64[6];

	t->has_raw_data = false;
	for (int i = 0; i < 6; i++) {
		f[i] = (float)v[i];
		d[i] = v[i];
		i64[i] = v[i];
		u64[i] = (uint64_t)v[i];
		i32[i] = dtype == PARE_F16    ? pare_f32_to_f16((float)v[i])
			 : dtype == PARE_BF16 ? pare_f32_to_bf16((float)v[i])
					      : v[i];
	}
	t->n_float_data = t->n_double_data = t->n_int32_data = t->n_int64_data = t->n_uint64_data =
		0;
	if (dtype == PARE_F32)
		t->n_float_data = 6, t->float_data = f;
	else if (dtype == PARE_F64)
		t->n_double_data = 6, t->double_data = d;
	else if (dtype == PARE_I64)
		t->n_int64_data = 6, t->int64_data = i64;
	else if (dtype == PARE_U64 || dtype == PARE_U32)
		t->n_uint64_data = 6, t->uint64_data = u64;
	else
		t->n_int32_data = 6, t->int32_data = i32;
}

static void every_type_is_read(void)
{
	static const enum pare_dtype types[] = { PARE_F32, PARE_F64, PARE_F16, PARE_BF16, PARE_I8,
		PARE_U8, PARE_I16, PARE_U16, PARE_I32, PARE_U32, PARE_I64, PARE_U64, PARE_BOOL };
	static const int v[6] = { 0, 1, 1, 0, 1, 0 };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		uint8_t zero[64] = { 0 }, packed[256];
		struct build *b = build_new(13);
		struct pare_shape s = { 2, { 2, 3 } };
		Onnx__TensorProto *t = build_tensor(b, "t", types[i], zero, s);
		struct pare_array a = { 0 };
		struct pare_err err = { 0 };
		float f[6] = { 9, 9, 9, 9, 9, 9 };
		enum pare_status st;

		typed(t, v, types[i]);
		put_file("t.pb", packed, onnx__tensor_proto__pack(t, packed));
		st = pare_onnx_tensor_read(in_folder("t.pb"), &a, &err);
		ok(!st && a.dtype == types[i] && !pare_to_f32(a.dtype, a.data, 6, f, &err) &&
				f[0] == 0 && f[1] == 1 && f[3] == 0 && f[4] == 1 && f[5] == 0,
			"%s in the field of its type", pare_dtype_name(types[i]));
		pare_array_free(&a);
		build_free(b);
	}
}

static void weights_become_float(void)
{
	static const enum pare_dtype types[] = { PARE_F16, PARE_BF16, PARE_F64 };

	for (int i = 0; i < 3; i++) {
		struct build *b = build_new(13);
		struct pare_shape s = { 2, { 2, 3 } };
		uint16_t h[6];
		double d[6];
		struct pare_model *m;

		for (int k = 0; k < 6; k++) {
			d[k] = k - 2.5;
			h[k] = types[i] == PARE_F16 ? pare_f32_to_f16((float)d[k])
						    : pare_f32_to_bf16((float)d[k]);
		}
		build_input(b, "x", 2, -1, 2);
		build_tensor(b, "w", types[i], types[i] == PARE_F64 ? (void *)d : h, s);
		build_node(b, "MatMul", "mm", "x w", "y");
		build_output(b, "y");
		m = build_model(b);
		ok(m->info.n_layers == 1 && pare_model_weights(m, 0)[0] == -2.5f &&
				pare_model_weights(m, 0)[5] == 2.5f,
			"%s weights are float32 in the model", pare_dtype_name(types[i]));
		pare_model_free(m);
	}
}

/* Halves between two Casts: all of it in float32, and written so. */
static void a_network_of_halves_is_one_of_floats(void)
{
	static const uint16_t w[4] = { 0x3c00, 0x4000, 0x3800, 0xc000 }; /* 1 2 / 0.5 -2 */
	static const uint16_t bias[2] = { 0x3c01, 0 };                   /* 1 + 2^-10, 0 */
	struct build *b = build_new(13);
	struct pare_array x = { PARE_F32, { 2, { 1, 2 } }, (float[]){ 1, 0x1p-20f } }, y = { 0 };
	struct pare_err err = { 0 };
	struct pare_model *m, *again = NULL;
	void *data = NULL;
	size_t len;

	build_input(b, "x", 2, -1, 2);
	build_tensor(b, "w", PARE_F16, w, (struct pare_shape){ 2, { 2, 2 } });
	build_tensor(b, "b", PARE_F16, bias, (struct pare_shape){ 1, { 2 } });
	build_node(b, "Cast", "", "x", "h");
	build_int(b, "to", 10);
	build_node(b, "MatMul", "mm", "h w", "p");
	build_node(b, "Add", "", "p b", "s");
	build_node(b, "Cast", "", "s", "y");
	build_int(b, "to", 1);
	build_output(b, "y");
	m = build_model(b);
	ok(!pare_model_run(m, &x, &y, &err) && y.dtype == PARE_F32 &&
			((float *)y.data)[0] == 1 + 0x1p-21f + 1 + 0x1p-10f,
		"nothing is rounded to halves on the way");
	ok(pare_model_layer(m, 0)->stored_weight_bits == 16 &&
			pare_model_layer(m, 0)->stored_act_bits == 32,
		"the weight says what it is stored in");
	ok_status(pare_onnx_write(m, NULL, &data, &len, &err), err, "it is written");
	ok_status(pare_onnx_read(data, len, "again.onnx", &again, &err), err, "and read again");
	ok(again && !again->info.n_unsupported && again->info.n_layers == 1, "as it was");
	free(data);
	pare_array_free(&y);
	pare_model_free(again);
	pare_model_free(m);
}

/* Halves that enter and leave, one of them twice: cast there, and float32 in between. */
static void halves_are_cast_at_the_border(void)
{
	static const uint16_t w[4] = { 0x3c00, 0x4000, 0x3800, 0xc000 }; /* 1 2 / 0.5 -2 */
	static const uint16_t bias[2] = { 0x3c01, 0 };                   /* 1 + 2^-10, 0 */
	uint16_t in[2] = { 0x3c00, 0x1000 };                             /* 1, 2^-11 */
	struct build *b = build_new(13);
	struct pare_array x = { PARE_F16, { 2, { 1, 2 } }, in }, y[3] = { 0 };
	struct pare_err err = { 0 };
	struct pare_model *m, *again = NULL;
	char why[PARE_WHY];
	void *data = NULL;
	size_t len;

	build_input_of(b, "x", PARE_F16, (struct pare_shape){ 2, { -1, 2 } });
	build_tensor(b, "w", PARE_F16, w, (struct pare_shape){ 2, { 2, 2 } });
	build_tensor(b, "b", PARE_F16, bias, (struct pare_shape){ 1, { 2 } });
	build_node(b, "MatMul", "mm", "x w", "p");
	build_node(b, "Add", "", "p b", "s");
	build_node(b, "Relu", "", "s", "r");
	for (int i = 0; i < 3; i++) {
		build_output(b, i == 1 ? "r" : "s");
		b->outputs[i]->type->tensor_type->elem_type = 10;
	}
	m = build_model(b);
	ok(pare_model_running(m, why) == PARE_RUNS_BATCHED &&
			pare_model_layer(m, 0)->stored_weight_bits == 16,
		"it runs side by side, and its weights are said to be halves %s", why);
	ok_status(pare_model_run(m, &x, y, &err), err, "it runs");
	/* 1 + 2^-12 + 1 + 2^-10 is 2 in halves if the sum before were one, else 2 + 2^-9 */
	ok(y[0].data && y[0].dtype == PARE_F16 && !memcmp(y[0].data, y[2].data, 4) &&
			((uint16_t *)y[0].data)[0] == 0x4001 &&
			((uint16_t *)y[1].data)[0] == 0x4001,
		"nothing is rounded to halves on the way");
	ok_status(pare_onnx_write(m, NULL, &data, &len, &err), err, "it is written");
	ok_status(pare_onnx_read(data, len, "again.onnx", &again, &err), err, "and read again");
	ok(again && again->inputs[0].dtype == PARE_F16 && again->outputs[1].dtype == PARE_F16 &&
			again->info.n_layers == 1,
		"as it was outside");
	free(data);
	for (int i = 0; i < 3; i++)
		pare_array_free(&y[i]);
	pare_model_free(again);
	pare_model_free(m);
}

/* A model that is quantized already: its layers say what they are stored in. */
static void stored_bits_are_told(void)
{
	static const char *const ops[] = { "DequantizeLinear", "Mul", "Cast" };
	static const int8_t q[12] = { 1, -2, 3 };
	static const uint16_t half[12] = { 0x3c00, 0x4000 };
	float scale = .5f;
	uint8_t zero = 128;

	for (int i = 0; i < 3; i++) {
		struct build *b = build_new(13);
		struct pare_model *m;

		build_input(b, "x", 2, -1, 4);
		build_tensor(b, "scale", PARE_F32, &scale, (struct pare_shape){ 0 });
		build_tensor(b, "zero", PARE_U8, &zero, (struct pare_shape){ 0 });
		build_tensor(b, "q", i < 2 ? PARE_I8 : PARE_F16, i < 2 ? (const void *)q : half,
			(struct pare_shape){ 2, { 4, 3 } });
		if (i) {
			build_node(b, "Cast", "", "q", i == 1 ? "whole" : "w");
			build_int(b, "to", 1);
		}
		if (i < 2)
			build_node(b, ops[i], "", i ? "whole scale" : "q scale", "w");
		build_node(b, "QuantizeLinear", "", "x scale zero", "xq");
		build_node(b, "DequantizeLinear", "", "xq scale zero", "xd");
		build_node(b, "MatMul", "mm", i ? "x w" : "xd w", "y");
		build_output(b, "y");
		m = build_model(b);
		ok(pare_model_layer(m, 0)->stored_weight_bits == (i < 2 ? 8 : 16) &&
				pare_model_layer(m, 0)->stored_act_bits == (i ? 32 : 8) &&
				pare_model_weights(m, 0)[1] == (i < 2 ? -1.f : 2.f),
			"a weight behind %s: %d and %d bits", ops[i],
			pare_model_layer(m, 0)->stored_weight_bits,
			pare_model_layer(m, 0)->stored_act_bits);
		pare_model_free(m);
	}
}

/* Axes that the file leaves open. */
static void shapes_can_be_given(void)
{
	static const struct {
		const char *shapes;
		enum pare_status st;
		const char *says;
	} wrong[] = { { "x=N,4,8", PARE_E_MISMATCH, "cannot be" },
		{ "z=1", PARE_E_ARG, "it has 'x'" }, { "x", PARE_E_ARG, "no shape" },
		{ "x=1,N,8", PARE_E_ARG, "no shape" }, { "x=0,3,8", PARE_E_ARG, "no shape" },
		{ "x=1,3,8,", PARE_E_ARG, "no shape" } };
	struct build *b = build_new(13);
	struct pare_model *m = NULL;
	struct pare_err err = { 0 };

	build_input(b, "x", 3, -1, 3, -1);
	build_weight(b, "w", .5f, 3, 4, 3, 3);
	build_node(b, "Conv", "conv", "x w", "y");
	build_output(b, "y");
	build_pack(b);
	put_file("open.onnx", b->data, b->len);
	build_free(b);
	ok(!pare_model_open(in_folder("open.onnx"), &m, &err) && m->info.macs < 0 &&
			!*m->info.shapes,
		"nothing is known of an axis that is left open");
	pare_model_free(m);
	m = NULL;
	ok(!pare_model_open_as(in_folder("open.onnx"), " x=N,3,8", &m, &err) &&
			m->info.macs == 4 * 3 * 3 * 6 && m->inputs[0].shape.d[0] == -1 &&
			m->layers[0].group < 0 && m->layers[0].output.d[2] == 6,
		"with a shape all is: %s", err.text);
	pare_model_free(m);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ok(pare_model_open_as(in_folder("open.onnx"), wrong[i].shapes, &m, &err) ==
					wrong[i].st &&
				strstr(err.text, wrong[i].says),
			"%s", err.text);
}

/* Files say in several ways that a value is a constant. */
static void weights_are_found_wherever_they_are(void)
{
	static const char *const ways[] = { "an initializer", "a Constant node",
		"listed as an input too", "with an unused domain" };

	for (int i = 0; i < 4; i++) {
		struct build *b = build_new(13);
		Onnx__OperatorSetIdProto other = ONNX__OPERATOR_SET_ID_PROTO__INIT,
					 *both[2] = { b->model.opset_import[0], &other };
		struct pare_model *m;

		build_input(b, "x", 4, -1, 2, 5, 5);
		build_weight(b, "w", .5f, 4, 3, 2, 1, 1);
		if (i == 1) {
			Onnx__AttributeProto *a;
			Onnx__TensorProto *t = b->initializers[--b->graph.n_initializer];

			build_node(b, "Constant", "", "", "w")->n_input = 0;
			a = build_int(b, "value", 0);
			a->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
			a->has_i = false;
			a->t = t;
		}
		if (i == 2)
			build_input(b, "w", 4, 3, 2, 1, 1);
		if (i == 3) {
			other.domain = (char *)"ai.onnx.ml";
			other.has_version = true;
			other.version = 99;
			b->model.opset_import = both;
			b->model.n_opset_import = 2;
		}
		build_node(b, "Conv", "conv", "x w", "y");
		build_output(b, "y");
		m = build_model(b);
		ok(m && m->info.n_layers == 1 && m->info.n_inputs == 1 &&
				pare_model_weights(m, 0)[1] == 1.f && !m->info.n_unsupported,
			"a weight %s is a layer's", ways[i]);
		pare_model_free(m);
	}
}

static void large_weights_are_not_copied(void)
{
	struct build *b = build_new(13);
	const char *w[3];
	struct pare_model *m;

	build_input(b, "x", 2, -1, 64);
	/* names of three lengths: two of them leave the data unaligned in the file */
	build_weight(b, "w", .5f, 2, 64, 64);
	build_weight(b, "ww", .25f, 2, 64, 64);
	build_weight(b, "www", .125f, 2, 64, 64);
	build_node(b, "MatMul", "", "x w", "a");
	build_node(b, "MatMul", "", "a ww", "b");
	build_node(b, "MatMul", "", "b www", "y");
	build_output(b, "y");
	m = build_model(b);
	for (int i = 0; i < 3; i++)
		w[i] = (const char *)pare_model_weights(m, i);
	ok(w[1] > w[0] && w[1] < w[0] + 17000 && w[2] > w[1] && w[2] < w[1] + 17000,
		"they lie in the buffer that was read");
	ok((uintptr_t)w[0] % 4 == 0 && (uintptr_t)w[1] % 4 == 0 && (uintptr_t)w[2] % 4 == 0,
		"aligned");
	ok(pare_model_weights(m, 0)[4095] == .5f && pare_model_weights(m, 1)[0] == .25f &&
			pare_model_weights(m, 1)[4095] == .25f &&
			pare_model_weights(m, 2)[4094] == .625f,
		"and whole");
	pare_model_free(m);
}

/* ---- external data --------------------------------------------------------------------------- */

static Onnx__StringStringEntryProto *entry(struct build *b, const char *key, const char *value)
{
	Onnx__StringStringEntryProto *e = pare_alloc(b->a, sizeof *e);

	*e = (Onnx__StringStringEntryProto)ONNX__STRING_STRING_ENTRY_PROTO__INIT;
	e->key = (char *)key;
	e->value = (char *)value;
	return e;
}

static enum pare_status open_external(const char *location, const char *offset, const char *length,
	struct pare_model **m, struct pare_err *err)
{
	struct build *b = product(13);
	Onnx__TensorProto *t = b->initializers[0];
	enum pare_status st;

	*m = NULL;
	t->has_raw_data = false;
	t->has_data_location = true;
	t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	t->external_data = pare_alloc_n(b->a, 3, sizeof *t->external_data);
	t->external_data[t->n_external_data++] = entry(b, "location", location);
	t->external_data[t->n_external_data++] = entry(b, "offset", offset);
	if (length)
		t->external_data[t->n_external_data++] = entry(b, "length", length);
	build_pack(b);
	put_file("ext.onnx", b->data, b->len);
	build_free(b);
	st = pare_model_open(in_folder("ext.onnx"), m, err);
	if (st)
		printf("# %s\n", err->text);
	return st;
}

/* The hash pins the weights too: it is that of both files, one after the other. */
static void the_hash_is_of_all_files(void)
{
	float data[16] = { 1, 2, 3, 4 };
	char got[PARE_SHA_HEX], want[PARE_SHA_HEX], command[512];
	struct pare_err err = { 0 };
	struct pare_model *m;
	FILE *f;
	int good;

	put_file("w.bin", data, sizeof data);
	good = !open_external("w.bin", "16", "48", &m, &err);
	strcpy(got, good ? pare_model_info(m)->sha256 : "");
	pare_model_free(m);
	snprintf(command, sizeof command, "cat %s %s | sha256sum", in_folder("ext.onnx"),
		in_folder("w.bin"));
	f = popen(command, "r");
	good = good && f && fread(want, 1, PARE_SHA_HEX - 1, f) == PARE_SHA_HEX - 1;
	if (f)
		pclose(f);
	ok(good && !strncmp(got, want, PARE_SHA_HEX - 1), "cat model data | sha256sum: %.12s", got);
	data[9] = 5;
	put_file("w.bin", data, sizeof data);
	ok(!open_external("w.bin", "16", "48", &m, &err) && strcmp(got, pare_model_info(m)->sha256),
		"another weight, another hash");
	pare_model_free(m);
}

static void data_beside_the_file(void)
{
	float data[16];
	struct pare_err err = { 0 };
	struct pare_model *m;

	for (int i = 0; i < 16; i++)
		data[i] = (float)i;
	put_file("w.bin", data, sizeof data);
	ok_status(open_external("w.bin", "16", "48", &m, &err), err, "external data");
	ok(m && pare_model_weights(m, 0)[0] == 4 && pare_model_weights(m, 0)[11] == 15,
		"from its offset on");
	pare_model_free(m);
	ok(open_external("w.bin", "20", NULL, &m, &err) == PARE_E_FORMAT && strstr(err.text, "'w'"),
		"behind the end");
	ok(open_external("w.bin", "16", "44", &m, &err) == PARE_E_FORMAT, "another length");
	ok(open_external("w.bin", "-1", NULL, &m, &err) == PARE_E_FORMAT, "a negative offset");
	ok(open_external("none.bin", "0", NULL, &m, &err) == PARE_E_IO, "no such file");
	ok(open_external("../w.bin", "0", NULL, &m, &err) == PARE_E_FORMAT &&
			open_external("a/../../w.bin", "0", NULL, &m, &err) == PARE_E_FORMAT &&
			open_external("/etc/passwd", "0", NULL, &m, &err) == PARE_E_FORMAT,
		"a path out of the folder");
	if (symlink("/etc/passwd", in_folder("link.bin")))
		abort();
	ok(open_external("link.bin", "0", NULL, &m, &err) == PARE_E_FORMAT &&
			strstr(err.text, "outside"),
		"a link out of the folder");
}

/* ---- forms ----------------------------------------------------------------------------------- */

static void old_attributes_are_inputs(void)
{
	struct build *b = build_new(7);
	struct pare_model *m;
	const struct pare_node *n;

	build_input(b, "x", 2, -1, 4);
	build_node(b, "Clip", "clip", "x", "y");
	build_float(b, "max", 6);
	build_output(b, "y");
	m = build_model(b);
	n = &m->graph.nodes[0];
	ok(n->op && n->n_in == 3 && n->in[1] == -1 && n->in[2] >= 0 &&
			m->graph.vars[n->in[2]].declared.value->f32[0] == 6,
		"Clip of opset 7 reads its bound as an input, the absent one stays absent");
	pare_model_free(m);
}

static void inputs_that_are_constants(void)
{
	struct build *b = product(13);
	struct pare_model *m;

	build_input(b, "w", 2, 4, 3);
	m = build_model(b);
	ok(m->info.n_inputs == 1 && m->info.n_layers == 1,
		"a constant that is listed as an input is none");
	pare_model_free(m);
}

static void attributes_that_are_not_known(void)
{
	struct build *b = product(13);
	struct pare_model *m;

	build_int(b, "novelty", 3);
	m = build_model(b);
	ok(m->info.n_unsupported == 1 && strstr(pare_model_unsupported(m, 0)->why, "novelty"),
		"the node is refused by the attribute's name");
	pare_model_free(m);
	b = build_new(13);
	build_input(b, "x", 2, -1, 4);
	build_node(b, "Softmax", "sm", "x", "y");
	build_float(b, "axis", 1);
	build_output(b, "y");
	ok(refused(b, PARE_E_FORMAT, "'axis'"), "an attribute of another type is an error");
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct pare_model *
reread(const struct pare_model *m, const struct pare_write_spec *spec, int *good)
{
	struct pare_err err = { 0 };
	struct pare_model *again = NULL;
	void *one = NULL, *two = NULL;
	size_t n = 0, n2 = 0;
	int64_t size = 0;

	*good = !pare_onnx_write(m, spec, &one, &n, &err) &&
		!pare_onnx_write(m, spec, &two, &n2, &err) && n == n2 && !memcmp(one, two, n) &&
		!pare_onnx_size(m, spec, &size, &err) && (size_t)size == n &&
		!pare_onnx_read(one, n, "again.onnx", &again, &err);
	if (!*good)
		printf("# %s\n", err.text);
	free(one);
	free(two);
	return again;
}

static struct pare_model *small_net(void)
{
	struct build *b = build_new(13);

	build_input(b, "image", 4, -1, 2, 6, 6);
	build_weight(b, "w0", .125f, 4, 4, 2, 3, 3);
	build_weight(b, "b0", -.5f, 1, 4);
	build_weight(b, "w1", .0625f, 2, 64, 3);
	build_node(b, "Conv", "conv", "image w0 b0", "c");
	build_ints(b, "strides", 2, 1, 1);
	build_node(b, "Relu", "relu", "c", "r");
	build_node(b, "Flatten", "flat", "r", "f");
	build_node(b, "Gemm", "fc", "f w1", "scores");
	build_float(b, "alpha", .5f);
	build_output(b, "scores");
	return build_model(b);
}

static void run(const struct pare_model *m, float out[6])
{
	struct pare_array x = { PARE_F32, { 4, { 2, 2, 6, 6 } }, NULL }, y = { 0 };
	struct pare_err err = { 0 };

	x.data = malloc(144 * sizeof(float));
	for (int i = 0; i < 144; i++)
		((float *)x.data)[i] = (float)(i * 7 % 23) * .1f - 1;
	if (pare_model_run(m, &x, &y, &err) || pare_shape_elems(&y.shape) != 6) {
		printf("# %s\n", err.text);
		abort();
	}
	memcpy(out, y.data, 6 * sizeof(float));
	pare_array_free(&x);
	pare_array_free(&y);
}

static void what_is_written_is_the_same_network(void)
{
	struct pare_model *m = small_net(), *again;
	float want[6], got[6];
	int good;

	again = reread(m, NULL, &good);
	ok(good, "written twice to the same bytes, of the size that was told, and read again");
	ok(!strcmp(again->inputs[0].name, "image") && again->inputs[0].shape.d[0] == -1 &&
			again->inputs[0].shape.d[1] == 2 &&
			!strcmp(again->outputs[0].name, "scores"),
		"inputs and outputs keep names and the free batch");
	ok(again->outputs[0].shape.n == 2 && again->outputs[0].shape.d[0] == -1 &&
			again->outputs[0].shape.d[1] == 3,
		"an output without a declared shape gets the one that follows");
	run(m, want);
	run(again, got);
	ok(!memcmp(want, got, sizeof want), "and it computes the same");
	pare_model_free(m);
	pare_model_free(again);
}

/* What ONNX wants said is said, even where older opsets had it as a default. */
static void the_axis_of_concat_is_written(void)
{
	struct build *b = build_new(13);
	struct pare_model *m = NULL;
	struct pare_err err = { 0 };
	Onnx__ModelProto *p;
	void *data = NULL;
	size_t n = 0;

	build_input(b, "x", 2, -1, 4);
	build_node(b, "Concat", "", "x x", "y");
	build_output(b, "y");
	ok(build_read(b, &m, &err) == PARE_E_FORMAT && strstr(err.text, "axis"), "no axis: %s",
		err.text);
	build_int(b, "axis", 1);
	m = build_model(b);
	ok_status(pare_onnx_write(m, NULL, &data, &n, &err), err, "a Concat along axis 1");
	p = onnx__model_proto__unpack(NULL, n, data);
	ok(p && p->graph->node[0]->n_attribute == 1 && p->graph->node[0]->attribute[0]->i == 1,
		"says its axis");
	onnx__model_proto__free_unpacked(p, NULL);
	free(data);
	pare_model_free(m);
}

static bool same_quantizer(const struct pare_act_quant *a, const struct pare_act_quant *b)
{
	return a->on == b->on && a->scale == b->scale && a->zero == b->zero && a->lo == b->lo &&
	       a->hi == b->hi;
}

static void halves_are_written_behind_a_cast(void)
{
	struct pare_model *m = small_net(), *again;
	struct pare_weight_store store[2] = { { .dtype = PARE_F16 }, { .dtype = PARE_BF16 } };
	struct pare_act_quant acts[2] = { { 0 }, { true, .2f, 0, -128, 127, false } };
	struct pare_write_spec spec = { .weights = store, .acts = acts };
	int good;

	Onnx__ModelProto *p;
	void *data = NULL;
	size_t n = 0;

	good = !pare_onnx_write(m, &spec, &data, &n, NULL);
	p = good ? onnx__model_proto__unpack(NULL, n, data) : NULL;
	good = 0;
	for (size_t i = 0; p && i < p->graph->n_node; i++)
		good += !strcmp(p->graph->node[i]->op_type, "Clip");
	ok(good == 1, "a layer with float weights has a Clip behind its quantizer");
	onnx__model_proto__free_unpacked(p, NULL);
	free(data);
	again = reread(m, &spec, &good);
	ok(good && again->graph.n_nodes == 4 && !again->acts[0].on &&
			same_quantizer(&again->acts[1], &acts[1]),
		"and both are its quantizer when read again");
	ok(good && again->info.n_layers == 2 && !strcmp(again->layers[0].name, "conv"),
		"float16 and bfloat16 weights are read again as layers");
	good = 1;
	for (int i = 0; i < 144; i++)
		good &= pare_model_weights(again, 0)[i % 72] ==
			pare_f16_to_f32(pare_f32_to_f16(pare_model_weights(m, 0)[i % 72]));
	ok(good, "with rounded values");
	pare_model_free(m);
	pare_model_free(again);
}

static void quantized_weights_come_back(void)
{
	struct pare_model *m = small_net(), *again;
	float scale[4] = { .5f, .25f, 2, 1 }, one = .125f;
	int8_t q0[72], q1[192], zero[4] = { 0, 3, -2, 7 };
	struct pare_weight_store store[2] = { { PARE_I4, 0, 0, 4, scale, zero, q0, true },
		{ PARE_I8, -1, 0, 1, &one, NULL, q1, false } };
	struct pare_act_quant acts[2] = { { true, .1f, 3, -128, 127, false },
		{ true, .2f, 9, 0, 255, false } };
	struct pare_write_spec spec = { .weights = store, .acts = acts, .recipe_sha = "0123abcd" };
	int good, same = 1;

	for (int i = 0; i < 72; i++)
		q0[i] = (int8_t)(i % 16 - 8);
	for (int i = 0; i < 192; i++)
		q1[i] = (int8_t)(i - 100);
	again = reread(m, &spec, &good);
	ok(good && again->info.opset == 21, "int4 asks for opset 21");
	good &= again->info.n_layers == 2;
	for (int i = 0; good && i < 72; i++)
		same &= pare_model_weights(again, 0)[i] ==
			(float)(q0[i] - zero[i / 18]) * scale[i / 18];
	for (int i = 0; good && i < 192; i++)
		same &= pare_model_weights(again, 1)[i] == (float)q1[i] * one;
	ok(good && same,
		"int4 per channel with zero points and int8 per tensor are what they stand for");
	ok(again->graph.n_nodes == 4 && same_quantizer(&again->acts[0], &acts[0]) &&
			same_quantizer(&again->acts[1], &acts[1]),
		"and so are the quantizers before the layers");
	pare_model_free(again);
	store[0].n_scales = 3;
	again = reread(m, &spec, &good);
	ok(!good, "scales that do not fit the axis are refused");
	pare_model_free(again);
	pare_model_free(m);
}

static void what_cannot_be_said_is_not_written(void)
{
	struct build *b = build_new(11);
	struct pare_model *m, *again;
	int good;

	build_input(b, "x", 3, -1, 4, 3);
	build_node(b, "Softmax", "flat", "x", "y");
	build_output(b, "y");
	m = build_model(b);
	again = reread(m, NULL, &good);
	ok(!good && !again, "Softmax over two axes, as before opset 13, is refused");
	pare_model_free(m);
	b = build_new(11);
	build_input(b, "x", 3, -1, 4, 1);
	build_node(b, "Softmax", "flat", "x", "y");
	build_output(b, "y");
	m = build_model(b);
	again = reread(m, NULL, &good);
	ok(good && again->info.opset == 13, "over one, it is the Softmax of opset 13");
	pare_model_free(m);
	pare_model_free(again);
}

/* ---- conformance ----------------------------------------------------------------------------- */

static void put_tensor(struct build *b, const char *name, float first)
{
	struct pare_shape s = { 1, { 3 } };
	float v[3] = { first, -1, 2 };
	Onnx__TensorProto *t = pare_proto_tensor(b->a, "t", PARE_F32, &s, v);
	uint8_t buf[128];

	put_file(name, buf, onnx__tensor_proto__pack(t, buf));
}

static void test_cases_are_judged(void)
{
	struct build *b = build_new(13);
	char why[256];

	build_input(b, "x", 1, 3);
	build_node(b, "Neg", "", "x", "y");
	build_output(b, "y");
	build_pack(b);
	put_file("model.onnx", b->data, b->len);
	if (mkdir(in_folder("test_data_set_0"), 0700))
		abort();
	put_tensor(b, "test_data_set_0/input_0.pb", 5);
	put_tensor(b, "test_data_set_0/output_0.pb", -5);
	ok(pare_conform(folder, why) == PARE_CASE_FAILED && strstr(why, "element 1 is 1, not -1"),
		"a wrong element: %s", why);
	b->nodes[0]->op_type = "Identity";
	build_pack(b);
	put_file("model.onnx", b->data, b->len);
	put_tensor(b, "test_data_set_0/output_0.pb", 5.004f);
	ok(pare_conform(folder, why) == PARE_CASE_PASSED, "near enough: %s", why);
	b->nodes[0]->op_type = "Mystery";
	build_pack(b);
	put_file("model.onnx", b->data, b->len);
	ok(pare_conform(folder, why) == PARE_CASE_UNSUPPORTED && strstr(why, "Mystery"),
		"an unknown operator: %s", why);
	build_free(b);
}

int main(void)
{
	char command[64];

	if (!mkdtemp(folder))
		return 1;
	files_that_are_no_onnx();
	versions_out_of_range();
	graphs_that_do_not_hold_together();
	every_type_is_read();
	weights_become_float();
	a_network_of_halves_is_one_of_floats();
	halves_are_cast_at_the_border();
	stored_bits_are_told();
	shapes_can_be_given();
	weights_are_found_wherever_they_are();
	large_weights_are_not_copied();
	data_beside_the_file();
	the_hash_is_of_all_files();
	old_attributes_are_inputs();
	inputs_that_are_constants();
	attributes_that_are_not_known();
	what_is_written_is_the_same_network();
	the_axis_of_concat_is_written();
	halves_are_written_behind_a_cast();
	quantized_weights_come_back();
	what_cannot_be_said_is_not_written();
	test_cases_are_judged();
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command) | tap_done();
}
