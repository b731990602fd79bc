/* ONNX on the wire.  A file is read into one buffer; what protobuf-c is given to unpack is a thin
 * copy without the bulk: in each tensor, `raw_data` is replaced with a struct pare_span that says
 * where in the buffer the bytes lie; packed `float_data` and `double_data`, whose bytes are the
 * same, become such `raw_data` too.  So weights are never copied by the parser.  The thin copy
 * also leaves out what pare does not read (doc strings, functions, training, nested types), and is
 * where nesting is bounded. */
#ifndef PARE_WIRE_H
#define PARE_WIRE_H
#include "../base/tensor.h"

enum pare_wire_kind { PARE_WIRE_MODEL, PARE_WIRE_TENSOR };

struct pare_span {
	uint64_t at, len;
};

/* out: malloc'ed.  PARE_E_FORMAT when the bytes are not such a message; the text has no file. */
PARE_MUST_CHECK enum pare_status pare_wire_thin(enum pare_wire_kind kind, const uint8_t *data,
	size_t len, uint8_t **out, size_t *out_len, struct pare_err *err);

#endif
