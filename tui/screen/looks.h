/* How styles look: by meaning a colour, on a dark or a light ground, and what is left of it on a
 * poorer terminal. */
#ifndef SCREEN_LOOKS_H
#define SCREEN_LOOKS_H
#include "grid.h"

enum { LOOK_BOLD = 1, LOOK_DIM = 2, LOOK_REVERSE = 4, LOOK_UNDERLINE = 8 };

struct look {
	uint32_t rgb;       /* foreground */
	int8_t ansi;        /* of 16; -1 = the terminal's own */
	uint8_t attr, mono; /* LOOK_…, with colours and without */
};
const struct look *look_of(enum style st, bool light);
/* The ground of the row under the cursor. */
uint32_t look_ground(bool light);
/* The nearest of the 240 fixed colours of a 256-colour terminal. */
int look_256(uint32_t rgb);

#endif
