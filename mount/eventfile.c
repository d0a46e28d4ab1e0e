/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/eventfile.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "mount/jobs.h"
#include "mount/ops.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <utlist.h>

#define READY (POLLIN | POLLRDNORM)

/* Somebody waits in poll(2) or epoll_wait(2): notified once, then the kernel asks again. */
struct watch {
	uint64_t handle;
	struct fuse_pollhandle *ph; /* owned */
	struct watch *prev, *next;
};

struct eventfile {
	struct fs *fs;
	pthread_mutex_t lock; /* protects the lists; a leaf: nothing is called under it */
	struct park *waiting; /* parked reads, chained by w.event; each with its callback's
				 reference */
	struct watch *watches;
	struct job job;	    /* the wake, in the notifier's queue */
	atomic_bool wanted; /* one of the two has an entry: new events are worth a wake */
	atomic_bool queued; /* a wake is on its way */
	atomic_bool ended;
	_Atomic uint64_t ino; /* what stat shows: the same for every LOOKUP, so that tail -F sees
				 one file */
};

static struct events *ring(const struct fs *fs)
{
	return core_event_ring(fs->core);
}

static enum event_access access_of(const struct fs *fs)
{
	return fs->no_open ? EVENT_PAGES : EVENT_EXACT;
}

/* --- waiting --- */

static void set_wanted(struct eventfile *ef)
{
	atomic_store(&ef->wanted, ef->waiting || ef->watches);
}

/* The read waits, unless it was interrupted before it came here, or the mount ends: then this was
 * the last use of it. */
static void wait_here(struct fs *fs, struct park *p)
{
	struct eventfile *ef = fs->eventfile;
	pthread_mutex_lock(&ef->lock);
	bool over = atomic_load(&p->finished) || atomic_load(&ef->ended);
	if (!over) {
		DL_APPEND2(ef->waiting, p, w.event.prev, w.event.next);
		p->w.event.linked = true;
		set_wanted(ef);
	}
	pthread_mutex_unlock(&ef->lock);
	if (!over)
		return;
	if (park_finish(p))
		fuse_reply_buf(p->req, NULL, 0);
	park_put(p);
}

/* With the lock. */
static void unlink_wait(struct eventfile *ef, struct park *p)
{
	DL_DELETE2(ef->waiting, p, w.event.prev, w.event.next);
	p->w.event.linked = false;
	set_wanted(ef);
}

static bool cancel_wait(struct park *p)
{
	struct eventfile *ef = p->fs->eventfile;
	pthread_mutex_lock(&ef->lock);
	bool linked = p->w.event.linked;
	if (linked)
		unlink_wait(ef, p);
	pthread_mutex_unlock(&ef->lock);
	return linked;
}

static void free_watch(struct watch *w)
{
	fuse_pollhandle_destroy(w->ph);
	mem_free(w);
}

/* --- answering --- */

static void reply(fuse_req_t req, int r, const struct buf *out)
{
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, out->data, out->len);
}

/* What is there for a handle at `off`. */
static int read_handle(struct fs *fs, struct handle *h, off_t off, size_t size, struct buf *out)
{
	int r = events_read(ring(fs), h->events, off, size, EVENT_EXACT, out);
	events_follow(ring(fs), h->inode->events, h->events);
	return r;
}

static void grown(void *arg);

/* It waits, until there is something at `off`: looked at once more, because that may have come
 * before it was known to wait. */
static void wait_for(struct fs *fs, struct handle *h, struct park *p, off_t off)
{
	wait_here(fs, p);
	if (events_ready(ring(fs), h->events, off))
		grown(fs);
}

/* Answers a parked read if there is something for it, else it waits on. */
static void answer(struct fs *fs, struct park *p)
{
	struct handle *h = handle_get(fs, p->fi.fh);
	struct buf out = BUF_INIT(SFS_EVENTS_BYTES + EVENT_LOST);
	off_t off = p->w.event.off;
	if (h && !events_ready(ring(fs), h->events, off)) {
		wait_for(fs, h, p, off);
	} else {
		if (park_finish(p))
			reply(p->req, h ? read_handle(fs, h, off, p->size, &out) : -ESTALE, &out);
		park_put(p);
	}
	buf_clear(&out);
	handle_put(fs, h);
}

static void answer_all(struct fs *fs, struct park *list)
{
	struct park *p;
	while ((p = list)) {
		DL_DELETE2(list, p, w.event.prev, w.event.next);
		answer(fs, p);
	}
}

static void notify_all(struct watch *list)
{
	struct watch *w;
	while ((w = list)) {
		DL_DELETE(list, w);
		fuse_lowlevel_notify_poll(w->ph);
		free_watch(w);
	}
}

static void wake_all(struct fs *fs)
{
	struct eventfile *ef = fs->eventfile;
	struct park *waiting, *p;
	struct watch *watches;
	pthread_mutex_lock(&ef->lock);
	waiting = ef->waiting;
	watches = ef->watches;
	ef->waiting = NULL;
	ef->watches = NULL;
	DL_FOREACH2(waiting, p, w.event.next)
	p->w.event.linked = false;
	set_wanted(ef);
	pthread_mutex_unlock(&ef->lock);
	answer_all(fs, waiting);
	notify_all(watches);
}

/* In the notifier's thread. */
static void wake(struct job *j)
{
	struct eventfile *ef = (struct eventfile *)((char *)j - offsetof(struct eventfile, job));
	atomic_store(&ef->queued, false); /* what comes from now on needs another one */
	wake_all(ef->fs);
}

/* events_listen(): perhaps under locks of the core. Also called by who has just begun to wait. */
static void grown(void *arg)
{
	struct fs *fs = arg;
	struct eventfile *ef = fs->eventfile;
	if (atomic_load(&ef->wanted) && !atomic_exchange(&ef->queued, true))
		jobs_push(fs->notifier, &ef->job);
}

/* --- the file --- */

int eventfile_begin(struct fs *fs, struct inode *in)
{
	uint64_t none = 0;
	in->events = mem_calloc(1, sizeof(*in->events));
	if (!in->events)
		return -ENOMEM;
	events_begin(ring(fs), in->events);
	atomic_compare_exchange_strong(&fs->eventfile->ino, &none, in->ino);
	return 0;
}

void eventfile_stat(struct fs *fs, struct inode *in, struct stat *st)
{
	int64_t mtime;
	st->st_ino = atomic_load(&fs->eventfile->ino);
	st->st_size = events_size(ring(fs), in->events, access_of(fs), &mtime);
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_mtim = (struct timespec){mtime / NSEC_PER_SEC, mtime % NSEC_PER_SEC};
	st->st_ctim = st->st_atim = st->st_mtim;
}

void eventfile_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct event_reader *r = mem_calloc(1, sizeof(*r));
	struct handle *h = r ? handle_new(fs, in, NULL, false) : NULL;
	if (!h) {
		mem_free(r);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	events_copy(ring(fs), r, in->events);
	h->events = r;
	fi->fh = h->id;
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_close(fs, fi->fh);
}

static void park_read(struct fs *fs, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct park *p = park_make(fs, req, h->inode, cancel_wait);
	if (!p)
		return;
	p->stream = true;
	p->fi.fh = h->id;
	p->size = size;
	p->w.event.off = off;
	p->w.event.deadline = fs_control_deadline(fs);
	bool bounded = p->w.event.deadline != CLOCK_NEVER;
	park_arm(p);
	wait_for(fs, h, p, off);
	if (bounded)
		parks_kick(fs);
}

void eventfile_read(
	struct fs *fs, fuse_req_t req, struct handle *h, size_t size, off_t off, int flags)
{
	struct buf out = BUF_INIT(SFS_EVENTS_BYTES + EVENT_LOST);
	int r = read_handle(fs, h, off, size, &out);
	if (r < 0 || out.len || !size)
		reply(req, r, &out);
	else if (flags & O_NONBLOCK)
		fuse_reply_err(req, EAGAIN);
	else
		park_read(fs, req, h, size, off);
	buf_clear(&out);
}

void eventfile_read_pages(struct fs *fs, fuse_req_t req, struct inode *in, size_t size, off_t off)
{
	struct buf out = BUF_INIT(SFS_EVENTS_BYTES + SFS_CONTROL_WRITE_MAX);
	int r = events_read(ring(fs), in->events, off, size, EVENT_PAGES, &out);
	reply(req, r, &out);
	buf_clear(&out);
}

/* --- poll --- */

/* Takes over `ph`. One watch a handle: the kernel wakes all who poll it. */
static int watch_handle(struct eventfile *ef, uint64_t handle, struct fuse_pollhandle *ph)
{
	struct watch *w, *fresh = mem_calloc(1, sizeof(*fresh));
	struct fuse_pollhandle *old = NULL;
	pthread_mutex_lock(&ef->lock);
	DL_SEARCH_SCALAR(ef->watches, w, handle, handle);
	if (w) {
		old = w->ph;
		w->ph = ph;
	} else if (fresh) {
		w = fresh;
		*w = (struct watch){.handle = handle, .ph = ph};
		DL_APPEND(ef->watches, w);
		fresh = NULL;
	}
	set_wanted(ef);
	pthread_mutex_unlock(&ef->lock);
	if (old || !w)
		fuse_pollhandle_destroy(old ? old : ph);
	mem_free(fresh);
	return w ? 0 : -ENOMEM;
}

/* The watch stands before the look, so that nothing can come in between unnoticed. */
static void poll_events(struct fs *fs, fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph)
{
	if (ph && watch_handle(fs->eventfile, h->id, ph) < 0)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_poll(req, events_ready(ring(fs), h->events, -1) ? READY : 0);
}

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fs->no_open ? NULL : handle_get(fs, fi->fh);
	(void)ino;
	if (h && h->events) {
		poll_events(fs, req, h, ph);
	} else {
		if (ph)
			fuse_pollhandle_destroy(ph);
		fuse_reply_poll(req, READY | POLLOUT | POLLWRNORM);
	}
	handle_put(fs, h);
}

void eventfile_release(struct fs *fs, uint64_t handle)
{
	struct eventfile *ef = fs->eventfile;
	struct watch *w;
	pthread_mutex_lock(&ef->lock);
	DL_SEARCH_SCALAR(ef->watches, w, handle, handle);
	if (w)
		DL_DELETE(ef->watches, w);
	set_wanted(ef);
	pthread_mutex_unlock(&ef->lock);
	if (w)
		free_watch(w);
}

/* --- the kernel's limit, and the end --- */

static struct park *take_overdue(struct eventfile *ef, int64_t now)
{
	struct park *p;
	DL_FOREACH2(ef->waiting, p, w.event.next)
	if (now >= p->w.event.deadline) {
		unlink_wait(ef, p);
		return p;
	}
	return NULL;
}

bool eventfile_sweep(struct fs *fs)
{
	struct eventfile *ef = fs->eventfile;
	struct park *p;
	bool bounded;
	if (!ef)
		return false;
	do {
		pthread_mutex_lock(&ef->lock);
		p = take_overdue(ef, clock_boot());
		bounded = ef->waiting && fs->park_limit != CLOCK_NEVER;
		pthread_mutex_unlock(&ef->lock);
		if (p && park_finish(p))
			fuse_reply_err(p->req, EINTR);
		if (p)
			park_put(p);
	} while (p);
	return bounded;
}

int eventfile_new(struct fs *fs)
{
	struct eventfile *ef = mem_calloc(1, sizeof(*ef));
	if (!ef)
		return -ENOMEM;
	pthread_mutex_init(&ef->lock, NULL);
	ef->fs = fs;
	ef->job.run = wake;
	fs->eventfile = ef;
	events_listen(ring(fs), grown, fs);
	return 0;
}

void eventfile_end(struct fs *fs)
{
	if (!fs->eventfile)
		return;
	events_listen(ring(fs), NULL, NULL);
	atomic_store(&fs->eventfile->ended, true);
	wake_all(fs);
}

void eventfile_free(struct fs *fs)
{
	struct eventfile *ef = fs->eventfile;
	if (!ef)
		return;
	pthread_mutex_destroy(&ef->lock);
	mem_free(ef);
	fs->eventfile = NULL;
}
