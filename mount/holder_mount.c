/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/mountusers.h"
#include "base/text.h"
#include "mount/holder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_MS \
	2000 /* a dead mount answers at once; longer means that somebody is there, only slow */
#define STACK_MAX  64 /* dead mounts detached from one place */
#define SHOW_NAMES 3  /* of what a mount would hide */

/* ---- the directory ---- */

/* Also missing parents, all 0755. EEXIST of the last is fine: what it is shows later. */
static int make_directories(const char *path)
{
	_cleanup_free_ char *part = mem_strdup(path);
	if (!part)
		return -ENOMEM;
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int find_point(const char *path, char **ret, struct sfs_err *err)
{
	int r = mountpoint_canonical(path, ret, err);
	if (r == -ENOENT) {
		r = make_directories(path);
		if (r < 0)
			return err_errno(err, -r, "make the mount point %s", path);
		r = mountpoint_canonical(path, ret, err);
	}
	if (r < 0)
		return err_prefix(err, "mount point");
	if (strcmp(*ret, "/") != 0)
		return 0;
	mem_free(take(*ret));
	return err_set(err, EINVAL, "mount point /: the root directory cannot be covered");
}

/* In a process of its own, because a living mount may take for ever: exit code 1 = dead. */
static void probe_child(const char *point)
{
	struct statx st;
	int r = statx(
		AT_FDCWD, point, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st);
	_exit(r < 0 && (errno == ENOTCONN || errno == ECONNABORTED));
}

static bool is_dead(const char *point)
{
	pid_t pid = fork();
	if (pid == 0)
		probe_child(point);
	if (pid < 0)
		return false;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status = 0;
	if (fd < 0 || poll(&p, 1, PROBE_MS) == 1)
		return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		       WEXITSTATUS(status) == 1;
	kill(pid, SIGKILL); /* goes when it is answered; init takes it if we end before */
	return false;
}

static int refuse_living(const struct mount_entry *top, struct sfs_err *err)
{
	char source[256], who[32] = "";
	pid_t pid = mount_server(top->dev);
	if (pid > 0)
		snprintf(who, sizeof(who), ", process %d", (int)pid);
	return err_set(err, EBUSY,
		"%s is mounted already: %s%s; unmount it first: secretfs umount %s", top->point,
		text_escaped(source, sizeof(source), top->source, strlen(top->source)), who,
		top->point);
}

/* What stands exactly on the mount point: 0 = nothing, 1 = a dead mount of ours was detached, look
 * again. */
static int clear_top(const char *point, struct sfs_err *err)
{
	struct mount_entry *m;
	size_t n;
	int r = mountinfo_read(&m, &n, err);
	if (r < 0)
		return r;
	const struct mount_entry *top = mountinfo_top(m, n, point);
	if (top && strcmp(top->type, MOUNT_TYPE) != 0) {
		r = err_set(err, EBUSY,
			"%s is the mount point of another file system (%s): unmount that first or "
			"choose "
			"another directory",
			point, top->type);
	} else if (top && !is_dead(point)) {
		r = refuse_living(top, err);
	} else if (top) {
		r = 1;
		if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			r = err_errno(err, errno, "detach the dead secretfs mount at %s", point);
		else
			log_info("%s: a dead mount was detached (%s)", point, top->source);
	}
	mountinfo_free(m, n);
	return r;
}

static int detach_dead(const char *point, struct sfs_err *err)
{
	int r = 1;
	for (int i = 0; r > 0 && i < STACK_MAX; i++)
		r = clear_top(point, err);
	if (r > 0)
		return err_set(err, EBUSY, "%s: more than %d dead mounts are stacked there", point,
			STACK_MAX);
	return r;
}

static void dir_close_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int refuse_content(const char *point, DIR *d, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf names = BUF_INIT(SFS_ERR_MAX);
	const struct dirent *e;
	char name[64];
	int n = 0;
	while ((errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (++n > SHOW_NAMES)
			break;
		buf_printf(&names, "%s%s", n > 1 ? ", " : "",
			text_escaped(name, sizeof(name), e->d_name, strlen(e->d_name)));
	}
	if (!e && errno)
		return err_errno(err, errno, "list the mount point %s", point);
	if (n == 0)
		return 0;
	return err_set(err, ENOTEMPTY,
		"%s is not empty: the mount would hide %s%s: choose another directory, or give the "
		"option "
		"nonempty",
		point, buf_text(&names), n > SHOW_NAMES ? " and more" : "");
}

/* "." below the descriptor, so that what was checked is what gets covered. */
static int check_empty(const char *point, int covered, struct sfs_err *err)
{
	int fd = openat(covered, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(dir_close_p) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		int code = errno;
		if (fd >= 0)
			close(fd);
		return err_errno(err, code, "list the mount point %s", point);
	}
	return refuse_content(point, d, err);
}

int holder_prepare(struct holder_mount *m, const struct holder_opts *o, struct sfs_err *err)
{
	_cleanup_free_ char *point = NULL;
	int r = find_point(o->mountpoint, &point, err);
	if (r == 0)
		r = detach_dead(point, err);
	if (r < 0)
		return r;
	_cleanup_close_ int covered = open(point, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (covered < 0)
		return err_errno(err, errno, "mount point %s", point);
	if (!o->nonempty) {
		r = check_empty(point, covered, err);
		if (r < 0)
			return r;
	}
	m->point = take(point);
	m->covered_fd = take_fd(covered);
	m->source = o->source;
	return 0;
}

/* ---- the mount ---- */

static int open_fuse(int *ret_fd, struct sfs_err *err)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return err_set(err, errno,
			"open /dev/fuse: there is no such device: load the kernel module (modprobe "
			"fuse); a "
			"container must be given it (--device /dev/fuse)");
	case EPERM:
	case EACCES:
		return err_set(err, errno,
			"open /dev/fuse: not allowed: mounting needs root; a container must be "
			"given the device "
			"and the capability (--device /dev/fuse --cap-add SYS_ADMIN), a unit "
			"DeviceAllow=/dev/fuse rw");
	default:
		return err_errno(err, errno, "open /dev/fuse");
	}
}

static int mount_error(const char *point, int code, struct sfs_err *err)
{
	if (code == EPERM || code == EACCES)
		return err_set(err, code,
			"mount on %s: not allowed: it needs root (CAP_SYS_ADMIN); a container must "
			"be given "
			"--cap-add SYS_ADMIN and an AppArmor profile that allows mount",
			point);
	if (code == ENODEV)
		return err_set(err, code,
			"mount on %s: the kernel does not know FUSE: load the module (modprobe "
			"fuse)",
			point);
	return err_errno(err, code, "mount on %s", point);
}

/* The device number as mountinfo shows it. Nothing asks the mount itself: no worker would answer.
 * There is but one of ours with this source here, dead ones were detached before; something else
 * may lie on top of it already. */
static int learn_device(struct holder_mount *m, struct sfs_err *err)
{
	struct mount_entry *e;
	size_t n;
	int r = mountinfo_read(&e, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (strcmp(e[i].point, m->point) == 0 && strcmp(e[i].type, MOUNT_TYPE) == 0) {
			m->dev = e[i].dev;
			m->id = e[i].id;
		}
	m->unique = mount_unique_id(m->point);
	mountinfo_free(e, n);
	if (m->dev == 0)
		return err_set(err, ENOENT,
			"mount on %s: it vanished at once: is somebody unmounting there?",
			m->point);
	return 0;
}

int holder_attach(struct holder_mount *m, struct sfs_err *err)
{
	char data[160], target[40];
	_cleanup_close_ int fd = -1;
	int r = open_fuse(&fd, err);
	if (r < 0)
		return r;
	snprintf(data, sizeof(data),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", fd);
	/* The very directory that was checked, whatever its name leads to by now. */
	snprintf(target, sizeof(target), "/proc/self/fd/%d", m->covered_fd);
	if (mount(m->source, target, MOUNT_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC, data) < 0)
		return mount_error(m->point, errno, err);
	r = learn_device(m, err);
	if (r < 0) /* without its number: what was mounted a moment ago is on top */
		umount2(m->point, MNT_DETACH | UMOUNT_NOFOLLOW);
	else
		m->fuse_fd = take_fd(fd);
	return r;
}

static bool is_ours(const struct holder_mount *m, const struct mount_entry *e, size_t n, size_t i)
{
	if (e[i].dev != m->dev || e[i].id != m->id || strcmp(e[i].type, MOUNT_TYPE) != 0 ||
		strcmp(e[i].root, "/") != 0)
		return false;
	/* What is covered cannot be asked for its number. */
	return !m->unique || mountinfo_top(e, n, e[i].point) != &e[i] ||
	       mount_unique_id(e[i].point) == m->unique;
}

/* Our entry, wherever it was moved; binds of it elsewhere are other mounts, and not ours to end. */
static const struct mount_entry *find_ours(
	const struct holder_mount *m, const struct mount_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_ours(m, e, n, i))
			return &e[i];
	return NULL;
}

bool holder_is_attached(const struct holder_mount *m)
{
	struct mount_entry *e;
	size_t n;
	if (m->dev == 0)
		return false;
	if (mountinfo_read(&e, &n, NULL) < 0)
		return true; /* not known: better try to detach */
	bool there = find_ours(m, e, n) != NULL;
	mountinfo_free(e, n);
	return there;
}

int holder_umount(const struct holder_mount *m, int flags, struct sfs_err *err)
{
	struct mount_entry *e;
	size_t n;
	int r = mountinfo_read(&e, &n, err);
	if (r < 0)
		return r;
	const struct mount_entry *ours = find_ours(m, e, n);
	const struct mount_entry *top = ours ? mountinfo_top(e, n, ours->point) : NULL;
	if (!ours)
		r = 0; /* somebody was faster */
	else if (top != ours)
		r = err_set(err, EBUSY, "unmount %s: another mount (%s) lies on top of it",
			ours->point, top ? top->type : "hidden");
	else if (umount2(ours->point, flags | UMOUNT_NOFOLLOW) < 0)
		r = err_errno(err, errno, "unmount %s", ours->point);
	mountinfo_free(e, n);
	return r;
}

void holder_mount_clear(struct holder_mount *m)
{
	if (m->fuse_fd >= 0)
		close(m->fuse_fd);
	if (m->covered_fd >= 0)
		close(m->covered_fd);
	mem_free(m->point);
	*m = (struct holder_mount){.fuse_fd = -1, .covered_fd = -1};
}
