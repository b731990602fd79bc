#include "answers.h"
#include "../base/err.h"
#include "../run/feed.h"
#include <math.h>
#include <stdlib.h>

struct asking {
	const struct pare_program *program;
	int64_t k;
	float *out;
};

static enum pare_status ask_block(void *user, const struct pare_block *b, struct pare_err *err)
{
	struct asking *a = user;
	enum pare_status st;

	st = pare_program_run(a->program, b->frame, 0, pare_program_steps(a->program), err);
	if (st)
		return st;
	pare_block_answers(b, b->frame, a->program, a->out + b->first * a->k);
	return PARE_OK;
}

enum pare_status
pare_answers_of(const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, float **out, struct pare_err *err)
{
	struct pare_program *p = NULL;
	struct asking a = { .k = pare_answer_len(m) };
	struct pare_feed f = { .dataset = calibration->dataset,
		.split = PARE_CALIBRATE,
		.n = calibration->n_samples,
		.fn = ask_block,
		.user = &a };
	enum pare_status st;

	if (a.k < 1)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"the first output is no float32 vector of known size");
	if ((st = pare_feed_program(m, NULL, NULL, &p, err)))
		return st;
	a.program = f.program = p;
	a.out = malloc((size_t)f.n * (size_t)a.k * sizeof *a.out);
	st = a.out ? pare_feed_run(&f, ctl, err) : pare_nomem(err, "a network's answers");
	pare_program_free(p);
	if (st)
		free(a.out);
	else
		*out = a.out;
	return st;
}

double pare_answers_moved(const struct pare_model *m, const struct pare_calibration *calibration,
	const float *was, const float *now)
{
	int64_t n = calibration->n_samples * pare_answer_len(m);
	bool logs = true;
	double sum = 0;

	for (int64_t i = 0; i < n && logs; i++)
		logs = was[i] >= 0 && was[i] <= 1.0001f;
	for (int64_t i = 0; i < n; i++) {
		double a = (double)was[i], b = (double)now[i];

		if (logs) {
			a = log(fmax(a, 1e-4));
			b = log(fmax(b, 1e-4));
		}
		sum += (a - b) * (a - b);
	}
	return sum / (double)n;
}

void pare_log_chances(const float *v, int64_t k, double *out)
{
	double sum = 0, top = -INFINITY;
	bool chances = true;

	for (int64_t i = 0; i < k; i++) {
		chances &= v[i] >= 0 && v[i] <= 1.0001f;
		sum += (double)v[i];
		top = fmax(top, (double)v[i]);
	}
	chances &= fabs(sum - 1) < 1e-3;
	sum = 0;
	for (int64_t i = 0; i < k; i++) {
		out[i] = chances ? log(fmax((double)v[i], 1e-6)) : (double)v[i] - top;
		sum += exp(out[i]);
	}
	for (int64_t i = 0; i < k; i++)
		out[i] -= log(sum);
}

double pare_answers_apart(const struct pare_model *m, const struct pare_calibration *calibration,
	const float *was, const float *now)
{
	int64_t k = pare_answer_len(m), n = calibration->n_samples;
	double *p = malloc(2 * (size_t)k * sizeof *p), sum = 0, move = 0, all = 0;

	for (int64_t i = 0; i < n && p; i++) {
		pare_log_chances(was + i * k, k, p);
		pare_log_chances(now + i * k, k, p + k);
		for (int64_t j = 0; j < k; j++) {
			sum += exp(p[j]) * (p[j] - p[k + j]);
			move += (p[j] - p[k + j]) * (p[j] - p[k + j]);
			all += p[j] * p[j];
		}
	}
	free(p);
	return sum / (double)n + 1e-3 * move / fmax(all, 1e-30);
}
