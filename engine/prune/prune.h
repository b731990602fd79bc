/* Pruning: which weights go. */
#ifndef PARE_PRUNE_H
#define PARE_PRUNE_H
#include "../quantize/moments.h"
#include "pattern.h"

struct pare_calibration;
struct pare_moments;

/* How much a weight matters; the least go first. */
struct pare_criterion {
	const char *name, *help;
	/* score [n] of the weights w [n] of one layer; `layer` is its index.  NULL: one after the
	 * other by what the layer's output loses on calibration samples, the others making up for
	 * it (obs.h) */
	void (*score)(const float *w, int64_t n, int layer, float *score);
};
extern const struct pare_criterion pare_criteria[];

/* How many of n a share takes away. */
int64_t pare_n_pruned(int64_t n, float sparsity);

/* goes[] of the k least of n scores becomes true; among equals the first.  sorted: room for n. */
void pare_take_least(const float *score, int64_t n, int64_t k, float *sorted, bool *goes);

/* sum [strips * sites]: the scores of the weights of each site. */
PARE_MUST_CHECK enum pare_status pare_site_scores(const float *w, const struct pare_lay *lay,
	int layer, const struct pare_criterion *by, float *sum, struct pare_err *err);

/* Set the pare_lay_gone(lay, sparsity) sites of least score to zero; among equals the first go.
 * w: the layer's weights, changed in place.  PARE_E_NOMEM (w is then as it was). */
PARE_MUST_CHECK enum pare_status pare_prune_by_score(float *w, const struct pare_lay *lay,
	int layer, float sparsity, const struct pare_criterion *by, struct pare_err *err);

/* ---- channels -------------------------------------------------------------------------------- */

/* A group as criteria see it. */
struct pare_channel_view {
	const struct pare_model *m;
	int group, n; /* units */
	int64_t len;
	const float *row; /* [n][len] the weights that make each unit */
};

/* Which channels of a group go first: those of least score, from weights or from samples; neither:
 * one after the other by what their readers lose (reader.h).  See criteria.h. */
struct pare_channel_criterion {
	const char *name, *help;
	enum pare_status (*score)(
		const struct pare_channel_view *v, float *score, struct pare_err *err);
	enum pare_status (*measure)(const struct pare_model *m, const bool *wanted,
		const struct pare_calibration *calibration, struct pare_ctl *ctl, double *score,
		struct pare_err *err);
};
extern const struct pare_channel_criterion pare_channel_criteria[];

/* What happens to those who read the channels that went. */
struct pare_repair {
	const char *name, *help;
	bool looks;      /* at calibration samples */
	bool throughout; /* layers that only come behind are made up for too */
};
extern const struct pare_repair pare_repairs[];

/* What a budget counts. */
struct pare_goal {
	const char *name, *help;
	int64_t (*of)(const struct pare_cost *c); /* NULL: a device says, in `unit` */
	const char *unit;
};
extern const struct pare_goal pare_goals[];

/* keep[] of the units that a share takes away becomes false: of each kind so many, those that come
 * first in `order` ([units of the group], counted from its first; NULL = any). */
void pare_drop_units(
	const struct pare_model *m, int group, float share, const int *order, bool *keep);

/* The order in which units go by a criterion that looks at weights: [units of the group], counted
 * from its first. */
PARE_MUST_CHECK enum pare_status pare_order_by_weights(const struct pare_model *m, int group,
	const struct pare_channel_criterion *by, int *order, struct pare_err *err);
/* The same by scores [units of the group]; among equals the first. */
PARE_MUST_CHECK enum pare_status
pare_order_by_score(const double *score, int n, int *order, struct pare_err *err);

/* What was found out of the float network for one plan and holds for the next, of the same model
 * and calibration.  Begins as zeros. */
struct pare_channel_memo {
	struct pare_moments_memo first; /* of the layer that reads pruned channels first */
	int group, criterion;           /* that `order` is of */
	int *order;                     /* in which its units go; NULL = none */
};
void pare_channel_memo_free(struct pare_channel_memo *memo);

/* The model without the channels that the plan takes away, its consumers refitted as the plan asks.
 * `memo` may be NULL.  PARE_E_ARG: it needs calibration samples and has none. */
PARE_MUST_CHECK enum pare_status
pare_prune_channels(const struct pare_model *m, const struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_channel_memo *memo,
	struct pare_ctl *ctl, struct pare_model **out, struct pare_err *err);

#endif
