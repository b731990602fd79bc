/* From a plan to its text. */
#include "recipe.h"
#include "words.h"
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- plans as lines ----------------------------------------------------------------------------
 *
 * `set` and `prune` are written apart, and only where something is not as the file has it.  For
 * each: the value that most layers have goes to `*`, and the others follow as exceptions to it,
 * saying only where they differ. */

struct lines {
	const struct pare_model *m;
	const struct pare_dials *dials; /* without what has no effect */
	const struct pare_dials *start; /* what the file has, likewise */
	int n;
	int *first; /* [n]: the first layer with the same values in the part at hand; -1 = no part
		       in it */
	int *same;  /* layers of one line */
	int n_same;
	struct pare_text *out;
};

/* What one family of lines is about. */
struct part {
	enum pare_statement_kind kind;
	const struct pare_prune_word *what; /* PRUNE; NULL otherwise */
};

static bool is_of(const struct part *p, const struct pare_dial_word *w)
{
	return w->statement == p->kind && (!w->of || !strcmp(w->of, p->what->of));
}

static float share_at(const struct part *p, const struct pare_dials *d)
{
	float f = 0;

	if (p->what && !p->what->share)
		return *((const uint8_t *)d + p->what->at);
	if (p->what)
		memcpy(&f, (const char *)d + p->what->at, sizeof f);
	return f;
}

static bool is_rank(const struct part *p)
{
	return p->what == &pare_prune_words[PARE_PRUNE_RANK];
}

/* Layers whose channels cannot go are in no line about channels, those in no block in none about
 * blocks, those that cannot become two in none about ranks. */
static bool concerns(const struct lines *l, const struct part *p, int layer)
{
	const struct pare_dials least = { .rank = 1e-3F };

	if (is_rank(p))
		return pare_layer_rank(l->m, layer, &least, NULL) > 0;
	if (p->what && !p->what->share)
		return pare_model_layer(l->m, layer)->block >= 0;
	return p->what != &pare_prune_words[PARE_PRUNE_CHANNELS] ||
	       pare_model_layer(l->m, layer)->group >= 0;
}

static uint8_t dial_at(const struct pare_dials *d, const struct pare_dial_word *w)
{
	return *((const uint8_t *)d + w->at);
}

static bool
same_part(const struct part *part, const struct pare_dials *a, const struct pare_dials *b)
{
	if (share_at(part, a) != share_at(part, b))
		return false;
	for (const struct pare_dial_word *w = pare_dial_words; w->family != PARE_N_METHODS; w++)
		if (dial_at(a, w) != dial_at(b, w) && is_of(part, w))
			return false;
	return true;
}

/* Dials that change nothing go back to their first row, so that equal plans have one text. */
static void without_effect(struct pare_dials *d)
{
	for (const struct pare_dial_word *w = pare_dial_words; w->family != PARE_N_METHODS; w++) {
		struct pare_dials less = *d;

		*((uint8_t *)&less + w->at) = 0;
		if (pare_dials_equal(d, &less))
			*d = less;
	}
}

/* Fill in l->first; returns the first of the layers whose values are the commonest. */
static int sort_out(struct lines *l, const struct part *part)
{
	int *firsts = l->same, n_firsts = 0, best = 0;
	int *count = calloc((size_t)l->n + 1, sizeof *count);

	l->out->failed |= !count;
	for (int i = 0; i < l->n; i++) {
		int k = 0;

		l->first[i] = -1;
		if (!concerns(l, part, i))
			continue;
		while (k < n_firsts && !same_part(part, &l->dials[firsts[k]], &l->dials[i]))
			k++;
		if (k == n_firsts)
			firsts[n_firsts++] = i;
		l->first[i] = firsts[k];
		if (count)
			count[firsts[k]]++;
	}
	for (int k = 0; k < n_firsts && count; k++)
		if (count[firsts[k]] > count[best])
			best = firsts[k];
	free(count);
	return best;
}

static bool in_same(const struct lines *l, int layer)
{
	return l->first[layer] == l->first[l->same[0]];
}

static bool plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || strchr("\"\\,*?#", *s))
			return false;
	return true;
}

/* "op=Conv" when the line is all layers of one kind. */
static bool op_pattern(const struct lines *l, char *buf, size_t len)
{
	const char *op = pare_model_layer(l->m, l->same[0])->op;
	int n = 0;

	for (int i = 0; i < l->n; i++)
		if (!strcmp(pare_model_layer(l->m, i)->op, op)) {
			if (!in_same(l, i))
				return false;
			n++;
		}
	return n == l->n_same && plain(op) && (size_t)snprintf(buf, len, "op=%s", op) < len &&
	       pare_model_find_layer(l->m, buf) < 0;
}

/* "block1.*" when the line is all layers whose names begin alike. */
static bool prefix_pattern(const struct lines *l, char *buf, size_t len)
{
	const char *first = pare_model_layer(l->m, l->same[0])->name;
	size_t n = strlen(first);

	for (int i = 1; i < l->n_same; i++) {
		const char *s = pare_model_layer(l->m, l->same[i])->name;
		size_t k = 0;

		while (k < n && s[k] == first[k])
			k++;
		n = k;
	}
	if (!n || (size_t)snprintf(buf, len, "%.*s", (int)n, first) + 2 > len || !plain(buf) ||
		!strncmp(buf, "op=", 3))
		return false;
	for (int i = 0; i < l->n; i++)
		if (!strncmp(pare_model_layer(l->m, i)->name, buf, n) && !in_same(l, i))
			return false;
	strcat(buf, "*");
	return pare_model_find_layer(l->m, buf) < 0;
}

/* v * times in as few digits as bring v back. */
static const char *shortest(float v, double times, char buf[48])
{
	for (int digits = 0; digits <= 13; digits++) {
		snprintf(buf, 48, digits < 13 ? "%.*f" : "%.*g", digits, times * (double)v);
		if ((float)(strtod(buf, NULL) / times) == v)
			break;
	}
	return buf;
}

/* Where it differs from `base`; NULL: all of it. */
static void add_value(struct lines *l, const struct part *part, const struct pare_dials *d,
	const struct pare_dials *base)
{
	if (part->what && !part->what->share)
		pare_text_add(l->out, " %s%s%s", part->what->of, share_at(part, d) > 0 ? "" : " ",
			share_at(part, d) > 0 ? "" : pare_method_name(PARE_BLOCK, 0));
	else if (part->what) {
		char buf[48];

		pare_text_add(
			l->out, " %s %s%%", part->what->of, shortest(share_at(part, d), 100, buf));
	}
	for (const struct pare_dial_word *w = pare_dial_words; w->family != PARE_N_METHODS; w++) {
		uint8_t v = dial_at(d, w);
		const char *name = pare_dial_value_name(w, v);

		/* a pattern with a share of its own is named wherever it is meant; a rank may not
		 * have come to the layer with the line before, for it cannot be had in every way */
		bool said = (w->family == PARE_PATTERN && !w->uses && pare_pattern_share(v) > 0) ||
			    (is_rank(part) && v);

		if (!is_of(part, w) || (base && v == dial_at(base, w) && !said))
			continue;
		if (part->what && !(share_at(part, d) > 0)) /* how nothing goes is no matter */
			continue;
		pare_text_add(l->out, "%s%s %s", w->word ? " " : "", w->word ? w->word : "",
			name ? name : "?");
	}
	pare_text_add(l->out, "\n");
}

static void add_line(struct lines *l, const struct part *part, const char *layers,
	const struct pare_dials *d, const struct pare_dials *base)
{
	pare_text_add(l->out, "%-6s %-8s", pare_statement_rows[part->kind].name, layers);
	add_value(l, part, d, base);
}

/* The layers in l->same: by a pattern if there is one, else by name, some to a line. */
static void add_same(struct lines *l, const struct part *part, const struct pare_dials *base)
{
	const struct pare_dials *d = &l->dials[l->same[0]];
	struct pare_text list = { 0 };
	char pattern[256];

	if (l->n_same > 1 && (op_pattern(l, pattern, sizeof pattern) ||
				     prefix_pattern(l, pattern, sizeof pattern))) {
		add_line(l, part, pattern, d, base);
		return;
	}
	for (int i = 0; i < l->n_same; i++) {
		char *name = pare_word_quote(pare_model_layer(l->m, l->same[i])->name);

		pare_text_add(&list, "%s%s", list.n ? "," : "", name ? name : "");
		l->out->failed |= !name || list.failed;
		free(name);
		if (!l->out->failed && (list.n > 60 || i + 1 == l->n_same)) {
			add_line(l, part, list.s, d, base);
			list.n = 0;
		}
	}
	free(list.s);
}

static void add_lines(struct lines *l, const struct part *part)
{
	struct pare_dials zero = { 0 }, base = zero;
	int commonest = sort_out(l, part);
	bool changed = false, from_zero = true;

	for (int i = 0; i < l->n; i++) {
		changed |= !same_part(part, &l->dials[i], &l->start[i]);
		from_zero &= same_part(part, &l->start[i], &zero);
	}
	if (!changed)
		return;
	if (l->n)
		base = l->dials[commonest];
	if (!from_zero || !same_part(part, &base, &zero))
		add_line(l, part, "*", &base, from_zero ? &zero : NULL);
	for (int i = 0; i < l->n; i++) {
		if (l->first[i] != i || i == commonest)
			continue;
		l->n_same = 0;
		for (int j = i; j < l->n; j++)
			if (l->first[j] == i)
				l->same[l->n_same++] = j;
		add_same(l, part, &base);
	}
}

static void add_exits(struct lines *l)
{
	for (int i = 0; i < l->n; i++) {
		char *name, buf[48];

		if (l->dials[i].exit == 0)
			continue;
		name = pare_word_quote(pare_model_layer(l->m, i)->name);
		l->out->failed |= !name;
		pare_text_add(l->out, "%-6s %-8s", pare_statement_rows[PARE_SAY_EXIT].name,
			name ? name : "");
		if (l->dials[i].exit > 0)
			pare_text_add(l->out, " threshold %s", shortest(l->dials[i].exit, 1, buf));
		pare_text_add(l->out, "\n");
		free(name);
	}
}

static void add_steps(struct pare_text *out, unsigned steps)
{
	if (!steps)
		return;
	pare_text_add(out, "%-6s", "step");
	for (int i = 0; pare_method_name(PARE_STEP, i); i++)
		if (steps >> i & 1)
			pare_text_add(out, " %s", pare_method_name(PARE_STEP, i));
	pare_text_add(out, "\n");
}

static enum pare_status add_plan(struct pare_text *out, const struct pare_model *m,
	const struct pare_plan *p, struct pare_err *err)
{
	struct pare_plan *less = pare_plan_copy(p), *start = pare_plan_of(m);
	size_t room = (size_t)p->n + 1;
	struct lines l = { .m = m,
		.n = p->n,
		.first = calloc(room, sizeof *l.first),
		.same = calloc(room, sizeof *l.same),
		.out = out };

	if (less && start && l.first && l.same) {
		for (int i = 0; i < p->n; i++) {
			without_effect(&less->dials[i]);
			without_effect(&start->dials[i]);
		}
		l.dials = less->dials;
		l.start = start->dials;
		add_lines(&l, &(struct part){ PARE_SAY_SET, NULL });
		for (int k = 0; k < PARE_N_PRUNE; k++)
			add_lines(&l, &(struct part){ PARE_SAY_PRUNE, &pare_prune_words[k] });
		add_exits(&l);
		add_steps(out, p->steps);
	} else
		out->failed = true;
	pare_plan_free(less);
	pare_plan_free(start);
	free(l.first);
	free(l.same);
	return out->failed ? pare_nomem(err, "the text of a plan") : PARE_OK;
}

static enum pare_status
finish(struct pare_text *t, enum pare_status st, char **text, struct pare_err *err)
{
	if (!st && t->failed)
		st = pare_nomem(err, "the text of a recipe");
	if (st)
		free(t->s);
	else
		*text = t->s;
	return st;
}

enum pare_status pare_plan_text(
	const struct pare_model *m, const struct pare_plan *p, char **text, struct pare_err *err)
{
	struct pare_text t = { 0 };

	pare_text_add(&t, "%s", "");
	return finish(&t, add_plan(&t, m, p, err), text, err);
}

/* ---- the rest of a recipe
 * ------------------------------------------------------------------------ */

static void add_path(struct pare_text *t, const char *what, const char *folder, const char *path)
{
	char *rel = pare_path_from(folder, path), *word = rel ? pare_word_quote(rel) : NULL;

	if (word)
		pare_text_add(t, "%-6s %s", what, word);
	else
		t->failed = true;
	free(rel);
	free(word);
}

static void add_shapes(struct pare_text *t, const struct pare_model_info *m)
{
	pare_text_add(t, "%s%s\n", *m->shapes ? "  shape " : "", m->shapes);
}

static void add_data(struct pare_text *t, const struct pare_recipe_parts *p, const char *folder)
{
	const struct pare_dataset_info *d = pare_dataset_info(p->data);
	int64_t to = d->evaluate_to;

	if (p->samples > 0 && p->samples < d->n_evaluate)
		to = d->evaluate_from + p->samples;
	add_path(t, "data", folder, d->path);
	pare_text_add(t,
		"  sha256:%s  calibrate %" PRId64 ":%" PRId64 " evaluate %" PRId64 ":%" PRId64 "\n",
		d->sha256, d->calibrate_from, d->calibrate_to, d->evaluate_from, to);
}

static void add_promises(struct pare_text *t, const struct pare_recipe_parts *p)
{
	size_t before = t->n;

	for (int i = 0; i < PARE_N_PROMISES; i++) {
		const struct pare_promise_row *row = &pare_promise_rows[i];
		const struct pare_promised *v = &p->promised[i];

		if (!v->said)
			continue;
		pare_text_add(t, "%s %s %.*f%s", t->n == before ? "expect" : " ", row->name,
			row->digits, v->value, row->unit);
		if (v->tolerance > 0)
			pare_text_add(t, " ± %.*f", row->digits, v->tolerance);
	}
	if (p->promised_sha)
		pare_text_add(t, "%s sha256:%s", t->n == before ? "expect" : " ", p->promised_sha);
	if (p->promised_sha && p->promised_cpu) {
		char *cpu = pare_word_quote(p->promised_cpu);

		pare_text_add(t, "  cpu %s", cpu ? cpu : "");
		t->failed |= !cpu;
		free(cpu);
	}
	if (t->n != before)
		pare_text_add(t, "\n");
}

static void add_devices(struct pare_text *t, const char *const *devices)
{
	if (!devices || !devices[0])
		return;
	pare_text_add(t, "device");
	for (; *devices; devices++) {
		char *word = pare_word_quote(*devices);

		pare_text_add(t, " %s", word ? word : "");
		t->failed |= !word;
		free(word);
	}
	pare_text_add(t, "\n");
}

enum pare_status pare_recipe_text(
	const struct pare_recipe_parts *p, const char *folder, char **text, struct pare_err *err)
{
	const struct pare_model_info *m = pare_model_info(p->model);
	struct pare_text t = { 0 };
	enum pare_status st;

	pare_text_add(&t, "pare 1\n");
	add_path(&t, "model", folder, m->path);
	pare_text_add(&t, "  sha256:%s", m->sha256);
	add_shapes(&t, m);
	if (p->data)
		add_data(&t, p, folder);
	pare_text_add(&t, "%-6s %" PRIu64 "\n", "seed", p->seed);
	st = add_plan(&t, p->model, p->plan, err);
	add_devices(&t, p->devices);
	add_promises(&t, p);
	return finish(&t, st, text, err);
}

enum pare_status
pare_recipe_write(const char *path, const struct pare_recipe_parts *parts, struct pare_err *err)
{
	char *folder = pare_path_folder(path), *text;
	enum pare_status st = folder ? PARE_OK : pare_nomem(err, path);

	if (!st)
		st = pare_recipe_text(parts, folder, &text, err);
	free(folder);
	if (st)
		return st;
	st = pare_file_write(path, text, strlen(text), err);
	free(text);
	return st;
}

enum pare_status
pare_recipe_sha(const struct pare_recipe_parts *p, char sha[PARE_SHA_HEX], struct pare_err *err)
{
	struct pare_text t = { 0 };
	char *text;
	enum pare_status st;

	pare_text_add(&t, "pare 1\nmodel sha256:%s", pare_model_info(p->model)->sha256);
	add_shapes(&t, pare_model_info(p->model));
	if (p->data) {
		const struct pare_dataset_info *d = pare_dataset_info(p->data);

		pare_text_add(&t, "data sha256:%s calibrate %" PRId64 ":%" PRId64 "\n", d->sha256,
			d->calibrate_from, d->calibrate_to);
	}
	pare_text_add(&t, "seed %" PRIu64 "\n", p->seed);
	if ((st = finish(&t, add_plan(&t, p->model, p->plan, err), &text, err)))
		return st;
	pare_sha256(text, strlen(text), sha);
	free(text);
	return PARE_OK;
}
