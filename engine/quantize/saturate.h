/* Products of uint8 activations and int8 weights that exceed 16 bits.
 *
 * On x86 without VNNI ONNX Runtime multiplies them with vpmaddubsw, which adds two neighbouring
 * products and cuts the sum off at 16 bits (its library MLAS, qgemm and the symmetric kernels of
 * AVX2 and AVX-512 without VNNI).  Neighbours are elements 2j and 2j + 1 of what an output channel
 * sums over, in the order in which it lies: channel, row, column of the kernel, or, where a
 * convolution was turned channels last, row, column, channel.  Which of the two a file meets hangs
 * on the runtime's optimization level, so both count.  Of weights of unlike sign the products
 * cannot exceed; of like sign they can where 255 * (|w1| + |w2|) does.  Depthwise convolutions are
 * summed at 32 bits (qdwconv). */
#ifndef PARE_SATURATE_H
#define PARE_SATURATE_H
#include "../graph/model.h"
#include "grid.h"

/* What an activation's codes must be for it to matter: unsigned, of more than 7 bits. */
bool pare_act_saturates(const struct pare_act_quant *a);

/* Output channels of layer i whose neighbours can exceed; q: its integers, [weight elements]. */
int64_t pare_pairs_exceed(const struct pare_model *m, int i, const int8_t *q);

/* Wider scales for those channels (for the layer, where it has one scale), as little as it takes;
 * q and w follow.  Channels with a zero point stay as they are.  The number of channels changed. */
int64_t pare_pairs_narrow(const struct pare_model *m, int i, const struct pare_grid *g,
	float *scale, const int8_t *zero, int8_t *q, float *w);

#endif
