/* Which format a path has, and what all formats need of files. */
#include "../base/err.h"
#include "data.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* From this size on a file is mapped: then opening does not copy what lies in the page cache. */
enum { MAP_FROM = 32 << 20 };

/* The first that fits is taken. */
static const struct data_format *const formats[] = { &data_format_conf, &data_format_conf_folder,
	&data_format_npy, &data_format_npy_folder, &data_format_npz, &data_format_idx,
	&data_format_idx_folder, &data_format_cifar, &data_format_cifar_folder, &data_format_csv,
	&data_format_images, NULL };

bool data_is_file(const char *path)
{
	struct stat sb;

	return !stat(path, &sb) && S_ISREG(sb.st_mode);
}

bool data_is_folder(const char *path)
{
	struct stat sb;

	return !stat(path, &sb) && S_ISDIR(sb.st_mode);
}

bool data_ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n >= m && !strcasecmp(s + n - m, tail);
}

char *data_join(struct pare_arena *a, const char *folder, const char *name)
{
	return *name == '/' ? pare_strdup(a, name) : pare_sprintf(a, "%s/%s", folder, name);
}

char *data_folder_of(struct pare_arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return pare_strdup(a, ".");
	return pare_strndup(a, path, slash == path ? 1 : (size_t)(slash - path));
}

static locale_t plain_locale;

static void make_plain_locale(void)
{
	plain_locale = newlocale(LC_ALL_MASK, "C", NULL);
}

double data_number(const char *text, char **end)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_plain_locale);
	return plain_locale ? strtod_l(text, end, plain_locale) : strtod(text, end);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum pare_status
data_list(const char *folder, struct pare_arena *a, char ***names, int *n, struct pare_err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	size_t used = 0, room = 0;
	char **list = NULL;
	enum pare_status st = PARE_OK;

	if (!dir)
		return pare_fail(err, PARE_E_IO, "%s: %s", folder, strerror(errno));
	while (!st && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (used + 1 >= room) {
			char **more = realloc(list, (room = room * 2 + 64) * sizeof *list);

			if (!more) {
				st = pare_nomem(err, folder);
				break;
			}
			list = more;
		}
		if (used >= INT_MAX - 1 || !(list[used++] = pare_strdup(a, e->d_name)))
			st = pare_nomem(err, folder);
	}
	closedir(dir);
	if (!st) {
		if (used)
			qsort(list, used, sizeof *list, by_name);
		*names = pare_alloc_n(a, used + 1, sizeof **names);
		if (!*names)
			st = pare_nomem(err, folder);
		else if (used)
			memcpy(*names, list, used * sizeof *list);
		*n = (int)used;
	}
	free(list);
	return st;
}

static void blob_unmap(struct pare_blob *b)
{
	munmap(b->data, b->len);
}

static struct pare_blob *map_file(int fd, size_t len)
{
	struct pare_blob *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	b->data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (b->data == MAP_FAILED) {
		free(b);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->len = len;
	b->release = blob_unmap;
	return b;
}

static enum pare_status
read_file(const char *path, int fd, struct pare_blob *b, struct pare_err *err)
{
	for (size_t at = 0; at < b->len;) {
		ssize_t n = read(fd, (char *)b->data + at, b->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
		if (n == 0) /* it shrank since: what is there counts */
			b->len = at;
		at += (size_t)n;
	}
	return PARE_OK;
}

enum pare_status data_load(const char *path, struct pare_blob **out, struct pare_err *err)
{
	struct pare_blob *b = NULL;
	enum pare_status st = PARE_OK;
	struct stat sb;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &sb))
		st = pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(sb.st_mode))
		st = pare_fail(err, PARE_E_IO, "%s: is not a regular file", path);
	if (!st) {
		b = sb.st_size >= MAP_FROM ? map_file(fd, (size_t)sb.st_size)
					   : pare_blob_new((size_t)sb.st_size);
		if (!b)
			st = pare_nomem(err, path);
		else if (sb.st_size < MAP_FROM)
			st = read_file(path, fd, b, err);
	}
	if (fd >= 0)
		close(fd);
	if (st) {
		pare_blob_free(b);
		return st;
	}
	*out = b;
	return PARE_OK;
}

enum pare_status data_array_new(const char *path, enum pare_dtype dtype,
	const struct pare_shape *shape, struct data_array *out, struct pare_err *err)
{
	int64_t elems = pare_shape_elems(shape);
	struct pare_blob *b;
	size_t bytes;

	if (elems < 0 || !pare_dtype_bytes(dtype, elems, &bytes))
		return pare_fail(err, PARE_E_FORMAT, "%s: claims an absurd size", path);
	if (!(b = pare_blob_new(bytes)))
		return pare_fail(
			err, PARE_E_NOMEM, "%s: not enough memory for %zu MB", path, bytes >> 20);
	*out = (struct data_array){ dtype, *shape, b, b->data,
		shape->d[0] ? bytes / (size_t)shape->d[0] : 0 };
	return PARE_OK;
}

void data_set_close(struct data_set *s)
{
	pare_blob_free(s->x.blob);
	pare_blob_free(s->y.blob);
	s->x.blob = s->y.blob = NULL;
	for (int i = 0; i < s->n_more; i++)
		pare_blob_free(s->more[i].blob);
	s->n_more = 0;
}

void data_source_close(struct data_source *s)
{
	data_set_close(&s->samples);
	data_set_close(&s->train);
}

static enum pare_status probe(const char *path, struct data_probe *p, struct pare_err *err)
{
	const char *slash;
	struct stat sb;
	gzFile f;

	*p = (struct data_probe){ .path = path };
	slash = strrchr(path, '/');
	p->file = slash ? slash + 1 : path;
	if (stat(path, &sb))
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	p->folder = S_ISDIR(sb.st_mode);
	p->size = sb.st_size;
	if (p->folder)
		return PARE_OK;
	if (!S_ISREG(sb.st_mode))
		return pare_fail(
			err, PARE_E_IO, "%s: is neither a regular file nor a folder", path);
	if (!(f = gzopen(path, "rbe")))
		return pare_fail(err, PARE_E_IO, "%s: %s", path,
			errno ? strerror(errno) : "cannot be opened");
	p->n_head = gzread(f, p->head, sizeof p->head);
	p->gz = !gzdirect(f);
	gzclose(f);
	return PARE_OK;
}

enum pare_status data_open(const char *path, const struct data_want *want, struct data_source *out,
	struct pare_err *err)
{
	struct data_probe p;
	enum pare_status st = probe(path, &p, err);
	char known[420] = "";

	if (st)
		return st;
	p.inner = want->inner;
	for (int i = 0; formats[i]; i++) {
		const struct data_format *f = formats[i];

		if (f->looks(&p)) {
			out->samples.path = path;
			if ((st = f->open(path, want, out, err)))
				data_source_close(out);
			return st;
		}
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? "; " : "",
			f->help);
	}
	return pare_fail(err, PARE_E_FORMAT, "%s: no data in a format that is known. Known: %s",
		path, known);
}
