/* The views, and the screen as a whole. */
#include "frame.h"
#include <string.h>

const struct tui_view tui_views[N_VIEWS] = {
	[VIEW_MAP] = { "map", view_map_render, NULL },
	[VIEW_LAYER] = { "layer", view_layer_render, NULL },
	[VIEW_HISTORY] = { "history", view_history_render, NULL },
	[VIEW_LOG] = { "log", view_log_render, view_log_length },
	[VIEW_HELP] = { "help", view_help_render, view_help_length },
};

int tui_find_view(const char *name)
{
	for (int i = 0; i < N_VIEWS; i++)
		if (!strcmp(tui_views[i].name, name))
			return i;
	return -1;
}

void tui_render(const struct tui_state *s, struct grid *g)
{
	grid_clear(g);
	if (s->h < 16 || s->w < 60) {
		grid_put(g, s->h / 2, 0, s->w, ST_TEXT, " pare needs 60×16; this is %d×%d", s->w,
			s->h);
		return;
	}
	frame_header(s, g);
	tui_views[s->view].render(s, g);
	frame_bottom(s, g);
}
