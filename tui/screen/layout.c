#include "layout.h"
#include <string.h>

static int panel_height(const struct tui_state *s)
{
	return s->h >= 30 ? 6 : s->h >= 20 ? 5 : 4;
}

static int map_lines(const struct tui_state *s)
{
	int n = s->h - 3 - (s->scene->n_unsupported > 0) - 1 - panel_height(s) - 1;

	return n < 1 ? 1 : n;
}

int map_label_width(const struct scene_column *c, bool tens)
{
	bool share = c->dial == PARE_DIAL_SPARSITY || c->dial == PARE_DIAL_CHANNELS;

	return tens && share && !strchr(c->label, ':') ? 1 : text_width(c->label);
}

/* A position of a dial: `wide` columns, 0 = as its label needs. */
static int position_width(const struct scene_column *c, int wide)
{
	int need = 1 + map_label_width(c, !wide);

	return need > wide ? need : wide;
}

/* Columns that the dials take; wide: each of theirs, 0 = as its label needs. */
static int dials_width(const struct scene *sc, int wide, unsigned hidden)
{
	int w = 0, dials = 0;

	for (int i = 0; i < sc->n_columns; i++)
		if (!(hidden >> sc->column[i].dial & 1))
			w += position_width(&sc->column[i], wide);
	for (int d = 0; d < PARE_N_DIALS; d++)
		dials += !(hidden >> d & 1);
	return w + 2 * dials + 1;
}

static int widest_name(const struct scene *sc)
{
	int w = 5;

	for (int i = 0; i < sc->n_rows; i++)
		if (text_width(sc->row[i].label) > w)
			w = text_width(sc->row[i].label);
	return w + 1;
}

static void place_dials(const struct scene *sc, struct layout *l, int x, int wide)
{
	int d = -1;

	for (int i = 0; i < sc->n_columns && i < 64; i++) {
		const struct scene_column *c = &sc->column[i];

		if ((int)c->dial != d) {
			d = (int)c->dial;
			l->bar_x[d] = x + 1;
			x += l->hidden >> d & 1 ? 0 : 2;
		}
		if (l->hidden >> d & 1)
			continue;
		l->column_x[i] = x + position_width(c, wide) - (wide ? wide - 1 : 1);
		x += position_width(c, wide);
	}
	l->bar_x[PARE_N_DIALS] = x + 1;
	l->drop_x = x + 4;
}

struct layout map_lay_out(const struct tui_state *s)
{
	enum { GUTTER = 3, DROP = 7 };
	static const int want[N_FIELDS] = {
		[F_MACS] = 7, [F_PARAMS] = 7, [F_OUTPUT] = 11, [F_OP] = 9
	};
	static const enum map_field order[] = { F_NAME, F_OP, F_OUTPUT, F_PARAMS, F_MACS };
	/* the dials that go first where there is no room for all, but for the one that is turned */
	static const enum pare_dial spare[] = { PARE_DIAL_SPARSITY, PARE_DIAL_CHANNELS };
	struct layout l = { 0 };
	int wide, left, name = widest_name(s->scene), x = GUTTER;

	for (wide = 4; wide > 2; wide--)
		if (s->w - dials_width(s->scene, wide, 0) - DROP - GUTTER >= 14 + 15 * (wide - 2))
			break;
	wide = wide == 2 ? 0 : wide;
	l.tens = !wide;
	left = s->w - dials_width(s->scene, wide, 0) - DROP - GUTTER;
	for (int i = 0; i < 2 && left < 14; i++) {
		if (spare[i] == s->dial)
			continue;
		l.hidden |= 1u << spare[i];
		left = s->w - dials_width(s->scene, wide, l.hidden) - DROP - GUTTER;
	}
	if (left < 8)
		left = 8;
	l.field_w[F_NAME] = name;
	if (name > (s->w < 100 ? 11 : 20))
		l.field_w[F_NAME] = s->w < 100 ? 11 : 20;
	if (l.field_w[F_NAME] > left)
		l.field_w[F_NAME] = left;
	left -= l.field_w[F_NAME];
	for (int f = F_MACS; f < N_FIELDS && want[f] <= left; f++) {
		l.field_w[f] = want[f];
		left -= want[f];
	}
	if (name > l.field_w[F_NAME]) {
		int more = name - l.field_w[F_NAME];

		more = more < left ? more : left;
		l.field_w[F_NAME] += more > 0 ? more : 0;
	}
	for (int i = 0; i < N_FIELDS; i++)
		if (l.field_w[order[i]]) {
			l.field_x[order[i]] = x;
			x += l.field_w[order[i]];
		}
	place_dials(s->scene, &l, x, wide);
	l.lines = map_lines(s);
	l.note_y = LIST_Y + l.lines;
	l.panel_h = panel_height(s);
	l.panel_y = s->h - 1 - l.panel_h;
	l.rule_y = l.panel_y - 1;
	return l;
}

int list_lines(const struct tui_state *s)
{
	int n = s->h - LIST_Y - 2;

	return s->view == VIEW_MAP || s->view == VIEW_LAYER ? map_lines(s) : n < 1 ? 1 : n;
}

bool map_hit(const struct tui_state *s, int y, int x, int *shown, int *column)
{
	struct layout l = map_lay_out(s);

	*shown = s->top + y - LIST_Y;
	*column = -1;
	if (y < LIST_Y || y >= LIST_Y + l.lines || *shown >= s->n_shown)
		return false;
	for (int i = 0; i < s->scene->n_columns && i < 64; i++)
		if (l.column_x[i] &&
			(x == l.column_x[i] || (x == l.column_x[i] - 1 && *column < 0)))
			*column = i;
	return true;
}
