/* ONNX file → model.  What is damaged is an error; what is only beyond pare leaves a node without a
 * row and with a reason. */
#include "../base/err.h"
#include "../base/hash.h"
#include "../base/names.h"
#include "attrs.h"
#include "onnx.h"
#include "wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET_MIN = 1, OPSET_MAX = 23, IR_MIN = 3, IR_MAX = 14 };

struct reader {
	struct pare_source source;
	struct pare_arena *a;
	struct pare_graph *g;
	struct pare_names names; /* of vars */
	const char **odd;        /* [vars]: why a value can be of no use; NULL = it is fine */
	int opset, room;         /* room for vars */
	struct pare_err *err;
};

static const char *text(const char *s)
{
	return s ? s : "";
}

static const char *label(const struct reader *r, const struct pare_node *n)
{
	static const char unnamed[] = "node";
	const char *s = NULL;

	if (*n->name)
		s = pare_sprintf(r->a, "node '%s' (%s)", n->name, n->op_type);
	else
		s = pare_sprintf(r->a, "node %d (%s)", (int)(n - r->g->nodes), n->op_type);
	return s ? s : unnamed;
}

static enum pare_status
node_bad(const struct reader *r, const struct pare_node *n, enum pare_status code, const char *what)
{
	return pare_fail(r->err, code, "%s: %s: %s", r->source.path, label(r, n), what);
}

static enum pare_status no_memory(const struct reader *r)
{
	return pare_fail(
		r->err, PARE_E_NOMEM, "%s: not enough memory for its graph", r->source.path);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* A new value; `name` is copied.  -1: no memory, or it is there already (then *twice). */
static int add_var(struct reader *r, const char *name, bool *twice)
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

static enum pare_status var_failed(const struct reader *r, const char *name, bool twice)
{
	if (!twice)
		return no_memory(r);
	return pare_fail(
		r->err, PARE_E_FORMAT, "%s: two values are named '%s'", r->source.path, name);
}

/* A constant's tensor header lives in the arena, its data in the blob. */
static enum pare_status
set_constant(struct reader *r, int var, const struct pare_tensor *x, struct pare_blob *b)
{
	struct pare_var *v = &r->g->vars[var];
	struct pare_tensor *copy = pare_memdup(r->a, x, sizeof *x);

	v->blob = b; /* the model frees it, come what may */
	if (!copy)
		return no_memory(r);
	v->declared = (struct pare_known){ x->dtype, x->shape, copy };
	return PARE_OK;
}

static enum pare_status
read_tensor(struct reader *r, const Onnx__TensorProto *t, const char *name, int var)
{
	struct pare_err inner = { 0 };
	struct pare_tensor x;
	struct pare_blob *b;
	enum pare_status st = pare_source_take(&r->source, t, &x, &b, &inner);

	if (st == PARE_E_UNSUPPORTED) {
		r->odd[var] = pare_sprintf(r->a, "constant '%.80s': %.160s", name, inner.text);
		return r->odd[var] ? PARE_OK : no_memory(r);
	}
	if (st)
		return pare_fail(
			r->err, st, "%s: tensor '%s': %s", r->source.path, name, inner.text);
	return set_constant(r, var, &x, b);
}

static enum pare_status read_initializers(struct reader *r, const Onnx__GraphProto *p)
{
	bool twice;

	for (size_t i = 0; i < p->n_initializer; i++) {
		const char *name = text(p->initializer[i]->name);
		int var = add_var(r, name, &twice);
		enum pare_status st;

		if (var < 0)
			return var_failed(r, name, twice);
		if ((st = read_tensor(r, p->initializer[i], name, var)))
			return st;
	}
	for (size_t i = 0; i < p->n_sparse_initializer; i++) {
		const Onnx__TensorProto *t = p->sparse_initializer[i]->values;
		const char *name = text(t ? t->name : NULL);
		int var = add_var(r, name, &twice);

		if (var < 0)
			return var_failed(r, name, twice);
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
check_declared(const struct reader *r, const char *name, const struct pare_shape *s)
{
	struct pare_shape known = *s;

	for (int i = 0; i < known.n; i++)
		known.d[i] = known.d[i] < 0 ? 1 : known.d[i];
	if (known.n > 0 && pare_shape_elems(&known) < 0)
		return pare_fail(r->err, PARE_E_FORMAT, "%s: the shape of '%s' is absurdly large",
			r->source.path, name);
	return PARE_OK;
}

static enum pare_status read_inputs(struct reader *r, const Onnx__GraphProto *p)
{
	bool twice;

	if (!(r->g->in = pare_alloc_n(r->a, p->n_input, sizeof *r->g->in)))
		return no_memory(r);
	for (size_t i = 0; i < p->n_input; i++) {
		const char *name = text(p->input[i]->name), *reason = NULL;
		int var = pare_names_find(&r->names, name);
		enum pare_status st;

		if (var >= 0 && (r->g->vars[var].blob || r->odd[var]))
			continue; /* an initializer that is listed among the inputs too */
		var = add_var(r, name, &twice);
		if (var < 0)
			return var_failed(r, name, twice);
		r->g->vars[var].declared = declared(p->input[i], &reason);
		if (reason &&
			!(r->odd[var] = pare_sprintf(r->a, "input '%.80s' is %s", name, reason)))
			return no_memory(r);
		if ((st = check_declared(r, name, &r->g->vars[var].declared.shape)))
			return st;
		r->g->in[r->g->n_in++] = var;
	}
	return PARE_OK;
}

static enum pare_status read_outputs(struct reader *r, const Onnx__GraphProto *p)
{
	if (!p->n_output)
		return pare_fail(
			r->err, PARE_E_FORMAT, "%s: its graph has no outputs", r->source.path);
	if (!(r->g->out = pare_alloc_n(r->a, p->n_output, sizeof *r->g->out)))
		return no_memory(r);
	for (size_t i = 0; i < p->n_output; i++) {
		const char *name = text(p->output[i]->name), *reason = NULL;
		int var = pare_names_find(&r->names, name);

		if (var < 0)
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: nothing makes the graph's output '%s'", r->source.path, name);
		if (r->g->vars[var].producer >= 0)
			r->g->vars[var].declared = declared(p->output[i], &reason);
		r->g->out[r->g->n_out++] = var;
	}
	return PARE_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static enum pare_status refuse(struct reader *r, struct pare_node *n, const char *why)
{
	if (n->op || !n->why)
		n->why = why;
	n->op = NULL;
	n->attr = NULL;
	return why ? PARE_OK : no_memory(r);
}

static bool is_constant_op(const Onnx__NodeProto *p)
{
	return !strcmp(text(p->op_type), "Constant") && !*text(p->domain);
}

/* Constant is no node: its value becomes an initializer. */
static enum pare_status read_constant(struct reader *r, const Onnx__NodeProto *p, int var)
{
	static const char *const forms[] = { "value_float", "value_floats", "value_int",
		"value_ints" };
	const Onnx__AttributeProto *x = p->n_attribute == 1 ? p->attribute[0] : NULL;
	struct pare_tensor t = { .lanes = 1 };
	struct pare_blob *b;
	const void *data;
	size_t n, form;

	if (x && x->t && !strcmp(text(x->name), "value"))
		return read_tensor(r, x->t, r->g->vars[var].name, var);
	for (form = 0; x && form < 4 && strcmp(text(x->name), forms[form]); form++)
		continue;
	if (!x || form == 4) {
		r->odd[var] = "a Constant of a kind that pare does not read";
		return PARE_OK;
	}
	t.dtype = form < 2 ? PARE_F32 : PARE_I64;
	t.shape.n = form % 2;
	n = form == 1 ? x->n_floats : form == 3 ? x->n_ints : 1;
	t.shape.d[0] = (int64_t)n;
	data = form == 0   ? (const void *)&x->f
	       : form == 1 ? (const void *)x->floats
	       : form == 2 ? (const void *)&x->i
			   : (const void *)x->ints;
	n *= pare_dtype_bits(t.dtype) / 8;
	if (!(b = pare_blob_new(n)))
		return no_memory(r);
	if (n)
		memcpy(b->data, data, n);
	t.data = b->data;
	return set_constant(r, var, &t, b);
}

/* Names go to screens and into recipes: one word, nothing that a terminal would obey. */
static const char *clean_name(struct reader *r, const char *s)
{
	char *name = pare_strdup(r->a, s);

	for (char *c = name; c && *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127)
			*c = '_';
	return name;
}

static enum pare_status
declare_node(struct reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	n->name = clean_name(r, text(p->name));
	n->op_type = clean_name(r, text(p->op_type));
	n->domain = clean_name(r, text(p->domain));
	n->n_out = (int)p->n_output;
	n->out = pare_alloc_n(r->a, p->n_output, sizeof *n->out);
	if (!n->name || !n->op_type || !n->domain || !n->out)
		return no_memory(r);
	for (int i = 0; i < n->n_out; i++) {
		bool twice;

		n->out[i] = -1;
		if (!*p->output[i])
			continue;
		n->out[i] = add_var(r, p->output[i], &twice);
		if (n->out[i] < 0)
			return var_failed(r, p->output[i], twice);
		r->g->vars[n->out[i]].producer = (int)(n - r->g->nodes);
	}
	return PARE_OK;
}

/* First all values get their numbers, then nodes look up what they read: files need not be sorted.
 */
static enum pare_status declare_nodes(struct reader *r, const Onnx__GraphProto *p, int *index)
{
	for (size_t i = 0; i < p->n_node; i++) {
		const Onnx__NodeProto *x = p->node[i];
		struct pare_node *n = &r->g->nodes[r->g->n_nodes];
		enum pare_status st;
		bool twice;
		int var;

		index[i] = -1;
		if (is_constant_op(x) && x->n_output == 1) {
			if ((var = add_var(r, x->output[0], &twice)) < 0)
				return var_failed(r, x->output[0], twice);
			if ((st = read_constant(r, x, var)))
				return st;
			continue;
		}
		index[i] = r->g->n_nodes;
		if ((st = declare_node(r, x, n)))
			return st;
		r->g->n_nodes++;
	}
	return PARE_OK;
}

/* A value that the file does not name; -1: no memory. */
static int add_named_after(struct reader *r, const char *owner, const char *what)
{
	bool twice = true;
	int var = -1;

	for (int k = 0; var < 0 && twice; k++) {
		const char *name = k ? pare_sprintf(r->a, "%s.%s_%d", owner, what, k)
				     : pare_sprintf(r->a, "%s.%s", owner, what);

		if (!name)
			return -1;
		var = add_var(r, name, &twice);
	}
	return var;
}

/* An attribute of an older opset that is an input now. */
static enum pare_status attribute_to_input(struct reader *r, struct pare_node *n,
	const struct pare_attr *t, const Onnx__AttributeProto *x)
{
	struct pare_tensor v = { .lanes = 1 };
	size_t n_values = 1, size;
	const void *data = &x->i;
	struct pare_blob *b;
	int var;

	v.dtype = t->type == PARE_ATTR_INT || t->type == PARE_ATTR_INTS ? PARE_I64 : PARE_F32;
	size = pare_dtype_bits(v.dtype) / 8;
	v.shape = (struct pare_shape){ 1, { 1 } };
	if (t->type == PARE_ATTR_FLOAT) {
		v.shape.n = 0;
		data = &x->f;
	} else if (t->type == PARE_ATTR_INTS) {
		n_values = x->n_ints;
		data = x->ints;
	} else if (t->type == PARE_ATTR_FLOATS) {
		n_values = x->n_floats;
		data = x->floats;
	}
	v.shape.d[0] = (int64_t)n_values;
	if (n->in[t->as_input] >= 0)
		return PARE_OK; /* the newer form rules */
	if ((var = add_named_after(r, r->g->vars[n->out[0]].name, t->name)) < 0)
		return no_memory(r);
	if (!(b = pare_blob_new(n_values * size)))
		return no_memory(r);
	if (n_values)
		memcpy(b->data, data, n_values * size);
	v.data = b->data;
	n->in[t->as_input] = var;
	return set_constant(r, var, &v, b);
}

static enum pare_status
attributes_to_inputs(struct reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	for (size_t i = 0; i < p->n_attribute; i++) {
		const struct pare_attr *t = pare_attr_find(n->op, text(p->attribute[i]->name));
		enum pare_status st;

		if (!t || t->as_input <= 0)
			continue;
		if ((st = attribute_to_input(r, n, t, p->attribute[i])))
			return st;
		if (n->n_in <= t->as_input)
			n->n_in = t->as_input + 1;
	}
	return PARE_OK;
}

/* Room for the inputs as given and for attributes that become inputs. */
static int input_room(const struct pare_op *op, size_t n_input)
{
	int room = (int)n_input;

	for (const struct pare_attr *t = op ? op->attrs : NULL; t && t->name; t++)
		if (t->as_input >= room)
			room = t->as_input + 1;
	return room;
}

static enum pare_status
resolve_inputs(struct reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	int room = input_room(n->op, p->n_input);

	if (!(n->in = pare_alloc_n(r->a, (size_t)room, sizeof *n->in)))
		return no_memory(r);
	for (int i = 0; i < room; i++)
		n->in[i] = -1;
	for (size_t i = 0; i < p->n_input; i++) {
		const char *name = p->input[i];

		if (!*name)
			continue;
		n->in[i] = pare_names_find(&r->names, name);
		if (n->in[i] < 0)
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: %s reads '%s', which nothing makes", r->source.path,
				label(r, n), name);
		n->n_in = (int)i + 1; /* absent ones at the end are no inputs */
	}
	return PARE_OK;
}

static enum pare_status check_arity(const struct reader *r, const struct pare_node *n)
{
	const struct pare_op *op = n->op;
	char what[96] = "";

	if (n->n_in < op->min_in)
		snprintf(what, sizeof what, "has %d inputs, it needs %d", n->n_in, op->min_in);
	else if (op->max_in >= 0 && n->n_in > op->max_in)
		snprintf(what, sizeof what, "has %d inputs, it takes at most %d", n->n_in,
			op->max_in);
	else
		for (int i = 0; i < op->min_in && !*what; i++)
			if (n->in[i] < 0)
				snprintf(what, sizeof what, "input %d is missing", i);
	return *what ? node_bad(r, n, PARE_E_FORMAT, what) : PARE_OK;
}

static enum pare_status read_node(struct reader *r, const Onnx__NodeProto *p, struct pare_node *n)
{
	struct pare_err inner = { 0 };
	const char *why = NULL;
	enum pare_status st;

	n->op = pare_op_find(n->domain, n->op_type);
	if ((st = resolve_inputs(r, p, n)))
		return st;
	if (!n->op)
		return refuse(r, n, "pare has no such operator");
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] >= 0 && r->odd[n->in[i]])
			return refuse(r, n, r->odd[n->in[i]]);
	if ((st = pare_attrs_read(&r->source, r->a, p, n, &why, &inner)))
		return node_bad(r, n, st, inner.text);
	if (why)
		return refuse(r, n, why);
	if (n->n_out < 1 || n->out[0] < 0)
		return node_bad(r, n, PARE_E_FORMAT, "has no output");
	if ((st = attributes_to_inputs(r, p, n)) || (st = check_arity(r, n)))
		return st;
	st = n->op->upgrade ? n->op->upgrade(n, r->opset, &inner) : PARE_OK;
	if (st == PARE_E_UNSUPPORTED)
		return refuse(r, n, pare_strdup(r->a, inner.text));
	if (st)
		return node_bad(r, n, st, inner.text);
	why = n->op->refuse ? n->op->refuse(n, n->attr) : NULL;
	return why ? refuse(r, n, pare_strdup(r->a, why)) : PARE_OK;
}

/* Outputs that the row does not make: gone when nobody reads them, else the node is refused. */
static enum pare_status check_outputs(struct reader *r)
{
	struct pare_graph *g = r->g;
	bool *used = calloc((size_t)g->n_vars + 1, sizeof *used);
	enum pare_status st = PARE_OK;

	if (!used)
		return no_memory(r);
	for (int i = 0; i < g->n_nodes; i++)
		for (int k = 0; k < g->nodes[i].n_in; k++)
			if (g->nodes[i].in[k] >= 0)
				used[g->nodes[i].in[k]] = true;
	for (int i = 0; i < g->n_out; i++)
		used[g->out[i]] = true;
	for (int i = 0; i < g->n_nodes && !st; i++) {
		struct pare_node *n = &g->nodes[i];
		int max = n->op && n->op->max_out ? n->op->max_out : 1;

		for (int k = max; n->op && k < n->n_out; k++)
			if (n->out[k] >= 0 && used[n->out[k]])
				st = refuse(r, n,
					pare_sprintf(r->a, "its output %d is not supported", k));
		if (n->op && n->n_out > max)
			n->n_out = max;
	}
	free(used);
	return st;
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* An upper bound of the values that a graph can have. */
static size_t count_vars(const Onnx__GraphProto *p)
{
	size_t n = p->n_initializer + p->n_sparse_initializer + p->n_input;

	for (size_t i = 0; i < p->n_node; i++)
		n += p->node[i]->n_output + p->node[i]->n_attribute;
	return n;
}

static enum pare_status read_graph(struct reader *r, const Onnx__GraphProto *p)
{
	size_t n_vars = count_vars(p);
	struct pare_graph *g = r->g;
	enum pare_status st;
	int *index;

	if (n_vars > INT32_MAX / 2 || p->n_node > INT32_MAX / 2)
		return pare_fail(r->err, PARE_E_UNSUPPORTED, "%s: too many nodes", r->source.path);
	r->room = (int)n_vars;
	g->name = pare_strdup(r->a, text(p->name));
	g->vars = pare_alloc_n(r->a, n_vars, sizeof *g->vars);
	g->nodes = pare_alloc_n(r->a, p->n_node, sizeof *g->nodes);
	r->odd = pare_alloc_n(r->a, n_vars, sizeof *r->odd);
	index = pare_alloc_n(r->a, p->n_node, sizeof *index);
	if (!g->name || !g->vars || !g->nodes || !r->odd || !index)
		return no_memory(r);
	if ((st = read_initializers(r, p)) || (st = read_inputs(r, p)) ||
		(st = declare_nodes(r, p, index)))
		return st;
	for (size_t i = 0; i < p->n_node; i++)
		if (index[i] >= 0 && (st = read_node(r, p->node[i], &g->nodes[index[i]])))
			return st;
	if ((st = read_outputs(r, p)) || (st = check_outputs(r)))
		return st;
	return PARE_OK;
}

static bool is_default(const char *domain)
{
	return !*domain || !strcmp(domain, "ai.onnx");
}

static bool uses_default_domain(const Onnx__GraphProto *g)
{
	for (size_t i = 0; i < g->n_node; i++)
		if (is_default(text(g->node[i]->domain)))
			return true;
	return false;
}

static enum pare_status check_versions(struct reader *r, const Onnx__ModelProto *p)
{
	bool has_opset = false;

	if (!p->graph || !p->has_ir_version)
		return pare_fail(r->err, PARE_E_FORMAT, "%s: not an ONNX model", r->source.path);
	if (p->ir_version < IR_MIN || p->ir_version > IR_MAX)
		return pare_fail(r->err, PARE_E_UNSUPPORTED,
			"%s: its IR version is %lld, pare reads %d to %d", r->source.path,
			(long long)p->ir_version, IR_MIN, IR_MAX);
	for (size_t i = 0; i < p->n_opset_import; i++) {
		if (!is_default(text(p->opset_import[i]->domain)))
			continue;
		has_opset = true;
		r->opset =
			p->opset_import[i]->version < 0 || p->opset_import[i]->version > INT32_MAX
				? 0
				: (int)p->opset_import[i]->version;
	}
	if (!has_opset && !uses_default_domain(p->graph))
		return PARE_OK;
	if (!has_opset)
		return pare_fail(r->err, PARE_E_FORMAT,
			"%s: it does not say which ONNX opset it is written in", r->source.path);
	if (r->opset < OPSET_MIN || r->opset > OPSET_MAX)
		return pare_fail(r->err, PARE_E_UNSUPPORTED,
			"%s: its opset is %d, pare reads %d to %d; convert it with "
			"onnx.version_converter",
			r->source.path, r->opset, OPSET_MIN, OPSET_MAX);
	return PARE_OK;
}

static enum pare_status
unpack(const struct pare_source *s, Onnx__ModelProto **out, struct pare_err *err)
{
	struct pare_err inner = { 0 };
	enum pare_status st;
	uint8_t *thin;
	size_t len;

	if (!s->buf->len)
		return pare_fail(err, PARE_E_FORMAT, "%s: is empty", s->path);
	st = pare_wire_thin(PARE_WIRE_MODEL, s->buf->data, s->buf->len, &thin, &len, &inner);
	if (st) /* every ONNX file begins with its IR version */
		return ((const uint8_t *)s->buf->data)[0] == 8 || st != PARE_E_FORMAT
			       ? pare_fail(err, st, "%s: %s", s->path, inner.text)
			       : pare_fail(err, st, "%s: not an ONNX model", s->path);
	*out = onnx__model_proto__unpack(NULL, len, thin);
	free(thin);
	if (!*out)
		return pare_fail(
			err, PARE_E_FORMAT, "%s: not an ONNX model, or a damaged one", s->path);
	return PARE_OK;
}

/* Takes buf over. */
static enum pare_status
read_model(struct pare_blob *buf, const char *path, struct pare_model **out, struct pare_err *err)
{
	struct reader r = { .source = { .path = path, .buf = buf }, .err = err };
	Onnx__ModelProto *p = NULL;
	struct pare_model *m = NULL;
	enum pare_status st = PARE_OK;

	if (!(m = pare_model_new()) || !(m->info.path = pare_strdup(m->arena, path))) {
		st = pare_nomem(err, path);
		goto out;
	}
	pare_sha256(buf->data, buf->len, m->info.sha256);
	if ((st = unpack(&r.source, &p, err)) || (st = check_versions(&r, p)))
		goto out;
	r.a = m->arena;
	r.g = &m->graph;
	m->ir_version = p->ir_version;
	m->info.opset = r.opset;
	if ((st = read_graph(&r, p->graph)))
		goto out;
	m->info.bytes = (int64_t)buf->len + r.source.external;
	if ((st = pare_graph_simplify(&m->graph, m->arena, err)) || (st = pare_model_index(m, err)))
		st = pare_wrap(err, st, "%s", path);
out:
	pare_names_free(&r.names);
	if (p)
		onnx__model_proto__free_unpacked(p, NULL);
	pare_blob_free(buf);
	if (st)
		pare_model_free(m);
	else
		*out = m;
	return st;
}

enum pare_status pare_onnx_read(const void *data, size_t len, const char *path,
	struct pare_model **out, struct pare_err *err)
{
	struct pare_blob *buf = pare_blob_new(len);

	if (!buf)
		return pare_fail(
			err, PARE_E_NOMEM, "%s: not enough memory for its %zu bytes", path, len);
	if (len)
		memcpy(buf->data, data, len);
	return read_model(buf, path, out, err);
}

enum pare_status pare_model_open(const char *path, struct pare_model **out, struct pare_err *err)
{
	struct pare_blob *buf;
	enum pare_status st = pare_source_load(path, &buf, err);

	return st ? st : read_model(buf, path, out, err);
}
