/* Files that tests of datasets read: written here by hand, byte by byte. */
#ifndef DATA_FILES_H
#define DATA_FILES_H
#include "engine/graph/model.h"
#include "engine/pare.h"
#include "tests/tap.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/pare-data-XXXXXX";

static inline const char *in_folder(const char *name)
{
	static char path[4][512];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
	return path[turn];
}

static inline const char *put(const char *name, const void *data, size_t len)
{
	const char *path = in_folder(name);
	FILE *f;

	unlink(path); /* to write over a file makes some file systems wait for the disk */
	f = fopen(path, "wb");
	if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
	return path;
}

static inline const char *put_text(const char *name, const char *text)
{
	return put(name, text, strlen(text));
}

/* A .npy of version 1 whose header is `dict`, as it stands; its length. */
static inline size_t npy_bytes(unsigned char *buf, const char *dict, const void *data, size_t len)
{
	size_t n = strlen(dict);

	memcpy(buf, "\x93NUMPY\x01\x00", 8);
	buf[8] = (unsigned char)(n & 255);
	buf[9] = (unsigned char)(n >> 8);
	memcpy(buf + 10, dict, n);
	if (len)
		memcpy(buf + 10 + n, data, len);
	return 10 + n + len;
}

static inline const char *
put_npy(const char *name, const char *descr, const char *shape, const void *data, size_t len)
{
	unsigned char *buf = malloc(len + 256);
	char dict[128];
	const char *path;

	/* 118 letters, so that the data begin at 128 as numpy lays them */
	snprintf(dict, sizeof dict, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr,
		shape);
	memset(dict + strlen(dict), ' ', 118 - strlen(dict));
	dict[117] = '\n';
	dict[118] = 0;
	path = put(name, buf, npy_bytes(buf, dict, data, len));
	free(buf);
	return path;
}

static inline void new_folder(void)
{
	if (!mkdtemp(folder)) {
		printf("Bail out! cannot make %s\n", folder);
		exit(1);
	}
}

static inline int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
	(void)sb;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void remove_folder(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A model that has one input of this shape and tells n classes apart; batch first. */
static inline const struct pare_model *model_of(int n_dims, const int64_t *dims, int classes)
{
	static struct pare_model m;
	static struct pare_io in, out;

	in = (struct pare_io){ "image", PARE_F32, { .n = n_dims } };
	memcpy(in.shape.d, dims, (size_t)n_dims * sizeof *dims);
	out = (struct pare_io){ "logits", PARE_F32, { 2, { -1, classes } } };
	m.inputs = &in;
	m.outputs = &out;
	m.info.n_inputs = m.info.n_outputs = 1;
	return &m;
}
#define MODEL(classes, ...)                                                                        \
	model_of(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]){ __VA_ARGS__ }, \
		classes)

/* Opening fails with this status and a sentence that holds each of the words. */
static inline void refuses(const char *path, const struct pare_model *m, enum pare_status want,
	const char *word, const char *what)
{
	struct pare_err err = { 0 };
	struct pare_dataset *d = NULL;
	enum pare_status st = pare_dataset_open(path, m, &d, &err);

	if (!ok(st == want && !d && strstr(err.text, word) && strchr(err.text, ' '), "%s", what))
		printf("#   status %d, wanted %d with '%s': %s\n", st, want, word, err.text);
	pare_dataset_free(d);
}

static inline struct pare_dataset *
opens(const char *path, const struct pare_model *m, const char *what)
{
	struct pare_err err = { 0 };
	struct pare_dataset *d = NULL;

	ok_status(pare_dataset_open(path, m, &d, &err), err, "%s", what);
	if (!d) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return d;
}

#endif
