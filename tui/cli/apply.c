/* pare apply and pare estimate: a recipe, carried out or only asked about. */
#include "../../sessions/replay.h"
#include "cli.h"
#include "figures_json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char *output, *file_format, *check_switch, *session;

static json_t *devices_json(const struct pare_replay *r)
{
	json_t *list = json_array();

	for (int i = 0; i < r->n_devices; i++) {
		json_t *o = cli_figures_json(&r->device[i].now);
		double was = r->device[i].was.latency_ms.value;

		json_object_set_new(
			o, "name", json_string(pare_device_info(r->device[i].device)->name));
		json_object_set_new(
			o, "float_latency_ms", isnan(was) ? json_null() : json_real(was));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *promised_json(const struct pare_replay *r)
{
	json_t *o = json_object();

	for (int p = 0; p < PARE_N_PROMISES; p++)
		if (r->recipe->promised[p].said)
			json_object_set_new(o, pare_promise_rows[p].name,
				json_pack("{s:f s:f s:b}", "value", r->recipe->promised[p].value,
					"tolerance", r->recipe->promised[p].tolerance, "kept",
					r->verdict[p] != PARE_BROKEN));
	if (*r->recipe->promised_sha)
		json_object_set_new(o, "sha256", json_string(r->recipe->promised_sha));
	return o;
}

static json_t *metrics_json(const struct pare_metrics *m)
{
	return json_pack("{s:o s:o s:o s:o s:s}", "value", cli_real_json(m->accuracy.value), "drop",
		cli_real_json(m->drop.value), "interval", cli_value_json(&m->accuracy),
		"drop_interval", cli_value_json(&m->drop), "kind",
		pare_kind_name(m->accuracy.kind));
}

static json_t *exits_json(const struct pare_replay *r)
{
	json_t *list = json_array();

	for (int i = 0; i < r->n_exits; i++) {
		int layer = r->exit[i].layer;

		json_array_append_new(list,
			json_pack("{s:o s:o s:I}", "layer",
				layer < 0 ? json_null()
					  : json_string(pare_model_layer(r->model, layer)->name),
				"share", cli_real_json(r->exit[i].share), "macs",
				(json_int_t)r->exit[i].macs));
	}
	return list;
}

/* Nothing differs: no finite number says so. */
static json_t *decibels_json(double db)
{
	return isfinite(db) ? json_real(db) : json_null();
}

static json_t *layers_json(const struct pare_replay *r)
{
	const struct pare_noise *x = pare_study_noise(r->study, r->plan);
	json_t *list = json_array();

	for (int i = 0; x && i < r->plan->n; i++)
		json_array_append_new(
			list, json_pack("{s:s s:o s:o s:o s:o}", "name",
				      pare_model_layer(r->model, i)->name, "weights_snr_db",
				      decibels_json(x[i].weights), "plain_weights_snr_db",
				      decibels_json(x[i].plain_weights), "activations_snr_db",
				      decibels_json(x[i].activations), "plain_activations_snr_db",
				      decibels_json(x[i].plain_activations)));
	return list;
}

static int n_carried(const struct pare_replay *r)
{
	return r->carried ? pare_model_info(r->carried)->n_layers : 0;
}

static json_t *picked_json(const struct pare_replay *r)
{
	json_t *list = json_array();

	for (int i = 0; i < n_carried(r); i++)
		if (r->picked[i] >= 0)
			json_array_append_new(
				list, json_pack("{s:s s:s}", "layer",
					      pare_model_layer(r->carried, i)->name, "rounding",
					      pare_method_name(PARE_ROUNDING, r->picked[i])));
	return list;
}

static json_t *replay_json(const struct pare_replay *r)
{
	json_t *o = metrics_json(&r->now), *notes = json_array();

	for (int i = 0; i < r->n_notes; i++)
		json_array_append_new(notes, json_string(r->note[i]));
	json_object_set_new(o, "bytes", json_integer(r->now.cost.bytes));
	json_object_set_new(o, "file_bytes", json_integer(r->now.cost.file_bytes));
	json_object_set_new(o, "ratio", json_real(r->now.ratio));
	json_object_set_new(o, "macs", json_integer(r->now.cost.macs));
	json_object_set_new(o, "mean_macs", cli_real_json(pare_exits_macs(r->exit, r->n_exits)));
	json_object_set_new(o, "exits", exits_json(r));
	json_object_set_new(o, "samples", json_integer(r->now.accuracy.samples));
	json_object_set_new(o, "devices", devices_json(r));
	json_object_set_new(o, "notes", notes);
	return o;
}

static void print_value(const char *what, const struct pare_value *v, const char *unit)
{
	if (v->kind == PARE_UNKNOWN)
		printf("%-10s unknown\n", what);
	else
		printf("%-10s %.2f %s   %.2f … %.2f, %s on %" PRId64 " samples\n", what, v->value,
			unit, v->lo, v->hi, pare_kind_name(v->kind), v->samples);
}

/* Where samples leave, and what that makes of the work. */
static void print_macs(const struct pare_replay *r)
{
	double mean = pare_exits_macs(r->exit, r->n_exits);

	printf("MACs       %" PRId64, r->now.cost.macs);
	if (r->n_exits < 2) {
		puts("");
		return;
	}
	if (isnan(mean))
		puts(" at worst, on average unknown");
	else
		printf(" at worst, %.0f on average (%.1f %%)\n", mean,
			100 * mean / (double)r->now.cost.macs);
	for (int i = 0; i < r->n_exits && !isnan(mean); i++)
		printf("           %5.1f %% leave %s%s\n", 100 * r->exit[i].share,
			r->exit[i].layer < 0 ? "at the end" : "behind ",
			r->exit[i].layer < 0 ? ""
					     : pare_model_layer(r->model, r->exit[i].layer)->name);
}

/* The layers that lose most at their output, by their weights and by what enters them. */
static void print_noise(const struct pare_replay *r)
{
	const struct pare_noise *x = pare_study_noise(r->study, r->plan);
	int w = 0, a = 0;

	for (int i = 1; x && i < r->plan->n; i++) {
		w = x[i].weights < x[w].weights ? i : w;
		a = x[i].activations < x[a].activations ? i : a;
	}
	if (x && isfinite(x[w].weights))
		printf("weights    at least %.1f dB at a layer's output (plainly rounded %.1f): "
		       "%s\n",
			x[w].weights, x[w].plain_weights, pare_model_layer(r->model, w)->name);
	if (x && isfinite(x[a].activations))
		printf("activations at least %.1f dB at a layer's output (by min-max %.1f): %s\n",
			x[a].activations, x[a].plain_activations,
			pare_model_layer(r->model, a)->name);
}

/* What was picked where several roundings were tried. */
static void print_picked(const struct pare_replay *r)
{
	bool any = false;

	for (int k = 0; pare_method_name(PARE_ROUNDING, k); k++) {
		int n = 0;

		for (int i = 0; i < n_carried(r); i++)
			n += r->picked[i] == k;
		if (n)
			printf("%s %s in %d", any ? "," : "picked    ",
				pare_method_name(PARE_ROUNDING, k), n);
		any |= n > 0;
	}
	if (any)
		puts(" layers");
}

static void print_replay(const struct pare_replay *r)
{
	print_value("float", &r->was.accuracy, "%");
	print_value(r->data ? cli_measure_name(r->measure) : "accuracy", &r->now.accuracy, "%");
	print_value("drop", &r->now.drop, "points");
	printf("size       %" PRId64 " bytes, %.1f %% of float; as an ONNX file %" PRId64
	       " bytes\n",
		r->now.cost.bytes, 100 * r->now.ratio, r->now.cost.file_bytes);
	print_noise(r);
	print_macs(r);
	print_picked(r);
	for (int i = 0; i < r->n_devices; i++) {
		const struct pare_device_figures *was = &r->device[i].was, *now = &r->device[i].now;

		printf("device     %s: ", pare_device_info(r->device[i].device)->name);
		if (now->latency_ms.kind == PARE_UNKNOWN)
			puts("latency unknown");
		else
			printf("%.3g → %.3g ms (%.3g … %.3g), %s\n", was->latency_ms.value,
				now->latency_ms.value, now->latency_ms.lo, now->latency_ms.hi,
				pare_kind_name(now->latency_ms.kind));
	}
	for (int i = 0; i < r->n_notes; i++)
		printf("note       %s\n", r->note[i]);
}

static void print_file(const struct pare_replay *r)
{
	if (!output)
		printf("sha256     %s\n", r->sha256);
	else
		printf("sha256     %s  %s, %" PRId64 " bytes\n", r->written, output,
			r->written_bytes);
}

static int report(const struct pare_replay *r, bool applied)
{
	int code = r->ok ? CLI_OK : CLI_FAILED;

	if (cli_common.json) {
		json_t *o = replay_json(r);

		if (applied) {
			json_object_set_new(o, "metric",
				r->data ? json_string(cli_measure_name(r->measure)) : json_null());
			json_object_set_new(o, "picked", picked_json(r));
			json_object_set_new(o, "estimated", metrics_json(&r->estimated));
			json_object_set_new(o, "layers", layers_json(r));
			json_object_set_new(o, "promised", promised_json(r));
			json_object_set_new(
				o, "sha256", json_string(*r->written ? r->written : r->sha256));
			json_object_set_new(o, "recipe_sha256", json_string(r->recipe_sha));
			json_object_set_new(o, "ok", json_boolean(r->ok));
			json_object_set_new(o, "seconds", json_real(r->seconds));
		}
		return cli_json(o, code);
	}
	print_replay(r);
	if (applied)
		print_file(r);
	if (check_switch)
		puts(r->ok ? "check      every promise is kept"
			   : "check      BROKEN: the notes say which promise");
	return code;
}

static int run(const char *recipe, bool applied)
{
	struct pare_replay_spec spec = { .recipe = recipe,
		.output = output,
		.session = session,
		.check = check_switch != NULL,
		.estimate_only = !applied };
	struct pare_replay r = { 0 };
	struct pare_err err;
	int code;

	if (file_format && (spec.as = pare_method_find(PARE_FILE, file_format)) < 0)
		return cli_usage("--format %s is not known: it is onnx or packed", file_format);
	spec.ctl = cli_ctl(applied ? "applying" : "estimating");
	if (pare_replay_run(&spec, &r, &err))
		return cli_bad(&err);
	cli_ctl_done();
	code = report(&r, applied);
	pare_replay_free(&r);
	return code;
}

static int run_apply(const struct cli_args *a)
{
	return run(a->word[0], true);
}

static int run_estimate(const struct cli_args *a)
{
	return run(a->word[0], false);
}

static const struct cli_option apply_options[] = {
	{ "-o", "OUT", "write the compressed network there", &output, NULL },
	{ "--format", "onnx|packed",
		"what -o writes: the network, or its weights at their true bits", &file_format,
		NULL },
	{ "--check", NULL, "hold what comes out against what the recipe promises", &check_switch,
		NULL },
	{ "--session", "S",
		"whose map to estimate with (default: the one of this model and data), and where "
		"layers are kept when it is stopped, so that the next time goes on",
		&session, NULL },
	{ 0 },
};

static const struct cli_option estimate_options[] = {
	{ "--session", "S", "whose map to estimate with (default: the one of this model and data)",
		&session, NULL },
	{ 0 },
};

const struct cli_command cli_apply = {
	.name = "apply",
	.args = "RECIPE [-o OUT [--format onnx|packed]] [--check]",
	.help = "replay a recipe: the same recipe, model and data give the same bytes",
	.options = apply_options,
	.min_words = 1,
	.max_words = 1,
	.run = run_apply,
};

const struct cli_command cli_estimate = {
	.name = "estimate",
	.args = "RECIPE [--session S]",
	.help = "what the screen would say of a recipe, without measuring",
	.options = estimate_options,
	.min_words = 1,
	.max_words = 1,
	.run = run_estimate,
};
