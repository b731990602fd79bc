/* Early exits: a sample that is told apart early leaves before the network's end.
 *
 * Behind a layer stands a head: what all of the network's rest reads, averaged down to two places
 * an axis (one where that would be many features), and a linear map from there to the network's own
 * answer.  It is fitted by ridge regression on the calibration samples with the network left as it
 * is, so labels are not looked at; the ridge and the threshold are chosen by what the head says of
 * each sample when fitted without it, which for ridge regression has a closed form (Allen 1974,
 * PRESS).  A sample leaves where the head's largest softmax probability reaches the threshold
 * (Teerapittayanon et al. 2016, "BranchyNet", compare an entropy). */
#ifndef PARE_EXITS_H
#define PARE_EXITS_H
#include "../quantize/quantize.h"

struct pare_calibration;

struct pare_head {
	int layer, var; /* behind which layer; of the model: what the head reads */
	float threshold;
	int64_t features, answers;
	float *w, *bias; /* [features][answers], [answers] */
};

struct pare_exits {
	int n;
	struct pare_head head[PARE_MAX_EXITS]; /* in the order in which samples meet them */
};

/* The exits of a plan, heads all zero, in `a`; PARE_E_UNSUPPORTED names the layer and why none can
 * stand behind it. */
PARE_MUST_CHECK enum pare_status
pare_exits_place(const struct pare_model *m, const struct pare_plan *p, struct pare_arena *a,
	struct pare_exits *out, struct pare_err *err);

/* Fit the heads to what the network says of the calibration samples with its activations quantized
 * by `acts` ([n_layers]); thresholds that the plan leaves open are set so that of all samples at
 * most one in 200 leaves at an exit with another answer than the network's. */
PARE_MUST_CHECK enum pare_status
pare_exits_fit(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_plan *p, const struct pare_calibration *calibration, struct pare_ctl *ctl,
	struct pare_exits *x, struct pare_err *err);

/* The network with its heads, all of it computed for every sample: output 0 is what a sample left
 * with, output 1 (with `which`) at which exit, x->n for the end.  Heads are its last layers.
 * Without `which` it is what is written: for one sample at a time, and chosen[i], a value of it, is
 * the choice between exit i and all that follows. */
PARE_MUST_CHECK enum pare_status
pare_exits_join(const struct pare_model *m, const struct pare_exits *x, bool which,
	int chosen[PARE_MAX_EXITS], struct pare_model **out, struct pare_err *err);

/* ---- ridge regression --------------------------------------------------------------------------
 */

/* y ~ x w + b.  x [n][f], y [n][k]; w [f][k], b [k] and apart [n][k], what each sample is given by
 * a fit without it, are filled.  Of several ridges the one of least error apart is taken. */
PARE_MUST_CHECK enum pare_status pare_ridge(const float *x, const float *y, int n, int f, int k,
	float *w, float *b, float *apart, struct pare_err *err);

#endif
