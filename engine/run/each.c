/* Products of two matrices that both hang on the sample: every lane its own. */
#include "vector.h"

#if defined(__AVX512F__) || defined(__aarch64__)
enum { DOWN = 6, ACROSS = 4 };
#else
enum { DOWN = 3, ACROSS = 3 };
#endif

/* Rows of a, and columns of b by where they lie in a row of `pitch` floats. */
struct each_tile {
	const float *a[DOWN], *b[ACROSS];
	int terms;
	size_t pitch;
};

static __attribute__((noinline)) void each_run(const struct each_tile *t, float *sum)
{
	vec acc[DOWN][ACROSS];
	const float *a[DOWN], *b[ACROSS];
	size_t at = 0;

	UNROLL for (int i = 0; i < DOWN; i++) a[i] = t->a[i];
	UNROLL for (int j = 0; j < ACROSS; j++) b[j] = t->b[j];
	UNROLL for (int i = 0; i < DOWN; i++) UNROLL for (int j = 0; j < ACROSS; j++) acc[i][j] =
		splat(0);
	for (size_t k = 0; k < (size_t)t->terms * LANES; k += LANES, at += t->pitch) {
		vec y[ACROSS];

		UNROLL for (int j = 0; j < ACROSS; j++) y[j] = load(b[j] + at);
		UNROLL for (int i = 0; i < DOWN; i++)
		{
			vec x = load(a[i] + k);

			UNROLL for (int j = 0; j < ACROSS; j++) acc[i][j] += x * y[j];
		}
	}
	UNROLL for (int i = 0; i < DOWN; i++) UNROLL for (int j = 0; j < ACROSS; j++)
		store(sum + (i * ACROSS + j) * LANES, acc[i][j]);
}

/* Rows and columns beyond the last repeat it, and are not kept. */
void VECTOR_NAME(each)(const float *a, const float *b, int m, int n, int terms, float *out,
	const struct pare_finish *f)
{
	float sum[DOWN * ACROSS * LANES] __attribute__((aligned(64)));
	vec lo = splat(f->lo), hi = splat(f->hi);
	struct each_tile t = { .terms = terms, .pitch = (size_t)n * LANES };

	for (int j = 0; j < n; j += ACROSS) {
		for (int c = 0; c < ACROSS; c++)
			t.b[c] = b + (size_t)(j + c < n ? j + c : n - 1) * LANES;
		for (int i = 0; i < m; i += DOWN) {
			for (int r = 0; r < DOWN; r++)
				t.a[r] = a + (size_t)(i + r < m ? i + r : m - 1) * terms * LANES;
			each_run(&t, sum);
			for (int r = 0; r < DOWN && i + r < m; r++)
				for (int c = 0; c < ACROSS && j + c < n; c++) {
					size_t at = ((size_t)(i + r) * n + j + c) * LANES;
					vec y = load(sum + (r * ACROSS + c) * LANES);

					if (f->add)
						y += load(f->add + at);
					store(out + at, clamp(y, lo, hi));
				}
		}
	}
}
