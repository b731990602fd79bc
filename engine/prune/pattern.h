/* Patterns: which weights can only go together, and how many of which must go. */
#ifndef PARE_PATTERN_H
#define PARE_PATTERN_H
#include "../graph/model.h"

/* Of every `of` input channels at one place of the kernel `keep` stay, or blocks of `tall` output
 * and `wide` input channels go as a whole. */
struct pare_pattern {
	const char *name, *help;
	int keep, of;   /* 0: as many as the sparsity says, from anywhere */
	int tall, wide; /* 1 with keep and of */
};
extern const struct pare_pattern pare_patterns[];
enum { PARE_2_OF_4 = 1 }; /* the row that is on the map */

/* A pattern laid over a layer.  Weights are seen as rows (output channels) of columns (input
 * channels times places of the kernel, in the file's order).  `tall` rows are a strip, and a site
 * is a block of `wide` columns of one strip: it goes or stays as a whole. */
struct pare_lay {
	const struct pare_pattern *pattern;
	bool fits;    /* the layer's channels come out even; if not it is left alone */
	int out_axis; /* of the weight */
	struct pare_shape weight;
	int64_t rows; /* of all groups of a grouped convolution */
	int columns;
	int channels, inner; /* a column: (lead * channels + channel) * inner + place */
	int64_t strips;
	int sites; /* of a strip */
};
struct pare_lay pare_lay_over(const struct pare_model *m, int layer, int pattern);

/* How many sites of the layer go at this sparsity, and weights with them. */
int64_t pare_lay_gone(const struct pare_lay *l, float sparsity);
int64_t pare_lay_weights_gone(const struct pare_lay *l, float sparsity);

/* Column j of a site's `wide`. */
static inline int pare_lay_column(const struct pare_lay *l, int site, int j)
{
	int wide = l->pattern->wide, across = l->channels / wide, place = site % l->inner;
	int block = site / l->inner % across, lead = site / l->inner / across;

	return (lead * l->channels + block * wide + j) * l->inner + place;
}

/* With N:M: which of a strip's columns / M sets of M sites a site belongs to. */
static inline int pare_lay_set(const struct pare_lay *l, int site)
{
	int of = l->pattern->of, channel = site / l->inner % l->channels;
	int lead = site / l->inner / l->channels;

	return (lead * (l->channels / of) + channel / of) * l->inner + site % l->inner;
}

#endif
