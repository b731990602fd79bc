/* Running a model.  A program is a model laid out for one choice of input shapes and lanes: steps
 * with fused epilogues, packed weights, and one buffer in which every activation has its place by
 * lifetime. Programs are immutable; each thread runs them in a frame of its own.
 *
 * In a batched program (lanes > 1) the network for ONE sample runs on `lanes` samples side by side:
 * an activation is [shape of one sample, batch axis 1][lanes].  That is right for every network
 * whose samples do not see each other; operators that need an input without lanes that is not
 * constant make pare_program_new fail with PARE_E_UNSUPPORTED, and the caller falls back to
 * lanes 1. */
#ifndef PARE_RUN_H
#define PARE_RUN_H
#include "../base/tensor.h"
#include "../graph/model.h"

struct pare_program;
struct pare_program_spec {
	int lanes;                         /* 0 = what this CPU is best at, else 1 or that */
	const struct pare_shape *inputs;   /* [n_inputs]; NULL = one sample as declared */
	const struct pare_act_quant *acts; /* [n_layers]; NULL = none: m->acts = as in the file */
	/* A program of the same graph with other weights: packed weights of layers that are the
	 * same are shared with it, so it must outlive this one.  NULL = none. */
	const struct pare_program *like;
	bool sketch; /* only whether it can be: constants are not packed, and it must not run */
};
/* `m` is borrowed and must outlive the program. */
PARE_MUST_CHECK enum pare_status pare_program_new(const struct pare_model *m,
	const struct pare_program_spec *spec, struct pare_program **out, struct pare_err *err);
void pare_program_free(struct pare_program *p);
int pare_program_lanes(const struct pare_program *p);
int pare_program_steps(const struct pare_program *p);
/* The step that runs layer i. */
int pare_program_step_of_layer(const struct pare_program *p, int layer);

struct pare_frame;                                               /* the buffers of one thread */
struct pare_frame *pare_frame_new(const struct pare_program *p); /* NULL: no memory */
/* The same in the memory of `with`, a frame of a program of the same graph (its own memory if that
 * is too small): a run of one overwrites what the other holds.  No run after `with` was freed. */
struct pare_frame *pare_frame_share(const struct pare_program *p, const struct pare_frame *with);
void pare_frame_free(struct pare_frame *f);
/* The tensor of graph input / output i in the frame, NULL behind the last input.  Inputs are
 * written before a run; outputs are there after one. Both [shape][lanes]. */
struct pare_tensor *pare_frame_input(struct pare_frame *f, int i);
const struct pare_tensor *pare_frame_output(const struct pare_frame *f, int i);

/* Run steps from <= i < to.  PARE_E_FORMAT: the data asks for what is not there (an index out of
 * range); the sentence names the node.  PARE_E_CANCELED: see pare_canceled. */
PARE_MUST_CHECK enum pare_status pare_program_run(
	const struct pare_program *p, struct pare_frame *f, int from, int to, struct pare_err *err);

/* Everything that steps >= `step` read and earlier ones wrote, copied aside, so that the rest can
 * run again and again, in this program or another of the same graph (other weights, other acts:
 * steps are the same). */
struct pare_cut;
PARE_MUST_CHECK enum pare_status
pare_cut_new(const struct pare_program *p, int step, struct pare_cut **out, struct pare_err *err);
void pare_cut_free(struct pare_cut *c);
void pare_cut_save(struct pare_cut *c, const struct pare_program *p, const struct pare_frame *f);
void pare_cut_load(const struct pare_cut *c, const struct pare_program *p, struct pare_frame *f);

/* Called before each step that runs a layer, with the activation that enters it (before any
 * quantizer). */
typedef void pare_observe_fn(void *user, int layer, const struct pare_tensor *x);
void pare_frame_observe(struct pare_frame *f, pare_observe_fn *fn, void *user);

/* Samples in and out: [lanes] samples of `n` floats each, sample after sample, to and from
 * [n][lanes]; lanes is 1 or a program's.  1 <= `count` <= lanes; missing lanes repeat the first
 * sample. */
void pare_lanes_in(const float *samples, int64_t n, int count, int lanes, float *out);
void pare_lanes_out(const float *in, int64_t n, int count, int lanes, float *samples);

#endif
