#include "chain.h"
#include <string.h>

enum {
	LARGE_BYTES = 8 << 20,  /* between two steps: more than caches hold between them */
	LANE_BYTES = 104 << 10, /* of a band, a lane: most of a second-level cache */
	LEAST_BLOCK = 16,       /* channels, if they can be had: whole tiles on any machine */
};

struct pare_chain {
	int n, rows, blocks; /* rows: of output, at a time */
	struct pare_conv whole[PARE_CHAIN_MOST];
	struct pare_conv *parts;       /* [blocks][n] */
	size_t strip[PARE_CHAIN_MOST]; /* floats in scratch: where output i of a band lies */
	size_t own;                    /* the same of the kernels' scratch */
	size_t bytes;
};

static bool is_depthwise(const struct pare_conv *v)
{
	return v->groups > 1 && v->c == 1 && v->o == 1 && v->kernel[1] <= PARE_DEPTHWISE_ROWS;
}

static int channels_out(const struct pare_conv *v)
{
	return v->groups * v->o;
}

/* Channels of the depthwise one. */
static int middle_of(const struct pare_conv *v)
{
	return channels_out(&v[is_depthwise(&v[1])]);
}

/* Rows of input that outputs from <= y < from + n read; first: the row under the kernel's first,
 * which may lie above the input. */
struct rows {
	int first, from, n;
};

static struct rows rows_under(const struct pare_conv *v, int from, int n)
{
	int first = from * v->stride[1] - v->pad[1];
	int end = first + (n - 1) * v->stride[1] + (v->kernel[1] - 1) * v->dilation[1] + 1;
	struct rows r = { first, first < 0 ? 0 : first, 0 };

	r.n = (end < v->in[1] ? end : v->in[1]) - r.from;
	return r;
}

/* ---- planning ---------------------------------------------------------------------------------
 */

static bool fits(const struct pare_conv *v, int n)
{
	int middle = 0;

	for (int i = 0; i < n; i++) {
		int high = (v[i].kernel[1] - 1) * v[i].dilation[1];
		int last = (v[i].out[1] - 1) * v[i].stride[1] - v[i].pad[1];

		if (v[i].in[0] != 1 || v[i].out[0] != 1 || v[i].kernel[0] != 1)
			return false;
		if (v[i].pad[1] > high || last >= v[i].in[1])
			return false; /* a row of padding alone */
		middle += is_depthwise(&v[i]);
		if (!is_depthwise(&v[i]) && (v[i].groups > 1 || pare_winograd_pays(&v[i])))
			return false;
	}
	if (!is_depthwise(v) && v->kernel[1] * v->kernel[2] > 1)
		return false; /* would gather its input for every few channels again */
	return middle == 1 && (n == 2 || is_depthwise(&v[1]));
}

static size_t whole_bytes(const struct pare_kernels *k, const struct pare_conv *v, int n)
{
	size_t most = 0;

	for (int i = 0; i + 1 < n; i++) {
		size_t bytes = (size_t)channels_out(&v[i]) * v[i].out[1] * v[i].out[2] * k->lanes *
			       sizeof(float);

		most = bytes > most ? bytes : most;
	}
	return most;
}

/* Rows of each output that `rows` of the last one need; bytes in the cache, `block` channels of the
 * middle at a time. */
static size_t band_bytes(const struct pare_kernels *k, const struct pare_conv *v, int n, int rows,
	int block, int need[PARE_CHAIN_MOST])
{
	size_t pixels = 0;

	for (int i = n - 1; i >= 0; i--) {
		bool middle = i + 1 < n || is_depthwise(&v[i]);
		int64_t in = (int64_t)(rows - 1) * v[i].stride[1] +
			     (v[i].kernel[1] - 1) * v[i].dilation[1] + 1;

		need[i] = rows;
		pixels += (size_t)(middle ? block : v[i].o) * rows * v[i].out[2];
		rows = in < v[i].in[1] ? (int)in : v[i].in[1];
	}
	pixels += (size_t)(is_depthwise(v) ? block : v->c) * rows * v->in[2];
	return pixels * k->lanes * sizeof(float);
}

/* As many rows as the cache holds with a few channels at a time, then as many channels. */
static int choose(const struct pare_kernels *k, struct pare_chain *c, int need[PARE_CHAIN_MOST])
{
	const struct pare_conv *v = c->whole;
	int n = c->n, middle = middle_of(v);
	size_t most = (size_t)LANE_BYTES * k->lanes;
	int block = middle < LEAST_BLOCK ? middle : LEAST_BLOCK;

	c->rows = v[n - 1].out[1];
	for (int parts = 2; c->rows > 1 && band_bytes(k, v, n, c->rows, block, need) > most;
		parts++)
		c->rows = (v[n - 1].out[1] + parts - 1) / parts;
	while (block + k->tile_o <= middle &&
		band_bytes(k, v, n, c->rows, block + k->tile_o, need) <= most)
		block += k->tile_o;
	c->blocks = (middle + block - 1) / block;
	block = (middle + c->blocks - 1) / c->blocks; /* evenly, in whole tiles */
	block = (block + k->tile_o - 1) / k->tile_o * k->tile_o;
	block = block < middle ? block : middle;
	c->blocks = (middle + block - 1) / block;
	band_bytes(k, v, n, c->rows, block, need);
	return block;
}

/* Channels from <= m < from + block of the middle, of the weights that read them: to [o][block]. */
static float *columns_of(const struct pare_conv *v, int from, int block, struct pare_arena *a)
{
	size_t kernel = (size_t)v->kernel[1] * v->kernel[2];
	float *w = pare_alloc_n(a, (size_t)v->o * block, kernel * sizeof *w);

	for (int o = 0; w && o < v->o; o++)
		memcpy(w + o * block * kernel, v->w + ((size_t)o * v->c + from) * kernel,
			block * kernel * sizeof *w);
	return w;
}

/* What a part of the chain is made of: `block` channels of the middle from `from` on. */
struct part {
	int from, block;
	const int *need; /* rows of each output */
};

static enum pare_status
plan_step(const struct pare_kernels *k, const struct pare_chain *c, const struct part *t, int i,
	struct pare_conv *p, struct pare_arena *a, struct pare_err *err)
{
	const struct pare_conv *v = &c->whole[i];
	bool last = i + 1 == c->n, reads = last && !is_depthwise(v);
	int high = (t->need[i] - 1) * v->stride[1] + (v->kernel[1] - 1) * v->dilation[1] + 1;
	const float *w = v->w, *bias = v->bias;
	enum pare_status st;

	*p = *v;
	p->in[1] = high < v->in[1] ? high : v->in[1];
	p->out[1] = t->need[i];
	p->in_by = i ? p[-1].out_by : v->in[1] * v->in[2] * k->lanes;
	p->out_by =
		last ? v->out[1] * v->out[2] * k->lanes : (t->need[i] * v->out[2] | 1) * k->lanes;
	*(is_depthwise(v) ? &p->groups : reads ? &p->c : &p->o) = t->block;
	if (reads)
		w = columns_of(v, t->from, t->block, a);
	else {
		w += (size_t)t->from * v->c * v->kernel[1] * v->kernel[2];
		bias += bias ? t->from : 0;
	}
	if (!w)
		return pare_nomem(err, "packed weights");
	if ((st = pare_conv_plan(k, p, w, bias, a, err)))
		return st;
	if (reads && t->from)
		p->bias = NULL;
	return PARE_OK;
}

static enum pare_status plan_parts(const struct pare_kernels *k, struct pare_chain *c, int block,
	const int need[PARE_CHAIN_MOST], struct pare_arena *a, struct pare_err *err)
{
	int middle = middle_of(c->whole);
	enum pare_status st = PARE_OK;

	if (!(c->parts = pare_alloc_n(a, (size_t)c->blocks * c->n, sizeof *c->parts)))
		return pare_nomem(err, "a chain");
	for (int b = 0; b < c->blocks; b++) {
		int left = middle - b * block;
		struct part t = { b * block, left < block ? left : block, need };

		for (int i = 0; i < c->n && !st; i++)
			st = plan_step(k, c, &t, i, &c->parts[b * c->n + i], a, err);
	}
	return st;
}

/* Where strips lie; false: a step wants a kernel that knows no bands. */
static bool lay_strips(const struct pare_kernels *k, struct pare_chain *c)
{
	size_t at = 0, own = 0;

	for (int i = 0; i < c->blocks * c->n; i++) {
		const struct pare_conv *p = &c->parts[i];
		size_t bytes = pare_conv_scratch(k, p);

		if (p->winograd || p->product)
			return false; /* as the whole one is not */
		own = bytes > own ? bytes : own;
	}
	for (int i = 0; i + 1 < c->n; i++) { /* no later block has more channels */
		c->strip[i] = at;
		at += (size_t)channels_out(&c->parts[i]) * c->parts[i].out_by;
	}
	c->own = at;
	c->bytes = at * sizeof(float) + own;
	return true;
}

enum pare_status pare_chain_plan(const struct pare_kernels *k, const struct pare_conv *v, int n,
	struct pare_arena *a, const struct pare_chain **out, struct pare_err *err)
{
	struct pare_chain *c;
	int need[PARE_CHAIN_MOST], block;
	enum pare_status st;

	*out = NULL;
	if (!fits(v, n) || whole_bytes(k, v, n) < LARGE_BYTES)
		return PARE_OK;
	if (!(c = pare_alloc(a, sizeof *c)))
		return pare_nomem(err, "a chain");
	c->n = n;
	memcpy(c->whole, v, n * sizeof *v);
	block = choose(k, c, need);
	st = plan_parts(k, c, block, need, a, err);
	if (st == PARE_E_UNSUPPORTED)
		return PARE_OK;
	if (!st && lay_strips(k, c))
		*out = c;
	return st;
}

size_t pare_chain_scratch(const struct pare_chain *c)
{
	return c->bytes;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* A part for one band: rows from … of output `out`, of those that lie under them. */
static struct pare_conv
banded(const struct pare_conv *whole, const struct pare_conv *part, struct rows out, struct rows in)
{
	struct pare_conv p = *part;

	p.in[1] = in.n;
	p.out[1] = out.n;
	p.pad[1] = in.from - in.first;
	if (p.direct) /* all pixels are one column */
		p.in[1] = p.out[1] = out.n * whole->out[2];
	return p;
}

struct band {
	const float *x;
	float *out;
	const struct pare_act_quant *const *act;
	const struct pare_finish *finish;
	float *scratch;
	struct rows rows[PARE_CHAIN_MOST + 1]; /* of the input, then of each output */
};

/* Block b of the band, from step to step. */
static void
run_block(const struct pare_kernels *k, const struct pare_chain *c, const struct band *d, int b)
{
	const struct pare_conv *parts = c->parts + (size_t)b * c->n;
	size_t from = (size_t)b * middle_of(c->parts);

	for (int i = 0; i < c->n; i++) {
		const struct pare_conv *v = &c->whole[i];
		struct pare_conv p = banded(v, &parts[i], d->rows[i + 1], d->rows[i]);
		bool last = i + 1 == c->n, depthwise = is_depthwise(v);
		size_t in_row = (size_t)v->in[2] * k->lanes, out_row = (size_t)v->out[2] * k->lanes;
		const float *x = d->scratch + (i ? c->strip[i - 1] : 0);
		size_t at = depthwise * from * p.out_by + d->rows[i + 1].from * out_row;
		struct pare_finish f = d->finish[i];

		if (!i)
			x = d->x + d->rows[0].from * in_row + depthwise * from * p.in_by;
		else if (d->act[i]->on)
			for (int ch = 0; ch < p.groups * p.c; ch++)
				k->quantize(x + (size_t)ch * p.in_by,
					d->scratch + c->strip[i - 1] + (size_t)ch * p.in_by,
					d->rows[i].n * in_row, d->act[i]->scale, d->act[i]->zero,
					d->act[i]->lo, d->act[i]->hi);
		f.add = f.add ? f.add + at : NULL;
		pare_conv_run(k, &p, x, last ? d->out + at : d->scratch + c->strip[i],
			last && !depthwise && b + 1 < c->blocks ? NULL : &f, d->scratch + c->own);
	}
}

void pare_chain_run(const struct pare_kernels *k, const struct pare_chain *c, const float *x,
	float *out, const struct pare_act_quant *const *act, const struct pare_finish *finish,
	float *scratch)
{
	struct band d = { x, out, act, finish, scratch, { { 0 } } };
	int high = c->whole[c->n - 1].out[1];

	for (int y = 0; y < high; y += c->rows) {
		d.rows[c->n] = (struct rows){ y, y, high - y < c->rows ? high - y : c->rows };
		for (int i = c->n - 1; i >= 0; i--)
			d.rows[i] = rows_under(&c->whole[i], d.rows[i + 1].from, d.rows[i + 1].n);
		for (int b = 0; b < c->blocks; b++)
			run_block(k, c, &d, b);
	}
}
