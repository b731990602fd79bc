#include "cli.h"
#include <inttypes.h>
#include <stdio.h>

static const char *data, *limit_text;

const char *cli_measure_name(enum pare_measure m)
{
	return m == PARE_TOP1 ? "top1" : "fidelity";
}

static int report(const struct pare_score *s)
{
	if (cli_common.json)
		return cli_json(json_pack("{s:s s:f s:I s:o s:f s:f s:i}", "metric",
					cli_measure_name(s->measure), "value", s->accuracy.value,
					"samples", (json_int_t)s->accuracy.samples, "interval",
					cli_value_json(&s->accuracy), "samples_per_second",
					s->samples_per_second, "seconds", s->seconds, "threads",
					pare_threads()),
			CLI_OK);
	printf("%-9s %.2f %%   90 %% interval %.2f … %.2f on %" PRId64 " samples, measured\n",
		cli_measure_name(s->measure), s->accuracy.value, s->accuracy.lo, s->accuracy.hi,
		s->accuracy.samples);
	printf("speed     %.0f samples/s, %.2f s on %d thread%s\n", s->samples_per_second,
		s->seconds, pare_threads(), pare_threads() == 1 ? "" : "s");
	return CLI_OK;
}

static int run_eval(const struct cli_args *a)
{
	struct pare_model *m = NULL;
	struct pare_dataset *d = NULL;
	struct pare_score score;
	struct pare_err err;
	int64_t limit = 0;
	int code;

	if (!data)
		return cli_usage("eval needs --data D: a folder, an .npz, IDX or CIFAR files, a "
				 "CSV or a data.conf");
	if (limit_text && !cli_number(limit_text, "--limit", 1, INT64_MAX, &limit))
		return CLI_BAD;
	if (!cli_open_model(a, &m))
		return CLI_BAD;
	if (pare_dataset_open(data, m, &d, &err) ||
		pare_evaluate(m, d, limit, cli_ctl("evaluating"), &score, &err))
		code = cli_bad(&err);
	else {
		cli_ctl_done();
		code = report(&score);
	}
	pare_dataset_free(d);
	pare_model_free(m);
	return code;
}

static const struct cli_option options[] = {
	{ "--data", "D", "the samples to evaluate on", &data, NULL },
	{ "--limit", "N", "at most so many of them", &limit_text, NULL },
	CLI_SHAPE,
	{ 0 },
};

const struct cli_command cli_eval = {
	.name = "eval",
	.args = "MODEL --data D [--limit N]",
	.help = "accuracy of a model on data",
	.options = options,
	.min_words = 1,
	.max_words = 1,
	.run = run_eval,
};
