/* Operators are rows.  A file ops/x.c defines `const struct pare_op pare_ops_x[]`, ended by {0};
 * Make collects them, so adding an operator is adding a row, nothing else. */
#ifndef PARE_OP_H
#define PARE_OP_H
#include "../base/arena.h"
#include "../base/err.h"
#include "../base/tensor.h"

struct pare_node;
struct pare_kernels;
struct pare_conv;
struct pare_graph;

/* ---- attributes: parser, writer and inspector all read these tables ------------------------- */

enum pare_attr_type {
	PARE_ATTR_END = 0,
	PARE_ATTR_INT,     /* int64_t */
	PARE_ATTR_FLOAT,   /* float */
	PARE_ATTR_STRING,  /* const char *, NULL when absent */
	PARE_ATTR_INTS,    /* struct pare_ints */
	PARE_ATTR_FLOATS,  /* struct pare_floats */
	PARE_ATTR_TENSOR,  /* struct pare_tensor, data NULL when absent */
	PARE_ATTR_GRAPH,   /* struct pare_graph * */
	PARE_ATTR_STRINGS, /* struct pare_strings */
};
struct pare_ints {
	int n; /* 0 also when absent: see `present` */
	int64_t *v;
};
struct pare_floats {
	int n;
	float *v;
};
struct pare_strings {
	int n;
	const char **v;
};
struct pare_attr {
	const char *name;
	enum pare_attr_type type;
	size_t offset; /* in the row's attribute struct */
	double preset; /* default of INT and FLOAT; other types are zero when absent */
	/* Older opsets have an attribute where newer ones have an input.  The loader turns the
	 * attribute into constant input `as_input` (> 0) when it is there, so that rows know the
	 * new form alone. */
	int as_input;
};

/* ---- shapes --------------------------------------------------------------------------------- */

/* What is known of a value before anything runs. */
struct pare_known {
	enum pare_dtype dtype;
	struct pare_shape shape;         /* concrete */
	const struct pare_tensor *value; /* NULL unless constant */
};
struct pare_shape_call {
	const struct pare_node *node;
	const void *attr;
	int n_in, n_out;
	const struct pare_known *const *in; /* NULL where an optional input is absent */
	struct pare_known *out;             /* to fill: dtype and shape */
};
/* PARE_E_FORMAT when shapes do not fit; the caller adds the node's name. */
typedef enum pare_status pare_shape_fn(const struct pare_shape_call *c, struct pare_err *err);

/* ---- codes ---------------------------------------------------------------------------------- */

/* Floats that stand for integers: x = (code - zero) * scale. */
struct pare_codes {
	enum pare_dtype store; /* of the integers in the file; UNDEFINED: it holds the floats */
	int lo, hi;            /* codes, as its type or its bits allow */
	int axis;              /* of the scales; -1 = one for all */
	int64_t group;         /* numbers at an index of axis, the other axes counted in order,
				  that share a scale; 0 = all */
	int64_t n;             /* scales, index by index */
	const float *scale;
	const int *zero;
	int least, most; /* of code - zero, among the numbers on it: filled by the loader */
};
/* Do the scales fit a tensor of this shape? */
bool pare_codes_fit(const struct pare_codes *c, const struct pare_shape *s);
/* Which scale is that of element i of it. */
static inline int64_t
pare_codes_at(const struct pare_codes *c, const struct pare_shape *s, int64_t i)
{
	int64_t inner, of, at;

	if (c->axis < 0)
		return 0;
	inner = pare_shape_span(s, c->axis + 1, s->n);
	of = i / inner % s->d[c->axis];
	if (!c->group)
		return of;
	at = i / inner / s->d[c->axis] * inner + i % inner; /* among those of the index */
	return of * (c->n / s->d[c->axis]) + at / c->group;
}
struct pare_codes_call {
	const struct pare_shape_call *c;       /* constants have their values, out its shapes */
	const struct pare_codes *const *codes; /* [n_in] of the inputs; NULL where there is none */
	struct pare_arena *a;                  /* for what the codes point to */
};
/* What a node does between floats and codes. */
enum pare_coding {
	PARE_CODING_NONE, /* nothing, though what stands for codes may go on doing so (Transpose) */
	PARE_CODING_ENCODE, /* floats to codes */
	PARE_CODING_DECODE, /* codes to floats */
	PARE_CODING_ROUND,  /* floats to those that codes stand for */
};

/* ---- running -------------------------------------------------------------------------------- */

/* What a step does to its result before storing it: clamp(result + add, lo, hi).  NaN passes. */
struct pare_after {
	const struct pare_tensor *add; /* of the output's shape and lanes; NULL = nothing */
	float lo, hi;                  /* -inf and inf = as it is */
};

struct pare_call {
	const struct pare_node *node;
	const void *attr;
	int lanes; /* of the run */
	int n_in, n_out;
	/* in[i]: NULL when absent.  lanes is the run's, or 1 for inputs in `plain` and, for rows
	 * with `mixed`, for any constant.  Dense.  Never aliases out[]. */
	const struct pare_tensor *const *in;
	struct pare_tensor *const *out;
	const struct pare_kernels *k; /* of this CPU, for `lanes` */
	void *scratch;                /* `scratch` bytes as the row asked, aligned to 64 */
	const void *packed;           /* what `prepare` laid out; NULL without one */
	/* Rows with `biases`: added along the last axis before anything of `after`, without lanes
	 * and constant, so that `prepare` sees it too.  NULL = none. */
	const struct pare_tensor *bias;
	const struct pare_after *after; /* rows with `fuses` carry it out; never NULL for them */
	/* What only the data tells to be wrong (an index out of range): pare_fail it and go on with
	 * anything.  NULL: nobody asks. */
	struct pare_err *wrong;
};
typedef void pare_forward_fn(const struct pare_call *c);

/* What a node with graphs inside is given to run them, one at a time. */
struct pare_control {
	const struct pare_node *node;
	const void *attr;
	int n_in, n_out;
	const struct pare_tensor *const *in; /* NULL when absent; of the node, with what its graphs
						read of the graph around them */
	struct pare_tensor *out;             /* [n_out] to fill; data in `a` */
	struct pare_arena *a;                /* lives as long as the run */
	/* Run a graph of the node on its own inputs (those that it reads of the graph around it
	 * are found in `in`); out: [g->n_out], data in `a` or what was passed in. */
	int64_t *turns; /* steps of loops that this run has left */
	enum pare_status (*run)(const struct pare_control *c, const struct pare_graph *g,
		const struct pare_tensor *in, struct pare_arena *a, struct pare_tensor *out,
		struct pare_err *err);
};
typedef enum pare_status pare_control_fn(const struct pare_control *c, struct pare_err *err);

/* ---- layers and channels -------------------------------------------------------------------- */

/* What makes a node a layer: where its weight is. */
struct pare_weight_at {
	int input;             /* which input is the weight; -1 = this node is no layer */
	int bias;              /* which input is the bias; -1 = none */
	int out_axis, in_axis; /* of the weight; in_axis counts channels per group */
	int groups;            /* 1 unless grouped convolution */
	/* The input that holds, or could hold, a bias that is added as it is, one value an output
	 * channel: a scale and shift behind the node can then be folded into weight and bias.
	 * 0 = there is no such place (MatMul, a Gemm whose beta is not 1). */
	int bias_at;
	/* What it is multiplied by enters the node as no float activation: a table is looked up in,
	 * weights of a recurrent layer's own states read what it gave a step before. */
	bool alone;
};

/* A layer as a matrix product, group by group: output (o, column) is the sum over k of
 * weight[o][k] * window[k][column].  Element (o, column) of the output, lanes not counted, lies at
 * o * from_channel + column * from_column, o counted through all groups. */
struct pare_windows {
	int groups, o, k; /* o, k: of one group */
	int64_t columns;  /* of a run of one sample */
	int64_t from_channel, from_column;
	bool inner; /* the product stays inside: no output is it, and where it lies is not said */
};

/* How channel c of an input maps to channels of the output; groups.c knows only these. */
enum pare_flow {
	PARE_FLOW_BLOCK = 0, /* not known: channels reaching it cannot be removed */
	PARE_FLOW_PASS,      /* those of input 0, where `carry` says */
	PARE_FLOW_TIE,       /* elementwise of several: channel c of each belongs together */
	PARE_FLOW_STACK,     /* a product of two stacks of matrices: channels that number the
				matrices belong together */
	PARE_FLOW_CAT,       /* concatenation along the channel axis */
	PARE_FLOW_SPREAD,    /* channel c becomes a run of consecutive features (Flatten), or the
				channel axis falls into several */
	PARE_FLOW_SPLIT,     /* each output has its part of the channels; input 1: how many */
	PARE_FLOW_MOVE,      /* the channel axis goes where `perm` says */
	PARE_FLOW_PAD,       /* those of input 0 with constants before and behind; see `pads` */
	PARE_FLOW_PRODUCE,   /* a layer: new channels out, those that come in are consumed */
	PARE_FLOW_HEADS,     /* attention: inputs 0, 1, 2 are queries, keys, values; see `heads` */
	PARE_FLOW_STATES,    /* a layer that reads its own channels a step later; see `beside` */
};

/* A constant of a layer, beside its weight, that lies along the channels that the layer makes:
 * once, or over and over (gates). */
struct pare_beside {
	int input, axis;
	bool reads; /* it is what the layer multiplies them by a step later */
};

/* ---- the row -------------------------------------------------------------------------------- */

/* A layer as two of its kind, one behind the other, `rank` values wide between them at each place:
 * what its weights do is then written as a product (low rank). */
struct pare_factors {
	bool space; /* in: the first along one edge of the kernel, the second along the other; else
		       the whole kernel, then 1 by 1 */
	int64_t rank;                /* in */
	struct pare_shape weight[2]; /* the input that `weight` names, of each; axes as they were */
	int64_t places;              /* where values stand between them, of one sample */
	void *attr[2];               /* of each, in the arena; NULL without one, or without any */
};

enum {
	PARE_Q_FUSE = 1,       /* runtimes fuse it into the layer before: no quantizer between */
	PARE_Q_SAME_SCALE = 2, /* output lies on the input's grid: pooling, reshapes */
	PARE_Q_STRETCHES = 4, /* s x gives s y for s > 0, channel by channel: what may stand between
				 layers whose channels are made alike */
};

struct pare_op {
	const char *name;   /* ONNX operator */
	const char *domain; /* NULL = the default one */
	int since; /* lowest opset in which the form that this row reads is legal; what export
		      writes */
	int min_in, max_in;            /* max_in -1: any number */
	int max_out;                   /* 0 means 1 */
	const struct pare_attr *attrs; /* ended by a NULL name; NULL = none */
	size_t attr_size;
	/* Mend what `as_input` cannot: attributes of a node read under an older opset (Softmax's
	 * axis before 13).  NULL = nothing to mend. */
	enum pare_status (*upgrade)(struct pare_node *n, int opset, struct pare_err *err);
	/* Float types that its attributes name become float32, for the network around it did.  NULL
	 * = they name none. */
	enum pare_status (*in_float32)(
		struct pare_node *n, struct pare_arena *a, struct pare_err *err);
	/* False: what this node, read under an older opset, means cannot be said in the form that
	 * export writes; it runs, but is not exported.  in and out are known.  NULL = always true.
	 */
	bool (*writable)(const struct pare_shape_call *c);
	/* Things the row cannot do, found in the node itself: returns why, or NULL when it is fine.
	 */
	const char *(*refuse)(const struct pare_node *n, const void *attr);
	pare_shape_fn *shape;
	pare_forward_fn
		*forward; /* NULL = named in `info`, cannot run, unless there is `control` */
	/* Rows with graphs inside: shapes are known when it has run, so such a network runs node by
	 * node.  `forward` is NULL and `shape` says why. */
	pare_control_fn *control;
	/* Which graph of the node stands for it when input 0 is this constant (If); NULL = it is
	 * nothing of the kind. */
	const struct pare_graph *(*choose)(const struct pare_node *n, const struct pare_tensor *x);
	size_t (*scratch)(
		const struct pare_call *c); /* bytes; in/out have shapes but no data; NULL = 0 */
	unsigned plain; /* bit i: input i is read without lanes, so must be constant in a batched
			   run */
	/* Floats that `shape` and `forward` know beside float32, one bit a dtype.  All others reach
	 * them as float32, and what they make is converted back: a row need not know them.  Rows
	 * that take float8 as it lies move elements: what shares a byte reaches them a byte each.
	 */
	unsigned takes;
	unsigned stays; /* bit i: output i is float32 whatever the inputs were */
	bool mixed;     /* reads constants of lanes 1 beside activations of the run's lanes */
	/* Once a program, before `scratch` and any forward: lay out what constants become (packed
	 * weights) in `a`; it comes back as call->packed.  Constant inputs have data, all else
	 * has shapes alone.  NULL = nothing to lay out. */
	enum pare_status (*prepare)(const struct pare_call *c, struct pare_arena *a,
		const void **packed, struct pare_err *err);
	/* The node as a convolution by constants, for who runs several as one: its geometry, and
	 * weights and bias as they are, of struct pare_conv; false = not this one.  NULL = never.
	 */
	bool (*conv)(const struct pare_call *c, struct pare_conv *v);
	/* Leading axes of the output by which the node can be cut: what stands at an index of them
	 * hangs on what the inputs hold there, so that it may run on a few indices at a time.
	 * axes [n_in]: how many of these an input has; along the others it is used as a whole.  All
	 * have shapes; 0 = not at all, NULL = never. */
	int (*apart)(const struct pare_call *c, int *axes);
	bool renames; /* output 0 has the bytes of input 0, in another shape */
	bool fuses;   /* carries out call->after, so that what follows may join its step */
	bool biases;  /* and call->bias before it: a constant that is added may join too */
	bool adds;    /* out = in[0] + in[1]: may join the step of a row that fuses */
	/* The node is clamp(in[0], lo, hi), so may join the step of a row that fuses; false = not
	 * with these constants (which have data; other inputs are NULL or without).  NULL = never.
	 */
	bool (*clamp)(const struct pare_call *c, float *lo, float *hi);
	int64_t (*macs)(const struct pare_shape_call *c); /* out is filled; NULL = 0 */
	struct pare_weight_at (*weight)(
		const struct pare_node *n, const void *attr); /* NULL: no layer */
	/* A second weight of the node, a layer of its own behind the first; named NODE.second_name.
	 * NULL = none. */
	struct pare_weight_at (*second)(const struct pare_node *n, const void *attr);
	const char *second_name;
	/* Layers whose output is a matrix product: its sizes, from a call with shapes alone; false
	 * = not this node.  NULL = no such layer. */
	bool (*windows)(const struct pare_call *c, struct pare_windows *w);
	/* Columns from <= i < from + n of a group's windows: to[k][n][lanes].  in[0] has data. */
	void (*unfold)(const struct pare_call *c, int group, int64_t from, int64_t n, float *to);
	/* Layers whose products stay inside, of weight `input`: the sizes, and the columns when the
	 * node has run (out[0] has data).  NULL = none. */
	bool (*inner)(const struct pare_call *c, int input, struct pare_windows *w);
	void (*unfold_inner)(
		const struct pare_call *c, int input, int64_t from, int64_t n, float *to);
	/* A layer with `windows` in two; in and out have shapes.  PARE_E_UNSUPPORTED: why not, in a
	 * few words.  `a` NULL: sizes alone. */
	enum pare_status (*factor)(const struct pare_shape_call *c, struct pare_arena *a,
		struct pare_factors *f, struct pare_err *err);
	enum pare_flow flow;
	/* Rows whose flow hangs on axes and shapes (Concat, Pad, ReduceMean): what it is here; out
	 * is filled.  NULL = always `flow`. */
	enum pare_flow (*flow_at)(const struct pare_shape_call *c);
	/* Rows of PARE_FLOW_PASS: the axis of the output along which lies, place by place, what
	 * lies along `axis` of input 0; -1 = none, places see each other.  NULL = the same axis. */
	int (*carry)(const struct pare_shape_call *c, int axis);
	/* Rows of PARE_FLOW_STATES, whose channels are the last axis of every output and of both
	 * states: inputs beside the weight, ended by input 0; which are the states (bits); the
	 * attribute that counts channels. */
	const struct pare_beside *beside;
	unsigned states;
	const char *counts;
	/* Rows of PARE_FLOW_HEADS, whose heads lie on axis 1, or on the last of three, each a run
	 * of channels: the attributes that count those of queries, and of keys and values, where
	 * they are packed so. */
	const char *heads[2];
	/* Rows of PARE_FLOW_PAD: where in input 1, a list, it says how many places stand before
	 * (at[0]) and behind (at[1]) those of `axis`; -1 = nowhere, so none do. */
	void (*pads)(const struct pare_shape_call *c, int axis, int at[2]);
	unsigned
		per_channel; /* bit i: constant input i, if it is a list, has one value a channel */
	unsigned sizes;      /* bit i: input i lists the sizes of the output's axes */
	unsigned quant;
	/* In inference output 0 is input 0, unchanged (Identity, Dropout): the node is removed. */
	bool alias;
	/* `forward` looks at the shapes of its inputs, not at their data (Shape, Size): the output
	 * is known as soon as they are. */
	bool by_shape;
	/* Output = input * scale[c] + shift[c] for channel c of axis 1 (BatchNormalization): fills
	 * both, [channels].  in[] as in a shape call; false when what it needs is not constant.
	 * NULL = it is nothing of the kind. */
	bool (*affine)(
		const struct pare_shape_call *c, int64_t channels, float *scale, float *shift);
	enum pare_coding coding;
	/* The codes that output 0 stands for (of ENCODE: that it is): from constants beside input
	 * 0, or from the codes that constant inputs stand for.  False = none.  NULL =
	 * never any. */
	bool (*codes)(const struct pare_codes_call *c, struct pare_codes *out);
	/* Each row along the last axis is brought to one mean and spread, then times input 1 and
	 * plus input 2 (LayerNormalization). */
	bool rows;
	/* Inputs 1 and 2 are the spread and the mean that the output's channels were trained to
	 * have (BatchNormalization). */
	bool normal;
	/* A small case for the tests that walk all rows: inputs, then attributes, apart by blanks.
	 *   f32[1,3,4]    an activation of one sample       f32+[1,3]  of values in 0.5 … 1.5
	 *   f32[3]! i64+[2]!  constants; integers with +: 0 and 1
	 *   i64{1,-1}     a constant list                   f32=0.5    a constant scalar
	 *   _             an input that is absent           kernel_shape=3,3 mode=edge
	 * outputs=3 when they are more than one; | parts cases. */
	const char *sample;
};

/* A row's functions behind its types (`takes`): what everyone but the row itself calls.  A row
 * without the function gives the default. */
PARE_MUST_CHECK enum pare_status
pare_op_shape(const struct pare_shape_call *c, struct pare_err *err);
size_t pare_op_scratch(const struct pare_call *c);
PARE_MUST_CHECK enum pare_status pare_op_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err);
/* What the row wrote to c->wrong, which is cleared before. */
enum pare_status pare_op_forward(const struct pare_call *c);

/* The row for an operator; NULL when there is none.  Alphabetical: pare_op_row(i), NULL after the
 * last. */
const struct pare_op *pare_op_find(const char *domain, const char *name);
const struct pare_op *pare_op_row(int i);
/* The row whose output is its input; the row that gives it another type, which is its attribute
 * "to" as ONNX counts them. */
const struct pare_op *pare_op_identity(void);
const struct pare_op *pare_op_cast(void);

/* A node's attributes, all at their defaults, in `a`; for rows that have any.  NULL: no memory. */
void *pare_op_attr(const struct pare_op *op, struct pare_arena *a);

/* Shared by rows. */
pare_shape_fn pare_shape_same;        /* out[0] is like in[0] */
pare_shape_fn pare_shape_elementwise; /* numpy broadcasting of all inputs */
/* -1 … rank-1 to 0 … rank-1; PARE_E_FORMAT when out of range. */
PARE_MUST_CHECK enum pare_status pare_axis(int64_t axis, int rank, int *out, struct pare_err *err);
/* Constant integers of input i (int64 or int32), at most PARE_MAX_DIMS; PARE_E_UNSUPPORTED when not
 * constant. */
PARE_MUST_CHECK enum pare_status pare_const_ints(const struct pare_shape_call *c, int i,
	int64_t v[PARE_MAX_DIMS], int *n, struct pare_err *err);

#endif
