/* Rounding several layers at once by what the last of them gives: their integers and biases are
 * searched together behind every clamp and quantizer between them.  The aim is that of BRECQ (Li et
 * al. 2021, "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", arXiv
 * 2102.05426), by the plain squared error of the block's output; the search is another one, since
 * some hundred steps of gradient descent end far above where each layer's own search begins.
 * Behind AdaRound of each layer there is little left to win.  Distance from the float network's
 * answers (KL; at 4 and 3 bits, three sets of 256 samples each): a ResNet-8's is less by 3 to 4 %
 * in the mean, a ResNet-20's more by 1 to 3 %, and single sets are up to 10 % off either way.  It
 * takes somewhat longer than the layers do. */
#ifndef PARE_JOINT_H
#define PARE_JOINT_H
#include "../base/err.h"
#include "../graph/model.h"
#include "../ops/op.h"

/* A layer.  Values are numbered: 0 enters the block as it is added, part i gives value i + 1. */
struct pare_joint_part {
	int in, add; /* values; add -1 = none */
	struct pare_windows win;
	const int32_t *index; /* [groups][k][columns]: element of `in`, one sample's; -1 = zero */
	struct pare_act_quant act; /* of what enters it */
	float lo, hi;              /* its result is clamped to, after what is added */
	float *bias;               /* [channels]: where it starts and ends */
	bool shifts;               /* and whether it may move */
	const float *w;            /* [channels][k]: as they stay where q is NULL */
	int8_t *q;                 /* [channels][k]: where it starts and ends; NULL = w stays */
	const float *scale;        /* [channels] */
	const bool *zero;          /* [channels][k]: weights that stay 0; NULL = none */
	int least, most;           /* of q */
	double *h;                 /* [groups][k][k]: mean product of what enters, about the means
				      where it shifts */
	double *mean;              /* [groups][k] */
};

static inline int64_t pare_joint_channels(const struct pare_joint_part *p)
{
	return (int64_t)p->win.groups * p->win.o;
}

struct pare_joint {
	int n;
	struct pare_joint_part *parts;
	int lanes, blocks, aside; /* blocks of samples; the last `aside` are kept aside */
	int64_t enters;           /* elements of value 0 of a sample */
	float **x;                /* [blocks]: [enters][lanes] value 0 in the compressed network */
	float **want; /* [blocks]: [elements of the last part][lanes] in the float network */
	const struct pare_kernels *k;
	struct pare_ctl *ctl;
};

/* Turn by turn one part, or all one after the other, goes to where the block's error is least as
 * far as its slopes and curves tell: the curve of a part is that of its layer's inputs times that
 * of what its channels do to the block (as in K-FAC, Martens and Grosse 2015), and integers are
 * searched on it downhill (lattice.h).  A turn is taken where the error itself has fallen, also on
 * what is kept aside, so nothing becomes worse there.  *before, *after: that error, mean square of
 * a column. Deterministic, whatever the threads.  Room: per thread three times the values of a
 * block of samples, and PARE_JOINT_JOBS times the weights.  PARE_E_NOMEM, PARE_E_CANCELED. */
enum { PARE_JOINT_JOBS = 4, PARE_JOINT_MOST = 16 /* parts */ };
PARE_MUST_CHECK enum pare_status
pare_joint_learn(const struct pare_joint *j, double *before, double *after, struct pare_err *err);

#endif
