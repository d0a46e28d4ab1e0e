/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a mount after mount(2): wait for the worker, pass signals on, clean up. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/mountusers.h"
#include "mount/holder.h"
#include "mount/holder_child.h"
#include "mount/holder_helpers.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_SECONDS 3
#define BUSY_TRIES   5
#define BUSY_NAP_NS  20000000
#define LOOK_NS	     NSEC_PER_SEC	   /* how often the worker is looked at */
#define LINGER_NS    (300 * NSEC_PER_MSEC) /* for all of its threads to end */

struct run {
	struct holder_opts *o;
	struct holder_mount *m;
	struct holder_server *server;
	struct helpers *helpers; /* NULL = not started */
	int sock, sig_fd;	 /* owned; the server's thread writes to sock until it is joined */
	bool hung_up;		 /* the worker closed its end of sock */
	int log_fd;		 /* borrowed */
	pid_t worker;		 /* 0 = none or gone */
	bool gone;
	int status;	    /* how it went, if gone */
	bool live;	    /* it has said so, and so have we */
	bool stopping;	    /* the mount was taken away on purpose */
	int64_t kill_at;    /* boot time at which a stopping worker is killed */
	int64_t look_at;    /* boot time of the next look_after() */
	bool ending;	    /* its main thread had ended at the last one */
	bool aborted;	    /* so the connection was ended, and with it perhaps the mount */
	struct sfs_err why; /* why the start failed */
};

void holder_report(int ready_fd, int stderr_fd, const struct sfs_err *err)
{
	char text[SFS_ERR_MAX + 64];
	int n = ready_fd >= 0 ? snprintf(text, sizeof(text), "E %d %s\n", err->code, err->msg)
			      : snprintf(text, sizeof(text), "secretfs: %s\n", err->msg);
	ssize_t done = write(ready_fd >= 0 ? ready_fd : stderr_fd, text, (size_t)n);
	(void)done; /* nobody is left to tell */
}

static void say_who(const struct run *r)
{
	struct sfs_err err = {0};
	struct mount_user *u;
	size_t n;
	if (mount_users(r->m->point, r->m->dev, &u, &n, &err) < 0) {
		log_warn("%s is in use: %s", r->m->point, err.msg);
		return;
	}
	for (size_t i = 0; i < n; i++)
		log_info("%s is in use by process %d (%s): %s %s", r->m->point, (int)u[i].pid,
			u[i].comm, u[i].how, u[i].path);
	if (n == 0)
		log_info("%s is in use, by no process that can be seen from here", r->m->point);
	mount_users_free(u, n);
}

/* A request that is just answered keeps the mount busy for a moment. */
static int unmount(const struct run *r, struct sfs_err *err)
{
	const struct timespec nap = {.tv_nsec = BUSY_NAP_NS};
	int code = holder_umount(r->m, 0, err);
	for (int i = 0; code == -EBUSY && i < BUSY_TRIES; i++) {
		nanosleep(&nap, NULL);
		code = holder_umount(r->m, 0, err);
	}
	return code;
}

/* The name is free afterwards; who has a file open keeps it while the worker lives. */
static void detach(const struct run *r)
{
	struct sfs_err err = {0};
	if (r->helpers)
		helpers_stop_renamer(r->helpers); /* it would keep the mount busy */
	int code = unmount(r, &err);
	if (code == -EBUSY) {
		say_who(r);
		code = holder_umount(r->m, MNT_DETACH, &err);
	}
	if (code < 0)
		log_error("%s stays mounted: %s", r->m->point, err.msg);
}

static void order(const struct run *r, enum hold_type t)
{
	struct hold_msg msg = {.type = t};
	if (r->sock >= 0)
		hold_send(r->sock, &msg, -1); /* a worker that does not read is killed in time */
}

static void stop(struct run *r)
{
	if (r->stopping)
		return;
	r->stopping = true;
	if (r->helpers)
		helpers_stop_programs(r->helpers);
	detach(r);
	order(r, HOLD_STOP);
	r->kill_at = clock_after(clock_boot(), STOP_SECONDS);
}

static void fail(struct run *r, int code, const char *why)
{
	if (!r->why.code)
		err_set(&r->why, code > 0 ? code : EIO, "%s", why);
	stop(r);
}

/* The caller's terminal or pipe must not stay open behind his back. */
static void leave_stdio(const struct run *r)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	if (r->o->log[0] != '/') { /* a log file stays where it is: on 1 and 2 */
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	close(null);
}

static void go_live(struct run *r)
{
	if (r->live || r->stopping || r->gone)
		return;
	r->live = true;
	log_info("%s: %s is mounted, worker %d", r->m->point, r->m->source, (int)r->worker);
	if (r->o->ready_fd < 0)
		return;
	ssize_t n = write(r->o->ready_fd, "OK\n", 3);
	close(r->o->ready_fd);
	r->o->ready_fd = -1;
	if (n == 3) {
		leave_stdio(r);
		return;
	}
	log_warn("%s: whoever asked for the mount has gone: it is taken away again", r->m->point);
	stop(r);
}

static void on_message(struct run *r)
{
	struct hold_msg m;
	int fd = -1;
	int got = hold_recv(r->sock, &m, &fd);
	if (got == 0) /* it ends, or serves without help: SIGCHLD tells */
		r->hung_up = true;
	if (got <= 0)
		return;
	if (fd >= 0)
		close(fd); /* nothing of the worker's is taken */
	switch (m.type) {
	case HOLD_LIVE:
		go_live(r);
		break;
	case HOLD_FAILED:
		if (!r->live)
			fail(r, m.code, m.text);
		break;
	case HOLD_RENAMER_STUCK:
	case HOLD_CHANGED:
		helpers_message(r->helpers, &m);
		break;
	case HOLD_OPEN_FILE:
	case HOLD_OPEN_DIR:
	case HOLD_WATCH:
	case HOLD_ENV:
	case HOLD_AUDIT:
	case HOLD_IS_OPEN:
	case HOLD_RUN:
		holder_server_pass(r->server, &m);
		break;
	case HOLD_EXE:
		holder_exe(r->sock, &m);
		break;
	default:
		break;
	}
}

static void on_signal(struct run *r)
{
	struct signalfd_siginfo info;
	if (read(r->sig_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		if (waitpid(r->worker, &r->status, WNOHANG) == r->worker)
			r->gone = true;
		helpers_reap(r->helpers);
		break;
	case SIGHUP:
		order(r, HOLD_RELOAD);
		break;
	default:
		log_info("%s: signal %u: unmounting", r->m->point, info.ssi_signo);
		if (!r->live)
			fail(r, EINTR, "the mount was interrupted before it was live");
		stop(r);
		break;
	}
}

/* A thread of a killed worker may be waiting in the kernel for a lock whose owner waits for an
 * answer of that very worker: of a directory that is being renamed in, of a page that is being
 * read. It keeps /dev/fuse open, so neither ever ends; ending the connection ends both (R23).
 * Nothing tells of such a death, so it is looked for. */
static void look_after(struct run *r)
{
	struct sfs_err err = {0};
	if (r->aborted || clock_boot() < r->look_at)
		return;
	bool was_ending = r->ending;
	r->ending = child_is_ending(r->worker);
	r->look_at = clock_boot() + (r->ending ? LINGER_NS : LOOK_NS);
	if (!r->ending || !was_ending || !holder_is_attached(r->m))
		return;
	r->aborted = true;
	log_warn("%s: worker %d cannot end while requests wait for it: they are aborted",
		r->m->point, (int)r->worker);
	if (holder_umount(r->m, MNT_FORCE | MNT_DETACH, &err) < 0)
		log_err(LOG_LEVEL_ERROR, &err);
}

static int time_left(const struct run *r)
{
	int64_t next = r->stopping ? r->kill_at : helpers_next(r->helpers);
	if (!r->aborted && r->look_at < next)
		next = r->look_at;
	if (next == CLOCK_NEVER)
		return -1;
	int64_t left = next - clock_boot();
	return left <= 0 ? 0 : (int)(left / NSEC_PER_MSEC) + 1;
}

static void kill_worker(struct run *r)
{
	log_warn("%s: worker %d does not end: killed", r->m->point, (int)r->worker);
	kill(r->worker, SIGKILL);
	r->kill_at = CLOCK_NEVER;
}

static void wait_once(struct run *r)
{
	enum { SIGNALS, WORKER, CALLER, HELPERS, N };
	struct pollfd p[N] = {
		[SIGNALS] = {.fd = r->sig_fd, .events = POLLIN},
		[WORKER] = {.fd = r->hung_up ? -1 : r->sock, .events = POLLIN},
		[CALLER] = {.fd = r->stopping ? -1 : r->o->ready_fd},
		[HELPERS] = helpers_poll(r->helpers),
	};
	int n = poll(p, N, time_left(r));
	if (r->stopping && clock_boot() >= r->kill_at)
		kill_worker(r);
	look_after(r);
	if (!r->stopping)
		helpers_tick(r->helpers);
	if (n <= 0)
		return;
	if (p[HELPERS].revents)
		helpers_polled(r->helpers);
	if (p[WORKER].revents)
		on_message(r);
	if (p[SIGNALS].revents)
		on_signal(r);
	if (p[CALLER].revents && r->o->ready_fd >= 0)
		fail(r, EINTR, "whoever asked for the mount has gone");
}

/* What the worker said last may still be in the socket. */
static void drain(struct run *r)
{
	struct pollfd p = {.fd = r->sock, .events = POLLIN};
	while (!r->hung_up && r->sock >= 0 && poll(&p, 1, 0) == 1)
		on_message(r);
}

/* The exit code: 0 if the mount was ended on purpose, by us or by umount(8). */
static int epilogue(struct run *r)
{
	char how[64], text[160];
	bool attached = holder_is_attached(r->m);
	child_how_it_ended(r->status, how, sizeof(how));
	if (r->why.code || !r->live) {
		snprintf(text, sizeof(text), "the worker %s before the mount was live", how);
		fail(r, EIO, text);
		detach(r);
		return 1;
	}
	if (!attached && !r->aborted)
		return 0;
	if (r->stopping) /* said why it could not be detached */
		return 1;
	detach(r);
	log_error("worker %d %s; the mount %s was detached", (int)r->worker, how, r->m->point);
	return 1;
}

static int start(struct run *r, const struct envstore *vars, struct sfs_err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		(r->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return err_errno(err, errno, "start: signals");
	_cleanup_close_ int renamer_fd = -1;
	int code = helpers_new(r->o, r->m, r->log_fd, &r->helpers, &renamer_fd, err);
	if (code == 0)
		code = holder_spawn(r->o, r->m, r->log_fd, renamer_fd, &r->worker, &r->sock, err);
	if (code < 0)
		return code;
	/* The worker alone has it: its death must end the requests that wait. */
	close(r->m->fuse_fd);
	r->m->fuse_fd = -1;
	helpers_tick(r->helpers); /* while there is but one thread, and without that descriptor */
	return holder_server_start(
		r->o, r->m, vars, r->sock, helpers_runner(r->helpers), &r->server, err);
}

static void end_helpers(struct helpers *h)
{
	if (!h)
		return;
	helpers_stop_renamer(h);
	helpers_stop_programs(h);
	helpers_await_programs(h);
	helpers_free(h);
}

int holder_run(struct holder_opts *o, struct holder_mount *m, const struct envstore *vars,
	int log_fd, int stderr_fd)
{
	struct run r = {.o = o, .m = m, .sock = -1, .sig_fd = -1, .log_fd = log_fd};
	struct sfs_err err = {0};
	if (start(&r, vars, &err) < 0)
		fail(&r, err.code, err.msg);
	while (r.worker > 0 && !r.gone)
		wait_once(&r);
	drain(&r);
	int code = epilogue(&r);
	if (r.why.code) {
		if (strcmp(o->log, "stderr") != 0) /* there it would stand twice */
			log_err(LOG_LEVEL_ERROR, &r.why);
		holder_report(o->ready_fd, stderr_fd, &r.why);
	}
	end_helpers(r.helpers);
	if (r.server && !holder_server_stop(r.server))
		_exit(code);
	if (r.sock >= 0)
		close(r.sock);
	if (r.sig_fd >= 0)
		close(r.sig_fd);
	return code;
}
