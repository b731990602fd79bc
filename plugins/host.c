/* This machine, measured: pare's own executor on one sample, again and again. */
#include "loader.h"
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARM_UP = 2, RUNS_MIN = 5, RUNS_MAX = 200 };
static const double enough_seconds = 1;

struct host {
	char cpu[96];
};

static int32_t host_open(const char *path, void **state, char *err, uint64_t err_len)
{
	struct host *h = calloc(1, sizeof *h);
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	(void)path;
	if (h)
		strcpy(h->cpu, "this machine");
	while (h && f && fgets(line, sizeof line, f)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = 0;
		snprintf(h->cpu, sizeof h->cpu, "%.90s", value + 2);
		break;
	}
	if (f)
		fclose(f);
	if (!h) {
		snprintf(err, err_len, "not enough memory for the host device");
		return -1;
	}
	*state = h;
	return 0;
}

static void host_close(void *state)
{
	free(state);
}

/* x86 without VNNI. */
static bool host_saturates(void)
{
#if defined(__x86_64__) || defined(__i386__)
	unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0;
	bool told = __get_cpuid_count(7, 0, &a, &b, &c, &d);
	bool avx512 = told && c & 1u << 11,
	     avx = told && a >= 1 && __get_cpuid_count(7, 1, &a1, &b, &c, &d) && a1 & 1u << 4;

	return !avx512 && !avx;
#else
	return false;
#endif
}

static int32_t host_device(void *state, int32_t i, struct pare_plugin_device *out)
{
	const struct host *h = state;

	if (i)
		return 0;
	*out = (struct pare_plugin_device){
		.size = sizeof *out,
		.threads = 1,
		.name = "host",
		.chip_class = "cpu",
		.device = h->cpu,
		.runtime = "pare " PARE_VERSION,
		.precision = "fp32",
		.source = "measured on this machine, one sample at a time, on one thread",
		.rules = "pare's own float32 executor: quantized weights and zeros run as dense "
			 "float32, so that they show no gain here",
		.measures = 1,
		.saturates = host_saturates() ? "u8s8" : "",
		.error_model_out = (double)NAN,
		.error_family_out = (double)NAN,
	};
	return 1;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int32_t host_measure(void *state, int32_t i, const struct pare_plugin_job *job,
	struct pare_plugin_figures *out, char *err, uint64_t err_len)
{
	double ms[RUNS_MAX], begin = 0;
	int n = -WARM_UP;

	(void)state;
	(void)i;
	while (n < RUNS_MIN || (n < RUNS_MAX && now_ms() - begin < enough_seconds * 1e3)) {
		double start = now_ms();

		if (job->canceled(job->ctx)) {
			snprintf(err, err_len, "canceled");
			return -1;
		}
		if (!n)
			begin = start;
		if (job->run_once(job->ctx, err, err_len))
			return -1;
		if (n >= 0) {
			ms[n] = now_ms() - start;
			job->progress(job->ctx,
				fmax((now_ms() - begin) / 1e3 / enough_seconds,
					(double)n / RUNS_MAX),
				1);
		}
		n++;
	}
	qsort(ms, (size_t)n, sizeof *ms, by_value);
	out->latency_ms = n % 2 ? ms[n / 2] : (ms[n / 2 - 1] + ms[n / 2]) / 2;
	out->latency_lo = ms[(n - 1) / 20];
	out->latency_hi = ms[n - 1 - (n - 1) / 20];
	out->samples = n;
	return 0;
}

const struct pare_plugin pare_host_plugin = {
	.abi_major = PARE_PLUGIN_ABI,
	.size = sizeof pare_host_plugin,
	.name = "host",
	.version = PARE_VERSION,
	.open = host_open,
	.close = host_close,
	.device = host_device,
	.measure = host_measure,
};
