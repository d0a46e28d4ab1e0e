/* SPDX-License-Identifier: Apache-2.0 */
/* What a process gives up (R6, R12, R18). Each is called once, before threads. */
#ifndef SFS_BASE_HARDEN_H
#define SFS_BASE_HARDEN_H

#include "base/err.h"
#include <stddef.h>
#include <sys/types.h>

/* PR_SET_DUMPABLE 0 and RLIMIT_CORE 0 hard: no core file, no ptrace by the same user, /proc/PID
 * belongs to root. */
int harden_no_dump(struct sfs_err *err);
/* Removes variables that change what libraries do (SSLKEYLOGFILE, OPENSSL_*, CURL_*, *_proxy,
 * NETRC, LD_*, MALLOC_*, GLIBC_TUNABLES, TMPDIR) from the environment. */
void harden_environment(void);
/* Becomes uid/gid with no supplementary group (kept as they are if uid is the current one), no
 * capability in any set, bounding set empty where allowed, no_new_privs. Order and reasons:
 * capabilities(7). The caller keeps its descriptors. */
int harden_drop(uid_t uid, gid_t gid, struct sfs_err *err);
/* Keeps the user and, in the effective and permitted sets, just these `n` capabilities: bounding
 * set, inheritable and ambient ones empty, no_new_privs, not dumpable. EPERM if one of them is not
 * there to be kept. */
int harden_limit(const unsigned *caps, size_t n, struct sfs_err *err);
/* Opens /dev/null with `flags` for each of 0, 1 and 2 that is closed, so that nothing else gets
 * these numbers, whoever started us. */
void harden_stdio(int flags);
/* Closes or marks close-on-exec every descriptor above 2 except the `n` in `keep` (R8). */
void harden_descriptors(const int *keep, size_t n);

/* Every signal as a new program expects it: default action, not blocked. In a child before execve.
 */
void harden_signals(void);

#endif
