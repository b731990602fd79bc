#include "saying.h"
#include <stdarg.h>
#include <stdio.h>

enum pare_status saying_answer(const struct saying *y, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(y->reply->text, sizeof y->reply->text, fmt, ap);
	va_end(ap);
	return PARE_OK;
}

void saying_moved(const struct saying *y)
{
	workspace_refresh(y->w);
	worker_reconsider(y->w);
}
