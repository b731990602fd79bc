/* Quantizers of QONNX, whose codes are floats (Pappalardo et al. 2022, "QONNX: Representing
 * Arbitrary-Precision Quantized Neural Networks"): Quant, also called IntQuant, of any number of
 * bits; BipolarQuant of one; Trunc, which drops the last of them. */
#include "../graph/model.h"
#include "kit.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

struct qonnx {
	int64_t is_signed, narrow;
	const char *rounding;
};
#define AT(f) offsetof(struct qonnx, f)
static const struct pare_attr quant_attrs[] = { { "signed", PARE_ATTR_INT, AT(is_signed), 1, 0 },
	{ "narrow", PARE_ATTR_INT, AT(narrow), 0, 0 },
	{ "rounding_mode", PARE_ATTR_STRING, AT(rounding), 0, 0 }, { 0 } };

/* ---- rounding -------------------------------------------------------------------------------- */

static float away_from_zero(float x)
{
	return copysignf(ceilf(fabsf(x)), x);
}

static float half_up(float x)
{
	return copysignf(floorf(fabsf(x) + .5f), x);
}

static float half_down(float x)
{
	return copysignf(ceilf(fabsf(x) - .5f), x);
}

typedef float round_fn(float x);
static round_fn *rounding_of(const char *name, const char *preset)
{
	static const struct {
		const char *name;
		round_fn *fn;
	} row[] = { { "ROUND", rintf }, { "CEIL", ceilf }, { "FLOOR", floorf },
		{ "ROUND_TO_ZERO", truncf }, { "DOWN", truncf }, { "UP", away_from_zero },
		{ "HALF_UP", half_up }, { "HALF_DOWN", half_down } };

	for (size_t i = 0; i < sizeof row / sizeof *row; i++)
		if (!strcasecmp(name ? name : preset, row[i].name))
			return row[i].fn;
	return NULL;
}

static const char *refuse_rounding(const struct pare_node *n, const void *attr)
{
	(void)n;
	return rounding_of(((const struct qonnx *)attr)->rounding, "ROUND")
		       ? NULL
		       : "a rounding_mode that pare does not know";
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* Scales and the like are one number or a list along one axis, of at most `lists` inputs; the rest,
 * numbers of bits, are one. */
static enum pare_status shape_like(const struct pare_shape_call *c, int lists, struct pare_err *err)
{
	int rank = c->in[0]->shape.n, axis;

	for (int i = 0; i < c->n_in; i++) {
		enum pare_status st = op_types(c, i, OP_F32, err);
		const struct pare_shape *s = &c->in[i]->shape;

		if (st)
			return st;
		if (i > lists && pare_shape_elems(s) != 1)
			return pare_fail(err, PARE_E_UNSUPPORTED, "numbers of bits a channel");
		if (i && i <= lists && pare_shape_elems(s) != 1 &&
			(!op_list_axis(s, rank, &axis) ||
				pare_shape_elems(s) != c->in[0]->shape.d[axis]))
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"input %d is more than a list along one axis", i);
	}
	return pare_shape_same(c, err);
}

static enum pare_status shape_quant(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_like(c, 2, err);
}

static enum pare_status shape_bipolar(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_like(c, 1, err);
}

/* Five inputs: all scales are one for the tensor; seven, of the newer form, too. */
static enum pare_status shape_trunc(const struct pare_shape_call *c, struct pare_err *err)
{
	if (c->n_in == 6)
		return pare_fail(err, PARE_E_FORMAT, "has 6 inputs, it takes 5 or 7");
	return shape_like(c, 0, err);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Runs of elements that have the same place along the axis of input i. */
static size_t inner_of(const struct pare_call *c, int i)
{
	const struct pare_shape *s = &c->in[0]->shape;
	int axis;

	if (!op_list_axis(&c->in[i]->shape, s->n, &axis) || axis < 0)
		return op_count(c->in[0]);
	return op_span(s, axis + 1, s->n) * (size_t)c->in[0]->lanes;
}

static float at(const struct pare_call *c, int input, size_t inner, size_t i)
{
	const struct pare_tensor *t = c->in[input];

	return t->f32[inner ? i / inner % (size_t)pare_shape_elems(&t->shape) : 0];
}

/* Codes of `bits` bits; of more than a float can tell apart there are no bounds. */
static void bounds_of(const struct qonnx *a, float bits, float *lo, float *hi)
{
	float half = exp2f(bits - 1);

	*lo = a->is_signed ? (a->narrow ? 1 - half : -half) : 0;
	*hi = a->is_signed ? half - 1 : 2 * half - (a->narrow ? 2 : 1);
}

static void quant_forward(const struct pare_call *c)
{
	const struct qonnx *a = c->attr;
	round_fn *round = rounding_of(a->rounding, "ROUND");
	size_t n = op_count(c->in[0]), by_scale = inner_of(c, 1), by_zero = inner_of(c, 2);
	float bits = c->in[3]->f32[0], lo, hi;

	bounds_of(a, bits, &lo, &hi);
	for (size_t i = 0; i < n; i++) {
		float scale = at(c, 1, by_scale, i), zero = at(c, 2, by_zero, i),
		      q = c->in[0]->f32[i] / scale + zero;

		if (bits == 1 && a->is_signed)
			q = q >= 0 ? 1.f : -1.f;
		else
			q = round(q < lo ? lo : q > hi ? hi : q);
		c->out[0]->f32[i] = (q - zero) * scale;
	}
}

static void bipolar_forward(const struct pare_call *c)
{
	size_t n = op_count(c->in[0]), by_scale = inner_of(c, 1);

	for (size_t i = 0; i < n; i++)
		c->out[0]->f32[i] = (c->in[0]->f32[i] >= 0 ? 1.f : -1.f) * at(c, 1, by_scale, i);
}

/* The older form keeps scale and zero point and has no bounds. */
static void trunc_forward(const struct pare_call *c)
{
	const struct qonnx *a = c->attr;
	round_fn *round = rounding_of(a->rounding, "FLOOR");
	bool newer = c->n_in == 7;
	float scale = c->in[1]->f32[0], zero = c->in[2]->f32[0], lo = -INFINITY, hi = INFINITY,
	      to = newer ? c->in[4]->f32[0] : scale,
	      step = newer ? exp2f(rintf(log2f(to / scale)))
			   : exp2f(c->in[3]->f32[0] - c->in[4]->f32[0]),
	      to_zero = newer ? zero / step : zero;
	size_t n = op_count(c->in[0]);

	if (newer)
		bounds_of(a, c->in[6]->f32[0], &lo, &hi);
	for (size_t i = 0; i < n; i++) {
		float q = rintf(c->in[0]->f32[i] / scale + zero) / step;

		c->out[0]->f32[i] = (round(q < lo ? lo : q > hi ? hi : q) - to_zero) * to;
	}
}

/* ---- grids ----------------------------------------------------------------------------------- */

/* Scales and zeros from inputs 1 and 2, or 1 alone. */
static bool codes_from(const struct pare_codes_call *g, bool zeros, struct pare_codes *x)
{
	const struct pare_known *scale = g->c->in[1], *zero = zeros ? g->c->in[2] : NULL;
	int64_t n_scale = pare_shape_elems(&scale->shape),
		n_zero = zero ? pare_shape_elems(&zero->shape) : 1;
	int axis, rank = g->c->in[0]->shape.n, *z;
	float *s;

	if (!scale->value || scale->dtype != PARE_F32 ||
		(zero && (!zero->value || zero->dtype != PARE_F32)) || n_scale < 1 || n_zero < 1)
		return false;
	x->axis = -1;
	if (n_scale > 1 && !op_list_axis(&scale->shape, rank, &x->axis))
		return false;
	if (n_zero > 1 && (!op_list_axis(&zero->shape, rank, &axis) ||
				  (n_scale > 1 && (axis != x->axis || n_zero != n_scale))))
		return false;
	if (n_zero > 1)
		x->axis = axis;
	x->n = n_scale > n_zero ? n_scale : n_zero;
	if (!op_codes_new(g->a, x, &s, &z))
		return false;
	for (int64_t i = 0; i < x->n; i++) {
		float v = zero ? zero->value->f32[n_zero > 1 ? i : 0] : 0;

		if (!(fabsf(v) < 0x1p16f) || rintf(v) != v)
			return false;
		s[i] = scale->value->f32[n_scale > 1 ? i : 0];
		z[i] = (int)v;
	}
	return true;
}

static bool codes_quant(const struct pare_codes_call *g, struct pare_codes *out)
{
	const struct pare_shape_call *c = g->c;
	const struct qonnx *a = c->attr;
	const struct pare_tensor *bits = c->in[3]->value;
	struct pare_codes x = { .axis = -1 };
	float lo, hi;

	if (!bits || bits->dtype != PARE_F32 || pare_shape_elems(&bits->shape) != 1 ||
		!(bits->f32[0] >= 1) || !(bits->f32[0] <= 16) || !codes_from(g, true, &x))
		return false;
	bounds_of(a, bits->f32[0], &lo, &hi);
	if (bits->f32[0] == 1 && a->is_signed) { /* -1 and 1, but no rounding to the nearest */
		if (!c->in[0]->value)
			return false;
		lo = -1;
		hi = 1;
	}
	if (!c->in[0]->value && rounding_of(a->rounding, "ROUND") != rintf)
		return false;
	x.lo = (int)ceilf(lo);
	x.hi = (int)floorf(hi);
	*out = x;
	return true;
}

static bool codes_bipolar(const struct pare_codes_call *g, struct pare_codes *out)
{
	struct pare_codes x = { .lo = -1, .hi = 1 };

	if (!codes_from(g, false, &x))
		return false;
	*out = x;
	return true;
}

/* clang-format off */
#define ROW(n, d, least, most, sh, fw, ...)                                                        \
	{ .name = n, .domain = d, .since = 1, .min_in = least, .max_in = most,                     \
	  .attrs = quant_attrs, .attr_size = sizeof(struct qonnx), .refuse = refuse_rounding,      \
	  .shape = sh, .forward = fw, .plain = 126, .flow = PARE_FLOW_TIE, __VA_ARGS__ }
#define QUANT(n, d)                                                                                \
	ROW(n, d, 4, 4, shape_quant, quant_forward, .coding = PARE_CODING_ROUND,                   \
	    .codes = codes_quant,                                                                    \
	    .sample = "f32[1,3,2,5] f32=0.1 f32=0 f32=4|"                                          \
		      "f32[1,3,2,5] f32+[1,3,1,1]! f32=3 f32=2 signed=0 narrow=1|"                 \
		      "f32[1,3,5] f32=0.3 f32=0 f32=1 rounding_mode=FLOOR")
#define QONNX(d)                                                                                   \
	QUANT("Quant", d), QUANT("IntQuant", d),                                                   \
	ROW("BipolarQuant", d, 2, 2, shape_bipolar, bipolar_forward, .codes = codes_bipolar,         \
	    .sample = "f32[1,3,2,5] f32=0.5|f32[1,3,5] f32+[3,1]!"),                               \
	ROW("Trunc", d, 5, 7, shape_trunc, trunc_forward,                                          \
	    .sample = "f32[1,3,2,5] f32=0.1 f32=0 f32=8 f32=4|"                                    \
		      "f32[1,3,5] f32=0.1 f32=0 f32=8 f32=0.4 f32=0 f32=4 rounding_mode=ROUND")
const struct pare_op pare_ops_qonnx[] = {
	QONNX("qonnx.custom_op.general"), QONNX("onnx.brevitas"),
	{ 0 } };
/* clang-format on */
