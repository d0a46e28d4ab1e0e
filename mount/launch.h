/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the holder of a mount: its command line, the daemon, the wait until the mount is live.
 */
#ifndef SFS_MOUNT_LAUNCH_H
#define SFS_MOUNT_LAUNCH_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* A mount as asked for. Strings are owned (mem_free). */
struct mount_request {
	char *source;	  /* paths in it are absolute */
	char *mountpoint; /* absolute, parents resolved; need not exist yet */
	char *options;	  /* text of -o, "" if none */
	bool foreground;
	bool check_only; /* mount(8)'s -f: everything but the mount */
	bool sloppy;	 /* unknown options are dropped, not refused */
	bool verbose;
};
void mount_request_clear(struct mount_request *m);

/* Canonical path of a file or directory that need not exist yet: what exists of it is resolved.
 * mem_free(). -errno with the path. */
int launch_place(const char *path, char **ret, struct sfs_err *err);

/* SOURCE with an absolute path where it has one, that of a config file or the location of a back
 * end whose location is a path: a daemon's directory is not the caller's. mem_free(); NULL on no
 * memory. */
char *launch_source(const char *source);

/* A list of strings for execv(3), owned. Zero-initialise. */
struct argv {
	char **v; /* ended by NULL */
	size_t n;
};
void argv_clear(struct argv *a);

/* The home directory of the caller: HOME if it is an absolute path, else that of the account; NULL
 * if there is none. Owned by the process' environment or user data base: copy it. */
const char *launch_home(void);

/* Checks the whole request as the worker will (options, source, config file), and makes the
 * holder's command line without --ready-fd. What the sources have to say to whoever mounts
 * (needs_note()) is printed. Errors: EINVAL and those of config_load(). */
int launch_argv(const struct mount_request *m, struct argv *ret, struct sfs_err *err);

/* Runs the holder and returns the exit code of the command: as a daemon, when the mount is live or
 * has failed; in the foreground only if the holder could not be started. Prints what went wrong. */
int launch(const struct mount_request *m, const struct argv *holder);

#endif
