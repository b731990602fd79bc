/* How wrong are estimates?  Random plans, each estimated and then measured.
 *
 * usage: bench_estimate MODEL DATA [SAMPLES [PLANS [BOUND [SEED]]]]
 *
 * First plans of bits, activations and sparsity, then as many that also lose channels.
 *
 * Fills the map, then draws plans (a share of the layers gets random bits, activations and
 * sparsity), predicts each, measures it, and, as the workbench does, lets the measured plan be an
 * anchor for those after it.  Plans that cost more than BOUND points are told apart. */
#include "engine/base/rng.h"
#include "engine/pare.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct pare_err err;

static void must(enum pare_status st)
{
	if (!st)
		return;
	fprintf(stderr, "bench_estimate: %s\n", err.text);
	exit(2);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void finish(struct pare_study *s, struct pare_task *t)
{
	struct pare_result *r;

	must(pare_study_run(s, t, NULL, &r, &err));
	must(pare_study_add(s, r, &err));
	pare_task_free(t);
}

static void fill_map(struct pare_study *s)
{
	struct pare_task t;

	for (;;) {
		must(pare_study_next(s, NULL, NULL, &t, &err));
		if (t.kind == PARE_TASK_NONE)
			return;
		finish(s, &t);
	}
}

/* Harsh options are rare, so that plans fall on both sides of a point. */
static struct pare_plan *random_plan(const struct pare_model *m, bool channels, struct pare_rng *r)
{
	int n_layers = pare_model_info(m)->n_layers;
	struct pare_plan *p = pare_plan_new(n_layers);
	double share = pare_rng_unit(r), mild = 0.2 + 0.7 * pare_rng_unit(r);

	for (int l = 0; l < n_layers; l++)
		for (int dial = 0; dial < PARE_N_DIALS; dial++) {
			int turns = 0;

			if (pare_rng_unit(r) > share || (dial == PARE_DIAL_CHANNELS && !channels))
				continue;
			while (turns < 7 && pare_rng_unit(r) < mild)
				turns++;
			pare_option_turn(&p->dials[l], (enum pare_dial)dial, turns);
		}
	for (int l = 0; l < n_layers; l++)
		pare_plan_tie(m, p, l);
	return p;
}

struct tally {
	int n, covered;
	double error, width;
};

static void count(struct tally *t, const struct pare_value *guess, double truth)
{
	t->n++;
	t->error += fabs(guess->value - truth);
	t->width += (guess->hi - guess->lo) / 2;
	t->covered += truth >= guess->lo - 1e-9 && truth <= guess->hi + 1e-9;
}

static void report(const char *what, const struct tally *t)
{
	if (t->n)
		printf("  %-16s %4d plans   mean error %.2f points   interval ±%.2f covers %.0f "
		       "%%\n",
			what, t->n, t->error / t->n, t->width / t->n, 100. * t->covered / t->n);
}

static void try_plans(struct pare_study *s, const struct pare_model *m, bool channels, int plans,
	double bound, struct pare_rng *r)
{
	struct tally small = { 0 }, middle = { 0 }, large = { 0 };
	double asked = 0;

	puts(channels ? "  with channels removed as well" : "  bits, activations and sparsity");
	for (int i = 0; i < plans; i++) {
		struct pare_metrics guess, truth;
		struct pare_plan *p = random_plan(m, channels, r);
		struct pare_task t;
		double before = now();

		must(pare_study_estimate(s, p, &guess, &err));
		asked += now() - before;
		must(pare_study_next(s, p, NULL, &t, &err));
		if (t.kind == PARE_TASK_PLAN) {
			finish(s, &t);
			must(pare_study_estimate(s, p, &truth, &err));
			if (getenv("VERBOSE"))
				printf("  estimated %6.2f (%6.2f … %6.2f)  measured %6.2f\n",
					guess.drop.value, guess.drop.lo, guess.drop.hi,
					truth.drop.value);
			count(truth.drop.value <= 1         ? &small
				: truth.drop.value <= bound ? &middle
							    : &large,
				&guess.drop, truth.drop.value);
		}
		pare_plan_free(p);
	}
	report("up to 1 point", &small);
	report("up to the bound", &middle);
	report("beyond", &large);
	printf("  an estimate takes %.3f ms\n", 1e3 * asked / plans);
}

int main(int argc, char **argv)
{
	int64_t samples = argc > 3 ? atoll(argv[3]) : 1000;
	int plans = argc > 4 ? atoi(argv[4]) : 40;
	double bound = argc > 5 ? atof(argv[5]) : 3, start = now();
	struct pare_rng r = pare_rng_seed(argc > 6 ? (uint64_t)atoll(argv[6]) : 0, 1);
	struct pare_model *m;
	struct pare_dataset *d;
	struct pare_study *s;

	if (argc < 3) {
		fputs("usage: bench_estimate MODEL DATA [SAMPLES [PLANS [BOUND [SEED]]]]\n",
			stderr);
		return 2;
	}
	must(pare_model_open(argv[1], &m, &err));
	must(pare_dataset_open(argv[2], m, &d, &err));
	must(pare_study_new(m, d, samples, &s, &err));
	fill_map(s);
	printf("%s: map of %d cells on %lld samples in %.1f s, float %.2f %%\n", argv[1],
		pare_study_n_cells(s), (long long)pare_study_samples(s), now() - start,
		pare_study_float(s).value);
	try_plans(s, m, false, plans, bound, &r);
	try_plans(s, m, true, plans, bound, &r);
	pare_study_free(s);
	pare_dataset_free(d);
	pare_model_free(m);
	return 0;
}
