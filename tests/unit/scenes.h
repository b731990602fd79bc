/* Scenes made by hand: what the views and the fuzzer draw without a workspace. */
#ifndef TEST_SCENES_H
#define TEST_SCENES_H
#include "tui/screen/scene.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MADE_COLUMNS = 28 };

struct made {
	struct scene scene;
	struct scene_column column[MADE_COLUMNS];
	struct scene_device device[4];
	struct scene_plan plan[7];
	int64_t bytes[MADE_COLUMNS];
	char (*name)[24];
};

static inline struct pare_value made_value(enum pare_kind k, double v, double margin)
{
	return (struct pare_value){ k, v, v - margin, v + margin, 2000 };
}

/* "set LAYERS weights int4" turns dials as a workspace would; false: some other command. */
static inline bool made_command(struct made *m, const char *line)
{
	char layers[4000];

	for (int c = 0; c < MADE_COLUMNS; c++) {
		const char *form = m->column[c].choose, *hole = strstr(form, "%s");
		size_t head = (size_t)(hole - form), tail = strlen(hole + 2), n = strlen(line);

		if (n < head + tail || strncmp(line, form, head) ||
			strcmp(line + n - tail, hole + 2))
			continue;
		snprintf(layers, sizeof layers, "%.*s", (int)(n - head - tail), line + head);
		for (char *w = strtok(layers, ","); w; w = strtok(NULL, ","))
			for (int i = 0; i < m->scene.n_rows; i++)
				if (!strcmp(w, m->scene.row[i].name)) {
					struct scene_row *r = &m->scene.row[i];

					r->at[m->column[c].dial] = c;
					r->changed = r->at[0] > 0 || r->at[1] > 8 ||
						     r->at[2] > 10 || r->at[3] > 17;
					r->heard = true;
					r->noise = (struct pare_noise){ 31.24, INFINITY, 24.61,
						INFINITY, -1 };
					r->drop = m->scene.cell[i * MADE_COLUMNS + r->at[0]];
					r->bytes[1] = r->weights * (32 - 4 * r->at[0]) / 8;
				}
		return true;
	}
	return false;
}

static inline void made_column(struct scene_column *c, enum pare_dial dial, const char *label,
	const char *verb, const char *dial_word, const char *name)
{
	c->dial = dial;
	c->share = atof(label);
	snprintf(c->label, sizeof c->label, "%s", label);
	snprintf(c->name, sizeof c->name, "%s", name);
	snprintf(c->choose, sizeof c->choose, "%s %%s %s %s", verb, dial_word, name);
}

static inline void made_columns(struct made *m)
{
	static const char *const bits[] = { "f", "16", "8", "6", "5", "4", "3", "2" };
	static const char *const formats[] = { "float", "float16", "int8", "int6", "int5", "int4",
		"int3", "int2" };
	struct scene_column *c = m->column;

	for (int i = 0; i < 8; i++)
		made_column(c++, PARE_DIAL_WEIGHTS, bits[i], "set", "weights", formats[i]);
	for (int i = 0; i < 2; i++)
		made_column(c++, PARE_DIAL_ACTIVATIONS, i ? "8" : "f", "set", "activations",
			i ? "int8" : "float");
	for (int i = 0; i < 7; i++) {
		char label[8], name[8];

		snprintf(label, sizeof label, "%d", 10 * i % 100);
		snprintf(name, sizeof name, "%d%%", 10 * i % 100);
		made_column(c++, PARE_DIAL_CHANNELS, label, "prune", "channels", name);
	}
	for (int i = 0; i < 10; i++) {
		char label[8], name[8];

		snprintf(label, sizeof label, "%d", 10 * i % 100);
		snprintf(name, sizeof name, "%d%%", 10 * i % 100);
		made_column(c++, PARE_DIAL_SPARSITY, label, "prune", "weights", name);
	}
	made_column(c, PARE_DIAL_SPARSITY, "2:4", "prune", "weights", "2:4");
}

/* A residual network of n layers, all float; the map is known for `known` of them. */
static inline struct made *made_scene(int n, int known)
{
	static const struct scene_command commands[] = { { "set", "LAYERS weights FORMAT …",
								 "number formats of layers" },
		{ "prune", "LAYERS weights N%", "set the smallest weights to zero" },
		{ "write", "FILE", "save the plan as a recipe" } };
	static const char *const log[] = { "opened resnet8.onnx",
		"baseline: 87.0 % on 2,000 samples" };
	struct made *m = calloc(1, sizeof *m);
	struct scene *sc = &m->scene;

	made_columns(m);
	m->name = calloc((size_t)n, sizeof *m->name);
	*sc = (struct scene){ .model = "resnet8.onnx",
		.data = "cifar10",
		.n_samples = 2000,
		.n_columns = MADE_COLUMNS,
		.column = m->column,
		.n_rows = n,
		.option_bytes = m->bytes,
		.row = calloc((size_t)n, sizeof *sc->row),
		.cell = calloc((size_t)n * MADE_COLUMNS, sizeof *sc->cell),
		.measured_ago = NAN,
		.n_devices = 4,
		.device = m->device,
		.n_plans = 7,
		.here = 6,
		.plan = m->plan,
		.work_part = (double)known / n,
		.eta = known < n ? 6 : NAN,
		.session = "s.pare",
		.n_log = 2,
		.log = log,
		.n_commands = 3,
		.command = commands };
	for (int i = 0; i < n; i++) {
		struct scene_row *r = &sc->row[i];
		int wide = 16 << (3 * i / n);

		snprintf(m->name[i], sizeof *m->name, i == n - 1 ? "dense" : "conv_%d", i + 1);
		*r = (struct scene_row){ .name = m->name[i],
			.op = i == n - 1 ? "Gemm" : "Conv",
			.weights = 9 * wide * wide,
			.params = 9 * wide * wide + wide,
			.macs = 2359296,
			.group = i % 3 == 1 ? -1 : i / 3 % 2,
			.stuck = "feeds an output",
			.at = { 0, 8, 10, 17 },
			.bytes = { 36 * wide * wide, 36 * wide * wide } };
		snprintf(r->label, sizeof r->label, "%s", r->name);
		snprintf(r->output, sizeof r->output, "%d×32×32", wide);
		snprintf(r->weight, sizeof r->weight, "%d×%d×3×3", wide, wide);
		for (int c = 0; c < MADE_COLUMNS; c++) {
			double hurt = c < 8    ? c - 3
				      : c < 10 ? c - 9.5
				      : c < 17 ? c - 12
					       : 0.6 * (c - 19);

			sc->cell[i * MADE_COLUMNS + c] =
				i < known ? made_value(i % 2 ? PARE_MEASURED : PARE_ESTIMATED,
						    0.1 * exp(hurt + 0.3 * (i % 3)) - 0.05, 0.2)
					  : (struct pare_value){ PARE_UNKNOWN, NAN, NAN, NAN, 0 };
		}
	}
	sc->was = (struct pare_metrics){ made_value(PARE_MEASURED, 87, 1.2),
		made_value(PARE_MEASURED, 0, 0), { 314368, 318976, 12501632 }, 1 };
	sc->now = (struct pare_metrics){ made_value(PARE_ESTIMATED, 86.4, 0.3),
		made_value(PARE_ESTIMATED, 0.6, 0.3), { 50176, 62464, 12501632 }, 0.16 };
	for (int i = 0; i < 4; i++)
		m->device[i] = (struct scene_device){ .name = i == 0   ? "jetson-orin-nano"
							      : i == 1 ? "cortex-m7-cubeai"
							      : i == 2 ? "host"
								       : "raspberry-pi-4",
			.was_ms = made_value(
				i == 2 ? PARE_MEASURED : PARE_ESTIMATED, i == 1 ? 142 : 0.41, 0.02),
			.now_ms = made_value(
				i == 2 ? PARE_MEASURED : PARE_ESTIMATED, i == 1 ? 51 : 0.22, 0.02),
			.was_mj = made_value(i ? PARE_UNKNOWN : PARE_ESTIMATED, i ? NAN : 4, 1),
			.now_mj = made_value(i ? PARE_UNKNOWN : PARE_ESTIMATED, i ? NAN : 2.5, 1),
			.ram = i == 1 ? 98304 : -1,
			.flash = -1,
			.fits = i == 1   ? 2
				: i == 3 ? 1
					 : 0 };
	for (int c = 0; c < MADE_COLUMNS; c++)
		m->bytes[c] = 10000 - 450 * c;
	for (int i = 0; i < 7; i++)
		m->plan[i] = (struct scene_plan){ i, i > 3 ? i - 2 : i,
			i ? "set conv_4 weights int4" : "float", i == 3 ? "for the board" : "",
			made_value(i % 2 ? PARE_MEASURED : PARE_UNKNOWN, 0.1 * i, 0.1), i };
	return m;
}

static inline void made_free(struct made *m)
{
	free(m->scene.row);
	free(m->scene.cell);
	free(m->name);
	free(m);
}

#endif
