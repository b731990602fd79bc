/* A grid of character cells: what a view draws on.  It knows nothing of a terminal; terminal.c
 * carries it there, tests compare it with golden text.  Everything clips: what falls outside is not
 * drawn. */
#ifndef SCREEN_GRID_H
#define SCREEN_GRID_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a cell means; the terminal decides how that looks.  ST_ON is added on the row under the
 * cursor. */
enum style {
	ST_TEXT,
	ST_DIM,   /* what may be overlooked */
	ST_TITLE, /* names of things at the top */
	ST_HEAD,  /* column heads, labels */
	ST_RULE,
	ST_KEY,   /* a key one may press */
	ST_HEAT0, /* costs nothing … */
	ST_HEAT1,
	ST_HEAT2,
	ST_HEAT3,
	ST_HEAT4, /* … costs nearly everything */
	ST_AT,    /* where a dial stands */
	ST_FOCUS, /* the dial under the cursor */
	ST_MARK,
	ST_ESTIMATED,
	ST_MEASURED,
	ST_GOOD,
	ST_BAD,
	ST_BAR,
	ST_ERROR,
	ST_N,
	ST_ON = 0x40,
};

struct cell {
	uint32_t ch;   /* a Unicode character; 0 = the right half of a wide one */
	uint8_t style; /* enum style, perhaps with ST_ON */
};

struct rect {
	int y, x, h, w;
};

struct grid {
	int h, w;
	struct cell *cell; /* [h][w] */
	int cur_y, cur_x;  /* the terminal's cursor; cur_y -1 = hidden */
};

struct grid *grid_new(int h, int w); /* blank; NULL: no memory or a size beyond 1..1000 */
void grid_free(struct grid *g);      /* NULL allowed */
void grid_clear(struct grid *g);

void grid_set(struct grid *g, int y, int x, uint32_t ch, unsigned style);
void grid_fill(struct grid *g, struct rect r, uint32_t ch, unsigned style);
/* UTF-8 text from column x on, at most w columns, the last of which becomes … when more would
 * follow.  Control characters and broken UTF-8 show as ?.  Returns the columns used. */
int grid_put(struct grid *g, int y, int x, int w, unsigned style, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* The same, set against the right edge of the w columns. */
int grid_put_right(struct grid *g, int y, int x, int w, unsigned style, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* A bar of w columns of which `part` (0..1) is full. */
void grid_bar(struct grid *g, int y, int x, int w, double part, unsigned style);
void grid_box(struct grid *g, struct rect r, unsigned style);
/* Add ST_ON to cells. */
void grid_light(struct grid *g, struct rect r);

/* One character from UTF-8; *s moves behind it.  Broken bytes come back as U+FFFD. */
uint32_t text_next(const char **s);
int text_put(uint32_t ch, char out[4]); /* as UTF-8; returns bytes */
int char_width(uint32_t ch);            /* 0, 1 or 2 columns */
int text_width(const char *s);
/* Bytes of the longest start of s that w columns hold, at least a character, up to the end of a
 * word where there is one; blanks that follow belong to no line. */
int text_line(const char *s, int w);
/* The nearest ASCII character, for terminals without UTF-8. */
char char_ascii(uint32_t ch);

/* For golden files: the lines without trailing blanks, and one letter a cell for its style (upper
 * case: ST_ON).  malloc'ed; NULL: no memory. */
char *grid_text(const struct grid *g, bool ascii);
char *grid_styles(const struct grid *g);

#endif
