#include "../base/pool.h"
#include "program.h"
#include <stdlib.h>
#include <string.h>

struct job {
	const struct pare_model *m;
	const struct pare_array *in;
	struct pare_array *out;
};

static bool fits(const struct pare_shape *declared, const struct pare_shape *given)
{
	if (declared->n < 0)
		return true;
	if (declared->n != given->n)
		return false;
	for (int i = 0; i < given->n; i++)
		if (declared->d[i] >= 0 && declared->d[i] != given->d[i])
			return false;
	return true;
}

static enum pare_status
check_input(const struct pare_io *io, const struct pare_array *x, struct pare_err *err)
{
	char want[128], got[128];

	if (io->dtype != PARE_UNDEFINED && io->dtype != x->dtype)
		return pare_fail(err, PARE_E_MISMATCH, "input '%s' is %s, not %s", io->name,
			pare_dtype_name(io->dtype), pare_dtype_name(x->dtype));
	if (!fits(&io->shape, &x->shape))
		return pare_fail(err, PARE_E_MISMATCH, "input '%s' is %s, not %s", io->name,
			pare_shape_text(&io->shape, "x", want, sizeof want),
			pare_shape_text(&x->shape, "x", got, sizeof got));
	return PARE_OK;
}

static enum pare_status
take_output(const struct pare_tensor *t, struct pare_array *out, struct pare_err *err)
{
	size_t bytes, bits;

	if (!pare_dtype_bytes(t->dtype, pare_shape_elems(&t->shape), &bytes) ||
		!(out->data = malloc(bytes ? bytes : 1)))
		return pare_nomem(err, "an output");
	out->dtype = t->dtype;
	out->shape = t->shape;
	memcpy(out->data, t->data, bytes);
	bits = (size_t)pare_shape_elems(&t->shape) * pare_dtype_bits(t->dtype);
	if (bits % 8) /* what fills up the last byte is no value */
		((uint8_t *)out->data)[bits / 8] &= (uint8_t)((1u << bits % 8) - 1);
	return PARE_OK;
}

static enum pare_status run_frame(const struct job *j, const struct pare_program *p,
	struct pare_array *out, struct pare_err *err)
{
	struct pare_frame *f = pare_frame_new(p);
	enum pare_status st = PARE_OK;

	if (!f)
		return pare_nomem(err, "the activations of a run");
	for (int i = 0; i < j->m->info.n_inputs; i++) {
		struct pare_tensor *t = pare_frame_input(f, i);
		size_t bytes;

		if (pare_dtype_bytes(t->dtype, pare_shape_elems(&t->shape), &bytes))
			memcpy(t->data, j->in[i].data, bytes);
	}
	st = pare_program_run(p, f, 0, pare_program_steps(p), err);
	for (int i = 0; i < j->m->info.n_outputs && !st; i++)
		st = take_output(pare_frame_output(f, i), &out[i], err);
	pare_frame_free(f);
	return st;
}

static enum pare_status
run_by_node(const struct job *j, struct pare_array *out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	const struct pare_tensor *values;
	enum pare_status st;

	if (!a)
		return pare_nomem(err, "a run");
	st = pare_interpret(j->m, j->in, a, &values, err);
	for (int i = 0; i < j->m->info.n_outputs && !st; i++)
		st = take_output(&values[j->m->graph.out[i]], &out[i], err);
	pare_arena_free(a);
	return st;
}

/* One chunk, so that OpenBLAS keeps to this thread. */
static enum pare_status run_job(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct job *j = ctx;
	int n_in = j->m->info.n_inputs, n_out = j->m->info.n_outputs;
	struct pare_shape *shapes = calloc((size_t)n_in + 1, sizeof *shapes);
	struct pare_array *out = calloc((size_t)n_out + 1, sizeof *out);
	struct pare_program_spec spec = { .lanes = 1, .inputs = shapes, .acts = j->m->acts };
	struct pare_program *p = NULL;
	enum pare_status st = shapes && out ? PARE_OK : pare_nomem(err, "a run");

	(void)chunk;
	(void)worker;
	for (int i = 0; i < n_in && !st; i++) {
		shapes[i] = j->in[i].shape;
		st = check_input(&j->m->inputs[i], &j->in[i], err);
	}
	if (!st && !(st = pare_program_new(j->m, &spec, &p, err)))
		st = run_frame(j, p, out, err);
	else if (st == PARE_E_UNSUPPORTED && !j->m->info.n_unsupported)
		st = run_by_node(j, out, err); /* a shape may hang on data */
	for (int i = 0; i < n_out && out; i++)
		if (st)
			pare_array_free(&out[i]);
		else
			j->out[i] = out[i];
	pare_program_free(p);
	free(shapes);
	free(out);
	return st;
}

enum pare_status pare_model_run(const struct pare_model *m, const struct pare_array *in,
	struct pare_array *out, struct pare_err *err)
{
	struct job j = { m, in, out };

	return pare_parallel(1, run_job, &j, NULL, (struct pare_progress_span){ 0, 0 }, err);
}
