/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to secrets, the values of OPT_SECRET options: file:PATH, env:NAME, fd:N.
 *
 * A file is read anew at each use, so that whoever rotates a token only replaces the file; a
 * variable and a descriptor were taken once, at mount, and stay in locked memory (base/envstore.h).
 */
#ifndef SFS_BASE_REF_H
#define SFS_BASE_REF_H

#include "base/envstore.h"
#include "base/err.h"
#include "base/path.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>

/* True if `ref` has the form of a reference; its words are checked by base/opt. */
bool ref_is(const char *ref);

/* The secret that `ref` leads to, one reference for the caller; the line end that an editor or echo
 * leaves at the end of a file or descriptor is not part of it. At most `max` bytes, at least one.
 * Of a file (R55): a regular one, not writable by everybody, read again when it changes meanwhile
 * or is empty because somebody is just writing it; opened with help of the holder where `paths` has
 * it. Blocks for file systems only. Errors: ENOKEY: there is none, it is empty or not usable;
 * EACCES: not readable for us; EFBIG; transient: EAGAIN (keeps changing), ENOMEM, EBUSY, ETIMEDOUT,
 * EPIPE. */
int ref_read(const struct path_env *paths, const struct envstore *env, const char *ref, size_t max,
	struct secret **ret, struct sfs_err *err);

#endif
