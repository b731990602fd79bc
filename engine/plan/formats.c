/* Number formats and the positions of the dials, as rows. */
#include "../prune/pattern.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct pare_format pare_formats[] = {
	{ "float32", 32, PARE_KIND_FLOAT, PARE_FOR_WEIGHTS | PARE_FOR_ACTIVATIONS, "as it is in the file", PARE_UNDEFINED, 0, 0 },
	{ "float16", 16, PARE_KIND_FLOAT, PARE_FOR_WEIGHTS, "IEEE half precision, rounded to nearest even", PARE_F16, 0, 0 },
	{ "int8",     8, PARE_KIND_INT,   PARE_FOR_WEIGHTS | PARE_FOR_ACTIVATIONS, "8 bits; activations with a zero point", PARE_I8, -127, 127 },
	{ "int6",     6, PARE_KIND_INT,   PARE_FOR_WEIGHTS | PARE_FOR_ACTIVATIONS, "6 bits; stored as int8 in ONNX", PARE_I8, -32, 31 },
	{ "int5",     5, PARE_KIND_INT,   PARE_FOR_WEIGHTS, "5 bits; stored as int8 in ONNX", PARE_I8, -16, 15 },
	{ "int4",     4, PARE_KIND_INT,   PARE_FOR_WEIGHTS | PARE_FOR_ACTIVATIONS, "4 bits; packed in ONNX (opset 21), with zero points as uint4, activations as int8", PARE_I4, -8, 7 },
	{ "int3",     3, PARE_KIND_INT,   PARE_FOR_WEIGHTS, "3 bits; stored as int8 in ONNX", PARE_I8, -4, 3 },
	{ "int2",     2, PARE_KIND_INT,   PARE_FOR_WEIGHTS, "2 bits; stored as int8 in ONNX", PARE_I8, -2, 1 },
	/* not on the map */
	{ "bfloat16", 16, PARE_KIND_FLOAT, PARE_FOR_WEIGHTS, "float32 less its last 16 bits, rounded to nearest even", PARE_BF16, 0, 0 },
	{ "ternary",  2, PARE_KIND_INT,   PARE_FOR_WEIGHTS, "-1, 0 and 1 times a scale; stored as int8 in ONNX", PARE_I8, -1, 1 },
	{ "int16",   16, PARE_KIND_INT,   PARE_FOR_ACTIVATIONS, "16 bits with a zero point (opset 21)", PARE_UNDEFINED, 0, 0 },
	{ "uint8",    8, PARE_KIND_INT,   PARE_FOR_ACTIVATIONS, "int8 by other names, 0 to 255 in the file: the fast kernels of x86 want it so", PARE_U8, 0, 0 },
	{ 0 },
};

enum { F32, F16, I8, I6, I5, I4, I3, I2 }; /* rows of pare_formats on the map */

const struct pare_option pare_options[] = {
	{ PARE_DIAL_WEIGHTS, F32, 0, 0, "float32" },
	{ PARE_DIAL_WEIGHTS, F16, 0, 0, "float16" },
	{ PARE_DIAL_WEIGHTS, I8, 0, 0, "int8" },
	{ PARE_DIAL_WEIGHTS, I6, 0, 0, "int6" },
	{ PARE_DIAL_WEIGHTS, I5, 0, 0, "int5" },
	{ PARE_DIAL_WEIGHTS, I4, 0, 0, "int4" },
	{ PARE_DIAL_WEIGHTS, I3, 0, 0, "int3" },
	{ PARE_DIAL_WEIGHTS, I2, 0, 0, "int2" },
	{ PARE_DIAL_ACTIVATIONS, F32, 0, 0, "act float32" },
	{ PARE_DIAL_ACTIVATIONS, I8, 0, 0, "act int8" },
	{ PARE_DIAL_CHANNELS, 0, .0f, 0, "channels 0%" },
	{ PARE_DIAL_CHANNELS, 0, .1f, 0, "channels 10%" },
	{ PARE_DIAL_CHANNELS, 0, .2f, 0, "channels 20%" },
	{ PARE_DIAL_CHANNELS, 0, .3f, 0, "channels 30%" },
	{ PARE_DIAL_CHANNELS, 0, .4f, 0, "channels 40%" },
	{ PARE_DIAL_CHANNELS, 0, .5f, 0, "channels 50%" },
	{ PARE_DIAL_CHANNELS, 0, .6f, 0, "channels 60%" },
	{ PARE_DIAL_SPARSITY, 0, .0f, 0, "0%" },
	{ PARE_DIAL_SPARSITY, 0, .1f, 0, "10%" },
	{ PARE_DIAL_SPARSITY, 0, .2f, 0, "20%" },
	{ PARE_DIAL_SPARSITY, 0, .3f, 0, "30%" },
	{ PARE_DIAL_SPARSITY, 0, .4f, 0, "40%" },
	{ PARE_DIAL_SPARSITY, 0, .5f, 0, "50%" },
	{ PARE_DIAL_SPARSITY, 0, .6f, 0, "60%" },
	{ PARE_DIAL_SPARSITY, 0, .7f, 0, "70%" },
	{ PARE_DIAL_SPARSITY, 0, .8f, 0, "80%" },
	{ PARE_DIAL_SPARSITY, 0, .9f, 0, "90%" },
	{ PARE_DIAL_SPARSITY, 0, .5f, PARE_2_OF_4, "2:4" },
	{ 0 },
};
/* clang-format on */

int pare_format_find(const char *name)
{
	for (int i = 0; pare_formats[i].name; i++)
		if (!strcmp(pare_formats[i].name, name))
			return i;
	return -1;
}

int pare_n_options(void)
{
	int n = 0;

	while (pare_options[n].name)
		n++;
	return n;
}

void pare_dials_set_sparsity(struct pare_dials *d, float share)
{
	d->sparsity = share;
	if (pare_pattern_share(d->pattern) > 0)
		d->pattern = 0;
}

void pare_option_apply(const struct pare_option *o, struct pare_dials *d)
{
	switch (o->dial) {
	case PARE_DIAL_WEIGHTS:
		d->weights = (uint8_t)o->format;
		break;
	case PARE_DIAL_ACTIVATIONS:
		d->activations = (uint8_t)o->format;
		break;
	case PARE_DIAL_CHANNELS:
		d->channels = o->share;
		break;
	case PARE_DIAL_SPARSITY:
		pare_dials_set_sparsity(d, o->share);
		if (o->pattern)
			d->pattern = (uint8_t)o->pattern;
		break;
	case PARE_N_DIALS:
		break;
	}
}

/* A format that is not on the map stands at the one of the nearest width. */
static double format_distance(int a, int b)
{
	int bits = abs(pare_formats[a].bits - pare_formats[b].bits);

	return a == b ? 0 : 1 + bits;
}

static double distance(const struct pare_option *o, const struct pare_dials *d)
{
	switch (o->dial) {
	case PARE_DIAL_WEIGHTS:
		return format_distance(o->format, d->weights);
	case PARE_DIAL_ACTIVATIONS:
		return format_distance(o->format, d->activations);
	case PARE_DIAL_CHANNELS:
		return fabs((double)o->share - (double)d->channels);
	default:
		return fabs((double)o->share - (double)d->sparsity) +
		       (d->sparsity > 0 && o->pattern != d->pattern);
	}
}

bool pare_option_fits(const struct pare_model *m, int layer, const struct pare_option *o)
{
	struct pare_dials d = { 0 };

	pare_option_apply(o, &d);
	if (o->dial == PARE_DIAL_CHANNELS && o->share > 0)
		return m->layers[layer].group >= 0;
	if (o->dial == PARE_DIAL_ACTIVATIONS && o->format)
		return !m->weight_at[layer].alone;
	return pare_lay_over(m, layer, d.pattern).fits;
}

int pare_option_of(const struct pare_dials *d, enum pare_dial dial)
{
	int best = -1;

	for (int i = 0; pare_options[i].name; i++)
		if (pare_options[i].dial == dial &&
			(best < 0 ||
				distance(&pare_options[i], d) < distance(&pare_options[best], d)))
			best = i;
	return best;
}

int pare_option_turn(struct pare_dials *d, enum pare_dial dial, int step)
{
	int at = pare_option_of(d, dial), way = step < 0 ? -1 : 1;

	for (; step; step -= way) {
		int next = at + way;

		if (next < 0 || !pare_options[next].name || pare_options[next].dial != dial)
			break;
		at = next;
	}
	pare_option_apply(&pare_options[at], d);
	return at;
}
