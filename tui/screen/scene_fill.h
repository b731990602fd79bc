/* From a workspace to a scene. */
#ifndef SCREEN_SCENE_FILL_H
#define SCREEN_SCENE_FILL_H
#include "../../sessions/workspace.h"
#include "scene.h"

struct scene *scene_new(const struct pare_workspace *w); /* NULL: no memory */
void scene_free(struct scene *s);
/* Anew, after a command or news.  Texts are borrowed from the workspace until its next change.
 * `row`: the layer under the cursor, whose sizes are asked for; -1 = none.  Under a millisecond for
 * 100 layers, beside one or two pare_plan_cost.  False: no memory for the history. */
bool scene_fill(struct scene *s, const struct pare_workspace *w, int row);
/* Only the sizes of one row: the cursor has moved. */
void scene_sizes(struct scene *s, const struct pare_workspace *w, int row);

#endif
