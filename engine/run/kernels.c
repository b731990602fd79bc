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
#define PRODUCT_ROWS 8
#else
#define TILE_O 6
#define TILE_P 2
#define PRODUCT_ROWS 4
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
	vec acc[TILE_O][TILE_P];
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
#define EACH_6(P, M) M(1, P) M(2, P) M(3, P) M(4, P) M(5, P) M(6, P)
#define EACH_8(P, M) EACH_6(P, M) M(7, P) M(8, P)
#define NAME(O, P) tile_##O##x##P,
#if TILE_O == 8
#define EACH(P, M) EACH_8(P, M)
#else
#define EACH(P, M) EACH_6(P, M)
#endif
EACH(1, TILE)
EACH(2, TILE)
#if TILE_P == 3
EACH(3, TILE)
#endif

static tile_fn *const tiles_of[TILE_P][TILE_O] = {
	{ EACH(1, NAME) },
	{ EACH(2, NAME) },
#if TILE_P == 3
	{ EACH(3, NAME) },
#endif
};

/* ---- convolution over a strip ------------------------------------------------------------------
 */

/* Terms taken at a time, so that the pixels they read stay in the first cache. */
enum { K_BLOCK = 320, PRODUCT_TERMS = 128 };

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

/* A row of output and what it is made of. */
struct row {
	const float *in[PARE_DEPTHWISE_ROWS]; /* the input rows under the kernel */
	const float *w;                       /* [kernel[1]][kernel[2]] */
	float *out;
	const float *add; /* the same row of what is added, or NULL */
	vec bias, lo, hi;
};

/* N pixels from x on, of a 3×3 kernel of stride S, whose columns from <= k < to lie on the input.
 * first: input column under column 0 of the kernel. */
INLINE void depthwise_span(const int S, const int N, const int from, const int to,
	const struct row *r, int x, int first)
{
	vec acc[4];

	UNROLL for (int i = 0; i < N; i++) acc[i] = r->bias;
	UNROLL for (int j = 0; j < 3; j++)
	{
		const float *in = r->in[j] + (ptrdiff_t)first * LANES;

		UNROLL for (int k = from; k < to; k++)
		{
			vec s = splat(r->w[j * 3 + k]);

			UNROLL for (int i = 0; i < N; i++) acc[i] +=
				s * load(in + (i * S + k) * LANES);
		}
	}
	UNROLL for (int i = 0; i < N; i++)
	{
		vec v = acc[i];

		if (r->add)
			v += load(r->add + (x + i) * LANES);
		store(r->out + (x + i) * LANES, clamp(v, r->lo, r->hi));
	}
}

/* One pixel of any kernel; columns outside the input are left out. */
static void depthwise_pixel(const struct pare_conv *v, const struct row *r, int x)
{
	vec acc = r->bias;
	int first = x * v->stride[2] - v->pad[2];

	for (int j = 0; j < v->kernel[1]; j++)
		for (int k = 0; k < v->kernel[2]; k++) {
			int column = first + k * v->dilation[2];

			if (column >= 0 && column < v->in[2])
				acc += splat(r->w[j * v->kernel[2] + k]) *
				       load(r->in[j] + (size_t)column * LANES);
		}
	if (r->add)
		acc += load(r->add + (size_t)x * LANES);
	store(r->out + (size_t)x * LANES, clamp(acc, r->lo, r->hi));
}

/* A row of a 3×3 kernel, stride S: four pixels at a time where all columns are there. */
INLINE void depthwise_row_3(const int S, const struct pare_conv *v, const struct row *r)
{
	for (int x = 0, left; x < v->out[2];) {
		int first = x * S - v->pad[2];

		if (first >= 0 && first + 3 <= v->in[2]) {
			left = (v->in[2] - 3 - first) / S + 1;
			left = left < v->out[2] - x ? left : v->out[2] - x;
			for (; left >= 4; left -= 4, x += 4, first += 4 * S)
				depthwise_span(S, 4, 0, 3, r, x, first);
			if (left == 3)
				depthwise_span(S, 3, 0, 3, r, x, first);
			else if (left == 2)
				depthwise_span(S, 2, 0, 3, r, x, first);
			else if (left == 1)
				depthwise_span(S, 1, 0, 3, r, x, first);
			x += left;
			continue;
		}
		if (first == -1 && v->in[2] >= 2)
			depthwise_span(S, 1, 1, 3, r, x, first);
		else if (first >= 0 && first + 2 == v->in[2])
			depthwise_span(S, 1, 0, 2, r, x, first);
		else
			depthwise_pixel(v, r, x);
		x++;
	}
}

static void depthwise_row(const struct pare_conv *v, const struct row *r)
{
	if (v->kernel[1] == 3 && v->kernel[2] == 3 && v->dilation[2] == 1 && v->stride[2] == 1)
		depthwise_row_3(1, v, r);
	else if (v->kernel[1] == 3 && v->kernel[2] == 3 && v->dilation[2] == 1 && v->stride[2] == 2)
		depthwise_row_3(2, v, r);
	else
		for (int x = 0; x < v->out[2]; x++)
			depthwise_pixel(v, r, x);
}

static void depthwise(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t in_row = (size_t)v->in[2] * LANES, out_row = (size_t)v->out[2] * LANES;
	struct row r = { .w = v->w, .out = out, .add = f->add };

	r.lo = splat(f->lo);
	r.hi = splat(f->hi);
	memset(scratch, 0,
		in_row * sizeof *scratch); /* the rows above the first and below the last */
	for (int g = 0; g < v->groups; g++, r.w += v->k, x += v->in[1] * in_row) {
		r.bias = splat(v->bias[g]);
		for (int y = 0; y < v->out[1]; y++) {
			for (int i = 0; i < v->kernel[1]; i++) {
				int row = y * v->stride[1] - v->pad[1] + i * v->dilation[1];

				r.in[i] = row < 0 || row >= v->in[1] ? scratch : x + row * in_row;
			}
			depthwise_row(v, &r);
			r.out += out_row;
			r.add += r.add ? out_row : 0;
		}
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

/* ---- samples to lanes and back -----------------------------------------------------------------
 */

#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define HALVINGS 4
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define HALVINGS 3
#else
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#define HALVINGS 2
#endif

/* Interleaving the upper half of the rows with the lower, as often as they can be halved, turns
 * rows into columns. */
INLINE void transpose(vec r[LANES])
{
	UNROLL for (int step = 0; step < HALVINGS; step++)
	{
		vec t[LANES];

		UNROLL for (int i = 0; i < LANES / 2; i++)
		{
			t[2 * i] = __builtin_shufflevector(r[i], r[i + LANES / 2], LOW);
			t[2 * i + 1] = __builtin_shufflevector(r[i], r[i + LANES / 2], HIGH);
		}
		UNROLL for (int i = 0; i < LANES; i++) r[i] = t[i];
	}
}

static void lanes_in(const float *samples, size_t n, int count, float *out)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec r[LANES];

		UNROLL for (int l = 0; l < LANES; l++)
			memcpy(&r[l], samples + (l < count ? l : 0) * n + i, sizeof(vec));
		transpose(r);
		UNROLL for (int l = 0; l < LANES; l++) store(out + (i + l) * LANES, r[l]);
	}
	for (; i < n; i++)
		for (int l = 0; l < LANES; l++)
			out[i * LANES + l] = samples[(l < count ? l : 0) * n + i];
}

static void lanes_out(const float *in, size_t n, int count, float *samples)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec r[LANES];

		UNROLL for (int l = 0; l < LANES; l++) r[l] = load(in + (i + l) * LANES);
		transpose(r);
		for (int l = 0; l < count; l++)
			memcpy(samples + l * n + i, &r[l], sizeof(vec));
	}
	for (; i < n; i++)
		for (int l = 0; l < count; l++)
			samples[l * n + i] = in[i * LANES + l];
}

/* ---- one pixel: a matrix product ----------------------------------------------------------------
 *
 * With one vector of input there is nothing to share a weight between, so lanes become rows: a tile
 * is some lanes by some vectors of outputs, turned back when it is done. */

/* sum[lane][N vectors] += x[k][lane] * w[k][N vectors], for PRODUCT_ROWS lanes */
INLINE void product_tile(const int N, int terms, const float *w, const float *x, float *sum)
{
	vec acc[PRODUCT_ROWS][TILE_P];

	UNROLL for (int r = 0; r < PRODUCT_ROWS; r++) UNROLL for (int n = 0; n < N; n++) acc[r][n] =
		load(sum + (r * N + n) * LANES);
	for (int k = 0; k < terms; k++, w += N * LANES, x += LANES) {
		vec v[TILE_P];

		UNROLL for (int n = 0; n < N; n++) v[n] = load(w + n * LANES);
		UNROLL for (int r = 0; r < PRODUCT_ROWS; r++)
		{
			vec s = splat(x[r]);

			UNROLL for (int n = 0; n < N; n++) acc[r][n] += s * v[n];
		}
	}
	UNROLL for (int r = 0; r < PRODUCT_ROWS; r++) UNROLL for (int n = 0; n < N; n++)
		store(sum + (r * N + n) * LANES, acc[r][n]);
}

/* Functions of their own: inlined, they would share registers with what is around them, and spill.
 */
#define PRODUCT(N)                                                                                 \
	static __attribute__((noinline)) void product_##N(                                         \
		int terms, const float *w, const float *x, float *sum)                             \
	{                                                                                          \
		product_tile(N, terms, w, x, sum);                                                 \
	}
PRODUCT(1)
PRODUCT(2)
#if TILE_P == 3
PRODUCT(3)
#endif

typedef void product_fn(int terms, const float *w, const float *x, float *sum);
static product_fn *const products[TILE_P] = {
	product_1,
	product_2,
#if TILE_P == 3
	product_3,
#endif
};

/* n vectors of outputs; the last may be part empty: `left` outputs in all. */
static void product_block(int vectors, int terms, const float *w, const float *x, const float *bias,
	int left, float *out, const float *add, const struct pare_finish *f)
{
	float sum[LANES * TILE_P * LANES] __attribute__((aligned(64)));
	vec lo = splat(f->lo), hi = splat(f->hi);

	memset(sum, 0, sizeof sum);
	for (int k = 0; k < terms; k += PRODUCT_TERMS) {
		int some = terms - k < PRODUCT_TERMS ? terms - k : PRODUCT_TERMS;

		for (int r = 0; r < LANES; r += PRODUCT_ROWS)
			products[vectors - 1](some, w + (size_t)k * vectors * LANES,
				x + (size_t)k * LANES + r, sum + r * vectors * LANES);
	}
	for (int n = 0; n < vectors; n++, left -= LANES) {
		vec r[LANES];

		UNROLL for (int l = 0; l < LANES; l++) r[l] = load(sum + (l * vectors + n) * LANES);
		transpose(r);
		for (int o = 0; o < LANES && o < left; o++) {
			vec v = r[o] + splat(bias[n * LANES + o]);

			if (add)
				v += load(add + (n * LANES + o) * LANES);
			store(out + (n * LANES + o) * LANES, clamp(v, lo, hi));
		}
	}
}

static void product(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	const float *w = v->w, *bias = v->bias, *add = f->add;

	(void)scratch;
	for (int g = 0; g < v->groups; g++, x += (size_t)v->k * LANES)
		for (int o = 0; o < v->o;) {
			int left = v->o - o, vectors = (left + LANES - 1) / LANES;
			int some = left < TILE_P * LANES ? left : TILE_P * LANES;

			vectors = vectors < TILE_P ? vectors : TILE_P;
			product_block(vectors, v->k, w, x, bias, some, out, add, f);
			w += (size_t)v->k * vectors * LANES;
			o += some;
			bias += some;
			out += some * LANES;
			add += add ? some * LANES : 0;
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
	.product_o = TILE_P * LANES,
	.conv = conv,
	.depthwise = depthwise,
	.product = product,
	.finish = finish,
	.quantize = quantize,
	.lanes_in = lanes_in,
	.lanes_out = lanes_out,
};
