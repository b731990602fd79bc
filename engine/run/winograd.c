/* Convolutions of 3×3 and stride 1 by Winograd's F(4×4, 3×3), after Lavin and Gray, "Fast
 * algorithms for convolutional neural networks" (2015): four multiplications do the work of
 * sixteen.
 *
 *     Y = A' [ (G g G') * (B' d B) ] A
 *
 * d is a patch of 6×6 inputs, g the kernel, Y 4×4 outputs; the product in the middle is taken
 * element by element, which over all channels is 36 matrix products.  Samples being lanes, the
 * transforms are plain sums of vectors.  Some tiles at a time are taken through all of it, so that
 * what lies between the transforms stays in the cache. */
#include "vector.h"

/* Interpolation at 0, ±1/√2, ±√2 and infinity: errors are a quarter of those at 0, ±1, ±2. */
static const float half = 0.707106781f, root = 1.414213562f; /* √2/2, √2 */

/* r = B' d along one axis */
INLINE void transform_in(const vec d[6], vec r[6])
{
	vec a = d[4] - 2.f * d[2], b = half * d[3] - root * d[1];
	vec c = d[4] - .5f * d[2], e = root * d[3] - half * d[1];

	r[0] = d[0] + (d[4] - 2.5f * d[2]);
	r[1] = a + b;
	r[2] = a - b;
	r[3] = c + e;
	r[4] = c - e;
	r[5] = d[1] + (d[5] - 2.5f * d[3]);
}

/* y = A' m along one axis */
INLINE void transform_out(const vec m[6], vec y[4])
{
	vec s = m[1] + m[2], d = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];

	y[0] = m[0] + s + u;
	y[1] = half * d + root * v;
	y[2] = .5f * s + 2.f * u;
	y[3] = m[5] + .5f * half * d + 2.f * root * v;
}

/* A patch, rows `pitch` floats apart, to element i at to + i * by.  A function of its own, or it
 * would share registers with what is around it. */
static __attribute__((noinline)) void patch_in(const float *x, size_t pitch, float *to, size_t by)
{
	vec t[6][6]; /* [column][row of B' d] */

	UNROLL for (int c = 0; c < 6; c++)
	{
		vec d[6];

		UNROLL for (int r = 0; r < 6; r++) d[r] = load(x + r * pitch + c * LANES);
		transform_in(d, t[c]);
	}
	UNROLL for (int r = 0; r < 6; r++)
	{
		vec d[6], y[6];

		UNROLL for (int c = 0; c < 6; c++) d[c] = t[c][r];
		transform_in(d, y);
		UNROLL for (int c = 0; c < 6; c++, to += by) store(to, y[c]);
	}
}

/* A patch that reaches over the edge, copied with zeros around. */
static void patch_edge(const struct pare_conv *v, const float *x, int row, int column, float *to)
{
	int left = column < 0 ? -column : 0;
	int right = column + 6 > v->in[2] ? v->in[2] - column : 6;

	right = right < left ? left : right;
	for (int r = row; r < row + 6; r++, to += 6 * LANES) {
		const float *from = x + ((ptrdiff_t)r * v->in[2] + column) * LANES;
		int there = r >= 0 && r < v->in[1], end = there ? right : left, c = 0;

		for (; c < left; c++)
			store(to + c * LANES, splat(0));
		for (; c < end; c++)
			store(to + c * LANES, load(from + c * LANES));
		for (; c < 6; c++)
			store(to + c * LANES, splat(0));
	}
}

/* Floats from one of the 36 elements to the next.  An odd number of vectors: else all 36 would want
 * the same place in the first cache. */
INLINE size_t element(size_t vectors)
{
	return (vectors | 1) * LANES;
}

/* Tiles first … first+n-1 of all channels: to [36][c][n]. */
static void tiles_in(const struct pare_conv *v, const float *x, int first, int n, float *to)
{
	float edge[36 * LANES] __attribute__((aligned(64)));
	size_t plane = (size_t)v->in[1] * v->in[2] * LANES, pitch = (size_t)v->in[2] * LANES;
	size_t by = element((size_t)v->c * n);
	int across = (v->out[2] + 3) / 4;

	for (int c = 0; c < v->c; c++, x += plane)
		for (int t = first; t < first + n; t++, to += LANES) {
			int row = t / across * 4 - v->pad[1], column = t % across * 4 - v->pad[2];

			if (row >= 0 && column >= 0 && row + 6 <= v->in[1] &&
				column + 6 <= v->in[2]) {
				patch_in(x + row * pitch + (size_t)column * LANES, pitch, to, by);
				continue;
			}
			patch_edge(v, x, row, column, edge);
			patch_in(edge, 6 * LANES, to, by);
		}
}

/* 36 products: m [36][O][TILE_P] of P tiles; w [36][c][O], x [36][c][n]; m and x by
 * element(). */
INLINE void
products(const int O, const int P, int c, int n, const float *w, const float *x, float *m)
{
	for (int i = 0; i < 36; i++, m += element(O * TILE_P), x += element((size_t)c * n)) {
		const float *in = x;
		vec acc[TILE_O][TILE_P];

		UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
			splat(0);
		for (int k = 0; k < c; k++, w += O, in += (size_t)n * LANES) {
			vec d[TILE_P];

			UNROLL for (int p = 0; p < P; p++) d[p] = load(in + p * LANES);
			UNROLL for (int o = 0; o < O; o++)
			{
				vec s = splat(w[o]);

				UNROLL for (int p = 0; p < P; p++) acc[o][p] += s * d[p];
			}
		}
		UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
			store(m + (o * TILE_P + p) * LANES, acc[o][p]);
	}
}

typedef void products_fn(int c, int n, const float *w, const float *x, float *m);
#define PRODUCTS(O, P)                                                                             \
	static void products_##O##x##P(int c, int n, const float *w, const float *x, float *m)     \
	{                                                                                          \
		products(O, P, c, n, w, x, m);                                                     \
	}
#define NAME(O, P) products_##O##x##P,
EACH_TILE(1, PRODUCTS)
EACH_TILE(2, PRODUCTS)
#if TILE_P == 3
EACH_TILE(3, PRODUCTS)
#endif
static products_fn *const products_of[TILE_P][TILE_O] = {
	{ EACH_TILE(1, NAME) },
	{ EACH_TILE(2, NAME) },
#if TILE_P == 3
	{ EACH_TILE(3, NAME) },
#endif
};

/* One tile of one channel: m, elements `by` floats apart, to 4×4 outputs, or those of them that are
 * there. */
static __attribute__((noinline)) void tile_out(const float *m, size_t by, int rows, int columns,
	float bias, float *out, size_t pitch, const float *add, const struct pare_finish *f)
{
	vec t[6][4], y[4][4]; /* t: [column][row of A' m] */
	vec lo = splat(f->lo), hi = splat(f->hi), b = splat(bias);

	UNROLL for (int c = 0; c < 6; c++)
	{
		vec d[6];

		UNROLL for (int r = 0; r < 6; r++) d[r] = load(m + (r * 6 + c) * by);
		transform_out(d, t[c]);
	}
	UNROLL for (int r = 0; r < 4; r++)
	{
		vec d[6];

		UNROLL for (int c = 0; c < 6; c++) d[c] = t[c][r];
		transform_out(d, y[r]);
	}
	UNROLL for (int r = 0; r < 4; r++) UNROLL for (int c = 0; c < 4; c++)
	{
		vec z = y[r][c] + b;

		if (r >= rows || c >= columns)
			continue;
		if (add)
			z += load(add + r * pitch + c * LANES);
		store(out + r * pitch + c * LANES, clamp(z, lo, hi));
	}
}

/* The outputs of `n` tiles from `first` on, of channels from … from+wide-1. */
static void tiles_out(const struct pare_conv *v, const float *m, int first, int n, int from,
	int wide, const float *bias, float *out, const struct pare_finish *f, size_t at)
{
	size_t pitch = (size_t)v->out[2] * LANES, plane = v->out[1] * pitch;
	int across = (v->out[2] + 3) / 4;

	for (int p = 0; p < n; p++) {
		int row = (first + p) / across * 4, column = (first + p) % across * 4;
		int rows = v->out[1] - row, columns = v->out[2] - column;
		size_t to = at + from * plane + row * pitch + (size_t)column * LANES;

		for (int o = 0; o < wide; o++, to += plane)
			tile_out(m + (o * TILE_P + p) * LANES, element(wide * TILE_P), rows,
				columns, bias[from + o], out + to, pitch,
				f->add ? f->add + to : NULL, f);
	}
}

void VECTOR_NAME(winograd)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	float m[36 * (TILE_O * TILE_P + 1) * LANES] __attribute__((aligned(64)));
	int all = ((v->out[2] + 3) / 4) * ((v->out[1] + 3) / 4);
	const float *w = v->w, *bias = v->bias;
	size_t at = 0;

	for (int g = 0; g < v->groups; g++, w += (size_t)36 * v->c * v->o, bias += v->o) {
		for (int first = 0, n; first < all; first += n) {
			n = all - first < v->block ? all - first : v->block;
			tiles_in(v, x, first, n, scratch);
			for (int i = 0; i < v->tiles.n; i++) {
				int from = pare_tile_from(&v->tiles, i);
				int wide = pare_tile_from(&v->tiles, i + 1) - from;
				const float *u = w + (size_t)36 * v->c * from;

				for (int t = 0, some; t < n; t += some) {
					some = n - t < TILE_P ? n - t : TILE_P;
					products_of[some - 1][wide - 1](
						v->c, n, u, scratch + (size_t)t * LANES, m);
					tiles_out(v, m, first + t, some, from, wide, bias, out, f,
						at);
				}
			}
		}
		x += (size_t)v->c * v->in[1] * v->in[2] * LANES;
		at += (size_t)v->o * v->out[1] * v->out[2] * LANES;
	}
}
