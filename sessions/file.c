#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum pare_status
read_all(int fd, const char *path, size_t max, char **text, size_t *len, struct pare_err *err)
{
	struct stat sb;
	size_t n = 0;
	char *s;

	if (fstat(fd, &sb))
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	if (!S_ISREG(sb.st_mode))
		return pare_fail(err, PARE_E_FORMAT, "%s is no plain file", path);
	if (sb.st_size < 0 || (uintmax_t)sb.st_size > max)
		return pare_fail(err, PARE_E_FORMAT, "%s is too large: %lld bytes, at most %zu",
			path, (long long)sb.st_size, max);
	if (!(s = malloc((size_t)sb.st_size + 1)))
		return pare_nomem(err, path);
	while (n < (size_t)sb.st_size) {
		ssize_t got = read(fd, s + n, (size_t)sb.st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(s);
			return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
		}
		if (!got)
			break; /* became shorter meanwhile */
		n += (size_t)got;
	}
	s[n] = 0;
	*text = s;
	*len = n;
	return PARE_OK;
}

enum pare_status
pare_text_read(const char *path, size_t max, char **text, size_t *len, struct pare_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
	enum pare_status st;

	if (fd < 0)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	st = read_all(fd, path, max, text, len, err);
	close(fd);
	return st;
}

char *pare_path_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash          ? strdup(".")
	       : slash == path ? strdup("/")
			       : strndup(path, (size_t)(slash - path));
}

char *pare_path_join(const char *folder, const char *path)
{
	char *out;

	if (*path == '/' || !strcmp(folder, "."))
		return strdup(path);
	return asprintf(&out, "%s/%s", folder, path) < 0 ? NULL : out;
}

char *pare_path_absolute(const char *path)
{
	char *real = realpath(path, NULL), *here, *out;

	if (real)
		return real;
	if (*path == '/')
		return strdup(path);
	if (!(here = getcwd(NULL, 0)))
		return strdup(path);
	out = pare_path_join(here, path);
	free(here);
	return out;
}

/* Links on the way are followed, the last one is left: the person named the link. */
static char *absolute_but_last(const char *path)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char *folder, *real, *out;

	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return pare_path_absolute(path);
	folder = pare_path_folder(path);
	real = folder ? pare_path_absolute(folder) : NULL;
	out = real ? pare_path_join(strcmp(real, "/") ? real : "", last) : NULL;
	free(folder);
	free(real);
	return out;
}

char *pare_path_from(const char *folder, const char *path)
{
	char *from = pare_path_absolute(folder), *to = absolute_but_last(path);
	struct pare_text t = { .failed = !from || !to };
	size_t i = 0, common = 0; /* both begin with the same folders up to here */

	if (!t.failed) {
		for (; from[i] && from[i] == to[i]; i++)
			if (from[i] == '/')
				common = i;
		if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
			common = i;
		for (const char *p = from + common; *p; p++)
			if (*p == '/' && p[1])
				pare_text_add(&t, "../");
		pare_text_add(&t, "%s", to + common + (to[common] == '/'));
	}
	if (!t.failed && !t.n)
		pare_text_add(&t, ".");
	free(from);
	free(to);
	if (!t.failed)
		return t.s;
	free(t.s);
	return NULL;
}

bool pare_path_same(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum pare_status pare_path_make(const char *folder, struct pare_err *err)
{
	char *s = strdup(folder);

	if (!s)
		return pare_nomem(err, folder);
	for (char *p = s + 1; *s; p++)
		if (*p == '/' || !*p) {
			char was = *p;

			*p = 0;
			if (mkdir(s, 0700) && errno != EEXIST) {
				enum pare_status st = pare_fail(err, PARE_E_IO,
					"the folder %s cannot be made: %s", s, strerror(errno));

				free(s);
				return st;
			}
			*p = was;
			if (!was)
				break;
		}
	free(s);
	return PARE_OK;
}

void pare_text_add(struct pare_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (t->failed || n < 0)
		return;
	if (t->n + (size_t)n + 1 > t->cap) {
		size_t cap = 2 * t->cap + (size_t)n + 256;
		char *s = realloc(t->s, cap);

		if (!s) {
			t->failed = true;
			return;
		}
		t->s = s;
		t->cap = cap;
	}
	va_start(ap, fmt);
	vsnprintf(t->s + t->n, t->cap - t->n, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
}
