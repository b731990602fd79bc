/* Graphs inside nodes, and what they see of the graph around them.  Each is read into a graph that
 * stands alone: a value of an outer scope becomes an input of it and of the node that holds it, so
 * that whoever looks at nodes sees all that they read. */
#include "../base/err.h"
#include "attrs.h"
#include "reader.h"
#include <string.h>

int pare_reader_find(struct pare_reader *r, const char *name)
{
	int inside = pare_names_find(&r->names, name), around;
	struct pare_capture *c;
	bool twice;

	if (inside >= 0 || !r->around)
		return inside;
	if ((around = pare_reader_find(r->around, name)) < 0)
		return around;
	if (!(c = pare_alloc(r->a, sizeof *c)) || (inside = pare_reader_add(r, name, &twice)) < 0)
		return -2;
	r->odd[inside] = r->around->odd[around];
	*c = (struct pare_capture){ inside, around, r->captures };
	r->captures = c;
	return inside;
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

enum pare_status
pare_reader_graphs(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	for (const struct pare_attr *t = n->op->attrs; t && t->name; t++) {
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
