/* SPDX-License-Identifier: Apache-2.0 */
/* What audit= needs of the holder: the place for its lines, and who a process is. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/hold.h"
#include "base/path.h"
#include "mount/holder.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSLOG_SOCKET "/dev/log"
#define SYSLOG_WAIT   2 /* seconds for a syslog that does not read */

static int connect_syslog(int *ret_fd, struct sfs_err *err)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET};
	const struct timeval limit = {.tv_sec = SYSLOG_WAIT};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
		connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return err_errno(err, errno, "audit: connect to syslog (%s)", SYSLOG_SOCKET);
	*ret_fd = take_fd(fd);
	return 0;
}

/* The directory by a walk that never enters our mount, then the name in it: nothing can be put in
 * between. */
static int open_file(const char *path, const char *point, const struct path_env *env, int *ret_fd,
	struct sfs_err *err)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup_free_ char *parent = mem_strndup(path, (size_t)(name - path));
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int dir = -1;
	struct stat st;
	if (!parent)
		return err_set(err, ENOMEM, "open the audit file: no memory");
	int r = path_walk(env, parent, &canonical, &dir, err);
	if (r < 0)
		return err_prefix(err, "audit file %s", path);
	if (path_below(path, point) || path_below(canonical, point))
		return err_set(err, EINVAL,
			"the audit file %s lies below the mount point %s: choose another place",
			path, point);
	_cleanup_close_ int fd = openat(dir, name,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		0600);
	if (fd < 0)
		return err_errno(err, errno, "open the audit file %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "the audit file %s is no regular file", path);
	*ret_fd = take_fd(fd);
	return 0;
}

int holder_audit_open(const char *target, const char *point, const struct path_env *env,
	int *ret_fd, struct sfs_err *err)
{
	if (!target)
		return err_set(err, EINVAL, "this mount has no audit log");
	return target[0] == '/' ? open_file(target, point, env, ret_fd, err)
				: connect_syslog(ret_fd, err);
}

int holder_audit_check(const struct holder_opts *o, const char *point, struct sfs_err *err)
{
	static const struct path_env before = {.covered_fd = -1};
	_cleanup_close_ int fd = -1;
	if (!o->audit || o->audit[0] != '/') /* a syslog that is not there yet may come */
		return 0;
	return holder_audit_open(o->audit, point, &before, &fd, err);
}

void holder_exe(int sock, const struct hold_msg *m)
{
	char name[32], exe[SFS_HOLD_MSG_MAX];
	if (m->arg == 0 || m->arg > INT_MAX) {
		holder_reply(sock, m, -1, "not a process id", EINVAL);
		return;
	}
	snprintf(name, sizeof(name), "/proc/%u/exe", (unsigned)m->arg);
	ssize_t n = readlink(name, exe, sizeof(exe) - 1);
	if (n < 0) {
		holder_reply(sock, m, -1, "the executable of this process cannot be seen", errno);
		return;
	}
	exe[n] = '\0';
	holder_reply(sock, m, -1, exe, 0);
}
