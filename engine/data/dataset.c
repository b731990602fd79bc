/* pare_dataset_*: samples as inputs. */
#include "../base/err.h"
#include "data.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part { /* the samples that a split draws from */
	struct data_array x;
	struct data_fit fit;
	const int32_t *label; /* NULL = none */
	int64_t n;
};

struct range {
	int64_t from, to;
	bool said; /* by pare_dataset_set_split */
};

/* input = (x * scale - mean) / std, in float32, in this order. */
struct norm {
	float scale;
	int n;                   /* channels that differ, 1 = all alike */
	int64_t plane;           /* elements of a channel that lie together */
	const float *mean, *std; /* [n] */
	const float *table; /* [n][256]: the inputs of all bytes; NULL unless samples are bytes */
	bool none;          /* x stays as it is */
};

struct pare_dataset {
	struct pare_dataset_info info;
	struct pare_arena *arena;
	struct data_source source;
	struct part samples, train; /* train.n 0: there is none */
	struct range range[2];      /* by enum pare_split */
	struct norm norm;
	int n_names;
	const char *const *names;
	char (*number)[12]; /* [info.n_classes] names of classes without one */
};

const struct data_measure data_measures[] = {
	{ "top1", PARE_TOP1 },
	{ "fidelity", PARE_FIDELITY },
	{ NULL, PARE_TOP1 },
};

static const struct part *part_of(const struct pare_dataset *d, enum pare_split split)
{
	return split == PARE_CALIBRATE && d->train.n ? &d->train : &d->samples;
}

/* ---- split ----------------------------------------------------------------------------------- */

static void publish_split(struct pare_dataset *d)
{
	struct pare_dataset_info *i = &d->info;

	i->calibrate_from = d->range[PARE_CALIBRATE].from;
	i->calibrate_to = d->range[PARE_CALIBRATE].to;
	i->evaluate_from = d->range[PARE_EVALUATE].from;
	i->evaluate_to = d->range[PARE_EVALUATE].to;
	i->n_calibrate = i->calibrate_to - i->calibrate_from;
	i->n_evaluate = i->evaluate_to - i->evaluate_from;
}

static bool overlap(const struct range *a, const struct range *b)
{
	return a->from < b->to && b->from < a->to && a->from < a->to && b->from < b->to;
}

static enum pare_status check_range(const struct pare_dataset *d, enum pare_split split,
	const struct range *r, struct pare_err *err)
{
	int64_t n = part_of(d, split)->n;
	const char *name = split == PARE_CALIBRATE ? "calibrate" : "evaluate";

	if (r->from < 0 || r->from > r->to || r->to > n)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: %s %lld:%lld is not within its %lld samples", d->info.path, name,
			(long long)r->from, (long long)r->to, (long long)n);
	if (split == PARE_EVALUATE && r->from == r->to)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: evaluate %lld:%lld leaves no sample to evaluate on", d->info.path,
			(long long)r->from, (long long)r->to);
	return PARE_OK;
}

static enum pare_status both_do(const struct pare_dataset *d, const struct range *calibrate,
	const struct range *evaluate, struct pare_err *err)
{
	return pare_fail(err, PARE_E_MISMATCH,
		"%s: calibrate %lld:%lld and evaluate %lld:%lld share samples; none may do both",
		d->info.path, (long long)calibrate->from, (long long)calibrate->to,
		(long long)evaluate->from, (long long)evaluate->to);
}

/* The larger of what `r` keeps on either side of `taken`. */
static void give_way(struct range *r, const struct range *taken)
{
	int64_t before = taken->from - r->from, after = r->to - taken->to;

	if (after >= before)
		r->from = taken->to;
	else
		r->to = taken->from;
	if (r->to < r->from)
		r->to = r->from;
}

/* As the data.conf says, else: with `train` 512 of it calibrate and all samples evaluate; without,
 * the first fifth of the samples, but no more, calibrates and the rest evaluates. */
static enum pare_status first_split(struct pare_dataset *d, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	struct range *c = &d->range[PARE_CALIBRATE], *e = &d->range[PARE_EVALUATE];
	int64_t n = d->samples.n, n_train = d->train.n;
	bool c_said = s->calibrate.from >= 0, e_said = s->evaluate.from >= 0;
	enum pare_status st;

	c->from = e->from = 0;
	e->to = n;
	if (n_train) {
		c->to = n_train < 512 ? n_train : 512;
	} else {
		e->from = n / 5 ? n / 5 : n > 1;
		c->to = e->from < 512 ? e->from : 512;
	}
	if (c_said) {
		c->from = s->calibrate.from;
		c->to = s->calibrate.to >= 0 ? s->calibrate.to : part_of(d, PARE_CALIBRATE)->n;
	}
	if (e_said) {
		e->from = s->evaluate.from;
		e->to = s->evaluate.to >= 0 ? s->evaluate.to : n;
	}
	if (!n_train && c_said != e_said) { /* what was not said is what is left */
		struct range *other = c_said ? e : c;

		other->from = 0;
		other->to = n;
		give_way(other, c_said ? c : e);
	}
	if ((st = check_range(d, PARE_CALIBRATE, c, err)) ||
		(st = check_range(d, PARE_EVALUATE, e, err)))
		return st;
	return !n_train && overlap(c, e) ? both_do(d, c, e, err) : PARE_OK;
}

enum pare_status pare_dataset_set_split(struct pare_dataset *d, enum pare_split split, int64_t from,
	int64_t to, struct pare_err *err)
{
	enum pare_split opposite = split == PARE_CALIBRATE ? PARE_EVALUATE : PARE_CALIBRATE;
	struct range was = d->range[split],
		     r = { from < 0 ? was.from : from, to < 0 ? was.to : to, true };
	struct range other = d->range[opposite];
	enum pare_status st = check_range(d, split, &r, err);

	if (st)
		return st;
	if (!d->train.n && overlap(&r, &other)) {
		if (other.said)
			return both_do(d, split == PARE_CALIBRATE ? &r : &other,
				split == PARE_CALIBRATE ? &other : &r, err);
		give_way(&other, &r);
		if ((st = check_range(d, opposite, &other, err)))
			return st;
	}
	d->range[split] = r;
	d->range[opposite] = other;
	publish_split(d);
	return PARE_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Classes that the model's first output tells apart; 0 = it does not say. */
static int model_classes(const struct pare_model *m)
{
	const struct pare_shape *s;

	if (!m || pare_model_info(m)->n_outputs < 1)
		return 0;
	s = &pare_model_output(m, 0)->shape;
	for (int i = 2; i < s->n; i++)
		if (s->d[i] != 1)
			return 0;
	return s->n >= 2 && s->d[1] > 1 && s->d[1] < 1 << 24 ? (int)s->d[1] : 0;
}

static enum pare_status open_part(struct pare_dataset *d, const struct data_set *set,
	const struct pare_io *input, int limit, struct part *out, struct pare_err *err)
{
	struct part p = { .x = set->x, .n = set->x.shape.d[0] };
	enum pare_status st = data_fit_sample(set, input, &p.fit, err);
	int32_t *label = NULL;

	if (!st && set->y.blob)
		st = data_fit_labels(set, limit, d->n_names, d->names, d->arena, &label, err);
	p.label = label;
	if (!st)
		*out = p;
	return st;
}

static enum pare_status
open_parts(struct pare_dataset *d, const struct pare_model *model, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	const struct pare_io *input = model ? pare_model_input(model, 0) : NULL;
	int k = model_classes(model), limit;
	char a[96], b[96];
	enum pare_status st;

	d->n_names = s->n_classes ? s->n_classes : s->samples.n_classes;
	d->names = s->n_classes ? s->classes : s->samples.classes;
	limit = k && (!d->n_names || k < d->n_names) ? k : d->n_names;
	if ((st = open_part(d, &s->samples, input, limit, &d->samples, err)))
		return st;
	if (s->train.x.blob && (st = open_part(d, &s->train, input, limit, &d->train, err)))
		return st;
	if (d->train.n && !pare_shape_equal(&d->train.fit.sample, &d->samples.fit.sample))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: training samples are %s, the others %s; they must be alike",
			d->info.path, pare_shape_text(&d->train.fit.sample, "x", a, sizeof a),
			pare_shape_text(&d->samples.fit.sample, "x", b, sizeof b));
	d->info.sample = d->samples.fit.sample;
	d->info.labelled = d->samples.label != NULL;
	d->info.n_classes = d->n_names ? d->n_names : k;
	if (!d->info.n_classes && d->samples.label)
		for (int64_t i = 0; i < d->samples.n; i++)
			if (d->samples.label[i] >= d->info.n_classes)
				d->info.n_classes = d->samples.label[i] + 1;
	return PARE_OK;
}

static enum pare_status open_names(struct pare_dataset *d, struct pare_err *err)
{
	int n = d->info.n_classes;

	if (!(d->number = pare_alloc_n(d->arena, (size_t)n, sizeof *d->number)))
		return pare_nomem(err, "the names of classes");
	for (int i = 0; i < n; i++)
		snprintf(d->number[i], sizeof d->number[i], "%d", i);
	return PARE_OK;
}

static enum pare_status open_measure(struct pare_dataset *d, struct pare_err *err)
{
	const struct data_measure *m = d->source.measure;

	d->info.measure = m ? m->measure : d->info.labelled ? PARE_TOP1 : PARE_FIDELITY;
	if (d->info.measure == PARE_TOP1 && !d->info.labelled)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: metric top1 needs labels; name them or take fidelity", d->info.path);
	return PARE_OK;
}

static enum pare_status channel_counts(struct pare_dataset *d, int *n, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	const struct pare_shape *sh = &d->info.sample;
	int64_t first = sh->n > 1 ? sh->d[1] : 1, last = sh->d[sh->n - 1];
	int n_mean = s->n_mean ? s->n_mean : 1, n_std = s->n_std ? s->n_std : 1;

	*n = n_mean > n_std ? n_mean : n_std;
	if (*n > 1 && *n != first && *n != last)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: mean or std has %d values, but samples have %lld channels",
			d->info.path, *n, (long long)first);
	if ((n_mean > 1 && n_mean != *n) || (n_std > 1 && n_std != *n))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: mean has %d values and std %d; they must be as many", d->info.path,
			n_mean, n_std);
	d->norm.plane = *n == 1       ? d->samples.fit.elems
			: *n == first ? pare_shape_span(sh, 2, sh->n)
				      : 1; /* channels lie last in the model, too */
	return PARE_OK;
}

static float normal(const struct norm *m, int k, float x)
{
	return m->none ? x : (x * m->scale - m->mean[k]) / m->std[k];
}

static enum pare_status open_norm(struct pare_dataset *d, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	struct norm *m = &d->norm;
	float *mean, *std, *table;
	enum pare_dtype t = d->samples.x.dtype;
	enum pare_status st = channel_counts(d, &m->n, err);
	size_t n = (size_t)m->n;

	if (st)
		return st;
	mean = pare_alloc_n(d->arena, n, sizeof *mean);
	std = pare_alloc_n(d->arena, n, sizeof *std);
	table = pare_alloc_n(d->arena, n, 256 * sizeof *table);
	if (!mean || !std || !table)
		return pare_nomem(err, "mean and std");
	for (int i = 0; i < m->n; i++) {
		mean[i] = s->n_mean ? (float)s->mean[s->n_mean > 1 ? i : 0] : 0;
		std[i] = s->n_std ? (float)s->std[s->n_std > 1 ? i : 0] : 1;
	}
	m->scale = (float)s->scale;
	m->none = s->scale == 1 && !s->n_mean && !s->n_std;
	m->mean = mean;
	m->std = std;
	if (pare_dtype_bits(t) != 8 || (d->train.n && d->train.x.dtype != t))
		return PARE_OK;
	for (int i = 0; i < 256 * m->n; i++) {
		int byte = i % 256;

		table[i] = normal(m, i / 256, (float)(t == PARE_I8 ? (int8_t)byte : byte));
	}
	m->table = table;
	return PARE_OK;
}

/* A short name: of the folder, or of the file without what stands after the dot. */
static const char *short_name(struct pare_arena *a, const char *path)
{
	char *whole = realpath(path, NULL), *name, *dot;

	name = pare_strdup(a, whole ? whole : path);
	free(whole);
	if (!name)
		return NULL;
	if (data_ends_with(name, ".conf") && !(name = data_folder_of(a, name)))
		return NULL;
	if (strrchr(name, '/') && strrchr(name, '/')[1])
		name = strrchr(name, '/') + 1;
	if (!data_is_folder(path) && !data_ends_with(path, ".conf") && (dot = strchr(name, '.')) &&
		dot > name)
		*dot = 0;
	return name;
}

enum pare_status pare_dataset_open(const char *path, const struct pare_model *model,
	struct pare_dataset **out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_dataset *d = a ? pare_alloc(a, sizeof *d) : NULL;
	struct data_want want = { .arena = a };
	enum pare_status st = PARE_OK;

	if (!d || !(d->info.path = pare_strdup(a, path)) || !(d->info.name = short_name(a, path))) {
		pare_arena_free(a);
		return pare_nomem(err, path);
	}
	d->arena = a;
	d->source.scale = 1;
	d->source.calibrate = d->source.evaluate = (struct data_bounds){ -1, -1 };
	if (model && pare_model_info(model)->n_inputs < 1)
		st = pare_fail(err, PARE_E_MISMATCH, "%s: the model takes no input", path);
	else if (model)
		want.input = pare_model_input(model, 0);
	if (!st && !(st = data_open(d->info.path, &want, &d->source, err)) &&
		!(st = open_parts(d, model, err)) && !(st = open_names(d, err)) &&
		!(st = open_measure(d, err)) && !(st = open_norm(d, err)) &&
		!(st = first_split(d, err)))
		st = data_hash(&d->source, d->info.sha256, err);
	if (st) {
		pare_dataset_free(d);
		return st;
	}
	publish_split(d);
	*out = d;
	return PARE_OK;
}

void pare_dataset_free(struct pare_dataset *d)
{
	if (!d)
		return;
	data_source_close(&d->source);
	pare_arena_free(d->arena);
}

const struct pare_dataset_info *pare_dataset_info(const struct pare_dataset *d)
{
	return &d->info;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* n elements of one channel. */
static void read_run(const struct norm *m, enum pare_dtype t, const unsigned char *x, int64_t n,
	int k, float *out)
{
	if (m->table) {
		const float *table = m->table + 256 * (size_t)k;

		for (int64_t i = 0; i < n; i++)
			out[i] = table[x[i]];
		return;
	}
	if (pare_to_f32(t, x, n, out, NULL)) /* formats let only readable types pass */
		assert(0);
	if (!m->none)
		for (int64_t i = 0; i < n; i++)
			out[i] = (out[i] * m->scale - m->mean[k]) / m->std[k];
}

/* A sample [pixels][channels] as [channels][pixels]. */
static void
read_turned(const struct norm *m, const struct part *p, const unsigned char *x, float *out)
{
	enum { BLOCK = 1024 };
	float block[BLOCK];
	int64_t channels = p->fit.channels, pixels = p->fit.elems / channels, c = 0, at = 0;
	size_t size = pare_dtype_bits(p->x.dtype) / 8;

	for (int64_t e = 0; e < p->fit.elems; e += BLOCK) {
		int64_t n = p->fit.elems - e < BLOCK ? p->fit.elems - e : BLOCK;
		const unsigned char *from = x + (size_t)e * size;

		if (!m->table && pare_to_f32(p->x.dtype, from, n, block, NULL))
			assert(0);
		for (int64_t i = 0; i < n; i++) {
			int k = m->n > 1 ? (int)c : 0;

			out[c * pixels + at] = m->table ? m->table[256 * (size_t)k + from[i]]
							: normal(m, k, block[i]);
			if (++c == channels) {
				c = 0;
				at++;
			}
		}
	}
}

void pare_dataset_read(
	const struct pare_dataset *d, enum pare_split split, int64_t first, int64_t n, float *out)
{
	const struct part *p = part_of(d, split);
	const struct norm *m = &d->norm;
	size_t size = pare_dtype_bits(p->x.dtype) / 8;

	assert(first >= 0 && n >= 0 && first + n <= d->range[split].to - d->range[split].from);
	first += d->range[split].from;
	for (int64_t i = first; i < first + n; i++, out += p->fit.elems) {
		const unsigned char *x = p->x.data + (size_t)i * p->x.stride;

		if (p->fit.channels > 1) {
			read_turned(m, p, x, out);
			continue;
		}
		for (int64_t e = 0, run = 0; e < p->fit.elems; e += m->plane, run++)
			read_run(m, p->x.dtype, x + (size_t)e * size, m->plane, (int)(run % m->n),
				out + e);
	}
}

int pare_dataset_label(const struct pare_dataset *d, enum pare_split split, int64_t i)
{
	const struct part *p = part_of(d, split);

	assert(i >= 0 && i < d->range[split].to - d->range[split].from);
	return p->label ? p->label[d->range[split].from + i] : -1;
}

const char *pare_dataset_class(const struct pare_dataset *d, int k)
{
	if (k < 0 || k >= d->info.n_classes)
		return "?";
	return k < d->n_names ? d->names[k] : d->number[k];
}
