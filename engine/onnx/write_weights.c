/* Weights as they are written: halves behind a Cast, integers behind a DequantizeLinear. */
#include "../base/err.h"
#include "../quantize/grid.h"
#include "source.h"
#include "writer.h"

static const void *
to_half(struct writer *w, enum pare_dtype dtype, const float *f, int64_t n, bool *good)
{
	uint16_t *h = w->bytes ? pare_alloc_n(w->a, (size_t)n, sizeof *h) : NULL;

	*good = h || !w->bytes;
	for (int64_t i = 0; h && i < n; i++)
		h[i] = dtype == PARE_F16 ? pare_f32_to_f16(f[i]) : pare_f32_to_bf16(f[i]);
	return h;
}

static const void *to_nibbles(struct writer *w, const int8_t *q, int64_t n, int lift, bool *good)
{
	uint8_t *p = w->bytes ? pare_alloc(w->a, (size_t)(n + 1) / 2) : NULL;

	*good = p || !w->bytes;
	for (int64_t i = 0; p && i < n; i++)
		p[i / 2] |= (uint8_t)(((q[i] + lift) & 15) << i % 2 * 4);
	return p;
}

static const char *write_half(struct writer *w, const struct pare_layer *l,
	const struct pare_tensor *x, enum pare_dtype dtype)
{
	bool good;
	const void *data = to_half(w, dtype, x->f32, l->weights, &good);
	const char *name = pare_writer_derived(w, l->name, "weight.half");
	Onnx__AttributeProto *to = pare_proto_int(w->a, "to", pare_dtype_to_onnx(PARE_F32));

	pare_writer_opset(w, PARE_OPSET_QDQ); /* Cast of bfloat16 */
	if (!good || !to || !pare_writer_initializer(w, name, dtype, &x->shape, data))
		return NULL;
	return pare_writer_node(w, "Cast", l->name, "weight", &name, 1, &to, 1);
}

static int64_t scales_of(const struct pare_layer *l, const struct pare_weight_store *s)
{
	struct pare_channels c = pare_channels_of(&l->weight, s->axis);
	int64_t n = c.outer * c.inner;

	return c.channels * (s->group ? (n + s->group - 1) / s->group : 1);
}

/* q, scale and zero as initializers; in: their names.  Zero points are stored as q is. */
static bool add_integers(struct writer *w, const struct pare_layer *l,
	const struct pare_weight_store *s, const int8_t *q, const struct pare_shape *shape,
	const struct pare_shape *scales, const char *in[3])
{
	const void *data = q, *zero = s->zero;
	bool good = true, fine = true;
	enum pare_dtype dtype = s->lifted ? PARE_U4 : s->dtype;
	int lift = s->lifted ? 8 : 0;
	int8_t *none = zero || !w->bytes ? NULL : pare_alloc(w->a, (size_t)s->n_scales);

	in[0] = pare_writer_derived(w, l->name, "weight.q");
	in[1] = pare_writer_derived(w, l->name, "weight.scale");
	in[2] = pare_writer_derived(w, l->name, "weight.zero");
	if (pare_dtype_bits(s->dtype) == 4) {
		data = to_nibbles(w, q, l->weights, lift, &good);
		zero = zero ? to_nibbles(w, zero, s->n_scales, lift, &fine) : none;
	}
	zero = zero ? zero : none;
	return good && fine && (zero || !w->bytes) &&
	       pare_writer_initializer(w, in[0], dtype, shape, w->bytes ? data : NULL) &&
	       pare_writer_initializer(w, in[1], PARE_F32, scales, w->bytes ? s->scale : NULL) &&
	       pare_writer_initializer(w, in[2], dtype, scales, w->bytes ? zero : NULL);
}

static const char *write_plain(struct writer *w, const struct pare_layer *l,
	const struct pare_tensor *x, const struct pare_weight_store *s)
{
	bool per_axis = s->axis >= 0;
	struct pare_shape scales = { per_axis, { s->n_scales } };
	Onnx__AttributeProto *axis = per_axis ? pare_proto_int(w->a, "axis", s->axis) : NULL;
	const char *in[3];

	pare_writer_opset(w, pare_dtype_bits(s->dtype) == 4 ? PARE_OPSET_INT4 : PARE_OPSET_QDQ);
	if (!add_integers(w, l, s, s->q, &x->shape, &scales, in))
		return NULL;
	return pare_writer_node(w, "DequantizeLinear", l->name, "weight", in, 3, &axis, per_axis);
}

/* The integers of a weight, channel after channel. */
static const int8_t *
channel_major(struct writer *w, const struct pare_channels *c, const int8_t *q, bool *good)
{
	int64_t n = c->outer * c->inner;
	int8_t *p;

	*good = true;
	if (!w->bytes || c->outer == 1)
		return q;
	p = pare_alloc(w->a, (size_t)(n * c->channels));
	*good = p != NULL;
	for (int64_t o = 0; p && o < c->channels; o++)
		for (int64_t i = 0; i < n; i++)
			p[o * n + i] = q[pare_channel_at(c, o, i)];
	return p;
}

/* Blocks of a row of [channels][the rest]: the form that ONNX has for groups, whatever the weight's
 * own shape.  What brings it back is a Reshape and a Transpose, or one of them.  A MatMul whose
 * weight comes straight from blocks would be computed by ONNX Runtime (1.32) with activations of 8
 * bits that nobody asked for. */
static const char *
write_grouped(struct writer *w, const struct pare_layer *l, const struct pare_weight_store *s)
{
	struct pare_channels c = pare_channels_of(&l->weight, s->axis);
	struct pare_shape flat = { 2, { c.channels, c.outer * c.inner } }, wide = { 0 };
	struct pare_shape scales = { 2, { c.channels, s->n_scales / c.channels } };
	struct pare_shape list = { 1, { l->weight.n } };
	int64_t perm[PARE_MAX_DIMS] = { 0 }, *dims;
	Onnx__AttributeProto *attr[2] = { pare_proto_int(w->a, "axis", 1),
		pare_proto_int(w->a, "block_size", s->group) };
	const char *in[3], *back[2];
	bool good;
	const int8_t *q = channel_major(w, &c, s->q, &good);

	wide.d[wide.n++] = l->weight.d[s->axis];
	for (int i = 0; i < l->weight.n; i++) {
		perm[i] = i == s->axis ? 0 : wide.n;
		if (i != s->axis)
			wide.d[wide.n++] = l->weight.d[i];
	}
	pare_writer_opset(w, PARE_OPSET_BLOCKS);
	if (!good || !add_integers(w, l, s, q, &flat, &scales, in) ||
		!(back[0] = pare_writer_node(
			  w, "DequantizeLinear", l->name, "weight.rows", in, 3, attr, 2)))
		return NULL;
	if (c.outer == 1) /* the axis is the first that is longer than 1 */
		wide = l->weight;
	if (l->weight.n != 2 || (c.outer == 1 && s->axis)) {
		dims = pare_memdup(w->a, wide.d, (size_t)wide.n * sizeof *dims);
		back[1] = pare_writer_derived(w, l->name, "weight.shape");
		if (!dims || !pare_writer_initializer(w, back[1], PARE_I64, &list, dims) ||
			!(back[0] = pare_writer_node(
				  w, "Reshape", l->name, "weight.wide", back, 2, NULL, 0)))
			return NULL;
	}
	if (c.outer > 1) {
		attr[0] = pare_proto_ints(w->a, "perm", perm, (size_t)l->weight.n);
		back[0] = pare_writer_node(w, "Transpose", l->name, "weight", back, 1, attr, 1);
	}
	return back[0];
}

bool pare_writes_codes(const struct writer *w, int i)
{
	const struct pare_weight_store *s = w->spec->weights ? &w->spec->weights[i] : NULL;

	return s && (s->dtype == PARE_I8 || s->dtype == PARE_U8) && s->axis <= 0 &&
	       w->m->weight_at[i].alone && pare_layer_leads(w->m, i) &&
	       w->m->layers[i].weight.n == 2 && s->n_scales == scales_of(&w->m->layers[i], s);
}

enum pare_status
pare_write_codes(struct writer *w, int i, const char **codes, const char **scale, const char **zero)
{
	const struct pare_layer *l = &w->m->layers[i];
	const struct pare_weight_store *s = &w->spec->weights[i];
	struct pare_shape scales = { s->axis < 0 ? 0 : 2,
		{ l->weight.d[0], s->n_scales / l->weight.d[0] } };
	const char *in[3];

	if (!add_integers(w, l, s, s->q, &l->weight, &scales, in))
		return pare_writer_nomem(w);
	*codes = in[0];
	*scale = in[1];
	*zero = in[2];
	return PARE_OK;
}

enum pare_status pare_write_decoded(struct writer *w, int i, const char *rows, const char *scale,
	const char *zero, const char *index, const char *out)
{
	const struct pare_layer *l = &w->m->layers[i];
	const struct pare_weight_store *s = &w->spec->weights[i];
	bool each = s->axis >= 0;
	const char *by[2][2] = { { scale, index }, { zero, index } },
		   *in[3] = { rows, scale, zero };
	Onnx__AttributeProto *attr[2] = { pare_proto_int(w->a, "axis", -1),
		pare_proto_int(w->a, "block_size", s->group ? s->group : l->weight.d[1]) };

	pare_writer_opset(w, each ? PARE_OPSET_BLOCKS : PARE_OPSET_QDQ);
	if (each) {
		in[1] = pare_writer_node(w, "Gather", l->name, "scale", by[0], 2, NULL, 0);
		in[2] = pare_writer_node(w, "Gather", l->name, "zero", by[1], 2, NULL, 0);
	}
	if (!in[1] || !in[2] ||
		!pare_writer_node(
			w, "DequantizeLinear", l->name, "decoded", in, 3, attr, each ? 2 : 0))
		return pare_writer_nomem(w);
	w->graph.node[w->graph.n_node - 1]->output[0] = (char *)out;
	return PARE_OK;
}

enum pare_status pare_write_weight(struct writer *w, int i, const char **name)
{
	const struct pare_layer *l = &w->m->layers[i];
	int var = w->m->graph.nodes[l->node].in[w->m->weight_at[i].input];
	const struct pare_tensor *x = w->m->graph.vars[var].declared.value;
	const struct pare_weight_store *s = w->spec->weights ? &w->spec->weights[i] : NULL;
	enum pare_dtype dtype = s ? s->dtype : PARE_UNDEFINED;

	*name = w->name[var];
	if (dtype == PARE_UNDEFINED || dtype == PARE_F32) {
		if (!w->written[var] &&
			!pare_writer_initializer(w, *name, PARE_F32, &x->shape, x->data))
			return pare_writer_nomem(w);
		w->written[var] = true;
		return PARE_OK;
	}
	if (dtype == PARE_F16 || dtype == PARE_BF16)
		*name = write_half(w, l, x, dtype);
	else if (!pare_writer_is_integer(dtype))
		return pare_fail(w->err, PARE_E_ARG, "layer '%s': weights cannot be stored as %s",
			l->name, pare_dtype_name(dtype));
	else if (s->axis >= l->weight.n || s->n_scales != scales_of(l, s))
		return pare_fail(w->err, PARE_E_ARG, "layer '%s': %lld scales on axis %d", l->name,
			(long long)s->n_scales, s->axis);
	else
		*name = s->group ? write_grouped(w, l, s) : write_plain(w, l, x, s);
	return *name ? PARE_OK : pare_writer_nomem(w);
}
