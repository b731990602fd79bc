#include "file.h"
#include "err.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len > (1 << 30) ? 1 << 30 : len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd);
}

enum pare_status
pare_file_write(const char *path, const void *data, size_t len, struct pare_err *err)
{
	size_t room = strlen(path) + 8;
	char *temp = malloc(room);
	mode_t mask;
	int fd, bad;

	if (!temp)
		return pare_nomem(err, "a file name");
	snprintf(temp, room, "%s.XXXXXX", path);
	fd = mkstemp(temp);
	if (fd < 0) {
		free(temp);
		return pare_fail(err, PARE_E_IO, "%s cannot be written: %s", path, strerror(errno));
	}
	mask = umask(0);
	umask(mask);
	fchmod(fd, 0666 & ~mask);
	bad = write_all(fd, data, len) ? errno : 0;
	if (close(fd) && !bad)
		bad = errno;
	if (!bad && rename(temp, path))
		bad = errno;
	if (bad)
		unlink(temp);
	free(temp);
	return bad ? pare_fail(err, PARE_E_IO, "%s cannot be written: %s", path, strerror(bad))
		   : PARE_OK;
}
