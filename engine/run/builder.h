/* A program while it is built: build.c goes through the stages, each of which has its file. */
#ifndef PARE_BUILDER_H
#define PARE_BUILDER_H
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

/* The var is read as late as by that step. */
void pare_place_keep(struct pare_program *p, int var, int step);

/* Find chains of steps, and keep alive what they read; those of `like` are shared where their
 * steps share what is packed. */
PARE_MUST_CHECK enum pare_status
pare_program_link(struct pare_program *p, const struct pare_program *like, struct pare_err *err);

/* Find steps that run in strips, and keep alive what they read. */
PARE_MUST_CHECK enum pare_status pare_program_cut(struct pare_program *p, struct pare_err *err);

/* Places activations in the frame so that those alive at once do not overlap: largest first, each
 * as low as it fits. */
PARE_MUST_CHECK enum pare_status pare_places_lay(
	struct pare_place *places, int n, size_t *room, struct pare_arena *a, struct pare_err *err);

#endif
