/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the kernel what changed. Every notification is written by one thread that holds no lock
 * and serves no request: sent from a handler it deadlocks with the directory or page lock that the
 * handler's own caller holds (R24). The thread may wait for such a lock; handlers never wait for
 * the thread. Requests that must not be answered before the kernel has dropped something are
 * answered by notify_then().
 */
#ifndef SFS_MOUNT_NOTIFY_H
#define SFS_MOUNT_NOTIFY_H

#include "mount/inode.h"

/* The kernel forgets the name in its directory (inval_entry), if it knows the directory. */
void notify_name(struct fs *fs, struct dent *d);
/* The kernel drops attributes and pages of the inode. */
void notify_inode(struct fs *fs, struct inode *in);
/* Runs `action` in the notifier thread after everything queued so far. Runs it at once, in the
 * caller, if there is no memory to queue it. */
void notify_then(struct fs *fs, void (*action)(void *arg), void *arg);

/* core_events.changed: `arg` is the struct fs. */
void notify_changed(void *arg, struct dent *d, enum core_change what);

#endif
