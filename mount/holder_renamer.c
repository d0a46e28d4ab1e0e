/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The renamer: makes renames inside the mount, so that inotify watchers see them (R23). It has no
 * /dev/fuse and no value, and of the privileges only CAP_DAC_OVERRIDE, because the directories of
 * the mount are not writable. The worker that asks may be in hostile hands: nothing outside of our
 * mount is touched, and there nothing happens that the worker could not show anyway.
 *
 * Each operation is a request that the worker itself must answer. One that hangs holds up nobody
 * but us: the worker gives us up, the holder kills us, and we end when the kernel lets go.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/mountusers.h"
#include "base/renmsg.h"
#include "base/text.h"
#include "mount/holder_child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { ARG_DEVICE = CHILD_ARG_MORE, ARG_ID, ARG_UNIQUE, ARG_N };

#define WALK (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct renamer {
	const char *point;
	struct mount_id mount;
	uint32_t generation;
	struct renamer_msg in, out;
};

static int open_if_ours(const struct renamer *r, const char *point)
{
	_cleanup_close_ int fd = open(point, WALK);
	return fd >= 0 && mount_has(&r->mount, fd) ? take_fd(fd) : -1;
}

/* Only for the time of an operation: a descriptor that stays would keep umount(8) out. Somebody may
 * have moved the mount. */
static int open_root(const struct renamer *r)
{
	struct mount_entry *e;
	size_t n;
	int fd = open_if_ours(r, r->point);
	if (fd >= 0 || mountinfo_read(&e, &n, NULL) < 0)
		return fd >= 0 ? fd : -ENOMEM;
	for (size_t i = 0; fd < 0 && i < n; i++)
		if (e[i].dev == r->mount.dev && e[i].id == r->mount.id)
			fd = open_if_ours(r, e[i].point);
	mountinfo_free(e, n);
	return fd >= 0 ? fd : -ESTALE;
}

/* The directory of `path` and the name in it. Component by component, because openat2(2) is unknown
 * to many sandboxes: no link is followed, ".." does not get here, and what is mounted in between is
 * not ours. */
static int open_parent(
	const struct renamer *r, int root, const char *path, const char **ret_name, int *ret_fd)
{
	_cleanup_close_ int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
	const char *slash;
	if (at < 0)
		return -errno;
	for (; (slash = strchr(path, '/')); path = slash + 1) {
		char name[SFS_COMPONENT_MAX + 1];
		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		int next = openat(at, name, WALK);
		if (next < 0)
			return -errno;
		close(at);
		at = next;
		if (!mount_has(&r->mount, at))
			return -EXDEV;
	}
	*ret_name = path;
	*ret_fd = take_fd(at);
	return 0;
}

static int do_rename(const struct renamer *r, int root)
{
	const char *from = "", *to = "";
	_cleanup_close_ int from_dir = -1, to_dir = -1;
	int code = open_parent(r, root, renmsg_from(&r->in), &from, &from_dir);
	if (code == 0)
		code = open_parent(r, root, renmsg_to(&r->in), &to, &to_dir);
	if (code < 0)
		return code;
	return renameat(from_dir, from, to_dir, to) < 0 ? -errno : 0;
}

static int do_one(const struct renamer *r, int root)
{
	const char *name = "";
	_cleanup_close_ int dir = -1;
	int code = open_parent(r, root, renmsg_from(&r->in), &name, &dir);
	if (code < 0)
		return code;
	switch (r->in.type) {
	case RENAMER_UNLINK:
		code = unlinkat(dir, name, 0);
		break;
	case RENAMER_RMDIR:
		code = unlinkat(dir, name, AT_REMOVEDIR);
		break;
	default: /* RENAMER_MKDIR: the worker decides on the mode */
		code = mkdirat(dir, name, 0555);
		break;
	}
	return code < 0 ? -errno : 0;
}

static int carry_out(const struct renamer *r)
{
	_cleanup_close_ int root = open_root(r);
	if (root < 0)
		return root;
	return r->in.type == RENAMER_RENAME ? do_rename(r, root) : do_one(r, root);
}

static bool is_for_us(const struct renamer *r)
{
	return r->in.type >= RENAMER_RENAME && r->in.type <= RENAMER_RMDIR &&
	       r->in.generation == r->generation;
}

static void serve(struct renamer *r)
{
	int got;
	while ((got = renmsg_recv(CHILD_SOCK, &r->in, 0)) > 0 || got == -EBADMSG) {
		if (got < 0 || !is_for_us(r))
			continue;
		r->out = (struct renamer_msg){
			.type = RENAMER_REPLY,
			.id = r->in.id,
			.generation = r->generation,
			.code = -carry_out(r),
		};
		/* A worker that does not read its answers has given us up. */
		if (renmsg_send(CHILD_SOCK, &r->out) == -EPIPE)
			return;
	}
}

static int parse(char **argv, struct renamer *r, struct sfs_err *err)
{
	unsigned major_no, minor_no;
	uint64_t id;
	if (sscanf(argv[ARG_DEVICE], "%u:%u", &major_no, &minor_no) != 2 ||
		parse_u64(argv[ARG_ID], INT_MAX, &id) < 0 ||
		parse_u64(argv[ARG_UNIQUE], UINT64_MAX, &r->mount.unique) < 0)
		return err_set(err, EINVAL, "start the renamer: malformed arguments");
	r->point = argv[CHILD_ARG_POINT];
	r->mount.dev = makedev(major_no, minor_no);
	r->mount.id = (int)id;
	return 0;
}

int renamer_main(int argc, char **argv)
{
	static const unsigned caps[] = {CAP_DAC_OVERRIDE};
	static struct renamer r;
	struct sfs_err err = {0};
	pid_t parent = 0;
	int code = child_begin(argc, argv, ARG_N, RENAMER_COMM, &r.generation, &parent, &err);
	if (code == 0)
		code = parse(argv, &r, &err);
	if (code == 0)
		code = harden_limit(caps, 1, &err);
	if (code < 0) {
		log_warn("the renamer cannot run: %s; inotify shows no rotations as renames",
			err.msg);
		return CHILD_UNABLE;
	}
	child_keep_leash(parent);
	umask(0);
	serve(&r);
	return 0;
}
