/* A workspace is opened and closed. */
#include "workspace.h"
#include "file.h"
#include "inside.h"
#include "words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_LIMIT = 1000, MOST_DEVICES = 32 };

/* Is there another of its class with more measurements behind it? */
static bool outdone(const struct pare_devices *ds, const struct pare_device_info *f)
{
	const struct pare_device *d;

	for (int i = 0; (d = pare_devices_get(ds, i)); i++) {
		const struct pare_device_info *g = pare_device_info(d);

		if (!g->measures && !strcmp(g->class, f->class) &&
			(g->rows > f->rows || (g->rows == f->rows && strcmp(g->name, f->name) < 0)))
			return true;
	}
	return false;
}

/* This machine, and the one of each class of which most is known. */
static enum pare_status default_devices(struct pare_workspace *w, struct pare_err *err)
{
	const char *names[MOST_DEVICES + 1] = { NULL };
	const struct pare_device *d;
	int n = 0;

	for (int i = 0; n < MOST_DEVICES && (d = pare_devices_get(w->devices, i)); i++) {
		const struct pare_device_info *f = pare_device_info(d);

		if (f->measures || !outdone(w->devices, f))
			names[n++] = f->name;
	}
	return workspace_choose_devices(w, names, err);
}

/* Those that the session had, as far as they are still known. */
static bool session_devices(struct pare_workspace *w)
{
	const char *names[MOST_DEVICES + 1] = { NULL };
	char *text = NULL, *save, *one;
	int n = 0;
	bool good = false;

	if (!w->store || pare_store_get(w->store, PARE_STORE_META, "devices", &text, NULL) || !text)
		return false;
	for (one = strtok_r(text, "\n", &save); one && n < MOST_DEVICES;
		one = strtok_r(NULL, "\n", &save))
		if (pare_devices_find(w->devices, one))
			names[n++] = one;
	if (n)
		good = !workspace_choose_devices(w, names, NULL);
	free(text);
	return good;
}

static enum pare_status open_network(struct pare_workspace *w, const char *model,
	const char *shapes, const char *data, int64_t limit, struct pare_err *err)
{
	enum pare_status st = pare_model_open_as(model, shapes, &w->model, err);

	if (!st && data)
		st = pare_dataset_open(data, w->model, &w->data, err);
	if (st)
		return st;
	w->limit = limit > 0 ? limit : DEFAULT_LIMIT;
	return pare_study_new(w->model, w->data, w->limit, &w->study, err);
}

/* Model, data and limit as the session says. */
static enum pare_status
open_session(struct pare_workspace *w, const struct pare_workspace_spec *spec, struct pare_err *err)
{
	char *model = NULL, *data = NULL, *limit = NULL, *sha = NULL, *shapes = NULL;
	struct pare_store *s = NULL;
	enum pare_status st = pare_session_find(NULL, spec->session, &w->session_path, err);

	if (!st)
		st = pare_store_open(w->session_path, PARE_STORE_READ, &s, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "model", &model, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "data", &data, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "limit", &limit, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "model_sha", &sha, err);
	if (!st)
		st = pare_store_get(s, PARE_STORE_META, "shapes", &shapes, err);
	pare_store_close(s);
	if (!st && !model)
		st = pare_fail(err, PARE_E_FORMAT, "%s names no model; delete it", w->session_path);
	if (!st)
		st = open_network(w, spec->model ? spec->model : model,
			spec->shapes ? spec->shapes : shapes,
			spec->data      ? spec->data
			: data && *data ? data
					: NULL,
			spec->limit ? spec->limit
			: limit     ? strtoll(limit, NULL, 10)
				    : 0,
			err);
	if (!st && sha && strcmp(sha, pare_model_info(w->model)->sha256))
		st = pare_fail(err, PARE_E_MISMATCH,
			"%s has changed since the session %s; open it anew with pare %s",
			pare_model_info(w->model)->path, w->session_path,
			pare_model_info(w->model)->path);
	free(model);
	free(data);
	free(limit);
	free(sha);
	free(shapes);
	return st;
}

static enum pare_status
open_new(struct pare_workspace *w, const struct pare_workspace_spec *spec, struct pare_err *err)
{
	enum pare_status st;

	if (!spec->model)
		return pare_fail(err, PARE_E_ARG, "no model is named");
	if ((st = open_network(w, spec->model, spec->shapes, spec->data, spec->limit, err)) ||
		spec->memory)
		return st;
	w->session_path = spec->session
				  ? strdup(spec->session)
				  : pare_session_default(pare_model_info(w->model),
					    w->data ? pare_dataset_info(w->data)->sha256 : NULL);
	return w->session_path ? PARE_OK : pare_nomem(err, "the session");
}

static enum pare_status
open_all(struct pare_workspace *w, const struct pare_workspace_spec *spec, struct pare_err *err)
{
	enum pare_status st = spec->resume ? open_session(w, spec, err) : open_new(w, spec, err);

	w->in_memory = spec->memory;
	if (!st)
		st = tree_start(w, err);
	if (!st)
		st = pare_devices_load(&w->devices, err);
	if (!st && !w->in_memory)
		st = keep_open(w, spec->resume || !spec->idle, err);
	if (!st && spec->devices)
		st = workspace_choose_devices(w, spec->devices, err);
	else if (!st && !session_devices(w))
		st = default_devices(w, err);
	if (st)
		return st;
	for (int i = 0; pare_devices_problem(w->devices, i); i++)
		workspace_log(w, "%s", pare_devices_problem(w->devices, i));
	w->meta_saved = false;
	keep_save(w);
	workspace_refresh(w);
	w->paused = w->headless = spec->idle;
	return worker_start(w, err);
}

enum pare_status pare_workspace_open(
	const struct pare_workspace_spec *spec, struct pare_workspace **out, struct pare_err *err)
{
	struct pare_workspace *w = calloc(1, sizeof *w);
	struct pare_err mine;
	enum pare_status st;

	if (!w)
		return pare_nomem(err, "a workspace");
	w->worker.pipe[0] = w->worker.pipe[1] = -1;
	st = open_all(w, spec, err ? err : &mine);
	if (st) {
		pare_workspace_close(w);
		return st;
	}
	worker_feed(w);
	*out = w;
	return PARE_OK;
}

void pare_workspace_close(struct pare_workspace *w)
{
	if (!w)
		return;
	if (w->worker.started) {
		worker_stop(w);
		keep_save(w);
	}
	tree_free(w);
	keep_free(w);
	pare_words_free(&w->candidates);
	free(w->row);
	free(w->order);
	free(w->memory_of);
	pare_devices_free(w->devices);
	pare_variant_free(w->variant);
	pare_study_free(w->study);
	pare_dataset_free(w->data);
	pare_model_free(w->model);
	free(w);
}
