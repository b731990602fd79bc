/* What a plan costs: bytes and multiply-accumulates, from shapes alone. */
#include "../base/err.h"
#include "../prune/exits.h"
#include "asks.h"
#include "stored.h"
#include <math.h>
#include <stdlib.h>

/* The network with the biases that the plan brings in, as zeros; NULL in *out when there are none.
 */
static enum pare_status with_biases(const struct pare_model *m, const struct pare_plan *p,
	struct pare_model **out, struct pare_err *err)
{
	struct pare_blob **both = NULL;
	bool any = false;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < p->n && !any; i++)
		any = pare_plan_adds_bias(m, p, i);
	if (!any)
		return PARE_OK;
	if (!(both = calloc(2 * (size_t)p->n, sizeof *both)))
		return pare_nomem(err, "the cost of a plan");
	for (int i = 0; i < p->n && !st; i++) {
		const struct pare_layer *l = pare_model_layer(m, i);

		if (pare_plan_adds_bias(m, p, i) &&
			!(both[p->n + i] = pare_blob_new(
				  (size_t)l->weight.d[l->out_axis] * sizeof(float))))
			st = pare_nomem(err, "the cost of a plan");
	}
	if (!st)
		st = pare_model_with_weights(m, both, both + p->n, out, err);
	else
		for (int i = 0; i < p->n; i++)
			pare_blob_free(both[p->n + i]);
	free(both);
	return st;
}

enum pare_status pare_plan_layer_bytes(const struct pare_model *whole, const struct pare_plan *p,
	int layer, int64_t *out, struct pare_err *err)
{
	struct pare_left l;
	enum pare_status st = pare_plan_shapes(whole, p, &l, err);

	if (st)
		return st;
	*out = 0;
	for (int i = 0; i < l.plan->n; i++) {
		struct pare_weight_store store = pare_plan_store(l.model, i, &l.plan->dials[i]);
		struct pare_pack_layer pack = pare_plan_pack(l.model, i, &l.plan->dials[i]);

		if (l.whole[i] == layer)
			*out += pare_packed_layer(pare_model_layer(l.model, i), &store, &pack);
	}
	pare_left_free(&l);
	return PARE_OK;
}

/* Multiply-accumulates of all nodes up to the one that makes `var`. */
static int64_t macs_until(const struct pare_model *m, int var)
{
	int64_t sum = 0;

	for (int i = 0; i <= m->graph.vars[var].producer; i++)
		sum += m->node_info[i].macs > 0 ? m->node_info[i].macs : 0;
	return sum;
}

enum pare_status pare_plan_exits(const struct pare_model *whole, const struct pare_plan *p,
	struct pare_exit out[PARE_MAX_EXITS + 1], int *n, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_left l = { 0 };
	const struct pare_model *m;
	struct pare_exits x;
	int64_t heads = 0;
	enum pare_status st =
		a ? pare_plan_shapes(whole, p, &l, err) : pare_nomem(err, "the exits of a plan");

	m = l.model;
	if (!st)
		st = pare_exits_place(m, l.plan, a, &x, err);
	if (!st) {
		for (int i = 0; i < x.n; i++) {
			heads += x.head[i].features * x.head[i].answers;
			out[i] = (struct pare_exit){ l.whole[x.head[i].layer],
				macs_until(m, x.head[i].var) + heads, NAN };
		}
		out[x.n] = (struct pare_exit){ -1, m->info.macs + heads, x.n ? NAN : 1 };
		*n = x.n + 1;
	}
	pare_left_free(&l);
	pare_arena_free(a);
	return st;
}

double pare_exits_macs(const struct pare_exit *exits, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += exits[i].share * (double)exits[i].macs;
	return sum;
}

/* The cost of a network with its heads: what is written, and what they add. */
static enum pare_status joined_cost(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_weight_store *store, const struct pare_act_quant *acts,
	const struct pare_pack_layer *pack, struct pare_cost *c, struct pare_err *err)
{
	/* any recipe's hash is as long as another's */
	static const char some_sha[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	struct pare_write_spec write = { .weights = store, .acts = acts, .recipe_sha = some_sha };
	struct pare_pack_spec spec = { &write, pack };
	struct pare_arena *a = pare_arena_new();
	int choice[PARE_MAX_EXITS];
	struct pare_model *joined = NULL;
	struct pare_exits x = { .n = 0 };
	enum pare_status st =
		a ? pare_exits_place(m, p, a, &x, err) : pare_nomem(err, "the cost of a plan");

	if (!st && x.n)
		st = pare_exits_join(m, &x, false, choice, &joined, err);
	for (int i = 0; i < x.n && !st; i++)
		c->macs += x.head[i].features * x.head[i].answers;
	write.choice = choice;
	write.n_choices = x.n;
	if (!st)
		st = pare_onnx_size(joined ? joined : m, &write, &c->file_bytes, err);
	if (!st)
		st = pare_packed_size(joined ? joined : m, &spec, &c->bytes, err);
	pare_model_free(joined);
	pare_arena_free(a);
	return st;
}

/* Only that a quantizer is there, and how wide, matters to the size.  Layers differ in scale, so
 * none shares a pair with another unless it is the very same input, quantized in the same way. */
static struct pare_act_quant stand_in(const struct pare_model *m, int i, const struct pare_dials *d)
{
	struct pare_act_quant a = { .on = pare_rounds_activation(m, i, d) };

	if (!a.on)
		return a;
	a.dynamic = pare_rangings[d->ranging].dynamic;
	a.hi = UINT8_MAX;
	if (a.dynamic)
		return a;
	pare_act_codes(&pare_formats[d->activations], &a.lo, &a.hi);
	a.zero = d->calibrator + (d->ranging << 8);
	return a;
}

enum pare_status pare_plan_cost(const struct pare_model *whole, const struct pare_plan *asked,
	struct pare_cost *out, struct pare_err *err)
{
	struct pare_left left;
	const struct pare_model *m;
	size_t n;
	struct pare_cost c;
	struct pare_weight_store *store;
	struct pare_act_quant *acts;
	struct pare_pack_layer *pack;
	struct pare_model *biased = NULL;
	const struct pare_plan *p;
	enum pare_status st = pare_plan_shapes(whole, asked, &left, err);

	if (st)
		return st;
	m = left.model;
	p = left.plan;
	n = (size_t)p->n + PARE_MAX_EXITS;
	c = (struct pare_cost){ .macs = m->info.macs };
	store = calloc(n, sizeof *store);
	acts = calloc(n, sizeof *acts);
	pack = calloc(n, sizeof *pack);
	for (int i = 0; i < p->n && store && acts && pack; i++) {
		const struct pare_dials *d = &p->dials[i];

		store[i] = pare_plan_store(m, i, d);
		pack[i] = pare_plan_pack(m, i, d);
		acts[i] = pare_stored_act(m, i, d) ? *pare_stored_act(m, i, d) : stand_in(m, i, d);
	}
	if (store && acts && pack) {
		st = with_biases(m, p, &biased, err);
		if (!st)
			st = joined_cost(biased ? biased : m, p, store, acts, pack, &c, err);
	} else
		st = pare_nomem(err, "the cost of a plan");
	free(pack);
	free(store);
	free(acts);
	pare_model_free(biased);
	pare_left_free(&left);
	if (!st)
		*out = c;
	return st;
}
