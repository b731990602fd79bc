#include "terminal.h"
#include "../../engine/pare.h"
#include "looks.h"
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <ncursesw/curses.h>
#include <ncursesw/term.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum depth { MONO, SIXTEEN, PALETTE, TRUE_COLOUR };

static struct {
	SCREEN *screen;
	bool open, utf8, light, mouse;
	enum depth depth;
	struct grid *shown; /* what the terminal shows, as drawn */
	attr_t attr[2][ST_N];
	short pair[2][ST_N];
	struct termios was;
	/* what a dying process writes: prepared, so that a signal handler can */
	char last_words[256];
	size_t last_len;
	int pipe[2];
	volatile sig_atomic_t news;
} t = { .pipe = { -1, -1 } };

/* ---- signals --------------------------------------------------------------------------------- */

static void give_back(void)
{
	ssize_t n = write(STDOUT_FILENO, t.last_words, t.last_len);

	(void)n;
	tcsetattr(STDIN_FILENO, TCSANOW, &t.was);
}

static void on_crash(int sig)
{
	if (t.open)
		give_back();
	raise(sig); /* SA_RESETHAND: now with its own effect */
}

static void on_signal(int sig)
{
	ssize_t n;

	t.news |= sig == SIGWINCH  ? TERMINAL_RESIZED
		  : sig == SIGCONT ? TERMINAL_WOKEN
		  : sig == SIGTSTP ? TERMINAL_STOP
				   : TERMINAL_END;
	n = write(t.pipe[1], "", 1);
	(void)n;
}

static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT, 0 };
static const int signals[] = { SIGWINCH, SIGCONT, SIGTSTP, SIGTERM, SIGHUP, SIGINT, 0 };

static void watch_signals(void)
{
	static char stack[16384]; /* a crash may be a stack that overflowed */
	stack_t own = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction crash = { .sa_handler = on_crash,
		.sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK) };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaltstack(&own, NULL);
	for (int i = 0; crashes[i]; i++)
		sigaction(crashes[i], &crash, NULL);
	for (int i = 0; signals[i]; i++)
		sigaction(signals[i], &sa, NULL);
}

static void unwatch_signals(void)
{
	for (int i = 0; crashes[i]; i++)
		signal(crashes[i], SIG_DFL);
	for (int i = 0; signals[i]; i++)
		signal(signals[i], SIG_DFL);
}

/* ---- looks ----------------------------------------------------------------------------------- */

static enum depth find_depth(void)
{
	const char *want = getenv("PARE_COLORS"), *none = getenv("NO_COLOR");

	int colours = tigetnum("colors");

	if ((none && *none) || (want && !strcmp(want, "mono")) || !has_colors() || colours < 8)
		return MONO;
	if ((want && !strcmp(want, "16")) || colours < 256)
		return SIXTEEN;
	if (colours >= 1 << 24 && !(want && !strcmp(want, "256")))
		return TRUE_COLOUR;
	return PALETTE;
}

/* COLORFGBG is "15;0" or "0;default;15": the last is the ground. */
static bool find_light(void)
{
	const char *want = getenv("PARE_COLORS"), *fgbg = getenv("COLORFGBG"), *bg;

	if (want && (!strcmp(want, "light") || !strcmp(want, "dark")))
		return !strcmp(want, "light");
	bg = fgbg ? strrchr(fgbg, ';') : NULL;
	return bg && (!strcmp(bg, ";7") || !strcmp(bg, ";15"));
}

static int colour(uint32_t rgb, int ansi)
{
	if (t.depth == TRUE_COLOUR)
		return rgb < 8 ? 8 : (int)rgb; /* there 0..7 are the old eight */
	if (t.depth == PALETTE)
		return look_256(rgb);
	return ansi < COLORS ? ansi : ansi & 7;
}

static attr_t attributes(unsigned look)
{
	return (look & LOOK_BOLD ? A_BOLD : 0) | (look & LOOK_DIM ? A_DIM : 0) |
	       (look & LOOK_REVERSE ? A_REVERSE : 0) | (look & LOOK_UNDERLINE ? A_UNDERLINE : 0);
}

static void prepare_looks(void)
{
	t.depth = find_depth();
	t.light = find_light();
	if (t.depth != MONO) {
		start_color();
		use_default_colors();
	}
	for (int st = 0; st < ST_N; st++)
		for (int on = 0; on < 2; on++) {
			const struct look *l = look_of((enum style)st, t.light);
			int fg = l->ansi < 0 ? -1 : colour(l->rgb, l->ansi);
			int bg = -1, pair = 1 + st * 2 + on;

			t.attr[on][st] = attributes(t.depth == MONO ? l->mono : l->attr);
			t.pair[on][st] = 0;
			if (t.depth == MONO) {
				if (on) /* the row under the cursor */
					t.attr[on][st] |= A_UNDERLINE;
				continue;
			}
			if (on && t.depth != SIXTEEN)
				bg = colour(look_ground(t.light), 0);
			else if (on)
				t.attr[on][st] |= A_UNDERLINE;
			/* bold already makes the bright eight of a terminal with eight */
			if (t.depth == SIXTEEN && COLORS < 16 && l->ansi >= 8)
				t.attr[on][st] |= A_BOLD;
			if (fg < 0 && bg < 0)
				continue; /* the terminal's own: blanks like that can be cleared */
			if (pair < COLOR_PAIRS && init_extended_pair(pair, fg, bg) == OK)
				t.pair[on][st] = (short)pair;
		}
}

/* ---- opening, closing ------------------------------------------------------------------------ */

/* Without the pauses ("$<50>") that old terminals wanted. */
static void say_last(const char *capability)
{
	const char *s = tigetstr(capability);

	if (!s || s == (const char *)-1)
		return;
	while (*s && t.last_len < sizeof t.last_words) {
		if (s[0] == '$' && s[1] == '<' && strchr(s, '>'))
			s = strchr(s, '>') + 1;
		else
			t.last_words[t.last_len++] = *s++;
	}
}

static void prepare_last_words(void)
{
	static const char mouse_off[] = "\033[?1006l\033[?1000l";

	t.last_len = 0;
	if (tigetstr("kmous") && tigetstr("kmous") != (char *)-1) {
		memcpy(t.last_words, mouse_off, sizeof mouse_off - 1);
		t.last_len = sizeof mouse_off - 1;
	}
	say_last("sgr0");
	say_last("clear");
	say_last("cnorm");
	say_last("rmkx");
	say_last("rmcup");
}

/* True colour needs a description of the terminal that has it; curses itself would change the
 * palette of the terminal instead. */
/* Of the terminal set up last: a screen needs a cursor that moves. */
static bool moves_cursor(void)
{
	const char *s = tigetstr("cup");

	return s && s != (char *)-1;
}

static SCREEN *open_screen(void)
{
	const char *term = getenv("TERM"), *colour_term = getenv("COLORTERM");
	char direct[64];
	SCREEN *s = NULL;
	int there;

	if (!term || !*term)
		return NULL;
	if (colour_term && (!strcmp(colour_term, "truecolor") || !strcmp(colour_term, "24bit"))) {
		snprintf(direct, sizeof direct, "%.*s-direct", (int)strcspn(term, "-"), term);
		if (setupterm(direct, STDOUT_FILENO, &there) == OK)
			s = newterm(direct, stdout, stdin);
	}
	if (!s && setupterm(term, STDOUT_FILENO, &there) == OK && moves_cursor())
		s = newterm(term, stdout, stdin);
	return s;
}

/* Some terminals send arrows in one form, some in the other, whatever they were asked for. */
static void other_arrows(void)
{
	static const struct {
		const char *bytes;
		int key;
	} form[] = { { "\033[A", KEY_UP }, { "\033[B", KEY_DOWN }, { "\033[C", KEY_RIGHT },
		{ "\033[D", KEY_LEFT }, { "\033[H", KEY_HOME }, { "\033[F", KEY_END },
		{ "\033OA", KEY_UP }, { "\033OB", KEY_DOWN }, { "\033OC", KEY_RIGHT },
		{ "\033OD", KEY_LEFT }, { "\033OH", KEY_HOME }, { "\033OF", KEY_END },
		{ "\033[1~", KEY_HOME }, { "\033[4~", KEY_END }, { "\033[5~", KEY_PPAGE },
		{ "\033[6~", KEY_NPAGE }, { "\033[3~", KEY_DC }, { "\033[Z", KEY_BTAB },
		{ NULL, 0 } };

	for (int i = 0; form[i].bytes; i++)
		if (!key_defined(form[i].bytes))
			define_key(form[i].bytes, form[i].key);
}

enum pare_status terminal_open(struct pare_err *err)
{
	const char *term = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &t.was)) {
		if (err)
			*err = (struct pare_err){ PARE_E_UNSUPPORTED, "this is no terminal" };
		return PARE_E_UNSUPPORTED;
	}
	if (!t.screen)
		t.screen = open_screen();
	if (!t.screen || pipe2(t.pipe, O_NONBLOCK | O_CLOEXEC)) {
		if (err) {
			err->code = PARE_E_UNSUPPORTED;
			snprintf(err->text, sizeof err->text,
				"the terminal type '%.40s' (TERM) is not known here or cannot move "
				"its cursor; try TERM=xterm, or pare shell",
				term ? term : "");
		}
		return PARE_E_UNSUPPORTED;
	}
	t.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	prepare_last_words();
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	idlok(stdscr, TRUE);
	other_arrows();
	curs_set(0);
	prepare_looks();
	t.open = true;
	watch_signals();
	return PARE_OK;
}

void terminal_close(void)
{
	if (!t.open)
		return;
	terminal_mouse(false);
	curs_set(1);
	/* a terminal that was resized meanwhile may keep what it shows now (tmux does) */
	erase();
	refresh();
	endwin();
	t.open = false;
	unwatch_signals();
	close(t.pipe[0]);
	close(t.pipe[1]);
	grid_free(t.shown);
	t.shown = NULL;
}

void terminal_size(int *h, int *w)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col) {
		if (size.ws_row != LINES || size.ws_col != COLS)
			resizeterm(size.ws_row, size.ws_col);
	}
	*h = LINES < 1 ? 1 : LINES > 1000 ? 1000 : LINES;
	*w = COLS < 1 ? 1 : COLS > 1000 ? 1000 : COLS;
}

void terminal_mouse(bool on)
{
	mousemask(on ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
	mouseinterval(0);
	t.mouse = on;
}

int terminal_fd(void)
{
	return t.pipe[0];
}

unsigned terminal_news(void)
{
	char drop[64];
	sigset_t all, was;
	unsigned news;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &was);
	while (read(t.pipe[0], drop, sizeof drop) > 0)
		continue;
	news = (unsigned)t.news;
	t.news = 0;
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return news;
}

void terminal_suspend(void)
{
	bool mouse = t.mouse;

	terminal_mouse(false);
	curs_set(1);
	endwin();
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	/* here again: told to go on */
	watch_signals();
	refresh();
	curs_set(0);
	terminal_mouse(mouse);
}

/* ---- drawing --------------------------------------------------------------------------------- */

static bool bare(const struct cell *c)
{
	return !(c->style & ST_ON) && !(t.attr[0][c->style] & (A_REVERSE | A_UNDERLINE));
}

/* The attributes of a blank do not show: between two glyphs it takes those of the left one, which
 * spares a slow line two changes of colour for every cell of the map.  Long runs stay plain, so
 * that they can be cleared at once. */
static uint8_t drawn_style(const struct cell *c, int x, int w)
{
	int left = 1, right = 1;

	if (c->ch != ' ' || !bare(c))
		return c->style;
	while (left <= 2 && left <= x && c[-left].ch == ' ' && bare(&c[-left]))
		left++;
	while (right <= 2 && x + right < w && c[right].ch == ' ')
		right++;
	if (left > 2 || left > x || right > 2 || x + right >= w || !bare(&c[-left]))
		return ST_TEXT;
	return c[-left].style;
}

static void draw_cell(int y, int x, const struct cell *c)
{
	int on = (c->style & ST_ON) != 0, st = c->style & ~ST_ON;
	wchar_t text[2] = { (wchar_t)(t.utf8 ? c->ch : (uint32_t)char_ascii(c->ch)), 0 };
	cchar_t out;

	setcchar(&out, text, t.attr[on][st], t.pair[on][st], NULL);
	mvadd_wch(y, x, &out);
	if (!t.utf8 && char_width(c->ch) == 2)
		mvaddch(y, x + 1, ' ');
}

void terminal_draw(const struct grid *g, bool anew)
{
	if (!t.shown || t.shown->h != g->h || t.shown->w != g->w) {
		grid_free(t.shown);
		t.shown = grid_new(g->h, g->w);
		if (!t.shown)
			return;
		anew = true;
	}
	if (anew)
		clear();
	for (int i = 0; i < g->h * g->w; i++) {
		struct cell c = g->cell[i], *was = &t.shown->cell[i];

		c.style = drawn_style(&g->cell[i], i % g->w, g->w);
		if (c.ch && (anew || c.ch != was->ch || c.style != was->style))
			draw_cell(i / g->w, i % g->w, &c);
		*was = c;
	}
	if (g->cur_y >= 0)
		move(g->cur_y, g->cur_x);
	curs_set(g->cur_y >= 0);
	refresh();
}

/* ---- input ----------------------------------------------------------------------------------- */

static uint32_t key_code(wint_t k)
{
	static const struct {
		wint_t curses;
		uint32_t key;
	} map[] = { { KEY_UP, K_UP }, { KEY_DOWN, K_DOWN }, { KEY_LEFT, K_LEFT },
		{ KEY_RIGHT, K_RIGHT }, { KEY_HOME, K_HOME }, { KEY_END, K_END },
		{ KEY_PPAGE, K_PAGE_UP }, { KEY_NPAGE, K_PAGE_DOWN }, { KEY_BTAB, K_BACKTAB },
		{ KEY_DC, K_DELETE }, { KEY_ENTER, K_ENTER }, { KEY_BACKSPACE, K_BACKSPACE },
		{ 0, 0 } };

	for (int i = 0; map[i].curses; i++)
		if (map[i].curses == k)
			return map[i].key;
	return 0;
}

static bool mouse_event(struct tui_event *out)
{
	MEVENT m;

	if (getmouse(&m) != OK)
		return false;
	out->y = m.y;
	out->x = m.x;
	if (m.bstate & BUTTON1_PRESSED)
		out->kind = EV_PRESS;
	else if (m.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED)) {
		out->kind = EV_WHEEL;
		out->key = m.bstate & BUTTON4_PRESSED ? (uint32_t)-1 : 1;
	} else
		return false;
	return true;
}

/* What follows an Esc at once and is no key that curses knows, as a mouse report in another form or
 * a function key: it must not be taken for the keys that it is spelt with.  True: it was read away;
 * false: the Esc was pressed. */
static bool strange_sequence(void)
{
	wint_t k;
	int n = 0;

	if (get_wch(&k) != OK)
		return false;
	if (k != '[' && k != 'O') {
		unget_wch((wchar_t)k);
		return false;
	}
	if (k == 'O')
		return get_wch(&k), true;
	while (n++ < 32 && get_wch(&k) == OK && !(k >= '@' && k <= '~'))
		continue;
	for (int i = 0; k == 'M' && n == 1 && i < 3;
		i++) /* the oldest form: button, column, line */
		get_wch(&k);
	return true;
}

bool terminal_event(struct tui_event *out)
{
	wint_t k;
	int what;

	while ((what = get_wch(&k)) != ERR) {
		*out = (struct tui_event){ .kind = EV_KEY };
		if (what == KEY_CODE_YES && k == KEY_MOUSE) {
			if (mouse_event(out))
				return true;
		} else if (what == KEY_CODE_YES) {
			out->key = key_code(k);
			if (out->key)
				return true;
		} else if (k && !(k == K_ESC && strange_sequence())) {
			out->key = (uint32_t)k;
			return true;
		}
	}
	return false;
}
