/* What a measuring plugin may ask of pare while it works: see struct pare_plugin_job. */
#include "measure.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int32_t say(const struct pare_err *from, char *err, uint64_t err_len)
{
	snprintf(err, err_len, "%s", from->text);
	return -1;
}

/* One sample, the same at each call: numbers of a fixed sequence in -1 … 1. */
static enum pare_status
fill_input(const struct pare_io *io, struct pare_array *out, struct pare_err *err)
{
	size_t n = 1, bits = pare_dtype_bits(io->dtype);
	uint32_t x = 1;

	out->dtype = io->dtype;
	out->shape = io->shape;
	for (int i = 0; i < out->shape.n; i++) {
		int64_t *d = &out->shape.d[i];

		if (*d < 0 && i)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"axis %d of input '%s' is open: --shape closes it", i, io->name);
		*d = *d < 0 ? 1 : *d;
		if (*d && n > SIZE_MAX / 64 / (size_t)*d)
			return pare_fail(
				err, PARE_E_FORMAT, "input %s: its size overflows", io->name);
		n *= (size_t)*d;
	}
	out->data = calloc(n * bits / 8 + 8, 1);
	if (!out->data)
		return pare_nomem(err, io->name);
	for (size_t i = 0; io->dtype == PARE_F32 && i < n; i++) {
		x = x * 1664525 + 1013904223; /* Numerical Recipes' generator */
		((float *)out->data)[i] = (float)(x >> 8) * 0x1p-23f - 1;
	}
	return PARE_OK;
}

static int32_t run_once(void *ctx, char *err, uint64_t err_len)
{
	struct pare_measure_job *j = ctx;
	struct pare_err why = { 0 };

	if (!j->runner && pare_runner_new(j->model, j->in, &j->runner, &why))
		return say(&why, err, err_len);
	return pare_runner_run(j->runner, &why) ? say(&why, err, err_len) : 0;
}

static int32_t canceled(void *ctx)
{
	const struct pare_measure_job *j = ctx;

	return j->ctl && atomic_load(&j->ctl->cancel);
}

static void progress(void *ctx, double done, double total)
{
	const struct pare_measure_job *j = ctx;

	if (j->ctl && j->ctl->progress)
		j->ctl->progress(j->ctl->user, done, total);
}

static int32_t export_file(void *ctx, char *path, uint64_t path_len, char *err, uint64_t err_len)
{
	struct pare_measure_job *j = ctx;
	const char *tmp = getenv("TMPDIR");
	char sha[PARE_SHA_HEX];
	struct pare_err why = { 0 };
	int64_t bytes;

	if (!*j->folder) {
		snprintf(j->folder, sizeof j->folder, "%s/pare-XXXXXX", tmp && *tmp ? tmp : "/tmp");
		if (!mkdtemp(j->folder)) {
			snprintf(err, err_len, "%s: %s", j->folder, strerror(errno));
			*j->folder = 0;
			return -1;
		}
		snprintf(j->file, sizeof j->file, "%s/variant.onnx", j->folder);
		if (pare_variant_export(j->variant, j->file, NULL, sha, &bytes, &why))
			return say(&why, err, err_len);
	}
	if (strlen(j->file) >= path_len) {
		snprintf(err, err_len, "the path of the exported file is too long");
		return -1;
	}
	strcpy(path, j->file);
	return 0;
}

enum pare_status pare_measure_begin(struct pare_measure_job *j, const struct pare_variant *v,
	struct pare_ctl *ctl, struct pare_err *err)
{
	const struct pare_model_info *info;
	enum pare_status st = PARE_OK;

	*j = (struct pare_measure_job){ .variant = v, .model = pare_variant_model(v), .ctl = ctl };
	info = pare_model_info(j->model);
	j->abi = (struct pare_plugin_job){ sizeof j->abi, j, export_file, run_once, canceled,
		progress };
	j->n_in = info->n_inputs;
	j->in = calloc((size_t)j->n_in + 1, sizeof *j->in);
	if (!j->in)
		st = pare_nomem(err, "a sample");
	for (int i = 0; i < j->n_in && !st; i++)
		st = fill_input(pare_model_input(j->model, i), &j->in[i], err);
	if (st)
		pare_measure_end(j);
	return st;
}

void pare_measure_end(struct pare_measure_job *j)
{
	pare_runner_free(j->runner);
	for (int i = 0; j->in && i < j->n_in; i++)
		pare_array_free(&j->in[i]);
	free(j->in);
	if (*j->folder) {
		unlink(j->file);
		rmdir(j->folder);
	}
}
