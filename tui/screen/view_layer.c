/* One layer: what it is, and every position of its three dials with what it costs. */
#include "figures.h"
#include "frame.h"
#include "shown.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The dials that are turned, and what stands beside them. */
static void choice(const struct tui_state *s, struct grid *g, const struct scene_row *r)
{
	static const char *const dial[] = { "weights", "activations", "channels pruned",
		"weights pruned" };
	const struct scene *sc = s->scene;
	int x = 10;

	if (!r->changed)
		grid_put(g, 5, x, s->w - 11, ST_DIM, "as it is");
	for (int d = 0; d < PARE_N_DIALS && r->changed; d++) {
		int from, to;

		tui_dial_span(sc, (enum pare_dial)d, &from, &to);
		if (from < to && r->at[d] != from)
			x += grid_put(g, 5, x, s->w - 1 - x, ST_TEXT, "%s%s %s", x > 10 ? ", " : "",
				dial[d], sc->column[r->at[d]].name);
	}
	if (r->changed && *r->beside)
		grid_put(g, 5, x, s->w - 1 - x, ST_TEXT, "%s%s", x > 10 ? "; " : "", r->beside);
}

/* Layers that lose their channels together with this one, as many as have room. */
static void tied(const struct scene *sc, int row, int room, char *out, size_t len)
{
	int left = 0, group = sc->row[row].group;
	size_t n = 0;

	out[0] = 0;
	for (int i = 0; i < sc->n_rows; i++)
		left += i != row && group >= 0 && sc->row[i].group == group;
	for (int i = 0; i < sc->n_rows && left; i++) {
		const char *name = sc->row[i].label;
		int more = left > 1 ? 13 : 0; /* " and 99 more" */

		if (i == row || sc->row[i].group != group)
			continue;
		if (n + strlen(name) + 3 >= len ||
			text_width(out) + text_width(name) + 2 + more > room)
			break;
		n += (size_t)snprintf(out + n, len - n, "%s%s", n ? ", " : "", name);
		left--;
	}
	if (left)
		snprintf(out + n, len - n, n ? " and %d more" : "%d others", left);
}

static void about(const struct tui_state *s, struct grid *g, int row)
{
	const struct scene *sc = s->scene;
	const struct scene_row *r = &sc->row[row];
	char a[FIGURE_LEN], b[FIGURE_LEN], others[512];
	int x = 1;

	x += grid_put(g, 2, x, s->w / 2, ST_TITLE, "%s", r->name) + 2;
	x += grid_put(g, 2, x, s->w - x, ST_TEXT, "%s", r->op) + 2;
	grid_put(g, 2, x, s->w - x - 1, ST_DIM, "layer %d of %d", row + 1, sc->n_rows);
	grid_put(g, 3, 1, 9, ST_HEAD, "weights");
	x = 10 + grid_put(g, 3, 10, 30, ST_TEXT, "%s", r->weight);
	grid_put(g, 3, x + 2, s->w - x - 3, ST_DIM, "%s params, %s MACs, output %s",
		figure_count(r->params, a), figure_count(r->macs, b), r->output);
	grid_put(g, 4, 1, 9, ST_HEAD, "channels");
	tied(sc, row, s->w - 28, others, sizeof others);
	if (r->group < 0)
		grid_put(g, 4, 10, s->w - 11, ST_DIM, "cannot be removed: %s",
			r->stuck ? r->stuck : "no group");
	else
		grid_put(g, 4, 10, s->w - 11, ST_TEXT,
			*others ? "go together with %s" : "tied to no other layer%s", others);
	grid_put(g, 5, 1, 9, ST_HEAD, "choice");
	choice(s, g, r);
}

/* Where samples leave: the places in their order, this layer's among them. */
static bool exits(const struct tui_state *s, struct grid *g, int row)
{
	const struct scene *sc = s->scene;
	double mean = pare_exits_macs(sc->exit, sc->n_exits);
	char v[FIGURE_LEN];
	int x = 10;

	if (sc->n_exits < 2)
		return false;
	grid_put(g, 6, 1, 9, ST_HEAD, "leave");
	for (int i = 0; i < sc->n_exits && x < s->w - 1; i++) {
		const struct pare_exit *e = &sc->exit[i];
		unsigned style = e->layer == row ? ST_FOCUS : ST_TEXT;

		if (isnan(e->share))
			x += grid_put(g, 6, x, s->w - x - 1, ST_DIM, "? ");
		else
			x += grid_put(g, 6, x, s->w - x - 1, style, "%.0f %% ", 100 * e->share);
		x += grid_put(g, 6, x, s->w - x - 1, style, "%s   ",
			e->layer < 0 ? "at the end" : sc->row[e->layer].label);
	}
	if (!isnan(mean))
		grid_put(g, 6, x, s->w - x - 1, ST_MEASURED, "%s MACs on average",
			figure_count((int64_t)mean, v));
	return true;
}

static const char *decibels(double db, char buf[16])
{
	if (isinf(db))
		return "exact";
	snprintf(buf, 16, "%.1f dB", db);
	return buf;
}

/* What rounding costs at the layer's output; false: there is nothing to say. */
static bool noise(const struct tui_state *s, struct grid *g, int y, const struct scene_row *r)
{
	const struct pare_noise *n = &r->noise;
	const char *by = n->picked < 0 ? NULL : pare_method_name(PARE_ROUNDING, (int)n->picked);
	char a[16], b[16], c[16], d[16];

	if (!r->changed)
		return false;
	grid_put(g, y, 1, 9, ST_HEAD, "error");
	if (!r->heard || isnan(n->weights))
		grid_put(g, y, 10, s->w - 11, ST_DIM, "unknown%s",
			r->heard ? "" : " until the plan is measured");
	else
		grid_put(g, y, 10, s->w - 11, ST_MEASURED,
			"weights %s (plain %s)%s%s   activations %s (plain %s)",
			decibels(n->weights, a), decibels(n->plain_weights, b), by ? " by " : "",
			by ? by : "", decibels(n->activations, c),
			decibels(n->plain_activations, d));
	return true;
}

static bool objection(const struct tui_state *s, struct grid *g, int y, const struct scene_row *r)
{
	if (!*r->objection)
		return false;
	grid_put(g, y, 1, 9, ST_HEAD, "device !");
	grid_put(g, y, 10, s->w - 11, ST_TEXT, "%s", r->objection);
	return true;
}

static void bar(struct grid *g, int y, int x, int w, double part, unsigned style)
{
	w = w > 40 ? 40 : w;
	for (int i = 0; i < (int)(part * w); i++)
		grid_set(g, y, x + i, 0x2593, style);
}

static void
option(const struct tui_state *s, struct grid *g, struct rect r, int row, int col, double worst)
{
	const struct scene_column *c = &s->scene->column[col];
	const struct pare_value *v = tui_cell(s, row, col);
	bool at = s->scene->row[row].at[c->dial] == col, wide = r.w >= 50, narrow = r.w < 36;
	bool off = !col || s->scene->column[col - 1].dial != c->dial;
	int heat = off ? 0 : figure_heat(v), x = r.x + (wide ? 35 : narrow ? r.w - 10 : 25);
	char a[FIGURE_LEN];

	if (at)
		grid_set(g, r.y, r.x + 1, 0x25aa, ST_AT);
	grid_put(g, r.y, r.x + 3, 9, at ? ST_TEXT : ST_DIM, "%s", c->name);
	if (col < 64 && s->scene->refused >> col & 1)
		grid_put(g, r.y, r.x + 13, 1, ST_HEAT0 + 3, "!");
	if (off)
		grid_put(g, r.y, r.x + (narrow ? 12 : 15), 9, ST_DIM, "as it is");
	else if (v->kind == PARE_UNKNOWN)
		grid_put(g, r.y, r.x + (narrow ? 12 : 15), 8, ST_DIM, "unknown");
	else {
		grid_put_right(
			g, r.y, r.x + 12, 6, ST_HEAT0 + (unsigned)heat, "%s", figure_drop(v, a));
		if (!narrow)
			grid_put(g, r.y, r.x + 19, 6, ST_DIM, "%s", figure_margin(v, a));
		if (wide)
			grid_put(g, r.y, r.x + 26, 9, ST_DIM, "%s", figure_kind(v->kind, true));
	}
	if (s->scene->option_bytes[col] >= 0)
		grid_put_right(g, r.y, x, 9, at ? ST_TEXT : ST_DIM, "%s",
			figure_bytes(s->scene->option_bytes[col], a));
	if (!off && heat >= 0)
		bar(g, r.y, x + 11, r.x + r.w - 2 - (x + 11), v->value / worst,
			ST_HEAT0 + (unsigned)heat);
	if (at && c->dial == s->dial) {
		grid_light(g, (struct rect){ r.y, r.x, 1, r.w - 1 });
		grid_set(g, r.y, r.x, '[', ST_FOCUS | ST_ON);
		grid_set(g, r.y, r.x + 2, ']', ST_FOCUS | ST_ON);
	}
}

/* What the whole plan comes to, since the dials turn here too. */
static void summary(const struct tui_state *s, struct grid *g)
{
	const struct pare_metrics *now = &s->scene->now;
	char m[FIGURE_LEN], b[FIGURE_LEN];
	int y = s->h - 2, x = 1;

	grid_fill(g, (struct rect){ y - 1, 0, 1, s->w }, 0x2500, ST_RULE);
	x += grid_put(g, y, x, 9, ST_HEAD, "the plan") + 1;
	if (now->accuracy.kind == PARE_UNKNOWN)
		x += grid_put(g, y, x, 20, ST_DIM, "accuracy unknown") + 3;
	else
		x += grid_put(g, y, x, 40,
			     now->accuracy.kind == PARE_MEASURED ? ST_MEASURED : ST_ESTIMATED,
			     "%.1f %% %s %s", now->accuracy.value, figure_margin(&now->accuracy, m),
			     figure_kind(now->accuracy.kind, true)) +
		     3;
	grid_put(g, y, x, s->w - x - 1, ST_MEASURED, "%s (%.0f %%)",
		figure_bytes(now->cost.bytes, b), 100 * now->ratio);
}

/* Two columns: numbers on the left, pruning on the right; when there is too little height, each
 * scrolls so that the dial's place is seen. */
void view_layer_render(const struct tui_state *s, struct grid *g)
{
	static const char *const title[] = { "weights", "activations", "pruned channels",
		"pruned weights" };
	const struct scene *sc = s->scene;
	int row = tui_row(s), half = s->w / 2, y[2], bottom = s->h - 3;
	double worst = 1;

	if (row < 0)
		return;
	about(s, g, row);
	y[0] = 6 + exits(s, g, row);
	y[0] += noise(s, g, y[0], &sc->row[row]);
	y[0] += objection(s, g, y[0], &sc->row[row]);
	y[1] = y[0] = y[0] < 7 ? 7 : y[0];
	summary(s, g);
	for (int c = 0; c < sc->n_columns; c++)
		if (tui_cell(s, row, c)->kind != PARE_UNKNOWN)
			worst = fmax(worst, tui_cell(s, row, c)->value);
	for (int d = 0; d < PARE_N_DIALS; d++) {
		int side = d >= PARE_DIAL_CHANNELS, from, to, first, room;

		tui_dial_span(sc, (enum pare_dial)d, &from, &to);
		if (from == to || y[side] >= bottom)
			continue;
		if (d == PARE_DIAL_CHANNELS && sc->row[row].group < 0)
			continue; /* the line above the dials says why */
		grid_put(g, y[side], side * half + 1, half - 2,
			d == (int)s->dial ? ST_FOCUS : ST_HEAD,
			half < 36 ? "%s" : "%s: points lost, size", title[d]);
		y[side]++;
		/* activations keep three lines below the weights */
		room = bottom - y[side] - (d == PARE_DIAL_WEIGHTS ? 3 : 0);
		first = sc->row[row].at[d] - room + 1;
		first = first < from || to - from <= room ? from : first;
		for (int c = first; c < to && c - first < room; c++)
			option(s, g, (struct rect){ y[side]++, side * half, 1, half }, row, c,
				worst);
		if (s->h >= (d == PARE_DIAL_WEIGHTS ? 22 : 32)) /* a blank line between dials */
			y[side]++;
	}
}
