/* Convolutions that follow each other, run over bands of rows so that what lies between them stays
 * in the cache: one to many channels, depthwise, many to few, or two of these.  The channels in the
 * middle are taken some at a time: what the first makes of them, the second reads, and the third
 * adds to its sums.  Gives the bits that one after the other gives. */
#ifndef PARE_CHAIN_H
#define PARE_CHAIN_H
#include "kernels.h"
#include "run.h"

enum { PARE_CHAIN_MOST = 3 };

struct pare_chain;

/* v [n]: the geometry of each, with its weights [groups*o][c][kernel] and bias as they are, NULL =
 * none.  *out: NULL where it would not pay.  PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status
pare_chain_plan(const struct pare_kernels *k, const struct pare_conv *v, int n,
	struct pare_arena *a, const struct pare_chain **out, struct pare_err *err);
size_t pare_chain_scratch(const struct pare_chain *c); /* bytes */
/* act [n]: quantizers of what enters each; that of the first was seen to by the caller.  finish
 * [n]: only the last may add. */
void pare_chain_run(const struct pare_kernels *k, const struct pare_chain *c, const float *x,
	float *out, const struct pare_act_quant *const *act, const struct pare_finish *finish,
	float *scratch);

#endif
