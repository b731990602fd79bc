/* Numbers as people read them.  Each writes into buf and returns it. */
#ifndef SCREEN_FIGURES_H
#define SCREEN_FIGURES_H
#include "../../engine/pare.h"

enum { FIGURE_LEN = 48 };

const char *figure_count(int64_t n, char buf[FIGURE_LEN]); /* "2,320", "44.8 K", "2.4 M" */
const char *figure_bytes(int64_t n, char buf[FIGURE_LEN]); /* "49.0 KiB" */
/* Two sizes: "9.0 → 5.6 KiB". */
const char *figure_sizes(int64_t was, int64_t now, char buf[FIGURE_LEN]);
const char *figure_time(double ms, char buf[FIGURE_LEN]); /* "0.41 ms", "1.2 s" */
/* Two times in one unit: "0.41 → 0.22 ms". */
const char *figure_times(double was, double now, char buf[FIGURE_LEN]);
const char *figure_span(double seconds, char buf[FIGURE_LEN]); /* "6 s", "3 min", "2 h" */
/* Half of an interval: "±0.3", "" when there is none. */
const char *figure_margin(const struct pare_value *v, char buf[FIGURE_LEN]);
/* The same of a figure above 0 as a factor: "×÷2.6"; "" when there is none. */
const char *figure_spread(const struct pare_value *v, char buf[FIGURE_LEN]);
/* A drop in points: "0.3", "−0.1", "?" when unknown. */
const char *figure_drop(const struct pare_value *v, char buf[FIGURE_LEN]);
/* A change in percent: "−38 %", "" when it cannot be said. */
const char *figure_change(double was, double now, char buf[FIGURE_LEN]);
/* 0..4 by how much a drop hurts; -1 unknown. */
int figure_heat(const struct pare_value *drop);
/* "est." or "estimated" … */
const char *figure_kind(enum pare_kind k, bool whole);

#endif
