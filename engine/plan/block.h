/* Layers that are rounded together: those of a residual block. */
#ifndef PARE_BLOCK_H
#define PARE_BLOCK_H
#include "layer.h"

struct pare_block_span {
	int first, last; /* layers first … last - 1 of the order in which they run */
};
/* The residual block (graph/residual.h) that begins at order[at] of n; false = none, or one that
 * cannot be looked at as a whole: on its ways is something other than layers that are matrix
 * products and what joins their steps. */
bool pare_block_find(const struct pare_walk *w, const struct pare_model *m, const int *order, int n,
	int at, struct pare_block_span *out);

/* The layers' integers and biases, as they have become one by one, learned together (joint.h) with
 * the walk held at the first of them (moments.h), to which it goes back.  Of the
 * block's those are rounded that have `seen`.  quantized: the network as it is now.  Of samples so
 * many are looked at as fit in 256 MB, and nothing is learned from fewer than PARE_BLOCK_LEAST
 * blocks of them. */
enum { PARE_BLOCK_LEAST = 4 };
struct pare_blocking {
	const struct pare_model *m;
	struct pare_walk *walk;
	const struct pare_program *quantized;
	const struct pare_act_quant *acts; /* [n_layers]; NULL = none */
	struct pare_fit_layer *layers;
	double **seen; /* [n_layers] as in struct pare_layer_fit; NULL = it stays as it is */
	struct pare_blob **weights, **bias;
	struct pare_ctl *ctl;
};
PARE_MUST_CHECK enum pare_status pare_block_learn(const struct pare_blocking *b, const int *order,
	struct pare_block_span span, struct pare_err *err);

#endif
