/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a command of base/command.h: by the runner process of a mount, and by `secretfs check`
 * itself. Nothing is inherited (R8): standard input is /dev/null, no other descriptor is open, the
 * environment is PATH, LANG, HOME and the variables of the command, signals are as new, umask 077,
 * directory /. The program leads a session and process group of its own and ends with whoever
 * started it.
 */
#ifndef SFS_BASE_PROGRAM_H
#define SFS_BASE_PROGRAM_H

#include "base/buf.h"
#include "base/call.h"
#include "base/command.h"
#include "base/envstore.h"
#include "base/err.h"
#include "base/path.h"
#include <stddef.h>
#include <sys/types.h>

/* The values of the variables of a command that are references, by the names of the variables.
 * Errors: those of ref_read() with the name of the variable. */
int program_secrets(const struct command *c, const struct path_env *paths,
	const struct envstore *vars, struct envstore **ret, struct sfs_err *err);

struct program {
	pid_t pid;
	int out, err; /* ends of the pipes it writes to, not blocking; owned */
	int failed;   /* says so when it could not be executed; owned */
};

/* Starts it; `secrets` are the values of its variables that are references, by their names. The
 * thread that calls must live as long as the program. Errors: ENOMEM, EINVAL, those of fork(2). */
int program_start(const struct command *c, const struct envstore *secrets, struct program *ret,
	struct sfs_err *err);
/* After its end: the errno with which it could not be executed; 0 if it was. */
int program_failed(const struct program *p);
/* SIGKILL to it and to what it started. Before it is reaped: the number of its group is then still
 * its own. */
void program_kill(const struct program *p);
void program_close(struct program *p);

/* What it writes. */
struct program_io {
	int out, err;	  /* as above; borrowed */
	struct buf *text; /* BUF_SECRET: its standard output, up to the buffer's max */
	char said[2048];  /* the start of its standard error */
	size_t nsaid;
};
/* Takes it until `done_fd` is readable, and then what is left in the pipes. Errors: EFBIG, ENOMEM;
 * ETIMEDOUT at the deadline of the call or after SFS_RUN_SECONDS; ECANCELED. */
int program_follow(
	struct program_io *io, int done_fd, const struct call *call, struct sfs_err *err);
/* Appends what it said, escaped and cut. */
int program_said(const struct program_io *io, struct buf *out);
/* The exit status of runner.run from that of wait(2). */
int program_status(int wait_status);

/* Builds what execve(2) gets, for tests: strings "NAME=value" of ordinary memory, ended by NULL, in
 * one locked block of *ret_size bytes; program_env_free() wipes it. */
int program_env(const struct command *c, const struct envstore *secrets, char ***ret,
	size_t *ret_size, struct sfs_err *err);
void program_env_free(char **env, size_t size);

#endif
