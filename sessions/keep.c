/* The workspace in its session file.  What is not written yet is marked so, and every save writes
 * all of it in one transaction; when that fails (the disk is full, the folder cannot be written),
 * work goes on and the next save tries again. */
#include "file.h"
#include "inside.h"
#include "recipe.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	LARGEST_LAYER = 4 << 20,
	RESERVE = 1 << 20, /* bytes of the disk that results leave to edits */
};

/* ---- saving -------------------------------------------------------------------------------------
 */

static enum pare_status save_meta(struct pare_workspace *w, struct pare_err *err)
{
	char *model = pare_path_absolute(pare_model_info(w->model)->path);
	const struct pare_dataset_info *d = w->data ? pare_dataset_info(w->data) : NULL;
	char *data = d ? pare_path_absolute(d->path) : strdup("");
	char limit[32], here[32], seed[32];
	struct pare_text devices = { 0 };
	enum pare_status st = model && data ? PARE_OK : pare_nomem(err, "the session");
	const char *pairs[][2] = { { "model", model },
		{ "model_sha", pare_model_info(w->model)->sha256 }, { "data", data },
		{ "data_sha", d ? d->sha256 : "" }, { "limit", limit }, { "here", here },
		{ "seed", seed }, { "shapes", pare_model_info(w->model)->shapes },
		{ "devices", NULL } };

	snprintf(limit, sizeof limit, "%" PRId64, w->limit);
	snprintf(here, sizeof here, "%d", w->here);
	snprintf(seed, sizeof seed, "%" PRIu64, w->seed);
	pare_text_add(&devices, "%s", "");
	for (int i = 0; i < w->n_rows; i++)
		pare_text_add(
			&devices, "%s%s", i ? "\n" : "", pare_device_info(w->row[i].device)->name);
	pairs[8][1] = devices.s;
	if (devices.failed)
		st = pare_nomem(err, "the session");
	for (size_t i = 0; !st && i < sizeof pairs / sizeof *pairs; i++)
		st = pare_store_set(w->store, PARE_STORE_META, pairs[i][0], pairs[i][1], err);
	free(model);
	free(data);
	free(devices.s);
	return st;
}

static enum pare_status
save_node(struct pare_workspace *w, const struct tree_node *n, struct pare_err *err)
{
	struct pare_stored_plan p = { .id = n->shown.id,
		.parent = n->shown.parent,
		.child = n->child,
		.command = n->command,
		.note = n->note,
		.value = n->shown.value,
		.drop = n->shown.drop,
		.made = n->made,
		.measured = n->measured };
	char *text = NULL;
	enum pare_status st = pare_plan_text(w->model, n->plan, &text, err);

	p.plan = text;
	if (!st)
		st = pare_store_put_plan(w->store, &p, err);
	free(text);
	return st;
}

/* What the person did. */
static enum pare_status save_edits(struct pare_workspace *w, struct pare_err *err)
{
	enum pare_status st = w->meta_saved ? PARE_OK : save_meta(w, err);

	for (int i = 0; !st && i < w->n_nodes; i++)
		if (!w->node[i].saved)
			st = save_node(w, &w->node[i], err);
	for (int i = 0; !st && i < w->n_kept; i++)
		if (!w->kept[i].saved)
			st = pare_store_set(
				w->store, PARE_STORE_KEPT, w->kept[i].name, w->kept[i].text, err);
	for (int i = 0; !st && i < w->n_log; i++)
		if (!w->log[i].saved)
			st = pare_store_put_log(w->store, w->log[i].at, w->log[i].text, err);
	return st;
}

static void edits_saved(struct pare_workspace *w)
{
	w->meta_saved = true;
	for (int i = 0; i < w->n_nodes; i++)
		w->node[i].saved = true;
	for (int i = 0; i < w->n_kept; i++)
		w->kept[i].saved = true;
	for (int i = 0; i < w->n_log; i++)
		w->log[i].saved = true;
}

/* What the machine found. */
static enum pare_status save_results(struct pare_workspace *w, struct pare_err *err)
{
	enum pare_status st = PARE_OK;

	if (w->layers_spent)
		st = pare_store_drop_results(w->store, PARE_STORE_LAYER, err);
	for (int i = 0; !st && i < w->n_pending; i++)
		st = pare_store_put_result(
			w->store, w->pending[i].key, w->pending[i].data, w->pending[i].len, err);
	return st;
}

static void results_saved(struct pare_workspace *w)
{
	for (int i = 0; i < w->n_pending; i++)
		free(w->pending[i].data);
	w->n_pending = 0;
	w->layers_spent = false;
}

static enum pare_status in_one(struct pare_workspace *w,
	enum pare_status (*save)(struct pare_workspace *w, struct pare_err *err),
	void (*saved)(struct pare_workspace *w), struct pare_err *err)
{
	enum pare_status st = pare_store_begin(w->store, err);

	if (!st)
		st = save(w, err);
	if (!st)
		st = pare_store_commit(w->store, err);
	if (st)
		pare_store_rollback(w->store);
	else
		saved(w);
	return st;
}

static bool anything_to_save(const struct pare_workspace *w)
{
	bool any = !w->meta_saved || w->n_pending || w->layers_spent;

	for (int i = 0; i < w->n_nodes && !any; i++)
		any = !w->node[i].saved;
	for (int i = 0; i < w->n_kept && !any; i++)
		any = !w->kept[i].saved;
	for (int i = 0; i < w->n_log && !any; i++)
		any = !w->log[i].saved;
	return any;
}

static int64_t pending_bytes(const struct pare_workspace *w)
{
	int64_t n = 0;

	for (int i = 0; i < w->n_pending; i++)
		n += (int64_t)w->pending[i].len;
	return n;
}

void keep_save(struct pare_workspace *w)
{
	struct pare_err err = { 0 };
	enum pare_status st;
	int64_t room;

	w->tried = workspace_clock();
	if (w->in_memory || !anything_to_save(w))
		return;
	if (!w->store) { /* the folder could not be written at the start; perhaps now */
		struct pare_store *s;

		if (pare_store_open(w->session_path, PARE_STORE_OWN, &s, NULL))
			return;
		w->store = s;
	}
	/* Apart, since results are large: the last room of a disk is for edits. */
	room = pare_store_room(w->store);
	st = in_one(w, save_edits, edits_saved, &err);
	if (!st && w->n_pending && room < RESERVE + 2 * pending_bytes(w))
		st = pare_fail(&err, PARE_E_IO,
			"measurements, the disk is nearly full (edits are saved): %s",
			w->session_path);
	else if (!st && (w->n_pending || w->layers_spent))
		st = in_one(w, save_results, results_saved, &err);
	snprintf(w->why_not, sizeof w->why_not, "%s", st ? err.text : "");
}

void keep_result(struct pare_workspace *w, const struct pare_result *r)
{
	struct pending_result p, *more;

	if (w->in_memory)
		return;
	more = realloc(w->pending, ((size_t)w->n_pending + 1) * sizeof *more);
	if (more)
		w->pending = more;
	if (more && !pare_result_pack(r, &p.data, &p.len, p.key, NULL))
		w->pending[w->n_pending++] = p; /* else it will be measured again, one day */
}

static void keep_layer(void *user, const char *key, const void *data, size_t len)
{
	struct pare_workspace *w = user;
	struct pending_result p = { .len = len }, *more;

	if (len > LARGEST_LAYER) /* keys wait while it is written */
		return;
	p.data = malloc(len + 1);
	more = realloc(w->pending, ((size_t)w->n_pending + 1) * sizeof *more);
	if (more)
		w->pending = more;
	if (!more || !p.data) {
		free(p.data);
		return;
	}
	memcpy(p.data, data, len);
	snprintf(p.key, sizeof p.key, "%s%s", PARE_STORE_LAYER, key);
	w->pending[w->n_pending++] = p;
}

void keep_layers(struct pare_workspace *w, bool spent)
{
	const struct pare_calibration *c = w->data ? pare_study_calibration(w->study) : NULL;
	int n = 0;

	if (!c || w->in_memory)
		return;
	pare_calibration_tell_kept(c, keep_layer, w);
	for (int i = 0; i < w->n_pending && spent; i++) {
		struct pending_result *p = &w->pending[i];

		if (strncmp(p->key, PARE_STORE_LAYER, strlen(PARE_STORE_LAYER)) != 0)
			w->pending[n++] = *p;
		else
			free(p->data);
	}
	w->n_pending = spent ? n : w->n_pending;
	w->layers_spent |= spent;
}

/* ---- texts
 * ---------------------------------------------------------------------------------------
 */

static struct kept_text *find_kept(const struct pare_workspace *w, const char *name)
{
	for (int i = 0; i < w->n_kept; i++)
		if (!strcmp(w->kept[i].name, name))
			return &w->kept[i];
	return NULL;
}

enum pare_status keep_text(struct pare_workspace *w, const char *name, const char *text, bool saved,
	struct pare_err *err)
{
	struct kept_text *k = find_kept(w, name);
	char *copy = strdup(text);

	if (copy && !k) {
		struct kept_text *more = realloc(w->kept, ((size_t)w->n_kept + 1) * sizeof *more);
		char *own = strdup(name);

		if (more)
			w->kept = more;
		if (more && own) {
			k = &w->kept[w->n_kept++];
			*k = (struct kept_text){ .name = own };
		} else
			free(own);
	}
	if (!copy || !k) {
		free(copy);
		return pare_nomem(err, "a text to keep");
	}
	free(k->text);
	k->text = copy;
	k->saved = saved;
	return PARE_OK;
}

enum pare_status pare_workspace_keep(
	struct pare_workspace *w, const char *name, const char *text, struct pare_err *err)
{
	const char *was = pare_workspace_kept(w, name);
	enum pare_status st;

	if (was && !strcmp(was, text))
		return PARE_OK;
	if ((st = keep_text(w, name, text, false, err)))
		return st;
	keep_save(w);
	return PARE_OK;
}

const char *pare_workspace_kept(const struct pare_workspace *w, const char *name)
{
	const struct kept_text *k = find_kept(w, name);

	return k ? k->text : NULL;
}

void keep_free(struct pare_workspace *w)
{
	pare_store_close(w->store);
	for (int i = 0; i < w->n_pending; i++)
		free(w->pending[i].data);
	free(w->pending);
	for (int i = 0; i < w->n_kept; i++) {
		free(w->kept[i].name);
		free(w->kept[i].text);
	}
	free(w->kept);
	for (int i = 0; i < w->n_log; i++) {
		free(w->log[i].text);
		free(w->log[i].shown);
	}
	free(w->log);
	free(w->session_path);
}
