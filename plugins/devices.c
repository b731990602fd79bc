#include "devices.h"
#include "loader.h"
#include "measure.h"
#include "profile.h"
#include "work.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct instance { /* a plugin with a file opened by it */
	const struct pare_plugin *plugin;
	void *state;
	pthread_mutex_t one; /* the ABI promises one predict at a time */
	struct instance *next;
};

struct pare_device {
	struct pare_device_info info;
	struct instance *instance;
	int32_t index;
};

struct pare_devices {
	struct instance *instances;
	struct pare_device **devices; /* sorted by name, ended by NULL; NULL when there are none */
	int n;
	char **problems;
	int n_problems;
};

/* ---- filling the registry --------------------------------------------------------------- */

/* Tell it once: a folder's fault comes up with each of its files. */
static enum pare_status problem(struct pare_devices *ds, struct pare_err *err, const char *text)
{
	char **more, *copy;

	for (int i = 0; i < ds->n_problems; i++)
		if (!strcmp(ds->problems[i], text))
			return PARE_OK;
	more = realloc(ds->problems, sizeof *more * ((size_t)ds->n_problems + 1));
	copy = strdup(text);
	if (more)
		ds->problems = more;
	if (!more || !copy) {
		free(copy);
		return pare_nomem(err, "a message about devices");
	}
	ds->problems[ds->n_problems++] = copy;
	return PARE_OK;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static bool good_name(const char *name)
{
	size_t n = strlen(name);

	for (const char *c = name; *c; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) &&
			!strchr("-._", *c))
			return false;
	return n > 0 && n < 64;
}

/* What the plugin says of a device, as the rest of pare sees it. */
static struct pare_device_info info_of(const struct pare_plugin_device *d)
{
	return (struct pare_device_info){
		.name = or_empty(d->name),
		.class = or_empty(d->chip_class),
		.device = or_empty(d->device),
		.runtime = or_empty(d->runtime),
		.precision = or_empty(d->precision),
		.threads = d->threads,
		.source = or_empty(d->source),
		.rules = or_empty(d->rules),
		.measures = d->measures != 0,
		.rows = d->rows,
		.error_model_out = d->error_model_out > 0 ? d->error_model_out : (double)NAN,
		.error_family_out = d->error_family_out > 0 ? d->error_family_out : (double)NAN,
		.ram = d->ram > 0 ? d->ram : 0,
		.flash = d->flash > 0 ? d->flash : 0,
		.patterns = PARE_PLUGIN_HAS(d, patterns) ? or_empty(d->patterns) : "",
		.channels = PARE_PLUGIN_HAS(d, channels) && d->channels > 1 ? d->channels : 1,
#define SAID(field) .field = PARE_PLUGIN_HAS(d, field) ? or_empty(d->field) : ""
		SAID(takes_weights),
		SAID(takes_activations),
		SAID(takes_scales),
		SAID(takes_schemes),
		SAID(takes_ranges),
		SAID(saturates),
#undef SAID
	};
}

bool pare_device_skips(const struct pare_device_info *d, const char *pattern)
{
	size_t n = strlen(pattern);

	for (const char *at = d->patterns; *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && !memcmp(at, pattern, n))
			return true;
	return false;
}

/* Is `name` in a list parted by commas?  Everything is in an empty one. */
static bool taken(const char *list, const char *name)
{
	size_t n = strlen(name);

	if (!*list)
		return true;
	for (const char *at = list; *at; at += strcspn(at, ","), at += strspn(at, ", "))
		if (strcspn(at, ",") == n && !memcmp(at, name, n))
			return true;
	return false;
}

bool pare_device_objects(
	const struct pare_device_info *d, const struct pare_dials *dials, char *why, size_t len)
{
	const struct pare_format *w = &pare_formats[dials->weights],
				 *a = &pare_formats[dials->activations];
	bool integers = w->kind == PARE_KIND_INT;
	const struct {
		bool matters;
		const char *list, *name, *what;
	} say[] = {
		{ dials->weights > 0, d->takes_weights, w->name, "weights" },
		{ dials->activations > 0, d->takes_activations, a->name, "activations" },
		{ integers, d->takes_scales, pare_method_name(PARE_GRANULARITY, dials->granularity),
			"scales" },
		{ integers, d->takes_schemes, pare_method_name(PARE_SCHEME, dials->scheme),
			"codes of weights" },
		{ dials->activations > 0, d->takes_ranges,
			pare_method_name(PARE_RANGING, dials->ranging), "ranges of activations" },
	};

	for (size_t i = 0; i < sizeof say / sizeof *say; i++)
		if (say[i].matters && !taken(say[i].list, say[i].name)) {
			snprintf(why, len, "%s takes %s %s, not %s", d->name, say[i].what,
				say[i].list, say[i].name);
			return true;
		}
	return false;
}

bool pare_device_saturates(const struct pare_device_info *d)
{
	return *d->saturates && taken(d->saturates, "u8s8");
}

static enum pare_status add_device(struct pare_devices *ds, struct instance *in, int32_t index,
	const struct pare_device_info *info, const char *path, struct pare_err *err)
{
	struct pare_device **more, *d;
	char text[512];
	int at = 0;

	if (!good_name(info->name)) {
		snprintf(text, sizeof text,
			"%s: '%.70s' is no name for a device: lower-case letters, digits, - . _, "
			"at most 63",
			path, info->name);
		return problem(ds, err, text);
	}
	if (pare_devices_find(ds, info->name)) {
		snprintf(text, sizeof text,
			"%s: there is a device '%s' already, so this one is left out: rename it",
			path, info->name);
		return problem(ds, err, text);
	}
	more = realloc(ds->devices, sizeof *more * ((size_t)ds->n + 2));
	if (more)
		ds->devices = more;
	d = malloc(sizeof *d);
	if (!more || !d) {
		free(d);
		return pare_nomem(err, "a device");
	}
	*d = (struct pare_device){ *info, in, index };
	while (at < ds->n && strcmp(ds->devices[at]->info.name, info->name) < 0)
		at++;
	memmove(ds->devices + at + 1, ds->devices + at, sizeof *ds->devices * (size_t)(ds->n - at));
	ds->devices[at] = d;
	ds->devices[++ds->n] = NULL;
	return PARE_OK;
}

enum { DEVICES_MAX = 1000 }; /* of one plugin; more is a plugin that never says "no more" */

/* Open `path` with the plugin and take its devices. */
static enum pare_status add_instance(struct pare_devices *ds, const struct pare_plugin *plugin,
	const char *path, struct pare_err *err)
{
	char why[512] = "";
	struct instance *in = calloc(1, sizeof *in);
	enum pare_status st = PARE_OK;

	if (!in)
		return pare_nomem(err, "a device");
	in->plugin = plugin;
	if (plugin->open(path, &in->state, why, sizeof why)) {
		char text[sizeof why + 256];

		free(in);
		snprintf(text, sizeof text, "%s%s%.511s",
			strncmp(why, path, strlen(path)) ? path : "",
			strncmp(why, path, strlen(path)) ? ": would not start: " : "", why);
		return problem(ds, err, text);
	}
	pthread_mutex_init(&in->one, NULL);
	in->next = ds->instances;
	ds->instances = in;
	for (int32_t i = 0; !st && i < DEVICES_MAX; i++) {
		struct pare_plugin_device d = { .size = sizeof d,
			.error_model_out = (double)NAN,
			.error_family_out = (double)NAN };
		struct pare_device_info info;

		if (plugin->device(in->state, i, &d) != 1)
			break;
		info = info_of(&d);
		st = add_device(ds, in, i, &info, path, err);
	}
	return st;
}

static enum pare_status add_profile(struct pare_devices *ds, const char *path, struct pare_err *err)
{
	struct pare_err why;

	if (pare_loader_trust_text(path, &why))
		return problem(ds, err, why.text);
	return add_instance(ds, &pare_profile_plugin, path, err);
}

static enum pare_status add_object(struct pare_devices *ds, const char *path, struct pare_err *err)
{
	const struct pare_plugin *plugin;
	struct pare_err why;

	if (pare_loader_open(path, &plugin, &why))
		return problem(ds, err, why.text);
	return add_instance(ds, plugin, path, err);
}

typedef enum pare_status add_fn(struct pare_devices *ds, const char *path, struct pare_err *err);

static enum pare_status add_folder(struct pare_devices *ds, const char *base, const char *below,
	const char *ending, add_fn *add, struct pare_err *err)
{
	char folder[PATH_MAX + 16], **files;
	enum pare_status st = PARE_OK;
	int n;

	if (!base)
		return PARE_OK;
	snprintf(folder, sizeof folder, "%s%s", base, below);
	n = pare_loader_files(folder, ending, &files);
	if (n < 0) {
		char text[sizeof folder + 128];

		snprintf(text, sizeof text, "%s: %s", folder, strerror(errno));
		return problem(ds, err, text);
	}
	for (int i = 0; i < n; i++) {
		if (!st)
			st = add(ds, files[i], err);
		free(files[i]);
	}
	free(files);
	return st;
}

enum pare_status pare_devices_load_from(
	const char *own, const char *user, struct pare_devices **out, struct pare_err *err)
{
	struct pare_devices *ds = calloc(1, sizeof *ds);
	enum pare_status st;

	if (!ds)
		return pare_nomem(err, "devices");
	if ((st = add_instance(ds, &pare_host_plugin, "host", err)) ||
		(st = add_folder(ds, own, "/profiles", ".profile", add_profile, err)) ||
		(st = add_folder(ds, own, "", ".so", add_object, err)) ||
		(st = add_folder(ds, user, "/profiles", ".profile", add_profile, err)) ||
		(st = add_folder(ds, user, "/plugins", ".so", add_object, err))) {
		pare_devices_free(ds);
		return st;
	}
	*out = ds;
	return PARE_OK;
}

enum pare_status pare_devices_load(struct pare_devices **out, struct pare_err *err)
{
	char own[PATH_MAX], user[PATH_MAX];
	bool has_own = pare_loader_own_folder(own);
	struct pare_devices *ds;
	enum pare_status st = pare_devices_load_from(
		has_own ? own : NULL, pare_loader_user_folder(user) ? user : NULL, &ds, err);

	if (!st && !has_own)
		st = problem(ds, err,
			"pare's own devices are not beside it (lib/pare/plugins): install it anew");
	if (!st)
		*out = ds;
	return st;
}

void pare_devices_free(struct pare_devices *ds)
{
	struct instance *next;

	if (!ds)
		return;
	for (int i = 0; i < ds->n; i++)
		free(ds->devices[i]);
	free(ds->devices);
	for (int i = 0; i < ds->n_problems; i++)
		free(ds->problems[i]);
	free(ds->problems);
	for (struct instance *in = ds->instances; in; in = next) {
		next = in->next;
		if (in->plugin->close)
			in->plugin->close(in->state);
		pthread_mutex_destroy(&in->one);
		free(in);
	}
	free(ds);
}

/* ---- looking ---------------------------------------------------------------------------- */

const struct pare_device *pare_devices_get(const struct pare_devices *ds, int i)
{
	return i >= 0 && i < ds->n ? ds->devices[i] : NULL;
}

const struct pare_device *pare_devices_find(const struct pare_devices *ds, const char *name)
{
	for (int i = 0; i < ds->n; i++)
		if (!strcmp(ds->devices[i]->info.name, name))
			return ds->devices[i];
	return NULL;
}

const char *pare_devices_problem(const struct pare_devices *ds, int i)
{
	return i >= 0 && i < ds->n_problems ? ds->problems[i] : NULL;
}

const struct pare_device_info *pare_device_info(const struct pare_device *d)
{
	return &d->info;
}

/* ---- asking ----------------------------------------------------------------------------- */

static struct pare_plugin_figures nothing_known(void)
{
	return (struct pare_plugin_figures){ .size = sizeof(struct pare_plugin_figures),
		.latency_ms = (double)NAN,
		.energy_mj = (double)NAN,
		.ram = -1,
		.flash = -1 };
}

/* A value with its interval; false when the plugin talks nonsense. */
static bool value_of(double v, double lo, double hi, enum pare_kind kind, int64_t samples,
	struct pare_value *out)
{
	*out = (struct pare_value){ PARE_UNKNOWN, (double)NAN, (double)NAN, (double)NAN, 0 };
	if (isnan(v))
		return true;
	if (!(v >= 0) || !isfinite(v) || !(lo >= 0) || !(lo <= v) || !(hi >= v) || !isfinite(hi))
		return false;
	*out = (struct pare_value){ kind, v, lo, hi, samples };
	return true;
}

static enum pare_status figures_of(const struct pare_device *d, struct pare_plugin_figures *f,
	enum pare_kind kind, struct pare_device_figures *out, struct pare_err *err)
{
	struct pare_device_figures o = { .ram = f->ram, .flash = f->flash };
	int64_t samples = kind == PARE_MEASURED ? f->samples : d->info.rows;

	if (!value_of(f->latency_ms, f->latency_lo, f->latency_hi, kind, samples, &o.latency_ms) ||
		!value_of(f->energy_mj, f->energy_lo, f->energy_hi, kind, samples, &o.energy_mj) ||
		f->ram < -1 || f->flash < -1 || f->n_fallbacks < 0 ||
		f->fits < PARE_PLUGIN_FITS_UNKNOWN || f->fits > PARE_PLUGIN_FITS_YES)
		return pare_fail(err, PARE_E_FORMAT,
			"device %s: its plugin '%s' answers with figures that cannot be "
			"(latency %g in %g … %g ms)",
			d->info.name, or_empty(d->instance->plugin->name), f->latency_ms,
			f->latency_lo, f->latency_hi);
	o.fits = f->fits == PARE_PLUGIN_FITS_YES  ? PARE_FITS_YES
		 : f->fits == PARE_PLUGIN_FITS_NO ? PARE_FITS_NO
						  : PARE_FITS_UNKNOWN;
	o.n_fallbacks = f->n_fallbacks;
	snprintf(o.why, sizeof o.why, "%.*s", (int)sizeof f->why - 1, f->why);
	*out = o;
	return PARE_OK;
}

/* What is not known of the layers, a sum over them does not know; that something is too large, it
 * does. */
static void forget_sums(struct pare_plugin_figures *f)
{
	double none = (double)NAN;

	f->latency_ms = f->latency_lo = f->latency_hi = none;
	f->energy_mj = f->energy_lo = f->energy_hi = none;
	f->ram = -1;
	if (f->fits == PARE_PLUGIN_FITS_YES)
		f->fits = PARE_PLUGIN_FITS_UNKNOWN;
	snprintf(f->why, sizeof f->why, "%s",
		"the shapes inside the network are not known: its inputs' open axes are closed "
		"with --shape");
}

enum pare_status pare_device_predict(const struct pare_device *d, const struct pare_model *m,
	const struct pare_plan *p, struct pare_device_figures *out, struct pare_err *err)
{
	const struct pare_plugin *plugin = d->instance->plugin;
	struct pare_plugin_figures f = nothing_known();
	struct pare_plugin_work work;
	char why[400] = "";
	enum pare_status st = PARE_OK;

	if (PARE_PLUGIN_HAS(plugin, predict) && plugin->predict) {
		st = pare_work_of_model(m, p, &work, err);
		if (st)
			return st;
		pthread_mutex_lock(&d->instance->one);
		if (plugin->predict(d->instance->state, d->index, &work, &f, why, sizeof why))
			st = pare_fail(err, PARE_E_UNSUPPORTED, "device %s: %s", d->info.name, why);
		pthread_mutex_unlock(&d->instance->one);
		free((void *)work.layers);
		if (pare_model_info(m)->macs < 0)
			forget_sums(&f);
	}
	return st ? st : figures_of(d, &f, PARE_ESTIMATED, out, err);
}

/* Two at once would measure each other. */
static pthread_mutex_t measuring = PTHREAD_MUTEX_INITIALIZER;

enum pare_status pare_device_measure(const struct pare_device *d, const struct pare_variant *v,
	struct pare_ctl *ctl, struct pare_device_figures *out, struct pare_err *err)
{
	const struct pare_plugin *plugin = d->instance->plugin;
	struct pare_plugin_figures f = nothing_known();
	struct pare_measure_job job;
	char why[400] = "";
	enum pare_status st;

	if (!d->info.measures || !PARE_PLUGIN_HAS(plugin, measure) || !plugin->measure)
		return pare_fail(err, PARE_E_UNSUPPORTED,
			"device %s cannot be measured here; it estimates", d->info.name);
	st = pare_measure_begin(&job, v, ctl, err);
	if (st)
		return st;
	pthread_mutex_lock(&measuring);
	if (plugin->measure(d->instance->state, d->index, &job.abi, &f, why, sizeof why))
		st = job.abi.canceled(job.abi.ctx)
			     ? pare_fail(err, PARE_E_CANCELED, "device %s: canceled", d->info.name)
			     : pare_fail(
				       err, PARE_E_UNSUPPORTED, "device %s: %s", d->info.name, why);
	pthread_mutex_unlock(&measuring);
	pare_measure_end(&job);
	return st ? st : figures_of(d, &f, PARE_MEASURED, out, err);
}
