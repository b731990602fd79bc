/* A model becomes a program: shapes, steps, where everything lies, what rows prepare. */
#include "builder.h"
#include <math.h>
#include <string.h>

enum { ALIGN = 64 };

static size_t aligned(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static const char *var_name(const struct pare_builder *b, int var)
{
	return b->g->vars[var].name ? b->g->vars[var].name : "?";
}

/* ---- values ------------------------------------------------------------------------------------
 */

static enum pare_status take_shapes(struct pare_builder *b, const struct pare_shape *inputs)
{
	struct pare_program *p = b->p;
	struct pare_shape *own = NULL;
	enum pare_status st;

	if (!inputs) {
		own = pare_alloc_n(p->arena, (size_t)b->g->n_in, sizeof *own);
		if (!own)
			return pare_nomem(b->err, "shapes");
		if (!pare_model_sample_shapes(p->m, own))
			return pare_fail(b->err, PARE_E_UNSUPPORTED,
				"an input has axes of no known length beside the batch; give its "
				"shape");
		inputs = own;
	}
	if ((st = pare_graph_infer(b->g, inputs, false, p->arena, b->known, b->err)))
		return st;
	for (int i = 0; i < b->g->n_vars; i++) {
		const struct pare_known *k = &b->known[i];
		struct pare_place *v = &p->places[i];

		v->first = v->last = PARE_NEVER;
		if (k->value) {
			v->constant = k->value;
			v->t = *k->value;
			continue;
		}
		v->t = (struct pare_tensor){
			.dtype = k->dtype, .lanes = p->lanes, .shape = k->shape
		};
	}
	return PARE_OK;
}

/* Constants, lane by lane: the same value `lanes` times. */
static const struct pare_tensor *spread(struct pare_builder *b, int var)
{
	struct pare_place *v = &b->p->places[var];
	size_t bits = pare_dtype_bits(v->t.dtype), size = bits / 8, n, at = 0;
	size_t lanes = (size_t)b->p->lanes;
	struct pare_tensor *t;
	char *to;

	if (v->spread || b->p->lanes == 1)
		return v->spread ? v->spread : v->constant;
	n = (size_t)pare_shape_elems(&v->t.shape);
	t = pare_memdup(b->p->arena, &v->t, sizeof *t);
	to = pare_alloc_n(b->p->arena, n, (bits * lanes + 7) / 8);
	if (!t || !to)
		return NULL;
	t->lanes = b->p->lanes;
	t->data = to;
	for (size_t i = 0; i < n; i++)
		for (size_t l = 0; l < lanes; l++, at++)
			if (size)
				memcpy(to + at * size, (const char *)v->t.data + i * size, size);
			else
				pare_bits_put(to, at, (unsigned)bits,
					pare_bits_get(v->t.data, i, (unsigned)bits));
	return v->spread = t;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

static bool all_known(const struct pare_builder *b, const struct pare_node *n)
{
	for (int i = 0; i < n->n_out; i++)
		if (n->out[i] >= 0 && !pare_builder_constant(b, n->out[i]))
			return false;
	return true;
}

static enum pare_status check_node(const struct pare_builder *b, const struct pare_node *n)
{
	if (!n->op || !n->op->forward)
		return pare_fail(b->err, PARE_E_UNSUPPORTED, "node '%s' (%s): %s", n->name,
			n->op_type, n->why ? n->why : "this operator cannot run");
	for (int i = 0; i < n->n_in && i < 32; i++)
		if (b->p->lanes > 1 && (n->op->plain >> i & 1) && n->in[i] >= 0 &&
			!pare_builder_constant(b, n->in[i]))
			return pare_fail(b->err, PARE_E_UNSUPPORTED,
				"node '%s' (%s): input '%s' is not constant, so samples cannot run "
				"side by side",
				n->name, n->op_type, var_name(b, n->in[i]));
	return PARE_OK;
}

static enum pare_status take_constants(
	struct pare_builder *b, const struct pare_node *n, const struct pare_tensor **constant)
{
	bool none = true; /* no input has lanes yet */

	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !pare_builder_constant(b, n->in[i]))
			none = false;
	for (int i = 0; i < n->n_in; i++) {
		bool plain = i < 32 && (n->op->plain >> i & 1);

		if (n->in[i] < 0 || !pare_builder_constant(b, n->in[i]))
			continue;
		if (plain || (n->op->mixed && !none)) {
			constant[i] = b->p->places[n->in[i]].constant;
			continue;
		}
		if (!(constant[i] = spread(b, n->in[i])))
			return pare_nomem(b->err, "a constant on all lanes");
		none = false;
	}
	return PARE_OK;
}

/* The input through which the activation enters a layer. */
static int entry_of(const struct pare_builder *b, const struct pare_step *s)
{
	for (int i = 0; s->layer >= 0 && !b->p->m->weight_at[s->layer].alone && i < s->n->n_in; i++)
		if (i != b->p->m->weight_at[s->layer].input && s->n->in[i] >= 0 &&
			!pare_builder_constant(b, s->n->in[i]) &&
			b->known[s->n->in[i]].dtype == PARE_F32)
			return i;
	return -1;
}

static enum pare_status
add_step(struct pare_builder *b, int node, const struct pare_act_quant *acts)
{
	struct pare_program *p = b->p;
	const struct pare_node *n = &b->g->nodes[node];
	struct pare_step *s = &p->steps[p->n_steps];
	enum pare_status st = check_node(b, n);

	if (st)
		return st;
	*s = (struct pare_step){ .node = node,
		.n = n,
		.layer = b->layer_of[node],
		.out = n->out[0],
		.add = -1,
		.lo = -INFINITY,
		.hi = INFINITY };
	if (!(s->constant = pare_alloc_n(p->arena, (size_t)n->n_in + 1, sizeof *s->constant)))
		return pare_nomem(b->err, "a step");
	if ((st = take_constants(b, n, s->constant)))
		return st;
	if (s->out >= 0)
		pare_step_join(b, s);
	s->entry = entry_of(b, s);
	if (s->layer >= 0) {
		for (int i = s->layer; i < p->m->info.n_layers && p->m->layers[i].node == node; i++)
			p->step_of_layer[i] = p->n_steps;
		if (acts && acts[s->layer].on && s->entry >= 0)
			s->act = acts[s->layer];
	}
	p->n_steps++;
	return PARE_OK;
}

static void count_uses(struct pare_builder *b)
{
	for (int i = 0; i < b->g->n_nodes; i++)
		for (int j = 0; j < b->g->nodes[i].n_in; j++)
			if (b->g->nodes[i].in[j] >= 0) {
				b->uses[b->g->nodes[i].in[j]]++;
				b->reader[b->g->nodes[i].in[j]] = i;
			}
	for (int i = 0; i < b->g->n_out; i++)
		b->uses[b->g->out[i]] += 2; /* never joined into something else */
}

static enum pare_status make_steps(struct pare_builder *b, const struct pare_act_quant *acts)
{
	const struct pare_model *m = b->p->m;

	for (int i = 0; i < m->info.n_layers; i++)
		b->p->step_of_layer[i] = -1;
	for (int i = 0; i < b->g->n_nodes; i++)
		b->layer_of[i] = -1;
	for (int i = 0; i < m->info.n_layers; i++)
		if (pare_layer_leads(m, i))
			b->layer_of[m->layers[i].node] = i;
	count_uses(b);
	for (int i = 0; i < b->g->n_nodes; i++) {
		enum pare_status st;

		if (b->joined[i] || all_known(b, &b->g->nodes[i]))
			continue;
		if ((st = add_step(b, i, acts)))
			return st;
	}
	return PARE_OK;
}

/* ---- where everything lies ---------------------------------------------------------------------
 */

static void written(struct pare_builder *b, int var, int step)
{
	if (var >= 0 && !pare_builder_constant(b, var))
		b->p->places[var].first = b->p->places[var].last = step;
}

static void read(struct pare_builder *b, int var, int step)
{
	if (var >= 0 && !pare_builder_constant(b, var) && b->p->places[var].last < step)
		b->p->places[var].last = step;
}

/* An output that is an input by another name lies where that lies. */
static void share(struct pare_program *p, struct pare_step *s)
{
	int in = s->n->n_in ? s->n->in[0] : -1;

	s->same = s->n->op->renames && in >= 0 && !s->constant[0] && s->out >= 0 &&
		  p->places[in].bytes == p->places[s->out].bytes &&
		  p->places[in].t.dtype == p->places[s->out].t.dtype;
	if (!s->same)
		return;
	p->places[s->out].same = &p->places[in];
	pare_place_keep(p, in, p->places[s->out].last);
}

static enum pare_status find_lifetimes(struct pare_builder *b)
{
	struct pare_program *p = b->p;

	for (int i = 0; i < b->g->n_in; i++)
		written(b, b->g->in[i], PARE_BEFORE);
	for (int i = 0; i < p->n_steps; i++) {
		const struct pare_step *s = &p->steps[i];

		for (int j = 0; j < s->n->n_in; j++)
			read(b, s->n->in[j], i);
		read(b, s->add, i);
		for (int j = 1; j < s->n->n_out; j++)
			written(b, s->n->out[j], i);
		written(b, s->out, i);
	}
	for (int i = 0; i < b->g->n_out; i++) {
		read(b, b->g->out[i], p->n_steps);
		if (pare_builder_constant(b, b->g->out[i]) && !spread(b, b->g->out[i]))
			return pare_nomem(b->err, "a constant output");
	}
	for (int i = 0; i < b->g->n_vars; i++) {
		struct pare_place *v = &p->places[i];
		size_t bytes;

		if (v->first == PARE_NEVER)
			continue;
		if (!pare_dtype_bytes(v->t.dtype, pare_shape_elems(&v->t.shape), &bytes))
			return pare_fail(b->err, PARE_E_UNSUPPORTED, "'%s' is too large to run",
				var_name(b, i));
		v->bytes = aligned(bytes * (size_t)p->lanes);
	}
	for (int i = p->n_steps - 1; i >= 0; i--) /* the last name first: it lives longest */
		share(p, &p->steps[i]);
	return PARE_OK;
}

static bool same_constant(const struct pare_tensor *x, const struct pare_tensor *y)
{
	return !x == !y && (!x || x->data == y->data);
}

/* Is step i of `like` the same, down to the constants it reads? */
static bool same_step(const struct pare_program *p, const struct pare_program *like, int i)
{
	const struct pare_step *s = &p->steps[i], *t = i < like->n_steps ? &like->steps[i] : s;

	if (s == t || p->lanes != like->lanes || s->n->op != t->n->op || s->node != t->node ||
		s->n->attr != t->n->attr || s->n->n_in != t->n->n_in ||
		!same_constant(s->bias, t->bias))
		return false;
	for (int j = 0; j < s->n->n_in; j++) {
		if (!same_constant(s->constant[j], t->constant[j]))
			return false;
		if (s->n->in[j] >= 0 && !pare_shape_equal(&p->places[s->n->in[j]].t.shape,
						&like->places[t->n->in[j]].t.shape))
			return false;
	}
	return true;
}

/* Rows lay out their constants and say what scratch they need. */
static enum pare_status prepare_steps(struct pare_builder *b, const struct pare_program *like)
{
	struct pare_program *p = b->p;
	struct pare_tensor *vars = pare_alloc_n(p->arena, (size_t)b->g->n_vars, sizeof *vars);

	if (!vars)
		return pare_nomem(b->err, "a program");
	for (int i = 0; i < b->g->n_vars; i++)
		vars[i] = p->places[i].t;
	for (int i = 0; i < p->n_steps; i++) {
		struct pare_step *s = &p->steps[i];
		const struct pare_tensor **in =
			pare_alloc_n(p->arena, (size_t)s->n->n_in + 1, sizeof *in);
		struct pare_tensor **out =
			pare_alloc_n(p->arena, (size_t)s->n->n_out + 1, sizeof *out);
		enum pare_status st = PARE_OK;
		struct pare_call c;

		if (!in || !out)
			return pare_nomem(b->err, "a program");
		pare_step_bind(p, s, vars, &c, in, out);
		if (like && same_step(p, like, i))
			s->packed = like->steps[i].packed;
		else
			st = pare_op_prepare(&c, p->arena, &s->packed, b->err);
		if (st)
			return pare_wrap(b->err, st, "node '%s' (%s)", s->n->name, s->n->op_type);
		c.packed = s->packed;
		s->scratch = aligned(pare_op_scratch(&c));
		if (s->act.on)
			s->quantized = p->places[s->n->in[s->entry]].bytes;
		if (s->scratch + s->quantized > p->scratch)
			p->scratch = s->scratch + s->quantized;
	}
	return PARE_OK;
}

static enum pare_status build(struct pare_builder *b, const struct pare_program_spec *spec)
{
	struct pare_program *p = b->p;
	struct pare_arena *a = p->arena;
	size_t vars = (size_t)b->g->n_vars, nodes = (size_t)b->g->n_nodes;
	enum pare_status st;

	p->steps = pare_alloc_n(a, nodes, sizeof *p->steps);
	p->places = pare_alloc_n(a, vars, sizeof *p->places);
	p->step_of_layer = pare_alloc_n(a, (size_t)p->m->info.n_layers, sizeof(int));
	b->known = pare_alloc_n(a, vars, sizeof *b->known);
	b->uses = pare_alloc_n(a, vars, sizeof *b->uses);
	b->reader = pare_alloc_n(a, vars, sizeof *b->reader);
	b->layer_of = pare_alloc_n(a, nodes, sizeof *b->layer_of);
	b->joined = pare_alloc_n(a, nodes, sizeof *b->joined);
	if (!p->steps || !p->places || !p->step_of_layer || !b->known || !b->uses || !b->reader ||
		!b->layer_of || !b->joined)
		return pare_nomem(b->err, "a program");
	for (int i = 0; i < b->g->n_nodes;
		i++) /* before shapes: this names the node that cannot run */
		if (!b->g->nodes[i].op && (st = check_node(b, &b->g->nodes[i])))
			return st;
	if ((st = take_shapes(b, spec->inputs)) || (st = make_steps(b, spec->acts)) ||
		(st = find_lifetimes(b)) || spec->sketch)
		return st;
	if ((st = prepare_steps(b, spec->like)) ||
		(st = pare_program_link(p, spec->like, b->err)) ||
		(st = pare_program_cut(p, b->err)))
		return st;
	return pare_places_lay(p->places, b->g->n_vars, &p->room, a, b->err);
}

enum pare_status pare_program_new(const struct pare_model *m, const struct pare_program_spec *spec,
	struct pare_program **out, struct pare_err *err)
{
	const struct pare_kernels *k = pare_kernels_best();
	struct pare_arena *a;
	struct pare_builder b = { .g = &m->graph, .err = err };
	enum pare_status st;

	if (spec->lanes != 0 && spec->lanes != 1 && spec->lanes != k->lanes)
		return pare_fail(
			err, PARE_E_ARG, "%d lanes; this processor has %d", spec->lanes, k->lanes);
	if (!(a = pare_arena_new()))
		return pare_nomem(err, "a program");
	if (!(b.p = pare_alloc(a, sizeof *b.p))) {
		pare_arena_free(a);
		return pare_nomem(err, "a program");
	}
	b.p->arena = a;
	b.p->m = m;
	b.p->k = k;
	b.p->lanes = spec->lanes ? spec->lanes : k->lanes;
	st = build(&b, spec);
	if (st)
		pare_arena_free(a);
	else
		*out = b.p;
	return st;
}
