/* SPDX-License-Identifier: Apache-2.0 */
/* One audit line: a JSON object on a line of printable ASCII (R54), whatever names and processes
 * are called. Pure. */
#ifndef SFS_MOUNT_AUDIT_LINE_H
#define SFS_MOUNT_AUDIT_LINE_H

#include "base/buf.h"
#include <stdint.h>
#include <sys/types.h>

/* Pointers are borrowed. */
struct audit_line {
	int64_t wall;	   /* when it was answered; ns */
	const char *mount; /* mount point */
	pid_t pid;	   /* 0 = not known: null */
	pid_t tid;	   /* 0 = the caller is in a pid namespace that we cannot see: null */
	uid_t uid;
	gid_t gid;
	const char *comm, *cgroup, *exe; /* NULL = not known: "?" */
	const char *name;		 /* path of the secret under the mount */
	const char *view;		 /* "tree", "versions", ... */
	const char *field;		 /* of .fields; NULL in other views: no member */
	const char *version; /* of what was given, else the one asked for, else NULL: null */
	const char *cache;   /* "hit", "stale", "fetched", "none" */
	int errnum;	     /* 0: "ok" */
};

/* Appends the line with its newline. -ENOMEM, -EFBIG. */
int audit_line_add(const struct audit_line *l, struct buf *out);

#endif
