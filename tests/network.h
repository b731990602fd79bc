/* The tiny network opened, with its samples and its calibration, for tests of what plans do to it.
 */
#ifndef NETWORK_H
#define NETWORK_H
#include "engine/pare.h"
#include "tests/tap.h"
#include "tests/tiny.h"

struct network {
	struct pare_model *m;
	struct pare_dataset *d;
	struct pare_calibration *c;
};

/* 500 samples, of which a fifth calibrates. */
static inline bool network_open(struct network *t)
{
	struct pare_err err = { 0 };

	*t = (struct network){ 0 };
	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1) ||
		!tiny_data(tiny_path("d"), 500, 1, 1))
		return ok(false, "a network is made");
	ok_status(pare_model_open(tiny_path("m.onnx"), &t->m, &err), err, "a network");
	ok_status(pare_dataset_open(tiny_path("d"), t->m, &t->d, &err), err, "its samples");
	ok_status(pare_calibration_new(t->m, t->d, 0, NULL, &t->c, &err), err, "calibrates");
	return t->m && t->d && t->c;
}

static inline void network_close(struct network *t)
{
	pare_calibration_free(t->c);
	pare_dataset_free(t->d);
	pare_model_free(t->m);
}

/* Mean squared distance between what two networks answer to n samples of a split, from `from` on.
 */
static inline double network_apart(const struct network *t, const struct pare_model *a,
	const struct pare_model *b, enum pare_split split, int from, int n)
{
	float *x = malloc((size_t)n * TINY_EDGE * TINY_EDGE * sizeof *x);
	struct pare_array in = { PARE_F32, { 4, { n, 1, TINY_EDGE, TINY_EDGE } }, x };
	struct pare_array out[2] = { 0 };
	struct pare_err err = { 0 };
	double e = 0;

	pare_dataset_read(t->d, split, from, n, x);
	ok_status(pare_model_run(a, &in, &out[0], &err), err, "runs");
	ok_status(pare_model_run(b, &in, &out[1], &err), err, "so does the other");
	for (int i = 0; i < n * TINY_CLASSES && out[0].data && out[1].data; i++) {
		double d = (double)((float *)out[0].data)[i] - (double)((float *)out[1].data)[i];

		e += d * d / n;
	}
	pare_array_free(&out[0]);
	pare_array_free(&out[1]);
	free(x);
	return e;
}

/* The same of a variant from float, on samples that nothing was fitted to; weights alone. */
static inline double network_loss(const struct network *t, const struct pare_variant *v)
{
	return network_apart(t, t->m, pare_variant_model(v), PARE_EVALUATE, 0, 64);
}

#endif
