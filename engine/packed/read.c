/* Packed weights from a file that may be anything. */
#include "../base/arena.h"
#include "../base/err.h"
#include "packed.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct pare_packed_record r;
	struct pare_packed_parts parts;
	int64_t at; /* of its first part */
};

struct pare_packed {
	struct pare_arena *arena;
	struct pare_packed_info info;
	const uint8_t *data;
	struct entry *entry;
};

/* ---- the directory ----------------------------------------------------------------------------
 */

struct source {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *take(struct source *s, size_t n)
{
	const uint8_t *p = s->p;

	if (s->bad || n > (size_t)(s->end - s->p)) {
		s->bad = true;
		return NULL;
	}
	s->p += n;
	return p;
}

static int take_byte(struct source *s)
{
	const uint8_t *p = take(s, 1);

	return p ? *p : 0;
}

static uint64_t take_int(struct source *s)
{
	uint64_t v = 0;

	for (int shift = 0; !s->bad; shift += 7) {
		int b = take_byte(s);

		if (shift > 56)
			s->bad = true;
		v |= shift > 56 ? 0 : (uint64_t)(b & 127) << shift;
		if (b < 128)
			return v;
	}
	return 0;
}

/* A count or a size: all that are larger are absurd. */
static int64_t take_count(struct source *s)
{
	uint64_t v = take_int(s);

	s->bad |= v > (uint64_t)1 << 40;
	return s->bad ? 0 : (int64_t)v;
}

static int take_signed(struct source *s)
{
	uint64_t v = take_int(s);

	s->bad |= v > UINT32_MAX;
	return s->bad ? 0 : (int)((int64_t)(v >> 1) ^ -(int64_t)(v & 1));
}

static uint64_t number_at(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static float float_at(const uint8_t *p)
{
	uint32_t u = (uint32_t)number_at(p, 4);
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

static void take_codes(struct source *s, struct pare_packed_record *r)
{
	int flags;

	r->bits = take_byte(s);
	flags = take_byte(s);
	r->is_unsigned = flags & 1;
	r->zeros = flags & 2;
	r->powers = flags & 4;
	r->axis = take_byte(s) - 1;
	r->group = take_count(s);
	s->bad |= r->bits < 1 || r->bits > 8 || flags > 7;
}

static void take_array(struct source *s, struct pare_packed_record *r)
{
	int type = take_byte(s);

	r->axis = -1;
	r->type = type ? pare_dtype_from_onnx(type) : PARE_UNDEFINED;
	r->shape.n = (int)take_count(s);
	s->bad |= (type && r->type == PARE_UNDEFINED) || r->shape.n > PARE_MAX_DIMS;
	for (int i = 0; i < r->shape.n && !s->bad; i++)
		r->shape.d[i] = take_count(s);
	r->bits = (int)pare_dtype_bits(r->type);
	if (!type)
		take_codes(s, r);
	r->gone = take_count(s);
	if (r->gone) {
		r->rows = take_byte(s);
		r->inner = take_count(s);
		r->tall = take_count(s);
		r->wide = take_count(s);
		/* what is left out is zero, which other types are not asked for */
		s->bad |= r->type != PARE_UNDEFINED && r->type != PARE_F32 && r->type != PARE_F16 &&
			  r->type != PARE_BF16;
	}
}

static void take_quantizer(struct source *s, struct pare_packed_record *r)
{
	const uint8_t *p;

	r->lo = take_signed(s);
	r->hi = take_signed(s);
	r->dynamic = take_byte(s);
	r->axis = -1;
	if ((p = take(s, 8))) {
		r->scale = float_at(p);
		r->zero = (int32_t)(uint32_t)number_at(p + 4, 4);
	}
	s->bad |= r->lo > r->hi;
}

static enum pare_status take_record(struct source *s, struct pare_arena *a, const char *last,
	struct entry *e, struct pare_err *err)
{
	size_t n = (size_t)take_count(s);
	const uint8_t *name = take(s, n);

	s->bad |= (!n && !last) || (name && memchr(name, 0, n));
	if (!s->bad && !(e->r.name = n ? pare_strndup(a, (const char *)name, n) : last))
		return pare_nomem(err, "packed weights");
	e->r.role = (enum pare_packed_role)take_byte(s);
	s->bad |= (unsigned)e->r.role > PARE_PACKED_QUANTIZER;
	if (!s->bad && e->r.role == PARE_PACKED_QUANTIZER)
		take_quantizer(s, &e->r);
	else if (!s->bad)
		take_array(s, &e->r);
	s->bad = s->bad || !pare_packed_parts(&e->r, &e->parts);
	e->r.bytes = e->parts.bitmap + e->parts.values + e->parts.scales + e->parts.zeros;
	return s->bad ? pare_fail(err, PARE_E_FORMAT, "its directory is not sound") : PARE_OK;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

/* As many sites as are said to be there. */
static bool bitmap_counts(const struct pare_packed *p, const struct entry *e)
{
	int64_t sites = e->r.gone ? pare_packed_sites(&e->r) : 0, n = 0;

	for (int64_t i = 0; i < sites; i++)
		n += (int64_t)pare_packed_get(p->data + e->at, i, 1);
	return n == sites - e->r.gone;
}

static enum pare_status
place(struct pare_packed *p, struct entry *e, int64_t *at, struct pare_err *err)
{
	int64_t part[] = { e->parts.bitmap, e->parts.values, e->parts.scales, e->parts.zeros };

	e->at = *at;
	for (int i = 0; i < 4; i++) {
		if (part[i] > p->info.bytes - *at || pare_packed_up(part[i]) > p->info.bytes - *at)
			return pare_fail(
				err, PARE_E_FORMAT, "'%s' reaches beyond its end", e->r.name);
		*at += pare_packed_up(part[i]);
	}
	if (!bitmap_counts(p, e))
		return pare_fail(
			err, PARE_E_FORMAT, "the bitmap of '%s' is not as was said", e->r.name);
	return PARE_OK;
}

static void to_hex(const uint8_t *p, char hex[PARE_SHA_HEX])
{
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
}

/* `copy` is the file, whose checksum is made zeros and put back. */
static enum pare_status check_sha(uint8_t *copy, size_t len, struct pare_err *err)
{
	char is[PARE_SHA_HEX], said[PARE_SHA_HEX];
	uint8_t kept[32];

	memcpy(kept, copy + PARE_PACKED_SHA_AT, sizeof kept);
	memset(copy + PARE_PACKED_SHA_AT, 0, sizeof kept);
	pare_sha256(copy, len, is);
	memcpy(copy + PARE_PACKED_SHA_AT, kept, sizeof kept);
	to_hex(kept, said);
	return strcmp(is, said)
		       ? pare_fail(err, PARE_E_FORMAT, "its checksum is not that of its bytes")
		       : PARE_OK;
}

static enum pare_status
read_head(struct pare_packed *p, size_t len, uint64_t *directory, struct pare_err *err)
{
	const uint8_t *d = p->data;
	uint64_t n = number_at(d + 12, 4), version = number_at(d + 8, 4);
	char none[PARE_SHA_HEX];

	*directory = number_at(d + 24, 4);
	if (version != PARE_PACKED_VERSION)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"it is of version %llu; this pare reads version %d",
			(unsigned long long)version, PARE_PACKED_VERSION);
	if (number_at(d + 16, 8) != len)
		return pare_fail(err, PARE_E_FORMAT, "it is %zu bytes and says %llu", len,
			(unsigned long long)number_at(d + 16, 8));
	/* a record is two bytes at least */
	if (*directory > len - PARE_PACKED_HEAD || n > *directory / 2)
		return pare_fail(err, PARE_E_FORMAT, "its directory reaches beyond its end");
	p->info.n_records = (int)n;
	p->info.bytes = (int64_t)len;
	to_hex(d + 64, p->info.recipe_sha);
	memset(none, '0', sizeof none - 1);
	none[sizeof none - 1] = 0;
	if (!strcmp(p->info.recipe_sha, none))
		*p->info.recipe_sha = 0;
	return PARE_OK;
}

static enum pare_status read_all(struct pare_packed *p, size_t len, struct pare_err *err)
{
	uint64_t directory;
	enum pare_status st = read_head(p, len, &directory, err);
	struct source s;
	int64_t at;

	if (st)
		return st;
	p->entry = pare_alloc_n(p->arena, (size_t)p->info.n_records + 1, sizeof *p->entry);
	if (!p->entry)
		return pare_nomem(err, "packed weights");
	s = (struct source){ p->data + PARE_PACKED_HEAD, p->data + PARE_PACKED_HEAD + directory,
		false };
	at = pare_packed_up(PARE_PACKED_HEAD + (int64_t)directory);
	for (int i = 0; i < p->info.n_records && !st; i++) {
		const char *last = i ? p->entry[i - 1].r.name : NULL;

		st = take_record(&s, p->arena, last, &p->entry[i], err);
		if (!st)
			st = place(p, &p->entry[i], &at, err);
	}
	if (!st && (s.p != s.end || at != p->info.bytes))
		st = pare_fail(err, PARE_E_FORMAT, "it holds more than it says");
	return st;
}

enum pare_status pare_packed_read(const void *data, size_t len, const char *path,
	struct pare_packed **out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_packed *p = a ? pare_alloc(a, sizeof *p) : NULL;
	uint8_t *copy;
	enum pare_status st = PARE_OK;

	if (p && len >= PARE_PACKED_HEAD && !memcmp(data, PARE_PACKED_MAGIC, 8)) {
		if ((copy = pare_memdup(a, data, len))) {
			*p = (struct pare_packed){ .arena = a, .data = copy };
			st = check_sha(copy, len, err);
			if (!st)
				st = read_all(p, len, err);
			pare_sha256(copy, len, p->info.sha256);
		} else
			st = pare_nomem(err, "packed weights");
	} else
		st = p ? pare_fail(err, PARE_E_FORMAT, "it does not begin as packed weights do")
		       : pare_nomem(err, "packed weights");
	if (st) {
		pare_arena_free(a);
		return pare_wrap(err, st, "%s", path);
	}
	*out = p;
	return PARE_OK;
}

bool pare_packed_is(const char *path)
{
	char head[8];
	FILE *f = fopen(path, "rb");
	bool is = f && fread(head, 1, sizeof head, f) == sizeof head &&
		  !memcmp(head, PARE_PACKED_MAGIC, sizeof head);

	if (f)
		fclose(f);
	return is;
}

enum pare_status pare_packed_open(const char *path, struct pare_packed **out, struct pare_err *err)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	enum pare_status st;
	long len = -1;

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s cannot be opened: %s", path, strerror(errno));
	if (!fseek(f, 0, SEEK_END))
		len = ftell(f);
	if (len < 0 || fseek(f, 0, SEEK_SET))
		st = pare_fail(err, PARE_E_IO, "%s cannot be read: %s", path, strerror(errno));
	else if (!(data = malloc((size_t)len + 1)))
		st = pare_nomem(err, "packed weights");
	else if (fread(data, 1, (size_t)len, f) != (size_t)len)
		st = pare_fail(err, PARE_E_IO, "%s cannot be read to its end", path);
	else
		st = pare_packed_read(data, (size_t)len, path, out, err);
	fclose(f);
	free(data);
	return st;
}

void pare_packed_free(struct pare_packed *p)
{
	if (p)
		pare_arena_free(p->arena);
}

const struct pare_packed_info *pare_packed_info(const struct pare_packed *p)
{
	return &p->info;
}

const struct pare_packed_record *pare_packed_record(const struct pare_packed *p, int i)
{
	return &p->entry[i].r;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static int code_at(const struct pare_packed_record *r, const uint8_t *part, int64_t i)
{
	int code = (int)pare_packed_get(part, i, r->bits), top = 1 << (r->bits - 1);

	return r->is_unsigned || code < top ? code : code - 2 * top;
}

struct part_of {
	const uint8_t *bitmap, *values, *scales, *zeros;
};

static float value_at(const struct pare_packed_record *r, const struct part_of *p, int64_t stored,
	int64_t element)
{
	uint64_t bits = pare_packed_get(p->values, stored, r->bits);
	int64_t s;
	int zero;

	switch (r->type) {
	case PARE_F32:
		return float_at((const uint8_t *)p->values + 4 * stored);
	case PARE_F16:
		return pare_f16_to_f32((uint16_t)bits);
	case PARE_BF16:
		return pare_bf16_to_f32((uint16_t)bits);
	default:
		s = pare_packed_scale_at(r, element);
		zero = r->zeros ? code_at(r, p->zeros, s) : 0;
		return (float)(code_at(r, p->values, stored) - zero) *
		       (r->powers ? ldexpf(1, (int8_t)p->scales[s]) : float_at(p->scales + 4 * s));
	}
}

static void fill(const struct pare_packed_record *r, const struct part_of *p, float *out)
{
	int64_t n = pare_shape_elems(&r->shape), in = r->tall * r->wide, stored = 0;

	for (int64_t i = 0; i < n && !r->gone; i++)
		out[i] = value_at(r, p, i, i);
	for (int64_t s = 0; r->gone && s < pare_packed_sites(r); s++)
		for (int64_t j = 0; j < in; j++) {
			int64_t at = pare_packed_element(r, s, j);

			out[at] =
				pare_packed_get(p->bitmap, s, 1) ? value_at(r, p, stored++, at) : 0;
		}
}

enum pare_status
pare_packed_values(const struct pare_packed *p, int i, struct pare_array *out, struct pare_err *err)
{
	const struct entry *e = &p->entry[i];
	const struct pare_packed_record *r = &e->r;
	bool numbers = r->type == PARE_UNDEFINED || r->type == PARE_F32 || r->type == PARE_F16 ||
		       r->type == PARE_BF16;
	struct pare_array a = { numbers ? PARE_F32 : r->type, r->shape, NULL };
	struct part_of part;
	size_t bytes;

	if (r->role == PARE_PACKED_QUANTIZER)
		return pare_fail(err, PARE_E_ARG, "'%s' is a quantizer and has no data", r->name);
	if (!pare_dtype_bytes(a.dtype, pare_shape_elems(&a.shape), &bytes) ||
		!(a.data = calloc(1, bytes + 1)))
		return pare_nomem(err, "packed weights");
	part.bitmap = p->data + e->at;
	part.values = part.bitmap + pare_packed_up(e->parts.bitmap);
	part.scales = part.values + pare_packed_up(e->parts.values);
	part.zeros = part.scales + pare_packed_up(e->parts.scales);
	if (numbers)
		fill(r, &part, a.data);
	else
		memcpy(a.data, part.values, bytes);
	*out = a;
	return PARE_OK;
}
