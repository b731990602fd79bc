#include "looks.h"

/* The heat runs from a cool grey-blue over sand to a deep orange-red: it grows in saturation and in
 * contrast with the ground at once, so that it holds for colour-blind eyes, and its glyphs say the
 * same without any colour. */

/* clang-format off */
static const struct look looks[2][ST_N] = { {
	/*                dark ground       16  with colours     without */
	[ST_TEXT]      = { 0xd0d0d0, -1, 0,              0 },
	[ST_DIM]       = { 0x8a8a8a,  7, 0,              0 },
	[ST_TITLE]     = { 0xeeeeee, 15, LOOK_BOLD,      LOOK_BOLD },
	[ST_HEAD]      = { 0x87afaf,  6, 0,              0 },
	[ST_RULE]      = { 0x585858,  8, 0,              LOOK_DIM },
	[ST_KEY]       = { 0xd7d7af, 15, LOOK_BOLD,      LOOK_BOLD },
	[ST_HEAT0]     = { 0x5f87af,  4, 0,              0 },
	[ST_HEAT1]     = { 0x87af87,  2, 0,              0 },
	[ST_HEAT2]     = { 0xd7af5f,  3, 0,              0 },
	[ST_HEAT3]     = { 0xff875f,  9, 0,              0 },
	[ST_HEAT4]     = { 0xd75f5f,  1, 0,              0 },
	[ST_AT]        = { 0xeeeeee, 15, LOOK_BOLD,      LOOK_BOLD },
	[ST_FOCUS]     = { 0xffffff, 15, LOOK_BOLD,      LOOK_BOLD },
	[ST_MARK]      = { 0xd787d7, 13, LOOK_BOLD,      LOOK_BOLD },
	[ST_ESTIMATED] = { 0xd7af5f,  3, 0,              0 },
	[ST_MEASURED]  = { 0x87d7af, 10, 0,              LOOK_BOLD },
	[ST_GOOD]      = { 0x87d7af, 10, 0,              0 },
	[ST_BAD]       = { 0xff875f,  9, 0,              LOOK_BOLD },
	[ST_BAR]       = { 0x5f87af,  4, 0,              0 },
	[ST_ERROR]     = { 0xff875f,  9, LOOK_BOLD,      LOOK_REVERSE },
}, {
	/*                light ground */
	[ST_TEXT]      = { 0x303030, -1, 0,              0 },
	[ST_DIM]       = { 0x6c6c6c,  8, 0,              0 },
	[ST_TITLE]     = { 0x000000,  0, LOOK_BOLD,      LOOK_BOLD },
	[ST_HEAD]      = { 0x005f5f,  6, 0,              0 },
	[ST_RULE]      = { 0xb2b2b2,  7, 0,              LOOK_DIM },
	[ST_KEY]       = { 0x5f5f00,  0, LOOK_BOLD,      LOOK_BOLD },
	[ST_HEAT0]     = { 0x5f87af,  4, 0,              0 },
	[ST_HEAT1]     = { 0x5f875f,  2, 0,              0 },
	[ST_HEAT2]     = { 0x875f00,  3, 0,              0 },
	[ST_HEAT3]     = { 0xd75f00,  1, 0,              0 },
	[ST_HEAT4]     = { 0xaf0000,  1, LOOK_BOLD,      0 },
	[ST_AT]        = { 0x000000,  0, LOOK_BOLD,      LOOK_BOLD },
	[ST_FOCUS]     = { 0x000000,  0, LOOK_BOLD,      LOOK_BOLD },
	[ST_MARK]      = { 0x870087,  5, LOOK_BOLD,      LOOK_BOLD },
	[ST_ESTIMATED] = { 0x875f00,  3, 0,              0 },
	[ST_MEASURED]  = { 0x005f5f,  6, LOOK_BOLD,      LOOK_BOLD },
	[ST_GOOD]      = { 0x005f5f,  6, 0,              0 },
	[ST_BAD]       = { 0xd75f00,  1, 0,              LOOK_BOLD },
	[ST_BAR]       = { 0x5f87af,  4, 0,              0 },
	[ST_ERROR]     = { 0xaf0000,  1, LOOK_BOLD,      LOOK_REVERSE },
} };
/* clang-format on */

const struct look *look_of(enum style st, bool light)
{
	return &looks[light][st < ST_N ? st : ST_TEXT];
}

uint32_t look_ground(bool light)
{
	return light ? 0xe4e4e4 : 0x303030;
}

static int distance(uint32_t a, int r, int g, int b)
{
	int dr = (int)(a >> 16) - r, dg = (int)(a >> 8 & 255) - g, db = (int)(a & 255) - b;

	/* eyes are surest about green */
	return 3 * dr * dr + 4 * dg * dg + 2 * db * db;
}

int look_256(uint32_t rgb)
{
	static const int step[] = { 0, 95, 135, 175, 215, 255 };
	int best = 16, least = 1 << 30;

	for (int i = 16; i < 256; i++) {
		int k = i - 16, grey = 8 + 10 * (i - 232);
		int d = i < 232 ? distance(rgb, step[k / 36], step[k / 6 % 6], step[k % 6])
				: distance(rgb, grey, grey, grey);

		if (d < least) {
			least = d;
			best = i;
		}
	}
	return best;
}
