/* Any keys, mouse, lines and sizes: the state stays within bounds, each frame is drawn, and what
 * the screen asks for is something that a workspace could be asked. */
#include "tests/unit/scenes.h"
#include "tui/screen/keys.h"
#include "tui/screen/state.h"
#include <assert.h>

static struct tui_event next(const uint8_t **p, const uint8_t *end, char text[64])
{
	static const uint32_t special[] = { K_UP, K_DOWN, K_LEFT, K_RIGHT, K_HOME, K_END, K_PAGE_UP,
		K_PAGE_DOWN, K_BACKTAB, K_DELETE, K_ENTER, K_ESC, K_TAB, K_BACKSPACE, 0x1f600 };
	const uint8_t *at = *p;
	uint8_t a = *(*p)++, b = *p < end ? *(*p)++ : 0, c = *p < end ? *(*p)++ : 0;
	struct tui_event ev = { .kind = EV_KEY, .key = a };

	if (a < 128)
		*p = at + 1; /* a plain key takes one byte */
	else if (a < 128 + 15)
		ev.key = special[a - 128];
	else if (a < 150)
		ev = (struct tui_event){ .kind = EV_PRESS, .y = b, .x = c };
	else if (a < 160)
		ev = (struct tui_event){ .kind = EV_WHEEL, .key = b & 1 ? 1 : (uint32_t)-1 };
	else if (a < 180)
		ev = (struct tui_event){ .kind = EV_RESIZE, .y = 1 + b % 80, .x = 1 + c };
	else if (a < 200)
		ev = (struct tui_event){ .kind = EV_NEWS };
	else if (a < 230) {
		size_t n = b % 60, left = (size_t)(end - *p);

		n = n < left ? n : left;
		memcpy(text, *p, n);
		text[n] = 0;
		*p += n;
		ev = (struct tui_event){ .kind = a < 220 ? EV_LINE : EV_REPLY,
			.text = text,
			.x = c % 64,
			.key = c & 1 };
	} else
		ev = (struct tui_event){ .kind = a < 240 ? EV_ENTER : EV_CANCEL };
	return ev;
}

static void check(const struct tui_state *s)
{
	assert(s->n_shown >= 0 && s->n_shown <= s->scene->n_rows);
	assert(s->cur >= 0 && (s->cur < s->n_shown || !s->n_shown));
	assert(s->top >= 0 && s->top <= s->cur);
	assert(s->view >= 0 && s->view < N_VIEWS && s->dial < PARE_N_DIALS);
	assert(s->n_marked >= 0 && s->n_marked <= s->scene->n_rows);
	assert(s->scroll >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data + 1, *end = data + size;
	struct tui_state s;
	struct made *m;
	char text[64];
	int n = 0;

	if (size < 2)
		return 0;
	m = made_scene(1 + data[0] % 90, data[0] % 60);
	if (data[0] & 1)
		snprintf(m->scene.row[0].label, sizeof m->scene.row[0].label, "%s",
			"a very long /path/to/a/layer 層層層層");
	if (tui_init(&s, &m->scene, 24, 80))
		while (p < end && n++ < 200) {
			struct tui_event ev = next(&p, end, text);
			struct tui_effects fx;
			struct grid *g;

			tui_update(&s, &ev, &fx);
			assert(strlen(fx.command) < sizeof fx.command);
			if (*fx.command)
				made_command(m, fx.command);
			check(&s);
			g = grid_new(s.h, s.w);
			if (g) {
				tui_render(&s, g);
				assert(g->cur_y < g->h && g->cur_x < g->w);
				grid_free(g);
			}
			if (ev.kind == EV_NEWS) { /* as when a session is taken up */
				char kept[256];

				tui_remember(&s, kept, sizeof kept);
				tui_recall(&s, kept);
				check(&s);
			}
		}
	tui_free(&s);
	made_free(m);
	return 0;
}
