/* What was found joins the study. */
#include "../base/err.h"
#include "study.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double move_size(const float *move, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)move[i] * (double)move[i];
	return n ? sqrt(sum / (double)n) : 0;
}

static void add_cells(struct pare_study *s, struct pare_result *r)
{
	int first, n;

	pare_dial_options(r->dial, &first, &n);
	for (int l = 0; l < s->n_layers; l++) /* a group's other layers show the first one's */
		for (int o = 0; o < n - 1; o++) {
			struct study_cell *c = &s->cell[l * s->n_options + first + 1 + o];

			if (l == r->layer ||
				(r->dial == PARE_DIAL_CHANNELS && s->leader[l] == r->layer)) {
				s->n_known += !c->known;
				c->known = true;
			}
		}
	for (int o = 0; o < n - 1; o++) {
		struct study_cell *c = &s->cell[r->layer * s->n_options + first + 1 + o];

		free(c->move);
		*c = (struct study_cell){ true, r->part[o].slots,
			move_size(r->part[o].slots, r->n * r->k), r->part[o].fixed,
			r->part[o].broken };
		r->part[o].slots = NULL; /* the cell's now */
	}
}

static enum pare_status keep_plan(struct pare_study *s, struct study_plan p, struct pare_err *err)
{
	if (s->n_plans == s->room) {
		int room = s->room ? 2 * s->room : 16;
		struct study_plan *bigger = realloc(s->plan, (size_t)room * sizeof *bigger);
		double *surprise;

		if (!bigger)
			return pare_nomem(err, "a measured plan");
		s->plan = bigger;
		surprise = realloc(s->surprise, (size_t)room * sizeof *surprise);
		if (!surprise)
			return pare_nomem(err, "a measured plan");
		s->surprise = surprise;
		s->room = room;
	}
	s->plan[s->n_plans++] = p;
	return PARE_OK;
}

static enum pare_status add_plan(struct pare_study *s, struct pare_result *r, struct pare_err *err)
{
	const struct study_part *found = &r->part[0];
	struct study_plan p = { .plan = r->plan,
		.hash = pare_plan_hash(r->plan),
		.slots = found->slots,
		.n_right = found->n_right,
		.fixed = found->fixed,
		.broken = found->broken,
		.noise = r->noise };
	struct study_guess g;
	bool guessed = pare_study_superpose(s, r->plan, NULL, &g);
	enum pare_status st;

	if (pare_study_find(s, r->plan))
		return PARE_OK; /* measured twice */
	memcpy(p.left, found->left, sizeof p.left);
	st = keep_plan(s, p, err);
	if (st)
		return st;
	r->plan = NULL; /* the study's now */
	r->noise = NULL;
	r->part[0].slots = NULL;
	if (guessed)
		s->surprise[s->n_surprises++] = fabs(g.n_right - (double)p.n_right) * 100 /
						(double)s->n / pare_guess_width(&g, s->n);
	return PARE_OK;
}

static enum pare_status
add_baseline(struct pare_study *s, struct pare_result *r, struct pare_err *err)
{
	struct study_baseline *b = r->base;
	size_t bytes = (size_t)b->n * (size_t)b->k * sizeof *b->slots;
	struct study_plan p = { .plan = pare_plan_new(s->n_layers),
		.slots = malloc(bytes + 1),
		.n_right = b->n_right };
	enum pare_status st;

	if (s->base || !p.plan || !p.slots) {
		pare_plan_free(p.plan);
		free(p.slots);
		return s->base ? PARE_OK : pare_nomem(err, "the float model's answers");
	}
	p.hash = pare_plan_hash(p.plan);
	memcpy(p.slots, b->slots, bytes);
	st = keep_plan(s, p, err);
	if (st) {
		pare_plan_free(p.plan);
		free(p.slots);
		return st;
	}
	s->base = b;
	r->base = NULL;
	for (int l = 0; l < s->n_layers; l++) /* "off" moves nothing */
		for (int o = 0; o < s->n_options; o++)
			if (!pare_study_asks(s, l, o))
				s->cell[l * s->n_options + o].known = true;
	return PARE_OK;
}

enum pare_status pare_study_add(struct pare_study *s, struct pare_result *r, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	if (r->kind == PARE_TASK_BASELINE)
		st = add_baseline(s, r, err);
	else if (r->kind == PARE_TASK_CELLS)
		add_cells(s, r);
	else if (r->kind == PARE_TASK_PLAN)
		st = add_plan(s, r, err);
	pare_result_free(r);
	return st;
}
