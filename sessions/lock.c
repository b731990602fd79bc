#include "lock.h"
#include "file.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *beside(const char *path)
{
	char *out;

	return asprintf(&out, "%s.lock", path) < 0 ? NULL : out;
}

static long read_pid(int fd)
{
	char buf[32] = "";
	ssize_t n = pread(fd, buf, sizeof buf - 1, 0);

	return n > 0 ? strtol(buf, NULL, 10) : 0;
}

/* The file may have been removed by the owner before between our open and our lock. */
static bool still_there(int fd, const char *name)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(name, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static enum pare_status refused(const char *path, int fd, int why, struct pare_err *err)
{
	long owner = read_pid(fd);

	close(fd);
	if (why != EWOULDBLOCK)
		return pare_fail(err, PARE_E_IO, "%s cannot be locked: %s", path, strerror(why));
	return pare_fail(err, PARE_E_BUSY,
		"%s is open in another pare (process %ld); leave that one, or name another file "
		"with "
		"--session",
		path, owner);
}

static enum pare_status take(const char *path, const char *name, int *out, struct pare_err *err)
{
	int fd, n, tries = 4; /* pare_store_owner may hold it for a moment */
	char pid[32];

	for (;;) {
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return pare_fail(
				err, PARE_E_IO, "%s cannot be written: %s", path, strerror(errno));
		if (!flock(fd, LOCK_EX | LOCK_NB)) {
			if (still_there(fd, name))
				break;
		} else if (errno != EWOULDBLOCK || !--tries)
			return refused(path, fd, errno, err);
		else
			usleep(2000);
		close(fd);
	}
	n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	if (!ftruncate(fd, 0) && pwrite(fd, pid, (size_t)n, 0) != n)
		n = 0; /* a full disk: the lock holds all the same */
	*out = fd;
	return PARE_OK;
}

enum pare_status pare_lock_take(const char *path, int *fd, struct pare_err *err)
{
	char *name = beside(path), *folder = pare_path_folder(path);
	enum pare_status st = name && folder ? PARE_OK : pare_nomem(err, path);

	if (!st)
		st = pare_path_make(folder, err);
	if (!st)
		st = take(path, name, fd, err);
	free(name);
	free(folder);
	return st;
}

void pare_lock_give(const char *path, int fd)
{
	char *name = beside(path);

	if (name)
		unlink(name); /* while it is still ours */
	free(name);
	close(fd);
}

long pare_store_owner(const char *path)
{
	char *name = beside(path);
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	long owner = 0;

	free(name);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
		owner = read_pid(fd);
	close(fd);
	return owner;
}
