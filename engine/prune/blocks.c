#include "blocks.h"
#include "../base/err.h"
#include "../quantize/follow.h"
#include "behind.h"
#include <stdlib.h>

const struct pare_block_choice pare_block_choices[] = {
	{ "stays", "the block is as it is" },
	{ "goes", "what enters the block, or its shortcut gives, goes on to those behind it" },
	{ 0 },
};

bool pare_plan_blocks(const struct pare_model *m, const struct pare_plan *p, bool *gone)
{
	bool any = false;

	for (int r = 0; r < m->n_residuals; r++) {
		gone[r] = true;
		for (int i = 0; i < m->residuals[r].n_branch; i++) {
			int layer = m->node_info[m->residuals[r].branch[i]].layer;

			gone[r] &= layer < 0 || p->dials[layer].block;
		}
		any |= gone[r];
	}
	return any;
}

struct mending {
	const struct pare_model *m;
	struct pare_model *start; /* the same, which does not look at the branches */
	bool *dead;               /* [layers] of blocks that go */
	bool *moved;              /* [vars] of start: not what they are in the float network */
	bool throughout; /* a layer that is refitted moves what is behind it all the same */
	struct pare_blob **weights, **bias; /* [layers]; NULL = as they were */
};

static enum pare_status
refit(struct mending *x, int layer, struct pare_moments *s, struct pare_err *err)
{
	struct pare_reader *r = NULL;
	enum pare_status st =
		pare_readers_new(x->m, layer, pare_model_weights(x->m, layer), s, &r, err);

	if (!st)
		st = pare_readers_refit_behind(r, s, pare_model_bias(x->m, layer), err);
	if (!st)
		st = pare_readers_settle(
			r, x->m, layer, s, &x->weights[layer], &x->bias[layer], err);
	pare_readers_free(r, r ? s->win.groups : 0);
	return st;
}

/* Does anything that the node reads differ?  Then so do its outputs, unless it is a layer that
 * makes up for it. */
static bool moves(struct mending *x, int node)
{
	const struct pare_node *was = &x->m->graph.nodes[node], *n = &x->start->graph.nodes[node];
	int layer = x->m->node_info[node].layer;
	bool reads = false;

	for (int i = 0; i < n->n_in; i++)
		reads |= n->in[i] >= 0 && (n->in[i] != was->in[i] || x->moved[n->in[i]]);
	for (int i = 0; i < n->n_out; i++)
		if (n->out[i] >= 0)
			x->moved[n->out[i]] =
				reads && (layer < 0 || x->throughout || !n->op->windows);
	return reads;
}

static enum pare_status mend(struct mending *x, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, struct pare_err *err)
{
	struct pare_follow f;
	enum pare_status st = pare_follow_new(x->m, calibration, x->weights, x->bias, &f, err);
	int n = x->m->graph.n_nodes;

	if (st)
		return st;
	f.m = x->start;
	pare_walk_want_columns(f.walk, true);
	for (int i = 0; i < n && !st; i++) {
		int layer = x->m->node_info[i].layer;
		struct pare_moments s = { 0 };

		if (!moves(x, i) || layer < 0 || x->dead[layer])
			continue;
		st = pare_follow_to(
			&f, layer, (struct pare_progress_span){ 16.0 * i, 16.0 * n }, ctl, &s, err);
		if (!st && s.win.k)
			st = refit(x, layer, &s, err);
		pare_moments_free(&s);
		if (st)
			pare_wrap(err, st, "layer '%s'", x->m->layers[layer].name);
	}
	pare_follow_free(&f);
	return st;
}

/* What the layers of blocks that go ask for; all of one block say the same. */
static void asked(struct mending *x, const struct pare_plan *p, const bool *gone, bool *looks)
{
	for (int r = 0; r < x->m->n_residuals; r++)
		for (int i = 0; gone[r] && i < x->m->residuals[r].n_branch; i++) {
			int layer = x->m->node_info[x->m->residuals[r].branch[i]].layer;
			const struct pare_repair *how;

			if (layer < 0)
				continue;
			how = &pare_repairs[p->dials[layer].block_repair];
			x->dead[layer] = true;
			*looks |= how->looks;
			x->throughout |= how->throughout;
		}
}

enum pare_status pare_prune_blocks(const struct pare_model *m, const struct pare_plan *p,
	const bool *gone, const struct pare_calibration *calibration, struct pare_ctl *ctl,
	struct pare_model **out, struct pare_err *err)
{
	size_t n = (size_t)m->info.n_layers + 1;
	struct mending x = { .m = m,
		.dead = calloc(n, sizeof *x.dead),
		.moved = calloc((size_t)m->graph.n_vars + 1, sizeof *x.moved),
		.weights = calloc(n, sizeof *x.weights),
		.bias = calloc(n, sizeof *x.bias) };
	struct pare_model *mended = NULL;
	bool looks = false;
	enum pare_status st = PARE_OK;

	if (!x.dead || !x.moved || !x.weights || !x.bias)
		st = pare_nomem(err, "the removal of a block");
	else
		asked(&x, p, gone, &looks);
	if (!st && looks && (!calibration || !calibration->dataset))
		st = pare_fail(err, PARE_E_ARG,
			"a block that goes is made up for by looking at calibration data: name "
			"some "
			"with --data, or say repair none");
	if (!st)
		st = pare_model_without_branches(m, gone, false, &x.start, err);
	if (!st && looks)
		st = mend(&x, calibration, ctl, err);
	if (!st)
		st = pare_model_now(m, x.weights, x.bias, &mended, err);
	if (!st)
		st = pare_model_without_branches(mended, gone, true, out, err);
	pare_model_free(mended);
	pare_model_free(x.start);
	for (int i = 0; i < m->info.n_layers && x.weights && x.bias; i++) {
		pare_blob_free(x.weights[i]);
		pare_blob_free(x.bias[i]);
	}
	free(x.dead);
	free(x.moved);
	free(x.weights);
	free(x.bias);
	return st;
}
