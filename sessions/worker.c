/* The worker: one thread that runs one job at a time.  The owner gives it a job, the worker runs it
 * and puts a byte into the pipe, the owner waits for it or is told by poll. */
#include "inside.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	case JOB_FILING:
		j->status = pare_variant_new(w->model, w->filing.plan,
			w->data ? pare_study_calibration(w->study) : NULL, &j->ctl, &j->variant,
			&j->err);
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

/* ---- on the owner's thread ----------------------------------------------------------------------
 */

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

void job_free(struct job *j)
{
	pare_task_free(&j->task);
	pare_plan_free(j->plan);
	pare_result_free(j->result);
	pare_variant_free(j->variant);
	memset(j, 0, sizeof *j);
}

void asked_free(struct asked *a)
{
	pare_budget_free(&a->budget);
	pare_plan_free(a->plan);
	free(a->line);
	memset(a, 0, sizeof *a);
}

void filing_free(struct filing *f)
{
	pare_plan_free(f->plan);
	free(f->line);
	memset(f, 0, sizeof *f);
}

int worker_state(struct pare_workspace *w)
{
	int state;

	pthread_mutex_lock(&w->worker.lock);
	state = (int)w->worker.state;
	pthread_mutex_unlock(&w->worker.lock);
	return state;
}

void worker_wait(struct pare_workspace *w)
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
	worker_wait(w);
	pthread_mutex_lock(&k->lock);
	k->state = WORKER_STOP;
	pthread_cond_broadcast(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	keep_layers(w, false);
	job_free(&k->job);
	asked_free(&w->asked);
	filing_free(&w->filing);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	close(k->pipe[0]);
	close(k->pipe[1]);
	k->started = false;
}

void worker_give(struct pare_workspace *w, const struct job *j)
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
