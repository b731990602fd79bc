#include "../base/pool.h"
#include "run.h"
#include <stdlib.h>
#include <string.h>

struct pare_runner {
	const struct pare_model *m;
	struct pare_program *program;
	struct pare_frame *frame;
	const struct pare_array *in;
};

enum pare_status pare_runner_new(const struct pare_model *m, const struct pare_array *in,
	struct pare_runner **out, struct pare_err *err)
{
	int n_in = m->info.n_inputs;
	struct pare_shape *shapes = calloc((size_t)n_in + 1, sizeof *shapes);
	struct pare_program_spec spec = { .lanes = 1, .inputs = shapes, .acts = m->acts };
	struct pare_runner *r = calloc(1, sizeof *r);
	enum pare_status st = shapes && r ? PARE_OK : pare_nomem(err, "a run");

	for (int i = 0; i < n_in && !st; i++) {
		shapes[i] = in[i].shape;
		if (m->inputs[i].dtype && m->inputs[i].dtype != in[i].dtype)
			st = pare_fail(err, PARE_E_MISMATCH, "input '%s' is %s, not %s",
				m->inputs[i].name, pare_dtype_name(m->inputs[i].dtype),
				pare_dtype_name(in[i].dtype));
	}
	if (!st) {
		r->m = m;
		r->in = in;
		st = pare_program_new(m, &spec, &r->program, err);
	}
	if (!st && !(r->frame = pare_frame_new(r->program)))
		st = pare_nomem(err, "the activations of a run");
	free(shapes);
	if (st)
		pare_runner_free(r);
	else
		*out = r;
	return st;
}

/* Inputs are written each time: their place may be used again once they were read. */
static enum pare_status run(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct pare_runner *r = ctx;

	(void)chunk;
	(void)worker;
	for (int i = 0; i < r->m->info.n_inputs; i++) {
		struct pare_tensor *t = pare_frame_input(r->frame, i);
		size_t bytes;

		if (pare_dtype_bytes(t->dtype, pare_shape_elems(&t->shape), &bytes))
			memcpy(t->data, r->in[i].data, bytes);
	}
	return pare_program_run(r->program, r->frame, 0, pare_program_steps(r->program), err);
}

enum pare_status pare_runner_run(struct pare_runner *r, struct pare_err *err)
{
	/* one chunk, so that OpenBLAS keeps to this thread */
	return pare_parallel(1, run, r, NULL, (struct pare_progress_span){ 0, 0 }, err);
}

void pare_runner_free(struct pare_runner *r)
{
	if (!r)
		return;
	pare_frame_free(r->frame);
	pare_program_free(r->program);
	free(r);
}
