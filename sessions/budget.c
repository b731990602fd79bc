/* Budgets: lines that ask for so much of many layers together. */
#include "recipe.h"
#include <stdlib.h>

bool pare_statement_spreads(const struct pare_statement *s)
{
	return s->left > 0 || s->spread > 0;
}

bool pare_recipe_spreads(const struct pare_recipe *r)
{
	for (int i = 0; i < r->script.n; i++)
		if (pare_statement_spreads(&r->script.statements[i]))
			return true;
	return false;
}

enum pare_status pare_budget_new(const struct pare_statement *s, const struct pare_model *m,
	const char *name, struct pare_budget *out, struct pare_err *err)
{
	struct pare_budget b = { s->goal, s->left, s->spread,
		calloc((size_t)pare_model_info(m)->n_layers + 1, sizeof *b.layers) };
	enum pare_status st =
		b.layers ? PARE_OK : pare_fail(err, PARE_E_NOMEM, "no memory for a budget");
	int n;

	if (!st)
		st = pare_layers_pick(&s->layers, m, name, b.layers, &n, err);
	if (st)
		pare_budget_free(&b);
	else
		*out = b;
	return st;
}

void pare_budget_free(struct pare_budget *b)
{
	free(b->layers);
	*b = (struct pare_budget){ 0 };
}

enum pare_status
pare_budget_spread(const struct pare_budget *b, const struct pare_model *m, struct pare_plan *p,
	const struct pare_calibration *calibration, struct pare_ctl *ctl, struct pare_err *err)
{
	return b->left > 0 ? pare_plan_channels_to(
				     m, p, b->layers, b->goal, b->left, calibration, ctl, err)
			   : pare_plan_spread_weights(
				     m, p, b->layers, b->spread, calibration, ctl, err);
}
