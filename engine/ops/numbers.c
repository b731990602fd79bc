/* Numbers of any type, one by one. */
#include "kit.h"
#include <string.h>

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
	case PARE_U4:
	case PARE_U2:
		return pare_bits_get(t->data, i, (unsigned)pare_dtype_bits(t->dtype));
	case PARE_I4: /* the sign bit weighs -8 */
		return (int64_t)(pare_bits_get(t->data, i, 4) ^ 8) - 8;
	case PARE_I2:
		return (int64_t)(pare_bits_get(t->data, i, 2) ^ 2) - 2;
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
	case PARE_F8E4M3:
	case PARE_F8E4M3UZ:
	case PARE_F8E5M2:
	case PARE_F8E5M2UZ:
	case PARE_F8E8M0:
	case PARE_F4E2M1:
		return pare_small_to_f32(
			t->dtype, pare_bits_get(t->data, i, (unsigned)pare_dtype_bits(t->dtype)));
	default:
		return (double)op_get_int(t, i);
	}
}

void op_put_int(const struct pare_tensor *t, size_t i, int64_t v)
{
	unsigned bits = (unsigned)pare_dtype_bits(t->dtype);

	switch (bits) {
	case 64:
		t->i64[i] = v;
		break;
	case 32:
		t->i32[i] = (int32_t)v;
		break;
	case 16:
		t->i16[i] = (int16_t)v;
		break;
	case 8:
		t->i8[i] = (int8_t)v;
		break;
	default:
		pare_bits_put(t->data, i, bits, (unsigned)v);
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

size_t op_place(const struct pare_call *c, int64_t i, size_t n)
{
	int64_t at = i < 0 ? i + (int64_t)n : i;

	if (at >= 0 && (size_t)at < n)
		return (size_t)at;
	(void)pare_fail(c->wrong, PARE_E_FORMAT, "index %lld into an axis of %zu", (long long)i, n);
	return 0;
}
