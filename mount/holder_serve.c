/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of the worker. It may be in hostile hands: nothing outside of the directories fixed
 * at mount is opened, and nothing but regular files, directories and watches, all for reading.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/path.h"
#include "mount/holder.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STOP_SECONDS                                                                \
	1 /* for a file system that does not answer; then the thread is left behind \
	   */
#define REPLY_WAIT_MS 1000 /* for a worker that does not read its answers */
#define WATCH_MASK    (IN_ALL_EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

struct root {
	const char *given;
	char *canonical; /* as it was at mount, owned; NULL if it did not exist then */
};

struct holder_server {
	pthread_t thread;
	int in, out; /* ends of the queue: out belongs to the thread */
	int sock;    /* to the worker; shared with the main loop, messages are whole */
	struct path_env env;
	const struct envstore *vars;
	const char *audit, *point;
	const struct holder_opts *o;
	int runner;	    /* socket to the runner, borrowed */
	struct root *roots; /* owned */
	size_t nroots;
};

int holder_reply(int sock, const struct hold_msg *request, int fd, const char *text, int code)
{
	struct hold_msg m = {.type = HOLD_REPLY, .id = request->id, .code = code};
	size_t len = strlen(text);
	m.len = (uint32_t)(len < sizeof(m.text) ? len : sizeof(m.text) - 1);
	memcpy(m.text, text, m.len);
	return hold_send(sock, &m, fd);
}

void holder_answer(int sock, const struct hold_msg *request, int fd, const char *text, int code)
{
	struct pollfd room = {.fd = sock, .events = POLLOUT};
	if (holder_reply(sock, request, fd, text, code) == -EAGAIN &&
		poll(&room, 1, REPLY_WAIT_MS) == 1)
		holder_reply(sock, request, fd, text, code);
}

static bool in_roots(const struct holder_server *s, const char *path, bool canonical)
{
	for (size_t i = 0; i < s->nroots; i++) {
		const struct root *r = &s->roots[i];
		if (r->canonical && path_below(path, r->canonical))
			return true;
		/* What did not exist at mount has no other name to go by. */
		if ((!canonical || !r->canonical) && path_below(path, r->given))
			return true;
	}
	return false;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

/* The kernel's own idea of where the object is: a directory moved during the walk does not deceive
 * it. */
static bool kernel_agrees(const struct holder_server *s, int fd)
{
	char name[40], path[SFS_PATH_MAX];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(name, path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	return in_roots(s, path, true);
}

static int outside(const char *path, struct sfs_err *err)
{
	return err_set(err, EACCES,
		"open %s: for the worker's user it is not readable, and it is outside the "
		"directories fixed at "
		"mount; remount to add it",
		path);
}

static int find(const struct holder_server *s, const char *path, char **ret_canonical, int *ret_fd,
	struct sfs_err *err)
{
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	if (has_dotdot(path) || !in_roots(s, path, false))
		return outside(path, err);
	int r = path_walk(&s->env, path, &canonical, &fd, err);
	if (r < 0)
		return r;
	if (!in_roots(s, canonical, true) || !kernel_agrees(s, fd))
		return outside(path, err);
	*ret_canonical = take(canonical);
	*ret_fd = take_fd(fd);
	return 0;
}

static int open_for(const struct holder_server *s, const struct hold_msg *m, char **ret_canonical,
	int *ret_fd, struct sfs_err *err)
{
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int at = -1;
	int r = find(s, m->text, &canonical, &at, err);
	if (r < 0)
		return r;
	if (m->type == HOLD_OPEN_FILE)
		r = path_reopen_file(at, m->text, ret_fd, err);
	else if (m->type == HOLD_OPEN_DIR)
		r = path_reopen_dir(at, m->text, ret_fd, err);
	else if (m->arg & ~(unsigned)WATCH_MASK)
		r = err_set(err, EINVAL, "watch %s: unknown bits in the mask", m->text);
	else
		r = path_watch_fd(at, m->text, m->arg, ret_fd, err);
	if (r == 0)
		*ret_canonical = take(canonical);
	return r;
}

static void answer(const struct holder_server *s, const struct hold_msg *m)
{
	static struct log_rate rate = LOG_RATE(60);
	struct sfs_err err = {0};
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	int r;
	if (m->type == HOLD_IS_OPEN) {
		holder_is_open(s->sock, m, s->env.mount_dev);
		return;
	}
	if (m->type == HOLD_RUN) {
		const struct holder_run_env e = {.sock = s->sock,
			.runner = s->runner,
			.o = s->o,
			.paths = &s->env,
			.vars = s->vars};
		holder_run_command(&e, m);
		return;
	}
	if (m->type == HOLD_ENV)
		r = envstore_memfd(s->vars, &fd, &err);
	else if (m->type == HOLD_AUDIT)
		r = holder_audit_open(s->audit, s->point, &s->env, &fd, &err);
	else
		r = open_for(s, m, &canonical, &fd, &err);
	if (r == -EMFILE && log_due(&rate))
		log_warn("a file could not be opened for the worker: out of descriptors (%s)",
			err.msg);
	const char *text = r < 0 ? err.msg : canonical ? canonical : "";
	holder_answer(s->sock, m, fd, text, -r);
}

/* Where the roots really are, by the same walk that requests will take. In the thread: it may hang.
 */
static void fix_roots(struct holder_server *s)
{
	for (size_t i = 0; i < s->nroots; i++) {
		int fd = -1;
		if (path_walk(&s->env, s->roots[i].given, &s->roots[i].canonical, &fd, NULL) == 0)
			close(fd);
	}
}

static void *serve(void *arg)
{
	struct holder_server *s = arg;
	struct hold_msg m;
	int r, fd = -1;
	fix_roots(s);
	while ((r = hold_recv(s->out, &m, &fd)) > 0 || r == -EBADMSG)
		if (r > 0)
			answer(s, &m);
	return NULL;
}

static void server_free(struct holder_server *s)
{
	for (size_t i = 0; s->roots && i < s->nroots; i++)
		mem_free(s->roots[i].canonical);
	mem_free(s->roots);
	if (s->in >= 0)
		close(s->in);
	if (s->out >= 0)
		close(s->out);
	mem_free(s);
}

int holder_server_start(const struct holder_opts *o, const struct holder_mount *m,
	const struct envstore *vars, int sock, int runner, struct holder_server **ret,
	struct sfs_err *err)
{
	int pair[2] = {-1, -1};
	struct holder_server *s = mem_calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "start the holder's thread: no memory");
	int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ||
				fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0
			? -errno
			: 0;
	*s = (struct holder_server){
		.in = pair[0],
		.out = pair[1],
		.sock = sock,
		.env = {.covered_fd = m->covered_fd, .mount_dev = m->dev},
		.vars = vars,
		.audit = o->audit,
		.point = m->point,
		.o = o,
		.runner = runner,
	};
	s->roots = mem_calloc(o->nallow + 1, sizeof(*s->roots));
	if (r == 0 && !s->roots)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < o->nallow; i++)
		s->roots[s->nroots++].given = o->allow[i];
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, serve, s);
	if (r < 0) {
		server_free(s);
		return err_errno(err, -r, "start the holder's thread");
	}
	*ret = s;
	return 0;
}

bool holder_server_stop(struct holder_server *s)
{
	struct timespec until;
	shutdown(s->in, SHUT_RDWR);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_SECONDS;
	if (pthread_timedjoin_np(s->thread, NULL, &until) != 0)
		return false;
	server_free(s);
	return true;
}

void holder_server_pass(struct holder_server *s, const struct hold_msg *m)
{
	/* Never waits: the main loop must stay open to signals. */
	if (hold_send(s->in, m, -1) < 0)
		holder_reply(s->sock, m, -1,
			"the holder is waiting for a slow file system: try again later", EBUSY);
}
