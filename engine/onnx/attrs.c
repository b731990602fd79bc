#include "attrs.h"
#include <string.h>

const struct pare_attr *pare_attr_find(const struct pare_op *op, const char *name)
{
	for (const struct pare_attr *t = op->attrs; t && t->name; t++)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

bool pare_attr_is_set(const struct pare_attr *t, const void *attr)
{
	const void *p = (const char *)attr + t->offset;

	switch (t->type) {
	case PARE_ATTR_INT:
		return *(const int64_t *)p != (int64_t)t->preset;
	case PARE_ATTR_FLOAT:
		return *(const float *)p != (float)t->preset;
	case PARE_ATTR_STRING:
		return *(const char *const *)p != NULL;
	case PARE_ATTR_INTS:
		return ((const struct pare_ints *)p)->v != NULL;
	case PARE_ATTR_FLOATS:
		return ((const struct pare_floats *)p)->v != NULL;
	case PARE_ATTR_TENSOR:
		return ((const struct pare_tensor *)p)->data != NULL;
	case PARE_ATTR_STRINGS:
		return ((const struct pare_strings *)p)->v != NULL;
	case PARE_ATTR_GRAPH:
		return *(struct pare_graph *const *)p != NULL;
	case PARE_ATTR_END:
		break;
	}
	return false;
}

static const char *const type_names[] = {
	[PARE_ATTR_INT] = "an integer",
	[PARE_ATTR_FLOAT] = "a number",
	[PARE_ATTR_STRING] = "a string",
	[PARE_ATTR_INTS] = "a list of integers",
	[PARE_ATTR_FLOATS] = "a list of numbers",
	[PARE_ATTR_TENSOR] = "a tensor",
	[PARE_ATTR_GRAPH] = "a graph",
	[PARE_ATTR_STRINGS] = "a list of strings",
};

/* Files of the first IR versions have no type: what is there decides. */
static bool has_type(const Onnx__AttributeProto *p, enum pare_attr_type type)
{
	static const int proto[] = {
		[PARE_ATTR_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
		[PARE_ATTR_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
		[PARE_ATTR_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
		[PARE_ATTR_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
		[PARE_ATTR_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
		[PARE_ATTR_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
		[PARE_ATTR_GRAPH] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH,
		[PARE_ATTR_STRINGS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
	};

	if (p->has_type && (int)p->type != proto[type])
		return false;
	switch (type) {
	case PARE_ATTR_INT:
		return p->has_type || p->has_i;
	case PARE_ATTR_FLOAT:
		return p->has_type || p->has_f;
	case PARE_ATTR_STRING:
		return p->has_s;
	case PARE_ATTR_TENSOR:
		return p->t != NULL;
	case PARE_ATTR_GRAPH:
		return p->g != NULL;
	default:
		return true;
	}
}

static enum pare_status set_tensor(struct pare_source *s, struct pare_arena *a,
	const Onnx__TensorProto *p, struct pare_tensor *to, struct pare_err *err)
{
	struct pare_tensor x;
	struct pare_blob *b;
	enum pare_status st = pare_source_take(s, p, &x, &b, err);

	if (st)
		return st;
	if (!(x.data = pare_memdup(a, b->data, b->len)))
		st = pare_nomem(err, "an attribute");
	else
		*to = x;
	pare_blob_free(b);
	return st;
}

static enum pare_status set_strings(struct pare_arena *a, const Onnx__AttributeProto *p,
	struct pare_strings *to, struct pare_err *err)
{
	const char **v = pare_alloc_n(a, p->n_strings + 1, sizeof *v);

	for (size_t i = 0; v && i < p->n_strings; i++)
		if (!(v[i] = pare_strndup(a, (const char *)p->strings[i].data, p->strings[i].len)))
			v = NULL;
	if (!v)
		return pare_nomem(err, "an attribute");
	*to = (struct pare_strings){ (int)p->n_strings, v };
	return PARE_OK;
}

static enum pare_status set_value(struct pare_source *s, struct pare_arena *a,
	const Onnx__AttributeProto *p, const struct pare_attr *t, void *to, struct pare_err *err)
{
	switch (t->type) {
	case PARE_ATTR_INT:
		*(int64_t *)to = p->i;
		return PARE_OK;
	case PARE_ATTR_FLOAT:
		*(float *)to = p->f;
		return PARE_OK;
	case PARE_ATTR_STRING:
		if ((*(const char **)to = pare_strndup(a, (const char *)p->s.data, p->s.len)))
			return PARE_OK;
		break;
	case PARE_ATTR_INTS:
		*(struct pare_ints *)to = (struct pare_ints){ (int)p->n_ints,
			pare_memdup(a, p->ints, p->n_ints * sizeof *p->ints) };
		if (((struct pare_ints *)to)->v)
			return PARE_OK;
		break;
	case PARE_ATTR_FLOATS:
		*(struct pare_floats *)to = (struct pare_floats){ (int)p->n_floats,
			pare_memdup(a, p->floats, p->n_floats * sizeof *p->floats) };
		if (((struct pare_floats *)to)->v)
			return PARE_OK;
		break;
	case PARE_ATTR_STRINGS:
		return set_strings(a, p, to, err);
	case PARE_ATTR_TENSOR:
		return set_tensor(s, a, p->t, to, err);
	case PARE_ATTR_GRAPH:
	case PARE_ATTR_END:
		return PARE_OK;
	}
	return pare_nomem(err, "an attribute");
}

enum pare_status pare_attrs_read(struct pare_source *s, struct pare_arena *a,
	const Onnx__NodeProto *p, struct pare_node *n, const char **why, struct pare_err *err)
{
	char *attr = n->op->attr_size ? pare_op_attr(n->op, a) : NULL;

	if (n->op->attr_size && !attr)
		return pare_nomem(err, "attributes");
	n->attr = attr;
	for (size_t i = 0; i < p->n_attribute; i++) {
		const Onnx__AttributeProto *x = p->attribute[i];
		const char *name = x->name ? x->name : "";
		const struct pare_attr *t = pare_attr_find(n->op, name);
		struct pare_err inner = { 0 };
		enum pare_status st;

		if (!t) {
			if (!(*why = pare_sprintf(a, "attribute '%.60s' is not supported", name)))
				return pare_nomem(err, "attributes");
			return PARE_OK;
		}
		if (!has_type(x, t->type))
			return pare_fail(err, PARE_E_FORMAT, "attribute '%s' is not %s", name,
				type_names[t->type]);
		if (t->as_input > 0 || t->type == PARE_ATTR_GRAPH)
			continue;
		st = set_value(s, a, x, t, attr + t->offset, &inner);
		if (st == PARE_E_UNSUPPORTED) {
			*why = pare_sprintf(a, "attribute '%s': %.200s", name, inner.text);
			return *why ? PARE_OK : pare_nomem(err, "attributes");
		}
		if (st)
			return pare_fail(err, st, "attribute '%s': %s", name, inner.text);
	}
	return PARE_OK;
}
