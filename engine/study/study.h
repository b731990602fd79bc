/* The inside of a study.
 *
 * Answers are kept as "slots": of each sample at most PARE_SLOTS classes, the true one and the
 * strongest rivals, with the network's output for each (the logarithm of it where the outputs are
 * probabilities, so that moves add up either way).  A cell keeps how it moves every slot; a plan's
 * slots are predicted as those of a measured plan plus the moves of the cells in which the two
 * differ, and accuracy is counted sample by sample. */
#ifndef PARE_STUDY_H
#define PARE_STUDY_H
#include "../pare.h"
#include "../quantize/quantize.h"
#include "../run/feed.h"

enum { PARE_SLOTS = 16 };

struct study_baseline {               /* immutable once made */
	struct pare_program *program; /* of the float model */
	struct pare_calibration *calibration;
	int64_t n;      /* samples */
	int64_t k_all;  /* outputs of the network */
	int k;          /* slots of a sample */
	bool logs;      /* outputs are probabilities: slots hold their logarithms */
	int32_t *class; /* [n][k] which output a slot is */
	int8_t *truth;  /* [n] the slot that is right */
	uint8_t *right; /* [n] the float model has it right */
	float *slots;   /* [n][k] */
	int64_t n_right;
};

struct study_cell {
	bool known;
	float *move;           /* [n][k]; NULL when known and nothing moves */
	double size;           /* root mean square of the move */
	int64_t fixed, broken; /* samples that float has wrong / right and the cell right / wrong */
};

struct study_plan {
	struct pare_plan *plan;
	uint64_t hash;
	float *slots; /* [n][k] */
	int64_t n_right, fixed, broken;
	int64_t left[PARE_MAX_EXITS + 1]; /* samples by where they left; see pare_plan_exits */
	struct pare_noise *noise;         /* [n_layers] */
};

struct pare_study {
	const struct pare_model *model;
	const struct pare_dataset *dataset; /* may be NULL */
	int64_t n, float_bytes;             /* samples; bytes of the float plan, 0 = not known */
	int n_layers, n_options;
	int *leader;                 /* [n_layers] first layer of the group; -1: none */
	struct study_baseline *base; /* NULL until added */
	struct study_cell *cell;     /* [n_layers][n_options] */
	int n_known;
	struct study_plan *plan; /* [n_plans] measured, oldest first */
	int n_plans, room;
	double *surprise; /* [n_surprises] |error| / expected of estimates that were measured later
			   */
	int n_surprises;
};

struct pare_result {
	enum pare_task_kind kind;
	int layer;
	enum pare_dial dial;
	struct pare_plan *plan;
	struct pare_noise *noise; /* PLAN: [n_layers] */
	int64_t n;
	int k;
	double seconds;
	struct study_baseline *base; /* BASELINE */
	int n_parts;                 /* CELLS: options of the dial but the first; PLAN: 1 */
	struct study_part {          /* answers of one variant */
		float *slots;        /* [n][k]; of a cell: the move */
		int64_t n_right, fixed, broken;
		int64_t left[PARE_MAX_EXITS + 1]; /* of a plan; see struct study_plan */
	} * part;
	struct pare_variant *variant; /* of a plan that was measured here; may be NULL */
};

/* out: [n_out], of the plan's layers.  Time: up to six times that of a few samples. */
PARE_MUST_CHECK enum pare_status
pare_variant_noise(const struct pare_variant *v, const struct pare_dataset *d, int n_out,
	struct pare_ctl *ctl, struct pare_noise *out, struct pare_err *err);

double pare_study_clock(void); /* seconds, from some fixed moment on */

/* Options of a dial: the first and how many.  The first is "off". */
void pare_dial_options(enum pare_dial dial, int *first, int *n);
/* Options of which `d` is made, at most two a dial, with their weights; for the superposition. */
struct study_mix {
	int option[2 * PARE_N_DIALS];
	float share[2 * PARE_N_DIALS];
	int n;
};
struct study_mix pare_study_mix(const struct pare_dials *d);

/* 90 % interval of a share of n, in percent (Wilson 1927). */
void pare_share_interval(int64_t hits, int64_t n, double *lo, double *hi);
struct pare_value pare_measured_drop(int64_t fixed, int64_t broken, int64_t n);
/* A cell that somebody has to measure: not a dial that is off, nor what cannot go. */
bool pare_study_asks(const struct pare_study *s, int layer, int option);
void pare_baseline_free(struct study_baseline *b);
const struct study_plan *pare_study_find(const struct pare_study *s, const struct pare_plan *p);

/* Superposition on the nearest measured plan (other than `but`, NULL = none): how many samples it
 * expects to be right, and how many to differ from the anchor.  false when a cell it needs is not
 * known. */
struct study_guess {
	double n_right, n_flips;
};
bool pare_study_superpose(const struct pare_study *s, const struct pare_plan *p,
	const struct study_plan *but, struct study_guess *out);
/* Half the width of the 90 % interval of a guess, in points, before surprises are looked at. */
double pare_guess_width(const struct study_guess *g, int64_t n);

#endif
