/* Convolutions of one channel by itself, row by row, from where the input lies. */
#include "vector.h"

/* A row of output and what it is made of. */
struct row {
	const float *in[PARE_DEPTHWISE_ROWS]; /* the input rows under the kernel */
	const float *w;                       /* [kernel[1]][kernel[2]] */
	float *out;
	const float *add; /* the same row of what is added, or NULL */
	vec bias, lo, hi;
};

/* N pixels from x on, of a 3×3 kernel of stride S, whose columns from <= k < to lie on the input.
 * first: input column under column 0 of the kernel. */
INLINE void depthwise_span(const int S, const int N, const int from, const int to,
	const struct row *r, int x, int first)
{
	vec acc[4];

	UNROLL for (int i = 0; i < N; i++) acc[i] = r->bias;
	UNROLL for (int j = 0; j < 3; j++)
	{
		const float *in = r->in[j] + (ptrdiff_t)first * LANES;

		UNROLL for (int k = from; k < to; k++)
		{
			vec s = splat(r->w[j * 3 + k]);

			UNROLL for (int i = 0; i < N; i++) acc[i] +=
				s * load(in + (i * S + k) * LANES);
		}
	}
	UNROLL for (int i = 0; i < N; i++)
	{
		vec v = acc[i];

		if (r->add)
			v += load(r->add + (x + i) * LANES);
		store(r->out + (x + i) * LANES, clamp(v, r->lo, r->hi));
	}
}

/* One pixel of any kernel; columns outside the input are left out. */
static void depthwise_pixel(const struct pare_conv *v, const struct row *r, int x)
{
	vec acc = r->bias;
	int first = x * v->stride[2] - v->pad[2];

	for (int j = 0; j < v->kernel[1]; j++)
		for (int k = 0; k < v->kernel[2]; k++) {
			int column = first + k * v->dilation[2];

			if (column >= 0 && column < v->in[2])
				acc += splat(r->w[j * v->kernel[2] + k]) *
				       load(r->in[j] + (size_t)column * LANES);
		}
	if (r->add)
		acc += load(r->add + (size_t)x * LANES);
	store(r->out + (size_t)x * LANES, clamp(acc, r->lo, r->hi));
}

enum { MOST_SPAN = 6 };

/* N pixels from x on, of a 3×3 kernel of stride 1: each input is looked at once.  Columns from <= c
 * < to of the N + 2 under them lie on the input. */
INLINE void
depthwise_sweep(const int N, const int from, const int to, const struct row *r, int x, int first)
{
	vec acc[MOST_SPAN];

	UNROLL for (int i = 0; i < N; i++) acc[i] = r->bias;
	UNROLL for (int j = 0; j < 3; j++)
	{
		const float *in = r->in[j] + (ptrdiff_t)first * LANES;
		vec w[3] = { splat(r->w[j * 3]), splat(r->w[j * 3 + 1]), splat(r->w[j * 3 + 2]) };

		UNROLL for (int c = from; c < to; c++)
		{
			vec v = load(in + c * LANES);

			UNROLL for (int k = 0; k < 3; k++) if (c - k >= 0 && c - k < N) acc[c - k] =
				fused(w[k], v, acc[c - k]);
		}
	}
	UNROLL for (int i = 0; i < N; i++)
	{
		vec v = acc[i];

		if (r->add)
			v += load(r->add + (x + i) * LANES);
		store(r->out + (x + i) * LANES, clamp(v, r->lo, r->hi));
	}
}

/* The same with an edge of the input left or right of them. */
INLINE void
depthwise_edges(const int N, const struct row *r, int x, int first, bool left, bool right)
{
	if (left && right)
		depthwise_sweep(N, 1, N + 1, r, x, first);
	else if (left)
		depthwise_sweep(N, 1, N + 2, r, x, first);
	else if (right)
		depthwise_sweep(N, 0, N + 1, r, x, first);
	else
		depthwise_sweep(N, 0, N + 2, r, x, first);
}

/* A row of a 3×3 kernel of stride 1 that hangs over by at most a column, in spans as long as each
 * other. */
static void depthwise_row_1(const struct pare_conv *v, const struct row *r)
{
	int spans = (v->out[2] + MOST_SPAN - 1) / MOST_SPAN;

	for (int x = 0, n; x < v->out[2]; x += n, spans--) {
		int first = x - v->pad[2];
		bool left = first < 0, right;

		n = (v->out[2] - x + spans - 1) / spans;
		right = first + n + 2 > v->in[2];
		if (n == 6)
			depthwise_edges(6, r, x, first, left, right);
		else if (n == 5)
			depthwise_edges(5, r, x, first, left, right);
		else if (n == 4)
			depthwise_edges(4, r, x, first, left, right);
		else if (n == 3)
			depthwise_edges(3, r, x, first, left, right);
		else if (n == 2)
			depthwise_edges(2, r, x, first, left, right);
		else
			depthwise_edges(1, r, x, first, left, right);
	}
}

/* A row of a 3×3 kernel, stride S: four pixels at a time where all columns are there. */
INLINE void depthwise_row_3(const int S, const struct pare_conv *v, const struct row *r)
{
	for (int x = 0, left; x < v->out[2];) {
		int first = x * S - v->pad[2];

		if (first >= 0 && first + 3 <= v->in[2]) {
			left = (v->in[2] - 3 - first) / S + 1;
			left = left < v->out[2] - x ? left : v->out[2] - x;
			for (; left >= 4; left -= 4, x += 4, first += 4 * S)
				depthwise_span(S, 4, 0, 3, r, x, first);
			if (left == 3)
				depthwise_span(S, 3, 0, 3, r, x, first);
			else if (left == 2)
				depthwise_span(S, 2, 0, 3, r, x, first);
			else if (left == 1)
				depthwise_span(S, 1, 0, 3, r, x, first);
			x += left;
			continue;
		}
		if (first == -1 && v->in[2] >= 2)
			depthwise_span(S, 1, 1, 3, r, x, first);
		else if (first >= 0 && first + 2 == v->in[2])
			depthwise_span(S, 1, 0, 2, r, x, first);
		else
			depthwise_pixel(v, r, x);
		x++;
	}
}

static void depthwise_row(const struct pare_conv *v, const struct row *r)
{
	bool three = v->kernel[1] == 3 && v->kernel[2] == 3 && v->dilation[2] == 1;

	if (three && v->stride[2] == 1 && v->pad[2] <= 1 &&
		v->out[2] + 2 - v->pad[2] <= v->in[2] + 1)
		depthwise_row_1(v, r);
	else if (three && v->stride[2] == 1)
		depthwise_row_3(1, v, r);
	else if (three && v->stride[2] == 2)
		depthwise_row_3(2, v, r);
	else
		for (int x = 0; x < v->out[2]; x++)
			depthwise_pixel(v, r, x);
}

void VECTOR_NAME(depthwise)(const struct pare_conv *v, const float *x, float *out,
	const struct pare_finish *f, float *scratch)
{
	size_t in_row = (size_t)v->in[2] * LANES, out_row = (size_t)v->out[2] * LANES;
	struct row r = { .w = v->w };

	r.lo = splat(f->lo);
	r.hi = splat(f->hi);
	memset(scratch, 0,
		in_row * sizeof *scratch); /* the rows above the first and below the last */
	for (int g = 0; g < v->groups; g++, r.w += v->k, x += v->in_by) {
		r.bias = splat(v->bias[g]);
		r.out = out + (size_t)g * v->out_by;
		r.add = f->add ? f->add + (size_t)g * v->out_by : NULL;
		for (int y = 0; y < v->out[1]; y++) {
			for (int i = 0; i < v->kernel[1]; i++) {
				int row = y * v->stride[1] - v->pad[1] + i * v->dilation[1];

				r.in[i] = row < 0 || row >= v->in[1] ? scratch : x + row * in_row;
			}
			depthwise_row(v, &r);
			r.out += out_row;
			r.add += r.add ? out_row : 0;
		}
	}
}
