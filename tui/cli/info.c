#include "cli.h"
#include <inttypes.h>
#include <stdio.h>

static json_t *shape_json(const struct pare_shape *s)
{
	json_t *a = json_array();

	for (int i = 0; i < s->n; i++)
		json_array_append_new(a, json_integer(s->d[i]));
	return a;
}

/* What hangs on a shape that is not known is not known either. */
static json_t *macs_json(int64_t macs, bool known)
{
	return known && macs >= 0 ? json_integer(macs) : json_null();
}

static const char *macs_text(int64_t macs, bool known, char buf[24])
{
	snprintf(buf, 24, "%" PRId64, macs);
	return known && macs >= 0 ? buf : "unknown";
}

static json_t *io_json(const struct pare_io *io)
{
	return json_pack("{s:s s:s s:o}", "name", io->name, "type", pare_dtype_name(io->dtype),
		"shape", shape_json(&io->shape));
}

static json_t *layer_json(const struct pare_layer *l)
{
	json_t *o = json_pack("{s:s s:s s:I s:o s:o s:o}", "name", l->name, "op", l->op, "params",
		(json_int_t)l->params, "macs", macs_json(l->macs, l->output.n > 0), "weight_shape",
		shape_json(&l->weight), "output_shape", shape_json(&l->output));

	json_object_set_new(o, "stored_weight_bits", json_integer(l->stored_weight_bits));
	json_object_set_new(o, "stored_activation_bits", json_integer(l->stored_act_bits));
	json_object_set_new(o, "group", l->group < 0 ? json_null() : json_integer(l->group));
	json_object_set_new(o, "block", l->block < 0 ? json_null() : json_integer(l->block));
	if (l->group < 0 && l->stuck)
		json_object_set_new(o, "stuck", json_string(l->stuck));
	return o;
}

static json_t *model_json(const struct pare_model *m)
{
	const struct pare_model_info *info = pare_model_info(m);
	json_t *layers = json_array(), *bad = json_array(), *hidden = json_array(),
	       *in = json_array(), *out = json_array();
	char why[PARE_WHY];
	json_t *o;

	for (int i = 0; i < info->n_layers; i++)
		json_array_append_new(layers, layer_json(pare_model_layer(m, i)));
	for (int i = 0; i < info->n_unsupported; i++) {
		const struct pare_unsupported *u = pare_model_unsupported(m, i);

		json_array_append_new(bad,
			json_pack("{s:s s:s s:s}", "node", u->node, "op", u->op, "why", u->why));
	}
	for (int i = 0; i < info->n_hidden; i++) {
		const struct pare_hidden *h = pare_model_hidden(m, i);

		json_array_append_new(
			hidden, json_pack("{s:s s:s s:s s:I}", "node", h->node, "op", h->op,
					"inside", h->inside, "weights", (json_int_t)h->weights));
	}
	for (int i = 0; i < info->n_inputs; i++)
		json_array_append_new(in, io_json(pare_model_input(m, i)));
	for (int i = 0; i < info->n_outputs; i++)
		json_array_append_new(out, io_json(pare_model_output(m, i)));
	o = json_pack("{s:s s:s s:i s:I s:o s:I s:i s:o s:o s:o s:o}", "model", info->path,
		"sha256", info->sha256, "opset", info->opset, "params", (json_int_t)info->params,
		"macs", macs_json(info->macs, true), "bytes", (json_int_t)info->bytes, "nodes",
		info->n_nodes, "inputs", in, "outputs", out, "layers", layers, "unsupported", bad);
	json_object_set_new(o, "runs", json_string(pare_running_name(pare_model_running(m, why))));
	json_object_set_new(o, "hidden", hidden);
	json_object_set_new(o, "quantizers", json_integer(info->n_quantizers));
	if (*info->shapes)
		json_object_set_new(o, "shapes", json_string(info->shapes));
	if (*why)
		json_object_set_new(o, "runs_why", json_string(why));
	return o;
}

static void print_io(const char *what, const struct pare_io *io)
{
	char shape[64];

	printf("%-9s %s %s [%s]\n", what, io->name, pare_dtype_name(io->dtype),
		pare_shape_text(&io->shape, ",", shape, sizeof shape));
}

static void print_layers(const struct pare_model *m)
{
	char weight[64], output[64], macs[24];

	/* bits: of the weight and of the activation that enters, as the file stores them */
	printf("\n%4s  %-24s %-8s %-14s %-14s %10s %12s  %-5s  %s\n", "", "layer", "op", "weight",
		"output", "params", "MACs", "bits", "group");
	for (int i = 0; i < pare_model_info(m)->n_layers; i++) {
		const struct pare_layer *l = pare_model_layer(m, i);

		printf("%4d  %-24s %-8s %-14s %-14s %10" PRId64 " %12s  %2d/%-2d  ", i + 1, l->name,
			l->op, pare_shape_text(&l->weight, "x", weight, sizeof weight),
			pare_shape_text(&l->output, "x", output, sizeof output), l->params,
			macs_text(l->macs, l->output.n > 0, macs), l->stored_weight_bits,
			l->stored_act_bits);
		if (l->group < 0)
			printf("- (%s)\n", l->stuck ? l->stuck : "fixed");
		else
			printf("%d\n", l->group);
	}
}

static void print_running(const struct pare_model *m)
{
	char why[PARE_WHY];
	enum pare_running r = pare_model_running(m, why);

	printf("runs      %s%s%s\n", pare_running_name(r), *why ? ": " : "", why);
}

static int run_info(const struct cli_args *a)
{
	const struct pare_model_info *info;
	struct pare_model *m;
	char macs[24];

	if (pare_packed_is(a->word[0]))
		return cli_packed_info(a->word[0]);
	if (!cli_open_model(a, &m))
		return CLI_BAD;
	info = pare_model_info(m);
	if (cli_common.json) {
		int code = cli_json(model_json(m), CLI_OK);

		pare_model_free(m);
		return code;
	}
	printf("model     %s\nsha256    %s\nopset     %d\nnodes     %d\nparams    %" PRId64
	       "\nMACs      %s\nbytes     %" PRId64 "\n",
		info->path, info->sha256, info->opset, info->n_nodes, info->params,
		macs_text(info->macs, true, macs), info->bytes);
	for (int i = 0; i < info->n_inputs; i++)
		print_io("input", pare_model_input(m, i));
	for (int i = 0; i < info->n_outputs; i++)
		print_io("output", pare_model_output(m, i));
	print_running(m);
	print_layers(m);
	if (info->n_quantizers)
		printf("\n%d quantizers stand before no layer and stay as they are\n",
			info->n_quantizers);
	if (info->n_hidden)
		puts("\nin graphs inside nodes, so without dials:");
	for (int i = 0; i < info->n_hidden; i++) {
		const struct pare_hidden *h = pare_model_hidden(m, i);

		printf("  %-24s %-8s %10" PRId64 " weights, inside '%s'\n", h->node, h->op,
			h->weights, h->inside);
	}
	if (info->n_unsupported)
		puts("\nnot supported, so the model can be seen but not run:");
	for (int i = 0; i < info->n_unsupported; i++) {
		const struct pare_unsupported *u = pare_model_unsupported(m, i);

		printf("  %-24s %-16s %s\n", u->node, u->op, u->why);
	}
	pare_model_free(m);
	return CLI_OK;
}

static const struct cli_option options[] = { CLI_SHAPE, { 0 } };

const struct cli_command cli_info = {
	.name = "info",
	.args = "MODEL|PACKED [--shape NAME=DIMS]",
	.options = options,
	.help = "what is in a model, or in a file of packed weights; what pare can and cannot do "
		"with it",
	.min_words = 1,
	.max_words = 1,
	.run = run_info,
};
