/* The tree of plans tried.  An edit makes a child, undo goes to the parent, redo to the child last
 * left: nothing tried is ever lost. */
#include "inside.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void show(struct tree_node *n)
{
	n->shown.command = n->command;
	n->shown.note = n->note;
	n->shown.plan = n->plan;
}

/* Takes `p` over, whatever it returns. */
static enum pare_status append(struct pare_workspace *w, int parent, struct pare_plan *p,
	const char *command, const char *note, struct pare_err *err)
{
	struct tree_node n = { .plan = p,
		.command = strdup(command),
		.note = strdup(note),
		.child = -1,
		.made = time(NULL),
		.shown = { .id = w->n_nodes, .parent = parent, .value = NAN, .drop = NAN } };

	if (n.command && n.note && w->n_nodes == w->room) {
		int room = 2 * w->room + 16;
		struct tree_node *bigger = realloc(w->node, (size_t)room * sizeof *bigger);

		if (bigger) {
			w->node = bigger;
			w->room = room;
		}
	}
	if (!n.command || !n.note || w->n_nodes == w->room) {
		free(n.command);
		free(n.note);
		pare_plan_free(p);
		return pare_nomem(err, "the tree of plans");
	}
	show(&n);
	w->node[w->n_nodes++] = n;
	return PARE_OK;
}

enum pare_status tree_start(struct pare_workspace *w, struct pare_err *err)
{
	struct pare_plan *p = pare_plan_of(w->model);

	return p ? append(w, -1, p, "", "", err) : pare_nomem(err, "a plan");
}

static void go(struct pare_workspace *w, int to)
{
	int parent = w->node[to].shown.parent;

	if (parent >= 0 && w->node[parent].child != to) {
		w->node[parent].child = to;
		w->node[parent].saved = false;
	}
	w->here = to;
	w->meta_saved = false;
}

enum pare_status
tree_add(struct pare_workspace *w, struct pare_plan *p, const char *command, struct pare_err *err)
{
	enum pare_status st;

	for (int i = 0; i < w->n_nodes; i++)
		if (w->node[i].shown.parent == w->here && pare_plan_equal(w->node[i].plan, p)) {
			pare_plan_free(p);
			go(w, i); /* tried before, from here */
			return PARE_OK;
		}
	if ((st = append(w, w->here, p, command, "", err)))
		return st;
	go(w, w->n_nodes - 1);
	tree_measured(w, p); /* it may have been measured elsewhere in the tree */
	return PARE_OK;
}

enum pare_status tree_restore(struct pare_workspace *w, const struct pare_stored_plan *s,
	struct pare_plan *p, struct pare_err *err)
{
	struct tree_node *n;
	enum pare_status st;

	if (s->id != w->n_nodes || s->parent >= s->id || (s->id && s->parent < 0)) {
		pare_plan_free(p);
		return pare_fail(err, PARE_E_FORMAT, "plan %d has no place in the tree", s->id);
	}
	if ((st = append(w, s->parent, p, s->command, s->note, err)))
		return st;
	n = &w->node[w->n_nodes - 1];
	n->child = s->child;
	n->made = s->made;
	n->measured = s->measured;
	n->shown.value = s->value;
	n->shown.drop = s->drop;
	n->saved = true;
	return PARE_OK;
}

enum pare_status tree_note(struct pare_workspace *w, const char *note, struct pare_err *err)
{
	struct tree_node *n = &w->node[w->here];
	char *copy = strdup(note);

	if (!copy)
		return pare_nomem(err, "a note");
	free(n->note);
	n->note = copy;
	n->saved = false;
	show(n);
	return PARE_OK;
}

bool tree_undo(struct pare_workspace *w)
{
	int from = w->here, parent = w->node[from].shown.parent;

	if (parent < 0)
		return false;
	if (w->node[parent].child != from) {
		w->node[parent].child = from;
		w->node[parent].saved = false;
	}
	go(w, parent);
	return true;
}

bool tree_redo(struct pare_workspace *w)
{
	int to = w->node[w->here].child;

	if (to <= 0 || to >= w->n_nodes || w->node[to].shown.parent != w->here)
		return false;
	go(w, to);
	return true;
}

void tree_go(struct pare_workspace *w, int to)
{
	for (int i = to; i >= 0; i = w->node[i].shown.parent)
		go(w, i);
	w->here = to;
}

void tree_measured(struct pare_workspace *w, const struct pare_plan *p)
{
	struct pare_value value, drop;

	pare_study_value(w->study, p, &value, &drop);
	if (value.kind != PARE_MEASURED)
		return;
	for (int i = 0; i < w->n_nodes; i++) {
		struct tree_node *n = &w->node[i];

		if (!isnan(n->shown.value) || !pare_plan_equal(n->plan, p))
			continue;
		n->shown.value = value.value;
		n->shown.drop = drop.value;
		n->measured = time(NULL);
		n->saved = false;
	}
}

void tree_free(struct pare_workspace *w)
{
	for (int i = 0; i < w->n_nodes; i++) {
		pare_plan_free(w->node[i].plan);
		free(w->node[i].command);
		free(w->node[i].note);
	}
	free(w->node);
}
