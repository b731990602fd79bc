#include "../base/err.h"
#include "../base/rng.h"
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

enum pare_status pare_prune_unstructured(float *w, int64_t n, int layer, float sparsity,
	const struct pare_criterion *by, struct pare_err *err)
{
	int64_t k = pare_n_pruned(n, sparsity), below = 0;
	float *score, *sorted, limit;

	if (k <= 0)
		return PARE_OK;
	score = malloc((size_t)n * 2 * sizeof *score);
	if (!score)
		return pare_nomem(err, "the scores of a layer's weights");
	sorted = score + n;
	by->score(w, n, layer, score);
	memcpy(sorted, score, (size_t)n * sizeof *score);
	qsort(sorted, (size_t)n, sizeof *sorted, by_value);
	limit = sorted[k - 1];
	for (int64_t i = 0; i < n; i++)
		below += score[i] < limit;
	for (int64_t i = 0, ties = k - below; i < n; i++)
		if (score[i] < limit || (score[i] == limit && ties-- > 0))
			w[i] = 0;
	free(score);
	return PARE_OK;
}
