/* Carrying out a recipe from its text alone: what `pare apply` and `pare estimate` do. */
#ifndef PARE_REPLAY_H
#define PARE_REPLAY_H
#include "../plugins/devices.h"
#include "recipe.h"

struct pare_replay_spec {
	const char *recipe;  /* path */
	const char *output;  /* where the file goes; NULL = written nowhere, hashed all the same */
	int as;              /* row of PARE_FILE: what the file is */
	const char *session; /* whose map to estimate with; NULL = the one of this model and data */
	bool check;          /* hold what comes out against what is promised */
	bool estimate_only;  /* measure nothing, write nothing */
	struct pare_ctl *ctl;
};

struct pare_replay_device {
	const struct pare_device *device;
	struct pare_device_figures was, now;
};

enum pare_verdict {
	PARE_NOT_PROMISED,
	PARE_KEPT,
	PARE_BROKEN,
	PARE_NOT_COMPARED, /* the hash, on another kind of CPU or without one being named */
};

/* What came of it.  Owns all it points to: pare_replay_free. */
struct pare_replay {
	struct pare_recipe *recipe;
	struct pare_model *model;
	struct pare_dataset *data; /* NULL = none */
	struct pare_plan *plan, *float_plan;
	struct pare_study *study;
	struct pare_metrics was;                   /* float */
	struct pare_metrics now;                   /* measured; of estimate_only: as estimated */
	struct pare_metrics estimated;             /* from the session's map; unknown without one */
	struct pare_exit exit[PARE_MAX_EXITS + 1]; /* where samples leave */
	int n_exits;
	struct pare_model *carried; /* the model as it became; NULL = nothing was carried out */
	int *picked;                /* of its layers, as pare_variant_picked */
	enum pare_measure measure;
	char recipe_sha[PARE_SHA_HEX];
	char sha256[PARE_SHA_HEX];  /* of the ONNX file; "" when not made */
	char written[PARE_SHA_HEX]; /* of the file at `output`; "" = none was written */
	int64_t written_bytes;
	struct pare_devices *devices;
	struct pare_replay_device *device; /* those that the recipe names */
	int n_devices;
	enum pare_verdict verdict[PARE_N_PROMISES], sha_verdict;
	bool ok; /* no promise is broken; true when `check` was not asked for */
	/* a sentence for each promise that is broken or not compared, and each device not known */
	char note[16][256];
	int n_notes;
	double seconds;
};

/* PARE_E_MISMATCH: another model or other data than the recipe's.  A broken promise is no error:
 * see `ok`. */
PARE_MUST_CHECK enum pare_status
pare_replay_run(const struct pare_replay_spec *spec, struct pare_replay *out, struct pare_err *err);
void pare_replay_free(struct pare_replay *r);

/* Layers of fewer than 8 bits for which ONNX has no type: they travel as int8. */
int pare_layers_as_bytes(const struct pare_plan *p);

/* The kind of CPU on which exported bytes are the same: "x86_64-avx2" … */
const char *pare_cpu_kind(void);

#endif
