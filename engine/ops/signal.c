/* Windows and Fourier transforms.  Complex numbers are pairs along the last axis. */
#include "../graph/model.h"
#include "kit.h"
#include <math.h>
#include <string.h>

struct signal {
	int64_t periodic, type, axis, inverse, onesided;
};
#define AT(f) offsetof(struct signal, f)
static const struct pare_attr window_attrs[] = { { "periodic", PARE_ATTR_INT, AT(periodic), 1, 0 },
	{ "output_datatype", PARE_ATTR_INT, AT(type), 1, 0 }, { 0 } };
static const struct pare_attr dft_attrs[] = { { "axis", PARE_ATTR_INT, 0, 1, 2 },
	{ "inverse", PARE_ATTR_INT, AT(inverse), 0, 0 },
	{ "onesided", PARE_ATTR_INT, AT(onesided), 0, 0 }, { 0 } };
static const struct pare_attr stft_attrs[] = { { "onesided", PARE_ATTR_INT, AT(onesided), 1, 0 },
	{ 0 } };

static const struct pare_attr mel_attrs[] = { { "output_datatype", PARE_ATTR_INT, AT(type), 1, 0 },
	{ 0 } };

static const double pi = 3.14159265358979323846;

/* ---- windows -------------------------------------------------------------------------------- */

static const char *refuse_type(const struct pare_node *n, const void *attr)
{
	enum pare_dtype t = pare_dtype_from_onnx(((const struct signal *)attr)->type);

	(void)n;
	return OP_T(t) & (OP_NUMBERS | OP_REALS) ? NULL : "its output_datatype";
}

static enum pare_status shape_window(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct signal *a = c->attr;
	int64_t size[1] = { 0 };
	int n = 0;
	enum pare_status st = op_const_ints(c, 0, size, 1, &n, err);

	if (!st && (n != 1 || size[0] < 0 || size[0] > 1 << 28))
		st = pare_fail(err, PARE_E_FORMAT, "the size must be one number from 0 to 2^28");
	c->out[0].dtype = pare_dtype_from_onnx(a->type);
	c->out[0].shape = (struct pare_shape){ 1, { size[0] } };
	return st;
}

/* a - b cos(2 pi i / n) + c cos(4 pi i / n) */
static void window(const struct pare_call *call, double a, double b, double c)
{
	const struct signal *s = call->attr;
	const struct pare_tensor *y = call->out[0];
	size_t lanes = (size_t)y->lanes, n = op_count(y);
	double over = (double)y->shape.d[0] - (s->periodic ? 0 : 1);

	for (size_t i = 0; i < n; i++) {
		double at = 2 * pi * (double)(i / lanes) / over;

		op_put(y, i, a - b * cos(at) + c * cos(2 * at));
	}
}

static void hann_forward(const struct pare_call *c)
{
	window(c, 0.5, 0.5, 0);
}

static void hamming_forward(const struct pare_call *c)
{
	window(c, 25.0 / 46, 21.0 / 46, 0);
}

static void blackman_forward(const struct pare_call *c)
{
	window(c, 0.42, 0.5, 0.08);
}

/* ---- transforms ----------------------------------------------------------------------------- */

/* `parts` floats a number, `step` floats from one to the next; what lies behind the n given is
 * zero. */
struct row {
	const float *x;
	size_t n, step, parts;
	const float *window; /* NULL: none */
};

/* Number k of the transform of length `len`. */
static void transform(const struct row *r, size_t len, size_t k, bool inverse, float out[2])
{
	double re = 0, im = 0;

	for (size_t i = 0; i < r->n && i < len; i++) {
		double turn = 2 * pi * (double)(i * k % len) / (double)len;
		double c = cos(turn), s = inverse ? sin(turn) : -sin(turn);
		double w = r->window ? r->window[i] : 1, x = w * r->x[i * r->step];
		double y = r->parts == 2 ? w * r->x[i * r->step + 1] : 0;

		re += x * c - y * s;
		im += x * s + y * c;
	}
	out[0] = (float)(inverse ? re / (double)len : re);
	out[1] = (float)(inverse ? im / (double)len : im);
}

/* Number k of the inverse of what a real signal of length `len` became, of which one side is given:
 * the other one mirrors it. */
static float from_one_side(const struct row *r, size_t len, size_t k)
{
	double sum = 0;

	for (size_t i = 0; i < r->n && i <= len / 2; i++) {
		double turn = 2 * pi * (double)(i * k % len) / (double)len;
		double twice = i == 0 || 2 * i == len ? 1 : 2;
		double y = r->parts == 2 ? r->x[i * r->step + 1] : 0;

		sum += twice * (r->x[i * r->step] * cos(turn) - y * sin(turn));
	}
	return (float)(sum / (double)len);
}

static enum pare_status
one_int(const struct pare_shape_call *c, int i, int64_t preset, int64_t *v, struct pare_err *err)
{
	int n = 1;
	enum pare_status st = PARE_OK;

	*v = preset;
	if (op_has(c, i))
		st = op_const_ints(c, i, v, 1, &n, err);
	return st || n == 1 ? st : pare_fail(err, PARE_E_FORMAT, "input %d is not one number", i);
}

/* Before opset 20 the axis is 1 unless it is named. */
static enum pare_status upgrade_dft(struct pare_node *n, int opset, struct pare_err *err)
{
	struct signal *a = n->attr;

	(void)err;
	a->axis = opset < 20 ? 1 : -2;
	return PARE_OK;
}

static bool writable_dft(const struct pare_shape_call *c)
{
	const struct signal *a = c->attr;

	return op_has(c, 2) || a->axis == -2 || c->in[0]->shape.n == 3;
}

/* The length where none is said, by that of the axis. */
static int64_t usual_length(const struct signal *a, int64_t n)
{
	return a->inverse && a->onesided ? 2 * (n - 1) : n;
}

static enum pare_status shape_dft(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct signal *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t len = 0, axis = 0;
	int at = 0;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st)
		st = one_int(c, 2, a->axis ? a->axis : -2, &axis, err);
	if (!st)
		st = pare_axis(axis, x->n, &at, err);
	if (!st)
		st = one_int(c, 1, usual_length(a, x->d[at]), &len, err);
	if (!st && (x->n < 2 || at == x->n - 1 || x->d[x->n - 1] < 1 || x->d[x->n - 1] > 2 ||
			   len < 1 || len > 1 << 24))
		st = pare_fail(err, PARE_E_FORMAT, "axis, length or last axis are out of range");
	if (st)
		return st;
	st = pare_shape_same(c, err);
	c->out[0].shape.d[x->n - 1] = a->onesided && a->inverse ? 1 : 2;
	c->out[0].shape.d[at] = a->onesided && !a->inverse ? len / 2 + 1 : len;
	return st;
}

static void dft_one(const struct pare_call *c)
{
	const struct signal *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0]->shape;
	int64_t named = op_given(c, 2) ? op_get_int(c->in[2], 0) : a->axis ? a->axis : -2;
	int axis = op_axis(named, x->n);
	size_t parts = (size_t)x->d[x->n - 1], inner = op_span(x, axis + 1, x->n - 1);
	size_t n = (size_t)x->d[axis], bins = (size_t)y->d[axis];
	size_t len =
		(size_t)(op_given(c, 1) ? op_get_int(c->in[1], 0) : usual_length(a, x->d[axis]));
	size_t columns = op_span(x, 0, axis) * inner;

	for (size_t i = 0; i < columns; i++) {
		size_t o = i / inner, j = i % inner;
		struct row r = { c->in[0]->f32 + (o * n * inner + j) * parts, n, inner * parts,
			parts, NULL };

		for (size_t k = 0; k < bins; k++) {
			size_t to = (o * bins + k) * inner + j;

			if (a->inverse && a->onesided)
				c->out[0]->f32[to] = from_one_side(&r, len, k);
			else
				transform(&r, len, k, a->inverse, c->out[0]->f32 + to * 2);
		}
	}
}
OP_BY_LANE(dft)

/* Signal [N, L] or [N, L, 1 or 2], step, window, length: [N, frames, bins, 2]. */
static enum pare_status shape_stft(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct signal *a = c->attr;
	const struct pare_shape *x = &c->in[0]->shape;
	int64_t step, len, window = op_has(c, 2) ? pare_shape_elems(&c->in[2]->shape) : 0;
	enum pare_status st = op_types(c, 0, OP_REALS, err);

	if (!st && op_has(c, 2))
		st = op_types(c, 2, OP_REALS, err);
	if (!st)
		st = one_int(c, 1, 0, &step, err);
	if (!st)
		st = one_int(c, 3, window, &len, err);
	if (!st && (x->n < 2 || x->n > 3 || (x->n == 3 && (x->d[2] < 1 || x->d[2] > 2)) ||
			   step < 1 || len < 1 || len > x->d[1] || (window && window != len)))
		st = pare_fail(err, PARE_E_FORMAT, "signal, step, window or length do not fit");
	if (st)
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape = (struct pare_shape){ 4,
		{ x->d[0], (x->d[1] - len) / step + 1, a->onesided ? len / 2 + 1 : len, 2 } };
	return PARE_OK;
}

static void stft_one(const struct pare_call *c)
{
	const struct pare_shape *x = &c->in[0]->shape, *y = &c->out[0]->shape;
	size_t parts = x->n == 3 ? (size_t)x->d[2] : 1, step = (size_t)op_get_int(c->in[1], 0);
	const float *window = op_given(c, 2) ? c->in[2]->f32 : NULL;
	size_t len = op_given(c, 3) ? (size_t)op_get_int(c->in[3], 0) : op_count(c->in[2]);
	size_t frames = (size_t)y->d[1], bins = (size_t)y->d[2];

	for (size_t i = 0; i < (size_t)x->d[0] * frames; i++) {
		size_t at = i / frames * (size_t)x->d[1] + i % frames * step;
		struct row r = { c->in[0]->f32 + at * parts, len, parts, parts, window };

		for (size_t k = 0; k < bins; k++)
			transform(&r, len, k, false, c->out[0]->f32 + (i * bins + k) * 2);
	}
}
OP_BY_LANE(stft)

/* ---- MelWeightMatrix ------------------------------------------------------------------------ */

enum { BANDS, LENGTH, RATE, LOWEST, HIGHEST, MEL_INPUTS };
enum { MOST_BANDS = 1 << 14 };

static enum pare_status shape_mel(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct signal *a = c->attr;
	double bands, length;

	for (int i = 0; i < MEL_INPUTS; i++) {
		enum pare_status st =
			op_types(c, i, i < LOWEST ? OP_T(PARE_I32) | OP_T(PARE_I64) : OP_F32, err);

		if (!st && i < RATE)
			st = op_known(c, i, err);
		if (!st && pare_shape_elems(&c->in[i]->shape) != 1)
			st = pare_fail(err, PARE_E_FORMAT, "input %d is not one number", i);
		if (st)
			return st;
	}
	bands = op_scalar(c->in[BANDS]->value);
	length = op_scalar(c->in[LENGTH]->value);
	if (!(bands >= 1 && bands <= MOST_BANDS && length >= 1 && length <= 1 << 24))
		return pare_fail(err, PARE_E_FORMAT, "%g bands of %g bins", bands, length);
	c->out[0].dtype = pare_dtype_from_onnx(a->type);
	c->out[0].shape = (struct pare_shape){ 2, { (int64_t)length / 2 + 1, (int64_t)bands } };
	return PARE_OK;
}

/* The bin in which edge i of `n` lies, the edges being equally far apart on the mel scale. */
static int64_t mel_bin(const struct pare_call *c, int64_t i, int64_t n)
{
	double low = 2595 * log10(1 + op_scalar(c->in[LOWEST]) / 700);
	double high = 2595 * log10(1 + op_scalar(c->in[HIGHEST]) / 700);
	double mel = low + (double)i * (high - low) / (double)n;
	double bin = floor((op_scalar(c->in[LENGTH]) + 1) * 700 * (pow(10, mel / 2595) - 1) /
			   op_scalar(c->in[RATE]));

	return bin > -0x1p40 && bin < 0x1p40 ? (int64_t)bin : -1;
}

/* A triangle a band, that rises from one edge to the next and falls to the one behind it. */
static void mel_forward(const struct pare_call *c)
{
	const struct pare_tensor *y = c->out[0];
	int64_t bins = y->shape.d[0], bands = y->shape.d[1];

	for (int64_t b = 0; b < bands; b++) {
		int64_t from = mel_bin(c, b, bands + 2), top = mel_bin(c, b + 1, bands + 2);
		int64_t to = mel_bin(c, b + 2, bands + 2);

		for (int64_t i = 0; i < bins; i++) {
			double v = i == top              ? 1
				   : i > from && i < top ? (double)(i - from) / (double)(top - from)
				   : i > top && i < to   ? (double)(to - i) / (double)(to - top)
							 : 0;

			for (int l = 0; l < y->lanes; l++)
				op_put(y, (size_t)((i * bands + b) * y->lanes + l), v);
		}
	}
}

/* clang-format off */
#define WINDOW(n, fw)                                                                              \
	{ .name = n, .since = 17, .min_in = 1, .max_in = 1, .attrs = window_attrs,                 \
	  .attr_size = sizeof(struct signal), .refuse = refuse_type, .shape = shape_window,      \
	  .forward = fw, .plain = 1, .sample = "i64=9|i64=8 periodic=0" }
const struct pare_op pare_ops_signal[] = {
	WINDOW("HannWindow", hann_forward),
	WINDOW("HammingWindow", hamming_forward),
	WINDOW("BlackmanWindow", blackman_forward),
	{ .name = "MelWeightMatrix", .since = 17, .min_in = 5, .max_in = 5, .attrs = mel_attrs,
	  .attr_size = sizeof(struct signal), .refuse = refuse_type, .shape = shape_mel,
	  .forward = mel_forward, .plain = 0x1f, .stays = 1,
	  .sample = "i64=8 i64=16 i64=8192 f32=0 f32=4096" },
	{ .name = "DFT", .since = 20, .min_in = 1, .max_in = 3, .attrs = dft_attrs,
	  .attr_size = sizeof(struct signal), .upgrade = upgrade_dft,
	  .writable = writable_dft, .shape = shape_dft, .forward = dft_forward,
	  .scratch = op_lanes_scratch, .plain = 6,
	  .sample = "f32[1,6,3,1] _ i64=1|f32[1,5,2] i64=4 onesided=1|f32[1,5,2] inverse=1|"
		    "f32[1,4,2] inverse=1 onesided=1" },
	{ .name = "STFT", .since = 17, .min_in = 2, .max_in = 4, .attrs = stft_attrs,
	  .attr_size = sizeof(struct signal), .shape = shape_stft, .forward = stft_forward,
	  .scratch = op_lanes_scratch, .plain = 10,
	  .sample = "f32[1,16] i64=4 f32[8]!|f32[1,16,1] i64=3 _ i64=6 onesided=0" },
	{ 0 } };
/* clang-format on */
