/* Variant → packed weights.  What is written is listed first; the list is laid out twice, once only
 * to count. */
#include "../base/err.h"
#include "packed.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct item {
	struct pare_packed_record r;
	const void *data; /* what the graph holds; NULL when only the size is wanted */
	const struct pare_weight_store *store;
};

struct packer {
	const struct pare_model *m;
	const struct pare_pack_spec *spec;
	struct pare_arena *a;
	struct item *item;
	int n, room;
	bool *written; /* [vars] of the outermost graph */
	struct pare_err *err;
};

/* ---- what is written --------------------------------------------------------------------------
 */

static enum pare_status add(struct packer *k, const struct item *x)
{
	if (k->n == k->room) {
		int room = k->room ? 2 * k->room : 64;
		struct item *more = pare_alloc_n(k->a, (size_t)room, sizeof *more);

		if (!more)
			return pare_nomem(k->err, "packed weights");
		if (k->n)
			memcpy(more, k->item, (size_t)k->n * sizeof *more);
		k->item = more;
		k->room = room;
	}
	k->item[k->n++] = *x;
	return PARE_OK;
}

static struct item plain(const char *name, enum pare_packed_role role, const struct pare_var *v)
{
	return (struct item){ .r = { .name = name,
				      .role = role,
				      .type = v->declared.dtype,
				      .shape = v->declared.shape,
				      .bits = (int)pare_dtype_bits(v->declared.dtype),
				      .axis = -1 },
		.data = v->declared.value->data };
}

static int64_t bytes_of(const struct pare_packed_record *r)
{
	struct pare_packed_parts p;

	return pare_packed_parts(r, &p) ? p.bitmap + p.values + p.scales + p.zeros : -1;
}

/* A bitmap and what is left, if that is smaller. */
static void leave_out(struct pare_packed_record *r, const struct pare_pack_layer *p)
{
	struct pare_packed_record sparse = *r;

	if (!p || p->gone <= 0)
		return;
	sparse.gone = p->gone;
	sparse.rows = p->lay.out_axis;
	sparse.inner = p->lay.inner;
	sparse.tall = p->lay.pattern->tall;
	sparse.wide = p->lay.pattern->wide;
	if (bytes_of(&sparse) >= 0 && bytes_of(&sparse) < bytes_of(r))
		*r = sparse;
}

static struct pare_packed_record record_of(const struct pare_layer *l,
	const struct pare_weight_store *s, const struct pare_pack_layer *p)
{
	struct pare_packed_record r = { .name = l->name,
		.role = PARE_PACKED_WEIGHT,
		.type = PARE_F32,
		.shape = l->weight,
		.bits = 32,
		.axis = -1 };

	if (s && s->dtype != PARE_UNDEFINED) {
		r.type = s->dtype;
		r.bits = (int)pare_dtype_bits(s->dtype);
	}
	if (p && p->bits) {
		r.type = PARE_UNDEFINED;
		r.bits = p->bits;
		r.is_unsigned = s->dtype == PARE_U8 || s->dtype == PARE_U4;
		r.zeros = p->zeros;
		r.powers = p->powers;
		r.axis = s->axis;
		r.group = s->group;
	}
	leave_out(&r, p);
	return r;
}

static enum pare_status add_weight(struct packer *k, int layer, int var)
{
	const struct pare_var *v = &k->m->graph.vars[var];
	const struct pare_weight_store *s =
		k->spec->write->weights ? &k->spec->write->weights[layer] : NULL;
	struct item x = { .r = record_of(&k->m->layers[layer], s,
				  k->spec->layers ? &k->spec->layers[layer] : NULL),
		.data = v->declared.value->data,
		.store = s };

	if (x.r.type == PARE_F32 && k->written[var])
		return PARE_OK;
	k->written[var] |= x.r.type == PARE_F32;
	return add(k, &x);
}

static enum pare_status add_quantizer(struct packer *k, int layer)
{
	const struct pare_act_quant *q = &k->spec->write->acts[layer];
	struct item x = { .r = { .name = k->m->layers[layer].name,
				  .role = PARE_PACKED_QUANTIZER,
				  .lo = q->lo,
				  .hi = q->hi,
				  .zero = q->zero,
				  .scale = q->scale,
				  .dynamic = q->dynamic } };

	return add(k, &x);
}

/* Graphs inside a node have constants of their own; the node's name stands before theirs. */
static enum pare_status add_inside(struct packer *k, const struct pare_node *n)
{
	const struct pare_graph *g;
	enum pare_status st = PARE_OK;

	for (int i = 0; (g = pare_node_graph(n, i)) && !st; i++) {
		for (int v = 0; v < g->n_vars && !st; v++) {
			const char *name;
			struct item x;

			if (!g->vars[v].declared.value)
				continue;
			if (!(name = pare_sprintf(k->a, "%s/%s", n->name, g->vars[v].name)))
				return pare_nomem(k->err, "packed weights");
			x = plain(name, PARE_PACKED_CONSTANT, &g->vars[v]);
			st = add(k, &x);
		}
		for (int j = 0; j < g->n_nodes && !st; j++)
			st = add_inside(k, &g->nodes[j]);
	}
	return st;
}

static enum pare_status add_constant(struct packer *k, int var, const char *layer)
{
	const struct pare_var *v = &k->m->graph.vars[var];
	struct item x;

	if (!v->blob || k->written[var])
		return PARE_OK;
	k->written[var] = true;
	x = plain(layer ? layer : v->name, layer ? PARE_PACKED_BIAS : PARE_PACKED_CONSTANT, v);
	return add(k, &x);
}

static enum pare_status add_node(struct packer *k, int node)
{
	const struct pare_node *n = &k->m->graph.nodes[node];
	int layer = k->m->node_info[node].layer;
	const struct pare_weight_at *at = layer < 0 ? NULL : &k->m->weight_at[layer];
	const struct pare_act_quant *acts = k->spec->write->acts;
	unsigned weights = 0; /* inputs that are */
	enum pare_status st = PARE_OK;

	for (int i = layer; at && i < k->m->info.n_layers && k->m->layers[i].node == node && !st;
		i++) {
		st = add_weight(k, i, n->in[k->m->weight_at[i].input]);
		weights |= 1u << k->m->weight_at[i].input;
	}
	if (!st && at && at->bias >= 0 && at->bias < n->n_in && n->in[at->bias] >= 0)
		st = add_constant(k, n->in[at->bias], k->m->layers[layer].name);
	if (!st && at && acts && acts[layer].on)
		st = add_quantizer(k, layer);
	for (int i = 0; i < n->n_in && !st; i++)
		if (n->in[i] >= 0 && (i > 31 || !(weights >> i & 1)))
			st = add_constant(k, n->in[i], NULL);
	return st ? st : add_inside(k, n);
}

static enum pare_status list(struct packer *k)
{
	const struct pare_graph *g = &k->m->graph;
	enum pare_status st = PARE_OK;

	if (!(k->a = pare_arena_new()) || !(k->written = pare_alloc(k->a, (size_t)g->n_vars + 1)))
		return pare_nomem(k->err, "packed weights");
	for (int i = 0; i < g->n_nodes && !st; i++)
		st = add_node(k, i);
	for (int i = 0; i < g->n_out && !st; i++)
		st = add_constant(k, g->out[i], NULL);
	for (int i = 0; i < k->n && !st; i++)
		if ((k->item[i].r.bytes = bytes_of(&k->item[i].r)) < 0)
			st = pare_fail(k->err, PARE_E_UNSUPPORTED,
				"'%s' cannot be packed: its shape is not known", k->item[i].r.name);
	return st;
}

/* ---- the directory ----------------------------------------------------------------------------
 */

struct sink {
	uint8_t *p; /* NULL: only counted */
	int64_t at;
};

static void put(struct sink *s, const void *data, size_t n)
{
	if (s->p)
		memcpy(s->p + s->at, data, n);
	s->at += (int64_t)n;
}

static void put_byte(struct sink *s, int v)
{
	uint8_t b = (uint8_t)v;

	put(s, &b, 1);
}

static void put_int(struct sink *s, uint64_t v)
{
	for (; v > 127; v >>= 7)
		put_byte(s, (int)(v & 127) | 128);
	put_byte(s, (int)v);
}

static void put_signed(struct sink *s, int64_t v)
{
	put_int(s, (uint64_t)v << 1 ^ (v < 0 ? ~(uint64_t)0 : 0));
}

static void put_u32(struct sink *s, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	put(s, b, sizeof b);
}

static uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	return u;
}

static void put_array(struct sink *s, const struct pare_packed_record *r)
{
	bool codes = r->type == PARE_UNDEFINED;

	put_byte(s, codes ? 0 : pare_dtype_to_onnx(r->type));
	put_int(s, (uint64_t)r->shape.n);
	for (int i = 0; i < r->shape.n; i++)
		put_int(s, (uint64_t)r->shape.d[i]);
	if (codes) {
		put_byte(s, r->bits);
		put_byte(s, r->is_unsigned | r->zeros << 1 | r->powers << 2);
		put_byte(s, r->axis + 1);
		put_int(s, (uint64_t)r->group);
	}
	put_int(s, (uint64_t)r->gone);
	if (r->gone) {
		put_byte(s, r->rows);
		put_int(s, (uint64_t)r->inner);
		put_int(s, (uint64_t)r->tall);
		put_int(s, (uint64_t)r->wide);
	}
}

static void put_record(struct sink *s, const struct pare_packed_record *r, const char *last)
{
	size_t n = strcmp(r->name, last) ? strlen(r->name) : 0;

	put_int(s, n);
	put(s, r->name, n);
	put_byte(s, (int)r->role);
	if (r->role != PARE_PACKED_QUANTIZER) {
		put_array(s, r);
		return;
	}
	put_signed(s, r->lo);
	put_signed(s, r->hi);
	put_byte(s, r->dynamic);
	put_u32(s, float_bits(r->scale));
	put_u32(s, (uint32_t)r->zero);
}

static void put_directory(struct sink *s, const struct packer *k)
{
	for (int i = 0; i < k->n; i++)
		put_record(s, &k->item[i].r, i ? k->item[i - 1].r.name : "");
}

/* ---- the parts --------------------------------------------------------------------------------
 */

static uint64_t element(const struct item *x, int64_t i)
{
	const float *f = x->data;

	switch (x->r.type) {
	case PARE_UNDEFINED:
		return (uint8_t)x->store->q[i] & (((uint64_t)1 << x->r.bits) - 1);
	case PARE_F16:
		return pare_f32_to_f16(f[i]);
	case PARE_BF16:
		return pare_f32_to_bf16(f[i]);
	default:
		return float_bits(f[i]);
	}
}

static bool is_zero(const struct item *x, int64_t i)
{
	const struct pare_weight_store *s = x->store;

	if (x->r.type == PARE_UNDEFINED)
		return s->q[i] == (s->zero ? s->zero[pare_packed_scale_at(&x->r, i)] : 0);
	return ((const float *)x->data)[i] == 0;
}

/* The first sites of zeros are left out, as many as were counted on; others are kept as zeros. */
static enum pare_status
put_sites(const struct packer *k, const struct item *x, uint8_t *bitmap, uint8_t *values)
{
	const struct pare_packed_record *r = &x->r;
	int64_t sites = pare_packed_sites(r), in = r->tall * r->wide, gone = 0, n = 0;

	for (int64_t s = 0; s < sites; s++) {
		bool zero = gone < r->gone;

		for (int64_t j = 0; j < in && zero; j++)
			zero = is_zero(x, pare_packed_element(r, s, j));
		gone += zero;
		if (zero)
			continue;
		if (s - gone >= sites - r->gone)
			return pare_fail(k->err, PARE_E_MISMATCH,
				"layer '%s': %lld sites of zeros were expected, there are fewer",
				r->name, (long long)r->gone);
		pare_packed_put(bitmap, s, 1, 1);
		for (int64_t j = 0; j < in; j++)
			pare_packed_put(
				values, n++, r->bits, element(x, pare_packed_element(r, s, j)));
	}
	return PARE_OK;
}

static void put_scales(const struct item *x, uint8_t *p)
{
	struct sink s = { p, 0 };
	int exponent;

	for (int64_t i = 0; i < pare_packed_scales(&x->r); i++)
		if (x->r.powers) {
			(void)frexpf(x->store->scale[i], &exponent); /* .5 times 2 to it */
			put_byte(&s, exponent - 1);
		} else
			put_u32(&s, float_bits(x->store->scale[i]));
}

/* Types that are written as the graph holds them. */
static bool is_plain(const struct item *x)
{
	return !x->store || x->store->dtype == PARE_UNDEFINED;
}

static enum pare_status
put_parts(const struct packer *k, const struct item *x, uint8_t *file, int64_t *at)
{
	struct pare_packed_parts p;
	uint8_t *part[4];
	enum pare_status st = PARE_OK;
	int64_t n = pare_shape_elems(&x->r.shape);

	if (!pare_packed_parts(&x->r, &p))
		return pare_fail(k->err, PARE_E_ARG, "'%s' cannot be packed", x->r.name);
	for (int i = 0; i < 4; i++) {
		part[i] = file + *at;
		*at += pare_packed_up(((int64_t[]){ p.bitmap, p.values, p.scales, p.zeros })[i]);
	}
	if (x->r.role == PARE_PACKED_QUANTIZER)
		return PARE_OK;
	if (x->r.gone)
		st = put_sites(k, x, part[0], part[1]);
	else if (is_plain(x))
		memcpy(part[1], x->data, (size_t)p.values);
	else
		for (int64_t i = 0; i < n; i++)
			pare_packed_put(part[1], i, x->r.bits, element(x, i));
	if (x->r.type == PARE_UNDEFINED)
		put_scales(x, part[2]);
	for (int64_t i = 0; i < pare_packed_scales(&x->r) && x->r.zeros && x->store->zero; i++)
		pare_packed_put(part[3], i, x->r.bits,
			(uint8_t)x->store->zero[i] & (((uint64_t)1 << x->r.bits) - 1));
	return st;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

static int64_t file_size(const struct packer *k, int64_t *directory)
{
	struct sink s = { NULL, 0 };
	struct pare_packed_parts p = { 0 };
	int64_t n;

	put_directory(&s, k);
	*directory = s.at;
	n = pare_packed_up(PARE_PACKED_HEAD + s.at);
	for (int i = 0; i < k->n; i++) {
		(void)pare_packed_parts(&k->item[i].r, &p); /* list() has seen that it does */
		n += pare_packed_up(p.bitmap) + pare_packed_up(p.values) +
		     pare_packed_up(p.scales) + pare_packed_up(p.zeros);
	}
	return n;
}

static void from_hex(const char *hex, uint8_t *to)
{
	for (int i = 0; i < 32; i++) {
		char two[3] = { hex[2 * i], hex[2 * i + 1], 0 };

		to[i] = (uint8_t)strtoul(two, NULL, 16);
	}
}

static void put_head(const struct packer *k, uint8_t *file, int64_t size, int64_t directory)
{
	struct sink s = { file, 0 };

	put(&s, PARE_PACKED_MAGIC, 8);
	put_u32(&s, PARE_PACKED_VERSION);
	put_u32(&s, (uint32_t)k->n);
	put_u32(&s, (uint32_t)((uint64_t)size & UINT32_MAX));
	put_u32(&s, (uint32_t)((uint64_t)size >> 32));
	put_u32(&s, (uint32_t)directory);
	if (k->spec->write->recipe_sha)
		from_hex(k->spec->write->recipe_sha, file + 64);
}

enum pare_status pare_packed_write(const struct pare_model *m, const struct pare_pack_spec *spec,
	void **data, size_t *len, struct pare_err *err)
{
	struct packer k = { .m = m, .spec = spec, .err = err };
	enum pare_status st = list(&k);
	char sha[PARE_SHA_HEX];
	uint8_t *file = NULL;
	int64_t directory, size, at;

	if (!st) {
		size = file_size(&k, &directory);
		if (!(file = calloc(1, (size_t)size)))
			st = pare_nomem(err, "packed weights");
	}
	if (!st) {
		struct sink s = { file, PARE_PACKED_HEAD };

		put_head(&k, file, size, directory);
		put_directory(&s, &k);
		at = pare_packed_up(s.at);
		for (int i = 0; i < k.n && !st; i++)
			st = put_parts(&k, &k.item[i], file, &at);
	}
	if (st)
		free(file);
	else {
		pare_sha256(file, (size_t)size, sha);
		from_hex(sha, file + PARE_PACKED_SHA_AT);
		*data = file;
		*len = (size_t)size;
	}
	pare_arena_free(k.a);
	return st;
}

enum pare_status pare_packed_size(const struct pare_model *m, const struct pare_pack_spec *spec,
	int64_t *len, struct pare_err *err)
{
	struct packer k = { .m = m, .spec = spec, .err = err };
	enum pare_status st = list(&k);
	int64_t directory;

	if (!st)
		*len = file_size(&k, &directory);
	pare_arena_free(k.a);
	return st;
}

int64_t pare_packed_layer(const struct pare_layer *l, const struct pare_weight_store *store,
	const struct pare_pack_layer *p)
{
	struct pare_packed_record r = record_of(l, store, p);

	return bytes_of(&r);
}
