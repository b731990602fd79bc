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
