#include "opening.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *data, **devices, *session, *resume, *limit_text;

const struct cli_option cli_opening_options[] = {
	{ "--data", "D", "samples: a folder, .npz, IDX, CIFAR files, CSV or data.conf", &data,
		NULL },
	{ "--device", "NAME", "a device to compare on; may be repeated", NULL, &devices },
	{ "--session", "FILE", "keep the session in this file", &session, NULL },
	{ "--resume", NULL, "take up the last session, or the one named", &resume, NULL },
	{ "--limit", "N", "samples that the map is measured on", &limit_text, NULL },
	CLI_SHAPE,
	{ 0 },
};

/* The example lies beside the sources, or where `make install` puts it.  Its data are all of
 * Fashion-MNIST where Debian's package is installed, else the part that comes with it. */
static bool find_example(char model[PATH_MAX], char samples[PATH_MAX])
{
	static const char *const from[] = { "/../../examples/fashion",
		"/../share/pare/examples/fashion", NULL };
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0 || n > PATH_MAX - 64)
		return false;
	exe[n] = 0;
	*strrchr(exe, '/') = 0;
	for (int i = 0; from[i]; i++) {
		char path[PATH_MAX + 64];

		snprintf(path, sizeof path, "%s%s/model.onnx", exe, from[i]);
		if (!realpath(path, model))
			continue;
		snprintf(path, sizeof path, "%s%s/%s", exe, from[i],
			access("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", R_OK)
				? "data.conf"
				: "full.conf");
		return realpath(path, samples) != NULL;
	}
	return false;
}

struct pare_workspace *cli_open_workspace(const struct cli_args *a, bool idle, int *code)
{
	static char model[PATH_MAX], samples[PATH_MAX];
	struct pare_workspace_spec spec = { .data = data,
		.devices = devices,
		.session = session,
		.resume = resume != NULL,
		.idle = idle };
	struct pare_workspace *w;
	char *shapes;
	struct pare_err err;

	*code = CLI_BAD;
	if (limit_text && !cli_number(limit_text, "--limit", 1, INT64_MAX, &spec.limit))
		return NULL;
	if (resume && a->n && session) {
		cli_usage("--resume takes one session: '%s' or '%s'", a->word[0], session);
		return NULL;
	}
	if (resume && a->n)
		spec.session = a->word[0];
	else if (a->n)
		spec.model = a->word[0];
	else if (!resume && !find_example(model, samples)) {
		cli_usage("name a model: pare MODEL --data D (the example did not come with this "
			  "pare)");
		return NULL;
	} else if (!resume) {
		spec.model = model;
		if (!data)
			spec.data = samples;
	}
	spec.shapes = shapes = cli_shapes_text();
	*code = pare_workspace_open(&spec, &w, &err) ? cli_bad(&err) : CLI_OK;
	free(shapes);
	return *code ? NULL : w;
}
