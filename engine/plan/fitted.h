/* A layer as it was fitted, in bytes that can be kept, and by what it is found again. */
#ifndef PARE_FITTED_H
#define PARE_FITTED_H
#include "fit.h"

/* A running hash of all that layers come out by, in the order in which they run: a layer's key
 * hangs on the network, the samples and what is asked of it and of all before it. */
struct pare_fit_key {
	char hex[PARE_SHA_HEX];
};
PARE_MUST_CHECK enum pare_status pare_fit_key_begin(const struct pare_model *m,
	const struct pare_calibration *c, struct pare_fit_key *k, struct pare_err *err);
/* Go on to a layer: weights and bias as they are given, NULL = the model's; act may be NULL; may:
 * what it may try. */
PARE_MUST_CHECK enum pare_status
pare_fit_key_next(struct pare_fit_key *k, const struct pare_fit_layer *l,
	const struct pare_act_quant *act, const struct pare_blob *weights,
	const struct pare_blob *bias, unsigned may, struct pare_err *err);

/* False: nothing is kept by that key, or it does not fit; all is as it was.  elements: weights of
 * the layer. */
bool pare_fitted_find(struct pare_keep *keep, const struct pare_fit_key *k, int64_t elements,
	int64_t channels, struct pare_fit_layer *l, struct pare_blob **weights,
	struct pare_blob **bias);
void pare_fitted_keep(struct pare_keep *keep, const struct pare_fit_key *k, int64_t elements,
	int64_t channels, const struct pare_fit_layer *l, const struct pare_blob *weights,
	const struct pare_blob *bias);

#endif
