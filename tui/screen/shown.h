/* The layers that are shown, in their order, and the one that is meant. */
#ifndef SCREEN_SHOWN_H
#define SCREEN_SHOWN_H
#include "state.h"

/* The row under the cursor; -1 when the filter leaves none. */
int tui_row(const struct tui_state *s);
const struct pare_value *tui_cell(const struct tui_state *s, int row, int column);
/* First column of a dial and one past its last. */
void tui_dial_span(const struct scene *sc, enum pare_dial dial, int *from, int *to);
/* Does a row pass?  Words of the filter must all hold: text in name or operator, op=Conv,
 * drop>0.5, params>1000, macs>1e6, bits<8, pruned>0. */
bool tui_filter_holds(const struct scene *sc, const struct scene_row *r, const char *filter);
/* Filter and sort anew; the cursor stays on its layer when that is still shown. */
void tui_arrange(struct tui_state *s);

static inline int tui_clamp(int x, int lo, int hi)
{
	return x > hi ? (hi < lo ? lo : hi) : x < lo ? lo : x;
}

#endif
