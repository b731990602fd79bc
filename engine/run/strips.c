/* Steps that follow each other, run over a few rows at a time, so that what lies between them stays
 * in the cache: elementwise operators, Softmax, norms, products of attention.  Gives the bits that
 * one after the other gives. */
#include "builder.h"
#include <string.h>

enum {
	MOST_INPUTS = 4,
	MOST_LINKS = 24,
	LARGE = 512 << 10, /* bytes between the steps, below which they stay in the cache anyway */
	NEAR = 192 << 10,  /* of a strip, all tensors together */
	FAR = 768 << 10,   /* the same where something is read whole for each strip */
};

/* How a step sees a tensor. */
struct side {
	int axes;    /* leading ones by which it is cut; what is behind them is used whole */
	int64_t per; /* strips' outer places that share one of it */
	bool local;  /* made and read in the strip alone: lies in the scratch, at `at` */
	size_t at;
};

struct strip_step {
	struct side in[MOST_INPUTS], out;
};

struct pare_strips {
	int links, axes;
	int64_t outer, rows, some; /* of the axes by which they are cut: places before the last,
				      its length, and how much of it is a strip */
	size_t own;                /* bytes of scratch of the steps, before what is local */
	struct strip_step *steps;
};

/* ---- finding them ------------------------------------------------------------------------------
 */

struct finder {
	struct pare_program *p;
	struct pare_tensor *vars; /* [n_vars], without data */
	struct pare_err *err;
};

/* Which of the steps from `first` on, before `end`, makes var; -1 = none. */
static int maker(const struct pare_program *p, int first, int end, int var)
{
	for (int i = first; i < end; i++)
		if (p->steps[i].out == var)
			return i;
	return -1;
}

/* Leading axes by which the step may be cut, 0 = not at all; axes: of its inputs. */
static int cuts(const struct finder *f, const struct pare_step *s, int axes[MOST_INPUTS])
{
	const struct pare_tensor *in[MOST_INPUTS + 1];
	struct pare_tensor *out[1];
	struct pare_call c;

	if (!s->n->op->apart || s->layer >= 0 || s->add >= 0 || s->n->n_out != 1 ||
		s->n->n_in > MOST_INPUTS || s->act.on || s->same)
		return 0;
	pare_step_bind(f->p, s, f->vars, &c, in, out);
	if (out[0]->dtype != PARE_F32)
		return 0;
	for (int i = 0; i < c.n_in; i++)
		if (in[i] && in[i]->dtype != PARE_F32)
			return 0;
	return s->n->op->apart(&c, axes);
}

/* Steps from `first` on that can be cut alike; *axes: by how many axes at most. */
static int group_from(const struct finder *f, int first, int *axes)
{
	const struct pare_program *p = f->p;
	const struct pare_shape *y = &f->vars[p->steps[first].out].shape;
	int links = 0, cut[MOST_INPUTS];

	for (; first + links < p->n_steps && links < MOST_LINKS; links++) {
		const struct pare_step *s = &p->steps[first + links];
		const struct pare_shape *own = &f->vars[s->out].shape;
		int most = cuts(f, s, cut);
		bool reads = !links;

		if (links && most > *axes)
			most = *axes;
		for (int i = 0; i < s->n->n_in && most; i++)
			if (maker(p, first, first + links, s->n->in[i]) >= 0) {
				most = cut[i] < most ? cut[i] : most;
				reads = true;
			}
		for (int i = 0; i < most; i++)
			if (i >= y->n || own->d[i] != y->d[i])
				most = i;
		if (!reads || !most || pare_shape_span(own, 0, most) < 2)
			break;
		*axes = most;
	}
	return links;
}

/* Bytes of all tensors at one index of the last of `axes`, and whether some are read whole. */
static size_t bytes_at(const struct finder *f, int first, int links, int axes, bool *whole)
{
	const struct pare_program *p = f->p;
	size_t bytes = 0;
	int cut[MOST_INPUTS];

	*whole = false;
	for (int i = first; i < first + links; i++) {
		const struct pare_step *s = &p->steps[i];
		const struct pare_shape *y = &f->vars[s->out].shape;

		cuts(f, s, cut);
		bytes += (size_t)pare_shape_span(y, axes, y->n) * (size_t)p->lanes * sizeof(float);
		for (int j = 0; j < s->n->n_in; j++) {
			const struct pare_place *x =
				s->n->in[j] < 0 ? NULL : &p->places[s->n->in[j]];

			if (!x || x->constant || maker(p, first, i, s->n->in[j]) >= 0)
				continue;
			if (cut[j] < axes)
				*whole |= x->bytes > NEAR;
			else
				bytes += (size_t)pare_shape_span(&x->t.shape, axes, x->t.shape.n) *
					 (size_t)p->lanes * sizeof(float);
		}
	}
	return bytes;
}

/* By fewer axes while what stands at one of their indices still fits. */
static void choose_rows(const struct finder *f, int first, struct pare_strips *g)
{
	const struct pare_shape *y = &f->vars[f->p->steps[first].out].shape;
	int most = g->axes;
	size_t bytes;
	bool whole;
	int64_t strips;

	for (g->axes = 1; g->axes < most; g->axes++)
		if (bytes_at(f, first, g->links, g->axes, &whole) <= (size_t)(whole ? FAR : NEAR))
			break;
	bytes = bytes_at(f, first, g->links, g->axes, &whole);
	g->outer = pare_shape_span(y, 0, g->axes - 1);
	g->rows = y->d[g->axes - 1];
	g->some = (int64_t)((size_t)(whole ? FAR : NEAR) / (bytes + 1));
	g->some = g->some < 1 ? 1 : g->some > g->rows ? g->rows : g->some;
	strips = (g->rows + g->some - 1) / g->some;
	g->some = (g->rows + strips - 1) / strips; /* evenly */
}

/* Made in the group and read there alone. */
static bool is_local(const struct pare_program *p, const struct pare_strips *g, int first, int var)
{
	return maker(p, first, first + g->links, var) >= 0 &&
	       p->places[var].last < first + g->links;
}

static size_t local_bytes(const struct finder *f, const struct pare_strips *g, int var)
{
	const struct pare_shape *s = &f->vars[var].shape;
	size_t bytes = (size_t)(g->some * pare_shape_span(s, g->axes, s->n)) * (size_t)f->p->lanes *
		       sizeof(float);

	return (bytes + 63) / 64 * 64;
}

/* Where the local ones lie; room: bytes of them all. */
static enum pare_status lay_locals(const struct finder *f, const struct pare_strips *g, int first,
	struct pare_place *places, size_t *room)
{
	const struct pare_program *p = f->p;

	for (int i = 0; i < g->links; i++) {
		int var = p->steps[first + i].out;

		places[i].first = PARE_NEVER;
		if (!is_local(p, g, first, var))
			continue;
		places[i].first = i;
		places[i].last = p->places[var].last - first;
		places[i].bytes = local_bytes(f, g, var);
	}
	return pare_places_lay(places, g->links, room, p->arena, f->err);
}

static struct side side_of(const struct finder *f, const struct pare_strips *g, int first,
	const struct pare_place *places, int var, int axes)
{
	struct side s = { .axes = axes < g->axes ? axes : g->axes, .per = 1 };
	const struct pare_shape *y = &f->vars[f->p->steps[first].out].shape;
	int by = maker(f->p, first, first + g->links, var);

	if (s.axes < g->axes)
		s.per = pare_shape_span(y, s.axes, g->axes - 1);
	if (by >= 0 && places[by - first].first != PARE_NEVER) {
		s.local = true;
		s.at = g->own + places[by - first].at;
	}
	return s;
}

static enum pare_status plan_group(const struct finder *f, int first, struct pare_strips *g)
{
	struct pare_program *p = f->p;
	struct pare_place places[MOST_LINKS] = { 0 };
	int end = first + g->links, cut[MOST_INPUTS];
	size_t room;
	enum pare_status st;

	if (!(g->steps = pare_alloc_n(p->arena, (size_t)g->links, sizeof *g->steps)))
		return pare_nomem(f->err, "strips");
	if ((st = lay_locals(f, g, first, places, &room)))
		return st;
	for (int i = first; i < end; i++)
		g->own = p->steps[i].scratch > g->own ? p->steps[i].scratch : g->own;
	if (g->own + room > p->scratch)
		p->scratch = g->own + room;
	for (int i = first; i < end; i++) {
		const struct pare_step *s = &p->steps[i];
		struct strip_step *t = &g->steps[i - first];

		cuts(f, s, cut);
		t->out = side_of(f, g, first, places, s->out, g->axes);
		for (int j = 0; j < s->n->n_in; j++) {
			if (s->n->in[j] < 0)
				continue;
			t->in[j] = side_of(f, g, first, places, s->n->in[j], cut[j]);
			pare_place_keep(p, s->n->in[j], end - 1);
		}
	}
	p->steps[first].strips = g;
	return PARE_OK;
}

/* Bytes between the steps of a group. */
static size_t bytes_between(const struct pare_program *p, const struct pare_strips *g, int first)
{
	size_t bytes = 0;

	for (int i = first; i < first + g->links; i++)
		if (is_local(p, g, first, p->steps[i].out))
			bytes += p->places[p->steps[i].out].bytes;
	return bytes;
}

enum pare_status pare_program_cut(struct pare_program *p, struct pare_err *err)
{
	int n_vars = p->m->graph.n_vars;
	struct finder f = { p, pare_alloc_n(p->arena, (size_t)n_vars, sizeof *f.vars), err };

	if (!f.vars)
		return pare_nomem(err, "strips");
	for (int i = 0; i < n_vars; i++)
		f.vars[i] = p->places[i].t;
	for (int i = 0; i < p->n_steps; i++) {
		struct pare_strips g = { 0 }, *kept;
		enum pare_status st;

		g.links = group_from(&f, i, &g.axes);
		if (g.links < 2 || bytes_between(p, &g, i) < LARGE)
			continue;
		choose_rows(&f, i, &g);
		if (!(kept = pare_memdup(p->arena, &g, sizeof g)))
			return pare_nomem(err, "strips");
		if ((st = plan_group(&f, i, kept)))
			return st;
		i += g.links - 1;
	}
	return PARE_OK;
}

/* ---- running -----------------------------------------------------------------------------------
 */

struct strip { /* rows from … of an outer place */
	const struct pare_strips *g;
	int64_t outer, from, rows;
	char *scratch;
};

static struct pare_tensor
slice(const struct strip *s, const struct pare_tensor *whole, const struct side *side)
{
	struct pare_tensor t = *whole;
	int64_t at = s->outer / side->per;

	for (int i = 0; i < side->axes; i++)
		t.shape.d[i] = 1;
	if (side->axes == s->g->axes) {
		t.shape.d[side->axes - 1] = s->rows;
		at = s->outer * s->g->rows + s->from;
	}
	t.f32 = side->local
			? (float *)(s->scratch + side->at)
			: t.f32 + at * pare_shape_span(&t.shape, side->axes, t.shape.n) * t.lanes;
	return t;
}

static void run_strip(const struct strip *s, const struct pare_bound *steps)
{
	for (int i = 0; i < s->g->links; i++) {
		const struct strip_step *t = &s->g->steps[i];
		struct pare_call c = steps[i].call;
		struct pare_tensor in[MOST_INPUTS], out = slice(s, c.out[0], &t->out);
		const struct pare_tensor *ins[MOST_INPUTS];

		for (int j = 0; j < c.n_in; j++) {
			ins[j] = c.in[j] ? &in[j] : NULL;
			if (c.in[j])
				in[j] = slice(s, c.in[j], &t->in[j]);
		}
		c.in = ins;
		c.out = &(struct pare_tensor *){ &out };
		if (pare_op_forward(&c))
			return; /* no row that can be cut asks for what is not there */
	}
}

int pare_strips_links(const struct pare_strips *g)
{
	return g->links;
}

void pare_strips_run(const struct pare_strips *g, const struct pare_bound *steps)
{
	struct strip s = { .g = g, .scratch = steps[0].call.scratch };

	for (s.outer = 0; s.outer < g->outer; s.outer++)
		for (s.from = 0; s.from < g->rows; s.from += s.rows) {
			s.rows = g->rows - s.from < g->some ? g->rows - s.from : g->some;
			run_strip(&s, steps);
		}
}
