/* The ABI between pare and what knows a device.  Text profiles and `host` stand behind it too, so
 * that a shared object can do whatever they can.
 *
 * A plugin is a shared object in pare's own plugins folder or in ~/.config/pare/plugins; neither it
 * nor its folder may be writable by other users.  It is opened with RTLD_NOW | RTLD_LOCAL, never
 * closed, and has one symbol:
 *
 *     const struct pare_plugin *pare_plugin_entry(const struct pare_plugin_host *host);
 *
 * Rules.  Structs that cross begin with what versions them: `abi_major` changes when old binaries
 * would break, and then they are refused; `size` is sizeof on the writer's side.  Fields are only
 * appended, and a field is read or written only when `size` covers it (PARE_PLUGIN_HAS).  Strings
 * are UTF-8 and, unless said otherwise, borrowed until the call returns; what a plugin hands out
 * about its devices must live as long as the process.  Sizes are bytes, times milliseconds,
 * energies millijoules, all of one sample; NaN or -1 = not known.  Functions return 0 when they did
 * what was asked; otherwise they write a sentence of at most err_len bytes, end included, and
 * return non-zero.  pare calls `predict` from any thread, at most one at a time for a state, and
 * `measure` never at once with another. */
#ifndef PARE_DEVICE_H
#define PARE_DEVICE_H
#include <stddef.h>
#include <stdint.h>

#define PARE_PLUGIN_ABI 1
#define PARE_PLUGIN_ENTRY "pare_plugin_entry"
/* Does the struct at `p`, as big as its writer says, hold `field`? */
#define PARE_PLUGIN_HAS(p, field)                                                                  \
	((p)->size >= offsetof(__typeof__(*(p)), field) + sizeof((p)->field))

struct pare_plugin_host {
	uint32_t abi_major, size;
	const char *version; /* of pare */
};

/* What kind of work a node is. */
enum pare_plugin_kind {
	PARE_WORK_FREE = 0,  /* no work of its own: fused into what is before, or a view */
	PARE_WORK_CONV,      /* convolution, groups 1, kernel above 1 */
	PARE_WORK_POINTWISE, /* convolution, groups 1, kernel 1 */
	PARE_WORK_DEPTHWISE, /* as many groups as input channels */
	PARE_WORK_GROUPED,   /* other grouped convolution */
	PARE_WORK_DENSE,     /* matrix product */
	PARE_WORK_OTHER,     /* pooling, elementwise, concatenation… */
};

/* One node, in execution order. */
struct pare_plugin_layer {
	const char *name, *op; /* op: ONNX operator, or the type in a table of layers */
	int32_t kind;          /* enum pare_plugin_kind */
	int32_t layer;         /* its number among the layers with weights; -1 = has none */
	int64_t macs, params;
	int64_t in_elems, out_elems; /* activations */
	int64_t in_channels, out_channels;
	int32_t kernel, stride, groups;
	/* What the plan asks: names and bits of the formats; "float32", 32 where it asks nothing.
	 */
	const char *weights, *activations;
	int32_t weight_bits, activation_bits;
	double sparsity; /* share of the weights that are zero */
	/* in which pattern: "2:4", "4x1"…; "unstructured" = in none */
	const char *pattern;
};

/* A network under a plan.  Walk with pare_plugin_layer_at: layer_size is the distance between
 * layers, which may be more than this header's sizeof. */
struct pare_plugin_work {
	uint32_t size, layer_size;
	int64_t n_layers;
	const struct pare_plugin_layer *layers;
};
static inline const struct pare_plugin_layer *
pare_plugin_layer_at(const struct pare_plugin_work *w, int64_t i)
{
	return (const struct pare_plugin_layer *)(const void *)((const char *)w->layers +
								i * (int64_t)w->layer_size);
}

/* What is known of a device; all strings live on. */
struct pare_plugin_device {
	uint32_t size;
	int32_t threads;
	const char *name;       /* unique, lower case, "raspberry-pi-4-tflite" */
	const char *chip_class; /* "mcu", "cpu", "gpu", "npu" */
	const char *device, *runtime, *precision;
	const char *source, *rules;               /* a sentence each */
	int32_t measures;                         /* 1: runs the network, see measure */
	int32_t rows;                             /* published measurements behind its figures */
	double error_model_out, error_family_out; /* median absolute percentage error; NaN */
	int64_t ram, flash;                       /* bytes it has; 0 = not said */
	/* Patterns in which it leaves zeros out, separated by blanks; NULL or "" = it multiplies by
	 * them. */
	const char *patterns;
	/* It runs layers as if they had a multiple of so many channels; 0, 1 = as many as they
	 * have. */
	int32_t channels;
	/* What it takes, names of pare's parted by commas; NULL or "" = anything: formats of
	 * weights and activations, where scales of weights lie ("per-tensor"), their codes
	 * ("symmetric"), bounds of activations ("power-of-two"). */
	const char *takes_weights, *takes_activations, *takes_scales, *takes_schemes, *takes_ranges;
	/* "u8s8": sums of two products of uint8 activations and int8 weights are cut off at 16
	 * bits; NULL or "" = none are. */
	const char *saturates;
};

enum pare_plugin_fits { PARE_PLUGIN_FITS_UNKNOWN, PARE_PLUGIN_FITS_NO, PARE_PLUGIN_FITS_YES };

/* Filled with "not known" by pare before the call. */
struct pare_plugin_figures {
	uint32_t size;
	int32_t fits;                              /* enum pare_plugin_fits */
	double latency_ms, latency_lo, latency_hi; /* lo, hi: 90 % interval */
	double energy_mj, energy_lo, energy_hi;
	int64_t ram, flash;  /* bytes needed */
	int64_t samples;     /* of measure: runs that the figure rests on */
	int32_t n_fallbacks; /* layers that are not sped up as the plan asks */
	char why[160];       /* the first of them and why */
};

/* What measure may ask of pare, with `ctx` handed back. */
struct pare_plugin_job {
	uint32_t size;
	void *ctx;
	/* Write the variant as ONNX into a file that lives until measure returns. */
	int32_t (*export_file)(
		void *ctx, char *path, uint64_t path_len, char *err, uint64_t err_len);
	/* Run pare's own float executor on one sample, on one thread; the first call sets up. */
	int32_t (*run_once)(void *ctx, char *err, uint64_t err_len);
	/* Non-zero: give up soon; to be asked at least every 50 ms where that is possible. */
	int32_t (*canceled)(void *ctx);
	void (*progress)(void *ctx, double done, double total);
};

struct pare_plugin {
	uint32_t abi_major, size;
	const char *name, *version;
	/* `path` is the file that the plugin comes from.  *state is the plugin's. */
	int32_t (*open)(const char *path, void **state, char *err, uint64_t err_len);
	void (*close)(void *state);
	/* Device i: 1 = filled, 0 = there is none. */
	int32_t (*device)(void *state, int32_t i, struct pare_plugin_device *out);
	/* NULL = cannot. */
	int32_t (*predict)(void *state, int32_t i, const struct pare_plugin_work *work,
		struct pare_plugin_figures *out, char *err, uint64_t err_len);
	int32_t (*measure)(void *state, int32_t i, const struct pare_plugin_job *job,
		struct pare_plugin_figures *out, char *err, uint64_t err_len);
};
typedef const struct pare_plugin *pare_plugin_entry_fn(const struct pare_plugin_host *host);

#endif
