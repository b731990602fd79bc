#include "figures.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A digit behind the point below a hundred: a turn of a dial must show. */
static const char *scaled(double x, const char *unit, char buf[FIGURE_LEN])
{
	snprintf(buf, FIGURE_LEN, "%.*f %s", x < 99.95 ? 1 : 0, x, unit);
	return buf;
}

const char *figure_count(int64_t n, char buf[FIGURE_LEN])
{
	if (n < 0)
		snprintf(buf, FIGURE_LEN, "?");
	else if (n < 1000)
		snprintf(buf, FIGURE_LEN, "%" PRId64, n);
	else if (n < 10000)
		snprintf(buf, FIGURE_LEN, "%" PRId64 ",%03" PRId64, n / 1000, n % 1000);
	else if (n < 999500)
		scaled((double)n / 1e3, "K", buf);
	else if (n < 999500000)
		scaled((double)n / 1e6, "M", buf);
	else
		scaled((double)n / 1e9, "G", buf);
	return buf;
}

const char *figure_bytes(int64_t n, char buf[FIGURE_LEN])
{
	if (n < 0)
		snprintf(buf, FIGURE_LEN, "?");
	else if (n < 1024)
		snprintf(buf, FIGURE_LEN, "%" PRId64 " B", n);
	else if (n < 1000 * 1024)
		scaled((double)n / 1024, "KiB", buf);
	else if (n < (int64_t)1000 * 1024 * 1024)
		scaled((double)n / 1024 / 1024, "MiB", buf);
	else
		scaled((double)n / 1024 / 1024 / 1024, "GiB", buf);
	return buf;
}

const char *figure_sizes(int64_t was, int64_t now, char buf[FIGURE_LEN])
{
	char a[FIGURE_LEN], b[FIGURE_LEN];
	const char *unit = strchr(figure_bytes(was, a), ' '), *other;

	other = strchr(figure_bytes(now, b), ' ');
	if (unit && other && !strcmp(unit, other))
		snprintf(buf, FIGURE_LEN, "%.*s → %.20s", (int)(unit - a), a, b);
	else
		snprintf(buf, FIGURE_LEN, "%.20s → %.20s", a, b);
	return buf;
}

static int digits(double x)
{
	return x < 0.995 ? 2 : x < 99.5 ? 1 : 0;
}

static const char *time_unit(double ms, double *scale)
{
	*scale = ms < 0.0995 ? 1e3 : ms < 9950 ? 1 : 1e-3;
	return ms < 0.0995 ? "µs" : ms < 9950 ? "ms" : "s";
}

const char *figure_time(double ms, char buf[FIGURE_LEN])
{
	double k;
	const char *unit = time_unit(ms, &k);

	if (isnan(ms))
		snprintf(buf, FIGURE_LEN, "?");
	else
		snprintf(buf, FIGURE_LEN, "%.*f %s", digits(ms * k), ms * k, unit);
	return buf;
}

const char *figure_times(double was, double now, char buf[FIGURE_LEN])
{
	double k;
	const char *unit = time_unit(isnan(was) ? now : was, &k);

	if (isnan(was) && isnan(now))
		snprintf(buf, FIGURE_LEN, "?");
	else if (isnan(was))
		snprintf(buf, FIGURE_LEN, "? → %.*f %s", digits(now * k), now * k, unit);
	else if (isnan(now))
		snprintf(buf, FIGURE_LEN, "%.*f → ? %s", digits(was * k), was * k, unit);
	else
		snprintf(buf, FIGURE_LEN, "%.*f → %.*f %s", digits(was * k), was * k,
			digits(now * k), now * k, unit);
	return buf;
}

const char *figure_span(double s, char buf[FIGURE_LEN])
{
	if (!(s >= 0) || s > 1e7)
		snprintf(buf, FIGURE_LEN, "?");
	else if (s < 99.5)
		snprintf(buf, FIGURE_LEN, "%.0f s", s);
	else if (s < 99.5 * 60)
		snprintf(buf, FIGURE_LEN, "%.0f min", s / 60);
	else
		snprintf(buf, FIGURE_LEN, "%.0f h", s / 3600);
	return buf;
}

const char *figure_margin(const struct pare_value *v, char buf[FIGURE_LEN])
{
	double m = fmax(v->hi - v->value, v->value - v->lo);

	if (v->kind == PARE_UNKNOWN || isnan(v->lo) || isnan(v->hi) || !(m < 1e6))
		buf[0] = 0;
	else
		snprintf(buf, FIGURE_LEN, "±%.1f", m);
	return buf;
}

const char *figure_spread(const struct pare_value *v, char buf[FIGURE_LEN])
{
	double times = fmax(v->hi / v->value, v->value / v->lo);

	buf[0] = 0;
	if (v->kind == PARE_UNKNOWN || !(v->value > 0) || isnan(v->lo) || isnan(v->hi))
		return buf;
	if (times < 99)
		snprintf(buf, FIGURE_LEN, "×÷%.*f",
			times < 1.095  ? 2
			: times < 9.95 ? 1
				       : 0,
			times);
	else
		snprintf(buf, FIGURE_LEN, "×÷99+");
	return buf;
}

const char *figure_drop(const struct pare_value *v, char buf[FIGURE_LEN])
{
	if (v->kind == PARE_UNKNOWN || isnan(v->value))
		snprintf(buf, FIGURE_LEN, "?");
	else if (v->value < -0.05)
		snprintf(buf, FIGURE_LEN, "−%.1f", -v->value);
	else
		snprintf(buf, FIGURE_LEN, "%.1f", fabs(v->value));
	return buf;
}

const char *figure_change(double was, double now, char buf[FIGURE_LEN])
{
	double p = was > 0 ? 100 * (now - was) / was : NAN;

	if (isnan(p) || fabs(p) > 9999)
		buf[0] = 0;
	else
		snprintf(buf, FIGURE_LEN, "%s%.0f %%",
			p < -0.5   ? "−"
			: p >= 0.5 ? "+"
				   : "±",
			fabs(p));
	return buf;
}

int figure_heat(const struct pare_value *drop)
{
	/* 0.15: what reads as 0.1 is, on a thousand samples, one of them */
	static const double bound[] = { 0.15, 0.5, 2, 8 };
	int i = 0;

	if (drop->kind == PARE_UNKNOWN || isnan(drop->value))
		return -1;
	while (i < 4 && drop->value >= bound[i])
		i++;
	return i;
}

const char *figure_kind(enum pare_kind k, bool whole)
{
	static const char *const word[][2] = { { "unknown", "unknown" }, { "est.", "estimated" },
		{ "meas.", "measured" } };

	return word[k][whole];
}
