/* The pieces of a file: names that no two values share, initializers, nodes. */
#include "writer.h"
#include "../base/err.h"

enum pare_status pare_writer_nomem(const struct writer *w)
{
	return pare_nomem(w->err, "an ONNX file");
}

const char *pare_writer_unique(struct writer *w, const char *name)
{
	const char *s = name;

	for (int k = 2; s && pare_names_find(&w->names, s) >= 0; k++)
		s = pare_sprintf(w->a, "%s_%d", name, k);
	return s && pare_names_add(&w->names, s, 0) ? s : NULL;
}

const char *pare_writer_derived(struct writer *w, const char *stem, const char *what)
{
	const char *s = pare_sprintf(w->a, "%s.%s", stem, what);

	return s ? pare_writer_unique(w, s) : NULL;
}

bool pare_writer_initializer(struct writer *w, const char *name, enum pare_dtype dtype,
	const struct pare_shape *shape, const void *data)
{
	Onnx__TensorProto *t = name ? pare_proto_tensor(w->a, name, dtype, shape, data) : NULL;

	if (t)
		w->graph.initializer[w->graph.n_initializer++] = t;
	return t != NULL;
}

const char *pare_writer_node(struct writer *w, const char *op, const char *stem, const char *what,
	const char *const *in, size_t n_in, Onnx__AttributeProto *const *attr, size_t n_attr)
{
	const char *out = pare_writer_derived(w, stem, what),
		   *name = out ? pare_sprintf(w->a, "%s/%s", out, op) : NULL;
	Onnx__NodeProto *n = name ? pare_proto_node(w->a, name, op, NULL, n_in, 1, n_attr) : NULL;

	if (!n)
		return NULL;
	for (size_t i = 0; i < n_in; i++)
		n->input[i] = (char *)in[i];
	n->output[0] = (char *)out;
	for (size_t i = 0; i < n_attr; i++)
		if (!(n->attribute[i] = attr[i]))
			return NULL;
	w->graph.node[w->graph.n_node++] = n;
	return out;
}

void pare_writer_opset(struct writer *w, int opset)
{
	w->opset = w->opset < opset ? opset : w->opset;
}
