/* Calibrators: from what was seen of an activation to the bounds of its quantizer. */
#include "quantize.h"
#include <math.h>

static double bin_center(const struct pare_range *r, int i)
{
	return (double)r->min + ((double)r->max - (double)r->min) * (i + 0.5) / PARE_BINS;
}

static void clip_min_max(const struct pare_range *r, int levels, float *lo, float *hi)
{
	(void)levels;
	*lo = r->min;
	*hi = r->max;
}

/* Expected squared error when values between lo and hi are rounded to `levels` steps (step²/12
 * each) and the others are clipped. */
static double clip_error(const struct pare_range *r, int levels, double lo, double hi)
{
	double step = (hi - lo) / (levels - 1), e = 0;

	for (int i = 0; i < PARE_BINS; i++) {
		double x = bin_center(r, i), d = x < lo ? lo - x : x > hi ? x - hi : 0;

		e += (double)r->count[i] * (d > 0 ? d * d : step * step / 12);
	}
	return e;
}

static void clip_mse(const struct pare_range *r, int levels, float *lo, float *hi)
{
	enum { STEPS = 100 };
	double least = INFINITY;

	*lo = r->min;
	*hi = r->max;
	for (int k = STEPS; k > STEPS / 5; k--) {
		double a = (double)r->min * k / STEPS, b = (double)r->max * k / STEPS;
		double e = clip_error(r, levels, a, b);

		if (e < least) {
			least = e;
			*lo = (float)a;
			*hi = (float)b;
		}
	}
}

/* Bounds that leave one value in ten thousand outside on either side. */
static void clip_percentile(const struct pare_range *r, int levels, float *lo, float *hi)
{
	uint64_t total = 0, cut, sum;
	int i;

	(void)levels;
	for (i = 0; i < PARE_BINS; i++)
		total += r->count[i];
	cut = total / 10000;
	for (i = 0, sum = 0; i < PARE_BINS - 1 && sum + r->count[i] <= cut; i++)
		sum += r->count[i];
	*lo = i ? (float)bin_center(r, i) : r->min;
	for (i = PARE_BINS - 1, sum = 0; i > 0 && sum + r->count[i] <= cut; i--)
		sum += r->count[i];
	*hi = i < PARE_BINS - 1 ? (float)bin_center(r, i) : r->max;
}

const struct pare_calibrator pare_calibrators[] = {
	{ "mse", "bounds by least squared error on the calibration samples", clip_mse, false },
	{ "min-max", "all that was seen", clip_min_max, false },
	{ "percentile", "all but one in 10,000 values on either side", clip_percentile, false },
	{ "stored", "those that the file has, while activations stand as it has them; else mse",
		clip_mse, true },
	{ 0 },
};
