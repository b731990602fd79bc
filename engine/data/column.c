/* What one input takes of the samples: input = (x * scale - mean) / std, in float32, in this order.
 */
#include "../base/err.h"
#include "data.h"
#include <assert.h>

/* How many channels the settings tell apart, and how they lie. */
static enum pare_status count_channels(const struct data_source *s, const char *path,
	const struct data_fit *fit, struct data_norm *m, struct pare_err *err)
{
	const struct pare_shape *sh = &fit->sample;
	int64_t first = sh->n > 1 ? sh->d[1] : 1, last = sh->d[sh->n - 1];
	int n_mean = s->n_mean ? s->n_mean : 1, n_std = s->n_std ? s->n_std : 1;
	int n = n_mean > n_std ? n_mean : n_std;

	if (n > 1 && n != first && n != last)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: mean or std has %d values, but samples have %lld channels", path, n,
			(long long)first);
	if ((n_mean > 1 && n_mean != n) || (n_std > 1 && n_std != n))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: mean has %d values and std %d; they must be as many", path, n_mean,
			n_std);
	m->n = n;
	m->plane = n == 1       ? fit->elems
		   : n == first ? pare_shape_span(sh, 2, sh->n)
				: 1; /* channels lie last in the model, too */
	return PARE_OK;
}

static float normal(const struct data_norm *m, int k, float x)
{
	return m->none ? x : (x * m->scale - m->mean[k]) / m->std[k];
}

static enum pare_status open_norm(const struct data_source *s, const char *path, enum pare_dtype t,
	struct pare_arena *a, struct data_column *c, struct pare_err *err)
{
	struct data_norm *m = &c->norm;
	enum pare_status st = count_channels(s, path, &c->fit, m, err);
	float *mean, *std, *table;
	size_t n = (size_t)m->n;

	if (st)
		return st;
	mean = pare_alloc_n(a, n, sizeof *mean);
	std = pare_alloc_n(a, n, sizeof *std);
	table = pare_alloc_n(a, n, 256 * sizeof *table);
	if (!mean || !std || !table)
		return pare_nomem(err, "mean and std");
	for (int i = 0; i < m->n; i++) {
		mean[i] = s->n_mean ? (float)s->mean[s->n_mean > 1 ? i : 0] : 0;
		std[i] = s->n_std ? (float)s->std[s->n_std > 1 ? i : 0] : 1;
	}
	m->scale = (float)s->scale;
	m->none = s->scale == 1 && !s->n_mean && !s->n_std;
	m->mean = mean;
	m->std = std;
	if (pare_dtype_bits(t) != 8)
		return PARE_OK;
	for (int i = 0; i < 256 * m->n; i++) {
		int byte = i % 256;

		table[i] = normal(m, i / 256, (float)(t == PARE_I8 ? (int8_t)byte : byte));
	}
	m->table = table;
	return PARE_OK;
}

enum pare_status data_column_open(const struct data_source *s, const char *path,
	const struct data_set *set, const struct data_array *x, const struct pare_io *input,
	struct pare_arena *a, struct data_column *out, struct pare_err *err)
{
	struct data_column c = { .x = x };
	enum pare_status st = data_fit_sample(set, x, input, &c.fit, err);

	if (!st)
		st = open_norm(s, path, x->dtype, a, &c, err);
	if (!st)
		*out = c;
	return st;
}

/* n elements of one channel. */
static void read_run(const struct data_norm *m, enum pare_dtype t, const unsigned char *x,
	int64_t n, int k, float *out)
{
	if (m->table) {
		const float *table = m->table + 256 * (size_t)k;

		for (int64_t i = 0; i < n; i++)
			out[i] = table[x[i]];
		return;
	}
	if (pare_to_f32(t, x, n, out, NULL)) /* formats let only readable types pass */
		assert(0);
	if (!m->none)
		for (int64_t i = 0; i < n; i++)
			out[i] = (out[i] * m->scale - m->mean[k]) / m->std[k];
}

/* A sample [pixels][channels] as [channels][pixels]. */
static void read_turned(const struct data_column *c, const unsigned char *x, float *out)
{
	enum { BLOCK = 1024 };
	const struct data_norm *m = &c->norm;
	float block[BLOCK];
	int64_t channels = c->fit.channels, pixels = c->fit.elems / channels, channel = 0, at = 0;
	size_t size = pare_dtype_bits(c->x->dtype) / 8;

	for (int64_t e = 0; e < c->fit.elems; e += BLOCK) {
		int64_t n = c->fit.elems - e < BLOCK ? c->fit.elems - e : BLOCK;
		const unsigned char *from = x + (size_t)e * size;

		if (!m->table && pare_to_f32(c->x->dtype, from, n, block, NULL))
			assert(0);
		for (int64_t i = 0; i < n; i++) {
			int k = m->n > 1 ? (int)channel : 0;

			out[channel * pixels + at] = m->table ? m->table[256 * (size_t)k + from[i]]
							      : normal(m, k, block[i]);
			if (++channel == channels) {
				channel = 0;
				at++;
			}
		}
	}
}

void data_column_read(const struct data_column *c, int64_t i, float *out)
{
	const unsigned char *x = c->x->data + (size_t)i * c->x->stride;
	const struct data_norm *m = &c->norm;
	size_t size = pare_dtype_bits(c->x->dtype) / 8;

	if (c->fit.channels > 1) {
		read_turned(c, x, out);
		return;
	}
	for (int64_t e = 0, run = 0; e < c->fit.elems; e += m->plane, run++)
		read_run(
			m, c->x->dtype, x + (size_t)e * size, m->plane, (int)(run % m->n), out + e);
}
