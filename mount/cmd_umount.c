/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs umount: unmounts one of our mounts, and says who uses it when it cannot (R30). No
 * request goes to the mount. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/mountusers.h"
#include "mount/cli.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define END_MSEC   5000
#define BUSY_LOOK  5   /* tries before it is asked who keeps the mount busy */
#define BUSY_TRIES 100 /* at most */
#define BUSY_NSEC  20000000

static int find_ours(const char *given, char **ret_point, dev_t *ret_dev, struct sfs_err *err)
{
	_cleanup_free_ char *point = NULL;
	struct mount_entry *m;
	size_t n;
	int r = mountpoint_canonical(given, &point, err);
	if (r < 0 || (r = mountinfo_read(&m, &n, err)) < 0)
		return r;
	const struct mount_entry *top = mountinfo_top(m, n, point);
	if (!top)
		r = err_set(err, EINVAL, "%s is not mounted", point);
	else if (strcmp(top->type, MOUNT_TYPE) != 0)
		r = err_set(err, EINVAL,
			"%s is a mount of type %s, not one of secretfs: use umount(8)", point,
			top->type);
	else
		*ret_dev = top->dev;
	mountinfo_free(m, n);
	if (r == 0)
		*ret_point = take(point);
	return r;
}

static bool is_mounted(const char *point, dev_t dev)
{
	struct mount_entry *m;
	size_t n;
	if (mountinfo_read(&m, &n, NULL) < 0)
		return true;
	const struct mount_entry *top = mountinfo_top(m, n, point);
	bool mounted = top && top->dev == dev;
	mountinfo_free(m, n);
	return mounted;
}

static void say_users(const char *point, dev_t dev)
{
	struct mount_user *users = NULL;
	size_t n = 0;
	struct sfs_err err = {0};
	if (mount_users(point, dev, &users, &n, &err) < 0)
		cli_fail(&err, CLI_MOUNT);
	for (size_t i = 0; i < n; i++) /* a descriptor we inherited is named by who gave it to us */
		if (users[i].pid != getpid())
			fprintf(stderr, "  pid %d  %s  %s  %s\n", (int)users[i].pid, users[i].comm,
				users[i].how, users[i].path);
	if (n == MOUNT_USERS_MAX)
		fputs("  and perhaps more\n", stderr);
	if (n == 0 && err.code == 0)
		fputs("  by no process that can be seen from here: another user's (try as root), "
		      "a mount below it, or another mount namespace\n",
			stderr);
	mount_users_free(users, n);
}

static void say_busy(const char *point, dev_t dev)
{
	fprintf(stderr, "secretfs: %s is busy:\n", point);
	say_users(point, dev);
	fputs("End these and try again, or use one of:\n"
	      "  -l  detach it now: the path is free at once, who has files open keeps them,\n"
	      "      and the worker ends at the last close\n"
	      "  -f  end it now: every request fails, also reads of files that are open\n",
		stderr);
}

/* The mount is gone; its processes end by themselves. A script that goes on finds them ended, but
 * one that hangs holds nobody up. */
static void await_end(pid_t server)
{
	_cleanup_close_ int fd = server > 0 ? (int)syscall(SYS_pidfd_open, server, 0) : -1;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (fd >= 0)
		poll(&p, 1, END_MSEC);
}

/* True if somebody else than our renamer uses the mount. */
static bool others_use(const char *point, dev_t dev)
{
	struct mount_user *users;
	size_t n;
	bool others = false;
	if (mount_users(point, dev, &users, &n, NULL) < 0)
		return true;
	for (size_t i = 0; i < n; i++)
		others = others || strcmp(users[i].comm, RENAMER_COMM) != 0;
	mount_users_free(users, n);
	return others;
}

/* The renames that the renamer is just making inside keep the mount busy for a moment. */
static int umount_patiently(const char *point, dev_t dev, int flags)
{
	const struct timespec nap = {.tv_nsec = BUSY_NSEC};
	for (int i = 0;; i++) {
		if (umount2(point, flags) == 0)
			return 0;
		int code = errno;
		if (code != EBUSY || i >= BUSY_TRIES || (i >= BUSY_LOOK && others_use(point, dev)))
			return -code;
		nanosleep(&nap, NULL);
	}
}

/* Forced: the kernel ends the connection, and only then says that files are open. What is left is a
 * dead mount, so it goes. */
static int unmount(const char *point, dev_t dev, bool lazy, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);
	if (!force)
		return umount_patiently(point, dev, flags);
	if (umount2(point, flags) == 0)
		return 0;
	if (errno != EBUSY)
		return -errno;
	if (umount2(point, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
		return 0;
	int code = errno; /* the holder may have been faster */
	return is_mounted(point, dev) ? -code : 0;
}

static int run_umount(const struct cli_args *a)
{
	_cleanup_free_ char *point = NULL;
	struct sfs_err err = {0};
	dev_t dev = 0;
	bool lazy = cli_has(a, "lazy");
	if (find_ours(a->argv[0], &point, &dev, &err) < 0)
		return cli_fail(&err, CLI_MOUNT);
	pid_t server = mount_server(dev);
	int r = unmount(point, dev, lazy, cli_has(a, "force"));
	if (r == 0 && !lazy)
		await_end(server);
	if (r == 0)
		return CLI_OK;
	if (r == -EBUSY)
		say_busy(point, dev);
	else if (r == -EPERM)
		fprintf(stderr, "secretfs: umount %s: this needs root (CAP_SYS_ADMIN): use sudo\n",
			point);
	else
		fprintf(stderr, "secretfs: umount %s: %s\n", point, strerror(-r));
	return CLI_MOUNT;
}

static const struct cli_flag umount_flags[] = {
	{'l', "lazy", NULL,
		"Detach now; who has files open keeps them, and the worker ends at the last "
		"close."},
	{'f', "force", NULL, "End it now: every request fails, also reads of files that are open."},
	{0},
};

const struct cli_command cmd_umount = {
	.name = "umount",
	.args = "[-l] [-f] MOUNTPOINT",
	.summary = "Unmount, or say which processes keep it busy",
	.help = "Works on mounts of secretfs only, and asks the mount nothing, so that it works on "
		"a dead one too. umount(8) does "
		"the same without the list of processes.",
	.flags = umount_flags,
	.min = 1,
	.max = 1,
	.run = run_umount,
};
