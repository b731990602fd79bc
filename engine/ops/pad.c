/* Pad: constant, reflected, with the edge repeated or wrapped around; negative pads crop.  Elements
 * of any type are moved: with its lanes, an element is a unit of bytes. */
#include "kit.h"
#include <string.h>

struct pad {
	const char *mode;
};

static const struct pare_attr pad_attrs[] = { { "mode", PARE_ATTR_STRING,
						      offsetof(struct pad, mode), 0, 0 },
	{ "pads", PARE_ATTR_INTS, 0, 0, 1 }, { "value", PARE_ATTR_FLOAT, 0, 0, 2 }, { 0 } };
static const char *const pad_modes[] = { "constant", "reflect", "edge", "wrap" };
enum { CONSTANT, REFLECT, EDGE, WRAP, N_PAD_MODES };

static int pad_mode(const struct pad *a)
{
	int i = 0;

	while (a->mode && a->mode[0] && i < N_PAD_MODES && strcmp(a->mode, pad_modes[i]))
		i++;
	return i;
}

static const char *refuse_pad(const struct pare_node *n, const void *attr)
{
	(void)n;
	return pad_mode(attr) < N_PAD_MODES ? NULL : "its mode is not known";
}

/* Pads of all axes, in front [0] and behind [1], from the list for the named ones. */
static bool pad_find(int64_t pad[2][PARE_MAX_DIMS], int rank, const int64_t *list, int n_list,
	const int64_t *axes, int n_axes)
{
	int n = axes ? n_axes : rank;

	memset(pad[0], 0, sizeof pad[0]);
	memset(pad[1], 0, sizeof pad[1]);
	if (n_list != 2 * n)
		return false;
	for (int i = 0; i < n; i++) {
		int64_t at = axes ? axes[i] : i;

		if (at < -rank || at >= rank)
			return false;
		pad[0][op_axis(at, rank)] = list[i];
		pad[1][op_axis(at, rank)] = list[n + i];
	}
	return true;
}

static enum pare_status shape_pad(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t list[2 * PARE_MAX_DIMS], axes[PARE_MAX_DIMS], pad[2][PARE_MAX_DIMS];
	int n, n_axes = 0, mode = pad_mode(c->attr);
	enum pare_status st = op_types(c, 0, OP_BYTES, err);

	if (!st)
		st = op_const_ints(c, 1, list, 2 * PARE_MAX_DIMS, &n, err);
	if (!st && op_has(c, 3))
		st = pare_const_ints(c, 3, axes, &n_axes, err);
	if (st)
		return st;
	if (!pad_find(pad, x->n, list, n, op_has(c, 3) ? axes : NULL, n_axes))
		return pare_fail(err, PARE_E_FORMAT, "pads do not fit %d axes", x->n);
	if (op_has(c, 2) &&
		(c->in[2]->dtype != c->in[0]->dtype || pare_shape_elems(&c->in[2]->shape) != 1))
		return pare_fail(err, PARE_E_FORMAT, "its value is not one of the input's type");
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape.n = x->n;
	for (int k = 0; k < x->n; k++) {
		int64_t a = pad[0][k], b = pad[1][k], d = x->d[k];

		if (a < -d || b < -d || a + b < -d || a > 1 << 30 || b > 1 << 30)
			return pare_fail(err, PARE_E_FORMAT, "pads of axis %d: %lld, %lld", k,
				(long long)a, (long long)b);
		if (mode != CONSTANT && (a > 0 || b > 0) && d < 1)
			return pare_fail(err, PARE_E_FORMAT, "axis %d is empty", k);
		c->out[0].shape.d[k] = d + a + b;
	}
	return PARE_OK;
}

/* Constants beside the channels go and stay like channels; other modes repeat some. */
static enum pare_flow flow_pad(const struct pare_shape_call *c)
{
	return pad_mode(c->attr) == CONSTANT ? PARE_FLOW_PAD : op_flow_spatial(c);
}

static void pads_pad(const struct pare_shape_call *c, int axis, int at[2])
{
	int rank = c->in[0]->shape.n, n = rank, n_axes;
	int64_t axes[PARE_MAX_DIMS];

	at[0] = axis;
	if (op_has(c, 3)) {
		at[0] = -1;
		n = pare_const_ints(c, 3, axes, &n_axes, NULL) ? 0 : n_axes;
		for (int i = 0; i < n; i++)
			if (op_axis(axes[i], rank) == axis)
				at[0] = i;
	}
	at[1] = at[0] < 0 ? -1 : at[0] + n;
}

/* Where element i of a padded axis comes from; -1 = nowhere. */
static int64_t pad_source(int mode, int64_t i, int64_t d)
{
	if (i >= 0 && i < d)
		return i;
	switch (mode) {
	case CONSTANT:
		return -1;
	case EDGE:
		return i < 0 ? 0 : d - 1;
	case WRAP:
		return (i % d + d) % d;
	default: /* there and back again, without the edge twice */
		if (d == 1)
			return 0;
		i = (i % (2 * d - 2) + 2 * d - 2) % (2 * d - 2);
		return i < d ? i : 2 * d - 2 - i;
	}
}

struct padding {
	int mode, rank;
	size_t unit;
	int64_t front[PARE_MAX_DIMS], in[PARE_MAX_DIMS], out[PARE_MAX_DIMS];
	ptrdiff_t in_step[PARE_MAX_DIMS], out_step[PARE_MAX_DIMS];
};

/* The rest of the axes from k on; what comes from nowhere is there already. */
static void pad_axis(const struct padding *p, int k, const char *in, char *out)
{
	if (k == p->rank) {
		memcpy(out, in, p->unit);
		return;
	}
	if (p->mode == CONSTANT && k == p->rank - 1) {
		int64_t skip = p->front[k] < 0 ? -p->front[k] : 0; /* cropped in front */
		int64_t at = p->front[k] < 0 ? 0 : p->front[k];
		int64_t n = p->in[k] - skip < p->out[k] - at ? p->in[k] - skip : p->out[k] - at;

		if (n > 0)
			memcpy(out + at * p->out_step[k], in + skip * p->in_step[k],
				(size_t)n * p->unit);
		return;
	}
	for (int64_t o = 0; o < p->out[k]; o++) {
		int64_t i = pad_source(p->mode, o - p->front[k], p->in[k]);

		if (i >= 0)
			pad_axis(p, k + 1, in + i * p->in_step[k], out + o * p->out_step[k]);
	}
}

static void fill_units(void *out, size_t n, size_t size, const void *value)
{
	static const char zero[8];

	if (!value || !memcmp(value, zero, size)) {
		memset(out, 0, n * size);
		return;
	}
	for (size_t i = 0; i < n; i++)
		memcpy((char *)out + i * size, value, size);
}

static void pad_forward(const struct pare_call *c)
{
	const struct pare_tensor *x = c->in[0], *y = c->out[0];
	int64_t list[2 * PARE_MAX_DIMS], axes[PARE_MAX_DIMS], pad[2][PARE_MAX_DIMS];
	int n = op_ints(c->in[1], list, 2 * PARE_MAX_DIMS);
	int n_axes = op_given(c, 3) ? op_ints(c->in[3], axes, PARE_MAX_DIMS) : 0;
	struct padding p = { .mode = pad_mode(c->attr), .rank = x->shape.n, .unit = op_unit(x) };

	if (!pad_find(pad, x->shape.n, list, n, op_given(c, 3) ? axes : NULL, n_axes))
		return;
	memcpy(p.front, pad[0], sizeof p.front);
	memcpy(p.in, x->shape.d, sizeof p.in);
	memcpy(p.out, y->shape.d, sizeof p.out);
	op_steps(x, p.in_step);
	op_steps(y, p.out_step);
	if (p.mode == CONSTANT)
		fill_units(y->data, op_count(y), op_size(y->dtype),
			op_given(c, 2) ? c->in[2]->data : NULL);
	pad_axis(&p, 0, x->data, y->data);
}

/* clang-format off */
const struct pare_op pare_ops_pad[] = {
	{ .name = "Pad", .since = 11, .min_in = 2, .max_in = 4, .attrs = pad_attrs,
	  .attr_size = sizeof(struct pad), .refuse = refuse_pad, .shape = shape_pad,
	  .forward = pad_forward, .plain = 0xe, .flow = PARE_FLOW_BLOCK,
	  .flow_at = flow_pad, .carry = op_carry_channels, .pads = pads_pad, .quant = PARE_Q_SAME_SCALE,
	  .takes = OP_MOVED, .sample = "f32[1,2,4,5] i64{0,0,1,2,0,0,2,-1} f32=0.5|"
		    "f32[1,2,4,5] i64{0,0,1,2,0,0,2,3} mode=reflect|"
		    "f32[1,2,4,5] i64{2,0,0,3} _ i64{1,-1} mode=edge" },
	{ 0 } };
/* clang-format on */
