/* The figures under the map: what the float network is, what the plan is, and on which device. Each
 * says what kind of figure it is. */
#include "figures.h"
#include "frame.h"
#include <math.h>
#include <stdio.h>

struct figures_at {
	int y, label, was, now, w; /* columns; w: of now */
	bool wide;
};

static unsigned kind_style(enum pare_kind k)
{
	return k == PARE_MEASURED ? ST_MEASURED : k == PARE_ESTIMATED ? ST_ESTIMATED : ST_DIM;
}

static void accuracy(const struct scene *sc, struct grid *g, struct figures_at *a)
{
	const struct pare_value *was = &sc->was.accuracy, *now = &sc->now.accuracy;
	char m[FIGURE_LEN];

	grid_put(g, a->y, a->label, 9, ST_HEAD, sc->fidelity ? "fidelity" : "accuracy");
	if (was->kind == PARE_UNKNOWN)
		grid_put(g, a->y, a->was, 9, ST_DIM, "unknown");
	else
		grid_put(g, a->y, a->was, 9, ST_TEXT, "%.1f %%", was->value);
	if (now->kind == PARE_UNKNOWN)
		grid_put(g, a->y, a->now, a->w, ST_DIM, sc->data ? "unknown" : "needs --data");
	else
		grid_put(g, a->y, a->now, a->w, kind_style(now->kind), "%.1f %% %s %s", now->value,
			figure_margin(now, m), figure_kind(now->kind, a->wide));
	a->y++;
}

static void drop(const struct scene *sc, struct grid *g, struct figures_at *a)
{
	const struct pare_value *d = &sc->now.drop;
	char v[FIGURE_LEN], m[FIGURE_LEN];

	grid_put(g, a->y, a->label, 9, ST_HEAD, "drop");
	if (d->kind == PARE_UNKNOWN)
		grid_put(g, a->y, a->now, a->w, ST_DIM, "unknown");
	else
		grid_put(g, a->y, a->now, a->w, kind_style(d->kind), "%s %s %s", figure_drop(d, v),
			figure_margin(d, m), a->wide ? "points" : "pp");
	a->y++;
}

/* Where samples leave early: on average, and at worst. */
static int macs(const struct scene *sc, struct grid *g, const struct figures_at *a)
{
	double mean = pare_exits_macs(sc->exit, sc->n_exits);
	char v[FIGURE_LEN], most[FIGURE_LEN];

	figure_count(sc->now.cost.macs, most);
	if (sc->n_exits < 2)
		return grid_put(g, a->y, a->now, a->w, ST_MEASURED, "%s", most);
	if (isnan(mean))
		return grid_put(g, a->y, a->now, a->w, ST_DIM, "at most %s", most);
	return grid_put(g, a->y, a->now, a->w, ST_MEASURED, "%s mean, %s most",
		figure_count((int64_t)mean, v), most);
}

static void amounts(const struct scene *sc, struct grid *g, struct figures_at *a, bool file)
{
	const struct pare_cost *was = &sc->was.cost, *now = &sc->now.cost;
	char v[FIGURE_LEN];
	int n;

	grid_put(g, a->y, a->label, 9, ST_HEAD, "size");
	grid_put(g, a->y, a->was, 9, ST_TEXT, "%s", figure_bytes(was->bytes, v));
	if (now->bytes < 0)
		grid_put(g, a->y, a->now, a->w, ST_DIM, "unknown");
	else
		grid_put(g, a->y, a->now, a->w, ST_MEASURED, "%s (%.0f %%)",
			figure_bytes(now->bytes, v), 100 * sc->now.ratio);
	a->y++;
	if (file) {
		grid_put(g, a->y, a->label, 9, ST_HEAD, "file");
		grid_put(g, a->y, a->was, 9, ST_TEXT, "%s", figure_bytes(was->file_bytes, v));
		grid_put(
			g, a->y, a->now, a->w, ST_MEASURED, "%s", figure_bytes(now->file_bytes, v));
		a->y++;
	}
	grid_put(g, a->y, a->label, 9, ST_HEAD, "MACs");
	grid_put(g, a->y, a->was, 9, ST_TEXT, "%s", figure_count(was->macs, v));
	n = macs(sc, g, a);
	if (!file && a->w - n >= 14) { /* where there is no line for it, and room */
		n += grid_put(g, a->y, a->now + n, a->w - n, ST_HEAD, "  file ");
		grid_put(g, a->y, a->now + n, a->w - n, ST_MEASURED, "%s",
			figure_bytes(now->file_bytes, v));
	}
}

/* ---- devices --------------------------------------------------------------------------------- */

enum { TIMES = 16, SPREAD = 8, AMOUNT = 9, FITS = 4 };

struct devices_at {
	int name, ms, spread, mj, ram, fits; /* columns; 0 = left out */
};

/* Names come whole where there is room; a column that no device fills takes none. */
static struct devices_at devices_columns(const struct scene *sc, struct rect r)
{
	struct devices_at a = { .name = r.x };
	bool mj = false, ram = false;
	int names = 15, left, x;

	for (int i = 0; i < sc->n_devices; i++) {
		int w = text_width(sc->device[i].name) + 1;

		names = w > names ? w : names;
		mj |= sc->device[i].now_mj.kind != PARE_UNKNOWN;
		ram |= sc->device[i].ram >= 0;
	}
	left = r.w - TIMES - FITS;
	names = names > left ? left : names > 26 ? 26 : names;
	a.ms = r.x + names;
	left -= names;
	x = a.ms + TIMES;
	if (left >= SPREAD) {
		a.spread = x;
		x += SPREAD;
		left -= SPREAD;
	}
	if (mj && left >= AMOUNT) {
		a.mj = x;
		x += AMOUNT;
		left -= AMOUNT;
	}
	if (ram && left >= AMOUNT) {
		a.ram = x;
		x += AMOUNT;
	}
	a.fits = x;
	return a;
}

static void device(const struct scene_device *d, struct grid *g, int y, const struct devices_at *a)
{
	static const char *const fits[] = { "?", "✗", "✓" };
	static const enum style fits_style[] = { ST_DIM, ST_BAD, ST_GOOD };
	char v[FIGURE_LEN];

	grid_put(g, y, a->name, a->ms - a->name - 1, ST_HEAD, "%s", d->name);
	grid_put(g, y, a->ms, TIMES, kind_style(d->now_ms.kind), "%s%s",
		d->now_ms.kind == PARE_ESTIMATED ? "≈" : "",
		figure_times(d->was_ms.value, d->now_ms.value, v));
	if (a->spread)
		grid_put(g, y, a->spread, SPREAD - 1, ST_DIM, "%s", figure_spread(&d->now_ms, v));
	if (a->mj && d->now_mj.kind != PARE_UNKNOWN)
		grid_put(g, y, a->mj, AMOUNT - 1, kind_style(d->now_mj.kind), "%s",
			figure_change(d->was_mj.value, d->now_mj.value, v));
	else if (a->mj)
		grid_put(g, y, a->mj, AMOUNT - 1, ST_DIM, "?");
	if (a->ram)
		grid_put(g, y, a->ram, AMOUNT - 1, d->ram < 0 ? ST_DIM : ST_TEXT, "%s",
			figure_bytes(d->ram, v));
	grid_put(g, y, a->fits, FITS, fits_style[d->fits], "%s", fits[d->fits]);
}

static void devices(const struct scene *sc, struct grid *g, struct rect r)
{
	struct devices_at a = devices_columns(sc, r);
	int room = r.h - 1;

	if (!sc->n_devices)
		return;
	grid_put(g, r.y, a.name, 7, ST_HEAD, "device");
	grid_put(g, r.y, a.ms, 9, ST_HEAD, "latency");
	if (a.spread)
		grid_put(g, r.y, a.spread, SPREAD - 1, ST_HEAD, "within");
	if (a.mj)
		grid_put(g, r.y, a.mj, AMOUNT - 1, ST_HEAD, "energy");
	if (a.ram)
		grid_put(g, r.y, a.ram, AMOUNT - 1, ST_HEAD, "RAM");
	grid_put(g, r.y, a.fits, FITS, ST_HEAD, "fits");
	for (int i = 0; i < sc->n_devices && i < room; i++)
		if (i == room - 1 && sc->n_devices > room)
			grid_put(g, r.y + 1 + i, a.name, r.w, ST_DIM, "and %d more",
				sc->n_devices - i);
		else
			device(&sc->device[i], g, r.y + 1 + i, &a);
}

void panel_render(const struct tui_state *s, struct grid *g, struct rect r)
{
	const struct scene *sc = s->scene;
	bool wide = r.w >= 110;
	int left = wide ? 52 : r.w < 76 ? r.w : sc->n_exits < 2 ? 41 : 44;
	struct figures_at a = { .y = r.y,
		.label = 1,
		.was = 10,
		.now = wide ? 21 : 19,
		.w = left - (wide ? 22 : 20),
		.wide = wide };

	grid_put(g, a.y, a.was, 8, ST_HEAD, "float");
	grid_put(g, a.y, a.now, 8, ST_HEAD, "plan");
	a.y++;
	accuracy(sc, g, &a);
	if (r.h > 4)
		drop(sc, g, &a);
	amounts(sc, g, &a, r.h > 5);
	if (left < r.w)
		devices(sc, g, (struct rect){ r.y, left, r.h, r.w - left });
}
