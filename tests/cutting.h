/* Networks without some of their channels, for tests: drawn by hand with random weights, cut, and
 * held against the whole network in which nobody looks at those channels. */
#ifndef CUTTING_H
#define CUTTING_H
#include "engine/base/rng.h"
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>

static struct pare_rng rng;

static inline void weight(struct build *b, const char *name, int n, const int64_t *d)
{
	struct pare_shape s = { .n = n };
	float *x;

	memcpy(s.d, d, (size_t)n * sizeof *d);
	x = pare_alloc_n(b->a, (size_t)pare_shape_elems(&s), sizeof *x);
	for (int64_t i = 0; i < pare_shape_elems(&s); i++)
		x[i] = (float)pare_rng_normal(&rng) * .3f;
	build_tensor(b, name, PARE_F32, x, s);
}

/* A convolution of k×k that keeps the size, with bias. */
static inline void conv(struct build *b, const char *name, const char *in, const char *out,
	int channels, int per_group, int k, int groups)
{
	const char *ins = pare_sprintf(b->a, "%s %s.w %s.b", in, name, name);

	weight(b, pare_sprintf(b->a, "%s.w", name), 4, (int64_t[]){ channels, per_group, k, k });
	weight(b, pare_sprintf(b->a, "%s.b", name), 1, (int64_t[]){ channels });
	build_node(b, "Conv", name, ins, out);
	build_ints(b, "pads", 4, k / 2, k / 2, k / 2, k / 2);
	if (groups > 1)
		build_int(b, "group", groups);
}

static inline void numbers(struct build *b, const char *name, int n, const int64_t *v)
{
	build_tensor(b, name, PARE_I64, v, (struct pare_shape){ 1, { n } });
}

static inline void
dense(struct build *b, const char *name, const char *in, const char *out, int k, int n)
{
	weight(b, pare_sprintf(b->a, "%s.w", name), 2, (int64_t[]){ k, n });
	build_node(b, "Gemm", name, pare_sprintf(b->a, "%s %s.w", in, name), out);
}

/* ---- the check --------------------------------------------------------------------------------
 */

/* A recurrent layer does not look at its own units that go. */
static inline void
mask_states(const struct pare_model *m, struct pare_model *out, int node, const bool *keep)
{
	const struct pare_node *n = &m->graph.nodes[node];
	const struct pare_beside *b = n->op ? n->op->beside : NULL;

	for (; b && b->input; b++) {
		const struct pare_var_channels *ch = &m->channels[n->out[n->out[0] < 0]];
		const struct pare_tensor *t = m->graph.vars[n->in[b->input]].declared.value;
		struct pare_new_input to = { node, b->input, NULL };
		float *x;

		if (!b->reads || !ch->n)
			continue;
		to.blob = pare_blob_new((size_t)pare_shape_elems(&t->shape) * sizeof *x);
		x = to.blob->data;
		for (int64_t i = 0; i < pare_shape_elems(&t->shape); i++) {
			int unit = ch->unit[i % ch->n];

			x[i] = unit < 0 || keep[unit] ? t->f32[i] : 0;
		}
		if (pare_model_set_input(out, &to, NULL))
			abort();
		pare_blob_free(to.blob);
	}
}

/* The model with nobody looking at the channels that go. */
static inline struct pare_model *masked(const struct pare_model *m, const bool *keep)
{
	struct pare_blob **w = calloc((size_t)m->info.n_layers + 1, sizeof *w);
	struct pare_model *out = NULL;

	for (int l = 0; l < m->info.n_layers; l++) {
		const struct pare_layer *x = &m->layers[l];
		const struct pare_node *n = &m->graph.nodes[x->node];
		const struct pare_var_channels *in = &m->channels[n->in[0]];
		int64_t len = x->weight.d[x->in_axis],
			inner = pare_shape_span(&x->weight, x->in_axis + 1, x->weight.n);
		float *v;

		if (in->n != len * m->weight_at[l].groups || len == 1)
			continue;
		w[l] = pare_blob_new((size_t)x->weights * sizeof(float));
		v = w[l]->data;
		memcpy(v, pare_model_weights(m, l), w[l]->len);
		for (int64_t i = 0; i < x->weights; i++) {
			int unit = in->unit[i / inner % len];

			if (unit >= 0 && !keep[unit])
				v[i] = 0;
		}
	}
	if (pare_model_with_weights(m, w, NULL, &out, NULL))
		abort();
	free(w);
	for (int i = 0; i < m->graph.n_nodes; i++)
		mask_states(m, out, i, keep);
	return out;
}

static inline struct pare_array input_of(const struct pare_shape *s)
{
	int64_t n = pare_shape_elems(s);
	struct pare_array x = { PARE_F32, *s, malloc((size_t)n * sizeof(float)) };

	for (int64_t i = 0; i < n; i++)
		((float *)x.data)[i] = (float)pare_rng_normal(&rng);
	return x;
}

static inline double difference(const struct pare_model *a, const struct pare_model *b)
{
	struct pare_shape s;
	struct pare_array x, y = { 0 }, z = { 0 };
	struct pare_err err = { 0 };
	double most = 0, size = 0;

	pare_model_sample_shapes(a, &s);
	x = input_of(&s);
	if (pare_model_run(a, &x, &y, &err) || pare_model_run(b, &x, &z, &err)) {
		printf("# %s\n", err.text);
		pare_array_free(&x);
		return INFINITY;
	}
	for (int64_t i = 0; i < pare_shape_elems(&y.shape); i++) {
		most = fmax(
			most, fabs((double)((float *)y.data)[i] - (double)((float *)z.data)[i]));
		size = fmax(size, fabs((double)((float *)y.data)[i]));
	}
	pare_array_free(&x);
	pare_array_free(&y);
	pare_array_free(&z);
	return most / fmax(size, 1);
}

/* Some units of every group at random go; in each kind one stays. */
static inline bool *some(const struct pare_model *m, double share)
{
	bool *keep = calloc((size_t)m->n_units + 1, sizeof *keep);

	for (int i = 0; i < m->n_units; i++)
		keep[i] = pare_rng_unit(&rng) >= share;
	for (int g = 0; g < m->n_groups; g++)
		for (int k = 0; k < m->groups[g].n_kinds; k++)
			for (int u = m->groups[g].first; u < m->n_units; u++)
				if (m->kind[u] == k) {
					keep[u] = true;
					break;
				}
	return keep;
}

/* 0 when the cut network is as good as the masked one; says what it found otherwise. */
static inline bool cuts_well(const struct pare_model *m, double share)
{
	bool *keep = some(m, share), good;
	struct pare_model *cut = NULL, *bare = NULL, *mask = masked(m, keep), *again = NULL;
	struct pare_err err = { 0 };
	void *data;
	size_t len;
	int64_t size = 0;
	double d = INFINITY;

	if (pare_model_without_channels(m, keep, false, &cut, &err) ||
		pare_model_without_channels(m, keep, true, &bare, &err) ||
		pare_onnx_write(cut, NULL, &data, &len, &err) ||
		pare_onnx_size(bare, NULL, &size, &err) ||
		pare_onnx_read(data, len, "cut.onnx", &again, &err)) {
		printf("# %s\n", err.text);
		free(keep);
		pare_model_free(mask);
		pare_model_free(cut);
		pare_model_free(bare);
		return false;
	}
	d = fmax(difference(mask, cut), difference(mask, again));
	good = d <= 1e-4 && size == (int64_t)len && bare->info.macs == cut->info.macs &&
	       cut->info.macs <= m->info.macs && cut->info.params <= m->info.params;
	if (!good)
		printf("# off by %g; file %zu, said %lld\n", d, len, (long long)size);
	free(data);
	free(keep);
	pare_model_free(mask);
	pare_model_free(cut);
	pare_model_free(bare);
	pare_model_free(again);
	return good;
}

static inline void check(struct build *b, int groups, const char *what)
{
	struct pare_model *m = build_model(b);
	bool good = m->n_groups == groups;

	for (int i = 0; i < 6 && good; i++)
		good = cuts_well(m, .1 + .15 * i);
	if (m->n_groups != groups)
		printf("# %d groups\n", m->n_groups);
	for (int i = 0; i < m->info.n_layers && !good; i++)
		printf("# %s: %d %s\n", m->layers[i].name, m->layers[i].group,
			m->layers[i].stuck ? m->layers[i].stuck : "");
	ok(good, "%s", what);
	pare_model_free(m);
}

#endif
