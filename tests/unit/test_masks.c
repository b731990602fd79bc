/* Real networks without some of their channels: what is left computes what the whole network
 * computes when nobody looks at those channels.
 *
 *     test_masks                         those of ../shared/models, run by pare
 *     test_masks MODEL SHAPES FOLDER     writes FOLDER/cut.onnx and FOLDER/masked.onnx, for others
 *                                        to run (tests/peer/pruned.py), and says what cannot go */
#include "tests/cutting.h"
#include "tests/tap.h"

static void real_networks(void)
{
	static const char *const name[] = { "resnet8", "resnet20", "resnet56", "resnet8_large",
		"kws_dscnn", "vww_mobilenet", "ad_autoencoder" };
	const char *shared = getenv("PARE_SHARED") ? getenv("PARE_SHARED") : "../shared";

	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		struct pare_model *m = NULL;
		char path[512];
		bool good = true;

		snprintf(path, sizeof path, "%s/models/%s/model.onnx", shared, name[i]);
		if (pare_model_open(path, &m, NULL)) {
			tap_skip(name[i], "no ../shared/models (set PARE_SHARED)");
			continue;
		}
		for (int k = 0; k < 3 && good; k++)
			good = cuts_well(m, .2 + .3 * k);
		ok(good, "%s: %d groups of channels, cut = masked", name[i], m->n_groups);
		pare_model_free(m);
	}
}

static enum pare_status write(const struct pare_model *m, const char *folder, const char *name)
{
	struct pare_err err = { 0 };
	void *data;
	size_t len;
	char path[512];
	enum pare_status st = pare_onnx_write(m, NULL, &data, &len, &err);

	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (!st) {
		st = pare_file_write(path, data, len, &err);
		free(data);
	}
	if (st)
		fprintf(stderr, "%s: %s\n", path, err.text);
	return st;
}

static int write_both(const char *path, const char *shapes, const char *folder)
{
	struct pare_model *m = NULL, *cut = NULL, *mask;
	struct pare_err err = { 0 };
	int stuck = 0, st;
	bool *keep;

	if (pare_model_open_as(path, shapes, &m, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	keep = some(m, .4);
	mask = masked(m, keep);
	if (pare_model_without_channels(m, keep, false, &cut, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	st = write(cut, folder, "cut.onnx") || write(mask, folder, "masked.onnx");
	for (int i = 0; i < m->info.n_layers; i++)
		stuck += m->layers[i].group < 0;
	printf("%d groups, %d of %d layers stay, %lld of %lld weights\n", m->n_groups, stuck,
		m->info.n_layers, (long long)cut->info.params, (long long)m->info.params);
	for (int i = 0; i < m->info.n_layers; i++)
		if (m->layers[i].group < 0)
			printf("  %s: %s\n", m->layers[i].name, m->layers[i].stuck);
	free(keep);
	pare_model_free(mask);
	pare_model_free(cut);
	pare_model_free(m);
	return st;
}

int main(int argc, char **argv)
{
	rng = pare_rng_seed(7, 1);
	if (argc == 4)
		return write_both(argv[1], argv[2], argv[3]);
	real_networks();
	return tap_done();
}
