/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include "base/hold.h"
#include "mount/holder.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FD_FUSE = 3, FD_HOLD, FD_COVERED, FD_RENAMER, FD_ASIDE = 10, FD_N = 6 };

#define WORKER_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The worker's arguments and the device number. The strings are borrowed but the last. */
static char **worker_argv(
	const struct holder_opts *o, const struct holder_mount *m, char **ret_device)
{
	size_t n = (size_t)o->nworker;
	char **argv = mem_calloc(n + 2, sizeof(*argv));
	char *device = mem_asprintf("%u:%u", major(m->dev), minor(m->dev));
	if (!argv || !device) {
		mem_free(argv);
		mem_free(device);
		return NULL;
	}
	memcpy(argv, o->worker, n * sizeof(*argv));
	argv[n] = device;
	*ret_device = device;
	return argv;
}

static void raise_memlock(uint64_t bytes)
{
	struct rlimit lim;
	if (bytes == 0 || getrlimit(RLIMIT_MEMLOCK, &lim) < 0)
		return;
	if (lim.rlim_cur < bytes)
		lim.rlim_cur = bytes;
	if (lim.rlim_max < lim.rlim_cur)
		lim.rlim_max = lim.rlim_cur;
	/* Without the right to raise it, as far as it goes: the worker's status shows what is
	 * unlocked. */
	if (setrlimit(RLIMIT_MEMLOCK, &lim) < 0 && getrlimit(RLIMIT_MEMLOCK, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &lim);
	}
}

/* Connections, watches and files of many sources are more than the usual soft limit of 1024, which
 * is there for programs that use select(2). */
static void raise_nofile(void)
{
	struct rlimit lim;
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_cur >= SFS_DESCRIPTORS)
		return;
	lim.rlim_cur = lim.rlim_max < SFS_DESCRIPTORS ? lim.rlim_max : SFS_DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &lim);
}

/* Everything to its fixed number. First out of the way, because the numbers wanted may be in use by
 * one another. */
static int place_descriptors(const struct holder_mount *m, int log_fd, int renamer_fd, int sock)
{
	const int from[FD_N] = {log_fd, log_fd, m->fuse_fd, sock, m->covered_fd, renamer_fd};
	const int to[FD_N] = {1, 2, FD_FUSE, FD_HOLD, FD_COVERED, FD_RENAMER};
	int aside[FD_N];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0)
		return -errno;
	for (size_t i = 0; i < FD_N; i++) {
		aside[i] = fcntl(from[i] < 0 ? null : from[i], F_DUPFD_CLOEXEC, FD_ASIDE);
		if (aside[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < FD_N; i++)
		if (dup2(aside[i], to[i]) < 0)
			return -errno;
	const int keep[] = {FD_FUSE, FD_HOLD, FD_COVERED, FD_RENAMER};
	harden_descriptors(keep, 4);
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A session of its own: Ctrl-C at the terminal asks the holder, which then ends the worker in
 * order. */
static int become_worker(const struct holder_opts *o, char **argv, struct sfs_err *err)
{
	char tz[256] = "";
	char *env[] = {(char[]){WORKER_PATH}, (char[]){"LANG=C.UTF-8"}, NULL, NULL};
	const char *zone = getenv("TZ");
	if (zone && (size_t)snprintf(tz, sizeof(tz), "TZ=%s", zone) < sizeof(tz))
		env[2] = tz;
	setsid();
	reset_signals();
	umask(077);
	raise_memlock(o->memlock);
	raise_nofile();
	int r = harden_drop(o->uid, o->gid, err);
	if (r < 0)
		return err_prefix(err, "start the worker");
	execve(argv[0], argv, env);
	return err_errno(err, errno, "execute %s as user %u (can that user reach the program?)",
		argv[0], (unsigned)o->uid);
}

__attribute__((noreturn)) static void child(const struct holder_opts *o,
	const struct holder_mount *m, int log_fd, int renamer_fd, int sock, char **argv)
{
	struct sfs_err err = {0};
	struct hold_msg msg = {.type = HOLD_FAILED};
	int r = place_descriptors(m, log_fd, renamer_fd, sock);
	if (r < 0)
		err_errno(&err, -r, "start the worker: arrange its descriptors");
	else
		sock = FD_HOLD;
	if (r == 0)
		become_worker(o, argv, &err);
	msg.code = err.code;
	msg.len = (uint32_t)strlen(err.msg);
	memcpy(msg.text, err.msg, msg.len);
	hold_send(sock, &msg, -1);
	_exit(1);
}

int holder_spawn(const struct holder_opts *o, const struct holder_mount *m, int log_fd,
	int renamer_fd, pid_t *ret_pid, int *ret_sock, struct sfs_err *err)
{
	int pair[2];
	_cleanup_free_ char *device = NULL;
	_cleanup_free_ char **argv = worker_argv(o, m, &device);
	if (!argv)
		return err_set(err, ENOMEM, "start the worker: no memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, "start the worker: make its socket");
	_cleanup_close_ int ours = pair[0], theirs = pair[1];
	/* Our end never blocks: a worker that does not read must not stop us. */
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(err, errno, "start the worker");
	pid_t pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "start the worker: fork");
	if (pid == 0)
		child(o, m, log_fd, renamer_fd, theirs, argv);
	*ret_pid = pid;
	*ret_sock = take_fd(ours);
	return 0;
}
