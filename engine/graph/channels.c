/* A network without some of its channels: the same nodes over narrower values. */
#include "../base/err.h"
#include "model.h"
#include <stdlib.h>
#include <string.h>

struct cutting {
	const struct pare_model *m;
	struct pare_model *e;
	const bool *keep;
	bool bare;
	int *uses; /* [vars] of the model: readers */
	struct cut_already {
		int axis, var; /* var 0: not yet */
		int64_t len;
		const int *unit;
	} * already; /* [vars] what a value that several nodes read became */
	struct pare_err *err;
};

static enum pare_status no_memory(const struct cutting *c)
{
	return pare_nomem(c->err, "a network with fewer channels");
}

static const struct pare_var_channels *channels_of(const struct cutting *c, int var)
{
	return var >= 0 && c->m->channels[var].n ? &c->m->channels[var] : NULL;
}

static bool stays(const struct cutting *c, int unit)
{
	return unit < 0 || c->keep[unit];
}

static int64_t left(const struct cutting *c, const struct pare_var_channels *v, int64_t n)
{
	int64_t k = 0;

	for (int64_t i = 0; i < n; i++)
		k += stays(c, v->unit[i]);
	return k;
}

/* The places of `axis` of which v says that they stay: those of the first `len`, over and over. */
static void copy_rest(const struct cutting *c, const struct pare_tensor *from, int axis,
	const struct pare_var_channels *v, int64_t len, char *to)
{
	size_t size = pare_dtype_bits(from->dtype) / 8;
	int64_t outer = pare_shape_span(&from->shape, 0, axis), n = from->shape.d[axis];
	size_t inner = (size_t)pare_shape_span(&from->shape, axis + 1, from->shape.n) * size;
	const char *at = from->data;

	for (int64_t o = 0; o < outer; o++)
		for (int64_t i = 0; i < n; i++, at += inner)
			if (stays(c, v->unit[i % len])) {
				memcpy(to, at, inner);
				to += inner;
			}
}

/* Input i of a node gets a value of its own when others read it too; the index of its var. */
static int own_value(struct cutting *c, struct pare_node *n, int i)
{
	struct pare_graph *g = &c->e->graph;
	int var = n->in[i];

	if (c->uses[var] <= 1)
		return var;
	g->vars[g->n_vars] = g->vars[var];
	g->vars[g->n_vars].name = pare_sprintf(c->e->arena, "%s.%s", g->vars[var].name, n->name);
	if (!g->vars[g->n_vars].name)
		return -1;
	pare_blob_ref(g->vars[var].blob);
	c->uses[var]--;
	c->uses[g->n_vars]++;
	n->in[i] = g->n_vars;
	return g->n_vars++;
}

static enum pare_status
set_value(struct cutting *c, struct pare_node *n, int i, struct pare_tensor *t, struct pare_blob *b)
{
	int var = own_value(c, n, i);
	struct pare_var *v = var < 0 ? NULL : &c->e->graph.vars[var];

	if (!v) {
		pare_blob_free(b);
		return no_memory(c);
	}
	if (b) {
		pare_blob_free(v->blob);
		v->blob = b;
	}
	t->data = b ? b->data : NULL;
	v->declared.shape = t->shape;
	v->declared.value = t;
	v->codes = NULL; /* its channels are others */
	return PARE_OK;
}

/* Another node has cut the same value in the same way: theirs will do. */
static bool share_cut(struct cutting *c, struct pare_node *n, int i, const struct cut_already *want)
{
	int var = n->in[i];
	const struct cut_already *a = &c->already[var];

	if (!a->var || a->axis != want->axis || a->len != want->len ||
		memcmp(a->unit, want->unit, (size_t)a->len * sizeof *a->unit))
		return false;
	c->uses[var]--;
	n->in[i] = a->var;
	return true;
}

/* Constant input i loses along `axis` what v, repeated if the axis is longer, has lost. */
static enum pare_status
cut_axis(struct cutting *c, struct pare_node *n, int i, int axis, const struct pare_var_channels *v)
{
	const struct pare_tensor *from = c->e->graph.vars[n->in[i]].declared.value;
	struct pare_tensor *t = pare_memdup(c->e->arena, from, sizeof *t);
	int64_t len = from->shape.d[axis] < v->n ? from->shape.d[axis] : v->n, stay;
	struct pare_blob *b = NULL;
	struct cut_already way = { axis, 0, len, v->unit };
	enum pare_status st;
	int var = n->in[i];

	if (!t)
		return no_memory(c);
	stay = left(c, v, len);
	if (stay == len)
		return PARE_OK;
	if (from->shape.d[axis] % len || pare_dtype_bits(from->dtype) < 8)
		return pare_fail(c->err, PARE_E_UNSUPPORTED,
			"node '%s': input %d does not lie along the channels", n->name, i);
	if (share_cut(c, n, i, &way))
		return PARE_OK;
	t->shape.d[axis] = from->shape.d[axis] / len * stay;
	if (!c->bare) {
		b = pare_blob_new(
			(size_t)pare_shape_elems(&t->shape) * (pare_dtype_bits(t->dtype) / 8));
		if (!b)
			return no_memory(c);
		copy_rest(c, from, axis, v, len, b->data);
	}
	st = set_value(c, n, i, t, b);
	way.var = n->in[i];
	if (!st && way.var != var)
		c->already[var] = way;
	return st;
}

/* Constant input i is a list of whole numbers; place `at` becomes `value` unless it is 0 or -1. */
static enum pare_status
set_number(struct cutting *c, struct pare_node *n, int i, int at, int64_t value)
{
	const struct pare_tensor *from = c->e->graph.vars[n->in[i]].declared.value;
	struct pare_tensor *t;
	struct pare_blob *b;
	size_t bytes;

	if (!from || from->dtype != PARE_I64 || at >= pare_shape_elems(&from->shape) ||
		from->i64[at] <= 0)
		return PARE_OK;
	bytes = (size_t)pare_shape_elems(&from->shape) * sizeof(int64_t);
	t = pare_memdup(c->e->arena, from, sizeof *t);
	b = pare_blob_new(bytes);
	if (!t || !b) {
		pare_blob_free(b);
		return no_memory(c);
	}
	memcpy(b->data, from->data, bytes);
	((int64_t *)b->data)[at] = value;
	return set_value(c, n, i, t, b);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool is_constant(const struct cutting *c, int var)
{
	return var >= 0 && c->e->graph.vars[var].blob;
}

/* The activation that a layer reads: its only input that is no constant. */
static int entry(const struct cutting *c, const struct pare_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && !is_constant(c, n->in[i]))
			return n->in[i];
	return -1;
}

static enum pare_status
set_attribute(struct cutting *c, struct pare_node *n, const char *name, int64_t value)
{
	const int64_t *was = pare_node_attr(n, name, PARE_ATTR_INT);
	size_t at = was ? (size_t)((const char *)was - (const char *)n->attr) : 0;
	void *own = was ? pare_memdup(c->e->arena, n->attr, n->op->attr_size) : NULL;

	if (!own)
		return no_memory(c);
	memcpy((char *)own + at, &value, sizeof value);
	n->attr = own;
	return PARE_OK;
}

static enum pare_status cut_layer(struct cutting *c, struct pare_node *n, int layer)
{
	const struct pare_weight_at *at = &c->m->weight_at[layer];
	const struct pare_layer *l = &c->m->layers[layer];
	const struct pare_var_channels *in = channels_of(c, entry(c, n)),
				       *out = channels_of(c, n->out[0]);
	int64_t outs = l->weight.d[at->out_axis];
	bool depthwise = at->groups > 1 && in && in->n == at->groups;
	enum pare_status st = PARE_OK;

	if (depthwise) {
		int64_t groups = left(c, in, in->n);

		if (groups != in->n)
			st = set_attribute(c, n, "group", groups);
		if (!st && at->out_axis > 0) /* transposed: [in, out per group, ...] */
			st = cut_axis(c, n, at->input, at->in_axis, in);
		else if (!st && out)
			st = cut_axis(c, n, at->input, at->out_axis, out);
	} else {
		if (in)
			st = cut_axis(c, n, at->input, at->in_axis, in);
		if (!st && out)
			st = cut_axis(c, n, at->input, at->out_axis, out);
	}
	if (!st && out && at->bias >= 0) {
		const struct pare_shape *b = &c->e->graph.vars[n->in[at->bias]].declared.shape;

		if (b->n && b->d[b->n - 1] == (depthwise ? out->n : outs) && b->d[b->n - 1] > 1)
			st = cut_axis(c, n, at->bias, b->n - 1, out);
	}
	return st;
}

/* Units of a recurrent layer; states of zeros that were computed are left out. */
static enum pare_status cut_states(struct cutting *c, struct pare_node *n, int layer)
{
	const struct pare_weight_at *at = &c->m->weight_at[layer];
	const struct pare_var_channels *in = channels_of(c, n->in[0]), *out = NULL;
	enum pare_status st = PARE_OK;

	for (int i = 0; i < n->n_out && !out; i++)
		out = channels_of(c, n->out[i]);
	if (in)
		st = cut_axis(c, n, at->input, at->in_axis, in);
	if (!st && out)
		st = cut_axis(c, n, at->input, at->out_axis, out);
	if (st || !out || left(c, out, out->n) == out->n)
		return st;
	for (const struct pare_beside *b = n->op->beside; b->input && !st; b++)
		if (b->input >= n->n_in || n->in[b->input] < 0)
			continue;
		else if (is_constant(c, n->in[b->input]))
			st = cut_axis(c, n, b->input, b->axis, out);
		else if (c->m->known[n->in[b->input]].value)
			n->in[b->input] = -1;
	return st ? st : set_attribute(c, n, n->op->counts, left(c, out, out->n));
}

/* Does a constant lie along them on its axis `at`?  What is concatenated along another axis does.
 */
static bool along_channels(enum pare_flow flow, const struct pare_shape *s, int at, int64_t n)
{
	return at >= 0 && s->d[at] > 1 &&
	       (flow == PARE_FLOW_TIE || (flow == PARE_FLOW_CAT && s->d[at] == n));
}

/* The size of the channels' axis, wherever it lies. */
static enum pare_status
set_size(struct cutting *c, struct pare_node *n, int i, const struct pare_var_channels *out)
{
	struct pare_size_at at;

	if (!pare_model_size_at(c->m, (int)(n - c->e->graph.nodes), i, out->axis, &at))
		return PARE_OK;
	return set_number(c, &c->e->graph.nodes[at.node], at.input, at.at, left(c, out, out->n));
}

/* Packed heads are counted by attributes. */
static enum pare_status cut_heads(struct cutting *c, struct pare_node *n)
{
	enum pare_status st = PARE_OK;

	for (int i = 0; i < 2 && !st; i++) {
		const struct pare_var_channels *in = channels_of(c, n->in[i]);
		const int64_t *was = pare_node_attr(n, n->op->heads[i], PARE_ATTR_INT);

		if (in && was && *was > 0 && left(c, in, in->n) < in->n)
			st = set_attribute(
				c, n, n->op->heads[i], *was * left(c, in, in->n) / in->n);
	}
	return st;
}

static enum pare_status
cut_constant(struct cutting *c, struct pare_node *n, int i, const struct pare_var_channels *out)
{
	const struct pare_shape *s = &c->e->graph.vars[n->in[i]].declared.shape;
	int at = out->axis - (c->m->known[n->out[0]].shape.n - s->n);

	if (along_channels(n->op->flow, s, at, out->n))
		return cut_axis(c, n, i, at, out);
	if (n->op->per_channel >> i & 1 && s->n == 1 && s->d[0] == out->n)
		return cut_axis(c, n, i, 0, out);
	return PARE_OK;
}

/* Constants that lie along the channels of the output, and their size. */
static enum pare_status cut_constants(struct cutting *c, struct pare_node *n)
{
	const struct pare_var_channels *out = channels_of(c, n->out[0]);
	enum pare_status st = PARE_OK;

	for (int i = 0; i < n->n_in && out && !st; i++)
		if (n->in[i] >= 0 && n->op->sizes >> i & 1)
			st = set_size(c, n, i, out);
		else if (is_constant(c, n->in[i]))
			st = cut_constant(c, n, i, out);
	return st;
}

/* Constants beside the channels, of which fewer stay. */
static enum pare_status cut_pads(struct cutting *c, struct pare_node *n)
{
	const struct pare_var_channels *in = channels_of(c, n->in[0]),
				       *out = channels_of(c, n->out[0]);
	const struct pare_known *known[PARE_MAX_DIMS] = { NULL };
	struct pare_shape_call call = { n, n->attr, n->n_in, n->n_out, known, NULL };
	struct pare_var_channels behind;
	int64_t before;
	int at[2];
	enum pare_status st;

	if (!in || !out || out->n == in->n)
		return PARE_OK;
	for (int i = 0; i < n->n_in && i < PARE_MAX_DIMS; i++)
		known[i] = n->in[i] < 0 ? NULL : &c->e->graph.vars[n->in[i]].declared;
	known[0] = &c->m->known[n->in[0]];
	n->op->pads(&call, out->axis, at);
	before = known[1]->value->i64[at[0]];
	behind = *out;
	behind.unit += before + in->n;
	behind.n -= before + in->n;
	st = set_number(c, n, 1, at[0], left(c, out, before));
	return st ? st : set_number(c, n, 1, at[1], left(c, &behind, behind.n));
}

static enum pare_status cut_parts(struct cutting *c, struct pare_node *n)
{
	const struct pare_var_channels *in = channels_of(c, n->in[0]);
	enum pare_status st = PARE_OK;

	for (int i = 0; i < n->n_out && in && n->n_in > 1 && is_constant(c, n->in[1]) && !st; i++) {
		const struct pare_var_channels *out = channels_of(c, n->out[i]);

		if (out && c->m->known[n->out[i]].shape.d[in->axis] == out->n && out->n != in->n)
			st = set_number(c, n, 1, i, left(c, out, out->n));
	}
	return st;
}

static enum pare_status cut_node(struct cutting *c, int node)
{
	struct pare_node *n = &c->e->graph.nodes[node];
	int layer = c->m->node_info[node].layer;

	if (!n->op || n->n_out < 1)
		return PARE_OK;
	if (layer >= 0 && n->op->beside)
		return cut_states(c, n, layer);
	if (n->out[0] < 0)
		return PARE_OK;
	if (layer >= 0)
		return cut_layer(c, n, layer);
	if (n->op->flow == PARE_FLOW_SPLIT)
		return cut_parts(c, n);
	if (n->op->flow == PARE_FLOW_HEADS)
		return cut_heads(c, n);
	if (n->op->pads)
		return cut_pads(c, n);
	return cut_constants(c, n);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool start(struct cutting *c)
{
	const struct pare_graph *g = &c->m->graph;
	struct pare_graph *to = &c->e->graph;
	size_t inputs = 0;

	for (int i = 0; i < g->n_nodes; i++)
		inputs += (size_t)g->nodes[i].n_in;
	*to = *g;
	to->next = NULL;
	to->n_vars = 0; /* until they are there */
	to->vars = pare_alloc_n(c->e->arena, (size_t)g->n_vars + inputs, sizeof *to->vars);
	to->nodes = pare_memdup(c->e->arena, g->nodes, (size_t)g->n_nodes * sizeof *to->nodes);
	c->uses = pare_alloc_n(c->e->arena, (size_t)g->n_vars + inputs, sizeof *c->uses);
	c->already = pare_alloc_n(c->e->arena, (size_t)g->n_vars + inputs, sizeof *c->already);
	if (!to->vars || !to->nodes || !c->uses || !c->already)
		return false;
	for (int i = 0; i < g->n_out; i++)
		c->uses[g->out[i]]++;
	for (int i = 0; i < g->n_nodes; i++) {
		struct pare_node *n = &to->nodes[i];

		if (n->n_in &&
			!(n->in = pare_memdup(c->e->arena, n->in, (size_t)n->n_in * sizeof *n->in)))
			return false;
		for (int k = 0; k < n->n_in; k++)
			if (n->in[k] >= 0)
				c->uses[n->in[k]]++;
	}
	for (int i = 0; i < g->n_vars; i++) {
		to->vars[i] = g->vars[i];
		if (to->vars[i].blob)
			pare_blob_ref(to->vars[i].blob);
		to->n_vars++;
	}
	c->e->base = pare_model_ref(c->m);
	c->e->ir_version = c->m->ir_version;
	c->e->info.path = c->m->info.path;
	c->e->info.shapes = c->m->info.shapes;
	memcpy(c->e->info.sha256, c->m->info.sha256, sizeof c->e->info.sha256);
	c->e->info.opset = c->m->info.opset;
	c->e->info.bytes = c->m->info.bytes;
	return true;
}

/* Values that all their readers have left. */
static void drop_unread(struct cutting *c)
{
	for (int i = 0; i < c->m->graph.n_vars; i++) {
		struct pare_var *v = &c->e->graph.vars[i];

		if (c->uses[i] || !v->blob)
			continue;
		pare_blob_free(v->blob);
		v->blob = NULL;
		v->declared.value = NULL;
	}
}

/* What follows from the shapes must be what was meant. */
static enum pare_status check(const struct cutting *c)
{
	for (int i = 0; i < c->m->graph.n_vars; i++) {
		const struct pare_var_channels *v = &c->m->channels[i];
		const struct pare_known *k = &c->e->known[i];

		if (v->n && !c->m->graph.vars[i].blob &&
			(k->dtype == PARE_UNDEFINED || k->shape.d[v->axis] != left(c, v, v->n)))
			return pare_fail(c->err, PARE_E_UNSUPPORTED,
				"channels of '%s' cannot be removed: shapes do not fit any more",
				c->m->graph.vars[i].name);
	}
	return PARE_OK;
}

enum pare_status pare_model_without_channels(const struct pare_model *m, const bool *keep,
	bool bare, struct pare_model **out, struct pare_err *err)
{
	struct cutting c = {
		.m = m, .e = pare_model_new(), .keep = keep, .bare = bare, .err = err
	};
	enum pare_status st = PARE_OK;

	if (!c.e)
		return no_memory(&c);
	if (!start(&c))
		st = no_memory(&c);
	for (int i = 0; i < m->graph.n_nodes && !st; i++)
		st = cut_node(&c, i);
	if (!st) {
		drop_unread(&c);
		st = pare_model_index(c.e, err);
	}
	if (!st)
		st = check(&c);
	if (st)
		pare_model_free(c.e);
	else
		*out = c.e;
	return st;
}
