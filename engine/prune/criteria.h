/* What criteria of channels are made of: each gives units a score, and those of least score go.
 *
 *   from weights     score(): one group at a time, no data
 *   from samples     measure(): all groups that ask for it at once, on calibration samples
 *   from neither     one after the other by what their readers lose (reader.h) */
#ifndef PARE_CRITERIA_H
#define PARE_CRITERIA_H
#include "../quantize/quantize.h"
#include "prune.h"

/* scores.c: [v->n].  PARE_E_UNSUPPORTED: the model does not say what it looks at. */
typedef enum pare_status
pare_channel_score(const struct pare_channel_view *v, float *score, struct pare_err *err);
pare_channel_score pare_score_l1, pare_score_l2, pare_score_fpgm, pare_score_batchnorm,
	pare_score_random;

/* [n_units] of the model, those of other groups than `wanted` ([n_groups]) untouched. */
typedef enum pare_status pare_channel_measure(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, double *score,
	struct pare_err *err);

/* watch.c: the mean of |x| over all places and samples where a layer reads the unit.  Costs one run
 * over the samples. */
pare_channel_measure pare_measure_activation;

/* gates.c: how the loss answers to a gate, a factor on what readers see of a unit, which is 1.
 *
 * The loss is the cross-entropy of the answers taken as chances of classes.  Its derivative by a
 * gate is that of log p by classes, J: found by running what is behind the group with the gate a
 * little above and below 1.  That is exact but for rounding where the network is linear between the
 * two, and off by the square of the step elsewhere.  Costs two runs of the rest of the network a
 * unit, on the first 64 calibration samples.
 *
 *   taylor  E |d loss / d gate| (Molchanov et al. 2019, first order): of the sample's label, or
 *           where there is none, of each class as often as the network itself expects it
 *   fisher  E (d loss / d gate)^2 with classes as the network expects them (the true Fisher, not
 *           the empirical one): J' (diag p - p p') J of the answers, without labels */
pare_channel_measure pare_measure_taylor, pare_measure_fisher;

/* The network with gates [n_units] on what layers read.  Owned by the caller. */
PARE_MUST_CHECK enum pare_status pare_model_gated(const struct pare_model *m, const float *gate,
	struct pare_model **out, struct pare_err *err);

#endif
