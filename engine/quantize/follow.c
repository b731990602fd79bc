#include "follow.h"
#include "../base/err.h"
#include <stdlib.h>

enum pare_status pare_follow_new(const struct pare_model *m,
	const struct pare_calibration *calibration, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_follow *out, struct pare_err *err)
{
	size_t room = (size_t)m->info.n_layers + 1;
	struct pare_follow f = { .m = m,
		.weights = weights,
		.bias = bias,
		.models = calloc(room, sizeof *f.models),
		.programs = calloc(room, sizeof *f.programs) };
	enum pare_status st = f.models && f.programs ? pare_walk_new(m, calibration, &f.walk, err)
						     : pare_nomem(err, "a calibration run");

	if (st)
		pare_follow_free(&f);
	else
		*out = f;
	return st;
}

void pare_follow_free(struct pare_follow *f)
{
	for (int i = f->n - 1; i >= 0; i--) {
		pare_program_free(f->programs[i]);
		pare_model_free(f->models[i]);
	}
	pare_walk_free(f->walk);
	free(f->models);
	free(f->programs);
	*f = (struct pare_follow){ 0 };
}

enum pare_status pare_model_now(const struct pare_model *m, struct pare_blob **weights,
	struct pare_blob **bias, struct pare_model **out, struct pare_err *err)
{
	int n = m->info.n_layers;
	struct pare_blob **both = calloc(2 * (size_t)n + 1, sizeof *both);
	enum pare_status st;

	if (!both)
		return pare_nomem(err, "a changed model");
	for (int i = 0; i < n; i++) {
		both[i] = weights[i] ? pare_blob_ref(weights[i]) : NULL;
		both[n + i] = bias[i] ? pare_blob_ref(bias[i]) : NULL;
	}
	st = pare_model_with_weights(m, both, both + n, out, err);
	free(both);
	return st;
}

enum pare_status pare_follow_to(struct pare_follow *f, int layer, struct pare_progress_span span,
	struct pare_ctl *ctl, struct pare_moments *out, struct pare_err *err)
{
	int k = f->n;
	enum pare_status st = pare_model_now(f->m, f->weights, f->bias, &f->models[k], err);

	if (st)
		return st;
	st = pare_feed_program(f->models[k], NULL,
		k ? f->programs[k - 1] : pare_walk_program(f->walk), &f->programs[k], err);
	if (st) {
		pare_model_free(f->models[k]);
		return st;
	}
	f->n++;
	return pare_walk_to(f->walk, layer, f->programs[k], span, ctl, out, NULL, err);
}
