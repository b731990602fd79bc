/* What Conv and ConvTranspose share. */
#ifndef PARE_OPS_CONV_H
#define PARE_OPS_CONV_H
#include "../run/kernels.h"
#include "kit.h"

struct op_conv { /* attributes */
	const char *auto_pad;
	struct pare_ints kernel, pads, strides, dilations;
	struct pare_ints output_padding, output_shape; /* ConvTranspose alone */
	int64_t group;
};

/* Most of them; products of two fit into 64 bits. */
enum { OP_CONV_CHANNELS = 1 << 24, OP_CONV_PIXELS = 1 << 25, OP_CONV_TERMS = 1 << 25 };

/* The geometry, its spatial axes the last of three. */
PARE_MUST_CHECK enum pare_status op_conv_fit(const struct op_conv *a, const struct pare_shape *x,
	const struct pare_shape *w, struct pare_conv *v, struct pare_err *err);

/* The windows of one group as columns of a matrix [k][p], zeros for padding, as many pixels at a
 * time as a cache holds.  x: [c][in]; to: [k][n], output pixels from … */
struct op_columns {
	int k, p; /* terms, most pixels at a time */
};
struct op_columns op_conv_columns(const struct pare_conv *v);
void op_conv_fill(const struct pare_conv *v, const float *x, int from, int n, float *to);

/* n samples without lanes, all groups; w [groups*o][c][kernel], bias [groups*o] or NULL; scratch of
 * op_conv_plain_scratch bytes. */
void op_conv_plain(const struct pare_conv *v, int64_t n, const float *x, const float *w,
	const float *bias, float *out, float *scratch);
size_t op_conv_plain_scratch(const struct pare_conv *v);

static inline const float *op_conv_bias(const struct pare_call *c)
{
	return op_given(c, 2) ? c->in[2]->f32 : NULL;
}

#endif
