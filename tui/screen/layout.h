/* Where things stand on the screen. */
#ifndef SCREEN_LAYOUT_H
#define SCREEN_LAYOUT_H
#include "state.h"

enum { LIST_Y = 3 }; /* the first line of every list */

/* Lines of the screen that the list of the view that is open has. */
int list_lines(const struct tui_state *s);

/* Columns are left out until the whole job fits; the order is what may be missed last. */
enum map_field { F_NAME, F_MACS, F_PARAMS, F_OUTPUT, F_OP, N_FIELDS };

struct layout {
	int field_x[N_FIELDS], field_w[N_FIELDS]; /* w 0 = left out */
	int column_x[64];                         /* where the glyph stands; 0 = left out */
	unsigned hidden;                          /* bit d: dial d has no room */
	int bar_x[PARE_N_DIALS + 1];              /* the lines between; the last before the drop */
	int drop_x;                               /* 0 = left out */
	bool tens;                                /* pruning in tens: one digit */
	int lines, note_y, rule_y, panel_y, panel_h;
};

struct layout map_lay_out(const struct tui_state *s);
/* Columns of the screen that the label of a column takes; `tens`: "50%" is "5". */
int map_label_width(const struct scene_column *c, bool tens);
/* The place among the rows shown, and the column (-1 = none), that lie at y, x; false: no row. */
bool map_hit(const struct tui_state *s, int y, int x, int *shown, int *column);

#endif
