/* Networks in lines of text, and programs of them on random samples. */
#ifndef PARE_NETS_H
#define PARE_NETS_H
#include "engine/base/rng.h"
#include "engine/onnx/onnx.h"
#include "engine/run/program.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include <math.h>

/* "conv a w1 b1 -> y  group=3 pads=1,1,1,1": a node in a line of text. */
static inline void add_node(struct tiny_buf *g, const char *line)
{
	struct tiny_buf n = { 0 };
	char copy[256], *save = NULL;
	int to = 0;

	snprintf(copy, sizeof copy, "%s", line);
	tiny_str(&n, 4, strtok_r(copy, " ", &save));
	for (char *w; (w = strtok_r(NULL, " ", &save));) {
		char *is = strchr(w, '=');
		struct tiny_buf a = { 0 };

		if (!strcmp(w, "->")) {
			to = 1;
			continue;
		}
		if (!is) {
			tiny_str(&n, to ? 2 : 1, w);
			if (to)
				tiny_str(&n, 3, w); /* named after what it gives */
			continue;
		}
		*is = 0;
		tiny_str(&a, 1, w);
		if (strchr(is + 1, ',')) {
			for (char *v = is; v; v = strchr(v + 1, ','))
				tiny_int(&a, 8, (uint64_t)atoi(v + 1));
			tiny_int(&a, 20, 7);
		} else {
			tiny_int(&a, 3, (uint64_t)atoi(is + 1));
			tiny_int(&a, 20, 2);
		}
		tiny_sub(&n, 5, &a);
	}
	tiny_sub(g, 1, &n);
}

struct net {
	struct tiny_buf g;
	struct pare_rng r;
};

static inline void weight(struct net *n, const char *name, int a, int b, int c, int d)
{
	int dims[] = { a, b, c, d }, n_dims = d ? 4 : b ? 2 : 1;

	tiny_weight(&n->g, &n->r, name, dims, n_dims, 1 / sqrt(b ? b * (c ? c : 1) * 3 : 1));
}

static inline struct pare_model *net_open(struct net *n, struct pare_err *err)
{
	struct tiny_buf m = { 0 }, opset = { 0 };
	struct pare_model *model = NULL;

	tiny_str(&n->g, 2, "net");
	tiny_int(&m, 1, 8);
	tiny_sub(&m, 7, &n->g);
	tiny_int(&opset, 2, 13);
	tiny_sub(&m, 8, &opset);
	if (pare_onnx_read(m.p, m.n, "net.onnx", &model, err))
		printf("# %s\n", err->text);
	free(m.p);
	return model;
}

static inline void go(const struct pare_program *p, struct pare_frame *f, int from, int to)
{
	struct pare_err err;

	if (pare_program_run(p, f, from, to, &err))
		ok(0, "%s", err.text);
}

static inline struct pare_program *program(const struct pare_model *m, int lanes)
{
	struct pare_program_spec spec = { .lanes = lanes };
	struct pare_program *p = NULL;
	struct pare_err err = { 0 };

	if (pare_program_new(m, &spec, &p, &err))
		printf("# %s\n", err.text);
	return p;
}

/* Random samples in the lanes of input 0, and by themselves in `samples`. */
static inline float *fill(const struct pare_program *p, struct pare_frame *f, uint64_t seed)
{
	struct pare_rng r = pare_rng_seed(seed, 9);
	struct pare_tensor *t = pare_frame_input(f, 0);
	int lanes = pare_program_lanes(p);
	int64_t n = pare_shape_elems(&t->shape);
	float *samples = malloc((size_t)(n * lanes) * sizeof *samples);

	for (int64_t i = 0; i < n * lanes; i++)
		samples[i] = (float)pare_rng_normal(&r);
	pare_lanes_in(samples, n, lanes, lanes, t->f32);
	return samples;
}

#endif
