#include "keys.h"
#include "layout.h"
#include "shown.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After any event the cursor is on something, and in sight. */
static void settle(struct tui_state *s)
{
	int lines = list_lines(s);
	int (*length)(const struct tui_state *) = tui_views[s->view].length;

	s->pick = tui_clamp(s->pick, 0, s->scene->n_plans - 1);
	s->cur = tui_clamp(s->cur, 0, s->n_shown - 1);
	if (length)
		s->scroll = tui_clamp(s->scroll, 0, length(s) - lines);
	else if (s->view != VIEW_HISTORY)
		s->top = tui_clamp(
			tui_clamp(s->top, s->cur - lines + 1, s->cur), 0, s->n_shown - lines);
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
	tui_arrange(s);
	settle(s);
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

	if (s->view != VIEW_MAP || !map_hit(s, ev->y, ev->x, &i, &column))
		return;
	s->cur = i;
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
		break;
	case EV_NEWS:
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
	settle(s);
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
	s->view = layer && s->n_shown ? VIEW_LAYER : VIEW_MAP;
	settle(s);
}
