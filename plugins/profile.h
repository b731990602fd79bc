/* Text profiles: a device as rates.  The time of a network is a sum over its nodes,
 *
 *     t = sum [ MACs * rate(kind) + activation bytes * rate(act) + weight bytes * rate(weight)
 *               + rate(layer or other) ] + rate(const)
 *
 * once per precision: each `precision` block is a set of rates and says which number formats run
 * with it.  CONTRIBUTING tells how to write one; profiles/ has examples. */
#ifndef PARE_PROFILE_H
#define PARE_PROFILE_H
#include "published.h"
#include "work.h"
#include <stdio.h>

enum pare_profile_rate { /* in nanoseconds per MAC, byte, node, network */
	PARE_RATE_CONV,
	PARE_RATE_POINTWISE,
	PARE_RATE_DEPTHWISE,
	PARE_RATE_GROUPED,
	PARE_RATE_DENSE,
	PARE_RATE_ACT,    /* bytes read and written */
	PARE_RATE_WEIGHT, /* bytes of weights */
	PARE_RATE_LAYER,  /* each node that multiplies */
	PARE_RATE_OTHER,  /* each other node that is not free */
	PARE_RATE_CONST,
	PARE_N_RATES
};
extern const char *const pare_profile_rate_names[PARE_N_RATES];

enum pare_profile_need {
	PARE_NEED_WEIGHT,
	PARE_NEED_PEAK,
	PARE_NEED_LAYER,
	PARE_NEED_CONST,
	PARE_N_NEEDS
};
extern const char *const pare_profile_need_names[PARE_N_NEEDS];

enum {
	PARE_PROFILE_SETS = 4,
	PARE_PROFILE_TEXT = 512,
	PARE_PROFILE_LONG = 900,
	PARE_PROFILE_WORD = 96
};

struct pare_profile_set {
	char name[PARE_PROFILE_WORD]; /* as the published table spells a precision: "int8" */
	/* Formats that run with these rates, separated by blanks, the one that they were measured
	 * with first. */
	char weights[PARE_PROFILE_WORD], activations[PARE_PROFILE_WORD];
	char slow[PARE_PROFILE_TEXT]; /* not empty: running here is a fallback, and this says why */
	double act_bytes, weight_bytes; /* of one element */
	/* How it is fitted: rates separated by blanks, those that share one value joined by '+'; of
	 * a set that is `like` another, "times"; empty = given by hand. */
	char terms[PARE_PROFILE_TEXT];
	char like[PARE_PROFILE_WORD]; /* not empty: the rates of that set, `times` slower */
	double times;
	double rate[PARE_N_RATES];
	double rows;                              /* published measurements behind the rates */
	double error_model_out, error_family_out; /* median absolute percentage error; NaN */
	double band;       /* 90 % of the left-out lie within a factor of this */
	double power;      /* mean, mW; NaN = not known */
	double power_band; /* as band, of the power alone */
};

struct pare_profile_memory { /* bytes = sum of coefficient x quantity */
	double need[PARE_N_NEEDS];
	char terms[PARE_PROFILE_WORD]; /* empty = not known */
	double rows, error;            /* median absolute percentage error, a model left out */
};

struct pare_profile {
	char name[PARE_PROFILE_WORD], chip_class[PARE_PROFILE_WORD], device[PARE_PROFILE_WORD],
		runtime[PARE_PROFILE_WORD], threads[PARE_PROFILE_WORD], clock[PARE_PROFILE_WORD];
	char source[PARE_PROFILE_LONG], rules[PARE_PROFILE_LONG];
	/* Patterns in which zeros are left out, separated by blanks; "" = they are multiplied by.
	 */
	char patterns[PARE_PROFILE_WORD];
	/* What it takes, parted by commas, and what it cuts off: as in device.h. */
	char takes_weights[PARE_PROFILE_WORD], takes_activations[PARE_PROFILE_WORD],
		takes_scales[PARE_PROFILE_WORD], takes_schemes[PARE_PROFILE_WORD],
		takes_ranges[PARE_PROFILE_WORD], saturates[PARE_PROFILE_WORD];
	double ram, flash;         /* bytes it has; 0 = not said */
	double channels;           /* runs best with multiples of so many; 0, 1 = with any number */
	double macs_from, macs_to; /* of the networks that it is fitted on; 0 = not said */
	struct pare_profile_memory need_ram, need_flash;
	int n_sets;
	struct pare_profile_set
		sets[PARE_PROFILE_SETS]; /* the first is what the device is listed as */
};

/* PARE_E_IO, PARE_E_FORMAT with file and line. */
PARE_MUST_CHECK enum pare_status
pare_profile_read(const char *path, struct pare_profile *out, struct pare_err *err);
/* The same text that pare_profile_read reads, and nothing but it. */
void pare_profile_write(const struct pare_profile *p, FILE *f);
/* Rates with `like` carried out; false when it names no set with rates of its own. */
bool pare_profile_rates(
	const struct pare_profile *p, const struct pare_profile_set *s, double rate[PARE_N_RATES]);

/* What a node counts for under a set: [rate] -> MACs, bytes, nodes; PARE_RATE_CONST is left 0. */
void pare_profile_count(const struct pare_profile_set *s, const struct pare_plugin_layer *l,
	double count[PARE_N_RATES]);
/* What a whole network counts for under a set, PARE_RATE_CONST included. */
void pare_profile_count_work(const struct pare_profile_set *s, const struct pare_plugin_work *w,
	double count[PARE_N_RATES]);
/* Quantities that memory is made of, all layers under one set. */
void pare_profile_needs_work(const struct pare_profile_set *s, const struct pare_plugin_work *w,
	double need[PARE_N_NEEDS]);

/* Latency, energy, memory, fallbacks of a network under a plan.  `out` came filled with "not
 * known". */
void pare_profile_predict(const struct pare_profile *p, const struct pare_plugin_work *w,
	struct pare_plugin_figures *out);

/* Fit the sets that have terms, and memory, on published rows of the profile's device and runtime,
 * and find the errors by leaving models and families out.  PARE_E_MISMATCH: too few rows. */
PARE_MUST_CHECK enum pare_status
pare_profile_fit(struct pare_profile *p, const struct pare_published *rows,
	const struct pare_layer_table *layers, struct pare_err *err);

extern const struct pare_plugin pare_profile_plugin; /* open() takes a .profile file */

#endif
