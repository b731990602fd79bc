/* For rows that know nothing of lanes. */
#include "kit.h"
#include <string.h>

static size_t aligned(size_t n)
{
	return (n + 63) / 64 * 64;
}

static bool nothing_to_do(const struct pare_call *c)
{
	for (int i = 0; i < c->n_in; i++)
		if (c->in[i] && c->in[i]->lanes > 1)
			return false;
	for (int i = 0; i < c->n_out; i++)
		if (c->out[i] && c->out[i]->lanes > 1)
			return false;
	return true;
}

static size_t lane_bytes(const struct pare_tensor *t)
{
	struct pare_tensor x;

	if (!t)
		return 0;
	x = *t;
	x.lanes = 1;
	return aligned(sizeof x) + aligned(op_count(&x) * op_size(x.dtype));
}

size_t op_lanes_scratch(const struct pare_call *c)
{
	size_t bytes = aligned((size_t)(c->n_in + c->n_out) * sizeof(void *));

	if (nothing_to_do(c))
		return 0;
	for (int i = 0; i < c->n_in; i++)
		bytes += lane_bytes(c->in[i]);
	for (int i = 0; i < c->n_out; i++)
		bytes += lane_bytes(c->out[i]);
	return bytes;
}

/* Elements of lane `lane` of `t` (or of its only one) into x, or back. */
static void copy_in(const struct pare_tensor *t, int lane, const struct pare_tensor *x)
{
	size_t n = op_count(x), step = (size_t)t->lanes, size = op_size(t->dtype);
	size_t at = step == 1 ? 0 : (size_t)lane;

	for (size_t i = 0; i < n; i++, at += step)
		memcpy(x->u8 + i * size, t->u8 + at * size, size);
}

static void copy_out(const struct pare_tensor *t, int lane, const struct pare_tensor *x)
{
	size_t n = op_count(x), step = (size_t)t->lanes, size = op_size(t->dtype);
	size_t at = step == 1 ? 0 : (size_t)lane;

	for (size_t i = 0; i < n; i++, at += step)
		memcpy(t->u8 + at * size, x->u8 + i * size, size);
}

static struct pare_tensor *make_room(const struct pare_tensor *t, char **room)
{
	struct pare_tensor *x = (void *)*room;

	if (!t)
		return NULL;
	*x = *t;
	x->lanes = 1;
	x->data = *room + aligned(sizeof *x);
	*room += lane_bytes(t);
	return x;
}

void op_each_lane(const struct pare_call *c, pare_forward_fn *one)
{
	struct pare_call plain = *c;
	char *room = c->scratch;
	struct pare_tensor **t = (void *)room;

	if (nothing_to_do(c)) {
		one(c);
		return;
	}
	plain.lanes = 1;
	plain.in = (const struct pare_tensor *const *)t;
	plain.out = t + c->n_in;
	room += aligned((size_t)(c->n_in + c->n_out) * sizeof(void *));
	for (int i = 0; i < c->n_in; i++)
		t[i] = make_room(c->in[i], &room);
	for (int i = 0; i < c->n_out; i++)
		t[c->n_in + i] = make_room(c->out[i], &room);
	plain.scratch = room;
	for (int l = 0; l < c->lanes; l++) {
		for (int i = 0; i < c->n_in; i++)
			if (t[i])
				copy_in(c->in[i], l, t[i]);
		one(&plain);
		for (int i = 0; i < c->n_out; i++)
			if (c->out[i])
				copy_out(c->out[i], l, t[c->n_in + i]);
	}
}
