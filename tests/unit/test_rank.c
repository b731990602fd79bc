/* Layers that become two: what is lost against eigenvalues found by hand, the two against the layer
 * that they multiply out to, sizes as said. */
#include "engine/graph/factored.h"
#include "engine/plan/variant.h"
#include "engine/prune/rank.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include <math.h>

static struct pare_model *model;
static struct pare_dataset *data;
static struct pare_calibration *calibration;
static struct pare_err err;

static struct pare_plan *plan(int layer, float rank, const char *way, const char *by)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);

	for (int i = 0; i < TINY_LAYERS; i++)
		if (layer < 0 || i == layer) {
			p->dials[i].rank = rank;
			p->dials[i].factoring = (uint8_t)pare_method_find(PARE_FACTORING, way);
			p->dials[i].rank_criterion =
				(uint8_t)pare_method_find(PARE_RANK_CRITERION, by);
		}
	return p;
}

static struct pare_variant *variant_of(const struct pare_plan *p)
{
	struct pare_variant *v = NULL;

	ok_status(pare_variant_new(model, p, calibration, NULL, &v, &err), err, "carried out");
	return v;
}

/* Eigenvalues of a symmetric matrix on its diagonal, by Jacobi's turns. */
static void turn(double *a, int n)
{
	for (int round = 0; round < 60; round++)
		for (int p = 0; p < n; p++)
			for (int q = p + 1; q < n; q++) {
				double angle =
					0.5 * atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]);
				double c = cos(angle), s = sin(angle);

				for (int k = 0; k < n; k++) {
					double x = a[k * n + p], y = a[k * n + q];

					a[k * n + p] = c * x - s * y;
					a[k * n + q] = s * x + c * y;
				}
				for (int k = 0; k < n; k++) {
					double x = a[p * n + k], y = a[q * n + k];

					a[p * n + k] = c * x - s * y;
					a[q * n + k] = s * x + c * y;
				}
			}
}

/* The least that a product of `rank` can lose of t [p][q]: the squares that its largest leave. */
static double least_loss(const double *t, int p, int q, int rank)
{
	double *a = calloc((size_t)(q * q), sizeof *a), sum = 0;

	for (int i = 0; i < q; i++)
		for (int j = 0; j < q; j++)
			for (int k = 0; k < p; k++)
				a[i * q + j] += t[k * q + i] * t[k * q + j];
	turn(a, q);
	for (int i = 0; i < q; i++)
		sum += a[i * q + i];
	for (int r = 0; r < rank; r++) {
		int best = 0;

		for (int i = 0; i < q; i++)
			best = a[i * q + i] > a[best * q + best] ? i : best;
		sum -= a[best * q + best];
		a[best * q + best] = 0;
	}
	free(a);
	return sum;
}

/* conv_3's two parts multiplied out, [6][6][3][3]. */
static void multiplied(const struct pare_variant *v, bool space, int rank, float *to)
{
	const struct pare_model *m = pare_variant_model(v);
	const float *a = pare_model_weights(m, 3), *b = pare_model_weights(m, 4);

	for (int o = 0; o < 6; o++)
		for (int i = 0; i < 6 * 9; i++) {
			double sum = 0;

			for (int r = 0; r < rank; r++)
				sum += space ? (double)b[(o * rank + r) * 3 + i % 3] *
						       (double)a[r * 18 + i / 3]
					     : (double)b[o * rank + r] * (double)a[r * 54 + i];
			to[o * 54 + i] = (float)sum;
		}
}

/* Answers to evaluation samples. */
static void answers(const struct pare_model *m, struct pare_array *out)
{
	enum { N = 16, ELEMS = TINY_EDGE * TINY_EDGE };
	float x[N * ELEMS];
	struct pare_array in = { PARE_F32, { 4, { N, 1, TINY_EDGE, TINY_EDGE } }, x };

	pare_dataset_read(data, PARE_EVALUATE, 0, N, x);
	ok_status(pare_model_run(m, &in, out, &err), err, "runs");
}

static double apart(const struct pare_model *a, const struct pare_model *b)
{
	struct pare_array x[2] = { 0 };
	double worst = 0;

	answers(a, &x[0]);
	answers(b, &x[1]);
	for (int i = 0; i < 16 * TINY_CLASSES; i++)
		worst = fmax(worst,
			fabs((double)((float *)x[0].data)[i] - (double)((float *)x[1].data)[i]));
	pare_array_free(&x[0]);
	pare_array_free(&x[1]);
	return worst;
}

static void the_parts_are_the_best_product(bool space)
{
	struct pare_plan *p = plan(3, 0.5F, space ? "spatial" : "channel", "plain");
	struct pare_variant *v = variant_of(p);
	struct pare_blob *weights[TINY_LAYERS] = { NULL };
	const float *w = pare_model_weights(model, 3);
	int rank = pare_layer_rank(model, 3, &p->dials[3], NULL);
	struct pare_model *whole = NULL;
	double t[18 * 18], lost = 0, least, off;
	float *now;

	ok(rank == (space ? 4 : 2), "%d values between them", rank);
	weights[3] = pare_blob_new(6 * 54 * sizeof(float));
	now = weights[3]->data;
	multiplied(v, space, rank, now);
	for (int i = 0; i < 6 * 54; i++) {
		int o = i / 54, k = i % 54;

		lost += pow((double)now[i] - (double)w[i], 2);
		if (space)
			t[k / 3 * 18 + o * 3 + k % 3] = (double)w[i];
		else
			t[k * 6 + o] = (double)w[i];
	}
	least = space ? least_loss(t, 18, 18, rank) : least_loss(t, 54, 6, rank);
	ok(fabs(lost - least) < 1e-4 * least, "%s: %.6f is lost of the weights, least is %.6f",
		space ? "spatial" : "channel", lost, least);
	ok_status(pare_model_with_weights(model, weights, NULL, &whole, &err), err, "put together");
	off = apart(whole, pare_variant_model(v));
	ok(off < 1e-4, "the two are the layer that they multiply out to: off by %.2g", off);
	pare_model_free(whole);
	pare_variant_free(v);
	pare_plan_free(p);
}

/* Uneven windows: strides, pads and dilations go to the part that walks along their axis. */
static void windows_are_parted(void)
{
	static const char *const sample[] = { "strides", "pads", "dilations" };
	static const int64_t odd[3][4] = { { 2, 1 }, { 1, 0, 2, 1 }, { 1, 2 } };

	for (int space = 0; space < 2; space++) {
		struct pare_plan *p = plan(3, 0.5F, space ? "spatial" : "channel", "plain");
		struct pare_model *was = pare_model_ref(model), *two = NULL, *whole = NULL;
		struct pare_blob *weights[TINY_LAYERS] = { NULL };
		struct pare_node *n = &was->graph.nodes[was->layers[3].node];
		struct pare_ints keep[3];
		struct pare_variant v = { 0 };
		int rank = pare_layer_rank(model, 3, &p->dials[3], NULL);

		for (int k = 0; k < 3; k++) {
			struct pare_ints *l = (struct pare_ints *)(uintptr_t)pare_node_attr(
				n, sample[k], PARE_ATTR_INTS);

			keep[k] = *l;
			*l = (struct pare_ints){ k == 1 ? 4 : 2, (int64_t *)(uintptr_t)odd[k] };
		}
		ok_status(pare_factor_layers(was, p, NULL, false, NULL, &two, &err), err, "parted");
		v.model = two;
		weights[3] = pare_blob_new(6 * 54 * sizeof(float));
		multiplied(&v, space, rank, weights[3]->data);
		ok_status(pare_model_with_weights(was, weights, NULL, &whole, &err), err, "whole");
		ok(apart(two, whole) < 1e-4, "%s, uneven: off by %.2g",
			space ? "spatial" : "channel", apart(two, whole));
		for (int k = 0; k < 3; k++)
			*(struct pare_ints *)(uintptr_t)pare_node_attr(
				n, sample[k], PARE_ATTR_INTS) = keep[k];
		pare_model_free(whole);
		pare_model_free(two);
		pare_model_free(was);
		pare_plan_free(p);
	}
}

static double mean_loss(const char *way, const char *by)
{
	struct pare_plan *p = plan(-1, 0.4F, way, by);
	struct pare_variant *v = variant_of(p);
	struct pare_array x[2] = { 0 };
	double sum = 0;

	answers(model, &x[0]);
	answers(pare_variant_model(v), &x[1]);
	for (int i = 0; i < 16 * TINY_CLASSES; i++)
		sum += pow((double)((float *)x[0].data)[i] - (double)((float *)x[1].data)[i], 2);
	pare_array_free(&x[0]);
	pare_array_free(&x[1]);
	pare_variant_free(v);
	pare_plan_free(p);
	return sum;
}

static void looking_pays(void)
{
	static const char *const way[] = { "best", "channel" };

	for (int k = 0; k < 2; k++) {
		double whitened = mean_loss(way[k], "whitened"), plain = mean_loss(way[k], "plain");

		ok(whitened < 0.5 * plain, "%s: whitened loses %.3g, plain %.3g", way[k], whitened,
			plain);
	}
}

/* Layers in two, then zeros, integers and an exit behind one of them. */
static void sizes_are_known(void)
{
	struct pare_plan *p = plan(-1, 0.4F, "best", "whitened");
	char sha[2][PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	struct pare_exit exits[PARE_MAX_EXITS + 1];
	struct pare_cost cost = { 0 };
	int n = 0;

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int8");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].sparsity = i % 2 ? 0.5F : 0;
	}
	p->dials[5].exit = PARE_EXIT_AUTO;
	pare_sha256("x", 1, recipe);
	for (int i = 0; i < 2; i++) {
		struct pare_variant *v;
		int64_t bytes = 0;

		pare_set_threads(i ? 3 : 1);
		v = variant_of(p);
		ok_status(pare_variant_hash(v, recipe, sha[i], &bytes, &err), err, "hashes");
		ok_status(pare_plan_cost(model, p, &cost, &err), err, "costs");
		ok(cost.file_bytes == bytes, "%lld bytes said, %lld written",
			(long long)cost.file_bytes, (long long)bytes);
		if (!i) {
			int64_t heads = 0;

			for (int k = 0; k < v->exits.n; k++)
				heads += v->exits.head[k].features * v->exits.head[k].answers;
			ok(cost.macs == v->model->info.macs + heads,
				"multiply-accumulates as said: %lld", (long long)cost.macs);
			ok(cost.macs < 0.8 * (double)model->info.macs, "of %lld",
				(long long)model->info.macs);
		}
		pare_variant_free(v);
	}
	pare_set_threads(0);
	ok(!strcmp(sha[0], sha[1]), "one thread and three make the same bytes");
	ok_status(pare_plan_exits(model, p, exits, &n, &err), err, "exits");
	ok(n == 2 && exits[0].layer == 5, "samples leave behind layer %d", exits[0].layer);
	pare_plan_free(p);
}

static void spreading_pays(void)
{
	struct pare_plan *p = plan(-1, 0, "best", "whitened");
	bool all[TINY_LAYERS];
	struct pare_variant *v = NULL;
	double left;

	memset(all, true, sizeof all);
	ok_status(pare_plan_spread_rank(model, p, all, 0.4, calibration, NULL, &err), err,
		"ranks are spread");
	v = variant_of(p);
	left = (double)v->model->info.macs / (double)model->info.macs;
	ok(left <= 0.6 && left > 0.55, "%.3f of the multiply-accumulates are left", left);
	pare_variant_free(v);
	ok(pare_plan_spread_rank(model, p, all, 0.99, calibration, NULL, &err) == PARE_E_ARG &&
			strstr(err.text, "no more than"),
		"no more than there is: %s", err.text);
	p->dials[0].channels = 0.5F;
	ok(pare_plan_spread_rank(model, p, all, 0.4, calibration, NULL, &err) == PARE_E_ARG,
		"before channels go: %s", err.text);
	pare_plan_free(p);
}

static void refusals_say_why(void)
{
	struct pare_plan *p = plan(-1, 0.5F, "spatial", "whitened");
	struct pare_variant *v = NULL;
	char why[PARE_WHY];

	ok(!pare_layer_rank(model, 10, &p->dials[10], why) && strstr(why, "two edges"),
		"a product of matrices has no space: %s", why);
	p->dials[11].factoring = 0;
	p->dials[11].rank = 0.9F;
	ok(pare_layer_rank(model, 11, &p->dials[11], why) == 1, "but channels, of which one stays");
	ok(pare_layer_rank(model, 3, &p->dials[3], NULL) == 4, "a convolution has");
	ok(pare_variant_new(model, p, NULL, NULL, &v, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"without samples: %s", err.text);
	pare_plan_free(p);
}

int main(void)
{
	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1) ||
		!tiny_data(tiny_path("d"), 500, 1, 1))
		return 1;
	ok_status(pare_model_open(tiny_path("m.onnx"), &model, &err), err, "a network");
	ok_status(pare_dataset_open(tiny_path("d"), model, &data, &err), err, "its samples");
	ok_status(
		pare_calibration_new(model, data, 0, NULL, &calibration, &err), err, "calibrates");
	the_parts_are_the_best_product(false);
	the_parts_are_the_best_product(true);
	windows_are_parted();
	looking_pays();
	sizes_are_known();
	spreading_pays();
	refusals_say_why();
	pare_calibration_free(calibration);
	pare_dataset_free(data);
	pare_model_free(model);
	return tap_done();
}
