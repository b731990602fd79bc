/* The values of a graph: constants, inputs, outputs, and those of a graph around it. */
#include "../base/err.h"
#include "reader.h"

enum pare_status pare_reader_nomem(const struct pare_reader *r)
{
	return pare_fail(
		r->err, PARE_E_NOMEM, "%s: not enough memory for its graph", r->source->path);
}

/* A new value; `name` is copied.  -1: no memory, or it is there already (then *twice). */
int pare_reader_add(struct pare_reader *r, const char *name, bool *twice)
{
	struct pare_var *v = &r->g->vars[r->g->n_vars];

	*twice = pare_names_find(&r->names, name) >= 0;
	if (*twice || r->g->n_vars >= r->room || !(v->name = pare_strdup(r->a, name)) ||
		!pare_names_add(&r->names, v->name, r->g->n_vars))
		return -1;
	v->producer = -1;
	v->declared.shape.n = -1;
	return r->g->n_vars++;
}

enum pare_status pare_reader_add_failed(const struct pare_reader *r, const char *name, bool twice)
{
	if (!twice)
		return pare_reader_nomem(r);
	return pare_fail(
		r->err, PARE_E_FORMAT, "%s: two values are named '%s'", r->source->path, name);
}

int pare_reader_find(struct pare_reader *r, const char *name)
{
	int inside = pare_names_find(&r->names, name), around;
	struct pare_capture *c;
	bool twice;

	if (inside >= 0 || !r->around)
		return inside;
	if ((around = pare_reader_find(r->around, name)) < 0)
		return around;
	if (!(c = pare_alloc(r->a, sizeof *c)) || (inside = pare_reader_add(r, name, &twice)) < 0)
		return -2;
	r->odd[inside] = r->around->odd[around];
	*c = (struct pare_capture){ inside, around, r->captures };
	r->captures = c;
	return inside;
}

/* A constant's tensor header lives in the arena, its data in the blob. */
enum pare_status pare_reader_constant(
	struct pare_reader *r, int var, const struct pare_tensor *x, struct pare_blob *b)
{
	struct pare_var *v = &r->g->vars[var];
	struct pare_tensor *copy = pare_memdup(r->a, x, sizeof *x);

	v->blob = b; /* the model frees it, come what may */
	if (!copy)
		return pare_reader_nomem(r);
	v->declared = (struct pare_known){ x->dtype, x->shape, copy };
	return PARE_OK;
}

enum pare_status
pare_reader_tensor(struct pare_reader *r, const Onnx__TensorProto *t, const char *name, int var)
{
	struct pare_err inner = { 0 };
	struct pare_tensor x;
	struct pare_blob *b;
	enum pare_status st = pare_source_take(r->source, t, &x, &b, &inner);

	if (st == PARE_E_UNSUPPORTED) {
		r->odd[var] = pare_sprintf(r->a, "constant '%.80s': %.160s", name, inner.text);
		return r->odd[var] ? PARE_OK : pare_reader_nomem(r);
	}
	if (st)
		return pare_fail(
			r->err, st, "%s: tensor '%s': %s", r->source->path, name, inner.text);
	return pare_reader_constant(r, var, &x, b);
}

enum pare_status pare_reader_initializers(struct pare_reader *r, const Onnx__GraphProto *p)
{
	bool twice;

	for (size_t i = 0; i < p->n_initializer; i++) {
		const char *name = text(p->initializer[i]->name);
		int var = pare_reader_add(r, name, &twice);
		enum pare_status st;

		if (var < 0)
			return pare_reader_add_failed(r, name, twice);
		if ((st = pare_reader_tensor(r, p->initializer[i], name, var)))
			return st;
	}
	for (size_t i = 0; i < p->n_sparse_initializer; i++) {
		const Onnx__TensorProto *t = p->sparse_initializer[i]->values;
		const char *name = text(t ? t->name : NULL);
		int var = pare_reader_add(r, name, &twice);

		if (var < 0)
			return pare_reader_add_failed(r, name, twice);
		r->odd[var] = "one of its constants is stored as a sparse tensor";
	}
	return PARE_OK;
}

/* What a ValueInfo says; reason = why such a value is beyond pare. */
static struct pare_known declared(const Onnx__ValueInfoProto *p, const char **reason)
{
	struct pare_known k = { .shape.n = -1 };
	const Onnx__TensorShapeProto *shape;

	if (!p->type || p->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
		if (p->type && p->type->value_case != ONNX__TYPE_PROTO__VALUE__NOT_SET)
			*reason = "a sequence, map, optional or sparse tensor";
		return k;
	}
	k.dtype = pare_dtype_from_onnx(p->type->tensor_type->elem_type);
	if (k.dtype == PARE_UNDEFINED)
		*reason = pare_onnx_type_name(p->type->tensor_type->elem_type);
	shape = p->type->tensor_type->shape;
	if (!shape)
		return k;
	if (shape->n_dim > PARE_MAX_DIMS) {
		*reason = "a tensor of more than 8 dimensions";
		return k;
	}
	k.shape.n = (int)shape->n_dim;
	for (int i = 0; i < k.shape.n; i++) {
		const Onnx__TensorShapeProto__Dimension *d = shape->dim[i];
		bool known =
			d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
			d->dim_value >= 0;

		k.shape.d[i] = known ? d->dim_value : -1;
	}
	return k;
}

static enum pare_status
check_declared(const struct pare_reader *r, const char *name, const struct pare_shape *s)
{
	struct pare_shape known = *s;

	for (int i = 0; i < known.n; i++)
		known.d[i] = known.d[i] < 0 ? 1 : known.d[i];
	if (known.n > 0 && pare_shape_elems(&known) < 0)
		return pare_fail(r->err, PARE_E_FORMAT, "%s: the shape of '%s' is absurdly large",
			r->source->path, name);
	return PARE_OK;
}

enum pare_status pare_reader_inputs(struct pare_reader *r, const Onnx__GraphProto *p)
{
	bool twice;

	if (!(r->g->in = pare_alloc_n(r->a, p->n_input, sizeof *r->g->in)))
		return pare_reader_nomem(r);
	for (size_t i = 0; i < p->n_input; i++) {
		const char *name = text(p->input[i]->name), *reason = NULL;
		int var = pare_names_find(&r->names, name);
		enum pare_status st;

		if (var >= 0 && (r->g->vars[var].blob || r->odd[var]))
			continue; /* an initializer that is listed among the inputs too */
		var = pare_reader_add(r, name, &twice);
		if (var < 0)
			return pare_reader_add_failed(r, name, twice);
		r->g->vars[var].declared = declared(p->input[i], &reason);
		if (reason &&
			!(r->odd[var] = pare_sprintf(r->a, "input '%.80s' is %s", name, reason)))
			return pare_reader_nomem(r);
		if ((st = check_declared(r, name, &r->g->vars[var].declared.shape)))
			return st;
		r->g->in[r->g->n_in++] = var;
	}
	return PARE_OK;
}

enum pare_status pare_reader_outputs(struct pare_reader *r, const Onnx__GraphProto *p)
{
	if (!p->n_output)
		return pare_fail(
			r->err, PARE_E_FORMAT, "%s: its graph has no outputs", r->source->path);
	if (!(r->g->out = pare_alloc_n(r->a, p->n_output, sizeof *r->g->out)))
		return pare_reader_nomem(r);
	for (size_t i = 0; i < p->n_output; i++) {
		const char *name = text(p->output[i]->name), *reason = NULL;
		int var = pare_reader_find(r, name);

		if (var < -1)
			return pare_reader_nomem(r);
		if (var < 0)
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: nothing makes the graph's output '%s'", r->source->path, name);
		if (r->g->vars[var].producer >= 0)
			r->g->vars[var].declared = declared(p->output[i], &reason);
		r->g->out[r->g->n_out++] = var;
	}
	return PARE_OK;
}
