/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a user's command by the spawner (mount/holder_spawner.c). */
#ifndef SFS_MOUNT_HOLDER_EXEC_H
#define SFS_MOUNT_HOLDER_EXEC_H

#include "base/err.h"
#include <stddef.h>
#include <sys/types.h>

/* All borrowed. */
struct exec_command {
	const char *text;		   /* for sh -c */
	const char *point, *source, *home; /* for its environment */
};

/* The spawner becomes the caller of mount, the real user of the holder, for good. What it keeps is
 * CAP_KILL, if that is root, to end what a command of root's started as somebody else. Commands of
 * root have root's rights; those of others none beyond theirs. */
int exec_become_caller(struct sfs_err *err);

/* Starts `sh -c` in a session and process group of its own: `input` (a sealed memory file, so that
 * nobody has to wait for a reader) is its standard input, *ret_out the end of the pipe that gets
 * output and error, not blocking. Nothing else is inherited; signals are as new, umask 022,
 * directory /, and the environment is PATH, HOME, LANG, SECRETFS_MOUNTPOINT and SECRETFS_SOURCE. */
int exec_start(const struct exec_command *c, const char *input, size_t len, pid_t *ret_pid,
	int *ret_out, struct sfs_err *err);

#endif
