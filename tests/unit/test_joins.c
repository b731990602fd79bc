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

/* Steps that run in strips, the first group's. */
static int links_of(const struct pare_program *p)
{
	for (int i = 0; i < pare_program_steps(p); i++)
		if (p->steps[i].strips)
			return pare_strips_links(p->steps[i].strips);
	return 0;
}

static void agrees(const struct pare_model *m, int steps, int links, const char *what)
{
	for (int lanes = 0; lanes < 2; lanes++) {
		struct pare_program *p = program(m, lanes);
		double worst = apart(m, p);

		ok(worst < 1e-5, "%s, %d lanes: %.1e", what, pare_program_lanes(p), worst);
		ok(pare_program_steps(p) == steps && links_of(p) == links,
			"in %d steps, %d in strips: %d, %d", steps, links, pare_program_steps(p),
			links_of(p));
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
	agrees(m, 3, 0, "bias, clamp and sum");
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
		agrees(m, 1, 0, all[i].product);
		pare_model_free(m);
	}
}

/* 163 rows: no number of strips divides them. */
static void attention_runs_in_strips(void)
{
	struct net n = start(4, 163, 9);
	struct pare_model *m;

	weight(&n, "scale", 1, 0, 0, 0);
	weight(&n, "mask", 163, 0, 0, 0);
	add_node(&n.g, "Transpose x -> k perm=0,1,3,2");
	add_node(&n.g, "MatMul x k -> a");
	add_node(&n.g, "Mul a scale -> b");
	add_node(&n.g, "Add b mask -> c");
	add_node(&n.g, "Softmax c -> d");
	add_node(&n.g, "MatMul d x -> y");
	m = finish(&n, "y", 4);
	agrees(m, 6, 5, "attention");
	pare_model_free(m);
}

/* What a strip reads may be broadcast, and what it makes may be read behind it. */
static void elements_run_in_strips(void)
{
	struct net n = start(3, 211, 240);
	int gamma[] = { 240 }, column[] = { 3, 1, 1 }, rows[] = { 211, 1 };
	struct pare_model *m;

	tiny_weight(&n.g, &n.r, "gamma", gamma, 1, 1);
	tiny_weight(&n.g, &n.r, "column", column, 3, 1);
	tiny_weight(&n.g, &n.r, "rows", rows, 2, 1);
	add_node(&n.g, "Add x column -> a"); /* stands alone: by which axes is not seen */
	add_node(&n.g, "Sigmoid a -> b");
	add_node(&n.g, "Mul b a -> c");
	add_node(&n.g, "Mul rows c -> d"); /* has one axis for all of the first: cut by it alone */
	add_node(&n.g, "Mul d gamma -> e");
	add_node(&n.g, "Transpose e -> t perm=0,1,3,2");
	add_node(&n.g, "Transpose t -> u perm=0,1,3,2");
	add_node(&n.g, "Add u c -> y"); /* c is kept */
	m = finish(&n, "y", 4);
	agrees(m, 8, 4, "elements");
	pare_model_free(m);
}

static void names_share_a_place(void)
{
	struct net n = start(4, 6, 0);
	struct pare_program *p;
	struct pare_model *m;

	weight(&n, "w", 6, 6, 0, 0);
	add_node(&n.g, "MatMul x w -> a");
	add_node(&n.g, "Flatten a -> b axis=2");
	add_node(&n.g, "Flatten b -> c axis=1");
	add_node(&n.g, "Mul c c -> d"); /* must not lie where a does */
	add_node(&n.g, "Flatten a -> e axis=2");
	add_node(&n.g, "Add d e -> y");
	m = finish(&n, "y", 2);
	agrees(m, 6, 0, "a tensor of four names");
	p = program(m, 0);
	ok(p->steps[1].same && p->steps[2].same && p->steps[4].same, "renaming moves nothing");
	pare_program_free(p);
	pare_model_free(m);
}

int main(void)
{
	attention_runs_in_strips();
	elements_run_in_strips();
	names_share_a_place();
	products_take_a_bias();
	every_product_takes_a_bias();
	return tap_done();
}
