/* Blocks that go in a plan: a consumer that can make up for one exactly does, sizes are as said,
 * and other dials go on with what is left. */
#include "engine/plan/variant.h"
#include "engine/prune/blocks.h"
#include "sessions/recipe.h"
#include "tests/nets.h"

enum { SAMPLES = 1000, WIDTH = 4 };

static struct pare_model *model;
static struct pare_dataset *data;
static struct pare_calibration *calibration;
static struct pare_err err;

/* A branch without anything but a product: the layer behind can do its work, for
 * w2 (s + w1 s) = (w2 + w2 w1) s.  A second block stands before it. */
static struct pare_model *network(void)
{
	struct net n = { .r = pare_rng_seed(11, 1) };
	int in[] = { 1, 1, TINY_EDGE, TINY_EDGE }, out[] = { 1, TINY_CLASSES };
	struct pare_model *m;

	tiny_io(&n.g, 11, "x", in, 4);
	weight(&n, "w0", WIDTH, 1, 3, 3);
	weight(&n, "wa", WIDTH, WIDTH, 3, 3);
	weight(&n, "wb", WIDTH, WIDTH, 3, 3);
	weight(&n, "w1", WIDTH, WIDTH, 1, 1);
	weight(&n, "w2", 6, WIDTH, 1, 1);
	weight(&n, "b2", 6, 0, 0, 0);
	weight(&n, "w3", 6, TINY_CLASSES, 0, 0);
	add_node(&n.g, "Conv x w0 -> stem pads=1,1,1,1");
	add_node(&n.g, "Relu stem -> r");
	add_node(&n.g, "Conv r wa -> first_a pads=1,1,1,1");
	add_node(&n.g, "Relu first_a -> ra");
	add_node(&n.g, "Conv ra wb -> first_b pads=1,1,1,1");
	add_node(&n.g, "Add first_b r -> sum");
	add_node(&n.g, "Relu sum -> s");
	add_node(&n.g, "Conv s w1 -> second");
	add_node(&n.g, "Add s second -> t");
	add_node(&n.g, "Conv t w2 b2 -> behind");
	add_node(&n.g, "GlobalAveragePool behind -> pool");
	add_node(&n.g, "Flatten pool -> flat");
	add_node(&n.g, "MatMul flat w3 -> y");
	tiny_io(&n.g, 12, "y", out, 2);
	m = net_open(&n, &err);
	free(n.g.p);
	return m;
}

static int layer(const char *name)
{
	return pare_model_find_layer(model, name);
}

static struct pare_plan *plan_without(const char *name, const char *repair)
{
	struct pare_plan *p = pare_plan_new(model->info.n_layers);
	int at = layer(name);

	p->dials[at].block = 1;
	p->dials[at].block_repair = (uint8_t)pare_method_find(PARE_REPAIR, repair);
	pare_plan_tie(model, p, at);
	return p;
}

static struct pare_variant *variant_of(const struct pare_plan *p)
{
	struct pare_variant *v = NULL;

	ok_status(pare_variant_new(model, p, calibration, NULL, &v, &err), err, "carried out");
	return v;
}

/* w2 + w2 w1, by hand. */
static void made_up_for(void)
{
	struct pare_plan *p = plan_without("second", "least-squares"),
			 *bare = plan_without("second", "none");
	struct pare_variant *v = variant_of(p), *w = variant_of(bare);
	const float *w1 = pare_model_weights(model, layer("second")),
		    *w2 = pare_model_weights(model, layer("behind"));
	int at = pare_model_find_layer(v->model, "behind");
	const float *now = pare_model_weights(v->model, at),
		    *same = pare_model_weights(w->model, at);
	double worst = 0, most = 0;

	for (int o = 0; o < 6; o++)
		for (int i = 0; i < WIDTH; i++) {
			double want = (double)w2[o * WIDTH + i];

			for (int k = 0; k < WIDTH; k++)
				want += (double)w2[o * WIDTH + k] * (double)w1[k * WIDTH + i];
			worst = fmax(worst, fabs(want - (double)now[o * WIDTH + i]));
			most = fmax(most, fabs(want - (double)w2[o * WIDTH + i]));
		}
	ok(worst < .05 * most, "the layer behind does the block's work: off by %.4f of %.4f", worst,
		most);
	ok(!memcmp(same, w2, 6 * WIDTH * sizeof *w2), "without repair it stays as it was");
	ok(v->model->info.n_layers == model->info.n_layers - 1, "one layer fewer");
	pare_variant_free(v);
	pare_variant_free(w);
	pare_plan_free(p);
	pare_plan_free(bare);
}

static void all_of_a_block(void)
{
	struct pare_plan *p = plan_without("first_b", "least-squares");
	bool gone[2];

	ok(p->dials[layer("first_a")].block && !p->dials[layer("second")].block,
		"layers of one block go together, and no others");
	ok(pare_plan_blocks(model, p, gone) && gone[0] && !gone[1], "which is that block");
	p->dials[layer("first_a")].block = 0;
	ok(!pare_plan_blocks(model, p, gone), "one layer that stays keeps it");
	pare_plan_free(p);
}

/* Bits, zeros, channels and a rank on what is left; the file is as large as said. */
static void with_other_dials(void)
{
	struct pare_plan *p = plan_without("first_a", "throughout");
	struct pare_cost cost;
	struct pare_variant *v;
	char sha[PARE_SHA_HEX], recipe[PARE_SHA_HEX];
	int64_t bytes = 0;

	memset(recipe, '0', sizeof recipe - 1);
	recipe[sizeof recipe - 1] = 0;
	for (int i = 0; i < p->n; i++) {
		p->dials[i].weights = (uint8_t)pare_format_find("int8");
		p->dials[i].activations = (uint8_t)pare_format_find("int8");
	}
	p->dials[layer("behind")].channels = .5F;
	pare_plan_tie(model, p, layer("behind"));
	p->dials[layer("second")].sparsity = .5F;
	v = variant_of(p);
	ok_status(pare_plan_cost(model, p, &cost, &err), err, "costs");
	ok_status(pare_variant_export(v, tiny_path("o.onnx"), recipe, sha, &bytes, &err), err,
		"written");
	ok(bytes == cost.file_bytes, "%lld bytes as said, %lld", (long long)bytes,
		(long long)cost.file_bytes);
	ok(v->model->info.macs == cost.macs && cost.macs < model->info.macs,
		"and work: %lld of %lld", (long long)cost.macs, (long long)model->info.macs);
	ok(v->model->info.n_layers == model->info.n_layers - 2 && v->whole[1] == layer("second"),
		"layers know what they were");
	pare_variant_free(v);
	pare_plan_free(p);
}

static void as_text(void)
{
	struct pare_plan *p = plan_without("second", "none"), *again = NULL;
	char *text = NULL;

	ok_status(pare_plan_text(model, p, &text, &err), err, "written down");
	ok(strstr(text, "prune  second   block repair none\n") != NULL, "%s", text);
	ok_status(pare_plan_parse(model, text, &again, &err), err, "read");
	ok(pare_plan_equal(p, again), "is the same plan");
	free(text);
	pare_plan_free(again);
	ok(pare_plan_parse(model, "prune stem block\n", &again, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "'stem' is on the branch of no residual block"),
		"%s", err.text);
	ok_status(
		pare_plan_parse(model, "prune * block\nprune first_a block stays\n", &again, &err),
		err, "all but one");
	ok(!again->dials[layer("first_b")].block && again->dials[layer("second")].block,
		"a block that stays after all");
	pare_plan_free(again);
	pare_plan_free(p);
}

static void without_samples(void)
{
	struct pare_plan *p = plan_without("second", "least-squares");
	struct pare_variant *v = NULL;

	ok(pare_plan_needs_samples(model, p), "a repair needs samples");
	ok(pare_variant_new(model, p, NULL, NULL, &v, &err) == PARE_E_ARG, "%s", err.text);
	p->dials[layer("second")].block_repair = (uint8_t)pare_method_find(PARE_REPAIR, "none");
	ok(!pare_plan_needs_samples(model, p), "none does not");
	ok_status(pare_variant_new(model, p, NULL, NULL, &v, &err), err, "carried out");
	pare_variant_free(v);
	pare_plan_free(p);
}

int main(void)
{
	if (!tiny_home())
		return 1;
	model = network();
	tiny_data(tiny_path("data"), SAMPLES, 1, 5);
	ok_status(pare_dataset_open(tiny_path("data"), model, &data, &err), err, "samples");
	ok_status(pare_calibration_new(model, data, 0, NULL, &calibration, &err), err, "looked at");
	made_up_for();
	all_of_a_block();
	with_other_dials();
	as_text();
	without_samples();
	pare_calibration_free(calibration);
	pare_dataset_free(data);
	pare_model_free(model);
	return tap_done();
}
