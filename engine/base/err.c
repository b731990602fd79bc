#include "err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum pare_status pare_fail(struct pare_err *err, enum pare_status code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		err->code = code;
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return code;
}

enum pare_status pare_wrap(struct pare_err *err, enum pare_status code, const char *fmt, ...)
{
	char was[sizeof err->text];
	va_list ap;
	size_t n;

	if (!err)
		return code;
	memcpy(was, err->text, sizeof was);
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	n = strlen(err->text);
	snprintf(err->text + n, sizeof err->text - n, ": %s", was);
	err->code = code;
	return code;
}

enum pare_status pare_nomem(struct pare_err *err, const char *what)
{
	return pare_fail(err, PARE_E_NOMEM, "not enough memory for %s", what);
}
