/* What writes one file: writer.c its pieces, write.c the outermost graph, write_weights.c and
 * write_acts.c what the spec asks for around its layers, inside.c graphs inside its nodes. */
#ifndef PARE_WRITER_H
#define PARE_WRITER_H
#include "../base/names.h"
#include "onnx.h"
#include "proto.h"

/* The lowest opsets that have what they are named for. */
enum { PARE_OPSET_QDQ = 13, PARE_OPSET_INT4 = 21, PARE_OPSET_INT16 = 21, PARE_OPSET_BLOCKS = 21 };

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

/* "stem.what", unique; NULL: no memory. */
const char *pare_writer_derived(struct writer *w, const char *stem, const char *what);
bool pare_writer_initializer(struct writer *w, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data);
/* A node of one output named after what it is for; the output's name is returned. */
const char *pare_writer_node(struct writer *w, const char *op, const char *stem, const char *what,
	const char *const *in, size_t n_in, Onnx__AttributeProto *const *attr, size_t n_attr);
void pare_writer_opset(struct writer *w, int opset); /* at least this one */
enum pare_status pare_writer_nomem(const struct writer *w);

/* The types in which pare writes weights as integers. */
static inline bool pare_writer_is_integer(enum pare_dtype t)
{
	return t == PARE_I8 || t == PARE_U8 || t == PARE_I4 || t == PARE_U4;
}
/* The name under which layer i reads its weight. */
PARE_MUST_CHECK enum pare_status pare_write_weight(struct writer *w, int i, const char **name);
/* Whether layer i is a table of bytes, which are looked up first and made floats after: ONNX
 * Runtime would decode the whole table for each run. */
bool pare_writes_codes(const struct writer *w, int i);
/* The names of its codes, and behind the node that looks them up as `rows`, what makes `out` of
 * them. */
PARE_MUST_CHECK enum pare_status pare_write_codes(
	struct writer *w, int i, const char **codes, const char **scale, const char **zero);
PARE_MUST_CHECK enum pare_status pare_write_decoded(struct writer *w, int i, const char *rows,
	const char *scale, const char *zero, const char *index, const char *out);
/* Which input of a layer's node is the activation; -1 = none. */
int pare_writer_activation(const struct pare_graph *g, const struct pare_node *n);
/* The name under which layer i reads it; `names[k]`: what earlier layers read. */
PARE_MUST_CHECK enum pare_status
pare_write_activation(struct writer *w, int i, int input, const char **names, const char **name);
/* The choices of the spec, in the graph that has been written. */
PARE_MUST_CHECK enum pare_status pare_write_choices(struct writer *w);

/* The graphs among a node's attributes; `name`: of the values around the node, which `to` reads. */
PARE_MUST_CHECK enum pare_status pare_write_inside(
	struct writer *w, const struct pare_node *n, const char *const *name, Onnx__NodeProto *to);

#endif
