/* Which steps of a program run as chains. */
#include "builder.h"

/* Step i as a convolution of one sample by constants. */
static bool conv_of(const struct pare_program *p, const struct pare_step *s, struct pare_conv *v)
{
	const struct pare_tensor *in[3] = { 0 };
	struct pare_call c = { .node = s->n,
		.attr = s->n->attr,
		.lanes = p->lanes,
		.n_in = s->n->n_in,
		.in = in,
		.k = p->k };

	/* bounds of what enters as a whole are not known in a strip of it */
	if (!s->n->op->conv || s->n->n_in > 3 || s->act.dynamic)
		return false;
	for (int i = 0; i < s->n->n_in; i++)
		in[i] = s->constant[i]     ? s->constant[i]
			: s->n->in[i] >= 0 ? &p->places[s->n->in[i]].t
					   : NULL;
	return s->n->op->conv(&c, v);
}

/* Does step i + 1 read what step i makes, and no one else? */
static bool follows(const struct pare_program *p, int i)
{
	const struct pare_step *s = &p->steps[i], *next = s + 1;

	return i + 1 < p->n_steps && s->add < 0 && next->n->n_in && next->n->in[0] == s->out &&
	       next->add != s->out && p->places[s->out].last == i + 1;
}

static bool shared(const struct pare_program *p, const struct pare_program *like, int i)
{
	int n = like && i < like->n_steps && like->steps[i].chain ? like->steps[i].links : 0;

	for (int j = 0; j < n; j++)
		if (p->steps[i + j].packed != like->steps[i + j].packed ||
			p->steps[i + j].act.dynamic)
			return false;
	return n;
}

static enum pare_status
link_from(struct pare_program *p, const struct pare_program *like, int i, struct pare_err *err)
{
	struct pare_step *s = &p->steps[i];
	struct pare_conv v[PARE_CHAIN_MOST];
	int n = 0;

	if (shared(p, like, i)) {
		s->chain = like->steps[i].chain;
		s->links = like->steps[i].links;
		return PARE_OK;
	}
	while (n < PARE_CHAIN_MOST && (!n || follows(p, i + n - 1)) && conv_of(p, s + n, &v[n]))
		n++;
	for (; n >= 2 && !s->chain; n--) {
		enum pare_status st = pare_chain_plan(p->k, v, n, p->arena, &s->chain, err);

		if (st)
			return st;
		s->links = n;
	}
	return PARE_OK;
}

enum pare_status
pare_program_link(struct pare_program *p, const struct pare_program *like, struct pare_err *err)
{
	for (int i = 0; i < p->n_steps && p->lanes > 1; i++) {
		struct pare_step *s = &p->steps[i];
		enum pare_status st = link_from(p, like, i, err);
		size_t scratch;
		int last;

		if (st)
			return st;
		if (!s->chain)
			continue;
		last = i + s->links - 1;
		scratch = s->quantized + pare_chain_scratch(s->chain);
		p->scratch = p->scratch > scratch ? p->scratch : scratch;
		pare_place_keep(p, s->n->in[0], last);
		i = last;
	}
	return PARE_OK;
}
