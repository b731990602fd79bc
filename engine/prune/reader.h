/* Who reads the channels of a group, and what it loses without some of them. */
#ifndef PARE_CHANNEL_READER_H
#define PARE_CHANNEL_READER_H
#include "../quantize/moments.h"
#include "prune.h"
#include "solve.h"

/* Calibration samples are few: the weights that were there count like so many more. */
enum { PARE_RIDGE_SAMPLES = 5 };

/* A layer that mixes channels, one window group of it. */
struct pare_reader {
	struct pare_solve s;
	const int *unit;   /* [channels] that its inputs are of; NULL = of none (depthwise) */
	int channels, per; /* per: columns a channel */
};

/* The channels that a layer mixes; NULL: it mixes none (depthwise, or nothing is known). */
const struct pare_var_channels *pare_reads(const struct pare_model *m, int layer);
/* Those of its own that a recurrent layer reads a step later; NULL: it is none. */
const struct pare_var_channels *pare_own_units(const struct pare_model *m, int layer);
bool pare_reads_group(const struct pare_model *m, int layer, int group);

/* Layers in the order in which a program runs them, those that it runs: [n_layers]; how many. */
int pare_layers_in_order(const struct pare_model *m, const struct pare_program *p, int *order);

/* The readers of a layer, one for each of s->win.groups, with weights [as in the file] for a start.
 * s: made means of, about the means when the layer's bias is free.  Free with pare_readers_free. */
PARE_MUST_CHECK enum pare_status
pare_readers_new(const struct pare_model *m, int layer, const float *weights,
	struct pare_moments *s, struct pare_reader **out, struct pare_err *err);
void pare_readers_free(struct pare_reader *x, int n);
/* The solutions become the layer's weights and, where it has one in the file, its bias; what
 * *weights and *bias held is freed. */
PARE_MUST_CHECK enum pare_status pare_readers_settle(const struct pare_reader *x,
	const struct pare_model *m, int layer, const struct pare_moments *s,
	struct pare_blob **weights, struct pare_blob **bias, struct pare_err *err);
/* They do without units from <= u < to that are not kept. */
PARE_MUST_CHECK enum pare_status pare_readers_drop(
	struct pare_reader *x, int n, int from, int to, const bool *keep, struct pare_err *err);

/* Of each kind in a group as many units as `share` takes away (at most all but one), one after the
 * other, each time the one whose readers lose least.
 *   keep   [n_units] of the model, changed
 *   order  [units of the group] in which they went, counted from its first; may be NULL
 *   cost   [units of the group] what all readers have lost after each; may be NULL */
PARE_MUST_CHECK enum pare_status pare_readers_choose(const struct pare_model *m, int group,
	struct pare_reader *x, int n, float share, bool *keep, int *order, double *cost,
	struct pare_ctl *ctl, struct pare_err *err);

/* Orders and costs of whole groups, by what their readers lose in the float network. */
struct pare_survey {
	int n_groups;
	struct pare_surveyed {
		int n;        /* units that may go; 0 = not surveyed */
		int *order;   /* [units]; those that stay last */
		double *cost; /* [n] */
	} * group;
};
/* wanted: [n_groups]. */
PARE_MUST_CHECK enum pare_status pare_survey_new(const struct pare_model *m, const bool *wanted,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_survey *out,
	struct pare_err *err);
void pare_survey_free(struct pare_survey *s);

#endif
