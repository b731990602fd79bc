/* The inside of a dataset: arrays as they are stored, and the formats that they come from. */
#ifndef PARE_DATA_H
#define PARE_DATA_H
#include "../base/arena.h"
#include "../base/tensor.h"
#include "../pare.h"

/* [N, ...] as stored.  Freed by data_source_close. */
struct data_array {
	enum pare_dtype dtype;
	struct pare_shape shape;
	struct pare_blob *blob;    /* owned; NULL: there is no such array */
	const unsigned char *data; /* sample 0, in the blob; aligned to its type */
	size_t stride;             /* bytes from one sample to the next */
};

struct data_set {
	const char *path; /* for messages */
	struct data_array x, y;
	/* What other inputs of the model take; in the arena of data_want. */
	int n_more;
	struct data_array *more;
	bool nhwc;                  /* channels lie last and are wanted first */
	int n_classes;              /* names; 0 = none */
	const char *const *classes; /* y counts these */
};

struct data_bounds {
	int64_t from, to; /* -1 = not said */
};

/* What opening a path yields.  A format without settings fills `samples` (and `train` where the
 * files say so) and leaves the rest as it finds it. */
struct data_source {
	struct data_set samples, train;
	double scale;
	int n_mean, n_std; /* 0 = none */
	const double *mean, *std;
	int n_classes; /* names that a data.conf gives, in the order of the model's outputs */
	const char *const *classes;
	struct data_bounds calibrate, evaluate;
	const struct data_measure *measure; /* NULL = by what there is */
};

struct data_measure { /* a row: what `metric` may say */
	const char *name;
	enum pare_measure measure;
};
extern const struct data_measure data_measures[]; /* ended by a NULL name */

struct data_want {
	struct pare_arena *arena;       /* what is made lives here, samples apart */
	const struct pare_model *model; /* NULL = none */
	bool inner;                     /* called from a data.conf */
};

/* What a file looks like from outside. */
struct data_probe {
	const char *path, *file; /* file: the last part of path */
	bool folder, gz;
	bool inner; /* as in data_want */
	int64_t size;
	int n_head;
	unsigned char head[16]; /* of the unpacked content */
};

struct data_format { /* a row: a format that samples may have */
	const char *name, *help;
	bool (*looks)(const struct data_probe *p);
	enum pare_status (*open)(const char *path, const struct data_want *want,
		struct data_source *out, struct pare_err *err);
};
extern const struct data_format data_format_conf, data_format_conf_folder, data_format_npy,
	data_format_npy_folder, data_format_npz, data_format_idx, data_format_idx_folder,
	data_format_cifar, data_format_cifar_folder, data_format_images, data_format_csv;

/* Find the format and open.  `out` holds no arrays and the settings' defaults; on failure its
 * arrays are closed again. */
PARE_MUST_CHECK enum pare_status data_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err);
void data_source_close(struct data_source *s);
void data_set_close(struct data_set *s);

/* How the samples of a set lie, and the input that they become. */
struct data_fit {
	struct pare_shape sample; /* of one input, batch axis included as 1 */
	int64_t elems;            /* of a sample */
	int64_t channels;         /* > 1: stored [pixels][channels], wanted [channels][pixels] */
};
PARE_MUST_CHECK enum pare_status
data_fit_sample(const struct data_set *set, const struct data_array *x, const struct pare_io *input,
	struct data_fit *out, struct pare_err *err);

struct data_norm {
	float scale;
	int n;                   /* channels that differ, 1 = all alike */
	int64_t plane;           /* elements of a channel that lie together */
	const float *mean, *std; /* [n] */
	const float *table; /* [n][256]: the inputs of all bytes; NULL unless samples are bytes */
	bool none;          /* x stays as it is */
};
struct data_column { /* what one input takes: an array of a set, and how it becomes the input */
	const struct data_array *x;
	struct data_fit fit;
	struct data_norm norm;
};
/* The settings are those of `s`; `path` is what the person opened.  input NULL = no model. */
PARE_MUST_CHECK enum pare_status data_column_open(const struct data_source *s, const char *path,
	const struct data_set *set, const struct data_array *x, const struct pare_io *input,
	struct pare_arena *a, struct data_column *out, struct pare_err *err);
/* Sample i: float32 [elems]. */
void data_column_read(const struct data_column *c, int64_t i, float *out);

/* The set's labels as class numbers below `limit` (0 = any), [n samples] in the arena.  Where both
 * the set and `names` name classes, names decide. */
PARE_MUST_CHECK enum pare_status data_fit_labels(const struct data_set *set, int limit, int n_names,
	const char *const *names, struct pare_arena *a, int32_t **out, struct pare_err *err);

/* A regular file whole: mapped when it is large, read otherwise. */
PARE_MUST_CHECK enum pare_status
data_load(const char *path, struct pare_blob **out, struct pare_err *err);
bool data_is_file(const char *path);
bool data_is_folder(const char *path);
bool data_ends_with(const char *s, const char *tail);
/* "folder/name", or name alone when it is absolute; NULL: no memory. */
char *data_join(struct pare_arena *a, const char *folder, const char *name);
/* The folder that a file lies in. */
char *data_folder_of(struct pare_arena *a, const char *path);
/* strtod that knows only the decimal point, whatever the locale. */
double data_number(const char *text, char **end);
/* The names of a folder, sorted; ["x", …, NULL] in the arena. */
PARE_MUST_CHECK enum pare_status
data_list(const char *folder, struct pare_arena *a, char ***names, int *n, struct pare_err *err);
/* A blob of [shape] for `dtype`, and the array on it. */
PARE_MUST_CHECK enum pare_status data_array_new(const char *path, enum pare_dtype dtype,
	const struct pare_shape *shape, struct data_array *out, struct pare_err *err);

/* A .npy file in memory: its header, checked against `len`.  The elements begin at `at`. */
struct data_npy {
	enum pare_dtype dtype;
	struct pare_shape shape;
	size_t at, bytes;
};
PARE_MUST_CHECK enum pare_status data_npy_parse(const char *path, const unsigned char *p,
	size_t len, struct data_npy *out, struct pare_err *err);
/* The header of a .npy file into buf; its length, 0 when numpy has no such type. */
size_t
data_npy_header(enum pare_dtype dtype, const struct pare_shape *shape, char *buf, size_t room);
/* A blob that holds a .npy file as an array; takes the blob over, on failure too. */
PARE_MUST_CHECK enum pare_status data_npy_array(
	const char *path, struct pare_blob *blob, struct data_array *out, struct pare_err *err);
/* A .npy file as an array. */
PARE_MUST_CHECK enum pare_status
data_npy_open(const char *path, struct data_array *out, struct pare_err *err);

/* An image file as uint8 [c][h][w] (c 1 or 3), or [h][w][c] when `last`; resized when it differs.
 */
struct data_picture {
	int c, h, w;
};
PARE_MUST_CHECK enum pare_status
data_picture_size(const char *path, struct data_picture *out, struct pare_err *err);
PARE_MUST_CHECK enum pare_status data_picture_read(const char *path,
	const struct data_picture *want, bool last, unsigned char *out, struct pare_err *err);

/* SHA-256 over everything that makes the inputs: element type, shape of a sample, the settings and
 * the bytes of samples and labels; not over how they are packed in files.  Taken over digests of
 * pieces of 1 MiB, so that threads share the work. */
PARE_MUST_CHECK enum pare_status
data_hash(const struct data_source *s, char hex[PARE_SHA_HEX], struct pare_err *err);

#endif
