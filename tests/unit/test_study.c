/* On the built-in example. */
#include "engine/base/hash.h"
#include "engine/plan/variant.h"
#include "engine/study/study.h"
#include "tests/tap.h"
#include <math.h>
#include <string.h>

#define EXAMPLE "examples/fashion/"
enum { SAMPLES = 160 };

static struct pare_err err;
static struct pare_model *model;
static struct pare_dataset *data;

static struct pare_result *run(const struct pare_study *s, struct pare_task t)
{
	struct pare_result *r = NULL;

	if (pare_study_run(s, &t, NULL, &r, &err))
		printf("# %s\n", err.text);
	return r;
}

static struct pare_study *study_with_baseline(void)
{
	struct pare_study *s = NULL;
	struct pare_result *r;

	ok_status(pare_study_new(model, data, SAMPLES, &s, &err), err, "a study");
	r = run(s, (struct pare_task){ .kind = PARE_TASK_BASELINE });
	ok(r && !pare_study_add(s, r, &err), "the float model is measured");
	return s;
}

static void add_cells(struct pare_study *s, int layer, enum pare_dial dial)
{
	struct pare_result *r = run(s, (struct pare_task){ PARE_TASK_CELLS, layer, dial, NULL });

	ok(r && !pare_study_add(s, r, &err), "cells of layer %d", layer);
}

static double accuracy_of(const struct pare_plan *p, const struct pare_calibration *calibration)
{
	struct pare_variant *v = NULL;
	struct pare_score score = { 0 };

	ok_status(pare_variant_new(model, p, calibration, NULL, &v, &err), err, "a variant");
	ok_status(pare_evaluate_variant(v, data, SAMPLES, NULL, &score, &err), err, "evaluated");
	pare_variant_free(v);
	return score.accuracy.value;
}

static void tasks_come_in_order(void)
{
	struct pare_study *s = NULL;
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_task t;

	ok_status(pare_study_new(model, data, SAMPLES, &s, &err), err, "a study");
	ok(!pare_study_next(s, p, NULL, &t, &err) && t.kind == PARE_TASK_BASELINE,
		"the baseline is first");
	ok(pare_study_float(s).kind == PARE_UNKNOWN, "before it nothing is known");
	ok(pare_study_run(s, &(struct pare_task){ PARE_TASK_CELLS, 0, 0, NULL }, NULL, NULL,
		   &err) == PARE_E_ARG,
		"cells cannot be measured before it");
	pare_study_free(s);
	s = study_with_baseline();
	ok(!pare_study_next(s, p, NULL, &t, &err) && t.kind == PARE_TASK_CELLS && !t.layer,
		"the float plan is measured by it; cells follow");
	p->dials[1].weights = (uint8_t)pare_format_find("int4");
	ok(!pare_study_next(s, p, NULL, &t, &err) && t.kind == PARE_TASK_PLAN,
		"a new plan comes before cells");
	pare_task_free(&t);
	pare_plan_free(p);
	pare_study_free(s);
}

static void what_is_shown_is_what_is_applied(void)
{
	struct pare_study *s = study_with_baseline();
	double base = pare_study_float(s).value;
	int layer = pare_model_info(model)->n_layers / 2;
	static const char *const names[] = { "int3", "act int8", "70%" };

	add_cells(s, layer, PARE_DIAL_WEIGHTS);
	add_cells(s, layer, PARE_DIAL_ACTIVATIONS);
	add_cells(s, layer, PARE_DIAL_SPARSITY);
	for (int k = 0; k < 3; k++)
		for (int o = 0; pare_options[o].name; o++) {
			struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
			struct pare_metrics m;
			double drop;

			pare_option_apply(&pare_options[o], &p->dials[layer]);
			if (!strcmp(pare_options[o].name, names[k])) {
				drop = base - accuracy_of(p, pare_study_calibration(s));
				ok(fabs(pare_study_cell(s, layer, o).value - drop) < 1e-9,
					"%s: the cell says %.2f, applying it costs %.2f", names[k],
					pare_study_cell(s, layer, o).value, drop);
				ok(!pare_study_estimate(s, p, &m, &err) &&
						m.drop.kind == PARE_ESTIMATED &&
						fabs(m.drop.value - drop) < 1e-9,
					"%s alone is estimated without error", names[k]);
			}
			pare_plan_free(p);
		}
	pare_study_free(s);
}

static void groups_share_their_cells(void)
{
	struct pare_study *s = study_with_baseline();
	double base = pare_study_float(s).value;
	int leader = -1, member = -1, stuck = -1, n = pare_model_info(model)->n_layers;

	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			if (pare_model_layer(model, i)->group >= 0 && leader < 0 &&
				pare_model_layer(model, i)->group ==
					pare_model_layer(model, k)->group) {
				leader = k;
				member = i;
			}
	for (int i = 0; i < n; i++)
		stuck = pare_model_layer(model, i)->group < 0 ? i : stuck;
	add_cells(s, leader, PARE_DIAL_CHANNELS);
	for (int o = 0; pare_options[o].name; o++) {
		struct pare_plan *p = pare_plan_new(n);
		struct pare_variant *v = NULL;
		struct pare_metrics m = { 0 };
		char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
		bool made;
		int64_t bytes = 0;
		double drop;

		pare_option_apply(&pare_options[o], &p->dials[member]);
		pare_plan_tie(model, p, member);
		if (pare_options[o].dial == PARE_DIAL_CHANNELS && pare_options[o].share > .2f) {
			drop = base - accuracy_of(p, pare_study_calibration(s));
			ok(fabs(pare_study_cell(s, member, o).value - drop) < 1e-9 &&
					fabs(pare_study_cell(s, leader, o).value - drop) < 1e-9 &&
					pare_study_cell(s, stuck, o).kind == PARE_UNKNOWN,
				"%s: both say %.2f, applying it costs %.2f", pare_options[o].name,
				pare_study_cell(s, member, o).value, drop);
			ok(!pare_study_estimate(s, p, &m, &err) && fabs(m.drop.value - drop) < 1e-9,
				"it counts once for its group");
			pare_sha256("recipe", 6, recipe);
			made = !pare_variant_new(
				       model, p, pare_study_calibration(s), NULL, &v, &err) &&
			       !pare_variant_hash(v, recipe, sha, &bytes, &err);
			ok(made && m.cost.file_bytes == bytes &&
					m.cost.macs == pare_model_info(pare_variant_model(v))->macs,
				"%lld bytes of file and %lld MACs, as said", (long long)bytes,
				(long long)m.cost.macs);
			pare_variant_free(v);
		}
		pare_plan_free(p);
	}
	pare_study_free(s);
}

/* The same whatever the number of threads. */
static void threads_do_not_matter(void)
{
	struct pare_study *s = study_with_baseline();
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	char sha[2][PARE_SHA_HEX], recipe[PARE_SHA_HEX];

	pare_sha256("recipe", 6, recipe);
	for (int i = 0; i < p->n; i++) {
		p->dials[i].channels = .3f;
		pare_plan_tie(model, p, i);
	}
	for (int t = 0; t < 2; t++) {
		struct pare_variant *v = NULL;
		int64_t bytes;

		pare_set_threads(t ? 3 : 1);
		ok_status(pare_variant_new(model, p, pare_study_calibration(s), NULL, &v, &err),
			err, "channels go with %d threads", t ? 3 : 1);
		ok_status(pare_variant_hash(v, recipe, sha[t], &bytes, &err), err, "laid out");
		pare_variant_free(v);
	}
	pare_set_threads(0);
	ok(!strcmp(sha[0], sha[1]), "to the same bytes");
	ok(pare_variant_new(model, p, NULL, NULL, NULL, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"without data: %s", err.text);
	pare_plan_free(p);
	pare_study_free(s);
}

/* What is looked at once for several plans is what each alone would look at. */
static void plans_made_at_once_are_those_made_alone(void)
{
	enum { N = 4 };
	struct pare_study *s = study_with_baseline();
	int n = pare_model_info(model)->n_layers;
	struct pare_plan *p[N];
	struct pare_variant *v[N] = { 0 };
	char recipe[PARE_SHA_HEX];

	pare_sha256("recipe", 6, recipe);
	for (int k = 0; k < N; k++) {
		p[k] = pare_plan_new(n);
		p[k]->dials[k < 2 ? 0 : 1].channels = .2f + .1f * (float)k;
		pare_plan_tie(model, p[k], k < 2 ? 0 : 1);
		for (int i = 0; i < n && k == N - 1; i++) {
			p[k]->dials[i].weights = (uint8_t)pare_format_find("int8");
			p[k]->dials[i].activations = (uint8_t)pare_format_find("int8");
		}
	}
	ok_status(pare_variants_new(model, (const struct pare_plan *const *)p, N,
			  pare_study_calibration(s), NULL, v, &err),
		err, "several at once");
	for (int k = 0; k < N; k++) {
		struct pare_variant *alone = NULL;
		char sha[2][PARE_SHA_HEX] = { "", "-" };
		int64_t bytes;

		ok_status(pare_variant_new(
				  model, p[k], pare_study_calibration(s), NULL, &alone, &err),
			err, "one alone");
		ok(!pare_variant_hash(v[k], recipe, sha[0], &bytes, &err) &&
				!pare_variant_hash(alone, recipe, sha[1], &bytes, &err) &&
				!strcmp(sha[0], sha[1]),
			"is the same, to the bit");
		pare_variant_free(alone);
		pare_variant_free(v[k]);
		pare_plan_free(p[k]);
	}
	pare_study_free(s);
}

static void what_comes_behind_is_refitted_when_asked(void)
{
	struct pare_study *s = study_with_baseline();
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	int last = p->n - 1, n = (int)pare_model_layer(model, last)->weights;

	p->dials[0].channels = .3f;
	for (int k = 0; k < 2; k++) {
		struct pare_variant *v = NULL;
		const float *now;
		bool same = true;

		p->dials[0].repair =
			(uint8_t)pare_method_find(PARE_REPAIR, k ? "throughout" : "least-squares");
		pare_plan_tie(model, p, 0);
		ok_status(pare_variant_new(model, p, pare_study_calibration(s), NULL, &v, &err),
			err, "a variant");
		now = pare_model_weights(pare_variant_model(v), last);
		for (int i = 0; i < n; i++)
			same &= now[i] == pare_model_weights(model, last)[i];
		ok(same == !k, "the last layer is %s", k ? "refitted" : "left alone");
		pare_variant_free(v);
	}
	pare_plan_free(p);
	pare_study_free(s);
}

static void a_budget_is_met(void)
{
	struct pare_channel_budget b = { .left = .8 };
	struct pare_study *s = study_with_baseline();
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	bool layers[64];
	struct pare_cost cost = { 0 };
	double whole = (double)pare_model_info(model)->macs;

	memset(layers, true, sizeof layers);
	ok_status(
		pare_plan_channels_to(model, p, layers, &b, pare_study_calibration(s), NULL, &err),
		err, "channels to 80 %% of the MACs");
	ok_status(pare_plan_cost(model, p, &cost, &err), err, "what it leaves");
	ok((double)cost.macs <= .8 * whole && (double)cost.macs > .7 * whole, "%.1f %% are left",
		100 * (double)cost.macs / whole);
	b.left = .001;
	ok(pare_plan_channels_to(model, p, layers, &b, pare_study_calibration(s), NULL, &err) ==
				PARE_E_ARG &&
			strstr(err.text, "cannot bring"),
		"what cannot be reached: %s", err.text);
	pare_plan_free(p);
	pare_study_free(s);
}

/* Layers of which what stays is no multiple, though it could be. */
static int n_odd(const struct pare_plan *p, int multiple)
{
	int odd = 0;

	for (int i = 0; i < p->n; i++) {
		int n = pare_group_units(model, i),
		    gone = pare_group_gone(model, i, p->dials[i].channels);

		odd += n >= multiple && gone && (n - gone) % multiple;
	}
	return odd;
}

static void what_stays_is_a_multiple(void)
{
	struct pare_channel_budget b = { .left = .8, .multiple = 4 };
	struct pare_study *s = study_with_baseline();
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	bool layers[64];
	int group = 0, n, gone = 0;

	while (pare_group_units(model, group) < 8)
		group++;
	n = pare_group_units(model, group);
	gone = pare_group_gone(model, group, pare_group_even(model, group, .4f, 4));
	ok((n - gone) % 4 == 0 && abs(gone - (int)(.4f * (float)n)) <= 2,
		"of %d channels %d go for 40 %%", n, gone);
	ok(pare_group_even(model, group, .4f, 1) == .4f &&
			pare_group_even(model, group, .4f, n + 1) == .4f &&
			pare_group_even(model, group, 0, 4) == 0,
		"where there is nothing to make even the share stays");
	memset(layers, true, sizeof layers);
	ok_status(
		pare_plan_channels_to(model, p, layers, &b, pare_study_calibration(s), NULL, &err),
		err, "a budget in steps of four channels");
	ok(!n_odd(p, 4), "all are multiples");
	b.multiple = 1;
	b.goal = pare_method_find(PARE_GOAL, "latency");
	ok(pare_plan_channels_to(model, p, layers, &b, pare_study_calibration(s), NULL, &err) ==
				PARE_E_ARG &&
			strstr(err.text, "name it with 'on'"),
		"%s", err.text);
	pare_plan_free(p);
	pare_study_free(s);
}

static void measured_plans_are_anchors(void)
{
	struct pare_study *s = study_with_baseline();
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_metrics m;
	struct pare_result *r;

	p->dials[0].weights = p->dials[2].weights = (uint8_t)pare_format_find("int3");
	ok(!pare_study_estimate(s, p, &m, &err) && m.accuracy.kind == PARE_UNKNOWN &&
			m.cost.bytes > 0,
		"without cells the accuracy is unknown, the size is not");
	r = run(s, (struct pare_task){ .kind = PARE_TASK_PLAN, .plan = p });
	ok(r && !pare_study_add(s, r, &err), "measured");
	ok(!pare_study_estimate(s, p, &m, &err) && m.accuracy.kind == PARE_MEASURED &&
			fabs(m.accuracy.value - accuracy_of(p, pare_study_calibration(s))) < 1e-9,
		"then it is known as measured: %.2f", m.accuracy.value);
	add_cells(s, 0, PARE_DIAL_WEIGHTS);
	p->dials[0].weights = (uint8_t)pare_format_find("int4");
	ok(!pare_study_estimate(s, p, &m, &err) && m.accuracy.kind == PARE_ESTIMATED,
		"one step away needs the cells of that layer alone");
	p->dials[2].rounding = 0;
	p->dials[2].granularity = 1;
	ok(!pare_study_estimate(s, p, &m, &err) && m.accuracy.kind == PARE_UNKNOWN,
		"a method that the map was not measured with is unknown, not guessed");
	pare_plan_free(p);
	pare_study_free(s);
}

static void results_survive_the_session_file(void)
{
	struct pare_study *s = study_with_baseline(), *t = NULL;
	struct pare_result *r = run(s, (struct pare_task){ .kind = PARE_TASK_BASELINE }), *back;
	void *data1, *data2, *data3;
	size_t len1, len2, len3;
	int refused = 0, tries = 0;
	char key[96];

	pare_set_threads(1);
	ok_status(pare_result_pack(r, &data1, &len1, key, &err), err, "packs");
	pare_result_free(r);
	ok_status(pare_study_new(model, data, SAMPLES, &t, &err), err, "another study");
	ok_status(pare_result_unpack(t, data1, len1, &back, &err), err, "unpacks");
	ok(!pare_study_add(t, back, &err) && pare_study_float(t).value == pare_study_float(s).value,
		"the float accuracy is back");
	r = run(s, (struct pare_task){ PARE_TASK_CELLS, 3, PARE_DIAL_WEIGHTS, NULL });
	r->seconds = 0;
	ok(!pare_result_pack(r, &data2, &len2, key, &err) && !strcmp(key, "cells 3 0"),
		"cells pack as %s", key);
	pare_result_free(r);
	pare_set_threads(2);
	r = run(t, (struct pare_task){ PARE_TASK_CELLS, 3, PARE_DIAL_WEIGHTS, NULL });
	r->seconds = 0;
	ok(!pare_result_pack(r, &data3, &len3, key, &err) && len2 == len3 &&
			!memcmp(data2, data3, len2),
		"one thread and two give the same bytes");
	pare_result_free(r);
	for (size_t cut = 0; cut < len2; cut += 1 + len2 / 97) {
		tries++;
		refused += pare_result_unpack(t, data2, cut, &back, &err) != PARE_OK;
	}
	ok(refused == tries, "%d of %d truncated results are refused", refused, tries);
	free(data1);
	free(data2);
	free(data3);
	pare_study_free(s);
	pare_study_free(t);
	pare_set_threads(0);
}

static void work_can_be_canceled(void)
{
	struct pare_study *s = study_with_baseline();
	struct pare_ctl ctl = { .cancel = true };
	struct pare_task t = { PARE_TASK_CELLS, 0, PARE_DIAL_WEIGHTS, NULL };
	struct pare_result *r = NULL;

	ok(pare_study_run(s, &t, &ctl, &r, &err) == PARE_E_CANCELED && !r,
		"a canceled task gives nothing");
	pare_study_free(s);
}

static void without_data_there_is_the_cost(void)
{
	struct pare_study *s = NULL;
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_metrics m;
	struct pare_task t;

	ok_status(pare_study_new(model, NULL, 0, &s, &err), err, "a study without data");
	ok(!pare_study_next(s, p, NULL, &t, &err) && t.kind == PARE_TASK_NONE, "has nothing to do");
	for (int i = 0; i < p->n; i++)
		p->dials[i].weights = (uint8_t)pare_format_find("int8");
	ok(!pare_study_estimate(s, p, &m, &err) && m.accuracy.kind == PARE_UNKNOWN &&
			m.ratio < 0.35 && m.ratio > 0.2,
		"knows that int8 is a quarter: %.3f", m.ratio);
	pare_plan_free(p);
	pare_study_free(s);
}

static void the_file_is_as_large_as_said(void)
{
	static const char *const formats[] = { "float32", "float16", "int8", "int4", "int3" };
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_study *s = study_with_baseline();

	for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
		struct pare_variant *v = NULL;
		struct pare_cost cost = { 0 };
		char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
		int64_t bytes = 0;

		for (int i = 0; i < p->n; i++) {
			p->dials[i].weights = (uint8_t)pare_format_find(formats[k]);
			p->dials[i].activations = k == 2 ? p->dials[i].weights : 0;
		}
		ok_status(pare_variant_new(model, p, pare_study_calibration(s), NULL, &v, &err),
			err, "%s", formats[k]);
		pare_sha256("recipe", 6, recipe);
		ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err, "laid out");
		ok_status(pare_plan_cost(model, p, &cost, &err), err, "weighed");
		ok(bytes > 0 && cost.file_bytes == bytes, "%s: %lld bytes said, %lld written",
			formats[k], (long long)cost.file_bytes, (long long)bytes);
		pare_variant_free(v);
	}
	pare_plan_free(p);
	pare_study_free(s);
}

/* Channels that go leave the layers behind smaller too: that is not this layer's gain. */
static void a_layer_keeps_a_size_when_channels_go(void)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(model)->n_layers);
	struct pare_left left = { 0 };
	struct pare_cost whole = { 0 }, cost = { 0 };
	int64_t sum = 0, other;

	for (int i = 0; i < p->n; i++)
		p->dials[i].channels = 0.6F;
	ok_status(pare_plan_shapes(model, p, &left, &err), err, "the shapes that are left");
	ok_status(pare_plan_cost(model, p, &whole, &err), err, "what it weighs");
	other = pare_model_info(left.model)->weight_bytes;
	for (int i = 0; i < p->n; i++)
		p->dials[i].weights = (uint8_t)pare_format_find("int8");
	ok_status(pare_plan_cost(model, p, &cost, &err), err, "and with int8");
	for (int i = 0; i < p->n; i++) {
		const struct pare_layer *l = pare_model_layer(left.model, i);
		int64_t bytes = -1;

		ok_status(pare_plan_layer_bytes(model, p, i, &bytes, &err), err, "%s", l->name);
		ok(bytes >= l->weights && bytes < 4 * l->weights + 64,
			"%lld bytes for %lld weights", (long long)bytes, (long long)l->weights);
		sum += bytes;
		other -= 4 * l->weights;
	}
	other = cost.bytes - sum - other;
	ok(whole.bytes > cost.bytes && other > 96 && other < 96 * (p->n + 1),
		"%lld of %lld are head and directory", (long long)other, (long long)cost.bytes);
	pare_left_free(&left);
	pare_plan_free(p);
}

int main(void)
{
	if (pare_model_open(EXAMPLE "model.onnx", &model, &err) ||
		pare_dataset_open(EXAMPLE "data.conf", model, &data, &err)) {
		ok(false, "the example opens: %s", err.text);
		return tap_done();
	}
	tasks_come_in_order();
	what_is_shown_is_what_is_applied();
	groups_share_their_cells();
	threads_do_not_matter();
	plans_made_at_once_are_those_made_alone();
	what_comes_behind_is_refitted_when_asked();
	a_budget_is_met();
	what_stays_is_a_multiple();
	measured_plans_are_anchors();
	results_survive_the_session_file();
	work_can_be_canceled();
	without_data_there_is_the_cost();
	the_file_is_as_large_as_said();
	a_layer_keeps_a_size_when_channels_go();
	pare_dataset_free(data);
	pare_model_free(model);
	return tap_done();
}
