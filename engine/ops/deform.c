/* Windows that sample where other inputs say: DeformConv, MaxRoiPool. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

/* ---- DeformConv ----------------------------------------------------------------------------- */

/* X [N, C, H, W], weight [O, C/group, kh, kw], offsets [N, og * kh * kw * 2, oh, ow], bias [O],
 * mask [N, og * kh * kw, oh, ow]; og: groups of input channels that share offsets. */
struct deform {
	int64_t group, offset_group;
	struct pare_ints kernel, strides, pads, dilations;
};
#define AT(f) offsetof(struct deform, f)
static const struct pare_attr deform_attrs[] = { { "group", PARE_ATTR_INT, AT(group), 1, 0 },
	{ "offset_group", PARE_ATTR_INT, AT(offset_group), 1, 0 },
	{ "kernel_shape", PARE_ATTR_INTS, AT(kernel), 0, 0 },
	{ "strides", PARE_ATTR_INTS, AT(strides), 0, 0 },
	{ "pads", PARE_ATTR_INTS, AT(pads), 0, 0 },
	{ "dilations", PARE_ATTR_INTS, AT(dilations), 0, 0 }, { 0 } };
enum { X, W, OFFSET, BIAS, MASK };

static enum pare_status window_of(const struct deform *a, const struct pare_shape *x,
	const struct pare_shape *w, struct op_window *win, struct pare_err *err)
{
	int64_t size[2] = { w->d[2], w->d[3] };
	struct pare_ints kernel = { 2, size };

	return op_window_find(
		win, x, &kernel, &a->strides, &a->dilations, &a->pads, NULL, false, err);
}

static enum pare_status shape_deform(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct deform *a = c->attr;
	const struct pare_shape *x = &c->in[X]->shape, *w = &c->in[W]->shape;
	struct pare_shape offset, mask;
	struct op_window win;
	enum pare_status st = PARE_OK;
	int64_t taps;

	for (int i = 0; i < c->n_in && !st; i++)
		st = c->in[i] ? op_types(c, i, OP_F32, err) : PARE_OK;
	if (st)
		return st;
	if (x->n != 4 || w->n != 4)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is not of two spatial axes");
	if (a->group < 1 || a->offset_group < 1 || x->d[1] != w->d[1] * a->group ||
		w->d[0] % a->group || x->d[1] % a->offset_group)
		return pare_fail(err, PARE_E_FORMAT, "its groups do not fit input and weight");
	if ((st = window_of(a, x, w, &win, err)))
		return st;
	taps = a->offset_group * w->d[2] * w->d[3];
	offset = (struct pare_shape){ 4, { x->d[0], taps * 2, win.out[1], win.out[2] } };
	mask = (struct pare_shape){ 4, { x->d[0], taps, win.out[1], win.out[2] } };
	if (!pare_shape_equal(&c->in[OFFSET]->shape, &offset) ||
		(op_has(c, MASK) && !pare_shape_equal(&c->in[MASK]->shape, &mask)) ||
		(op_has(c, BIAS) && pare_shape_elems(&c->in[BIAS]->shape) != w->d[0]))
		return pare_fail(err, PARE_E_FORMAT, "offsets, mask or bias do not fit");
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = (struct pare_shape){ 4, { x->d[0], w->d[0], win.out[1], win.out[2] } };
	return PARE_OK;
}

/* Between the four neighbours; what lies beyond the plane is 0. */
static float sample(const float *x, int64_t h, int64_t w, float py, float px)
{
	float fy = floorf(py), fx = floorf(px), sum = 0;

	if (!(py > -1 && py < (float)h && px > -1 && px < (float)w))
		return 0;
	for (int i = 0; i < 4; i++) {
		int64_t y = (int64_t)fy + i / 2, z = (int64_t)fx + i % 2;
		float wy = i / 2 ? py - fy : 1 - (py - fy), wx = i % 2 ? px - fx : 1 - (px - fx);

		if (y >= 0 && y < h && z >= 0 && z < w)
			sum += wy * wx * x[y * w + z];
	}
	return sum;
}

/* What the window at (oy, ox) of sample n sees: to [C][kh * kw]. */
static void look(const struct pare_call *c, const struct op_window *win, int64_t n, int64_t oy,
	int64_t ox, float *to)
{
	const struct deform *a = c->attr;
	int64_t channels = c->in[X]->shape.d[1], h = win->in[1], w = win->in[2];
	int64_t taps = win->kernel[1] * win->kernel[2], plane = win->out[1] * win->out[2];
	int64_t at = oy * win->out[2] + ox;

	for (int64_t k = 0; k < channels; k++) {
		int64_t g = n * a->offset_group + k / (channels / a->offset_group);
		const float *x = c->in[X]->f32 + (n * channels + k) * h * w;
		const float *offset = c->in[OFFSET]->f32 + g * taps * 2 * plane + at;
		const float *mask =
			op_given(c, MASK) ? c->in[MASK]->f32 + g * taps * plane + at : NULL;

		for (int64_t t = 0; t < taps; t++, to++) {
			int64_t y = oy * win->stride[1] - win->pad[1] +
				    t / win->kernel[2] * win->dilation[1];
			int64_t z = ox * win->stride[2] - win->pad[2] +
				    t % win->kernel[2] * win->dilation[2];

			*to = sample(x, h, w, (float)y + offset[2 * t * plane],
				      (float)z + offset[(2 * t + 1) * plane]) *
			      (mask ? mask[t * plane] : 1);
		}
	}
}

static void deform_one(const struct pare_call *c)
{
	const struct deform *a = c->attr;
	const struct pare_shape *w = &c->in[W]->shape;
	int64_t terms = w->d[1] * w->d[2] * w->d[3], plane;
	float *seen = c->scratch;
	struct op_window win;

	if (window_of(a, &c->in[X]->shape, w, &win, NULL))
		return; /* shapes were checked: does not happen */
	plane = win.out[1] * win.out[2];
	for (int64_t i = 0; i < c->in[X]->shape.d[0] * plane; i++) {
		int64_t n = i / plane, at = i % plane;

		look(c, &win, n, at / win.out[2], at % win.out[2], seen);
		for (int64_t o = 0; o < w->d[0]; o++) {
			const float *v = seen + o / (w->d[0] / a->group) * terms;
			const float *weight = c->in[W]->f32 + o * terms;
			float sum = op_given(c, BIAS) ? c->in[BIAS]->f32[o] : 0;

			for (int64_t k = 0; k < terms; k++)
				sum += weight[k] * v[k];
			c->out[0]->f32[(n * w->d[0] + o) * plane + at] = sum;
		}
	}
}
OP_BY_LANE(deform)

static size_t scratch_deform(const struct pare_call *c)
{
	const struct pare_shape *w = &c->in[W]->shape;

	return op_lanes_scratch(c) +
	       (size_t)(c->in[X]->shape.d[1] * w->d[2] * w->d[3]) * sizeof(float);
}

static int64_t deform_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *w = &c->in[W]->shape;

	return pare_shape_elems(&c->out[0].shape) * w->d[1] * w->d[2] * w->d[3];
}

/* ---- MaxRoiPool ----------------------------------------------------------------------------- */

/* X [N, C, H, W], boxes [R, 5]: sample, x1, y1, x2, y2. */
struct roi {
	float scale;
	struct pare_ints pooled;
};
static const struct pare_attr roi_attrs[] = { { "spatial_scale", PARE_ATTR_FLOAT,
						      offsetof(struct roi, scale), 1, 0 },
	{ "pooled_shape", PARE_ATTR_INTS, offsetof(struct roi, pooled), 0, 0 }, { 0 } };

static const char *refuse_roi(const struct pare_node *n, const void *attr)
{
	const struct pare_ints *p = &((const struct roi *)attr)->pooled;

	(void)n;
	return p->n == 2 && p->v[0] > 0 && p->v[1] > 0 && p->v[0] < 1 << 15 && p->v[1] < 1 << 15
		       ? NULL
		       : "its pooled_shape";
}

static enum pare_status shape_roi(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct roi *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *r = &c->in[1]->shape;
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (!st)
		st = op_types(c, 1, OP_F32, err);
	if (!st && (x->n != 4 || r->n != 2 || r->d[1] != 5 || pare_shape_elems(x) < 1))
		st = pare_fail(err, PARE_E_FORMAT, "boxes do not fit the input");
	if (st)
		return st;
	c->out[0].dtype = PARE_F32;
	c->out[0].shape =
		(struct pare_shape){ 4, { r->d[0], x->d[1], a->pooled.v[0], a->pooled.v[1] } };
	return PARE_OK;
}

/* Cell i of n of a side from `from` to `to`, both on it: begin <= k < end, on an axis of `size`. */
static void
cell_of(float from, float to, int64_t i, int64_t n, int64_t size, int64_t *begin, int64_t *end)
{
	float first = roundf(from), cell = fmaxf(roundf(to) - first + 1, 1) / (float)n;
	float a = floorf((float)i * cell) + first, b = ceilf((float)(i + 1) * cell) + first;

	*begin = a > 0 ? a < (float)size ? (int64_t)a : size : 0;
	*end = b > 0 ? b < (float)size ? (int64_t)b : size : 0;
}

static float largest_of(const struct roi *a, const struct pare_shape *s, const float *x,
	const float *box, int64_t i)
{
	int64_t y0, y1, x0, x1;
	float best = -INFINITY;

	cell_of(box[2] * a->scale, box[4] * a->scale, i / a->pooled.v[1], a->pooled.v[0], s->d[2],
		&y0, &y1);
	cell_of(box[1] * a->scale, box[3] * a->scale, i % a->pooled.v[1], a->pooled.v[1], s->d[3],
		&x0, &x1);
	for (int64_t y = y0; y < y1; y++)
		for (int64_t z = x0; z < x1; z++)
			best = x[y * s->d[3] + z] > best ? x[y * s->d[3] + z] : best;
	return y0 < y1 && x0 < x1 ? best : 0;
}

static void roi_one(const struct pare_call *c)
{
	const struct roi *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int64_t cells = a->pooled.v[0] * a->pooled.v[1], plane = s->d[2] * s->d[3];
	float *out = c->out[0]->f32;

	for (int64_t r = 0; r < c->in[1]->shape.d[0]; r++) {
		const float *box = c->in[1]->f32 + r * 5;
		float named = fabsf(box[0]) < 0x1p30f ? box[0] : 0x1p30f;
		int64_t n = (int64_t)op_place(c, (int64_t)named, (size_t)s->d[0]);

		for (int64_t k = 0; k < s->d[1]; k++)
			for (int64_t i = 0; i < cells; i++)
				*out++ = largest_of(
					a, s, c->in[0]->f32 + (n * s->d[1] + k) * plane, box, i);
	}
}
OP_BY_LANE(roi)

/* clang-format off */
const struct pare_op pare_ops_deform[] = {
	{ .name = "DeformConv", .since = 19, .min_in = 3, .max_in = 5, .attrs = deform_attrs,
	  .attr_size = sizeof(struct deform), .shape = shape_deform, .forward = deform_forward,
	  .scratch = scratch_deform, .macs = deform_macs,
	  .sample = "f32[1,4,5,5] f32[2,2,2,3]! f32[1,24,5,3] f32[2]! f32[1,12,5,3] group=2 "
		    "offset_group=2 pads=1,0,0,0" },
	{ .name = "MaxRoiPool", .since = 1, .min_in = 2, .max_in = 2, .attrs = roi_attrs,
	  .attr_size = sizeof(struct roi), .refuse = refuse_roi, .shape = shape_roi,
	  .forward = roi_forward, .scratch = op_lanes_scratch,
	  .sample = "f32[1,2,6,5] f32+[3,5]! pooled_shape=2,2" },
	{ 0 } };
/* clang-format on */
