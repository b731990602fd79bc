/* For rows that know nothing of lanes, and for those that take numbers of many types. */
#include "kit.h"
#include <string.h>

static size_t aligned(size_t n)
{
	return (n + 63) / 64 * 64;
}

/* What an input or output becomes for who knows nothing of lanes, or of floats but float32. */
struct dress {
	bool by_lane, widen;
};

static struct pare_tensor dressed(const struct dress *d, const struct pare_tensor *t)
{
	struct pare_tensor x = *t;

	if (d->by_lane)
		x.lanes = 1;
	if (d->widen && (OP_T(t->dtype) & OP_REALS))
		x.dtype = PARE_F32;
	return x;
}

static bool as_it_is(const struct dress *d, const struct pare_tensor *t)
{
	struct pare_tensor x = dressed(d, t);

	return x.lanes == t->lanes && x.dtype == t->dtype;
}

static bool nothing_to_do(const struct dress *d, const struct pare_call *c)
{
	bool same = true;

	for (int i = 0; i < c->n_in; i++)
		same = same && (!c->in[i] || as_it_is(d, c->in[i]));
	for (int i = 0; i < c->n_out; i++)
		same = same && (!c->out[i] || as_it_is(d, c->out[i]));
	return same;
}

static size_t dressed_bytes(const struct dress *d, const struct pare_tensor *t)
{
	struct pare_tensor x;

	if (!t)
		return 0;
	x = dressed(d, t);
	return aligned(sizeof x) + aligned(op_count(&x) * op_size(x.dtype));
}

static size_t scratch_for(const struct dress *d, const struct pare_call *c)
{
	size_t bytes = aligned((size_t)(c->n_in + c->n_out) * sizeof(void *));

	if (nothing_to_do(d, c))
		return 0;
	for (int i = 0; i < c->n_in; i++)
		bytes += dressed_bytes(d, c->in[i]);
	for (int i = 0; i < c->n_out; i++)
		bytes += dressed_bytes(d, c->out[i]);
	return bytes;
}

/* Elements of `x`, from lane `lane` of `t` or into it. */
static void copy_in(const struct pare_tensor *t, int lane, const struct pare_tensor *x)
{
	size_t n = op_count(x), step = (size_t)(t->lanes / x->lanes), size = op_size(t->dtype);
	size_t at = t->lanes == x->lanes ? 0 : (size_t)lane;

	for (size_t i = 0; i < n; i++, at += step)
		if (t->dtype == x->dtype)
			memcpy(x->u8 + i * size, t->u8 + at * size, size);
		else
			op_put(x, i, op_get(t, at));
}

static void copy_out(const struct pare_tensor *t, int lane, const struct pare_tensor *x)
{
	size_t n = op_count(x), step = (size_t)(t->lanes / x->lanes), size = op_size(t->dtype);
	size_t at = t->lanes == x->lanes ? 0 : (size_t)lane;

	for (size_t i = 0; i < n; i++, at += step)
		if (t->dtype == x->dtype)
			memcpy(t->u8 + at * size, x->u8 + i * size, size);
		else
			op_put(t, at, op_get(x, i));
}

static struct pare_tensor *
make_room(const struct dress *d, const struct pare_tensor *t, char **room)
{
	struct pare_tensor *x = (void *)*room;

	if (!t)
		return NULL;
	*x = dressed(d, t);
	x->data = *room + aligned(sizeof *x);
	*room += dressed_bytes(d, t);
	return x;
}

static void run_dressed(const struct dress *d, const struct pare_call *c, pare_forward_fn *one)
{
	struct pare_call plain = *c;
	char *room = c->scratch;
	struct pare_tensor **t = (void *)room;

	if (nothing_to_do(d, c)) {
		one(c);
		return;
	}
	plain.lanes = d->by_lane ? 1 : c->lanes;
	plain.in = (const struct pare_tensor *const *)t;
	plain.out = t + c->n_in;
	room += aligned((size_t)(c->n_in + c->n_out) * sizeof(void *));
	for (int i = 0; i < c->n_in; i++)
		t[i] = make_room(d, c->in[i], &room);
	for (int i = 0; i < c->n_out; i++)
		t[c->n_in + i] = make_room(d, c->out[i], &room);
	plain.scratch = room;
	for (int l = 0; l < (d->by_lane ? c->lanes : 1); l++) {
		for (int i = 0; i < c->n_in; i++)
			if (t[i])
				copy_in(c->in[i], l, t[i]);
		one(&plain);
		for (int i = 0; i < c->n_out; i++)
			if (c->out[i])
				copy_out(c->out[i], l, t[c->n_in + i]);
	}
}

static const struct dress lane = { true, false }, float_lane = { true, true },
			  wide = { false, true };

void op_each_lane(const struct pare_call *c, pare_forward_fn *one)
{
	run_dressed(&lane, c, one);
}

size_t op_lanes_scratch(const struct pare_call *c)
{
	return scratch_for(&lane, c);
}

void op_each_float_lane(const struct pare_call *c, pare_forward_fn *one)
{
	run_dressed(&float_lane, c, one);
}

size_t op_float_lanes_scratch(const struct pare_call *c)
{
	return scratch_for(&float_lane, c);
}

void op_widened(const struct pare_call *c, pare_forward_fn *f32)
{
	run_dressed(&wide, c, f32);
}

size_t op_widened_scratch(const struct pare_call *c)
{
	return scratch_for(&wide, c);
}

/* ---- numbers of any type -------------------------------------------------------------------- */

int64_t op_get_int(const struct pare_tensor *t, size_t i)
{
	switch (t->dtype) {
	case PARE_I64:
	case PARE_U64:
		return t->i64[i];
	case PARE_I32:
		return t->i32[i];
	case PARE_U32:
		return (uint32_t)t->i32[i];
	case PARE_I16:
		return t->i16[i];
	case PARE_U16:
		return t->u16[i];
	case PARE_I8:
		return t->i8[i];
	case PARE_U8:
	case PARE_BOOL:
		return t->u8[i];
	default:
		return (int64_t)op_get(t, i);
	}
}

double op_get(const struct pare_tensor *t, size_t i)
{
	switch (t->dtype) {
	case PARE_F32:
		return t->f32[i];
	case PARE_F64:
		return t->f64[i];
	case PARE_F16:
		return pare_f16_to_f32(t->u16[i]);
	case PARE_BF16:
		return pare_bf16_to_f32(t->u16[i]);
	case PARE_U64:
		return (double)t->u64[i];
	default:
		return (double)op_get_int(t, i);
	}
}

void op_put_int(const struct pare_tensor *t, size_t i, int64_t v)
{
	switch (op_size(t->dtype)) {
	case 8:
		t->i64[i] = v;
		break;
	case 4:
		t->i32[i] = (int32_t)v;
		break;
	case 2:
		t->i16[i] = (int16_t)v;
		break;
	default:
		t->i8[i] = (int8_t)v;
	}
}

void op_put(const struct pare_tensor *t, size_t i, double v)
{
	switch (t->dtype) {
	case PARE_F32:
		t->f32[i] = (float)v;
		break;
	case PARE_F64:
		t->f64[i] = v;
		break;
	case PARE_F16:
		t->u16[i] = pare_f32_to_f16((float)v);
		break;
	case PARE_BF16:
		t->u16[i] = pare_f32_to_bf16((float)v);
		break;
	case PARE_BOOL:
		t->u8[i] = v != 0;
		break;
	case PARE_U64:
		t->u64[i] = v >= 0 && v < 0x1p64 ? (uint64_t)v : 0;
		break;
	default:
		op_put_int(t, i, v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : INT64_MIN);
	}
}

/* ---- for shape functions -------------------------------------------------------------------- */

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

enum pare_dtype op_onnx_type(int64_t type)
{
	static const enum pare_dtype types[] = { [1] = PARE_F32,
		[2] = PARE_U8,
		[3] = PARE_I8,
		[4] = PARE_U16,
		[5] = PARE_I16,
		[6] = PARE_I32,
		[7] = PARE_I64,
		[9] = PARE_BOOL,
		[10] = PARE_F16,
		[11] = PARE_F64,
		[12] = PARE_U32,
		[13] = PARE_U64,
		[16] = PARE_BF16 };

	return type > 0 && type < (int64_t)(sizeof types / sizeof types[0]) ? types[type]
									    : PARE_UNDEFINED;
}

bool op_word(const char *value, const char *preset, const char *word)
{
	return !strcmp(value && value[0] ? value : preset, word);
}
