/* Neighbouring products that exceed 16 bits: found, and made smaller as little as it takes. */
#include "engine/quantize/saturate.h"
#include "tests/build.h"
#include "tests/tap.h"
#include <math.h>

static struct pare_layer layer;
static struct pare_weight_at at;
static struct pare_model model = { .layers = &layer, .weight_at = &at };

/* [o][c][h][w] */
static void weigh(int64_t o, int64_t c, int64_t h, int64_t w, int groups)
{
	layer = (struct pare_layer){ .out_axis = 0, .in_axis = 1, .weights = o * c * h * w };
	layer.weight = (struct pare_shape){ 4, { o, c, h, w } };
	at = (struct pare_weight_at){ .groups = groups };
}

static void signs_and_sums(void)
{
	static const struct {
		int8_t q[4];
		int exceeds;
		const char *what;
	} cases[] = {
		{ { 64, 64, 0, 0 }, 0, "255 * 128 = 32640 fits" },
		{ { 64, 65, 0, 0 }, 1, "255 * 129 = 32895 does not" },
		{ { -64, -65, 0, 0 }, 1, "nor does it below zero" },
		{ { 127, -127, 0, 0 }, 0, "unlike signs never do" },
		{ { 127, 0, 0, 127 }, 0, "nor does one alone" },
		{ { 0, 127, 127, 0 }, 0, "nor do those of two pairs" },
	};

	weigh(1, 4, 1, 1, 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ok(pare_pairs_exceed(&model, 0, cases[i].q) == cases[i].exceeds, "%s",
			cases[i].what);
}

static void both_orders_count(void)
{
	/* two channels of 1x2: (c0 p0) (c0 p1) (c1 p0) (c1 p1) */
	int8_t across[] = { 100, 0, 100, 0 }, within[] = { 0, 0, 100, 100 };

	weigh(1, 2, 1, 2, 1);
	ok(pare_pairs_exceed(&model, 0, across) == 1, "channels last: neighbours at one place");
	ok(pare_pairs_exceed(&model, 0, within) == 1, "channels first: neighbours in one channel");
	weigh(2, 1, 1, 2, 2);
	ok(pare_pairs_exceed(&model, 0, within) == 0, "depthwise is summed at 32 bits");
}

static void channels_are_narrowed(void)
{
	int8_t q[] = { 100, 100, 1, 2, 50, -60, 7, 8 }, zero[2] = { 0 };
	float scale[] = { .5F, .25F }, w[8];
	struct pare_grid g;

	weigh(2, 4, 1, 1, 1);
	for (int i = 0; i < 8; i++)
		w[i] = (float)q[i] * scale[i / 4];
	g = pare_grid_of(&layer.weight, 0, 0, 0, -127, 127);
	ok(pare_pairs_narrow(&model, 0, &g, scale, zero, q, w) == 1, "one channel has to change");
	ok(pare_pairs_exceed(&model, 0, q) == 0, "and no sum exceeds any more");
	ok(scale[1] == .25F && q[4] == 50 && q[5] == -60, "the other stays as it is");
	ok(fabsf(scale[0] - .5F * 200 / 127) < 1e-6F && q[0] == 64 && q[1] == 64,
		"by as little as it takes: %d %d", q[0], q[1]);
	ok(w[0] == 64 * scale[0] && fabsf(w[0] - 50) < scale[0],
		"weights are what their integers say: %g", (double)w[0]);
	zero[0] = 3;
	q[0] = q[1] = 100;
	ok(pare_pairs_narrow(&model, 0, &g, scale, zero, q, w) == 0,
		"with a zero point nothing is to be gained");
}

static void powers_stay_powers(void)
{
	int8_t q[] = { 100, 100, 3, -127 }, zero[1] = { 0 };
	float scale[] = { .125F }, w[4];
	struct pare_grid g;

	weigh(2, 2, 1, 1, 1);
	g = pare_grid_of(&layer.weight, 0, pare_method_find(PARE_GRANULARITY, "per-tensor"),
		pare_method_find(PARE_SCHEME, "power-of-two"), -127, 127);
	ok(pare_pairs_narrow(&model, 0, &g, scale, zero, q, w) == 1 && scale[0] == .25F,
		"the scale of a layer doubles");
	ok(q[0] == 50 && q[3] == -64 && w[3] == -16, "and all its weights with it: %d", q[3]);
}

int main(void)
{
	signs_and_sums();
	both_orders_count();
	channels_are_narrowed();
	powers_stay_powers();
	return tap_done();
}
