/* Channel groups: which layers can only lose channels together, and which cannot lose any.
 *
 * The channels of an activation are a row of segments, each of one class: [16 of class a][32 of
 * class b] after a Concat.  A layer makes a new class; elementwise operators unite the classes of
 * their inputs (union-find); what cannot be cut makes its classes stuck.  Only the rows' `flow`
 * says which is which. */
#include "../base/err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_SEGMENTS = 512 };

struct segment {
	int64_t len;    /* channels */
	int64_t repeat; /* consecutive features that each channel became (Flatten) */
	int class;
};

struct channels {    /* of an activation */
	int axis, n; /* n 0: nothing is known of them, they cannot be cut */
	const struct segment *seg;
};

struct class
{
	int parent;
	const char *stuck; /* of a root: why its channels cannot be removed; NULL = they can */
};

struct grouping {
	struct pare_model *m;
	struct pare_arena *a; /* for what is needed until groups are found */
	struct channels *of;  /* [vars] */
	struct class *class;
	int n_classes, room;
	int *layer_class; /* [layers]; -1: several */
	bool nomem;
};

static int root(struct grouping *g, int c)
{
	while (g->class[c].parent != c) {
		g->class[c].parent = g->class[g->class[c].parent].parent;
		c = g->class[c].parent;
	}
	return c;
}

static void unite(struct grouping *g, int a, int b)
{
	a = root(g, a);
	b = root(g, b);
	if (a == b)
		return;
	if (!g->class[a].stuck)
		g->class[a].stuck = g->class[b].stuck;
	g->class[b].parent = a;
}

static int new_class(struct grouping *g, const char *stuck)
{
	if (g->n_classes == g->room) {
		int room = g->room ? 2 * g->room : 64;
		struct class *p = realloc(g->class, (size_t)room * sizeof *p);

		if (!p) {
			g->nomem = true;
			return 0;
		}
		g->class = p;
		g->room = room;
	}
	g->class[g->n_classes] = (struct class){ g->n_classes, stuck };
	return g->n_classes++;
}

/* seg is shared: channels that pass are those that came. */
static void
set_channels(struct grouping *g, int var, int axis, const struct segment *seg, int n, int64_t times)
{
	struct segment *own;

	if (times > 1) {
		if (!(own = pare_memdup(g->a, seg, (size_t)n * sizeof *seg))) {
			g->nomem = true;
			return;
		}
		for (int i = 0; i < n; i++)
			own[i].repeat *= times;
		seg = own;
	}
	g->of[var] = (struct channels){ axis, n, seg };
}

static const struct pare_shape *shape_of(const struct grouping *g, int var)
{
	return g->m->known[var].dtype == PARE_UNDEFINED ? NULL : &g->m->known[var].shape;
}

static void fresh_channels(struct grouping *g, int var, int axis, int64_t n, const char *stuck)
{
	struct segment s = { n, 1, new_class(g, stuck) }, *own = pare_memdup(g->a, &s, sizeof s);

	g->nomem |= !own;
	if (!g->nomem)
		set_channels(g, var, axis, own, 1, 1);
}

static void stick(struct grouping *g, int var, const char *why)
{
	for (int i = 0; i < g->of[var].n; i++) {
		struct class *c = &g->class[root(g, g->of[var].seg[i].class)];

		if (!c->stuck)
			c->stuck = why;
	}
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool is_activation(const struct grouping *g, int var)
{
	return var >= 0 && !g->m->graph.vars[var].blob && !g->m->known[var].value;
}

static const char *goes_into(struct grouping *g, const struct pare_node *n, const char *what)
{
	const char *s = pare_sprintf(g->m->arena, "%s %s '%s'", what, n->op_type, n->name);

	g->nomem |= !s;
	return s;
}

static void block(struct grouping *g, const struct pare_node *n, const char *what)
{
	const char *why = goes_into(g, n, what);

	for (int i = 0; i < n->n_in; i++)
		if (is_activation(g, n->in[i]))
			stick(g, n->in[i], why);
}

static int64_t features(const struct channels *c)
{
	int64_t n = 0;

	for (int i = 0; i < c->n; i++)
		n += c->seg[i].len * c->seg[i].repeat;
	return n;
}

static int only_activation(const struct grouping *g, const struct pare_node *n)
{
	int var = -1;

	for (int i = 0; i < n->n_in; i++) {
		if (!is_activation(g, n->in[i]))
			continue;
		if (var >= 0)
			return -1;
		var = n->in[i];
	}
	return var;
}

static void pass(struct grouping *g, const struct pare_node *n)
{
	int var = only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : shape_of(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];

	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : shape_of(g, n->out[i]);

		if (n->out[i] < 0)
			continue;
		if (!in || !out || !c->n || c->axis >= out->n || in->d[c->axis] != out->d[c->axis])
			block(g, n, "goes into");
		else
			set_channels(g, n->out[i], c->axis, c->seg, c->n, 1);
	}
}

/* Elementwise of several.  Constants beside them are cut along; an activation with one channel
 * that is broadcast over the others' keeps its one. */
static void tie(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = shape_of(g, n->out[0]);
	const struct channels *first = NULL;
	int axis = -1;

	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c;
		const struct pare_shape *s;

		if (!is_activation(g, n->in[i]))
			continue;
		c = &g->of[n->in[i]];
		s = shape_of(g, n->in[i]);
		if (!out || !s || !c->n) {
			block(g, n, "meets what cannot be cut in");
			return;
		}
		if (s->d[c->axis] == 1 && out->d[c->axis + out->n - s->n] != 1) {
			stick(g, n->in[i], goes_into(g, n, "is broadcast over channels by"));
			continue;
		}
		if (first && (axis != c->axis + out->n - s->n || first->n != c->n)) {
			block(g, n, "meets other channels in");
			return;
		}
		axis = c->axis + out->n - s->n;
		for (int k = 0; first && k < c->n; k++)
			if (first->seg[k].len != c->seg[k].len ||
				first->seg[k].repeat != c->seg[k].repeat) {
				block(g, n, "meets other channels in");
				return;
			}
		for (int k = 0; first && k < c->n; k++)
			unite(g, first->seg[k].class, c->seg[k].class);
		first = first ? first : c;
	}
	if (first)
		set_channels(g, n->out[0], axis, first->seg, first->n, 1);
}

static int concat_axis(const struct pare_node *n, int rank)
{
	const int64_t *axis = pare_node_attr(n, "axis", PARE_ATTR_INT);

	return !axis ? -1 : (int)(*axis < 0 ? *axis + rank : *axis);
}

static void concat(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = shape_of(g, n->out[0]);
	int axis = out ? concat_axis(n, out->n) : -1, n_seg = 0, used = 0;
	struct segment *seg;

	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = n->in[i] < 0 ? NULL : &g->of[n->in[i]];

		if (axis < 0 || !c ||
			(is_activation(g, n->in[i]) && (!c->n || !shape_of(g, n->in[i])))) {
			block(g, n, "meets what cannot be cut in");
			return;
		}
		if (c->n && c->axis != axis) { /* along another axis channels stay what they are */
			tie(g, n);
			return;
		}
		n_seg += c->n ? c->n : 1;
	}
	if (n_seg > MAX_SEGMENTS || !(seg = pare_alloc_n(g->a, (size_t)n_seg, sizeof *seg))) {
		block(g, n, "has too many branches in");
		return;
	}
	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = &g->of[n->in[i]];

		if (c->n) {
			memcpy(seg + used, c->seg, (size_t)c->n * sizeof *seg);
			used += c->n;
			continue;
		}
		seg[used++] = (struct segment){ g->m->known[n->in[i]].shape.d[axis], 1,
			new_class(g, "stands beside a constant") };
	}
	set_channels(g, n->out[0], axis, seg, used, 1);
}

/* Flatten, Reshape, Squeeze: channel c becomes a run of features, if the shapes say so: what is
 * before the channel axis stays, what it grows by is what stood directly behind it. */
static void spread(struct grouping *g, const struct pare_node *n)
{
	int var = only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : shape_of(g, var),
				*out = shape_of(g, n->out[0]);
	const struct channels *c = var < 0 ? NULL : &g->of[var];
	int64_t before;

	if (!in || !out || !c->n) {
		block(g, n, "goes into");
		return;
	}
	before = pare_shape_span(in, 0, c->axis);
	for (int j = 1; j < out->n; j++) {
		int64_t times = 1;

		if (pare_shape_span(out, 0, j) != before)
			continue;
		for (int k = c->axis; k < in->n; k++) {
			times *= k > c->axis ? in->d[k] : 1;
			if (out->d[j] == in->d[c->axis] * times) {
				set_channels(g, n->out[0], j, c->seg, c->n, times);
				return;
			}
		}
	}
	block(g, n, "is rearranged by");
}

/* A layer: channels that come in are consumed, new ones go out.  Depthwise hands its own through.
 */
static void produce(struct grouping *g, const struct pare_node *n, int layer)
{
	const struct pare_layer *l = &g->m->layers[layer];
	const struct pare_weight_at *at = &g->m->weight_at[layer];
	const struct pare_shape *in, *out = shape_of(g, n->out[0]);
	int var = only_activation(g, n), axis = 1;
	const struct channels *c = var < 0 ? NULL : &g->of[var];
	int64_t n_in = l->weight.d[at->in_axis] * at->groups, n_out = l->weight.d[at->out_axis];
	const char *stuck = NULL;

	if (at->groups > 1 && at->out_axis > 0)
		n_out *= at->groups;
	if (l->weight.n == 2 && out) /* a product: channels are the last axis */
		axis = out->n - 1;
	if (at->groups > 1 && at->out_axis > 0) /* transposed: the weight counts all that come in */
		n_in = l->weight.d[at->in_axis];
	in = var < 0 ? NULL : shape_of(g, var);
	if (!in || !out || axis < 1 || axis >= out->n || out->d[axis] != n_out) {
		block(g, n, "goes into");
		stuck = "its shape is not known";
	} else if (at->groups > 1 && c->n && at->groups == features(c) && n_in == at->groups &&
		   n_out % n_in == 0) {
		set_channels(g, n->out[0], axis, c->seg, c->n, n_out / n_in);
		g->layer_class[layer] = c->n == 1 ? c->seg[0].class : -1;
		return;
	} else if (at->groups > 1) {
		block(g, n, "is grouped in");
		stuck = "is a grouped convolution";
	} else if (c->n && (c->axis != axis + in->n - out->n || features(c) != n_in))
		block(g, n, "goes into");
	g->layer_class[layer] = g->n_classes;
	if (out && axis > 0 && axis < out->n)
		fresh_channels(g, n->out[0], axis, n_out, stuck);
	else
		new_class(g, stuck);
}

static enum pare_flow flow_of(struct grouping *g, const struct pare_node *n)
{
	struct pare_shape_call c = {
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out
	};
	const struct pare_known **in;

	if (!n->op->flow_at)
		return n->op->flow;
	in = pare_alloc_n(g->a, (size_t)n->n_in, sizeof *in);
	c.out = pare_alloc_n(g->a, (size_t)n->n_out, sizeof *c.out);
	c.in = in;
	g->nomem |= !in || !c.out;
	for (int i = 0; i < n->n_in && !g->nomem; i++) {
		if (n->in[i] >= 0 && !shape_of(g, n->in[i]))
			return PARE_FLOW_BLOCK;
		in[i] = n->in[i] < 0 ? NULL : &g->m->known[n->in[i]];
	}
	for (int i = 0; i < n->n_out && !g->nomem; i++) {
		if (n->out[i] < 0)
			continue;
		if (!shape_of(g, n->out[i]))
			return PARE_FLOW_BLOCK;
		c.out[i] = g->m->known[n->out[i]];
	}
	return g->nomem ? PARE_FLOW_BLOCK : n->op->flow_at(&c);
}

static void visit(struct grouping *g, int node)
{
	const struct pare_node *n = &g->m->graph.nodes[node];
	int layer = g->m->node_info[node].layer;

	if (n->n_out > 0 && n->out[0] >= 0 && g->m->known[n->out[0]].value)
		return; /* shape arithmetic: it reads no channel */
	if (!n->op || n->n_out < 1) {
		block(g, n, "goes into");
		return;
	}
	switch (flow_of(g, n)) {
	case PARE_FLOW_PASS:
		pass(g, n);
		return;
	case PARE_FLOW_TIE:
		tie(g, n);
		return;
	case PARE_FLOW_CAT:
		concat(g, n);
		return;
	case PARE_FLOW_SPREAD:
		spread(g, n);
		return;
	case PARE_FLOW_PRODUCE:
		if (layer >= 0) {
			produce(g, n, layer);
			return;
		}
		break;
	case PARE_FLOW_BLOCK:
		break;
	}
	block(g, n, "goes into");
	if (layer >= 0)
		g->layer_class[layer] =
			new_class(g, goes_into(g, n, "channels are not followed in"));
}

static void enter(struct grouping *g)
{
	const struct pare_graph *graph = &g->m->graph;

	for (int i = 0; i < graph->n_in; i++) {
		const struct pare_shape *s = shape_of(g, graph->in[i]);
		const char *why = pare_sprintf(
			g->m->arena, "tied to the input '%s'", graph->vars[graph->in[i]].name);

		g->nomem |= !why;
		if (s && s->n > 1)
			fresh_channels(g, graph->in[i], 1, s->d[1], why);
	}
}

static void leave(struct grouping *g)
{
	const struct pare_graph *graph = &g->m->graph;

	for (int i = 0; i < graph->n_out; i++) {
		const char *why = pare_sprintf(
			g->m->arena, "reaches the output '%s'", graph->vars[graph->out[i]].name);

		g->nomem |= !why;
		stick(g, graph->out[i], why);
	}
}

static void number_groups(struct grouping *g)
{
	int *number = pare_alloc_n(g->a, (size_t)g->n_classes, sizeof *number), next = 0;

	g->nomem |= !number;
	for (int i = 0; i < g->m->info.n_layers && !g->nomem; i++) {
		struct pare_layer *l = &g->m->layers[i];
		int class = g->layer_class[i] < 0 ? -1 : root(g, g->layer_class[i]);

		l->group = -1;
		if (class < 0)
			l->stuck = "follows several groups";
		else if (g->class[class].stuck)
			l->stuck = g->class[class].stuck;
		else {
			if (!number[class])
				number[class] = ++next;
			l->group = number[class] - 1;
		}
	}
}

enum pare_status pare_groups_find(struct pare_model *m, struct pare_err *err)
{
	struct grouping g = { .m = m, .a = pare_arena_new() };

	if (!g.a)
		return pare_nomem(err, "channel groups");
	g.of = pare_alloc_n(g.a, (size_t)m->graph.n_vars, sizeof *g.of);
	g.layer_class = pare_alloc_n(g.a, (size_t)m->info.n_layers, sizeof *g.layer_class);
	g.nomem = !g.of || !g.layer_class;
	if (!g.nomem)
		enter(&g);
	for (int i = 0; i < m->graph.n_nodes && !g.nomem; i++)
		visit(&g, i);
	if (!g.nomem)
		leave(&g);
	if (!g.nomem)
		number_groups(&g);
	free(g.class);
	pare_arena_free(g.a);
	return g.nomem ? pare_nomem(err, "channel groups") : PARE_OK;
}
