#include "passes.h"
#include "../base/pool.h"
#include "../base/rng.h"
#include "../run/kernels.h"
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	TILE_FLOATS = 1 << 16, /* of windows at a time */
	COLUMNS = 2048,        /* of a job, of the last part */
	LOOKED_AT = 49152,     /* of all jobs */
};

struct pare_pass_room {              /* of a worker */
	float *value, *entry, *grad; /* [all elements][lanes] of what parts give */
	float *first;                /* [enters][lanes] as a quantizer leaves it */
	float *x, *y;                /* a tile of windows, of results */
	int64_t *from, *to;          /* [parts] columns */
};

static int64_t elements_of(const struct pare_joint_part *p)
{
	return pare_joint_channels(p) * p->win.columns;
}

static const struct pare_joint_part *last_of(const struct pare_passes *s)
{
	return &s->j->parts[s->j->n - 1];
}

/* ---- there -------------------------------------------------------------------------------------
 */

static int64_t column_of(const struct pare_windows *w, int64_t element)
{
	if (w->columns == 1)
		return 0;
	return (w->from_column < w->from_channel ? element % w->from_channel : element) /
	       w->from_column;
}

/* Which columns of each part those of the last one hang on. */
static void
find_columns(const struct pare_passes *s, const struct pare_share *job, struct pare_pass_room *r)
{
	int n = s->j->n;

	for (int i = 0; i < n; i++) {
		r->from[i] = i == n - 1 ? job->from : INT64_MAX;
		r->to[i] = i == n - 1 ? job->to : 0;
	}
	for (int i = n - 1; i >= 0; i--) {
		const struct pare_joint_part *p = &s->j->parts[i];

		if (p->add > 0) { /* of the same layout */
			int64_t *from = &r->from[p->add - 1], *to = &r->to[p->add - 1];

			*from = r->from[i] < *from ? r->from[i] : *from;
			*to = r->to[i] > *to ? r->to[i] : *to;
		}
		for (int64_t k = 0; k < (int64_t)p->win.groups * p->win.k && p->in > 0; k++)
			for (int64_t c = r->from[i]; c < r->to[i]; c++) {
				int32_t e = p->index[k * p->win.columns + c];
				int64_t at;

				if (e < 0)
					continue;
				at = column_of(&s->j->parts[p->in - 1].win, e);
				if (at < r->from[p->in - 1])
					r->from[p->in - 1] = at;
				if (at >= r->to[p->in - 1])
					r->to[p->in - 1] = at + 1;
			}
	}
}

/* What enters a part, behind its quantizer. */
static const float *
enter(const struct pare_passes *s, const struct pare_share *job, struct pare_pass_room *r, int i)
{
	const struct pare_joint *j = s->j;
	const struct pare_joint_part *p = &j->parts[i];
	const float *x = p->in ? r->value + s->element[p->in - 1] * j->lanes : j->x[job->block];
	float *to = p->in ? r->entry + s->element[p->in - 1] * j->lanes : r->first;
	const struct pare_windows *w = p->in ? &j->parts[p->in - 1].win : NULL;
	bool rows = w && w->from_column == 1 && j->lanes > 1; /* a part of it, aligned */
	size_t run;

	if (!p->act.on || p->act.dynamic)
		return x;
	if (!w) {
		j->k->quantize(x, to, (size_t)(j->enters * j->lanes), p->act.scale, p->act.zero,
			p->act.lo, p->act.hi);
		return to;
	}
	run = (size_t)(r->to[p->in - 1] - r->from[p->in - 1]) * (size_t)j->lanes;
	for (int64_t c = 0; c < pare_joint_channels(&j->parts[p->in - 1]) && rows; c++) {
		int64_t at = (c * w->from_channel + r->from[p->in - 1]) * j->lanes;

		j->k->quantize(
			x + at, to + at, run, p->act.scale, p->act.zero, p->act.lo, p->act.hi);
	}
	if (!rows)
		j->k->quantize(x, to, (size_t)(elements_of(&j->parts[p->in - 1]) * j->lanes),
			p->act.scale, p->act.zero, p->act.lo, p->act.hi);
	return to;
}

/* How many of the n places from `at` on lie one behind the other. */
static int64_t run_of(const int32_t *at, int64_t n)
{
	int64_t i = 1;

	while (i < n && (at[0] < 0 ? at[i] < 0 : at[i] == at[0] + i))
		i++;
	return i;
}

/* Columns from … from + n of a group's windows: x [k][n][lanes]. */
static void gather(const struct pare_joint_part *p, int g, int64_t from, int64_t n, int lanes,
	const float *v, float *x)
{
	for (int64_t i = 0; i < p->win.k; i++) {
		const int32_t *at = p->index + (g * p->win.k + i) * p->win.columns + from;

		for (int64_t c = 0, run; c < n; c += run, x += run * lanes) {
			size_t bytes;

			run = run_of(at + c, n - c);
			bytes = (size_t)(run * lanes) * sizeof *x;
			if (at[c] < 0)
				memset(x, 0, bytes);
			else
				memcpy(x, v + (int64_t)at[c] * lanes, bytes);
		}
	}
}

static int64_t tile_of(const struct pare_passes *s, const struct pare_joint_part *p)
{
	int64_t n = TILE_FLOATS / ((int64_t)p->win.k * s->j->lanes);

	return n > 16 ? n : 16;
}

/* Results y [o][n][lanes] of a group to their places, with what is added. */
static void finish(const struct pare_passes *s, const struct pare_share *job,
	const struct pare_pass_room *r, int i, int g, int64_t from, int64_t n)
{
	const struct pare_joint *j = s->j;
	const struct pare_joint_part *p = &j->parts[i];
	const float *add = p->add > 0    ? r->value + s->element[p->add - 1] * j->lanes
			   : p->add == 0 ? j->x[job->block]
					 : NULL;
	float *value = r->value + s->element[i] * j->lanes;

	for (int64_t o = 0; o < p->win.o; o++) {
		float bias = s->bias[s->channel[i] + g * p->win.o + o];

		for (int64_t c = 0; c < n; c++) {
			const float *y = r->y + (o * n + c) * j->lanes;
			int64_t at = ((g * p->win.o + o) * p->win.from_channel +
					     (from + c) * p->win.from_column) *
				     j->lanes;

			for (int l = 0; l < j->lanes; l++) {
				float v = y[l] + bias + (add ? add[at + l] : 0);

				v = v < p->lo ? p->lo : v;
				value[at + l] = v > p->hi ? p->hi : v;
			}
		}
	}
}

static void
forward(const struct pare_passes *s, const struct pare_share *job, struct pare_pass_room *r)
{
	const struct pare_joint *j = s->j;

	for (int i = 0; i < j->n; i++) {
		const struct pare_joint_part *p = &j->parts[i];
		const float *x = enter(s, job, r, i);
		int64_t tile = tile_of(s, p), o = p->win.o, k = p->win.k;

		for (int g = 0; g < p->win.groups; g++)
			for (int64_t from = r->from[i]; from < r->to[i]; from += tile) {
				int64_t n = r->to[i] - from < tile ? r->to[i] - from : tile;

				gather(p, g, from, n, j->lanes, x, r->x);
				cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)o,
					(int)(n * j->lanes), (int)k, 1,
					s->w + s->weight[i] + g * o * k, (int)k, r->x,
					(int)(n * j->lanes), 0, r->y, (int)(n * j->lanes));
				finish(s, job, r, i, g, from, n);
			}
	}
}

/* ---- and back ----------------------------------------------------------------------------------
 */

/* The error of the last part, and its slope where it is wanted; for the curves, signs at random in
 * its place. */
static double
miss(const struct pare_passes *s, const struct pare_share *job, const struct pare_pass_room *r)
{
	const struct pare_joint_part *p = last_of(s);
	int lanes = s->j->lanes;
	int64_t first = s->element[s->j->n - 1] * lanes;
	const float *value = r->value + first, *want = s->j->want[job->block];
	struct pare_rng rng = pare_rng_seed((uint64_t)job->block, (uint64_t)job->from);
	double sum = 0;

	for (int64_t o = 0; o < pare_joint_channels(p); o++)
		for (int64_t c = job->from; c < job->to; c++) {
			int64_t at = (o * p->win.from_channel + c * p->win.from_column) * lanes;
			uint64_t signs = s->what == PARE_PASS_CURVES ? pare_rng_u64(&rng) : 0;
			float part = 0;

			for (int l = 0; l < lanes; l++) {
				float d = value[at + l] - want[at + l];

				part += d * d;
				if (s->what != PARE_PASS_ERROR)
					r->grad[first + at + l] = s->what == PARE_PASS_SLOPES ? d
								  : signs >> l & 1            ? 1
											      : -1;
			}
			sum += (double)part;
		}
	return sum;
}

/* Slopes of results to y [o][n][lanes], where they are let through, and to what was added. */
static void begin_back(const struct pare_passes *s, const struct pare_pass_room *r, int i, int g,
	int64_t from, int64_t n, float *bias)
{
	const struct pare_joint *j = s->j;
	const struct pare_joint_part *p = &j->parts[i];
	int64_t first = s->element[i] * j->lanes;
	float *more = p->add > 0 ? r->grad + s->element[p->add - 1] * j->lanes : NULL;

	for (int64_t o = 0; o < p->win.o; o++) {
		float sum = 0;

		for (int64_t c = 0; c < n; c++) {
			float *y = r->y + (o * n + c) * j->lanes;
			int64_t at = ((g * p->win.o + o) * p->win.from_channel +
					     (from + c) * p->win.from_column) *
				     j->lanes;
			const float *v = r->value + first + at, *d = r->grad + first + at;

			for (int l = 0; l < j->lanes; l++) {
				y[l] = v[l] > p->lo && v[l] < p->hi ? d[l] : 0;
				sum += y[l];
			}
			for (int l = 0; l < j->lanes && more; l++)
				more[at + l] += y[l];
		}
		bias[g * p->win.o + o] += sum;
	}
}

/* Slopes of windows x [k][n][lanes] to those of what enters, straight through a quantizer but where
 * it cuts off. */
static void scatter(const struct pare_passes *s, const struct pare_pass_room *r, int i, int g,
	int64_t from, int64_t n)
{
	const struct pare_joint_part *p = &s->j->parts[i];
	const struct pare_act_quant *a = &p->act;
	int64_t first = s->element[p->in - 1], lanes = s->j->lanes;
	bool cuts = a->on && !a->dynamic;
	float lo = cuts ? ((float)(a->lo - a->zero) - .5f) * a->scale : -INFINITY;
	float hi = cuts ? ((float)(a->hi - a->zero) + .5f) * a->scale : INFINITY;
	const float *x = r->x;

	for (int64_t k = 0; k < p->win.k; k++) {
		const int32_t *at = p->index + (g * p->win.k + k) * p->win.columns + from;

		for (int64_t c = 0, run; c < n; c += run, x += run * lanes) {
			const float *v;
			float *d;

			run = run_of(at + c, n - c);
			if (at[c] < 0)
				continue;
			v = r->value + (first + at[c]) * lanes;
			d = r->grad + (first + at[c]) * lanes;
			for (int64_t l = 0; l < run * lanes; l++)
				d[l] += v[l] >= lo && v[l] <= hi ? x[l] : 0;
		}
	}
}

static void clear(const struct pare_passes *s, const struct pare_pass_room *r, int i)
{
	const struct pare_windows *w = &s->j->parts[i].win;
	int64_t lanes = s->j->lanes;
	float *d = r->grad + s->element[i] * lanes;

	if (w->from_column != 1)
		memset(d, 0, (size_t)(elements_of(&s->j->parts[i]) * lanes) * sizeof *d);
	for (int64_t c = 0; c < pare_joint_channels(&s->j->parts[i]) && w->from_column == 1; c++)
		memset(d + (c * w->from_channel + r->from[i]) * lanes, 0,
			(size_t)((r->to[i] - r->from[i]) * lanes) * sizeof *d);
}

static void backward(const struct pare_passes *s, struct pare_share *job, struct pare_pass_room *r)
{
	const struct pare_joint *j = s->j;

	for (int i = j->n - 1; i >= 0; i--) {
		const struct pare_joint_part *p = &j->parts[i];
		int64_t tile = tile_of(s, p), o = p->win.o, k = p->win.k;
		const float *x = enter(s, job, r, i);

		for (int g = 0; g < p->win.groups; g++)
			for (int64_t from = r->from[i]; from < r->to[i]; from += tile) {
				int64_t n = r->to[i] - from < tile ? r->to[i] - from : tile;
				int wide = (int)(n * j->lanes);
				int64_t at = s->weight[i] + g * o * k;

				begin_back(s, r, i, g, from, n, job->bias + s->channel[i]);
				if (s->what == PARE_PASS_CURVES)
					cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)o,
						(int)o, wide, 1, r->y, wide, r->y, wide, 1,
						job->curve + s->curve[i] + g * o * o, (int)o);
				if (p->q && s->what == PARE_PASS_SLOPES) {
					gather(p, g, from, n, j->lanes, x, r->x);
					cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)o,
						(int)k, wide, 1, r->y, wide, r->x, wide, 1,
						job->w + at, (int)k);
				}
				if (!p->in)
					continue;
				cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, wide,
					(int)o, 1, s->w + at, (int)k, r->y, wide, 0, r->x, wide);
				scatter(s, r, i, g, from, n);
			}
	}
}

static enum pare_status take_job(void *ctx, int i, int worker, struct pare_err *err)
{
	struct pare_passes *s = ctx;
	struct pare_share *job = &s->share[i];
	struct pare_pass_room *r = &s->room[worker];

	(void)err;
	find_columns(s, job, r);
	forward(s, job, r);
	for (int p = 0; p < s->j->n - 1 && s->what != PARE_PASS_ERROR; p++)
		clear(s, r, p);
	job->error += miss(s, job, r);
	job->columns += (job->to - job->from) * s->j->lanes;
	if (s->what != PARE_PASS_ERROR)
		backward(s, job, r);
	return PARE_OK;
}

enum pare_status pare_passes_take(struct pare_passes *s, enum pare_pass what, int from, int to,
	double *error, struct pare_err *err)
{
	const struct pare_joint *j = s->j;
	int64_t all = last_of(s)->win.columns, strip = COLUMNS / j->lanes;
	int64_t strips = (all + strip - 1) / strip, fitted = j->blocks - j->aside;
	int64_t every = strips * strip * j->lanes * fitted / LOOKED_AT;
	struct pare_progress_span quiet = { 0 };
	double sum = 0, n = 0;
	enum pare_status st = PARE_OK;
	int jobs = 0;

	s->what = what;
	for (int i = 0; i < PARE_JOINT_JOBS; i++) {
		struct pare_share *job = &s->share[i];

		job->error = 0;
		job->columns = 0;
		memset(job->w, 0, (size_t)s->weight[j->n] * sizeof *job->w);
		memset(job->bias, 0, (size_t)s->channel[j->n] * sizeof *job->bias);
		memset(job->curve, 0, (size_t)s->curve[j->n] * sizeof *job->curve);
	}
	every = every < 1 ? 1 : every < strips ? every : strips;
	for (int b = from; b < to; b++)
		for (int64_t i = b % every; i < strips && !st; i += every) {
			struct pare_share *job = &s->share[jobs++];

			job->block = b;
			job->from = i * strip;
			job->to = (i + 1) * strip < all ? (i + 1) * strip : all;
			if (jobs < PARE_JOINT_JOBS)
				continue;
			st = pare_parallel(jobs, take_job, s, j->ctl, quiet, err);
			jobs = 0;
		}
	if (jobs && !st)
		st = pare_parallel(jobs, take_job, s, j->ctl, quiet, err);
	for (int i = 0; i < PARE_JOINT_JOBS; i++) {
		sum += s->share[i].error;
		n += (double)s->share[i].columns;
	}
	*error = sum / (n > 0 ? n : 1);
	return st;
}

/* By integers; of parts that are not rounded as they are. */
void pare_passes_weigh(struct pare_passes *s)
{
	for (int i = 0; i < s->j->n; i++) {
		const struct pare_joint_part *p = &s->j->parts[i];
		int64_t n = s->weight[i + 1] - s->weight[i];

		for (int64_t at = 0; at < n; at++)
			s->w[s->weight[i] + at] =
				p->q ? (float)p->q[at] * p->scale[at / p->win.k] : p->w[at];
	}
}

/* ---- room ---------------------------------------------------------------------------------
 */

static float *floats(int64_t n)
{
	return aligned_alloc(64, ((size_t)n * sizeof(float) / 64 + 1) * 64);
}

static bool room_new(const struct pare_passes *s, struct pare_pass_room *r)
{
	const struct pare_joint *j = s->j;
	int64_t all = s->element[j->n] * j->lanes, x = 0, y = 0;

	for (int i = 0; i < j->n; i++) {
		int64_t tile = tile_of(s, &j->parts[i]) * j->lanes;

		x = tile * j->parts[i].win.k > x ? tile * j->parts[i].win.k : x;
		y = tile * j->parts[i].win.o > y ? tile * j->parts[i].win.o : y;
	}
	r->value = floats(all);
	r->entry = floats(all);
	r->grad = floats(all);
	r->first = floats(j->enters * j->lanes);
	r->x = floats(x);
	r->y = floats(y);
	r->from = calloc(2 * (size_t)j->n, sizeof *r->from);
	r->to = r->from ? r->from + j->n : NULL;
	return r->value && r->entry && r->grad && r->first && r->x && r->y && r->from;
}

static void room_free(struct pare_pass_room *r)
{
	free(r->value);
	free(r->entry);
	free(r->grad);
	free(r->first);
	free(r->x);
	free(r->y);
	free(r->from);
}

enum pare_status
pare_passes_new(const struct pare_joint *j, struct pare_passes *s, struct pare_err *err)
{
	size_t n = (size_t)j->n, w, c;
	bool there;

	*s = (struct pare_passes){ .j = j };
	s->weight = calloc(4 * (n + 1), sizeof *s->weight);
	s->room = calloc((size_t)pare_threads(), sizeof *s->room);
	if (!s->weight || !s->room)
		return pare_nomem(err, "a block's rounding");
	s->channel = s->weight + n + 1;
	s->element = s->channel + n + 1;
	s->curve = s->element + n + 1;
	for (size_t i = 0; i < n; i++) {
		const struct pare_joint_part *p = &j->parts[i];

		s->weight[i + 1] = s->weight[i] + pare_joint_channels(p) * p->win.k;
		s->channel[i + 1] = s->channel[i] + pare_joint_channels(p);
		s->curve[i + 1] = s->curve[i] + pare_joint_channels(p) * p->win.o;
		s->element[i + 1] = s->element[i] + (elements_of(p) + 15) / 16 * 16;
	}
	w = (size_t)s->weight[n];
	c = (size_t)s->channel[n];
	s->w = calloc(w + c, sizeof *s->w);
	there = s->w != NULL;
	for (int i = 0; i < PARE_JOINT_JOBS; i++) {
		struct pare_share *share = &s->share[i];

		share->w = calloc(w + c + (size_t)s->curve[n], sizeof *s->w);
		share->bias = share->w ? share->w + w : NULL;
		share->curve = share->w ? share->bias + c : NULL;
		there = there && share->w;
	}
	for (int i = 0; i < pare_threads(); i++)
		there = room_new(s, &s->room[i]) && there;
	if (!there)
		return pare_nomem(err, "a block's rounding");
	s->bias = s->w + w;
	for (size_t i = 0; i < n; i++)
		memcpy(s->bias + s->channel[i], j->parts[i].bias,
			(size_t)pare_joint_channels(&j->parts[i]) * sizeof *s->bias);
	pare_passes_weigh(s);
	return PARE_OK;
}

void pare_passes_free(struct pare_passes *s)
{
	for (int i = 0; i < pare_threads() && s->room; i++)
		room_free(&s->room[i]);
	for (int i = 0; i < PARE_JOINT_JOBS; i++)
		free(s->share[i].w);
	free(s->room);
	free(s->w);
	free(s->weight);
}
