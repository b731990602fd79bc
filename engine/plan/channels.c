/* Which channels a plan takes away. */
#include "../prune/prune.h"
#include "variant.h"

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
