/* Biases as runtimes take them: integers of 32 bits, in steps of activation scale times weight
 * scale. */
#include "../base/err.h"
#include "quantize.h"
#include <math.h>
#include <string.h>

/* Where a channel's weights are all zero, its scale is free: steps of 2^-20 of the bias. */
static const float fine = 0x1p-20f;
/* Beyond, the integers end. */
static const double most = 0x1p31 - 256;

static bool all_zero(const struct pare_channels *c, int64_t o, const int8_t *q, int8_t zero)
{
	for (int64_t i = 0; i < c->outer * c->inner; i++)
		if (q[pare_channel_at(c, o, i)] != zero)
			return false;
	return true;
}

/* To a wider scale, for the bias's sake: what the weights say beside it is little. */
static void widen(const struct pare_channels *c, int64_t o, float by, int8_t zero, int8_t *q)
{
	for (int64_t i = 0; i < c->outer * c->inner; i++) {
		int64_t at = pare_channel_at(c, o, i);

		q[at] = (int8_t)(rintf((float)(q[at] - zero) * by) + (float)zero);
	}
}

void pare_bias_settle(const struct pare_grid *g, float act_scale, float *scale, const int8_t *zero,
	int8_t *q, float *w, int64_t n, float *bias)
{
	const struct pare_channels *c = &g->channels;

	for (int64_t o = 0; o < c->channels; o++) {
		float was = scale[o], top = 0, to = was;

		for (int64_t i = 0; i < n; i++)
			if (c->channels == 1 || i == o)
				top = fmaxf(top, fabsf(bias[i]));
		if (top > 0 && all_zero(c, o, q, zero[o]))
			to = top * fine / act_scale;
		else if ((double)top > most * (double)act_scale * (double)was)
			to = (float)((double)top / (0.999 * most * (double)act_scale));
		if (to != was && g->scheme->powers)
			to = exp2f(ceilf(log2f(to)));
		if (to == was || !(to >= 0x1p-126f) || !isfinite(to))
			continue;
		scale[o] = to;
		widen(c, o, was / to, zero[o], q);
		for (int64_t i = 0; i < c->outer * c->inner; i++) {
			int64_t at = pare_channel_at(c, o, i);

			w[at] = (float)(q[at] - zero[o]) * to;
		}
	}
	for (int64_t i = 0; i < n; i++) {
		float step = act_scale * scale[c->channels == 1 ? 0 : i];

		if (step >= 0x1p-126f)
			bias[i] = rintf(bias[i] / step) * step;
	}
}

enum pare_status pare_bias_for(const struct pare_grid *g, const struct pare_act_quant *act,
	const float *from, int64_t n, float *scale, const int8_t *zero, int8_t *q, float *w,
	struct pare_blob **bias, struct pare_err *err)
{
	struct pare_blob *b;

	if (!act->on || act->dynamic || !from || g->n_groups > 1 ||
		(g->channels.channels != 1 && g->channels.channels != n))
		return PARE_OK;
	if (!(b = pare_blob_new((size_t)n * sizeof *from)))
		return pare_nomem(err, "a bias");
	memcpy(b->data, from, b->len);
	pare_bias_settle(g, act->scale, scale, zero, q, w, n, b->data);
	pare_blob_free(*bias);
	*bias = b;
	return PARE_OK;
}
