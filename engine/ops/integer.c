/* Products of 8-bit integers, as runtimes write quantized networks: sums in int32, of what is left
 * when zero points are taken away. */
#include "../graph/model.h"
#include "conv.h"
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

static void product_one(const struct pare_call *c)
{
	const struct places *p = places_of(c->n_in);
	const struct pare_tensor *a = c->in[p->x], *b = c->in[p->w];
	const struct pare_shape *y = &c->out[0]->shape;
	size_t m = (size_t)y->d[y->n - 2], n = (size_t)y->d[y->n - 1];
	size_t k = (size_t)a->shape.d[a->shape.n - 1], matrices = op_span(y, 0, y->n - 2);
	int32_t az = zero_at(c, p->xz, 0);

	for (size_t i = 0; i < matrices * m * n; i++) {
		size_t at = i / (m * n), row = i / n % m, column = i % n;
		size_t from_a = (matrix_at(&a->shape, y, at) * m + row) * k;
		size_t from_b = matrix_at(&b->shape, y, at) * k * n + column;
		int32_t bz = zero_at(c, p->wz, column);
		uint32_t sum = 0;

		for (size_t j = 0; j < k; j++) {
			int32_t x = a->dtype == PARE_I8 ? a->i8[from_a + j] : a->u8[from_a + j];
			int32_t w =
				b->dtype == PARE_I8 ? b->i8[from_b + j * n] : b->u8[from_b + j * n];

			sum += (uint32_t)((x - az) * (w - bz));
		}
		put_sum(c, p, i, column, (int32_t)sum);
	}
}
OP_BY_LANE(product)

/* ---- convolutions --------------------------------------------------------------------------- */

static enum pare_status window_of(const struct op_conv *a, const struct pare_shape *x,
	const struct pare_shape *w, struct op_window *o, struct pare_err *err)
{
	struct pare_shape edges = *w;
	struct pare_ints kernel = { w->n - 2, edges.d + 2 };

	if (w->n != x->n || x->n < 3)
		return pare_fail(err, PARE_E_FORMAT, "input and weight differ in rank");
	return op_window_find(
		o, x, &kernel, &a->strides, &a->dilations, &a->pads, a->auto_pad, false, err);
}

static enum pare_status shape_conv(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct places *p = places_of(c->n_in);
	const struct op_conv *a = c->attr;
	enum pare_status st = operands_fit(c, err);
	const struct pare_shape *x, *w;
	struct op_window o;

	if (st)
		return st;
	x = &c->in[p->x]->shape;
	w = &c->in[p->w]->shape;
	if ((st = window_of(a, x, w, &o, err)))
		return st;
	if (a->group < 1 || x->d[1] != w->d[1] * a->group || w->d[0] % a->group)
		return pare_fail(err, PARE_E_FORMAT, "channels and groups do not fit");
	if (p->bias >= 0 && op_has(c, p->bias) &&
		(c->in[p->bias]->dtype != PARE_I32 ||
			pare_shape_elems(&c->in[p->bias]->shape) != w->d[0]))
		return pare_fail(err, PARE_E_FORMAT, "the bias does not fit");
	c->out[0].shape = *x;
	c->out[0].shape.d[1] = w->d[0];
	for (int k = 2; k < x->n; k++)
		c->out[0].shape.d[k] = o.out[3 - x->n + k];
	return PARE_OK;
}

/* The sum for output pixel `at` (z, y, x): over channels and kernel; padding is the zero point. */
static int32_t
window_sum(const struct pare_tensor *x, size_t from, const struct pare_tensor *w, size_t from_w,
	int64_t channels, const struct op_window *o, const int64_t at[3], int32_t xz, int32_t wz)
{
	uint32_t sum = 0;

	for (int64_t c = 0; c < channels; c++)
		for (int64_t i = 0; i < o->kernel[0] * o->kernel[1] * o->kernel[2]; i++, from_w++) {
			int64_t k[] = { i / (o->kernel[1] * o->kernel[2]),
				i / o->kernel[2] % o->kernel[1], i % o->kernel[2] };
			size_t p = (size_t)c;
			bool inside = true;
			int32_t v, u;

			for (int d = 0; d < 3; d++) {
				int64_t q =
					at[d] * o->stride[d] + k[d] * o->dilation[d] - o->pad[d];

				inside = inside && q >= 0 && q < o->in[d];
				p = p * (size_t)o->in[d] + (size_t)q;
			}
			if (!inside)
				continue;
			v = x->dtype == PARE_I8 ? x->i8[from + p] : x->u8[from + p];
			u = w->dtype == PARE_I8 ? w->i8[from_w] : w->u8[from_w];
			sum += (uint32_t)((v - xz) * (u - wz));
		}
	return (int32_t)sum;
}

static void conv_one(const struct pare_call *c)
{
	const struct places *p = places_of(c->n_in);
	const struct op_conv *a = c->attr;
	const struct pare_tensor *x = c->in[p->x], *w = c->in[p->w];
	int64_t outs = w->shape.d[0], each = w->shape.d[1], pixels;
	int32_t xz = zero_at(c, p->xz, 0);
	size_t kernel = op_span(&w->shape, 1, w->shape.n),
	       plane = op_span(&x->shape, 2, x->shape.n);
	struct op_window o;

	if (window_of(a, &x->shape, &w->shape, &o, NULL))
		return; /* shapes were checked: does not happen */
	pixels = o.out[0] * o.out[1] * o.out[2];
	for (int64_t i = 0; i < x->shape.d[0] * outs; i++) {
		int64_t n = i / outs, ch = i % outs, group = ch / (outs / a->group);
		size_t from = (size_t)(n * x->shape.d[1] + group * each) * plane;
		int32_t wz = zero_at(c, p->wz, (size_t)ch);

		for (int64_t j = 0; j < pixels; j++) {
			int64_t at[] = { j / (o.out[1] * o.out[2]), j / o.out[2] % o.out[1],
				j % o.out[2] };

			put_sum(c, p, (size_t)(i * pixels + j), (size_t)ch,
				window_sum(x, from, w, (size_t)ch * kernel, each, &o, at, xz, wz));
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
	  .forward = product_forward, .scratch = op_lanes_scratch, .macs = product_macs,           \
	  .sample = s }
#define CONV(n, least, most, s)                                                                    \
	{ .name = n, .since = 10, .min_in = least, .max_in = most, .attrs = conv_attrs,            \
	  .attr_size = sizeof(struct op_conv), .shape = shape_conv, .forward = conv_forward,       \
	  .scratch = op_lanes_scratch, .macs = integer_macs, .sample = s }
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
