/* SPDX-License-Identifier: Apache-2.0 */
/* The FUSE session of a mount whose descriptor the holder made: negotiation, serving threads. */
#ifndef SFS_MOUNT_SESSION_H
#define SFS_MOUNT_SESSION_H

#include "mount/fs.h"

/* A session on `fuse_fd` (taken over). Sets fs->se and fs->park_limit. */
int session_new(struct fs *fs, int fuse_fd, struct sfs_err *err);
/* Starts the threads. They end when the file system is unmounted. */
int session_start(struct fs *fs, struct sfs_err *err);
/* Waits until the file system is unmounted and every thread has ended. */
void session_wait(void);
/* Asks the threads to end although the file system may still be mounted. Repeat until
 * session_wait() has returned: a thread notices when it comes to wait for a request. SIGUSR1 must
 * have a handler without SA_RESTART. */
void session_stop(struct fs *fs);
void session_free(struct fs *fs);

#endif
