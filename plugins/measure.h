/* pare's side of a measurement: the callbacks that a plugin is given. */
#ifndef PARE_MEASURE_H
#define PARE_MEASURE_H
#include "device.h"
#include "devices.h"

struct pare_measure_job {
	struct pare_plugin_job abi; /* to hand over */
	const struct pare_variant *variant;
	const struct pare_model *model;
	struct pare_ctl *ctl; /* may be NULL */
	struct pare_array *in;
	int n_in;
	struct pare_runner *runner;  /* NULL until the first run */
	char folder[256], file[288]; /* of the exported file; "" until it is asked for */
};

/* `v` and `ctl` are borrowed until pare_measure_end; `j` must stay where it is. */
PARE_MUST_CHECK enum pare_status pare_measure_begin(struct pare_measure_job *j,
	const struct pare_variant *v, struct pare_ctl *ctl, struct pare_err *err);
void pare_measure_end(struct pare_measure_job *j);

#endif
