/* From text to statements. */
#include "parser.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum pare_status parse_fn(struct pare_parser *p, struct pare_statement *s);
static parse_fn parse_pare, parse_model, parse_data, parse_number, parse_set, parse_prune,
	parse_exit, parse_step, parse_devices, parse_expect, parse_nothing, parse_file,
	parse_export, parse_map, parse_word, parse_rest;

/* clang-format off */
static parse_fn *const parsers[PARE_N_SAY] = {
	[PARE_SAY_PARE] = parse_pare, [PARE_SAY_MODEL] = parse_model, [PARE_SAY_DATA] = parse_data,
	[PARE_SAY_SEED] = parse_number, [PARE_SAY_SET] = parse_set, [PARE_SAY_PRUNE] = parse_prune,
	[PARE_SAY_EXIT] = parse_exit, [PARE_SAY_STEP] = parse_step,
	[PARE_SAY_DEVICE] = parse_devices, [PARE_SAY_EXPECT] = parse_expect,
	[PARE_SAY_UNDO] = parse_nothing, [PARE_SAY_REDO] = parse_nothing, [PARE_SAY_GO] = parse_number, [PARE_SAY_WRITE] = parse_file,
	[PARE_SAY_EXPORT] = parse_export, [PARE_SAY_MEASURE] = parse_nothing, [PARE_SAY_STOP] = parse_nothing, [PARE_SAY_MAP] = parse_map,
	[PARE_SAY_VIEW] = parse_word, [PARE_SAY_NOTE] = parse_rest, [PARE_SAY_HELP] = parse_nothing,
	[PARE_SAY_QUIT] = parse_nothing,
};
/* clang-format on */

static enum pare_status take_layers(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	s->layers.words = p->word + p->at;
	do { /* `a, b` is one list */
		p->offers.layers = true;
		if ((st = pare_parse_take(
			     p, "LAYERS (names, numbers, conv_*, op=Conv, first, last or *)", &w)))
			return st;
		s->layers.n++;
	} while (w->raw[w->raw_len - 1] == ',' && pare_parse_more(p));
	return PARE_OK;
}

/* ---- the statements ----------------------------------------------------------------------------
 */

static enum pare_status parse_pare(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_model(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_data(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_number(struct pare_parser *p, struct pare_statement *s)
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

static int n_values(const struct pare_dial_word *d)
{
	int n = 0;

	while (d->uses ? pare_formats[n].name != NULL : pare_dial_value_name(d, n) != NULL)
		n++;
	return n;
}

/* The first of two words stands here: what may follow it. */
static bool offer_halves(struct pare_parser *p, const struct pare_dial_word *d)
{
	const char *name, *half;
	bool any = false;

	for (int i = 0; i < n_values(d); i++) {
		if (!(name = pare_dial_value_name(d, i)) || !(half = pare_parse_half(p, name)))
			continue;
		if (!any)
			p->offers.n = 0;
		any = true;
		pare_parse_offer(p, half);
	}
	p->at += any;
	return any;
}

/* A value of dial row `d`: the names that the engine has for it. */
static bool accept_value(
	struct pare_parser *p, const struct pare_dial_word *d, uint8_t *out, enum pare_status *st)
{
	for (int i = 0; i < n_values(d); i++) {
		const char *name = pare_dial_value_name(d, i);

		if (name && pare_parse_accept(p, name)) {
			*out = (uint8_t)i;
			return true;
		}
	}
	if (!offer_halves(p, d))
		return false;
	*st = pare_parse_unexpected(p);
	return true;
}

/* One dial of `statement` and its value; false: the word here names none. */
static bool accept_dial(struct pare_parser *p, enum pare_statement_kind statement, const char *of,
	struct pare_change *c, enum pare_status *st)
{
	for (int i = 0; pare_dial_words[i].family != PARE_N_METHODS; i++) {
		const struct pare_dial_word *d = &pare_dial_words[i];
		uint8_t *to = (uint8_t *)&c->to + d->at;

		if (d->statement != statement || c->named & 1u << i || (d->of && strcmp(d->of, of)))
			continue;
		if (!d->word ? accept_value(p, d, to, st) : pare_parse_accept(p, d->word)) {
			if (d->word && !accept_value(p, d, to, st))
				*st = pare_parse_unexpected(p);
			c->named |= 1u << i;
			return true;
		}
	}
	return false;
}

static enum pare_status parse_set(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = take_layers(p, s);

	if (st)
		return st;
	do
		if (!accept_dial(p, PARE_SAY_SET, NULL, &s->change, &st))
			return pare_parse_unexpected(p);
	while (!st && pare_parse_more(p));
	return st;
}

/* 2:4 takes half and nothing else. */
static enum pare_status
check_pattern(struct pare_parser *p, const struct pare_word *share, const struct pare_dials *to)
{
	float own = pare_pattern_share(to->pattern);

	if (!(own > 0) || own == to->sparsity)
		return PARE_OK;
	p->at = (int)(share - p->word);
	return pare_parse_wrong(p, "does not go with pattern %s, which takes %g%%",
		pare_method_name(PARE_PATTERN, to->pattern), 100 * (double)own);
}

/* Words behind the share; k: row of pare_prune_words. */
static enum pare_status
prune_dials(struct pare_parser *p, int k, struct pare_statement *s, bool budget)
{
	const struct pare_word *w;
	enum pare_status st = PARE_OK;
	bool channels = k == PARE_PRUNE_CHANNELS;
	double n;

	while (!st && pare_parse_more(p)) {
		if (channels && !s->multiple && pare_parse_accept(p, "multiple")) {
			if ((st = pare_parse_take(p, "a number of channels such as 8", &w)))
				return st;
			if (!pare_parse_real(w->text, "", &n) || n < 1 || n > 1024 ||
				n != floor(n)) {
				p->at--;
				return pare_parse_wrong(p, "is no number from 1 to 1024");
			}
			s->multiple = (int)n;
		} else if (budget && pare_goal_unit(s->goal) && !s->device &&
			   pare_parse_accept(p, "on")) {
			p->offers.devices = true;
			if ((st = pare_parse_take(p, "the name of a device", &w)))
				return st;
			s->device = w->text;
		} else if (!accept_dial(p, PARE_SAY_PRUNE, pare_prune_words[k].of, &s->change, &st))
			return pare_parse_unexpected(p);
	}
	return st;
}

/* channels to macs|bytes|latency N%, or latency 12 ms */
static enum pare_status parse_budget(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	const char *name, *unit;
	enum pare_status st;
	double v = 0;
	int i = 0;

	while ((name = pare_method_name(PARE_GOAL, i)) && !pare_parse_accept(p, name))
		i++;
	if (!name)
		return pare_parse_unexpected(p);
	s->goal = i;
	unit = pare_goal_unit(i);
	if ((st = pare_parse_take(
		     p, unit ? "a share such as 50%, or a time" : "a share such as 50%", &w)))
		return st;
	if (pare_parse_real(w->text, "%", &v) && v > 0 && v <= 100)
		s->left = v / 100;
	else if (unit && v >= 0 &&
		 (pare_parse_real(w->text, unit, &v) ||
			 (pare_parse_real(w->text, "", &v) && pare_parse_accept(p, unit))) &&
		 v > 0)
		s->most = v;
	else {
		p->at--;
		return pare_parse_wrong(
			p, unit ? "is no share of what there is, and no time: write 1%% to 100%%, "
				  "or 12 ms"
				: "is no share of what there is: write 1%% to 100%%");
	}
	s->change.named |= 1u << PARE_CHANGE_CHANNELS;
	st = prune_dials(p, PARE_PRUNE_CHANNELS, s, true);
	if (!st && unit && !s->device) {
		p->offers.n = 0;
		pare_parse_accept(p, "on");
		return pare_parse_unexpected(p);
	}
	return st;
}

static enum pare_status parse_prune(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = take_layers(p, s);
	const struct pare_word *w;
	const struct pare_prune_word *what;
	double percent;
	bool spread = false;
	float share;
	int k = 0;

	if (st)
		return st;
	while (k < PARE_N_PRUNE && !pare_parse_accept(p, pare_prune_words[k].of))
		k++;
	if (k == PARE_N_PRUNE)
		return pare_parse_unexpected(p);
	what = &pare_prune_words[k];
	if (k == PARE_PRUNE_CHANNELS && pare_parse_accept(p, "to"))
		return parse_budget(p, s);
	if (k != PARE_PRUNE_CHANNELS)
		spread = pare_parse_accept(p, "spread");
	if ((st = pare_parse_take(p, "a share such as 50%", &w)))
		return st;
	if (!pare_parse_real(w->text, "%", &percent) || percent < 0 ||
		(float)(percent / 100) >= 1) {
		p->at--;
		return pare_parse_wrong(p, "is no %s: write 0%% to 99%%", what->share);
	}
	share = (float)(percent / 100);
	memcpy((char *)&s->change.to + what->at, &share, sizeof share);
	s->change.named |= 1u << what->named;
	st = prune_dials(p, k, s, false);
	if (spread && !st && pare_pattern_share(s->change.to.pattern) > 0) {
		p->at = (int)(w - p->word);
		return pare_parse_wrong(p,
			"does not go with pattern %s, which takes the same from every layer",
			pare_method_name(PARE_PATTERN, s->change.to.pattern));
	}
	if (spread && !st) { /* each layer's own share is found when it is carried out */
		s->spread = percent / 100;
		memset((char *)&s->change.to + what->at, 0, sizeof share);
		return PARE_OK;
	}
	return st ? st : check_pattern(p, w, &s->change.to);
}

static enum pare_status parse_exit(struct pare_parser *p, struct pare_statement *s)
{
	enum pare_status st = take_layers(p, s);
	const struct pare_word *w;
	double t;

	if (st)
		return st;
	s->change.named |= 1u << PARE_CHANGE_EXIT;
	s->change.to.exit = PARE_EXIT_AUTO;
	if (!pare_parse_more(p))
		return PARE_OK;
	if (pare_parse_accept(p, "none")) {
		s->change.to.exit = 0;
		return PARE_OK;
	}
	if (!pare_parse_accept(p, "threshold"))
		return pare_parse_unexpected(p);
	if ((st = pare_parse_take(p, "a confidence such as 0.9", &w)))
		return st;
	if (!pare_parse_real(w->text, "", &t) || !((float)t > 0 && t <= 1)) {
		p->at--;
		return pare_parse_wrong(
			p, "is no confidence: write a number above 0 and at most 1");
	}
	s->change.to.exit = (float)t;
	return PARE_OK;
}

static enum pare_status parse_step(struct pare_parser *p, struct pare_statement *s)
{
	if (pare_parse_accept(p, "none"))
		return PARE_OK;
	do {
		const char *name;
		int i = 0;

		for (; (name = pare_method_name(PARE_STEP, i)); i++)
			if (!(s->steps >> i & 1) && pare_parse_accept(p, name))
				break;
		if (!name)
			return pare_parse_unexpected(p);
		s->steps |= 1u << i;
	} while (pare_parse_more(p));
	return PARE_OK;
}

static enum pare_status parse_devices(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_expect(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_nothing(struct pare_parser *p, struct pare_statement *s)
{
	(void)p;
	(void)s;
	return PARE_OK;
}

static enum pare_status parse_file(struct pare_parser *p, struct pare_statement *s)
{
	return pare_parse_path(p, s);
}

static enum pare_status parse_export(struct pare_parser *p, struct pare_statement *s)
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

static enum pare_status parse_map(struct pare_parser *p, struct pare_statement *s)
{
	if (pare_parse_accept(p, "resume")) {
		s->on = true;
		return PARE_OK;
	}
	return pare_parse_accept(p, "pause") ? PARE_OK : pare_parse_unexpected(p);
}

static enum pare_status parse_word(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st = pare_parse_take(p, "a name", &w);

	if (!st)
		s->text = w->text;
	return st;
}

static enum pare_status parse_rest(struct pare_parser *p, struct pare_statement *s)
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

/* ---- a statement, a script ----------------------------------------------------------------------
 */

/* Which row the first word means; in commands the beginning of a name will do when it is the only
 * one (`:q`, `:w r.pare`). -1: none. */
static int find_row(struct pare_parser *p)
{
	const char *s = p->word[0].text;
	int found = -1, n = 0;

	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			pare_parse_accept(p, pare_statement_rows[i].name))
			return i;
	if (!(p->where & PARE_IN_COMMAND) || !pare_parse_ready(p) || !*s)
		return -1;
	for (int i = 0; i < PARE_N_SAY; i++)
		if (pare_statement_rows[i].where & p->where &&
			!strncmp(pare_statement_rows[i].name, s, strlen(s))) {
			found = i;
			n++;
		}
	if (n != 1)
		return -1;
	pare_parse_advance(p);
	return found;
}

static enum pare_status parse_statement(struct pare_parser *p, struct pare_statement *out)
{
	struct pare_statement s = {
		.word = p->word, .text = "", .bounds = { { -1, -1 }, { -1, -1 } }
	};
	int row = find_row(p);
	enum pare_status st;

	if (row < 0) {
		for (int i = 0; i < PARE_N_SAY && pare_parse_ready(p); i++)
			if (!strcmp(pare_statement_rows[i].name, p->word[0].text))
				return p->where & PARE_IN_RECIPE
					       ? pare_parse_wrong(p,
							 "is a command; it has no place in a "
							 "recipe")
					       : pare_parse_wrong(p,
							 "belongs in a recipe; a workbench keeps "
							 "the model "
							 "and the data it was opened with");
		return pare_parse_unexpected(p);
	}
	s.kind = (enum pare_statement_kind)row;
	st = parsers[row](p, &s);
	if (!st && pare_parse_more(p))
		st = pare_parse_unexpected(p);
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
		struct pare_parser p = {
			.name = name, .where = where, .word = s.words + i, .err = err
		};

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
	struct pare_parser p = { .where = where, .word = words, .n = n, .completing = true };
	struct pare_statement s;

	if (!parse_statement(&p, &s) || p.at != n - 1)
		return false;
	*out = p.offers;
	return true;
}
