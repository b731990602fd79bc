#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char **inputs;
static const char *output;

static int find_input(const struct pare_model *m, const char *name, size_t len)
{
	for (int i = 0; i < pare_model_info(m)->n_inputs; i++) {
		const char *s = pare_model_input(m, i)->name;

		if (strlen(s) == len && !strncmp(s, name, len))
			return i;
	}
	return -1;
}

/* -i FILE goes to the next input without one, -i NAME=FILE to that input. */
static int read_inputs(const struct pare_model *m, struct pare_array *in)
{
	int n = pare_model_info(m)->n_inputs;
	struct pare_err err;

	for (int k = 0; inputs && inputs[k]; k++) {
		const char *eq = strchr(inputs[k], '='), *path = inputs[k];
		int at = eq ? find_input(m, path, (size_t)(eq - path)) : -1;

		if (at >= 0)
			path = eq + 1;
		for (at = at < 0 ? 0 : at; at < n && in[at].data; at++)
			;
		if (at >= n)
			return cli_usage("the model has %d input%s; '%s' is one too many, or names "
					 "none of them",
				n, n == 1 ? "" : "s", inputs[k]);
		if (pare_npy_read(path, &in[at], &err))
			return cli_bad(&err);
	}
	for (int i = 0; i < n; i++)
		if (!in[i].data)
			return cli_usage("input '%s' is missing: name a file with -i %s=FILE.npy",
				pare_model_input(m, i)->name, pare_model_input(m, i)->name);
	return CLI_OK;
}

static json_t *arrays_json(const struct pare_model *m, const struct pare_array *out)
{
	json_t *list = json_array();

	for (int i = 0; i < pare_model_info(m)->n_outputs; i++) {
		json_t *dims = json_array();

		for (int k = 0; k < out[i].shape.n; k++)
			json_array_append_new(dims, json_integer(out[i].shape.d[k]));
		json_array_append_new(
			list, json_pack("{s:s s:s s:o}", "name", pare_model_output(m, i)->name,
				      "type", pare_dtype_name(out[i].dtype), "shape", dims));
	}
	return json_pack("{s:s s:o}", "model", pare_model_info(m)->path, "outputs", list);
}

static void print_arrays(const struct pare_model *m, const struct pare_array *out)
{
	char shape[64];

	for (int i = 0; i < pare_model_info(m)->n_outputs; i++) {
		int64_t n = 1;

		printf("%s %s [%s]", pare_model_output(m, i)->name, pare_dtype_name(out[i].dtype),
			pare_shape_text(&out[i].shape, ",", shape, sizeof shape));
		for (int k = 0; k < out[i].shape.n; k++)
			n *= out[i].shape.d[k];
		if (out[i].dtype == PARE_F32 && !output)
			for (int64_t k = 0; k < n && k < 10; k++)
				printf(" %g", (double)((float *)out[i].data)[k]);
		puts(out[i].dtype == PARE_F32 && !output && n > 10 ? " …" : "");
	}
}

static int run_model(const struct pare_model *m)
{
	int n_in = pare_model_info(m)->n_inputs, n_out = pare_model_info(m)->n_outputs, code;
	struct pare_array *in = calloc((size_t)n_in + 1, sizeof *in);
	struct pare_array *out = calloc((size_t)n_out + 1, sizeof *out);
	const char **names = calloc((size_t)n_out + 1, sizeof *names);
	struct pare_err err;

	code = in && out && names ? read_inputs(m, in) : cli_usage("not enough memory");
	if (!code && pare_model_run(m, in, out, &err))
		code = cli_bad(&err);
	for (int i = 0; i < n_out && !code; i++)
		names[i] = pare_model_output(m, i)->name;
	if (!code && output && pare_npz_write(output, out, names, n_out, &err))
		code = cli_bad(&err);
	if (!code && cli_common.json)
		code = cli_json(arrays_json(m, out), CLI_OK);
	else if (!code)
		print_arrays(m, out);
	for (int i = 0; in && i < n_in; i++)
		pare_array_free(&in[i]);
	for (int i = 0; out && i < n_out; i++)
		pare_array_free(&out[i]);
	free(in);
	free(out);
	free(names);
	return code;
}

static int run_run(const struct cli_args *a)
{
	struct pare_model *m;
	int code;

	if (!cli_open_model(a, &m))
		return CLI_BAD;
	code = run_model(m);
	pare_model_free(m);
	free(inputs);
	return code;
}

static const struct cli_option options[] = {
	{ "-i", "[NAME=]FILE", "an input as .npy; once for each input", NULL, &inputs },
	{ "-o", "FILE", "outputs as .npz (or .npy when there is one)", &output, NULL },
	CLI_SHAPE,
	{ 0 },
};

const struct cli_command cli_run = {
	.name = "run",
	.args = "MODEL -i [NAME=]in.npy… [-o out.npz]",
	.help = "plain inference; outputs by name",
	.options = options,
	.min_words = 1,
	.max_words = 1,
	.run = run_run,
};
