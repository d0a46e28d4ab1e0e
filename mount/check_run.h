/* SPDX-License-Identifier: Apache-2.0 */
/* `secretfs check` runs the programs of a source itself, as its caller. */
#ifndef SFS_MOUNT_CHECK_RUN_H
#define SFS_MOUNT_CHECK_RUN_H

#include "core/machine.h"

/* The `run` of struct runner, with `line` the text of a whole command and `arg` a struct machine.
 */
int check_run(void *arg, const char *line, const struct call *call, struct buf *out,
	struct buf *ret_stderr, int *ret_status, struct sfs_err *err);

#endif
