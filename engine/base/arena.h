/* Arenas: an object owns one, everything in the object is allocated from it, one call frees all.
 * Not thread-safe: an arena belongs to one thread at a time. */
#ifndef PARE_ARENA_H
#define PARE_ARENA_H
#include <stddef.h>

struct pare_arena;

struct pare_arena *pare_arena_new(void);    /* NULL: no memory */
void pare_arena_free(struct pare_arena *a); /* NULL allowed */

/* `n` zeroed bytes, aligned to 64; NULL when there is no memory.  Lives until the arena is freed.
 */
void *pare_alloc(struct pare_arena *a, size_t n);

/* `n` items of `size` bytes, zeroed; NULL also when n * size overflows. */
void *pare_alloc_n(struct pare_arena *a, size_t n, size_t size);

char *pare_strdup(struct pare_arena *a, const char *s);
char *pare_strndup(struct pare_arena *a, const char *s, size_t n);
char *
pare_sprintf(struct pare_arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void *pare_memdup(struct pare_arena *a, const void *p, size_t n);

/* Test hook: the k-th allocation from now (1 = the next) fails, and all after it; 0 = none. */
void pare_alloc_fail_after(long k);

#endif
