/* One test walks all rows of operators: each has a small case in its row. */
#include "engine/base/rng.h"
#include "engine/graph/model.h"
#include "engine/ops/op.h"
#include "engine/run/kernels.h"
#include "tests/tap.h"
#include <math.h>

enum { MAX_IN = 12, MAX_OUT = 8, SAMPLES = 16, GUARD = 64 };

/* ---- a case from its text ------------------------------------------------------------------- */

struct input {
	bool absent, constant, positive;
	enum pare_dtype dtype;
	struct pare_shape shape;
	unsigned char *data[SAMPLES]; /* constants: [0] alone */
};

struct sample {
	struct pare_arena *a;
	const struct pare_op *op;
	void *attr;
	struct pare_node node;
	int n_in, n_out;
	struct input in[MAX_IN];
	struct pare_known out[MAX_OUT];
};

static size_t size_of(enum pare_dtype t)
{
	return pare_dtype_bits(t) / 8;
}

static enum pare_dtype dtype_of(const char *s, size_t n)
{
	static const struct {
		const char *name;
		enum pare_dtype t;
	} names[] = { { "f32", PARE_F32 }, { "i64", PARE_I64 }, { "i32", PARE_I32 },
		{ "bool", PARE_BOOL }, { "u8", PARE_U8 }, { "i8", PARE_I8 } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i].name) == n && !strncmp(names[i].name, s, n))
			return names[i].t;
	return PARE_UNDEFINED;
}

static void put(enum pare_dtype t, unsigned char *p, size_t i, double v)
{
	switch (t) {
	case PARE_F32:
		((float *)p)[i] = (float)v;
		break;
	case PARE_I64:
		((int64_t *)p)[i] = (int64_t)v;
		break;
	case PARE_I32:
		((int32_t *)p)[i] = (int32_t)v;
		break;
	default:
		p[i] = (unsigned char)v;
	}
}

static void fill(struct sample *s, struct input *in, struct pare_rng *rng)
{
	size_t n = (size_t)pare_shape_elems(&in->shape);

	for (int k = 0; k < (in->constant ? 1 : SAMPLES); k++) {
		in->data[k] = pare_alloc(s->a, n * size_of(in->dtype) + GUARD);
		for (size_t i = 0; i < n; i++) {
			double v = pare_rng_normal(rng);

			if (in->positive || in->dtype == PARE_BOOL)
				v = in->dtype == PARE_F32 ? 0.5 + pare_rng_unit(rng)
							  : (double)pare_rng_below(rng, 2);
			else if (in->dtype != PARE_F32)
				v = (double)pare_rng_below(rng, 7) - 3;
			put(in->dtype, in->data[k], i, v);
		}
	}
}

/* f32[1,3]! and kin; false when it is not an input. */
static bool read_input(struct sample *s, char *word, struct pare_rng *rng)
{
	size_t n = strcspn(word, "+[{=");
	struct input in = { .dtype = dtype_of(word, n) };
	char kind, *p;
	double v[64];
	int n_v = 0;

	if (!strcmp(word, "_")) {
		s->in[s->n_in++].absent = true;
		return true;
	}
	if (!in.dtype)
		return false;
	in.positive = word[n] == '+';
	n += in.positive;
	kind = word[n];
	for (p = word + n + 1; *p && *p != ']' && *p != '}'; p += *p == ',')
		v[n_v++] = strtod(p, &p);
	in.constant = kind != '[' || p[1] == '!';
	if (kind == '[') {
		in.shape.n = n_v;
		for (int i = 0; i < n_v; i++)
			in.shape.d[i] = (int64_t)v[i];
		fill(s, &in, rng);
	} else {
		in.shape = (struct pare_shape){ kind == '{', { n_v } };
		in.data[0] = pare_alloc(s->a, (size_t)n_v * size_of(in.dtype) + GUARD);
		for (int i = 0; i < n_v; i++)
			put(in.dtype, in.data[0], (size_t)i, v[i]);
	}
	s->in[s->n_in++] = in;
	return true;
}

static bool read_attr(struct sample *s, char *word)
{
	char *value = strchr(word, '=');
	const struct pare_attr *at = s->op->attrs;
	char *field = s->attr;

	if (!value)
		return false;
	*value++ = 0;
	while (at && at->name && strcmp(at->name, word))
		at++;
	if (!at || !at->name || at->as_input)
		return false;
	field += at->offset;
	switch (at->type) {
	case PARE_ATTR_INT:
		*(int64_t *)field = strtoll(value, NULL, 10);
		return true;
	case PARE_ATTR_FLOAT:
		*(float *)field = strtof(value, NULL);
		return true;
	case PARE_ATTR_STRING:
		*(const char **)field = pare_strdup(s->a, value);
		return true;
	case PARE_ATTR_INTS: {
		struct pare_ints *l = (struct pare_ints *)field;

		l->v = pare_alloc_n(s->a, 64, sizeof *l->v);
		for (char *p = value; *p; p += *p == ',')
			l->v[l->n++] = strtoll(p, &p, 10);
		return true;
	}
	case PARE_ATTR_STRINGS: {
		struct pare_strings *l = (struct pare_strings *)field;

		l->v = pare_alloc_n(s->a, 64, sizeof *l->v);
		for (char *p = strtok(value, ","); p; p = strtok(NULL, ","))
			l->v[l->n++] = pare_strdup(s->a, p);
		return true;
	}
	case PARE_ATTR_FLOATS: {
		struct pare_floats *l = (struct pare_floats *)field;

		l->v = pare_alloc_n(s->a, 64, sizeof *l->v);
		for (char *p = value; *p; p += *p == ',')
			l->v[l->n++] = strtof(p, &p);
		return true;
	}
	default:
		return false;
	}
}

static void preset_attrs(struct sample *s)
{
	for (const struct pare_attr *at = s->op->attrs; at && at->name; at++) {
		char *field = (char *)s->attr + at->offset;

		if (at->as_input)
			continue;
		if (at->type == PARE_ATTR_INT)
			*(int64_t *)field = (int64_t)at->preset;
		else if (at->type == PARE_ATTR_FLOAT)
			*(float *)field = (float)at->preset;
	}
}

/* `text` is one case of the row's; false, with a note, when it cannot be read. */
static bool sample_read(struct sample *s, const struct pare_op *op, const char *text, size_t len)
{
	struct pare_rng rng = pare_rng_seed(1, 0);
	char *copy, *save = NULL;
	static int var[MAX_IN + MAX_OUT];

	memset(s, 0, sizeof *s);
	s->a = pare_arena_new();
	s->op = op;
	s->attr = pare_alloc(s->a, op->attr_size + 16);
	s->n_out = 1;
	preset_attrs(s);
	copy = pare_strndup(s->a, text, len);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (!strncmp(w, "outputs=", 8)) {
			s->n_out = atoi(w + 8);
		} else if (!read_input(s, w, &rng) && !read_attr(s, w)) {
			printf("# cannot read '%s'\n", w);
			return false;
		}
	s->node = (struct pare_node){ .name = op->name,
		.op_type = op->name,
		.op = op,
		.attr = s->attr,
		.n_in = s->n_in,
		.n_out = s->n_out,
		.in = var,
		.out = var + MAX_IN };
	for (int i = 0; i < MAX_IN + MAX_OUT; i++)
		var[i] = i < s->n_in && s->in[i].absent ? -1 : i;
	return true;
}

/* ---- running it ----------------------------------------------------------------------------- */

/* The call for the row's shape functions; what it points to lives until the next one. */
static struct pare_shape_call shape_call(struct sample *s)
{
	static struct pare_known known[MAX_IN];
	static struct pare_tensor value[MAX_IN];
	static const struct pare_known *in[MAX_IN];

	for (int i = 0; i < s->n_in; i++) {
		const struct input *x = &s->in[i];

		in[i] = x->absent ? NULL : &known[i];
		value[i] = (struct pare_tensor){ x->dtype, 1, x->shape, { x->data[0] } };
		known[i] =
			(struct pare_known){ x->dtype, x->shape, x->constant ? &value[i] : NULL };
	}
	return (struct pare_shape_call){ .node = &s->node,
		.attr = s->attr,
		.n_in = s->n_in,
		.n_out = s->n_out,
		.in = in,
		.out = s->out };
}

static enum pare_status infer(struct sample *s, struct pare_err *err)
{
	struct pare_shape_call c = shape_call(s);

	return pare_op_shape(&c, err);
}

/* Samples first … first + lanes - 1 side by side. */
static struct pare_tensor input_tensor(struct sample *s, int i, int lanes, int first)
{
	const struct input *x = &s->in[i];
	size_t n = (size_t)pare_shape_elems(&x->shape), size = size_of(x->dtype);
	bool bare = x->constant && ((s->op->plain >> i & 1) || s->op->mixed);
	struct pare_tensor t = { x->dtype, bare ? 1 : lanes, x->shape, { NULL } };

	if (x->absent)
		return t;
	t.data = pare_alloc(s->a, n * size * (size_t)t.lanes);
	for (size_t e = 0; e < n; e++)
		for (int l = 0; l < t.lanes; l++)
			memcpy(t.u8 + (e * (size_t)t.lanes + (size_t)l) * size,
				x->data[x->constant ? 0 : first + l] + e * size, size);
	return t;
}

/* Outputs [shape][lanes] into out[], each filled with `dirt` before, with a guard behind it. */
static bool run(struct sample *s, const struct pare_kernels *k, int lanes, int first, int dirt,
	struct pare_tensor out[MAX_OUT])
{
	struct pare_tensor in[MAX_IN];
	const struct pare_tensor *ins[MAX_IN] = { 0 };
	struct pare_tensor *outs[MAX_OUT];
	struct pare_after after = { NULL, -INFINITY, INFINITY };
	struct pare_call c = { .node = &s->node,
		.attr = s->attr,
		.lanes = lanes,
		.n_in = s->n_in,
		.n_out = s->n_out,
		.in = ins,
		.out = outs,
		.k = k,
		.after = &after };
	struct pare_err err;

	for (int i = 0; i < s->n_in; i++) {
		in[i] = input_tensor(s, i, lanes, first);
		ins[i] = s->in[i].absent ? NULL : &in[i];
	}
	for (int i = 0; i < s->n_out; i++) {
		size_t n = (size_t)pare_shape_elems(&s->out[i].shape) * (size_t)lanes *
			   size_of(s->out[i].dtype);

		out[i] = (struct pare_tensor){ s->out[i].dtype, lanes, s->out[i].shape,
			{ pare_alloc(s->a, n + GUARD) } };
		memset(out[i].data, dirt, n + GUARD);
		outs[i] = &out[i];
	}
	if (pare_op_prepare(&c, s->a, &c.packed, &err))
		return false;
	c.scratch = pare_alloc(s->a, pare_op_scratch(&c));
	pare_op_forward(&c);
	return true;
}

/* Does the output hold `n` bytes that do not depend on what lay there, and is the guard whole? */
static bool writes_all(const struct pare_tensor *x, const struct pare_tensor *y)
{
	size_t n = (size_t)pare_shape_elems(&x->shape) * (size_t)x->lanes * size_of(x->dtype);

	for (int i = 0; i < GUARD; i++)
		if (x->u8[n + (size_t)i] != 0x11 || y->u8[n + (size_t)i] != 0xee)
			return false;
	return !memcmp(x->data, y->data, n);
}

static bool
lane_equals(const struct pare_tensor *many, int lane, const struct pare_tensor *one, float near)
{
	size_t n = (size_t)pare_shape_elems(&one->shape), size = size_of(one->dtype);

	for (size_t i = 0; i < n; i++) {
		size_t at = i * (size_t)many->lanes + (size_t)lane;

		if (!memcmp(many->u8 + at * size, one->u8 + i * size, size))
			continue;
		if (one->dtype != PARE_F32 ||
			!(fabsf(many->f32[at] - one->f32[i]) <= near * (1 + fabsf(one->f32[i]))))
			return false;
	}
	return true;
}

/* The kernels whose lanes are `lanes`; NULL when there are none on this machine. */
static const struct pare_kernels *kernels_of(int lanes)
{
	const struct pare_kernels *k;

	for (int i = 0; (k = pare_kernels_row(i)); i++)
		if (k->lanes == lanes)
			return k;
	return NULL;
}

static bool lanes_agree(struct sample *s, int lanes)
{
	const struct pare_kernels *k = kernels_of(lanes);
	struct pare_tensor many[MAX_OUT], one[MAX_OUT];
	float near = s->op->prepare ? 5e-5f : 1e-6f; /* vector code sums in an order of its own */

	if (!k && s->op->prepare) /* its vector code knows other lanes */
		return true;
	if (!run(s, k, lanes, 0, 0x11, many))
		return false;
	for (int l = 0; l < lanes; l++) {
		if (!run(s, k, 1, l, 0xee, one))
			return false;
		for (int o = 0; o < s->n_out; o++)
			if (!lane_equals(&many[o], l, &one[o], near))
				return false;
	}
	return true;
}

/* Where the row says that it is a scale and a shift a channel, is it? */
static bool affine_agrees(struct sample *s, int *said)
{
	struct pare_shape_call c = shape_call(s);
	struct pare_tensor out[MAX_OUT];
	const float *x = (const float *)s->in[0].data[0];
	int64_t n = pare_shape_elems(&s->out[0].shape), channels = s->out[0].shape.d[1];
	float scale[64], shift[64];

	if (!s->op->affine || s->in[0].constant || s->in[0].dtype != PARE_F32 ||
		!s->op->affine(&c, channels, scale, shift))
		return true;
	(*said)++;
	if (!run(s, pare_kernels_best(), 1, 0, 0, out))
		return false;
	for (int64_t i = 0; i < n; i++) {
		int64_t ch = i / pare_shape_span(&s->out[0].shape, 2, s->out[0].shape.n) % channels;

		if (!(fabsf(out[0].f32[i] - (x[i] * scale[ch] + shift[ch])) < 1e-5f))
			return false;
	}
	return true;
}

/* Weights times unfolded windows, and the bias, are what forward gives; two tiles a group. */
static bool windows_agree(struct sample *s, int *looked)
{
	int together = pare_kernels_best()->lanes;
	struct pare_weight_at at = s->op->weight(&s->node, s->attr);
	struct pare_tensor in[2] = { input_tensor(s, 0, together, 0),
		input_tensor(s, 1, together, 0) };
	const struct pare_tensor *ins[2] = { &in[0], &in[1] };
	struct pare_call c = {
		.node = &s->node, .attr = s->attr, .lanes = together, .n_in = 2, .in = ins
	};
	const float *w = (const float *)(const void *)s->in[1].data[0];
	const float *bias = s->n_in > 2 && !s->in[2].absent
				    ? (const float *)(const void *)s->in[2].data[0]
				    : NULL;
	struct pare_tensor out[MAX_OUT];
	struct pare_windows v;
	double worst = 0;

	if (!s->in[1].constant || !s->op->windows(&c, &v) ||
		(bias && (at.bias_at <= 0 ||
				 pare_shape_elems(&s->in[2].shape) != (int64_t)v.groups * v.o)))
		return true; /* no layer that is looked at */
	++*looked;
	if (!run(s, pare_kernels_best(), together, 0, 0, out) ||
		pare_shape_elems(&out[0].shape) != v.groups * v.o * v.columns)
		return false;
	for (int t = 0; t < 2 * v.groups; t++) {
		int64_t from = t % 2 ? v.columns / 2 : 0,
			n = (t % 2 ? v.columns : v.columns / 2) - from;
		float *x = pare_alloc(s->a, (size_t)(v.k * n * together + 1) * sizeof *x);

		s->op->unfold(&c, t / 2, from, n, x);
		for (int64_t i = 0; i < v.o * n * together; i++) {
			int64_t o = t / 2 * v.o + i / (n * together), column = i % (n * together);
			double sum = bias ? (double)bias[o] : 0;

			for (int64_t k = 0; k < v.k; k++)
				sum += (double)x[k * n * together + column] *
				       (double)w[at.out_axis ? k * v.o + o : o * v.k + k];
			sum -= (double)out[0].f32[(o * v.from_channel + (from + column / together) *
										v.from_column) *
							  together +
						  column % together];
			worst = fmax(worst, fabs(sum));
		}
	}
	return worst < 1e-4;
}

static double as_double(const struct pare_tensor *t, size_t i)
{
	float f = 0;

	if (t->dtype == PARE_F64)
		return t->f64[i];
	return pare_to_f32(t->dtype, t->u8 + i * size_of(t->dtype), 1, &f, NULL) ? NAN : f;
}

/* Floats of the case as another type; those of the case become what that type holds. */
static void retype(struct sample *s, struct input *x, enum pare_dtype t)
{
	size_t n = (size_t)pare_shape_elems(&x->shape);

	for (int k = 0; k < SAMPLES && x->data[k]; k++) {
		float *f = (float *)(void *)x->data[k];
		double *d = pare_alloc(s->a, n * sizeof *d + GUARD);

		for (size_t i = 0; i < n; i++) {
			uint16_t h = pare_f32_to_f16(f[i]);

			f[i] = pare_f16_to_f32(h);
			if (t == PARE_F16)
				((uint16_t *)(void *)d)[i] = h;
			else
				d[i] = f[i];
		}
		x->data[k] = (unsigned char *)d;
	}
	x->dtype = t;
}

/* Floats of type t give what float32 gives, to the last places of t. */
static bool type_agrees(struct sample *s, enum pare_dtype t)
{
	double part = t == PARE_F64 ? 1e-5 : 0x1p-9;
	struct pare_tensor want[MAX_OUT], got[MAX_OUT];
	struct sample other = *s;

	for (int i = 0; i < s->n_in; i++)
		if (s->in[i].dtype == PARE_F32)
			retype(s, &other.in[i], t);
	if (infer(&other, NULL)) /* its type is part of what it does */
		return true;
	if (infer(s, NULL) || !run(s, pare_kernels_best(), 1, 0, 0, want) ||
		!run(&other, pare_kernels_best(), 1, 0, 0, got))
		return false;
	for (int o = 0; o < s->n_out; o++)
		for (int64_t i = 0; i < pare_shape_elems(&want[o].shape); i++) {
			double x = as_double(&got[o], (size_t)i),
			       y = as_double(&want[o], (size_t)i);
			double step = got[o].dtype == PARE_U8 || got[o].dtype == PARE_I8;

			if (!(x == y || (x != x && y != y) ||
				    fabs(x - y) <= step + part * (1 + fabs(y))))
				return false;
		}
	return pare_shape_equal(&got[0].shape, &want[0].shape);
}

static void
case_runs(const struct pare_op *op, const char *text, size_t len, int *affine, int *looked)
{
	struct sample s;
	struct pare_err err = { 0 };
	struct pare_tensor a[MAX_OUT], b[MAX_OUT];
	bool good = true;

	if (!ok(sample_read(&s, op, text, len), "%s: the case can be read", op->name))
		return;
	if (op->refuse && !ok(!op->refuse(&s.node, s.attr), "%s: is not refused", op->name))
		return;
	if (infer(&s, &err)) {
		ok(false, "%s: %s", op->name, err.text);
		return;
	}
	good = run(&s, pare_kernels_best(), 1, 0, 0x11, a) &&
	       run(&s, pare_kernels_best(), 1, 0, 0xee, b);
	for (int o = 0; o < s.n_out; o++)
		good = good && writes_all(&a[o], &b[o]);
	ok(good, "%s: forward writes the shape that was inferred, all of it", op->name);
	ok(lanes_agree(&s, pare_kernels_best()->lanes) && lanes_agree(&s, 4) && lanes_agree(&s, 3),
		"%s: samples side by side give what they give alone", op->name);
	if (op->windows)
		ok(windows_agree(&s, looked), "%s: its windows and weights make its output",
			op->name);
	if (op->affine)
		ok(affine_agrees(&s, affine), "%s: its scale and shift are what it does", op->name);
	ok(type_agrees(&s, PARE_F16) && type_agrees(&s, PARE_F64),
		"%s: float16 and double give what float32 gives", op->name);
	pare_arena_free(s.a);
}

static void every_row_runs_its_case(void)
{
	const struct pare_op *op;

	for (int i = 0; (op = pare_op_row(i)); i++) {
		const char *text = op->sample;
		int affine = 0, looked = 0;

		ok(op->since > 0 && op->shape && pare_op_find(op->domain, op->name) == op,
			"%s: says its opset and shape, and is found by its name", op->name);
		if (op->control) /* it has graphs: test_control */
			continue;
		if (!ok(text, "%s: has a case", op->name))
			continue;
		for (; *text; text += *text == '|') {
			size_t n = strcspn(text, "|");

			case_runs(op, text, n, &affine, &looked);
			text += n;
		}
		if (op->affine)
			ok(affine, "%s: a case has a scale and a shift", op->name);
		if (op->windows)
			ok(looked, "%s: a case is a layer that is looked at", op->name);
	}
}

/* Shapes that do not fit end in a sentence, with nothing computed. */
static void what_does_not_fit_is_said(void)
{
	static const struct {
		const char *op, *text, *word;
		enum pare_status want;
	} cases[] = {
		{ "Reshape", "f32[1,6] i64{4,3}", "cannot become", PARE_E_FORMAT },
		{ "Reshape", "f32[1,6] i64{-1,-1}", "axis 1", PARE_E_FORMAT },
		{ "Reshape", "f32[1,6] i64[2]", "constant", PARE_E_UNSUPPORTED },
		{ "Reshape", "f32[1,6] i64{4611686018427387904,4}", "cannot become",
			PARE_E_FORMAT },
		{ "Add", "f32[1,3] f32[4]!", "broadcast", PARE_E_FORMAT },
		{ "Add", "f32[1,3] i64[1,3]", "types", PARE_E_FORMAT },
		{ "Exp", "i64[1,3]", "int64", PARE_E_UNSUPPORTED },
		{ "Concat", "f32[1,3] f32[2,3] axis=1", "input 1", PARE_E_FORMAT },
		{ "Concat", "f32[1,3] axis=2", "axis 2", PARE_E_FORMAT },
		{ "Split", "f32[1,5] i64{2,2} axis=1 outputs=2", "4 of 5", PARE_E_FORMAT },
		{ "Slice", "f32[1,5] i64{0} i64{3} i64{1} i64{0}", "step", PARE_E_FORMAT },
		{ "Gather", "f32[1,5] i64{5} axis=1", "index 5", PARE_E_FORMAT },
		{ "Pad", "f32[1,5] i64{0,0,-9,0}", "pads", PARE_E_FORMAT },
		{ "Pad", "f32[1,5] i64{0,0,0}", "pads", PARE_E_FORMAT },
		{ "Tile", "f32[1,5] i64{1,9223372036854775807}", "repeated", PARE_E_FORMAT },
		{ "Transpose", "f32[1,5] perm=0,0", "twice", PARE_E_FORMAT },
		{ "MaxPool", "f32[1,1,4] kernel_shape=5", "does not fit", PARE_E_FORMAT },
		{ "MaxPool", "f32[1,1,4] kernel_shape=2 strides=0", "stride", PARE_E_FORMAT },
		{ "MaxPool", "f32[1,4] kernel_shape=2", "axes", PARE_E_UNSUPPORTED },
		{ "BatchNormalization", "f32[1,3,2] f32[3]! f32[2]! f32[3]! f32[3]!", "input 2",
			PARE_E_FORMAT },
		{ "ReduceSum", "f32[1,3] i64{1,-1}", "twice", PARE_E_FORMAT },
		{ "ArgMax", "f32[1,3] axis=3", "axis 3", PARE_E_FORMAT },
		{ "Range", "f32=0 f32=1 f32=0", "without end", PARE_E_FORMAT },
		{ "Resize", "f32[1,1,4] _ f32{1,1,-2}", "axis 2", PARE_E_FORMAT },
		/* what cannot be read ends the equation, whatever is left of it and of the inputs
		 */
		{ "Einsum", "f32[1,3] f32[1,3] equation=ab.,ab", "cannot be read", PARE_E_FORMAT },
		{ "Einsum", "f32[1,3] f32[1,3] f32[1,3] equation=ab,a?,ab->a", "fit input 1",
			PARE_E_FORMAT },
		{ "Einsum", "f32[1,3] f32[1,3] equation=ab", "fit input 1", PARE_E_FORMAT },
		{ "Einsum", "f32[1,3] equation=ab->a,", "cannot be read", PARE_E_FORMAT },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sample s;
		struct pare_err err = { 0 };

		if (!sample_read(&s, pare_op_find(NULL, cases[i].op), cases[i].text,
			    strlen(cases[i].text)))
			continue;
		if (!ok(infer(&s, &err) == cases[i].want && strstr(err.text, cases[i].word),
			    "%s of %s is turned down", cases[i].op, cases[i].text))
			printf("#   it says: %s\n", err.text);
		pare_arena_free(s.a);
	}
}

/* In units of the last place of the right answer. */
static double ulps(float got, double right)
{
	float f = fabsf((float)right);

	return fabs(got - right) / (nextafterf(f, INFINITY) - f);
}

static double logistic(double x)
{
	return 1 / (1 + exp(-x));
}

static void curves_are_close(const struct pare_kernels *k)
{
	static double (*const right[PARE_CURVES])(double) = { exp, logistic, tanh, erf };
	static const double most[PARE_CURVES] = { 1.5, 3, 1.5, 1.5 };
	enum { N = 1001 }; /* no whole number of vectors */
	float x[N], y[N], far[] = { -200, 89.5f, NAN, -95 };

	for (int c = 0; c < PARE_CURVES; c++) {
		double worst = 0;

		for (float from = -87; from < 88; from += N * 0.00137f) {
			for (int i = 0; i < N; i++)
				x[i] = fminf(from + 0.00137f * (float)i, 88);
			k->curve[c](x, y, N);
			for (int i = 0; i < N; i++)
				worst = fmax(worst, ulps(y[i], right[c](x[i])));
			k->curve[c](x, x, N);
			worst += memcmp(x, y, sizeof y) ? 1e9 : 0;
		}
		ok(worst < most[c], "%s: curve %d: within %.2f ulp, in place too", k->isa, c,
			worst);
		k->curve[c](far, y, 4);
		ok(isnan(y[2]), "%s: NaN stays", k->isa);
		if (c == PARE_EXP)
			ok(y[0] == 0 && isinf(y[1]) && y[3] > 0,
				"far out it is what it tends to; what is too small for a normal "
				"number is not lost");
		else
			ok(y[0] == (c == PARE_LOGISTIC ? 0 : -1) && y[1] == 1,
				"far out it is what it tends to");
	}
}

/* All halves, and floats around each of them, as the functions for one number give them. */
static void halves_are_exact(void)
{
	enum { N = 1 << 16 };
	struct pare_arena *a = pare_arena_new();
	const struct pare_op *op = pare_op_find(NULL, "Relu");
	uint16_t *h = pare_alloc_n(a, N, sizeof *h), *got = pare_alloc_n(a, N, sizeof *got);
	struct pare_tensor x = { PARE_F16, 1, { 1, { N } }, { h } }, y = x, *outs[] = { &y };
	const struct pare_tensor *ins[] = { &x };
	struct pare_node node = { .op = op, .n_in = 1, .n_out = 1 };
	struct pare_call c = {
		.node = &node, .lanes = 1, .n_in = 1, .n_out = 1, .in = ins, .out = outs
	};
	int wrong = 0;

	y.u16 = got;
	for (int i = 0; i < N; i++)
		h[i] = (uint16_t)i;
	c.scratch = pare_alloc(a, pare_op_scratch(&c));
	ok(!pare_op_forward(&c), "Relu of all halves");
	for (int i = 0; i < N; i++) {
		float f = pare_f16_to_f32(h[i]);

		wrong += got[i] != pare_f32_to_f16(f < 0 ? 0 : f) && !isnan(f);
	}
	ok(!wrong, "%d of them are wrong", wrong);
	pare_arena_free(a);
}

int main(void)
{
	what_does_not_fit_is_said();
	for (int i = 0; pare_kernels_row(i); i++)
		curves_are_close(pare_kernels_row(i));
	every_row_runs_its_case();
	halves_are_exact();
	return tap_done();
}
