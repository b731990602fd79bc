/* A variant while it is made: variant.c goes through what is done to the whole network, carry_out.c
 * through its layers. */
#ifndef PARE_MAKING_H
#define PARE_MAKING_H
#include "fit.h"
#include "variant.h"

struct making {
	struct pare_variant *v;
	const struct pare_model *m;
	const struct pare_plan *p;
	const struct pare_calibration *calibration;
	struct pare_moments_memo *memo; /* of what enters the layers of `m`; NULL = none */
	struct pare_ctl *ctl;
	struct pare_blob **weights, **bias; /* [n_layers] */
	struct pare_blob **pruned;          /* [n_layers] of layers that look at samples */
	struct pare_fit_layer *fit;         /* [n_layers] */
	struct pare_model *left;         /* what has become of the model; NULL = it is as it was */
	struct pare_plan *own;           /* p, where layers went or became two */
	struct pare_calibration *ranges; /* of `left`, where they are asked for */
};

static inline bool pare_has_samples(const struct making *k)
{
	return k->calibration && k->calibration->dataset;
}

/* A runtime multiplies the weights as int8 by uint8: in groups they are floats to it. */
bool pare_multiplies_bytes(const struct pare_variant *v, int i);

/* Every layer as the plan says: quantizers of activations, zeros, rounding. */
PARE_MUST_CHECK enum pare_status pare_carry_out(struct making *k, struct pare_err *err);

#endif
