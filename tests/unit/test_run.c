#include "tests/nets.h"
#include <math.h>

/* ---- networks ----------------------------------------------------------------------------------
 */

/* Everything that a step may join, and what must not be joined: a value read twice, an output in
 * the middle, an addition whose other side comes later. */
static struct pare_model *branchy(void)
{
	struct net n = { .r = pare_rng_seed(3, 1) };
	struct pare_err err = { 0 };
	int in[] = { -1, 3, 9, 7 }, mid[] = { -1, 6, 9, 7 }, out[] = { -1, 5 };

	tiny_io(&n.g, 11, "x", in, 4);
	weight(&n, "w1", 6, 3, 3, 3);
	weight(&n, "b1", 6, 0, 0, 0);
	weight(&n, "w2", 6, 1, 3, 3);
	weight(&n, "w3", 6, 6, 1, 1);
	weight(&n, "w4", 6, 6, 3, 3);
	weight(&n, "w5", 5, 6, 0, 0);
	weight(&n, "b5", 5, 0, 0, 0);
	weight(&n, "k", 1, 6, 1, 1);
	add_node(&n.g, "Conv x w1 b1 -> a pads=1,1,1,1");
	add_node(&n.g, "Relu a -> b");
	add_node(&n.g, "Conv b w2 -> c group=6 pads=1,1,1,1");
	add_node(&n.g, "Relu c -> d");
	add_node(&n.g, "Conv d w3 -> e");
	add_node(&n.g, "Add e b -> f");  /* joins e */
	add_node(&n.g, "Relu f -> mid"); /* and so does this; mid leaves the graph */
	add_node(&n.g, "Conv mid w4 -> h pads=1,1,1,1");
	add_node(&n.g, "Conv mid w3 -> i");
	add_node(&n.g, "Add h i -> j"); /* joins i, the later one */
	add_node(&n.g, "Mul j k -> l");
	add_node(&n.g, "Conv l w3 -> m"); /* read twice */
	add_node(&n.g, "Relu m -> o");
	add_node(&n.g, "Add o m -> p");
	add_node(&n.g, "GlobalAveragePool p -> q");
	add_node(&n.g, "Flatten q -> r");
	add_node(&n.g, "Gemm r w5 b5 -> out transB=1");
	tiny_io(&n.g, 12, "mid", mid, 4);
	tiny_io(&n.g, 12, "out", out, 2);
	return net_open(&n, &err);
}

static struct pare_model *one_gemm(void)
{
	struct net n = { .r = pare_rng_seed(4, 1) };
	struct pare_err err = { 0 };
	int in[] = { -1, 4 }, out[] = { -1, 3 };

	tiny_io(&n.g, 11, "x", in, 2);
	weight(&n, "w", 3, 4, 0, 0);
	add_node(&n.g, "Gemm x w -> y transB=1");
	tiny_io(&n.g, 12, "y", out, 2);
	return net_open(&n, &err);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void lanes_give_what_samples_give_alone(void)
{
	struct pare_model *m = branchy();
	struct pare_program *p = program(m, 0);
	struct pare_frame *f = pare_frame_new(p);
	int lanes = pare_program_lanes(p);
	float *samples = fill(p, f, 1);
	double worst[2] = { 0 };
	struct pare_err err = { 0 };

	go(p, f, 0, pare_program_steps(p));
	for (int l = 0; l < lanes; l++) {
		struct pare_array in = { .dtype = PARE_F32,
			.shape = { 4, { 1, 3, 9, 7 } },
			.data = samples + l * 3 * 9 * 7 };
		struct pare_array out[2];

		if (pare_model_run(m, &in, out, &err)) {
			ok(0, "%s", err.text);
			break;
		}
		for (int o = 0; o < 2; o++) {
			const struct pare_tensor *y = pare_frame_output(f, o);
			const float *want = out[o].data;

			for (int64_t i = 0; i < pare_shape_elems(&y->shape); i++)
				worst[o] = fmax(worst[o], fabsf(y->f32[i * lanes + l] - want[i]));
			pare_array_free(&out[o]);
		}
	}
	ok(worst[0] < 1e-5 && worst[1] < 1e-5, "%d lanes against one: %.1e and %.1e", lanes,
		worst[0], worst[1]);
	free(samples);
	pare_frame_free(f);
	pare_program_free(p);
	pare_model_free(m);
}

static void batches_run_as_given(void)
{
	struct pare_model *m = branchy();
	struct pare_rng r = pare_rng_seed(2, 2);
	float x[5 * 3 * 9 * 7];
	struct pare_array in = { .dtype = PARE_F32, .shape = { 4, { 5, 3, 9, 7 } }, .data = x };
	struct pare_array all[2], one[2];
	struct pare_err err = { 0 };
	double worst = 0;

	for (size_t i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = (float)pare_rng_normal(&r);
	ok_status(pare_model_run(m, &in, all, &err), err, "five samples at once");
	ok(all[1].shape.n == 2 && all[1].shape.d[0] == 5 && all[1].shape.d[1] == 5, "shape 5x5");
	in.shape.d[0] = 1;
	for (int s = 0; s < 5; s++) {
		in.data = x + s * 3 * 9 * 7;
		ok_status(pare_model_run(m, &in, one, &err), err, "sample %d alone", s);
		for (int i = 0; i < 5; i++)
			worst = fmax(worst, fabsf(((float *)one[1].data)[i] -
						    ((float *)all[1].data)[s * 5 + i]));
		pare_array_free(&one[0]);
		pare_array_free(&one[1]);
	}
	ok(worst < 1e-5, "the same answers: %.1e", worst);
	pare_array_free(&all[0]);
	pare_array_free(&all[1]);
	in.shape = (struct pare_shape){ 4, { 1, 3, 9, 8 } };
	ok(pare_model_run(m, &in, all, &err) == PARE_E_MISMATCH && strstr(err.text, "'x'"),
		"another shape is refused by name: %s", err.text);
	in.shape.d[3] = 7;
	in.dtype = PARE_I32;
	ok(pare_model_run(m, &in, all, &err) == PARE_E_MISMATCH, "another type too: %s", err.text);
	pare_model_free(m);
}

static void steps_join_what_follows(void)
{
	struct pare_model *m = branchy();
	struct pare_program *p = program(m, 0), *q = program(m, 1);

	/* a+b, c+d, e+f+mid, h, i+j, l, m, o, p, q, r, out */
	ok(pare_program_steps(p) == 12, "17 nodes are 12 steps: %d", pare_program_steps(p));
	ok(pare_program_steps(q) == 12, "and as many without lanes");
	for (int i = 0; i < pare_model_info(m)->n_layers; i++) {
		const struct pare_step *s = &p->steps[pare_program_step_of_layer(p, i)];

		ok(s->layer == i && s->node == pare_model_layer(m, i)->node,
			"the step of layer %d runs it", i);
	}
	pare_program_free(p);
	pare_program_free(q);
	pare_model_free(m);
}

static void places_do_not_overlap(void)
{
	struct pare_model *m = branchy();
	struct pare_program *p = program(m, 0);
	size_t sum = 0;
	int bad = 0;

	for (int i = 0; i < m->graph.n_vars; i++) {
		const struct pare_place *x = &p->places[i];

		if (x->first == PARE_NEVER)
			continue;
		sum += x->bytes;
		bad += x->at % 64 != 0 || x->at + x->bytes > p->room;
		for (int j = 0; j < i; j++) {
			const struct pare_place *y = &p->places[j];

			if (x->same == y || y->same == x)
				bad += x->at != y->at || x->bytes != y->bytes;
			else if (y->first != PARE_NEVER && x->first <= y->last &&
				 y->first <= x->last)
				bad += x->at < y->at + y->bytes && y->at < x->at + x->bytes;
		}
	}
	ok(!bad, "what is alive at once lies apart");
	ok(p->room < sum / 2, "%zu bytes hold %zu", p->room, sum);
	pare_program_free(p);
	pare_model_free(m);
}

static void cuts_start_anywhere(void)
{
	struct pare_model *m = branchy();
	struct pare_program *p = program(m, 0), *q = program(m, 0);
	struct pare_frame *f = pare_frame_new(p);
	int steps = pare_program_steps(p), good = 0;
	float *samples = fill(p, f, 5);
	const struct pare_tensor *want[2] = { pare_frame_output(f, 0), pare_frame_output(f, 1) };
	struct pare_err err = { 0 };

	for (int at = 0; at <= steps; at++) {
		struct pare_frame *g = pare_frame_new(q);
		struct pare_cut *c = NULL;
		int same = 1;

		memset(g->room, 0x7f, q->room); /* nothing there to be right by chance */
		if (pare_cut_new(p, at, &c, &err))
			break;
		free(samples);
		samples = fill(p, f, 5);
		go(p, f, 0, at);
		pare_cut_save(c, p, f);
		go(p, f, at, steps);
		pare_cut_load(c, q, g);
		go(q, g, at, steps);
		for (int o = 0; o < 2; o++)
			same &= !memcmp(want[o]->f32, pare_frame_output(g, o)->f32,
				(size_t)pare_shape_elems(&want[o]->shape) * want[o]->lanes * 4);
		good += same;
		pare_cut_free(c);
		pare_frame_free(g);
	}
	ok(good == steps + 1, "from %d of %d cuts the answers are the same to the bit", good,
		steps + 1);
	free(samples);
	pare_frame_free(f);
	pare_program_free(p);
	pare_program_free(q);
	pare_model_free(m);
}

/* An edit of one layer, built like the float model's program: the same as one built alone. */
static void packed_weights_are_shared(void)
{
	struct pare_model *m = branchy(), *edit = NULL;
	int n = pare_model_info(m)->n_layers, shared = 0, same = 1;
	struct pare_blob *blobs[16] = { 0 };
	struct pare_program *p = program(m, 0), *alone, *like = NULL;
	struct pare_program_spec spec = { .like = p };
	struct pare_err err = { 0 };
	struct pare_frame *f, *g, *own;
	const struct pare_tensor *y;

	blobs[3] = pare_blob_new((size_t)pare_model_layer(m, 3)->weights * sizeof(float));
	for (int64_t i = 0; i < pare_model_layer(m, 3)->weights; i++)
		((float *)blobs[3]->data)[i] = 2 * pare_model_weights(m, 3)[i];
	ok_status(pare_model_with_weights(m, blobs, NULL, &edit, &err), err, "an edit of layer 3");
	ok_status(pare_program_new(edit, &spec, &like, &err), err, "its program, like the other");
	for (int i = 0; i < n; i++) {
		int step = pare_program_step_of_layer(p, i);
		bool is = p->steps[step].packed == like->steps[step].packed;

		shared += is && p->steps[step].packed;
		same &= i != 3 || !is;
	}
	ok(shared == n - 1 && same, "%d of %d layers share packed weights", shared, n);
	alone = program(edit, 0);
	g = pare_frame_new(alone);
	free(fill(alone, g, 6));
	go(alone, g, 0, pare_program_steps(alone));
	own = pare_frame_new(p);
	f = pare_frame_share(like, own);
	ok(f->room == own->room, "its frame lies in that of the other");
	free(fill(like, f, 6));
	go(like, f, 0, pare_program_steps(like));
	y = pare_frame_output(f, 1);
	ok(!memcmp(y->f32, pare_frame_output(g, 1)->f32,
		   (size_t)pare_shape_elems(&y->shape) * y->lanes * sizeof(float)),
		"and give the bits of a program of their own");
	pare_frame_free(own);
	pare_frame_free(f);
	pare_frame_free(g);
	pare_program_free(alone);
	pare_program_free(like);
	pare_program_free(p);
	pare_model_free(edit);
	pare_model_free(m);
}

struct seen {
	int calls;
	float x[4];
};

static void see(void *user, int layer, const struct pare_tensor *x)
{
	struct seen *s = user;

	s->calls += layer == 0;
	for (int i = 0; i < 4; i++)
		s->x[i] = x->f32[i * x->lanes];
}

static void activations_are_quantized_on_entry(int lanes)
{
	struct pare_model *m = one_gemm();
	struct pare_act_quant act = { true, 0.25f, 3, -8, 7, false };
	struct pare_program_spec spec = { .lanes = lanes, .acts = &act };
	struct pare_program *p = NULL;
	struct pare_err err = { 0 };
	struct pare_frame *f;
	struct pare_tensor *x;
	const float *w = pare_model_weights(m, 0);
	struct seen seen = { 0 };
	float in[] = { 0.125f, 0.375f, -9, 40 }; /* ties to even: 0, 2; clamped: -11, 4 */
	float want_in[] = { 0, 0.5f, -2.75f, 1 };
	int good = 1;

	ok_status(pare_program_new(m, &spec, &p, &err), err, "a program with a quantizer");
	f = pare_frame_new(p);
	x = pare_frame_input(f, 0);
	for (int i = 0; i < 4; i++)
		for (int l = 0; l < x->lanes; l++)
			x->f32[i * x->lanes + l] = in[i];
	pare_frame_observe(f, see, &seen);
	go(p, f, 0, pare_program_steps(p));
	for (int o = 0; o < 3; o++) {
		double sum = 0;

		for (int i = 0; i < 4; i++)
			sum += (double)w[o * 4 + i] * want_in[i];
		for (int l = 0; l < x->lanes; l++)
			good &= fabs(pare_frame_output(f, 0)->f32[o * x->lanes + l] - sum) < 1e-6;
	}
	ok(good, "%d lanes: the layer sees the quantized input", pare_program_lanes(p));
	ok(seen.calls == 1 && !memcmp(seen.x, in, sizeof in), "the observer sees it as it was");
	pare_frame_free(f);
	pare_program_free(p);
	pare_model_free(m);
}

static void what_cannot_run_is_named(void)
{
	struct net n = { .r = pare_rng_seed(1, 1) };
	struct pare_err err = { 0 };
	struct pare_program_spec spec = { .lanes = 3 };
	struct pare_program *p = NULL;
	int io[] = { -1, 4 };
	struct pare_model *m;

	tiny_io(&n.g, 11, "x", io, 2);
	add_node(&n.g, "Relu x -> a");
	add_node(&n.g, "Marvel a -> strange");
	tiny_io(&n.g, 12, "strange", io, 2);
	m = net_open(&n, &err);
	ok(m && pare_program_new(m, &spec, &p, &err) == PARE_E_ARG, "3 lanes: %s", err.text);
	spec.lanes = 0;
	ok(m && pare_program_new(m, &spec, &p, &err) == PARE_E_UNSUPPORTED &&
			strstr(err.text, "strange") && strstr(err.text, "Marvel"),
		"%s", err.text);
	pare_model_free(m);
}

static void memory_may_run_out(void)
{
	struct pare_model *m = branchy();
	struct pare_program_spec spec = { 0 };
	struct pare_err err = { 0 };
	int refused = 0, frames = 0, good = 1;
	struct pare_program *p = NULL;
	struct pare_frame *f = NULL;

	for (long k = 1; !p; k++) {
		enum pare_status st;

		pare_alloc_fail_after(k);
		st = pare_program_new(m, &spec, &p, &err);
		pare_alloc_fail_after(0);
		good &= st ? st == PARE_E_NOMEM && !p : p != NULL;
		refused += st != 0;
	}
	for (long k = 1; !f; k++) {
		pare_alloc_fail_after(k);
		f = pare_frame_new(p);
		pare_alloc_fail_after(0);
		frames++;
	}
	ok(good && refused > 1, "%d allocations fail, each is told", refused);
	ok(frames > 1, "so do those of a frame");
	pare_frame_free(f);
	pare_program_free(p);
	pare_model_free(m);
}

/* By a program (the shape is known) and node by node: what only the data says is said too. */
static void an_index_that_points_nowhere_is_named(void)
{
	static const char *const lines[] = { "Gather t i -> y", "GatherElements t i -> y",
		"GatherND t i -> y", "ScatterElements t i u -> y", "ScatterND t i u -> y" };

	for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
		struct net n = { .r = pare_rng_seed(4, 1) };
		struct pare_err err = { 0 };
		int in[] = { 1 }, list[] = { -1 };
		float index = 2;
		struct pare_array x = { PARE_F32, { 1, { 1 } }, &index }, y;
		struct pare_model *m;

		tiny_io(&n.g, 11, "x", in, 1);
		weight(&n, "t", 3, 0, 0, 0);
		weight(&n, "u", 1, 0, 0, 0);
		add_node(&n.g, "Cast x -> i to=7");
		add_node(&n.g, lines[k]);
		tiny_io(&n.g, 12, "y", list, 1);
		m = net_open(&n, &err);
		ok(!pare_model_run(m, &x, &y, &err), "%s: 2 of 3 is there", lines[k]);
		pare_array_free(&y);
		index = 3;
		ok(pare_model_run(m, &x, &y, &err) == PARE_E_FORMAT && strstr(err.text, "node '") &&
				strstr(err.text, "index 3"),
			"%s: %s", lines[k], err.text);
		pare_model_free(m);
	}
}

int main(void)
{
	lanes_give_what_samples_give_alone();
	batches_run_as_given();
	steps_join_what_follows();
	places_do_not_overlap();
	cuts_start_anywhere();
	packed_weights_are_shared();
	activations_are_quantized_on_entry(0);
	activations_are_quantized_on_entry(1);
	what_cannot_run_is_named();
	an_index_that_points_nowhere_is_named();
	memory_may_run_out();
	return tap_done();
}
