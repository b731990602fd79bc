/* Accuracy, without keeping anything. */
#include "../base/err.h"
#include "../plan/variant.h"
#include "study.h"
#include <math.h>
#include <stdlib.h>

struct scoring {
	const struct pare_program *program,
		*reference; /* reference: float, for fidelity; may be NULL */
	bool own;           /* the program is its own reference */
	const struct pare_dataset *dataset;
	int64_t k;
	struct scorer {
		struct pare_frame *reference;
		float *answers, *expected; /* [lanes][k] */
		int64_t right;
	} * scorer; /* [threads] */
};

static enum pare_status score_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct scoring *s = user;
	struct scorer *w = &s->scorer[b->worker];
	size_t room = (size_t)pare_program_lanes(s->program) * (size_t)s->k * sizeof(float);
	enum pare_status st;

	if (!w->answers &&
		(!(w->answers = malloc(room)) || !(w->expected = malloc(room)) ||
			(s->reference && !(w->reference = pare_frame_new(s->reference)))))
		return pare_nomem(err, "the answers of a block of samples");
	if (s->reference) {
		pare_block_again(b, w->reference);
		st = pare_program_run(
			s->reference, w->reference, 0, pare_program_steps(s->reference), err);
		if (st)
			return st;
		pare_block_answers(b, w->reference, s->reference, w->expected);
	}
	st = pare_program_run(s->program, b->frame, 0, pare_program_steps(s->program), err);
	if (st)
		return st;
	pare_block_answers(b, b->frame, s->program, w->answers);
	for (int i = 0; i < b->count; i++) {
		int64_t got = pare_argmax(w->answers + i * s->k, s->k);

		int64_t want = s->own         ? got
			       : s->reference ? pare_argmax(w->expected + i * s->k, s->k)
					      : pare_dataset_label(
							s->dataset, PARE_EVALUATE, b->first + i);

		w->right += got == want;
	}
	return PARE_OK;
}

/* `reference` NULL: the model is its own. */
static enum pare_status evaluate(const struct pare_model *m, const struct pare_act_quant *acts,
	const struct pare_model *reference, const struct pare_dataset *d, int64_t limit,
	struct pare_ctl *ctl, struct pare_score *out, struct pare_err *err)
{
	const struct pare_dataset_info *info = pare_dataset_info(d);
	int64_t n = limit && limit < info->n_evaluate ? limit : info->n_evaluate, right = 0;
	int threads = pare_threads();
	struct scoring s = { .dataset = d, .k = pare_answer_len(m) };
	struct pare_feed f = {
		.dataset = d, .split = PARE_EVALUATE, .n = n, .fn = score_block, .user = &s
	};
	struct pare_program *program = NULL, *ref = NULL;
	double start;
	enum pare_status st;

	if ((st = pare_answer_check(m, err)))
		return st;
	st = pare_feed_program(m, acts, NULL, &program, err);
	s.own = !info->labelled && !reference && !acts;
	if (!st && !info->labelled && !s.own)
		st = pare_feed_program(
			reference ? reference : m, NULL, reference ? NULL : program, &ref, err);
	s.scorer = calloc((size_t)threads, sizeof *s.scorer);
	if (!st && !s.scorer)
		st = pare_nomem(err, "an evaluation");
	start = pare_study_clock();
	if (!st) {
		s.program = f.program = program;
		s.reference = ref;
		f.span.total = pare_feed_blocks(program, n);
		st = pare_feed_run(&f, ctl, err);
	}
	for (int t = 0; t < threads && s.scorer; t++) {
		right += s.scorer[t].right;
		pare_frame_free(s.scorer[t].reference);
		free(s.scorer[t].answers);
		free(s.scorer[t].expected);
	}
	free(s.scorer);
	pare_program_free(ref); /* shares weights with the other */
	pare_program_free(program);
	if (st)
		return st;
	out->measure = info->labelled ? PARE_TOP1 : PARE_FIDELITY;
	out->seconds = pare_study_clock() - start;
	out->samples_per_second = (double)n / out->seconds;
	out->accuracy =
		(struct pare_value){ PARE_MEASURED, 100 * (double)right / (double)n, 0, 0, n };
	pare_share_interval(right, n, &out->accuracy.lo, &out->accuracy.hi);
	return PARE_OK;
}

enum pare_status pare_evaluate(const struct pare_model *m, const struct pare_dataset *d,
	int64_t limit, struct pare_ctl *ctl, struct pare_score *out, struct pare_err *err)
{
	return evaluate(m, m->acts, NULL, d, limit, ctl, out, err);
}

enum pare_status pare_evaluate_variant(const struct pare_variant *v, const struct pare_dataset *d,
	int64_t limit, struct pare_ctl *ctl, struct pare_score *out, struct pare_err *err)
{
	/* an edit knows the model that it was made from */
	const struct pare_model *first = v->model;

	while (first->base)
		first = first->base;
	return evaluate(v->joined, v->acts, first, d, limit, ctl, out, err);
}

const char *pare_kind_name(enum pare_kind k)
{
	static const char *const name[] = { "unknown", "estimated", "measured" };

	return name[k];
}
