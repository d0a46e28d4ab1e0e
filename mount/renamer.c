/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/renamer.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* So many refusals in a row, and none that worked: the kernel shows us the renamer under another
 * process id than the holder knows. */
#define STRANGER_AFTER 8

/* For status: what inotify then shows is up to notify.h. */
static const char NONE[] =
	"the renamer process is not running: inotify shows no rotations as renames";
static const char STUCK[] = "the renamer process does not answer and is being replaced";
static const char UNABLE[] = "the renamer process cannot run here (see the log): inotify shows no "
			     "rotations as renames";
static const char STRANGER[] = "the kernel shows the renamer process under a foreign process id: "
			       "inotify shows no rotations as renames";

struct renamer {
	int sock;		  /* owned */
	struct hold_client *hold; /* borrowed */
	_Atomic(pid_t) pid;	  /* of the one in use; 0 = none */
	_Atomic(const char *) trouble;
	atomic_bool stopped;

	pthread_mutex_t lock; /* of who reads the socket; protects what follows */
	uint32_t generation, last_id;
	uint32_t accuse;  /* generation the holder has still to be told of; 0 = none */
	unsigned refused; /* EROFS in a row */
	bool worked;	  /* something succeeded since HELLO */
	struct renamer_msg in, out;
};

int renamer_new(int sock, struct hold_client *hold, struct renamer **ret)
{
	struct renamer *r = mem_calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->sock = sock;
	r->hold = hold;
	r->trouble = NONE;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

void renamer_free(struct renamer *r)
{
	if (!r)
		return;
	close(r->sock);
	pthread_mutex_destroy(&r->lock);
	mem_free(r);
}

void renamer_stop(struct renamer *r)
{
	r->stopped = true;
	r->pid = 0;
	shutdown(r->sock, SHUT_RDWR);
}

bool renamer_tid(const struct renamer *r, pid_t tid)
{
	return tid > 0 && atomic_load(&r->pid) == tid;
}

static void give_up(struct renamer *r, const char *why)
{
	r->pid = 0;
	r->trouble = why;
}

static void on_hello(struct renamer *r)
{
	if (r->stopped || r->trouble == STRANGER)
		return;
	r->generation = r->in.generation;
	r->refused = 0;
	r->worked = false;
	r->trouble = NULL;
	r->pid = r->in.code;
}

/* What is in r->in. True if it answers request `id`. */
static bool on_message(struct renamer *r, uint32_t id)
{
	switch (r->in.type) {
	case RENAMER_HELLO:
		on_hello(r);
		return false;
	case RENAMER_GONE:
		if (r->in.generation == r->generation || r->in.code)
			give_up(r, r->in.code ? UNABLE : NONE);
		return false;
	case RENAMER_REPLY:
		return id && r->in.id == id && r->in.generation == r->generation;
	default:
		return false;
	}
}

/* One message, if there is one. 1 = the answer to `id`, 0 = go on, -EAGAIN = none, -EPIPE = the end
 * of all. */
static int next(struct renamer *r, uint32_t id)
{
	int got = renmsg_recv(r->sock, &r->in, MSG_DONTWAIT);
	if (got > 0)
		return on_message(r, id);
	if (got == -EAGAIN || got == -EBADMSG)
		return got == -EAGAIN ? -EAGAIN : 0;
	give_up(r, NONE);
	return -EPIPE;
}

static void drain(struct renamer *r)
{
	while (next(r, 0) >= 0)
		;
}

/* The holder kills it. A socket that is full now is tried again later. */
static void tell_holder(struct renamer *r)
{
	if (r->accuse && hold_tell_now(r->hold, HOLD_RENAMER_STUCK, (int)r->accuse, "") != -EAGAIN)
		r->accuse = 0;
}

/* The rename thread may be waiting for its answer: then it hears the news itself. */
static void look(struct renamer *r)
{
	if (pthread_mutex_trylock(&r->lock) != 0)
		return;
	drain(r);
	tell_holder(r);
	pthread_mutex_unlock(&r->lock);
}

bool renamer_ready(struct renamer *r)
{
	look(r);
	return r->pid != 0;
}

const char *renamer_trouble(struct renamer *r)
{
	look(r);
	return r->trouble;
}

static int await(struct renamer *r, uint32_t id, int timeout_ms)
{
	int64_t until = clock_boot() + timeout_ms * NSEC_PER_MSEC;
	uint32_t generation = r->generation;
	for (;;) {
		struct pollfd p = {.fd = r->sock, .events = POLLIN};
		int got = next(r, id);
		if (got == 1)
			return -r->in.code;
		if (got == -EPIPE || !r->pid || r->generation != generation)
			return -EPIPE;
		int64_t left = until - clock_boot();
		if (got == -EAGAIN && left <= 0)
			return -ETIMEDOUT;
		if (got == -EAGAIN)
			poll(&p, 1, (int)(left / NSEC_PER_MSEC) + 1);
	}
}

/* An operation that nobody announced is EROFS: if it is never anything else, our handlers do not
 * know the renamer's requests as its own. */
static void watch_refusals(struct renamer *r, int result)
{
	r->worked = r->worked || result == 0;
	r->refused = result == -EROFS ? r->refused + 1 : 0;
	if (r->worked || r->refused < STRANGER_AFTER)
		return;
	give_up(r, STRANGER);
	log_warn("%s", STRANGER);
}

/* What renamer_do() made of r->out, under the lock. */
static int ask(struct renamer *r, int timeout_ms)
{
	drain(r);
	tell_holder(r);
	if (!r->pid)
		return -EPIPE;
	if (++r->last_id == 0)
		r->last_id = 1;
	r->out.id = r->last_id;
	r->out.generation = r->generation;
	int result = renmsg_send(r->sock, &r->out);
	if (result == 0)
		result = await(r, r->out.id, timeout_ms);
	if (result == -ETIMEDOUT || result == -EAGAIN) {
		r->accuse = r->generation;
		give_up(r, STUCK);
		tell_holder(r);
		return -ETIMEDOUT;
	}
	watch_refusals(r, result);
	return result;
}

int renamer_do(
	struct renamer *r, enum renamer_op op, const char *from, const char *to, int timeout_ms)
{
	pthread_mutex_lock(&r->lock);
	int result = renmsg_request(&r->out, op, from, to);
	if (result == 0)
		result = ask(r, timeout_ms);
	pthread_mutex_unlock(&r->lock);
	return result;
}
