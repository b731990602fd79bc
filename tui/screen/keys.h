/* The key table: what a key does where.  Help is made from it. */
#ifndef SCREEN_KEYS_H
#define SCREEN_KEYS_H
#include "state.h"

struct key_row {
	unsigned views;   /* bits of enum tui_view_id */
	uint32_t key[6];  /* ended by 0 */
	const char *show; /* as help writes them: "↑ k" */
	const char *help; /* NULL: said with the row before */
	void (*act)(struct tui_state *s, struct tui_effects *fx, int arg);
	int arg;
};
extern const struct key_row key_rows[]; /* ended by a NULL act */

/* The row for a key in a view; NULL = nothing happens. */
const struct key_row *key_find(enum tui_view_id view, uint32_t key);

/* The keys that the bottom line tells of in a view, the most needed first; NULL after the last. */
const char *key_hint(enum tui_view_id view, int i);

/* What the mouse does too: up and down in the open view, to be clamped; and the command that turns
 * the marked layers and the one under the cursor to a column. */
void tui_move(struct tui_state *s, int by);
void tui_choose(struct tui_state *s, struct tui_effects *fx, int column);

#endif
