#include "scene_fill.h"
#include "../../sessions/language.h"
#include "figures.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pare_value unknown = { PARE_UNKNOWN, NAN, NAN, NAN, 0 };

/* ---- what never changes ---------------------------------------------------------------------- */

static void fill_column(struct scene_column *c, const struct pare_option *o, bool exact)
{
	const struct pare_format *f = &pare_formats[o->format];
	int percent = (int)lrint(100 * (double)o->share);

	c->dial = o->dial;
	c->share = percent;
	if (o->pattern) {
		const char *name = pare_method_name(PARE_PATTERN, o->pattern);

		snprintf(c->label, sizeof c->label, "%s", name);
		snprintf(c->name, sizeof c->name, "%s", name);
		snprintf(c->choose, sizeof c->choose, "prune %%s weights %d%% pattern %s", percent,
			name);
		return;
	}
	if (o->dial == PARE_DIAL_SPARSITY || o->dial == PARE_DIAL_CHANNELS) {
		snprintf(c->label, sizeof c->label, "%d", percent);
		snprintf(c->name, sizeof c->name, "%d%%", percent);
		snprintf(c->choose, sizeof c->choose, "prune %%s %s %d%%%s",
			o->dial == PARE_DIAL_CHANNELS ? "channels" : "weights", percent,
			o->dial == PARE_DIAL_CHANNELS && exact ? " multiple 1" : "");
		return;
	}
	if (o->format)
		snprintf(c->label, sizeof c->label, "%d", f->bits);
	else
		snprintf(c->label, sizeof c->label, "f");
	snprintf(c->name, sizeof c->name, "%s", f->name);
	snprintf(c->choose, sizeof c->choose, "set %%s %s %s",
		o->dial == PARE_DIAL_WEIGHTS ? "weights" : "activations", f->name);
}

/* A column is chosen as it was measured, also where a device wants multiples of channels. */
static void fill_columns(struct scene *s, const struct pare_workspace *w)
{
	bool exact = false;

	for (int i = 0; i < pare_workspace_n_devices(w); i++)
		exact |= pare_device_info(pare_workspace_device(w, i)->device)->channels > 1;
	for (int i = 0; i < s->n_columns; i++)
		fill_column(&s->column[i], &pare_options[i], exact);
}

/* Axes of one sample without the batch. */
static void fill_shape(const struct pare_shape *s, bool batch, char *out, size_t len)
{
	struct pare_shape inner = *s;

	if (batch && s->n > 1) {
		inner.n--;
		memmove(inner.d, s->d + 1, (size_t)inner.n * sizeof *inner.d);
	}
	pare_shape_text(&inner, "×", out, len);
}

static void fill_row(struct scene_row *r, const struct pare_layer *l)
{
	*r = (struct scene_row){ .name = l->name,
		.op = l->op,
		.params = l->params,
		.macs = l->output.n ? l->macs : -1, /* -1: hangs on a shape that is not known */
		.weights = l->weights,
		.group = l->group,
		.stuck = l->stuck,
		.drop = unknown,
		.bytes = { -1, -1 } };
	fill_shape(&l->output, true, r->output, sizeof r->output);
	fill_shape(&l->weight, false, r->weight, sizeof r->weight);
}

void scene_short_name(const char *name, const char *op, char *out, size_t len)
{
	char *to = out, *slash;

	name += *name == '/';
	for (const char *part = name; *part;) {
		size_t n = strcspn(part, "/");
		const char *next = part + n + (part[n] == '/');
		bool last = !*next, repeated = !last && !strncmp(part, next, n) && next[n] == '.';

		if (repeated || (last && to > out && !strcmp(part, op))) {
			part = next;
			continue;
		}
		to += snprintf(to, len - (size_t)(to - out), "%.*s/", (int)n, part);
		if (to >= out + len) /* a long path stays as it is: its end tells most */
			break;
		part = next;
	}
	slash = to > out && to < out + len ? to - 1 : NULL;
	if (slash)
		*slash = 0;
	else
		snprintf(out, len, "%s", strlen(name) < len ? name : name + strlen(name) - len + 1);
}

/* Names that would be the same stay whole. */
static void fill_labels(struct scene *s)
{
	bool unique = true;

	for (int i = 0; i < s->n_rows; i++)
		scene_short_name(
			s->row[i].name, s->row[i].op, s->row[i].label, sizeof s->row[i].label);
	for (int i = 0; i < s->n_rows; i++)
		for (int k = 0; k < i && unique; k++)
			unique = strcmp(s->row[i].label, s->row[k].label) != 0;
	for (int i = 0; i < s->n_rows && !unique; i++)
		snprintf(s->row[i].label, sizeof s->row[i].label, "%s", s->row[i].name);
}

static bool fill_lists(struct scene *s, const struct pare_model *m)
{
	struct pare_command_info info;
	struct scene_command *c;
	struct scene_unsupported *u;
	int n = 0;

	s->n_unsupported = pare_model_info(m)->n_unsupported;
	while (pare_command_row(n, &info))
		n++;
	s->n_commands = n;
	s->unsupported = u = calloc((size_t)s->n_unsupported + 1, sizeof *u);
	s->command = c = calloc((size_t)n + 1, sizeof *c);
	if (!u || !c)
		return false;
	for (int i = 0; i < s->n_unsupported; i++) {
		const struct pare_unsupported *from = pare_model_unsupported(m, i);

		u[i] = (struct scene_unsupported){ from->node, from->op, from->why };
	}
	for (int i = 0; i < n && pare_command_row(i, &info); i++)
		c[i] = (struct scene_command){ info.name, info.args, info.help };
	return true;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

struct scene *scene_new(const struct pare_workspace *w)
{
	const struct pare_model *m = pare_workspace_model(w);
	const struct pare_dataset *d = pare_workspace_dataset(w);
	struct scene *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->model = base_name(pare_model_info(m)->path);
	s->data = d ? pare_dataset_info(d)->name : NULL;
	s->fidelity = d && pare_dataset_info(d)->measure == PARE_FIDELITY;
	s->n_columns = pare_n_options();
	s->n_rows = pare_model_info(m)->n_layers;
	s->n_hidden = pare_model_info(m)->n_hidden;
	s->column = calloc((size_t)s->n_columns, sizeof *s->column);
	s->row = calloc((size_t)s->n_rows + 1, sizeof *s->row);
	s->cell = calloc((size_t)s->n_rows * (size_t)s->n_columns + 1, sizeof *s->cell);
	s->option_bytes = calloc((size_t)s->n_columns, sizeof *s->option_bytes);
	if (!s->column || !s->row || !s->cell || !s->option_bytes || !fill_lists(s, m)) {
		scene_free(s);
		return NULL;
	}
	for (int i = 0; i < s->n_rows; i++) {
		fill_row(&s->row[i], pare_model_layer(m, i));
		for (int c = 0; c < s->n_columns && c < 64; c++)
			if (!pare_option_fits(m, i, &pare_options[c]))
				s->row[i].cannot |= (uint64_t)1 << c;
	}
	fill_labels(s);
	if (!scene_fill(s, w)) {
		scene_free(s);
		return NULL;
	}
	return s;
}

void scene_free(struct scene *s)
{
	if (!s)
		return;
	free(s->column);
	free(s->row);
	free(s->cell);
	free(s->option_bytes);
	free(s->device);
	free(s->plan);
	free((void *)s->log);
	free((void *)s->unsupported);
	free((void *)s->command);
	free(s);
}

/* ---- what does ------------------------------------------------------------------------------- */

/* One dial turned: what the map says.  Several: their sum, which is an estimate whatever its parts
 * are. */
static struct pare_value choice_drop(const struct scene *s, int row)
{
	const struct scene_row *r = &s->row[row];
	struct pare_value sum = unknown;
	int n = 0;

	for (int d = 0; d < PARE_N_DIALS && !r->rank && !r->gone;
		d++) { /* these are not on the map */
		int from = 0;
		const struct pare_value *v = &s->cell[row * s->n_columns + r->at[d]];

		while (s->column[from].dial != (enum pare_dial)d)
			from++;
		if (r->at[d] == from)
			continue;
		if (v->kind == PARE_UNKNOWN)
			return unknown;
		if (!n++) {
			sum = *v;
			continue;
		}
		sum.kind = PARE_ESTIMATED;
		sum.value += v->value;
		sum.lo += v->lo;
		sum.hi += v->hi;
	}
	return sum;
}

static void append(char *buf, size_t room, const char *between, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void append(char *buf, size_t room, const char *between, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	n += (size_t)snprintf(buf + n, room - n, "%s", n ? between : "");
	if (n >= room)
		return;
	va_start(ap, fmt);
	vsnprintf(buf + n, room - n, fmt, ap);
	va_end(ap);
}

/* What a layer's dials say beside their places on the map. */
static void fill_beside(struct scene_row *r, struct pare_dials d)
{
	const struct pare_dial_word *w = pare_dial_words;

	*r->beside = 0;
	if (r->gone)
		append(r->beside, sizeof r->beside, "", "gone with its residual block");
	else if (r->rank)
		append(r->beside, sizeof r->beside, "", "two layers, %d value%s between", r->rank,
			r->rank == 1 ? "" : "s");
	d = pare_dials_effective(d);
	for (; w->family != PARE_N_METHODS; w++) {
		uint8_t v = *((const uint8_t *)&d + w->at);
		const char *name = pare_dial_value_name(w, v);

		if (v && name && !w->uses)
			append(r->beside, sizeof r->beside, ", ", "%s%s%s", w->word ? w->word : "",
				w->word ? " " : "", name);
	}
}

static void fill_steps(struct scene *s, unsigned steps)
{
	*s->steps = 0;
	for (int i = 0; pare_method_name(PARE_STEP, i); i++)
		if (steps >> i & 1)
			append(s->steps, sizeof s->steps, ", ", "%s",
				pare_method_name(PARE_STEP, i));
}

/* The first thing that a device does not take of these dials; false: there is none. */
static bool
objection(const struct pare_workspace *w, const struct pare_dials *d, char *why, size_t len)
{
	*why = 0;
	for (int k = 0; k < pare_workspace_n_devices(w) && !*why; k++)
		if (!pare_device_objects(
			    pare_device_info(pare_workspace_device(w, k)->device), d, why, len))
			*why = 0;
	return *why;
}

static void fill_map(struct scene *s, const struct pare_workspace *w)
{
	const struct pare_study *study = pare_workspace_study(w);
	const struct pare_plan *p = pare_workspace_plan(w);
	const struct pare_noise *noise = pare_study_noise(study, p);

	fill_steps(s, p->steps);
	for (int i = 0; i < s->n_rows; i++) {
		struct scene_row *r = &s->row[i];

		r->changed = false;
		for (int c = 0; c < s->n_columns; c++)
			s->cell[i * s->n_columns + c] =
				s->data ? pare_study_cell(study, i, c) : unknown;
		for (int d = 0; d < PARE_N_DIALS; d++) {
			r->at[d] = pare_option_of(&p->dials[i], (enum pare_dial)d);
			r->changed |=
				r->at[d] > 0 && s->column[r->at[d] - 1].dial == (enum pare_dial)d;
		}
		r->exit = p->dials[i].exit != 0;
		r->rank = pare_layer_rank(pare_workspace_model(w), i, &p->dials[i], NULL);
		r->gone = p->dials[i].block != 0;
		r->changed |= r->rank > 0 || r->gone;
		fill_beside(r, p->dials[i]);
		objection(w, &p->dials[i], r->objection, sizeof r->objection);
		if ((r->heard = noise != NULL))
			r->noise = noise[i];
		r->drop = choice_drop(s, i);
		r->bytes[0] = r->bytes[1] = -1;
	}
}

void scene_sizes(struct scene *s, const struct pare_workspace *w, int row)
{
	struct scene_row *r;

	if (row < 0 || row >= s->n_rows)
		return;
	r = &s->row[row];
	r->bytes[0] = 4 * r->weights;
	if (pare_plan_layer_bytes(
		    pare_workspace_model(w), pare_workspace_plan(w), row, &r->bytes[1], NULL))
		r->bytes[1] = -1;
}

/* Whatever else is chosen, does a device not take this format? */
static bool refused(const struct pare_workspace *w, const struct pare_option *o)
{
	struct pare_dials d = { 0 };
	char why[160];

	pare_option_apply(o, &d);
	for (int k = 0; k < pare_workspace_n_devices(w); k++) {
		const struct pare_device_info *info =
			pare_device_info(pare_workspace_device(w, k)->device);
		struct pare_device_info formats = { .name = info->name,
			.takes_weights = info->takes_weights,
			.takes_activations = info->takes_activations,
			.takes_scales = "",
			.takes_schemes = "",
			.takes_ranges = "" };

		if (pare_device_objects(&formats, &d, why, sizeof why))
			return true;
	}
	return false;
}

void scene_options(struct scene *s, const struct pare_workspace *w, int row)
{
	const struct pare_model *m = pare_workspace_model(w);
	struct pare_plan *p = pare_plan_copy(pare_workspace_plan(w));

	s->refused = 0;
	for (int c = 0; c < s->n_columns; c++) {
		s->option_bytes[c] = -1;
		if (!p || row < 0 || row >= s->n_rows)
			continue;
		p->dials[row] = pare_workspace_plan(w)->dials[row];
		pare_option_apply(&pare_options[c], &p->dials[row]);
		if (c < 64 && refused(w, &pare_options[c]))
			s->refused |= (uint64_t)1 << c;
		if (pare_plan_layer_bytes(m, p, row, &s->option_bytes[c], NULL))
			s->option_bytes[c] = -1;
	}
	pare_plan_free(p);
}

static bool fill_devices(struct scene *s, const struct pare_workspace *w)
{
	int n = pare_workspace_n_devices(w);
	struct scene_device *d = realloc(s->device, ((size_t)n + 1) * sizeof *d);

	if (!d)
		return false;
	s->device = d;
	s->n_devices = n;
	for (int i = 0; i < n; i++) {
		const struct pare_device_row *r = pare_workspace_device(w, i);
		const struct pare_device_info *info = pare_device_info(r->device);

		d[i] = (struct scene_device){ .name = info->name,
			.was_ms = r->was.latency_ms,
			.now_ms = r->now.latency_ms,
			.was_mj = r->was.energy_mj,
			.now_mj = r->now.energy_mj,
			.ram = r->now.ram,
			.fits = (int)r->now.fits };
	}
	return true;
}

/* The first child goes on in its parent's column; others branch to the right of it. */
static int plan_depth(const struct pare_workspace *w, const struct scene *s, int i)
{
	int parent = pare_workspace_plan_node(w, i)->parent, depth = 0;

	for (int k = i - 1; k >= 0; k--) {
		const struct pare_plan_node *n = pare_workspace_plan_node(w, k);

		if (n->parent == parent)
			depth = 1;
		if (n->id == parent)
			return s->plan[k].depth + depth;
	}
	return depth;
}

static bool fill_history(struct scene *s, const struct pare_workspace *w)
{
	int n = pare_workspace_n_plans(w), old = s->n_plans;
	struct scene_plan *p = realloc(s->plan, ((size_t)n + 1) * sizeof *p);

	if (!p)
		return false;
	s->plan = p;
	s->here = pare_workspace_here(w);
	for (int i = 0; i < n; i++) {
		const struct pare_plan_node *node = pare_workspace_plan_node(w, i);

		/* a plan's place in the tree never changes */
		if (i >= old)
			p[i].depth = plan_depth(w, s, i);
		p[i].id = i + 1; /* as `go` counts */
		p[i].command = node->command && *node->command ? node->command : "float";
		p[i].note = node->note;
		p[i].drop = unknown;
		if (!isnan(node->drop)) {
			p[i].drop.kind = PARE_MEASURED;
			p[i].drop.value = node->drop;
		}
	}
	s->n_plans = n;
	return true;
}

static bool fill_log(struct scene *s, const struct pare_workspace *w)
{
	int n = s->n_log;
	const char **log;

	while (pare_workspace_log(w, n))
		n++;
	while (n > 0 && !pare_workspace_log(w, n - 1)) /* it may have been shortened */
		n--;
	log = realloc((void *)s->log, ((size_t)n + 1) * sizeof *log);
	if (!log)
		return false;
	for (int i = 0; i < n; i++)
		log[i] = pare_workspace_log(w, i);
	s->log = log;
	s->n_log = n;
	return true;
}

/* A network that cannot be written has no size: nothing is claimed of it. */
static void no_cost(struct pare_cost *c)
{
	if (!c->file_bytes)
		*c = (struct pare_cost){ -1, -1, -1 };
}

bool scene_fill(struct scene *s, const struct pare_workspace *w)
{
	static const enum scene_saved saved[] = { [PARE_SAVED] = SCENE_SAVED,
		[PARE_SAVED_NOT] = SCENE_NOT_SAVED,
		[PARE_SAVED_MEMORY] = SCENE_IN_MEMORY };
	struct pare_work work = pare_workspace_work_state(w);
	double off;

	fill_columns(s, w);
	fill_map(s, w);
	s->was = *pare_workspace_float(w);
	s->now = *pare_workspace_metrics(w);
	no_cost(&s->was.cost);
	no_cost(&s->now.cost);
	if (!pare_plan_leaves(pare_workspace_plan(w)) ||
		pare_study_exits(pare_workspace_study(w), pare_workspace_plan(w), s->exit,
			&s->n_exits, NULL))
		s->n_exits = 0;
	s->n_samples = s->data ? pare_study_samples(pare_workspace_study(w)) : 0;
	s->measured_ago = pare_workspace_measured_ago(w);
	/* of the cells that take work: a dial that is off costs nothing, and that is no news */
	off = PARE_N_DIALS * (double)s->n_rows;
	s->work_part = work.total > off ? fmax(work.done - off, 0) / (work.total - off) : 1;
	s->eta = work.eta;
	s->paused = work.paused;
	s->filing = work.filing;
	s->asked = work.asked;
	s->asked_part = work.part;
	s->measuring = !strcmp(work.what, "measuring");
	memcpy(s->layer, work.layer, sizeof s->layer);
	s->layers_done = work.layers_done;
	s->layers = work.layers;
	s->saved = saved[pare_workspace_saved(w, &s->saved_why)];
	s->session = pare_workspace_session_path(w);
	return fill_devices(s, w) && fill_history(s, w) && fill_log(s, w);
}
