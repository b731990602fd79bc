/* Files that appear whole or not at all. */
#ifndef PARE_FILE_H
#define PARE_FILE_H
#include "../pare.h"

/* Write beside `path`, flush to the disk, rename over it.  PARE_E_IO names the file and the reason.
 */
PARE_MUST_CHECK enum pare_status
pare_file_write(const char *path, const void *data, size_t len, struct pare_err *err);

#endif
