#include "sessions/recipe.h"
#include "tests/tap.h"
#include "tests/tiny.h"

static struct pare_model *model;

static struct pare_dials random_dials(struct pare_rng *r)
{
	struct pare_dials d = { 0 };

	for (const struct pare_dial_word *w = pare_dial_words; w->family != PARE_N_METHODS; w++) {
		int rows = 0, v;

		while (w->uses ? pare_formats[rows].name != NULL
			       : pare_method_name(w->family, rows) != NULL)
			rows++;
		do
			v = (int)pare_rng_below(r, (uint64_t)rows);
		while (!pare_dial_value_name(w, v));
		*((uint8_t *)&d + w->at) = (uint8_t)v;
	}
	switch (pare_rng_below(r, 3)) {
	case 0:
		break;
	case 1:
		d.sparsity = (float)pare_rng_below(r, 10) / 10;
		break;
	default:
		d.sparsity = (float)pare_rng_unit(r);
		d.sparsity = d.sparsity < 1 ? d.sparsity : .5f;
	}
	if (pare_pattern_share(d.pattern) > 0)
		d.sparsity = pare_pattern_share(d.pattern);
	if (!pare_rng_below(r, 3))
		d.rank = (float)pare_rng_below(r, 20) / 20;
	if (!pare_rng_below(r, 6))
		d.exit = pare_rng_below(r, 2) ? 1 - (float)pare_rng_unit(r) / 2 : PARE_EXIT_AUTO;
	return d;
}

/* Layers share dials more often than not, as a person's do. */
static struct pare_plan *random_plan(struct pare_rng *r)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_dials kinds[3];
	uint64_t n = 1 + pare_rng_below(r, 3);

	for (uint64_t i = 0; i < n; i++)
		kinds[i] = pare_rng_below(r, 4) ? random_dials(r) : (struct pare_dials){ 0 };
	for (int i = 0; i < p->n; i++)
		p->dials[i] = pare_rng_below(r, 8) ? kinds[pare_rng_below(r, n)] : random_dials(r);
	for (int i = 0; i < p->n; i++)
		if (!pare_layer_rank(model, i, &p->dials[i], NULL))
			p->dials[i].rank = 0;
	return p;
}

static void plans_survive_the_way_through_text(void)
{
	struct pare_rng r = pare_rng_seed(3, 0);
	int equal = 1, same_text = 1, hashes = 1;

	for (int i = 0; i < 2000 && equal; i++) {
		struct pare_plan *p = random_plan(&r), *q = NULL;
		struct pare_err err = { 0 };
		char *a = NULL, *b = NULL;

		equal = !pare_plan_text(model, p, &a, &err) &&
			!pare_plan_parse(model, a, &q, &err) && pare_plan_equal(p, q);
		if (!equal)
			printf("# plan %d: %s\n# %s\n", i, err.text, a ? a : "");
		else {
			hashes &= pare_plan_hash(p) == pare_plan_hash(q);
			same_text &= !pare_plan_text(model, q, &b, &err) && !strcmp(a, b);
		}
		pare_plan_free(p);
		pare_plan_free(q);
		free(a);
		free(b);
	}
	ok(equal, "2,000 random plans come back equal");
	ok(hashes, "with equal hashes");
	ok(same_text, "and with the same text again");
}

static void layers_alike_share_a_line(void)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	uint8_t int8 = (uint8_t)pare_format_find("int8"), int4 = (uint8_t)pare_format_find("int4");
	struct pare_err err = { 0 };
	char *text = NULL;

	for (int i = 0; i < p->n; i++) {
		p->dials[i].weights = i >= 10 ? int4 : int8;
		p->dials[i].activations = int8;
		p->dials[i].sparsity = i < TINY_CONVS ? .3f : 0;
	}
	p->dials[8].weights = 0;
	ok_status(pare_plan_text(model, p, &text, &err), err, "a plan has a text");
	if (!ok(text && !strcmp(text, "set    *        weights int8 activations int8\n"
				      "set    \"odd,\\\"8\\\"\" weights float32\n"
				      "set    dense/1* weights int4\n"
				      "prune  *        weights 30%\n"
				      "prune  op=Gemm  weights 0%\n"),
		    "the commonest goes to *, the others follow"))
		printf("# %s\n", text);
	free(text);
	pare_plan_free(p);
}

static void patterns_have_a_share_of_their_own(void)
{
	struct pare_plan *p = NULL;
	struct pare_err err = { 0 };
	char *text = NULL;

	ok_status(pare_plan_parse(model,
			  "prune * weights 50% by obs pattern 2:4\n"
			  "prune conv_1 weights 50%\nprune conv_2 weights 40% pattern 4x1\n"
			  "prune conv_3 weights 50% by l1 pattern 2:4",
			  &p, &err),
		err, "patterns are read");
	if (p)
		ok_status(pare_plan_text(model, p, &text, &err), err, "and written");
	if (!ok(text && !strcmp(text, "prune  *        weights 50% by obs pattern 2:4\n"
				      "prune  conv_1   weights 50% pattern unstructured\n"
				      "prune  conv_2   weights 40% pattern 4x1\n"
				      "prune  conv_3   weights 50% by l1 pattern 2:4\n"),
		    "2:4 is named wherever it is meant"))
		printf("# %s\n", text ? text : "");
	free(text);
	pare_plan_free(p);
}

static void ranks_go_where_they_can(void)
{
	struct pare_plan *p = NULL;
	struct pare_err err = { 0 };
	char *text = NULL;

	ok_status(
		pare_plan_parse(model,
			"prune * rank 50% split spatial by plain\nprune op=Gemm rank 25% by plain",
			&p, &err),
		err, "ranks are read");
	if (p)
		ok_status(pare_plan_text(model, p, &text, &err), err, "and written");
	if (!ok(text && !strcmp(text, "prune  *        rank 50% by plain split spatial\n"
				      "prune  op=Gemm  rank 25% by plain split best\n"),
		    "each layer as it can"))
		printf("# %s\n", text ? text : "");
	free(text);
	pare_plan_free(p);
	p = NULL;
	ok(pare_plan_parse(model, "prune dense/10 rank 50% split spatial", &p, &err) ==
				PARE_E_UNSUPPORTED &&
			strstr(err.text, "'dense/10' cannot become two layers: it has no kernel"),
		"where it cannot: %s", err.text);
}

static struct pare_recipe_parts parts_of(const struct pare_plan *p, const struct pare_dataset *d)
{
	struct pare_recipe_parts parts = { .model = model, .data = d, .plan = p, .seed = 7 };

	return parts;
}

static void a_written_recipe_reads_back(void)
{
	static const char *const devices[] = { "host", "cortex-m7", NULL };
	struct pare_rng r = pare_rng_seed(4, 0);
	struct pare_plan *p = random_plan(&r), *q = NULL;
	struct pare_dataset *d = NULL, *d2 = NULL;
	struct pare_model *m2 = NULL;
	struct pare_recipe *got = NULL;
	struct pare_recipe_parts parts;
	struct pare_err err = { 0 };
	char sha[PARE_SHA_HEX], sha2[PARE_SHA_HEX];

	ok_status(pare_dataset_open(tiny_path("data"), model, &d, &err), err, "data open");
	ok_status(pare_dataset_set_split(d, PARE_CALIBRATE, 2, 30, &err), err, "split");
	mkdir(tiny_path("out"), 0777);
	parts = parts_of(p, d);
	parts.samples = 25;
	parts.devices = devices;
	parts.promised[PARE_PROMISE_ACCURACY] = (struct pare_promised){ true, 86.5, .4 };
	parts.promised[PARE_PROMISE_BYTES] = (struct pare_promised){ true, 24700, 0 };
	memset(sha, 'b', PARE_SHA_HEX - 1);
	sha[PARE_SHA_HEX - 1] = 0;
	parts.promised_sha = sha;
	parts.promised_cpu = "avx2";
	ok_status(pare_recipe_write(tiny_path("out/r.pare"), &parts, &err), err, "written");
	ok_status(pare_recipe_read(tiny_path("out/r.pare"), &got, &err), err, "read");
	if (!got)
		return;
	ok(strstr(got->model, "out/../m.onnx") && strstr(got->data, "out/../data"),
		"paths are relative to the recipe: %s", got->model);
	ok(got->seed == 7 && !strcmp(got->devices[1], "cortex-m7") && !got->devices[2],
		"seed and devices");
	ok(got->promised[PARE_PROMISE_ACCURACY].value == 86.5 &&
			got->promised[PARE_PROMISE_ACCURACY].tolerance == .4 &&
			got->promised[PARE_PROMISE_BYTES].value == 24700 &&
			!got->promised[PARE_PROMISE_DROP].said && !strcmp(got->promised_sha, sha) &&
			!strcmp(got->promised_cpu, "avx2"),
		"promises");
	ok_status(pare_recipe_open(got, &m2, &d2, &err), err, "model and data open by it");
	if (!d2)
		return;
	ok(pare_dataset_info(d2)->n_calibrate == 28 && pare_dataset_info(d2)->calibrate_from == 2 &&
			pare_dataset_info(d2)->n_evaluate == 25,
		"with its split");
	ok_status(pare_recipe_plan(got, m2, NULL, NULL, &q, &err), err, "plan");
	ok(q && pare_plan_equal(p, q), "the plan is equal");
	ok(!pare_recipe_sha(&parts, sha, &err), "it has a hash");
	parts = (struct pare_recipe_parts){ .model = m2, .data = d2, .plan = q, .seed = 7 };
	ok(!pare_recipe_sha(&parts, sha2, &err) && !strcmp(sha, sha2),
		"which promises, devices and spelling do not change");
	parts.seed = 8;
	ok(!pare_recipe_sha(&parts, sha2, &err) && strcmp(sha, sha2), "but the seed does");
	pare_recipe_free(got);
	pare_plan_free(p);
	pare_plan_free(q);
	pare_dataset_free(d);
	pare_dataset_free(d2);
	pare_model_free(m2);
}

static const char *open_error(const char *text, enum pare_status want)
{
	static struct pare_err err;
	struct pare_recipe *r = NULL;
	struct pare_model *m = NULL;
	struct pare_dataset *d = NULL;
	struct pare_plan *p = NULL;
	enum pare_status st;

	err.text[0] = 0;
	st = pare_recipe_parse(text, strlen(text), tiny_path("r.pare"), &r, &err);
	if (!st)
		st = pare_recipe_open(r, &m, &d, &err);
	if (!st)
		st = pare_recipe_plan(r, m, NULL, NULL, &p, &err);
	pare_plan_free(p);
	pare_dataset_free(d);
	pare_model_free(m);
	pare_recipe_free(r);
	ok(st == want, "status %d", want);
	return err.text;
}

static void what_does_not_fit_is_told(void)
{
	static const char zeros[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	char text[400];

	ok(strstr(open_error("", PARE_E_FORMAT), "first line must be 'pare 1'"), "empty");
	ok(strstr(open_error("model m.onnx\n", PARE_E_FORMAT), "first line must be"), "no version");
	ok(strstr(open_error("pare 1\n", PARE_E_FORMAT), "names no model"), "no model");
	ok(strstr(open_error("pare 1\nmodel a\nmodel b\n", PARE_E_FORMAT), "line 3, column 1"),
		"two models");
	ok(strstr(open_error("pare 1\nmodel gone.onnx\n", PARE_E_IO), "gone.onnx"), "no such file");
	ok(strstr(open_error("pare 1\nmodel m.onnx\nset conv_77 weights int8\n", PARE_E_ARG),
		   "line 3, column 5: there is no layer 'conv_77'; the nearest name is 'conv_"),
		"no such layer");
	snprintf(text, sizeof text, "pare 1\nmodel m.onnx sha256:%s\n", zeros);
	ok(strstr(open_error(text, PARE_E_MISMATCH), "written for another model"), "another model");
	snprintf(text, sizeof text, "pare 1\nmodel m.onnx\ndata data sha256:%s\n", zeros);
	ok(strstr(open_error(text, PARE_E_MISMATCH), "another data set"), "other data");
	open_error("pare 1\nmodel m.onnx\ndata data calibrate 0:9 evaluate 70:\n", PARE_OK);
	ok(strstr(open_error("pare 1\nmodel m.onnx\ndata data evaluate 1:200\n", PARE_E_MISMATCH),
		   "r.pare: "),
		"bounds beyond the samples");
}

static void shapes_are_kept(void)
{
	const struct pare_io *x = pare_model_input(model, 0);
	struct pare_model *m = NULL, *again = NULL;
	struct pare_dataset *none = NULL;
	struct pare_recipe *r = NULL;
	struct pare_err err = { 0 };
	char dims[64], given[128], *text = NULL;

	pare_shape_text(&x->shape, ",", dims, sizeof dims);
	snprintf(given, sizeof given, "%s=N%s", x->name, strchr(dims, ','));
	ok_status(pare_model_open_as(tiny_path("m.onnx"), given, &m, &err), err, "given %s", given);
	struct pare_plan *p = m ? pare_plan_of(m) : NULL;
	struct pare_recipe_parts parts = { .model = m, .plan = p };

	ok(p && !pare_recipe_text(&parts, tiny_folder, &text, &err) && strstr(text, given),
		"a recipe says the shape");
	ok(text && !pare_recipe_parse(text, strlen(text), tiny_path("r.pare"), &r, &err) &&
			!strcmp(r->shapes, given) && !pare_recipe_open(r, &again, &none, &err) &&
			!strcmp(pare_model_info(again)->shapes, given),
		"and opens its model with it");
	pare_recipe_free(r);
	pare_model_free(again);
	pare_model_free(m);
	pare_plan_free(p);
	free(text);
}

static void files_appear_whole_or_not_at_all(void)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_recipe_parts parts = parts_of(p, NULL);
	struct pare_err err = { 0 };
	char *text = NULL;
	size_t len = 0;

	ok(pare_recipe_write(tiny_path("no/such/r.pare"), &parts, &err) == PARE_E_IO &&
			strstr(err.text, "r.pare"),
		"a folder that is not there: %s", err.text);
	ok(pare_text_read("/dev/zero", 1000, &text, &len, &err) == PARE_E_FORMAT,
		"a device is no recipe");
	ok(pare_text_read(tiny_path("m.onnx"), 10, &text, &len, &err) == PARE_E_FORMAT,
		"nor what is too large");
	tiny_file(tiny_path("full.pare"), "before", 6, NULL, 0);
	if (geteuid()) {
		chmod(tiny_folder, 0555);
		ok(pare_recipe_write(tiny_path("full.pare"), &parts, &err) == PARE_E_IO,
			"a read-only folder is told");
		chmod(tiny_folder, 0755);
		ok(!pare_text_read(tiny_path("full.pare"), 100, &text, &len, &err) && len == 6,
			"and the old file is as it was");
		free(text);
	} else
		tap_skip("a read-only folder is told", "root may write anywhere");
	pare_plan_free(p);
}

static void paths_are_seen_from_folders(void)
{
	static const char *const cases[][3] = {
		{ "/nowhere/a", "/nowhere/a/m.onnx", "m.onnx" },
		{ "/nowhere/a/b", "/nowhere/a/m.onnx", "../m.onnx" },
		{ "/nowhere/a", "/nowhere/ab/m.onnx", "../ab/m.onnx" },
		{ "/nowhere/ab", "/nowhere/a/m.onnx", "../a/m.onnx" },
		{ "/", "/nowhere/m", "nowhere/m" },
		{ "/nowhere/a", "/nowhere/a", "." },
		{ "/nowhere/a/b/c", "/elsewhere/m", "../../../../elsewhere/m" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *got = pare_path_from(cases[i][0], cases[i][1]);

		ok(got && !strcmp(got, cases[i][2]), "%s from %s: %s", cases[i][1], cases[i][0],
			got);
		free(got);
	}
}

int main(void)
{
	struct pare_err err = { 0 };

	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1) ||
		!tiny_data(tiny_path("data"), 80, 1, 1))
		return 1;
	ok_status(pare_model_open(tiny_path("m.onnx"), &model, &err), err, "the model opens");
	if (!model)
		return tap_done();
	plans_survive_the_way_through_text();
	layers_alike_share_a_line();
	patterns_have_a_share_of_their_own();
	ranks_go_where_they_can();
	a_written_recipe_reads_back();
	what_does_not_fit_is_told();
	shapes_are_kept();
	files_appear_whole_or_not_at_all();
	paths_are_seen_from_folders();
	pare_model_free(model);
	return tap_done();
}
