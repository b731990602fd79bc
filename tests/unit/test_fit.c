/* Rounding that looks: against brute force, against GPTQ as its paper writes it, and on a network.
 */
#include "engine/quantize/choose.h"
#include "engine/quantize/lattice.h"
#include "engine/quantize/learn.h"
#include "engine/quantize/quantize.h"
#include "engine/run/kernels.h"
#include "tests/network.h"
#include <math.h>

enum { K = 3, LO = -4, HI = 3, CASES = 200 };

struct problem {
	struct pare_gram gram;
	double c[K], w[K], room[K];
	float floats[K];
	int8_t spare[K];
	struct pare_row row;
};

/* Inputs that go together, as pixels do, so that coordinates matter to each other. */
static void draw(struct problem *p, struct pare_rng *r)
{
	double *h = calloc(K * K, sizeof *h), ridge;
	struct pare_err err = { 0 };

	for (int n = 0; n < 8; n++) {
		double common = pare_rng_normal(r), x[K];

		for (int i = 0; i < K; i++)
			x[i] = common + 0.5 * pare_rng_normal(r);
		for (int i = 0; i < K * K; i++)
			h[i] += x[i / K] * x[i % K] / 8;
	}
	for (int i = 0; i < K; i++)
		p->w[i] = pare_rng_normal(r);
	ok_status(pare_gram_new(h, K, 0.01, &p->gram, &ridge, &err), err, "a factor");
	for (int i = 0; i < K; i++) {
		p->c[i] = 0;
		for (int j = 0; j < K; j++)
			p->c[i] += p->gram.h[i * K + j] * p->w[j];
	}
	p->row = (struct pare_row){ &p->gram, p->c, p->w, NULL, LO, HI, p->room, p->spare,
		p->floats };
}

static double error_of(const struct problem *p, double scale, const int8_t *q)
{
	double f = 0;

	for (int i = 0; i < K; i++) {
		for (int j = 0; j < K; j++)
			f += scale * q[i] * p->gram.h[i * K + j] * scale * q[j] / 2;
		f -= p->c[i] * scale * q[i];
	}
	return f;
}

static double brute_force(const struct problem *p, double scale)
{
	double best = INFINITY;
	int8_t q[K];

	for (int n = 0; n < 512; n++) {
		for (int i = 0; i < K; i++)
			q[i] = (int8_t)((n >> 3 * i & 7) + LO);
		best = fmin(best, error_of(p, scale, q));
	}
	return best;
}

/* GPTQ by the formulas of its paper: round the coordinate, spread its error over those that are
 * left by the inverse of their part of H; here the inverse is made anew each time. */
static void paper(const struct problem *p, double scale, int8_t *q)
{
	bool left[K] = { true, true, true };
	double w[K];

	memcpy(w, p->w, sizeof w);
	for (int step = 0; step < K; step++) {
		double m[K][2 * K] = { { 0 } };
		int at[K], n = 0, i = -1, a = 0;

		for (int j = 0; j < K; j++)
			if (left[j] && (i < 0 || p->gram.h[j * K + j] >= p->gram.h[i * K + i]))
				i = j;
		for (int j = 0; j < K; j++)
			if (left[j]) {
				a = j == i ? n : a;
				at[n++] = j;
			}
		for (int r = 0; r < n; r++) {
			for (int s = 0; s < n; s++)
				m[r][s] = p->gram.h[at[r] * K + at[s]];
			m[r][n + r] = 1;
		}
		for (int r = 0; r < n; r++) /* Gauss and Jordan */
			for (int s = 0; s < n; s++) {
				double by = m[s][r] / m[r][r];

				for (int t = 0; t < 2 * n && s != r; t++)
					m[s][t] -= by * m[r][t];
			}
		for (int r = 0; r < n; r++)
			for (int t = 2 * n - 1; t >= 0; t--)
				m[r][t] /= m[r][r];
		q[i] = (int8_t)fmin(fmax(rint(w[i] / scale), LO), HI);
		for (int r = 0; r < n; r++)
			w[at[r]] -=
				(r == a ? 0 : m[r][n + a] / m[a][n + a] * (w[i] - scale * q[i]));
		left[i] = false;
	}
}

static void the_plane_is_gptq(void)
{
	struct pare_rng r = pare_rng_seed(5, 1);
	int same = 0;

	for (int n = 0; n < CASES; n++) {
		struct problem p;
		int8_t q[K], theirs[K];

		draw(&p, &r);
		pare_row_plane(&p.row, 0.4, q);
		paper(&p, 0.4, theirs);
		same += !memcmp(q, theirs, K);
		pare_gram_free(&p.gram);
	}
	ok(same == CASES, "the nearest plane is GPTQ: %d of %d", same, CASES);
}

static void descent_goes_down(void)
{
	struct pare_rng r = pare_rng_seed(6, 1);
	int found = 0, rises = 0, right = 0, better = 0;

	for (int n = 0; n < CASES; n++) {
		struct problem p;
		int8_t q[K], plane[K];
		double f[3], least, s;

		draw(&p, &r);
		least = brute_force(&p, 0.4);
		pare_row_plane(&p.row, 0.4, q);
		memcpy(plane, q, K);
		f[0] = error_of(&p, 0.4, q);
		pare_row_descend(&p.row, 0.4, false, q);
		f[1] = error_of(&p, 0.4, q);
		pare_row_descend(&p.row, 0.4, true, q);
		f[2] = error_of(&p, 0.4, q);
		rises += f[1] > f[0] + 1e-12 || f[2] > f[1] + 1e-12 || f[2] < least - 1e-12;
		found += f[2] < least + 1e-9;
		right += fabs(pare_row_error(&p.row, 0.4, q) - f[2]) < 1e-9;
		s = pare_row_search(&p.row, 0, q);
		better += error_of(&p, s, q) <= f[2] + 1e-9;
		pare_gram_free(&p.gram);
	}
	ok(!rises, "descent never rises, nor falls below what brute force finds");
	ok(found > CASES * 95 / 100, "it ends at the best of all 512 in %d of %d", found, CASES);
	ok(right == CASES, "the error is what it says");
	ok(better > CASES * 95 / 100, "a searched scale is no worse than a given one: %d of %d",
		better, CASES);
}

static void the_scale_is_least_squares(void)
{
	struct pare_rng r = pare_rng_seed(7, 1);
	static const int8_t q[K] = { 3, -2, 1 };
	struct problem p;
	double s, f;

	draw(&p, &r);
	for (int i = 0; i < K; i++) /* wanted: exactly 0.7 q */
		p.w[i] = 0.7 * q[i];
	for (int i = 0; i < K; i++) {
		p.c[i] = 0;
		for (int j = 0; j < K; j++)
			p.c[i] += p.gram.h[i * K + j] * p.w[j];
	}
	s = pare_row_scale(&p.row, 1, q);
	f = error_of(&p, 0.7, q);
	ok(fabs(s - 0.7) < 1e-6, "the best scale for what lies on a lattice is its own: %g", s);
	ok(f <= error_of(&p, 0.71, q) && f <= error_of(&p, 0.69, q), "and its error the least");
	pare_gram_free(&p.gram);
}

static void zeros_stay(void)
{
	struct pare_rng r = pare_rng_seed(8, 1);
	static const bool zero[K] = { false, true, false };
	struct problem p;
	int8_t q[K];

	draw(&p, &r);
	p.row.zero = zero;
	pare_row_search(&p.row, 0, q);
	ok(!q[1], "a pruned weight stays 0");
	pare_gram_free(&p.gram);
}

/* ---- behind a clamp ----------------------------------------------------------------------------
 */

enum { SEEN = 512 };
struct behind { /* one row of K weights before a Relu */
	float x[K * SEEN], t[SEEN], s[SEEN], bias, scale, shift;
	double w[K];
	int8_t q[K];
};

static double behind_error(const struct behind *b, const int8_t *q, float shift)
{
	double e = 0;

	for (int n = 0; n < SEEN; n++) {
		double y = (double)b->bias + (double)shift + (double)b->s[n];
		double want = fmax(0, (double)b->t[n] + (double)b->bias + (double)b->s[n]);

		for (int i = 0; i < K; i++)
			y += (double)b->scale * q[i] * (double)b->x[i * SEEN + n];
		e += (fmax(0, y) - want) * (fmax(0, y) - want) / SEEN;
	}
	return e;
}

/* All 512 rows there are, at the bias that is given. */
static void adaround_learns(void)
{
	struct pare_rng r = pare_rng_seed(11, 1);
	int best = 0, worse = 0, kept = 0;

	for (int n = 0; n < 20; n++) {
		struct behind b = { .bias = -.5f, .scale = .4f };
		struct pare_columns c = { .n = SEEN,
			.wide = SEEN,
			.groups = 1,
			.k = K,
			.o = 1,
			.lanes = 8,
			.lo = 0,
			.hi = INFINITY,
			.x = b.x,
			.t = b.t,
			.s = b.s };
		bool zero[K] = { false, n % 2 == 1, false };
		struct pare_learning l = { .columns = &c,
			.rows = 1,
			.k = K,
			.lo = LO,
			.hi = HI,
			.w = b.w,
			.zero = zero,
			.scale = &b.scale,
			.bias = &b.bias,
			.q = b.q };
		struct pare_err err = { 0 };
		double before, after, least = INFINITY;

		for (int i = 0; i < K; i++) {
			b.w[i] = zero[i] ? 0 : fmin(fmax(pare_rng_normal(&r), -1.5), 1.1);
			b.q[i] = (int8_t)fmin(fmax(floor(b.w[i] / 0.4), LO), HI);
		}
		for (int m = 0; m < SEEN; m++) {
			float common = (float)pare_rng_normal(&r);

			b.s[m] = .3f * (float)pare_rng_normal(&r);
			for (int i = 0; i < K; i++) {
				b.x[i * SEEN + m] = common + .7f * (float)pare_rng_normal(&r);
				b.t[m] += (float)b.w[i] * b.x[i * SEEN + m];
			}
		}
		before = behind_error(&b, b.q, 0);
		ok_status(pare_adaround(&l, &err), err, "learns");
		after = behind_error(&b, b.q, 0);
		for (int m = 0; m < 512; m++) {
			int8_t q[K] = { (int8_t)((m & 7) + LO), (int8_t)((m >> 3 & 7) + LO),
				(int8_t)((m >> 6) + LO) };

			if (!zero[1] || !q[1])
				least = fmin(least, behind_error(&b, q, 0));
		}
		worse += after > before + 1e-9 || after < least - 1e-9;
		best += after < least * 1.001 + 1e-9;
		kept += !zero[1] || !b.q[1];
	}
	ok(!worse, "AdaRound is never worse than where it starts, nor better than brute force");
	ok(best >= 17, "it finds the best of all 512 in %d of 20", best);
	ok(kept == 20, "pruned weights stay 0");
}

static void dead_inputs_do_no_harm(void)
{
	double *h = calloc(4, sizeof *h), ridge, v[2] = { 0 }, room[2];
	struct pare_gram g;
	struct pare_err err = { 0 };

	ok_status(pare_gram_new(h, 2, 0.01, &g, &ridge, &err), err, "inputs that are always 0");
	v[0] = ridge * 3;
	pare_gram_solve(&g, v, 1, room);
	ok(fabs(v[0] - 3) < 1e-12 && v[1] == 0, "weights stay where they were");
	pare_gram_free(&g);
	h = calloc(1, sizeof *h);
	h[0] = NAN;
	ok(pare_gram_new(h, 1, 0.01, &g, &ridge, &err) == PARE_E_ARG,
		"what is not finite is refused");
}

static void grams_of_every_kernel(void)
{
	enum { M = 7, N = 5, LONG = 96 };
	float *a = aligned_alloc(64, M * LONG * sizeof *a),
	      *b = aligned_alloc(64, N * LONG * sizeof *b);
	struct pare_rng r = pare_rng_seed(9, 1);

	for (int i = 0; i < M * LONG; i++)
		a[i] = (float)pare_rng_normal(&r);
	for (int i = 0; i < N * LONG; i++)
		b[i] = (float)pare_rng_normal(&r);
	for (int k = 0; pare_kernels_row(k); k++) {
		float c[M * N] = { 0 }, h[M * M] = { 0 };
		double worst = 0;

		pare_kernels_row(k)->gram(a, M, b, N, LONG, false, c);
		pare_kernels_row(k)->gram(a, M, a, M, LONG, true, h);
		for (int i = 0; i < M; i++)
			for (int j = 0; j < M; j++) {
				double x = 0, y = 0;

				for (int p = 0; p < LONG; p++) {
					x += (double)a[i * LONG + p] * (double)a[j * LONG + p];
					y += j < N ? (double)a[i * LONG + p] *
							     (double)b[j * LONG + p]
						   : 0;
				}
				if (j >= i)
					worst = fmax(worst, fabs((double)h[i * M + j] - x));
				if (j < N)
					worst = fmax(worst, fabs((double)c[i * N + j] - y));
			}
		ok(worst < 1e-4, "%s: products of rows: %g", pare_kernels_row(k)->isa, worst);
	}
	free(a);
	free(b);
}

/* ---- on a network ------------------------------------------------------------------------------
 */

/* `like`: what dials say beside. */
static struct pare_variant *variant_like(const struct network *t, struct pare_dials like,
	const char *method, int bits, struct pare_ctl *ctl)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	char name[16];

	snprintf(name, sizeof name, "int%d", bits);
	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i] = like;
		p->dials[i].weights = (uint8_t)pare_format_find(name);
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, method);
	}
	ok_status(pare_variant_new(t->m, p, t->c, ctl, &v, &err), err, "int%d, round %s", bits,
		method);
	pare_plan_free(p);
	return v;
}

static struct pare_variant *
variant_of(const struct network *t, const char *method, int bits, struct pare_ctl *ctl)
{
	return variant_like(t, (struct pare_dials){ 0 }, method, bits, ctl);
}

static void looking_pays(const struct network *t)
{
	static const char *const method[] = { "nearest", "gptq", "descent", "adaround", "auto" };
	double e[5];

	for (int i = 0; i < 5; i++) {
		struct pare_variant *v = variant_of(t, method[i], 3, NULL);

		e[i] = network_loss(t, v);
		pare_variant_free(v);
	}
	/* inputs of white noise leave GPTQ little to make up with */
	ok(e[1] < 1.2 * e[0] && e[2] < e[0] / 2 && e[3] < e[0] / 2 && e[4] < e[0] / 2,
		"3 bits: nearest %.4g, gptq %.4g, descent %.4g, adaround %.4g", e[0], e[1], e[2],
		e[3]);
}

/* A row whose scales and zero points differ is looked at as one whose do not. */
static void looking_pays_on_every_grid(const struct network *t)
{
	for (int s = 0; pare_method_name(PARE_SCHEME, s); s++) {
		struct pare_dials like = { .granularity = (uint8_t)pare_method_find(
						   PARE_GRANULARITY, "per-group 16"),
			.scheme = (uint8_t)s };
		double e[2];

		for (int looks = 0; looks < 2; looks++) {
			struct pare_variant *v =
				variant_like(t, like, looks ? "descent" : "nearest", 3, NULL);

			e[looks] = network_loss(t, v);
			pare_variant_free(v);
		}
		ok(e[1] < 0.8 * e[0], "3 bits, groups, %s: nearest %.4g, descent %.4g",
			pare_method_name(PARE_SCHEME, s), e[0], e[1]);
	}
}

/* The last layer's mean answer, on the samples that were looked at. */
static void means_are_right(const struct network *t)
{
	enum { N = 96, ELEMS = TINY_EDGE * TINY_EDGE }; /* of 100: all but a few */
	float *x = malloc(N * ELEMS * sizeof *x);
	double mean[3][TINY_CLASSES] = { { 0 } }, off[2] = { 0 };
	struct pare_err err = { 0 };

	pare_dataset_read(t->d, PARE_CALIBRATE, 0, N, x);
	for (int k = 0; k < 3; k++) {
		static const char *const method[] = { "nearest", "nearest", "corrected" };
		struct pare_array in = { PARE_F32, { 4, { N, 1, TINY_EDGE, TINY_EDGE } }, x }, out;
		struct pare_variant *v = variant_of(t, method[k], 4, NULL);

		ok_status(pare_model_run(k ? pare_variant_model(v) : t->m, &in, &out, &err), err,
			"runs");
		for (int i = 0; i < N * TINY_CLASSES; i++)
			mean[k][i % TINY_CLASSES] += (double)((float *)out.data)[i] / N;
		pare_array_free(&out);
		pare_variant_free(v);
	}
	for (int i = 0; i < TINY_CLASSES; i++)
		for (int k = 0; k < 2; k++)
			off[k] += fabs(mean[k + 1][i] - mean[0][i]);
	ok(off[1] < off[0] / 4, "biases take up the mean error: %.3g, was %.3g", off[1], off[0]);
	free(x);
}

static void threads_change_nothing(const struct network *t, const char *method)
{
	char sha[2][PARE_SHA_HEX];
	struct pare_err err = { 0 };
	int64_t bytes;

	for (int i = 0; i < 2; i++) {
		struct pare_variant *v;

		pare_set_threads(i ? 3 : 1);
		v = variant_of(t, method, 4, NULL);
		ok_status(pare_variant_hash(v, NULL, sha[i], &bytes, &err), err, "hashes");
		pare_variant_free(v);
	}
	pare_set_threads(0);
	ok(!strcmp(sha[0], sha[1]), "%s: one thread and three make the same bytes", method);
}

static void sizes_are_known(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_variant *v = variant_of(t, "descent", 4, NULL);
	char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	struct pare_err err = { 0 };
	struct pare_cost cost;
	int64_t bytes;

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int4");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
		p->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "descent");
	}
	pare_sha256("x", 1, recipe);
	ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err, "hashes");
	ok_status(pare_plan_cost(t->m, p, &cost, &err), err, "costs");
	ok(cost.file_bytes == bytes, "biases that come in are counted: %lld, said %lld",
		(long long)bytes, (long long)cost.file_bytes);
	pare_plan_free(p);
	pare_variant_free(v);
}

/* Every format there is: its codes, its size. */
static void formats_are_what_they_say(const struct network *t)
{
	for (int f = 1; pare_formats[f].name; f++) {
		const struct pare_format *row = &pare_formats[f];
		struct pare_plan *p = pare_plan_new(TINY_LAYERS);
		struct pare_variant *v = NULL;
		struct pare_err err = { 0 };
		char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
		struct pare_cost cost;
		int64_t bytes;
		int bad = 0;

		for (int i = 0; i < TINY_LAYERS; i++) {
			if (row->uses & PARE_FOR_WEIGHTS)
				p->dials[i].weights = (uint8_t)f;
			if (row->uses & PARE_FOR_ACTIVATIONS)
				p->dials[i].activations = (uint8_t)f;
		}
		ok_status(pare_variant_new(t->m, p, t->c, NULL, &v, &err), err, "%s", row->name);
		for (int i = 0; i < 6; i++) { /* of the first channel, over its smallest step */
			float w = pare_model_weights(pare_variant_model(v), 0)[i];
			uint32_t bitsof;

			memcpy(&bitsof, &w, sizeof bitsof);
			if (row->store == PARE_BF16)
				bad += (bitsof & 0xffff) != 0;
			else if (row->store == PARE_F16)
				bad += (bitsof & 0x1fff) != 0;
			else if (row->lo == -1)
				bad += w != 0 && fabsf(w) != fabsf(pare_model_weights(
								     pare_variant_model(v), 0)[0]);
		}
		ok(!bad, "%s: weights lie on its grid", row->name);
		pare_sha256("x", 1, recipe);
		ok_status(pare_variant_hash(v, recipe, sha, &bytes, &err), err, "hashes");
		ok_status(pare_plan_cost(t->m, p, &cost, &err), err, "costs");
		ok(cost.file_bytes == bytes, "%s: %lld bytes, said %lld", row->name,
			(long long)bytes, (long long)cost.file_bytes);
		pare_variant_free(v);
		pare_plan_free(p);
	}
}

/* The network's input enters its first layer: bounds of runs of samples, block by block of lanes.
 */
static void averages_move(const struct network *t)
{
	enum { ELEMS = TINY_EDGE * TINY_EDGE, RUNS = 64 };
	int64_t n = t->c->n_samples, lanes = pare_kernels_best()->lanes, i = 0;
	float *x = malloc((size_t)n * ELEMS * sizeof *x);
	double min = 0, max = 0;

	pare_dataset_read(t->d, PARE_CALIBRATE, 0, n, x);
	while (i < n) {
		int64_t run = i * RUNS / n;
		double lo = INFINITY, hi = -INFINITY;
		bool first = !i;

		for (; i < n && i / lanes * lanes * RUNS / n == run; i++)
			for (int k = 0; k < ELEMS; k++) {
				lo = fmin(lo, (double)x[i * ELEMS + k]);
				hi = fmax(hi, (double)x[i * ELEMS + k]);
			}
		min = first ? lo : 0.9 * min + 0.1 * lo;
		max = first ? hi : 0.9 * max + 0.1 * hi;
	}
	ok(fabs(min - (double)t->c->range[0].moving_min) < 1e-5 &&
			fabs(max - (double)t->c->range[0].moving_max) < 1e-5,
		"moving averages of bounds: %g %g", (double)t->c->range[0].moving_min,
		(double)t->c->range[0].moving_max);
	free(x);
}

static void the_best_quantizer_is_chosen(const struct network *t)
{
	struct pare_act_choices choices[TINY_LAYERS] = { 0 };
	struct pare_act_quant acts[TINY_LAYERS] = { 0 };
	struct pare_err err = { 0 };
	int right = 0;

	for (int i = 0; i < TINY_LAYERS; i++) {
		struct pare_act_quant good = pare_act_quant_of(&t->c->range[i], pare_calibrators,
			pare_rangings, &pare_formats[pare_format_find("int8")]);

		choices[i].n = i == 3 ? 0 : 3; /* layer 3 has nothing to choose */
		for (int k = 0; k < 3; k++) {
			choices[i].from[k] = good;
			choices[i].from[k].scale *= k == i % 3 ? 1 : k == (i + 1) % 3 ? 8 : .1f;
		}
	}
	ok_status(pare_acts_choose(t->m, t->c, choices, acts, NULL, &err), err, "chooses");
	for (int i = 0; i < TINY_LAYERS; i++)
		right += i == 3 ? !acts[i].on
				: !memcmp(&acts[i], &choices[i].from[i % 3], sizeof acts[i]);
	ok(right == TINY_LAYERS, "neither the coarse nor the narrow one: right in %d of %d", right,
		TINY_LAYERS);
}

/* What one value needs is one quantizer, whatever each of its readers would like best. */
static void readers_of_one_value_agree(const struct network *t)
{
	struct pare_act_choices choices[TINY_LAYERS] = { 0 };
	struct pare_act_quant acts[TINY_LAYERS] = { 0 }, a, b;
	struct pare_err err = { 0 };

	a = pare_act_quant_of(&t->c->range[0], pare_calibrators, pare_rangings,
		&pare_formats[pare_format_find("int4")]);
	b = pare_act_quant_of(&t->c->range[1], pare_calibrators, pare_rangings,
		&pare_formats[pare_format_find("int4")]);
	choices[0] = (struct pare_act_choices){ 2, { a, b } };
	choices[1] = (struct pare_act_choices){ 2, { b, a } };
	ok_status(pare_acts_choose(t->m, t->c, choices, acts, NULL, &err), err, "chooses");
	ok(!memcmp(&acts[0], &a, sizeof a) && !memcmp(&acts[1], &b, sizeof b),
		"of two values each has its own");
	choices[1] = choices[0];
	ok_status(pare_acts_choose(t->m, t->c, choices, acts, NULL, &err), err, "chooses");
	ok(acts[0].on && !memcmp(&acts[0], &acts[1], sizeof a), "with the same choices they agree");
}

static void a_stop_is_a_stop(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS);
	struct pare_ctl ctl = { 0 };
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };

	p->dials[0].weights = (uint8_t)pare_format_find("int4");
	p->dials[0].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "gptq");
	atomic_store(&ctl.cancel, true);
	ok(pare_variant_new(t->m, p, t->c, &ctl, &v, &err) == PARE_E_CANCELED && !v, "canceled");
	p->dials[0].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "descent");
	ok(pare_variant_new(t->m, p, NULL, NULL, &v, &err) == PARE_E_ARG &&
			strstr(err.text, "--data"),
		"without data it says what to do: %s", err.text);
	pare_plan_free(p);
}

static void hash_of(const struct network *t, const struct pare_plan *p,
	const struct pare_calibration *c, char sha[PARE_SHA_HEX])
{
	struct pare_variant *v = NULL;
	struct pare_err err = { 0 };
	int64_t bytes;

	ok(!pare_variant_new(t->m, p, c, NULL, &v, &err) &&
			!pare_variant_hash(v, NULL, sha, &bytes, &err),
		"carried out %s samples: %s", c ? "with" : "without", err.text);
	pare_variant_free(v);
}

static void the_default_makes_do_without_samples(const struct network *t)
{
	struct pare_plan *p = pare_plan_new(TINY_LAYERS), *nearest = pare_plan_new(TINY_LAYERS);
	char with[PARE_SHA_HEX], without[PARE_SHA_HEX], plain[2][PARE_SHA_HEX];

	for (int i = 0; i < TINY_LAYERS; i++) {
		p->dials[i].weights = nearest->dials[i].weights = (uint8_t)pare_format_find("int4");
		nearest->dials[i].rounding = (uint8_t)pare_method_find(PARE_ROUNDING, "nearest");
	}
	ok(pare_plan_looks(t->m, p) && !pare_plan_needs_samples(t->m, p), "it looks, needs none");
	hash_of(t, p, t->c, with);
	hash_of(t, p, NULL, without);
	hash_of(t, nearest, t->c, plain[0]);
	hash_of(t, nearest, NULL, plain[1]);
	ok(strcmp(with, without) != 0, "what samples tell counts");
	ok(!strcmp(without, plain[0]) && !strcmp(without, plain[1]),
		"without them each weight goes to the nearest");
	pare_plan_free(p);
	pare_plan_free(nearest);
}

int main(void)
{
	struct network t = { 0 };

	the_plane_is_gptq();
	descent_goes_down();
	the_scale_is_least_squares();
	zeros_stay();
	adaround_learns();
	dead_inputs_do_no_harm();
	grams_of_every_kernel();
	if (!network_open(&t))
		return 1;
	looking_pays(&t);
	looking_pays_on_every_grid(&t);
	means_are_right(&t);
	threads_change_nothing(&t, "descent");
	threads_change_nothing(&t, "adaround");
	sizes_are_known(&t);
	formats_are_what_they_say(&t);
	averages_move(&t);
	the_best_quantizer_is_chosen(&t);
	readers_of_one_value_agree(&t);
	a_stop_is_a_stop(&t);
	the_default_makes_do_without_samples(&t);
	network_close(&t);
	return tap_done();
}
