/* What the workbench and the shell open alike: a model, its data and devices, or a session. */
#ifndef CLI_OPENING_H
#define CLI_OPENING_H
#include "../../sessions/workspace.h"
#include "cli.h"

#define CLI_OPENING_ARGS "[MODEL] [--data D] [--device NAME]…"
extern const struct cli_option cli_opening_options[];

/* By the options and a's only word (a model, with --resume a session); without a word the example
 * that comes with pare.  `idle`: no work in the background.  NULL: said why, *code is the exit
 * code. */
struct pare_workspace *cli_open_workspace(const struct cli_args *a, bool idle, int *code);

#endif
