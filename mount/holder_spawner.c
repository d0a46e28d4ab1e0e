/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spawner: runs the command of on_change= as the caller of mount, told on standard input what
 * changed. It has no /dev/fuse and no value. What it is told comes from the worker, who may be in
 * hostile hands and decides only that the one command fixed at mount is run, on what lines: those
 * are checked here, runs are never two at once and at least DELAY apart, and none lasts longer than
 * TIMEOUT.
 */
#include "base/alloc.h"
#include "base/changes.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/text.h"
#include "mount/holder_child.h"
#include "mount/holder_exec.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARG_SOURCE = CHILD_ARG_MORE, ARG_HOME, ARG_DELAY, ARG_COMMAND, ARG_TIMEOUT, ARG_N };

#define SETTLE_NS    (100 * NSEC_PER_MSEC) /* what changes together is one run */
#define GRACE_NS     (2 * NSEC_PER_SEC)	   /* between TERM and KILL */
#define END_GRACE_NS NSEC_PER_SEC	   /* the same when the mount is gone */
#define LINES_MAX    200		   /* of the command's output in the log, a minute */
#define DRAIN_MAX    16			   /* reads of what a command that ended left in its pipe */

struct spawner {
	struct exec_command command;
	int64_t delay, timeout; /* ns */
	int sig_fd;
	bool ending;
	struct changes waiting;
	int64_t not_before; /* the next start */

	pid_t pid; /* of the run, which leads a group of its own; 0 = none */
	int out;   /* its standard output and error */
	bool late; /* it was told to end */
	int64_t term_at, kill_at;
	char line[1024]; /* of its output, not yet complete */
	size_t len;
	unsigned lines; /* logged in this minute */
	int64_t minute;
	unsigned failures; /* not yet logged */
};

/* ---- output ---- */

static void log_output(struct spawner *s)
{
	int64_t now = clock_boot();
	if (now >= s->minute) {
		s->minute = clock_after(now, 60);
		s->lines = 0;
	}
	for (size_t i = 0; i < s->len; i++)
		if (s->line[i] == '\0')
			s->line[i] = ' ';
	if (s->len && s->lines < LINES_MAX)
		log_info("%s: on_change: %.*s", s->command.point, (int)s->len, s->line);
	if (s->lines++ == LINES_MAX)
		log_warn("%s: on_change: more than %d lines of output a minute: the rest is "
			 "dropped",
			s->command.point, LINES_MAX);
	s->len = 0;
}

/* False at the end of it, or when there is nothing for now. */
static bool read_output(struct spawner *s)
{
	char chunk[4096];
	ssize_t n = read(s->out, chunk, sizeof(chunk));
	if (n <= 0) {
		bool over = n == 0 || (errno != EAGAIN && errno != EINTR);
		if (over) {
			close(s->out);
			s->out = -1;
		}
		return false;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (chunk[i] != '\n')
			s->line[s->len++] = chunk[i];
		if (chunk[i] == '\n' || s->len == sizeof(s->line))
			log_output(s);
	}
	return true;
}

/* What it left running may keep the pipe open: that is no reason to wait. */
static void finish_output(struct spawner *s)
{
	for (int i = 0; s->out >= 0 && i < DRAIN_MAX && read_output(s); i++)
		;
	if (s->len)
		log_output(s);
	if (s->out >= 0)
		close(s->out);
	s->out = -1;
}

/* ---- a run ---- */

static void start(struct spawner *s)
{
	static struct log_rate rate = LOG_RATE(60);
	static char text[SFS_CHANGES_MAX];
	struct sfs_err err = {0};
	int64_t now = clock_boot();
	s->not_before = now + s->delay;
	size_t len = changes_take(&s->waiting, text, sizeof(text));
	if (exec_start(&s->command, text, len, &s->pid, &s->out, &err) < 0) {
		s->pid = 0;
		if (log_due(&rate))
			log_error("%s: on_change cannot be run: %s", s->command.point, err.msg);
		return;
	}
	s->late = false;
	s->term_at = now + s->timeout;
	s->kill_at = CLOCK_NEVER;
}

static void tell_to_end(struct spawner *s, int64_t grace)
{
	s->late = true;
	s->term_at = CLOCK_NEVER;
	s->kill_at = clock_boot() + grace;
	kill(-s->pid, SIGTERM);
}

static void say_ended(struct spawner *s, int status)
{
	static struct log_rate well = LOG_RATE(60), badly = LOG_RATE(60);
	char how[64];
	if (s->ending) /* we ended it */
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (log_due(&well))
			log_info("%s: on_change was run", s->command.point);
		return;
	}
	s->failures++;
	if (!log_due(&badly))
		return;
	log_warn("%s: on_change %s (failures since the last such line: %u)", s->command.point,
		child_how_it_ended(status, how, sizeof(how)), s->failures);
	s->failures = 0;
}

static void reap(struct spawner *s)
{
	siginfo_t info = {.si_pid = 0};
	int status = 0;
	/* Not reaped yet, so that the number of its group is still its own. */
	if (!s->pid || waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid != s->pid)
		return;
	if (s->late)
		kill(-s->pid, SIGKILL); /* what it had started and left */
	finish_output(s);
	waitpid(s->pid, &status, 0);
	s->pid = 0;
	say_ended(s, status);
}

static void check_limits(struct spawner *s)
{
	int64_t now = clock_boot();
	if (!s->pid)
		return;
	if (now >= s->term_at) {
		log_warn("%s: on_change runs for more than %lld seconds: it is ended",
			s->command.point, (long long)(s->timeout / NSEC_PER_SEC));
		tell_to_end(s, GRACE_NS);
	} else if (now >= s->kill_at) {
		s->kill_at = CLOCK_NEVER;
		kill(-s->pid, SIGKILL);
	}
}

/* ---- the loop ---- */

static void on_lines(struct spawner *s, const struct hold_msg *m)
{
	static struct log_rate rate = LOG_RATE(60);
	bool first = !changes_any(&s->waiting);
	int64_t settled = clock_boot() + (s->delay < SETTLE_NS ? s->delay : SETTLE_NS);
	if (changes_add_lines(&s->waiting, m->text, m->len) < 0) {
		if (log_due(&rate))
			log_warn("%s: on_change: the worker sent something else than changes: "
				 "ignored",
				s->command.point);
		return;
	}
	if (first && s->not_before < settled)
		s->not_before = settled;
}

static void on_message(struct spawner *s)
{
	struct hold_msg m;
	int fd = -1;
	int got = hold_recv(CHILD_SOCK, &m, &fd);
	if (fd >= 0)
		close(fd);
	if (got == -EBADMSG)
		return;
	if (got > 0 && m.type == HOLD_CHANGED)
		on_lines(s, &m);
	else if (got <= 0 || m.type == HOLD_STOP)
		s->ending = true;
	if (s->ending && s->pid)
		tell_to_end(s, END_GRACE_NS);
}

static int64_t next_deadline(const struct spawner *s)
{
	if (s->pid)
		return s->term_at < s->kill_at ? s->term_at : s->kill_at;
	return changes_any(&s->waiting) ? s->not_before : CLOCK_NEVER;
}

static int wait_ms(const struct spawner *s)
{
	int64_t next = next_deadline(s);
	if (next == CLOCK_NEVER)
		return -1;
	int64_t left = next - clock_boot();
	return left <= 0 ? 0 : (int)(left / NSEC_PER_MSEC) + 1;
}

static void wait_once(struct spawner *s)
{
	enum { SOCK, SIGNALS, OUT, N };
	struct signalfd_siginfo info;
	struct pollfd p[N] = {
		[SOCK] = {.fd = s->ending ? -1 : CHILD_SOCK, .events = POLLIN},
		[SIGNALS] = {.fd = s->sig_fd, .events = POLLIN},
		[OUT] = {.fd = s->pid ? s->out : -1, .events = POLLIN},
	};
	if (poll(p, N, wait_ms(s)) < 0)
		return;
	if (p[OUT].revents)
		read_output(s);
	if (p[SIGNALS].revents && read(s->sig_fd, &info, sizeof(info)) > 0)
		reap(s);
	if (p[SOCK].revents)
		on_message(s);
	check_limits(s);
}

static void serve(struct spawner *s)
{
	while (!s->ending || s->pid) {
		wait_once(s);
		if (!s->pid && !s->ending && changes_any(&s->waiting) &&
			clock_boot() >= s->not_before)
			start(s);
	}
}

static int open_signals(struct spawner *s, struct sfs_err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		(s->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_errno(err, errno, "start the spawner: signals");
	return 0;
}

static int parse(char **argv, struct spawner *s, struct sfs_err *err)
{
	uint64_t delay, timeout;
	if (parse_u64(argv[ARG_DELAY], INT32_MAX, &delay) < 0 ||
		parse_u64(argv[ARG_TIMEOUT], INT32_MAX, &timeout) < 0)
		return err_set(err, EINVAL, "start the spawner: malformed arguments");
	s->delay = (int64_t)delay * NSEC_PER_SEC;
	s->timeout = (int64_t)timeout * NSEC_PER_SEC;
	s->command = (struct exec_command){
		.text = argv[ARG_COMMAND],
		.point = argv[CHILD_ARG_POINT],
		.source = argv[ARG_SOURCE],
		.home = argv[ARG_HOME],
	};
	return 0;
}

int spawner_main(int argc, char **argv)
{
	static struct spawner s = {.out = -1, .waiting = CHANGES_INIT};
	struct sfs_err err = {0};
	uint32_t generation = 0;
	pid_t parent = 0;
	int code = child_begin(argc, argv, ARG_N, "sfs-spawner", &generation, &parent, &err);
	if (code == 0)
		code = parse(argv, &s, &err);
	if (code == 0)
		code = exec_become_caller(&err);
	if (code == 0)
		code = open_signals(&s, &err);
	if (code < 0) {
		log_error("on_change cannot be run: %s", err.msg);
		return CHILD_UNABLE;
	}
	child_keep_leash(parent);
	serve(&s);
	changes_clear(&s.waiting);
	return 0;
}
