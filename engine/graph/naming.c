#include "../base/err.h"
#include "../base/names.h"
#include "model.h"
#include <ctype.h>

static const char *lower(struct pare_arena *a, const char *s)
{
	char *low = pare_strdup(a, s);

	for (char *c = low; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return low;
}

/* The first of stem_k, stem_k+1 … that is free; *k is then where to go on. */
static const char *
free_name(const struct pare_names *taken, struct pare_arena *a, const char *stem, int *k)
{
	const char *name;

	do
		name = pare_sprintf(a, "%s_%d", stem, (*k)++);
	while (name && pare_names_find(taken, name) >= 0);
	return name;
}

enum pare_status
pare_graph_name_nodes(struct pare_graph *g, struct pare_arena *a, struct pare_err *err)
{
	struct pare_names taken = { 0 }, next = { 0 }; /* next: number to try for a stem */
	bool good = true;

	for (int i = 0; i < g->n_nodes && good; i++) {
		struct pare_node *n = &g->nodes[i];

		if (*n->name && pare_names_find(&taken, n->name) < 0)
			good = pare_names_add(&taken, n->name, i);
	}
	for (int i = 0; i < g->n_nodes && good; i++) {
		struct pare_node *n = &g->nodes[i];
		const char *stem = *n->name ? n->name : lower(a, n->op_type);
		int k;

		if (!stem)
			good = false;
		else if (!*n->name || pare_names_find(&taken, n->name) != i) {
			k = pare_names_find(&next, stem);
			k = k < 0 ? (*n->name ? 2 : 1) : k;
			n->name = free_name(&taken, a, stem, &k);
			good = n->name && pare_names_add(&taken, n->name, i) &&
			       pare_names_add(&next, stem, k);
		}
	}
	pare_names_free(&taken);
	pare_names_free(&next);
	return good ? PARE_OK : pare_nomem(err, "names");
}
