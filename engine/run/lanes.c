#include "kernels.h"
#include "run.h"
#include <string.h>

void pare_lanes_in(const float *samples, int64_t n, int count, int lanes, float *out)
{
	const struct pare_kernels *k = pare_kernels_best();

	if (lanes == 1)
		memcpy(out, samples, (size_t)n * sizeof *out);
	else
		k->lanes_in(samples, (size_t)n, count, out);
}

void pare_lanes_out(const float *in, int64_t n, int count, int lanes, float *samples)
{
	const struct pare_kernels *k = pare_kernels_best();

	if (lanes == 1)
		memcpy(samples, in, (size_t)n * sizeof *samples);
	else
		k->lanes_out(in, (size_t)n, count, samples);
}
