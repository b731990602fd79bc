#include "line.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

static struct {
	line_complete_fn *complete;
	void (*idle)(void *user);
	void *user;
	char history[PATH_MAX];
	FILE *nowhere;
	/* keys on their way into readline */
	unsigned char in[16];
	int n_in, at;
	char kind;
	enum tui_event_kind outcome;
	char **shown; /* completions */
	int n_shown;
	volatile sig_atomic_t interrupted;
} line;

/* ---- completion ------------------------------------------------------------------------------ */

/* readline asks for whole words between its own breaks; the language says where a word begins. */
static char *candidate(const char *text, int state)
{
	static int i;
	size_t len = (size_t)rl_point, from, own = len - strlen(text);
	const char *c;
	char *out;

	if (!state)
		i = 0;
	c = line.complete ? line.complete(line.user, rl_line_buffer, len, i++, &from) : NULL;
	if (!c || from > len)
		return NULL;
	if (from < own) /* a word with blanks in quotes: only its end is ours */
		return strlen(c) >= own - from ? strdup(c + (own - from)) : NULL;
	out = malloc(from - own + strlen(c) + 1);
	if (out)
		sprintf(out, "%.*s%s", (int)(from - own), text, c);
	return out;
}

static char **completions(const char *text, int start, int end)
{
	char **found;
	size_t n;

	(void)start;
	(void)end;
	rl_attempted_completion_over =
		1; /* file names are offered by the language, or not at all */
	if (line.kind == '/' || !(found = rl_completion_matches(text, candidate)))
		return NULL;
	n = strlen(found[0]);
	/* into a folder one goes on */
	rl_completion_append_character = n && found[0][n - 1] == '/' ? 0 : ' ';
	return found;
}

static void forget_shown(void)
{
	for (int i = 0; i < line.n_shown; i++)
		free(line.shown[i]);
	free(line.shown);
	line.shown = NULL;
	line.n_shown = 0;
}

static void show_matches(char **matches, int n, int longest)
{
	(void)longest;
	forget_shown();
	line.shown = calloc((size_t)n, sizeof *line.shown);
	for (int i = 1; line.shown && i <= n; i++)
		if ((line.shown[line.n_shown] = strdup(matches[i])))
			line.n_shown++;
}

int line_candidates(const char ***list)
{
	*list = (const char **)line.shown;
	return line.n_shown;
}

/* ---- history --------------------------------------------------------------------------------- */

static void find_history(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char dir[PATH_MAX - 16] = "";

	if (state && *state == '/')
		snprintf(dir, sizeof dir, "%s", state);
	else if (home && *home == '/')
		snprintf(dir, sizeof dir, "%s/.local/state", home);
	if (!*dir)
		return;
	/* each folder on the way */
	for (char *p = dir + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			mkdir(dir, 0700);
			*p = '/';
		}
	mkdir(dir, 0700);
	snprintf(line.history, sizeof line.history, "%s/pare", dir);
	if (mkdir(line.history, 0700) && errno != EEXIST)
		line.history[0] = 0;
	else
		strcat(line.history, "/history");
}

/* Written down at once: what ends suddenly, or runs beside another pare, loses no line. */
static void remember(const char *text)
{
	HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

	if (!text[strspn(text, " \t")] || (last && !strcmp(last->line, text)))
		return;
	add_history(text);
	if (*line.history && append_history(1, line.history))
		write_history(line.history);
}

void line_open(line_complete_fn *complete, void *user)
{
	line.complete = complete;
	line.user = user;
	rl_readline_name = "pare";
	rl_attempted_completion_function = completions;
	rl_basic_word_break_characters = " \t\n,";
	rl_completer_quote_characters = "\"";
	rl_sort_completion_matches = 0; /* they come in an order that means something */
	rl_variable_bind("show-all-if-ambiguous", "on");
	rl_variable_bind("bell-style", "none");
	using_history();
	stifle_history(1000);
	find_history();
	if (*line.history)
		read_history(line.history);
}

void line_close(void)
{
	if (*line.history)
		history_truncate_file(line.history, 1000);
	forget_shown();
	if (line.nowhere)
		fclose(line.nowhere);
	line.nowhere = NULL;
}

static void on_interrupt(int sig)
{
	line.interrupted = sig;
}

/* Called by readline when a signal has ended its wait, and while it waits. */
static int wait_a_little(void)
{
	if (line.interrupted) {
		line.interrupted = 0;
		rl_crlf();
		rl_on_new_line();
		rl_replace_line("", 1);
		rl_redisplay();
	}
	if (line.idle)
		line.idle(line.user);
	return 0;
}

char *line_read(const char *prompt)
{
	struct sigaction sa = { .sa_handler = on_interrupt }, was;
	char *text;

	sigaction(SIGINT, &sa, &was);
	rl_event_hook = rl_signal_event_hook = wait_a_little;
	text = readline(prompt);
	sigaction(SIGINT, &was, NULL);

	if (text)
		remember(text);
	return text;
}

void line_idle(void (*idle)(void *user))
{
	line.idle = idle;
}

/* ---- on curses' screen ----------------------------------------------------------------------- */

static int next_byte(FILE *f)
{
	(void)f;
	return line.at < line.n_in ? line.in[line.at++] : EOF;
}

static int more_bytes(void)
{
	return line.at < line.n_in;
}

static void nothing(void)
{
}

static void ended(char *text)
{
	line.outcome = text ? EV_ENTER : EV_CANCEL;
	if (text && line.kind == ':')
		remember(text);
	free(text);
	rl_callback_handler_remove();
}

void line_begin(char kind, const char *text)
{
	if (!line.nowhere)
		line.nowhere = fopen("/dev/null", "r+");
	rl_instream = rl_outstream = line.nowhere;
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_change_environment = 0;
	rl_getc_function = next_byte;
	rl_input_available_hook = more_bytes;
	rl_redisplay_function = nothing;
	rl_prep_term_function = NULL;
	rl_deprep_term_function = NULL;
	rl_completion_display_matches_hook = show_matches;
	rl_completion_query_items = -1;
	line.kind = kind;
	line.outcome = EV_LINE;
	forget_shown();
	rl_callback_handler_install("", ended);
	rl_insert_text(text);
}

/* A key as a terminal would send it. */
static void spell(uint32_t key)
{
	static const struct {
		uint32_t key;
		const char *bytes;
	} map[] = { { K_UP, "\033[A" }, { K_DOWN, "\033[B" }, { K_RIGHT, "\033[C" },
		{ K_LEFT, "\033[D" }, { K_HOME, "\033[H" }, { K_END, "\033[F" },
		{ K_DELETE, "\004" }, { K_PAGE_UP, "" }, { K_PAGE_DOWN, "" }, { K_BACKTAB, "" },
		{ 0, NULL } };

	line.at = 0;
	for (int i = 0; map[i].key; i++)
		if (map[i].key == key) {
			line.n_in = (int)strlen(map[i].bytes);
			memcpy(line.in, map[i].bytes, (size_t)line.n_in);
			return;
		}
	line.n_in = key > 0x10ffff ? 0 : text_put(key, (char *)line.in);
}

void line_key(uint32_t key, struct tui_event *ev)
{
	/* what would end a shell ends the line; at its end there is nothing to delete */
	bool at_end = rl_point >= rl_end;
	bool cancel = key == K_ESC || key == CTRL('C') || key == CTRL('G') || key == CTRL('Z') ||
		      (rl_end == 0 && (key == K_BACKSPACE || key == CTRL('H') || key == CTRL('D')));

	forget_shown();
	if (cancel) {
		rl_callback_handler_remove();
		line.outcome = EV_CANCEL;
	} else if (!(at_end && (key == K_DELETE || key == CTRL('D')))) {
		spell(key);
		while (line.at < line.n_in && line.outcome == EV_LINE)
			rl_callback_read_char();
	}
	*ev = (struct tui_event){
		.kind = line.outcome, .text = rl_line_buffer ? rl_line_buffer : "", .x = rl_point
	};
}
