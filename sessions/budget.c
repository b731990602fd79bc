/* Budgets: lines that ask for so much of many layers together. */
#include "../plugins/devices.h"
#include "recipe.h"
#include <stdlib.h>
#include <string.h>

bool pare_statement_spreads(const struct pare_statement *s)
{
	return s->left > 0 || s->most > 0 || s->spread > 0;
}

bool pare_recipe_spreads(const struct pare_recipe *r)
{
	for (int i = 0; i < r->script.n; i++)
		if (pare_statement_spreads(&r->script.statements[i]))
			return true;
	return false;
}

enum pare_status pare_budget_new(const struct pare_statement *s, const struct pare_model *m,
	const char *name, struct pare_budget *out, struct pare_err *err)
{
	struct pare_budget b = { .channels = { .goal = s->goal,
					 .left = s->left,
					 .most = s->most,
					 .multiple = s->multiple },
		.spread = s->spread,
		.ranks = s->change.named & 1u << PARE_CHANGE_RANK,
		.on = s->device ? strdup(s->device) : NULL,
		.layers = calloc((size_t)pare_model_info(m)->n_layers + 1, sizeof *b.layers) };
	enum pare_status st =
		b.layers && (b.on || !s->device) ? PARE_OK : pare_nomem(err, "a budget");
	int n;

	if (!st)
		st = pare_layers_pick(&s->layers, m, name, b.layers, &n, err);
	if (st)
		pare_budget_free(&b);
	else
		*out = b;
	return st;
}

void pare_budget_free(struct pare_budget *b)
{
	free(b->layers);
	free(b->on);
	*b = (struct pare_budget){ 0 };
}

/* Latency as the device estimates it. */
static enum pare_status ask_device(void *user, const struct pare_model *m,
	const struct pare_plan *p, double *out, struct pare_err *err)
{
	const struct pare_device *d = user;
	struct pare_device_figures f;
	enum pare_status st = pare_device_predict(d, m, p, &f, err);

	if (!st && f.latency_ms.kind == PARE_UNKNOWN)
		st = pare_fail(err, PARE_E_ARG,
			"%s tells no latency without running the network; a budget wants a device "
			"with a profile, see pare device list",
			pare_device_info(d)->name);
	if (!st)
		*out = f.latency_ms.value;
	return st;
}

static enum pare_status
channels_on(const struct pare_budget *b, const struct pare_model *m, struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_channel_budget c = b->channels;
	const struct pare_device *d;
	struct pare_devices *all;
	enum pare_status st = pare_devices_load(&all, err);

	if (st)
		return st;
	if ((d = pare_devices_find(all, b->on))) {
		c.count = ask_device;
		c.user = (void *)(uintptr_t)d;
		st = pare_plan_channels_to(m, p, b->layers, &c, calibration, ctl, err);
	} else
		st = pare_fail(
			err, PARE_E_ARG, "there is no device '%s'; see pare device list", b->on);
	pare_devices_free(all);
	return st;
}

enum pare_status
pare_budget_spread(const struct pare_budget *b, const struct pare_model *m, struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	if (b->ranks)
		return pare_plan_spread_rank(m, p, b->layers, b->spread, calibration, ctl, err);
	if (b->spread > 0)
		return pare_plan_spread_weights(m, p, b->layers, b->spread, calibration, ctl, err);
	return b->on ? channels_on(b, m, p, calibration, ctl, err)
		     : pare_plan_channels_to(m, p, b->layers, &b->channels, calibration, ctl, err);
}
