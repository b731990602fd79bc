#include "program.h"

void pare_step_bind(const struct pare_program *p, const struct pare_step *s,
	struct pare_tensor *vars, struct pare_call *c, const struct pare_tensor **in,
	struct pare_tensor **out)
{
	for (int i = 0; i < s->n->n_in; i++)
		in[i] = s->constant[i]     ? s->constant[i]
			: s->n->in[i] >= 0 ? &vars[s->n->in[i]]
					   : NULL;
	for (int i = 0; i < s->n->n_out; i++)
		out[i] = s->n->out[i] >= 0 ? &vars[i ? s->n->out[i] : s->out] : NULL;
	*c = (struct pare_call){ .node = s->n,
		.attr = s->n->attr,
		.lanes = p->lanes,
		.n_in = s->n->n_in,
		.n_out = s->n->n_out,
		.in = in,
		.out = out,
		.k = p->k,
		.packed = s->packed,
		.bias = s->bias };
}

void pare_program_free(struct pare_program *p)
{
	if (p)
		pare_arena_free(p->arena);
}

int pare_program_lanes(const struct pare_program *p)
{
	return p->lanes;
}

int pare_program_steps(const struct pare_program *p)
{
	return p->n_steps;
}

int pare_program_step_of_layer(const struct pare_program *p, int layer)
{
	return p->step_of_layer[layer];
}
