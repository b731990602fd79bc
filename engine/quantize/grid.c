#include "grid.h"
#include "../base/err.h"
#include <math.h>
#include <stdlib.h>

/* clang-format off */
const struct pare_granularity pare_granularities[] = {
	{ "per-channel", "a scale for each output channel", true, 0 },
	{ "per-tensor", "one scale for the layer", false, 0 },
	{ "per-group 128", "a scale for each 128 weights of a channel, counted along its inputs", true, 128 },
	{ "per-group 64", "a scale for each 64 weights of a channel", true, 64 },
	{ "per-group 32", "a scale for each 32 weights of a channel", true, 32 },
	{ "per-group 16", "a scale for each 16 weights of a channel", true, 16 },
	{ 0 },
};
/* clang-format on */

struct pare_channels pare_channels_of(const struct pare_shape *s, int axis)
{
	if (axis < 0)
		return (struct pare_channels){ 1, 1, pare_shape_elems(s) };
	return (struct pare_channels){ pare_shape_span(s, 0, axis), s->d[axis],
		pare_shape_span(s, axis + 1, s->n) };
}

struct pare_grid
pare_grid_of(const struct pare_shape *weight, int axis, int granularity, int scheme, int lo, int hi)
{
	const struct pare_granularity *by = &pare_granularities[granularity];
	struct pare_grid g = { .channels = pare_channels_of(weight, by->per_channel ? axis : -1),
		.lo = lo,
		.hi = hi,
		.scheme = &pare_schemes[scheme] };
	int64_t n = g.channels.outer * g.channels.inner;

	g.group = by->group && by->group < n ? by->group : n > 0 ? n : 1;
	g.n_groups = n > 0 ? (n + g.group - 1) / g.group : 1;
	return g;
}

static float clamp_code(float q, int lo, int hi)
{
	return q < (float)lo ? (float)lo : q > (float)hi ? (float)hi : q;
}

/* ---- a scale alone -----------------------------------------------------------------------------
 */

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

static void choose_symmetric(const float *w, int64_t n, int lo, int hi, float *scale, int8_t *zero)
{
	*scale = pare_scale_mse(w, n, lo, hi);
	*zero = 0;
}

/* The power of two next below or above the best scale, whichever costs less. */
static void choose_power(const float *w, int64_t n, int lo, int hi, float *scale, int8_t *zero)
{
	float best = pare_scale_mse(w, n, lo, hi), other;
	int exponent;

	frexpf(best, &exponent); /* best in [2^(exponent-1), 2^exponent) */
	exponent = exponent < -125 ? -125 : exponent > 126 ? 126 : exponent;
	*scale = ldexpf(1, exponent - 1);
	if (error_at(w, n, ldexpf(1, exponent), lo, hi, &other) <
		error_at(w, n, *scale, lo, hi, &other))
		*scale = ldexpf(1, exponent);
	*zero = 0;
}

/* ---- a scale and a zero point ------------------------------------------------------------------
 */

struct search {
	const float *w;
	int64_t n;
	int lo, hi;
	float a, b; /* what lo and hi stand for, a <= 0 <= b; zero is on the grid */
	float scale;
	int zero;
	double error;
};

static void try_bounds(struct search *s, float a, float b)
{
	float scale = (b - a) / (float)(s->hi - s->lo), next;
	int zero;
	double e;

	if (!(scale >= 0x1p-126f) || !isfinite(scale))
		return;
	zero = (int)clamp_code(rintf((float)s->lo - a / scale), s->lo, s->hi);
	e = error_at(s->w, s->n, scale, s->lo - zero, s->hi - zero, &next);
	if (!(e < s->error))
		return;
	s->a = a;
	s->b = b;
	s->scale = scale;
	s->zero = zero;
	s->error = e;
}

/* From the best symmetric scale: both ends of the range drawn in together, then each by itself. */
static void choose_asymmetric(const float *w, int64_t n, int lo, int hi, float *scale, int8_t *zero)
{
	enum { STEPS = 24 };
	struct search s = { .w = w, .n = n, .lo = lo, .hi = hi };
	float a = 0, b = 0, next;

	for (int64_t i = 0; i < n; i++) {
		a = fminf(a, w[i]);
		b = fmaxf(b, w[i]);
	}
	s.scale = pare_scale_mse(w, n, lo, hi);
	s.error = error_at(w, n, s.scale, lo, hi, &next);
	s.a = (float)lo * s.scale;
	s.b = (float)hi * s.scale;
	for (int k = 0; k <= STEPS; k++) {
		float share = 1 - 0.7f * (float)k / STEPS;

		try_bounds(&s, a * share, b * share);
	}
	for (int end = 0; end < 2; end++) {
		float at = end ? s.b : s.a;

		for (int k = -STEPS / 2; k <= STEPS / 2; k++) {
			float moved = at * (1 + 0.4f * (float)k / STEPS);

			try_bounds(&s, end ? s.a : moved, end ? moved : s.b);
		}
	}
	*scale = s.scale;
	*zero = (int8_t)s.zero;
}

/* clang-format off */
const struct pare_scheme pare_schemes[] = {
	{ "symmetric", "zero in the middle of the codes: what every runtime takes", choose_symmetric, 4, false, true, false },
	{ "asymmetric", "a zero point beside each scale, for weights that lean to one side", choose_asymmetric, 4, true, false, false },
	{ "power-of-two", "symmetric, and scales are powers of two: a shift in place of a product", choose_power, 1, false, false, true },
	{ 0 },
};
/* clang-format on */

/* ---- all weights -------------------------------------------------------------------------------
 */

static void round_group(const float *w, int64_t n, int lo, int hi, float scale, int zero, int8_t *q)
{
	float inv = 1 / scale;

	for (int64_t i = 0; i < n; i++)
		q[i] = (int8_t)clamp_code(rintf(w[i] * inv) + (float)zero, lo, hi);
}

enum pare_status pare_grid_round(const float *w, const struct pare_grid *g, float *scale,
	int8_t *zero, int8_t *q, float *out, struct pare_err *err)
{
	int64_t n = g->channels.outer * g->channels.inner;
	float *row;
	int8_t *codes;

	if (n == 0 || g->channels.channels == 0)
		return PARE_OK;
	row = malloc((size_t)n * sizeof *row);
	codes = malloc((size_t)n);
	for (int64_t o = 0; o < g->channels.channels && row && codes; o++) {
		for (int64_t i = 0; i < n; i++)
			row[i] = w[pare_channel_at(&g->channels, o, i)];
		for (int64_t i = 0; i < n; i += g->group) {
			int64_t at = pare_grid_at(g, o, i),
				some = n - i < g->group ? n - i : g->group;

			g->scheme->choose(row + i, some, g->lo, g->hi, &scale[at], &zero[at]);
			round_group(row + i, some, g->lo, g->hi, scale[at], zero[at], codes + i);
		}
		for (int64_t i = 0; i < n; i++) {
			int64_t at = pare_channel_at(&g->channels, o, i),
				of = pare_grid_at(g, o, i);

			q[at] = codes[i];
			out[at] = (float)(codes[i] - zero[of]) * scale[of];
		}
	}
	n = row && codes;
	free(row);
	free(codes);
	return n ? PARE_OK : pare_nomem(err, "the weights of a channel");
}
