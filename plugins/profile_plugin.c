#include "profile.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int32_t profile_open(const char *path, void **state, char *err, uint64_t err_len)
{
	struct pare_profile *p = malloc(sizeof *p);
	struct pare_err why = { .text = "not enough memory for a profile" };

	if (!p || pare_profile_read(path, p, &why)) {
		snprintf(err, err_len, "%s", why.text);
		free(p);
		return -1;
	}
	*state = p;
	return 0;
}

static void profile_close(void *state)
{
	free(state);
}

static int32_t profile_device(void *state, int32_t i, struct pare_plugin_device *out)
{
	const struct pare_profile *p = state;
	const struct pare_profile_set *s = &p->sets[0];

	if (i)
		return 0;
	*out = (struct pare_plugin_device){
		.size = sizeof *out,
		.threads = (int32_t)strtol(p->threads, NULL, 10),
		.name = p->name,
		.chip_class = p->chip_class,
		.device = p->device,
		.runtime = p->runtime,
		.precision = s->name,
		.source = p->source,
		.rules = p->rules,
		.rows = (int32_t)s->rows,
		.error_model_out = s->error_model_out,
		.error_family_out = s->error_family_out,
		.ram = (int64_t)p->ram,
		.flash = (int64_t)p->flash,
		.patterns = p->patterns,
		.channels = p->channels > 1 && p->channels <= 1024 ? (int32_t)p->channels : 1,
		.takes_weights = p->takes_weights,
		.takes_activations = p->takes_activations,
		.takes_scales = p->takes_scales,
		.takes_schemes = p->takes_schemes,
		.takes_ranges = p->takes_ranges,
		.saturates = p->saturates,
	};
	return 1;
}

static int32_t profile_plugin_predict(void *state, int32_t i, const struct pare_plugin_work *work,
	struct pare_plugin_figures *out, char *err, uint64_t err_len)
{
	(void)i;
	(void)err;
	(void)err_len;
	pare_profile_predict(state, work, out);
	return 0;
}

const struct pare_plugin pare_profile_plugin = {
	.abi_major = PARE_PLUGIN_ABI,
	.size = sizeof pare_profile_plugin,
	.name = "profile",
	.version = PARE_VERSION,
	.open = profile_open,
	.close = profile_close,
	.device = profile_device,
	.predict = profile_plugin_predict,
};
