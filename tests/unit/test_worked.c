/* Methods against small cases that are worked out here, from samples and weights alone: what biases
 * and scales make up for, what equalizing comes to, what calibrators find. */
#include "engine/plan/variant.h"
#include "engine/quantize/steps.h"
#include "tests/build.h"
#include "tests/network.h"
#include <math.h>

enum { IN = TINY_EDGE * TINY_EDGE, OUT = 5, MID = 6, N = 100 };

/* One dense layer. */
static struct pare_model *dense(bool apart) /* the bias a node of its own */
{
	struct build *b = build_new(17);
	struct pare_rng r = pare_rng_seed(2, 2);
	float w[IN * OUT];

	for (int i = 0; i < IN * OUT; i++)
		w[i] = .2f * (float)pare_rng_normal(&r) + .05f;
	build_input(b, "x", 4, -1, 1, TINY_EDGE, TINY_EDGE);
	build_tensor(b, "w", PARE_F32, w, (struct pare_shape){ 2, { IN, OUT } });
	build_weight(b, "b", apart ? 3 : .2f, 1, OUT);
	build_node(b, "Flatten", "", "x", "f");
	if (apart) {
		build_node(b, "MatMul", "dense", "f w", "p");
		build_node(b, "Add", "", "p b", "y");
	} else
		build_node(b, "Gemm", "dense", "f w b", "y");
	build_output(b, "y");
	return build_model(b);
}

struct worked {
	struct pare_model *m;
	struct pare_dataset *d;
	struct pare_calibration *c;
	float x[N * IN]; /* the samples that calibrate */
};

/* A folder of its own: means that are not zero. */
static bool samples(struct worked *t, const char *folder)
{
	struct pare_rng r = pare_rng_seed(3, 3);
	float *x = malloc(5 * N * IN * sizeof *x);
	struct pare_err err = { 0 };
	char path[600], shape[64];
	int good;

	for (int i = 0; i < 5 * N * IN; i++)
		x[i] = (float)pare_rng_normal(&r) + .5f * (float)(i % 3);
	mkdir(folder, 0777);
	snprintf(path, sizeof path, "%s/x.npy", folder);
	snprintf(shape, sizeof shape, "(%d, 1, %d, %d)", 5 * N, TINY_EDGE, TINY_EDGE);
	good = tiny_npy(path, "<f4", shape, x, 5 * N * IN * sizeof *x);
	free(x);
	ok_status(pare_dataset_open(folder, t->m, &t->d, &err), err, "samples");
	if (!good || !t->d)
		return false;
	ok(pare_dataset_info(t->d)->n_calibrate == N, "a fifth calibrates");
	pare_dataset_read(t->d, PARE_CALIBRATE, 0, N, t->x);
	ok_status(pare_calibration_new(t->m, t->d, 0, NULL, &t->c, &err), err, "calibrates");
	return t->c != NULL;
}

static struct pare_variant *variant(const struct pare_model *m, const struct pare_calibration *c,
	const char *step, const char *rounding, const char *format)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(m)->n_layers);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	p->steps = step ? 1u << pare_method_find(PARE_STEP, step) : 0;
	for (int i = 0; i < p->n; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find(format);
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, rounding);
	}
	ok_status(pare_variant_new(m, p, c, NULL, &v, &err), err, "%s, %s", step ? step : "no step",
		rounding);
	pare_plan_free(p);
	return v;
}

/* w'x of output o, for sample n; w [IN][OUT] as Gemm has it. */
static double gives(const struct worked *t, const float *w, int o, int n)
{
	double y = 0;

	for (int i = 0; i < IN; i++)
		y += (double)t->x[n * IN + i] * (double)w[i * OUT + o];
	return y;
}

/* Both the rounding and the step: the bias takes up the mean of what the weights lose. */
static void biases_take_up_the_mean(const struct worked *t)
{
	const float *was = pare_model_weights(t->m, 0), *b0 = pare_model_bias(t->m, 0);

	for (int k = 0; k < 2; k++) {
		struct pare_variant *v = variant(
			t->m, t->c, k ? "correct-bias" : NULL, k ? "nearest" : "corrected", "int2");
		const struct pare_model *now = pare_variant_model(v);
		double worst = 0, most = 0;

		for (int o = 0; o < OUT; o++) {
			double lost = 0;

			for (int n = 0; n < N; n++)
				lost += (gives(t, was, o, n) -
						gives(t, pare_model_weights(now, 0), o, n)) /
					N;
			worst = fmax(
				worst, fabs((double)(pare_model_bias(now, 0)[o] - b0[o]) - lost));
			most = fmax(most, fabs(lost));
		}
		ok(worst < 1e-4 * most, "%s: means of up to %.3g are taken up within %.2g",
			k ? "step correct-bias" : "round corrected", most, worst);
		pare_variant_free(v);
	}
}

/* Scale and bias of each output by the least squares of a line, from its sums. */
static void scales_are_a_line(const struct worked *t)
{
	struct pare_variant *plain = variant(t->m, t->c, NULL, "nearest", "int2");
	struct pare_variant *v = variant(t->m, t->c, "reestimate-batchnorm", "nearest", "int2");
	const float *was = pare_model_weights(t->m, 0), *b0 = pare_model_bias(t->m, 0);
	const float *q = pare_model_weights(pare_variant_model(plain), 0);
	const float *w = pare_model_weights(pare_variant_model(v), 0);
	double worst = 0, turn = 0;

	for (int o = 0; o < OUT; o++) {
		double sx = 0, sy = 0, sxx = 0, sxy = 0, slope, rest, top = 0;

		for (int n = 0; n < N; n++) {
			double x = gives(t, q, o, n), y = gives(t, was, o, n);

			sx += x / N;
			sy += y / N;
			sxx += x * x / N;
			sxy += x * y / N;
		}
		slope = (sxy - sx * sy) / (sxx - sx * sx);
		rest = sy - slope * sx;
		for (int i = 0; i < IN; i++) {
			double d = fabs((double)w[i * OUT + o] - slope * (double)q[i * OUT + o]);

			worst = fmax(worst, d);
			top = fmax(top, fabs((double)q[i * OUT + o]));
		}
		worst = fmax(
			worst, fabs((double)(pare_model_bias(pare_variant_model(v), 0)[o] - b0[o]) -
				       rest));
		turn = fmax(turn, fabs(slope - 1) * top);
	}
	ok(worst < 1e-3 * turn, "step reestimate-batchnorm: turned by %.3g, off by %.2g", turn,
		worst);
	pare_variant_free(plain);
	pare_variant_free(v);
}

/* Asked for the float network's output, a method must not take the constant that joins the product
 * for something that weights could give. */
static void what_is_added_is_no_weights(const struct worked *t)
{
	static const char *const by[] = { "nearest", "gptq", "descent", "adaround" };
	struct pare_model *m = dense(true);
	double e[4] = { 0 };

	for (int k = 0; k < 4; k++) {
		struct pare_variant *v = variant(m, t->c, NULL, by[k], "int8");

		for (int o = 0; o < OUT; o++)
			for (int n = 0; n < N; n++)
				e[k] += pow(gives(t, pare_model_weights(m, 0), o, n) -
						    gives(t,
							    pare_model_weights(
								    pare_variant_model(v), 0),
							    o, n),
					2);
		pare_variant_free(v);
	}
	ok(e[1] < 1.2 * e[0] && e[2] < e[0] && e[3] < e[0],
		"a product and a constant: nearest %.3g, gptq %.3g, descent %.3g, adaround %.3g",
		e[0], e[1], e[2], e[3]);
	pare_model_free(m);
}

static double top_row(const float *w, int row, int n_rows, int n_columns, bool by_row)
{
	double top = 0;

	for (int i = 0; i < (by_row ? n_columns : n_rows); i++)
		top = fmax(top,
			fabs((double)(by_row ? w[row * n_columns + i] : w[i * n_columns + row])));
	return top;
}

/* Two layers with a Relu between: each channel's ranges become their geometric mean (Nagel 2019,
 * equation 11), which is also how far the first layer's bias goes. */
static void ranges_meet_in_the_middle(void)
{
	struct build *b = build_new(17);
	struct pare_model *m;
	struct pare_variant *v;
	const float *w[2], *e[2];
	double worst = 0, spread = 0;
	float first[IN * MID], second[MID * OUT];
	struct pare_rng r = pare_rng_seed(4, 4);

	for (int i = 0; i < IN * MID; i++)
		first[i] = (float)(i % MID + 1) * (float)pare_rng_normal(&r);
	for (int i = 0; i < MID * OUT; i++)
		second[i] = (float)pare_rng_normal(&r) / (float)(i / OUT + 1);
	build_input(b, "x", 4, -1, 1, TINY_EDGE, TINY_EDGE);
	build_tensor(b, "w", PARE_F32, first, (struct pare_shape){ 2, { IN, MID } });
	build_weight(b, "b", .2f, 1, MID);
	build_tensor(b, "u", PARE_F32, second, (struct pare_shape){ 2, { MID, OUT } });
	build_node(b, "Flatten", "", "x", "f");
	build_node(b, "Gemm", "one", "f w b", "h");
	build_node(b, "Relu", "", "h", "g");
	build_node(b, "Gemm", "two", "g u", "y");
	build_output(b, "y");
	m = build_model(b);
	v = variant(m, NULL, "equalize", "nearest", "float32");
	for (int i = 0; i < 2; i++) {
		w[i] = pare_model_weights(m, i);
		e[i] = pare_model_weights(pare_variant_model(v), i);
	}
	for (int c = 0; c < MID; c++) {
		double a = top_row(w[0], c, IN, MID, false), z = top_row(w[1], c, MID, OUT, true);
		double mid = sqrt(a * z), now = top_row(e[0], c, IN, MID, false);
		double moved = (double)(pare_model_bias(pare_variant_model(v), 0)[c] /
					pare_model_bias(m, 0)[c]);

		worst = fmax(worst, fabs(now / mid - 1));
		worst = fmax(worst, fabs(top_row(e[1], c, MID, OUT, true) / mid - 1));
		worst = fmax(worst, fabs(moved / (mid / a) - 1));
		spread = fmax(spread, fabs(a / z - 1));
	}
	ok(worst < 1e-4 && spread > 1, "step equalize: ranges meet, off by %.2g", worst);
	pare_variant_free(v);
	pare_model_free(m);
}

static int upwards(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Of values, not of their histogram: what is left by the order of all of them, and which of the
 * bounds loses least when each value is rounded or clipped. */
static void calibrators_by_values(void)
{
	enum { VALUES = 40000, LEVELS = 16 };
	struct pare_range r = { .min = INFINITY, .max = -INFINITY };
	float *x = malloc(VALUES * sizeof *x), lo, hi;
	struct pare_rng rng = pare_rng_seed(9, 9);
	double least = INFINITY, best = 0, got = 0;

	for (int i = 0; i < VALUES; i++) {
		x[i] = (float)exp(pare_rng_normal(&rng)) - .5f; /* a long tail on one side */
		r.min = fminf(r.min, x[i]);
		r.max = fmaxf(r.max, x[i]);
	}
	for (int i = 0; i < VALUES; i++) {
		int at = (int)((x[i] - r.min) / (r.max - r.min) * PARE_BINS);

		r.count[at < PARE_BINS ? at : PARE_BINS - 1]++;
	}
	qsort(x, VALUES, sizeof *x, upwards);
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "percentile")].clip(&r, 256, &lo, &hi);
	ok(fabsf(hi - x[VALUES - 1 - VALUES / 10000]) < (r.max - r.min) / PARE_BINS,
		"percentile: %g, the fifth from above is %g", (double)hi,
		(double)x[VALUES - 1 - VALUES / 10000]);
	pare_calibrators[pare_method_find(PARE_CALIBRATOR, "mse")].clip(&r, LEVELS, &lo, &hi);
	for (int k = 100; k >= 20; k--) {
		double a = (double)r.min * k / 100, b = (double)r.max * k / 100;
		double step = (b - a) / (LEVELS - 1), e = 0;

		for (int i = 0; i < VALUES; i++) {
			double v = fmin(fmax((double)x[i], a), b);

			v = a + rint((v - a) / step) * step;
			e += ((double)x[i] - v) * ((double)x[i] - v);
		}
		if (e < least) {
			least = e;
			best = b;
		}
		if (fabs(b - (double)hi) < 1e-3 * b)
			got = e;
	}
	ok(got < 1.05 * least && best < 0.9 * (double)r.max,
		"mse: bounds of %g lose %.4g, the best, %g, %.4g", (double)hi, got, best, least);
	free(x);
}

int main(void)
{
	struct worked t = { .m = dense(false) };

	ranges_meet_in_the_middle();
	calibrators_by_values();
	if (!tiny_home() || !samples(&t, tiny_path("d")))
		return 1;
	biases_take_up_the_mean(&t);
	scales_are_a_line(&t);
	what_is_added_is_no_weights(&t);
	pare_calibration_free(t.c);
	pare_dataset_free(t.d);
	pare_model_free(t.m);
	return tap_done();
}
