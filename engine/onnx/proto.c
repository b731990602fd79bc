#include "proto.h"
#include "attrs.h"
#include <string.h>

#define NEW(a, type, init) ((type *)pare_memdup((a), &(type)init, sizeof(type)))

Onnx__TensorProto *pare_proto_tensor(struct pare_arena *a, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data)
{
	Onnx__TensorProto *t = NEW(a, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
	size_t bytes;

	if (!t || !pare_dtype_bytes(dtype, pare_shape_elems(shape), &bytes) ||
		!(t->dims = pare_memdup(a, shape->d, (size_t)shape->n * sizeof *shape->d)))
		return NULL;
	t->name = (char *)name;
	t->n_dims = (size_t)shape->n;
	t->has_data_type = true;
	t->data_type = pare_dtype_to_onnx(dtype);
	t->has_raw_data = true;
	t->raw_data = (ProtobufCBinaryData){ bytes, (uint8_t *)data };
	return t;
}

static bool
set_dim(struct pare_arena *a, const char *name, int axis, int64_t d, Onnx__TensorShapeProto *shape)
{
	Onnx__TensorShapeProto__Dimension *p = NEW(
		a, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);

	if (!(shape->dim[axis] = p))
		return false;
	if (d >= 0) {
		p->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		p->dim_value = d;
		return true;
	}
	p->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
	p->dim_param = axis ? pare_sprintf(a, "%s.%d", name, axis) : pare_strdup(a, "N");
	return p->dim_param != NULL;
}

Onnx__ValueInfoProto *pare_proto_value(struct pare_arena *a, const struct pare_io *io)
{
	Onnx__ValueInfoProto *v = NEW(a, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
	Onnx__TypeProto *type = NEW(a, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
	Onnx__TypeProto__Tensor *tensor =
		NEW(a, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
	Onnx__TensorShapeProto *shape =
		NEW(a, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);

	if (!v || !type || !tensor || !shape)
		return NULL;
	v->name = (char *)io->name;
	v->type = type;
	type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	type->tensor_type = tensor;
	tensor->has_elem_type = true;
	tensor->elem_type = pare_dtype_to_onnx(io->dtype);
	if (io->shape.n < 0)
		return v;
	tensor->shape = shape;
	shape->n_dim = (size_t)io->shape.n;
	if (!(shape->dim = pare_alloc_n(a, shape->n_dim, sizeof *shape->dim)))
		return NULL;
	for (int i = 0; i < io->shape.n; i++)
		if (!set_dim(a, io->name, i, io->shape.d[i], shape))
			return NULL;
	return v;
}

Onnx__NodeProto *pare_proto_node(struct pare_arena *a, const char *name, const char *op,
	const char *domain, size_t n_in, size_t n_out, size_t n_attr)
{
	Onnx__NodeProto *n = NEW(a, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);

	if (!n || !(n->input = pare_alloc_n(a, n_in, sizeof *n->input)) ||
		!(n->output = pare_alloc_n(a, n_out, sizeof *n->output)) ||
		!(n->attribute = pare_alloc_n(a, n_attr, sizeof *n->attribute)))
		return NULL;
	n->name = (char *)name;
	n->op_type = (char *)op;
	n->domain = (char *)domain;
	n->n_input = n_in;
	n->n_output = n_out;
	n->n_attribute = n_attr;
	return n;
}

Onnx__AttributeProto *pare_proto_int(struct pare_arena *a, const char *name, int64_t value)
{
	Onnx__AttributeProto *p = NEW(a, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);

	if (!p)
		return NULL;
	p->name = (char *)name;
	p->has_type = p->has_i = true;
	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
	p->i = value;
	return p;
}

Onnx__AttributeProto *
pare_proto_ints(struct pare_arena *a, const char *name, const int64_t *values, size_t n)
{
	Onnx__AttributeProto *p = pare_proto_int(a, name, 0);

	if (!p || !(p->ints = pare_memdup(a, values, n * sizeof *values)))
		return NULL;
	p->has_i = false;
	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
	p->n_ints = n;
	return p;
}

static Onnx__AttributeProto *
attribute(struct pare_arena *a, const struct pare_attr *t, const void *attr)
{
	const void *v = (const char *)attr + t->offset;
	Onnx__AttributeProto *p = pare_proto_int(a, t->name, 0);

	if (!p)
		return NULL;
	p->has_i = t->type == PARE_ATTR_INT;
	switch (t->type) {
	case PARE_ATTR_INT:
		p->i = *(const int64_t *)v;
		return p;
	case PARE_ATTR_FLOAT:
		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
		p->has_f = true;
		p->f = *(const float *)v;
		return p;
	case PARE_ATTR_STRING:
		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
		p->has_s = true;
		p->s.data = *(uint8_t *const *)v;
		p->s.len = strlen(*(const char *const *)v);
		return p;
	case PARE_ATTR_INTS:
		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
		p->n_ints = (size_t)((const struct pare_ints *)v)->n;
		p->ints = ((const struct pare_ints *)v)->v;
		return p;
	case PARE_ATTR_FLOATS:
		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
		p->n_floats = (size_t)((const struct pare_floats *)v)->n;
		p->floats = ((const struct pare_floats *)v)->v;
		return p;
	case PARE_ATTR_TENSOR: {
		const struct pare_tensor *x = v;

		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
		p->t = pare_proto_tensor(a, "", x->dtype, &x->shape, x->data);
		return p->t ? p : NULL;
	}
	case PARE_ATTR_STRINGS: {
		const struct pare_strings *s = v;

		p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS;
		p->n_strings = (size_t)s->n;
		if (!(p->strings = pare_alloc_n(a, p->n_strings + 1, sizeof *p->strings)))
			return NULL;
		for (int i = 0; i < s->n; i++) {
			p->strings[i].data = (uint8_t *)s->v[i];
			p->strings[i].len = strlen(s->v[i]);
		}
		return p;
	}
	case PARE_ATTR_GRAPH:
	case PARE_ATTR_END:
		break;
	}
	return NULL;
}

bool pare_proto_attributes(struct pare_arena *a, const struct pare_node *n, Onnx__NodeProto *to)
{
	size_t room = 0;

	for (const struct pare_attr *t = n->op->attrs; t && t->name; t++)
		room++;
	if (!(to->attribute = pare_alloc_n(a, room, sizeof *to->attribute)))
		return false;
	to->n_attribute = 0;
	for (const struct pare_attr *t = n->op->attrs; t && t->name; t++) {
		if (t->as_input > 0 || t->type == PARE_ATTR_GRAPH || !pare_attr_is_set(t, n->attr))
			continue;
		if (!(to->attribute[to->n_attribute++] = attribute(a, t, n->attr)))
			return false;
	}
	return true;
}
