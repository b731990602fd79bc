/* What writes one file: write.c the outermost graph, inside.c graphs inside its nodes. */
#ifndef PARE_WRITER_H
#define PARE_WRITER_H
#include "../base/names.h"
#include "onnx.h"
#include "proto.h"

struct writer {
	const struct pare_model *m;
	const struct pare_write_spec *spec;
	bool bytes; /* false: only the size is wanted, no data is made */
	struct pare_arena *a;
	struct pare_names names;
	const char **name; /* [vars] as written: no two are the same */
	Onnx__GraphProto graph;
	bool *written; /* [vars] constants that are in the file */
	int opset;
	struct pare_err *err;
};

/* `name`, or with a number behind it if that is taken; NULL: no memory. */
const char *pare_writer_unique(struct writer *w, const char *name);

/* The graphs among a node's attributes; `name`: of the values around the node, which `to` reads. */
PARE_MUST_CHECK enum pare_status pare_write_inside(
	struct writer *w, const struct pare_node *n, const char *const *name, Onnx__NodeProto *to);

#endif
