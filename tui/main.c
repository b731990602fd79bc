/* pare: subcommands are rows; without one, the workbench opens. */
#include "cli/cli.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_command *find_command(const char *name)
{
	const struct cli_command *c;

	for (int i = 0; (c = cli_row(i)) && strcmp(c->name, name); i++)
		;
	return c;
}

static const struct cli_option *find_option(const struct cli_option *o, const char *name, size_t n)
{
	for (; o && o->name; o++)
		if (strlen(o->name) == n && !strncmp(o->name, name, n))
			return o;
	return NULL;
}

enum { HELP_X = 22 }; /* where the text of a row begins */

static void print_row(const char *name, const char *value, const char *text)
{
	int at = printf("  %s", name);

	if (value)
		at += printf("%*s %s", at < 12 ? 12 - at : 0, "", value);
	if (at > HELP_X - 1) {
		putchar('\n');
		at = 0;
	}
	cli_text(HELP_X, at, text);
}

static void print_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		print_row(o->name, o->value, o->help);
}

static int help_all(void)
{
	const struct cli_command *workbench = find_command(""), *c;

	puts("pare: make a neural network small enough for the device it must run on\n");
	if (workbench) {
		cli_text(12, printf("usage: pare "), workbench->args);
		print_options(workbench->options);
	}
	puts("\n       pare COMMAND …      pare COMMAND --help tells more");
	for (int i = 0; (c = cli_row(i)); i++)
		if (*c->name)
			print_row(c->name, NULL, c->help);
	puts("\noptions of every command");
	print_options(cli_common_options);
	return CLI_OK;
}

static int help_one(const struct cli_command *c)
{
	cli_text(12, printf("usage: pare %s%s", c->name, *c->args ? " " : ""), c->args);
	cli_text(0, 0, c->help);
	puts("");
	print_options(c->options);
	print_options(cli_common_options);
	return CLI_OK;
}

/* Options may stand anywhere; "--" ends them; "--name=value" is "--name value". */
static int parse(const struct cli_command *c, int argc, char **argv, struct cli_args *a)
{
	bool only_words = false;

	for (int i = 0; i < argc; i++) {
		const char *s = argv[i], *eq = strchr(s, '=');
		size_t n = !strncmp(s, "--", 2) && eq ? (size_t)(eq - s) : strlen(s);
		const struct cli_option *o;

		if (only_words || s[0] != '-' || !s[1]) {
			a->word[a->n++] = s;
			continue;
		}
		if (!strcmp(s, "--")) {
			only_words = true;
			continue;
		}
		o = find_option(c->options, s, n);
		if (!o)
			o = find_option(cli_common_options, s, n);
		if (!o)
			return cli_usage("%s has no option '%.*s'; pare %s%s--help lists them",
				*c->name ? c->name : "pare", (int)n, s, c->name,
				*c->name ? " " : "");
		if (o->value && s[n] != '=' && i + 1 == argc)
			return cli_usage("%s needs a value (%s)", o->name, o->value);
		s = !o->value ? o->name : s[n] == '=' ? s + n + 1 : argv[++i];
		if (o->list) {
			int k = 0;

			while (*o->list && (*o->list)[k])
				k++;
			*o->list = realloc(*o->list, (size_t)(k + 2) * sizeof **o->list);
			if (!*o->list)
				return cli_usage("not enough memory");
			(*o->list)[k] = s;
			(*o->list)[k + 1] = NULL;
		} else
			*o->text = s;
	}
	return CLI_OK;
}

/* A word like "evla": no file, and not spelt like one. */
static bool is_unknown_word(const char *s)
{
	return *s && *s != '-' && !strpbrk(s, "./") && access(s, F_OK);
}

int main(int argc, char **argv)
{
	const struct cli_command *c = argc > 1 ? find_command(argv[1]) : NULL;
	struct cli_args a = { .word = calloc((size_t)argc + 1, sizeof *a.word) };
	int skip = c ? 2 : 1, code;
	int64_t n;

	setlocale(LC_ALL, "");
	setlocale(
		LC_NUMERIC, "C"); /* figures look the same everywhere, and files can be read back */
	if (!a.word)
		return cli_usage("not enough memory");
	if (!c && argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")))
		return help_all();
	if (!c && argc == 2 && !strcmp(argv[1], "--version"))
		return puts("pare " PARE_VERSION), CLI_OK;
	if (argc > 1 && !c && is_unknown_word(argv[1]))
		return cli_usage(
			"'%s' is neither a command nor a file; pare --help lists the commands",
			argv[1]);
	if (!c && !(c = find_command("")))
		return help_all(), CLI_BAD;
	if ((code = parse(c, argc - skip, argv + skip, &a)))
		return code;
	if (cli_said.help)
		return *c->name ? help_one(c) : help_all();
	if (a.n < c->min_words || (c->max_words >= 0 && a.n > c->max_words))
		return cli_usage("usage: pare %s%s%s", c->name, *c->args ? " " : "", c->args);
	cli_common.json = cli_said.json != NULL;
	if (cli_said.threads) {
		if (!cli_number(cli_said.threads, "--threads", 1, 256, &n))
			return CLI_BAD;
		pare_set_threads((int)n);
	}
	if (cli_said.seed) {
		if (!cli_number(cli_said.seed, "--seed", 0, INT64_MAX, &n))
			return CLI_BAD;
		cli_common.seed = (uint64_t)n;
	}
	code = c->run(&a);
	cli_ctl_done();
	free(a.word);
	if (fflush(stdout) || ferror(stdout))
		return cli_usage("stdout cannot be written");
	return code;
}
