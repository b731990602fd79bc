/* One budget for all groups: channels go where a MAC saved costs least.
 *
 * What a group costs is measured once, at a middling share, by how far the network's answers on the
 * calibration samples move; between shares it follows what the group's readers lose by least
 * squares.  Moves of several groups are taken to add up as squares.  Few samples tell this; the
 * plan that comes of it is carried out with all of them. */
#include "../base/err.h"
#include "../base/pool.h"
#include "../prune/answers.h"
#include "../prune/reader.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT = 256 }; /* samples */
static const float middling = .4f;

static int64_t macs(const struct pare_cost *c)
{
	return c->macs;
}

static int64_t bytes(const struct pare_cost *c)
{
	return c->bytes;
}

const struct pare_goal pare_goals[] = {
	{ "macs", "multiply-accumulates of one sample", macs, NULL },
	{ "bytes", "what weights and all other constants take", bytes, NULL },
	{ "latency", "time for one sample on a device, as it is estimated", NULL, "ms" },
	{ 0 },
};

const char *pare_goal_unit(int goal)
{
	return pare_goals[goal].unit;
}

struct spreading {
	const struct pare_model *m;
	struct pare_plan *p;
	const struct pare_channel_budget *budget;
	double whole; /* of the goal */
	const struct pare_calibration *calibration;
	struct pare_ctl *ctl;
	struct pare_survey survey;
	double *scale; /* [n_groups] squared move of the answers for one of survey's cost */
	int *gone;     /* [n_groups] */
	int *member;   /* [n_groups] a layer of each; -1: not asked for */
	float *float_answers;
};

/* ---- groups ------------------------------------------------------------------------------------
 */

static float share_of(const struct spreading *s, int group, int gone)
{
	return (float)gone / (float)s->m->groups[group].n;
}

static void set_gone(const struct spreading *s, struct pare_plan *p, int group, int gone)
{
	p->dials[s->member[group]].channels = share_of(s, group, gone);
	pare_plan_tie(s->m, p, s->member[group]);
}

/* The group as it would go in the plan, alone. */
static struct pare_plan *plan_alone(const struct spreading *s, int group, int gone)
{
	struct pare_plan *alone = pare_plan_new(s->p->n);
	struct pare_dials *d;

	if (!alone)
		return NULL;
	d = &alone->dials[s->member[group]];
	d->channel_criterion = s->p->dials[s->member[group]].channel_criterion;
	d->repair = s->p->dials[s->member[group]].repair;
	set_gone(s, alone, group, gone);
	return alone;
}

static enum pare_status measure_group(struct spreading *s, int group, struct pare_err *err)
{
	const struct pare_surveyed *v = &s->survey.group[group];
	size_t order = (size_t)s->m->groups[group].n * sizeof *v->order;
	/* by what readers lose, criterion 0: the survey knows the order already */
	struct pare_channel_memo memo = { .group = group, .order = malloc(order) };
	int gone = (int)lrintf(middling * (float)s->m->groups[group].n);
	struct pare_plan *alone;
	struct pare_model *m = NULL;
	float *now = NULL;
	enum pare_status st = PARE_OK;

	gone = gone < 1 ? 1 : gone > v->n ? v->n : gone;
	alone = plan_alone(s, group, gone);
	if (!alone || !memo.order)
		st = pare_nomem(err, "a plan");
	else
		memcpy(memo.order, v->order, order);
	if (!st)
		st = pare_prune_channels(s->m, alone, s->calibration, &memo, s->ctl, &m, err);
	if (!st)
		st = pare_answers_of(m, s->calibration, s->ctl, &now, err);
	if (!st)
		s->scale[group] = pare_answers_moved(s->m, s->calibration, s->float_answers, now) /
				  fmax(v->cost[gone - 1], 1e-12);
	free(now);
	pare_channel_memo_free(&memo);
	pare_model_free(m);
	pare_plan_free(alone);
	return st;
}

static enum pare_status
count(const struct spreading *s, const struct pare_plan *p, double *out, struct pare_err *err)
{
	const struct pare_goal *goal = &pare_goals[s->budget->goal];
	struct pare_cost c;
	enum pare_status st;

	if (!goal->of)
		return s->budget->count(s->budget->user, s->m, p, out, err);
	if (!(st = pare_plan_cost(s->m, p, &c, err)))
		*out = (double)goal->of(&c);
	return st;
}

/* How many may be gone after `was`: a step further, and on until what stays is even.  More than can
 * go: none. */
static int step_from(const struct spreading *s, int group, int was)
{
	int n = s->m->groups[group].n, step = n / 16, layer = s->member[group];
	int to = was + (step < 1 ? 1 : step);

	while (to < n &&
		share_of(s, group, to) !=
			pare_group_even(s->m, layer, share_of(s, group, to), s->budget->multiple))
		to++;
	return to;
}

/* The price of what is counted when the group loses a few more; infinite when it cannot. */
static enum pare_status
price(struct spreading *s, int group, double now, double *out, int *to, struct pare_err *err)
{
	const struct pare_surveyed *v = &s->survey.group[group];
	int was = s->gone[group];
	double then = now;
	enum pare_status st;

	*to = step_from(s, group, was);
	*out = INFINITY;
	if (*to > v->n)
		return PARE_OK;
	set_gone(s, s->p, group, *to);
	st = count(s, s->p, &then, err);
	set_gone(s, s->p, group, was);
	if (!st && then < now)
		*out = s->scale[group] * (v->cost[*to - 1] - (was ? v->cost[was - 1] : 0)) /
		       (now - then);
	return st;
}

static enum pare_status spend(struct spreading *s, double target, struct pare_err *err)
{
	double now;
	enum pare_status st = count(s, s->p, &now, err);

	while (!st && now > target) {
		double least = INFINITY;
		int best = -1, best_to = 0;

		if (s->ctl && atomic_load(&s->ctl->cancel))
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		for (int g = 0; g < s->m->n_groups && !st; g++) {
			double cost;
			int to;

			if (s->member[g] < 0)
				continue;
			st = price(s, g, now, &cost, &to, err);
			if (!st && cost < least) {
				least = cost;
				best = g;
				best_to = to;
			}
		}
		if (!st && best < 0)
			return pare_fail(err, PARE_E_ARG,
				"these layers cannot bring the network below %.0f%% of its %s",
				100 * now / s->whole, pare_goals[s->budget->goal].name);
		if (!st) {
			s->gone[best] = best_to;
			set_gone(s, s->p, best, best_to);
			st = count(s, s->p, &now, err);
		}
	}
	return st;
}

static enum pare_status spread(struct spreading *s, double target, struct pare_err *err)
{
	bool *wanted = calloc((size_t)s->m->n_groups + 1, sizeof *wanted);
	struct pare_part part;
	int parts = 1, done = 0; /* the survey, then a group each */
	enum pare_status st = wanted ? PARE_OK : pare_nomem(err, "a budget");

	for (int g = 0; g < s->m->n_groups && !st; g++)
		if (s->member[g] >= 0) {
			wanted[g] = true;
			parts++;
			set_gone(s, s->p, g, 0);
		}
	if (!st)
		st = pare_answers_of(s->m, s->calibration, s->ctl, &s->float_answers, err);
	pare_part_begin(s->ctl, &part, 0, 1, parts);
	if (!st)
		st = pare_survey_new(s->m, wanted, s->calibration, s->ctl, &s->survey, err);
	pare_part_end(s->ctl, &part);
	for (int g = 0; g < s->m->n_groups && !st; g++) {
		if (wanted[g] && s->survey.group[g].n < 1)
			s->member[g] = -1;
		if (s->member[g] < 0)
			continue;
		pare_part_begin(s->ctl, &part, ++done, 1, parts);
		st = measure_group(s, g, err);
		pare_part_end(s->ctl, &part);
	}
	free(wanted);
	return st ? st : spend(s, target, err);
}

static enum pare_status can_look(
	const struct pare_channel_budget *b, const struct pare_calibration *c, struct pare_err *err)
{
	if (!c || !c->dataset)
		return pare_fail(err, PARE_E_ARG,
			"a budget is spread by looking at calibration data: "
			"name some with --data");
	if (!pare_goals[b->goal].of && !b->count)
		return pare_fail(err, PARE_E_ARG, "a device says what %s is: name it with 'on'",
			pare_goals[b->goal].name);
	return PARE_OK;
}

/* To what, in the goal's unit; whole: of the model. */
static enum pare_status find_target(struct spreading *s, double *target, struct pare_err *err)
{
	struct pare_plan *whole = pare_plan_of(s->m);
	enum pare_status st = whole ? PARE_OK : pare_nomem(err, "a budget");

	if (!st)
		st = count(s, whole, &s->whole, err);
	pare_plan_free(whole);
	if (!st && !(s->whole > 0))
		return pare_fail(err, PARE_E_ARG, "%s of this network are not known",
			pare_goals[s->budget->goal].name);
	if (!st)
		*target = s->budget->left > 0 ? s->budget->left * s->whole : s->budget->most;
	return st;
}

enum pare_status pare_plan_channels_to(const struct pare_model *m, struct pare_plan *p,
	const bool *layers, const struct pare_channel_budget *budget,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	size_t n = (size_t)m->n_groups + 1;
	struct pare_calibration few;
	struct spreading s = { .m = m, .budget = budget, .calibration = &few, .ctl = ctl };
	double target = 0;
	enum pare_status st = can_look(budget, calibration, err);

	if (st)
		return st;
	few = *calibration;
	few.n_samples = few.n_samples < LOOKED_AT ? few.n_samples : LOOKED_AT;
	s.p = pare_plan_copy(p);
	s.scale = calloc(n, sizeof *s.scale);
	s.gone = calloc(n, sizeof *s.gone);
	s.member = malloc(n * sizeof *s.member);
	if (!s.p || !s.scale || !s.gone || !s.member)
		st = pare_nomem(err, "a budget");
	for (int g = 0; g < m->n_groups && s.member; g++)
		s.member[g] = -1;
	for (int i = 0; i < p->n && !st; i++)
		if (layers[i] && m->layers[i].group >= 0)
			s.member[m->layers[i].group] = i;
	if (!st)
		st = find_target(&s, &target, err);
	if (!st)
		st = spread(&s, target, err);
	if (!st)
		memcpy(p->dials, s.p->dials, (size_t)p->n * sizeof *p->dials);
	pare_survey_free(&s.survey);
	pare_plan_free(s.p);
	free(s.float_answers);
	free(s.scale);
	free(s.gone);
	free(s.member);
	return st;
}
