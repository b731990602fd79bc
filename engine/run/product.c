/* Products with one vector of input a sample.  There is nothing to share a weight between, so lanes
 * become rows: a tile is some lanes by some vectors of outputs, turned back when it is done. */
#include "vector.h"

enum {
	PRODUCT_TERMS = 128, /* taken at a time, so that their weights stay in the first cache */
	ROWS_BYTES = 512 * 1024, /* of input, taken at a time: a part of a second-level cache */
};

_Static_assert(LANES % PRODUCT_ROWS == 0, "rows beyond the last lane");

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

	memset(sum, 0, (size_t)vectors * LANES * LANES * sizeof *sum);
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
		UNROLL for (int o = 0; o < LANES; o++)
		{ /* constant o: r stays in registers */
			if (o >= left)
				continue;
			r[o] += splat(bias[n * LANES + o]);
			if (add)
				r[o] += load(add + (n * LANES + o) * LANES);
			store(out + (n * LANES + o) * LANES, clamp(r[o], lo, hi));
		}
	}
}

/* One after the other by the same weights, some rows at a time, so that weights that are too large
 * for the second cache are read once for all of these. */
static void product_rows(const struct pare_conv *v, const float *w, const float *bias,
	const float *x, int rows, float *out, const float *add, const struct pare_finish *f)
{
	for (int o = 0; o < v->o;) {
		int left = v->o - o, vectors = (left + LANES - 1) / LANES;
		int some = left < TILE_P * LANES ? left : TILE_P * LANES;

		vectors = vectors < TILE_P ? vectors : TILE_P;
		for (int r = 0; r < rows; r++) {
			size_t at = ((size_t)r * v->o + o) * LANES;

			product_block(vectors, v->k, w, x + (size_t)r * v->k * LANES, bias + o,
				some, out + at, add ? add + at : NULL, f);
		}
		w += (size_t)v->k * vectors * LANES;
		o += some;
	}
}

void VECTOR_NAME(product)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t wide = (size_t)(v->o + LANES - 1) / LANES * LANES * v->k, in = (size_t)v->k * LANES;
	size_t done = 0, made = (size_t)v->o * LANES;
	int most = (int)(ROWS_BYTES / (in * sizeof *x)) + 1;

	(void)scratch;
	for (int g = 0; g < v->groups; g++)
		for (int r = 0, rows; r < v->rows; r += rows, done += (size_t)rows) {
			rows = v->rows - r < most ? v->rows - r : most;
			product_rows(v, v->w + g * wide, v->bias + (size_t)g * v->o, x + done * in,
				rows, out + done * made, f->add ? f->add + done * made : NULL, f);
		}
}
