/* Where plugins and profiles come from, and who is let in. */
#ifndef PARE_LOADER_H
#define PARE_LOADER_H
#include "device.h"
#include "devices.h"
#include <limits.h>

/* pare's own folder, found from where the running program lies, never from the current folder:
 * ROOT/plugins of a source tree (the program is in ROOT/build/…), else PREFIX/lib/pare/plugins (the
 * program is in PREFIX/bin).  It holds *.so and profiles/.  false: there is none. */
bool pare_loader_own_folder(char out[PATH_MAX]);
/* ~/.config/pare ($XDG_CONFIG_HOME/pare), which holds plugins/ and profiles/; false: no home. */
bool pare_loader_user_folder(char out[PATH_MAX]);

/* Files in `folder` that end in `ending`, sorted by name; free each and the list.  -1 = it cannot
 * be read (a folder that is not there is empty). */
int pare_loader_files(const char *folder, const char *ending, char ***out);

/* Code is let in when neither the file nor its folder can be written to by anybody but its owner,
 * who is root or who runs pare, and no folder above lets others swap it.  PARE_E_ARG says what is
 * wrong. */
PARE_MUST_CHECK enum pare_status pare_loader_trust_code(const char *path, struct pare_err *err);
/* Text is data: it is let in unless everybody can write to it or to its folder. */
PARE_MUST_CHECK enum pare_status pare_loader_trust_text(const char *path, struct pare_err *err);

/* Open a shared object; it stays open until the process ends.  PARE_E_FORMAT, PARE_E_MISMATCH (made
 * for another ABI), PARE_E_ARG (not trusted). */
PARE_MUST_CHECK enum pare_status
pare_loader_open(const char *path, const struct pare_plugin **out, struct pare_err *err);
/* Is this a plugin that pare can call?  PARE_E_MISMATCH. */
PARE_MUST_CHECK enum pare_status
pare_loader_check(const struct pare_plugin *plugin, const char *path, struct pare_err *err);

/* pare_devices_load with folders as given (NULL = none): own holds *.so and profiles/, user holds
 * plugins/ and profiles/. */
PARE_MUST_CHECK enum pare_status pare_devices_load_from(
	const char *own, const char *user, struct pare_devices **out, struct pare_err *err);

extern const struct pare_plugin pare_host_plugin; /* this machine */

#endif
