/* Products of rows with rows, summed along them.  As many sums at a time as a register has lanes:
 * turned over, they add up to one vector of results. */
#include "vector.h"

#if LANES == 16
enum { DOWN = 4, ACROSS = 4 };
#elif LANES == 8
enum { DOWN = 4, ACROSS = 2 };
#else
enum { DOWN = 2, ACROSS = 2 };
#endif

/* out[i * ACROSS + j] = sum of a[i] * b[j] */
INLINE vec tile(const float *const a[DOWN], const float *const b[ACROSS], size_t n)
{
	vec acc[LANES], sum;

	UNROLL for (int i = 0; i < LANES; i++) acc[i] = splat(0);
	for (size_t p = 0; p < n; p += LANES) {
		vec y[ACROSS];

		UNROLL for (int j = 0; j < ACROSS; j++) y[j] = load(b[j] + p);
		UNROLL for (int i = 0; i < DOWN; i++)
		{
			vec x = load(a[i] + p);

			UNROLL for (int j = 0; j < ACROSS; j++) acc[i * ACROSS + j] += x * y[j];
		}
	}
	transpose(acc);
	sum = acc[0];
	UNROLL for (int i = 1; i < LANES; i++) sum += acc[i];
	return sum;
}

void VECTOR_NAME(gram)(const float *a, int m, const float *b, int k, size_t n, bool upper, float *c)
{
	for (int i = 0; i < m; i += DOWN)
		for (int j = upper ? i / ACROSS * ACROSS : 0; j < k; j += ACROSS) {
			const float *x[DOWN], *y[ACROSS];
			float sum[LANES] __attribute__((aligned(64)));

			UNROLL for (int r = 0; r < DOWN; r++) x[r] =
				a + (size_t)(i + r < m ? i + r : i) * n;
			UNROLL for (int r = 0; r < ACROSS; r++) y[r] =
				b + (size_t)(j + r < k ? j + r : j) * n;
			store(sum, tile(x, y, n));
			for (int r = 0; r < DOWN && i + r < m; r++)
				for (int s = 0; s < ACROSS && j + s < k; s++)
					c[(size_t)(i + r) * k + j + s] += sum[r * ACROSS + s];
		}
}
