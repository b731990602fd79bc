/* Shown equals applied: what the map says that a row costs is what a plan of that row alone costs,
 * exactly: accuracy, bytes of the file, MACs.  On random (group, option) rows of channels. */
#include "engine/base/rng.h"
#include "engine/pare.h"
#include "tests/tap.h"
#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 96, CALIBRATE = 64 };

static struct pare_err err;
static struct pare_rng rng;

/* The layer that speaks for a group chosen at random. */
static int some_layer(const struct pare_model *m)
{
	int n = pare_model_info(m)->n_layers, i;

	do
		i = (int)(pare_rng_unit(&rng) * n);
	while (pare_model_layer(m, i)->group < 0);
	for (int k = 0; k < i; k++)
		if (pare_model_layer(m, k)->group == pare_model_layer(m, i)->group)
			return k;
	return i;
}

/* An option of the channels that takes something from the layer. */
static int some_option(const struct pare_model *m, int layer)
{
	int o;

	do
		o = (int)(pare_rng_unit(&rng) * pare_n_options());
	while (pare_options[o].dial != PARE_DIAL_CHANNELS ||
		!pare_group_gone(m, layer, pare_options[o].share));
	return o;
}

static void
row_holds(const struct pare_model *m, const struct pare_dataset *d, struct pare_study *s)
{
	int layer = some_layer(m), option = some_option(m, layer);
	struct pare_task t = { PARE_TASK_CELLS, layer, PARE_DIAL_CHANNELS, NULL };
	struct pare_plan *p = pare_plan_new(pare_model_info(m)->n_layers);
	struct pare_result *r = NULL;
	struct pare_variant *v = NULL;
	struct pare_score score = { 0 };
	struct pare_cost said = { 0 };
	char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	struct pare_value cell;
	int64_t bytes = 0;
	double drop;
	bool good;

	pare_option_apply(&pare_options[option], &p->dials[layer]);
	pare_plan_tie(m, p, layer);
	pare_sha256("row", 3, recipe);
	good = (pare_study_cell(s, layer, option).kind == PARE_MEASURED ||
		       (!pare_study_run(s, &t, NULL, &r, &err) && !pare_study_add(s, r, &err))) &&
	       !pare_variant_new(m, p, pare_study_calibration(s), NULL, &v, &err) &&
	       !pare_evaluate_variant(v, d, SAMPLES, NULL, &score, &err) &&
	       !pare_plan_cost(m, p, &said, &err) &&
	       !pare_variant_hash(v, recipe, sha, &bytes, &err);
	if (!good)
		printf("# %s\n", err.text);
	cell = pare_study_cell(s, layer, option);
	drop = pare_study_float(s).value - score.accuracy.value;
	ok(good && cell.kind == PARE_MEASURED && fabs(cell.value - drop) < 1e-9 &&
			said.file_bytes == bytes &&
			said.macs == pare_model_info(pare_variant_model(v))->macs,
		"%s, %s: %.2f points, %lld bytes", pare_model_layer(m, layer)->name,
		pare_options[option].name, drop, (long long)bytes);
	pare_variant_free(v);
	pare_plan_free(p);
}

static void rows_hold(const char *model, const char *data, int n)
{
	struct pare_model *m = NULL;
	struct pare_dataset *d = NULL;
	struct pare_study *s = NULL;
	struct pare_result *r = NULL;
	struct pare_task t = { .kind = PARE_TASK_BASELINE };

	if (pare_model_open(model, &m, &err) || pare_dataset_open(data, m, &d, &err)) {
		tap_skip(model, "no ../shared/models (set PARE_SHARED)");
		pare_model_free(m);
		return;
	}
	ok(!pare_dataset_set_split(d, PARE_CALIBRATE, 0, CALIBRATE, &err) &&
			!pare_study_new(m, d, SAMPLES, &s, &err) &&
			!pare_study_run(s, &t, NULL, &r, &err) && !pare_study_add(s, r, &err),
		"%s is measured", model);
	for (int i = 0; i < n; i++)
		row_holds(m, d, s);
	pare_study_free(s);
	pare_dataset_free(d);
	pare_model_free(m);
}

int main(void)
{
	const char *shared = getenv("PARE_SHARED") ? getenv("PARE_SHARED") : "../shared";
	char model[512], data[512];

	rng = pare_rng_seed(20, 1);
	rows_hold("examples/fashion/model.onnx", "examples/fashion", 20);
	snprintf(model, sizeof model, "%s/models/resnet8/model.onnx", shared);
	snprintf(data, sizeof data, "%s/models/resnet8/data.conf", shared);
	rows_hold(model, data, 20);
	return tap_done();
}
