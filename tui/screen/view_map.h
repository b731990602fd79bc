/* Between the files of the map. */
#ifndef SCREEN_VIEW_MAP_H
#define SCREEN_VIEW_MAP_H
#include "state.h"

/* Float and plan, and the devices: 4 to 6 lines. */
void panel_render(const struct tui_state *s, struct grid *g, struct rect r);

#endif
