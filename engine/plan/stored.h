/* What the file has quantized: the methods "stored", which keep it. */
#ifndef PARE_STORED_H
#define PARE_STORED_H
#include "../base/arena.h"
#include "../onnx/onnx.h"

/* The codes that the file has for a layer's weights, where the dials ask for them and stand as it
 * has them; NULL = they ask for something else.  And the quantizer before it.  Both borrowed. */
const struct pare_codes *
pare_stored_codes(const struct pare_model *m, int layer, const struct pare_dials *d);
const struct pare_act_quant *
pare_stored_act(const struct pare_model *m, int layer, const struct pare_dials *d);

/* Weights w of `shape`, which stand for codes or were set to zero since, as those: s->zero and
 * s->q, which live in `a`. */
PARE_MUST_CHECK enum pare_status
pare_quantize_stored(const struct pare_codes *g, const struct pare_shape *shape,
	struct pare_arena *a, float *w, struct pare_weight_store *s, struct pare_err *err);

#endif
