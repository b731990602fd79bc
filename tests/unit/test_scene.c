/* From a workspace to what the screen shows, on the example. */
#include "tests/tap.h"
#include "tui/screen/scene_fill.h"
#include <math.h>

static bool shortens(const char *name, const char *op, const char *want)
{
	char out[64];

	scene_short_name(name, op, out, sizeof out);
	if (strcmp(out, want))
		printf("# '%s' became '%s'\n", name, out);
	return !strcmp(out, want);
}

static void names_lose_what_says_nothing(void)
{
	char path[300] = "", out[64];

	ok(shortens("/layer2/layer2.5/conv1/Conv", "Conv", "layer2.5/conv1"), "an exporter's path");
	ok(shortens("conv_4", "Conv", "conv_4") && shortens("a/b", "Conv", "a/b"), "a plain name");
	ok(shortens("Conv", "Conv", "Conv") && shortens("/", "Conv", ""),
		"nothing but the operator");
	for (int i = 0; i < 40; i++)
		strcat(path, "part/");
	scene_short_name(strcat(path, "end"), "Conv", out, sizeof out);
	ok(strlen(out) == 63 && !strcmp(out + 60, "end"), "of a long path the end is kept: %s",
		out);
}

static struct pare_workspace *open_example(const char *data)
{
	struct pare_workspace_spec spec = { .model = "examples/fashion/model.onnx",
		.data = data,
		.memory = true,
		.idle = true,
		.limit = 64 };
	struct pare_workspace *w = NULL;
	struct pare_err err;

	ok_status(pare_workspace_open(&spec, &w, &err), err, "the example opens");
	return w;
}

static void a_column_does_what_it_says(void)
{
	struct pare_workspace *w = open_example(NULL);
	struct scene *s = scene_new(w);
	bool right = true, kept = true;

	ok(s && s->n_rows == 14 && s->n_columns == pare_n_options(), "rows are layers");
	for (int c = 0; s && c < s->n_columns; c++) {
		struct pare_reply reply;
		struct pare_err err;
		char line[128];
		const char *hole = strstr(s->column[c].choose, "%s");
		int row = 13; /* whose channels are the network's answers, and stay */

		while (s->column[c].dial == PARE_DIAL_CHANNELS && row > 0 &&
			(s->row[row].stuck || s->row[row].group == s->row[0].group))
			row--;
		snprintf(line, sizeof line, "%.*s%s%s", (int)(hole - s->column[c].choose),
			s->column[c].choose, s->row[row].name, hole + 2);
		if (pare_workspace_command(w, line, &reply, &err)) {
			printf("# %s: %s\n", line, err.text);
			right = false;
			continue;
		}
		scene_fill(s, w);
		right &= s->row[row].at[s->column[c].dial] == c;
		kept &= s->row[0].changed == false;
	}
	ok(right, "the command of each column turns its dial there");
	ok(kept, "and no other layer's");
	scene_free(s);
	pare_workspace_close(w);
}

static void nothing_is_claimed_without_data(void)
{
	struct pare_workspace *w = open_example(NULL);
	struct scene *s = scene_new(w);
	struct pare_reply reply;
	struct pare_err err;
	bool unknown = true;

	ok_status(pare_workspace_command(w, "set fc weights int4", &reply, &err), err, "a change");
	scene_fill(s, w);
	scene_sizes(s, w, 13);
	for (int i = 0; i < s->n_rows * s->n_columns; i++)
		unknown &= s->cell[i].kind == PARE_UNKNOWN;
	ok(unknown && s->row[13].drop.kind == PARE_UNKNOWN, "no cell is known");
	ok(s->row[13].bytes[0] == 2560 && s->row[13].bytes[1] < 420 && s->row[13].bytes[1] >= 320,
		"sizes are: %d to %d bytes", (int)s->row[13].bytes[0], (int)s->row[13].bytes[1]);
	ok(s->n_plans == 2 && s->here == 1 && s->plan[1].id == 2, "the history has both plans");
	ok(s->work_part <= 1 && isnan(s->measured_ago) && s->saved == SCENE_IN_MEMORY, "the rest");
	scene_free(s);
	pare_workspace_close(w);
}

static void the_map_fills(void)
{
	struct pare_workspace *w = open_example("examples/fashion");
	struct scene *s = scene_new(w);
	struct pare_ctl ctl = { 0 };
	struct pare_reply reply;
	struct pare_err err;
	bool known = true;

	ok(s->work_part == 0, "before any work nothing is done");
	ok_status(pare_workspace_scan(w, &ctl, &err), err, "the map is measured");
	ok_status(pare_workspace_command(w, "set fc weights int2 activations int8", &reply, &err),
		err, "a choice of two dials");
	scene_fill(s, w);
	for (int i = 0; i < s->n_rows * s->n_columns; i++)
		known &= s->cell[i].kind != PARE_UNKNOWN ||
			 (s->row[i / s->n_columns].cannot >> i % s->n_columns & 1);
	ok(known && s->work_part == 1, "all cells are known");
	ok(s->row[13].drop.kind == PARE_ESTIMATED, "the sum of two cells is called an estimate");
	scene_free(s);
	pare_workspace_close(w);
}

int main(void)
{
	names_lose_what_says_nothing();
	a_column_does_what_it_says();
	nothing_is_claimed_without_data();
	the_map_fills();
	return tap_done();
}
