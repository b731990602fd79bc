/* Of several quantizers for the activation that enters a layer, the one by which the layer's output
 * loses least. */
#ifndef PARE_CHOOSE_H
#define PARE_CHOOSE_H
#include "quantize.h"

enum { PARE_MOST_CHOICES = 8 };
struct pare_act_choices {
	int n; /* 0 = nothing to choose */
	struct pare_act_quant from[PARE_MOST_CHOICES];
};

/* acts[i]: filled for layers with something to choose, by the squared error of the layer's output
 * on the calibration samples, all else float; layers with the very same choices, as those that read
 * one value have, by what they lose together.  The same on any number of threads.  Time: about that
 * of evaluating those samples once, and once more for each choice. */
PARE_MUST_CHECK enum pare_status pare_acts_choose(const struct pare_model *m,
	const struct pare_calibration *calibration, const struct pare_act_choices *choices,
	struct pare_act_quant *acts, struct pare_ctl *ctl, struct pare_err *err);

#endif
