/* What a dataset is, as one number. */
#include "../base/err.h"
#include "../base/hash.h"
#include "../base/pool.h"
#include "data.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 20 };

struct pieces { /* one array, cut between samples */
	const struct data_array *a;
	size_t row;      /* bytes of a sample, without what lies between */
	int64_t n, each; /* samples; samples of a piece */
	char (*hex)[PARE_SHA_HEX];
};

static enum pare_status hash_piece(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct pieces *p = ctx;
	int64_t from = chunk * p->each, to = from + p->each < p->n ? from + p->each : p->n;
	struct pare_sha *sha = pare_sha_new();
	const unsigned char *x = p->a->data + (size_t)from * p->a->stride;

	(void)worker;
	if (!sha)
		return pare_nomem(err, "a hash");
	if (p->row == p->a->stride)
		pare_sha_add(sha, x, (size_t)(to - from) * p->row);
	else
		for (int64_t i = from; i < to; i++, x += p->a->stride)
			pare_sha_add(sha, x, p->row);
	pare_sha_end(sha, p->hex[chunk]);
	return PARE_OK;
}

static enum pare_status add_array(struct pare_sha *sha, const char *what,
	const struct data_array *a, struct pare_arena *arena, struct pare_err *err)
{
	struct pare_progress_span silent = { 0, 0 };
	struct pieces p = { .a = a };
	char shape[128], line[192];
	enum pare_status st;
	int64_t n_pieces;

	if (!a->blob)
		return PARE_OK;
	p.n = a->shape.d[0];
	if (!pare_dtype_bytes(a->dtype, pare_shape_span(&a->shape, 1, a->shape.n), &p.row))
		return pare_fail(err, PARE_E_FORMAT, "the samples have an absurd size");
	p.each = p.row >= PIECE ? 1 : PIECE / (int64_t)(p.row ? p.row : 1);
	n_pieces = (p.n + p.each - 1) / p.each;
	if (n_pieces > INT_MAX || !(p.hex = pare_alloc_n(arena, (size_t)n_pieces, sizeof *p.hex)))
		return pare_nomem(err, "a hash");
	st = pare_parallel((int)n_pieces, hash_piece, &p, NULL, silent, err);
	if (st)
		return st;
	snprintf(line, sizeof line, "%s %s %s\n", what, pare_dtype_name(a->dtype),
		pare_shape_text(&a->shape, "x", shape, sizeof shape));
	pare_sha_add(sha, line, strlen(line));
	pare_sha_add(sha, p.hex, (size_t)n_pieces * sizeof *p.hex);
	return PARE_OK;
}

static enum pare_status add_set(struct pare_sha *sha, const struct data_set *s, const char *samples,
	const char *labels, struct pare_arena *arena, struct pare_err *err)
{
	enum pare_status st = add_array(sha, samples, &s->x, arena, err);

	for (int i = 0; i < s->n_more && !st; i++)
		st = add_array(sha, samples, &s->more[i], arena, err);
	return st ? st : add_array(sha, labels, &s->y, arena, err);
}

static void add_numbers(struct pare_sha *sha, const char *what, int n, const double *v)
{
	char line[64];

	snprintf(line, sizeof line, "%s %d\n", what, n);
	pare_sha_add(sha, line, strlen(line));
	for (int i = 0; i < n; i++) {
		uint64_t bits; /* as text they would depend on the locale */

		memcpy(&bits, &v[i], sizeof bits);
		snprintf(line, sizeof line, "%016llx\n", (unsigned long long)bits);
		pare_sha_add(sha, line, strlen(line));
	}
}

enum pare_status
data_hash(const struct data_source *s, char hex[PARE_SHA_HEX], struct pare_err *err)
{
	struct pare_sha *sha = pare_sha_new();
	struct pare_arena *arena = pare_arena_new();
	enum pare_status st = PARE_OK;

	if (!sha || !arena)
		st = pare_nomem(err, "a hash");
	if (!st && !(st = add_set(sha, &s->samples, "samples", "labels", arena, err)) &&
		!(st = add_set(sha, &s->train, "train samples", "train labels", arena, err))) {
		add_numbers(sha, "scale", 1, &s->scale);
		add_numbers(sha, "mean", s->n_mean, s->mean);
		add_numbers(sha, "std", s->n_std, s->std);
		add_numbers(sha, "nhwc", 1, &(double){ s->samples.nhwc });
	}
	pare_arena_free(arena);
	if (sha)
		pare_sha_end(sha, hex);
	return st;
}
