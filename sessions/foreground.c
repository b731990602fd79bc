/* Work on the calling thread, which waits for it. */
#include "inside.h"
#include <stdlib.h>

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
		if (!st && worker_take_result(w, r, &t, err) & PARE_NEWS_ERROR)
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
	worker_settle(w, true);
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
	worker_settle(w, true);
	st = work_here(w, pare_workspace_plan(w), false, ctl, err ? err : &mine);
	worker_feed(w);
	return st;
}

enum pare_status worker_need_baseline(struct pare_workspace *w, struct pare_err *err)
{
	enum pare_status st = needs_data(w, err);
	bool at_it;

	if (st || pare_study_calibration(w->study))
		return st;
	at_it = worker_state(w) != WORKER_IDLE && w->worker.job.kind == JOB_STUDY &&
		w->worker.job.task.kind == PARE_TASK_BASELINE;
	worker_settle(w, !at_it);
	if (!pare_study_calibration(w->study))
		st = work_here(w, NULL, false, NULL, err);
	worker_feed(w);
	return st;
}
