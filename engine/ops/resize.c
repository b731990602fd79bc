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
		"asymmetric", "tf_half_pixel_for_nn", "half_pixel_symmetric" };
	const struct resize *a = attr;
	bool found = false;

	(void)n;
	if (a->antialias)
		return "antialias";
	if (!is(a->policy, "stretch", "stretch"))
		return "it keeps the aspect ratio";
	if (!is(a->mode, "nearest", "nearest") && !is(a->mode, "nearest", "linear") &&
		!is(a->mode, "nearest", "cubic"))
		return "its mode";
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		found = found || is(a->coordinate, "half_pixel", known[i]);
	return found ? NULL : "its coordinate_transformation_mode";
}

/* Scale of every axis; 1 where none is named. */
static void scales_of(const struct resize *a, const struct pare_tensor *scales,
	const struct pare_tensor *sizes, const struct pare_shape *x, float scale[PARE_MAX_DIMS])
{
	int n = (int)pare_shape_elems(scales ? &scales->shape : &sizes->shape);

	for (int k = 0; k < x->n; k++)
		scale[k] = 1;
	for (int i = 0; i < n; i++) {
		int k = a->axes.n ? op_axis(a->axes.v[i], x->n) : i;

		if (scales) {
			scale[k] = scales->f32[i];
		} else {
			int64_t v[PARE_MAX_DIMS];

			op_ints(sizes, v, PARE_MAX_DIMS);
			scale[k] = (float)v[i] / (float)x->d[k];
		}
	}
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
	if (st)
		return st;
	scales_of(a, scales ? scales->value : NULL, sizes ? sizes->value : NULL, x, scale);
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = *x;
	for (int i = 0; i < n; i++) {
		int k = a->axes.n ? op_axis(a->axes.v[i], x->n) : i;
		double d = scales ? floor((double)x->d[k] * (double)scale[k]) : (double)size[i];

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

/* Where output index i of an axis lies on the input. */
static float source(const struct resize *a, int64_t i, int64_t in, int64_t out, float scale)
{
	float x = (float)i;

	if (is(a->coordinate, "half_pixel", "align_corners"))
		return out == 1 ? 0 : x * (float)(in - 1) / (float)(out - 1);
	if (is(a->coordinate, "half_pixel", "asymmetric"))
		return x / scale;
	if (is(a->coordinate, "half_pixel", "tf_half_pixel_for_nn"))
		return (x + 0.5f) / scale;
	if (is(a->coordinate, "half_pixel", "pytorch_half_pixel") && out == 1)
		return 0;
	if (is(a->coordinate, "half_pixel", "half_pixel_symmetric")) {
		float shrink = (float)out / (scale * (float)in), centre = (float)in / 2;

		return centre * (1 - shrink) + (x + 0.5f) / scale - 0.5f;
	}
	return (x + 0.5f) / scale - 0.5f;
}

struct taps {
	int n;
	int64_t at[4];
	float w[4];
};

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

static struct taps taps_of(const struct resize *a, float x, int64_t in)
{
	struct taps t = { 0 };
	int64_t from = (int64_t)floorf(x);
	float sum = 0;

	if (is(a->mode, "nearest", "nearest")) {
		t = (struct taps){ 1, { nearest(a, x) }, { 1 } };
	} else if (is(a->mode, "nearest", "linear")) {
		x = x < 0 ? 0 : x > (float)(in - 1) ? (float)(in - 1) : x;
		from = (int64_t)floorf(x);
		t = (struct taps){ 2, { from, from + 1 },
			{ 1 - (x - (float)from), x - (float)from } };
	} else {
		t.n = 4;
		for (int i = 0; i < 4; i++) {
			t.at[i] = from - 1 + i;
			t.w[i] = cubic(a->cubic_a, x - (float)t.at[i]);
			if (a->exclude_outside && (t.at[i] < 0 || t.at[i] >= in))
				t.w[i] = 0;
			sum += t.w[i];
		}
		for (int i = 0; i < 4 && a->exclude_outside; i++)
			t.w[i] /= sum;
	}
	for (int i = 0; i < t.n; i++)
		t.at[i] = t.at[i] < 0 ? 0 : t.at[i] >= in ? in - 1 : t.at[i];
	return t;
}

OP_HOT static void weigh(const struct taps *t, const float *x, size_t n, float *out)
{
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

/* Axis k from `in` to `out` long: [outer][in][inner] to [outer][out][inner]. */
static void resize_axis(const struct resize *a, const float *x, float *out, size_t outer,
	int64_t in, int64_t out_n, float scale, size_t inner)
{
	for (int64_t i = 0; i < out_n; i++) {
		struct taps t = taps_of(a, source(a, i, in, out_n, scale), in);

		for (size_t o = 0; o < outer; o++)
			weigh(&t, x + o * (size_t)in * inner, inner,
				out + (o * (size_t)out_n + (size_t)i) * inner);
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

static size_t scratch_resize(const struct pare_call *c)
{
	return 2 * between(c) * sizeof(float);
}

static void resize_forward(const struct pare_call *c)
{
	const struct resize *a = c->attr;
	struct pare_shape s = c->in[0]->shape;
	float scale[PARE_MAX_DIMS], *room[2] = { c->scratch, (float *)c->scratch + between(c) };
	const float *from = c->in[0]->f32;
	int last = -1, turn = 0;

	scales_of(a, given(c, scales_at(c->n_in)), given(c, 3), &s, scale);
	for (int k = 0; k < s.n; k++)
		if (scale[k] != 1)
			last = k;
	for (int k = 0; k <= last; k++) {
		int64_t n = c->out[0]->shape.d[k];
		float *to = k == last ? c->out[0]->f32 : room[turn];

		if (scale[k] == 1)
			continue;
		resize_axis(a, from, to, op_span(&s, 0, k), s.d[k], n, scale[k],
			op_span(&s, k + 1, s.n) * (size_t)c->lanes);
		s.d[k] = n;
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
	  .scratch = scratch_resize, .plain = 2, .flow_at = op_flow_spatial,
	  .sample = "f32[1,2,3,4] f32{1,1,2,3} mode=linear" },
	{ .name = "Resize", .since = 13, .min_in = 1, .max_in = 4, .attrs = resize_attrs,
	  .attr_size = sizeof(struct resize), .refuse = refuse_resize, .upgrade = upgrade_resize,
	  .writable = writable_resize, .shape = shape_resize,
	  .forward = resize_forward, .scratch = scratch_resize, .plain = 0xe, .sizes = 8,
	  .flow = PARE_FLOW_BLOCK, .flow_at = op_flow_spatial,
	  .sample = "f32[1,2,3,4] _ f32{1,1,2,1.5} mode=linear|"
		    "f32[1,2,3,4] _ _ i64{1,2,5,3} mode=cubic|"
		    "f32[1,2,3,4] _ f32{1,1,2,2} coordinate_transformation_mode=asymmetric" },
	{ 0 } };
/* clang-format on */
