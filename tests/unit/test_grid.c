/* Grids of weights: groups, zero points, powers of two; each against a search that leaves nothing
 * out, and all of them carried out on a network. */
#include "engine/quantize/quantize.h"
#include "tests/network.h"
#include <math.h>

static struct pare_grid grid(struct pare_channels c, const char *scheme, int lo, int hi)
{
	struct pare_grid g = { .channels = c,
		.group = c.outer * c.inner,
		.n_groups = 1,
		.lo = lo,
		.hi = hi,
		.scheme = &pare_schemes[pare_method_find(PARE_SCHEME, scheme)] };

	return g;
}

static void grids_are_exact(void)
{
	/* weights that lie on an int4 grid come back unchanged */
	struct pare_grid g = grid((struct pare_channels){ 1, 1, 16 }, "symmetric", -8, 7);
	float w[16], scale, out[16];
	int8_t q[16], zero;
	struct pare_err err = { 0 };

	for (int i = 0; i < 16; i++)
		w[i] = 0.25f * (float)(i - 8);
	ok_status(pare_grid_round(w, &g, &scale, &zero, q, out, &err), err, "rounds");
	ok(fabsf(scale - 0.25f) < 1e-6f && !zero, "the grid's step is found: %g", (double)scale);
	ok(!memcmp(w, out, sizeof w), "and every weight stays");
	ok(q[0] == -8 && q[15] == 7, "the range is -8 to 7");
	for (int i = 0; i < 16; i++)
		w[i] = 0.25f * (float)(i - 3); /* -0.75 to 3: zero is code -5 */
	g.scheme = &pare_schemes[pare_method_find(PARE_SCHEME, "asymmetric")];
	ok_status(pare_grid_round(w, &g, &scale, &zero, q, out, &err), err, "rounds");
	ok(!memcmp(w, out, sizeof w) && zero == -5, "with a zero point: %d", zero);
}

static void channels_are_apart(void)
{
	/* [2][3][2] by axis 1: a channel is every third pair */
	float w[12] = { 1, 1, 10, 10, 0, 0, -1, .5f, 20, -20, 0, 0 }, scale[3], out[12];
	int8_t q[12], zero[3];
	struct pare_shape s = { 3, { 2, 3, 2 } };
	struct pare_grid g = pare_grid_of(&s, 1, 0, 0, -127, 127);
	struct pare_err err = { 0 };

	ok(g.channels.outer == 2 && g.channels.channels == 3 && g.channels.inner == 2,
		"axis 1 of [2,3,2]");
	ok_status(pare_grid_round(w, &g, scale, zero, q, out, &err), err, "rounds");
	ok(fabsf(scale[0] - 1.f / 127) < 1e-3f && fabsf(scale[1] - 20.f / 127) < 1e-2f,
		"a scale for each");
	ok(scale[2] == 1 && !q[4] && !out[4], "zeros stay zeros");
}

/* 40 weights of a channel in groups of 16: the last has 8, and each lies on a grid of its own. */
static void groups_are_apart(void)
{
	struct pare_shape s = { 2, { 40, 3 } }; /* of a matrix product: channels along axis 1 */
	struct pare_grid g =
		pare_grid_of(&s, 1, pare_method_find(PARE_GRANULARITY, "per-group 16"), 0, -8, 7);
	static const float step[3] = { .5f, 4, .125f };
	float w[120], scale[9], out[120];
	int8_t q[120], zero[9];
	struct pare_err err = { 0 };
	int good = 1;

	for (int i = 0; i < 40; i++)
		for (int c = 0; c < 3; c++)
			w[i * 3 + c] = step[i / 16] * (float)(c + 1) * (float)(i % 16 % 8 * 2 - 8);
	ok(g.n_groups == 3 && pare_grid_scales(&g) == 9, "three groups, nine scales");
	ok_status(pare_grid_round(w, &g, scale, zero, q, out, &err), err, "rounds");
	for (int i = 0; i < 9; i++) /* the codes are even, so twice the step fits as well */
		good &= fabsf(scale[i] / (step[i % 3] * (float)(i / 3 + 1)) - 1) < 1e-6f ||
			fabsf(scale[i] / (step[i % 3] * (float)(i / 3 + 1)) - 2) < 1e-6f;
	ok(good && !memcmp(w, out, sizeof w), "each group has its own");
}

static double error_of(const float *w, int n, double scale, int zero, int lo, int hi)
{
	double e = 0;

	for (int i = 0; i < n; i++) {
		double q = fmin(fmax(rint((double)w[i] / scale) + zero, lo), hi);
		double d = (double)w[i] - (q - zero) * scale;

		e += d * d;
	}
	return e;
}

/* Every scale of a fine sweep with every zero point. */
static double least_error(const float *w, int n, float top, int lo, int hi, bool zeros)
{
	double best = INFINITY;

	for (int k = 1; k <= 2000; k++)
		for (int z = zeros ? lo : 0; z <= (zeros ? hi : 0); z++)
			best = fmin(best, error_of(w, n, (double)top * k / 2000, z, lo, hi));
	return best;
}

static void schemes_find_the_best(void)
{
	struct pare_rng r = pare_rng_seed(3, 1);

	for (int t = 0; t < 6; t++) {
		const struct pare_scheme *s = pare_schemes;
		float w[60], top = 0, scale;
		double lean = 0.5 * t, best, got, sym;
		int8_t zero;

		for (int i = 0; i < 60; i++) {
			w[i] = (float)(pare_rng_normal(&r) + lean);
			top = fmaxf(top, fabsf(w[i]));
		}
		s[0].choose(w, 60, -8, 7, &scale, &zero);
		sym = error_of(w, 60, (double)scale, zero, -8, 7);
		s[1].choose(w, 60, -8, 7, &scale, &zero);
		got = error_of(w, 60, (double)scale, zero, -8, 7);
		best = least_error(w, 60, top / 5, -8, 7, true);
		ok(got <= best * 1.1 && got <= sym,
			"lean %.1f: asymmetric %.4g, best %.4g, "
			"symmetric %.4g",
			lean, got, best, sym);
		s[2].choose(w, 60, -8, 7, &scale, &zero);
		got = error_of(w, 60, (double)scale, zero, -8, 7);
		best = INFINITY;
		for (int e = -10; e < 10; e++)
			best = fmin(best, error_of(w, 60, ldexp(1, e), 0, -8, 7));
		ok(got <= best * 1.0001 && !zero, "power of two: %g is the best of them",
			(double)scale);
	}
}

/* ---- on a network ------------------------------------------------------------------------------
 */

static struct pare_plan *plan_of(const char *format, int granularity, int scheme, int rounding)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find(format);
		p->dials[i].granularity = (uint8_t)granularity;
		p->dials[i].scheme = (uint8_t)scheme;
		p->dials[i].rounding = (uint8_t)rounding;
	}
	return p;
}

static double worst_snr(const struct pare_variant *v)
{
	double worst = INFINITY;

	for (int i = 0; i < TINY_LAYERS; i++)
		worst = fmin(worst, pare_variant_weight_snr(v, i));
	return worst;
}

/* Sizes are known beforehand, and nothing looks worse than it should, whatever is combined. */
static void every_grid_is_carried_out(const struct network *t)
{
	for (int g = 0; pare_method_name(PARE_GRANULARITY, g); g++)
		for (int s = 0; pare_method_name(PARE_SCHEME, s); s++)
			for (int wide = 0; wide < 2; wide++) {
				struct pare_plan *p = plan_of(wide ? "int8" : "int4", g, s,
					pare_method_find(PARE_ROUNDING, wide ? "gptq" : "nearest"));
				char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
				struct pare_variant *v = NULL;
				struct pare_err err = { 0 };
				struct pare_cost cost;
				int64_t bytes;

				pare_sha256("x", 1, recipe);
				ok_status(pare_variant_new(t->m, p, t->c, NULL, &v, &err), err,
					"%s, %s", pare_method_name(PARE_GRANULARITY, g),
					pare_method_name(PARE_SCHEME, s));
				ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err,
					"is written");
				ok_status(pare_plan_cost(t->m, p, &cost, &err), err, "costs");
				ok(cost.file_bytes == bytes, "%lld bytes, said %lld",
					(long long)bytes, (long long)cost.file_bytes);
				ok(worst_snr(v) > (wide ? 28 : 8), "worst layer %.1f dB",
					worst_snr(v));
				pare_variant_free(v);
				pare_plan_free(p);
			}
}

/* They were taken for static ones of scale 1, so that gptq saw whole numbers. */
static void dynamic_bounds_are_those_of_samples(const struct network *t)
{
	struct pare_plan *p = plan_of("int8", 0, 0, pare_method_find(PARE_ROUNDING, "gptq"));
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].ranging = (uint8_t)pare_method_find(PARE_RANGING, "dynamic");
	}
	ok_status(pare_variant_new(t->m, p, t->c, NULL, &v, &err), err, "dynamic bounds");
	ok(worst_snr(v) > 28, "worst layer %.1f dB", worst_snr(v));
	pare_variant_free(v);
	pare_plan_free(p);
}

static void zeros_stay(const struct network *t)
{
	struct pare_plan *p = plan_of("int4", pare_method_find(PARE_GRANULARITY, "per-group 16"),
		pare_method_find(PARE_SCHEME, "asymmetric"),
		pare_method_find(PARE_ROUNDING, "gptq"));
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	for (int i = 0; i < TINY_LAYERS; i++)
		p->dials[i].sparsity = .5f;
	ok_status(pare_variant_new(t->m, p, t->c, NULL, &v, &err), err, "half of them pruned");
	for (int i = 0; i < TINY_LAYERS; i++) {
		const float *w = pare_model_weights(pare_variant_model(v), i);
		int64_t n = pare_model_layer(t->m, i)->weights, zeros = 0;

		for (int64_t k = 0; k < n; k++)
			zeros += w[k] == 0;
		ok(zeros >= n / 2, "layer %d: %lld of %lld weights are 0", i, (long long)zeros,
			(long long)n);
	}
	pare_variant_free(v);
	pare_plan_free(p);
}

int main(void)
{
	struct network t = { 0 };

	grids_are_exact();
	channels_are_apart();
	groups_are_apart();
	schemes_find_the_best();
	if (!network_open(&t))
		return 1;
	every_grid_is_carried_out(&t);
	dynamic_bounds_are_those_of_samples(&t);
	zeros_stay(&t);
	network_close(&t);
	return tap_done();
}
