/* How stored samples become a model's input: which axis is which, and whether they fit at all. */
#include "../base/err.h"
#include "data.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* a's axes without those of length 1. */
static struct pare_shape squeeze(const struct pare_shape *a)
{
	struct pare_shape s = { 0 };

	for (int i = 0; i < a->n; i++)
		if (a->d[i] != 1)
			s.d[s.n++] = a->d[i];
	return s;
}

/* Equal where `want` is known. */
static bool agrees(const struct pare_shape *have, const struct pare_shape *want)
{
	if (have->n != want->n)
		return false;
	for (int i = 0; i < have->n; i++)
		if (want->d[i] >= 0 && have->d[i] != want->d[i])
			return false;
	return true;
}

/* `have` as the axes of `want`; false when it does not fit.  Neither counts the batch. */
static bool
fit_axes(const struct pare_shape *have, const struct pare_shape *want, struct pare_shape *out)
{
	struct pare_shape h = squeeze(have), w = squeeze(want);
	int64_t elems = pare_shape_elems(have);

	if (agrees(have, want)) {
		*out = *have;
		return true;
	}
	if (agrees(&h, &w)) {
		int k = 0;

		*out = *want;
		for (int i = 0; i < out->n; i++)
			if (out->d[i] != 1)
				out->d[i] = h.d[k++];
		return true;
	}
	if (want->n == 1 && (want->d[0] < 0 || want->d[0] == elems)) {
		*out = (struct pare_shape){ 1, { elems } };
		return true;
	}
	if (have->n == 1 && pare_shape_elems(want) == elems) {
		*out = *want;
		return true;
	}
	return false;
}

static struct pare_shape without_batch(const struct pare_shape *s)
{
	struct pare_shape r = { s->n ? s->n - 1 : 0, { 0 } };

	memcpy(r.d, s->d + 1, (size_t)r.n * sizeof *r.d);
	return r;
}

static struct pare_shape channels_first(const struct pare_shape *s)
{
	struct pare_shape r = *s;

	r.d[0] = s->d[s->n - 1];
	memcpy(r.d + 1, s->d, (size_t)(s->n - 1) * sizeof *r.d);
	return r;
}

static enum pare_status misfit(const struct data_set *set, const struct pare_shape *have,
	const struct pare_shape *want, const struct pare_io *input, struct pare_err *err)
{
	struct pare_shape turned, unused;
	char a[96], b[96];
	const char *hint = "";

	if (have->n > 1) {
		turned = channels_first(have);
		if (!set->nhwc && fit_axes(&turned, want, &unused))
			hint = "; say 'layout nhwc' in a data.conf";
	}
	pare_shape_text(have, "x", a, sizeof a);
	return pare_fail(err, PARE_E_MISMATCH,
		"%s: a sample is %s, but the model's input '%s' takes %s%s", set->path,
		*a ? a : "one number", input->name, pare_shape_text(want, "x", b, sizeof b), hint);
}

enum pare_status data_fit_sample(const struct data_set *set, const struct data_array *x,
	const struct pare_io *input, struct data_fit *out, struct pare_err *err)
{
	struct pare_shape have = without_batch(&x->shape), want, got;
	struct data_fit f = { 0 };

	if (x->shape.d[0] == 0)
		return pare_fail(err, PARE_E_FORMAT, "%s: holds no samples", set->path);
	f.elems = pare_shape_elems(&have);
	if (f.elems < 1)
		return pare_fail(err, PARE_E_FORMAT, "%s: its samples are empty", set->path);
	f.channels = 1;
	if (set->nhwc && have.n >= 2 && have.n == (input ? input->shape.n - 1 : 3)) {
		f.channels = have.d[have.n - 1]; /* of 1: nothing to turn */
		have = channels_first(&have);
	}
	got = have;
	if (input) {
		if (input->shape.n < 1)
			return pare_fail(err, PARE_E_MISMATCH,
				"the model's input '%s' declares no batch axis: data cannot be fed "
				"to it",
				input->name);
		want = without_batch(&input->shape);
		if (!fit_axes(&have, &want, &got))
			return misfit(set, &have, &want, input, err);
	}
	f.sample.n = got.n + 1;
	f.sample.d[0] = 1;
	if (f.sample.n > PARE_MAX_DIMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "%s: has more than %d dimensions",
			set->path, PARE_MAX_DIMS);
	memcpy(f.sample.d + 1, got.d, (size_t)got.n * sizeof *got.d);
	*out = f;
	return PARE_OK;
}

enum { LABEL_MAX = 1 << 20 }; /* more classes than anyone has */

/* Where each class of the set stands among `names`. */
static enum pare_status map_names(const struct data_set *set, int n, const char *const *names,
	struct pare_arena *a, int32_t **out, struct pare_err *err)
{
	int32_t *map = pare_alloc_n(a, (size_t)set->n_classes, sizeof *map);

	if (!map)
		return pare_nomem(err, set->path);
	for (int i = 0; i < set->n_classes; i++) {
		int k = 0;

		while (k < n && strcmp(set->classes[i], names[k]) != 0)
			k++;
		if (k == n)
			return pare_fail(err, PARE_E_MISMATCH,
				"%s: has the class '%.60s', which 'classes' does not name",
				set->path, set->classes[i]);
		map[i] = k;
	}
	*out = map;
	return PARE_OK;
}

static enum pare_status
bad_label(const struct data_set *set, int64_t i, double v, int limit, struct pare_err *err)
{
	if (!(v == floor(v)))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: the label of sample %lld is %g; a label is a class number, 0, 1, 2 …",
			set->path, (long long)i, v);
	return pare_fail(err, PARE_E_MISMATCH,
		"%s: the label of sample %lld is %.0f, but there are %d classes, 0 to %d",
		set->path, (long long)i, v, limit, limit - 1);
}

enum pare_status data_fit_labels(const struct data_set *set, int limit, int n_names,
	const char *const *names, struct pare_arena *a, int32_t **out, struct pare_err *err)
{
	const struct data_array *y = &set->y;
	int64_t n = set->x.shape.d[0];
	int raw_limit = set->n_classes ? set->n_classes : LABEL_MAX;
	int32_t *label, *map = NULL;

	if (y->shape.d[0] != n)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: %lld labels for %lld samples; there must be one each", set->path,
			(long long)y->shape.d[0], (long long)n);
	if (pare_shape_elems(&y->shape) != n)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: has %lld numbers a label; a label is one class number (np.argmax(y, "
			"1))",
			set->path, (long long)(pare_shape_elems(&y->shape) / n));
	if (!(label = pare_alloc_n(a, (size_t)n, sizeof *label)))
		return pare_nomem(err, set->path);
	if (set->n_classes && n_names) {
		enum pare_status st = map_names(set, n_names, names, a, &map, err);

		if (st)
			return st;
	}
	if (limit < 1)
		limit = LABEL_MAX;
	if (!map && limit < raw_limit)
		raw_limit = limit;
	for (int64_t i = 0; i < n; i++) {
		const void *at = y->data + (size_t)i * y->stride;
		float v = 0;
		enum pare_status st = pare_to_f32(y->dtype, at, 1, &v, err);

		if (st)
			return pare_wrap(err, st, "%s", set->path);
		if (!(v >= 0 && v < (float)raw_limit && v == floorf(v)))
			return bad_label(set, i, (double)v, raw_limit, err);
		label[i] = map ? map[(int)v] : (int32_t)v;
		if (label[i] >= limit)
			return bad_label(set, i, label[i], limit, err);
	}
	*out = label;
	return PARE_OK;
}
