/* What could go from each group, and what it would cost: one walk through the float network. */
#include "reader.h"
#include <stdlib.h>
#include <string.h>

struct surveying {
	const struct pare_model *m;
	const bool *wanted;
	struct pare_survey *out;
	struct pare_ctl *ctl;
	int *last;              /* [n_groups] place in `order` of its last reader */
	int *order, n_order;    /* layers as they run */
	struct pare_reader **x; /* [layers] until its groups are done */
	int *n;                 /* [layers] */
	bool *keep;             /* [n_units] */
};

static bool needed(const struct surveying *s, int layer, int from)
{
	for (int g = 0; g < s->m->n_groups; g++)
		if (s->wanted[g] && s->last[g] >= from && pare_reads_group(s->m, layer, g))
			return true;
	return false;
}

/* A copy of the readers' problems, which the choice uses up. */
static enum pare_status
copy_reader(const struct pare_reader *from, struct pare_reader *to, struct pare_err *err)
{
	size_t k = (size_t)from->s.k, o = (size_t)from->s.o;

	*to = *from;
	to->s.hinv = malloc(k * k * sizeof(double));
	to->s.w = malloc(o * k * sizeof(double));
	if (!to->s.hinv || !to->s.w)
		return pare_nomem(err, "a layer's least squares");
	memcpy(to->s.hinv, from->s.hinv, k * k * sizeof(double));
	memcpy(to->s.w, from->s.w, o * k * sizeof(double));
	return PARE_OK;
}

static enum pare_status survey_group(struct surveying *s, int group, struct pare_err *err)
{
	const struct pare_group *g = &s->m->groups[group];
	struct pare_surveyed *out = &s->out->group[group];
	struct pare_reader *all;
	int n = 0, used = 0;
	enum pare_status st = PARE_OK;

	for (int l = 0; l < s->m->info.n_layers; l++)
		if (s->x[l] && pare_reads_group(s->m, l, group))
			n += s->n[l];
	out->order = calloc((size_t)g->n, sizeof *out->order);
	out->cost = calloc((size_t)g->n, sizeof *out->cost);
	all = calloc((size_t)n + 1, sizeof *all);
	if (!out->order || !out->cost || !all)
		st = pare_nomem(err, "the choice of channels");
	for (int l = 0; l < s->m->info.n_layers && !st; l++)
		for (int i = 0; s->x[l] && i < s->n[l] && !st && pare_reads_group(s->m, l, group);
			i++)
			st = copy_reader(&s->x[l][i], &all[used++], err);
	if (!st)
		st = pare_readers_choose(
			s->m, group, all, n, .95f, s->keep, out->order, out->cost, s->ctl, err);
	for (int u = 0; u < g->n && !st; u++) {
		out->n += !s->keep[g->first + u];
		s->keep[g->first + u] = true;
	}
	pare_readers_free(all, used);
	return st;
}

/* Readers of layer order[at] join; groups whose last reader it is are surveyed. */
static enum pare_status
visit(struct surveying *s, int at, struct pare_moments *moments, struct pare_err *err)
{
	int l = s->order[at];
	enum pare_status st = PARE_OK;

	if (moments->win.k) {
		st = pare_readers_new(s->m, l, pare_model_weights(s->m, l), moments, &s->x[l], err);
		s->n[l] = moments->win.groups;
	}
	for (int g = 0; g < s->m->n_groups && !st; g++)
		if (s->wanted[g] && s->last[g] == at)
			st = survey_group(s, g, err);
	for (int k = 0; k <= at && !st; k++)
		if (s->x[s->order[k]] && !needed(s, s->order[k], at + 1)) {
			pare_readers_free(s->x[s->order[k]], s->n[s->order[k]]);
			s->x[s->order[k]] = NULL;
		}
	return st;
}

static enum pare_status walk(struct surveying *s, struct pare_walk *walk, struct pare_err *err)
{
	const struct pare_program *p = pare_walk_program(walk);
	enum pare_status st = PARE_OK;

	s->n_order = pare_layers_in_order(s->m, p, s->order);
	for (int g = 0; g < s->m->n_groups; g++) {
		s->last[g] = -1;
		for (int i = 0; i < s->n_order; i++)
			if (pare_reads_group(s->m, s->order[i], g))
				s->last[g] = i;
	}
	for (int i = 0; i < s->n_order && !st; i++) {
		struct pare_progress_span span = { 16.0 * i, 16.0 * s->n_order };
		struct pare_moments moments = { 0 };

		if (!needed(s, s->order[i], i))
			continue;
		st = pare_walk_to(walk, s->order[i], p, span, s->ctl, &moments, NULL, err);
		if (!st)
			st = visit(s, i, &moments, err);
		pare_moments_free(&moments);
	}
	return st;
}

enum pare_status pare_survey_new(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_survey *out,
	struct pare_err *err)
{
	size_t n = (size_t)m->info.n_layers + 1, groups = (size_t)m->n_groups + 1;
	struct pare_survey v = { m->n_groups, calloc(groups, sizeof *v.group) };
	struct surveying s = { .m = m,
		.wanted = wanted,
		.out = &v,
		.ctl = ctl,
		.last = calloc(groups, sizeof *s.last),
		.order = calloc(n, sizeof *s.order),
		.x = calloc(n, sizeof *s.x),
		.n = calloc(n, sizeof *s.n),
		.keep = malloc((size_t)m->n_units + 1) };
	struct pare_walk *w = NULL;
	enum pare_status st;

	if (v.group && s.last && s.order && s.x && s.n && s.keep) {
		memset(s.keep, true, (size_t)m->n_units);
		st = pare_walk_new(m, calibration, &w, err);
	} else
		st = pare_nomem(err, "the choice of channels");
	if (!st)
		st = walk(&s, w, err);
	pare_walk_free(w);
	for (int i = 0; i < m->info.n_layers && s.x && s.n; i++)
		pare_readers_free(s.x[i], s.n[i]);
	free(s.last);
	free(s.order);
	free(s.x);
	free(s.n);
	free(s.keep);
	if (st)
		pare_survey_free(&v);
	else
		*out = v;
	return st;
}

void pare_survey_free(struct pare_survey *s)
{
	for (int g = 0; g < s->n_groups && s->group; g++) {
		free(s->group[g].order);
		free(s->group[g].cost);
	}
	free(s->group);
	*s = (struct pare_survey){ 0 };
}
