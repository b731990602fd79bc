#include "keys.h"
#include "layout.h"
#include "shown.h"
#include <stdio.h>
#include <string.h>

enum { ONE = 1, PAGE = 1000, HALF = 500, ALL = 1000000 };

void tui_move(struct tui_state *s, int arg)
{
	int lines = list_lines(s), page = lines > 1 ? lines - 1 : 1;
	int by = arg == PAGE    ? page
		 : arg == -PAGE ? -page
		 : arg == HALF  ? (page + 1) / 2
		 : arg == -HALF ? -(page + 1) / 2
				: arg;

	if (s->view == VIEW_MAP || s->view == VIEW_LAYER)
		s->cur += by;
	else if (s->view == VIEW_HISTORY)
		s->pick += by;
	else
		s->scroll += by;
}

static void act_move(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)fx;
	tui_move(s, arg);
}

/* A layer as a command names it: its name, or its number when the name has blanks, commas or what
 * patterns are made of. */
static size_t layer_word(const struct scene *sc, int row, bool number, char *out, size_t len)
{
	const char *name = sc->row[row].name;
	int n;

	if (number || !*name || name[strcspn(name, " \t,*?[]#=\"'")] ||
		(*name >= '0' && *name <= '9'))
		n = snprintf(out, len, "%d", row + 1);
	else
		n = snprintf(out, len, "%s", name);
	return n < 0 ? 0 : (size_t)n;
}

/* The layers that a change is for: all marked and the one under the cursor. */
static bool layers_word(const struct tui_state *s, bool number, char *out, size_t len)
{
	size_t at = 0;

	for (int i = 0; i < s->scene->n_rows; i++) {
		if (!s->marked[i] && i != tui_row(s))
			continue;
		if (at)
			out[at++] = ',';
		at += layer_word(s->scene, i, number, out + at, len - at);
		if (at + 2 >= len)
			return false;
	}
	return true;
}

void tui_choose(struct tui_state *s, struct tui_effects *fx, int column)
{
	const char *form = s->scene->column[column].choose, *hole = strstr(form, "%s");
	char layers[4000];
	int row = tui_row(s);

	if (row < 0 || !hole)
		return;
	if (column == s->scene->row[row].at[s->scene->column[column].dial] && !s->n_marked)
		return;
	if (!layers_word(s, false, layers, sizeof layers) &&
		!layers_word(s, true, layers, sizeof layers)) {
		snprintf(s->message, sizeof s->message,
			"too many layers are marked for one command; a pattern will do: :set * …");
		s->failed = true;
		return;
	}
	snprintf(fx->command, sizeof fx->command, "%.*s%s%s", (int)(hole - form), form, layers,
		hole + 2);
	snprintf(s->message, sizeof s->message, ":%.500s", fx->command);
}

static void act_turn(struct tui_state *s, struct tui_effects *fx, int arg)
{
	int from, to, row = tui_row(s);

	tui_dial_span(s->scene, s->dial, &from, &to);
	if (row < 0 || from == to)
		return;
	tui_choose(s, fx, tui_clamp(s->scene->row[row].at[s->dial] + arg, from, to - 1));
}

static void act_dial(struct tui_state *s, struct tui_effects *fx, int arg)
{
	int from, to, d = (int)s->dial;

	(void)fx;
	do { /* a dial without columns is passed over */
		d = (d + arg + PARE_N_DIALS) % PARE_N_DIALS;
		tui_dial_span(s->scene, (enum pare_dial)d, &from, &to);
	} while (from == to && d != (int)s->dial);
	s->dial = (enum pare_dial)d;
}

static void act_mark(struct tui_state *s, struct tui_effects *fx, int arg)
{
	int row = tui_row(s);

	(void)fx;
	if (row < 0)
		return;
	s->n_marked += s->marked[row] ? -1 : 1;
	s->marked[row] = !s->marked[row];
	tui_move(s, arg);
}

/* All that are shown; when all are marked already, none. */
static void act_mark_all(struct tui_state *s, struct tui_effects *fx, int arg)
{
	bool on = false;

	(void)fx;
	(void)arg;
	for (int i = 0; i < s->n_shown; i++)
		on |= !s->marked[s->shown[i]];
	for (int i = 0; i < s->n_shown; i++) {
		s->n_marked += (int)on - (int)s->marked[s->shown[i]];
		s->marked[s->shown[i]] = on;
	}
}

static void act_sort(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)fx;
	s->sort = (enum tui_sort)(((int)s->sort + arg + N_SORTS) % N_SORTS);
	tui_arrange(s);
}

static void act_edit(struct tui_state *s, struct tui_effects *fx, int arg)
{
	fx->edit = (char)arg;
	snprintf(s->filter_was, sizeof s->filter_was, "%s", s->filter);
	s->prompt = (struct tui_prompt){ .kind = (char)arg };
	if (arg == '/') {
		snprintf(fx->edit_text, sizeof fx->edit_text, "%s", s->filter);
		snprintf(s->prompt.text, sizeof s->prompt.text, "%s", s->filter);
		s->prompt.point = (int)strlen(s->filter);
	}
}

void tui_show(struct tui_state *s, enum tui_view_id v)
{
	if (v == s->view)
		return;
	if (s->view != VIEW_HELP && s->view != VIEW_LOG && s->view != VIEW_HISTORY)
		s->under = s->view;
	s->view = v;
	s->scroll = v == VIEW_LOG ? ALL : 0; /* the newest is last */
	s->pick = s->scene->here;
}

static void act_show(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)fx;
	if (arg != VIEW_LAYER || tui_row(s) >= 0)
		tui_show(s, (enum tui_view_id)arg);
}

static void act_back(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)arg;
	if (s->view == VIEW_LAYER)
		tui_show(s, VIEW_MAP);
	else if (s->view != VIEW_MAP)
		tui_show(s, s->under);
	else if (s->n_marked) {
		memset(s->marked, 0, (size_t)s->scene->n_rows * sizeof *s->marked);
		s->n_marked = 0;
	} else if (*s->filter) {
		s->filter[0] = 0;
		tui_arrange(s);
	} else if (s->scene->asked || s->scene->filing || *s->scene->layer) {
		snprintf(fx->command, sizeof fx->command, "stop");
		snprintf(s->message, sizeof s->message, ":stop");
	}
}

static void act_quit(struct tui_state *s, struct tui_effects *fx, int arg)
{
	if (s->view == VIEW_MAP && s->scene->filing)
		snprintf(s->message, sizeof s->message,
			"a file is not written yet; Esc stops that, then q leaves");
	else if (s->view == VIEW_MAP)
		fx->quit = true;
	else
		act_back(s, fx, arg);
}

static void act_command(struct tui_state *s, struct tui_effects *fx, int arg)
{
	static const char *const line[] = { "undo", "redo" };

	snprintf(fx->command, sizeof fx->command, "%s", line[arg]);
	snprintf(s->message, sizeof s->message, ":%s", line[arg]);
}

static void act_go(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)arg;
	if (s->pick < s->scene->n_plans) {
		snprintf(fx->command, sizeof fx->command, "go %d", s->scene->plan[s->pick].id);
		snprintf(s->message, sizeof s->message, ":%.500s", fx->command);
	}
}

static void act_mouse(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)arg;
	s->mouse = !s->mouse;
	fx->mouse = true;
	snprintf(s->message, sizeof s->message,
		s->mouse ? "the mouse moves the cursor"
			 : "the mouse is the terminal's again: select and copy");
}

enum outside { SUSPEND, REPAINT, PAUSE };
static void act_outside(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)s;
	fx->suspend |= arg == SUSPEND;
	fx->repaint |= arg == REPAINT;
	fx->pause |= arg == PAUSE;
}

static void act_interrupt(struct tui_state *s, struct tui_effects *fx, int arg)
{
	(void)fx;
	(void)arg;
	snprintf(s->message, sizeof s->message, "q leaves; everything is kept in the session");
}

#define MAP (1u << VIEW_MAP)
#define LAYER (1u << VIEW_LAYER)
#define HISTORY (1u << VIEW_HISTORY)
#define TEXT (1u << VIEW_LOG | 1u << VIEW_HELP)
#define ROWS (MAP | LAYER)
#define ANY (MAP | LAYER | HISTORY | TEXT)

/* clang-format off */
const struct key_row key_rows[] = {
	{ ROWS, { K_LEFT },           "←",        "turn the dial under the cursor back", act_turn, -1 },
	{ ROWS, { K_RIGHT },          "→",        "turn it on: fewer bits, more pruned", act_turn, 1 },
	{ ROWS, { '-', '<' },         "-",        NULL, act_turn, -1 },
	{ ROWS, { '+', '=', '>' },    "+",        NULL, act_turn, 1 },
	{ ROWS, { '0' },              "0",        "turn it off", act_turn, -ALL },
	{ ROWS, { K_TAB, 'l' },       "Tab l",    "next dial: weights, activations, pruning", act_dial, 1 },
	{ ROWS, { K_BACKTAB, 'h' },   "S-Tab h",  "dial before", act_dial, -1 },
	{ ANY,  { K_UP, 'k' },        "↑ k",      "up", act_move, -ONE },
	{ ANY,  { K_DOWN, 'j' },      "↓ j",      "down", act_move, ONE },
	{ ANY,  { K_PAGE_UP, CTRL('B') },   "PgUp ^B", "a page up", act_move, -PAGE },
	{ ANY,  { K_PAGE_DOWN, CTRL('F') }, "PgDn ^F", "a page down", act_move, PAGE },
	{ ANY,  { CTRL('U') },        "^U",       "half a page up", act_move, -HALF },
	{ ANY,  { CTRL('D') },        "^D",       "half a page down", act_move, HALF },
	{ ANY,  { K_HOME, 'g' },      "Home g",   "to the first", act_move, -ALL },
	{ ANY,  { K_END, 'G' },       "End G",    "to the last", act_move, ALL },
	{ MAP,  { ' ' },              "Space",    "mark; a change is for all marked", act_mark, ONE },
	{ MAP,  { '*', 'a' },         "* a",      "mark all that are shown, or none", act_mark_all, 0 },
	{ MAP,  { '/' },              "/",        "filter: text, op=Conv, drop>0.5, bits<8, macs>1e6", act_edit, '/' },
	{ MAP,  { 's' },              "s",        "sort by order, params, MACs, drop", act_sort, 1 },
	{ MAP,  { 'S' },              "S",        "sort, backwards through these", act_sort, -1 },
	{ MAP,  { K_ENTER, '\n' },    "Enter",    "open the layer", act_show, VIEW_LAYER },
	{ HISTORY, { K_ENTER, '\n' }, "Enter",    "go to the plan", act_go, 0 },
	{ ANY,  { 'u' },              "u",        "undo", act_command, 0 },
	{ ANY,  { CTRL('R') },        "^R",       "redo", act_command, 1 },
	{ ANY,  { ':' },              ":",        "type a command", act_edit, ':' },
	{ ANY,  { '?' },              "?",        "this help", act_show, VIEW_HELP },
	{ ANY,  { 'H' },              "H",        "history: the plans tried", act_show, VIEW_HISTORY },
	{ ANY,  { 'L' },              "L",        "log", act_show, VIEW_LOG },
	{ ANY,  { 'p' },              "p",        "hold the work in the background, or go on", act_outside, PAUSE },
	{ ANY,  { 'm' },              "m",        "mouse on, off", act_mouse, 0 },
	{ ANY,  { CTRL('L') },        "^L",       "draw the screen anew", act_outside, REPAINT },
	{ ANY,  { CTRL('Z') },        "^Z",       "suspend", act_outside, SUSPEND },
	{ ANY,  { K_ESC, K_BACKSPACE, CTRL('H') }, "Esc", "back; clear marks, then the filter; then stop a budget or rounding", act_back, 0 },
	{ ANY,  { 'q' },              "q",        "back; from the map: leave", act_quit, 0 },
	{ ANY,  { CTRL('C') },        "^C",       NULL, act_interrupt, 0 },
	{ 0 },
};
/* clang-format on */

const struct key_row *key_find(enum tui_view_id view, uint32_t key)
{
	for (const struct key_row *r = key_rows; r->act; r++)
		for (int i = 0; (r->views >> view & 1) && r->key[i]; i++)
			if (r->key[i] == key)
				return r;
	return NULL;
}

const char *key_hint(enum tui_view_id view, int i)
{
	static const struct {
		unsigned views;
		uint32_t key;
		const char *text;
	} hints[] = {
		{ ROWS, K_RIGHT, "←→ turn" },
		{ ROWS, K_TAB, "Tab dial" },
		{ MAP, ' ', "Space mark" },
		{ MAP, K_ENTER, "Enter open" },
		{ LAYER, K_ESC, "Esc back" },
		{ ROWS, 'u', "u undo" },
		{ ROWS, ':', ": command" },
		{ MAP, '/', "/ filter" },
		{ MAP, 's', "s sort" },
		{ ROWS, 'H', "H history" },
		{ MAP, 'q', "q leave" },
		{ HISTORY, K_ENTER, "Enter goes to the plan" },
		{ TEXT, K_DOWN, "↑↓ scroll" },
		{ HISTORY | TEXT, K_ESC, "Esc back" },
	};

	for (size_t k = 0; k < sizeof hints / sizeof *hints; k++)
		if (hints[k].views >> view & 1 && key_find(view, hints[k].key) && !i--)
			return hints[k].text;
	return NULL;
}
