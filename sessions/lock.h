/* Who owns a session: a file beside it, locked by the system and so freed by any death. */
#ifndef PARE_LOCK_H
#define PARE_LOCK_H
#include "../engine/pare.h"

/* PARE_E_BUSY names the process.  *fd is open until pare_lock_give. */
PARE_MUST_CHECK enum pare_status pare_lock_take(const char *path, int *fd, struct pare_err *err);
void pare_lock_give(const char *path, int fd);

#endif
