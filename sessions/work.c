/* The worker: one thread that runs one job at a time.  The owner picks the job (worker_feed), the
 * worker runs it and puts a byte into the pipe, the owner takes what came of it (pump). */
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

double workspace_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- on the worker ------------------------------------------------------------------------------
 */

static void ring(struct pare_workspace *w)
{
	if (write(w->worker.pipe[1], "", 1) < 0)
		return; /* full: the owner has plenty to read already */
}

static void on_progress(void *user, double done, double total)
{
	struct pare_workspace *w = user;
	double t = workspace_clock();
	bool tell;

	pthread_mutex_lock(&w->worker.lock);
	w->worker.done = done;
	w->worker.total = total;
	tell = t - w->worker.told > 0.1;
	if (tell) {
		w->worker.told = t;
		w->worker.progress = true;
	}
	pthread_mutex_unlock(&w->worker.lock);
	if (tell)
		ring(w);
}

static void on_layer(void *user, const char *name, int done, int total)
{
	struct pare_workspace *w = user;

	pthread_mutex_lock(&w->worker.lock);
	snprintf(w->worker.layer, sizeof w->worker.layer, "%s", name);
	w->worker.layers_done = done;
	w->worker.layers = total;
	w->worker.progress = true;
	pthread_mutex_unlock(&w->worker.lock);
	ring(w);
}

static enum pare_status run_device(struct pare_workspace *w, struct job *j, struct pare_err *err)
{
	struct pare_variant *v;
	enum pare_status st = pare_variant_new(w->model, j->plan,
		w->data ? pare_study_calibration(w->study) : NULL, &j->ctl, &v, err);

	if (st)
		return st;
	st = pare_device_measure(j->device, v, &j->ctl, &j->figures, err);
	pare_variant_free(v);
	return st;
}

static void run_job(struct pare_workspace *w, struct job *j)
{
	switch (j->kind) {
	case JOB_STUDY:
		j->status = pare_study_run(w->study, &j->task, &j->ctl, &j->result, &j->err);
		break;
	case JOB_DEVICE:
		j->status = run_device(w, j, &j->err);
		break;
	case JOB_CHECKPOINT:
		pare_store_checkpoint(w->session_path);
		break;
	case JOB_BUDGET:
		j->status = pare_budget_spread(&w->asked.budget, w->model, w->asked.plan,
			pare_study_calibration(w->study), &j->ctl, &j->err);
		break;
	case JOB_NONE:
		break;
	}
}

static void *worker_main(void *user)
{
	struct pare_workspace *w = user;
	struct worker *k = &w->worker;

	pthread_mutex_lock(&k->lock);
	for (;;) {
		while (k->state != WORKER_BUSY && k->state != WORKER_STOP)
			pthread_cond_wait(&k->wake, &k->lock);
		if (k->state == WORKER_STOP)
			break;
		pthread_mutex_unlock(&k->lock);
		run_job(w, &k->job);
		pthread_mutex_lock(&k->lock);
		k->state = WORKER_DONE;
		pthread_cond_broadcast(&k->wake);
		pthread_mutex_unlock(&k->lock);
		ring(w);
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* ---- on the owner's thread: start, stop, wait
 * ----------------------------------------------------- */

enum pare_status worker_start(struct pare_workspace *w, struct pare_err *err)
{
	struct worker *k = &w->worker;
	sigset_t all, was;
	int rc;

	if (pipe2(k->pipe, O_CLOEXEC | O_NONBLOCK)) {
		k->pipe[0] = k->pipe[1] = -1;
		return pare_fail(err, PARE_E_IO, "no pipe to a worker: %s", strerror(errno));
	}
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->wake, NULL);
	sigfillset(&all); /* signals are for the thread that draws */
	pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = pthread_create(&k->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (rc)
		return pare_fail(err, PARE_E_NOMEM, "no thread to work on: %s", strerror(rc));
	k->started = true;
	return PARE_OK;
}

static void job_free(struct job *j)
{
	pare_task_free(&j->task);
	pare_plan_free(j->plan);
	pare_result_free(j->result);
	memset(j, 0, sizeof *j);
}

static void asked_free(struct asked *a)
{
	pare_budget_free(&a->budget);
	pare_plan_free(a->plan);
	free(a->line);
	memset(a, 0, sizeof *a);
}

static int state_of(struct pare_workspace *w)
{
	int state;

	pthread_mutex_lock(&w->worker.lock);
	state = (int)w->worker.state;
	pthread_mutex_unlock(&w->worker.lock);
	return state;
}

/* Until the job at hand is done; its outcome is still to be taken. */
static void wait_done(struct pare_workspace *w)
{
	struct worker *k = &w->worker;

	pthread_mutex_lock(&k->lock);
	while (k->state == WORKER_BUSY)
		pthread_cond_wait(&k->wake, &k->lock);
	pthread_mutex_unlock(&k->lock);
}

void worker_stop(struct pare_workspace *w)
{
	struct worker *k = &w->worker;

	if (!k->started)
		return;
	atomic_store(&k->job.ctl.cancel, true);
	wait_done(w);
	pthread_mutex_lock(&k->lock);
	k->state = WORKER_STOP;
	pthread_cond_broadcast(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	keep_layers(w, false);
	job_free(&k->job);
	asked_free(&w->asked);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	close(k->pipe[0]);
	close(k->pipe[1]);
	k->started = false;
}

/* ---- what came of it
 * ------------------------------------------------------------------------------ */

static unsigned add_result(struct pare_workspace *w, struct pare_result *r,
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
			news = PARE_NEWS_PLAN | PARE_NEWS_BUDGET;
		}
		a->plan = NULL;
		if (at != a->from)
			tree_go(w, at);
	}
	asked_free(a);
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
	else if (j->status == PARE_E_CANCELED)
		news = 0;
	else if (j->kind == JOB_STUDY && !j->status) {
		struct pare_result *r = j->result;

		j->result = NULL;
		news = add_result(w, r, &j->task, &err);
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

/* Wait for the worker, taking along what it found; it is idle afterwards. */
static unsigned settle(struct pare_workspace *w, bool cancel)
{
	if (state_of(w) == WORKER_IDLE)
		return 0;
	if (cancel)
		atomic_store(&w->worker.job.ctl.cancel, true);
	wait_done(w);
	return take_job(w);
}

unsigned pare_workspace_pump(struct pare_workspace *w)
{
	unsigned news = 0;
	char bin[256];
	bool unsaved;

	while (read(w->worker.pipe[0], bin, sizeof bin) > 0)
		;
	if (state_of(w) == WORKER_DONE) {
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

static void start(struct pare_workspace *w, const struct job *j)
{
	struct worker *k = &w->worker;

	k->job = *j;
	k->job.ctl.progress = on_progress;
	k->job.ctl.user = w;
	k->job.ctl.layer = on_layer;
	k->job.ctl.layer_user = w;
	pthread_mutex_lock(&k->lock);
	k->done = k->total = 0;
	*k->layer = 0;
	k->state = WORKER_BUSY;
	pthread_cond_broadcast(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

static const struct pare_plan *here(const struct pare_workspace *w)
{
	return w->node[w->here].plan;
}

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
	const struct pare_plan *plans[] = { w->node[0].plan, here(w) };

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
	const struct pare_plan *plan = here(w);
	struct pare_err err;
	bool urgent;

	if ((w->paused && !w->wanted && !w->asked.plan) || state_of(w) != WORKER_IDLE)
		return;
	if (w->asked.plan && pare_study_calibration(w->study)) {
		j.kind = JOB_BUDGET;
		start(w, &j);
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
	if (w->paused && !w->wanted) {
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
		start(w, &j);
}

enum pare_status worker_ask(struct pare_workspace *w, struct pare_budget *b, struct pare_plan *p,
	const char *line, struct pare_err *err)
{
	char *own = strdup(line);
	const struct job *j = &w->worker.job;

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
	if (state_of(w) == WORKER_BUSY &&
		!(j->kind == JOB_STUDY && j->task.kind == PARE_TASK_BASELINE))
		atomic_store(&w->worker.job.ctl.cancel, true);
	worker_feed(w);
	return PARE_OK;
}

enum dropped worker_drop(struct pare_workspace *w)
{
	if (!w->asked.plan && *pare_workspace_work_state(w).layer) {
		atomic_store(&w->worker.job.ctl.cancel, true);
		w->paused = true; /* or it would begin again */
		w->wanted = false;
		return DROPPED_LAYERS;
	}
	if (!w->asked.plan)
		return DROPPED_NOTHING;
	if (state_of(w) != WORKER_IDLE && w->worker.job.kind == JOB_BUDGET)
		atomic_store(&w->worker.job.ctl.cancel, true);
	else
		asked_free(&w->asked);
	return DROPPED_BUDGET;
}

void worker_reconsider(struct pare_workspace *w)
{
	const struct job *j = &w->worker.job; /* the fields read here stand still while it runs */
	const struct pare_plan *plan = NULL;

	if (state_of(w) != WORKER_BUSY)
		return;
	if (j->kind == JOB_STUDY && j->task.kind == PARE_TASK_PLAN)
		plan = j->task.plan;
	else if (j->kind == JOB_DEVICE && !pare_plan_equal(j->plan, w->node[0].plan))
		plan = j->plan;
	if (plan && !pare_plan_equal(plan, here(w)))
		atomic_store(&w->worker.job.ctl.cancel, true);
}

/* ---- work on the calling thread
 * ------------------------------------------------------------------- */

struct overall { /* progress of many tasks as one */
	void (*progress)(void *user, double done, double total);
	void *user;
	double done, total; /* tasks before this one, in cells */
	double worth;       /* of this one */
};

static void on_overall(void *user, double done, double total)
{
	struct overall *o = user;

	if (total > 0)
		o->progress(o->user, o->done + o->worth * done / total, o->total);
}

/* Tasks of kinds up to `last`, until there are none. */
static enum pare_status work_here(struct pare_workspace *w, const struct pare_plan *plan,
	bool cells, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_ctl none = { 0 }, was;
	struct overall o = { 0 };
	enum pare_status st = PARE_OK;

	if (!ctl)
		ctl = &none;
	was.progress = ctl->progress;
	was.user = ctl->user;
	o.progress = was.progress;
	o.user = was.user;
	ctl->progress = was.progress ? on_overall : NULL;
	ctl->user = &o;
	while (!st) {
		struct pare_task t = { 0 };
		struct pare_result *r = NULL;

		if ((st = pare_study_next(w->study, plan, w->order, &t, err)))
			break;
		if (t.kind == PARE_TASK_NONE || (t.kind == PARE_TASK_CELLS && !cells))
			break;
		o.total = cells ? pare_study_n_cells(w->study) : 1;
		o.done = cells ? pare_study_n_done(w->study) : 0;
		o.worth = !cells                      ? 1
			  : t.kind == PARE_TASK_CELLS ? pare_n_options() / PARE_N_DIALS
						      : 0;
		st = pare_study_run(w->study, &t, ctl, &r, err);
		if (!st && add_result(w, r, &t, err) & PARE_NEWS_ERROR)
			st = err->code;
		pare_task_free(&t);
		keep_save(w);
	}
	ctl->progress = was.progress;
	ctl->user = was.user;
	keep_layers(w, !st && plan);
	keep_save(w);
	workspace_refresh(w);
	return st;
}

static enum pare_status needs_data(const struct pare_workspace *w, struct pare_err *err)
{
	return w->data ? PARE_OK
		       : pare_fail(err, PARE_E_ARG,
				 "there is nothing to measure with; name samples with --data");
}

enum pare_status
pare_workspace_scan(struct pare_workspace *w, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_err mine;
	enum pare_status st = needs_data(w, err ? err : &mine);

	if (st)
		return st;
	settle(w, true);
	st = work_here(w, NULL, true, ctl, err ? err : &mine);
	worker_feed(w);
	return st;
}

enum pare_status
pare_workspace_measure(struct pare_workspace *w, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_err mine;
	enum pare_status st = needs_data(w, err ? err : &mine);

	if (st)
		return st;
	settle(w, true);
	st = work_here(w, here(w), false, ctl, err ? err : &mine);
	worker_feed(w);
	return st;
}

enum pare_status worker_need_baseline(struct pare_workspace *w, struct pare_err *err)
{
	enum pare_status st = needs_data(w, err);
	bool at_it;

	if (st || pare_study_calibration(w->study))
		return st;
	at_it = state_of(w) != WORKER_IDLE && w->worker.job.kind == JOB_STUDY &&
		w->worker.job.task.kind == PARE_TASK_BASELINE;
	settle(w, !at_it);
	if (!pare_study_calibration(w->study))
		st = work_here(w, NULL, false, NULL, err);
	worker_feed(w);
	return st;
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

	if (state_of((struct pare_workspace *)w) == WORKER_BUSY)
		s.what = k->job.kind == JOB_STUDY && k->job.task.kind == PARE_TASK_CELLS ? "map"
			 : k->job.kind == JOB_STUDY && k->job.task.kind == PARE_TASK_BASELINE
				 ? "float answers"
			 : k->job.kind == JOB_CHECKPOINT ? "saving"
			 : k->job.kind == JOB_BUDGET     ? "budget"
							 : "measuring";
	if (state_of((struct pare_workspace *)w) == WORKER_BUSY) {
		pthread_mutex_lock(&k->lock);
		memcpy(s.layer, k->layer, sizeof s.layer);
		s.layers_done = k->layers_done;
		s.layers = k->layers;
		pthread_mutex_unlock(&k->lock);
	}
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
