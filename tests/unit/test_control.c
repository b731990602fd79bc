/* Graphs inside nodes: what they see, which of them runs, how often. */
#include "engine/base/pool.h"
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>

static void scalar(struct build *b, const char *name, enum pare_dtype dtype, int64_t v)
{
	float f = (float)v;
	uint8_t u = (uint8_t)v;

	build_tensor(b, name, dtype,
		dtype == PARE_F32   ? (void *)&f
		: dtype == PARE_I64 ? (void *)&v
				    : (void *)&u,
		(struct pare_shape){ 0 });
}

static void typed_input(struct build *b, const char *name, enum pare_dtype dtype, int n, int64_t d)
{
	struct pare_io io = { name, dtype, { n, { d } } };

	b->inputs[b->graph.n_input++] = pare_proto_value(b->a, &io);
}

/* y = from + add, in a branch; `from` is of the graph around it */
static struct build *sum_branch(const char *from, int add, const char *out)
{
	struct build *b = build_new(13);

	scalar(b, "by", PARE_F32, add);
	build_node(b, "Add", "sum", pare_sprintf(b->a, "%s by", from), out);
	build_output(b, out);
	return b;
}

/* y = sum(x) > 0 ? (big ? x+1 : 2x+2) : x+30, the outer condition made of data, the inner a
 * constant; the inner branch reads what the outer branch and the whole graph made. */
static struct build *nested(bool big)
{
	struct build *b = build_new(13), *yes = build_new(13);

	build_input(b, "x", 2, 1, 3);
	scalar(b, "zero", PARE_F32, 0);
	scalar(b, "big", PARE_BOOL, big);
	build_node(b, "ReduceSum", "", "x", "total");
	build_int(b, "keepdims", 0);
	build_node(b, "Greater", "", "total zero", "positive");
	build_node(yes, "Add", "", "x x", "twice");
	build_node(yes, "If", "inner", "big", "chosen");
	build_graph(yes, "then_branch", sum_branch("x", 1, "one"));
	build_graph(yes, "else_branch", sum_branch("twice", 2, "two"));
	build_output(yes, "chosen");
	build_node(b, "If", "outer", "positive", "y");
	build_graph(b, "then_branch", yes);
	build_graph(b, "else_branch", sum_branch("x", 30, "three"));
	build_output(b, "y");
	return b;
}

static int
gives(const struct pare_model *m, const struct pare_array *in, int out, int n, const float *want)
{
	struct pare_array y[4] = { 0 };
	struct pare_err err = { 0 };
	int good = !pare_model_run(m, in, y, &err) && y[out].dtype == PARE_F32 &&
		   pare_shape_elems(&y[out].shape) == n &&
		   !memcmp(y[out].data, want, (size_t)n * sizeof *want);

	if (*err.text)
		printf("# %s\n", err.text);
	for (int i = 0; i < 4; i++)
		pare_array_free(&y[i]);
	return good;
}

static void branches_see_what_is_around_them(void)
{
	float up[3] = { 1, 2, 3 }, down[3] = { -1, -2, -3 };
	struct pare_array x = { PARE_F32, { 2, { 1, 3 } }, up };
	struct pare_model *m = build_model(nested(true));

	ok(gives(m, &x, 0, 3, (float[]){ 2, 3, 4 }), "the inner branch reads the outermost input");
	x.data = down;
	ok(gives(m, &x, 0, 3, (float[]){ 29, 28, 27 }), "data choose the other branch");
	pare_model_free(m);
	m = build_model(nested(false));
	x.data = up;
	ok(gives(m, &x, 0, 3, (float[]){ 4, 6, 8 }), "the inner branch reads the outer branch");
	pare_model_free(m);
}

/* The branch that a constant, or the rank of a fixed input, chooses is all that is left. */
static void known_conditions_leave_one_branch(void)
{
	float data[3] = { 1, 2, 3 };
	struct pare_array x = { PARE_F32, { 1, { 3 } }, data };
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 1, 3);
	scalar(b, "one", PARE_I64, 1);
	build_node(b, "Shape", "", "x", "shape");
	build_node(b, "Size", "", "shape", "rank");
	build_node(b, "Equal", "", "rank one", "flat");
	build_node(b, "If", "choice", "flat", "y");
	build_graph(b, "then_branch", sum_branch("x", 1, "plus"));
	build_graph(b, "else_branch", sum_branch("nothing", 2, "minus"));
	build_output(b, "y");
	{
		struct pare_err err = { 0 };

		ok(build_read(b, &m, &err) == PARE_E_FORMAT && strstr(err.text, "'nothing'"),
			"a name that no graph around has: %s", err.text);
	}
	b->nodes[3]->attribute[1]->g->node[0]->input[0] = "x";
	m = build_model(b);
	ok(pare_model_info(m)->n_nodes == 1 && !strcmp(pare_model_node(m, 0)->op, "Add"),
		"the Add of the branch is the network");
	ok(!strcmp(pare_model_output(m, 0)->name, "y"), "the output keeps its name");
	ok(gives(m, &x, 0, 3, (float[]){ 2, 3, 4 }), "and it gives what the branch gave");
	pare_model_free(m);
}

/* A layer whose weight is of the graph around the branch that it stands in. */
static void layers_of_a_known_branch_are_layers(void)
{
	struct build *b = build_new(13), *yes = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 2, -1, 4);
	scalar(b, "sure", PARE_BOOL, 1);
	build_weight(b, "w", .5f, 2, 4, 3);
	build_node(b, "If", "", "sure", "y");
	build_node(yes, "MatMul", "mm", "x w", "product");
	build_output(yes, "product");
	build_graph(b, "then_branch", yes);
	build_graph(b, "else_branch", sum_branch("x", 2, "sum"));
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_info(m)->n_layers == 1 && pare_model_layer(m, 0)->macs == 12 &&
			pare_model_weights(m, 0)[1] == 1,
		"it has its weight and is counted");
	pare_model_free(m);
}

/* Σ over turns: v = v·w + i, while v < 100; each turn's v is kept.  w is of the graph around. */
static struct build *counting(bool with_count)
{
	struct build *b = build_new(13), *body = build_new(13);

	typed_input(b, "most", PARE_I64, 0, 0);
	build_input(b, "start", 1, 2);
	build_weight(b, "w", 2, 1, 1);
	scalar(b, "true", PARE_BOOL, 1);
	typed_input(body, "i", PARE_I64, 0, 0);
	typed_input(body, "go", PARE_BOOL, 0, 0);
	build_input(body, "v", 1, 2);
	scalar(body, "limit", PARE_F32, 100);
	build_node(body, "Cast", "", "i", "turn");
	build_int(body, "to", 1);
	build_node(body, "Mul", "", "v w", "grown");
	build_node(body, "Add", "", "grown turn", "next");
	build_node(body, "ReduceMax", "", "next", "largest");
	build_int(body, "keepdims", 0);
	build_node(body, "Less", "", "largest limit", "again");
	build_node(body, "Identity", "", "next", "kept");
	build_output(body, "again");
	build_output(body, "next");
	build_output(body, "kept");
	build_node(b, "Loop", "loop", with_count ? "most - start" : "- true start", "last all");
	build_graph(b, "body", body);
	build_output(b, "last");
	build_output(b, "all");
	return b;
}

static void loops_run_as_often_as_they_say(void)
{
	int64_t most = 3;
	float start[2] = { 1, 0 };
	struct pare_array in[2] = { { PARE_I64, { 0 }, &most }, { PARE_F32, { 1, { 2 } }, start } };
	struct pare_model *m = build_model(counting(true));

	ok(gives(m, in, 0, 2, (float[]){ 12, 4 }), "three turns of what is carried");
	ok(gives(m, in, 1, 6, (float[]){ 2, 0, 5, 1, 12, 4 }), "each turn is kept");
	most = 0;
	ok(gives(m, in, 0, 2, start) && gives(m, in, 1, 0, start), "no turn at all");
	most = 1000;
	pare_model_free(m);
	m = build_model(counting(false));
	ok(gives(m, in, 0, 2, (float[]){ 121, 57 }), "until its condition ends it");
	pare_model_free(m);
}

static void a_loop_without_end_is_ended(void)
{
	struct build *b = build_new(13), *body = build_new(13);
	struct pare_array in = { PARE_F32, { 1, { 1 } }, (float[]){ 1 } }, out = { 0 };
	struct pare_err err = { 0 };
	struct pare_model *m;

	build_input(b, "start", 1, 1);
	typed_input(body, "i", PARE_I64, 0, 0);
	typed_input(body, "go", PARE_BOOL, 0, 0);
	build_input(body, "v", 1, 1);
	build_node(body, "Identity", "", "go", "again");
	build_node(body, "Neg", "", "v", "next");
	build_output(body, "again");
	build_output(body, "next");
	build_node(b, "Loop", "forever", "- - start", "y");
	build_graph(b, "body", body);
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_run(m, &in, &out, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'forever'") && strstr(err.text, "million"),
		"it says: %s", err.text);
	pare_model_free(m);
}

/* carried s += row; out = s, over columns of x backwards */
static struct build *running_sum(int axis, int back)
{
	struct build *b = build_new(13), *body = build_new(13);

	build_input(b, "zero", 1, 2);
	build_input(b, "x", 2, 2, 3);
	build_input(body, "s", 1, 2);
	build_input(body, "column", 1, 2);
	build_node(body, "Add", "", "s column", "t");
	build_node(body, "Identity", "", "t", "out");
	build_output(body, "t");
	build_output(body, "out");
	build_node(b, "Scan", "scan", "zero x", "sum sums");
	build_graph(b, "body", body);
	build_int(b, "num_scan_inputs", 1);
	build_ints(b, "scan_input_axes", 1, axis);
	build_ints(b, "scan_input_directions", 1, back);
	build_ints(b, "scan_output_axes", 1, 1);
	build_output(b, "sum");
	build_output(b, "sums");
	return b;
}

static void scans_go_along_any_axis_either_way(void)
{
	float zero[2] = { 0, 0 }, x[6] = { 1, 2, 3, 10, 20, 30 };
	struct pare_array in[2] = { { PARE_F32, { 1, { 2 } }, zero },
		{ PARE_F32, { 2, { 2, 3 } }, x } };
	struct pare_model *m = build_model(running_sum(1, 1));
	struct pare_array out[2] = { 0 };
	struct pare_err err = { 0 };

	ok(gives(m, in, 0, 2, (float[]){ 6, 60 }), "what is carried");
	ok(gives(m, in, 1, 6, (float[]){ 3, 5, 6, 30, 50, 60 }),
		"what each step makes, side by side");
	pare_model_free(m);
	m = build_model(running_sum(5, 0));
	ok(pare_model_run(m, in, out, &err) == PARE_E_FORMAT && strstr(err.text, "'scan' (Scan)"),
		"an axis that is not there: %s", err.text);
	pare_model_free(m);
}

/* Written to a file and read again. */
static struct pare_model *again(struct build *b)
{
	struct pare_model *m = build_model(b), *back = NULL;
	struct pare_err err = { 0 };
	void *data = NULL;
	int64_t len = 0;
	size_t n = 0;

	ok(!pare_onnx_write(m, NULL, &data, &n, &err) && !pare_onnx_size(m, NULL, &len, &err) &&
			(size_t)len == n && !pare_onnx_read(data, n, "again.onnx", &back, &err),
		"it is written and read again %s", err.text);
	free(data);
	pare_model_free(m);
	return back;
}

static void graphs_inside_are_written(void)
{
	int64_t most = 3;
	float x[6] = { 1, 2, 3, 10, 20, 30 }, zero[2] = { 0, 0 };
	struct pare_array in[2] = { { PARE_F32, { 2, { 1, 3 } }, x } };
	struct pare_model *m = again(nested(false));

	ok(gives(m, in, 0, 3, (float[]){ 4, 6, 8 }), "branches");
	pare_model_free(m);
	m = again(counting(true));
	in[0] = (struct pare_array){ PARE_I64, { 0 }, &most };
	in[1] = (struct pare_array){ PARE_F32, { 1, { 2 } }, x };
	ok(gives(m, in, 0, 2, (float[]){ 12, 20 }), "a loop");
	pare_model_free(m);
	m = again(running_sum(1, 1));
	in[0] = (struct pare_array){ PARE_F32, { 1, { 2 } }, zero };
	in[1] = (struct pare_array){ PARE_F32, { 2, { 2, 3 } }, x };
	ok(gives(m, in, 0, 2, (float[]){ 6, 60 }), "a scan");
	pare_model_free(m);
}

static void info_says_how_it_runs(void)
{
	struct build *b = build_new(13);
	struct pare_model *m = build_model(nested(true));
	char why[PARE_WHY];

	ok(pare_model_running(m, why) == PARE_RUNS_BY_NODE && strstr(why, "'outer' (If)"),
		"an If that data choose: %s", why);
	pare_model_free(m);
	m = build_model(counting(true));
	ok(pare_model_running(m, why) == PARE_RUNS_GIVEN && strstr(why, "'most'"),
		"an input that is no sample: %s", why);
	pare_model_free(m);
	build_input(b, "x", 3, -1, 3, -1);
	build_node(b, "Relu", "", "x", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_running(m, why) == PARE_RUNS_GIVEN && strstr(why, "axis 2"),
		"an axis of any length: %s", why);
	pare_model_free(m);
	b = build_new(13);
	build_input(b, "x", 2, 1, 3);
	build_node(b, "ReduceMean", "", "x", "mean");
	build_int(b, "keepdims", 0);
	build_node(b, "Clip", "floor", "x mean", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_running(m, why) == PARE_RUNS_SINGLY && strstr(why, "'floor' (Clip)"),
		"a bound made of data: %s", why);
	pare_model_free(m);
	b = build_new(13);
	build_input(b, "x", 2, 1, 3);
	build_node(b, "Relu", "", "x", "y");
	build_output(b, "y");
	m = build_model(b);
	ok(pare_model_running(m, why) == PARE_RUNS_BATCHED && !*why,
		"fixed at a batch of 1, samples run side by side all the same");
	pare_model_free(m);
}

struct canceled_run {
	struct pare_ctl ctl;
	struct pare_model *m;
	struct pare_array *in, out;
};

/* The person asks while it runs. */
static enum pare_status run_canceled(void *user, int chunk, int worker, struct pare_err *err)
{
	struct canceled_run *r = user;
	bool before = pare_canceled();

	(void)chunk;
	(void)worker;
	atomic_store(&r->ctl.cancel, true);
	return before ? PARE_E_ARG : pare_model_run(r->m, r->in, &r->out, err);
}

static void a_run_ends_when_it_is_canceled(void)
{
	struct pare_progress_span none = { 0, 0 };
	float x[] = { 1, 2 };
	int64_t most = 3;
	struct pare_array in[] = { { PARE_I64, { 0 }, &most }, { PARE_F32, { 1, { 2 } }, x } };
	struct pare_err err = { 0 };
	struct build *b = build_new(13);
	struct canceled_run r = { .m = build_model(counting(true)), .in = in };

	ok(pare_parallel(1, run_canceled, &r, &r.ctl, none, &err) == PARE_E_CANCELED &&
			!r.out.data && !pare_canceled(),
		"a loop ends: %s", err.text);
	pare_model_free(r.m);
	build_input(b, "x", 1, 2);
	build_node(b, "Relu", "", "x", "y");
	build_output(b, "y");
	r = (struct canceled_run){ .m = build_model(b), .in = in + 1 };
	ok(pare_parallel(1, run_canceled, &r, &r.ctl, none, &err) == PARE_E_CANCELED && !r.out.data,
		"a program ends: %s", err.text);
	pare_model_free(r.m);
}

static void what_does_not_fit_is_refused(void)
{
	struct build *b = nested(true);
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;

	b->nodes[b->graph.n_node - 1]->n_attribute = 1;
	ok(build_read(b, &m, &err) == PARE_E_FORMAT && strstr(err.text, "'else_branch'"),
		"a branch that is not there: %s", err.text);
	build_free(b);
	b = nested(true);
	b->nodes[b->graph.n_node - 1]->attribute[0]->g->n_output = 0;
	ok(build_read(b, &m, &err) == PARE_E_FORMAT, "a branch without outputs: %s", err.text);
	build_free(b);
	b = counting(true);
	b->nodes[0]->n_input = 2;
	ok(build_read(b, &m, &err) == PARE_E_FORMAT && strstr(err.text, "'loop' (Loop)"),
		"a loop that carries less than its graph: %s", err.text);
	build_free(b);
	b = nested(true);
	b->nodes[0]->op_type = "If";
	b->nodes[0]->n_attribute = 0;
	b->nodes[0]->input[0] = "y";
	ok(build_read(b, &m, &err), "what an If makes cannot choose it: %s", err.text);
	build_free(b);
	b = nested(true);
	b->nodes[b->graph.n_node - 1]->attribute[1]->g->node[0]->op_type = "Conjure";
	ok(!build_read(b, &m, &err) && pare_model_info(m)->n_unsupported == 1 &&
			!strcmp(pare_model_unsupported(m, 0)->op, "Conjure"),
		"an operator inside that pare does not have is named");
	pare_model_free(m);
	build_free(b);
}

static void memory_may_run_out(void)
{
	int64_t most = 3;
	float start[3] = { 1, 0, 2 };
	struct pare_array in[2] = { { PARE_I64, { 0 }, &most }, { PARE_F32, { 1, { 2 } }, start } };
	struct pare_array x = { PARE_F32, { 2, { 1, 3 } }, start };
	int good = 1, k = 0;

	for (int which = 0; which < 2; which++) {
		enum pare_status st = PARE_E_NOMEM;

		for (k = 0; st == PARE_E_NOMEM && k < 2000;) {
			struct build *b = which ? nested(false) : counting(true);
			struct pare_array out[2] = { 0 };
			struct pare_model *m = NULL;
			struct pare_err err = { 0 };

			build_pack(b);
			pare_alloc_fail_after(++k);
			st = pare_onnx_read(b->data, b->len, "t.onnx", &m, &err);
			if (!st)
				st = pare_model_run(m, which ? &x : in, out, &err);
			pare_alloc_fail_after(0);
			good &= !st || st == PARE_E_NOMEM;
			pare_array_free(&out[0]);
			pare_array_free(&out[1]);
			pare_model_free(m);
			build_free(b);
		}
		good &= !st;
	}
	ok(good, "each of %d allocations may fail", k - 1);
}

/* Not even how many axes the input has is told. */
static void an_input_without_a_shape_is_no_condition(void)
{
	struct build *b = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 2, 1, 3);
	b->inputs[0]->type->tensor_type->shape = NULL;
	build_node(b, "ReduceSum", "", "x", "total");
	build_int(b, "keepdims", 0);
	build_node(b, "Cast", "", "total", "sure");
	build_int(b, "to", 9);
	build_node(b, "If", "choice", "sure", "y");
	build_graph(b, "then_branch", sum_branch("x", 1, "one"));
	build_graph(b, "else_branch", sum_branch("x", 2, "two"));
	build_output(b, "y");
	m = build_model(b);
	ok(m && m->info.n_nodes == 3, "what it decides is not known");
	pare_model_free(m);
}

/* What is in a branch has no dials, and is told. */
static void layers_inside_are_named(void)
{
	struct build *b = build_new(13), *yes = build_new(13), *no = build_new(13);
	struct pare_model *m;

	build_input(b, "x", 2, 1, 3);
	scalar(b, "zero", PARE_F32, 0);
	build_node(b, "ReduceSum", "", "x", "total");
	build_int(b, "keepdims", 0);
	build_node(b, "Greater", "", "total zero", "positive");
	build_weight(yes, "w", 1, 2, 3, 4);
	build_node(yes, "MatMul", "mm", "x w", "one");
	build_output(yes, "one");
	build_weight(no, "w", 2, 2, 3, 4);
	build_node(no, "MatMul", "nn", "x w", "two");
	build_output(no, "two");
	build_node(b, "If", "choice", "positive", "y");
	build_graph(b, "then_branch", yes);
	build_graph(b, "else_branch", no);
	build_output(b, "y");
	m = build_model(b);
	ok(m->info.n_layers == 0 && m->info.n_hidden == 2 &&
			pare_model_hidden(m, 0)->weights == 12 &&
			!strcmp(pare_model_hidden(m, 1)->inside, "choice") &&
			!strcmp(pare_model_hidden(m, 1)->op, "MatMul"),
		"two layers inside '%s'", pare_model_hidden(m, 0)->inside);
	pare_model_free(m);
}

int main(void)
{
	an_input_without_a_shape_is_no_condition();
	layers_inside_are_named();
	branches_see_what_is_around_them();
	known_conditions_leave_one_branch();
	layers_of_a_known_branch_are_layers();
	loops_run_as_often_as_they_say();
	a_loop_without_end_is_ended();
	scans_go_along_any_axis_either_way();
	graphs_inside_are_written();
	info_says_how_it_runs();
	a_run_ends_when_it_is_canceled();
	what_does_not_fit_is_refused();
	memory_may_run_out();
	return tap_done();
}
