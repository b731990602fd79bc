/* What the worker is given to do, and what came of it. */
#include "inside.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHECKPOINT_BYTES = 16 << 20 };

/* ---- what came of it
 * ------------------------------------------------------------------------------ */

unsigned worker_take_result(struct pare_workspace *w, struct pare_result *r,
	const struct pare_task *t, struct pare_err *err)
{
	double seconds = pare_result_seconds(r);
	int before = pare_study_n_done(w->study);

	keep_result(w, r);
	if (pare_study_add(w->study, r, err)) {
		workspace_log(w, "%s", err->text);
		return PARE_NEWS_ERROR;
	}
	if (t->kind == PARE_TASK_CELLS) {
		w->cell_seconds += seconds;
		w->cells_timed += pare_study_n_done(w->study) - before;
		return PARE_NEWS_CELLS;
	}
	if (t->kind == PARE_TASK_BASELINE)
		tree_measured(w, w->node[0].plan);
	else
		tree_measured(w, t->plan);
	return t->kind == PARE_TASK_BASELINE ? PARE_NEWS_CELLS | PARE_NEWS_PLAN : PARE_NEWS_PLAN;
}

static void study_failed(struct pare_workspace *w, const struct pare_task *t, const char *why)
{
	if (t->kind == PARE_TASK_PLAN) {
		w->failed_plan = pare_plan_hash(t->plan);
		workspace_log(w, "this plan cannot be measured: %s", why);
	} else {
		asked_free(&w->asked);
		filing_free(&w->filing);
		w->broken = true; /* what failed once would fail again and again */
		workspace_log(w, "no map: %s", why);
	}
}

static unsigned remember_device(struct pare_workspace *w, const struct job *j)
{
	struct device_memory *more =
		realloc(w->memory_of, ((size_t)w->n_memory + 1) * sizeof *more);

	if (!more)
		return 0;
	w->memory_of = more;
	more[w->n_memory++] = (struct device_memory){ .device = j->device,
		.plan = pare_plan_hash(j->plan),
		.figures = j->figures,
		.failed = j->status != PARE_OK };
	return PARE_NEWS_DEVICE;
}

/* The plan that a budget came to stands below the one that it was asked for, wherever one is now.
 */
static unsigned take_budget(struct pare_workspace *w, struct job *j)
{
	struct asked *a = &w->asked;
	struct pare_err err = { 0 };
	int at = w->here;
	unsigned news = PARE_NEWS_ERROR;

	if (j->status)
		workspace_log(w, "%s: %s", a->line, j->err.text);
	else {
		tree_go(w, a->from);
		if (tree_add(w, a->plan, a->line, &err))
			workspace_log(w, "%s: %s", a->line, err.text);
		else {
			if (at == a->from)
				workspace_log(w, "shares found: %s", a->line);
			else
				workspace_log(w, "shares found, 'go %d' takes them: %s",
					w->here + 1, a->line);
			news = PARE_NEWS_PLAN | PARE_NEWS_ASKED;
		}
		a->plan = NULL;
		if (at != a->from)
			tree_go(w, at);
	}
	asked_free(a);
	return news;
}

/* The plan of a file is carried out: the line that asked for it is run where it was said. */
static unsigned take_filing(struct pare_workspace *w, struct job *j)
{
	struct filing f = w->filing;
	struct pare_reply reply = { 0 };
	struct pare_err err = { 0 };
	int at = w->here;
	unsigned news = PARE_NEWS_ERROR;

	w->filing = (struct filing){ 0 };
	if (!j->status && atomic_load(&j->ctl.cancel))
		j->status = PARE_E_CANCELED; /* done, and stopped before that was known */
	if (j->status)
		workspace_log(w, "%s: %s", f.line,
			j->status == PARE_E_CANCELED ? "stopped, nothing is written" : j->err.text);
	else {
		pare_variant_free(w->variant);
		w->variant = j->variant;
		w->variant_of = pare_plan_hash(f.plan);
		j->variant = NULL;
		if (at != f.from) {
			tree_go(w, f.from);
			workspace_refresh(w);
		}
		if (!pare_workspace_command(w, f.line, &reply, &err))
			news = PARE_NEWS_ASKED;
		if (at != f.from) {
			tree_go(w, at);
			workspace_refresh(w);
		}
	}
	filing_free(&f);
	return news;
}

/* Take a finished job: the worker is idle afterwards. */
static unsigned take_job(struct pare_workspace *w)
{
	struct job *j = &w->worker.job;
	struct pare_err err = { 0 };
	unsigned news = 0;

	keep_layers(w, j->kind == JOB_STUDY && j->task.kind == PARE_TASK_PLAN && !j->status);
	if (j->kind == JOB_BUDGET)
		news = take_budget(w, j);
	else if (j->kind == JOB_FILING)
		news = take_filing(w, j);
	else if (j->status == PARE_E_CANCELED)
		news = 0;
	else if (j->kind == JOB_STUDY && !j->status) {
		struct pare_result *r = j->result;

		j->result = NULL;
		news = worker_take_result(w, r, &j->task, &err);
	} else if (j->kind == JOB_STUDY) {
		study_failed(w, &j->task, j->err.text);
		news = PARE_NEWS_ERROR;
	} else if (j->kind == JOB_DEVICE) {
		if (j->status)
			workspace_log(w, "%s: %s", pare_device_info(j->device)->name, j->err.text);
		news = remember_device(w, j) | (j->status ? PARE_NEWS_ERROR : 0u);
	}
	job_free(j);
	pthread_mutex_lock(&w->worker.lock);
	w->worker.state = WORKER_IDLE;
	pthread_mutex_unlock(&w->worker.lock);
	return news;
}

unsigned worker_settle(struct pare_workspace *w, bool cancel)
{
	if (worker_state(w) == WORKER_IDLE)
		return 0;
	if (cancel)
		atomic_store(&w->worker.job.ctl.cancel, true);
	worker_wait(w);
	return take_job(w);
}

unsigned pare_workspace_pump(struct pare_workspace *w)
{
	unsigned news = 0;
	char bin[256];
	bool unsaved;

	while (read(w->worker.pipe[0], bin, sizeof bin) > 0)
		;
	if (worker_state(w) == WORKER_DONE) {
		news = take_job(w);
		if (news)
			workspace_refresh(w);
	}
	pthread_mutex_lock(&w->worker.lock);
	if (w->worker.progress)
		news |= PARE_NEWS_PROGRESS;
	w->worker.progress = false;
	pthread_mutex_unlock(&w->worker.lock);
	if (news & PARE_NEWS_PROGRESS)
		keep_layers(w, false);
	unsaved = (*w->why_not || w->n_pending) && workspace_clock() - w->tried > 3;
	if (news & ~(unsigned)PARE_NEWS_PROGRESS || unsaved)
		keep_save(w);
	worker_feed(w);
	return news;
}

/* ---- what to do next
 * ------------------------------------------------------------------------------ */

static bool
remembered(const struct pare_workspace *w, const struct pare_device *d, const struct pare_plan *p)
{
	uint64_t hash = pare_plan_hash(p);

	for (int i = 0; i < w->n_memory; i++)
		if (w->memory_of[i].device == d && w->memory_of[i].plan == hash)
			return true;
	return false;
}

/* A device that has to run the network, and has not run this plan. */
static bool next_device(struct pare_workspace *w, struct job *j)
{
	const struct pare_plan *plans[] = { w->node[0].plan, pare_workspace_plan(w) };

	for (int p = 0; p < 2; p++)
		for (int i = 0; i < w->n_rows; i++) {
			const struct pare_device *d = w->row[i].device;

			if (!pare_device_info(d)->measures || remembered(w, d, plans[p]) ||
				(!w->data && pare_plan_needs_samples(w->model, plans[p])))
				continue;
			j->kind = JOB_DEVICE;
			j->device = d;
			j->plan = pare_plan_copy(plans[p]);
			return j->plan != NULL;
		}
	return false;
}

void worker_feed(struct pare_workspace *w)
{
	struct job j = { .kind = JOB_NONE };
	const struct pare_plan *plan = pare_workspace_plan(w);
	struct pare_err err;
	bool urgent;

	if ((w->paused && !w->wanted && !w->asked.plan && !w->filing.plan) ||
		worker_state(w) != WORKER_IDLE)
		return;
	if (w->filing.plan && (!w->data || pare_study_calibration(w->study))) {
		j.kind = JOB_FILING;
		worker_give(w, &j);
		return;
	}
	if (w->asked.plan && pare_study_calibration(w->study)) {
		j.kind = JOB_BUDGET;
		worker_give(w, &j);
		return;
	}
	if (w->failed_plan && w->failed_plan == pare_plan_hash(plan))
		plan = NULL;
	if (w->data && !w->broken && pare_study_next(w->study, plan, w->order, &j.task, &err)) {
		workspace_log(w, "%s", err.text);
		w->broken = true;
	}
	urgent = j.task.kind == PARE_TASK_BASELINE || j.task.kind == PARE_TASK_PLAN;
	if (!urgent)
		w->wanted = false;
	if (w->paused && !w->wanted && !(w->filing.plan && j.task.kind == PARE_TASK_BASELINE)) {
		pare_task_free(&j.task);
		return;
	}
	if (w->store && pare_store_written(w->store) - w->checkpointed > CHECKPOINT_BYTES) {
		pare_task_free(&j.task);
		w->checkpointed = pare_store_written(w->store);
		j = (struct job){ .kind = JOB_CHECKPOINT };
	} else if (j.task.kind && (urgent || !next_device(w, &j)))
		j.kind = JOB_STUDY;
	else if (!j.task.kind && !w->broken)
		next_device(w, &j);
	if (j.kind)
		worker_give(w, &j);
}

/* What was asked for comes next; only the float answers, which it needs, come before. */
static void make_way(struct pare_workspace *w)
{
	const struct job *j = &w->worker.job;

	if (worker_state(w) == WORKER_BUSY && j->kind != JOB_FILING && j->kind != JOB_BUDGET &&
		!(j->kind == JOB_STUDY && j->task.kind == PARE_TASK_BASELINE))
		atomic_store(&w->worker.job.ctl.cancel, true);
	worker_feed(w);
}

enum pare_status worker_ask(struct pare_workspace *w, struct pare_budget *b, struct pare_plan *p,
	const char *line, struct pare_err *err)
{
	char *own = strdup(line);

	if (w->asked.plan || w->broken || !own) {
		free(own);
		pare_budget_free(b);
		return w->broken ? pare_fail(err, PARE_E_UNSUPPORTED,
					   "nothing can be measured of this network; the log says "
					   "why")
		       : w->asked.plan
			       ? pare_fail(err, PARE_E_BUSY,
					 "the shares of another budget are being looked for; "
					 "'stop' ends that")
			       : pare_nomem(err, "a budget");
	}
	w->asked = (struct asked){ *b, p, own, w->here };
	w->wanted = true;
	make_way(w);
	return PARE_OK;
}

enum pare_status worker_file(struct pare_workspace *w, const char *line, struct pare_err *err)
{
	struct filing f = { .from = w->here };

	if (w->filing.plan)
		return pare_fail(
			err, PARE_E_BUSY, "'%s' is not done yet; 'stop' ends it", w->filing.line);
	if (w->broken && w->data && !pare_study_calibration(w->study))
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"nothing can be measured of this network; the log says why");
	f.line = strdup(line);
	f.plan = pare_plan_copy(pare_workspace_plan(w));
	if (!f.line || !f.plan) {
		filing_free(&f);
		return pare_nomem(err, "a file");
	}
	w->filing = f;
	make_way(w);
	return PARE_OK;
}

enum dropped worker_drop(struct pare_workspace *w)
{
	if (w->filing.plan) {
		if (worker_state(w) != WORKER_IDLE && w->worker.job.kind == JOB_FILING)
			atomic_store(&w->worker.job.ctl.cancel, true);
		else
			filing_free(&w->filing);
		return DROPPED_FILE;
	}
	if (!w->asked.plan && *pare_workspace_work_state(w).layer) {
		atomic_store(&w->worker.job.ctl.cancel, true);
		w->paused = true; /* or it would begin again */
		w->wanted = false;
		return DROPPED_LAYERS;
	}
	if (!w->asked.plan)
		return DROPPED_NOTHING;
	if (worker_state(w) != WORKER_IDLE && w->worker.job.kind == JOB_BUDGET)
		atomic_store(&w->worker.job.ctl.cancel, true);
	else
		asked_free(&w->asked);
	return DROPPED_BUDGET;
}

void worker_reconsider(struct pare_workspace *w)
{
	const struct job *j = &w->worker.job; /* the fields read here stand still while it runs */
	const struct pare_plan *plan = NULL;

	if (worker_state(w) != WORKER_BUSY)
		return;
	if (j->kind == JOB_STUDY && j->task.kind == PARE_TASK_PLAN)
		plan = j->task.plan;
	else if (j->kind == JOB_DEVICE && !pare_plan_equal(j->plan, w->node[0].plan))
		plan = j->plan;
	if (plan && !pare_plan_equal(plan, pare_workspace_plan(w)))
		atomic_store(&w->worker.job.ctl.cancel, true);
}

void pare_workspace_pause(struct pare_workspace *w, bool on)
{
	w->paused = on;
	worker_feed(w);
}

void pare_workspace_order(struct pare_workspace *w, const int *layers, int n)
{
	int n_layers = pare_model_info(w->model)->n_layers, k = 0;
	bool *seen = calloc((size_t)n_layers + 1, sizeof *seen);
	int *order = w->order ? w->order : malloc(((size_t)n_layers + 1) * sizeof *order);

	if (!seen || !order) { /* the order is a wish */
		free(seen);
		if (!w->order)
			free(order);
		return;
	}
	for (int i = 0; i < n; i++)
		if (layers[i] >= 0 && layers[i] < n_layers && !seen[layers[i]]) {
			seen[layers[i]] = true;
			order[k++] = layers[i];
		}
	for (int i = 0; i < n_layers; i++) /* those that were not named follow */
		if (!seen[i])
			order[k++] = i;
	free(seen);
	w->order = order;
}

struct pare_work pare_workspace_work_state(const struct pare_workspace *w)
{
	struct worker *k = (struct worker *)&w->worker; /* for its lock */
	struct pare_work s = { .what = "",
		.done = pare_study_n_done(w->study),
		.total = pare_study_n_cells(w->study),
		.eta = NAN,
		.paused = w->paused };

	if (worker_state((struct pare_workspace *)w) == WORKER_BUSY)
		s.what = k->job.kind == JOB_STUDY && k->job.task.kind == PARE_TASK_CELLS ? "map"
			 : k->job.kind == JOB_STUDY && k->job.task.kind == PARE_TASK_BASELINE
				 ? "float answers"
			 : k->job.kind == JOB_CHECKPOINT ? "saving"
			 : k->job.kind == JOB_BUDGET     ? "budget"
			 : k->job.kind == JOB_FILING     ? "writing"
							 : "measuring";
	if (worker_state((struct pare_workspace *)w) == WORKER_BUSY) {
		pthread_mutex_lock(&k->lock);
		memcpy(s.layer, k->layer, sizeof s.layer);
		s.layers_done = k->layers_done;
		s.layers = k->layers;
		pthread_mutex_unlock(&k->lock);
	}
	s.filing = w->filing.plan != NULL;
	s.asked = w->asked.plan != NULL;
	if (s.asked && k->job.kind == JOB_BUDGET) {
		pthread_mutex_lock(&k->lock);
		s.part = k->total > 0 ? k->done / k->total : 0;
		pthread_mutex_unlock(&k->lock);
	}
	if (s.done >= s.total)
		s.eta = 0;
	else if (w->cells_timed)
		s.eta = (s.total - s.done) * w->cell_seconds / w->cells_timed;
	return s;
}
