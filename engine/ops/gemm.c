/* Gemm: alpha A' B' + beta C.  A' [M, K], B' [K, N], C broadcasts to [M, N]. */
#include "../graph/model.h"
#include "../run/kernels.h"
#include "kit.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

struct gemm {
	float alpha, beta;
	int64_t trans_a, trans_b, broadcast;
};

static const struct pare_attr gemm_attrs[] = {
	{ "alpha", PARE_ATTR_FLOAT, offsetof(struct gemm, alpha), 1, 0 },
	{ "beta", PARE_ATTR_FLOAT, offsetof(struct gemm, beta), 1, 0 },
	{ "transA", PARE_ATTR_INT, offsetof(struct gemm, trans_a), 0, 0 },
	{ "transB", PARE_ATTR_INT, offsetof(struct gemm, trans_b), 0, 0 },
	/* of opset 6: shapes say it since */
	{ "broadcast", PARE_ATTR_INT, offsetof(struct gemm, broadcast), 0, 0 },
	{ 0 },
};

struct sizes {
	int64_t m, n, k;
};

static struct sizes
sizes_of(const struct gemm *g, const struct pare_shape *a, const struct pare_shape *b)
{
	return (struct sizes){ a->d[g->trans_a ? 1 : 0], b->d[g->trans_b ? 0 : 1],
		a->d[g->trans_a ? 0 : 1] };
}

static enum pare_status gemm_upgrade(struct pare_node *n, int opset, struct pare_err *err)
{
	(void)opset;
	(void)err;
	((struct gemm *)n->attr)->broadcast = 0;
	return PARE_OK;
}

static enum pare_status gemm_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct gemm *g = c->attr;
	const struct pare_shape *a = &c->in[0]->shape, *b = &c->in[1]->shape;
	struct pare_shape all;
	struct sizes s;

	for (int i = 0; i < c->n_in; i++)
		if (c->in[i] && c->in[i]->dtype != PARE_F32)
			return pare_fail(err, PARE_E_UNSUPPORTED, "only float32 can run");
	if (a->n != 2 || b->n != 2)
		return pare_fail(err, PARE_E_FORMAT, "A and B must have two axes");
	s = sizes_of(g, a, b);
	if (b->d[g->trans_b ? 1 : 0] != s.k)
		return pare_fail(err, PARE_E_FORMAT, "A has %lld columns, B %lld rows",
			(long long)s.k, (long long)b->d[g->trans_b ? 1 : 0]);
	if (s.m > INT32_MAX || s.n > INT32_MAX || s.k > INT32_MAX / 64)
		return pare_fail(err, PARE_E_UNSUPPORTED, "a matrix this large cannot run");
	c->out[0].dtype = PARE_F32;
	c->out[0].shape = (struct pare_shape){ 2, { s.m, s.n } };
	if (c->n_in > 2 && c->in[2] &&
		(!pare_shape_broadcast(&c->in[2]->shape, &c->out[0].shape, &all) ||
			!pare_shape_equal(&all, &c->out[0].shape)))
		return pare_fail(err, PARE_E_FORMAT, "C does not broadcast to the product");
	return PARE_OK;
}

/* Floats of C from row to row and from column to column; 0 where it broadcasts. */
static void c_strides(const struct pare_shape *c, int64_t *row, int64_t *column)
{
	*column = c->n > 0 && c->d[c->n - 1] > 1;
	*row = c->n > 1 && c->d[0] > 1 ? c->d[1] : 0;
}

/* out = beta C, lanes times */
static void start(const struct pare_call *c, struct sizes s, float *out)
{
	const struct gemm *g = c->attr;
	const struct pare_tensor *t = c->n_in > 2 ? c->in[2] : NULL;
	int64_t row = 0, column = 0;

	if (t)
		c_strides(&t->shape, &row, &column);
	for (int64_t i = 0; i < s.m; i++)
		for (int64_t j = 0; j < s.n; j++)
			for (int l = 0; l < c->lanes; l++) {
				int64_t at = i * row + j * column;

				*out++ =
					t ? g->beta * t->f32[t->lanes == 1 ? at : at * t->lanes + l]
					  : 0;
			}
}

/* Element (i, j) of a matrix, transposed or not, at a lane. */
static float element(const struct pare_tensor *t, bool trans, int64_t i, int64_t j, int lane)
{
	int64_t at = trans ? j * t->shape.d[1] + i : i * t->shape.d[1] + j;

	return t->f32[t->lanes == 1 ? at : at * t->lanes + lane];
}

/* Both sides come from the samples: rare, so as it is written. */
static void lanes_forward(const struct pare_call *c, struct sizes s)
{
	const struct gemm *g = c->attr;
	float *out = c->out[0]->f32;

	for (int64_t i = 0; i < s.m; i++)
		for (int64_t j = 0; j < s.n; j++, out += c->lanes)
			for (int l = 0; l < c->lanes; l++) {
				float sum = 0;

				for (int64_t k = 0; k < s.k; k++)
					sum += element(c->in[0], g->trans_a, i, k, l) *
					       element(c->in[1], g->trans_b, k, j, l);
				out[l] += g->alpha * sum;
			}
}

/* The usual layer: one row a sample, constant B, C one row or nothing. */
static bool is_layer(const struct pare_call *c)
{
	const struct gemm *g = c->attr;
	const struct pare_tensor *b = c->in[1], *bias = c->n_in > 2 ? c->in[2] : NULL;
	struct sizes s = sizes_of(g, &c->in[0]->shape, &b->shape);

	return c->lanes > 1 && s.m == 1 && b->lanes == 1 && b->data &&
	       (!bias || (bias->lanes == 1 && bias->data));
}

/* One sample's: B with its columns side by side, where it lies so or is constant. */
struct alone {
	struct pare_conv v;
	const float *b; /* NULL = as it comes */
};

static enum pare_status alone_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	const struct gemm *g = c->attr;
	struct sizes s = sizes_of(g, &c->in[0]->shape, &c->in[1]->shape);
	struct alone *t = pare_alloc(a, sizeof *t);
	enum pare_status st;
	float *b;

	if (!t)
		return pare_nomem(err, "a product");
	if (!s.m || !s.n || !s.k || (g->trans_b && !c->in[1]->data))
		return PARE_OK;
	st = pare_wide_product_plan(c->k, &t->v, (int)s.m, (int)s.n, (int)s.k, a, err);
	if (st)
		return st == PARE_E_UNSUPPORTED ? PARE_OK : st;
	if (g->trans_b) {
		if (!(b = pare_alloc_n(a, (size_t)(s.n * s.k), sizeof *b)))
			return pare_nomem(err, "packed weights");
		for (int64_t o = 0; o < s.n; o++)
			for (int64_t k = 0; k < s.k; k++)
				b[k * s.n + o] = c->in[1]->f32[o * s.k + k];
		t->b = b;
	}
	*packed = t;
	return PARE_OK;
}

static void alone_forward(const struct pare_call *c, struct sizes s, const struct pare_finish *f)
{
	const struct gemm *g = c->attr;
	const struct alone *t = c->packed;
	size_t across = (size_t)c->in[0]->shape.d[1];
	struct pare_wide_side side = { c->in[0]->f32, g->trans_a ? 1 : across,
		g->trans_a ? across : 1, g->alpha };
	float *out = c->out[0]->f32;
	struct pare_finish sum = { out, -INFINITY, INFINITY };

	start(c, s, out);
	pare_wide_product_run(
		c->k, &t->v, &side, t->b ? t->b : c->in[1]->f32, out, &sum, c->scratch);
	c->k->finish(out, out, (size_t)(s.m * s.n), f);
}

static enum pare_status gemm_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	const struct gemm *g = c->attr;
	struct sizes s = sizes_of(g, &c->in[0]->shape, &c->in[1]->shape);
	struct pare_arena *once;
	struct pare_conv *v;
	float *w, *bias;
	enum pare_status st;

	if (c->lanes == 1)
		return alone_prepare(c, a, packed, err);
	if (!is_layer(c))
		return PARE_OK;
	v = pare_alloc(a, sizeof *v);
	bias = pare_alloc_n(a, (size_t)s.n, sizeof *bias);
	once = pare_arena_new();
	w = once ? pare_alloc_n(once, (size_t)(s.n * s.k), sizeof *w) : NULL;
	if (!v || !w || !bias) {
		pare_arena_free(once);
		return pare_nomem(err, "packed weights");
	}
	for (int64_t o = 0; o < s.n; o++)
		for (int64_t k = 0; k < s.k; k++)
			w[o * s.k + k] = g->alpha * element(c->in[1], g->trans_b, k, o, 0);
	if (c->n_in > 2 && c->in[2]) {
		int64_t row, column;

		c_strides(&c->in[2]->shape, &row, &column);
		for (int64_t o = 0; o < s.n; o++)
			bias[o] = g->beta * c->in[2]->f32[o * column];
	}
	st = pare_product_plan(c->k, v, (int)s.k, (int)s.n, 1, w, bias, a, err);
	pare_arena_free(once);
	if (!st)
		*packed = v;
	return st;
}

static size_t gemm_scratch(const struct pare_call *c)
{
	const struct alone *t = c->packed;

	if (!t)
		return 0;
	return c->lanes == 1 ? pare_wide_product_scratch(c->k, &t->v)
			     : pare_conv_scratch(c->k, c->packed);
}

static void gemm_forward(const struct pare_call *c)
{
	const struct gemm *g = c->attr;
	struct sizes s = sizes_of(g, &c->in[0]->shape, &c->in[1]->shape);
	struct pare_finish f = { c->after->add ? c->after->add->f32 : NULL, c->after->lo,
		c->after->hi };
	float *out = c->out[0]->f32;

	if (c->packed && c->lanes == 1) {
		alone_forward(c, s, &f);
		return;
	}
	if (c->packed) {
		pare_conv_run(c->k, c->packed, c->in[0]->f32, out, &f, c->scratch);
		return;
	}
	start(c, s, out);
	if (c->lanes > 1)
		lanes_forward(c, s);
	else if (s.m && s.n && s.k)
		cblas_sgemm(CblasRowMajor, g->trans_a ? CblasTrans : CblasNoTrans,
			g->trans_b ? CblasTrans : CblasNoTrans, (int)s.m, (int)s.n, (int)s.k,
			g->alpha, c->in[0]->f32, (int)c->in[0]->shape.d[1], c->in[1]->f32,
			(int)c->in[1]->shape.d[1], 1, out, (int)s.n);
	c->k->finish(out, out, (size_t)(s.m * s.n * c->lanes), &f);
}

static int64_t gemm_macs(const struct pare_shape_call *c)
{
	struct sizes s = sizes_of(c->attr, &c->in[0]->shape, &c->in[1]->shape);

	return s.m * s.n * s.k;
}

static struct pare_weight_at gemm_weight(const struct pare_node *n, const void *attr)
{
	const struct gemm *g = attr;

	return (struct pare_weight_at){ .input = 1,
		.bias = n->n_in > 2 && n->in[2] >= 0 ? 2 : -1,
		.out_axis = g->trans_b ? 0 : 1,
		.in_axis = g->trans_b ? 1 : 0,
		.groups = 1,
		.bias_at = g->beta == 1 ? 2 : 0 };
}

static bool gemm_windows(const struct pare_call *c, struct pare_windows *w)
{
	const struct gemm *g = c->attr;
	struct sizes s = sizes_of(g, &c->in[0]->shape, &c->in[1]->shape);

	*w = (struct pare_windows){ 1, (int)s.n, (int)s.k, s.m, 1, s.n, false };
	return !g->trans_a && g->alpha == 1;
}

static enum pare_status gemm_factor(const struct pare_shape_call *c, struct pare_arena *a,
	struct pare_factors *f, struct pare_err *err)
{
	const struct gemm *g = c->attr;

	if (g->trans_a || g->alpha != 1)
		return pare_fail(err, PARE_E_UNSUPPORTED, "it is no plain product");
	if (a && (!(f->attr[0] = pare_memdup(a, g, sizeof *g)) ||
			 !(f->attr[1] = pare_memdup(a, g, sizeof *g))))
		return pare_nomem(err, "a layer in two");
	return op_factor_rows(c, g->trans_b ? 0 : 1, f, err);
}

const struct pare_op pare_ops_gemm[] = {
	{ .name = "Gemm",
		.since = 7,
		.min_in = 2,
		.max_in = 3,
		.attrs = gemm_attrs,
		.attr_size = sizeof(struct gemm),
		.upgrade = gemm_upgrade,
		.shape = gemm_shape,
		.forward = gemm_forward,
		.scratch = gemm_scratch,
		.prepare = gemm_prepare,
		.fuses = true,
		.mixed = true,
		.macs = gemm_macs,
		.weight = gemm_weight,
		.windows = gemm_windows,
		.unfold = op_unfold_rows,
		.factor = gemm_factor,
		.flow = PARE_FLOW_PRODUCE,
		.sample = "f32[1,5] f32[7,5]! f32[7]! transB=1"
			  "|f32[1,130] f32[130,61]! f32[1,61]! alpha=0.5 beta=2"
			  "|f32[5,1] f32[5,3]! f32=0.5 transA=1"
			  "|f32[3,4] f32[4,2]! f32[3,1]!|f32[2,3] f32[3,4] f32[4]" },
	{ 0 },
};
