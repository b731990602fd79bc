#include "builder.h"
#include <stdlib.h>

static int larger_first(const void *a, const void *b)
{
	const struct pare_place *x = *(struct pare_place *const *)a;
	const struct pare_place *y = *(struct pare_place *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x < y ? -1 : x > y; /* the order of vars: the same plan every time */
}

/* done[]: those that have their place, by where they start.  Returns where `p` goes in the list. */
static int fit(struct pare_place *p, struct pare_place *const *done, int n)
{
	size_t at = 0;
	int i;

	for (i = 0; i < n; i++) {
		const struct pare_place *q = done[i];

		if (q->first > p->last || q->last < p->first)
			continue;
		if (q->at >= at + p->bytes)
			break;
		if (q->at + q->bytes > at)
			at = q->at + q->bytes;
	}
	p->at = at;
	for (i = 0; i < n && done[i]->at <= at; i++)
		;
	return i;
}

void pare_place_keep(struct pare_program *p, int var, int step)
{
	for (struct pare_place *v = &p->places[var]; v; v = v->same)
		v->last = v->last < step ? step : v->last;
}

enum pare_status pare_places_lay(
	struct pare_place *places, int n, size_t *room, struct pare_arena *a, struct pare_err *err)
{
	struct pare_place **todo = pare_alloc_n(a, (size_t)n, sizeof *todo);
	struct pare_place **done = pare_alloc_n(a, (size_t)n, sizeof *done);
	int n_todo = 0;

	if (!todo || !done)
		return pare_nomem(err, "the plan of a frame");
	for (int i = 0; i < n; i++)
		if (places[i].first != PARE_NEVER && !places[i].same)
			todo[n_todo++] = &places[i];
	qsort(todo, (size_t)n_todo, sizeof *todo, larger_first);
	*room = 0;
	for (int i = 0; i < n_todo; i++) {
		int at = fit(todo[i], done, i);

		for (int j = i; j > at; j--)
			done[j] = done[j - 1];
		done[at] = todo[i];
		if (todo[i]->at + todo[i]->bytes > *room)
			*room = todo[i]->at + todo[i]->bytes;
	}
	for (int i = 0; i < n; i++) {
		const struct pare_place *from = &places[i];

		while (from->same)
			from = from->same;
		places[i].at = from->at;
	}
	return PARE_OK;
}
