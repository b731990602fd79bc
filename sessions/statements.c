/* Statements of recipes and commands beside those that turn dials. */
#include "statements.h"
#include <string.h>

enum pare_status pare_say_pare(struct pare_parser *p, struct pare_statement *s)
{
	if (pare_parse_accept(p, "1")) {
		s->number = 1;
		return PARE_OK;
	}
	if (pare_parse_more(p) && !p->completing)
		return pare_parse_wrong(
			p, "is a version of the language that this pare does not read: it reads 1");
	return pare_parse_unexpected(p);
}

enum pare_status pare_say_model(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = pare_parse_path(p, s);
	const struct pare_word *w;
	bool found;

	if (!st && pare_parse_more(p))
		st = pare_parse_sha(p, &s->sha256, &found);
	if (st || !pare_parse_more(p))
		return st;
	if (!s->sha256)
		pare_parse_accept(p, "sha256:…");
	if (!pare_parse_accept(p, "shape"))
		return pare_parse_unexpected(p);
	s->rest = p->word + p->at;
	do {
		if ((st = pare_parse_take(p, "NAME=1,3,224,224", &w)))
			return st;
		s->n_rest++;
	} while (pare_parse_more(p));
	return PARE_OK;
}

static enum pare_status take_bounds(struct pare_parser *p, struct pare_bounds *b)
{
	const struct pare_word *w;
	enum pare_status st = pare_parse_take(p, "bounds such as 0:256, 1000: or :256", &w);
	struct pare_bounds got = { -1, -1 };
	char *end;

	if (st)
		return st;
	end = (char *)(uintptr_t)w->text;
	if ((*end == ':' || pare_parse_whole(end, &end, &got.from)) && *end == ':' &&
		(!end[1] || (pare_parse_whole(end + 1, &end, &got.to) && !*end)) &&
		(got.to < 0 || got.from <= got.to)) {
		*b = got;
		return PARE_OK;
	}
	p->at--;
	return pare_parse_wrong(p, "is no range of samples: write 0:256, 1000: or :256");
}

enum pare_status pare_say_data(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = pare_parse_path(p, s);
	bool found;

	while (!st && pare_parse_more(p)) {
		if ((st = pare_parse_sha(p, &s->sha256, &found)) || found)
			continue;
		pare_parse_accept(p, "sha256:…");
		if (pare_parse_accept(p, "calibrate"))
			st = take_bounds(p, &s->bounds[PARE_CALIBRATE]);
		else if (pare_parse_accept(p, "evaluate"))
			st = take_bounds(p, &s->bounds[PARE_EVALUATE]);
		else
			st = pare_parse_unexpected(p);
	}
	return st;
}

enum pare_status pare_say_number(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = pare_parse_take(p, "a whole number", &w);
	int64_t v;
	char *end;

	if (st)
		return st;
	if (!pare_parse_whole(w->text, &end, &v) || *end) {
		p->at--;
		return pare_parse_wrong(p, "is no whole number");
	}
	s->number = (uint64_t)v;
	return PARE_OK;
}

enum pare_status pare_say_devices(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->rest = p->word + p->at;
	do {
		p->offers.devices = true;
		if ((st = pare_parse_take(p, "the name of a device", &w)))
			return st;
		s->n_rest++;
	} while (pare_parse_more(p));
	return PARE_OK;
}

/* "± 0.4", "±0.4" or "+- 0.4", if it is there. */
static enum pare_status take_tolerance(struct pare_parser *p, double *out)
{
	static const char *const signs[] = { "±", "+-" };
	const struct pare_word *w;
	enum pare_status st;
	const char *s = NULL;

	for (int i = 0; i < 2 && !s; i++)
		if (pare_parse_accept(p, signs[i])) {
			if ((st = pare_parse_take(p, "a number", &w)))
				return st;
			s = w->text;
		} else if (pare_parse_ready(p) &&
			   !strncmp(p->word[p->at].text, signs[i], strlen(signs[i]))) {
			s = p->word[p->at].text + strlen(signs[i]);
			pare_parse_advance(p);
		}
	if (!s || (pare_parse_real(s, "", out) && *out >= 0))
		return PARE_OK;
	p->at--;
	return pare_parse_wrong(p, "is no tolerance: write a number, as in ± 0.4");
}

static enum pare_status
take_promise(struct pare_parser *p, const struct pare_promise_row *row, struct pare_promised *out)
{
	const struct pare_word *w;
	enum pare_status st = pare_parse_take(p, "a number", &w);

	if (st)
		return st;
	if (!pare_parse_real(w->text, row->unit, &out->value) &&
		!pare_parse_real(w->text, "", &out->value)) {
		p->at--;
		return pare_parse_wrong(p, "is no figure for '%s'", row->name);
	}
	out->said = true;
	return pare_parse_more(p) ? take_tolerance(p, &out->tolerance) : PARE_OK;
}

enum pare_status pare_say_expect(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = PARE_OK;

	do {
		bool found = false;

		if ((st = pare_parse_sha(p, &s->sha256, &found)))
			return st;
		for (int i = 0; i < PARE_N_PROMISES && !found && !st; i++)
			if ((found = pare_parse_accept(p, pare_promise_rows[i].name)))
				st = take_promise(p, &pare_promise_rows[i], &s->promised[i]);
		pare_parse_accept(p, "sha256:…");
		if (!found && !st && (found = pare_parse_accept(p, "cpu")))
			if (!(st = pare_parse_take(p, "a kind of CPU", &w)))
				s->cpu = w->text;
		if (!found && !st)
			st = pare_parse_unexpected(p);
	} while (!st && pare_parse_more(p));
	return st;
}

enum pare_status pare_say_nothing(struct pare_parser *p, struct pare_statement *s)
{
	(void)p;
	(void)s;
	return PARE_OK;
}

enum pare_status pare_say_file(struct pare_parser *p, struct pare_statement *s)
{
	return pare_parse_path(p, s);
}

enum pare_status pare_say_export(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = pare_parse_path(p, s);
	const char *name;

	if (st || !pare_parse_accept(p, "format"))
		return st;
	for (int i = 0; (name = pare_method_name(PARE_FILE, i)); i++)
		if (pare_parse_accept(p, name)) {
			s->as = i;
			return PARE_OK;
		}
	return pare_parse_unexpected(p);
}

enum pare_status pare_say_map(struct pare_parser *p, struct pare_statement *s)
{
	if (pare_parse_accept(p, "resume")) {
		s->on = true;
		return PARE_OK;
	}
	return pare_parse_accept(p, "pause") ? PARE_OK : pare_parse_unexpected(p);
}

enum pare_status pare_say_word(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = pare_parse_take(p, "a name", &w);

	if (!st)
		s->text = w->text;
	return st;
}

enum pare_status pare_say_rest(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->rest = p->word + p->at;
	do {
		if ((st = pare_parse_take(p, "some words", &w)))
			return st;
		s->n_rest++;
	} while (pare_parse_more(p));
	return PARE_OK;
}
