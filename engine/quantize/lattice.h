/* Rounding as a search: which integers q, at which scale, make the error of a layer's output least?
 *
 * For one row of a layer's weight matrix that error is, but for a constant, the quadratic
 *
 *     f(v) = v'Hv / 2 - c'v,    v = scale * q,
 *
 * H [k][k] the mean product of the inputs that the row sees, c [k] the mean product of inputs and
 * wanted output.  Its least without the lattice is w = H^-1 c.  Everything here is deterministic.
 */
#ifndef PARE_LATTICE_H
#define PARE_LATTICE_H
#include "../base/err.h"

/* What the rows of one group share. */
struct pare_gram {
	int k;
	double *h;  /* [k][k], damped */
	double *r;  /* [k][k], upper: in the order of `order`, H = r'r */
	int *order; /* [k]: coordinate at each place; the last place is rounded first */
};

/* Takes h [k][k] over, adds `damp` times its mean diagonal to the diagonal (ten times as much until
 * it can be factored), factors it.  *ridge: what was added.  PARE_E_NOMEM; PARE_E_ARG when h is not
 * finite. */
PARE_MUST_CHECK enum pare_status pare_gram_new(
	double *h, int k, double damp, struct pare_gram *out, double *ridge, struct pare_err *err);
void pare_gram_free(struct pare_gram *g);
/* v = H^-1 c for n rows: v [n][k], in place; room: [k]. */
void pare_gram_solve(const struct pare_gram *g, double *v, int n, double *room);

struct pare_row {
	const struct pare_gram *gram;
	const double *c;  /* [k] */
	const double *w;  /* [k], where f is least */
	const bool *zero; /* [k]: weights that stay 0; NULL = none */
	int lo, hi;       /* of q */
	double *room;     /* [k] */
	int8_t *spare;    /* [k] */
	float *floats;    /* [k] */
};

double pare_row_error(const struct pare_row *r, double scale, const int8_t *q); /* f */
/* Nearest plane: coordinate after coordinate to the nearest integer, what is lost made up for by
 * those that follow.  It is GPTQ (Frantar et al. 2022) on the Cholesky factor of H itself (Chen et
 * al. 2025, "The geometry of LLM quantization: GPTQ as Babai's nearest plane algorithm"). */
void pare_row_plane(const struct pare_row *r, double scale, int8_t *q);
/* From q downhill: one coordinate at a time to its best integer, until none moves; with `pairs`
 * also two at a time by one step each, where the lattice is coarse.  f never rises; it is returned.
 */
double pare_row_descend(const struct pare_row *r, double scale, bool pairs, int8_t *q);
/* pare_scale_mse of w. */
double pare_row_nearest_scale(const struct pare_row *r);
/* The scale at which q costs least. */
double pare_row_scale(const struct pare_row *r, double scale, const int8_t *q);
/* All of it: scales tried from the largest weight down, the best refined in turn with its integers.
 * Returns the scale; `fixed` > 0: that one. */
double pare_row_search(const struct pare_row *r, double fixed, int8_t *q);

#endif
