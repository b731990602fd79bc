/* Tables as text: one sample a line, fields between commas, semicolons or tabs.  A first line of
 * names may say which column is the label; its values are class numbers or names of classes. */
#include "../base/err.h"
#include "data.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_ROOM = 256, COLUMNS_MAX = 1 << 20, CLASSES_MAX = 4096 };

static const char *const label_names[] = { "label", "y", "class", "target", NULL };

struct csv {
	const char *path, *p, *end;
	int64_t line;
	char separator;
	/* the labels seen: which one each sample has, and their names */
	int32_t *id; /* [samples] */
	int n_names;
	const char **names; /* [CLASSES_MAX] */
};

/* The next field of the line into cell (what is longer is cut); `more` tells whether the line goes
 * on.  Fields may stand in quotes, "" is a quote in them. */
static void next_cell(struct csv *c, char cell[CELL_ROOM], bool *more)
{
	size_t n = 0;
	bool quoted = false;

	while (c->p < c->end && *c->p == ' ')
		c->p++;
	for (; c->p < c->end && *c->p != '\n' && (quoted || *c->p != c->separator); c->p++) {
		if (*c->p == '"') {
			if (!quoted || c->p + 1 == c->end || c->p[1] != '"') {
				quoted = !quoted;
				continue;
			}
			c->p++;
		}
		if (*c->p != '\r' && n + 1 < CELL_ROOM)
			cell[n++] = *c->p;
	}
	while (n && cell[n - 1] == ' ')
		n--;
	cell[n] = 0;
	*more = c->p < c->end && *c->p != '\n';
	if (c->p < c->end)
		c->p++;
}

static bool is_number(const char *cell, double *value)
{
	char *end;

	*value = data_number(cell, &end);
	return end != cell && !*end && *value - *value == 0;
}

/* Past the empty lines; false at the end. */
static bool next_line(struct csv *c)
{
	while (c->p < c->end) {
		c->line++;
		if (*c->p == '\n')
			c->p++;
		else if (*c->p == '\r' && c->p + 1 < c->end && c->p[1] == '\n')
			c->p += 2;
		else
			return true;
	}
	return false;
}

static int64_t count_lines(struct csv c)
{
	int64_t n = 0;

	for (; next_line(&c); n++) {
		const char *end = memchr(c.p, '\n', (size_t)(c.end - c.p));

		c.p = end ? end : c.end;
	}
	return n;
}

static char find_separator(const struct csv *c)
{
	const char *end = memchr(c->p, '\n', (size_t)(c->end - c->p));
	size_t len = (size_t)((end ? end : c->end) - c->p);

	return memchr(c->p, '\t', len) ? '\t' : memchr(c->p, ';', len) ? ';' : ',';
}

/* Looks at the first line: columns, the label's (-1 = none), and whether it is of names; then it is
 * passed over. */
static void read_first_line(struct csv *c, int *columns, int *label)
{
	struct csv at = *c;
	bool more = next_line(&at), names = true;
	char cell[CELL_ROOM];
	double v;

	*columns = 0;
	*label = -1;
	while (more && *columns < COLUMNS_MAX) {
		next_cell(&at, cell, &more);
		names = names && *cell && !is_number(cell, &v);
		for (const char *const *l = label_names; *l && *label < 0; l++)
			if (!strcasecmp(cell, *l))
				*label = *columns;
		++*columns;
	}
	if (names || *label >= 0)
		*c = at;
}

static enum pare_status
note_label(struct csv *c, int64_t row, const char *cell, struct pare_arena *a, struct pare_err *err)
{
	int k = row ? c->id[row - 1] : 0; /* tables are often sorted */

	if (k >= c->n_names || strcmp(c->names[k], cell) != 0)
		for (k = 0; k < c->n_names && strcmp(c->names[k], cell) != 0;)
			k++;
	if (k == CLASSES_MAX)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s:%lld: more than %d different labels; pare reads classes, not "
			"quantities",
			c->path, (long long)c->line, CLASSES_MAX);
	if (k == c->n_names && !(c->names[c->n_names++] = pare_strdup(a, cell)))
		return pare_nomem(err, c->path);
	c->id[row] = k;
	return PARE_OK;
}

static enum pare_status read_row(struct csv *c, int64_t row, int columns, int label, float *out,
	struct pare_arena *a, struct pare_err *err)
{
	bool more = true;
	char cell[CELL_ROOM];
	double v;
	int i = 0;
	enum pare_status st;

	for (; more && i < columns; i++) {
		next_cell(c, cell, &more);
		if (i == label) {
			if ((st = note_label(c, row, cell, a, err)))
				return st;
		} else if (!is_number(cell, &v)) {
			return pare_fail(err, PARE_E_FORMAT,
				"%s:%lld: '%.40s' in column %d is not a number (a column of labels "
				"is named 'label' in the first line)",
				c->path, (long long)c->line, cell, i + 1);
		} else {
			*out++ = (float)v;
		}
	}
	if (more || i < columns)
		return pare_fail(err, PARE_E_FORMAT,
			"%s:%lld: has %s fields than the %d of the first line", c->path,
			(long long)c->line, more ? "more" : "fewer", columns);
	return PARE_OK;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Labels that are numbers stand for themselves; names are counted in alphabetical order. */
static enum pare_status finish_labels(
	struct csv *c, int64_t n, struct pare_arena *a, struct data_set *out, struct pare_err *err)
{
	struct pare_shape shape = { 1, { n } };
	const char **sorted = pare_memdup(a, c->names, (size_t)c->n_names * sizeof *sorted);
	bool numbers = true;
	enum pare_status st = data_array_new(c->path, PARE_F32, &shape, &out->y, err);
	float value[CLASSES_MAX], *y;

	if (st)
		return st;
	if (!sorted)
		return pare_nomem(err, c->path);
	for (int k = 0; k < c->n_names; k++) {
		double v = 0;

		numbers = numbers && is_number(c->names[k], &v);
		value[k] = (float)v;
	}
	if (!numbers) {
		qsort(sorted, (size_t)c->n_names, sizeof *sorted, by_text);
		for (int k = 0; k < c->n_names; k++)
			for (int i = 0; i < c->n_names; i++)
				if (sorted[i] == c->names[k])
					value[k] = (float)i;
		out->classes = sorted;
		out->n_classes = c->n_names;
	}
	y = out->y.blob->data;
	for (int64_t i = 0; i < n; i++)
		y[i] = value[c->id[i]];
	return PARE_OK;
}

static enum pare_status
read_table(struct csv *c, struct pare_arena *a, struct data_set *out, struct pare_err *err)
{
	int columns, label, features;
	int64_t n;
	struct pare_shape shape = { 2, { 0 } };
	enum pare_status st;
	float *x;

	c->separator = find_separator(c);
	read_first_line(c, &columns, &label);
	n = count_lines(*c);
	features = columns - (label >= 0);
	if (!n || features < 1 || columns == COLUMNS_MAX)
		return pare_fail(err, PARE_E_FORMAT, "%s: is not a table of samples", c->path);
	/* a number and what separates it take two bytes */
	if (n > (c->end - c->p) / (2 * (int64_t)columns - 1) + 1)
		return pare_fail(err, PARE_E_FORMAT,
			"%s: its lines have fewer fields than the %d of the first", c->path,
			columns);
	shape.d[0] = n;
	shape.d[1] = features;
	if ((st = data_array_new(c->path, PARE_F32, &shape, &out->x, err)))
		return st;
	c->names = pare_alloc_n(a, CLASSES_MAX, sizeof *c->names);
	c->id = pare_alloc_n(a, (size_t)n, sizeof *c->id);
	if (!c->names || !c->id)
		return pare_nomem(err, c->path);
	x = out->x.blob->data;
	for (int64_t i = 0; !st && i < n && next_line(c); i++)
		st = read_row(c, i, columns, label, x + i * features, a, err);
	return st || label < 0 ? st : finish_labels(c, n, a, out, err);
}

static enum pare_status csv_open(const char *path, const struct data_want *want,
	struct data_source *out, struct pare_err *err)
{
	struct pare_blob *text;
	enum pare_status st = data_load(path, &text, err);
	struct csv c = { .path = path };

	if (st)
		return st;
	c.p = text->data;
	c.end = c.p + text->len;
	if (text->len >= 3 && !memcmp(c.p, "\xef\xbb\xbf", 3)) /* a byte order mark */
		c.p += 3;
	st = read_table(&c, want->arena, &out->samples, err);
	pare_blob_free(text);
	return st;
}

static bool csv_looks(const struct data_probe *p)
{
	return !p->folder && !p->gz &&
	       (data_ends_with(p->file, ".csv") || data_ends_with(p->file, ".tsv"));
}

const struct data_format data_format_csv = { "csv", "a .csv or .tsv with a column 'label'",
	csv_looks, csv_open };
