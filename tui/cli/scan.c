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

/* Columns are the options other than "off"; as wide as their names. */
static bool is_column(int option)
{
	return option && pare_options[option].dial == pare_options[option - 1].dial;
}

static int column_width(int option)
{
	int n = (int)strlen(pare_options[option].name);

	return n > 8 ? n : 8;
}

static void print_map(const struct pare_workspace *w, double seconds)
{
	const struct pare_model *m = pare_workspace_model(w);
	const struct pare_study *s = pare_workspace_study(w);
	struct pare_value base = pare_study_float(s);

	printf("float %.2f %% on %" PRId64 " samples; points lost, layer by layer:\n\n%-20s",
		base.value, base.samples, "layer");
	for (int o = 0; pare_options[o].name; o++)
		if (is_column(o))
			printf(" %*s", column_width(o), pare_options[o].name);
	puts("");
	for (int i = 0; i < pare_model_info(m)->n_layers; i++) {
		printf("%-20.20s", pare_model_layer(m, i)->name);
		for (int o = 0; pare_options[o].name; o++) {
			struct pare_value v = pare_study_cell(s, i, o);

			if (!is_column(o))
				continue;
			v.kind == PARE_UNKNOWN ? printf(" %*s", column_width(o), "?")
					       : printf(" %*.2f", column_width(o), v.value);
		}
		puts("");
	}
	printf("\n%d cells in %.1f s\n", pare_study_n_done(s), seconds);
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
