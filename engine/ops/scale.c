/* More normalizations and gates, for any float. */
#include "../graph/model.h"
#include "curves.h"
#include <math.h>

struct scale {
	float epsilon, alpha;
	int64_t axis, p, groups, stash;
	struct pare_ints axes;
};
#define AT(f) offsetof(struct scale, f)
static const struct pare_attr rms_attrs[] = { { "epsilon", PARE_ATTR_FLOAT, AT(epsilon), 1e-5, 0 },
	{ "axis", PARE_ATTR_INT, AT(axis), -1, 0 },
	{ "stash_type", PARE_ATTR_INT, AT(stash), 1, 0 }, { 0 } };
static const struct pare_attr group_attrs[] = { { "epsilon", PARE_ATTR_FLOAT, AT(epsilon), 1e-5,
							0 },
	{ "num_groups", PARE_ATTR_INT, AT(groups), 0, 0 },
	{ "stash_type", PARE_ATTR_INT, AT(stash), 1, 0 }, { 0 } };
static const struct pare_attr mean_attrs[] = { { "axes", PARE_ATTR_INTS, AT(axes), 0, 0 }, { 0 } };
static const struct pare_attr lp_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), -1, 0 },
	{ "p", PARE_ATTR_INT, AT(p), 2, 0 }, { 0 } };
static const struct pare_attr swish_attrs[] = { { "alpha", PARE_ATTR_FLOAT, AT(alpha), 1, 0 },
	{ 0 } };

static enum pare_status reals(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	for (int i = 0; i < c->n_in && !st; i++)
		st = op_types(c, i, OP_REALS, err);
	return st ? st : pare_shape_same(c, err);
}

/* ---- RMSNormalization, GroupNormalization --------------------------------------------------- */

/* Where element i of [axes of x] reads a tensor that broadcasts to it from the right. */
static size_t reads(const struct pare_shape *x, const struct pare_shape *s, size_t i)
{
	size_t from = 0, step = 1;

	for (int k = 1; k <= s->n; k++) {
		size_t d = (size_t)s->d[s->n - k], at = i % (size_t)x->d[x->n - k];

		i /= (size_t)x->d[x->n - k];
		from += d == 1 ? 0 : at * step;
		step *= d;
	}
	return from;
}

static enum pare_status shape_rms(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scale *a = c->attr;
	struct pare_shape s;
	int axis;
	enum pare_status st = reals(c, err);

	if (!st)
		st = op_axis_of(c, a->axis, &axis, err);
	if (!st && (!pare_shape_broadcast(&c->in[0]->shape, &c->in[1]->shape, &s) ||
			   !pare_shape_equal(&s, &c->in[0]->shape)))
		st = pare_fail(err, PARE_E_FORMAT, "the scale does not fit the input");
	if (!st)
		c->out[0].dtype = c->in[1]->dtype;
	return st;
}

static void rms_one(const struct pare_call *c)
{
	const struct scale *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t outer = op_span(s, 0, axis), n = op_span(s, axis, s->n);

	for (size_t o = 0; o < outer; o++) {
		const float *x = c->in[0]->f32 + o * n;
		double sum = 0;
		float inv;

		for (size_t i = 0; i < n; i++)
			sum += (double)x[i] * x[i];
		inv = (float)(1 / sqrt(sum / (double)n + a->epsilon));
		for (size_t i = 0; i < n; i++)
			c->out[0]->f32[o * n + i] =
				x[i] * inv * c->in[1]->f32[reads(s, &c->in[1]->shape, o * n + i)];
	}
}
OP_BY_LANE(rms)

static enum pare_status shape_group(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scale *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = reals(c, err);

	if (!st && (x->n < 2 || a->groups < 1 || x->d[1] % a->groups))
		st = pare_fail(err, PARE_E_FORMAT, "the channels do not fall into %lld groups",
			(long long)a->groups);
	for (int i = 1; i < 3 && !st; i++) { /* before opset 21 a number a group */
		int64_t n = pare_shape_elems(&c->in[i]->shape);

		if (n != x->d[1] && n != a->groups)
			st = pare_fail(
				err, PARE_E_FORMAT, "input %d is not one number a channel", i);
	}
	return st;
}

static float of_channel(const struct pare_tensor *t, int64_t channel, int64_t channels)
{
	return t->f32[channel / (channels / pare_shape_elems(&t->shape))];
}

static void group_one(const struct pare_call *c)
{
	const struct scale *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int64_t channels = s->d[1], each = channels / a->groups;
	size_t inner = op_span(s, 2, s->n), n = (size_t)each * inner;

	for (int64_t g = 0; g < s->d[0] * a->groups; g++) {
		const float *x = c->in[0]->f32 + (size_t)g * n;
		float *out = c->out[0]->f32 + (size_t)g * n;
		double mean = 0, square = 0, inv;

		for (size_t i = 0; i < n; i++)
			mean += x[i];
		mean /= (double)n;
		for (size_t i = 0; i < n; i++)
			square += (x[i] - mean) * (x[i] - mean);
		inv = 1 / sqrt(square / (double)n + a->epsilon);
		for (size_t i = 0; i < n; i++) {
			int64_t ch = g % a->groups * each + (int64_t)(i / inner);

			out[i] = (float)((x[i] - mean) * inv) * of_channel(c->in[1], ch, channels) +
				 of_channel(c->in[2], ch, channels);
		}
	}
}
OP_BY_LANE(group)

/* ---- MeanVarianceNormalization, LpNormalization --------------------------------------------- */

static unsigned axes_of(const struct scale *a, int rank)
{
	unsigned set = 0;

	for (int i = 0; i < a->axes.n; i++)
		set |= 1u << op_axis(a->axes.v[i], rank);
	return a->axes.n ? set : 0xd; /* batch and space */
}

static enum pare_status shape_mean(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scale *a = c->attr;
	unsigned set;
	enum pare_status st = reals(c, err);

	if (!st && a->axes.n)
		st = op_axes(a->axes.v, a->axes.n, c->in[0]->shape.n, &set, err);
	return st;
}

/* The group of element i: its index along the axes that are not normalized over. */
static size_t group_of(const struct pare_shape *s, unsigned set, size_t i)
{
	size_t group = 0, step = 1;

	for (int k = s->n; k-- > 0; i /= (size_t)s->d[k])
		if (!(set & 1u << k)) {
			group += i % (size_t)s->d[k] * step;
			step *= (size_t)s->d[k];
		}
	return group;
}

static size_t scratch_mean(const struct pare_call *c)
{
	return op_lanes_scratch(c) + 3 * op_count(c->in[0]) * sizeof(double);
}

static void mean_one(const struct pare_call *c)
{
	const struct pare_shape *s = &c->in[0]->shape;
	unsigned set = axes_of(c->attr, s->n);
	size_t n = op_count(c->in[0]);
	double *mean = c->scratch, *square = mean + n, *count = square + n;
	const float *x = c->in[0]->f32;

	for (size_t i = 0; i < n; i++)
		mean[i] = square[i] = count[i] = 0;
	for (size_t i = 0; i < n; i++) {
		size_t g = group_of(s, set, i);

		mean[g] += x[i];
		square[g] += (double)x[i] * x[i];
		count[g]++;
	}
	for (size_t i = 0; i < n; i++) {
		size_t g = group_of(s, set, i);
		double m = mean[g] / count[g], var = square[g] / count[g] - m * m;

		c->out[0]->f32[i] = (float)((x[i] - m) / (sqrt(var < 0 ? 0 : var) + 1e-9));
	}
}
OP_BY_LANE(mean)

static enum pare_status shape_lp(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct scale *a = c->attr;
	int axis;
	enum pare_status st = reals(c, err);

	return st ? st : op_axis_of(c, a->axis, &axis, err);
}

static const char *refuse_lp(const struct pare_node *n, const void *attr)
{
	const struct scale *a = attr;

	(void)n;
	return a->p == 1 || a->p == 2 ? NULL : "its p";
}

static void lp_one(const struct pare_call *c)
{
	const struct scale *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t inner = op_span(s, axis + 1, s->n), n = (size_t)s->d[axis];
	size_t columns = op_span(s, 0, axis) * inner;

	for (size_t i = 0; i < columns; i++) {
		size_t from = i / inner * n * inner + i % inner;
		double sum = 0;

		for (size_t j = 0; j < n; j++) {
			double v = c->in[0]->f32[from + j * inner];

			sum += a->p == 1 ? fabs(v) : v * v;
		}
		sum = a->p == 1 ? sum : sqrt(sum);
		for (size_t j = 0; j < n; j++)
			c->out[0]->f32[from + j * inner] =
				sum == 0 ? 0 : (float)(c->in[0]->f32[from + j * inner] / sum);
	}
}
OP_BY_LANE(lp)

/* ---- gates ---------------------------------------------------------------------------------- */

OP_HOT static void swish(const float *x, size_t n, float alpha, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = x[i] * op_logistic(alpha * x[i]);
}

static void swish_forward(const struct pare_call *c)
{
	const struct scale *a = c->attr;

	swish(c->in[0]->f32, op_count(c->out[0]), a->alpha, c->out[0]->f32);
}

static enum pare_status shape_gate(const struct pare_shape_call *c, struct pare_err *err)
{
	enum pare_status st = reals(c, err);

	if (!st && !pare_shape_equal(&c->in[0]->shape, &c->in[1]->shape))
		st = pare_fail(err, PARE_E_FORMAT, "gate and value differ in shape");
	return st;
}

static void gate_forward(const struct pare_call *c)
{
	size_t n = op_count(c->out[0]);

	swish_forward(c);
	for (size_t i = 0; i < n; i++)
		c->out[0]->f32[i] *= c->in[1]->f32[i];
}

/* clang-format off */
#define SCALE(n, v, in, at, sh, fw, scr, ...)                                                      \
	{ .name = n, .since = v, .min_in = in, .max_in = in, .attrs = at,                          \
	  .attr_size = sizeof(struct scale), .shape = sh, .forward = fw, .scratch = scr,           \
	  __VA_ARGS__ }
const struct pare_op pare_ops_scale[] = {
	SCALE("RMSNormalization", 23, 2, rms_attrs, shape_rms, rms_forward,
	      op_lanes_scratch, .sample = "f32[1,3,4] f32[4]!|f32[1,3,4] f32[3,4]! axis=1"),
	SCALE("GroupNormalization", 21, 3, group_attrs, shape_group, group_forward,
	      op_lanes_scratch, .sample = "f32[1,4,3] f32[4]! f32[4]! num_groups=2"),
	SCALE("MeanVarianceNormalization", 13, 1, mean_attrs, shape_mean, mean_forward,
	      scratch_mean, .sample = "f32[1,3,2,5]|f32[1,3,4] axes=1,-1"),
	SCALE("LpNormalization", 1, 1, lp_attrs, shape_lp, lp_forward, op_lanes_scratch,
	      .refuse = refuse_lp, .sample = "f32[1,3,4]|f32[1,3,4] axis=1 p=1"),
	SCALE("Swish", 24, 1, swish_attrs, reals, swish_forward, NULL,
	      .flow = PARE_FLOW_PASS, .quant = PARE_Q_FUSE, .sample = "f32[1,3,4] alpha=0.5"),
	SCALE("SwiGLU", 28, 2, swish_attrs, shape_gate, gate_forward, NULL,
	      .flow = PARE_FLOW_TIE, .sample = "f32[1,3,4] f32[1,3,4]"),
	{ 0 } };
/* clang-format on */
