/* Calls of rows.  Types that a row does not know become one that it does on the way in, and what it
 * makes is converted back. */
#include "../graph/model.h"
#include "kit.h"
#include <string.h>

enum { MOST = 64, SHORT = 16 }; /* inputs and outputs; numbers that decide about a shape */

static bool moves(const struct pare_op *op)
{
	return op->takes & OP_T(PARE_F8E4M3);
}

static enum pare_dtype taken_as(const struct pare_op *op, enum pare_dtype t)
{
	if (op->takes & OP_T(t))
		return t;
	if (OP_T(t) & OP_REALS)
		return PARE_F32;
	return (OP_T(t) & OP_PACKED) && moves(op) ? PARE_U8 : t;
}

/* What an output is when the row makes `made` of what came in as `foreign`. */
static enum pare_dtype
given_as(const struct pare_op *op, int output, enum pare_dtype made, enum pare_dtype foreign)
{
	return made == taken_as(op, foreign) && !(op->stays >> output & 1) ? foreign : made;
}

/* pare_f16_to_f32 and back without a branch, so that compilers vectorize them; F. Giesen's "Half to
 * float done quic" and its sequel. */
OP_HOT static void halves_to_floats(const uint16_t *h, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t u = (uint32_t)(h[i] & 0x7fff) << 13,
			 special = u >= 0x0f800000u ? 0x7f800000u : 0;
		float f;

		memcpy(&f, &u, sizeof f);
		f *= 0x1p112f; /* from one bias to the other; subnormals become what they are */
		memcpy(&u, &f, sizeof u);
		u |= special | (uint32_t)(h[i] & 0x8000) << 16;
		memcpy(&out[i], &u, sizeof u);
	}
}

OP_HOT static void floats_to_halves(const float *f, size_t n, uint16_t *out)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t u, sign, small, large;
		float a;

		memcpy(&u, &f[i], sizeof u);
		sign = u >> 16 & 0x8000;
		u &= 0x7fffffffu;
		memcpy(&a, &u, sizeof a);
		a += 0.5f; /* below 2^-14: the sum has the places of a subnormal half */
		memcpy(&small, &a, sizeof small);
		small -= 0x3f000000u;
		large = (u - 0x38000000u + 0xfff + (u >> 13 & 1)) >> 13;
		u = u > 0x7f800000u    ? 0x7e00
		    : u >= 0x477ff000u ? 0x7c00
		    : u < 0x38800000u  ? small
				       : large;
		out[i] = (uint16_t)(sign | u);
	}
}

/* Codes of packed elements stay codes. */
static void widen(const struct pare_tensor *from, const struct pare_tensor *to)
{
	size_t n = op_count(from);

	if (to->dtype == PARE_U8)
		for (size_t i = 0; i < n; i++)
			to->u8[i] = (uint8_t)pare_bits_get(
				from->data, i, (unsigned)pare_dtype_bits(from->dtype));
	else if (from->dtype == PARE_F16)
		halves_to_floats(from->u16, n, to->f32);
	else if (pare_to_f32(from->dtype, from->data, (int64_t)n, to->f32, NULL))
		memset(to->data, 0, n * sizeof *to->f32); /* all of OP_REALS convert */
}

static void narrow(const struct pare_tensor *from, const struct pare_tensor *to)
{
	size_t n = op_count(from);

	switch (to->dtype) {
	case PARE_F16:
		floats_to_halves(from->f32, n, to->u16);
		break;
	case PARE_BF16:
		for (size_t i = 0; i < n; i++)
			to->u16[i] = pare_f32_to_bf16(from->f32[i]);
		break;
	case PARE_F64:
		for (size_t i = 0; i < n; i++)
			to->f64[i] = from->f32[i];
		break;
	default:
		for (size_t i = 0; i < n; i++)
			pare_bits_put(
				to->data, i, (unsigned)pare_dtype_bits(to->dtype), from->u8[i]);
	}
}

/* ---- shapes --------------------------------------------------------------------------------- */

struct short_value {
	struct pare_tensor t;
	float v[SHORT];
};

/* Long constants decide about no shape and are left out. */
static void know(const struct pare_op *op, const struct pare_known *k, struct pare_known *to,
	struct short_value *value)
{
	*to = *k;
	to->dtype = taken_as(op, k->dtype);
	if (to->dtype == k->dtype || !k->value)
		return;
	to->value = NULL;
	if (pare_shape_elems(&k->shape) > SHORT)
		return;
	value->t = *k->value;
	value->t.dtype = to->dtype;
	value->t.data = value->v;
	widen(k->value, &value->t);
	to->value = &value->t;
}

enum pare_status pare_op_shape(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct pare_op *op = c->node->op;
	struct pare_known known[MOST];
	struct short_value value[MOST];
	const struct pare_known *in[MOST];
	struct pare_shape_call call = *c;
	enum pare_dtype foreign = PARE_UNDEFINED;
	enum pare_status st;

	for (int i = 0; i < c->n_in && !foreign; i++)
		if (c->in[i] && taken_as(op, c->in[i]->dtype) != c->in[i]->dtype)
			foreign = c->in[i]->dtype;
	if (!foreign)
		return op->shape(c, err);
	if (c->n_in > MOST || c->n_out > MOST)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than %d inputs of type %s", MOST,
			pare_dtype_name(foreign));
	for (int i = 0; i < c->n_in; i++) {
		in[i] = c->in[i] ? &known[i] : NULL;
		if (in[i])
			know(op, c->in[i], &known[i], &value[i]);
	}
	call.in = in;
	st = op->shape(&call, err);
	for (int i = 0; i < c->n_out && !st; i++)
		c->out[i].dtype = given_as(op, i, c->out[i].dtype, foreign);
	return st;
}

/* ---- running -------------------------------------------------------------------------------- */

struct dressed {
	struct pare_call call;
	enum pare_dtype foreign; /* what came in; UNDEFINED = the row knows it all */
	const struct pare_tensor *in[MOST];
	struct pare_tensor *out[MOST];
	struct pare_tensor of_in[MOST], of_out[MOST];
};

static enum pare_dtype find_foreign(const struct pare_call *c)
{
	const struct pare_op *op = c->node->op;

	if (op->by_shape)
		return PARE_UNDEFINED;
	for (int i = 0; i < c->n_in; i++)
		if (c->in[i] && taken_as(op, c->in[i]->dtype) != c->in[i]->dtype)
			return c->in[i]->dtype;
	return PARE_UNDEFINED;
}

/* The call as the row sees it; what is converted has no data yet. */
static void dress(const struct pare_call *c, enum pare_dtype foreign, struct dressed *d)
{
	const struct pare_op *op = c->node->op;

	d->call = *c;
	d->call.in = d->in;
	d->call.out = d->out;
	d->foreign = foreign;
	for (int i = 0; i < c->n_in; i++) {
		d->in[i] = c->in[i];
		if (!c->in[i] || taken_as(op, c->in[i]->dtype) == c->in[i]->dtype)
			continue;
		d->of_in[i] = *c->in[i];
		d->of_in[i].dtype = taken_as(op, c->in[i]->dtype);
		d->of_in[i].data = NULL;
		d->in[i] = &d->of_in[i];
	}
	for (int i = 0; i < c->n_out; i++) {
		d->out[i] = c->out[i];
		if (!c->out[i] || c->out[i]->dtype != foreign)
			continue;
		d->of_out[i] = *c->out[i];
		d->of_out[i].dtype = taken_as(op, foreign);
		d->of_out[i].data = NULL;
		d->out[i] = &d->of_out[i];
	}
}

static size_t room_of(const struct pare_tensor *t)
{
	return (op_count(t) * op_size(t->dtype) + 63) / 64 * 64;
}

static size_t room_of_all(const struct pare_call *c, const struct dressed *d)
{
	size_t bytes = 0;

	for (int i = 0; i < c->n_in; i++)
		bytes += d->in[i] == c->in[i] ? 0 : room_of(d->in[i]);
	for (int i = 0; i < c->n_out; i++)
		bytes += d->out[i] == c->out[i] ? 0 : room_of(d->out[i]);
	return bytes;
}

size_t pare_op_scratch(const struct pare_call *c)
{
	const struct pare_op *op = c->node->op;
	enum pare_dtype foreign = find_foreign(c);
	struct dressed d;

	if (!foreign)
		return op->scratch ? op->scratch(c) : 0;
	dress(c, foreign, &d);
	return room_of_all(c, &d) + (op->scratch ? op->scratch(&d.call) : 0);
}

enum pare_status pare_op_prepare(
	const struct pare_call *c, struct pare_arena *a, const void **packed, struct pare_err *err)
{
	const struct pare_op *op = c->node->op;
	enum pare_dtype foreign = find_foreign(c);
	struct dressed d;

	if (!op->prepare)
		return PARE_OK;
	if (!foreign)
		return op->prepare(c, a, packed, err);
	dress(c, foreign, &d);
	for (int i = 0; i < c->n_in; i++) {
		if (d.in[i] == c->in[i] || !c->in[i]->data)
			continue;
		if (!(d.of_in[i].data = pare_alloc(a, room_of(d.in[i]))))
			return pare_nomem(err, "a constant");
		widen(c->in[i], d.in[i]);
	}
	return op->prepare(&d.call, a, packed, err);
}

static void forward_dressed(const struct pare_call *c, enum pare_dtype foreign)
{
	char *room = c->scratch;
	struct dressed d;

	dress(c, foreign, &d);
	for (int i = 0; i < c->n_in; i++) {
		if (d.in[i] == c->in[i])
			continue;
		d.of_in[i].data = room;
		room += room_of(d.in[i]);
		widen(c->in[i], d.in[i]);
	}
	for (int i = 0; i < c->n_out; i++) {
		if (d.out[i] == c->out[i])
			continue;
		d.out[i]->data = room;
		room += room_of(d.out[i]);
	}
	d.call.scratch = room;
	c->node->op->forward(&d.call);
	for (int i = 0; i < c->n_out; i++)
		if (d.out[i] != c->out[i])
			narrow(d.out[i], c->out[i]);
}

enum pare_status pare_op_forward(const struct pare_call *c)
{
	enum pare_dtype foreign = find_foreign(c);

	if (c->wrong)
		c->wrong->code = PARE_OK;
	if (foreign)
		forward_dressed(c, foreign);
	else
		c->node->op->forward(c);
	return c->wrong ? c->wrong->code : PARE_OK;
}
