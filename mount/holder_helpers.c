/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/holder_helpers.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/renmsg.h"
#include "mount/holder_child.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 30000
#define STEADY_NS    (60 * NSEC_PER_SEC) /* who lived so long starts again without pauses */
#define RENAMER_MS   300		 /* for its end before the mount goes */
#define SPAWNER_MS   3000		 /* for what it runs, and its own end */
#define ARGS	     11

struct helper {
	char **argv;		  /* the strings are borrowed, but for the numbers below */
	char generation_text[12]; /* argv[CHILD_ARG_GENERATION] */
	uint32_t generation;
	int end; /* its end of the socket; owned */
	pid_t pid;
	int64_t started, start_at;
	int pause_ms;
};

struct helpers {
	struct helper renamer, spawner, runner;
	char *renamer_argv[ARGS], *spawner_argv[ARGS];
	char **runner_argv; /* owned */
	int runner_sock;    /* our end of the runner's socket; owned; -1 without commands */
	int log_fd;	    /* borrowed */
	int spawner_sock;   /* our end of the spawner's socket; owned; -1 without commands */
	bool lost;	    /* the spawner's socket was full: it has to be told so */
	bool told;	    /* it got lines */
	char device[24], id[12], unique[24], delay[24], timeout[24], user[24];
};

/* ---- one helper ---- */

static void pause_before_next(struct helper *h)
{
	int64_t now = clock_boot();
	bool steady = h->started && now - h->started >= STEADY_NS;
	h->pause_ms = steady || !h->pause_ms ? PAUSE_MIN_MS : h->pause_ms * 2;
	if (h->pause_ms > PAUSE_MAX_MS)
		h->pause_ms = PAUSE_MAX_MS;
	h->start_at = now + h->pause_ms * NSEC_PER_MSEC;
}

/* True if there is a new process. */
static bool helper_start(struct helper *h, int log_fd)
{
	static struct log_rate rate = LOG_RATE(60);
	struct sfs_err err = {0};
	if (h->pid || clock_boot() < h->start_at)
		return false;
	if (++h->generation == 0)
		h->generation = 1;
	snprintf(h->generation_text, sizeof(h->generation_text), "%u", (unsigned)h->generation);
	h->started = clock_boot();
	h->start_at = CLOCK_NEVER;
	if (child_spawn(h->argv, log_fd, h->end, &h->pid, &err) == 0)
		return true;
	h->pid = 0;
	pause_before_next(h);
	if (log_due(&rate))
		log_err(LOG_LEVEL_WARN, &err);
	return false;
}

static void say_ended(const struct helper *h, pid_t pid, int status)
{
	static struct log_rate rate = LOG_RATE(10);
	char how[64];
	if (log_due(&rate))
		log_warn("the %s (process %d) %s; it is started again", h->argv[CHILD_ARG_WORD],
			(int)pid, child_how_it_ended(status, how, sizeof(how)));
}

/* 0 = it lives (or there is none), 1 = it ended and will be started again, -1 = it never will. */
static int helper_reap(struct helper *h)
{
	int status;
	if (!h->pid || waitpid(h->pid, &status, WNOHANG) != h->pid)
		return 0;
	pid_t pid = h->pid;
	h->pid = 0;
	h->start_at = CLOCK_NEVER;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_UNABLE)
		return -1; /* it has said why */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0; /* whom it served has hung up */
	say_ended(h, pid, status);
	pause_before_next(h);
	return 1;
}

static bool helper_await(struct helper *h, int ms)
{
	if (!h->pid)
		return true;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (fd >= 0)
		poll(&p, 1, ms);
	if (waitpid(h->pid, NULL, WNOHANG) == h->pid)
		h->pid = 0;
	return !h->pid;
}

/* ---- the renamer ---- */

static void tell_worker(struct helpers *h, enum renamer_op what, int code)
{
	const struct renamer_msg m = {
		.type = what, .generation = h->renamer.generation, .code = code};
	renmsg_send(h->renamer.end, &m); /* -EPIPE: the worker ends */
}

/* A renamer is announced with the process id that fork(2) gave us: FUSE requests show ids of the
 * same namespace, that of the process that mounted. */
static void start_renamer(struct helpers *h)
{
	if (helper_start(&h->renamer, h->log_fd))
		tell_worker(h, RENAMER_HELLO, (int)h->renamer.pid);
}

static void reap_renamer(struct helpers *h)
{
	int r = helper_reap(&h->renamer);
	if (r)
		tell_worker(h, RENAMER_GONE, r < 0 ? EPERM : 0);
}

static void kill_stuck(struct helpers *h, uint32_t generation)
{
	static struct log_rate rate = LOG_RATE(60);
	if (!h->renamer.pid || h->renamer.generation != generation)
		return;
	if (log_due(&rate))
		log_warn("the renamer (process %d) did not answer in time and is replaced",
			(int)h->renamer.pid);
	kill(h->renamer.pid, SIGKILL); /* takes effect when the kernel lets go of it */
}

void helpers_stop_renamer(struct helpers *h)
{
	h->renamer.start_at = CLOCK_NEVER;
	if (h->renamer.pid)
		kill(h->renamer.pid, SIGKILL);
	helper_await(&h->renamer, RENAMER_MS);
}

/* ---- the spawner ---- */

static void send_lines(struct helpers *h, const struct hold_msg *m)
{
	if (hold_send(h->spawner_sock, m, -1) == -EAGAIN)
		h->lost = true;
	else
		h->told = true;
}

/* When lines may have been lost: the command is to look at everything. */
static void send_all(struct helpers *h)
{
	static const struct hold_msg all = {
		.type = HOLD_CHANGED, .len = sizeof("changed *\n") - 1, .text = "changed *\n"};
	h->lost = false;
	send_lines(h, &all);
}

static void start_spawner(struct helpers *h)
{
	if (helper_start(&h->spawner, h->log_fd) && h->told)
		send_all(h); /* what its predecessor still had */
}

/* What the lines say is the spawner's to check. */
static void pass_lines(struct helpers *h, const struct hold_msg *m)
{
	static struct log_rate rate = LOG_RATE(60);
	if (m->code == 0 && h->spawner_sock >= 0)
		send_lines(h, m);
	else if (log_due(&rate))
		log_warn("the worker asked for a command that was not fixed at mount (number %d)",
			(int)m->code);
}

struct pollfd helpers_poll(const struct helpers *h)
{
	return (struct pollfd){.fd = h->lost ? h->spawner_sock : -1, .events = POLLOUT};
}

void helpers_polled(struct helpers *h)
{
	if (h->lost)
		send_all(h);
}

static void tell_to_end(struct helper *h, int sock)
{
	const struct hold_msg stop = {.type = HOLD_STOP};
	h->start_at = CLOCK_NEVER;
	if (h->pid && hold_send(sock, &stop, -1) < 0)
		kill(h->pid, SIGKILL);
}

void helpers_stop_programs(struct helpers *h)
{
	h->lost = false;
	tell_to_end(&h->spawner, h->spawner_sock);
	tell_to_end(&h->runner, h->runner_sock);
}

static void await_end(struct helper *h, int ms)
{
	if (helper_await(h, ms))
		return;
	kill(h->pid, SIGKILL);
	helper_await(h, RENAMER_MS);
}

void helpers_await_programs(struct helpers *h)
{
	await_end(&h->spawner, SPAWNER_MS);
	await_end(&h->runner, RENAMER_MS);
}

int helpers_runner(const struct helpers *h)
{
	return h->runner_sock;
}

/* ---- both ---- */

static int make_pair(int *ret_ours, int *ret_theirs)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

static char program[] = "secretfs-holder";

static char *log_word(const struct holder_opts *o)
{
	static char to_syslog[] = "syslog", to_stderr[] = "stderr";
	return strcmp(o->log, "syslog") == 0 ? to_syslog : to_stderr;
}

static void describe_renamer(
	struct helpers *h, const struct holder_opts *o, const struct holder_mount *m)
{
	static char word[] = "renamer";
	snprintf(h->device, sizeof(h->device), "%u:%u", major(m->dev), minor(m->dev));
	snprintf(h->id, sizeof(h->id), "%d", m->id);
	snprintf(h->unique, sizeof(h->unique), "%" PRIu64, m->unique);
	char *const argv[ARGS] = {program, word, h->renamer.generation_text, log_word(o), m->point,
		h->device, h->id, h->unique};
	memcpy(h->renamer_argv, argv, sizeof(argv));
	h->renamer.argv = h->renamer_argv;
}

/* execve(2) wants strings that it does not change to be changeable. */
static char *plain(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void describe_spawner(
	struct helpers *h, const struct holder_opts *o, const struct holder_mount *m)
{
	static char word[] = "spawner";
	snprintf(h->delay, sizeof(h->delay), "%" PRIu64, o->change_delay);
	snprintf(h->timeout, sizeof(h->timeout), "%" PRIu64, o->change_timeout);
	char *const argv[ARGS] = {program, word, h->spawner.generation_text, log_word(o), m->point,
		plain(m->source), plain(o->home), h->delay, plain(o->on_change), h->timeout};
	memcpy(h->spawner_argv, argv, sizeof(argv));
	h->spawner.argv = h->spawner_argv;
}

static int describe_runner(
	struct helpers *h, const struct holder_opts *o, const struct holder_mount *m)
{
	static char word[] = "runner";
	snprintf(h->user, sizeof(h->user), "%u:%u", (unsigned)o->uid, (unsigned)o->gid);
	char *const head[] = {
		program, word, h->runner.generation_text, log_word(o), m->point, h->user};
	size_t n = sizeof(head) / sizeof(head[0]);
	h->runner_argv = mem_calloc(n + o->ncommands + 1, sizeof(*h->runner_argv));
	if (!h->runner_argv)
		return -ENOMEM;
	memcpy(h->runner_argv, head, sizeof(head));
	memcpy(h->runner_argv + n, o->commands, o->ncommands * sizeof(*o->commands));
	h->runner.argv = h->runner_argv;
	return 0;
}

/* Our end never waits. */
static int make_own_pair(int *ret_ours, int *ret_theirs)
{
	int r = make_pair(ret_ours, ret_theirs);
	return r == 0 && fcntl(*ret_ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : r;
}

static int make_sockets(struct helpers *h, const struct holder_opts *o, int *ret_worker_end)
{
	int r = make_pair(ret_worker_end, &h->renamer.end);
	if (r == 0 && o->on_change)
		r = make_own_pair(&h->spawner_sock, &h->spawner.end);
	if (r == 0 && o->ncommands)
		r = make_own_pair(&h->runner_sock, &h->runner.end);
	return r;
}

int helpers_new(const struct holder_opts *o, const struct holder_mount *m, int log_fd,
	struct helpers **ret, int *ret_worker_end, struct sfs_err *err)
{
	struct helpers *h = mem_calloc(1, sizeof(*h));
	_cleanup_close_ int worker_end = -1;
	if (!h)
		return err_set(err, ENOMEM, "start the holder's helpers: no memory");
	h->log_fd = log_fd;
	h->renamer.end = h->spawner_sock = h->spawner.end = -1;
	h->runner_sock = h->runner.end = -1;
	int r = make_sockets(h, o, &worker_end);
	if (r == 0 && o->ncommands)
		r = describe_runner(h, o, m);
	if (r < 0) {
		helpers_free(h);
		return err_errno(err, -r, "start the holder's helpers");
	}
	describe_renamer(h, o, m);
	if (o->on_change)
		describe_spawner(h, o, m);
	else
		h->spawner.start_at = CLOCK_NEVER;
	if (!o->ncommands)
		h->runner.start_at = CLOCK_NEVER;
	*ret = h;
	*ret_worker_end = take_fd(worker_end);
	return 0;
}

void helpers_free(struct helpers *h)
{
	if (!h)
		return;
	const int fds[] = {
		h->renamer.end, h->spawner.end, h->spawner_sock, h->runner.end, h->runner_sock};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	mem_free(h->runner_argv);
	mem_free(h);
}

void helpers_tick(struct helpers *h)
{
	start_renamer(h);
	start_spawner(h);
	helper_start(&h->runner, h->log_fd); /* what it is told meanwhile waits in its socket */
}

int64_t helpers_next(const struct helpers *h)
{
	int64_t next = h->renamer.start_at < h->spawner.start_at ? h->renamer.start_at
								 : h->spawner.start_at;
	return next < h->runner.start_at ? next : h->runner.start_at;
}

void helpers_reap(struct helpers *h)
{
	reap_renamer(h);
	helper_reap(&h->spawner);
	helper_reap(&h->runner);
}

void helpers_message(struct helpers *h, const struct hold_msg *m)
{
	if (m->type == HOLD_RENAMER_STUCK)
		kill_stuck(h, (uint32_t)m->code);
	else
		pass_lines(h, m);
}
