/* CIFAR-10 and CIFAR-100 in their binary version: records of one label (CIFAR-100: coarse, fine)
 * and 3x32x32 bytes. */
#include "../base/err.h"
#include "data.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { IMAGE = 3 * 32 * 32, LABELS_MAX = 2 };

/* Labels before each image, 1 or 2; 0: the size is not that of CIFAR records.  Sizes that fit both
 * are multiples of 9,446,402 bytes; no CIFAR file is that large but has 10,000 records. */
static int labels_of(int64_t size)
{
	for (int n = 1; size > 0 && n <= LABELS_MAX; n++)
		if (size % (IMAGE + n) == 0)
			return n;
	return 0;
}

/* Takes the blob over, on failure too. */
static enum pare_status
as_records(const char *path, struct pare_blob *blob, struct data_set *out, struct pare_err *err)
{
	int n_labels = labels_of((int64_t)blob->len);
	size_t stride = (size_t)(IMAGE + n_labels);
	const unsigned char *p = blob->data;
	int64_t n = (int64_t)(blob->len / stride);

	if (!n_labels) {
		pare_blob_free(blob);
		return pare_fail(err, PARE_E_FORMAT,
			"%s: its size is not a whole number of CIFAR records", path);
	}
	out->x =
		(struct data_array){ PARE_U8, { 4, { n, 3, 32, 32 } }, blob, p + n_labels, stride };
	/* the last label before the image is the fine one */
	out->y = (struct data_array){ PARE_U8, { 1, { n } }, pare_blob_ref(blob), p + n_labels - 1,
		stride };
	return PARE_OK;
}

static bool cifar_looks(const struct data_probe *p)
{
	return !p->folder && !p->gz && data_ends_with(p->file, ".bin") && labels_of(p->size);
}

static enum pare_status cifar_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	struct pare_blob *blob;
	enum pare_status st = data_load(path, &blob, err);

	(void)want;
	return st ? st : as_records(path, blob, &out->samples, err);
}

const struct data_format data_format_cifar = { "cifar", "a CIFAR .bin", cifar_looks, cifar_open };

/* ---- the folder as it is unpacked ------------------------------------------------------------ */

static const char *const train_files[] = { "data_batch_1.bin", "data_batch_2.bin",
	"data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "train.bin", NULL };
static const char *const test_files[] = { "test_batch.bin", "test.bin", NULL };

/* The files of `names` that are there, one after the other in one blob; none: NULL. */
static enum pare_status load_all(const char *folder, const char *const *names,
	struct pare_arena *arena, struct pare_blob **out, struct pare_err *err)
{
	struct pare_blob *part[sizeof train_files / sizeof *train_files] = { NULL }, *all = NULL;
	enum pare_status st = PARE_OK;
	size_t len = 0, at = 0;

	for (int i = 0; !st && names[i]; i++) {
		char *path = data_join(arena, folder, names[i]);

		if (!path)
			st = pare_nomem(err, folder);
		else if (data_is_file(path) && !(st = data_load(path, &part[i], err)))
			len += part[i]->len;
	}
	if (!st && len && !(all = pare_blob_new(len)))
		st = pare_nomem(err, folder);
	for (int i = 0; names[i]; i++) {
		if (all && part[i] && part[i]->len)
			memcpy((char *)all->data + at, part[i]->data, part[i]->len);
		at += part[i] ? part[i]->len : 0;
		pare_blob_free(part[i]);
	}
	*out = all;
	return st;
}

static enum pare_status open_files(const char *folder, const char *const *names,
	const struct data_want *want, struct data_set *out, struct pare_err *err)
{
	struct pare_blob *blob;
	enum pare_status st = load_all(folder, names, want->arena, &blob, err);

	out->path = folder;
	return st || !blob ? st : as_records(folder, blob, out, err);
}

static bool cifar_folder_looks(const struct data_probe *p)
{
	char path[4096];

	if (!p->folder)
		return false;
	for (const char *const *f = test_files; *f; f++) {
		struct stat sb;

		snprintf(path, sizeof path, "%s/%s", p->path, *f);
		if (!stat(path, &sb) && S_ISREG(sb.st_mode) && labels_of(sb.st_size))
			return true;
	}
	return false;
}

static enum pare_status cifar_folder_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	enum pare_status st = open_files(path, test_files, want, &out->samples, err);

	return st ? st : open_files(path, train_files, want, &out->train, err);
}

const struct data_format data_format_cifar_folder = { "cifar folder", "a folder of CIFAR's",
	cifar_folder_looks, cifar_folder_open };
