/* Variants as files. */
#include "../base/err.h"
#include "../base/hash.h"
#include "variant.h"
#include <stdlib.h>

static enum pare_status write_onnx(const struct pare_model *m, const struct pare_pack_spec *spec,
	void **data, size_t *len, struct pare_err *err)
{
	return pare_onnx_write(m, spec->write, data, len, err);
}

/* clang-format off */
const struct pare_file_kind pare_file_kinds[] = {
	[PARE_AS_ONNX] = { "onnx", "the network for ONNX Runtime and its like: QuantizeLinear and DequantizeLinear, int4 packed, other widths below 8 as int8", write_onnx },
	[PARE_AS_PACKED] = { "packed", "its constants alone at their true bits, zeros left out: for a device of your own", pare_packed_write },
	{ 0 },
};
/* clang-format on */

static enum pare_status lay_out(const struct pare_variant *v, int as, const char *recipe_sha,
	void **data, size_t *len, struct pare_err *err)
{
	int choice[PARE_MAX_EXITS];
	struct pare_write_spec write = { v->store, v->acts, recipe_sha, choice, v->exits.n };
	struct pare_pack_spec spec = { &write, v->pack };
	struct pare_model *m = NULL;
	enum pare_status st =
		v->exits.n ? pare_exits_join(v->model, &v->exits, false, choice, &m, err) : PARE_OK;

	if (!st)
		st = pare_file_kinds[as].write(m ? m : v->model, &spec, data, len, err);
	pare_model_free(m);
	return st;
}

enum pare_status pare_variant_hash(const struct pare_variant *v, const char *recipe_sha,
	char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err)
{
	size_t len;
	void *data;
	enum pare_status st = lay_out(v, PARE_AS_ONNX, recipe_sha, &data, &len, err);

	if (st)
		return st;
	pare_sha256(data, len, sha256);
	*bytes = (int64_t)len;
	free(data);
	return PARE_OK;
}

enum pare_status pare_variant_export_as(const struct pare_variant *v, int as, const char *path,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err)
{
	size_t len;
	void *data;
	enum pare_status st = lay_out(v, as, recipe_sha, &data, &len, err);

	if (st)
		return st;
	st = pare_file_write(path, data, len, err);
	if (!st) {
		pare_sha256(data, len, sha256);
		*bytes = (int64_t)len;
	}
	free(data);
	return st;
}

enum pare_status pare_variant_export(const struct pare_variant *v, const char *path,
	const char *recipe_sha, char sha256[PARE_SHA_HEX], int64_t *bytes, struct pare_err *err)
{
	return pare_variant_export_as(v, PARE_AS_ONNX, path, recipe_sha, sha256, bytes, err);
}
