#include "moments.h"
#include "../base/err.h"
#include "../run/program.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	TILE_FLOATS = 1 << 18,  /* of windows at a time */
	SLOTS = 16,             /* sums that are taken apart, whatever the threads */
	SLOT_FLOATS = 64 << 20, /* of all slots */
	KEPT_BYTES = 768 << 20, /* activations held between layers */
	MOST_INPUTS = 8,        /* of a node */
	NONE = -1,
	NEXT = -2,
};

struct slot {
	float *h, *c; /* [groups][k][k], [groups][o][k] */
	double *x, *t;
};

struct worker {
	struct pare_frame *plain, *quantized;
	float *samples; /* as pare_feed_load wants */
	float *entry;   /* the layer's input, quantized */
	float *want;    /* what it should give */
	float *x, *t; /* a tile of its windows [k][columns], and of what it should give [o][columns]
		       */
};

struct pare_walk {
	const struct pare_model *m;
	const struct pare_dataset *dataset;
	int64_t n;
	struct pare_program *plain;
	const struct pare_program *quantized;
	int lanes, n_blocks, threads;
	int aside; /* the first block that is kept aside; n_blocks = none is */
	/* of the layer at hand, in both programs, and where the blocks were kept: a network that
	 * has lost blocks takes fewer steps */
	int step, from, step_now, from_now;
	bool keeps;
	struct pare_cut **cut[2]; /* [n_blocks] of the float and of the compressed network */
	/* those of the layer that is held, and its step; NONE, NEXT = where the walk goes next */
	struct pare_cut **held[2];
	int held_at;
	struct worker *worker; /* [threads] */
	/* of the layer at hand */
	int layer, n_slots, tile;
	struct pare_windows win;
	struct slot slot[SLOTS];
	bool want_columns, want_inner;
	struct pare_columns columns;
	struct pare_ctl *ctl;
};

/* ---- one block ---------------------------------------------------------------------------------
 */

static struct pare_tensor *var_of(struct pare_frame *f, int var)
{
	return &f->vars[var];
}

/* What was kept of a block is not needed any more, unless it is held. */
static void let_go(struct pare_walk *w, int of, int block)
{
	if (w->from == w->held_at)
		w->held[of][block] = w->cut[of][block];
	else
		pare_cut_free(w->cut[of][block]);
	w->cut[of][block] = NULL;
}

/* Bring both frames to the layer. */
static enum pare_status
advance(struct pare_walk *w, int block, struct worker *k, struct pare_err *err)
{
	struct pare_frame *frame[2] = { k->plain, k->quantized };
	const struct pare_program *p[2] = { w->plain, w->quantized };
	int64_t first = (int64_t)block * w->lanes, left = w->n - first;
	int from[2] = { w->from, w->from_now }, to[2] = { w->step, w->step_now };
	enum pare_status st = PARE_OK;

	if (!w->cut[0][block]) {
		int count = left < w->lanes ? (int)left : w->lanes;

		for (int i = 0; i < 2; i++)
			pare_feed_load(w->dataset, PARE_CALIBRATE, first, count, w->lanes,
				k->samples, frame[i]);
	}
	for (int i = 0; i < 2 && !st; i++) {
		if (w->cut[i][block])
			pare_cut_load(w->cut[i][block], p[i], frame[i]);
		st = pare_program_run(p[i], frame[i], w->cut[i][block] ? from[i] : 0, to[i], err);
		let_go(w, i, block);
		if (st || !w->keeps)
			continue;
		st = pare_cut_new(p[i], to[i], &w->cut[i][block], err);
		if (!st)
			pare_cut_save(w->cut[i][block], p[i], frame[i]);
	}
	return st;
}

/* Lanes without a sample of their own count for nothing. */
static void hush(float *v, int64_t n, int count, int lanes)
{
	for (int64_t i = 0; i < n && count < lanes; i++)
		memset(v + i * lanes + count, 0, (size_t)(lanes - count) * sizeof *v);
}

/* What the layer gives in float, by the frame, plus what the float network adds to it and the
 * compressed one does not, less the bias, its own or a constant that joined its step. */
static void find_wanted(const struct pare_walk *w, struct worker *k)
{
	const struct pare_after none = { NULL, -INFINITY, INFINITY };
	const struct pare_step *s = &w->plain->steps[w->step];
	const float *bias = pare_model_bias(w->m, w->layer);
	struct pare_call call = k->plain->steps[w->step].call;
	struct pare_tensor want = *call.out[0], *out = &want;
	const float *f = NULL, *q = NULL;
	int add = w->quantized->steps[w->step_now].add;

	want.f32 = k->want;
	call.out = &out;
	call.after = call.after ? &none : NULL;
	call.wrong = NULL; /* no layer looks anything up */
	(void)pare_op_forward(&call);
	if (s->add >= 0 && add >= 0) {
		f = var_of(k->plain, s->add)->f32;
		q = var_of(k->quantized, add)->f32;
	}
	for (int64_t o = 0; o < w->win.groups * w->win.o && (bias || s->bias || f); o++)
		for (int64_t i = 0; i < w->win.columns; i++) {
			int64_t at = o * w->win.from_channel + i * w->win.from_column;
			float less = (bias ? bias[o] : 0) + pare_joined_at(s->bias, at);

			at *= w->lanes;
			for (int l = 0; l < w->lanes; l++, at++)
				k->want[at] += (f ? f[at] - q[at] : 0) - less;
		}
}

/* A tile of it: to [o][n][lanes]. */
static void
take_wanted(const struct pare_walk *w, const struct worker *k, int group, int64_t from, int64_t n)
{
	size_t lanes = (size_t)w->lanes;

	for (int64_t o = 0; o < w->win.o; o++)
		for (int64_t i = 0; i < n; i++)
			memcpy(k->t + (size_t)(o * n + i) * lanes,
				k->want + (size_t)((group * w->win.o + o) * w->win.from_channel +
						   (from + i) * w->win.from_column) *
						  lanes,
				lanes * sizeof(float));
}

static void sum_rows(const float *v, int rows, int64_t n, double *to)
{
	for (int i = 0; i < rows; i++) {
		double s = 0;

		for (int64_t j = 0; j < n; j++)
			s += (double)v[i * n + j];
		to[i] += s;
	}
}

/* Rows of n floats to rows of `wide`, zeros behind: kernels take whole vectors. */
static void widen(float *v, int rows, size_t n, size_t wide)
{
	for (int i = rows - 1; i >= 0 && wide > n; i--) {
		memmove(v + (size_t)i * wide, v + (size_t)i * n, n * sizeof *v);
		memset(v + (size_t)i * wide + n, 0, (wide - n) * sizeof *v);
	}
}

/* Columns from … from + n of a group. */
static void collect(struct pare_walk *w, struct worker *wk, const struct pare_call *call, int block,
	int group, int64_t from, int64_t n, int count, struct slot *s)
{
	int add = w->quantized->steps[w->step_now].add;
	int k = w->win.k, o = w->win.o;
	size_t run = (size_t)n * (size_t)w->lanes, vector = (size_t)call->k->lanes;
	size_t wide = (run + vector - 1) / vector * vector;

	call->node->op->unfold(call, group, from, n, wk->x);
	take_wanted(w, wk, group, from, n);
	if (w->columns.n)
		pare_columns_take(&w->columns, &w->win, block, group, from, n, wk->x, wk->t,
			add >= 0 ? var_of(wk->quantized, add)->f32 : NULL,
			w->plain->steps[w->step].bias);
	hush(wk->x, k * n, count, w->lanes);
	hush(wk->t, o * n, count, w->lanes);
	widen(wk->x, k, run, wide);
	widen(wk->t, o, run, wide);
	call->k->gram(wk->x, k, wk->x, k, wide, true, s->h + (size_t)group * k * k);
	call->k->gram(wk->t, o, wk->x, k, wide, false, s->c + (size_t)group * o * k);
	sum_rows(wk->x, k, (int64_t)wide, s->x + (size_t)group * k);
	sum_rows(wk->t, o, (int64_t)wide, s->t + (size_t)group * o);
}

/* Columns of a product inside: the node runs as it is by now, for it may multiply what it gave. */
static void collect_inner(
	struct pare_walk *w, struct worker *wk, struct pare_call *call, int count, struct slot *s)
{
	int input = w->m->weight_at[w->layer].input, k = w->win.k;
	struct pare_tensor given = *call->out[0], *out[MOST_INPUTS] = { &given };

	for (int i = 1; i < call->n_out; i++)
		out[i] = call->out[i];
	given.f32 = wk->want;
	call->out = out;
	call->wrong = NULL;
	(void)pare_op_forward(call);
	for (int64_t from = 0; from < w->win.columns; from += w->tile) {
		int64_t rest = w->win.columns - from, n = rest < w->tile ? rest : w->tile;
		size_t run = (size_t)n * (size_t)w->lanes, vector = (size_t)call->k->lanes;
		size_t wide = (run + vector - 1) / vector * vector;

		call->node->op->unfold_inner(call, input, from, n, wk->x);
		hush(wk->x, k * n, count, w->lanes);
		widen(wk->x, k, run, wide);
		call->k->gram(wk->x, k, wk->x, k, wide, true, s->h);
		sum_rows(wk->x, k, (int64_t)wide, s->x);
	}
}

static enum pare_status
take_block(struct pare_walk *w, int block, struct worker *k, struct slot *s, struct pare_err *err)
{
	const struct pare_step *step = &w->quantized->steps[w->step_now];
	int64_t left = w->n - (int64_t)block * w->lanes;
	int count = left < w->lanes ? (int)left : w->lanes;
	const struct pare_tensor *in[MOST_INPUTS];
	struct pare_call call;
	struct pare_tensor x;
	enum pare_status st = advance(w, block, k, err);

	if (st)
		return st;
	x = *var_of(k->quantized, step->n->in[0]);
	if (step->act.dynamic)
		pare_quantize_dynamic(&x, k->entry);
	else if (step->act.on)
		w->quantized->k->quantize(x.f32, k->entry,
			(size_t)pare_shape_elems(&x.shape) * x.lanes, step->act.scale,
			step->act.zero, step->act.lo, step->act.hi);
	if (step->act.on)
		x.f32 = k->entry;
	call = k->quantized->steps[w->step_now].call;
	for (int i = 0; i < call.n_in; i++)
		in[i] = i ? call.in[i] : &x;
	call.in = in;
	if (w->win.inner) {
		collect_inner(w, k, &call, count, s);
		return PARE_OK;
	}
	find_wanted(w, k);
	for (int g = 0; g < w->win.groups; g++)
		for (int64_t from = 0; from < w->win.columns; from += w->tile) {
			int64_t rest = w->win.columns - from;

			collect(w, k, &call, block, g, from, rest < w->tile ? rest : w->tile, count,
				s);
		}
	return PARE_OK;
}

/* Aligned for vectors. */
static float *room_for(size_t floats)
{
	return aligned_alloc(64, (floats * sizeof(float) / 64 + 1) * 64);
}

static bool frames_begin(const struct pare_walk *w, struct worker *k)
{
	if (!k->plain) {
		k->plain = pare_frame_new(w->plain);
		k->samples = pare_feed_room(w->dataset, w->lanes);
	}
	k->quantized = pare_frame_new(w->quantized);
	return k->plain && k->samples && k->quantized;
}

static enum pare_status worker_begin(const struct pare_walk *w, struct worker *k)
{
	size_t columns = (size_t)w->tile * (size_t)w->lanes + (size_t)w->plain->k->lanes;
	const struct pare_node *n = w->plain->steps[w->step].n;

	if (!frames_begin(w, k))
		return PARE_E_NOMEM;
	k->entry = room_for(w->plain->places[n->in[0]].bytes / sizeof(float));
	k->want = room_for(
		(size_t)pare_shape_elems(&w->m->known[n->out[0]].shape) * (size_t)w->lanes);
	k->x = room_for(columns * (size_t)w->win.k);
	k->t = room_for(columns * (size_t)w->win.o);
	return k->entry && k->want && k->x && k->t ? PARE_OK : PARE_E_NOMEM;
}

static void worker_end(struct worker *k)
{
	pare_frame_free(k->quantized);
	free(k->entry);
	free(k->want);
	free(k->x);
	free(k->t);
	k->quantized = NULL;
	k->entry = k->want = k->x = k->t = NULL;
}

/* Slots from here on are of the samples that are kept aside; n_slots = there are none. */
static int slot_aside(const struct pare_walk *w)
{
	int apart = w->n_slots / 4;

	if (w->n_slots < 2 || w->aside == w->n_blocks)
		return w->n_slots;
	return w->n_slots - (apart ? apart : 1);
}

/* The first block of slot i. */
static int slot_begin(const struct pare_walk *w, int i)
{
	int aside = slot_aside(w), n = w->n_slots;
	int64_t all = w->n_blocks, fitted = aside < n ? w->aside : all;

	return (int)(i <= aside ? fitted * i / aside
				: fitted + (all - fitted) * (i - aside) / (n - aside));
}

static enum pare_status take_slot(void *ctx, int i, int worker, struct pare_err *err)
{
	struct pare_walk *w = ctx;
	struct worker *k = &w->worker[worker];
	int from = slot_begin(w, i), to = slot_begin(w, i + 1);
	enum pare_status st = PARE_OK;

	if (!k->quantized && worker_begin(w, k))
		return pare_nomem(err, "the windows of a layer");
	for (int b = from; b < to && !st; b++) {
		if (w->ctl && atomic_load(&w->ctl->cancel))
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		st = take_block(w, b, k, &w->slot[i], err);
	}
	return st;
}

/* ---- the layer ---------------------------------------------------------------------------------
 */

struct pare_windows pare_walk_windows(const struct pare_walk *w, int layer)
{
	int step = pare_program_step_of_layer(w->plain, layer);
	const struct pare_step *s = step < 0 ? NULL : &w->plain->steps[step];
	const struct pare_layer *l = pare_model_layer(w->m, layer);
	struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	struct pare_windows win = { 0 }, none = { 0 };
	const struct pare_tensor *in[2];
	struct pare_call call = { .lanes = w->lanes, .in = in };

	if (!s || s->entry != 0 || w->m->weight_at[layer].input != 1 || !s->n->op->windows ||
		(w->m->weight_at[layer].bias >= 0 && !pare_model_bias(w->m, layer)))
		return none;
	call.node = s->n;
	call.attr = s->n->attr;
	for (int i = 0; i < 2; i++)
		in[i] = &w->plain->places[s->n->in[i]].t;
	return s->n->op->windows(&call, &win) && win.k == c.outer * c.inner &&
			       (int64_t)win.o * win.groups == c.channels
		       ? win
		       : none;
}

/* The same of a layer whose product stays inside. */
static struct pare_windows inner_windows(const struct pare_walk *w, int layer)
{
	int step = pare_program_step_of_layer(w->plain, layer);
	const struct pare_step *s = step < 0 ? NULL : &w->plain->steps[step];
	const struct pare_layer *l = pare_model_layer(w->m, layer);
	struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	struct pare_windows win = { 0 }, none = { 0 };
	const struct pare_tensor *in[MOST_INPUTS] = { 0 };
	struct pare_call call = { .lanes = w->lanes, .in = in };

	if (!s || s->entry != 0 || !s->n->op->inner || s->n->out[0] < 0 || s->n->n_in > MOST_INPUTS)
		return none;
	call.node = s->n;
	call.n_in = s->n->n_in;
	call.attr = s->n->attr;
	for (int i = 0; i < s->n->n_in; i++)
		in[i] = s->n->in[i] < 0 ? NULL : &w->plain->places[s->n->in[i]].t;
	return s->n->op->inner(&call, w->m->weight_at[layer].input, &win) &&
			       win.k == c.outer * c.inner && win.o == c.channels
		       ? win
		       : none;
}

static enum pare_status slots_new(struct pare_walk *w, struct pare_err *err)
{
	size_t g = (size_t)w->win.groups, k = (size_t)w->win.k, o = (size_t)w->win.o;
	size_t floats = g * k * (k + o) + 1;

	w->n_slots = w->n_blocks < SLOTS ? w->n_blocks : SLOTS;
	if ((size_t)w->n_slots > SLOT_FLOATS / floats)
		w->n_slots = floats < SLOT_FLOATS ? (int)(SLOT_FLOATS / floats) : 1;
	w->tile = w->win.k ? TILE_FLOATS / (w->win.k * w->lanes) : 1;
	w->tile = w->tile < 16 ? 16 : w->tile;
	w->tile |= w->lanes > 1; /* rows an odd number of cache lines apart */
	if (w->tile > w->win.columns)
		w->tile = (int)w->win.columns;
	for (int i = 0; i < w->n_slots; i++) {
		struct slot *s = &w->slot[i];

		s->h = calloc(floats, sizeof *s->h);
		s->x = calloc(g * (k + o) + 1, sizeof *s->x);
		if (!s->h || !s->x)
			return pare_nomem(err, "the products of a layer's inputs");
		s->c = s->h + g * k * k;
		s->t = s->x + g * k;
	}
	return PARE_OK;
}

static void slots_free(struct pare_walk *w)
{
	for (int i = 0; i < SLOTS; i++) {
		free(w->slot[i].h);
		free(w->slot[i].x);
		w->slot[i] = (struct slot){ 0 };
	}
	for (int t = 0; t < w->threads; t++)
		worker_end(&w->worker[t]);
}

/* Numbers of all four lists, which lie one behind the other. */
static size_t moments_len(const struct pare_windows *win)
{
	size_t g = (size_t)win->groups, k = (size_t)win->k, o = (size_t)win->o;

	return g * k * (k + o) + g * (k + o);
}

static enum pare_status moments_new(
	const struct pare_windows *win, double n, struct pare_moments *out, struct pare_err *err)
{
	size_t g = (size_t)win->groups, k = (size_t)win->k, o = (size_t)win->o;
	struct pare_moments m = { .win = *win, .n = n };

	m.h = calloc(moments_len(win) + 1, sizeof *m.h);
	if (!m.h)
		return pare_nomem(err, "the products of a layer's inputs");
	m.c = m.h + g * k * k;
	m.x = m.c + g * k * o;
	m.t = m.x + g * k;
	*out = m;
	return PARE_OK;
}

enum pare_status
pare_moments_copy(const struct pare_moments *from, struct pare_moments *to, struct pare_err *err)
{
	struct pare_moments m;
	enum pare_status st = moments_new(&from->win, from->n, &m, err);

	if (st)
		return st;
	memcpy(m.h, from->h, moments_len(&from->win) * sizeof *m.h);
	st = from->columns.n ? pare_columns_copy(&from->columns, &m.columns, err) : PARE_OK;
	if (st)
		pare_moments_free(&m);
	else
		*to = m;
	return st;
}

/* The first slots in their order, so that sums do not depend on who took them. */
static enum pare_status
merge(const struct pare_walk *w, int slots, struct pare_moments *out, struct pare_err *err)
{
	size_t g = (size_t)w->win.groups, k = (size_t)w->win.k, o = (size_t)w->win.o;
	int64_t samples = (int64_t)slot_begin(w, slots) * w->lanes;
	double n = (double)(samples < w->n ? samples : w->n);
	struct pare_moments m;
	enum pare_status st = moments_new(&w->win, n * (double)w->win.columns, &m, err);

	if (st)
		return st;
	for (int i = 0; i < slots; i++) {
		const struct slot *s = &w->slot[i];

		for (size_t j = 0; j < g * k * (k + o); j++)
			m.h[j] += (double)s->h[j];
		for (size_t j = 0; j < g * (k + o); j++)
			m.x[j] += s->x[j];
	}
	for (size_t a = 0; a < g; a++)
		for (size_t i = 0; i < k; i++)
			for (size_t j = 0; j < i; j++)
				m.h[(a * k + i) * k + j] = m.h[(a * k + j) * k + i];
	*out = m;
	return PARE_OK;
}

void pare_moments_center(struct pare_moments *s, int group, bool shifts)
{
	size_t g = (size_t)group, k = (size_t)s->win.k, o = (size_t)s->win.o;
	double *h = s->h + g * k * k, *c = s->c + g * o * k, *x = s->x + g * k, *t = s->t + g * o;

	for (size_t i = 0; i < k; i++)
		x[i] /= s->n;
	for (size_t i = 0; i < o; i++)
		t[i] /= s->n;
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < k; j++)
			h[i * k + j] = h[i * k + j] / s->n - (shifts ? x[i] * x[j] : 0);
	for (size_t i = 0; i < o; i++)
		for (size_t j = 0; j < k; j++)
			c[i * k + j] = c[i * k + j] / s->n - (shifts ? t[i] * x[j] : 0);
}

void pare_moments_free(struct pare_moments *s)
{
	free(s->h);
	pare_columns_free(&s->columns);
	*s = (struct pare_moments){ 0 };
}

enum pare_status pare_walk_to(struct pare_walk *w, int layer, const struct pare_program *quantized,
	struct pare_progress_span span, struct pare_ctl *ctl, struct pare_moments *out,
	struct pare_moments *part, struct pare_err *err)
{
	enum pare_status st;

	w->step = pare_program_step_of_layer(w->plain, layer);
	w->step_now = pare_program_step_of_layer(quantized, layer);
	w->layer = layer;
	w->quantized = quantized;
	w->ctl = ctl;
	w->win = pare_walk_windows(w, layer);
	if (!w->win.k && w->want_inner)
		w->win = inner_windows(w, layer);
	if (w->held_at == NEXT)
		w->held_at = w->step;
	st = slots_new(w, err);
	if (!st && w->win.k && w->want_columns && !w->win.inner)
		st = pare_columns_new(&w->win, (int)(w->n / w->lanes), slot_begin(w, slot_aside(w)),
			w->lanes, &w->columns, err);
	if (!st && w->win.k) {
		st = pare_parallel(w->n_slots, take_slot, w, ctl, span, err);
		w->from = w->step;
		w->from_now = w->step_now;
	}
	if (!st)
		st = merge(w, w->n_slots, out, err);
	if (!st && part && slot_aside(w) < w->n_slots)
		st = merge(w, slot_aside(w), part, err);
	slots_free(w);
	if (!st && w->columns.n) {
		out->columns = w->columns;
		out->columns.lo = w->plain->steps[w->step].lo;
		out->columns.hi = w->plain->steps[w->step].hi;
		w->columns = (struct pare_columns){ 0 };
	}
	pare_columns_free(&w->columns);
	return st;
}

enum pare_status pare_walk_float(struct pare_walk *w, int layer, struct pare_moments_memo *memo,
	struct pare_progress_span span, struct pare_ctl *ctl, struct pare_moments *out,
	struct pare_err *err)
{
	enum pare_status st;

	if (memo && memo->kept && memo->layer == layer)
		return pare_moments_copy(memo->kept, out, err);
	st = pare_walk_to(w, layer, w->plain, span, ctl, out, NULL, err);
	if (st || !memo)
		return st;
	pare_moments_memo_free(memo);
	if (!(memo->kept = calloc(1, sizeof *memo->kept)))
		return pare_nomem(err, "the products of a layer's inputs");
	memo->layer = layer;
	return pare_moments_copy(out, memo->kept, err);
}

void pare_moments_memo_free(struct pare_moments_memo *memo)
{
	if (memo->kept)
		pare_moments_free(memo->kept);
	free(memo->kept);
	*memo = (struct pare_moments_memo){ 0 };
}

void pare_walk_want_inner(struct pare_walk *w)
{
	w->want_inner = true;
}

void pare_walk_want_columns(struct pare_walk *w, bool want)
{
	w->want_columns = want;
}

/* ---- back to a layer ---------------------------------------------------------------------------
 */

/* Most bytes that are alive between two steps. */
static size_t widest(const struct pare_program *p)
{
	size_t most = 0;

	for (int s = 0; s < p->n_steps; s++) {
		size_t sum = 0;

		for (int i = 0; i < p->m->graph.n_vars; i++)
			if (p->places[i].first != PARE_NEVER && p->places[i].first < s &&
				p->places[i].last >= s)
				sum += p->places[i].bytes;
		most = sum > most ? sum : most;
	}
	return most;
}

bool pare_walk_holds(const struct pare_walk *w)
{
	return !w->keeps || widest(w->plain) <= KEPT_BYTES / 4 / (size_t)(w->n_blocks + 1);
}

void pare_walk_hold(struct pare_walk *w)
{
	w->held_at = NEXT;
}

void pare_walk_release(struct pare_walk *w)
{
	for (int i = 0; i < 2; i++)
		for (int b = 0; b < w->n_blocks; b++) {
			pare_cut_free(w->held[i][b]);
			w->held[i][b] = NULL;
		}
	w->held_at = NONE;
}

/* The blocks as they were at the layer that is held, which they are still at where it was the last.
 */
static void take_back(struct pare_walk *w)
{
	for (int b = 0; b < w->n_blocks && w->from != w->held_at; b++)
		for (int i = 0; i < 2; i++) {
			pare_cut_free(w->cut[i][b]);
			w->cut[i][b] = w->held[i][b];
			w->held[i][b] = NULL;
		}
	w->from = w->from_now = w->held_at;
	w->held_at = NONE;
}

struct again {
	struct pare_walk *w;
	int last;
	pare_again_fn *fn;
	void *user;
};

static enum pare_status show_block(void *ctx, int block, int worker, struct pare_err *err)
{
	const struct again *a = ctx;
	struct pare_walk *w = a->w;
	struct worker *k = &w->worker[worker];
	const struct pare_step *s = &w->quantized->steps[w->step_now];
	enum pare_status st;

	if (!k->quantized && !frames_begin(w, k))
		return pare_nomem(err, "a calibration run");
	st = advance(w, block, k, err);
	if (!st)
		st = pare_program_run(w->plain, k->plain, w->step, a->last + 1, err);
	if (!st)
		a->fn(a->user, block, var_of(k->quantized, s->n->in[s->entry]),
			var_of(k->plain, w->plain->steps[a->last].out));
	return st;
}

enum pare_status
pare_walk_again(struct pare_walk *w, int last, const struct pare_program *quantized,
	struct pare_ctl *ctl, pare_again_fn *fn, void *user, struct pare_err *err)
{
	struct again a = { w, pare_program_step_of_layer(w->plain, last), fn, user };
	struct pare_progress_span quiet = { 0 };
	enum pare_status st;

	w->step = w->step_now = w->held_at;
	take_back(w);
	w->quantized = quantized;
	st = pare_parallel(w->n_blocks, show_block, &a, ctl, quiet, err);
	slots_free(w);
	return st;
}

int pare_walk_blocks(const struct pare_walk *w, int *aside)
{
	int full = (int)(w->n / w->lanes);

	*aside = w->aside < full ? full - w->aside : 0;
	return full;
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

const struct pare_program *pare_walk_program(const struct pare_walk *w)
{
	return w->plain;
}

enum pare_status pare_walk_new(const struct pare_model *m,
	const struct pare_calibration *calibration, struct pare_walk **out, struct pare_err *err)
{
	struct pare_walk *w = calloc(1, sizeof *w);
	enum pare_status st;

	if (!w)
		return pare_nomem(err, "a calibration run");
	w->m = m;
	w->dataset = calibration->dataset;
	w->n = calibration->n_samples;
	w->threads = pare_threads();
	st = pare_feed_program(m, NULL, NULL, &w->plain, err);
	if (!st) {
		w->lanes = pare_program_lanes(w->plain);
		w->n_blocks = pare_feed_blocks(w->plain, w->n);
		w->aside = pare_aside_from((int)(w->n / w->lanes));
		if (w->aside == w->n / w->lanes) /* too few */
			w->aside = w->n_blocks;
		w->keeps = widest(w->plain) <= KEPT_BYTES / 2 / (size_t)(w->n_blocks + 1);
		w->cut[0] = calloc((size_t)w->n_blocks + 1, sizeof *w->cut[0]);
		w->cut[1] = calloc((size_t)w->n_blocks + 1, sizeof *w->cut[1]);
		w->held[0] = calloc((size_t)w->n_blocks + 1, sizeof *w->held[0]);
		w->held[1] = calloc((size_t)w->n_blocks + 1, sizeof *w->held[1]);
		w->held_at = NONE;
		w->worker = calloc((size_t)w->threads, sizeof *w->worker);
		if (!w->cut[0] || !w->cut[1] || !w->held[0] || !w->held[1] || !w->worker)
			st = pare_nomem(err, "a calibration run");
	}
	if (st)
		pare_walk_free(w);
	else
		*out = w;
	return st;
}

void pare_walk_free(struct pare_walk *w)
{
	if (!w)
		return;
	for (int i = 0; i < 2; i++) {
		for (int b = 0; w->cut[i] && w->held[i] && b < w->n_blocks; b++) {
			pare_cut_free(w->cut[i][b]);
			pare_cut_free(w->held[i][b]);
		}
		free(w->cut[i]);
		free(w->held[i]);
	}
	for (int t = 0; t < w->threads && w->worker; t++) {
		worker_end(&w->worker[t]);
		pare_frame_free(w->worker[t].plain);
		free(w->worker[t].samples);
	}
	free(w->worker);
	pare_program_free(w->plain);
	free(w);
}
