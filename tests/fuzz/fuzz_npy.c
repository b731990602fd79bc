/* Any bytes as samples: opening ends with a dataset whose every input can be read, or with a
 * sentence.  The first byte chooses the format, the second the model. */
#include "tests/unit/data_files.h"
#include <assert.h>

static const struct {
	char kind;
	const char *name;
} files[] = {
	{ 'n', "f.npy" },
	{ 'z', "f.npz" },
	{ 'i', "f-images-idx3-ubyte.gz" },
	{ 'c', "f.csv" },
	{ 'f', "data.conf" },
	{ 'b', "f.bin" },
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t samples[48] = { 1, 2, 3 }, labels[4] = { 0, 1, 0, 1 };

	(void)argc;
	(void)argv;
	new_folder();
	atexit(remove_folder);
	pare_set_threads(1); /* so that a run repeats */
	put_npy("x.npy", "|u1", "(4, 3, 2, 2)", samples, sizeof samples);
	put_npy("y.npy", "|u1", "(4,)", labels, sizeof labels);
	return 0;
}

static void read_all(const struct pare_dataset *d)
{
	const struct pare_dataset_info *info = pare_dataset_info(d);
	int64_t elems = 1;
	float *out;

	for (int i = 0; i < info->sample[0].n; i++)
		elems *= info->sample[0].d[i];
	assert(elems > 0 && info->n_evaluate > 0 && info->n_calibrate >= 0);
	out = malloc((size_t)elems * sizeof *out);
	for (int split = PARE_CALIBRATE; out && split <= PARE_EVALUATE; split++) {
		int64_t n = split == PARE_CALIBRATE ? info->n_calibrate : info->n_evaluate;

		for (int64_t i = 0; i < n; i++) {
			int label = pare_dataset_label(d, (enum pare_split)split, i);

			pare_dataset_read(d, (enum pare_split)split, i, 1, out);
			assert(label >= -1 &&
				(!info->labelled || split == PARE_CALIBRATE || label >= 0));
			assert(*pare_dataset_class(d, label) || label >= 0);
		}
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pare_dataset *d = NULL;
	struct pare_array a = { .data = NULL };
	struct pare_err err = { 0 };
	const struct pare_model *model = NULL;
	const char *path = NULL;

	if (size < 2)
		return 0;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (data[0] == files[i].kind)
			path = put(files[i].name, data + 2, size - 2);
	if (!path)
		return 0;
	if (data[1] & 1)
		model = data[1] & 2 ? MODEL(2, -1, 3, 2, 2) : MODEL(9, -1, -1);
	if (!pare_dataset_open(path, model, &d, &err))
		read_all(d);
	else
		assert(*err.text);
	pare_dataset_free(d);
	if (!pare_npy_read(path, &a, &err))
		pare_array_free(&a);
	return 0;
}
