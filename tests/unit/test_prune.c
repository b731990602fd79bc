/* Weights that go: by score, by pattern, and by what the output loses, held against the formulas of
 * the paper written out plainly. */
#include "engine/prune/obs.h"
#include "engine/prune/prune.h"
#include "engine/quantize/quantize.h"
#include "tests/network.h"
#include <math.h>

static int row_of(enum pare_method family, const char *name)
{
	int i = pare_method_find(family, name);

	ok(i >= 0, "there is a row '%s'", name);
	return i;
}

/* A pattern over a convolution's weights [rows, channels, 1, inner]. */
static struct pare_lay lay_of(const char *pattern, int rows, int channels, int inner)
{
	const struct pare_pattern *p = &pare_patterns[row_of(PARE_PATTERN, pattern)];

	return (struct pare_lay){ .pattern = p,
		.fits = true,
		.out_axis = 0,
		.weight = { 4, { rows, channels, 1, inner } },
		.rows = rows,
		.columns = channels * inner,
		.channels = channels,
		.inner = inner,
		.strips = rows / p->tall,
		.sites = channels * inner / p->wide };
}

/* ---- by score ----------------------------------------------------------------------------------
 */

static void the_smallest_go(void)
{
	float w[10] = { 3, -1, 2, -2, 5, 1, -7, .5f, 1, 0 };
	struct pare_lay l = lay_of("unstructured", 1, 10, 1);
	struct pare_err err = { 0 };
	int zeros = 0;

	ok_status(pare_prune_by_score(w, &l, 0, .5f, &pare_criteria[0], &err), err, "prunes");
	for (int i = 0; i < 10; i++)
		zeros += w[i] == 0;
	ok(zeros == 5, "half of ten are five");
	ok(w[0] == 3 && w[2] == 2 && w[3] == -2 && w[4] == 5 && w[6] == -7, "the largest stay");
	ok(pare_n_pruned(10, .3f) == 3 && pare_n_pruned(1000, .7f) == 700 &&
			pare_n_pruned(7, .5f) == 3,
		"counts are those of decimal fractions, rounded down");
}

static void ties_fall_in_order(void)
{
	float w[6] = { 1, 1, 1, 1, 1, 1 };
	struct pare_lay l = lay_of("unstructured", 2, 3, 1);
	struct pare_err err = { 0 };

	ok_status(pare_prune_by_score(w, &l, 0, .5f, &pare_criteria[0], &err), err, "prunes");
	ok(!w[0] && !w[1] && !w[2] && w[3] == 1, "the first of equals go");
}

static void random_is_a_control(void)
{
	float w[1000], v[1000];
	struct pare_lay l = lay_of("unstructured", 1, 1000, 1);
	struct pare_err err = { 0 };
	int zeros = 0, differ = 0;

	for (int i = 0; i < 1000; i++)
		w[i] = v[i] = (float)(i + 1);
	ok_status(pare_prune_by_score(w, &l, 3, .4f, &pare_criteria[1], &err), err, "prunes");
	ok_status(pare_prune_by_score(v, &l, 3, .4f, &pare_criteria[1], &err), err, "and again");
	for (int i = 0; i < 1000; i++) {
		zeros += w[i] == 0;
		differ += w[i] != v[i];
	}
	ok(zeros == 400 && !differ && w[999] + w[998] + w[997] > 0,
		"400 of 1,000, the same each time");
}

/* Of four input channels at one place of the kernel, not of four weights in the file. */
static void two_of_four_channels_stay(void)
{
	/* [2 rows][4 channels][2 places] */
	float w[16] = { 1, 8, 2, 7, 3, 6, 4, 5, -1, 1, 9, 2, -9, 9, 1, 8 };
	static const float want[16] = { 0, 8, 0, 7, 3, 0, 4, 0, 0, 0, 9, 0, -9, 9, 0, 8 };
	struct pare_lay l = lay_of("2:4", 2, 4, 2);
	struct pare_err err = { 0 };

	ok_status(pare_prune_by_score(w, &l, 0, .5f, &pare_criteria[0], &err), err, "2:4");
	ok(!memcmp(w, want, sizeof w), "the larger two of four channels stay at each place");
	ok(pare_lay_weights_gone(&l, .5f) == 8, "which are half");
}

static void blocks_go_as_a_whole(void)
{
	/* 4 output channels of 2 inputs: the sums of the two columns are 4 and 5 */
	float tall[8] = { 1, 0, 1, 5, 1, 0, 1, 0 }, wide[8] = { 1, 1, 1, 1, 0, 0, 0, 5 };
	struct pare_lay l = lay_of("4x1", 4, 2, 1);
	struct pare_err err = { 0 };
	float left = 0;

	ok_status(pare_prune_by_score(tall, &l, 0, .5f, &pare_criteria[0], &err), err, "4x1");
	for (int i = 0; i < 4; i++)
		left += fabsf(tall[2 * i]);
	ok(left == 0 && tall[3] == 5, "a column of four goes, whatever else");
	l = lay_of("1x4", 2, 4, 1);
	ok_status(pare_prune_by_score(wide, &l, 0, .5f, &pare_criteria[0], &err), err, "1x4");
	ok(wide[0] == 0 && wide[3] == 0 && wide[7] == 5, "a row of four goes");
	ok(pare_lay_weights_gone(&l, .9f) == 4, "and whole ones alone are counted");
}

/* ---- by what the output loses ------------------------------------------------------------------
 */

enum { ROWS = 4, K = 8, CASES = 20 };

struct problem {
	struct pare_gram gram;
	double c[ROWS * K], w[ROWS * K];
	bool zero[ROWS * K];
};

/* Inputs that go together, as pixels do, so that weights can make up for each other. */
static void draw(struct problem *p, struct pare_rng *r)
{
	double *h = calloc(K * K, sizeof *h), ridge;
	struct pare_err err = { 0 };

	for (int n = 0; n < 30; n++) {
		double common = pare_rng_normal(r), x[K];

		for (int i = 0; i < K; i++)
			x[i] = common + (0.3 + 0.1 * i) * pare_rng_normal(r);
		for (int i = 0; i < K * K; i++)
			h[i] += x[i / K] * x[i % K] / 30;
	}
	if (pare_gram_new(h, K, 0.01, &p->gram, &ridge, &err))
		abort();
	for (int i = 0; i < ROWS * K; i++)
		p->w[i] = pare_rng_normal(r);
	for (int i = 0; i < ROWS * K; i++) {
		p->c[i] = 0;
		for (int j = 0; j < K; j++)
			p->c[i] += p->gram.h[i % K * K + j] * p->w[i / K * K + j];
	}
}

/* Best weights of one row without those that are `zero`, by Gauss and Jordan; returns the error. */
static double solve_plainly(const struct problem *p, int row, const bool *zero, double *w)
{
	double m[K][K + 1], f = 0;
	int at[K], n = 0;

	for (int i = 0; i < K; i++) {
		w[i] = 0;
		if (!zero[i])
			at[n++] = i;
	}
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < n; j++)
			m[i][j] = p->gram.h[at[i] * K + at[j]];
		m[i][n] = p->c[row * K + at[i]];
	}
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++) {
			double by = m[j][i] / m[i][i];

			for (int t = 0; t <= n && j != i; t++)
				m[j][t] -= by * m[i][t];
		}
	for (int i = 0; i < n; i++)
		w[at[i]] = m[i][n] / m[i][i];
	for (int i = 0; i < K; i++)
		f -= p->c[row * K + i] * w[i] / 2; /* at the least: v'Hv = c'v */
	return f;
}

/* What a strip of rows loses without a site too: 2 (f after - f before). */
static double loss_plainly(
	const struct problem *p, const struct pare_lay *l, int strip, const bool *zero, int site)
{
	double sum = 0, w[K];

	for (int r = 0; r < l->pattern->tall; r++) {
		int row = strip * l->pattern->tall + r;
		bool more[K];

		memcpy(more, zero + row * K, sizeof more);
		sum -= solve_plainly(p, row, more, w);
		for (int j = 0; j < l->pattern->wide; j++)
			more[pare_lay_column(l, site, j)] = true;
		sum += solve_plainly(p, row, more, w);
	}
	return 2 * sum;
}

/* The paper's greedy choice over all rows, each step from the start. */
static void
choose_plainly(const struct problem *p, const struct pare_lay *l, int64_t gone, bool *zero)
{
	int left[ROWS * K];

	for (int i = 0; i < ROWS * K; i++) {
		zero[i] = false;
		left[i] = l->pattern->of - l->pattern->keep;
	}
	while (gone-- > 0) {
		double least = INFINITY;
		int strip = 0, site = 0;

		for (int s = 0; s < l->strips; s++)
			for (int i = 0; i < l->sites; i++) {
				double loss;

				if (zero[s * l->pattern->tall * K + pare_lay_column(l, i, 0)] ||
					(l->pattern->of && !left[s * K + pare_lay_set(l, i)]))
					continue;
				loss = loss_plainly(p, l, s, zero, i);
				if (loss < least) {
					least = loss;
					strip = s;
					site = i;
				}
			}
		if (l->pattern->of)
			left[strip * K + pare_lay_set(l, site)]--;
		for (int r = 0; r < l->pattern->tall; r++)
			for (int j = 0; j < l->pattern->wide; j++)
				zero[(strip * l->pattern->tall + r) * K +
					pare_lay_column(l, site, j)] = true;
	}
}

static void pattern_by_the_paper(const char *pattern, float sparsity, int inner)
{
	struct pare_lay l = lay_of(pattern, ROWS, K / inner, inner);
	struct pare_rng r = pare_rng_seed(11, 1);
	int same = 0;
	double worst = 0;

	for (int n = 0; n < CASES; n++) {
		struct problem p;
		struct pare_obs o = { &l, ROWS, &p.gram, p.c, p.w, p.zero, false };
		struct pare_err err = { 0 };
		bool want[ROWS * K];

		draw(&p, &r);
		choose_plainly(&p, &l, pare_lay_gone(&l, sparsity), want);
		if (pare_obs_prune(&o, sparsity, NULL, &err))
			printf("# %s\n", err.text);
		same += !memcmp(want, p.zero, sizeof want);
		for (int row = 0; row < ROWS; row++) {
			double w[K];

			solve_plainly(&p, row, p.zero + row * K, w);
			for (int i = 0; i < K; i++)
				worst = fmax(worst, fabs(w[i] - p.w[row * K + i]));
		}
		pare_gram_free(&p.gram);
	}
	ok(same == CASES, "%s, %.0f %%: what goes is what the paper takes: %d of %d", pattern,
		100 * (double)sparsity, same, CASES);
	ok(worst < 1e-9, "%s: what stays is least squares: %g", pattern, worst);
}

/* One sweep: by SparseGPT's formulas, H's inverse made anew for what lies behind each column. */
static void sweep_plainly(const struct problem *p, double *w, const bool *zero)
{
	for (int row = 0; row < ROWS; row++)
		for (int at = 0; at < K; at++) {
			double column[K], add[K];
			bool passed[K] = { false };
			struct problem q = *p;

			/* column `at` of the inverse of H without what was passed */
			for (int i = 0; i < K; i++) {
				passed[i] = i < at;
				q.c[i] = i == at;
			}
			solve_plainly(&q, 0, passed, column);
			for (int i = at; i < K; i++)
				add[i] = zero[row * K + at]
						 ? -w[row * K + at] / column[at] * column[i]
						 : 0;
			for (int i = at; i < K; i++)
				w[row * K + i] += add[i];
		}
}

static void one_sweep_is_sparsegpt(const char *pattern, float sparsity)
{
	struct pare_lay l = lay_of(pattern, ROWS, K, 1);
	struct pare_rng r = pare_rng_seed(13, 1);
	double worst = 0;
	int wrong = 0;

	for (int n = 0; n < CASES; n++) {
		struct problem p;
		struct pare_obs o = { &l, ROWS, &p.gram, p.c, p.w, p.zero, true };
		struct pare_err err = { 0 };
		double w[ROWS * K], cost[ROWS * K];
		struct pare_obs_path *path = NULL;
		int64_t zeros = 0;

		draw(&p, &r);
		memcpy(w, p.w, sizeof w);
		if (pare_obs_path_new(&o, NULL, &path, &err) ||
			pare_obs_path_costs(path, cost, &err) ||
			pare_obs_path_take(path, sparsity, &err))
			printf("# %s\n", err.text);
		pare_obs_path_free(path);
		sweep_plainly(&p, w, p.zero);
		for (int i = 0; i < ROWS * K; i++) {
			zeros += p.zero[i];
			wrong += p.zero[i] != (p.w[i] == 0);
			worst = fmax(worst, fabs(w[i] - p.w[i]));
		}
		for (int64_t i = 1; i < l.strips * l.sites; i++)
			wrong += cost[i] < cost[i - 1];
		wrong += zeros != pare_lay_weights_gone(&l, sparsity);
		pare_gram_free(&p.gram);
	}
	ok(!wrong, "%s in one sweep: zeros as many as said", pattern);
	ok(worst < 1e-9, "%s: what stays is what SparseGPT's formulas give: %g", pattern, worst);
}

static void costs_add_up(void)
{
	struct pare_lay l = lay_of("unstructured", ROWS, K, 1);
	struct pare_rng r = pare_rng_seed(12, 1);
	double cost[ROWS * K], sum = 0, all = 0;
	struct pare_obs_path *path = NULL;
	struct problem p;
	struct pare_obs o = { &l, ROWS, &p.gram, p.c, p.w, p.zero, false };
	struct pare_err err = { 0 };

	draw(&p, &r);
	for (int i = 0; i < ROWS * K; i++)
		all += p.c[i] * p.w[i];
	ok_status(pare_obs_path_new(&o, NULL, &path, &err), err, "a path");
	ok_status(pare_obs_path_costs(path, cost, &err), err, "costs");
	pare_obs_path_free(path);
	for (int i = 0; i < ROWS * K; i++)
		sum += cost[i];
	ok(fabs(sum - all) < 1e-9 * all, "without any weight all of the output is lost: %g of %g",
		sum, all);
	pare_gram_free(&p.gram);
}

/* ---- on a network ------------------------------------------------------------------------------
 */

static struct pare_plan *plan_of(float sparsity, const char *by, const char *pattern, int bits)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	char name[16];

	snprintf(name, sizeof name, "int%d", bits);
	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].sparsity = sparsity;
		p->dials[i].criterion = (uint8_t)pare_method_find(PARE_CRITERION, by);
		p->dials[i].pattern = (uint8_t)pare_method_find(PARE_PATTERN, pattern);
		p->dials[i].weights = (uint8_t)(bits ? pare_format_find(name) : 0);
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "gptq");
	}
	return p;
}

static struct pare_variant *variant_of(const struct network *t, const struct pare_plan *p)
{
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	ok_status(pare_variant_new(t->m, p, t->c, NULL, &v, &err), err, "carried out");
	return v;
}

static int64_t zeros_of(const struct pare_model *m, int layer)
{
	int64_t n = 0;

	for (int64_t i = 0; i < pare_model_layer(m, layer)->weights; i++)
		n += pare_model_weights(m, layer)[i] == 0;
	return n;
}

static void making_up_pays(const struct network *t)
{
	static const char *const by[] = { "random", "l1", "obs" };
	double e[3];

	for (int i = 0; i < 3; i++) {
		struct pare_plan *p = plan_of(.5f, by[i], "unstructured", 0);
		struct pare_variant *v = variant_of(t, p);

		e[i] = network_loss(t, v);
		pare_variant_free(v);
		pare_plan_free(p);
	}
	ok(e[1] < e[0] && e[2] < e[1] / 2, "half of the weights: random %.4g, l1 %.4g, obs %.4g",
		e[0], e[1], e[2]);
}

/* What a plan says of zeros and bytes is what its variant has, rounded or not. */
static void zeros_are_as_many_as_said(const struct network *t)
{
	for (int pattern = 0; pare_patterns[pattern].name; pattern++)
		for (int bits = 0; bits <= 4; bits += 4) {
			const char *name = pare_patterns[pattern].name;
			struct pare_plan *p = plan_of(.5f, "obs", name, bits);
			struct pare_variant *v = variant_of(t, p);
			char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
			struct pare_err err = { 0 };
			struct pare_cost cost;
			int64_t bytes;
			int wrong = 0;

			for (int i = 0; i < TINY_LAYERS; i++) {
				struct pare_lay l = pare_lay_over(t->m, i, pattern);
				int64_t want = pare_lay_weights_gone(&l, .5f);
				int64_t have = zeros_of(pare_variant_model(v), i);

				wrong += bits ? have < want : have != want;
			}
			ok(!wrong, "%s, %d bits: zeros where it says", name, bits);
			pare_sha256("x", 1, recipe);
			ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err, "hashes");
			ok_status(pare_plan_cost(t->m, p, &cost, &err), err, "costs");
			ok(cost.file_bytes == bytes, "%s: %lld bytes, said %lld", name,
				(long long)bytes, (long long)cost.file_bytes);
			pare_variant_free(v);
			pare_plan_free(p);
		}
}

/* The zeros of a plan that rounds too are those of the one that does not. */
static void rounding_keeps_the_zeros(const struct network *t)
{
	struct pare_plan *p = plan_of(.5f, "obs", "unstructured", 0);
	struct pare_plan *q = plan_of(.5f, "obs", "unstructured", 8);
	struct pare_variant *v = variant_of(t, p), *w = variant_of(t, q);
	const float *a = pare_model_weights(pare_variant_model(v), 0);
	const float *b = pare_model_weights(pare_variant_model(w), 0);
	int lost = 0;

	for (int64_t i = 0; i < pare_model_layer(t->m, 0)->weights; i++)
		lost += a[i] == 0 && b[i] != 0;
	ok(!lost, "a weight that went stays away when the rest is rounded");
	pare_variant_free(v);
	pare_variant_free(w);
	pare_plan_free(p);
	pare_plan_free(q);
}

static void threads_change_nothing(const struct network *t)
{
	char sha[2][PARE_SHA_HEX];
	struct pare_plan *p = plan_of(.6f, "obs", "unstructured", 4);
	struct pare_err err = { 0 };
	int64_t bytes;

	for (int i = 0; i < 2; i++) {
		struct pare_variant *v;

		pare_set_threads(i ? 3 : 1);
		v = variant_of(t, p);
		ok_status(pare_variant_hash(v, NULL, sha[i], &bytes, &err), err, "hashes");
		pare_variant_free(v);
	}
	pare_set_threads(0);
	ok(!strcmp(sha[0], sha[1]), "one thread and three make the same bytes");
	pare_plan_free(p);
}

static double weights_left(const struct network *t, const struct pare_plan *p)
{
	int64_t all = 0, gone = 0;

	for (int i = 0; i < TINY_LAYERS; i++) {
		struct pare_lay l = pare_lay_over(t->m, i, p->dials[i].pattern);

		all += pare_model_layer(t->m, i)->weights;
		gone += pare_lay_weights_gone(&l, p->dials[i].sparsity);
	}
	return 1 - (double)gone / (double)all;
}

static struct pare_plan *spread_of(const struct network *t, const char *by, double share)
{
	struct pare_plan *p = plan_of(0, by, "unstructured", 0);
	struct pare_err err = { 0 };
	bool all[TINY_LAYERS];

	memset(all, true, sizeof all);
	ok_status(pare_plan_spread_weights(t->m, p, all, share, t->c, NULL, &err), err,
		"spread by %s", by);
	return p;
}

/* By magnitude one threshold for all: the largest that goes anywhere is about the smallest that
 * stays anywhere else. */
static void one_threshold_for_all(const struct network *t)
{
	struct pare_plan *p = spread_of(t, "l1", .6);
	struct pare_variant *v = variant_of(t, p);
	double stays[2] = { 0, INFINITY }, left = weights_left(t, p);

	for (int i = 0; i < TINY_LAYERS; i++) {
		double least = INFINITY;

		for (int64_t k = 0; k < pare_model_layer(t->m, i)->weights; k++) {
			double w = fabs((double)pare_model_weights(pare_variant_model(v), i)[k]);

			least = w > 0 && w < least ? w : least;
		}
		if (p->dials[i].sparsity > 0 && p->dials[i].sparsity < .99f &&
			pare_model_layer(t->m, i)->weights >= 200) {
			stays[0] = fmax(stays[0], least);
			stays[1] = fmin(stays[1], least);
		}
	}
	ok(left <= .4 && left > .39, "60 %% go: %.4f stay", left);
	ok(stays[0] < 1.1 * stays[1], "one threshold: %.4g to %.4g", stays[1], stays[0]);
	pare_variant_free(v);
	pare_plan_free(p);
}

static void spreading_pays(const struct network *t)
{
	struct pare_plan *p[2] = { plan_of(.7f, "obs", "unstructured", 0),
		spread_of(t, "obs", .7) };
	double e[2], left = weights_left(t, p[1]);

	for (int i = 0; i < 2; i++) {
		struct pare_variant *v = variant_of(t, p[i]);

		e[i] = network_loss(t, v);
		pare_variant_free(v);
	}
	ok(left <= .3 && left > .29, "70 %% go: %.4f stay", left);
	ok(e[1] < e[0], "70 %%: from every layer alike %.4g, where it costs least %.4g", e[0],
		e[1]);
	for (int i = 0; i < 2; i++)
		pare_plan_free(p[i]);
}

static void what_cannot_be_spread_says_so(const struct network *t)
{
	struct pare_plan *p = plan_of(0, "obs", "unstructured", 0);
	struct pare_err err = { 0 };
	bool all[TINY_LAYERS];

	memset(all, true, sizeof all);
	ok(pare_plan_spread_weights(t->m, p, all, .5, NULL, NULL, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"without data: %s", err.text);
	p->dials[3].criterion = 0;
	ok(pare_plan_spread_weights(t->m, p, all, .5, t->c, NULL, &err) == PARE_E_ARG &&
			strstr(err.text, "one criterion"),
		"with two criteria: %s", err.text);
	p->dials[3] = p->dials[2];
	p->dials[5].pattern = (uint8_t)pare_method_find(PARE_PATTERN, "2:4");
	all[5] = false;
	ok_status(pare_plan_spread_weights(t->m, p, all, .5, t->c, NULL, &err), err,
		"layers that are not asked for do not matter");
	pare_plan_free(p);
}

static void what_does_not_come_out_even_is_left(const struct network *t)
{
	struct pare_lay l = pare_lay_over(t->m, 1, row_of(PARE_PATTERN, "2:4"));

	ok(l.channels == TINY_WIDTH && !l.fits && !pare_lay_gone(&l, .5f),
		"2:4 takes nothing from a layer of 6 input channels");
	for (int i = 0; pare_options[i].name; i++)
		if (pare_options[i].pattern) {
			struct pare_dials d = { .pattern = (uint8_t)row_of(PARE_PATTERN, "4x1") };

			ok(!pare_option_fits(t->m, 1, &pare_options[i]), "%s is no option there",
				pare_options[i].name);
			d.sparsity = .5f;
			ok(pare_option_of(&d, PARE_DIAL_SPARSITY) != i, "4x1 is not at %s",
				pare_options[i].name);
			pare_option_apply(&pare_options[i], &d);
			ok(d.pattern == pare_options[i].pattern && d.sparsity == .5f &&
					pare_option_of(&d, PARE_DIAL_SPARSITY) == i,
				"%s is at its place of the dial", pare_options[i].name);
			ok(pare_option_turn(&d, PARE_DIAL_SPARSITY, -1) == i - 1 && !d.pattern,
				"and leaves with a turn");
		}
}

static void without_data_it_says_so(const struct network *t)
{
	struct pare_plan *p = plan_of(.5f, "obs", "unstructured", 0);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	ok(pare_variant_new(t->m, p, NULL, NULL, &v, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"without data: %s", err.text);
	pare_plan_free(p);
}

int main(void)
{
	struct network t = { 0 };

	the_smallest_go();
	ties_fall_in_order();
	random_is_a_control();
	two_of_four_channels_stay();
	blocks_go_as_a_whole();
	pattern_by_the_paper("unstructured", .5f, 1);
	pattern_by_the_paper("unstructured", .8f, 1);
	pattern_by_the_paper("2:4", .5f, 2);
	pattern_by_the_paper("4:8", .5f, 1);
	pattern_by_the_paper("1:4", .75f, 1);
	pattern_by_the_paper("4x1", .5f, 1);
	pattern_by_the_paper("1x4", .5f, 2);
	one_sweep_is_sparsegpt("unstructured", .5f);
	one_sweep_is_sparsegpt("2:4", .5f);
	one_sweep_is_sparsegpt("4x1", .5f);
	one_sweep_is_sparsegpt("1x4", .5f);
	costs_add_up();
	if (!network_open(&t))
		return 1;
	making_up_pays(&t);
	zeros_are_as_many_as_said(&t);
	rounding_keeps_the_zeros(&t);
	threads_change_nothing(&t);
	one_threshold_for_all(&t);
	spreading_pays(&t);
	what_cannot_be_spread_says_so(&t);
	what_does_not_come_out_even_is_left(&t);
	without_data_it_says_so(&t);
	network_close(&t);
	return tap_done();
}
