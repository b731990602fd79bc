#include "op.h"
#include <stdlib.h>
#include <string.h>

#define ROWS(name) extern const struct pare_op name[];
#include "gen/ops.inc"
#undef ROWS

static const struct pare_op *const families[] = {
#define ROWS(name) name,
#include "gen/ops.inc"
#undef ROWS
	NULL,
};

const struct pare_op *pare_op_row(int i)
{
	for (int f = 0; families[f]; f++)
		for (const struct pare_op *op = families[f]; op->name; op++)
			if (i-- == 0)
				return op;
	return NULL;
}

const struct pare_op *pare_op_identity(void)
{
	return pare_op_find(NULL, "Identity");
}

const struct pare_op *pare_op_cast(void)
{
	return pare_op_find(NULL, "Cast");
}

void *pare_op_attr(const struct pare_op *op, struct pare_arena *a)
{
	char *attr = pare_alloc(a, op->attr_size);

	for (const struct pare_attr *t = attr ? op->attrs : NULL; t && t->name; t++) {
		if (t->as_input > 0)
			continue;
		if (t->type == PARE_ATTR_INT)
			*(int64_t *)(attr + t->offset) = (int64_t)t->preset;
		else if (t->type == PARE_ATTR_FLOAT)
			*(float *)(attr + t->offset) = (float)t->preset;
	}
	return attr;
}

static bool same_domain(const char *a, const char *b)
{
	if (!a || !strcmp(a, "ai.onnx"))
		a = "";
	if (!b || !strcmp(b, "ai.onnx"))
		b = "";
	return !strcmp(a, b);
}

const struct pare_op *pare_op_find(const char *domain, const char *name)
{
	for (int f = 0; families[f]; f++)
		for (const struct pare_op *op = families[f]; op->name; op++)
			if (!strcmp(op->name, name) && same_domain(op->domain, domain))
				return op;
	return NULL;
}
