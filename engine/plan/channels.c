/* Which channels a plan takes away: how many, and the shapes that are left. */
#include "../base/err.h"
#include "../prune/prune.h"
#include "variant.h"
#include <stdlib.h>
#include <string.h>

void pare_plan_tie(const struct pare_model *m, struct pare_plan *p, int i)
{
	int group = pare_model_layer(m, i)->group;
	struct pare_dials *d = p->dials, from = d[i];

	if (group < 0) {
		d[i].channels = 0;
		d[i].channel_criterion = d[i].repair = 0;
	}
	for (int k = 0; k < p->n && group >= 0; k++)
		if (pare_model_layer(m, k)->group == group) {
			d[k].channels = from.channels;
			d[k].channel_criterion = from.channel_criterion;
			d[k].repair = from.repair;
		}
}

int pare_group_units(const struct pare_model *m, int layer)
{
	int group = pare_model_layer(m, layer)->group;

	return group < 0 ? 0 : m->groups[group].n;
}

int pare_group_gone(const struct pare_model *m, int layer, float share)
{
	int group = pare_model_layer(m, layer)->group, gone = 0;

	for (int k = 0; group >= 0 && k < m->groups[group].n_kinds; k++)
		gone += (int)pare_n_pruned(pare_kind_size(m, group, k), share);
	return gone;
}

bool pare_plan_cuts(const struct pare_model *m, const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (pare_group_gone(m, i, p->dials[i].channels) > 0)
			return true;
	return false;
}

enum pare_status pare_plan_shapes(const struct pare_model *m, const struct pare_plan *p,
	struct pare_model **out, struct pare_err *err)
{
	bool *keep;
	enum pare_status st;

	if (p->n != pare_model_info(m)->n_layers)
		return pare_fail(err, PARE_E_MISMATCH,
			"the plan is for %d layers, the model has %d", p->n,
			pare_model_info(m)->n_layers);
	if (!pare_plan_cuts(m, p)) {
		*out = pare_model_ref(m);
		return PARE_OK;
	}
	keep = malloc((size_t)m->n_units + 1);
	if (!keep)
		return pare_nomem(err, "the shapes of a plan");
	memset(keep, true, (size_t)m->n_units);
	for (int i = 0; i < p->n; i++)
		if (pare_model_layer(m, i)->group >= 0)
			pare_drop_units(
				m, pare_model_layer(m, i)->group, p->dials[i].channels, NULL, keep);
	st = pare_model_without_channels(m, keep, true, out, err);
	free(keep);
	return st;
}
