#include "block.h"
#include "../graph/residual.h"
#include "../quantize/joint.h"
#include "../run/kernels.h"
#include "../run/program.h"
#include <stdlib.h>
#include <string.h>

enum {
	SAMPLE_BYTES = 256 << 20,
	MOST_ELEMENTS = 1 << 24, /* that floats can number */
};

/* ---- where they are ----------------------------------------------------------------------------
 */

static const struct pare_step *step_of(const struct pare_walk *w, int layer)
{
	const struct pare_program *p = pare_walk_program(w);

	return &p->steps[pare_program_step_of_layer(p, layer)];
}

/* A layer that can be gone through forth and back. */
static bool goes(const struct pare_walk *w, int layer)
{
	const struct pare_program *p = pare_walk_program(w);
	struct pare_windows win = pare_walk_windows(w, layer);
	const struct pare_tensor *joined = step_of(w, layer)->bias;
	int64_t n = (int64_t)win.groups * win.o;

	return win.k &&
	       pare_shape_elems(&p->places[step_of(w, layer)->n->in[0]].t.shape) < MOST_ELEMENTS &&
	       (!joined || (win.from_channel == 1 && pare_shape_elems(&joined->shape) == n));
}

static bool is_in(const struct pare_residual *r, int node)
{
	for (int i = 0; i < r->n_branch; i++)
		if (r->branch[i] == node)
			return true;
	for (int i = 0; i < r->n_shortcut; i++)
		if (r->shortcut[i] == node)
			return true;
	return false;
}

/* Is a var what enters the block, or what one of the n layers from order[at] on gives? */
static bool is_value(const struct pare_walk *w, const struct pare_residual *r, const int *order,
	int at, int n, int var)
{
	for (int i = 0; i < n; i++)
		if (step_of(w, order[at + i])->out == var)
			return true;
	return var == r->from;
}

/* Are the n layers from order[at] on those of the block, one right after the other, the last joined
 * by the sum, and is there nothing else?  What is on its ways is read by nothing else. */
static bool is_whole(const struct pare_walk *w, const struct pare_model *m,
	const struct pare_residual *r, const int *order, int at, int n)
{
	const struct pare_program *p = pare_walk_program(w);
	int first = pare_program_step_of_layer(p, order[at]), all = 0;

	for (int i = 0; i < m->info.n_layers; i++)
		all += is_in(r, m->layers[i].node);
	for (int i = 0; i < n && all == n; i++) {
		const struct pare_step *s = step_of(w, order[at + i]);
		bool joined = s->add >= 0;

		if (!goes(w, order[at + i]) || joined != (i == n - 1) ||
			pare_program_step_of_layer(p, order[at + i]) != first + i ||
			!is_value(w, r, order, at, n, s->n->in[0]) ||
			(joined && !is_value(w, r, order, at, n, s->add)))
			return false;
	}
	return all == n && n > 1 && n <= PARE_JOINT_MOST;
}

bool pare_block_find(const struct pare_walk *w, const struct pare_model *m, const int *order, int n,
	int at, struct pare_block_span *out)
{
	for (int i = 0; i < m->n_residuals; i++) {
		const struct pare_residual *r = &m->residuals[i];
		int end = at;

		while (end < n && is_in(r, m->layers[order[end]].node))
			end++;
		if (end == at || !is_whole(w, m, r, order, at, end - at))
			continue;
		*out = (struct pare_block_span){ at, end };
		return true;
	}
	return false;
}

/* ---- what they see -----------------------------------------------------------------------------
 */

struct block {
	const struct pare_blocking *b;
	const int *layer; /* [joint.n] */
	struct pare_joint joint;
	int64_t leaves; /* elements of a sample's result */
	int every;      /* of so many blocks of samples one is looked at */
};

/* Which element of what enters stands where: what a sample of its own numbers unfolds to. */
static enum pare_status number(const struct pare_program *p, const struct pare_step *s,
	struct pare_joint_part *part, struct pare_err *err)
{
	struct pare_tensor x = p->places[s->n->in[0]].t;
	const struct pare_tensor *in[2] = { &x, &p->places[s->n->in[1]].t };
	struct pare_call call = {
		.node = s->n, .attr = s->n->attr, .lanes = 1, .n_in = 2, .in = in
	};
	int64_t n = pare_shape_elems(&x.shape), each = (int64_t)part->win.k * part->win.columns;
	float *own = malloc((size_t)n * sizeof *own), *to = malloc((size_t)each * sizeof *to);
	int32_t *index = malloc((size_t)(part->win.groups * each) * sizeof *index);

	x.f32 = own;
	x.lanes = 1;
	part->index = index;
	for (int64_t i = 0; i < n && own; i++)
		own[i] = (float)(i + 1);
	for (int g = 0; g < part->win.groups && own && to && index; g++) {
		s->n->op->unfold(&call, g, 0, part->win.columns, to);
		for (int64_t i = 0; i < each; i++)
			index[g * each + i] = (int32_t)to[i] - 1;
	}
	free(own);
	free(to);
	return own && to && index ? PARE_OK : pare_nomem(err, "a block's rounding");
}

/* The value that a var is in the block. */
static int value_of(const struct block *k, int var)
{
	for (int i = 0; i < k->joint.n && var >= 0; i++)
		if (step_of(k->b->walk, k->layer[i])->out == var)
			return i + 1;
	return var < 0 ? -1 : 0;
}

static enum pare_status describe(struct block *k, int i, struct pare_err *err)
{
	const struct pare_blocking *b = k->b;
	struct pare_joint_part *part = &k->joint.parts[i];
	int layer = k->layer[i];
	const struct pare_fit_layer *l = &b->layers[layer];
	const struct pare_layer *info = pare_model_layer(b->m, layer);
	const struct pare_step *s = step_of(b->walk, layer);
	struct pare_channels ch = pare_channels_of(&info->weight, info->out_axis);
	const float *bias = b->bias[layer] ? b->bias[layer]->data : pare_model_bias(b->m, layer);
	const float *w =
		b->weights[layer] ? b->weights[layer]->data : pare_model_weights(b->m, layer);
	bool rounds = b->seen[layer] != NULL;
	size_t n = (size_t)info->weights, rows = (size_t)ch.channels;
	float *own = calloc(n + 2 * rows, sizeof *own), *scale = own + n;
	int8_t *q = rounds ? malloc(n) : NULL;
	bool *zero = rounds && (l->prunes || l->keep_zeros) ? malloc(n) : NULL;

	*part = (struct pare_joint_part){ .in = value_of(k, s->n->in[0]),
		.add = value_of(k, s->add),
		.win = pare_walk_windows(b->walk, layer),
		.lo = s->lo,
		.hi = s->hi,
		.w = own,
		.scale = scale,
		.bias = own ? scale + rows : NULL,
		.shifts = rounds && l->rounding->shifts && pare_model_can_shift(b->m, layer),
		.q = q,
		.zero = zero,
		.least = l->grid.lo,
		.most = l->grid.hi,
		.h = b->seen[layer] };
	if (rounds)
		part->mean = part->h +
			     (size_t)part->win.groups * (size_t)part->win.k * (size_t)part->win.k;
	if (b->acts)
		part->act = b->acts[layer];
	if (!own || (rounds && !q) || (rounds && (l->prunes || l->keep_zeros) && !zero))
		return pare_nomem(err, "a block's rounding");
	for (size_t e = 0; e < n; e++) {
		int64_t row = (int64_t)e / part->win.k;
		int64_t at = pare_channel_at(&ch, row, (int64_t)e % part->win.k);

		own[e] = w[at];
		if (rounds)
			q[e] = l->q[at];
		if (zero)
			zero[e] = w[at] == 0;
	}
	for (size_t r = 0; r < rows; r++) {
		scale[r] =
			rounds ? l->scale[ch.channels > 1 && l->grid.channels.channels == 1 ? 0 : r]
			       : 1;
		part->bias[r] = (bias ? bias[r] : 0) + (s->bias ? s->bias->f32[r] : 0);
	}
	return number(pare_walk_program(b->walk), s, part, err);
}

/* Aligned for vectors. */
static float *floats(int64_t n)
{
	return aligned_alloc(64, ((size_t)n * sizeof(float) / 64 + 1) * 64);
}

/* Samples that fit in memory; blocks of them kept aside stay the last. */
static enum pare_status make_room(struct block *k, struct pare_err *err)
{
	struct pare_joint *j = &k->joint;
	const struct pare_program *p = pare_walk_program(k->b->walk);
	const struct pare_step *s = step_of(k->b->walk, k->layer[0]);
	int aside, full = pare_walk_blocks(k->b->walk, &aside);
	size_t each;

	j->lanes = p->lanes;
	j->k = p->k;
	j->enters = pare_shape_elems(&p->places[s->n->in[0]].t.shape);
	k->leaves = pare_joint_channels(&j->parts[j->n - 1]) * j->parts[j->n - 1].win.columns;
	each = (size_t)(j->enters + k->leaves) * (size_t)j->lanes * sizeof(float);
	k->every = (int)((size_t)full * each / SAMPLE_BYTES) + 1;
	j->blocks = (full + k->every - 1) / k->every;
	j->aside = j->blocks - (full - aside + k->every - 1) / k->every;
	j->x = calloc(2 * (size_t)j->blocks + 1, sizeof *j->x);
	if (!j->x)
		return pare_nomem(err, "a block's samples");
	j->want = j->x + j->blocks;
	for (int i = 0; i < j->blocks; i++) {
		j->x[i] = floats(j->enters * j->lanes);
		j->want[i] = floats(k->leaves * j->lanes);
		if (!j->x[i] || !j->want[i])
			return pare_nomem(err, "a block's samples");
	}
	return PARE_OK;
}

static void see(void *user, int block, const struct pare_tensor *x, const struct pare_tensor *want)
{
	struct block *k = user;

	if (block % k->every || block / k->every >= k->joint.blocks)
		return;
	block /= k->every;
	memcpy(k->joint.x[block], x->f32,
		(size_t)(k->joint.enters * k->joint.lanes) * sizeof(float));
	memcpy(k->joint.want[block], want->f32,
		(size_t)(k->leaves * k->joint.lanes) * sizeof(float));
}

/* ---- and become --------------------------------------------------------------------------------
 */

static enum pare_status write_back(struct block *k, int i, struct pare_err *err)
{
	const struct pare_blocking *b = k->b;
	const struct pare_joint_part *part = &k->joint.parts[i];
	int layer = k->layer[i];
	struct pare_fit_layer *l = &b->layers[layer];
	const struct pare_layer *info = pare_model_layer(b->m, layer);
	const struct pare_step *s = step_of(b->walk, layer);
	struct pare_channels ch = pare_channels_of(&info->weight, info->out_axis);
	/* new ones: programs know weights that they share by where they lie */
	struct pare_blob *w = pare_blob_new((size_t)info->weights * sizeof(float)), *bias = NULL;

	if (!w || (part->shifts && !(bias = pare_blob_new((size_t)ch.channels * sizeof(float))))) {
		pare_blob_free(w);
		return pare_nomem(err, "the weights of a layer");
	}
	for (int64_t e = 0; e < info->weights; e++) {
		int64_t at = pare_channel_at(&ch, e / part->win.k, e % part->win.k);

		l->q[at] = part->q[e];
		((float *)w->data)[at] = (float)part->q[e] * part->scale[e / part->win.k];
	}
	for (int64_t r = 0; r < ch.channels && bias; r++)
		((float *)bias->data)[r] = part->bias[r] - (s->bias ? s->bias->f32[r] : 0);
	pare_blob_free(b->weights[layer]);
	b->weights[layer] = w;
	if (bias) {
		pare_blob_free(b->bias[layer]);
		b->bias[layer] = bias;
	}
	if (!b->acts)
		return PARE_OK;
	return pare_bias_for(&l->grid, &b->acts[layer],
		b->bias[layer] ? b->bias[layer]->data : pare_model_bias(b->m, layer), ch.channels,
		l->scale, l->zero, l->q, w->data, &b->bias[layer], err);
}

enum pare_status pare_block_learn(const struct pare_blocking *b, const int *order,
	struct pare_block_span span, struct pare_err *err)
{
	struct block k = { .b = b,
		.layer = order + span.first,
		.joint = { .n = span.last - span.first, .ctl = b->ctl } };
	struct pare_joint *j = &k.joint;
	double before = 0, after = 0;
	enum pare_status st = PARE_OK;

	if (!(j->parts = calloc((size_t)j->n, sizeof *j->parts)))
		return pare_nomem(err, "a block's rounding");
	for (int i = 0; i < j->n && !st; i++)
		st = describe(&k, i, err);
	if (!st)
		st = make_room(&k, err);
	if (!st)
		st = pare_walk_again(
			b->walk, k.layer[j->n - 1], b->quantized, b->ctl, see, &k, err);
	if (!st && j->blocks - j->aside >= PARE_BLOCK_LEAST)
		st = pare_joint_learn(j, &before, &after, err);
	for (int i = 0; i < j->n && after < before && !st; i++)
		if (j->parts[i].q)
			st = write_back(&k, i, err);
	for (int i = 0; i < j->n; i++) {
		free((void *)(uintptr_t)j->parts[i].index);
		free((void *)(uintptr_t)j->parts[i].w);
		free((void *)(uintptr_t)j->parts[i].zero);
		free(j->parts[i].q);
	}
	for (int i = 0; i < j->blocks && j->x; i++) {
		free(j->x[i]);
		free(j->want[i]);
	}
	free(j->x);
	free(j->parts);
	return st;
}
