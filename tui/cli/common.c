#include "../screen/grid.h"
#include "cli.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct cli_common cli_common;

static struct {
	struct pare_ctl ctl;
	const char *what;
	double started, drawn;
	bool on_screen;
	char layer[96]; /* how many are rounded, and which is */
} job;

int cli_bad(const struct pare_err *err)
{
	cli_ctl_done();
	fprintf(stderr, "pare: %s\n", err->text);
	return CLI_BAD;
}

static int columns(void)
{
	const char *said = getenv("COLUMNS");
	struct winsize size;
	int n = said ? atoi(said) : 0;

	if (n <= 0 && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		n = size.ws_col;
	return n <= 0 ? 80 : n < 40 ? 40 : n > 120 ? 120 : n;
}

void cli_text(int x, int at, const char *text)
{
	for (bool first = true; *text || first; first = false) {
		int w = columns() - (first && at > x ? at : x) - 1;
		int n = text_line(text, w < 20 ? 20 : w);

		printf("%*s%.*s\n", first ? (x > at ? x - at : 0) : x, "", n, text);
		text += n + strspn(text + n, " ");
	}
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("pare: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_BAD;
}

bool cli_number(const char *text, const char *option, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max) {
		if (max == INT64_MAX)
			cli_usage("%s takes a whole number from %" PRId64 " on, not '%s'", option,
				min, text);
		else
			cli_usage("%s takes a whole number from %" PRId64 " to %" PRId64
				  ", not '%s'",
				option, min, max, text);
		return false;
	}
	*out = v;
	return true;
}

const char **cli_shapes;

char *cli_shapes_text(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = cli_shapes && cli_shapes[0] ? open_memstream(&text, &n) : NULL;

	for (int i = 0; f && cli_shapes[i]; i++)
		fprintf(f, "%s%s", i ? " " : "", cli_shapes[i]);
	if (f)
		fclose(f);
	return text;
}

bool cli_open_model(const struct cli_args *a, struct pare_model **out)
{
	char *shapes = cli_shapes_text();
	struct pare_err err;
	enum pare_status st = pare_model_open_as(a->word[0], shapes, out, &err);

	free(shapes);
	if (st)
		cli_bad(&err);
	return !st;
}

int cli_json(json_t *o, int code)
{
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(o);
	return code;
}

json_t *cli_real_json(double v)
{
	return isnan(v) || isinf(v) ? json_null() : json_real(v);
}

json_t *cli_value_json(const struct pare_value *v)
{
	if (v->kind == PARE_UNKNOWN || isnan(v->lo) || isnan(v->hi))
		return json_null();
	return json_pack("[ff]", v->lo, v->hi);
}

double cli_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_interrupt(int sig)
{
	if (atomic_exchange(&job.ctl.cancel, true))
		_exit(128 + sig); /* asked twice */
}

static void on_layer(void *user, const char *name, int done, int total)
{
	(void)user;
	snprintf(job.layer, sizeof job.layer, " %d of %d layers, %.40s", done, total, name);
}

static void draw(void *user, double done, double total)
{
	enum { WIDTH = 30 };
	double t = cli_clock(), part = total > 0 ? done / total : 0;
	int full = (int)(part * WIDTH);
	char bar[WIDTH + 1];

	(void)user;
	if (t - job.drawn < 0.1)
		return;
	job.drawn = t;
	job.on_screen = true;
	memset(bar, '-', WIDTH);
	memset(bar, '#', (size_t)(full < 0 ? 0 : full > WIDTH ? WIDTH : full));
	bar[WIDTH] = 0;
	fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", job.what, bar, 100 * part);
	if (part > 0.02)
		fprintf(stderr, "  eta %.0f s ", (t - job.started) * (1 - part) / part);
	fputs(job.layer, stderr);
}

struct pare_ctl *cli_ctl(const char *what)
{
	struct sigaction sa = { .sa_handler = on_interrupt };

	cli_ctl_done();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	job.what = what;
	*job.layer = 0;
	job.ctl.layer = on_layer;
	job.started = cli_clock();
	job.ctl.progress = isatty(STDERR_FILENO) ? draw : NULL;
	return &job.ctl;
}

void cli_ctl_done(void)
{
	if (job.on_screen)
		fputs("\r\033[K", stderr);
	job.on_screen = false;
}
