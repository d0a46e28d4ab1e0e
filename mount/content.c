/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes hold: bytes for a moment, or, where the kernel sends no OPEN, the content itself. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "mount/inode_priv.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include "mount/park.h"
#include <string.h>

#define IDLE_SECONDS  5 /* content of a node that stands for the name, after its last use */
#define END_SECONDS   1 /* the same when it was read to its end */
#define GRACE_SECONDS 1 /* for who is reading what was purged or is over its time */
#define REST_SECONDS  1 /* for the rest of a control file's line */

static void kick(struct fs *fs, bool was_empty)
{
	if (was_empty)
		parks_kick(fs);
}

bool inode_put_bytes(struct fs *fs, struct inode *in, struct secret *bytes, const char *version,
	uint64_t serial, int64_t mtime)
{
	struct inodes *t = fs->inodes;
	char *copy = mem_strdup(version ? version : "");
	pthread_mutex_lock(&t->lock);
	bool was_empty = !t->due, other = in->filled;
	struct secret *old = inode_set_held(t, in, bytes, clock_after(clock_boot(), IDLE_SECONDS));
	char *old_version = in->version;
	in->version = copy; /* without memory: NULL, equal to none */
	in->serial = serial;
	in->size = secret_len(bytes);
	in->mtime = mtime;
	in->provisional = false;
	in->filled = true;
	in->used = false;
	pthread_mutex_unlock(&t->lock);
	secret_unref(old);
	mem_free(old_version);
	kick(fs, was_empty);
	return other;
}

struct secret *inode_read(struct fs *fs, struct inode *in, uint64_t end)
{
	struct inodes *t = fs->inodes;
	struct secret *s = NULL;
	pthread_mutex_lock(&t->lock);
	bool was_empty = !t->due;
	if (in->held) {
		s = secret_ref(in->held);
		in->used = true;
		if (in->follows) {
			in->held_until = clock_after(
				clock_boot(), end >= secret_len(s) ? END_SECONDS : IDLE_SECONDS);
			inode_due(t, in);
		}
	}
	was_empty = was_empty && t->due;
	pthread_mutex_unlock(&t->lock);
	kick(fs, was_empty);
	return s;
}

bool inode_is_same(struct fs *fs, struct inode *in, const char *version, uint64_t serial)
{
	pthread_mutex_lock(&fs->inodes->lock);
	bool same = !in->filled ||
		    (in->follows ? in->version && version && strcmp(in->version, version) == 0
				 : in->serial == serial);
	pthread_mutex_unlock(&fs->inodes->lock);
	return same;
}

void inode_put_text(struct fs *fs, struct inode *in, struct buf *text)
{
	pthread_mutex_lock(&fs->inodes->lock);
	if (!in->filled) {
		in->text = *text;
		*text = (struct buf)BUF_INIT(SFS_TEXT_MAX);
		in->filled = true;
		in->size = in->text.len;
	}
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_await_rest(struct fs *fs, struct inode *in)
{
	struct inodes *t = fs->inodes;
	pthread_mutex_lock(&t->lock);
	bool was_empty = !t->due;
	in->pending_until = clock_after(clock_boot(), REST_SECONDS);
	inode_due(t, in);
	pthread_mutex_unlock(&t->lock);
	kick(fs, was_empty);
}

/* --- dropping --- */

/* Not at once: who looked the name up just before may still open what LOOKUP handed out. With OPEN
 * that is over within a second anyway. */
void inode_drop_held(struct fs *fs, struct inode *in)
{
	struct inodes *t = fs->inodes;
	pthread_mutex_lock(&t->lock);
	bool was_empty = !t->due;
	if (in->held && in->held_until == CLOCK_NEVER)
		inode_set_held(t, in, in->held, clock_after(clock_boot(), GRACE_SECONDS));
	was_empty = was_empty && t->due;
	pthread_mutex_unlock(&t->lock);
	kick(fs, was_empty);
}

/* One inode's turn. Lock held. The queue of the notifier is below our lock. */
static void drop_due(struct fs *fs, struct inode *in, int64_t now, struct inode **ret_rest)
{
	if (in->held && now >= in->held_until) {
		/* only the arena's lock is below ours */
		secret_unref(inode_set_held(fs->inodes, in, NULL, 0));
		if (fs->no_open)
			notify_inode(fs, in);
	}
	if (in->pending_until && now >= in->pending_until && !*ret_rest) {
		in->pending_until = 0;
		in->pins++;
		*ret_rest = in;
	}
}

/* *ret_rest: a pinned inode whose unfinished line waited long enough. */
static bool sweep(struct fs *fs, struct inode **ret_rest)
{
	struct inodes *t = fs->inodes;
	struct inode_links *l, *tmp;
	const int64_t now = clock_boot();
	pthread_mutex_lock(&t->lock);
	DL_FOREACH_SAFE (t->due, l, tmp) {
		drop_due(fs, l->in, now, ret_rest);
		if (l->in->held_until || l->in->pending_until)
			continue;
		DL_DELETE(t->due, l);
		l->listed = false;
	}
	bool left = t->due != NULL;
	pthread_mutex_unlock(&t->lock);
	return left;
}

bool inodes_sweep(struct fs *fs)
{
	struct inode *rest = NULL;
	bool left = sweep(fs, &rest);
	if (rest)
		control_release(fs, rest);
	inode_put(fs, rest);
	return left;
}

/* The bytes of all inodes that are, or are not, the current one of their key. */
static size_t drop_all(struct inodes *t, bool superseded)
{
	struct inode_links *l, *tmp;
	size_t n = 0;
	HASH_ITER (by_id, t->by_id, l, tmp) {
		if (!l->in->held || l->in->superseded != superseded)
			continue;
		secret_unref(inode_set_held(t, l->in, NULL, 0));
		n++;
	}
	return n;
}

void inodes_drop_held(struct fs *fs)
{
	pthread_mutex_lock(&fs->inodes->lock);
	if (drop_all(fs->inodes, false) == 0)
		drop_all(fs->inodes, true);
	pthread_mutex_unlock(&fs->inodes->lock);
}
