/* Names to indices: a hash table over strings that the caller keeps alive. */
#ifndef PARE_NAMES_H
#define PARE_NAMES_H
#include <stdbool.h>

struct pare_names {
	int n, room; /* room: a power of two, 0 at first */
	struct pare_name_slot *slot;
};

void pare_names_free(struct pare_names *t);
int pare_names_find(const struct pare_names *t, const char *name); /* -1 when there is none */
/* False: no memory.  A name that is there already gets the new index. */
bool pare_names_add(struct pare_names *t, const char *name, int index);

#endif
