/* A network and samples small enough to make in a test: eight convolutions, four dense layers, two
 * of them with names that need quoting. */
#ifndef TINY_H
#define TINY_H
#include "engine/base/rng.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TINY_LAYERS = 12, TINY_CONVS = 8, TINY_EDGE = 8, TINY_WIDTH = 6, TINY_CLASSES = 4 };
static const char *const tiny_names[TINY_LAYERS] = { "conv_0", "conv_1", "conv_2", "conv_3",
	"conv_4", "conv_5", "conv_6", "conv_7", "odd,\"8\"", "a*b", "dense/10", "dense/11" };

struct tiny_buf {
	unsigned char *p;
	size_t n;
};

static inline void tiny_put(struct tiny_buf *b, const void *data, size_t n)
{
	if (!n)
		return;
	b->p = realloc(b->p, b->n + n);
	if (!b->p)
		abort();
	memcpy(b->p + b->n, data, n);
	b->n += n;
}

static inline void tiny_varint(struct tiny_buf *b, uint64_t v)
{
	do {
		unsigned char c = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));

		tiny_put(b, &c, 1);
		v >>= 7;
	} while (v);
}

static inline void tiny_int(struct tiny_buf *b, int field, uint64_t v)
{
	tiny_varint(b, (uint64_t)field << 3);
	tiny_varint(b, v);
}

static inline void tiny_bytes(struct tiny_buf *b, int field, const void *data, size_t n)
{
	tiny_varint(b, (uint64_t)field << 3 | 2);
	tiny_varint(b, n);
	tiny_put(b, data, n);
}

static inline void tiny_str(struct tiny_buf *b, int field, const char *s)
{
	tiny_bytes(b, field, s, strlen(s));
}

static inline void tiny_sub(struct tiny_buf *b, int field, struct tiny_buf *sub)
{
	tiny_bytes(b, field, sub->p, sub->n);
	free(sub->p);
	*sub = (struct tiny_buf){ 0 };
}

static inline void tiny_weight(struct tiny_buf *graph, struct pare_rng *r, const char *name,
	const int *dims, int n_dims, double spread)
{
	struct tiny_buf t = { 0 }, raw = { 0 };
	int n = 1;

	for (int i = 0; i < n_dims; i++) {
		tiny_int(&t, 1, (uint64_t)dims[i]);
		n *= dims[i];
	}
	for (int i = 0; i < n; i++) {
		float v = (float)(spread * pare_rng_normal(r));

		tiny_put(&raw, &v, sizeof v);
	}
	tiny_int(&t, 2, 1); /* FLOAT */
	tiny_str(&t, 8, name);
	tiny_sub(&t, 9, &raw);
	tiny_sub(graph, 5, &t);
}

static inline void tiny_node(struct tiny_buf *graph, const char *op, const char *name,
	const char *x, const char *w, const char *y)
{
	struct tiny_buf n = { 0 };

	tiny_str(&n, 1, x);
	if (w)
		tiny_str(&n, 1, w);
	tiny_str(&n, 2, y);
	tiny_str(&n, 3, name);
	tiny_str(&n, 4, op);
	if (!strcmp(op, "Conv")) {
		struct tiny_buf a = { 0 };

		tiny_str(&a, 1, "pads");
		for (int i = 0; i < 4; i++)
			tiny_int(&a, 8, 1);
		tiny_int(&a, 20, 7); /* INTS */
		tiny_sub(&n, 5, &a);
	}
	tiny_sub(graph, 1, &n);
}

static inline void
tiny_io(struct tiny_buf *graph, int field, const char *name, const int *dims, int n)
{
	struct tiny_buf v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 };

	for (int i = 0; i < n; i++) {
		struct tiny_buf d = { 0 };

		if (dims[i] < 0)
			tiny_str(&d, 2, "N");
		else
			tiny_int(&d, 1, (uint64_t)dims[i]);
		tiny_sub(&shape, 1, &d);
	}
	tiny_int(&tensor, 1, 1);
	tiny_sub(&tensor, 2, &shape);
	tiny_sub(&type, 1, &tensor);
	tiny_str(&v, 1, name);
	tiny_sub(&v, 2, &type);
	tiny_sub(graph, field, &v);
}

static inline int tiny_file(const char *path, const void *a, size_t an, const void *b, size_t bn)
{
	FILE *f = fopen(path, "wb");
	size_t put = f ? fwrite(a, 1, an, f) + (bn ? fwrite(b, 1, bn, f) : 0) : 0;

	return f && !fclose(f) && put == an + bn;
}

/* The network as ONNX; another `seed`, other weights. */
static inline int tiny_model(const char *path, uint64_t seed)
{
	struct pare_rng r = pare_rng_seed(seed, 1);
	struct tiny_buf g = { 0 }, m = { 0 }, opset = { 0 };
	int in[] = { -1, 1, TINY_EDGE, TINY_EDGE }, out[] = { -1, TINY_CLASSES }, good;
	char x[32] = "x", y[32], w[32], name[32];

	tiny_io(&g, 11, "x", in, 4);
	for (int i = 0; i < TINY_LAYERS; i++) {
		int conv = i < TINY_CONVS, n_in = i ? TINY_WIDTH : 1;
		int n_out = i + 1 == TINY_LAYERS ? TINY_CLASSES : TINY_WIDTH;
		int conv_dims[] = { n_out, n_in, 3, 3 }, dense_dims[] = { n_in, n_out };

		snprintf(w, sizeof w, "w%d", i);
		snprintf(y, sizeof y, "y%d", i);
		tiny_weight(&g, &r, w, conv ? conv_dims : dense_dims, conv ? 4 : 2,
			conv ? 0.5 / (i ? 1.5 : 1) : 0.8);
		tiny_node(&g, conv ? "Conv" : "Gemm", tiny_names[i], x, w, y);
		snprintf(x, sizeof x, "%s", y);
		if (i + 1 < TINY_LAYERS) {
			snprintf(name, sizeof name, "relu%d", i);
			tiny_node(&g, "Relu", name, y, NULL, name);
			snprintf(x, sizeof x, "%s", name);
		}
		if (i + 1 == TINY_CONVS) {
			tiny_node(&g, "GlobalAveragePool", "pool", x, NULL, "pooled");
			tiny_node(&g, "Flatten", "flat", "pooled", NULL, "flattened");
			snprintf(x, sizeof x, "flattened");
		}
	}
	tiny_str(&g, 2, "tiny");
	tiny_io(&g, 12, x, out, 2);
	tiny_int(&m, 1, 8);
	tiny_sub(&m, 7, &g);
	tiny_int(&opset, 2, 13);
	tiny_sub(&m, 8, &opset);
	good = tiny_file(path, m.p, m.n, NULL, 0);
	free(m.p);
	return good;
}

static int
tiny_npy(const char *path, const char *type, const char *shape, const void *data, size_t n)
{
	char head[128];
	int len = snprintf(head, sizeof head,
		"\x93NUMPY\x01%c\x76%c{'descr': '%s', 'fortran_order': False, 'shape': %s, }", 0, 0,
		type, shape);

	memset(head + len, ' ', sizeof head - (size_t)len);
	head[127] = '\n';
	return tiny_file(path, head, sizeof head, data, n);
}

/* A folder with x.npy [n, 1, 8, 8] and, if `labelled`, y.npy: random classes. */
static inline int tiny_data(const char *folder, int n, int labelled, uint64_t seed)
{
	struct pare_rng r = pare_rng_seed(seed, 2);
	size_t elems = (size_t)n * TINY_EDGE * TINY_EDGE;
	float *x = malloc(elems * sizeof *x);
	int64_t *y = malloc((size_t)n * sizeof *y);
	char path[512], shape[64];
	int good = x && y;

	mkdir(folder, 0777);
	for (size_t i = 0; good && i < elems; i++)
		x[i] = (float)pare_rng_normal(&r);
	for (int i = 0; good && i < n; i++)
		y[i] = (int64_t)pare_rng_below(&r, TINY_CLASSES);
	snprintf(path, sizeof path, "%s/x.npy", folder);
	snprintf(shape, sizeof shape, "(%d, 1, %d, %d)", n, TINY_EDGE, TINY_EDGE);
	good = good && tiny_npy(path, "<f4", shape, x, elems * sizeof *x);
	snprintf(path, sizeof path, "%s/y.npy", folder);
	snprintf(shape, sizeof shape, "(%d,)", n);
	if (good && labelled)
		good = tiny_npy(path, "<i8", shape, y, (size_t)n * sizeof *y);
	free(x);
	free(y);
	return good;
}

/* A folder of this test's own, removed with all that is in it by tiny_away.  A path lasts for 63
 * more of them. */
static char tiny_folder[256];
static inline const char *tiny_path(const char *name)
{
	static char buf[64][512];
	static int k;

	k = (k + 1) % 64;
	snprintf(buf[k], sizeof buf[k], "%s/%s", tiny_folder, name);
	return buf[k];
}

static inline void tiny_away(void)
{
	char command[600];

	snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", tiny_folder,
		tiny_folder);
	if (system(command))
		perror(command);
}

static inline int tiny_home(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(tiny_folder, sizeof tiny_folder, "%s/pare-test-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(tiny_folder) && !atexit(tiny_away);
}

#endif
