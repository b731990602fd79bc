/* Shapes that the user gives where the file leaves them open: "NAME=1,3,224,224", several apart by
 * blanks.  N is a free batch. */
#include "../base/err.h"
#include "reader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pare_status no_such_input(const struct pare_graph *g, const char *path,
	const char *name, size_t len, struct pare_err *err)
{
	char known[256] = "";
	size_t n = 0;

	for (int i = 0; i < g->n_in && n < sizeof known; i++)
		n += (size_t)snprintf(known + n, sizeof known - n, "%s'%s'", i ? ", " : "",
			g->vars[g->in[i]].name);
	return pare_fail(err, PARE_E_ARG, "%s has no input '%.*s' to give a shape; it has %s", path,
		(int)len, name, known);
}

/* "1,3,N" up to a blank or the end; NULL: it is none. */
static const char *read_dims(const char *s, struct pare_shape *shape)
{
	shape->n = 0;
	for (;; s++) {
		char *end = (char *)(uintptr_t)s + 1;
		long long d = -1;

		if (shape->n == PARE_MAX_DIMS || (*s == 'N' && shape->n > 0))
			return NULL;
		errno = 0;
		if (*s != 'N' && ((d = strtoll(s, &end, 10)) < 1 || errno || d > INT32_MAX))
			return NULL;
		shape->d[shape->n++] = d;
		s = end;
		if (*s != ',')
			return !*s || *s == ' ' ? s : NULL;
	}
}

static enum pare_status give(struct pare_graph *g, const char *path, const char *text,
	const char **rest, struct pare_err *err)
{
	const char *eq = strchr(text, '='), *end = text + strcspn(text, " ");
	struct pare_shape shape;
	struct pare_known *k;
	char was[128], now[128];
	int i = 0;

	if (!eq || eq > end || !(*rest = read_dims(eq + 1, &shape)))
		return pare_fail(err, PARE_E_ARG,
			"'%.*s' is no shape; write NAME=1,3,224,224, with N for a free batch",
			(int)(end - text), text);
	while (i < g->n_in && (strlen(g->vars[g->in[i]].name) != (size_t)(eq - text) ||
				      strncmp(g->vars[g->in[i]].name, text, (size_t)(eq - text))))
		i++;
	if (i == g->n_in)
		return no_such_input(g, path, text, (size_t)(eq - text), err);
	k = &g->vars[g->in[i]].declared;
	for (int d = 0; d < shape.n; d++)
		if (k->shape.n >= 0 && (k->shape.n != shape.n ||
					       (k->shape.d[d] >= 0 && k->shape.d[d] != shape.d[d])))
			return pare_fail(err, PARE_E_MISMATCH,
				"%s: its input '%s' is %s and cannot be %s", path,
				g->vars[g->in[i]].name,
				pare_shape_text(&k->shape, ",", was, sizeof was),
				pare_shape_text(&shape, ",", now, sizeof now));
	k->shape = shape;
	return PARE_OK;
}

enum pare_status
pare_reader_give(struct pare_graph *g, const char *path, const char *shapes, struct pare_err *err)
{
	while (*shapes) {
		enum pare_status st;

		if (*shapes == ' ') {
			shapes++;
			continue;
		}
		if ((st = give(g, path, shapes, &shapes, err)))
			return st;
	}
	return PARE_OK;
}
