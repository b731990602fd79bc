/* Early exits: the ridge against fits made apart by hand, the network with its heads against the
 * network and its heads, and the file with its branches against both. */
#include "engine/graph/edit.h"
#include "engine/onnx/onnx.h"
#include "engine/plan/variant.h"
#include "engine/run/feed.h"
#include "tests/network.h"
#include <math.h>

enum { N = 20, F = 3, K = 2, SAMPLES = 96 };

/* ---- ridge -------------------------------------------------------------------------------------
 */

/* Least squares with a ridge on all but the constant, by Gauss and Jordan, without sample `out`. */
static void by_hand(const float *x, const float *y, int out, double ridge, double w[F + 1][K])
{
	double a[F + 1][F + 1 + K] = { { 0 } };

	for (int i = 0; i < N; i++) {
		double row[F + 1] = { 1, (double)x[i * F], (double)x[i * F + 1],
			(double)x[i * F + 2] };

		for (int j = 0; j <= F && i != out; j++) {
			for (int q = 0; q <= F; q++)
				a[j][q] += row[j] * row[q];
			for (int q = 0; q < K; q++)
				a[j][F + 1 + q] += row[j] * (double)y[i * K + q];
		}
	}
	for (int j = 1; j <= F; j++)
		a[j][j] += ridge;
	for (int p = 0; p <= F; p++)
		for (int j = 0; j <= F; j++) {
			double by = a[j][p] / a[p][p];

			for (int q = 0; q < F + 1 + K && j != p; q++)
				a[j][q] -= by * a[p][q];
		}
	for (int j = 0; j <= F; j++)
		for (int q = 0; q < K; q++)
			w[j][q] = a[j][F + 1 + q] / a[j][j];
}

static double said(const double w[F + 1][K], const float *x, int q)
{
	return w[0][q] + w[1][q] * (double)x[0] + w[2][q] * (double)x[1] + w[3][q] * (double)x[2];
}

/* The ridges that pare_ridge tries, and which of them is best apart. */
static double best_ridge(const float *x, const float *y, double *error)
{
	double trace = 0, best = 0, w[F + 1][K];

	*error = INFINITY;
	for (int j = 0; j < F; j++) {
		double mean = 0;

		for (int i = 0; i < N; i++)
			mean += (double)x[i * F + j] / N;
		for (int i = 0; i < N; i++)
			trace += ((double)x[i * F + j] - mean) * ((double)x[i * F + j] - mean);
	}
	for (double share = 1e-6; share < 20; share *= 10) {
		double sum = 0;

		for (int i = 0; i < N; i++) {
			by_hand(x, y, i, share * trace / F, w);
			for (int q = 0; q < K; q++)
				sum += pow((double)y[i * K + q] - said(w, x + i * F, q), 2);
		}
		if (sum < *error) {
			*error = sum;
			best = share * trace / F;
		}
	}
	return best;
}

static void the_ridge_is_that_of_fits_apart(void)
{
	struct pare_rng r = pare_rng_seed(3, 1);
	float x[N * F], y[N * K], w[F * K], b[K], apart[N * K];
	double hand[F + 1][K], ridge, error, off = 0, away = 0;
	struct pare_err err = { 0 };

	for (int i = 0; i < N * F; i++)
		x[i] = (float)(2 + pare_rng_normal(&r));
	for (int i = 0; i < N * K; i++)
		y[i] = x[i / K * F + i % K] - 0.5f * x[i / K * F + 2] +
		       0.7f * (float)pare_rng_normal(&r);
	ok_status(pare_ridge(x, y, N, F, K, w, b, apart, &err), err, "fitted");
	ridge = best_ridge(x, y, &error);
	by_hand(x, y, -1, ridge, hand);
	for (int q = 0; q < K; q++) {
		off = fmax(off, fabs(hand[0][q] - (double)b[q]));
		for (int j = 0; j < F; j++)
			off = fmax(off, fabs(hand[j + 1][q] - (double)w[j * K + q]));
	}
	ok(off < 1e-5, "weights as by hand, with ridge %.3g: off by %.2g", ridge, off);
	for (int i = 0; i < N; i++) {
		by_hand(x, y, i, ridge, hand);
		for (int q = 0; q < K; q++)
			away = fmax(
				away, fabs(said(hand, x + i * F, q) - (double)apart[i * K + q]));
	}
	ok(away < 1e-5, "each sample is told by a fit without it: off by %.2g", away);
}

/* ---- a network ---------------------------------------------------------------------------------
 */

static struct network t;

static struct pare_plan *plan(int layer, float exit, int other, float second)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);

	p->dials[layer].exit = exit;
	if (other >= 0)
		p->dials[other].exit = second;
	return p;
}

static struct pare_array sample(enum pare_split split, int i)
{
	struct pare_array a = { PARE_F32, { 4, { 1, 1, TINY_EDGE, TINY_EDGE } },
		malloc(TINY_EDGE * TINY_EDGE * sizeof(float)) };

	pare_dataset_read(t.d, split, i, 1, a.data);
	return a;
}

static double furthest(const struct pare_array *a, const struct pare_array *b)
{
	double most = 0;

	for (int k = 0; k < TINY_CLASSES; k++)
		most = fmax(
			most, fabs((double)((float *)a->data)[k] - (double)((float *)b->data)[k]));
	return most;
}

/* What the variant says of each sample, here, and from its file read again. */
static void the_file_says_the_same(const struct pare_variant *v, int n_exits)
{
	struct pare_model *again = NULL;
	int left[PARE_MAX_EXITS + 1] = { 0 }, kinds = 0;
	char sha[PARE_SHA_HEX];
	double off = 0;
	int64_t bytes;
	struct pare_err err = { 0 };

	ok_status(pare_variant_export(v, tiny_path("exits.onnx"), NULL, sha, &bytes, &err), err,
		"exported");
	ok_status(pare_model_open(tiny_path("exits.onnx"), &again, &err), err, "and opened");
	if (!again)
		return;
	ok(pare_model_running(again, (char[PARE_WHY]){ 0 }) == PARE_RUNS_BY_NODE,
		"its branches are Ifs");
	for (int i = 0; i < SAMPLES; i++) {
		struct pare_array x = sample(PARE_EVALUATE, i), here[2] = { { 0 } }, there = { 0 };

		if (pare_model_run(v->joined, &x, here, &err) ||
			pare_model_run(again, &x, &there, &err)) {
			ok(false, "%s", err.text);
			break;
		}
		off = fmax(off, furthest(&here[0], &there));
		left[(int)*(float *)here[1].data]++;
		pare_array_free(&x);
		pare_array_free(&here[0]);
		pare_array_free(&here[1]);
		pare_array_free(&there);
	}
	ok(off < 1e-5, "the file gives what the variant gives: off by %.2g", off);
	for (int i = 0; i <= n_exits; i++)
		kinds += left[i] > 0;
	ok(kinds > 1, "samples leave at several places: %d, %d, %d", left[0], left[1], left[2]);
	pare_model_free(again);
}

static void samples_leave(void)
{
	struct pare_plan *p = plan(0, 0.999999f, 5, 0.999999f);
	struct pare_exit e[PARE_MAX_EXITS + 1];
	struct pare_variant *v = NULL;
	struct pare_cost cost;
	char sha[PARE_SHA_HEX];
	int64_t bytes = 0;
	int n = 0;
	struct pare_err err = { 0 };

	p->dials[3].weights = (uint8_t)pare_format_find("int8");
	ok_status(pare_plan_exits(t.m, p, e, &n, &err), err, "places for heads");
	ok(n == 3 && e[0].layer == 0 && e[1].layer == 5 && e[2].layer == -1 &&
			e[0].macs < e[1].macs && e[1].macs < e[2].macs && isnan(e[0].share),
		"in the order in which samples come by");
	ok_status(pare_variant_new(t.m, p, t.c, NULL, &v, &err), err, "carried out");
	if (!v)
		return;
	the_file_says_the_same(v, 2);
	ok_status(pare_plan_cost(t.m, p, &cost, &err), err, "its cost");
	ok_status(pare_variant_hash(v,
			  "0000000000000000000000000000000000000000000000000000000000000000", sha,
			  &bytes, &err),
		err, "its file");
	ok(cost.file_bytes == bytes, "is as large as was said: %lld", (long long)bytes);
	ok(cost.macs == e[2].macs, "at worst all of it is computed");
	pare_variant_free(v);
	pare_plan_free(p);
}

/* Of the calibration samples few leave with another answer than the network's. */
static void an_open_threshold_is_set(void)
{
	struct pare_plan *p = plan(6, PARE_EXIT_AUTO, -1, 0);
	struct pare_variant *v = NULL;
	int n = (int)pare_dataset_info(t.d)->n_calibrate, left = 0, wrong = 0;
	struct pare_err err = { 0 };

	ok_status(pare_variant_new(t.m, p, t.c, NULL, &v, &err), err, "carried out");
	for (int i = 0; i < n && v; i++) {
		struct pare_array x = sample(PARE_CALIBRATE, i), early[2] = { { 0 } }, late = { 0 };

		if (pare_model_run(v->joined, &x, early, &err) ||
			pare_model_run(t.m, &x, &late, &err))
			break;
		if (*(float *)early[1].data < 1) {
			left++;
			wrong += pare_argmax(early[0].data, TINY_CLASSES) !=
				 pare_argmax(late.data, TINY_CLASSES);
		}
		pare_array_free(&x);
		pare_array_free(&early[0]);
		pare_array_free(&early[1]);
		pare_array_free(&late);
	}
	ok(left > 0 && wrong <= n / 100, "%d of %d leave, %d with another answer", left, n, wrong);
	pare_variant_free(v);
	pare_plan_free(p);
}

static void what_cannot_be(void)
{
	struct pare_plan *p = plan(TINY_LAYERS - 1, 0.5f, -1, 0);
	struct pare_variant *v = NULL;
	struct pare_exit e[PARE_MAX_EXITS + 1];
	struct pare_err err = { 0 };
	int n;

	ok(pare_plan_exits(t.m, p, e, &n, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'dense/11'"),
		"none leaves behind the last layer: %s", err.text);
	pare_plan_free(p);
	p = plan(2, 0.5f, -1, 0);
	ok(pare_variant_new(t.m, p, NULL, NULL, &v, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"no heads without data: %s", err.text);
	pare_plan_free(p);
}

int main(void)
{
	the_ridge_is_that_of_fits_apart();
	if (!network_open(&t))
		return 1;
	samples_leave();
	an_open_threshold_is_set();
	what_cannot_be();
	network_close(&t);
	return tap_done();
}
