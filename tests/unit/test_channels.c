/* Networks without some of their channels: on graphs drawn by hand, what is left
 * computes what the whole network computes when nobody looks at those channels. */
#include "tests/cutting.h"
#include "tests/tap.h"

/* ---- graphs ------------------------------------------------------------------------------------
 */

static void shared_residual(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "stem", "x", "s", 8, 3, 3, 1);
	build_node(b, "Relu", "", "s", "s1");
	conv(b, "inner", "s1", "i", 6, 8, 3, 1);
	build_node(b, "Relu", "", "i", "i1");
	conv(b, "outer", "i1", "o", 8, 6, 3, 1);
	build_node(b, "Add", "", "o s1", "t");
	conv(b, "second", "t", "u", 8, 8, 1, 1);
	build_node(b, "Add", "", "u t", "v");
	conv(b, "last", "v", "y", 4, 8, 3, 1);
	build_output(b, "y");
	check(b, 2, "a residual stream, its producers and the inside of a block");
}

static void concat_under_several_consumers(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "left", "x", "l", 5, 3, 3, 1);
	conv(b, "right", "x", "r", 7, 3, 3, 1);
	build_node(b, "Concat", "", "l r", "c");
	build_int(b, "axis", 1);
	build_node(b, "Concat", "", "r c l", "d");
	build_int(b, "axis", 1);
	conv(b, "one", "c", "p", 4, 12, 3, 1);
	conv(b, "two", "d", "q", 4, 24, 1, 1);
	conv(b, "three", "l", "w", 4, 5, 1, 1);
	build_node(b, "Sum", "", "p q w", "y");
	build_output(b, "y");
	check(b, 2, "branches of a Concat, at other offsets under each consumer");
}

static void depthwise_after_concat(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "left", "x", "l", 5, 3, 3, 1);
	conv(b, "right", "x", "r", 7, 3, 3, 1);
	build_node(b, "Concat", "", "l r", "c");
	build_int(b, "axis", 1);
	conv(b, "depth", "c", "d", 24, 1, 3, 12);
	build_node(b, "Relu", "", "d", "e");
	conv(b, "point", "e", "y", 4, 24, 1, 1);
	build_output(b, "y");
	check(b, 2, "depthwise behind a Concat, with two outputs a channel");
}

static void flatten_into_dense(void)
{
	struct build *b = build_new(13);
	int64_t fixed[] = { 1, 96 };

	build_input(b, "x", 4, 1, 3, 4, 4);
	conv(b, "conv", "x", "c", 6, 3, 3, 1);
	build_node(b, "Relu", "", "c", "r");
	build_node(b, "Flatten", "", "r", "f");
	dense(b, "fc", "f", "g", 96, 10);
	numbers(b, "to", 2, fixed);
	build_node(b, "Reshape", "", "r to", "h");
	dense(b, "fc2", "h", "i", 96, 10);
	build_node(b, "Add", "", "g i", "j");
	build_node(b, "Relu", "", "j", "k");
	dense(b, "last", "k", "y", 10, 3);
	build_output(b, "y");
	check(b, 2, "Flatten, and a Reshape that names the size, into dense layers");
}

static void split_in_parts(void)
{
	struct build *b = build_new(13);
	int64_t sizes[] = { 5, 7 };

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "stem", "x", "s", 12, 3, 3, 1);
	numbers(b, "sizes", 2, sizes);
	build_node(b, "Split", "cut", "s sizes", "a b");
	build_int(b, "axis", 1);
	conv(b, "depth", "a", "a1", 5, 1, 3, 5);
	conv(b, "one", "a1", "p", 4, 5, 1, 1);
	conv(b, "two", "b", "q", 4, 7, 3, 1);
	build_node(b, "Split", "half", "s", "u v");
	build_int(b, "axis", 1);
	build_node(b, "Mul", "", "u v", "w");
	conv(b, "three", "w", "z", 4, 6, 1, 1);
	build_node(b, "Sum", "", "p q z", "y");
	build_output(b, "y");
	check(b, 1, "a Split with sizes and one in halves of the same channels");
}

/* ONNX Runtime wants the parts counted as soon as another node asks for opset 18. */
static void a_split_in_equal_parts_counts_them(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;
	struct pare_err err = { 0 };
	Onnx__ModelProto *p;
	void *data = NULL;
	size_t len = 0;

	build_input(b, "x", 4, -1, 4, 6, 6);
	build_node(b, "Split", "half", "x", "u v");
	build_int(b, "axis", 1);
	build_node(b, "Mul", "", "u v", "w");
	build_node(b, "ReduceMean", "", "w", "y");
	build_ints(b, "axes", 2, 2, 3);
	build_output(b, "y");
	m = build_model(b);
	ok_status(pare_onnx_write(m, NULL, &data, &len, &err), err, "written");
	p = onnx__model_proto__unpack(NULL, len, data);
	for (size_t i = 0; p && i < p->graph->node[0]->n_attribute; i++)
		if (!strcmp(p->graph->node[0]->attribute[i]->name, "num_outputs"))
			ok(p->graph->node[0]->attribute[i]->i == 2 &&
					p->opset_import[0]->version >= 18,
				"a Split of opset 13 says how many parts it makes");
	onnx__model_proto__free_unpacked(p, NULL);
	free(data);
	pare_model_free(m);
}

/* A known bug of others: Mul of channels by one of each sample's own, and by what has no channels
 * at all, in either order. */
static void a_product_that_is_broadcast(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "body", "x", "a", 8, 3, 3, 1);
	conv(b, "map", "x", "s", 1, 3, 3, 1);
	build_node(b, "Sigmoid", "", "s", "s1");
	build_node(b, "Mul", "", "s1 a", "m");
	conv(b, "gate", "x", "g", 8, 3, 1, 1);
	build_node(b, "GlobalMaxPool", "", "g", "g1");
	build_node(b, "Mul", "", "g1 m", "n");
	build_node(b, "ReduceMean", "", "x", "r");
	build_ints(b, "axes", 3, 1, 2, 3);
	build_node(b, "Mul", "", "r n", "o");
	weight(b, "each", 4, (int64_t[]){ 1, 8, 1, 1 });
	build_node(b, "Mul", "", "each o", "p");
	weight(b, "one", 1, (int64_t[]){ 1 });
	build_node(b, "Mul", "", "p one", "q");
	conv(b, "last", "q", "y", 4, 8, 3, 1);
	build_output(b, "y");
	check(b, 1, "products by a map, by gates, by one number a sample, by constants");
}

/* As in YOLO: parts of a split, one of which goes on, side by side again; then another size. */
static void parts_that_meet_again(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "stem", "x", "s", 8, 3, 3, 1);
	build_node(b, "Split", "half", "s", "u v");
	build_int(b, "axis", 1);
	conv(b, "one", "v", "a", 4, 4, 3, 1);
	build_node(b, "Relu", "", "a", "a1");
	conv(b, "two", "a1", "c", 4, 4, 3, 1);
	build_node(b, "Add", "", "c v", "w");
	build_node(b, "Concat", "", "u v w", "d");
	build_int(b, "axis", -3);
	build_tensor(
		b, "scales", PARE_F32, (float[]){ 1, 1, 2, 2 }, (struct pare_shape){ 1, { 4 } });
	build_node(b, "Resize", "", "d - scales", "e");
	build_node(b, "MaxPool", "", "e", "f");
	build_ints(b, "kernel_shape", 2, 5, 5);
	build_ints(b, "pads", 4, 2, 2, 2, 2);
	build_node(b, "Concat", "", "e f", "g");
	build_int(b, "axis", 1);
	conv(b, "last", "g", "y", 4, 24, 1, 1);
	build_output(b, "y");
	check(b, 2, "halves of a split that meet again, resized and pooled");
}

/* Channels as the last axis, through what mixes axis 1. */
static void pools_that_see_channels_as_places(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 3, -1, 3, 8);
	build_tensor(b, "w", PARE_F32, (float[6 * 3]){ 1, 2, 3, 4, 5 },
		(struct pare_shape){ 3, { 6, 3, 1 } });
	build_node(b, "Conv", "one", "x w", "a");
	build_node(b, "Transpose", "", "a", "t");
	build_ints(b, "perm", 3, 0, 2, 1);
	build_node(b, "MaxPool", "pool", "t", "p");
	build_ints(b, "kernel_shape", 1, 3);
	build_ints(b, "pads", 2, 1, 1);
	dense(b, "last", "p", "y", 6, 3);
	b->nodes[b->graph.n_node - 1]->op_type = "MatMul";
	build_output(b, "y");
	m = build_model(b);
	ok(!m->n_groups && strstr(m->layers[0].stuck, "pool"),
		"a pool over channels keeps them: %s", m->layers[0].stuck);
	pare_model_free(m);
}

static void squeeze_and_excite(void)
{
	struct build *b = build_new(13);
	int64_t back[] = { -1, 8, 1, 1 };

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "body", "x", "a", 8, 3, 3, 1);
	build_node(b, "GlobalAveragePool", "", "a", "g");
	conv(b, "squeeze", "g", "q", 3, 8, 1, 1);
	build_node(b, "Relu", "", "q", "q1");
	conv(b, "excite", "q1", "e", 8, 3, 1, 1);
	build_node(b, "Sigmoid", "", "e", "e1");
	build_node(b, "Mul", "", "e1 a", "m");
	build_node(b, "Flatten", "", "g", "gf");
	dense(b, "fc", "gf", "fe", 8, 8);
	numbers(b, "back", 4, back);
	build_node(b, "Reshape", "", "fe back", "fr");
	build_node(b, "Mul", "", "m fr", "n");
	weight(b, "scale", 3, (int64_t[]){ 8, 1, 1 });
	weight(b, "map", 2, (int64_t[]){ 6, 6 });
	build_node(b, "Mul", "", "n scale", "o");
	build_node(b, "Mul", "", "o map", "p");
	conv(b, "last", "p", "y", 4, 8, 3, 1);
	build_output(b, "y");
	check(b, 2,
		"gates per channel, by a convolution and by a dense layer; constants beside them");
}

static void a_shuffle_of_grouped_convolutions(void)
{
	struct build *b = build_new(13);
	int64_t apart[] = { 0, 3, 4, 6, 6 }, together[] = { -1, 12, 6, 6 };

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "first", "x", "a", 12, 3, 3, 1);
	conv(b, "grouped", "a", "c", 12, 4, 3, 3);
	build_node(b, "Relu", "", "c", "c1");
	numbers(b, "apart", 5, apart);
	numbers(b, "together", 4, together);
	build_node(b, "Reshape", "", "c1 apart", "d");
	build_node(b, "Transpose", "", "d", "e");
	build_ints(b, "perm", 5, 0, 2, 1, 3, 4);
	build_node(b, "Reshape", "", "e together", "f");
	conv(b, "depth", "f", "g", 12, 1, 3, 12);
	conv(b, "again", "g", "h", 6, 6, 1, 2);
	conv(b, "last", "h", "y", 4, 6, 3, 1);
	build_output(b, "y");
	check(b, 3, "channels shuffled between grouped convolutions");
}

static void normalization_that_stays(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 3, 6, 6);
	weight(b, "p", 1, (int64_t[]){ 6 });
	build_tensor(
		b, "v", PARE_F32, (float[]){ 1, 2, 3, 4, 5, 6 }, (struct pare_shape){ 1, { 6 } });
	conv(b, "body", "x", "c", 6, 3, 3, 1);
	build_node(b, "BatchNormalization", "bn", "c p p p v", "n");
	build_node(b, "InstanceNormalization", "in", "c p p", "i");
	build_node(b, "Add", "", "n c", "s");
	build_node(b, "Add", "", "s i", "t");
	conv(b, "last", "t", "y", 4, 6, 3, 1);
	build_output(b, "y");
	check(b, 1, "normalizations, whose parameters several nodes share");
}

/* Shortcuts without weights: every other pixel, and channels that were not there before. */
static void shortcuts_of_padded_channels(void)
{
	struct build *b = build_new(13);
	int64_t from[] = { 0, 0 }, to[] = { 6, 6 }, axes[] = { 2, 3 }, steps[] = { 2, 2 };
	int64_t pads[] = { 0, 2, 0, 0, 0, 3, 0, 0 }, border[] = { 0, 0, 1, 1, 0, 0, 1, 1 };

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "stem", "x", "s", 4, 3, 3, 1);
	conv(b, "one", "s", "a", 4, 4, 3, 1);
	build_node(b, "Add", "", "a s", "t");
	numbers(b, "from", 2, from);
	numbers(b, "to", 2, to);
	numbers(b, "axes", 2, axes);
	numbers(b, "steps", 2, steps);
	numbers(b, "pads", 8, pads);
	numbers(b, "border", 8, border);
	build_node(b, "Slice", "", "t from to axes steps", "u");
	build_node(b, "Pad", "wider", "u pads", "v");
	conv(b, "wide", "u", "w", 9, 4, 3, 1);
	build_node(b, "Add", "", "v w", "q");
	build_node(b, "Pad", "border", "q border", "r");
	conv(b, "two", "r", "z", 9, 9, 3, 1);
	build_node(b, "Add", "", "z r", "z2");
	build_node(b, "Pad", "again", "q pads", "p");
	conv(b, "last", "p", "y1", 3, 14, 1, 1);
	conv(b, "other", "z2", "y2", 3, 9, 1, 1);
	build_node(b, "GlobalAveragePool", "", "y1", "g1");
	build_node(b, "GlobalAveragePool", "", "y2", "g2");
	build_node(b, "Add", "", "g1 g2", "y");
	build_output(b, "y");
	check(b, 1, "shortcuts that pad channels: both streams lose the same");
}

static void units_have_kinds(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;
	int64_t sizes[] = { 4, 8 };

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "stem", "x", "s", 12, 3, 3, 1);
	numbers(b, "sizes", 2, sizes);
	build_node(b, "Split", "", "s sizes", "a b");
	build_int(b, "axis", 1);
	conv(b, "one", "a", "p", 4, 4, 3, 1);
	conv(b, "two", "b", "q", 4, 8, 3, 1);
	build_node(b, "Add", "", "p q", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(m->n_groups == 1 && m->groups[0].n == 12 && m->groups[0].n_kinds == 2,
		"channels that part ways are of two kinds");
	pare_model_free(m);
}

static void running_out_of_memory_is_an_error(void)
{
	struct build *b = build_new(13);
	struct pare_model *m, *e = NULL;
	enum pare_status st = PARE_E_NOMEM;
	bool keep[64] = { 0 };
	int good = 1, k = 0;

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "one", "x", "s", 8, 3, 3, 1);
	conv(b, "two", "s", "y", 4, 8, 3, 1);
	build_output(b, "y");
	m = build_model(b);
	keep[3] = true;
	while (st == PARE_E_NOMEM && k < 10000) {
		pare_alloc_fail_after(++k);
		st = pare_model_without_channels(m, keep, false, &e, NULL);
		pare_alloc_fail_after(0);
		good &= !st == !!e;
	}
	ok(good && !st && k > 3, "each allocation may fail (%d)", k);
	pare_model_free(e);
	pare_model_free(m);
}

int main(void)
{
	rng = pare_rng_seed(7, 1);
	shared_residual();
	concat_under_several_consumers();
	depthwise_after_concat();
	flatten_into_dense();
	split_in_parts();
	a_split_in_equal_parts_counts_them();
	a_product_that_is_broadcast();
	parts_that_meet_again();
	pools_that_see_channels_as_places();
	squeeze_and_excite();
	a_shuffle_of_grouped_convolutions();
	normalization_that_stays();
	shortcuts_of_padded_channels();
	units_have_kinds();
	running_out_of_memory_is_an_error();
	return tap_done();
}
