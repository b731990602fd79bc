/* Exponentials that compilers can vectorize and that give the same bits with every C library.
 * Polynomials: S. Moshier's Cephes library, expf.c and tanhf.c.  Within 3 ulp; NaN goes through. */
#ifndef PARE_OPS_CURVES_H
#define PARE_OPS_CURVES_H
#include "kit.h"
#include <string.h>

/* 2^n for -126 <= n <= 127 */
OP_INLINE float op_power_of_2(int32_t n)
{
	uint32_t bits = (uint32_t)(n + 127) << 23;
	float f;

	memcpy(&f, &bits, sizeof f);
	return f;
}

OP_INLINE float op_exp(float x)
{
	const float magic = 12582912.f; /* 1.5 * 2^23: adding it rounds to a whole number */
	float v = x < -104.f ? -104.f : x > 89.f ? 89.f : x, n, r, p;
	int32_t i, half;

	n = v * 1.44269504088896341f + magic;
	memcpy(&i, &n, sizeof i);
	i -= 0x4b400000;
	n -= magic;
	r = v - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts */
	p = 1.9875691500e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * r * r + r + 1;
	/* in two steps, so that what is too small for a normal number still comes out; NaN has any
	 * i
	 */
	i = i < -150 ? -150 : i > 130 ? 130 : i;
	half = i >> 1;
	return p * op_power_of_2(half) * op_power_of_2(i - half);
}

/* 1 / (1 + e^-x), small where it should be small */
OP_INLINE float op_logistic(float x)
{
	float e = op_exp(x < 0 ? x : -x), d = 1 / (1 + e);

	return x < 0 ? e * d : d;
}

OP_INLINE float op_tanh(float x)
{
	float z = x * x, a = x < 0 ? -x : x, p, big;

	p = -5.70498872745e-3f;
	p = p * z + 2.06390887954e-2f;
	p = p * z - 5.37397155531e-2f;
	p = p * z + 1.33314422036e-1f;
	p = p * z - 3.33332819422e-1f;
	p = p * z * x + x;
	big = 1 - 2 / (op_exp(a + a) + 1);
	return a < 0.625f ? p : x < 0 ? -big : big;
}

/* Polynomials: N. Juffa, "erff with maximum error of about 1 ulp", as he gave them on Stack
 * Overflow: x + x p(x^2) up to 0.92, then 1 - e^q(|x|). */
OP_INLINE float op_erf(float x)
{
	float a = x < 0 ? -x : x, t = a > 3.92572478f ? 3.92572478f : a, z = t * t, p, q;

	p = -5.96761703e-4f;
	p = p * z + 4.99119423e-3f;
	p = p * z - 2.67681349e-2f;
	p = p * z + 1.12819925e-1f;
	p = p * z - 3.76125336e-1f;
	p = p * z + 1.28379166e-1f;
	p = p * x + x;
	q = -1.72853470e-5f * t + 3.83197126e-4f;
	q = q * z + (-3.88396438e-3f * t + 2.42546219e-2f);
	q = q * t - 1.06777877e-1f;
	q = q * t - 6.34846687e-1f;
	q = q * t - 1.28717512e-1f;
	q = 1 - op_exp(q * t - t);
	return t < 0.921875f ? p : x < 0 ? -q : q;
}

#endif
