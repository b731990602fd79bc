#include "loader.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders ---------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
	struct stat s;

	return !stat(path, &s) && S_ISDIR(s.st_mode);
}

bool pare_loader_own_folder(char out[PATH_MAX])
{
	char exe[PATH_MAX], *build = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0 || n > PATH_MAX - 64)
		return false;
	exe[n] = 0;
	for (char *at = exe; (at = strstr(at, "/build/")); at++)
		build = at;
	if (build) {
		snprintf(out, PATH_MAX, "%.*s/plugins", (int)(build - exe), exe);
		if (is_folder(out))
			return true;
	}
	for (int up = 0; up < 2; up++) /* the program's name, then bin */
		if (strrchr(exe, '/'))
			*strrchr(exe, '/') = 0;
	snprintf(out, PATH_MAX, "%.*s/lib/pare/plugins", PATH_MAX - 32, exe);
	return is_folder(out);
}

bool pare_loader_user_folder(char out[PATH_MAX])
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && *config == '/')
		n = snprintf(out, PATH_MAX, "%s/pare", config);
	else if (home && *home == '/')
		n = snprintf(out, PATH_MAX, "%s/.config/pare", home);
	else
		return false;
	return n > 0 && n < PATH_MAX - 32;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_in(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && !strcmp(name + n - m, ending);
}

int pare_loader_files(const char *folder, const char *ending, char ***out)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	char **files = NULL;
	int n = 0;

	*out = NULL;
	if (!d)
		return errno == ENOENT ? 0 : -1;
	while ((e = readdir(d))) {
		char **more, *path;

		if (*e->d_name == '.' || !ends_in(e->d_name, ending))
			continue;
		more = realloc(files, sizeof *files * ((size_t)n + 1));
		if (more)
			files = more;
		if (!more || asprintf(&path, "%s/%s", folder, e->d_name) < 0) {
			while (n)
				free(files[--n]);
			free(files);
			closedir(d);
			return -1;
		}
		files[n++] = path;
	}
	closedir(d);
	if (n)
		qsort(files, (size_t)n, sizeof *files, by_name);
	*out = files;
	return n;
}

/* ---- trust ------------------------------------------------------------------------------ */

static enum pare_status look(const char *path, struct stat *s, struct pare_err *err)
{
	if (stat(path, s))
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	return PARE_OK;
}

/* Cut an absolute path down to the folder that it lies in. */
static void cut_to_folder(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		slash[slash == path] = 0; /* keeps the root's slash */
}

static enum pare_status trust_owner(const char *path, struct pare_err *err)
{
	struct stat s;
	enum pare_status st = look(path, &s, err);

	if (st)
		return st;
	if (s.st_uid && s.st_uid != geteuid())
		return pare_fail(err, PARE_E_ARG,
			"%s belongs to another user, so it is not loaded: own it, or have it owned "
			"by root",
			path);
	if (s.st_mode & (S_IWGRP | S_IWOTH))
		return pare_fail(err, PARE_E_ARG,
			"%s can be written to by others, so it is not loaded: chmod go-w '%s'",
			path, path);
	return PARE_OK;
}

enum pare_status pare_loader_trust_code(const char *path, struct pare_err *err)
{
	char folder[PATH_MAX];
	struct stat s;
	enum pare_status st = trust_owner(path, err);

	if (st)
		return st;
	snprintf(folder, sizeof folder, "%s", path);
	cut_to_folder(folder);
	st = trust_owner(folder, err);
	while (!st && strcmp(folder, "/")) {
		cut_to_folder(folder);
		st = look(folder, &s, err);
		if (!st && s.st_mode & S_IWOTH && !(s.st_mode & S_ISVTX))
			st = pare_fail(err, PARE_E_ARG,
				"%s: everybody can write to %s, so it is not loaded", path, folder);
	}
	return st;
}

enum pare_status pare_loader_trust_text(const char *path, struct pare_err *err)
{
	char folder[PATH_MAX];
	struct stat s;
	enum pare_status st = look(path, &s, err);

	snprintf(folder, sizeof folder, "%s", path);
	cut_to_folder(folder);
	if (!st && s.st_mode & S_IWOTH)
		return pare_fail(err, PARE_E_ARG,
			"%s: everybody can write to it, so it is not read: chmod o-w '%s'", path,
			path);
	if (!st && !(st = look(folder, &s, err)) && s.st_mode & S_IWOTH)
		return pare_fail(err, PARE_E_ARG,
			"%s: everybody can write to its folder, so it is not read: chmod o-w '%s'",
			path, folder);
	return st;
}

/* ---- shared objects --------------------------------------------------------------------- */

enum pare_status
pare_loader_check(const struct pare_plugin *plugin, const char *path, struct pare_err *err)
{
	if (!plugin)
		return pare_fail(err, PARE_E_FORMAT, "%s: would not start", path);
	if (plugin->abi_major != PARE_PLUGIN_ABI)
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: is made for plugin ABI %u, this pare has %d: %s", path,
			plugin->abi_major, PARE_PLUGIN_ABI,
			plugin->abi_major > PARE_PLUGIN_ABI ? "it needs a newer pare"
							    : "build it anew");
	if (!PARE_PLUGIN_HAS(plugin, device))
		return pare_fail(err, PARE_E_MISMATCH,
			"%s: its struct pare_plugin is %u bytes, too short to have devices: build "
			"it anew",
			path, plugin->size);
	if (!plugin->open || !plugin->device)
		return pare_fail(err, PARE_E_FORMAT, "%s: has no open() or no device()", path);
	return PARE_OK;
}

enum pare_status
pare_loader_open(const char *path, const struct pare_plugin **out, struct pare_err *err)
{
	static const struct pare_plugin_host host = { PARE_PLUGIN_ABI, sizeof host, PARE_VERSION };
	char real[PATH_MAX];
	const struct pare_plugin *plugin;
	pare_plugin_entry_fn *entry;
	enum pare_status st;
	void *object;

	if (!realpath(path, real))
		return pare_fail(err, PARE_E_IO, "%s: %s", path, strerror(errno));
	if ((st = pare_loader_trust_code(real, err)))
		return st;
	object = dlopen(real, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return pare_fail(err, PARE_E_FORMAT, "%s: cannot be loaded: %s", path, dlerror());
	*(void **)&entry = dlsym(object, PARE_PLUGIN_ENTRY); /* as POSIX has it */
	if (!entry)
		return pare_fail(err, PARE_E_FORMAT,
			"%s: is no plugin of pare: it has no symbol " PARE_PLUGIN_ENTRY, path);
	plugin = entry(&host);
	if ((st = pare_loader_check(plugin, path, err)))
		return st;
	*out = plugin;
	return PARE_OK;
}
