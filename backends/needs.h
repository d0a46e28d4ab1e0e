/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a source needs of the machine: told once by backend_ops.needs in the mount command, as its
 * caller and before there are processes. The holder then opens these files for the worker and keeps
 * these variables; the spawner runs these commands and no others (design section 6).
 */
#ifndef SFS_BACKENDS_NEEDS_H
#define SFS_BACKENDS_NEEDS_H

#include "base/buf.h"
#include "base/call.h"
#include "base/err.h"
#include "base/path.h"
#include <stddef.h>

struct needs; /* owned by the core */

/* The caller's environment and home directory (home=, HOME, the passwd entry; NULL = none). */
const char *needs_getenv(const struct needs *n, const char *name); /* NULL = not set; "" is set */
const char *needs_home(const struct needs *n);
/* How to open files that tell what is needed (a profile with a credential_process). */
const struct path_env *needs_paths(const struct needs *n);

/* Each returns 0, -ENOMEM, or -E2BIG (too many). Strings are copied; duplicates are fine. */
int needs_env(struct needs *n, const char *pattern); /* as env_matches() */
int needs_file(struct needs *n, const char *path);   /* absolute; with its directory, so that it may
							be   replaced by rename */
int needs_dir(struct needs *n, const char *path);    /* absolute; all below it */
/* A command line, to be run later with runner.run by exactly this text: without a shell, split like
 * a shell splits words (quotes, backslash), as `user=`, with a clean environment and what env.NAME=
 * options add. Behind the line variables may follow that the source gives its program by itself, a
 * newline and NAME=VALUE each, nothing secret; an option for the same NAME wins. EINVAL: unbalanced
 * quotes, empty, a control character. */
int needs_command(struct needs *n, const char *line);
/* One sentence for whoever mounts or checks, who sees it on standard error; the mount goes on. For
 * what is probably forgotten but may be right. Without the name of the source, nothing secret. */
int needs_note(struct needs *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Runs one of the commands fixed at mount. */
struct runner {
	/* Appends the program's standard output to `out` (BUF_SECRET, at most its max: EFBIG), and
	 * its standard error, cut and escaped, to `ret_stderr`. 0 with *ret_status = exit status
	 * (128 + n for signal n); ENOENT: not one of those fixed at mount, or no such program;
	 * ETIMEDOUT, ECANCELED: it is ended first. */
	int (*run)(void *arg, const char *line, const struct call *call, struct buf *out,
		struct buf *ret_stderr, int *ret_status, struct sfs_err *err);
	void *arg;
};

#endif
