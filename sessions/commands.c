/* What each statement does to a workspace: one function a row. */
#include "file.h"
#include "inside.h"
#include "recipe.h"
#include "replay.h"
#include "words.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct saying {
	struct pare_workspace *w;
	const struct pare_statement *s;
	const char *line;
	struct pare_reply *reply;
	struct pare_err *err;
};
typedef enum pare_status say_fn(const struct saying *y);

__attribute__((format(printf, 2, 3))) static enum pare_status
answer(const struct saying *y, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(y->reply->text, sizeof y->reply->text, fmt, ap);
	va_end(ap);
	return PARE_OK;
}

static const struct pare_plan *here(const struct saying *y)
{
	return y->w->node[y->w->here].plan;
}

/* The plan on the screen is another one now. */
static void moved(const struct saying *y)
{
	workspace_refresh(y->w);
	worker_reconsider(y->w);
}

/* ---- plans
 * ---------------------------------------------------------------------------------------- */

static int n_differ(const struct pare_plan *a, const struct pare_plan *b)
{
	int n = 0;

	for (int i = 0; i < a->n; i++)
		n += !pare_dials_equal(&a->dials[i], &b->dials[i]);
	return n;
}

/* On the screen it is left to the worker (*later, which takes p over): it may take minutes. */
static enum pare_status spread_budget(const struct saying *y, struct pare_plan *p, bool *later)
{
	struct pare_budget b;
	enum pare_status st;

	if (!y->w->data)
		return pare_fail(y->err, PARE_E_ARG,
			"a budget is spread by looking at samples; open the model with --data");
	if ((st = pare_budget_new(y->s, y->w->model, NULL, &b, y->err)))
		return st;
	if (!y->w->headless) {
		st = worker_ask(y->w, &b, p, y->line, y->err);
		*later = !st;
		return st;
	}
	st = worker_need_baseline(y->w, y->err);
	if (!st)
		st = pare_budget_spread(
			&b, y->w->model, p, pare_study_calibration(y->w->study), NULL, y->err);
	pare_budget_free(&b);
	return st;
}

/* What a share of weights that goes does not do: layers that the pattern leaves alone, devices that
 * multiply by zeros all the same.  "" when nothing of it changes. */
static void tell_of_zeros(const struct saying *y, const struct pare_plan *p, char *out, size_t len)
{
	const struct pare_plan *was = here(y);
	const char *pattern = NULL;
	int left = 0;
	size_t n = 0;

	*out = 0;
	for (int i = 0; i < p->n; i++) {
		const struct pare_dials *d = &p->dials[i], *b = &was->dials[i];
		struct pare_option o = { PARE_DIAL_SPARSITY, 0, d->sparsity, d->pattern, "" };

		if (!(d->sparsity > 0) || (d->sparsity == b->sparsity && d->pattern == b->pattern))
			continue;
		pattern = pare_method_name(PARE_PATTERN, d->pattern);
		left += !pare_option_fits(y->w->model, i, &o);
	}
	if (left)
		n += (size_t)snprintf(out, len,
			"; %d %s as before: channels that do not come out even in %s", left,
			left == 1 ? "stays" : "stay", pattern);
	for (int faster = 0; faster < 2 && pattern; faster++) {
		int told = 0;

		for (int k = 0; k < y->w->n_rows; k++) {
			const struct pare_device_info *d = pare_device_info(y->w->row[k].device);

			if (pare_device_skips(d, pattern) != (faster == 1) || n >= len)
				continue;
			n += (size_t)snprintf(out + n, len - n, "%s%s",
				told++   ? ", "
				: faster ? "; faster on "
					 : "; smaller, but no faster on ",
				d->name);
		}
	}
}

/* Devices that cut off sums of two products of bytes: their names, or that this machine does; "" =
 * none. */
static void who_saturates(const struct pare_workspace *w, char *out, size_t len)
{
	const struct pare_device *host;
	size_t n = 0;

	*out = 0;
	for (int k = 0; k < w->n_rows && n < len; k++)
		if (pare_device_saturates(pare_device_info(w->row[k].device)))
			n += (size_t)snprintf(out + n, len - n, "%s%s", n ? ", " : "",
				pare_device_info(w->row[k].device)->name);
	if (!n && (host = pare_devices_find(w->devices, "host")) &&
		pare_device_saturates(pare_device_info(host)))
		snprintf(out, len, "this machine");
}

/* Activations that have just become uint8 on such a device: the step against it comes along. */
static void spare_pairs(const struct saying *y, struct pare_plan *p, char *out, size_t len)
{
	char who[128];

	*out = 0;
	who_saturates(y->w, who, sizeof who);
	if (!*who || y->s->kind != PARE_SAY_SET || p->steps & pare_step_narrow() ||
		pare_plan_multiplies_bytes(p) < 0 || pare_plan_multiplies_bytes(here(y)) >= 0)
		return;
	p->steps |= pare_step_narrow();
	snprintf(out, len,
		"; with step avoid-saturation, for %s cuts off sums of uint8 x int8 (step none "
		"leaves it out)",
		who);
}

/* What a device does not take of layers that have changed: the first of it. */
static void
tell_of_devices(const struct saying *y, const struct pare_plan *p, char *out, size_t len)
{
	char why[160];

	*out = 0;
	for (int k = 0; k < y->w->n_rows; k++)
		for (int i = 0; i < p->n && !*out; i++)
			if (!pare_dials_equal(&p->dials[i], &here(y)->dials[i]) &&
				pare_device_objects(pare_device_info(y->w->row[k].device),
					&p->dials[i], why, sizeof why))
				snprintf(out, len, "; %s", why);
}

/* Where a line does not say of how many the channels that stay shall be a multiple: what the
 * devices on the screen ask for.  `who`: the one that does, NULL = none. */
static int multiple_asked(const struct pare_workspace *w, const char **who)
{
	int most = 1;

	*who = NULL;
	for (int i = 0; i < w->n_rows; i++) {
		const struct pare_device_info *d = pare_device_info(w->row[i].device);

		if (d->channels > most) {
			most = d->channels;
			*who = d->name;
		}
	}
	return most;
}

static enum pare_status change_plan(const struct saying *y, const char *who)
{
	struct pare_plan *p = pare_plan_copy(here(y));
	enum pare_status st;
	struct pare_exit exits[PARE_MAX_EXITS + 1];
	bool later = false;
	int n, changed, n_exits;
	char beside[300], pairs[200], devices[170], told[480];

	if (!p)
		return pare_nomem(y->err, "a plan");
	st = pare_plan_say(p, y->w->model, y->s, NULL, &n, y->err);
	if (!st && pare_statement_spreads(y->s))
		st = spread_budget(y, p, &later);
	if (later)
		return answer(y, "looking for the shares; Esc stops it, the plan follows");
	if (!st && y->s->kind == PARE_SAY_EXIT)
		st = pare_plan_exits(y->w->model, p, exits, &n_exits, y->err);
	if (st) {
		pare_plan_free(p);
		return st;
	}
	if (pare_plan_equal(p, here(y))) {
		pare_plan_free(p);
		return answer(y, "%s already", n == 1 ? "it is so" : "all are so");
	}
	changed = n_differ(p, here(y));
	tell_of_zeros(y, p, beside, sizeof beside);
	if (who)
		snprintf(beside, sizeof beside, "; multiples of %d channels stay, as %s asks",
			y->s->multiple, who);
	tell_of_devices(y, p, devices, sizeof devices);
	spare_pairs(y, p, pairs, sizeof pairs);
	snprintf(told, sizeof told, "%s%s%s", beside, devices, pairs);
	if ((st = tree_add(y->w, p, y->line, y->err)))
		return st;
	moved(y);
	if (n == 1)
		return *told ? answer(y, "%s", told + 2) : PARE_OK;
	return answer(y, "%d of %d layers changed%s", changed, n, told);
}

static enum pare_status say_change(const struct saying *y)
{
	struct pare_statement s = *y->s;
	struct saying even = *y;
	const char *who = NULL;

	if (!s.multiple && s.change.named & 1u << PARE_CHANGE_CHANNELS)
		s.multiple = multiple_asked(y->w, &who);
	even.s = &s;
	return change_plan(&even, who);
}

static enum pare_status say_undo(const struct saying *y)
{
	const char *was = y->w->node[y->w->here].command;

	if (!tree_undo(y->w))
		return answer(y, "nothing to undo: this is the float model");
	moved(y);
	return answer(y, "undone: %.400s", was);
}

static enum pare_status say_redo(const struct saying *y)
{
	if (!tree_redo(y->w))
		return answer(y, "nothing to redo");
	moved(y);
	return answer(y, "done again: %.400s", y->w->node[y->w->here].command);
}

static enum pare_status say_go(const struct saying *y)
{
	if (y->s->number < 1 || y->s->number > (uint64_t)y->w->n_nodes)
		return pare_fail(y->err, PARE_E_ARG,
			"there is no plan %" PRIu64 "; %d were tried, from 1 on", y->s->number,
			y->w->n_nodes);
	tree_go(y->w, (int)y->s->number - 1);
	moved(y);
	return answer(y, "plan %" PRIu64 " of %d", y->s->number, y->w->n_nodes);
}

static enum pare_status say_stop(const struct saying *y)
{
	static const char *const told[] = {
		[DROPPED_NOTHING] = "nothing that was asked for is under way",
		[DROPPED_BUDGET] = "stopped",
		[DROPPED_LAYERS] = "stopped; the layers that are rounded are kept, p goes on",
	};

	return answer(y, "%s", told[worker_drop(y->w)]);
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
	return st;
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
		moved(y);
	return st;
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

/* A file that must not be lost under a new one. */
static enum pare_status refuse_sources(const struct saying *y)
{
	const char *data = y->w->data ? pare_dataset_info(y->w->data)->path : "";

	if (pare_path_same(y->s->text, pare_model_info(y->w->model)->path) ||
		pare_path_same(y->s->text, data))
		return pare_fail(y->err, PARE_E_ARG,
			"%s is what this workbench has open; give another name", y->s->text);
	return PARE_OK;
}

static enum pare_status refuse_strangers(const struct saying *y)
{
	struct stat sb;
	char *text;
	size_t len;
	bool ours;

	if (stat(y->s->text, &sb))
		return PARE_OK;
	if (pare_text_read(y->s->text, 4 << 20, &text, &len, NULL))
		ours = false;
	else {
		ours = !len || !strncmp(text, "pare ", 5);
		free(text);
	}
	return ours ? PARE_OK
		    : pare_fail(y->err, PARE_E_ARG,
			      "%s is there and is no recipe; give another name", y->s->text);
}

/* The plan carried out, kept for the next who asks; borrowed from the workspace. */
static enum pare_status make_variant(const struct saying *y, const struct pare_variant **out)
{
	struct pare_workspace *w = y->w;
	uint64_t hash = pare_plan_hash(here(y));
	struct pare_variant *v;
	enum pare_status st = PARE_OK;

	if (w->variant && w->variant_of == hash) {
		*out = w->variant;
		return PARE_OK;
	}
	if (w->data && pare_plan_looks(w->model, here(y)))
		st = worker_need_baseline(w, y->err);
	else if (!w->data && pare_plan_needs_samples(w->model, here(y)))
		st = pare_fail(y->err, PARE_E_ARG,
			"what this plan asks for needs samples to look at; open "
			"the model with --data");
	if (!st)
		st = pare_variant_new(w->model, here(y),
			w->data ? pare_study_calibration(w->study) : NULL, NULL, &v, y->err);
	if (st)
		return st;
	pare_variant_free(w->variant);
	w->variant = v;
	w->variant_of = hash;
	*out = v;
	return PARE_OK;
}

static struct pare_recipe_parts parts_of(const struct saying *y, const char **devices)
{
	struct pare_recipe_parts p = { .model = y->w->model,
		.data = y->w->data,
		.plan = here(y),
		.seed = y->w->seed,
		.devices = devices };

	if (y->w->data)
		p.samples = pare_study_samples(y->w->study);
	return p;
}

static double half_width(const struct pare_value *v)
{
	return fmax(v->hi - v->value, v->value - v->lo);
}

static void promise(struct pare_recipe_parts *p, const struct pare_metrics *m)
{
	if (m->accuracy.kind == PARE_MEASURED) {
		p->promised[PARE_PROMISE_ACCURACY] =
			(struct pare_promised){ true, m->accuracy.value, half_width(&m->accuracy) };
		p->promised[PARE_PROMISE_DROP] =
			(struct pare_promised){ true, m->drop.value, half_width(&m->drop) };
	}
	p->promised[PARE_PROMISE_BYTES] = (struct pare_promised){ true, (double)m->cost.bytes, 0 };
}

static enum pare_status say_write(const struct saying *y)
{
	const char **devices = calloc((size_t)y->w->n_rows + 1, sizeof *devices);
	char sha[PARE_SHA_HEX], file_sha[PARE_SHA_HEX];
	struct pare_recipe_parts parts = parts_of(y, devices);
	const struct pare_variant *v = NULL;
	enum pare_status st = devices ? PARE_OK : pare_nomem(y->err, "a recipe");
	int64_t bytes;

	for (int i = 0; !st && i < y->w->n_rows; i++)
		devices[i] = pare_device_info(y->w->row[i].device)->name;
	if (!st)
		st = refuse_sources(y);
	if (!st)
		st = refuse_strangers(y);
	if (!st)
		st = make_variant(y, &v);
	if (!st)
		st = pare_recipe_sha(&parts, sha, y->err);
	if (!st)
		st = pare_variant_hash(v, sha, file_sha, &bytes, y->err);
	if (!st) {
		promise(&parts, &y->w->now);
		parts.promised_sha = file_sha;
		parts.promised_cpu = pare_cpu_kind();
		st = pare_recipe_write(y->s->text, &parts, y->err);
	}
	free(devices);
	if (st)
		return st;
	if (y->w->now.accuracy.kind == PARE_MEASURED)
		return answer(y, "%s written; it promises %.2f %% ± %.2f", y->s->text,
			y->w->now.accuracy.value, half_width(&y->w->now.accuracy));
	return answer(
		y, "%s written; the plan is not measured, so it promises no accuracy", y->s->text);
}

/* What is not seen in an ONNX file: widths that it has no type for, sums that some CPUs cut off. */
static void
tell_of_file(const struct saying *y, const struct pare_variant *v, char *out, size_t len)
{
	int first, narrow = pare_layers_as_bytes(here(y)), cut = pare_variant_saturates(v, &first);
	size_t n = 0;

	if (narrow)
		n = (size_t)snprintf(out, len,
			"; weights of %d layers travel as int8, format packed has them in %" PRId64
			" bytes",
			narrow, y->w->now.cost.bytes);
	if (cut && n < len)
		snprintf(out + n, len - n,
			"; on x86 without VNNI sums of %d layers can be cut off: step "
			"avoid-saturation",
			cut);
}

static enum pare_status say_export(const struct saying *y)
{
	struct pare_recipe_parts parts = parts_of(y, NULL);
	char sha[PARE_SHA_HEX], file_sha[PARE_SHA_HEX];
	const struct pare_variant *v = NULL;
	int64_t bytes = 0;
	char told[240] = "";
	enum pare_status st = refuse_sources(y);

	if (!st)
		st = make_variant(y, &v);
	if (!st)
		st = pare_recipe_sha(&parts, sha, y->err);
	if (!st)
		st = pare_variant_export_as(v, y->s->as, y->s->text, sha, file_sha, &bytes, y->err);
	if (st)
		return st;
	if (y->s->as == PARE_AS_ONNX)
		tell_of_file(y, v, told, sizeof told);
	return answer(y, "%s written: %" PRId64 " bytes, sha256 %.12s…%s", y->s->text, bytes,
		file_sha, told);
}

/* ---- the rest
 * ------------------------------------------------------------------------------------- */

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
		return answer(y, "measured: %.2f %% (%.2f to %.2f) on %" PRId64 " samples",
			v->value, v->lo, v->hi, v->samples);
	y->w->wanted = true;
	y->w->failed_plan = 0;
	return answer(y, "measuring");
}

static enum pare_status say_map(const struct saying *y)
{
	y->w->paused = !y->s->on;
	if (y->s->on)
		y->w->broken = false; /* asked for: try again */
	return answer(y, y->s->on ? "the map goes on" : "the map rests after this step");
}

static enum pare_status say_view(const struct saying *y)
{
	y->reply->effect = PARE_EFFECT_VIEW;
	return answer(y, "%s", y->s->text);
}

static enum pare_status say_help(const struct saying *y)
{
	y->reply->effect = PARE_EFFECT_HELP;
	return PARE_OK;
}

static enum pare_status say_quit(const struct saying *y)
{
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
