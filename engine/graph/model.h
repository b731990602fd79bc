/* The inside of a model: a graph of nodes over values.  Everything is laid out in the model's arena
 * and never changes once pare_model_open, or an edit, has returned. */
#ifndef PARE_MODEL_H
#define PARE_MODEL_H
#include "../base/arena.h"
#include "../base/tensor.h"
#include "../ops/op.h"

/* What a layer's output channels were trained to be like, before what follows: what a
 * BatchNormalization that was folded into the layer said. */
struct pare_normal {
	int64_t n;
	const float *mean, *spread; /* [n]; spread: the standard deviation */
};

struct pare_var { /* a value: what flows along an edge */
	const char *name;
	struct pare_known declared; /* dtype UNDEFINED / dims -1 where not known (shape.n -1: not
				       even their number); value: constants */
	struct pare_blob *blob;     /* holds declared.value's data; NULL for activations */
	int producer;               /* node; -1 = input or constant */
	/* Of a float constant: what each number was made from, UNDEFINED = it was float32 in the
	 * file; and what codes it stands for; NULL = none, or nothing is known of them.
	 */
	enum pare_dtype stored;
	const struct pare_codes *codes;
	const struct pare_normal *normal; /* NULL = not known */
};

/* Quantizer of the activation that enters a layer:
 * q = clamp(round_half_even(x / scale) + zero, lo, hi), x' = (q - zero) * scale.  A dynamic one
 * takes scale and zero from each sample as it runs, for codes 0…255. */
struct pare_act_quant {
	bool on;
	float scale;
	int zero, lo, hi;
	bool dynamic;
};

struct pare_node {
	const char *name; /* unique */
	const char *op_type, *domain;
	const struct pare_op *op; /* NULL = unsupported */
	const char *why;          /* op NULL: what is not supported about it */
	void *attr; /* op->attr_size bytes, filled by the op's table; NULL when there are none */
	int n_in, n_out;
	int *in, *out; /* indices of vars; -1 = absent */
	/* Of a layer: the quantizer that the file has before it, which is no node any more; NULL =
	 * none. */
	const struct pare_act_quant *act;
};

struct pare_graph {
	const char *name;
	int n_nodes, n_vars, n_in, n_out;
	struct pare_node *nodes; /* topologically sorted */
	struct pare_var *vars;
	int *in, *out; /* vars; constants are no inputs */
	/* A graph inside a node stands alone: what it reads of the graph around it, its last
	 * n_captured inputs, are the node's inputs from first_captured on. */
	int n_captured, first_captured;
	/* The next of all graphs that the model's nodes hold, at any depth; the outermost graph
	 * begins the list, and an edit leaves it to its base. */
	struct pare_graph *next;
};

/* The channels of a value: what stands at each place of `axis`. */
struct pare_var_channels {
	int axis;
	int64_t n;       /* 0: nothing is known of them, they cannot be cut */
	const int *unit; /* [n]; -1 = stays */
};

/* Channels of a group: n units, numbered from `first` over all groups.  A unit is channels of
 * several values that can only go together.  Units of one kind stand equally often along every
 * value, so that how many of each kind go says what shapes remain. */
struct pare_group {
	int first, n, n_kinds;
};

struct pare_residual;

struct pare_model {
	atomic_int refs;
	struct pare_arena *arena;
	struct pare_model *base; /* of an edit: keeps names and attributes alive; NULL otherwise */
	struct pare_graph graph;
	int64_t ir_version;
	struct pare_model_info info;
	struct pare_layer *layers;        /* [info.n_layers] */
	struct pare_weight_at *weight_at; /* [info.n_layers] */
	/* [info.n_layers] the quantizers with which the file runs; NULL = it has none, or this is
	 * an edit. */
	struct pare_act_quant *acts;
	struct pare_node_info *node_info;     /* [graph.n_nodes] */
	struct pare_unsupported *unsupported; /* [info.n_unsupported] */
	struct pare_hidden *hidden;           /* [info.n_hidden] */
	struct pare_io *inputs, *outputs;
	struct pare_var_channels *channels; /* [graph.n_vars] */
	struct pare_group *groups;          /* [n_groups]: that of layers[i].group */
	int n_groups, n_units;
	int *kind;                       /* [n_units] within the group */
	struct pare_residual *residuals; /* [n_residuals], see residual.h */
	int n_residuals;
	struct pare_known
		*known; /* [graph.n_vars] for one sample; dtype UNDEFINED where not known */
};

/* An empty model with an arena of its own and one reference; NULL: no memory. */
struct pare_model *pare_model_new(void);

/* Shapes and types of all values for concrete input shapes (graph inputs in order;
 * NULL: not known), folding what
 * becomes constant (Shape arithmetic).  known[]: [g->n_vars], allocated by the caller, zeroed;
 * constants made on the way live in `a`.  Stops with an error at the first node that cannot be
 * inferred, or, with `lenient`, leaves its outputs UNDEFINED and goes on. */
PARE_MUST_CHECK enum pare_status
pare_graph_infer(const struct pare_graph *g, const struct pare_shape *inputs, bool lenient,
	struct pare_arena *a, struct pare_known *known, struct pare_err *err);

/* What a node's outputs are when they follow from what is known of its inputs: all of them
 * constant, or a row that looks at shapes alone. */
bool pare_node_is_constant(const struct pare_shape_call *c);
/* Compute them: out[i].data holds room for c->out[i], shape and dtype are set. */
PARE_MUST_CHECK enum pare_status
pare_node_compute(const struct pare_shape_call *c, struct pare_tensor *out, struct pare_err *err);

/* An attribute of a node by its name: NULL when its row has none of that name and type. */
const void *pare_node_attr(const struct pare_node *n, const char *name, enum pare_attr_type type);

/* Where the weight is, if the node is a layer: the row says so, and it is a float32 constant that
 * fits; else input is -1. */
struct pare_weight_at pare_graph_weight(const struct pare_graph *g, const struct pare_node *n);
/* That of a node's second layer. */
struct pare_weight_at pare_graph_second(const struct pare_graph *g, const struct pare_node *n);
/* Whether a layer is the first of its node: that which stands for the node with what goes through
 * it.  The second is the next in number. */
static inline bool pare_layer_leads(const struct pare_model *m, int i)
{
	return !i || m->layers[i - 1].node != m->layers[i].node;
}

/* Where number `at` of a list that input `input` of a node reads lies as a constant of the file: in
 * that input, or in one that the list is concatenated of.  False: nowhere. */
struct pare_size_at {
	int node, input, at;
};
bool pare_model_size_at(
	const struct pare_model *m, int node, int input, int at, struct pare_size_at *out);

/* The graphs inside a node, k = 0, 1 …; NULL after the last. */
struct pare_graph *pare_node_graph(const struct pare_node *n, int k);

/* Input shapes of one sample: unknown dims of axis 0 become 1; false if others are unknown. */
bool pare_model_sample_shapes(const struct pare_model *m, struct pare_shape *inputs);

/* After the reader: drop what no output needs, fold constants, Identity, Dropout and
 * BatchNormalization, put the branch that is known to be taken in the place of an If, sort, name;
 * in graphs inside nodes too. In place; only for a graph not yet published. */
PARE_MUST_CHECK enum pare_status
pare_graph_simplify(struct pare_graph *g, struct pare_arena *a, struct pare_err *err);

/* Unique names for all nodes: those without one become "conv_3". */
PARE_MUST_CHECK enum pare_status
pare_graph_name_nodes(struct pare_graph *g, struct pare_arena *a, struct pare_err *err);

/* Fill layers, node_info, unsupported, known, groups, totals from the graph; the last step of an
 * open. */
PARE_MUST_CHECK enum pare_status pare_model_index(struct pare_model *m, struct pare_err *err);

/* Channel groups: fills group and stuck of every layer, and channels, groups, kind. */
PARE_MUST_CHECK enum pare_status pare_groups_find(struct pare_model *m, struct pare_err *err);
/* Units of one kind in a group. */
int pare_kind_size(const struct pare_model *m, int group, int kind);

/* An edit: the same graph with other float32 data for some layers' weights and biases.
 * weights[i], bias[i]: new blobs ([n_layers], NULL entries = unchanged; bias NULL = none is new),
 * references are taken over; on failure too.  A layer that has no bias but a place for one gets it.
 */
PARE_MUST_CHECK enum pare_status
pare_model_with_weights(const struct pare_model *m, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_model **out, struct pare_err *err);
/* Other data for a constant that a node reads; in an edit that nobody else has seen yet. */
struct pare_new_input {
	int node, input;
	struct pare_blob *blob;
};
PARE_MUST_CHECK enum pare_status
pare_model_set_input(struct pare_model *e, const struct pare_new_input *c, struct pare_err *err);
/* Layer i has a bias of one constant an output channel, or a place for one. */
bool pare_model_can_shift(const struct pare_model *m, int i);
/* It, [output channels], borrowed; NULL = it has none. */
const float *pare_model_bias(const struct pare_model *m, int i);

/* An edit: the same nodes without the channels of some units.  keep: [n_units]; of each group at
 * least one stays.  Weights, biases, constants that lie along channels, counts of groups and sizes
 * lose what belonged to the units; shapes are inferred anew; layers keep their numbers.  `bare`:
 * without the data of what was cut (value->data is NULL), for those who ask for sizes alone. */
PARE_MUST_CHECK enum pare_status pare_model_without_channels(const struct pare_model *m,
	const bool *keep, bool bare, struct pare_model **out, struct pare_err *err);

#endif
