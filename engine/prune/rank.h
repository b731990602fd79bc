/* Low rank: a layer becomes two, one behind the other, with fewer values between them.
 *
 * Across channels (Zhang et al. 2016, "Accelerating Very Deep Convolutional Networks for
 * Classification and Detection"): the whole kernel to `rank` channels, then 1 by 1.  In space
 * (Jaderberg et al. 2014, "Speeding up Convolutional Neural Networks with Low Rank Expansions"):
 * a column of the kernel to `rank` channels, then a row of it.
 *
 * Whitened, what is kept is what the outputs lose least without: with H the products of what enters
 * the layer and W the weights that give the float network's output best from it, the largest
 * eigenvectors of W H W' span the outputs that a product of that rank can give (the truncated
 * singular value decomposition of W S, S S' = H; also in SVD-LLM, Wang et al. 2024).  In space the
 * same is done with H between columns of the kernel, and the second part is then fitted to the
 * first by least squares.  Layers come in the order in which they run, and each makes up for what
 * those before it lost. */
#ifndef PARE_RANK_H
#define PARE_RANK_H
#include "../graph/factored.h"
#include "prune.h"

struct pare_factoring {
	const char *name, *help;
	bool space, channels; /* allowed; in space where both are and it can be */
};
extern const struct pare_factoring pare_factorings[];

struct pare_rank_criterion {
	const char *name, *help;
	bool looks; /* at calibration samples */
};
extern const struct pare_rank_criterion pare_rank_criteria[];

/* Values between the parts of layer i, and whether it is in space; 0 = it stays whole. */
int64_t pare_rank_of(const struct pare_model *m, int i, const struct pare_dials *d, bool *space);

/* Multiply-accumulates that one value between the parts costs; 0 = it cannot be two. */
double pare_rank_macs(const struct pare_model *m, int layer, bool space);

/* Of the outputs' squares, with products h [k][k] of what enters (NULL: as if all were alike), the
 * parts that values between would carry, the least first: [*n], malloc'ed. */
PARE_MUST_CHECK enum pare_status pare_rank_values(const struct pare_model *m, int layer, bool space,
	const double *h, double **value, int *n, struct pare_err *err);

/* Does any layer become two? */
bool pare_plan_factors(const struct pare_model *m, const struct pare_plan *p);

/* The model whose layers are two where the plan says so (pare_model_factored).  `bare`: of sizes
 * alone, for which no samples are needed.  PARE_E_ARG: there are no calibration samples. */
PARE_MUST_CHECK enum pare_status pare_factor_layers(const struct pare_model *m,
	const struct pare_plan *p, const struct pare_calibration *calibration, bool bare,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err);

#endif
