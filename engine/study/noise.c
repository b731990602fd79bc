/* What rounding costs each layer at its output: weights against activations apart, and what plain
 * rounding would have cost.  Layer by layer, each on what the float network gives it. */
#include "../base/err.h"
#include "../plan/asks.h"
#include "../plan/stored.h"
#include "../plan/variant.h"
#include "../prune/prune.h"
#include "../run/program.h"
#include "study.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 32 }; /* of the calibration split: each has many outputs */
enum { WEIGHTS, ACTIVATIONS, PLAIN_WEIGHTS, PLAIN_ACTIVATIONS, N_TRIES };

struct listening {
	const struct pare_variant *v;
	int n_layers;
	struct pare_program *plain, *program[N_TRIES];
	struct pare_model *plainly; /* with plain weights; NULL = the plan's are */
	struct pare_act_quant *none;
	bool *rounded[2]; /* [n_layers] plain weights, plain activations: they differ from the
			   * plan's
			   */
	int n_blocks;
	double *sum; /* [blocks][n_layers][1 + N_TRIES]: of the output, of what differs */
	struct listener {
		struct pare_frame *plain, *frame[N_TRIES];
		float *was;
	} * listener; /* [threads] */
};

static size_t most_floats(const struct pare_program *p)
{
	size_t most = 0;

	for (int i = 0; i < p->n_steps; i++) {
		size_t bytes = p->places[p->steps[i].out].bytes;

		most = bytes > most ? bytes : most;
	}
	return most / sizeof(float) + 1;
}

static enum pare_status listener_start(const struct listening *t, struct listener *k,
	const struct pare_block *b, struct pare_err *err)
{
	bool good = (k->plain = pare_frame_share(t->plain, b->frame)) &&
		    (k->was = malloc(most_floats(t->plain) * sizeof *k->was));

	for (int i = 0; i < N_TRIES && good; i++)
		good = !t->program[i] || (k->frame[i] = pare_frame_share(t->program[i], b->frame));
	return good ? PARE_OK : pare_nomem(err, "what rounding costs");
}

/* The layer's own step has run in float; it runs again each other way, on what it was given. */
static enum pare_status listen_step(const struct listening *t, struct listener *k, int step,
	int count, double *sum, struct pare_err *err)
{
	struct pare_tensor *y = &k->plain->vars[t->plain->steps[step].out];
	int64_t n = pare_shape_elems(&y->shape) * y->lanes;
	int layer = t->plain->steps[step].layer, used = y->lanes == 1 ? 1 : count;
	enum pare_status st = PARE_OK;

	memcpy(k->was, y->f32, (size_t)n * sizeof(float));
	for (int64_t i = 0; i < n; i++)
		sum[0] += i % y->lanes < used ? (double)k->was[i] * (double)k->was[i] : 0;
	for (int c = 0; c < N_TRIES && !st; c++) {
		if (!t->program[c] || (c >= PLAIN_WEIGHTS && !t->rounded[c - 2][layer]))
			continue;
		st = pare_program_run(t->program[c], k->frame[c], step, step + 1, err);
		for (int64_t i = 0; i < n; i++) {
			double d = (double)k->was[i] - (double)y->f32[i];

			sum[1 + c] += i % y->lanes < used ? d * d : 0;
		}
	}
	/* once more as it was, for there may be other outputs */
	return st ? st : pare_program_run(t->plain, k->plain, step, step + 1, err);
}

static enum pare_status listen_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct listening *t = user;
	struct listener *k = &t->listener[b->worker];
	int64_t block = b->first / pare_program_lanes(t->plain);
	enum pare_status st = k->was ? PARE_OK : listener_start(t, k, b, err);

	for (int i = 0; i < t->plain->n_steps && !st; i++) {
		int layer = t->plain->steps[i].layer;

		st = pare_program_run(t->plain, k->plain, i, i + 1, err);
		if (!st && layer >= 0)
			st = listen_step(t, k, i, b->count,
				t->sum + (block * t->n_layers + layer) * (1 + N_TRIES), err);
	}
	return st;
}

/* ---- plainly rounded --------------------------------------------------------------------------
 */

static enum pare_status
to_grid(const struct pare_grid *g, int64_t n, float *w, struct pare_err *err)
{
	size_t scales = (size_t)pare_grid_scales(g);
	float *scale = malloc(scales * sizeof *scale);
	int8_t *zero = malloc(scales), *q = malloc((size_t)n);
	enum pare_status st = scale && zero && q ? pare_grid_round(w, g, scale, zero, q, w, err)
						 : pare_nomem(err, "plain weights");

	free(scale);
	free(zero);
	free(q);
	return st;
}

/* By magnitude and to the nearest, where the plan does something else; NULL in *out: it does not.
 */
static enum pare_status
round_plainly(const struct pare_variant *v, int i, struct pare_blob **out, struct pare_err *err)
{
	const struct pare_dials *d = &v->dials[i];
	const struct pare_layer *l = pare_model_layer(v->plain, i);
	const struct pare_criterion *by = &pare_criteria[d->criterion];
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_lay lay = pare_lay_over(v->plain, i, d->pattern);
	struct pare_grid g;
	enum pare_status st = PARE_OK;
	struct pare_blob *b;

	if (pare_model_weights(v->model, i) == pare_model_weights(v->plain, i) ||
		pare_stored_codes(v->plain, i, d))
		return PARE_OK;
	if (!(b = pare_blob_new((size_t)l->weights * sizeof(float))))
		return pare_nomem(err, "plain weights");
	memcpy(b->data, pare_model_weights(v->plain, i), b->len);
	if (d->sparsity > 0)
		st = pare_prune_by_score(
			b->data, &lay, i, d->sparsity, by->score ? by : &pare_criteria[0], err);
	if (!st && f->kind == PARE_KIND_INT) {
		g = pare_plan_grid(l, d);
		st = to_grid(&g, l->weights, b->data, err);
	} else if (!st)
		pare_round_floats(f, b->data, l->weights);
	if (!st && memcmp(b->data, pare_model_weights(v->model, i), b->len))
		*out = b;
	else
		pare_blob_free(b);
	return st;
}

static enum pare_status plain_weights(struct listening *t, struct pare_err *err)
{
	struct pare_blob **w = calloc((size_t)t->n_layers + 1, sizeof *w);
	enum pare_status st = w ? PARE_OK : pare_nomem(err, "plain weights");
	bool any = false;

	for (int i = 0; i < t->n_layers && !st; i++) {
		st = round_plainly(t->v, i, &w[i], err);
		any |= t->rounded[0][i] = w[i] != NULL;
		if (w[i] && !pare_layer_leads(t->v->plain, i))
			t->rounded[0][i - 1] = true;
	}
	if (!st && any)
		st = pare_model_with_weights(t->v->plain, w, NULL, &t->plainly, err);
	else
		for (int i = 0; i < t->n_layers && w; i++)
			pare_blob_free(w[i]);
	free(w);
	if (!st && any)
		st = pare_feed_program(
			t->plainly, t->none, t->plain, &t->program[PLAIN_WEIGHTS], err);
	return st;
}

static bool same_quant(const struct pare_act_quant *a, const struct pare_act_quant *b)
{
	return a->on == b->on && a->scale == b->scale && a->zero == b->zero;
}

static enum pare_status make_programs(struct listening *t, struct pare_err *err)
{
	const struct pare_variant *v = t->v;
	enum pare_status st = pare_feed_program(v->plain, t->none, NULL, &t->plain, err);
	bool acts = false, others = false;

	for (int i = 0; i < t->n_layers; i++) {
		acts |= v->acts[i].on;
		others |= t->rounded[1][i] = !same_quant(&v->acts[i], &v->plain_acts[i]);
	}
	if (!st && v->model != v->plain)
		st = pare_feed_program(v->model, t->none, t->plain, &t->program[WEIGHTS], err);
	if (!st && acts)
		st = pare_feed_program(v->plain, v->acts, t->plain, &t->program[ACTIVATIONS], err);
	if (!st && others)
		st = pare_feed_program(
			v->plain, v->plain_acts, t->plain, &t->program[PLAIN_ACTIVATIONS], err);
	return st ? st : plain_weights(t, err);
}

/* ---- decibels ---------------------------------------------------------------------------------
 */

static double decibels(double signal, double noise)
{
	return noise > 0 ? 10 * log10(signal / noise) : INFINITY;
}

/* What is said of a layer that has become two is said of the worse. */
static void take_worse(struct pare_noise *to, const struct pare_noise *x)
{
	to->weights = fmin(to->weights, x->weights);
	to->activations = fmin(to->activations, x->activations);
	to->plain_weights = fmin(to->plain_weights, x->plain_weights);
	to->plain_activations = fmin(to->plain_activations, x->plain_activations);
}

static void add_up(const struct listening *t, int n, struct pare_noise *out)
{
	for (int i = 0; i < n; i++) /* until a part of it is seen to run */
		out[i] = (struct pare_noise){ NAN, NAN, NAN, NAN, -1 };
	for (int i = 0; i < t->n_layers; i++) {
		double sum[1 + N_TRIES] = { 0 };
		struct pare_noise x;
		/* two layers of a node are heard at once, at its output */
		int lead = pare_layer_leads(t->v->plain, i) ? i : i - 1;

		if (pare_program_step_of_layer(t->plain, i) < 0)
			continue;
		for (int b = 0; b < t->n_blocks; b++)
			for (int c = 0; c < 1 + N_TRIES; c++)
				sum[c] += t->sum[(b * t->n_layers + lead) * (1 + N_TRIES) + c];
		x.weights = decibels(sum[0], sum[1 + WEIGHTS]);
		x.activations = decibels(sum[0], sum[1 + ACTIVATIONS]);
		x.plain_weights =
			t->rounded[0][lead] ? decibels(sum[0], sum[1 + PLAIN_WEIGHTS]) : x.weights;
		x.plain_activations = t->rounded[1][lead]
					      ? decibels(sum[0], sum[1 + PLAIN_ACTIVATIONS])
					      : x.activations;
		take_worse(&out[t->v->whole[i]], &x);
		if (t->v->picked[i] >= 0)
			out[t->v->whole[i]].picked = t->v->picked[i];
	}
}

enum pare_status pare_variant_noise(const struct pare_variant *v, const struct pare_dataset *d,
	int n_out, struct pare_ctl *ctl, struct pare_noise *out, struct pare_err *err)
{
	int threads = pare_threads();
	size_t n = (size_t)v->model->info.n_layers;
	struct listening t = { .v = v, .n_layers = (int)n };
	struct pare_feed f = { .dataset = d,
		.split = PARE_CALIBRATE,
		.n = pare_dataset_info(d)->n_calibrate,
		.fn = listen_block,
		.user = &t };
	enum pare_status st = PARE_OK;

	f.n = f.n < SAMPLES ? f.n : SAMPLES;
	t.listener = calloc((size_t)threads, sizeof *t.listener);
	t.none = calloc(n + 1, sizeof *t.none);
	t.rounded[0] = calloc(2 * n + 1, sizeof **t.rounded);
	if (!t.listener || !t.none || !t.rounded[0])
		st = pare_nomem(err, "what rounding costs");
	else {
		t.rounded[1] = t.rounded[0] + n;
		st = make_programs(&t, err);
	}
	if (!st) {
		/* the one with quantizers wants most memory, which all of them share */
		f.program = t.program[ACTIVATIONS] ? t.program[ACTIVATIONS] : t.plain;
		t.n_blocks = pare_feed_blocks(t.plain, f.n);
		t.sum = calloc((size_t)t.n_blocks * n + 1, (1 + N_TRIES) * sizeof *t.sum);
		st = t.sum ? pare_feed_run(&f, ctl, err) : pare_nomem(err, "what rounding costs");
	}
	if (!st)
		add_up(&t, n_out, out);
	for (int i = 0; i < threads && t.listener; i++) {
		pare_frame_free(t.listener[i].plain);
		for (int c = 0; c < N_TRIES; c++)
			pare_frame_free(t.listener[i].frame[c]);
		free(t.listener[i].was);
	}
	for (int c = 0; c < N_TRIES; c++)
		pare_program_free(t.program[c]);
	pare_program_free(t.plain);
	pare_model_free(t.plainly);
	free(t.listener);
	free(t.none);
	free(t.rounded[0]);
	free(t.sum);
	return st;
}
