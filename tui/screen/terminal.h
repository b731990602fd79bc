/* The terminal: the one place that talks to curses.  A grid goes out, keys come in.  However the
 * program ends (exit, a signal, a crash) the terminal is given back as it was. */
#ifndef SCREEN_TERMINAL_H
#define SCREEN_TERMINAL_H
#include "state.h"

/* Takes the terminal of stdin and stdout over.  PARE_E_UNSUPPORTED: it is none, or TERM is not
 * known here.  Looks come from TERM, COLORTERM, NO_COLOR, COLORFGBG, PARE_COLORS
 * (dark, light, mono, 16, 256) and the locale. */
PARE_MUST_CHECK enum pare_status terminal_open(struct pare_err *err);
void terminal_close(void);

void terminal_size(int *h, int *w);
/* Draw what differs from what is there; `anew`: everything. */
void terminal_draw(const struct grid *g, bool anew);
/* The next event, if one is there; false: none. */
bool terminal_event(struct tui_event *out);
/* Readable when terminal_event may have something that poll() on stdin does not tell: a resize, a
 * request to end, a wake after a stop. */
int terminal_fd(void);
/* Empties terminal_fd. */
enum terminal_news {
	TERMINAL_RESIZED = 1,
	TERMINAL_WOKEN = 2,
	TERMINAL_STOP = 4,
	TERMINAL_END = 8
};
unsigned terminal_news(void);
void terminal_suspend(void); /* hand the terminal back and stop, until told to go on */
void terminal_mouse(bool on);

#endif
