/* ONNX models built in a test: values and nodes are added one by one, then packed by protobuf-c.
 *
 *     struct build *b = build_new(13);
 *     build_input(b, "x", 4, -1, 3, 8, 8);
 *     build_weight(b, "w", 0.5f, 4, 16, 3, 3, 3);
 *     build_node(b, "Conv", "", "x w", "y");
 *     build_ints(b, "pads", 4, 1, 1, 1, 1);
 *     build_output(b, "y");
 *     m = build_model(b);
 */
#ifndef BUILD_H
#define BUILD_H
#include "engine/onnx/onnx.h"
#include "engine/onnx/proto.h"
#include "engine/onnx/source.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUILD_MOST = 64 };

struct build {
	struct pare_arena *a;
	Onnx__ModelProto model;
	Onnx__GraphProto graph;
	Onnx__OperatorSetIdProto opset, *opsets[1];
	Onnx__NodeProto *nodes[BUILD_MOST];
	Onnx__TensorProto *initializers[BUILD_MOST];
	Onnx__ValueInfoProto *inputs[BUILD_MOST], *outputs[BUILD_MOST];
	void *data;
	size_t len;
	struct build *inner, *beside; /* graphs of its nodes; the next of those */
};

static inline struct build *build_new(int opset)
{
	struct build *b = calloc(1, sizeof *b);

	b->a = pare_arena_new();
	b->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
	b->graph = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
	b->opset = (Onnx__OperatorSetIdProto)ONNX__OPERATOR_SET_ID_PROTO__INIT;
	b->opset.has_version = true;
	b->opset.version = opset;
	b->opsets[0] = &b->opset;
	b->model.has_ir_version = true;
	b->model.ir_version = 8;
	b->model.n_opset_import = 1;
	b->model.opset_import = b->opsets;
	b->model.graph = &b->graph;
	b->graph.name = "test";
	b->graph.node = b->nodes;
	b->graph.initializer = b->initializers;
	b->graph.input = b->inputs;
	b->graph.output = b->outputs;
	return b;
}

static inline struct pare_shape build_shape(int n, va_list ap)
{
	struct pare_shape s = { .n = n };

	for (int i = 0; i < n; i++)
		s.d[i] = va_arg(ap, int);
	return s;
}

static inline void
build_input_of(struct build *b, const char *name, enum pare_dtype dtype, struct pare_shape shape)
{
	struct pare_io io = { .name = name, .dtype = dtype, .shape = shape };

	b->inputs[b->graph.n_input++] = pare_proto_value(b->a, &io);
}

static inline void build_input(struct build *b, const char *name, int n, ...)
{
	struct pare_shape shape;
	va_list ap;

	va_start(ap, n);
	shape = build_shape(n, ap);
	va_end(ap);
	build_input_of(b, name, PARE_F32, shape);
}

static inline void build_output(struct build *b, const char *name)
{
	struct pare_io io = { .name = name, .dtype = PARE_F32, .shape.n = -1 };

	b->outputs[b->graph.n_output++] = pare_proto_value(b->a, &io);
}

/* data is copied; its length follows from the shape. */
static inline Onnx__TensorProto *build_tensor(struct build *b, const char *name,
	enum pare_dtype dtype, const void *data, struct pare_shape s)
{
	size_t bytes = 0;

	if (!pare_dtype_bytes(dtype, pare_shape_elems(&s), &bytes))
		abort();
	b->initializers[b->graph.n_initializer] =
		pare_proto_tensor(b->a, name, dtype, &s, pare_memdup(b->a, data, bytes));
	return b->initializers[b->graph.n_initializer++];
}

/* Float32, element i is value * (1 + i % 5). */
static inline Onnx__TensorProto *
build_weight(struct build *b, const char *name, float value, int n, ...)
{
	struct pare_shape s;
	float *x;
	va_list ap;

	va_start(ap, n);
	s = build_shape(n, ap);
	va_end(ap);
	x = pare_alloc_n(b->a, (size_t)pare_shape_elems(&s), sizeof *x);
	for (int64_t i = 0; i < pare_shape_elems(&s); i++)
		x[i] = value * (float)(1 + i % 5);
	return build_tensor(b, name, PARE_F32, x, s);
}

static inline size_t build_words(struct build *b, const char *text, char **word)
{
	char *rest = pare_strdup(b->a, text), *w;
	size_t n = 0;

	while ((w = strsep(&rest, " ")))
		word[n++] = !strcmp(w, "-") ? "" : w;
	return n;
}

/* Inputs and outputs are words; "-" = absent. */
static inline Onnx__NodeProto *
build_node(struct build *b, const char *op, const char *name, const char *in, const char *out)
{
	char *ins[16], *outs[16];
	size_t n_in = build_words(b, in, ins), n_out = build_words(b, out, outs);
	Onnx__NodeProto *n = pare_proto_node(b->a, name, op, NULL, n_in, n_out, 8);

	memcpy(n->input, ins, n_in * sizeof *ins);
	memcpy(n->output, outs, n_out * sizeof *outs);
	n->n_attribute = 0;
	b->nodes[b->graph.n_node++] = n;
	return n;
}

/* Attributes go to the node added last. */
static inline Onnx__AttributeProto *build_int(struct build *b, const char *name, int64_t v)
{
	Onnx__NodeProto *n = b->nodes[b->graph.n_node - 1];

	return n->attribute[n->n_attribute++] = pare_proto_int(b->a, name, v);
}

static inline void build_float(struct build *b, const char *name, float v)
{
	Onnx__AttributeProto *p = build_int(b, name, 0);

	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
	p->has_i = false;
	p->has_f = true;
	p->f = v;
}

static inline void build_word(struct build *b, const char *name, const char *word)
{
	Onnx__AttributeProto *p = build_int(b, name, 0);

	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
	p->has_i = false;
	p->has_s = true;
	p->s.data = (uint8_t *)pare_strdup(b->a, word);
	p->s.len = strlen(word);
}

static inline void build_ints(struct build *b, const char *name, int n, ...)
{
	Onnx__AttributeProto *p = build_int(b, name, 0);
	va_list ap;

	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
	p->has_i = false;
	p->n_ints = (size_t)n;
	p->ints = pare_alloc_n(b->a, (size_t)n, sizeof *p->ints);
	va_start(ap, n);
	for (int i = 0; i < n; i++)
		p->ints[i] = va_arg(ap, int);
	va_end(ap);
}

/* A graph of another build as an attribute of the node added last; that build is freed with this
 * one. */
static inline void build_graph(struct build *b, const char *name, struct build *inside)
{
	Onnx__AttributeProto *p = build_int(b, name, 0);

	p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
	p->has_i = false;
	p->g = &inside->graph;
	inside->beside = b->inner;
	b->inner = inside;
}

static inline void build_pack(struct build *b)
{
	free(b->data);
	b->len = onnx__model_proto__get_packed_size(&b->model);
	b->data = malloc(b->len);
	onnx__model_proto__pack(&b->model, b->data);
}

static inline void build_free(struct build *b)
{
	while (b->inner) {
		struct build *inside = b->inner;

		b->inner = inside->beside;
		build_free(inside);
	}
	free(b->data);
	pare_arena_free(b->a);
	free(b);
}

static inline enum pare_status
build_read(struct build *b, struct pare_model **m, struct pare_err *err)
{
	build_pack(b);
	return pare_onnx_read(b->data, b->len, "test.onnx", m, err);
}

/* The model, which must be right; the build is freed. */
static inline struct pare_model *build_model(struct build *b)
{
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;

	if (build_read(b, &m, &err)) {
		printf("# %s\n", err.text);
		abort();
	}
	build_free(b);
	return m;
}

#endif
