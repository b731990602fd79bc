/* What is known: the owner's side of a study. */
#include "study.h"
#include "../base/err.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void pare_dial_options(enum pare_dial dial, int *first, int *n)
{
	*first = -1;
	*n = 0;
	for (int i = 0; pare_options[i].name; i++)
		if (pare_options[i].dial == dial) {
			if (*first < 0)
				*first = i;
			++*n;
		}
}

static int64_t bytes_of_float(const struct pare_model *m)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(m)->n_layers);
	struct pare_cost c = { 0 };
	bool known = p && !pare_plan_cost(m, p, &c, NULL);

	pare_plan_free(p);
	return known ? c.bytes : 0;
}

enum pare_status pare_study_new(const struct pare_model *model, const struct pare_dataset *dataset,
	int64_t limit, struct pare_study **out, struct pare_err *err)
{
	struct pare_study *s = calloc(1, sizeof *s);

	if (!s)
		return pare_nomem(err, "a study");
	s->model = model;
	s->dataset = dataset;
	s->n = dataset ? pare_dataset_info(dataset)->n_evaluate : 0;
	if (limit && limit < s->n)
		s->n = limit;
	s->n_layers = pare_model_info(model)->n_layers;
	s->n_options = pare_n_options();
	s->cell = calloc((size_t)s->n_layers * (size_t)s->n_options + 1, sizeof *s->cell);
	s->leader = calloc((size_t)s->n_layers + 1, sizeof *s->leader);
	if (!s->cell || !s->leader) {
		free(s->cell);
		free(s->leader);
		free(s);
		return pare_nomem(err, "the map");
	}
	for (int i = 0; i < s->n_layers; i++) {
		s->leader[i] = pare_model_layer(model, i)->group < 0 ? -1 : i;
		for (int k = 0; k < i && s->leader[i] == i; k++)
			if (pare_model_layer(model, k)->group == pare_model_layer(model, i)->group)
				s->leader[i] = k;
	}
	s->float_bytes = bytes_of_float(model);
	*out = s;
	return PARE_OK;
}

void pare_baseline_free(struct study_baseline *b)
{
	if (!b)
		return;
	pare_program_free(b->program);
	pare_calibration_free(b->calibration);
	free(b->class);
	free(b->slots);
	free(b->truth);
	free(b->right);
	free(b);
}

void pare_study_free(struct pare_study *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->n_layers * s->n_options; i++)
		free(s->cell[i].move);
	for (int i = 0; i < s->n_plans; i++) {
		pare_plan_free(s->plan[i].plan);
		free(s->plan[i].slots);
		free(s->plan[i].noise);
	}
	pare_baseline_free(s->base);
	free(s->cell);
	free(s->leader);
	free(s->plan);
	free(s->surprise);
	free(s);
}

void pare_task_free(struct pare_task *t)
{
	pare_plan_free(t->plan);
	t->plan = NULL;
}

void pare_result_free(struct pare_result *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->n_parts && r->part; i++)
		free(r->part[i].slots);
	free(r->part);
	free(r->noise);
	pare_plan_free(r->plan);
	pare_baseline_free(r->base);
	pare_variant_free(r->variant);
	free(r);
}

struct pare_variant *pare_result_variant(struct pare_result *r)
{
	struct pare_variant *v = r->variant;

	r->variant = NULL;
	return v;
}

double pare_result_seconds(const struct pare_result *r)
{
	return r->seconds;
}

const struct study_plan *pare_study_find(const struct pare_study *s, const struct pare_plan *p)
{
	uint64_t hash = pare_plan_hash(p);

	for (int i = 0; i < s->n_plans; i++)
		if (s->plan[i].hash == hash && pare_plan_equal(s->plan[i].plan, p))
			return &s->plan[i];
	return NULL;
}

const struct pare_noise *pare_study_noise(const struct pare_study *s, const struct pare_plan *p)
{
	const struct study_plan *known = pare_study_find(s, p);

	return known ? known->noise : NULL;
}

enum pare_status pare_study_next(const struct pare_study *s, const struct pare_plan *plan,
	const int *order, struct pare_task *out, struct pare_err *err)
{
	struct pare_task t = { .kind = PARE_TASK_NONE };

	if (s->dataset && !s->base)
		t.kind = PARE_TASK_BASELINE;
	else if (s->dataset && plan && !pare_study_find(s, plan)) {
		t.kind = PARE_TASK_PLAN;
		if (!(t.plan = pare_plan_copy(plan)))
			return pare_nomem(err, "a plan");
	} else if (s->dataset)
		for (int i = 0; i < s->n_layers * PARE_N_DIALS && !t.kind; i++) {
			int layer = order ? order[i / PARE_N_DIALS] : i / PARE_N_DIALS, first, n;

			pare_dial_options(i % PARE_N_DIALS, &first, &n);
			if (i % PARE_N_DIALS == PARE_DIAL_CHANNELS && s->leader[layer] >= 0)
				layer = s->leader[layer];
			if (!s->cell[layer * s->n_options + first + 1].known) {
				t.kind = PARE_TASK_CELLS;
				t.layer = layer;
				t.dial = i % PARE_N_DIALS;
			}
		}
	*out = t;
	return PARE_OK;
}

/* ---- asking -------------------------------------------------------------------------------------
 */

void pare_share_interval(int64_t hits, int64_t n, double *lo, double *hi)
{
	const double z = 1.6449; /* 90 % */
	double m = (double)n, p = (double)hits / m, mid = p + z * z / (2 * m);
	double half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)), by = 1 + z * z / m;

	*lo = fmax(0, 100 * (mid - half) / by);
	*hi = fmin(100, 100 * (mid + half) / by);
}

struct pare_value pare_measured_drop(int64_t fixed, int64_t broken, int64_t n)
{
	/* a difference on the same samples: only those that flip matter (McNemar 1947) */
	double m = (double)n, d = (double)(broken - fixed) / m;
	double half = 1.6449 * sqrt(fmax((double)(broken + fixed) / m - d * d, 0) / m);

	return (struct pare_value){ PARE_MEASURED, 100 * d, 100 * (d - half), 100 * (d + half), n };
}

static struct pare_value unknown(void)
{
	return (struct pare_value){ PARE_UNKNOWN, NAN, NAN, NAN, 0 };
}

struct pare_value pare_study_float(const struct pare_study *s)
{
	struct pare_value v = { PARE_MEASURED, 0, 0, 0, s->n };

	if (!s->base || !s->n)
		return unknown();
	v.value = 100 * (double)s->base->n_right / (double)s->n;
	pare_share_interval(s->base->n_right, s->n, &v.lo, &v.hi);
	return v;
}

struct pare_value pare_study_cell(const struct pare_study *s, int layer, int option)
{
	const struct pare_option *o = &pare_options[option];
	const struct study_cell *c;

	if (!pare_option_fits(s->model, layer, o))
		return unknown(); /* cannot be had */
	if (o->dial == PARE_DIAL_CHANNELS && o->share > 0)
		layer = s->leader[layer];
	c = &s->cell[layer * s->n_options + option];
	return c->known && s->n ? pare_measured_drop(c->fixed, c->broken, s->n) : unknown();
}

enum pare_status pare_study_exits(const struct pare_study *s, const struct pare_plan *p,
	struct pare_exit out[PARE_MAX_EXITS + 1], int *n, struct pare_err *err)
{
	const struct study_plan *known = s->base && s->n ? pare_study_find(s, p) : NULL;
	enum pare_status st = pare_plan_exits(s->model, p, out, n, err);

	for (int i = 0; !st && known && *n > 1 && i < *n; i++)
		out[i].share = (double)known->left[i] / (double)s->n;
	return st;
}

int pare_study_n_done(const struct pare_study *s)
{
	return s->n_known;
}

bool pare_study_asks(const struct pare_study *s, int layer, int option)
{
	return option && pare_options[option].dial == pare_options[option - 1].dial &&
	       pare_option_fits(s->model, layer, &pare_options[option]);
}

int pare_study_n_cells(const struct pare_study *s)
{
	int n = 0;

	for (int l = 0; l < s->n_layers && s->dataset; l++)
		for (int o = 0; o < s->n_options; o++)
			n += pare_study_asks(s, l, o);
	return n;
}

int64_t pare_study_samples(const struct pare_study *s)
{
	return s->n;
}

const struct pare_calibration *pare_study_calibration(const struct pare_study *s)
{
	return s->base ? s->base->calibration : NULL;
}
