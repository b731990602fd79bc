/* A plugin for test_devices, which builds it in several ways: as it should be, and wrong. */
#include "../../plugins/device.h"
#include <math.h>
#include <string.h>

#ifndef STUB_ABI
#define STUB_ABI PARE_PLUGIN_ABI
#endif
#ifndef STUB_SIZE
#define STUB_SIZE sizeof(struct pare_plugin)
#endif
#ifndef STUB_LATENCY
#define STUB_LATENCY 2
#endif
#ifndef STUB_NAME
#define STUB_NAME "stub"
#endif

static int32_t stub_open(const char *path, void **state, char *err, uint64_t err_len)
{
	(void)path;
	*state = 0;
#ifdef STUB_FAILS
	strncpy(err, "the board does not answer", err_len);
	return 1;
#else
	(void)err;
	(void)err_len;
	return 0;
#endif
}

static int32_t stub_device(void *state, int32_t i, struct pare_plugin_device *out)
{
	(void)state;
	out->name = STUB_NAME;
	out->chip_class = "npu";
	out->device = "Stub";
	return i == 0;
}

static int32_t stub_predict(void *state, int32_t i, const struct pare_plugin_work *work,
	struct pare_plugin_figures *out, char *err, uint64_t err_len)
{
	(void)state;
	(void)i;
	(void)err;
	(void)err_len;
	out->latency_ms = STUB_LATENCY;
	out->latency_lo = out->latency_ms / 2;
	out->latency_hi = out->latency_ms * 2;
	out->n_fallbacks = (int32_t)work->n_layers;
	return 0;
}

static const struct pare_plugin stub = { STUB_ABI, STUB_SIZE, "stub", "1", stub_open, 0,
	stub_device, stub_predict, 0 };

#ifndef STUB_NO_SYMBOL
const struct pare_plugin *pare_plugin_entry(const struct pare_plugin_host *host)
{
	return host->abi_major ? &stub : 0;
}
#endif
