/* What a session file has is taken up by a workspace that is opened. */
#include "inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_SHOWN = 500 }; /* lines of earlier days that are read back */

struct taking_up {
	struct pare_workspace *w;
	int strange; /* results that are not of this study */
};

static enum pare_status
take_plan(void *user, const struct pare_stored_plan *s, struct pare_err *err)
{
	struct taking_up *t = user;
	struct pare_plan *p;
	enum pare_status st;

	if (!s->id)
		t->w->n_nodes = 0; /* the root that a new tree starts with gives way */
	st = pare_plan_parse(t->w->model, s->plan, &p, err);
	if (!st)
		st = tree_restore(t->w, s, p, err);
	return st ? pare_wrap(err, st, "%s", t->w->session_path) : PARE_OK;
}

static enum pare_status
take_result(void *user, const char *key, const void *data, size_t len, struct pare_err *err)
{
	struct taking_up *t = user;
	struct pare_result *r;
	bool cells = !strncmp(key, "cells", 5);
	int before = pare_study_n_done(t->w->study);

	(void)err;
	if (!strncmp(key, PARE_STORE_LAYER, strlen(PARE_STORE_LAYER))) {
		if (pare_study_calibration(t->w->study))
			pare_calibration_keep(pare_study_calibration(t->w->study),
				key + strlen(PARE_STORE_LAYER), data, len);
		return PARE_OK;
	}
	if (pare_result_unpack(t->w->study, data, len, &r, NULL)) {
		t->strange++;
		return PARE_OK;
	}
	if (cells)
		t->w->cell_seconds += pare_result_seconds(r);
	if (pare_study_add(t->w->study, r, NULL))
		t->strange++;
	else if (cells)
		t->w->cells_timed += pare_study_n_done(t->w->study) - before;
	return PARE_OK;
}

static enum pare_status
take_kept(void *user, const char *name, const char *text, struct pare_err *err)
{
	struct taking_up *t = user;

	return keep_text(t->w, name, text, true, err);
}

static enum pare_status
take_log(void *user, const char *clock, const char *text, struct pare_err *err)
{
	struct taking_up *t = user;

	(void)err;
	log_add(t->w, 0, clock, text);
	if (t->w->n_log > LOG_SHOWN) {
		free(t->w->log[0].text);
		free(t->w->log[0].shown);
		memmove(t->w->log, t->w->log + 1, (size_t)--t->w->n_log * sizeof *t->w->log);
	}
	return PARE_OK;
}

static enum pare_status same_as(struct pare_workspace *w, struct pare_store *s, const char *what,
	const char *name, const char *is, struct pare_err *err)
{
	char *was = NULL;
	enum pare_status st = pare_store_get(s, PARE_STORE_META, name, &was, err);

	if (!st && was && strcmp(was, is))
		st = pare_fail(err, PARE_E_MISMATCH,
			"%s is a session of %s; name another file with --session, or none",
			w->session_path, what);
	free(was);
	return st;
}

static enum pare_status
number(struct pare_store *s, const char *name, int64_t *out, struct pare_err *err)
{
	char *text = NULL;
	enum pare_status st = pare_store_get(s, PARE_STORE_META, name, &text, err);

	if (!st && text)
		*out = strtoll(text, NULL, 10);
	free(text);
	return st;
}

static enum pare_status
take_up(struct pare_workspace *w, struct pare_store *s, bool resume, struct pare_err *err)
{
	struct taking_up t = { .w = w };
	struct tree_node fresh = w->node[0]; /* given back if the session has no plans */
	const char *data_sha = w->data ? pare_dataset_info(w->data)->sha256 : "";
	int64_t here = 0, seed = (int64_t)w->seed;
	enum pare_status st =
		same_as(w, s, "another model", "model_sha", pare_model_info(w->model)->sha256, err);

	if (!st)
		st = same_as(
			w, s, "other shapes", "shapes", pare_model_info(w->model)->shapes, err);
	if (!st)
		st = same_as(w, s, "other data", "data_sha", data_sha, err);
	if (!st)
		st = number(s, "here", &here, err);
	if (!st)
		st = number(s, "seed", &seed, err);
	if (!st)
		st = pare_store_each_kept(s, take_kept, &t, err);
	if (!st)
		st = pare_store_each_log(s, take_log, &t, err);
	if (!st)
		st = pare_store_each_result(s, take_result, &t, err);
	if (!st)
		st = pare_store_each_plan(s, take_plan, &t, err);
	if (w->n_nodes != 1 || w->node[0].plan != fresh.plan) {
		pare_plan_free(fresh.plan);
		free(fresh.command);
		free(fresh.note);
	}
	if (st)
		return st;
	if (t.strange)
		workspace_log(w, "%d results of other samples are set aside", t.strange);
	w->seed = (uint64_t)seed;
	w->here = resume && here > 0 && here < w->n_nodes ? (int)here : 0;
	return PARE_OK;
}

enum pare_status keep_open(struct pare_workspace *w, bool resume, struct pare_err *err)
{
	struct pare_store *looking = NULL;
	enum pare_status st = pare_store_open(w->session_path, PARE_STORE_OWN, &w->store, err);

	if (!st)
		return take_up(w, w->store, resume, err);
	if (st != PARE_E_IO)
		return st;
	/* It cannot be written: say so, look at what is there, and work in memory. */
	if (err)
		snprintf(w->why_not, sizeof w->why_not, "%s", err->text);
	if (pare_store_open(w->session_path, PARE_STORE_READ, &looking, NULL))
		return PARE_OK;
	st = take_up(w, looking, resume, err);
	pare_store_close(looking);
	return st;
}
