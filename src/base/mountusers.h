/* SPDX-License-Identifier: Apache-2.0 */
/* Who keeps a mount busy (R30), from /proc alone: nothing here asks the mounted file system
 * anything. */
#ifndef SFS_BASE_MOUNTUSERS_H
#define SFS_BASE_MOUNTUSERS_H

#include "base/err.h"
#include <stddef.h>
#include <sys/types.h>

#define MOUNT_USERS_MAX 64 /* uses listed: enough to see the pattern, short enough to read */

#define RENAMER_COMM "sfs-renamer" /* name of the holder's process that renames in its mount */

struct mount_user {
	pid_t pid;
	char comm[20]; /* printable ASCII */
	char how[16];  /* "cwd", "root", "fd 5", "map" */
	char *path;    /* printable ASCII */
};

/* Uses of the mount of device `dev` at canonical path `point` by processes of our mount namespace,
 * at most MOUNT_USERS_MAX. What may not be looked at (without privilege: other users' processes) is
 * left out. Free with mount_users_free(). Errors: EINVAL (no such mount there), ENOMEM, those of
 * reading /proc. */
int mount_users(
	const char *point, dev_t dev, struct mount_user **ret, size_t *ret_n, struct sfs_err *err);
void mount_users_free(struct mount_user *u, size_t n);

/* The process that answers for the mount with device number `dev`: the holder, or a worker without
 * one; 0 if unknown. The worker's last argument is "MAJOR:MINOR". */
pid_t mount_server(dev_t dev);

#endif
