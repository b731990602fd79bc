#include "kit.h"
#include <string.h>

enum pare_status
op_types(const struct pare_shape_call *c, int i, unsigned set, struct pare_err *err)
{
	enum pare_dtype t = c->in[i]->dtype;

	if (!(set & OP_T(t)))
		return pare_fail(err, PARE_E_UNSUPPORTED, "input %d of type %s is not supported", i,
			pare_dtype_name(t));
	return PARE_OK;
}

enum pare_status pare_shape_same(const struct pare_shape_call *c, struct pare_err *err)
{
	(void)err;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = c->in[0]->shape;
	return PARE_OK;
}

enum pare_status pare_shape_elementwise(const struct pare_shape_call *c, struct pare_err *err)
{
	struct pare_shape s = c->in[0]->shape, t;
	char a[96], b[96];

	for (int i = 1; i < c->n_in; i++) {
		if (!c->in[i])
			return pare_fail(err, PARE_E_FORMAT, "input %d is missing", i);
		if (!pare_shape_broadcast(&s, &c->in[i]->shape, &t))
			return pare_fail(err, PARE_E_FORMAT, "shapes %s and %s do not broadcast",
				pare_shape_text(&s, "x", a, sizeof a),
				pare_shape_text(&c->in[i]->shape, "x", b, sizeof b));
		s = t;
	}
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = s;
	return PARE_OK;
}

enum pare_status pare_axis(int64_t axis, int rank, int *out, struct pare_err *err)
{
	if (axis < -rank || axis >= rank)
		return pare_fail(err, PARE_E_FORMAT, "axis %lld of a tensor with %d axes",
			(long long)axis, rank);
	*out = op_axis(axis, rank);
	return PARE_OK;
}

static int64_t int_at(const struct pare_tensor *t, int i)
{
	return t->dtype == PARE_I32 ? t->i32[i] : t->i64[i];
}

int op_ints(const struct pare_tensor *t, int64_t *v, int max)
{
	int n = (int)pare_shape_elems(&t->shape);

	for (int i = 0; i < n && i < max; i++)
		v[i] = int_at(t, i);
	return n;
}

enum pare_status op_const_ints(
	const struct pare_shape_call *c, int i, int64_t *v, int max, int *n, struct pare_err *err)
{
	const struct pare_known *k = i < c->n_in ? c->in[i] : NULL;

	if (!k)
		return pare_fail(err, PARE_E_FORMAT, "input %d is missing", i);
	if (k->dtype != PARE_I64 && k->dtype != PARE_I32)
		return pare_fail(err, PARE_E_FORMAT, "input %d is %s, not integers", i,
			pare_dtype_name(k->dtype));
	if (!k->value)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"input %d is computed while running; pare needs it constant", i);
	if (k->shape.n > 1 || pare_shape_elems(&k->shape) > max)
		return pare_fail(
			err, PARE_E_UNSUPPORTED, "input %d has more than %d integers", i, max);
	*n = op_ints(k->value, v, max);
	return PARE_OK;
}

enum pare_status pare_const_ints(const struct pare_shape_call *c, int i, int64_t v[PARE_MAX_DIMS],
	int *n, struct pare_err *err)
{
	return op_const_ints(c, i, v, PARE_MAX_DIMS, n, err);
}

enum pare_status op_axes(const int64_t *axes, int n, int rank, unsigned *set, struct pare_err *err)
{
	unsigned got = 0;

	if (!n) {
		*set = (1u << rank) - 1;
		return PARE_OK;
	}
	for (int i = 0; i < n; i++) {
		int a = 0;
		enum pare_status st = pare_axis(axes[i], rank, &a, err);

		if (st)
			return st;
		if (got & 1u << a)
			return pare_fail(err, PARE_E_FORMAT, "axis %d is named twice", a);
		got |= 1u << a;
	}
	*set = got;
	return PARE_OK;
}

void op_steps(const struct pare_tensor *t, ptrdiff_t s[PARE_MAX_DIMS])
{
	ptrdiff_t step = (ptrdiff_t)op_unit(t);

	for (int k = t->shape.n; k-- > 0;) {
		s[k] = step;
		step *= t->shape.d[k];
	}
}

int op_carry_channels(const struct pare_shape_call *c, int axis)
{
	(void)c;
	return axis == 1 ? 1 : -1;
}

enum pare_flow op_flow_spatial(const struct pare_shape_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0].shape;

	return x->n > 1 && x->d[0] == y->d[0] && x->d[1] == y->d[1] ? PARE_FLOW_PASS
								    : PARE_FLOW_BLOCK;
}

/* ---- windows -------------------------------------------------------------------------------- */

static int64_t listed(const struct pare_ints *l, int i, int64_t preset)
{
	return l && l->n ? l->v[i] : preset;
}

static enum pare_status
window_axis(struct op_window *w, int k, const char *auto_pad, bool ceil_mode, struct pare_err *err)
{
	int64_t in = w->in[k], reach, total, n;

	/* bounds that keep every product below far from overflow */
	if (w->kernel[k] < 1 || w->stride[k] < 1 || w->dilation[k] < 1 || w->kernel[k] > 1 << 20 ||
		w->stride[k] > 1 << 20 || w->dilation[k] > 1 << 20)
		return pare_fail(err, PARE_E_FORMAT,
			"kernel, stride or dilation of axis %d is not in 1..2^20", k);
	reach = (w->kernel[k] - 1) * w->dilation[k] + 1;
	if (!strncmp(auto_pad, "SAME", 4)) {
		n = (in + w->stride[k] - 1) / w->stride[k];
		total = (n - 1) * w->stride[k] + reach - in;
		total = total < 0 ? 0 : total;
		w->pad[k] = strcmp(auto_pad, "SAME_LOWER") ? total / 2 : total - total / 2;
		w->pad_end[k] = total - w->pad[k];
		w->out[k] = n;
		return PARE_OK;
	}
	if (!strcmp(auto_pad, "VALID"))
		w->pad[k] = w->pad_end[k] = 0;
	if (w->pad[k] < 0 || w->pad_end[k] < 0 || w->pad[k] > 1 << 20 || w->pad_end[k] > 1 << 20)
		return pare_fail(err, PARE_E_FORMAT, "pads of axis %d are not in 0..2^20", k);
	total = in + w->pad[k] + w->pad_end[k] - reach;
	if (total < 0)
		return pare_fail(err, PARE_E_FORMAT,
			"a window of %lld does not fit into an axis of %lld with its pads",
			(long long)reach, (long long)in);
	n = (total + (ceil_mode ? w->stride[k] - 1 : 0)) / w->stride[k] + 1;
	if (ceil_mode && (n - 1) * w->stride[k] >= in + w->pad[k])
		n--; /* the last window must begin on the input or its first pads */
	w->out[k] = n;
	return PARE_OK;
}

enum pare_status
op_window_find(struct op_window *w, const struct pare_shape *x, const struct pare_ints *kernel,
	const struct pare_ints *strides, const struct pare_ints *dilations,
	const struct pare_ints *pads, const char *auto_pad, bool ceil_mode, struct pare_err *err)
{
	int n = x->n - 2;

	if (n < 1 || n > 3)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"input has %d axes; 1 to 3 after batch and channel are supported", x->n);
	if (kernel->n != n || (strides->n && strides->n != n) ||
		(dilations && dilations->n && dilations->n != n) || (pads->n && pads->n != 2 * n))
		return pare_fail(err, PARE_E_FORMAT,
			"kernel, strides, dilations or pads do not fit %d spatial axes", n);
	if (!auto_pad || !auto_pad[0])
		auto_pad = "NOTSET";
	w->n = n;
	for (int k = 0; k < 3; k++) {
		int i = k - (3 - n); /* leading axes that are not there are of size 1 */
		enum pare_status st;

		w->in[k] = i < 0 ? 1 : x->d[2 + i];
		w->kernel[k] = i < 0 ? 1 : kernel->v[i];
		w->stride[k] = i < 0 ? 1 : listed(strides, i, 1);
		w->dilation[k] = i < 0 ? 1 : listed(dilations, i, 1);
		w->pad[k] = i < 0 ? 0 : listed(pads, i, 0);
		w->pad_end[k] = i < 0 ? 0 : listed(pads, n + i, 0);
		st = window_axis(w, k, auto_pad, ceil_mode, err);
		if (st)
			return st;
	}
	return PARE_OK;
}

/* ---- moving elements ------------------------------------------------------------------------ */

/* Drop axes of 1, join axes that lie behind each other, and grow the unit by an innermost axis that
 * is dense. */
static void move_join(struct op_move *m)
{
	int n = 0;

	for (int k = 0; k < m->n; k++) {
		if (m->d[k] == 1)
			continue;
		if (n && m->s[n - 1] == m->s[k] * (ptrdiff_t)m->d[k]) {
			m->d[n - 1] *= m->d[k];
			m->s[n - 1] = m->s[k];
		} else {
			m->d[n] = m->d[k];
			m->s[n++] = m->s[k];
		}
	}
	if (n && m->s[n - 1] == (ptrdiff_t)m->unit)
		m->unit *= m->d[--n];
	m->n = n;
}

/* `n` units, `step` bytes apart; a unit of constant size becomes a few moves. */
OP_INLINE void gather_units(char *out, const char *in, size_t n, ptrdiff_t step, size_t unit)
{
	for (size_t i = 0; i < n; i++, in += step, out += unit)
		memcpy(out, in, unit);
}

static void move_row(char *out, const char *in, size_t n, ptrdiff_t step, size_t unit)
{
	switch (unit) {
	case 1:
		gather_units(out, in, n, step, 1);
		break;
	case 4:
		gather_units(out, in, n, step, 4);
		break;
	case 8:
		gather_units(out, in, n, step, 8);
		break;
	case 16:
		gather_units(out, in, n, step, 16);
		break;
	case 32:
		gather_units(out, in, n, step, 32);
		break;
	case 64:
		gather_units(out, in, n, step, 64);
		break;
	default:
		gather_units(out, in, n, step, unit);
	}
}

void op_move_run(const struct op_move *move, const void *in, void *out)
{
	struct op_move m = *move;
	size_t at[OP_MOVE_DIMS] = { 0 }, row;
	const char *p = in;
	char *o = out;
	int last;

	for (int k = 0; k < m.n; k++)
		if (!m.d[k])
			return;
	move_join(&m);
	if (!m.n) {
		memcpy(o, p, m.unit);
		return;
	}
	last = m.n - 1;
	row = m.d[last] * m.unit;
	for (;;) {
		int k = last;

		move_row(o, p, m.d[last], m.s[last], m.unit);
		o += row;
		while (k-- > 0) { /* step the outer axes like an odometer */
			p += m.s[k];
			if (++at[k] < m.d[k])
				break;
			p -= m.s[k] * (ptrdiff_t)m.d[k];
			at[k] = 0;
		}
		if (k < 0)
			return;
	}
}

enum pare_status op_known(const struct pare_shape_call *c, int i, struct pare_err *err)
{
	if (!op_has(c, i))
		return pare_fail(err, PARE_E_FORMAT, "input %d is missing", i);
	if (!c->in[i]->value)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"input %d is computed while running; the shape of the output hangs on it",
			i);
	return PARE_OK;
}

enum pare_status
op_axis_of(const struct pare_shape_call *c, int64_t axis, int *out, struct pare_err *err)
{
	return pare_axis(axis, c->in[0]->shape.n, out, err);
}

bool op_word(const char *value, const char *preset, const char *word)
{
	return !strcmp(value && value[0] ? value : preset, word);
}

int op_apart_tied(const struct pare_call *c, int *axes)
{
	const struct pare_shape *y = &c->out[0]->shape;
	int most = y->n;

	for (int i = 0; i < c->n_in; i++) {
		const struct pare_shape *x = c->in[i] ? &c->in[i]->shape : NULL;
		int behind = x ? y->n - x->n : 0, a = 0;

		while (x && !behind && a < y->n && x->d[a] == y->d[a])
			a++;
		axes[i] = a;
		for (int k = a > behind ? a : behind; x && k < most; k++)
			if (x->d[k - behind] != 1)
				most = k;
	}
	return most;
}
