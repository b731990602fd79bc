/* Threads: one pool for the process.  Work is cut into `n` chunks whose number does not depend on
 * the number of threads, so that what is computed does not either. */
#ifndef PARE_POOL_H
#define PARE_POOL_H
#include "../pare.h"

/* Call fn(ctx, chunk, worker) for each chunk in 0..n-1 and wait for all.  `worker` is in
 * 0..pare_threads()-1 and no two calls run at once with the same one: index scratch memory by it.
 * Chunks start in order.  When `ctl` is canceled no further chunk starts and PARE_E_CANCELED is
 * returned; when fn returns non-zero no further chunk starts and the status of the lowest failed
 * chunk is returned, its message in `err`.  Progress of whole chunks is reported to `ctl` from
 * `base` on out of `total` (total 0: no report).  ctl may be NULL.  A call from inside fn runs
 * inline.  Two threads that call at once take turns. */
struct pare_progress_span {
	double base, total; /* this call is chunks base..base+n out of total */
};
typedef enum pare_status pare_chunk_fn(void *ctx, int chunk, int worker, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_parallel(int n, pare_chunk_fn *fn, void *ctx,
	struct pare_ctl *ctl, struct pare_progress_span span, struct pare_err *err);

/* Has the work been canceled that the chunk on this thread is of, or work around it?  For chunks
 * that take longer than a moment.  False outside of chunks. */
bool pare_canceled(void);

/* While one part of a longer work runs, ctl's progress is that of the whole: `worth` of `total`, of
 * which `done` is past.  ctl may be NULL. */
struct pare_part {
	void (*progress)(void *user, double done, double total);
	void *user;
	double done, worth, total;
};
void pare_part_begin(
	struct pare_ctl *ctl, struct pare_part *part, double done, double worth, double total);
void pare_part_end(struct pare_ctl *ctl, const struct pare_part *part);

#endif
