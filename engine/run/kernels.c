/* The table of vector code, direct convolution, and loops over whole tensors. */
#include "vector.h"

/* ---- the tile: what all products come down to --------------------------------------------------
 */

struct tile {
	const float *w;        /* [k][O] */
	const float *bias;     /* [O]; NULL = go on from what `out` holds */
	const float *x;        /* the strip */
	const int32_t *offset; /* [k] */
	const int32_t *pixel;  /* [P] */
	int k;
	float *out;                       /* [O][pitch], P vectors of each */
	size_t pitch;                     /* floats */
	size_t add_by;                    /* floats from out to the same element of what is added */
	const struct pare_finish *finish; /* NULL = more terms come later */
};

INLINE void tile_run(const int O, const int P, const struct tile *t)
{
	vec acc[TILE_O][TILE_P];
	const float *x[TILE_P];
	const float *w = t->w;
	const int32_t *offset = t->offset;

	UNROLL for (int p = 0; p < P; p++) x[p] = t->x + t->pixel[p];
	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
		t->bias ? splat(t->bias[o]) : load(t->out + o * t->pitch + p * LANES);
	for (int k = 0; k < t->k; k++, w += O) {
		vec v[TILE_P];

		UNROLL for (int p = 0; p < P; p++) v[p] = load(x[p] + offset[k]);
		UNROLL for (int o = 0; o < O; o++)
		{
			vec s = splat(w[o]);

			UNROLL for (int p = 0; p < P; p++) acc[o][p] += s * v[p];
		}
	}
	if (t->finish) {
		vec lo = splat(t->finish->lo), hi = splat(t->finish->hi);
		const float *add = t->finish->add;

		if (add)
			UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
				acc[o][p] += load(add + t->add_by + o * t->pitch + p * LANES);
		UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++) acc[o][p] =
			clamp(acc[o][p], lo, hi);
	}
	UNROLL for (int o = 0; o < O; o++) UNROLL for (int p = 0; p < P; p++)
		store(t->out + o * t->pitch + p * LANES, acc[o][p]);
}

typedef void tile_fn(const struct tile *t);
#define TILE(O, P)                                                                                 \
	static void tile_##O##x##P(const struct tile *t)                                           \
	{                                                                                          \
		tile_run(O, P, t);                                                                 \
	}
#define NAME(O, P) tile_##O##x##P,
EACH_TILE(1, TILE)
EACH_TILE(2, TILE)
#if TILE_P == 3
EACH_TILE(3, TILE)
#endif

static tile_fn *const tiles_of[TILE_P][TILE_O] = {
	{ EACH_TILE(1, NAME) },
	{ EACH_TILE(2, NAME) },
#if TILE_P == 3
	{ EACH_TILE(3, NAME) },
#endif
};

/* ---- convolution over a strip ------------------------------------------------------------------
 */

/* Terms taken at a time, so that the pixels they read stay in the first cache. */
enum { K_BLOCK = 320 };

static void copy_row(float *to, const float *from, int n, int step)
{
	if (step == 1)
		memcpy(to, from, (size_t)n * LANES * sizeof *to);
	else
		for (int i = 0; i < n; i++)
			store(to + (size_t)i * LANES, load(from + (size_t)i * step * LANES));
}

/* One plane of the strip whose first output row is y: rows and columns of `x` ([height][width]),
 * zeros around. */
static void gather_plane(const struct pare_conv *v, const float *x, int y, float *to)
{
	int width = v->in[2], height = v->in[1], first = y * v->stride[1] - v->pad[1];
	int left = v->pad[2] > 0 ? (v->pad[2] + v->step[2] - 1) / v->step[2] : 0;
	int start = left * v->step[2] - v->pad[2]; /* input column of the first that is there */
	int n = start < width ? (width - 1 - start) / v->step[2] + 1 : 0;
	size_t pitch = (size_t)v->columns * LANES;

	left = left < v->columns ? left : v->columns;
	n = n < v->columns - left ? n : v->columns - left;
	if (!left && n == v->columns && n == width && v->step[1] == 1 && first >= 0 &&
		first + v->rows <= height) {
		memcpy(to, x + first * pitch, v->rows * pitch * sizeof *to);
		return;
	}
	for (int r = 0; r < v->rows; r++, to += pitch) {
		int row = first + r * v->step[1];

		if (row < 0 || row >= height) {
			memset(to, 0, pitch * sizeof *to);
			continue;
		}
		memset(to, 0, (size_t)left * LANES * sizeof *to);
		copy_row(to + (size_t)left * LANES, x + ((size_t)row * width + start) * LANES, n,
			v->step[2]);
		memset(to + (size_t)(left + n) * LANES, 0,
			(size_t)(v->columns - left - n) * LANES * sizeof *to);
	}
}

static void gather(const struct pare_conv *v, const float *x, int z, int y, float *to)
{
	size_t area = (size_t)v->in[1] * v->in[2] * LANES;

	for (int c = 0; c < v->c; c++, x += v->in_by)
		for (int d = 0; d < v->kernel[0]; d++, to += v->plane) {
			int depth = z * v->stride[0] - v->pad[0] + d * v->dilation[0];

			if (depth < 0 || depth >= v->in[0])
				memset(to, 0, (size_t)v->plane * sizeof *to);
			else
				gather_plane(v, x + (size_t)depth * area, y, to);
		}
}

/* `n` pixels of a strip, all channels of a group. */
static void strip_run(const struct pare_conv *v, int group, const float *x, int n, float *out,
	size_t add_by, const struct pare_finish *f)
{
	size_t pitch = (size_t)v->out_by;
	const float *w = v->w + (size_t)group * v->o * v->k;
	const float *bias = v->bias ? v->bias + (size_t)group * v->o : NULL;
	struct tile t = { .x = x, .pitch = pitch };

	for (int p = 0, some; p < n; p += some) {
		some = n - p < TILE_P ? n - p : TILE_P;
		t.pixel = v->pixel + p;
		for (int k = 0; k < v->k; k += K_BLOCK) {
			int last = k + K_BLOCK >= v->k;

			t.offset = v->offset + k;
			t.k = last ? v->k - k : K_BLOCK;
			t.finish = last ? f : NULL;
			for (int i = 0; i < v->tiles.n; i++) {
				int from = pare_tile_from(&v->tiles, i);
				int wide = pare_tile_from(&v->tiles, i + 1) - from;

				t.w = w + (size_t)from * v->k + (size_t)k * wide;
				t.bias = k || !bias ? NULL : bias + from;
				t.out = out + from * pitch + (size_t)p * LANES;
				t.add_by = add_by + from * pitch + (size_t)p * LANES;
				tiles_of[some - 1][wide - 1](&t);
			}
		}
	}
}

static void conv(const struct pare_conv *v, const float *x, float *out, const struct pare_finish *f,
	float *scratch)
{
	size_t in_size = (size_t)v->c * v->in_by, out_size = (size_t)v->o * v->out_by;
	size_t area = (size_t)v->out[1] * v->out[2] * LANES;

	for (int g = 0; g < v->groups; g++)
		for (int z = 0; z < v->out[0]; z++)
			for (int y = 0; y < v->out[1]; y += v->strip) {
				int rows = v->out[1] - y < v->strip ? v->out[1] - y : v->strip;
				const float *from = x + g * in_size;
				size_t at = g * out_size + z * area + (size_t)y * v->out[2] * LANES;

				if (!v->direct)
					gather(v, from, z, y, scratch);
				strip_run(v, g, v->direct ? from : scratch, rows * v->out[2],
					out + at, at, f);
			}
}

/* ---- flat loops --------------------------------------------------------------------------------
 */

static void finish(const float *x, float *y, size_t n, const struct pare_finish *f)
{
	vec lo = splat(f->lo), hi = splat(f->hi);
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec v = load(x + i);

		if (f->add)
			v += load(f->add + i);
		store(y + i, clamp(v, lo, hi));
	}
	for (; i < n; i++) {
		float v = f->add ? x[i] + f->add[i] : x[i];

		y[i] = v < f->lo ? f->lo : v > f->hi ? f->hi : v;
	}
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even; it needs no more
 * than |v| < 2^22, which the clamp before it sees to. */
static void quantize(const float *x, float *y, size_t n, float scale, int zero, int lo, int hi)
{
	const float magic = 12582912.f, least = (float)(lo - zero), most = (float)(hi - zero);
	vec m = splat(magic), s = splat(scale), a = splat(least), b = splat(most);
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		store(y + i, ((clamp(load(x + i) / s, a, b) + m) - m) * s);
	for (; i < n; i++) {
		float v = x[i] / scale;

		v = v < least ? least : v > most ? most : v;
		y[i] = ((v + magic) - magic) * scale;
	}
}

/* ---- samples to lanes and back -----------------------------------------------------------------
 */

static void lanes_in(const float *samples, size_t n, int count, float *out)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec r[LANES];

		UNROLL for (int l = 0; l < LANES; l++)
			memcpy(&r[l], samples + (l < count ? l : 0) * n + i, sizeof(vec));
		transpose(r);
		UNROLL for (int l = 0; l < LANES; l++) store(out + (i + l) * LANES, r[l]);
	}
	for (; i < n; i++)
		for (int l = 0; l < LANES; l++)
			out[i * LANES + l] = samples[(l < count ? l : 0) * n + i];
}

static void lanes_out(const float *in, size_t n, int count, float *samples)
{
	size_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		vec r[LANES];

		UNROLL for (int l = 0; l < LANES; l++) r[l] = load(in + (i + l) * LANES);
		transpose(r);
		UNROLL for (int l = 0; l < LANES; l++) /* constant l: r stays in registers */
			if (l < count) memcpy(samples + l * n + i, &r[l], sizeof(vec));
	}
	for (; i < n; i++)
		for (int l = 0; l < count; l++)
			samples[l * n + i] = in[i * LANES + l];
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

extern const struct pare_kernels VECTOR_NAME(kernels);
const struct pare_kernels VECTOR_NAME(kernels) = {
	.isa = TEXT(PARE_ISA),
	.lanes = LANES,
	.tile_o = TILE_O,
	.tile_p = TILE_P,
	.product_o = TILE_P * LANES,
	.conv = conv,
	.depthwise = VECTOR_NAME(depthwise),
	.product = VECTOR_NAME(product),
	.winograd = VECTOR_NAME(winograd),
	.gram = VECTOR_NAME(gram),
	.wide = VECTOR_NAME(wide),
	.across = VECTOR_NAME(across),
	.each = VECTOR_NAME(each),
	.curve = VECTOR_NAME(curves),
	.finish = finish,
	.quantize = quantize,
	.lanes_in = lanes_in,
	.lanes_out = lanes_out,
};
