/* Whole residual blocks go, and who reads what went around them makes up for it: least squares on
 * the calibration samples, as where channels go (repair.c), layer by layer towards what the float
 * network gives. */
#ifndef PARE_BLOCKS_H
#define PARE_BLOCKS_H
#include "../graph/residual.h"
#include "prune.h"

struct pare_block_choice {
	const char *name, *help;
};
extern const struct pare_block_choice pare_block_choices[]; /* row 0: it stays */

/* Which blocks a plan takes away, [m->n_residuals]: those of whose branch all layers go. */
bool pare_plan_blocks(const struct pare_model *m, const struct pare_plan *p, bool *gone);

/* The model without them, its layers those that are left, in their order.  PARE_E_ARG: the plan
 * asks for a repair and there are no samples. */
PARE_MUST_CHECK enum pare_status pare_prune_blocks(const struct pare_model *m,
	const struct pare_plan *p, const bool *gone, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err);

#endif
