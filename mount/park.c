/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/park.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "mount/audit.h"
#include "mount/eventfile.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#define LOOK_EVERY  (100 * NSEC_PER_MSEC)
#define SWEEP_EVERY (500 * NSEC_PER_MSEC)

struct parks {
	pthread_mutex_t lock; /* protects the list and the flags; taken under libfuse's request
				 lock, so nothing of libfuse under it */
	pthread_cond_t wake;
	struct park *interrupted; /* each with a reference */
	bool kicked, stop;
	pthread_t thread;
};

void park_ref(struct park *p)
{
	atomic_fetch_add(&p->refs, 1);
}

void park_put(struct park *p)
{
	if (atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	inode_put(p->fs, p->inode);
	if (p->dent)
		dent_unref(p->fs->core, p->dent);
	secret_unref(p->bytes);
	audit_note_free(p->audit);
	mem_free(p->sub);
	mem_free(p);
}

void park_lookup(struct park *p)
{
	p->is_lookup = true;
	atomic_fetch_add(&p->fs->parked_lookups, 1);
}

bool park_finish(struct park *p)
{
	if (atomic_exchange(&p->finished, true))
		return false;
	if (p->is_lookup)
		atomic_fetch_sub(&p->fs->parked_lookups, 1);
	/* Waits for a running on_interrupt(), and lets none start: the request may be freed by the
	 * reply that follows. */
	fuse_req_interrupt_func(p->req, NULL, NULL);
	return true;
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct park *p = data;
	struct parks *ps = p->fs->parks;
	(void)req;
	pthread_mutex_lock(&ps->lock);
	if (!p->queued && !atomic_load(&p->finished)) {
		p->queued = true;
		atomic_fetch_add(&p->refs, 1);
		DL_APPEND(ps->interrupted, p);
		pthread_cond_signal(&ps->wake);
	}
	pthread_mutex_unlock(&ps->lock);
}

struct park *park_make(
	struct fs *fs, fuse_req_t req, struct inode *in, bool (*cancel)(struct park *p))
{
	struct park *p = mem_calloc(1, sizeof(*p));
	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	p->req = req;
	p->fs = fs;
	p->tid = fuse_req_ctx(req)->pid;
	p->payer = (struct payer){.limited = true, .uid = fuse_req_ctx(req)->uid};
	p->cancel = cancel;
	p->inode = in ? inode_get(fs, in->ino) : NULL;
	atomic_init(&p->refs, 1); /* for the core's callback */
	return p;
}

void park_arm(struct park *p)
{
	park_ref(p); /* during the call, which may find the request interrupted already */
	fuse_req_interrupt_func(p->req, on_interrupt, p);
	park_put(p);
}

struct park *park_new(
	struct fs *fs, fuse_req_t req, struct inode *in, bool (*cancel)(struct park *p))
{
	struct park *p = park_make(fs, req, in, cancel);
	if (p)
		park_arm(p);
	return p;
}

bool park_cancel_fetch(struct park *p)
{
	return core_fetch_cancel(p->fs->core, &p->w.fetch);
}

bool park_cancel_list(struct park *p)
{
	return core_list_cancel(p->fs->core, &p->w.list);
}

/* One line "SigPnd:\t%16llx" of /proc/TID/status. */
static unsigned long long status_mask(const char *text, const char *field)
{
	const char *at = strstr(text, field);
	return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

/* Whether the thread waits for death, or cannot be looked at. */
static bool must_go(pid_t tid)
{
	static const int deadly[] = {SIGKILL, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	char path[32], text[4096];
	unsigned long long pending;
	ssize_t n;
	int fd;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC)
		     : -1; /* 0: a pid namespace that does not see the caller */
	if (fd < 0)
		return true;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return true;
	text[n] = '\0';
	pending = status_mask(text, "SigPnd:\t") | status_mask(text, "ShdPnd:\t");
	pending &= ~(status_mask(text, "SigBlk:\t") | status_mask(text, "SigIgn:\t"));
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		if (pending & (1ULL << (deadly[i] - 1)))
			return true;
	return false;
}

static void answer_interrupted(struct park *p)
{
	if (!park_finish(p))
		return;
	audit_refused(p, EINTR);
	fuse_reply_err(p->req, EINTR);
	if (p->cancel && p->cancel(p))
		park_put(p); /* the callback's reference */
}

/* Looks at every interrupted park once. */
static void look_round(struct parks *ps)
{
	struct park *list, *keep = NULL, *p, *tmp;
	pthread_mutex_lock(&ps->lock);
	list = ps->interrupted;
	ps->interrupted = NULL;
	pthread_mutex_unlock(&ps->lock);
	DL_FOREACH_SAFE (list, p, tmp) {
		bool over = atomic_load(&p->finished);
		if (!over && (p->stream || must_go(p->tid))) {
			answer_interrupted(p);
			over = true;
		}
		if (over) {
			park_put(p);
		} else {
			DL_APPEND(keep, p);
		}
	}
	pthread_mutex_lock(&ps->lock);
	DL_CONCAT(ps->interrupted, keep);
	pthread_mutex_unlock(&ps->lock);
}

static void *parks_run(void *arg)
{
	struct fs *fs = arg;
	struct parks *ps = fs->parks;
	bool sweeping = false, stop = false;
	while (!stop) {
		pthread_mutex_lock(&ps->lock);
		if (ps->interrupted)
			clock_cond_wait(&ps->wake, &ps->lock, LOOK_EVERY);
		else if (sweeping)
			clock_cond_wait(&ps->wake, &ps->lock, SWEEP_EVERY);
		else
			while (!ps->stop && !ps->interrupted && !ps->kicked)
				pthread_cond_wait(&ps->wake, &ps->lock);
		ps->kicked = false;
		stop = ps->stop;
		pthread_mutex_unlock(&ps->lock);
		look_round(ps);
		sweeping = inodes_sweep(fs);
		sweeping = eventfile_sweep(fs) || sweeping;
	}
	return NULL;
}

int parks_new(struct fs *fs)
{
	struct parks *ps = mem_calloc(1, sizeof(*ps));
	int r;
	if (!ps)
		return -ENOMEM;
	pthread_mutex_init(&ps->lock, NULL);
	clock_cond_init(&ps->wake);
	fs->parks = ps;
	r = pthread_create(&ps->thread, NULL, parks_run, fs);
	if (r) {
		pthread_cond_destroy(&ps->wake);
		pthread_mutex_destroy(&ps->lock);
		mem_free(ps);
		fs->parks = NULL;
		return -r;
	}
	return 0;
}

void parks_kick(struct fs *fs)
{
	struct parks *ps = fs->parks;
	pthread_mutex_lock(&ps->lock);
	if (!ps->kicked) {
		ps->kicked = true;
		pthread_cond_signal(&ps->wake);
	}
	pthread_mutex_unlock(&ps->lock);
}

void parks_free(struct fs *fs)
{
	struct parks *ps = fs->parks;
	struct park *p, *tmp;
	if (!ps)
		return;
	pthread_mutex_lock(&ps->lock);
	ps->stop = true;
	pthread_cond_signal(&ps->wake);
	pthread_mutex_unlock(&ps->lock);
	pthread_join(ps->thread, NULL);
	DL_FOREACH_SAFE (ps->interrupted, p, tmp)
		park_put(p);
	pthread_cond_destroy(&ps->wake);
	pthread_mutex_destroy(&ps->lock);
	mem_free(ps);
	fs->parks = NULL;
}
