#include "published.h"
#include "work.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_MAX = 64 << 20 };

/* ---- CSV -------------------------------------------------------------------------------- */

static enum pare_status file_text(const char *path, char **out, struct pare_err *err)
{
	enum pare_status st = PARE_OK;
	char *text = NULL;
	FILE *f = fopen(path, "rb");
	long n = 0;

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	if (fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		st = pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	else if (n > CSV_MAX)
		st = pare_fail(err, PARE_E_FORMAT, "%s: larger than 64 MiB", path);
	else if (!(text = malloc((size_t)n + 1)))
		st = pare_nomem(err, path);
	else if (fread(text, 1, (size_t)n, f) != (size_t)n)
		st = pare_fail(err, PARE_E_IO, "%s: cannot be read to its end", path);
	else if (memchr(text, 0, (size_t)n))
		st = pare_fail(err, PARE_E_FORMAT, "%s: has a zero byte, so it is no text", path);
	fclose(f);
	if (st) {
		free(text);
		return st;
	}
	text[n] = 0;
	*out = text;
	return PARE_OK;
}

/* Cut one field off at *at, in place; *end tells what stood behind it. */
static char *field_cut(char **at, char *end)
{
	char *start = *at, *w = start, *r = start;

	if (*r == '"') {
		for (r++; *r && *r != '\n' && !(*r == '"' && r[1] != '"'); r++) {
			if (*r == '"')
				r++;
			*w++ = *r;
		}
		if (*r == '"')
			r++;
	}
	while (*r && *r != ',' && *r != '\n')
		*w++ = *r++;
	*end = *r;
	*at = *r ? r + 1 : r;
	if (w > start && w[-1] == '\r' && *end != ',')
		w--;
	*w = 0;
	return start;
}

bool pare_csv_next(struct pare_csv *c, enum pare_status *st, struct pare_err *err)
{
	char end;

	while (*c->at == '\n' || *c->at == '\r') {
		c->line += *c->at == '\n';
		c->at++;
	}
	*st = PARE_OK;
	if (!*c->at)
		return false;
	c->line++;
	c->n = 0;
	do {
		if (c->n == PARE_CSV_FIELDS) {
			*st = pare_fail(err, PARE_E_FORMAT, "%s:%d: more than %d fields", c->path,
				c->line, PARE_CSV_FIELDS);
			return false;
		}
		c->field[c->n++] = field_cut(&c->at, &end);
	} while (end == ',');
	if (c->n_columns && c->n != c->n_columns) {
		*st = pare_fail(err, PARE_E_FORMAT, "%s:%d: %d fields, the header has %d", c->path,
			c->line, c->n, c->n_columns);
		return false;
	}
	return true;
}

enum pare_status pare_csv_open(const char *path, struct pare_csv *out, struct pare_err *err)
{
	struct pare_csv c = { .path = path };
	enum pare_status st = file_text(path, &c.text, err);

	if (st)
		return st;
	c.at = c.text;
	if (!pare_csv_next(&c, &st, err)) {
		free(c.text);
		return st ? st : pare_fail(err, PARE_E_FORMAT, "%s: is empty", path);
	}
	c.n_columns = c.n;
	memcpy(c.column, c.field, sizeof c.column);
	*out = c;
	return PARE_OK;
}

void pare_csv_close(struct pare_csv *c)
{
	free(c->text);
	c->text = NULL;
}

enum pare_status
pare_csv_column(const struct pare_csv *c, const char *name, int *out, struct pare_err *err)
{
	for (int i = 0; i < c->n_columns; i++)
		if (!strcmp(c->column[i], name)) {
			*out = i;
			return PARE_OK;
		}
	return pare_fail(
		err, PARE_E_FORMAT, "%s: there is no column '%s' in its first line", c->path, name);
}

enum pare_status
pare_csv_number(const struct pare_csv *c, int column, double *out, struct pare_err *err)
{
	const char *s = c->field[column];
	char *end;
	double v = strtod(s, &end);

	if (!*s)
		v = (double)NAN;
	else if (*end || !(v >= 0) || isinf(v))
		return pare_fail(err, PARE_E_FORMAT, "%s:%d: '%s' is no number >= 0 (column %s)",
			c->path, c->line, s, c->column[column]);
	*out = v;
	return PARE_OK;
}

/* ---- tables ----------------------------------------------------------------------------- */

static enum pare_status
columns(const struct pare_csv *c, const char *const *names, int *at, int n, struct pare_err *err)
{
	for (int i = 0; i < n; i++) {
		enum pare_status st = pare_csv_column(c, names[i], &at[i], err);

		if (st)
			return st;
	}
	return PARE_OK;
}

/* Room for one item more than `n`: where the items are now; NULL = no memory, all as it was. */
static void *grown(void *items, int64_t n, size_t size)
{
	if (n & (n - 1)) /* room doubles at powers of two */
		return items;
	return realloc(items, (size_t)(n ? 2 * n : 1) * size);
}

enum { L_MODEL, L_TYPE, L_MACS, L_PARAMS, L_IN, L_OUT, L_K, L_GROUPS, L_N };
static const char *const layer_columns[L_N] = { "model", "type", "macs", "params", "in_elems",
	"out_elems", "k", "groups" };

static enum pare_status layer_line(const struct pare_csv *c, const int *at,
	struct pare_plugin_layer *out, struct pare_err *err)
{
	double v[L_N];
	const char *type = c->field[at[L_TYPE]];
	int k, groups;
	bool all_groups = !strcmp(type, "DW");

	for (int i = L_MACS; i < L_N; i++) {
		enum pare_status st = pare_csv_number(c, at[i], &v[i], err);

		if (st)
			return st;
		if (isnan(v[i]) || v[i] > 1e15)
			return pare_fail(err, PARE_E_FORMAT, "%s:%d: '%s' as %s", c->path, c->line,
				c->field[at[i]], layer_columns[i]);
	}
	k = v[L_K] > 1e6 ? 1000000 : (int)v[L_K];
	groups = v[L_GROUPS] > 1e6 ? 1000000 : (int)v[L_GROUPS];
	*out = (struct pare_plugin_layer){
		.name = type,
		.op = type,
		.kind = (int32_t)pare_work_kind(
			type, k, groups, all_groups ? groups : -1, v[L_PARAMS] > 0),
		.layer = -1,
		.macs = (int64_t)v[L_MACS],
		.params = (int64_t)v[L_PARAMS],
		.in_elems = (int64_t)v[L_IN],
		.out_elems = (int64_t)v[L_OUT],
		.kernel = k,
		.groups = groups,
		.weights = "",
		.activations = "",
	};
	return PARE_OK;
}

enum pare_status
pare_layer_table_read(const char *path, struct pare_layer_table *out, struct pare_err *err)
{
	struct pare_layer_table t = { 0 };
	int at[L_N];
	int64_t n = 0;
	enum pare_status st = pare_csv_open(path, &t.csv, err);

	if (st)
		return st;
	st = columns(&t.csv, layer_columns, at, L_N, err);
	while (!st && pare_csv_next(&t.csv, &st, err)) {
		const char *model = t.csv.field[at[L_MODEL]];
		bool first = !t.n_models || strcmp(t.models[t.n_models - 1].model, model);
		void *models = first ? grown(t.models, t.n_models, sizeof *t.models) : t.models;
		void *layers = models ? grown(t.layers, n, sizeof *t.layers) : NULL;

		t.models = models ? models : t.models;
		t.layers = layers ? layers : t.layers;
		if (!layers) {
			st = pare_nomem(err, path);
			break;
		}
		if (first) {
			t.models[t.n_models].model = model;
			t.models[t.n_models].first = n;
			t.models[t.n_models++].n = 0;
		}
		st = layer_line(&t.csv, at, &t.layers[n], err);
		if (t.layers[n].params)
			t.layers[n].layer = (int32_t)t.models[t.n_models - 1].n;
		t.models[t.n_models - 1].n++;
		n++;
	}
	if (st) {
		pare_layer_table_free(&t);
		return st;
	}
	*out = t;
	return PARE_OK;
}

void pare_layer_table_free(struct pare_layer_table *t)
{
	pare_csv_close(&t->csv);
	free(t->layers);
	free(t->models);
	*t = (struct pare_layer_table){ 0 };
}

bool pare_layer_table_find(
	const struct pare_layer_table *t, const char *model, struct pare_plugin_work *out)
{
	for (int i = 0; i < t->n_models; i++)
		if (!strcmp(t->models[i].model, model)) {
			*out = (struct pare_plugin_work){ sizeof *out, sizeof *t->layers,
				t->models[i].n, t->layers + t->models[i].first };
			return true;
		}
	return false;
}

enum {
	P_DEVICE,
	P_RUNTIME,
	P_MODEL,
	P_PRECISION,
	P_THREADS,
	P_LATENCY,
	P_ENERGY,
	P_RAM,
	P_FLASH,
	P_N
};
static const char *const published_columns[P_N] = { "device", "runtime", "model", "precision",
	"threads", "latency_ms", "energy_mJ", "ram_KiB", "flash_KiB" };

enum pare_status
pare_published_read(const char *path, struct pare_published *out, struct pare_err *err)
{
	struct pare_published p = { 0 };
	int at[P_N], family = 0;
	enum pare_status st = pare_csv_open(path, &p.csv, err);

	if (st)
		return st;
	st = columns(&p.csv, published_columns, at, P_N, err);
	if (pare_csv_column(&p.csv, "family", &family, NULL))
		family = at[P_MODEL];
	while (!st && pare_csv_next(&p.csv, &st, err)) {
		struct pare_published_row *r = grown(p.rows, p.n, sizeof *p.rows);
		char **f = p.csv.field;

		if (!r) {
			st = pare_nomem(err, path);
			break;
		}
		p.rows = r;
		r += p.n++;
		*r = (struct pare_published_row){ f[at[P_DEVICE]], f[at[P_RUNTIME]], f[at[P_MODEL]],
			f[family], f[at[P_PRECISION]], f[at[P_THREADS]], 0, 0, 0, 0 };
		if ((st = pare_csv_number(&p.csv, at[P_LATENCY], &r->latency_ms, err)) ||
			(st = pare_csv_number(&p.csv, at[P_ENERGY], &r->energy_mj, err)) ||
			(st = pare_csv_number(&p.csv, at[P_RAM], &r->ram, err)) ||
			(st = pare_csv_number(&p.csv, at[P_FLASH], &r->flash, err)))
			break;
		r->ram *= 1024;
		r->flash *= 1024;
	}
	if (st) {
		pare_published_free(&p);
		return st;
	}
	*out = p;
	return PARE_OK;
}

void pare_published_free(struct pare_published *p)
{
	pare_csv_close(&p->csv);
	free(p->rows);
	*p = (struct pare_published){ 0 };
}
