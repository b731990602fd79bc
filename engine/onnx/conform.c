/* ONNX's own test cases: a model, inputs, and what must come out. */
#include "../base/err.h"
#include "onnx.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WHY = 256 };

struct test_case {
	const char *dir;
	const struct pare_model *m;
	struct pare_array *in, *out;
	char *why; /* [WHY] */
};

static enum pare_case_result
verdict(struct test_case *c, enum pare_case_result result, const char *text)
{
	snprintf(c->why, WHY, "%.*s", WHY - 1, text);
	return result;
}

/* Inputs that do not match what their own model declares are a fault of the case (CastLike's, of
 * ONNX 1.12); ONNX Runtime turns them down as well. */
static enum pare_case_result from_status(struct test_case *c, enum pare_status st, const char *text)
{
	bool able = st != PARE_E_UNSUPPORTED && st != PARE_E_MISMATCH;

	return verdict(c, able ? PARE_CASE_FAILED : PARE_CASE_UNSUPPORTED, text);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool is_float(enum pare_dtype t)
{
	return t == PARE_F32 || t == PARE_F64 || t == PARE_F16 || t == PARE_BF16 ||
	       pare_is_small_float(t);
}

static double float_at(const struct pare_array *a, int64_t i)
{
	switch (a->dtype) {
	case PARE_F32:
		return ((const float *)a->data)[i];
	case PARE_F64:
		return ((const double *)a->data)[i];
	case PARE_F16:
		return pare_f16_to_f32(((const uint16_t *)a->data)[i]);
	case PARE_BF16:
		return pare_bf16_to_f32(((const uint16_t *)a->data)[i]);
	default:
		return pare_small_to_f32(a->dtype,
			pare_bits_get(a->data, (size_t)i, (unsigned)pare_dtype_bits(a->dtype)));
	}
}

/* As ONNX's own runner judges (onnx/backend/test/runner of 1.23): rtol 1e-3, for bfloat16 two of
 * its last places, atol 1e-7.  Wider in two ways, for expected values are rounded too.  float16 has
 * two of its last places as well: attention_4d_causal_fp16_expanded wants 0.46948 where the exact
 * value is 0.46919 and rounding node by node gives 0.46899.  And of float32 sums nothing is known
 * below the last places of the largest: dft_inverse wants 2e-7 where the exact value is 0. */
static double relative_part(enum pare_dtype t)
{
	return t == PARE_BF16 ? 0x1p-6 : t == PARE_F16 ? 0x1p-9 : 1e-3;
}

static double absolute_part(const struct pare_array *want)
{
	int64_t n = pare_shape_elems(&want->shape);
	double largest = 0;

	for (int64_t i = 0; i < n; i++) {
		double v = fabs(float_at(want, i));

		largest = v > largest && !isinf(v) ? v : largest;
	}
	return fmax(1e-7, 0x1p-23 * largest);
}

static bool close_enough(double x, double y, double part, double far)
{
	if (isnan(x) || isnan(y))
		return isnan(x) && isnan(y);
	return x == y || fabs(x - y) <= far + part * fabs(y);
}

static bool same_bits(const struct pare_array *got, const struct pare_array *want, int64_t i)
{
	size_t bits = pare_dtype_bits(want->dtype), size = bits / 8;

	if (bits < 8)
		return pare_bits_get(got->data, (size_t)i, (unsigned)bits) ==
		       pare_bits_get(want->data, (size_t)i, (unsigned)bits);
	return !memcmp((const char *)got->data + (size_t)i * size,
		(const char *)want->data + (size_t)i * size, size);
}

/* Where they differ first; -1: nowhere. */
static int64_t first_difference(const struct pare_array *got, const struct pare_array *want)
{
	int64_t n = pare_shape_elems(&want->shape);
	bool real = is_float(want->dtype);
	double far = real ? absolute_part(want) : 0, part = relative_part(want->dtype);

	for (int64_t i = 0; i < n; i++)
		if (real ? !close_enough(float_at(got, i), float_at(want, i), part, far)
			 : !same_bits(got, want, i))
			return i;
	return -1;
}

static enum pare_case_result compare(struct test_case *c, int k, const struct pare_array *want)
{
	const struct pare_array *got = &c->out[k];
	char a[96], b[96], text[WHY];
	int64_t i;

	if (got->dtype != want->dtype) {
		snprintf(text, sizeof text, "output %d is %s, not %s", k,
			pare_dtype_name(got->dtype), pare_dtype_name(want->dtype));
		return verdict(c, PARE_CASE_FAILED, text);
	}
	if (!pare_shape_equal(&got->shape, &want->shape)) {
		snprintf(text, sizeof text, "output %d is [%s], not [%s]", k,
			pare_shape_text(&got->shape, "x", a, sizeof a),
			pare_shape_text(&want->shape, "x", b, sizeof b));
		return verdict(c, PARE_CASE_FAILED, text);
	}
	if ((i = first_difference(got, want)) < 0)
		return PARE_CASE_PASSED;
	if (is_float(want->dtype))
		snprintf(text, sizeof text, "output %d: element %" PRId64 " is %g, not %g", k, i,
			float_at(got, i), float_at(want, i));
	else
		snprintf(text, sizeof text, "output %d: element %" PRId64 " differs", k, i);
	return verdict(c, PARE_CASE_FAILED, text);
}

/* ---- running --------------------------------------------------------------------------------- */

static char *file_of(struct test_case *c, int set, const char *what, int k)
{
	char *path = NULL;

	return asprintf(&path, "%s/test_data_set_%d/%s_%d.pb", c->dir, set, what, k) < 0 ? NULL
											 : path;
}

static enum pare_status read_file(struct test_case *c, int set, const char *what, int k,
	struct pare_array *out, struct pare_err *err)
{
	char *path = file_of(c, set, what, k);
	enum pare_status st =
		path ? pare_onnx_tensor_read(path, out, err) : pare_nomem(err, "a file name");

	free(path);
	return st;
}

/* The published cases store bfloat16 as uint16. */
static void relabel(struct pare_array *a, enum pare_dtype want)
{
	if (a->dtype == PARE_U16 && want == PARE_BF16)
		a->dtype = want;
}

static enum pare_case_result run_set(struct test_case *c, int set)
{
	const struct pare_model_info *info = pare_model_info(c->m);
	enum pare_case_result result = PARE_CASE_PASSED;
	struct pare_err err = { 0 };
	enum pare_status st = PARE_OK;

	for (int i = 0; i < info->n_inputs && !st; i++) {
		st = read_file(c, set, "input", i, &c->in[i], &err);
		relabel(&c->in[i], pare_model_input(c->m, i)->dtype);
	}
	if (!st)
		st = pare_model_run(c->m, c->in, c->out, &err);
	if (st)
		return from_status(c, st, err.text);
	for (int i = 0; i < info->n_outputs && result == PARE_CASE_PASSED; i++) {
		struct pare_array want = { 0 };

		if ((st = read_file(c, set, "output", i, &want, &err)))
			return from_status(c, st, err.text);
		relabel(&want, c->out[i].dtype);
		result = compare(c, i, &want);
		pare_array_free(&want);
	}
	return result;
}

static void free_arrays(struct test_case *c)
{
	for (int i = 0; i < pare_model_info(c->m)->n_inputs; i++)
		pare_array_free(&c->in[i]);
	for (int i = 0; i < pare_model_info(c->m)->n_outputs; i++)
		pare_array_free(&c->out[i]);
}

static enum pare_case_result run_sets(struct test_case *c)
{
	enum pare_case_result result = PARE_CASE_PASSED;
	int set = 0;

	for (; result == PARE_CASE_PASSED; set++) {
		char *folder = NULL;
		bool there = asprintf(&folder, "%s/test_data_set_%d", c->dir, set) > 0 &&
			     !access(folder, F_OK);

		free(folder);
		if (!there)
			break;
		result = run_set(c, set);
		free_arrays(c);
	}
	return set ? result : verdict(c, PARE_CASE_FAILED, "no test_data_set_0");
}

static enum pare_case_result check_model(struct test_case *c)
{
	const struct pare_model_info *info = pare_model_info(c->m);
	char text[WHY];

	for (int i = 0; i < info->n_inputs; i++) {
		const struct pare_io *io = pare_model_input(c->m, i);

		if (io->dtype != PARE_UNDEFINED)
			continue;
		snprintf(text, sizeof text, "input '%.80s' is of a type that pare does not have",
			io->name);
		return verdict(c, PARE_CASE_UNSUPPORTED, text);
	}
	if (info->n_unsupported) {
		const struct pare_unsupported *u = pare_model_unsupported(c->m, 0);

		snprintf(text, sizeof text, "%.60s: %.180s", u->op, u->why);
		return verdict(c, PARE_CASE_UNSUPPORTED, text);
	}
	return PARE_CASE_PASSED;
}

enum pare_case_result pare_conform(const char *dir, char why[WHY])
{
	struct test_case c = { .dir = dir, .why = why };
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	enum pare_case_result result;
	enum pare_status st;
	char *path = NULL;

	why[0] = 0;
	st = asprintf(&path, "%s/model.onnx", dir) < 0 ? pare_nomem(&err, "a file name")
						       : pare_model_open(path, &m, &err);
	free(path);
	if (st)
		return from_status(&c, st, err.text);
	c.m = m;
	c.in = calloc((size_t)m->info.n_inputs + 1, sizeof *c.in);
	c.out = calloc((size_t)m->info.n_outputs + 1, sizeof *c.out);
	if (!c.in || !c.out)
		result = verdict(&c, PARE_CASE_FAILED, "not enough memory");
	else if ((result = check_model(&c)) == PARE_CASE_PASSED)
		result = run_sets(&c);
	free(c.in);
	free(c.out);
	pare_model_free(m);
	return result;
}
