/* Statements that make a new plan, and what the person should know of it. */
#include "recipe.h"
#include "replay.h"
#include "saying.h"
#include <stdio.h>

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
	const struct pare_plan *was = saying_plan(y);
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
		pare_plan_multiplies_bytes(p) < 0 ||
		pare_plan_multiplies_bytes(saying_plan(y)) >= 0)
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
			if (!pare_dials_equal(&p->dials[i], &saying_plan(y)->dials[i]) &&
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
	struct pare_plan *p = pare_plan_copy(saying_plan(y));
	enum pare_status st;
	struct pare_exit exits[PARE_MAX_EXITS + 1];
	bool later = false;
	int n, changed, n_exits;
	char beside[300], pairs[260], devices[170], told[760];

	if (!p)
		return pare_nomem(y->err, "a plan");
	st = pare_plan_say(p, y->w->model, y->s, NULL, &n, y->err);
	if (!st && pare_statement_spreads(y->s))
		st = spread_budget(y, p, &later);
	if (later)
		return saying_answer(y, "looking for the shares; Esc stops it, the plan follows");
	if (!st && y->s->kind == PARE_SAY_EXIT)
		st = pare_plan_exits(y->w->model, p, exits, &n_exits, y->err);
	if (st) {
		pare_plan_free(p);
		return st;
	}
	if (pare_plan_equal(p, saying_plan(y))) {
		pare_plan_free(p);
		if (who)
			return saying_answer(y,
				"nothing changes: multiples of %d channels stay, as %s asks; "
				"multiple 1 lets any number go",
				y->s->multiple, who);
		return saying_answer(y, "%s already", n == 1 ? "it is so" : "all are so");
	}
	changed = n_differ(p, saying_plan(y));
	tell_of_zeros(y, p, beside, sizeof beside);
	if (who)
		snprintf(beside, sizeof beside, "; multiples of %d channels stay, as %s asks",
			y->s->multiple, who);
	tell_of_devices(y, p, devices, sizeof devices);
	spare_pairs(y, p, pairs, sizeof pairs);
	snprintf(told, sizeof told, "%s%s%s", beside, devices, pairs);
	if ((st = tree_add(y->w, p, y->line, y->err)))
		return st;
	saying_moved(y);
	if (n == 1)
		return *told ? saying_answer(y, "%s", told + 2) : PARE_OK;
	if (changed > n) /* others are tied to those that were named */
		return saying_answer(y, "%d layers changed%s", changed, told);
	return saying_answer(y, "%d of %d layers changed%s", changed, n, told);
}

enum pare_status say_change(const struct saying *y)
{
	struct pare_statement s = *y->s;
	struct saying even = *y;
	const char *who = NULL;

	if (!s.multiple && s.change.named & 1u << PARE_CHANGE_CHANNELS)
		s.multiple = multiple_asked(y->w, &who);
	even.s = &s;
	return change_plan(&even, who);
}
