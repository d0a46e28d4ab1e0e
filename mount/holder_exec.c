/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/holder_exec.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHELL "/bin/sh"
#define PATH  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int exec_become_caller(struct sfs_err *err)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_errno(err, errno, "become the caller of mount (user %u)", (unsigned)uid);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_get_caps_process() != 0)
		return err_set(err, EPERM, "read the capabilities: the kernel refused");
	bool may_kill = uid == 0 && capng_have_capability(CAPNG_PERMITTED, CAP_KILL);
	capng_clear(CAPNG_SELECT_CAPS);
	if (may_kill)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_KILL);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_set(err, EPERM, "give up the capabilities: the kernel refused");
	return harden_no_dump(err); /* the change of user may have undone it */
}

static int make_input(const char *text, size_t len, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("secretfs-changes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* pwrite(2) leaves the place to read from at the start. */
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, text + done, len - done, (off_t)done);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	*ret_fd = take_fd(fd);
	return 0;
}

__attribute__((noreturn)) static void run(
	const struct exec_command *c, char *const *env, int in, int out)
{
	static const char failed[] = "cannot execute " SHELL "\n";
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	harden_signals();
	umask(022);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	harden_descriptors(NULL, 0);
	execve(SHELL,
		(char *const[]){(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)c->text, NULL},
		env);
	ssize_t n = write(2, failed, sizeof(failed) - 1);
	_exit(n < 0 ? 126 : 127);
}

static int spawn(const struct exec_command *c, int in, pid_t *ret_pid, int *ret_out)
{
	_cleanup_free_ char *home = mem_asprintf("HOME=%s", c->home);
	_cleanup_free_ char *point = mem_asprintf("SECRETFS_MOUNTPOINT=%s", c->point);
	_cleanup_free_ char *source = mem_asprintf("SECRETFS_SOURCE=%s", c->source);
	char *const env[] = {(char[]){PATH}, (char[]){"LANG=C.UTF-8"}, home, point, source, NULL};
	int pipe_fds[2];
	if (!home || !point || !source)
		return -ENOMEM;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ int reader = pipe_fds[0], writer = pipe_fds[1];
	if (fcntl(reader, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run(c, env, in, writer);
	*ret_pid = pid;
	*ret_out = take_fd(reader);
	return 0;
}

int exec_start(const struct exec_command *c, const char *input, size_t len, pid_t *ret_pid,
	int *ret_out, struct sfs_err *err)
{
	_cleanup_close_ int in = -1;
	int r = make_input(input, len, &in);
	if (r < 0)
		return err_errno(err, -r, "make its standard input");
	r = spawn(c, in, ret_pid, ret_out);
	return r < 0 ? err_errno(err, -r, "start it") : 0;
}
