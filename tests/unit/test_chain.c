/* Chains against the same convolutions one after the other: the same bits. */
#include "engine/base/rng.h"
#include "engine/run/program.h"
#include "tests/build.h"
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

/* 1x1, depthwise, 1x1.  `apart`: what lies between them goes out as well, so that no chain can be.
 */
static struct pare_model *three_layers(bool apart)
{
	struct build *b = build_new(13);

	build_input(b, "x", 4, -1, 4, 88, 84);
	build_weight(b, "w0", 0.11f, 4, 104, 4, 1, 1);
	build_weight(b, "w1", 0.07f, 4, 104, 1, 3, 3);
	build_weight(b, "w2", 0.05f, 4, 7, 104, 1, 1);
	build_node(b, "Conv", "", "x w0", "a");
	build_node(b, "Relu", "", "a", "b");
	build_node(b, "Conv", "", "b w1", "c");
	build_ints(b, "pads", 4, 1, 1, 1, 1);
	build_int(b, "group", 104);
	build_node(b, "Relu", "", "c", "d");
	build_node(b, "Conv", "", "d w2", "y");
	build_output(b, "y");
	if (apart) {
		build_output(b, "b");
		build_output(b, "d");
	}
	return build_model(b);
}

static int links(const struct pare_program *p)
{
	int n = 0;

	for (int i = 0; i < p->n_steps; i++)
		n += p->steps[i].chain ? p->steps[i].links : 0;
	return n;
}

/* The first output of samples that differ from lane to lane, malloc'ed; its bytes in *len. */
static float *answers(const struct pare_program *p, size_t *len)
{
	struct pare_frame *f = pare_frame_new(p);
	struct pare_tensor *x = pare_frame_input(f, 0);
	const struct pare_tensor *y = pare_frame_output(f, 0);
	struct pare_rng r = pare_rng_seed(3, 1);
	struct pare_err err = { 0 };
	float *out;

	for (int64_t i = 0; i < pare_shape_elems(&x->shape) * x->lanes; i++)
		x->f32[i] = (float)pare_rng_normal(&r);
	ok_status(pare_program_run(p, f, 0, pare_program_steps(p), &err), err, "it runs");
	*len = (size_t)pare_shape_elems(&y->shape) * (size_t)y->lanes * sizeof *out;
	out = malloc(*len);
	memcpy(out, y->f32, *len);
	pare_frame_free(f);
	return out;
}

/* `acts`: of the three layers.  `like`: the program may take what it can from one without any. */
static void a_network_gives_the_same_bits(
	const char *what, const struct pare_act_quant *acts, int want_links, bool like)
{
	struct pare_model *m = three_layers(false), *apart = three_layers(true);
	struct pare_program_spec spec = { 0 };
	struct pare_program *p = NULL, *q = NULL, *plain = NULL;
	struct pare_err err = { 0 };
	size_t n = 0, k = 0;
	float *x, *y;

	if (like)
		ok_status(pare_program_new(m, &spec, &plain, &err), err, "a program without");
	spec.acts = acts;
	ok_status(pare_program_new(apart, &spec, &q, &err), err, "one after the other");
	spec.like = plain;
	ok_status(pare_program_new(m, &spec, &p, &err), err, "a program");
	ok(links(p) == want_links && !links(q), "%s: %d steps are linked, %d where all goes out",
		what, links(p), links(q));
	x = answers(p, &n);
	y = answers(q, &k);
	ok(n == k && !memcmp(x, y, n), "%s: the same bits", what);
	free(x);
	free(y);
	pare_program_free(p);
	pare_program_free(q);
	pare_program_free(plain);
	pare_model_free(m);
	pare_model_free(apart);
}

static void networks_run_in_chains(void)
{
	struct pare_act_quant fixed = {
		.on = true, .scale = 0.05f, .zero = 3, .lo = -128, .hi = 127
	};
	struct pare_act_quant moves = { .on = true, .lo = -128, .hi = 127, .dynamic = true };
	struct pare_act_quant none[3] = { 0 }, all[3] = { fixed, fixed, fixed };
	struct pare_act_quant middle[3] = { fixed, moves, fixed };
	struct pare_act_quant last[3] = { fixed, fixed, moves };

	a_network_gives_the_same_bits("floats", none, 3, false);
	a_network_gives_the_same_bits("quantizers", all, 3, true);
	a_network_gives_the_same_bits("bounds of the last as it goes", last, 2, false);
	a_network_gives_the_same_bits("bounds of the last, like one without", last, 2, true);
	a_network_gives_the_same_bits("bounds between them", middle, 0, true);
}

int main(void)
{
	for (int i = 0; pare_kernels_row(i); i++)
		for (size_t j = 0; j < sizeof cases / sizeof *cases; j++)
			a_chain_gives_the_same_bits(pare_kernels_row(i), &cases[j]);
	what_fits_the_cache_is_left_alone();
	networks_run_in_chains();
	return tap_done();
}
