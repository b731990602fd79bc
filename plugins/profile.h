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

enum profile_rate { /* in nanoseconds per MAC, byte, node, network */
	RATE_CONV,
	RATE_POINTWISE,
	RATE_DEPTHWISE,
	RATE_GROUPED,
	RATE_DENSE,
	RATE_ACT,    /* bytes read and written */
	RATE_WEIGHT, /* bytes of weights */
	RATE_LAYER,  /* each node that multiplies */
	RATE_OTHER,  /* each other node that is not free */
	RATE_CONST,
	N_RATES
};
extern const char *const profile_rate_names[N_RATES];

enum profile_need { NEED_WEIGHT, NEED_PEAK, NEED_LAYER, NEED_CONST, N_NEEDS };
extern const char *const profile_need_names[N_NEEDS];

enum { PROFILE_SETS = 4, PROFILE_TEXT = 512, PROFILE_WORD = 96 };

struct profile_set {
	char name[PROFILE_WORD]; /* as the published table spells a precision: "int8" */
	/* Formats that run with these rates, separated by blanks, the one that they were measured
	 * with first. */
	char weights[PROFILE_WORD], activations[PROFILE_WORD];
	char slow[PROFILE_TEXT]; /* not empty: running here is a fallback, and this says why */
	double act_bytes, weight_bytes; /* of one element */
	/* How it is fitted: rates separated by blanks, those that share one value joined by '+'; of
	 * a set that is `like` another, "times"; empty = given by hand. */
	char terms[PROFILE_TEXT];
	char like[PROFILE_WORD]; /* not empty: the rates of that set, `times` slower */
	double times;
	double rate[N_RATES];
	double rows;                              /* published measurements behind the rates */
	double error_model_out, error_family_out; /* median absolute percentage error; NaN */
	double band;       /* 90 % of the left-out lie within a factor of this */
	double power;      /* mean, mW; NaN = not known */
	double power_band; /* as band, of the power alone */
};

struct profile_memory { /* bytes = sum of coefficient x quantity */
	double need[N_NEEDS];
	char terms[PROFILE_WORD]; /* empty = not known */
	double rows, error;       /* median absolute percentage error, a model left out */
};

struct profile {
	char name[PROFILE_WORD], chip_class[PROFILE_WORD], device[PROFILE_WORD],
		runtime[PROFILE_WORD], threads[PROFILE_WORD], clock[PROFILE_WORD];
	char source[PROFILE_TEXT], rules[PROFILE_TEXT];
	double ram, flash; /* bytes it has; 0 = not said */
	struct profile_memory need_ram, need_flash;
	int n_sets;
	struct profile_set sets[PROFILE_SETS]; /* the first is what the device is listed as */
};

/* PARE_E_IO, PARE_E_FORMAT with file and line. */
PARE_MUST_CHECK enum pare_status
profile_read(const char *path, struct profile *out, struct pare_err *err);
/* The same text that profile_read reads, and nothing but it. */
void profile_write(const struct profile *p, FILE *f);
/* Rates with `like` carried out; false when it names no set with rates of its own. */
bool profile_rates(const struct profile *p, const struct profile_set *s, double rate[N_RATES]);

/* What a node counts for under a set: [rate] -> MACs, bytes, nodes; RATE_CONST is left 0. */
void profile_count(
	const struct profile_set *s, const struct pare_plugin_layer *l, double count[N_RATES]);
/* What a whole network counts for under a set, RATE_CONST included. */
void profile_count_work(
	const struct profile_set *s, const struct pare_plugin_work *w, double count[N_RATES]);
/* Quantities that memory is made of, all layers under one set. */
void profile_needs_work(
	const struct profile_set *s, const struct pare_plugin_work *w, double need[N_NEEDS]);

/* Latency, energy, memory, fallbacks of a network under a plan.  `out` came filled with "not
 * known". */
void profile_predict(
	const struct profile *p, const struct pare_plugin_work *w, struct pare_plugin_figures *out);

/* Fit the sets that have terms, and memory, on published rows of the profile's device and runtime,
 * and find the errors by leaving models and families out.  PARE_E_MISMATCH: too few rows. */
PARE_MUST_CHECK enum pare_status profile_fit(struct profile *p, const struct published *rows,
	const struct layer_table *layers, struct pare_err *err);

extern const struct pare_plugin pare_profile_plugin; /* open() takes a .profile file */

#endif
