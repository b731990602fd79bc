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

/* A plan measured from the first step on has the input copied for each of its variants. */
static void a_plan_gets_the_same_tokens(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words(7);
	struct pare_dataset *d = tokens(m, true);
	struct pare_plan *p = pare_plan_new(1);
	struct pare_study *s = NULL;
	struct pare_result *r = NULL;
	struct pare_metrics now = { 0 };
	struct pare_task tasks[2] = { { .kind = PARE_TASK_BASELINE },
		{ .kind = PARE_TASK_PLAN, .plan = p } };

	p->dials[0].weights = (uint8_t)pare_format_find("int8");
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

static void what_cannot_be_fed_is_named(void)
{
	struct pare_err err = { 0 };
	struct pare_model *m = words(10); /* float16 */
	struct pare_dataset *d = tokens(m, true);
	struct pare_score score = { 0 };

	ok(pare_evaluate(m, d, 0, NULL, &score, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'x' is float16"),
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
	if (!tiny_home()) {
		ok(false, "a folder");
		return tap_done();
	}
	whole_numbers_arrive_whole(7);  /* int64 */
	whole_numbers_arrive_whole(6);  /* int32 */
	whole_numbers_arrive_whole(2);  /* uint8 */
	whole_numbers_arrive_whole(11); /* float64 */
	a_plan_gets_the_same_tokens();
	what_cannot_be_fed_is_named();
	an_operator_that_is_not_there_is_named();
	return tap_done();
}
