/* Making up for channels that went: on numbers drawn by hand. */
#include "engine/base/rng.h"
#include "engine/prune/behind.h"
#include "tests/tap.h"
#include <math.h>

enum { K = 2, O = 2, N = 4096 };

/* A layer of which the second input is the square of the first, with its columns: what it gives
 * is no line in the first alone, but where the clamp lets it through it is nearer to one. */
struct layer {
	float x[K * N], t[O * N], s[O * N], bias[O];
	struct pare_moments m;
	struct pare_reader reader;
};

static void draw(struct layer *l, float lo)
{
	struct pare_rng r = pare_rng_seed(7, 0);
	double was[O * K], *sums = calloc(K * K + O * K + K + O, sizeof *sums);
	struct pare_err err = { 0 };

	l->m = (struct pare_moments){ .win = { .k = K, .o = O, .groups = 1, .columns = 1 },
		.n = N,
		.h = sums,
		.c = sums + K * K,
		.x = sums + K * K + O * K,
		.t = sums + K * K + O * K + K };
	l->m.columns = (struct pare_columns){ .n = N,
		.groups = 1,
		.k = K,
		.o = O,
		.lo = lo,
		.hi = INFINITY,
		.x = l->x,
		.t = l->t,
		.s = l->s };
	for (int i = 0; i < O * K; i++)
		was[i] = (double[]){ 2, 1, -1.5, 1 }[i];
	for (int o = 0; o < O; o++)
		l->bias[o] = -1;
	for (int i = 0; i < N; i++) {
		l->x[i] = (float)pare_rng_normal(&r);
		l->x[N + i] = l->x[i] * l->x[i];
		for (int o = 0; o < O; o++) {
			double t = 0;

			for (int k = 0; k < K; k++)
				t += was[o * K + k] * (double)l->x[k * N + i];
			l->t[o * N + i] = (float)t;
			l->s[o * N + i] = .1f * (float)pare_rng_normal(&r);
			l->m.t[o] += t;
			for (int k = 0; k < K; k++)
				l->m.c[o * K + k] += t * (double)l->x[k * N + i];
		}
		for (int k = 0; k < K; k++) {
			l->m.x[k] += (double)l->x[k * N + i];
			for (int j = 0; j < K; j++)
				l->m.h[k * K + j] +=
					(double)l->x[k * N + i] * (double)l->x[j * N + i];
		}
	}
	pare_moments_center(&l->m, 0, true);
	ok_status(pare_solve_new(l->m.h, l->m.c, was, K, O, 1e-6, &l->reader.s, &err), err,
		"a layer of %d inputs", K);
}

static void layer_end(struct layer *l)
{
	pare_solve_free(&l->reader.s);
	free(l->m.h);
}

static double clamped(const struct layer *l, double x)
{
	return x < (double)l->m.columns.lo ? (double)l->m.columns.lo : x;
}

/* Mean squared error behind the clamp. */
static double error_of(const struct layer *l)
{
	double sum = 0;

	for (int o = 0; o < O; o++)
		for (int i = 0; i < N; i++) {
			double base = (double)l->bias[o] + (double)l->s[o * N + i], y = l->m.t[o];

			for (int k = 0; k < K; k++)
				y += l->reader.s.w[o * K + k] *
				     ((double)l->x[k * N + i] - l->m.x[k]);
			y = clamped(l, y + base) - clamped(l, (double)l->t[o * N + i] + base);
			sum += y * y / N;
		}
	return sum;
}

static void what_a_clamp_hides_need_not_be_given(float lo)
{
	static struct layer l;
	double room[2 * K], was;
	struct pare_err err = { 0 };
	int gone = 1;

	draw(&l, lo);
	pare_solve_drop(&l.reader.s, &gone, 1, room);
	was = error_of(&l);
	ok_status(pare_readers_refit_behind(&l.reader, &l.m, l.bias, &err), err, "refitted");
	ok(isinf(lo) ? error_of(&l) == was : error_of(&l) < .95 * was,
		"clamped at %g the error is %.4f, was %.4f", (double)lo, error_of(&l), was);
	ok(l.reader.s.w[gone] == 0 && l.reader.s.w[K + gone] == 0, "what went stays away");
	layer_end(&l);
}

int main(void)
{
	what_a_clamp_hides_need_not_be_given(0);
	what_a_clamp_hides_need_not_be_given(-INFINITY);
	return tap_done();
}
