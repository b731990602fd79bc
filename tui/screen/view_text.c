/* Views that are lists: help, log, history. */
#include "figures.h"
#include "frame.h"
#include "keys.h"
#include "layout.h"
#include <stdio.h>
#include <string.h>

static void title(const struct tui_state *s, struct grid *g, const char *text)
{
	grid_put(g, 1, 1, 20, ST_TITLE, "%s", text);
	grid_fill(g, (struct rect){ 2, 0, 1, s->w }, 0x2500, ST_RULE);
}

/* ---- help ------------------------------------------------------------------------------------ */

/* The help: keys, then what the map's signs mean, then commands.  `right` may take several lines of
 * the screen. */
struct help_line {
	const char *left, *right;
	unsigned style; /* of the left */
	bool dim;
};

static const struct help_line signs[] = {
	{ "·", "costs 0.1 points or less", ST_HEAT0, false },
	{ "░", "up to 0.5", ST_HEAT1, false },
	{ "▒", "up to 2", ST_HEAT2, false },
	{ "▓", "up to 8", ST_HEAT3, false },
	{ "█", "8 points and more", ST_HEAT4, false },
	{ "▪", "where the dial stands; [▪] under the cursor", ST_AT, false },
	{ "", "a place with no sign is not measured yet", ST_TEXT, false },
	{ "≈ est.", "estimated: holds within ± nine times of ten", ST_ESTIMATED, false },
	{ "meas.", "measured on the samples of the top line", ST_MEASURED, false },
	{ "×÷2", "between half of it and twice as much, nine times of ten", ST_DIM, false },
	{ "╭ ├ ╰", "layers whose channels can only be removed together", ST_RULE, false },
	{ "◆", "marked", ST_MARK, false },
	{ "→ ÷ ×", "samples may leave behind it; it becomes two layers; it is gone", ST_MARK,
		false },
};

/* Line i; false: there are not so many. */
static bool help_line(const struct tui_state *s, int i, struct help_line *out)
{
	const int n_signs = (int)(sizeof signs / sizeof *signs);
	int n = 0;

	if (i == n++)
		return *out = (struct help_line){ "keys", "", ST_TITLE, false }, true;
	for (const struct key_row *r = key_rows; r->act; r++)
		if (r->help && i == n++)
			return *out = (struct help_line){ r->show, r->help, ST_KEY, false }, true;
	for (int k = 0; k < 2; k++) /* a blank line, a head */
		if (i == n++)
			return *out = (struct help_line){ k ? "signs" : "", "", ST_TITLE, false },
			       true;
	if (i < n + n_signs)
		return *out = signs[i - n], true;
	n += n_signs;
	for (int k = 0; k < 2; k++)
		if (i == n++)
			return *out = (struct help_line){ k ? "commands" : "", "", ST_TITLE,
				false },
			       true;
	for (int k = 0; k < s->scene->n_commands; k++) {
		const struct scene_command *c = &s->scene->command[k];

		if (i == n++)
			return *out = (struct help_line){ c->name, c->help, ST_KEY, false }, true;
		if (*c->args && i == n++)
			return *out = (struct help_line){ "", c->args, ST_KEY, true }, true;
	}
	return false;
}

/* Draw text over as many lines as it takes, from line y on, what of it is in sight; returns how
 * many.  g NULL: only count. */
static int
put_lines(const struct tui_state *s, struct grid *g, int y, int x, unsigned style, const char *text)
{
	int lines = 0;

	do {
		int n = text_line(text, s->w - x - 1), at = y + lines++;

		if (g && at >= LIST_Y && at < LIST_Y + list_lines(s))
			grid_put(g, at, x, s->w - x - 1, style, "%.*s", n, text);
		text += n + strspn(text + n, " ");
	} while (*text);
	return lines;
}

/* All of it from line y on; returns the lines that it takes. */
static int put_help(const struct tui_state *s, struct grid *g, int y)
{
	struct help_line l;
	int lines = 0;

	for (int i = 0; help_line(s, i, &l); i++) {
		if (g && y + lines >= LIST_Y && y + lines < LIST_Y + list_lines(s))
			grid_put(g, y + lines, 1, 11, l.style, "%s", l.left);
		lines += put_lines(s, g, y + lines, 13, l.dim ? ST_DIM : ST_TEXT, l.right);
	}
	return lines;
}

int view_help_length(const struct tui_state *s)
{
	return put_help(s, NULL, 0);
}

void view_help_render(const struct tui_state *s, struct grid *g)
{
	title(s, g, "help");
	put_help(s, g, LIST_Y - s->scroll);
}

/* ---- log ------------------------------------------------------------------------------------- */

static int put_log(const struct tui_state *s, struct grid *g, int y)
{
	const struct scene *sc = s->scene;
	int lines = 0;

	for (int i = 0; i < sc->n_unsupported; i++) {
		const struct scene_unsupported *u = &sc->unsupported[i];
		char text[512];

		snprintf(
			text, sizeof text, "cannot be run here: %s %s: %s", u->op, u->node, u->why);
		lines += put_lines(s, g, y + lines, 1, ST_BAD, text);
	}
	for (int i = 0; i < sc->n_log; i++)
		lines += put_lines(s, g, y + lines, 1, ST_TEXT, sc->log[i]);
	return lines;
}

int view_log_length(const struct tui_state *s)
{
	return put_log(s, NULL, 0);
}

void view_log_render(const struct tui_state *s, struct grid *g)
{
	title(s, g, "log");
	if (!put_log(s, g, LIST_Y - s->scroll))
		grid_put(g, LIST_Y, 1, s->w - 2, ST_DIM, "nothing yet");
}

/* ---- history --------------------------------------------------------------------------------- */

void view_history_render(const struct tui_state *s, struct grid *g)
{
	const struct scene *sc = s->scene;
	int lines = list_lines(s), top = s->pick - lines / 2;
	char v[FIGURE_LEN];

	title(s, g, "plans tried");
	if (top > sc->n_plans - lines)
		top = sc->n_plans - lines;
	if (top < 0)
		top = 0;
	for (int i = top; i < sc->n_plans && i < top + lines; i++) {
		const struct scene_plan *p = &sc->plan[i];
		int y = LIST_Y + i - top, indent = p->depth > s->w / 4 ? s->w / 4 : p->depth;
		int x, end = s->w - 26;

		if (i == sc->here)
			grid_put(g, y, 0, 2, ST_AT, "●");
		grid_put_right(g, y, 1, 5, ST_DIM, "%d", p->id);
		x = 8 + indent;
		x += grid_put(g, y, x, end - x, i == sc->here ? ST_TEXT : ST_DIM, "%s", p->command);
		if (p->note && *p->note && end - x > 6)
			grid_put(g, y, x + 2, end - x - 2, ST_MARK, "%s", p->note);
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
