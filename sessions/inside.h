/* The inside of a workspace, shared by its files; each calls those above it. */
#ifndef PARE_INSIDE_H
#define PARE_INSIDE_H
#include "recipe.h"
#include "store.h"
#include "workspace.h"
#include <pthread.h>

struct tree_node { /* of the tree of plans; node 0 is all float */
	struct pare_plan_node shown;
	struct pare_plan *plan; /* shown.plan, command and note point to what is owned here */
	char *command, *note;
	int child;              /* where redo goes; -1 = nowhere */
	int64_t made, measured; /* seconds since 1970; measured 0 = not */
	bool saved;
};

struct kept_text {
	char *name, *text;
	bool saved;
};

struct log_line {
	int64_t at;
	char *text, *shown; /* shown: with the time of day */
	bool saved;
};

struct pending_result { /* packed, not in the session file yet */
	char key[96];
	void *data;
	size_t len;
};

struct device_memory { /* what a measuring device said of a plan */
	const struct pare_device *device;
	uint64_t plan;
	struct pare_device_figures figures;
	bool failed;
};

/* A budget whose shares are to be found. */
struct asked {
	struct pare_budget budget;
	struct pare_plan *plan; /* NULL = nothing is asked for */
	char *line;
	int from; /* the plan that it changes */
};

/* A file that is written once the plan it is of is carried out. */
struct filing {
	char *line;             /* the command; NULL = none waits */
	struct pare_plan *plan; /* the worker's while a FILING is its job */
	int from;               /* where it stands in the tree */
};

enum job_kind { JOB_NONE, JOB_STUDY, JOB_DEVICE, JOB_CHECKPOINT, JOB_BUDGET, JOB_FILING };
struct job {
	enum job_kind kind;
	struct pare_task task; /* STUDY */
	const struct pare_device *device;
	struct pare_plan *plan; /* DEVICE: a copy */
	struct pare_ctl ctl;
	/* what came of it */
	enum pare_status status;
	struct pare_err err;
	struct pare_result *result;
	struct pare_variant *variant;
	struct pare_device_figures figures;
};

struct worker {
	pthread_t thread;
	bool started;
	int pipe[2]; /* a byte in it: news */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under `lock` */
	enum { WORKER_IDLE, WORKER_BUSY, WORKER_DONE, WORKER_STOP } state;
	double done, total, told; /* progress of the job; told: when last */
	char layer[64];           /* that is being rounded; "" = none is */
	int layers_done, layers;
	bool progress;
	/* the worker's while BUSY, the owner's otherwise; job.ctl.cancel is anyone's */
	struct job job;
};

struct pare_workspace {
	struct pare_model *model;
	struct pare_dataset *data; /* NULL = none */
	struct pare_study *study;
	struct pare_devices *devices;
	struct pare_device_row *row;
	int n_rows;
	int64_t limit;
	uint64_t seed;

	struct tree_node *node;
	int n_nodes, room, here;
	struct pare_metrics now, was;
	struct pare_variant *variant; /* of the plan with hash variant_of; NULL = none yet */
	uint64_t variant_of;

	struct worker worker;
	bool paused;
	bool headless;      /* opened idle: what is asked for is done before it is answered */
	bool wanted;        /* measure the plan though work is paused */
	struct asked asked; /* the worker's while a BUDGET is its job */
	struct filing filing;
	bool broken;          /* the network cannot be run: no work but cost */
	uint64_t failed_plan; /* hash of one that could not be measured; 0 = none */
	int *order;           /* [n_layers]; NULL = as in the model */
	double cell_seconds;  /* of work, and the cells that it found */
	int cells_timed;
	struct device_memory *memory_of;
	int n_memory;

	struct pare_store *store; /* NULL: nothing is written */
	char *session_path;       /* "" in memory */
	bool in_memory, meta_saved;
	char why_not[512]; /* the last save failed; "" = it did not */
	double tried;      /* when, monotonic */
	int64_t checkpointed;
	struct pending_result *pending;
	int n_pending;
	bool layers_spent; /* those in the session file are of plans that have been measured */
	struct kept_text *kept;
	int n_kept;
	struct log_line *log;
	int n_log;

	struct pare_words candidates;
	size_t candidate_start;
};

/* log.c */
double workspace_clock(void); /* seconds, monotonic */
void workspace_log(struct pare_workspace *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of an earlier day when `at` is 0. */
void log_add(struct pare_workspace *w, int64_t at, const char *clock, const char *text);

/* figures.c */
/* Figures again, after the plan, the map or the devices changed. */
void workspace_refresh(struct pare_workspace *w);
enum pare_status
workspace_choose_devices(struct pare_workspace *w, const char *const *names, struct pare_err *err);

/* tree.c */
enum pare_status tree_start(struct pare_workspace *w, struct pare_err *err);
/* A new plan below the one that is here (or the child that equals it); takes `p` over. */
enum pare_status
tree_add(struct pare_workspace *w, struct pare_plan *p, const char *command, struct pare_err *err);
/* A node as it was saved; takes `p` over.  Ids must come without gaps. */
enum pare_status tree_restore(struct pare_workspace *w, const struct pare_stored_plan *s,
	struct pare_plan *p, struct pare_err *err);
enum pare_status tree_note(struct pare_workspace *w, const char *note, struct pare_err *err);
bool tree_undo(struct pare_workspace *w);
bool tree_redo(struct pare_workspace *w);
/* To any plan; undo and redo then walk the branch that it is on. */
void tree_go(struct pare_workspace *w, int to);
/* Write down what `p` was measured to cost, wherever it stands in the tree. */
void tree_measured(struct pare_workspace *w, const struct pare_plan *p);
void tree_free(struct pare_workspace *w);

/* keep.c */
void keep_save(struct pare_workspace *w);
void keep_result(struct pare_workspace *w, const struct pare_result *r);
/* Layers fitted since the last call; `spent`: for a plan that has been measured now, so that no
 * layer need be kept for it. */
void keep_layers(struct pare_workspace *w, bool spent);
enum pare_status keep_text(struct pare_workspace *w, const char *name, const char *text, bool saved,
	struct pare_err *err);
void keep_free(struct pare_workspace *w);

/* take_up.c */
/* Open or make the session file and take up what is in it; `resume`: the place in the tree too. */
enum pare_status keep_open(struct pare_workspace *w, bool resume, struct pare_err *err);

/* worker.c */
enum pare_status worker_start(struct pare_workspace *w, struct pare_err *err);
void worker_stop(struct pare_workspace *w);
int worker_state(struct pare_workspace *w);
void worker_give(struct pare_workspace *w, const struct job *j); /* copied; the worker is idle */
/* Until the job at hand is done; its outcome is still to be taken. */
void worker_wait(struct pare_workspace *w);
void job_free(struct job *j);
void asked_free(struct asked *a);
void filing_free(struct filing *f);

/* work.c */
/* Give the worker what is most useful now, if it is idle and may work. */
void worker_feed(struct pare_workspace *w);
/* Cancel what no longer helps, after the plan changed. */
void worker_reconsider(struct pare_workspace *w);
/* Find the shares of a budget as soon as may be; what comes of it is a plan below the one that is
 * here.  Takes over, when it does not fail, b's layers and p.  PARE_E_BUSY: one at a time. */
enum pare_status worker_ask(struct pare_workspace *w, struct pare_budget *b, struct pare_plan *p,
	const char *line, struct pare_err *err);
/* Carry the plan that is here out as soon as may be, and then run the line again, which finds the
 * variant at hand.  PARE_E_BUSY: one at a time. */
enum pare_status worker_file(struct pare_workspace *w, const char *line, struct pare_err *err);
/* Stop what was asked for, or else the rounding of the plan, whose layers so far are kept; then
 * work is paused. */
enum dropped { DROPPED_NOTHING, DROPPED_BUDGET, DROPPED_FILE, DROPPED_LAYERS };
enum dropped worker_drop(struct pare_workspace *w);
/* Wait for the worker, taking along what it found; it is idle afterwards.  News, as of a pump. */
unsigned worker_settle(struct pare_workspace *w, bool cancel);
/* A result of that task joins the study and the tree; r is taken over. */
unsigned worker_take_result(struct pare_workspace *w, struct pare_result *r,
	const struct pare_task *t, struct pare_err *err);

/* foreground.c */
/* Float answers and activation ranges, waiting for them if need be. */
enum pare_status worker_need_baseline(struct pare_workspace *w, struct pare_err *err);

#endif
