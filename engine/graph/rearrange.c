/* Channels through new axes: Reshape, Flatten, Squeeze, Unsqueeze. */
#include "groups.h"

/* Axes of two shapes of the same elements: runs of them whose lengths have one product.  The run
 * that holds the channels' axis, axes of length 1 left out. */
struct run {
	int in[PARE_MAX_DIMS], out[PARE_MAX_DIMS], n_in, n_out;
};

static int longer_axis(const struct pare_shape *s, int from)
{
	while (from < s->n && s->d[from] == 1)
		from++;
	return from;
}

static bool
find_run(const struct pare_shape *in, const struct pare_shape *out, int axis, struct run *r)
{
	int i = longer_axis(in, 0), j = longer_axis(out, 0);

	while (i < in->n && j < out->n) {
		int64_t x = in->d[i], y = out->d[j];
		bool holds = i == axis;

		*r = (struct run){ .in = { i }, .out = { j }, .n_in = 1, .n_out = 1 };
		while (x != y) {
			if (x < y && (i = longer_axis(in, i + 1)) < in->n) {
				holds |= i == axis;
				r->in[r->n_in++] = i;
				x *= in->d[i];
			} else if (x > y && (j = longer_axis(out, j + 1)) < out->n) {
				r->out[r->n_out++] = j;
				y *= out->d[j];
			} else
				return false;
		}
		if (holds)
			return true;
		i = longer_axis(in, i + 1);
		j = longer_axis(out, j + 1);
	}
	return false;
}

/* What stands before and behind axis k of a run. */
static void
around(const struct pare_shape *s, const int *axis, int n, int k, int64_t *before, int64_t *behind)
{
	*before = *behind = 1;
	for (int i = 0; i < n; i++)
		if (axis[i] < k)
			*before *= s->d[axis[i]];
		else if (axis[i] > k)
			*behind *= s->d[axis[i]];
}

/* Where what lies along `axis` of input `var` lies in the output of a node that moves or leaves it;
 * -1: nowhere. */
static int moved_axis(struct grouping *g, const struct pare_node *n, int var, int axis)
{
	const struct pare_shape *in = grouping_shape(g, var), *out = grouping_shape(g, n->out[0]);
	const struct pare_ints *perm;
	struct pare_shape_call call;
	struct run r;

	if (!in || !out)
		return -1;
	switch (grouping_flow(g, n)) {
	case PARE_FLOW_PASS:
		if (!n->op->carry)
			return axis;
		return var == n->in[0] && grouping_call(g, n, &call) ? n->op->carry(&call, axis)
								     : -1;
	case PARE_FLOW_MOVE:
		perm = pare_node_attr(n, "perm", PARE_ATTR_INTS);
		for (int k = 0; perm && k < in->n; k++)
			if ((perm->n ? perm->v[k] : in->n - 1 - k) == axis)
				return k;
		return -1;
	case PARE_FLOW_SPREAD:
		return find_run(in, out, axis, &r) && r.n_in == 1 && r.n_out == 1 ? r.out[0] : -1;
	case PARE_FLOW_TIE:
	case PARE_FLOW_STACK:
	case PARE_FLOW_HEADS:
		return axis + out->n - in->n;
	default:
		return -1;
	}
}

/* Does an axis come to number the matrices of a product of stacks, past what moves it and leaves
 * it?  Then it is that of heads. */
static bool is_stacked(struct grouping *g, int var, int axis, int *looks)
{
	const struct pare_graph *graph = &g->m->graph;

	if (--*looks < 0)
		return false;
	for (int i = 0; i < graph->n_nodes; i++) {
		const struct pare_node *n = &graph->nodes[i];
		enum pare_flow flow;
		bool reads = false;
		int to;

		for (int k = 0; k < n->n_in; k++)
			reads |= n->in[k] == var;
		if (!reads || !n->op || n->n_out < 1 || n->out[0] < 0 ||
			(to = moved_axis(g, n, var, axis)) < 0)
			continue;
		flow = grouping_flow(g, n);
		if (flow == PARE_FLOW_STACK || flow == PARE_FLOW_HEADS
				? to < grouping_shape(g, n->out[0])->n - 2
				: is_stacked(g, n->out[0], to, looks))
			return true;
	}
	return false;
}

/* Channels and what stood around them become one axis: each is a run of features, over and over. */
static bool
grow(struct grouping *g, const struct pare_node *n, const struct run *r, const struct channels *c)
{
	const struct pare_shape *in = grouping_shape(g, n->in[0]),
				*out = grouping_shape(g, n->out[0]);
	int64_t before, behind, ahead, rest, times;

	around(in, r->in, r->n_in, c->axis, &before, &behind);
	for (int i = 0; i < r->n_out; i++) {
		int axis = r->out[i];
		int *id;

		around(out, r->out, r->n_out, axis, &ahead, &rest);
		if (before % ahead || behind % rest || out->d[axis] > MOST_FEATURES ||
			!grouping_cut_sizes(g, n, axis))
			continue;
		times = behind / rest;
		if (!(id = grouping_new_row(g, out->d[axis])))
			return true;
		for (int64_t k = 0; k < out->d[axis]; k++)
			id[k] = c->id[k / times % c->n];
		grouping_set_sized(g, n, axis, id, out->d[axis]);
		return true;
	}
	return false;
}

/* Channels are told apart by one of the axes that theirs falls into; those alike there lose the
 * same.  False: it stands for none of them, or cannot be cut. */
static bool tell_apart(struct grouping *g, const struct pare_node *n, const struct run *r,
	const struct channels *c, int axis)
{
	const struct pare_shape *in = grouping_shape(g, n->in[0]),
				*out = grouping_shape(g, n->out[0]);
	int64_t before, behind, ahead, rest, times;
	int *id;

	around(in, r->in, r->n_in, c->axis, &before, &behind);
	around(out, r->out, r->n_out, axis, &ahead, &rest);
	if (ahead % before || rest % behind || !grouping_cut_sizes(g, n, axis))
		return false;
	times = rest / behind;
	if (!(id = grouping_new_row(g, out->d[axis])))
		return true;
	for (int64_t k = 0; k < out->d[axis]; k++)
		id[k] = c->id[k * times];
	for (int64_t k = 0; k < c->n; k++)
		grouping_unite(g, id[k / times % out->d[axis]], c->id[k]);
	grouping_set_sized(g, n, axis, id, out->d[axis]);
	return true;
}

/* The channels' axis falls into several: whole heads go, or else the same of each part, as in a
 * shuffle. */
static bool
fall(struct grouping *g, const struct pare_node *n, const struct run *r, const struct channels *c)
{
	for (int i = 0; i < r->n_out; i++) {
		int looks = 64;

		if (is_stacked(g, n->out[0], r->out[i], &looks) &&
			tell_apart(g, n, r, c, r->out[i]))
			return true;
	}
	for (int i = r->n_out; i-- > 0;)
		if (tell_apart(g, n, r, c, r->out[i]))
			return true;
	return false;
}

void grouping_spread(struct grouping *g, const struct pare_node *n)
{
	int var = grouping_only_activation(g, n);
	const struct pare_shape *in = var < 0 ? NULL : grouping_shape(g, var),
				*out = grouping_shape(g, n->out[0]);
	const struct channels *c = var < 0 ? NULL : &g->of[var];
	struct run r;

	if (!in || !out || !c->n) {
		grouping_block(g, n, "goes into");
		return;
	}
	if (c->n == 1 || var != n->in[0] || !find_run(in, out, c->axis, &r) ||
		(!grow(g, n, &r, c) && !fall(g, n, &r, c)))
		grouping_block(g, n, "is rearranged by");
}
