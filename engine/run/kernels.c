/* The vector code.  The Makefile compiles this file once an instruction set, PARE_ISA being its
 * name, with contraction of a*b+c allowed; everything here is static but the table at the end. */
#include "kernels.h"
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define SPLAT(s)                                                                                   \
	{                                                                                          \
		s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s                                     \
	}
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#define SPLAT(s)                                                                                   \
	{                                                                                          \
		s, s, s, s, s, s, s, s                                                             \
	}
#else
#define LANES 4
#define SPLAT(s)                                                                                   \
	{                                                                                          \
		s, s, s, s                                                                         \
	}
#endif

/* A tile of accumulators must leave registers for its operands: 8×3 + 3 + 1 of 32, 6×2 + 2 + 1 of
 * 16.  GCC spills the more square 4×3 of 16 and runs at half the speed. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_O 8
#define TILE_P 3
#define TILE_O_1 16
#else
#define TILE_O 6
#define TILE_P 2
#define TILE_O_1 12
#endif
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));

INLINE vec splat(float s)
{
	return (vec)SPLAT(s);
}

INLINE vec load(const float *p)
{
	return *(const vec *)p;
}

INLINE void store(float *p, vec v)
{
	*(vec *)p = v;
}

/* The bound first: where v is NaN, x86 gives the second operand. */
INLINE vec clamp(vec v, vec lo, vec hi)
{
#if defined(__AVX512F__)
	return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
#elif defined(__AVX2__)
	return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
#else
	typedef int32_t ints __attribute__((vector_size(4 * LANES)));
	ints below = v<lo, above = v> hi;

	return (vec)(((ints)v & ~below & ~above) | ((ints)lo & below) | ((ints)hi & above));
#endif
}

/* ---- the tile: what all products come down to --------------------------------------------------
 */

struct tile {
	const float *w;        /* [k][O] */
	const float *bias;     /* [O]; NULL = go on from what `out` holds */
	const float *x;        /* the strip */
	const int32_t *offset; /* [k] */
	const int32_t *pixel;  /* [P] */
	int k;
	float *out;                       /* [O][pitch], P vectors of each */
	size_t pitch;                     /* floats */
	size_t add_by;                    /* floats from out to the same element of what is added */
	const struct pare_finish *finish; /* NULL = more terms come later */
};

INLINE void tile_run(const int O, const int P, const struct tile *t)
{
	vec acc[TILE_O_1][TILE_P];
	const float *x[TILE_P];
	const float *w = t->w;
	const int32_t *offset = t->offset;

	UNROLL for (int p = 0; p < P; p++) x[p] = t->x + t->pixel[p];
	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
		t->bias ? splat(t->bias[o]) : load(t->out + o * t->pitch + p * LANES);
	for (int k = 0; k < t->k; k++, w += O) {
		vec v[TILE_P];

		UNROLL for (int p = 0; p < P; p++) v[p] = load(x[p] + offset[k]);
		UNROLL for (int o = 0; o < O; o++)
		{
			vec s = splat(w[o]);

			UNROLL for (int p = 0; p < P; p++) acc[o][p] += s * v[p];
		}
	}
	if (t->finish) {
		vec lo = splat(t->finish->lo), hi = splat(t->finish->hi);
		const float *add = t->finish->add;

		if (add)
			UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
				acc[o][p] += load(add + t->add_by + o * t->pitch + p * LANES);
		UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
			clamp(acc[o][p], lo, hi);
	}
	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
		store(t->out + o * t->pitch + p * LANES, acc[o][p]);
}

typedef void tile_fn(const struct tile *t);
#define TILE(O, P)                                                                                 \
	static void tile_##O##x##P(const struct tile *t)                                           \
	{                                                                                          \
		tile_run(O, P, t);                                                                 \
	}
#define EACH_O(P, M) M(1, P) M(2, P) M(3, P) M(4, P) M(5, P) M(6, P)
#define EACH_O_8(P, M) M(7, P) M(8, P)
#define EACH_O_12(P, M) M(9, P) M(10, P) M(11, P) M(12, P)
#define EACH_O_16(P, M) M(13, P) M(14, P) M(15, P) M(16, P)
#define NAME(O, P) tile_##O##x##P,
#if TILE_P == 3
#define ONE(M) EACH_O(1, M) EACH_O_8(1, M) EACH_O_12(1, M) EACH_O_16(1, M)
#define TWO(M) EACH_O(2, M) EACH_O_8(2, M)
#define THREE(M) EACH_O(3, M) EACH_O_8(3, M)
#else
#define ONE(M) EACH_O(1, M) EACH_O_8(1, M) EACH_O_12(1, M)
#define TWO(M) EACH_O(2, M)
#define THREE(M)
#endif
ONE(TILE)
TWO(TILE)
THREE(TILE)

static tile_fn *const tiles_of[TILE_P][TILE_O_1] = {
	{ ONE(NAME) },
	{ TWO(NAME) },
#if TILE_P == 3
	{ THREE(NAME) },
#endif
};

/* ---- convolution over a strip ------------------------------------------------------------------
 */

/* Terms taken at a time, so that the pixels they read stay in the first cache. */
enum { K_BLOCK = 320 };

static void copy_row(float *to, const float *from, int n, int step)
{
	if (step == 1)
		memcpy(to, from, (size_t)n * LANES * sizeof *to);
	else
		for (int i = 0; i < n; i++)
			store(to + (size_t)i * LANES, load(from + (size_t)i * step * LANES));
}

/* One plane of the strip whose first output row is y: rows and columns of `x` ([height][width]),
 * zeros around. */
static void gather_plane(const struct pare_conv *v, const float *x, int y, float *to)
{
	int width = v->in[2], height = v->in[1], first = y * v->stride[1] - v->pad[1];
	int left = v->pad[2] > 0 ? (v->pad[2] + v->step[2] - 1) / v->step[2] : 0;
	int start = left * v->step[2] - v->pad[2]; /* input column of the first that is there */
	int n = start < width ? (width - 1 - start) / v->step[2] + 1 : 0;
	size_t pitch = (size_t)v->columns * LANES;

	left = left < v->columns ? left : v->columns;
	n = n < v->columns - left ? n : v->columns - left;
	if (!left && n == v->columns && n == width && v->step[1] == 1 && first >= 0 &&
		first + v->rows <= height) {
		memcpy(to, x + first * pitch, v->rows * pitch * sizeof *to);
		return;
	}
	for (int r = 0; r < v->rows; r++, to += pitch) {
		int row = first + r * v->step[1];

		if (row < 0 || row >= height) {
			memset(to, 0, pitch * sizeof *to);
			continue;
		}
		memset(to, 0, (size_t)left * LANES * sizeof *to);
		copy_row(to + (size_t)left * LANES, x + ((size_t)row * width + start) * LANES, n,
			v->step[2]);
		memset(to + (size_t)(left + n) * LANES, 0,
			(size_t)(v->columns - left - n) * LANES * sizeof *to);
	}
}

static void gather(const struct pare_conv *v, const float *x, int z, int y, float *to)
{
	size_t area = (size_t)v->in[1] * v->in[2] * LANES;

	for (int c = 0; c < v->c; c++)
		for (int d = 0; d < v->kernel[0]; d++, to += v->plane) {
			int depth = z * v->stride[0] - v->pad[0] + d * v->dilation[0];

			if (depth < 0 || depth >= v->in[0])
				memset(to, 0, (size_t)v->plane * sizeof *to);
			else
				gather_plane(v, x + ((size_t)c * v->in[0] + depth) * area, y, to);
		}
}

/* `n` pixels of a strip, all channels of a group. */
static void strip_run(const struct pare_conv *v, int group, const float *x, int n, float *out,
	size_t add_by, const struct pare_finish *f)
{
	size_t pitch = (size_t)v->out[0] * v->out[1] * v->out[2] * LANES;
	const float *w = v->w + (size_t)group * v->o * v->k;
	const float *bias = v->bias + (size_t)group * v->o;
	struct tile t = { .x = x, .pitch = pitch };

	for (int p = 0, some; p < n; p += some) {
		some = n - p < TILE_P ? n - p : TILE_P;
		t.pixel = v->pixel + p;
		for (int k = 0; k < v->k; k += K_BLOCK) {
			int last = k + K_BLOCK >= v->k;

			t.offset = v->offset + k;
			t.k = last ? v->k - k : K_BLOCK;
			t.finish = last ? f : NULL;
			for (int i = 0; i < v->tiles.n; i++) {
				int from = pare_tile_from(&v->tiles, i);
				int wide = pare_tile_from(&v->tiles, i + 1) - from;

				t.w = w + (size_t)from * v->k + (size_t)k * wide;
				t.bias = k ? NULL : bias + from;
				t.out = out + from * pitch + (size_t)p * LANES;
				t.add_by = add_by + from * pitch + (size_t)p * LANES;
				tiles_of[some - 1][wide - 1](&t);
			}
		}
	}
}

static void conv(const struct pare_conv *v, const float *x, float *out, const struct pare_finish *f,
	float *scratch)
{
	size_t in_size = (size_t)v->c * v->in[0] * v->in[1] * v->in[2] * LANES;
	size_t area = (size_t)v->out[1] * v->out[2] * LANES;
	size_t out_size = (size_t)v->o * v->out[0] * area;

	for (int g = 0; g < v->groups; g++)
		for (int z = 0; z < v->out[0]; z++)
			for (int y = 0; y < v->out[1]; y += v->strip) {
				int rows = v->out[1] - y < v->strip ? v->out[1] - y : v->strip;
				const float *from = x + g * in_size;
				size_t at = g * out_size + z * area + (size_t)y * v->out[2] * LANES;

				if (!v->direct)
					gather(v, from, z, y, scratch);
				strip_run(v, g, v->direct ? from : scratch, rows * v->out[2],
					out + at, at, f);
			}
}

/* ---- depthwise ---------------------------------------------------------------------------------
 */

/* Output columns x <= i < to of one row; rows[] are the KH input rows it reads, each column there
 * is (S, KH, KW known when compiled: the fast ones). */
INLINE void depthwise_span(const int KH, const int KW, const int S, const int N, int x, int pad,
	const float *const *rows, const float *w, vec bias, float *out, const float *add, vec lo,
	vec hi)
{
	vec acc[4];

	UNROLL for (int i = 0; i < N; i++) acc[i] = bias;
	UNROLL for (int r = 0; r < KH; r++)
	{
		const float *in = rows[r] + ((ptrdiff_t)x * S - pad) * LANES;

		UNROLL for (int k = 0; k < KW; k++)
		{
			vec s = splat(w[r * KW + k]);

			UNROLL for (int i = 0; i < N; i++) acc[i] +=
				s * load(in + (i * S + k) * LANES);
		}
	}
	UNROLL for (int i = 0; i < N; i++)
	{
		vec v = acc[i];

		if (add)
			v += load(add + (x + i) * LANES);
		store(out + (x + i) * LANES, clamp(v, lo, hi));
	}
}

/* One output pixel, taps that fall outside left out. */
static vec
depthwise_pixel(const struct pare_conv *v, int x, const float *const *rows, const float *w, vec acc)
{
	for (int r = 0; r < v->kernel[1]; r++)
		for (int k = 0; k < v->kernel[2]; k++) {
			int column = x * v->stride[2] - v->pad[2] + k * v->dilation[2];

			if (column >= 0 && column < v->in[2])
				acc += splat(w[r * v->kernel[2] + k]) *
				       load(rows[r] + (size_t)column * LANES);
		}
	return acc;
}

static void depthwise_row(const struct pare_conv *v, const float *const *rows, const float *w,
	float bias, float *out, const float *add, const struct pare_finish *f)
{
	vec lo = splat(f->lo), hi = splat(f->hi), b = splat(bias);
	int reach = (v->kernel[2] - 1) * v->dilation[2], s = v->stride[2], width = v->out[2];
	int from = (v->pad[2] + s - 1) / s;
	int to = v->in[2] - 1 - reach + v->pad[2] < 0 ? 0
						      : (v->in[2] - 1 - reach + v->pad[2]) / s + 1;
	int fast = v->kernel[1] == 3 && v->kernel[2] == 3 && v->dilation[2] == 1 && s <= 2;
	int x = 0;

	from = from < width ? from : width;
	to = !fast || to < from ? from : to < width ? to : width;
	while (x < width) {
		if (x == from && x < to) {
			for (; s == 1 && x + 4 <= to; x += 4)
				depthwise_span(
					3, 3, 1, 4, x, v->pad[2], rows, w, b, out, add, lo, hi);
			for (; s == 1 && x < to; x++)
				depthwise_span(
					3, 3, 1, 1, x, v->pad[2], rows, w, b, out, add, lo, hi);
			for (; s == 2 && x + 4 <= to; x += 4)
				depthwise_span(
					3, 3, 2, 4, x, v->pad[2], rows, w, b, out, add, lo, hi);
			for (; s == 2 && x < to; x++)
				depthwise_span(
					3, 3, 2, 1, x, v->pad[2], rows, w, b, out, add, lo, hi);
			continue;
		}
		vec r = depthwise_pixel(v, x, rows, w, b);

		if (add)
			r += load(add + (size_t)x * LANES);
		store(out + (size_t)x * LANES, clamp(r, lo, hi));
		x++;
	}
}

static void depthwise(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t in_row = (size_t)v->in[2] * LANES, out_row = (size_t)v->out[2] * LANES;
	const float *rows[PARE_DEPTHWISE_ROWS];
	const float *w = v->w;
	size_t at = 0;

	memset(scratch, 0,
		in_row * sizeof *scratch); /* the row above the first and below the last */
	for (int g = 0; g < v->groups; g++, w += v->k, x += v->in[1] * in_row)
		for (int y = 0; y < v->out[1]; y++, at += out_row) {
			for (int r = 0; r < v->kernel[1]; r++) {
				int row = y * v->stride[1] - v->pad[1] + r * v->dilation[1];

				rows[r] = row < 0 || row >= v->in[1] ? scratch : x + row * in_row;
			}
			depthwise_row(
				v, rows, w, v->bias[g], out + at, f->add ? f->add + at : NULL, f);
		}
}

/* ---- flat loops --------------------------------------------------------------------------------
 */

static void finish(const float *x, float *y, size_t n, const struct pare_finish *f)
{
	vec lo = splat(f->lo), hi = splat(f->hi);
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec v = load(x + i);

		if (f->add)
			v += load(f->add + i);
		store(y + i, clamp(v, lo, hi));
	}
	for (; i < n; i++) {
		float v = f->add ? x[i] + f->add[i] : x[i];

		y[i] = v < f->lo ? f->lo : v > f->hi ? f->hi : v;
	}
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even; it needs no more
 * than |v| < 2^22, which the clamp before it sees to. */
static void quantize(const float *x, float *y, size_t n, float scale, int zero, int lo, int hi)
{
	const float magic = 12582912.f, least = (float)(lo - zero), most = (float)(hi - zero);
	vec m = splat(magic), s = splat(scale), a = splat(least), b = splat(most);
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		store(y + i, ((clamp(load(x + i) / s, a, b) + m) - m) * s);
	for (; i < n; i++) {
		float v = x[i] / scale;

		v = v < least ? least : v > most ? most : v;
		y[i] = ((v + magic) - magic) * scale;
	}
}

#define TABLE_NAME_(isa) pare_kernels_##isa
#define TABLE_NAME(isa) TABLE_NAME_(isa)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

extern const struct pare_kernels TABLE_NAME(PARE_ISA);
const struct pare_kernels TABLE_NAME(PARE_ISA) = {
	.isa = TEXT(PARE_ISA),
	.lanes = LANES,
	.tile_o = TILE_O,
	.tile_o_1 = TILE_O_1,
	.conv = conv,
	.depthwise = depthwise,
	.finish = finish,
	.quantize = quantize,
};
