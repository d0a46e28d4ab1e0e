/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of the renamer process (design sections 4 and 6, R23): it renames, unlinks and
 * makes directories inside our own mount, so that inotify watchers see what happened. The kernel
 * sends each of these operations back to us as requests of the renamer's thread.
 *
 * Only one thread asks, the rename thread: never a FUSE handler, and never with a lock that a
 * handler takes. Nobody waits for a renamer longer than asked: one that does not answer in time is
 * given up, and the holder replaces it as soon as the kernel lets go of it. Without one changes
 * reach the kernel as notifications.
 */
#ifndef SFS_MOUNT_RENAMER_H
#define SFS_MOUNT_RENAMER_H

#include "base/hold.h"
#include "base/renmsg.h"
#include <stdbool.h>
#include <sys/types.h>

struct renamer;

/* `sock` (WORKER_RENAMER_FD) passes on success; `hold` is borrowed until renamer_free(). */
int renamer_new(int sock, struct hold_client *hold, struct renamer **ret);
/* When no thread uses it any more. NULL is fine. */
void renamer_free(struct renamer *r);

/* True if there is a renamer to ask. Any thread; never waits. */
bool renamer_ready(struct renamer *r);
/* In the rename thread: has the operation made. `from` and `to` (RENAMER_RENAME only, else NULL)
 * are encoded paths below the root of the mount, without leading slash. Waits at most `timeout_ms`.
 * Returns 0 or -errno of the operation; -EPIPE when there is no renamer or it ended; -ETIMEDOUT: it
 * is given up, and whatever it still sends is of a stranger; -EINVAL for a path that is none. */
int renamer_do(
	struct renamer *r, enum renamer_op op, const char *from, const char *to, int timeout_ms);

/* True if `tid` (of fuse_req_ctx()) is the renamer's that is in use. It says nothing about which
 * operation was announced. */
bool renamer_tid(const struct renamer *r, pid_t tid);
/* renamer_do() returns -EPIPE from now on, the one that waits at once. */
void renamer_stop(struct renamer *r);
/* Why no renames are made, as a sentence for status; NULL if they are. Static text. Any thread;
 * never waits. */
const char *renamer_trouble(struct renamer *r);

#endif
