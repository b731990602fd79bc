/* What a plan asks for in a layer, and what that needs. */
#include "asks.h"
#include "../prune/rank.h"
#include "../quantize/steps.h"
#include "stored.h"

struct pare_grid pare_plan_grid(const struct pare_layer *l, const struct pare_dials *d)
{
	const struct pare_format *f = &pare_formats[d->weights];

	return pare_grid_of(&l->weight, l->out_axis, d->granularity, d->scheme, f->lo, f->hi);
}

struct pare_weight_store
pare_plan_store(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	const struct pare_layer *l = pare_model_layer(m, layer);
	const struct pare_codes *stored = pare_stored_codes(m, layer, d);
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_weight_store s = { .dtype = f->store, .axis = -1 };
	struct pare_grid g;

	if (stored)
		return (struct pare_weight_store){ .dtype = stored->store,
			.axis = stored->axis,
			.group = stored->group,
			.n_scales = stored->n,
			.scale = stored->scale };
	if (f->kind != PARE_KIND_INT)
		return s;
	g = pare_plan_grid(l, d);
	s.axis = pare_granularities[d->granularity].per_channel ? l->out_axis : -1;
	s.group = g.n_groups > 1 ? g.group : 0;
	s.n_scales = pare_grid_scales(&g);
	s.lifted = f->store == PARE_I4 && g.scheme->zeros;
	return s;
}

static bool has_zeros(const struct pare_codes *c)
{
	for (int64_t i = 0; i < c->n; i++)
		if (c->zero[i])
			return true;
	return false;
}

struct pare_pack_layer
pare_plan_pack(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	const struct pare_codes *stored = pare_stored_codes(m, layer, d);
	const struct pare_format *f = &pare_formats[d->weights];
	const struct pare_scheme *scheme = &pare_schemes[d->scheme];
	struct pare_pack_layer p = { .lay = pare_lay_over(m, layer, d->pattern) };

	p.gone = pare_lay_gone(&p.lay, d->sparsity);
	if (f->kind != PARE_KIND_INT)
		return p;
	p.bits = f->bits;
	p.powers = scheme->powers;
	p.zeros = stored ? has_zeros(stored) : scheme->zeros;
	if (stored && p.zeros) /* the codes of the file may lie anywhere in their type */
		p.bits = (int)pare_dtype_bits(stored->store);
	return p;
}

bool pare_rounds_by_samples(const struct pare_dials *d)
{
	return pare_formats[d->weights].kind == PARE_KIND_INT &&
	       pare_rounding_looks(&pare_roundings[d->rounding]);
}

bool pare_rounds_without(const struct pare_dials *d)
{
	return pare_roundings[d->rounding].makes_do;
}

bool pare_prunes_by_samples(const struct pare_dials *d)
{
	return d->sparsity > 0 && !pare_criteria[d->criterion].score;
}

bool pare_weights_go(const struct pare_model *m, int i, const struct pare_dials *d)
{
	struct pare_lay l = pare_lay_over(m, i, d->pattern);

	return pare_lay_gone(&l, d->sparsity) > 0;
}

bool pare_plan_adds_bias(const struct pare_model *m, const struct pare_plan *p, int i)
{
	const struct pare_dials *d = &p->dials[i];
	bool shifts = (pare_rounds_by_samples(d) && pare_roundings[d->rounding].shifts) ||
		      (pare_prunes_by_samples(d) && pare_weights_go(m, i, d)) ||
		      (pare_steps_shift(p->steps) && (d->weights || pare_weights_go(m, i, d)));

	return shifts && m->weight_at[i].bias < 0 && pare_model_can_shift(m, i);
}

bool pare_rounds_activation(const struct pare_model *m, int i, const struct pare_dials *d)
{
	return d->activations && !m->weight_at[i].alone;
}

bool pare_wants_range(const struct pare_model *m, int i, const struct pare_dials *d)
{
	return pare_rounds_activation(m, i, d) && !pare_rangings[d->ranging].dynamic &&
	       !pare_stored_act(m, i, d);
}

bool pare_plan_looks(const struct pare_model *m, const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (pare_rounds_by_samples(&p->dials[i]))
			return true;
	return pare_plan_needs_samples(m, p);
}

bool pare_plan_needs_samples(const struct pare_model *m, const struct pare_plan *p)
{
	bool space;

	if (pare_steps_look(p->steps))
		return true;
	for (int i = 0; i < p->n; i++) {
		const struct pare_dials all = pare_dials_effective(p->dials[i]), *d = &all;

		if (d->block && pare_repairs[d->block_repair].looks)
			return true;
		if (pare_wants_range(m, i, d) || d->exit != 0 ||
			(pare_rounds_by_samples(d) && !pare_rounds_without(d)) ||
			pare_prunes_by_samples(d) ||
			(d->channels > 0 && (!pare_channel_criteria[d->channel_criterion].score ||
						    pare_repairs[d->repair].looks)) ||
			(pare_rank_criteria[d->rank_criterion].looks &&
				pare_rank_of(m, i, d, &space)))
			return true;
	}
	return false;
}
