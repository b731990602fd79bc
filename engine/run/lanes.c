#include "run.h"

void pare_lanes_in(const float *samples, int64_t n, int count, int lanes, float *out)
{
	for (int64_t i = 0; i < n; i++)
		for (int l = 0; l < lanes; l++)
			*out++ = samples[(l < count ? l : 0) * n + i];
}

void pare_lanes_out(const float *in, int64_t n, int count, int lanes, float *samples)
{
	for (int l = 0; l < count; l++)
		for (int64_t i = 0; i < n; i++)
			*samples++ = in[i * lanes + l];
}
