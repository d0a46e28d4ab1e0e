/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: an errno for the program that reads, one sentence for the person who looks.
 *
 * A function that can fail returns 0 or -errno and fills the struct sfs_err it was given. Each
 * level that knows more prefixes the sentence ("file/prod: get db/password: ..."). Libraries do not
 * log errors; the edge logs once.
 *
 * A sentence says what failed, for which name, why, and what to do. It never holds bytes of a value
 * or of a credential, and text that came from outside passes through text_escape() (base/text.h)
 * first.
 */
#ifndef SFS_BASE_ERR_H
#define SFS_BASE_ERR_H

#include "base/limits.h"
#include <stdbool.h>

struct sfs_err {
	int code;	       /* positive errno, 0 while nothing failed */
	bool passes;	       /* the cause is one that passes, though the errno does not say so */
	char msg[SFS_ERR_MAX]; /* NUL-terminated, one line, printable ASCII */
};

/* Sets code and sentence (cut at SFS_ERR_MAX - 1). `e` may be NULL. Returns -code, so that one
 * writes `return err_set(err, ENOENT, "no such secret: %s", name);`. `code` is positive (anything
 * else becomes EIO: a failure never looks like success). The arguments may point into e->msg. Bytes
 * outside 0x20-0x7e that slip in through an argument are replaced by '?', so that no terminal
 * sequence survives. */
int err_set(struct sfs_err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence. Returns -e->code. `e` may be NULL (then returns -EIO). If
 * `e` holds no error it becomes EIO. */
int err_prefix(struct sfs_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As err_set() with strerror text of `code` after the formatted part: "open /x: Permission denied".
 */
int err_errno(struct sfs_err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* True for what may be over by itself, so that a value one has is better than the error: EBUSY,
 * EHOSTUNREACH, ETIMEDOUT, EREMOTEIO, ENOMEM, EAGAIN, and whatever has `passes` set (err_set() and
 * err_errno() take it off, err_prefix() keeps it). */
bool err_transient(const struct sfs_err *e);

/* Forgets the error. */
void err_clear(struct sfs_err *e);

#endif
