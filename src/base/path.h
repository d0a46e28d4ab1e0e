/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files without ever walking through our own mount (R23; design section 5).
 *
 * Paths are walked one component at a time with openat(O_PATH|O_NOFOLLOW), links are read and
 * walked the same way. When the walk arrives at the root of our own mount (known by device number,
 * so bind mounts of it count too) it goes on in the directory the mount covers, whose descriptor
 * was taken before mounting. What lies deeper in our mount (a bind mount of a subdirectory) is
 * refused with ELOOP. Only regular files and directories are opened.
 *
 * What the process may not open itself (EACCES, EPERM) the holder opens for it (base/hold.h), when
 * `hold` is set.
 */
#ifndef SFS_BASE_PATH_H
#define SFS_BASE_PATH_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct hold_client;

struct path_env {
	int covered_fd;	 /* O_PATH or O_RDONLY directory that our mount covers, or -1 before and
			    without a mount */
	dev_t mount_dev; /* device number of our mount from mountinfo; 0 = none yet */
	struct hold_client *hold; /* the holder, or NULL: no help (the holder itself, tests,
				     `secretfs check`) */
};

/* Canonical absolute path of the opened object is written to `*ret_canonical` (mem_free) if not
 * NULL; components below the covered directory appear under the mount point's path. */
int path_open_file(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err);
int path_open_dir(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err);
/* Errors of both: -errno of the failing step with the path in the sentence; EINVAL (path not
 * absolute), ELOOP, ENAMETOOLONG, EISDIR, ENOTDIR, EACCES ("is a fifo" and so on: not a regular
 * file). Descriptors are O_CLOEXEC, read-only. */

/* The walk alone, without help of the holder: an O_PATH descriptor of whatever `path` leads to, and
 * its canonical path. The holder checks that path before it opens what was found (path_reopen()),
 * so that nothing can be swapped in between. */
int path_walk(const struct path_env *env, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err);
/* What may be opened for reading, from an O_PATH descriptor; `path` is for the sentence. */
int path_reopen_file(int opath_fd, const char *path, int *ret_fd, struct sfs_err *err);
int path_reopen_dir(int opath_fd, const char *path, int *ret_fd, struct sfs_err *err);
int path_watch_fd(int opath_fd, const char *path, unsigned mask, int *ret_fd, struct sfs_err *err);

/* A new inotify descriptor (IN_NONBLOCK|IN_CLOEXEC) with one watch of `mask` on directory or file
 * `path`. */
int path_watch(const struct path_env *env, const char *path, unsigned mask, int *ret_fd,
	struct sfs_err *err);

/* Reads the whole regular file into `b` (append): at most b->max bytes, else EFBIG. Checks that
 * size and mtime did not change meanwhile and retries a few times, so that a file written in place
 * is not seen half; EAGAIN at the end. */
struct buf;
int path_read(int fd, const char *path, struct buf *b, struct sfs_err *err);

/* True if canonical path `path` is `root` or below it. Both absolute, without trailing slash
 * (except "/"). */
bool path_below(const char *path, const char *root);

#endif
