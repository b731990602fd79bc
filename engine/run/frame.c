#include "../base/pool.h"
#include "program.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static bool bind(struct pare_frame *f, int i)
{
	const struct pare_program *p = f->p;
	const struct pare_step *s = &p->steps[i];
	struct pare_bound *b = &f->steps[i];
	char *scratch = f->room + p->room;

	b->in = pare_alloc_n(f->arena, (size_t)s->n->n_in + 1, sizeof *b->in);
	b->out = pare_alloc_n(f->arena, (size_t)s->n->n_out + 1, sizeof *b->out);
	if (!b->in || !b->out)
		return false;
	pare_step_bind(p, s, f->vars, &b->call, b->in, b->out);
	b->after = (struct pare_after){ s->add >= 0 ? &f->vars[s->add] : NULL, s->lo, s->hi };
	b->call.after = s->n->op->fuses ? &b->after : NULL;
	b->call.wrong = &f->wrong;
	b->call.scratch = scratch + s->quantized;
	if (s->act.on) {
		b->quantized = *b->in[s->entry];
		b->quantized.data = scratch;
		b->in[s->entry] = &b->quantized;
	}
	return true;
}

/* Channels lie far apart, so that a kernel touches many pages at once: large ones, if there are. */
static char *room_new(size_t bytes)
{
	size_t align = bytes > HUGE_PAGE / 2 ? HUGE_PAGE : 64;
	char *room;

	if (bytes > SIZE_MAX - 2 * HUGE_PAGE)
		return NULL;
	bytes = (bytes / align + 1) * align;
	room = aligned_alloc(align, bytes);
	if (room && align == HUGE_PAGE)
		madvise(room, bytes, MADV_HUGEPAGE); /* a wish: it works without */
	return room;
}

struct pare_frame *pare_frame_share(const struct pare_program *p, const struct pare_frame *with)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_frame *f = a ? pare_alloc(a, sizeof *f) : NULL;
	int n_vars = p->m->graph.n_vars;

	if (!f) {
		pare_arena_free(a);
		return NULL;
	}
	f->arena = a;
	f->p = p;
	f->vars = pare_alloc_n(a, (size_t)n_vars, sizeof *f->vars);
	f->steps = pare_alloc_n(a, (size_t)p->n_steps, sizeof *f->steps);
	f->bytes = p->room + p->scratch;
	f->borrowed = with && with->bytes >= f->bytes;
	f->room = f->borrowed ? with->room : room_new(f->bytes);
	if (!f->vars || !f->steps || !f->room)
		goto fail;
	for (int i = 0; i < n_vars; i++) {
		f->vars[i] = p->places[i].t;
		if (p->places[i].first != PARE_NEVER)
			f->vars[i].data = f->room + p->places[i].at;
	}
	for (int i = 0; i < p->n_steps; i++)
		if (!bind(f, i))
			goto fail;
	return f;
fail:
	pare_frame_free(f);
	return NULL;
}

struct pare_frame *pare_frame_new(const struct pare_program *p)
{
	return pare_frame_share(p, NULL);
}

void pare_frame_free(struct pare_frame *f)
{
	if (!f)
		return;
	if (!f->borrowed)
		free(f->room);
	pare_arena_free(f->arena);
}

struct pare_tensor *pare_frame_input(struct pare_frame *f, int i)
{
	return i < f->p->m->graph.n_in ? &f->vars[f->p->m->graph.in[i]] : NULL;
}

const struct pare_tensor *pare_frame_output(const struct pare_frame *f, int i)
{
	int var = f->p->m->graph.out[i];

	return f->p->places[var].spread ? f->p->places[var].spread : &f->vars[var];
}

void pare_frame_observe(struct pare_frame *f, pare_observe_fn *fn, void *user)
{
	f->observe = fn;
	f->user = user;
}

static void run_chain(const struct pare_program *p, struct pare_frame *f, int first)
{
	const struct pare_act_quant *act[PARE_CHAIN_MOST];
	struct pare_finish finish[PARE_CHAIN_MOST];
	const struct pare_bound *b = &f->steps[first];
	int n = p->steps[first].links;

	for (int i = 0; i < n; i++) {
		const struct pare_after *after = &b[i].after;

		act[i] = &p->steps[first + i].act;
		finish[i] = (struct pare_finish){ after->add ? after->add->f32 : NULL, after->lo,
			after->hi };
	}
	pare_chain_run(p->k, p->steps[first].chain, b->call.in[0]->f32, b[n - 1].call.out[0]->f32,
		act, finish, b->call.scratch);
}

/* May what starts at step i run as a chain?  An observer sees what enters each step, a dynamic
 * quantizer all of it. */
static bool chained(const struct pare_program *p, const struct pare_frame *f, int i, int to)
{
	const struct pare_step *s = &p->steps[i];

	if (!s->chain || i + s->links > to || f->observe)
		return false;
	for (int j = 1; j < s->links; j++)
		if (s[j].act.dynamic)
			return false;
	return true;
}

enum pare_status pare_program_run(
	const struct pare_program *p, struct pare_frame *f, int from, int to, struct pare_err *err)
{
	for (int i = from; i < to; i++) {
		const struct pare_step *s = &p->steps[i];
		struct pare_bound *b = &f->steps[i];
		const struct pare_tensor *x = s->entry >= 0 ? &f->vars[s->n->in[s->entry]] : NULL;

		if (pare_canceled()) /* a block of a large network takes seconds */
			return pare_fail(err, PARE_E_CANCELED, "stopped");
		if (x && f->observe)
			f->observe(f->user, s->layer, x);
		if (s->act.dynamic)
			pare_quantize_dynamic(x, b->quantized.f32);
		else if (s->act.on)
			p->k->quantize(x->f32, b->quantized.f32,
				(size_t)pare_shape_elems(&x->shape) * x->lanes, s->act.scale,
				s->act.zero, s->act.lo, s->act.hi);
		if (s->same)
			continue;
		if (chained(p, f, i, to)) {
			run_chain(p, f, i);
			i += s->links - 1;
		} else if (s->strips && i + pare_strips_links(s->strips) <= to) {
			pare_strips_run(s->strips, b);
			i += pare_strips_links(s->strips) - 1;
		} else if (pare_op_forward(&b->call))
			return pare_fail(err, f->wrong.code, "node '%s' (%s): %s", s->n->name,
				s->n->op_type, f->wrong.text);
	}
	return PARE_OK;
}
