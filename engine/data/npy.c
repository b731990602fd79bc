/* .npy files: numpy's NEP 1 format, versions 1 to 3. */
#include "../base/err.h"
#include "data.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *code;
	enum pare_dtype dtype;
} types[] = {
	{ "f4", PARE_F32 },
	{ "f8", PARE_F64 },
	{ "f2", PARE_F16 },
	{ "i1", PARE_I8 },
	{ "u1", PARE_U8 },
	{ "i2", PARE_I16 },
	{ "u2", PARE_U16 },
	{ "i4", PARE_I32 },
	{ "u4", PARE_U32 },
	{ "i8", PARE_I64 },
	{ "u8", PARE_U64 },
	{ "b1", PARE_BOOL },
	{ NULL, PARE_UNDEFINED },
};

struct scan { /* the header: a Python dict literal */
	const char *path, *p, *end;
};

static void skip_space(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\n", *s->p) && *s->p)
		s->p++;
}

static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* 'text' or "text"; what is longer than the room is cut, which no known word is. */
static bool take_text(struct scan *s, char *out, size_t room)
{
	size_t n = 0;
	char quote;

	skip_space(s);
	if (s->p == s->end || (*s->p != '\'' && *s->p != '"'))
		return false;
	quote = *s->p++;
	for (; s->p < s->end && *s->p != quote; s->p++)
		if (n + 1 < room)
			out[n++] = *s->p;
	out[n] = 0;
	return take(s, quote);
}

static enum pare_status bad_header(const struct scan *s, struct pare_err *err)
{
	return pare_fail(err, PARE_E_FORMAT,
		"%s: its .npy header is not as numpy writes it; write the file again with np.save",
		s->path);
}

static enum pare_status take_dtype(struct scan *s, enum pare_dtype *out, struct pare_err *err)
{
	char descr[32];

	if (!take_text(s, descr, sizeof descr)) {
		skip_space(s);
		if (s->p == s->end || *s->p != '[')
			return bad_header(s, err);
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"%s: holds records of several fields; save each field as an array of its "
			"own",
			s->path);
	}
	for (int i = 0; types[i].code; i++) {
		if (!descr[0] || strcmp(descr + 1, types[i].code) || !strchr("<>|=", descr[0]))
			continue;
		if (descr[0] == '>' && pare_dtype_bits(types[i].dtype) > 8)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"%s: its numbers are big-endian ('%s'); save it as a.astype('<%s')",
				s->path, descr, types[i].code);
		*out = types[i].dtype;
		return PARE_OK;
	}
	return pare_fail(err, PARE_E_UNSUPPORTED,
		"%s: elements of type '%s' are not supported; save it as float32, uint8 or int64 "
		"(a.astype)",
		s->path, descr);
}

static enum pare_status take_shape(struct scan *s, struct pare_shape *out, struct pare_err *err)
{
	struct pare_shape shape = { 0 };

	if (!take(s, '('))
		return bad_header(s, err);
	while (!take(s, ')')) {
		int64_t d = 0;
		const char *from;

		skip_space(s);
		for (from = s->p; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
			if (d < (int64_t)1 << 40)
				d = d * 10 + (*s->p - '0');
		if (s->p == from)
			return bad_header(s, err);
		if (s->p < s->end && *s->p == 'L') /* as Python 2 wrote them */
			s->p++;
		if (shape.n == PARE_MAX_DIMS)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"%s: has more than %d dimensions; reshape it", s->path,
				PARE_MAX_DIMS);
		shape.d[shape.n++] = d;
		if (!take(s, ',')) {
			if (!take(s, ')'))
				return bad_header(s, err);
			break;
		}
	}
	*out = shape;
	return PARE_OK;
}

static enum pare_status
parse_dict(struct scan *s, struct data_npy *out, bool *fortran, struct pare_err *err)
{
	enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
	unsigned seen = 0;
	enum pare_status st;

	if (!take(s, '{'))
		return bad_header(s, err);
	while (!take(s, '}')) {
		char key[16];

		if (!take_text(s, key, sizeof key) || !take(s, ':'))
			return bad_header(s, err);
		if (!strcmp(key, "descr")) {
			if ((st = take_dtype(s, &out->dtype, err)))
				return st;
			seen |= DESCR;
		} else if (!strcmp(key, "shape")) {
			if ((st = take_shape(s, &out->shape, err)))
				return st;
			seen |= SHAPE;
		} else if (!strcmp(key, "fortran_order")) {
			skip_space(s);
			*fortran = s->p < s->end && *s->p == 'T';
			for (const char *w = *fortran ? "True" : "False"; *w; w++)
				if (s->p == s->end || *s->p++ != *w)
					return bad_header(s, err);
			seen |= ORDER;
		} else {
			return bad_header(s, err);
		}
		take(s, ',');
	}
	return seen == (DESCR | ORDER | SHAPE) ? PARE_OK : bad_header(s, err);
}

enum pare_status data_npy_parse(const char *path, const unsigned char *p, size_t len,
	struct data_npy *out, struct pare_err *err)
{
	struct scan s = { .path = path };
	struct data_npy h = { 0 };
	size_t head, at;
	int64_t elems;
	bool fortran = false;
	enum pare_status st;

	if (len < 12 || memcmp(p, "\x93NUMPY", 6))
		return pare_fail(err, PARE_E_FORMAT, "%s: is not a .npy file", path);
	if (p[6] < 1 || p[6] > 3)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"%s: .npy version %d is not known; 1, 2 and 3 are", path, p[6]);
	at = p[6] == 1 ? 10 : 12;
	head = p[6] == 1 ? (size_t)p[8] | (size_t)p[9] << 8
			 : (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 |
				   (size_t)p[11] << 24;
	if (head > len - at)
		return pare_fail(err, PARE_E_FORMAT, "%s: ends within its header", path);
	s.p = (const char *)p + at;
	s.end = s.p + head;
	if ((st = parse_dict(&s, &h, &fortran, err)))
		return st;
	h.at = at + head;
	elems = pare_shape_elems(&h.shape);
	if (elems < 0 || !pare_dtype_bytes(h.dtype, elems, &h.bytes))
		return pare_fail(err, PARE_E_FORMAT, "%s: claims an absurd size", path);
	if (fortran && h.shape.n > 1 && elems > 1)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"%s: is in Fortran order; save it as np.ascontiguousarray(a)", path);
	if (h.bytes > len - h.at)
		return pare_fail(err, PARE_E_FORMAT,
			"%s: is cut short: its header promises %zu bytes of data, %zu are there",
			path, h.bytes, len - h.at);
	*out = h;
	return PARE_OK;
}

size_t
data_npy_header(enum pare_dtype dtype, const struct pare_shape *shape, char *buf, size_t room)
{
	const char *code = NULL;
	size_t n = 10, end;

	for (int i = 0; types[i].code; i++)
		if (types[i].dtype == dtype)
			code = types[i].code;
	if (!code)
		return 0;
	n += (size_t)snprintf(buf + n, room - n,
		"{'descr': '%c%s', 'fortran_order': False, 'shape': (",
		pare_dtype_bits(dtype) > 8 ? '<' : '|', code);
	for (int i = 0; i < shape->n; i++)
		n += (size_t)snprintf(buf + n, room - n, "%s%lld%s", i ? " " : "",
			(long long)shape->d[i], shape->n == 1 || i + 1 < shape->n ? "," : "");
	n += (size_t)snprintf(buf + n, room - n, "), }");
	end = (n + 1 + 63) / 64 * 64; /* numpy aligns the data to 64 */
	memset(buf + n, ' ', end - n - 1);
	buf[end - 1] = '\n';
	memcpy(buf, "\x93NUMPY\x01", 8);
	buf[8] = (char)((end - 10) & 255);
	buf[9] = (char)((end - 10) >> 8);
	return end;
}

enum pare_status data_npy_array(
	const char *path, struct pare_blob *blob, struct data_array *out, struct pare_err *err)
{
	struct data_npy h;
	enum pare_status st = data_npy_parse(path, blob->data, blob->len, &h, err);
	int64_t n;

	if (!st && h.shape.n == 0)
		st = pare_fail(err, PARE_E_FORMAT,
			"%s: holds one number; samples come as an array [N, ...]", path);
	if (!st && h.at % (pare_dtype_bits(h.dtype) / 8)) {
		/* a header of odd length: as it lies the elements cannot be read as numbers */
		struct pare_blob *moved = pare_blob_new(h.bytes);

		if (!moved) {
			st = pare_nomem(err, path);
		} else {
			memcpy(moved->data, (const unsigned char *)blob->data + h.at, h.bytes);
			pare_blob_free(blob);
			blob = moved;
			h.at = 0;
		}
	}
	if (st) {
		pare_blob_free(blob);
		return st;
	}
	n = h.shape.d[0];
	*out = (struct data_array){ h.dtype, h.shape, blob,
		(const unsigned char *)blob->data + h.at, n ? h.bytes / (size_t)n : 0 };
	return PARE_OK;
}

enum pare_status data_npy_open(const char *path, struct data_array *out, struct pare_err *err)
{
	struct pare_blob *blob;
	enum pare_status st = data_load(path, &blob, err);

	return st ? st : data_npy_array(path, blob, out, err);
}

enum pare_status pare_npy_read(const char *path, struct pare_array *out, struct pare_err *err)
{
	struct pare_blob *blob;
	struct data_npy h;
	void *data = NULL;
	enum pare_status st = data_load(path, &blob, err);

	if (st)
		return st;
	st = data_npy_parse(path, blob->data, blob->len, &h, err);
	if (!st && !(data = malloc(h.bytes ? h.bytes : 1)))
		st = pare_nomem(err, path);
	if (!st) {
		memcpy(data, (const unsigned char *)blob->data + h.at, h.bytes);
		*out = (struct pare_array){ h.dtype, h.shape, data };
	}
	pare_blob_free(blob);
	return st;
}

static bool npy_looks(const struct data_probe *p)
{
	return !p->folder && !p->gz && p->n_head >= 6 && !memcmp(p->head, "\x93NUMPY", 6);
}

/* One array: samples without labels. */
static enum pare_status npy_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	(void)want;
	return data_npy_open(path, &out->samples.x, err);
}

const struct data_format data_format_npy = { "npy", "an .npy of samples", npy_looks, npy_open };

static bool npy_folder_looks(const struct data_probe *p)
{
	char path[4096];

	return p->folder && snprintf(path, sizeof path, "%s/x.npy", p->path) < (int)sizeof path &&
	       data_is_file(path);
}

static enum pare_status npy_folder_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	char *x = data_join(want->arena, path, "x.npy"), *y = data_join(want->arena, path, "y.npy");
	enum pare_status st;

	if (!x || !y)
		return pare_nomem(err, path);
	out->samples.path = x;
	if ((st = data_npy_open(x, &out->samples.x, err)))
		return st;
	return data_is_file(y) ? data_npy_open(y, &out->samples.y, err) : PARE_OK;
}

const struct data_format data_format_npy_folder = { "npy folder", "a folder with x.npy and y.npy",
	npy_folder_looks, npy_folder_open };
