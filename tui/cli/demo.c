/* pare demo: the main job on the built-in example; the workbench on a terminal, else without one:
 * scan, a sensible plan, apply, and what came of it. */
#include "../../sessions/replay.h"
#include "../screen/screen.h"
#include "opening.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double affordable = 0.5; /* points that the plan may cost by the estimate */

static struct pare_err err;

/* The next fewer bits for layer l; false at the end of the dial. */
static bool turn_down(struct pare_plan *p, int l)
{
	int was = p->dials[l].weights;

	pare_option_turn(&p->dials[l], PARE_DIAL_WEIGHTS, 1);
	return p->dials[l].weights != was;
}

/* The step down that saves most bytes for its cost; -1 when none is affordable. */
static int best_step(const struct pare_study *s, const struct pare_plan *p)
{
	struct pare_metrics here, there;
	struct pare_plan *q = pare_plan_copy(p);
	double best = 0;
	int layer = -1;

	if (!q || pare_study_estimate(s, p, &here, &err))
		p = NULL;
	for (int l = 0; p && l < p->n; l++) {
		struct pare_dials was = q->dials[l];

		if (turn_down(q, l) && !pare_study_estimate(s, q, &there, &err) &&
			there.drop.value <= affordable) {
			double cost = there.drop.value - here.drop.value;
			double worth = (double)(here.cost.bytes - there.cost.bytes) /
				       (cost > 0 ? cost + 0.02 : 0.02);

			if (worth > best) {
				best = worth;
				layer = l;
			}
		}
		q->dials[l] = was;
	}
	pare_plan_free(q);
	return layer;
}

static bool say(struct pare_workspace *w, const char *line)
{
	struct pare_reply reply;

	printf("  :%s\n", line);
	return !pare_workspace_command(w, line, &reply, &err);
}

/* Every layer to int8, then bits away where the map says that they are not missed. */
static bool choose_plan(struct pare_workspace *w)
{
	const struct pare_model *m = pare_workspace_model(w);
	char line[256];
	struct pare_plan *p;
	bool good;
	int l;

	good = say(w, "set * weights int8 activations int8");
	p = good ? pare_plan_copy(pare_workspace_plan(w)) : NULL;
	while (p && (l = best_step(pare_workspace_study(w), p)) >= 0)
		turn_down(p, l);
	for (l = 0; p && good && l < p->n; l++) {
		if (p->dials[l].weights == pare_workspace_plan(w)->dials[l].weights)
			continue;
		snprintf(line, sizeof line, "set %s weights %s", pare_model_layer(m, l)->name,
			pare_formats[p->dials[l].weights].name);
		good = say(w, line);
	}
	pare_plan_free(p);
	return good && p;
}

static void print_row(const char *what, const char *was, const char *now)
{
	printf("  %-24s %14s  →  %s\n", what, was, now);
}

static void print_table(const struct pare_replay *r)
{
	char was[64], now[96];

	puts("\n                                    before     after");
	snprintf(was, sizeof was, "%.2f %%", r->was.accuracy.value);
	snprintf(now, sizeof now, "%.2f %%  (%.2f … %.2f, measured on %" PRId64 " images)",
		r->now.accuracy.value, r->now.accuracy.lo, r->now.accuracy.hi,
		r->now.accuracy.samples);
	print_row("accuracy", was, now);
	snprintf(was, sizeof was, "%.1f KiB", (double)r->was.cost.bytes / 1024);
	snprintf(now, sizeof now, "%.1f KiB  (%.1f %%)", (double)r->now.cost.bytes / 1024,
		100 * r->now.ratio);
	print_row("weights", was, now);
	snprintf(was, sizeof was, "%.1f KiB", (double)r->was.cost.file_bytes / 1024);
	snprintf(now, sizeof now, "%.1f KiB", (double)r->now.cost.file_bytes / 1024);
	print_row("ONNX file", was, now);
	for (int i = 0; i < r->n_devices; i++) {
		const struct pare_value *a = &r->device[i].was.latency_ms,
					*b = &r->device[i].now.latency_ms;

		snprintf(was, sizeof was, "%.3g ms", a->value);
		snprintf(now, sizeof now, "%.3g ms  (%.3g … %.3g, %s)", b->value, b->lo, b->hi,
			pare_kind_name(b->kind));
		print_row(pare_device_info(r->device[i].device)->name, was, now);
	}
}

static int apply(const char *recipe, const char *output)
{
	struct pare_replay_spec spec = { .recipe = recipe, .output = output, .check = true };
	struct pare_replay r = { 0 };
	int code;

	spec.ctl = cli_ctl("applying");
	if (pare_replay_run(&spec, &r, &err))
		return cli_bad(&err);
	cli_ctl_done();
	print_table(&r);
	printf("\n  %s\n  %s  sha256 %.16s…\n\nThe recipe replays to the same bytes:  pare apply "
	       "%s --check\n",
		recipe, output, r.sha256, recipe);
	code = r.ok ? CLI_OK : CLI_FAILED;
	for (int i = 0; i < r.n_notes; i++)
		printf("note: %s\n", r.note[i]);
	pare_replay_free(&r);
	return code;
}

static int headless(struct pare_workspace *w)
{
	char folder[] = "/tmp/pare-demo-XXXXXX", recipe[64], output[64], line[96];
	const struct pare_model_info *info = pare_model_info(pare_workspace_model(w));

	if (!mkdtemp(folder))
		return cli_usage("/tmp cannot be written");
	snprintf(recipe, sizeof recipe, "%s/example.pare", folder);
	snprintf(output, sizeof output, "%s/example.onnx", folder);
	printf("%s: %d layers, %" PRId64
	       " parameters\n\nThe map: what each option costs in each layer …\n",
		info->path, info->n_layers, info->params);
	if (pare_workspace_scan(w, cli_ctl("scanning"), &err))
		return cli_bad(&err);
	cli_ctl_done();
	printf("… %d cells measured.  A plan that loses at most %.1f points by the estimate:\n\n",
		pare_study_n_done(pare_workspace_study(w)), affordable);
	snprintf(line, sizeof line, "write %s", recipe);
	if (!choose_plan(w) || pare_workspace_measure(w, cli_ctl("measuring"), &err) ||
		!say(w, line))
		return cli_bad(&err);
	cli_ctl_done();
	return apply(recipe, output);
}

static int run_demo(const struct cli_args *a)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct pare_workspace *w;
	int code;

	w = cli_open_workspace(a, !terminal, &code);
	if (!w)
		return code;
	if (!terminal)
		code = headless(w);
	else if (screen_run(w, &err))
		code = cli_bad(&err);
	pare_workspace_close(w);
	return code;
}

const struct cli_command cli_demo = {
	.name = "demo",
	.args = "",
	.help = "the workbench on the built-in example; without a terminal: scan, plan, apply, "
		"before → after",
	.run = run_demo,
};
