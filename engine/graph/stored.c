/* What the file has quantized already: weights that stand for codes, and quantizers before layers.
 * They leave the graph: layers have float32 weights and read floats, and what the file said is kept
 * beside them, to run as the file does and to stand on the dials. */
#include "../base/err.h"
#include "simplify.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_INPUTS = 8 }; /* of the nodes that this looks at */

/* ---- codes ----------------------------------------------------------------------------------- */

static const struct pare_codes *
codes_of(struct pare_arena *a, const struct pare_shape_call *c, const struct pare_codes *const *in)
{
	const struct pare_op *op = c->node->op;
	struct pare_codes_call call = { c, in, a };
	struct pare_codes x;

	if (!op->codes || !op->codes(&call, &x))
		return NULL;
	x.least = x.most = 0;
	for (int64_t i = 0; i < x.n; i++)
		if (!(x.scale[i] > 0) || !isfinite(x.scale[i]))
			return NULL;
	return pare_memdup(a, &x, sizeof x); /* without memory there are none */
}

const struct pare_codes *pare_simplify_codes(
	const struct pare_simplifier *s, const struct pare_node *n, const struct pare_shape_call *c)
{
	const struct pare_codes *in[MOST_INPUTS] = { NULL };

	if (n->n_in > MOST_INPUTS)
		return NULL;
	for (int i = 0; i < n->n_in; i++)
		in[i] = n->in[i] < 0 ? NULL : s->g->vars[n->in[i]].codes;
	return codes_of(s->a, c, in);
}

/* What the codes are that a node gives activations, by constants alone. */
static const struct pare_codes *
coding_of(const struct pare_simplifier *s, const struct pare_node *n)
{
	const struct pare_known *in[MOST_INPUTS] = { NULL };
	const struct pare_codes *none[MOST_INPUTS] = { NULL };
	struct pare_shape_call c = {
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in
	};

	if (n->n_in > MOST_INPUTS)
		return NULL;
	for (int i = 0; i < n->n_in; i++)
		in[i] = n->in[i] < 0 ? NULL : &s->g->vars[n->in[i]].declared;
	return codes_of(s->a, &c, none);
}

/* The type in which codes that the file holds as floats are written. */
static enum pare_dtype store_of(const struct pare_codes *g)
{
	return g->store                        ? g->store
	       : g->lo >= -8 && g->hi <= 7     ? PARE_I4
	       : g->lo >= -128 && g->hi <= 127 ? PARE_I8
	       : g->lo >= 0 && g->hi <= 255    ? PARE_U8
					       : PARE_UNDEFINED;
}

/* Each weight is what one of the codes stands for; how far they reach is learnt on the way. */
static bool lies_on(const struct pare_tensor *w, struct pare_codes *g)
{
	int64_t n = pare_shape_elems(&w->shape);

	if (!pare_codes_fit(g, &w->shape))
		return false;
	for (int64_t i = 0; i < n; i++) {
		int64_t c = pare_codes_at(g, &w->shape, i);
		float steps = rintf(w->f32[i] / g->scale[c]), x = steps * g->scale[c];

		if (!(steps >= (float)(g->lo - g->zero[c])) ||
			!(steps <= (float)(g->hi - g->zero[c])) ||
			fabsf(x - w->f32[i]) > 0x1p-20f * fabsf(x))
			return false;
		g->least = (int)steps < g->least ? (int)steps : g->least;
		g->most = (int)steps > g->most ? (int)steps : g->most;
	}
	return true;
}

static enum pare_status
keep_codes(struct pare_simplifier *s, const struct pare_node *n, struct pare_weight_at weight)
{
	int at = weight.input;
	struct pare_var *v = at < 0 ? NULL : &s->g->vars[n->in[at]];
	struct pare_codes *own;

	if (!v || !v->codes)
		return PARE_OK;
	if (!(own = pare_memdup(s->a, v->codes, sizeof *own)))
		return pare_nomem(s->err, "its graph");
	own->store = store_of(own);
	v->codes = own->store && pare_dtype_bits(own->store) <= 8 && lies_on(v->declared.value, own)
			   ? own
			   : NULL;
	return PARE_OK;
}

/* ---- activations ----------------------------------------------------------------------------- */

static struct pare_node *maker(const struct pare_simplifier *s, int var)
{
	int from = s->g->vars[var].producer;

	return from < 0 || s->gone[from] || !s->g->nodes[from].op || s->g->nodes[from].in[0] < 0
		       ? NULL
		       : &s->g->nodes[from];
}

static bool same_codes(const struct pare_codes *a, const struct pare_codes *b)
{
	return a && b && a->n == 1 && b->n == 1 && a->scale[0] == b->scale[0] &&
	       a->zero[0] == b->zero[0] && a->store == b->store;
}

/* Bounds of a node that clamps its first input. */
static bool
clamp_of(const struct pare_simplifier *s, const struct pare_node *n, float *lo, float *hi)
{
	const struct pare_tensor x = { .dtype = PARE_F32, .lanes = 1 };
	const struct pare_tensor *in[MOST_INPUTS] = { &x };
	struct pare_call c = { .node = n, .attr = n->attr, .lanes = 1, .n_in = n->n_in, .in = in };

	if (!n->op->clamp || n->n_in > MOST_INPUTS)
		return false;
	for (int i = 1; i < n->n_in; i++) {
		if (n->in[i] >= 0 && !pare_simplify_is_constant(s, n, i))
			return false;
		in[i] = n->in[i] < 0 ? NULL : s->g->vars[n->in[i]].declared.value;
	}
	return n->op->clamp(&c, lo, hi);
}

/* The code that a bound stands for; false when it is none of them. */
static bool code_of(float bound, const struct pare_act_quant *q, int *code)
{
	float steps = rintf(bound / q->scale);

	if (!(steps >= (float)(q->lo - q->zero)) || !(steps <= (float)(q->hi - q->zero)) ||
		fabsf(steps * q->scale - bound) > 0x1p-20f * fabsf(bound))
		return false;
	*code = (int)steps + q->zero;
	return true;
}

/* A clamp to what codes stand for, beside a quantizer, leaves it fewer codes; the value that the
 * clamp reads, or `var` when it is no such clamp. */
static int through_clamp(const struct pare_simplifier *s, int var, struct pare_act_quant *q)
{
	const struct pare_node *n = maker(s, var);
	float lo, hi;
	int first, last;

	if (!n || !clamp_of(s, n, &lo, &hi) || !code_of(lo, q, &first) || !code_of(hi, q, &last))
		return var;
	q->lo = first;
	q->hi = last;
	return n->in[0];
}

/* Behind node n, a quantizer of one scale: *q, and the value that enters it; -1: it is none. */
static int
quantizer(const struct pare_simplifier *s, const struct pare_node *n, struct pare_act_quant *q)
{
	const struct pare_codes *g = n->op->coding ? coding_of(s, n) : NULL;
	int from = n->in[0];

	if (!g || g->n != 1)
		return -1;
	if (n->op->coding == PARE_CODING_DECODE) {
		const struct pare_node *e = maker(s, from);

		if (!e || e->op->coding != PARE_CODING_ENCODE || !same_codes(g, coding_of(s, e)))
			return -1;
		from = e->in[0];
	} else if (n->op->coding != PARE_CODING_ROUND || g->zero[0] % 2)
		return -1; /* with an odd zero point halves go the other way */
	if (g->zero[0] < g->lo || g->zero[0] > g->hi)
		return -1;
	*q = (struct pare_act_quant){
		.on = true, .scale = g->scale[0], .zero = g->zero[0], .lo = g->lo, .hi = g->hi
	};
	return from;
}

static enum pare_status take_quantizer(struct pare_simplifier *s, struct pare_node *n)
{
	int at = 0, from, behind = -1;
	struct pare_act_quant q;
	const struct pare_node *m;
	int *in;

	if (pare_graph_weight(s->g, n).input < 0)
		return PARE_OK;
	while (at < n->n_in && (n->in[at] < 0 || pare_simplify_is_constant(s, n, at)))
		at++;
	if (at == n->n_in || !(m = maker(s, n->in[at])))
		return PARE_OK;
	if (m->op->clamp) {
		behind = n->in[at];
		m = maker(s, m->in[0]);
	}
	if (!m || (from = quantizer(s, m, &q)) < 0)
		return PARE_OK;
	if (behind >= 0 && through_clamp(s, behind, &q) == behind)
		return PARE_OK; /* what lies between changes more than the codes */
	from = through_clamp(s, from, &q);
	if (s->g->vars[from].declared.value)
		return PARE_OK;
	if (!(n->act = pare_memdup(s->a, &q, sizeof q)) ||
		!(in = pare_memdup(s->a, n->in, (size_t)n->n_in * sizeof *in)))
		return pare_nomem(s->err, "its graph");
	s->uses[in[at]]--;
	s->uses[from]++;
	in[at] = from;
	n->in = in;
	return PARE_OK;
}

enum pare_status pare_simplify_quantizers(struct pare_simplifier *s)
{
	for (int i = 0; i < s->g->n_nodes; i++) {
		enum pare_status st = PARE_OK;

		if (s->gone[i] || !s->g->nodes[i].op)
			continue;
		st = keep_codes(s, &s->g->nodes[i], pare_graph_weight(s->g, &s->g->nodes[i]));
		if (!st)
			st = keep_codes(
				s, &s->g->nodes[i], pare_graph_second(s->g, &s->g->nodes[i]));
		if (!st && s->outermost) /* layers are those of the outermost graph */
			st = take_quantizer(s, &s->g->nodes[i]);
		if (st)
			return st;
	}
	return PARE_OK;
}
