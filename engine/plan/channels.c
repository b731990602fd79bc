/* Which channels and blocks a plan takes away. */
#include "../graph/residual.h"
#include "../prune/prune.h"
#include "variant.h"
#include <math.h>

static void tie_channels(const struct pare_model *m, struct pare_plan *p, int i)
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

static void tie_block(const struct pare_model *m, struct pare_plan *p, int i)
{
	int block = pare_model_layer(m, i)->block;
	struct pare_dials from = p->dials[i];

	if (block < 0)
		p->dials[i].block = p->dials[i].block_repair = 0;
	for (int k = 0; block >= 0 && k < m->residuals[block].n_branch; k++) {
		int layer = m->node_info[m->residuals[block].branch[k]].layer;

		if (layer < 0)
			continue;
		p->dials[layer].block = from.block;
		p->dials[layer].block_repair = from.block_repair;
	}
}

void pare_plan_tie(const struct pare_model *m, struct pare_plan *p, int i)
{
	tie_channels(m, p, i);
	tie_block(m, p, i);
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

/* Does a multiple stay of each kind, or the kind as a whole? */
static bool stays_even(const struct pare_model *m, int group, float share, int multiple)
{
	for (int k = 0; k < m->groups[group].n_kinds; k++) {
		int64_t size = pare_kind_size(m, group, k), gone = pare_n_pruned(size, share);

		if (gone && (gone == size || (size - gone) % multiple))
			return false;
	}
	return true;
}

float pare_group_even(const struct pare_model *m, int layer, float share, int multiple)
{
	int group = pare_model_layer(m, layer)->group, n = pare_group_units(m, layer);
	float best = 0;

	if (group < 0 || multiple < 2 || n < multiple || !pare_group_gone(m, layer, share))
		return share;
	for (int gone = 1; gone < n; gone++) {
		float at = (float)gone / (float)n;

		if (fabsf(at - share) < fabsf(best - share) && stays_even(m, group, at, multiple))
			best = at;
	}
	return best;
}

bool pare_plan_cuts(const struct pare_model *m, const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (pare_group_gone(m, i, p->dials[i].channels) > 0)
			return true;
	return false;
}
