/* Operators that pick elements by index.  Constant indices are checked before anything runs. */
#include "kit.h"
#include <string.h>

struct gather {
	int64_t axis;
};
static const struct pare_attr gather_attrs[] = {
	{ "axis", PARE_ATTR_INT, offsetof(struct gather, axis), 0, 0 }, { 0 }
};

static int64_t index_at(const struct pare_tensor *t, size_t i)
{
	return t->dtype == PARE_I32 ? t->i32[i] : t->i64[i];
}

static enum pare_status
check_indices(const struct pare_shape_call *c, int axis, struct pare_err *err)
{
	int64_t d = c->in[0]->shape.d[axis], n = pare_shape_elems(&c->in[1]->shape);
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = op_types(c, 1, OP_T(PARE_I32) | OP_T(PARE_I64), err);
	if (!st && !d && n)
		st = pare_fail(err, PARE_E_FORMAT, "axis %d is empty", axis);
	for (int64_t i = 0; !st && c->in[1]->value && i < n; i++) {
		int64_t v = index_at(c->in[1]->value, (size_t)i);

		if (v < -d || v >= d)
			st = pare_fail(err, PARE_E_FORMAT, "index %lld into an axis of %lld",
				(long long)v, (long long)d);
	}
	c->out[0].dtype = c->in[0]->dtype;
	return st;
}

static enum pare_status shape_gather(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct gather *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *ix = &c->in[1]->shape;
	struct pare_shape *out = &c->out[0].shape;
	int axis = 0;
	enum pare_status st = pare_axis(a->axis, x->n, &axis, err);

	if (!st)
		st = check_indices(c, axis, err);
	if (!st && x->n + ix->n - 1 > PARE_MAX_DIMS)
		st = pare_fail(err, PARE_E_UNSUPPORTED, "more than %d axes", PARE_MAX_DIMS);
	if (st)
		return st;
	out->n = 0;
	for (int k = 0; k < x->n; k++)
		if (k != axis)
			out->d[out->n++] = x->d[k];
		else
			for (int j = 0; j < ix->n; j++)
				out->d[out->n++] = ix->d[j];
	return PARE_OK;
}

/* `n` elements with their lanes, of which the source may have but one; from lane `lane` of the
 * source, or, with lane -1, each lane from its own. */
static void take_lanes(const struct pare_tensor *y, size_t to, const struct pare_tensor *x,
	size_t from, size_t n, int lane)
{
	size_t size = op_size(y->dtype), yl = (size_t)y->lanes, xl = (size_t)x->lanes;
	size_t l0 = lane < 0 ? 0 : (size_t)lane, l1 = lane < 0 ? yl : l0 + 1;

	if (lane < 0 && xl == yl) {
		memcpy(y->u8 + to * yl * size, x->u8 + from * xl * size, n * yl * size);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t l = l0; l < l1; l++)
			memcpy(y->u8 + ((to + i) * yl + l) * size,
				x->u8 + ((from + i) * xl + (xl == 1 ? 0 : l)) * size, size);
}

static void gather_forward(const struct pare_call *c)
{
	const struct gather *a = c->attr;
	const struct pare_tensor *x = c->in[0], *ix = c->in[1];
	int axis = op_axis(a->axis, x->shape.n);
	size_t outer = op_span(&x->shape, 0, axis), d = (size_t)x->shape.d[axis];
	size_t inner = op_span(&x->shape, axis + 1, x->shape.n);
	size_t n = (size_t)pare_shape_elems(&ix->shape), lanes = (size_t)ix->lanes;

	for (size_t o = 0; o < outer; o++)
		for (size_t j = 0; j < n; j++)
			for (size_t l = 0; l < lanes; l++) {
				size_t at = op_place(c, index_at(ix, j * lanes + l), d);

				take_lanes(c->out[0], (o * n + j) * inner, x, (o * d + at) * inner,
					inner, lanes == 1 ? -1 : (int)l);
			}
}

/* Axes that are not looked up along move up or down. */
static int gather_carry(const struct pare_shape_call *c, int axis)
{
	const struct gather *a = c->attr;
	int along = op_axis(a->axis, c->in[0]->shape.n);

	return axis == along ? -1 : axis < along ? axis : axis - 1 + c->in[1]->shape.n;
}

static enum pare_status shape_elements(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct gather *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *ix = &c->in[1]->shape;
	int axis = 0;
	enum pare_status st = pare_axis(a->axis, x->n, &axis, err);

	if (!st)
		st = check_indices(c, axis, err);
	for (int k = 0; !st && k < x->n; k++)
		if (ix->n != x->n || (k != axis && ix->d[k] > x->d[k]))
			st = pare_fail(err, PARE_E_FORMAT, "the indices do not fit the data");
	c->out[0].shape = *ix;
	return st;
}

static void elements_forward(const struct pare_call *c)
{
	const struct gather *a = c->attr;
	const struct pare_tensor *x = c->in[0], *ix = c->in[1];
	int rank = x->shape.n, axis = op_axis(a->axis, rank);
	size_t n = (size_t)pare_shape_elems(&ix->shape), lanes = (size_t)ix->lanes;

	for (size_t j = 0; j < n; j++)
		for (size_t l = 0; l < lanes; l++) {
			size_t from = 0, rest = j, run = 1;

			for (int k = rank; k-- > 0;) {
				size_t at = rest % (size_t)ix->shape.d[k];

				rest /= (size_t)ix->shape.d[k];
				if (k == axis)
					at = op_place(c, index_at(ix, j * lanes + l),
						(size_t)x->shape.d[k]);
				from += at * run;
				run *= (size_t)x->shape.d[k];
			}
			take_lanes(c->out[0], j, x, from, 1, lanes == 1 ? -1 : (int)l);
		}
}

/* A table: rows that are looked up. */
static struct pare_weight_at gather_weight(const struct pare_node *n, const void *attr)
{
	const struct gather *a = attr;

	(void)n;
	return (struct pare_weight_at){ .input = a->axis == 0 ? 0 : -1,
		.bias = -1,
		.out_axis = 0,
		.in_axis = 1,
		.groups = 1,
		.alone = true };
}

/* clang-format off */
const struct pare_op pare_ops_gather[] = {
	{ .name = "Gather", .since = 1, .min_in = 2, .max_in = 2, .attrs = gather_attrs,
	  .attr_size = sizeof(struct gather), .shape = shape_gather, .forward = gather_forward,
	  .mixed = true, .weight = gather_weight, .flow = PARE_FLOW_PASS, .carry = gather_carry,
	  .takes = OP_MOVED, .sample = "f32[2,3]! i64+[1,5]|f32[1,5,3] i64{-1,0,2} axis=1|"
		    "f32[1,2,3] i64+[1,2] axis=1" },
	{ .name = "GatherElements", .since = 11, .min_in = 2, .max_in = 2, .attrs = gather_attrs,
	  .attr_size = sizeof(struct gather), .shape = shape_elements,
	  .forward = elements_forward, .mixed = true,
	  .takes = OP_MOVED, .sample = "f32[1,2,3] i64+[1,4,3] axis=1|f32[1,2,3] i64+[1,2,3]! axis=-1" },
	{ 0 } };
/* clang-format on */
