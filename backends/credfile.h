/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files credentials and settings come from (R55): read whole through base/path.h, and
 * looked at again when they change. A file must be regular, belong to root, to us or to who
 * mounted, and must not be writable by everybody; one that others may read is served with a
 * warning. A file that changes while it is read is read again.
 */
#ifndef SFS_BACKENDS_CREDFILE_H
#define SFS_BACKENDS_CREDFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/path.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What a file looked like; a missing one looks like all zero. */
struct credfile_stamp {
	bool there;
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t mtime, ctime; /* ns */
};

enum credfile_flags {
	CREDFILE_SECRET = 1, /* a warning, once, if group or others may read it */
};

/* Appends the content to `out` (at most its max: EFBIG). *ret_stamp, if not NULL, is set on failure
 * too. Errors: those of path_open_file() and path_read() (EAGAIN: changes all the time), EACCES
 * (who owns it, who may write it). */
int credfile_read(const struct path_env *paths, const char *path, unsigned flags, struct buf *out,
	struct credfile_stamp *ret_stamp, struct sfs_err *err);
/* The same for a token: the newlines and blanks at its end are dropped; EBADMSG when nothing is
 * left, or for a byte outside 0x21-0x7e. */
int credfile_read_token(const struct path_env *paths, const char *path, struct buf *out,
	struct credfile_stamp *ret_stamp, struct sfs_err *err);

/* How it looks now. */
void credfile_look(
	const struct path_env *paths, const char *path, struct credfile_stamp *ret_stamp);
/* Whether it looks otherwise now. */
bool credfile_changed(
	const struct path_env *paths, const char *path, const struct credfile_stamp *stamp);

#endif
