/* Files and paths, as sessions and recipes need them. */
#ifndef PARE_SESSIONS_FILE_H
#define PARE_SESSIONS_FILE_H
#include "../engine/pare.h"

/* The text of a regular file of at most `max` bytes, malloc'ed, with a 0 behind it.  PARE_E_IO,
 * PARE_E_FORMAT when it is larger or no regular file. */
PARE_MUST_CHECK enum pare_status
pare_text_read(const char *path, size_t max, char **text, size_t *len, struct pare_err *err);
/* All malloc'ed; NULL: no memory. */
char *pare_path_folder(const char *path);                   /* "a/b.c" → "a", "b.c" → "." */
char *pare_path_join(const char *folder, const char *path); /* path alone when it is absolute */
char *pare_path_absolute(const char *path);                 /* links followed where it exists */
char *pare_path_from(const char *folder, const char *path); /* path as seen from folder: ../x */
bool pare_path_same(const char *a, const char *b);          /* both are there and the same file */
/* Makes the folder and those above it, for the user alone. */
PARE_MUST_CHECK enum pare_status pare_path_make(const char *folder, struct pare_err *err);

/* A text that grows; `failed` once memory ran out, and from then on nothing is added. */
struct pare_text {
	char *s;
	size_t n, cap;
	bool failed;
};
void pare_text_add(struct pare_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
