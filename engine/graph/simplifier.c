/* What the passes do to the graph: values become constants, new values are added. */
#include "../base/err.h"
#include "simplify.h"

enum pare_status pare_simplify_constant(
	struct pare_simplifier *s, int var, const struct pare_tensor *t, struct pare_blob *b)
{
	struct pare_var *v = &s->g->vars[var];
	struct pare_tensor *copy = pare_memdup(s->a, t, sizeof *t);

	pare_blob_free(v->blob);
	v->blob = b; /* the model frees it */
	if (!copy)
		return pare_nomem(s->err, "its graph");
	v->declared = (struct pare_known){ t->dtype, t->shape, copy };
	v->producer = -1;
	return PARE_OK;
}

enum pare_dtype pare_simplify_stored(const struct pare_var *v, int64_t elems)
{
	enum pare_dtype t = v->declared.dtype;
	size_t bits = pare_dtype_bits(t);

	if (!v->declared.value || pare_shape_elems(&v->declared.shape) != elems)
		return PARE_UNDEFINED;
	return v->stored ? v->stored : bits <= 16 && t != PARE_BOOL ? t : PARE_UNDEFINED;
}

bool pare_simplify_is_constant(const struct pare_simplifier *s, const struct pare_node *n, int i)
{
	return i < n->n_in && n->in[i] >= 0 && s->g->vars[n->in[i]].declared.value;
}

int pare_simplify_add(struct pare_simplifier *s, const char *owner, const char *what)
{
	struct pare_var *v = &s->g->vars[s->g->n_vars];

	if (s->g->n_vars >= s->room || !(v->name = pare_sprintf(s->a, "%s.%s", owner, what)))
		return -1;
	s->same_as[s->g->n_vars] = s->g->n_vars;
	return s->g->n_vars++;
}
