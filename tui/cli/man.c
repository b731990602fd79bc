/* pare man: the manual page, from the rows that the program itself goes by, so that it cannot lie.
 */
#include "../../sessions/language.h"
#include "cli.h"
#include <stdio.h>
#include <string.h>

/* Text for roff: what would be a request, a minus or an escape is spelt out. */
static void put(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++)
		switch (*s) {
		case '\\':
			fputs("\\e", stdout);
			break;
		case '-':
			fputs("\\-", stdout);
			break;
		default:
			putchar(*s);
		}
}

/* A tagged paragraph: bold name, the rest of the tag in italics, the text. */
static void entry(const char *name, const char *args, const char *text)
{
	fputs(".TP\n\\fB", stdout);
	put(name);
	fputs("\\fR", stdout);
	if (args && *args) {
		fputs(" \\fI", stdout);
		put(args);
		fputs("\\fR", stdout);
	}
	putchar('\n');
	put(text);
	putchar('\n');
}

static void options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		entry(o->name, o->value, o->help);
}

static void commands(void)
{
	const struct cli_command *c;

	puts(".SH COMMANDS");
	for (int i = 0; (c = cli_row(i)); i++)
		if (*c->name) {
			entry(c->name, c->args, c->help);
			if (c->options && c->options->name) {
				puts(".RS");
				options(c->options);
				puts(".RE");
			}
		}
}

static void statements(const char *title, unsigned where)
{
	printf(".SS %s\n", title);
	for (int i = 0; i < PARE_N_SAY; i++) {
		const struct pare_statement_row *r = &pare_statement_rows[i];

		if (r->where == where)
			entry(r->name, r->args, r->help);
	}
}

static void language(void)
{
	puts(".SH THE LANGUAGE\nOne grammar for\n.B :\nin the workbench,\n.B pare shell\nand "
	     "recipes, a statement a line. Layers are named, numbered from 1, or matched: conv_*, "
	     "op=Conv, first, last, *; commas join them. A word that begins with # begins a "
	     "comment.");
	statements("In recipes and as commands", PARE_IN_RECIPE | PARE_IN_COMMAND);
	statements("In recipes alone", PARE_IN_RECIPE);
	statements("As commands alone", PARE_IN_COMMAND);
	puts(".SS Number formats");
	for (int i = 0; pare_formats[i].name; i++)
		entry(pare_formats[i].name, NULL, pare_formats[i].help);
}

static void examples(void)
{
	static const char *const lines[][2] = {
		{ "pare model.onnx --data samples", "the workbench on a network of one's own" },
		{ "pare --resume", "back where one was" },
		{ "pare scan model.onnx --data samples", "the map alone, without a terminal" },
		{ "pare apply r.pare -o small.onnx --check",
			"replay a recipe, and hold what comes out against what it promises" },
		{ "printf 'set * weights int8\\nexport small.onnx\\n' | pare shell model.onnx",
			"commands from a script" },
	};

	puts(".SH EXAMPLES");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		entry(lines[i][0], NULL, lines[i][1]);
}

static void methods(void)
{
	for (int family = 0; family < PARE_N_METHODS; family++) {
		printf(".SS %s\n", pare_method_title((enum pare_method)family));
		for (int i = 0; pare_method_name((enum pare_method)family, i); i++)
			entry(pare_method_name((enum pare_method)family, i), NULL,
				pare_method_help((enum pare_method)family, i));
	}
}

static int run_man(const struct cli_args *a)
{
	const struct cli_command *c;

	(void)a;
	puts(".TH PARE 1 \"\" \"pare " PARE_VERSION "\" \"User Commands\"\n.SH NAME\n"
	     "pare \\- make neural networks small enough for the device they must run on\n.SH "
	     "SYNOPSIS");
	for (int i = 0; (c = cli_row(i)); i++)
		if (!*c->name) {
			fputs(".B pare\n", stdout);
			put(c->args);
			puts("\n.br\n.B pare\n\\fICOMMAND\\fR \\&...");
			puts(".SH DESCRIPTION\nWithout a command the workbench opens: a map of "
			     "what every layer of an "
			     "ONNX network can bear, on which bits and pruning are picked while "
			     "accuracy, size and "
			     "latency move. Its keys are listed by\n.BR ? .\n.SH OPTIONS");
			options(c->options);
			puts(".PP\nOptions of every command:");
			options(cli_common_options);
		}
	commands();
	language();
	methods();
	examples();
	puts(".SH EXIT STATUS\n0 on success, 1 when a check failed, 2 on bad input or usage.\n.SH "
	     "FILES");
	entry("~/.local/state/pare", NULL,
		"sessions, the history of lines typed ($XDG_STATE_HOME/pare)");
	entry("~/.config/pare/profiles, ~/.config/pare/plugins", NULL, "devices of one's own");
	puts(".SH ENVIRONMENT");
	entry("NO_COLOR", NULL, "no colours");
	entry("PARE_COLORS", NULL, "dark, light, 256, 16 or mono: the palette");
	return CLI_OK;
}

const struct cli_command cli_man = {
	.name = "man",
	.args = "",
	.help = "the manual page, for man -l",
	.run = run_man,
};
