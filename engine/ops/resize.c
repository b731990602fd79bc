/* Resize: axis by axis, each output element a weighted sum of few input elements. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

struct resize {
	const char *mode, *coordinate, *nearest, *policy;
	float cubic_a, extrapolation;
	int64_t exclude_outside, antialias;
	struct pare_ints axes;
};
#define AT(f) offsetof(struct resize, f)
static const struct pare_attr resize_attrs[] = { { "mode", PARE_ATTR_STRING, AT(mode), 0, 0 },
	{ "coordinate_transformation_mode", PARE_ATTR_STRING, AT(coordinate), 0, 0 },
	{ "nearest_mode", PARE_ATTR_STRING, AT(nearest), 0, 0 },
	{ "keep_aspect_ratio_policy", PARE_ATTR_STRING, AT(policy), 0, 0 },
	{ "cubic_coeff_a", PARE_ATTR_FLOAT, AT(cubic_a), -0.75, 0 },
	{ "extrapolation_value", PARE_ATTR_FLOAT, AT(extrapolation), 0, 0 },
	{ "exclude_outside", PARE_ATTR_INT, AT(exclude_outside), 0, 0 },
	{ "antialias", PARE_ATTR_INT, AT(antialias), 0, 0 },
	{ "axes", PARE_ATTR_INTS, AT(axes), 0, 0 }, { 0 } };

static const struct pare_attr upsample_attrs[] = { { "mode", PARE_ATTR_STRING, AT(mode), 0, 0 },
	{ "scales", PARE_ATTR_FLOATS, 0, 0, 1 }, { 0 } };

static bool is(const char *value, const char *preset, const char *what)
{
	return !strcmp(value && value[0] ? value : preset, what);
}

static const char *refuse_resize(const struct pare_node *n, const void *attr)
{
	static const char *const known[] = { "half_pixel", "pytorch_half_pixel", "align_corners",
		"asymmetric", "tf_half_pixel_for_nn", "half_pixel_symmetric",
		"tf_crop_and_resize" };
	const struct resize *a = attr;
	bool found = false;

	(void)n;
	if (a->antialias && is(a->mode, "nearest", "nearest"))
		return "antialias of the nearest";
	if (!is(a->policy, "stretch", "stretch") && !is(a->policy, "stretch", "not_larger") &&
		!is(a->policy, "stretch", "not_smaller"))
		return "its keep_aspect_ratio_policy";
	if (!is(a->mode, "nearest", "nearest") && !is(a->mode, "nearest", "linear") &&
		!is(a->mode, "nearest", "cubic"))
		return "its mode";
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		found = found || is(a->coordinate, "half_pixel", known[i]);
	return found ? NULL : "its coordinate_transformation_mode";
}

static bool crops(const struct resize *a)
{
	return is(a->coordinate, "half_pixel", "tf_crop_and_resize");
}

/* Axis of entry i of scales, sizes and roi. */
static int axis_at(const struct resize *a, int i, int rank)
{
	return a->axes.n ? op_axis(a->axes.v[i], rank) : i;
}

/* Scale of every axis; 1 where none is named. */
static void scales_of(const struct resize *a, const struct pare_tensor *scales,
	const struct pare_tensor *sizes, const struct pare_shape *x, float scale[PARE_MAX_DIMS])
{
	int n = (int)pare_shape_elems(scales ? &scales->shape : &sizes->shape);
	bool smaller = is(a->policy, "stretch", "not_larger");
	int64_t v[PARE_MAX_DIMS];
	float one = 0;

	for (int k = 0; k < x->n; k++)
		scale[k] = 1;
	if (!scales)
		op_ints(sizes, v, PARE_MAX_DIMS);
	for (int i = 0; i < n; i++) {
		int k = axis_at(a, i, x->n);

		scale[k] = scales ? scales->f32[i] : (float)v[i] / (float)x->d[k];
		if (!i || (smaller ? scale[k] < one : scale[k] > one))
			one = scale[k];
	}
	if (!scales && !is(a->policy, "stretch", "stretch"))
		for (int i = 0; i < n; i++)
			scale[axis_at(a, i, x->n)] = one;
}

/* X, roi, scales, sizes; before opset 11 X and scales. */
static int scales_at(int n_in)
{
	return n_in == 2 ? 1 : 2;
}

static enum pare_status upgrade_resize(struct pare_node *n, int opset, struct pare_err *err)
{
	struct resize *a = n->attr;

	(void)err;
	if (opset < 11 && n->n_in == 2) {
		a->coordinate = "asymmetric";
		a->nearest = "floor";
	}
	return PARE_OK;
}

/* The older form is none that export knows. */
static bool writable_resize(const struct pare_shape_call *c)
{
	return c->n_in != 2;
}

/* An input that is there but empty counts as absent. */
static const struct pare_known *filled(const struct pare_shape_call *c, int i)
{
	return op_has(c, i) && pare_shape_elems(&c->in[i]->shape) ? c->in[i] : NULL;
}

static enum pare_status shape_resize(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct resize *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	const struct pare_known *scales = filled(c, scales_at(c->n_in)), *sizes = filled(c, 3);
	const struct pare_known *by = scales ? scales : sizes;
	int64_t size[PARE_MAX_DIMS];
	float scale[PARE_MAX_DIMS];
	int n = a->axes.n ? a->axes.n : x->n, n_sizes = 0;
	bool stretches = is(a->policy, "stretch", "stretch");
	unsigned set;
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (!st && a->axes.n)
		st = op_axes(a->axes.v, a->axes.n, x->n, &set, err);
	if (!st && (!by || pare_shape_elems(&by->shape) != n))
		st = pare_fail(err, PARE_E_FORMAT, "scales or sizes do not name %d axes", n);
	if (!st && (!by->value || (scales && scales->dtype != PARE_F32)))
		st = pare_fail(err, PARE_E_UNSUPPORTED,
			"scales or sizes are computed while running; pare needs them constant");
	if (!st && !scales)
		st = pare_const_ints(c, 3, size, &n_sizes, err);
	if (!st && !pare_shape_elems(x))
		st = pare_fail(err, PARE_E_FORMAT, "the input is empty");
	if (!st && crops(a) &&
		(!op_has(c, 1) || c->in[1]->dtype != PARE_F32 ||
			pare_shape_elems(&c->in[1]->shape) != 2 * n))
		st = pare_fail(err, PARE_E_FORMAT, "its region does not name %d axes", n);
	if (st)
		return st;
	scales_of(a, scales ? scales->value : NULL, sizes ? sizes->value : NULL, x, scale);
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = *x;
	for (int i = 0; i < n; i++) {
		int k = axis_at(a, i, x->n);
		double d = (double)x->d[k] * (double)scale[k];

		d = scales ? floor(d) : stretches ? (double)size[i] : floor(d + 0.5);
		if (scales && is(a->coordinate, "half_pixel", "align_corners") &&
			d != (double)x->d[k] * (double)scale[k])
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"corners aligned at a scale that gives no whole size, which ONNX "
				"and ONNX Runtime do not read alike");
		if (!(d >= 1 && d <= 1 << 30))
			return pare_fail(err, PARE_E_FORMAT, "axis %d becomes %g long", k, d);
		c->out[0].shape.d[k] = (int64_t)d;
	}
	return PARE_OK;
}

/* An axis and how it changes: `from` and `to` are where the region begins and ends, 0 and 1 unless
 * something is cropped. */
struct line {
	int64_t in, out;
	float scale, from, to;
};

/* Where output index i of an axis lies on the input. */
static float source(const struct resize *a, const struct line *l, int64_t i)
{
	float x = (float)i;

	if (is(a->coordinate, "half_pixel", "align_corners"))
		return l->out == 1 ? 0 : x * (float)(l->in - 1) / (float)(l->out - 1);
	if (crops(a))
		return l->out == 1 ? (l->from + l->to) * (float)(l->in - 1) / 2
				   : l->from * (float)(l->in - 1) + x * (l->to - l->from) *
									    (float)(l->in - 1) /
									    (float)(l->out - 1);
	if (is(a->coordinate, "half_pixel", "asymmetric"))
		return x / l->scale;
	if (is(a->coordinate, "half_pixel", "tf_half_pixel_for_nn"))
		return (x + 0.5f) / l->scale;
	if (is(a->coordinate, "half_pixel", "pytorch_half_pixel") && l->out == 1)
		return 0;
	if (is(a->coordinate, "half_pixel", "half_pixel_symmetric")) {
		float shrink = (float)l->out / (l->scale * (float)l->in);

		return (float)l->in / 2 * (1 - shrink) + (x + 0.5f) / l->scale - 0.5f;
	}
	return (x + 0.5f) / l->scale - 0.5f;
}

/* Elements that make one of the output; none = it lies beyond the input. */
struct taps {
	int n;
	int64_t *at;
	float *w;
};

/* Inputs that a kernel reaches to either side, stretched when it must not skip any. */
static float stretched(const struct resize *a, float scale)
{
	return a->antialias && scale < 1 ? 1 / scale : 1;
}

static size_t most_taps(const struct resize *a, float scale)
{
	return 2 * (size_t)ceilf(2 * stretched(a, scale)) + 2;
}

static int64_t nearest(const struct resize *a, float x)
{
	if (is(a->nearest, "round_prefer_floor", "floor"))
		return (int64_t)floorf(x);
	if (is(a->nearest, "round_prefer_floor", "ceil"))
		return (int64_t)ceilf(x);
	if (is(a->nearest, "round_prefer_floor", "round_prefer_ceil"))
		return (int64_t)floorf(x + 0.5f);
	return (int64_t)ceilf(x - 0.5f);
}

/* Keys (1981), "Cubic convolution interpolation for digital image processing". */
static float cubic(float a, float t)
{
	t = fabsf(t);
	return t <= 1  ? ((a + 2) * t - (a + 3)) * t * t + 1
	       : t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
		       : 0;
}

/* Weights of the kernel around x, whose total is 1 where it is cut or stretched. */
static void weigh_around(const struct resize *a, const struct line *l, float x, struct taps *t)
{
	bool linear = is(a->mode, "nearest", "linear");
	float wide = stretched(a, l->scale), sum = 0;
	int64_t reach = (int64_t)ceilf((linear ? 1 : 2) * wide), first;

	first = (int64_t)floorf(x) - reach + 1;
	t->n = (int)(2 * reach);
	for (int i = 0; i < t->n; i++) {
		float d = (x - (float)(first + i)) / wide;

		t->at[i] = first + i;
		t->w[i] = !linear ? cubic(a->cubic_a, d) : fabsf(d) < 1 ? 1 - fabsf(d) : 0;
		if (a->exclude_outside && (t->at[i] < 0 || t->at[i] >= l->in))
			t->w[i] = 0;
		sum += t->w[i];
	}
	for (int i = 0; i < t->n && (a->exclude_outside || a->antialias); i++)
		t->w[i] /= sum;
}

static void taps_of(const struct resize *a, const struct line *l, int64_t out, struct taps *t)
{
	float x = source(a, l, out);

	t->n = 0;
	if (crops(a) && (x < 0 || x > (float)(l->in - 1)))
		return;
	if (is(a->mode, "nearest", "nearest")) {
		t->n = 1;
		t->at[0] = nearest(a, x);
		t->w[0] = 1;
	} else {
		if (is(a->mode, "nearest", "linear") && !a->antialias && !a->exclude_outside)
			x = x < 0 ? 0 : x > (float)(l->in - 1) ? (float)(l->in - 1) : x;
		weigh_around(a, l, x, t);
	}
	for (int i = 0; i < t->n; i++)
		t->at[i] = t->at[i] < 0 ? 0 : t->at[i] >= l->in ? l->in - 1 : t->at[i];
}

OP_HOT static void weigh(const struct taps *t, const float *x, size_t n, float beyond, float *out)
{
	if (!t->n) {
		for (size_t i = 0; i < n; i++)
			out[i] = beyond;
		return;
	}
	if (t->n == 1) {
		memcpy(out, x + (size_t)t->at[0] * n, n * sizeof *out);
		return;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = t->w[0] * x[(size_t)t->at[0] * n + i];
	for (int k = 1; k < t->n; k++)
		for (size_t i = 0; i < n; i++)
			out[i] += t->w[k] * x[(size_t)t->at[k] * n + i];
}

/* An axis: [outer][in][inner] to [outer][out][inner]. */
static void resize_axis(const struct resize *a, const struct line *l, const float *x, float *out,
	size_t outer, size_t inner, struct taps *t)
{
	for (int64_t i = 0; i < l->out; i++) {
		taps_of(a, l, i, t);
		for (size_t o = 0; o < outer; o++)
			weigh(t, x + o * (size_t)l->in * inner, inner, a->extrapolation,
				out + (o * (size_t)l->out + (size_t)i) * inner);
	}
}

static const struct pare_tensor *given(const struct pare_call *c, int i)
{
	return op_given(c, i) && pare_shape_elems(&c->in[i]->shape) ? c->in[i] : NULL;
}

/* The largest of what lies between the axes, twice. */
static size_t between(const struct pare_call *c)
{
	struct pare_shape s = c->in[0]->shape;
	size_t most = 0;

	for (int k = 0; k < s.n; k++) {
		s.d[k] = c->out[0]->shape.d[k];
		if (op_span(&s, 0, s.n) > most)
			most = op_span(&s, 0, s.n);
	}
	return most * (size_t)c->lanes;
}

/* Taps that the axis with the most of them has. */
static size_t room_for_taps(const struct pare_call *c)
{
	const struct resize *a = c->attr;
	size_t most = 4;

	for (int k = 0; k < c->in[0]->shape.n; k++) {
		size_t in = (size_t)c->in[0]->shape.d[k], out = (size_t)c->out[0]->shape.d[k];
		/* sizes are rounded */
		size_t n = most_taps(a, ((float)out - 0.5f) / ((float)in + 1));

		most = n > most ? n : most;
	}
	return most;
}

static size_t scratch_resize(const struct pare_call *c)
{
	return room_for_taps(c) * (sizeof(int64_t) + sizeof(float)) +
	       2 * between(c) * sizeof(float);
}

/* How each axis changes; those that stay as they are have in = out and scale 1. */
static void lines_of(const struct pare_call *c, struct line line[PARE_MAX_DIMS])
{
	const struct resize *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	float scale[PARE_MAX_DIMS];
	int n = a->axes.n ? a->axes.n : x->n;

	scales_of(a, given(c, scales_at(c->n_in)), given(c, 3), x, scale);
	for (int k = 0; k < x->n; k++)
		line[k] = (struct line){ x->d[k], c->out[0]->shape.d[k], scale[k], 0, 1 };
	for (int i = 0; i < n && crops(a); i++) {
		line[axis_at(a, i, x->n)].from = c->in[1]->f32[i];
		line[axis_at(a, i, x->n)].to = c->in[1]->f32[n + i];
	}
}

static bool changes(const struct line *l)
{
	return l->scale != 1 || l->from != 0 || l->to != 1;
}

static void resize_forward(const struct pare_call *c)
{
	struct pare_shape s = c->in[0]->shape;
	size_t n_taps = room_for_taps(c);
	struct taps t = { 0, c->scratch, (float *)((int64_t *)c->scratch + n_taps) };
	float *room[2] = { t.w + n_taps, t.w + n_taps + between(c) };
	const float *from = c->in[0]->f32;
	struct line line[PARE_MAX_DIMS];
	int last = -1, turn = 0;

	lines_of(c, line);
	for (int k = 0; k < s.n; k++)
		if (changes(&line[k]))
			last = k;
	for (int k = 0; k <= last; k++) {
		float *to = k == last ? c->out[0]->f32 : room[turn];

		if (!changes(&line[k]))
			continue;
		resize_axis(c->attr, &line[k], from, to, op_span(&s, 0, k),
			op_span(&s, k + 1, s.n) * (size_t)c->lanes, &t);
		s.d[k] = line[k].out;
		from = to;
		turn = !turn;
	}
	if (last < 0)
		memcpy(c->out[0]->data, from, op_count(c->out[0]) * sizeof(float));
}

/* clang-format off */
const struct pare_op pare_ops_resize[] = {
	{ .name = "Upsample", .since = 9, .min_in = 2, .max_in = 2, .attrs = upsample_attrs,
	  .attr_size = sizeof(struct resize), .refuse = refuse_resize, .upgrade = upgrade_resize,
	  .writable = writable_resize, .shape = shape_resize, .forward = resize_forward,
	  .scratch = scratch_resize, .plain = 2, .flow_at = op_flow_spatial, .carry = op_carry_channels,
	  .sample = "f32[1,2,3,4] f32{1,1,2,3} mode=linear" },
	{ .name = "Resize", .since = 13, .min_in = 1, .max_in = 4, .attrs = resize_attrs,
	  .attr_size = sizeof(struct resize), .refuse = refuse_resize, .upgrade = upgrade_resize,
	  .writable = writable_resize, .shape = shape_resize,
	  .forward = resize_forward, .scratch = scratch_resize, .plain = 0xe, .sizes = 8,
	  .flow = PARE_FLOW_BLOCK, .flow_at = op_flow_spatial, .carry = op_carry_channels,
	  .sample = "f32[1,2,3,4] _ f32{1,1,2,1.5} mode=linear|"
		    "f32[1,2,3,4] _ _ i64{1,2,5,3} mode=cubic|"
		    "f32[1,2,3,4] _ f32{1,1,2,2} coordinate_transformation_mode=asymmetric|"
		    "f32[1,1,7,9] _ f32{1,1,0.4,0.3} mode=cubic antialias=1|"
		    "f32[1,1,4,4] f32{0,0,0.4,-0.2,1,1,0.6,0.8} _ i64{1,1,3,3} mode=linear "
		    "coordinate_transformation_mode=tf_crop_and_resize extrapolation_value=10|"
		    "f32[1,1,4,3] _ _ i64{7,8} axes=2,3 keep_aspect_ratio_policy=not_larger" },
	{ 0 } };
/* clang-format on */
