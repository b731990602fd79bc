/* A residual block forth and back, for those who round its layers together: the error of what it
 * gives, and how that hangs on weights and biases.
 *
 * Samples lie side by side, as programs have them.  A job takes a strip of columns of what the
 * block gives, for one block of samples, and of each part the columns that those hang on. */
#ifndef PARE_PASSES_H
#define PARE_PASSES_H
#include "joint.h"

enum pare_pass {
	PARE_PASS_ERROR,
	PARE_PASS_SLOPES, /* of half the squared error, straight through quantizers */
	PARE_PASS_CURVES, /* products of what random signs in place of the error come to */
};

struct pare_share {      /* of every PARE_JOINT_JOBSth job */
	float *w, *bias; /* [all weights], [all channels]: slopes */
	float *curve;    /* of each part [groups][o][o] */
	double error;
	int64_t columns;
	int block; /* of the job at hand */
	int64_t from, to;
};

struct pare_pass_room; /* of a thread */
struct pare_passes {
	const struct pare_joint *j;
	int64_t *weight, *channel, *element, *curve; /* [parts + 1]: the first of each part's */
	float *w;                                    /* [all weights] as they are at the moment */
	float *bias;                                 /* [all channels] likewise */
	struct pare_share share[PARE_JOINT_JOBS];    /* of the last pass: what counts is the sum */
	struct pare_pass_room *room;                 /* [threads] */
	enum pare_pass what;
};

/* By integers and biases as the parts have them.  j is borrowed.  PARE_E_NOMEM; to be freed even
 * then. */
PARE_MUST_CHECK enum pare_status
pare_passes_new(const struct pare_joint *j, struct pare_passes *out, struct pare_err *err);
void pare_passes_free(struct pare_passes *s);
/* Weights by the integers as they are now. */
void pare_passes_weigh(struct pare_passes *s);
/* Blocks of samples from … to - 1, a strip here and there of each where they are many: the mean
 * squared error of a column of what the block gives. */
PARE_MUST_CHECK enum pare_status pare_passes_take(struct pare_passes *s, enum pare_pass what,
	int from, int to, double *error, struct pare_err *err);

#endif
