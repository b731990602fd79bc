/* The subcommands, collected by Make, and the options that all of them take. */
#include "cli.h"

#define COMMAND(name) extern const struct cli_command name;
#include "gen/cli.inc"
#undef COMMAND

static const struct cli_command *const commands[] = {
#define COMMAND(name) &name,
#include "gen/cli.inc"
#undef COMMAND
	NULL,
};

const struct cli_command *cli_row(int i)
{
	return commands[i];
}

struct cli_said cli_said;
const struct cli_option cli_common_options[] = {
	{ "--json", NULL, "one JSON object on stdout", &cli_said.json, NULL },
	{ "--threads", "N", "processors to use (results do not depend on it)", &cli_said.threads,
		NULL },
	{ "--seed", "N", "seed of what is random", &cli_said.seed, NULL },
	{ "--help", NULL, "this text", &cli_said.help, NULL },
	{ 0 },
};
