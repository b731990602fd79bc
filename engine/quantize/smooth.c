/* SmoothQuant (Xiao et al. 2022): what a few features of a LayerNormalization's output are larger
 * than the others goes over into the weights of the products that read it. */
#include "../base/err.h"
#include "../graph/model.h"
#include "../run/feed.h"
#include "steps.h"
#include <math.h>
#include <stdlib.h>

/* The share of the unevenness that the weights take over. */
static const float strength = 0.5f;

struct tops {
	const struct pare_prepared *p;
	const struct pare_program *program;
	const bool *watched; /* [n_layers] */
	float ***mine;       /* [threads] [n_layers] [features] */
};

struct seen {
	struct tops *t;
	float **mine;
	int count;
};

static int64_t features_of(const struct pare_model *m, int layer)
{
	return m->layers[layer].weight.d[m->layers[layer].in_axis];
}

/* The largest of each feature: they lie along the last axis. */
static void observe(void *user, int layer, const struct pare_tensor *x)
{
	const struct seen *s = user;
	int64_t k = features_of(s->t->p->m, layer), n = pare_shape_elems(&x->shape);
	int lanes = x->lanes, count = lanes == 1 ? 1 : s->count;
	float *top;

	if (!s->t->watched[layer])
		return;
	top = s->mine[layer];
	for (int64_t i = 0; i < n; i++)
		for (int l = 0; l < count; l++)
			top[i % k] = fmaxf(top[i % k], fabsf(x->f32[i * lanes + l]));
}

static enum pare_status watch_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct tops *t = user;
	struct seen s = { t, t->mine[b->worker], b->count };
	int n = t->p->m->info.n_layers;
	enum pare_status st;

	if (!s.mine) {
		if (!(s.mine = t->mine[b->worker] = calloc((size_t)n + 1, sizeof *s.mine)))
			return pare_nomem(err, "activation statistics");
		for (int i = 0; i < n; i++)
			if (t->watched[i] && !(s.mine[i] = calloc((size_t)features_of(t->p->m, i),
						       sizeof **s.mine)))
				return pare_nomem(err, "activation statistics");
	}
	pare_frame_observe(b->frame, observe, &s);
	st = pare_program_run(t->program, b->frame, 0, pare_program_steps(t->program), err);
	pare_frame_observe(b->frame, NULL, NULL);
	return st;
}

/* All that read the output of `node` are products along its last axis; *first: one of them. */
static bool feeds_products(const struct pare_model *m, int node, int *first)
{
	const struct pare_graph *g = &m->graph;
	int var = g->nodes[node].out[0];

	*first = -1;
	for (int i = 0; i < g->n_out; i++)
		if (g->out[i] == var)
			return false;
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++) {
			int layer = m->node_info[i].layer;

			if (g->nodes[i].in[k] != var)
				continue;
			if (layer < 0 || k || !g->nodes[i].op->windows ||
				m->layers[layer].weight.n != 2)
				return false;
			*first = *first < 0 ? layer : *first;
		}
	return *first >= 0;
}

static bool is_constant(const struct pare_model *m, int node, int input, int64_t n)
{
	const struct pare_node *x = &m->graph.nodes[node];
	const struct pare_tensor *t = input < x->n_in && x->in[input] >= 0
					      ? m->graph.vars[x->in[input]].declared.value
					      : NULL;

	return t && t->dtype == PARE_F32 && pare_shape_elems(&t->shape) == n;
}

struct weighing {
	float *top;         /* [features] */
	const float *scale; /* [features] */
};

static void take_top(void *user, int64_t channel, float *w)
{
	struct weighing *t = user;

	t->top[channel] = fmaxf(t->top[channel], fabsf(*w));
}

static void scale_up(void *user, int64_t channel, float *w)
{
	*w *= ((const struct weighing *)user)->scale[channel];
}

/* Each layer that reads the node's output. */
static enum pare_status
each_reader(struct pare_prepared *p, int node, pare_visit_fn *fn, void *user, struct pare_err *err)
{
	const struct pare_graph *g = &p->m->graph;

	for (int i = 0; i < g->n_nodes; i++) {
		int layer = p->m->node_info[i].layer;
		float *w;

		if (layer < 0 || g->nodes[i].in[0] != g->nodes[node].out[0])
			continue;
		if (!(w = pare_prepared_weights(p, layer)))
			return pare_nomem(err, "the weights of a layer");
		pare_visit_inputs(p->m, layer, w, fn, user);
	}
	return PARE_OK;
}

static enum pare_status
smooth_node(struct pare_prepared *p, int node, int64_t n, const float *act, struct pare_err *err)
{
	const struct pare_node *x = &p->m->graph.nodes[node];
	float *scale = pare_alloc_n(p->a, (size_t)n, sizeof *scale);
	float *top = pare_alloc_n(p->a, (size_t)n, sizeof *top);
	struct weighing t = { top, scale };
	enum pare_status st;

	if (!scale || !top)
		return pare_nomem(err, "the smoothing of a network");
	if ((st = each_reader(p, node, take_top, &t, err)))
		return st;
	for (int64_t k = 0; k < n; k++) {
		scale[k] = powf(act[k], strength) / powf(top[k], 1 - strength);
		if (!(act[k] > 0) || !(top[k] > 0) || !isnormal(scale[k]))
			scale[k] = 1;
	}
	for (int input = 1; input < x->n_in && input < 3; input++) {
		float *c = x->in[input] < 0 ? NULL : pare_prepared_constant(p, node, input);

		if (!c && x->in[input] >= 0)
			return pare_nomem(err, "the smoothing of a network");
		for (int64_t k = 0; c && k < n; k++)
			c[k] /= scale[k];
	}
	return each_reader(p, node, scale_up, &t, err);
}

/* The nodes that can be smoothed: first[i] is a layer behind node i, -1 = not this one. */
static void find_nodes(const struct pare_model *m, int *first, bool *watched)
{
	for (int i = 0; i < m->graph.n_nodes; i++) {
		const struct pare_node *n = &m->graph.nodes[i];
		bool bias = n->n_in > 2 && n->in[2] >= 0;
		int64_t k;

		if (!n->op || !n->op->rows || !feeds_products(m, i, &first[i]) ||
			!(k = features_of(m, first[i])) || !is_constant(m, i, 1, k) ||
			(bias && !is_constant(m, i, 2, k)))
			first[i] = -1;
		else
			watched[first[i]] = true;
	}
}

enum pare_status pare_smooth(struct pare_prepared *p, struct pare_err *err)
{
	const struct pare_model *m = p->m;
	int threads = pare_threads(), n = m->info.n_layers;
	int *first = pare_alloc_n(p->a, (size_t)m->graph.n_nodes + 1, sizeof *first);
	bool *watched = pare_alloc_n(p->a, (size_t)n + 1, sizeof *watched);
	struct tops t = { .p = p, .watched = watched };
	struct pare_program *program = NULL;
	struct pare_feed f = { .dataset = p->calibration->dataset,
		.split = PARE_CALIBRATE,
		.n = p->calibration->n_samples,
		.fn = watch_block,
		.user = &t };
	enum pare_status st;

	t.mine = pare_alloc_n(p->a, (size_t)threads, sizeof *t.mine);
	if (!first || !watched || !t.mine)
		return pare_nomem(err, "the smoothing of a network");
	find_nodes(m, first, watched);
	if ((st = pare_feed_program(m, NULL, NULL, &program, err)))
		return st;
	t.program = f.program = program;
	st = pare_feed_run(&f, p->ctl, err);
	for (int i = 0; i < m->graph.n_nodes && !st; i++) {
		float *act = NULL;

		if (first[i] < 0)
			continue;
		for (int w = 0; w < threads; w++) {
			float *other = t.mine[w] ? t.mine[w][first[i]] : NULL;

			for (int64_t k = 0; act && other && k < features_of(m, first[i]); k++)
				act[k] = fmaxf(act[k], other[k]);
			act = act ? act : other;
		}
		if (act)
			st = smooth_node(p, i, features_of(m, first[i]), act, err);
	}
	for (int w = 0; w < threads; w++) {
		for (int i = 0; t.mine[w] && i < n; i++)
			free(t.mine[w][i]);
		free(t.mine[w]);
	}
	pare_program_free(program);
	return st;
}
