/* .npz archives: .npy files in a zip, through libzip. */
#include "../base/err.h"
#include "data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* Deflate cannot shrink by more: what claims to is no archive of ours. */
enum { DEFLATE_MAX = 1032 };

/* The entries that people use, the likeliest first. */
static const char *const sample_names[] = { "x", "x_test", "samples", "images", "data", "X",
	"arr_0", NULL };
static const char *const label_names[] = { "y", "y_test", "labels", "targets", "Y", "arr_1", NULL };
static const char *const train_names[] = { "x_train", NULL };
static const char *const train_label_names[] = { "y_train", NULL };

static enum pare_status read_entry(const char *path, zip_t *z, zip_uint64_t index,
	struct data_array *out, struct pare_err *err)
{
	zip_stat_t sb;
	zip_file_t *f;
	struct pare_blob *b;
	char name[512];
	zip_uint64_t at = 0;
	char beyond;
	bool bad;

	if (zip_stat_index(z, index, 0, &sb))
		return pare_fail(err, PARE_E_FORMAT, "%s: %s", path, zip_strerror(z));
	snprintf(name, sizeof name, "%s: %s", path, sb.name);
	if (sb.size / DEFLATE_MAX > sb.comp_size + 1)
		return pare_fail(err, PARE_E_FORMAT, "%s claims an absurd size", name);
	if (!(f = zip_fopen_index(z, index, 0)))
		return pare_fail(err, PARE_E_FORMAT, "%s: %s", name, zip_strerror(z));
	if (!(b = pare_blob_new((size_t)sb.size))) {
		zip_fclose(f);
		return pare_nomem(err, name);
	}
	while (at < sb.size) {
		zip_int64_t n = zip_fread(f, (char *)b->data + at, sb.size - at);

		if (n <= 0)
			break;
		at += (zip_uint64_t)n;
	}
	/* the checksum is looked at by the read that finds the end */
	bad = at < sb.size || zip_fread(f, &beyond, 1) != 0;
	if (zip_fclose(f) || bad) {
		pare_blob_free(b);
		return pare_fail(err, PARE_E_FORMAT,
			"%s is damaged; copy the archive again or write it with np.savez", name);
	}
	return data_npy_array(name, b, out, err);
}

/* Is it what an input of the model is called? */
static bool is_input(const struct pare_model *m, const char *name)
{
	for (int i = 0; m && i < pare_model_info(m)->n_inputs; i++)
		if (!strcmp(pare_model_input(m, i)->name, name))
			return true;
	return false;
}

struct archive {
	const char *path;
	zip_t *z;
	const struct data_want *want;
};

/* The array NAME TAIL; none when there is no such. */
static enum pare_status read_named(const struct archive *f, const char *name, const char *tail,
	struct data_array *out, struct pare_err *err)
{
	char *entry = pare_sprintf(f->want->arena, "%s%s.npy", name, tail);
	zip_int64_t i;

	if (!entry)
		return pare_nomem(err, f->path);
	i = zip_name_locate(f->z, entry, 0);
	return i < 0 ? PARE_OK : read_entry(f->path, f->z, (zip_uint64_t)i, out, err);
}

/* The first that is there and no input. */
static enum pare_status read_first(const struct archive *f, const char *const *names,
	struct data_array *out, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	for (; *names && !out->blob && !st; names++)
		if (!is_input(f->want->model, *names))
			st = read_named(f, *names, "", out, err);
	return st;
}

static enum pare_status
missing(const struct archive *f, const char *name, const char *tail, struct pare_err *err)
{
	char there[256] = "";
	zip_int64_t n = zip_get_num_entries(f->z, 0);

	for (zip_int64_t i = 0; i < n && strlen(there) < 200; i++) {
		const char *entry = zip_get_name(f->z, (zip_uint64_t)i, 0);

		snprintf(there + strlen(there), sizeof there - strlen(there), "%s%.60s",
			i ? ", " : "", entry ? entry : "?");
	}
	return pare_fail(err, PARE_E_FORMAT,
		"%s: no array named %.100s%s in it (there: %s); write it with np.savez(…, %s)",
		f->path, name, tail, n > 0 ? there : "nothing",
		strcmp(name, "x") ? "**{each input's name: its samples}, y=labels"
				  : "x=samples, y=labels");
}

/* An array for each input of a model of several, all called like it and TAIL; `all`: they must be
 * there, else there may be none. */
static enum pare_status read_inputs(const struct archive *f, const char *tail, bool all,
	struct data_set *set, struct pare_err *err)
{
	const struct pare_model *m = f->want->model;
	int n = pare_model_info(m)->n_inputs;
	enum pare_status st = PARE_OK;

	if (!(set->more = pare_alloc_n(f->want->arena, (size_t)n, sizeof *set->more)))
		return pare_nomem(err, f->path);
	for (int i = 0; i < n && !st; i++) {
		const char *name = pare_model_input(m, i)->name;
		struct data_array *to = i ? &set->more[set->n_more++] : &set->x;

		st = read_named(f, name, tail, to, err);
		if (!st && !i && !to->blob && !all)
			return PARE_OK;
		if (!st && !to->blob)
			st = missing(f, name, tail, err);
	}
	return st;
}

static enum pare_status
read_all(const struct archive *f, struct data_source *out, struct pare_err *err)
{
	const struct pare_model *m = f->want->model;
	enum pare_status st;

	if (m && pare_model_info(m)->n_inputs > 1) {
		if (!(st = read_inputs(f, "", true, &out->samples, err)))
			st = read_inputs(f, "_train", false, &out->train, err);
	} else {
		st = m ? read_named(f, pare_model_input(m, 0)->name, "", &out->samples.x, err)
		       : PARE_OK;
		if (!st && !out->samples.x.blob)
			st = read_first(f, sample_names, &out->samples.x, err);
		if (!st)
			st = read_first(f, train_names, &out->train.x, err);
		if (!st && !out->samples.x.blob)
			st = missing(f, "x", "", err);
	}
	if (!st)
		st = read_first(f, label_names, &out->samples.y, err);
	if (!st && out->train.x.blob)
		st = read_first(f, train_label_names, &out->train.y, err);
	return st;
}

static enum pare_status npz_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	int code;
	struct archive f = { path, zip_open(path, ZIP_RDONLY, &code), want };
	enum pare_status st;

	if (!f.z) {
		zip_error_t e;

		zip_error_init_with_code(&e, code);
		st = pare_fail(err, PARE_E_FORMAT, "%s: cannot be read as .npz: %s", path,
			zip_error_strerror(&e));
		zip_error_fini(&e);
		return st;
	}
	out->train.path = path;
	st = read_all(&f, out, err);
	zip_discard(f.z);
	return st;
}

static bool npz_looks(const struct data_probe *p)
{
	return !p->folder && !p->gz && p->n_head >= 4 &&
	       (!memcmp(p->head, "PK\3\4", 4) || !memcmp(p->head, "PK\5\6", 4));
}

const struct data_format data_format_npz = { "npz",
	"an .npz with x and y, or with the model's inputs by name", npz_looks, npz_open };

/* ---- writing --------------------------------------------------------------------------------- */

/* The .npy file of an array, malloc'ed. */
static enum pare_status
pack(const struct pare_array *a, const char *name, char **out, size_t *len, struct pare_err *err)
{
	char head[512], *all;
	size_t n_head = data_npy_header(a->dtype, &a->shape, head, sizeof head), bytes;
	int64_t elems = pare_shape_elems(&a->shape);

	if (!n_head)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"'%s' is %s, which numpy files cannot hold", name,
			pare_dtype_name(a->dtype));
	if (elems < 0 || !pare_dtype_bytes(a->dtype, elems, &bytes))
		return pare_fail(err, PARE_E_ARG, "'%s' has no size", name);
	if (!(all = malloc(n_head + bytes)))
		return pare_nomem(err, name);
	memcpy(all, head, n_head);
	if (bytes)
		memcpy(all + n_head, a->data, bytes);
	*out = all;
	*len = n_head + bytes;
	return PARE_OK;
}

static enum pare_status
write_npy(const char *path, const struct pare_array *a, const char *name, struct pare_err *err)
{
	char *all;
	size_t len;
	enum pare_status st = pack(a, name, &all, &len, err);

	if (st)
		return pare_wrap(err, st, "%s", path);
	st = pare_file_write(path, all, len, err);
	free(all);
	return st;
}

static enum pare_status add_entry(zip_t *z, const char *path, const struct pare_array *a,
	const char *name, struct pare_err *err)
{
	char entry[512], *all;
	size_t len;
	zip_source_t *source;
	zip_int64_t index;
	enum pare_status st;

	if (snprintf(entry, sizeof entry, "%s.npy", name) >= (int)sizeof entry)
		return pare_fail(err, PARE_E_ARG, "%s: the name '%.40s…' is too long", path, name);
	if ((st = pack(a, name, &all, &len, err)))
		return pare_wrap(err, st, "%s", path);
	if (!(source = zip_source_buffer(z, all, len, 1))) {
		free(all);
		return pare_nomem(err, name);
	}
	index = zip_file_add(z, entry, source, ZIP_FL_ENC_UTF_8);
	if (index < 0) {
		zip_source_free(source);
		return pare_fail(err, PARE_E_ARG, "%s: '%s': %s", path, entry, zip_strerror(z));
	}
	/* stored, as np.savez does, and of no date: the same arrays make the same bytes */
	if (zip_set_file_compression(z, (zip_uint64_t)index, ZIP_CM_STORE, 0) ||
		zip_file_set_dostime(z, (zip_uint64_t)index, 0, 33, 0))
		return pare_fail(err, PARE_E_IO, "%s: %s", path, zip_strerror(z));
	return PARE_OK;
}

enum pare_status pare_npz_write(const char *path, const struct pare_array *arrays,
	const char *const *names, int n, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	int code;
	zip_t *z;

	if (n < 1)
		return pare_fail(err, PARE_E_ARG, "%s: no array to write", path);
	if (n == 1 && !data_ends_with(path, ".npz"))
		return write_npy(path, arrays, names[0], err);
	if (!(z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code))) {
		zip_error_t e;

		zip_error_init_with_code(&e, code);
		st = pare_fail(err, PARE_E_IO, "%s: %s", path, zip_error_strerror(&e));
		zip_error_fini(&e);
		return st;
	}
	for (int i = 0; !st && i < n; i++)
		st = add_entry(z, path, &arrays[i], names[i], err);
	if (!st && zip_close(z)) /* writes beside and renames */
		st = pare_fail(err, PARE_E_IO, "%s: %s", path, zip_strerror(z));
	if (st)
		zip_discard(z);
	return st;
}
