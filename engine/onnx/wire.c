#include "wire.h"
#include "../base/err.h"
#include <stdlib.h>
#include <string.h>

/* A message of two bytes becomes a struct of hundreds: their number is bounded, far above what
 * networks have. */
enum { MAX_NESTING = 32, MAX_FIELDS = 1 << 22, LENGTH_ROOM = 5 };

enum kind { MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, VALUE, TYPE };
/* PACKED: floats laid out as raw data are, and handed on as such, if they are packed.  SUB + kind:
 * a message that is walked in turn. */
enum action { COPY = 1, RAW, PACKED, EMPTY, SUB };
enum { RAW_DATA = 9 };

/* The fields that are kept; numbers are those of onnx.proto. */
static const struct rule {
	uint8_t kind, field, action;
} rules[] = {
	{ MODEL, 1, COPY },             /* ir_version */
	{ MODEL, 7, SUB + GRAPH },      /* graph */
	{ MODEL, 8, COPY },             /* opset_import */
	{ GRAPH, 1, SUB + NODE },       /* node */
	{ GRAPH, 2, COPY },             /* name */
	{ GRAPH, 5, SUB + TENSOR },     /* initializer */
	{ GRAPH, 11, SUB + VALUE },     /* input */
	{ GRAPH, 12, SUB + VALUE },     /* output */
	{ GRAPH, 15, COPY },            /* sparse_initializer */
	{ NODE, 1, COPY },              /* input */
	{ NODE, 2, COPY },              /* output */
	{ NODE, 3, COPY },              /* name */
	{ NODE, 4, COPY },              /* op_type */
	{ NODE, 5, SUB + ATTRIBUTE },   /* attribute */
	{ NODE, 7, COPY },              /* domain */
	{ ATTRIBUTE, 1, COPY },         /* name */
	{ ATTRIBUTE, 2, COPY },         /* f */
	{ ATTRIBUTE, 3, COPY },         /* i */
	{ ATTRIBUTE, 4, COPY },         /* s */
	{ ATTRIBUTE, 5, SUB + TENSOR }, /* t */
	{ ATTRIBUTE, 6, SUB + GRAPH },  /* g */
	{ ATTRIBUTE, 7, COPY },         /* floats */
	{ ATTRIBUTE, 8, COPY },         /* ints */
	{ ATTRIBUTE, 9, COPY },         /* strings */
	{ ATTRIBUTE, 20, COPY },        /* type */
	{ ATTRIBUTE, 21, COPY },        /* ref_attr_name */
	{ TENSOR, 1, COPY },            /* dims */
	{ TENSOR, 2, COPY },            /* data_type */
	{ TENSOR, 3, COPY },            /* segment */
	{ TENSOR, 4, PACKED },          /* float_data */
	{ TENSOR, 5, COPY },            /* int32_data */
	{ TENSOR, 7, COPY },            /* int64_data */
	{ TENSOR, 8, COPY },            /* name */
	{ TENSOR, RAW_DATA, RAW },      /* raw_data */
	{ TENSOR, 10, PACKED },         /* double_data */
	{ TENSOR, 11, COPY },           /* uint64_data */
	{ TENSOR, 13, COPY },           /* external_data */
	{ TENSOR, 14, COPY },           /* data_location */
	{ VALUE, 1, COPY },             /* name */
	{ VALUE, 2, SUB + TYPE },       /* type */
	{ TYPE, 1, COPY },              /* tensor_type */
	{ TYPE, 4, EMPTY },             /* sequence_type: that it is one is enough */
	{ TYPE, 5, EMPTY },             /* map_type */
	{ TYPE, 8, EMPTY },             /* sparse_tensor_type */
	{ TYPE, 9, EMPTY },             /* optional_type */
};

struct thin {
	const uint8_t *data;
	uint8_t *out;
	size_t len, room;
	int n_fields;
	bool nomem;
	struct pare_err *err;
};

struct field {
	int number, wire;
	size_t start, at, end; /* of the tag, of the content, of what follows */
};

static void put(struct thin *t, const void *p, size_t n)
{
	if (t->room - t->len < n) {
		size_t room = 2 * t->room > t->len + n ? 2 * t->room : t->len + n;
		uint8_t *out = realloc(t->out, room);

		if (!out) {
			t->nomem = true;
			return;
		}
		t->out = out;
		t->room = room;
	}
	memcpy(t->out + t->len, p, n);
	t->len += n;
}

static bool read_varint(const uint8_t *p, size_t *at, size_t end, uint64_t *v)
{
	*v = 0;
	for (int shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t byte = p[(*at)++];

		*v |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

static enum pare_status
read_field(const struct thin *t, size_t at, size_t end, struct field *f, struct pare_err *err)
{
	uint64_t tag, n = 0;
	bool good;

	f->start = at;
	good = read_varint(t->data, &at, end, &tag) && tag >> 3 && tag >> 3 < 1u << 29;
	f->wire = (int)(tag & 7);
	f->at = at;
	if (good && f->wire == 0)
		good = read_varint(t->data, &at, end, &n), n = 0;
	else if (good && f->wire == 2) {
		good = read_varint(t->data, &at, end, &n);
		f->at = at;
	} else
		n = f->wire == 1 ? 8 : 4;
	if (!good || (f->wire > 2 && f->wire != 5))
		return pare_fail(err, PARE_E_FORMAT, "damaged at byte %zu", f->start);
	if (n > end - at)
		return pare_fail(err, PARE_E_FORMAT,
			"truncated or damaged: what begins at byte %zu needs %llu bytes, %zu are "
			"there",
			f->start, (unsigned long long)n, end - at);
	f->number = (int)(tag >> 3);
	f->end = at + n;
	return PARE_OK;
}

static enum action action_for(enum kind kind, int number)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].kind == kind && rules[i].field == number)
			return rules[i].action;
	return 0;
}

static void put_tag(struct thin *t, int number)
{
	uint8_t tag[2] = { (uint8_t)(number << 3 | 2), 0 };
	size_t n = 1;

	if (number > 15) {
		tag[0] |= 128;
		tag[1] = (uint8_t)(number >> 4);
		n = 2;
	}
	put(t, tag, n);
}

/* A length in five bytes, so that it can be filled in when it is known. */
static void fill_length(struct thin *t, size_t at)
{
	size_t n = t->len - at - LENGTH_ROOM;

	for (int i = 0; i < LENGTH_ROOM; i++)
		t->out[at + i] = (uint8_t)((n >> 7 * i & 127) | (i < LENGTH_ROOM - 1 ? 128 : 0));
}

static enum pare_status
thin_message(struct thin *t, enum kind kind, size_t at, size_t end, int depth)
{
	static const uint8_t zero[LENGTH_ROOM];
	struct field f = { 0 };
	enum pare_status st;

	if (depth > MAX_NESTING)
		return pare_fail(t->err, PARE_E_FORMAT, "graphs nested deeper than pare reads");
	for (; at < end && !t->nomem; at = f.end) {
		enum action action;
		struct pare_span span;
		size_t length_at;

		if ((st = read_field(t, at, end, &f, t->err)))
			return st;
		action = action_for(kind, f.number);
		if (action == 0)
			continue;
		if (++t->n_fields > MAX_FIELDS)
			return pare_fail(t->err, PARE_E_UNSUPPORTED,
				"more than %d nodes, attributes and names", MAX_FIELDS);
		if (action == COPY || (action == PACKED && f.wire != 2)) {
			put(t, t->data + f.start, f.end - f.start);
			continue;
		}
		if (f.wire != 2)
			return pare_fail(t->err, PARE_E_FORMAT, "damaged at byte %zu", f.start);
		put_tag(t, action == PACKED ? RAW_DATA : f.number);
		length_at = t->len;
		put(t, zero, sizeof zero);
		span = (struct pare_span){ f.at, f.end - f.at };
		if (action == RAW || action == PACKED)
			put(t, &span, sizeof span);
		else if (action >= SUB &&
			 (st = thin_message(t, action - SUB, f.at, f.end, depth + 1)))
			return st;
		if (t->nomem)
			break;
		if (t->len - length_at > INT32_MAX)
			return pare_fail(t->err, PARE_E_UNSUPPORTED,
				"over 2 GB beside raw tensor data; save it with external data");
		fill_length(t, length_at);
	}
	return t->nomem ? pare_nomem(t->err, "the file's structure") : PARE_OK;
}

enum pare_status pare_wire_thin(enum pare_wire_kind kind, const uint8_t *data, size_t len,
	uint8_t **out, size_t *out_len, struct pare_err *err)
{
	struct thin t = { .data = data, .err = err, .room = 4096, .out = malloc(4096) };
	enum pare_status st;

	if (!t.out)
		return pare_nomem(err, "the file's structure");
	st = thin_message(&t, kind == PARE_WIRE_MODEL ? MODEL : TENSOR, 0, len, 0);
	if (st) {
		free(t.out);
		return st;
	}
	*out = t.out;
	*out_len = t.len;
	return PARE_OK;
}
