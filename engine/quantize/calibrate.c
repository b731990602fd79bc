/* Calibrators: from what was seen of an activation to the bounds of its quantizer. */
#include "quantize.h"
#include <math.h>
#include <string.h>

static double bin_center(const struct pare_range *r, int i)
{
	return (double)r->min + ((double)r->max - (double)r->min) * (i + 0.5) / PARE_BINS;
}

static int bin_at(const struct pare_range *r, float x)
{
	double at = ((double)x - (double)r->min) * PARE_BINS / ((double)r->max - (double)r->min);

	return at > PARE_BINS - 1 ? PARE_BINS - 1 : at > 0 ? (int)at : 0;
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

static void clip_moving(const struct pare_range *r, int levels, float *lo, float *hi)
{
	(void)levels;
	*lo = r->moving_min;
	*hi = r->moving_max;
}

/* How much of what bins from <= i < to say is lost when they become `levels` even ones: the
 * Kullback-Leibler divergence; p: with what is clipped put into the outermost.  An even one's share
 * is spread over those of its bins where anything was.  A bin of zeros counts for nothing: zero is
 * exact on any grid. */
static double entropy_lost(const struct pare_range *r, int levels, int from, int to, double *p)
{
	double total = 0, even = 0, lost = 0;
	int n = to - from, at = bin_at(r, 0);
	int zero = r->min > 0 || r->max < 0 || at < from || at >= to ? -1 : at - from;

	memset(p, 0, (size_t)n * sizeof *p);
	for (int i = 0; i < PARE_BINS; i++)
		p[i < from ? 0 : i >= to ? n - 1 : i - from] += (double)r->count[i];
	if (zero >= 0)
		p[zero] = 0;
	for (int i = 0; i < n; i++) {
		total += p[i];
		even += i == zero ? 0 : (double)r->count[from + i];
	}
	for (int l = 0; l < levels && total > 0 && even > 0; l++) {
		int a = (int)((int64_t)n * l / levels), b = (int)((int64_t)n * (l + 1) / levels);
		double sum = 0, some = 0;

		for (int i = a; i < b; i++) {
			sum += i == zero ? 0 : (double)r->count[from + i];
			some += i != zero && r->count[from + i] > 0;
		}
		for (int i = a; i < b; i++)
			if (p[i] >
				0) /* nothing there before what was clipped: as good as nothing */
				lost += p[i] / total *
					log(p[i] / total /
						(some > 0 && r->count[from + i] > 0
								? sum / some / even
								: 1e-9));
	}
	return even > 0 ? lost : INFINITY;
}

static void clip_entropy(const struct pare_range *r, int levels, float *lo, float *hi)
{
	enum { STEPS = 64 };
	double least = INFINITY, p[PARE_BINS];

	*lo = r->min;
	*hi = r->max;
	for (int k = STEPS; k > STEPS / 8; k--) {
		float a = r->min * (float)k / STEPS, b = r->max * (float)k / STEPS;
		int from = bin_at(r, fminf(a, 0)), to = bin_at(r, fmaxf(b, 0)) + 1;
		double e = to - from > levels ? entropy_lost(r, levels, from, to, p) : INFINITY;

		if (e < least) {
			least = e;
			*lo = a;
			*hi = b;
		}
	}
}

/* clang-format off */
const struct pare_calibrator pare_calibrators[] = {
	{ "mse", "bounds by least squared error on the calibration samples", clip_mse, false, false },
	{ "min-max", "all that was seen", clip_min_max, false, false },
	{ "percentile", "all but one in 10,000 values on either side", clip_percentile, false, false },
	{ "stored", "those that the file has, while activations stand as it has them; else mse", clip_mse, true, false },
	{ "moving-average", "a moving average of the bounds of runs of samples", clip_moving, false, false },
	{ "entropy", "bounds that lose least of what the histogram tells (Kullback-Leibler)", clip_entropy, false, false },
	{ "auto", "of all these, for each layer, what its output loses least by on the samples", clip_mse, false, true },
	{ 0 },
};
/* clang-format on */

const struct pare_calibrator *pare_calibrator_plain(void)
{
	const struct pare_calibrator *c = pare_calibrators;

	while (c->clip != clip_min_max)
		c++;
	return c;
}
