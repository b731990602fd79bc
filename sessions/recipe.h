/* Recipes: a plan with the hashes of what it needs and what it promises, as text in the language of
 * language.h.  Reading one runs nothing and writes nothing. */
#ifndef PARE_RECIPE_H
#define PARE_RECIPE_H
#include "file.h"
#include "language.h"

struct pare_recipe {
	struct pare_script script;
	char *path;         /* of the recipe; what errors call it */
	char *model, *data; /* paths as seen from here; data NULL = none */
	char *shapes;       /* of the model's inputs, as in pare_model_open_as; NULL = not said */
	char model_sha[PARE_SHA_HEX], data_sha[PARE_SHA_HEX]; /* "" = not said */
	struct pare_bounds bounds[2];                         /* by enum pare_split */
	uint64_t seed;
	const char **devices; /* names, ended by NULL; point into the script */
	struct pare_promised promised[PARE_N_PROMISES];
	char promised_sha[PARE_SHA_HEX]; /* "" = not said */
	const char *promised_cpu;        /* NULL = not said */
};

/* PARE_E_IO, PARE_E_FORMAT (where, and the nearest known word), PARE_E_NOMEM. */
PARE_MUST_CHECK enum pare_status
pare_recipe_read(const char *path, struct pare_recipe **out, struct pare_err *err);
/* The same from memory; paths are relative to the folder of `path`. */
PARE_MUST_CHECK enum pare_status pare_recipe_parse(const char *text, size_t len, const char *path,
	struct pare_recipe **out, struct pare_err *err);
void pare_recipe_free(struct pare_recipe *r); /* NULL allowed */

/* What the recipe is about, opened, hashes checked, the split set.  *data NULL when it names none.
 * PARE_E_MISMATCH: not the model or the samples that it was written for. */
PARE_MUST_CHECK enum pare_status pare_recipe_open(const struct pare_recipe *r,
	struct pare_model **model, struct pare_dataset **data, struct pare_err *err);
/* The plan that its lines, one after the other, make of what the file has.  `calibration` is for
 * lines that spread a budget over layers; NULL: those that must look are errors. */
PARE_MUST_CHECK enum pare_status pare_recipe_plan(const struct pare_recipe *r,
	const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_plan **out, struct pare_err *err);
bool pare_recipe_spreads(const struct pare_recipe *r); /* it has such lines */

/* ---- writing -----------------------------------------------------------------------------------
 */

/* All borrowed. */
struct pare_recipe_parts {
	const struct pare_model *model;
	const struct pare_dataset *data; /* NULL = none */
	int64_t samples;                 /* evaluated, from the first on; 0 = all of the split */
	const struct pare_plan *plan;
	uint64_t seed;
	const char *const *devices; /* ended by NULL; NULL = none */
	struct pare_promised promised[PARE_N_PROMISES];
	const char *promised_sha, *promised_cpu; /* NULL = none */
};
/* Layers of the same dials share a line: `*` for the commonest, exceptions after it.  What is read
 * back makes an equal plan. */
PARE_MUST_CHECK enum pare_status
pare_recipe_write(const char *path, const struct pare_recipe_parts *parts, struct pare_err *err);
/* The same as text, malloc'ed, paths as seen from `folder`. */
PARE_MUST_CHECK enum pare_status pare_recipe_text(const struct pare_recipe_parts *parts,
	const char *folder, char **text, struct pare_err *err);
/* Hash of what decides the bytes that are exported: model, samples and split by their hashes, seed,
 * plan.  Paths, devices and promises are no part of it. */
PARE_MUST_CHECK enum pare_status pare_recipe_sha(
	const struct pare_recipe_parts *parts, char sha[PARE_SHA_HEX], struct pare_err *err);

/* A plan alone, as lines of `set` and `prune`; malloc'ed.  And back. */
PARE_MUST_CHECK enum pare_status pare_plan_text(
	const struct pare_model *m, const struct pare_plan *p, char **text, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_plan_parse(
	const struct pare_model *m, const char *text, struct pare_plan **out, struct pare_err *err);
/* Carry out one `set` or `prune`, but for a budget; *n = layers named. */
PARE_MUST_CHECK enum pare_status pare_plan_say(struct pare_plan *p, const struct pare_model *m,
	const struct pare_statement *s, const char *name, int *n, struct pare_err *err);

/* What is asked of many layers together, each one's share to be found by looking at samples. */
struct pare_budget {
	struct pare_channel_budget channels;
	double spread; /* as in struct pare_statement; 0: it is about channels */
	bool ranks;    /* they are spread, not weights that go to zero */
	char *on;      /* the device that counts; NULL = none */
	bool *layers;  /* [n_layers] */
};
bool pare_statement_spreads(const struct pare_statement *s);
PARE_MUST_CHECK enum pare_status
pare_budget_new(const struct pare_statement *s, const struct pare_model *m, const char *name,
	struct pare_budget *out, struct pare_err *err);
void pare_budget_free(struct pare_budget *b);
/* p: what the line's other words say is in it.  Devices are loaded where one counts. */
PARE_MUST_CHECK enum pare_status
pare_budget_spread(const struct pare_budget *b, const struct pare_model *m, struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err);

#endif
