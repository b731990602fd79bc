#include "fused.h"
#include "attrs.h"
#include "proto.h"
#include <stdarg.h>
#include <string.h>

static const char *text(const char *s)
{
	return s ? s : "";
}

const struct pare_fused *pare_fused_find(const char *domain, const char *name)
{
	static const struct pare_fused *const tables[] = { pare_fused_floats, pare_fused_integers };

	/* SimplifiedLayerNormalization came into ONNX's own domain by mistake */
	if (strcmp(text(domain), "com.microsoft") &&
		strcmp(text(name), "SimplifiedLayerNormalization"))
		return NULL;
	for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
		for (const struct pare_fused *f = tables[i]; f->name; f++)
			if (!strcmp(f->name, text(name)))
				return f;
	return NULL;
}

/* ---- building ------------------------------------------------------------------------------- */

enum { MOST_IN = 8, MOST_ATTRS = 12 };

static void *grown(struct pare_unfuse *u, void *list, size_t n, size_t *room)
{
	void **more;

	if (n < *room)
		return list;
	more = pare_alloc_n(u->a, 2 * *room + 16, sizeof *more);
	if (!more) {
		u->no_memory = true;
		return NULL;
	}
	if (n)
		memcpy(more, list, n * sizeof *more);
	*room = 2 * *room + 16;
	return more;
}

const char *pare_unfuse_name(struct pare_unfuse *u)
{
	const char *name = pare_sprintf(
		u->a, "%s:%zu", u->n->n_output ? text(u->n->output[0]) : "", u->n_names++);

	u->no_memory |= !name;
	return name;
}

static Onnx__NodeProto *add_node(struct pare_unfuse *u, const char *op, size_t n_in)
{
	const char *name = text(u->n->name);
	Onnx__NodeProto *x;
	void *list = grown(u, u->nodes, u->n_nodes, &u->node_room);

	if (!list)
		return NULL;
	u->nodes = list;
	x = pare_proto_node(u->a, name, op, "", n_in, 1, MOST_ATTRS);
	u->no_memory |= !x;
	if (!x)
		return NULL;
	x->n_attribute = 0;
	u->nodes[u->n_nodes++] = x;
	return x;
}

const char *
pare_unfuse_node(struct pare_unfuse *u, const char *op, const char *out, size_t n_in, ...)
{
	const char *result = out ? out : pare_unfuse_name(u);
	Onnx__NodeProto *x = add_node(u, op, n_in);
	va_list in;

	if (!x || !result)
		return "";
	va_start(in, n_in);
	for (size_t i = 0; i < n_in; i++)
		x->input[i] = (char *)text(va_arg(in, const char *));
	va_end(in);
	x->output[0] = (char *)result;
	return result;
}

static Onnx__NodeProto *last(struct pare_unfuse *u)
{
	return u->no_memory || !u->n_nodes ? NULL : u->nodes[u->n_nodes - 1];
}

void pare_unfuse_outputs(struct pare_unfuse *u, size_t n, const char *const *names)
{
	Onnx__NodeProto *x = last(u);
	char **all = x ? pare_alloc_n(u->a, n + 1, sizeof *all) : NULL;

	u->no_memory |= !all;
	if (!x || !all)
		return;
	all[0] = x->output[0];
	for (size_t i = 0; i < n; i++)
		all[i + 1] = (char *)text(names[i]);
	x->output = all;
	x->n_output = n + 1;
}

static Onnx__AttributeProto *add_attr(struct pare_unfuse *u, Onnx__AttributeProto *p)
{
	Onnx__NodeProto *x = last(u);

	u->no_memory |= !p;
	if (x && p && x->n_attribute < MOST_ATTRS)
		x->attribute[x->n_attribute++] = p;
	return p;
}

void pare_unfuse_int(struct pare_unfuse *u, const char *name, int64_t v)
{
	add_attr(u, pare_proto_int(u->a, name, v));
}

void pare_unfuse_float(struct pare_unfuse *u, const char *name, float v)
{
	Onnx__AttributeProto *p = add_attr(u, pare_proto_int(u->a, name, 0));

	if (!p)
		return;
	p->has_i = false;
	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
	p->has_f = true;
	p->f = v;
}

void pare_unfuse_word(struct pare_unfuse *u, const char *name, const char *v)
{
	Onnx__AttributeProto *p = add_attr(u, pare_proto_int(u->a, name, 0));

	if (!p)
		return;
	p->has_i = false;
	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
	p->has_s = true;
	p->s = (ProtobufCBinaryData){ strlen(v), (uint8_t *)v };
}

void pare_unfuse_list(struct pare_unfuse *u, const char *name, size_t n, const int64_t *v)
{
	int64_t *copy = pare_memdup(u->a, v, n * sizeof *v);

	u->no_memory |= !copy;
	if (copy)
		add_attr(u, pare_proto_ints(u->a, name, copy, n));
}

void pare_unfuse_copy(struct pare_unfuse *u, const char *const *names)
{
	for (; *names; names++) {
		const Onnx__AttributeProto *p = pare_unfuse_attr(u, *names);

		if (p)
			add_attr(u, (Onnx__AttributeProto *)p);
	}
}

static const char *add_tensor(struct pare_unfuse *u, Onnx__TensorProto *t)
{
	void *list = t ? grown(u, u->tensors, u->n_tensors, &u->tensor_room) : NULL;

	u->no_memory |= !list;
	if (!list)
		return "";
	u->tensors = list;
	u->tensors[u->n_tensors++] = t;
	return t->name;
}

/* A list of n, or with n 0 a number: its data in the fields of their own type. */
static Onnx__TensorProto *new_tensor(struct pare_unfuse *u, int32_t type, size_t n)
{
	static const Onnx__TensorProto init = ONNX__TENSOR_PROTO__INIT;
	Onnx__TensorProto *t = pare_memdup(u->a, &init, sizeof init);
	int64_t d = (int64_t)n;

	u->no_memory |= !t;
	if (!t)
		return NULL;
	t->name = (char *)pare_unfuse_name(u);
	t->has_data_type = true;
	t->data_type = type;
	t->n_dims = n > 0;
	t->dims = pare_memdup(u->a, &d, sizeof d);
	u->no_memory |= !t->dims;
	return t;
}

const char *pare_unfuse_ints(struct pare_unfuse *u, size_t n, const int64_t *v)
{
	Onnx__TensorProto *t = new_tensor(u, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, n);

	if (!t)
		return "";
	t->n_int64_data = n;
	t->int64_data = pare_memdup(u->a, v, n * sizeof *v);
	u->no_memory |= !t->int64_data;
	return add_tensor(u, t);
}

const char *pare_unfuse_number(struct pare_unfuse *u, float v)
{
	Onnx__TensorProto *t = new_tensor(u, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, 0);

	if (!t)
		return "";
	t->n_float_data = 1;
	t->float_data = pare_memdup(u->a, &v, sizeof v);
	u->no_memory |= !t->float_data;
	return add_tensor(u, t);
}

const char *pare_unfuse_retype(struct pare_unfuse *u, const Onnx__TensorProto *t, int32_t type,
	size_t n_dims, const int64_t *dims)
{
	Onnx__TensorProto *x = pare_memdup(u->a, t, sizeof *t);
	int64_t *d = pare_memdup(u->a, dims, n_dims * sizeof *dims);

	if (!x || !d) {
		u->no_memory = true;
		return "";
	}
	x->name = (char *)pare_unfuse_name(u);
	x->data_type = type;
	x->n_dims = n_dims;
	x->dims = d;
	return add_tensor(u, x);
}

/* ---- the node itself ------------------------------------------------------------------------ */

const char *pare_unfuse_in(const struct pare_unfuse *u, size_t i)
{
	return i < u->n->n_input && *text(u->n->input[i]) ? u->n->input[i] : NULL;
}

const char *pare_unfuse_out(const struct pare_unfuse *u, size_t i)
{
	return i < u->n->n_output && *text(u->n->output[i]) ? u->n->output[i] : NULL;
}

const Onnx__AttributeProto *pare_unfuse_attr(const struct pare_unfuse *u, const char *name)
{
	for (size_t i = 0; i < u->n->n_attribute; i++)
		if (!strcmp(text(u->n->attribute[i]->name), name))
			return u->n->attribute[i];
	return NULL;
}

int64_t pare_unfuse_attr_int(const struct pare_unfuse *u, const char *name, int64_t preset)
{
	const Onnx__AttributeProto *p = pare_unfuse_attr(u, name);

	return p ? p->i : preset;
}

float pare_unfuse_attr_float(const struct pare_unfuse *u, const char *name, float preset)
{
	const Onnx__AttributeProto *p = pare_unfuse_attr(u, name);

	return p ? p->f : preset;
}

const Onnx__TensorProto *pare_unfuse_constant(const struct pare_unfuse *u, const char *value)
{
	for (size_t i = 0; value && i < u->g->n_initializer; i++)
		if (!strcmp(text(u->g->initializer[i]->name), value))
			return u->g->initializer[i];
	return NULL;
}

static int declared_rank(Onnx__ValueInfoProto *const *list, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++) {
		const Onnx__TypeProto *t = list[i]->type;

		if (!strcmp(text(list[i]->name), value) && t &&
			t->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE &&
			t->tensor_type->shape)
			return (int)t->tensor_type->shape->n_dim;
	}
	return -1;
}

int pare_unfuse_rank(const struct pare_unfuse *u, const char *value)
{
	const Onnx__TensorProto *t = pare_unfuse_constant(u, value);
	int rank;

	if (!value || t)
		return t ? (int)t->n_dims : -1;
	if ((rank = declared_rank(u->g->value_info, u->g->n_value_info, value)) < 0 &&
		(rank = declared_rank(u->g->input, u->g->n_input, value)) < 0)
		rank = declared_rank(u->g->output, u->g->n_output, value);
	return rank;
}

/* ---- the graph ------------------------------------------------------------------------------ */

static bool any_fused(const Onnx__GraphProto *p)
{
	for (size_t i = 0; i < p->n_node; i++)
		if (pare_fused_find(p->node[i]->domain, p->node[i]->op_type))
			return true;
	return false;
}

/* A node that no row of these takes apart stays as it is, and is refused by name. */
static void take(struct pare_unfuse *u, Onnx__NodeProto *n)
{
	const struct pare_fused *f = pare_fused_find(n->domain, n->op_type);
	size_t n_nodes = u->n_nodes, n_tensors = u->n_tensors;
	void *list;

	u->n = n;
	if (f && f->unfuse(u))
		return;
	u->n_nodes = n_nodes;
	u->n_tensors = n_tensors;
	if ((list = grown(u, u->nodes, u->n_nodes, &u->node_room))) {
		u->nodes = list;
		u->nodes[u->n_nodes++] = n;
	}
}

const Onnx__GraphProto *pare_unfuse_graph(struct pare_arena *a, const Onnx__GraphProto *p)
{
	struct pare_unfuse u = { .a = a, .g = p };
	Onnx__GraphProto *out;
	Onnx__TensorProto **all;
	size_t n = p->n_initializer;

	if (!any_fused(p))
		return p;
	for (size_t i = 0; i < p->n_node && !u.no_memory; i++)
		take(&u, p->node[i]);
	out = pare_memdup(a, p, sizeof *p);
	all = pare_alloc_n(a, n + u.n_tensors + 1, sizeof *all);
	if (u.no_memory || !out || !all)
		return NULL;
	if (n)
		memcpy(all, p->initializer, n * sizeof *all);
	if (u.n_tensors)
		memcpy(all + n, u.tensors, u.n_tensors * sizeof *all);
	out->initializer = all;
	out->n_initializer = n + u.n_tensors;
	out->node = u.nodes;
	out->n_node = u.n_nodes;
	return out;
}
