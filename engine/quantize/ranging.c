/* From the bounds of an activation to its quantizer. */
#include "quantize.h"
#include <math.h>

/* clang-format off */
const struct pare_ranging pare_rangings[] = {
	{ "static", "bounds from the calibration samples, with a zero point", false, false, false, 5 },
	{ "symmetric", "bounds from the calibration samples, zero in the middle of the codes", false, true, false, 4 },
	{ "power-of-two", "symmetric, and the scale is a power of two", false, true, true, 1 },
	{ "dynamic", "bounds of each sample as it runs, 8 bits; exported for a batch as a whole", true, false, false, 0 },
	{ 0 },
};
/* clang-format on */

void pare_act_codes(const struct pare_format *f, int *lo, int *hi)
{
	bool sign = f->store != PARE_U8;

	*lo = sign ? -(1 << (f->bits - 1)) : 0;
	*hi = *lo + (1 << f->bits) - 1;
}

/* Expected squared error of what was seen, at a scale. */
static double error_at(const struct pare_range *r, double scale, int lo, int hi)
{
	double e = 0;

	for (int i = 0; i < PARE_BINS; i++) {
		double x =
			(double)r->min + ((double)r->max - (double)r->min) * (i + 0.5) / PARE_BINS;
		double d = x < lo * scale ? lo * scale - x : x > hi * scale ? x - hi * scale : 0;

		e += (double)r->count[i] * (d > 0 ? d * d : scale * scale / 12);
	}
	return e;
}

static float nearest_power(const struct pare_range *r, float scale, int lo, int hi)
{
	float below = exp2f(floorf(log2f(scale))), above = 2 * below;

	return error_at(r, (double)below, lo, hi) < error_at(r, (double)above, lo, hi) ? below
										       : above;
}

struct pare_act_quant
pare_act_quant_of(const struct pare_range *r, const struct pare_calibrator *calibrator,
	const struct pare_ranging *how, const struct pare_format *f)
{
	struct pare_act_quant a = { .on = true, .dynamic = how->dynamic };
	float lo = 0, hi = 0, zero;
	bool one_side;

	pare_act_codes(f, &a.lo, &a.hi);
	if (how->dynamic) { /* as DynamicQuantizeLinear has it */
		a.scale = 1;
		a.lo = 0;
		a.hi = UINT8_MAX;
		return a;
	}
	one_side = how->symmetric && a.lo < 0 && !(r->min < 0);
	if (r->min <= r->max)
		calibrator->clip(r, 1 << (f->bits - one_side), &lo, &hi);
	lo = fminf(lo, 0);
	hi = fmaxf(hi, 0);
	a.scale = (hi - lo) / (float)(a.hi - a.lo);
	zero = rintf((float)a.lo - lo / a.scale);
	if (how->symmetric) {
		zero = a.lo < 0 || !(lo < 0) ? 0 : (float)((a.hi + 1) / 2);
		a.scale = fmaxf(hi, -lo) / ((float)a.hi - zero);
	}
	if (!(a.scale >= 0x1p-126f) || !isfinite(a.scale)) {
		a.scale = 1;
		zero = 0;
	}
	a.zero = (int)fminf(fmaxf(zero, (float)a.lo), (float)a.hi);
	if (how->powers)
		a.scale = nearest_power(r, a.scale, a.lo - a.zero, a.hi - a.zero);
	return a;
}
