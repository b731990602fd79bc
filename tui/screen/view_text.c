/* Views that are lists: help, log, history. */
#include "figures.h"
#include "frame.h"
#include "keys.h"
#include "layout.h"
#include <stdio.h>
#include <string.h>

static void title(const struct tui_state *s, struct grid *g, const char *text, const char *hint)
{
	grid_put(g, 1, 1, 20, ST_TITLE, "%s", text);
	grid_put_right(g, 1, 20, s->w - 21, ST_DIM, "%s", hint);
	grid_fill(g, (struct rect){ 2, 0, 1, s->w }, 0x2500, ST_RULE);
}

/* ---- help ------------------------------------------------------------------------------------ */

/* Line i of the help: keys, then commands, then what the map's signs mean. */
struct help_line {
	const char *left, *detail, *right;
	bool head;
};

static const struct help_line signs[] = {
	{ "signs", "", "", true },
	{ "·", "", "costs 0.1 points or less", false },
	{ "░", "", "up to 0.5", false },
	{ "▒", "", "up to 2", false },
	{ "▓", "", "up to 8", false },
	{ "█", "", "8 points and more", false },
	{ "▪", "", "where the dial stands; [▪] under the cursor", false },
	{ "≈ est.", "", "estimated: holds within ± nine times of ten", false },
	{ "meas.", "", "measured on the samples of the top line", false },
	{ "╭ ├ ╰", "", "layers whose channels can only be removed together", false },
	{ "→ ÷", "", "samples may leave behind it; it becomes two layers", false },
};

static bool help_line(const struct tui_state *s, int i, struct help_line *out)
{
	const int n_signs = (int)(sizeof signs / sizeof *signs);
	int n = 0;

	if (i == n++)
		return *out = (struct help_line){ "keys", "", "", true }, true;
	for (const struct key_row *r = key_rows; r->act; r++)
		if (r->help && i == n++)
			return *out = (struct help_line){ r->show, "", r->help, false }, true;
	if (i == n++)
		return *out = (struct help_line){ "", "", "", false }, true;
	if (i < n + n_signs)
		return *out = signs[i - n], true;
	n += n_signs;
	if (i == n++)
		return *out = (struct help_line){ "", "", "", false }, true;
	if (i == n++)
		return *out = (struct help_line){ "commands", "", "", true }, true;
	for (int k = 0; k < s->scene->n_commands; k++) {
		const struct scene_command *c = &s->scene->command[k];

		if (i == n++)
			return *out = (struct help_line){ c->name, "", c->help, false }, true;
		if (*c->args && i == n++)
			return *out = (struct help_line){ "", c->args, "", false }, true;
	}
	return false;
}

int view_help_length(const struct tui_state *s)
{
	struct help_line l;
	int n = 0;

	while (help_line(s, n, &l))
		n++;
	return n;
}

void view_help_render(const struct tui_state *s, struct grid *g)
{
	struct help_line l;

	title(s, g, "help", "↑↓ scroll   Esc back");
	for (int i = 0; i < list_lines(s) && help_line(s, s->scroll + i, &l); i++) {
		int y = LIST_Y + i;

		grid_put(g, y, 1, 11, l.head ? ST_TITLE : ST_KEY, "%s", l.left);
		grid_put(g, y, 13, s->w - 14, *l.detail ? ST_DIM : ST_TEXT, "%s%s", l.right,
			l.detail);
	}
}

/* ---- log ------------------------------------------------------------------------------------- */

int view_log_length(const struct tui_state *s)
{
	return s->scene->n_unsupported + s->scene->n_log;
}

void view_log_render(const struct tui_state *s, struct grid *g)
{
	const struct scene *sc = s->scene;

	title(s, g, "log", "↑↓ scroll   Esc back");
	if (!view_log_length(s))
		grid_put(g, LIST_Y, 1, s->w - 2, ST_DIM, "nothing yet");
	for (int i = 0; i < list_lines(s); i++) {
		int k = s->scroll + i, y = LIST_Y + i;

		if (k < sc->n_unsupported)
			grid_put(g, y, 1, s->w - 2, ST_BAD, "cannot be run here: %s %s: %s",
				sc->unsupported[k].op, sc->unsupported[k].node,
				sc->unsupported[k].why);
		else if (k - sc->n_unsupported < sc->n_log)
			grid_put(g, y, 1, s->w - 2, ST_TEXT, "%s", sc->log[k - sc->n_unsupported]);
	}
}

/* ---- history --------------------------------------------------------------------------------- */

void view_history_render(const struct tui_state *s, struct grid *g)
{
	const struct scene *sc = s->scene;
	int lines = list_lines(s), top = s->pick - lines / 2;
	char v[FIGURE_LEN];

	title(s, g, "plans tried", "Enter goes there   Esc back");
	if (top > sc->n_plans - lines)
		top = sc->n_plans - lines;
	if (top < 0)
		top = 0;
	for (int i = top; i < sc->n_plans && i < top + lines; i++) {
		const struct scene_plan *p = &sc->plan[i];
		int y = LIST_Y + i - top, indent = p->depth > s->w / 4 ? s->w / 4 : p->depth;

		if (i == sc->here)
			grid_put(g, y, 0, 2, ST_AT, "●");
		grid_put_right(g, y, 1, 5, ST_DIM, "%d", p->id);
		grid_put(g, y, 8 + indent, s->w - 8 - indent - 26, i == sc->here ? ST_TEXT : ST_DIM,
			"%s", p->command);
		if (p->drop.kind == PARE_UNKNOWN)
			grid_put_right(g, y, s->w - 25, 24, ST_DIM, "not measured");
		else
			grid_put_right(g, y, s->w - 25, 24, ST_MEASURED, "drop %s measured",
				figure_drop(&p->drop, v));
		if (i == s->pick) {
			grid_light(g, (struct rect){ y, 0, 1, s->w });
			if (i != sc->here)
				grid_set(g, y, 0, 0x25b8, ST_TITLE | ST_ON);
		}
	}
}
