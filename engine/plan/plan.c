/* The plan as a value. */
#include "../quantize/steps.h"
#include "fields.h"
#include <stdlib.h>
#include <string.h>

struct pare_plan *pare_plan_new(int n_layers)
{
	struct pare_plan *p = malloc(sizeof *p);

	if (!p)
		return NULL;
	p->n = n_layers;
	p->steps = 0;
	p->dials = calloc((size_t)(n_layers > 0 ? n_layers : 1), sizeof *p->dials);
	if (!p->dials) {
		free(p);
		return NULL;
	}
	return p;
}

struct pare_plan *pare_plan_copy(const struct pare_plan *p)
{
	struct pare_plan *q = pare_plan_new(p->n);

	if (q) {
		memcpy(q->dials, p->dials, (size_t)p->n * sizeof *p->dials);
		q->steps = p->steps;
	}
	return q;
}

void pare_plan_free(struct pare_plan *p)
{
	if (!p)
		return;
	free(p->dials);
	free(p);
}

/* A method that has no effect is no difference. */
bool pare_dials_equal(const struct pare_dials *x, const struct pare_dials *y)
{
	struct pare_dials a = pare_dials_effective(*x), b = pare_dials_effective(*y);

	for (int i = 0; i < pare_n_fields; i++)
		if (*pare_field_of(&a, i) != *pare_field_of(&b, i))
			return false;
	return a.sparsity == b.sparsity && a.channels == b.channels && a.exit == b.exit &&
	       a.rank == b.rank;
}

bool pare_plan_equal(const struct pare_plan *a, const struct pare_plan *b)
{
	if (a->n != b->n || a->steps != b->steps)
		return false;
	for (int i = 0; i < a->n; i++)
		if (!pare_dials_equal(&a->dials[i], &b->dials[i]))
			return false;
	return true;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15u; /* splitmix64's finalizer, chained */
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
	return h ^ (h >> 31);
}

uint64_t pare_plan_hash(const struct pare_plan *p)
{
	uint64_t h = mix(0x70617265, (uint64_t)p->n);

	for (int i = 0; i < p->n; i++) {
		struct pare_dials d = pare_dials_effective(p->dials[i]);
		uint32_t sparsity, channels, exit, rank;
		uint64_t rows = 0;

		memcpy(&sparsity, &d.sparsity, 4);
		memcpy(&channels, &d.channels, 4);
		for (int k = 0; k < pare_n_fields; k++) {
			rows |= (uint64_t)*pare_field_of(&d, k) << k % 8 * 8;
			if (k % 8 == 7 || k + 1 == pare_n_fields) {
				h = mix(h, rows);
				rows = 0;
			}
		}
		h = mix(h, sparsity | (uint64_t)channels << 32);
		if (d.exit != 0) {
			memcpy(&exit, &d.exit, 4);
			h = mix(h, (uint64_t)exit << 32 | (uint64_t)i);
		}
		if (d.rank != 0) {
			memcpy(&rank, &d.rank, 4);
			h = mix(h, ((uint64_t)rank << 32 | (uint64_t)i) + 1);
		}
	}
	if (p->steps)
		h = mix(h, p->steps);
	return h;
}

bool pare_plan_leaves(const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++)
		if (p->dials[i].exit != 0)
			return true;
	return false;
}

int pare_plan_n_changed(const struct pare_plan *p)
{
	int n = 0;

	for (int i = 0; i < p->n; i++)
		n += !pare_dials_equal(&p->dials[i], &(struct pare_dials){ 0 });
	return n;
}

int pare_plan_multiplies_bytes(const struct pare_plan *p)
{
	for (int i = 0; i < p->n; i++) {
		const struct pare_dials *d = &p->dials[i];
		const struct pare_format *w = &pare_formats[d->weights],
					 *a = &pare_formats[d->activations];

		if (w->kind == PARE_KIND_INT && w->bits == 8 && a->kind == PARE_KIND_INT &&
			a->bits == 8 && (a->store == PARE_U8 || pare_rangings[d->ranging].dynamic))
			return i;
	}
	return -1;
}

unsigned pare_step_narrow(void)
{
	unsigned bit = 0;

	for (int i = 0; pare_plan_steps[i].name; i++)
		bit |= (unsigned)pare_plan_steps[i].narrows << i;
	return bit;
}
