/* Protobuf messages built in an arena; data is borrowed, so that a message costs its structure
 * alone.  Everything returns NULL when there is no memory. */
#ifndef PARE_PROTO_H
#define PARE_PROTO_H
#include "../graph/model.h"
#include "gen/onnx.pb-c.h"

/* data may be NULL when only the size is asked for. */
Onnx__TensorProto *pare_proto_tensor(struct pare_arena *a, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data);
/* Dims of -1 are written as symbols, an unknown rank as no shape. */
Onnx__ValueInfoProto *pare_proto_value(struct pare_arena *a, const struct pare_io *io);
/* Room for inputs, outputs and attributes, which the caller sets. */
Onnx__NodeProto *pare_proto_node(struct pare_arena *a, const char *name, const char *op,
	const char *domain, size_t n_in, size_t n_out, size_t n_attr);
Onnx__AttributeProto *pare_proto_int(struct pare_arena *a, const char *name, int64_t value);
Onnx__AttributeProto *
pare_proto_ints(struct pare_arena *a, const char *name, const int64_t *values, size_t n);
/* The attributes of a node that differ from what is absent, but for graphs; false: no memory. */
bool pare_proto_attributes(struct pare_arena *a, const struct pare_node *n, Onnx__NodeProto *to);

#endif
