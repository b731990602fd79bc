#include "hash.h"
#include "err.h"
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pare_sha {
	struct sha256_ctx ctx;
};

static void hex_digest(struct sha256_ctx *ctx, char hex[PARE_SHA_HEX])
{
	static const char digit[] = "0123456789abcdef";
	uint8_t d[SHA256_DIGEST_SIZE];

	sha256_digest(ctx, sizeof d, d);
	for (size_t i = 0; i < sizeof d; i++) {
		hex[2 * i] = digit[d[i] >> 4];
		hex[2 * i + 1] = digit[d[i] & 15];
	}
	hex[PARE_SHA_HEX - 1] = 0;
}

void pare_sha256(const void *data, size_t n, char hex[PARE_SHA_HEX])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, n, data);
	hex_digest(&ctx, hex);
}

enum pare_status pare_sha256_file(const char *path, char hex[PARE_SHA_HEX], struct pare_err *err)
{
	struct sha256_ctx ctx;
	uint8_t buf[1 << 16];
	size_t n;
	FILE *f = fopen(path, "rb");
	int bad;

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	sha256_init(&ctx);
	while ((n = fread(buf, 1, sizeof buf, f)) > 0)
		sha256_update(&ctx, n, buf);
	bad = ferror(f);
	fclose(f);
	if (bad)
		return pare_fail(err, PARE_E_IO, "%s: cannot be read to its end", path);
	hex_digest(&ctx, hex);
	return PARE_OK;
}

struct pare_sha *pare_sha_new(void)
{
	struct pare_sha *s = malloc(sizeof *s);

	if (s)
		sha256_init(&s->ctx);
	return s;
}

void pare_sha_add(struct pare_sha *s, const void *data, size_t n)
{
	sha256_update(&s->ctx, n, data);
}

void pare_sha_end(struct pare_sha *s, char hex[PARE_SHA_HEX])
{
	hex_digest(&s->ctx, hex);
	free(s);
}
