/* Walking the words of a statement. */
#include "parser.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pare_parse_more(const struct pare_parser *p)
{
	return p->at < p->n;
}

bool pare_parse_ready(const struct pare_parser *p)
{
	return pare_parse_more(p) && !(p->completing && p->at == p->n - 1);
}

void pare_parse_advance(struct pare_parser *p)
{
	p->at++;
	p->offers = (struct pare_offers){ 0 };
}

void pare_parse_offer(struct pare_parser *p, const char *word)
{
	if (p->offers.n < (int)(sizeof p->offers.text / sizeof *p->offers.text))
		p->offers.text[p->offers.n++] = word;
}

/* How many words from here on spell `name`; 0: they do not. */
static int spells(const struct pare_parser *p, const char *name)
{
	for (int n = 1, at = p->at; at < p->n - p->completing; n++, at++) {
		size_t len = strcspn(name, " ");

		if (strlen(p->word[at].text) != len || strncmp(p->word[at].text, name, len))
			break;
		if (!name[len])
			return n;
		name += len + 1;
	}
	return 0;
}

bool pare_parse_accept(struct pare_parser *p, const char *name)
{
	int n = spells(p, name);

	pare_parse_offer(p, name);
	if (!n)
		return false;
	p->at += n - 1;
	pare_parse_advance(p);
	return true;
}

const char *pare_parse_half(const struct pare_parser *p, const char *name)
{
	size_t len = strcspn(name, " ");

	if (!name[len] || !pare_parse_ready(p) || strlen(p->word[p->at].text) != len ||
		strncmp(p->word[p->at].text, name, len))
		return NULL;
	return name + len + 1;
}

enum pare_status pare_parse_wrong(struct pare_parser *p, const char *fmt, ...)
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
static void list_offers(const struct pare_parser *p, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = 0;
	for (int i = 0; i < p->offers.n && n + 1 < len; i++) {
		const char *between = !i ? "" : i + 1 < p->offers.n ? ", " : " or ";

		n += (size_t)snprintf(buf + n, len - n, "%s%s", between, p->offers.text[i]);
	}
}

enum pare_status pare_parse_unexpected(struct pare_parser *p)
{
	const char *nearest;
	char known[240];

	list_offers(p, known, sizeof known);
	if (!pare_parse_more(p)) {
		struct pare_word end = p->word[p->n - 1];

		for (size_t i = 0; i < end.raw_len; i++)
			end.column += ((unsigned char)end.raw[i] & 0xC0) != 0x80;
		return pare_word_fail(
			p->err, PARE_E_FORMAT, p->name, &end, "more is needed here: %s", known);
	}
	if (!p->offers.n)
		return pare_parse_wrong(p, "is too much here");
	nearest = pare_word_nearest(p->word[p->at].text, p->offers.text, p->offers.n);
	if (nearest && p->offers.n > 1)
		return pare_parse_wrong(
			p, "is not known here; the nearest is '%s'; known: %s", nearest, known);
	return pare_parse_wrong(p, "is not known here; known: %s", known);
}

static enum pare_status missing(struct pare_parser *p, const char *what)
{
	p->offers.n = 0;
	pare_parse_accept(p, what);
	return pare_parse_unexpected(p);
}

enum pare_status
pare_parse_take(struct pare_parser *p, const char *what, const struct pare_word **out)
{
	*out = &p->word[pare_parse_more(p) ? p->at : p->n - 1];
	if (!pare_parse_more(p))
		return missing(p, what);
	if (pare_parse_ready(p))
		pare_parse_advance(p);
	else
		return PARE_E_FORMAT;
	return PARE_OK;
}

enum pare_status pare_parse_path(struct pare_parser *p, struct pare_statement *s)
{
	const struct pare_word *w;
	enum pare_status st;

	p->offers.files = true;
	if ((st = pare_parse_take(p, "a file", &w)))
		return st;
	if (!*w->text)
		return pare_word_fail(p->err, PARE_E_FORMAT, p->name, w, "a file needs a name");
	s->text = w->text;
	return PARE_OK;
}

enum pare_status pare_parse_sha(struct pare_parser *p, const char **out, bool *found)
{
	const char *s;

	*found = false;
	if (!pare_parse_ready(p) || strncmp(p->word[p->at].text, "sha256:", 7))
		return PARE_OK;
	s = p->word[p->at].text + 7;
	if (strlen(s) != PARE_SHA_HEX - 1 || strspn(s, "0123456789abcdef") != PARE_SHA_HEX - 1)
		return pare_parse_wrong(p, "is no SHA-256: that has 64 digits 0-9a-f");
	*out = s;
	*found = true;
	pare_parse_advance(p);
	return PARE_OK;
}

bool pare_parse_whole(const char *s, char **end, int64_t *out)
{
	errno = 0;
	*end = (char *)(uintptr_t)s;
	if (*s < '0' || *s > '9')
		return false;
	*out = strtoll(s, end, 10);
	return !errno;
}

bool pare_parse_real(const char *s, const char *unit, double *out)
{
	char *end;

	if ((*s < '0' || *s > '9') && *s != '-' && *s != '.')
		return false; /* no hex, no nan, no inf */
	*out = strtod(s, &end);
	return end > s && *out > -1e18 && *out < 1e18 && !strcmp(end, unit) && !strpbrk(s, "xX");
}
