/* RNN, GRU and LSTM.  X [T, N, I], or [N, T, I] where layout is 1; W [directions, gates*H, I],
 * R [directions, gates*H, H], B [directions, 2*gates*H], lengths [N], initial states
 * [directions, N, H], P [directions, 3*H].
 *
 * Samples of the batch do not meet, so that N and the lanes are alike: what a step multiplies is
 * N rows, or with lanes N vectors of rows, by packed weights. */
#include "../graph/model.h"
#include "../run/kernels.h"
#include "curves.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

struct recurrent {
	const char *direction;
	struct pare_strings activations;
	struct pare_floats alpha, beta;
	float clip, output_clip;
	int64_t hidden, input_forget, layout, linear_before_reset;
};
#define AT(f) offsetof(struct recurrent, f)
static const struct pare_attr recurrent_attrs[] = { { "direction", PARE_ATTR_STRING, AT(direction),
							    0, 0 },
	{ "activations", PARE_ATTR_STRINGS, AT(activations), 0, 0 },
	{ "activation_alpha", PARE_ATTR_FLOATS, AT(alpha), 0, 0 },
	{ "activation_beta", PARE_ATTR_FLOATS, AT(beta), 0, 0 },
	{ "clip", PARE_ATTR_FLOAT, AT(clip), 0, 0 },
	{ "hidden_size", PARE_ATTR_INT, AT(hidden), 0, 0 },
	{ "input_forget", PARE_ATTR_INT, AT(input_forget), 0, 0 },
	{ "layout", PARE_ATTR_INT, AT(layout), 0, 0 },
	{ "linear_before_reset", PARE_ATTR_INT, AT(linear_before_reset), 0, 0 }, { 0 } };

enum { X, W, R, B, LENGTHS, H0, C0, PEEP };

/* ---- activations ---------------------------------------------------------------------------- */

struct curve {
	const char *name;
	float alpha, beta; /* presets */
	int n_alpha, n_beta;
};
enum {
	SIGMOID,
	TANH,
	RELU,
	AFFINE,
	LEAKY,
	THRESHOLDED,
	SCALED_TANH,
	HARD_SIGMOID,
	ELU,
	SOFTSIGN,
	SOFTPLUS,
	N_CURVES
};
static const struct curve curves[N_CURVES] = { [SIGMOID] = { "Sigmoid", 0, 0, 0, 0 },
	[TANH] = { "Tanh", 0, 0, 0, 0 },
	[RELU] = { "Relu", 0, 0, 0, 0 },
	[AFFINE] = { "Affine", 1, 0, 1, 1 },
	[LEAKY] = { "LeakyRelu", 0.01f, 0, 1, 0 },
	[THRESHOLDED] = { "ThresholdedRelu", 1, 0, 1, 0 },
	[SCALED_TANH] = { "ScaledTanh", 1, 1, 1, 1 },
	[HARD_SIGMOID] = { "HardSigmoid", 0.2f, 0.5f, 1, 1 },
	[ELU] = { "Elu", 1, 0, 1, 0 },
	[SOFTSIGN] = { "Softsign", 0, 0, 0, 0 },
	[SOFTPLUS] = { "Softplus", 0, 0, 0, 0 } };

struct activation {
	int curve;
	float alpha, beta;
};

static int curve_named(const char *name)
{
	int i = 0;

	while (i < N_CURVES && strcmp(curves[i].name, name))
		i++;
	return i;
}

static float rare(const struct activation *a, float x)
{
	switch (a->curve) {
	case RELU:
		return x < 0 ? 0 : x;
	case AFFINE:
		return a->alpha * x + a->beta;
	case LEAKY:
		return x < 0 ? a->alpha * x : x;
	case THRESHOLDED:
		return x >= a->alpha ? x : 0;
	case SCALED_TANH:
		return a->alpha * op_tanh(a->beta * x);
	case HARD_SIGMOID:
		x = a->alpha * x + a->beta;
		return x < 0 ? 0 : x > 1 ? 1 : x;
	case ELU:
		return x < 0 ? a->alpha * (expf(x) - 1) : x;
	case SOFTSIGN:
		return x / (1 + fabsf(x));
	default:
		return x > 20 ? x : log1pf(expf(x));
	}
}

/* ---- what it is ----------------------------------------------------------------------------- */

enum kind { RNN, GRU, LSTM };
static const int n_gates[] = { 1, 3, 4 };
static const int n_curves[] = { 1, 2, 3 };
static const int presets[][3] = { { TANH }, { SIGMOID, TANH }, { SIGMOID, TANH, TANH } };

/* Which row it is; defined behind them. */
static enum kind kind_of(const struct pare_op *op);

struct plan {
	enum kind kind;
	const struct recurrent *a;
	int gates, dirs;
	size_t t, n, in, h, rows; /* rows: gates * h */
	bool batch_first, reverse;
	bool joint; /* one product of input and state, that lie one behind the other, as x */
	struct activation f[2][3];
	/* Both products of each direction: with lanes, their biases included; of one sample, of
	 * all steps or of one, by weights turned to [in][rows]. */
	struct pare_conv x[2], r[2];
	const float *turned[2][2];
};

/* The activations of all directions in turn; alphas and betas go to those that take them. */
static void find_activations(const struct recurrent *a, enum kind kind, int dirs, struct plan *p)
{
	int alpha = 0, beta = 0;

	for (int i = 0; i < dirs * n_curves[kind]; i++) {
		int k = i < a->activations.n ? curve_named(a->activations.v[i])
					     : presets[kind][i % n_curves[kind]];
		struct activation *f = &p->f[i / n_curves[kind]][i % n_curves[kind]];

		*f = (struct activation){ k, curves[k].alpha, curves[k].beta };
		if (curves[k].n_alpha && alpha < a->alpha.n)
			f->alpha = a->alpha.v[alpha++];
		if (curves[k].n_beta && beta < a->beta.n)
			f->beta = a->beta.v[beta++];
	}
}

static struct plan plan_of(enum kind kind, const struct recurrent *a, const struct pare_shape *x,
	const struct pare_shape *r)
{
	struct plan p = { .kind = kind, .a = a, .gates = n_gates[kind], .dirs = (int)r->d[0] };

	p.batch_first = a->layout != 0;
	p.reverse = op_word(a->direction, "forward", "reverse");
	p.t = (size_t)x->d[p.batch_first];
	p.n = (size_t)x->d[!p.batch_first];
	p.in = (size_t)x->d[2];
	p.h = (size_t)r->d[2];
	p.rows = (size_t)p.gates * p.h;
	find_activations(a, kind, p.dirs, &p);
	return p;
}

static const char *refuse_recurrent(const struct pare_node *n, const void *attr)
{
	const struct recurrent *a = attr;
	bool two = op_word(a->direction, "forward", "bidirectional");

	if (!two && !op_word(a->direction, "forward", "forward") &&
		!op_word(a->direction, "forward", "reverse"))
		return "its direction";
	for (int i = 0; i < a->activations.n; i++)
		if (curve_named(a->activations.v[i]) == N_CURVES)
			return "one of its activations";
	if (a->activations.n && a->activations.n != n_curves[kind_of(n->op)] * (two ? 2 : 1))
		return "the number of its activations";
	return NULL;
}

static enum pare_status input_is(const struct pare_shape_call *c, int i, int64_t d0, int64_t d1,
	int64_t d2, struct pare_err *err)
{
	const struct pare_shape *s;
	int64_t want[] = { d0, d1, d2 };
	enum pare_status st;

	if (!op_has(c, i))
		return PARE_OK;
	s = &c->in[i]->shape;
	if ((st = op_types(c, i, i == LENGTHS ? OP_T(PARE_I32) : OP_F32, err)))
		return st;
	for (int k = 0; k < 3; k++)
		if (want[k] >= 0 && (s->n <= k || s->d[k] != want[k]))
			return pare_fail(err, PARE_E_FORMAT, "axis %d of input %d is not %lld long",
				k, i, (long long)want[k]);
	return PARE_OK;
}

static enum pare_status shape_recurrent(const struct pare_shape_call *c, struct pare_err *err)
{
	enum kind kind = kind_of(c->node->op);
	const struct recurrent *a = c->attr;
	const struct pare_shape *x = &c->in[X]->shape, *r = &c->in[R]->shape;
	int64_t dirs = op_word(a->direction, "forward", "bidirectional") ? 2 : 1, n, t, h, g;
	bool bf = a->layout != 0;
	enum pare_status st = op_types(c, X, OP_F32, err);

	if (st)
		return st;
	if (x->n != 3 || r->n != 3 || r->d[2] < 1 || r->d[2] > 1 << 24)
		return pare_fail(err, PARE_E_FORMAT, "input and weights must have three axes");
	t = x->d[bf];
	n = x->d[!bf];
	h = r->d[2];
	g = n_gates[kind] * h;
	if ((st = input_is(c, W, dirs, g, x->d[2], err)) ||
		(st = input_is(c, R, dirs, g, h, err)) ||
		(st = input_is(c, B, dirs, 2 * g, -1, err)) ||
		(st = input_is(c, LENGTHS, n, -1, -1, err)) ||
		(st = input_is(c, PEEP, dirs, 3 * h, -1, err)))
		return st;
	for (int i = H0; i <= C0; i++)
		if ((st = input_is(c, i, bf ? n : dirs, bf ? dirs : n, h, err)))
			return st;
	for (int i = 0; i < c->n_out; i++) {
		c->out[i].dtype = PARE_F32;
		c->out[i].shape = i    ? (struct pare_shape){ 3, { dirs, n, h } }
				  : bf ? (struct pare_shape){ 4, { n, t, dirs, h } }
				       : (struct pare_shape){ 4, { t, dirs, n, h } };
		if (i && bf)
			c->out[i].shape = (struct pare_shape){ 3, { n, dirs, h } };
	}
	return PARE_OK;
}

/* ---- products ------------------------------------------------------------------------------- */

/* Part of B: 0 that of W, 1 that of R. */
static const float *bias_at(const struct pare_call *c, const struct plan *p, int dir, int part)
{
	return op_given(c, B) ? c->in[B]->f32 + ((size_t)dir * 2 + (size_t)part) * p->rows : NULL;
}

/* One sample: w [rows][in] of a direction, part 0 that of the input, 1 that of the state. */
static enum pare_status plan_alone(const struct pare_call *c, struct plan *p, int dir, int part,
	struct pare_arena *a, struct pare_err *err)
{
	size_t in = part ? p->h : p->in;
	const float *w = c->in[part ? R : W]->f32 + (size_t)dir * p->rows * in;
	float *turned = pare_alloc_n(a, p->rows * in, sizeof *turned);

	if (!turned)
		return pare_nomem(err, "packed weights");
	for (size_t i = 0; i < in; i++)
		for (size_t j = 0; j < p->rows; j++)
			turned[i * p->rows + j] = w[j * in + i];
	p->turned[dir][part] = turned;
	return pare_wide_product_plan(c->k, part ? &p->r[dir] : &p->x[dir],
		part ? 1 : (int)(p->t * p->n), (int)p->rows, (int)in, a, err);
}

static enum pare_status plan_lanes(const struct pare_call *c, struct plan *p, int dir, int part,
	struct pare_arena *a, struct pare_err *err)
{
	size_t in = part ? p->h : p->in;

	return pare_product_plan(c->k, part ? &p->r[dir] : &p->x[dir], (int)in, (int)p->rows, 1,
		c->in[part ? R : W]->f32 + (size_t)dir * p->rows * in, bias_at(c, p, dir, part), a,
		err);
}

/* Both products of a direction as one. */
static enum pare_status plan_joint(const struct pare_call *c, struct plan *p, int dir,
	struct pare_arena *a, struct pare_err *err)
{
	size_t all = p->in + p->h;
	struct pare_arena *once = pare_arena_new();
	float *w = once ? pare_alloc_n(once, p->rows * all, sizeof *w) : NULL;
	float *bias = pare_alloc_n(a, p->rows, sizeof *bias);
	const float *x = bias_at(c, p, dir, 0), *r = bias_at(c, p, dir, 1);
	enum pare_status st;

	if (!w || !bias) {
		pare_arena_free(once);
		return pare_nomem(err, "packed weights");
	}
	for (size_t i = 0; i < p->rows; i++) {
		size_t row = (size_t)dir * p->rows + i;

		memcpy(w + i * all, c->in[W]->f32 + row * p->in, p->in * sizeof *w);
		memcpy(w + i * all + p->in, c->in[R]->f32 + row * p->h, p->h * sizeof *w);
		bias[i] = x ? x[i] + r[i] : 0;
	}
	st = pare_product_plan(c->k, &p->x[dir], (int)all, (int)p->rows, 1, w, bias, a, err);
	pare_arena_free(once);
	return st;
}

static enum pare_status recurrent_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	struct plan *p;
	enum pare_status st = PARE_OK;

	if (!c->in[W]->data || !c->in[R]->data)
		return PARE_OK;
	if (!(p = pare_alloc(a, sizeof *p)))
		return pare_nomem(err, "packed weights");
	*p = plan_of(kind_of(c->node->op), c->attr, &c->in[X]->shape, &c->in[R]->shape);
	if (c->lanes == 1 && (!p->in || !p->t || !p->n || p->t > INT32_MAX / p->n))
		return PARE_OK;
	p->joint = c->lanes > 1 && p->kind != GRU; /* that one has a product of its own */
	for (int i = 0; i < p->dirs && !st && p->joint; i++)
		st = plan_joint(c, p, i, a, err);
	for (int i = 0; i < 2 * p->dirs && !st && !p->joint; i++)
		st = (c->lanes == 1 ? plan_alone : plan_lanes)(c, p, i / 2, i % 2, a, err);
	if (st == PARE_E_UNSUPPORTED && c->lanes == 1)
		return PARE_OK;
	if (!st)
		*packed = p;
	return st;
}

/* out [n][rows][lanes] = x [n][in][lanes] times the weights of a direction, plus their bias. */
static void multiply(const struct pare_call *c, const struct plan *p, int dir, bool recurrent,
	const float *x, size_t n, float *out, float *scratch)
{
	const struct pare_finish none = { NULL, -INFINITY, INFINITY };
	const struct pare_conv *v = recurrent ? &p->r[dir] : &p->x[dir];
	size_t in = p->joint ? p->in + p->h : recurrent ? p->h : p->in, lanes = (size_t)c->lanes;
	const float *w = c->in[recurrent ? R : W]->f32 + (size_t)dir * p->rows * in;
	const float *bias = bias_at(c, p, dir, recurrent);

	if (c->packed && lanes > 1) {
		for (size_t i = 0; i < n; i++)
			pare_conv_run(c->k, v, x + i * in * lanes, out + i * p->rows * lanes, &none,
				scratch);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < p->rows; j++)
			out[i * p->rows + j] = bias ? bias[j] : 0;
	if (c->packed)
		for (size_t i = 0; i < n; i += (size_t)v->o) {
			struct pare_wide_side side = { x + i * in, in, 1, 1 };
			float *to = out + i * p->rows;
			struct pare_finish sum = { to, -INFINITY, INFINITY };

			pare_wide_product_run(
				c->k, v, &side, p->turned[dir][recurrent], to, &sum, scratch);
		}
	else if (in && n)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)p->rows, (int)in,
			1, x, (int)in, w, (int)in, 1, out, (int)p->rows);
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* One sample (with its lanes) at one step: x and r [gates*H] of both products, r NULL where x is
 * their sum; h and c its states, `w` the width H*lanes. */
struct step {
	const struct pare_call *c;
	const struct plan *p;
	int dir;
	size_t w;
	float *scratch, *turn; /* for GRU's second product: room for [rows] and [H] */
};

/* out = activation i of x, which is clipped first; out may be x. */
static void apply(const struct step *s, int i, float clip, float *x, size_t n, float *out)
{
	const struct activation *a = &s->p->f[s->dir][i];

	for (size_t j = 0; clip > 0 && j < n; j++)
		x[j] = x[j] < -clip ? -clip : x[j] > clip ? clip : x[j];
	if (a->curve == SIGMOID || a->curve == TANH)
		s->c->k->curve[a->curve == TANH ? PARE_TANH : PARE_LOGISTIC](x, out, n);
	else
		for (size_t j = 0; j < n; j++)
			out[j] = rare(a, x[j]);
}

OP_HOT static void add_to(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i];
}

/* h = (1 - z) * g + z * h */
OP_HOT static void blend(float *h, const float *z, const float *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h[i] = (1 - z[i]) * g[i] + z[i] * h[i];
}

OP_HOT static void multiply_to(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= y[i];
}

OP_HOT static void cell(float *c, const float *i, const float *f, const float *g, size_t n)
{
	for (size_t k = 0; k < n; k++)
		c[k] = f[k] * c[k] + i[k] * g[k];
}

static void rnn_step(const struct step *s, float *x, float *r, float *h)
{
	if (r)
		add_to(x, r, s->w);
	apply(s, 0, s->p->a->clip, x, s->w, h);
}

/* Gates z r h.  Unless linear_before_reset, the third product is of r * h. */
static void gru_step(const struct step *s, float *x, float *r, float *h)
{
	const struct plan *p = s->p;
	size_t w = s->w;
	float *z = x, *reset = x + w, *g = x + 2 * w, *third = r + 2 * w;

	add_to(z, r, 2 * w);
	apply(s, 0, p->a->clip, z, 2 * w, z);
	if (p->a->linear_before_reset)
		multiply_to(third, reset, w);
	else {
		float *all = s->turn + w;

		memcpy(s->turn, h, w * sizeof *h);
		multiply_to(s->turn, reset, w);
		multiply(s->c, p, s->dir, true, s->turn, 1, all, s->scratch);
		third = all + 2 * w;
	}
	add_to(g, third, w);
	apply(s, 1, p->a->clip, g, w, g);
	blend(h, z, g, w);
}

/* x += peephole * c, a number a unit */
static void peep(const struct step *s, float *x, const float *c, int gate)
{
	const struct pare_call *call = s->c;
	size_t h = s->p->h, lanes = (size_t)call->lanes;
	const float *w;

	if (!op_given(call, PEEP))
		return;
	w = call->in[PEEP]->f32 + ((size_t)s->dir * 3 + (size_t)gate) * h;
	for (size_t i = 0; i < h; i++)
		for (size_t l = 0; l < lanes; l++)
			x[i * lanes + l] += w[i] * c[i * lanes + l];
}

/* Gates i o f g; peepholes i o f. */
static void lstm_step(const struct step *s, float *x, float *r, float *h, float *c)
{
	const struct plan *p = s->p;
	size_t w = s->w;
	float *i = x, *o = x + w, *f = x + 2 * w, *g = x + 3 * w, clip = p->a->clip;

	if (r)
		add_to(x, r, 4 * w);
	peep(s, i, c, 0);
	peep(s, f, c, 2);
	apply(s, 0, clip, i, w, i);
	apply(s, 0, clip, f, w, f);
	for (size_t k = 0; p->a->input_forget && k < w; k++)
		f[k] = 1 - i[k];
	apply(s, 1, clip, g, w, g);
	cell(c, i, f, g, w);
	peep(s, o, c, 1);
	apply(s, 0, clip, o, w, o);
	apply(s, 2, 0, c, w, h);
	multiply_to(h, o, w);
}

/* ---- runs ----------------------------------------------------------------------------------- */

static size_t aligned(size_t n)
{
	return (n + 15) / 16 * 16;
}

/* Floats of what lies in scratch, one behind the other; front: of each h, before it. */
struct room {
	size_t x, r, h, cells, turn, front;
};

static struct room room_of(const struct plan *p, size_t lanes)
{
	struct room m = { 0 };

	m.x = aligned(lanes == 1 ? p->t * p->n * p->rows : p->n * p->rows * lanes);
	m.r = aligned(p->n * p->rows * lanes);
	m.front = p->joint ? p->in * lanes : 0;
	m.h = aligned(p->n * (m.front + p->h * lanes));
	m.cells = aligned(p->n * p->h * lanes);
	m.turn = aligned((p->rows + p->h) * lanes);
	return m;
}

static size_t product_scratch(const struct pare_call *c, const struct pare_conv *v)
{
	return c->lanes == 1 ? pare_wide_product_scratch(c->k, v) : pare_conv_scratch(c->k, v);
}

static size_t recurrent_scratch(const struct pare_call *c)
{
	const struct plan *packed = c->packed;
	struct plan p = plan_of(kind_of(c->node->op), c->attr, &c->in[X]->shape, &c->in[R]->shape);
	struct room m = room_of(packed ? packed : &p, (size_t)c->lanes);
	size_t most = 0;

	if (packed) {

		for (int d = 0; d < packed->dirs; d++) {
			size_t x = product_scratch(c, &packed->x[d]);
			size_t r = packed->joint ? 0 : product_scratch(c, &packed->r[d]);

			most = most > x ? most : x;
			most = most > r ? most : r;
		}
	}
	return (m.x + m.r + m.h + m.cells + m.turn) * sizeof(float) + most;
}

/* Where sample b of direction d lies in a state, in units of H. */
static size_t state_at(const struct plan *p, size_t b, int d)
{
	return p->batch_first ? b * (size_t)p->dirs + (size_t)d : (size_t)d * p->n + b;
}

static void load_state(
	const struct pare_call *c, const struct plan *p, int input, int d, float *state, size_t by)
{
	size_t w = p->h * (size_t)c->lanes;

	for (size_t b = 0; b < p->n; b++)
		if (op_given(c, input))
			memcpy(state + b * by, c->in[input]->f32 + state_at(p, b, d) * w,
				w * sizeof *state);
		else
			memset(state + b * by, 0, w * sizeof *state);
}

static void store_state(const struct pare_call *c, const struct plan *p, int output, int d,
	const float *state, size_t by)
{
	size_t w = p->h * (size_t)c->lanes;

	if (!op_wants(c, output))
		return;
	for (size_t b = 0; b < p->n; b++)
		memcpy(c->out[output]->f32 + state_at(p, b, d) * w, state + b * by,
			w * sizeof *state);
}

static size_t length_of(const struct pare_call *c, const struct plan *p, size_t b)
{
	int64_t n = op_given(c, LENGTHS) ? c->in[LENGTHS]->i32[b] : (int64_t)p->t;

	return n < 0 ? 0 : (size_t)n < p->t ? (size_t)n : p->t;
}

/* Where a sample's row of input and of output lie at a step, in rows. */
static void rows_at(const struct plan *p, int d, size_t b, size_t t, size_t *x, size_t *y)
{
	*x = p->batch_first ? b * p->t + t : t * p->n + b;
	*y = p->batch_first ? *x * (size_t)p->dirs + (size_t)d
			    : (t * (size_t)p->dirs + (size_t)d) * p->n + b;
}

/* x [gates*H] and r as in struct step; `in` is the row of input, h has room before it for it. */
static void run_step(const struct step *s, const float *in, float *x, float *r, float *h, float *c)
{
	const struct plan *p = s->p;
	size_t n = p->in * (size_t)s->c->lanes;

	if (p->joint) {
		memcpy(h - n, in, n * sizeof *h);
		multiply(s->c, p, s->dir, false, h - n, 1, x, s->scratch);
		r = NULL;
	} else if (s->c->lanes > 1)
		multiply(s->c, p, s->dir, false, in, 1, x, s->scratch);
	if (p->kind == RNN)
		rnn_step(s, x, r, h);
	else if (p->kind == GRU)
		gru_step(s, x, r, h);
	else
		lstm_step(s, x, r, h, c);
}

static void run_direction(const struct pare_call *c, const struct plan *p, int d)
{
	size_t lanes = (size_t)c->lanes, w = p->h * lanes, rows = p->rows * lanes;
	struct room m = room_of(p, lanes);
	float *x = c->scratch, *r = x + m.x, *h = r + m.r + m.front, *cells = r + m.r + m.h;
	float *turn = cells + m.cells;
	struct step s = { c, p, d, w, turn + m.turn, turn };
	bool back = p->reverse || d == 1;
	size_t by = m.front + w; /* from state to state */

	load_state(c, p, H0, d, h, by);
	load_state(c, p, C0, d, cells, w);
	if (lanes == 1)
		multiply(c, p, d, false, c->in[X]->f32, p->t * p->n, x, s.scratch);
	for (size_t i = 0; i < p->t; i++) {
		if (!p->joint)
			multiply(c, p, d, true, h, p->n, r, s.scratch);
		for (size_t b = 0; b < p->n; b++) {
			size_t len = length_of(c, p, b), from, to;
			float *y;

			rows_at(p, d, b, back && i < len ? len - 1 - i : i, &from, &to);
			y = c->out[0]->f32 + to * w;
			if (i >= len) {
				memset(y, 0, w * sizeof *y);
				continue;
			}
			run_step(&s, c->in[X]->f32 + from * p->in * lanes,
				x + (lanes == 1 ? from : b) * rows, r + b * rows, h + b * by,
				cells + b * w);
			memcpy(y, h + b * by, w * sizeof *y);
		}
	}
	store_state(c, p, 1, d, h, by);
	store_state(c, p, 2, d, cells, w);
}

static void recurrent_forward(const struct pare_call *c)
{
	struct plan own;
	const struct plan *p = c->packed;

	if (!p) {
		own = plan_of(kind_of(c->node->op), c->attr, &c->in[X]->shape, &c->in[R]->shape);
		p = &own;
	}
	for (int d = 0; d < p->dirs; d++)
		run_direction(c, p, d);
}

static int64_t recurrent_macs(const struct pare_shape_call *c)
{
	const struct pare_shape *x = &c->in[X]->shape;

	return x->d[0] * x->d[1] *
	       (pare_shape_elems(&c->in[W]->shape) + pare_shape_elems(&c->in[R]->shape));
}

/* The weights that read the input. */
static struct pare_weight_at recurrent_weight(const struct pare_node *n, const void *attr)
{
	(void)n;
	(void)attr;
	return (struct pare_weight_at){
		.input = W, .bias = -1, .out_axis = 1, .in_axis = 2, .groups = 1
	};
}

/* Both directions have one scale a row (weights are [directions, rows, in]), so that a row is that
 * of both, one behind the other, and a column has numbers for one of them. */
static struct plan shapes_of(const struct pare_call *c)
{
	return plan_of(kind_of(c->node->op), c->attr, &c->in[X]->shape, &c->in[R]->shape);
}

/* Steps at which an input's weights are multiplied by something: without a state to begin with R
 * has one less. */
static size_t inner_steps(const struct pare_call *c, const struct plan *p, int input)
{
	return input == W || op_given(c, H0) || !p->t ? p->t : p->t - 1;
}

static bool recurrent_inner(const struct pare_call *c, int input, struct pare_windows *w)
{
	struct plan p = shapes_of(c);
	size_t in = input == R ? p.h : p.in, steps = inner_steps(c, &p, input);

	if (!p.n || !steps || p.rows > INT32_MAX || in > INT32_MAX / 2)
		return false;
	*w = (struct pare_windows){ .groups = 1,
		.o = (int)p.rows,
		.k = p.dirs * (int)in,
		.columns = (int64_t)p.dirs * (int64_t)(steps * p.n),
		.inner = true };
	return true;
}

/* What weights are multiplied by at a step of direction d, counted as it goes: W by what enters, R
 * by the state before, which is the output there; of GRU without linear_before_reset, whose third
 * gate reads a part of that state, all the same. */
static const float *
inner_row(const struct pare_call *c, const struct plan *p, int input, int d, size_t b, size_t step)
{
	bool back = p->reverse || d == 1;
	size_t lanes = (size_t)c->lanes, x, y;

	if (input == R && !step)
		return c->in[H0]->f32 + state_at(p, b, d) * p->h * lanes;
	step -= input == R;
	rows_at(p, d, b, back ? p->t - 1 - step : step, &x, &y);
	return input == R ? c->out[0]->f32 + y * p->h * lanes : c->in[X]->f32 + x * p->in * lanes;
}

static void
recurrent_unfold(const struct pare_call *c, int input, int64_t from, int64_t n, float *to)
{
	struct plan p = shapes_of(c);
	size_t in = input == R ? p.h : p.in, lanes = (size_t)c->lanes;
	size_t steps = inner_steps(c, &p, input);

	for (size_t i = 0; i < (size_t)n; i++) {
		size_t at = (size_t)from + i, d = at / (steps * p.n);
		const float *row =
			inner_row(c, &p, input, (int)d, at % p.n, at / p.n % steps + (p.t - steps));

		for (size_t k = 0; k < in * (size_t)p.dirs; k++)
			if (k / in == d)
				memcpy(to + (k * (size_t)n + i) * lanes, row + k % in * lanes,
					lanes * sizeof *to);
			else
				memset(to + (k * (size_t)n + i) * lanes, 0, lanes * sizeof *to);
	}
}

/* Those that read its own state of the step before. */
static struct pare_weight_at state_weight(const struct pare_node *n, const void *attr)
{
	(void)n;
	(void)attr;
	return (struct pare_weight_at){
		.input = R, .bias = -1, .out_axis = 1, .in_axis = 2, .groups = 1, .alone = true
	};
}

/* B holds both of its parts, one behind the other; gates are runs of all units. */
static const struct pare_beside beside_weight[] = { { R, 1, false }, { R, 2, true },
	{ B, 1, false }, { H0, 2, false }, { C0, 2, false }, { PEEP, 1, false }, { 0 } };

/* clang-format off */
#define RECURRENT(n, in, out, pl, s)                                                               \
	{ .name = n, .since = 14, .min_in = 3, .max_in = in, .max_out = out,                       \
	  .attrs = recurrent_attrs, .attr_size = sizeof(struct recurrent),                         \
	  .refuse = refuse_recurrent, .shape = shape_recurrent, .forward = recurrent_forward,      \
	  .scratch = recurrent_scratch, .prepare = recurrent_prepare, .plain = pl,                 \
	  .macs = recurrent_macs, .weight = recurrent_weight,                                      \
	  .second = state_weight, .second_name = "R", .inner = recurrent_inner,                    \
	  .unfold_inner = recurrent_unfold, .flow = PARE_FLOW_STATES,                    \
	  .beside = beside_weight, .states = 1u << H0 | 1u << C0, .counts = "hidden_size",        \
	  .sample = s }
const struct pare_op pare_ops_recurrent[] = {
	[RNN] = RECURRENT("RNN", 6, 2, 0x1e,
		"f32[3,1,4] f32[1,5,4]! f32[1,5,5]! f32[1,10]! outputs=2|"
		"f32[3,1,4] f32[1,5,4]! f32[1,5,5]! _ _ f32[1,1,5] direction=reverse clip=0.5 "
		"activations=LeakyRelu activation_alpha=0.1"),
	[GRU] = RECURRENT("GRU", 6, 2, 0x1e,
		"f32[3,1,4] f32[1,15,4]! f32[1,15,5]! f32[1,30]! outputs=2|"
		"f32[3,2,4] f32[2,9,4]! f32[2,9,3]! f32[2,18]! i32{2,3} f32[2,2,3] outputs=2 "
		"direction=bidirectional linear_before_reset=1"),
	[LSTM] = RECURRENT("LSTM", 8, 3, 0x9e,
		"f32[3,1,4] f32[1,20,4]! f32[1,20,5]! f32[1,40]! outputs=3|"
		"f32[1,3,4] f32[2,12,4]! f32[2,12,3]! f32[2,24]! _ f32[1,2,3] f32[1,2,3] "
		"f32[2,9]! outputs=3 layout=1 direction=bidirectional|"
		"f32[3,1,4] f32[1,20,4]! f32[1,20,5]! input_forget=1 "
		"activations=HardSigmoid,Softsign,Relu"),
	{ 0 } };
/* clang-format on */

static enum kind kind_of(const struct pare_op *op)
{
	return (enum kind)(op - pare_ops_recurrent);
}
