/* A workspace is what a person works in: a model, its data, a study of the two, devices, the tree
 * of plans tried, and the session file that keeps all of it.  The screen and `pare shell` show one
 * and change it only by commands, in the language that recipes are written in too.
 *
 * Everything here is called from one thread.  Slow work runs on a worker that the workspace owns;
 * poll the descriptor and pump. */
#ifndef PARE_WORKSPACE_H
#define PARE_WORKSPACE_H
#include "../plugins/devices.h"

struct pare_workspace;

struct pare_workspace_spec {
	const char *model;          /* path; NULL when resuming */
	const char *shapes;         /* as in pare_model_open_as; NULL = none, or the session's */
	const char *data;           /* path; NULL = none */
	const char *const *devices; /* names, ended by NULL; NULL = a default choice */
	const char *
		session; /* file; NULL = by the model's and the data's hash, in the user's folder */
	bool resume;     /* take up the session (the last one used when `session` is NULL) */
	bool memory;     /* keep nothing on disk */
	/* A script's: no work by itself, `measure` is done before it is answered, and without
	 * `resume` the plan is float, where a person is taken back to the last edit. */
	bool idle;
	int64_t limit; /* evaluation samples for the map; 0 = a default */
};

/* PARE_E_BUSY: another pare has the session open (the text says which process).
 * Opening starts the background work unless `idle`. */
PARE_MUST_CHECK enum pare_status pare_workspace_open(
	const struct pare_workspace_spec *spec, struct pare_workspace **out, struct pare_err *err);
void pare_workspace_close(struct pare_workspace *w); /* cancels work, saves; NULL allowed */

/* ---- commands ----------------------------------------------------------------------------------
 */

enum pare_effect { /* what the screen is asked to do after a command */
	PARE_EFFECT_NONE,
	PARE_EFFECT_QUIT,
	PARE_EFFECT_HELP,
	PARE_EFFECT_VIEW, /* text names the view */
};
struct pare_reply {
	enum pare_effect effect;
	char text[512]; /* one line for the person; "" = nothing to say */
};
/* Run one line of the command language: `set LAYERS weights int4 …`, `prune LAYERS weights 50%`,
 * `undo`, `redo`, `write FILE`, `export FILE`, `device NAME…`, `help`, `quit` … */
PARE_MUST_CHECK enum pare_status pare_workspace_command(
	struct pare_workspace *w, const char *line, struct pare_reply *reply, struct pare_err *err);
/* Candidates to complete the word that ends at line[len]: the i-th, NULL after the last.  `start`
 * is where the word begins.  The strings live until the next call. */
const char *pare_workspace_complete(
	struct pare_workspace *w, const char *line, size_t len, int i, size_t *start);

/* The command rows, for help: name, arguments, one line of help; false after the last. */
struct pare_command_info {
	const char *name, *args, *help;
};
bool pare_command_row(int i, struct pare_command_info *out);

/* ---- background work ---------------------------------------------------------------------------
 */

int pare_workspace_fd(const struct pare_workspace *w); /* readable when there is news */
enum {
	PARE_NEWS_CELLS = 1,  /* the map grew */
	PARE_NEWS_PLAN = 2,   /* a plan was measured */
	PARE_NEWS_DEVICE = 4, /* a device was measured */
	PARE_NEWS_PROGRESS = 8,
	PARE_NEWS_ERROR = 16, /* see the log */
	PARE_NEWS_ASKED = 32, /* what took long is there: the log says last what came of it */
};
unsigned pare_workspace_pump(struct pare_workspace *w);
/* Layers in the order in which the person wants them (what is on screen first); copied. */
void pare_workspace_order(struct pare_workspace *w, const int *layers, int n);
void pare_workspace_pause(struct pare_workspace *w, bool on);

struct pare_work {
	const char *what;   /* "map", "measuring", "" when idle */
	double done, total; /* of the map: cells */
	double eta;         /* seconds; NaN = not known */
	bool paused;
	char layer[64];          /* being rounded or pruned by what samples tell; "" = none is */
	int layers_done, layers; /* of the plan */
	bool filing;             /* a file is written once its plan is carried out */
	bool asked;              /* the shares of a budget are being looked for */
	double part;             /* 0..1 of that */
};
struct pare_work pare_workspace_work_state(const struct pare_workspace *w);
/* Do work on the calling thread until the map is complete (or `ctl` is canceled): for `pare scan`.
 */
PARE_MUST_CHECK enum pare_status
pare_workspace_scan(struct pare_workspace *w, struct pare_ctl *ctl, struct pare_err *err);
/* Measure the current plan on the calling thread. */
PARE_MUST_CHECK enum pare_status
pare_workspace_measure(struct pare_workspace *w, struct pare_ctl *ctl, struct pare_err *err);

/* ---- what there is to show: borrowed, valid until the next command or pump
 * ------------------------ */

const struct pare_model *pare_workspace_model(const struct pare_workspace *w);
const struct pare_dataset *pare_workspace_dataset(const struct pare_workspace *w); /* may be NULL */
const struct pare_study *pare_workspace_study(const struct pare_workspace *w);
const struct pare_plan *pare_workspace_plan(const struct pare_workspace *w);
const struct pare_metrics *pare_workspace_metrics(const struct pare_workspace *w); /* of the plan */
const struct pare_metrics *pare_workspace_float(const struct pare_workspace *w);
double
pare_workspace_measured_ago(const struct pare_workspace *w); /* seconds; NaN = not measured */

struct pare_device_row {
	const struct pare_device *device;
	struct pare_device_figures was, now; /* float, plan */
	bool asked;                          /* `was` is there; a prediction does not change */
};
int pare_workspace_n_devices(const struct pare_workspace *w);
const struct pare_device_row *pare_workspace_device(const struct pare_workspace *w, int i);

struct pare_plan_node {      /* of the tree of plans tried */
	int id, parent;      /* parent -1 = root */
	const char *command; /* what made it from its parent */
	const char *note;    /* what the person wrote beside it; "" = nothing */
	const struct pare_plan *plan;
	double value, drop; /* NaN when not measured */
};
int pare_workspace_n_plans(const struct pare_workspace *w);
const struct pare_plan_node *pare_workspace_plan_node(const struct pare_workspace *w, int i);
int pare_workspace_here(const struct pare_workspace *w); /* index of the current plan */

enum pare_saved { PARE_SAVED, PARE_SAVED_NOT, PARE_SAVED_MEMORY };
enum pare_saved pare_workspace_saved(const struct pare_workspace *w, const char **why);
const char *pare_workspace_session_path(const struct pare_workspace *w);

/* Small things the screen wants to find again (cursor, sort, filter): name → text, kept in the
 * session. */
PARE_MUST_CHECK enum pare_status pare_workspace_keep(
	struct pare_workspace *w, const char *name, const char *text, struct pare_err *err);
const char *
pare_workspace_kept(const struct pare_workspace *w, const char *name); /* NULL = nothing */

/* The log: newest last; NULL after the last. */
const char *pare_workspace_log(const struct pare_workspace *w, int i);

#endif
