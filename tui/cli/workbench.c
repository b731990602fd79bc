/* pare [MODEL]: the workbench. */
#include "../screen/screen.h"
#include "opening.h"
#include <unistd.h>

static int run_workbench(const struct cli_args *a)
{
	struct pare_workspace *w;
	struct pare_err err;
	int code;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_usage("the workbench needs a terminal.  Without one: pare info MODEL, "
				 "pare scan MODEL --data D, pare apply RECIPE, pare shell; "
				 "pare --help lists all");
	w = cli_open_workspace(a, false, &code);
	if (!w)
		return code;
	if (screen_run(w, &err))
		code = cli_bad(&err);
	pare_workspace_close(w);
	return code;
}

const struct cli_command cli_workbench = {
	.name = "",
	.args = CLI_OPENING_ARGS,
	.help = "the workbench",
	.options = cli_opening_options,
	.max_words = 1,
	.run = run_workbench,
};
