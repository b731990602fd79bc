#include "columns.h"
#include "../base/err.h"
#include "../base/rng.h"
#include <stdlib.h>
#include <string.h>

enum {
	COLUMNS = 16384,
	FLOATS = 48 << 20, /* of them all */
};

static float *room_for(size_t rows, int64_t n)
{
	return calloc(rows * (size_t)n + 1, sizeof(float));
}

/* Lists of their own, zeros, for columns like these. */
static enum pare_status
take_room(const struct pare_columns *like, struct pare_columns *out, struct pare_err *err)
{
	struct pare_columns c = *like;

	c.x = room_for((size_t)c.groups * (size_t)c.k, c.wide);
	c.t = room_for((size_t)c.groups * (size_t)c.o, c.wide);
	c.s = room_for((size_t)c.groups * (size_t)c.o, c.wide);
	if (!c.x || !c.t || !c.s) {
		pare_columns_free(&c);
		return pare_nomem(err, "what enters a layer");
	}
	*out = c;
	return PARE_OK;
}

enum pare_status pare_columns_new(const struct pare_windows *w, int full, int aside, int lanes,
	struct pare_columns *out, struct pare_err *err)
{
	struct pare_columns c = {
		.groups = w->groups, .k = w->k, .o = w->o, .lanes = lanes, .every = 1
	};
	int64_t rows = (int64_t)w->groups * (w->k + 2 * w->o), most = FLOATS / rows;

	most = (most > COLUMNS ? COLUMNS : most) / lanes;
	if (most > 0 && full > 0) {
		int64_t per;

		c.every = (int)((full + most - 1) / most);
		c.blocks = (full + c.every - 1) / c.every;
		per = most / c.blocks;
		c.per = per < w->columns ? (int)per : (int)w->columns;
		c.n = c.wide = (int64_t)c.blocks * c.per * lanes;
		aside = (aside + c.every - 1) / c.every;
		c.aside = aside < c.blocks ? (int64_t)(c.blocks - aside) * c.per * lanes : 0;
	}
	return take_room(&c, out, err);
}

enum pare_status
pare_columns_copy(const struct pare_columns *from, struct pare_columns *to, struct pare_err *err)
{
	struct pare_columns c;
	size_t k = (size_t)from->groups * (size_t)from->k * (size_t)from->wide,
	       o = (size_t)from->groups * (size_t)from->o * (size_t)from->wide;
	enum pare_status st = take_room(from, &c, err);

	if (st)
		return st;
	memcpy(c.x, from->x, k * sizeof *c.x);
	memcpy(c.t, from->t, o * sizeof *c.t);
	memcpy(c.s, from->s, o * sizeof *c.s);
	*to = c;
	return PARE_OK;
}

struct pare_columns pare_columns_part(const struct pare_columns *c)
{
	struct pare_columns part = *c;
	int64_t block = (int64_t)c->per * c->lanes;

	part.n -= c->aside;
	part.blocks = (int)(part.n / (block ? block : 1));
	part.aside = (part.blocks - pare_aside_from(part.blocks)) * block;
	return part;
}

void pare_columns_free(struct pare_columns *c)
{
	free(c->x);
	free(c->t);
	free(c->s);
	*c = (struct pare_columns){ 0 };
}

/* One of each stretch of positions. */
int64_t
pare_columns_pick(const struct pare_columns *c, const struct pare_windows *w, int block, int i)
{
	int64_t from = w->columns * i / c->per, to = w->columns * (i + 1) / c->per;
	struct pare_rng r = pare_rng_seed((uint64_t)block, (uint64_t)i);

	return from + (int64_t)pare_rng_below(&r, (uint64_t)(to - from));
}

void pare_columns_take(struct pare_columns *c, const struct pare_windows *w, int block, int group,
	int64_t from, int64_t n, const float *x, const float *t, const float *s,
	const struct pare_tensor *bias)
{
	size_t lanes = (size_t)c->lanes, bytes = lanes * sizeof(float);
	int mine = block / c->every;

	for (int i = 0; i < c->per && block % c->every == 0 && mine < c->blocks; i++) {
		int64_t at = pare_columns_pick(c, w, block, i);
		size_t to = ((size_t)mine * (size_t)c->per + (size_t)i) * lanes;

		if (at < from || at >= from + n)
			continue;
		for (int j = 0; j < c->k; j++)
			memcpy(c->x + (size_t)(group * c->k + j) * (size_t)c->wide + to,
				x + (size_t)(j * n + at - from) * lanes, bytes);
		for (int j = 0; j < c->o; j++) {
			int row = group * c->o + j;
			size_t here = (size_t)row * (size_t)c->wide + to;
			size_t out = (size_t)(row * w->from_channel + at * w->from_column);

			memcpy(c->t + here, t + (size_t)(j * n + at - from) * lanes, bytes);
			if (s)
				memcpy(c->s + here, s + out * lanes, bytes);
			for (size_t l = 0; l < lanes && bias; l++)
				c->s[here + l] += pare_joined_at(bias, (int64_t)out);
		}
	}
}
