/* One layer, rounded or settled by what the calibration samples tell of it. */
#ifndef PARE_LAYER_H
#define PARE_LAYER_H
#include "../quantize/moments.h"
#include "fit.h"

struct pare_layer_fit {
	const struct pare_model *m;
	int layer;
	const struct pare_act_quant *acts; /* [n_layers]; NULL = none */
	struct pare_ctl *ctl;
	struct pare_fit_layer l;
	double *seen; /* [groups][k][k + 1]: filled with the mean products of what enters it, about
			 the means where its bias is free, and then the means [groups][k]; NULL =
			 not wanted */
	struct pare_blob *weights, *bias; /* as they are given, NULL = the model's own bias; each
					     gives way to a new one */
};

/* Pruned and rounded as l says; `s` is used up. */
PARE_MUST_CHECK enum pare_status
pare_layer_round(struct pare_layer_fit *f, struct pare_moments *s, struct pare_err *err);
/* Its integers stay; scales and bias by least squares. */
PARE_MUST_CHECK enum pare_status
pare_layer_settle(struct pare_layer_fit *f, struct pare_moments *s, struct pare_err *err);

#endif
