#include "names.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pare_name_slot {
	const char *name; /* NULL = free */
	int index;
};

static uint32_t hash_name(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static struct pare_name_slot *slot_of(const struct pare_names *t, const char *name)
{
	uint32_t mask = (uint32_t)t->room - 1, i = hash_name(name) & mask;

	while (t->slot[i].name && strcmp(t->slot[i].name, name))
		i = (i + 1) & mask;
	return &t->slot[i];
}

static bool grow(struct pare_names *t)
{
	struct pare_names big = { .room = t->room ? 2 * t->room : 64 };

	if (big.room > 1 << 29 || !(big.slot = calloc((size_t)big.room, sizeof *big.slot)))
		return false;
	for (int i = 0; i < t->room; i++)
		if (t->slot[i].name)
			*slot_of(&big, t->slot[i].name) = t->slot[i];
	big.n = t->n;
	free(t->slot);
	*t = big;
	return true;
}

void pare_names_free(struct pare_names *t)
{
	free(t->slot);
	*t = (struct pare_names){ 0 };
}

int pare_names_find(const struct pare_names *t, const char *name)
{
	const struct pare_name_slot *s = t->room ? slot_of(t, name) : NULL;

	return s && s->name ? s->index : -1;
}

bool pare_names_add(struct pare_names *t, const char *name, int index)
{
	struct pare_name_slot *s;

	if (2 * t->n >= t->room && !grow(t))
		return false;
	s = slot_of(t, name);
	t->n += !s->name;
	*s = (struct pare_name_slot){ name, index };
	return true;
}
