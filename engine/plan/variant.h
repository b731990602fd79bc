/* A plan carried out. */
#ifndef PARE_VARIANT_H
#define PARE_VARIANT_H
#include "../base/arena.h"
#include "../packed/packed.h"
#include "../prune/exits.h"
#include "../quantize/quantize.h"

struct pare_variant {
	struct pare_arena *arena;
	struct pare_model *model;        /* the plan's weights, as float32 */
	struct pare_weight_store *store; /* [n_layers] how they are written */
	struct pare_pack_layer *pack;    /* [n_layers] and when it is packed */
	struct pare_act_quant *acts;     /* [n_layers] */
	double *snr;                     /* [n_layers] dB */
	/* What it was made from, without the channels that went and after the steps before
	 * rounding; the plan's dials; quantizers with the bounds of all that was seen. */
	struct pare_model *plain;
	struct pare_dials *dials; /* [n_layers] */
	int *whole;               /* [n_layers] the plan's layer that each is, or is a part of */
	struct pare_act_quant *plain_acts; /* [n_layers] */
	int *picked;                       /* [n_layers] as pare_variant_picked */
	struct pare_exits exits;
	/* the model with the heads of its exits, which are its last layers, and as output 1 which
	 * of them a sample took; the model itself without exits.  acts, store and pack have room
	 * for the heads. */
	struct pare_model *joined;
};

/* What a variant can be written as (PARE_FILE). */
struct pare_file_kind {
	const char *name, *help;
	enum pare_status (*write)(const struct pare_model *m, const struct pare_pack_spec *spec,
		void **data, size_t *len, struct pare_err *err);
};
extern const struct pare_file_kind pare_file_kinds[];

/* To the nearest of a float format; any other leaves them as they are. */
void pare_round_floats(const struct pare_format *f, float *w, int64_t n);

/* The plan for what is left of a model without the blocks that it takes away: gone
 * [m->n_residuals]; *whole as of pare_plan_of_parts.  NULL: no memory. */
struct pare_plan *pare_plan_of_rest(
	const struct pare_model *m, const struct pare_plan *p, const bool *gone, int **whole);
/* Does any channel go? */
bool pare_plan_cuts(const struct pare_model *m, const struct pare_plan *p);
/* The plan for a model whose layers have become two where `p`, which is for m, says so; whole
 * [out->n]: the layer of m that each is, or is a part of.  Both the caller's (pare_plan_free,
 * free).
 */
PARE_MUST_CHECK enum pare_status pare_plan_of_parts(const struct pare_model *m,
	const struct pare_plan *p, struct pare_plan **out, int **whole, struct pare_err *err);
#endif
