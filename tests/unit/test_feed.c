/* What a dataset puts into a network whose input is no float32. */
#include "engine/study/study.h"
#include "tests/build.h"
#include "tests/tap.h"
#include "tests/tiny.h"

enum { TOKENS = 4, SAMPLES = 50 };

/* A token picks its row of the identity, so that the answer is the token. */
static struct pare_model *words(int elem_type)
{
	static const float eye[TOKENS * TOKENS] = { [0] = 1, [5] = 1, [10] = 1, [15] = 1 };
	struct pare_shape square = { 2, { TOKENS, TOKENS } };
	struct build *b = build_new(13);

	build_input(b, "x", 2, -1, 1);
	b->inputs[0]->type->tensor_type->elem_type = elem_type;
	build_tensor(b, "table", PARE_F32, eye, square);
	build_tensor(b, "w", PARE_F32, eye, square);
	build_node(b, "Cast", "", "x", "index");
	build_int(b, "to", 7);
	build_node(b, "Gather", "", "table index", "row");
	build_node(b, "Flatten", "", "row", "flat");
	build_node(b, "Gemm", "fc", "flat w", "y");
	build_output(b, "y");
	return build_model(b);
}

static struct pare_dataset *tokens(const struct pare_model *m, bool labelled)
{
	int64_t x[SAMPLES];
	struct pare_dataset *d = NULL;
	struct pare_err err = { 0 };
	const char *folder = tiny_path(labelled ? "labelled" : "bare");
	char file[600];

	for (int i = 0; i < SAMPLES; i++)
		x[i] = i * 7 % TOKENS;
	mkdir(folder, 0777);
	snprintf(file, sizeof file, "%s/x.npy", folder);
	tiny_npy(file, "<i8", "(50, 1)", x, sizeof x);
	snprintf(file, sizeof file, "%s/y.npy", folder);
	if (labelled)
		tiny_npy(file, "<i8", "(50,)", x, sizeof x);
	ok_status(pare_dataset_open(folder, m, &d, &err), err, "tokens open");
	return d;
}

static void whole_numbers_arrive_whole(int elem_type)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words(elem_type);

	for (int labelled = 0; labelled < 2; labelled++) {
		struct pare_dataset *d = tokens(m, labelled);
		struct pare_score score = { 0 };

		ok_status(pare_evaluate(m, d, 0, NULL, &score, &err), err, "evaluated");
		ok(score.accuracy.value == 100, "each token is known again: %g %%",
			score.accuracy.value);
		pare_dataset_free(d);
	}
	pare_model_free(m);
}

/* Adds what z says to the row of the token. */
static struct pare_model *words_and_numbers(void)
{
	static const float eye[TOKENS * TOKENS] = { [0] = 1, [5] = 1, [10] = 1, [15] = 1 };
	struct pare_shape square = { 2, { TOKENS, TOKENS } };
	struct build *b = build_new(13);

	build_input_of(b, "words", PARE_I64, (struct pare_shape){ 2, { -1, 1 } });
	build_input(b, "z", 2, -1, TOKENS);
	build_tensor(b, "table", PARE_F32, eye, square);
	build_tensor(b, "w", PARE_F32, eye, square);
	build_node(b, "Gather", "", "table words", "row");
	build_node(b, "Flatten", "", "row", "flat");
	build_node(b, "Add", "", "flat z", "sum");
	build_node(b, "Gemm", "fc", "sum w", "y");
	build_output(b, "y");
	return build_model(b);
}

/* Samples on which z outvotes the token, but for every fifth, where it is silent. */
static const char *both_inputs(int n_z)
{
	static float z[SAMPLES * TOKENS];
	static int64_t words[SAMPLES], y[SAMPLES];
	struct pare_array arrays[] = { { PARE_F32, { 2, { n_z, TOKENS } }, z },
		{ PARE_I64, { 1, { SAMPLES } }, y }, { PARE_I64, { 2, { SAMPLES, 1 } }, words } };
	const char *const names[] = { "z", "y", "words" };
	const char *path = tiny_path("both.npz");
	struct pare_err err = { 0 };

	for (int i = 0; i < SAMPLES; i++) {
		words[i] = i % TOKENS;
		y[i] = i % 5 ? (i + 1 + i / 7) % TOKENS : words[i];
		for (int k = 0; k < TOKENS; k++)
			z[i * TOKENS + k] = i % 5 && k == y[i] ? 2 : 0;
	}
	ok_status(pare_npz_write(path, arrays, names, 3, &err), err, "an archive");
	return path;
}

/* A plan measured from the first step on has the inputs copied for each of its variants; GPTQ reads
 * them by itself. */
static void a_plan_gets_the_same(struct pare_model *m, struct pare_dataset *d)
{
	struct pare_err err = { 0 };
	int last = pare_model_info(m)->n_layers - 1; /* behind a table, perhaps */
	struct pare_plan *p = pare_plan_new(last + 1);
	struct pare_study *s = NULL;
	struct pare_result *r = NULL;
	struct pare_metrics now = { 0 };
	struct pare_task tasks[2] = { { .kind = PARE_TASK_BASELINE },
		{ .kind = PARE_TASK_PLAN, .plan = p } };

	p->dials[last].weights = (uint8_t)pare_format_find("int8");
	p->dials[last].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "gptq");
	ok_status(pare_study_new(m, d, 0, &s, &err), err, "a study");
	for (int i = 0; i < 2; i++) {
		ok_status(pare_study_run(s, &tasks[i], NULL, &r, &err), err, "work %d", i);
		ok_status(pare_study_add(s, r, &err), err, "done");
	}
	ok_status(pare_study_estimate(s, p, &now, &err), err, "figures");
	ok(now.accuracy.kind == PARE_MEASURED && now.accuracy.value == 100, "measured %g %%",
		now.accuracy.value);
	pare_study_free(s);
	pare_plan_free(p);
	pare_dataset_free(d);
	pare_model_free(m);
}

static void two_inputs_are_fed(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words_and_numbers();
	struct pare_dataset *d = NULL;
	struct pare_score score = { 0 };

	ok_status(pare_dataset_open(both_inputs(SAMPLES), m, &d, &err), err, "two inputs open");
	ok_status(pare_evaluate(m, d, 0, NULL, &score, &err), err, "evaluated");
	ok(score.accuracy.value == 100, "each input has its say: %g %%", score.accuracy.value);
	a_plan_gets_the_same(m, d);
}

/* Of any type, and long enough for whole vectors of it. */
static void long_samples_are_fed(enum pare_dtype type)
{
	enum { LONG = 40 };
	static float w[LONG * TOKENS], x[SAMPLES * LONG];
	static int64_t y[SAMPLES];
	struct pare_array arrays[] = { { PARE_F32, { 2, { SAMPLES, LONG } }, x },
		{ PARE_I64, { 1, { SAMPLES } }, y } };
	struct build *b = build_new(13);
	struct pare_err err = { 0 };
	struct pare_dataset *d = NULL;
	struct pare_score score = { 0 };
	struct pare_model *m;

	for (int i = 0; i < LONG; i++)
		w[i * TOKENS + i % TOKENS] = 1;
	for (int i = 0; i < SAMPLES; i++) {
		y[i] = i * 3 % TOKENS;
		for (int k = 0; k < LONG; k++)
			x[i * LONG + k] = k == i % (LONG / TOKENS) * TOKENS + y[i];
	}
	build_input_of(b, "x", type, (struct pare_shape){ 2, { -1, LONG } });
	build_tensor(b, "w", PARE_F32, w, (struct pare_shape){ 2, { LONG, TOKENS } });
	build_node(b, "Cast", "", "x", "f");
	build_int(b, "to", 1);
	build_node(b, "MatMul", "fc", "f w", "y");
	build_output(b, "y");
	m = build_model(b);
	ok_status(pare_npz_write(
			  tiny_path("long.npz"), arrays, (const char *[]){ "x", "y" }, 2, &err),
		err, "an archive");
	ok_status(pare_dataset_open(tiny_path("long.npz"), m, &d, &err), err, "it opens");
	ok_status(pare_evaluate(m, d, 0, NULL, &score, &err), err, "evaluated");
	ok(score.accuracy.value == 100, "%s: each sample arrives whole: %g %%",
		pare_dtype_name(type), score.accuracy.value);
	a_plan_gets_the_same(m, d);
}

static void inputs_that_do_not_match_are_named(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words_and_numbers();
	struct pare_dataset *d = NULL;

	ok(pare_dataset_open(both_inputs(SAMPLES - 1), m, &d, &err) == PARE_E_MISMATCH &&
			strstr(err.text, "50 samples of 'words' and 49 of 'z'"),
		"%s", err.text);
	d = tokens(NULL, true);
	pare_dataset_free(d);
	ok(pare_dataset_open(tiny_path("labelled"), m, &d, &err) == PARE_E_MISMATCH &&
			strstr(err.text, "takes 2 inputs, 'words' and 'z'"),
		"%s", err.text);
	pare_model_free(m);
}

static void what_cannot_be_fed_is_named(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words(5); /* int16 */
	struct pare_dataset *d = tokens(m, true);
	struct pare_score score = { 0 };

	ok(pare_evaluate(m, d, 0, NULL, &score, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'x' is int16"),
		"%s", err.text);
	pare_dataset_free(d);
	pare_model_free(m);
}

/* Behind it the shapes are not known, which is not what the person has to hear. */
static void an_operator_that_is_not_there_is_named(void)
{
	struct pare_err err = { 0 };
	struct build *b = build_new(13);
	struct pare_model *m;
	struct pare_dataset *d;
	struct pare_score score = { 0 };

	build_input(b, "x", 2, -1, 1);
	build_node(b, "Frobnicate", "odd", "x", "y");
	build_output(b, "y");
	m = build_model(b);
	d = tokens(m, true);
	ok(pare_evaluate(m, d, 0, NULL, &score, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'odd' (Frobnicate)"),
		"%s", err.text);
	pare_dataset_free(d);
	pare_model_free(m);
}

int main(void)
{
	struct pare_model *m;

	if (!tiny_home()) {
		ok(false, "a folder");
		return tap_done();
	}
	whole_numbers_arrive_whole(7);  /* int64 */
	whole_numbers_arrive_whole(6);  /* int32 */
	whole_numbers_arrive_whole(2);  /* uint8 */
	whole_numbers_arrive_whole(11); /* float64 */
	m = words(7);
	a_plan_gets_the_same(m, tokens(m, true));
	two_inputs_are_fed();
	long_samples_are_fed(PARE_I64);
	long_samples_are_fed(PARE_U8);
	long_samples_are_fed(PARE_F16);
	long_samples_are_fed(PARE_F32);
	inputs_that_do_not_match_are_named();
	what_cannot_be_fed_is_named();
	an_operator_that_is_not_there_is_named();
	return tap_done();
}
