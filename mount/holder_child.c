/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/holder_child.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASIDE 10 /* above all numbers that are wanted */

/* Between fork and exec of a process that has threads: nothing that takes a lock. */
__attribute__((noreturn)) static void run_child(char **argv, int log_fd, int sock, pid_t parent)
{
	static const int keep[] = {CHILD_SOCK};
	char *none[] = {NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high_log = fcntl(log_fd < 0 ? null : log_fd, F_DUPFD_CLOEXEC, ASIDE);
	int high_sock = fcntl(sock, F_DUPFD_CLOEXEC, ASIDE);
	if (dup2(null, 0) < 0 || dup2(high_log, 1) < 0 || dup2(high_log, 2) < 0 ||
		dup2(high_sock, CHILD_SOCK) < 0)
		_exit(1);
	harden_descriptors(keep, 1);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* In a process id namespace of its own the parent is 0. */
	if (getppid() == parent || getppid() == 0)
		execve("/proc/self/exe", argv, none);
	_exit(1);
}

int child_spawn(char **argv, int log_fd, int sock, pid_t *ret_pid, struct sfs_err *err)
{
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "start the %s: fork", argv[CHILD_ARG_WORD]);
	if (pid == 0)
		run_child(argv, log_fd, sock, parent);
	*ret_pid = pid;
	return 0;
}

const char *child_how_it_ended(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "was killed by signal %d (%s)", WTERMSIG(status),
			sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
	else
		snprintf(out, size, "ended with exit code %d", WEXITSTATUS(status));
	return out;
}

bool child_is_ending(pid_t pid)
{
	char path[32], stat[256], *p = NULL;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);
	if (n > 0) {
		stat[n] = '\0';
		p = strrchr(stat, ')'); /* the name before may hold anything */
	}
	return p && (strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0);
}

void child_keep_leash(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
}

static bool is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

/* The holder decides when they end: what reaches a whole group must not end them before it. */
static void settle_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
	sigset_t none;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_begin(int argc, char **argv, int nargs, const char *name, uint32_t *ret_generation,
	pid_t *ret_parent, struct sfs_err *err)
{
	uint64_t generation;
	pid_t parent = getppid();
	if (argc != nargs || !is_socket(CHILD_SOCK) ||
		parse_u64(argv[CHILD_ARG_GENERATION], UINT32_MAX, &generation) < 0)
		return err_set(
			err, EINVAL, "this program is started by 'secretfs mount', not by hand");
	prctl(PR_SET_NAME, name);
	settle_signals();
	log_open("secretfs-holder", strcmp(argv[CHILD_ARG_LOG], "syslog") == 0, LOG_LEVEL_INFO);
	if (fcntl(CHILD_SOCK, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0)
		return err_errno(err, errno, "start the %s", argv[CHILD_ARG_WORD]);
	*ret_generation = (uint32_t)generation;
	*ret_parent = parent;
	return harden_no_dump(err);
}
