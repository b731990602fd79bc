/* Attributes of a node, by its row's table. */
#ifndef PARE_ATTRS_H
#define PARE_ATTRS_H
#include "../graph/model.h"
#include "source.h"

/* Fill n->attr from the table of n->op; graphs and attributes with `as_input` are left to the
 * caller.  What
 * the row does not know, or cannot be read, sets *why (in the arena `a`) and is no error.
 * PARE_E_FORMAT: an attribute of the wrong type; the text does not name the node. */
PARE_MUST_CHECK enum pare_status pare_attrs_read(struct pare_source *s, struct pare_arena *a,
	const Onnx__NodeProto *p, struct pare_node *n, const char **why, struct pare_err *err);

/* The table's entry; NULL when there is none. */
const struct pare_attr *pare_attr_find(const struct pare_op *op, const char *name);

/* Is it there, in the file's terms: of a type that says so, or different from its default. */
bool pare_attr_is_set(const struct pare_attr *t, const void *attr);

#endif
