/* Packed weights: as large as was said, read back to the very weights, refused when they are not
 * whole. */
#include "engine/pare.h"
#include "tests/tap.h"
#include "tests/tiny.h"

static struct pare_model *model;
static struct pare_calibration *calibration;

static struct pare_plan *plan_of(const char *format, int granularity, int scheme, int pattern)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find(format);
		p->dials[i].granularity = (uint8_t)granularity;
		p->dials[i].scheme = (uint8_t)scheme;
		p->dials[i].pattern = (uint8_t)pattern;
		p->dials[i].sparsity = pattern || i % 2 ? .6f : 0;
		p->dials[i].activations = (uint8_t)pare_format_find(i % 3 ? "int8" : "uint8");
		p->dials[i].ranging = (uint8_t)(i % 4);
	}
	p->steps = 1u << pare_method_find(PARE_STEP, "correct-bias"); /* biases come in */
	return p;
}

static struct pare_packed *packed_of(const struct pare_plan *p, struct pare_variant **v)
{
	char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	struct pare_packed *k = NULL;
	struct pare_cost cost = { 0 };
	struct pare_err err = { 0 };
	int64_t bytes = 0;

	*v = NULL;
	pare_sha256("x", 1, recipe);
	ok_status(pare_variant_new(model, p, calibration, NULL, v, &err), err, "carried out");
	ok_status(pare_variant_export_as(
			  *v, PARE_AS_PACKED, tiny_path("w"), recipe, sha, &bytes, &err),
		err, "written");
	ok_status(pare_plan_cost(model, p, &cost, &err), err, "costs");
	ok(cost.bytes == bytes, "%lld bytes, said %lld", (long long)bytes, (long long)cost.bytes);
	ok_status(pare_packed_open(tiny_path("w"), &k, &err), err, "read again");
	ok(k && !strcmp(pare_packed_info(k)->recipe_sha, recipe) &&
			!strcmp(pare_packed_info(k)->sha256, sha),
		"with the recipe's hash and its own");
	return k;
}

/* Weights of layers that are not as the variant has them. */
static int n_wrong(const struct pare_packed *k, const struct pare_variant *v, int *weights)
{
	const struct pare_model *m = pare_variant_model(v);
	int wrong = 0;

	*weights = 0;
	for (int i = 0; i < pare_packed_info(k)->n_records; i++) {
		const struct pare_packed_record *r = pare_packed_record(k, i);
		struct pare_array a;
		int layer = pare_model_find_layer(m, r->name);

		if (r->role != PARE_PACKED_WEIGHT)
			continue;
		++*weights;
		if (layer < 0 || pare_packed_values(k, i, &a, NULL)) {
			wrong++;
			continue;
		}
		for (int64_t e = 0; e < pare_model_layer(m, layer)->weights; e++)
			wrong += ((float *)a.data)[e] != pare_model_weights(m, layer)[e];
		pare_array_free(&a);
	}
	return wrong;
}

static void comes_back(const char *format, int granularity, int scheme, int pattern)
{
	struct pare_plan *p = plan_of(format, granularity, scheme, pattern);
	struct pare_variant *v;
	struct pare_packed *k = packed_of(p, &v);
	int weights = 0, wrong = k ? n_wrong(k, v, &weights) : -1;

	ok(weights == TINY_LAYERS && !wrong, "%s %s %s %s: %d of the weights of %d layers differ",
		format, pare_method_name(PARE_GRANULARITY, granularity),
		pare_method_name(PARE_SCHEME, scheme), pare_method_name(PARE_PATTERN, pattern),
		wrong, weights);
	pare_packed_free(k);
	pare_variant_free(v);
	pare_plan_free(p);
}

static void everything_comes_back(void)
{
	for (int f = 0; pare_formats[f].name; f++)
		if (pare_formats[f].uses & PARE_FOR_WEIGHTS)
			for (int s = 0; pare_method_name(PARE_SCHEME, s); s++)
				comes_back(pare_formats[f].name, s, s, s ? 0 : f % 7);
	for (int g = 0; pare_method_name(PARE_GRANULARITY, g); g++)
		comes_back("int3", g, 1, 0);
	for (int t = 0; pare_method_name(PARE_PATTERN, t); t++)
		comes_back("int5", 0, 0, t);
}

/* By hand: 2 bits, half of the weights gone, dense layers alone. */
static void a_layer_by_hand(void)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	int64_t bytes = 0;
	struct pare_err err = { 0 };

	p->dials[8].weights = (uint8_t)pare_format_find("int8");
	p->dials[8].sparsity = .5f;
	ok_status(pare_plan_layer_bytes(model, p, 8, &bytes, &err), err, "a layer's bytes");
	/* 36 weights of 6 channels: 36 bits of bitmap, 18 bytes, 6 scales */
	ok(bytes == 5 + 18 + 24, "a bitmap, what is left and scales: %lld", (long long)bytes);
	p->dials[8].weights = (uint8_t)pare_format_find("int2");
	ok_status(pare_plan_layer_bytes(model, p, 8, &bytes, &err), err, "at 2 bits");
	ok(bytes == 9 + 24, "no bitmap where it gains nothing: %lld", (long long)bytes);
	pare_plan_free(p);
}

static long slurp(const char *path, uint8_t *buf, size_t room)
{
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(buf, 1, room, f) : 0;

	if (f)
		fclose(f);
	return (long)n;
}

static void spoilt_files_are_refused(void)
{
	static uint8_t good[1 << 16], bad[1 << 16];
	struct pare_plan *p = plan_of("int4", 0, 1, 0);
	struct pare_variant *v;
	struct pare_packed *k = packed_of(p, &v);
	struct pare_err err = { 0 };
	long n = slurp(tiny_path("w"), good, sizeof good);
	int taken = 0;

	pare_packed_free(k);
	for (long cut = 0; cut < n; cut += cut < 400 ? 1 : 97)
		if (!pare_packed_read(good, (size_t)cut, "w", &k, &err)) {
			taken++;
			pare_packed_free(k);
		}
	ok(n > 1000 && !taken, "cut anywhere it is refused: %s", err.text);
	for (long at = 0; at < n; at += at < 400 ? 1 : 97) {
		memcpy(bad, good, (size_t)n);
		bad[at] ^= 0x10;
		if (!pare_packed_read(bad, (size_t)n, "w", &k, &err)) {
			taken++;
			pare_packed_free(k);
		}
	}
	ok(!taken, "and with any byte changed: %s", err.text);
	ok(pare_packed_is(tiny_path("w")) && !pare_packed_is(tiny_path("m.onnx")),
		"told from a network by how it begins");
	pare_variant_free(v);
	pare_plan_free(p);
}

int main(void)
{
	struct pare_dataset *d = NULL;
	struct pare_err err = { 0 };

	if (!tiny_home() || !tiny_model(tiny_path("m.onnx"), 1) ||
		!tiny_data(tiny_path("d"), 500, 1, 1))
		return 1;
	ok_status(pare_model_open(tiny_path("m.onnx"), &model, &err), err, "a network");
	ok_status(pare_dataset_open(tiny_path("d"), model, &d, &err), err, "its samples");
	ok_status(pare_calibration_new(model, d, 0, NULL, &calibration, &err), err, "calibrates");
	everything_comes_back();
	a_layer_by_hand();
	spoilt_files_are_refused();
	pare_calibration_free(calibration);
	pare_dataset_free(d);
	pare_model_free(model);
	return tap_done();
}
