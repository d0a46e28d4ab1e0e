/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hold.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define HEADER	    offsetof(struct hold_msg, text)
#define ASK_SECONDS 5

union control { /* room for one descriptor, aligned as CMSG_* wants it */
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int send_with(int sock, const struct hold_msg *m, int fd, int flags)
{
	union control ctl = {.buf = {0}};
	if (m->len >= SFS_HOLD_MSG_MAX)
		return -EMSGSIZE;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = HEADER + m->len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		h.msg_control = ctl.buf;
		h.msg_controllen = sizeof(ctl.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	for (;;) {
		if (sendmsg(sock, &h, MSG_NOSIGNAL | flags) >= 0)
			return 0;
		if (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN)
			return -EPIPE;
		if (errno != EINTR)
			return -errno;
	}
}

int hold_send(int sock, const struct hold_msg *m, int fd)
{
	return send_with(sock, m, fd, 0);
}

/* The descriptors of the message: the only one to *ret_fd; of several, none. False if it is not as
 * agreed. */
static bool take_descriptors(struct msghdr *h, int *ret_fd)
{
	int first = -1;
	size_t n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++, n++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n == 0)
				first = fd;
			else
				close(fd);
		}
	}
	if (n > 1 || (h->msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (first >= 0)
			close(first);
		return false;
	}
	*ret_fd = first;
	return true;
}

static bool well_formed(const struct hold_msg *m, size_t size)
{
	return size >= HEADER && m->type >= HOLD_OPEN_FILE && m->type <= HOLD_REPLY &&
	       m->len < SFS_HOLD_MSG_MAX && size == HEADER + m->len &&
	       !memchr(m->text, '\0', m->len);
}

int hold_recv(int sock, struct hold_msg *m, int *ret_fd)
{
	union control ctl = {.buf = {0}};
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf),
	};
	ssize_t n;
	int fd = -1;
	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	bool ok = take_descriptors(&h, &fd);
	if (n == 0 && ok && fd < 0)
		return 0;
	if (!ok || !well_formed(m, (size_t)n)) {
		if (fd >= 0)
			close(fd);
		return -EBADMSG;
	}
	m->text[m->len] = '\0';
	*ret_fd = fd;
	return 1;
}

/* One thread waiting for its answer; lives on that thread's stack, in the list while `done` is
 * false. */
struct waiter {
	uint32_t id;
	bool done;
	int code;   /* errno, 0 with the answer */
	char *text; /* of the answer, owned; NULL on no memory */
	int fd;	    /* owned */
	pthread_cond_t cond;
	struct waiter *prev, *next;
};

struct hold_client {
	int sock; /* owned */
	pthread_mutex_t lock;
	uint32_t last_id;
	bool gone; /* the holder answers no more */
	struct waiter *waiters;
};

int hold_client_new(int sock, struct hold_client **ret)
{
	struct timeval limit = {.tv_sec = ASK_SECONDS};
	struct hold_client *c = mem_calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	int r = pthread_mutex_init(&c->lock, NULL);
	if (r) {
		mem_free(c);
		return -r;
	}
	/* A holder that does not read must not hold up a thread for ever. */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	c->sock = sock;
	*ret = c;
	return 0;
}

void hold_client_stop(struct hold_client *c)
{
	shutdown(c->sock, SHUT_RDWR);
}

void hold_client_free(struct hold_client *c)
{
	if (!c)
		return;
	close(c->sock);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

/* With the lock held. */
static void finish(struct hold_client *c, struct waiter *w, int code)
{
	DL_DELETE(c->waiters, w);
	w->code = code;
	w->done = true;
	pthread_cond_signal(&w->cond);
}

static void on_reply(struct hold_client *c, const struct hold_msg *m, int fd)
{
	struct waiter *w;
	pthread_mutex_lock(&c->lock);
	DL_FOREACH (c->waiters, w) {
		if (w->id != m->id)
			continue;
		w->text = mem_strndup(m->text, m->len);
		w->fd = take_fd(fd);
		finish(c, w, m->code < 0 ? EBADMSG : m->code);
		break;
	}
	pthread_mutex_unlock(&c->lock);
	if (fd >= 0) /* nobody waits any more */
		close(fd);
}

static void lose_holder(struct hold_client *c)
{
	pthread_mutex_lock(&c->lock);
	c->gone = true;
	while (c->waiters)
		finish(c, c->waiters, EPIPE);
	pthread_mutex_unlock(&c->lock);
}

void hold_client_run(
	struct hold_client *c, void (*on_order)(void *arg, enum hold_type t), void *arg)
{
	struct hold_msg m;
	int r, fd;
	while ((r = hold_recv(c->sock, &m, &fd)) > 0 || r == -EBADMSG) {
		if (r < 0)
			continue;
		if (m.type == HOLD_REPLY) {
			on_reply(c, &m, fd);
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (m.type == HOLD_STOP || m.type == HOLD_RELOAD)
			on_order(arg, (enum hold_type)m.type);
	}
	lose_holder(c);
}

static int fill(struct hold_msg *m, enum hold_type t, int code, uint32_t arg, const char *text)
{
	size_t len = strlen(text);
	if (len >= sizeof(m->text))
		return -EMSGSIZE;
	*m = (struct hold_msg){.type = t, .code = code, .arg = arg, .len = (uint32_t)len};
	memcpy(m->text, text, len);
	return 0;
}

int hold_tell(struct hold_client *c, enum hold_type t, int code, const char *text)
{
	struct hold_msg m;
	int r = fill(&m, t, code, 0, text);
	return r < 0 ? r : hold_send(c->sock, &m, -1);
}

int hold_tell_now(struct hold_client *c, enum hold_type t, int code, const char *text)
{
	struct hold_msg m;
	int r = fill(&m, t, code, 0, text);
	return r < 0 ? r : send_with(c->sock, &m, -1, MSG_DONTWAIT);
}

static int waiter_init(struct waiter *w)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);
	if (r)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	return -r;
}

/* Into the list before the question leaves: the answer may be quicker. */
static int enlist(struct hold_client *c, struct waiter *w, struct hold_msg *m)
{
	pthread_mutex_lock(&c->lock);
	bool gone = c->gone;
	m->id = w->id = ++c->last_id;
	if (!gone)
		DL_APPEND(c->waiters, w);
	pthread_mutex_unlock(&c->lock);
	return gone ? -EPIPE : 0;
}

static void await(struct hold_client *c, struct waiter *w, int sent)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ASK_SECONDS;
	pthread_mutex_lock(&c->lock);
	int r = sent;
	while (!w->done && r == 0)
		r = -pthread_cond_timedwait(&w->cond, &c->lock, &until);
	if (!w->done) /* -EAGAIN: the socket stayed full for as long as we wait */
		finish(c, w, r == -EAGAIN ? ETIMEDOUT : -r);
	pthread_mutex_unlock(&c->lock);
}

static int judge(const struct waiter *w, enum hold_type t, bool wants_fd, struct sfs_err *err)
{
	switch (w->code) {
	case 0:
		if (wants_fd && w->fd < 0)
			return err_set(err, EBADMSG, "the holder answered without a descriptor");
		return w->text ? 0 : err_set(err, ENOMEM, "ask the holder: no memory");
	case EPIPE:
		return err_set(err, EPIPE, "ask the holder: it has ended");
	case ETIMEDOUT:
		return err_set(
			err, ETIMEDOUT, "ask the holder: no answer within %d seconds", ASK_SECONDS);
	default:
		if (w->text && *w->text)
			return err_set(err, w->code, "%s", w->text);
		return err_errno(err, w->code, "ask the holder (request %d)", (int)t);
	}
}

/* Fills `w`, whose fd and text then belong to the caller whatever comes back. */
static int ask(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg,
	struct waiter *w, struct sfs_err *err)
{
	struct hold_msg m;
	int r = fill(&m, t, 0, arg, text);
	if (r == 0)
		r = waiter_init(w);
	if (r < 0)
		return err_errno(err, -r, "ask the holder");
	r = enlist(c, w, &m);
	if (r == 0)
		await(c, w, hold_send(c->sock, &m, -1));
	else
		w->code = -r;
	pthread_cond_destroy(&w->cond);
	return 0;
}

static void waiter_clear(const struct waiter *w)
{
	if (w->fd >= 0)
		close(w->fd);
	mem_free(w->text);
}

int hold_ask_path(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg,
	char **ret_text, int *ret_fd, struct sfs_err *err)
{
	struct waiter w = {.fd = -1};
	int r = ask(c, t, text, arg, &w, err);
	if (r == 0)
		r = judge(&w, t, true, err);
	if (r == 0) {
		*ret_fd = take_fd(w.fd);
		*ret_text = take(w.text);
	}
	waiter_clear(&w);
	return r;
}

int hold_ask_text(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg,
	char **ret_text, struct sfs_err *err)
{
	struct waiter w = {.fd = -1};
	int r = ask(c, t, text, arg, &w, err);
	if (r == 0)
		r = judge(&w, t, false, err);
	if (r == 0)
		*ret_text = take(w.text);
	waiter_clear(&w);
	return r;
}

int hold_ask(struct hold_client *c, enum hold_type t, const char *text, uint32_t arg, int *ret_fd,
	struct sfs_err *err)
{
	_cleanup_free_ char *ignored = NULL;
	return hold_ask_path(c, t, text, arg, &ignored, ret_fd, err);
}
