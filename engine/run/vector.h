/* What the vector sources share.  The Makefile compiles each of them once an instruction set,
 * PARE_ISA being its name, with contraction of a*b+c allowed; VECTOR_NAME(x) is pare_x_PARE_ISA. */
#ifndef PARE_VECTOR_H
#define PARE_VECTOR_H
#include "kernels.h"
#include <string.h>

/* clang-format off */
#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define SPLAT(s) { s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s }
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#define SPLAT(s) { s, s, s, s, s, s, s, s }
#else
#define LANES 4
#define SPLAT(s) { s, s, s, s }
#endif
/* clang-format on */

/* A tile of accumulators must leave registers for its operands: 8×3 + 3 + 1 of 32, 6×2 + 2 + 1 of
 * 16.  GCC spills the more square 4×3 of 16 and runs at half the speed. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_O 8
#define TILE_P 3
#else
#define TILE_O 6
#define TILE_P 2
#endif
/* Lanes that a product takes at a time as rows of its tile, of which a vector has a whole number.
 */
#if defined(__AVX512F__)
#define PRODUCT_ROWS 8
#else
#define PRODUCT_ROWS 4
#endif
/* wide.c: vectors of pixels where one channel is by itself, and terms taken at a time */
#define WIDE_P 6
#define WIDE_TERMS 320
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

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

INLINE vec load_any(const float *p)
{
	vec v;

	memcpy(&v, p, sizeof v);
	return v;
}

INLINE void store_any(float *p, vec v)
{
	memcpy(p, &v, sizeof v);
}

/* The first n < LANES of a vector; nothing beyond is touched. */
INLINE vec load_some(const float *p, int n)
{
#if defined(__AVX512F__)
	return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
	vec v = splat(0);

	for (int i = 0; i < n; i++)
		v[i] = p[i];
	return v;
#endif
}

INLINE void store_some(float *p, vec v, int n)
{
#if defined(__AVX512F__)
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#else
	for (int i = 0; i < n; i++)
		p[i] = v[i];
#endif
}

/* a b + c, rounded once wherever the machine can: GCC 12 makes two of it in some unrolled loops. */
INLINE vec fused(vec a, vec b, vec c)
{
#if defined(__AVX512F__)
	return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
	return _mm256_fmadd_ps(a, b, c);
#else
	return a * b + c;
#endif
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

#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define HALVINGS 4
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define HALVINGS 3
#else
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#define EVEN 0, 2, 4, 6
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

/* M(O, P) for every number of channels that a tile may have */
#define EACH_6(P, M) M(1, P) M(2, P) M(3, P) M(4, P) M(5, P) M(6, P)
#define EACH_8(P, M) EACH_6(P, M) M(7, P) M(8, P)
#if TILE_O == 8
#define EACH_TILE(P, M) EACH_8(P, M)
#else
#define EACH_TILE(P, M) EACH_6(P, M)
#endif

#define VECTOR_NAME__(name, isa) pare_##name##_##isa
#define VECTOR_NAME_(name, isa) VECTOR_NAME__(name, isa)
#define VECTOR_NAME(name) VECTOR_NAME_(name, PARE_ISA)

/* Not in kernels.c */
void VECTOR_NAME(depthwise)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch);
void VECTOR_NAME(across)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch);
void VECTOR_NAME(product)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch);
void VECTOR_NAME(gram)(
	const float *a, int m, const float *b, int k, size_t n, bool upper, float *c);
void VECTOR_NAME(winograd)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch);
void VECTOR_NAME(each)(const float *a, const float *b, int m, int n, int terms, float *out,
	const struct pare_finish *f);
extern pare_curve_fn *const VECTOR_NAME(curves)[PARE_CURVES];
void VECTOR_NAME(wide)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch);

#endif
