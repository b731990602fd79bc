/* Rows that walk along time and hand a state on to the next call: linear attention, causal
 * convolution. */
#include "../graph/model.h"
#include "curves.h"
#include <math.h>
#include <string.h>

/* ---- LinearAttention ------------------------------------------------------------------------ */

/* Query [N, T, heads * dk], key [N, T, kv * dk], value [N, T, kv * dv]; state [N, kv, dk, dv];
 * decay [N, T, kv] or [N, T, kv * dk], beta [N, T, kv] or [N, T, 1]. */
struct linear {
	int64_t heads, kv, chunk;
	float scale;
	const char *rule;
};
#define AT(f) offsetof(struct linear, f)
static const struct pare_attr linear_attrs[] = { { "q_num_heads", PARE_ATTR_INT, AT(heads), 0, 0 },
	{ "kv_num_heads", PARE_ATTR_INT, AT(kv), 0, 0 },
	{ "chunk_size", PARE_ATTR_INT, AT(chunk), 64, 0 }, /* a hint */
	{ "scale", PARE_ATTR_FLOAT, AT(scale), 0, 0 },
	{ "update_rule", PARE_ATTR_STRING, AT(rule), 0, 0 }, { 0 } };
enum { QUERY, KEY, VALUE, STATE, DECAY, BETA };

static bool is_rule(const struct linear *a, const char *word)
{
	return op_word(a->rule, "gated_delta", word);
}

static bool gates(const struct linear *a)
{
	return is_rule(a, "gated") || is_rule(a, "gated_delta");
}

static bool corrects(const struct linear *a)
{
	return is_rule(a, "delta") || is_rule(a, "gated_delta");
}

static const char *refuse_linear(const struct pare_node *n, const void *attr)
{
	const struct linear *a = attr;

	(void)n;
	return gates(a) || corrects(a) || is_rule(a, "linear") ? NULL : "its update_rule";
}

/* Is input i [n, t, d], of one of two d? */
static bool rows_fit(const struct pare_shape_call *c, int i, int64_t d, int64_t or_d)
{
	const struct pare_shape *q = &c->in[QUERY]->shape, *s = &c->in[i]->shape;

	return s->n == 3 && s->d[0] == q->d[0] && s->d[1] == q->d[1] &&
	       (s->d[2] == d || s->d[2] == or_d);
}

static enum pare_status shape_linear(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct linear *a = c->attr;
	const struct pare_shape *q = &c->in[QUERY]->shape, *v = &c->in[VALUE]->shape;
	struct pare_shape state;
	int64_t dk, dv;

	for (int i = 0; i < c->n_in; i++) {
		enum pare_status st = c->in[i] ? op_types(c, i, OP_F32, err) : PARE_OK;

		if (st)
			return st;
	}
	if (a->heads < 1 || a->kv < 1 || a->heads % a->kv || q->n != 3 || v->n != 3 ||
		q->d[2] % a->heads || v->d[2] % a->kv)
		return pare_fail(err, PARE_E_FORMAT, "its heads do not fit query and value");
	if (op_has(c, DECAY) != gates(a) || op_has(c, BETA) != corrects(a))
		return pare_fail(
			err, PARE_E_FORMAT, "decay or beta are not what its update_rule needs");
	dk = q->d[2] / a->heads;
	dv = v->d[2] / a->kv;
	state = (struct pare_shape){ 4, { q->d[0], a->kv, dk, dv } };
	if (!rows_fit(c, KEY, a->kv * dk, -1) || !rows_fit(c, VALUE, v->d[2], -1) ||
		(op_has(c, STATE) && !pare_shape_equal(&c->in[STATE]->shape, &state)) ||
		(gates(a) && !rows_fit(c, DECAY, a->kv, a->kv * dk)) ||
		(corrects(a) && !rows_fit(c, BETA, a->kv, 1)))
		return pare_fail(err, PARE_E_FORMAT, "its inputs do not fit each other");
	for (int i = 0; i < c->n_out; i++)
		c->out[i].dtype = PARE_F32;
	c->out[0].shape = (struct pare_shape){ 3, { q->d[0], q->d[1], a->heads * dv } };
	if (c->n_out > 1)
		c->out[1].shape = state;
	return PARE_OK;
}

/* One step of one head of keys and values: state [dk][dv], row v in room for dv. */
struct beat {
	float *state, *v;
	const float *k, *decay, *beta; /* decay, beta: NULL = none */
	size_t dk, dv, decays;         /* how many decays: 1 or dk */
};

static void beat_run(const struct beat *b, const float *value)
{
	memcpy(b->v, value, b->dv * sizeof *value);
	for (size_t i = 0; b->decay && i < b->dk; i++) {
		float keep = expf(b->decay[b->decays > 1 ? i : 0]);

		for (size_t j = 0; j < b->dv; j++)
			b->state[i * b->dv + j] *= keep;
	}
	for (size_t j = 0; b->beta && j < b->dv; j++) {
		float there = 0;

		for (size_t i = 0; i < b->dk; i++)
			there += b->state[i * b->dv + j] * b->k[i];
		b->v[j] = *b->beta * (b->v[j] - there);
	}
	for (size_t i = 0; i < b->dk; i++)
		for (size_t j = 0; j < b->dv; j++)
			b->state[i * b->dv + j] += b->k[i] * b->v[j];
}

static void read_state(const struct beat *b, const float *q, float scale, float *out)
{
	for (size_t j = 0; j < b->dv; j++) {
		float sum = 0;

		for (size_t i = 0; i < b->dk; i++)
			sum += q[i] * b->state[i * b->dv + j];
		out[j] = scale * sum;
	}
}

static const float *row_of(const struct pare_call *c, int i, size_t row)
{
	return c->in[i]->f32 + row * (size_t)c->in[i]->shape.d[2];
}

/* All heads at step `row`, counted through the batch. */
static void step_run(const struct pare_call *c, struct beat b, size_t row, float *states)
{
	const struct linear *a = c->attr;
	size_t kv = (size_t)a->kv, share = (size_t)a->heads / kv;
	float scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)b.dk);
	float *out = c->out[0]->f32 + row * (size_t)a->heads * b.dv;

	for (size_t h = 0; h < kv; h++) {
		b.state = states + h * b.dk * b.dv;
		b.k = row_of(c, KEY, row) + h * b.dk;
		b.decays = gates(a) ? (size_t)c->in[DECAY]->shape.d[2] / kv : 0;
		b.decay = gates(a) ? row_of(c, DECAY, row) + h * b.decays : NULL;
		b.beta = corrects(a) ? row_of(c, BETA, row) + (c->in[BETA]->shape.d[2] > 1 ? h : 0)
				     : NULL;
		beat_run(&b, row_of(c, VALUE, row) + h * b.dv);
		for (size_t g = h * share; g < (h + 1) * share; g++)
			read_state(&b, row_of(c, QUERY, row) + g * b.dk, scale, out + g * b.dv);
	}
}

static void linear_one(const struct pare_call *c)
{
	const struct linear *a = c->attr;
	const struct pare_shape *q = &c->in[QUERY]->shape;
	size_t n = (size_t)q->d[0], t = (size_t)q->d[1];
	struct beat b = { .dk = (size_t)(q->d[2] / a->heads),
		.dv = (size_t)(c->in[VALUE]->shape.d[2] / a->kv),
		.v = c->scratch };
	size_t size = (size_t)a->kv * b.dk * b.dv;
	float *states = b.v + b.dv;

	for (size_t i = 0; i < n; i++) {
		if (op_given(c, STATE))
			memcpy(states, c->in[STATE]->f32 + i * size, size * sizeof *states);
		else
			memset(states, 0, size * sizeof *states);
		for (size_t j = 0; j < t; j++)
			step_run(c, b, i * t + j, states);
		if (op_wants(c, 1))
			memcpy(c->out[1]->f32 + i * size, states, size * sizeof *states);
	}
}
OP_BY_LANE(linear)

static size_t scratch_linear(const struct pare_call *c)
{
	const struct linear *a = c->attr;
	size_t dk = (size_t)(c->in[QUERY]->shape.d[2] / a->heads);

	return op_lanes_scratch(c) + (dk + 1) * (size_t)c->in[VALUE]->shape.d[2] * sizeof(float);
}

static int64_t linear_macs(const struct pare_shape_call *c)
{
	const struct linear *a = c->attr;
	const struct pare_shape *q = &c->in[QUERY]->shape;
	int64_t dk = q->d[2] / a->heads, dv = c->in[VALUE]->shape.d[2] / a->kv;

	return q->d[0] * q->d[1] * dk * dv * (a->heads + a->kv * (1 + corrects(a)));
}

/* ---- CausalConvWithState -------------------------------------------------------------------- */

/* Input [N, C, L], weight [C, 1, K], bias [C], what came before [N, C, K-1]. */
struct causal {
	const char *activation;
};
static const struct pare_attr causal_attrs[] = {
	{ "activation", PARE_ATTR_STRING, offsetof(struct causal, activation), 0, 0 }, { 0 }
};
enum { X, W, B, PAST };

static const char *refuse_causal(const struct pare_node *n, const void *attr)
{
	const struct causal *a = attr;

	(void)n;
	return op_word(a->activation, "none", "none") || op_word(a->activation, "none", "silu") ||
			       op_word(a->activation, "none", "swish")
		       ? NULL
		       : "its activation";
}

static enum pare_status shape_causal(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[X]->shape, *w = &c->in[W]->shape;
	struct pare_shape past;

	for (int i = 0; i < c->n_in; i++) {
		enum pare_status st = c->in[i] ? op_types(c, i, OP_F32, err) : PARE_OK;

		if (st)
			return st;
	}
	if (x->n != 3 || w->n != 3 || w->d[0] != x->d[1] || w->d[1] != 1 || w->d[2] < 1)
		return pare_fail(err, PARE_E_FORMAT, "input and weight do not fit");
	past = (struct pare_shape){ 3, { x->d[0], x->d[1], w->d[2] - 1 } };
	if ((op_has(c, B) && pare_shape_elems(&c->in[B]->shape) != x->d[1]) ||
		(op_has(c, PAST) && !pare_shape_equal(&c->in[PAST]->shape, &past)))
		return pare_fail(err, PARE_E_FORMAT, "bias or state do not fit");
	for (int i = 0; i < c->n_out; i++) {
		c->out[i].dtype = PARE_F32;
		c->out[i].shape = i ? past : *x;
	}
	return PARE_OK;
}

/* Position t of a channel, from -(K-1) on. */
static float heard(const float *x, const float *past, int64_t t, int64_t k)
{
	return t >= 0 ? x[t] : past ? past[k - 1 + t] : 0;
}

static void causal_one(const struct pare_call *c)
{
	const struct causal *a = c->attr;
	const struct pare_shape *s = &c->in[X]->shape;
	int64_t k = c->in[W]->shape.d[2], length = s->d[2];
	bool silu = !op_word(a->activation, "none", "none");

	for (int64_t i = 0; i < s->d[0] * s->d[1]; i++) {
		int64_t channel = i % s->d[1];
		const float *x = c->in[X]->f32 + i * length, *w = c->in[W]->f32 + channel * k;
		const float *past = op_given(c, PAST) ? c->in[PAST]->f32 + i * (k - 1) : NULL;
		float bias = op_given(c, B) ? c->in[B]->f32[channel] : 0;

		for (int64_t t = 0; t < length; t++) {
			float sum = bias;

			for (int64_t j = 0; j < k; j++)
				sum += w[j] * heard(x, past, t + j - (k - 1), k);
			c->out[0]->f32[i * length + t] = silu ? sum * op_logistic(sum) : sum;
		}
		for (int64_t j = 0; op_wants(c, 1) && j < k - 1; j++)
			c->out[1]->f32[i * (k - 1) + j] = heard(x, past, length + j - (k - 1), k);
	}
}
OP_BY_LANE(causal)

static int64_t causal_macs(const struct pare_shape_call *c)
{
	return pare_shape_elems(&c->in[X]->shape) * c->in[W]->shape.d[2];
}

/* clang-format off */
const struct pare_op pare_ops_stateful[] = {
	{ .name = "LinearAttention", .since = 27, .min_in = 3, .max_in = 6, .max_out = 2,
	  .attrs = linear_attrs, .attr_size = sizeof(struct linear), .refuse = refuse_linear,
	  .shape = shape_linear, .forward = linear_forward, .scratch = scratch_linear,
	  .macs = linear_macs,
	  .sample = "f32[1,3,8] f32[1,3,4] f32[1,3,6] f32[1,2,2,3] f32[1,3,2] f32[1,3,1] "
		    "q_num_heads=4 kv_num_heads=2 outputs=2|"
		    "f32[1,2,4] f32[1,2,4] f32[1,2,4] q_num_heads=2 kv_num_heads=2 "
		    "update_rule=linear|"
		    "f32[1,2,4] f32[1,2,4] f32[1,2,4] _ f32[1,2,4] q_num_heads=2 kv_num_heads=2 "
		    "update_rule=gated" },
	{ .name = "CausalConvWithState", .since = 27, .min_in = 2, .max_in = 4, .max_out = 2,
	  .attrs = causal_attrs, .attr_size = sizeof(struct causal), .refuse = refuse_causal,
	  .shape = shape_causal, .forward = causal_forward, .scratch = op_lanes_scratch,
	  .macs = causal_macs,
	  .sample = "f32[1,2,5] f32[2,1,3]! f32[2]! f32[1,2,2] activation=silu outputs=2|"
		    "f32[1,2,1] f32[2,1,3]! outputs=2" },
	{ 0 } };
/* clang-format on */
