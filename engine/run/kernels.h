/* Vector code: compiled once an instruction set, chosen when the program starts.
 *
 * Activations are [channel][pixel][lanes], a lane being a sample, so that one vector register holds
 * the same element of `lanes` samples and every loop below runs over whole vectors.  All pointers
 * to activations are aligned to 64.  Kernels are void: who calls them has checked everything. */
#ifndef PARE_KERNELS_H
#define PARE_KERNELS_H
#include "../base/arena.h"
#include "../base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Output channels are computed some at a time.  Weights are packed by such tiles, and tiles differ
 * by one channel at most: tile i of n has channels from*i … */
struct pare_tiles {
	int o, n; /* channels, tiles */
};
/* Channels from which tile i starts; pare_tile_from(t, n) is o. */
static inline int pare_tile_from(const struct pare_tiles *t, int i)
{
	return (int)((int64_t)t->o * i / t->n);
}

enum {
	PARE_DEPTHWISE_ROWS = 64, /* most rows of a kernel that `depthwise` takes */
	PARE_WIDE_SPAN = 12,      /* most vectors of pixels that `wide` takes at a time */
};

/* A row of input as one column of a kernel sees it: zeros for the first `left` outputs, then `n`
 * columns from `start` on, a stride apart, then zeros. */
struct pare_window {
	int left, start, n;
};

/* A convolution, or a matrix product (one pixel), laid out for one shape of input.
 *
 * A strip of output rows is computed at a time: what it reads of the input is gathered first, with
 * the padding around it, as [plane][row][column][lanes], planes at an odd distance in cache lines.
 * Then out[o][p] = bias[o] + sum over k of w[o][k] * strip[pixel[p] + offset[k]]. */
struct pare_conv {
	int groups;
	int c, o;          /* channels in and out, of one group */
	int in[3], out[3]; /* depth, height, width; 1 where there is none */
	int kernel[3], stride[3], dilation[3], pad[3]; /* pad: in front */
	const float *w; /* [groups][tile][K][channels of the tile], K = c * kernels */
	const float
		*bias; /* [groups * o]; NULL = go on from what the output holds (`conv` alone) */
	/* Floats from channel to channel, where rows of something larger are read or written
	 * (`conv` and `depthwise`); 0 = as dense as they lie. */
	int in_by, out_by;
	/* made by pare_conv_plan */
	struct pare_tiles tiles;
	int k;             /* terms of the sum */
	int strip;         /* output rows of a strip */
	int step[3];       /* of the input, gathered; wide: planes that a channel is dealt out to */
	int rows, columns; /* of a plane of the strip; product: rows one after the other, each by
			      the weights of its group */
	int plane;         /* floats from plane to plane */
	bool direct;       /* the input is read where it lies: nothing to gather */
	bool depthwise, product, winograd; /* the kernel that runs it, if not `conv` */
	bool wide;                         /* one sample, made by pare_wide_plan */
	bool across; /* and its channels are by themselves: vectors lie across them */
	/* winograd: tiles of 4×4 outputs at a time; wide: vectors of pixels */
	int block;
	const int32_t *offset;             /* [k], floats */
	const struct pare_window *windows; /* wide: [kernel[2]] */
	const int32_t *mask; /* wide: [kernel[2]][plane], 0 for padding and -1; NULL = row by row */
	const int32_t *pixel; /* [strip * out[2]], floats */
};

/* What is done to a result before it is stored: clamp(result + add, lo, hi); add NULL = nothing. */
struct pare_finish {
	const float *add;
	float lo, hi;
};

/* y [n] = f(x), elementwise; any alignment, y may be x.  Within 3 ulp. */
enum pare_curve { PARE_EXP, PARE_LOGISTIC, PARE_TANH, PARE_ERF, PARE_CURVES };
typedef void pare_curve_fn(const float *x, float *y, size_t n);

struct pare_kernels {
	const char *isa;
	int lanes;
	int tile_o, tile_p; /* most channels and pixels of a tile */
	int product_o;      /* outputs that a product takes at a time */
	/* x: [groups*c][in][lanes], out: [groups*o][out][lanes], scratch: pare_conv_scratch bytes;
	 * f NULL: more terms come later */
	void (*conv)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* c == o == 1, two dimensions; w: [groups][kernel] */
	void (*depthwise)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* One pixel.  w: [groups][block of product_o outputs][k][outputs, up to a whole vector of
	 * zeros] */
	void (*product)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* 3×3, stride 1, one channel deep, by F(4×4, 3×3).  w: [groups][tile][36][c][channels of
	 * the tile], transformed */
	void (*winograd)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* c[m][k] += a[m][n] b[k][n]', n a multiple of `lanes`; upper: at least where row <=
	 * column. All but c aligned to 64 */
	void (*gram)(const float *a, int m, const float *b, int k, size_t n, bool upper, float *c);
	/* One sample, without lanes: x [groups*c][in], out [groups*o][out], any alignment. */
	void (*wide)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* The same, c == o == 1, two dimensions.  w: [block of LANES groups][kernel][LANES] */
	void (*across)(const struct pare_conv *v, const float *x, float *out,
		const struct pare_finish *f, float *scratch);
	/* A product a lane: a [m][terms][lanes], b [terms][n][lanes], out [m][n][lanes] */
	void (*each)(const float *a, const float *b, int m, int n, int terms, float *out,
		const struct pare_finish *f);
	pare_curve_fn *const *curve; /* [PARE_CURVES] */
	/* n floats, any lanes; y may be x */
	void (*finish)(const float *x, float *y, size_t n, const struct pare_finish *f);
	/* y = (clamp(round_half_even(x / scale) + zero, lo, hi) - zero) * scale */
	void (*quantize)(const float *x, float *y, size_t n, float scale, int zero, int lo, int hi);
	/* Samples of n floats, side by side, and back; as pare_lanes_in and pare_lanes_out. */
	void (*lanes_in)(const float *samples, size_t n, int count, float *out);
	void (*lanes_out)(const float *in, size_t n, int count, float *samples);
};

/* Lay a convolution out: `v` comes with groups … pad filled.  w: [groups*o][c][kernel], borrowed;
 * bias: [groups*o], borrowed, or NULL; what is made lives in `a`. */
PARE_MUST_CHECK enum pare_status pare_conv_plan(const struct pare_kernels *k, struct pare_conv *v,
	const float *w, const float *bias, struct pare_arena *a, struct pare_err *err);
/* The same for samples without lanes, one by one.  PARE_E_UNSUPPORTED also where a row is too long
 * for it.  w NULL: the weights come with each run. */
PARE_MUST_CHECK enum pare_status pare_wide_plan(const struct pare_kernels *k, struct pare_conv *v,
	const float *w, const float *bias, struct pare_arena *a, struct pare_err *err);
/* A product of one sample, a [m][terms] by b [terms][n], whatever they hang on: `v` for the sizes,
 * then runs.  Element (i, j) of a is a[i * row + j * column]; out [m][n] = alpha * a b, finished.
 */
PARE_MUST_CHECK enum pare_status pare_wide_product_plan(const struct pare_kernels *k,
	struct pare_conv *v, int m, int n, int terms, struct pare_arena *a, struct pare_err *err);
size_t pare_wide_product_scratch(const struct pare_kernels *k, const struct pare_conv *v);
struct pare_wide_side {
	const float *a;
	size_t row, column;
	float alpha;
};
void pare_wide_product_run(const struct pare_kernels *k, const struct pare_conv *v,
	const struct pare_wide_side *a, const float *b, float *out, const struct pare_finish *f,
	float *scratch);
/* A matrix product as a convolution of `pixels` points: w [o][c], not kept. */
PARE_MUST_CHECK enum pare_status
pare_product_plan(const struct pare_kernels *k, struct pare_conv *v, int c, int o, int pixels,
	const float *w, const float *bias, struct pare_arena *a, struct pare_err *err);
size_t pare_conv_scratch(const struct pare_kernels *k, const struct pare_conv *v); /* bytes */
bool pare_winograd_pays(const struct pare_conv *v); /* so that a plan chooses it */
static inline size_t pare_wide_bytes(const struct pare_conv *v, int lanes)
{ /* the last vectors reach over the end of the last plane */
	size_t planes = (size_t)v->c * v->kernel[0] * v->step[1] * v->step[2];

	if (v->across)
		return v->plane * sizeof(float);
	return v->direct ? 0 : (v->plane * planes + PARE_WIDE_SPAN * lanes) * sizeof(float);
}
/* Weights in the order that tiles read them: to [groups][tile][k][channels of the tile]. */
void pare_pack_tiles(const struct pare_conv *v, const float *w, float *to);
/* Run it by the kernel that the plan chose. */
void pare_conv_run(const struct pare_kernels *k, const struct pare_conv *v, const float *x,
	float *out, const struct pare_finish *f, float *scratch);

/* The table for this machine.  The environment's PARE_ISA may name a lesser one. */
const struct pare_kernels *pare_kernels_best(void);
/* All that this machine can run, NULL after the last. */
const struct pare_kernels *pare_kernels_row(int i);

#endif
