/* Packed weights: a file for those who bring a network to a device of their own.  It holds all
 * constants of a network, its weights at their true bits, and no graph.  Little endian:
 *
 *     0   8 bytes   "PAREPACK"
 *     8   u32       version, 1
 *    12   u32       records
 *    16   u64       bytes of the file
 *    24   u32       bytes of the directory
 *    28   u32       0
 *    32   32 bytes  SHA-256 of the file with these 32 bytes as zeros
 *    64   32 bytes  SHA-256 of the recipe; zeros = none
 *    96   the directory: the records, one after the other
 *         the data: the parts of each record, in the order of the records
 *
 * A part begins at a multiple of 8; between parts lie zeros.  A record, with numbers as varints (7
 * bits a byte, low ones first, the top bit says that more follow) and signed ones zigzag (0, -1, 1,
 * -2…):
 *
 *     name     its length and its bytes; of length 0: that of the record before
 *     role     a byte: 0 a constant, 1 the weight of a layer, 2 its bias, 3 the quantizer of the
 *              activation that enters it.  Constants have the name of their value, the others that
 *              of their layer
 *   role 3:
 *     lo, hi   the outermost codes, signed
 *     dynamic  a byte: 1 = scale and zero point are those of each sample
 *     scale    float32;  value = scale * (code - zero)
 *     zero     int32;  there are no parts
 *   the others:
 *     type     a byte: ONNX's number for the type of its elements (1 float32, 10 float16, 16
 *              bfloat16, 7 int64…); 0 = codes
 *     dims     how many, then each
 *   of codes:
 *     bits     a byte
 *     flags    a byte: 1 codes have no sign, 2 there are zero points, 4 scales are powers of two
 *     axis     a byte: 1 + the axis along which scales lie; 0 = one scale for all
 *     group    how many elements of a channel share a scale; 0 = all
 *   all but role 3:
 *     gone     sites that are left out, for all that is there is zero; 0 = none
 *   where sites are left out:
 *     rows     the axis whose places are rows; the other axes, in their order, count columns
 *     inner, tall, wide   a site is `tall` rows and `wide` columns.  Site s of strip t has the rows
 *              t * tall + i and the columns (s / inner * wide + j) * inner + s % inner
 *
 * Parts, those that there are, in this order:
 *
 *     bitmap   a bit for each site, strip after strip, low bits first: 1 = it is there
 *     values   the elements in the file's order, or those of the sites that are there, site after
 *              site, row after row within it; `bits` bits each, the lowest first, without a gap;
 *              two's complement unless the flags say otherwise
 *     scales   float32; or, powers of two, an int8 e: the scale is 2^e
 *     zeros    zero points, packed as values are
 *
 * An element of a code is scale * (code - zero), of the scale at channel * groups + i / group, i
 * counting the elements of its channel in the file's order, groups being the elements of a channel
 * over `group`, rounded up. */
#ifndef PARE_PACKED_H
#define PARE_PACKED_H
#include "../onnx/onnx.h"
#include "../prune/pattern.h"

enum {
	PARE_PACKED_HEAD = 96,
	PARE_PACKED_VERSION = 1,
	PARE_PACKED_SHA_AT = 32,
	PARE_PACKED_SITE = 16, /* rows and columns that a site has at most */
};
#define PARE_PACKED_MAGIC "PAREPACK"

/* How layer i's weight is packed, beside what struct pare_weight_store says.  All zero = as its
 * type. */
struct pare_pack_layer {
	int bits;           /* of a code */
	bool zeros, powers; /* zero points are there; scales are powers of two */
	struct pare_lay lay;
	int64_t gone; /* sites that may be left out: at least so many are zeros */
};

struct pare_pack_spec {
	const struct pare_write_spec *write;
	const struct pare_pack_layer *layers; /* [n_layers]; NULL = none */
};

/* As pare_onnx_write and pare_onnx_size.  The size hangs on shapes, types and `gone` alone. */
PARE_MUST_CHECK enum pare_status pare_packed_write(const struct pare_model *m,
	const struct pare_pack_spec *spec, void **data, size_t *len, struct pare_err *err);
PARE_MUST_CHECK enum pare_status pare_packed_size(const struct pare_model *m,
	const struct pare_pack_spec *spec, int64_t *len, struct pare_err *err);
/* Bytes of the parts of one layer's weight. */
int64_t pare_packed_layer(const struct pare_layer *l, const struct pare_weight_store *store,
	const struct pare_pack_layer *p);

/* ---- what reader and writer share
 * --------------------------------------------------------------- */

struct pare_packed_parts {
	int64_t bitmap, values, scales, zeros; /* bytes */
};
/* false: what the record says does not come out even, or overflows. */
bool pare_packed_parts(const struct pare_packed_record *r, struct pare_packed_parts *out);
int64_t pare_packed_sites(const struct pare_packed_record *r);
/* Element j of site `at`, counting row after row within it. */
int64_t pare_packed_element(const struct pare_packed_record *r, int64_t at, int64_t j);
int64_t pare_packed_scales(const struct pare_packed_record *r);
/* Which scale is that of element i. */
int64_t pare_packed_scale_at(const struct pare_packed_record *r, int64_t i);

static inline int64_t pare_packed_up(int64_t n)
{
	return (n + 7) & ~(int64_t)7;
}

/* Bits that may lie across bytes; what is put was zero before. */
static inline void pare_packed_put(uint8_t *p, int64_t i, int bits, uint64_t code)
{
	for (int64_t at = i * bits, left = bits; left > 0;) {
		int off = (int)(at % 8);
		int64_t n = left < 8 - off ? left : 8 - off;

		p[at / 8] |= (uint8_t)((code & ((1u << n) - 1)) << off);
		code >>= n;
		at += n;
		left -= n;
	}
}
static inline uint64_t pare_packed_get(const uint8_t *p, int64_t i, int bits)
{
	uint64_t code = 0;

	for (int64_t at = i * bits, done = 0; done < bits;) {
		int off = (int)(at % 8);
		int64_t n = bits - done < 8 - off ? bits - done : 8 - off;

		code |= (uint64_t)(p[at / 8] >> off & ((1u << n) - 1)) << done;
		at += n;
		done += n;
	}
	return code;
}

#endif
