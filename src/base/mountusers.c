/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mountusers.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/path.h"
#include "base/text.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOLDER_COMM "secretfs-holder" /* just fits the kernel's 15 characters */

struct scan {
	const char *point;
	int mnt_id;
	dev_t dev;
	struct mount_user *users;
	size_t n;
	bool failed; /* no memory */
};

static void dir_close_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void file_close_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* All of a small file of /proc as a string; the length, or -1. */
static ssize_t slurp(const char *path, char *out, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
	if (n >= 0)
		out[n] = '\0';
	return n;
}

static void read_comm(pid_t pid, char *out, size_t size)
{
	char path[64], comm[64] = "?";
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	slurp(path, comm, sizeof(comm));
	comm[strcspn(comm, "\n")] = '\0';
	text_escaped(out, size, comm, strlen(comm));
}

static void add_user(struct scan *s, pid_t pid, const char *how, const char *path)
{
	char shown[512];
	if (s->n == MOUNT_USERS_MAX || s->failed)
		return;
	for (size_t i = s->n; i > 0 && s->users[i - 1].pid == pid; i--)
		if (strcmp(s->users[i - 1].how, how) == 0) /* a file mapped in several pieces */
			return;
	text_escaped(shown, sizeof(shown), path, strlen(path));
	struct mount_user *u = &s->users[s->n];
	u->path = mem_strdup(shown);
	if (!u->path) {
		s->failed = true;
		return;
	}
	u->pid = pid;
	snprintf(u->how, sizeof(u->how), "%s", how);
	read_comm(pid, u->comm, sizeof(u->comm));
	s->n++;
}

/* The path behind a magic link, read as text: following it would walk into the mount. */
static bool link_below(const struct scan *s, const char *path, char *target, size_t size)
{
	ssize_t n = readlink(path, target, size - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	return path_below(target, s->point);
}

/* The directory that the mount covers has the same path: only the mount's number tells them apart.
 */
static bool fd_in_mount(const struct scan *s, pid_t pid, const char *fd)
{
	char path[64], info[1024];
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.20s", (int)pid, fd);
	if (slurp(path, info, sizeof(info)) < 0)
		return true;
	const char *id = strstr(info, "mnt_id:");
	return !id || strtol(id + 7, NULL, 10) == s->mnt_id;
}

static void scan_links(struct scan *s, pid_t pid)
{
	static const char *const links[] = {"cwd", "root"};
	char path[64], target[SFS_PATH_MAX];
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, links[i]);
		if (link_below(s, path, target, sizeof(target)))
			add_user(s, pid, links[i], target);
	}
}

static void scan_fds(struct scan *s, pid_t pid)
{
	char path[64], target[SFS_PATH_MAX], how[16];
	const struct dirent *e;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	_cleanup_(dir_close_p) DIR *d = opendir(path);
	while (d && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%.20s", (int)pid, e->d_name);
		if (!link_below(s, path, target, sizeof(target)) || !fd_in_mount(s, pid, e->d_name))
			continue;
		snprintf(how, sizeof(how), "fd %.10s", e->d_name);
		add_user(s, pid, how, target);
	}
}

static void scan_maps(struct scan *s, pid_t pid)
{
	char path[64], line[SFS_PATH_MAX + 128];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	_cleanup_(file_close_p) FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned major, minor;
		int at = 0;
		if (sscanf(line, "%*s %*s %*s %x:%x %*s %n", &major, &minor, &at) != 2 || !at)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (makedev(major, minor) == s->dev)
			add_user(s, pid, "map", line + at);
	}
}

/* Another mount namespace has other mounts, even at the same path. */
static bool same_namespace(pid_t pid)
{
	char path[64], ours[64], theirs[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	ssize_t a = readlink("/proc/self/ns/mnt", ours, sizeof(ours));
	ssize_t b = readlink(path, theirs, sizeof(theirs));
	return a > 0 && a == b && memcmp(ours, theirs, (size_t)a) == 0;
}

static pid_t next_pid(DIR *proc)
{
	const struct dirent *e;
	while ((e = readdir(proc)))
		if (isdigit((unsigned char)e->d_name[0]))
			return (pid_t)strtol(e->d_name, NULL, 10);
	return 0;
}

static int find_mount(struct scan *s, struct sfs_err *err)
{
	struct mount_entry *m;
	size_t n;
	int r = mountinfo_read(&m, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (m[i].dev == s->dev && strcmp(m[i].point, s->point) == 0)
			s->mnt_id = m[i].id;
	mountinfo_free(m, n);
	return s->mnt_id ? 0 : err_set(err, EINVAL, "%s is not that mount any more", s->point);
}

int mount_users(
	const char *point, dev_t dev, struct mount_user **ret, size_t *ret_n, struct sfs_err *err)
{
	struct scan s = {.point = point, .dev = dev};
	pid_t pid;
	int r = find_mount(&s, err);
	if (r < 0)
		return r;
	_cleanup_(dir_close_p) DIR *proc = opendir("/proc");
	if (!proc)
		return err_errno(err, errno, "open /proc");
	s.users = mem_calloc(MOUNT_USERS_MAX, sizeof(*s.users));
	s.failed = !s.users;
	while (!s.failed && (pid = next_pid(proc)) > 0) {
		if (!same_namespace(pid))
			continue;
		scan_links(&s, pid);
		scan_fds(&s, pid);
		scan_maps(&s, pid);
	}
	if (s.failed) {
		mount_users_free(s.users, s.n);
		return err_set(err, ENOMEM, "look for the users of %s: no memory", point);
	}
	*ret = s.users;
	*ret_n = s.n;
	return 0;
}

void mount_users_free(struct mount_user *u, size_t n)
{
	for (size_t i = 0; u && i < n; i++)
		mem_free(u[i].path);
	mem_free(u);
}

static bool last_argument_is(pid_t pid, const char *arg)
{
	char path[64];
	size_t len = strlen(arg) + 1; /* with its NUL, and the NUL of the argument before it */
	char tail[64];
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	_cleanup_(file_close_p) FILE *f = fopen(path, "re");
	size_t have = 0;
	int c;
	while (f && (c = getc(f)) != EOF) {
		if (have == len + 1)
			memmove(tail, tail + 1, have--);
		tail[have++] = (char)c;
	}
	return have == len + 1 && tail[0] == '\0' && memcmp(tail + 1, arg, len) == 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], status[2048];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (slurp(path, status, sizeof(status)) < 0)
		return 0;
	const char *line = strstr(status, "\nPPid:");
	return line ? (pid_t)strtol(line + 6, NULL, 10) : 0;
}

/* When the process started, in clock ticks since boot; 0 if it is gone. */
static unsigned long long started_at(pid_t pid)
{
	char path[64], stat[1024];
	unsigned long long ticks = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (slurp(path, stat, sizeof(stat)) < 0)
		return 0;
	const char *rest = strrchr(stat, ')'); /* the name before it may hold anything */
	if (!rest || sscanf(rest,
			     ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			     "%*s %*s %*s %llu",
			     &ticks) != 1)
		return 0;
	return ticks;
}

/* The kernel gives the number of a mount that went to the next one at once, while the worker of the
 * first still ends: the one that started last is that of the mount there is.
 */
pid_t mount_server(dev_t dev)
{
	char arg[32], comm[20];
	pid_t pid, last = 0;
	unsigned long long latest = 0;
	snprintf(arg, sizeof(arg), "%u:%u", major(dev), minor(dev));
	_cleanup_(dir_close_p) DIR *proc = opendir("/proc");
	while (proc && (pid = next_pid(proc)) > 0) {
		unsigned long long start = last_argument_is(pid, arg) ? started_at(pid) : 0;
		if (start >= latest && start > 0) {
			latest = start;
			last = pid;
		}
	}
	if (!last)
		return 0;
	pid_t parent = parent_of(last);
	read_comm(parent, comm, sizeof(comm));
	return strcmp(comm, HOLDER_COMM) == 0 ? parent : last;
}
