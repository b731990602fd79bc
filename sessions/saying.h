/* A statement that is said to a workspace: commands.c has a function for each row, of which
 * change.c has those that make a new plan and writing.c those that write files. */
#ifndef PARE_SAYING_H
#define PARE_SAYING_H
#include "inside.h"

struct saying {
	struct pare_workspace *w;
	const struct pare_statement *s;
	const char *line;
	struct pare_reply *reply;
	struct pare_err *err;
};
typedef enum pare_status say_fn(const struct saying *y);

/* What the person is told; always PARE_OK. */
enum pare_status
saying_answer(const struct saying *y, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline const struct pare_plan *saying_plan(const struct saying *y)
{
	return pare_workspace_plan(y->w);
}
/* The plan on the screen is another one now. */
void saying_moved(const struct saying *y);

say_fn say_change;            /* change.c */
say_fn say_write, say_export; /* writing.c */

#endif
