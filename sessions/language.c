#include "words.h"
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A parser walks the words of one statement.  What it would accept where it stands it offers, one
 * by one: that is what an error tells of, and what completion completes. */
struct parser {
	const char *name; /* of the text, for errors; NULL = a command line */
	unsigned where;
	const struct pare_word *word;
	int n, at;
	struct pare_offers offers; /* at word `at` */
	bool completing;           /* the last word is the one to complete: nothing matches it */
	struct pare_err *err;
};

typedef enum pare_status parse_fn(struct parser *p, struct pare_statement *s);
static parse_fn parse_pare, parse_model, parse_data, parse_number, parse_set, parse_prune,
	parse_devices, parse_expect, parse_nothing, parse_file, parse_map, parse_word, parse_rest;

/* clang-format off */
const struct pare_statement_row pare_statement_rows[PARE_N_SAY] = {
	[PARE_SAY_PARE] = { "pare", "1", "the version of the language; a recipe's first line", PARE_IN_RECIPE },
	[PARE_SAY_MODEL] = { "model", "PATH [sha256:…]", "the network that the recipe is for", PARE_IN_RECIPE },
	[PARE_SAY_DATA] = { "data", "PATH [sha256:…] [calibrate A:B] [evaluate A:B]", "its samples", PARE_IN_RECIPE },
	[PARE_SAY_SEED] = { "seed", "N", "seed of what is random", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_SET] = { "set", "LAYERS [weights FORMAT] [per-tensor|per-channel] [activations FORMAT] [calibrate METHOD] [round METHOD]",
		"number formats of layers", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_PRUNE] = { "prune", "LAYERS channels|weights N%|to macs N% [by CRITERION] [repair METHOD]", "remove the least important channels, or set weights to zero",
		PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_DEVICE] = { "device", "NAME…", "the devices to look at", PARE_IN_RECIPE | PARE_IN_COMMAND },
	[PARE_SAY_EXPECT] = { "expect", "NAME VALUE [± X]… [sha256:…] [cpu KIND]", "what the recipe promises", PARE_IN_RECIPE },
	[PARE_SAY_UNDO] = { "undo", "", "back to the plan before", PARE_IN_COMMAND },
	[PARE_SAY_REDO] = { "redo", "", "forward to the plan that undo left", PARE_IN_COMMAND },
	[PARE_SAY_GO] = { "go", "N", "to the N-th of the plans tried", PARE_IN_COMMAND },
	[PARE_SAY_WRITE] = { "write", "FILE", "save the plan as a recipe", PARE_IN_COMMAND },
	[PARE_SAY_EXPORT] = { "export", "FILE", "write the compressed network as ONNX", PARE_IN_COMMAND },
	[PARE_SAY_MEASURE] = { "measure", "", "measure this plan now", PARE_IN_COMMAND },
	[PARE_SAY_MAP] = { "map", "pause|resume", "stop and go on with the work behind the map", PARE_IN_COMMAND },
	[PARE_SAY_VIEW] = { "view", "NAME", "show another view", PARE_IN_COMMAND },
	[PARE_SAY_NOTE] = { "note", "TEXT", "write something beside this plan", PARE_IN_COMMAND },
	[PARE_SAY_HELP] = { "help", "", "keys and commands", PARE_IN_COMMAND },
	[PARE_SAY_QUIT] = { "quit", "", "leave; everything is saved", PARE_IN_COMMAND },
};
static parse_fn *const parsers[PARE_N_SAY] = {
	[PARE_SAY_PARE] = parse_pare, [PARE_SAY_MODEL] = parse_model, [PARE_SAY_DATA] = parse_data,
	[PARE_SAY_SEED] = parse_number, [PARE_SAY_SET] = parse_set, [PARE_SAY_PRUNE] = parse_prune,
	[PARE_SAY_DEVICE] = parse_devices, [PARE_SAY_EXPECT] = parse_expect,
	[PARE_SAY_UNDO] = parse_nothing, [PARE_SAY_REDO] = parse_nothing, [PARE_SAY_GO] = parse_number, [PARE_SAY_WRITE] = parse_file,
	[PARE_SAY_EXPORT] = parse_file, [PARE_SAY_MEASURE] = parse_nothing, [PARE_SAY_MAP] = parse_map,
	[PARE_SAY_VIEW] = parse_word, [PARE_SAY_NOTE] = parse_rest, [PARE_SAY_HELP] = parse_nothing,
	[PARE_SAY_QUIT] = parse_nothing,
};

const struct pare_dial_word pare_dial_words[] = {
	{ PARE_SAY_SET, "weights", PARE_FOR_WEIGHTS, 0, offsetof(struct pare_dials, weights), NULL },
	{ PARE_SAY_SET, NULL, 0, PARE_GRANULARITY, offsetof(struct pare_dials, granularity), NULL },
	{ PARE_SAY_SET, "activations", PARE_FOR_ACTIVATIONS, 0, offsetof(struct pare_dials, activations), NULL },
	{ PARE_SAY_SET, "calibrate", 0, PARE_CALIBRATOR, offsetof(struct pare_dials, calibrator), NULL },
	{ PARE_SAY_SET, "round", 0, PARE_ROUNDING, offsetof(struct pare_dials, rounding), NULL },
	{ PARE_SAY_PRUNE, "by", 0, PARE_CHANNEL_CRITERION, offsetof(struct pare_dials, channel_criterion), "channels" },
	{ PARE_SAY_PRUNE, "repair", 0, PARE_REPAIR, offsetof(struct pare_dials, repair), "channels" },
	{ PARE_SAY_PRUNE, "by", 0, PARE_CRITERION, offsetof(struct pare_dials, criterion), "weights" },
	{ 0, NULL, 0, PARE_N_METHODS, 0, NULL },
};

const struct pare_promise_row pare_promise_rows[PARE_N_PROMISES] = {
	[PARE_PROMISE_ACCURACY] = { "accuracy", "%", 2 },
	[PARE_PROMISE_DROP] = { "drop", "", 2 },
	[PARE_PROMISE_BYTES] = { "bytes", "", 0 },
	[PARE_PROMISE_MACS] = { "macs", "", 0 },
};
/* clang-format on */

const char *pare_dial_value_name(const struct pare_dial_word *d, int value)
{
	if (!d->uses)
		return pare_method_name(d->family, value);
	for (int i = 0; pare_formats[i].name; i++)
		if (i == value)
			return pare_formats[i].uses & d->uses ? pare_formats[i].name : NULL;
	return NULL;
}

void pare_change_apply(const struct pare_change *c, struct pare_dials *d)
{
	for (int i = 0; pare_dial_words[i].family != PARE_N_METHODS; i++) {
		size_t at = pare_dial_words[i].at;

		if (c->named & 1u << i)
			*((uint8_t *)d + at) = *((const uint8_t *)&c->to + at);
	}
	if (c->named & 1u << PARE_CHANGE_CHANNELS)
		d->channels = c->to.channels;
	if (c->named & 1u << PARE_CHANGE_SPARSITY)
		d->sparsity = c->to.sparsity;
}

/* ---- what every statement is made of -----------------------------------------------------------
 */

static bool more(const struct parser *p)
{
	return p->at < p->n;
}

/* The word here may be matched: it is there, and is not the one still being typed. */
static bool ready(const struct parser *p)
{
	return more(p) && !(p->completing && p->at == p->n - 1);
}

static void advance(struct parser *p)
{
	p->at++;
	p->offers = (struct pare_offers){ 0 };
}

static bool accept(struct parser *p, const char *word)
{
	if (p->offers.n < (int)(sizeof p->offers.text / sizeof *p->offers.text))
		p->offers.text[p->offers.n++] = word;
	if (!ready(p) || strcmp(p->word[p->at].text, word))
		return false;
	advance(p);
	return true;
}

/* "'WORD' …" about the word here. */
__attribute__((format(printf, 2, 3))) static enum pare_status
wrong(struct parser *p, const char *fmt, ...)
{
	char shown[64], text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return pare_word_fail(p->err, PARE_E_FORMAT, p->name, &p->word[p->at], "'%s' %s",
		pare_word_show(p->word[p->at].text, shown), text);
}

/* "weights, activations or round" */
static void list_offers(const struct parser *p, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = 0;
	for (int i = 0; i < p->offers.n && n + 1 < len; i++) {
		const char *between = !i ? "" : i + 1 < p->offers.n ? ", " : " or ";

		n += (size_t)snprintf(buf + n, len - n, "%s%s", between, p->offers.text[i]);
	}
}

/* Nothing that was offered fits the word here, or there is no word. */
static enum pare_status unexpected(struct parser *p)
{
	const char *nearest;
	char known[240];

	list_offers(p, known, sizeof known);
	if (!more(p)) {
		struct pare_word end = p->word[p->n - 1];

		for (size_t i = 0; i < end.raw_len; i++)
			end.column += ((unsigned char)end.raw[i] & 0xC0) != 0x80;
		return pare_word_fail(
			p->err, PARE_E_FORMAT, p->name, &end, "more is needed here: %s", known);
	}
	if (!p->offers.n)
		return wrong(p, "is too much here");
	nearest = pare_word_nearest(p->word[p->at].text, p->offers.text, p->offers.n);
	if (nearest && p->offers.n > 1)
		return wrong(
			p, "is not known here; the nearest is '%s'; known: %s", nearest, known);
	return wrong(p, "is not known here; known: %s", known);
}

static enum pare_status missing(struct parser *p, const char *what)
{
	p->offers.n = 0;
	accept(p, what);
	return unexpected(p);
}

/* Any word at all. */
static enum pare_status take(struct parser *p, const char *what, const struct pare_word **out)
{
	*out = &p->word[more(p) ? p->at : p->n - 1];
	if (!more(p))
		return missing(p, what);
	if (ready(p))
		advance(p);
	else
		return PARE_E_FORMAT;
	return PARE_OK;
}

static enum pare_status take_path(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	p->offers.files = true;
	if ((st = take(p, "a file", &w)))
		return st;
	if (!*w->text)
		return pare_word_fail(p->err, PARE_E_FORMAT, p->name, w, "a file needs a name");
	s->text = w->text;
	return PARE_OK;
}

/* "sha256:" and 64 digits; leaves *out when the word is something else. */
static enum pare_status take_sha(struct parser *p, const char **out, bool *found)
{
	const char *s;

	*found = false;
	if (!ready(p) || strncmp(p->word[p->at].text, "sha256:", 7))
		return PARE_OK;
	s = p->word[p->at].text + 7;
	if (strlen(s) != PARE_SHA_HEX - 1 || strspn(s, "0123456789abcdef") != PARE_SHA_HEX - 1)
		return wrong(p, "is no SHA-256: that has 64 digits 0-9a-f");
	*out = s;
	*found = true;
	advance(p);
	return PARE_OK;
}

static bool whole(const char *s, char **end, int64_t *out)
{
	errno = 0;
	*end = (char *)(uintptr_t)s;
	if (*s < '0' || *s > '9')
		return false;
	*out = strtoll(s, end, 10);
	return !errno;
}

static bool real(const char *s, const char *unit, double *out)
{
	char *end;

	if ((*s < '0' || *s > '9') && *s != '-' && *s != '.')
		return false; /* no hex, no nan, no inf */
	*out = strtod(s, &end);
	return end > s && *out > -1e18 && *out < 1e18 && !strcmp(end, unit) && !strpbrk(s, "xX");
}

static enum pare_status take_layers(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->layers.words = p->word + p->at;
	do { /* `a, b` is one list */
		p->offers.layers = true;
		if ((st = take(
			     p, "LAYERS (names, numbers, conv_*, op=Conv, first, last or *)", &w)))
			return st;
		s->layers.n++;
	} while (w->raw[w->raw_len - 1] == ',' && more(p));
	return PARE_OK;
}

/* ---- the statements ----------------------------------------------------------------------------
 */

static enum pare_status parse_pare(struct parser *p, struct pare_statement *s)
{
	if (accept(p, "1")) {
		s->number = 1;
		return PARE_OK;
	}
	if (more(p) && !p->completing)
		return wrong(
			p, "is a version of the language that this pare does not read: it reads 1");
	return unexpected(p);
}

static enum pare_status parse_model(struct parser *p, struct pare_statement *s)
{
	enum pare_status st = take_path(p, s);
	bool found;

	if (!st && more(p)) {
		if (!(st = take_sha(p, &s->sha256, &found)) && !found) {
			accept(p, "sha256:…");
			st = unexpected(p);
		}
	}
	return st;
}

static enum pare_status take_bounds(struct parser *p, struct pare_bounds *b)
{
	const struct pare_word *w;
	enum pare_status st = take(p, "bounds such as 0:256, 1000: or :256", &w);
	struct pare_bounds got = { -1, -1 };
	char *end;

	if (st)
		return st;
	end = (char *)(uintptr_t)w->text;
	if ((*end == ':' || whole(end, &end, &got.from)) && *end == ':' &&
		(!end[1] || (whole(end + 1, &end, &got.to) && !*end)) &&
		(got.to < 0 || got.from <= got.to)) {
		*b = got;
		return PARE_OK;
	}
	p->at--;
	return wrong(p, "is no range of samples: write 0:256, 1000: or :256");
}

static enum pare_status parse_data(struct parser *p, struct pare_statement *s)
{
	enum pare_status st = take_path(p, s);
	bool found;

	while (!st && more(p)) {
		if ((st = take_sha(p, &s->sha256, &found)) || found)
			continue;
		accept(p, "sha256:…");
		if (accept(p, "calibrate"))
			st = take_bounds(p, &s->bounds[PARE_CALIBRATE]);
		else if (accept(p, "evaluate"))
			st = take_bounds(p, &s->bounds[PARE_EVALUATE]);
		else
			st = unexpected(p);
	}
	return st;
}

static enum pare_status parse_number(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = take(p, "a whole number", &w);
	int64_t v;
	char *end;

	if (st)
		return st;
	if (!whole(w->text, &end, &v) || *end) {
		p->at--;
		return wrong(p, "is no whole number");
	}
	s->number = (uint64_t)v;
	return PARE_OK;
}

/* A value of dial row `d`: the names that the engine has for it. */
static bool accept_value(struct parser *p, const struct pare_dial_word *d, uint8_t *out)
{
	for (int i = 0; i < UINT8_MAX; i++) {
		const char *name = pare_dial_value_name(d, i);

		if (name && accept(p, name)) {
			*out = (uint8_t)i;
			return true;
		}
		if (d->uses ? !pare_formats[i].name : !name)
			break;
	}
	return false;
}

/* One dial of `statement` and its value; false: the word here names none. */
static bool accept_dial(struct parser *p, enum pare_statement_kind statement, const char *of,
	struct pare_change *c, enum pare_status *st)
{
	for (int i = 0; pare_dial_words[i].family != PARE_N_METHODS; i++) {
		const struct pare_dial_word *d = &pare_dial_words[i];
		uint8_t *to = (uint8_t *)&c->to + d->at;

		if (d->statement != statement || c->named & 1u << i || (d->of && strcmp(d->of, of)))
			continue;
		if (!d->word ? accept_value(p, d, to) : accept(p, d->word)) {
			if (d->word && !accept_value(p, d, to))
				*st = unexpected(p);
			c->named |= 1u << i;
			return true;
		}
	}
	return false;
}

static enum pare_status parse_set(struct parser *p, struct pare_statement *s)
{
	enum pare_status st = take_layers(p, s);

	if (st)
		return st;
	do
		if (!accept_dial(p, PARE_SAY_SET, NULL, &s->change, &st))
			return unexpected(p);
	while (!st && more(p));
	return st;
}

static enum pare_status parse_prune(struct parser *p, struct pare_statement *s)
{
	enum pare_status st = take_layers(p, s);
	const struct pare_word *w;
	double percent;
	bool channels, budget = false;

	if (st)
		return st;
	channels = accept(p, "channels");
	if (!channels && !accept(p, "weights"))
		return unexpected(p);
	if (channels && p->where & PARE_IN_COMMAND && accept(p, "to")) {
		budget = true;
		if (!accept(p, "macs"))
			return unexpected(p);
	}
	if ((st = take(p, "a share such as 50%", &w)))
		return st;
	if (budget && real(w->text, "%", &percent) && percent > 0 && percent <= 100) {
		s->macs = percent / 100;
		s->change.named |= 1u << PARE_CHANGE_CHANNELS;
		while (!st && more(p))
			if (!accept_dial(p, PARE_SAY_PRUNE, "channels", &s->change, &st))
				return unexpected(p);
		return st;
	}
	if (budget || !real(w->text, "%", &percent) || percent < 0 || (float)(percent / 100) >= 1) {
		p->at--;
		return wrong(p, "is no share of the %s: write 0%% to 99%%",
			channels ? "channels" : "weights");
	}
	*(channels ? &s->change.to.channels : &s->change.to.sparsity) = (float)(percent / 100);
	s->change.named |= 1u << (channels ? PARE_CHANGE_CHANNELS : PARE_CHANGE_SPARSITY);
	while (!st && more(p))
		if (!accept_dial(
			    p, PARE_SAY_PRUNE, channels ? "channels" : "weights", &s->change, &st))
			return unexpected(p);
	return st;
}

static enum pare_status parse_devices(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->rest = p->word + p->at;
	do {
		p->offers.devices = true;
		if ((st = take(p, "the name of a device", &w)))
			return st;
		s->n_rest++;
	} while (more(p));
	return PARE_OK;
}

/* "± 0.4", "±0.4" or "+- 0.4", if it is there. */
static enum pare_status take_tolerance(struct parser *p, double *out)
{
	static const char *const signs[] = { "±", "+-" };
	const struct pare_word *w;
	enum pare_status st;
	const char *s = NULL;

	for (int i = 0; i < 2 && !s; i++)
		if (accept(p, signs[i])) {
			if ((st = take(p, "a number", &w)))
				return st;
			s = w->text;
		} else if (ready(p) && !strncmp(p->word[p->at].text, signs[i], strlen(signs[i]))) {
			s = p->word[p->at].text + strlen(signs[i]);
			advance(p);
		}
	if (!s || (real(s, "", out) && *out >= 0))
		return PARE_OK;
	p->at--;
	return wrong(p, "is no tolerance: write a number, as in ± 0.4");
}

static enum pare_status
take_promise(struct parser *p, const struct pare_promise_row *row, struct pare_promised *out)
{
	const struct pare_word *w;
	enum pare_status st = take(p, "a number", &w);

	if (st)
		return st;
	if (!real(w->text, row->unit, &out->value) && !real(w->text, "", &out->value)) {
		p->at--;
		return wrong(p, "is no figure for '%s'", row->name);
	}
	out->said = true;
	return more(p) ? take_tolerance(p, &out->tolerance) : PARE_OK;
}

static enum pare_status parse_expect(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = PARE_OK;

	do {
		bool found = false;

		if ((st = take_sha(p, &s->sha256, &found)))
			return st;
		for (int i = 0; i < PARE_N_PROMISES && !found && !st; i++)
			if ((found = accept(p, pare_promise_rows[i].name)))
				st = take_promise(p, &pare_promise_rows[i], &s->promised[i]);
		accept(p, "sha256:…");
		if (!found && !st && (found = accept(p, "cpu")))
			if (!(st = take(p, "a kind of CPU", &w)))
				s->cpu = w->text;
		if (!found && !st)
			st = unexpected(p);
	} while (!st && more(p));
	return st;
}

static enum pare_status parse_nothing(struct parser *p, struct pare_statement *s)
{
	(void)p;
	(void)s;
	return PARE_OK;
}

static enum pare_status parse_file(struct parser *p, struct pare_statement *s)
{
	return take_path(p, s);
}

static enum pare_status parse_map(struct parser *p, struct pare_statement *s)
{
	if (accept(p, "resume")) {
		s->on = true;
		return PARE_OK;
	}
	return accept(p, "pause") ? PARE_OK : unexpected(p);
}

static enum pare_status parse_word(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = take(p, "a name", &w);

	if (!st)
		s->text = w->text;
	return st;
}

static enum pare_status parse_rest(struct parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->rest = p->word + p->at;
	do {
		if ((st = take(p, "some words", &w)))
			return st;
		s->n_rest++;
	} while (more(p));
	return PARE_OK;
}

/* ---- a statement, a script ----------------------------------------------------------------------
 */

/* Which row the first word means; in commands the beginning of a name will do when it is the only
 * one (`:q`, `:w r.pare`). -1: none. */
static int find_row(struct parser *p)
{
	const char *s = p->word[0].text;
	int found = -1, n = 0;

	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			accept(p, pare_statement_rows[i].name))
			return i;
	if (!(p->where & PARE_IN_COMMAND) || !ready(p) || !*s)
		return -1;
	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			!strncmp(pare_statement_rows[i].name, s, strlen(s))) {
			found = i;
			n++;
		}
	if (n != 1)
		return -1;
	advance(p);
	return found;
}

static enum pare_status parse_statement(struct parser *p, struct pare_statement *out)
{
	struct pare_statement s = {
		.word = p->word, .text = "", .bounds = { { -1, -1 }, { -1, -1 } }
	};
	int row = find_row(p);
	enum pare_status st;

	if (row < 0) {
		for (int i = 0; i < PARE_N_SAY && ready(p); i++)
			if (!strcmp(pare_statement_rows[i].name, p->word[0].text))
				return p->where & PARE_IN_RECIPE
					       ? wrong(p, "is a command; it has no place in a "
							  "recipe")
					       : wrong(p, "belongs in a recipe; a workbench keeps "
							  "the model "
							  "and the data it was opened with");
		return unexpected(p);
	}
	s.kind = (enum pare_statement_kind)row;
	st = parsers[row](p, &s);
	if (!st && more(p))
		st = unexpected(p);
	if (!st)
		*out = s;
	return st;
}

enum pare_status pare_script_parse(const char *text, size_t len, const char *name, unsigned where,
	struct pare_script *out, struct pare_err *err)
{
	struct pare_script s = { .text = malloc(len + 1) };
	enum pare_status st = s.text ? PARE_OK : pare_nomem(err, "a text");
	int n_words = 0;

	if (!st) {
		memcpy(s.text, text, len);
		s.text[len] = 0;
		st = pare_words_split(
			s.text, len, name, false, &s.words, &n_words, &s.unquoted, err);
	}
	if (!st && !(s.statements = calloc((size_t)n_words + 1, sizeof *s.statements)))
		st = pare_nomem(err, "the statements of a text");
	for (int i = 0, n; !st && i < n_words; i += n) {
		struct parser p = { .name = name, .where = where, .word = s.words + i, .err = err };

		for (n = 1; i + n < n_words && s.words[i + n].line == s.words[i].line;)
			n++;
		p.n = n;
		if (!(st = parse_statement(&p, &s.statements[s.n])))
			s.n++;
	}
	if (st) {
		pare_script_free(&s);
		return st;
	}
	*out = s;
	return PARE_OK;
}

void pare_script_free(struct pare_script *s)
{
	free(s->statements);
	free(s->words);
	free(s->text);
	free(s->unquoted);
	*s = (struct pare_script){ 0 };
}

bool pare_statement_offers(
	const struct pare_word *words, int n, unsigned where, struct pare_offers *out)
{
	struct parser p = { .where = where, .word = words, .n = n, .completing = true };
	struct pare_statement s;

	if (!parse_statement(&p, &s) || p.at != n - 1)
		return false;
	*out = p.offers;
	return true;
}
