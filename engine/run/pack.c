/* Laying a convolution out: which kernel, how much at a time, weights in the order of its loops. */
#include "kernels.h"
#include <string.h>

enum {
	STRIP_BYTES = 384 * 1024, /* of gathered input: a part of a second-level cache */
	BLOCK_BYTES = 512 * 1024, /* of transformed input, likewise */
};

/* Kernels of one point read each pixel alone: all pixels are one column.  A kernel that covers its
 * whole input is a matrix product over all its elements. */
static void simplify(struct pare_conv *v)
{
	bool point = true, whole = true;

	for (int i = 0; i < 3; i++) {
		point &= v->kernel[i] == 1 && v->stride[i] == 1 && v->pad[i] == 0 &&
			 v->in[i] == v->out[i];
		whole &= v->kernel[i] == v->in[i] && v->out[i] == 1 && v->pad[i] == 0 &&
			 v->dilation[i] == 1;
	}
	for (int i = 0; i < 3 && whole; i++) {
		v->c *= v->kernel[i];
		v->kernel[i] = v->in[i] = v->stride[i] = 1;
	}
	if (point) {
		int n = v->in[0] * v->in[1] * v->in[2];

		v->in[0] = v->out[0] = v->in[2] = v->out[2] = 1;
		v->in[1] = v->out[1] = n;
	}
	v->product = whole;
	v->direct = point;
}

static int odd(int n)
{
	return n | 1;
}

/* Rows and columns of a strip of `strip` output rows, and floats from plane to plane. */
static bool size_strip(const struct pare_kernels *k, struct pare_conv *v, int strip)
{
	int64_t rows, columns, plane;

	for (int i = 1; i < 3; i++)
		v->step[i] = v->kernel[i] == 1 ? v->stride[i] : 1;
	rows = (int64_t)(strip - 1) * v->stride[1] / v->step[1] +
	       (int64_t)(v->kernel[1] - 1) * v->dilation[1] + 1;
	columns = (int64_t)(v->out[2] - 1) * v->stride[2] / v->step[2] +
		  (int64_t)(v->kernel[2] - 1) * v->dilation[2] + 1;
	if (v->direct)
		rows = v->in[1], columns = v->in[2];
	if (rows > INT32_MAX || columns > INT32_MAX || rows * columns > INT32_MAX / k->lanes - 1)
		return false;
	plane = v->direct ? v->in_by : (int64_t)odd((int)(rows * columns)) * k->lanes;
	if (plane * v->c * v->kernel[0] > INT32_MAX)
		return false;
	v->strip = strip;
	v->rows = (int)rows;
	v->columns = (int)columns;
	v->plane = (int)plane;
	return true;
}

static size_t strip_bytes(const struct pare_conv *v)
{
	return (size_t)v->plane * v->c * v->kernel[0] * sizeof(float);
}

/* As many rows as the cache holds, split evenly. */
static bool choose_strip(const struct pare_kernels *k, struct pare_conv *v)
{
	int n = v->out[1];

	if (!size_strip(k, v, 1))
		return false;
	for (int parts = 1;; parts++) {
		int strip = (n + parts - 1) / parts;

		if (size_strip(k, v, strip) &&
			(strip == 1 || v->direct || strip_bytes(v) <= STRIP_BYTES))
			return true;
		if (strip == 1)
			return false;
	}
}

static void fill_tables(
	const struct pare_kernels *k, const struct pare_conv *v, int32_t *offset, int32_t *pixel)
{
	int lanes = k->lanes;

	for (int c = 0; c < v->c * v->kernel[0]; c++)
		for (int y = 0; y < v->kernel[1]; y++)
			for (int x = 0; x < v->kernel[2]; x++)
				*offset++ = c * v->plane +
					    (y * v->dilation[1] * v->columns + x * v->dilation[2]) *
						    lanes;
	for (int y = 0; y < v->strip; y++)
		for (int x = 0; x < v->out[2]; x++)
			*pixel++ = (y * v->stride[1] / v->step[1] * v->columns +
					   x * v->stride[2] / v->step[2]) *
				   lanes;
}

void pare_pack_tiles(const struct pare_conv *v, const float *w, float *to)
{
	for (int g = 0; g < v->groups; g++, w += (size_t)v->o * v->k)
		for (int i = 0; i < v->tiles.n; i++) {
			int from = pare_tile_from(&v->tiles, i);
			int end = pare_tile_from(&v->tiles, i + 1);

			for (int j = 0; j < v->k; j++)
				for (int o = from; o < end; o++)
					*to++ = w[(size_t)o * v->k + j];
		}
}

/* Zeros fill the last vector, so that it can be computed like the others. */
static enum pare_status plan_product(const struct pare_kernels *k, struct pare_conv *v,
	const float *w, struct pare_arena *a, struct pare_err *err)
{
	size_t wide = (size_t)(v->o + k->lanes - 1) / k->lanes * k->lanes;
	float *to = pare_alloc_n(a, (size_t)v->groups * v->k, wide * sizeof *to);

	if (!to)
		return pare_nomem(err, "packed weights");
	v->w = to;
	v->rows = 1;
	for (int g = 0; g < v->groups; g++, w += (size_t)v->o * v->k)
		for (int from = 0; from < (int)wide; from += k->product_o) {
			int n = (int)wide - from < k->product_o ? (int)wide - from : k->product_o;

			for (int j = 0; j < v->k; j++)
				for (int o = from; o < from + n; o++)
					*to++ = o < v->o ? w[(size_t)o * v->k + j] : 0;
		}
	return PARE_OK;
}

/* ---- Winograd ----------------------------------------------------------------------------------
 */

/* Does F(4×4, 3×3) take fewer cycles than the sum as it stands?  Per 4×4 outputs, in vector
 * operations, as measured on AVX-512: products at their peak, transforms and the ends of short sums
 * as they are. */
bool pare_winograd_pays(const struct pare_conv *v)
{
	double tiles = (double)((v->out[1] + 3) / 4) * ((v->out[2] + 3) / 4);
	double direct = 9. * v->c * v->o * v->out[1] * v->out[2] * 1.1;
	double transformed = 36. * v->c * v->o + 144. * v->o + 280. * v->c + 220. * v->o;

	for (int i = 0; i < 3; i++)
		if (v->kernel[i] != (i ? 3 : 1) || v->stride[i] != 1 || v->dilation[i] != 1 ||
			(!i && v->in[i] != 1))
			return false;
	return tiles * transformed < direct;
}

enum { MOST_WIDE = 8 }; /* channels of a tile, on any instruction set */

/* G g G' of `wide` kernels, `by` floats apart: element i of all at to + i * to_by. */
static void transform_kernels(const float *g, size_t by, int wide, float *to, size_t to_by)
{
	const double root = 1.4142135623730951;
	const double rows[6][3] = { { 1, 0, 0 }, { -2. / 3, -root / 3, -1. / 3 },
		{ -2. / 3, root / 3, -1. / 3 }, { 1. / 6, root / 6, 1. / 3 },
		{ 1. / 6, -root / 6, 1. / 3 }, { 0, 0, 1 } };
	double in[9][MOST_WIDE] = { 0 }, t[3][MOST_WIDE];
	float out[MOST_WIDE];

	for (int o = 0; o < wide; o++)
		for (int j = 0; j < 9; j++)
			in[j][o] = g[o * by + j];
	for (int i = 0; i < 6; i++) {
		for (int c = 0; c < 3; c++)
			for (int o = 0; o < MOST_WIDE; o++)
				t[c][o] = rows[i][0] * in[c][o] + rows[i][1] * in[3 + c][o] +
					  rows[i][2] * in[6 + c][o];
		for (int j = 0; j < 6; j++, to += to_by) {
			for (int o = 0; o < MOST_WIDE; o++)
				out[o] = (float)(rows[j][0] * t[0][o] + rows[j][1] * t[1][o] +
						 rows[j][2] * t[2][o]);
			memcpy(to, out, (size_t)wide * sizeof *out);
		}
	}
}

static size_t winograd_bytes(const struct pare_kernels *k, const struct pare_conv *v, int block)
{
	return 36 * ((size_t)v->c * block | 1) * k->lanes * sizeof(float);
}

static enum pare_status plan_winograd(const struct pare_kernels *k, struct pare_conv *v,
	const float *w, struct pare_arena *a, struct pare_err *err)
{
	float *to = pare_alloc_n(a, (size_t)36 * v->groups * v->o, v->c * sizeof *to);
	int64_t all = (int64_t)((v->out[1] + 3) / 4) * ((v->out[2] + 3) / 4);

	if (!to)
		return pare_nomem(err, "transformed weights");
	v->w = to;
	v->block = k->tile_p;
	while (v->block < all && winograd_bytes(k, v, v->block + k->tile_p) <= BLOCK_BYTES)
		v->block += k->tile_p;
	for (int g = 0; g < v->groups; g++, w += (size_t)v->o * v->k)
		for (int i = 0; i < v->tiles.n; i++) {
			int from = pare_tile_from(&v->tiles, i);
			int wide = pare_tile_from(&v->tiles, i + 1) - from;

			for (int c = 0; c < v->c; c++)
				transform_kernels(w + ((size_t)from * v->c + c) * 9,
					(size_t)v->c * 9, wide, to + c * wide, (size_t)v->c * wide);
			to += (size_t)36 * v->c * wide;
		}
	return PARE_OK;
}

static bool is_depthwise(const struct pare_conv *v)
{
	return v->c == 1 && v->o == 1 && v->in[0] == 1 && v->out[0] == 1 && v->kernel[0] == 1 &&
	       v->kernel[1] <= PARE_DEPTHWISE_ROWS;
}

static bool set_dense(const struct pare_kernels *k, struct pare_conv *v)
{
	int64_t in = (int64_t)v->in[0] * v->in[1] * v->in[2] * k->lanes;
	int64_t out = (int64_t)v->out[0] * v->out[1] * v->out[2] * k->lanes;

	if (in > INT32_MAX || out > INT32_MAX)
		return false;
	v->in_by = v->in_by ? v->in_by : (int)in;
	v->out_by = v->out_by ? v->out_by : (int)out;
	return true;
}

enum pare_status pare_conv_plan(const struct pare_kernels *k, struct pare_conv *v, const float *w,
	const float *bias, struct pare_arena *a, struct pare_err *err)
{
	size_t kernel = (size_t)v->kernel[0] * v->kernel[1] * v->kernel[2];
	int32_t *offset, *pixel;
	float *packed;

	v->bias = bias ? bias : pare_alloc_n(a, (size_t)v->groups * v->o, sizeof *bias);
	if (!v->bias)
		return pare_nomem(err, "a bias");
	if (v->c * kernel > INT32_MAX / 64)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than 2^25 terms in a sum");
	if (!set_dense(k, v))
		return pare_fail(err, PARE_E_UNSUPPORTED, "a channel of it is too large");
	v->k = (int)(v->c * kernel);
	v->depthwise = is_depthwise(v);
	if (v->depthwise) {
		v->w = w;
		return PARE_OK;
	}
	simplify(v);
	if (v->product)
		return plan_product(k, v, w, a, err);
	v->tiles = (struct pare_tiles){ v->o, (v->o + k->tile_o - 1) / k->tile_o };
	v->winograd = pare_winograd_pays(v);
	if (v->winograd)
		return plan_winograd(k, v, w, a, err);
	if (!choose_strip(k, v))
		return pare_fail(err, PARE_E_UNSUPPORTED, "a row of its input is too large");
	offset = pare_alloc_n(a, (size_t)v->k, sizeof *offset);
	pixel = pare_alloc_n(a, (size_t)v->strip * v->out[2], sizeof *pixel);
	packed = pare_alloc_n(a, (size_t)v->groups * v->o * v->k, sizeof *packed);
	if (!offset || !pixel || !packed)
		return pare_nomem(err, "packed weights");
	fill_tables(k, v, offset, pixel);
	pare_pack_tiles(v, w, packed);
	v->offset = offset;
	v->pixel = pixel;
	v->w = packed;
	return PARE_OK;
}

enum pare_status pare_product_plan(const struct pare_kernels *k, struct pare_conv *v, int c, int o,
	int pixels, const float *w, const float *bias, struct pare_arena *a, struct pare_err *err)
{
	enum pare_status st;

	*v = (struct pare_conv){ .groups = 1,
		.c = c,
		.o = o,
		.in = { 1, pixels, 1 },
		.out = { 1, pixels, 1 },
		.kernel = { 1, 1, 1 },
		.stride = { 1, 1, 1 },
		.dilation = { 1, 1, 1 } };
	st = pare_conv_plan(k, v, w, bias, a, err);
	if (!st && v->w == w && !(v->w = pare_memdup(a, w, (size_t)c * o * sizeof *w)))
		st = pare_nomem(err, "packed weights");
	return st;
}

size_t pare_conv_scratch(const struct pare_kernels *k, const struct pare_conv *v)
{
	if (v->wide)
		return pare_wide_bytes(v, k->lanes);
	if (v->depthwise)
		return (size_t)v->in[2] * k->lanes * sizeof(float);
	if (v->winograd)
		return winograd_bytes(k, v, v->block);
	return v->direct || v->product ? 0 : strip_bytes(v);
}

void pare_conv_run(const struct pare_kernels *k, const struct pare_conv *v, const float *x,
	float *out, const struct pare_finish *f, float *scratch)
{
	(v->across             ? k->across
		: v->wide      ? k->wide
		: v->depthwise ? k->depthwise
		: v->product   ? k->product
		: v->winograd  ? k->winograd
			       : k->conv)(v, x, out, f, scratch);
}
