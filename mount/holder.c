/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/holder.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/path.h"
#include "mount/holder_child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is inherited and would surprise: ignored signals, a strange umask, a directory that cannot
 * be unmounted. */
static void settle(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit on files costs log lines, not the mount */
	umask(022);
	if (chdir("/") < 0)
		return; /* "/" cannot be unmounted anyway */
}

static int refuse_log(const char *log, const char *point, struct sfs_err *err)
{
	return err_set(err, EINVAL,
		"the log file %s lies below the mount point %s: choose another place", log, point);
}

/* A log file is opened before there is a mount, and never below it (R23): it would be written
 * through ourselves. */
static int open_log_file(
	const struct holder_opts *o, const char *point, int *ret_fd, struct sfs_err *err)
{
	_cleanup_free_ char *place = NULL;
	struct stat st;
	if (path_below(o->log, point))
		return refuse_log(o->log, point, err);
	_cleanup_close_ int fd = open(o->log,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		0600);
	if (fd < 0)
		return err_errno(err, errno, "open the log file %s", o->log);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "the log file %s is no regular file", o->log);
	int r = mountpoint_canonical(o->log, &place, err);
	if (r < 0)
		return err_prefix(err, "log file");
	if (path_below(place, point))
		return refuse_log(o->log, point, err);
	*ret_fd = take_fd(fd);
	return 0;
}

/* *ret_fd is what the worker gets as 1 and 2; -1 = /dev/null. With a log file also our own. */
static int open_log(
	const struct holder_opts *o, const char *point, int *ret_fd, struct sfs_err *err)
{
	bool use_syslog = strcmp(o->log, "syslog") == 0;
	if (o->log[0] == '/') {
		int r = open_log_file(o, point, ret_fd, err);
		if (r < 0)
			return r;
		dup2(*ret_fd, STDOUT_FILENO);
		dup2(*ret_fd, STDERR_FILENO);
	} else if (!use_syslog) {
		*ret_fd = STDERR_FILENO;
	}
	log_open("secretfs-holder", use_syslog, LOG_LEVEL_INFO);
	return 0;
}

/* What we are not to inherit is closed; what is wanted stays here. */
static int keep_descriptors(const struct holder_opts *o, struct sfs_err *err)
{
	_cleanup_free_ int *keep = mem_calloc(o->nfds + 1, sizeof(*keep));
	size_t n = 0;
	if (!keep)
		return err_set(err, ENOMEM, "read the descriptors given: no memory");
	if (o->ready_fd >= 0)
		keep[n++] = o->ready_fd;
	for (size_t i = 0; i < o->nfds; i++)
		keep[n++] = o->fds[i].fd;
	harden_descriptors(keep, n);
	return 0;
}

/* What fd: references stand for cannot be read twice: it goes where the variables are. */
static int take_descriptors(const struct holder_opts *o, struct envstore *vars, struct sfs_err *err)
{
	int r = 0;
	for (size_t i = 0; i < o->nfds; i++) {
		if (r == 0)
			r = envstore_add_fd(vars, o->fds[i].number, o->fds[i].fd, err);
		close(o->fds[i].fd);
	}
	return r;
}

/* The variables asked for are taken into locked memory; then nothing of the environment is left. */
static int take_environment(const struct holder_opts *o, struct envstore **ret, struct sfs_err *err)
{
	static const char *const keep[] = {"TZ"};
	int r = envstore_take(environ, o->env, o->nenv, ret, err);
	if (r == 0)
		r = take_descriptors(o, *ret, err);
	harden_environment();
	env_wipe(keep, 1);
	return r;
}

static int mount_and_run(struct holder_opts *o, struct holder_mount *m, const struct envstore *vars,
	int stderr_fd, struct sfs_err *err)
{
	int log_fd = -1;
	int r = holder_prepare(m, o, err);
	if (r == 0)
		r = open_log(o, m->point, &log_fd, err);
	if (r == 0)
		r = holder_audit_check(o, m->point, err);
	if (r == 0)
		r = holder_attach(m, err);
	return r < 0 ? r : holder_run(o, m, vars, log_fd, stderr_fd);
}

int main(int argc, char **argv)
{
	struct holder_opts o = {.ready_fd = -1};
	struct holder_mount m = {.fuse_fd = -1, .covered_fd = -1};
	struct envstore *vars = NULL;
	struct sfs_err err = {0};
	if (argc > 1 && strcmp(argv[1], "renamer") == 0) /* not for people: see holder_child.h */
		_exit(renamer_main(argc, argv));
	if (argc > 1 && strcmp(argv[1], "spawner") == 0)
		_exit(spawner_main(argc, argv));
	if (argc > 1 && strcmp(argv[1], "runner") == 0)
		_exit(runner_main(argc, argv));
	harden_stdio(O_RDWR);
	settle();
	log_open("secretfs-holder", false, LOG_LEVEL_INFO);
	int r = holder_options(argc, argv, &o, &err);
	if (keep_descriptors(&o, r < 0 ? NULL : &err) < 0 && r == 0)
		r = -ENOMEM;
	int stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (r == 0 && o.ready_fd >= 0) {
		fcntl(o.ready_fd, F_SETFD, FD_CLOEXEC);
		setsid(); /* a daemon: the terminal's signals are not for us */
	}
	if (r == 0)
		r = harden_no_dump(&err);
	if (r == 0)
		r = take_environment(&o, &vars, &err);
	if (r == 0)
		r = mount_and_run(&o, &m, vars, stderr_fd, &err);
	if (r < 0)
		holder_report(o.ready_fd, stderr_fd, &err);
	holder_mount_clear(&m);
	envstore_free(vars);
	holder_options_clear(&o);
	return r < 0 ? 1 : r;
}
