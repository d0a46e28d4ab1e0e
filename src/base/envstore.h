/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environment variables taken once, at mount (env: source, env: references), and what descriptors
 * held (fd: references; under the name "fd:N", which no pattern matches). They are kept in the
 * secret arena; the process' own environment is wiped afterwards, so that /proc/PID/environ shows
 * nothing.
 */
#ifndef SFS_BASE_ENVSTORE_H
#define SFS_BASE_ENVSTORE_H

#include "base/err.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stddef.h>

struct envstore;

/* True if variable `name` is meant by `pattern`: a name, or a prefix followed by '*'. Never for the
 * name of a descriptor. */
bool env_matches(const char *pattern, const char *name);

/* Takes the variables of `environ` that match one of the patterns, and remembers the patterns. */
int envstore_take(char *const *environment, const char *const *patterns, size_t n,
	struct envstore **ret, struct sfs_err *err);
/* From the text of HOLD_ENV ("NAME=value\0" each, patterns as "=PATTERN\0"). The text is read, not
 * kept. */
int envstore_parse(const char *text, size_t len, struct envstore **ret, struct sfs_err *err);
/* The same from the memory file of envstore_memfd(). */
int envstore_read(int fd, struct envstore **ret, struct sfs_err *err);
/* The text of HOLD_ENV in a sealed memfd (O_CLOEXEC). */
int envstore_memfd(const struct envstore *s, int *ret_fd, struct sfs_err *err);
void envstore_free(struct envstore *s);
/* Adds a variable, for the environment of a program; the first of equal names counts. ENOMEM. */
int envstore_put(
	struct envstore *s, const char *name, const struct secret *value, struct sfs_err *err);
/* Reads what descriptor `fd` still gives, to its end, and keeps it as "fd:`number`", without a line
 * end at its end. EINVAL: nothing, or a NUL in it; EFBIG: more than SFS_REF_MAX; that of read(2).
 */
int envstore_add_fd(struct envstore *s, int number, int fd, struct sfs_err *err);

/* Whether all that `pattern` means was asked for at mount. */
bool envstore_covers(const struct envstore *s, const char *pattern);
size_t envstore_count(const struct envstore *s);
const char *envstore_name(const struct envstore *s, size_t i);
/* New references; NULL if there is no such variable. */
struct secret *envstore_get(const struct envstore *s, const char *name);

/* Overwrites the strings of the initial environment in place (what /proc/PID/environ shows) and
 * empties `environ`. Only the names in `keep` survive (a fresh copy). Before threads. */
void env_wipe(const char *const *keep, size_t n);

#endif
