/* What a plan leaves of a model: shapes, and the plan for them. */
#include "../base/err.h"
#include "../prune/blocks.h"
#include "../prune/rank.h"
#include "variant.h"
#include <stdlib.h>
#include <string.h>

enum pare_status pare_plan_of_parts(const struct pare_model *m, const struct pare_plan *p,
	struct pare_plan **out, int **whole, struct pare_err *err)
{
	struct pare_plan *q = pare_plan_new(2 * p->n);
	int *from = calloc(2 * (size_t)p->n + 1, sizeof *from), n = 0;
	bool space;

	if (!q || !from) {
		pare_plan_free(q);
		free(from);
		return pare_nomem(err, "a plan");
	}
	for (int i = 0; i < p->n; i++) {
		struct pare_dials d = p->dials[i];

		if (pare_rank_of(m, i, &p->dials[i], &space)) {
			d.rank = d.exit = 0; /* samples leave behind the second */
			from[n] = i;
			q->dials[n++] = d;
			d.exit = p->dials[i].exit;
		}
		from[n] = i;
		q->dials[n++] = d;
	}
	q->n = n;
	q->steps = p->steps;
	*out = q;
	*whole = from;
	return PARE_OK;
}

struct pare_plan *pare_plan_of_rest(
	const struct pare_model *m, const struct pare_plan *p, const bool *gone, int **whole)
{
	struct pare_plan *q = pare_plan_new(p->n);
	int *from = calloc((size_t)p->n + 1, sizeof *from), n = 0;
	bool *dead = calloc((size_t)p->n + 1, sizeof *dead);

	if (q && from && dead) {
		for (int r = 0; r < m->n_residuals; r++)
			for (int i = 0; gone[r] && i < m->residuals[r].n_branch; i++) {
				int layer = m->node_info[m->residuals[r].branch[i]].layer;

				if (layer >= 0)
					dead[layer] = true;
			}
		for (int i = 0; i < p->n; i++) {
			if (dead[i])
				continue;
			q->dials[n] = p->dials[i];
			q->dials[n].block = q->dials[n].block_repair = 0;
			from[n++] = i;
		}
		q->n = n;
		q->steps = p->steps;
		*whole = from;
	} else {
		pare_plan_free(q);
		free(from);
		q = NULL;
	}
	free(dead);
	return q;
}

static enum pare_status without_channels(const struct pare_model *m, const struct pare_plan *p,
	struct pare_model **out, struct pare_err *err)
{
	bool *keep = malloc((size_t)m->n_units + 1);
	enum pare_status st;

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

/* The model and the plan without blocks; *rest and *whole stay NULL where none goes. */
static enum pare_status without_blocks(const struct pare_model *m, const struct pare_plan *p,
	struct pare_model **out, struct pare_plan **rest, int **whole, struct pare_err *err)
{
	bool *gone = calloc((size_t)m->n_residuals + 1, sizeof *gone);
	enum pare_status st = gone ? PARE_OK : pare_nomem(err, "the shapes of a plan");

	if (!st && pare_plan_blocks(m, p, gone)) {
		if (!(*rest = pare_plan_of_rest(m, p, gone, whole)))
			st = pare_nomem(err, "the shapes of a plan");
		else
			st = pare_model_without_branches(m, gone, true, out, err);
	} else if (!st)
		*out = pare_model_ref(m);
	free(gone);
	return st;
}

enum pare_status pare_plan_shapes(const struct pare_model *m, const struct pare_plan *p,
	struct pare_left *out, struct pare_err *err)
{
	struct pare_left l = { 0 };
	struct pare_model *shorter = NULL, *cut = NULL;
	struct pare_plan *rest = NULL;
	int *whole = NULL;
	enum pare_status st;

	if (p->n != pare_model_info(m)->n_layers)
		return pare_fail(err, PARE_E_MISMATCH,
			"the plan is for %d layers, the model has %d", p->n,
			pare_model_info(m)->n_layers);
	st = without_blocks(m, p, &shorter, &rest, &whole, err);
	p = rest ? rest : p;
	if (!st && pare_plan_cuts(shorter, p))
		st = without_channels(shorter, p, &cut, err);
	else if (!st)
		cut = pare_model_ref(shorter);
	if (!st)
		st = pare_plan_of_parts(cut, p, &l.plan, &l.whole, err);
	for (int i = 0; !st && whole && i < l.plan->n; i++)
		l.whole[i] = whole[l.whole[i]];
	if (!st && l.plan->n > p->n)
		st = pare_factor_layers(cut, p, NULL, true, NULL, &l.model, err);
	else if (!st)
		l.model = pare_model_ref(cut);
	pare_model_free(cut);
	pare_model_free(shorter);
	pare_plan_free(rest);
	free(whole);
	if (st)
		pare_left_free(&l);
	else
		*out = l;
	return st;
}

void pare_left_free(struct pare_left *l)
{
	pare_model_free(l->model);
	pare_plan_free(l->plan);
	free(l->whole);
	*l = (struct pare_left){ 0 };
}
