/* data.conf: where samples lie and how they become inputs.  One key a line, # begins a comment,
 * words are separated by blanks, "…" keeps blanks in a word, paths are relative to the file. */
#include "../base/err.h"
#include "data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 4096 };

struct conf {
	const char *path, *folder;
	int line;
	const struct data_want *want;
	struct data_source *out;
	const char *samples, *labels, *train, *train_labels; /* paths */
	bool nhwc;
};

struct conf_key { /* a row: its name, how many words may follow, what they do */
	const char *name, *words;
	int min, max;
	enum pare_status (*set)(struct conf *c, char **word, int n, struct pare_err *err);
};

static enum pare_status
set_path(struct conf *c, const char *word, const char **out, struct pare_err *err)
{
	*out = data_join(c->want->arena, c->folder, word);
	return *out ? PARE_OK : pare_nomem(err, c->path);
}

static enum pare_status set_samples(struct conf *c, char **word, int n, struct pare_err *err)
{
	(void)n;
	return set_path(c, word[0], &c->samples, err);
}

static enum pare_status set_labels(struct conf *c, char **word, int n, struct pare_err *err)
{
	(void)n;
	return set_path(c, word[0], &c->labels, err);
}

static enum pare_status set_train(struct conf *c, char **word, int n, struct pare_err *err)
{
	enum pare_status st = set_path(c, word[0], &c->train, err);

	return st || n < 2 ? st : set_path(c, word[1], &c->train_labels, err);
}

static bool parse_number(const char *word, double *out)
{
	char *end;

	*out = data_number(word, &end);
	return end != word && !*end && *out - *out == 0; /* finite */
}

static enum pare_status not_a_number(const struct conf *c, const char *word, struct pare_err *err)
{
	return pare_fail(err, PARE_E_FORMAT, "%s:%d: '%s' is not a number", c->path, c->line, word);
}

static enum pare_status set_scale(struct conf *c, char **word, int n, struct pare_err *err)
{
	(void)n;
	return parse_number(word[0], &c->out->scale) ? PARE_OK : not_a_number(c, word[0], err);
}

static enum pare_status
set_numbers(struct conf *c, char **word, int n, const double **out, struct pare_err *err)
{
	double *v = pare_alloc_n(c->want->arena, (size_t)n, sizeof *v);

	if (!v)
		return pare_nomem(err, c->path);
	for (int i = 0; i < n; i++)
		if (!parse_number(word[i], &v[i]))
			return not_a_number(c, word[i], err);
	*out = v;
	return PARE_OK;
}

static enum pare_status set_mean(struct conf *c, char **word, int n, struct pare_err *err)
{
	c->out->n_mean = n;
	return set_numbers(c, word, n, &c->out->mean, err);
}

static enum pare_status set_std(struct conf *c, char **word, int n, struct pare_err *err)
{
	enum pare_status st = set_numbers(c, word, n, &c->out->std, err);

	for (int i = 0; !st && i < n; i++)
		if (!(c->out->std[i] > 0))
			st = pare_fail(err, PARE_E_FORMAT,
				"%s:%d: std must be greater than 0, not %s", c->path, c->line,
				word[i]);
	c->out->n_std = n;
	return st;
}

static enum pare_status set_layout(struct conf *c, char **word, int n, struct pare_err *err)
{
	(void)n;
	c->nhwc = !strcmp(word[0], "nhwc");
	if (c->nhwc || !strcmp(word[0], "nchw"))
		return PARE_OK;
	return pare_fail(err, PARE_E_FORMAT, "%s:%d: layout is nchw or nhwc, not '%s'", c->path,
		c->line, word[0]);
}

static enum pare_status set_classes(struct conf *c, char **word, int n, struct pare_err *err)
{
	const char **names = pare_alloc_n(c->want->arena, (size_t)n, sizeof *names);

	for (int i = 0; names && i < n; i++)
		if (!(names[i] = pare_strdup(c->want->arena, word[i])))
			names = NULL;
	if (!names)
		return pare_nomem(err, c->path);
	c->out->classes = names;
	c->out->n_classes = n;
	return PARE_OK;
}

static enum pare_status set_metric(struct conf *c, char **word, int n, struct pare_err *err)
{
	char known[128] = "";

	(void)n;
	for (const struct data_measure *m = data_measures; m->name; m++) {
		if (!strcmp(word[0], m->name)) {
			c->out->measure = m;
			return PARE_OK;
		}
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
			*known ? " or " : "", m->name);
	}
	return pare_fail(err, PARE_E_FORMAT, "%s:%d: metric is %s, not '%s'", c->path, c->line,
		known, word[0]);
}

/* A:B, A: or :B */
static bool parse_bounds(const char *word, struct data_bounds *out)
{
	struct data_bounds b = { -1, -1 };
	const char *p = word;
	int64_t *to[] = { &b.from, &b.to };

	for (int i = 0; i < 2; i++) {
		for (; *p >= '0' && *p <= '9'; p++) {
			int64_t was = *to[i] < 0 ? 0 : *to[i];

			if (was > (int64_t)1 << 40)
				return false;
			*to[i] = was * 10 + (*p - '0');
		}
		if (*p != (i ? 0 : ':'))
			return false;
		p++;
	}
	if (b.from < 0)
		b.from = 0;
	*out = b;
	return b.to < 0 || b.from <= b.to;
}

static enum pare_status set_split(struct conf *c, char **word, int n, struct pare_err *err)
{
	for (int i = 0; i < n; i += 2) {
		struct data_bounds *to = !strcmp(word[i], "calibrate")  ? &c->out->calibrate
					 : !strcmp(word[i], "evaluate") ? &c->out->evaluate
									: NULL;

		if (!to)
			return pare_fail(err, PARE_E_FORMAT,
				"%s:%d: '%s': a split has the parts calibrate and evaluate",
				c->path, c->line, word[i]);
		if (i + 1 == n || !parse_bounds(word[i + 1], to))
			return pare_fail(err, PARE_E_FORMAT,
				"%s:%d: after %s stands FROM:TO, as in %s 0:500, not '%s'", c->path,
				c->line, word[i], word[i], i + 1 == n ? "" : word[i + 1]);
	}
	return PARE_OK;
}

static const struct conf_key keys[] = {
	{ "samples", "PATH", 1, 1, set_samples },
	{ "labels", "PATH", 1, 1, set_labels },
	{ "train", "SAMPLES [LABELS]", 1, 2, set_train },
	{ "split", "calibrate A:B evaluate C:D", 2, 4, set_split },
	{ "scale", "NUMBER", 1, 1, set_scale },
	{ "mean", "NUMBER…", 1, WORDS_MAX, set_mean },
	{ "std", "NUMBER…", 1, WORDS_MAX, set_std },
	{ "layout", "nchw|nhwc", 1, 1, set_layout },
	{ "classes", "NAME…", 1, WORDS_MAX, set_classes },
	{ "metric", "top1|fidelity", 1, 1, set_metric },
	{ NULL, NULL, 0, 0, NULL },
};
enum { N_KEYS = sizeof keys / sizeof *keys - 1 };

/* Letters to insert, drop or change to come from a to b (Levenshtein); both are cut at 15. */
static int distance(const char *a, const char *b)
{
	int row[16], n = (int)strnlen(b, 15);

	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 0; a[i] && i < 15; i++) {
		int corner = row[0];

		row[0] = i + 1;
		for (int j = 1; j <= n; j++) {
			int change = corner + (a[i] != b[j - 1]);

			corner = row[j];
			if (corner + 1 < change)
				change = corner + 1;
			row[j] = row[j - 1] + 1 < change ? row[j - 1] + 1 : change;
		}
	}
	return row[n];
}

static const struct conf_key *find_key(struct conf *c, const char *word, struct pare_err *err)
{
	const struct conf_key *near = keys;

	for (const struct conf_key *k = keys; k->name; k++) {
		if (!strcmp(word, k->name))
			return k;
		if (distance(word, k->name) < distance(word, near->name))
			near = k;
	}
	(void)pare_fail(err, PARE_E_FORMAT, "%s:%d: '%.40s' is not known; did you mean '%s'?",
		c->path, c->line, word, near->name);
	return NULL;
}

/* Cut a line into words in place; their number, -1 when a quote is not closed or there are too
 * many. */
static int split_words(char *line, char **word)
{
	int n = 0;
	char *p = line;

	for (;;) {
		p += strspn(p, " \t\r");
		if (!*p || *p == '#')
			return n;
		if (n == WORDS_MAX)
			return -1;
		if (*p == '"') {
			word[n++] = ++p;
			p += strcspn(p, "\"");
			if (!*p)
				return -1;
		} else {
			word[n++] = p;
			p += strcspn(p, " \t\r");
			if (!*p)
				return n;
		}
		*p++ = 0;
	}
}

static enum pare_status
read_line(struct conf *c, char *line, char **word, int *seen, struct pare_err *err)
{
	int n = split_words(line, word), args = n - 1;
	const struct conf_key *k;

	if (n == 0)
		return PARE_OK;
	if (n < 0)
		return pare_fail(err, PARE_E_FORMAT,
			"%s:%d: a quote is not closed, or there are more than %d words", c->path,
			c->line, WORDS_MAX);
	if (!(k = find_key(c, word[0], err)))
		return PARE_E_FORMAT;
	if (seen[k - keys])
		return pare_fail(err, PARE_E_FORMAT, "%s:%d: '%s' was already given in line %d",
			c->path, c->line, k->name, seen[k - keys]);
	seen[k - keys] = c->line;
	if (args < k->min || args > k->max)
		return pare_fail(err, PARE_E_FORMAT, "%s:%d: write: %s %s", c->path, c->line,
			k->name, k->words);
	return k->set(c, word + 1, args, err);
}

static enum pare_status read_lines(struct conf *c, char *text, struct pare_err *err)
{
	char **word = pare_alloc_n(c->want->arena, WORDS_MAX + 1, sizeof *word);
	int seen[N_KEYS] = { 0 };
	enum pare_status st = PARE_OK;

	if (!word)
		return pare_nomem(err, c->path);
	for (char *line = text; !st && line;) {
		char *end = strchr(line, '\n');

		if (end)
			*end = 0;
		c->line++;
		st = read_line(c, line, word, seen, err);
		line = end ? end + 1 : NULL;
	}
	if (!st && !c->samples)
		st = pare_fail(err, PARE_E_FORMAT,
			"%s: no line 'samples PATH' says where the data lie", c->path);
	return st;
}

/* The samples of `path`; labels of `labels`, or those that come along. */
static enum pare_status open_set(struct conf *c, const char *path, const char *labels,
	struct data_set *out, struct pare_err *err)
{
	struct data_want want = *c->want;
	struct data_source s = { .train = { 0 } };
	enum pare_status st;

	want.inner = true;
	if ((st = data_open(path, &want, &s, err)))
		return pare_wrap(err, st, "%s", c->path);
	if (labels) {
		struct data_source l = { .train = { 0 } };

		want.model = NULL; /* no input of it */
		if ((st = data_open(labels, &want, &l, err))) {
			data_source_close(&s);
			return pare_wrap(err, st, "%s", c->path);
		}
		pare_blob_free(s.samples.y.blob);
		s.samples.y = l.samples.x;
		s.samples.n_classes = 0;
		l.samples.x.blob = NULL;
		data_source_close(&l);
	}
	data_set_close(&s.train);
	*out = s.samples;
	out->nhwc = c->nhwc;
	return PARE_OK;
}

static enum pare_status conf_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	struct conf c = { .path = path, .want = want, .out = out };
	struct pare_blob *b;
	enum pare_status st;
	char *text = NULL;

	if (want->inner)
		return pare_fail(err, PARE_E_FORMAT,
			"%s: is itself a data.conf; 'samples' and 'train' name data", path);
	if ((st = data_load(path, &b, err)))
		return st;
	if (b->len > 1 << 20 || memchr(b->data, 0, b->len))
		st = pare_fail(err, PARE_E_FORMAT, "%s: is not a text of keys and values", path);
	else if (!(text = pare_strndup(want->arena, b->data, b->len)) ||
		 !(c.folder = data_folder_of(want->arena, path)))
		st = pare_nomem(err, path);
	pare_blob_free(b);
	if (!st)
		st = read_lines(&c, text, err);
	if (!st)
		st = open_set(&c, c.samples, c.labels, &out->samples, err);
	if (!st && c.train)
		st = open_set(&c, c.train, c.train_labels, &out->train, err);
	return st;
}

static bool conf_looks(const struct data_probe *p)
{
	return !p->folder && !p->gz && data_ends_with(p->file, ".conf");
}

const struct data_format data_format_conf = { "conf", "a data.conf", conf_looks, conf_open };

static bool conf_folder_looks(const struct data_probe *p)
{
	char path[4096];

	return p->folder && !p->inner &&
	       snprintf(path, sizeof path, "%s/data.conf", p->path) < (int)sizeof path &&
	       data_is_file(path);
}

static enum pare_status conf_folder_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	char *conf = data_join(want->arena, path, "data.conf");

	return conf ? conf_open(conf, want, out, err) : pare_nomem(err, path);
}

const struct data_format data_format_conf_folder = { "conf folder", "a folder with one",
	conf_folder_looks, conf_folder_open };
