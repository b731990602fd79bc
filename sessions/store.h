/* The session file: one SQLite database in WAL mode, one owner at a time.
 *
 * What is written is written in transactions; a process that is killed leaves the last one whole.
 * A file of a newer pare, a damaged one and one that is no session are told of and left alone. */
#ifndef PARE_STORE_H
#define PARE_STORE_H
#include "../engine/pare.h"

struct pare_store;

enum pare_store_mode {
	PARE_STORE_OWN,  /* read and write; made if it is not there */
	PARE_STORE_READ, /* look only; the owner may be at work meanwhile */
};
/* PARE_E_BUSY: another process owns it, the text says which.  PARE_E_IO: it cannot be written (or,
 * to READ, is not there).  PARE_E_FORMAT: damaged.  PARE_E_MISMATCH: of a newer pare, or of another
 * program. */
PARE_MUST_CHECK enum pare_status pare_store_open(
	const char *path, enum pare_store_mode mode, struct pare_store **out, struct pare_err *err);
void pare_store_close(struct pare_store *s); /* NULL allowed */
const char *pare_store_path(const struct pare_store *s);

/* Everything put between begin and commit is there afterwards, or nothing is.  After a failure call
 * pare_store_rollback. */
PARE_MUST_CHECK enum pare_status pare_store_begin(struct pare_store *s, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_store_commit(struct pare_store *s, struct pare_err *err);
void pare_store_rollback(struct pare_store *s);

/* Names and texts: what the session is of, and what the screen wants to find again. */
enum pare_store_table { PARE_STORE_META, PARE_STORE_KEPT };
PARE_MUST_CHECK enum pare_status pare_store_set(struct pare_store *s, enum pare_store_table table,
	const char *name, const char *text, struct pare_err *err);
/* malloc'ed; *out NULL when there is nothing of that name. */
PARE_MUST_CHECK enum pare_status pare_store_get(struct pare_store *s, enum pare_store_table table,
	const char *name, char **out, struct pare_err *err);

/* Before the keys of layers that were fitted, of plans that were not carried out to the end
 * (pare_calibration_tell_kept). */
#define PARE_STORE_LAYER "layer "

struct pare_stored_plan {
	int id, parent;         /* -1 = root */
	int child;              /* where redo goes; -1 = nowhere yet */
	const char *command;    /* what made it */
	const char *plan;       /* lines of `set` and `prune` */
	const char *note;       /* "" = none */
	double value, drop;     /* NaN = not measured */
	int64_t made, measured; /* seconds since 1970; measured 0 = not */
};
PARE_MUST_CHECK enum pare_status
pare_store_put_plan(struct pare_store *s, const struct pare_stored_plan *p, struct pare_err *err);
/* A later result of the same key replaces the earlier. */
PARE_MUST_CHECK enum pare_status pare_store_put_result(
	struct pare_store *s, const char *key, const void *data, size_t len, struct pare_err *err);
/* Those whose key begins with `prefix` go. */
PARE_MUST_CHECK enum pare_status
pare_store_drop_results(struct pare_store *s, const char *prefix, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_store_put_log(struct pare_store *s, int64_t when, const char *text, struct pare_err *err);

/* Each row to `fn`, in the order of ids, of arrival, of names, of time; what it is given is
 * borrowed for the call.  A status other than PARE_OK from fn ends the walk and is returned. */
typedef enum pare_status
pare_plan_fn(void *user, const struct pare_stored_plan *p, struct pare_err *err);
typedef enum pare_status
pare_result_fn(void *user, const char *key, const void *data, size_t len, struct pare_err *err);
typedef enum pare_status
pare_pair_fn(void *user, const char *name, const char *text, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_store_each_plan(struct pare_store *s, pare_plan_fn *fn, void *user, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_store_each_result(struct pare_store *s, pare_result_fn *fn, void *user, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_store_each_kept(struct pare_store *s, pare_pair_fn *fn, void *user, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_store_each_log(struct pare_store *s, pare_pair_fn *fn, void *user, struct pare_err *err);

PARE_MUST_CHECK enum pare_status
pare_store_n_results(struct pare_store *s, int64_t *out, struct pare_err *err);

/* Move what was written from the log beside the database into it: waits for the disk, so call it
 * from a thread that may wait (any, the store's owner may go on).  Failing is harmless. */
void pare_store_checkpoint(const char *path);
/* Bytes that the disk has left for it.  When they are few, what the log holds is moved into the
 * database first, so that small writes go on to fit. */
int64_t pare_store_room(struct pare_store *s);
/* Bytes put since the store was opened. */
int64_t pare_store_written(const struct pare_store *s);

/* The process that owns the session file; 0 = none. */
long pare_store_owner(const char *path);

/* ---- all sessions ------------------------------------------------------------------------------
 */

/* The user's folder for sessions: $XDG_STATE_HOME/pare or ~/.local/state/pare.  malloc'ed; NULL: no
 * memory. */
char *pare_session_folder(void);
/* The session file of a model and its data there, named by both hashes; data_sha NULL = no data. */
char *pare_session_default(const struct pare_model_info *m, const char *data_sha);

struct pare_session_info {
	char *path, *name;  /* name: of the file, without its ending */
	char *model, *data; /* paths; "" = not known or none */
	char *problem;      /* why it cannot be read; NULL = it can */
	int n_plans, n_results;
	double value, drop;  /* of the plan where it stands; NaN = not measured */
	int64_t bytes, used; /* size of the files; seconds since 1970 */
	long owner;          /* process that has it open; 0 = none */
};
struct pare_session_list {
	int n;
	struct pare_session_info *session; /* the one used last first */
};
/* All sessions in a folder (NULL = the user's); none when the folder is not there. */
PARE_MUST_CHECK enum pare_status
pare_session_list(const char *folder, struct pare_session_list *out, struct pare_err *err);
void pare_session_list_free(struct pare_session_list *l);
/* One session by path, by name or by the beginning of a name that only one has; NULL = the one used
 * last.  *path is malloc'ed. */
PARE_MUST_CHECK enum pare_status
pare_session_find(const char *folder, const char *name, char **path, struct pare_err *err);
PARE_MUST_CHECK enum pare_status
pare_session_look(const char *path, struct pare_session_info *out, struct pare_err *err);
void pare_session_info_free(struct pare_session_info *i);
/* Delete a session for good.  PARE_E_BUSY while it is open; PARE_E_MISMATCH when it is none
 * of ours; a damaged one may go. */
PARE_MUST_CHECK enum pare_status pare_session_remove(const char *path, struct pare_err *err);

#endif
