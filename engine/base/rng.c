#include "rng.h"
#include <math.h>

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

struct pare_rng pare_rng_seed(uint64_t seed, uint64_t stream)
{
	struct pare_rng r;
	uint64_t x = seed;

	x = splitmix(&x) ^ (stream * 0xd1342543de82ef95u + 1);
	for (int i = 0; i < 4; i++)
		r.s[i] = splitmix(&x);
	return r;
}

uint64_t pare_rng_u64(struct pare_rng *r)
{
	uint64_t *s = r->s, out = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

uint64_t pare_rng_below(struct pare_rng *r, uint64_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;

	do
		x = pare_rng_u64(r);
	while (x >= limit);
	return x % n;
}

double pare_rng_unit(struct pare_rng *r)
{
	return (double)(pare_rng_u64(r) >> 11) * 0x1p-53;
}

double pare_rng_normal(struct pare_rng *r)
{
	double u = 1 - pare_rng_unit(r), v = pare_rng_unit(r); /* Box-Muller */

	return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}
