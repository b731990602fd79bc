/* Chains against the same convolutions one after the other: the same bits. */
#include "engine/base/rng.h"
#include "engine/run/program.h"
#include "tests/tap.h"
#include <math.h>

struct chain_case {
	const char *name;
	int n, rows, columns;
	struct {
		int groups, c, o, kernel, stride, pad;
	} conv[PARE_CHAIN_MOST];
	bool add, quantized;
};

static const struct chain_case cases[] = {
	{ "1x1, depthwise, 1x1", 3, 75, 70,
		{ { 1, 5, 107, 1, 1, 0 }, { 107, 1, 1, 3, 1, 1 }, { 1, 107, 7, 1, 1, 0 } }, true,
		false },
	{ "a stride of two, quantizers", 3, 83, 70,
		{ { 1, 4, 100, 1, 1, 0 }, { 100, 1, 1, 3, 2, 1 }, { 1, 100, 9, 1, 1, 0 } }, false,
		true },
	{ "depthwise of 5x5, 3x3 of stride two", 2, 90, 61,
		{ { 103, 1, 1, 5, 1, 2 }, { 1, 103, 6, 3, 2, 1 } }, true, true },
	{ "1x1, depthwise without padding", 2, 77, 73,
		{ { 1, 3, 101, 1, 1, 0 }, { 101, 1, 1, 3, 1, 0 } }, true, false },
};

static float *randoms(struct pare_arena *a, struct pare_rng *r, size_t n)
{
	float *p = pare_alloc_n(a, n, sizeof *p);

	for (size_t i = 0; i < n; i++)
		p[i] = (float)pare_rng_normal(r);
	return p;
}

static size_t elems(const struct pare_conv *v, const int edge[3], int channels)
{
	return (size_t)v->groups * channels * edge[1] * edge[2];
}

/* The geometry of a case, with random weights. */
static void make(const struct chain_case *t, struct pare_conv v[PARE_CHAIN_MOST],
	struct pare_arena *a, struct pare_rng *r)
{
	int edge[3] = { 1, t->rows, t->columns };

	for (int i = 0; i < t->n; i++) {
		int kernel = t->conv[i].kernel, stride = t->conv[i].stride, pad = t->conv[i].pad;

		v[i] = (struct pare_conv){ .groups = t->conv[i].groups,
			.c = t->conv[i].c,
			.o = t->conv[i].o,
			.kernel = { 1, kernel, kernel },
			.stride = { 1, stride, stride },
			.dilation = { 1, 1, 1 },
			.pad = { 0, pad, pad } };
		memcpy(v[i].in, edge, sizeof edge);
		for (int k = 1; k < 3; k++)
			edge[k] = (edge[k] + 2 * pad - kernel) / stride + 1;
		memcpy(v[i].out, edge, sizeof edge);
		v[i].w = randoms(a, r, (size_t)v[i].groups * v[i].c * v[i].o * kernel * kernel);
		v[i].bias = i == 1 ? NULL : randoms(a, r, (size_t)v[i].groups * v[i].o);
	}
}

static void a_chain_gives_the_same_bits(const struct pare_kernels *k, const struct chain_case *t)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(7, 1);
	struct pare_act_quant none = { 0 }, q = {
		.on = t->quantized, .scale = 0.05f, .zero = 3, .lo = -100, .hi = 90
	};
	const struct pare_act_quant *act[] = { &none, &q, &q };
	struct pare_finish f[PARE_CHAIN_MOST];
	struct pare_conv v[PARE_CHAIN_MOST];
	const struct pare_chain *c = NULL;
	struct pare_err err = { 0 };
	float *x, *y, *got;
	size_t n;

	make(t, v, a, &r);
	n = elems(&v[t->n - 1], v[t->n - 1].out, v[t->n - 1].o) * k->lanes;
	x = randoms(a, &r, elems(v, v->in, v->c) * k->lanes);
	for (int i = 0; i < t->n; i++)
		f[i] = (struct pare_finish){ NULL, i == t->n - 1 ? -INFINITY : 0, 6 };
	f[t->n - 1].add = t->add ? randoms(a, &r, n) : NULL;
	got = randoms(a, &r, n);
	ok_status(pare_chain_plan(k, v, t->n, a, &c, &err), err, "%s: planned", t->name);
	if (!c) {
		ok(0, "%s: %s is run as a chain", k->isa, t->name);
		goto out;
	}
	pare_chain_run(k, c, x, got, act, f, pare_alloc(a, pare_chain_scratch(c)));
	for (int i = 0; i < t->n; i++, x = y) {
		size_t m = elems(&v[i], v[i].out, v[i].o) * k->lanes;
		struct pare_conv p = v[i];

		if (act[i]->on)
			k->quantize(x, x, elems(&v[i], v[i].in, v[i].c) * k->lanes, q.scale, q.zero,
				q.lo, q.hi);
		y = pare_alloc_n(a, m, sizeof *y);
		if (pare_conv_plan(k, &p, v[i].w, v[i].bias, a, &err))
			break;
		pare_conv_run(k, &p, x, y, &f[i], pare_alloc(a, pare_conv_scratch(k, &p)));
	}
	ok(!memcmp(got, x, n * sizeof *x), "%s: %s: the bits of one after the other", k->isa,
		t->name);
out:
	pare_arena_free(a);
}

static void what_fits_the_cache_is_left_alone(void)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(7, 1);
	struct chain_case small = cases[0];
	struct pare_conv v[PARE_CHAIN_MOST];
	const struct pare_chain *c = NULL;
	struct pare_err err = { 0 };

	small.rows = small.columns = 12;
	make(&small, v, a, &r);
	ok_status(pare_chain_plan(pare_kernels_best(), v, small.n, a, &c, &err), err, "planned");
	ok(!c, "small tensors are no chain");
	pare_arena_free(a);
}

int main(void)
{
	for (int i = 0; pare_kernels_row(i); i++)
		for (size_t j = 0; j < sizeof cases / sizeof *cases; j++)
			a_chain_gives_the_same_bits(pare_kernels_row(i), &cases[j]);
	what_fits_the_cache_is_left_alone();
	return tap_done();
}
