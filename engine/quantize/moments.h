/* Products of what enters a layer, over the calibration samples. */
#ifndef PARE_MOMENTS_H
#define PARE_MOMENTS_H
#include "../run/feed.h"
#include "columns.h"
#include "quantize.h"

/* Sums over columns of windows; x: entering the compressed layer, t: what it should give (without
 * the bias). */
struct pare_moments {
	struct pare_windows win;
	double n;                    /* columns */
	double *h;                   /* [groups][k][k]  x x' */
	double *c;                   /* [groups][o][k]  t x' */
	double *x;                   /* [groups][k] */
	double *t;                   /* [groups][o] */
	struct pare_columns columns; /* where they were asked for */
};
void pare_moments_free(struct pare_moments *s);
/* The sums of a group become means; with a free bias about the means, since it takes up the rest.
 */
void pare_moments_center(struct pare_moments *s, int group, bool shifts);
/* With its columns. */
PARE_MUST_CHECK enum pare_status
pare_moments_copy(const struct pare_moments *from, struct pare_moments *to, struct pare_err *err);

/* A walk through two networks of one graph side by side, layer by layer, block by block. */
struct pare_walk;
PARE_MUST_CHECK enum pare_status pare_walk_new(const struct pare_model *m,
	const struct pare_calibration *calibration, struct pare_walk **out, struct pare_err *err);
void pare_walk_free(struct pare_walk *w);
/* The float network's program. */
const struct pare_program *pare_walk_program(const struct pare_walk *w);
/* Whether what is collected from now on comes with columns. */
void pare_walk_want_columns(struct pare_walk *w, bool want);
/* Layers whose products stay inside are looked at too, for what they multiply (h, x): what they
 * should give (c, t) is left zero. */
void pare_walk_want_inner(struct pare_walk *w);
/* What a layer is; k 0 = no matrix product that can be looked at. */
struct pare_windows pare_walk_windows(const struct pare_walk *w, int layer);
/* Go on to `layer`, which runs no earlier than the one before, in the compressed network
 * `quantized` (borrowed; the one before must still be there), and collect.  win.k 0: the layer is
 * no matrix product and nothing was collected.  part: the same without the samples that are kept
 * aside and without columns, win.k 0 where none are; NULL = not wanted.  span: of ctl's progress,
 * in slots. */
PARE_MUST_CHECK enum pare_status pare_walk_to(struct pare_walk *w, int layer,
	const struct pare_program *quantized, struct pare_progress_span span, struct pare_ctl *ctl,
	struct pare_moments *out, struct pare_moments *part, struct pare_err *err);

/* Is there memory to hold a layer? */
bool pare_walk_holds(const struct pare_walk *w);
/* The layer that the walk goes to next is held: pare_walk_again comes back to it, once, unless it
 * was released. */
void pare_walk_hold(struct pare_walk *w);
void pare_walk_release(struct pare_walk *w);
/* How many full blocks of samples there are, and how many of them, the last, are kept aside. */
int pare_walk_blocks(const struct pare_walk *w, int *aside);
/* Back to the layer that is held, from where the walk goes on, with `quantized` that differs from
 * there on alone.  fn is called for each block of samples, from any thread: x: what enters the
 * layer in the compressed network, before any quantizer; want: what layer `last` gives in the float
 * one.  Both only while it runs. */
typedef void
pare_again_fn(void *user, int block, const struct pare_tensor *x, const struct pare_tensor *want);
PARE_MUST_CHECK enum pare_status
pare_walk_again(struct pare_walk *w, int last, const struct pare_program *quantized,
	struct pare_ctl *ctl, pare_again_fn *fn, void *user, struct pare_err *err);

/* What enters a layer in the float network, kept for the next who asks.  Begins as zeros. */
struct pare_moments_memo {
	int layer;
	struct pare_moments *kept; /* of it; NULL = none */
};
void pare_moments_memo_free(struct pare_moments_memo *memo);
/* pare_walk_to in the float network itself, by the memo (NULL allowed) where it has the layer. */
PARE_MUST_CHECK enum pare_status pare_walk_float(struct pare_walk *w, int layer,
	struct pare_moments_memo *memo, struct pare_progress_span span, struct pare_ctl *ctl,
	struct pare_moments *out, struct pare_err *err);

#endif
