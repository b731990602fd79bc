#include "recipe.h"
#include "words.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RECIPE = 4 << 20 }; /* bytes; a line a layer of 10,000 layers is 1 MB */

static enum pare_status
take_path(const struct pare_recipe *r, const char *path, char **out, struct pare_err *err)
{
	char *folder = pare_path_folder(r->path);

	*out = folder ? pare_path_join(folder, path) : NULL;
	free(folder);
	return *out ? PARE_OK : pare_nomem(err, "a recipe");
}

static void take_sha(char to[PARE_SHA_HEX], const char *sha)
{
	if (sha)
		snprintf(to, PARE_SHA_HEX, "%s", sha);
}

static enum pare_status
take_devices(struct pare_recipe *r, const struct pare_statement *s, struct pare_err *err)
{
	int n = 0;
	const char **more;

	while (r->devices && r->devices[n])
		n++;
	more = realloc(r->devices, (size_t)(n + s->n_rest + 1) * sizeof *more);
	if (!more)
		return pare_nomem(err, "a recipe");
	r->devices = more;
	for (int i = 0; i < s->n_rest; i++)
		more[n + i] = s->rest[i].text;
	more[n + s->n_rest] = NULL;
	return PARE_OK;
}

static enum pare_status
twice(const struct pare_recipe *r, const struct pare_statement *s, struct pare_err *err)
{
	return pare_word_fail(err, PARE_E_FORMAT, r->path, s->word,
		"'%s' is said a second time; a recipe has one", s->word->text);
}

/* Words with a blank between them; NULL: no memory. */
static char *words_text(const struct pare_word *word, int n)
{
	struct pare_text t = { 0 };

	for (int i = 0; i < n; i++)
		pare_text_add(&t, "%s%s", i ? " " : "", word[i].text);
	return t.s;
}

static enum pare_status
take_statement(struct pare_recipe *r, const struct pare_statement *s, struct pare_err *err)
{
	switch (s->kind) {
	case PARE_SAY_PARE:
		return s == r->script.statements ? PARE_OK : twice(r, s, err);
	case PARE_SAY_MODEL:
		if (r->model)
			return twice(r, s, err);
		take_sha(r->model_sha, s->sha256);
		if (s->n_rest && !(r->shapes = words_text(s->rest, s->n_rest)))
			return pare_nomem(err, "a recipe");
		return take_path(r, s->text, &r->model, err);
	case PARE_SAY_DATA:
		if (r->data)
			return twice(r, s, err);
		take_sha(r->data_sha, s->sha256);
		memcpy(r->bounds, s->bounds, sizeof r->bounds);
		return take_path(r, s->text, &r->data, err);
	case PARE_SAY_SEED:
		r->seed = s->number;
		return PARE_OK;
	case PARE_SAY_DEVICE:
		return take_devices(r, s, err);
	case PARE_SAY_EXPECT:
		for (int i = 0; i < PARE_N_PROMISES; i++)
			if (s->promised[i].said)
				r->promised[i] = s->promised[i];
		take_sha(r->promised_sha, s->sha256);
		if (s->cpu)
			r->promised_cpu = s->cpu;
		return PARE_OK;
	default: /* set and prune wait for the model */
		return PARE_OK;
	}
}

enum pare_status pare_recipe_parse(const char *text, size_t len, const char *path,
	struct pare_recipe **out, struct pare_err *err)
{
	struct pare_recipe *r = calloc(1, sizeof *r);
	enum pare_status st;

	if (!r || !(r->path = strdup(path))) {
		free(r);
		return pare_nomem(err, path);
	}
	for (int i = 0; i < 2; i++)
		r->bounds[i] = (struct pare_bounds){ -1, -1 };
	st = pare_script_parse(text, len, path, PARE_IN_RECIPE, &r->script, err);
	if (!st && (!r->script.n || r->script.statements[0].kind != PARE_SAY_PARE))
		st = pare_fail(err, PARE_E_FORMAT,
			"%s is no recipe: its first line must be 'pare 1'", path);
	for (int i = 0; !st && i < r->script.n; i++)
		st = take_statement(r, &r->script.statements[i], err);
	if (!st && !r->model)
		st = pare_fail(
			err, PARE_E_FORMAT, "%s names no model: write a line 'model PATH'", path);
	if (st) {
		pare_recipe_free(r);
		return st;
	}
	*out = r;
	return PARE_OK;
}

enum pare_status pare_recipe_read(const char *path, struct pare_recipe **out, struct pare_err *err)
{
	char *text;
	size_t len;
	enum pare_status st = pare_text_read(path, MAX_RECIPE, &text, &len, err);

	if (st)
		return st;
	st = pare_recipe_parse(text, len, path, out, err);
	free(text);
	return st;
}

void pare_recipe_free(struct pare_recipe *r)
{
	if (!r)
		return;
	pare_script_free(&r->script);
	free(r->path);
	free(r->model);
	free(r->data);
	free(r->shapes);
	free(r->devices);
	free(r);
}

static enum pare_status check_sha(const struct pare_recipe *r, const char *what, const char *path,
	const char *is, const char *wanted, struct pare_err *err)
{
	if (!*wanted || !strcmp(is, wanted))
		return PARE_OK;
	return pare_fail(err, PARE_E_MISMATCH,
		"%s was written for another %s: %s has sha256 %.12s…, the recipe wants %.12s…; "
		"name "
		"the right file, or take the hash out of the line",
		r->path, what, path, is, wanted);
}

static enum pare_status open_data(const struct pare_recipe *r, const struct pare_model *m,
	struct pare_dataset **out, struct pare_err *err)
{
	struct pare_dataset *d;
	enum pare_status st = pare_dataset_open(r->data, m, &d, err);

	if (st)
		return pare_wrap(err, st, "%s", r->path);
	st = check_sha(r, "data set", r->data, pare_dataset_info(d)->sha256, r->data_sha, err);
	for (int i = 0; !st && i < 2; i++)
		if (r->bounds[i].from >= 0 || r->bounds[i].to >= 0)
			if ((st = pare_dataset_set_split(d, (enum pare_split)i, r->bounds[i].from,
				     r->bounds[i].to, err)))
				st = pare_wrap(err, st, "%s", r->path);
	if (st) {
		pare_dataset_free(d);
		return st;
	}
	*out = d;
	return PARE_OK;
}

enum pare_status pare_recipe_open(const struct pare_recipe *r, struct pare_model **model,
	struct pare_dataset **data, struct pare_err *err)
{
	struct pare_model *m;
	struct pare_dataset *d = NULL;
	enum pare_status st = pare_model_open_as(r->model, r->shapes, &m, err);

	if (st)
		return pare_wrap(err, st, "%s", r->path);
	st = check_sha(r, "model", r->model, pare_model_info(m)->sha256, r->model_sha, err);
	if (!st && r->data)
		st = open_data(r, m, &d, err);
	if (st) {
		pare_model_free(m);
		return st;
	}
	*model = m;
	*data = d;
	return PARE_OK;
}

/* ---- plans --------------------------------------------------------------------------------------
 */

/* Layers whose channels cannot go are left out, unless they were all that was named. */
static enum pare_status leave_stuck(const struct pare_model *m, const struct pare_statement *s,
	const char *name, bool *picked, struct pare_err *err)
{
	int n = pare_model_info(m)->n_layers, stuck = -1, left = 0;

	for (int i = 0; i < n; i++) {
		if (!picked[i])
			continue;
		picked[i] = pare_model_layer(m, i)->group >= 0;
		left += picked[i];
		stuck = picked[i] || stuck >= 0 ? stuck : i;
	}
	if (left || stuck < 0)
		return PARE_OK;
	return pare_word_fail(err, PARE_E_UNSUPPORTED, name, s->layers.words,
		"channels of '%s' cannot be removed: %s", pare_model_layer(m, stuck)->name,
		pare_model_layer(m, stuck)->stuck);
}

/* Layers that lie in no block are left out, unless they were all that was named. */
static enum pare_status leave_outside(const struct pare_model *m, const struct pare_statement *s,
	const char *name, bool *picked, struct pare_err *err)
{
	int n = pare_model_info(m)->n_layers, outside = -1, left = 0;

	for (int i = 0; i < n; i++) {
		if (!picked[i])
			continue;
		picked[i] = pare_model_layer(m, i)->block >= 0;
		left += picked[i];
		outside = picked[i] || outside >= 0 ? outside : i;
	}
	if (left || outside < 0)
		return PARE_OK;
	return pare_word_fail(err, PARE_E_UNSUPPORTED, name, s->layers.words,
		"'%s' is on the branch of no residual block", pare_model_layer(m, outside)->name);
}

/* Layers that cannot be two are left out, unless they were all that was named. */
static enum pare_status leave_whole(const struct pare_model *m, const struct pare_statement *s,
	const char *name, bool *picked, struct pare_err *err)
{
	int n = pare_model_info(m)->n_layers, whole = -1, left = 0;
	char why[PARE_WHY], other[PARE_WHY];

	for (int i = 0; i < n && s->change.to.rank > 0; i++) {
		if (!picked[i])
			continue;
		picked[i] = pare_layer_rank(m, i, &s->change.to, whole < 0 ? why : other) > 0;
		left += picked[i];
		whole = picked[i] || whole >= 0 ? whole : i;
	}
	if (left || whole < 0)
		return PARE_OK;
	return pare_word_fail(err, PARE_E_UNSUPPORTED, name, s->layers.words,
		"'%s' cannot become two layers: %s", pare_model_layer(m, whole)->name, why);
}

/* Does a line turn activations to a format, and nothing else? */
static bool turns_activations(const struct pare_change *c)
{
	size_t own[] = { offsetof(struct pare_dials, activations),
		offsetof(struct pare_dials, calibrator), offsetof(struct pare_dials, ranging) };
	unsigned rest = c->named;

	for (int i = 0; pare_dial_words[i].uses || pare_dial_words[i].family != PARE_N_METHODS; i++)
		for (size_t k = 0; k < sizeof own / sizeof *own; k++)
			if (pare_dial_words[i].at == own[k])
				rest &= ~(1u << i);
	return c->to.activations && !rest;
}

/* Layers that no activation enters are left out, unless they were all that was named. */
static enum pare_status leave_alone(const struct pare_model *m, const struct pare_statement *s,
	const char *name, bool *picked, struct pare_err *err)
{
	int n = pare_model_info(m)->n_layers, alone = -1, left = 0;

	for (int i = 0; i < n && turns_activations(&s->change); i++) {
		if (!picked[i])
			continue;
		picked[i] = !pare_model_layer(m, i)->alone;
		left += picked[i];
		alone = picked[i] || alone >= 0 ? alone : i;
	}
	if (left || alone < 0)
		return PARE_OK;
	return pare_word_fail(err, PARE_E_UNSUPPORTED, name, s->layers.words,
		"no activation that could be quantized enters '%s': turn its weights",
		pare_model_layer(m, alone)->name);
}

enum pare_status pare_plan_say(struct pare_plan *p, const struct pare_model *m,
	const struct pare_statement *s, const char *name, int *n, struct pare_err *err)
{
	bool *picked;
	enum pare_status st;

	if (s->kind == PARE_SAY_STEP) {
		p->steps = s->steps ? p->steps | s->steps : 0;
		*n = 1;
		return PARE_OK;
	}
	if (!(picked = calloc((size_t)p->n + 1, sizeof *picked)))
		return pare_nomem(err, "a plan");
	st = pare_layers_pick(&s->layers, m, name, picked, n, err);
	if (!st && s->change.named & 1u << PARE_CHANGE_CHANNELS)
		st = leave_stuck(m, s, name, picked, err);
	if (!st && s->change.named & 1u << PARE_CHANGE_BLOCK)
		st = leave_outside(m, s, name, picked, err);
	if (!st && s->change.named & 1u << PARE_CHANGE_RANK)
		st = leave_whole(m, s, name, picked, err);
	if (!st)
		st = leave_alone(m, s, name, picked, err);
	*n = 0;
	for (int i = 0; !st && i < p->n; i++)
		if (picked[i]) {
			pare_change_apply(&s->change, &p->dials[i]);
			if (pare_model_layer(m, i)->alone)
				p->dials[i].activations = 0;
			if (s->change.named & 1u << PARE_CHANGE_CHANNELS)
				p->dials[i].channels =
					pare_group_even(m, i, p->dials[i].channels, s->multiple);
			if (s->change.named &
				(1u << PARE_CHANGE_CHANNELS | 1u << PARE_CHANGE_BLOCK))
				pare_plan_tie(m, p, i);
			++*n;
		}
	free(picked);
	return st;
}

/* One line of a recipe, its budget spread at once. */
static enum pare_status carry_out(struct pare_plan *p, const struct pare_model *m,
	const struct pare_statement *s, const char *name,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_budget b;
	int n;
	enum pare_status st = pare_plan_say(p, m, s, name, &n, err);

	if (st || !pare_statement_spreads(s))
		return st;
	if ((st = pare_budget_new(s, m, name, &b, err)))
		return st;
	st = pare_budget_spread(&b, m, p, calibration, ctl, err);
	pare_budget_free(&b);
	return st ? pare_wrap(err, st, "%s:%d", name, s->word->line) : st;
}

static enum pare_status plan_of(const struct pare_script *s, const char *name,
	const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_plan **out, struct pare_err *err)
{
	struct pare_plan *p = pare_plan_of(m);
	enum pare_status st = p ? PARE_OK : pare_nomem(err, "a plan");

	for (int i = 0; !st && i < s->n; i++)
		if (s->statements[i].kind == PARE_SAY_SET ||
			s->statements[i].kind == PARE_SAY_PRUNE ||
			s->statements[i].kind == PARE_SAY_EXIT ||
			s->statements[i].kind == PARE_SAY_STEP)
			st = carry_out(p, m, &s->statements[i], name, calibration, ctl, err);
	if (st) {
		pare_plan_free(p);
		return st;
	}
	*out = p;
	return PARE_OK;
}

enum pare_status pare_recipe_plan(const struct pare_recipe *r, const struct pare_model *m,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_plan **out,
	struct pare_err *err)
{
	return plan_of(&r->script, r->path, m, calibration, ctl, out, err);
}

enum pare_status pare_plan_parse(
	const struct pare_model *m, const char *text, struct pare_plan **out, struct pare_err *err)
{
	struct pare_script s;
	enum pare_status st =
		pare_script_parse(text, strlen(text), "plan", PARE_IN_RECIPE, &s, err);

	if (st)
		return st;
	st = plan_of(&s, "plan", m, NULL, NULL, out, err);
	pare_script_free(&s);
	return st;
}
