/* Residual blocks: found where two ways from one value meet in a sum, and gone without a trace. */
#include "engine/graph/residual.h"
#include "tests/nets.h"

static struct pare_err err;

static void io(struct net *n, int channels)
{
	int dims[] = { 1, channels, 6, 6 };

	tiny_io(&n->g, 11, "x", dims, 4);
	tiny_io(&n->g, 12, "y", dims, 4);
}

static void is_block(const struct pare_model *m, int r, const char *sum, int branch, int shortcut,
	const char *what)
{
	const struct pare_residual *b = &m->residuals[r];

	ok(r < m->n_residuals && !strcmp(m->graph.nodes[b->sum].name, sum) &&
			b->n_branch == branch && b->n_shortcut == shortcut,
		"%s", what);
}

static int block_of(const struct pare_model *m, const char *layer)
{
	return pare_model_layer(m, pare_model_find_layer(m, layer))->block;
}

/* stem, a block of two convolutions, one with a shortcut, a third behind its activation */
static struct pare_model *three_blocks(void)
{
	struct net n = { .r = pare_rng_seed(3, 1) };
	struct pare_model *m;

	io(&n, 4);
	weight(&n, "w0", 4, 4, 3, 3);
	weight(&n, "w1", 4, 4, 3, 3);
	weight(&n, "w2", 4, 4, 3, 3);
	weight(&n, "w3", 4, 4, 3, 3);
	weight(&n, "ws", 4, 4, 1, 1);
	weight(&n, "w4", 4, 4, 3, 3);
	weight(&n, "w5", 4, 4, 1, 1);
	add_node(&n.g, "Conv x w0 -> s0 pads=1,1,1,1");
	add_node(&n.g, "Relu s0 -> s");
	add_node(&n.g, "Conv s w1 -> a1 pads=1,1,1,1");
	add_node(&n.g, "Relu a1 -> a2");
	add_node(&n.g, "Conv a2 w2 -> a3 pads=1,1,1,1");
	add_node(&n.g, "Add a3 s -> asum");
	add_node(&n.g, "Relu asum -> a");
	add_node(&n.g, "Conv a w3 -> b1 pads=1,1,1,1");
	add_node(&n.g, "Relu b1 -> b2");
	add_node(&n.g, "Conv b2 w4 -> b3 pads=1,1,1,1");
	add_node(&n.g, "Conv a ws -> bs");
	add_node(&n.g, "Add bs b3 -> bsum");
	add_node(&n.g, "Relu bsum -> b");
	add_node(&n.g, "Conv b w5 -> y");
	m = net_open(&n, &err);
	free(n.g.p);
	return m;
}

static void blocks_are_found(void)
{
	struct pare_model *m = three_blocks();

	ok(m->n_residuals == 2, "two blocks: %d", m->n_residuals);
	is_block(m, 0, "asum", 3, 0, "the value itself is the shortcut");
	is_block(m, 1, "bsum", 3, 1, "of two ways the longer one is the branch");
	ok(block_of(m, "a1") == 0 && block_of(m, "a3") == 0 && block_of(m, "b3") == 1,
		"layers say in which block they lie");
	ok(block_of(m, "s0") == -1 && block_of(m, "bs") == -1 && block_of(m, "y") == -1,
		"those outside, and the shortcut, in none");
	pare_model_free(m);
}

/* Attention to channels on the branch; a transformer's sums, one behind the other, with a bias. */
static void branches_of_all_kinds(void)
{
	struct net n = { .r = pare_rng_seed(4, 1) };
	int dims[] = { 1, 4, 6, 6 };
	struct pare_model *m;

	tiny_io(&n.g, 11, "x", dims, 4);
	tiny_io(&n.g, 12, "y", dims, 4);
	weight(&n, "w1", 4, 4, 3, 3);
	weight(&n, "w2", 4, 4, 1, 1);
	weight(&n, "m1", 6, 6, 0, 0);
	weight(&n, "c", 6, 0, 0, 0);
	weight(&n, "m2", 6, 6, 0, 0);
	weight(&n, "w3", 4, 4, 1, 1);
	add_node(&n.g, "Relu x -> s");
	add_node(&n.g, "Conv s w1 -> a pads=1,1,1,1");
	add_node(&n.g, "GlobalAveragePool a -> g");
	add_node(&n.g, "Conv g w2 -> g2");
	add_node(&n.g, "Sigmoid g2 -> g3");
	add_node(&n.g, "Mul a g3 -> scaled");
	add_node(&n.g, "Add s scaled -> first");
	add_node(&n.g, "MatMul first m1 -> p");
	add_node(&n.g, "Add p c -> q");
	add_node(&n.g, "Relu q -> r");
	add_node(&n.g, "MatMul r m2 -> t");
	add_node(&n.g, "Add t first -> second");
	add_node(&n.g, "Conv second w3 -> y");
	m = net_open(&n, &err);
	free(n.g.p);
	ok(m && m->n_residuals == 2, "two blocks: %d", m ? m->n_residuals : -1);
	is_block(m, 0, "first", 5, 0, "attention to channels is on the branch");
	is_block(m, 1, "second", 4, 0, "a sum with a constant is a node like others");
	pare_model_free(m);
}

static void no_blocks(const char *const *lines, const char *what)
{
	struct net n = { .r = pare_rng_seed(5, 1) };
	struct pare_model *m;

	io(&n, 4);
	weight(&n, "w1", 4, 4, 1, 1);
	weight(&n, "w2", 4, 4, 1, 1);
	weight(&n, "w3", 4, 4, 1, 1);
	for (; *lines; lines++)
		add_node(&n.g, *lines);
	m = net_open(&n, &err);
	free(n.g.p);
	ok(m && !m->n_residuals, "%s", what);
	pare_model_free(m);
}

static void what_is_no_block(void)
{
	static const char *const elsewhere[] = { "Relu x -> s", "Conv s w1 -> a", "Relu a -> b",
		"Conv b w2 -> c", "Add c s -> d", "Conv d w3 -> e", "Mul e b -> y", NULL };
	static const char *const output[] = { "Relu x -> s", "Conv s w1 -> a", "Add a s -> y",
		NULL };
	static const char *const bare[] = { "Relu x -> s", "Sigmoid s -> a", "Add a s -> d",
		"Conv d w1 -> y", NULL };

	no_blocks(elsewhere, "no block where the branch is read elsewhere");
	no_blocks(output, "nor where its sum is the answer");
	no_blocks(bare, "nor where the branch has no layer");
}

static float *answer(const struct pare_model *m, int64_t *n)
{
	struct pare_program *p = program(m, 1);
	struct pare_frame *f = pare_frame_new(p);
	const struct pare_tensor *y;
	float *copy;

	free(fill(p, f, 7));
	go(p, f, 0, pare_program_steps(p));
	y = pare_frame_output(f, 0);
	*n = pare_shape_elems(&y->shape);
	copy = malloc((size_t)*n * sizeof *copy);
	memcpy(copy, y->f32, (size_t)*n * sizeof *copy);
	pare_frame_free(f);
	pare_program_free(p);
	return copy;
}

/* Both blocks gone: y = w5 * relu(ws * relu(relu(w0 * x))) is left. */
static void branches_go(void)
{
	struct pare_model *m = three_blocks(), *quiet = NULL, *bare = NULL, *like;
	struct net n = { .r = pare_rng_seed(3, 1) };
	bool gone[2] = { true, true };
	float *want, *got[2];
	int64_t len, lens[2];

	io(&n, 4);
	weight(&n, "w0", 4, 4, 3, 3);
	weight(&n, "w1", 4, 4, 3, 3);
	weight(&n, "w2", 4, 4, 3, 3);
	weight(&n, "w3", 4, 4, 3, 3);
	weight(&n, "ws", 4, 4, 1, 1);
	weight(&n, "w4", 4, 4, 3, 3);
	weight(&n, "w5", 4, 4, 1, 1);
	add_node(&n.g, "Conv x w0 -> s0 pads=1,1,1,1");
	add_node(&n.g, "Relu s0 -> s");
	add_node(&n.g, "Relu s -> a");
	add_node(&n.g, "Conv a ws -> bs");
	add_node(&n.g, "Relu bs -> b");
	add_node(&n.g, "Conv b w5 -> y");
	like = net_open(&n, &err);
	free(n.g.p);
	ok_status(pare_model_without_branches(m, gone, false, &quiet, &err), err, "not looked at");
	ok_status(pare_model_without_branches(m, gone, true, &bare, &err), err, "gone");
	ok(quiet->info.n_layers == 7 && bare->info.n_layers == 3,
		"layers keep their numbers until they are gone");
	ok(bare->info.params == like->info.params && bare->info.macs == like->info.macs,
		"weights and work of the branches are gone");
	want = answer(like, &len);
	got[0] = answer(quiet, &lens[0]);
	got[1] = answer(bare, &lens[1]);
	for (int i = 0; i < 2; i++) {
		ok(lens[i] == len && !memcmp(want, got[i], (size_t)len * sizeof *want),
			"the answer is that of the network written down without them");
		free(got[i]);
	}
	free(want);
	pare_model_free(like);
	pare_model_free(bare);
	pare_model_free(quiet);
	pare_model_free(m);
}

static void shared_networks(void)
{
	static const struct {
		const char *name;
		int blocks, shortcuts;
	} known[] = { { "resnet20", 9, 2 }, { "resnet56", 27, 2 }, { "resnet8", 3, 2 },
		{ "kws_dscnn", 0, 0 }, { "vww_mobilenet", 0, 0 } };
	const char *shared = getenv("PARE_SHARED");

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct pare_model *m = NULL;
		char path[512];
		int shortcuts = 0;

		snprintf(path, sizeof path, "%s/models/%s/model.onnx",
			shared ? shared : "../shared", known[i].name);
		if (pare_model_open(path, &m, NULL)) {
			tap_skip(known[i].name, "no shared models here");
			continue;
		}
		for (int r = 0; r < m->n_residuals; r++)
			shortcuts += m->residuals[r].n_shortcut > 0;
		ok(m->n_residuals == known[i].blocks && shortcuts == known[i].shortcuts,
			"%s: %d blocks, %d with a shortcut", known[i].name, m->n_residuals,
			shortcuts);
		pare_model_free(m);
	}
}

int main(void)
{
	blocks_are_found();
	branches_of_all_kinds();
	what_is_no_block();
	branches_go();
	shared_networks();
	return tap_done();
}
