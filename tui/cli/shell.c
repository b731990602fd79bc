/* pare shell: the command language, with readline on a terminal, line by line from a pipe. */
#include "../screen/line.h"
#include "opening.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *said; /* with --json: what each line was answered */

static const char *complete(void *user, const char *line, size_t len, int i, size_t *start)
{
	return pare_workspace_complete(user, line, len, i, start);
}

static void help(void)
{
	struct pare_command_info c;

	for (int i = 0; pare_command_row(i, &c); i++) {
		cli_text(4, printf("  %s%s", c.name, *c.args ? " " : ""), c.args);
		cli_text(4, 0, c.help);
	}
}

static void answer(const char *line, const struct pare_reply *reply)
{
	if (cli_common.json)
		json_array_append_new(
			said, json_pack("{s:s s:s}", "command", line, "reply", reply->text));
	else if (reply->effect == PARE_EFFECT_HELP)
		help();
	else if (reply->effect == PARE_EFFECT_VIEW)
		puts("views are the workbench's: pare MODEL on a terminal");
	else if (*reply->text)
		puts(reply->text);
}

/* What is done behind the workbench is waited for here; Ctrl-C stops it. */
static void wait_for_work(struct pare_workspace *w)
{
	struct pollfd news = { pare_workspace_fd(w), POLLIN, 0 };
	struct pare_work k = pare_workspace_work_state(w);
	struct pare_reply reply;
	struct pare_ctl *ctl;
	const char *line = "", *text;

	if (!k.filing && !k.asked)
		return;
	ctl = cli_ctl(k.filing ? "carrying out" : "looking for shares");
	while (k.filing || k.asked) {
		poll(&news, 1, 100);
		pare_workspace_pump(w);
		k = pare_workspace_work_state(w);
		if (ctl->progress && k.asked)
			ctl->progress(ctl->user, k.part, 1);
		else if (ctl->progress && *k.layer)
			ctl->progress(ctl->user, k.layers_done, k.layers);
		if (atomic_exchange(&ctl->cancel, false) &&
			pare_workspace_command(w, "stop", &reply, NULL))
			break;
	}
	cli_ctl_done();
	for (int i = 0; pare_workspace_log(w, i); i++)
		line = pare_workspace_log(w, i);
	text = strstr(line, "  "); /* behind the time of day */
	puts(text ? text + 2 : line);
}

/* One line; false: leave.  *code: 2 when it failed. */
static bool run_line(struct pare_workspace *w, const char *line, int number, int *code)
{
	struct pare_reply reply = { 0 };
	struct pare_err err;
	const char *start = line + strspn(line, " \t");

	if (!*start || *start == '#')
		return true;
	pare_workspace_pump(w);
	if (pare_workspace_command(w, start, &reply, &err)) {
		*code = CLI_BAD;
		if (cli_common.json)
			json_array_append_new(
				said, json_pack("{s:s s:s}", "command", start, "error", err.text));
		if (number)
			fprintf(stderr, "pare: line %d: %s\n", number, err.text);
		else
			fprintf(stderr, "%s\n", err.text);
		return true;
	}
	answer(start, &reply);
	fflush(stdout);
	return reply.effect != PARE_EFFECT_QUIT;
}

/* What the worker has found meanwhile. */
static void pump(void *w)
{
	pare_workspace_pump(w);
}

static int on_terminal(struct pare_workspace *w)
{
	bool more = true;
	int code = CLI_OK, ignored;
	char *line;

	line_open(complete, w);
	line_idle(pump);
	while (more && (line = line_read("pare> "))) {
		more = run_line(w, line, 0, &ignored);
		wait_for_work(w);
		free(line);
	}
	if (more)
		putchar('\n'); /* the end of input leaves the cursor behind the prompt */
	line_close();
	return code;
}

/* A script stops at its first mistake: what follows may build on it. */
static int from_pipe(struct pare_workspace *w)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int number = 0, code = CLI_OK;

	while (!code && (n = getline(&line, &room, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (!run_line(w, line, ++number, &code))
			break;
	}
	free(line);
	return code;
}

static int run_shell(const struct cli_args *a)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !cli_common.json;
	struct pare_workspace *w;
	int code;

	w = cli_open_workspace(a, !terminal, &code);
	if (!w)
		return code;
	said = json_array();
	code = terminal ? on_terminal(w) : from_pipe(w);
	pare_workspace_close(w);
	if (cli_common.json)
		return cli_json(
			json_pack("{s:o s:b}", "commands", said, "ok", code == CLI_OK), code);
	json_decref(said);
	return code;
}

const struct cli_command cli_shell = {
	.name = "shell",
	.args = CLI_OPENING_ARGS,
	.help = "the command language, typed or from a pipe",
	.options = cli_opening_options,
	.max_words = 1,
	.run = run_shell,
};
