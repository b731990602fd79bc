/* What all views share: the top line, the bottom line, a cell of heat. */
#include "frame.h"
#include "figures.h"
#include "keys.h"
#include "shown.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const uint32_t heat_glyph[] = { 0xb7, 0x2591, 0x2592, 0x2593, 0x2588 };

void frame_cell(const struct tui_state *s, struct grid *g, int y, int x, int row, int col)
{
	const struct scene *sc = s->scene;
	int heat = figure_heat(tui_cell(s, row, col));
	bool off = !col || sc->column[col - 1].dial != sc->column[col].dial;

	if (off)
		heat = 0; /* what is left alone costs nothing */
	if (sc->row[row].at[sc->column[col].dial] == col)
		grid_set(g, y, x, 0x25aa,
			off        ? ST_DIM
			: heat < 0 ? ST_AT
				   : ST_HEAT0 + (unsigned)heat);
	else if (heat >= 0)
		grid_set(g, y, x, heat_glyph[heat], ST_HEAT0 + (unsigned)heat);
}

/* ---- top ------------------------------------------------------------------------------------- */

static int work_width(const struct tui_state *s)
{
	return s->w >= 110 ? 30 : s->w >= 76 ? 21 : 9;
}

/* Widths do not depend on the figures, so that nothing moves while they do. */
static void header_work(const struct tui_state *s, struct grid *g, int x, int w)
{
	const struct scene *sc = s->scene;
	char eta[FIGURE_LEN];

	if (sc->paused) {
		grid_put(g, 0, x, w, ST_HEAD, "held: p goes on");
		return;
	}
	if (!sc->data || sc->n_unsupported)
		return; /* there is no map to come */
	if (sc->work_part >= 1) {
		grid_put(g, 0, x, w, ST_DIM, s->w >= 76 ? "map whole" : "whole");
		return;
	}
	x += grid_put(g, 0, x, w, ST_HEAD, s->w >= 76 ? "map " : "");
	if (s->w >= 110) {
		grid_bar(g, 0, x, 8, sc->work_part, ST_BAR);
		x += 9;
	}
	grid_put_right(g, 0, x, 5, ST_TEXT, "%.0f %%", floor(100 * sc->work_part));
	x += 6;
	if (s->w >= 76 && !isnan(sc->eta))
		grid_put(g, 0, x + 1, 11, ST_DIM, "%s left", figure_span(sc->eta, eta));
}

void frame_header(const struct tui_state *s, struct grid *g)
{
	static const char *const saved[] = { "● saved", "○ not saved", "○ in memory" };
	const struct scene *sc = s->scene;
	int w = work_width(s), x = 1, right = s->w - w - 1;
	char n[FIGURE_LEN];

	header_work(s, g, right, w);
	if (s->w >= 76) {
		right -= 13;
		grid_put(g, 0, right, 12, sc->saved == SCENE_NOT_SAVED ? ST_ERROR : ST_DIM, "%s",
			saved[sc->saved]);
	}
	x += grid_put(g, 0, x, right - x, ST_TITLE, "pare") + 2;
	x += grid_put(g, 0, x, right - x - 1, ST_TEXT, "%s", sc->model) + 2;
	if (!sc->data)
		x += grid_put(g, 0, x, right - x - 1, ST_BAD, "no data") + 2;
	else if (s->w >= 110)
		x += grid_put(g, 0, x, right - x - 1, ST_DIM, "%s, %s samples", sc->data,
			     figure_count(sc->n_samples, n)) +
		     2;
	else
		x += grid_put(g, 0, x, right - x - 1, ST_DIM, "%s", sc->data) + 2;
	if (right - x > 8)
		grid_put(g, 0, x, right - x - 1, ST_DIM, "plan %d of %d%s%s", sc->here + 1,
			sc->n_plans, *sc->steps ? " · " : "", sc->steps);
}

/* ---- bottom ---------------------------------------------------------------------------------- */

/* Completions stand above the line that is typed. */
static void candidates(const struct tui_state *s, struct grid *g)
{
	const struct tui_prompt *p = &s->prompt;
	int widest = 1, columns, lines, most = s->h / 3 < 1 ? 1 : s->h / 3, shown;

	for (int i = 0; i < p->n_candidates; i++)
		if (text_width(p->candidate[i]) > widest)
			widest = text_width(p->candidate[i]);
	columns = (s->w - 1) / (widest + 2);
	columns = columns < 1 ? 1 : columns;
	lines = (p->n_candidates + columns - 1) / columns;
	lines = lines > most ? most : lines;
	if (!lines)
		return;
	grid_fill(g, (struct rect){ s->h - 2 - lines, 0, lines + 1, s->w }, ' ', ST_TEXT);
	grid_fill(g, (struct rect){ s->h - 2 - lines, 0, 1, s->w }, 0x2500, ST_RULE);
	shown = lines * columns;
	for (int i = 0; i < p->n_candidates && i < shown; i++)
		grid_put(g, s->h - 1 - lines + i / columns, 1 + i % columns * (widest + 2), widest,
			ST_TEXT, "%s", p->candidate[i]);
	if (p->n_candidates > shown)
		grid_put_right(g, s->h - 2 - lines, 0, s->w - 2, ST_HEAD, " %d more ",
			p->n_candidates - shown);
}

static void prompt(const struct tui_state *s, struct grid *g)
{
	const struct tui_prompt *p = &s->prompt;
	const char *t = p->text;
	int y = s->h - 1, before = 0, skip, x = 1;

	while (t < p->text + p->point && *t)
		before += char_width(text_next(&t));
	candidates(s, g);
	grid_fill(g, (struct rect){ y, 0, 1, s->w }, ' ', ST_TEXT);
	grid_set(g, y, 0, (uint32_t)p->kind, ST_KEY);
	/* a long line slides so that the cursor is seen */
	skip = before > s->w - 3 ? before - (s->w - 3) : 0;
	for (t = p->text; *t && skip > 0;)
		skip -= char_width(text_next(&t));
	grid_put(g, y, x, s->w - 1, ST_TEXT, "%s", t);
	g->cur_y = y;
	g->cur_x = before > s->w - 3 ? s->w - 2 : x + before;
}

/* What is longer than the line has more of them, above it. */
static void message(const struct tui_state *s, struct grid *g, int room)
{
	unsigned style = s->failed ? ST_ERROR : ST_TEXT;
	const char *t = s->message;
	int lines = 0, y = s->h - 1;

	for (const char *rest = t; text_width(rest) > room && lines < s->h / 3; lines++) {
		rest += text_line(rest, s->w - 2);
		rest += strspn(rest, " ");
	}
	if (lines) {
		grid_fill(g, (struct rect){ y - lines - 1, 0, lines + 1, s->w }, ' ', ST_TEXT);
		grid_fill(g, (struct rect){ y - lines - 1, 0, 1, s->w }, 0x2500, ST_RULE);
	}
	for (int i = 0; i < lines; i++) {
		int n = text_line(t, s->w - 2);

		grid_put(g, y - lines + i, 1, s->w - 2, style, "%.*s", n, t);
		t += n + strspn(t + n, " ");
	}
	grid_put(g, y, 1, room, style, "%s", t);
}

static void hints(const struct tui_state *s, struct grid *g, int room)
{
	const char *hint;
	int x = 1;

	for (int i = 0; (hint = key_hint(s->view, i)) && x + text_width(hint) < room; i++)
		x += grid_put(g, s->h - 1, x, room, ST_DIM, "%s", hint) + 3;
}

/* What goes on, against the right edge; returns the columns that are left. */
static int at_work(const struct tui_state *s, struct grid *g, int right)
{
	const struct scene *sc = s->scene;
	const char *stops = s->n_marked || *s->filter ? "" : "  Esc stops";
	char ago[FIGURE_LEN];
	int y = s->h - 1;

	if (sc->asked) {
		right -= 24;
		grid_put_right(
			g, y, right, 22, ST_DIM, "budget %.0f %%%s", 100 * sc->asked_part, stops);
	} else if (*sc->layer && !s->failed) {
		right -= 30;
		grid_put_right(g, y, right, 28, ST_DIM, "%s %d of %d%s",
			sc->filing ? "writing," : "rounding", sc->layers_done + 1, sc->layers,
			stops);
	} else if (sc->filing) {
		right -= 22;
		grid_put_right(g, y, right, 20, ST_DIM, "writing%s", stops);
	} else if (sc->measuring && s->w >= 100 && !s->failed) {
		right -= 22;
		grid_put_right(g, y, right, 20, ST_DIM, "measuring the plan");
	} else if (!isnan(sc->measured_ago) && s->w >= 100 && !s->failed) {
		right -= 22;
		grid_put_right(g, y, right, 20, ST_DIM, "measured %s ago",
			figure_span(sc->measured_ago, ago));
	}
	return right;
}

void frame_bottom(const struct tui_state *s, struct grid *g)
{
	const struct scene *sc = s->scene;
	int y = s->h - 1, right = s->w - 8;

	if (s->prompt.kind) {
		prompt(s, g);
		return;
	}
	grid_put(g, y, right, 1, ST_KEY, "?");
	grid_put(g, y, right + 2, 5, ST_DIM, "help");
	right = at_work(s, g, right);
	if (*s->message)
		message(s, g, right - 2);
	else if (sc->saved == SCENE_NOT_SAVED && sc->saved_why)
		grid_put(g, y, 1, right - 2, ST_ERROR, "not saved: %s", sc->saved_why);
	else if (s->n_marked)
		grid_put(g, y, 1, right - 2, ST_MARK, "%d marked", s->n_marked);
	else if (*s->filter)
		grid_put(g, y, 1, right - 2, ST_DIM, "/%s: %d of %d layers", s->filter, s->n_shown,
			sc->n_rows);
	else
		hints(s, g, right - 2);
}
