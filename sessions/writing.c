/* Statements that write files: recipes and networks. */
#include "file.h"
#include "recipe.h"
#include "replay.h"
#include "saying.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file that must not be lost under a new one. */
static enum pare_status refuse_sources(const struct saying *y)
{
	const char *data = y->w->data ? pare_dataset_info(y->w->data)->path : "";

	if (pare_path_same(y->s->text, pare_model_info(y->w->model)->path) ||
		pare_path_same(y->s->text, data))
		return pare_fail(y->err, PARE_E_ARG,
			"%s is what this workbench has open; give another name", y->s->text);
	return PARE_OK;
}

/* What is there already may be written over when it is empty or pare wrote it: a recipe begins with
 * "pare ", packed weights with their magic, ONNX with the version and the producer's name. */
static enum pare_status refuse_strangers(const struct saying *y, const char *is_none)
{
	static const char producer[] = "\x12\x04pare";
	char head[64];
	struct stat sb;
	size_t n;
	FILE *f = stat(y->s->text, &sb) || !S_ISREG(sb.st_mode) ? NULL : fopen(y->s->text, "rb");

	if (!f)
		return PARE_OK;
	n = fread(head, 1, sizeof head, f);
	fclose(f);
	if (!n || (n > 5 && !memcmp(head, "pare ", 5)) || pare_packed_is(y->s->text) ||
		memmem(head, n, producer, sizeof producer - 1))
		return PARE_OK;
	return pare_fail(
		y->err, PARE_E_ARG, "%s is there and %s; give another name", y->s->text, is_none);
}

/* The plan carried out, kept for the next who asks; borrowed from the workspace.  NULL: that takes
 * a while, and the worker runs the line again when it is there. */
static enum pare_status make_variant(const struct saying *y, const struct pare_variant **out)
{
	struct pare_workspace *w = y->w;
	uint64_t hash = pare_plan_hash(saying_plan(y));
	struct pare_variant *v;
	enum pare_status st = PARE_OK;

	if (w->variant && w->variant_of == hash) {
		*out = w->variant;
		return PARE_OK;
	}
	*out = NULL;
	if (w->data && pare_plan_looks(w->model, saying_plan(y))) {
		if (!w->headless)
			return worker_file(w, y->line, y->err);
		st = worker_need_baseline(w, y->err);
	} else if (!w->data && pare_plan_needs_samples(w->model, saying_plan(y)))
		st = pare_fail(y->err, PARE_E_ARG,
			"what this plan asks for needs samples to look at; open "
			"the model with --data");
	if (!st)
		st = pare_variant_new(w->model, saying_plan(y),
			w->data ? pare_study_calibration(w->study) : NULL, NULL, &v, y->err);
	if (st)
		return st;
	pare_variant_free(w->variant);
	w->variant = v;
	w->variant_of = hash;
	*out = v;
	return PARE_OK;
}

static enum pare_status saying_later(const struct saying *y)
{
	return saying_answer(y, "%s is written once the plan is carried out", y->s->text);
}

static struct pare_recipe_parts parts_of(const struct saying *y, const char **devices)
{
	struct pare_recipe_parts p = { .model = y->w->model,
		.data = y->w->data,
		.plan = saying_plan(y),
		.seed = y->w->seed,
		.devices = devices };

	if (y->w->data)
		p.samples = pare_study_samples(y->w->study);
	return p;
}

static double half_width(const struct pare_value *v)
{
	return fmax(v->hi - v->value, v->value - v->lo);
}

static void promise(struct pare_recipe_parts *p, const struct pare_metrics *m)
{
	if (m->accuracy.kind == PARE_MEASURED) {
		p->promised[PARE_PROMISE_ACCURACY] =
			(struct pare_promised){ true, m->accuracy.value, half_width(&m->accuracy) };
		p->promised[PARE_PROMISE_DROP] =
			(struct pare_promised){ true, m->drop.value, half_width(&m->drop) };
	}
	p->promised[PARE_PROMISE_BYTES] = (struct pare_promised){ true, (double)m->cost.bytes, 0 };
}

enum pare_status say_write(const struct saying *y)
{
	const char **devices = calloc((size_t)y->w->n_rows + 1, sizeof *devices);
	char sha[PARE_SHA_HEX], file_sha[PARE_SHA_HEX];
	struct pare_recipe_parts parts = parts_of(y, devices);
	const struct pare_variant *v = NULL;
	enum pare_status st = devices ? PARE_OK : pare_nomem(y->err, "a recipe");
	int64_t bytes;

	for (int i = 0; !st && i < y->w->n_rows; i++)
		devices[i] = pare_device_info(y->w->row[i].device)->name;
	if (!st)
		st = refuse_sources(y);
	if (!st)
		st = refuse_strangers(y, "is no recipe");
	if (!st)
		st = make_variant(y, &v);
	if (!st && !v) {
		free(devices);
		return saying_later(y);
	}
	if (!st)
		st = pare_recipe_sha(&parts, sha, y->err);
	if (!st)
		st = pare_variant_hash(v, sha, file_sha, &bytes, y->err);
	if (!st) {
		promise(&parts, &y->w->now);
		parts.promised_sha = file_sha;
		parts.promised_cpu = pare_cpu_kind();
		st = pare_recipe_write(y->s->text, &parts, y->err);
	}
	free(devices);
	if (st)
		return st;
	if (y->w->now.accuracy.kind == PARE_MEASURED)
		return saying_answer(y, "%s written; it promises %.2f %% ± %.2f", y->s->text,
			y->w->now.accuracy.value, half_width(&y->w->now.accuracy));
	return saying_answer(
		y, "%s written; the plan is not measured, so it promises no accuracy", y->s->text);
}

/* What is not seen in an ONNX file: widths that it has no type for, sums that some CPUs cut off. */
static void
tell_of_file(const struct saying *y, const struct pare_variant *v, char *out, size_t len)
{
	int first, narrow = pare_layers_as_bytes(saying_plan(y)),
		   cut = pare_variant_saturates(v, &first);
	size_t n = 0;

	if (narrow)
		n = (size_t)snprintf(out, len,
			"; weights of %d layer%s travel as int8, format packed has them in %" PRId64
			" bytes",
			narrow, narrow == 1 ? "" : "s", y->w->now.cost.bytes);
	if (cut && n < len)
		snprintf(out + n, len - n,
			"; on x86 without VNNI sums of %d layer%s can be cut off: step "
			"avoid-saturation",
			cut, cut == 1 ? "" : "s");
}

enum pare_status say_export(const struct saying *y)
{
	struct pare_recipe_parts parts = parts_of(y, NULL);
	char sha[PARE_SHA_HEX], file_sha[PARE_SHA_HEX];
	const struct pare_variant *v = NULL;
	int64_t bytes = 0;
	char told[240] = "";
	enum pare_status st = refuse_sources(y);

	if (!st)
		st = refuse_strangers(y, "was not written by pare");
	if (!st)
		st = make_variant(y, &v);
	if (!st && !v)
		return saying_later(y);
	if (!st)
		st = pare_recipe_sha(&parts, sha, y->err);
	if (!st)
		st = pare_variant_export_as(v, y->s->as, y->s->text, sha, file_sha, &bytes, y->err);
	if (st)
		return st;
	if (y->s->as == PARE_AS_ONNX)
		tell_of_file(y, v, told, sizeof told);
	return saying_answer(y, "%s written: %" PRId64 " bytes, sha256 %.12s…%s", y->s->text, bytes,
		file_sha, told);
}
