#include "sessions/store.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static enum pare_status put_plan(struct pare_store *s, int id, struct pare_err *err)
{
	struct pare_stored_plan p = { .id = id,
		.parent = id - 1,
		.child = -1,
		.command = "set * weights int8",
		.plan = "set * weights int8\n",
		.note = "",
		.value = id % 2 ? NAN : 86.5,
		.drop = id % 2 ? NAN : .25,
		.made = 1700000000 + id };
	enum pare_status st = pare_store_begin(s, err);

	if (!st)
		st = pare_store_put_plan(s, &p, err);
	if (!st)
		st = pare_store_commit(s, err);
	if (st)
		pare_store_rollback(s);
	return st;
}

static enum pare_status count(void *user, const struct pare_stored_plan *p, struct pare_err *err)
{
	int *n = user;

	/* ids without a gap, each row whole */
	if (p->id != *n || p->parent != *n - 1 || strcmp(p->plan, "set * weights int8\n") ||
		!isnan(p->value) != !(p->id % 2) || p->made != 1700000000 + p->id)
		return pare_fail(err, PARE_E_FORMAT, "row %d is not as it was put", p->id);
	++*n;
	return PARE_OK;
}

static int plans_in(const char *path, struct pare_err *err)
{
	struct pare_store *s;
	int n = 0;

	if (pare_store_open(path, PARE_STORE_OWN, &s, err))
		return -1;
	if (pare_store_each_plan(s, count, &n, err))
		n = -1;
	pare_store_close(s);
	return n;
}

static enum pare_status
see_result(void *user, const char *key, const void *data, size_t len, struct pare_err *err)
{
	char *seen = user;

	(void)err;
	sprintf(seen + strlen(seen), "%s=%.*s;", key, (int)len, (const char *)data);
	return PARE_OK;
}

static void what_is_put_is_there(void)
{
	struct pare_store *s = NULL;
	struct pare_err err = { 0 };
	char *text = NULL, seen[200] = "";
	int good = 1;

	ok_status(pare_store_open(tiny_path("a/b/one.session"), PARE_STORE_OWN, &s, &err), err,
		"a session is made, folders and all");
	for (int i = 0; i < 10; i++)
		good &= !put_plan(s, i, &err);
	good &= !pare_store_set(s, PARE_STORE_META, "model", "m.onnx", &err);
	good &= !pare_store_set(s, PARE_STORE_KEPT, "cursor", "3", &err);
	good &= !pare_store_set(s, PARE_STORE_KEPT, "cursor", "4", &err);
	good &= !pare_store_put_result(s, "cells 1 0", "old", 3, &err);
	good &= !pare_store_put_result(s, "plan x", "", 0, &err);
	good &= !pare_store_put_result(s, "cells 1 0", "new", 3, &err);
	ok_status(good ? PARE_OK : PARE_E_IO, err, "plans, texts and results are put");
	pare_store_close(s);
	ok(plans_in(tiny_path("a/b/one.session"), &err) == 10, "plans are there afterwards");
	ok_status(pare_store_open(tiny_path("a/b/one.session"), PARE_STORE_READ, &s, &err), err,
		"it opens to look at");
	ok(!pare_store_get(s, PARE_STORE_KEPT, "cursor", &text, &err) && text && !strcmp(text, "4"),
		"the later text replaced the earlier");
	free(text);
	ok(!pare_store_get(s, PARE_STORE_META, "cursor", &text, &err) && !text,
		"a name that is not there is nothing");
	ok(!pare_store_each_result(s, see_result, seen, &err) &&
			!strcmp(seen, "plan x=;cells 1 0=new;"),
		"a later result replaced the earlier: %s", seen);
	ok(pare_store_set(s, PARE_STORE_META, "x", "y", &err) == PARE_E_IO,
		"looking does not write: %s", err.text);
	pare_store_close(s);
}

static void two_cannot_own_it(void)
{
	const char *path = tiny_path("owned.session");
	struct pare_store *s = NULL, *t = NULL;
	struct pare_err err = { 0 };
	char pid[32];
	int to_child[2], to_us[2];
	char c;
	pid_t child;

	if (pipe(to_child) || pipe(to_us))
		return;
	if (!(child = fork())) {
		c = pare_store_open(path, PARE_STORE_OWN, &s, &err) || put_plan(s, 0, &err) ? 'n'
											    : 'y';
		if (write(to_us[1], &c, 1) != 1 || read(to_child[0], &c, 1) != 1)
			_exit(1);
		_exit(0); /* without closing, as a kill does */
	}
	ok(read(to_us[0], &c, 1) == 1 && c == 'y', "another process owns a session");
	snprintf(pid, sizeof pid, "process %ld", (long)child);
	ok(pare_store_open(path, PARE_STORE_OWN, &t, &err) == PARE_E_BUSY && strstr(err.text, pid),
		"ours is told by whom: %s", err.text);
	ok(pare_store_owner(path) == (long)child, "asking for the owner answers the process");
	ok_status(pare_store_open(path, PARE_STORE_READ, &t, &err), err, "looking is allowed");
	pare_store_close(t);
	ok(pare_session_remove(path, &err) == PARE_E_BUSY, "deleting is not");
	ok(write(to_child[1], "x", 1) == 1 && waitpid(child, NULL, 0) == child, "it dies");
	ok(plans_in(path, &err) == 1, "then the session is free, with what it wrote");
	ok(!pare_store_owner(path), "and nobody's");
}

/* Kill a writer at a random moment: what it said was committed must be there. */
static void a_kill_loses_nothing(void)
{
	struct pare_rng r = pare_rng_seed(9, 0);
	struct pare_err err = { 0 };
	int rounds = 40, lost = 0, broken = 0, most = 0;

	for (int i = 0; i < rounds; i++) {
		char name[32];
		int told[2], last = -1, now, wait_for;
		pid_t child;

		snprintf(name, sizeof name, "kill%d.session", i);
		if (pipe(told))
			return;
		if (!(child = fork())) {
			struct pare_store *s;

			if (pare_store_open(tiny_path(name), PARE_STORE_OWN, &s, &err))
				_exit(1);
			for (int k = 0;; k++) {
				if (put_plan(s, k, &err))
					_exit(1);
				if (k % 50 == 0)
					pare_store_checkpoint(tiny_path(name));
				if (write(told[1], &k, sizeof k) != sizeof k)
					_exit(1);
			}
		}
		close(told[1]);
		wait_for = (int)pare_rng_below(&r, 80);
		while (last < wait_for && read(told[0], &now, sizeof now) == sizeof now)
			last = now;
		usleep((useconds_t)pare_rng_below(&r, 2000));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(told[0], &now, sizeof now) == sizeof now)
			last = now;
		close(told[0]);
		now = plans_in(tiny_path(name), &err);
		broken += now < 0;
		lost += now >= 0 && now <= last;
		most = now > most ? now : most;
	}
	ok(!broken, "after %d kills every session opens, rows without gaps", rounds);
	if (broken)
		printf("# %s\n", err.text);
	ok(!lost && most > 60, "and has all that was committed (up to %d plans)", most);
}

static void a_full_disk_is_told(void)
{
	const char *path = tiny_path("full.session");
	struct rlimit was, tight;
	struct pare_store *s = NULL;
	struct pare_err err = { 0 };
	char *big = calloc(1, 1 << 20);
	enum pare_status st;

	ok_status(pare_store_open(path, PARE_STORE_OWN, &s, &err), err, "opens");
	ok_status(put_plan(s, 0, &err), err, "a plan is put");
	getrlimit(RLIMIT_FSIZE, &was);
	tight = was;
	tight.rlim_cur = 200000;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &tight);
	st = pare_store_begin(s, &err);
	if (!st)
		st = pare_store_put_result(s, "cells 0 0", big, 1 << 20, &err);
	if (!st)
		st = pare_store_commit(s, &err);
	ok(st == PARE_E_IO, "what does not fit is told: %s", err.text);
	pare_store_rollback(s);
	setrlimit(RLIMIT_FSIZE, &was);
	ok_status(put_plan(s, 1, &err), err, "once there is room, it goes on");
	pare_store_close(s);
	ok(plans_in(path, &err) == 2, "and nothing is missing");
	free(big);
}

static void strange_files_are_left_alone(void)
{
	static const char garbage[] = "this is no database at all, and longer than a header of one";
	const char *path = tiny_path("garbage.session");
	struct pare_store *s = NULL;
	struct pare_err err = { 0 };
	char after[sizeof garbage] = "";
	sqlite3 *db;
	FILE *f;

	tiny_file(path, garbage, sizeof garbage, NULL, 0);
	ok(pare_store_open(path, PARE_STORE_OWN, &s, &err) == PARE_E_FORMAT &&
			strstr(err.text, "damaged"),
		"garbage: %s", err.text);
	f = fopen(path, "rb");
	ok(f && fread(after, 1, sizeof after, f) == sizeof after &&
			!memcmp(after, garbage, sizeof after),
		"it is as it was");
	if (f)
		fclose(f);
	path = tiny_path("stranger.session");
	sqlite3_open(path, &db);
	sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(pare_store_open(path, PARE_STORE_OWN, &s, &err) == PARE_E_MISMATCH &&
			strstr(err.text, "no session of pare"),
		"another program's database: %s", err.text);
	ok(pare_session_remove(path, &err) == PARE_E_MISMATCH && !access(path, F_OK),
		"is not ours to delete");
	path = tiny_path("newer.session");
	ok_status(pare_store_open(path, PARE_STORE_OWN, &s, &err), err, "a session");
	pare_store_close(s);
	sqlite3_open(path, &db);
	sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(pare_store_open(path, PARE_STORE_OWN, &s, &err) == PARE_E_MISMATCH &&
			strstr(err.text, "newer pare"),
		"a newer one: %s", err.text);
	ok(pare_store_open(tiny_path("gone.session"), PARE_STORE_READ, &s, &err) == PARE_E_IO,
		"one that is not there: %s", err.text);
	ok(pare_store_open("/proc/no/x.session", PARE_STORE_OWN, &s, &err) == PARE_E_IO,
		"a folder that cannot be made: %s", err.text);
}

static void sessions_are_listed(void)
{
	struct pare_session_list l = { 0 };
	struct pare_store *s = NULL;
	struct pare_err err = { 0 };
	char *path = NULL, folder[300];

	snprintf(folder, sizeof folder, "%s/state", tiny_folder);
	setenv("XDG_STATE_HOME", folder, 1);
	ok(!pare_session_list(NULL, &l, &err) && !l.n, "before the first there are none");
	ok(pare_session_find(NULL, NULL, &path, &err) == PARE_E_IO, "%s", err.text);
	for (int i = 0; i < 3; i++) {
		struct pare_model_info m = { .path = i ? "some/net.onnx" : "other.onnx",
			.shapes = i == 2 ? "x=1,3" : "",
			.sha256 = "0" };

		path = pare_session_default(&m, NULL);
		if (pare_store_open(path, PARE_STORE_OWN, &s, &err))
			break;
		if (put_plan(s, 0, &err) || put_plan(s, 1, &err) ||
			pare_store_set(s, PARE_STORE_META, "model", "net.onnx", &err))
			break;
		pare_store_close(s);
		free(path);
	}
	path = pare_session_default(
		&(struct pare_model_info){ .path = "other.onnx", .shapes = "", .sha256 = "0" },
		NULL);
	utimensat(AT_FDCWD, path, (struct timespec[2]){ { 1e9, 0 }, { 1e9, 0 } }, 0);
	for (int i = 0; i < 2; i++) {
		struct pare_session_info one;

		ok(!pare_session_look(path, &one, &err) && one.used == 1000000000,
			"to look at one is no use of it");
		pare_session_info_free(&one);
	}
	free(path);
	tiny_file(tiny_path("state/pare/bad.session"), "bad", 3, NULL, 0);
	tiny_file(tiny_path("state/pare/readme"), "no", 2, NULL, 0);
	ok_status(pare_session_list(NULL, &l, &err), err, "they are listed");
	ok(l.n == 4, "three and a damaged one");
	for (int i = 0; i < l.n; i++)
		if (strcmp(l.session[i].name, "bad"))
			ok(!l.session[i].problem && l.session[i].n_plans == 2 &&
					!strcmp(l.session[i].model, "net.onnx") &&
					l.session[i].value == 86.5 && l.session[i].bytes > 0,
				"%s", l.session[i].name);
		else
			ok(l.session[i].problem != NULL, "bad: %s", l.session[i].problem);
	pare_session_list_free(&l);
	ok(pare_session_find(NULL, "net", &path, &err) == PARE_E_ARG &&
			strstr(err.text, "more than"),
		"%s", err.text);
	ok(pare_session_find(NULL, "nothing", &path, &err) == PARE_E_ARG, "%s", err.text);
	ok(!pare_session_find(NULL, "oth", &path, &err) && strstr(path, "/state/pare/other-"),
		"a beginning that only one has is enough");
	ok_status(pare_session_remove(path, &err), err, "it is deleted");
	ok(access(path, F_OK) != 0, "and gone");
	free(path);
	ok_status(pare_session_remove(tiny_path("state/pare/bad.session"), &err), err,
		"a damaged one may go too");
	ok(!pare_session_list(NULL, &l, &err) && l.n == 2, "two are left");
	pare_session_list_free(&l);
}

int main(void)
{
	if (!tiny_home())
		return 1;
	what_is_put_is_there();
	two_cannot_own_it();
	a_kill_loses_nothing();
	a_full_disk_is_told();
	strange_files_are_left_alone();
	sessions_are_listed();
	return tap_done();
}
