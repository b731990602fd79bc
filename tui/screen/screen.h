/* The workbench on a terminal, until the person leaves. */
#ifndef SCREEN_H
#define SCREEN_H
#include "../../sessions/workspace.h"

/* PARE_E_UNSUPPORTED: there is no terminal, or not one that is known. */
PARE_MUST_CHECK enum pare_status screen_run(struct pare_workspace *w, struct pare_err *err);

#endif
