/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread opens next: who was sent away with ESTALE, and who has fetched already. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "mount/inode_priv.h"
#include "mount/park.h"

#define ESTALE_SECONDS 1
#define HAND_SECONDS   1

static struct away *away_row(struct inodes *t, pid_t tid)
{
	return t->away[(unsigned)tid % AWAY_ROWS];
}

/* The same for all nodes that the kernel may find when it looks the same path up again, also when a
 * name with encoded slashes has become one with directories. FNV-1a; a collision makes a retry of
 * what is none. */
static uint64_t name_hash(const struct inode *in)
{
	uint64_t h = 14695981039346656037U ^ (uint64_t)in->view;
	for (const char *p = dent_path(in->dent); *p; p++) {
		bool slash = p[0] == '%' && p[1] == '2' && (p[2] == 'F' || p[2] == 'f');
		h = (h ^ (unsigned char)(slash ? '/' : *p)) * 1099511628211U;
		p += slash ? 2 : 0;
	}
	for (const char *p = in->sub; p && *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211U;
	return h;
}

enum retry inode_retry(struct fs *fs, struct inode *in, pid_t tid)
{
	const int64_t now = clock_boot();
	enum retry r = RETRY_NO;
	struct away *a;
	pthread_mutex_lock(&fs->inodes->lock);
	a = away_row(fs->inodes, tid);
	for (size_t i = 0; i < AWAY_PER_ROW && r == RETRY_NO; i++) {
		if (a[i].tid != tid || now >= a[i].until)
			continue;
		if (a[i].looked_up == in->ino)
			r = RETRY_LOOKED_UP;
		else if (a[i].ino == in->ino)
			r = RETRY_SAME_NODE;
		if (r != RETRY_NO)
			a[i].until = 0;
	}
	pthread_mutex_unlock(&fs->inodes->lock);
	return r;
}

void inode_send_away(struct fs *fs, struct inode *in, pid_t tid)
{
	struct away *a, *oldest;
	pthread_mutex_lock(&fs->inodes->lock);
	a = oldest = away_row(fs->inodes, tid);
	for (size_t i = 1; i < AWAY_PER_ROW; i++)
		if (a[i].until < oldest->until)
			oldest = &a[i];
	*oldest = (struct away){.ino = in->ino,
		.name = name_hash(in),
		.until = clock_after(clock_boot(), ESTALE_SECONDS),
		.tid = tid};
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_looked_up(struct fs *fs, struct inode *in, pid_t tid)
{
	const uint64_t name = name_hash(in);
	struct away *a;
	pthread_mutex_lock(&fs->inodes->lock);
	a = away_row(fs->inodes, tid);
	for (size_t i = 0; i < AWAY_PER_ROW; i++)
		if (a[i].tid == tid && a[i].until && a[i].name == name)
			a[i].looked_up = in->ino;
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_hand(struct fs *fs, struct inode *in, struct secret *bytes,
	const struct payload *payload, pid_t tid)
{
	struct inodes *t = fs->inodes;
	char *version = mem_strdup(payload->version);
	inode_show(fs, in, secret_len(bytes), payload->created);
	pthread_mutex_lock(&t->lock);
	bool first = !t->due;
	struct secret *old = inode_set_held(t, in, bytes, clock_after(clock_boot(), HAND_SECONDS));
	char *old_version = in->version;
	in->version = version;
	in->follows = true;
	in->held_for = tid;
	pthread_mutex_unlock(&t->lock);
	mem_free(old_version);
	secret_unref(old);
	if (first)
		parks_kick(fs); /* there is something to sweep again */
}

struct secret *inode_take(struct fs *fs, struct inode *in, pid_t tid, char **ret_version)
{
	struct secret *s = NULL;
	pthread_mutex_lock(&fs->inodes->lock);
	if (in->held && in->follows && tid > 0 && in->held_for == tid &&
		clock_boot() < in->held_until) {
		s = inode_set_held(fs->inodes, in, NULL, 0);
		*ret_version = take(in->version);
		in->held_for = 0;
	}
	pthread_mutex_unlock(&fs->inodes->lock);
	return s;
}
