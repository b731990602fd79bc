/* Normalizations: numbers are taken along some axes, the rest lies beside them.  [outer][n][inner],
 * the lanes being part of `inner`. */
#include "../graph/model.h"
#include "../run/kernels.h"
#include "curves.h"
#include <math.h>

struct norm {
	float epsilon, alpha, beta, bias, momentum;
	int64_t axis, size, spatial, training;
	int64_t flat; /* axes from `axis` on count as one: before opset 13 */
};
#define NUMBER(n, f, v)                                                                            \
	{                                                                                          \
		n, PARE_ATTR_FLOAT, offsetof(struct norm, f), v, 0                                 \
	}
#define COUNT(n, f, v)                                                                             \
	{                                                                                          \
		n, PARE_ATTR_INT, offsetof(struct norm, f), v, 0                                   \
	}
enum { NO_AXIS = -1000 }; /* its default depends on the opset */

static const struct pare_attr batch_attrs[] = { NUMBER("epsilon", epsilon, 1e-5),
	NUMBER("momentum", momentum, 0.9), COUNT("spatial", spatial, 1), COUNT("is_test", size, 1),
	COUNT("training_mode", training, 0), { 0 } };
static const struct pare_attr instance_attrs[] = { NUMBER("epsilon", epsilon, 1e-5), { 0 } };
static const struct pare_attr layer_attrs[] = { NUMBER("epsilon", epsilon, 1e-5),
	COUNT("axis", axis, -1), COUNT("stash_type", size, 1), { 0 } };
static const struct pare_attr lrn_attrs[] = { NUMBER("alpha", alpha, 1e-4),
	NUMBER("beta", beta, 0.75), NUMBER("bias", bias, 1), COUNT("size", size, 0), { 0 } };
static const struct pare_attr soft_attrs[] = { COUNT("axis", axis, NO_AXIS), { 0 } };

/* ---- per channel ---------------------------------------------------------------------------- */

static enum pare_status
per_channel(const struct pare_shape_call *c, int from, int to, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (st)
		return st;
	if (x->n < 2)
		return pare_fail(err, PARE_E_FORMAT, "input has no channel axis");
	for (int i = from; i < to; i++) {
		st = op_types(c, i, OP_F32, err);
		if (st)
			return st;
		if (pare_shape_elems(&c->in[i]->shape) != x->d[1])
			return pare_fail(
				err, PARE_E_FORMAT, "input %d is not one number a channel", i);
	}
	return pare_shape_same(c, err);
}

static enum pare_status shape_batch(const struct pare_shape_call *c, struct pare_err *err)
{
	return per_channel(c, 1, 5, err);
}

static const char *refuse_batch(const struct pare_node *n, const void *attr)
{
	const struct norm *a = attr;

	(void)n;
	if (a->training)
		return "it is in training mode";
	return a->spatial ? NULL : "its statistics are not per channel (spatial = 0)";
}

OP_HOT static void scale_and_shift(const float *x, size_t n, float scale, float shift, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = x[i] * scale + shift;
}

static bool
batch_affine(const struct pare_shape_call *c, int64_t channels, float *scale, float *shift)
{
	const struct norm *a = c->attr;

	for (int i = 1; i < 5; i++)
		if (!c->in[i]->value || pare_shape_elems(&c->in[i]->shape) != channels)
			return false;
	for (int64_t i = 0; i < channels; i++) {
		double s = c->in[1]->value->f32[i] /
			   sqrt((double)c->in[4]->value->f32[i] + a->epsilon);

		scale[i] = (float)s;
		shift[i] = (float)(c->in[2]->value->f32[i] - c->in[3]->value->f32[i] * s);
	}
	return true;
}

static void batch_forward(const struct pare_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	size_t channels = (size_t)s->d[1], n = op_span(s, 2, s->n) * (size_t)c->lanes;
	size_t planes = op_span(s, 0, 2);
	const float *gamma = c->in[1]->f32, *beta = c->in[2]->f32, *mean = c->in[3]->f32;
	const float *var = c->in[4]->f32;

	for (size_t i = 0; i < planes; i++) {
		size_t ch = i % channels;
		float scale = gamma[ch] / sqrtf(var[ch] + a->epsilon);

		scale_and_shift(c->in[0]->f32 + i * n, n, scale, beta[ch] - mean[ch] * scale,
			c->out[0]->f32 + i * n);
	}
}

/* ---- statistics ----------------------------------------------------------------------------- */

/* Mean and 1 / deviation of `n` numbers, `step` apart. */
static void moments(const float *x, size_t n, size_t step, float epsilon, float *mean, float *inv)
{
	double sum = 0, square = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i * step];
	sum /= (double)n;
	for (size_t i = 0; i < n; i++) {
		double d = x[i * step] - sum;

		square += d * d;
	}
	*mean = (float)sum;
	*inv = (float)(1 / sqrt(square / (double)n + epsilon));
}

static enum pare_status shape_instance(const struct pare_shape_call *c, struct pare_err *err)
{
	return per_channel(c, 1, 3, err);
}

static void instance_forward(const struct pare_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	size_t channels = (size_t)s->d[1], n = op_span(s, 2, s->n), lanes = (size_t)c->lanes;
	size_t planes = op_span(s, 0, 2);

	for (size_t p = 0; p < planes; p++)
		for (size_t l = 0; l < lanes; l++) {
			const float *x = c->in[0]->f32 + p * n * lanes + l;
			float *out = c->out[0]->f32 + p * n * lanes + l;
			float mean, inv, scale, shift;

			moments(x, n, lanes, a->epsilon, &mean, &inv);
			scale = c->in[1]->f32[p % channels] * inv;
			shift = c->in[2]->f32[p % channels] - mean * scale;
			for (size_t i = 0; i < n; i++)
				out[i * lanes] = x[i * lanes] * scale + shift;
		}
}

static enum pare_status shape_layer(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct norm *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	enum pare_status st = op_types(c, 0, OP_F32, err);
	int axis = 0;

	if (!st)
		st = pare_axis(a->axis, x->n, &axis, err);
	for (int i = 1; !st && i < 3; i++)
		if (op_has(c, i) &&
			pare_shape_elems(&c->in[i]->shape) != pare_shape_span(x, axis, x->n))
			st = pare_fail(err, PARE_E_UNSUPPORTED,
				"input %d is not of the normalized shape", i);
	if (st)
		return st;
	st = pare_shape_same(c, err);
	for (int o = 1; o < c->n_out; o++) { /* mean and 1 / deviation */
		c->out[o].dtype = PARE_F32;
		c->out[o].shape = *x;
		for (int k = axis; k < x->n; k++)
			c->out[o].shape.d[k] = 1;
	}
	return st;
}

enum { SIDE = 16 }; /* columns, or parts of one, side by side */

/* A row of `width` columns side by side, `step` apart; mean and inv: of each. */
OP_INLINE void layer_columns(const float *x, size_t n, size_t step, float epsilon,
	const float *gamma, const float *beta, float *out, float *mean, float *inv, const int width)
{
	double sum[SIDE] = { 0 }, square[SIDE] = { 0 };

	for (size_t i = 0; i < n; i++)
		for (int l = 0; l < width; l++)
			sum[l] += x[i * step + l];
	for (int l = 0; l < width; l++)
		sum[l] /= (double)n;
	for (size_t i = 0; i < n; i++)
		for (int l = 0; l < width; l++) {
			double d = x[i * step + l] - sum[l];

			square[l] += d * d;
		}
	for (int l = 0; l < width; l++) {
		mean[l] = (float)sum[l];
		inv[l] = (float)(1 / sqrt(square[l] / (double)n + epsilon));
	}
	for (size_t i = 0; i < n; i++)
		for (int l = 0; l < width; l++)
			out[i * step + l] = (x[i * step + l] - mean[l]) * inv[l] * gamma[i] +
					    (beta ? beta[i] : 0);
}

/* One column that lies in a row. */
OP_HOT static void layer_row(const float *x, size_t n, float epsilon, const float *gamma,
	const float *beta, float *out, float *mean, float *inv)
{
	double sum[SIDE] = { 0 }, square[SIDE] = { 0 }, all = 0, spread = 0;
	size_t whole = n / SIDE * SIDE;

	for (size_t i = 0; i < whole; i += SIDE)
		for (int l = 0; l < SIDE; l++)
			sum[l] += x[i + l];
	for (size_t i = whole; i < n; i++)
		all += x[i];
	for (int l = 0; l < SIDE; l++)
		all += sum[l];
	all /= (double)n;
	for (size_t i = 0; i < whole; i += SIDE)
		for (int l = 0; l < SIDE; l++)
			square[l] += (x[i + l] - all) * (x[i + l] - all);
	for (size_t i = whole; i < n; i++)
		spread += (x[i] - all) * (x[i] - all);
	for (int l = 0; l < SIDE; l++)
		spread += square[l];
	*mean = (float)all;
	*inv = (float)(1 / sqrt(spread / (double)n + epsilon));
	for (size_t i = 0; i < n; i++)
		out[i] = (x[i] - *mean) * *inv * gamma[i] + (beta ? beta[i] : 0);
}

OP_HOT static void layer_lanes(const float *x, size_t n, size_t lanes, float epsilon,
	const float *gamma, const float *beta, float *out, float *mean, float *inv)
{
	if (lanes == SIDE)
		layer_columns(x, n, SIDE, epsilon, gamma, beta, out, mean, inv, SIDE);
	else
		for (size_t l = 0; l < lanes; l += 4) /* 4 or 8 */
			layer_columns(x + l, n, lanes, epsilon, gamma, beta, out + l, mean + l,
				inv + l, 4);
}

static void layer_forward(const struct pare_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t outer = op_span(s, 0, axis), n = op_span(s, axis, s->n), lanes = (size_t)c->lanes;
	const float *gamma = c->in[1]->f32, *beta = op_given(c, 2) ? c->in[2]->f32 : NULL;

	for (size_t p = 0; p < outer; p++) {
		const float *x = c->in[0]->f32 + p * n * lanes;
		float *out = c->out[0]->f32 + p * n * lanes, mean[SIDE], inv[SIDE];

		if (lanes == 1)
			layer_row(x, n, a->epsilon, gamma, beta, out, mean, inv);
		else
			layer_lanes(x, n, lanes, a->epsilon, gamma, beta, out, mean, inv);
		if (c->n_out > 1 && c->out[1])
			memcpy(c->out[1]->f32 + p * lanes, mean, lanes * sizeof *mean);
		if (c->n_out > 2 && c->out[2])
			memcpy(c->out[2]->f32 + p * lanes, inv, lanes * sizeof *inv);
	}
}

/* Row by row; not where it gives mean and deviation too. */
static int layer_apart(const struct pare_call *c, int *axes)
{
	const struct norm *a = c->attr;

	for (int i = 0; i < c->n_in; i++)
		axes[i] = 0;
	return c->n_out > 1 ? 0 : (axes[0] = op_axis(a->axis, c->in[0]->shape.n));
}

/* ---- across channels ------------------------------------------------------------------------ */

static enum pare_status shape_lrn(const struct pare_shape_call *c, struct pare_err *err)
{
	return per_channel(c, 0, 0, err);
}

static const char *refuse_lrn(const struct pare_node *n, const void *attr)
{
	const struct norm *a = attr;

	(void)n;
	return a->size > 0 && a->size < 1 << 20 ? NULL : "its size is not positive";
}

static void lrn_forward(const struct pare_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int64_t channels = s->d[1], before = (a->size - 1) / 2, after = a->size - 1 - before;
	size_t n = op_span(s, 2, s->n) * (size_t)c->lanes, planes = op_span(s, 0, 2);

	for (size_t p = 0; p < planes; p++) {
		int64_t ch = (int64_t)p % channels;
		int64_t from = ch < before ? -ch : -before;
		int64_t to = ch + after < channels ? after : channels - 1 - ch;
		const float *x = c->in[0]->f32 + p * n;
		float *out = c->out[0]->f32 + p * n;

		for (size_t i = 0; i < n; i++) {
			float sum = 0;

			for (int64_t k = from; k <= to; k++) {
				float v = x[(ptrdiff_t)i + k * (ptrdiff_t)n];

				sum += v * v;
			}
			out[i] = x[i] / powf(a->bias + a->alpha / (float)a->size * sum, a->beta);
		}
	}
}

/* ---- Softmax and its kin -------------------------------------------------------------------- */

/* Before opset 13 the axes from `axis` (then 1 by default) on counted as one. */
static enum pare_status upgrade_soft(struct pare_node *n, int opset, struct pare_err *err)
{
	struct norm *a = n->attr;

	(void)err;
	if (opset < 13) {
		a->flat = 1;
		if (a->axis == NO_AXIS)
			a->axis = 1;
	}
	return PARE_OK;
}

static int64_t soft_axis(const struct norm *a)
{
	return a->axis == NO_AXIS ? -1 : a->axis;
}

static enum pare_status shape_soft(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct norm *a = c->attr;
	int axis, rank = c->in[0]->shape.n;
	enum pare_status st = op_types(c, 0, OP_F32, err);

	if (!st && !(a->flat && soft_axis(a) == rank)) /* a flat axis may be past the last */
		st = pare_axis(soft_axis(a), rank, &axis, err);
	return st ? st : pare_shape_same(c, err);
}

/* Several axes that count as one cannot be said any more, unless all but one have length 1. */
static bool writable_soft(const struct pare_shape_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = 0;

	if (!a->flat || soft_axis(a) == s->n || pare_axis(soft_axis(a), s->n, &axis, NULL))
		return !a->flat;
	return pare_shape_span(s, axis + 1, s->n) == 1;
}

/* [outer][n][inner], as the axis cuts it. */
struct cut {
	size_t outer, n, inner;
};
static struct cut cut_at(const struct pare_call *c)
{
	const struct norm *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(soft_axis(a), s->n);
	int end = a->flat ? s->n : axis + 1;

	return (struct cut){ op_span(s, 0, axis), op_span(s, axis, end),
		op_span(s, end, s->n) * (size_t)c->lanes };
}

/* e^(x - max) / sum, or its logarithm, of `width` columns that lie side by side: rows `step`
 * apart. */
OP_INLINE void soft_columns(pare_curve_fn *exponentials, const float *x, size_t n, size_t step,
	bool log, float *out, const int width)
{
	float max[SIDE], sum[SIDE] = { 0 };

	for (int l = 0; l < width; l++)
		max[l] = x[l];
	for (size_t i = 1; i < n; i++)
		for (int l = 0; l < width; l++)
			max[l] = x[i * step + l] > max[l] ? x[i * step + l] : max[l];
	for (size_t i = 0; i < n; i++)
		for (int l = 0; l < width; l++)
			out[i * step + l] = x[i * step + l] - max[l];
	for (size_t i = 0; i < n && log; i++)
		for (int l = 0; l < width; l++)
			sum[l] += op_exp(out[i * step + l]);
	if (!log && step == (size_t)width)
		exponentials(out, out, n * step);
	else if (!log)
		for (size_t i = 0; i < n; i++)
			exponentials(out + i * step, out + i * step, (size_t)width);
	for (size_t i = 0; i < n && !log; i++)
		for (int l = 0; l < width; l++)
			sum[l] += out[i * step + l];
	for (int l = 0; l < width; l++)
		sum[l] = log ? logf(sum[l]) : 1 / sum[l];
	for (size_t i = 0; i < n; i++)
		for (int l = 0; l < width; l++)
			out[i * step + l] =
				log ? out[i * step + l] - sum[l] : out[i * step + l] * sum[l];
}

/* One column that lies in a row. */
OP_INLINE void soft_row(pare_curve_fn *exponentials, const float *x, size_t n, bool log, float *out)
{
	size_t whole = n / SIDE * SIDE;
	float max[SIDE], sum[SIDE] = { 0 }, most = x[0], all = 0;

	for (int l = 0; l < SIDE; l++)
		max[l] = x[0];
	for (size_t i = 0; i < whole; i += SIDE)
		for (int l = 0; l < SIDE; l++)
			max[l] = x[i + l] > max[l] ? x[i + l] : max[l];
	for (int l = 0; l < SIDE; l++)
		most = max[l] > most ? max[l] : most;
	for (size_t i = whole; i < n; i++)
		most = x[i] > most ? x[i] : most;
	for (size_t i = 0; i < n; i++)
		out[i] = x[i] - most;
	exponentials(out, out, n);
	for (size_t i = 0; i < whole; i += SIDE)
		for (int l = 0; l < SIDE; l++)
			sum[l] += out[i + l];
	for (int l = 0; l < SIDE; l++)
		all += sum[l];
	for (size_t i = whole; i < n; i++)
		all += out[i];
	all = log ? logf(all) : 1 / all;
	for (size_t i = 0; i < n; i++)
		out[i] = log ? x[i] - most - all : out[i] * all;
}

OP_HOT static void soft(const struct pare_call *c, bool log)
{
	struct cut k = cut_at(c);
	const float *x = c->in[0]->f32;
	float *out = c->out[0]->f32;
	pare_curve_fn *e = pare_kernels_best()->curve[PARE_EXP];

	for (size_t o = 0; o < k.outer && k.n; o++, x += k.n * k.inner, out += k.n * k.inner) {
		size_t i = 0;

		if (k.inner == 1) {
			soft_row(e, x, k.n, log, out);
			continue;
		}
		for (; i + SIDE <= k.inner; i += SIDE)
			soft_columns(e, x + i, k.n, k.inner, log, out + i, SIDE);
		for (; i + 4 <= k.inner; i += 4)
			soft_columns(e, x + i, k.n, k.inner, log, out + i, 4);
		for (; i < k.inner; i++)
			soft_columns(e, x + i, k.n, k.inner, log, out + i, 1);
	}
}

/* Nothing stays apart along the axis that adds up to one. */
static int carry_soft(const struct pare_shape_call *c, int axis)
{
	const struct norm *a = c->attr;

	return axis == op_axis(a->axis, c->in[0]->shape.n) ? -1 : axis;
}

static int soft_apart(const struct pare_call *c, int *axes)
{
	const struct norm *a = c->attr;

	return axes[0] = op_axis(soft_axis(a), c->in[0]->shape.n);
}

static void softmax_forward(const struct pare_call *c)
{
	soft(c, false);
}

static void log_softmax_forward(const struct pare_call *c)
{
	soft(c, true);
}

static void hardmax_forward(const struct pare_call *c)
{
	struct cut k = cut_at(c);

	for (size_t o = 0; o < k.outer && k.n; o++)
		for (size_t i = 0; i < k.inner; i++) {
			const float *x = c->in[0]->f32 + o * k.n * k.inner + i;
			float *out = c->out[0]->f32 + o * k.n * k.inner + i;
			size_t best = 0;

			for (size_t j = 1; j < k.n; j++)
				best = x[j * k.inner] > x[best * k.inner] ? j : best;
			for (size_t j = 0; j < k.n; j++)
				out[j * k.inner] = j == best;
		}
}

/* clang-format off */
#define SOFT(n, fw)                                                                                \
	{ .name = n, .since = 13, .min_in = 1, .max_in = 1, .attrs = soft_attrs,                   \
	  .attr_size = sizeof(struct norm), .upgrade = upgrade_soft, .writable = writable_soft, .shape = shape_soft,          \
	  .forward = fw, .flow = PARE_FLOW_PASS, .carry = carry_soft, .apart = soft_apart,                 \
	  .sample = "f32[1,4,3] axis=1|f32[1,9]" }
const struct pare_op pare_ops_norm[] = {
	{ .name = "BatchNormalization", .since = 9, .min_in = 5, .max_in = 5, .attrs = batch_attrs,
	  .attr_size = sizeof(struct norm), .refuse = refuse_batch, .shape = shape_batch,
	  .forward = batch_forward, .plain = 0x1e, .per_channel = 0x1e, .affine = batch_affine, .normal = true,
	  .flow = PARE_FLOW_PASS, .carry = op_carry_channels, .quant = PARE_Q_FUSE,
	  .sample = "f32[1,3,2,5] f32[3]! f32[3]! f32[3]! f32+[3]!" },
	{ .name = "InstanceNormalization", .since = 6, .min_in = 3, .max_in = 3,
	  .attrs = instance_attrs, .attr_size = sizeof(struct norm), .shape = shape_instance,
	  .forward = instance_forward, .plain = 6, .per_channel = 6, .flow = PARE_FLOW_PASS,
	  .carry = op_carry_channels, .sample = "f32[1,3,2,5] f32[3]! f32[3]!" },
	{ .name = "LayerNormalization", .since = 17, .min_in = 2, .max_in = 3, .max_out = 3,
	  .attrs = layer_attrs, .attr_size = sizeof(struct norm), .shape = shape_layer,
	  .forward = layer_forward, .apart = layer_apart, .plain = 6, .stays = 6, .rows = true,
	  .sample = "f32[1,3,4] f32[4]! f32[4]! axis=-1|f32[1,3,4] f32[3,4]! axis=1 outputs=3" },
	{ .name = "LRN", .since = 1, .min_in = 1, .max_in = 1, .attrs = lrn_attrs,
	  .attr_size = sizeof(struct norm), .refuse = refuse_lrn, .shape = shape_lrn,
	  .forward = lrn_forward, .sample = "f32[1,5,2,3] size=3 alpha=0.5" },
	SOFT("Softmax", softmax_forward),
	SOFT("LogSoftmax", log_softmax_forward),
	SOFT("Hardmax", hardmax_forward),
	{ 0 } };
/* clang-format on */
