/* Laying out a convolution of one sample; see wide.c. */
#include "kernels.h"

enum {
	STRIP_BYTES = 768 * 1024,  /* of gathered input: a part of a second-level cache */
	WEIGHT_BYTES = 256 * 1024, /* that may be read again for every few pixels */
	MOST_BYTES = 8 << 20,      /* of one row; else columns of windows are better */
	ACROSS_BYTES = 256 * 1024, /* of a plane that is LANES channels wide */
	PAGE = 1024,               /* floats; planes so far apart share their cache sets */
};

static bool size_strip(const struct pare_kernels *k, struct pare_conv *v, int strip)
{
	int64_t high = (int64_t)(v->kernel[1] - 1) * v->dilation[1] + 1;
	int64_t rows = strip + (high - 1) / v->stride[1], plane, planes;

	v->step[1] = high < v->stride[1] ? (int)high : v->stride[1];
	v->step[2] = v->kernel[2];
	if (rows > INT32_MAX / 4 / v->out[2])
		return false;
	plane = ((rows * v->out[2] + k->lanes - 1) / k->lanes | 1) * k->lanes;
	if (v->direct)
		plane = rows * v->out[2];
	planes = (int64_t)v->c * v->kernel[0] * v->step[1];
	if (planes > INT32_MAX / v->step[2] || plane > (INT32_MAX - PAGE) / (planes * v->step[2]))
		return false;
	v->strip = strip;
	v->rows = (int)rows;
	v->columns = v->out[2];
	v->plane = (int)plane;
	return true;
}

/* A kernel as wide as its row makes long rows too much for any strip. */
static bool choose_strip(const struct pare_kernels *k, struct pare_conv *v)
{
	int n = v->out[1];

	for (int parts = 1;; parts++) {
		int strip = (n + parts - 1) / parts;

		if (size_strip(k, v, strip) &&
			(v->direct || pare_wide_bytes(v, k->lanes) <=
					      (strip == 1 ? MOST_BYTES : STRIP_BYTES)))
			return true;
		if (strip == 1)
			return false;
	}
}

static void fill_offsets(const struct pare_conv *v, int32_t *to)
{
	for (int c = 0; c < v->c * v->kernel[0]; c++)
		for (int y = 0; y < v->kernel[1]; y++)
			for (int x = 0; x < v->kernel[2]; x++) {
				int row = y * v->dilation[1];
				int plane = (c * v->step[1] + row % v->stride[1]) * v->step[2] + x;

				*to++ = plane * v->plane + row / v->stride[1] * v->columns;
			}
}

/* Where each pixel is by itself, all are one row.  They may be read where they lie if channels do
 * not lie on top of each other in the cache, and vectors are enough that none reaches beyond the
 * end. */
static void simplify(const struct pare_kernels *k, struct pare_conv *v)
{
	int64_t n = (int64_t)v->in[0] * v->in[1] * v->in[2], apart = n % PAGE;

	for (int i = 0; i < 3; i++)
		if (v->kernel[i] != 1 || v->stride[i] != 1 || v->pad[i] || v->in[i] != v->out[i])
			return;
	v->direct = (n >= PARE_WIDE_SPAN * k->lanes || n % k->lanes == 0) &&
		    (v->o == 1 || (apart >= 64 && apart <= PAGE - 64));
	if (!v->direct && v->c * n > STRIP_BYTES / (int64_t)sizeof(float))
		return;
	v->in[0] = v->out[0] = v->in[1] = v->out[1] = 1;
	v->in[2] = v->out[2] = (int)n;
}

static void find_windows(const struct pare_conv *v, struct pare_window *to)
{
	int step = v->stride[2];

	for (int x = 0; x < v->kernel[2]; x++, to++) {
		int shift = x * v->dilation[2] - v->pad[2];

		to->left = shift < 0 ? (step - 1 - shift) / step : 0;
		to->left = to->left < v->out[2] ? to->left : v->out[2];
		to->start = to->left * step + shift;
		to->n = to->start < v->in[2] ? (v->in[2] - 1 - to->start) / step + 1 : 0;
		to->n = to->n < v->out[2] - to->left ? to->n : v->out[2] - to->left;
	}
}

/* Rows as long as the output's and no strides: a plane is a run of the input with some columns
 * left out. */
static bool make_mask(const struct pare_kernels *k, struct pare_conv *v, struct pare_arena *a)
{
	size_t n = (size_t)v->kernel[2] * v->plane + k->lanes; /* read by whole vectors */
	int32_t *mask;

	if (v->direct || v->stride[1] != 1 || v->stride[2] != 1 || v->in[2] != v->out[2])
		return true;
	if (!(mask = pare_alloc_n(a, n, sizeof *mask)))
		return false;
	v->mask = mask;
	for (int x = 0; x < v->kernel[2]; x++, mask += v->plane)
		for (int i = 0; i < v->rows * v->columns; i++) {
			int column = i % v->columns + x * v->dilation[2] - v->pad[2];

			mask[i] = column >= 0 && column < v->in[2] ? -1 : 0;
		}
	return true;
}

/* ---- across channels: see across.c -------------------------------------------------------------
 */

/* Where each pixel of the input lies in the padded plane, and where the window of each of the
 * output begins, beyond the last as there. */
static void fill_places(const struct pare_kernels *k, const struct pare_conv *v, int32_t *pixel,
	int32_t *offset, int n)
{
	for (int y = 0; y < v->in[1]; y++)
		for (int x = 0; x < v->in[2]; x++)
			*pixel++ = ((y + v->pad[1]) * v->columns + x + v->pad[2]) * k->lanes;
	for (int i = 0; i < n; i++) {
		int p = i < v->out[1] * v->out[2] ? i : v->out[1] * v->out[2] - 1;

		*offset++ =
			(p / v->out[2] * v->stride[1] * v->columns + p % v->out[2] * v->stride[2]) *
			k->lanes;
	}
}

static int larger(int64_t a, int64_t b)
{
	return (int)(a > b ? a : b);
}

/* Is it one channel at a time, of planes that the first caches hold?  Then it lays the planes out.
 */
static bool is_across(const struct pare_kernels *k, struct pare_conv *v)
{
	int64_t side[3];

	if (v->c != 1 || v->o != 1 || 2 * v->groups <= k->lanes || v->in[0] != 1 ||
		v->kernel[0] != 1 || v->out[0] != 1 || v->kernel[1] * v->kernel[2] == 1)
		return false;
	for (int i = 1; i < 3; i++) {
		int64_t under = (int64_t)(v->out[i] - 1) * v->stride[i] +
				(int64_t)(v->kernel[i] - 1) * v->dilation[i] + 1;

		if (v->in[i] > ACROSS_BYTES || v->pad[i] > ACROSS_BYTES || under > ACROSS_BYTES)
			return false;
		side[i] = larger(under, (int64_t)v->in[i] + v->pad[i]);
	}
	if (side[1] * side[2] * k->lanes * (int64_t)sizeof(float) > ACROSS_BYTES)
		return false;
	v->across = true;
	v->columns = (int)side[2];
	v->plane = (int)(side[1] * side[2] * k->lanes);
	return true;
}

/* w [block of channels][kernel][lanes] */
static enum pare_status plan_across(const struct pare_kernels *k, struct pare_conv *v,
	const float *w, struct pare_arena *a, struct pare_err *err)
{
	int lanes = k->lanes, out = (v->out[1] * v->out[2] + lanes - 1) / lanes * lanes;
	int32_t *pixel = pare_alloc_n(a, (size_t)v->in[1] * v->in[2], sizeof *pixel);
	int32_t *offset = pare_alloc_n(a, (size_t)out, sizeof *offset);
	size_t blocks = (size_t)(v->groups + lanes - 1) / lanes;
	float *to = pare_alloc_n(a, blocks * lanes, v->k * sizeof *to);

	if (!pixel || !offset || !to)
		return pare_nomem(err, "packed weights");
	fill_places(k, v, pixel, offset, out);
	v->pixel = pixel;
	v->offset = offset;
	v->w = to;
	for (int g = 0; g < v->groups; g += lanes)
		for (int i = 0; i < v->k; i++)
			for (int l = g; l < g + lanes; l++)
				*to++ = l < v->groups ? w[(size_t)l * v->k + i] : 0;
	return PARE_OK;
}

enum pare_status pare_wide_plan(const struct pare_kernels *k, struct pare_conv *v, const float *w,
	const float *bias, struct pare_arena *a, struct pare_err *err)
{
	size_t kernel = (size_t)v->kernel[0] * v->kernel[1] * v->kernel[2];
	struct pare_window *windows;
	int32_t *offset;
	float *packed;

	v->wide = true;
	v->bias = bias ? bias : pare_alloc_n(a, (size_t)v->groups * v->o, sizeof *bias);
	if (!v->bias)
		return pare_nomem(err, "a bias");
	if (v->c * kernel > INT32_MAX / 64)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 terms in a sum");
	v->k = (int)(v->c * kernel);
	if (w && is_across(k, v))
		return plan_across(k, v, w, a, err);
	v->tiles = (struct pare_tiles){ v->o, (v->o + k->tile_o - 1) / k->tile_o };
	v->block = (size_t)v->o * v->k * sizeof *w > WEIGHT_BYTES || v->o == 1 ? PARE_WIDE_SPAN
									       : k->tile_p;
	simplify(k, v);
	if (!choose_strip(k, v))
		return pare_fail(err, PARE_E_UNSUPPORTED, "a row of its input is too large");
	offset = pare_alloc_n(a, (size_t)v->k, sizeof *offset);
	windows = pare_alloc_n(a, (size_t)v->kernel[2], sizeof *windows);
	packed = pare_alloc_n(a, w ? (size_t)v->groups * v->o * v->k : 1, sizeof *packed);
	if (!offset || !windows || !packed || !make_mask(k, v, a))
		return pare_nomem(err, "packed weights");
	fill_offsets(v, offset);
	find_windows(v, windows);
	if (w)
		pare_pack_tiles(v, w, packed);
	v->offset = offset;
	v->windows = windows;
	v->w = packed;
	return PARE_OK;
}

enum pare_status pare_wide_product_plan(const struct pare_kernels *k, struct pare_conv *v, int m,
	int n, int terms, struct pare_arena *a, struct pare_err *err)
{
	*v = (struct pare_conv){ .groups = 1,
		.c = terms,
		.o = m,
		.in = { 1, 1, n },
		.out = { 1, 1, n },
		.kernel = { 1, 1, 1 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 1 } };
	return pare_wide_plan(k, v, NULL, NULL, a, err);
}

size_t pare_wide_product_scratch(const struct pare_kernels *k, const struct pare_conv *v)
{
	return pare_wide_bytes(v, k->lanes) + (size_t)v->o * v->k * sizeof(float);
}

void pare_wide_product_run(const struct pare_kernels *k, const struct pare_conv *v,
	const struct pare_wide_side *a, const float *b, float *out, const struct pare_finish *f,
	float *scratch)
{
	float *w = scratch + pare_wide_bytes(v, k->lanes) / sizeof *w;
	struct pare_conv now = *v;

	now.w = w;
	for (int i = 0; i < v->tiles.n; i++) {
		int from = pare_tile_from(&v->tiles, i), end = pare_tile_from(&v->tiles, i + 1);

		for (int j = 0; j < v->k; j++)
			for (int o = from; o < end; o++)
				*w++ = a->alpha * a->a[o * a->row + j * a->column];
	}
	k->wide(&now, b, out, f, scratch);
}
