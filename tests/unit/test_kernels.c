#include "engine/base/rng.h"
#include "engine/run/kernels.h"
#include "tests/tap.h"
#include <math.h>

/* Everything here is held against sums written out as the definition says, in double. */

static float *randoms(struct pare_arena *a, struct pare_rng *r, size_t n)
{
	float *p = pare_alloc_n(a, n, sizeof *p);

	for (size_t i = 0; i < n; i++)
		p[i] = (float)pare_rng_normal(r);
	return p;
}

struct at {
	int g, o, z, y, x, lane;
};

static double want_at(const struct pare_conv *v, const float *w, const float *bias, const float *x,
	int lanes, struct at p)
{
	double sum = bias ? bias[p.g * v->o + p.o] : 0;
	const float *tap =
		w + (size_t)(p.g * v->o + p.o) * v->c * v->kernel[0] * v->kernel[1] * v->kernel[2];

	for (int c = 0; c < v->c; c++)
		for (int i = 0; i < v->kernel[0]; i++)
			for (int j = 0; j < v->kernel[1]; j++)
				for (int k = 0; k < v->kernel[2]; k++, tap++) {
					int z = p.z * v->stride[0] - v->pad[0] + i * v->dilation[0];
					int y = p.y * v->stride[1] - v->pad[1] + j * v->dilation[1];
					int u = p.x * v->stride[2] - v->pad[2] + k * v->dilation[2];
					size_t plane = (size_t)(p.g * v->c + c) * v->in[0] + z;

					if (z < 0 || z >= v->in[0] || y < 0 || y >= v->in[1] ||
						u < 0 || u >= v->in[2])
						continue;
					sum += *tap *
					       x[((plane * v->in[1] + y) * v->in[2] + u) * lanes +
						       p.lane];
				}
	return sum;
}

/* The same numbers in memory that ends with them. */
static float *exactly(const float *from, size_t n)
{
	return memcpy(malloc(n * sizeof *from), from, n * sizeof *from);
}

/* Largest error of a convolution with everything that may come after it, over the spread of its
 * results; of samples side by side, or of one alone. */
static double error_of(const struct pare_kernels *k, bool alone, const struct pare_conv *geometry,
	uint64_t seed, int with_add, float lo, float hi)
{
	int lanes = alone ? 1 : k->lanes;
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(seed, 1);
	struct pare_conv v = *geometry;
	struct pare_err err = { 0 };
	size_t in = (size_t)v.groups * v.c * v.in[0] * v.in[1] * v.in[2];
	size_t out = (size_t)v.groups * v.o * v.out[0] * v.out[1] * v.out[2];
	size_t kernel = (size_t)v.kernel[0] * v.kernel[1] * v.kernel[2];
	float *w = randoms(a, &r, (size_t)v.groups * v.o * v.c * kernel);
	float *bias = seed % 3 ? randoms(a, &r, (size_t)v.groups * v.o) : NULL;
	float *x = randoms(a, &r, in * lanes), *y = randoms(a, &r, out * lanes);
	struct pare_finish f = { with_add ? randoms(a, &r, out * lanes) : NULL, lo, hi };
	double worst = 0, power = 0;
	struct at p = { 0 };
	size_t i = 0;

	if ((alone ? pare_wide_plan : pare_conv_plan)(k, &v, w, bias, a, &err)) {
		printf("# %s\n", err.text);
		return INFINITY;
	}
	if (alone) {
		x = exactly(x, in);
		y = exactly(y, out);
	}
	pare_conv_run(k, &v, x, y, &f, pare_alloc(a, pare_conv_scratch(k, &v)));
	v = *geometry;
	for (p.g = 0; p.g < v.groups; p.g++)
		for (p.o = 0; p.o < v.o; p.o++)
			for (p.z = 0; p.z < v.out[0]; p.z++)
				for (p.y = 0; p.y < v.out[1]; p.y++)
					for (p.x = 0; p.x < v.out[2]; p.x++)
						for (p.lane = 0; p.lane < lanes; p.lane++, i++) {
							double want =
								want_at(&v, w, bias, x, lanes, p);

							power += want * want;
							want += f.add ? f.add[i] : 0;
							want = fmin(fmax(want, lo), hi);
							worst = fmax(worst, fabs(y[i] - want));
						}
	if (alone) {
		free(x);
		free(y);
	}
	pare_arena_free(a);
	return worst / sqrt(power / (double)i);
}

static double conv_error(const struct pare_kernels *k, const struct pare_conv *v, uint64_t seed,
	int with_add, float lo, float hi)
{
	return error_of(k, false, v, seed, with_add, lo, hi);
}

static struct pare_conv square(int groups, int c, int o, int size, int kernel, int stride, int pad)
{
	int out = (size + 2 * pad - kernel) / stride + 1;

	return (struct pare_conv){ .groups = groups,
		.c = c,
		.o = o,
		.in = { 1, size, size },
		.out = { 1, out, out },
		.kernel = { 1, kernel, kernel },
		.stride = { 1, stride, stride },
		.dilation = { 1, 1, 1 },
		.pad = { 0, pad, pad } };
}

static void convolutions_are_their_sums(const struct pare_kernels *k)
{
	struct pare_conv odd = square(2, 5, 7, 11, 3, 1, 1), deep = square(1, 3, 5, 6, 3, 1, 1);
	struct pare_conv line = square(1, 4, 9, 1, 1, 1, 0), rough = square(1, 3, 4, 13, 3, 1, 0);
	struct pare_conv wide = square(3, 1, 1, 9, 5, 1, 2);
	struct {
		const char *what;
		struct pare_conv v;
	} rows[] = {
		{ "3x3", square(1, 16, 16, 32, 3, 1, 1) },
		{ "3x3, many terms", square(1, 70, 19, 8, 3, 1, 1) },
		{ "3x3 stride 2", square(1, 16, 32, 16, 3, 2, 1) },
		{ "1x1", square(1, 37, 23, 9, 1, 1, 0) },
		{ "1x1, many pixels", square(1, 64, 13, 48, 1, 1, 0) },
		{ "1x1 stride 2", square(1, 16, 11, 15, 1, 2, 0) },
		{ "1x1 stride 3 with pads", square(1, 4, 11, 7, 1, 3, 2) },
		{ "5x5 with wide pads", square(1, 2, 3, 4, 5, 1, 4) },
		{ "a kernel that covers its input", square(1, 9, 50, 4, 4, 1, 0) },
		{ "product", square(1, 700, 131, 1, 1, 1, 0) },
		{ "one channel", square(1, 1, 1, 5, 3, 1, 0) },
		{ "depthwise 3x3", square(19, 1, 1, 12, 3, 1, 1) },
		{ "depthwise 3x3 stride 2", square(6, 1, 1, 13, 3, 2, 1) },
		{ "depthwise 3x3 on 2x2", square(6, 1, 1, 2, 3, 1, 1) },
		{ "depthwise 3x3 on 1x1, stride 1", square(3, 1, 1, 1, 3, 1, 1) },
		{ "depthwise 3x3 on 5x5", square(3, 1, 1, 5, 3, 1, 1) },
		{ "depthwise 3x3 on 7x7", square(3, 1, 1, 7, 3, 1, 1) },
		{ "depthwise 3x3 on 3x3", square(3, 1, 1, 3, 3, 1, 1) },
		{ "depthwise 3x3 without padding", square(3, 1, 1, 8, 3, 1, 0) },
		{ "depthwise 3x3, wide padding", square(3, 1, 1, 6, 3, 1, 2) },
		{ "depthwise 3x3 on 1x1", square(6, 1, 1, 1, 3, 2, 1) },
		{ "depthwise 5x5", square(6, 1, 1, 9, 5, 1, 2) },
		{ "depthwise, multiplier 2", square(4, 1, 2, 9, 3, 1, 1) },
		{ "groups of odd widths", odd },
		{ "three axes", deep },
		{ "one axis", line },
		{ "dilated, uneven pads", rough },
		{ "depthwise, dilated, uneven strides", wide },
		{ "3x3, strips", square(1, 64, 9, 60, 3, 1, 1) },
		{ "5x5 stride 2, strips", square(2, 32, 3, 71, 5, 2, 2) },
		{ "depthwise, strips", square(2, 1, 1, 300, 3, 1, 1) },
		{ "1x1 on 32x32", square(1, 40, 9, 32, 1, 1, 0) },
		{ "one output of many channels", square(1, 40, 1, 20, 1, 1, 0) },
		{ "3x3, more channels than weights that stay", square(1, 96, 96, 7, 3, 1, 1) },
	};

	deep.in[0] = 5;
	deep.kernel[0] = 3;
	deep.stride[0] = 2;
	deep.pad[0] = 1;
	deep.out[0] = 3;
	line.in[2] = 40;
	line.kernel[2] = 7;
	line.pad[2] = 3;
	line.out[2] = 40;
	rough.dilation[1] = 2;
	rough.dilation[2] = 3;
	rough.pad[1] = 3;
	rough.out[1] = 13 + 3 - 4; /* nothing behind */
	rough.out[2] = 13 - 6;
	wide.dilation[1] = wide.dilation[2] = 2;
	wide.stride[2] = 2;
	wide.out[1] = 9 + 4 - 8;
	wide.out[2] = (9 + 4 - 9) / 2 + 1;
	rows[18].v = deep;
	rows[19].v = line;
	rows[20].v = rough;
	rows[21].v = wide;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double e = conv_error(k, &rows[i].v, i, 0, -INFINITY, INFINITY);
		double f = conv_error(k, &rows[i].v, i + 1, 1, 0, 6);

		ok(e < 1e-5 && f < 1e-5, "%s: %s: %.1e, with add and clamp %.1e", k->isa,
			rows[i].what, e, f);
		e = error_of(k, true, &rows[i].v, i, 0, -INFINITY, INFINITY);
		f = error_of(k, true, &rows[i].v, i + 1, 1, 0, 6);
		ok(e < 1e-5 && f < 1e-5, "%s, alone: %s: %.1e, with add and clamp %.1e", k->isa,
			rows[i].what, e, f);
	}
}

static void every_width_has_its_tile(const struct pare_kernels *k)
{
	double worst = 0;

	for (int o = 1; o <= 40; o++) {
		struct pare_conv v = square(1, 3, o, 5, 3, 1, 1);
		struct pare_conv p = square(1, 30, o, 1, 1, 1, 0);

		worst = fmax(worst, conv_error(k, &v, 7, 1, -1, 1));
		worst = fmax(worst, conv_error(k, &p, 7, 1, -1, 1));
		worst = fmax(worst, error_of(k, true, &v, 7, 1, -1, 1));
		worst = fmax(worst, error_of(k, true, &p, 7, 1, -1, 1));
	}
	ok(worst < 1e-5, "%s: 1 to 40 output channels: %.1e", k->isa, worst);
}

static void finish_adds_and_clamps(const struct pare_kernels *k)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(1, 1);
	size_t n = 1001;
	float *x = randoms(a, &r, n), *add = randoms(a, &r, n), *y = randoms(a, &r, n);
	struct pare_finish f = { add, -.5f, .75f };
	int good = 1;

	x[3] = x[1000] = NAN;
	k->finish(x, y, n, &f);
	for (size_t i = 0; i < n; i++)
		good &= isnan(x[i]) ? isnan(y[i]) : y[i] == fminf(fmaxf(x[i] + add[i], -.5f), .75f);
	ok(good, "%s: x + add, clamped; NaN passes", k->isa);
	pare_arena_free(a);
}

static void quantize_rounds_to_even(const struct pare_kernels *k)
{
	struct pare_arena *a = pare_arena_new();
	size_t n = 1003;
	float *x = pare_alloc_n(a, n, 4), *y = pare_alloc_n(a, n, 4);
	int good = 1;

	for (size_t i = 0; i < n; i++)
		x[i] = ((float)i - 500) * .25f; /* halves of the scale are there */
	x[0] = 1e30f;
	x[1] = -INFINITY;
	k->quantize(x, y, n, .5f, -3, -128, 127);
	for (size_t i = 0; i < n; i++) {
		double q = fmin(fmax(nearbyint((double)x[i] / .5) - 3, -128), 127);

		good &= y[i] == (float)((q + 3) * .5);
	}
	ok(good, "%s: quantize", k->isa);
	pare_arena_free(a);
}

static void lanes_go_in_and_out(const struct pare_kernels *k)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(1, 1);
	size_t n = 77;
	float *x = randoms(a, &r, n * k->lanes), *y = randoms(a, &r, n * k->lanes);
	float *z = randoms(a, &r, n * k->lanes);
	int good = 1;

	for (int count = 1; count <= k->lanes; count++) {
		k->lanes_in(x, n, count, y);
		for (size_t i = 0; i < n; i++)
			for (int l = 0; l < k->lanes; l++)
				good &= y[i * k->lanes + l] == x[(l < count ? l : 0) * n + i];
		memset(z, 0, n * k->lanes * sizeof *z);
		k->lanes_out(y, n, count, z);
		good &= !memcmp(x, z, n * count * sizeof *x);
		good &= count == k->lanes || z[n * count] == 0;
	}
	ok(good, "%s: samples to lanes and back, missing ones repeat the first", k->isa);
	pare_arena_free(a);
}

/* Largest error of a [m][terms] by b [terms][n], every lane by itself or one alone. */
static double product_error(const struct pare_kernels *k, bool alone, int m, int n, int terms)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_rng r = pare_rng_seed(5, 1);
	size_t lanes = alone ? 1 : (size_t)k->lanes, out = (size_t)(m * n) * lanes;
	float *x = randoms(a, &r, (size_t)(m * terms) * lanes);
	float *y =
		exactly(randoms(a, &r, (size_t)(terms * n) * lanes), (size_t)(terms * n) * lanes);
	float *z = randoms(a, &r, out),
	      *b = pare_alloc_n(a, (size_t)(terms * n) * lanes, sizeof *b);
	struct pare_finish f = { randoms(a, &r, out), -9, 9 };
	struct pare_wide_side side = { x, (size_t)terms, 1, 1 };
	struct pare_conv v;
	double worst = 0;

	memcpy(b, y, (size_t)(terms * n) * lanes * sizeof *b);
	if (!alone)
		k->each(x, b, m, n, terms, z, &f);
	else if (pare_wide_product_plan(k, &v, m, n, terms, a, NULL))
		worst = INFINITY;
	else
		pare_wide_product_run(
			k, &v, &side, y, z, &f, pare_alloc(a, pare_wide_product_scratch(k, &v)));
	for (size_t i = 0; i < out; i++) {
		size_t l = i % lanes, row = i / lanes / n, column = i / lanes % n;
		double want = f.add[i];

		for (size_t j = 0; j < (size_t)terms; j++)
			want += (double)x[(row * terms + j) * lanes + l] *
				y[(j * n + column) * lanes + l];
		worst = fmax(worst, fabs(z[i] - fmin(fmax(want, -9), 9)));
	}
	free(y);
	pare_arena_free(a);
	return worst;
}

static void products_of_samples(const struct pare_kernels *k)
{
	static const int sizes[][3] = { { 1, 1, 1 }, { 7, 9, 5 }, { 6, 4, 33 }, { 1, 640, 128 },
		{ 13, 128, 40 }, { 3, 200, 9 }, { 9, 1024, 3 }, { 20, 30, 700 } };
	double worst = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int alone = 0; alone < 2; alone++)
			worst = fmax(worst,
				product_error(k, alone, sizes[i][0], sizes[i][1], sizes[i][2]));
	ok(worst < 1e-4, "%s: products of two activations: %.1e", k->isa, worst);
}

static void absurd_sizes_are_refused(void)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_conv v = square(1, 1 << 20, 1, 1 << 10, 3, 1, 1);
	struct pare_err err = { 0 };
	float w = 0;

	ok(pare_conv_plan(pare_kernels_best(), &v, &w, NULL, a, &err) == PARE_E_UNSUPPORTED,
		"a strip of more than 2^31 floats is refused: %s", err.text);
	pare_arena_free(a);
}

int main(void)
{
	for (int i = 0; pare_kernels_row(i); i++) {
		const struct pare_kernels *k = pare_kernels_row(i);

		convolutions_are_their_sums(k);
		every_width_has_its_tile(k);
		products_of_samples(k);
		finish_adds_and_clamps(k);
		quantize_rounds_to_even(k);
		lanes_go_in_and_out(k);
	}
	absurd_sizes_are_refused();
	return tap_done();
}
