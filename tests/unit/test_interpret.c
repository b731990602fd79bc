/* Networks whose shapes hang on their data run node by node. */
#include "tests/build.h"
#include "tests/tap.h"

/* y = reshape(x, shape) · w, the shape being an input; w [3,2] = 1 2 3 / 4 5 1 by rows of two */
static struct pare_model *reshaped(void)
{
	struct build *b = build_new(13);

	build_input(b, "x", 2, -1, 6);
	build_input(b, "shape", 1, 2);
	build_weight(b, "w", 1, 2, 3, 2);
	build_node(b, "Cast", "", "shape", "whole");
	build_int(b, "to", 7);
	build_node(b, "Reshape", "fold", "x whole", "rows");
	build_node(b, "MatMul", "", "rows w", "product");
	build_node(b, "Relu", "", "product", "y");
	build_output(b, "y");
	return build_model(b);
}

static void shapes_may_come_from_data(void)
{
	float x[6] = { 1, 2, 3, -4, -5, -6 }, shape[2] = { -1, 3 };
	/* 1 2 3 · (1 2, 3 4, 5 1) = 22 13; the second row is negative */
	float want[4] = { 22, 13, 0, 0 };
	struct pare_array in[2] = { { PARE_F32, { 2, { 1, 6 } }, x },
		{ PARE_F32, { 1, { 2 } }, shape } };
	struct pare_array out = { 0 };
	struct pare_model *m = reshaped();
	struct pare_err err = { 0 };

	ok_status(
		pare_model_run(m, in, &out, &err), err, "a shape that is an input is no obstacle");
	ok(out.data && out.dtype == PARE_F32 && out.shape.n == 2 && out.shape.d[0] == 2 &&
			out.shape.d[1] == 2 && !memcmp(out.data, want, sizeof want),
		"the product of the rows that it makes");
	pare_array_free(&out);
	pare_model_free(m);
}

static void shapes_that_do_not_fit_are_named(void)
{
	float x[6] = { 0 }, shape[2] = { 4, 3 };
	struct pare_array in[2] = { { PARE_F32, { 2, { 1, 6 } }, x },
		{ PARE_F32, { 1, { 2 } }, shape } };
	struct pare_array out = { 0 };
	struct pare_model *m = reshaped();
	struct pare_err err = { 0 };

	ok(pare_model_run(m, in, &out, &err) == PARE_E_FORMAT && !out.data &&
			strstr(err.text, "'fold' (Reshape)") && strstr(err.text, "cannot become"),
		"a shape that does not fit its data fails with the node's name: %s", err.text);
	pare_model_free(m);
}

static void memory_may_run_out(void)
{
	float x[6] = { 1, 2, 3, 4, 5, 6 }, shape[2] = { 2, 3 };
	struct pare_array in[2] = { { PARE_F32, { 2, { 1, 6 } }, x },
		{ PARE_F32, { 1, { 2 } }, shape } };
	struct pare_array out = { 0 };
	struct pare_model *m = reshaped();
	struct pare_err err;
	enum pare_status st = PARE_E_NOMEM;
	int good = 1, k = 0;

	while (st == PARE_E_NOMEM && k < 1000) {
		pare_alloc_fail_after(++k);
		st = pare_model_run(m, in, &out, &err);
		pare_alloc_fail_after(0);
		good &= st == PARE_OK || (st == PARE_E_NOMEM && !out.data);
	}
	ok(good && st == PARE_OK, "each of %d allocations may fail", k - 1);
	pare_array_free(&out);
	pare_model_free(m);
}

int main(void)
{
	shapes_may_come_from_data();
	shapes_that_do_not_fit_are_named();
	memory_may_run_out();
	return tap_done();
}
