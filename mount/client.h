/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands as clients of a mount: they read and write the same files as cat and echo do, there
 * is no other channel.
 */
#ifndef SFS_MOUNT_CLIENT_H
#define SFS_MOUNT_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "mount/cli.h"
#include <stddef.h>

#define CLIENT_TEXT_MAX \
	((size_t)256 * 1024 * 1024) /* the longest control file: a listing of a million names */

/* The flag that every client command has. */
#define CLIENT_FLAG                                                                            \
	{                                                                                      \
		'm', "mountpoint", "MOUNTPOINT",                                               \
			"The mount to use. Default: the environment variable SECRETFS_MOUNT, " \
			"else the only mount of "                                              \
			"secretfs there is."                                                   \
	}

struct client {
	char *point; /* canonical mount point */
	char **args; /* the command's arguments without a leading mount point; borrowed, ended by
			NULL */
	int nargs;
	char *first; /* args[0] with its links resolved, if it is a path below the mount; owned */
	bool whole;  /* the mount point was the first argument */
};

/* Finds the mount: -m, else the first argument if it is the path of a mount ("/run/secrets", "."),
 * else the mount that it lies in if it is a path ("/run/secrets/x", "./x"), else SECRETFS_MOUNT,
 * else the only one. ENODEV with a list of the mounts when that does not settle it. */
int client_open(const struct cli_args *a, struct client *ret, struct sfs_err *err);
void client_close(struct client *c);

/* EINVAL if arguments beside the mount point were given. */
int client_no_names(const struct client *c, struct sfs_err *err);

/* The name below the mount of an argument, which may be a path below the mount point. Points into
 * `arg`. EINVAL for an empty name and for components "." and "..". */
int client_name(const struct client *c, const char *arg, const char **ret, struct sfs_err *err);

/* "MOUNTPOINT/a/b" of printf parts; mem_free(). */
char *client_path(const struct client *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The sentence for a failed operation on `path`: its .error attribute, else strerror. Sets err with
 * `code`. */
int client_error(const char *path, int code, struct sfs_err *err);

/* The sentence for a control file that cannot be used. Sets err with `code`. */
int client_control_error(const struct client *c, const char *path, int code, struct sfs_err *err);

/* Reads a control file whole ("cached"); writes `text` to it as one write per 64 KiB, cut after a
 * line. All of it is written; the first error is returned. */
int client_read(const struct client *c, const char *control, struct buf *ret, struct sfs_err *err);
int client_write(const struct client *c, const char *control, const char *text, size_t len,
	struct sfs_err *err);

/* What a command that shows one control file does: finds the mount, refuses other arguments, reads.
 */
int client_show(
	const struct cli_args *a, const char *control, struct buf *ret, struct sfs_err *err);
/* Reads all that is left of `fd` into `ret`. -errno. */
int client_read_fd(int fd, struct buf *ret);

/* The text of attribute user.secretfs.ATTR of `path`, "" if it has none. */
const char *client_attr(const char *path, const char *attr, char *out, size_t size);

#endif
