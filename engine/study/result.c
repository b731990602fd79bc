/* Results as bytes, for the session file: a header, then arrays in the order in which struct fields
 * stand. Little-endian, as all machines that pare runs on. */
#include "../base/err.h"
#include "../plan/fields.h"
#include "../quantize/keep.h"
#include "study.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
	char magic[8];
	int32_t version, kind, layer, dial;
	int32_t n_layers, n_options, k, n_parts;
	int64_t n, k_all, n_calibration;
	double seconds;
};
static const char magic[8] = "pareres";
enum { VERSION = 11 };

struct bytes { /* being written, or being read */
	uint8_t *at;
	size_t len, room;
	bool bad;
};

static void put(struct bytes *b, const void *p, size_t n)
{
	if (b->bad)
		return;
	if (b->room - b->len < n) {
		size_t room = 2 * (b->len + n);
		uint8_t *bigger = realloc(b->at, room);

		if (!bigger) {
			b->bad = true;
			return;
		}
		b->at = bigger;
		b->room = room;
	}
	if (n)
		memcpy(b->at + b->len, p, n);
	b->len += n;
}

static void get(struct bytes *b, void *p, size_t n)
{
	if (b->bad || b->room - b->len < n) {
		b->bad = true;
		return;
	}
	if (n)
		memcpy(p, b->at + b->len, n);
	b->len += n;
}

/* A fresh array of n items, read; NULL and bad when the bytes or the memory end. */
static void *get_array(struct bytes *b, size_t n, size_t size)
{
	void *p;

	if (b->bad || (size && n > (b->room - b->len) / size)) {
		b->bad = true;
		return NULL;
	}
	p = malloc(n * size + 1);
	if (!p)
		b->bad = true;
	else
		get(b, p, n * size);
	return p;
}

static void put_plan(struct bytes *b, const struct pare_plan *p)
{
	uint32_t steps = p->steps;

	put(b, &steps, sizeof steps);
	for (int i = 0; i < p->n; i++) {
		struct pare_dials d = p->dials[i];

		for (int k = 0; k < pare_n_fields; k++)
			put(b, pare_field_of(&d, k), 1);
		put(b, &d.sparsity, sizeof d.sparsity);
		put(b, &d.channels, sizeof d.channels);
		put(b, &d.exit, sizeof d.exit);
		put(b, &d.rank, sizeof d.rank);
	}
}

static struct pare_plan *get_plan(struct bytes *b, int n_layers)
{
	struct pare_plan *p = pare_plan_new(n_layers);
	uint32_t steps = 0;

	get(b, &steps, sizeof steps);
	for (int i = 0; i < 32; i++)
		b->bad |= steps >> i & 1 && !pare_method_name(PARE_STEP, i);
	if (p)
		p->steps = steps;
	for (int i = 0; p && i < n_layers; i++) {
		struct pare_dials *d = &p->dials[i];

		for (int k = 0; k < pare_n_fields; k++) {
			get(b, pare_field_of(d, k), 1);
			b->bad |= !pare_field_valid(k, *pare_field_of(d, k));
		}
		get(b, &d->sparsity, sizeof d->sparsity);
		get(b, &d->channels, sizeof d->channels);
		get(b, &d->exit, sizeof d->exit);
		get(b, &d->rank, sizeof d->rank);
		b->bad |= !(d->channels >= 0 && d->channels < 1) ||
			  !(d->sparsity >= 0 && d->sparsity < 1) ||
			  !(d->rank >= 0 && d->rank < 1) ||
			  !((d->exit >= 0 && d->exit <= 1) || d->exit == (float)PARE_EXIT_AUTO);
	}
	if (!p)
		b->bad = true;
	return p;
}

enum pare_status pare_result_pack(
	const struct pare_result *r, void **data, size_t *len, char key[96], struct pare_err *err)
{
	const struct study_baseline *base = r->base;
	struct header h = { .version = VERSION,
		.kind = r->kind,
		.layer = r->layer,
		.dial = (int)r->dial,
		.n_options = pare_n_options(),
		.k = r->k,
		.n_parts = r->n_parts,
		.n = r->n,
		.seconds = r->seconds };
	size_t slots = (size_t)r->n * (size_t)r->k;
	struct bytes b = { 0 };

	memcpy(h.magic, magic, sizeof magic);
	if (base) {
		h.n_layers = base->calibration->n;
		h.n_calibration = base->calibration->n_samples;
		h.k_all = base->k_all;
	} else if (r->plan)
		h.n_layers = r->plan->n;
	put(&b, &h, sizeof h);
	if (base) {
		uint8_t logs = base->logs;

		put(&b, &logs, 1);
		put(&b, base->class, slots * sizeof *base->class);
		put(&b, base->truth, (size_t)r->n);
		put(&b, base->right, (size_t)r->n);
		put(&b, base->slots, slots * sizeof *base->slots);
		put(&b, base->calibration->range,
			(size_t)base->calibration->n * sizeof *base->calibration->range);
	}
	if (r->plan) {
		put_plan(&b, r->plan);
		put(&b, r->noise, (size_t)r->plan->n * sizeof *r->noise);
	}
	for (int i = 0; i < r->n_parts; i++) {
		const struct study_part *p = &r->part[i];
		int64_t counts[3] = { p->n_right, p->fixed, p->broken };

		put(&b, counts, sizeof counts);
		put(&b, p->left, sizeof p->left);
		put(&b, p->slots, slots * sizeof *p->slots);
	}
	if (b.bad) {
		free(b.at);
		return pare_nomem(err, "a result");
	}
	if (r->kind == PARE_TASK_CELLS)
		snprintf(key, 96, "cells %d %d", r->layer, (int)r->dial);
	else if (r->kind == PARE_TASK_PLAN)
		snprintf(key, 96, "plan %016" PRIx64, pare_plan_hash(r->plan));
	else
		snprintf(key, 96, "baseline");
	*data = b.at;
	*len = b.len;
	return PARE_OK;
}

static enum pare_status get_baseline(const struct pare_study *s, struct bytes *b,
	const struct header *h, struct pare_result *r, struct pare_err *err)
{
	size_t n = (size_t)h->n, slots = n * (size_t)h->k;
	struct study_baseline *base = r->base = calloc(1, sizeof *base);
	uint8_t logs = 0;

	if (!base || !(base->calibration = calloc(1, sizeof *base->calibration)))
		return pare_nomem(err, "a result");
	base->n = h->n;
	base->k = h->k;
	base->k_all = h->k_all;
	get(b, &logs, 1);
	base->logs = logs;
	base->class = get_array(b, slots, sizeof *base->class);
	base->truth = get_array(b, n, sizeof *base->truth);
	base->right = get_array(b, n, sizeof *base->right);
	base->slots = get_array(b, slots, sizeof *base->slots);
	base->calibration->dataset = s->dataset;
	base->calibration->keep = pare_keep_new();
	base->calibration->n_samples = h->n_calibration;
	base->calibration->n = h->n_layers;
	base->calibration->range =
		get_array(b, (size_t)h->n_layers, sizeof *base->calibration->range);
	for (size_t i = 0; i < slots && !b->bad; i++)
		b->bad = base->class[i] < 0 || base->class[i] >= h->k_all;
	for (size_t i = 0; i < n && !b->bad; i++) {
		b->bad = base->truth[i] < 0 || base->truth[i] >= h->k || base->right[i] > 1;
		base->n_right += base->right[i];
	}
	return b->bad ? PARE_OK : pare_feed_program(s->model, NULL, NULL, &base->program, err);
}

/* Is it of this study, and are its counts sane? */
static enum pare_status
check_header(const struct pare_study *s, const struct header *h, struct pare_err *err)
{
	int first, n_of_dial;

	if (memcmp(h->magic, magic, sizeof magic) || h->version != VERSION)
		return pare_fail(
			err, PARE_E_FORMAT, "a stored result is not in this version's format");
	if (h->n != s->n || h->n_options != s->n_options || h->k < 1 || h->k > PARE_SLOTS ||
		(h->kind != PARE_TASK_BASELINE && (!s->base || h->k != s->base->k)))
		return pare_fail(err, PARE_E_MISMATCH,
			"a stored result is of other samples or another version");
	if (h->kind == PARE_TASK_CELLS) {
		if (h->layer < 0 || h->layer >= s->n_layers || h->dial < 0 ||
			h->dial >= PARE_N_DIALS)
			return pare_fail(
				err, PARE_E_MISMATCH, "a stored result is of another model");
		pare_dial_options((enum pare_dial)h->dial, &first, &n_of_dial);
		if (h->n_parts != n_of_dial - 1)
			return pare_fail(
				err, PARE_E_MISMATCH, "a stored result is of another version");
	} else if (h->n_layers != s->n_layers)
		return pare_fail(err, PARE_E_MISMATCH, "a stored result is of another model");
	else if (h->kind == PARE_TASK_BASELINE ? h->k_all != pare_answer_len(s->model) || h->n_parts
					       : h->kind != PARE_TASK_PLAN || h->n_parts != 1)
		return pare_fail(err, PARE_E_FORMAT, "a stored result is damaged");
	return PARE_OK;
}

enum pare_status pare_result_unpack(const struct pare_study *s, const void *data, size_t len,
	struct pare_result **out, struct pare_err *err)
{
	struct bytes b = { .at = (uint8_t *)data, .room = len };
	struct header h = { 0 };
	struct pare_result *r;
	enum pare_status st;

	get(&b, &h, sizeof h);
	st = b.bad ? pare_fail(err, PARE_E_FORMAT, "a stored result is cut short")
		   : check_header(s, &h, err);
	if (st)
		return st;
	r = calloc(1, sizeof *r);
	if (!r || !(r->part = calloc((size_t)h.n_parts + 1, sizeof *r->part))) {
		free(r);
		return pare_nomem(err, "a result");
	}
	r->kind = (enum pare_task_kind)h.kind;
	r->layer = h.layer;
	r->dial = (enum pare_dial)h.dial;
	r->n = h.n;
	r->k = h.k;
	r->n_parts = h.n_parts;
	r->seconds = h.seconds;
	if (r->kind == PARE_TASK_BASELINE)
		st = get_baseline(s, &b, &h, r, err);
	else if (r->kind == PARE_TASK_PLAN) {
		r->plan = get_plan(&b, s->n_layers);
		r->noise = get_array(&b, (size_t)s->n_layers, sizeof *r->noise);
	}
	for (int i = 0; i < r->n_parts && !st && !b.bad; i++) {
		int64_t counts[3] = { 0 };

		get(&b, counts, sizeof counts);
		get(&b, r->part[i].left, sizeof r->part[i].left);
		r->part[i].n_right = counts[0];
		r->part[i].fixed = counts[1];
		r->part[i].broken = counts[2];
		r->part[i].slots = get_array(&b, (size_t)h.n * (size_t)h.k, sizeof(float));
	}
	if (!st && (b.bad || b.len != len))
		st = pare_fail(err, PARE_E_FORMAT, "a stored result is damaged");
	if (st)
		pare_result_free(r);
	else
		*out = r;
	return st;
}
