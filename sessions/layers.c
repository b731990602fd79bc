/* Which layers a line means. */
#include "words.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `*` is any run of characters, `?` any one; takes time at most length × length. */
static bool glob(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (*s)
		if (*pattern == '*') {
			star = ++pattern;
			retry = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star;
			s = ++retry;
		} else
			return false;
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* Exporters name a layer by its path, "/layer2/layer2.0/conv1/Conv": does the pattern match some of
 * its parts, one after the other? */
static bool glob_within(const char *pattern, const char *path)
{
	char *p, *s;
	bool is = false;

	if (asprintf(&p, "*/%s/*", pattern) < 0)
		return false;
	if (strchr(path, '/') && asprintf(&s, "/%s/", path) >= 0) {
		is = glob(p, s);
		free(s);
	}
	free(p);
	return is;
}

struct picking {
	const struct pare_model *m;
	const char *name; /* of the text */
	const struct pare_word *word;
	bool *picked;
	int n_layers, n;
	struct pare_err *err;
};

static void pick(struct picking *k, int i)
{
	k->picked[i] = true;
	k->n++;
}

static enum pare_status no_such(struct picking *k, const char *item)
{
	const char **known = malloc(((size_t)k->n_layers + 1) * sizeof *known), *near = NULL;
	char shown[64], other[64];

	for (int i = 0; known && i < k->n_layers; i++)
		known[i] = pare_model_layer(k->m, i)->name;
	if (known)
		near = pare_word_nearest(item, known, k->n_layers);
	free(known);
	return pare_word_fail(k->err, PARE_E_ARG, k->name, k->word,
		"there is no layer '%s'; %s%s%s", pare_word_show(item, shown),
		near ? "the nearest name is '" : "the model has layers from '",
		near              ? pare_word_show(near, other)
		: k->n_layers > 0 ? pare_word_show(pare_model_layer(k->m, 0)->name, other)
				  : "",
		"'");
}

static bool is_number(const char *s, int *out)
{
	long v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s))
			return false;
		v = v > 1000000 ? v : v * 10 + (*s - '0');
	}
	*out = (int)v;
	return true;
}

static void pick_within(struct picking *k, const char *item)
{
	for (int i = 0; i < k->n_layers; i++)
		if (glob_within(item, pare_model_layer(k->m, i)->name))
			pick(k, i);
}

static enum pare_status pick_pattern(struct picking *k, const char *item)
{
	bool op = !strncmp(item, "op=", 3);
	int before = k->n, number, exact = pare_model_find_layer(k->m, item);

	if (!strcmp(item, "*"))
		exact = -1; /* the one pattern that no layer's name takes away */
	if (exact >= 0)
		pick(k, exact);
	else if (!strcmp(item, "first") && k->n_layers)
		pick(k, 0);
	else if (!strcmp(item, "last") && k->n_layers)
		pick(k, k->n_layers - 1);
	else if (is_number(item, &number)) {
		if (number < 1 || number > k->n_layers)
			return pare_word_fail(k->err, PARE_E_ARG, k->name, k->word,
				"there is no layer %.20s; they count from 1 to %d", item,
				k->n_layers);
		pick(k, number - 1);
	} else
		for (int i = 0; i < k->n_layers; i++) {
			const struct pare_layer *l = pare_model_layer(k->m, i);

			if (op ? glob(item + 3, l->op) : glob(item, l->name))
				pick(k, i);
		}
	if (k->n == before && !op)
		pick_within(k, item);
	return k->n > before ? PARE_OK : no_such(k, item);
}

/* One item ends at a comma that stands outside quotes. */
static enum pare_status pick_word(struct picking *k, char *item)
{
	const char *p = k->word->raw, *end = p + k->word->raw_len;
	enum pare_status st = PARE_OK;

	while (!st && p < end) {
		char *to = item;
		bool quoted = false, inside = false;

		for (; p < end && (inside || *p != ','); p++)
			if (*p == '"') {
				inside = !inside;
				quoted = true;
			} else if (inside && *p == '\\' && p + 1 < end) {
				p++;
				*to++ = *p == 'n' ? '\n' : *p == 't' ? '\t' : *p == 'r' ? '\r' : *p;
			} else
				*to++ = *p;
		*to = 0;
		p++; /* the comma */
		if (to == item)
			continue; /* `a, b` and a comma at the end */
		if (!quoted)
			st = pick_pattern(k, item);
		else if (pare_model_find_layer(k->m, item) >= 0)
			pick(k, pare_model_find_layer(k->m, item));
		else
			st = no_such(k, item);
	}
	return st;
}

enum pare_status pare_layers_pick(const struct pare_layers *l, const struct pare_model *m,
	const char *name, bool *picked, int *n, struct pare_err *err)
{
	struct picking k = { .m = m,
		.name = name,
		.picked = picked,
		.n_layers = pare_model_info(m)->n_layers,
		.err = err };
	enum pare_status st = PARE_OK;

	for (int i = 0; !st && i < l->n; i++) {
		char *item;

		k.word = &l->words[i];
		item = malloc(k.word->raw_len + 1);
		st = item ? pick_word(&k, item) : pare_nomem(err, "a layer's name");
		free(item);
	}
	if (!st && !k.n && l->n)
		st = pare_word_fail(err, PARE_E_ARG, name, &l->words[0], "no layer is named here");
	*n = k.n;
	return st;
}
