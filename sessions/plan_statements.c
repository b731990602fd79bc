/* Statements that turn the dials of a plan. */
#include "statements.h"
#include <math.h>
#include <string.h>

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

enum pare_status pare_say_set(struct pare_parser *p, struct pare_statement *s)
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

/* block: it goes, or, with the name of another choice, does not */
static enum pare_status parse_block(struct pare_parser *p, struct pare_statement *s)
{
	const char *name;
	int to = 1;

	for (int i = 0; (name = pare_method_name(PARE_BLOCK, i)); i++)
		if (pare_parse_accept(p, name)) {
			to = i;
			break;
		}
	s->change.to.block = (uint8_t)to;
	s->change.named |= 1u << PARE_CHANGE_BLOCK;
	return to ? prune_dials(p, PARE_PRUNE_BLOCK, s, false) : PARE_OK;
}

enum pare_status pare_say_prune(struct pare_parser *p, struct pare_statement *s)
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
	if (!what->share)
		return parse_block(p, s);
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

enum pare_status pare_say_exit(struct pare_parser *p, struct pare_statement *s)
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

enum pare_status pare_say_step(struct pare_parser *p, struct pare_statement *s)
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
