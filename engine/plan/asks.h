/* What a plan asks for in a layer, and what that needs.  m is the network whose layers the dials
 * are of: that which channels and ranks have left. */
#ifndef PARE_ASKS_H
#define PARE_ASKS_H
#include "../packed/packed.h"

/* The weights are rounded, or go, by what is seen of calibration samples. */
bool pare_rounds_by_samples(const struct pare_dials *d);
bool pare_prunes_by_samples(const struct pare_dials *d);
/* Each weight to the nearest will do where there are no samples. */
bool pare_rounds_without(const struct pare_dials *d);
/* Any weight of layer i goes. */
bool pare_weights_go(const struct pare_model *m, int i, const struct pare_dials *d);
/* The activation that enters layer i is quantized: one does that could be. */
bool pare_rounds_activation(const struct pare_model *m, int i, const struct pare_dials *d);
/* It is by bounds that samples are seen for. */
bool pare_wants_range(const struct pare_model *m, int i, const struct pare_dials *d);
/* Layer i gets a bias that it has not in the model. */
bool pare_plan_adds_bias(const struct pare_model *m, const struct pare_plan *p, int i);

/* The grid of an integer format. */
struct pare_grid pare_plan_grid(const struct pare_layer *l, const struct pare_dials *d);
/* How a layer is written, and packed: all but the data. */
struct pare_weight_store
pare_plan_store(const struct pare_model *m, int layer, const struct pare_dials *d);
struct pare_pack_layer
pare_plan_pack(const struct pare_model *m, int layer, const struct pare_dials *d);

#endif
