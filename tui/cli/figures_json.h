/* Device figures as JSON, with the names of `apply` and `predict`. */
#ifndef CLI_FIGURES_JSON_H
#define CLI_FIGURES_JSON_H
#include "../../plugins/devices.h"
#include <jansson.h>

json_t *cli_figures_json(const struct pare_device_figures *f);

#endif
