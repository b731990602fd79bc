/* Convolutions of one sample: a vector is LANES pixels that follow each other.
 *
 * A strip of input rows is gathered once for every column of the kernel, as the output's columns
 * see it, with zeros for the padding; where rows are strided, they are dealt out to planes by their
 * remainder.  Then output pixel q, counted over whole rows of the strip, reads x[q + offset[k]],
 * whatever the kernel. */
#include "vector.h"

/* acc [O][P] += sum over k; from and to m [O][width], or from bias where that is given. */
INLINE void wide_tile(const int O, const int P, const struct pare_conv *v, int from, int terms,
	const float *w, const float *x, const float *bias, float *m, int width)
{
	vec acc[TILE_O][WIDE_P];
	const int32_t *offset = v->offset + from;

	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
		bias ? splat(bias[o]) : load(m + o * width + p * LANES);
	for (int k = 0; k < terms; k++, w += O) {
		vec d[WIDE_P];

		UNROLL for (int p = 0; p < P; p++) d[p] = load_any(x + offset[k] + p * LANES);
		UNROLL for (int o = 0; o < O; o++)
		{
			vec s = splat(w[o]);

			UNROLL for (int p = 0; p < P; p++) acc[o][p] += s * d[p];
		}
	}
	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
		store(m + o * width + p * LANES, acc[o][p]);
}

typedef void wide_fn(const struct pare_conv *v, int from, int terms, const float *w, const float *x,
	const float *bias, float *m, int width);
#define WIDE(O, P)                                                                                 \
	static void wide_##O##x##P(const struct pare_conv *v, int from, int terms, const float *w, \
		const float *x, const float *bias, float *m, int width)                            \
	{                                                                                          \
		wide_tile(O, P, v, from, terms, w, x, bias, m, width);                             \
	}
#define NAME(O, P) wide_##O##x##P,
EACH_TILE(1, WIDE)
EACH_TILE(2, WIDE)
#if TILE_P == 3
EACH_TILE(3, WIDE)
#endif
/* One channel alone: more pixels keep as many sums going. */
#if TILE_P < 3
WIDE(1, 3)
#endif
WIDE(1, 4)
WIDE(1, 5)
WIDE(1, 6)

static wide_fn *const wides[TILE_P][TILE_O] = {
	{ EACH_TILE(1, NAME) },
	{ EACH_TILE(2, NAME) },
#if TILE_P == 3
	{ EACH_TILE(3, NAME) },
#endif
};
static wide_fn *const lines[WIDE_P] = { wide_1x1, wide_1x2, wide_1x3, wide_1x4, wide_1x5,
	wide_1x6 };

/* ---- the strip ---------------------------------------------------------------------------------
 */

static void take_row(float *to, const float *from, int n, int step)
{
	if (step == 1) { /* often shorter than a call of memcpy takes */
		for (; n >= LANES; n -= LANES, to += LANES, from += LANES)
			store_any(to, load_any(from));
		if (n)
			store_some(to, load_some(from, n), n);
		return;
	}
	for (; step == 2 && n > LANES; n -= LANES, to += LANES, from += 2 * LANES)
		store_any(
			to, __builtin_shufflevector(load_any(from), load_any(from + LANES), EVEN));
	if (step == 2) {
		int there = 2 * n - 1, more = there > LANES ? there - LANES : 0;
		vec a = more ? load_any(from) : load_some(from, there);
		vec b = more ? load_some(from + LANES, more) : a;

		store_some(to, __builtin_shufflevector(a, b, EVEN), n);
		return;
	}
	for (int i = 0; i < n; i++)
		to[i] = from[(size_t)i * step];
}

/* Rows that follow each other on both sides: one run, with zeros where mask is 0. */
static void take_rows(float *to, const float *from, const int32_t *mask, int n)
{
	typedef int32_t ints __attribute__((vector_size(4 * LANES)));
	ints keep;

	for (; n >= LANES; n -= LANES, to += LANES, from += LANES, mask += LANES) {
		memcpy(&keep, mask, sizeof keep);
		store_any(to, (vec)((ints)load_any(from) & keep));
	}
	if (n) {
		memcpy(&keep, mask, sizeof keep);
		store_some(to, (vec)((ints)load_some(from, n) & keep), n);
	}
}

/* The rows of remainder py as column px of the kernel sees them, for output rows from y on;
 * x [height][width]. */
static void
gather_plane(const struct pare_conv *v, const float *x, int y, int py, int px, float *to)
{
	const struct pare_window *w = &v->windows[px];
	int width = v->in[2], stride = v->stride[1], first = y * stride + py - v->pad[1];
	int from = first < 0 ? -first : 0, end = v->in[1] - first;

	if (stride > 1) {
		from = (from + stride - 1) / stride;
		end = end > 0 ? (end - 1) / stride + 1 : 0;
	}
	end = end < v->rows ? end : v->rows;
	if (from >= end || !w->n)
		return;
	to += from * v->columns + w->left;
	x += (size_t)(first + from * stride) * width + w->start;
	if (v->mask)
		take_rows(to, x, v->mask + (size_t)px * v->plane + w->left,
			(end - from - 1) * width + w->n);
	else
		for (int r = from; r < end; r++, to += v->columns, x += (size_t)stride * width)
			take_row(to, x, w->n, v->stride[2]);
}

/* clear: the padding is not yet there from the group before. */
static void gather(const struct pare_conv *v, const float *x, int z, int y, bool clear, float *to)
{
	size_t area = (size_t)v->in[1] * v->in[2];

	if (clear)
		memset(to, 0, pare_wide_bytes(v, LANES));
	for (int c = 0; c < v->c; c++)
		for (int d = 0; d < v->kernel[0]; d++) {
			int depth = z * v->stride[0] - v->pad[0] + d * v->dilation[0];
			const float *plane = x + ((size_t)c * v->in[0] + depth) * area;

			if (depth < 0 || depth >= v->in[0]) {
				to += (size_t)v->plane * v->step[1] * v->step[2];
				continue;
			}
			for (int py = 0; py < v->step[1]; py++)
				for (int px = 0; px < v->step[2]; px++, to += v->plane)
					gather_plane(v, plane, y, py, px, to);
		}
}

/* ---- the results -------------------------------------------------------------------------------
 */

/* n results that follow each other, at `at` of the output. */
INLINE void keep(const float *m, float *out, size_t at, int n, const struct pare_finish *f)
{
	vec lo = splat(f->lo), hi = splat(f->hi);

	for (; n >= LANES; n -= LANES, m += LANES, at += LANES) {
		vec r = load_any(m);

		if (f->add)
			r += load_any(f->add + at);
		store_any(out + at, clamp(r, lo, hi));
	}
	if (n) {
		vec r = load_some(m, n);

		if (f->add)
			r += load_some(f->add + at, n);
		store_some(out + at, clamp(r, lo, hi), n);
	}
}

struct span {                    /* of pixels, all channels of a group */
	int first, n;            /* the pixels that count */
	struct pare_tiles tiles; /* of vectors */
};

/* A tile of channels over a span. */
static void channels_run(const struct pare_conv *v, const struct span *s, int wide, const float *w,
	const float *bias, const float *x, float *m)
{
	int width = s->tiles.o * LANES;

	for (int k = 0; k < v->k; k += WIDE_TERMS, w += (size_t)WIDE_TERMS * wide) {
		int terms = v->k - k < WIDE_TERMS ? v->k - k : WIDE_TERMS;

		for (int i = 0; i < s->tiles.n; i++) {
			int p = pare_tile_from(&s->tiles, i);
			int some = pare_tile_from(&s->tiles, i + 1) - p;
			wide_fn *run = wide == 1 ? lines[some - 1] : wides[some - 1][wide - 1];

			run(v, k, terms, w, x + s->first + p * LANES, k ? NULL : bias,
				m + p * LANES, width);
		}
	}
}

/* The same where a group has one channel, and often few pixels. */
static void line_run(const struct pare_conv *v, const float *w, const float *bias, const float *x,
	int n, float *out, size_t at, const struct pare_finish *f)
{
	float m[WIDE_P * LANES] __attribute__((aligned(64)));

	for (int q = 0; q < n; q += WIDE_P * LANES) {
		int some = n - q < WIDE_P * LANES ? n - q : WIDE_P * LANES;
		wide_fn *run = lines[(some - 1) / LANES];

		for (int k = 0; k < v->k; k += WIDE_TERMS)
			run(v, k, v->k - k < WIDE_TERMS ? v->k - k : WIDE_TERMS, w + k, x + q,
				k ? NULL : bias, m, 0);
		keep(m, out, at + q, some, f);
	}
}

/* All channels of a group over a strip of n pixels. */
static void strip_run(const struct pare_conv *v, const float *w, const float *bias, const float *x,
	int n, float *out, size_t at, const struct pare_finish *f)
{
	float m[TILE_O * PARE_WIDE_SPAN * LANES] __attribute__((aligned(64)));
	size_t pitch = (size_t)v->out[0] * v->out[1] * v->out[2];
	struct pare_tiles spans = { (n + LANES - 1) / LANES, 0 };
	int most = v->o == 1 ? WIDE_P : TILE_P;

	spans.n = (spans.o + v->block - 1) / v->block;
	for (int i = 0; i < spans.n; i++) {
		int from = pare_tile_from(&spans, i),
		    vectors = pare_tile_from(&spans, i + 1) - from;
		struct span s = { from * LANES, vectors * LANES,
			{ vectors, (vectors + most - 1) / most } };

		int over = s.first + s.n > n ? s.first + s.n - n : 0, again = v->direct ? over : 0;

		s.first -= again; /* rather than beyond the end of the input */
		s.n -= over;
		for (int t = 0; t < v->tiles.n; t++) {
			int o = pare_tile_from(&v->tiles, t);
			int wide = pare_tile_from(&v->tiles, t + 1) - o;

			channels_run(v, &s, wide, w + (size_t)o * v->k, bias + o, x, m);
			for (int j = 0; j < wide; j++)
				keep(m + j * vectors * LANES + again, out,
					at + (o + j) * pitch + s.first + again, s.n, f);
		}
	}
}

void VECTOR_NAME(wide)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t in_size = (size_t)v->c * v->in[0] * v->in[1] * v->in[2];
	size_t area = (size_t)v->out[1] * v->out[2], out_size = (size_t)v->o * v->out[0] * area;
	bool many = v->out[0] > 1 || v->out[1] > v->strip; /* strips of a group */

	for (int g = 0; g < v->groups; g++)
		for (int z = 0; z < v->out[0]; z++)
			for (int y = 0; y < v->out[1]; y += v->strip) {
				int rows = v->out[1] - y < v->strip ? v->out[1] - y : v->strip;
				const float *from = x + g * in_size;

				if (!v->direct)
					gather(v, from, z, y, !g || many, scratch);
				(v->o == 1 && !v->direct ? line_run : strip_run)(v,
					v->w + (size_t)g * v->o * v->k, v->bias + g * v->o,
					v->direct ? from : scratch, rows * v->out[2], out,
					g * out_size + z * area + (size_t)y * v->out[2], f);
			}
}
