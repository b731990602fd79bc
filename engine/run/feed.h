/* A dataset through a program, block by block, on all threads. */
#ifndef PARE_FEED_H
#define PARE_FEED_H
#include "../base/pool.h"
#include "run.h"

/* A program for evaluation: batched when the graph allows it, sample by sample when it does not.
 * PARE_E_UNSUPPORTED when the model cannot run on a dataset: a fixed batch, an input without one or
 * that is no number.
 * `like` as in struct pare_program_spec. */
PARE_MUST_CHECK enum pare_status
pare_feed_program(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_program *like, struct pare_program **out, struct pare_err *err);

/* Called for each block with its input loaded in the worker's frame; runs the program itself.
 * `first` is the block's first sample and `count` <= lanes how many of its lanes count. */
struct pare_block {
	int64_t first;
	int count, worker;
	struct pare_frame *frame;
};
typedef enum pare_status
pare_block_fn(void *user, const struct pare_block *b, struct pare_err *err);

struct pare_feed {
	const struct pare_program *program;
	const struct pare_dataset *dataset;
	enum pare_split split;
	int64_t n;                      /* samples, from the first of the split */
	struct pare_progress_span span; /* in blocks; see pare_feed_blocks */
	pare_block_fn *fn;
	void *user;
};
int pare_feed_blocks(const struct pare_program *p, int64_t n);
PARE_MUST_CHECK enum pare_status
pare_feed_run(const struct pare_feed *f, struct pare_ctl *ctl, struct pare_err *err);

/* Samples first … first + count - 1 into the lanes of a frame, by way of `room`, which belongs to
 * one thread at a time (free).  NULL: no memory. */
float *pare_feed_room(const struct pare_dataset *d, int lanes);
void pare_feed_load(const struct pare_dataset *d, enum pare_split split, int64_t first, int count,
	int lanes, float *room, struct pare_frame *f);

/* The block's inputs into another frame of a program of the same graph. */
void pare_block_again(const struct pare_block *b, struct pare_frame *f);
/* The first output of the block's frame, sample after sample: out[count][k]. */
void pare_block_answers(const struct pare_block *b, const struct pare_frame *f,
	const struct pare_program *p, float *out);
/* Of a network whose second output says where a sample left, counted from 0: how many left at each
 * place is added. */
void pare_block_left(const struct pare_block *b, struct pare_frame *f, int64_t *left);
/* Elements of the first output of one sample; -1 when it is no vector of numbers. */
int64_t pare_answer_len(const struct pare_model *m);
/* PARE_E_UNSUPPORTED: there are no answers to count; the text names the node that is why. */
PARE_MUST_CHECK enum pare_status
pare_answer_check(const struct pare_model *m, struct pare_err *err);
/* Index of the largest, the first among equals; NaN is never the largest. */
int64_t pare_argmax(const float *v, int64_t k);

#endif
