/* What each statement does to a workspace: one function a row. */
#include "saying.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum pare_status say_undo(const struct saying *y)
{
	const char *was = y->w->node[y->w->here].command;

	if (!tree_undo(y->w))
		return saying_answer(y, "nothing to undo: this is the float model");
	saying_moved(y);
	return saying_answer(y, "undone: %.400s", was);
}

static enum pare_status say_redo(const struct saying *y)
{
	if (!tree_redo(y->w))
		return saying_answer(y, "nothing to redo");
	saying_moved(y);
	return saying_answer(y, "done again: %.400s", y->w->node[y->w->here].command);
}

static enum pare_status say_go(const struct saying *y)
{
	if (y->s->number < 1 || y->s->number > (uint64_t)y->w->n_nodes)
		return pare_fail(y->err, PARE_E_ARG,
			"there is no plan %" PRIu64 "; %d were tried, from 1 on", y->s->number,
			y->w->n_nodes);
	tree_go(y->w, (int)y->s->number - 1);
	saying_moved(y);
	return saying_answer(y, "plan %" PRIu64 " of %d", y->s->number, y->w->n_nodes);
}

static enum pare_status say_stop(const struct saying *y)
{
	static const char *const told[] = {
		[DROPPED_NOTHING] = "nothing that was asked for is under way",
		[DROPPED_BUDGET] = "stopped",
		[DROPPED_FILE] = "stopped, nothing is written",
		[DROPPED_LAYERS] = "stopped; the layers that are rounded are kept, p goes on",
	};

	return saying_answer(y, "%s", told[worker_drop(y->w)]);
}

static enum pare_status say_seed(const struct saying *y)
{
	y->w->seed = y->s->number;
	y->w->meta_saved = false;
	return PARE_OK;
}

static enum pare_status say_note(const struct saying *y)
{
	struct pare_text t = { 0 };
	enum pare_status st;

	for (int i = 0; i < y->s->n_rest; i++)
		pare_text_add(&t, "%s%s", i ? " " : "", y->s->rest[i].text);
	st = t.failed ? pare_nomem(y->err, "a note") : tree_note(y->w, t.s, y->err);
	free(t.s);
	return st ? st : saying_answer(y, "noted beside plan %d; H shows it", y->w->here + 1);
}

static enum pare_status say_device(const struct saying *y)
{
	const char **names = calloc((size_t)y->s->n_rest + 1, sizeof *names);
	enum pare_status st;

	if (!names)
		return pare_nomem(y->err, "devices");
	for (int i = 0; i < y->s->n_rest; i++)
		names[i] = y->s->rest[i].text;
	st = workspace_choose_devices(y->w, names, y->err);
	free(names);
	if (!st)
		saying_moved(y);
	return st;
}

static enum pare_status say_measure(const struct saying *y)
{
	const struct pare_value *v = &y->w->now.accuracy;

	if (!y->w->data)
		return pare_fail(y->err, PARE_E_ARG,
			"there is nothing to measure with; open the model with --data");
	if (y->w->headless && v->kind != PARE_MEASURED) { /* a script waits for its figures */
		enum pare_status st = pare_workspace_measure(y->w, NULL, y->err);

		if (st)
			return st;
	}
	if (v->kind == PARE_MEASURED)
		return saying_answer(y, "measured: %.2f %% (%.2f … %.2f) on %" PRId64 " samples",
			v->value, v->lo, v->hi, v->samples);
	y->w->wanted = true;
	y->w->failed_plan = 0;
	return saying_answer(y, "measuring");
}

static enum pare_status say_map(const struct saying *y)
{
	y->w->paused = !y->s->on;
	if (y->s->on)
		y->w->broken = false; /* asked for: try again */
	return saying_answer(y, y->s->on ? "the map goes on" : "the map rests after this step");
}

static enum pare_status say_view(const struct saying *y)
{
	y->reply->effect = PARE_EFFECT_VIEW;
	return saying_answer(y, "%s", y->s->text);
}

static enum pare_status say_help(const struct saying *y)
{
	y->reply->effect = PARE_EFFECT_HELP;
	return PARE_OK;
}

static enum pare_status say_quit(const struct saying *y)
{
	if (y->w->filing.plan)
		return pare_fail(y->err, PARE_E_BUSY, "'%s' is not done yet; 'stop' ends it",
			y->w->filing.line);
	y->reply->effect = PARE_EFFECT_QUIT;
	return PARE_OK;
}

static say_fn *const sayings[PARE_N_SAY] = {
	[PARE_SAY_SEED] = say_seed,
	[PARE_SAY_SET] = say_change,
	[PARE_SAY_PRUNE] = say_change,
	[PARE_SAY_STOP] = say_stop,
	[PARE_SAY_EXIT] = say_change,
	[PARE_SAY_STEP] = say_change,
	[PARE_SAY_DEVICE] = say_device,
	[PARE_SAY_UNDO] = say_undo,
	[PARE_SAY_REDO] = say_redo,
	[PARE_SAY_GO] = say_go,
	[PARE_SAY_WRITE] = say_write,
	[PARE_SAY_EXPORT] = say_export,
	[PARE_SAY_MEASURE] = say_measure,
	[PARE_SAY_MAP] = say_map,
	[PARE_SAY_VIEW] = say_view,
	[PARE_SAY_NOTE] = say_note,
	[PARE_SAY_HELP] = say_help,
	[PARE_SAY_QUIT] = say_quit,
};

enum pare_status pare_workspace_command(
	struct pare_workspace *w, const char *line, struct pare_reply *reply, struct pare_err *err)
{
	struct pare_reply r = { .effect = PARE_EFFECT_NONE };
	struct pare_script s = { 0 };
	enum pare_status st;

	line += strspn(line, " \t");
	st = pare_script_parse(line, strlen(line), NULL, PARE_IN_COMMAND, &s, err);
	for (int i = 0; !st && i < s.n; i++)
		st = sayings[s.statements[i].kind](
			&(struct saying){ w, &s.statements[i], line, &r, err });
	if (st)
		workspace_log(w, "%s: %s", line, err ? err->text : "failed");
	else
		workspace_log(w, "%s%s%s", line, *r.text ? ": " : "", r.text);
	keep_save(w);
	worker_feed(w);
	pare_script_free(&s);
	if (!st)
		*reply = r;
	return st;
}

bool pare_command_row(int i, struct pare_command_info *out)
{
	for (int k = 0; k < PARE_N_SAY; k++)
		if (pare_statement_rows[k].where & PARE_IN_COMMAND && !i--) {
			*out = (struct pare_command_info){ pare_statement_rows[k].name,
				pare_statement_rows[k].args, pare_statement_rows[k].help };
			return true;
		}
	return false;
}

const char *pare_workspace_complete(
	struct pare_workspace *w, const char *line, size_t len, int i, size_t *start)
{
	const char *names[512];
	const struct pare_device *d;
	int n = 0;

	if (!i) {
		while (n < 511 && (d = pare_devices_get(w->devices, n)))
			names[n++] = pare_device_info(d)->name;
		names[n] = NULL;
		pare_language_complete(
			line, len, w->model, names, &w->candidates, &w->candidate_start);
	}
	*start = w->candidate_start;
	return i >= 0 && i < w->candidates.n ? w->candidates.text[i] : NULL;
}
