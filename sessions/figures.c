/* What a plan costs, here and on the devices that are looked at. */
#include "inside.h"
#include "words.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pare_device_figures unknown_figures(void)
{
	struct pare_value v = { PARE_UNKNOWN, NAN, NAN, NAN, 0 };

	return (struct pare_device_figures){
		.latency_ms = v, .energy_mj = v, .ram = -1, .flash = -1
	};
}

static struct pare_device_figures
figures_of(struct pare_workspace *w, const struct pare_device *d, const struct pare_plan *p)
{
	struct pare_device_figures f = unknown_figures();
	struct pare_err err;
	uint64_t hash;

	if (!pare_device_info(d)->measures) {
		if (pare_device_predict(d, w->model, p, &f, &err)) {
			f = unknown_figures();
			snprintf(f.why, sizeof f.why, "%.159s", err.text);
		}
		return f;
	}
	hash = pare_plan_hash(p);
	for (int i = 0; i < w->n_memory; i++)
		if (w->memory_of[i].device == d && w->memory_of[i].plan == hash &&
			!w->memory_of[i].failed)
			return w->memory_of[i].figures;
	return f;
}

enum pare_status
workspace_choose_devices(struct pare_workspace *w, const char *const *names, struct pare_err *err)
{
	const char *known[256], *near;
	struct pare_device_row *row;
	int n = 0, n_known = 0;
	char shown[64];

	while (names[n])
		n++;
	row = calloc((size_t)n + 1, sizeof *row);
	if (!row)
		return pare_nomem(err, "devices");
	for (int i = 0; i < n; i++) {
		if ((row[i].device = pare_devices_find(w->devices, names[i])))
			continue;
		for (const struct pare_device *d;
			n_known < 256 && (d = pare_devices_get(w->devices, n_known)); n_known++)
			known[n_known] = pare_device_info(d)->name;
		near = pare_word_nearest(names[i], known, n_known);
		free(row);
		return pare_fail(err, PARE_E_ARG,
			"there is no device '%s'%s%s%s; 'pare device list' names them",
			pare_word_show(names[i], shown), near ? "; the nearest is '" : "",
			near ? near : "", near ? "'" : "");
	}
	free(w->row);
	w->row = row;
	w->n_rows = n;
	w->meta_saved = false;
	return PARE_OK;
}

void workspace_refresh(struct pare_workspace *w)
{
	const struct pare_plan *none = w->node[0].plan, *plan = w->node[w->here].plan;
	struct pare_err err;

	if (w->was.cost.bytes) /* what float costs to store does not change */
		pare_study_value(w->study, none, &w->was.accuracy, &w->was.drop);
	else if (pare_study_estimate(w->study, none, &w->was, &err))
		workspace_log(w, "no figures: %s", err.text);
	if (pare_study_estimate(w->study, plan, &w->now, &err))
		workspace_log(w, "no figures: %s", err.text);
	for (int i = 0; i < w->n_rows; i++) {
		struct pare_device_row *r = &w->row[i];

		if (!r->asked || pare_device_info(r->device)->measures)
			r->was = figures_of(w, r->device, none);
		r->asked = true;
		r->now = figures_of(w, r->device, plan);
	}
}
