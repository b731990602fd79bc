/* Nodes that run graphs: If, Loop, Scan.  What comes out has the shapes that running gives it. */
#include "../graph/model.h"
#include "kit.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PILED ((size_t)1 << 33) /* bytes that a loop may pile up */
enum { LOOP_OWN = 2 };               /* Loop's count and condition stand before what it carries */

static enum pare_status shape_unknown(const struct pare_shape_call *c, struct pare_err *err)
{
	(void)c;
	return pare_fail(err, PARE_E_UNSUPPORTED, "what its graph makes is known when it has run");
}

static int own_inputs(const struct pare_graph *g)
{
	return g->n_in - g->n_captured;
}

static enum pare_status read_bool(const struct pare_tensor *t, bool *out, struct pare_err *err)
{
	if (t->dtype != PARE_BOOL || pare_shape_elems(&t->shape) != 1)
		return pare_fail(err, PARE_E_FORMAT, "its condition is not one bool");
	*out = t->u8[0];
	return PARE_OK;
}

static enum pare_status copy_tensor(struct pare_arena *a, const struct pare_tensor *x,
	struct pare_tensor *out, struct pare_err *err)
{
	size_t bytes;
	void *data;

	if (!pare_dtype_bytes(x->dtype, pare_shape_elems(&x->shape), &bytes) ||
		!(data = pare_memdup(a, x->data, bytes)))
		return pare_nomem(err, "a value");
	*out = *x;
	out->data = data;
	return PARE_OK;
}

/* ---- If -------------------------------------------------------------------------------------- */

struct branches {
	struct pare_graph *yes, *no;
};

static enum pare_status if_check(struct pare_node *n, int opset, struct pare_err *err)
{
	const struct branches *b = n->attr;

	(void)opset;
	if (own_inputs(b->yes) || own_inputs(b->no))
		return pare_fail(err, PARE_E_FORMAT, "its branches have inputs");
	if (b->yes->n_out != n->n_out || b->no->n_out != n->n_out)
		return pare_fail(err, PARE_E_FORMAT, "its branches make %d and %d values, not %d",
			b->yes->n_out, b->no->n_out, n->n_out);
	return PARE_OK;
}

static const struct pare_graph *if_choose(const struct pare_node *n, const struct pare_tensor *x)
{
	const struct branches *b = n->attr;
	bool yes = false;

	return read_bool(x, &yes, NULL) ? NULL : yes ? b->yes : b->no;
}

static enum pare_status if_run(const struct pare_control *c, struct pare_err *err)
{
	const struct branches *b = c->attr;
	enum pare_status st;
	bool yes = false;

	if ((st = read_bool(c->in[0], &yes, err)))
		return st;
	return c->run(c, yes ? b->yes : b->no, NULL, c->a, c->out, err);
}

/* ---- what one step after the other makes ----------------------------------------------------- */

struct pile {
	struct pare_tensor like; /* one of them */
	int64_t n;
	size_t bytes, room; /* of one, of all */
	char *data;
};

static enum pare_status pile_put(struct pile *p, const struct pare_tensor *x, struct pare_err *err)
{
	size_t bytes, used;

	if (!p->n) {
		if (x->shape.n == PARE_MAX_DIMS || pare_dtype_bits(x->dtype) < 8 ||
			!pare_dtype_bytes(x->dtype, pare_shape_elems(&x->shape), &bytes))
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"values of this kind cannot be put one after the other");
		p->like = *x;
		p->bytes = bytes;
	} else if (x->dtype != p->like.dtype || !pare_shape_equal(&x->shape, &p->like.shape))
		return pare_fail(
			err, PARE_E_MISMATCH, "what its graph makes changes its shape or type");
	used = (size_t)p->n * p->bytes;
	if (p->room - used < p->bytes) {
		size_t room = 2 * used + p->bytes;
		char *data = room > MOST_PILED ? NULL : realloc(p->data, room);

		if (!data)
			return pare_nomem(err, "what a loop makes");
		p->data = data;
		p->room = room;
	}
	if (p->bytes)
		memcpy(p->data + used, x->data, p->bytes);
	p->n++;
	return PARE_OK;
}

/* All of them in one tensor, along a new axis; none: as the graph declares what it would make. */
static enum pare_status
pile_take(const struct pile *p, const struct pare_known *declared, int64_t axis, bool backwards,
	struct pare_arena *a, struct pare_tensor *out, struct pare_err *err)
{
	struct pare_tensor x = p->like;
	size_t outer, inner, total;
	char *to;
	int at;

	x.lanes = 1;
	if (!p->n) {
		x.dtype = declared->dtype ? declared->dtype : PARE_F32;
		x.shape = declared->shape;
		x.shape.n = x.shape.n < 0 || x.shape.n == PARE_MAX_DIMS ? 0 : x.shape.n;
	}
	if (pare_axis(axis, x.shape.n + 1, &at, err))
		return PARE_E_FORMAT;
	for (int i = x.shape.n++; i > at; i--)
		x.shape.d[i] = x.shape.d[i - 1];
	x.shape.d[at] = p->n;
	for (int i = 0; i < x.shape.n; i++)
		x.shape.d[i] = x.shape.d[i] < 0 ? 0 : x.shape.d[i];
	if (!pare_dtype_bytes(x.dtype, pare_shape_elems(&x.shape), &total) ||
		!(x.data = to = pare_alloc(a, total)))
		return pare_nomem(err, "what a loop makes");
	outer = op_span(&x.shape, 0, at);
	inner = outer ? p->bytes / outer : 0;
	for (size_t o = 0; o < outer && total; o++)
		for (int64_t k = 0; k < p->n; k++, to += inner)
			memcpy(to,
				p->data + (size_t)(backwards ? p->n - 1 - k : k) * p->bytes +
					o * inner,
				inner);
	*out = x;
	return PARE_OK;
}

/* Steps of a graph: what is carried from one to the next lives in `state`, the rest of a step is
 * gone when the next begins. */
struct steps {
	const struct pare_control *c;
	const struct pare_graph *body;
	int n_carried, n_piles;
	struct pare_arena *state;
	struct pare_tensor *in, *out; /* of the body */
	struct pile *pile;
};

static enum pare_status steps_begin(struct steps *s, const struct pare_control *c,
	const struct pare_graph *body, int n_carried, int n_piles, struct pare_err *err)
{
	*s = (struct steps){ c, body, n_carried, n_piles, NULL, NULL, NULL, NULL };
	s->in = pare_alloc_n(c->a, (size_t)own_inputs(body) + 1, sizeof *s->in);
	s->out = pare_alloc_n(c->a, (size_t)body->n_out, sizeof *s->out);
	s->pile = pare_alloc_n(c->a, (size_t)n_piles + 1, sizeof *s->pile);
	return s->in && s->out && s->pile ? PARE_OK : pare_nomem(err, "a loop");
}

/* in[]: filled by the caller but for what was carried, which lies at `carried_in`; out: carried at
 * `carried_out`, then the piles.  `more`: the bool before what is carried; NULL = none. */
static enum pare_status
steps_next(struct steps *s, int carried_in, int carried_out, bool *more, struct pare_err *err)
{
	struct pare_arena *step = pare_arena_new(), *state = pare_arena_new();
	enum pare_status st = step && state ? PARE_OK : pare_nomem(err, "a loop");

	if (!st && --*s->c->turns < 0)
		st = pare_fail(err, PARE_E_UNSUPPORTED,
			"its network's loops take over a million steps; does the condition ever "
			"become "
			"false?");
	if (!st)
		st = s->c->run(s->c, s->body, s->in, step, s->out, err);
	if (!st && more)
		st = read_bool(&s->out[0], more, err);
	for (int i = 0; i < s->n_carried && !st; i++)
		st = copy_tensor(state, &s->out[carried_out + i], &s->in[carried_in + i], err);
	for (int i = 0; i < s->n_piles && !st; i++)
		st = pile_put(&s->pile[i], &s->out[carried_out + s->n_carried + i], err);
	pare_arena_free(step);
	pare_arena_free(s->state);
	s->state = state;
	return st;
}

static void steps_end(struct steps *s)
{
	pare_arena_free(s->state);
	for (int i = 0; s->pile && i < s->n_piles; i++)
		free(s->pile[i].data);
}

/* ---- Loop ------------------------------------------------------------------------------------ */

struct body {
	struct pare_graph *g;
	/* Scan alone: */
	int64_t n_scanned;
	struct pare_ints in_axes, out_axes, in_back, out_back;
};

static enum pare_status loop_check(struct pare_node *n, int opset, struct pare_err *err)
{
	const struct pare_graph *g = ((const struct body *)n->attr)->g;
	int n_carried = own_inputs(g) - LOOP_OWN;

	(void)opset;
	if (n_carried < 0 || g->first_captured != LOOP_OWN + n_carried ||
		g->n_out != n->n_out + 1 || n->n_out < n_carried)
		return pare_fail(err, PARE_E_FORMAT,
			"it has %d inputs and %d outputs, its graph %d and %d", g->first_captured,
			n->n_out, own_inputs(g), g->n_out);
	for (int i = 0; i < n_carried; i++)
		if (n->in[LOOP_OWN + i] < 0)
			return pare_fail(err, PARE_E_FORMAT, "input %d is missing", LOOP_OWN + i);
	return PARE_OK;
}

static enum pare_status loop_run(const struct pare_control *c, struct pare_err *err)
{
	const struct body *b = c->attr;
	int n_carried = own_inputs(b->g) - LOOP_OWN, n_piles = b->g->n_out - 1 - n_carried;
	int64_t most = INT64_MAX, turn = 0;
	bool more = true, always = !c->in[1];
	struct steps s;
	enum pare_status st = steps_begin(&s, c, b->g, n_carried, n_piles, err);

	if (c->in[0] && (c->in[0]->dtype != PARE_I64 || pare_shape_elems(&c->in[0]->shape) != 1))
		st = pare_fail(err, PARE_E_FORMAT, "its count is not one int64");
	else if (c->in[0])
		most = c->in[0]->i64[0];
	if (!st && !always)
		st = read_bool(c->in[1], &more, err);
	for (int i = 0; i < n_carried && !st; i++)
		s.in[LOOP_OWN + i] = *c->in[LOOP_OWN + i];
	for (; turn < most && more && !st; turn++) {
		s.in[0] = (struct pare_tensor){ .dtype = PARE_I64, .lanes = 1, .i64 = &turn };
		s.in[1] = (struct pare_tensor){ .dtype = PARE_BOOL, .lanes = 1, .data = &more };
		st = steps_next(&s, LOOP_OWN, 1, &more, err);
		more = more || always;
	}
	for (int i = 0; i < n_carried && !st; i++)
		st = copy_tensor(c->a, &s.in[LOOP_OWN + i], &c->out[i], err);
	for (int i = 0; i < n_piles && !st; i++)
		st = pile_take(&s.pile[i], &b->g->vars[b->g->out[1 + n_carried + i]].declared, 0,
			false, c->a, &c->out[n_carried + i], err);
	steps_end(&s);
	return st;
}

/* ---- Scan ------------------------------------------------------------------------------------ */

static bool fits_list(const struct pare_ints *v, int64_t n)
{
	return !v->n || v->n == n;
}

static int64_t entry(const struct pare_ints *v, int i)
{
	return v->n ? v->v[i] : 0;
}

static enum pare_status scan_check(struct pare_node *n, int opset, struct pare_err *err)
{
	const struct body *b = n->attr;
	const struct pare_graph *g = b->g;
	int64_t own = own_inputs(g), n_carried = own - b->n_scanned;

	if (opset < 9)
		return pare_fail(err, PARE_E_UNSUPPORTED, "Scan of opset 8 with its batches");
	if (b->n_scanned < 1 || n_carried < 0 || g->first_captured != own || g->n_out != n->n_out ||
		n->n_out < n_carried)
		return pare_fail(err, PARE_E_FORMAT,
			"it has %d inputs and %d outputs, its graph %lld and %d", g->first_captured,
			n->n_out, (long long)own, g->n_out);
	for (int i = 0; i < own; i++)
		if (n->in[i] < 0)
			return pare_fail(err, PARE_E_FORMAT, "input %d is missing", i);
	if (!fits_list(&b->in_axes, b->n_scanned) || !fits_list(&b->in_back, b->n_scanned) ||
		!fits_list(&b->out_axes, n->n_out - n_carried) ||
		!fits_list(&b->out_back, n->n_out - n_carried))
		return pare_fail(err, PARE_E_FORMAT,
			"its lists of axes and directions do not fit what it scans");
	return PARE_OK;
}

/* Step k along an axis, which goes. */
static enum pare_status take_step(const struct pare_tensor *x, int axis, int64_t k,
	struct pare_arena *a, struct pare_tensor *out, struct pare_err *err)
{
	size_t outer = op_span(&x->shape, 0, axis),
	       inner = op_span(&x->shape, axis + 1, x->shape.n) * op_size(x->dtype);
	size_t step = inner * (size_t)x->shape.d[axis];
	char *to = pare_alloc_n(a, outer, inner);

	if (!to)
		return pare_nomem(err, "a step of a scan");
	*out = *x;
	out->data = to;
	out->shape.n--;
	for (int i = axis; i < out->shape.n; i++)
		out->shape.d[i] = out->shape.d[i + 1];
	for (size_t o = 0; o < outer; o++)
		memcpy(to + o * inner, (const char *)x->data + o * step + (size_t)k * inner, inner);
	return PARE_OK;
}

static enum pare_status
scan_step(struct steps *s, const struct body *b, int64_t k, int64_t length, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	enum pare_status st = a ? PARE_OK : pare_nomem(err, "a step of a scan");

	for (int i = 0; i < b->n_scanned && !st; i++) {
		const struct pare_tensor *x = s->c->in[s->n_carried + i];
		int axis = op_axis(entry(&b->in_axes, i), x->shape.n);

		st = take_step(x, axis, entry(&b->in_back, i) ? length - 1 - k : k, a,
			&s->in[s->n_carried + i], err);
	}
	if (!st)
		st = steps_next(s, 0, 0, NULL, err);
	pare_arena_free(a);
	return st;
}

static enum pare_status
scan_length(const struct pare_control *c, int n_carried, int64_t *out, struct pare_err *err)
{
	const struct body *b = c->attr;

	*out = -1;
	for (int i = 0; i < b->n_scanned; i++) {
		const struct pare_tensor *x = c->in[n_carried + i];
		enum pare_status st;
		int axis;

		if ((st = pare_axis(entry(&b->in_axes, i), x->shape.n, &axis, err)))
			return st;
		if (pare_dtype_bits(x->dtype) < 8)
			return pare_fail(err, PARE_E_UNSUPPORTED, "a scan over 4-bit elements");
		if (*out >= 0 && *out != x->shape.d[axis])
			return pare_fail(err, PARE_E_MISMATCH, "what it scans differs in length");
		*out = x->shape.d[axis];
	}
	return PARE_OK;
}

static enum pare_status scan_run(const struct pare_control *c, struct pare_err *err)
{
	const struct body *b = c->attr;
	int n_carried = own_inputs(b->g) - (int)b->n_scanned, n_piles = b->g->n_out - n_carried;
	struct steps s;
	int64_t length = 0;
	enum pare_status st = steps_begin(&s, c, b->g, n_carried, n_piles, err);

	if (!st)
		st = scan_length(c, n_carried, &length, err);
	for (int i = 0; i < n_carried && !st; i++)
		s.in[i] = *c->in[i];
	for (int64_t k = 0; k < length && !st; k++)
		st = scan_step(&s, b, k, length, err);
	for (int i = 0; i < n_carried && !st; i++)
		st = copy_tensor(c->a, &s.in[i], &c->out[i], err);
	for (int i = 0; i < n_piles && !st; i++)
		st = pile_take(&s.pile[i], &b->g->vars[b->g->out[n_carried + i]].declared,
			entry(&b->out_axes, i), entry(&b->out_back, i), c->a,
			&c->out[n_carried + i], err);
	steps_end(&s);
	return st;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const struct pare_attr if_attrs[] = { { "then_branch", PARE_ATTR_GRAPH,
						     offsetof(struct branches, yes), 0, 0 },
	{ "else_branch", PARE_ATTR_GRAPH, offsetof(struct branches, no), 0, 0 }, { 0 } };
static const struct pare_attr loop_attrs[] = {
	{ "body", PARE_ATTR_GRAPH, offsetof(struct body, g), 0, 0 }, { 0 }
};
static const struct pare_attr scan_attrs[] = {
	{ "body", PARE_ATTR_GRAPH, offsetof(struct body, g), 0, 0 },
	{ "num_scan_inputs", PARE_ATTR_INT, offsetof(struct body, n_scanned), 0, 0 },
	{ "scan_input_axes", PARE_ATTR_INTS, offsetof(struct body, in_axes), 0, 0 },
	{ "scan_output_axes", PARE_ATTR_INTS, offsetof(struct body, out_axes), 0, 0 },
	{ "scan_input_directions", PARE_ATTR_INTS, offsetof(struct body, in_back), 0, 0 },
	{ "scan_output_directions", PARE_ATTR_INTS, offsetof(struct body, out_back), 0, 0 }, { 0 }
};

/* clang-format off */
const struct pare_op pare_ops_control[] = {
	{ .name = "If", .since = 1, .min_in = 1, .max_in = 1, .max_out = INT_MAX,
	  .attrs = if_attrs, .attr_size = sizeof(struct branches), .upgrade = if_check,
	  .shape = shape_unknown, .control = if_run, .choose = if_choose },
	{ .name = "Loop", .since = 1, .min_in = 0, .max_in = -1, .max_out = INT_MAX,
	  .attrs = loop_attrs, .attr_size = sizeof(struct body), .upgrade = loop_check,
	  .shape = shape_unknown, .control = loop_run },
	{ .name = "Scan", .since = 9, .min_in = 0, .max_in = -1, .max_out = INT_MAX,
	  .attrs = scan_attrs, .attr_size = sizeof(struct body), .upgrade = scan_check,
	  .shape = shape_unknown, .control = scan_run },
	{ 0 } };
/* clang-format on */
