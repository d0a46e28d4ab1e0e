/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of running commands that were fixed at mount (base/runmsg.h). */
#ifndef SFS_MOUNT_RUNS_H
#define SFS_MOUNT_RUNS_H

#include "backends/needs.h"
#include "base/hold.h"

struct runs {
	struct hold_client *hold;
	const char *const *commands; /* their texts (base/command.h), ended by NULL */
};

/* The `run` of struct runner, with `line` the text of a whole command and `arg` a struct runs.
 * Thread-safe. Errors beside those of struct runner: EBUSY (SFS_RUNS_MAX run already), EFBIG,
 * ENOMEM, EIO (the runner ended), those of hold_ask(). */
int runs_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err);

#endif
