/* Products of 8-bit integers, as runtimes write quantized networks: sums in int32, of what is left
 * when zero points are taken away. */
#include "../graph/model.h"
#include "conv.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

static const struct pare_attr conv_attrs[] = {
	{ "auto_pad", PARE_ATTR_STRING, offsetof(struct op_conv, auto_pad), 0, 0 },
	{ "dilations", PARE_ATTR_INTS, offsetof(struct op_conv, dilations), 0, 0 },
	{ "group", PARE_ATTR_INT, offsetof(struct op_conv, group), 1, 0 },
	{ "kernel_shape", PARE_ATTR_INTS, offsetof(struct op_conv, kernel), 0, 0 },
	{ "pads", PARE_ATTR_INTS, offsetof(struct op_conv, pads), 0, 0 },
	{ "strides", PARE_ATTR_INTS, offsetof(struct op_conv, strides), 0, 0 },
	{ 0 },
};
#define BYTE (OP_T(PARE_I8) | OP_T(PARE_U8))

/* Where the four forms of a product have their operands: x, its scale and zero point, w, … */
struct places {
	int x, xs, xz, w, ws, wz, ys, yz, bias; /* -1: there is none */
};
static const struct places plain = { 0, -1, 2, 1, -1, 3, -1, -1, -1 },
			   scaled = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };

static const struct places *places_of(int n_in)
{
	return n_in > 4 ? &scaled : &plain;
}

static enum pare_status operands_fit(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct places *p = places_of(c->n_in);
	const int scales[] = { p->xs, p->ys };
	enum pare_status st = op_types(c, p->x, BYTE, err);

	if (!st)
		st = op_types(c, p->w, BYTE, err);
	if (!st && op_has(c, p->xz) && c->in[p->xz]->dtype != c->in[p->x]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "input %d is not of its operand's type", p->xz);
	if (!st && op_has(c, p->wz) && c->in[p->wz]->dtype != c->in[p->w]->dtype)
		st = pare_fail(err, PARE_E_FORMAT, "input %d is not of its operand's type", p->wz);
	for (int i = 0; i < 2 && !st && p == &scaled; i++)
		if (!op_has(c, scales[i]) || !op_has(c, p->ws))
			st = pare_fail(err, PARE_E_FORMAT, "input %d is missing", scales[i]);
		else if (pare_shape_elems(&c->in[scales[i]]->shape) != 1)
			st = pare_fail(
				err, PARE_E_UNSUPPORTED, "input %d has several scales", scales[i]);
	if (!st && p == &scaled && (!op_has(c, p->yz) || !op_has(c, p->wz)))
		st = pare_fail(err, PARE_E_FORMAT, "a zero point is missing");
	for (int i = 0; i < c->n_in && !st && p == &scaled; i++)
		if (i == p->xs || i == p->ws || i == p->ys)
			st = op_types(c, i, OP_REALS, err);
	if (!st && p == &scaled)
		st = op_types(c, p->yz, BYTE, err);
	c->out[0].dtype = p == &plain ? PARE_I32 : c->in[p->yz]->dtype;
	return st;
}

/* Zero point or scale i of a list, or the only one. */
static size_t listed_at(const struct pare_tensor *t, size_t i)
{
	size_t n = (size_t)pare_shape_elems(&t->shape);

	return n == 1 ? 0 : i < n ? i : n - 1;
}

static int32_t zero_at(const struct pare_call *c, int input, size_t i)
{
	return op_given(c, input) ? (int32_t)op_get_int(c->in[input], listed_at(c->in[input], i))
				  : 0;
}

/* Element `to` of the output, of output channel `channel`. */
static void
put_sum(const struct pare_call *c, const struct places *p, size_t to, size_t channel, int32_t sum)
{
	const struct pare_tensor *y = c->out[0];
	double lo = y->dtype == PARE_I8 ? -128 : 0, hi = lo + 255, v;

	if (p == &plain) {
		y->i32[to] = sum;
		return;
	}
	if (p->bias >= 0 && op_given(c, p->bias))
		sum = (int32_t)((uint32_t)sum + (uint32_t)op_get_int(c->in[p->bias], channel));
	v = op_get(c->in[p->xs], 0) * op_get(c->in[p->ws], listed_at(c->in[p->ws], channel)) /
	    op_get(c->in[p->ys], 0);
	v = rintf((float)sum * (float)v) + (float)zero_at(c, p->yz, 0);
	op_put_int(y, to, v != v ? 0 : (int64_t)(v < lo ? lo : v > hi ? hi : v));
}

/* An element without its zero point, which is none of 8 bits any more. */
static float byte_at(const struct pare_tensor *t, size_t i, int32_t zero)
{
	return (float)((t->dtype == PARE_I8 ? t->i8[i] : t->u8[i]) - zero);
}

/* sums [m][n] = a [m][k] b [k][n] of numbers of 9 bits.  256 products of two of them are an exact
 * float; room: [m][n]. */
static void sum_exactly(
	size_t m, size_t n, size_t k, const float *a, const float *b, float *room, uint32_t *sums)
{
	memset(sums, 0, m * n * sizeof *sums);
	for (size_t from = 0, some; from < k && n; from += some) {
		some = k - from < 256 ? k - from : 256;
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)some, 1,
			a + from, (int)k, b + from * n, (int)n, 0, room, (int)n);
		for (size_t i = 0; i < m * n; i++)
			sums[i] += (uint32_t)(int32_t)room[i];
	}
}

/* ---- matrices ------------------------------------------------------------------------------- */

static enum pare_status shape_product(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct places *p = places_of(c->n_in);
	enum pare_status st = operands_fit(c, err);
	struct pare_shape a, b, *y = &c->out[0].shape;
	int64_t rows, columns;

	if (st)
		return st;
	a = c->in[p->x]->shape;
	b = c->in[p->w]->shape;
	if (a.n < 2 || b.n < 2)
		return pare_fail(err, PARE_E_UNSUPPORTED, "vectors are not supported");
	rows = a.d[a.n - 2];
	columns = b.d[b.n - 1];
	if (op_has(c, p->xz) && pare_shape_elems(&c->in[p->xz]->shape) != 1)
		return pare_fail(err, PARE_E_UNSUPPORTED, "a zero point for each row");
	for (int i = p->ws < 0 ? p->wz : p->ws; i <= p->wz; i++)
		if (op_has(c, i) && pare_shape_elems(&c->in[i]->shape) != 1 &&
			pare_shape_elems(&c->in[i]->shape) != columns)
			return pare_fail(
				err, PARE_E_UNSUPPORTED, "input %d is not one number a column", i);
	if (a.d[a.n - 1] != b.d[b.n - 2])
		return pare_fail(err, PARE_E_FORMAT, "shapes do not multiply");
	a.n -= 2;
	b.n -= 2;
	if (!pare_shape_broadcast(&a, &b, y))
		return pare_fail(err, PARE_E_FORMAT, "shapes do not multiply");
	y->d[y->n++] = rows;
	y->d[y->n++] = columns;
	return PARE_OK;
}

/* Which matrix of a side belongs to matrix i of the result. */
static size_t matrix_at(const struct pare_shape *side, const struct pare_shape *y, size_t i)
{
	size_t at = 0, by = 1;

	for (int j = 3; j <= y->n; j++) {
		size_t index = i % (size_t)y->d[y->n - j];

		i /= (size_t)y->d[y->n - j];
		if (side->n < j)
			continue;
		at += side->d[side->n - j] == 1 ? 0 : index * by;
		by *= (size_t)side->d[side->n - j];
	}
	return at;
}

enum { ROWS = 64 }; /* of a matrix, taken at a time */

/* b [k][n] of one matrix, a [ROWS][k], sums twice [ROWS][n]. */
static size_t product_scratch(const struct pare_call *c)
{
	const struct pare_shape *b = &c->in[places_of(c->n_in)->w]->shape;
	size_t k = (size_t)b->d[b->n - 2], n = (size_t)b->d[b->n - 1];

	return op_lanes_scratch(c) + (k * n + ROWS * k + 2 * ROWS * n) * sizeof(float);
}

static void product_one(const struct pare_call *c)
{
	const struct places *p = places_of(c->n_in);
	const struct pare_tensor *a = c->in[p->x], *b = c->in[p->w];
	const struct pare_shape *y = &c->out[0]->shape;
	size_t m = (size_t)y->d[y->n - 2], n = (size_t)y->d[y->n - 1];
	size_t k = (size_t)a->shape.d[a->shape.n - 1], matrices = op_span(y, 0, y->n - 2);
	float *right = c->scratch, *left = right + k * n, *room = left + ROWS * k;
	uint32_t *sums = (uint32_t *)(room + ROWS * n);
	int32_t az = zero_at(c, p->xz, 0);

	for (size_t i = 0; i < matrices; i++) {
		size_t from_a = matrix_at(&a->shape, y, i) * m * k;
		size_t from_b = matrix_at(&b->shape, y, i) * k * n;

		for (size_t j = 0; j < k * n; j++)
			right[j] = byte_at(b, from_b + j, zero_at(c, p->wz, j % n));
		for (size_t row = 0, some; row < m; row += some) {
			some = m - row < ROWS ? m - row : ROWS;
			for (size_t j = 0; j < some * k; j++)
				left[j] = byte_at(a, from_a + row * k + j, az);
			sum_exactly(some, n, k, left, right, room, sums);
			for (size_t j = 0; j < some * n; j++)
				put_sum(c, p, (i * m + row) * n + j, j % n, (int32_t)sums[j]);
		}
	}
}
OP_BY_LANE(product)

/* ---- convolutions --------------------------------------------------------------------------- */

static enum pare_status shape_conv(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct places *p = places_of(c->n_in);
	const struct op_conv *a = c->attr;
	enum pare_status st = operands_fit(c, err);
	const struct pare_shape *x, *w;
	struct pare_conv v;

	if (st)
		return st;
	x = &c->in[p->x]->shape;
	w = &c->in[p->w]->shape;
	if ((st = op_conv_fit(a, x, w, &v, err)))
		return st;
	if (p->bias >= 0 && op_has(c, p->bias) &&
		(c->in[p->bias]->dtype != PARE_I32 ||
			pare_shape_elems(&c->in[p->bias]->shape) != w->d[0]))
		return pare_fail(err, PARE_E_FORMAT, "the bias does not fit");
	c->out[0].shape = *x;
	c->out[0].shape.d[1] = w->d[0];
	for (int k = 2; k < x->n; k++)
		c->out[0].shape.d[k] = v.out[3 - x->n + k];
	return PARE_OK;
}

/* What one group is taken through, in floats. */
struct group {
	struct pare_conv v;
	struct op_columns m;
	size_t area, pixels, w, columns, sums; /* elements */
};

static bool group_of(const struct pare_call *c, struct group *g)
{
	const struct places *p = places_of(c->n_in);

	if (op_conv_fit(c->attr, &c->in[p->x]->shape, &c->in[p->w]->shape, &g->v, NULL))
		return false; /* shapes were checked: does not happen */
	g->m = op_conv_columns(&g->v);
	g->area = (size_t)g->v.c * g->v.in[0] * g->v.in[1] * g->v.in[2];
	g->pixels = (size_t)g->v.out[0] * g->v.out[1] * g->v.out[2];
	g->w = (size_t)g->v.o * g->m.k;
	g->columns = (size_t)g->m.k * g->m.p;
	g->sums = (size_t)g->v.o * g->m.p;
	return true;
}

static size_t conv_scratch(const struct pare_call *c)
{
	struct group g;

	if (!group_of(c, &g))
		return 0;
	return op_lanes_scratch(c) + (g.area + g.w + g.columns + 2 * g.sums) * sizeof(float);
}

static void conv_one(const struct pare_call *c)
{
	const struct places *p = places_of(c->n_in);
	const struct pare_tensor *x = c->in[p->x], *w = c->in[p->w];
	int32_t xz = zero_at(c, p->xz, 0);
	float *in = c->scratch, *weights, *columns, *room;
	uint32_t *sums;
	struct group g;

	if (!group_of(c, &g))
		return;
	weights = in + g.area;
	columns = weights + g.w;
	room = columns + g.columns;
	sums = (uint32_t *)(room + g.sums);
	for (size_t i = 0; i < (size_t)x->shape.d[0] * g.v.groups; i++) {
		size_t first = i % g.v.groups * g.v.o, from = i / g.v.groups * g.v.groups * g.v.o;

		for (size_t j = 0; j < g.area; j++)
			in[j] = byte_at(x, i * g.area + j, xz);
		for (size_t j = 0; j < g.w; j++)
			weights[j] =
				byte_at(w, first * g.m.k + j, zero_at(c, p->wz, first + j / g.m.k));
		for (size_t at = 0, n; at < g.pixels; at += n) {
			n = g.pixels - at < (size_t)g.m.p ? g.pixels - at : (size_t)g.m.p;
			op_conv_fill(&g.v, in, (int)at, (int)n, columns);
			sum_exactly(g.v.o, n, g.m.k, weights, columns, room, sums);
			for (size_t j = 0; j < g.v.o * n; j++)
				put_sum(c, p, (from + first + j / n) * g.pixels + at + j % n,
					first + j / n, (int32_t)sums[j]);
		}
	}
}
OP_BY_LANE(conv)

/* ---- DynamicQuantizeLinear ------------------------------------------------------------------ */

static enum pare_status shape_dynamic(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (st)
		return st;
	st = pare_shape_same(c, err);
	for (int i = 0; i < c->n_out; i++) {
		c->out[i].dtype = i == 1 ? PARE_F32 : PARE_U8;
		if (i)
			c->out[i].shape.n = 0;
	}
	return st;
}

static float clamped(float v)
{
	return v < 0 ? 0 : v > 255 ? 255 : v;
}

static void dynamic_one(const struct pare_call *c)
{
	size_t n = op_count(c->in[0]);
	const float *x = c->in[0]->f32;
	float lo = 0, hi = 0, scale, zero;

	for (size_t i = 0; i < n; i++) {
		lo = x[i] < lo ? x[i] : lo;
		hi = x[i] > hi ? x[i] : hi;
	}
	scale = (hi - lo) / 255;
	zero = scale > 0 ? rintf(clamped(-lo / scale)) : 0;
	for (size_t i = 0; i < n; i++) {
		float q = scale > 0 ? rintf(x[i] / scale) + zero : 0;

		c->out[0]->u8[i] = (uint8_t)(q != q ? zero : clamped(q));
	}
	if (op_wants(c, 1))
		c->out[1]->f32[0] = scale;
	if (op_wants(c, 2))
		c->out[2]->u8[0] = (uint8_t)zero;
}
OP_BY_LANE(dynamic)

static int64_t integer_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *w = &c->in[places_of(c->n_in)->w]->shape;

	return pare_shape_elems(&c->out[0].shape) * pare_shape_span(w, 1, w->n);
}

static int64_t product_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *a = &c->in[0]->shape;

	return pare_shape_elems(&c->out[0].shape) * a->d[a->n - 1];
}

/* clang-format off */
#define PRODUCT(n, least, most, s)                                                                 \
	{ .name = n, .since = 10, .min_in = least, .max_in = most, .shape = shape_product,         \
	  .forward = product_forward, .scratch = product_scratch, .macs = product_macs,            \
	  .sample = s }
#define CONV(n, least, most, s)                                                                    \
	{ .name = n, .since = 10, .min_in = least, .max_in = most, .attrs = conv_attrs,            \
	  .attr_size = sizeof(struct op_conv), .shape = shape_conv, .forward = conv_forward,       \
	  .scratch = conv_scratch, .macs = integer_macs, .sample = s }
const struct pare_op pare_ops_integer[] = {
	PRODUCT("MatMulInteger", 2, 4, "u8[1,3,4] i8[4,5]! u8=1 i8=2|i8[1,3,4] i8[1,4,2]"),
	PRODUCT("QLinearMatMul", 8, 8,
		"u8[1,3,4] f32=0.1 u8=3 i8[4,5]! f32+[5]! i8[5]! f32=0.2 u8=100"),
	CONV("ConvInteger", 2, 4, "u8[1,2,4,4] i8[3,2,3,3]! u8=2 i8[3]! pads=1,1,0,0"),
	CONV("QLinearConv", 8, 9,
	     "i8[1,4,5] f32=0.1 i8=1 i8[4,2,3]! f32+[4]! i8[4]! f32=0.5 i8=0 i32[4]! group=2 strides=2"),
	{ .name = "DynamicQuantizeLinear", .since = 11, .min_in = 1, .max_in = 1, .max_out = 3,
	  .shape = shape_dynamic, .forward = dynamic_forward, .scratch = op_lanes_scratch,
	  .sample = "f32[1,3,5] outputs=3" },
	{ 0 } };
/* clang-format on */
