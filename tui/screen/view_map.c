/* The map: a row is a layer, a cell a choice, its shade what the choice costs.  And the editor: the
 * dials that stand on it are the plan. */
#include "figures.h"
#include "frame.h"
#include "layout.h"
#include "shown.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- heads ----------------------------------------------------------------------------------- */

static void heads(const struct tui_state *s, struct grid *g, const struct layout *l)
{
	static const char *const title[] = { "weights, bits", "act", "channels, %", "pruned, %" };
	static const char *const sorted[] = { "layer", "layer ↓params", "layer ↓MACs",
		"layer ↓drop" };
	static const char *const field[] = { NULL, "MACs", "params", "output", "op" };
	const struct scene *sc = s->scene;

	grid_put(g, 2, l->field_x[F_NAME], l->field_w[F_NAME], ST_HEAD, "%s", sorted[s->sort]);
	for (int f = F_MACS; f < N_FIELDS; f++)
		if (f == F_OP || f == F_OUTPUT)
			grid_put(g, 2, l->field_x[f] + 1, l->field_w[f] - 1, ST_HEAD, "%s",
				field[f]);
		else
			grid_put_right(g, 2, l->field_x[f], l->field_w[f], ST_HEAD, "%s", field[f]);
	for (int d = 0; d < PARE_N_DIALS; d++) {
		int from, to;

		tui_dial_span(sc, (enum pare_dial)d, &from, &to);
		if (from == to || l->hidden >> d & 1)
			continue;
		grid_put(g, 1, l->bar_x[d] + 2, l->bar_x[d + 1] - l->bar_x[d] - 2,
			d == (int)s->dial ? ST_FOCUS : ST_HEAD, "%s",
			d == PARE_DIAL_SPARSITY && l->tens   ? "pruned, ×10 %"
			: d == PARE_DIAL_CHANNELS && l->tens ? "channels ×10"
							     : title[d]);
	}
	for (int i = 0; i < sc->n_columns && i < 64; i++) {
		const struct scene_column *c = &sc->column[i];
		int n = map_label_width(c, l->tens);

		if (!l->column_x[i])
			continue;
		grid_put(g, 2, l->column_x[i] - n + 1, n, c->dial == s->dial ? ST_TEXT : ST_HEAD,
			"%.*s", n, c->label);
	}
	if (l->hidden)
		grid_put(g, 1, l->drop_x - 1, 5, ST_HEAD, "Tab →");
	grid_put_right(g, 2, l->drop_x, 4, ST_HEAD, "drop");
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Layers whose channels can only go together are tied by a bracket; a group that begins while
 * another is open has no room for one, and the layer view names its members. */
static uint32_t bracket(const struct tui_state *s, int i)
{
	const struct scene_row *row = s->scene->row;
	int open = -1, last = -1;
	uint32_t ch = ' ';

	for (int k = 0; k <= i; k++) {
		int group = row[s->shown[k]].group;

		ch = open >= 0 ? 0x2502 : ' ';
		if (open < 0 && group >= 0) {
			for (int m = k + 1; m < s->n_shown; m++)
				if (row[s->shown[m]].group == group)
					last = m;
			if (last > k) {
				open = group;
				ch = 0x256d;
			}
		} else if (open >= 0 && group == open) {
			ch = k == last ? 0x2570 : 0x251c;
			open = k == last ? -1 : open;
		}
	}
	return ch;
}

/* Of a path the end says most. */
static void short_name(const char *text, int w, char *out, size_t len)
{
	int over = text_width(text) - w;

	if (over <= 0 || !strchr(text, '/')) {
		snprintf(out, len, "%s", text);
		return;
	}
	for (over++; over > 0;)
		over -= char_width(text_next(&text));
	snprintf(out, len, "…%s", text);
}

static void
row_fields(struct grid *g, const struct layout *l, int y, const struct scene_row *r, bool on)
{
	unsigned dim = on ? ST_TEXT : ST_DIM;
	char buf[FIGURE_LEN], name[sizeof r->label + 4];

	short_name(r->label, l->field_w[F_NAME] - 1, name, sizeof name);
	grid_put(g, y, l->field_x[F_NAME], l->field_w[F_NAME] - 1,
		r->changed && !r->gone ? ST_TEXT : dim, "%s", name);
	if (r->exit || r->rank || r->gone)
		grid_set(g, y, l->field_x[F_NAME] + l->field_w[F_NAME] - 1,
			r->gone   ? 0xD7
			: r->exit ? 0x2192
				  : 0xF7,
			ST_MARK);
	if (l->field_w[F_OP])
		grid_put(g, y, l->field_x[F_OP] + 1, l->field_w[F_OP] - 2, dim, "%s", r->op);
	if (l->field_w[F_OUTPUT])
		grid_put(g, y, l->field_x[F_OUTPUT] + 1, l->field_w[F_OUTPUT] - 2, dim, "%s",
			r->gone ? "gone" : r->output);
	if (l->field_w[F_PARAMS])
		grid_put_right(g, y, l->field_x[F_PARAMS], l->field_w[F_PARAMS], dim, "%s",
			figure_count(r->gone ? 0 : r->params, buf));
	if (l->field_w[F_MACS])
		grid_put_right(g, y, l->field_x[F_MACS], l->field_w[F_MACS], dim, "%s",
			figure_count(r->gone ? 0 : r->macs, buf));
}

static void row_drop(struct grid *g, int y, int x, const struct scene_row *r)
{
	char buf[FIGURE_LEN];
	int heat = figure_heat(&r->drop);

	if (r->changed)
		grid_put_right(g, y, x - 1, 5, heat < 0 ? ST_DIM : ST_HEAT0 + (unsigned)heat,
			"%s%s", r->drop.kind == PARE_ESTIMATED ? "≈" : "",
			figure_drop(&r->drop, buf));
}

static void draw_row(const struct tui_state *s, struct grid *g, const struct layout *l, int i)
{
	int y = LIST_Y + i - s->top, row = s->shown[i];
	const struct scene_row *r = &s->scene->row[row];
	bool on = i == s->cur;

	if (s->marked[row])
		grid_set(g, y, 0, 0x25c6, ST_MARK);
	else if (on)
		grid_set(g, y, 0, 0x25b8, ST_TITLE);
	if (s->sort == SORT_ORDER)
		grid_set(g, y, 1, bracket(s, i), ST_RULE);
	row_fields(g, l, y, r, on);
	for (int c = 0; c < s->scene->n_columns && c < 64; c++)
		if (l->column_x[c] && !r->gone &&
			!(r->group < 0 && s->scene->column[c].dial == PARE_DIAL_CHANNELS))
			frame_cell(s, g, y, l->column_x[c], row, c);
	row_drop(g, y, l->drop_x, r);
	if (on) {
		/* the left part alone is lit: over a slow line a step costs a few hundred bytes */
		grid_light(g, (struct rect){ y, 0, 1, l->bar_x[0] });
		grid_set(g, y, l->column_x[r->at[s->dial]] - 1, '[', ST_FOCUS);
		grid_set(g, y, l->column_x[r->at[s->dial]] + 1, ']', ST_FOCUS);
	}
}

/* ---- what the cell under the cursor means ------------------------------------------------------
 */

struct sentence {
	char text[512];
	int w, room; /* columns */
};

/* A part that has no room is left out whole. */
__attribute__((format(printf, 2, 3))) static void say(struct sentence *s, const char *fmt, ...)
{
	char part[256];
	size_t n = strlen(s->text);
	va_list ap;
	int w;

	va_start(ap, fmt);
	vsnprintf(part, sizeof part, fmt, ap);
	va_end(ap);
	w = text_width(part);
	if (s->w + w > s->room || n + strlen(part) >= sizeof s->text)
		return;
	strcpy(s->text + n, part);
	s->w += w;
}

static void explain(const struct tui_state *s, struct sentence *out)
{
	static const char *const dial[] = { "weights", "activations", "channels pruned", "pruned" };
	const struct scene *sc = s->scene;
	int row = tui_row(s), from, to, at;
	const struct scene_row *r;
	const struct pare_value *v;
	char a[FIGURE_LEN], b[FIGURE_LEN], name[sizeof r->label + 4];

	if (row < 0) {
		say(out, *s->filter ? "no layer passes the filter; Esc clears it"
			 : sc->n_hidden
				 ? "its layers are in graphs inside nodes, which have no dials"
				 : "this network has no layers with weights");
		return;
	}
	r = &sc->row[row];
	at = r->at[s->dial];
	tui_dial_span(sc, s->dial, &from, &to);
	v = tui_cell(s, row, at);
	short_name(r->label, out->room / 3, name, sizeof name);
	if (r->gone) {
		say(out, "%s is gone with its residual block", name);
		say(out, "; undo, or prune %s block stays, brings it back", r->label);
		return;
	}
	say(out, "%s %s %s", name, dial[s->dial], sc->column[at].name);
	if (at == from)
		say(out, ": as it is");
	else if (at < 64 && r->cannot >> at & 1)
		say(out, ": takes nothing, its channels do not come out even");
	else if (v->kind == PARE_UNKNOWN)
		say(out, ": cost %s",
			!sc->data           ? "unknown without data"
			: sc->n_unsupported ? "unknown"
					    : "not known yet");
	else {
		say(out, ": costs %s %s %s", figure_drop(v, a), figure_margin(v, b),
			figure_kind(v->kind, true));
		say(out, " on %s", figure_count(v->samples, a));
	}
	for (int i = 0; i < sc->n_exits; i++)
		if (sc->exit[i].layer == row && !isnan(sc->exit[i].share))
			say(out, " · %.0f %% leave here", 100 * sc->exit[i].share);
	if (*r->beside)
		say(out, " · %s", r->beside);
	if (r->changed && r->bytes[1] >= 0)
		say(out, " · %s", figure_sizes(r->bytes[0], r->bytes[1], a));
	if (at + 1 < to && v[1].kind != PARE_UNKNOWN)
		say(out, " · next %s %s", sc->column[at + 1].name, figure_drop(v + 1, a));
}

static void note(const struct tui_state *s, struct grid *g, int y)
{
	const struct scene *sc = s->scene;
	const struct scene_unsupported *u = sc->unsupported;
	int x = 1;

	x += grid_put(g, y, x, s->w - 2, ST_BAD, "%d node%s cannot be run here", sc->n_unsupported,
		sc->n_unsupported > 1 ? "s" : "");
	grid_put(g, y, x, s->w - x - 1, ST_DIM, ": %s %s, %s%s", u->op, u->node, u->why,
		sc->n_unsupported > 1 ? " …   L lists all" : "");
}

/* ---- for who sees it first: where rows leave room -------------------------------------------- */

/* What the signs mean, as far as they can be there; returns the lines that it takes. */
static int put_legend(const struct tui_state *s, struct grid *g, int y)
{
	static const struct {
		const char *sign, *text;
		enum style style;
	} legend[] = {
		{ "▪", "a dial stands here", ST_AT },
		{ "├", "channels go together", ST_RULE },
		{ "≈", "estimated", ST_ESTIMATED },
		{ "·", "costs 0.1 points or less", ST_HEAT0 },
		{ "░", "up to 0.5", ST_HEAT1 },
		{ "▒", "up to 2", ST_HEAT2 },
		{ "▓", "up to 8", ST_HEAT3 },
		{ "█", "more", ST_HEAT4 },
	};
	const bool map = s->scene->data && !s->scene->n_unsupported;
	const int n = map ? (int)(sizeof legend / sizeof *legend) : 2;
	int x = 3, first = y;

	for (int i = 0; i < n; i++) {
		int w = 2 + text_width(legend[i].text);

		if (x + w > s->w - 1 || legend[i].style == ST_HEAT0) {
			x = 3;
			y++;
		}
		grid_put(g, y, x, 1, legend[i].style, "%s", legend[i].sign);
		grid_put(g, y, x + 2, w, ST_DIM, "%s", legend[i].text);
		x += w + 3;
	}
	return y + 1 - first;
}

static void newcomer(const struct tui_state *s, struct grid *g, int lines)
{
	static const char *const tips[] = {
		"Up, Down walk the layers, Left, Right turn the dial [▪], Tab takes the next.",
		"The figures below follow each turn; u takes it back, and nothing is lost.",
		":set * weights int8  turns all layers,  :write r.pare  saves the plan.",
	};
	enum { N_TIPS = sizeof tips / sizeof *tips };
	int y = LIST_Y + s->n_shown + 1, end = LIST_Y + lines;

	if (end - y < 3 || !s->n_shown)
		return;
	y += put_legend(s, g, y) + 1;
	for (int i = 0; i < N_TIPS && s->scene->n_plans == 1 && end - y >= N_TIPS - i; i++)
		grid_put(g, y++, 3, s->w - 4, ST_HEAD, "%s", tips[i]);
}

void view_map_render(const struct tui_state *s, struct grid *g)
{
	struct layout l = map_lay_out(s);
	struct sentence text = { .room = s->w - 8 };
	int rows = s->n_shown - s->top < l.lines ? s->n_shown - s->top : l.lines;

	heads(s, g, &l);
	for (int d = 0; d <= PARE_N_DIALS; d++)
		grid_fill(g, (struct rect){ 1, l.bar_x[d], rows + 2, 1 }, 0x2502, ST_RULE);
	for (int i = s->top; i < s->n_shown && i < s->top + l.lines; i++)
		draw_row(s, g, &l, i);
	newcomer(s, g, l.lines);
	if (s->scene->n_unsupported)
		note(s, g, l.note_y);
	grid_fill(g, (struct rect){ l.rule_y, 0, 1, s->w }, 0x2500, ST_RULE);
	explain(s, &text);
	grid_put(g, l.rule_y, 2, s->w - 4, ST_TEXT, " %s ", text.text);
	panel_render(s, g, (struct rect){ l.panel_y, 0, l.panel_h, s->w });
}
