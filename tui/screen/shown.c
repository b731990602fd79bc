#include "shown.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int tui_row(const struct tui_state *s)
{
	return s->n_shown ? s->shown[s->cur] : -1;
}

const struct pare_value *tui_cell(const struct tui_state *s, int row, int column)
{
	return &s->scene->cell[row * s->scene->n_columns + column];
}

void tui_dial_span(const struct scene *sc, enum pare_dial dial, int *from, int *to)
{
	*from = 0;
	while (*from < sc->n_columns && sc->column[*from].dial != dial)
		++*from;
	for (*to = *from; *to < sc->n_columns && sc->column[*to].dial == dial;)
		++*to;
}

static double drop_of(const struct scene_row *r)
{
	return !r->changed ? 0 : r->drop.kind == PARE_UNKNOWN ? NAN : r->drop.value;
}

static double field(const struct scene *sc, const struct scene_row *r, const char *name, size_t n)
{
	static const char *const names[] = { "drop", "params", "macs", "bits", "pruned" };
	const char *label;
	int i = 0;

	while (i < 5 && (strlen(names[i]) != n || strncmp(names[i], name, n)))
		i++;
	switch (i) {
	case 0:
		return drop_of(r);
	case 1:
		return (double)r->params;
	case 2:
		return (double)r->macs;
	case 3:
		label = sc->column[r->at[PARE_DIAL_WEIGHTS]].label;
		return *label == 'f' ? 32 : atof(label);
	case 4:
		return sc->column[r->at[PARE_DIAL_SPARSITY]].share;
	default:
		return NAN;
	}
}

static bool contains(const char *text, const char *part, size_t n)
{
	for (; *text; text++)
		if (!strncasecmp(text, part, n))
			return true;
	return !n;
}

static bool word_holds(const struct scene *sc, const struct scene_row *r, const char *w, size_t n)
{
	size_t k = strcspn(w, "<>=");
	double x, limit;
	char *end;

	if (k >= n)
		return contains(r->name, w, n) || contains(r->op, w, n);
	if (w[k] == '=' && k == 2 && !strncmp(w, "op", 2))
		return strlen(r->op) == n - 3 && !strncasecmp(r->op, w + 3, n - 3);
	x = field(sc, r, w, k);
	limit = strtod(w + k + 1, &end);
	if (end == w + k + 1)
		return true; /* the number is still being typed */
	return w[k] == '<' ? x < limit : w[k] == '>' ? x > limit : fabs(x - limit) < 1e-9;
}

bool tui_filter_holds(const struct scene *sc, const struct scene_row *r, const char *filter)
{
	while (*(filter += strspn(filter, " "))) {
		size_t n = strcspn(filter, " ");

		if (!word_holds(sc, r, filter, n))
			return false;
		filter += n;
	}
	return true;
}

static double sort_key(const struct tui_state *s, int row)
{
	const struct scene_row *r = &s->scene->row[row];
	double d = drop_of(r);

	switch (s->sort) {
	case SORT_PARAMS:
		return -(double)r->params;
	case SORT_MACS:
		return -(double)r->macs;
	case SORT_DROP:
		return isnan(d) ? 1e9 : -d;
	default:
		return row;
	}
}

void tui_arrange(struct tui_state *s)
{
	int row = tui_row(s), n = 0;

	for (int i = 0; i < s->scene->n_rows; i++) {
		double k = sort_key(s, i);
		int at;

		if (!tui_filter_holds(s->scene, &s->scene->row[i], s->filter))
			continue;
		for (at = n++; at > 0 && sort_key(s, s->shown[at - 1]) > k; at--)
			s->shown[at] = s->shown[at - 1];
		s->shown[at] = i;
	}
	s->n_shown = n;
	for (int i = 0; i < n; i++)
		if (s->shown[i] == row)
			s->cur = i;
}
