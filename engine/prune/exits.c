#include "exits.h"
#include "../base/err.h"
#include "../graph/edit.h"
#include "../run/feed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	MANY_FEATURES = 512, /* beyond these a head reads one place of an axis instead of two */
	ONE_IN = 200,        /* samples may leave with another answer */
	NODES = 8,
	VALUES = 6, /* of a head */
};

/* ---- places ------------------------------------------------------------------------------------
 */

static bool is_constant(const struct pare_model *m, int var)
{
	return var < 0 || m->graph.vars[var].blob;
}

/* The last node that reads each value; n_nodes for outputs, -1 for what nobody reads.  malloc'ed.
 */
static int *last_reads(const struct pare_model *m)
{
	const struct pare_graph *g = &m->graph;
	int *last = malloc((size_t)(g->n_vars + 1) * sizeof *last);

	for (int i = 0; last && i < g->n_vars; i++)
		last[i] = -1;
	for (int i = 0; last && i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				last[g->nodes[i].in[k]] = i;
	for (int i = 0; last && i < g->n_out; i++)
		last[g->out[i]] = g->n_nodes;
	return last;
}

/* The only value that `node`, or one before, makes and one behind it reads; -1: several or none. */
static int only_one(const struct pare_model *m, const int *last, int node)
{
	int only = -1;

	for (int i = 0; i < m->graph.n_vars; i++)
		if (!is_constant(m, i) && m->graph.vars[i].producer <= node && last[i] > node) {
			if (only >= 0)
				return -1;
			only = i;
		}
	return only;
}

/* What the head behind a layer reads: the first value behind it through which everything passes,
 * with the clamp on it (ReLU) if there is one.  -1: there is none before the answer is there. */
static int place_behind(const struct pare_model *m, const int *last, int layer)
{
	const struct pare_graph *g = &m->graph;

	for (int i = m->layers[layer].node; i < g->n_nodes; i++) {
		int var = only_one(m, last, i);

		if (var < 0 || g->vars[var].producer < m->layers[layer].node)
			continue;
		for (; i + 1 < g->n_nodes && g->nodes[i + 1].op && g->nodes[i + 1].op->clamp &&
			only_one(m, last, i + 1) == g->nodes[i + 1].out[0];
			i++)
			var = g->nodes[i + 1].out[0];
		if (last[var] == g->n_nodes || m->known[var].dtype != PARE_F32 ||
			m->known[var].shape.n < 2 || m->known[var].shape.d[0] != 1)
			return -1;
		return var;
	}
	return -1;
}

/* What the answer is compared by: what enters a last Softmax, or the output itself. */
static int score_var(const struct pare_model *m, bool *soft)
{
	int out = m->graph.out[0], producer = m->graph.vars[out].producer;
	const struct pare_node *n = producer < 0 ? NULL : &m->graph.nodes[producer];

	*soft = n && n->op && n->op == pare_op_find(NULL, "Softmax");
	return *soft ? n->in[0] : out;
}

/* Places that a head averages an axis to: [spatial axes]; the features in all. */
static int64_t pooling(const struct pare_known *k, int64_t window[PARE_MAX_DIMS])
{
	int64_t n = k->shape.d[1], features = n;
	bool halves = true;

	for (int pass = 0; pass < 2; pass++) {
		features = n;
		for (int d = 2; d < k->shape.n; d++) {
			int64_t len = k->shape.d[d];

			window[d - 2] = halves && len >= 4 ? len / 2 : len;
			features *= (len - window[d - 2]) / window[d - 2] + 1;
		}
		if (features <= MANY_FEATURES)
			break;
		halves = false;
	}
	return features;
}

static enum pare_status add_head(const struct pare_model *m, const struct pare_plan *p, int layer,
	const int *last, struct pare_arena *a, struct pare_exits *x, struct pare_err *err)
{
	const struct pare_layer *l = &m->layers[layer];
	int var = place_behind(m, last, layer);
	int64_t window[PARE_MAX_DIMS];
	struct pare_head *h = &x->head[x->n];

	if (var < 0)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"layer '%s': no sample can leave behind it, for nothing stands there "
			"through which all of the rest reads",
			l->name);
	for (int i = 0; i < x->n; i++)
		if (x->head[i].var == var)
			return pare_fail(err, PARE_E_ARG,
				"layers '%s' and '%s': samples leave behind both at the same "
				"place; name one",
				m->layers[x->head[i].layer].name, l->name);
	if (x->n == PARE_MAX_EXITS)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"samples can leave at no more than %d places", PARE_MAX_EXITS);
	h->layer = layer;
	h->var = var;
	h->threshold = p->dials[layer].exit > 0 ? p->dials[layer].exit : 1;
	h->features = pooling(&m->known[var], window);
	h->answers = pare_answer_len(m);
	h->w = pare_alloc_n(a, (size_t)(h->features * h->answers), sizeof *h->w);
	h->bias = pare_alloc_n(a, (size_t)h->answers, sizeof *h->bias);
	if (!h->w || !h->bias)
		return pare_nomem(err, "an exit");
	x->n++;
	return PARE_OK;
}

enum pare_status pare_exits_place(const struct pare_model *m, const struct pare_plan *p,
	struct pare_arena *a, struct pare_exits *out, struct pare_err *err)
{
	const struct pare_known *answer = &m->known[m->graph.out[0]];
	struct pare_exits x = { .n = 0 };
	enum pare_status st = PARE_OK;
	int *last;

	out->n = 0;
	if (!pare_plan_leaves(p))
		return PARE_OK;
	if ((st = pare_answer_check(m, err)))
		return st;
	if (m->graph.n_out != 1 || answer->dtype != PARE_F32 || answer->shape.n != 2 ||
		pare_answer_len(m) < 2)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"samples can leave early only where the one output is a score, in float32, "
			"for "
			"each of several classes");
	if (!(last = last_reads(m)))
		return pare_nomem(err, "an exit");
	for (int i = 0; i < p->n && !st; i++)
		if (p->dials[i].exit != 0)
			st = add_head(m, p, i, last, a, &x, err);
	free(last);
	for (int i = 1; i < x.n; i++) /* in the order of the network */
		for (int k = i; k > 0 && m->graph.vars[x.head[k].var].producer <
						 m->graph.vars[x.head[k - 1].var].producer;
			k--) {
			struct pare_head h = x.head[k];

			x.head[k] = x.head[k - 1];
			x.head[k - 1] = h;
		}
	if (!st)
		*out = x;
	return st;
}

/* ---- the network with heads --------------------------------------------------------------------
 */

static const char *named(struct pare_edit *e, const struct pare_head *h, const char *what)
{
	const char *s =
		pare_sprintf(e->m->arena, "%s.exit%s", e->m->base->layers[h->layer].name, what);

	e->failed |= !s;
	return s ? s : "";
}

/* [1, features] */
static int add_features(struct pare_edit *e, const struct pare_head *h)
{
	const struct pare_known *k = &e->m->base->known[h->var];
	int64_t window[PARE_MAX_DIMS];
	int at = h->var;

	pooling(k, window);
	if (k->shape.n > 2) {
		at = pare_edit_node(e, "AveragePool", named(e, h, ".pool"), &at, 1);
		pare_edit_ints(e, "kernel_shape", window, k->shape.n - 2);
		pare_edit_ints(e, "strides", window, k->shape.n - 2);
		at = pare_edit_node(e, "Flatten", named(e, h, ".features"), &at, 1);
	}
	return at;
}

/* The head's answer, and whether the sample leaves with it. */
static int add_answer(struct pare_edit *e, const struct pare_head *h, bool soft, int *leaves)
{
	struct pare_shape w = { 2, { h->features, h->answers } }, b = { 1, { h->answers } },
			  one = { 1, { 1 } }, scalar = { 0 };
	int64_t axis = 1;
	int in[3] = { add_features(e, h),
		pare_edit_constant(e, named(e, h, ".weight"), PARE_F32, &w, h->w),
		pare_edit_constant(e, named(e, h, ".bias"), PARE_F32, &b, h->bias) };
	int score = pare_edit_node(e, "Gemm", named(e, h, ""), in, 3);
	int p = pare_edit_node(e, "Softmax", named(e, h, ".softmax"), &score, 1);
	int sure[2] = { p, pare_edit_constant(e, named(e, h, ".axis"), PARE_I64, &one, &axis) };
	int test[2] = { pare_edit_node(e, "ReduceMax", named(e, h, ".confidence"), sure, 2),
		pare_edit_constant(
			e, named(e, h, ".threshold"), PARE_F32, &scalar, &h->threshold) };

	*leaves = pare_edit_node(e, "GreaterOrEqual", named(e, h, ".leaves"), test, 2);
	return soft ? p : score;
}

/* At which exit: a number for each sample. */
static int add_which(struct pare_edit *e, const struct pare_exits *x, const int *leaves)
{
	struct pare_shape s = { 2, { 1, 1 } };
	float end = (float)x->n;
	int rest = pare_edit_constant(e, "exit.end", PARE_F32, &s, &end);

	for (int i = x->n - 1; i >= 0; i--) {
		float at = (float)i;
		int in[3] = { leaves[i],
			pare_edit_constant(e, named(e, &x->head[i], ".number"), PARE_F32, &s, &at),
			rest };

		rest = pare_edit_node(e, "Where", named(e, &x->head[i], ".which"), in, 3);
	}
	return rest;
}

/* The value that is the answer from now on bears the output's name. */
static void rename_output(struct pare_edit *e, int was, int is)
{
	struct pare_var *v = e->m->graph.vars;
	const char *name = v[was].name;

	if (e->failed)
		return;
	v[was].name = pare_sprintf(e->m->arena, "%s.end", name);
	v[is].name = name;
	v[is].declared = v[was].declared;
	e->failed |= !v[was].name;
}

/* An `If` decides for all that it is given at once. */
static void fix_batch(struct pare_edit *e)
{
	struct pare_graph *g = &e->m->graph;

	for (int i = 0; i < g->n_in; i++)
		if (g->vars[g->in[i]].declared.shape.n > 0)
			g->vars[g->in[i]].declared.shape.d[0] = 1;
	if (g->vars[g->out[0]].declared.shape.n > 0)
		g->vars[g->out[0]].declared.shape.d[0] = 1;
}

enum pare_status pare_exits_join(const struct pare_model *m, const struct pare_exits *x, bool which,
	int chosen[PARE_MAX_EXITS], struct pare_model **out, struct pare_err *err)
{
	int answer[PARE_MAX_EXITS], leaves[PARE_MAX_EXITS], end = m->graph.out[0], outs[2];
	struct pare_edit e;
	bool soft;
	enum pare_status st = pare_edit_new(m, (NODES + 2) * x->n, (VALUES + 2) * x->n, &e, err);

	if (st)
		return st;
	score_var(m, &soft);
	for (int i = 0; i < x->n; i++)
		answer[i] = add_answer(&e, &x->head[i], soft, &leaves[i]);
	outs[0] = end;
	for (int i = x->n - 1; i >= 0; i--) {
		int in[3] = { leaves[i], answer[i], outs[0] };

		outs[0] = pare_edit_node(&e, "Where", named(&e, &x->head[i], ".choice"), in, 3);
		if (chosen)
			chosen[i] = outs[0];
	}
	rename_output(&e, end, outs[0]);
	if (which)
		outs[1] = add_which(&e, x, leaves);
	pare_edit_outputs(&e, outs, which ? 2 : 1);
	if (!which && !e.failed)
		fix_batch(&e);
	return pare_edit_finish(&e, out, err);
}

/* ---- fitting -----------------------------------------------------------------------------------
 */

struct watching {
	const struct pare_program *program;
	int n; /* heads */
	const struct pare_exits *x;
	float *score;                    /* [samples][answers] */
	float *features[PARE_MAX_EXITS]; /* [samples][features] */
};

static enum pare_status watch_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct watching *w = user;
	int lanes = pare_program_lanes(w->program);
	enum pare_status st;

	st = pare_program_run(w->program, b->frame, 0, pare_program_steps(w->program), err);
	if (st)
		return st;
	for (int i = 0; i <= w->x->n; i++) {
		int64_t n = i ? w->x->head[i - 1].features : w->x->head[0].answers;
		float *to = i ? w->features[i - 1] : w->score;

		pare_lanes_out(
			pare_frame_output(b->frame, i)->f32, n, b->count, lanes, to + b->first * n);
	}
	return PARE_OK;
}

/* The network's scores and what the heads read, for all samples. */
static enum pare_status watch(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_calibration *c, struct pare_ctl *ctl, struct watching *w,
	struct pare_err *err)
{
	struct pare_feed f = { .dataset = c->dataset,
		.split = PARE_CALIBRATE,
		.n = c->n_samples,
		.fn = watch_block,
		.user = w };
	int outs[PARE_MAX_EXITS + 1];
	struct pare_program *program = NULL;
	struct pare_model *seen = NULL;
	struct pare_edit e;
	bool soft;
	enum pare_status st = pare_edit_new(m, 2 * w->x->n, 0, &e, err);

	if (st)
		return st;
	outs[0] = score_var(m, &soft);
	for (int i = 0; i < w->x->n; i++)
		outs[i + 1] = add_features(&e, &w->x->head[i]);
	pare_edit_outputs(&e, outs, w->x->n + 1);
	st = pare_edit_finish(&e, &seen, err);
	if (!st)
		st = pare_feed_program(seen, acts, NULL, &program, err);
	if (!st) {
		w->program = f.program = program;
		f.span.total = pare_feed_blocks(program, f.n);
		st = pare_feed_run(&f, ctl, err);
	}
	pare_program_free(program);
	pare_model_free(seen);
	return st;
}

static double confidence(const float *score, int64_t k)
{
	int64_t best = pare_argmax(score, k);
	double sum = 0;

	for (int64_t i = 0; i < k; i++)
		sum += exp((double)score[i] - (double)score[best]);
	return 1 / sum;
}

struct judged {
	double sure;
	bool wrong;
	int64_t sample;
};

static int by_confidence(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	return x->sure != y->sure ? (x->sure < y->sure) - (x->sure > y->sure)
				  : (x->sample > y->sample) - (x->sample < y->sample);
}

/* The lowest threshold at which few enough of those that are still here leave with another answer.
 */
static float threshold_for(struct judged *j, int64_t n, int64_t wrong_allowed)
{
	int64_t wrong = 0, leave = 0;

	qsort(j, (size_t)n, sizeof *j, by_confidence);
	for (int64_t i = 0; i < n; i++) {
		wrong += j[i].wrong;
		if (wrong > wrong_allowed)
			break;
		if (i + 1 == n || j[i + 1].sure < j[i].sure)
			leave = i + 1;
	}
	return leave ? (float)j[leave - 1].sure : 1;
}

/* here[i]: sample i has not left before; those that leave now do so no more. */
static enum pare_status fit_head(struct pare_head *h, bool open, const struct watching *w,
	const float *features, int64_t n, bool *here, struct pare_err *err)
{
	int64_t k = h->answers, left = 0;
	float *apart = malloc((size_t)(n * k) * sizeof *apart);
	struct judged *j = malloc((size_t)n * sizeof *j);
	enum pare_status st = apart && j ? PARE_OK : pare_nomem(err, "the fit of an exit");

	if (!st)
		st = pare_ridge(features, w->score, (int)n, (int)h->features, (int)k, h->w, h->bias,
			apart, err);
	for (int64_t i = 0; i < n && !st; i++)
		if (here[i])
			j[left++] = (struct judged){ confidence(apart + i * k, k),
				pare_argmax(apart + i * k, k) != pare_argmax(w->score + i * k, k),
				i };
	if (!st && open)
		h->threshold = threshold_for(j, left, n / ONE_IN);
	for (int64_t i = 0; i < left && !st; i++)
		if (j[i].sure >= (double)h->threshold)
			here[j[i].sample] = false;
	free(apart);
	free(j);
	return st;
}

enum pare_status pare_exits_fit(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_plan *p, const struct pare_calibration *c, struct pare_ctl *ctl,
	struct pare_exits *x, struct pare_err *err)
{
	int64_t n = c->n_samples;
	struct watching w = { .x = x };
	bool *here = malloc((size_t)n + 1);
	enum pare_status st = here ? PARE_OK : pare_nomem(err, "the fit of an exit");

	w.score = malloc((size_t)(n * x->head[0].answers + 1) * sizeof(float));
	for (int i = 0; i < x->n && !st; i++)
		if (!(w.features[i] =
				    malloc((size_t)(n * x->head[i].features + 1) * sizeof(float))))
			st = pare_nomem(err, "the fit of an exit");
	if (!st && !w.score)
		st = pare_nomem(err, "the fit of an exit");
	if (!st)
		st = watch(m, acts, c, ctl, &w, err);
	for (int64_t i = 0; i < n && !st; i++)
		here[i] = true;
	for (int i = 0; i < x->n && !st; i++)
		st = fit_head(&x->head[i], p->dials[x->head[i].layer].exit < 0, &w, w.features[i],
			n, here, err);
	for (int i = 0; i < x->n; i++)
		free(w.features[i]);
	free(w.score);
	free(here);
	return st;
}
