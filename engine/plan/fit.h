/* Pruning and rounding that look at what enters a layer: layer after layer, in the order in which
 * they run.
 * Each sees the inputs that the network as compressed so far gives it, and is asked for the output
 * that the float network gives, so that it also makes up for what was lost before it.  Where the
 * layer's result is added to another, that sum is what is asked for. */
#ifndef PARE_FIT_H
#define PARE_FIT_H
#include "../prune/pattern.h"
#include "../quantize/moments.h"
#include "../quantize/quantize.h"

struct pare_fit_layer {
	bool fits;      /* else its weights stay as they are given */
	const float *w; /* [elements], before; pruned unless it is done here */
	/* Which weights go is chosen here, by what the output loses (obs.h); then all are fitted to
	 * the output in float. */
	bool prunes;
	struct pare_lay lay;
	float sparsity;
	/* Its bias, or the scales of its output channels too, are fitted to the output in float;
	 * its integers stay as they are, unless they are rounded here. */
	bool shifts, scales;
	/* What is left is rounded; NULL = it is not. */
	const struct pare_rounding *rounding;
	struct pare_grid grid;
	bool joins;      /* found by pare_fit: its block is rounded as a whole (block.h) */
	bool keep_zeros; /* weights that are 0 in w stay so */
	float *scale;    /* [pare_grid_scales], as each weight to the nearest has it; filled anew
			    where a row has but one and it is free, and where it prunes */
	int8_t *zero;    /* [pare_grid_scales], filled anew where it prunes */
	int8_t *q;       /* [elements], filled */
	/* Of a rounding that tries others: how much work it may put into all such layers; what came
	 * of it. */
	double work;
	const struct pare_rounding *picked;
};

/* weights[i]: what layer i's are to be, NULL = the model's own; those of layers that fit give
 * way to new ones.  bias[i]: filled for layers whose bias changes; both stay the caller's.  A
 * layer that is no matrix product, or that does not run, is left as it is given.  Time: about that
 * of evaluating the samples twice, and k² a column of windows; with a memo (NULL allowed) of the
 * same model and calibration a plan of one layer alone need not look again. */
PARE_MUST_CHECK enum pare_status
pare_fit(const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_moments_memo *memo, const struct pare_act_quant *acts,
	struct pare_fit_layer *layers, struct pare_blob **weights, struct pare_blob **bias,
	struct pare_ctl *ctl, struct pare_err *err);

#endif
