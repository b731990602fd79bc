/* The inside of obs.c: obc.c takes a strip of rows site after site, sweep.c goes through all
 * columns once. */
#ifndef PARE_OBS_PATH_H
#define PARE_OBS_PATH_H
#include "obs.h"

struct pare_obs_path {
	const struct pare_obs *o;
	struct pare_ctl *ctl;
	double **inverse; /* [groups] of Hinv */
	int *order;       /* [strips][sites] */
	double *cost;     /* [strips][sites] */
	double *best;     /* [rows][columns] w without zeros */
	int *n;           /* [strips] how many were ordered, then how many go */
};

static inline int pare_obs_group(const struct pare_obs *o, int64_t row)
{
	return (int)(row / o->rows);
}

/* A site of a strip goes. */
static inline void pare_obs_mark(const struct pare_obs *o, int64_t strip, int site)
{
	const struct pare_lay *l = o->lay;

	for (int r = 0; r < l->pattern->tall; r++)
		for (int j = 0; j < l->pattern->wide; j++)
			o->zero[(strip * l->pattern->tall + r) * l->columns +
				pare_lay_column(l, site, j)] = true;
}

/* Fills order, cost and n of that strip.  As pare_parallel calls it: with the path. */
PARE_MUST_CHECK enum pare_status
pare_obc_strip(void *path, int strip, int worker, struct pare_err *err);

/* zero[] and w at this sparsity. */
PARE_MUST_CHECK enum pare_status
pare_obs_sweep(struct pare_obs_path *p, float sparsity, struct pare_err *err);
/* cost [strips * sites] as it is at the start, least first: what comes later is dearer than that.
 */
void pare_obs_sweep_costs(const struct pare_obs_path *p, double *cost);

#endif
