#include "tensor.h"
#include "err.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned bits;
	int32_t onnx; /* TensorProto.DataType */
} dtypes[] = {
	[PARE_UNDEFINED] = { "undefined", 0, 0 },
	[PARE_F32] = { "float32", 32, 1 },
	[PARE_F64] = { "float64", 64, 11 },
	[PARE_F16] = { "float16", 16, 10 },
	[PARE_BF16] = { "bfloat16", 16, 16 },
	[PARE_I8] = { "int8", 8, 3 },
	[PARE_U8] = { "uint8", 8, 2 },
	[PARE_I16] = { "int16", 16, 5 },
	[PARE_U16] = { "uint16", 16, 4 },
	[PARE_I32] = { "int32", 32, 6 },
	[PARE_U32] = { "uint32", 32, 12 },
	[PARE_I64] = { "int64", 64, 7 },
	[PARE_U64] = { "uint64", 64, 13 },
	[PARE_BOOL] = { "bool", 8, 9 },
	[PARE_I4] = { "int4", 4, 22 },
	[PARE_U4] = { "uint4", 4, 21 },
	[PARE_I2] = { "int2", 2, 26 },
	[PARE_U2] = { "uint2", 2, 25 },
	[PARE_F8E4M3] = { "float8e4m3fn", 8, 17 },
	[PARE_F8E4M3UZ] = { "float8e4m3fnuz", 8, 18 },
	[PARE_F8E5M2] = { "float8e5m2", 8, 19 },
	[PARE_F8E5M2UZ] = { "float8e5m2fnuz", 8, 20 },
	[PARE_F8E8M0] = { "float8e8m0", 8, 24 },
	[PARE_F4E2M1] = { "float4e2m1", 4, 23 },
};

const char *pare_dtype_name(enum pare_dtype t)
{
	return dtypes[t].name;
}

size_t pare_dtype_bits(enum pare_dtype t)
{
	return dtypes[t].bits;
}

enum pare_dtype pare_dtype_from_onnx(int64_t type)
{
	for (size_t i = 1; i < sizeof dtypes / sizeof dtypes[0]; i++)
		if (dtypes[i].onnx == type)
			return (enum pare_dtype)i;
	return PARE_UNDEFINED;
}

int32_t pare_dtype_to_onnx(enum pare_dtype t)
{
	return dtypes[t].onnx;
}

void pare_array_free(struct pare_array *a)
{
	free(a->data);
	a->data = NULL;
}

char *pare_shape_text(const struct pare_shape *s, const char *times, char *buf, size_t len)
{
	size_t used = 0;

	if (len)
		buf[0] = 0;
	for (int i = 0; i < s->n && used < len; i++) {
		const char *sep = i ? times : "";
		int n = s->d[i] < 0 ? snprintf(buf + used, len - used, "%s?", sep)
				    : snprintf(buf + used, len - used, "%s%lld", sep,
					      (long long)s->d[i]);

		used += n > 0 ? (size_t)n : 0;
	}
	return buf;
}

int64_t pare_shape_elems(const struct pare_shape *s)
{
	int64_t n = 1;

	for (int i = 0; i < s->n; i++) {
		if (s->d[i] < 0)
			return -1;
		if (s->d[i] && n > ((int64_t)1 << 40) / s->d[i])
			return -1;
		n *= s->d[i];
	}
	return n;
}

int64_t pare_shape_span(const struct pare_shape *s, int from, int to)
{
	int64_t n = 1;

	for (int i = from; i < to; i++)
		n *= s->d[i];
	return n;
}

bool pare_shape_equal(const struct pare_shape *a, const struct pare_shape *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
		if (a->d[i] != b->d[i])
			return false;
	return true;
}

bool pare_dtype_bytes(enum pare_dtype t, int64_t elems, size_t *bytes)
{
	if (elems < 0 || elems > ((int64_t)1 << 58))
		return false;
	*bytes = ((size_t)elems * dtypes[t].bits + 7) / 8;
	return true;
}

bool pare_shape_broadcast(
	const struct pare_shape *a, const struct pare_shape *b, struct pare_shape *out)
{
	struct pare_shape s = { .n = a->n > b->n ? a->n : b->n };

	for (int i = 1; i <= s.n; i++) {
		int64_t x = i <= a->n ? a->d[a->n - i] : 1, y = i <= b->n ? b->d[b->n - i] : 1;

		if (x != y && x != 1 && y != 1)
			return false;
		s.d[s.n - i] = x == 1 ? y : x;
	}
	*out = s;
	return true;
}

static void blob_release_heap(struct pare_blob *b)
{
	free(b->data);
}

struct pare_blob *pare_blob_new(size_t len)
{
	struct pare_blob *b = malloc(sizeof *b);
	size_t room = (len + 63) / 64 * 64;

	if (!b || room < len) {
		free(b);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->len = len;
	b->owner = NULL;
	b->release = blob_release_heap;
	b->data = aligned_alloc(64, room ? room : 64);
	if (!b->data) {
		free(b);
		return NULL;
	}
	memset(b->data, 0, room ? room : 64);
	return b;
}

struct pare_blob *pare_blob_ref(struct pare_blob *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

void pare_blob_free(struct pare_blob *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	if (b->release)
		b->release(b);
	free(b);
}

float pare_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023, u;
	float f;

	if (e == 31)
		u = sign | 0x7f800000u | (m << 13);
	else if (e)
		u = sign | ((e + 112) << 23) | (m << 13);
	else { /* zero or subnormal: m * 2^-24, exactly */
		f = ldexpf((float)m, -24);
		return sign ? -f : f;
	}
	memcpy(&f, &u, 4);
	return f;
}

uint16_t pare_f32_to_f16(float f)
{
	uint32_t u, sign, m;
	int e;

	memcpy(&u, &f, 4);
	sign = (u >> 16) & 0x8000;
	u &= 0x7fffffffu;
	if (u > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00); /* NaN */
	if (u >= 0x477ff000u)
		return (uint16_t)(sign | 0x7c00); /* rounds to 65536 or more */
	if (u < 0x38800000u)                      /* below 2^-14: subnormal; rintf rounds to even */
		return (uint16_t)(sign | (uint32_t)rintf(ldexpf(fabsf(f), 24)));
	e = (int)(u >> 23) - 112;
	m = u & 0x7fffffu;
	m = ((uint32_t)e << 10 | m >> 13) + ((m & 0x1fff) > 0x1000 || ((m & 0x3fff) == 0x3000));
	return (uint16_t)(sign | m);
}

float pare_bf16_to_f32(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

uint16_t pare_f32_to_bf16(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

enum pare_status
pare_to_f32(enum pare_dtype from, const void *data, int64_t n, float *out, struct pare_err *err)
{
#define CONVERT(TYPE)                                                                              \
	for (int64_t i = 0; i < n; i++)                                                            \
		out[i] = (float)((const TYPE *)data)[i];                                           \
	return PARE_OK
	switch (from) {
	case PARE_F32:
		memcpy(out, data, (size_t)n * sizeof *out);
		return PARE_OK;
	case PARE_F64:
		CONVERT(double);
	case PARE_I8:
		CONVERT(int8_t);
	case PARE_U8:
	case PARE_BOOL:
		CONVERT(uint8_t);
	case PARE_I16:
		CONVERT(int16_t);
	case PARE_U16:
		CONVERT(uint16_t);
	case PARE_I32:
		CONVERT(int32_t);
	case PARE_U32:
		CONVERT(uint32_t);
	case PARE_I64:
		CONVERT(int64_t);
	case PARE_U64:
		CONVERT(uint64_t);
	case PARE_F16:
		for (int64_t i = 0; i < n; i++)
			out[i] = pare_f16_to_f32(((const uint16_t *)data)[i]);
		return PARE_OK;
	case PARE_BF16:
		for (int64_t i = 0; i < n; i++)
			out[i] = pare_bf16_to_f32(((const uint16_t *)data)[i]);
		return PARE_OK;
	case PARE_I4:
	case PARE_I2:
	case PARE_U4:
	case PARE_U2:
		for (int64_t i = 0; i < n; i++) {
			unsigned bits = dtypes[from].bits;
			int q = (int)pare_bits_get(data, (size_t)i, bits);
			bool minus = (from == PARE_I4 || from == PARE_I2) && q >> (bits - 1);

			out[i] = (float)(q - (minus ? 1 << bits : 0));
		}
		return PARE_OK;
	case PARE_F8E4M3:
	case PARE_F8E4M3UZ:
	case PARE_F8E5M2:
	case PARE_F8E5M2UZ:
	case PARE_F8E8M0:
	case PARE_F4E2M1:
		for (int64_t i = 0; i < n; i++)
			out[i] = pare_small_to_f32(
				from, pare_bits_get(data, (size_t)i, dtypes[from].bits));
		return PARE_OK;
	case PARE_UNDEFINED:
		break;
	}
#undef CONVERT
	return pare_fail(
		err, PARE_E_UNSUPPORTED, "type %s cannot be read as float32", dtypes[from].name);
}
