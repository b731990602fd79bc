/* Behind a clamp (ReLU) a layer need not give what the float network gives where that is cut off
 * anyway: what is wanted there moves to what the layer gives, as far as the clamp hides it, and the
 * weights are solved for once more.  Zhang et al. 2015, "Accelerating Very Deep Convolutional
 * Networks", look at the error behind the ReLU too, and go on for many rounds; here a second one
 * gained nothing and later ones lost: what they learn is the few samples. */
#ifndef PARE_BEHIND_H
#define PARE_BEHIND_H
#include "reader.h"

/* The solutions of a layer's readers, by the columns that came with its moments (centered); what is
 * wanted on average, m->t, moves with them.  Without columns, or a clamp, all stays as it is.
 * bias: of the file; NULL = none, and none is given.  PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status pare_readers_refit_behind(
	struct pare_reader *x, struct pare_moments *m, const float *bias, struct pare_err *err);

#endif
