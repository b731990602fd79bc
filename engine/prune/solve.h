/* A layer as a least-squares problem: which weights give, from what enters it, what it should give,
 * and what does it cost to do without some of its inputs?
 *
 * Inputs are taken out as in Optimal Brain Surgeon (Hassibi & Stork 1993), whole blocks of columns
 * at a time: the weights that stay make up for those that go, and the error grows by
 * w_B (Hinv_BB)^-1 w_B'. */
#ifndef PARE_SOLVE_H
#define PARE_SOLVE_H
#include "../base/err.h"

struct pare_solve {
	int k, o;
	double *hinv;  /* [k][k] inverse of the mean products of inputs, ridge added */
	double *w;     /* [o][k] best weights without what was taken out */
	double energy; /* mean square of the output: what errors are compared with */
};

/* a [k][k] = (h + ridge)^-1; more ridge until there is one, false when there is none. */
bool pare_invert(double *a, const double *h, int k, double ridge);

/* h [k][k] mean products of inputs, c [o][k] of wanted outputs and inputs, was [o][k] the weights
 * now; `ridge`: share of the mean product that pulls towards them.  All borrowed. */
PARE_MUST_CHECK enum pare_status pare_solve_new(const double *h, const double *c, const double *was,
	int k, int o, double ridge, struct pare_solve *out, struct pare_err *err);
void pare_solve_free(struct pare_solve *s);

/* What the error grows by, as a share of the output's energy, without columns at[n].
 * room: [n * (n + k)]. */
double pare_solve_cost(const struct pare_solve *s, const int *at, int n, double *room);
/* Take them out.  room as above. */
void pare_solve_drop(struct pare_solve *s, const int *at, int n, double *room);

#endif
