/* Quantization of weights and the calibration of activations.
 * Uniform quantization: w' = scale * (q - zero), q an integer of `bits` bits (Jacob et al. 2018;
 * Nagel et al. 2021, "A White Paper on Neural Network Quantization"). */
#ifndef PARE_QUANTIZE_H
#define PARE_QUANTIZE_H
#include "../base/arena.h"
#include "../base/tensor.h"
#include "../run/run.h"
#include "grid.h"

struct pare_keep;
struct pare_row;
struct pare_learning;
struct pare_windows;
struct pare_rounding {
	const char *name, *help;
	/* Round a row by what the calibration samples tell of it (lattice.h); `scale` > 0: at that
	 * one.  Returns the scale.  NULL = a method that does not look: each weight goes to the
	 * nearest, as it does with any method in a layer that tells nothing. */
	double (*look)(const struct pare_row *r, double scale, int8_t *q);
	bool makes_up; /* asked for the float network's output, whatever was lost before; else for
			  its own weights at the compressed network's inputs */
	bool shifts;   /* the bias takes up the mean error of each output channel */
	/* From there on by the columns themselves (learn.h), and when all layers of a residual
	 * block are there, by what the block gives (joint.h); NULL = it ends there. */
	enum pare_status (*learn)(const struct pare_learning *l, struct pare_err *err);
	bool stored;   /* the file's integers and scales, where it has them at the dial's width */
	bool makes_do; /* without samples each weight goes to the nearest; else that is an error */
	bool tries;    /* the others, layer by layer, on samples that they were not fitted to
			  (plan/pick.h) */
	/* Work on a layer, in multiplications or what takes as long; NULL = next to none. */
	double (*work)(const struct pare_windows *w);
};
extern const struct pare_rounding pare_roundings[];
/* Does it look at samples? */
static inline bool pare_rounding_looks(const struct pare_rounding *r)
{
	return r->look || r->tries;
}

/* How much work a rounding that tries others may put into all layers together. */
struct pare_effort {
	const char *name, *help;
	double work; /* as in struct pare_rounding */
};
extern const struct pare_effort pare_efforts[];

/* The bias [n] of a layer of integers, for an activation of act_scale, as integers of 32 bits would
 * give it, for ONNX Runtime makes such integers of it where it joins a layer with the quantizer
 * that follows: multiples of act_scale times the channel's scale.  Scales that leave the bias no
 * room, or that weigh nothing but zeros, are widened to fit it; q and w [elements] follow.  The
 * grid has one scale a channel; n is the channels, or any where there is but one. */
void pare_bias_settle(const struct pare_grid *g, float act_scale, float *scale, const int8_t *zero,
	int8_t *q, float *w, int64_t n, float *bias);

/* The same of `from` [n] in a blob of its own, which takes the place of *bias (`from` may be its
 * data); nothing without a quantizer or a bias (from NULL), or where channels have several scales,
 * for such layers run in float. */
PARE_MUST_CHECK enum pare_status pare_bias_for(const struct pare_grid *g,
	const struct pare_act_quant *act, const float *from, int64_t n, float *scale,
	const int8_t *zero, int8_t *q, float *w, struct pare_blob **bias, struct pare_err *err);

/* What was seen of an activation: its bounds and a histogram between them.  min > max: nothing. */
enum { PARE_BINS = 2048 };
struct pare_range {
	float min, max;
	float moving_min, moving_max; /* moving averages of the bounds of runs of samples */
	uint64_t count[PARE_BINS];
};
struct pare_calibrator {
	const char *name, *help;
	void (*clip)(const struct pare_range *r, int levels, float *lo, float *hi);
	bool stored; /* the file's scale and zero point, where it has them at the dial's width */
	bool tries;  /* the others, on the samples (choose.h); `clip` where there are none */
};
extern const struct pare_calibrator pare_calibrators[];
/* That which takes all that was seen. */
const struct pare_calibrator *pare_calibrator_plain(void);

/* What becomes of the bounds. */
struct pare_ranging {
	const char *name, *help;
	bool dynamic;   /* each sample has its own, nothing is looked at before */
	bool symmetric; /* zero in the middle of the codes; 0 where codes and values have no sign */
	bool powers;    /* the scale is a power of two */
	int bytes;      /* of scale and zero point, packed */
};
extern const struct pare_ranging pare_rangings[];

/* The integers of a format of activations. */
void pare_act_codes(const struct pare_format *f, int *lo, int *hi);
/* The quantizer for an activation; zero lies exactly on the grid.  r may be NULL for a dynamic one.
 */
struct pare_act_quant
pare_act_quant_of(const struct pare_range *r, const struct pare_calibrator *calibrator,
	const struct pare_ranging *how, const struct pare_format *f);

struct pare_calibration {
	const struct pare_dataset *dataset; /* its calibration split */
	int64_t n_samples;                  /* of it, from the first on */
	int n;                              /* layers */
	struct pare_range *range;           /* [n], of the activation that enters the layer */
	struct pare_keep *keep; /* layers that were fitted by it (keep.h); NULL = none are kept */
};

#endif
