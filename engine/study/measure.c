/* Tasks: what takes time. */
#include "../base/err.h"
#include "../plan/variant.h"
#include "study.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	PACKED_BYTES = 256 << 20, /* variants held at once may take so much */
};

double pare_study_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- slots
 * --------------------------------------------------------------------------------------- */

static float slot_of(const struct study_baseline *b, float answer)
{
	return b->logs ? logf(answer > 1e-12f ? answer : 1e-12f) : answer;
}

static void
answers_to_slots(const struct study_baseline *b, int64_t sample, const float *answers, float *slots)
{
	const int32_t *class = b->class + sample * b->k;

	for (int j = 0; j < b->k; j++)
		slots[j] = slot_of(b, answers[class[j]]);
}

/* Are all the answers probabilities? */
static bool are_probabilities(const float *answers, int64_t n, int64_t k)
{
	if (k < 2)
		return false;
	for (int64_t i = 0; i < n; i++) {
		double sum = 0;

		for (int64_t j = 0; j < k; j++) {
			float v = answers[i * k + j];

			if (!(v >= 0 && v <= 1.0001f))
				return false;
			sum += (double)v;
		}
		if (fabs(sum - 1) > 1e-3)
			return false;
	}
	return n > 0;
}

/* The true class and the strongest rivals, in the order of the outputs so that ties fall as in
 * argmax. */
static void
choose_slots(struct study_baseline *b, int64_t sample, const float *answers, int64_t truth)
{
	int32_t *class = b->class + sample * b->k;
	int n = 0;

	if (b->k == b->k_all) {
		for (int j = 0; j < b->k; j++)
			class[j] = j;
		b->truth[sample] = (int8_t)truth;
		return;
	}
	for (int64_t c = 0; c < b->k_all; c++) { /* insertion into the k best, the true one first */
		int at = n;

		while (at > 0 && c != truth &&
			(class[at - 1] != truth && answers[c] > answers[class[at - 1]]))
			at--;
		if (c == truth)
			at = 0;
		if (n < b->k)
			n++;
		else if (at == n)
			continue;
		memmove(class + at + 1, class + at, (size_t)(n - 1 - at) * sizeof *class);
		class[at] = (int32_t)c;
	}
	for (int i = 1; i < n; i++) /* back into output order */
		for (int j = i; j > 0 && class[j - 1] > class[j]; j--) {
			int32_t t = class[j];

			class[j] = class[j - 1];
			class[j - 1] = t;
		}
	for (int j = 0; j < n; j++)
		if (class[j] == truth)
			b->truth[sample] = (int8_t)j;
}

/* ---- the float model
 * ------------------------------------------------------------------------------ */

struct answering {
	const struct pare_program *program;
	int64_t k;
	float *answers; /* [n][k] */
};

static enum pare_status answer_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct answering *a = user;
	enum pare_status st;

	st = pare_program_run(a->program, b->frame, 0, pare_program_steps(a->program), err);
	if (st)
		return st;
	pare_block_answers(b, b->frame, a->program, a->answers + b->first * a->k);
	return PARE_OK;
}

static enum pare_status baseline_fill(const struct pare_study *s, struct study_baseline *b,
	struct pare_ctl *ctl, struct pare_err *err)
{
	struct answering a = { .k = b->k_all };
	struct pare_feed f = { .dataset = s->dataset,
		.split = PARE_EVALUATE,
		.n = b->n,
		.fn = answer_block,
		.user = &a };
	bool labelled = pare_dataset_info(s->dataset)->labelled;
	enum pare_status st = pare_feed_program(s->model, NULL, NULL, &b->program, err);

	if (st)
		return st;
	a.program = f.program = b->program;
	a.answers = malloc((size_t)(b->n * b->k_all) * sizeof *a.answers);
	if (!a.answers)
		return pare_nomem(err, "the float model's answers");
	f.span.total = pare_feed_blocks(b->program, b->n);
	st = pare_feed_run(&f, ctl, err);
	if (!st) {
		b->logs = are_probabilities(a.answers, b->n, b->k_all);
		for (int64_t i = 0; i < b->n; i++) {
			const float *v = a.answers + i * b->k_all;
			int64_t best = pare_argmax(v, b->k_all);
			int64_t truth =
				labelled ? pare_dataset_label(s->dataset, PARE_EVALUATE, i) : best;

			choose_slots(b, i, v, truth);
			answers_to_slots(b, i, v, b->slots + i * b->k);
			b->right[i] = best == truth;
			b->n_right += b->right[i];
		}
	}
	free(a.answers);
	return st;
}

static enum pare_status run_baseline(const struct pare_study *s, struct pare_ctl *ctl,
	struct pare_result *r, struct pare_err *err)
{
	struct study_baseline *b = r->base = calloc(1, sizeof *b);
	int64_t k = pare_answer_len(s->model);
	enum pare_status st = pare_answer_check(s->model, err);
	size_t slots;

	if (st)
		return st;
	if (!b)
		return pare_nomem(err, "the float model's answers");
	b->n = s->n;
	b->k_all = k;
	b->k = k < PARE_SLOTS ? (int)k : PARE_SLOTS;
	slots = (size_t)b->n * (size_t)b->k;
	if (!(b->class = calloc(slots + 1, sizeof *b->class)) ||
		!(b->slots = calloc(slots + 1, sizeof *b->slots)) ||
		!(b->truth = calloc((size_t)b->n + 1, 1)) ||
		!(b->right = calloc((size_t)b->n + 1, 1)))
		return pare_nomem(err, "the float model's answers");
	st = baseline_fill(s, b, ctl, err);
	if (!st)
		st = pare_calibration_new(s->model, s->dataset, 0, ctl, &b->calibration, err);
	return st;
}

/* ---- variants
 * ------------------------------------------------------------------------------------- */

struct trial { /* some variants of one model, over the same samples */
	const struct study_baseline *base;
	int n, step; /* variants; the first step in which they differ from float */
	bool moves;  /* keep the difference to float instead of the slots */
	struct pare_variant *variant[32];
	struct pare_program *program[32];
	struct study_part *part;
	struct pare_ctl *ctl;
	struct trial_worker {
		struct pare_frame *frame[32];
		struct pare_cut *cut;
		float *answers; /* [lanes][k_all] */
		int64_t n_right[32], fixed[32], broken[32];
		int64_t left[PARE_MAX_EXITS + 1]; /* of variant 0, when it has exits */
	} * worker;                               /* [threads] */
};

static enum pare_status
worker_begin(const struct trial *t, struct trial_worker *w, struct pare_err *err)
{
	enum pare_status st =
		t->step ? pare_cut_new(t->base->program, t->step, &w->cut, err) : PARE_OK;

	for (int v = 0; v < t->n && !st; v++)
		if (!(w->frame[v] = v ? pare_frame_share(t->program[v], w->frame[0])
				      : pare_frame_new(t->program[v])))
			st = pare_nomem(err, "the activations of a block of samples");
	if (!st && !(w->answers = malloc((size_t)pare_program_lanes(t->base->program) *
					 (size_t)t->base->k_all * sizeof(float))))
		st = pare_nomem(err, "the answers of a block of samples");
	return st;
}

static void take_answers(struct trial *t, int v, const struct pare_block *b, struct trial_worker *w)
{
	const struct study_baseline *base = t->base;

	for (int i = 0; i < b->count; i++) {
		int64_t at = b->first + i;
		const float *answers = w->answers + i * base->k_all;
		float *slots = t->part[v].slots + at * base->k;
		bool right = pare_argmax(answers, base->k_all) ==
			     base->class[at * base->k + base->truth[at]];

		answers_to_slots(base, at, answers, slots);
		for (int j = 0; j < base->k && t->moves; j++)
			slots[j] -= base->slots[at * base->k + j];
		w->n_right[v] += right;
		w->fixed[v] += right && !base->right[at];
		w->broken[v] += !right && base->right[at];
	}
}

static enum pare_status trial_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct trial *t = user;
	struct trial_worker *w = &t->worker[b->worker];
	const struct pare_program *p0 = t->base->program;
	enum pare_status st = w->answers ? PARE_OK : worker_begin(t, w, err);

	if (st)
		return st;
	if (t->step) {
		if ((st = pare_program_run(p0, b->frame, 0, t->step, err)))
			return st;
		pare_cut_save(w->cut, p0, b->frame);
	}
	for (int v = 0; v < t->n; v++) {
		const struct pare_program *p = t->program[v];

		if (t->ctl && atomic_load(&t->ctl->cancel))
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		if (t->step)
			pare_cut_load(w->cut, p, w->frame[v]);
		else
			pare_block_again(b, w->frame[v]);
		st = pare_program_run(p, w->frame[v], t->step, pare_program_steps(p), err);
		if (st)
			return st;
		pare_block_answers(b, w->frame[v], p, w->answers);
		take_answers(t, v, b, w);
		if (t->variant[v]->exits.n)
			pare_block_left(b, w->frame[v], w->left);
	}
	return PARE_OK;
}

static void trial_end(struct trial *t, int threads)
{
	for (int i = 0; i < threads && t->worker; i++) {
		struct trial_worker *w = &t->worker[i];

		for (int v = 0; v < t->n; v++) {
			pare_frame_free(w->frame[v]);
			t->part[v].n_right += w->n_right[v];
			t->part[v].fixed += w->fixed[v];
			t->part[v].broken += w->broken[v];
		}
		for (int e = 0; e <= PARE_MAX_EXITS && t->n; e++)
			t->part[0].left[e] += w->left[e];
		pare_cut_free(w->cut);
		free(w->answers);
	}
	free(t->worker);
	for (int v = 0; v < t->n; v++) {
		pare_program_free(t->program[v]);
		pare_variant_free(t->variant[v]);
	}
}

/* Heads and layers that became two are nodes that the model has not. */
static bool same_nodes(const struct pare_model *a, const struct pare_model *b)
{
	return pare_model_info(a)->n_nodes == pare_model_info(b)->n_nodes;
}

/* Run `n` plans that agree with float before `step` of the float program; kept: the first one's
 * variant, where it is wanted. */
static enum pare_status run_trial(const struct pare_study *s, struct pare_plan *const *plans, int n,
	int step, bool moves, struct pare_progress_span span, struct study_part *part,
	struct pare_variant **kept, struct pare_ctl *ctl, struct pare_err *err)
{
	const struct study_baseline *base = s->base;
	int threads = pare_threads();
	struct trial t = {
		.base = base, .n = n, .step = step, .moves = moves, .part = part, .ctl = ctl
	};
	struct pare_feed f = { .program = base->program,
		.dataset = s->dataset,
		.split = PARE_EVALUATE,
		.n = base->n,
		.span = span,
		.fn = trial_block,
		.user = &t };
	enum pare_status st = PARE_OK;

	t.worker = calloc((size_t)threads, sizeof *t.worker);
	if (!t.worker)
		st = pare_nomem(err, "a run over the data");
	if (!st)
		st = pare_variants_new(s->model, (const struct pare_plan *const *)plans, n,
			base->calibration, ctl, t.variant, err);
	for (int v = 0; v < n && !st; v++) {
		st = pare_feed_program(t.variant[v]->joined, t.variant[v]->acts,
			same_nodes(t.variant[v]->joined, s->model) ? base->program : NULL,
			&t.program[v], err);
		if (!st && !(part[v].slots = malloc(
				     ((size_t)base->n * (size_t)base->k + 1) * sizeof(float))))
			st = pare_nomem(err, "a variant's answers");
	}
	if (!st)
		st = pare_feed_run(&f, ctl, err);
	if (!st && kept) {
		*kept = t.variant[0];
		t.variant[0] = NULL;
	}
	trial_end(&t, threads);
	return st;
}

/* The first step that the cells of a dial can change. */
static int first_step(const struct pare_study *s, int layer, enum pare_dial dial)
{
	int step = pare_program_step_of_layer(s->base->program, layer);

	for (int l = 0; l < s->n_layers && dial == PARE_DIAL_CHANNELS; l++) {
		int other = pare_program_step_of_layer(s->base->program, l);

		if (s->leader[l] == s->leader[layer] && other < step)
			step = other;
	}
	return step;
}

static enum pare_status run_cells(const struct pare_study *s, const struct pare_task *task,
	struct pare_ctl *ctl, struct pare_result *r, struct pare_err *err)
{
	int first, n, blocks = pare_feed_blocks(s->base->program, s->base->n), done = 0;
	int step = first_step(s, task->layer, task->dial), at_once;
	struct pare_plan *plans[32] = { 0 };
	int64_t size = pare_model_info(s->model)->weight_bytes;
	enum pare_status st = PARE_OK;

	pare_dial_options(task->dial, &first, &n);
	r->n_parts = n - 1;
	r->part = calloc((size_t)n, sizeof *r->part);
	if (!r->part)
		return pare_nomem(err, "cells of the map");
	for (int o = 0; o < n - 1 && !st; o++) {
		if (!(plans[o] = pare_plan_new(s->n_layers))) {
			st = pare_nomem(err, "plans");
			break;
		}
		pare_option_apply(&pare_options[first + 1 + o], &plans[o]->dials[task->layer]);
		pare_plan_tie(s->model, plans[o], task->layer);
	}
	at_once = size > PACKED_BYTES / 32 ? (int)(PACKED_BYTES / size) : 32;
	at_once = at_once < 1 ? 1 : at_once;
	while (done < n - 1 && !st) {
		int some = n - 1 - done < at_once ? n - 1 - done : at_once;
		int rounds = (n - 1 + at_once - 1) / at_once;
		struct pare_progress_span span = { (double)blocks * (done / at_once),
			(double)blocks * rounds };

		st = run_trial(
			s, plans + done, some, step, true, span, r->part + done, NULL, ctl, err);
		done += some;
	}
	for (int o = 0; o < n - 1; o++)
		pare_plan_free(plans[o]);
	return st;
}

static enum pare_status run_plan(const struct pare_study *s, const struct pare_task *task,
	struct pare_ctl *ctl, struct pare_result *r, struct pare_err *err)
{
	struct pare_progress_span span = { 0, pare_feed_blocks(s->base->program, s->base->n) };
	enum pare_status st;

	r->n_parts = 1;
	r->part = calloc(1, sizeof *r->part);
	r->plan = pare_plan_copy(task->plan);
	if (!r->part || !r->plan)
		return pare_nomem(err, "a measured plan");
	r->noise = calloc((size_t)s->n_layers + 1, sizeof *r->noise);
	if (!r->noise)
		return pare_nomem(err, "a measured plan");
	st = run_trial(s, &r->plan, 1, 0, false, span, r->part, &r->variant, ctl, err);
	return st ? st
		  : pare_variant_noise(r->variant, s->dataset, s->n_layers, ctl, r->noise, err);
}

enum pare_status pare_study_run(const struct pare_study *s, const struct pare_task *t,
	struct pare_ctl *ctl, struct pare_result **out, struct pare_err *err)
{
	struct pare_result *r;
	double start = pare_study_clock();
	enum pare_status st;

	if (!s->dataset)
		return pare_fail(err, PARE_E_ARG,
			"nothing can be measured without data: name some with --data");
	if (t->kind != PARE_TASK_BASELINE && !s->base)
		return pare_fail(err, PARE_E_ARG, "the float model has to be measured first");
	r = calloc(1, sizeof *r);
	if (!r)
		return pare_nomem(err, "a result");
	r->kind = t->kind;
	r->layer = t->layer;
	r->dial = t->dial;
	if (t->kind == PARE_TASK_BASELINE)
		st = run_baseline(s, ctl, r, err);
	else if (t->kind == PARE_TASK_CELLS)
		st = run_cells(s, t, ctl, r, err);
	else
		st = run_plan(s, t, ctl, r, err);
	if (st) {
		pare_result_free(r);
		return st;
	}
	r->n = s->n;
	r->k = r->base ? r->base->k : s->base->k;
	r->seconds = pare_study_clock() - start;
	*out = r;
	return PARE_OK;
}
