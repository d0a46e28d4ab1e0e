/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a caller is, from /proc while it waits for us: a thread that waits in open(2) cannot go away
 * nor execute another program; it may be killed, and then what was not read yet is not known.
 *
 * What was found is remembered for a tenth of a second under thread id, start time and comm, so
 * that a program that opens thousands of files costs a few questions to the holder. Execution of
 * another program changes comm; one that takes the same name within that time is seen as the old
 * one.
 */
#ifndef SFS_MOUNT_AUDIT_WHO_H
#define SFS_MOUNT_AUDIT_WHO_H

#include "base/limits.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define AUDIT_COMM_MAX \
	64 /* the kernel's own threads have longer names than the 15 bytes of others */

/* Immutable, reference counted. */
struct audit_who {
	_Atomic unsigned refs;
	bool seen; /* the kernel showed it: comm is known */
	pid_t pid; /* of the thread's process; 0 = not known */
	char comm[AUDIT_COMM_MAX + 1];
	char *exe, *cgroup; /* NULL = not known */
};
void audit_who_unref(struct audit_who *w);

/* Comm and start time from the text of /proc/TID/stat. -EBADMSG. */
int audit_parse_stat(
	const char *text, size_t len, char ret_comm[AUDIT_COMM_MAX + 1], uint64_t *ret_start);
/* The path of the unified hierarchy in the text of /proc/TID/cgroup, else that of systemd's own;
 * borrowed, *ret_len its length. NULL without one. */
const char *audit_parse_cgroup(const char *text, size_t *ret_len);

struct audit_ids;
/* `proc` is where /proc is; `exe` asks for the executable of a thread (mem_free), 0 or -errno. */
int audit_ids_new(const char *proc, int (*exe)(void *arg, pid_t tid, char **ret), void *arg,
	struct audit_ids **ret);
void audit_ids_free(struct audit_ids *ids);
/* What is remembered of the thread: a reference, or NULL. Reads one small file of /proc and waits
 * for nobody. */
struct audit_who *audit_ids_known(struct audit_ids *ids, pid_t tid);
/* The same, and asks if nothing is: may wait in `exe`. From one thread at a time. NULL on no
 * memory. */
struct audit_who *audit_ids_find(struct audit_ids *ids, pid_t tid);

#endif
