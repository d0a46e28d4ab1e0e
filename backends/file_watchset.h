/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories that a watch looks at. Directories which the worker may read share one inotify
 * descriptor; for others the holder gives one descriptor each. Used by one thread.
 *
 * The thread gets a working directory of its own (unshare(CLONE_FS)): a watch is added on "." after
 * fchdir(2), because the kernel must not walk a path that may lead through our own mount, and
 * /proc/self/fd is closed to an undumpable process.
 */
#ifndef SFS_BACKENDS_FILE_WATCHSET_H
#define SFS_BACKENDS_FILE_WATCHSET_H

#include "base/buf.h"
#include "base/path.h"
#include <stdbool.h>
#include <sys/inotify.h>

/* `name` NULL in watchset_add(): only that the directory itself goes away or moves. */
struct watched_dir;

struct watchset {
	const struct path_env *paths;
	int fd;			     /* shared inotify descriptor, or -1 */
	struct watched_dir *by_path; /* uthash */
	struct watched_dir *by_wd;   /* uthash of those on `fd` */
	size_t nfds;		     /* directories with a descriptor of their own */
	unsigned round;
};

enum event_kind {
	EVENT_CONTENT, /* bytes or attributes of the entry */
	EVENT_ENTRY,   /* an entry came, went or changed its meaning */
	EVENT_LOST,    /* anything may have changed: queue overflow, directory gone */
};
/* `rel`: name of the directory in the tree, NULL outside of it. `name` "" if none. */
typedef void watch_event(void *arg, enum event_kind kind, const char *rel, const char *name);

int watchset_init(struct watchset *set, const struct path_env *paths, struct sfs_err *err);
void watchset_clear(struct watchset *set);

/* Between begin and end all wanted directories are added (again); end drops the others. */
void watchset_begin(struct watchset *set);
void watchset_end(struct watchset *set);
/* Watches directory `path` for entry `name`, for all entries when `rel` is given (its name in the
 * tree), or else only for its own end. ENOSPC, EMFILE: no more watches on this machine; EACCES;
 * ENOENT. */
int watchset_add(struct watchset *set, const char *path, const char *name, const char *rel,
	struct sfs_err *err);

/* Waits for events (`timeout` in ms, -1 = no end), reads all that are there and calls `on_event`
 * for those that matter. Returns 1 when `stop_fd` is readable, else 0, or -errno. */
int watchset_wait(struct watchset *set, int stop_fd, int timeout, watch_event *on_event, void *arg);

#endif
