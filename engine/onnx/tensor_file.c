#include "../base/err.h"
#include "onnx.h"
#include "source.h"
#include "wire.h"
#include <stdlib.h>
#include <string.h>

static enum pare_status
to_array(const struct pare_tensor *x, size_t len, struct pare_array *out, struct pare_err *err)
{
	void *data = malloc(len ? len : 1);

	if (!data)
		return pare_nomem(err, "a tensor");
	if (len)
		memcpy(data, x->data, len);
	*out = (struct pare_array){ x->dtype, x->shape, data };
	return PARE_OK;
}

enum pare_status
pare_onnx_tensor_read(const char *path, struct pare_array *out, struct pare_err *err)
{
	struct pare_source s = { .path = path };
	struct pare_err inner = { 0 };
	struct pare_tensor x;
	struct pare_blob *b = NULL;
	Onnx__TensorProto *p;
	uint8_t *thin = NULL;
	size_t len;
	enum pare_status st = pare_source_load(path, &s.buf, err);

	if (st)
		return st;
	st = pare_wire_thin(PARE_WIRE_TENSOR, s.buf->data, s.buf->len, &thin, &len, &inner);
	p = st ? NULL : onnx__tensor_proto__unpack(NULL, len, thin);
	if (!st && !p)
		st = pare_fail(&inner, PARE_E_FORMAT, "not an ONNX tensor");
	if (!st)
		st = pare_source_take(&s, p, &x, &b, &inner);
	if (!st)
		st = to_array(&x, b->len, out, &inner);
	if (st)
		pare_fail(err, st, "%s: %s", path, inner.text);
	pare_blob_free(b);
	if (p)
		onnx__tensor_proto__free_unpacked(p, NULL);
	free(thin);
	pare_blob_free(s.buf);
	return st;
}
