#include "program.h"
#include <string.h>

struct pare_cut {
	struct pare_arena *arena;
	int n;
	struct kept {
		int var;
		size_t bytes;
		char *data;
	} * kept;
};

enum pare_status
pare_cut_new(const struct pare_program *p, int step, struct pare_cut **out, struct pare_err *err)
{
	struct pare_arena *a = pare_arena_new();
	struct pare_cut *c = a ? pare_alloc(a, sizeof *c) : NULL;
	int n_vars = p->m->graph.n_vars;

	if (!c || !(c->kept = pare_alloc_n(a, (size_t)n_vars, sizeof *c->kept)))
		goto fail;
	c->arena = a;
	for (int i = 0; i < n_vars; i++) {
		const struct pare_place *v = &p->places[i];
		struct kept *k = &c->kept[c->n];

		if (v->first == PARE_NEVER || v->first >= step || v->last < step)
			continue;
		*k = (struct kept){ i, v->bytes, pare_alloc(a, v->bytes) };
		if (!k->data)
			goto fail;
		c->n++;
	}
	*out = c;
	return PARE_OK;
fail:
	pare_arena_free(a);
	return pare_nomem(err, "the activations at a cut");
}

void pare_cut_free(struct pare_cut *c)
{
	if (c)
		pare_arena_free(c->arena);
}

void pare_cut_save(struct pare_cut *c, const struct pare_program *p, const struct pare_frame *f)
{
	(void)p;
	for (int i = 0; i < c->n; i++)
		memcpy(c->kept[i].data, f->vars[c->kept[i].var].data, c->kept[i].bytes);
}

void pare_cut_load(const struct pare_cut *c, const struct pare_program *p, struct pare_frame *f)
{
	(void)p;
	for (int i = 0; i < c->n; i++)
		memcpy(f->vars[c->kept[i].var].data, c->kept[i].data, c->kept[i].bytes);
}
