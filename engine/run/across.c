/* Depthwise convolutions of one sample: a vector is a pixel of LANES channels.
 *
 * So many channels at a time are turned into vectors, with the padding around them; the sums need
 * nothing from beside them, and are turned back.  Rows may be as short as they like. */
#include "vector.h"

/* to: the padded plane */
static void turn_in(const struct pare_conv *v, const float *x, int channels, float *to)
{
	int area = v->in[1] * v->in[2];

	for (int p = 0; p < area; p += LANES) {
		int n = area - p < LANES ? area - p : LANES;
		vec r[LANES];

		UNROLL for (int c = 0; c < LANES; c++)
		{
			const float *from = x + (size_t)(c < channels ? c : 0) * area + p;

			r[c] = n == LANES ? load_any(from) : load_some(from, n);
		}
		transpose(r);
		UNROLL for (int i = 0; i < LANES; i++) /* constant i: r stays in registers */
			if (i < n) store(to + v->pixel[p + i], r[i]);
	}
}

/* LANES sums; at: where their windows begin in x.  tall and broad: of the kernel, its columns side
 * by side. */
INLINE void sums(const struct pare_conv *v, const int tall, const int broad, const float *w,
	const float *x, const int32_t *at, vec bias, vec r[LANES])
{
	UNROLL for (int i = 0; i < LANES; i++)
	{
		const float *from = x + at[i];

		r[i] = bias;
		UNROLL for (int a = 0; a < tall; a++) UNROLL for (int b = 0; b < broad; b++) r[i] +=
			load(w + (a * broad + b) * LANES) *
			load(from + a * v->columns * LANES + b * LANES);
	}
}

/* The same for any kernel. */
static void any_sums(const struct pare_conv *v, const float *w, const float *x, const int32_t *at,
	vec bias, vec r[LANES])
{
	UNROLL for (int i = 0; i < LANES; i++) r[i] = bias;
	for (int a = 0; a < v->kernel[1]; a++)
		for (int b = 0; b < v->kernel[2]; b++, w += LANES) {
			const float *from =
				x + (a * v->dilation[1] * v->columns + b * v->dilation[2]) * LANES;
			vec s = load(w);

			UNROLL for (int i = 0; i < LANES; i++) r[i] += s * load(from + at[i]);
		}
}

/* The results of n pixels, back in their planes. */
INLINE void turn_out(const vec r[LANES], int channels, size_t area, int n, float *out,
	const float *add, const struct pare_finish *f)
{
	vec lo = splat(f->lo), hi = splat(f->hi);

	UNROLL for (int c = 0; c < LANES; c++)
	{
		size_t at = (size_t)c * area;
		vec y = r[c];

		if (c >= channels)
			continue;
		if (n == LANES) {
			if (add)
				y += load_any(add + at);
			store_any(out + at, clamp(y, lo, hi));
			continue;
		}
		if (add)
			y += load_some(add + at, n);
		store_some(out + at, clamp(y, lo, hi), n);
	}
}

void VECTOR_NAME(across)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t in = (size_t)v->in[1] * v->in[2], area = (size_t)v->out[1] * v->out[2];
	bool usual = v->kernel[1] == 3 && v->kernel[2] == 3 && v->dilation[1] == 1 &&
		     v->dilation[2] == 1;

	memset(scratch, 0, (size_t)v->plane * sizeof *scratch);
	for (int g = 0; g < v->groups; g += LANES) {
		int channels = v->groups - g < LANES ? v->groups - g : LANES;
		const float *w = v->w + (size_t)g * v->k;
		vec bias = load_some(v->bias + g, channels);

		turn_in(v, x + g * in, channels, scratch);
		for (size_t p = 0; p < area; p += LANES) {
			size_t at = g * area + p;
			vec r[LANES];

			if (usual)
				sums(v, 3, 3, w, scratch, v->offset + p, bias, r);
			else
				any_sums(v, w, scratch, v->offset + p, bias, r);
			transpose(r);
			turn_out(r, channels, area, area - p < LANES ? (int)(area - p) : LANES,
				out + at, f->add ? f->add + at : NULL, f);
		}
	}
}
