/* Criteria of channels that look at samples, against what can be written down of a network of two
 * dense layers; and recurrent networks without some of their units, made up for. */
#include "engine/prune/criteria.h"
#include "tests/cutting.h"
#include "tests/tap.h"
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 96, IN = 5, UNITS = 6, CLASSES = 3, STEPS = 7 };

static char folder[] = "/tmp/pare-criteria-XXXXXX";

static void npy(const char *name, const char *type, const char *shape, const void *data, size_t len)
{
	char path[128], head[128];
	FILE *f;
	int n = snprintf(head + 10, sizeof head - 10,
		"{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);

	memset(head + 10 + n, ' ', sizeof head - 10 - (size_t)n);
	memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
	head[127] = '\n';
	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (!(f = fopen(path, "wb")))
		abort();
	fwrite(head, 1, sizeof head, f);
	fwrite(data, 1, len, f);
	fclose(f);
}

/* Samples of `elems` numbers, and labels or none. */
static struct pare_dataset *
samples(const char *shape, int elems, bool labelled, float *x, int64_t *y)
{
	struct pare_dataset *d = NULL;
	struct pare_err err = { 0 };
	char path[128];

	for (int i = 0; i < SAMPLES * elems; i++)
		x[i] = (float)pare_rng_normal(&rng);
	for (int i = 0; i < SAMPLES; i++)
		y[i] = (int64_t)(pare_rng_unit(&rng) * CLASSES);
	npy("x.npy", "<f4", shape, x, (size_t)SAMPLES * (size_t)elems * sizeof *x);
	snprintf(path, sizeof path, "%s/y.npy", folder);
	unlink(path);
	if (labelled)
		npy("y.npy", "<i8", "96,", y, SAMPLES * sizeof *y);
	ok_status(pare_dataset_open(folder, NULL, &d, &err), err, "samples");
	ok_status(pare_dataset_set_split(d, PARE_CALIBRATE, 0, 64, &err), err, "64 of them");
	return d;
}

/* d log p / d gate of a hidden unit, and p, written down. */
static void by_hand(const float *x, const float *w, const float *v, int unit, double *d, double *p,
	double *active)
{
	double y[CLASSES] = { 0 }, sum = 0, mean = 0;

	for (int u = 0; u < UNITS; u++) {
		double h = 0;

		for (int i = 0; i < IN; i++)
			h += (double)x[i] * (double)w[i * UNITS + u];
		h = fmax(h, 0);
		if (u == unit)
			*active = h;
		for (int c = 0; c < CLASSES; c++)
			y[c] += h * (double)v[u * CLASSES + c];
	}
	for (int c = 0; c < CLASSES; c++)
		sum += exp(y[c]);
	for (int c = 0; c < CLASSES; c++) {
		p[c] = exp(y[c]) / sum;
		mean += p[c] * (double)v[unit * CLASSES + c];
	}
	for (int c = 0; c < CLASSES; c++)
		d[c] = *active * ((double)v[unit * CLASSES + c] - mean);
}

/* What `what` says of a unit, over the first 64 samples. */
static double wanted_score(
	const char *what, const struct pare_model *m, const float *x, const int64_t *y, int unit)
{
	double sum = 0;

	for (int s = 0; s < 64; s++) {
		double d[CLASSES], p[CLASSES], active = 0;

		by_hand(x + s * IN, pare_model_weights(m, 0), pare_model_weights(m, 1), unit, d, p,
			&active);
		if (*what == 'a')
			sum += active;
		else if (*what == 'l')
			sum += fabs(d[y[s]]);
		for (int c = 0; c < CLASSES && *what != 'a' && *what != 'l'; c++)
			sum += p[c] * (*what == 'f' ? d[c] * d[c] : fabs(d[c]));
	}
	return sum / 64;
}

static void scores_are_what_they_say(void)
{
	static const struct {
		const char *name;
		pare_channel_measure *fn;
		bool labelled;
	} row[] = { { "activation", pare_measure_activation, true },
		{ "labels: taylor", pare_measure_taylor, true },
		{ "taylor without labels", pare_measure_taylor, false },
		{ "fisher", pare_measure_fisher, true } };
	struct build *b = build_new(13);
	struct pare_model *m;
	float x[SAMPLES * IN];
	int64_t y[SAMPLES];

	build_input(b, "x", 2, -1, IN);
	dense(b, "one", "x", "h", IN, UNITS);
	build_node(b, "Relu", "", "h", "h1");
	dense(b, "two", "h1", "y", UNITS, CLASSES);
	build_output(b, "y");
	m = build_model(b);
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		struct pare_dataset *d = samples("96, 5", IN, row[i].labelled, x, y);
		struct pare_calibration *c = NULL;
		struct pare_err err = { 0 };
		double score[UNITS], worst = 0;
		bool all = true;

		ok_status(pare_calibration_new(m, d, 0, NULL, &c, &err), err, "calibrates");
		ok_status(row[i].fn(m, &all, c, NULL, score, &err), err, "measures");
		for (int u = 0; u < UNITS; u++) {
			double want = wanted_score(row[i].name, m, x, y, u);

			worst = fmax(worst, fabs(score[u] - want) / want);
		}
		ok(worst < .02, "%s: off by %.2g of what it is", row[i].name, worst);
		pare_calibration_free(c);
		pare_dataset_free(d);
	}
	pare_model_free(m);
}

/* ---- recurrent ---------------------------------------------------------------------------------
 */

static struct pare_model *recurrent_network(void)
{
	struct build *b = build_new(14);

	build_input(b, "x", 3, -1, STEPS, IN);
	build_node(b, "Transpose", "", "x", "t");
	build_ints(b, "perm", 3, 1, 0, 2);
	weight(b, "w", 3, (int64_t[]){ 1, 48, IN });
	weight(b, "r", 3, (int64_t[]){ 1, 48, 12 });
	weight(b, "b", 2, (int64_t[]){ 1, 96 });
	build_node(b, "LSTM", "lstm", "t w r b", "- h");
	build_int(b, "hidden_size", 12);
	numbers(b, "flat", 2, (int64_t[]){ -1, 12 });
	build_node(b, "Reshape", "", "h flat", "h1");
	weight(b, "v", 2, (int64_t[]){ 12, CLASSES });
	weight(b, "c", 1, (int64_t[]){ CLASSES });
	build_node(b, "Gemm", "head", "h1 v c", "y");
	build_output(b, "y");
	return build_model(b);
}

/* Mean squared move of the answers on the samples. */
static double moved(const struct pare_model *m, const struct pare_model *e, float *x)
{
	struct pare_array in = { PARE_F32, { 3, { 64, STEPS, IN } }, x }, a = { 0 }, b = { 0 };
	struct pare_err err = { 0 };
	double sum = 0;

	ok_status(pare_model_run(m, &in, &a, &err), err, "whole");
	ok_status(pare_model_run(e, &in, &b, &err), err, "pruned");
	for (int i = 0; i < 64 * CLASSES; i++) {
		double d = (double)((float *)a.data)[i] - (double)((float *)b.data)[i];

		sum += d * d;
	}
	pare_array_free(&a);
	pare_array_free(&b);
	return sum;
}

static double pruned_by(const struct pare_model *m, const struct pare_calibration *c, float *x,
	const char *by, const char *repair)
{
	struct pare_plan *p = pare_plan_new(3); /* both weights of the LSTM and the head */
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	double d;

	p->dials[0].channels = .25f;
	p->dials[0].channel_criterion = (uint8_t)pare_method_find(PARE_CHANNEL_CRITERION, by);
	p->dials[0].repair = (uint8_t)pare_method_find(PARE_REPAIR, repair);
	pare_plan_tie(m, p, 0);
	ok_status(pare_variant_new(m, p, c, NULL, &v, &err), err, "%s, %s", by, repair);
	ok(pare_model_layer(pare_variant_model(v), 0)->weight.d[1] == 36, "nine units are left");
	d = moved(m, pare_variant_model(v), x);
	pare_variant_free(v);
	pare_plan_free(p);
	return d;
}

static void units_are_made_up_for(void)
{
	struct pare_model *m = recurrent_network();
	float x[SAMPLES * STEPS * IN];
	int64_t y[SAMPLES];
	struct pare_dataset *d = samples("96, 7, 5", STEPS * IN, false, x, y);
	struct pare_calibration *c = NULL;
	struct pare_err err = { 0 };
	double bare, made_up;

	ok_status(pare_calibration_new(m, d, 0, NULL, &c, &err), err, "calibrates");
	for (int i = 0; pare_method_name(PARE_CHANNEL_CRITERION, i); i++) {
		const char *by = pare_method_name(PARE_CHANNEL_CRITERION, i);

		if (!strcmp(by, "batchnorm"))
			continue;
		bare = pruned_by(m, c, x, by, "none");
		made_up = pruned_by(m, c, x, by, "least-squares");
		ok(made_up < .7 * bare, "%s: %.3g of the answers' move, %.3g made up for", by, bare,
			made_up);
	}
	pare_calibration_free(c);
	pare_dataset_free(d);
	pare_model_free(m);
}

int main(void)
{
	char clean[64];

	if (!mkdtemp(folder))
		abort();
	rng = pare_rng_seed(3, 1);
	scores_are_what_they_say();
	units_are_made_up_for();
	snprintf(clean, sizeof clean, "rm -r %s", folder);
	if (system(clean))
		return 1;
	return tap_done();
}
