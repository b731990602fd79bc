/* Random numbers that are the same on every machine: xoshiro256++ (Blackman & Vigna 2019) seeded by
 * splitmix64.  One generator per purpose, never shared between threads. */
#ifndef PARE_RNG_H
#define PARE_RNG_H
#include <stdint.h>

struct pare_rng {
	uint64_t s[4];
};

/* `stream` separates the uses of one seed: the same (seed, stream) gives the same numbers. */
struct pare_rng pare_rng_seed(uint64_t seed, uint64_t stream);
uint64_t pare_rng_u64(struct pare_rng *r);
uint64_t pare_rng_below(struct pare_rng *r, uint64_t n); /* 0 <= x < n, n > 0, unbiased */
double pare_rng_unit(struct pare_rng *r);                /* 0 <= x < 1 */
double pare_rng_normal(struct pare_rng *r);              /* mean 0, variance 1 */

#endif
