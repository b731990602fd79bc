/* Roundings that try others: what is tried within how much work, and that what is taken is what
 * proves best. */
#include "engine/plan/pick.h"
#include "engine/plan/variant.h"
#include "engine/run/kernels.h"
#include "tests/network.h"
#include <math.h>

static int row_of(const char *rounding)
{
	return pare_method_find(PARE_ROUNDING, rounding);
}

static struct pare_variant *
variant_by(const struct network *t, const struct pare_calibration *c, const struct pare_plan *p)
{
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	ok_status(pare_variant_new(t->m, p, c, NULL, &v, &err), err, "carried out");
	return v;
}

static void hash_of(const struct pare_variant *v, char sha[PARE_SHA_HEX])
{
	struct pare_err err = { 0 };
	int64_t bytes;

	ok_status(pare_variant_hash(v, NULL, sha, &bytes, &err), err, "hashes");
}

/* One layer alone, the last, whose output is the network's: its error on the samples that are kept
 * aside, by running the network. */
static void the_best_is_picked(const struct network *t)
{
	int lanes = pare_kernels_best()->lanes, full = (int)t->c->n_samples / lanes;
	int from = (full - full / 4) * lanes, n = full / 4 * lanes, best = -1, second = -1;
	struct pare_calibration *fewer = NULL;
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_dials *d = &p->dials[TINY_LAYERS - 1];
	struct pare_err err = { 0 };
	struct pare_variant *v;
	double e[32];

	ok_status(pare_calibration_new(t->m, t->d, from, NULL, &fewer, &err), err,
		"calibrates on %d, %d are kept aside", from, n);
	for (const char *const *bits =
			(const char *const[]){ "int8", "int4", "int3", "int2", NULL };
		*bits; bits++) {
		d->weights = (uint8_t)pare_format_find(*bits);
		best = second = -1;
		for (int i = 0; pare_roundings[i].name; i++) {
			if (pare_roundings[i].tries || pare_roundings[i].stored)
				continue;
			d->rounding = (uint8_t)i;
			v = variant_by(t, fewer, p);
			e[i] = network_apart(
				t, t->m, pare_variant_model(v), PARE_CALIBRATE, from, n);
			if (best < 0 || e[i] < e[best]) {
				second = best;
				best = i;
			} else if (second < 0 || e[i] < e[second])
				second = i;
			pare_variant_free(v);
		}
		d->rounding = (uint8_t)row_of("auto");
		v = variant_by(t, t->c, p);
		/* two that came to the same may stand for each other */
		ok(e[pare_variant_picked(v, TINY_LAYERS - 1)] <= e[best] * (1 + 1e-6),
			"%s: %s loses %.4g, taken is %s, next is %s with %.4g", *bits,
			pare_roundings[best].name, e[best],
			pare_roundings[pare_variant_picked(v, TINY_LAYERS - 1)].name,
			pare_roundings[second].name, e[second]);
		pare_variant_free(v);
	}
	pare_calibration_free(fewer);
	pare_plan_free(p);
}

/* Weights and answers are those of the plan that names what was picked, but for biases of zeros,
 * for which room is counted before; on any number of threads. */
static void it_is_what_it_picks(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_variant *v[3];
	char sha[2][PARE_SHA_HEX];
	int kinds = 0, same = 0;
	unsigned seen = 0;

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int3");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].rounding = (uint8_t)row_of("auto");
	}
	for (int i = 0; i < 2; i++) {
		pare_set_threads(i ? 1 : 3);
		v[i] = variant_by(t, t->c, p);
		hash_of(v[i], sha[i]);
	}
	pare_set_threads(0);
	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].rounding = (uint8_t)pare_variant_picked(v[0], i);
		kinds += !(seen >> p->dials[i].rounding & 1);
		seen |= 1u << p->dials[i].rounding;
	}
	v[2] = variant_by(t, t->c, p);
	for (int i = 0; i < TINY_LAYERS; i++)
		same += !memcmp(pare_model_weights(pare_variant_model(v[0]), i),
			pare_model_weights(pare_variant_model(v[2]), i),
			(size_t)pare_model_layer(t->m, i)->weights * sizeof(float));
	ok(!strcmp(sha[0], sha[1]), "three threads and one make the same bytes");
	ok(same == TINY_LAYERS && !(seen >> row_of("auto") & 1),
		"weights are those of the %d methods picked: in %d layers", kinds, same);
	ok(network_apart(t, pare_variant_model(v[0]), pare_variant_model(v[2]), PARE_EVALUATE, 0,
		   64) == 0,
		"so are the answers");
	for (int i = 0; i < 3; i++)
		pare_variant_free(v[i]);
	pare_plan_free(p);
}

/* Cheap ones first, in all no more than is allowed, each amount for itself. */
static void work_is_bounded(const struct network *t)
{
	struct pare_fit_layer layers[TINY_LAYERS] = { { 0 } };
	int order[TINY_LAYERS], descents = 0, learned = 0, free_ones = 0;
	unsigned may[TINY_LAYERS] = { 0 };
	struct pare_err err = { 0 };
	struct pare_walk *w = NULL;
	double sum = 0, all = 0, one = 0;

	ok_status(pare_walk_new(t->m, t->c, &w, &err), err, "a walk");
	for (int i = 0; i < TINY_LAYERS; i++) {
		struct pare_windows win = pare_walk_windows(w, i);

		order[i] = i;
		layers[i].fits = true;
		layers[i].rounding = &pare_roundings[row_of("auto")];
		all += 2 * pare_roundings[row_of("descent")].work(&win) +
		       2 * pare_roundings[row_of("adaround")].work(&win);
		if (i == TINY_LAYERS - 1)
			one = 2 * pare_roundings[row_of("descent")].work(&win);
	}
	for (int i = 0; i < TINY_LAYERS - 1; i++)
		layers[i].work = all / 3;
	layers[TINY_LAYERS - 1].work = one;
	ok_status(pare_tries_allot(w, layers, order, TINY_LAYERS, may, &err), err, "allots");
	for (int i = 0; i < TINY_LAYERS; i++) {
		struct pare_windows win = pare_walk_windows(w, i);

		free_ones += may[i] >> row_of("nearest") & may[i] >> row_of("gptq") & 1;
		for (int r = 0; pare_roundings[r].name && i < TINY_LAYERS - 1; r++)
			if (may[i] >> r & 1 && pare_roundings[r].work)
				sum += 2 * pare_roundings[r].work(&win);
		descents += may[i] >> row_of("descent") & 1;
		learned += may[i] >> row_of("adaround") & 1;
	}
	ok(free_ones == TINY_LAYERS, "what is no work is always tried");
	ok(sum <= all / 3 && sum > all / 6, "work %.3g of %.3g allowed", sum, all / 3);
	ok(descents == TINY_LAYERS && learned > 0 && learned < TINY_LAYERS - 1,
		"all descend, %d are learned", learned);
	ok(!(may[TINY_LAYERS - 1] >> row_of("adaround") & 1), "the last has work of its own");
	ok(!(may[0] >> row_of("auto") & 1) && !(may[0] >> row_of("stored") & 1),
		"neither itself nor the file's is tried");
	pare_walk_free(w);
}

/* Too few samples to keep any aside: no error is known, and the method of most work is taken. */
static void few_samples_are_no_reason_to_fail(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_calibration *few = NULL;
	struct pare_err err = { 0 };
	struct pare_variant *v;

	ok_status(pare_calibration_new(t->m, t->d, 5, NULL, &few, &err), err, "five samples");
	p->dials[1].weights = (uint8_t)pare_format_find("int4");
	p->dials[1].rounding = (uint8_t)row_of("auto");
	v = variant_by(t, few, p);
	ok(v && pare_variant_picked(v, 1) == row_of("adaround"), "most work");
	pare_variant_free(v);
	pare_calibration_free(few);
	pare_plan_free(p);
}

int main(void)
{
	struct network t;

	if (!network_open(&t))
		return 1;
	the_best_is_picked(&t);
	it_is_what_it_picks(&t);
	work_is_bounded(&t);
	few_samples_are_no_reason_to_fail(&t);
	network_close(&t);
	return tap_done();
}
