#include "store.h"
#include "file.h"
#include "lock.h"
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	VERSION = 1,        /* user_version */
	MAGIC = 0x70617265, /* application_id, "pare" */
	TIGHT = 1 << 20,    /* bytes of a disk that is nearly full */
};

static const char schema[] =
	"CREATE TABLE meta (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE kept (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE plans (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, child INTEGER NOT "
	"NULL,"
	" command TEXT NOT NULL, plan TEXT NOT NULL, note TEXT NOT NULL, value REAL, \"drop\" REAL,"
	" made INTEGER NOT NULL, measured INTEGER NOT NULL);"
	"CREATE TABLE results (key TEXT PRIMARY KEY, data BLOB NOT NULL);"
	"CREATE TABLE log (at INTEGER NOT NULL, text TEXT NOT NULL);";

struct pare_store {
	char *path;
	int lock; /* descriptor; -1 = not the owner */
	int64_t written;
	sqlite3 *db;
};

static enum pare_status trouble(const struct pare_store *s, int rc, struct pare_err *err)
{
	switch (rc & 0xFF) {
	case SQLITE_NOMEM:
		return pare_nomem(err, s->path);
	case SQLITE_FULL:
		return pare_fail(err, PARE_E_IO, "the disk is full: %s", s->path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return pare_fail(err, PARE_E_FORMAT,
			"%s is damaged or no session; it is left as it is: move it away, or name "
			"another file",
			s->path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return pare_fail(err, PARE_E_BUSY, "%s is in use by another program", s->path);
	case SQLITE_READONLY:
		return pare_fail(err, PARE_E_IO, "%s cannot be written", s->path);
	default:
		return pare_fail(err, PARE_E_IO, "%s: %s", s->path,
			s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
	}
}

static enum pare_status run(struct pare_store *s, const char *sql, struct pare_err *err)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc ? trouble(s, rc, err) : PARE_OK;
}

/* A whole number that a PRAGMA or a count answers. */
static enum pare_status
ask(struct pare_store *s, const char *sql, int64_t *out, struct pare_err *err)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);

	if (!rc)
		rc = sqlite3_step(q);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return rc == SQLITE_ROW ? PARE_OK : trouble(s, rc, err);
}

static enum pare_status check_kind(struct pare_store *s, bool own, struct pare_err *err)
{
	int64_t magic = 0, version = 0, tables = 0;
	enum pare_status st = ask(s, "PRAGMA application_id", &magic, err);
	char sql[sizeof schema + 200];

	if (!st)
		st = ask(s, "PRAGMA user_version", &version, err);
	if (!st)
		st = ask(s, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (st)
		return st;
	if (own && !magic && !version && !tables) { /* new, or left empty by one that was killed */
		snprintf(sql, sizeof sql,
			"BEGIN IMMEDIATE; %s PRAGMA application_id=%d; PRAGMA user_version=%d; "
			"COMMIT",
			schema, MAGIC, VERSION);
		return run(s, sql, err);
	}
	if (magic != MAGIC)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s is no session of pare; name another file", s->path);
	if (version > VERSION)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s was written by a newer pare (version %lld, this one reads up to %d); "
			"it "
			"is left as it is: use that one, or name another file with --session",
			s->path, (long long)version, VERSION);
	return PARE_OK;
}

static enum pare_status open_db(struct pare_store *s, bool own, struct pare_err *err)
{
	int rc = sqlite3_open_v2(s->path, &s->db,
		own ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY, NULL);
	enum pare_status st;

	if (rc)
		return trouble(s, rc, err);
	sqlite3_busy_timeout(s->db, 500);
	sqlite3_extended_result_codes(s->db, 1);
	st = check_kind(s, own, err);
	if (!st && own)
		/* NORMAL: a commit does not wait for the disk.  A kill loses nothing; a power cut
		 * may lose the last edits, never the file. */
		st = run(s,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
			"PRAGMA wal_autocheckpoint=0; PRAGMA wal_checkpoint(PASSIVE)",
			err);
	return st;
}

/* In a folder that cannot be written the log's shared memory cannot be made: read the file alone.
 */
static enum pare_status open_frozen(struct pare_store *s, struct pare_err *err)
{
	struct pare_text uri = { 0 };
	int rc;

	pare_text_add(&uri, "file:");
	for (const char *p = s->path; *p; p++)
		pare_text_add(&uri, strchr("?#%", *p) ? "%%%02X" : "%c", (unsigned char)*p);
	pare_text_add(&uri, "?immutable=1");
	if (uri.failed) {
		free(uri.s);
		return pare_nomem(err, s->path);
	}
	sqlite3_close(s->db);
	s->db = NULL;
	rc = sqlite3_open_v2(uri.s, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	free(uri.s);
	return rc ? trouble(s, rc, err) : check_kind(s, false, err);
}

enum pare_status pare_store_open(
	const char *path, enum pare_store_mode mode, struct pare_store **out, struct pare_err *err)
{
	struct pare_store *s = calloc(1, sizeof *s);
	bool own = mode == PARE_STORE_OWN;
	enum pare_status st = PARE_OK;

	if (!s || !(s->path = strdup(path))) {
		free(s);
		return pare_nomem(err, path);
	}
	s->lock = -1;
	if (own)
		st = pare_lock_take(path, &s->lock, err);
	else if (access(path, R_OK))
		st = pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	if (!st)
		st = open_db(s, own, err);
	if (st == PARE_E_IO && !own && !access(path, R_OK))
		st = open_frozen(s, err);
	if (st) {
		pare_store_close(s);
		return st;
	}
	*out = s;
	return PARE_OK;
}

void pare_store_close(struct pare_store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db); /* the last one to close brings the log into the database */
	if (s->lock >= 0)
		pare_lock_give(s->path, s->lock);
	free(s->path);
	free(s);
}

const char *pare_store_path(const struct pare_store *s)
{
	return s->path;
}

int64_t pare_store_written(const struct pare_store *s)
{
	return s->written;
}

void pare_store_checkpoint(const char *path)
{
	sqlite3 *db = NULL;

	if (!sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL))
		sqlite3_exec(db, "PRAGMA wal_checkpoint(PASSIVE)", NULL, NULL, NULL);
	sqlite3_close(db);
}

int64_t pare_store_room(struct pare_store *s)
{
	struct statvfs v;
	int64_t room = statvfs(s->path, &v) ? INT64_MAX : (int64_t)(v.f_bavail * v.f_frsize);

	if (room < TIGHT)
		sqlite3_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
	return room;
}

enum pare_status pare_store_begin(struct pare_store *s, struct pare_err *err)
{
	return run(s, "BEGIN IMMEDIATE", err);
}

enum pare_status pare_store_commit(struct pare_store *s, struct pare_err *err)
{
	return run(s, "COMMIT", err);
}

void pare_store_rollback(struct pare_store *s)
{
	if (!sqlite3_get_autocommit(s->db)) /* SQLite may have done it already */
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- putting ------------------------------------------------------------------------------------
 */

static enum pare_status
prepare(struct pare_store *s, const char *sql, sqlite3_stmt **q, struct pare_err *err)
{
	int rc = sqlite3_prepare_v2(s->db, sql, -1, q, NULL);

	return rc ? trouble(s, rc, err) : PARE_OK;
}

static enum pare_status
finish(struct pare_store *s, sqlite3_stmt *q, size_t len, struct pare_err *err)
{
	int rc = sqlite3_step(q);
	enum pare_status st = rc == SQLITE_DONE ? PARE_OK : trouble(s, rc, err);

	sqlite3_finalize(q);
	if (!st)
		s->written += (int64_t)len;
	return st;
}

/* Texts are borrowed for the step alone. */
static void bind_text(sqlite3_stmt *q, int i, const char *text)
{
	sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static void bind_real(sqlite3_stmt *q, int i, double v)
{
	if (!isnan(v))
		sqlite3_bind_double(q, i, v);
}

static const char *table_sql(enum pare_store_table t, const char *meta, const char *kept)
{
	return t == PARE_STORE_META ? meta : kept;
}

enum pare_status pare_store_set(struct pare_store *s, enum pare_store_table table, const char *name,
	const char *text, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st = prepare(s,
		table_sql(table, "REPLACE INTO meta VALUES (?, ?)",
			"REPLACE INTO kept VALUES (?, ?)"),
		&q, err);

	if (st)
		return st;
	bind_text(q, 1, name);
	bind_text(q, 2, text);
	return finish(s, q, strlen(text), err);
}

enum pare_status pare_store_get(struct pare_store *s, enum pare_store_table table, const char *name,
	char **out, struct pare_err *err)
{
	sqlite3_stmt *q;
	char *text = NULL;
	int rc;
	enum pare_status st = prepare(s,
		table_sql(table, "SELECT text FROM meta WHERE name = ?",
			"SELECT text FROM kept WHERE name = ?"),
		&q, err);

	if (st)
		return st;
	bind_text(q, 1, name);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(q, 0);

		text = found ? strdup(found) : NULL;
		if (!text)
			st = pare_nomem(err, s->path);
	} else if (rc != SQLITE_DONE)
		st = trouble(s, rc, err);
	sqlite3_finalize(q);
	if (!st)
		*out = text;
	return st;
}

enum pare_status
pare_store_put_plan(struct pare_store *s, const struct pare_stored_plan *p, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st =
		prepare(s, "REPLACE INTO plans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &q, err);

	if (st)
		return st;
	sqlite3_bind_int(q, 1, p->id);
	sqlite3_bind_int(q, 2, p->parent);
	sqlite3_bind_int(q, 3, p->child);
	bind_text(q, 4, p->command);
	bind_text(q, 5, p->plan);
	bind_text(q, 6, p->note);
	bind_real(q, 7, p->value);
	bind_real(q, 8, p->drop);
	sqlite3_bind_int64(q, 9, p->made);
	sqlite3_bind_int64(q, 10, p->measured);
	return finish(s, q, strlen(p->plan), err);
}

enum pare_status pare_store_put_result(
	struct pare_store *s, const char *key, const void *data, size_t len, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st = prepare(s, "REPLACE INTO results VALUES (?, ?)", &q, err);

	if (st)
		return st;
	bind_text(q, 1, key);
	sqlite3_bind_blob64(q, 2, data, len, SQLITE_STATIC);
	return finish(s, q, len, err);
}

enum pare_status
pare_store_drop_results(struct pare_store *s, const char *prefix, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st =
		prepare(s, "DELETE FROM results WHERE substr(key, 1, length(?1)) = ?1", &q, err);

	if (st)
		return st;
	bind_text(q, 1, prefix);
	return finish(s, q, 0, err);
}

enum pare_status
pare_store_put_log(struct pare_store *s, int64_t when, const char *text, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st = prepare(s, "INSERT INTO log VALUES (?, ?)", &q, err);

	if (st)
		return st;
	sqlite3_bind_int64(q, 1, when);
	bind_text(q, 2, text);
	return finish(s, q, strlen(text), err);
}

/* ---- walking ------------------------------------------------------------------------------------
 */

typedef enum pare_status row_fn(sqlite3_stmt *q, void *fn, void *user, struct pare_err *err);

static const char *text_at(sqlite3_stmt *q, int i)
{
	const char *s = (const char *)sqlite3_column_text(q, i);

	return s ? s : "";
}

static double real_at(sqlite3_stmt *q, int i)
{
	return sqlite3_column_type(q, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, i);
}

static enum pare_status
walk(struct pare_store *s, const char *sql, row_fn *row, void *fn, void *user, struct pare_err *err)
{
	sqlite3_stmt *q;
	enum pare_status st = prepare(s, sql, &q, err);
	int rc = SQLITE_DONE;

	if (st)
		return st;
	while (!st && (rc = sqlite3_step(q)) == SQLITE_ROW)
		st = row(q, fn, user, err);
	if (!st && rc != SQLITE_DONE)
		st = trouble(s, rc, err);
	sqlite3_finalize(q);
	return st;
}

static enum pare_status plan_row(sqlite3_stmt *q, void *fn, void *user, struct pare_err *err)
{
	struct pare_stored_plan p = {
		.id = sqlite3_column_int(q, 0),
		.parent = sqlite3_column_int(q, 1),
		.child = sqlite3_column_int(q, 2),
		.command = text_at(q, 3),
		.plan = text_at(q, 4),
		.note = text_at(q, 5),
		.value = real_at(q, 6),
		.drop = real_at(q, 7),
		.made = sqlite3_column_int64(q, 8),
		.measured = sqlite3_column_int64(q, 9),
	};

	return (*(pare_plan_fn **)fn)(user, &p, err);
}

static enum pare_status result_row(sqlite3_stmt *q, void *fn, void *user, struct pare_err *err)
{
	const char *key = text_at(q, 0);
	const void *data = sqlite3_column_blob(q, 1);

	return (*(pare_result_fn **)fn)(
		user, key, data ? data : "", (size_t)sqlite3_column_bytes(q, 1), err);
}

static enum pare_status pair_row(sqlite3_stmt *q, void *fn, void *user, struct pare_err *err)
{
	const char *name = text_at(q, 0);

	return (*(pare_pair_fn **)fn)(user, name, text_at(q, 1), err);
}

enum pare_status
pare_store_each_plan(struct pare_store *s, pare_plan_fn *fn, void *user, struct pare_err *err)
{
	return walk(s, "SELECT * FROM plans ORDER BY id", plan_row, &fn, user, err);
}

enum pare_status
pare_store_each_result(struct pare_store *s, pare_result_fn *fn, void *user, struct pare_err *err)
{
	return walk(s, "SELECT key, data FROM results ORDER BY rowid", result_row, &fn, user, err);
}

enum pare_status
pare_store_each_kept(struct pare_store *s, pare_pair_fn *fn, void *user, struct pare_err *err)
{
	return walk(s, "SELECT name, text FROM kept ORDER BY name", pair_row, &fn, user, err);
}

enum pare_status
pare_store_each_log(struct pare_store *s, pare_pair_fn *fn, void *user, struct pare_err *err)
{
	return walk(s,
		"SELECT strftime('%H:%M:%S', at, 'unixepoch', 'localtime'), text FROM log ORDER BY "
		"rowid",
		pair_row, &fn, user, err);
}

enum pare_status pare_store_n_results(struct pare_store *s, int64_t *out, struct pare_err *err)
{
	return ask(s, "SELECT count(*) FROM results", out, err);
}
