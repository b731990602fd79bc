/* Where the parts meet: events from the terminal and from the workspace go into the state, what it
 * asks for is done, and the screen is drawn once for all that came together. */
#include "screen.h"
#include "layout.h"
#include "line.h"
#include "scene_fill.h"
#include "shown.h"
#include "terminal.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct screen {
	struct pare_workspace *w;
	struct scene *scene;
	struct tui_state s;
	struct grid *grid;
	bool quit, stale, anew; /* stale: something to draw; anew: draw all of it */
	char kept[256];         /* what of the state is in the session */
	int order_top, order_n;
	double last_key;
	FILE *trace; /* PARE_TRACE: a line for each frame */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The names of views are known here alone. */
static const char *complete(void *user, const char *line, size_t len, int i, size_t *start)
{
	if (len < 5 || strncmp(line, "view ", 5))
		return pare_workspace_complete(user, line, len, i, start);
	*start = 5;
	for (int v = 0; v < N_VIEWS; v++)
		if (!strncmp(tui_views[v].name, line + 5, len - 5) && !i--)
			return tui_views[v].name;
	return NULL;
}

/* What is on the screen is measured first. */
static void say_order(struct screen *x)
{
	const struct tui_state *s = &x->s;
	int n = s->n_shown - s->top, lines = list_lines(s);

	if (n > lines)
		n = lines;
	if (n <= 0 || (s->top == x->order_top && n == x->order_n))
		return;
	x->order_top = s->top;
	x->order_n = n;
	pare_workspace_order(x->w, s->shown + s->top, n);
}

/* Sizes that are asked for only where they are shown. */
static void fill_sizes(struct screen *x)
{
	scene_sizes(x->scene, x->w, tui_row(&x->s));
	if (x->s.view == VIEW_LAYER)
		scene_options(x->scene, x->w, tui_row(&x->s));
}

static void refill(struct screen *x)
{
	struct tui_event news = { .kind = EV_NEWS };
	struct tui_effects fx;

	if (!scene_fill(x->scene, x->w))
		snprintf(x->s.message, sizeof x->s.message, "memory is short");
	fill_sizes(x);
	tui_update(&x->s, &news, &fx);
	x->stale = true;
}

/* What ended in the background is in the log, and that it did must be seen. */
static void show_ended(struct screen *x, bool failed)
{
	struct tui_event ev = { .kind = EV_REPLY, .key = failed };
	struct tui_effects fx;
	int n = x->scene->n_log;
	const char *line = n ? x->scene->log[n - 1] : "", *text = strstr(line, "  ");

	ev.text = text ? text + 2 : line; /* without the time of day */
	tui_update(&x->s, &ev, &fx);
}

/* Cursor, sort and filter are found again after a crash too; written when keys pause. */
static void keep(struct screen *x)
{
	char text[256];
	struct pare_err err;

	tui_remember(&x->s, text, sizeof text);
	if (!strcmp(text, x->kept))
		return;
	memcpy(x->kept, text, sizeof text);
	if (pare_workspace_keep(x->w, "screen", text, &err))
		return; /* the top line says that the session is not saved, and why is in the log */
}

static void run_command(struct screen *x, const char *line)
{
	struct pare_reply reply = { 0 };
	struct pare_err err = { 0 };
	struct tui_effects fx;
	struct tui_event ev = { .kind = EV_REPLY };
	int view;

	if (pare_workspace_command(x->w, line, &reply, &err)) {
		ev.key = 1;
		ev.text = err.text;
	} else
		ev.text = reply.text;
	if (reply.effect == PARE_EFFECT_QUIT)
		x->quit = true;
	if (reply.effect == PARE_EFFECT_HELP) {
		tui_show(&x->s, VIEW_HELP);
		ev.text = "";
	}
	if (reply.effect == PARE_EFFECT_VIEW && (view = tui_find_view(reply.text)) >= 0) {
		tui_show(&x->s, (enum tui_view_id)view);
		ev.text = "";
	} else if (reply.effect == PARE_EFFECT_VIEW) {
		ev.key = 1;
		ev.text = "no such view; there are map, layer, history, log and help";
	}
	tui_update(&x->s, &ev, &fx);
	refill(x);
}

static void do_effects(struct screen *x, const struct tui_effects *fx)
{
	if (*fx->command)
		run_command(x, fx->command);
	if (fx->edit)
		line_begin(fx->edit, fx->edit_text);
	if (fx->mouse)
		terminal_mouse(x->s.mouse);
	if (fx->pause) {
		pare_workspace_pause(x->w, !x->scene->paused);
		refill(x);
	}
	if (fx->suspend) {
		keep(x);
		terminal_suspend();
	}
	x->anew |= fx->repaint || fx->suspend;
	x->quit |= fx->quit;
}

static void handle(struct screen *x, struct tui_event *ev)
{
	struct tui_effects fx;
	int row = tui_row(&x->s);
	enum tui_view_id view = x->s.view;

	if (ev->kind == EV_KEY && x->s.prompt.kind)
		line_key(ev->key, ev);
	else if (x->s.prompt.kind && ev->kind != EV_RESIZE)
		return; /* the mouse waits until the line is done */
	tui_update(&x->s, ev, &fx);
	if (x->s.prompt.kind && !fx.edit)
		x->s.prompt.n_candidates = line_candidates(&x->s.prompt.candidate);
	do_effects(x, &fx);
	if (tui_row(&x->s) != row || x->s.view != view)
		fill_sizes(x);
	x->stale = true;
}

static void resize(struct screen *x)
{
	struct tui_event ev = { .kind = EV_RESIZE };
	struct grid *g;

	terminal_size(&ev.y, &ev.x);
	if (ev.y == x->s.h && ev.x == x->s.w)
		return;
	g = grid_new(ev.y, ev.x);
	if (!g)
		return;
	grid_free(x->grid);
	x->grid = g;
	handle(x, &ev);
	x->anew = true;
}

static void draw(struct screen *x, double since)
{
	double rendered;

	say_order(x);
	tui_render(&x->s, x->grid);
	rendered = now();
	terminal_draw(x->grid, x->anew);
	if (x->trace && since > 0)
		fprintf(x->trace, "%.3f %.3f\n", 1e3 * (rendered - since), 1e3 * (now() - since));
	x->anew = x->stale = false;
}

static void terminal_asks(struct screen *x)
{
	unsigned news = terminal_news();

	if (news & TERMINAL_END)
		x->quit = true;
	if (news & TERMINAL_STOP) {
		keep(x);
		terminal_suspend();
	}
	if (news & (TERMINAL_WOKEN | TERMINAL_STOP))
		x->anew = x->stale = true;
	resize(x);
}

static void loop(struct screen *x)
{
	while (!x->quit) {
		struct pollfd fd[3] = { { STDIN_FILENO, POLLIN, 0 },
			{ pare_workspace_fd(x->w), POLLIN, 0 }, { terminal_fd(), POLLIN, 0 } };
		int n = poll(fd, 3, 500);
		double since = 0;
		unsigned news;
		struct tui_event ev;

		if (fd[2].revents)
			terminal_asks(x);
		if (fd[1].revents && (news = pare_workspace_pump(x->w))) {
			refill(x);
			if (news & (PARE_NEWS_ERROR | PARE_NEWS_ASKED))
				show_ended(x, news & PARE_NEWS_ERROR);
		}
		if (fd[0].revents & (POLLHUP | POLLERR))
			x->quit = true; /* the line was dropped */
		if (fd[0].revents) {
			since = x->last_key = now();
			while (!x->quit && terminal_event(&ev))
				handle(x, &ev);
		}
		if (n == 0)
			refill(x); /* "measured 3 s ago" */
		if ((x->stale || x->anew) && !x->quit)
			draw(x, since);
		if (now() - x->last_key > 0.4)
			keep(x);
	}
}

static void first_look(struct screen *x)
{
	const char *kept = pare_workspace_kept(x->w, "screen");

	if (kept)
		tui_recall(&x->s, kept);
	tui_remember(&x->s, x->kept, sizeof x->kept);
	x->order_top = -1;
	refill(x);
	terminal_mouse(x->s.mouse);
	draw(x, 0);
}

enum pare_status screen_run(struct pare_workspace *w, struct pare_err *err)
{
	struct screen x = { .w = w, .scene = scene_new(w), .anew = true };
	const char *trace = getenv("PARE_TRACE");
	enum pare_status st;
	int h, width;

	st = terminal_open(err);
	if (st)
		goto out;
	terminal_size(&h, &width);
	x.grid = grid_new(h, width);
	if (!x.scene || !x.grid || !tui_init(&x.s, x.scene, h, width)) {
		st = PARE_E_NOMEM;
		if (err)
			*err = (struct pare_err){ st, "not enough memory for the screen" };
		goto out;
	}
	line_open(complete, w);
	if (trace && *trace)
		x.trace = fopen(trace, "w");
	first_look(&x);
	loop(&x);
	keep(&x);
	line_close();
out:
	terminal_close();
	if (x.trace)
		fclose(x.trace);
	tui_free(&x.s);
	grid_free(x.grid);
	scene_free(x.scene);
	return st;
}
