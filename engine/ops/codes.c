/* What becomes of the codes that a constant stands for: nodes that scale, shift or move it. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

bool op_list_axis(const struct pare_shape *s, int rank, int *axis)
{
	*axis = -1;
	for (int i = 0; i < s->n; i++) {
		if (s->d[i] == 1)
			continue;
		if (*axis >= 0)
			return false;
		*axis = i + rank - s->n;
	}
	return s->n <= rank;
}

bool op_codes_new(struct pare_arena *a, struct pare_codes *g, float **scale, int **zero)
{
	g->scale = *scale = pare_alloc_n(a, (size_t)g->n, sizeof **scale);
	g->zero = *zero = pare_alloc_n(a, (size_t)g->n, sizeof **zero);
	return *scale && *zero;
}

bool pare_codes_fit(const struct pare_codes *c, const struct pare_shape *s)
{
	int64_t n;

	if (c->axis < 0)
		return c->n == 1;
	if (c->axis >= s->n || s->d[c->axis] < 1)
		return false;
	n = pare_shape_elems(s) / s->d[c->axis];
	return c->n == s->d[c->axis] * (c->group ? (n + c->group - 1) / c->group : 1);
}

bool op_code_range(enum pare_dtype t, int *lo, int *hi)
{
	int bits = (int)pare_dtype_bits(t);
	bool sign = t == PARE_I2 || t == PARE_I4 || t == PARE_I8 || t == PARE_I16;

	if (!sign && t != PARE_U2 && t != PARE_U4 && t != PARE_U8 && t != PARE_U16)
		return false;
	*lo = sign ? -(1 << (bits - 1)) : 0;
	*hi = *lo + (1 << bits) - 1;
	return true;
}

/* Integers that become floats are codes of scale 1. */
bool op_codes_cast(const struct pare_codes_call *g, struct pare_codes *out)
{
	struct pare_codes x = { .store = g->c->in[0]->dtype, .axis = -1, .n = 1 };
	float *scale;
	int *zero;

	if (!(OP_REALS >> g->c->out[0].dtype & 1))
		return false;
	if (g->codes[0]) {
		*out = *g->codes[0];
		return true;
	}
	if (!op_code_range(x.store, &x.lo, &x.hi) || !op_codes_new(g->a, &x, &scale, &zero))
		return false;
	scale[0] = 1;
	*out = x;
	return true;
}

/* Codes met by a constant that is one number or a list along an axis: the scales and zeros of what
 * comes of it, still those that they were, and the constant's value for each. */
static bool meet(const struct pare_codes_call *g, int constant, struct pare_codes *x,
	const float **value, int *by)
{
	const struct pare_known *k = g->c->in[constant];
	const struct pare_codes *was = g->codes[!constant];
	int axis, rank = g->c->out[0].shape.n, *zero;
	float *scale;

	if (!was || was->group || !k->value || k->dtype != PARE_F32 ||
		rank != g->c->in[!constant]->shape.n || !op_list_axis(&k->shape, rank, &axis) ||
		(was->axis >= 0 && axis >= 0 && axis != was->axis))
		return false;
	*x = *was;
	x->axis = axis >= 0 ? axis : was->axis;
	x->n = axis >= 0 ? pare_shape_elems(&k->shape) : was->n;
	if (!op_codes_new(g->a, x, &scale, &zero))
		return false;
	for (int64_t i = 0; i < x->n; i++) {
		scale[i] = was->scale[was->n > 1 ? i : 0];
		zero[i] = was->zero[was->n > 1 ? i : 0];
	}
	*value = k->value->f32;
	*by = axis >= 0;
	return true;
}

bool op_codes_mul(const struct pare_codes_call *g, struct pare_codes *out)
{
	int constant = g->codes[0] ? 1 : 0, by;
	const float *value;
	struct pare_codes x;

	if (!meet(g, constant, &x, &value, &by))
		return false;
	for (int64_t i = 0; i < x.n; i++) {
		float *scale = (float *)(uintptr_t)x.scale + i;

		*scale *= value[by ? i : 0];
		if (!(*scale > 0) || !isfinite(*scale))
			return false;
	}
	*out = x;
	return true;
}

bool op_codes_sub(const struct pare_codes_call *g, struct pare_codes *out)
{
	const float *value;
	struct pare_codes x;
	int by;

	if (!meet(g, 1, &x, &value, &by))
		return false;
	for (int64_t i = 0; i < x.n; i++) {
		float steps = value[by ? i : 0] / x.scale[i];

		if (!(fabsf(steps) < 0x1p17f) || rintf(steps) != steps)
			return false; /* between the codes */
		((int *)(uintptr_t)x.zero)[i] += (int)steps;
	}
	*out = x;
	return true;
}

bool op_codes_transpose(const struct pare_codes_call *g, struct pare_codes *out)
{
	const struct pare_ints *perm = pare_node_attr(g->c->node, "perm", PARE_ATTR_INTS);
	int rank = g->c->in[0]->shape.n;

	if (!g->codes[0])
		return false;
	*out = *g->codes[0];
	if (out->axis < 0)
		return true;
	for (int i = 0, last = -1; i < rank && out->group;
		i++) { /* the other axes keep their order */
		int axis = (int)(perm && perm->n ? perm->v[i] : rank - 1 - i);

		if (axis == out->axis)
			continue;
		if (axis < last)
			return false;
		last = axis;
	}
	if (!perm || !perm->n) {
		out->axis = rank - 1 - out->axis;
		return true;
	}
	for (int i = 0; i < perm->n; i++)
		if (perm->v[i] == g->codes[0]->axis)
			out->axis = i;
	return true;
}

/* The axis is where as much lies before it as did. */
bool op_codes_reshape(const struct pare_codes_call *g, struct pare_codes *out)
{
	const struct pare_shape *from = &g->c->in[0]->shape, *to = &g->c->out[0].shape;

	if (!g->codes[0])
		return false;
	*out = *g->codes[0];
	if (out->axis < 0)
		return true;
	for (int i = 0; i < to->n; i++)
		if (to->d[i] == from->d[out->axis] &&
			pare_shape_span(to, 0, i) == pare_shape_span(from, 0, g->codes[0]->axis)) {
			out->axis = i;
			return true;
		}
	return false;
}
