#include "../base/err.h"
#include "lattice.h"
#include "quantize.h"
#include <math.h>
#include <stdlib.h>

static void round_nearest(const float *w, int64_t n, float scale, int lo, int hi, int8_t *q)
{
	float inv = 1 / scale;

	for (int64_t i = 0; i < n; i++) {
		float x = rintf(w[i] * inv);

		q[i] = (int8_t)(x < (float)lo ? (float)lo : x > (float)hi ? (float)hi : x);
	}
}

static double look_nearest(const struct pare_row *r, double scale, int8_t *q)
{
	if (!(scale > 0))
		scale = pare_row_nearest_scale(r);
	for (int i = 0; i < r->gram->k; i++) {
		float w = (float)(r->zero && r->zero[i] ? 0 : r->w[i]);

		round_nearest(&w, 1, (float)scale, r->lo, r->hi, q + i);
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

/* clang-format off */
const struct pare_rounding pare_roundings[] = {
	{ "nearest", "each weight to the nearest value, scale by least squared error", round_nearest, NULL, false, false },
	{ "gptq", "weight after weight, the rest making up for what was lost (Frantar 2022)", round_nearest, look_gptq, false, false },
	{ "descent", "least error of each layer's output: weights, scales and biases searched", round_nearest, pare_row_search, true, true },
	{ "corrected", "nearest, and biases that make up for the mean error (Nagel 2019)", round_nearest, look_nearest, false, true },
	{ 0 },
};
/* clang-format on */

const struct pare_granularity pare_granularities[] = {
	{ "per-channel", "a scale for each output channel", true },
	{ "per-tensor", "one scale for the layer", false },
	{ 0 },
};

struct pare_channels pare_channels_of(const struct pare_shape *s, int axis)
{
	if (axis < 0)
		return (struct pare_channels){ 1, 1, pare_shape_elems(s) };
	return (struct pare_channels){ pare_shape_span(s, 0, axis), s->d[axis],
		pare_shape_span(s, axis + 1, s->n) };
}

/* Squared error of rounding to the nearest, and the scale that is best for the integers so found.
 */
static double error_at(const float *w, int64_t n, float scale, int lo, int hi, float *better)
{
	double e = 0, wq = 0, qq = 0;
	float inv = 1 / scale, flo = (float)lo, fhi = (float)hi;

	for (int64_t i = 0; i < n; i++) {
		float q = rintf(w[i] * inv);
		double d;

		q = q < flo ? flo : q > fhi ? fhi : q;
		d = (double)w[i] - (double)q * (double)scale;
		e += d * d;
		wq += (double)w[i] * (double)q;
		qq += (double)q * (double)q;
	}
	*better = qq > 0 && wq > 0 ? (float)(wq / qq) : scale;
	return e;
}

struct best {
	float scale, next; /* next: the best scale for the integers that `scale` gives */
	double error;
};

/* Try scales from `from` to `to` inclusive; keep what is better than *best. */
static void
sweep(const float *w, int64_t n, int lo, int hi, float from, float to, int steps, struct best *best)
{
	for (int k = 0; k <= steps; k++) {
		float s = from + (to - from) * (float)k / (float)steps, next;
		double e;

		if (!(s >= 0x1p-126f)) /* no normal number: its inverse would overflow */
			continue;
		e = error_at(w, n, s, lo, hi, &next);
		if (e < best->error)
			*best = (struct best){ s, next, e };
	}
}

float pare_scale_mse(const float *w, int64_t n, int lo, int hi)
{
	enum { COARSE = 32, FINE = 24, REFINE = 4 };
	struct best best = { .scale = 1, .error = INFINITY };
	float top = 0, step;

	for (int64_t i = 0; i < n; i++)
		top = fmaxf(top, fabsf(w[i]));
	if (!(top > 0) || !isfinite(top))
		return 1;
	top /= (float)hi; /* the scale that clips nothing; a quarter of it clips most */
	step = 0.75f * top / COARSE;
	sweep(w, n, lo, hi, top / 4, top, COARSE, &best);
	sweep(w, n, lo, hi, best.scale - step, best.scale + step, FINE, &best);
	for (int k = 0; k < REFINE; k++) {
		double was = best.error;

		sweep(w, n, lo, hi, best.next, best.next, 1, &best);
		if (best.error >= was)
			break;
	}
	return best.scale; /* 1 when no scale is a normal number: all becomes zero */
}

enum pare_status pare_quantize_weights(const float *w, struct pare_channels c, int lo, int hi,
	const struct pare_rounding *rounding, float *scale, int8_t *q, float *out,
	struct pare_err *err)
{
	int64_t n = c.outer * c.inner;
	float *row;
	int8_t *qrow;

	if (n == 0 || c.channels == 0)
		return PARE_OK;
	row = malloc((size_t)n * sizeof *row);
	qrow = malloc((size_t)n);
	if (!row || !qrow) {
		free(row);
		free(qrow);
		return pare_nomem(err, "the weights of a channel");
	}
	for (int64_t k = 0; k < c.channels; k++) {
		for (int64_t i = 0; i < n; i++)
			row[i] = w[(i / c.inner * c.channels + k) * c.inner + i % c.inner];
		scale[k] = pare_scale_mse(row, n, lo, hi);
		rounding->round(row, n, scale[k], lo, hi, qrow);
		for (int64_t i = 0; i < n; i++) {
			int64_t at = (i / c.inner * c.channels + k) * c.inner + i % c.inner;

			q[at] = qrow[i];
			out[at] = (float)qrow[i] * scale[k];
		}
	}
	free(row);
	free(qrow);
	return PARE_OK;
}
