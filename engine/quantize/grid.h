/* The grid on which a layer's weights may lie: which weights share a scale, and which scales and
 * zero points there are.  A weight is scale * (q - zero), q an integer in lo…hi. */
#ifndef PARE_GRID_H
#define PARE_GRID_H
#include "../base/tensor.h"

/* Weights seen as channels: element (c, i, j) of [outer][channels][inner] lies at
 * (i * channels + c) * inner + j. */
struct pare_channels {
	int64_t outer, channels, inner;
};
struct pare_channels
pare_channels_of(const struct pare_shape *s, int axis); /* axis -1: one channel */

/* Where element i of channel o lies, i counting [outer][inner]. */
static inline int64_t pare_channel_at(const struct pare_channels *c, int64_t o, int64_t i)
{
	return (i / c->inner * c->channels + o) * c->inner + i % c->inner;
}

struct pare_granularity {
	const char *name, *help;
	bool per_channel;
	int group; /* weights of a channel that share a scale; 0 = all of them */
};
extern const struct pare_granularity pare_granularities[];

/* How the scale and the zero point of n weights are chosen. */
struct pare_scheme {
	const char *name, *help;
	void (*choose)(const float *w, int64_t n, int lo, int hi, float *scale, int8_t *zero);
	int scale_bytes; /* of a scale, packed */
	bool zeros;      /* zero points are stored */
	bool free;       /* any scale will do: a rounding that looks may choose others */
	bool powers;     /* scales are powers of two */
};
extern const struct pare_scheme pare_schemes[];

struct pare_grid {
	struct pare_channels channels;
	int64_t group, n_groups; /* weights of a group; groups of a channel */
	int lo, hi;
	const struct pare_scheme *scheme;
};
/* Of a weight whose output channels lie along `axis`; rows by their numbers. */
struct pare_grid pare_grid_of(
	const struct pare_shape *weight, int axis, int granularity, int scheme, int lo, int hi);
static inline int64_t pare_grid_scales(const struct pare_grid *g)
{
	return g->channels.channels * g->n_groups;
}
/* Which scale is that of element i of channel o. */
static inline int64_t pare_grid_at(const struct pare_grid *g, int64_t o, int64_t i)
{
	return o * g->n_groups + i / g->group;
}

/* Scale that minimizes the squared error of rounding w [n] to the nearest of lo…hi: a sweep of
 * clipping points, then alternating least squares between scale and integers.  All zeros: 1. */
float pare_scale_mse(const float *w, int64_t n, int lo, int hi);

/* Scales, zero points and, each weight to the nearest, integers.  scale, zero:
 * [pare_grid_scales], q: [elements], out: [elements], the weights as they are then (may be w
 * itself).  PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status pare_grid_round(const float *w, const struct pare_grid *g,
	float *scale, int8_t *zero, int8_t *q, float *out, struct pare_err *err);

#endif
