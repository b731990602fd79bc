/* pare info of packed weights: what each record is and how it lies. */
#include "cli.h"
#include <inttypes.h>
#include <stdio.h>

static const char *role_name(enum pare_packed_role r)
{
	static const char *const name[] = { [PARE_PACKED_CONSTANT] = "constant",
		[PARE_PACKED_WEIGHT] = "weight",
		[PARE_PACKED_BIAS] = "bias",
		[PARE_PACKED_QUANTIZER] = "quantizer" };

	return name[r];
}

/* "int4 per channel of 8, zero points, 75 % there as blocks of 4x1" */
static void how_text(const struct pare_packed_record *r, char *buf, size_t len)
{
	double all = 1;
	int n;

	if (r->role == PARE_PACKED_QUANTIZER) {
		if (r->dynamic)
			snprintf(buf, len, "%d…%d, scale of each sample", r->lo, r->hi);
		else
			snprintf(buf, len, "%d…%d, scale %.6g, zero %d", r->lo, r->hi,
				(double)r->scale, r->zero);
		return;
	}
	for (int i = 0; i < r->shape.n; i++)
		all *= (double)r->shape.d[i];
	if (r->type != PARE_UNDEFINED)
		n = snprintf(buf, len, "%s", pare_dtype_name(r->type));
	else
		n = snprintf(buf, len, "%sint%d %s%s%s", r->is_unsigned ? "u" : "", r->bits,
			r->group      ? "per group"
			: r->axis < 0 ? "per tensor"
				      : "per channel",
			r->powers ? ", scales powers of two" : "", r->zeros ? ", zero points" : "");
	if (r->gone && n >= 0 && (size_t)n < len)
		snprintf(buf + n, len - (size_t)n, ", %.1f %% left out as %" PRId64 "x%" PRId64,
			100 * (double)(r->gone * r->tall * r->wide) / all, r->tall, r->wide);
}

static json_t *record_json(const struct pare_packed_record *r)
{
	json_t *o = json_pack("{s:s s:s s:I}", "name", r->name, "role", role_name(r->role), "bytes",
		       (json_int_t)r->bytes),
	       *shape = json_array();

	for (int i = 0; i < r->shape.n; i++)
		json_array_append_new(shape, json_integer(r->shape.d[i]));
	json_object_set_new(o, "shape", shape);
	if (r->role == PARE_PACKED_QUANTIZER) {
		json_object_set_new(o, "codes", json_pack("[i,i]", r->lo, r->hi));
		json_object_set_new(
			o, "scale", r->dynamic ? json_null() : json_real((double)r->scale));
		json_object_set_new(o, "zero", r->dynamic ? json_null() : json_integer(r->zero));
		return o;
	}
	json_object_set_new(o, "type",
		json_string(r->type == PARE_UNDEFINED ? "codes" : pare_dtype_name(r->type)));
	json_object_set_new(o, "bits", json_integer(r->bits));
	json_object_set_new(o, "left_out", json_integer(r->gone * r->tall * r->wide));
	return o;
}

static json_t *packed_json(const struct pare_packed *p, const char *path)
{
	const struct pare_packed_info *info = pare_packed_info(p);
	json_t *records = json_array();

	for (int i = 0; i < info->n_records; i++)
		json_array_append_new(records, record_json(pare_packed_record(p, i)));
	return json_pack("{s:s s:s s:o s:I s:o}", "packed", path, "sha256", info->sha256,
		"recipe_sha256", *info->recipe_sha ? json_string(info->recipe_sha) : json_null(),
		"bytes", (json_int_t)info->bytes, "records", records);
}

int cli_packed_info(const char *path)
{
	const struct pare_packed_info *info;
	struct pare_packed *p;
	struct pare_err err;
	int code = CLI_OK;

	if (pare_packed_open(path, &p, &err))
		return cli_bad(&err);
	info = pare_packed_info(p);
	if (cli_common.json) {
		code = cli_json(packed_json(p, path), CLI_OK);
		pare_packed_free(p);
		return code;
	}
	printf("packed    %s\nsha256    %s\nrecipe    %s\nbytes     %" PRId64 "\n\n", path,
		info->sha256, *info->recipe_sha ? info->recipe_sha : "none", info->bytes);
	printf("%-24s %-9s %-14s %10s  %s\n", "name", "what", "shape", "bytes", "how");
	for (int i = 0; i < info->n_records; i++) {
		const struct pare_packed_record *r = pare_packed_record(p, i);
		char shape[64], how[160];

		how_text(r, how, sizeof how);
		printf("%-24s %-9s %-14s %10" PRId64 "  %s\n", r->name, role_name(r->role),
			pare_shape_text(&r->shape, "x", shape, sizeof shape), r->bytes, how);
	}
	pare_packed_free(p);
	return code;
}
