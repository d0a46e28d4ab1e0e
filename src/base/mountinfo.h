/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountinfo (proc(5)): what is mounted where, without touching any mount. */
#ifndef SFS_BASE_MOUNTINFO_H
#define SFS_BASE_MOUNTINFO_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MOUNT_TYPE "fuse.secretfs"

struct mount_entry {
	int id, parent; /* parent: the mount it stands on */
	dev_t dev;
	char *root;   /* path inside the file system; "/" unless a bind mount */
	char *point;  /* mount point, octal escapes decoded */
	char *type;   /* "fuse.secretfs" */
	char *source; /* "file:/etc/x.env" */
};

/* All mounts in the kernel's order (later ones cover earlier ones). Free with mountinfo_free(). */
int mountinfo_read(struct mount_entry **ret, size_t *ret_n, struct sfs_err *err);
/* Pure parser of the file's text; malformed lines are skipped. */
int mountinfo_parse(const char *text, size_t len, struct mount_entry **ret, size_t *ret_n);
void mountinfo_free(struct mount_entry *m, size_t n);
/* The topmost mount exactly at canonical path `point`, or NULL. One that another mount further up
 * hides does not count. */
const struct mount_entry *mountinfo_top(const struct mount_entry *m, size_t n, const char *point);

/* The number of the mount on top of `point`, which is never given to another mount; 0 where the
 * kernel (before 6.8) has none. Unlike it, device number and id of mountinfo are given out again as
 * soon as a mount has gone. No request goes to the file system. */
uint64_t mount_unique_id(const char *point);

/* What is known of a mount: device number, id in mountinfo, and mount_unique_id() or 0. */
struct mount_id {
	dev_t dev;
	int id;
	uint64_t unique;
};
/* True if the object open at `fd` (O_PATH does) lies in that mount itself: not in a bind mount of
 * it, nor in what is mounted on top of it. No request goes to the file system. */
bool mount_has(const struct mount_id *m, int fd);

/* Absolute path of an existing directory or mount point without a request to the file system
 * mounted there: only the parents are resolved. mem_free(). Errors: -errno, ENAMETOOLONG. */
int mountpoint_canonical(const char *path, char **ret, struct sfs_err *err);

#endif
