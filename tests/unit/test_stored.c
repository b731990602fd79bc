/* Networks that are quantized already: what the file has stands on the dials, and comes back. */
#include "engine/plan/variant.h"
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>
#include <string.h>

enum { IN = 4, OUT = 6 };

static const float scales[OUT] = { .5f, .25f, 2, 1, .125f, .3f };
static const uint8_t zeros[OUT] = { 128, 3, 250, 7, 0, 100 };

static void scalar(struct build *b, const char *name, enum pare_dtype t, const void *v)
{
	build_tensor(b, name, t, v, (struct pare_shape){ 0 });
}

static void number(struct build *b, const char *name, float v)
{
	scalar(b, name, PARE_F32, &v);
}

/* x → pair → conv (weights as `weight` makes them of "w") → relu → y */
static struct build *begin(void)
{
	struct build *b = build_new(13);
	uint8_t zero = 12;

	build_input(b, "x", 4, -1, IN, 5, 5);
	number(b, "xs", .05f);
	scalar(b, "xz", PARE_U8, &zero);
	build_node(b, "QuantizeLinear", "", "x xs xz", "xq");
	build_node(b, "DequantizeLinear", "", "xq xs xz", "xd");
	return b;
}

static struct pare_model *end(struct build *b, const char *act)
{
	char in[32];

	snprintf(in, sizeof in, "%s w", act);
	build_node(b, "Conv", "conv", in, "c");
	build_node(b, "Relu", "relu", "c", "y");
	build_output(b, "y");
	return build_model(b);
}

static void codes(struct build *b, enum pare_dtype t)
{
	int8_t q[OUT * IN];

	for (int i = 0; i < OUT * IN; i++)
		q[i] = (int8_t)(i * 37 % 256 - (t == PARE_I8 ? 128 : 0));
	build_tensor(b, "q", t, q, (struct pare_shape){ 4, { OUT, IN, 1, 1 } });
}

static struct pare_model *quantized(void)
{
	struct build *b = begin();

	codes(b, PARE_U8);
	build_tensor(b, "ws", PARE_F32, scales, (struct pare_shape){ 1, { OUT } });
	build_tensor(b, "wz", PARE_U8, zeros, (struct pare_shape){ 1, { OUT } });
	build_node(b, "DequantizeLinear", "", "q ws wz", "w");
	build_int(b, "axis", 0);
	return end(b, "xd");
}

static const char *format_of(const struct pare_dials *d, bool act)
{
	return pare_formats[act ? d->activations : d->weights].name;
}

static bool runs_alike(const struct pare_model *a, const struct pare_model *b)
{
	float x[IN * 25];
	struct pare_array in = { PARE_F32, { 4, { 1, IN, 5, 5 } }, x }, out[2] = { { 0 } };
	struct pare_err err = { 0 };
	bool same;

	for (int i = 0; i < IN * 25; i++)
		x[i] = (float)(i * 29 % 101) * .2f - 3;
	same = !pare_model_run(a, &in, &out[0], &err) && !pare_model_run(b, &in, &out[1], &err) &&
	       !memcmp(out[0].data, out[1].data, OUT * 25 * sizeof(float));
	pare_array_free(&out[0]);
	pare_array_free(&out[1]);
	return same;
}

/* The plan carried out, written and read again. */
static struct pare_model *again(const struct pare_model *m, const struct pare_plan *p)
{
	struct pare_variant *v = NULL;
	struct pare_model *read = NULL;
	struct pare_err err = { 0 };
	void *data = NULL;
	size_t len = 0;

	if (!pare_variant_new(m, p, NULL, NULL, &v, &err)) {
		struct pare_write_spec spec = { .weights = v->store, .acts = v->acts };

		if (!pare_onnx_write(v->model, &spec, &data, &len, &err) &&
			pare_onnx_read(data, len, "again.onnx", &read, &err))
			read = NULL;
	}
	if (!read)
		printf("# %s\n", err.text);
	free(data);
	pare_variant_free(v);
	return read;
}

static void as_the_file_has_it(void)
{
	struct pare_model *m = quantized(), *r = NULL;
	struct pare_plan *p = pare_plan_of(m), *q;
	const struct pare_layer *l = pare_model_layer(m, 0);
	int64_t bytes = 0;
	bool known = !pare_plan_layer_bytes(m, p, 0, &bytes, NULL);

	ok(m->info.n_nodes == 2 && l->stored_weight_bits == 8 && l->stored_act_bits == 8,
		"quantizers before layers are no nodes: %d", m->info.n_nodes);
	ok(!strcmp(format_of(p->dials, false), "int8") &&
			!strcmp(format_of(p->dials, true), "uint8") && !pare_plan_looks(m, p),
		"8 bits stand on both dials, and nothing has to be looked at");
	r = again(m, p);
	ok(r && runs_alike(m, r), "written and read again it gives the same numbers");
	q = r ? pare_plan_of(r) : NULL;
	ok(q && pare_plan_equal(p, q), "and has the same dials");
	ok(!memcmp(pare_model_weights(m, 0), pare_model_weights(r, 0), OUT * IN * sizeof(float)),
		"its weights are the same to the last bit");
	ok(known && bytes == OUT * IN + OUT * 5,
		"bytes are those of integers, scales and zero points: %lld", (long long)bytes);
	pare_plan_free(p);
	pare_plan_free(q);
	pare_model_free(m);
	pare_model_free(r);
}

static void dials_turn_away_and_back(void)
{
	struct pare_model *m = quantized(), *plain, *four;
	struct pare_plan *p = pare_plan_of(m), *zero = pare_plan_new(1);
	uint8_t was = p->dials[0].weights;

	plain = again(m, zero);
	ok(plain && !plain->acts && pare_model_layer(plain, 0)->stored_weight_bits == 32 &&
			!memcmp(pare_model_weights(m, 0), pare_model_weights(plain, 0),
				OUT * IN * sizeof(float)),
		"float32 is what its integers stand for, without quantizers");
	ok(plain && !runs_alike(m, plain), "and runs without them");
	p->dials[0].weights = (uint8_t)pare_format_find("int4");
	four = again(m, p);
	ok(four && pare_model_layer(four, 0)->stored_weight_bits == 4,
		"another width is rounded to anew");
	pare_model_free(four);
	p->dials[0].weights = was;
	four = again(m, p);
	ok(four && runs_alike(m, four), "and back at its own width the file's integers are there");
	pare_model_free(m);
	pare_model_free(plain);
	pare_model_free(four);
	pare_plan_free(p);
	pare_plan_free(zero);
}

static void what_is_no_pair_stays(void)
{
	struct build *b = begin();
	struct pare_model *m;
	uint8_t zero = 12;

	codes(b, PARE_I8);
	number(b, "ws", .5f);
	build_node(b, "DequantizeLinear", "", "q ws", "w");
	number(b, "other", .06f);
	scalar(b, "oz", PARE_U8, &zero);
	build_node(b, "DequantizeLinear", "", "xq other oz", "odd");
	m = end(b, "odd");
	ok(m->info.n_nodes == 4 && !m->acts, "codes that are read by another scale are no pair");
	pare_model_free(m);

	b = begin();
	codes(b, PARE_I8);
	number(b, "ws", .5f);
	build_node(b, "DequantizeLinear", "", "q ws", "w");
	build_node(b, "Relu", "", "xd", "also");
	build_output(b, "also");
	m = end(b, "xd");
	ok(m->info.n_nodes == 5 && m->acts, "a pair that others read too stays for them");
	pare_model_free(m);
}

/* Integers in other clothes. */
static void weights_by_other_ways(void)
{
	static const char *const ways[] = { "Cast and Mul", "Cast, Sub and Mul",
		"DequantizeLinear and Transpose", "Mul by what changes along two axes" };
	static const int format[] = { 8, 8, 8, 32 };

	for (int i = 0; i < 4; i++) {
		struct build *b = begin();
		struct pare_model *m, *r;
		struct pare_plan *p;
		float many[OUT * IN], three = 3;

		for (int k = 0; k < OUT * IN; k++)
			many[k] = 1 + (float)k / 64;
		if (i != 2)
			codes(b, i == 1 ? PARE_U8 : PARE_I8);
		build_tensor(b, "ws", PARE_F32, scales,
			i == 2 ? (struct pare_shape){ 1, { OUT } }
			       : (struct pare_shape){ 4, { OUT, 1, 1, 1 } });
		build_tensor(
			b, "many", PARE_F32, many, (struct pare_shape){ 4, { OUT, IN, 1, 1 } });
		number(b, "three", three);
		if (i == 2) {
			int8_t q[IN * OUT];

			for (int k = 0; k < IN * OUT; k++)
				q[k] = (int8_t)(k * 11 - 120);
			build_tensor(
				b, "q", PARE_I8, q, (struct pare_shape){ 4, { 1, 1, IN, OUT } });
			build_node(b, "DequantizeLinear", "", "q ws", "t");
			build_int(b, "axis", 3);
			build_node(b, "Transpose", "", "t", "w");
			build_ints(b, "perm", 4, 3, 2, 0, 1);
		} else {
			build_node(b, "Cast", "", "q", "f");
			build_int(b, "to", 1);
			if (i == 1)
				build_node(b, "Sub", "", "f three", "g");
			build_node(b, "Mul", "", i == 0 ? "f ws" : i == 1 ? "g ws" : "f many", "w");
		}
		m = end(b, "xd");
		p = pare_plan_of(m);
		ok(pare_formats[p->dials[0].weights].bits == format[i] &&
				pare_model_layer(m, 0)->stored_weight_bits == 8,
			"%s: %s on the dial", ways[i], format_of(p->dials, false));
		r = again(m, p);
		ok(r && runs_alike(m, r), "%s: written again, the same numbers", ways[i]);
		pare_plan_free(p);
		pare_model_free(m);
		pare_model_free(r);
	}
}

static void quant_nodes(const char *domain)
{
	struct build *b = build_new(13);
	struct pare_model *m, *r;
	struct pare_plan *p;

	build_input(b, "x", 4, -1, IN, 5, 5);
	build_weight(b, "w0", .7f, 4, OUT, IN, 1, 1);
	build_tensor(b, "ws", PARE_F32, scales, (struct pare_shape){ 4, { OUT, 1, 1, 1 } });
	number(b, "xs", .25f);
	number(b, "z", 0);
	number(b, "four", 4);
	number(b, "six", 6);
	build_node(b, "Quant", "", "w0 ws z four", "w")->domain = pare_strdup(b->a, domain);
	build_int(b, "signed", 1);
	build_int(b, "narrow", 1);
	build_node(b, "Quant", "", "x xs z six", "xd")->domain = pare_strdup(b->a, domain);
	build_int(b, "signed", 0);
	m = end(b, "xd");
	p = pare_plan_of(m);
	ok(m->info.n_nodes == 2 && pare_formats[p->dials[0].weights].bits <= 4 &&
			!strcmp(format_of(p->dials, true), "int6") &&
			pare_model_layer(m, 0)->stored_weight_bits == 4 &&
			pare_model_layer(m, 0)->stored_act_bits == 6,
		"%s: %s and %s on the dials", domain, format_of(p->dials, false),
		format_of(p->dials, true));
	r = again(m, p);
	ok(r && runs_alike(m, r), "%s: as QuantizeLinear, the same numbers", domain);
	pare_plan_free(p);
	pare_model_free(m);
	pare_model_free(r);
}

int main(void)
{
	as_the_file_has_it();
	dials_turn_away_and_back();
	what_is_no_pair_stays();
	weights_by_other_ways();
	quant_nodes("qonnx.custom_op.general");
	quant_nodes("onnx.brevitas");
	return tap_done();
}
