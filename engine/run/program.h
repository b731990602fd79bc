/* The inside of programs and frames. */
#ifndef PARE_PROGRAM_H
#define PARE_PROGRAM_H
#include "chain.h"
#include "run.h"

enum { PARE_BEFORE = -1, PARE_NEVER = -2 }; /* beside the number of a step */

struct pare_place {                         /* a var as the program sees it */
	struct pare_tensor t;               /* constants: with data, lanes 1 */
	const struct pare_tensor *constant; /* NULL = it lies in the frame, if `first` says so */
	const struct pare_tensor *spread;   /* a constant on all lanes, where someone needs it */
	int first, last;                    /* steps that write and last read it */
	size_t at, bytes;                   /* in the frame */
	struct pare_place
		*same; /* the place of what it renames, in whose memory it lies; or NULL */
};

struct pare_step {
	int node; /* the first of those that it carries out */
	const struct pare_node *n;
	int layer;                           /* -1 = none */
	int out;                             /* var of output 0: of the last node joined */
	const struct pare_tensor *bias;      /* constant added along the last axis; NULL = none */
	int add;                             /* var added to the result; -1 = none */
	float lo, hi;                        /* clamp */
	const struct pare_tensor **constant; /* [n->n_in]; NULL = absent or in the frame */
	const void *packed;
	const struct pare_chain *chain; /* runs this step and those after it, `links` in all */
	int links;
	const struct pare_strips *strips; /* runs this step and those after it */
	bool same;                        /* its output is its input: nothing to do */
	size_t scratch;                   /* bytes for the row, after `quantized` */
	int entry; /* input through which the layer's activation enters; -1 = none */
	struct pare_act_quant act; /* of it */
	size_t quantized;          /* bytes of it */
};

struct pare_program {
	struct pare_arena *arena;
	const struct pare_model *m;
	const struct pare_kernels *k;
	int lanes;
	int n_steps;
	struct pare_step *steps;
	struct pare_place *places; /* [n_vars] */
	int *step_of_layer;        /* [n_layers] */
	size_t room, scratch;      /* bytes of a frame: activations, then scratch */
};

struct pare_bound { /* a step in this frame */
	struct pare_call call;
	struct pare_after after;
	struct pare_tensor quantized; /* stands for the entry where the layer has a quantizer */
	const struct pare_tensor **in;
	struct pare_tensor **out;
};

struct pare_frame {
	struct pare_arena *arena;
	const struct pare_program *p;
	char *room;    /* activations, then scratch; malloc'ed, not zeroed */
	size_t bytes;  /* of it */
	bool borrowed; /* from another frame */
	struct pare_tensor *vars;
	struct pare_bound *steps;
	struct pare_err wrong; /* of the step that runs */
	pare_observe_fn *observe;
	void *user;
};

/* x as a dynamic quantizer leaves it, each lane by itself; out may be x's data. */
void pare_quantize_dynamic(const struct pare_tensor *x, float *out);

/* strips.c */
struct pare_strips;
int pare_strips_links(const struct pare_strips *g); /* steps */
void pare_strips_run(const struct pare_strips *g, const struct pare_bound *steps);

/* The tensors of a step without the data of activations, as `prepare` and `scratch` see them, or,
 * in a frame, with it.  in: [n_in], out: [n_out], of `var` tensors [n_vars]. */
void pare_step_bind(const struct pare_program *p, const struct pare_step *s,
	struct pare_tensor *vars, struct pare_call *c, const struct pare_tensor **in,
	struct pare_tensor **out);

/* Plain inference node by node, for networks that no program can be laid out for because shapes
 * hang on data.  in: [n_inputs], borrowed; values: [n_vars], everything computed, in `a`. */
PARE_MUST_CHECK enum pare_status
pare_interpret(const struct pare_model *m, const struct pare_array *in, struct pare_arena *a,
	const struct pare_tensor **values, struct pare_err *err);

#endif
