#include "pattern.h"
#include <math.h>

/* clang-format off */
const struct pare_pattern pare_patterns[] = {
	{ "unstructured", "each weight for itself", 0, 0, 1, 1 },
	{ "2:4", "2 of 4 input channels stay at each place of the kernel: NVIDIA's sparse tensor cores", 2, 4, 1, 1 },
	{ "4:8", "4 of 8 input channels stay at each place of the kernel", 4, 8, 1, 1 },
	{ "1:4", "1 of 4 input channels stays at each place of the kernel", 1, 4, 1, 1 },
	{ "4x1", "4 output channels of one input go together", 0, 0, 4, 1 },
	{ "1x4", "4 input channels of one output go together", 0, 0, 1, 4 },
	{ "8x1", "8 output channels of one input go together", 0, 0, 8, 1 },
	{ 0 },
};
/* clang-format on */

float pare_pattern_share(int i)
{
	const struct pare_pattern *p = &pare_patterns[i];

	return p->of ? 1 - (float)p->keep / (float)p->of : 0;
}

struct pare_lay pare_lay_over(const struct pare_model *m, int layer, int pattern)
{
	const struct pare_pattern *p = &pare_patterns[pattern];
	const struct pare_layer *x = &m->layers[layer];
	const struct pare_weight_at *at = &m->weight_at[layer];
	struct pare_lay l = { .pattern = p,
		.out_axis = x->out_axis,
		.weight = x->weight,
		.rows = x->weight.d[x->out_axis],
		.inner = 1,
		.channels = (int)x->weight.d[x->in_axis] };
	/* a strip must not reach from one group of a convolution into the next */
	int64_t per = at->groups > 0 ? l.rows / at->groups : l.rows;

	l.columns = (int)(x->weights / l.rows);
	for (int i = x->in_axis + 1; i < x->weight.n; i++)
		l.inner *= i == x->out_axis ? 1 : (int)x->weight.d[i];
	l.fits = pattern == 0 ||
		 (per % p->tall == 0 && l.channels % p->wide == 0 &&
			 (!p->of || l.channels % p->of == 0) &&
			 /* a transposed one has the inputs of all groups on one axis */
			 !(at->groups > 1 && x->out_axis > 0));
	l.strips = l.rows / p->tall;
	l.sites = l.columns / p->wide;
	return l;
}

int64_t pare_lay_gone(const struct pare_lay *l, float sparsity)
{
	if (!l->fits || !(sparsity > 0))
		return 0;
	if (l->pattern->of)
		return l->strips * (l->sites / l->pattern->of) *
		       (l->pattern->of - l->pattern->keep);
	/* half a percent of rounding must not lose a weight: 0.3f * 10 is 3.0000001 */
	return (int64_t)floor((double)(l->strips * l->sites) * (double)sparsity + 1e-4);
}

int64_t pare_lay_weights_gone(const struct pare_lay *l, float sparsity)
{
	return pare_lay_gone(l, sparsity) * l->pattern->tall * l->pattern->wide;
}
