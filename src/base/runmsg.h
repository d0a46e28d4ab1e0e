/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of a command fixed at mount: the worker asks the holder with HOLD_RUN and gets one end of
 * a socket of its own for that run, the runner (mount/holder_runner.c) gets the other; so that the
 * bytes of a credential go from the program to the worker and through nobody else. Messages are
 * those of base/hold.h. Whoever closes his end ends the run: the program is killed with all it
 * started.
 *
 *   holder to runner   HOLD_ENV, first, perhaps with the memory file of secret variables
 *   runner to worker   HOLD_RUN, arg = RUN_OUT or RUN_ERR, with the end of the pipe that the
 * program writes to; then one HOLD_REPLY: code = 0 and arg = exit status, as runner.run has it; or
 * code = errno with a sentence
 */
#ifndef SFS_BASE_RUNMSG_H
#define SFS_BASE_RUNMSG_H

#include "base/hold.h"

enum run_pipe { RUN_OUT = 1, RUN_ERR };

#endif
