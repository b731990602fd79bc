/* How channels go through a node: one function for each flow that a row may have. */
#include "../base/err.h"
#include "groups.h"
#include <string.h>

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
			grouping_stick(g, n->in[i], why);
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
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];

	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : grouping_shape(g, n->out[i]);

		if (n->out[i] < 0)
			continue;
		if (!in || !out || !c->n || c->axis >= out->n ||
			in->d[c->axis] != out->d[c->axis] || !cut_sizes(g, n, c->axis))
			block(g, n, "goes into");
		else
			grouping_set(g, n->out[i], c->axis, c->id, c->n, 1);
	}
}

/* Can constants beside channels be cut along?  Those that shapes were computed into cannot. */
static bool
cut_constants(struct grouping *g, const struct pare_node *n, const struct pare_shape *out, int axis)
{
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_shape *s = n->in[i] < 0 ? NULL : grouping_shape(g, n->in[i]);
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
	const struct pare_shape *out = grouping_shape(g, n->out[0]);
	const struct channels *first = NULL;
	int axis = -1;

	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c;
		const struct pare_shape *s;

		if (!is_activation(g, n->in[i]))
			continue;
		c = &g->of[n->in[i]];
		s = grouping_shape(g, n->in[i]);
		if (!out || !s || !c->n) {
			block(g, n, "meets what cannot be cut in");
			return;
		}
		if (s->d[c->axis] == 1 && out->d[c->axis + out->n - s->n] != 1) {
			grouping_stick(
				g, n->in[i], goes_into(g, n, "is broadcast over channels by"));
			continue;
		}
		if (first && (axis != c->axis + out->n - s->n || first->n != c->n)) {
			block(g, n, "meets other channels in");
			return;
		}
		axis = c->axis + out->n - s->n;
		for (int64_t k = 0; first && k < c->n; k++)
			grouping_unite(g, first->id[k], c->id[k]);
		first = first ? first : c;
	}
	if (first && !cut_constants(g, n, out, axis))
		block(g, n, "meets a computed constant in");
	else if (first)
		grouping_set(g, n->out[0], axis, first->id, first->n, 1);
}

static int concat_axis(const struct pare_node *n, int rank)
{
	const int64_t *axis = pare_node_attr(n, "axis", PARE_ATTR_INT);

	return !axis ? -1 : (int)(*axis < 0 ? *axis + rank : *axis);
}

static void concat(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = grouping_shape(g, n->out[0]);
	int axis = out ? concat_axis(n, out->n) : -1;
	int64_t used = 0;
	int *id;

	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = n->in[i] < 0 ? NULL : &g->of[n->in[i]];

		if (axis < 0 || !c || !grouping_shape(g, n->in[i]) ||
			(is_activation(g, n->in[i]) && !c->n)) {
			block(g, n, "meets what cannot be cut in");
			return;
		}
		if (c->n && c->axis != axis) { /* along another axis channels stay what they are */
			tie(g, n);
			return;
		}
	}
	if (out->d[axis] > MOST_FEATURES || !(id = grouping_new_row(g, out->d[axis]))) {
		block(g, n, "has too many channels in");
		return;
	}
	for (int i = 0; i < n->n_in; i++) {
		const struct channels *c = &g->of[n->in[i]];
		int64_t len = grouping_shape(g, n->in[i])->d[axis];

		if (c->n)
			memcpy(id + used, c->id, (size_t)len * sizeof *id);
		else
			grouping_new_elements(g, len, "stands beside a constant", id + used);
		if (g->nomem)
			return;
		used += len;
	}
	grouping_set(g, n->out[0], axis, id, used, 1);
}

/* Each output has its part of the channels, or, along another axis, all of them.  Without sizes the
 * parts are equal and must stay so. */
static void split(struct grouping *g, const struct pare_node *n)
{
	const int64_t *at = pare_node_attr(n, "axis", PARE_ATTR_INT);
	const struct channels *c = is_activation(g, n->in[0]) ? &g->of[n->in[0]] : NULL;
	const struct pare_shape *in = grouping_shape(g, n->in[0]);
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
		grouping_tie_parts(g, c->id, c->n, n->n_out);
	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : grouping_shape(g, n->out[i]);

		if (!out) {
			block(g, n, "goes into");
			return;
		}
		if (axis == c->axis)
			grouping_set(g, n->out[i], axis, c->id + from, out->d[axis], 1);
		else
			grouping_set(g, n->out[i], c->axis, c->id, c->n, 1);
		from += axis == c->axis ? out->d[axis] : 0;
	}
}

static void move(struct grouping *g, const struct pare_node *n)
{
	const struct pare_ints *perm = pare_node_attr(n, "perm", PARE_ATTR_INTS);
	int var = only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];

	if (!in || !c->n || !perm) {
		block(g, n, "goes into");
		return;
	}
	for (int k = 0; k < in->n; k++)
		if ((perm->n ? perm->v[k] : in->n - 1 - k) == c->axis)
			grouping_set(g, n->out[0], k, c->id, c->n, 1);
}

/* Flatten, Reshape, Squeeze: channel c becomes a run of features, if the shapes say so: what is
 * before the channel axis stays, what it grows by is what stood directly behind it.  Or the channel
 * axis falls into two, as in a shuffle: then equal parts of it must lose the same. */
static void spread(struct grouping *g, const struct pare_node *n)
{
	int var = only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var),
				*out = grouping_shape(g, n->out[0]);
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
				grouping_set(g, n->out[0], j, c->id, c->n, times);
				return;
			}
		}
		if (j + 1 < out->n && out->d[j] > 1 && out->d[j] * out->d[j + 1] == c->n &&
			cut_sizes(g, n, j + 1)) {
			grouping_tie_parts(g, c->id, c->n, out->d[j]);
			grouping_set(g, n->out[0], j + 1, c->id, out->d[j + 1], 1);
			return;
		}
	}
	block(g, n, "is rearranged by");
}

/* The block of all these channels; -1 when they are of several. */
static int block_of_all(struct grouping *g, const struct channels *c)
{
	int block = grouping_root_block(g, g->element[c->id[0]].block);

	for (int64_t i = 1; i < c->n; i++)
		if (grouping_root_block(g, g->element[c->id[i]].block) != block)
			return -1;
	return block;
}

/* A layer: channels that come in are consumed, new ones go out.  Depthwise hands its own through.
 */
static void produce(struct grouping *g, const struct pare_node *n, int layer)
{
	const struct pare_layer *l = &g->m->layers[layer];
	const struct pare_weight_at *at = &g->m->weight_at[layer];
	const struct pare_shape *in, *out = grouping_shape(g, n->out[0]);
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
	in = var < 0 ? NULL : grouping_shape(g, var);
	if (!in || !out || axis < 1 || axis >= out->n || out->d[axis] != n_out) {
		block(g, n, "goes into");
		stuck = "its shape is not known";
	} else if (at->groups > 1 && at->groups == c->n && n_in == at->groups &&
		   n_out % n_in == 0 && n_out <= MOST_FEATURES) {
		grouping_set(g, n->out[0], axis, c->id, c->n, n_out / n_in);
		g->layer_block[layer] = block_of_all(g, c);
		return;
	} else if (at->groups > 1 && at->out_axis > 0) {
		block(g, n, "is grouped in");
		stuck = "is a grouped convolution";
	} else if (c->n && (c->axis != axis + in->n - out->n || c->n != n_in)) {
		block(g, n, "goes into");
	} else if (at->groups > 1 && c->n) {
		grouping_tie_parts(
			g, c->id, c->n, at->groups); /* all groups stay as wide as the others */
	}
	g->layer_block[layer] = g->n_blocks;
	if (out && axis > 0 && axis < out->n && n_out <= MOST_FEATURES)
		grouping_fresh(g, n->out[0], axis, n_out, stuck);
	else
		grouping_new_block(g, stuck);
	if (at->groups > 1 && !g->nomem && g->of[n->out[0]].n == n_out && n_out % at->groups == 0)
		grouping_tie_parts(g, g->of[n->out[0]].id, n_out, at->groups);
}

/* What a row is asked with; false where something is not known. */
static bool call_of(struct grouping *g, const struct pare_node *n, struct pare_shape_call *c)
{
	const struct pare_known **in = pare_alloc_n(g->a, (size_t)n->n_in, sizeof *in);

	*c = (struct pare_shape_call){
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in
	};
	c->out = pare_alloc_n(g->a, (size_t)n->n_out, sizeof *c->out);
	g->nomem |= !in || !c->out;
	for (int i = 0; i < n->n_in && !g->nomem; i++) {
		if (n->in[i] >= 0 && !grouping_shape(g, n->in[i]))
			return false;
		in[i] = n->in[i] < 0 ? NULL : &g->m->known[n->in[i]];
	}
	for (int i = 0; i < n->n_out && !g->nomem; i++) {
		if (n->out[i] < 0)
			continue;
		if (!grouping_shape(g, n->out[i]))
			return false;
		c->out[i] = g->m->known[n->out[i]];
	}
	return !g->nomem;
}

static enum pare_flow flow_of(struct grouping *g, const struct pare_node *n)
{
	struct pare_shape_call c;

	if (!n->op->flow_at)
		return n->op->flow;
	return call_of(g, n, &c) ? n->op->flow_at(&c) : PARE_FLOW_BLOCK;
}

/* Constants before and behind are elements of their own, which belong to no layer: they go with the
 * channels that they are added to. */
static void pad(struct grouping *g, const struct pare_node *n)
{
	const struct channels *c = is_activation(g, n->in[0]) ? &g->of[n->in[0]] : NULL;
	const struct pare_tensor *list = n->in[1] < 0 ? NULL : g->m->known[n->in[1]].value;
	struct pare_shape_call call;
	int64_t len[2] = { 0, 0 };
	int at[2], *id;

	if (!c || !c->n || !list || list->dtype != PARE_I64 || !call_of(g, n, &call)) {
		block(g, n, "goes into");
		return;
	}
	n->op->pads(&call, c->axis, at);
	for (int i = 0; i < 2; i++)
		len[i] = at[i] < 0 ? 0 : list->i64[at[i]];
	if (!len[0] && !len[1]) {
		grouping_set(g, n->out[0], c->axis, c->id, c->n, 1);
		return;
	}
	if (len[0] < 0 || len[1] < 0 || !g->m->graph.vars[n->in[1]].blob ||
		len[0] + c->n + len[1] > MOST_FEATURES ||
		!(id = grouping_new_row(g, len[0] + c->n + len[1]))) {
		block(g, n, "goes into");
		return;
	}
	grouping_new_elements(g, len[0], NULL, id);
	memcpy(id + len[0], c->id, (size_t)c->n * sizeof *id);
	grouping_new_elements(g, len[1], NULL, id + len[0] + c->n);
	if (!g->nomem)
		grouping_set(g, n->out[0], c->axis, id, len[0] + c->n + len[1], 1);
}

void grouping_visit(struct grouping *g, int node)
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
	case PARE_FLOW_PAD:
		pad(g, n);
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
			grouping_new_block(g, goes_into(g, n, "channels are not followed in"));
}
