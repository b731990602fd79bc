/* Rounding the layers of a residual block together: against brute force over all roundings of two
 * small layers, and on a network with blocks. */
#include "engine/plan/variant.h"
#include "engine/quantize/joint.h"
#include "engine/run/kernels.h"
#include "tests/build.h"
#include "tests/network.h"
#include <math.h>

enum {
	WIDE = 2,          /* values in, between, out */
	PER = WIDE * WIDE, /* weights of a layer */
	SEEN = 96,         /* samples */
	LO = -2,
	HI = 1,                   /* integers */
	ALL = 1 << (2 * 2 * PER), /* roundings of both layers */
	CASES = 16,
};

/* ---- against brute force -----------------------------------------------------------------------
 */

struct pair { /* y = relu(w1 relu(w0 x) + x), each w an integer times its scale */
	float x[SEEN][WIDE], want[SEEN][WIDE];
	double w[2][PER], scale[2];
};

static double relu(double v)
{
	return v > 0 ? v : 0;
}

static void layer(const double *w, const float *x, double *y)
{
	for (int i = 0; i < WIDE; i++)
		y[i] = w[2 * i] * (double)x[0] + w[2 * i + 1] * (double)x[1];
}

static void pair_run(const double *w0, const double *w1, const float *x, double *y)
{
	double h[WIDE], z[WIDE];
	float a[WIDE];

	layer(w0, x, h);
	for (int i = 0; i < WIDE; i++)
		a[i] = (float)relu(h[i]);
	layer(w1, a, z);
	for (int i = 0; i < WIDE; i++)
		y[i] = relu(z[i] + (double)x[i]);
}

static void whole(const struct pair *p, int l, const int8_t *q, double *w)
{
	for (int i = 0; i < PER; i++)
		w[i] = p->scale[l] * q[i];
}

static double pair_error(const struct pair *p, int8_t q[2][PER])
{
	double w[2][PER], e = 0, y[WIDE];

	for (int l = 0; l < 2; l++)
		whole(p, l, q[l], w[l]);
	for (int n = 0; n < SEEN; n++) {
		pair_run(w[0], w[1], p->x[n], y);
		for (int i = 0; i < WIDE; i++)
			e += (y[i] - (double)p->want[n][i]) * (y[i] - (double)p->want[n][i]) / SEEN;
	}
	return e;
}

static void pair_draw(struct pair *p, struct pare_rng *r)
{
	double y[WIDE];

	for (int l = 0; l < 2; l++) {
		double top = 0;

		for (int i = 0; i < PER; i++) {
			p->w[l][i] = pare_rng_normal(r);
			top = fmax(top, fabs(p->w[l][i]));
		}
		p->scale[l] = (double)(float)(top / 2);
	}
	for (int n = 0; n < SEEN; n++) {
		double common = pare_rng_normal(r);

		for (int i = 0; i < WIDE; i++)
			p->x[n][i] = (float)(common + .7 * pare_rng_normal(r));
		pair_run(p->w[0], p->w[1], p->x[n], y);
		for (int i = 0; i < WIDE; i++)
			p->want[n][i] = (float)y[i];
	}
}

/* Number c of the roundings of a layer. */
static void rounding(int c, int8_t *q)
{
	for (int i = 0; i < PER; i++)
		q[i] = (int8_t)((c >> 2 * i & 3) + LO);
}

/* Layer by layer, each the best of all its roundings: the first for what it gives, the second for
 * what the block gives. */
static void one_by_one(const struct pair *p, int8_t q[2][PER])
{
	double least = INFINITY, y[WIDE], z[WIDE], w[PER];
	int best = 0;

	for (int c = 0; c < 1 << 2 * PER; c++) {
		double e = 0;

		rounding(c, q[0]);
		whole(p, 0, q[0], w);
		for (int n = 0; n < SEEN; n++) {
			layer(w, p->x[n], y);
			layer(p->w[0], p->x[n], z);
			for (int i = 0; i < WIDE; i++)
				e += pow(relu(y[i]) - relu(z[i]), 2);
		}
		best = e < least ? c : best;
		least = fmin(e, least);
	}
	rounding(best, q[0]);
	least = INFINITY;
	for (int c = 0; c < 1 << 2 * PER; c++) {
		double e;

		rounding(c, q[1]);
		e = pair_error(p, q);
		best = e < least ? c : best;
		least = fmin(e, least);
	}
	rounding(best, q[1]);
}

static double best_of_all(const struct pair *p)
{
	double least = INFINITY;
	int8_t q[2][PER];

	for (int c = 0; c < ALL; c++) {
		rounding(c & 255, q[0]);
		rounding(c >> 8, q[1]);
		least = fmin(least, pair_error(p, q));
	}
	return least;
}

/* Samples side by side, all of them to learn from. */
static enum pare_status
learn_pair(const struct pair *p, int lanes, int8_t q[2][PER], double *before, double *after)
{
	static const int32_t index[WIDE] = { 0, 1 };
	struct pare_joint_part part[2];
	float scale[2][WIDE], bias[2][WIDE] = { { 0 } }, *x[SEEN], *want[SEEN];
	double h[2][PER] = { { 0 } }, mean[WIDE] = { 0 };
	struct pare_joint j = { .n = 2,
		.parts = part,
		.lanes = lanes,
		.blocks = SEEN / lanes,
		.enters = WIDE,
		.x = x,
		.want = want };
	struct pare_err err = { 0 };
	enum pare_status st;

	for (int n = 0; n < SEEN; n++) {
		float in[2][WIDE] = { { p->x[n][0], p->x[n][1] } };
		double w[PER], y[WIDE];

		whole(p, 0, q[0], w);
		layer(w, p->x[n], y);
		for (int i = 0; i < WIDE; i++)
			in[1][i] = (float)relu(y[i]);
		for (int l = 0; l < 2; l++)
			for (int i = 0; i < PER; i++)
				h[l][i] += (double)in[l][i / 2] * (double)in[l][i % 2] / SEEN;
	}
	for (int l = 0; l < 2; l++) {
		for (int i = 0; i < WIDE; i++)
			scale[l][i] = (float)p->scale[l];
		part[l] = (struct pare_joint_part){ .in = l,
			.add = l ? 0 : -1,
			.win = { 1, WIDE, WIDE, 1, 1, WIDE },
			.index = index,
			.hi = INFINITY,
			.bias = bias[l],
			.q = q[l],
			.scale = scale[l],
			.least = LO,
			.most = HI,
			.h = h[l],
			.mean = mean };
	}
	for (int b = 0; b < j.blocks; b++) {
		x[b] = aligned_alloc(64, 256);
		want[b] = aligned_alloc(64, 256);
		for (int i = 0; i < WIDE * lanes; i++) {
			x[b][i] = p->x[b * lanes + i % lanes][i / lanes];
			want[b][i] = p->want[b * lanes + i % lanes][i / lanes];
		}
	}
	st = pare_joint_learn(&j, before, after, &err);
	for (int b = 0; b < j.blocks; b++) {
		free(x[b]);
		free(want[b]);
	}
	return st;
}

static void pairs_become_better(void)
{
	struct pare_rng r = pare_rng_seed(21, 1);
	int worse = 0, told = 0, found = 0, better = 0, could = 0;
	double sum[3] = { 0 };

	for (int n = 0; n < CASES; n++) {
		struct pair p;
		int8_t q[2][PER], again[2][PER];
		double before, after, said[2], least;

		pair_draw(&p, &r);
		one_by_one(&p, q);
		memcpy(again, q, sizeof q);
		before = pair_error(&p, q);
		least = best_of_all(&p);
		ok(!learn_pair(&p, 8, q, &said[0], &said[1]), "learns");
		after = pair_error(&p, q);
		worse += after > before + 1e-6 || after < least - 1e-6;
		told += fabs(said[0] - before) < 1e-4 && fabs(said[1] - after) < 1e-4;
		could += least < .99 * before;
		better += after < .99 * before;
		found += after < 1.001 * least + 1e-9;
		sum[0] += before;
		sum[1] += after;
		sum[2] += least;
		pare_set_threads(3);
		ok(!learn_pair(&p, 8, again, &said[0], &said[1]) && !memcmp(q, again, sizeof q),
			"on any number of threads");
		pare_set_threads(0);
	}
	ok(!worse, "never worse than layer by layer, nor better than the best of all %d", ALL);
	ok(told == CASES, "it tells the errors as they are: %d of %d", told, CASES);
	ok(better * 3 > could && sum[1] < .9 * sum[0],
		"layer by layer %.3g, then together %.3g; the best are %.3g, found in %d of %d",
		sum[0], sum[1], sum[2], found, CASES);
}

/* ---- on a network ------------------------------------------------------------------------------
 */

enum { LAYERS = 4 };

/* A stem, a block of two convolutions, a dense layer.  pools: so does the shortcut, which cannot be
 * looked at. */
static struct pare_model *with_block(bool pools)
{
	struct build *b = build_new(17);

	build_input(b, "x", 4, -1, 1, TINY_EDGE, TINY_EDGE);
	build_weight(b, "w0", .4f, 4, 5, 1, 3, 3);
	build_weight(b, "w1", .2f, 4, 5, 5, 3, 3);
	build_weight(b, "w2", .2f, 4, 5, 5, 3, 3);
	build_weight(b, "w3", .2f, 2, 5 * TINY_EDGE * TINY_EDGE, TINY_CLASSES);
	build_node(b, "Conv", "stem", "x w0", "a");
	build_ints(b, "pads", 4, 1, 1, 1, 1);
	build_node(b, "Relu", "", "a", "s");
	if (pools) {
		build_node(b, "AveragePool", "", "s", "short");
		build_ints(b, "kernel_shape", 2, 3, 3);
		build_ints(b, "pads", 4, 1, 1, 1, 1);
	}
	build_node(b, "Conv", "one", "s w1", "b");
	build_ints(b, "pads", 4, 1, 1, 1, 1);
	build_node(b, "Relu", "", "b", "c");
	build_node(b, "Conv", "two", "c w2", "d");
	build_ints(b, "pads", 4, 1, 1, 1, 1);
	build_node(b, "Add", "", pools ? "d short" : "d s", "e");
	build_node(b, "Relu", "", "e", "f");
	build_node(b, "Flatten", "", "f", "g");
	build_node(b, "MatMul", "last", "g w3", "y");
	build_output(b, "y");
	return build_model(b);
}

struct watching {
	struct pare_ctl ctl;
	int begun, stop_at;
};

static void on_layer(void *user, const char *name, int done, int total)
{
	struct watching *w = user;

	(void)name;
	(void)done;
	(void)total;
	if (++w->begun == w->stop_at)
		atomic_store(&w->ctl.cancel, true);
}

/* 3 bits; how many layers were begun. */
static int carried_out(const struct network *t, const char *rounding, int stop_at, char *sha)
{
	struct watching w = { .stop_at = stop_at };
	struct pare_plan *p = pare_plan_new(LAYERS);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	enum pare_status st;
	int64_t bytes;

	for (int i = 0; i < LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int3");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, rounding);
	}
	w.ctl.layer = on_layer;
	w.ctl.layer_user = &w;
	st = pare_variant_new(t->m, p, t->c, &w.ctl, &v, &err);
	ok(st == (stop_at ? PARE_E_CANCELED : PARE_OK), "%s %s", rounding, err.text);
	if (v)
		ok_status(pare_variant_hash(v, NULL, sha, &bytes, &err), err, "hashes");
	pare_variant_free(v);
	pare_plan_free(p);
	return w.begun;
}

static void calibrate(struct network *t)
{
	struct pare_err err = { 0 };

	pare_calibration_free(t->c);
	t->c = NULL;
	ok_status(pare_calibration_new(t->m, t->d, 0, NULL, &t->c, &err), err, "calibrates");
}

/* What is kept is whole blocks: that which was stopped within one begins it anew. */
static void blocks_are_whole(struct network *t, const char *rounding, bool block)
{
	char sha[3][PARE_SHA_HEX] = { "a", "b", "c" };
	int n;

	calibrate(t);
	carried_out(t, rounding, 3, NULL);
	n = carried_out(t, rounding, 0, sha[0]);
	ok(n == (block ? 3 : 2), "%s: stopped in the third layer, then %d are done", rounding, n);
	ok(!carried_out(t, rounding, 0, sha[1]), "then none is");
	calibrate(t);
	pare_set_threads(3);
	carried_out(t, rounding, 0, sha[2]);
	pare_set_threads(0);
	ok(!strcmp(sha[0], sha[1]) && !strcmp(sha[0], sha[2]),
		"the same bytes on any number of threads");
}

int main(void)
{
	struct network t = { .m = with_block(false) };
	struct pare_err err = { 0 };

	pairs_become_better();
	if (!t.m || !tiny_home() || !tiny_data(tiny_path("d"), 800, 1, 1))
		return 1;
	ok_status(pare_dataset_open(tiny_path("d"), t.m, &t.d, &err), err, "samples");
	blocks_are_whole(&t, "descent", false);
	blocks_are_whole(&t, "adaround", true);
	pare_model_free(t.m);
	if (!(t.m = with_block(true)))
		return 1;
	blocks_are_whole(&t, "adaround", false);
	network_close(&t);
	return tap_done();
}
