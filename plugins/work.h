/* What a network asks of a device: its nodes as the ABI describes them, from a model and a plan or
 * from a published list of layers. */
#ifndef PARE_WORK_H
#define PARE_WORK_H
#include "device.h"
#include "devices.h"

/* The kind of a node; `op` is an ONNX operator or a type of the published lists. */
enum pare_plugin_kind
pare_work_kind(const char *op, int kernel, int groups, int64_t in_channels, bool weights);

/* Owned by the caller: free work->layers.  Names are borrowed from the model (and its formats). */
PARE_MUST_CHECK enum pare_status pare_work_of_model(const struct pare_model *m,
	const struct pare_plan *p, struct pare_plugin_work *out, struct pare_err *err);

#endif
