/* Variants as files, and what they weigh. */
#include "../base/err.h"
#include "../base/hash.h"
#include "../prune/prune.h"
#include "../quantize/quantize.h"
#include "stored.h"
#include "variant.h"
#include <math.h>
#include <stdlib.h>

static enum pare_status lay_out(const struct pare_variant *v, const char *recipe_sha, void **data,
	size_t *len, struct pare_err *err)
{
	int choice[PARE_MAX_EXITS];
	struct pare_write_spec spec = { v->store, v->acts, recipe_sha, choice, v->exits.n };
	struct pare_model *m = NULL;
	enum pare_status st =
		v->exits.n ? pare_exits_join(v->model, &v->exits, false, choice, &m, err) : PARE_OK;

	if (!st)
		st = pare_onnx_write(m ? m : v->model, &spec, data, len, err);
	pare_model_free(m);
	return st;
}

enum pare_status pare_variant_hash(const struct pare_variant *v, const char *recipe_sha,
	char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err)
{
	size_t len;
	void *data;
	enum pare_status st = lay_out(v, recipe_sha, &data, &len, err);

	if (st)
		return st;
	pare_sha256(data, len, sha256);
	*bytes = (int64_t)len;
	free(data);
	return PARE_OK;
}

enum pare_status pare_variant_export(const struct pare_variant *v, const char *path,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err)
{
	size_t len;
	void *data;
	enum pare_status st = lay_out(v, recipe_sha, &data, &len, err);

	if (st)
		return st;
	st = pare_file_write(path, data, len, err);
	if (!st) {
		pare_sha256(data, len, sha256);
		*bytes = (int64_t)len;
	}
	free(data);
	return st;
}

static bool has_zeros(const struct pare_codes *c)
{
	for (int64_t i = 0; i < c->n; i++)
		if (c->zero[i])
			return true;
	return false;
}

/* Packed: dense, or a bitmap with a bit for each site that goes or stays and the weights that are
 * left, whichever is smaller. */
static int64_t weight_bytes(const struct pare_model *m, int layer, const struct pare_dials *d)
{
	const struct pare_layer *l = pare_model_layer(m, layer);
	const struct pare_codes *stored = pare_stored_codes(m, layer, d);
	const struct pare_format *f = &pare_formats[d->weights];
	struct pare_lay lay = pare_lay_over(m, layer, d->pattern);
	int64_t left = l->weights - pare_lay_weights_gone(&lay, d->sparsity);
	int64_t dense = l->weights * f->bits, sparse = lay.strips * lay.sites + left * f->bits;
	int64_t bytes = ((dense < sparse ? dense : sparse) + 7) / 8;

	if (stored)
		bytes += stored->n * pare_schemes[d->scheme].scale_bytes +
			 (has_zeros(stored) ? (stored->n * f->bits + 7) / 8 : 0);
	else if (f->kind == PARE_KIND_INT) {
		struct pare_grid g = pare_plan_grid(l, d);
		int64_t n = pare_grid_scales(&g);

		bytes += n * g.scheme->scale_bytes;
		bytes += g.scheme->zeros ? (n * f->bits + 7) / 8 : 0;
	}
	if (d->activations)
		bytes += pare_rangings[d->ranging].bytes;
	return bytes;
}

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
	struct pare_model *m = NULL;
	enum pare_status st = pare_plan_shapes(whole, p, &m, err);

	if (st)
		return st;
	*out = weight_bytes(m, layer, &p->dials[layer]);
	pare_model_free(m);
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
	struct pare_model *m = NULL;
	struct pare_exits x;
	int64_t heads = 0;
	enum pare_status st =
		a ? pare_plan_shapes(whole, p, &m, err) : pare_nomem(err, "the exits of a plan");

	if (!st)
		st = pare_exits_place(m, p, a, &x, err);
	if (!st) {
		for (int i = 0; i < x.n; i++) {
			heads += x.head[i].features * x.head[i].answers;
			out[i] = (struct pare_exit){ x.head[i].layer,
				macs_until(m, x.head[i].var) + heads, NAN };
		}
		out[x.n] = (struct pare_exit){ -1, m->info.macs + heads, x.n ? NAN : 1 };
		*n = x.n + 1;
	}
	pare_model_free(m);
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
	struct pare_write_spec *spec, struct pare_cost *c, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	int choice[PARE_MAX_EXITS];
	struct pare_model *joined = NULL;
	struct pare_exits x = { .n = 0 };
	enum pare_status st =
		a ? pare_exits_place(m, p, a, &x, err) : pare_nomem(err, "the cost of a plan");

	if (!st && x.n)
		st = pare_exits_join(m, &x, false, choice, &joined, err);
	for (int i = 0; i < x.n && !st; i++) {
		const struct pare_head *h = &x.head[i];

		c->macs += h->features * h->answers;
		c->bytes += (h->features * h->answers + h->answers + 1) * (int64_t)sizeof(float);
	}
	spec->choice = choice;
	spec->n_choices = x.n;
	if (!st)
		st = pare_onnx_size(joined ? joined : m, spec, &c->file_bytes, err);
	pare_model_free(joined);
	pare_arena_free(a);
	return st;
}

/* Only that a quantizer is there, and how wide, matters to the size.  Layers differ in scale, so
 * none shares a pair with another unless it is the very same input, quantized in the same way. */
static struct pare_act_quant stand_in(const struct pare_dials *d)
{
	struct pare_act_quant a = { .on = d->activations != 0 };

	if (!a.on)
		return a;
	a.dynamic = pare_rangings[d->ranging].dynamic;
	pare_act_codes(&pare_formats[d->activations], &a.lo, &a.hi);
	a.zero = a.dynamic ? 0 : d->calibrator + (d->ranging << 8);
	return a;
}

enum pare_status pare_plan_cost(const struct pare_model *whole, const struct pare_plan *p,
	struct pare_cost *out, struct pare_err *err)
{
	size_t n = (size_t)p->n + PARE_MAX_EXITS;
	struct pare_model *m = NULL;
	struct pare_cost c;
	struct pare_weight_store *store;
	struct pare_act_quant *acts;
	struct pare_model *biased = NULL;
	enum pare_status st = pare_plan_shapes(whole, p, &m, err);

	if (st)
		return st;
	c = (struct pare_cost){ .bytes = m->info.weight_bytes, .macs = m->info.macs };
	store = calloc(n, sizeof *store);
	acts = calloc(n, sizeof *acts);
	for (int i = 0; i < p->n && store && acts; i++) {
		const struct pare_layer *l = pare_model_layer(m, i);
		const struct pare_dials *d = &p->dials[i];

		c.bytes += weight_bytes(m, i, d) - l->weights * (int64_t)sizeof(float);
		if (pare_plan_adds_bias(m, p, i))
			c.bytes += l->weight.d[l->out_axis] * (int64_t)sizeof(float);
		store[i] = pare_plan_store(m, i, d);
		acts[i] = pare_stored_act(m, i, d) ? *pare_stored_act(m, i, d) : stand_in(d);
	}
	if (store && acts) {
		/* any recipe's hash is as long as another's */
		static const char some_sha[] =
			"0000000000000000000000000000000000000000000000000000000000000000";
		struct pare_write_spec spec = {
			.weights = store, .acts = acts, .recipe_sha = some_sha
		};

		st = with_biases(m, p, &biased, err);
		if (!st)
			st = joined_cost(biased ? biased : m, p, &spec, &c, err);
	} else
		st = pare_nomem(err, "the cost of a plan");
	free(store);
	free(acts);
	pare_model_free(biased);
	pare_model_free(m);
	if (!st)
		*out = c;
	return st;
}
