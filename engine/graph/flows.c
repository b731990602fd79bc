/* How channels go through a node: one function for each flow that a row may have. */
#include "groups.h"
#include <string.h>

/* The activation whose channels a node hands on; -1: none, or others that are computed lie along
 * them.  What else is computed (indices) keeps its own. */
static int passes_on(struct grouping *g, const struct pare_node *n)
{
	for (int i = 1; i < n->n_in; i++) {
		if (!grouping_is_activation(g, n->in[i]))
			continue;
		if (n->op->per_channel >> i & 1)
			return -1;
		grouping_stick(g, n->in[i], grouping_goes_into(g, n, "goes into"));
	}
	return n->n_in > 0 && grouping_is_activation(g, n->in[0]) ? n->in[0] : -1;
}

static void pass(struct grouping *g, const struct pare_node *n)
{
	int var = passes_on(g, n);
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];
	struct pare_shape_call call;
	int axis = -1;

	if (in && c->n && grouping_call(g, n, &call))
		axis = n->op->carry ? n->op->carry(&call, c->axis) : c->axis;
	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : grouping_shape(g, n->out[i]);

		if (n->out[i] < 0)
			continue;
		if (!out || axis < 0 || axis >= out->n || in->d[c->axis] != out->d[axis] ||
			!grouping_cut_sizes(g, n, axis))
			grouping_block(g, n, "goes into");
		else if (i)
			grouping_set(g, n->out[i], axis, c->id, c->n, 1);
		else
			grouping_set_sized(g, n, axis, c->id, c->n);
	}
}

/* Can constants beside channels be cut along?  Those that shapes were computed into cannot. */
static bool
cut_constants(struct grouping *g, const struct pare_node *n, const struct pare_shape *out, int axis)
{
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_shape *s = n->in[i] < 0 ? NULL : grouping_shape(g, n->in[i]);
		int at = s ? axis - (out->n - s->n) : -1;

		if (!s || grouping_is_activation(g, n->in[i]) || at < 0 || s->d[at] == 1)
			continue;
		if (!g->m->graph.vars[n->in[i]].blob)
			return false;
	}
	return true;
}

/* The axis of the output along which the channels of input i lie; -1: nothing is known of them, or
 * they are one that is broadcast over others. */
static int tied_axis(const struct grouping *g, int var, const struct pare_shape *out)
{
	const struct pare_shape *s = grouping_shape(g, var);
	int axis;

	if (!s || !g->of[var].n)
		return -1;
	axis = g->of[var].axis + out->n - s->n;
	return axis >= 0 && s->d[g->of[var].axis] == out->d[axis] ? axis : -1;
}

/* An activation beside channels along `axis`: theirs go with it, or it has but one there. */
static bool tie_one(struct grouping *g, const struct pare_node *n, int var,
	const struct pare_shape *out, int axis, const struct channels *first)
{
	const struct pare_shape *s = grouping_shape(g, var);
	const struct channels *c = &g->of[var];
	int at = s ? axis - (out->n - s->n) : -1;

	if (!s || tied_axis(g, var, out) == axis) {
		for (int64_t k = 0; s && k < c->n; k++)
			grouping_unite(g, first->id[k], c->id[k]);
		return s != NULL;
	}
	if (at >= 0 && s->d[at] != 1)
		return false;
	grouping_stick(g, var, grouping_goes_into(g, n, "is broadcast over channels by"));
	return true;
}

/* Elementwise of several.  Constants beside them are cut along; an activation with one channel
 * that is broadcast over the others' keeps its one. */
static void tie(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = grouping_shape(g, n->out[0]);
	const struct channels *first = NULL;
	int axis = -1;

	for (int i = 0; i < n->n_in && out && axis < 0; i++)
		if (grouping_is_activation(g, n->in[i])) {
			first = &g->of[n->in[i]];
			axis = tied_axis(g, n->in[i], out);
		}
	if (axis < 0) {
		grouping_block(g, n, "meets what cannot be cut in");
		return;
	}
	for (int i = 0; i < n->n_in; i++)
		if (grouping_is_activation(g, n->in[i]) &&
			!tie_one(g, n, n->in[i], out, axis, first)) {
			grouping_block(g, n, "meets other channels in");
			return;
		}
	if (!cut_constants(g, n, out, axis))
		grouping_block(g, n, "meets a computed constant in");
	else
		grouping_set(g, n->out[0], axis, first->id, first->n, 1);
}

/* Products matrix by matrix. */
static void stack(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = grouping_shape(g, n->out[0]);

	for (int i = 0; i < n->n_in; i++)
		if (grouping_is_activation(g, n->in[i]) && out && out->n > 2 &&
			tied_axis(g, n->in[i], out) >= 0 &&
			tied_axis(g, n->in[i], out) < out->n - 2) {
			tie(g, n);
			return;
		}
	grouping_block(g, n, "goes into");
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
			(grouping_is_activation(g, n->in[i]) && !c->n)) {
			grouping_block(g, n, "meets what cannot be cut in");
			return;
		}
		if (c->n && c->axis != axis) { /* along another axis channels stay what they are */
			tie(g, n);
			return;
		}
	}
	if (out->d[axis] > MOST_FEATURES || !(id = grouping_new_row(g, out->d[axis]))) {
		grouping_block(g, n, "has too many channels in");
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
	const struct channels *c = grouping_is_activation(g, n->in[0]) ? &g->of[n->in[0]] : NULL;
	const struct pare_shape *in = grouping_shape(g, n->in[0]);
	bool sizes = n->n_in > 1 && n->in[1] >= 0;
	int64_t from = 0;
	int axis;

	if (!c || !c->n || !in || !at) {
		grouping_block(g, n, "goes into");
		return;
	}
	axis = (int)(*at < 0 ? *at + in->n : *at);
	if (axis == c->axis && (sizes ? !g->m->graph.vars[n->in[1]].blob : c->n % n->n_out != 0)) {
		grouping_block(g, n, "goes into");
		return;
	}
	if (axis == c->axis && !sizes)
		grouping_tie_parts(g, c->id, c->n, n->n_out);
	for (int i = 0; i < n->n_out; i++) {
		const struct pare_shape *out = n->out[i] < 0 ? NULL : grouping_shape(g, n->out[i]);

		if (!out) {
			grouping_block(g, n, "goes into");
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
	int var = grouping_only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var);
	const struct channels *c = var < 0 ? NULL : &g->of[var];

	if (!in || !c->n || !perm) {
		grouping_block(g, n, "goes into");
		return;
	}
	for (int k = 0; k < in->n; k++)
		if ((perm->n ? perm->v[k] : in->n - 1 - k) == c->axis)
			grouping_set(g, n->out[0], k, c->id, c->n, 1);
}

/* Constants before and behind are elements of their own, which belong to no layer: they go with the
 * channels that they are added to. */
static void pad(struct grouping *g, const struct pare_node *n)
{
	const struct channels *c = grouping_is_activation(g, n->in[0]) ? &g->of[n->in[0]] : NULL;
	const struct pare_tensor *list = n->in[1] < 0 ? NULL : g->m->known[n->in[1]].value;
	struct pare_shape_call call;
	int64_t len[2] = { 0, 0 };
	int at[2], *id;

	if (!c || !c->n || !list || list->dtype != PARE_I64 || !grouping_call(g, n, &call)) {
		grouping_block(g, n, "goes into");
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
		grouping_block(g, n, "goes into");
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
		grouping_block(g, n, "goes into");
		return;
	}
	switch (grouping_flow(g, n)) {
	case PARE_FLOW_PASS:
		pass(g, n);
		return;
	case PARE_FLOW_TIE:
		tie(g, n);
		return;
	case PARE_FLOW_CAT:
		concat(g, n);
		return;
	case PARE_FLOW_STACK:
		stack(g, n);
		return;
	case PARE_FLOW_SPREAD:
		grouping_spread(g, n);
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
	case PARE_FLOW_HEADS:
		grouping_heads(g, n);
		return;
	case PARE_FLOW_PRODUCE:
	case PARE_FLOW_STATES:
		if (layer < 0)
			break;
		if (n->op->flow == PARE_FLOW_STATES)
			grouping_states(g, n, layer);
		else
			grouping_produce(g, n, layer);
		return;
	case PARE_FLOW_BLOCK:
		break;
	}
	grouping_block(g, n, "goes into");
	if (layer >= 0)
		g->layer_block[layer] = grouping_new_block(
			g, grouping_goes_into(g, n, "channels are not followed in"));
}
