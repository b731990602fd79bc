/* How many samples a second a network takes on random inputs: what evaluation costs, without a
 * dataset.
 *
 *     bench_eval MODEL THREADS SECONDS [steps] [alone] [SAMPLES]
 *
 * prints the samples per second of the best and of the median call, a call being SAMPLES, or the
 * blocks of lanes that take about a millisecond, as many on each thread; `steps` prints the best
 * time of each step instead, `alone` runs one sample at a time.  One thread is timed by its own
 * clock, so that other work on the machine does not count.
 */
#include "engine/base/pool.h"
#include "engine/base/rng.h"
#include "engine/run/kernels.h"
#include "engine/run/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, MAX_CALLS = 100000, MAX_ROUNDS = 1000 };

struct bench {
	struct pare_program *p;
	struct pare_frame *frames[MAX_THREADS];
	float *samples; /* [lanes][elements] */
	int64_t elems;
	float *answers[MAX_THREADS];
};

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static enum pare_status block(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct bench *b = ctx;
	struct pare_frame *f = b->frames[worker];
	const struct pare_tensor *y = pare_frame_output(f, 0);
	int lanes = pare_program_lanes(b->p);
	enum pare_status st;

	(void)chunk;
	pare_lanes_in(b->samples, b->elems, lanes, lanes, pare_frame_input(f, 0)->f32);
	st = pare_program_run(b->p, f, 0, pare_program_steps(b->p), err);
	pare_lanes_out(y->f32, pare_shape_elems(&y->shape), lanes, lanes, b->answers[worker]);
	return st;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* images: of a call; 0 = as many as suit the clock */
static void time_calls(struct bench *b, int threads, double seconds, int images)
{
	clockid_t clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
	static double took[MAX_CALLS];
	double end = now(CLOCK_MONOTONIC) + seconds, start = now(clock);
	int n = 0, blocks, lanes = pare_program_lanes(b->p);

	if (block(b, 0, 0, NULL))
		exit(2);
	blocks = threads * (1 + (int)(1e-3 / (now(clock) - start)));
	if (images)
		blocks = (images + lanes - 1) / lanes;
	images = blocks * lanes;

	while (n < 3 || (now(CLOCK_MONOTONIC) < end && n < MAX_CALLS)) {
		start = now(clock);
		if (pare_parallel(
			    blocks, block, b, NULL, (struct pare_progress_span){ 0, 0 }, NULL))
			exit(2);
		took[n++] = now(clock) - start;
	}
	qsort(took, (size_t)n, sizeof *took, ascending);
	printf("%.1f %.1f\n", images / took[0], images / took[n / 2]);
}

/* Steps that run together from step i on. */
static int together(const struct bench *b, int i)
{
	return b->p->steps[i].chain ? b->p->steps[i].links : 1;
}

static double macs_of(const struct bench *b, int i)
{
	double macs = 0;

	for (int j = i; j < i + together(b, i); j++)
		macs += (double)b->p->m->node_info[b->p->steps[j].node].macs * b->p->lanes;
	return macs;
}

static void time_steps(struct bench *b, double seconds)
{
	int n = pare_program_steps(b->p), rounds = 0;
	double end = now(CLOCK_MONOTONIC) + seconds, sum = 0;
	double(*took)[MAX_ROUNDS] = calloc((size_t)n, sizeof *took);

	for (; took && (rounds < 3 || (now(CLOCK_MONOTONIC) < end && rounds < MAX_ROUNDS));
		rounds++)
		for (int i = 0; i < n; i += together(b, i)) {
			double start = now(CLOCK_THREAD_CPUTIME_ID);

			if (pare_program_run(b->p, b->frames[0], i, i + together(b, i), NULL))
				exit(2);
			took[i][rounds] = now(CLOCK_THREAD_CPUTIME_ID) - start;
		}
	for (int i = 0; took && i < n; i += together(b, i)) {
		const struct pare_step *s = &b->p->steps[i];
		const struct pare_shape *y = &b->p->places[s->out].t.shape;
		double best;
		char text[64];

		qsort(took[i], (size_t)rounds, sizeof **took, ascending);
		best = took[i][0];
		sum += best;
		printf("%9.1f us  %6.1f MAC/ns  %-18s %-12s %s%s\n", 1e6 * best,
			1e-9 * macs_of(b, i) / best, s->n->op_type,
			pare_shape_text(y, "x", text, sizeof text), s->n->name,
			s->chain ? " …" : "");
	}
	printf("%9.1f us  in all, %d samples\n", 1e6 * sum, b->p->lanes);
	free(took);
}

int main(int argc, char **argv)
{
	struct pare_rng r = pare_rng_seed(1, 1);
	struct pare_program_spec spec = { 0 };
	struct bench b = { 0 };
	struct pare_model *m;
	struct pare_err err;
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	double seconds = argc > 3 ? atof(argv[3]) : 1;
	int images = 0;
	bool steps = false;

	for (int i = 4; i < argc; i++) {
		steps |= !strcmp(argv[i], "steps");
		spec.lanes |= !strcmp(argv[i], "alone");
		images = argv[i][0] > '0' && argv[i][0] <= '9' ? atoi(argv[i]) : images;
	}
	if (argc < 2 || threads < 1 || threads > MAX_THREADS) {
		fprintf(stderr,
			"usage: bench_eval MODEL THREADS SECONDS [steps] [alone] [SAMPLES]\n");
		return 2;
	}
	if (pare_model_open(argv[1], &m, &err) || pare_program_new(m, &spec, &b.p, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	pare_set_threads(threads);
	for (int i = 0; i < threads; i++)
		if (!(b.frames[i] = pare_frame_new(b.p)) || !(b.answers[i] = malloc(4u << 20))) {
			fprintf(stderr, "no memory for %d frames\n", threads);
			return 2;
		}
	b.elems = pare_shape_elems(&pare_frame_input(b.frames[0], 0)->shape);
	b.samples = malloc((size_t)b.elems * (size_t)b.p->lanes * sizeof(float));
	for (int64_t i = 0; b.samples && i < b.elems * b.p->lanes; i++)
		b.samples[i] = (float)pare_rng_normal(&r);
	if (!b.samples || block(&b, 0, 0, &err))
		return 2;
	if (steps)
		time_steps(&b, seconds);
	else
		time_calls(&b, threads, seconds, images);
	for (int i = 0; i < threads; i++) {
		pare_frame_free(b.frames[i]);
		free(b.answers[i]);
	}
	free(b.samples);
	pare_program_free(b.p);
	pare_model_free(m);
	return 0;
}
