/* Losses that inference graphs carry along: input [N, C, d…], labels [N, d…], weights [C]. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

enum { IGNORE_NONE = -1000000 };

struct loss {
	const char *reduction;
	int64_t ignore;
};
static const struct pare_attr loss_attrs[] = { { "reduction", PARE_ATTR_STRING,
						       offsetof(struct loss, reduction), 0, 0 },
	{ "ignore_index", PARE_ATTR_INT, offsetof(struct loss, ignore), IGNORE_NONE, 0 }, { 0 } };

static bool by_element(const struct loss *a)
{
	return op_word(a->reduction, "mean", "none");
}

static const char *refuse_loss(const struct pare_node *n, const void *attr)
{
	const struct loss *a = attr;

	(void)n;
	return by_element(a) || op_word(a->reduction, "mean", "mean") ||
			       op_word(a->reduction, "mean", "sum")
		       ? NULL
		       : "its reduction";
}

static enum pare_status shape_loss(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape, *t = &c->in[1]->shape;
	enum pare_status st = op_types(c, 0, OP_REALS, err);
	bool fits = x->n >= 2 && t->n == x->n - 1 && x->d[0] == t->d[0] && x->d[1] > 0;

	if (!st)
		st = op_types(c, 1, OP_T(PARE_I32) | OP_T(PARE_I64), err);
	for (int k = 2; k < x->n; k++)
		fits = fits && x->d[k] == t->d[k - 1];
	if (!st && op_has(c, 2))
		st = op_types(c, 2, OP_T(c->in[0]->dtype), err);
	if (!st && (!fits || (op_has(c, 2) && pare_shape_elems(&c->in[2]->shape) != x->d[1])))
		st = pare_fail(err, PARE_E_FORMAT, "labels or weights do not fit the input");
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = by_element(c->attr) ? *t : (struct pare_shape){ 0 };
	if (c->n_out > 1) {
		c->out[1].dtype = c->in[0]->dtype;
		c->out[1].shape = *x;
	}
	return PARE_OK;
}

/* The label's own -log p, as `log_p` ([N][C][inner]) has it. */
static void pick(const struct pare_call *c, const float *log_p)
{
	const struct loss *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	size_t inner = op_span(x, 2, x->n), n = (size_t)x->d[0] * inner;
	double sum = 0, weights = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t label = op_get_int(c->in[1], i);
		float w = 0, v = 0;

		if (label != a->ignore || a->ignore == IGNORE_NONE) {
			label = (int64_t)op_place(c, label, (size_t)x->d[1]);
			w = op_given(c, 2) ? c->in[2]->f32[label] : 1;
			v = -w * log_p[(i / inner * (size_t)x->d[1] + (size_t)label) * inner +
					 i % inner];
		}
		sum += v;
		weights += w;
		if (by_element(a))
			c->out[0]->f32[i] = v;
	}
	if (!by_element(a))
		c->out[0]->f32[0] =
			(float)(op_word(a->reduction, "mean", "sum") ? sum : sum / weights);
}

static void likelihood_one(const struct pare_call *c)
{
	pick(c, c->in[0]->f32);
}
OP_BY_LANE(likelihood)

static void cross_entropy_one(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape;
	size_t classes = (size_t)x->d[1], inner = op_span(x, 2, x->n);
	float *log_p = op_wants(c, 1) ? c->out[1]->f32 : c->scratch;

	for (size_t i = 0; i < (size_t)x->d[0] * inner; i++) {
		size_t from = i / inner * classes * inner + i % inner;
		const float *in = c->in[0]->f32 + from;
		float max = in[0];
		double sum = 0;

		for (size_t k = 1; k < classes; k++)
			max = in[k * inner] > max ? in[k * inner] : max;
		for (size_t k = 0; k < classes; k++)
			sum += exp((double)in[k * inner] - max);
		for (size_t k = 0; k < classes; k++)
			log_p[from + k * inner] = in[k * inner] - max - (float)log(sum);
	}
	pick(c, log_p);
}
OP_BY_LANE(cross_entropy)

static size_t scratch_cross_entropy(const struct pare_call *c)
{
	return op_lanes_scratch(c) + op_count(c->in[0]) * sizeof(float);
}

/* clang-format off */
const struct pare_op pare_ops_loss[] = {
	{ .name = "NegativeLogLikelihoodLoss", .since = 12, .min_in = 2, .max_in = 3,
	  .attrs = loss_attrs, .attr_size = sizeof(struct loss), .refuse = refuse_loss,
	  .shape = shape_loss, .forward = likelihood_forward, .scratch = op_lanes_scratch,
	  .sample = "f32[2,3,2] i64+[2,2] f32+[3]!|f32[2,3] i64+[2] ignore_index=1 reduction=none" },
	{ .name = "SoftmaxCrossEntropyLoss", .since = 12, .min_in = 2, .max_in = 3, .max_out = 2,
	  .attrs = loss_attrs, .attr_size = sizeof(struct loss), .refuse = refuse_loss,
	  .shape = shape_loss, .forward = cross_entropy_forward,
	  .scratch = scratch_cross_entropy,
	  .sample = "f32[2,3,2] i64+[2,2] f32+[3]! outputs=2|f32[2,3] i64+[2] reduction=sum" },
	{ 0 } };
/* clang-format on */
