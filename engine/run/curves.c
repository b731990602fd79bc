/* Exponentials and their kin over whole tensors, by the formulas of ops/curves.h, which says where
 * they come from. */
#include "vector.h"

typedef int32_t ints __attribute__((vector_size(4 * LANES)));

/* x < 0, or -0 ? a : b */
INLINE vec by_sign(vec x, vec a, vec b)
{
#if defined(__AVX512F__)
	return _mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)x), b, a);
#else
	ints below = (ints)x >> 31;

	return (vec)(((ints)a & below) | ((ints)b & ~below));
#endif
}

INLINE vec magnitude(vec x)
{
	return (vec)((ints)x & 0x7fffffff);
}

/* p * 2^n, n a whole number, -151 < n < 130 */
INLINE vec scaled(vec p, vec n)
{
#if defined(__AVX512F__)
	return _mm512_scalef_ps(p, n);
#else
	ints i = (ints)(n + splat(12582912.f)) - 0x4b400000, half = i >> 1;

	/* in two steps, so that what is too small for a normal number still comes out */
	return p * (vec)((half + 127) << 23) * (vec)((i - half + 127) << 23);
#endif
}

/* 1 / x for 1 <= x <= 2 */
INLINE vec reciprocal(vec x)
{
#if defined(__AVX512F__)
	vec r = _mm512_rcp14_ps(x);

	return r + r * (splat(1) - x * r); /* one step of Newton's doubles the 14 bits */
#else
	return splat(1) / x;
#endif
}

INLINE vec exp_of(vec x)
{
	vec v = clamp(x, splat(-104), splat(89)), magic = splat(12582912.f), n, r, p;

	n = v * splat(1.44269504088896341f) + magic - magic;
	r = v - n * splat(0.693359375f) + n * splat(2.12194440e-4f);
	p = splat(1.9875691500e-4f);
	p = p * r + splat(1.3981999507e-3f);
	p = p * r + splat(8.3334519073e-3f);
	p = p * r + splat(4.1665795894e-2f);
	p = p * r + splat(1.6666665459e-1f);
	p = p * r + splat(5.0000001201e-1f);
	p = p * (r * r) + r + splat(1);
	return scaled(p, n);
}

INLINE vec logistic_of(vec x)
{
	vec e = exp_of(-magnitude(x)), d = reciprocal(splat(1) + e);

	return by_sign(x, e * d, d);
}

/* Where a < bound: p, else x's sign on q. */
INLINE vec pieces(vec x, vec a, float bound, vec p, vec q)
{
	return by_sign(a - splat(bound), p, by_sign(x, -q, q));
}

INLINE vec tanh_of(vec x)
{
	vec z = x * x, a = magnitude(x), e = exp_of(-(a + a)), p;

	p = splat(-5.70498872745e-3f);
	p = p * z + splat(2.06390887954e-2f);
	p = p * z - splat(5.37397155531e-2f);
	p = p * z + splat(1.33314422036e-1f);
	p = p * z - splat(3.33332819422e-1f);
	p = p * z * x + x;
	return pieces(x, a, 0.625f, p, splat(1) - (e + e) * reciprocal(splat(1) + e));
}

INLINE vec erf_of(vec x)
{
	vec a = magnitude(x), t = clamp(a, splat(0), splat(3.92572478f)), z = t * t, p, q;

	p = splat(-5.96761703e-4f);
	p = p * z + splat(4.99119423e-3f);
	p = p * z - splat(2.67681349e-2f);
	p = p * z + splat(1.12819925e-1f);
	p = p * z - splat(3.76125336e-1f);
	p = p * z + splat(1.28379166e-1f);
	p = p * x + x;
	q = splat(-1.72853470e-5f) * t + splat(3.83197126e-4f);
	q = q * z + (splat(-3.88396438e-3f) * t + splat(2.42546219e-2f));
	q = q * t - splat(1.06777877e-1f);
	q = q * t - splat(6.34846687e-1f);
	q = q * t - splat(1.28717512e-1f);
	return pieces(x, t, 0.921875f, p, splat(1) - exp_of(q * t - t));
}

#define CURVE(name)                                                                                \
	static void name##_curve(const float *x, float *y, size_t n)                               \
	{                                                                                          \
		size_t i = 0;                                                                      \
                                                                                                   \
		for (; i + LANES <= n; i += LANES)                                                 \
			store_any(y + i, name##_of(load_any(x + i)));                              \
		if (i < n)                                                                         \
			store_some(                                                                \
				y + i, name##_of(load_some(x + i, (int)(n - i))), (int)(n - i));   \
	}
CURVE(exp)
CURVE(logistic)
CURVE(tanh)
CURVE(erf)

pare_curve_fn *const
	VECTOR_NAME(curves)[PARE_CURVES] = { exp_curve, logistic_curve, tanh_curve, erf_curve };
