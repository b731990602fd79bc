#include "keys.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows shown ------------------------------------------------------------------------------ */

int tui_row(const struct tui_state *s)
{
	return s->n_shown ? s->shown[s->cur] : -1;
}

const struct pare_value *tui_cell(const struct tui_state *s, int row, int column)
{
	return &s->scene->cell[row * s->scene->n_columns + column];
}

void tui_dial_span(const struct scene *sc, enum pare_dial dial, int *from, int *to)
{
	*from = 0;
	while (*from < sc->n_columns && sc->column[*from].dial != dial)
		++*from;
	for (*to = *from; *to < sc->n_columns && sc->column[*to].dial == dial;)
		++*to;
}

static double drop_of(const struct scene_row *r)
{
	return !r->changed ? 0 : r->drop.kind == PARE_UNKNOWN ? NAN : r->drop.value;
}

static double field(const struct scene *sc, const struct scene_row *r, const char *name, size_t n)
{
	static const char *const names[] = { "drop", "params", "macs", "bits", "pruned" };
	const char *label;
	int i = 0;

	while (i < 5 && (strlen(names[i]) != n || strncmp(names[i], name, n)))
		i++;
	switch (i) {
	case 0:
		return drop_of(r);
	case 1:
		return (double)r->params;
	case 2:
		return (double)r->macs;
	case 3:
		label = sc->column[r->at[PARE_DIAL_WEIGHTS]].label;
		return *label == 'f' ? 32 : atof(label);
	case 4:
		return sc->column[r->at[PARE_DIAL_SPARSITY]].share;
	default:
		return NAN;
	}
}

static bool contains(const char *text, const char *part, size_t n)
{
	for (; *text; text++)
		if (!strncasecmp(text, part, n))
			return true;
	return !n;
}

static bool word_holds(const struct scene *sc, const struct scene_row *r, const char *w, size_t n)
{
	size_t k = strcspn(w, "<>=");
	double x, limit;
	char *end;

	if (k >= n)
		return contains(r->name, w, n) || contains(r->op, w, n);
	if (w[k] == '=' && k == 2 && !strncmp(w, "op", 2))
		return strlen(r->op) == n - 3 && !strncasecmp(r->op, w + 3, n - 3);
	x = field(sc, r, w, k);
	limit = strtod(w + k + 1, &end);
	if (end == w + k + 1)
		return true; /* the number is still being typed */
	return w[k] == '<' ? x < limit : w[k] == '>' ? x > limit : fabs(x - limit) < 1e-9;
}

bool tui_filter_holds(const struct scene *sc, const struct scene_row *r, const char *filter)
{
	while (*(filter += strspn(filter, " "))) {
		size_t n = strcspn(filter, " ");

		if (!word_holds(sc, r, filter, n))
			return false;
		filter += n;
	}
	return true;
}

static double sort_key(const struct tui_state *s, int row)
{
	const struct scene_row *r = &s->scene->row[row];
	double d = drop_of(r);

	switch (s->sort) {
	case SORT_PARAMS:
		return -(double)r->params;
	case SORT_MACS:
		return -(double)r->macs;
	case SORT_DROP:
		return isnan(d) ? 1e9 : -d;
	default:
		return row;
	}
}

void tui_keep_in_sight(struct tui_state *s)
{
	int lines = view_map_lines(s);

	if (s->cur >= s->n_shown)
		s->cur = s->n_shown - 1;
	if (s->cur < 0)
		s->cur = 0;
	if (s->top > s->cur)
		s->top = s->cur;
	if (s->cur - s->top >= lines)
		s->top = s->cur - lines + 1;
	if (s->top > s->n_shown - lines)
		s->top = s->n_shown - lines;
	if (s->top < 0)
		s->top = 0;
}

/* Filter and sort anew; the cursor stays on its layer when that is still shown. */
void tui_arrange(struct tui_state *s)
{
	int row = tui_row(s), n = 0;

	for (int i = 0; i < s->scene->n_rows; i++) {
		double k = sort_key(s, i);
		int at;

		if (!tui_filter_holds(s->scene, &s->scene->row[i], s->filter))
			continue;
		for (at = n++; at > 0 && sort_key(s, s->shown[at - 1]) > k; at--)
			s->shown[at] = s->shown[at - 1];
		s->shown[at] = i;
	}
	s->n_shown = n;
	for (int i = 0; i < n; i++)
		if (s->shown[i] == row)
			s->cur = i;
	tui_keep_in_sight(s);
}

bool tui_init(struct tui_state *s, const struct scene *scene, int h, int w)
{
	size_t n = (size_t)scene->n_rows + 1;

	*s = (struct tui_state){ .scene = scene, .h = h, .w = w, .mouse = true };
	s->shown = calloc(n, sizeof *s->shown);
	s->marked = calloc(n, sizeof *s->marked);
	if (!s->shown || !s->marked) {
		tui_free(s);
		return false;
	}
	snprintf(s->message, sizeof s->message,
		"←→ turn the dial   Tab next dial   Space mark   u undo   : command");
	tui_arrange(s);
	return true;
}

void tui_free(struct tui_state *s)
{
	free(s->shown);
	free(s->marked);
	s->shown = NULL;
	s->marked = NULL;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void press(struct tui_state *s, struct tui_effects *fx, const struct tui_event *ev)
{
	int i, column, row = tui_row(s);

	if (s->view == VIEW_HISTORY || s->view != VIEW_MAP ||
		!view_map_hit(s, ev->y, ev->x, &i, &column))
		return;
	s->cur = i;
	tui_keep_in_sight(s);
	if (column < 0)
		return;
	/* the first press says which dial is meant, the next one turns it */
	if (row == tui_row(s) && s->scene->column[column].dial == s->dial)
		tui_choose(s, fx, column);
	s->dial = s->scene->column[column].dial;
}

static void line_edited(struct tui_state *s, const struct tui_event *ev)
{
	snprintf(s->prompt.text, sizeof s->prompt.text, "%s", ev->text);
	s->prompt.point = tui_clamp(ev->x, 0, (int)strlen(s->prompt.text));
	if (s->prompt.kind == '/') {
		snprintf(s->filter, sizeof s->filter, "%.127s", ev->text);
		tui_arrange(s);
	}
}

static void line_ended(struct tui_state *s, struct tui_effects *fx, bool entered)
{
	if (entered && s->prompt.kind == ':' && s->prompt.text[strspn(s->prompt.text, " ")]) {
		snprintf(fx->command, sizeof fx->command, "%s", s->prompt.text);
		snprintf(s->message, sizeof s->message, ":%.500s", s->prompt.text);
	} else if (!entered && s->prompt.kind == '/') {
		snprintf(s->filter, sizeof s->filter, "%s", s->filter_was);
		tui_arrange(s);
	}
	s->prompt = (struct tui_prompt){ 0 };
}

void tui_update(struct tui_state *s, const struct tui_event *ev, struct tui_effects *fx)
{
	const struct key_row *r;

	*fx = (struct tui_effects){ 0 };
	switch (ev->kind) {
	case EV_KEY:
		s->message[0] = 0;
		s->failed = false;
		r = key_find(s->view, ev->key);
		if (r)
			r->act(s, fx, r->arg);
		break;
	case EV_PRESS:
		press(s, fx, ev);
		break;
	case EV_WHEEL:
		tui_move(s, 3 * (int)ev->key);
		break;
	case EV_RESIZE:
		s->h = ev->y;
		s->w = ev->x;
		tui_keep_in_sight(s);
		tui_move(s, 0);
		break;
	case EV_NEWS:
		tui_keep_in_sight(s);
		s->pick = tui_clamp(s->pick, 0, s->scene->n_plans - 1);
		break;
	case EV_LINE:
		line_edited(s, ev);
		break;
	case EV_ENTER:
	case EV_CANCEL:
		line_ended(s, fx, ev->kind == EV_ENTER);
		break;
	case EV_REPLY:
		if (*ev->text || ev->key)
			snprintf(s->message, sizeof s->message, "%s", ev->text);
		s->failed = ev->key;
		break;
	}
}

/* ---- found again ----------------------------------------------------------------------------- */

void tui_remember(const struct tui_state *s, char *out, size_t len)
{
	int row = tui_row(s);

	snprintf(out, len, "%d %d %d %d %d %s", row, s->cur - s->top, (int)s->dial, (int)s->sort,
		s->view == VIEW_LAYER, s->filter);
}

void tui_recall(struct tui_state *s, const char *text)
{
	int row, above, dial, sort, layer, n = 0;

	if (sscanf(text, "%d %d %d %d %d%n", &row, &above, &dial, &sort, &layer, &n) != 5)
		return;
	if (dial >= 0 && dial < PARE_N_DIALS)
		s->dial = (enum pare_dial)dial;
	if (sort >= 0 && sort < N_SORTS)
		s->sort = (enum tui_sort)sort;
	snprintf(s->filter, sizeof s->filter, "%s", text[n] ? text + n + 1 : "");
	tui_arrange(s);
	for (int i = 0; i < s->n_shown; i++)
		if (s->shown[i] == row)
			s->cur = i;
	s->top = s->cur - tui_clamp(above, 0, s->cur);
	tui_keep_in_sight(s);
	s->view = layer && s->n_shown ? VIEW_LAYER : VIEW_MAP;
}
