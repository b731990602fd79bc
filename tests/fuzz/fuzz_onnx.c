/* A file from a stranger: read, and what was read is written again. */
#include "engine/onnx/onnx.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pare_err err = { 0 };
	struct pare_model *m = NULL;
	void *out = NULL;
	int64_t len = 0;
	size_t n = 0;

	if (pare_onnx_read(data, size, "fuzz.onnx", &m, &err))
		return err.text[0] ? 0 : (abort(), 0); /* a refusal says why */
	if (!pare_onnx_write(m, NULL, &out, &n, &err)) {
		if (pare_onnx_size(m, NULL, &len, &err) || (size_t)len != n)
			abort();
		free(out);
	}
	pare_model_free(m);
	return 0;
}
