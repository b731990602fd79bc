/* Weights that go by a score of their own. */
#include "../base/err.h"
#include "../base/rng.h"
#include "../quantize/quantize.h"
#include "prune.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void score_l1(const float *w, int64_t n, int layer, float *score)
{
	(void)layer;
	for (int64_t i = 0; i < n; i++)
		score[i] = fabsf(w[i]);
}

static void score_random(const float *w, int64_t n, int layer, float *score)
{
	struct pare_rng r = pare_rng_seed(0, (uint64_t)layer);

	(void)w;
	for (int64_t i = 0; i < n; i++)
		score[i] = (float)pare_rng_unit(&r);
}

const struct pare_criterion pare_criteria[] = {
	{ "l1", "magnitude of the weight", score_l1 },
	{ "random", "chance, as a control", score_random },
	{ "obs", "what the output loses; the others make up for it (Frantar & Alistarh 2022)",
		NULL },
	{ 0 },
};

int64_t pare_n_pruned(int64_t n, float sparsity)
{
	/* half a percent of rounding must not lose a weight: 0.3f * 10 is 3.0000001 */
	return (int64_t)floor((double)n * (double)sparsity + 1e-4);
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void pare_take_least(const float *score, int64_t n, int64_t k, float *sorted, bool *goes)
{
	int64_t below = 0;
	float limit;

	if (k <= 0)
		return;
	memcpy(sorted, score, (size_t)n * sizeof *score);
	qsort(sorted, (size_t)n, sizeof *sorted, by_value);
	limit = sorted[k - 1];
	for (int64_t i = 0; i < n; i++)
		below += score[i] < limit;
	for (int64_t i = 0, ties = k - below; i < n; i++)
		goes[i] |= score[i] < limit || (score[i] == limit && ties-- > 0);
}

/* Of each set of `of` sites of a strip the least. */
static void take_from_sets(const struct pare_lay *l, const float *score, bool *goes)
{
	int of = l->pattern->of;
	float values[16], sorted[16];
	bool goes_here[16];

	for (int64_t at = 0; at < l->strips * l->sites; at += l->sites)
		for (int s = 0; s < l->sites; s++) {
			if (s / l->inner % l->channels % of)
				continue; /* not the first of its set */
			memset(goes_here, 0, sizeof goes_here);
			for (int j = 0; j < of; j++)
				values[j] = score[at + s + j * l->inner];
			pare_take_least(values, of, of - l->pattern->keep, sorted, goes_here);
			for (int j = 0; j < of; j++)
				goes[at + s + j * l->inner] = goes_here[j];
		}
}

/* Where weight i of a site lies. */
static int64_t
weight_at(const struct pare_lay *l, const struct pare_channels *c, int64_t strip, int site, int i)
{
	const struct pare_pattern *p = l->pattern;

	return pare_channel_at(
		c, strip * p->tall + i / p->wide, pare_lay_column(l, site, i % p->wide));
}

enum pare_status pare_site_scores(const float *w, const struct pare_lay *l, int layer,
	const struct pare_criterion *by, float *sum, struct pare_err *err)
{
	const struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	int64_t n = l->rows * l->columns;
	float *score = malloc((size_t)n * sizeof *score);

	if (!score)
		return pare_nomem(err, "the scores of a layer's weights");
	by->score(w, n, layer, score);
	for (int64_t s = 0; s < l->strips * l->sites; s++) {
		sum[s] = 0;
		for (int i = 0; i < l->pattern->tall * l->pattern->wide; i++)
			sum[s] += score[weight_at(l, &c, s / l->sites, (int)(s % l->sites), i)];
	}
	free(score);
	return PARE_OK;
}

enum pare_status pare_prune_by_score(float *w, const struct pare_lay *l, int layer, float sparsity,
	const struct pare_criterion *by, struct pare_err *err)
{
	const struct pare_channels c = pare_channels_of(&l->weight, l->out_axis);
	int64_t sites = l->strips * l->sites, gone = pare_lay_gone(l, sparsity);
	float *sum;
	bool *goes;
	enum pare_status st;

	if (gone <= 0)
		return PARE_OK;
	sum = malloc(2 * (size_t)sites * sizeof *sum);
	goes = calloc((size_t)sites, sizeof *goes);
	st = sum && goes ? pare_site_scores(w, l, layer, by, sum, err)
			 : pare_nomem(err, "the scores of a layer's weights");
	if (!st && l->pattern->of)
		take_from_sets(l, sum, goes);
	else if (!st)
		pare_take_least(sum, sites, gone, sum + sites, goes);
	for (int64_t s = 0; s < sites && !st; s++)
		for (int i = 0; i < l->pattern->tall * l->pattern->wide && goes[s]; i++)
			w[weight_at(l, &c, s / l->sites, (int)(s % l->sites), i)] = 0;
	free(sum);
	free(goes);
	return st;
}
