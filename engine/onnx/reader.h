/* What reads a file's graphs: values.c their values, nodes.c their nodes, graph.c a whole one with
 * those inside its nodes. */
#ifndef PARE_READER_H
#define PARE_READER_H
#include "../base/names.h"
#include "../graph/model.h"
#include "source.h"

struct pare_reader {
	struct pare_source *source;
	struct pare_reader *around; /* of the graph around this one; NULL = it is the outermost */
	struct pare_capture *captures; /* what it reads of that, the latest first */
	struct pare_arena *a;
	struct pare_graph *g;
	struct pare_names names; /* of vars */
	const char **odd;        /* [vars]: why a value can be of no use; NULL = it is fine */
	int opset, room;         /* room for vars */
	struct pare_err *err;
};

struct pare_capture {
	int inside, around; /* vars */
	struct pare_capture *next;
};

/* Strings of a message may be absent. */
static inline const char *text(const char *s)
{
	return s ? s : "";
}

enum pare_status pare_reader_nomem(const struct pare_reader *r);

/* A new value; `name` is copied.  -1: no memory, or it is there already (then *twice). */
int pare_reader_add(struct pare_reader *r, const char *name, bool *twice);
/* The sentence for -1. */
enum pare_status pare_reader_add_failed(const struct pare_reader *r, const char *name, bool twice);
/* The value becomes a constant; b is taken over. */
PARE_MUST_CHECK enum pare_status pare_reader_constant(
	struct pare_reader *r, int var, const struct pare_tensor *x, struct pare_blob *b);
/* The same from a message; a type that pare does not have leaves r->odd[var]. */
PARE_MUST_CHECK enum pare_status
pare_reader_tensor(struct pare_reader *r, const Onnx__TensorProto *t, const char *name, int var);
/* The value of that name, in this graph or one around it; -1 = nothing makes it, -2: no memory. */
int pare_reader_find(struct pare_reader *r, const char *name);
/* A whole graph into r->g. */
PARE_MUST_CHECK enum pare_status
pare_reader_graph(struct pare_reader *r, const Onnx__GraphProto *p);
PARE_MUST_CHECK enum pare_status
pare_reader_initializers(struct pare_reader *r, const Onnx__GraphProto *p);
PARE_MUST_CHECK enum pare_status
pare_reader_inputs(struct pare_reader *r, const Onnx__GraphProto *p);
PARE_MUST_CHECK enum pare_status
pare_reader_outputs(struct pare_reader *r, const Onnx__GraphProto *p);

/* First all nodes and their outputs get numbers (index[i]: of node i of the file; -1 = it became a
 * constant), then each node looks up what it reads: files need not be sorted. */
PARE_MUST_CHECK enum pare_status
pare_reader_declare(struct pare_reader *r, const Onnx__GraphProto *p, int *index);
PARE_MUST_CHECK enum pare_status
pare_reader_node(struct pare_reader *r, const Onnx__NodeProto *p, struct pare_node *n);
/* Once its graphs are there: into the form that the row reads, or refused. */
PARE_MUST_CHECK enum pare_status pare_reader_upgrade(struct pare_reader *r, struct pare_node *n);
/* Outputs that the row does not make: gone when nobody reads them, else the node is refused. */
PARE_MUST_CHECK enum pare_status pare_reader_trim(struct pare_reader *r);

/* given.c: shapes that the user gives to inputs. */
PARE_MUST_CHECK enum pare_status
pare_reader_give(struct pare_graph *g, const char *path, const char *shapes, struct pare_err *err);

#endif
