#include "kernels.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
extern const struct pare_kernels pare_kernels_sse2, pare_kernels_avx2, pare_kernels_avx512;

static int has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

static int has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

/* x86-64-v4 and v3, as the Makefile compiles for them; best first */
const struct pare_kernels *pare_kernels_row(int i)
{
	const struct pare_kernels *rows[3];
	int n = 0;

	if (has_avx2() && has_avx512())
		rows[n++] = &pare_kernels_avx512;
	if (has_avx2())
		rows[n++] = &pare_kernels_avx2;
	rows[n++] = &pare_kernels_sse2;
	return i < n ? rows[i] : NULL;
}
#else
extern const struct pare_kernels pare_kernels_base;

const struct pare_kernels *pare_kernels_row(int i)
{
	return i ? NULL : &pare_kernels_base;
}
#endif

static const struct pare_kernels *best;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	const char *name = getenv("PARE_ISA");

	best = pare_kernels_row(0);
	for (int i = 0; name && pare_kernels_row(i); i++)
		if (!strcmp(pare_kernels_row(i)->isa, name))
			best = pare_kernels_row(i);
}

const struct pare_kernels *pare_kernels_best(void)
{
	pthread_once(&once, choose);
	return best;
}

const char *pare_isa(void)
{
	return pare_kernels_best()->isa;
}
