/* Methods of rounding. */
#include "lattice.h"
#include "learn.h"
#include "quantize.h"
#include <math.h>

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

enum {
	SEARCHED = 1536,   /* inputs of a channel up to which a search takes milliseconds */
	LEARNED = 1 << 18, /* weights of a layer up to which learning takes seconds */
};

/* Work is bounded, not time, so that the outcome is the same anywhere. */
static double look_auto(const struct pare_row *r, double scale, int8_t *q)
{
	if (r->gram->k <= SEARCHED)
		return pare_row_search(r, scale, q);
	scale = look_gptq(r, scale, q);
	pare_row_descend(r, scale, false, q);
	return scale;
}

static enum pare_status learn_auto(const struct pare_learning *l, struct pare_err *err)
{
	const struct pare_columns *c = l->columns;

	return (int64_t)c->groups * c->o * c->k <= LEARNED ? pare_adaround(l, err) : PARE_OK;
}

/* clang-format off */
const struct pare_rounding pare_roundings[] = {
	{ "gptq", "weight after weight, the rest making up for what was lost (Frantar 2022), before the layer too (Li 2025); without samples nearest", look_gptq, true, false, NULL, false, true },
	{ "nearest", "each weight to the nearest value, scale by least squared error", NULL, false, false, NULL, false, false },
	{ "descent", "least error of each layer's output: weights, scales and biases searched", pare_row_search, true, true, NULL, false, false },
	{ "corrected", "nearest, and biases that make up for the mean error (Nagel 2019)", look_nearest, false, true, NULL, false, false },
	{ "adaround", "descent, then up or down learned behind the layer's clamp (Nagel 2020)", pare_row_search, true, true, pare_adaround, false, false },
	{ "stored", "the integers that the file has, while weights stand as it has them; else nearest", NULL, false, false, NULL, true, false },
	{ "auto", "the least error of these for each channel, within a bounded amount of work", look_auto, true, true, learn_auto, false, false },
	{ 0 },
};
/* clang-format on */
