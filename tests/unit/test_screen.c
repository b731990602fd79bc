/* The screen without a terminal: keys go in, cells come out and are compared with tests/golden.
 * PARE_GOLDEN=write writes what is there now; read the difference before it is committed. */
#include "tests/tap.h"
#include "tests/unit/scenes.h"
#include "tui/screen/figures.h"
#include "tui/screen/grid.h"
#include "tui/screen/keys.h"
#include "tui/screen/shown.h"
#include "tui/screen/state.h"

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = f ? calloc(1, 1 << 17) : NULL;

	if (text && fread(text, 1, (1 << 17) - 1, f) == 0)
		text[0] = 0;
	if (f)
		fclose(f);
	return text;
}

static void golden_text(const char *text, const char *name)
{
	char path[256], *want;
	FILE *f;

	snprintf(path, sizeof path, "tests/golden/%s.txt", name);
	if (getenv("PARE_GOLDEN") && (f = fopen(path, "wb"))) {
		fputs(text, f);
		fclose(f);
	}
	want = slurp(path);
	if (ok(want && !strcmp(want, text), "screen %s", name) || !want) {
		free(want);
		return;
	}
	for (const char *a = text, *b = want; *a || *b;) {
		size_t n = strcspn(a, "\n"), k = strcspn(b, "\n");

		if (n != k || strncmp(a, b, n))
			printf("# got  %.*s\n# want %.*s\n", (int)n, a, (int)k, b);
		a += n + (a[n] == '\n');
		b += k + (b[k] == '\n');
	}
	free(want);
}

static void golden(const struct tui_state *s, const char *name)
{
	struct grid *g = grid_new(s->h, s->w);
	char *text;

	tui_render(s, g);
	text = grid_text(g, false);
	golden_text(text, name);
	free(text);
	grid_free(g);
}

static void golden_styles(const struct tui_state *s, const char *name)
{
	struct grid *g = grid_new(s->h, s->w);
	char *text;

	tui_render(s, g);
	text = grid_styles(g);
	golden_text(text, name);
	free(text);
	grid_free(g);
}

static struct tui_effects fx;

static void event(struct tui_state *s, struct tui_event ev)
{
	tui_update(s, &ev, &fx);
}

/* Keys one by one; commands go to the scene as they would to a workspace. */
static void press(struct made *m, struct tui_state *s, const char *keys)
{
	while (*keys) {
		event(s, (struct tui_event){ .kind = EV_KEY, .key = text_next(&keys) });
		if (*fx.command && made_command(m, fx.command))
			event(s, (struct tui_event){ .kind = EV_NEWS });
	}
}

static void key(struct made *m, struct tui_state *s, uint32_t k)
{
	event(s, (struct tui_event){ .kind = EV_KEY, .key = k });
	if (*fx.command)
		made_command(m, fx.command);
}

static void text_is_measured_in_columns(void)
{
	const char *broken = "\xc3(\xed\xa0\x80\xff";
	struct grid *g = grid_new(2, 8);
	char *t;

	ok(text_width("16×32²") == 6 && text_width("層1") == 3 && text_width("e\xcc\x81") == 1,
		"narrow, wide and combining characters");
	ok(text_next(&broken) == 0xfffd && *broken == '(', "a broken byte takes itself alone");
	grid_put(g, 0, 0, 8, ST_TEXT, "conversion");
	grid_put_right(g, 1, 0, 4, ST_TEXT, "%d", 42);
	grid_put(g, 1, 5, 9, ST_TEXT, "層層");
	t = grid_text(g, false);
	ok(!strcmp(t, "convers…\n  42 層\n"), "what is cut says so; half a character is not drawn");
	free(t);
	grid_put(g, -1, 0, 8, ST_TEXT, "x");
	grid_put(g, 0, -3, 8, ST_TEXT, "\t\x1b[mabc");
	t = grid_text(g, true);
	ok(!strncmp(t, "mabc", 4), "left of the edge is cut, control characters never pass: %s", t);
	free(t);
	grid_free(g);
}

static void signs_stay_apart_in_ascii(void)
{
	static const uint32_t sign[] = { 0xb7, 0x2591, 0x2592, 0x2593, 0x2588, 0x25aa, 0x2502,
		0x256d, 0x251c, 0x2570, 0x25b8, 0x25c6 };
	char seen[sizeof sign / sizeof *sign + 1] = "";

	for (size_t i = 0; i < sizeof sign / sizeof *sign; i++) {
		ok(!strchr(seen, char_ascii(sign[i])), "'%c' means one thing", char_ascii(sign[i]));
		seen[i] = char_ascii(sign[i]);
	}
}

static void figures_are_short(void)
{
	char b[FIGURE_LEN];

	ok(!strcmp(figure_count(2320, b), "2,320") && !strcmp(figure_count(442368, b), "442 K") &&
			!strcmp(figure_count(2359296, b), "2.4 M"),
		"counts");
	ok(!strcmp(figure_count(999999, b), "1.0 M") &&
			!strcmp(figure_bytes(1023 * 1024, b), "1.0 MiB"),
		"no figure of four digits at the turn of a unit");
	ok(!strcmp(figure_bytes(50176, b), "49.0 KiB"), "bytes");
	ok(!strcmp(figure_times(0.41, 0.22, b), "0.41 → 0.22 ms"), "times: %s", b);
	ok(!strcmp(figure_change(4, 2.5, b), "−38 %"), "change: %s", b);
	ok(!strcmp(figure_drop(&(struct pare_value){ PARE_UNKNOWN, NAN, NAN, NAN, 0 }, b), "?"),
		"an unknown drop is no number");
	ok(!strcmp(figure_spread(&(struct pare_value){ PARE_ESTIMATED, 10, 8, 11, 9 }, b),
		   "×÷1.2") &&
			!strcmp(figure_spread(
					&(struct pare_value){ PARE_MEASURED, 10, 9.6, 10.3, 9 }, b),
				"×÷1.04"),
		"a margin as a factor");
	ok(!strcmp(figure_spread(&(struct pare_value){ PARE_ESTIMATED, 10, 4, 30, 9 }, b), "×÷3.0"),
		"a wide one as a factor");
	ok(!strcmp(figure_spread(&(struct pare_value){ PARE_ESTIMATED, 10, 0, 30, 9 }, b), "×÷99+"),
		"and one without a lower bound");
	ok(!strcmp(figure_drop(&(struct pare_value){ PARE_MEASURED, -0.04, 0, 0, 9 }, b), "0.0"),
		"no minus before nothing");
}

static void the_map_is_the_editor(void)
{
	struct made *m = made_scene(20, 14);
	struct tui_state s;

	ok(tui_init(&s, &m->scene, 24, 80), "state");
	golden(&s, "map-80x24-first");
	press(m, &s, "jjj");
	key(m, &s, K_RIGHT);
	key(m, &s, K_RIGHT);
	key(m, &s, K_RIGHT);
	ok(!strcmp(fx.command, "set conv_4 weights int6"), "a key is short for '%s'", fx.command);
	key(m, &s, K_TAB);
	key(m, &s, K_TAB);
	key(m, &s, K_RIGHT);
	ok(!strcmp(fx.command, "prune conv_4 channels 10%"), "pruning: '%s'", fx.command);
	golden(&s, "map-80x24");
	golden_styles(&s, "map-80x24-styles");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 40, .x = 120 });
	golden(&s, "map-120x40");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 25, .x = 145 });
	golden(&s, "map-145x25");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 60, .x = 200 });
	golden(&s, "map-200x60");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 16, .x = 60 });
	golden(&s, "map-60x16");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 15, .x = 60 });
	golden(&s, "too-small");
	tui_free(&s);
	made_free(m);
}

static void a_newcomer_is_told_what_to_press(void)
{
	struct made *m = made_scene(9, 1);
	struct tui_state s;

	m->scene.n_plans = 1;
	m->scene.here = 0;
	tui_init(&s, &m->scene, 30, 100);
	golden(&s, "map-newcomer");
	tui_free(&s);
	made_free(m);
}

static void marks_share_a_change(void)
{
	struct made *m = made_scene(9, 9);
	struct tui_state s;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "  j ");
	ok(s.n_marked == 3 && s.cur == 4, "Space marks and steps on");
	key(m, &s, K_RIGHT);
	ok(!strcmp(fx.command, "set conv_1,conv_2,conv_4,conv_5 weights float16"),
		"all marked and the one under the cursor: '%s'", fx.command);
	golden(&s, "map-marked");
	key(m, &s, K_ESC);
	ok(!s.n_marked, "Esc clears the marks");
	key(m, &s, '0');
	ok(!strcmp(fx.command, "set conv_5 weights float"), "0 turns a dial off: '%s'", fx.command);
	key(m, &s, K_LEFT);
	ok(!*fx.command, "at the end nothing happens");
	tui_free(&s);
	made_free(m);
}

static void names_that_are_no_words_become_numbers(void)
{
	struct made *m = made_scene(4, 4);
	struct tui_state s;

	m->scene.row[1].name = "block 1, left";
	m->scene.row[2].name = "12";
	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "j");
	key(m, &s, K_RIGHT);
	ok(!strcmp(fx.command, "set 2 weights float16"), "blanks: '%s'", fx.command);
	press(m, &s, "j");
	key(m, &s, K_RIGHT);
	ok(!strcmp(fx.command, "set 3 weights float16"), "digits: '%s'", fx.command);
	tui_free(&s);
	made_free(m);
}

static void many_marks_still_make_one_command(void)
{
	struct made *m = made_scene(700, 700);
	struct tui_state s;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "a");
	ok(s.n_marked == 700, "all are marked");
	key(m, &s, K_RIGHT);
	ok(strlen(fx.command) > 1000 && !strncmp(fx.command, "set 1,2,3,", 10),
		"numbers are shorter than names");
	tui_free(&s);
	made_free(m);
}

static void line(struct tui_state *s, const char *text)
{
	event(s, (struct tui_event){ .kind = EV_LINE, .text = text, .x = (int)strlen(text) });
}

static void a_filter_narrows_as_it_is_typed(void)
{
	struct made *m = made_scene(20, 20);
	struct tui_state s;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "jjjj/");
	ok(fx.edit == '/', "the line is asked for");
	line(&s, "v_1");
	ok(s.n_shown == 11, "text: %d", s.n_shown);
	line(&s, "op=gemm");
	ok(s.n_shown == 1 && s.shown[0] == 19, "operator");
	golden(&s, "map-filter");
	event(&s, (struct tui_event){ .kind = EV_CANCEL });
	ok(s.n_shown == 20 && tui_row(&s) >= 0, "given up: all are back");
	for (int i = 0; i < 5; i++)
		key(m, &s, K_RIGHT);
	press(m, &s, "/");
	line(&s, "drop>0.5");
	ok(s.n_shown == (m->scene.row[tui_row(&s) < 0 ? 0 : tui_row(&s)].drop.value > 0.5),
		"a condition on the drop: %d", s.n_shown);
	line(&s, "bits<6 pruned<10");
	ok(s.n_shown == 1, "two conditions must both hold: %d", s.n_shown);
	line(&s, "macs>1e9");
	ok(s.n_shown == 0 && tui_row(&s) == -1, "nothing passes");
	event(&s, (struct tui_event){ .kind = EV_ENTER });
	golden(&s, "map-nothing");
	key(m, &s, K_RIGHT);
	key(m, &s, K_ENTER);
	ok(!*fx.command && s.view == VIEW_MAP, "keys do no harm there");
	key(m, &s, K_ESC);
	ok(s.n_shown == 20, "Esc clears the filter");
	tui_free(&s);
	made_free(m);
}

static void sorting_keeps_the_cursor_on_its_layer(void)
{
	struct made *m = made_scene(20, 20);
	struct tui_state s;
	bool good = true;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "jjjjs");
	ok(tui_row(&s) == 4, "the cursor is where it was");
	for (int i = 1; i < s.n_shown; i++)
		good &= m->scene.row[s.shown[i - 1]].params >= m->scene.row[s.shown[i]].params;
	ok(good && s.sort == SORT_PARAMS, "largest first");
	tui_free(&s);
	made_free(m);
}

static void a_block_that_is_gone(void)
{
	struct made *m = made_scene(6, 6);
	struct tui_state s;

	for (int i = 2; i < 4; i++) {
		m->scene.row[i].gone = m->scene.row[i].changed = true;
		m->scene.row[i].drop = (struct pare_value){ PARE_UNKNOWN, NAN, NAN, NAN, 0 };
	}
	tui_init(&s, &m->scene, 24, 100);
	press(m, &s, "jj");
	golden(&s, "map-gone");
	tui_free(&s);
	made_free(m);
}

static void the_other_views(void)
{
	struct made *m = made_scene(20, 14);
	struct tui_state s;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "jjj");
	key(m, &s, K_RIGHT);
	key(m, &s, K_ENTER);
	golden(&s, "layer-80x24");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 16, .x = 60 });
	golden(&s, "layer-60x16");
	event(&s, (struct tui_event){ .kind = EV_RESIZE, .y = 40, .x = 120 });
	golden(&s, "layer-120x40");
	press(m, &s, "?");
	golden(&s, "help-120x40");
	press(m, &s, "GqH");
	ok(s.view == VIEW_HISTORY, "history");
	golden(&s, "history-120x40");
	press(m, &s, "g");
	key(m, &s, K_ENTER);
	ok(!strcmp(fx.command, "go 0"), "Enter goes to a plan: '%s'", fx.command);
	press(m, &s, "L");
	golden(&s, "log-120x40");
	press(m, &s, "q");
	ok(s.view == VIEW_LAYER, "q leads back to where one was");
	press(m, &s, "q");
	ok(s.view == VIEW_MAP && !fx.quit, "and to the map");
	press(m, &s, "q");
	ok(fx.quit, "and out");
	tui_free(&s);
	made_free(m);
}

static void without_data_and_with_gaps(void)
{
	static const struct scene_unsupported u[] = { { "up_1", "Resize", "mode cubic" },
		{ "up_2", "Resize", "mode cubic" } };
	const struct pare_value unknown = { PARE_UNKNOWN, NAN, NAN, NAN, 0 };
	struct made *m = made_scene(5, 0);
	struct tui_state s;

	m->scene.data = NULL;
	m->scene.unsupported = u;
	m->scene.n_unsupported = 2;
	m->scene.was.accuracy = m->scene.now.accuracy = m->scene.now.drop = unknown;
	m->scene.n_devices = 0;
	tui_init(&s, &m->scene, 24, 80);
	key(m, &s, K_RIGHT);
	golden(&s, "map-no-data");
	m->scene.was.cost = m->scene.now.cost = (struct pare_cost){ -1, -1, -1 };
	m->scene.saved = SCENE_NOT_SAVED;
	m->scene.saved_why = "/home/me/s.session: no space is left";
	s.message[0] = 0;
	golden(&s, "map-no-cost");
	tui_free(&s);
	made_free(m);
}

static void the_line_at_the_bottom(void)
{
	static const char *candidate[] = { "set", "session", "seed" };
	struct made *m = made_scene(9, 9);
	struct tui_state s;

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, ":");
	line(&s, "se");
	s.prompt.candidate = candidate;
	s.prompt.n_candidates = 3;
	golden(&s, "prompt");
	line(&s, "set * weights int8");
	event(&s, (struct tui_event){ .kind = EV_ENTER });
	ok(!strcmp(fx.command, "set * weights int8"), "a typed command runs");
	event(&s, (struct tui_event){ .kind = EV_REPLY, .text = "no layer 'x'", .key = 1 });
	ok(s.failed && !strcmp(s.message, "no layer 'x'"), "an error is one line");
	press(m, &s, "j");
	ok(!s.failed && !*s.message, "the next key clears it");
	tui_free(&s);
	made_free(m);
}

static void what_is_long_takes_more_lines(void)
{
	struct made *m = made_scene(9, 9);
	struct tui_state s;

	ok(text_line("one two three", 7) == 7 && text_line("one two three", 8) == 7 &&
			text_line("one two three", 6) == 3,
		"a line ends with a word");
	ok(text_line("×÷×÷", 3) == 6 && text_line("層", 1) == 3 && text_line("", 5) == 0,
		"a long word is cut, and no line is without a character");
	tui_init(&s, &m->scene, 24, 80);
	event(&s, (struct tui_event){ .kind = EV_REPLY,
			  .key = 1,
			  .text = "column 1: 'exprt' is not known here; the nearest is 'export'; "
				  "known: seed, set, prune, exit, step, device, undo, redo, go, "
				  "write, export, measure, stop, map, view, note, help or quit" });
	golden(&s, "message-80x24");
	press(m, &s, "L");
	m->scene.n_log = 1;
	m->scene.log = (const char *const[]){ "12:00  export out.onnx: out.onnx written: 47,104 "
					      "bytes, sha256 db48b8b423e9…; weights of 12 layers "
					      "travel as int8" };
	golden(&s, "log-80x24");
	tui_free(&s);
	made_free(m);
}

static void what_is_remembered_comes_back(void)
{
	struct made *m = made_scene(60, 60);
	struct tui_state s, t;
	char text[256];

	tui_init(&s, &m->scene, 24, 80);
	press(m, &s, "/");
	line(&s, "conv");
	event(&s, (struct tui_event){ .kind = EV_ENTER });
	press(m, &s, "sGkkkl");
	tui_remember(&s, text, sizeof text);
	tui_init(&t, &m->scene, 24, 80);
	tui_recall(&t, text);
	ok(tui_row(&s) == tui_row(&t) && s.top == t.top && s.dial == t.dial && s.sort == t.sort &&
			!strcmp(s.filter, t.filter),
		"cursor, scroll, dial, sort and filter: '%s'", text);
	tui_recall(&t, "99999 -7 88 -1 5 zzz");
	tui_recall(&t, "nonsense");
	ok(t.n_shown == 0 && tui_row(&t) == -1, "what does not fit is not believed");
	tui_free(&s);
	tui_free(&t);
	made_free(m);
}

static void keys_are_told_once(void)
{
	bool good = true;

	for (const struct key_row *r = key_rows; r->act; r++)
		for (int v = 0; v < N_VIEWS; v++)
			for (int i = 0; r->key[i]; i++)
				if (r->views >> v & 1)
					good &= key_find((enum tui_view_id)v, r->key[i]) == r;
	ok(good, "no key of the table is hidden by one before it");
	for (int v = 0; v < N_VIEWS; v++)
		good &= key_hint((enum tui_view_id)v, 0) != NULL;
	ok(good && !key_hint(VIEW_LOG, 99), "every view tells of its keys at the bottom");
}

static void the_mouse_turns_a_dial(void)
{
	struct made *m = made_scene(9, 9);
	struct tui_state s;
	struct grid *g = grid_new(24, 80);
	int x = 0;

	tui_init(&s, &m->scene, 24, 80);
	tui_render(&s, g);
	for (x = 0; x < 80 && g->cell[5 * 80 + x].ch != 0x25aa;)
		x++;
	event(&s, (struct tui_event){ .kind = EV_PRESS, .y = 5, .x = x + 3 });
	ok(s.cur == 2 && !*fx.command, "the first press moves the cursor");
	event(&s, (struct tui_event){ .kind = EV_PRESS, .y = 5, .x = x + 3 });
	ok(!strcmp(fx.command, "set conv_3 weights float16"), "the next one turns: '%s'",
		fx.command);
	event(&s, (struct tui_event){ .kind = EV_PRESS, .y = 23, .x = 200 });
	ok(!*fx.command && s.cur == 2, "elsewhere it does nothing");
	grid_free(g);
	tui_free(&s);
	made_free(m);
}

int main(void)
{
	text_is_measured_in_columns();
	signs_stay_apart_in_ascii();
	figures_are_short();
	the_map_is_the_editor();
	a_newcomer_is_told_what_to_press();
	marks_share_a_change();
	names_that_are_no_words_become_numbers();
	many_marks_still_make_one_command();
	a_filter_narrows_as_it_is_typed();
	sorting_keeps_the_cursor_on_its_layer();
	a_block_that_is_gone();
	the_other_views();
	without_data_and_with_gaps();
	the_line_at_the_bottom();
	what_is_long_takes_more_lines();
	what_is_remembered_comes_back();
	keys_are_told_once();
	the_mouse_turns_a_dial();
	return tap_done();
}
