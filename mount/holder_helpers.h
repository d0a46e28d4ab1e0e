/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder's watch over its helper processes (mount/holder_child.h). Each is started again
 * when it ends, with growing pauses. The holder keeps a copy of a helper's end of its socket, so
 * that whoever talks to it keeps his own end over a restart. All of this runs in the holder's main
 * loop and never waits, but for helpers_stop_*().
 */
#ifndef SFS_MOUNT_HOLDER_HELPERS_H
#define SFS_MOUNT_HOLDER_HELPERS_H

#include "base/hold.h"
#include "mount/holder.h"
#include <poll.h>

struct helpers;

/* Makes the sockets; *ret_worker_end is the worker's to the renamer, the caller's to close. */
int helpers_new(const struct holder_opts *o, const struct holder_mount *m, int log_fd,
	struct helpers **ret, int *ret_worker_end, struct sfs_err *err);
/* NULL is fine. After both have been stopped. */
void helpers_free(struct helpers *h);

/* Starts what is due. */
void helpers_tick(struct helpers *h);
/* Boot time of the next thing to start, or CLOCK_NEVER. */
int64_t helpers_next(const struct helpers *h);
/* After SIGCHLD. */
void helpers_reap(struct helpers *h);
/* HOLD_RENAMER_STUCK and HOLD_CHANGED of the worker, who may be in hostile hands. */
void helpers_message(struct helpers *h, const struct hold_msg *m);
/* What to poll for; afterwards helpers_polled(). */
struct pollfd helpers_poll(const struct helpers *h);
void helpers_polled(struct helpers *h);

/* Kills the renamer and waits a moment for its end, so that it does not keep the mount busy. One
 * that hangs inside the mount ends with the worker. Nothing is started any more. */
void helpers_stop_renamer(struct helpers *h);
/* Spawner and runner are to end with what they run: first the word, at the very end the wait. */
void helpers_stop_programs(struct helpers *h);
void helpers_await_programs(struct helpers *h);
/* The socket to the runner, for HOLD_RUN; -1 without commands. Valid until helpers_free(). */
int helpers_runner(const struct helpers *h);

#endif
