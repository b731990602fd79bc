/* What the views draw, and what they share. */
#ifndef SCREEN_FRAME_H
#define SCREEN_FRAME_H
#include "state.h"

void view_map_render(const struct tui_state *s, struct grid *g);
void view_layer_render(const struct tui_state *s, struct grid *g);
void view_history_render(const struct tui_state *s, struct grid *g);
void view_log_render(const struct tui_state *s, struct grid *g);
void view_help_render(const struct tui_state *s, struct grid *g);
int view_log_length(const struct tui_state *s);
int view_help_length(const struct tui_state *s);

/* Float and plan, and the devices: 4 to 6 lines of the map. */
void panel_render(const struct tui_state *s, struct grid *g, struct rect r);

void frame_header(const struct tui_state *s, struct grid *g);
void frame_bottom(const struct tui_state *s, struct grid *g);
/* The glyph of a choice, at x. */
void frame_cell(const struct tui_state *s, struct grid *g, int y, int x, int row, int col);

#endif
