/* The passes of pare_graph_simplify, which share this. */
#ifndef PARE_SIMPLIFY_H
#define PARE_SIMPLIFY_H
#include "model.h"

struct pare_simplifier {
	struct pare_graph *g;
	bool outermost; /* no graph inside a node */
	struct pare_arena *a;
	int room;          /* of g->vars, grown at the start */
	bool *gone;        /* [nodes] */
	int *same_as;      /* [room] the var that stands for this one */
	int *uses;         /* [room] how many inputs and graph outputs read it */
	bool *is_out;      /* [room] */
	size_t *fold_room; /* bytes that folding may still add, in this and all other graphs */
	struct pare_err *err;
};

/* Var becomes a constant; b is taken over. */
PARE_MUST_CHECK enum pare_status pare_simplify_constant(
	struct pare_simplifier *s, int var, const struct pare_tensor *t, struct pare_blob *b);
/* Type of the numbers, one for each of `elems`, that the constant was made from; UNDEFINED:
 * float32.
 */
enum pare_dtype pare_simplify_stored(const struct pare_var *v, int64_t elems);
/* A new value "owner.what"; -1: no memory. */
int pare_simplify_add(struct pare_simplifier *s, const char *owner, const char *what);

/* The same, for a graph inside a node. */
PARE_MUST_CHECK enum pare_status pare_simplify_graph(
	struct pare_graph *g, struct pare_arena *a, size_t *fold_room, struct pare_err *err);

/* branches.c: graphs inside a node, whose inputs are final. */
PARE_MUST_CHECK enum pare_status
pare_simplify_inside(struct pare_simplifier *s, struct pare_node *n);
/* The graphs that known conditions choose take the place of their nodes; then *changed, the nodes
 * are no longer sorted, and `gone` is of no use any more. */
PARE_MUST_CHECK enum pare_status pare_simplify_choose(struct pare_simplifier *s, bool *changed);

/* Is input i of the node a constant? */
bool pare_simplify_is_constant(const struct pare_simplifier *s, const struct pare_node *n, int i);

/* stored.c: what the file quantizes.  The codes of what a node makes of constants; NULL: none. */
const struct pare_codes *pare_simplify_codes(const struct pare_simplifier *s,
	const struct pare_node *n, const struct pare_shape_call *c);
/* Grids of weights that are really on them, and quantizers before layers, from nodes to `act`. */
PARE_MUST_CHECK enum pare_status pare_simplify_quantizers(struct pare_simplifier *s);

/* lookups.c: integers that are looked up and decoded are decoded and looked up. */
PARE_MUST_CHECK enum pare_status pare_simplify_lookups(struct pare_simplifier *s);

/* halves.c: a network of another float type as one of float32, where nothing outside sees it. */
PARE_MUST_CHECK enum pare_status pare_simplify_halves(struct pare_simplifier *s);

/* Float32 weights for all layers; what scales and shifts behind a layer goes into it. */
PARE_MUST_CHECK enum pare_status pare_simplify_weights(struct pare_simplifier *s);

#endif
