/* What a network answers on the calibration samples, and how far an edit of it moves that. */
#ifndef PARE_ANSWERS_H
#define PARE_ANSWERS_H
#include "../quantize/quantize.h"

/* The first output of each calibration sample, [n_samples][pare_answer_len(m)]: malloc'ed. */
PARE_MUST_CHECK enum pare_status
pare_answers_of(const struct pare_model *m, const struct pare_calibration *calibration,
	struct pare_ctl *ctl, float **out, struct pare_err *err);
/* Mean squared move from one to the other; of probabilities, of their logarithms. */
double pare_answers_moved(const struct pare_model *m, const struct pare_calibration *calibration,
	const float *was, const float *now);

/* Logarithms of the chances of k classes: of what is none yet by softmax. */
void pare_log_chances(const float *v, int64_t k, double *out);
/* Mean divergence of the second from the first, both as chances of the classes (Kullback & Leibler
 * 1951): unlike the move it counts for little where the first is sure and stays so.  A trace of the
 * move is in it, so that a network that is always sure still tells edits apart. */
double pare_answers_apart(const struct pare_model *m, const struct pare_calibration *calibration,
	const float *was, const float *now);

#endif
