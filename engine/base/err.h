/* How a fallible function says why: it returns pare_fail(err, ...) where it happens; callers on the
 * way up may put context in front with pare_wrap.  `err` may be NULL everywhere. */
#ifndef PARE_BASE_ERR_H
#define PARE_BASE_ERR_H
#include "../pare.h"

enum pare_status pare_fail(struct pare_err *err, enum pare_status code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* "context: what it said before"; returns `code`. */
enum pare_status pare_wrap(struct pare_err *err, enum pare_status code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The sentence for memory that is not there; `what` names what it was for. */
enum pare_status pare_nomem(struct pare_err *err, const char *what);

#endif
