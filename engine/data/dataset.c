/* pare_dataset_*: samples as inputs. */
#include "../base/err.h"
#include "data.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {                              /* the samples that a split draws from */
	const struct data_column *columns; /* [n_inputs] */
	const int32_t *label;              /* NULL = none */
	int64_t n;
};

struct range {
	int64_t from, to;
	bool said; /* by pare_dataset_set_split */
};

struct pare_dataset {
	struct pare_dataset_info info;
	struct pare_arena *arena;
	struct data_source source;
	struct part samples, train; /* train.n 0: there is none */
	struct range range[2];      /* by enum pare_split */
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
	const struct pare_model *model, int limit, struct part *out, struct pare_err *err)
{
	struct data_column *c = pare_alloc_n(d->arena, (size_t)d->info.n_inputs, sizeof *c);
	struct part p = { .columns = c, .n = set->x.shape.d[0] };
	enum pare_status st = PARE_OK;
	int32_t *label = NULL;

	if (!c)
		return pare_nomem(err, set->path);
	for (int i = 0; i < d->info.n_inputs && !st; i++) {
		const struct pare_io *input = model ? pare_model_input(model, i) : NULL;
		const struct data_array *x = i ? &set->more[i - 1] : &set->x;

		if (x->shape.d[0] != p.n)
			return pare_fail(err, PARE_E_MISMATCH,
				"%s: holds %lld samples of '%s' and %lld of '%s'; there must be as "
				"many of each",
				set->path, (long long)p.n, pare_model_input(model, 0)->name,
				(long long)x->shape.d[0], input->name);
		st = data_column_open(
			&d->source, d->info.path, set, x, input, d->arena, &c[i], err);
	}
	if (!st && set->y.blob)
		st = data_fit_labels(set, limit, d->n_names, d->names, d->arena, &label, err);
	p.label = label;
	if (!st)
		*out = p;
	return st;
}

/* How many inputs the samples are of, and whether that is what the model takes. */
static enum pare_status
count_inputs(struct pare_dataset *d, const struct pare_model *model, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	int n = model ? pare_model_info(model)->n_inputs : 1;

	d->info.n_inputs = 1 + s->samples.n_more;
	if (n != d->info.n_inputs || (s->train.x.blob && s->train.n_more != s->samples.n_more))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: the model takes %d inputs, '%s'%s'%s'%s; give it an .npz with an "
			"array "
			"for each, named like it",
			d->info.path, n, pare_model_input(model, 0)->name, n > 2 ? ", " : " and ",
			pare_model_input(model, 1)->name, n > 2 ? " …" : "");
	if (n > 1 && (s->scale != 1 || s->n_mean || s->n_std || s->samples.nhwc))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: the model takes %d inputs, and layout, scale, mean and std do not say "
			"of which; write the arrays as the model takes them",
			d->info.path, n);
	return PARE_OK;
}

/* The shapes of a sample, which are the same in training. */
static enum pare_status open_shapes(struct pare_dataset *d, struct pare_err *err)
{
	int n = d->info.n_inputs;
	struct pare_shape *sample = pare_alloc_n(d->arena, (size_t)n, sizeof *sample);
	char a[96], b[96];

	if (!sample)
		return pare_nomem(err, d->info.path);
	for (int i = 0; i < n; i++) {
		const struct data_fit *fit = &d->samples.columns[i].fit;
		const struct pare_shape *t = d->train.n ? &d->train.columns[i].fit.sample : NULL;

		sample[i] = fit->sample;
		d->info.elems += fit->elems;
		if (t && !pare_shape_equal(t, &sample[i]))
			return pare_fail(err, PARE_E_MISMATCH,
				"%s: training samples are %s, the others %s; they must be alike",
				d->info.path, pare_shape_text(t, "x", a, sizeof a),
				pare_shape_text(&sample[i], "x", b, sizeof b));
	}
	d->info.sample = sample;
	return PARE_OK;
}

static enum pare_status
open_parts(struct pare_dataset *d, const struct pare_model *model, struct pare_err *err)
{
	const struct data_source *s = &d->source;
	int k = model_classes(model), limit;
	enum pare_status st = count_inputs(d, model, err);

	if (st)
		return st;
	d->n_names = s->n_classes ? s->n_classes : s->samples.n_classes;
	d->names = s->n_classes ? s->classes : s->samples.classes;
	limit = k && (!d->n_names || k < d->n_names) ? k : d->n_names;
	if ((st = open_part(d, &s->samples, model, limit, &d->samples, err)))
		return st;
	if (s->train.x.blob && (st = open_part(d, &s->train, model, limit, &d->train, err)))
		return st;
	if ((st = open_shapes(d, err)))
		return st;
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
	struct data_want want = { .arena = a, .model = model };
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
	if (!st && !(st = data_open(d->info.path, &want, &d->source, err)) &&
		!(st = open_parts(d, model, err)) && !(st = open_names(d, err)) &&
		!(st = open_measure(d, err)) && !(st = first_split(d, err)))
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

void pare_dataset_read(
	const struct pare_dataset *d, enum pare_split split, int64_t first, int64_t n, float *out)
{
	const struct part *p = part_of(d, split);

	assert(first >= 0 && n >= 0 && first + n <= d->range[split].to - d->range[split].from);
	first += d->range[split].from;
	for (int k = 0; k < d->info.n_inputs; k++)
		for (int64_t i = first; i < first + n; i++) {
			data_column_read(&p->columns[k], i, out);
			out += p->columns[k].fit.elems;
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
