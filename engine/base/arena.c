#include "arena.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, CHUNK = 64 * 1024 };

struct chunk {
	struct chunk *next;
	size_t used, size; /* bytes after the header */
};

struct pare_arena {
	struct chunk *head; /* the chunk being filled; large blocks hang behind it */
};

static long fail_countdown; /* written by tests before any thread starts */

void pare_alloc_fail_after(long k)
{
	fail_countdown = k;
}

static int must_fail(void)
{
	if (fail_countdown == 0)
		return 0;
	if (fail_countdown > 1) {
		fail_countdown--;
		return 0;
	}
	return 1;
}

static size_t header_size(void)
{
	return (sizeof(struct chunk) + ALIGN - 1) / ALIGN * ALIGN;
}

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c;

	if (must_fail() || size > SIZE_MAX - header_size() - ALIGN)
		return NULL;
	c = aligned_alloc(ALIGN, header_size() + size);
	if (c) {
		c->next = NULL;
		c->used = 0;
		c->size = size;
	}
	return c;
}

struct pare_arena *pare_arena_new(void)
{
	struct pare_arena *a = must_fail() ? NULL : malloc(sizeof *a);

	if (a)
		a->head = NULL;
	return a;
}

void pare_arena_free(struct pare_arena *a)
{
	if (!a)
		return;
	for (struct chunk *c = a->head, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

void *pare_alloc(struct pare_arena *a, size_t n)
{
	struct chunk *c = a->head;
	void *p;

	if (n > SIZE_MAX - 2 * ALIGN)
		return NULL;
	n = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
	if (!c || c->size - c->used < n) {
		c = chunk_new(n > CHUNK / 4 ? n : CHUNK);
		if (!c)
			return NULL;
		if (n > CHUNK / 4 && a->head) { /* keep filling the head after a large block */
			c->next = a->head->next;
			a->head->next = c;
		} else {
			c->next = a->head;
			a->head = c;
		}
	}
	p = (char *)c + header_size() + c->used;
	c->used += n;
	return memset(p, 0, n);
}

void *pare_alloc_n(struct pare_arena *a, size_t n, size_t size)
{
	return size && n > SIZE_MAX / size ? NULL : pare_alloc(a, n * size);
}

void *pare_memdup(struct pare_arena *a, const void *p, size_t n)
{
	void *q = pare_alloc(a, n);

	return q && n ? memcpy(q, p, n) : q;
}

char *pare_strndup(struct pare_arena *a, const char *s, size_t n)
{
	char *q = n == SIZE_MAX ? NULL : pare_alloc(a, n + 1);

	if (q && n)
		memcpy(q, s, n);
	return q;
}

char *pare_strdup(struct pare_arena *a, const char *s)
{
	return pare_strndup(a, s, strlen(s));
}

char *pare_sprintf(struct pare_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && (s = pare_alloc(a, (size_t)n + 1))) {
		va_start(ap, fmt);
		vsnprintf(s, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return s;
}
