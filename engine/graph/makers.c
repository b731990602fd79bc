/* What layers and attention make of channels. */
#include "../base/err.h"
#include "groups.h"

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
void grouping_produce(struct grouping *g, const struct pare_node *n, int layer)
{
	const struct pare_layer *l = &g->m->layers[layer];
	const struct pare_weight_at *at = &g->m->weight_at[layer];
	const struct pare_shape *in, *out = grouping_shape(g, n->out[0]);
	int var = grouping_only_activation(g, n), axis = 1;
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
		grouping_block(g, n, "goes into");
		stuck = "its shape is not known";
	} else if (at->groups > 1 && at->groups == c->n && n_in == at->groups &&
		   n_out % n_in == 0 && n_out <= MOST_FEATURES) {
		grouping_set(g, n->out[0], axis, c->id, c->n, n_out / n_in);
		g->layer_block[layer] = block_of_all(g, c);
		return;
	} else if (at->groups > 1 && at->out_axis > 0) {
		grouping_block(g, n, "is grouped in");
		stuck = "is a grouped convolution";
	} else if (c->n && (c->axis != axis + in->n - out->n || c->n != n_in)) {
		grouping_block(g, n, "goes into");
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

static bool is_zero(const struct pare_tensor *t)
{
	for (int64_t i = 0; i < pare_shape_elems(&t->shape); i++)
		if (t->dtype != PARE_F32 || t->f32[i] != 0)
			return false;
	return true;
}

/* A state to begin with: its channels are those that the layer makes.  Zeros that were computed are
 * what stands there without it. */
static const char *begin_with(struct grouping *g, const struct pare_node *n, int var, const int *id)
{
	const struct pare_shape *s = grouping_shape(g, var);
	const struct channels *c = &g->of[var];

	if (g->m->graph.vars[var].blob)
		return NULL;
	if (g->m->known[var].value)
		return is_zero(g->m->known[var].value) ? NULL
						       : "begins with states that are computed";
	if (!s || c->n != s->d[s->n - 1] || c->axis != s->n - 1)
		return grouping_goes_into(g, n, "begins with states whose channels stay in");
	for (int64_t i = 0; i < c->n; i++)
		grouping_unite(g, id[i], c->id[i]);
	return NULL;
}

/* Recurrent: each unit is made by rows of the weights and read, a step later, by columns of some.
 * All directions are as wide as the others. */
void grouping_states(struct grouping *g, const struct pare_node *n, int layer)
{
	const struct pare_weight_at *at = &g->m->weight_at[layer];
	const struct pare_shape *in = grouping_shape(g, n->in[0]), *out;
	const struct channels *c = &g->of[n->in[0]];
	const int64_t *units = pare_node_attr(n, n->op->counts, PARE_ATTR_INT);
	const char *stuck = NULL;
	int *id;

	g->layer_block[layer] = g->n_blocks;
	if (layer + 1 < g->m->info.n_layers && !pare_layer_leads(g->m, layer + 1))
		g->layer_block[layer + 1] = g->n_blocks;
	for (const struct pare_beside *b = n->op->beside; b->input; b++)
		if (b->input < n->n_in && n->in[b->input] >= 0 &&
			!(n->op->states >> b->input & 1) && !g->m->graph.vars[n->in[b->input]].blob)
			stuck = "has weights that are computed";
	if (!in || !units || *units < 1 || *units > MOST_FEATURES)
		stuck = "its shape is not known";
	if (c->n && (c->axis != in->n - 1 || c->n != g->m->layers[layer].weight.d[at->in_axis]))
		grouping_stick(g, n->in[0], grouping_goes_into(g, n, "goes into"));
	if (stuck || !(id = grouping_new_row(g, *units))) {
		grouping_new_block(g, stuck);
		return;
	}
	grouping_new_elements(g, *units, NULL, id);
	for (int i = 1; i < n->n_in && !g->nomem; i++)
		if (n->op->states >> i & 1 && n->in[i] >= 0 && !stuck)
			stuck = begin_with(g, n, n->in[i], id);
	for (int i = 0; i < n->n_out && !g->nomem; i++) {
		out = n->out[i] < 0 ? NULL : grouping_shape(g, n->out[i]);
		if (out)
			grouping_set(g, n->out[i], out->n - 1, id, *units, 1);
		else if (n->out[i] >= 0)
			stuck = "its shape is not known";
	}
	for (int i = 0; i < n->n_out && stuck && !g->nomem; i++)
		if (n->out[i] >= 0)
			grouping_stick(g, n->out[i], stuck);
	for (int i = 1; i < n->n_in && stuck && !g->nomem; i++)
		if (n->op->states >> i & 1 && n->in[i] >= 0)
			grouping_stick(g, n->in[i], stuck);
}

/* How many heads an input has, and how wide each is. */
static int64_t heads_in(const struct grouping *g, const struct pare_node *n, int i, int64_t *width)
{
	const struct pare_shape *s = grouping_shape(g, n->in[i]);
	const struct channels *c = &g->of[n->in[i]];
	const int64_t *said = pare_node_attr(n, n->op->heads[i > 0], PARE_ATTR_INT);
	int64_t heads = !s ? 0 : s->n == 4 ? s->d[1] : said ? *said : 0;

	if (!s || !c->n || c->axis != (s->n == 4 ? 1 : s->n - 1) || heads < 1 || c->n % heads)
		return 0;
	*width = c->n / heads;
	return heads;
}

/* A head of keys goes with its values and with all queries that share it. */
void grouping_heads(struct grouping *g, const struct pare_node *n)
{
	const struct pare_shape *out = grouping_shape(g, n->out[0]);
	int64_t width[3], heads[3], wide;
	int axis = out && out->n == 4 ? 1 : 2, *id;

	for (int i = 0; i < 3; i++)
		if (!out || n->in[i] < 0 || !(heads[i] = heads_in(g, n, i, &width[i]))) {
			grouping_block(g, n, "goes into");
			return;
		}
	if (heads[1] != heads[2] || heads[0] % heads[1] || out->d[axis] % heads[0] ||
		out->d[axis] > MOST_FEATURES || !(id = grouping_new_row(g, out->d[axis]))) {
		grouping_block(g, n, "goes into");
		return;
	}
	for (int i = 0; i < 3; i++)
		for (int64_t k = 0; k < heads[i] * width[i]; k++)
			grouping_unite(g,
				g->of[n->in[1]].id[k / width[i] / (heads[i] / heads[1]) * width[1]],
				g->of[n->in[i]].id[k]);
	wide = out->d[axis] / heads[0];
	for (int64_t k = 0; k < out->d[axis]; k++)
		id[k] = g->of[n->in[1]].id[k / wide / (heads[0] / heads[1]) * width[1]];
	grouping_set(g, n->out[0], axis, id, out->d[axis], 1);
}
