/* IDX files, as MNIST and its kin come: two zero bytes, a type, the number of dimensions, the
 * dimensions, the elements, all big-endian; often packed by gzip. */
#include "../base/err.h"
#include "data.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { DEFLATE_MAX = 1032, STEP = 1 << 24 };

static enum pare_dtype idx_dtype(unsigned char code)
{
	static const enum pare_dtype dtypes[] = { PARE_U8, PARE_I8, PARE_UNDEFINED, PARE_I16,
		PARE_I32, PARE_F32, PARE_F64 };

	return code >= 8 && code < 15 ? dtypes[code - 8] : PARE_UNDEFINED;
}

static bool is_idx(const unsigned char *head, int n)
{
	return n >= 8 && !head[0] && !head[1] && idx_dtype(head[2]) && head[3] >= 1 &&
	       head[3] <= PARE_MAX_DIMS;
}

static enum pare_status cut_short(const char *path, struct pare_err *err)
{
	return pare_fail(err, PARE_E_FORMAT, "%s: is cut short or damaged; copy it again", path);
}

static enum pare_status read_shape(gzFile f, const char *path, enum pare_dtype *dtype,
	struct pare_shape *shape, struct pare_err *err)
{
	unsigned char head[4 + 4 * PARE_MAX_DIMS];
	int n = gzread(f, head, 8);

	if (!is_idx(head, n))
		return pare_fail(err, PARE_E_FORMAT, "%s: is not an IDX file", path);
	*dtype = idx_dtype(head[2]);
	shape->n = head[3];
	n = 4 * shape->n - 4;
	if (gzread(f, head + 8, (unsigned)n) != n)
		return cut_short(path, err);
	for (int i = 0; i < shape->n; i++) {
		const unsigned char *p = head + 4 + 4 * i;

		shape->d[i] = (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
	}
	return PARE_OK;
}

/* From big-endian to the machine's order. */
static void to_native(unsigned char *p, size_t len, size_t size)
{
	for (size_t at = 0; at < len; at += size)
		for (size_t i = 0; i < size / 2; i++) {
			unsigned char t = p[at + i];

			p[at + i] = p[at + size - 1 - i];
			p[at + size - 1 - i] = t;
		}
}

static enum pare_status
read_open_idx(gzFile f, const char *path, struct data_array *out, struct pare_err *err)
{
	enum pare_dtype dtype = PARE_UNDEFINED;
	struct pare_shape shape;
	struct data_array a;
	struct stat sb;
	size_t bytes;
	enum pare_status st = read_shape(f, path, &dtype, &shape, err);

	if (st)
		return st;
	if (stat(path, &sb) || !pare_dtype_bytes(dtype, pare_shape_elems(&shape), &bytes))
		return pare_fail(err, PARE_E_FORMAT, "%s: claims an absurd size", path);
	if (bytes / (gzdirect(f) ? 1 : DEFLATE_MAX) > (size_t)sb.st_size)
		return cut_short(path, err);
	if ((st = data_array_new(path, dtype, &shape, &a, err)))
		return st;
	for (size_t at = 0; at < bytes;) {
		size_t left = bytes - at;
		int n = gzread(f, (char *)a.blob->data + at, (unsigned)(left < STEP ? left : STEP));

		if (n <= 0) {
			pare_blob_free(a.blob);
			return cut_short(path, err);
		}
		at += (size_t)n;
	}
	to_native(a.blob->data, bytes, pare_dtype_bits(dtype) / 8);
	*out = a;
	return PARE_OK;
}

static enum pare_status read_idx(const char *path, struct data_array *out, struct pare_err *err)
{
	gzFile f = gzopen(path, "rbe");
	enum pare_status st;

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path,
			errno ? strerror(errno) : "cannot be opened");
	gzbuffer(f, 1 << 17);
	st = read_open_idx(f, path, out, err);
	gzclose(f);
	return st;
}

/* "…images-idx3-ubyte.gz" → "…labels-idx1-ubyte.gz", in the last part of the path; NULL when the
 * name has no "images" or there is no such file, packed or not. */
static const char *labels_beside(struct pare_arena *a, const char *path)
{
	const char *slash = strrchr(path, '/'), *at = strstr(slash ? slash : path, "images");
	char *name, *three;

	if (!at || !(name = pare_sprintf(a, "%.*slabels%s.gz", (int)(at - path), path, at + 6)))
		return NULL;
	if ((three = strstr(name + (at - path), "idx3")))
		three[3] = '1';
	for (int i = 0; i < 3; i++) { /* as it is, .gz taken away, .gz twice taken away */
		if (data_is_file(name))
			return name;
		if (!data_ends_with(name, ".gz"))
			break;
		name[strlen(name) - 3] = 0;
	}
	return NULL;
}

static enum pare_status open_images(
	const char *path, const struct data_want *want, struct data_set *out, struct pare_err *err)
{
	const char *labels = labels_beside(want->arena, path);
	enum pare_status st = read_idx(path, &out->x, err);

	out->path = path;
	return st || !labels ? st : read_idx(labels, &out->y, err);
}

static enum pare_status idx_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	return open_images(path, want, &out->samples, err);
}

static bool idx_looks(const struct data_probe *p)
{
	return !p->folder && is_idx(p->head, p->n_head);
}

const struct data_format data_format_idx = { "idx", "an IDX file as MNIST's", idx_looks, idx_open };

/* The image files of a folder: of training and of test. */
static const char *const train_files[] = { "train-images-idx3-ubyte", "train-images.idx3-ubyte",
	NULL };
static const char *const test_files[] = { "t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte",
	"test-images-idx3-ubyte", NULL };

static bool find_file(const char *folder, const char *const *names, char *path, size_t room)
{
	for (; *names; names++)
		for (int packed = 0; packed < 2; packed++)
			if (snprintf(path, room, "%s/%s%s", folder, *names, packed ? ".gz" : "") <
					(int)room &&
				data_is_file(path))
				return true;
	return false;
}

static bool idx_folder_looks(const struct data_probe *p)
{
	char path[4096];

	return p->folder && (find_file(p->path, test_files, path, sizeof path) ||
				    find_file(p->path, train_files, path, sizeof path));
}

static enum pare_status idx_folder_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	char file[2][4096];
	bool test = find_file(path, test_files, file[0], sizeof file[0]);
	bool train = find_file(path, train_files, file[1], sizeof file[1]);
	enum pare_status st = PARE_OK;

	for (int i = 0; !st && i < 2; i++) {
		/* a folder with training images alone: they are the samples */
		struct data_set *to = i && test ? &out->train : &out->samples;
		const char *name = pare_strdup(want->arena, file[i]);

		if (i ? train : test)
			st = name ? open_images(name, want, to, err) : pare_nomem(err, path);
	}
	return st;
}

const struct data_format data_format_idx_folder = { "idx folder", "a folder of MNIST's",
	idx_folder_looks, idx_folder_open };
