/* Operators of com.microsoft that stand for several of ONNX: runtimes' optimizers write them.  A
 * node of one is read as what it stands for, so that all that pare can do with those it can do
 * here: a FusedConv is a layer with dials, and what export writes is plain ONNX. */
#ifndef PARE_FUSED_H
#define PARE_FUSED_H
#include "../graph/model.h"
#include "gen/onnx.pb-c.h"

/* A node being taken apart. */
struct pare_unfuse {
	struct pare_arena *a;
	const Onnx__GraphProto *g;
	const Onnx__NodeProto *n;
	Onnx__NodeProto **nodes; /* what it becomes */
	size_t n_nodes, node_room;
	Onnx__TensorProto **tensors; /* constants that it adds */
	size_t n_tensors, tensor_room;
	size_t n_names;
	bool no_memory;
};

struct pare_fused {
	const char *name;
	/* False: a form of it that is not read. */
	bool (*unfuse)(struct pare_unfuse *u);
	const char *made_of; /* what it becomes, for the table of operators */
	const char *lacks;   /* forms that are not read; NULL = none */
};
/* Ended by a NULL name. */
extern const struct pare_fused pare_fused_floats[], pare_fused_integers[];
/* The row for an operator; NULL when it is none of these. */
const struct pare_fused *pare_fused_find(const char *domain, const char *name);

/* The graph with all such nodes taken apart: `p` itself when there are none; NULL: no memory. */
const Onnx__GraphProto *pare_unfuse_graph(struct pare_arena *a, const Onnx__GraphProto *p);

/* ---- for the rows --------------------------------------------------------------------------- */

/* A node of ONNX's; `out` is the name of its output, NULL = a new one.  Returns the name; what
 * fails for want of memory sets u->no_memory and goes on. */
const char *
pare_unfuse_node(struct pare_unfuse *u, const char *op, const char *out, size_t n_in, ...);
#define PARE_IN(...) sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *), __VA_ARGS__
/* More outputs and attributes of the node made last. */
void pare_unfuse_outputs(struct pare_unfuse *u, size_t n, const char *const *names);
void pare_unfuse_int(struct pare_unfuse *u, const char *name, int64_t v);
void pare_unfuse_float(struct pare_unfuse *u, const char *name, float v);
void pare_unfuse_word(struct pare_unfuse *u, const char *name, const char *v);
void pare_unfuse_list(struct pare_unfuse *u, const char *name, size_t n, const int64_t *v);
/* Those of the node itself that are in `names`, ended by NULL. */
void pare_unfuse_copy(struct pare_unfuse *u, const char *const *names);
/* Constants: a list of n, a number. */
const char *pare_unfuse_ints(struct pare_unfuse *u, size_t n, const int64_t *v);
const char *pare_unfuse_number(struct pare_unfuse *u, float v);
const char *pare_unfuse_name(struct pare_unfuse *u); /* a new one */

/* The node's own: NULL when absent. */
const char *pare_unfuse_in(const struct pare_unfuse *u, size_t i);
const char *pare_unfuse_out(const struct pare_unfuse *u, size_t i);
const Onnx__AttributeProto *pare_unfuse_attr(const struct pare_unfuse *u, const char *name);
int64_t pare_unfuse_attr_int(const struct pare_unfuse *u, const char *name, int64_t preset);
float pare_unfuse_attr_float(const struct pare_unfuse *u, const char *name, float preset);
/* Axes of a value, as the graph declares it; -1 = not known. */
int pare_unfuse_rank(const struct pare_unfuse *u, const char *value);
/* The constant of that name in this graph; NULL = it is none. */
const Onnx__TensorProto *pare_unfuse_constant(const struct pare_unfuse *u, const char *value);
/* The bytes of a constant as elements of another type. */
const char *pare_unfuse_retype(struct pare_unfuse *u, const Onnx__TensorProto *t, int32_t type,
	size_t n_dims, const int64_t *dims);

#endif
