/* SHA-256, by nettle; pare_sha256 of a block is in pare.h. */
#ifndef PARE_HASH_H
#define PARE_HASH_H
#include "../pare.h"
#include <stddef.h>

PARE_MUST_CHECK enum pare_status
pare_sha256_file(const char *path, char hex[PARE_SHA_HEX], struct pare_err *err);

/* In pieces: the digest of all that was added. */
struct pare_sha;
struct pare_sha *pare_sha_new(void); /* NULL: no memory */
void pare_sha_add(struct pare_sha *s, const void *data, size_t n);
void pare_sha_end(struct pare_sha *s, char hex[PARE_SHA_HEX]); /* frees s */

#endif
