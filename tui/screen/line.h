/* Typing a line with readline, which neither reads the terminal nor draws on it here: keys go in,
 * the line comes out.  `pare shell` shares its history and its completion. */
#ifndef SCREEN_LINE_H
#define SCREEN_LINE_H
#include "state.h"

/* The i-th candidate for the word that ends at line[len], NULL after the last; *start: where that
 * word begins. */
typedef const char *
line_complete_fn(void *user, const char *line, size_t len, int i, size_t *start);

/* Editing, completion and a history in the user's state folder ("": none is kept).  Call once. */
void line_open(line_complete_fn *complete, void *user);
void line_close(void); /* writes the history */

/* readline on a screen of its own, as `pare shell` does; malloc'ed, NULL at the end of input. */
char *line_read(const char *prompt); /* Ctrl-C begins the line anew */
/* Called a few times a second while line_read waits. */
void line_idle(void (*idle)(void *user));

/* On curses' screen.  kind ':' has history and completion, '/' has neither. */
void line_begin(char kind, const char *text);
/* One key; *ev becomes EV_LINE (its text lives until the next call), EV_ENTER or EV_CANCEL. */
void line_key(uint32_t key, struct tui_event *ev);
/* Completions to show; borrowed until the next key. */
int line_candidates(const char ***list);

#endif
