#include "source.h"
#include "../base/err.h"
#include "../base/hash.h"
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *pare_onnx_type_name(int32_t type)
{
	enum pare_dtype t = pare_dtype_from_onnx(type);

	return t            ? pare_dtype_name(t)
	       : type == 8  ? "string"
	       : type == 14 ? "complex64"
	       : type == 15 ? "complex128"
			    : "unknown";
}

static enum pare_status
read_at(int fd, const char *path, void *to, size_t len, size_t at, struct pare_err *err)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return pare_fail(err, PARE_E_IO, "%s: %s", path,
				n ? strerror(errno) : "became shorter while it was read");
		done += (size_t)n;
	}
	return PARE_OK;
}

/* Opens a regular file; -1 and the sentence otherwise. */
static int open_file(const char *path, size_t *len, struct pare_err *err)
{
	struct stat sb;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &sb) || !S_ISREG(sb.st_mode)) {
		pare_fail(err, PARE_E_IO, "%s: %s", path,
			S_ISDIR(sb.st_mode) ? "is a folder" : "is not a regular file");
		close(fd);
		return -1;
	}
	*len = (size_t)sb.st_size;
	return fd;
}

enum pare_status pare_source_load(const char *path, struct pare_blob **out, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	struct pare_blob *b;
	size_t len;
	int fd = open_file(path, &len, err);

	if (fd < 0)
		return PARE_E_IO;
	if (!(b = pare_blob_new(len)))
		st = pare_fail(
			err, PARE_E_NOMEM, "%s: not enough memory for its %zu bytes", path, len);
	else
		st = read_at(fd, path, b->data, len, 0, err);
	close(fd);
	if (st)
		pare_blob_free(b);
	else
		*out = b;
	return st;
}

/* ---- external data --------------------------------------------------------------------------- */

struct place {
	const char *location;
	uint64_t offset, length;
	bool has_length;
};

static enum pare_status
read_place(const Onnx__TensorProto *t, struct place *p, struct pare_err *err)
{
	*p = (struct place){ 0 };
	for (size_t i = 0; i < t->n_external_data; i++) {
		const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
		uint64_t *number;
		char *end;

		if (!key || !value)
			continue;
		if (!strcmp(key, "location")) {
			p->location = value;
			continue;
		}
		number = !strcmp(key, "offset")   ? &p->offset
			 : !strcmp(key, "length") ? &p->length
						  : NULL;
		if (!number)
			continue;
		errno = 0;
		*number = strtoull(value, &end, 10);
		if (errno || *end || value[0] < '0' || value[0] > '9')
			return pare_fail(err, PARE_E_FORMAT,
				"the %s of its external data is no number: '%.40s'", key, value);
		p->has_length |= number == &p->length;
	}
	if (!p->location || !*p->location)
		return pare_fail(err, PARE_E_FORMAT, "its external data has no location");
	return PARE_OK;
}

/* No absolute path, no "..". */
static bool stays_inside(const char *location)
{
	for (const char *s = location; s; s = strchr(s, '/')) {
		s += *s == '/' && s != location;
		if (*s == '/' || (!strncmp(s, "..", 2) && (s[2] == '/' || !s[2])))
			return false;
	}
	return true;
}

/* "folder/location", made sure to lie in the folder, whatever links say; malloc'ed. */
static char *path_beside(const char *model, const char *location, struct pare_err *err)
{
	const char *slash = strrchr(model, '/');
	char *folder = NULL, *joined = NULL, *real = NULL, *real_folder = NULL;
	size_t n = slash ? (size_t)(slash - model) + 1 : 0;
	bool inside = stays_inside(location);

	folder = n ? strndup(model, n) : strdup("./");
	joined = folder ? malloc(strlen(folder) + strlen(location) + 1) : NULL;
	if (!joined) {
		pare_nomem(err, "a file name");
		goto out;
	}
	sprintf(joined, "%s%s", folder, location);
	if (inside) {
		real_folder = realpath(folder, NULL);
		real = real_folder ? realpath(joined, NULL) : NULL;
		if (!real) {
			pare_fail(err, PARE_E_IO, "its data file %s: %s", joined, strerror(errno));
			goto out;
		}
		n = strlen(real_folder);
		inside = !strncmp(real, real_folder, n) && (real[n] == '/' || n == 1);
	}
	if (!inside) {
		pare_fail(err, PARE_E_FORMAT,
			"its data file '%.200s' lies outside the model's folder; pare does not "
			"follow it",
			location);
		free(real);
		real = NULL;
	}
out:
	free(folder);
	free(joined);
	free(real_folder);
	return real;
}

static enum pare_status note_file(struct pare_source *s, const char *path, struct pare_err *err)
{
	struct pare_source_file *f = s->files;

	while (f && strcmp(f->path, path))
		f = f->next;
	if (f || !s->a)
		return PARE_OK;
	if (!(f = pare_alloc(s->a, sizeof *f)) || !(f->path = pare_strdup(s->a, path)))
		return pare_nomem(err, "a file name");
	*(s->last ? &s->last->next : &s->files) = f;
	s->last = f;
	return PARE_OK;
}

enum pare_status
pare_source_hash_files(const struct pare_source *s, struct pare_sha *sha, struct pare_err *err)
{
	enum { PIECE = 1 << 18 };
	char *piece = s->files ? malloc(PIECE) : NULL;
	enum pare_status st = piece || !s->files ? PARE_OK : pare_nomem(err, "a hash");

	for (const struct pare_source_file *f = s->files; f && !st; f = f->next) {
		size_t len, n;
		int fd = open_file(f->path, &len, err);

		if (fd < 0)
			st = PARE_E_IO;
		for (size_t at = 0; !st && at < len; at += n) {
			n = len - at < PIECE ? len - at : PIECE;
			if (!(st = read_at(fd, f->path, piece, n, at, err)))
				pare_sha_add(sha, piece, n);
		}
		if (fd >= 0)
			close(fd);
	}
	free(piece);
	return st;
}

static enum pare_status take_external(struct pare_source *s, const Onnx__TensorProto *t,
	size_t bytes, struct pare_blob **out, struct pare_err *err)
{
	struct pare_err why = { .code = PARE_E_IO };
	struct pare_blob *b;
	struct place p;
	size_t len;
	char *path;
	enum pare_status st = read_place(t, &p, err);
	int fd;

	if (st)
		return st;
	if (p.has_length && p.length != bytes)
		return pare_fail(err, PARE_E_FORMAT,
			"%llu bytes of external data, its shape needs %zu",
			(unsigned long long)p.length, bytes);
	if (!(path = path_beside(s->path, p.location, &why)) ||
		(fd = open_file(path, &len, &why)) < 0) {
		free(path);
		return pare_fail(err, why.code, "%s", why.text);
	}
	if (p.offset > len || bytes > len - p.offset)
		st = pare_fail(err, PARE_E_FORMAT,
			"its external data ends at byte %llu of %.200s, which has %zu",
			(unsigned long long)p.offset + bytes, p.location, len);
	else if (!(b = pare_blob_new(bytes)))
		st = pare_nomem(err, "external data");
	else if ((st = note_file(s, path, err)) ||
		 (st = read_at(fd, path, b->data, bytes, (size_t)p.offset, err)))
		pare_blob_free(b);
	else {
		s->external += (int64_t)bytes;
		*out = b;
	}
	close(fd);
	free(path);
	return st;
}

/* ---- data in the file ------------------------------------------------------------------------ */

enum { SMALL = 128 }; /* below this a copy is cheaper than keeping the buffer */

static void release_slice(struct pare_blob *b)
{
	pare_blob_free(b->owner);
}

/* Room below the data that is surely this tensor's own header: the tag and the length of raw_data,
 * and from 16 kB on also those of the tensor around it. */
static size_t header_room(size_t len)
{
	return len < SMALL ? 0 : len < 16384 ? 3 : 8;
}

static enum pare_status take_raw(struct pare_source *s, const Onnx__TensorProto *t, size_t bytes,
	size_t elem, struct pare_blob **out, struct pare_err *err)
{
	struct pare_span span;
	struct pare_blob *b;
	uint8_t *data;
	size_t off;

	if (t->raw_data.len != sizeof span)
		return pare_fail(err, PARE_E_FORMAT, "its raw data is damaged");
	memcpy(&span, t->raw_data.data, sizeof span);
	if (span.len != bytes)
		return pare_fail(err, PARE_E_FORMAT, "%llu bytes of data, its shape needs %zu",
			(unsigned long long)span.len, bytes);
	data = (uint8_t *)s->buf->data + span.at;
	off = (size_t)((uintptr_t)data % elem);
	if (bytes < SMALL || off > header_room(bytes)) {
		if (!(b = pare_blob_new(bytes)))
			return pare_nomem(err, "tensor data");
		if (bytes)
			memcpy(b->data, data, bytes);
		*out = b;
		return PARE_OK;
	}
	if (!(b = malloc(sizeof *b)))
		return pare_nomem(err, "tensor data");
	if (off)
		memmove(data - off, data, bytes);
	atomic_init(&b->refs, 1);
	b->len = bytes;
	b->data = data - off;
	b->owner = pare_blob_ref(s->buf);
	b->release = release_slice;
	*out = b;
	return PARE_OK;
}

static enum pare_status count_is(size_t got, int64_t want, struct pare_err *err)
{
	if (got == (size_t)want)
		return PARE_OK;
	return pare_fail(err, PARE_E_FORMAT, "%zu elements of data, its shape needs %lld", got,
		(long long)want);
}

/* Small types travel as int32; those that share a byte do so here too. */
static void narrow(const int32_t *from, int64_t n, size_t bits, void *to)
{
	for (int64_t i = 0; i < n; i++)
		if (bits == 32)
			((int32_t *)to)[i] = from[i];
		else if (bits == 16)
			((uint16_t *)to)[i] = (uint16_t)from[i];
		else
			((uint8_t *)to)[i] = (uint8_t)from[i];
}

static enum pare_status take_typed(const Onnx__TensorProto *t, enum pare_dtype dtype, int64_t elems,
	size_t bytes, struct pare_blob **out, struct pare_err *err)
{
	size_t bits = pare_dtype_bits(dtype), n;
	const void *whole = NULL;
	struct pare_blob *b;
	enum pare_status st;

	switch (dtype) {
	case PARE_F32:
		n = t->n_float_data, whole = t->float_data;
		break;
	case PARE_F64:
		n = t->n_double_data, whole = t->double_data;
		break;
	case PARE_I64:
		n = t->n_int64_data, whole = t->int64_data;
		break;
	case PARE_U64:
	case PARE_U32:
		n = t->n_uint64_data, whole = t->uint64_data;
		break;
	default:
		n = t->n_int32_data, whole = t->int32_data;
		if (bits < 8)
			elems = (int64_t)bytes;
	}
	if ((st = count_is(n, elems, err)))
		return st;
	if (!(b = pare_blob_new(bytes)))
		return pare_nomem(err, "tensor data");
	if (dtype == PARE_U32)
		for (int64_t i = 0; i < elems; i++)
			((uint32_t *)b->data)[i] = (uint32_t)t->uint64_data[i];
	else if (bits == 64 || dtype == PARE_F32) {
		if (bytes)
			memcpy(b->data, whole, bytes);
	} else
		narrow(t->int32_data, elems, bits, b->data);
	*out = b;
	return PARE_OK;
}

static enum pare_status
read_dims(const Onnx__TensorProto *t, struct pare_shape *s, struct pare_err *err)
{
	if (t->n_dims > PARE_MAX_DIMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "%zu dimensions, pare reads up to %d",
			t->n_dims, PARE_MAX_DIMS);
	s->n = (int)t->n_dims;
	for (int i = 0; i < s->n; i++) {
		s->d[i] = t->dims[i];
		if (s->d[i] < 0)
			return pare_fail(
				err, PARE_E_FORMAT, "dimension %d is %lld", i, (long long)s->d[i]);
	}
	return PARE_OK;
}

enum pare_status pare_source_take(struct pare_source *s, const Onnx__TensorProto *t,
	struct pare_tensor *out, struct pare_blob **blob, struct pare_err *err)
{
	enum pare_dtype dtype = pare_dtype_from_onnx(t->data_type);
	struct pare_tensor x = { .dtype = dtype, .lanes = 1 };
	struct pare_blob *b = NULL;
	enum pare_status st;
	int64_t elems;
	size_t bytes;

	if (dtype == PARE_UNDEFINED)
		return pare_fail(err, PARE_E_UNSUPPORTED, "elements of type %s (%d)",
			pare_onnx_type_name(t->data_type), t->data_type);
	if (t->segment)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is stored in segments");
	if ((st = read_dims(t, &x.shape, err)))
		return st;
	elems = pare_shape_elems(&x.shape);
	if (elems < 0 || !pare_dtype_bytes(dtype, elems, &bytes))
		return pare_fail(err, PARE_E_FORMAT, "its shape is absurdly large");
	if (t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
		st = take_external(s, t, bytes, &b, err);
	else if (t->has_raw_data)
		st = take_raw(s, t, bytes, (pare_dtype_bits(dtype) + 7) / 8, &b, err);
	else
		st = take_typed(t, dtype, elems, bytes, &b, err);
	if (st)
		return st;
	x.data = b->data;
	*out = x;
	*blob = b;
	return PARE_OK;
}
