#include "feed.h"
#include "../base/err.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_real(enum pare_dtype t)
{
	return t == PARE_F32 || t == PARE_F64 || t == PARE_F16 || t == PARE_BF16;
}

/* Inputs that a dataset can fill: what it reads are numbers. */
static bool feedable(enum pare_dtype t)
{
	return is_real(t) || t == PARE_I64 || t == PARE_I32 || t == PARE_I8 || t == PARE_U8 ||
	       t == PARE_BOOL;
}

enum pare_status pare_feed_program(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_program *like, struct pare_program **out, struct pare_err *err)
{
	const struct pare_model_info *info = pare_model_info(m);
	struct pare_program_spec spec = { .lanes = 0, .acts = acts, .like = like };
	struct pare_err batched;
	enum pare_status st;

	for (int i = 0; i < info->n_inputs; i++) {
		const struct pare_io *io = pare_model_input(m, i);

		if (io->shape.n && io->shape.d[0] > 1)
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"%s: its input '%s' is fixed at a batch of %lld; export it with "
				"batch 1 or a dynamic batch",
				info->path, io->name, (long long)io->shape.d[0]);
		if (!feedable(io->dtype))
			return pare_fail(err, PARE_E_UNSUPPORTED,
				"%s: its input '%s' is %s, which a dataset cannot feed", info->path,
				io->name, pare_dtype_name(io->dtype));
	}
	st = pare_program_new(m, &spec, out, &batched);
	if (!st)
		return PARE_OK;
	spec.lanes = 1; /* what cannot run side by side may still run one by one */
	if (st == PARE_E_UNSUPPORTED)
		return pare_program_new(m, &spec, out, err);
	return pare_fail(err, st, "%s", batched.text);
}

struct feeding {
	const struct pare_feed *f;
	int lanes;
	struct pare_frame **frame; /* [threads], made when first needed */
	float **room;              /* [threads] */
};

static void fill(const struct pare_tensor *to, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		switch (to->dtype) {
		case PARE_F64:
			to->f64[i] = (double)x[i];
			break;
		case PARE_F16:
			to->u16[i] = pare_f32_to_f16(x[i]);
			break;
		case PARE_BF16:
			to->u16[i] = pare_f32_to_bf16(x[i]);
			break;
		case PARE_I64:
			to->i64[i] = (int64_t)x[i];
			break;
		case PARE_I32:
			to->i32[i] = (int32_t)x[i];
			break;
		case PARE_I8:
			to->i8[i] = (int8_t)x[i];
			break;
		case PARE_U8:
			to->u8[i] = (uint8_t)x[i];
			break;
		default: /* BOOL */
			to->u8[i] = x[i] != 0;
		}
}

/* As read, and one input in lanes, which starts at a whole vector. */
float *pare_feed_room(const struct pare_dataset *d, int lanes)
{
	size_t each = (size_t)lanes * (size_t)pare_dataset_info(d)->elems * sizeof(float);

	return aligned_alloc(64, (2 * each + 63) / 64 * 64);
}

void pare_feed_load(const struct pare_dataset *d, enum pare_split split, int64_t first, int count,
	int lanes, float *room, struct pare_frame *f)
{
	const struct pare_dataset_info *info = pare_dataset_info(d);
	float *x = room + lanes * info->elems;

	pare_dataset_read(d, split, first, count, room);
	for (int i = 0; i < info->n_inputs; i++) {
		struct pare_tensor *in = pare_frame_input(f, i);
		int64_t n = pare_shape_elems(&info->sample[i]);

		if (in->dtype == PARE_F32)
			pare_lanes_in(room, n, count, lanes, in->f32);
		else {
			pare_lanes_in(room, n, count, lanes, x);
			fill(in, x, lanes * n);
		}
		room += count * n;
	}
}

static enum pare_status feed_block(void *ctx, int chunk, int worker, struct pare_err *err)
{
	struct feeding *g = ctx;
	const struct pare_feed *f = g->f;
	int64_t first = (int64_t)chunk * g->lanes, left = f->n - first;
	struct pare_block b = { first, left < g->lanes ? (int)left : g->lanes, worker, NULL };

	if (!g->frame[worker]) {
		g->frame[worker] = pare_frame_new(f->program);
		g->room[worker] = pare_feed_room(f->dataset, g->lanes);
	}
	if (!g->frame[worker] || !g->room[worker])
		return pare_nomem(err, "the activations of a block of samples");
	b.frame = g->frame[worker];
	pare_feed_load(f->dataset, f->split, first, b.count, g->lanes, g->room[worker], b.frame);
	return f->fn(f->user, &b, err);
}

int pare_feed_blocks(const struct pare_program *p, int64_t n)
{
	int lanes = pare_program_lanes(p);

	return (int)((n + lanes - 1) / lanes);
}

enum pare_status
pare_feed_run(const struct pare_feed *f, struct pare_ctl *ctl, struct pare_err *err)
{
	size_t threads = (size_t)pare_threads();
	struct feeding g = { .f = f, .lanes = pare_program_lanes(f->program) };
	enum pare_status st;

	g.frame = calloc(threads, sizeof *g.frame);
	g.room = calloc(threads, sizeof *g.room);
	if (g.frame && g.room)
		st = pare_parallel(
			pare_feed_blocks(f->program, f->n), feed_block, &g, ctl, f->span, err);
	else
		st = pare_nomem(err, "a run over the data");
	for (size_t i = 0; i < threads; i++) {
		if (g.frame)
			pare_frame_free(g.frame[i]);
		if (g.room)
			free(g.room[i]);
	}
	free(g.frame);
	free(g.room);
	return st;
}

void pare_block_again(const struct pare_block *b, struct pare_frame *f)
{
	const struct pare_tensor *x;
	size_t bytes;

	for (int i = 0; (x = pare_frame_input(b->frame, i)); i++)
		if (pare_dtype_bytes(x->dtype, pare_shape_elems(&x->shape) * x->lanes, &bytes))
			memcpy(pare_frame_input(f, i)->data, x->data, bytes);
}

void pare_block_answers(const struct pare_block *b, const struct pare_frame *f,
	const struct pare_program *p, float *out)
{
	const struct pare_tensor *y = pare_frame_output(f, 0);
	int64_t n = pare_shape_elems(&y->shape);
	size_t lanes = (size_t)pare_program_lanes(p), size = pare_dtype_bits(y->dtype) / 8;

	if (y->dtype == PARE_F32) {
		pare_lanes_out(y->f32, n, b->count, (int)lanes, out);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		for (int l = 0; l < b->count; l++)
			if (pare_to_f32(y->dtype, y->u8 + ((size_t)i * lanes + (size_t)l) * size, 1,
				    out + l * n + i, NULL))
				assert(0); /* answers are real */
}

int64_t pare_answer_len(const struct pare_model *m)
{
	const struct pare_known *y = &m->known[m->graph.out[0]];

	return is_real(y->dtype) ? pare_shape_elems(&y->shape) : -1;
}

enum pare_status pare_answer_check(const struct pare_model *m, struct pare_err *err)
{
	if (pare_model_info(m)->n_unsupported) { /* also why a shape behind it is not known */
		const struct pare_unsupported *bad = pare_model_unsupported(m, 0);

		return pare_fail(err, PARE_E_UNSUPPORTED, "%s cannot be run: node '%s' (%s): %s",
			pare_model_info(m)->path, bad->node, bad->op, bad->why);
	}
	if (pare_answer_len(m) < 1)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"%s: its first output '%s' is no vector of numbers of known size, so there "
			"is no answer to count",
			pare_model_info(m)->path, pare_model_output(m, 0)->name);
	return PARE_OK;
}

void pare_block_left(const struct pare_block *b, struct pare_frame *f, int64_t *left)
{
	const struct pare_tensor *y = pare_frame_output(f, 1);

	for (int i = 0; i < b->count; i++)
		left[(int)y->f32[i]]++;
}

int64_t pare_argmax(const float *v, int64_t k)
{
	int64_t best = 0;

	for (int64_t i = 1; i < k; i++)
		if (v[i] > v[best] || !(v[best] == v[best]))
			best = i;
	return best;
}
