/* What layers came out as, found again by a hash of all that it hangs on: work that was stopped
 * goes on where it stood, and a plan that differs late in the network begins there.  Any thread may
 * use one at any time. */
#ifndef PARE_KEEP_H
#define PARE_KEEP_H
#include "../pare.h"

struct pare_keep;
struct pare_keep *pare_keep_new(void); /* NULL: no memory, and nothing is kept */
struct pare_keep *pare_keep_ref(struct pare_keep *k);
void pare_keep_free(struct pare_keep *k); /* gives back one reference; NULL allowed */

/* A copy, malloc'ed; NULL = it is not there. */
void *pare_keep_find(struct pare_keep *k, const char *key, size_t *len);
/* Takes data (malloc'ed) over.  What was put first goes when it becomes too much.  told: those who
 * ask for what is new have it already. */
void pare_keep_put(struct pare_keep *k, const char *key, void *data, size_t len, bool told);
/* What was put since the last call, in its order; fn must not call back. */
void pare_keep_tell(struct pare_keep *k, pare_kept_fn *fn, void *user);

#endif
