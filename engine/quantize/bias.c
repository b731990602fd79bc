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

static bool all_zero(const struct pare_channels *c, int64_t o, const int8_t *q)
{
	for (int64_t i = 0; i < c->outer * c->inner; i++)
		if (q[pare_channel_at(c, o, i)])
			return false;
	return true;
}

/* To a wider scale, for the bias's sake: what the weights say beside it is little. */
static void widen(const struct pare_channels *c, int64_t o, float from, float to, int8_t *q)
{
	for (int64_t i = 0; i < c->outer * c->inner; i++) {
		int64_t at = pare_channel_at(c, o, i);

		q[at] = (int8_t)rintf((float)q[at] * (from / to));
	}
}

void pare_bias_settle(const struct pare_channels *c, float act_scale, float *scale, int8_t *q,
	float *w, int64_t n, float *bias)
{
	for (int64_t o = 0; o < c->channels; o++) {
		float was = scale[o], top = 0;

		for (int64_t i = 0; i < n; i++)
			if (c->channels == 1 || i == o)
				top = fmaxf(top, fabsf(bias[i]));
		if (top > 0 && all_zero(c, o, q))
			scale[o] = top * fine / act_scale;
		else if ((double)top > most * (double)act_scale * (double)was) {
			scale[o] = (float)((double)top / (0.999 * most * (double)act_scale));
			widen(c, o, was, scale[o], q);
		}
		if (!(scale[o] >= 0x1p-126f) || !isfinite(scale[o]))
			scale[o] = was;
		for (int64_t i = 0; i < c->outer * c->inner && scale[o] != was; i++) {
			int64_t at = pare_channel_at(c, o, i);

			w[at] = (float)q[at] * scale[o];
		}
	}
	for (int64_t i = 0; i < n; i++) {
		float step = act_scale * scale[c->channels == 1 ? 0 : i];

		if (step >= 0x1p-126f)
			bias[i] = rintf(bias[i] / step) * step;
	}
}

enum pare_status
pare_bias_for(const struct pare_channels *c, const struct pare_act_quant *act, const float *from,
	int64_t n, float *scale, int8_t *q, float *w, struct pare_blob **bias, struct pare_err *err)
{
	struct pare_blob *b;

	if (!act->on || !from || (c->channels != 1 && c->channels != n))
		return PARE_OK;
	if (!(b = pare_blob_new((size_t)n * sizeof *from)))
		return pare_nomem(err, "a bias");
	memcpy(b->data, from, b->len);
	pare_bias_settle(c, act->scale, scale, q, w, n, b->data);
	pare_blob_free(*bias);
	*bias = b;
	return PARE_OK;
}
