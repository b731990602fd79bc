/* Subcommands are rows: a file cli/x.c defines `const struct cli_command cli_x`, and Make collects
 * them. A subcommand exits 0 on success, 1 on a failed check, 2 on bad input or usage; results go
 * to stdout, diagnostics to stderr. */
#ifndef CLI_H
#define CLI_H
#include "../../engine/pare.h"
#include <jansson.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_BAD = 2 };

struct cli_option {
	const char *name;  /* "--limit", "-o" */
	const char *value; /* what it takes, for help: "N"; NULL = a switch */
	const char *help;
	const char **text;  /* where its value goes; of a switch: its own name */
	const char ***list; /* an option that may be repeated: its values, ended by NULL */
};

struct cli_args {
	int n; /* words that are no options */
	const char **word;
};

struct cli_command {
	const char *name, *args, *help;
	const struct cli_option *options; /* beside the common ones; ended by a NULL name */
	int min_words, max_words;         /* -1 = any number */
	int (*run)(const struct cli_args *a);
};

/* All rows, by name of their file; NULL after the last.  The one without a name is the workbench.
 */
const struct cli_command *cli_row(int i);
extern const struct cli_option cli_common_options[];
extern struct cli_said { /* their text; NULL = not given */
	const char *json, *threads, *seed, *help;
} cli_said;

/* The common options, set before run(). */
struct cli_common {
	bool json;
	uint64_t seed;
};
extern struct cli_common cli_common;

/* --shape NAME=DIMS, a row of the options of what opens a model, and that: the model in word 0.
 * False after having said what is wrong. */
#define CLI_SHAPE                                                                                  \
	{                                                                                          \
		"--shape", "NAME=1,3,224,224",                                                     \
			"a shape for an input whose axes the file leaves open, N for a free "      \
			"batch; may be repeated",                                                  \
			NULL, &cli_shapes                                                          \
	}
extern const char **cli_shapes;
char *cli_shapes_text(void); /* malloc'ed; NULL = none is given */
bool cli_open_model(const struct cli_args *a, struct pare_model **out);

/* Of a file of packed weights (packed.c). */
int cli_packed_info(const char *path);

/* "pare: TEXT" on stderr; returns CLI_BAD. */
int cli_bad(const struct pare_err *err);
int cli_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A whole number within bounds; false after having said what is wrong. */
bool cli_number(const char *text, const char *option, int64_t min, int64_t max, int64_t *out);
/* One JSON object on stdout; takes `o` over; returns `code`. */
int cli_json(json_t *o, int code);
json_t *cli_real_json(double v);                    /* null when it is not known */
json_t *cli_value_json(const struct pare_value *v); /* [lo, hi] or null */

/* A text for people from column x on, in as many lines as it takes; `at` columns stand already on
 * the first. */
void cli_text(int x, int at, const char *text);

const char *cli_measure_name(enum pare_measure m); /* "top1" or "fidelity" */

double cli_clock(void); /* seconds, from some fixed moment on */

/* The job control of this process: Ctrl-C cancels it; on a terminal a progress bar with ETA on
 * stderr. */
struct pare_ctl *cli_ctl(const char *what);
void cli_ctl_done(void); /* wipes the bar */

#endif
