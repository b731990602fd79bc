/* MatMul, as numpy's: A […, M, K], B […, K, N], leading axes broadcast; one axis = a vector. */
#include "../graph/model.h"
#include "../run/kernels.h"
#include "kit.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

/* Shapes with the missing axis of a vector put in. */
struct sides {
	struct pare_shape a, b, lead; /* lead: the broadcast leading axes */
	int64_t m, n, k;
};

static enum pare_status sides_of(const struct pare_shape *a, const struct pare_shape *b,
	struct sides *s, struct pare_err *err)
{
	struct pare_shape la, lb;

	if (!a->n || !b->n)
		return pare_fail(err, PARE_E_FORMAT, "a scalar has no axis to multiply along");
	*s = (struct sides){ .a = *a, .b = *b };
	if (a->n == 1)
		s->a = (struct pare_shape){ 2, { 1, a->d[0] } };
	if (b->n == 1)
		s->b = (struct pare_shape){ 2, { b->d[0], 1 } };
	la = s->a;
	lb = s->b;
	la.n -= 2;
	lb.n -= 2;
	s->m = s->a.d[la.n];
	s->k = s->a.d[la.n + 1];
	s->n = s->b.d[lb.n + 1];
	if (s->b.d[lb.n] != s->k || !pare_shape_broadcast(&la, &lb, &s->lead))
		return pare_fail(err, PARE_E_FORMAT,
			"shapes do not multiply: %lld columns, %lld rows", (long long)s->k,
			(long long)s->b.d[lb.n]);
	if (s->m > INT32_MAX || s->n > INT32_MAX || s->k > INT32_MAX / 64)
		return pare_fail(err, PARE_E_UNSUPPORTED, "a matrix this large cannot run");
	return PARE_OK;
}

static enum pare_status matmul_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *a = &c->in[0]->shape, *b = &c->in[1]->shape;
	struct pare_shape out;
	struct sides s;
	enum pare_status st;

	if (c->in[0]->dtype != PARE_F32 || c->in[1]->dtype != PARE_F32)
		return pare_fail(err, PARE_E_UNSUPPORTED, "only float32 can run");
	if ((st = sides_of(a, b, &s, err)))
		return st;
	out = s.lead;
	if (a->n > 1)
		out.d[out.n++] = s.m;
	if (b->n > 1)
		out.d[out.n++] = s.n;
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = out;
	return PARE_OK;
}

/* Which matrix of a side belongs to matrix i of the result. */
static int64_t matrix_at(const struct pare_shape *side, const struct pare_shape *lead, int64_t i)
{
	int64_t at = 0, by = 1;

	for (int j = 1; j <= lead->n; j++) {
		int64_t index = i % lead->d[lead->n - j], d;

		i /= lead->d[lead->n - j];
		if (side->n - 2 < j)
			continue;
		d = side->d[side->n - 2 - j];
		at += d == 1 ? 0 : index * by;
		by *= d;
	}
	return at;
}

/* How the fast kernel does it: constant B of two axes is a layer on every row of A; constant A is
 * one on every column of B. */
enum side { NEITHER, WEIGHT_A, WEIGHT_B };

static enum side weight_side(const struct pare_call *c, const struct sides *s)
{
	const struct pare_tensor *a = c->in[0], *b = c->in[1];

	if (c->lanes == 1)
		return NEITHER;
	if (b->lanes == 1 && b->data && s->b.n == 2)
		return WEIGHT_B;
	if (a->lanes == 1 && a->data && s->a.n == 2)
		return WEIGHT_A;
	return NEITHER;
}

/* Bias that can be packed with the weights; by a vector, the last axis is that of rows. */
static const float *packed_bias(const struct pare_call *c, const struct sides *s)
{
	return c->bias && weight_side(c, s) == WEIGHT_B && c->in[1]->shape.n == 2 ? c->bias->f32
										  : NULL;
}

/* One sample: packed for its sizes alone, if at all. */
static enum pare_status alone_prepare(const struct pare_call *c, const struct sides *s,
	struct pare_arena *a, const void **packed, struct pare_err *err)
{
	struct pare_conv *v = pare_alloc(a, sizeof *v);
	enum pare_status st;

	if (!v)
		return pare_nomem(err, "a product");
	if (!s->m || !s->n || !s->k)
		return PARE_OK;
	st = pare_wide_product_plan(c->k, v, (int)s->m, (int)s->n, (int)s->k, a, err);
	if (st == PARE_E_UNSUPPORTED)
		return PARE_OK;
	*packed = v;
	return st;
}

static enum pare_status matmul_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	struct pare_conv *v;
	struct sides s;
	enum pare_status st = sides_of(&c->in[0]->shape, &c->in[1]->shape, &s, err);
	enum side side;
	int64_t rows;
	struct pare_arena *once;
	float *w;

	if (st)
		return st;
	if (c->lanes == 1)
		return alone_prepare(c, &s, a, packed, err);
	rows = pare_shape_span(&s.lead, 0, s.lead.n) * s.m;
	if ((side = weight_side(c, &s)) == NEITHER || rows > INT32_MAX)
		return PARE_OK;
	v = pare_alloc(a, sizeof *v);
	once = pare_arena_new();
	w = once ? pare_alloc_n(once, (size_t)(s.n * s.k), sizeof *w) : NULL;
	if (!v || !w)
		st = pare_nomem(err, "packed weights");
	else if (side == WEIGHT_A)
		st = pare_product_plan(
			c->k, v, (int)s.k, (int)s.m, (int)s.n, c->in[0]->f32, NULL, a, err);
	else {
		for (int64_t o = 0; o < s.n; o++)
			for (int64_t k = 0; k < s.k; k++)
				w[o * s.k + k] = c->in[1]->f32[k * s.n + o];
		st = pare_product_plan(
			c->k, v, (int)s.k, (int)s.n, 1, w, packed_bias(c, &s), a, err);
		v->rows = (int)rows;
	}
	pare_arena_free(once);
	if (!st)
		*packed = v;
	return st;
}

static size_t matmul_scratch(const struct pare_call *c)
{
	if (!c->packed)
		return 0;
	return c->lanes == 1 ? pare_wide_product_scratch(c->k, c->packed)
			     : pare_conv_scratch(c->k, c->packed);
}

/* One side is constant and packed: that of B with the bias. */
static void
packed_forward(const struct pare_call *c, const struct sides *s, const struct pare_finish *f)
{
	int64_t lead = pare_shape_span(&s->lead, 0, s->lead.n);
	int64_t in = s->k * s->n * c->lanes, out = s->m * s->n * c->lanes;

	if (weight_side(c, s) == WEIGHT_B) { /* rows of A are taken together */
		pare_conv_run(c->k, c->packed, c->in[0]->f32, c->out[0]->f32, f, c->scratch);
		return;
	}
	for (int64_t i = 0; i < lead; i++) {
		struct pare_finish g = { f->add ? f->add + i * out : NULL, f->lo, f->hi };

		pare_conv_run(c->k, c->packed, c->in[1]->f32 + i * in, c->out[0]->f32 + i * out, &g,
			c->scratch);
	}
}

static void
alone_forward(const struct pare_call *c, const struct sides *s, const struct pare_finish *f)
{
	int64_t lead = pare_shape_span(&s->lead, 0, s->lead.n), size = s->m * s->n;

	for (int64_t i = 0; i < lead; i++) {
		const float *a = c->in[0]->f32 + matrix_at(&s->a, &s->lead, i) * s->m * s->k;
		const float *b = c->in[1]->f32 + matrix_at(&s->b, &s->lead, i) * s->k * s->n;
		struct pare_wide_side side = { a, (size_t)s->k, 1, 1 };
		struct pare_finish g = { f->add ? f->add + i * size : NULL, f->lo, f->hi };

		pare_wide_product_run(
			c->k, c->packed, &side, b, c->out[0]->f32 + i * size, &g, c->scratch);
	}
}

/* out [m][n][lanes] of one matrix, both sides read with or without lanes. */
static void lanes_forward(const struct pare_call *c, const struct sides *s, const float *a,
	const float *b, float *out)
{
	int la = c->in[0]->lanes, lb = c->in[1]->lanes;

	for (int64_t i = 0; i < s->m; i++)
		for (int64_t j = 0; j < s->n; j++, out += c->lanes)
			for (int l = 0; l < c->lanes; l++) {
				float sum = 0;

				for (int64_t k = 0; k < s->k; k++)
					sum += a[(i * s->k + k) * la + (la > 1 ? l : 0)] *
					       b[(k * s->n + j) * lb + (lb > 1 ? l : 0)];
				out[l] = sum;
			}
}

static void
plain_forward(const struct pare_call *c, const struct sides *s, const struct pare_finish *f)
{
	int64_t lead = pare_shape_span(&s->lead, 0, s->lead.n), size = s->m * s->n * c->lanes;
	const struct pare_tensor *a = c->in[0], *b = c->in[1];
	bool each = c->lanes > 1 && a->lanes > 1 && b->lanes > 1;

	for (int64_t i = 0; i < lead; i++) {
		const float *x = a->f32 + matrix_at(&s->a, &s->lead, i) * s->m * s->k * a->lanes;
		const float *y = b->f32 + matrix_at(&s->b, &s->lead, i) * s->k * s->n * b->lanes;
		struct pare_finish g = { f->add ? f->add + i * size : NULL, f->lo, f->hi };
		float *out = c->out[0]->f32 + i * size;

		if (each)
			c->k->each(x, y, (int)s->m, (int)s->n, (int)s->k, out, &g);
		else if (c->lanes > 1 || !s->k)
			lanes_forward(c, s, x, y, out);
		else if (s->m && s->n)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)s->m, (int)s->n,
				(int)s->k, 1, x, (int)s->k, y, (int)s->n, 0, out, (int)s->n);
	}
	if (!each)
		c->k->finish(c->out[0]->f32, c->out[0]->f32, (size_t)(lead * size), f);
}

/* out [rows][n][lanes] += bias [n] */
static void add_bias(float *out, int64_t rows, int64_t n, int lanes, const float *bias)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < n; j++, out += lanes)
			for (int l = 0; l < lanes; l++)
				out[l] += bias[j];
}

static void matmul_forward(const struct pare_call *c)
{
	struct pare_finish f = { c->after->add ? c->after->add->f32 : NULL, c->after->lo,
		c->after->hi };
	struct pare_finish none = { NULL, -INFINITY, INFINITY };
	float *out = c->out[0]->f32;
	struct sides s;
	bool late; /* the bias is added to the product as it lies */
	int64_t rows, n;

	if (sides_of(&c->in[0]->shape, &c->in[1]->shape, &s, NULL))
		return; /* shapes were checked: does not happen */
	late = c->bias && !(c->packed && packed_bias(c, &s));
	(!c->packed             ? plain_forward
		: c->lanes == 1 ? alone_forward
				: packed_forward)(c, &s, late ? &none : &f);
	if (!late)
		return;
	n = pare_shape_elems(&c->bias->shape);
	rows = pare_shape_elems(&c->out[0]->shape) / n;
	add_bias(out, rows, n, c->lanes, c->bias->f32);
	c->k->finish(out, out, (size_t)(rows * n * c->lanes), &f);
}

/* Products of both sides' own: by their leading axes, with lanes by the rows of A too. */
static int matmul_apart(const struct pare_call *c, int *axes)
{
	const struct pare_tensor *a = c->in[0], *b = c->in[1];
	int lead = a->shape.n - 2;

	if (lead < 1 || b->shape.n != a->shape.n || c->lanes != a->lanes || c->lanes != b->lanes)
		return 0;
	for (int i = 0; i < lead; i++)
		if (a->shape.d[i] != b->shape.d[i])
			return 0;
	axes[1] = lead;
	return axes[0] = lead + (c->lanes > 1);
}

static int64_t matmul_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *a = &c->in[0]->shape;

	return pare_shape_elems(&c->out[0].shape) * a->d[a->n - 1];
}

/* A layer when one side is a constant matrix; which one, only the graph's owner can tell, so the
 * second, where exporters put it. */
static struct pare_weight_at matmul_weight(const struct pare_node *n, const void *attr)
{
	(void)n;
	(void)attr;
	return (struct pare_weight_at){
		.input = 1, .bias = -1, .out_axis = 1, .in_axis = 0, .groups = 1
	};
}

static bool matmul_windows(const struct pare_call *c, struct pare_windows *w)
{
	struct sides s;

	if (c->in[1]->shape.n != 2 || sides_of(&c->in[0]->shape, &c->in[1]->shape, &s, NULL))
		return false;
	*w = (struct pare_windows){ 1, (int)s.n, (int)s.k,
		pare_shape_span(&s.lead, 0, s.lead.n) * s.m, 1, s.n, false };
	return true;
}

void op_unfold_rows(const struct pare_call *c, int group, int64_t from, int64_t n, float *to)
{
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t k = x->d[x->n - 1];
	size_t lanes = (size_t)c->lanes;

	(void)group;
	for (int64_t i = 0; i < k; i++)
		for (int64_t p = from; p < from + n; p++, to += lanes)
			memcpy(to, c->in[0]->f32 + (size_t)(p * k + i) * lanes,
				lanes * sizeof(float));
}

static enum pare_flow matmul_flow(const struct pare_shape_call *c)
{
	return c->in[0]->value || c->in[1]->value ? PARE_FLOW_PRODUCE : PARE_FLOW_STACK;
}

enum pare_status op_factor_rows(
	const struct pare_shape_call *c, int out_axis, struct pare_factors *f, struct pare_err *err)
{
	const struct pare_shape *w = &c->in[1]->shape, *y = &c->out[0].shape;

	if (f->space || w->n != 2)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it has no kernel with two edges");
	f->weight[0] = f->weight[1] = *w;
	f->weight[0].d[out_axis] = f->weight[1].d[1 - out_axis] = f->rank;
	f->places = pare_shape_elems(y) / w->d[out_axis];
	return PARE_OK;
}

static enum pare_status matmul_factor(const struct pare_shape_call *c, struct pare_arena *a,
	struct pare_factors *f, struct pare_err *err)
{
	(void)a;
	return op_factor_rows(c, 1, f, err);
}

const struct pare_op pare_ops_matmul[] = {
	{ .name = "MatMul",
		.since = 1,
		.min_in = 2,
		.max_in = 2,
		.shape = matmul_shape,
		.forward = matmul_forward,
		.scratch = matmul_scratch,
		.prepare = matmul_prepare,
		.fuses = true,
		.biases = true,
		.apart = matmul_apart,
		.mixed = true,
		.macs = matmul_macs,
		.weight = matmul_weight,
		.windows = matmul_windows,
		.unfold = op_unfold_rows,
		.factor = matmul_factor,
		.flow = PARE_FLOW_PRODUCE,
		.flow_at = matmul_flow,
		.sample = "f32[1,3,5] f32[5,7]!|f32[4,5]! f32[1,2,5,9]|f32[1,2,3,5] f32[2,5,4]"
			  "|f32[2,3,4] f32[2,4,5]!|f32[6] f32[6,3]!|f32[1,4,6] f32[6]!|f32[5] "
			  "f32[5]" },
	{ 0 },
};
