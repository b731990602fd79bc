/* Pooling.  A window is taken a position at a time; the lanes, or a row of the input, are what is
 * computed side by side. */
#include "kit.h"
#include <math.h>
#include <string.h>

struct pool {
	const char *auto_pad;
	int64_t ceil_mode, count_include_pad, storage_order, p;
	struct pare_ints kernel, strides, pads, dilations;
};
#define AT(f) offsetof(struct pool, f)
static const struct pare_attr pool_attrs[] = { { "auto_pad", PARE_ATTR_STRING, AT(auto_pad), 0, 0 },
	{ "kernel_shape", PARE_ATTR_INTS, AT(kernel), 0, 0 },
	{ "strides", PARE_ATTR_INTS, AT(strides), 0, 0 },
	{ "pads", PARE_ATTR_INTS, AT(pads), 0, 0 },
	{ "dilations", PARE_ATTR_INTS, AT(dilations), 0, 0 },
	{ "ceil_mode", PARE_ATTR_INT, AT(ceil_mode), 0, 0 },
	{ "count_include_pad", PARE_ATTR_INT, AT(count_include_pad), 0, 0 },
	{ "storage_order", PARE_ATTR_INT, AT(storage_order), 0, 0 },
	{ "p", PARE_ATTR_INT, AT(p), 2, 0 }, { 0 } };

static enum pare_status window_of(
	const struct pool *p, const struct pare_shape *x, struct op_window *w, struct pare_err *err)
{
	return op_window_find(w, x, &p->kernel, &p->strides, &p->dilations, &p->pads, p->auto_pad,
		p->ceil_mode != 0, err);
}

static enum pare_status
shape_of(const struct pare_shape_call *c, unsigned types, struct pare_err *err)
{
	struct op_window w;
	enum pare_status st = op_types(c, 0, types, err);

	if (!st)
		st = window_of(c->attr, &c->in[0]->shape, &w, err);
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = c->in[0]->shape;
	for (int i = 0; i < w.n; i++)
		c->out[0].shape.d[2 + i] = w.out[3 - w.n + i];
	return PARE_OK;
}

static enum pare_status shape_pool(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_of(c, OP_F32, err);
}

static enum pare_status shape_max(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = shape_of(c, OP_F32 | OP_T(PARE_I8) | OP_T(PARE_U8), err);

	if (!st && c->n_out > 1)
		c->out[1] = (struct pare_known){ PARE_I64, c->out[0].shape, NULL };
	return st;
}

/* The taps of a window that begins at `start` which lie on the input: from <= t < to. */
struct taps {
	int64_t start, from, to;
};

static struct taps taps_at(const struct op_window *w, int k, int64_t o)
{
	struct taps t = { o * w->stride[k] - w->pad[k], 0, w->kernel[k] };
	int64_t d = w->dilation[k];

	if (t.start < 0)
		t.from = (-t.start + d - 1) / d;
	if (t.start >= w->in[k])
		t.to = 0;
	else if (t.start + (t.to - 1) * d >= w->in[k])
		t.to = (w->in[k] - 1 - t.start) / d + 1;
	if (t.to < t.from)
		t.to = t.from;
	return t;
}

/* Taps that lie on the input or its pads: what an average that counts pads divides by. */
static int64_t taps_padded(const struct op_window *w, int k, struct taps t)
{
	int64_t room = w->in[k] + w->pad_end[k] - t.start;
	int64_t n = (room + w->dilation[k] - 1) / w->dilation[k];

	return n < w->kernel[k] ? n : w->kernel[k];
}

/* How numbers become one. */
enum how { MAXIMUM, AVERAGE, NORM };

OP_INLINE void begin(enum how how, float *acc, int width)
{
	for (int l = 0; l < width; l++)
		acc[l] = how == MAXIMUM ? -INFINITY : 0;
}

OP_INLINE void take(enum how how, float *acc, const float *x, int width, float p)
{
	for (int l = 0; l < width; l++) {
		if (how == MAXIMUM)
			acc[l] = x[l] > acc[l] ? x[l] : acc[l];
		else if (how == AVERAGE)
			acc[l] += x[l];
		else
			acc[l] += p == 2 ? x[l] * x[l] : powf(fabsf(x[l]), p);
	}
}

OP_INLINE void finish(enum how how, const float *acc, float *out, int width, float count, float p)
{
	for (int l = 0; l < width; l++)
		out[l] = how == AVERAGE ? acc[l] / count
			 : how == NORM  ? powf(acc[l], 1 / p)
					: acc[l];
}

/* One channel, `width` of the `lanes` lanes: x [in][lanes] to out [out][lanes]. */
OP_INLINE void pool_row(enum how how, const struct op_window *w, const struct pool *p,
	const float *x, float *out, struct taps tz, struct taps ty, int width, int lanes)
{
	float power = (float)p->p;
	int64_t padded = taps_padded(w, 0, tz) * taps_padded(w, 1, ty);

	for (int64_t ox = 0; ox < w->out[2]; ox++, out += lanes) {
		struct taps tx = taps_at(w, 2, ox);
		int64_t n = (tz.to - tz.from) * (ty.to - ty.from) * (tx.to - tx.from);
		float acc[16];

		begin(how, acc, width);
		for (int64_t z = tz.from; z < tz.to; z++)
			for (int64_t y = ty.from; y < ty.to; y++) {
				int64_t line = (tz.start + z * w->dilation[0]) * w->in[1] +
					       ty.start + y * w->dilation[1];
				const float *in = x + (line * w->in[2] + tx.start) * lanes;

				for (int64_t i = tx.from; i < tx.to; i++)
					take(how, acc, in + i * w->dilation[2] * lanes, width,
						power);
			}
		if (p->count_include_pad)
			n = padded * taps_padded(w, 2, tx);
		finish(how, acc, out, width, n ? (float)n : 1, power);
	}
}

OP_INLINE void pool_plane(enum how how, const struct op_window *w, const struct pool *p,
	const float *x, float *out, int width, int lanes)
{
	for (int64_t oz = 0; oz < w->out[0]; oz++)
		for (int64_t oy = 0; oy < w->out[1]; oy++, out += w->out[2] * lanes)
			pool_row(how, w, p, x, out, taps_at(w, 0, oz), taps_at(w, 1, oy), width,
				lanes);
}

/* Lanes of a known number become registers. */
#define BY_LANES(f, lanes, x, out, ...)                                                            \
	switch (lanes) {                                                                           \
	case 4:                                                                                    \
		f(__VA_ARGS__, x, out, 4, 4);                                                      \
		break;                                                                             \
	case 8:                                                                                    \
		f(__VA_ARGS__, x, out, 8, 8);                                                      \
		break;                                                                             \
	case 16:                                                                                   \
		f(__VA_ARGS__, x, out, 16, 16);                                                    \
		break;                                                                             \
	default:                                                                                   \
		for (int l = 0; l < (lanes); l++)                                                  \
			f(__VA_ARGS__, (x) + l, (out) + l, 1, lanes);                              \
	}

#define POOL(name, how)                                                                            \
	OP_HOT static void name##_planes(const struct op_window *w, const struct pool *p,          \
		size_t planes, const float *x, float *out, int lanes)                              \
	{                                                                                          \
		size_t in_step = (size_t)(w->in[0] * w->in[1] * w->in[2] * lanes);                 \
		size_t out_step = (size_t)(w->out[0] * w->out[1] * w->out[2] * lanes);             \
                                                                                                   \
		for (size_t i = 0; i < planes; i++, x += in_step, out += out_step)                 \
			BY_LANES(pool_plane, lanes, x, out, how, w, p)                             \
	}                                                                                          \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		struct op_window w;                                                                \
                                                                                                   \
		if (!window_of(c->attr, &c->in[0]->shape, &w, NULL))                               \
			name##_planes(&w, c->attr, op_span(&c->in[0]->shape, 0, 2), c->in[0]->f32, \
				c->out[0]->f32, c->lanes);                                         \
	}
POOL(max_f32, MAXIMUM)
POOL(average, AVERAGE)
POOL(norm, NORM)

/* Where the largest number of a window lies in its plane; -1: the window is empty. */
static int64_t largest_in(
	const struct op_window *w, const struct pare_tensor *x, int64_t plane, const int64_t o[3])
{
	int64_t first = plane * w->in[0] * w->in[1] * w->in[2], best = -1;
	struct taps t[3];

	for (int k = 0; k < 3; k++)
		t[k] = taps_at(w, k, o[k]);
	for (int64_t z = t[0].from; z < t[0].to; z++)
		for (int64_t y = t[1].from; y < t[1].to; y++)
			for (int64_t i = t[2].from; i < t[2].to; i++) {
				int64_t at = ((t[0].start + z * w->dilation[0]) * w->in[1] +
						     t[1].start + y * w->dilation[1]) *
						     w->in[2] +
					     t[2].start + i * w->dilation[2];

				if (best < 0 || op_get(x, (size_t)(first + at)) >
							op_get(x, (size_t)(first + best)))
					best = at;
			}
	return best;
}

/* Axes counted from the first one on. */
static int64_t column_major(const struct op_window *w, int64_t at)
{
	int64_t x = at % w->in[2], y = at / w->in[2] % w->in[1], z = at / w->in[2] / w->in[1];

	return w->n == 3 ? (x * w->in[1] + y) * w->in[0] + z : x * w->in[1] + y;
}

/* Any type, and where in the input each number was found. */
static void max_one(const struct pare_call *c)
{
	const struct pool *p = c->attr;
	struct op_window w;
	int64_t out, in;

	if (window_of(p, &c->in[0]->shape, &w, NULL))
		return;
	out = w.out[0] * w.out[1] * w.out[2];
	in = w.in[0] * w.in[1] * w.in[2];
	for (int64_t i = 0; i < pare_shape_elems(&c->out[0]->shape); i++) {
		int64_t plane = i / out, rest = i % out;
		int64_t o[] = { rest / w.out[2] / w.out[1], rest / w.out[2] % w.out[1],
			rest % w.out[2] };
		int64_t at = largest_in(&w, c->in[0], plane, o);

		op_put(c->out[0], (size_t)i,
			at < 0 ? -INFINITY : op_get(c->in[0], (size_t)(plane * in + at)));
		if (op_wants(c, 1))
			c->out[1]->i64[i] =
				at < 0 ? 0
				       : plane * in +
						 (p->storage_order ? column_major(&w, at) : at);
	}
}

static void max_forward(const struct pare_call *c)
{
	if (c->in[0]->dtype == PARE_F32 && !op_wants(c, 1))
		max_f32_forward(c);
	else
		op_each_lane(c, max_one);
}

static size_t scratch_max(const struct pare_call *c)
{
	return c->in[0]->dtype == PARE_F32 && !op_wants(c, 1) ? 0 : op_lanes_scratch(c);
}

/* Places count all channels, so none may go where they are told. */
static enum pare_flow flow_max(const struct pare_shape_call *c)
{
	return c->n_out > 1 ? PARE_FLOW_BLOCK : PARE_FLOW_PASS;
}

/* ---- over everything ------------------------------------------------------------------------ */

static enum pare_status shape_global(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (st)
		return st;
	if (c->in[0]->shape.n < 3)
		return pare_fail(err, PARE_E_FORMAT, "input has no spatial axes");
	st = pare_shape_same(c, err);
	for (int k = 2; k < c->out[0].shape.n; k++)
		c->out[0].shape.d[k] = 1;
	return st;
}

/* n numbers [n][lanes]; sums by the block, so that the error does not grow with n. */
OP_INLINE void
whole_plane(enum how how, size_t n, float p, const float *x, float *out, int width, int lanes)
{
	float all[16], acc[16];

	begin(how, all, width);
	for (size_t from = 0; from < n; from += 64) {
		size_t to = from + 64 < n ? from + 64 : n;

		begin(how, acc, width);
		for (size_t i = from; i < to; i++)
			take(how, acc, x + i * (size_t)lanes, width, p);
		take(how == NORM ? AVERAGE : how, all, acc, width, p);
	}
	finish(how, all, out, width, (float)n, p);
}

#define GLOBAL(name, how)                                                                          \
	OP_HOT static void name##_forward(const struct pare_call *c)                               \
	{                                                                                          \
		const struct pool *a = c->attr;                                                    \
		const struct pare_shape *s = &c->in[0]->shape;                                     \
		size_t planes = op_span(s, 0, 2), n = op_span(s, 2, s->n);                         \
		size_t step = n * (size_t)c->lanes;                                                \
		const float *x = c->in[0]->f32;                                                    \
		float *out = c->out[0]->f32, p = a ? (float)a->p : 2;                              \
                                                                                                   \
		for (size_t i = 0; i < planes; i++, x += step, out += c->lanes)                    \
			BY_LANES(whole_plane, c->lanes, x, out, how, n, p)                         \
	}
GLOBAL(global_max, MAXIMUM)
GLOBAL(global_average, AVERAGE)
GLOBAL(global_norm, NORM)

static const char *refuse_pool(const struct pare_node *n, const void *attr)
{
	const struct pool *p = attr;

	(void)n;
	return p->kernel.n ? NULL : "it has no kernel_shape";
}

/* clang-format off */
#define WINDOWED(n, v, fw, ex)                                                                     \
	{ .name = n, .since = v, .min_in = 1, .max_in = 1, .attrs = pool_attrs,                    \
	  .attr_size = sizeof(struct pool), .refuse = refuse_pool, .shape = shape_pool,            \
	  .forward = fw, .flow = PARE_FLOW_PASS, .carry = op_carry_channels, .quant = PARE_Q_SAME_SCALE | PARE_Q_STRETCHES, .sample = ex }
#define WHOLE(n, v, fw)                                                                            \
	{ .name = n, .since = v, .min_in = 1, .max_in = 1, .shape = shape_global, .forward = fw,   \
	  .flow = PARE_FLOW_PASS, .carry = op_carry_channels, .quant = PARE_Q_SAME_SCALE | PARE_Q_STRETCHES, .sample = "f32[1,3,9,11]" }
const struct pare_op pare_ops_pool[] = {
	{ .name = "MaxPool", .since = 11, .min_in = 1, .max_in = 1, .max_out = 2,
	  .attrs = pool_attrs, .attr_size = sizeof(struct pool), .refuse = refuse_pool,
	  .shape = shape_max, .forward = max_forward, .scratch = scratch_max,
	  .flow = PARE_FLOW_PASS, .carry = op_carry_channels, .flow_at = flow_max, .quant = PARE_Q_SAME_SCALE | PARE_Q_STRETCHES,
	  .sample = "f32[1,3,7,6] kernel_shape=3,2 strides=2,2 pads=1,0,1,1 dilations=2,1|"
		    "f32[1,2,9] kernel_shape=3 strides=2 auto_pad=SAME_LOWER|"
		    "u8[1,2,5,5] kernel_shape=3,3 pads=1,0,0,1|"
		    "f32[1,2,5,4] kernel_shape=2,2 strides=2,1 storage_order=1 outputs=2" },
	WINDOWED("AveragePool", 11, average_forward,
		 "f32[1,3,7,6] kernel_shape=3,3 strides=2,1 pads=1,1,1,1 ceil_mode=1|"
		 "f32[1,2,3,4,5] kernel_shape=2,3,2 pads=0,1,1,1,0,1 count_include_pad=1"),
	WINDOWED("LpPool", 11, norm_forward, "f32[1,3,9] kernel_shape=4 p=3 auto_pad=SAME_UPPER"),
	WHOLE("GlobalAveragePool", 1, global_average_forward),
	WHOLE("GlobalMaxPool", 1, global_max_forward),
	{ .name = "GlobalLpPool", .since = 2, .min_in = 1, .max_in = 1, .attrs = pool_attrs,
	  .attr_size = sizeof(struct pool), .shape = shape_global, .forward = global_norm_forward,
	  .flow = PARE_FLOW_PASS, .carry = op_carry_channels, .quant = PARE_Q_SAME_SCALE, .sample = "f32[1,3,5]" },
	{ 0 } };
/* clang-format on */
