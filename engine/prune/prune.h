/* Pruning: which weights go. */
#ifndef PARE_PRUNE_H
#define PARE_PRUNE_H
#include "../base/tensor.h"

/* How much a weight matters; the least go first. */
struct pare_criterion {
	const char *name, *help;
	/* score [n] of the weights w [n] of one layer; `layer` is its index */
	void (*score)(const float *w, int64_t n, int layer, float *score);
};
extern const struct pare_criterion pare_criteria[];

/* How many of n weights a sparsity sets to zero. */
int64_t pare_n_pruned(int64_t n, float sparsity);

/* Set the pare_n_pruned(n, sparsity) weights of least score to zero; among equals the first go.
 * w: [n], changed in place.  PARE_E_NOMEM (w is then as it was). */
PARE_MUST_CHECK enum pare_status pare_prune_unstructured(float *w, int64_t n, int layer,
	float sparsity, const struct pare_criterion *by, struct pare_err *err);

#endif
