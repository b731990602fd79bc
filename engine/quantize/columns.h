/* Some of the columns of windows that a layer sees over the calibration samples, for methods that
 * want more than their products.  Which ones is drawn, the same for any number of threads. */
#ifndef PARE_COLUMNS_H
#define PARE_COLUMNS_H
#include "../graph/model.h"
#include "../ops/op.h"

struct pare_columns {
	int64_t n;        /* 0 = none: no block of samples was full, or there is no memory */
	int64_t aside;    /* the last of them, of samples that are kept aside; may be 0 */
	int64_t wide;     /* from row to row; n, but for a part of them */
	int groups, k, o; /* as in struct pare_windows */
	int blocks, per;  /* blocks that give some, and how many positions each */
	int every;        /* of how many blocks one gives some */
	int lanes;
	float lo, hi; /* the layer's result is clamped to */
	float *x;     /* [groups][k][wide]: entering the compressed layer */
	float *t;     /* [groups * o][wide]: what it should give, without the bias */
	float *s;     /* [groups * o][wide]: what the compressed network adds to it, or zeros */
};

/* Of n full blocks of samples the last quarter is kept aside from what is fitted; the first that
 * is, n = none. */
static inline int pare_aside_from(int n)
{
	return n - n / 4;
}

/* Room for columns of `full` blocks of `lanes` samples, those from block `aside` on kept aside.
 * PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status pare_columns_new(const struct pare_windows *w, int full, int aside,
	int lanes, struct pare_columns *out, struct pare_err *err);
/* Those that are not kept aside, of which again some are; borrowed. */
struct pare_columns pare_columns_part(const struct pare_columns *c);
void pare_columns_free(struct pare_columns *c);
PARE_MUST_CHECK enum pare_status
pare_columns_copy(const struct pare_columns *from, struct pare_columns *to, struct pare_err *err);
/* Where position `i` of a block lies. */
int64_t
pare_columns_pick(const struct pare_columns *c, const struct pare_windows *w, int block, int i);
/* Those of a block that lie in from … from + n of a group: x [k][n][lanes], t [o][n][lanes], as
 * they are collected; s: what is added, as a whole activation, and bias: a constant that joined the
 * layer's step; NULL = none. */
void pare_columns_take(struct pare_columns *c, const struct pare_windows *w, int block, int group,
	int64_t from, int64_t n, const float *x, const float *t, const float *s,
	const struct pare_tensor *bias);
/* What a constant that joined a layer's step, along the last axis, adds to element `at` of its
 * output; NULL = none. */
static inline float pare_joined_at(const struct pare_tensor *bias, int64_t at)
{
	return bias ? bias->f32[at % pare_shape_elems(&bias->shape)] : 0;
}

#endif
