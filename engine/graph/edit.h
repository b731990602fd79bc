/* A model that grows: nodes and values added behind those that a model has.
 *
 *     pare_edit_new(m, room for nodes, room for values, &e, err);
 *     int w = pare_edit_constant(&e, "w", PARE_F32, &shape, data);
 *     int y = pare_edit_node(&e, "MatMul", "head", (int[]){ x, w }, 2);
 *     pare_edit_finish(&e, &out, err);
 *
 * What goes wrong on the way shows at the end; until then calls are without effect and give -1. */
#ifndef PARE_EDIT_H
#define PARE_EDIT_H
#include "model.h"

struct pare_edit {
	struct pare_model *m; /* grows; not yet indexed */
	int nodes, values;    /* room */
	bool failed;          /* no memory, no room, no such row */
};

/* `m` stays as it is and alive as long as the edit.  Its layers keep their numbers. */
PARE_MUST_CHECK enum pare_status pare_edit_new(const struct pare_model *m, int nodes, int values,
	struct pare_edit *out, struct pare_err *err);
/* The data is copied; NULL: a value of which the shape alone is known. */
int pare_edit_constant(struct pare_edit *e, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data);
/* A node of one output, which is returned; attributes are at their defaults. */
int pare_edit_node(struct pare_edit *e, const char *op, const char *name, const int *in, int n_in);
/* The node added last runs before node `at`, and those from there on are one further. */
void pare_edit_before(struct pare_edit *e, int at);
/* An attribute of the node added last. */
void pare_edit_ints(struct pare_edit *e, const char *name, const int64_t *v, int n);
/* The outputs of the network, in the place of those that it has: [n]. */
void pare_edit_outputs(struct pare_edit *e, const int *out, int n);
/* Constants that nobody reads any more go. */
void pare_edit_drop_unread(struct pare_edit *e);
/* Nodes go, [nodes], of which nothing is read, and the constants that they alone read. */
void pare_edit_drop(struct pare_edit *e, const bool *dead);
/* Indexed and done, or freed with its error. */
PARE_MUST_CHECK enum pare_status
pare_edit_finish(struct pare_edit *e, struct pare_model **out, struct pare_err *err);

#endif
