#include "replay.h"
#include "store.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static double clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *pare_cpu_kind(void)
{
	static char kind[100]; /* the same whoever asks, so two threads may write it at once */
	struct utsname u;

	snprintf(kind, sizeof kind, "%s-%s", uname(&u) ? "unknown" : u.machine, pare_isa());
	return kind;
}

/* ---- the map of a session
 * --------------------------------------------------------------------------- */

static enum pare_status
learn(void *user, const char *key, const void *data, size_t len, struct pare_err *err)
{
	struct pare_result *r;
	enum pare_status st = pare_result_unpack(user, data, len, &r, NULL);

	(void)key;
	(void)err;
	if (!st)
		st = pare_study_add(user, r, NULL);
	return st == PARE_E_NOMEM ? st : PARE_OK; /* what does not fit stays unknown */
}

static enum pare_status same_as(struct pare_store *s, const char *session, const char *name,
	const char *is, const char *what, struct pare_err *err)
{
	char *was = NULL;
	enum pare_status st = pare_store_get(s, PARE_STORE_META, name, &was, err);

	if (!st && (!was || strcmp(was, is)))
		st = pare_fail(err, PARE_E_MISMATCH,
			"%s is a session of %s than the recipe's; name the right one with "
			"--session",
			session, what);
	free(was);
	return st;
}

/* A study of the recipe's model and data with all that the session knows of them. */
static enum pare_status study_of_session(
	struct pare_replay *r, const char *session, struct pare_study **out, struct pare_err *err)
{
	const char *data_sha = r->data ? pare_dataset_info(r->data)->sha256 : "",
		   *shapes = pare_model_info(r->model)->shapes;
	struct pare_study *s = NULL;
	struct pare_store *store;
	char *limit = NULL;
	enum pare_status st = pare_store_open(session, PARE_STORE_READ, &store, err);

	if (st)
		return st;
	st = same_as(store, session, "model_sha", pare_model_info(r->model)->sha256,
		"another model", err);
	if (!st)
		st = same_as(store, session, "data_sha", data_sha, "other data", err);
	if (!st && *shapes)
		st = same_as(store, session, "shapes", shapes, "other shapes", err);
	if (!st)
		st = pare_store_get(store, PARE_STORE_META, "limit", &limit, err);
	if (!st)
		st = pare_study_new(
			r->model, r->data, limit ? strtoll(limit, NULL, 10) : 0, &s, err);
	if (!st)
		st = pare_store_each_result(store, learn, s, err);
	pare_store_close(store);
	free(limit);
	if (st)
		pare_study_free(s);
	else
		*out = s;
	return st;
}

/* What the screen would say of the plan, by the map of the session; unknown when there is none. */
static enum pare_status
estimate(struct pare_replay *r, const struct pare_replay_spec *spec, struct pare_err *err)
{
	struct pare_study *study = NULL;
	enum pare_status st = PARE_OK;
	char *usual;

	if (spec->session)
		st = study_of_session(r, spec->session, &study, err);
	else if ((usual = pare_session_default(pare_model_info(r->model),
			  r->data ? pare_dataset_info(r->data)->sha256 : NULL))) {
		/* nobody asked for this one: if it is not there or not sound, we know nothing */
		st = study_of_session(r, usual, &study, NULL);
		free(usual);
		if (st)
			st = pare_study_new(r->model, r->data, 0, &study, err);
	} else
		st = pare_nomem(err, "an estimate");
	if (!st)
		st = pare_study_predict(study, r->plan, &r->estimated, err);
	if (!st && spec->estimate_only)
		st = pare_study_estimate(study, r->plan, &r->now, err);
	if (!st && spec->estimate_only)
		st = pare_study_estimate(study, r->float_plan, &r->was, err);
	pare_study_free(study);
	return st;
}

/* ---- layers that an earlier run was stopped after ----------------------------------------------
 */

static enum pare_status
take_layer(void *user, const char *key, const void *data, size_t len, struct pare_err *err)
{
	size_t n = strlen(PARE_STORE_LAYER);

	(void)err;
	if (!strncmp(key, PARE_STORE_LAYER, n))
		pare_calibration_keep(user, key + n, data, len);
	return PARE_OK;
}

/* Those of the session go into the study's calibration; without a session there are none. */
static enum pare_status
take_layers(struct pare_replay *r, const struct pare_replay_spec *spec, struct pare_err *err)
{
	void *calibration = (void *)(uintptr_t)pare_study_calibration(r->study);
	struct pare_store *s;
	enum pare_status st;

	if (!spec->session || !calibration)
		return PARE_OK;
	if ((st = pare_store_open(spec->session, PARE_STORE_READ, &s, err)))
		return st;
	st = pare_store_each_result(s, take_layer, calibration, err);
	pare_store_close(s);
	return st;
}

struct leaving {
	struct pare_store *store;
	struct pare_err *err;
	enum pare_status status;
	int n;
};

static void leave_layer(void *user, const char *key, const void *data, size_t len)
{
	struct leaving *l = user;
	char name[sizeof PARE_STORE_LAYER + PARE_SHA_HEX];

	snprintf(name, sizeof name, "%s%s", PARE_STORE_LAYER, key);
	if (!l->status)
		l->status = pare_store_put_result(l->store, name, data, len, l->err);
	l->n++;
}

/* What was done goes into the session; the sentence says so, or why not. */
static enum pare_status
leave_layers(struct pare_replay *r, const struct pare_replay_spec *spec, struct pare_err *err)
{
	const struct pare_calibration *c = r->study ? pare_study_calibration(r->study) : NULL;
	struct pare_err why = { 0 };
	struct leaving l = { .err = &why };

	if (!spec->session || !c)
		return pare_wrap(err, PARE_E_CANCELED, "%s",
			"nothing is kept (--session names where to keep layers that are done)");
	l.status = pare_store_open(spec->session, PARE_STORE_OWN, &l.store, &why);
	if (!l.status)
		l.status = pare_store_begin(l.store, &why);
	if (!l.status) {
		pare_calibration_tell_kept(c, leave_layer, &l);
		if (!l.status)
			l.status = pare_store_commit(l.store, &why);
		if (l.status)
			pare_store_rollback(l.store);
	}
	pare_store_close(l.store);
	if (l.status)
		return pare_fail(
			err, PARE_E_CANCELED, "stopped, and nothing is kept: %s", why.text);
	return pare_fail(err, PARE_E_CANCELED,
		"stopped; %d layers more are kept in %s: the same command goes on from there", l.n,
		spec->session);
}

/* ---- carrying it out
 * -------------------------------------------------------------------------------- */

/* Float answers and ranges, for lines that look at samples before there is a plan. */
static enum pare_status
look_first(struct pare_replay *r, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_result *found;
	struct pare_task t;
	enum pare_status st;

	if (!r->data || !pare_recipe_spreads(r->recipe))
		return PARE_OK;
	if ((st = pare_study_next(r->study, NULL, NULL, &t, err)))
		return st;
	st = pare_study_run(r->study, &t, ctl, &found, err);
	pare_task_free(&t);
	return st ? st : pare_study_add(r->study, found, err);
}

static enum pare_status
open_recipe(struct pare_replay *r, const struct pare_replay_spec *spec, struct pare_err *err)
{
	enum pare_status st = pare_recipe_read(spec->recipe, &r->recipe, err);

	if (!st)
		st = pare_recipe_open(r->recipe, &r->model, &r->data, err);
	if (!st)
		st = pare_study_new(r->model, r->data, 0, &r->study, err);
	if (!st)
		st = look_first(r, spec->ctl, err);
	if (!st)
		st = pare_recipe_plan(r->recipe, r->model, pare_study_calibration(r->study),
			spec->ctl, &r->plan, err);
	if (!st && !(r->float_plan = pare_plan_new(r->plan->n)))
		st = pare_nomem(err, "a plan");
	if (!st && r->data)
		r->measure = pare_dataset_info(r->data)->measure;
	if (!st && spec->output)
		for (int i = 0; i < 3; i++) {
			const char *source[] = { spec->recipe, r->recipe->model, r->recipe->data };

			if (source[i] && pare_path_same(spec->output, source[i]))
				return pare_fail(err, PARE_E_ARG,
					"%s is what the recipe reads; name another file with -o",
					spec->output);
		}
	return st;
}

/* Float answers, ranges, and the plan, all on the samples that the recipe names; v: the plan
 * carried out, NULL when there was nothing to measure. */
static enum pare_status measure(struct pare_replay *r, const struct pare_replay_spec *spec,
	struct pare_variant **v, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	struct pare_result *found;
	struct pare_task t;

	while (!st) {
		if ((st = pare_study_next(r->study, r->plan, NULL, &t, err)))
			return st;
		if (t.kind != PARE_TASK_BASELINE && t.kind != PARE_TASK_PLAN) {
			pare_task_free(&t);
			break;
		}
		st = pare_study_run(r->study, &t, spec->ctl, &found, err);
		pare_task_free(&t);
		if (st)
			break;
		if (!*v)
			*v = pare_result_variant(found);
		st = pare_study_add(r->study, found, err);
		if (!st && !*v)
			st = take_layers(r, spec, err);
	}
	if (!st)
		st = pare_study_estimate(r->study, r->plan, &r->now, err);
	if (!st)
		st = pare_study_estimate(r->study, r->float_plan, &r->was, err);
	return st;
}

static enum pare_status export(struct pare_replay *r, const struct pare_replay_spec *spec,
	const struct pare_variant *v, struct pare_err *err) {
	int64_t bytes;
	enum pare_status st = pare_variant_hash(v, r->recipe_sha, r->sha256, &bytes, err);

	if (!st && spec->output) st = pare_variant_export_as(
		v, spec->as, spec->output, r->recipe_sha, r->written, &r->written_bytes, err);
	return st;
}

static enum pare_status ask_device(struct pare_replay *r, const struct pare_replay_spec *spec,
	const struct pare_variant *v, struct pare_replay_device *d, struct pare_err *err)
{
	struct pare_variant *plain = NULL;
	enum pare_status st;

	if (!v || !pare_device_info(d->device)->measures) {
		st = pare_device_predict(d->device, r->model, r->float_plan, &d->was, err);
		return st ? st : pare_device_predict(d->device, r->model, r->plan, &d->now, err);
	}
	st = pare_variant_new(r->model, r->float_plan, NULL, spec->ctl, &plain, err);
	if (!st)
		st = pare_device_measure(d->device, plain, spec->ctl, &d->was, err);
	pare_variant_free(plain);
	return st ? st : pare_device_measure(d->device, v, spec->ctl, &d->now, err);
}

static void note(struct pare_replay *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct pare_replay *r, const char *fmt, ...)
{
	va_list ap;

	if (r->n_notes == (int)(sizeof r->note / sizeof *r->note))
		return;
	va_start(ap, fmt);
	vsnprintf(r->note[r->n_notes++], sizeof *r->note, fmt, ap);
	va_end(ap);
}

/* What the plan asks of a device that it does not take. */
static void note_objections(struct pare_replay *r, const struct pare_device *d)
{
	const struct pare_device_info *info = pare_device_info(d);
	char why[160], first[160];
	int n = 0, at = 0;

	for (int i = 0; i < r->plan->n; i++)
		if (pare_device_objects(info, &r->plan->dials[i], why, sizeof why) && !n++) {
			at = i;
			memcpy(first, why, sizeof first);
		}
	if (n)
		note(r, "%d of %d layers, '%.40s' the first: %s", n, r->plan->n,
			pare_model_layer(r->model, at)->name, first);
	if (pare_device_saturates(info) && pare_plan_multiplies_bytes(r->plan) >= 0 &&
		!(r->plan->steps & pare_step_narrow()))
		note(r, "%s cuts off sums of uint8 x int8: add step avoid-saturation", info->name);
}

int pare_layers_as_bytes(const struct pare_plan *p)
{
	int n = 0;

	for (int i = 0; i < p->n; i++) {
		const struct pare_format *f = &pare_formats[p->dials[i].weights];

		n += f->kind == PARE_KIND_INT && f->bits < 8 && f->store == PARE_I8;
	}
	return n;
}

static void note_widths(struct pare_replay *r)
{
	int n = pare_layers_as_bytes(r->plan);

	if (n)
		note(r,
			"weights of %d layer%s travel as int8 in the ONNX file, which has no such "
			"type; packed the network has %" PRId64 " bytes",
			n, n == 1 ? "" : "s", r->now.cost.bytes);
}

static void note_saturation(struct pare_replay *r, const struct pare_variant *v)
{
	int first, n = pare_variant_saturates(v, &first);

	if (n)
		note(r,
			"in %d layer%s, '%.40s' the first, two products of uint8 and int8 together "
			"can exceed 16 bits: ONNX Runtime on x86 without VNNI cuts them off; step "
			"avoid-saturation",
			n, n == 1 ? "" : "s", pare_model_layer(r->model, first)->name);
}

/* A device of the recipe that this machine does not know is no reason to fail. */
static enum pare_status ask_devices(struct pare_replay *r, const struct pare_replay_spec *spec,
	const struct pare_variant *v, struct pare_err *err)
{
	const char **names = r->recipe->devices;
	enum pare_status st = PARE_OK;
	int n = 0;

	while (names && names[n])
		n++;
	if (!n)
		return PARE_OK;
	if ((st = pare_devices_load(&r->devices, err)))
		return st;
	if (!(r->device = calloc((size_t)n, sizeof *r->device)))
		return pare_nomem(err, "devices");
	for (int i = 0; !st && i < n; i++) {
		struct pare_replay_device *d = &r->device[r->n_devices];

		if (!(d->device = pare_devices_find(r->devices, names[i]))) {
			note(r, "there is no device '%.60s' here: it is left out", names[i]);
			continue;
		}
		st = ask_device(r, spec, v, d, err);
		if (!st)
			note_objections(r, d->device);
		r->n_devices += !st;
	}
	return st;
}

/* ---- promises
 * --------------------------------------------------------------------------------------- */

static bool figure(const struct pare_replay *r, enum pare_promise p, double *out)
{
	const struct pare_metrics *m = &r->now;

	switch (p) {
	case PARE_PROMISE_ACCURACY:
		*out = m->accuracy.value;
		return m->accuracy.kind == PARE_MEASURED;
	case PARE_PROMISE_DROP:
		*out = m->drop.value;
		return m->drop.kind == PARE_MEASURED;
	case PARE_PROMISE_BYTES:
		*out = (double)m->cost.bytes;
		return true;
	case PARE_PROMISE_MACS:
		*out = (double)m->cost.macs;
		return true;
	case PARE_N_PROMISES:
		break;
	}
	return false;
}

static void check_figure(struct pare_replay *r, enum pare_promise p)
{
	const struct pare_promise_row *row = &pare_promise_rows[p];
	const struct pare_promised *want = &r->recipe->promised[p];
	double got, as_written = 0.5 * pow(10, -row->digits) + 1e-9; /* it was rounded */

	if (!want->said)
		return;
	r->verdict[p] = PARE_BROKEN;
	if (!figure(r, p, &got)) {
		note(r, "broken: %s is promised and was not measured", row->name);
		return;
	}
	if (fabs(got - want->value) <= want->tolerance + (row->digits ? as_written : 0)) {
		r->verdict[p] = PARE_KEPT;
		return;
	}
	note(r, "broken: %s %.*f%s, where %.*f%s ± %.*f was promised", row->name, row->digits, got,
		row->unit, row->digits, want->value, row->unit, row->digits, want->tolerance);
}

static void check_sha(struct pare_replay *r)
{
	const char *want = r->recipe->promised_sha, *cpu = r->recipe->promised_cpu;

	if (!*want)
		return;
	if (!strcmp(want, r->sha256)) {
		r->sha_verdict = PARE_KEPT;
	} else if (cpu && strcmp(cpu, pare_cpu_kind())) {
		r->sha_verdict = PARE_NOT_COMPARED;
		note(r,
			"the bytes were promised on a %.60s CPU and this is a %.60s: figures are "
			"compared instead",
			cpu, pare_cpu_kind());
	} else {
		r->sha_verdict = PARE_BROKEN;
		note(r, "broken: sha256 %.12s…, where %.12s… was promised", r->sha256, want);
	}
}

static void check(struct pare_replay *r)
{
	for (int i = 0; i < PARE_N_PROMISES; i++)
		check_figure(r, (enum pare_promise)i);
	check_sha(r);
	for (int i = 0; i < PARE_N_PROMISES; i++)
		r->ok &= r->verdict[i] != PARE_BROKEN;
	r->ok &= r->sha_verdict != PARE_BROKEN;
}

static enum pare_status
note_picks(struct pare_replay *r, const struct pare_variant *v, struct pare_err *err)
{
	const struct pare_model *m = pare_variant_model(v);
	int n = pare_model_info(m)->n_layers;

	if (!(r->picked = calloc((size_t)n + 1, sizeof *r->picked)))
		return pare_nomem(err, "what came of a recipe");
	r->carried = pare_model_ref(m);
	for (int i = 0; i < n; i++)
		r->picked[i] = pare_variant_picked(v, i);
	return PARE_OK;
}

static enum pare_status
carry_out(struct pare_replay *r, const struct pare_replay_spec *spec, struct pare_err *err)
{
	struct pare_recipe_parts parts;
	struct pare_variant *v = NULL;
	enum pare_status st = open_recipe(r, spec, err);

	if (st)
		return st;
	parts = (struct pare_recipe_parts){
		.model = r->model, .data = r->data, .plan = r->plan, .seed = r->recipe->seed
	};
	st = pare_recipe_sha(&parts, r->recipe_sha, err);
	if (!st)
		st = estimate(r, spec, err);
	if (!st && !spec->estimate_only)
		st = measure(r, spec, &v, err);
	if (!st)
		st = pare_study_exits(r->study, r->plan, r->exit, &r->n_exits, err);
	if (!st && spec->estimate_only)
		return ask_devices(r, spec, NULL, err);
	if (!st && !v)
		st = pare_variant_new(r->model, r->plan,
			r->data ? pare_study_calibration(r->study) : NULL, spec->ctl, &v, err);
	if (!st)
		st = export(r, spec, v, err);
	if (!st)
		st = note_picks(r, v, err);
	if (!st)
		note_saturation(r, v);
	if (spec->as == PARE_AS_ONNX)
		note_widths(r);
	if (!st)
		st = ask_devices(r, spec, v, err);
	if (!st && spec->check)
		check(r);
	pare_variant_free(v);
	return st;
}

enum pare_status
pare_replay_run(const struct pare_replay_spec *spec, struct pare_replay *out, struct pare_err *err)
{
	struct pare_replay r = { .ok = true };
	double started = clock_now();
	enum pare_status st = carry_out(&r, spec, err);

	if (st == PARE_E_CANCELED)
		st = leave_layers(&r, spec, err);
	r.seconds = clock_now() - started;
	if (st) {
		pare_replay_free(&r);
		return st;
	}
	*out = r;
	return PARE_OK;
}

void pare_replay_free(struct pare_replay *r)
{
	free(r->device);
	free(r->picked);
	pare_model_free(r->carried);
	pare_devices_free(r->devices);
	pare_study_free(r->study);
	pare_plan_free(r->plan);
	pare_plan_free(r->float_plan);
	pare_dataset_free(r->data);
	pare_model_free(r->model);
	pare_recipe_free(r->recipe);
	memset(r, 0, sizeof *r);
}
