/* What the outside sees of a model: layers, nodes, totals. */
#include "../base/err.h"
#include "model.h"
#include "residual.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct pare_known *known_of(const struct pare_model *m, int var)
{
	return var < 0 || m->known[var].dtype == PARE_UNDEFINED ? NULL : &m->known[var];
}

static bool is_constant(const struct pare_model *m, int var)
{
	return m->graph.vars[var].blob != NULL;
}

/* `at` where it is a float32 constant that fits. */
static struct pare_weight_at
fitting(const struct pare_graph *g, const struct pare_node *n, struct pare_weight_at at)
{
	const struct pare_known *w;

	if (at.input < 0 || at.input >= n->n_in || n->in[at.input] < 0)
		return (struct pare_weight_at){ .input = -1, .bias = -1 };
	w = &g->vars[n->in[at.input]].declared;
	if (!w->value || w->dtype != PARE_F32 || at.out_axis >= w->shape.n ||
		at.in_axis >= w->shape.n || pare_shape_elems(&w->shape) < 1)
		at.input = -1;
	if (at.bias >= n->n_in || (at.bias >= 0 && n->in[at.bias] < 0))
		at.bias = -1;
	return at;
}

static const struct pare_weight_at no_weight = { .input = -1, .bias = -1 };

struct pare_weight_at pare_graph_weight(const struct pare_graph *g, const struct pare_node *n)
{
	return n->op && n->op->weight ? fitting(g, n, n->op->weight(n, n->attr)) : no_weight;
}

struct pare_weight_at pare_graph_second(const struct pare_graph *g, const struct pare_node *n)
{
	return n->op && n->op->second && pare_graph_weight(g, n).input >= 0
		       ? fitting(g, n, n->op->second(n, n->attr))
		       : no_weight;
}

static enum pare_status
check_finite(const struct pare_model *m, const struct pare_node *n, int var, struct pare_err *err)
{
	const struct pare_var *v = &m->graph.vars[var];
	int64_t elems = pare_shape_elems(&v->declared.shape);
	float sum = 0;

	if (!v->declared.value || v->declared.dtype != PARE_F32 || !v->declared.value->data)
		return PARE_OK;
	for (int64_t i = 0; i < elems; i++) /* x * 0 is 0 or NaN: one pass without branches */
		sum += v->declared.value->f32[i] * 0.f;
	if (sum == 0)
		return PARE_OK;
	for (int64_t i = 0; i < elems; i++)
		if (!isfinite(v->declared.value->f32[i]))
			return pare_fail(err, PARE_E_FORMAT,
				"node '%s' (%s): element %lld of its weights '%s' is %s; pare "
				"works "
				"with finite numbers",
				n->name, n->op_type, (long long)i, v->name,
				isnan(v->declared.value->f32[i]) ? "NaN" : "infinite");
	return PARE_OK;
}

static int64_t node_macs(const struct pare_model *m, const struct pare_node *n)
{
	const struct pare_known **in = calloc((size_t)n->n_in + 1, sizeof *in);
	struct pare_known *out = calloc((size_t)n->n_out + 1, sizeof *out);
	struct pare_shape_call c = {
		.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .in = in, .out = out
	};
	bool known = in && out && n->op && known_of(m, n->out[0]);
	int64_t macs;

	for (int i = 0; i < n->n_in && known; i++)
		in[i] = known_of(m, n->in[i]);
	for (int i = 0; i < n->n_out && known; i++)
		if (n->out[i] >= 0)
			out[i] = m->known[n->out[i]];
	macs = !known ? -1 : n->op->macs ? n->op->macs(&c) : 0;
	free(in);
	free(out);
	return macs;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int largest(const int64_t *v, int n)
{
	int64_t most = 1;

	for (int i = 0; i < n; i++)
		most = v[i] > most ? v[i] : most;
	return most > INT32_MAX ? INT32_MAX : (int)most;
}

static int largest_of(const struct pare_node *n, const char *attr)
{
	const struct pare_ints *v = pare_node_attr(n, attr, PARE_ATTR_INTS);

	return v ? largest(v->v, v->n) : 1;
}

static int64_t channels(const struct pare_known *k)
{
	return k && k->shape.n > 1 ? k->shape.d[1] : 0;
}

static void describe_node(const struct pare_model *m, int node, struct pare_node_info *x)
{
	const struct pare_node *n = &m->graph.nodes[node];
	struct pare_weight_at at = pare_graph_weight(&m->graph, n);
	const struct pare_shape *w =
		at.input < 0 ? NULL : &m->graph.vars[n->in[at.input]].declared.shape;
	bool first = true;

	x->name = n->name;
	x->op = n->op_type;
	x->layer = -1;
	x->macs = node_macs(m, n);
	x->macs = x->macs < 0 ? 0 : x->macs;
	x->kernel = largest_of(n, "kernel_shape");
	if (w && w->n > 2) /* a convolution need not say its kernel's size */
		x->kernel = largest(w->d + 2, w->n - 2);
	x->stride = largest_of(n, "strides");
	x->groups = at.input >= 0 ? at.groups : 1;
	for (int i = 0; i < n->n_in; i++) {
		const struct pare_known *k = known_of(m, n->in[i]);

		if (!k || is_constant(m, n->in[i]))
			continue;
		x->in_elems += pare_shape_elems(&k->shape);
		if (first)
			x->in_channels = channels(k);
		first = false;
	}
	for (int i = 0; i < n->n_out; i++) {
		const struct pare_known *k = known_of(m, n->out[i]);

		x->out_elems += k ? pare_shape_elems(&k->shape) : 0;
	}
	x->out_channels = n->n_out ? channels(known_of(m, n->out[0])) : 0;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The first input that is no constant. */
static int activation_of(const struct pare_model *m, const struct pare_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !is_constant(m, n->in[i]))
			return n->in[i];
	return -1;
}

/* Bits of the integers that an activation is made from by the node before; 32: it is float. */
static int activation_bits(const struct pare_model *m, int var)
{
	int from = var < 0 ? -1 : m->graph.vars[var].producer;
	const struct pare_node *n = from < 0 ? NULL : &m->graph.nodes[from];

	for (int i = 0; n && i < n->n_in; i++) {
		enum pare_dtype t = n->in[i] < 0 ? PARE_UNDEFINED : m->known[n->in[i]].dtype;
		size_t bits = pare_dtype_bits(t);

		if (bits && bits <= 16 && t != PARE_BOOL)
			return (int)bits;
	}
	return 32;
}

/* Bits that tell 0 … most apart. */
static int bits_for(int most)
{
	int bits = 1;

	while (most >> bits)
		bits++;
	return bits;
}

static int weight_bits(const struct pare_var *v)
{
	return v->stored  ? (int)pare_dtype_bits(v->stored)
	       : v->codes ? bits_for(v->codes->hi - v->codes->lo)
			  : 32;
}

/* Of a node's multiply-accumulates, those by this weight. */
static int64_t share_of_macs(
	const struct pare_model *m, int node, struct pare_weight_at at, struct pare_weight_at other)
{
	const struct pare_node *n = &m->graph.nodes[node];
	int64_t macs = m->node_info[node].macs, own, all;

	if (other.input < 0)
		return macs;
	own = pare_shape_elems(&m->graph.vars[n->in[at.input]].declared.shape);
	all = own + pare_shape_elems(&m->graph.vars[n->in[other.input]].declared.shape);
	return (int64_t)((double)macs * (double)own / (double)all + .5);
}

/* NODE.second_name; with more of it where a node is called so. */
static const char *second_name(const struct pare_model *m, const struct pare_node *n)
{
	const char *name = pare_sprintf(m->arena, "%s.%s", n->name, n->op->second_name);

	for (int i = 0; name && i < m->graph.n_nodes; i++)
		if (!strcmp(m->graph.nodes[i].name, name)) {
			name = pare_sprintf(m->arena, "%s.%s", name, n->op->second_name);
			i = -1;
		}
	return name;
}

static enum pare_status describe_layer(struct pare_model *m, int node, int layer,
	struct pare_weight_at at, struct pare_weight_at other, struct pare_err *err)
{
	const struct pare_node *n = &m->graph.nodes[node];
	struct pare_layer *l = &m->layers[layer];
	bool leads;
	const struct pare_known *in = known_of(m, activation_of(m, n)), *out;
	enum pare_status st;

	l->node = node;
	leads = pare_layer_leads(m, layer);
	l->name = leads ? n->name : second_name(m, n);
	if (!l->name)
		return pare_nomem(err, "layers");
	l->op = n->op_type;
	l->group = -1;
	l->alone = at.alone;
	l->weight = m->graph.vars[n->in[at.input]].declared.shape;
	l->stored_weight_bits = weight_bits(&m->graph.vars[n->in[at.input]]);
	l->stored_act_bits = at.alone ? 32
			     : n->act ? bits_for(n->act->hi - n->act->lo)
				      : activation_bits(m, activation_of(m, n));
	l->out_axis = at.out_axis;
	l->in_axis = at.in_axis;
	l->weights = l->params = pare_shape_elems(&l->weight);
	if ((st = check_finite(m, n, n->in[at.input], err)))
		return st;
	if (at.bias >= 0) {
		l->params += pare_shape_elems(&m->graph.vars[n->in[at.bias]].declared.shape);
		if ((st = check_finite(m, n, n->in[at.bias], err)))
			return st;
	}
	out = known_of(m, n->out[0]);
	if (in)
		l->input = in->shape;
	if (out)
		l->output = out->shape;
	l->macs = share_of_macs(m, node, at, other);
	if (leads)
		m->node_info[node].layer = layer;
	m->node_info[node].params += l->params;
	m->weight_at[layer] = at;
	if (n->act && leads)
		m->acts[layer] = *n->act;
	return PARE_OK;
}

static enum pare_status index_layers(struct pare_model *m, struct pare_err *err)
{
	int n = 0, n_acts = 0;

	for (int i = 0; i < m->graph.n_nodes; i++)
		n_acts += m->graph.nodes[i].act != NULL;
	for (int i = 0; i < m->graph.n_nodes; i++)
		m->info.n_layers += (pare_graph_weight(&m->graph, &m->graph.nodes[i]).input >= 0) +
				    (pare_graph_second(&m->graph, &m->graph.nodes[i]).input >= 0);
	m->layers = pare_alloc_n(m->arena, (size_t)m->info.n_layers, sizeof *m->layers);
	m->weight_at = pare_alloc_n(m->arena, (size_t)m->info.n_layers, sizeof *m->weight_at);
	if (n_acts)
		m->acts = pare_alloc_n(m->arena, (size_t)m->info.n_layers, sizeof *m->acts);
	if (!m->layers || !m->weight_at || (n_acts && !m->acts))
		return pare_nomem(err, "layers");
	for (int i = 0; i < m->graph.n_nodes; i++) {
		struct pare_weight_at first = pare_graph_weight(&m->graph, &m->graph.nodes[i]),
				      second = pare_graph_second(&m->graph, &m->graph.nodes[i]);
		enum pare_status st = PARE_OK;

		if (first.input >= 0)
			st = describe_layer(m, i, n++, first, second, err);
		if (!st && second.input >= 0)
			st = describe_layer(m, i, n++, second, first, err);
		if (st)
			return st;
	}
	return PARE_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* As declared; where nothing is declared, as inferred, with a batch axis as free as the inputs'. */
static struct pare_io describe_output(const struct pare_model *m, int var)
{
	const struct pare_var *v = &m->graph.vars[var];
	const struct pare_known *k = known_of(m, var);
	struct pare_io io = { v->name, v->declared.dtype, v->declared.shape };

	if (!k)
		return io;
	if (io.dtype == PARE_UNDEFINED)
		io.dtype = k->dtype;
	if (io.shape.n >= 0)
		return io;
	io.shape = k->shape;
	for (int i = 0; i < m->graph.n_in && io.shape.n > 0; i++) {
		const struct pare_shape *in = &m->inputs[i].shape;

		if (in->n > 0 && in->d[0] < 0)
			io.shape.d[0] = -1;
	}
	return io;
}

static enum pare_status index_io(struct pare_model *m, struct pare_err *err)
{
	const struct pare_graph *g = &m->graph;

	m->info.n_inputs = g->n_in;
	m->info.n_outputs = g->n_out;
	m->inputs = pare_alloc_n(m->arena, (size_t)g->n_in, sizeof *m->inputs);
	m->outputs = pare_alloc_n(m->arena, (size_t)g->n_out, sizeof *m->outputs);
	if (!m->inputs || !m->outputs)
		return pare_nomem(err, "inputs");
	for (int i = 0; i < g->n_in; i++) {
		const struct pare_var *v = &g->vars[g->in[i]];

		m->inputs[i] = (struct pare_io){ v->name, v->declared.dtype, v->declared.shape };
	}
	for (int i = 0; i < g->n_out; i++)
		m->outputs[i] = describe_output(m, g->out[i]);
	return PARE_OK;
}

/* How many nodes cannot run, in graphs inside nodes too; `list` may be NULL. */
static int list_unsupported(const struct pare_graph *g, struct pare_unsupported *list)
{
	const struct pare_graph *inside;
	int n = 0;

	for (int i = 0; i < g->n_nodes; i++) {
		const struct pare_node *x = &g->nodes[i];

		if (!x->op || (!x->op->forward && !x->op->control)) {
			if (list)
				list[n] = (struct pare_unsupported){ x->name, x->op_type,
					x->op ? "pare cannot run this operator" : x->why };
			n++;
		}
		for (int k = 0; (inside = pare_node_graph(x, k)); k++)
			n += list_unsupported(inside, list ? list + n : NULL);
	}
	return n;
}

static enum pare_status index_unsupported(struct pare_model *m, struct pare_err *err)
{
	const struct pare_graph *g = &m->graph;
	int n = list_unsupported(g, NULL);

	m->info.n_unsupported = n;
	if (!(m->unsupported = pare_alloc_n(m->arena, (size_t)n, sizeof *m->unsupported)))
		return pare_nomem(err, "nodes");
	list_unsupported(g, m->unsupported);
	return PARE_OK;
}

/* Layers in the graphs inside a node, at any depth; `list` may be NULL. */
static int
list_hidden(const struct pare_node *outer, const struct pare_node *x, struct pare_hidden *list)
{
	const struct pare_graph *g;
	int n = 0;

	for (int k = 0; (g = pare_node_graph(x, k)); k++)
		for (int i = 0; i < g->n_nodes; i++) {
			const struct pare_node *node = &g->nodes[i];
			struct pare_weight_at at = pare_graph_weight(g, node);

			if (at.input >= 0 && list)
				list[n] = (struct pare_hidden){ node->name, node->op_type,
					outer->name,
					pare_shape_elems(
						&g->vars[node->in[at.input]].declared.shape) };
			n += at.input >= 0;
			n += list_hidden(outer, node, list ? list + n : NULL);
		}
	return n;
}

static enum pare_status index_hidden(struct pare_model *m, struct pare_err *err)
{
	const struct pare_graph *g = &m->graph;
	int n = 0;

	for (int i = 0; i < g->n_nodes; i++)
		m->info.n_hidden += list_hidden(&g->nodes[i], &g->nodes[i], NULL);
	if (!(m->hidden = pare_alloc_n(m->arena, (size_t)m->info.n_hidden, sizeof *m->hidden)))
		return pare_nomem(err, "layers");
	for (int i = 0; i < g->n_nodes; i++)
		n += list_hidden(&g->nodes[i], &g->nodes[i], m->hidden + n);
	return PARE_OK;
}

/* Those of graphs inside nodes too. */
static void count_weights(struct pare_model *m, const struct pare_graph *g)
{
	const struct pare_graph *inside;

	for (int i = 0; i < g->n_vars; i++) {
		const struct pare_known *k = &g->vars[i].declared;
		bool is_float = k->dtype == PARE_F32 || k->dtype == PARE_F64 ||
				k->dtype == PARE_F16 || k->dtype == PARE_BF16;

		if (!k->value)
			continue;
		m->info.weight_bytes += 4 * pare_shape_elems(&k->shape);
		if (is_float && k->shape.n > 0) /* scalars are settings, not weights */
			m->info.params += pare_shape_elems(&k->shape);
	}
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; (inside = pare_node_graph(&g->nodes[i], k)); k++)
			count_weights(m, inside);
}

static void sum_up(struct pare_model *m)
{
	const struct pare_graph *g = &m->graph;

	m->info.n_nodes = g->n_nodes;
	for (int i = 0; i < g->n_nodes; i++) {
		enum pare_coding c = g->nodes[i].op ? g->nodes[i].op->coding : PARE_CODING_NONE;

		m->info.n_quantizers += c == PARE_CODING_ENCODE || c == PARE_CODING_ROUND;
	}
	for (int i = 0; i < g->n_nodes; i++) {
		int64_t macs = node_macs(m, &g->nodes[i]);

		bool known = m->info.macs >= 0 && macs >= 0 && macs <= INT64_MAX - m->info.macs;

		m->info.macs = known ? m->info.macs + macs : -1;
	}
	count_weights(m, g);
}

enum pare_status pare_model_index(struct pare_model *m, struct pare_err *err)
{
	const struct pare_graph *g = &m->graph;
	struct pare_shape *inputs = pare_alloc_n(m->arena, (size_t)g->n_in, sizeof *inputs);
	enum pare_status st;

	m->known = pare_alloc_n(m->arena, (size_t)g->n_vars, sizeof *m->known);
	m->node_info = pare_alloc_n(m->arena, (size_t)g->n_nodes, sizeof *m->node_info);
	if (!inputs || !m->known || !m->node_info)
		return pare_nomem(err, "its graph");
	if (!pare_model_sample_shapes(m, inputs))
		inputs = NULL;
	if ((st = pare_graph_infer(g, inputs, true, m->arena, m->known, err)))
		return st;
	for (int i = 0; i < g->n_nodes; i++)
		describe_node(m, i, &m->node_info[i]);
	if ((st = index_io(m, err)) || (st = index_layers(m, err)) ||
		(st = index_unsupported(m, err)) || (st = index_hidden(m, err)) ||
		(st = pare_groups_find(m, err)) || (st = pare_residuals_find(m, err)))
		return st;
	sum_up(m);
	return PARE_OK;
}
