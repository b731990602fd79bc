/* The nodes of a graph.  What is damaged is an error; what is only beyond pare leaves a node
 * without a row and with a reason. */
#include "../base/err.h"
#include "attrs.h"
#include "fused.h"
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *label(const struct pare_reader *r, const struct pare_node *n)
{
	static const char unnamed[] = "node";
	const char *s = NULL;

	if (*n->name)
		s = pare_sprintf(r->a, "node '%s' (%s)", n->name, n->op_type);
	else
		s = pare_sprintf(r->a, "node %d (%s)", (int)(n - r->g->nodes), n->op_type);
	return s ? s : unnamed;
}

static enum pare_status node_bad(const struct pare_reader *r, const struct pare_node *n,
	enum pare_status code, const char *what)
{
	return pare_fail(r->err, code, "%s: %s: %s", r->source->path, label(r, n), what);
}

static enum pare_status refuse(struct pare_reader *r, struct pare_node *n, const char *why)
{
	if (n->op || !n->why)
		n->why = why;
	n->op = NULL;
	n->attr = NULL;
	return why ? PARE_OK : pare_reader_nomem(r);
}

static bool is_constant_op(const Onnx__NodeProto *p)
{
	return !strcmp(text(p->op_type), "Constant") && !*text(p->domain);
}

/* Constant is no node: its value becomes an initializer. */
static enum pare_status read_constant(struct pare_reader *r, const Onnx__NodeProto *p, int var)
{
	static const char *const forms[] = { "value_float", "value_floats", "value_int",
		"value_ints" };
	const Onnx__AttributeProto *x = p->n_attribute == 1 ? p->attribute[0] : NULL;
	struct pare_tensor t = { .lanes = 1 };
	struct pare_blob *b;
	const void *data;
	size_t n, form;

	if (x && x->t && !strcmp(text(x->name), "value"))
		return pare_reader_tensor(r, x->t, r->g->vars[var].name, var);
	for (form = 0; x && form < 4 && strcmp(text(x->name), forms[form]); form++)
		continue;
	if (!x || form == 4) {
		r->odd[var] = "a Constant of a kind that pare does not read";
		return PARE_OK;
	}
	t.dtype = form < 2 ? PARE_F32 : PARE_I64;
	t.shape.n = form % 2;
	n = form == 1 ? x->n_floats : form == 3 ? x->n_ints : 1;
	t.shape.d[0] = (int64_t)n;
	data = form == 0   ? (const void *)&x->f
	       : form == 1 ? (const void *)x->floats
	       : form == 2 ? (const void *)&x->i
			   : (const void *)x->ints;
	n *= pare_dtype_bits(t.dtype) / 8;
	if (!(b = pare_blob_new(n)))
		return pare_reader_nomem(r);
	if (n)
		memcpy(b->data, data, n);
	t.data = b->data;
	return pare_reader_constant(r, var, &t, b);
}

/* Names go to screens and into recipes: one word, nothing that a terminal would obey. */
static const char *clean_name(struct pare_reader *r, const char *s)
{
	char *name = pare_strdup(r->a, s);

	for (char *c = name; c && *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127)
			*c = '_';
	return name;
}

static enum pare_status
declare_node(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	n->name = clean_name(r, text(p->name));
	n->op_type = clean_name(r, text(p->op_type));
	n->domain = clean_name(r, text(p->domain));
	n->n_out = (int)p->n_output;
	n->out = pare_alloc_n(r->a, p->n_output, sizeof *n->out);
	if (!n->name || !n->op_type || !n->domain || !n->out)
		return pare_reader_nomem(r);
	for (int i = 0; i < n->n_out; i++) {
		bool twice;

		n->out[i] = -1;
		if (!*p->output[i])
			continue;
		n->out[i] = pare_reader_add(r, p->output[i], &twice);
		if (n->out[i] < 0)
			return pare_reader_add_failed(r, p->output[i], twice);
		r->g->vars[n->out[i]].producer = (int)(n - r->g->nodes);
	}
	return PARE_OK;
}

/* First all values get their numbers, then nodes look up what they read: files need not be sorted.
 */
enum pare_status pare_reader_declare(struct pare_reader *r, const Onnx__GraphProto *p, int *index)
{
	for (size_t i = 0; i < p->n_node; i++) {
		const Onnx__NodeProto *x = p->node[i];
		struct pare_node *n = &r->g->nodes[r->g->n_nodes];
		enum pare_status st;
		bool twice;
		int var;

		index[i] = -1;
		if (is_constant_op(x) && x->n_output == 1) {
			if ((var = pare_reader_add(r, x->output[0], &twice)) < 0)
				return pare_reader_add_failed(r, x->output[0], twice);
			if ((st = read_constant(r, x, var)))
				return st;
			continue;
		}
		index[i] = r->g->n_nodes;
		if ((st = declare_node(r, x, n)))
			return st;
		r->g->n_nodes++;
	}
	return PARE_OK;
}

/* A value that the file does not name; -1: no memory. */
static int add_named_after(struct pare_reader *r, const char *owner, const char *what)
{
	bool twice = true;
	int var = -1;

	for (int k = 0; var < 0 && twice; k++) {
		const char *name = k ? pare_sprintf(r->a, "%s.%s_%d", owner, what, k)
				     : pare_sprintf(r->a, "%s.%s", owner, what);

		if (!name)
			return -1;
		var = pare_reader_add(r, name, &twice);
	}
	return var;
}

/* An attribute of an older opset that is an input now. */
static enum pare_status attribute_to_input(struct pare_reader *r, struct pare_node *n,
	const struct pare_attr *t, const Onnx__AttributeProto *x)
{
	struct pare_tensor v = { .lanes = 1 };
	size_t n_values = 1, size;
	const void *data = &x->i;
	struct pare_blob *b;
	int var;

	v.dtype = t->type == PARE_ATTR_INT || t->type == PARE_ATTR_INTS ? PARE_I64 : PARE_F32;
	size = pare_dtype_bits(v.dtype) / 8;
	v.shape = (struct pare_shape){ 1, { 1 } };
	if (t->type == PARE_ATTR_FLOAT) {
		v.shape.n = 0;
		data = &x->f;
	} else if (t->type == PARE_ATTR_INTS) {
		n_values = x->n_ints;
		data = x->ints;
	} else if (t->type == PARE_ATTR_FLOATS) {
		n_values = x->n_floats;
		data = x->floats;
	}
	v.shape.d[0] = (int64_t)n_values;
	if (n->in[t->as_input] >= 0)
		return PARE_OK; /* the newer form rules */
	if ((var = add_named_after(r, r->g->vars[n->out[0]].name, t->name)) < 0)
		return pare_reader_nomem(r);
	if (!(b = pare_blob_new(n_values * size)))
		return pare_reader_nomem(r);
	if (n_values)
		memcpy(b->data, data, n_values * size);
	v.data = b->data;
	n->in[t->as_input] = var;
	return pare_reader_constant(r, var, &v, b);
}

static enum pare_status
attributes_to_inputs(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	for (size_t i = 0; i < p->n_attribute; i++) {
		const struct pare_attr *t = pare_attr_find(n->op, text(p->attribute[i]->name));
		enum pare_status st;

		if (!t || t->as_input <= 0)
			continue;
		if ((st = attribute_to_input(r, n, t, p->attribute[i])))
			return st;
		if (n->n_in <= t->as_input)
			n->n_in = t->as_input + 1;
	}
	return PARE_OK;
}

/* Room for the inputs as given and for attributes that become inputs. */
static int input_room(const struct pare_op *op, size_t n_input)
{
	int room = (int)n_input;

	for (const struct pare_attr *t = op ? op->attrs : NULL; t && t->name; t++)
		if (t->as_input >= room)
			room = t->as_input + 1;
	return room;
}

static enum pare_status
resolve_inputs(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	int room = input_room(n->op, p->n_input);

	if (!(n->in = pare_alloc_n(r->a, (size_t)room, sizeof *n->in)))
		return pare_reader_nomem(r);
	for (int i = 0; i < room; i++)
		n->in[i] = -1;
	for (size_t i = 0; i < p->n_input; i++) {
		const char *name = p->input[i];

		if (!*name)
			continue;
		n->in[i] = pare_reader_find(r, name);
		if (n->in[i] < -1)
			return pare_reader_nomem(r);
		if (n->in[i] < 0)
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: %s reads '%s', which nothing makes", r->source->path,
				label(r, n), name);
		n->n_in = (int)i + 1; /* absent ones at the end are no inputs */
	}
	return PARE_OK;
}

static enum pare_status check_arity(const struct pare_reader *r, const struct pare_node *n)
{
	const struct pare_op *op = n->op;
	char what[96] = "";

	if (n->n_in < op->min_in)
		snprintf(what, sizeof what, "has %d inputs, it needs %d", n->n_in, op->min_in);
	else if (op->max_in >= 0 && n->n_in > op->max_in)
		snprintf(what, sizeof what, "has %d inputs, it takes at most %d", n->n_in,
			op->max_in);
	else
		for (int i = 0; i < op->min_in && !*what; i++)
			if (n->in[i] < 0)
				snprintf(what, sizeof what, "input %d is missing", i);
	return *what ? node_bad(r, n, PARE_E_FORMAT, what) : PARE_OK;
}

/* All that follows counts on output 0, which files may leave unnamed where they want another. */
static enum pare_status name_first_output(struct pare_reader *r, struct pare_node *n)
{
	int first = 0;

	while (first < n->n_out && n->out[first] < 0)
		first++;
	if (first == n->n_out)
		return node_bad(r, n, PARE_E_FORMAT, "has no output");
	if (first == 0)
		return PARE_OK;
	n->out[0] = add_named_after(r, r->g->vars[n->out[first]].name, "first");
	if (n->out[0] < 0)
		return pare_reader_nomem(r);
	r->g->vars[n->out[0]].producer = (int)(n - r->g->nodes);
	return PARE_OK;
}

static const char *why_not(const struct pare_reader *r, const struct pare_node *n)
{
	const struct pare_fused *f = pare_fused_find(n->domain, n->op_type);

	if (!f || !f->lacks)
		return "pare has no such operator";
	return pare_sprintf(r->a, "of the forms that it has, pare does not read: %s", f->lacks);
}

enum pare_status
pare_reader_node(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	struct pare_err inner = { 0 };
	const char *why = NULL;
	enum pare_status st;

	n->op = pare_op_find(n->domain, n->op_type);
	if ((st = resolve_inputs(r, p, n)))
		return st;
	if (!n->op)
		return refuse(r, n, why_not(r, n));
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && r->odd[n->in[i]])
			return refuse(r, n, r->odd[n->in[i]]);
	if ((st = pare_attrs_read(r->source, r->a, p, n, &why, &inner)))
		return node_bad(r, n, st, inner.text);
	if (why)
		return refuse(r, n, why);
	if ((st = name_first_output(r, n)))
		return st;
	st = attributes_to_inputs(r, p, n);
	return st ? st : check_arity(r, n);
}

enum pare_status pare_reader_upgrade(struct pare_reader *r, struct pare_node *n)
{
	struct pare_err inner = { 0 };
	enum pare_status st;
	const char *why;

	if (!n->op)
		return PARE_OK;
	st = n->op->upgrade ? n->op->upgrade(n, r->opset, &inner) : PARE_OK;
	if (st == PARE_E_UNSUPPORTED)
		return refuse(r, n, pare_strdup(r->a, inner.text));
	if (st)
		return node_bad(r, n, st, inner.text);
	why = n->op->refuse ? n->op->refuse(n, n->attr) : NULL;
	return why ? refuse(r, n, pare_strdup(r->a, why)) : PARE_OK;
}

/* Outputs that the row does not make: gone when nobody reads them, else the node is refused. */
enum pare_status pare_reader_trim(struct pare_reader *r)
{
	struct pare_graph *g = r->g;
	bool *used = calloc((size_t)g->n_vars + 1, sizeof *used);
	enum pare_status st = PARE_OK;

	if (!used)
		return pare_reader_nomem(r);
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				used[g->nodes[i].in[k]] = true;
	for (int i = 0; i < g->n_out; i++)
		used[g->out[i]] = true;
	for (int i = 0; i < g->n_nodes && !st; i++) {
		struct pare_node *n = &g->nodes[i];
		int max = n->op && n->op->max_out ? n->op->max_out : 1;

		for (int k = max; n->op && k < n->n_out; k++)
			if (n->out[k] >= 0 && used[n->out[k]])
				st = refuse(r, n,
					pare_sprintf(r->a, "its output %d is not supported", k));
		if (n->op && n->n_out > max)
			n->n_out = max;
	}
	free(used);
	return st;
}
