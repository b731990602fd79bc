/* A program while it is built. */
#ifndef PARE_BUILD_H
#define PARE_BUILD_H
#include "program.h"

struct pare_builder {
	struct pare_program *p;
	const struct pare_graph *g;
	struct pare_known *known; /* [n_vars] */
	int *uses;                /* [n_vars]: readers, graph outputs counted */
	int *reader;              /* [n_vars]: the last node that reads it */
	int *layer_of;            /* [n_nodes] */
	bool *joined;             /* [n_nodes]: carried out by an earlier node's step */
	struct pare_err *err;
};

static inline bool pare_builder_constant(const struct pare_builder *b, int var)
{
	return b->known[var].value;
}

/* What follows the step's node and can be done to its result before it is stored joins it. */
void pare_step_join(struct pare_builder *b, struct pare_step *s);

#endif
