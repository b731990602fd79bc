/* What may stand at the end of a line that is being typed. */
#include "words.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_new(const struct pare_words *out, const char *prefix, const char *text)
{
	if (strncmp(text, prefix, strlen(prefix)))
		return false;
	for (int i = 0; i < out->n; i++)
		if (!strcmp(out->text[i], text))
			return false;
	return true;
}

static void candidate(struct pare_words *out, const char *prefix, const char *text)
{
	char *quoted;

	if (!is_new(out, prefix, text))
		return;
	if ((quoted = pare_word_quote(text)))
		pare_words_add(out, quoted);
	free(quoted);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void complete_files(struct pare_words *out, const char *typed)
{
	const char *slash = strrchr(typed, '/');
	size_t n = slash ? (size_t)(slash - typed) + 1 : 0;
	char path[4096];
	struct dirent *e;
	DIR *d;

	if (snprintf(path, sizeof path, "%.*s", (int)n, typed) >= (int)sizeof path)
		return;
	if (!(d = opendir(n ? path : ".")))
		return;
	while ((e = readdir(d))) {
		struct stat sb;
		int len;

		if (*e->d_name == '.' && typed[n] != '.')
			continue;
		len = snprintf(path + n, sizeof path - n - 1, "%s", e->d_name);
		if (len < 0 || (size_t)len >= sizeof path - n - 1)
			continue;
		if (!stat(path, &sb) && S_ISDIR(sb.st_mode))
			strcat(path, "/");
		candidate(out, typed, path);
	}
	closedir(d);
	if (out->n)
		qsort(out->text, (size_t)out->n, sizeof *out->text, by_name);
}

/* Names that have `typed` at the beginning of one of their parts between slashes. */
static void complete_within(struct pare_words *out, const struct pare_model *m, const char *typed)
{
	for (int i = 0; i < pare_model_info(m)->n_layers; i++) {
		const char *name = pare_model_layer(m, i)->name, *part = strchr(name, '/');

		while (part && strncmp(part + 1, typed, strlen(typed)))
			part = strchr(part + 1, '/');
		if (part)
			candidate(out, "", name);
	}
}

/* Of a list `a,b,c` the last item is completed; words for many layers stand before their names. */
static void complete_layers(struct pare_words *out, const struct pare_model *m, struct pare_word *w)
{
	const char *from = w->raw, *end = w->raw + w->raw_len, *typed = strrchr(w->text, ',');
	static const char *const fixed[] = { "*", "first", "last" };
	bool inside = false;
	int special;

	for (const char *p = w->raw; p < end; p++)
		if (*p == '"')
			inside = !inside;
		else if (*p == ',' && !inside)
			from = p + 1;
	w->text = from == w->raw || !typed ? w->text : typed + 1;
	w->raw = from;
	for (int i = 0; i < 3; i++)
		if (!strncmp(fixed[i], w->text, strlen(w->text)))
			pare_words_add(out, fixed[i]);
	for (int i = 0; m && i < pare_model_info(m)->n_layers; i++) {
		char op[100];

		snprintf(op, sizeof op, "op=%s", pare_model_layer(m, i)->op);
		if (is_new(out, w->text, op))
			pare_words_add(out, op);
	}
	special = out->n;
	for (int i = 0; m && i < pare_model_info(m)->n_layers; i++)
		candidate(out, w->text, pare_model_layer(m, i)->name);
	if (m && *w->text && out->n == special)
		complete_within(out, m, w->text);
}

void pare_language_complete(const char *line, size_t len, const struct pare_model *model,
	const char *const *devices, struct pare_words *out, size_t *start)
{
	struct pare_word *words = NULL, *w, last;
	struct pare_offers o = { 0 };
	char *unquoted = NULL;
	int n = 0;

	pare_words_free(out);
	*start = len;
	if (pare_words_split(line, len, NULL, true, &words, &n, &unquoted, NULL))
		return;
	if (!n || words[n - 1].raw + words[n - 1].raw_len != line + len) {
		if (!(w = realloc(words, ((size_t)n + 1) * sizeof *w)))
			goto out;
		words = w;
		words[n++] = (struct pare_word){ .text = "", .raw = line + len };
	}
	last = words[n - 1];
	if (!pare_statement_offers(words, n, PARE_IN_COMMAND, &o))
		goto out;
	for (int i = 0; i < o.n; i++) /* words of the language are never quoted */
		if (is_new(out, last.text, o.text[i]))
			pare_words_add(out, o.text[i]);
	for (int i = 0; o.devices && devices && devices[i]; i++)
		candidate(out, last.text, devices[i]);
	if (o.files)
		complete_files(out, last.text);
	if (o.layers)
		complete_layers(out, model, &last);
	*start = (size_t)(last.raw - line);
out:
	free(words);
	free(unquoted);
}
