#include "model.h"
#include "../base/err.h"
#include <stdlib.h>
#include <string.h>

struct pare_model *pare_model_new(void)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_model *m = a ? pare_alloc(a, sizeof *m) : NULL;

	if (!m) {
		pare_arena_free(a);
		return NULL;
	}
	atomic_init(&m->refs, 1);
	m->arena = a;
	return m;
}

struct pare_model *pare_model_ref(const struct pare_model *m)
{
	struct pare_model *own = (struct pare_model *)m;

	atomic_fetch_add(&own->refs, 1);
	return own;
}

void pare_model_free(struct pare_model *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	for (const struct pare_graph *g = &m->graph; g; g = g->next)
		for (int i = 0; i < g->n_vars; i++)
			pare_blob_free(g->vars[i].blob);
	pare_model_free(m->base);
	pare_arena_free(m->arena);
}

const struct pare_model_info *pare_model_info(const struct pare_model *m)
{
	return &m->info;
}

const struct pare_layer *pare_model_layer(const struct pare_model *m, int i)
{
	return &m->layers[i];
}

const struct pare_node_info *pare_model_node(const struct pare_model *m, int i)
{
	return &m->node_info[i];
}

const struct pare_unsupported *pare_model_unsupported(const struct pare_model *m, int i)
{
	return &m->unsupported[i];
}

const struct pare_hidden *pare_model_hidden(const struct pare_model *m, int i)
{
	return &m->hidden[i];
}

const struct pare_io *pare_model_input(const struct pare_model *m, int i)
{
	return &m->inputs[i];
}

const struct pare_io *pare_model_output(const struct pare_model *m, int i)
{
	return &m->outputs[i];
}

int pare_model_find_layer(const struct pare_model *m, const char *name)
{
	for (int i = 0; i < m->info.n_layers; i++)
		if (!strcmp(m->layers[i].name, name))
			return i;
	return -1;
}

static int weight_var(const struct pare_model *m, int layer)
{
	return m->graph.nodes[m->layers[layer].node].in[m->weight_at[layer].input];
}

const float *pare_model_weights(const struct pare_model *m, int i)
{
	return m->graph.vars[weight_var(m, i)].declared.value->f32;
}

bool pare_model_sample_shapes(const struct pare_model *m, struct pare_shape *inputs)
{
	for (int i = 0; i < m->graph.n_in; i++) {
		struct pare_shape s = m->graph.vars[m->graph.in[i]].declared.shape;

		if (s.n < 0)
			return false;
		for (int d = 0; d < s.n; d++)
			if (s.d[d] < 0 && d > 0)
				return false;
		if (s.n > 0 && s.d[0] < 0)
			s.d[0] = 1;
		inputs[i] = s;
	}
	return true;
}

const void *pare_node_attr(const struct pare_node *n, const char *name, enum pare_attr_type type)
{
	for (const struct pare_attr *t = n->op ? n->op->attrs : NULL; t && t->name; t++)
		if (t->type == type && t->as_input <= 0 && !strcmp(t->name, name))
			return (const char *)n->attr + t->offset;
	return NULL;
}

struct pare_graph *pare_node_graph(const struct pare_node *n, int k)
{
	for (const struct pare_attr *t = n->op ? n->op->attrs : NULL; t && t->name; t++)
		if (t->type == PARE_ATTR_GRAPH && k-- == 0)
			return *(struct pare_graph *const *)((const char *)n->attr + t->offset);
	return NULL;
}

/* ---- edits ----------------------------------------------------------------------------------- */

static bool is_shared(const struct pare_model *m, int var)
{
	const struct pare_graph *g = &m->graph;
	int uses = 0;

	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			uses += g->nodes[i].in[k] == var;
	return uses > 1;
}

/* Input `at` of a node becomes a value of its own, like `var` but for its blob; inputs are
 * copied, for the graph is shared. */
static bool own_input(struct pare_model *m, int node, int at, const struct pare_var *var,
	const struct pare_known *known)
{
	struct pare_graph *g = &m->graph;
	struct pare_node *n = &g->nodes[node];
	int n_in = n->n_in > at ? n->n_in : at + 1;
	int *in = pare_alloc_n(m->arena, (size_t)n_in, sizeof *in);

	if (!in)
		return false;
	for (int i = 0; i < n_in; i++)
		in[i] = i < n->n_in ? n->in[i] : -1;
	g->vars[g->n_vars] = *var;
	g->vars[g->n_vars].name = pare_sprintf(m->arena, "%s.%s", var->name, n->name);
	g->vars[g->n_vars].blob = NULL;
	in[at] = g->n_vars;
	n->in = in;
	n->n_in = n_in;
	m->known[g->n_vars] = *known;
	return g->vars[g->n_vars++].name != NULL;
}

/* Vars and nodes are copied, so that values can get other data; what they point to stays with
 * the base. */
static struct pare_model *edit_of(const struct pare_model *m)
{
	struct pare_model *e = pare_model_new();
	size_t room = (size_t)m->graph.n_vars + 2 * (size_t)m->graph.n_nodes;
	struct pare_var *vars;
	struct pare_known *known;

	if (!e)
		return NULL;
	vars = pare_alloc_n(e->arena, room, sizeof *vars);
	known = pare_alloc_n(e->arena, room, sizeof *known);
	e->graph.nodes = pare_memdup(
		e->arena, m->graph.nodes, (size_t)m->graph.n_nodes * sizeof *e->graph.nodes);
	if (!vars || !known || !e->graph.nodes) {
		pare_model_free(e);
		return NULL;
	}
	for (int i = 0; i < m->graph.n_vars; i++) {
		vars[i] = m->graph.vars[i];
		if (vars[i].blob)
			pare_blob_ref(vars[i].blob);
		known[i] = m->known[i];
	}
	e->graph.name = m->graph.name;
	e->graph.n_nodes = m->graph.n_nodes;
	e->graph.n_vars = m->graph.n_vars;
	e->graph.n_in = m->graph.n_in;
	e->graph.n_out = m->graph.n_out;
	e->graph.in = m->graph.in;
	e->graph.out = m->graph.out;
	e->graph.vars = vars;
	e->known = known;
	e->base = pare_model_ref(m);
	e->ir_version = m->ir_version;
	e->info = m->info;
	e->layers = m->layers;
	e->weight_at = m->weight_at;
	e->node_info = m->node_info;
	e->unsupported = m->unsupported;
	e->hidden = m->hidden;
	e->channels = m->channels;
	e->groups = m->groups;
	e->n_groups = m->n_groups;
	e->residuals = m->residuals;
	e->n_residuals = m->n_residuals;
	e->n_units = m->n_units;
	e->kind = m->kind;
	e->inputs = m->inputs;
	e->outputs = m->outputs;
	return e;
}

enum pare_status
pare_model_set_input(struct pare_model *e, const struct pare_new_input *c, struct pare_err *err)
{
	struct pare_node *n = &e->graph.nodes[c->node];
	int at = c->input;
	struct pare_tensor *t;
	struct pare_var *v;

	if (is_shared(e, n->in[at]) &&
		!own_input(e, c->node, at, &e->graph.vars[n->in[at]], &e->known[n->in[at]]))
		return pare_nomem(err, "a changed model");
	v = &e->graph.vars[n->in[at]];
	v->codes = NULL;
	v->stored = PARE_UNDEFINED;
	if (!(t = pare_memdup(e->arena, v->declared.value, sizeof *t)))
		return pare_nomem(err, "a changed model");
	if (c->blob->len != (size_t)pare_shape_elems(&t->shape) * sizeof(float))
		return pare_fail(err, PARE_E_MISMATCH, "node '%s': %zu bytes for %lld values",
			n->name, c->blob->len, (long long)pare_shape_elems(&t->shape));
	pare_blob_free(v->blob);
	v->blob = pare_blob_ref(c->blob);
	t->data = c->blob->data;
	v->declared.value = t;
	e->known[n->in[at]].value = t;
	return PARE_OK;
}

static enum pare_status
replace_input(struct pare_model *e, int layer, int at, struct pare_blob *b, struct pare_err *err)
{
	return pare_model_set_input(
		e, &(struct pare_new_input){ e->layers[layer].node, at, b }, err);
}

bool pare_model_can_shift(const struct pare_model *m, int i)
{
	const struct pare_weight_at *w = &m->weight_at[i];
	const struct pare_node *n = &m->graph.nodes[m->layers[i].node];
	const struct pare_tensor *t;

	if (w->bias_at <= 0)
		return false;
	if (n->n_in <= w->bias_at || n->in[w->bias_at] < 0)
		return true;
	t = m->graph.vars[n->in[w->bias_at]].declared.value;
	return t && t->dtype == PARE_F32 && t->shape.n &&
	       t->shape.d[t->shape.n - 1] == m->layers[i].weight.d[m->layers[i].out_axis] &&
	       pare_shape_elems(&t->shape) == t->shape.d[t->shape.n - 1];
}

const float *pare_model_bias(const struct pare_model *m, int i)
{
	const struct pare_node *n = &m->graph.nodes[m->layers[i].node];
	int at = m->weight_at[i].bias_at;

	if (!pare_model_can_shift(m, i) || n->n_in <= at || n->in[at] < 0)
		return NULL;
	return m->graph.vars[n->in[at]].declared.value->f32;
}

static enum pare_status
replace_bias(struct pare_model *e, int layer, struct pare_blob *b, struct pare_err *err)
{
	static const char name[] = "bias";
	struct pare_shape shape = { 1, { e->layers[layer].weight.d[e->layers[layer].out_axis] } };
	int at = e->weight_at[layer].bias_at;
	struct pare_tensor *t;

	if (pare_model_bias(e, layer))
		return replace_input(e, layer, at, b, err);
	if (!(t = pare_alloc(e->arena, sizeof *t)))
		return pare_nomem(err, "a changed model");
	*t = (struct pare_tensor){ .dtype = PARE_F32, .lanes = 1, .shape = shape, .data = b->data };
	struct pare_known k = { PARE_F32, shape, t };
	struct pare_var v = { .name = name, .declared = k, .producer = -1 };

	if (!own_input(e, e->layers[layer].node, at, &v, &k))
		return pare_nomem(err, "a changed model");
	return replace_input(e, layer, at, b, err);
}

enum pare_status pare_model_with_weights(const struct pare_model *m, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_model **out, struct pare_err *err)
{
	struct pare_model *e = edit_of(m);
	enum pare_status st = e ? PARE_OK : pare_nomem(err, "a changed model");

	for (int i = 0; i < m->info.n_layers; i++) {
		if (!st && weights[i])
			st = replace_input(e, i, m->weight_at[i].input, weights[i], err);
		if (!st && bias && bias[i])
			st = replace_bias(e, i, bias[i], err);
		pare_blob_free(weights[i]);
		if (bias)
			pare_blob_free(bias[i]);
	}
	if (st)
		pare_model_free(e);
	else
		*out = e;
	return st;
}
