/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/audit_log.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#define LOOK_EVERY \
	NSEC_PER_SEC /* for a file that was deleted; and tries to open what is not there */
#define SAY_EVERY 60 /* seconds between two lines in the log about failures */

struct audit_entry {
	char *text; /* owned */
	size_t len;
	struct audit_wait *wait; /* NULL = nobody, or nobody any more */
	struct audit_entry *prev, *next;
};

struct audit_log {
	struct audit_place place;
	size_t max;
	pthread_t thread;

	/* of the writing thread alone */
	int fd;	      /* -1 = not open */
	bool torn;    /* the file ends in the middle of a line */
	bool failing; /* the last line could not be written */
	int64_t look_at, open_at;
	struct sfs_err why; /* it could not be opened */

	pthread_mutex_t lock; /* protects what follows; a leaf */
	pthread_cond_t wake;
	struct audit_entry *queue, *in_hand;
	size_t n; /* in the queue */
	struct audit_wait *waits;
	bool stop, reopen, sweeping, waited;
	int64_t say_at;
	struct audit_counts counts;
};

static void entry_free(struct audit_entry *e)
{
	mem_free(e->text);
	mem_free(e);
}

/* --- failures --- */

static void note_failure(struct audit_log *l, const struct sfs_err *why)
{
	int64_t now = clock_boot();
	pthread_mutex_lock(&l->lock);
	uint64_t n = ++l->counts.failures;
	bool say = now >= l->say_at;
	if (say)
		l->say_at = clock_after(now, SAY_EVERY);
	l->counts.last = *why;
	l->counts.failed_wall = clock_wall();
	pthread_mutex_unlock(&l->lock);
	if (say)
		log_error("%s (%" PRIu64 " audit lines were not written so far)", why->msg, n);
}

void audit_log_fail(struct audit_log *l, int r)
{
	struct sfs_err err;
	err_errno(&err, -r, "the audit line of an open was not written to %s", l->place.name);
	note_failure(l, &err);
}

/* --- the place --- */

static int reopen(struct audit_log *l)
{
	struct sfs_err err;
	int fd, r = l->place.open(l->place.arg, &fd, &err);
	l->open_at = l->look_at = clock_boot() + LOOK_EVERY;
	if (r < 0) {
		l->why = err;
		return r;
	}
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->torn = false;
	return 0;
}

/* What cannot be opened is tried again now and then only. */
static int need_open(struct audit_log *l)
{
	if (l->fd >= 0)
		return 0;
	if (l->why.code && clock_boot() < l->open_at)
		return -l->why.code;
	return reopen(l);
}

/* Lines written to a deleted file are lost as soon as it is closed. */
static void look_for_deletion(struct audit_log *l)
{
	int64_t now = clock_boot();
	struct stat st;
	if (l->place.syslog || now < l->look_at)
		return;
	l->look_at = now + LOOK_EVERY;
	if (fstat(l->fd, &st) == 0 && st.st_nlink == 0)
		reopen(l);
}

/* --- one line --- */

static ssize_t write_some(int fd, const char *text, size_t len)
{
	ssize_t n;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int write_file(struct audit_log *l, const char *text, size_t len)
{
	size_t done = 0;
	if (l->torn) {
		ssize_t n = write_some(l->fd, "\n", 1);
		if (n != 1)
			return n < 0 ? (int)n : -ENOSPC;
		l->torn = false;
	}
	while (done < len) {
		ssize_t n = write_some(l->fd, text + done, len - done);
		if (n <= 0) {
			l->torn = done > 0;
			return n < 0 ? (int)n : -ENOSPC;
		}
		done += (size_t)n;
	}
	return 0;
}

/* As syslog(3) writes it, which cannot say that nobody listens. */
static int send_line(const struct audit_log *l, const char *text, size_t len)
{
	char head[96], when[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%b %e %T", &tm);
	int n = snprintf(head, sizeof(head), "<%d>%s secretfs[%d]: ", LOG_AUTHPRIV | LOG_INFO, when,
		(int)getpid());
	const struct iovec iov[] = {{head, (size_t)n}, {(void *)(uintptr_t)text, len}};
	const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = 2};
	ssize_t sent;
	do
		sent = sendmsg(l->fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* A syslog that was started again listens on another socket. */
static int write_syslog(struct audit_log *l, const char *text, size_t len)
{
	if (text[len - 1] == '\n')
		len--;
	int r = send_line(l, text, len);
	if (r != -ECONNREFUSED && r != -ECONNRESET && r != -ENOTCONN && r != -EPIPE)
		return r;
	close(take_fd(l->fd));
	r = reopen(l);
	return r < 0 ? r : send_line(l, text, len);
}

static int write_line(struct audit_log *l, const struct audit_entry *e)
{
	struct sfs_err err;
	int r = need_open(l);
	if (r < 0) {
		note_failure(l, &l->why);
		return r;
	}
	look_for_deletion(l);
	r = l->place.syslog ? write_syslog(l, e->text, e->len) : write_file(l, e->text, e->len);
	if (r < 0) {
		err_errno(&err, -r, "write the audit line of an open to %s", l->place.name);
		note_failure(l, &err);
	}
	return r;
}

/* --- the thread --- */

static void write_entry(struct audit_log *l, struct audit_entry *e)
{
	int r = write_line(l, e);
	if (r == 0 && l->failing)
		log_info("audit lines are written to %s again", l->place.name);
	l->failing = r < 0;
	pthread_mutex_lock(&l->lock);
	struct audit_wait *w = e->wait;
	if (w)
		DL_DELETE(l->waits, w);
	l->counts.lines += r == 0;
	l->in_hand = NULL;
	pthread_mutex_unlock(&l->lock);
	entry_free(e);
	if (w)
		w->done(w, r);
}

static void reopen_ordered(struct audit_log *l)
{
	if (reopen(l) < 0)
		note_failure(l, &l->why);
	else
		log_info("the audit log %s was opened again", l->place.name);
}

static void *audit_log_run(void *arg)
{
	struct audit_log *l = arg;
	pthread_mutex_lock(&l->lock);
	while (l->queue || !l->stop) {
		struct audit_entry *e = l->queue;
		bool ordered = l->reopen;
		if (!e && !ordered) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		l->reopen = false;
		if (!ordered) {
			DL_DELETE(l->queue, e);
			l->n--;
			l->in_hand = e;
		}
		pthread_mutex_unlock(&l->lock);
		if (ordered)
			reopen_ordered(l);
		else
			write_entry(l, e);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* --- for everybody --- */

/* With the lock. True if the sweep must be started. */
static bool enqueue(struct audit_log *l, struct audit_entry *e, struct audit_wait *w, bool required)
{
	bool start = false;
	DL_APPEND(l->queue, e);
	l->n++;
	if (w) {
		e->wait = w;
		w->entry = e;
		DL_APPEND(l->waits, w);
		l->counts.slowed += !required;
		l->waited = true;
		start = !l->sweeping;
		l->sweeping = true;
	}
	if (l->n == 1)
		pthread_cond_signal(&l->wake);
	return start;
}

enum audit_added audit_log_add(
	struct audit_log *l, char *text, size_t len, bool required, struct audit_wait *w)
{
	struct audit_entry *e = mem_calloc(1, sizeof(*e));
	bool start = false;
	if (!e) {
		mem_free(text);
		audit_log_fail(l, -ENOMEM);
		return AUDIT_FAILED;
	}
	e->text = text;
	e->len = len;
	pthread_mutex_lock(&l->lock);
	bool room = l->n < l->max, wait = w && (required || !room), taken = room || wait;
	if (taken)
		start = enqueue(l, e, wait ? w : NULL, required);
	pthread_mutex_unlock(&l->lock);
	if (!taken) {
		entry_free(e);
		audit_log_fail(l, -ENOBUFS);
		return AUDIT_FAILED;
	}
	if (start)
		l->place.sweep(l->place.arg);
	return wait ? AUDIT_WAIT : AUDIT_GO_ON;
}

void audit_log_reopen(struct audit_log *l)
{
	pthread_mutex_lock(&l->lock);
	l->reopen = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* With the lock: the first whose time is over, off all lists. A line that is in the writer's hand
 * may still be written. */
static struct audit_wait *take_late(struct audit_log *l, int64_t now, struct audit_entry **ret_drop)
{
	struct audit_wait *w;
	DL_FOREACH (l->waits, w)
		if (w->deadline <= now)
			break;
	if (!w)
		return NULL;
	DL_DELETE(l->waits, w);
	w->entry->wait = NULL;
	*ret_drop = NULL;
	if (w->entry != l->in_hand) {
		*ret_drop = w->entry;
		DL_DELETE(l->queue, w->entry);
		l->n--;
	}
	return w;
}

bool audit_log_sweep(struct audit_log *l)
{
	struct audit_wait *w;
	struct audit_entry *drop;
	int64_t now = clock_boot();
	bool on;
	do {
		pthread_mutex_lock(&l->lock);
		w = take_late(l, now, &drop);
		on = l->waited || l->waits;
		if (!w) {
			l->waited = false;
			l->sweeping = on;
		}
		pthread_mutex_unlock(&l->lock);
		if (!w)
			break;
		if (drop) {
			entry_free(drop);
			audit_log_fail(l, -ETIMEDOUT);
		}
		w->done(w, -ETIMEDOUT);
	} while (true);
	return on;
}

void audit_log_counts(struct audit_log *l, struct audit_counts *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = l->counts;
	ret->queued = l->n;
	pthread_mutex_unlock(&l->lock);
}

int audit_log_new(const struct audit_place *place, size_t max, struct audit_log **ret)
{
	struct audit_log *l = mem_calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->place = *place;
	l->max = max;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	int r = pthread_create(&l->thread, NULL, audit_log_run, l);
	if (r) {
		pthread_cond_destroy(&l->wake);
		pthread_mutex_destroy(&l->lock);
		mem_free(l);
		return -r;
	}
	*ret = l;
	return 0;
}

void audit_log_stop(struct audit_log *l)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
}

void audit_log_free(struct audit_log *l)
{
	struct audit_entry *e, *tmp;
	if (!l)
		return;
	DL_FOREACH_SAFE (l->queue, e, tmp)
		entry_free(e);
	if (l->fd >= 0)
		close(l->fd);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}
