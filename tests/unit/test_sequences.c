/* Units of recurrent layers and heads of attention, of graphs as exporters write them: what is left
 * computes what the whole network computes when nobody looks at what went. */
#include "tests/cutting.h"
#include "tests/tap.h"

/* Weights of a recurrent layer: NAME.w, NAME.r, NAME.b. */
static void recurrent(struct build *b, const char *name, int dirs, int gates, int features, int h)
{
	weight(b, pare_sprintf(b->a, "%s.w", name), 3, (int64_t[]){ dirs, gates * h, features });
	weight(b, pare_sprintf(b->a, "%s.r", name), 3, (int64_t[]){ dirs, gates * h, h });
	weight(b, pare_sprintf(b->a, "%s.b", name), 2, (int64_t[]){ dirs, 2 * gates * h });
}

static void lstm_upon_lstm(void)
{
	struct build *b = build_new(14);

	build_input(b, "x", 3, -1, 9, 5);
	build_node(b, "Transpose", "", "x", "t");
	build_ints(b, "perm", 3, 1, 0, 2);
	recurrent(b, "one", 1, 4, 5, 8);
	build_node(b, "LSTM", "one", "t one.w one.r one.b", "a");
	build_int(b, "hidden_size", 8);
	numbers(b, "axis", 1, (int64_t[]){ 1 });
	build_node(b, "Squeeze", "", "a axis", "a1");
	recurrent(b, "two", 1, 4, 8, 6);
	weight(b, "peep", 2, (int64_t[]){ 1, 18 });
	build_node(b, "LSTM", "two", "a1 two.w two.r two.b - - - peep", "c - d");
	build_int(b, "hidden_size", 6);
	build_node(b, "Squeeze", "", "c axis", "c1");
	build_tensor(b, "last", PARE_I64, (int64_t[]){ -1 }, (struct pare_shape){ 0 });
	build_node(b, "Gather", "", "c1 last", "e");
	build_int(b, "axis", 0);
	dense(b, "fc", "e", "y", 6, 3);
	build_output(b, "y");
	check(b, 2, "an LSTM that reads an LSTM, with peepholes; the last step into a dense layer");
}

/* As PyTorch writes it: states of zeros out of the batch's size, both directions side by side. */
static void gru_in_both_directions(void)
{
	struct build *b = build_new(14);

	build_input(b, "x", 3, -1, 7, 5);
	build_node(b, "Shape", "", "x", "s");
	build_tensor(b, "first", PARE_I64, (int64_t[]){ 0 }, (struct pare_shape){ 0 });
	build_node(b, "Gather", "", "s first", "n");
	numbers(b, "zero", 1, (int64_t[]){ 0 });
	build_node(b, "Unsqueeze", "", "n zero", "n1");
	numbers(b, "two", 1, (int64_t[]){ 2 });
	numbers(b, "six", 1, (int64_t[]){ 6 });
	build_node(b, "Concat", "", "two n1 six", "shape");
	build_int(b, "axis", 0);
	build_node(b, "ConstantOfShape", "", "shape", "h0");
	build_node(b, "Transpose", "", "x", "t");
	build_ints(b, "perm", 3, 1, 0, 2);
	recurrent(b, "gru", 2, 3, 5, 6);
	build_node(b, "GRU", "gru", "t gru.w gru.r gru.b - h0", "a h");
	build_int(b, "hidden_size", 6);
	build_int(b, "linear_before_reset", 1);
	build_word(b, "direction", "bidirectional");
	build_node(b, "Transpose", "", "a", "a1");
	build_ints(b, "perm", 4, 0, 2, 1, 3);
	numbers(b, "flat", 3, (int64_t[]){ 0, 0, -1 });
	build_node(b, "Reshape", "", "a1 flat", "a2");
	build_node(b, "Transpose", "", "a2", "a3");
	build_ints(b, "perm", 3, 1, 0, 2);
	weight(b, "w", 2, (int64_t[]){ 12, 4 });
	build_node(b, "MatMul", "line", "a3 w", "c");
	numbers(b, "axes", 1, (int64_t[]){ 1 });
	build_node(b, "ReduceMean", "", "c", "d");
	build_ints(b, "axes", 1, 1);
	build_int(b, "keepdims", 0);
	build_tensor(b, "back", PARE_I64, (int64_t[]){ 1 }, (struct pare_shape){ 0 });
	build_node(b, "Gather", "", "h back", "e");
	build_int(b, "axis", 0);
	dense(b, "fc", "e", "f", 6, 4);
	build_node(b, "Add", "", "d f", "g");
	dense(b, "head", "g", "y", 4, 3);
	build_output(b, "y");
	check(b, 2, "a GRU in both directions, whose outputs and last state are read");
}

/* Batch first; states that other layers make. */
static void rnn_that_begins_with_what_a_layer_made(void)
{
	struct build *b = build_new(14);

	build_input(b, "x", 3, -1, 6, 4);
	build_node(b, "Flatten", "", "x", "f");
	dense(b, "init", "f", "i", 24, 7);
	numbers(b, "one", 1, (int64_t[]){ 1 });
	build_node(b, "Unsqueeze", "", "i one", "h0");
	recurrent(b, "rnn", 1, 1, 4, 7);
	build_node(b, "RNN", "rnn", "x rnn.w rnn.r rnn.b - h0", "a h");
	build_int(b, "hidden_size", 7);
	build_int(b, "layout", 1);
	build_word(b, "direction", "reverse");
	numbers(b, "flat", 2, (int64_t[]){ -1, 42 });
	build_node(b, "Reshape", "", "a flat", "a1");
	dense(b, "all", "a1", "c", 42, 3);
	numbers(b, "unit", 2, (int64_t[]){ -1, 7 });
	build_node(b, "Reshape", "", "h unit", "h1");
	dense(b, "last", "h1", "d", 7, 3);
	build_node(b, "Add", "", "c d", "y");
	build_output(b, "y");
	check(b, 1, "an RNN backwards, batch first, that begins with a layer's output");
}

static void states_of_the_caller_stay(void)
{
	struct build *b = build_new(14);
	struct pare_model *m;

	build_input(b, "x", 3, 4, 1, 5);
	build_input(b, "h0", 3, 1, 1, 6);
	recurrent(b, "rnn", 1, 1, 5, 6);
	build_node(b, "RNN", "rnn", "x rnn.w rnn.r rnn.b - h0", "- h");
	build_int(b, "hidden_size", 6);
	numbers(b, "unit", 2, (int64_t[]){ -1, 6 });
	build_node(b, "Reshape", "", "h unit", "h1");
	dense(b, "last", "h1", "y", 6, 3);
	build_output(b, "y");
	m = build_model(b);
	ok(!m->n_groups && strstr(m->layers[0].stuck, "states"),
		"who is given states keeps them: %s", m->layers[0].stuck);
	pare_model_free(m);
}

/* ---- attention ---------------------------------------------------------------------------------
 */

static const char *line(struct build *b, const char *name, const char *in, int k, int n)
{
	const char *out = pare_sprintf(b->a, "%s.y", name);

	weight(b, pare_sprintf(b->a, "%s.w", name), 2, (int64_t[]){ k, n });
	weight(b, pare_sprintf(b->a, "%s.b", name), 1, (int64_t[]){ n });
	build_node(b, "MatMul", name, pare_sprintf(b->a, "%s %s.w", in, name),
		pare_sprintf(b->a, "%s.m", name));
	build_node(b, "Add", "", pare_sprintf(b->a, "%s.m %s.b", name, name), out);
	return out;
}

static void turn(struct build *b, const char *in, const char *out, bool key)
{
	build_node(b, "Transpose", "", in, out);
	if (key)
		build_ints(b, "perm", 4, 0, 2, 3, 1);
	else
		build_ints(b, "perm", 4, 0, 2, 1, 3);
}

/* From q, k, v [N, heads, T, d] (k turned) to [N, T, heads * d]. */
static void attend(struct build *b, const char *q, const char *k, const char *v, const char *mask,
	const char *out)
{
	build_node(b, "MatMul", "", pare_sprintf(b->a, "%s %s", q, k), "scores");
	build_tensor(b, "by", PARE_F32, (float[]){ .5f }, (struct pare_shape){ 0 });
	build_node(b, "Mul", "", "scores by", "scaled");
	if (mask)
		build_node(b, "Add", "", pare_sprintf(b->a, "scaled %s", mask), "masked");
	build_node(b, "Softmax", "", mask ? "masked" : "scaled", "soft");
	build_int(b, "axis", -1);
	build_node(b, "MatMul", "", pare_sprintf(b->a, "soft %s", v), "mixed");
	turn(b, "mixed", "turned", false);
	numbers(b, "flat", 3, (int64_t[]){ 0, 0, -1 });
	build_node(b, "Reshape", "", "turned flat", out);
}

static void attention_spelt_out(void)
{
	struct build *b = build_new(17);

	build_input(b, "x", 3, -1, 5, 12);
	numbers(b, "apart", 4, (int64_t[]){ 0, 5, 4, 3 });
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "q", "x", 12, 12)), "q1");
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "k", "x", 12, 12)), "k1");
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "v", "x", 12, 12)), "v1");
	turn(b, "q1", "q2", false);
	turn(b, "k1", "k2", true);
	turn(b, "v1", "v2", false);
	build_node(b, "ReduceMax", "", "x", "seen");
	build_ints(b, "axes", 1, 2);
	numbers(b, "row", 4, (int64_t[]){ 0, 1, 1, 5 });
	build_node(b, "Reshape", "", "seen row", "mask");
	attend(b, "q2", "k2", "v2", "mask", "a");
	build_node(b, "Add", "", pare_sprintf(b->a, "x %s", line(b, "o", "a", 12, 12)), "r");
	build_node(b, "Relu", "", line(b, "up", "r", 12, 20), "u");
	line(b, "down", "u", 20, 4);
	build_output(b, "down.y");
	check(b, 2, "heads behind three products, and the width between two dense layers");
}

/* All three by one product, then parts of it, as timm and com.microsoft's Attention have it. */
static void attention_of_one_product(void)
{
	struct build *b = build_new(17);
	const char *all;

	build_input(b, "x", 3, -1, 5, 12);
	all = line(b, "qkv", "x", 12, 36);
	numbers(b, "apart", 5, (int64_t[]){ 0, 5, 3, 4, 3 });
	build_node(b, "Reshape", "", pare_sprintf(b->a, "%s apart", all), "p");
	build_node(b, "Transpose", "", "p", "p1");
	build_ints(b, "perm", 5, 2, 0, 3, 1, 4);
	for (int i = 0; i < 3; i++) {
		build_tensor(b, pare_sprintf(b->a, "i%d", i), PARE_I64, (int64_t[]){ i },
			(struct pare_shape){ 0 });
		build_node(b, "Gather", "", pare_sprintf(b->a, "p1 i%d", i),
			pare_sprintf(b->a, "part%d", i));
		build_int(b, "axis", 0);
	}
	build_node(b, "Transpose", "", "part1", "k");
	build_ints(b, "perm", 4, 0, 1, 3, 2);
	attend(b, "part0", "k", "part2", NULL, "a");
	line(b, "o", "a", 12, 4);
	build_output(b, "o.y");
	check(b, 1, "heads of one product, whose parts are picked");
}

/* [N, T, 4, 3] out of the sizes of x, as PyTorch has it. */
static void computed_sizes(struct build *b)
{
	numbers(b, "both", 2, (int64_t[]){ 0, 1 });
	numbers(b, "four", 1, (int64_t[]){ 4 });
	numbers(b, "three", 1, (int64_t[]){ 3 });
	build_node(b, "Shape", "", "x", "shape");
	build_node(b, "Gather", "", "shape both", "nt");
	build_node(b, "Concat", "sizes", "nt four three", "apart");
	build_int(b, "axis", 0);
}

/* One list of sizes for all three; `elsewhere`: and for what has nothing to do with them. */
static struct build *attention_of_computed_sizes(bool elsewhere)
{
	struct build *b = build_new(17);

	build_input(b, "x", 3, -1, 5, 12);
	computed_sizes(b);
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "q", "x", 12, 12)), "q1");
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "k", "x", 12, 12)), "k1");
	build_node(
		b, "Reshape", "", pare_sprintf(b->a, "%s apart", line(b, "v", "x", 12, 12)), "v1");
	turn(b, "q1", "q2", false);
	turn(b, "k1", "k2", true);
	turn(b, "v1", "v2", false);
	attend(b, "q2", "k2", "v2", NULL, "a");
	line(b, "o", "a", 12, 4);
	if (elsewhere) {
		build_node(b, "Reshape", "", "x apart", "x1");
		build_node(b, "ReduceMean", "", "x1", "x2");
		build_ints(b, "axes", 2, 2, 3);
		build_int(b, "keepdims", 0);
		numbers(b, "last", 1, (int64_t[]){ -1 });
		build_node(b, "Unsqueeze", "", "x2 last", "x3");
		build_node(b, "Add", "", "o.y x3", "y");
		build_output(b, "y");
	} else
		build_output(b, "o.y");
	return b;
}

static void sizes_that_are_computed(void)
{
	struct pare_model *m;

	check(attention_of_computed_sizes(false), 1, "heads whose number is one of computed sizes");
	m = build_model(attention_of_computed_sizes(true));
	ok(!m->n_groups && strstr(m->layers[0].stuck, "sizes"), "who shares them keeps them: %s",
		m->layers[0].stuck);
	pare_model_free(m);
}

/* ONNX's own, packed; two heads of queries share one of keys. */
static void attention_as_an_operator(void)
{
	struct build *b = build_new(23);

	build_input(b, "x", 3, -1, 5, 12);
	line(b, "q", "x", 12, 12);
	line(b, "k", "x", 12, 6);
	line(b, "v", "x", 12, 10);
	build_node(b, "Attention", "", "q.y k.y v.y", "a");
	build_int(b, "q_num_heads", 4);
	build_int(b, "kv_num_heads", 2);
	line(b, "o", "a", 20, 4);
	build_output(b, "o.y");
	check(b, 1, "Attention: heads that share keys and values go together");
}

static void softmax_over_channels(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 4, -1, 3, 6, 6);
	conv(b, "one", "x", "c", 6, 3, 3, 1);
	build_node(b, "Softmax", "soft", "c", "s");
	build_int(b, "axis", 1);
	conv(b, "two", "s", "d", 6, 6, 3, 1);
	build_node(b, "Softmax", "", "d", "e");
	build_int(b, "axis", 3);
	conv(b, "last", "e", "y", 4, 6, 3, 1);
	build_output(b, "y");
	m = build_model(b);
	ok(m->n_groups == 1 && strstr(m->layers[0].stuck, "soft") && cuts_well(m, .5),
		"a Softmax over channels keeps them, one over places lets them pass");
	pare_model_free(m);
}

int main(void)
{
	rng = pare_rng_seed(11, 1);
	lstm_upon_lstm();
	gru_in_both_directions();
	rnn_that_begins_with_what_a_layer_made();
	states_of_the_caller_stay();
	attention_spelt_out();
	attention_of_one_product();
	sizes_that_are_computed();
	attention_as_an_operator();
	softmax_over_channels();
	return tap_done();
}
