/* Weights that go one after the other by what the layer's output loses, those that stay making up
 * for it: Optimal Brain Surgeon, row by row (Frantar & Alistarh 2022, "Optimal Brain Compression").
 *
 * A row v of the weights costs v'Hv / 2 - c'v (lattice.h).  Without a site B of its columns it
 * costs w_B (Hinv_BB)^-1 w_B' / 2 more, at best; the least goes, w and Hinv are brought up to date,
 * and so on to the end.  How many go from each strip of rows then follows from what they cost, and
 * what stays is solved for.  Where that would take too long, columns are gone through once, some at
 * a time, as in SparseGPT (Frantar & Alistarh 2023). */
#ifndef PARE_OBS_H
#define PARE_OBS_H
#include "../base/pool.h"
#include "../quantize/lattice.h"
#include "pattern.h"

struct pare_obs {
	const struct pare_lay *lay;   /* borrowed, as is all that follows */
	int rows;                     /* of a group; lay->rows in all */
	const struct pare_gram *gram; /* [lay->rows / rows] */
	const double *c;              /* [lay->rows][columns] */
	double *w;                    /* [lay->rows][columns] where f is least */
	bool *zero;                   /* [lay->rows][columns] */
	bool once;                    /* columns are gone through once, however few */
};

/* Choose what goes at this sparsity: zero[] is filled and w becomes the best without it.  The same
 * for any number of threads.  Time: strips * columns³ / 3, or rows * columns² where that is more
 * than minutes.  PARE_E_NOMEM, PARE_E_CANCELED. */
PARE_MUST_CHECK enum pare_status pare_obs_prune(
	const struct pare_obs *o, float sparsity, struct pare_ctl *ctl, struct pare_err *err);

/* The same in steps, for those who try several sparsities: the order in which sites go is found
 * once.  o and ctl are borrowed. */
struct pare_obs_path;
PARE_MUST_CHECK enum pare_status pare_obs_path_new(const struct pare_obs *o, struct pare_ctl *ctl,
	struct pare_obs_path **out, struct pare_err *err);
void pare_obs_path_free(struct pare_obs_path *p);
/* cost [strips * sites]: what each site more costs, in the order in which they would go until none
 * is left (with sets until each has lost its share). */
PARE_MUST_CHECK enum pare_status
pare_obs_path_costs(const struct pare_obs_path *p, double *cost, struct pare_err *err);
/* As pare_obs_prune. */
PARE_MUST_CHECK enum pare_status
pare_obs_path_take(struct pare_obs_path *p, float sparsity, struct pare_err *err);

#endif
