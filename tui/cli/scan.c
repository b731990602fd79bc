#include "../../sessions/workspace.h"
#include "cli.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *data, *limit_text, *session;

static json_t *option_json(const struct pare_study *s, int layer, int option)
{
	struct pare_value v = pare_study_cell(s, layer, option);

	return json_pack("{s:s s:o s:s s:o}", "option", pare_options[option].name, "drop",
		cli_real_json(v.value), "kind", pare_kind_name(v.kind), "interval",
		cli_value_json(&v));
}

static json_t *map_json(const struct pare_workspace *w, double seconds)
{
	const struct pare_model *m = pare_workspace_model(w);
	const struct pare_study *s = pare_workspace_study(w);
	struct pare_value base = pare_study_float(s);
	bool labelled = pare_dataset_info(pare_workspace_dataset(w))->labelled;
	json_t *layers = json_array();

	for (int i = 0; i < pare_model_info(m)->n_layers; i++) {
		const struct pare_layer *l = pare_model_layer(m, i);
		json_t *options = json_array();

		for (int o = 0; pare_options[o].name; o++)
			json_array_append_new(options, option_json(s, i, o));
		json_array_append_new(
			layers, json_pack("{s:s s:o s:o}", "name", l->name, "group",
					l->group < 0 ? json_null() : json_integer(l->group),
					"options", options));
	}
	return json_pack("{s:{s:s s:o s:I s:o} s:o s:f}", "baseline", "metric",
		cli_measure_name(labelled ? PARE_TOP1 : PARE_FIDELITY), "value",
		cli_real_json(base.value), "samples", (json_int_t)base.samples, "interval",
		cli_value_json(&base), "layers", layers, "seconds", seconds);
}

/* A table for each dial; its columns are the options other than "off". */
static void print_dial(const struct pare_workspace *w, int from, int to)
{
	static const char *const title[PARE_N_DIALS] = {
		[PARE_DIAL_WEIGHTS] = "weights",
		[PARE_DIAL_ACTIVATIONS] = "activations",
		[PARE_DIAL_CHANNELS] = "channels that go",
		[PARE_DIAL_SPARSITY] = "weights that go",
	};
	const struct pare_model *m = pare_workspace_model(w);
	const struct pare_study *s = pare_workspace_study(w);
	int n = pare_model_info(m)->n_layers, wide = (int)strlen(title[pare_options[from].dial]);

	for (int i = 0; i < n; i++) {
		int len = (int)strlen(pare_model_layer(m, i)->name);

		wide = len > wide ? len : wide;
	}
	printf("\n%-*s", wide, title[pare_options[from].dial]);
	for (int o = from + 1; o < to; o++) {
		const char *last = strrchr(pare_options[o].name, ' ');

		printf(" %8s", last ? last + 1 : pare_options[o].name);
	}
	puts("");
	for (int i = 0; i < n; i++) {
		printf("%-*s", wide, pare_model_layer(m, i)->name);
		for (int o = from + 1; o < to; o++) {
			struct pare_value v = pare_study_cell(s, i, o);

			if (v.kind != PARE_UNKNOWN)
				printf(" %8.2f", v.value);
			else
				printf(" %8s",
					pare_option_fits(m, i, &pare_options[o]) ? "?" : "-");
		}
		puts("");
	}
}

static void print_map(const struct pare_workspace *w, double seconds)
{
	struct pare_value base = pare_study_float(pare_workspace_study(w));
	int to;

	printf("float %.2f %% on %" PRId64 " samples; points lost, layer by layer:\n", base.value,
		base.samples);
	for (int from = 0; pare_options[from].name; from = to) {
		to = from;
		while (pare_options[to].name && pare_options[to].dial == pare_options[from].dial)
			to++;
		print_dial(w, from, to);
	}
	printf("\n%d cells in %.1f s\n", pare_study_n_done(pare_workspace_study(w)), seconds);
}

static int run_scan(const struct cli_args *a)
{
	struct pare_workspace_spec spec = { .model = a->word[0],
		.data = data,
		.session = session,
		.memory = !session,
		.idle = true };
	struct pare_workspace *w;
	struct pare_err err;
	double start = cli_clock();
	char *shapes;
	int code = CLI_OK;
	enum pare_status st;

	if (!data)
		return cli_usage("scan needs --data D: a folder, an .npz, IDX or CIFAR files, a "
				 "CSV or a data.conf");
	if (limit_text && !cli_number(limit_text, "--limit", 1, INT64_MAX, &spec.limit))
		return CLI_BAD;
	spec.shapes = shapes = cli_shapes_text();
	st = pare_workspace_open(&spec, &w, &err);
	free(shapes);
	if (st)
		return cli_bad(&err);
	st = pare_workspace_scan(w, cli_ctl("scanning"), &err);
	cli_ctl_done();
	if (st == PARE_E_CANCELED) /* what was done is kept and shown */
		code = CLI_FAILED;
	else if (st)
		code = cli_bad(&err);
	if (!st || st == PARE_E_CANCELED) {
		if (cli_common.json)
			code = cli_json(map_json(w, cli_clock() - start), code);
		else
			print_map(w, cli_clock() - start);
	}
	pare_workspace_close(w);
	return code;
}

static const struct cli_option options[] = {
	{ "--data", "D", "the samples to measure on", &data, NULL },
	{ "--limit", "N", "at most so many of them", &limit_text, NULL },
	{ "-o", "SESSION", "keep the map in this session file, and take up what is in it", &session,
		NULL },
	CLI_SHAPE,
	{ 0 },
};

const struct cli_command cli_scan = {
	.name = "scan",
	.args = "MODEL --data D [--limit N] [-o SESSION]",
	.help = "the sensitivity map: what each option costs in each layer",
	.options = options,
	.min_words = 1,
	.max_words = 1,
	.run = run_scan,
};
