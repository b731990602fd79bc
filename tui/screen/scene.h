/* A scene is everything that the views show, as plain data: rows, cells, figures, texts.
 * scene.c fills one from a workspace; tests fill one by hand. */
#ifndef SCREEN_SCENE_H
#define SCREEN_SCENE_H
#include "../../engine/pare.h"

struct scene_column { /* of the map: one position of one dial */
	enum pare_dial dial;
	char label[8];   /* over the column: "f", "16", "50" */
	char name[16];   /* in a sentence: "int4", "50%" */
	double share;    /* percent that goes */
	char choose[56]; /* the command that puts LAYERS there; %s = the layers */
};

struct scene_row { /* of the map: a layer */
	const char *name, *op;
	char label[64];  /* the name as the map shows it: shorter, and still no other layer's */
	char output[24]; /* "16×32×32" */
	char weight[24];
	int64_t params, macs, weights; /* macs -1: not known */
	uint64_t cannot;               /* bit c: column c takes nothing from it */
	int group;
	const char *stuck;      /* why its channels cannot be removed; NULL */
	int at[PARE_N_DIALS];   /* columns where its dials stand */
	struct pare_value drop; /* of its choice; unknown when nothing is chosen */
	int64_t bytes[2];       /* its weights: float, as chosen; -1 = not known */
	bool changed;           /* something is chosen */
	bool exit;              /* samples may leave behind it */
	char objection[160];    /* what a device does not take of it; "" */
	bool heard;             /* noise is known: the plan was measured */
	struct pare_noise noise;
	bool gone;       /* with its residual block */
	int rank;        /* values between the two layers that it becomes; 0 = one */
	char beside[96]; /* what has no column: a rank, methods that are not the usual ones */
};

struct scene_device {
	const char *name, *about; /* about: "cpu · onnxruntime · fp32" */
	const char *source, *rules, *why;
	struct pare_value was_ms, now_ms, was_mj, now_mj;
	int64_t ram, flash; /* -1 = not known */
	int fits;           /* enum pare_fits */
	int n_fallbacks;
};

struct scene_plan { /* of the history */
	int id, depth;
	const char *command;
	const char *note; /* what the person wrote beside it; NULL or "" = nothing */
	struct pare_value drop;
	int n_changed;
};

struct scene_unsupported {
	const char *node, *op, *why;
};

enum scene_saved { SCENE_SAVED, SCENE_NOT_SAVED, SCENE_IN_MEMORY };

struct scene {
	const char *model; /* base name */
	const char *data;  /* NULL = none */
	int64_t n_samples; /* that the figures rest on */
	bool fidelity;     /* no labels: accuracy is agreement with float */

	int n_columns;
	struct scene_column *column; /* dial by dial */
	int n_rows;
	struct scene_row *row;
	struct pare_value *cell; /* [n_rows][n_columns]: drop */
	uint64_t refused;        /* bit c: a device does not take column c in the layer on view */
	int64_t *option_bytes;   /* [n_columns]: weights of the layer on view; -1 = not known */

	struct pare_metrics was, now; /* float, plan */
	struct pare_exit exit[PARE_MAX_EXITS + 1];
	int n_exits;         /* where samples leave, the end included; under 2: all go to the end */
	double measured_ago; /* seconds; NaN = this plan was not measured */
	int n_devices;
	struct scene_device *device;

	char steps[96];    /* around rounding: "equalize, correct-bias" */
	int n_plans, here; /* here: index */
	struct scene_plan *plan;

	double work_part; /* 0..1 of the map */
	double eta;       /* seconds; NaN */
	bool paused, measuring;
	char layer[64]; /* that is being rounded; "" = none is */
	int layers_done, layers;
	bool filing;       /* a file waits until its plan is carried out */
	bool asked;        /* the shares of a budget are being looked for */
	double asked_part; /* 0..1 of that */
	enum scene_saved saved;
	const char *saved_why, *session;

	int n_hidden; /* what would be layers, in graphs inside nodes */
	int n_unsupported;
	const struct scene_unsupported *unsupported;
	int n_log;
	const char *const *log;
	int n_commands;
	const struct scene_command {
		const char *name, *args, *help;
	} * command;
};

#endif
