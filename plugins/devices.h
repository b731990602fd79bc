/* Devices as the rest of pare sees them; what stands behind one (a text profile, a shared object
 * with the ABI of device.h, or pare itself on this machine) does not show. */
#ifndef PARE_DEVICES_H
#define PARE_DEVICES_H
#include "../engine/pare.h"

struct pare_device;  /* immutable; lives as long as its registry */
struct pare_devices; /* the registry: all devices that can be used here, sorted by name */

struct pare_device_info {
	const char *name;                         /* "cortex-m7-cubeai" */
	const char *class;                        /* "mcu", "cpu", "gpu", "npu" */
	const char *device, *runtime, *precision; /* as the published table spells them */
	int threads;
	const char *source; /* where its figures come from, in a sentence */
	const char *rules;  /* what it speeds up and what it does not, in a sentence */
	bool measures;      /* has to run the network: predict says unknown, measure works */
	int rows;           /* published measurements behind it */
	double error_model_out, error_family_out; /* median absolute percentage error of the latency
		when a model / a whole family is left out of the fit; NaN = not known */
	int64_t ram, flash;                       /* bytes it has; 0 = not said */
	/* what it takes, parted by commas, and what it cuts off; as in plugins/device.h, "" =
	 * nothing is said */
	const char *takes_weights, *takes_activations, *takes_scales, *takes_schemes, *takes_ranges,
		*saturates;
	const char *patterns; /* in which it leaves zeros out, separated by blanks; "" = none */
	int channels;         /* runs best with multiples of so many; 1 = with any number */
};

/* A sentence on what of a layer's dials the device does not take; false: it takes them. */
bool pare_device_objects(
	const struct pare_device_info *d, const struct pare_dials *dials, char *why, size_t len);
/* Does it cut off sums of products of uint8 and int8? */
bool pare_device_saturates(const struct pare_device_info *d);

/* Does the device leave out zeros in this pattern ("2:4", "unstructured")? */
bool pare_device_skips(const struct pare_device_info *d, const char *pattern);

enum pare_fits { PARE_FITS_UNKNOWN, PARE_FITS_NO, PARE_FITS_YES };

struct pare_device_figures {
	struct pare_value latency_ms, energy_mj; /* of one sample */
	int64_t ram, flash;                      /* bytes needed; -1 = not known */
	enum pare_fits fits;
	int n_fallbacks; /* layers that the device does not accelerate as the plan asks */
	char why[160];   /* the first of them and why; "" = none */
};

/* Profiles and plugins from pare's own folder, then from ~/.config/pare.  What cannot be loaded is
 * left out and told in pare_devices_problem; only running out of memory fails. */
PARE_MUST_CHECK enum pare_status pare_devices_load(struct pare_devices **out, struct pare_err *err);
void pare_devices_free(struct pare_devices *ds);
const struct pare_device *
pare_devices_get(const struct pare_devices *ds, int i); /* NULL after the last */
const struct pare_device *pare_devices_find(const struct pare_devices *ds, const char *name);
const char *pare_devices_problem(const struct pare_devices *ds, int i); /* NULL after the last */

const struct pare_device_info *pare_device_info(const struct pare_device *d);

/* What the plan (NULL = float) would cost there.  Quick: well under a millisecond for 100 layers.
 */
PARE_MUST_CHECK enum pare_status
pare_device_predict(const struct pare_device *d, const struct pare_model *m,
	const struct pare_plan *p, struct pare_device_figures *out, struct pare_err *err);
/* Run it there (info.measures).  Slow. */
PARE_MUST_CHECK enum pare_status
pare_device_measure(const struct pare_device *d, const struct pare_variant *v, struct pare_ctl *ctl,
	struct pare_device_figures *out, struct pare_err *err);

#endif
