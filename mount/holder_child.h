/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper processes of a holder: its own program, executed again with a word that says which
 * one, so that nothing of the holder's memory is there: no environment that was kept, no key of its
 * allocator. Their descriptors: 0 /dev/null, 1 and 2 the log, 3 their socket; nothing else.
 *
 *   renamer GENERATION LOG POINT MAJOR:MINOR MOUNT-ID UNIQUE-ID
 *   spawner GENERATION LOG POINT SOURCE HOME DELAY COMMAND TIMEOUT
 *   runner GENERATION LOG POINT UID:GID COMMAND... (texts of base/command.h)
 *
 * LOG is syslog or stderr; the last argument never looks like the worker's (base/mountusers.h).
 */
#ifndef SFS_MOUNT_HOLDER_CHILD_H
#define SFS_MOUNT_HOLDER_CHILD_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_SOCK 3
/* Exit code: it can do nothing here, and would not the next time either. */
#define CHILD_UNABLE 3

enum { CHILD_ARG_WORD = 1, CHILD_ARG_GENERATION, CHILD_ARG_LOG, CHILD_ARG_POINT, CHILD_ARG_MORE };

/* Starts one: argv[0] is the program's name, argv[1] the word. `sock` becomes its CHILD_SOCK. It
 * gets SIGKILL when the thread that called this ends. */
int child_spawn(char **argv, int log_fd, int sock, pid_t *ret_pid, struct sfs_err *err);

/* In the child, first: its name, the log, signals that reach whole groups ignored, undumpable.
 * *ret_parent is for child_keep_leash(). EINVAL if the descriptors are not as they should be:
 * somebody called it by hand. */
int child_begin(int argc, char **argv, int nargs, const char *name, uint32_t *ret_generation,
	pid_t *ret_parent, struct sfs_err *err);
/* After a change of credentials, which takes the parent-death signal off. */
void child_keep_leash(pid_t parent);

/* True if its main thread has ended though the process is not reaped: the others are about to. */
bool child_is_ending(pid_t pid);
/* "was killed by signal 9 (KILL)" of a wait status, into `out`, which it returns. */
const char *child_how_it_ended(int status, char *out, size_t size);

/* What main() does for these words; the exit codes. */
int renamer_main(int argc, char **argv);
int spawner_main(int argc, char **argv);
int runner_main(int argc, char **argv);

#endif
