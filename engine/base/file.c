#include "err.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0 or errno. */
static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len > (1 << 30) ? 1 << 30 : len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_into(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), bad;

	if (fd < 0)
		return errno;
	bad = write_all(fd, data, len);
	return close(fd) && !bad ? errno : bad;
}

static void sync_folder(char *path)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (slash)
		slash[slash == path] = 0;
	fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd); /* not every file system can; the rename itself is whole anyway */
		close(fd);
	}
}

/* `aside` ends in XXXXXX and is spoilt. */
static int write_beside(char *aside, const char *path, const void *data, size_t len)
{
	mode_t mask = umask(0);
	int fd, bad;

	umask(mask);
	fd = mkostemp(aside, O_CLOEXEC);
	if (fd < 0)
		return errno;
	bad = write_all(fd, data, len);
	if (!bad && (fchmod(fd, 0666 & ~mask) || fsync(fd)))
		bad = errno;
	if (close(fd) && !bad)
		bad = errno;
	if (!bad && rename(aside, path))
		bad = errno;
	if (bad)
		unlink(aside);
	else
		sync_folder(aside);
	return bad;
}

enum pare_status
pare_file_write(const char *path, const void *data, size_t len, struct pare_err *err)
{
	size_t room = strlen(path) + 8;
	struct stat sb;
	char *aside;
	int bad;

	if (!stat(path, &sb) && !S_ISREG(sb.st_mode))
		bad = write_into(path, data, len);
	else {
		if (!(aside = malloc(room)))
			return pare_nomem(err, "a file name");
		snprintf(aside, room, "%s.XXXXXX", path);
		bad = write_beside(aside, path, data, len);
		free(aside);
	}
	return bad ? pare_fail(err, PARE_E_IO, "%s cannot be written: %s", path, strerror(bad))
		   : PARE_OK;
}
