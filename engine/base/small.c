/* Floats of 4 and 8 bits, as ONNX defines them (docs: "Float stored in 8 bits", "in 4 bits"). */
#include "tensor.h"
#include <math.h>
#include <string.h>

/* What stands for infinity and NaN. */
enum specials {
	IEEE,     /* the highest exponent, as in float16 */
	LAST_NAN, /* the highest code of either sign is NaN, there is no infinity */
	ZERO_NAN, /* what would be -0 is NaN, there is no infinity */
	NONE,
};

struct kind {
	int exponent, mantissa, bias; /* bits, bits, what is taken off */
	enum specials specials;
	unsigned largest; /* code of the largest number */
};

static const struct kind *kind_of(enum pare_dtype t)
{
	static const struct kind kinds[] = {
		[PARE_F8E4M3] = { 4, 3, 7, LAST_NAN, 0x7e },
		[PARE_F8E4M3UZ] = { 4, 3, 8, ZERO_NAN, 0x7f },
		[PARE_F8E5M2] = { 5, 2, 15, IEEE, 0x7b },
		[PARE_F8E5M2UZ] = { 5, 2, 16, ZERO_NAN, 0x7f },
		[PARE_F4E2M1] = { 2, 1, 1, NONE, 7 },
	};

	return &kinds[t];
}

bool pare_is_small_float(enum pare_dtype t)
{
	return t >= PARE_F8E4M3 && t <= PARE_F4E2M1;
}

float pare_small_to_f32(enum pare_dtype t, unsigned code)
{
	const struct kind *k;
	unsigned sign, e, m;
	float v;

	if (t == PARE_F8E8M0)
		return code == 0xff ? NAN : ldexpf(1, (int)code - 127);
	k = kind_of(t);
	sign = code >> (k->exponent + k->mantissa);
	e = code >> k->mantissa & ((1u << k->exponent) - 1);
	m = code & ((1u << k->mantissa) - 1);
	code &= (1u << (k->exponent + k->mantissa)) - 1;
	if ((k->specials == ZERO_NAN && sign && !code) ||
		((k->specials == IEEE || k->specials == LAST_NAN) &&
			code > k->largest + (k->specials == IEEE)))
		return NAN;
	if (code > k->largest)
		v = INFINITY;
	else
		v = ldexpf((float)(e ? m | 1u << k->mantissa : m),
			(int)(e ? e : 1) - k->bias - k->mantissa);
	return sign ? -v : v;
}

static unsigned to_e8m0(float f, bool saturate, enum pare_round how)
{
	uint32_t u, e, rest;
	bool up;

	memcpy(&u, &f, 4);
	e = u >> 23 & 0xff;
	rest = u & 0x7fffff;
	if (e == 0xff)
		return 0xff;
	/* halfway goes up, but from the lowest code */
	up = how == PARE_UP ? rest > 0
			    : how == PARE_NEAREST && (rest > 0x400000 || (rest == 0x400000 && e));
	return e + (up && !(saturate && e == 0xfe));
}

unsigned pare_f32_to_small(enum pare_dtype t, float f, bool saturate, enum pare_round how)
{
	const struct kind *k;
	unsigned sign, code;
	float a = fabsf(f), quantum;
	int e;

	if (t == PARE_F8E8M0)
		return to_e8m0(f, saturate, how);
	k = kind_of(t);
	sign = signbit(f) ? 1u << (k->exponent + k->mantissa) : 0;
	if (isnan(f))
		/* float4e2m1 has none: -0, as ml_dtypes does it */
		return k->specials == ZERO_NAN || k->specials == NONE
			       ? 1u << (k->exponent + k->mantissa)
			       : sign | ((1u << (k->exponent + k->mantissa)) - 1);
	if (a >= 2 * pare_small_to_f32(t, k->largest)) {
		code = k->largest + 1;
	} else {
		/* codes count in steps of the quantum, through all exponents */
		e = a > 0 ? ilogbf(a) : -k->bias;
		e = e < 1 - k->bias ? 1 - k->bias : e;
		quantum = ldexpf(1, e - k->mantissa);
		code = (unsigned)rintf(a / quantum) + ((unsigned)(e + k->bias - 1) << k->mantissa);
	}
	if (code > k->largest) {
		if (saturate || k->specials == NONE)
			code = k->largest;
		else if (k->specials == ZERO_NAN)
			return 1u << (k->exponent + k->mantissa);
		else
			code = k->specials == IEEE ? k->largest + 1
						   : (1u << (k->exponent + k->mantissa)) - 1;
	}
	return k->specials == ZERO_NAN && !code ? 0 : sign | code;
}
