/* Elements and the blocks that they lie in. */
#include "groups.h"
#include <stdlib.h>

int grouping_root_element(struct grouping *g, int e)
{
	while (g->element[e].parent != e) {
		g->element[e].parent = g->element[g->element[e].parent].parent;
		e = g->element[e].parent;
	}
	return e;
}

int grouping_root_block(struct grouping *g, int b)
{
	while (g->block[b].parent != b) {
		g->block[b].parent = g->block[g->block[b].parent].parent;
		b = g->block[b].parent;
	}
	return b;
}

void grouping_unite(struct grouping *g, int x, int y)
{
	int a = grouping_root_block(g, g->element[x].block),
	    b = grouping_root_block(g, g->element[y].block);

	x = grouping_root_element(g, x);
	y = grouping_root_element(g, y);
	g->element[x > y ? x : y].parent = x > y ? y : x;
	if (a == b)
		return;
	if (!g->block[a].stuck)
		g->block[a].stuck = g->block[b].stuck;
	g->block[b].parent = a;
}

static bool grow(struct grouping *g, void **list, int *room, int need, size_t size)
{
	int more = *room ? *room : 64;
	void *p;

	if (need <= *room)
		return true;
	while (more < need)
		more *= 2;
	if (!(p = realloc(*list, (size_t)more * size))) {
		g->nomem = true;
		return false;
	}
	*list = p;
	*room = more;
	return true;
}

int grouping_new_block(struct grouping *g, const char *stuck)
{
	if (!grow(g, (void **)&g->block, &g->block_room, g->n_blocks + 1, sizeof *g->block))
		return 0;
	g->block[g->n_blocks] = (struct block){ g->n_blocks, stuck };
	return g->n_blocks++;
}

void grouping_new_elements(struct grouping *g, int64_t n, const char *stuck, int *id)
{
	int block = grouping_new_block(g, stuck);

	if (g->nomem || !grow(g, (void **)&g->element, &g->element_room, g->n_elements + (int)n,
				sizeof *g->element))
		return;
	for (int64_t i = 0; i < n; i++) {
		g->element[g->n_elements] = (struct element){ g->n_elements, block };
		id[i] = g->n_elements++;
	}
}

int *grouping_new_row(struct grouping *g, int64_t n)
{
	int *id = pare_alloc_n(g->a, (size_t)n, sizeof *id);

	g->nomem |= !id;
	return id;
}

void grouping_set(struct grouping *g, int var, int axis, const int *id, int64_t n, int64_t times)
{
	int *own;

	if (times > 1) {
		if (!(own = grouping_new_row(g, n * times)))
			return;
		for (int64_t i = 0; i < n * times; i++)
			own[i] = id[i / times];
		id = own;
	}
	g->of[var] = (struct channels){ axis, n * times, id };
}

const struct pare_shape *grouping_shape(const struct grouping *g, int var)
{
	return g->m->known[var].dtype == PARE_UNDEFINED ? NULL : &g->m->known[var].shape;
}

void grouping_fresh(struct grouping *g, int var, int axis, int64_t n, const char *stuck)
{
	int *id;

	if (n < 1 || n > MOST_FEATURES || !(id = grouping_new_row(g, n)))
		return;
	grouping_new_elements(g, n, stuck, id);
	if (!g->nomem)
		grouping_set(g, var, axis, id, n, 1);
}

void grouping_stick_element(struct grouping *g, int e, const char *why)
{
	struct block *b = &g->block[grouping_root_block(g, g->element[e].block)];

	if (!b->stuck)
		b->stuck = why;
}

void grouping_stick(struct grouping *g, int var, const char *why)
{
	for (int64_t i = 0; i < g->of[var].n; i++)
		grouping_stick_element(g, g->of[var].id[i], why);
}

void grouping_tie_parts(struct grouping *g, const int *id, int64_t n, int64_t parts)
{
	int64_t len = n / parts;

	for (int64_t i = len; i < n; i++)
		grouping_unite(g, id[i % len], id[i]);
}
