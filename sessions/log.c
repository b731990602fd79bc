/* The log of a workspace. */
#include "inside.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double workspace_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void log_add(struct pare_workspace *w, int64_t at, const char *clock, const char *text)
{
	struct log_line *more = realloc(w->log, ((size_t)w->n_log + 1) * sizeof *more);
	struct log_line l = { .at = at, .text = strdup(text), .saved = !at };

	if (more)
		w->log = more;
	if (!l.text || asprintf(&l.shown, "%s  %s", clock, text) < 0)
		l.shown = NULL;
	if (more && l.shown)
		w->log[w->n_log++] = l;
	else { /* a log may have gaps when memory is out */
		free(l.text);
		free(l.shown);
	}
}

void workspace_log(struct pare_workspace *w, const char *fmt, ...)
{
	char text[600], clock[32];
	time_t t = time(NULL);
	struct tm tm;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&t, &tm));
	log_add(w, t, clock, text);
}

const char *pare_workspace_log(const struct pare_workspace *w, int i)
{
	return i >= 0 && i < w->n_log ? w->log[i].shown : NULL;
}
