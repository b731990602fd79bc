#include "fit.h"
#include "../base/err.h"
#include "../prune/prune.h"
#include "../quantize/follow.h"
#include "../quantize/keep.h"
#include "block.h"
#include "fitted.h"
#include "layer.h"
#include "pick.h"
#include <stdlib.h>
#include <string.h>

struct fit {
	const struct pare_model *m;
	struct pare_walk *walk;
	struct pare_moments_memo *memo;
	const struct pare_act_quant *acts;
	struct pare_fit_layer *layers;
	struct pare_blob **weights, **bias;
	struct pare_ctl *ctl;
	/* the compressed network, anew after each layer; each shares with the one before */
	int n_chain;
	struct pare_model **models;
	struct pare_program **programs;
	unsigned *may; /* [n_layers] rows of pare_roundings that a layer may try: bits */
	double **seen; /* [n_layers] as in pare_blocking */
};

/* The network as compressed so far. */
static enum pare_status chain(struct fit *f, struct pare_err *err)
{
	int k = f->n_chain;
	enum pare_status st = pare_model_now(f->m, f->weights, f->bias, &f->models[k], err);

	if (st)
		return st;
	st = pare_feed_program(f->models[k], f->acts,
		k ? f->programs[k - 1] : pare_walk_program(f->walk), &f->programs[k], err);
	if (st)
		pare_model_free(f->models[k]);
	else
		f->n_chain++;
	return st;
}

/* Nothing of the network is other than in float, but perhaps the weights of this layer. */
static bool is_alone(const struct fit *f, int layer)
{
	for (int i = 0; i < f->m->info.n_layers; i++)
		if ((f->acts && f->acts[i].on) || (i != layer && (f->weights[i] || f->bias[i])))
			return false;
	return true;
}

/* The row that is nearest to what was asked for and can do without what a layer gives. */
static const struct pare_rounding *instead(const struct pare_rounding *r, bool sees)
{
	for (const struct pare_rounding *o = pare_roundings; sees && o->name; o++)
		if (o->look && !o->learn && (r->tries || o->look == r->look))
			return o;
	for (const struct pare_rounding *o = pare_roundings; !sees && o->name; o++)
		if (!o->look && !o->tries && !o->stored)
			return o;
	return r;
}

/* A layer of which samples tell nothing: weights go by magnitude, each to the nearest. */
static enum pare_status fit_blindly(struct fit *f, int layer, struct pare_err *err)
{
	const struct pare_fit_layer *l = &f->layers[layer];
	struct pare_blob *b;
	enum pare_status st;

	if (!l->prunes)
		return PARE_OK;
	if (!(b = pare_blob_new(f->weights[layer]->len)))
		return pare_nomem(err, "the weights of a layer");
	memcpy(b->data, l->w, b->len);
	pare_blob_free(f->weights[layer]);
	f->weights[layer] = b;
	st = pare_prune_by_score(b->data, &l->lay, layer, l->sparsity, &pare_criteria[0], err);
	return st || !l->rounding
		       ? st
		       : pare_grid_round(b->data, &l->grid, l->scale, l->zero, l->q, b->data, err);
}

static enum pare_status fit_layer(struct fit *f, int layer, struct pare_moments *s,
	const struct pare_moments *part, struct pare_err *err)
{
	struct pare_fit_layer *l = &f->layers[layer];
	struct pare_layer_fit t = { .m = f->m,
		.layer = layer,
		.acts = f->acts,
		.ctl = f->ctl,
		.l = *l,
		.seen = f->seen[layer],
		.weights = f->weights[layer],
		.bias = f->bias[layer] };
	enum pare_status st = PARE_OK;

	if (!l->rounding && !l->prunes)
		st = s->win.inner ? PARE_OK : pare_layer_settle(&t, s, err);
	else if (s->win.inner) {
		const struct pare_rounding *r = l->rounding;

		if (r && (r->tries || r->learn || r->shifts) && instead(r, true) != r)
			t.l.rounding = l->picked = instead(r, true);
		st = pare_layer_round(&t, s, err);
	} else if (l->rounding && l->rounding->tries)
		st = pare_layer_try(&t, s, part, f->may[layer], &l->picked, err);
	else
		st = pare_layer_round(&t, s, err);
	f->weights[layer] = t.weights;
	f->bias[layer] = t.bias;
	return st;
}

static enum pare_status next(struct fit *f, int layer, int done, int total, struct pare_err *err)
{
	struct pare_moments s = { 0 }, part = { 0 };
	/* the walk tells of itself alone; what it leads to comes with it */
	struct pare_progress_span span = { 16.0 * done, 16.0 * total };
	const struct pare_rounding *r = f->layers[layer].rounding;
	bool tries = r && r->tries, learns = tries || (r && r->learn);
	enum pare_status st;

	pare_walk_want_columns(f->walk, learns);
	if (is_alone(f, layer) && !learns)
		st = pare_walk_float(f->walk, layer, f->memo, span, f->ctl, &s, err);
	else if (!(st = chain(f, err)))
		st = pare_walk_to(f->walk, layer, f->programs[f->n_chain - 1], span, f->ctl, &s,
			tries ? &part : NULL, err);
	if (!st && s.win.k)
		st = fit_layer(f, layer, &s, &part, err);
	else if (!st) {
		if (r)
			f->layers[layer].picked = instead(r, false);
		st = fit_blindly(f, layer, err);
	}
	pare_moments_free(&s);
	pare_moments_free(&part);
	return st ? pare_wrap(err, st, "layer '%s'", pare_model_layer(f->m, layer)->name) : st;
}

/* The layer, as it was left or anew. */
static enum pare_status come_to(struct fit *f, int layer, struct pare_keep *keep,
	struct pare_fit_key *key, int done, int total, struct pare_err *err)
{
	struct pare_fit_layer *l = &f->layers[layer];
	const struct pare_layer *info = pare_model_layer(f->m, layer);
	int64_t channels = info->weight.d[info->out_axis];
	/* to settle is soon done again */
	bool keeps = keep && (l->rounding || l->prunes);
	enum pare_status st = PARE_OK;

	if (keep)
		st = pare_fit_key_next(key, l, f->acts ? &f->acts[layer] : NULL, f->weights[layer],
			f->bias[layer], f->may[layer], err);
	if (st || !l->fits)
		return st;
	if (keeps && pare_fitted_find(keep, key, info->weights, channels, l, &f->weights[layer],
			     &f->bias[layer]))
		return PARE_OK;
	if (total > 1 && f->ctl && f->ctl->layer)
		f->ctl->layer(f->ctl->layer_user, info->name, done, total);
	st = next(f, layer, done, total, err);
	if (!st && keeps)
		pare_fitted_keep(
			keep, key, info->weights, channels, l, f->weights[layer], f->bias[layer]);
	return st;
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

/* Would a layer be rounded together with others?  One that tries methods goes by itself: it is the
 * layer's own output that they are held against. */
static bool may_join(const struct pare_fit_layer *l)
{
	const struct pare_rounding *r = l->rounding;

	return l->fits && r && r->learn && l->grid.n_groups == 1 && !l->grid.scheme->zeros;
}

/* The block that begins at order[at], of which at least two layers are to be learned together. */
static bool
find_block(const struct fit *f, const int *order, int n, int at, struct pare_block_span *out)
{
	struct pare_block_span span;
	int joins = 0;

	if (!may_join(&f->layers[order[at]]) ||
		!pare_block_find(f->walk, f->m, order, n, at, &span))
		return false;
	for (int i = span.first; i < span.last; i++)
		joins += may_join(&f->layers[order[i]]);
	if (joins < 2 || !pare_walk_holds(f->walk))
		return false;
	for (int i = span.first; i < span.last; i++)
		f->layers[order[i]].joins = may_join(&f->layers[order[i]]);
	*out = span;
	return true;
}

static enum pare_status fit_block(struct fit *f, const int *order, struct pare_block_span span,
	int done, int total, struct pare_err *err)
{
	struct pare_blocking b = { .m = f->m,
		.walk = f->walk,
		.acts = f->acts,
		.layers = f->layers,
		.seen = f->seen,
		.weights = f->weights,
		.bias = f->bias,
		.ctl = f->ctl };
	enum pare_status st = PARE_OK;

	pare_walk_hold(f->walk);
	for (int i = span.first; i < span.last && !st; i++) {
		int layer = order[i];
		const struct pare_layer *info = pare_model_layer(f->m, layer);
		struct pare_windows w = pare_walk_windows(f->walk, layer);
		size_t k = (size_t)w.k;

		if (!f->layers[layer].fits)
			continue;
		if (f->layers[layer].joins &&
			!(f->seen[layer] =
					calloc((size_t)w.groups * k * (k + 1), sizeof **f->seen))) {
			st = pare_nomem(err, "a block's rounding");
			break;
		}
		if (f->ctl && f->ctl->layer)
			f->ctl->layer(f->ctl->layer_user, info->name, done, total);
		st = next(f, layer, done++, total, err);
	}
	if (!st && !(st = chain(f, err))) {
		b.quantized = f->programs[f->n_chain - 1];
		st = pare_block_learn(&b, order, span, err);
		if (st)
			(void)pare_wrap(err, st, "the block of layer '%s'",
				pare_model_layer(f->m, order[span.first])->name);
	}
	pare_walk_release(f->walk);
	for (int i = span.first; i < span.last; i++) {
		free(f->seen[order[i]]);
		f->seen[order[i]] = NULL;
	}
	return st;
}

/* The block, as it was left or anew. */
static enum pare_status come_to_block(struct fit *f, const int *order, struct pare_block_span span,
	struct pare_keep *keep, struct pare_fit_key *key, int done, int total, struct pare_err *err)
{
	int n = span.last - span.first;
	struct pare_fit_key *keys = calloc((size_t)n, sizeof *keys);
	bool there = keep != NULL;
	enum pare_status st = keys ? PARE_OK : pare_nomem(err, "a block's rounding");

	for (int i = 0; i < n && keep && !st; i++) {
		int layer = order[span.first + i];

		st = pare_fit_key_next(key, &f->layers[layer], f->acts ? &f->acts[layer] : NULL,
			f->weights[layer], f->bias[layer], f->may[layer], err);
		keys[i] = *key;
	}
	for (int i = 0; i < n && there && !st; i++) {
		int layer = order[span.first + i];
		const struct pare_layer *info = pare_model_layer(f->m, layer);

		there = !f->layers[layer].fits ||
			pare_fitted_find(keep, &keys[i], info->weights,
				info->weight.d[info->out_axis], &f->layers[layer],
				&f->weights[layer], &f->bias[layer]);
	}
	if (!there && !st)
		st = fit_block(f, order, span, done, total, err);
	for (int i = 0; i < n && keep && !there && !st; i++) {
		int layer = order[span.first + i];
		const struct pare_layer *info = pare_model_layer(f->m, layer);

		if (f->layers[layer].fits)
			pare_fitted_keep(keep, &keys[i], info->weights,
				info->weight.d[info->out_axis], &f->layers[layer],
				f->weights[layer], f->bias[layer]);
	}
	free(keys);
	return st;
}

/* All of them.  One alone is soon done again. */
static enum pare_status fit_all(struct fit *f, const struct pare_calibration *c, const int *order,
	int n, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	struct pare_fit_key key;
	int total = 0, done = 0;

	for (int i = 0; i < n; i++)
		total += f->layers[order[i]].fits;
	if (total > 1 && c->keep)
		st = pare_fit_key_begin(f->m, c, &key, err);
	for (int i = 0, to = 0; i < n && !st; i = to) {
		struct pare_keep *keep = total > 1 ? c->keep : NULL;
		struct pare_block_span span;

		to = i + 1;
		if (find_block(f, order, n, i, &span)) {
			st = come_to_block(f, order, span, keep, &key, done, total, err);
			to = span.last;
		} else
			st = come_to(f, order[i], keep, &key, done, total, err);
		for (int j = i; j < to; j++)
			done += f->layers[order[j]].fits;
	}
	return st;
}

/* Layers as they run; returns how many. */
static int sort_layers(const struct fit *f, int *order)
{
	const struct pare_program *p = pare_walk_program(f->walk);
	int n = 0;

	for (int i = 0; i < f->m->info.n_layers; i++) {
		int step = pare_program_step_of_layer(p, i), j = n;

		if (step < 0)
			continue;
		for (; j > 0 && pare_program_step_of_layer(p, order[j - 1]) > step; j--)
			order[j] = order[j - 1];
		order[j] = i;
		n++;
	}
	return n;
}

enum pare_status pare_fit(const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_moments_memo *memo, const struct pare_act_quant *acts,
	struct pare_fit_layer *layers, struct pare_blob **weights, struct pare_blob **bias,
	struct pare_ctl *ctl, struct pare_err *err)
{
	size_t room = (size_t)m->info.n_layers + 1;
	struct fit f = { .m = m,
		.memo = memo,
		.acts = acts,
		.layers = layers,
		.weights = weights,
		.bias = bias,
		.ctl = ctl };
	int *order = calloc(room, sizeof *order), n = 0;
	enum pare_status st = pare_walk_new(m, calibration, &f.walk, err);

	if (!st)
		pare_walk_want_inner(f.walk);

	f.models = calloc(2 * room, sizeof *f.models); /* once a layer, once a block */
	f.programs = calloc(2 * room, sizeof *f.programs);
	f.may = calloc(room, sizeof *f.may);
	f.seen = calloc(room, sizeof *f.seen);
	if (!st && (!order || !f.models || !f.programs || !f.may || !f.seen))
		st = pare_nomem(err, "a calibration run");
	if (!st)
		n = sort_layers(&f, order);
	if (!st)
		st = pare_tries_allot(f.walk, layers, order, n, f.may, err);
	if (!st)
		st = fit_all(&f, calibration, order, n, err);
	for (int i = f.n_chain - 1; i >= 0; i--) {
		pare_program_free(f.programs[i]);
		pare_model_free(f.models[i]);
	}
	pare_walk_free(f.walk);
	free(f.models);
	free(f.programs);
	free(f.may);
	free(f.seen);
	free(order);
	return st;
}
