/* Which rounding a layer takes, by measured error within a bounded amount of work.
 *
 * Each method that the layer may try rounds it by the calibration samples but the last quarter;
 * the one whose output, behind the clamp that follows, is nearest to the float network's on that
 * quarter is then fitted to all samples.  So the weights are those that the method's own name
 * gives, to a layer by itself: residual blocks are not gone over again as a whole; a layer whose
 * bias some method would bring in gets one, of zeros where it is not that one. Which methods a
 * layer may try follows from shapes: work is counted, not timed, and what is least work comes
 * first. */
#ifndef PARE_PICK_H
#define PARE_PICK_H
#include "layer.h"

/* may[layer]: bits of rows of pare_roundings, for those of layers[order[0…n-1]] that try.  Those of
 * one amount of work share it. */
PARE_MUST_CHECK enum pare_status
pare_tries_allot(const struct pare_walk *w, const struct pare_fit_layer *layers, const int *order,
	int n, unsigned *may, struct pare_err *err);

/* Round the layer by what proves best of `may`.  s: all samples, with columns; part: without those
 * kept aside; win.k 0: none are, and the method that is most work is taken. */
PARE_MUST_CHECK enum pare_status
pare_layer_try(struct pare_layer_fit *f, struct pare_moments *s, const struct pare_moments *part,
	unsigned may, const struct pare_rounding **picked, struct pare_err *err);

#endif
