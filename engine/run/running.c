/* How the samples of a data set would go through a network, found out by trying. */
#include "../base/err.h"
#include "run.h"
#include <stdio.h>
#include <stdlib.h>

const char *pare_running_name(enum pare_running r)
{
	static const char *const name[] = {
		[PARE_RUNS_NOT] = "no",
		[PARE_RUNS_BY_NODE] = "node by node",
		[PARE_RUNS_GIVEN] = "given arrays",
		[PARE_RUNS_SINGLY] = "one by one",
		[PARE_RUNS_BATCHED] = "side by side",
	};

	return name[r];
}

static bool can_lay_out(const struct pare_model *m, int lanes, struct pare_err *err)
{
	struct pare_program_spec spec = { .lanes = lanes, .sketch = true };
	struct pare_program *p = NULL;

	if (pare_program_new(m, &spec, &p, err))
		return false;
	pare_program_free(p);
	return true;
}

/* What keeps a data set from feeding it, whatever is inside; false: nothing. */
static bool wants_arrays(const struct pare_model *m, char why[PARE_WHY])
{
	if (!m->info.n_inputs)
		snprintf(why, PARE_WHY, "it has no input");
	for (int i = 0; i < m->info.n_inputs && !*why; i++) {
		const struct pare_io *io = &m->inputs[i];

		if (io->shape.n < 0)
			snprintf(why, PARE_WHY, "input '%.100s' has no declared shape", io->name);
		else if (!io->shape.n)
			snprintf(why, PARE_WHY, "input '%.100s' has no axis for the batch",
				io->name);
		else if (io->shape.d[0] > 1)
			snprintf(why, PARE_WHY, "input '%.100s' is fixed at a batch of %lld",
				io->name, (long long)io->shape.d[0]);
		for (int k = 1; k < io->shape.n && !*why; k++)
			if (io->shape.d[k] < 0)
				snprintf(why, PARE_WHY,
					"axis %d of input '%.100s' has no fixed length; give it "
					"one "
					"with --shape",
					k, io->name);
	}
	return *why;
}

enum pare_running pare_model_running(const struct pare_model *m, char why[PARE_WHY])
{
	struct pare_err err = { 0 };

	*why = 0;
	if (m->info.n_unsupported) {
		snprintf(why, PARE_WHY, "node '%.100s' (%.40s): %.80s", m->unsupported[0].node,
			m->unsupported[0].op, m->unsupported[0].why);
		return PARE_RUNS_NOT;
	}
	if (wants_arrays(m, why))
		return PARE_RUNS_GIVEN;
	if (can_lay_out(m, 0, &err))
		return PARE_RUNS_BATCHED;
	snprintf(why, PARE_WHY, "%.*s", PARE_WHY - 1, err.text);
	if (err.code == PARE_E_UNSUPPORTED && can_lay_out(m, 1, &err))
		return PARE_RUNS_SINGLY;
	return err.code == PARE_E_UNSUPPORTED ? PARE_RUNS_BY_NODE : PARE_RUNS_NOT;
}
