#include "saturate.h"
#include <math.h>
#include <stdlib.h>

enum { MOST = INT16_MAX / UINT8_MAX }; /* of two weights of like sign together */

bool pare_act_saturates(const struct pare_act_quant *a)
{
	return a->on && a->lo >= 0 && a->hi > INT8_MAX && a->hi <= UINT8_MAX;
}

static bool is_depthwise(const struct pare_model *m, int i)
{
	return m->weight_at[i].groups > 1 && m->layers[i].weight.d[m->layers[i].in_axis] == 1;
}

/* Places of the kernel: what lies within an input channel. */
static int64_t places(const struct pare_layer *l)
{
	int64_t n = 1;

	for (int k = l->in_axis + 1; k < l->weight.n; k++)
		n *= k == l->out_axis ? 1 : l->weight.d[k];
	return n;
}

/* The largest sum of two neighbours of like sign in channel o; inner: as if the kernel's places lay
 * outermost, 1 = as it is. */
static int largest(const struct pare_channels *c, int64_t o, int64_t inner, const int8_t *q)
{
	int64_t n = c->outer * c->inner, across = n / inner;
	int most = 0;

	for (int64_t j = 0; j + 1 < n; j += 2) {
		int64_t first = j % across * inner + j / across,
			second = (j + 1) % across * inner + (j + 1) / across;
		int a = q[pare_channel_at(c, o, first)], b = q[pare_channel_at(c, o, second)];

		if ((a > 0) == (b > 0) && abs(a + b) > most)
			most = abs(a + b);
	}
	return most;
}

static int largest_either(
	const struct pare_channels *c, int64_t o, const struct pare_layer *l, const int8_t *q)
{
	int as_it_is = largest(c, o, 1, q), last = largest(c, o, places(l), q);

	return last > as_it_is ? last : as_it_is;
}

int64_t pare_pairs_exceed(const struct pare_model *m, int i, const int8_t *q)
{
	const struct pare_layer *l = &m->layers[i];
	struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	int64_t n = 0;

	for (int64_t o = 0; o < c.channels && !is_depthwise(m, i); o++)
		n += largest_either(&c, o, l, q) > MOST;
	return n;
}

/* All of a scale's weights by the same factor. */
static void
widen(const struct pare_channels *c, int64_t o, float by, float scale, int8_t *q, float *w)
{
	for (int64_t i = 0; i < c->outer * c->inner; i++) {
		int64_t at = pare_channel_at(c, o, i);

		q[at] = (int8_t)rintf((float)q[at] / by);
		w[at] = (float)q[at] * scale;
	}
}

int64_t pare_pairs_narrow(const struct pare_model *m, int i, const struct pare_grid *g,
	float *scale, const int8_t *zero, int8_t *q, float *w)
{
	const struct pare_layer *l = &m->layers[i];
	struct pare_channels rows = pare_channels_of(&l->weight, l->out_axis);
	bool one = g->channels.channels == 1;
	int64_t n = 0;

	for (int64_t s = 0; s < g->channels.channels && !is_depthwise(m, i); s++) {
		int most = 0;
		float by;

		for (int64_t o = one ? 0 : s; o < (one ? rows.channels : s + 1); o++) {
			int x = largest_either(&rows, o, l, q);

			most = x > most ? x : most;
		}
		if (most <= MOST || zero[s])
			continue;
		/* one less, for both may be rounded up */
		by = g->scheme->powers ? 2 : (float)most / (MOST - 1);
		scale[s] *= by;
		widen(&g->channels, s, by, scale[s], q, w);
		n++;
	}
	return n;
}
