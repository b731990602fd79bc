#include "profile.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const pare_profile_rate_names[PARE_N_RATES] = { "conv", "1x1", "dw", "group", "fc",
	"act", "weight", "layer", "other", "const" };
const char *const pare_profile_need_names[PARE_N_NEEDS] = { "weight", "peak", "layer", "const" };

/* ---- the words of a profile ------------------------------------------------------------- */

enum place { IN_PROFILE, IN_SET };
enum value { TEXT, NUMBER };
static const struct key {
	const char *name;
	enum place place;
	enum value value;
	size_t offset, size; /* size of TEXT */
	bool must;
} keys[] = {
/* clang-format off */
#define P(name, field, must) { name, IN_PROFILE, TEXT, offsetof(struct pare_profile, field), \
	sizeof(((struct pare_profile *)0)->field), must }
#define S(name, field, must) { name, IN_SET, TEXT, offsetof(struct pare_profile_set, field), \
	sizeof(((struct pare_profile_set *)0)->field), must }
#define PN(name, field) { name, IN_PROFILE, NUMBER, offsetof(struct pare_profile, field), 0, false }
#define SN(name, field) { name, IN_SET, NUMBER, offsetof(struct pare_profile_set, field), 0, false }
	P("name", name, true), P("class", chip_class, true), P("device", device, true),
	P("runtime", runtime, true), P("threads", threads, false), P("clock", clock, false),
	P("source", source, true), P("rules", rules, true),
	P("patterns", patterns, false), P("takes-weights", takes_weights, false),
	P("takes-activations", takes_activations, false), P("takes-scales", takes_scales, false),
	P("takes-codes", takes_schemes, false), P("takes-ranges", takes_ranges, false),
	P("saturates", saturates, false), PN("ram", ram), PN("flash", flash), PN("channels", channels),
	P("fit-ram", need_ram.terms, false), PN("ram-rows", need_ram.rows),
	PN("ram-error", need_ram.error), P("fit-flash", need_flash.terms, false),
	PN("flash-rows", need_flash.rows), PN("flash-error", need_flash.error), PN("macs-from", macs_from), PN("macs-to", macs_to),
	S("weights", weights, true), S("activations", activations, true),
	SN("activation-bytes", act_bytes), SN("weight-bytes", weight_bytes), S("slow", slow, false),
	S("like", like, false), S("fit", terms, false), SN("rows", rows),
	SN("error-model-out", error_model_out), SN("error-family-out", error_family_out),
	SN("band", band), SN("power", power), SN("power-band", power_band), SN("times", times),
#undef P
#undef S
#undef PN
#undef SN
	/* clang-format on */
};
enum { N_KEYS = sizeof keys / sizeof *keys };

static void *key_place(const struct key *k, struct pare_profile *p, struct pare_profile_set *s)
{
	return (k->place == IN_SET ? (char *)s : (char *)p) + k->offset;
}

static double *coefficient(const char *name, const char *const *names, int n, double *values)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return &values[i];
	return NULL;
}

/* ---- reading ---------------------------------------------------------------------------- */

struct reader {
	const char *path;
	int line;
	struct pare_profile *p;
	struct pare_profile_set *set; /* NULL before the first precision */
	struct pare_err *err;
};

static enum pare_status number(const struct reader *r, const char *text, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0) || isinf(v))
		return pare_fail(r->err, PARE_E_FORMAT, "%s:%d: '%s' is no number >= 0", r->path,
			r->line, text);
	*out = v;
	return PARE_OK;
}

static enum pare_status begin_set(struct reader *r, const char *name)
{
	if (r->p->n_sets == PARE_PROFILE_SETS)
		return pare_fail(r->err, PARE_E_FORMAT, "%s:%d: more than %d precisions", r->path,
			r->line, PARE_PROFILE_SETS);
	if (strlen(name) >= PARE_PROFILE_WORD)
		return pare_fail(
			r->err, PARE_E_FORMAT, "%s:%d: this name is too long", r->path, r->line);
	r->set = &r->p->sets[r->p->n_sets++];
	*r->set = (struct pare_profile_set){ .act_bytes = 4,
		.weight_bytes = 4,
		.times = 1,
		.error_model_out = (double)NAN,
		.error_family_out = (double)NAN,
		.band = (double)NAN,
		.power = (double)NAN,
		.power_band = 1 };
	strcpy(r->set->name, name);
	return PARE_OK;
}

/* "rate conv 12.5", "need ram peak 1.1": named coefficients. */
static enum pare_status coefficient_line(struct reader *r, const char *key, char *value)
{
	char *name = strtok_r(value, " \t", &value), *last = strtok_r(NULL, " \t", &value);
	double *at = NULL;

	if (!strcmp(key, "rate") && !r->set)
		return pare_fail(r->err, PARE_E_FORMAT, "%s:%d: a rate before any 'precision'",
			r->path, r->line);
	if (name && !strcmp(key, "rate"))
		at = coefficient(name, pare_profile_rate_names, PARE_N_RATES, r->set->rate);
	else if (name && !strcmp(key, "need-ram"))
		at = coefficient(name, pare_profile_need_names, PARE_N_NEEDS, r->p->need_ram.need);
	else if (name)
		at = coefficient(
			name, pare_profile_need_names, PARE_N_NEEDS, r->p->need_flash.need);
	if (!at || !last || strtok_r(NULL, " \t", &value))
		return pare_fail(r->err, PARE_E_FORMAT,
			"%s:%d: after '%s' a name (conv, 1x1, dw, group, fc, act, weight, layer, "
			"other, const; peak) and one number are expected",
			r->path, r->line, key);
	return number(r, last, at);
}

static enum pare_status key_line(struct reader *r, const char *key, char *value)
{
	if (!strcmp(key, "precision"))
		return begin_set(r, value);
	if (!strcmp(key, "rate") || !strcmp(key, "need-ram") || !strcmp(key, "need-flash"))
		return coefficient_line(r, key, value);
	for (int i = 0; i < N_KEYS; i++) {
		const struct key *k = &keys[i];

		if (strcmp(k->name, key))
			continue;
		if (k->place == IN_SET && !r->set)
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s:%d: '%s' before any 'precision'", r->path, r->line, key);
		if (k->value == NUMBER)
			return number(r, value, key_place(k, r->p, r->set));
		if (strlen(value) >= k->size)
			return pare_fail(r->err, PARE_E_FORMAT, "%s:%d: longer than %zu bytes",
				r->path, r->line, k->size - 1);
		strcpy(key_place(k, r->p, r->set), value);
		return PARE_OK;
	}
	return pare_fail(r->err, PARE_E_FORMAT, "%s:%d: '%s' is no word of a profile", r->path,
		r->line, key);
}

static enum pare_status read_line(struct reader *r, char *line)
{
	char *end = line + strlen(line), *value;

	while (end > line && strchr(" \t\r\n", end[-1]))
		*--end = 0;
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return PARE_OK;
	value = line + strcspn(line, " \t");
	if (*value)
		*value++ = 0;
	value += strspn(value, " \t");
	if (!*value)
		return pare_fail(
			r->err, PARE_E_FORMAT, "%s:%d: '%s' says nothing", r->path, r->line, line);
	return key_line(r, line, value);
}

static enum pare_status check(const struct reader *r)
{
	struct pare_profile *p = r->p;

	if (!p->n_sets)
		return pare_fail(
			r->err, PARE_E_FORMAT, "%s: there is no 'precision' in it", r->path);
	for (int i = 0; i < N_KEYS; i++)
		for (int s = 0; s < (keys[i].place == IN_SET ? p->n_sets : 1); s++)
			if (keys[i].must && !*(char *)key_place(&keys[i], p, &p->sets[s]))
				return pare_fail(r->err, PARE_E_FORMAT, "%s: '%s' is missing",
					r->path, keys[i].name);
	for (int s = 0; s < p->n_sets; s++) {
		double rate[PARE_N_RATES];

		if (!pare_profile_rates(p, &p->sets[s], rate))
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: precision %s is like '%s', which has no rates of its own",
				r->path, p->sets[s].name, p->sets[s].like);
		if (!(p->sets[s].band >= 1) || !(p->sets[s].power_band >= 1))
			return pare_fail(r->err, PARE_E_FORMAT,
				"%s: precision %s needs a 'band' (and with 'power' a "
				"'power-band'): a factor >= 1 within which 90 %% of what is "
				"measured lies",
				r->path, p->sets[s].name);
	}
	return PARE_OK;
}

enum pare_status pare_profile_read(const char *path, struct pare_profile *out, struct pare_err *err)
{
	struct pare_profile p = { 0 };
	struct reader r = { path, 1, &p, NULL, err };
	enum pare_status st = PARE_OK;
	char line[1024];
	FILE *f = fopen(path, "r");

	if (!f)
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	p.need_ram.error = p.need_flash.error = (double)NAN;
	if (!fgets(line, sizeof line, f) || strcmp(line, "pare-profile 1\n"))
		st = pare_fail(err, PARE_E_FORMAT,
			"%s: does not begin with the line 'pare-profile 1'", path);
	while (!st && fgets(line, sizeof line, f)) {
		r.line++;
		if (!strchr(line, '\n') && !feof(f))
			st = pare_fail(err, PARE_E_FORMAT, "%s:%d: longer than %zu bytes", path,
				r.line, sizeof line - 2);
		else
			st = read_line(&r, line);
	}
	if (!st && ferror(f))
		st = pare_fail(err, PARE_E_IO, "%s: cannot be read to its end", path);
	fclose(f);
	if (!st)
		st = check(&r);
	if (!st)
		*out = p;
	return st;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void write_keys(const struct pare_profile *p, const struct pare_profile_set *s, FILE *f)
{
	struct pare_profile_set empty = {
		.act_bytes = -1, .weight_bytes = -1, .times = 1, .power_band = 1
	};

	for (int i = 0; i < N_KEYS; i++) {
		const struct key *k = &keys[i];
		const char *at = s ? (const char *)s + k->offset : (const char *)p + k->offset;
		double v = 0;

		if ((k->place == IN_SET) != !!s)
			continue;
		if (k->value == TEXT) {
			if (*at)
				fprintf(f, "%-16s %s\n", k->name, at);
			continue;
		}
		memcpy(&v, at, sizeof v);
		if (isnan(v) || v == (s ? *(double *)key_place(k, NULL, &empty) : 0))
			continue;
		fprintf(f, v >= 1e4 ? "%-16s %.0f\n" : "%-16s %.4g\n", k->name, v);
	}
}

static void
write_coefficients(const char *key, const char *const *names, const double *v, int n, FILE *f)
{
	for (int i = 0; i < n; i++)
		if (v[i] > 0)
			fprintf(f, "%-16s %-7s %.4g\n", key, names[i], v[i]);
}

void pare_profile_write(const struct pare_profile *p, FILE *f)
{
	fputs("pare-profile 1\n", f);
	write_keys(p, NULL, f);
	write_coefficients("need-ram", pare_profile_need_names, p->need_ram.need, PARE_N_NEEDS, f);
	write_coefficients(
		"need-flash", pare_profile_need_names, p->need_flash.need, PARE_N_NEEDS, f);
	for (int i = 0; i < p->n_sets; i++) {
		fprintf(f, "\n%-16s %s\n", "precision", p->sets[i].name);
		write_keys(p, &p->sets[i], f);
		write_coefficients(
			"rate", pare_profile_rate_names, p->sets[i].rate, PARE_N_RATES, f);
	}
}

bool pare_profile_rates(
	const struct pare_profile *p, const struct pare_profile_set *s, double rate[PARE_N_RATES])
{
	const struct pare_profile_set *base = *s->like ? NULL : s;

	for (int i = 0; !base && i < p->n_sets; i++)
		if (!strcmp(p->sets[i].name, s->like) && !*p->sets[i].like)
			base = &p->sets[i];
	if (!base)
		return false;
	for (int i = 0; i < PARE_N_RATES; i++)
		rate[i] = base->rate[i] * s->times;
	/* the same bytes, counted in elements of another size */
	rate[PARE_RATE_ACT] *= s->act_bytes > 0 ? base->act_bytes / s->act_bytes : 1;
	rate[PARE_RATE_WEIGHT] *= s->weight_bytes > 0 ? base->weight_bytes / s->weight_bytes : 1;
	return true;
}
