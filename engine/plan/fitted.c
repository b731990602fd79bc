#include "fitted.h"
#include "../base/err.h"
#include "../base/hash.h"
#include "../quantize/keep.h"
#include <stdlib.h>
#include <string.h>

/* ---- keys --------------------------------------------------------------------------------------
 */

static void add_text(struct pare_sha *s, const char *text)
{
	pare_sha_add(s, text, strlen(text) + 1);
}

static void add_blob(struct pare_sha *s, const struct pare_blob *b)
{
	uint64_t len = b ? b->len : 0;

	pare_sha_add(s, &len, sizeof len);
	if (b)
		pare_sha_add(s, b->data, b->len);
}

enum pare_status pare_fit_key_begin(const struct pare_model *m, const struct pare_calibration *c,
	struct pare_fit_key *k, struct pare_err *err)
{
	struct pare_sha *s = pare_sha_new();

	if (!s)
		return pare_nomem(err, "a hash");
	add_text(s, PARE_VERSION);
	add_text(s, pare_isa());
	add_text(s, m->info.sha256);
	for (int i = 0; i < m->graph.n_vars; i++) /* an edit has other constants than its file */
		add_blob(s, m->graph.vars[i].blob);
	add_text(s, pare_dataset_info(c->dataset)->sha256);
	pare_sha_add(s, &c->n_samples, sizeof c->n_samples);
	for (int i = 0; i < c->n; i++) /* which samples they are */
		pare_sha_add(s, c->range[i].count, sizeof c->range[i].count);
	pare_sha_end(s, k->hex);
	return PARE_OK;
}

enum pare_status pare_fit_key_next(struct pare_fit_key *k, const struct pare_fit_layer *l,
	const struct pare_act_quant *act, const struct pare_blob *weights,
	const struct pare_blob *bias, unsigned may, struct pare_err *err)
{
	struct pare_sha *s = pare_sha_new();
	int asked[] = { l->fits, l->prunes, l->shifts, l->scales, l->keep_zeros, l->grid.lo,
		l->grid.hi, (int)l->grid.n_groups, (int)l->grid.group, (int)may, l->joins };
	int range[] = { act && act->on, act ? act->zero : 0, act ? act->lo : 0, act ? act->hi : 0,
		act && act->dynamic };

	if (!s)
		return pare_nomem(err, "a hash");
	add_text(s, k->hex);
	pare_sha_add(s, asked, sizeof asked);
	pare_sha_add(s, range, sizeof range);
	if (act && act->on)
		pare_sha_add(s, &act->scale, sizeof act->scale);
	add_text(s, l->rounding ? l->rounding->name : "");
	add_text(s, l->grid.scheme ? l->grid.scheme->name : "");
	add_text(s, l->prunes ? l->lay.pattern->name : "");
	if (l->prunes)
		pare_sha_add(s, &l->sparsity, sizeof l->sparsity);
	if (l->fits && l->w) /* before rounding, where it is done here */
		pare_sha_add(s, l->w, weights->len);
	else
		add_blob(s, weights);
	add_blob(s, bias);
	pare_sha_end(s, k->hex);
	return PARE_OK;
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

struct head {
	int64_t elements, channels, scales;
	int32_t bias, codes;
	char picked[32]; /* a rounding's name; "" = none was picked */
};

static size_t bytes_of(const struct head *h)
{
	size_t n = sizeof *h + (size_t)h->elements * sizeof(float);

	n += h->bias ? (size_t)h->channels * sizeof(float) : 0;
	return n + (h->codes ? (size_t)h->scales * (sizeof(float) + 1) + (size_t)h->elements : 0);
}

static struct head
head_of(int64_t elements, int64_t channels, const struct pare_fit_layer *l, bool bias)
{
	struct head h = { .elements = elements, .channels = channels, .bias = bias };

	h.codes = l->scale != NULL;
	h.scales = h.codes ? pare_grid_scales(&l->grid) : 0;
	if (l->picked)
		strncpy(h.picked, l->picked->name, sizeof h.picked - 1);
	return h;
}

static char *put(char *to, const void *data, size_t n)
{
	memcpy(to, data, n);
	return to + n;
}

void pare_fitted_keep(struct pare_keep *keep, const struct pare_fit_key *k, int64_t elements,
	int64_t channels, const struct pare_fit_layer *l, const struct pare_blob *weights,
	const struct pare_blob *bias)
{
	struct head h = head_of(elements, channels, l, bias != NULL);
	size_t n = bytes_of(&h);
	char *data = malloc(n), *at = data;

	if (!data)
		return;
	at = put(at, &h, sizeof h);
	at = put(at, weights->data, (size_t)elements * sizeof(float));
	if (bias)
		at = put(at, bias->data, (size_t)channels * sizeof(float));
	if (h.codes) {
		at = put(at, l->scale, (size_t)h.scales * sizeof(float));
		at = put(at, l->zero, (size_t)h.scales);
		put(at, l->q, (size_t)elements);
	}
	pare_keep_put(keep, k->hex, data, n, false);
}

static const char *get(void *to, const char *from, size_t n)
{
	memcpy(to, from, n);
	return from + n;
}

static bool take(const char *data, size_t len, int64_t elements, int64_t channels,
	struct pare_fit_layer *l, struct pare_blob **weights, struct pare_blob **bias)
{
	struct head h, want;
	struct pare_blob *w, *b = NULL;
	int row = -1;

	if (len < sizeof h)
		return false;
	data = get(&h, data, sizeof h);
	want = head_of(elements, channels, l, h.bias);
	h.picked[sizeof h.picked - 1] = 0;
	if (*h.picked && (row = pare_method_find(PARE_ROUNDING, h.picked)) < 0)
		return false;
	if (h.elements != want.elements || h.channels != want.channels || h.scales != want.scales ||
		h.codes != want.codes || len != bytes_of(&want))
		return false;
	w = pare_blob_new((size_t)elements * sizeof(float));
	if (!w || (h.bias && !(b = pare_blob_new((size_t)channels * sizeof(float))))) {
		pare_blob_free(w);
		return false;
	}
	data = get(w->data, data, w->len);
	if (b)
		data = get(b->data, data, b->len);
	if (h.codes) {
		data = get(l->scale, data, (size_t)h.scales * sizeof(float));
		data = get(l->zero, data, (size_t)h.scales);
		get(l->q, data, (size_t)elements);
	}
	pare_blob_free(*weights);
	pare_blob_free(*bias);
	*weights = w;
	*bias = b;
	l->picked = row < 0 ? NULL : &pare_roundings[row];
	return true;
}

bool pare_fitted_find(struct pare_keep *keep, const struct pare_fit_key *k, int64_t elements,
	int64_t channels, struct pare_fit_layer *l, struct pare_blob **weights,
	struct pare_blob **bias)
{
	size_t len = 0;
	char *data = pare_keep_find(keep, k->hex, &len);
	bool found = data && take(data, len, elements, channels, l, weights, bias);

	free(data);
	return found;
}
