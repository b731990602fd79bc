#include "grid.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct grid *grid_new(int h, int w)
{
	struct grid *g;

	if (h < 1 || w < 1 || h > 1000 || w > 1000)
		return NULL;
	g = calloc(1, sizeof *g);
	if (!g)
		return NULL;
	g->cell = calloc((size_t)h * (size_t)w, sizeof *g->cell);
	if (!g->cell) {
		free(g);
		return NULL;
	}
	g->h = h;
	g->w = w;
	grid_clear(g);
	return g;
}

void grid_free(struct grid *g)
{
	if (!g)
		return;
	free(g->cell);
	free(g);
}

void grid_clear(struct grid *g)
{
	grid_fill(g, (struct rect){ 0, 0, g->h, g->w }, ' ', ST_TEXT);
	g->cur_y = -1;
}

static struct cell *at(struct grid *g, int y, int x)
{
	return y < 0 || x < 0 || y >= g->h || x >= g->w ? NULL : &g->cell[y * g->w + x];
}

void grid_set(struct grid *g, int y, int x, uint32_t ch, unsigned style)
{
	struct cell *c = at(g, y, x), *left = at(g, y, x - 1);

	if (!c)
		return;
	if (!c->ch && ch && left) /* half a wide character is none */
		left->ch = ' ';
	c->ch = ch;
	c->style = (uint8_t)style;
}

void grid_fill(struct grid *g, struct rect r, uint32_t ch, unsigned style)
{
	for (int y = r.y < 0 ? 0 : r.y; y < r.y + r.h && y < g->h; y++)
		for (int x = r.x < 0 ? 0 : r.x; x < r.x + r.w && x < g->w; x++)
			g->cell[y * g->w + x] = (struct cell){ ch, (uint8_t)style };
}

void grid_light(struct grid *g, struct rect r)
{
	for (int y = r.y < 0 ? 0 : r.y; y < r.y + r.h && y < g->h; y++)
		for (int x = r.x < 0 ? 0 : r.x; x < r.x + r.w && x < g->w; x++)
			g->cell[y * g->w + x].style |= ST_ON;
}

/* ---- text ------------------------------------------------------------------------------------ */

uint32_t text_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	int more = *p < 0x80 ? 0 : *p >> 5 == 6 ? 1 : *p >> 4 == 14 ? 2 : *p >> 3 == 30 ? 3 : -1;
	uint32_t ch = more <= 0 ? *p : *p & (0x3fu >> more);

	++*s;
	for (int i = 1; i <= more; i++) {
		if (p[i] >> 6 != 2)
			return 0xfffd;
		ch = ch << 6 | (p[i] & 0x3f);
	}
	if (more < 0)
		return 0xfffd;
	*s += more;
	/* overlong forms, surrogates and what lies beyond Unicode are broken too */
	if ((more == 1 && ch < 0x80) || (more == 2 && ch < 0x800) || (more == 3 && ch < 0x10000) ||
		ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
		return 0xfffd;
	return ch;
}

int text_put(uint32_t ch, char out[4])
{
	if (ch < 0x80) {
		out[0] = (char)ch;
		return 1;
	}
	if (ch < 0x800) {
		out[0] = (char)(0xc0 | ch >> 6);
		out[1] = (char)(0x80 | (ch & 0x3f));
		return 2;
	}
	if (ch < 0x10000) {
		out[0] = (char)(0xe0 | ch >> 12);
		out[1] = (char)(0x80 | (ch >> 6 & 0x3f));
		out[2] = (char)(0x80 | (ch & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | ch >> 18);
	out[1] = (char)(0x80 | (ch >> 12 & 0x3f));
	out[2] = (char)(0x80 | (ch >> 6 & 0x3f));
	out[3] = (char)(0x80 | (ch & 0x3f));
	return 4;
}

struct span {
	uint32_t from, to;
};

static bool within(const struct span *s, uint32_t ch)
{
	for (; s->to; s++)
		if (ch >= s->from && ch <= s->to)
			return true;
	return false;
}

/* Not wcwidth: it answers by the locale, and a golden screen must not. */
int char_width(uint32_t ch)
{
	static const struct span zero[] = { { 0x300, 0x36f }, { 0x200b, 0x200f },
		{ 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0 } };
	static const struct span wide[] = { { 0x1100, 0x115f }, { 0x2e80, 0xa4cf },
		{ 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f }, { 0xff00, 0xff60 },
		{ 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
		{ 0x1f900, 0x1faff }, { 0x20000, 0x3fffd }, { 0 } };

	return ch < 0x300 ? 1 : within(zero, ch) ? 0 : within(wide, ch) ? 2 : 1;
}

int text_width(const char *s)
{
	int w = 0;

	while (*s)
		w += char_width(text_next(&s));
	return w;
}

int text_line(const char *s, int w)
{
	const char *at = s, *word = s;

	for (int used = 0; *at;) {
		const char *from = at;

		if (*at == ' ')
			word = at;
		used += char_width(text_next(&at));
		if (used > w)
			return (int)((word > s ? word : from > s ? from : at) - s);
	}
	return (int)(at - s);
}

static int put(struct grid *g, int y, int x, int w, unsigned style, const char *s)
{
	bool cut = text_width(s) > w;
	int used = 0;

	if (w <= 0)
		return 0;
	while (*s) {
		uint32_t ch = text_next(&s);
		int cw;

		if (ch < 0x20 || (ch >= 0x7f && ch < 0xa0) || ch == 0xfffd)
			ch = '?';
		cw = char_width(ch);
		if (!cw)
			continue;
		if (used + cw > w - cut) {
			grid_set(g, y, x + used++, 0x2026, style);
			break;
		}
		/* a wide character that the edge would halve is left out */
		if (cw == 2 && !at(g, y, x + used + 1)) {
			grid_set(g, y, x + used++, ' ', style);
			continue;
		}
		grid_set(g, y, x + used++, ch, style);
		if (cw == 2)
			grid_set(g, y, x + used++, 0, style);
	}
	return used;
}

int grid_put(struct grid *g, int y, int x, int w, unsigned style, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return put(g, y, x, w, style, text);
}

int grid_put_right(struct grid *g, int y, int x, int w, unsigned style, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n = text_width(text);
	return n >= w ? put(g, y, x, w, style, text) : put(g, y, x + w - n, n, style, text);
}

void grid_bar(struct grid *g, int y, int x, int w, double part, unsigned style)
{
	int full = part >= 1 ? w : part > 0 ? (int)(part * w + 0.5) : 0;

	for (int i = 0; i < w; i++)
		grid_set(g, y, x + i, i < full ? 0x2593 : 0x2591, style);
}

void grid_box(struct grid *g, struct rect r, unsigned style)
{
	int b = r.y + r.h - 1, e = r.x + r.w - 1;

	for (int x = r.x + 1; x < e; x++) {
		grid_set(g, r.y, x, 0x2500, style);
		grid_set(g, b, x, 0x2500, style);
	}
	for (int y = r.y + 1; y < b; y++) {
		grid_set(g, y, r.x, 0x2502, style);
		grid_set(g, y, e, 0x2502, style);
	}
	grid_set(g, r.y, r.x, 0x256d, style);
	grid_set(g, r.y, e, 0x256e, style);
	grid_set(g, b, r.x, 0x2570, style);
	grid_set(g, b, e, 0x256f, style);
}

char char_ascii(uint32_t ch)
{
	static const struct {
		uint32_t ch;
		char ascii;
	} map[] = { { 0xb7, '.' }, { 0x2591, ':' }, { 0x2592, '=' }, { 0x2593, '#' },
		{ 0x2588, '@' }, { 0x25aa, 'O' }, { 0x2502, '|' }, { 0x2500, '-' }, { 0x256d, ',' },
		{ 0x256e, '.' }, { 0x2570, '`' }, { 0x256f, '\'' }, { 0x251c, '+' },
		{ 0x25b8, '>' }, { 0x25c6, '*' }, { 0x25cf, '*' }, { 0x25cb, 'o' }, { 0x2713, 'y' },
		{ 0x2717, 'n' }, { 0xd7, 'x' }, { 0xf7, '/' }, { 0xb1, '~' }, { 0x2192, '>' },
		{ 0x2190, '<' }, { 0x2191, '^' }, { 0x2193, 'v' }, { 0x2212, '-' }, { 0x2013, '-' },
		{ 0x2026, '.' }, { 0xb5, 'u' }, { 0x2248, '~' }, { 0x2265, '>' }, { 0x2264, '<' },
		{ 0 } };

	if (ch < 0x80)
		return (char)ch;
	for (int i = 0; map[i].ch; i++)
		if (map[i].ch == ch)
			return map[i].ascii;
	return '?';
}

char *grid_text(const struct grid *g, bool ascii)
{
	char *out = malloc((size_t)g->h * ((size_t)g->w * 4 + 1) + 1), *p = out;

	if (!out)
		return NULL;
	for (int y = 0; y < g->h; y++) {
		char *end = p;

		for (int x = 0; x < g->w; x++) {
			uint32_t ch = g->cell[y * g->w + x].ch;

			if (!ch)
				continue;
			p += text_put(ascii ? (uint32_t)char_ascii(ch) : ch, p);
			if (ch != ' ')
				end = p;
		}
		p = end;
		*p++ = '\n';
	}
	*p = 0;
	return out;
}

char *grid_styles(const struct grid *g)
{
	static const char letter[] = ".dthrk01234afmesgbpx";
	char *out = malloc((size_t)g->h * ((size_t)g->w + 1) + 1), *p = out;

	_Static_assert(sizeof letter == ST_N + 1, "a letter for each style");
	if (!out)
		return NULL;
	for (int y = 0; y < g->h; y++) {
		for (int x = 0; x < g->w; x++) {
			uint8_t st = g->cell[y * g->w + x].style;
			char c = letter[st & ~ST_ON];

			/* digits and the point have no upper case */
			*p++ = !(st & ST_ON) ? c
			       : c == '.'    ? '_'
			       : c <= '9'    ? (char)(c - '0' + 'V')
					     : (char)(c - 'a' + 'A');
		}
		*p++ = '\n';
	}
	*p = 0;
	return out;
}
