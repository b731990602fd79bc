/* ONNX file → model. */
#include "../base/err.h"
#include "../base/hash.h"
#include "onnx.h"
#include "reader.h"
#include "wire.h"
#include <stdlib.h>
#include <string.h>

enum { OPSET_MIN = 1, OPSET_MAX = 28, IR_MIN = 3, IR_MAX = 15 };

static bool is_default(const char *domain)
{
	return !*domain || !strcmp(domain, "ai.onnx");
}

static bool uses_default_domain(const Onnx__GraphProto *g)
{
	for (size_t i = 0; i < g->n_node; i++)
		if (is_default(text(g->node[i]->domain)))
			return true;
	return false;
}

static enum pare_status check_versions(struct pare_reader *r, const Onnx__ModelProto *p)
{
	bool has_opset = false;

	if (!p->graph || !p->has_ir_version)
		return pare_fail(r->err, PARE_E_FORMAT, "%s: not an ONNX model", r->source->path);
	if (p->ir_version < IR_MIN || p->ir_version > IR_MAX)
		return pare_fail(r->err, PARE_E_UNSUPPORTED,
			"%s: its IR version is %lld, pare reads %d to %d", r->source->path,
			(long long)p->ir_version, IR_MIN, IR_MAX);
	for (size_t i = 0; i < p->n_opset_import; i++) {
		if (!is_default(text(p->opset_import[i]->domain)))
			continue;
		has_opset = true;
		r->opset =
			p->opset_import[i]->version < 0 || p->opset_import[i]->version > INT32_MAX
				? 0
				: (int)p->opset_import[i]->version;
	}
	if (!has_opset && !uses_default_domain(p->graph))
		return PARE_OK;
	if (!has_opset)
		return pare_fail(r->err, PARE_E_FORMAT,
			"%s: it does not say which ONNX opset it is written in", r->source->path);
	if (r->opset < OPSET_MIN || r->opset > OPSET_MAX)
		return pare_fail(r->err, PARE_E_UNSUPPORTED,
			"%s: its opset is %d, pare reads %d to %d; convert it with "
			"onnx.version_converter",
			r->source->path, r->opset, OPSET_MIN, OPSET_MAX);
	return PARE_OK;
}

static enum pare_status
unpack(const struct pare_source *s, Onnx__ModelProto **out, struct pare_err *err)
{
	struct pare_err inner = { 0 };
	enum pare_status st;
	uint8_t *thin;
	size_t len;

	if (!s->buf->len)
		return pare_fail(err, PARE_E_FORMAT, "%s: is empty", s->path);
	st = pare_wire_thin(PARE_WIRE_MODEL, s->buf->data, s->buf->len, &thin, &len, &inner);
	if (st) /* every ONNX file begins with its IR version */
		return ((const uint8_t *)s->buf->data)[0] == 8 || st != PARE_E_FORMAT
			       ? pare_fail(err, st, "%s: %s", s->path, inner.text)
			       : pare_fail(err, st, "%s: not an ONNX model", s->path);
	*out = onnx__model_proto__unpack(NULL, len, thin);
	free(thin);
	if (!*out)
		return pare_fail(
			err, PARE_E_FORMAT, "%s: not an ONNX model, or a damaged one", s->path);
	return PARE_OK;
}

/* Takes buf over. */
static enum pare_status read_model(struct pare_blob *buf, const char *path, const char *shapes,
	struct pare_model **out, struct pare_err *err)
{
	struct pare_source source = { .path = path, .buf = buf };
	struct pare_sha *sha = NULL;
	struct pare_reader r = { .source = &source, .err = err };
	Onnx__ModelProto *p = NULL;
	struct pare_model *m = NULL;
	enum pare_status st = PARE_OK;

	if (!(m = pare_model_new()) || !(m->info.path = pare_strdup(m->arena, path)) ||
		!(m->info.shapes = pare_strdup(m->arena, shapes))) {
		st = pare_nomem(err, path);
		goto out;
	}
	source.a = m->arena;
	if (!(sha = pare_sha_new())) {
		st = pare_nomem(err, path);
		goto out;
	}
	pare_sha_add(sha, buf->data, buf->len); /* now: reading moves its bytes about */
	if ((st = unpack(r.source, &p, err)) || (st = check_versions(&r, p)))
		goto out;
	r.a = m->arena;
	r.g = &m->graph;
	m->ir_version = p->ir_version;
	m->info.opset = r.opset;
	if ((st = pare_reader_graph(&r, p->graph)) ||
		(st = pare_source_hash_files(&source, sha, err)) ||
		(st = pare_reader_give(&m->graph, path, shapes, err)))
		goto out;
	m->info.bytes = (int64_t)buf->len + r.source->external;
	if ((st = pare_graph_simplify(&m->graph, m->arena, err)) || (st = pare_model_index(m, err)))
		st = pare_wrap(err, st, "%s", path);
out:
	if (sha)
		pare_sha_end(sha, m->info.sha256);
	pare_names_free(&r.names);
	if (p)
		onnx__model_proto__free_unpacked(p, NULL);
	pare_blob_free(buf);
	if (st)
		pare_model_free(m);
	else
		*out = m;
	return st;
}

enum pare_status pare_onnx_read(const void *data, size_t len, const char *path,
	struct pare_model **out, struct pare_err *err)
{
	struct pare_blob *buf = pare_blob_new(len);

	if (!buf)
		return pare_fail(
			err, PARE_E_NOMEM, "%s: not enough memory for its %zu bytes", path, len);
	if (len)
		memcpy(buf->data, data, len);
	return read_model(buf, path, "", out, err);
}

enum pare_status pare_model_open_as(
	const char *path, const char *shapes, struct pare_model **out, struct pare_err *err)
{
	struct pare_blob *buf;
	enum pare_status st = pare_source_load(path, &buf, err);

	return st ? st : read_model(buf, path, shapes ? shapes : "", out, err);
}

enum pare_status pare_model_open(const char *path, struct pare_model **out, struct pare_err *err)
{
	return pare_model_open_as(path, NULL, out, err);
}
