/* Layers written as two, one behind the other. */
#ifndef PARE_FACTORED_H
#define PARE_FACTORED_H
#include "model.h"

/* The sizes of layer i's two parts; the attributes too when there is an arena.  f->space and
 * f->rank are given.  PARE_E_UNSUPPORTED: why it cannot be, in a few words. */
PARE_MUST_CHECK enum pare_status pare_layer_factors(const struct pare_model *m, int i,
	struct pare_arena *a, struct pare_factors *f, struct pare_err *err);

struct pare_factored {
	int layer;
	bool space;
	int64_t rank;
	const float *w[2]; /* of each part; NULL = sizes alone are wanted */
	bool shifts; /* the second has another bias than the layer, or one where it has none */
	const float *bias; /* it, [output channels]; NULL as above */
};

/* An edit in which n > 0 layers, in the order of their numbers, are two each.  The first part is
 * named NAME.rank and stands before the second, which keeps the layer's name, its output and its
 * bias; later layers have higher numbers than before. */
PARE_MUST_CHECK enum pare_status pare_model_factored(const struct pare_model *m,
	const struct pare_factored *f, int n, struct pare_model **out, struct pare_err *err);

#endif
