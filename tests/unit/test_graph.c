/* Simplification, shapes, channel groups and edits on graphs drawn by hand. */
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>

static const struct pare_layer *layer(const struct pare_model *m, const char *name)
{
	int i = pare_model_find_layer(m, name);

	if (i < 0) {
		printf("# no layer '%s'\n", name);
		abort();
	}
	return pare_model_layer(m, i);
}

static int same_group(const struct pare_model *m, const char *a, const char *b)
{
	return layer(m, a)->group >= 0 && layer(m, a)->group == layer(m, b)->group;
}

static int stuck(const struct pare_model *m, const char *name, const char *why)
{
	const struct pare_layer *l = layer(m, name);

	if (l->group < 0 && strstr(l->stuck, why))
		return 1;
	printf("# %s: group %d, %s\n", name, l->group, l->stuck ? l->stuck : "not stuck");
	return 0;
}

/* A convolution of 3×3 that keeps the size. */
static void conv(struct build *b, const char *name, const char *in, const char *out, int channels,
	int per_group, int groups)
{
	char w[32], ins[64];

	snprintf(w, sizeof w, "%s.w", name);
	snprintf(ins, sizeof ins, "%s %s", in, w);
	build_weight(b, pare_strdup(b->a, w), .25f, 4, channels, per_group, 3, 3);
	build_node(b, "Conv", name, pare_strdup(b->a, ins), out);
	build_ints(b, "pads", 4, 1, 1, 1, 1);
	if (groups > 1)
		build_int(b, "group", groups);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void residual_adds_share_a_group(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 8, 8);
	conv(b, "stem", "x", "s", 8, 3, 1);
	build_node(b, "Relu", "r0", "s", "s1");
	conv(b, "inner", "s1", "i", 6, 8, 1);
	conv(b, "outer", "i", "o", 8, 6, 1);
	build_node(b, "Add", "a0", "o s1", "t");
	conv(b, "second", "t", "u", 8, 8, 1);
	build_node(b, "Add", "a1", "u t", "v");
	conv(b, "last", "v", "y", 4, 8, 1);
	build_output(b, "y");
	m = build_model(b);
	ok(same_group(m, "stem", "outer") && same_group(m, "stem", "second"),
		"what a residual chain adds up is one group");
	ok(layer(m, "inner")->group >= 0 && !same_group(m, "inner", "stem"),
		"the channels inside of a block are their own");
	ok(stuck(m, "last", "output 'y'"), "what the graph gives out cannot be cut");
	pare_model_free(m);
}

static void concat_keeps_branches_apart(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 8, 8);
	conv(b, "left", "x", "l", 4, 3, 1);
	conv(b, "right", "x", "r", 6, 3, 1);
	build_node(b, "Concat", "cat", "l r", "c");
	build_int(b, "axis", 1);
	conv(b, "depthwise", "c", "d", 10, 1, 10);
	build_node(b, "GlobalAveragePool", "gap", "d", "g");
	build_node(b, "Flatten", "flat", "g", "f");
	build_weight(b, "fc.w", .5f, 2, 10, 5);
	build_node(b, "Gemm", "fc", "f fc.w", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(layer(m, "left")->group >= 0 && layer(m, "right")->group >= 0 &&
			!same_group(m, "left", "right"),
		"branches of a Concat are groups of their own, through depthwise and Flatten");
	ok(stuck(m, "depthwise", "several"), "depthwise behind a Concat follows several groups");
	pare_model_free(m);
}

static void depthwise_follows_its_input(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 4, 4);
	conv(b, "first", "x", "a", 6, 3, 1);
	conv(b, "depth", "a", "b", 6, 1, 6);
	conv(b, "point", "b", "c", 4, 6, 1);
	conv(b, "twice", "c", "d", 8, 1, 4);
	build_node(b, "Flatten", "flat", "d", "f");
	build_weight(b, "fc.w", .5f, 2, 128, 5);
	build_node(b, "Gemm", "fc", "f fc.w", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(same_group(m, "first", "depth"), "depthwise loses the channels that come in");
	ok(same_group(m, "point", "twice"), "with two outputs a channel too, and Flatten passes");
	pare_model_free(m);
}

static void what_cannot_be_followed_says_why(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 4, 4, 4);
	conv(b, "tied", "x", "a", 4, 4, 1);
	build_node(b, "Add", "add", "a x", "s");
	conv(b, "before", "s", "c", 4, 4, 1);
	conv(b, "grouped", "c", "d", 4, 2, 2);
	conv(b, "lost", "d", "e", 4, 4, 1);
	build_node(b, "Mystery", "what", "e", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(stuck(m, "tied", "input 'x'"), "added to the input");
	ok(layer(m, "before")->group >= 0 && m->groups[layer(m, "before")->group].n == 2,
		"grouped, not depthwise: a channel of each group goes with one of the other");
	ok(stuck(m, "lost", "Mystery 'what'"), "an operator that pare does not know");
	ok(m->info.n_unsupported == 1 && !strcmp(pare_model_unsupported(m, 0)->node, "what") &&
			!strcmp(pare_model_unsupported(m, 0)->op, "Mystery"),
		"it is listed, and the rest is there");
	pare_model_free(m);
}

static void broadcasting_over_channels_keeps_its_one(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 4, 4);
	conv(b, "body", "x", "a", 6, 3, 1);
	conv(b, "mask", "x", "k", 1, 3, 1);
	build_node(b, "GlobalAveragePool", "gap", "a", "g");
	conv(b, "squeeze", "g", "q", 2, 6, 1);
	conv(b, "excite", "q", "e", 6, 2, 1);
	build_node(b, "Mul", "gate", "a e", "b");
	build_node(b, "Mul", "hide", "b k", "c");
	conv(b, "last", "c", "y", 2, 6, 1);
	build_output(b, "y");
	m = build_model(b);
	ok(same_group(m, "body", "excite"), "a gate per channel goes with the channels it gates");
	ok(layer(m, "squeeze")->group >= 0 && !same_group(m, "squeeze", "body"),
		"what is squeezed does not");
	ok(stuck(m, "mask", "broadcast"), "one channel over all others stays");
	pare_model_free(m);
}

/* ---- simplification -------------------------------------------------------------------------- */

static void batch_normalization_goes_into_the_layer(void)
{
	struct build *b = build_new(13);
	float scale[2] = { 2, 3 }, shift[2] = { 10, 20 }, mean[2] = { 1, 2 }, var[2] = { 4, 9 },
	      bias[2] = { 5, 6 }, w[2] = { 1, 1 }, good = 1;
	struct pare_shape two = { 1, { 2 } }, kernel = { 4, { 2, 1, 1, 1 } };
	const float *got;
	struct pare_model *m;

	build_input(b, "x", 4, -1, 1, 4, 4);
	build_tensor(b, "w", PARE_F32, w, kernel);
	build_tensor(b, "bias", PARE_F32, bias, two);
	build_tensor(b, "s", PARE_F32, scale, two);
	build_tensor(b, "h", PARE_F32, shift, two);
	build_tensor(b, "m", PARE_F32, mean, two);
	build_tensor(b, "v", PARE_F32, var, two);
	build_node(b, "Conv", "", "x w bias", "c");
	build_node(b, "BatchNormalization", "", "c s h m v", "n");
	build_float(b, "epsilon", 0);
	build_node(b, "BatchNormalization", "", "n s h m v", "y");
	build_float(b, "epsilon", 0);
	build_output(b, "y");
	m = build_model(b);
	ok(m->graph.n_nodes == 1 && m->info.n_layers == 1, "two in a row are gone");
	got = pare_model_weights(m, 0);
	/* channel 0: ((5 + x - 1) * 1 + 10 - 1) * 1 + 10; channel 1 the same with 2, 20 */
	good = fabsf(got[0] - 1) < 1e-6f && fabsf(got[1] - 1) < 1e-6f;
	got = m->graph.vars[m->graph.nodes[0].in[2]].declared.value->f32;
	ok(good != 0 && fabsf(got[0] - 23) < 1e-5f && fabsf(got[1] - 42) < 1e-5f,
		"weight and bias carry them");
	ok(!strcmp(pare_model_output(m, 0)->name, "y"), "the output keeps its name");
	pare_model_free(m);
}

static void batch_normalization_stays_when_it_must(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 4, 4);
	build_weight(b, "p", 1, 1, 4);
	conv(b, "shared", "x", "c", 4, 3, 1);
	build_node(b, "BatchNormalization", "bn", "c p p p p", "n");
	build_node(b, "Add", "add", "n c", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(m->graph.n_nodes == 3, "another node reads the layer without it");
	pare_model_free(m);
}

static void names_are_made_up_and_unique(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 4, 4);
	conv(b, "", "x", "a", 3, 3, 1);
	b->initializers[0]->name = "w0";
	b->nodes[0]->input[1] = "w0";
	build_weight(b, "w1", 1, 4, 3, 3, 1, 1);
	build_node(b, "Conv", "conv_1", "a w1", "b");
	build_node(b, "Conv", "twin", "b w1", "c");
	build_node(b, "Conv", "twin", "c w1", "d");
	build_node(b, "Conv", "two words\x1b", "d w1", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(!strcmp(layer(m, "conv_2")->op, "Conv") && layer(m, "conv_2")->node == 0,
		"a node without a name gets the first number that is free");
	ok(layer(m, "twin")->node == 2 && layer(m, "twin_2")->node == 3, "a second twin is twin_2");
	ok(layer(m, "two_words_")->node == 4, "names are one printable word");
	pare_model_free(m);
}

static void useless_nodes_are_gone(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 2, -1, 4);
	build_node(b, "Identity", "i0", "x", "a");
	build_node(b, "Relu", "r", "a", "b");
	build_node(b, "Dropout", "d", "b", "c mask");
	build_node(b, "Identity", "i1", "c", "y");
	build_node(b, "Sigmoid", "dead", "b", "nobody");
	build_output(b, "y");
	m = build_model(b);
	ok(m->graph.n_nodes == 1 && !strcmp(m->graph.nodes[0].name, "r"), "only the Relu is left");
	ok(!strcmp(m->graph.vars[m->graph.nodes[0].out[0]].name, "y") &&
			!strcmp(pare_model_output(m, 0)->name, "y"),
		"and it makes the output itself");
	pare_model_free(m);
}

static void shape_arithmetic_is_folded(void)
{
	struct build *b = build_new(13);
	int64_t zero = 0, minus = -1;
	struct pare_shape scalar = { 0 }, one = { 1, { 1 } };
	struct pare_model *m;

	build_input(b, "x", 4, -1, 2, 3, 3);
	build_tensor(b, "zero", PARE_I64, &zero, scalar);
	build_tensor(b, "axes", PARE_I64, &zero, one);
	build_tensor(b, "minus", PARE_I64, &minus, one);
	build_weight(b, "w", 1, 2, 18, 4);
	build_node(b, "Shape", "", "x", "s");
	build_node(b, "Gather", "", "s zero", "n");
	build_node(b, "Unsqueeze", "", "n axes", "u");
	build_node(b, "Concat", "", "u minus", "t");
	build_int(b, "axis", 0);
	build_node(b, "Reshape", "", "x t", "f");
	build_node(b, "MatMul", "mm", "f w", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(m->info.macs == 72 && layer(m, "mm")->input.d[1] == 18, "the Reshape's target is known");
	pare_model_free(m);
}

static void nodes_are_sorted_and_cycles_found(void)
{
	struct build *b = build_new(13);
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;

	build_input(b, "x", 2, -1, 4);
	build_node(b, "Relu", "last", "b", "y");
	build_node(b, "Tanh", "middle", "a", "b");
	build_node(b, "Sigmoid", "first", "x", "a");
	build_output(b, "y");
	ok_status(build_read(b, &m, &err), err, "nodes in any order are read");
	ok(m && !strcmp(m->graph.nodes[0].name, "first") && !strcmp(m->graph.nodes[2].name, "last"),
		"and sorted");
	pare_model_free(m);
	b->nodes[2]->input[0] = "y";
	ok(build_read(b, &m, &err) == PARE_E_FORMAT && strstr(err.text, "cycle") &&
			strstr(err.text, "test.onnx"),
		"a cycle is named: %s", err.text);
	build_free(b);
}

/* ---- edits ----------------------------------------------------------------------------------- */

static struct pare_blob *filled(size_t n, float v)
{
	struct pare_blob *b = pare_blob_new(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		((float *)b->data)[i] = v;
	return b;
}

static void an_edit_leaves_the_original_alone(void)
{
	struct build *b = build_new(13);
	struct pare_blob *weights[2] = { NULL };
	struct pare_model *m, *e = NULL;
	struct pare_err err = { 0 };

	build_input(b, "x", 2, -1, 4);
	build_weight(b, "w", 1, 2, 4, 4);
	build_node(b, "MatMul", "one", "x w", "a");
	build_node(b, "MatMul", "two", "a w", "y");
	build_output(b, "y");
	m = build_model(b);
	weights[1] = filled(16, 7);
	ok_status(pare_model_with_weights(m, weights, NULL, &e, &err), err,
		"an edit of the second layer");
	ok(pare_model_weights(m, 1)[0] == 1 && pare_model_weights(e, 1)[15] == 7, "is there alone");
	ok(pare_model_weights(e, 0) == pare_model_weights(m, 0),
		"the first layer, which had the same weight, keeps it");
	pare_model_free(m);
	ok(e->known[e->graph.nodes[1].in[1]].value->f32[3] == 7 &&
			!strcmp(pare_model_layer(e, 1)->name, "two"),
		"the edit outlives the original");
	weights[0] = filled(3, 1);
	weights[1] = NULL;
	m = NULL;
	ok(pare_model_with_weights(e, weights, NULL, &m, &err) == PARE_E_MISMATCH && !m,
		"weights of another size are refused: %s", err.text);
	pare_model_free(e);
}

static void running_out_of_memory_is_an_error(void)
{
	struct build *b = build_new(13);
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	enum pare_status st = PARE_E_NOMEM;
	int good = 1, k = 0;

	build_input(b, "x", 4, -1, 3, 8, 8);
	build_weight(b, "p", 1, 1, 4);
	conv(b, "stem", "x", "s", 4, 3, 1);
	build_node(b, "BatchNormalization", "", "s p p p p", "n");
	build_node(b, "Add", "", "n s", "y");
	build_output(b, "y");
	build_pack(b);
	while (st == PARE_E_NOMEM && k < 10000) {
		pare_alloc_fail_after(++k);
		st = pare_onnx_read(b->data, b->len, "test.onnx", &m, &err);
		pare_alloc_fail_after(0);
		good &= !st == !!m;
	}
	ok(good && !st && k > 3, "each allocation may fail (%d): the model is there or it is not",
		k);
	pare_model_free(m);
	build_free(b);
}

int main(void)
{
	residual_adds_share_a_group();
	concat_keeps_branches_apart();
	depthwise_follows_its_input();
	what_cannot_be_followed_says_why();
	broadcasting_over_channels_keeps_its_one();
	batch_normalization_goes_into_the_layer();
	batch_normalization_stays_when_it_must();
	names_are_made_up_and_unique();
	useless_nodes_are_gone();
	shape_arithmetic_is_folded();
	nodes_are_sorted_and_cycles_found();
	an_edit_leaves_the_original_alone();
	running_out_of_memory_is_an_error();
	return tap_done();
}
