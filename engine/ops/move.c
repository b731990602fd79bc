/* Operators that move elements of any type: with its lanes, an element is a unit of bytes. */
#include "../graph/model.h"
#include "kit.h"
#include <limits.h>
#include <string.h>

struct move {
	int64_t axis, blocksize, parts;
	const char *mode;
	struct pare_ints perm;
};
#define AT(f) offsetof(struct move, f)

static enum pare_status any_type(const struct pare_shape_call *c, struct pare_err *err)
{
	c->out[0].dtype = c->in[0]->dtype;
	return op_types(c, 0, OP_BYTES, err);
}

/* A move that reads all of `t` in order; its callers bend it. */
static struct op_move straight(const struct pare_tensor *t)
{
	struct op_move m = { .n = t->shape.n, .unit = op_unit(t) };

	op_steps(t, m.s);
	for (int k = 0; k < m.n; k++)
		m.d[k] = (size_t)t->shape.d[k];
	return m;
}

/* ---- Transpose ------------------------------------------------------------------------------ */

static const struct pare_attr transpose_attrs[] = { { "perm", PARE_ATTR_INTS, AT(perm), 0, 0 },
	{ 0 } };

static int source_axis(const struct move *a, int rank, int k)
{
	return a->perm.n ? (int)a->perm.v[k] : rank - 1 - k;
}

static enum pare_status shape_transpose(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct move *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	unsigned set;
	enum pare_status st = any_type(c, err);

	if (!st && a->perm.n && a->perm.n != x->n)
		st = pare_fail(err, PARE_E_FORMAT, "perm names %d axes of %d", a->perm.n, x->n);
	if (!st && a->perm.n)
		st = op_axes(a->perm.v, a->perm.n, x->n, &set, err);
	for (int k = 0; !st && k < a->perm.n; k++)
		if (a->perm.v[k] < 0)
			st = pare_fail(err, PARE_E_FORMAT, "perm has a negative axis");
	if (st)
		return st;
	c->out[0].shape.n = x->n;
	for (int k = 0; k < x->n; k++)
		c->out[0].shape.d[k] = x->d[source_axis(a, x->n, k)];
	return PARE_OK;
}

static void transpose_forward(const struct pare_call *c)
{
	struct op_move m = straight(c->out[0]);
	ptrdiff_t s[PARE_MAX_DIMS];

	op_steps(c->in[0], s);
	for (int k = 0; k < m.n; k++)
		m.s[k] = s[source_axis(c->attr, m.n, k)];
	op_move_run(&m, c->in[0]->data, c->out[0]->data);
}

/* ---- Concat, Split -------------------------------------------------------------------------- */

/* Since opset 4 the axis must be said, so it has no default that a writer could leave out. */
enum { UNSAID = INT32_MIN };

static const struct pare_attr concat_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), UNSAID, 0 },
	{ 0 } };

static enum pare_status concat_upgrade(struct pare_node *n, int opset, struct pare_err *err)
{
	struct move *a = n->attr;

	if (a->axis == UNSAID && opset >= 4)
		return pare_fail(err, PARE_E_FORMAT, "it does not say along which axis");
	a->axis = a->axis == UNSAID ? 1 : a->axis;
	return PARE_OK;
}

static enum pare_status shape_concat(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct move *a = c->attr;
	struct pare_shape *out = &c->out[0].shape;
	int axis = 0;
	enum pare_status st = any_type(c, err);

	*out = c->in[0]->shape;
	if (!st)
		st = pare_axis(a->axis, out->n, &axis, err);
	for (int i = 1; !st && i < c->n_in; i++) {
		const struct pare_shape *x = c->in[i] ? &c->in[i]->shape : NULL;
		bool fits = x && x->n == out->n && c->in[i]->dtype == c->in[0]->dtype;

		for (int k = 0; fits && k < out->n; k++)
			fits = k == axis || x->d[k] == out->d[k];
		if (!fits)
			return pare_fail(err, PARE_E_FORMAT,
				"input %d does not fit beside the first along axis %d", i, axis);
		out->d[axis] += x->d[axis];
	}
	return st;
}

static void concat_forward(const struct pare_call *c)
{
	const struct move *a = c->attr;
	const struct pare_shape *s = &c->out[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t outer = op_span(s, 0, axis), unit = op_span(s, axis + 1, s->n) * op_unit(c->out[0]);
	size_t row = (size_t)s->d[axis] * unit, at = 0;

	for (int i = 0; i < c->n_in; i++) {
		size_t part = (size_t)c->in[i]->shape.d[axis] * unit;

		for (size_t o = 0; o < outer; o++)
			memcpy(c->out[0]->u8 + o * row + at, c->in[i]->u8 + o * part, part);
		at += part;
	}
}

static const struct pare_attr split_attrs[] = { { "axis", PARE_ATTR_INT, AT(axis), 0, 0 },
	{ "split", PARE_ATTR_INTS, 0, 0, 1 }, { "num_outputs", PARE_ATTR_INT, AT(parts), 0, 0 },
	{ 0 } };
enum { MAX_PARTS = 1024 };

/* Equal parts are counted since opset 18, which is what export writes. */
static enum pare_status split_upgrade(struct pare_node *n, int opset, struct pare_err *err)
{
	struct move *a = n->attr;

	(void)opset;
	(void)err;
	if (n->n_in < 2 || n->in[1] < 0)
		a->parts = n->n_out;
	return PARE_OK;
}

static enum pare_status shape_split(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct move *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t size[MAX_PARTS], sum = 0;
	int axis = 0, n = c->n_out;
	enum pare_status st = any_type(c, err);

	if (!st)
		st = pare_axis(a->axis, x->n, &axis, err);
	if (!st && n < 1)
		st = pare_fail(err, PARE_E_FORMAT, "it has no outputs");
	if (!st && op_has(c, 1)) {
		st = op_const_ints(c, 1, size, MAX_PARTS, &n, err);
	} else if (!st) { /* equal parts; the last may be smaller */
		int64_t part = (x->d[axis] + n - 1) / n;

		for (int i = 0; i < n && i < MAX_PARTS; i++)
			size[i] = i < n - 1 ? part : x->d[axis] - part * (n - 1);
	}
	if (st)
		return st;
	if (n != c->n_out || n > MAX_PARTS)
		return pare_fail(err, PARE_E_FORMAT, "%d sizes for %d outputs", n, c->n_out);
	for (int i = 0; i < n; i++) {
		if (size[i] < 0 || size[i] > x->d[axis])
			return pare_fail(err, PARE_E_FORMAT, "part %d has size %lld of %lld", i,
				(long long)size[i], (long long)x->d[axis]);
		sum += size[i];
		c->out[i].dtype = c->in[0]->dtype;
		c->out[i].shape = *x;
		c->out[i].shape.d[axis] = size[i];
	}
	if (sum != x->d[axis])
		return pare_fail(err, PARE_E_FORMAT, "the parts make %lld of %lld", (long long)sum,
			(long long)x->d[axis]);
	return PARE_OK;
}

static void split_forward(const struct pare_call *c)
{
	const struct move *a = c->attr;
	const struct pare_shape *s = &c->in[0]->shape;
	int axis = op_axis(a->axis, s->n);
	size_t outer = op_span(s, 0, axis), unit = op_span(s, axis + 1, s->n) * op_unit(c->in[0]);
	size_t row = (size_t)s->d[axis] * unit, at = 0;

	for (int i = 0; i < c->n_out; i++) {
		size_t part = (size_t)c->out[i]->shape.d[axis] * unit;

		for (size_t o = 0; o < outer; o++)
			memcpy(c->out[i]->u8 + o * part, c->in[0]->u8 + o * row + at, part);
		at += part;
	}
}

/* ---- Slice ---------------------------------------------------------------------------------- */

static const struct pare_attr slice_attrs[] = { { "starts", PARE_ATTR_INTS, 0, 0, 1 },
	{ "ends", PARE_ATTR_INTS, 0, 0, 2 }, { "axes", PARE_ATTR_INTS, 0, 0, 3 }, { 0 } };

struct slice {
	int64_t from[PARE_MAX_DIMS], step[PARE_MAX_DIMS], n[PARE_MAX_DIMS];
};

static int64_t between(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* From four lists of integers; n[i] is how many there are in list i, -1 = absent. */
static bool
slice_find(struct slice *s, const struct pare_shape *x, int64_t v[4][PARE_MAX_DIMS], const int n[4])
{
	for (int k = 0; k < x->n; k++) {
		s->from[k] = 0;
		s->step[k] = 1;
		s->n[k] = x->d[k];
	}
	for (int i = 0; i < n[0]; i++) {
		int64_t at = n[2] < 0 ? i : v[2][i], step = n[3] < 0 ? 1 : v[3][i], d, from, to;
		int k;

		if (at < -x->n || at >= x->n || !step || step == INT64_MIN)
			return false;
		k = op_axis(at, x->n);
		d = x->d[k];
		from = v[0][i] < 0 && v[0][i] >= -d ? v[0][i] + d : v[0][i];
		to = v[1][i] < 0 && v[1][i] >= -d ? v[1][i] + d : v[1][i];
		if (step > 0) {
			from = between(from, 0, d);
			to = between(to, from, d);
			s->n[k] = to > from ? (to - from - 1) / step + 1 : 0;
		} else {
			from = d ? between(from, 0, d - 1) : -1; /* not as in numpy */
			to = between(to, -1, from);
			s->n[k] = from > to ? (from - to - 1) / -step + 1 : 0;
		}
		s->from[k] = from;
		s->step[k] = step;
	}
	return true;
}

static enum pare_status shape_slice(const struct pare_shape_call *c, struct pare_err *err)
{
	int64_t v[4][PARE_MAX_DIMS];
	int n[4] = { -1, -1, -1, -1 };
	struct slice s;
	enum pare_status st = any_type(c, err);

	for (int i = 0; !st && i < 4; i++)
		if (i < 2 || op_has(c, i + 1)) {
			st = pare_const_ints(c, i + 1, v[i], &n[i], err);
			if (!st && n[i] != n[0])
				st = pare_fail(err, PARE_E_FORMAT, "lists of unequal length");
		}
	if (st)
		return st;
	if (n[0] > c->in[0]->shape.n || !slice_find(&s, &c->in[0]->shape, v, n))
		return pare_fail(err, PARE_E_FORMAT, "an axis is out of range or a step is 0");
	c->out[0].shape.n = c->in[0]->shape.n;
	memcpy(c->out[0].shape.d, s.n, sizeof s.n);
	return PARE_OK;
}

static void slice_forward(const struct pare_call *c)
{
	int64_t v[4][PARE_MAX_DIMS];
	int n[4] = { -1, -1, -1, -1 };
	struct slice s;
	struct op_move m = straight(c->out[0]);
	const char *in = c->in[0]->data;
	ptrdiff_t step[PARE_MAX_DIMS];

	if (!op_count(c->out[0]))
		return;
	for (int i = 0; i < 4; i++)
		if (op_given(c, i + 1))
			n[i] = op_ints(c->in[i + 1], v[i], PARE_MAX_DIMS);
	if (!slice_find(&s, &c->in[0]->shape, v, n))
		return;
	op_steps(c->in[0], step);
	for (int k = 0; k < m.n; k++) {
		in += s.from[k] * step[k];
		m.s[k] = m.d[k] > 1 ? s.step[k] * step[k] : 0;
	}
	op_move_run(&m, in, c->out[0]->data);
}

/* An axis that stays whole, and is not turned round. */
static int slice_carry(const struct pare_shape_call *c, int axis)
{
	int64_t v[4][PARE_MAX_DIMS];
	int n[4];
	struct slice s;

	for (int i = 0; i < 4; i++) {
		n[i] = -1;
		if (!op_has(c, i + 1))
			continue;
		if (!c->in[i + 1]->value)
			return -1;
		n[i] = op_ints(c->in[i + 1]->value, v[i], PARE_MAX_DIMS);
	}
	if (!slice_find(&s, &c->in[0]->shape, v, n) || s.step[axis] < 0 ||
		s.n[axis] != c->in[0]->shape.d[axis])
		return -1;
	return axis;
}

/* ---- Expand, Tile --------------------------------------------------------------------------- */

static enum pare_status shape_expand(const struct pare_shape_call *c, struct pare_err *err)
{
	struct pare_shape want = { 0 };
	enum pare_status st = any_type(c, err);

	if (!st)
		st = pare_const_ints(c, 1, want.d, &want.n, err);
	if (!st && (pare_shape_elems(&want) < 0 ||
			   !pare_shape_broadcast(&c->in[0]->shape, &want, &c->out[0].shape)))
		st = pare_fail(err, PARE_E_FORMAT, "the input does not broadcast to its shape");
	return st;
}

static void expand_forward(const struct pare_call *c)
{
	struct op_move m = straight(c->out[0]);
	ptrdiff_t s[PARE_MAX_DIMS];
	int skip = m.n - c->in[0]->shape.n;

	op_steps(c->in[0], s);
	for (int k = 0; k < m.n; k++)
		m.s[k] = k < skip || c->in[0]->shape.d[k - skip] == 1 ? 0 : s[k - skip];
	op_move_run(&m, c->in[0]->data, c->out[0]->data);
}

static enum pare_status shape_tile(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t times[PARE_MAX_DIMS];
	int n = 0;
	enum pare_status st = any_type(c, err);

	if (!st)
		st = pare_const_ints(c, 1, times, &n, err);
	if (st)
		return st;
	if (n != x->n)
		return pare_fail(err, PARE_E_FORMAT, "%d repeats for %d axes", n, x->n);
	c->out[0].shape.n = n;
	for (int k = 0; k < n; k++) {
		if (times[k] < 0 || times[k] > 1 << 30 || x->d[k] > 1 << 30)
			return pare_fail(err, PARE_E_FORMAT, "axis %d is repeated %lld times", k,
				(long long)times[k]);
		c->out[0].shape.d[k] = x->d[k] * times[k];
	}
	return PARE_OK;
}

/* Axis k becomes two: how often, and what. */
static void tile_forward(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape;
	struct op_move m = { .n = 2 * x->n, .unit = op_unit(c->in[0]) };
	ptrdiff_t s[PARE_MAX_DIMS];

	op_steps(c->in[0], s);
	for (int k = 0; k < x->n; k++) {
		m.d[2 * k] = x->d[k] ? (size_t)(c->out[0]->shape.d[k] / x->d[k]) : 0;
		m.d[2 * k + 1] = (size_t)x->d[k];
		m.s[2 * k] = 0;
		m.s[2 * k + 1] = s[k];
	}
	op_move_run(&m, c->in[0]->data, c->out[0]->data);
}

/* ---- DepthToSpace, SpaceToDepth ------------------------------------------------------------- */

static const struct pare_attr depth_attrs[] = { { "blocksize", PARE_ATTR_INT, AT(blocksize), 0, 0 },
	{ "mode", PARE_ATTR_STRING, AT(mode), 0, 0 }, { 0 } };

static const char *refuse_depth(const struct pare_node *n, const void *attr)
{
	const struct move *a = attr;

	(void)n;
	return a->blocksize > 0 && a->blocksize < 1 << 15 ? NULL : "its blocksize is not positive";
}

static enum pare_status
shape_depth(const struct pare_shape_call *c, bool to_space, struct pare_err *err)
{
	const struct move *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t b = a->blocksize;
	enum pare_status st = any_type(c, err);

	if (st)
		return st;
	if (x->n != 4 || (to_space ? x->d[1] % (b * b) : x->d[2] % b || x->d[3] % b))
		return pare_fail(err, PARE_E_FORMAT,
			"the input does not divide into blocks of %lld", (long long)b);
	c->out[0].shape = to_space ? (struct pare_shape){ 4,
		{ x->d[0], x->d[1] / b / b, x->d[2] * b, x->d[3] * b } }
				   : (struct pare_shape){ 4, { x->d[0], x->d[1] * b * b,
								     x->d[2] / b, x->d[3] / b } };
	return PARE_OK;
}

static enum pare_status shape_to_space(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_depth(c, true, err);
}

static enum pare_status shape_to_depth(const struct pare_shape_call *c, struct pare_err *err)
{
	return shape_depth(c, false, err);
}

/* Output [N][C][H][by][W][bx] of input [N][by][bx][C][H][W] (DCR) or [N][C][by][bx][H][W] (CRD). */
static void to_space_forward(const struct pare_call *c)
{
	const struct move *a = c->attr;
	const struct pare_shape *y = &c->out[0]->shape;
	size_t b = (size_t)a->blocksize;
	ptrdiff_t s[PARE_MAX_DIMS], ch, block;
	bool crd = a->mode && !strcmp(a->mode, "CRD");

	op_steps(c->in[0], s);
	ch = crd ? s[1] * (ptrdiff_t)(b * b) : s[1];
	block = crd ? s[1] : s[1] * y->d[1];
	op_move_run(&(struct op_move){ .n = 6,
			    .d = { (size_t)y->d[0], (size_t)y->d[1], (size_t)y->d[2] / b, b,
				    (size_t)y->d[3] / b, b },
			    .s = { s[0], ch, s[2], block * (ptrdiff_t)b, s[3], block },
			    .unit = op_unit(c->in[0]) },
		c->in[0]->data, c->out[0]->data);
}

/* Output [N][by][bx][C][H][W], or [N][C][by][bx]… when mode is CRD, of input [N][C][H][by][W][bx].
 */
static void to_depth_forward(const struct pare_call *c)
{
	const struct move *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0]->shape;
	size_t b = (size_t)a->blocksize;
	ptrdiff_t s[PARE_MAX_DIMS];
	struct op_move m = { .n = 6, .unit = op_unit(c->in[0]) };

	op_steps(c->in[0], s);
	m.d[0] = (size_t)y->d[0];
	m.d[4] = (size_t)y->d[2];
	m.d[5] = (size_t)y->d[3];
	m.s[0] = s[0];
	m.s[4] = s[2] * (ptrdiff_t)b;
	m.s[5] = s[3] * (ptrdiff_t)b;
	for (int i = 1; i < 4; i++) { /* of rows, columns and channels, the last go inward */
		int k = op_word(a->mode, "DCR", "CRD") ? i % 3 + 1 : i;

		m.d[k] = i < 3 ? b : (size_t)x->d[1];
		m.s[k] = i < 3 ? s[i + 1] : s[1];
	}
	op_move_run(&m, c->in[0]->data, c->out[0]->data);
}

/* clang-format off */
#define MOVED(n, v, least, most, at, sh, fw, fl, ...)                                              \
	{ .name = n, .since = v, .min_in = least, .max_in = most, .attrs = at,                     \
	  .attr_size = sizeof(struct move), .shape = sh, .forward = fw, .flow = fl,                \
	  .quant = PARE_Q_SAME_SCALE, .takes = OP_MOVED, __VA_ARGS__ }
const struct pare_op pare_ops_move[] = {
	MOVED("Transpose", 1, 1, 1, transpose_attrs, shape_transpose, transpose_forward,
	      PARE_FLOW_MOVE, .codes = op_codes_transpose, .sample = "f32[1,3,2,5] perm=0,2,3,1"),
	MOVED("Concat", 4, 1, -1, concat_attrs, shape_concat, concat_forward, PARE_FLOW_CAT,
	      .upgrade = concat_upgrade,
	      .sample = "f32[1,2,5] f32[1,3,5] f32[1,1,5]! axis=1"),
	MOVED("Split", 18, 1, 2, split_attrs, shape_split, split_forward, PARE_FLOW_SPLIT,
	      .upgrade = split_upgrade, .plain = 2, .max_out = MAX_PARTS,
	      .sample = "f32[1,6,2] i64{1,3,2} axis=1 outputs=3|f32[1,5] axis=-1 outputs=2"),
	MOVED("Slice", 10, 3, 5, slice_attrs, shape_slice, slice_forward, PARE_FLOW_PASS,
	      .plain = 0x1e, .carry = slice_carry,
	      .sample = "f32[1,6,5] i64{4,1} i64{0,4} i64{1,2} i64{-2,1}|"
			"f32[1,6,5] i64{-99} i64{3} i64{1}|bool[1,6] i64{0,0} i64{9,9} i64{0,1} i64{1,4}"),
	MOVED("Expand", 8, 2, 2, NULL, shape_expand, expand_forward, PARE_FLOW_BLOCK, .plain = 2,
	      .sample = "f32[1,3,1] i64{2,1,3,4}"),
	MOVED("Tile", 6, 2, 2, NULL, shape_tile, tile_forward, PARE_FLOW_BLOCK, .plain = 2,
	      .sample = "f32[1,3,2] i64{1,2,3}"),
	MOVED("DepthToSpace", 11, 1, 1, depth_attrs, shape_to_space, to_space_forward,
	      PARE_FLOW_BLOCK, .refuse = refuse_depth,
	      .sample = "f32[1,8,2,3] blocksize=2 mode=CRD|f32[1,8,2,3] blocksize=2"),
	MOVED("SpaceToDepth", 1, 1, 1, depth_attrs, shape_to_depth, to_depth_forward,
	      PARE_FLOW_BLOCK, .refuse = refuse_depth, .sample = "f32[1,2,4,6] blocksize=2|f32[1,2,4,6] blocksize=2 mode=CRD"),
	{ 0 } };
/* clang-format on */
