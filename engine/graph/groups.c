/* Channel groups: which layers can only lose channels together, and which cannot lose any.
 *
 * Every channel that a layer makes is an element; the channels of an activation are a row of
 * elements along one axis.  What adds two activations up unites their elements, one by one
 * (union-find): a united set is a unit, which goes or stays as one.  A layer's elements form a
 * block, blocks whose elements were united are one group, and what cannot be cut makes its group
 * stuck.  Only the rows' `flow` says which is which. */
#include "../base/err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_FEATURES = 1 << 20 };

struct channels { /* of an activation */
	int axis;
	int64_t n;     /* 0: nothing is known of them, they cannot be cut */
	const int *id; /* [n] elements */
};

struct element {
	int parent, block;
};

struct block {
	int parent;
	const char *stuck; /* of a root: why its channels cannot be removed; NULL = they can */
};

struct grouping {
	struct pare_model *m;
	struct pare_arena *a; /* for what is needed until groups are found */
	struct channels *of;  /* [vars] */
	struct element *element;
	struct block *block;
	int n_elements, element_room, n_blocks, block_room;
	int *layer_block; /* [layers]; -1: several */
	bool nomem;
};

static int root_element(struct grouping *g, int e)
{
	while (g->element[e].parent != e) {
		g->element[e].parent = g->element[g->element[e].parent].parent;
		e = g->element[e].parent;
	}
	return e;
}

static int root_block(struct grouping *g, int b)
{
	while (g->block[b].parent != b) {
		g->block[b].parent = g->block[g->block[b].parent].parent;
		b = g->block[b].parent;
	}
	return b;
}

static void unite(struct grouping *g, int x, int y)
{
	int a = root_block(g, g->element[x].block), b = root_block(g, g->element[y].block);

	x = root_element(g, x);
	y = root_element(g, y);
	g->element[x > y ? x : y].parent = x > y ? y : x;
	if (a == b)
		return;
	if (!g->block[a].stuck)
		g->block[a].stuck = g->block[b].stuck;
	g->block[b].parent = a;
}

static bool grow(struct grouping *g, void **list, int *room, int need, size_t size)
{
	int more = *room ? *room : 64;
	void *p;

	if (need <= *room)
		return true;
	while (more < need)
		more *= 2;
	if (!(p = realloc(*list, (size_t)more * size))) {
		g->nomem = true;
		return false;
	}
	*list = p;
	*room = more;
	return true;
}

static int new_block(struct grouping *g, const char *stuck)
{
	if (!grow(g, (void **)&g->block, &g->block_room, g->n_blocks + 1, sizeof *g->block))
		return 0;
	g->block[g->n_blocks] = (struct block){ g->n_blocks, stuck };
	return g->n_blocks++;
}

/* `n` new elements of one block, into id. */
static void new_elements(struct grouping *g, int64_t n, const char *stuck, int *id)
{
	int block = new_block(g, stuck);

	if (g->nomem || !grow(g, (void **)&g->element, &g->element_room, g->n_elements + (int)n,
				sizeof *g->element))
		return;
	for (int64_t i = 0; i < n; i++) {
		g->element[g->n_elements] = (struct element){ g->n_elements, block };
		id[i] = g->n_elements++;
	}
}

static int *new_row(struct grouping *g, int64_t n)
{
	int *id = pare_alloc_n(g->a, (size_t)n, sizeof *id);

	g->nomem |= !id;
	return id;
}

/* ids are shared: channels that pass are those that came.  times: each becomes a run. */
static void
set_channels(struct grouping *g, int var, int axis, const int *id, int64_t n, int64_t times)
{
	int *own;

	if (times > 1) {
		if (!(own = new_row(g, n * times)))
			return;
		for (int64_t i = 0; i < n * times; i++)
			own[i] = id[i / times];
		id = own;
	}
	g->of[var] = (struct channels){ axis, n * times, id };
}

static const struct pare_shape *shape_of(const struct grouping *g, int var)
{
	return g->m->known[var].dtype == PARE_UNDEFINED ? NULL : &g->m->known[var].shape;
}

static void fresh_channels(struct grouping *g, int var, int axis, int64_t n, const char *stuck)
{
	int *id;

	if (n < 1 || n > MOST_FEATURES || !(id = new_row(g, n)))
		return;
	new_elements(g, n, stuck, id);
	if (!g->nomem)
		set_channels(g, var, axis, id, n, 1);
}

static void stick(struct grouping *g, int var, const char *why)
{
	for (int64_t i = 0; i < g->of[var].n; i++) {
		struct block *b = &g->block[root_block(g, g->element[g->of[var].id[i]].block)];

		if (!b->stuck)
			b->stuck = why;
	}
}

/* Feature i of each of `parts` equal parts goes with feature i of the others. */
static void tie_parts(struct grouping *g, const int *id, int64_t n, int64_t parts)
{
	int64_t len = n / parts;

	for (int64_t i = len; i < n; i++)
		unite(g, id[i % len], id[i]);
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

/* Sizes of the output's axes that the node reads: one for the channels can be changed with them
 * when it is a constant of the file; 0 and -1 follow by themselves. */
static bool cut_sizes(struct grouping *g, const struct pare_node *n, int axis)
{
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_tensor *t;

		if (!(n->op->sizes >> i & 1) || n->in[i] < 0)
			continue;
		t = g->m->known[n->in[i]].value;
		if (!t || t->dtype != PARE_I64 || axis >= t->shape.d[0] ||
			(!g->m->graph.vars[n->in[i]].blob && t->i64[axis] > 0))
			return false;
	}
	return true;
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
		if (!in || !out || !c->n || c->axis >= out->n ||
			in->d[c->axis] != out->d[c->axis] || !cut_sizes(g, n, c->axis))
			block(g, n, "goes into");
		else
			set_channels(g, n->out[i], c->axis, c->id, c->n, 1);
	}
}

/* Can constants beside channels be cut along?  Those that shapes were computed into cannot. */
static bool
cut_constants(struct grouping *g, const struct pare_node *n, const struct pare_shape *out, int axis)
{
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_shape *s = n->in[i] < 0 ? NULL : shape_of(g, n->in[i]);
		int at = s ? axis - (out->n - s->n) : -1;

		if (!s || is_activation(g, n->in[i]) || at < 0 || s->d[at] == 1)
			continue;
		if (!g->m->graph.vars[n->in[i]].blob)
			return false;
	}
	return true;
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
		for (int64_t k = 0; first && k < c->n; k++)
			unite(g, first->id[k], c->id[k]);
		first = first ? first : c;
	}
	if (first && !cut_constants(g, n, out, axis))
		block(g, n, "meets a computed constant in");
	else if (first)
		set_channels(g, n->out[0], axis, first->id, first->n, 1);
}

static int concat_axis(const struct pare_node *n, int rank)
{
	const int64_t *axis = pare_node_attr(n, "axis", PARE_ATTR_INT);

	return !axis ? -1 : (int)(*axis < 0 ? *axis + rank : *axis);
}

static void concat(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = shape_of(g, n->out[0]);
	int axis = out ? concat_axis(n, out->n) : -1;
	int64_t used = 0;
	int *id;

	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = n->in[i] < 0 ? NULL : &g->of[n->in[i]];

		if (axis < 0 || !c || !shape_of(g, n->in[i]) ||
			(is_activation(g, n->in[i]) && !c->n)) {
			block(g, n, "meets what cannot be cut in");
			return;
		}
		if (c->n && c->axis != axis) { /* along another axis channels stay what they are */
			tie(g, n);
			return;
		}
	}
	if (out->d[axis] > MOST_FEATURES || !(id = new_row(g, out->d[axis]))) {
		block(g, n, "has too many channels in");
		return;
	}
	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = &g->of[n->in[i]];
		int64_t len = shape_of(g, n->in[i])->d[axis];

		if (c->n)
			memcpy(id + used, c->id, (size_t)len * sizeof *id);
		else
			new_elements(g, len, "stands beside a constant", id + used);
		if (g->nomem)
			return;
		used += len;
	}
	set_channels(g, n->out[0], axis, id, used, 1);
}

/* Each output has its part of the channels, or, along another axis, all of them.  Without sizes the
 * parts are equal and must stay so. */
static void split(struct grouping *g, const struct pare_node *n)
{
	const int64_t *at = pare_node_attr(n, "axis", PARE_ATTR_INT);
	const struct channels *c = is_activation(g, n->in[0]) ? &g->of[n->in[0]] : NULL;
	const struct pare_shape *in = shape_of(g, n->in[0]);
	bool sizes = n->n_in > 1 && n->in[1] >= 0;
	int64_t from = 0;
	int axis;

	if (!c || !c->n || !in || !at) {
		block(g, n, "goes into");
		return;
	}
	axis = (int)(*at < 0 ? *at + in->n : *at);
	if (axis == c->axis && (sizes ? !g->m->graph.vars[n->in[1]].blob : c->n % n->n_out != 0)) {
		block(g, n, "goes into");
		return;
	}
	if (axis == c->axis && !sizes)
		tie_parts(g, c->id, c->n, n->n_out);
	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : shape_of(g, n->out[i]);

		if (!out) {
			block(g, n, "goes into");
			return;
		}
		if (axis == c->axis)
			set_channels(g, n->out[i], axis, c->id + from, out->d[axis], 1);
		else
			set_channels(g, n->out[i], c->axis, c->id, c->n, 1);
		from += axis == c->axis ? out->d[axis] : 0;
	}
}

static void move(struct grouping *g, const struct pare_node *n)
{
	const struct pare_ints *perm = pare_node_attr(n, "perm", PARE_ATTR_INTS);
	int var = only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : shape_of(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];

	if (!in || !c->n || !perm) {
		block(g, n, "goes into");
		return;
	}
	for (int k = 0; k < in->n; k++)
		if ((perm->n ? perm->v[k] : in->n - 1 - k) == c->axis)
			set_channels(g, n->out[0], k, c->id, c->n, 1);
}

/* Flatten, Reshape, Squeeze: channel c becomes a run of features, if the shapes say so: what is
 * before the channel axis stays, what it grows by is what stood directly behind it.  Or the channel
 * axis falls into two, as in a shuffle: then equal parts of it must lose the same. */
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
			if (out->d[j] == c->n * times && c->n * times <= MOST_FEATURES &&
				cut_sizes(g, n, j)) {
				set_channels(g, n->out[0], j, c->id, c->n, times);
				return;
			}
		}
		if (j + 1 < out->n && out->d[j] > 1 && out->d[j] * out->d[j + 1] == c->n &&
			cut_sizes(g, n, j + 1)) {
			tie_parts(g, c->id, c->n, out->d[j]);
			set_channels(g, n->out[0], j + 1, c->id, out->d[j + 1], 1);
			return;
		}
	}
	block(g, n, "is rearranged by");
}

/* The block of all these channels; -1 when they are of several. */
static int block_of_all(struct grouping *g, const struct channels *c)
{
	int block = root_block(g, g->element[c->id[0]].block);

	for (int64_t i = 1; i < c->n; i++)
		if (root_block(g, g->element[c->id[i]].block) != block)
			return -1;
	return block;
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
	} else if (at->groups > 1 && at->groups == c->n && n_in == at->groups &&
		   n_out % n_in == 0 && n_out <= MOST_FEATURES) {
		set_channels(g, n->out[0], axis, c->id, c->n, n_out / n_in);
		g->layer_block[layer] = block_of_all(g, c);
		return;
	} else if (at->groups > 1 && at->out_axis > 0) {
		block(g, n, "is grouped in");
		stuck = "is a grouped convolution";
	} else if (c->n && (c->axis != axis + in->n - out->n || c->n != n_in)) {
		block(g, n, "goes into");
	} else if (at->groups > 1 && c->n) {
		tie_parts(g, c->id, c->n, at->groups); /* all groups stay as wide as the others */
	}
	g->layer_block[layer] = g->n_blocks;
	if (out && axis > 0 && axis < out->n && n_out <= MOST_FEATURES)
		fresh_channels(g, n->out[0], axis, n_out, stuck);
	else
		new_block(g, stuck);
	if (at->groups > 1 && !g->nomem && g->of[n->out[0]].n == n_out && n_out % at->groups == 0)
		tie_parts(g, g->of[n->out[0]].id, n_out, at->groups);
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
	case PARE_FLOW_SPLIT:
		split(g, n);
		return;
	case PARE_FLOW_MOVE:
		move(g, n);
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
		g->layer_block[layer] =
			new_block(g, goes_into(g, n, "channels are not followed in"));
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

/* ---- what is published ------------------------------------------------------------------------
 */

/* Groups in the order of their first layer; the group of each root block, -1 = none. */
static void number_groups(struct grouping *g, int *number)
{
	struct pare_model *m = g->m;

	for (int i = 0; i < g->n_blocks; i++)
		number[i] = -1;
	m->n_groups = 0;
	for (int i = 0; i < m->info.n_layers; i++) {
		struct pare_layer *l = &m->layers[i];
		int block = g->layer_block[i] < 0 ? -1 : root_block(g, g->layer_block[i]);

		l->group = -1;
		if (block < 0)
			l->stuck = "follows several groups";
		else if (g->block[block].stuck)
			l->stuck = g->block[block].stuck;
		else {
			if (number[block] < 0)
				number[block] = m->n_groups++;
			l->group = number[block];
		}
	}
}

/* Units by group, in the order of their first channel; the unit of each element, -1 = stays. */
static int *number_units(struct grouping *g, const int *number)
{
	struct pare_model *m = g->m;
	int *unit = new_row(g, g->n_elements + 1), *next = new_row(g, m->n_groups + 1);

	m->groups = pare_alloc_n(m->arena, (size_t)m->n_groups + 1, sizeof *m->groups);
	g->nomem |= !m->groups;
	m->n_units = 0;
	for (int pass = 0; pass < 2 && !g->nomem; pass++) {
		for (int e = 0; e < g->n_elements; e++) {
			int group = number[root_block(g, g->element[e].block)];

			if (pass && group < 0)
				unit[e] = -1;
			else if (root_element(g, e) != e)
				unit[e] = pass ? unit[root_element(g, e)] : 0;
			else if (!pass && group >= 0)
				m->groups[group].n++;
			else if (pass)
				unit[e] = m->groups[group].first + next[group]++;
		}
		for (int i = 0; i < m->n_groups && !pass; i++) {
			m->groups[i].first = m->n_units;
			m->n_units += m->groups[i].n;
		}
	}
	return unit;
}

/* Of which kind a unit is: units of one kind stand equally often along every value. */
static void number_kinds(struct grouping *g, uint64_t *sign)
{
	struct pare_model *m = g->m;

	for (int v = 0; v < m->graph.n_vars; v++)
		for (int64_t i = 0; i < m->channels[v].n; i++)
			if (m->channels[v].unit[i] >= 0)
				sign[m->channels[v].unit[i]] +=
					((uint64_t)v + 1) * 0x9e3779b97f4a7c15u;
	for (int i = 0; i < m->n_groups; i++) {
		int from = m->groups[i].first, kinds = 0;

		for (int u = from; u < from + m->groups[i].n; u++) {
			int same = from;

			while (sign[same] != sign[u])
				same++;
			m->kind[u] = same < u ? m->kind[same] : kinds++;
		}
		m->groups[i].n_kinds = kinds;
	}
}

static void publish(struct grouping *g)
{
	struct pare_model *m = g->m;
	int *number = new_row(g, g->n_blocks + 1), *unit;
	uint64_t *sign;
	const int *last = NULL;
	int *own = NULL;

	if (g->nomem)
		return;
	number_groups(g, number);
	unit = number_units(g, number);
	m->channels = pare_alloc_n(m->arena, (size_t)m->graph.n_vars + 2 * (size_t)m->info.n_layers,
		sizeof *m->channels); /* edits add values, without channels */
	m->kind = pare_alloc_n(m->arena, (size_t)m->n_units, sizeof *m->kind);
	sign = pare_alloc_n(g->a, (size_t)m->n_units, sizeof *sign);
	g->nomem |= !m->channels || !m->kind || !sign;
	for (int v = 0; v < m->graph.n_vars && !g->nomem; v++) {
		const struct channels *c = &g->of[v];

		if (!c->n)
			continue;
		if (c->id != last || !own) { /* neighbours often share theirs */
			if (!(own = pare_alloc_n(m->arena, (size_t)c->n, sizeof *own))) {
				g->nomem = true;
				return;
			}
			for (int64_t i = 0; i < c->n; i++)
				own[i] = unit[c->id[i]];
			last = c->id;
		}
		m->channels[v] = (struct pare_var_channels){ c->axis, c->n, own };
	}
	if (!g->nomem)
		number_kinds(g, sign);
}

enum pare_status pare_groups_find(struct pare_model *m, struct pare_err *err)
{
	struct grouping g = { .m = m, .a = pare_arena_new() };

	if (!g.a)
		return pare_nomem(err, "channel groups");
	g.of = pare_alloc_n(g.a, (size_t)m->graph.n_vars, sizeof *g.of);
	g.layer_block = pare_alloc_n(g.a, (size_t)m->info.n_layers, sizeof *g.layer_block);
	g.nomem = !g.of || !g.layer_block;
	if (!g.nomem)
		enter(&g);
	for (int i = 0; i < m->graph.n_nodes && !g.nomem; i++)
		visit(&g, i);
	if (!g.nomem)
		leave(&g);
	if (!g.nomem)
		publish(&g);
	free(g.element);
	free(g.block);
	pare_arena_free(g.a);
	return g.nomem ? pare_nomem(err, "channel groups") : PARE_OK;
}
