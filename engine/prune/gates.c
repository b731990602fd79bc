/* How the loss answers to gates in front of those who read a unit. */
#include "../base/err.h"
#include "../run/feed.h"
#include "answers.h"
#include "criteria.h"
#include "reader.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GATE_SAMPLES = 64 };
static const float gate_step = 1.f / 32;

/* ---- the network with gates --------------------------------------------------------------------
 */

/* Weights [.., n over and over, ..] times the gates of the channels along an axis (of a convolution
 * in groups one group's, for the others' are tied to them); NULL blob: all are 1. */
static enum pare_status
gate_along(const struct pare_tensor *t, int axis, const struct pare_var_channels *c,
	const float *gate, struct pare_blob **out, struct pare_err *err)
{
	int64_t n = pare_shape_elems(&t->shape),
		inner = pare_shape_span(&t->shape, axis + 1, t->shape.n);
	bool any = false;
	float *w;

	for (int64_t i = 0; i < c->n; i++)
		any |= c->unit[i] >= 0 && gate[c->unit[i]] != 1;
	if (!any)
		return PARE_OK;
	if (!(*out = pare_blob_new((size_t)n * sizeof *w)))
		return pare_nomem(err, "the weights of a layer");
	w = (*out)->data;
	for (int64_t i = 0; i < n; i++) {
		int unit = c->unit[i / inner % t->shape.d[axis] % c->n];

		w[i] = t->f32[i] * (unit < 0 ? 1 : gate[unit]);
	}
	return PARE_OK;
}

static enum pare_status gate_layer(const struct pare_model *m, int layer, const float *gate,
	struct pare_blob **out, struct pare_err *err)
{
	const struct pare_var_channels *c = pare_reads(m, layer);
	const struct pare_tensor *t;

	if (!c)
		return PARE_OK;
	t = m->graph.vars[m->graph.nodes[m->layers[layer].node].in[m->weight_at[layer].input]]
		    .declared.value;
	return gate_along(t, m->layers[layer].in_axis, c, gate, out, err);
}

/* A recurrent layer reads its own units. */
static enum pare_status
gate_states(struct pare_model *e, int layer, const float *gate, struct pare_err *err)
{
	int node = e->layers[layer].node;
	const struct pare_node *n = &e->graph.nodes[node];
	const struct pare_var_channels *c = pare_own_units(e, layer);
	enum pare_status st = PARE_OK;

	for (const struct pare_beside *b = n->op->beside; c && b && b->input && !st; b++) {
		struct pare_new_input to = { node, b->input, NULL };

		if (!b->reads)
			continue;
		st = gate_along(e->graph.vars[n->in[b->input]].declared.value, b->axis, c, gate,
			&to.blob, err);
		if (!st && to.blob)
			st = pare_model_set_input(e, &to, err);
		pare_blob_free(to.blob);
	}
	return st;
}

enum pare_status pare_model_gated(const struct pare_model *m, const float *gate,
	struct pare_model **out, struct pare_err *err)
{
	struct pare_blob **w = calloc((size_t)m->info.n_layers + 1, sizeof *w);
	struct pare_model *e = NULL;
	enum pare_status st = w ? PARE_OK : pare_nomem(err, "a changed model");

	for (int l = 0; l < m->info.n_layers && !st; l++)
		st = gate_layer(m, l, gate, &w[l], err);
	if (!st)
		st = pare_model_with_weights(m, w, NULL, &e, err);
	else
		for (int l = 0; l < m->info.n_layers && w; l++)
			pare_blob_free(w[l]);
	for (int l = 0; l < m->info.n_layers && !st; l++)
		st = gate_states(e, l, gate, err);
	free(w);
	if (st)
		pare_model_free(e);
	else
		*out = e;
	return st;
}

/* ---- one unit ----------------------------------------------------------------------------------
 */

/* What a sample adds to the score: d [k] by classes of log p, p [k], its label or -1. */
typedef double sample_score(const double *d, const double *p, int64_t k, int label);

static double taylor_of(const double *d, const double *p, int64_t k, int label)
{
	double sum = 0;

	if (label >= 0 && label < k)
		return fabs(d[label]);
	for (int64_t i = 0; i < k; i++)
		sum += p[i] * fabs(d[i]);
	return sum;
}

static double fisher_of(const double *d, const double *p, int64_t k, int label)
{
	double sum = 0;

	(void)label;
	for (int64_t i = 0; i < k; i++)
		sum += p[i] * d[i] * d[i];
	return sum;
}

struct gating {
	const struct pare_model *m;
	const struct pare_calibration *calibration;
	const struct pare_program *program; /* of the float network */
	int64_t n, k;                       /* samples, classes */
	int lanes, blocks, steps;
	float *answers;            /* [n][k] of the float network */
	struct pare_cut **cut;     /* [blocks] at step `at` */
	int at, first;             /* first: of the group's units */
	struct pare_frame **frame; /* [threads] */
	sample_score *of;
	double *score;
};

/* The network with one gate elsewhere. */
struct side {
	struct pare_model *m;
	struct pare_program *p;
	struct pare_frame *f;
};

static void side_free(struct side *s)
{
	pare_frame_free(s->f);
	pare_program_free(s->p);
	pare_model_free(s->m);
}

static enum pare_status side_new(const struct gating *g, int unit, float value,
	const struct pare_frame *room, struct side *out, struct pare_err *err)
{
	size_t units = (size_t)g->m->n_units;
	float *gate = malloc((units + 1) * sizeof *gate);
	enum pare_status st = gate ? PARE_OK : pare_nomem(err, "the scores of channels");

	for (size_t i = 0; i < units && !st; i++)
		gate[i] = (int)i == unit ? value : 1;
	if (!st)
		st = pare_model_gated(g->m, gate, &out->m, err);
	if (!st)
		st = pare_feed_program(out->m, NULL, g->program, &out->p, err);
	if (!st && !(out->f = pare_frame_share(out->p, room)))
		st = pare_nomem(err, "the scores of channels");
	free(gate);
	return st;
}

/* Its log p for a block: out [count][k]; y: room for as many. */
static enum pare_status side_run(const struct gating *g, const struct side *s,
	const struct pare_block *b, float *y, double *out, struct pare_err *err)
{
	enum pare_status st;

	pare_cut_load(g->cut[b->first / g->lanes], s->p, s->f);
	st = pare_program_run(s->p, s->f, g->at, g->steps, err);
	if (st)
		return st;
	pare_block_answers(b, s->f, s->p, y);
	for (int i = 0; i < b->count; i++)
		pare_log_chances(y + i * g->k, g->k, out + i * g->k);
	return PARE_OK;
}

/* What a block adds to a unit's score, from log p [count][k] above and below. */
static double sum_block(const struct gating *g, const struct pare_block *b, double *above,
	const double *below, double *p)
{
	double sum = 0;

	for (int i = 0; i < b->count; i++) {
		double *d = above + i * g->k;

		pare_log_chances(g->answers + (b->first + i) * g->k, g->k, p);
		for (int64_t c = 0; c < g->k; c++) {
			d[c] = (d[c] - below[i * g->k + c]) / (2 * (double)gate_step);
			p[c] = exp(p[c]);
		}
		sum += g->of(d, p, g->k,
			pare_dataset_label(g->calibration->dataset, PARE_CALIBRATE, b->first + i));
	}
	return sum;
}

static enum pare_status score_unit(void *ctx, int i, int worker, struct pare_err *err)
{
	const struct gating *g = ctx;
	size_t all = (size_t)g->lanes * (size_t)g->k;
	double *above = malloc((2 * all + (size_t)g->k) * sizeof *above), sum = 0;
	float *y = malloc(all * sizeof *y);
	struct pare_frame **room = &g->frame[worker];
	struct side side[2] = { 0 };
	enum pare_status st = PARE_OK;

	if (!above || !y || (!*room && !(*room = pare_frame_new(g->program))))
		st = pare_nomem(err, "the scores of channels");
	for (int k = 0; k < 2 && !st; k++)
		st = side_new(
			g, g->first + i, k ? 1 - gate_step : 1 + gate_step, *room, &side[k], err);
	for (int b = 0; b < g->blocks && !st; b++) {
		int64_t first = (int64_t)b * g->lanes, left = g->n - first;
		struct pare_block block = { first, left < g->lanes ? (int)left : g->lanes, worker,
			*room };

		for (int k = 0; k < 2 && !st; k++)
			st = side_run(g, &side[k], &block, y, above + (size_t)k * all, err);
		if (!st)
			sum += sum_block(g, &block, above, above + all, above + 2 * all);
	}
	if (!st)
		g->score[g->first + i] = sum / (double)g->n;
	side_free(&side[0]);
	side_free(&side[1]);
	free(above);
	free(y);
	return st;
}

/* ---- all groups --------------------------------------------------------------------------------
 */

/* The first step that reads the group; that of its own layer when that is recurrent. */
static int first_reader(const struct gating *g, int group)
{
	int first = g->steps;

	for (int l = 0; l < g->m->info.n_layers; l++) {
		int step = pare_program_step_of_layer(g->program, l);
		bool own = g->m->layers[l].group == group && pare_own_units(g->m, l);

		if (step >= 0 && step < first && (own || pare_reads_group(g->m, l, group)))
			first = step;
	}
	return first;
}

/* The first samples as far as the group. */
static enum pare_status bring_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct gating *g = user;
	struct pare_cut **cut = &g->cut[b->first / g->lanes];
	enum pare_status st = pare_program_run(g->program, b->frame, 0, g->at, err);

	if (!st)
		st = pare_cut_new(g->program, g->at, cut, err);
	if (!st)
		pare_cut_save(*cut, g->program, b->frame);
	return st;
}

static enum pare_status
score_group(struct gating *g, int group, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_feed f = { .program = g->program,
		.dataset = g->calibration->dataset,
		.split = PARE_CALIBRATE,
		.n = g->n,
		.fn = bring_block,
		.user = g };
	struct pare_progress_span span = { g->m->groups[group].first, g->m->n_units };
	enum pare_status st;

	g->at = first_reader(g, group);
	g->first = g->m->groups[group].first;
	st = pare_feed_run(&f, ctl, err);
	if (!st)
		st = pare_parallel(g->m->groups[group].n, score_unit, g, ctl, span, err);
	for (int b = 0; b < g->blocks; b++) {
		pare_cut_free(g->cut[b]);
		g->cut[b] = NULL;
	}
	return st;
}

static enum pare_status
measure(const struct pare_model *m, const bool *wanted, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, sample_score *of, double *score, struct pare_err *err)
{
	struct gating g = { .m = m,
		.calibration = calibration,
		.n = calibration->n_samples < GATE_SAMPLES ? calibration->n_samples : GATE_SAMPLES,
		.k = pare_answer_len(m),
		.of = of,
		.score = score };
	struct pare_program *p = NULL;
	int threads = pare_threads();
	enum pare_status st = pare_answers_of(m, calibration, ctl, &g.answers, err);

	if (!st)
		st = pare_feed_program(m, NULL, NULL, &p, err);
	if (!st) {
		g.program = p;
		g.lanes = pare_program_lanes(p);
		g.steps = pare_program_steps(p);
		g.blocks = pare_feed_blocks(p, g.n);
		g.cut = calloc((size_t)g.blocks + 1, sizeof *g.cut);
		g.frame = calloc((size_t)threads, sizeof *g.frame);
		if (!g.cut || !g.frame)
			st = pare_nomem(err, "the scores of channels");
	}
	for (int i = 0; i < m->n_groups && !st; i++)
		if (wanted[i])
			st = score_group(&g, i, ctl, err);
	for (int t = 0; t < threads && g.frame; t++)
		pare_frame_free(g.frame[t]);
	free(g.frame);
	free(g.cut);
	free(g.answers);
	pare_program_free(p);
	return st;
}

enum pare_status pare_measure_taylor(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, double *score,
	struct pare_err *err)
{
	return measure(m, wanted, calibration, ctl, taylor_of, score, err);
}

enum pare_status pare_measure_fisher(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, double *score,
	struct pare_err *err)
{
	return measure(m, wanted, calibration, ctl, fisher_of, score, err);
}
