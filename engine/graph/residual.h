/* Residual blocks: a value that forks, and an elementwise sum in which the two ways from it meet
 * (He et al. 2016).  One way is the branch; the other is the value itself, or a shorter way from
 * it, the shortcut.  What is on both ways is read by nothing else.
 *
 * Without its branch a block hands on what the shortcut gives. */
#ifndef PARE_RESIDUAL_H
#define PARE_RESIDUAL_H
#include "model.h"

struct pare_residual {
	int from;          /* the value that forks */
	int sum;           /* the node in which the ways meet */
	int past;          /* the value that stands in for the sum without the branch */
	int n_branch;      /* nodes, in the order of the graph; layers among them */
	const int *branch; /* [n_branch] */
	int n_shortcut;    /* likewise; 0: the value itself */
	const int *shortcut;
};

/* Those of a model, in the order of their sums, of which the branch has a layer and can go: its sum
 * is no output of the graph, and the shortcut has the sum's shape.  Lives as long as the model.
 * Time: nodes * nodes at worst. */
PARE_MUST_CHECK enum pare_status pare_residuals_find(struct pare_model *m, struct pare_err *err);

/* The model in which branches are not looked at: who read a sum reads what stands in for it.
 * gone [m->n_residuals].  bare: nodes and layers of the branches are no more; otherwise they stay,
 * read by nobody, and layers keep their numbers. */
PARE_MUST_CHECK enum pare_status pare_model_without_branches(const struct pare_model *m,
	const bool *gone, bool bare, struct pare_model **out, struct pare_err *err);

#endif
