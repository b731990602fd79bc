#include "joint.h"
#include "../base/pool.h"
#include "lattice.h"
#include "passes.h"
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 5 }; /* turns of each part */
/* damping: a step too far leads elsewhere, and sometimes to better; more than most moves nothing */
static const double least = 0.3, most = 30;
static const double gain = 1e-3; /* the least that a step must win, of the error */

struct state {
	struct pare_passes p;
	int8_t *q;     /* [all weights] before a step */
	float *bias;   /* [all channels] before a step */
	float *curves; /* as in struct pare_share */
	int part;      /* that moves */
	double damp;   /* what holds it back */
};

/* To second order the block's error, as the rows of a group move by d, is the sum of
 *
 *     slope_r d_r + sum over s of curve_rs d_r'H d_s / 2,
 *
 * H the mean product of what enters and curve the products of what reaches the rows from the
 * block's end.  Row after row goes to its least on the lattice, downhill from where it is. */
struct moving {
	const struct state *s;
	const struct pare_joint_part *p;
	int i;
	int64_t group;
	double *gone; /* [o][k]: H d of rows that moved */
	double *up;   /* [o] what their biases went up by, about the means */
	double *room; /* [2][k] */
};

static double slope_of(const struct state *s, int64_t at, bool bias)
{
	double g = 0;

	for (int t = 0; t < PARE_JOINT_JOBS; t++)
		g += (double)(bias ? s->p.share[t].bias[at] : s->p.share[t].w[at]);
	return g;
}

static void move_row(const struct moving *m, int64_t o)
{
	const struct state *s = m->s;
	const struct pare_joint_part *p = m->p;
	int64_t k = p->win.k, r = m->group * p->win.o + o, b = s->p.channel[m->i] + r;
	const float *curve = s->curves + s->p.curve[m->i] + r * p->win.o;
	const double *h = p->h + m->group * k * k, *mean = p->mean + m->group * k;
	struct pare_gram gram = { .k = (int)k, .h = p->h + m->group * k * k };
	double *c = m->room + k, *gone = m->gone + o * k, scale = (double)p->scale[r];
	double by = 1 / ((double)curve[o] * s->damp), slope = slope_of(s, b, true), shift;
	struct pare_row row = { .gram = &gram,
		.c = c,
		.zero = p->zero ? p->zero + r * k : NULL,
		.lo = p->least,
		.hi = p->most,
		.room = m->room };
	int8_t *q = p->q + r * k;
	const int8_t *was = s->q + s->p.weight[m->i] + r * k;

	for (int64_t e = 0; e < k; e++) {
		double g = slope_of(s, s->p.weight[m->i] + r * k + e, false);

		g -= p->shifts ? mean[e] * slope : 0;
		for (int64_t t = 0; t < o; t++)
			g += (double)curve[t] * m->gone[t * k + e];
		c[e] = -g * by;
		for (int64_t i = 0; i < k; i++)
			c[e] += h[e * k + i] * q[i] * scale;
	}
	(void)pare_row_descend(&row, scale, true, q);
	memset(gone, 0, (size_t)k * sizeof *gone);
	shift = slope;
	for (int64_t t = 0; t < o; t++)
		shift += (double)curve[t] * m->up[t];
	shift = m->up[o] = p->shifts ? -shift * by : 0;
	for (int64_t e = 0; e < k; e++) {
		double d = (q[e] - was[e]) * scale;

		for (int64_t i = 0; i < k && d != 0; i++)
			gone[i] += d * h[e * k + i];
		shift -= d * mean[e];
	}
	if (p->shifts)
		s->p.bias[b] += (float)shift;
}

static enum pare_status move_group(void *ctx, int group, int worker, struct pare_err *err)
{
	const struct state *s = ctx;
	const struct pare_joint_part *p = &s->p.j->parts[s->part];
	size_t o = (size_t)p->win.o, k = (size_t)p->win.k;
	struct moving m = { .s = s, .p = p, .i = s->part, .group = group };

	(void)worker;
	if (!(m.gone = calloc(o * k + o + 2 * k, sizeof *m.gone)))
		return pare_nomem(err, "a block's rounding");
	m.up = m.gone + o * k;
	m.room = m.up + o;
	for (int64_t r = 0; r < p->win.o; r++)
		if (s->curves[s->p.curve[s->part] + (group * p->win.o + r) * p->win.o + r] > 0)
			move_row(&m, r);
	free(m.gone);
	return PARE_OK;
}

/* Integers and biases aside, or back. */
static void keep(struct state *s, bool back)
{
	size_t channels = (size_t)s->p.channel[s->p.j->n] * sizeof *s->p.bias;

	for (int i = 0; i < s->p.j->n; i++) {
		int8_t *q = s->p.j->parts[i].q, *was = s->q + s->p.weight[i];
		size_t n = (size_t)(s->p.weight[i + 1] - s->p.weight[i]);

		if (q)
			memcpy(back ? q : was, back ? was : q, n);
	}
	memcpy(back ? s->p.bias : s->bias, back ? s->bias : s->p.bias, channels);
}

struct turn {
	int from, to;      /* parts that move, one after the other */
	double damp;       /* what holds them back */
	double fit, aside; /* errors, on what is fitted and on what is kept aside */
	int fitted;        /* blocks of samples */
};

/* Taken where it helps, also on what was kept aside. */
static enum pare_status take_turn(struct state *s, struct turn *t, struct pare_err *err)
{
	struct pare_progress_span quiet = { 0 };
	double fit = t->fit, aside = t->aside;
	enum pare_status st = PARE_OK;

	keep(s, false);
	s->damp = t->damp;
	for (s->part = t->from; s->part < t->to && !st; s->part++) {
		const struct pare_joint_part *p = &s->p.j->parts[s->part];

		if (!p->q)
			continue;
		st = pare_passes_take(&s->p, PARE_PASS_SLOPES, 0, t->fitted, &fit, err);
		if (!st)
			st = pare_parallel(p->win.groups, move_group, s, s->p.j->ctl, quiet, err);
		pare_passes_weigh(&s->p);
	}
	if (!st)
		st = pare_passes_take(&s->p, PARE_PASS_ERROR, 0, t->fitted, &fit, err);
	if (!st && s->p.j->aside)
		st = pare_passes_take(
			&s->p, PARE_PASS_ERROR, t->fitted, s->p.j->blocks, &aside, err);
	if (!st && fit < t->fit * (1 - gain) && (!s->p.j->aside || aside < t->aside)) {
		t->fit = fit;
		t->aside = aside;
		t->damp = t->damp > 3 * least ? t->damp / 3 : least;
		return PARE_OK;
	}
	keep(s, true);
	pare_passes_weigh(&s->p);
	t->damp *= 3;
	return st;
}

/* Each part by itself, and all together: what one loses the next may make up for. */
static enum pare_status learn(struct state *s, struct turn *t, struct pare_err *err)
{
	int n = s->p.j->n;
	double damp[PARE_JOINT_MOST + 1];
	bool goes = true;
	enum pare_status st = pare_passes_take(&s->p, PARE_PASS_CURVES, 0, t->fitted, &t->fit, err);

	for (int i = 0; i < PARE_JOINT_JOBS; i++)
		for (int64_t r = 0; r < s->p.curve[n]; r++)
			s->curves[r] += s->p.share[i].curve[r];
	for (int i = 0; i <= n; i++)
		damp[i] = least;
	for (int round = 0; round < ROUNDS && goes && !st; round++) {
		goes = false;
		for (int i = 0; i <= n && !st; i++) {
			t->from = i < n ? i : 0;
			t->to = i < n ? i + 1 : n;
			t->damp = damp[i];
			if (damp[i] < most && (i == n || s->p.j->parts[i].q))
				st = take_turn(s, t, err);
			damp[i] = t->damp;
			goes = goes || damp[i] < most;
		}
	}
	return st;
}

static enum pare_status begin(const struct pare_joint *j, struct state *s, struct pare_err *err)
{
	enum pare_status st;

	*s = (struct state){ 0 };
	if ((st = pare_passes_new(j, &s->p, err)))
		return st;
	s->q = malloc((size_t)s->p.weight[j->n] + 1);
	s->bias = calloc((size_t)(s->p.channel[j->n] + s->p.curve[j->n]), sizeof *s->bias);
	s->curves = s->bias ? s->bias + s->p.channel[j->n] : NULL;
	return s->q && s->bias ? PARE_OK : pare_nomem(err, "a block's rounding");
}

enum pare_status
pare_joint_learn(const struct pare_joint *j, double *before, double *after, struct pare_err *err)
{
	struct state s;
	struct turn t = { .fitted = j->blocks - j->aside };
	int from = j->aside ? t.fitted : 0;
	enum pare_status st = begin(j, &s, err);

	if (!st)
		st = pare_passes_take(&s.p, PARE_PASS_ERROR, from, j->blocks, before, err);
	t.aside = *before;
	if (!st)
		st = learn(&s, &t, err);
	*after = j->aside ? t.aside : t.fit;
	for (int i = 0; i < j->n && !st; i++)
		memcpy(j->parts[i].bias, s.p.bias + s.p.channel[i],
			(size_t)pare_joint_channels(&j->parts[i]) * sizeof *s.p.bias);
	free(s.q);
	free(s.bias);
	pare_passes_free(&s.p);
	return st;
}
