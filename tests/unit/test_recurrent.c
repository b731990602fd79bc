/* Weights that no activation enters beside: those by which a recurrent layer reads its own states,
 * and tables that are looked up in.  Each is a layer of its own. */
#include "engine/base/rng.h"
#include "engine/plan/variant.h"
#include "engine/prune/pattern.h"
#include "engine/quantize/moments.h"
#include "sessions/recipe.h"
#include "tests/build.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include <math.h>
#include <string.h>

enum { WORDS = 20, WIDE = 32, TIME = 5, HIDDEN = 32, CLASSES = 3 };
enum { TABLE, LSTM_W, LSTM_R, FC, LAYERS };

static struct pare_rng rng;

static void weight(struct build *b, const char *name, int n, int64_t x, int64_t y, int64_t z)
{
	struct pare_shape s = { n, { x, y, z } };
	float *v = pare_alloc_n(b->a, (size_t)pare_shape_elems(&s), sizeof *v);

	for (int64_t i = 0; i < pare_shape_elems(&s); i++)
		v[i] = .3f * (float)pare_rng_normal(&rng);
	build_tensor(b, name, PARE_F32, v, s);
}

/* begins: with states of its own, for a batch of one. */
static struct pare_model *sentence_from(const char *direction, bool begins)
{
	struct build *b = build_new(14);
	int dirs = strcmp(direction, "bidirectional") ? 1 : 2;

	rng = pare_rng_seed(1, 2);
	build_input_of(b, "x", PARE_I64, (struct pare_shape){ 2, { -1, TIME } });
	weight(b, "rows", 2, WORDS, WIDE, 0);
	build_node(b, "Gather", "look", "rows x", "e");
	build_node(b, "Transpose", "", "e", "t");
	build_ints(b, "perm", 3, 1, 0, 2);
	weight(b, "w", 3, dirs, 4 * HIDDEN, WIDE);
	weight(b, "r", 3, dirs, 4 * HIDDEN, HIDDEN);
	weight(b, "b", 2, dirs, 8 * HIDDEN, 0);
	weight(b, "h0", 3, dirs, 1, HIDDEN);
	build_node(b, "LSTM", "lstm", begins ? "t w r b - h0" : "t w r b", "all last");
	build_int(b, "hidden_size", HIDDEN);
	build_word(b, "direction", direction);
	build_node(b, "Transpose", "", "last", "l1");
	build_ints(b, "perm", 3, 1, 0, 2);
	build_node(b, "Flatten", "", "l1", "l2");
	weight(b, "v", 2, dirs * HIDDEN, CLASSES, 0);
	weight(b, "c", 1, CLASSES, 0, 0);
	build_node(b, "Gemm", "fc", "l2 v c", "y");
	build_output(b, "y");
	return build_model(b);
}

static struct pare_model *sentence(const char *direction)
{
	return sentence_from(direction, false);
}

static struct pare_plan *all_int(const char *format, const char *rounding)
{
	struct pare_plan *p = pare_plan_new(LAYERS);

	for (int i = 0; i < LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find(format);
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, rounding);
	}
	return p;
}

static void each_is_a_layer(void)
{
	struct pare_model *m = sentence("forward");
	const struct pare_layer *r = pare_model_layer(m, LSTM_R), *w = pare_model_layer(m, LSTM_W);
	const struct pare_layer *t = pare_model_layer(m, TABLE);

	ok(pare_model_info(m)->n_layers == LAYERS && !strcmp(r->name, "lstm.R") &&
			pare_model_find_layer(m, "lstm.R") == LSTM_R,
		"an LSTM is two layers");
	/* each step multiplies both by a vector */
	ok(w->macs == TIME * 4 * HIDDEN * WIDE && r->macs == TIME * 4 * HIDDEN * HIDDEN,
		"%lld and %lld multiply-accumulates", (long long)w->macs, (long long)r->macs);
	ok(r->group == w->group && r->group >= 0, "its units go from both");
	ok(!strcmp(t->name, "look") && !t->macs && t->weights == WORDS * WIDE && t->group < 0 &&
			!strcmp(t->stuck, "is a table"),
		"a table is a layer that multiplies nothing");
	for (int i = 0; pare_options[i].name; i++)
		if (pare_options[i].dial == PARE_DIAL_ACTIVATIONS && pare_options[i].format)
			ok(!pare_option_fits(m, TABLE, &pare_options[i]) &&
					!pare_option_fits(m, LSTM_R, &pare_options[i]) &&
					pare_option_fits(m, LSTM_W, &pare_options[i]),
				"no activation to quantize but what enters the LSTM");
	pare_model_free(m);
}

/* Most by which two networks differ on all words, one after the other. */
static double apart(const struct pare_model *a, const struct pare_model *b)
{
	int64_t words[4 * TIME];
	struct pare_array in = { PARE_I64, { 2, { 4, TIME } }, words }, x = { 0 }, y = { 0 };
	struct pare_err err = { 0 };
	double most = 0;

	for (int i = 0; i < 4 * TIME; i++)
		words[i] = i % WORDS;
	ok_status(pare_model_run(a, &in, &x, &err), err, "runs");
	ok_status(pare_model_run(b, &in, &y, &err), err, "runs");
	for (int i = 0; i < 4 * CLASSES; i++)
		most = fmax(
			most, fabs((double)((float *)x.data)[i] - (double)((float *)y.data)[i]));
	pare_array_free(&x);
	pare_array_free(&y);
	return most;
}

/* Written, as large as said, read again: the same network, and its bits stand on the dials. */
static void comes_back(const char *format, const char *granularity, const char *direction)
{
	struct pare_model *m = sentence(direction), *again = NULL;
	struct pare_plan *p = all_int(format, "nearest"), *own;
	struct pare_variant *v = NULL;
	struct pare_cost cost = { 0 };
	struct pare_err err = { 0 };
	char file[300], packed[300], got[PARE_SHA_HEX], sha[PARE_SHA_HEX];
	int64_t written = 0, small = 0;
	int same = 0;

	pare_sha256("", 0, sha);
	snprintf(file, sizeof file, "%s", tiny_path("words.onnx"));
	snprintf(packed, sizeof packed, "%s", tiny_path("words.pack"));
	for (int i = 0; i < LAYERS; i++)
		p->dials[i].granularity = (uint8_t)pare_method_find(PARE_GRANULARITY, granularity);
	ok_status(pare_variant_new(m, p, NULL, NULL, &v, &err), err, "%s %s", format, granularity);
	ok_status(pare_plan_cost(m, p, &cost, &err), err, "its cost");
	ok_status(pare_variant_export(v, file, sha, got, &written, &err), err, "written");
	ok_status(pare_variant_export_as(v, PARE_AS_PACKED, packed, sha, got, &small, &err), err,
		"packed");
	ok(cost.file_bytes == written && cost.bytes == small,
		"%s: %lld bytes said, %lld written; packed %lld and %lld", direction,
		(long long)cost.file_bytes, (long long)written, (long long)cost.bytes,
		(long long)small);
	ok_status(pare_model_open(file, &again, &err), err, "read again");
	own = pare_plan_of(again);
	for (int i = 0; i < LAYERS; i++)
		same += own->dials[i].weights == p->dials[i].weights &&
			own->dials[i].granularity == p->dials[i].granularity;
	ok(same == LAYERS, "the dials of %d layers are as they were", same);
	ok(apart(pare_variant_model(v), again) < 1e-5 && apart(m, again) > 1e-4,
		"the same answers, which are not those of float");
	pare_plan_free(own);
	pare_plan_free(p);
	pare_variant_free(v);
	pare_model_free(again);
	pare_model_free(m);
}

/* The dial of one leaves the other as it is. */
static void one_alone(void)
{
	struct pare_model *m = sentence("forward");
	struct pare_plan *p = pare_plan_new(LAYERS);
	struct pare_cost none, weights, both;
	int64_t bytes = 0;
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	ok_status(pare_plan_cost(m, p, &none, &err), err, "as it is");
	p->dials[LSTM_R].weights = (uint8_t)pare_format_find("int8");
	p->dials[LSTM_R].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "nearest");
	ok_status(pare_plan_cost(m, p, &weights, &err), err, "with its own weights at 8 bits");
	p->dials[LSTM_R].activations = (uint8_t)pare_format_find("int8");
	ok_status(pare_plan_cost(m, p, &both, &err), err, "and its activation");
	ok_status(pare_plan_layer_bytes(m, p, LSTM_R, &bytes, &err), err, "a layer's bytes");
	ok(bytes == 4 * HIDDEN * HIDDEN + 4 * 4 * HIDDEN && weights.bytes < none.bytes,
		"a byte a weight and a scale a row: %lld", (long long)bytes);
	ok(both.bytes == weights.bytes && both.file_bytes == weights.file_bytes,
		"there is no activation to quantize");
	ok_status(pare_variant_new(m, p, NULL, NULL, &v, &err), err, "carried out without samples");
	ok(pare_model_weights(pare_variant_model(v), LSTM_W) == pare_model_weights(m, LSTM_W) &&
			pare_variant_weight_snr(v, LSTM_R) > 35 &&
			pare_variant_weight_snr(v, LSTM_R) < 60,
		"the others are as they were: %.1f dB", pare_variant_weight_snr(v, LSTM_R));
	pare_variant_free(v);
	pare_plan_free(p);
	pare_model_free(m);
}

/* ---- what samples tell of them -----------------------------------------------------------------
 */

enum { SAMPLES = 40, BOTH = 2 * HIDDEN };

static struct pare_dataset *sentences(const struct pare_model *m)
{
	static int64_t x[2 * SAMPLES * TIME];
	struct pare_array in = { PARE_I64, { 2, { 2 * SAMPLES, TIME } }, x };
	const char *name = "x", *path = tiny_path("words.npz");
	struct pare_dataset *d = NULL;
	struct pare_err err = { 0 };

	for (int i = 0; i < 2 * SAMPLES * TIME; i++)
		x[i] = (int64_t)pare_rng_below(&rng, WORDS);
	ok_status(pare_npz_write(path, &in, &name, 1, &err), err, "an archive");
	ok_status(pare_dataset_open(path, m, &d, &err), err, "its samples");
	ok_status(pare_dataset_set_split(d, PARE_CALIBRATE, 0, SAMPLES, &err), err, "half of them");
	return d;
}

static double logistic(double x)
{
	return 1 / (1 + exp(-x));
}

static const float *constant(const struct pare_model *m, int input)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[LSTM_W].node];

	return input < n->n_in ? m->graph.vars[n->in[input]].declared.value->f32 : NULL;
}

/* As ONNX defines it: the states that a step reads, multiplied by each other. */
static void by_hand(const struct pare_model *m, int dir, const float *words, double h2[BOTH][BOTH])
{
	const float *w = constant(m, 1) + dir * 4 * HIDDEN * WIDE;
	const float *r = constant(m, 2) + dir * 4 * HIDDEN * HIDDEN;
	const float *b = constant(m, 3) + dir * 8 * HIDDEN, *table = pare_model_weights(m, TABLE);
	const float *h0 = constant(m, 5);
	double h[HIDDEN] = { 0 }, c[HIDDEN] = { 0 }, gate[4 * HIDDEN];

	for (int i = 0; i < HIDDEN && h0; i++)
		h[i] = (double)h0[dir * HIDDEN + i];
	for (int step = 0; step < TIME; step++) {
		const float *x = table + (int)words[dir ? TIME - 1 - step : step] * WIDE;

		for (int i = 0; i < HIDDEN && (step || h0); i++)
			for (int j = 0; j < HIDDEN; j++)
				h2[dir * HIDDEN + i][dir * HIDDEN + j] += h[i] * h[j];
		for (int g = 0; g < 4 * HIDDEN; g++) {
			gate[g] = (double)b[g] + (double)b[4 * HIDDEN + g];
			for (int k = 0; k < WIDE; k++)
				gate[g] += (double)w[g * WIDE + k] * (double)x[k];
			for (int k = 0; k < HIDDEN; k++)
				gate[g] += (double)r[g * HIDDEN + k] * h[k];
		}
		for (int k = 0; k < HIDDEN; k++) { /* input, output, forget, cell */
			c[k] = logistic(gate[2 * HIDDEN + k]) * c[k] +
			       logistic(gate[k]) * tanh(gate[3 * HIDDEN + k]);
			h[k] = logistic(gate[HIDDEN + k]) * tanh(c[k]);
		}
	}
}

/* What rounding loses inside: the rows' moves by those products. */
static double lost(const struct pare_model *m, const struct pare_model *now, double h2[BOTH][BOTH])
{
	const float *a = pare_model_weights(m, LSTM_R), *b = pare_model_weights(now, LSTM_R);
	double sum = 0, move[BOTH];

	for (int g = 0; g < 4 * HIDDEN; g++) {
		for (int k = 0; k < BOTH; k++) {
			int at = (k / HIDDEN * 4 * HIDDEN + g) * HIDDEN + k % HIDDEN;

			move[k] = (double)a[at] - (double)b[at];
		}
		for (int i = 0; i < BOTH; i++)
			for (int j = 0; j < BOTH; j++)
				sum += move[i] * h2[i][j] * move[j];
	}
	return sum;
}

static struct pare_variant *
rounded(const struct pare_model *m, const struct pare_calibration *c, const char *by)
{
	struct pare_plan *p = all_int("int4", by);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	ok_status(pare_variant_new(m, p, c, NULL, &v, &err), err, "round %s", by);
	pare_plan_free(p);
	return v;
}

static void states_are_seen(bool begins)
{
	double h2[BOTH][BOTH] = { { 0 } };
	struct pare_model *m = sentence_from("bidirectional", begins);
	struct pare_dataset *d = sentences(m);
	struct pare_calibration *c = NULL;
	struct pare_walk *w = NULL;
	struct pare_moments s = { 0 };
	struct pare_progress_span quiet = { 0 };
	struct pare_variant *v[3];
	struct pare_err err = { 0 };
	double off = 0, most = 0, was, now;
	float words[TIME];
	int nearest = pare_method_find(PARE_ROUNDING, "nearest");

	for (int i = 0; i < SAMPLES; i++) {
		pare_dataset_read(d, PARE_CALIBRATE, i, 1, words);
		by_hand(m, 0, words, h2);
		by_hand(m, 1, words, h2);
	}
	ok_status(pare_calibration_new(m, d, 0, NULL, &c, &err), err, "calibrates");
	ok_status(pare_walk_new(m, c, &w, &err), err, "a walk");
	pare_walk_want_inner(w);
	ok_status(pare_walk_float(w, LSTM_R, NULL, quiet, NULL, &s, &err), err, "to the states");
	ok(s.win.k == BOTH && s.n == 2 * (TIME - !begins) * SAMPLES, "both directions, %s",
		begins ? "all steps" : "all but a step");
	for (int i = 0; i < BOTH; i++)
		for (int j = 0; j < BOTH && s.win.k == BOTH; j++) {
			off = fmax(off, fabs(s.h[i * BOTH + j] - h2[i][j]));
			most = fmax(most, fabs(h2[i][j]));
		}
	ok(off < 1e-4 * most, "their products are off by %.2g of %.3g", off, most);
	v[0] = rounded(m, c, "nearest");
	v[1] = rounded(m, c, "gptq");
	v[2] = rounded(m, c, "adaround");
	was = lost(m, pare_variant_model(v[0]), h2);
	now = lost(m, pare_variant_model(v[1]), h2);
	ok(now < .7 * was, "GPTQ loses %.3g there, the nearest %.3g", now, was);
	ok(pare_variant_picked(v[1], LSTM_R) < 0 && pare_variant_picked(v[1], TABLE) == nearest,
		"a table is rounded to the nearest, and that is told");
	ok(pare_variant_picked(v[2], LSTM_R) == pare_method_find(PARE_ROUNDING, "descent") &&
			pare_variant_picked(v[2], FC) < 0,
		"what would learn from a layer's output takes the step before that");
	for (int i = 0; i < 3; i++)
		pare_variant_free(v[i]);
	pare_moments_free(&s);
	pare_walk_free(w);
	pare_calibration_free(c);
	pare_dataset_free(d);
	pare_model_free(m);
}

/* `*` turns what there is; a layer named alone is refused. */
static void dials_that_are_not_there(void)
{
	struct pare_model *m = sentence("forward");
	struct pare_plan *p = NULL, *q = NULL, *again = NULL;
	struct pare_err err = { 0 };
	char *text = NULL;

	ok_status(pare_plan_parse(m, "set * weights int4 activations int8", &p, &err), err, "all");
	ok(p && p->dials[LSTM_R].weights && !p->dials[LSTM_R].activations &&
			!p->dials[TABLE].activations && p->dials[LSTM_W].activations,
		"turns activations where they enter");
	ok_status(pare_plan_text(m, p, &text, &err), err, "as text");
	ok_status(pare_plan_parse(m, text, &again, &err), err, "and back");
	ok(again && pare_plan_equal(p, again), "the same plan: %s", text);
	ok(pare_plan_parse(m, "set lstm.R activations int8", &q, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'lstm.R'"),
		"%s", err.text);
	free(text);
	pare_plan_free(p);
	pare_plan_free(again);
	pare_model_free(m);
}

int main(void)
{
	if (!tiny_home())
		return 1;
	each_is_a_layer();
	dials_that_are_not_there();
	comes_back("int8", "per-channel", "forward");
	comes_back("int4", "per-channel", "bidirectional");
	comes_back("int8", "per-tensor", "reverse");
	comes_back("int4", "per-group 16", "bidirectional");
	comes_back("int4", "per-group 16", "forward");
	one_alone();
	states_are_seen(false);
	states_are_seen(true);
	return tap_done();
}
