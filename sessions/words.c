#include "words.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum pare_status pare_word_fail(struct pare_err *err, enum pare_status code, const char *name,
	const struct pare_word *at, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (name)
		return pare_fail(
			err, code, "%s line %d, column %d: %s", name, at->line, at->column, text);
	return pare_fail(err, code, "column %d: %s", at->column, text);
}

const char *pare_word_show(const char *text, char buf[64])
{
	size_t n = 0;

	for (; text[n] && n < 60; n++)
		buf[n] = iscntrl((unsigned char)text[n]) ? '?' : text[n];
	while (text[n] && n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--; /* never in the middle of a character */
	strcpy(buf + n, text[n] ? "…" : "");
	return buf;
}

int pare_word_distance(const char *a, const char *b)
{
	enum { MAX = 48 }; /* longer words are compared by their beginnings */
	int d[3][MAX + 1];
	size_t na = strnlen(a, MAX), nb = strnlen(b, MAX);
	int *two = d[0], *one = d[1], *now = d[2];

	for (size_t j = 0; j <= nb; j++)
		one[j] = (int)j;
	for (size_t i = 1; i <= na; i++) {
		int ca = tolower((unsigned char)a[i - 1]), *free_row = two;

		now[0] = (int)i;
		for (size_t j = 1; j <= nb; j++) {
			int cb = tolower((unsigned char)b[j - 1]);
			int best = one[j - 1] + (ca != cb);

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
				cb == tolower((unsigned char)a[i - 2]) && two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
		two = one;
		one = now;
		now = free_row;
	}
	return one[nb];
}

const char *pare_word_nearest(const char *word, const char *const *known, int n)
{
	int best = (int)strlen(word) / 2 + 1; /* further off it is no slip of the fingers */
	const char *found = NULL;

	for (int i = 0; i < n; i++) {
		int d = pare_word_distance(word, known[i]);

		if (d < best) {
			best = d;
			found = known[i];
		}
	}
	return found;
}

/* ---- splitting ---------------------------------------------------------------------------------
 */

struct splitter {
	const char *text, *name;
	size_t len, at;
	int line, column;
	bool lenient;
	char *to; /* where unquoted text grows */
	struct pare_word *words;
	int n, cap;
	struct pare_err *err;
};

static char step(struct splitter *s)
{
	char c = s->text[s->at++];

	if (c == '\n') {
		s->line++;
		s->column = 1;
	} else if (((unsigned char)c & 0xC0) != 0x80)
		s->column++;
	return c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* From behind the opening quote to behind the closing one. */
static enum pare_status quoted(struct splitter *s, const struct pare_word *w)
{
	while (s->at < s->len && s->text[s->at] != '\n') {
		char c = step(s);

		if (c == '"')
			return PARE_OK;
		if (c == '\\' && s->at < s->len && s->text[s->at] != '\n')
			c = unescape(step(s));
		*s->to++ = c;
	}
	if (s->lenient)
		return PARE_OK;
	return pare_word_fail(
		s->err, PARE_E_FORMAT, s->name, w, "the quote that begins here is not closed");
}

static enum pare_status word(struct splitter *s)
{
	struct pare_word w = { .text = s->to, .line = s->line, .column = s->column };
	size_t from = s->at;
	enum pare_status st;

	while (s->at < s->len && !is_blank(s->text[s->at])) {
		char c = step(s);

		if (!c)
			return pare_word_fail(
				s->err, PARE_E_FORMAT, s->name, &w, "this is not text");
		if (c != '"')
			*s->to++ = c;
		else if ((st = quoted(s, &w)))
			return st;
	}
	*s->to++ = 0;
	w.raw = s->text + from;
	w.raw_len = s->at - from;
	if (s->n == s->cap) {
		int cap = s->cap * 2 + 16;
		struct pare_word *p = realloc(s->words, (size_t)cap * sizeof *p);

		if (!p)
			return pare_nomem(s->err, "the words of a text");
		s->words = p;
		s->cap = cap;
	}
	s->words[s->n++] = w;
	return PARE_OK;
}

enum pare_status pare_words_split(const char *text, size_t len, const char *name, bool lenient,
	struct pare_word **words, int *n, char **unquoted, struct pare_err *err)
{
	struct splitter s = { .text = text, .name = name, .len = len, .line = 1, .column = 1 };
	char *room = malloc(2 * len + 2); /* a word takes its bytes and an end */
	enum pare_status st = room ? PARE_OK : pare_nomem(err, "the words of a text");

	s.lenient = lenient;
	s.to = room;
	s.err = err;
	while (!st && s.at < len) {
		if (is_blank(text[s.at]))
			step(&s);
		else if (text[s.at] == '#')
			while (s.at < len && text[s.at] != '\n')
				step(&s);
		else
			st = word(&s);
	}
	if (st) {
		free(s.words);
		free(room);
		return st;
	}
	*words = s.words;
	*n = s.n;
	*unquoted = room;
	return PARE_OK;
}

char *pare_word_quote(const char *name)
{
	size_t n = strlen(name);
	char *out = malloc(2 * n + 3), *p = out;
	bool plain = *name && *name != '#' && strncmp(name, "op=", 3);

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++)
		plain &= !is_blank(name[i]) && !strchr("\"\\,*?", name[i]);
	if (plain)
		return strcpy(out, name);
	*p++ = '"';
	for (; *name; name++) {
		if (strchr("\"\\\n\t\r", *name))
			*p++ = '\\';
		*p++ = *name == '\n' ? 'n' : *name == '\t' ? 't' : *name == '\r' ? 'r' : *name;
	}
	*p++ = '"';
	*p = 0;
	return out;
}

bool pare_words_add(struct pare_words *w, const char *text)
{
	char *copy = strdup(text);

	if (copy && w->n == w->cap) {
		int cap = w->cap * 2 + 16;
		char **p = realloc(w->text, (size_t)cap * sizeof *p);

		if (p) {
			w->text = p;
			w->cap = cap;
		}
	}
	if (!copy || w->n == w->cap) {
		free(copy);
		return false;
	}
	w->text[w->n++] = copy;
	return true;
}

void pare_words_free(struct pare_words *w)
{
	for (int i = 0; i < w->n; i++)
		free(w->text[i]);
	free(w->text);
	*w = (struct pare_words){ 0 };
}
