/* Where tensors come from: the file's buffer, and files beside it. */
#ifndef PARE_SOURCE_H
#define PARE_SOURCE_H
#include "../base/arena.h"
#include "../base/tensor.h"
#include "gen/onnx.pb-c.h"

struct pare_sha;

struct pare_source {
	const char *path;      /* for messages, and its folder for external data */
	struct pare_blob *buf; /* the whole file; its bytes are moved about, see below */
	int64_t external;      /* bytes read from files beside it */
	struct pare_arena *a;  /* for the list of those files; NULL = nobody asks */
	struct pare_source_file {
		const char *path;
		struct pare_source_file *next;
	} * files, *last; /* in the order in which they were first needed */
};

/* Add what lies in the files beside it, file after file, each once and whole. */
PARE_MUST_CHECK enum pare_status
pare_source_hash_files(const struct pare_source *s, struct pare_sha *sha, struct pare_err *err);

/* The whole file in a blob.  PARE_E_IO. */
PARE_MUST_CHECK enum pare_status
pare_source_load(const char *path, struct pare_blob **out, struct pare_err *err);

/* PARE_UNDEFINED for types that pare has no tensors of (strings, complex, 8-bit floats). */
const char *pare_onnx_type_name(int32_t type); /* "string" … for messages */

/* The elements of a tensor of a thin copy (wire.h).  Large raw data stays in the buffer and the
 * blob holds the buffer: no copy.  If it is not aligned to its elements, it is first moved down
 * over its own header, which is not needed any more; so each tensor may be taken only once.
 * `out->data` points into the blob; both are untouched on failure.  PARE_E_FORMAT: sizes do not
 * agree; PARE_E_UNSUPPORTED: the type.  The text does not name the tensor. */
PARE_MUST_CHECK enum pare_status pare_source_take(struct pare_source *s, const Onnx__TensorProto *t,
	struct pare_tensor *out, struct pare_blob **blob, struct pare_err *err);

#endif
