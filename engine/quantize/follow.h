/* The network as it has become so far, for those who change one layer after the other while they
 * walk through it. */
#ifndef PARE_FOLLOW_H
#define PARE_FOLLOW_H
#include "moments.h"

struct pare_follow {
	const struct pare_model *m; /* from which it becomes others; may be set to an edit */
	struct pare_walk *walk;
	struct pare_blob **weights, **bias; /* [n_layers] of the caller's; NULL = as in the model */
	int n;
	struct pare_model **models; /* [n]: each shares with the one before */
	struct pare_program **programs;
};

/* Begins a walk.  All but `out` borrowed. */
PARE_MUST_CHECK enum pare_status pare_follow_new(const struct pare_model *m,
	const struct pare_calibration *calibration, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_follow *out, struct pare_err *err);
void pare_follow_free(struct pare_follow *f);
/* pare_walk_to with the network as it is now. */
PARE_MUST_CHECK enum pare_status
pare_follow_to(struct pare_follow *f, int layer, struct pare_progress_span span,
	struct pare_ctl *ctl, struct pare_moments *out, struct pare_err *err);
/* The model with weights and biases as they are now. */
PARE_MUST_CHECK enum pare_status
pare_model_now(const struct pare_model *m, struct pare_blob **weights, struct pare_blob **bias,
	struct pare_model **out, struct pare_err *err);

#endif
