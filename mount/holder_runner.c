/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner: starts the programs that give credentials, as the user of the worker, without
 * capabilities. It is told a number of a command that was fixed at mount and a socket
 * (base/runmsg.h), trusts neither, and does not see what a program writes. SFS_RUNS_MAX run at
 * once, none longer than SFS_RUN_SECONDS; one that nobody waits for is killed with all it started.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/command.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/program.h"
#include "base/runmsg.h"
#include "mount/holder_child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARG_USER = CHILD_ARG_MORE, ARG_COMMANDS };

struct job {
	struct program program; /* pid 0 = this place is free */
	int sock;		/* to the worker; owned */
	int64_t kill_at;
	bool late;
};

struct runner_process {
	char **commands; /* borrowed */
	size_t ncommands;
	int sig_fd;
	bool ending;
	struct job jobs[SFS_RUNS_MAX];
};

/* The last word of a run; whoever hung up does not hear it. */
static void say(int sock, int code, int status, const char *text)
{
	struct hold_msg m = {.type = HOLD_REPLY, .code = code, .arg = (uint32_t)status};
	size_t len = strlen(text);
	m.len = (uint32_t)(len < sizeof(m.text) ? len : sizeof(m.text) - 1);
	memcpy(m.text, text, m.len);
	hold_send(sock, &m, -1);
}

/* ---- the start of a run ---- */

/* What the holder left in the socket: the values of secret variables. */
static int take_secrets(int sock, struct envstore **ret, struct sfs_err *err)
{
	struct hold_msg m;
	_cleanup_close_ int fd = -1;
	if (fcntl(sock, F_SETFL, O_NONBLOCK) < 0 || hold_recv(sock, &m, &fd) <= 0 ||
		m.type != HOLD_ENV)
		return err_set(err, EBADMSG, "the holder did not say how to start the program");
	if (fd < 0)
		return envstore_parse("", 0, ret, err);
	return envstore_read(fd, ret, err);
}

static int send_pipe(int sock, enum run_pipe which, int *fd)
{
	const struct hold_msg m = {.type = HOLD_RUN, .arg = which};
	int r = hold_send(sock, &m, *fd);
	close(*fd); /* the worker's alone */
	*fd = -1;
	return r;
}

static int start_program(
	const char *text, const struct envstore *secrets, struct program *ret, struct sfs_err *err)
{
	_cleanup_(command_clear) struct command c = {0};
	int r = command_parse(text, &c);
	return r < 0 ? err_errno(err, -r, "the command") : program_start(&c, secrets, ret, err);
}

static struct job *free_job(struct runner_process *p)
{
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		if (!p->jobs[i].program.pid)
			return &p->jobs[i];
	return NULL;
}

static int begin(struct runner_process *p, uint32_t number, int sock, struct sfs_err *err)
{
	struct envstore *secrets = NULL;
	struct job *j = free_job(p);
	int r = take_secrets(sock, &secrets, err);
	if (r == 0 && number >= p->ncommands)
		r = err_set(err, ENOENT, "there is no command %u", (unsigned)number);
	if (r == 0 && !j)
		r = err_set(err, EBUSY, "%d programs run already", SFS_RUNS_MAX);
	if (r == 0)
		r = start_program(p->commands[number], secrets, &j->program, err);
	envstore_free(secrets);
	if (r < 0)
		return r;
	j->sock = sock;
	j->late = false;
	j->kill_at = clock_after(clock_boot(), SFS_RUN_SECONDS);
	if (send_pipe(sock, RUN_OUT, &j->program.out) < 0 ||
		send_pipe(sock, RUN_ERR, &j->program.err) < 0)
		program_kill(&j->program);
	return 0;
}

/* Takes `sock` over. */
static void on_run(struct runner_process *p, const struct hold_msg *m, int sock)
{
	struct sfs_err err = {0};
	if (sock < 0 || begin(p, m->arg, sock, &err) == 0)
		return;
	say(sock, err.code, 0, err.msg);
	close(sock);
}

/* ---- its end ---- */

static void say_ended(const struct job *j, int status)
{
	struct sfs_err err = {0};
	int why = program_failed(&j->program);
	if (j->late)
		err_set(&err, ETIMEDOUT, "the program was ended: it took more than %d seconds",
			SFS_RUN_SECONDS);
	else if (why)
		err_errno(&err, why,
			"execute the program as user %u (is it there, and may that user?)",
			(unsigned)getuid());
	say(j->sock, err.code, program_status(status), err.msg);
}

static void reap(struct job *j)
{
	siginfo_t info = {.si_pid = 0};
	int status = 0;
	/* Not reaped yet, so that the number of its group is still its own. */
	if (!j->program.pid ||
		waitid(P_PID, (id_t)j->program.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid != j->program.pid)
		return;
	program_kill(&j->program); /* what it had started and left */
	waitpid(j->program.pid, &status, 0);
	say_ended(j, status);
	program_close(&j->program);
	close(j->sock);
	j->program.pid = 0;
}

static void check_limits(struct runner_process *p)
{
	int64_t now = clock_boot();
	for (size_t i = 0; i < SFS_RUNS_MAX; i++) {
		struct job *j = &p->jobs[i];
		if (!j->program.pid || now < j->kill_at)
			continue;
		j->late = true;
		j->kill_at = CLOCK_NEVER;
		program_kill(&j->program);
	}
}

/* ---- the loop ---- */

static void end(struct runner_process *p)
{
	p->ending = true;
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		if (p->jobs[i].program.pid)
			program_kill(&p->jobs[i].program);
}

static void on_message(struct runner_process *p)
{
	struct hold_msg m;
	_cleanup_close_ int fd = -1;
	int got = hold_recv(CHILD_SOCK, &m, &fd);
	if (got == -EBADMSG)
		return;
	if (got > 0 && m.type == HOLD_RUN)
		on_run(p, &m, take_fd(fd));
	else if (got <= 0 || m.type == HOLD_STOP)
		end(p);
}

static int wait_ms(const struct runner_process *p)
{
	int64_t next = CLOCK_NEVER;
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		if (p->jobs[i].program.pid && p->jobs[i].kill_at < next)
			next = p->jobs[i].kill_at;
	if (next == CLOCK_NEVER)
		return -1;
	int64_t left = next - clock_boot();
	return left <= 0 ? 0 : (int)(left / NSEC_PER_MSEC) + 1;
}

static bool any_job(const struct runner_process *p)
{
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		if (p->jobs[i].program.pid)
			return true;
	return false;
}

static void wait_once(struct runner_process *p)
{
	enum { SOCK, SIGNALS, JOBS, N = JOBS + SFS_RUNS_MAX };
	struct signalfd_siginfo info;
	struct pollfd f[N] = {
		[SOCK] = {.fd = p->ending ? -1 : CHILD_SOCK, .events = POLLIN},
		[SIGNALS] = {.fd = p->sig_fd, .events = POLLIN},
	};
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		f[JOBS + i] = (struct pollfd){
			.fd = p->jobs[i].program.pid ? p->jobs[i].sock : -1, .events = POLLIN};
	if (poll(f, N, wait_ms(p)) < 0)
		return;
	/* The worker says nothing there: what can be read is that it hung up. */
	for (size_t i = 0; i < SFS_RUNS_MAX; i++)
		if (f[JOBS + i].revents && p->jobs[i].kill_at != CLOCK_NEVER) {
			p->jobs[i].kill_at = CLOCK_NEVER;
			program_kill(&p->jobs[i].program);
		}
	if (f[SIGNALS].revents && read(p->sig_fd, &info, sizeof(info)) > 0)
		for (size_t i = 0; i < SFS_RUNS_MAX; i++)
			reap(&p->jobs[i]);
	if (f[SOCK].revents)
		on_message(p);
	check_limits(p);
}

static int open_signals(struct runner_process *p, struct sfs_err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		(p->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_errno(err, errno, "start the runner: signals");
	return 0;
}

static int become_user(const char *ids, struct sfs_err *err)
{
	unsigned uid, gid;
	if (sscanf(ids, "%u:%u", &uid, &gid) != 2)
		return err_set(err, EINVAL, "start the runner: malformed arguments");
	return harden_drop(uid, gid, err);
}

int runner_main(int argc, char **argv)
{
	static struct runner_process p;
	struct sfs_err err = {0};
	uint32_t generation = 0;
	pid_t parent = 0;
	int code = argc <= ARG_COMMANDS ? err_set(&err, EINVAL, "no commands")
					: child_begin(argc, argv, argc, "sfs-runner", &generation,
						  &parent, &err);
	if (code == 0)
		code = become_user(argv[ARG_USER], &err);
	if (code == 0)
		code = open_signals(&p, &err);
	if (code < 0) {
		log_error("no program that gives credentials can be run: %s", err.msg);
		return CHILD_UNABLE;
	}
	child_keep_leash(parent);
	p.commands = argv + ARG_COMMANDS;
	p.ncommands = (size_t)(argc - ARG_COMMANDS);
	while (!p.ending || any_job(&p))
		wait_once(&p);
	return 0;
}
