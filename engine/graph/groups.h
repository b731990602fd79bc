/* Channel groups: which layers can only lose channels together, and which cannot lose any.
 *
 * Every channel that a layer makes is an element; the channels of an activation are a row of
 * elements along one axis.  What adds two activations up unites their elements, one by one
 * (union-find): a united set is a unit, which goes or stays as one.  A layer's elements form a
 * block, blocks whose elements were united are one group, and what cannot be cut makes its group
 * stuck.  Only the rows' `flow` says which is which.
 *
 * elements.c keeps elements and blocks, asked.c is what all ask of a node, makers.c follows
 * channels through layers, rearrange.c through new axes, flows.c through nodes; groups.c begins at
 * the inputs and publishes what was found. */
#ifndef PARE_GROUPS_H
#define PARE_GROUPS_H
#include "model.h"

enum { MOST_FEATURES = 1 << 20 };

struct channels { /* of an activation */
	int axis;
	int64_t n;     /* 0: nothing is known of them, they cannot be cut */
	const int *id; /* [n] elements */
};

struct element {
	int parent, block;
};

struct block {
	int parent;
	const char *stuck; /* of a root: why its channels cannot be removed; NULL = they can */
};

/* A size in a list that a node computes, which goes with the channels of an axis. */
struct sized {
	struct pare_size_at at;
	int list, place; /* the list's value; the axis */
	const int *id;   /* [n] */
	int64_t n;
};

struct grouping {
	struct pare_model *m;
	struct pare_arena *a; /* for what is needed until groups are found */
	struct channels *of;  /* [vars] */
	struct element *element;
	struct block *block;
	int n_elements, element_room, n_blocks, block_room;
	int *layer_block;    /* [layers]; -1: several */
	struct sized *sized; /* [n_sized], at most one a node */
	int n_sized;
	bool nomem;
};

/* Out of memory sets g->nomem; all else then does nothing that counts. */
int grouping_root_element(struct grouping *g, int e);
int grouping_root_block(struct grouping *g, int b);
/* Two elements go or stay together, and so do their blocks. */
void grouping_unite(struct grouping *g, int x, int y);
/* stuck: why its channels cannot be removed; NULL = they can. */
int grouping_new_block(struct grouping *g, const char *stuck);
/* `n` new elements of one block, into id. */
void grouping_new_elements(struct grouping *g, int64_t n, const char *stuck, int *id);
int *grouping_new_row(struct grouping *g, int64_t n);
/* The channels of a value.  ids are shared: channels that pass are those that came.  times: each
 * becomes a run. */
void grouping_set(struct grouping *g, int var, int axis, const int *id, int64_t n, int64_t times);
/* NULL where it is not known. */
const struct pare_shape *grouping_shape(const struct grouping *g, int var);
void grouping_fresh(struct grouping *g, int var, int axis, int64_t n, const char *stuck);
void grouping_stick_element(struct grouping *g, int e, const char *why);
/* The channels of a value stay. */
void grouping_stick(struct grouping *g, int var, const char *why);
/* Feature i of each of `parts` equal parts goes with feature i of the others. */
void grouping_tie_parts(struct grouping *g, const int *id, int64_t n, int64_t parts);

/* ---- nodes ----------------------------------------------------------------------------------- */

/* Not a constant, nor known like one. */
bool grouping_is_activation(const struct grouping *g, int var);
/* The only input that is one; -1: there are none, or several. */
int grouping_only_activation(const struct grouping *g, const struct pare_node *n);
/* "WHAT Conv 'name'" */
const char *grouping_goes_into(struct grouping *g, const struct pare_node *n, const char *what);
/* Channels of all inputs stay. */
void grouping_block(struct grouping *g, const struct pare_node *n, const char *what);
/* What a row is asked with; false where something is not known. */
bool grouping_call(struct grouping *g, const struct pare_node *n, struct pare_shape_call *c);
/* What the node's row says its flow is here. */
enum pare_flow grouping_flow(struct grouping *g, const struct pare_node *n);
/* Sizes of the output's axes that the node reads: can that of `axis` be changed? */
bool grouping_cut_sizes(struct grouping *g, const struct pare_node *n, int axis);

/* The output's channels, of which those sizes tell; after grouping_cut_sizes. */
void grouping_set_sized(
	struct grouping *g, const struct pare_node *n, int axis, const int *id, int64_t len);
/* Lists of sizes that are read as anything else: what hangs on them stays. */
void grouping_check_sizes(struct grouping *g);

/* PARE_FLOW_SPREAD, HEADS, PRODUCE and STATES. */
void grouping_spread(struct grouping *g, const struct pare_node *n);
void grouping_heads(struct grouping *g, const struct pare_node *n);
void grouping_produce(struct grouping *g, const struct pare_node *n, int layer);
void grouping_states(struct grouping *g, const struct pare_node *n, int layer);

/* What a node makes of the channels that enter it. */
void grouping_visit(struct grouping *g, int node);

#endif
