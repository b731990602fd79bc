/* Methods of rounding. */
#include "../ops/op.h"
#include "lattice.h"
#include "learn.h"
#include "quantize.h"
#include <math.h>

/* Of pare_rounding's `work`, as measured on one core of an AVX-512 machine at 1e10 a second: in
 * descent times that the products of a row are gone through, in AdaRound what a weight and a row
 * take. */
static const double PASSES = 500, PER_WEIGHT = 7.5e5, PER_ROW = 3e7;

static double look_nearest(const struct pare_row *r, double scale, int8_t *q)
{
	if (!(scale > 0))
		scale = pare_row_nearest_scale(r);
	for (int i = 0; i < r->gram->k; i++) {
		double x = r->zero && r->zero[i] ? 0 : rint(r->w[i] / scale);

		q[i] = (int8_t)(x < r->lo ? r->lo : x > r->hi ? r->hi : x);
	}
	return scale;
}

static double look_gptq(const struct pare_row *r, double scale, int8_t *q)
{
	if (!(scale > 0))
		scale = pare_row_nearest_scale(r);
	pare_row_plane(r, scale, q);
	return scale;
}

static double work_descent(const struct pare_windows *w)
{
	double k = w->k;

	return (double)w->groups * w->o * k * k * PASSES;
}

static double work_adaround(const struct pare_windows *w)
{
	double rows = (double)w->groups * w->o;

	return work_descent(w) + rows * (w->k * PER_WEIGHT + PER_ROW);
}

/* clang-format off */
const struct pare_rounding pare_roundings[] = {
	{ "gptq", "weight after weight, the rest making up for what was lost (Frantar 2022), before the layer too (Li 2025); without samples nearest", look_gptq, true, false, NULL, false, true, false, NULL },
	{ "nearest", "each weight to the nearest value, scale by least squared error", NULL, false, false, NULL, false, false, false, NULL },
	{ "descent", "least error of each layer's output: weights, scales and biases searched", pare_row_search, true, true, NULL, false, false, false, work_descent },
	{ "corrected", "nearest, and biases that make up for the mean error (Nagel 2019)", look_nearest, false, true, NULL, false, false, false, NULL },
	{ "adaround", "descent, then up or down learned behind the layer's clamp (Nagel 2020), then residual blocks as a whole (Li 2021)", pare_row_search, true, true, pare_adaround, false, false, false, work_adaround },
	{ "stored", "the integers that the file has, while weights stand as it has them; else nearest", NULL, false, false, NULL, true, false, false, NULL },
	{ "auto", "of these, for each layer, the one by which its output loses least on samples kept aside", NULL, true, true, NULL, false, false, true, NULL },
	{ 0 },
};

#define COUNTED ", counted in multiplications (1e10 a second), not by the clock"
const struct pare_effort pare_efforts[] = {
	{ "2m", "round auto: methods that take about two minutes of one core over all layers" COUNTED, 120e10 },
	{ "10s", "as 2m, ten seconds", 10e10 },
	{ "30s", "as 2m, half a minute", 30e10 },
	{ "10m", "as 2m, ten minutes", 600e10 },
	{ "1h", "as 2m, an hour", 3600e10 },
	{ 0 },
};
/* clang-format on */
