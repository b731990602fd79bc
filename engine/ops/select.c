/* Operators that sort out elements: the largest, those that are not zero, those that differ.  Where
 * the number of what is found decides the output's shape, the input must be known by then. */
#include "../graph/model.h"
#include "kit.h"
#include <stdlib.h>
#include <string.h>

enum { FLAT = -1000 }; /* no axis: the tensor counts as one long row */

struct select {
	int64_t axis, largest, sorted;
};
#define AT(f) offsetof(struct select, f)
static const struct pare_attr top_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), -1, 0 },
	{ "largest", PARE_ATTR_INT, AT(largest), 1, 0 },
	{ "sorted", PARE_ATTR_INT, AT(sorted), 1, 0 }, { "k", PARE_ATTR_INT, 0, 0, 1 }, { 0 } };
static const struct pare_attr compress_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), FLAT, 0 },
	{ 0 } };
static const struct pare_attr unique_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), FLAT, 0 },
	{ "sorted", PARE_ATTR_INT, AT(sorted), 1, 0 }, { 0 } };

/* ---- TopK ----------------------------------------------------------------------------------- */

static enum pare_status shape_top(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct select *a = c->attr;
	int64_t k[1] = { 0 };
	int axis = 0, n = 0;
	enum pare_status st = op_types(c, 0, OP_NUMBERS | OP_T(PARE_F16) | OP_T(PARE_BF16), err);

	if (!st)
		st = op_axis_of(c, a->axis, &axis, err);
	if (!st)
		st = op_const_ints(c, 1, k, 1, &n, err);
	if (!st && (n != 1 || k[0] < 0 || k[0] > c->in[0]->shape.d[axis]))
		st = pare_fail(err, PARE_E_FORMAT, "%lld of %lld elements", (long long)k[0],
			(long long)c->in[0]->shape.d[axis]);
	for (int i = 0; !st && i < c->n_out; i++) {
		c->out[i].dtype = i ? PARE_I64 : c->in[0]->dtype;
		c->out[i].shape = c->in[0]->shape;
		c->out[i].shape.d[axis] = k[0];
	}
	return st;
}

/* Does element a go before element b?  Of equals the first; NaN counts as the largest. */
static bool before(const struct pare_tensor *x, size_t a, size_t b, bool largest)
{
	if (x->dtype == PARE_I64 || x->dtype == PARE_U64) {
		int64_t flip = x->dtype == PARE_U64 ? INT64_MIN : 0;
		int64_t u = x->i64[a] ^ flip, v = x->i64[b] ^ flip;

		return u != v ? (u > v) == largest : a < b;
	} else {
		double u = op_get(x, a), v = op_get(x, b);

		if (u != u || v != v)
			return (u != u) == (v != v) ? a < b : (u != u) == largest;
		return u != v ? (u > v) == largest : a < b;
	}
}

/* A heap whose root goes last. */
static void sift(const struct pare_tensor *x, size_t *h, size_t n, size_t i, bool largest)
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		size_t t;

		if (child + 1 < n && before(x, h[child], h[child + 1], largest))
			child++;
		if (!before(x, h[i], h[child], largest))
			return;
		t = h[i];
		h[i] = h[child];
		h[child] = t;
	}
}

static void top_row(const struct pare_tensor *x, size_t from, size_t n, size_t step, size_t k,
	bool largest, size_t *h)
{
	for (size_t i = 0; i < k; i++)
		h[i] = from + i * step;
	for (size_t i = k / 2; i-- > 0;)
		sift(x, h, k, i, largest);
	for (size_t i = k; k && i < n; i++)
		if (before(x, from + i * step, h[0], largest)) {
			h[0] = from + i * step;
			sift(x, h, k, 0, largest);
		}
	for (size_t m = k; m > 1;) { /* the last of those left goes to the end */
		size_t t = h[--m];

		h[m] = h[0];
		h[0] = t;
		sift(x, h, m, 0, largest);
	}
}

static void top_one(const struct pare_call *c)
{
	const struct select *a = c->attr;
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	struct pare_tensor *places = op_wants(c, 1) ? c->out[1] : NULL;
	int axis = op_axis(a->axis, x->shape.n);
	size_t outer = op_span(&x->shape, 0, axis),
	       inner = op_span(&x->shape, axis + 1, x->shape.n);
	size_t n = (size_t)x->shape.d[axis], k = (size_t)y->shape.d[axis], size = op_size(y->dtype);
	size_t *h = c->scratch;

	for (size_t o = 0; o < outer; o++)
		for (size_t i = 0; i < inner; i++) {
			size_t from = o * n * inner + i;

			top_row(x, from, n, inner, k, a->largest, h);
			for (size_t j = 0; j < k; j++) {
				size_t to = (o * k + j) * inner + i;

				memcpy(y->u8 + to * size, x->u8 + h[j] * size, size);
				if (places)
					places->i64[to] = (int64_t)((h[j] - from) / inner);
			}
		}
}
OP_BY_LANE(top)

static size_t scratch_top(const struct pare_call *c)
{
	const struct select *a = c->attr;
	int axis = op_axis(a->axis, c->in[0]->shape.n);

	return op_lanes_scratch(c) + (size_t)c->out[0]->shape.d[axis] * sizeof(size_t);
}

/* ---- NonZero, Compress ---------------------------------------------------------------------- */

static enum pare_status shape_non_zero(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_BYTES, err);
	int64_t n, found = 0;

	if (!st)
		st = op_known(c, 0, err);
	if (st)
		return st;
	n = pare_shape_elems(&c->in[0]->shape);
	for (int64_t i = 0; i < n; i++)
		found += op_get(c->in[0]->value, (size_t)i) != 0;
	c->out[0].dtype = PARE_I64;
	c->out[0].shape = (struct pare_shape){ 2, { c->in[0]->shape.n, found } };
	return PARE_OK;
}

static void non_zero_one(const struct pare_call *c)
{
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	size_t n = op_count(x), m = (size_t)y->shape.d[1], found = 0;

	for (size_t i = 0; i < n && found < m; i++) {
		size_t rest = i;

		if (op_get(x, i) == 0)
			continue;
		for (int k = x->shape.n; k-- > 0; rest /= (size_t)x->shape.d[k])
			y->i64[(size_t)k * m + found] = (int64_t)(rest % (size_t)x->shape.d[k]);
		found++;
	}
}
OP_BY_LANE(non_zero)

/* The row of things to choose from: [outer][n][inner]. */
struct row {
	size_t outer, n, inner;
	int axis; /* -1: the tensor is one row */
};

static struct row row_of(const struct pare_shape *s, int64_t axis)
{
	struct row r = { 1, op_span(s, 0, s->n), 1, -1 };

	if (axis != FLAT) {
		r.axis = op_axis(axis, s->n);
		r.outer = op_span(s, 0, r.axis);
		r.n = (size_t)s->d[r.axis];
		r.inner = op_span(s, r.axis + 1, s->n);
	}
	return r;
}

static struct pare_shape row_shape(const struct pare_shape *x, const struct row *r, int64_t n)
{
	struct pare_shape s = { 1, { n } };

	if (r->axis >= 0) {
		s = *x;
		s.d[r->axis] = n;
	}
	return s;
}

static enum pare_status shape_compress(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct select *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);
	int64_t n, found = 0;
	struct row r;
	int axis;

	if (!st)
		st = op_types(c, 1, OP_T(PARE_BOOL), err);
	if (!st)
		st = op_known(c, 1, err);
	if (!st && a->axis != FLAT)
		st = op_axis_of(c, a->axis, &axis, err);
	if (st)
		return st;
	r = row_of(x, a->axis);
	n = pare_shape_elems(&c->in[1]->shape);
	for (int64_t i = 0; i < n; i++)
		found += c->in[1]->value->u8[i] != 0;
	if ((size_t)n > r.n)
		return pare_fail(err, PARE_E_FORMAT, "more conditions than elements");
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = row_shape(x, &r, found);
	return PARE_OK;
}

static void compress_one(const struct pare_call *c)
{
	const struct select *a = c->attr;
	const struct pare_tensor *x = c->in[0];
	struct row r = row_of(&x->shape, a->axis);
	size_t n = (size_t)pare_shape_elems(&c->in[1]->shape), unit = r.inner * op_size(x->dtype);
	uint8_t *out = c->out[0]->u8;

	for (size_t o = 0; o < r.outer; o++)
		for (size_t i = 0; i < n; i++)
			if (c->in[1]->u8[i]) {
				memcpy(out, x->u8 + (o * r.n + i) * unit, unit);
				out += unit;
			}
}
OP_BY_LANE(compress)

/* ---- Unique --------------------------------------------------------------------------------- */

static int compare_items(const struct pare_tensor *x, const struct row *r, size_t a, size_t b)
{
	for (size_t o = 0; o < r->outer; o++)
		for (size_t i = 0; i < r->inner; i++) {
			size_t p = (o * r->n + a) * r->inner + i, q = (o * r->n + b) * r->inner + i;
			double u = op_get(x, p), v = op_get(x, q);

			if (u != v)
				return u < v ? -1 : 1;
		}
	return 0;
}

/* Items that differ: first[j] is where the j-th occurs first, group[i] is j for item i, counts[j]
 * how often.  Returns how many; `list` lies in room of 3 n + n numbers. */
static size_t find_unique(
	const struct pare_tensor *x, const struct row *r, bool sorted, size_t *first, size_t *group)
{
	size_t found = 0;

	for (size_t i = 0; i < r->n; i++) {
		size_t lo = 0, hi = found, j;

		if (sorted) /* first[] is kept in order */
			while (lo < hi) {
				size_t mid = lo + (hi - lo) / 2;

				if (compare_items(x, r, first[mid], i) < 0)
					lo = mid + 1;
				else
					hi = mid;
			}
		else
			while (lo < found && compare_items(x, r, first[lo], i))
				lo++;
		j = lo;
		if (j == found || compare_items(x, r, first[j], i)) {
			memmove(first + j + 1, first + j, (found - j) * sizeof *first);
			first[j] = i;
			found++;
			for (size_t k = 0; k < i; k++)
				group[k] += group[k] >= j;
		}
		group[i] = j;
	}
	return found;
}

static enum pare_status shape_unique(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct select *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_BYTES, err);
	size_t *room, found;
	struct row r;
	int axis;

	if (!st)
		st = op_known(c, 0, err);
	if (!st && a->axis != FLAT)
		st = op_axis_of(c, a->axis, &axis, err);
	if (st)
		return st;
	r = row_of(x, a->axis);
	if (!(room = calloc(2 * r.n + 1, sizeof *room)))
		return pare_nomem(err, "what differs");
	found = find_unique(c->in[0]->value, &r, a->sorted, room, room + r.n);
	free(room);
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = row_shape(x, &r, (int64_t)found);
	for (int i = 1; i < c->n_out; i++) {
		c->out[i].dtype = PARE_I64;
		c->out[i].shape =
			(struct pare_shape){ 1, { i == 2 ? (int64_t)r.n : (int64_t)found } };
	}
	return PARE_OK;
}

static void unique_one(const struct pare_call *c)
{
	const struct select *a = c->attr;
	const struct pare_tensor *x = c->in[0];
	struct row r = row_of(&x->shape, a->axis);
	size_t *first = c->scratch, *group = first + r.n, unit = r.inner * op_size(x->dtype);
	size_t found = find_unique(x, &r, a->sorted, first, group);

	for (size_t o = 0; o < r.outer; o++)
		for (size_t j = 0; j < found; j++)
			memcpy(c->out[0]->u8 + (o * found + j) * unit,
				x->u8 + (o * r.n + first[j]) * unit, unit);
	for (size_t j = 0; op_wants(c, 1) && j < found; j++)
		c->out[1]->i64[j] = (int64_t)first[j];
	for (size_t i = 0; op_wants(c, 2) && i < r.n; i++)
		c->out[2]->i64[i] = (int64_t)group[i];
	if (op_wants(c, 3)) {
		memset(c->out[3]->data, 0, found * sizeof(int64_t));
		for (size_t i = 0; i < r.n; i++)
			c->out[3]->i64[group[i]]++;
	}
}
OP_BY_LANE(unique)

static size_t scratch_unique(const struct pare_call *c)
{
	return op_lanes_scratch(c) + 2 * op_count(c->in[0]) * sizeof(size_t);
}

/* clang-format off */
const struct pare_op pare_ops_select[] = {
	{ .name = "TopK", .since = 11, .min_in = 2, .max_in = 2, .max_out = 2, .attrs = top_attrs,
	  .attr_size = sizeof(struct select), .shape = shape_top, .forward = top_forward,
	  .scratch = scratch_top, .plain = 2,
	  .takes = OP_REALS, .sample = "f32[1,9] i64{3} outputs=2|f32[1,5,3] i64{5} axis=1 largest=0 outputs=2|"
		    "i64[1,8] i64{2}" },
	{ .name = "NonZero", .since = 9, .min_in = 1, .max_in = 1, .shape = shape_non_zero,
	  .forward = non_zero_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[2,3]!|bool[1,2,5]!" },
	{ .name = "Compress", .since = 9, .min_in = 2, .max_in = 2, .attrs = compress_attrs,
	  .attr_size = sizeof(struct select), .shape = shape_compress,
	  .forward = compress_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[1,3,4] bool{0,1,1} axis=1|f32[1,5] bool{1,0,1}" },
	{ .name = "Unique", .since = 11, .min_in = 1, .max_in = 1, .max_out = 4,
	  .attrs = unique_attrs, .attr_size = sizeof(struct select), .shape = shape_unique,
	  .forward = unique_forward, .scratch = scratch_unique,
	  .takes = OP_MOVED, .sample = "i64[9]! outputs=4|i64+[5,2]! axis=0 sorted=0 outputs=4" },
	{ 0 } };
/* clang-format on */
