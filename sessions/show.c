/* What there is to show of a workspace. */
#include "inside.h"
#include <math.h>
#include <time.h>

const struct pare_model *pare_workspace_model(const struct pare_workspace *w)
{
	return w->model;
}

const struct pare_dataset *pare_workspace_dataset(const struct pare_workspace *w)
{
	return w->data;
}

const struct pare_study *pare_workspace_study(const struct pare_workspace *w)
{
	return w->study;
}

const struct pare_plan *pare_workspace_plan(const struct pare_workspace *w)
{
	return w->node[w->here].plan;
}

const struct pare_metrics *pare_workspace_metrics(const struct pare_workspace *w)
{
	return &w->now;
}

const struct pare_metrics *pare_workspace_float(const struct pare_workspace *w)
{
	return &w->was;
}

double pare_workspace_measured_ago(const struct pare_workspace *w)
{
	int64_t at = w->node[w->here].measured;

	return at && w->now.accuracy.kind == PARE_MEASURED ? difftime(time(NULL), (time_t)at) : NAN;
}

int pare_workspace_n_devices(const struct pare_workspace *w)
{
	return w->n_rows;
}

const struct pare_device_row *pare_workspace_device(const struct pare_workspace *w, int i)
{
	return i >= 0 && i < w->n_rows ? &w->row[i] : NULL;
}

int pare_workspace_n_plans(const struct pare_workspace *w)
{
	return w->n_nodes;
}

const struct pare_plan_node *pare_workspace_plan_node(const struct pare_workspace *w, int i)
{
	return i >= 0 && i < w->n_nodes ? &w->node[i].shown : NULL;
}

int pare_workspace_here(const struct pare_workspace *w)
{
	return w->here;
}

enum pare_saved pare_workspace_saved(const struct pare_workspace *w, const char **why)
{
	if (why)
		*why = w->why_not;
	return w->in_memory ? PARE_SAVED_MEMORY : *w->why_not ? PARE_SAVED_NOT : PARE_SAVED;
}

const char *pare_workspace_session_path(const struct pare_workspace *w)
{
	return w->session_path ? w->session_path : "";
}

int pare_workspace_fd(const struct pare_workspace *w)
{
	return w->worker.pipe[0];
}
