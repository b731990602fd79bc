/* Products of 8-bit integers are exact where no float is. */
#include "tests/build.h"
#include "tests/tap.h"

enum { TERMS = 639 }; /* 71 channels of a kernel of 3×3 */

static void sums_are_exact(const char *op, int n_dims, const int64_t *x_dims, const int64_t *w_dims)
{
	struct build *b = build_new(13);
	struct pare_shape xs = { .n = n_dims }, ws = xs;
	uint8_t x[TERMS], zero = 0;
	int8_t w[2 * TERMS], w_zero = 127;
	int32_t want[2] = { 0 };
	struct pare_array in = { PARE_U8, { 0 }, x }, out = { 0 };
	struct pare_err err = { 0 };
	struct pare_model *m;
	bool columns = n_dims == 2; /* of a matrix: the second sum's weights lie between */

	memcpy(xs.d, x_dims, sizeof *x_dims * (size_t)n_dims);
	memcpy(ws.d, w_dims, sizeof *w_dims * (size_t)n_dims);
	in.shape = xs;
	for (int i = 0; i < TERMS; i++)
		x[i] = 255;
	for (int o = 0; o < 2; o++)
		for (int i = 0; i < TERMS; i++) {
			int8_t *to = &w[columns ? i * 2 + o : o * TERMS + i];

			*to = (int8_t)(o ? i % 7 - 3 : -128);
			want[o] += x[i] * (*to - w_zero);
		}
	build_tensor(b, "x_zero", PARE_U8, &zero, (struct pare_shape){ 0 });
	build_tensor(b, "w_zero", PARE_I8, &w_zero, (struct pare_shape){ 0 });
	build_tensor(b, "w", PARE_I8, w, ws);
	build_input_of(b, "x", PARE_U8, xs);
	build_node(b, op, "", "x w x_zero w_zero", "y");
	build_output(b, "y");
	m = build_model(b);
	ok_status(pare_model_run(m, &in, &out, &err), err, "%s runs", op);
	ok(out.data && out.dtype == PARE_I32 && want[0] < -(1 << 24) && want[0] % 2 &&
			!memcmp(out.data, want, sizeof want),
		"%s: %d and %d", op, want[0], want[1]);
	pare_array_free(&out);
	pare_model_free(m);
}

int main(void)
{
	sums_are_exact("ConvInteger", 4, (int64_t[]){ 1, 71, 3, 3 }, (int64_t[]){ 2, 71, 3, 3 });
	sums_are_exact("MatMulInteger", 2, (int64_t[]){ 1, TERMS }, (int64_t[]){ TERMS, 2 });
	return tap_done();
}
