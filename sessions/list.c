/* All sessions of a user: where they lie, what they are, how they go. */
#include "file.h"
#include "lock.h"
#include "store.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ending[] = ".session";
/* What SQLite and the lock keep beside the database. */
static const char *const beside[] = { "", "-wal", "-shm", ".lock" };

char *pare_session_folder(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *out;
	int n;

	if (state && *state == '/') /* the specification has relative ones ignored */
		n = asprintf(&out, "%s/pare", state);
	else
		n = asprintf(&out, "%s/.local/state/pare", home && *home ? home : "/tmp");
	return n < 0 ? NULL : out;
}

char *pare_session_default(const struct pare_model_info *m, const char *data_sha)
{
	char *folder = pare_session_folder(), *both = NULL, sha[PARE_SHA_HEX], *out = NULL;
	const char *base = strrchr(m->path, '/'), *dot;

	base = base ? base + 1 : m->path;
	dot = strrchr(base, '.');
	if (asprintf(&both, "%s %s%s%s", m->sha256, data_sha ? data_sha : "", *m->shapes ? " " : "",
		    m->shapes) < 0)
		both = NULL;
	if (both)
		pare_sha256(both, strlen(both), sha);
	if (folder && both &&
		asprintf(&out, "%s/%.*s-%.12s%s", folder,
			dot && dot > base ? (int)(dot - base) : (int)strlen(base), base, sha,
			ending) < 0)
		out = NULL;
	free(folder);
	free(both);
	return out;
}

static char *session_name(const char *path)
{
	const char *base = strrchr(path, '/');
	size_t n, e = sizeof ending - 1;

	base = base ? base + 1 : path;
	n = strlen(base);
	return strndup(base, n > e && !strcmp(base + n - e, ending) ? n - e : n);
}

static void sizes(const char *path, struct pare_session_info *i)
{
	for (size_t k = 0; k < sizeof beside / sizeof *beside; k++) {
		char *name;
		struct stat sb;

		if (asprintf(&name, "%s%s", path, beside[k]) < 0)
			return;
		if (!stat(name, &sb)) {
			i->bytes += sb.st_size;
			/* readers make an empty -wal, and touch what comes after it */
			if ((!k || (k == 1 && sb.st_size)) && sb.st_mtime > i->used)
				i->used = sb.st_mtime;
		}
		free(name);
	}
}

struct counting {
	struct pare_session_info *info;
	int here;
};

static enum pare_status
count_plan(void *user, const struct pare_stored_plan *p, struct pare_err *err)
{
	struct counting *c = user;

	(void)err;
	c->info->n_plans++;
	if (p->id == c->here) {
		c->info->value = p->value;
		c->info->drop = p->drop;
	}
	return PARE_OK;
}

static enum pare_status
look_inside(struct pare_store *s, struct pare_session_info *i, struct pare_err *err)
{
	struct counting c = { .info = i };
	char *here = NULL;
	int64_t n = 0;
	enum pare_status st = pare_store_get(s, PARE_STORE_META, "model", &i->model, err);

	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "data", &i->data, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "here", &here, err);
	c.here = here ? atoi(here) : 0;
	free(here);
	if (!st)
		st = pare_store_each_plan(s, count_plan, &c, err);
	if (!st)
		st = pare_store_n_results(s, &n, err);
	i->n_results = (int)n;
	return st;
}

enum pare_status
pare_session_look(const char *path, struct pare_session_info *out, struct pare_err *err)
{
	struct pare_session_info i = { .value = NAN, .drop = NAN, .path = strdup(path) };
	struct pare_err why = { 0 };
	struct pare_store *s = NULL;
	enum pare_status st;

	i.name = session_name(path);
	sizes(path, &i);
	i.owner = pare_store_owner(path);
	st = pare_store_open(path, PARE_STORE_READ, &s, &why);
	if (!st)
		st = look_inside(s, &i, &why);
	pare_store_close(s);
	if (st)
		i.problem = strdup(why.text);
	if (!i.model)
		i.model = strdup("");
	if (!i.data)
		i.data = strdup("");
	if (!i.path || !i.name || !i.model || !i.data || (st && !i.problem)) {
		pare_session_info_free(&i);
		return pare_nomem(err, path);
	}
	*out = i;
	return PARE_OK;
}

void pare_session_info_free(struct pare_session_info *i)
{
	free(i->path);
	free(i->name);
	free(i->model);
	free(i->data);
	free(i->problem);
	*i = (struct pare_session_info){ 0 };
}

static int by_use(const void *a, const void *b)
{
	const struct pare_session_info *x = a, *y = b;

	if (x->used != y->used)
		return x->used < y->used ? 1 : -1;
	return strcmp(x->name, y->name);
}

static enum pare_status
add_session(struct pare_session_list *l, const char *folder, const char *file, struct pare_err *err)
{
	struct pare_session_info *more = realloc(l->session, ((size_t)l->n + 1) * sizeof *more);
	char *path = pare_path_join(folder, file);
	enum pare_status st = PARE_OK;

	if (more)
		l->session = more;
	if (!more || !path)
		st = pare_nomem(err, folder);
	else if (!(st = pare_session_look(path, &l->session[l->n], err)))
		l->n++;
	free(path);
	return st;
}

enum pare_status
pare_session_list(const char *folder, struct pare_session_list *out, struct pare_err *err)
{
	char *mine = folder ? NULL : pare_session_folder();
	const char *in = folder ? folder : mine;
	struct pare_session_list l = { 0 };
	enum pare_status st = in ? PARE_OK : pare_nomem(err, "the folder of sessions");
	DIR *d = in ? opendir(in) : NULL;
	struct dirent *e;

	if (!st && !d && errno != ENOENT)
		st = pare_fail(err, PARE_E_IO, "%s: %s", in, strerror(errno));
	while (!st && d && (e = readdir(d))) {
		size_t n = strlen(e->d_name), k = sizeof ending - 1;

		if (n > k && !strcmp(e->d_name + n - k, ending))
			st = add_session(&l, in, e->d_name, err);
	}
	if (d)
		closedir(d);
	free(mine);
	if (st) {
		pare_session_list_free(&l);
		return st;
	}
	if (l.n)
		qsort(l.session, (size_t)l.n, sizeof *l.session, by_use);
	*out = l;
	return PARE_OK;
}

void pare_session_list_free(struct pare_session_list *l)
{
	for (int i = 0; i < l->n; i++)
		pare_session_info_free(&l->session[i]);
	free(l->session);
	*l = (struct pare_session_list){ 0 };
}

/* Which of the list `name` means; -1: none, -2: more than one. */
static int chosen(const struct pare_session_list *l, const char *name)
{
	int found = -1;

	for (int i = 0; i < l->n; i++) {
		if (!strcmp(l->session[i].name, name))
			return i;
		if (!strncmp(l->session[i].name, name, strlen(name)))
			found = found == -1 ? i : -2;
	}
	return found;
}

enum pare_status
pare_session_find(const char *folder, const char *name, char **path, struct pare_err *err)
{
	struct pare_session_list l;
	enum pare_status st;
	int i = 0;

	if (name && !access(name, F_OK)) {
		*path = strdup(name);
		return *path ? PARE_OK : pare_nomem(err, name);
	}
	if ((st = pare_session_list(folder, &l, err)))
		return st;
	if (name)
		i = chosen(&l, name);
	if (!l.n)
		st = pare_fail(err, PARE_E_IO, "there is no session yet");
	else if (i < 0)
		st = pare_fail(err, PARE_E_ARG,
			i == -2 ? "more than one session begins with '%s'; say more of its name"
				: "there is no session '%s'; 'pare session list' names them",
			name);
	else if (!(*path = strdup(l.session[i].path)))
		st = pare_nomem(err, "a session");
	pare_session_list_free(&l);
	return st;
}

enum pare_status pare_session_remove(const char *path, struct pare_err *err)
{
	struct pare_store *s;
	int lock;
	enum pare_status st = pare_store_open(path, PARE_STORE_READ, &s, err);

	if (!st)
		pare_store_close(s);
	else if (st != PARE_E_FORMAT)
		return st;
	if ((st = pare_lock_take(path, &lock, err)))
		return st;
	for (size_t k = 0; k < 3 && !st; k++) {
		char *name;

		if (asprintf(&name, "%s%s", path, beside[k]) < 0) {
			st = pare_nomem(err, path);
			break;
		}
		if (unlink(name) && errno != ENOENT)
			st = pare_fail(
				err, PARE_E_IO, "%s cannot be deleted: %s", name, strerror(errno));
		free(name);
	}
	pare_lock_give(path, lock);
	return st;
}
