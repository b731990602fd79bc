/* Operators that put elements where indices say, and those that pick them by tuples of indices. */
#include "../graph/model.h"
#include "kit.h"
#include <string.h>

struct scatter {
	int64_t axis, batch_dims;
	const char *reduction;
};
#define AT(f) offsetof(struct scatter, f)
static const struct pare_attr elements_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), 0, 0 },
	{ "reduction", PARE_ATTR_STRING, AT(reduction), 0, 0 }, { 0 } };
static const struct pare_attr nd_attrs[] = { { "reduction", PARE_ATTR_STRING, AT(reduction), 0, 0 },
	{ 0 } };
static const struct pare_attr gather_attrs[] = {
	{ "batch_dims", PARE_ATTR_INT, AT(batch_dims), 0, 0 }, { 0 }
};

enum reduction { NONE, ADD, MUL, MIN, MAX, UNKNOWN };

static enum reduction reduction_of(const struct scatter *a)
{
	static const char *const names[] = { "none", "add", "mul", "min", "max" };
	int i = 0;

	while (i < UNKNOWN && !op_word(a->reduction, "none", names[i]))
		i++;
	return (enum reduction)i;
}

static const char *refuse_scatter(const struct pare_node *n, const void *attr)
{
	(void)n;
	return reduction_of(attr) == UNKNOWN ? "its reduction" : NULL;
}

static enum pare_status types_fit(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = op_types(c, 1, OP_T(PARE_I32) | OP_T(PARE_I64), err);
	if (!st && c->n_in > 2 && c->in[2]->dtype != c->in[0]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "updates are of another type than the data");
	return st;
}

/* One element of the updates joins one of the output. */
static void combine(enum reduction how, const struct pare_tensor *y, size_t to,
	const struct pare_tensor *u, size_t from)
{
	size_t size = op_size(y->dtype);

	if (how == NONE)
		memcpy(y->u8 + to * size, u->u8 + from * size, size);
	else if (OP_T(y->dtype) & (OP_FLOATS | OP_T(PARE_F16) | OP_T(PARE_BF16))) {
		double a = op_get(y, to), b = op_get(u, from);

		op_put(y, to,
			how == ADD   ? a + b
			: how == MUL ? a * b
			: how == MIN ? (b < a ? b : a)
				     : (b > a ? b : a));
	} else {
		uint64_t a = (uint64_t)op_get_int(y, to), b = (uint64_t)op_get_int(u, from);
		bool less = y->dtype == PARE_U64 ? b < a : (int64_t)b < (int64_t)a;

		op_put_int(y, to,
			(int64_t)(how == ADD   ? a + b
				  : how == MUL ? a * b
				  : how == MIN ? (less ? b : a)
					       : (less ? a : b)));
	}
}

/* ---- ScatterElements ------------------------------------------------------------------------ */

static enum pare_status shape_elements(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scatter *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *ix = &c->in[1]->shape;
	int axis = 0;
	enum pare_status st = types_fit(c, err);

	if (!st)
		st = op_axis_of(c, a->axis, &axis, err);
	if (!st && !pare_shape_equal(ix, &c->in[2]->shape))
		st = pare_fail(err, PARE_E_FORMAT, "as many updates as indices are needed");
	for (int k = 0; !st && k < x->n; k++)
		if (ix->n != x->n || (k != axis && ix->d[k] > x->d[k]) || (ix->d[k] && !x->d[k]))
			st = pare_fail(err, PARE_E_FORMAT, "the indices do not fit the data");
	return st ? st : pare_shape_same(c, err);
}

static void elements_one(const struct pare_call *c)
{
	const struct scatter *a = c->attr;
	const struct pare_tensor *ix = c->in[1], *y = c->out[0];
	int rank = y->shape.n, axis = op_axis(a->axis, rank);
	enum reduction how = reduction_of(a);
	size_t n = (size_t)pare_shape_elems(&ix->shape);

	memcpy(y->data, c->in[0]->data, op_count(y) * op_size(y->dtype));
	for (size_t i = 0; i < n; i++) {
		size_t rest = i, to = 0, step = 1;

		for (int k = rank; k-- > 0; step *= (size_t)y->shape.d[k]) {
			size_t at = rest % (size_t)ix->shape.d[k];

			rest /= (size_t)ix->shape.d[k];
			if (k == axis)
				at = op_place(c, op_get_int(ix, i), (size_t)y->shape.d[k]);
			to += at * step;
		}
		combine(how, y, to, c->in[2], i);
	}
}
OP_BY_LANE(elements)

/* ---- ScatterND and GatherND ----------------------------------------------------------------- */

/* Indices [batch…, places…, tuple]: each tuple names a slice of what lies behind the batch axes of
 * the data. */
struct tuples {
	size_t batches, places, slice; /* tuples a batch, elements a slice */
	int batch_dims, len;
};

static enum pare_status tuples_of(const struct pare_shape *x, const struct pare_shape *ix,
	int64_t batch_dims, struct tuples *t, struct pare_err *err)
{
	int64_t len;

	if (batch_dims < 0 || batch_dims >= x->n || batch_dims >= ix->n)
		return pare_fail(err, PARE_E_FORMAT, "the indices do not fit the data");
	len = ix->d[ix->n - 1];
	if (len < 1 || len > x->n - batch_dims)
		return pare_fail(err, PARE_E_FORMAT, "%lld indices into %d axes", (long long)len,
			x->n - (int)batch_dims);
	for (int k = 0; k < x->n; k++)
		if ((k < batch_dims && x->d[k] != ix->d[k]) ||
			(k < batch_dims + len && !x->d[k] && pare_shape_elems(ix)))
			return pare_fail(err, PARE_E_FORMAT, "the indices do not fit the data");
	*t = (struct tuples){ .batches = op_span(x, 0, (int)batch_dims),
		.places = op_span(ix, (int)batch_dims, ix->n - 1),
		.slice = op_span(x, (int)(batch_dims + len), x->n),
		.batch_dims = (int)batch_dims,
		.len = (int)len };
	return PARE_OK;
}

/* The slice that tuple i names, counted from the batch's first. */
static size_t
tuple_at(const struct pare_call *c, const struct tuples *t, const struct pare_shape *x, size_t i)
{
	size_t at = 0;

	for (int k = 0; k < t->len; k++) {
		size_t d = (size_t)x->d[t->batch_dims + k];

		at = at * d + op_place(c, op_get_int(c->in[1], i * (size_t)t->len + (size_t)k), d);
	}
	return at;
}

static enum pare_status shape_scatter_nd(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape, *ix = &c->in[1]->shape;
	const struct pare_shape *u = &c->in[2]->shape;
	struct tuples t;
	enum pare_status st = types_fit(c, err);

	if (!st)
		st = tuples_of(x, ix, 0, &t, err);
	if (!st && (size_t)pare_shape_elems(u) != t.places * t.slice)
		st = pare_fail(err, PARE_E_FORMAT, "the updates do not fit the indices");
	return st ? st : pare_shape_same(c, err);
}

static void scatter_nd_one(const struct pare_call *c)
{
	const struct pare_tensor *y = c->out[0];
	enum reduction how = reduction_of(c->attr);
	struct tuples t;

	memcpy(y->data, c->in[0]->data, op_count(y) * op_size(y->dtype));
	if (tuples_of(&y->shape, &c->in[1]->shape, 0, &t, NULL))
		return; /* shapes were checked: does not happen */
	for (size_t i = 0; i < t.places; i++) {
		size_t to = tuple_at(c, &t, &y->shape, i) * t.slice;

		for (size_t j = 0; j < t.slice; j++)
			combine(how, y, to + j, c->in[2], i * t.slice + j);
	}
}
OP_BY_LANE(scatter_nd)

static enum pare_status shape_gather_nd(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scatter *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *ix = &c->in[1]->shape;
	struct pare_shape *out = &c->out[0].shape;
	struct tuples t;
	enum pare_status st = types_fit(c, err);

	if (!st)
		st = tuples_of(x, ix, a->batch_dims, &t, err);
	if (st)
		return st;
	if (ix->n - 1 + x->n - t.batch_dims - t.len > PARE_MAX_DIMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than %d axes", PARE_MAX_DIMS);
	*out = *ix;
	out->n--;
	for (int k = t.batch_dims + t.len; k < x->n; k++)
		out->d[out->n++] = x->d[k];
	c->out[0].dtype = c->in[0]->dtype;
	return PARE_OK;
}

static void gather_nd_one(const struct pare_call *c)
{
	const struct scatter *a = c->attr;
	const struct pare_tensor *x = c->in[0];
	size_t unit, batch;
	struct tuples t;

	if (tuples_of(&x->shape, &c->in[1]->shape, a->batch_dims, &t, NULL))
		return;
	unit = t.slice * op_size(x->dtype);
	batch = op_span(&x->shape, t.batch_dims, x->shape.n) * op_size(x->dtype);
	for (size_t i = 0; i < t.batches * t.places; i++)
		memcpy(c->out[0]->u8 + i * unit,
			x->u8 + i / t.places * batch + tuple_at(c, &t, &x->shape, i) * unit, unit);
}
OP_BY_LANE(gather_nd)

/* clang-format off */
const struct pare_op pare_ops_scatter[] = {
	{ .name = "ScatterElements", .since = 18, .min_in = 3, .max_in = 3,
	  .attrs = elements_attrs, .attr_size = sizeof(struct scatter), .refuse = refuse_scatter,
	  .shape = shape_elements, .forward = elements_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[1,3,4] i64[1,2,4] f32[1,2,4] axis=1|"
		    "f32[1,3,4] i64+[1,3,2]! f32[1,3,2] axis=-1 reduction=add|"
		    "i64[1,4] i32[1,3] i64[1,3] axis=1 reduction=max" },
	{ .name = "Scatter", .since = 9, .min_in = 3, .max_in = 3,
	  .attrs = elements_attrs, .attr_size = sizeof(struct scatter), .refuse = refuse_scatter,
	  .shape = shape_elements, .forward = elements_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[1,3,4] i64[1,2,4] f32[1,2,4] axis=1" },
	{ .name = "ScatterND", .since = 18, .min_in = 3, .max_in = 3, .attrs = nd_attrs,
	  .attr_size = sizeof(struct scatter), .refuse = refuse_scatter,
	  .shape = shape_scatter_nd, .forward = scatter_nd_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[1,3,4] i64[1,2,2]! f32[1,2,4]|"
		    "f32[1,3,4] i64[1,2,3] f32[1,2] reduction=mul" },
	{ .name = "GatherND", .since = 13, .min_in = 2, .max_in = 2, .attrs = gather_attrs,
	  .attr_size = sizeof(struct scatter), .shape = shape_gather_nd,
	  .forward = gather_nd_forward, .scratch = op_lanes_scratch,
	  .takes = OP_MOVED, .sample = "f32[1,3,4] i64[1,2,2]|f32[1,3,4] i64+[1,5,1]! batch_dims=1" },
	{ 0 } };
/* clang-format on */
