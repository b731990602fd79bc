/* Attention and what goes with it.  Q [N, heads, T, D] or [N, T, heads*D]; K, V [N, kv heads, S,
 * D]; a mask that is added, or says who may be seen; keys and values of steps before; how many keys
 * of a cache are filled. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

struct attention {
	int64_t causal, q_heads, kv_heads, mode, precision, left, right;
	float scale, softcap;
};
#define AT(f) offsetof(struct attention, f)
static const struct pare_attr attention_attrs[] = { { "is_causal", PARE_ATTR_INT, AT(causal), 0,
							    0 },
	{ "q_num_heads", PARE_ATTR_INT, AT(q_heads), 0, 0 },
	{ "kv_num_heads", PARE_ATTR_INT, AT(kv_heads), 0, 0 },
	{ "qk_matmul_output_mode", PARE_ATTR_INT, AT(mode), 0, 0 },
	{ "softmax_precision", PARE_ATTR_INT, AT(precision), 0, 0 },
	{ "left_window_size", PARE_ATTR_INT, AT(left), -1, 0 },
	{ "right_window_size", PARE_ATTR_INT, AT(right), -1, 0 },
	{ "scale", PARE_ATTR_FLOAT, AT(scale), 0, 0 },
	{ "softcap", PARE_ATTR_FLOAT, AT(softcap), 0, 0 }, { 0 } };

enum { Q, K, V, MASK, PAST_K, PAST_V, FILLED };

/* A tensor of heads: [n][heads][t][d] or [n][t][heads * d]. */
struct heads {
	int64_t n, heads, t, d;
	bool packed;
};

static enum pare_status
heads_of(const struct pare_shape *s, int64_t heads, struct heads *h, struct pare_err *err)
{
	*h = (struct heads){ .n = s->d[0], .packed = s->n == 3 };
	if (s->n == 4) {
		h->heads = s->d[1];
		h->t = s->d[2];
		h->d = s->d[3];
	} else if (s->n != 3 || heads < 1 || s->d[2] % heads)
		return pare_fail(
			err, PARE_E_FORMAT, "inputs have 4 axes, or 3 and the number of heads");
	else {
		h->heads = heads;
		h->t = s->d[1];
		h->d = s->d[2] / heads;
	}
	return PARE_OK;
}

static const float *
row_at(const struct heads *h, const float *x, int64_t n, int64_t head, int64_t t)
{
	return x + (h->packed ? ((n * h->t + t) * h->heads + head) * h->d
			      : ((n * h->heads + head) * h->t + t) * h->d);
}

static enum pare_status shape_attention(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct attention *a = c->attr;
	struct pare_shape s;
	struct heads q, k, v;
	int64_t past = 0;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < 3 && !st; i++)
		st = op_types(c, i, OP_REALS, err);
	if (st || (st = heads_of(&c->in[Q]->shape, a->q_heads, &q, err)) ||
		(st = heads_of(&c->in[K]->shape, a->kv_heads, &k, err)) ||
		(st = heads_of(&c->in[V]->shape, a->kv_heads, &v, err)))
		return st;
	if (op_has(c, PAST_K) != op_has(c, PAST_V))
		return pare_fail(err, PARE_E_FORMAT, "past keys and values go together");
	if (op_has(c, PAST_K)) {
		const struct pare_shape *pk = &c->in[PAST_K]->shape, *pv = &c->in[PAST_V]->shape;

		past = pk->n == 4 ? pk->d[2] : -1;
		if (pk->n != 4 || pv->n != 4 || pk->d[0] != q.n || pk->d[1] != k.heads ||
			pk->d[3] != k.d || pv->d[0] != q.n || pv->d[1] != v.heads ||
			pv->d[2] != past || pv->d[3] != v.d)
			return pare_fail(err, PARE_E_FORMAT, "past keys or values do not fit");
	}
	if (k.n != q.n || v.n != q.n || k.d != q.d || k.t != v.t || k.heads != v.heads ||
		k.heads < 1 || q.heads % k.heads)
		return pare_fail(err, PARE_E_FORMAT, "query, key and value do not fit each other");
	s = (struct pare_shape){ 4, { q.n, q.heads, q.t, past + k.t } };
	if (op_has(c, MASK)) {
		struct pare_shape m = c->in[MASK]->shape, both;

		if (m.n && m.d[m.n - 1] < past + k.t && m.d[m.n - 1] > 0)
			m.d[m.n - 1] = past + k.t; /* what lacks is masked */
		if (!pare_shape_broadcast(&s, &m, &both) || !pare_shape_equal(&s, &both))
			return pare_fail(err, PARE_E_FORMAT, "the mask does not fit");
		if ((st = op_types(c, MASK, OP_REALS | OP_T(PARE_BOOL), err)))
			return st;
	}
	if (op_has(c, FILLED) && (c->in[FILLED]->dtype != PARE_I64 ||
					 pare_shape_elems(&c->in[FILLED]->shape) != q.n))
		return pare_fail(err, PARE_E_FORMAT, "input 6 is not a count for each sample");
	for (int i = 0; i < c->n_out; i++)
		c->out[i].dtype = c->in[i == 2 ? V : Q]->dtype;
	c->out[0].shape = q.packed ? (struct pare_shape){ 3, { q.n, q.t, q.heads * v.d } }
				   : (struct pare_shape){ 4, { q.n, q.heads, q.t, v.d } };
	if (c->n_out > 1)
		c->out[1].shape = (struct pare_shape){ 4, { q.n, k.heads, past + k.t, k.d } };
	if (c->n_out > 2)
		c->out[2].shape = (struct pare_shape){ 4, { q.n, k.heads, past + k.t, v.d } };
	if (c->n_out > 3)
		c->out[3].shape = s;
	return PARE_OK;
}

struct attend {
	const struct pare_call *c;
	const struct attention *a;
	struct heads q, k, v;
	int64_t past, s; /* keys before, keys in all */
	float scale;
};

/* Row j of all keys or values: first those of before. */
static const float *cached(const struct attend *p, int input, int64_t n, int64_t head, int64_t j)
{
	const struct heads *h = input == K ? &p->k : &p->v;

	if (j >= p->past)
		return row_at(h, p->c->in[input]->f32, n, head, j - p->past);
	return p->c->in[input == K ? PAST_K : PAST_V]->f32 +
	       ((n * h->heads + head) * p->past + j) * h->d;
}

/* What is added for key j: of the mask, whose axes broadcast from the right. */
static float masked(const struct attend *p, int64_t n, int64_t head, int64_t i, int64_t j)
{
	const struct pare_tensor *m = p->c->in[MASK];
	const struct pare_shape *s = &m->shape;
	int64_t at[] = { n, head, i, j }, from = 0;

	for (int k = 0; k < s->n; k++) {
		int64_t index = at[4 - s->n + k];

		if (k == s->n - 1 && s->d[k] < p->s && s->d[k] > 0 && index >= s->d[k])
			return -INFINITY;
		from = from * s->d[k] + (s->d[k] == 1 ? 0 : index);
	}
	return m->dtype == PARE_BOOL ? (m->u8[from] ? 0 : -INFINITY) : m->f32[from];
}

static float bias(const struct attend *p, int64_t n, int64_t head, int64_t i, int64_t j)
{
	const struct pare_call *c = p->c;
	int64_t filled = op_given(c, FILLED) ? c->in[FILLED]->i64[n] : p->s;
	int64_t offset = op_given(c, PAST_K) ? p->past : op_given(c, FILLED) ? filled - p->q.t : 0;
	int64_t ahead = j - (i + offset);

	if ((p->a->causal && ahead > 0) || j >= filled ||
		(p->a->left >= 0 && -ahead > p->a->left) ||
		(p->a->right >= 0 && ahead > p->a->right))
		return -INFINITY;
	return op_given(c, MASK) ? masked(p, n, head, i, j) : 0;
}

static float dot(const float *x, const float *y, int64_t n)
{
	float sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

/* A row where nothing may be seen becomes zeros. */
static void soft_row(float *x, int64_t n)
{
	float max = -INFINITY, sum = 0;

	for (int64_t i = 0; i < n; i++)
		max = x[i] > max ? x[i] : max;
	for (int64_t i = 0; i < n; i++) {
		x[i] = max == -INFINITY ? 0 : expf(x[i] - max);
		sum += x[i];
	}
	for (int64_t i = 0; i < n && sum != 0; i++)
		x[i] /= sum;
}

static void attend_row(const struct attend *p, int64_t n, int64_t head, int64_t i, float *score)
{
	const struct attention *a = p->a;
	int64_t kv = head / (p->q.heads / p->k.heads), d = p->v.d;
	const float *q = row_at(&p->q, p->c->in[Q]->f32, n, head, i);
	float *shown = op_wants(p->c, 3)
			       ? p->c->out[3]->f32 + ((n * p->q.heads + head) * p->q.t + i) * p->s
			       : NULL;
	float *y = p->c->out[0]->f32 + (p->q.packed ? ((n * p->q.t + i) * p->q.heads + head) * d
						    : ((n * p->q.heads + head) * p->q.t + i) * d);

	for (int64_t j = 0; j < p->s; j++) {
		float raw = dot(q, cached(p, K, n, kv, j), p->q.d) * p->scale, capped = raw;

		if (a->softcap > 0)
			capped = a->softcap * tanhf(raw / a->softcap);
		score[j] = capped + bias(p, n, head, i, j);
		if (shown)
			shown[j] = a->mode == 0 ? raw : a->mode == 1 ? capped : score[j];
	}
	soft_row(score, p->s);
	if (shown && a->mode == 3)
		memcpy(shown, score, (size_t)p->s * sizeof *score);
	memset(y, 0, (size_t)d * sizeof *y);
	for (int64_t j = 0; j < p->s; j++) {
		const float *v = cached(p, V, n, kv, j);

		for (int64_t k = 0; k < d && score[j] != 0; k++)
			y[k] += score[j] * v[k];
	}
}

static void keep(const struct attend *p, int input, float *out)
{
	const struct heads *h = input == K ? &p->k : &p->v;

	for (int64_t n = 0; n < h->n; n++)
		for (int64_t head = 0; head < h->heads; head++)
			for (int64_t j = 0; j < p->s; j++, out += h->d)
				memcpy(out, cached(p, input, n, head, j),
					(size_t)h->d * sizeof *out);
}

static void attention_one(const struct pare_call *c)
{
	const struct attention *a = c->attr;
	struct attend p = { .c = c, .a = a };

	if (heads_of(&c->in[Q]->shape, a->q_heads, &p.q, NULL) ||
		heads_of(&c->in[K]->shape, a->kv_heads, &p.k, NULL) ||
		heads_of(&c->in[V]->shape, a->kv_heads, &p.v, NULL))
		return; /* shapes were checked: does not happen */
	p.past = op_given(c, PAST_K) ? c->in[PAST_K]->shape.d[2] : 0;
	p.s = p.past + p.k.t;
	p.scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)p.q.d);
	for (int64_t n = 0; n < p.q.n; n++)
		for (int64_t head = 0; head < p.q.heads; head++)
			for (int64_t i = 0; i < p.q.t; i++)
				attend_row(&p, n, head, i, c->scratch);
	if (op_wants(c, 1))
		keep(&p, K, c->out[1]->f32);
	if (op_wants(c, 2))
		keep(&p, V, c->out[2]->f32);
}
OP_BY_LANE(attention)

static size_t attention_scratch(const struct pare_call *c)
{
	size_t keys = (size_t)c->in[K]->shape.d[c->in[K]->shape.n - 2];

	if (op_given(c, PAST_K))
		keys += (size_t)c->in[PAST_K]->shape.d[2];
	return op_lanes_scratch(c) + keys * sizeof(float);
}

static int64_t attention_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *k = &c->in[K]->shape;
	int64_t keys = k->d[k->n - 2] + (op_has(c, PAST_K) ? c->in[PAST_K]->shape.d[2] : 0);

	return (pare_shape_elems(&c->in[Q]->shape) + pare_shape_elems(&c->out[0].shape)) * keys;
}

/* ---- RotaryEmbedding ------------------------------------------------------------------------ */

struct rotary {
	int64_t heads, dim, interleaved;
};
static const struct pare_attr rotary_attrs[] = { { "num_heads", PARE_ATTR_INT,
							 offsetof(struct rotary, heads), 0, 0 },
	{ "rotary_embedding_dim", PARE_ATTR_INT, offsetof(struct rotary, dim), 0, 0 },
	{ "interleaved", PARE_ATTR_INT, offsetof(struct rotary, interleaved), 0, 0 }, { 0 } };

static enum pare_status shape_rotary(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct rotary *a = c->attr;
	const struct pare_shape *cos = &c->in[1]->shape;
	struct heads h;
	int64_t half;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < 3 && !st; i++)
		st = op_types(c, i, OP_REALS, err);
	if (st || (st = heads_of(&c->in[0]->shape, a->heads, &h, err)))
		return st;
	half = (a->dim > 0 ? a->dim : h.d) / 2;
	if (half * 2 > h.d || cos->n < 1 || cos->d[cos->n - 1] != half ||
		!pare_shape_equal(cos, &c->in[2]->shape) ||
		(op_has(c, 3) ? cos->n != 2 || c->in[3]->dtype != PARE_I64 || cos->d[0] < 1 ||
					pare_shape_elems(&c->in[3]->shape) != h.n * h.t
			      : pare_shape_elems(cos) != h.n * h.t * half))
		return pare_fail(err, PARE_E_FORMAT, "sines and cosines do not fit the input");
	return pare_shape_same(c, err);
}

static void rotary_one(const struct pare_call *c)
{
	const struct rotary *a = c->attr;
	struct heads h;
	int64_t dim, rows = c->in[1]->shape.d[0];

	if (heads_of(&c->in[0]->shape, a->heads, &h, NULL))
		return;
	dim = a->dim > 0 ? a->dim / 2 * 2 : h.d / 2 * 2;
	memcpy(c->out[0]->data, c->in[0]->data, op_count(c->in[0]) * sizeof(float));
	for (int64_t i = 0; i < h.n * h.heads * h.t; i++) {
		int64_t n = i / (h.heads * h.t), head = i / h.t % h.heads, t = i % h.t;
		int64_t at = n * h.t + t;
		const float *x = row_at(&h, c->in[0]->f32, n, head, t), *cos, *sin;
		float *y = c->out[0]->f32 + (x - c->in[0]->f32);

		if (op_given(c, 3)) {
			at = c->in[3]->i64[at];
			at = (int64_t)op_place(c, at, (size_t)rows);
		}
		cos = c->in[1]->f32 + at * (dim / 2);
		sin = c->in[2]->f32 + at * (dim / 2);
		for (int64_t k = 0; k < dim / 2; k++) {
			int64_t p = a->interleaved ? 2 * k : k,
				q = a->interleaved ? p + 1 : k + dim / 2;

			y[p] = cos[k] * x[p] - sin[k] * x[q];
			y[q] = sin[k] * x[p] + cos[k] * x[q];
		}
	}
}
OP_BY_LANE(rotary)

/* Keys of before, what is handed on to after, and masks of single heads stay as they are. */
static enum pare_flow flow_attention(const struct pare_shape_call *c)
{
	const struct pare_shape *mask = op_has(c, MASK) ? &c->in[MASK]->shape : NULL;

	return c->n_out > 1 || op_has(c, PAST_K) ||
			       (mask && mask->n > 2 && mask->d[mask->n - 3] != 1)
		       ? PARE_FLOW_BLOCK
		       : PARE_FLOW_HEADS;
}

/* clang-format off */
const struct pare_op pare_ops_attention[] = {
	{ .name = "Attention", .since = 23, .min_in = 3, .max_in = 7, .max_out = 4,
	  .attrs = attention_attrs, .attr_size = sizeof(struct attention),
	  .shape = shape_attention, .forward = attention_forward, .scratch = attention_scratch,
	  .macs = attention_macs, .flow = PARE_FLOW_HEADS, .flow_at = flow_attention,
	  .heads = { "q_num_heads", "kv_num_heads" },
	  .sample = "f32[1,4,3,2] f32[1,2,5,2] f32[1,2,5,6] f32[3,5]! softcap=2 outputs=1|"
		    "f32[1,3,8] f32[1,3,8] f32[1,3,8] q_num_heads=2 kv_num_heads=2 is_causal=1|"
		    "f32[1,1,2,4] f32[1,1,2,4] f32[1,1,2,4] bool+[2,4]! f32[1,1,2,4] f32[1,1,2,4] "
		    "outputs=4 qk_matmul_output_mode=3" },
	{ .name = "RotaryEmbedding", .since = 23, .min_in = 3, .max_in = 4, .attrs = rotary_attrs,
	  .attr_size = sizeof(struct rotary), .shape = shape_rotary, .forward = rotary_forward,
	  .scratch = op_lanes_scratch,
	  .sample = "f32[1,2,3,4] f32[7,2]! f32[7,2]! i64[1,3]|"
		    "f32[1,3,8] f32[1,3,1]! f32[1,3,1]! num_heads=2 rotary_embedding_dim=2 interleaved=1" },
	{ 0 } };
/* clang-format on */
