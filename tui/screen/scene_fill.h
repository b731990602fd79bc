/* From a workspace to a scene. */
#ifndef SCREEN_SCENE_FILL_H
#define SCREEN_SCENE_FILL_H
#include "../../sessions/workspace.h"
#include "scene.h"

struct scene *scene_new(const struct pare_workspace *w); /* NULL: no memory */
void scene_free(struct scene *s);
/* Anew, after a command or news.  Texts are borrowed from the workspace until its next change.
 * Under a millisecond for 500 layers.  False: no memory for the history or the log. */
bool scene_fill(struct scene *s, const struct pare_workspace *w);
/* The sizes of one row: they cost a pare_plan_cost or two. */
void scene_sizes(struct scene *s, const struct pare_workspace *w, int row);
/* option_bytes: what the layer would take at each position of its dials, the others as they are.  A
 * pare_plan_cost for each. */
void scene_options(struct scene *s, const struct pare_workspace *w, int row);

/* Exporters name a layer by its path: "/layer2/layer2.5/conv1/Conv".  What says nothing goes: the
 * slash before, a last part that is the operator, a part that the next one begins with. */
void scene_short_name(const char *name, const char *op, char *out, size_t len);

#endif
