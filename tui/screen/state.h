/* The screen as plain data.  update() takes one event and says what is to be done outside;
 * render() draws.  Neither touches a terminal, a file or a workspace, so a test, or a log of
 * events, can play any session. */
#ifndef SCREEN_STATE_H
#define SCREEN_STATE_H
#include "grid.h"
#include "scene.h"

/* Keys beyond Unicode. */
enum {
	KEY_CODES = 0x110000,
	K_UP,
	K_DOWN,
	K_LEFT,
	K_RIGHT,
	K_HOME,
	K_END,
	K_PAGE_UP,
	K_PAGE_DOWN,
	K_BACKTAB,
	K_DELETE,
	K_ENTER = '\r',
	K_ESC = 0x1b,
	K_TAB = '\t',
	K_BACKSPACE = 0x7f,
};
#define CTRL(c) ((c)-64)

enum tui_event_kind {
	EV_KEY,
	EV_PRESS,  /* mouse button 1 at y, x */
	EV_WHEEL,  /* y, x; key: -1 up, 1 down */
	EV_RESIZE, /* y × x */
	EV_NEWS,   /* the scene has been filled anew */
	EV_LINE,   /* the line being typed has changed: text, x = the cursor's byte */
	EV_ENTER,  /* the line is complete */
	EV_CANCEL, /* the line is given up */
	EV_REPLY,  /* what a command said: text; key: 1 = an error */
};
struct tui_event {
	enum tui_event_kind kind;
	uint32_t key;
	int y, x;
	const char *text;
};

struct tui_effects {
	char command[4096]; /* for the workspace; "" = none */
	char edit;          /* ':' or '/': let a line be typed, beginning with edit_text */
	char edit_text[128];
	bool quit, suspend, repaint;
	bool mouse; /* state.mouse has changed */
	bool pause; /* hold the work, or go on */
};

enum tui_view_id { VIEW_MAP, VIEW_LAYER, VIEW_HISTORY, VIEW_LOG, VIEW_HELP, N_VIEWS };
enum tui_sort { SORT_ORDER, SORT_PARAMS, SORT_MACS, SORT_DROP, N_SORTS };

struct tui_prompt {
	char kind; /* ':' or '/'; 0 = none */
	char text[512];
	int point;              /* byte of text where the cursor is */
	const char **candidate; /* borrowed: completions to show */
	int n_candidates;
};

struct tui_state {
	const struct scene *scene; /* borrowed */
	int h, w;
	enum tui_view_id view, under; /* under: where Esc leads to from help or log */

	int *shown, n_shown; /* rows of the scene that pass the filter, sorted */
	bool *marked;        /* [n_rows] */
	int n_marked;
	int cur, top; /* among shown */
	enum pare_dial dial;
	enum tui_sort sort;
	char filter[128], filter_was[128];

	int scroll; /* of a text view */
	int pick;   /* of the history */
	struct tui_prompt prompt;
	char message[512];
	bool failed; /* the message is an error */
	bool mouse;
};

/* False: no memory.  The scene may be filled anew as long as its rows stay. */
bool tui_init(struct tui_state *s, const struct scene *scene, int h, int w);
void tui_free(struct tui_state *s);
void tui_update(struct tui_state *s, const struct tui_event *ev, struct tui_effects *fx);
void tui_render(const struct tui_state *s, struct grid *g); /* g: h × w of the state */

void tui_show(struct tui_state *s, enum tui_view_id v);

/* What should be found again: "cursor conv_4", "sort macs" … as one line, and back. */
void tui_remember(const struct tui_state *s, char *out, size_t len);
void tui_recall(struct tui_state *s, const char *text);

struct tui_view {
	const char *name; /* as a command names it */
	void (*render)(const struct tui_state *s, struct grid *g);
	int (*length)(const struct tui_state *s); /* of a text, in lines; else NULL */
};
extern const struct tui_view tui_views[N_VIEWS];
int tui_find_view(const char *name); /* -1 */

#endif
