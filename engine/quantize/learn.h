/* Rounding by what a layer gives behind its clamp (a Relu that follows), for the inputs that the
 * compressed network gives it against the outputs of the float one: what the clamp swallows costs
 * nothing.  No quadratic tells of that, so columns of windows are looked at themselves. */
#ifndef PARE_LEARN_H
#define PARE_LEARN_H
#include "../base/err.h"
#include "columns.h"

/* Rows of one group. */
struct pare_learning {
	const struct pare_columns *columns;
	int row, rows, k;   /* the first of them, of all groups' */
	int lo, hi;         /* of q */
	const double *w;    /* [rows][k], where the error is least without a lattice */
	const bool *zero;   /* [rows][k]: weights that stay 0; NULL = none */
	const float *scale; /* [rows] */
	const float *bias;  /* [rows], the layer's in float; NULL = none */
	int8_t *q;          /* [rows][k]: where it starts and ends */
	float *shift;       /* [rows], added to the bias, the same; NULL = it is not free */
	const struct pare_ctl *ctl;
};

/* AdaRound (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization"):
 * whether each weight goes up or down is learned by gradient descent, a rectified sigmoid in place
 * of the choice, pulled to its ends as time goes on.  Then weight after weight by one step, as long
 * as the error falls.  A quarter of the columns, of other samples, is kept aside: a row that gives
 * no better on them goes back to where it started.  PARE_E_NOMEM, PARE_E_CANCELED; deterministic.
 */
PARE_MUST_CHECK enum pare_status pare_adaround(const struct pare_learning *l, struct pare_err *err);

#endif
