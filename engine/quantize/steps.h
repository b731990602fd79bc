/* Steps around rounding: what is done to a whole network before its weights are rounded, so that
 * they can be, and after, for what was lost. */
#ifndef PARE_STEPS_H
#define PARE_STEPS_H
#include "../graph/model.h"
#include "quantize.h"

struct pare_prepared;

struct pare_plan_step {
	const char *name, *help;
	/* Before pruning and rounding: new weights and biases for the same function (or nearly).
	 * NULL: a step after rounding. */
	enum pare_status (*prepare)(struct pare_prepared *p, struct pare_err *err);
	bool shifts, scales; /* after: biases, and the scales of channels, are fitted anew */
	bool looks;          /* needs calibration samples */
	bool narrows;        /* after: no two products of uint8 activations exceed 16 bits */
};
extern const struct pare_plan_step pare_plan_steps[];
/* Of the steps in the set (bit i: row i): any that prepares, that shifts, that scales, that
 * narrows, that needs samples. */
bool pare_steps_prepare(unsigned set);
bool pare_steps_shift(unsigned set);
bool pare_steps_scale(unsigned set);
bool pare_steps_narrow(unsigned set);
const char *pare_steps_look(unsigned set); /* the name of one; NULL = none */

/* A network whose layers are being prepared: copies of what changes. */
struct pare_prepared {
	const struct pare_model *m;
	const struct pare_calibration *calibration; /* NULL = none */
	struct pare_ctl *ctl;
	struct pare_blob **weights, **bias; /* [n_layers]; NULL = as in the model */
	struct pare_normal *normal;         /* [n_layers] of its output; n 0 = not known; in `a` */
	struct pare_new_input *constant;    /* [n_constants] other than of layers */
	int n_constants;
	struct pare_arena *a;
};
/* A copy to write to; NULL: no memory, or (bias) there is none. */
float *pare_prepared_weights(struct pare_prepared *p, int layer);
float *pare_prepared_bias(struct pare_prepared *p, int layer);
/* The same of a constant input of a node that is no layer. */
float *pare_prepared_constant(struct pare_prepared *p, int node, int input);

/* The steps before rounding, one after the other; *out is a model of the caller's own. */
PARE_MUST_CHECK enum pare_status
pare_prepare(const struct pare_model *m, unsigned steps, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err);

/* Two layers between whose channels nothing stands that a change of scale would not pass through.
 */
struct pare_neighbours {
	int from, to; /* layers */
	int clamp;    /* a node between them that has no values below 0; -1 = none */
};
/* All pairs in the order in which they run; [n_layers] has room for them. */
int pare_neighbours_find(const struct pare_model *m, struct pare_neighbours *out);

/* Where the channels that enter a layer are in its weight: `v` is called for each element. */
typedef void pare_visit_fn(void *user, int64_t channel, float *w);
void pare_visit_inputs(
	const struct pare_model *m, int layer, float *w, pare_visit_fn *v, void *user);

/* Biases [n_layers] by what is known of the channels that enter each layer, without samples:
 * weights[i] and bias[i] are what the layers have become, NULL = as in the model; bias[i] is
 * replaced.  Layers without a bias, or of whose inputs nothing is known, stay (Nagel 2019). */
PARE_MUST_CHECK enum pare_status pare_correct_by_normals(const struct pare_model *m,
	struct pare_blob **weights, struct pare_blob **bias, struct pare_err *err);

enum pare_status pare_equalize(struct pare_prepared *p, struct pare_err *err);
enum pare_status pare_absorb_bias(struct pare_prepared *p, struct pare_err *err);
enum pare_status pare_smooth(struct pare_prepared *p, struct pare_err *err);

#endif
