/* Steps around rounding: that those before keep the function, that those after bring it back. */
#include "engine/plan/variant.h"
#include "engine/quantize/steps.h"
#include "sessions/recipe.h"
#include "tests/build.h"
#include "tests/network.h"
#include <math.h>

enum { EDGE = TINY_EDGE, ELEMS = TINY_EDGE * TINY_EDGE };

/* A convolution with a BatchNormalization, a depthwise one, one by one, two dense layers; channels
 * uneven by five to one, and more where they meet. */
static struct pare_model *chain_of_layers(void)
{
	static const float mean[4] = { 0, .5f, -.5f, 0 }, var[4] = { 1, 4, 1, .25f };
	static const float spread[4] = { .5f, 1, .25f, .1f }, beta[4] = { 2, -.1f, 1, .5f };
	struct pare_shape four = { 1, { 4 } };
	struct build *b = build_new(17);

	build_input(b, "x", 4, -1, 1, EDGE, EDGE);
	build_weight(b, "w0", .125f, 4, 4, 1, 3, 3);
	build_tensor(b, "gamma", PARE_F32, spread, four);
	build_tensor(b, "beta", PARE_F32, beta, four);
	build_tensor(b, "mean", PARE_F32, mean, four);
	build_tensor(b, "var", PARE_F32, var, four);
	build_weight(b, "w1", -.25f, 4, 4, 1, 3, 3);
	build_weight(b, "b1", 2.5f, 1, 4);
	build_weight(b, "w2", .5f, 4, 6, 4, 1, 1);
	build_weight(b, "b2", -.5f, 1, 6);
	build_weight(b, "slope", .1f, 3, 6, 1, 1);
	build_weight(b, "w3", .03f, 2, 6, 8);
	build_weight(b, "b3", .25f, 1, 8);
	build_weight(b, "w4", .07f, 2, 8, 3);
	build_node(b, "Conv", "first", "x w0", "c0");
	build_node(b, "BatchNormalization", "bn", "c0 gamma beta mean var", "n0");
	build_node(b, "Relu", "", "n0", "r0");
	build_node(b, "Conv", "deep", "r0 w1 b1", "c1");
	build_int(b, "group", 4);
	build_node(b, "LeakyRelu", "", "c1", "r1");
	build_node(b, "Conv", "point", "r1 w2 b2", "c2");
	build_node(b, "PRelu", "", "c2 slope", "r2");
	build_node(b, "GlobalAveragePool", "", "r2", "p");
	build_node(b, "Flatten", "", "p", "f");
	build_node(b, "Gemm", "dense", "f w3 b3", "d");
	build_node(b, "Relu", "", "d", "r3");
	build_node(b, "MatMul", "last", "r3 w4", "y");
	build_output(b, "y");
	return build_model(b);
}

static unsigned steps(const char *name)
{
	return 1u << pare_method_find(PARE_STEP, name);
}

static struct pare_variant *variant(const struct pare_model *m, const char *step,
	const char *format, const char *granularity, const struct pare_calibration *c)
{
	struct pare_plan *p = pare_plan_new(pare_model_info(m)->n_layers);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	struct pare_cost cost;
	int64_t bytes = 0;

	p->steps = step ? steps(step) : 0;
	for (int i = 0; i < p->n; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find(format);
		p->dials[i].granularity = (uint8_t)pare_method_find(PARE_GRANULARITY, granularity);
	}
	pare_sha256("x", 1, recipe);
	ok_status(pare_variant_new(m, p, c, NULL, &v, &err), err, "%s, %s", step ? step : "no step",
		format);
	ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err, "is written");
	ok_status(pare_plan_cost(m, p, &cost, &err), err, "costs");
	ok(cost.file_bytes == bytes, "%lld bytes, said %lld", (long long)bytes,
		(long long)cost.file_bytes);
	pare_plan_free(p);
	return v;
}

/* Root mean square distance of the answers, over that of those in `m`. */
static double distance(const struct pare_model *m, const struct pare_model *other, double level)
{
	enum { N = 32 };
	float *x = malloc(N * ELEMS * sizeof *x);
	struct pare_array in = { PARE_F32, { 4, { N, 1, EDGE, EDGE } }, x }, out[2];
	struct pare_rng r = pare_rng_seed(5, 1);
	struct pare_err err = { 0 };
	double e = 0, all = 0;

	for (int i = 0; i < N * ELEMS; i++)
		x[i] = (float)(pare_rng_normal(&r) * .5 + level);
	ok_status(pare_model_run(m, &in, &out[0], &err), err, "runs");
	ok_status(pare_model_run(other, &in, &out[1], &err), err, "runs");
	for (int64_t i = 0; i < pare_shape_elems(&out[0].shape); i++) {
		double a = (double)((float *)out[0].data)[i], b = (double)((float *)out[1].data)[i];

		e += (a - b) * (a - b);
		all += a * a;
	}
	pare_array_free(&out[0]);
	pare_array_free(&out[1]);
	free(x);
	return sqrt(e / all);
}

/* The largest weight of an output channel, or of an input channel. */
static double top_of(const struct pare_model *m, int layer, int axis, int64_t channel)
{
	const struct pare_layer *l = pare_model_layer(m, layer);
	struct pare_channels c = pare_channels_of(&l->weight, axis);
	double top = 0;

	for (int64_t i = 0; i < c.outer * c.inner; i++)
		top = fmax(top, fabs((double)pare_model_weights(
					m, layer)[pare_channel_at(&c, channel, i)]));
	return top;
}

static void equalizing_keeps_the_function(const struct pare_model *m)
{
	struct pare_variant *v = variant(m, "equalize", "float32", "per-channel", NULL);
	const struct pare_model *now = pare_variant_model(v);
	struct pare_neighbours pair[8];
	double worst = 0;

	ok(pare_neighbours_find(m, pair) == 4 && pair[0].clamp >= 0 && pair[1].clamp < 0,
		"four pairs: ReLU, LeakyReLU, PReLU and a pool, ReLU");
	ok(distance(m, now, 0) < 1e-5, "the same answers: %.2g", distance(m, now, 0));
	for (int64_t c = 0; c < 4; c++) {
		worst = fmax(worst, fabs(log(top_of(now, 0, 0, c) / top_of(now, 1, 0, c))));
		worst = fmax(worst, fabs(log(top_of(now, 1, 0, c) / top_of(now, 2, 1, c))));
	}
	for (int64_t c = 0; c < 6; c++)
		worst = fmax(worst, fabs(log(top_of(now, 2, 0, c) / top_of(now, 3, 0, c))));
	ok(worst < 0.01, "both sides of a channel are alike: within %.2g", worst);
	pare_variant_free(v);
}

static void equalizing_pays(const struct pare_model *m)
{
	double e[2];

	for (int i = 0; i < 2; i++) {
		struct pare_variant *v =
			variant(m, i ? "equalize" : NULL, "int4", "per-tensor", NULL);

		e[i] = distance(m, pare_variant_model(v), 0);
		pare_variant_free(v);
	}
	ok(e[1] < e[0], "int4 per tensor: %.3g, equalized %.3g", e[0], e[1]);
}

/* The mean of channel 0 is four spreads above zero: one of them can go. */
static void high_biases_move_on(const struct pare_model *m)
{
	struct pare_variant *v = variant(m, "absorb-bias", "float32", "per-channel", NULL);
	const struct pare_model *now = pare_variant_model(v);
	float moved = pare_model_bias(m, 0)[0] - pare_model_bias(now, 0)[0];

	ok(fabsf(moved - .5f) < 1e-5f, "2 - 3 * 0.5 went: %g", (double)moved);
	ok(pare_model_bias(m, 0)[1] == pare_model_bias(now, 0)[1], "what is often cut stays");
	ok(distance(m, now, 0.2) < 0.01, "nearly the same answers: %.2g", distance(m, now, 0.2));
	pare_variant_free(v);
}

/* The mean of a normal cut at zero, by summing it up. */
static double cut_mean(double mean, double spread)
{
	double sum = 0, all = 0;

	for (int i = -8000; i <= 8000; i++) {
		double z = i / 1000.0, p = exp(-z * z / 2);

		sum += fmax(0, mean + z * spread) * p;
		all += p;
	}
	return sum / all;
}

static void biases_are_corrected_without_data(const struct pare_model *m)
{
	static const double beta[4] = { 2, -.1, 1, .5 }, spread[4] = { .5, 1, .25, .1 };
	struct pare_variant *v = variant(m, "correct-bias", "int2", "per-tensor", NULL);
	const struct pare_model *now = pare_variant_model(v);
	double worst = 0, most = 0;

	for (int c = 0; c < 4; c++) {
		double lost = 0,
		       got = (double)(pare_model_bias(now, 1)[c] - pare_model_bias(m, 1)[c]);

		for (int k = 0; k < 9; k++)
			lost += (double)(pare_model_weights(m, 1)[c * 9 + k] -
					 pare_model_weights(now, 1)[c * 9 + k]) *
				cut_mean(beta[c], spread[c]);
		worst = fmax(worst, fabs(got - lost));
		most = fmax(most, fabs(lost));
	}
	ok(worst < 1e-3 * most && most > 0.01, "what the means lost, of up to %.3g, within %.2g",
		most, worst);
	ok(pare_model_bias(now, 2)[0] == pare_model_bias(m, 2)[0],
		"where nothing is known of what enters, nothing changes");
	pare_variant_free(v);
}

/* ---- with samples ------------------------------------------------------------------------------
 */

static void corrections_bring_answers_back(const struct network *t)
{
	static const char *const name[] = { NULL, "correct-bias", "reestimate-batchnorm" };
	double e[3];

	for (int i = 0; i < 3; i++) {
		struct pare_variant *v = variant(t->m, name[i], "int3", "per-channel", t->c);

		e[i] = network_loss(t, v);
		pare_variant_free(v);
	}
	ok(e[1] < e[0] && e[2] < e[0], "int3 %.4g, biases corrected %.4g, scales too %.4g", e[0],
		e[1], e[2]);
}

static void steps_are_part_of_a_plan(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS), *q = NULL, *other;
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	char *text = NULL;

	p->steps = steps("equalize") | steps("correct-bias");
	ok_status(pare_plan_text(t->m, p, &text, &err), err, "a text");
	ok(!strcmp(text, "step   equalize correct-bias\n"), "as one line: %s", text);
	ok_status(pare_plan_parse(t->m, text, &q, &err), err, "and back");
	ok(q && pare_plan_equal(p, q) && pare_plan_hash(p) == pare_plan_hash(q),
		"to an equal plan");
	other = pare_plan_copy(p);
	ok(pare_plan_equal(p, other), "a copy is equal");
	other->steps = 0;
	ok(!pare_plan_equal(p, other) && pare_plan_hash(p) != pare_plan_hash(other),
		"without steps it is another");
	free(text);
	pare_plan_free(q);
	ok_status(pare_plan_parse(t->m, "step smooth\nstep none\nstep equalize", &q, &err), err,
		"lines add up");
	ok(q && q->steps == steps("equalize"), "and none takes back");
	ok(pare_plan_parse(t->m, "step equalise", &other, &err) == PARE_E_FORMAT &&
			strstr(err.text, "nearest is 'equalize'"),
		"%s", err.text);
	p->steps = steps("smooth");
	ok(pare_variant_new(t->m, p, NULL, NULL, &v, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"%s", err.text);
	pare_plan_free(p);
	pare_plan_free(q);
	pare_plan_free(other);
}

/* Features that leave a normalization eight times as large as others, into two products. */
static void smoothing_keeps_the_function(const struct network *tiny)
{
	struct build *b = build_new(17);
	struct network t = { .d = tiny->d };
	struct pare_err err = { 0 };
	struct pare_variant *v;
	float gamma[ELEMS], w[ELEMS * 4];
	double grown[2];

	for (int i = 0; i < ELEMS; i++)
		gamma[i] = i % 9 ? .5f : 4;
	for (int i = 0; i < ELEMS * 4; i++)
		w[i] = .01f * (float)(i * 7 % 13 - 6);
	build_input(b, "x", 4, -1, 1, EDGE, EDGE);
	build_tensor(b, "gamma", PARE_F32, gamma, (struct pare_shape){ 1, { ELEMS } });
	build_weight(b, "beta", .1f, 1, ELEMS);
	build_tensor(b, "w0", PARE_F32, w, (struct pare_shape){ 2, { ELEMS, 4 } });
	build_weight(b, "w1", .02f, 2, ELEMS, 4);
	build_node(b, "Flatten", "", "x", "f");
	build_node(b, "LayerNormalization", "norm", "f gamma beta", "n");
	build_node(b, "MatMul", "a", "n w0", "ya");
	build_node(b, "MatMul", "b", "n w1", "yb");
	build_node(b, "Add", "", "ya yb", "y");
	build_output(b, "y");
	t.m = build_model(b);
	ok_status(pare_calibration_new(t.m, t.d, 0, NULL, &t.c, &err), err, "calibrates");
	v = variant(t.m, "smooth", "float32", "per-channel", t.c);
	ok(network_loss(&t, v) < 1e-6, "the same answers: %.2g", network_loss(&t, v));
	for (int64_t c = 0; c < 2; c++)
		grown[c] = top_of(pare_variant_model(v), 1, 0, c) / top_of(t.m, 1, 0, c);
	ok(grown[0] > 2 * grown[1], "weights of large features grew: by %.2g, others by %.2g",
		grown[0], grown[1]);
	pare_variant_free(v);
	pare_calibration_free(t.c);
	pare_model_free(t.m);
}

/* s_j = max|X_j|^.5 / max|W_j|^.5 over both products, by numpy:
 *     n = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * gamma + beta
 *     s = np.sqrt(abs(n).max(0) / np.maximum(abs(w0).max(1), abs(w1).max(1))) */
static void smoothing_by_numpy(void)
{
	static float x[8 * 4] = { 1, 2, 3, 6, 4, -1, 0, 1, 0, 5, -2, 1, -3, 1, 1, 5 };
	static const float gamma[] = { .5f, 4, 1, 2 }, beta[] = { .1f, -.2f, 0, .3f };
	static const float w0[] = { .1f, -.2f, .3f, .05f, .02f, -.01f, .4f, 0, -.1f, -.3f, .2f,
		.1f };
	static const float w1[] = { .2f, .1f, .04f, -.08f, -.5f, .3f, .1f, -.1f };
	static const double s[] = { 1.73376525, 8.71472281, 1.53407686, 3.41912773 };
	struct pare_array in = { PARE_F32, { 2, { 8, 4 } }, x };
	const char *name = "x", *path = tiny_path("smooth.npz");
	struct build *b = build_new(17);
	struct pare_calibration *c = NULL;
	struct pare_dataset *d = NULL;
	struct pare_model *m, *now;
	struct pare_err err = { 0 };
	struct pare_variant *v;
	const float *g;
	double off = 0;

	build_input(b, "x", 2, -1, 4);
	build_tensor(b, "gamma", PARE_F32, gamma, (struct pare_shape){ 1, { 4 } });
	build_tensor(b, "beta", PARE_F32, beta, (struct pare_shape){ 1, { 4 } });
	build_tensor(b, "w0", PARE_F32, w0, (struct pare_shape){ 2, { 4, 3 } });
	build_tensor(b, "w1", PARE_F32, w1, (struct pare_shape){ 2, { 4, 2 } });
	build_node(b, "LayerNormalization", "norm", "x gamma beta", "n");
	build_node(b, "MatMul", "a", "n w0", "ya");
	build_node(b, "MatMul", "b", "n w1", "yb");
	build_node(b, "Concat", "", "ya yb", "y");
	build_int(b, "axis", 1);
	build_output(b, "y");
	m = build_model(b);
	ok_status(pare_npz_write(path, &in, &name, 1, &err), err, "samples");
	ok_status(pare_dataset_open(path, m, &d, &err), err, "are there");
	ok_status(pare_dataset_set_split(d, PARE_CALIBRATE, 0, 4, &err), err, "four of them");
	ok_status(pare_calibration_new(m, d, 0, NULL, &c, &err), err, "calibrates");
	v = variant(m, "smooth", "float32", "per-channel", c);
	now = (struct pare_model *)(uintptr_t)pare_variant_model(v);
	g = now->graph.vars[now->graph.nodes[0].in[1]].declared.value->f32;
	for (int k = 0; k < 4; k++) {
		off = fmax(off, fabs((double)g[k] * s[k] / (double)gamma[k] - 1));
		off = fmax(off,
			fabs((double)pare_model_weights(now, 0)[3 * k] / s[k] - (double)w0[3 * k]));
		off = fmax(off,
			fabs((double)pare_model_weights(now, 1)[2 * k] / s[k] - (double)w1[2 * k]));
	}
	ok(off < 1e-6, "scale and weights move by what numpy says: off by %.2g", off);
	pare_variant_free(v);
	pare_calibration_free(c);
	pare_dataset_free(d);
	pare_model_free(m);
}

int main(void)
{
	struct pare_model *m = chain_of_layers();
	struct network t = { 0 };

	equalizing_keeps_the_function(m);
	equalizing_pays(m);
	high_biases_move_on(m);
	biases_are_corrected_without_data(m);
	pare_model_free(m);
	if (!network_open(&t))
		return 1;
	corrections_bring_answers_back(&t);
	steps_are_part_of_a_plan(&t);
	smoothing_keeps_the_function(&t);
	smoothing_by_numpy();
	network_close(&t);
	return tap_done();
}
