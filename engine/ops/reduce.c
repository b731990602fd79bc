/* Reductions.  Sums are taken in double, so that their error does not grow with the number of
 * terms; each lane for itself, so that batches give the same bits. */
#include "kit.h"
#include <math.h>
#include <string.h>

struct reduce {
	int64_t axis, keepdims, noop, last;
};
#define AT(f) offsetof(struct reduce, f)
static const struct pare_attr reduce_attrs[] = { { "axes", PARE_ATTR_INTS, 0, 0, 1 },
	{ "keepdims", PARE_ATTR_INT, AT(keepdims), 1, 0 },
	{ "noop_with_empty_axes", PARE_ATTR_INT, AT(noop), 0, 0 }, { 0 } };
static const struct pare_attr arg_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), 0, 0 },
	{ "keepdims", PARE_ATTR_INT, AT(keepdims), 1, 0 },
	{ "select_last_index", PARE_ATTR_INT, AT(last), 0, 0 }, { 0 } };

#define REDUCED (OP_NUMBERS | OP_T(PARE_BOOL))

static void squash(struct pare_known *out, const struct pare_known *in, unsigned set, bool keep)
{
	out->shape.n = 0;
	for (int k = 0; k < in->shape.n; k++)
		if (!(set & 1u << k))
			out->shape.d[out->shape.n++] = in->shape.d[k];
		else if (keep)
			out->shape.d[out->shape.n++] = 1;
}

static enum pare_status shape_reduce(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct reduce *a = c->attr;
	int64_t axes[PARE_MAX_DIMS];
	int n = 0;
	unsigned set = 0;
	enum pare_status st = op_types(c, 0, REDUCED, err);

	if (!st && op_has(c, 1))
		st = pare_const_ints(c, 1, axes, &n, err);
	if (!st && !(n == 0 && a->noop))
		st = op_axes(axes, n, c->in[0]->shape.n, &set, err);
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	squash(&c->out[0], c->in[0], set, a->keepdims != 0);
	return PARE_OK;
}

static unsigned reduced_axes(const struct pare_call *c)
{
	const struct reduce *a = c->attr;
	int64_t axes[PARE_MAX_DIMS];
	int n = op_given(c, 1) ? op_ints(c->in[1], axes, PARE_MAX_DIMS) : 0;
	unsigned set = 0;

	if (n == 0 && a->noop)
		return 0;
	return op_axes(axes, n, c->in[0]->shape.n, &set, NULL) ? 0 : set;
}

/* The input in order: axes (the lane is the last) with their steps in the output, 0 where reduced;
 * neighbours of one kind joined. */
struct walk {
	int n;
	size_t d[PARE_MAX_DIMS + 1], step[PARE_MAX_DIMS + 1];
};

static struct walk walk_of(const struct pare_tensor *x, unsigned set)
{
	struct walk w = { 0 };
	size_t step[PARE_MAX_DIMS + 1], run = 1;
	int rank = x->shape.n;

	for (int k = rank; k >= 0; k--) {
		bool kept = k == rank || !(set & 1u << k);

		step[k] = kept ? run : 0;
		if (kept)
			run *= (size_t)(k == rank ? x->lanes : x->shape.d[k]);
	}
	for (int k = 0; k <= rank; k++) {
		size_t d = (size_t)(k == rank ? x->lanes : x->shape.d[k]);

		if (d == 1)
			continue;
		if (w.n && w.step[w.n - 1] == step[k] * d) {
			w.d[w.n - 1] *= d;
			w.step[w.n - 1] = step[k];
		} else {
			w.d[w.n] = d;
			w.step[w.n++] = step[k];
		}
	}
	if (!w.n) {
		w.d[0] = 1;
		w.n = 1;
	}
	return w;
}

#define LOAD(D, field)                                                                             \
	case PARE_##D:                                                                             \
		for (size_t i = 0; i < n; i++)                                                     \
			v[i] = (double)x->field[at + i];                                           \
		break;

/* A run of n numbers as doubles. */
OP_HOT static void load(const struct pare_tensor *x, size_t at, size_t n, double *v)
{
	switch (x->dtype) {
		LOAD(F32, f32)
		LOAD(F64, f64)
		LOAD(I32, i32)
		LOAD(I64, i64)
		LOAD(U8, u8)
	default:
		for (size_t i = 0; i < n; i++)
			v[i] = op_get(x, at + i);
	}
}

/* How a number is taken into what was taken before.  `top` is the largest, for LogSumExp. */
typedef void take_fn(double *acc, size_t step, const double *v, size_t n, const double *top);
#define TAKE(name, EXPR)                                                                           \
	OP_HOT static void name(                                                                   \
		double *acc, size_t step, const double *v, size_t n, const double *top)            \
	{                                                                                          \
		(void)top;                                                                         \
		if (step) {                                                                        \
			for (size_t i = 0; i < n; i++) {                                           \
				double a = acc[i], x = v[i];                                       \
				acc[i] = EXPR;                                                     \
			}                                                                          \
			return;                                                                    \
		}                                                                                  \
		double a = *acc;                                                                   \
		for (size_t i = 0; i < n; i++) {                                                   \
			double x = v[i];                                                           \
			a = EXPR;                                                                  \
		}                                                                                  \
		*acc = a;                                                                          \
	}
TAKE(take_sum, a + x)
TAKE(take_square, a + x * x)
TAKE(take_abs, a + fabs(x))
TAKE(take_product, a *x)
TAKE(take_max, x > a || x != x ? x : a)
TAKE(take_min, x < a || x != x ? x : a)

static void take_exp(double *acc, size_t step, const double *v, size_t n, const double *top)
{
	for (size_t i = 0; i < n; i++)
		acc[i * step] += exp(v[i] - (isinf(top[i * step]) ? 0 : top[i * step]));
}

/* The innermost axis in pieces that fit on the stack. */
static void walk_row(const struct walk *w, const struct pare_tensor *x, size_t from, take_fn *take,
	double *acc, const double *top)
{
	enum { CHUNK = 256 };
	size_t n = w->d[w->n - 1], step = w->step[w->n - 1];
	double v[CHUNK];

	for (size_t i = 0; i < n; i += CHUNK) {
		size_t part = n - i < CHUNK ? n - i : CHUNK;

		load(x, from + i, part, v);
		take(acc + i * step, step, v, part, top ? top + i * step : NULL);
	}
}

static void walk_run(const struct walk *w, const struct pare_tensor *x, take_fn *take, double *acc,
	const double *top)
{
	size_t at[PARE_MAX_DIMS + 1] = { 0 }, from = 0, to = 0, n = w->d[w->n - 1];
	int k;

	if (!op_count(x))
		return;
	do {
		walk_row(w, x, from, take, acc + to, top ? top + to : NULL);
		from += n;
		for (k = w->n - 2; k >= 0; k--) {
			to += w->step[k];
			if (++at[k] < w->d[k])
				break;
			to -= w->step[k] * w->d[k];
			at[k] = 0;
		}
	} while (k >= 0);
}

/* ---- the kinds ------------------------------------------------------------------------------ */

/* Where a type has no infinity, its lowest or highest number stands for it. */
static double within(enum pare_dtype t, double v)
{
	double bits = (double)pare_dtype_bits(t);
	bool sign = OP_T(t) & OP_SIGNED;

	if (!isinf(v) || OP_T(t) & OP_REALS)
		return v;
	if (t == PARE_BOOL)
		return v > 0;
	return v < 0 ? (sign ? -ldexp(1, (int)bits - 1) : 0) : ldexp(1, (int)bits - sign) - 1;
}

static double *taken(const struct pare_call *c, double init, take_fn *take)
{
	double *acc = c->scratch;
	struct walk w = walk_of(c->in[0], reduced_axes(c));
	size_t n = op_count(c->out[0]);

	for (size_t i = 0; i < n; i++)
		acc[i] = within(c->in[0]->dtype, init);
	walk_run(&w, c->in[0], take, acc, NULL);
	return acc;
}

/* Finish with EXPR in the total v; `count` numbers went into each. */
#define REDUCE(name, init, take, EXPR)                                                             \
	static void name##_forward(const struct pare_call *c)                                      \
	{                                                                                          \
		const double *acc = taken(c, init, take);                                          \
		size_t n = op_count(c->out[0]);                                                    \
		double count = (double)op_count(c->in[0]) / (double)(n ? n : 1);                   \
                                                                                                   \
		(void)count;                                                                       \
		for (size_t i = 0; i < n; i++) {                                                   \
			double v = acc[i];                                                         \
			op_put(c->out[0], i, EXPR);                                                \
		}                                                                                  \
	}
REDUCE(sum, 0, take_sum, v)
REDUCE(mean, 0, take_sum, v / count)
REDUCE(max, -INFINITY, take_max, v)
REDUCE(min, INFINITY, take_min, v)
REDUCE(product, 1, take_product, v)
REDUCE(l1, 0, take_abs, v)
REDUCE(l2, 0, take_square, sqrt(v))
REDUCE(square, 0, take_square, v)
REDUCE(log_sum, 0, take_sum, log(v))

static void log_sum_exp_forward(const struct pare_call *c)
{
	struct walk w = walk_of(c->in[0], reduced_axes(c));
	size_t n = op_count(c->out[0]);
	double *top = taken(c, -INFINITY, take_max), *sum = top + n;

	memset(sum, 0, n * sizeof *sum);
	walk_run(&w, c->in[0], take_exp, sum, top);
	for (size_t i = 0; i < n; i++)
		op_put(c->out[0], i, log(sum[i]) + (isinf(top[i]) ? 0 : top[i]));
}

/* Totals, and the largest of each. */
static size_t scratch_reduce(const struct pare_call *c)
{
	return 2 * op_count(c->out[0]) * sizeof(double);
}

/* Axes that stay, moved up by those that went. */
static int carry_reduce(const struct pare_shape_call *c, int axis)
{
	const struct reduce *a = c->attr;
	int64_t axes[PARE_MAX_DIMS];
	int n = 0, to = axis;
	unsigned set = 0;

	if (op_has(c, 1)) {
		if (!c->in[1]->value)
			return -1;
		n = op_ints(c->in[1]->value, axes, PARE_MAX_DIMS);
	}
	if (n == 0 && a->noop)
		return axis;
	if (op_axes(axes, n, c->in[0]->shape.n, &set, NULL) || set & 1u << axis)
		return -1;
	for (int k = 0; k < axis && !a->keepdims; k++)
		to -= set >> k & 1;
	return to;
}

/* ---- ArgMax, ArgMin ------------------------------------------------------------------------- */

static enum pare_status shape_arg(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct reduce *a = c->attr;
	int axis = 0;
	enum pare_status st = op_types(c, 0, REDUCED, err);

	if (!st)
		st = pare_axis(a->axis, c->in[0]->shape.n, &axis, err);
	if (!st && c->in[0]->shape.d[axis] < 1)
		st = pare_fail(err, PARE_E_FORMAT, "axis %d is empty", axis);
	if (st)
		return st;
	c->out[0].dtype = PARE_I64;
	squash(&c->out[0], c->in[0], 1u << axis, a->keepdims != 0);
	return PARE_OK;
}

static void arg(const struct pare_call *c, double sign)
{
	const struct reduce *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t outer = op_span(s, 0, axis), n = (size_t)s->d[axis];
	size_t inner = op_span(s, axis + 1, s->n) * (size_t)c->in[0]->lanes;

	for (size_t o = 0; o < outer; o++)
		for (size_t i = 0; i < inner; i++) {
			double best = 0, v;
			int64_t at = 0;

			for (size_t j = 0; j < n; j++) {
				load(c->in[0], (o * n + j) * inner + i, 1, &v);
				v *= sign;
				if (j == 0 || v > best || (a->last && v == best)) {
					best = v;
					at = (int64_t)j;
				}
			}
			c->out[0]->i64[o * inner + i] = at;
		}
}

static void arg_max_forward(const struct pare_call *c)
{
	arg(c, 1);
}

static void arg_min_forward(const struct pare_call *c)
{
	arg(c, -1);
}

/* clang-format off */
#define REDUCED_BY(n, v, fw)                                                                       \
	{ .name = n, .since = v, .min_in = 1, .max_in = 2, .attrs = reduce_attrs,                  \
	  .attr_size = sizeof(struct reduce), .shape = shape_reduce, .forward = fw,                \
	  .scratch = scratch_reduce, .takes = OP_T(PARE_F64), .plain = 2, .flow = PARE_FLOW_PASS, .carry = carry_reduce,  \
	  .sample = "f32+[1,3,2,5] i64{1,3} keepdims=0|f32+[1,3,2,5]|f32+[1,3,2,5] i64{2,3}|"      \
		    "f32+[1,3] noop_with_empty_axes=1" }
#define ARG(n, fw)                                                                                 \
	{ .name = n, .since = 11, .min_in = 1, .max_in = 1, .attrs = arg_attrs,                    \
	  .attr_size = sizeof(struct reduce), .shape = shape_arg, .forward = fw, .takes = OP_T(PARE_F64),                  \
	  .sample = "f32[1,5,3] axis=1|i64[1,5,3] axis=-1 keepdims=0 select_last_index=1" }
const struct pare_op pare_ops_reduce[] = {
	REDUCED_BY("ReduceSum", 13, sum_forward),
	REDUCED_BY("ReduceMean", 18, mean_forward),
	REDUCED_BY("ReduceMax", 18, max_forward),
	REDUCED_BY("ReduceMin", 18, min_forward),
	REDUCED_BY("ReduceProd", 18, product_forward),
	REDUCED_BY("ReduceL1", 18, l1_forward),
	REDUCED_BY("ReduceL2", 18, l2_forward),
	REDUCED_BY("ReduceSumSquare", 18, square_forward),
	REDUCED_BY("ReduceLogSum", 18, log_sum_forward),
	REDUCED_BY("ReduceLogSumExp", 18, log_sum_exp_forward),
	ARG("ArgMax", arg_max_forward),
	ARG("ArgMin", arg_min_forward),
	{ 0 } };
/* clang-format on */
