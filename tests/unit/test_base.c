#include "engine/base/arena.h"
#include "engine/base/hash.h"
#include "engine/base/pool.h"
#include "engine/base/rng.h"
#include "engine/base/tensor.h"
#include "tests/tap.h"
#include <math.h>

static void arena_gives_zeroed_aligned_memory(void)
{
	struct pare_arena *a = pare_arena_new();
	int good = 1;

	for (size_t n = 0; n < 300000; n = n * 3 + 1) {
		unsigned char *p = pare_alloc(a, n);

		good &= p && (uintptr_t)p % 64 == 0;
		for (size_t i = 0; i < n; i++)
			good &= !p[i];
		memset(p, 255, n);
	}
	ok(good, "blocks are zero and aligned to 64");
	ok(!pare_alloc_n(a, SIZE_MAX / 2, 3), "a product that overflows is refused");
	ok(!pare_alloc(a, SIZE_MAX - 5), "an absurd size is refused");
	ok(!strcmp(pare_sprintf(a, "%s-%d", "x", 7), "x-7"), "sprintf");
	pare_arena_free(a);
}

static enum pare_status square(void *ctx, int chunk, int worker, struct pare_err *err)
{
	(void)worker;
	(void)err;
	((int *)ctx)[chunk] += chunk * chunk;
	return PARE_OK;
}

static enum pare_status fail_at_7(void *ctx, int chunk, int worker, struct pare_err *err)
{
	(void)ctx;
	(void)worker;
	if (chunk != 7)
		return PARE_OK;
	snprintf(err->text, sizeof err->text, "seven");
	return PARE_E_ARG;
}

static enum pare_status cancel_at_3(void *ctx, int chunk, int worker, struct pare_err *err)
{
	(void)worker;
	(void)err;
	if (chunk == 3)
		atomic_store(&((struct pare_ctl *)ctx)->cancel, true);
	return PARE_OK;
}

static void pool_runs_each_chunk_once(void)
{
	struct pare_progress_span none = { 0, 0 };

	for (int threads = 1; threads <= 4; threads++) {
		int got[1000] = { 0 }, good = 1;
		struct pare_err err = { 0 };
		struct pare_ctl ctl = { 0 };

		pare_set_threads(threads);
		ok(!pare_parallel(1000, square, got, NULL, none, &err), "1000 chunks on %d threads",
			threads);
		for (int i = 0; i < 1000; i++)
			good &= got[i] == i * i;
		ok(good, "each ran once");
		ok(pare_parallel(20, fail_at_7, NULL, NULL, none, &err) == PARE_E_ARG &&
				!strcmp(err.text, "seven"),
			"a failing chunk's status and text come back");
		ok(pare_parallel(100000, cancel_at_3, &ctl, &ctl, none, &err) == PARE_E_CANCELED,
			"a canceled round says so");
	}
	pare_set_threads(0);
}

static void halves_convert(void)
{
	int good = 1;

	for (unsigned h = 0; h < 65536; h++) {
		float f = pare_f16_to_f32((uint16_t)h);

		if (!isnan(f))
			good &= pare_f32_to_f16(f) == h;
		f = pare_bf16_to_f32((uint16_t)h);
		if (!isnan(f))
			good &= pare_f32_to_bf16(f) == h;
	}
	ok(good, "every half survives the way to float and back");
	ok(pare_f32_to_f16(65519.f) == 0x7bff && pare_f32_to_f16(65520.f) == 0x7c00,
		"overflow rounds to inf");
	ok(pare_f32_to_f16(1.f + 0x1p-11f) == 0x3c00, "a tie goes to even, down");
	ok(pare_f32_to_f16(1.f + 3 * 0x1p-11f) == 0x3c02, "a tie goes to even, up");
	ok(pare_f32_to_f16(0x1p-25f) == 0 && pare_f32_to_f16(0x1.8p-25f) == 1, "subnormals round");
}

static void shapes_are_checked(void)
{
	struct pare_shape a = { 4, { 8, 1, 6, 1 } }, b = { 3, { 7, 1, 5 } }, c;
	struct pare_shape huge = { 3, { 1 << 20, 1 << 20, 1 << 20 } }, bad = { 1, { 3 } };
	char buf[64];

	ok(pare_shape_broadcast(&a, &b, &c) && c.n == 4 && c.d[1] == 7 && c.d[3] == 5, "broadcast");
	ok(!pare_shape_broadcast(&b, &bad, &c), "5 against 3 does not broadcast");
	ok(pare_shape_elems(&huge) == -1, "an absurd product is refused");
	ok(!strcmp(pare_shape_text(&b, "x", buf, sizeof buf), "7x1x5"), "text");
}

static void hash_is_sha256(void)
{
	char hex[PARE_SHA_HEX];

	pare_sha256("abc", 3, hex); /* FIPS 180-2, B.1 */
	ok(!strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
		"sha256 of abc");
}

static void random_numbers_are_fixed(void)
{
	struct pare_rng r = pare_rng_seed(7, 1), s = pare_rng_seed(7, 1), t = pare_rng_seed(7, 2);
	double sum = 0, sq = 0;
	int same = 1;

	for (int i = 0; i < 100; i++)
		same &= pare_rng_u64(&r) == pare_rng_u64(&s);
	ok(same && pare_rng_u64(&r) != pare_rng_u64(&t), "a seed and a stream name a sequence");
	for (int i = 0; i < 100000; i++) {
		double x = pare_rng_normal(&r);

		sum += x;
		sq += x * x;
	}
	ok(fabs(sum / 1e5) < 0.02 && fabs(sq / 1e5 - 1) < 0.02, "normal: mean 0, variance 1");
}

/* Codes and values of the tables in ONNX's "Float stored in 8 bits", "… in 4 bits". */
static void floats_of_8_and_4_bits(void)
{
	static const struct {
		enum pare_dtype t;
		unsigned code;
		float value;
	} known[] = { { PARE_F8E4M3, 0x7e, 448 }, { PARE_F8E4M3, 1, 0x1p-9f },
		{ PARE_F8E4M3, 0xb8, -1 }, { PARE_F8E4M3UZ, 0x7f, 240 },
		{ PARE_F8E4M3UZ, 1, 0x1p-10f }, { PARE_F8E5M2, 0x7b, 57344 },
		{ PARE_F8E5M2, 1, 0x1p-16f }, { PARE_F8E5M2, 0xfc, -INFINITY },
		{ PARE_F8E5M2UZ, 0x7f, 57344 }, { PARE_F8E5M2UZ, 1, 0x1p-17f },
		{ PARE_F4E2M1, 7, 6 }, { PARE_F4E2M1, 1, 0.5f }, { PARE_F4E2M1, 0xa, -1 },
		{ PARE_F8E8M0, 127, 1 }, { PARE_F8E8M0, 0, 0x1p-127f } };
	bool good = true;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		good &= pare_small_to_f32(known[i].t, known[i].code) == known[i].value;
	ok(good, "codes stand for what the tables say");
	good = true;
	for (enum pare_dtype t = PARE_F8E4M3; t <= PARE_F4E2M1; t++)
		for (unsigned code = 0; code < 1u << pare_dtype_bits(t); code++) {
			float f = pare_small_to_f32(t, code);

			good &= isnan(f) || pare_f32_to_small(t, f, false, PARE_NEAREST) == code;
		}
	ok(good, "every code comes back");
	ok(pare_f32_to_small(PARE_F8E4M3, 1e9f, true, PARE_NEAREST) == 0x7e &&
			isnan(pare_small_to_f32(PARE_F8E4M3,
				pare_f32_to_small(PARE_F8E4M3, 1e9f, false, PARE_NEAREST))) &&
			pare_f32_to_small(PARE_F8E5M2, -1e9f, false, PARE_NEAREST) == 0xfc,
		"too large: the largest, NaN, or infinity");
	ok(pare_f32_to_small(PARE_F4E2M1, 2.5f, true, PARE_NEAREST) == 4 &&
			pare_f32_to_small(PARE_F4E2M1, 3.5f, true, PARE_NEAREST) == 6 &&
			pare_f32_to_small(PARE_F8E4M3UZ, -1e-9f, true, PARE_NEAREST) == 0,
		"ties go to even; what rounds to -0 is 0 where there is none");
	ok(pare_f32_to_small(PARE_F8E8M0, 3, true, PARE_UP) == 129 &&
			pare_f32_to_small(PARE_F8E8M0, 3, true, PARE_DOWN) == 128,
		"powers of two round up or down");
}

int main(void)
{
	arena_gives_zeroed_aligned_memory();
	pool_runs_each_chunk_once();
	halves_convert();
	shapes_are_checked();
	hash_is_sha256();
	random_numbers_are_fixed();
	floats_of_8_and_4_bits();
	return tap_done();
}
