#include "engine/base/rng.h"
#include "engine/prune/prune.h"
#include "engine/quantize/quantize.h"
#include "engine/run/program.h"
#include "tests/tap.h"
#include <math.h>

static double error_of(const float *w, int n, float scale, int lo, int hi)
{
	double e = 0;

	for (int i = 0; i < n; i++) {
		double q = rint((double)w[i] / (double)scale);

		q = q < lo ? lo : q > hi ? hi : q;
		e += ((double)w[i] - q * (double)scale) * ((double)w[i] - q * (double)scale);
	}
	return e;
}

/* Against a sweep so fine that nothing better is left. */
static void scale_is_the_best_there_is(void)
{
	struct pare_rng r = pare_rng_seed(1, 1);

	for (int k = 0; pare_formats[k].name; k++) {
		int lo = pare_formats[k].lo, hi = pare_formats[k].hi;
		float w[200], top = 0, s;
		double best = INFINITY, got;

		if (!hi)
			continue;
		for (int i = 0; i < 200; i++) {
			w[i] = (float)pare_rng_normal(&r);
			top = fmaxf(top, fabsf(w[i]));
		}
		for (int i = 1; i <= 20000; i++)
			best = fmin(
				best, error_of(w, 200, top / (float)hi * 1.2f * (float)i / 20000,
					      lo, hi));
		s = pare_scale_mse(w, 200, lo, hi);
		got = error_of(w, 200, s, lo, hi);
		ok(got <= best * 1.05, "%s: error %.4g within 5 %% of the best possible %.4g",
			pare_formats[k].name, got, best);
	}
}

static void zero_lies_on_the_grid(void)
{
	const struct pare_format *int8 = &pare_formats[pare_format_find("int8")];
	struct pare_range r = {
		.min = -1.3f, .max = 4.7f, .moving_min = -1.3f, .moving_max = 4.7f
	};
	struct pare_act_quant a;

	for (int i = 0; i < PARE_BINS; i++)
		r.count[i] = 1;
	for (int k = 0; pare_calibrators[k].name; k++) {
		a = pare_act_quant_of(&r, &pare_calibrators[k], pare_rangings, int8);
		ok(a.on && a.lo == -128 && a.hi == 127 && a.zero >= a.lo && a.zero <= a.hi,
			"%s: bounds of int8", pare_calibrators[k].name);
		ok(fabsf((float)(a.hi - a.zero) * a.scale - 4.7f) < 0.2f &&
				fabsf((float)(a.lo - a.zero) * a.scale + 1.3f) < 0.2f,
			"%s: a flat histogram keeps its ends", pare_calibrators[k].name);
	}
	r = (struct pare_range){ .min = INFINITY, .max = -INFINITY };
	a = pare_act_quant_of(&r, &pare_calibrators[0], pare_rangings, int8);
	ok(a.scale == 1, "nothing seen: a grid that does no harm");
}

static const struct pare_ranging *ranging(const char *name)
{
	return &pare_rangings[pare_method_find(PARE_RANGING, name)];
}

static void rangings_are_what_they_say(void)
{
	const struct pare_format *int8 = &pare_formats[pare_format_find("int8")],
				 *uint8 = &pare_formats[pare_format_find("uint8")];
	const struct pare_calibrator *all =
		&pare_calibrators[pare_method_find(PARE_CALIBRATOR, "min-max")];
	struct pare_range both = { .min = -1.27f, .max = .5f }, one = { .min = 0, .max = 2.55f };
	struct pare_act_quant a;
	int exponent;

	for (int i = 0; i < PARE_BINS; i++)
		both.count[i] = one.count[i] = 1;
	a = pare_act_quant_of(&both, all, ranging("symmetric"), int8);
	ok(!a.zero && a.lo == -128 && fabsf(a.scale - .01f) < 1e-6f, "symmetric: zero is 0");
	a = pare_act_quant_of(&both, all, ranging("symmetric"), uint8);
	ok(a.zero == 128 && !a.lo && fabsf(a.scale - .01f) < 1e-6f, "or 128 without a sign");
	a = pare_act_quant_of(&one, all, ranging("symmetric"), uint8);
	ok(!a.zero && fabsf(a.scale - .01f) < 1e-6f, "nothing below zero: all codes are used");
	a = pare_act_quant_of(&one, all, ranging("static"), uint8);
	ok(!a.zero && a.hi == 255 && fabsf(a.scale - .01f) < 1e-6f, "uint8 is int8 by other names");
	a = pare_act_quant_of(&both, all, ranging("power-of-two"), int8);
	ok(frexpf(a.scale, &exponent) == .5f && a.scale > .007f && a.scale < .016f,
		"a power of two near 0.01: %g", (double)a.scale);
	a = pare_act_quant_of(NULL, all, ranging("dynamic"), int8);
	ok(a.on && a.dynamic && !a.lo && a.hi == 255, "dynamic looks at nothing");
}

/* Two samples side by side, by the formulas of DynamicQuantizeLinear. */
static void samples_have_their_own_bounds(void)
{
	float x[10] = { 0, 10, 2, -20, -3, 30, 2.5f, 0, 1, 4 }, y[10];
	struct pare_tensor t = {
		.dtype = PARE_F32, .lanes = 2, .shape = { 2, { 1, 5 } }, .data = x
	};
	int good = 1;

	pare_quantize_dynamic(&t, y);
	for (int l = 0; l < 2; l++) {
		double lo = l ? -20 : -3, hi = l ? 30 : 2.5, scale = (hi - lo) / 255;
		double zero = rint(-lo / scale);

		for (int i = l; i < 10; i += 2) {
			double q = fmin(fmax(rint((double)x[i] / scale) + zero, 0), 255);

			good &= fabs((q - zero) * scale - (double)y[i]) < 1e-5;
		}
	}
	ok(good, "each on its own grid");
}

static void outliers_are_clipped_by_error(void)
{
	struct pare_range r = { .min = 0, .max = 100 };
	float lo, hi;

	for (int i = 0; i < 100; i++) /* a hundred thousand values below 5, one at 100 */
		r.count[i] = 1000;
	r.count[PARE_BINS - 1] = 1;
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "mse")].clip(&r, 16, &lo, &hi);
	ok(hi < 50, "mse at 4 bits gives the outlier up: %g", (double)hi);
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "min-max")].clip(&r, 16, &lo, &hi);
	ok(hi == 100, "min-max keeps it");
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "percentile")].clip(&r, 16, &lo, &hi);
	ok(hi < 6, "percentile drops it: %g", (double)hi);
}

/* Against the divergence worked out by another way round: the even bins first, then their sum. */
static double divergence(const struct pare_range *r, int levels, int n)
{
	double p[PARE_BINS], q[PARE_BINS], sum_p = 0, sum_q = 0, d = 0;

	for (int i = 1; i < PARE_BINS; i++) { /* bin 0 holds zero */
		if (i < n)
			p[i] = q[i] = (double)r->count[i];
		else
			p[n - 1] += (double)r->count[i];
	}
	p[0] = q[0] = 0;
	for (int l = 0; l < levels; l++) {
		int a = n * l / levels, b = n * (l + 1) / levels, some = 0;
		double sum = 0;

		for (int i = a; i < b; i++) {
			sum += q[i];
			some += q[i] > 0;
		}
		for (int i = a; i < b; i++)
			q[i] = q[i] > 0 ? sum / some : 0;
	}
	for (int i = 0; i < n; i++) {
		sum_p += p[i];
		sum_q += q[i];
	}
	for (int i = 0; i < n; i++)
		if (p[i] > 0)
			d += p[i] / sum_p * log(p[i] / sum_p / (q[i] > 0 ? q[i] / sum_q : 1e-9));
	return d;
}

static void entropy_keeps_what_the_histogram_tells(void)
{
	struct pare_range r = { .min = 0, .max = 64 };
	struct pare_rng rng = pare_rng_seed(3, 1);
	double least = INFINITY;
	int best = 0;
	float lo, hi;

	for (int i = 0; i < 20000; i++) /* half a bell, a few far out */
		r.count[(int)fmin(fabs(pare_rng_normal(&rng)) * 200, 1500)]++;
	r.count[PARE_BINS - 1] = 3;
	r.count[0] = 100000;
	for (int k = 64; k > 8; k--) { /* 32 bins of the histogram a candidate */
		int n = k == 64 ? PARE_BINS : 32 * k + 1;
		double d = n > 256 ? divergence(&r, 256, n) : INFINITY;

		if (d < least) {
			least = d;
			best = k;
		}
	}
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "entropy")].clip(&r, 256, &lo, &hi);
	ok(lo == 0 && hi == (float)best, "entropy at 8 bits: %g, of another sum %d", (double)hi,
		best);
	ok(hi < 64, "outliers go");
}

/* What ONNX Runtime makes of a float bias: round(b / (s_a s_w)) in 32 bits, times s_a s_w. */
static void biases_are_integers(void)
{
	struct pare_grid g = { { 1, 4, 2 }, 2, 1, -127, 127, pare_schemes };
	float scale[4] = { .5f, .25f, 1, 0x1p-60f }, b[4] = { 1.07f, -.33f, .7f, 5 };
	float w[8] = { .5f, 1, -.25f, 0, 0, 0, 0x1p-60f, 0x1p-54f };
	int8_t q[8] = { 1, 2, -1, 0, 0, 0, 1, 64 };
	float t[2] = { 10, -3000 }, one = 0x1p-44f, tw[2] = { 0x1p-38f, 0 };
	int8_t tq[2] = { 64, 0 };
	struct pare_grid whole = { { 1, 1, 2 }, 2, 1, -127, 127, pare_schemes };
	static const int8_t zero[4];

	pare_bias_settle(&g, .125f, scale, zero, q, w, 4, b);
	ok(b[0] == 17 * .0625f && b[1] == -11 * .03125f,
		"1.07 is 17 steps of 1/16, -0.33 is -11 of 1/32: %g %g", (double)b[0],
		(double)b[1]);
	ok(scale[0] == .5f && scale[1] == .25f && q[1] == 2 && w[2] == -.25f, "their weights stay");
	ok(fabsf(b[2] - .7f) < 1e-6f && !q[4] && !w[5],
		"beside weights of nothing but zeros a bias is as fine as it likes: %g",
		(double)b[2]);
	ok(b[3] / (.125f * scale[3]) < 0x1p31f && fabsf(b[3] - 5) < 1e-5f,
		"a scale too fine for its bias is widened: %g", (double)scale[3]);
	ok(!q[6] && w[7] == (float)q[7] * scale[3], "its weights are rounded again");
	pare_bias_settle(&whole, 0x1p-4f, &one, zero, tq, tw, 2, t);
	ok(one > 0x1p-44f && t[1] < -2999 && fabsf(t[0] - 10) < 1e-3f,
		"one scale for all has room for the largest: %g", (double)one);
}

int main(void)
{
	scale_is_the_best_there_is();
	zero_lies_on_the_grid();
	rangings_are_what_they_say();
	samples_have_their_own_bounds();
	outliers_are_clipped_by_error();
	entropy_keeps_what_the_histogram_tells();
	biases_are_integers();
	return tap_done();
}
