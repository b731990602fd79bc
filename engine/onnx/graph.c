/* A graph, and those inside its nodes with what they see of the graph around them.  Each is read
 * into a graph that stands alone: a value of an outer scope becomes an input of it and of the node
 * that holds it, so that whoever looks at nodes sees all that they read. */
#include "../base/err.h"
#include "attrs.h"
#include "fused.h"
#include "reader.h"
#include <string.h>

/* An upper bound of the values that graphs inside this one can read of what is around it. */
static size_t count_reads(const Onnx__GraphProto *p)
{
	size_t n = p->n_output;

	for (size_t i = 0; i < p->n_node; i++) {
		const Onnx__NodeProto *x = p->node[i];

		n += x->n_input;
		for (size_t k = 0; k < x->n_attribute; k++)
			n += x->attribute[k]->g ? count_reads(x->attribute[k]->g) : 0;
	}
	return n;
}

/* An upper bound of the values that a graph can have. */
static size_t count_vars(const struct pare_reader *r, const Onnx__GraphProto *p)
{
	size_t n = p->n_initializer + p->n_sparse_initializer + p->n_input;

	for (size_t i = 0; i < p->n_node; i++)
		n += p->node[i]->n_output + p->node[i]->n_attribute;
	return n + (r->around ? count_reads(p) : 0);
}

static const Onnx__GraphProto *find_graph(const Onnx__NodeProto *p, const char *name)
{
	for (size_t i = 0; i < p->n_attribute; i++)
		if (!strcmp(text(p->attribute[i]->name), name))
			return p->attribute[i]->g;
	return NULL;
}

/* What the graph read of the one around it: inputs behind its own, and behind the node's. */
static enum pare_status
add_captures(struct pare_reader *r, const struct pare_reader *inner, struct pare_node *n)
{
	struct pare_graph *g = inner->g;
	int count = 0, *in, *node_in;

	for (const struct pare_capture *c = inner->captures; c; c = c->next)
		count++;
	in = pare_alloc_n(r->a, (size_t)g->n_in + (size_t)count, sizeof *in);
	node_in = pare_alloc_n(r->a, (size_t)n->n_in + (size_t)count, sizeof *node_in);
	if (!in || !node_in)
		return pare_reader_nomem(r);
	for (int i = 0; i < g->n_in; i++)
		in[i] = g->in[i];
	for (int i = 0; i < n->n_in; i++)
		node_in[i] = n->in[i];
	g->in = in;
	g->n_captured = count;
	g->first_captured = n->n_in;
	n->in = node_in;
	for (const struct pare_capture *c = inner->captures; c; c = c->next) {
		g->in[g->n_in++] = c->inside;
		n->in[n->n_in++] = c->around;
	}
	return PARE_OK;
}

static enum pare_status read_inside(
	struct pare_reader *r, const Onnx__GraphProto *p, struct pare_node *n, struct pare_graph *g)
{
	struct pare_reader inner = { .source = r->source,
		.around = r,
		.a = r->a,
		.g = g,
		.opset = r->opset,
		.err = r->err };
	const struct pare_reader *outermost = r;
	enum pare_status st;

	while (outermost->around)
		outermost = outermost->around;
	g->next = outermost->g->next; /* the model frees what its values hold */
	outermost->g->next = g;
	st = pare_reader_graph(&inner, p);
	pare_names_free(&inner.names);
	return st ? st : add_captures(r, &inner, n);
}

/* The graphs among a node's attributes; what they read of the graph around them becomes inputs of
 * the node. */
static enum pare_status
read_graphs(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	for (const struct pare_attr *t = n->op ? n->op->attrs : NULL; t && t->name; t++) {
		const Onnx__GraphProto *inside;
		struct pare_graph *g;
		enum pare_status st;

		if (t->type != PARE_ATTR_GRAPH)
			continue;
		if (!(inside = find_graph(p, t->name)))
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: node '%s' (%s): it has no graph '%s'", r->source->path,
				n->name, n->op_type, t->name);
		while ((size_t)n->n_in < p->n_input) /* absent ones count: others stand behind */
			n->in[n->n_in++] = -1;
		if (!(g = pare_alloc(r->a, sizeof *g)))
			return pare_reader_nomem(r);
		if ((st = read_inside(r, inside, n, g)))
			return st;
		*(struct pare_graph **)((char *)n->attr + t->offset) = g;
	}
	return PARE_OK;
}

static enum pare_status
read_node(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	enum pare_status st = pare_reader_node(r, p, n);

	if (!st)
		st = read_graphs(r, p, n);
	return st ? st : pare_reader_upgrade(r, n);
}

enum pare_status pare_reader_graph(struct pare_reader *r, const Onnx__GraphProto *file)
{
	const Onnx__GraphProto *p = pare_unfuse_graph(r->a, file);
	size_t n_vars = p ? count_vars(r, p) : 0;
	struct pare_graph *g = r->g;
	enum pare_status st;
	int *index;

	if (!p)
		return pare_reader_nomem(r);
	if (n_vars > INT32_MAX / 2 || p->n_node > INT32_MAX / 2)
		return pare_fail(r->err, PARE_E_UNSUPPORTED, "%s: too many nodes", r->source->path);
	r->room = (int)n_vars;
	g->name = pare_strdup(r->a, text(p->name));
	g->vars = pare_alloc_n(r->a, n_vars, sizeof *g->vars);
	g->nodes = pare_alloc_n(r->a, p->n_node, sizeof *g->nodes);
	r->odd = pare_alloc_n(r->a, n_vars, sizeof *r->odd);
	index = pare_alloc_n(r->a, p->n_node, sizeof *index);
	if (!g->name || !g->vars || !g->nodes || !r->odd || !index)
		return pare_reader_nomem(r);
	if ((st = pare_reader_initializers(r, p)) || (st = pare_reader_inputs(r, p)) ||
		(st = pare_reader_declare(r, p, index)))
		return st;
	for (size_t i = 0; i < p->n_node; i++)
		if (index[i] >= 0 && (st = read_node(r, p->node[i], &g->nodes[index[i]])))
			return st;
	if ((st = pare_reader_outputs(r, p)) || (st = pare_reader_trim(r)))
		return st;
	return PARE_OK;
}
