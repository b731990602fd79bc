/* Einsum: out[free letters] = sum over the other letters of the product of the inputs. */
#include "../graph/model.h"
#include "kit.h"
#include <string.h>

struct einsum {
	const char *equation;
};
static const struct pare_attr einsum_attrs[] = {
	{ "equation", PARE_ATTR_STRING, offsetof(struct einsum, equation), 0, 0 }, { 0 }
};

/* Axes are numbered: 0 … 51 for letters, above for those of an ellipsis, the last one 59. */
enum { MAX_TERMS = 8, DOTS_END = 60, AXES = 60 };

struct term {
	int n;
	int8_t axis[PARE_MAX_DIMS];
};
struct sum {
	int n_in, n_order; /* order: axes of the output, then those that are summed over */
	int n_out;
	struct term in[MAX_TERMS], out;
	int64_t d[AXES]; /* 0: not there */
	int order[AXES];
};

static int letter(char c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

/* One side of a comma; `dots` axes stand for an ellipsis.  NULL when it is no term. */
static const char *read_term(const char *s, int dots, struct term *t)
{
	t->n = 0;
	for (; *s && *s != ',' && strncmp(s, "->", 2); s++) {
		int a = letter(*s), from = a, n = 1;

		if (*s == ' ')
			continue;
		if (a < 0 && !strncmp(s, "...", 3)) {
			s += 2;
			from = DOTS_END - dots;
			n = dots;
		} else if (a < 0)
			return NULL;
		if (n < 0 || t->n + n > PARE_MAX_DIMS)
			return NULL;
		for (int i = 0; i < n; i++)
			t->axis[t->n++] = (int8_t)(from + i);
	}
	return s;
}

static int count_letters(const char *s)
{
	int n = 0;

	for (; *s && *s != ',' && strncmp(s, "->", 2); s++)
		n += letter(*s) >= 0;
	return n;
}

static bool has_dots(const char *s)
{
	for (; *s && *s != ',' && strncmp(s, "->", 2); s++)
		if (!strncmp(s, "...", 3))
			return true;
	return false;
}

/* Without "->", the output has the letters that occur once, in the alphabet's order. */
static void imply_output(struct sum *e, int dots)
{
	int count[AXES] = { 0 };

	for (int i = 0; i < e->n_in; i++)
		for (int k = 0; k < e->in[i].n; k++)
			count[e->in[i].axis[k]]++;
	for (int a = DOTS_END - dots; a < DOTS_END; a++)
		e->out.axis[e->out.n++] = (int8_t)a;
	for (int i = 0; i < 52; i++) {
		int a = (i + 26) % 52; /* capitals come first */

		if (count[a] == 1 && e->out.n < PARE_MAX_DIMS)
			e->out.axis[e->out.n++] = (int8_t)a;
	}
}

static enum pare_status read_sum(const char *s, int n_in, const struct pare_shape *const *x,
	struct sum *e, struct pare_err *err)
{
	bool seen[AXES] = { false };
	int most = 0;

	memset(e, 0, sizeof *e);
	if (!s || n_in > MAX_TERMS)
		return pare_fail(err, PARE_E_UNSUPPORTED, "more than %d inputs", MAX_TERMS);
	for (; e->n_in < n_in && s; e->n_in++) {
		const struct pare_shape *shape = x[e->n_in];
		int dots = shape->n - count_letters(s);

		if (dots < 0 || (dots && !has_dots(s)))
			return pare_fail(
				err, PARE_E_FORMAT, "the equation does not fit input %d", e->n_in);
		most = has_dots(s) && dots > most ? dots : most;
		s = read_term(s, dots, &e->in[e->n_in]);
		for (int k = 0; s && k < shape->n; k++) {
			int64_t *d = &e->d[e->in[e->n_in].axis[k]];

			if (*d && shape->d[k] != *d && shape->d[k] != 1 && *d != 1)
				return pare_fail(err, PARE_E_FORMAT,
					"the equation does not fit input %d", e->n_in);
			*d = !*d || *d == 1 ? shape->d[k] : *d;
			if (!*d)
				return pare_fail(
					err, PARE_E_UNSUPPORTED, "input %d is empty", e->n_in);
		}
		if (s && *s == ',')
			s++;
	}
	if (s && !strncmp(s, "->", 2))
		s = read_term(s + 2, most, &e->out);
	else if (s && !*s)
		imply_output(e, most);
	if (!s || *s)
		return pare_fail(err, PARE_E_FORMAT, "the equation cannot be read");
	for (int k = 0; k < e->out.n; k++) {
		int a = e->out.axis[k];

		if (seen[a] || !e->d[a])
			return pare_fail(err, PARE_E_FORMAT, "the equation's output is wrong");
		seen[a] = true;
		e->order[e->n_order++] = a;
	}
	e->n_out = e->n_order;
	for (int a = 0; a < AXES; a++)
		if (e->d[a] && !seen[a])
			e->order[e->n_order++] = a;
	return PARE_OK;
}

static enum pare_status shape_einsum(const struct pare_shape_call *c, struct pare_err *err)
{
	const struct einsum *a = c->attr;
	const struct pare_shape *x[MAX_TERMS];
	enum pare_status st = PARE_OK;
	struct sum e;

	for (int i = 0; i < c->n_in && !st; i++) {
		st = op_types(c, i, OP_REALS, err);
		if (i < MAX_TERMS)
			x[i] = &c->in[i]->shape;
	}
	if (st || (st = read_sum(a->equation, c->n_in, x, &e, err)))
		return st;
	c->out[0].dtype = c->in[0]->dtype;
	c->out[0].shape.n = e.n_out;
	for (int k = 0; k < e.n_out; k++)
		c->out[0].shape.d[k] = e.d[e.order[k]];
	return PARE_OK;
}

/* Floats from one index of an axis to the next, in each input. */
static void
find_steps(const struct sum *e, const struct pare_shape *const *x, size_t steps[AXES][MAX_TERMS])
{
	memset(steps, 0, AXES * sizeof *steps);
	for (int i = 0; i < e->n_in; i++) {
		size_t step = 1;

		for (int k = e->in[i].n; k-- > 0;) {
			if (x[i]->d[k] != 1)
				steps[e->in[i].axis[k]][i] += step;
			step *= (size_t)x[i]->d[k];
		}
	}
}

static double sum_from(const struct sum *e, const struct pare_call *c, int depth,
	size_t (*steps)[MAX_TERMS], const size_t *from)
{
	size_t at[MAX_TERMS];
	double sum = 0;
	int a;

	if (depth == e->n_order) {
		sum = 1;
		for (int i = 0; i < e->n_in; i++)
			sum *= c->in[i]->f32[from[i]];
		return sum;
	}
	a = e->order[depth];
	memcpy(at, from, sizeof at);
	for (int64_t j = 0; j < e->d[a]; j++) {
		sum += sum_from(e, c, depth + 1, steps, at);
		for (int i = 0; i < e->n_in; i++)
			at[i] += steps[a][i];
	}
	return sum;
}

static void einsum_one(const struct pare_call *c)
{
	const struct einsum *a = c->attr;
	const struct pare_shape *x[MAX_TERMS];
	size_t steps[AXES][MAX_TERMS], n = op_count(c->out[0]);
	struct sum e;

	for (int i = 0; i < c->n_in; i++)
		x[i] = &c->in[i]->shape;
	if (read_sum(a->equation, c->n_in, x, &e, NULL))
		return; /* shapes were checked: does not happen */
	find_steps(&e, x, steps);
	for (size_t o = 0; o < n; o++) {
		size_t from[MAX_TERMS] = { 0 }, rest = o;

		for (int k = e.n_out; k-- > 0;) {
			int axis = e.order[k];
			size_t index = rest % (size_t)e.d[axis];

			rest /= (size_t)e.d[axis];
			for (int i = 0; i < e.n_in; i++)
				from[i] += index * steps[axis][i];
		}
		c->out[0]->f32[o] = (float)sum_from(&e, c, e.n_out, steps, from);
	}
}
OP_BY_LANE(einsum)

/* clang-format off */
const struct pare_op pare_ops_einsum[] = {
	{ .name = "Einsum", .since = 12, .min_in = 1, .max_in = -1, .attrs = einsum_attrs,
	  .attr_size = sizeof(struct einsum), .shape = shape_einsum, .forward = einsum_forward,
	  .scratch = op_lanes_scratch,
	  .sample = "f32[1,3,4] f32[4,5]! equation=bij,jk->bik|f32[1,3,3] equation=...ii->...i|"
		    "f32[1,3,4] f32[1,3,4] f32[3]! equation=bij,bij,i->b" },
	{ 0 } };
/* clang-format on */
