/* pare.h: the engine's whole public face.
 *
 * The nouns, in the order in which data flows through them:
 *
 *   model     a network read from ONNX, immutable
 *   dataset   samples, labels if any, and the split calibrate / evaluate
 *   plan      what is asked of each layer: number formats and pruning; a plain value
 *   variant   a model with a plan carried out: new weights, activation quantizers
 *   study     a model on a dataset with everything learned about them: float answers, the
 *             sensitivity map, every plan measured; answers "what would this plan cost?"
 *   metrics   the answer: accuracy, bytes, MACs, each with its kind and interval
 *
 * Conventions.  A function that can fail returns enum pare_status (0 = ok), takes `struct pare_err
 * *` last (NULL allowed) and leaves its outputs untouched on failure.  "borrowed" = the caller
 * keeps it and keeps it alive; "owned" = whoever receives it frees it.  const objects may be shared
 * between threads; anything else belongs to one thread at a time.  Accuracies are in percent,
 * drops in percentage points (positive = worse), sizes in bytes, times in seconds unless named.
 * Activations are float32 [N, ...] with the batch first.  The engine never prints and never exits.
 */
#ifndef PARE_H
#define PARE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARE_VERSION "0.1.0"
#define PARE_MUST_CHECK __attribute__((warn_unused_result))

/* ---- status ---------------------------------------------------------------------------------- */

enum pare_status {
	PARE_OK = 0,
	PARE_E_NOMEM,       /* memory is not there */
	PARE_E_IO,          /* the system refused a file: missing, unreadable, disk full */
	PARE_E_FORMAT,      /* what was read is not what it should be */
	PARE_E_ARG,         /* a value out of range, a name that is not known */
	PARE_E_UNSUPPORTED, /* right, but more than pare can do; the text says what */
	PARE_E_MISMATCH,    /* two things do not belong together: shapes, hashes, versions */
	PARE_E_BUSY,        /* another pare owns it */
	PARE_E_CANCELED,
};

struct pare_err {
	enum pare_status code;
	char text[512]; /* a sentence: names the file, line or node, and what to do */
};

/* How a fallible function says why: it returns pare_fail(err, ...) where it happens; callers on the
 * way up may put context in front with pare_wrap.  `err` may be NULL everywhere.  Both return
 * `code`. */
enum pare_status pare_fail(struct pare_err *err, enum pare_status code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "context: what it said before" */
enum pare_status pare_wrap(struct pare_err *err, enum pare_status code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The sentence for memory that is not there; `what` names what it was for. */
enum pare_status pare_nomem(struct pare_err *err, const char *what);

/* A file that appears whole or not at all: written beside `path`, flushed to the disk, renamed over
 * it.  What is no ordinary file (a pipe, /dev/stdout) is written into.  PARE_E_IO names the file
 * and the reason. */
PARE_MUST_CHECK enum pare_status
pare_file_write(const char *path, const void *data, size_t len, struct pare_err *err);

/* ---- long work --------------------------------------------------------------------------------
 */

/* Handed to everything that may take longer than a frame.  `cancel` may be set from any thread; the
 * work then ends within 50 ms or so with PARE_E_CANCELED.  `progress` is called from the working
 * thread, may be NULL, and must return at once. */
struct pare_ctl {
	atomic_bool cancel;
	void (*progress)(void *user, double done, double total);
	void *user;
	/* The same, before each layer that is rounded or pruned by what samples tell: `done` of
	 * `total` are. */
	void (*layer)(void *user, const char *name, int done, int total);
	void *layer_user;
};

/* Threads that computations may use; 0 = one per processor (the default).  Results do not depend on
 * it. */
void pare_set_threads(int n);
int pare_threads(void);
/* The kernels in use, "avx2" …: between kinds the last bits of what is computed may differ. */
const char *pare_isa(void);

/* ---- tensors and shapes -----------------------------------------------------------------------
 */

enum pare_dtype {
	PARE_UNDEFINED = 0,
	PARE_F32,
	PARE_F64,
	PARE_F16,
	PARE_BF16,
	PARE_I8,
	PARE_U8,
	PARE_I16,
	PARE_U16,
	PARE_I32,
	PARE_U32,
	PARE_I64,
	PARE_U64,
	PARE_BOOL,
	PARE_I4, /* two to a byte, low half first */
	PARE_U4,
	PARE_I2, /* four to a byte */
	PARE_U2,
	PARE_F8E4M3,   /* ONNX's float8e4m3fn: no infinity */
	PARE_F8E4M3UZ, /* …fnuz: no infinity, no negative zero */
	PARE_F8E5M2,
	PARE_F8E5M2UZ,
	PARE_F8E8M0, /* powers of two */
	PARE_F4E2M1, /* two to a byte */
};

enum { PARE_MAX_DIMS = 8 };

struct pare_shape {
	int n;                    /* 0 = scalar */
	int64_t d[PARE_MAX_DIMS]; /* -1 = not known, in declared shapes only */
};

#define PARE_SHA_HEX 65 /* 64 digits and the end */
void pare_sha256(const void *data, size_t n, char hex[PARE_SHA_HEX]);

/* A dense array that stands alone: what `pare run` reads and writes. */
struct pare_array {
	enum pare_dtype dtype;
	struct pare_shape shape;
	void *data; /* malloc'ed; owned by the struct */
};
void pare_array_free(struct pare_array *a);     /* frees data, not a */
const char *pare_dtype_name(enum pare_dtype t); /* "float32" … */
size_t pare_dtype_bits(enum pare_dtype t);
/* "16×32×32" style text into buf; returns buf. */
char *pare_shape_text(const struct pare_shape *s, const char *times, char *buf, size_t len);

/* ---- model ------------------------------------------------------------------------------------
 */

struct pare_model; /* immutable; reference-counted */

struct pare_model_info {
	const char *path;
	const char *shapes; /* given when it was opened; "" = none */
	/* of the file as it lies and the files beside it that hold its external data, one after the
	 * other in the order in which it first names them: cat MODEL DATA… | sha256sum */
	char sha256[PARE_SHA_HEX];
	int opset;            /* of the default domain */
	int64_t params;       /* elements of all weights */
	int64_t macs;         /* multiply-accumulates of one sample; -1 if shapes are not known */
	int64_t bytes;        /* of the file */
	int64_t weight_bytes; /* of all constants as float32 */
	int n_nodes, n_layers, n_inputs, n_outputs, n_unsupported, n_hidden;
	/* Quantizers of activations that stand before no layer, and so before no dial: they stay
	 * as the file has them. */
	int n_quantizers;
};

/* What would be a layer, were it not in a graph inside an If, a Loop or a Scan: it has no dials. */
struct pare_hidden {
	const char *node, *op, *inside; /* inside: the node of the outermost graph */
	int64_t weights;
};

/* A layer: a node whose weights can be quantized and pruned.  All pointers live as long as the
 * model. */
struct pare_layer {
	const char *name; /* unique; the node's name or a made-up "conv_3" */
	const char *op;
	int node;  /* index for pare_model_node */
	int group; /* layers with the same group lose channels together; -1: its channels cannot be
		      removed */
	const char *stuck; /* group -1: why, in a few words */
	int block; /* layers of one residual block go together; -1: it lies in none that can go */
	/* No activation enters it that could be quantized: a table, or the weights by which a
	 * recurrent layer reads its own states. */
	bool alone;
	struct pare_shape weight;        /* as in the file */
	int out_axis, in_axis;           /* of weight: which axis counts output / input channels */
	struct pare_shape input, output; /* of one sample, batch axis included as 1 */
	/* What the file stores it in: bits of the integers or halves that its weight, and the
	 * activation that enters it, are made from; 32 = float. */
	int stored_weight_bits, stored_act_bits;
	int64_t params;  /* weights and bias */
	int64_t weights; /* elements of the weight alone */
	int64_t macs;
};

/* A node as devices see it. */
struct pare_node_info {
	const char *name, *op;
	int layer; /* -1: no weights */
	int64_t macs, params;
	int64_t in_elems, out_elems; /* of one sample, constants left out */
	int kernel, stride, groups; /* largest spatial kernel edge, stride; 1 where there is none */
	int64_t in_channels, out_channels; /* axis 1 of input and output; 0 where there is none */
};

struct pare_io {
	const char *name;
	enum pare_dtype dtype;
	struct pare_shape shape; /* as declared: -1 where dynamic */
};

struct pare_unsupported {
	const char *node, *op, *why;
};

/* Read an ONNX file (protobuf, external data beside it).  Unsupported operators do not fail: they
 * are listed, everything else of the model is there, and running it fails with PARE_E_UNSUPPORTED.
 * PARE_E_IO, PARE_E_FORMAT (the sentence names the node or tensor), PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status
pare_model_open(const char *path, struct pare_model **out, struct pare_err *err);
/* The same with shapes for inputs whose axes the file leaves open: "x=N,3,224,224 mask=1,128", N
 * being a batch that stays free; NULL or "" = none.  PARE_E_ARG: no such input, no shape;
 * PARE_E_MISMATCH: not what the file says. */
PARE_MUST_CHECK enum pare_status pare_model_open_as(
	const char *path, const char *shapes, struct pare_model **out, struct pare_err *err);
struct pare_model *pare_model_ref(const struct pare_model *m);
void pare_model_free(struct pare_model *m); /* gives back one reference; NULL allowed */

const struct pare_model_info *pare_model_info(const struct pare_model *m);
const struct pare_layer *pare_model_layer(const struct pare_model *m, int i);
const struct pare_node_info *
pare_model_node(const struct pare_model *m, int i); /* execution order */
const struct pare_unsupported *pare_model_unsupported(const struct pare_model *m, int i);
const struct pare_hidden *pare_model_hidden(const struct pare_model *m, int i);
const struct pare_io *pare_model_input(const struct pare_model *m, int i);
const struct pare_io *pare_model_output(const struct pare_model *m, int i);
/* The layer of that name; -1 when there is none. */
int pare_model_find_layer(const struct pare_model *m, const char *name);
/* Float32 weights of layer i, in the file's order, [layer->weight]; borrowed from the model. */
const float *pare_model_weights(const struct pare_model *m, int i);

/* Plain inference on whole arrays, batch and all as given.  in[]: n_inputs arrays, by input order;
 * out[]: n_outputs arrays, filled and then owned by the caller. */
PARE_MUST_CHECK enum pare_status pare_model_run(const struct pare_model *m,
	const struct pare_array *in, struct pare_array *out, struct pare_err *err);

/* How samples of a data set go through it: side by side in the lanes of a vector; one by one, for a
 * node wants more of an input than its own lane; not by a data set but as arrays that
 * pare_model_run is given (an input without a batch or of a fixed one, axes of no fixed length);
 * node by node, for shapes hang on data or an If, Loop or Scan is inside, which pare_model_run
 * alone can do; or not at all.  `why`: what keeps it from the first.  Costs what laying the network
 * out costs. */
enum pare_running {
	PARE_RUNS_NOT,
	PARE_RUNS_BY_NODE,
	PARE_RUNS_GIVEN,
	PARE_RUNS_SINGLY,
	PARE_RUNS_BATCHED,
};
enum { PARE_WHY = 256 };
enum pare_running pare_model_running(const struct pare_model *m, char why[PARE_WHY]);
const char *pare_running_name(enum pare_running r);

/* The same inputs again and again without what only the first run costs, on one thread: for timing.
 * `m` and `in` are borrowed and must outlive the runner; one thread at a time. */
struct pare_runner;
PARE_MUST_CHECK enum pare_status pare_runner_new(const struct pare_model *m,
	const struct pare_array *in, struct pare_runner **out, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_runner_run(struct pare_runner *r, struct pare_err *err);
void pare_runner_free(struct pare_runner *r); /* NULL allowed */

/* ---- ONNX conformance -------------------------------------------------------------------------
 */

enum pare_case_result { PARE_CASE_PASSED, PARE_CASE_FAILED, PARE_CASE_UNSUPPORTED };

/* Run one ONNX test case: `dir` holds model.onnx and test_data_set_N/{input,output}_K.pb.  Outputs
 * agree when |x - y| <= 1e-7 + 1e-3 |y| (float16: 2^-9 |y|, bfloat16: 2^-6 |y|; conform.c says
 * why), much as in ONNX's own runner.  `why` tells what failed or is not supported. */
enum pare_case_result pare_conform(const char *dir, char why[256]);

/* ---- dataset ----------------------------------------------------------------------------------
 */

struct pare_dataset; /* immutable; uint8 stays uint8 in memory */

enum pare_split { PARE_CALIBRATE, PARE_EVALUATE };
enum pare_measure { /* what "accuracy" means on this dataset */
	PARE_TOP1,
	PARE_FIDELITY, /* no labels: agreement with the float model's top-1 */
};

struct pare_dataset_info {
	const char *path;          /* as opened */
	const char *name;          /* short, for a title line */
	char sha256[PARE_SHA_HEX]; /* of all samples and labels, in order, as stored, and of how
				    * they become inputs; not of how files pack them, nor of the
				    * split */
	int64_t n_calibrate, n_evaluate;
	int64_t calibrate_from, calibrate_to, evaluate_from,
		evaluate_to; /* evaluate: of the samples;
calibrate: of the `train` set where there is one, of the samples otherwise */
	/* What a sample is of: the inputs of the model, or one array. */
	int n_inputs;
	const struct pare_shape *sample; /* [n_inputs], batch axis included as 1 */
	int64_t elems;                   /* of all of them */
	int n_classes;                   /* 0 = not known */
	enum pare_measure measure;
	bool labelled;
};

/* A folder with x.npy (and y.npy), an .npz, IDX (.gz too), CIFAR binary, a folder of class folders
 * of images, a CSV, or a data.conf (keys: samples, labels, train, split, scale, mean, std, layout,
 * classes, metric).  `model` may be NULL; with it, shapes are checked against its input (and
 * images decoded to it).  A model of several inputs takes them from an .npz with an array for each,
 * named like it.  Axes of length 1 may be left out, and flat samples fit any input of
 * as many elements.  Without a split 512 training samples calibrate and all samples evaluate; where
 * there are no training samples, the first fifth (of it at most 512) calibrates, the rest
 * evaluates.  Large .npy files are mapped: they must not shrink while the dataset lives.
 * PARE_E_MISMATCH: shapes differ, labels out of range. */
PARE_MUST_CHECK enum pare_status pare_dataset_open(const char *path, const struct pare_model *model,
	struct pare_dataset **out, struct pare_err *err);
/* Other bounds, as a recipe names them: from <= to within the set, -1 = as it was.  No sample does
 * both: a split that was not set by this function gives way to the one that is. */
PARE_MUST_CHECK enum pare_status pare_dataset_set_split(struct pare_dataset *d,
	enum pare_split split, int64_t from, int64_t to, struct pare_err *err);
void pare_dataset_free(struct pare_dataset *d);
const struct pare_dataset_info *pare_dataset_info(const struct pare_dataset *d);
/* Samples first … first+n-1 of a split as inputs: float32 [n][elements of the input], already
 * scaled; of several inputs one after the other.  Any number of threads may read at once. */
void pare_dataset_read(
	const struct pare_dataset *d, enum pare_split split, int64_t first, int64_t n, float *out);
/* Class of a sample; -1 without labels. */
int pare_dataset_label(const struct pare_dataset *d, enum pare_split split, int64_t i);
const char *pare_dataset_class(const struct pare_dataset *d, int k); /* its name or "7" */

/* .npy and .npz, for `pare run`.  Read: [N, ...] of any dtype.  Write: npz when n > 1 or the name
 * ends in .npz; names[] are the entries. */
PARE_MUST_CHECK enum pare_status
pare_npy_read(const char *path, struct pare_array *out, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_npz_write(const char *path, const struct pare_array *arrays,
	const char *const *names, int n, struct pare_err *err);

/* ---- the rows of choices ----------------------------------------------------------------------
 */

/* Number formats, for weights and activations. */
enum pare_format_kind { PARE_KIND_FLOAT, PARE_KIND_INT };
enum { PARE_FOR_WEIGHTS = 1, PARE_FOR_ACTIVATIONS = 2 };
struct pare_format {
	const char *name; /* "int4" */
	int bits;
	enum pare_format_kind kind;
	unsigned uses; /* PARE_FOR_… */
	const char *help;
	enum pare_dtype store; /* of weights in ONNX; UNDEFINED = as float32 */
	int lo, hi;            /* codes of weights; 0 for floats */
};
extern const struct pare_format pare_formats[]; /* row 0 is float32; ended by a NULL name */

/* Methods with a name: what a dial may say beside a format. */
enum pare_method {
	PARE_GRANULARITY,
	PARE_CALIBRATOR,
	PARE_ROUNDING,
	PARE_CRITERION,
	PARE_PATTERN,
	PARE_CHANNEL_CRITERION,
	PARE_REPAIR,
	PARE_GOAL, /* what a budget of channels counts; no dial */
	PARE_SCHEME,
	PARE_RANGING,
	PARE_EFFORT,
	PARE_STEP,
	PARE_FILE,           /* what a variant is written as; no dial */
	PARE_FACTORING,      /* of a layer in two */
	PARE_RANK_CRITERION, /* what it then keeps */
	PARE_BLOCK,          /* whether a residual block stays */
	PARE_N_METHODS
};
const char *pare_method_title(enum pare_method family); /* "Rounding", over a list of them */
/* Row i of a family, NULL after the last; row 0 is the default. */
const char *pare_method_name(enum pare_method family, int i);
const char *pare_method_help(enum pare_method family, int i);
/* Index of a name; -1 when there is none. */
int pare_method_find(enum pare_method family, const char *name);
int pare_format_find(const char *name);
/* The share of the weights that row i of PARE_PATTERN takes away, whatever is asked for (2:4:
 * half); 0 = as many as asked for. */
float pare_pattern_share(int i);

/* ---- plan -------------------------------------------------------------------------------------
 */

/* What is asked of one layer.  Zero is "leave it as it is". */
struct pare_dials {
	uint8_t weights, activations;                         /* rows of pare_formats */
	uint8_t granularity, calibrator, rounding, criterion; /* rows of their family */
	uint8_t channel_criterion, repair, pattern;           /* rows of their family */
	uint8_t scheme, ranging; /* rows: scales and zero points of weights, of activations */
	uint8_t factoring, rank_criterion; /* rows of their family */
	uint8_t effort;              /* row: what a rounding that tries others may put into it */
	uint8_t block, block_repair; /* rows: the residual block that it lies in goes; the same for
					all layers of the block, see pare_plan_tie */
	float channels; /* share of the group's channels that go, 0 <= s < 1; the same for all
			   layers of a group, see pare_plan_tie */
	float sparsity; /* share of the weights set to zero, 0 <= s < 1 */
	float rank;     /* share of its multiply-accumulates that go as the layer becomes two, one
			   behind the other, with fewer values between; 0 <= s < 1 */
	float exit;     /* confidence, above 0 and at most 1, with which a sample leaves behind the
			   layer; 0 = none leaves, PARE_EXIT_AUTO = set on calibration samples */
};
enum { PARE_EXIT_AUTO = -1 };

struct pare_plan {
	int n;                    /* layers of the model it is for */
	struct pare_dials *dials; /* [n] */
	/* Steps around rounding: bit i is row i of PARE_STEP.  In the order of the rows: those on
	 * weights (equalize, absorb-bias, smooth) after channels went, before weights go and are
	 * rounded; corrections after rounding. */
	unsigned steps;
};

struct pare_plan *pare_plan_new(int n_layers); /* all float; NULL: no memory */
/* What the file has: its formats on the dials, its integers and bounds by the methods "stored".
 * NULL: no memory. */
struct pare_plan *pare_plan_of(const struct pare_model *m);
struct pare_plan *pare_plan_copy(const struct pare_plan *p);
void pare_plan_free(struct pare_plan *p);
/* The dials with what has no effect turned back to row 0. */
struct pare_dials pare_dials_effective(struct pare_dials d);
bool pare_dials_equal(const struct pare_dials *a, const struct pare_dials *b);
bool pare_plan_equal(const struct pare_plan *a, const struct pare_plan *b);
uint64_t
pare_plan_hash(const struct pare_plan *p); /* equal plans, equal hashes; the same on any machine */
int pare_plan_n_changed(const struct pare_plan *p); /* layers that differ from float */
bool pare_plan_leaves(const struct pare_plan *p);   /* may samples leave early? */
/* Channels go from a whole group, and residual blocks as a whole: what layer i says of them, all
 * layers of its group say, all layers of its block.  A layer without says nothing. */
void pare_plan_tie(const struct pare_model *m, struct pare_plan *p, int i);
/* Channels of layer i's group, as units that can only go together, and how many of them a share
 * takes away; 0 without a group. */
int pare_group_units(const struct pare_model *m, int layer);
int pare_group_gone(const struct pare_model *m, int layer, float share);
/* The share nearest to `share` with which a multiple of `multiple` stays of each kind of channel in
 * the layer's group, or the kind as a whole; `share` itself where the group is smaller than that.
 */
float pare_group_even(const struct pare_model *m, int layer, float share, int multiple);

/* Values between the two parts of a layer whose dials have a rank; 0: it stays whole, and `why`
 * (NULL allowed) says why. */
int pare_layer_rank(
	const struct pare_model *m, int layer, const struct pare_dials *d, char why[PARE_WHY]);

/* An option: one position of one dial.  The map's columns are options, and a cell is (layer,
 * option). */
enum pare_dial {
	PARE_DIAL_WEIGHTS,
	PARE_DIAL_ACTIVATIONS,
	PARE_DIAL_CHANNELS,
	PARE_DIAL_SPARSITY,
	PARE_N_DIALS
};
struct pare_option {
	enum pare_dial dial;
	int format;       /* of weights or activations */
	float share;      /* of channels or weights that go */
	int pattern;      /* in which weights go */
	const char *name; /* "int4", "act int8", "channels 30%", "50%", "2:4": the name in JSON */
};
/* All options, dial by dial, in the order in which a dial turns; the first of each dial is "off".
 * Ended by a NULL name. */
extern const struct pare_option pare_options[];
int pare_n_options(void);
/* False: the option takes nothing from this layer (no channel can go; 2:4 and the channels do not
 * come out even). */
bool pare_option_fits(const struct pare_model *m, int layer, const struct pare_option *o);
void pare_option_apply(const struct pare_option *o, struct pare_dials *d);
/* Another share of weights goes; a pattern that takes a share of its own gives way. */
void pare_dials_set_sparsity(struct pare_dials *d, float share);
/* The option on which the dial stands (the nearest one for sparsities between). */
int pare_option_of(const struct pare_dials *d, enum pare_dial dial);
/* The layer kept but one dial turned by `step` options; stops at the ends.  Returns the option. */
int pare_option_turn(struct pare_dials *d, enum pare_dial dial, int step);

/* What a plan costs to store, exactly; needs no data.
 *   bytes       of the file of packed weights that pare_variant_export_as would write: weights at
 * their bits (pruned ones as bitmap and rest where smaller), scales, zero points, biases,
 * quantizers of activations and all other constants of the model file_bytes  of the ONNX file that
 * pare_variant_export would write (int4 packed; other widths below 8 as int8), with the recipe's
 * hash in its metadata macs        of one sample Channels that go are counted as gone everywhere;
 * heads of exits count, and no sample leaves. */
struct pare_cost {
	int64_t bytes, file_bytes, macs;
};
PARE_MUST_CHECK enum pare_status pare_plan_cost(const struct pare_model *m,
	const struct pare_plan *p, struct pare_cost *out, struct pare_err *err);

/* Where samples may leave, in the order in which they come by; the last is the network's end, with
 * layer -1.  macs: of one sample that leaves there, the heads that it passes included.  How many is
 * in *n, 1 for a plan without exits.  PARE_E_UNSUPPORTED names the layer and why none can leave
 * behind it. */
enum { PARE_MAX_EXITS = 8 };
struct pare_exit {
	int layer;
	int64_t macs;
	double share; /* of the samples, that leave there; NaN = not measured */
};
PARE_MUST_CHECK enum pare_status
pare_plan_exits(const struct pare_model *m, const struct pare_plan *p,
	struct pare_exit out[PARE_MAX_EXITS + 1], int *n, struct pare_err *err);

/* Of a sample on average; NaN when shares are not known. */
double pare_exits_macs(const struct pare_exit *exits, int n);

/* Bytes that the weights of one layer take in the plan. */
PARE_MUST_CHECK enum pare_status pare_plan_layer_bytes(const struct pare_model *m,
	const struct pare_plan *p, int layer, int64_t *out, struct pare_err *err);

/* What a plan leaves of a model, for those who count: the shapes, without data for weights that
 * have others than before; the model itself when none have. */
struct pare_left {
	struct pare_model *model;
	struct pare_plan *plan; /* of its layers: those that became two have the same dials both */
	int *whole; /* [plan->n] the layer of the model before that each is, or is a part of */
};
PARE_MUST_CHECK enum pare_status pare_plan_shapes(const struct pare_model *m,
	const struct pare_plan *p, struct pare_left *out, struct pare_err *err);
void pare_left_free(struct pare_left *l); /* what it holds, not l */

/* ---- variant ----------------------------------------------------------------------------------
 */

/* What the calibration samples tell of a model: the ranges of the activations that enter each
 * layer, in memory that does not grow with samples, and, for methods that look at more, the samples
 * themselves.  Labels are not used.  Immutable once made; `d` is borrowed and must outlive it. */
struct pare_calibration;
PARE_MUST_CHECK enum pare_status
pare_calibration_new(const struct pare_model *m, const struct pare_dataset *d, int64_t limit,
	struct pare_ctl *ctl, struct pare_calibration **out, struct pare_err *err);
void pare_calibration_free(struct pare_calibration *r);
/* What a budget of channels asks for. */
struct pare_channel_budget {
	int goal;     /* row of PARE_GOAL */
	double left;  /* so much of what the model has, a share; 0 = `most` is said */
	double most;  /* in the goal's unit */
	int multiple; /* of which the channels that stay are, where that can be; 0, 1 = of none */
	/* Counts a goal that pare cannot (pare_goal_unit), on the calling thread; else not used. */
	enum pare_status (*count)(void *user, const struct pare_model *m, const struct pare_plan *p,
		double *out, struct pare_err *err);
	void *user;
};
/* Of a goal that a device counts, what it is counted in: "ms"; NULL: pare counts it. */
const char *pare_goal_unit(int goal);
/* Layers that came out of a plan by what a calibration tells are kept with it, up to an amount, the
 * oldest going first: when carrying out the plan was stopped, or another begins with the same
 * layers, they are not done again.  What was kept and not told of before, to `fn`, which must not
 * call back; and what was told, perhaps by an earlier process, put back.  What is not of this
 * calibration is never found. */
typedef void pare_kept_fn(void *user, const char *key, const void *data, size_t len);
void pare_calibration_tell_kept(const struct pare_calibration *c, pare_kept_fn *fn, void *user);
void pare_calibration_keep(
	const struct pare_calibration *c, const char *key, const void *data, size_t len);
/* Shares of channels for the groups of `layers` ([n], the others stay as they are) that bring the
 * network down to the budget at the least expected cost.  Their criterion and repair are those in
 * the plan.  Looked for on at most 256 samples of the calibration: a minute or two on networks of
 * 100 million MACs.  PARE_E_ARG: it cannot be reached. */
PARE_MUST_CHECK enum pare_status pare_plan_channels_to(const struct pare_model *m,
	struct pare_plan *p, const bool *layers, const struct pare_channel_budget *budget,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err);
/* Shares of weights for `layers` ([n], the others stay as they are) that together take `share` of
 * all their weights, where they cost least: by obs as the network's answers tell, by a score where
 * it is least.  Their criterion and pattern are those in the plan.  By a score `calibration` may be
 * NULL; by obs as long as carrying the plan out, and more.  PARE_E_ARG: criteria that differ, a
 * pattern with a share of its own. */
PARE_MUST_CHECK enum pare_status pare_plan_spread_weights(const struct pare_model *m,
	struct pare_plan *p, const bool *layers, double share,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err);
/* Shares of multiply-accumulates that go from `layers` ([n], the others stay as they are) as they
 * become two each, that together take `share` of all of theirs, where least is lost.  What they
 * keep and how they are parted is in the plan.  As long as carrying the plan out.  PARE_E_ARG: it
 * cannot be, or channels go already. */
PARE_MUST_CHECK enum pare_status pare_plan_spread_rank(const struct pare_model *m,
	struct pare_plan *p, const bool *layers, double share,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err);
/* Does carrying the plan out look at calibration samples where there are any, and is it impossible
 * without?  One that only looks makes do without them, and then gives another variant. */
bool pare_plan_looks(const struct pare_model *m, const struct pare_plan *p);
bool pare_plan_needs_samples(const struct pare_model *m, const struct pare_plan *p);

struct pare_variant; /* immutable */

/* Carry out a plan.  `calibration` may be NULL when nothing in the plan needs it (else PARE_E_ARG).
 * Order: channels, then layers become two, then weights to zero, then rounding, which keeps the
 * zeros.  `ctl` may be NULL.
 */
PARE_MUST_CHECK enum pare_status pare_variant_new(const struct pare_model *m,
	const struct pare_plan *p, const struct pare_calibration *calibration, struct pare_ctl *ctl,
	struct pare_variant **out, struct pare_err *err);
/* Several at once, [n]: what they have in common is looked at once. */
PARE_MUST_CHECK enum pare_status pare_variants_new(const struct pare_model *m,
	const struct pare_plan *const *plans, int n, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_variant **out, struct pare_err *err);
void pare_variant_free(struct pare_variant *v);
/* The model with the plan's weights in float32; borrowed. */
const struct pare_model *pare_variant_model(const struct pare_variant *v);
/* Signal-to-noise of the weights of its layer i by zeros and rounding, in dB; +inf when there were
 * none. */
double pare_variant_weight_snr(const struct pare_variant *v, int i);
/* The row of PARE_ROUNDING that was picked for its layer i where several were tried, or by which it
 * was rounded since what was asked for cannot serve it (samples tell nothing of a table, and of a
 * recurrent layer not what it should give); else -1. */
int pare_variant_picked(const struct pare_variant *v, int i);

/* Layers of uint8 activations and int8 weights in which two neighbouring products together can
 * exceed 16 bits: where ONNX Runtime runs them on x86 without VNNI their sum is cut off there (step
 * avoid-saturation makes it none).  *first: one of them, when there are any. */
int pare_variant_saturates(const struct pare_variant *v, int *first);
/* Might that be so of a plan?  Layer of a plan that has such activations and weights; -1: none. */
int pare_plan_multiplies_bytes(const struct pare_plan *p);
/* The bit of the step against it. */
unsigned pare_step_narrow(void);

/* Write it as ONNX with QuantizeLinear/DequantizeLinear; `recipe_sha` (NULL allowed) goes into the
 * metadata.  The file appears whole or not at all; `sha256` and `bytes` tell of it. */
PARE_MUST_CHECK enum pare_status pare_variant_export(const struct pare_variant *v, const char *path,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err);
/* The same without writing: what the file's hash would be. */
PARE_MUST_CHECK enum pare_status pare_variant_hash(const struct pare_variant *v,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err);

/* What a variant can be written as. */
enum { PARE_AS_ONNX, PARE_AS_PACKED };
/* Row `as` of PARE_FILE: what pare_variant_export does for an ONNX file, for any kind. */
PARE_MUST_CHECK enum pare_status
pare_variant_export_as(const struct pare_variant *v, int as, const char *path,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err);

/* ---- packed weights ---------------------------------------------------------------------------
 */

/* A file of weights at their true bits (PARE_AS_PACKED); engine/packed/packed.h says how it lies.
 */
struct pare_packed; /* immutable */
enum pare_packed_role {
	PARE_PACKED_CONSTANT,
	PARE_PACKED_WEIGHT,
	PARE_PACKED_BIAS,
	PARE_PACKED_QUANTIZER, /* of the activation that enters the layer: lo to zero alone */
};
struct pare_packed_record {
	const char *name; /* of the layer; of a constant: its own */
	enum pare_packed_role role;
	enum pare_dtype type; /* of the elements; UNDEFINED = codes */
	struct pare_shape shape;
	int bits;                        /* of an element */
	bool is_unsigned, zeros, powers; /* codes: without a sign; zero points are there; scales
					    are powers of two */
	int axis;                        /* along which scales lie; -1 = one for all */
	int64_t group;                   /* elements of a channel that share one; 0 = all */
	int64_t gone, inner, tall, wide; /* sites that are left out, and what a site is */
	int rows;                        /* the axis whose places are rows */
	int lo, hi, zero;
	bool dynamic;
	float scale;
	int64_t bytes; /* of its data, without what aligns it */
};
struct pare_packed_info {
	char sha256[PARE_SHA_HEX];     /* of the file */
	char recipe_sha[PARE_SHA_HEX]; /* "" = none */
	int64_t bytes;
	int n_records;
};
/* Everything that the file says of itself is checked.  PARE_E_FORMAT: it is not whole. */
PARE_MUST_CHECK enum pare_status
pare_packed_open(const char *path, struct pare_packed **out, struct pare_err *err);
/* The same from memory, which is copied; `path` is for messages. */
PARE_MUST_CHECK enum pare_status pare_packed_read(const void *data, size_t len, const char *path,
	struct pare_packed **out, struct pare_err *err);
/* Does the file begin as one? */
bool pare_packed_is(const char *path);
void pare_packed_free(struct pare_packed *p); /* NULL allowed */
const struct pare_packed_info *pare_packed_info(const struct pare_packed *p);
const struct pare_packed_record *pare_packed_record(const struct pare_packed *p, int i);
/* Record i as an array; what is codes, or left out in part, and halves become float32.  PARE_E_ARG:
 * it has no data. */
PARE_MUST_CHECK enum pare_status pare_packed_values(
	const struct pare_packed *p, int i, struct pare_array *out, struct pare_err *err);

/* ---- metrics ----------------------------------------------------------------------------------
 */

enum pare_kind { PARE_UNKNOWN, PARE_ESTIMATED, PARE_MEASURED };

struct pare_value {
	enum pare_kind kind;
	double value;    /* NaN when unknown */
	double lo, hi;   /* 90 % interval: of what measuring would give when estimated; of what more
		  samples would give when measured */
	int64_t samples; /* that it rests on */
};
const char *pare_kind_name(enum pare_kind k); /* "measured" … */

struct pare_metrics {
	struct pare_value accuracy; /* percent */
	struct pare_value drop;     /* points against float on the same samples */
	struct pare_cost cost;
	double ratio; /* cost.bytes / float bytes */
};

/* Accuracy of a model or variant on the evaluation split; limit 0 = all samples. */
struct pare_score {
	enum pare_measure measure;
	struct pare_value accuracy;
	double seconds;
	double samples_per_second;
};
PARE_MUST_CHECK enum pare_status
pare_evaluate(const struct pare_model *m, const struct pare_dataset *d, int64_t limit,
	struct pare_ctl *ctl, struct pare_score *out, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_evaluate_variant(const struct pare_variant *v, const struct pare_dataset *d, int64_t limit,
	struct pare_ctl *ctl, struct pare_score *out, struct pare_err *err);

/* ---- study ------------------------------------------------------------------------------------
 */

/* A study belongs to one thread (the one that draws).  What takes time is a task, run by any thread
 * on a const study; its result is handed back to the owner, who adds it:
 *
 *     owner:  pare_study_next(study, plan, order, &task)
 *     worker: pare_study_run(study, &task, ctl, &result, err)      slow
 *     owner:  pare_study_add(study, result)                        quick
 *
 * While a worker is inside pare_study_run the owner may call everything except pare_study_free and
 * pare_study_add of a PARE_TASK_BASELINE result. */
struct pare_study;
struct pare_result; /* what a task found */

enum pare_task_kind {
	PARE_TASK_NONE,     /* nothing left to do */
	PARE_TASK_BASELINE, /* float answers and activation ranges; everything else waits for it */
	PARE_TASK_CELLS,    /* one layer, all options of one dial */
	PARE_TASK_PLAN,     /* measure a plan */
};
struct pare_task {
	enum pare_task_kind kind;
	int layer;              /* CELLS */
	enum pare_dial dial;    /* CELLS */
	struct pare_plan *plan; /* PLAN; owned by the task */
};
void pare_task_free(struct pare_task *t);

/* `model` and `dataset` are borrowed and must outlive the study; dataset NULL: no figure but cost
 * is known.  `limit`: evaluation samples to use, 0 = all. */
PARE_MUST_CHECK enum pare_status
pare_study_new(const struct pare_model *model, const struct pare_dataset *dataset, int64_t limit,
	struct pare_study **out, struct pare_err *err);
void pare_study_free(struct pare_study *s);

/* The next useful task: the baseline, then `plan` (borrowed, may be NULL) unless measured, then
 * cells of the map, layer by layer in the order given by `order` ([n_layers], NULL = as in the
 * model). */
PARE_MUST_CHECK enum pare_status
pare_study_next(const struct pare_study *s, const struct pare_plan *plan, const int *order,
	struct pare_task *out, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_study_run(const struct pare_study *s, const struct pare_task *t, struct pare_ctl *ctl,
	struct pare_result **out, struct pare_err *err);
/* Takes the result over and frees it, whatever it returns. */
PARE_MUST_CHECK enum pare_status
pare_study_add(struct pare_study *s, struct pare_result *r, struct pare_err *err);

/* A result as bytes, for the session file, and back.  `key` names what it is of (e.g. "cells 3 0",
 * "plan 9f2c…"): a later result with the same key replaces the earlier.  pack: *data is malloc'ed.
 */
PARE_MUST_CHECK enum pare_status pare_result_pack(
	const struct pare_result *r, void **data, size_t *len, char key[96], struct pare_err *err);
/* PARE_E_FORMAT / PARE_E_MISMATCH when the bytes are not of this study. */
PARE_MUST_CHECK enum pare_status pare_result_unpack(const struct pare_study *s, const void *data,
	size_t len, struct pare_result **out, struct pare_err *err);
void pare_result_free(struct pare_result *r);
/* The variant that was measured, owned by the caller from then on; NULL when the result is of no
 * plan or was unpacked. */
struct pare_variant *pare_result_variant(struct pare_result *r);
/* Seconds of work a result took: what progress and ETA are made of. */
double pare_result_seconds(const struct pare_result *r);

struct pare_value pare_study_float(const struct pare_study *s); /* the float model's accuracy */
/* Drop of a cell; unknown until its task was added. */
struct pare_value pare_study_cell(const struct pare_study *s, int layer, int option);
/* Cells that have to be measured: none for a dial that is off, or for channels that cannot go. */
int pare_study_n_done(const struct pare_study *s);
/* pare_plan_exits, with shares where the plan was measured. */
PARE_MUST_CHECK enum pare_status
pare_study_exits(const struct pare_study *s, const struct pare_plan *p,
	struct pare_exit out[PARE_MAX_EXITS + 1], int *n, struct pare_err *err);
int pare_study_n_cells(const struct pare_study *s);
int64_t pare_study_samples(const struct pare_study *s);
/* NULL before the baseline is there. */
const struct pare_calibration *pare_study_calibration(const struct pare_study *s);

/* What rounding costs a layer at its output, in dB: the power of what it gives in float on
 * calibration samples over that of what differs; infinite = nothing does, NaN = it does not run.
 * Its own weights alone (their bias, and those that went to zero, with them) against the
 * activation that enters alone, the rest of the network float; what runs in one step with the layer
 * (a Relu, a sum) is in it.  plain_: the same formats without craft, weights by magnitude and to
 * the nearest, bounds of all that was seen. */
struct pare_noise {
	double weights, activations, plain_weights, plain_activations;
	int64_t picked; /* as pare_variant_picked */
};
/* Of each layer of a plan that was measured; NULL = it was not, or with no such figures. */
const struct pare_noise *pare_study_noise(const struct pare_study *s, const struct pare_plan *p);

/* The part of an estimate that comes from data, without the cost; both unknown without it. */
void pare_study_value(const struct pare_study *s, const struct pare_plan *p,
	struct pare_value *accuracy, struct pare_value *drop);
/* What a plan costs: measured if it was, else estimated by superposing the moves of the logits on
 * the nearest measured plan, else unknown.  Under 1 ms for 100 layers × 1,000 samples × 10 classes.
 */
PARE_MUST_CHECK enum pare_status pare_study_estimate(const struct pare_study *s,
	const struct pare_plan *p, struct pare_metrics *out, struct pare_err *err);
/* As if the plan had not been measured: to hold estimates against measurements. */
PARE_MUST_CHECK enum pare_status pare_study_predict(const struct pare_study *s,
	const struct pare_plan *p, struct pare_metrics *out, struct pare_err *err);

#endif
