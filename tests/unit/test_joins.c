/* Programs that carry out several nodes at once give what the nodes give one after the other. */
#include "tests/nets.h"

static struct pare_tensor
by_nodes(const struct pare_model *m, float *x, int output, struct pare_arena *a)
{
	struct pare_array *in = pare_alloc_n(a, (size_t)m->graph.n_in, sizeof *in);
	const struct pare_tensor *values = NULL;
	struct pare_err err = { 0 };

	in[0] = (struct pare_array){ .dtype = PARE_F32, .data = x };
	if (!pare_model_sample_shapes(m, &in[0].shape) || pare_interpret(m, in, a, &values, &err))
		return (struct pare_tensor){ 0 };
	return values[m->graph.out[output]];
}

/* The first output of a program and of the nodes, sample by sample: the largest difference. */
static double apart(const struct pare_model *m, const struct pare_program *p)
{
	struct pare_frame *f = pare_frame_new(p);
	const struct pare_tensor *y = pare_frame_output(f, 0);
	int64_t elems = pare_shape_elems(&pare_frame_input(f, 0)->shape);
	float *samples = fill(p, f, 7);
	int lanes = pare_program_lanes(p);
	double worst = 0;

	go(p, f, 0, pare_program_steps(p));
	for (int l = 0; l < lanes; l++) {
		struct pare_arena *a = pare_arena_new();
		struct pare_tensor want = by_nodes(m, samples + l * elems, 0, a);

		if (!want.data || !pare_shape_equal(&want.shape, &y->shape))
			worst = INFINITY;
		for (int64_t i = 0; want.data && i < pare_shape_elems(&y->shape); i++)
			worst = fmax(worst, fabsf(y->f32[i * lanes + l] - want.f32[i]));
		pare_arena_free(a);
	}
	free(samples);
	pare_frame_free(f);
	return worst;
}

static void agrees(const struct pare_model *m, int steps, const char *what)
{
	for (int lanes = 0; lanes < 2; lanes++) {
		struct pare_program *p = program(m, lanes);
		double worst = apart(m, p);

		ok(worst < 1e-5, "%s, %d lanes: %.1e", what, pare_program_lanes(p), worst);
		ok(pare_program_steps(p) == steps, "in %d steps: %d", steps, pare_program_steps(p));
		pare_program_free(p);
	}
}

static struct net start(int a, int b, int c)
{
	struct net n = { .r = pare_rng_seed(11, 1) };
	int in[] = { -1, a, b, c };

	tiny_io(&n.g, 11, "x", in, c ? 4 : b ? 3 : 2);
	return n;
}

static struct pare_model *finish(struct net *n, const char *y, int rank)
{
	int out[] = { -1, -1, -1, -1 };
	struct pare_err err = { 0 };

	tiny_io(&n->g, 12, y, out, rank);
	return net_open(n, &err);
}

static void products_take_a_bias(void)
{
	struct net n = start(5, 6, 0);
	struct pare_model *m;

	weight(&n, "w", 6, 20, 0, 0);
	weight(&n, "b", 20, 0, 0, 0);
	weight(&n, "v", 20, 6, 0, 0);
	weight(&n, "one", 1, 0, 0, 0);
	add_node(&n.g, "MatMul x w -> a");
	add_node(&n.g, "Add b a -> c");
	add_node(&n.g, "Relu c -> d");
	add_node(&n.g, "MatMul d v -> e");
	add_node(&n.g, "Add e x -> f");   /* joins too */
	add_node(&n.g, "Add f one -> y"); /* one for all is no bias */
	m = finish(&n, "y", 3);
	agrees(m, 3, "bias, clamp and sum");
	pare_model_free(m);
}

/* A vector on either side, a constant on the left, and none at all. */
static void every_product_takes_a_bias(void)
{
	static const struct {
		const char *product, *sum;
		int rank;
	} all[] = { { "MatMul x column -> p", "Add p five -> y", 2 },
		{ "MatMul column x -> p", "Add p five -> y", 2 },
		{ "MatMul left x -> p", "Add p five -> y", 3 },
		{ "MatMul x x -> p", "Add p five -> y", 3 } };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct net n = start(5, 5, 0);
		struct pare_model *m;

		weight(&n, "column", 5, 0, 0, 0);
		weight(&n, "five", 5, 0, 0, 0);
		weight(&n, "left", 3, 5, 0, 0);
		add_node(&n.g, all[i].product);
		add_node(&n.g, all[i].sum);
		m = finish(&n, "y", all[i].rank);
		agrees(m, 1, all[i].product);
		pare_model_free(m);
	}
}

int main(void)
{
	products_take_a_bias();
	every_product_takes_a_bias();
	return tap_done();
}
