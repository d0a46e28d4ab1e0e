/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/inode.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "mount/notify.h"
#include "mount/park.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
/* The default one falls through switch labels, which clang refuses; keys here are numbers and paths
 * of our own. */
#define HASH_FUNCTION(k, n, h) HASH_FNV(k, n, h)
#include <uthash.h>
#include <utlist.h>

#define ESTALE_SECONDS 1
#define RECENT_SECONDS 1

/* Threads that got ESTALE lately. */
#define AWAY_ROWS    512
#define AWAY_PER_ROW 4
struct away {
	uint64_t ino;	    /* from where */
	uint64_t looked_up; /* what LOOKUP gave it since; 0 = nothing */
	int64_t until;
	pid_t tid;
};

/* What the tables need of an inode; kept apart so that inode.h does not pull in uthash. */
struct inode_links {
	struct inode *in;
	UT_hash_handle by_id, by_key;
	char *key;
	size_t key_len;
	struct inode_links *prev, *next; /* list of inodes with recent bytes */
	bool listed;
};

struct handle_links {
	struct handle h;
	UT_hash_handle hh;
};

struct inodes {
	pthread_mutex_t lock; /* protects everything below and the changeable fields of inodes and
				 handles */
	struct inode_links *by_id, *by_key, *recent;
	struct handle_links *handles;
	uint64_t next_ino, next_handle;
	struct away away[AWAY_ROWS][AWAY_PER_ROW]; /* a row by thread number */
};

int inodes_new(struct fs *fs)
{
	struct inodes *t = mem_calloc(1, sizeof(*t));
	struct inode_key root = {.view = VIEW_TREE, .is_dir = true, .control = -1};
	struct inode *in;
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->next_ino = FUSE_ROOT_ID;
	t->next_handle = 1;
	fs->inodes = t;
	root.dent = core_root(fs->core);
	in = inode_obtain(fs, &root,
		false); /* the first number is FUSE_ROOT_ID; its pin lasts as long as the mount */
	dent_unref(fs->core, root.dent);
	if (!in) {
		inodes_free(fs);
		return -ENOMEM;
	}
	return 0;
}

static void inode_destroy(struct fs *fs, struct inode *in)
{
	secret_unref(in->recent);
	buf_clear(&in->text);
	buf_clear(&in->pending);
	if (in->dent)
		dent_unref(fs->core, in->dent);
	mem_free(in->sub);
	mem_free(in->links->key);
	mem_free(in->links);
	mem_free(in);
}

/* Takes the inode out of the tables when nobody refers to it any more. Returns true when the caller
 * must destroy it, after unlocking. */
static bool unlink_if_unused(struct inodes *t, struct inode *in)
{
	struct inode_links *l = in->links;
	if (in->nlookup || in->pins)
		return false;
	HASH_DELETE(by_id, t->by_id, l);
	if (in->keyed)
		HASH_DELETE(by_key, t->by_key, l);
	if (l->listed)
		DL_DELETE(t->recent, l);
	return true;
}

static void handle_clear(struct handle *h)
{
	secret_unref(h->bytes);
	buf_clear(&h->text);
	for (size_t i = 0; i < h->nnames; i++)
		mem_free(h->names[i]);
	mem_free(h->names);
	mem_free(h->types);
}

void inodes_free(struct fs *fs)
{
	struct inodes *t = take(fs->inodes);
	struct inode_links *l, *tmp;
	struct handle_links *h, *htmp;
	if (!t)
		return;
	HASH_ITER (hh, t->handles, h, htmp) {
		HASH_DEL(t->handles, h);
		handle_clear(&h->h);
		mem_free(h);
	}
	HASH_CLEAR(by_key, t->by_key);
	HASH_ITER (by_id, t->by_id, l, tmp) {
		HASH_DELETE(by_id, t->by_id, l);
		inode_destroy(fs, l->in);
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

struct inode *inode_get(struct fs *fs, uint64_t ino)
{
	struct inodes *t = fs->inodes;
	struct inode_links *l;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(by_id, t->by_id, &ino, sizeof(ino), l);
	if (l)
		l->in->pins++;
	pthread_mutex_unlock(&t->lock);
	return l ? l->in : NULL;
}

void inode_put(struct fs *fs, struct inode *in)
{
	struct inodes *t = fs->inodes;
	bool dead;
	if (!in)
		return;
	pthread_mutex_lock(&t->lock);
	in->pins--;
	dead = unlink_if_unused(t, in);
	pthread_mutex_unlock(&t->lock);
	if (dead)
		inode_destroy(fs, in);
}

static char *key_bytes(const struct inode_key *k, size_t *ret_len)
{
	size_t sub = k->sub ? strlen(k->sub) + 1 : 0; /* NULL and "" differ by the NUL */
	size_t len = 2 + sizeof(k->dent) + sub;
	char *b = mem_calloc(1, len);
	if (!b)
		return NULL;
	b[0] = (char)k->view;
	b[1] = k->is_dir;
	memcpy(b + 2, &k->dent, sizeof(k->dent));
	if (sub)
		memcpy(b + 2 + sizeof(k->dent), k->sub, sub);
	*ret_len = len;
	return b;
}

static struct inode *inode_alloc(const struct inode_key *k, const char *key, size_t key_len)
{
	struct inode *in = mem_calloc(1, sizeof(*in));
	struct inode_links *l = mem_calloc(1, sizeof(*l));
	if (in && l) {
		in->sub = mem_strdup(k->sub);
		l->key = mem_strndup(key, key_len);
	}
	if (!in || !l || !l->key || (k->sub && !in->sub)) {
		if (in)
			mem_free(in->sub);
		if (l)
			mem_free(l->key);
		mem_free(in);
		mem_free(l);
		return NULL;
	}
	l->key_len = key_len;
	l->in = in;
	in->links = l;
	in->view = k->view;
	in->is_dir = k->is_dir;
	in->control = k->control;
	in->generation = k->generation;
	in->provisional = k->provisional;
	in->follows = k->follows;
	in->pins = 1;
	in->pending = (struct buf)BUF_INIT(SFS_CONTROL_LINE_MAX);
	in->text = (struct buf)BUF_INIT(SFS_TEXT_MAX);
	return in;
}

/* Lock held. False when uthash had no memory. */
static bool table_add(struct inodes *t, struct inode *in, bool keyed)
{
	struct inode_links *l = in->links, *found = NULL;
	in->ino = t->next_ino;
	HASH_ADD_KEYPTR(by_id, t->by_id, &in->ino, sizeof(in->ino), l);
	HASH_FIND(by_id, t->by_id, &in->ino, sizeof(in->ino), found);
	if (!found)
		return false;
	t->next_ino++;
	if (!keyed)
		return true;
	HASH_ADD_KEYPTR(by_key, t->by_key, l->key, l->key_len, l);
	HASH_FIND(by_key, t->by_key, l->key, l->key_len, found);
	in->keyed = found == l;
	if (!in->keyed)
		HASH_DELETE(by_id, t->by_id, l);
	return in->keyed;
}

struct inode *inode_obtain(struct fs *fs, const struct inode_key *k, bool fresh)
{
	struct inodes *t = fs->inodes;
	struct inode_links *l = NULL;
	struct inode *made, *in = NULL;
	size_t len;
	char *key = key_bytes(k, &len);
	if (!key)
		return NULL;
	pthread_mutex_lock(&t->lock);
	if (!fresh)
		HASH_FIND(by_key, t->by_key, key, len, l);
	if (l) {
		in = l->in;
		in->pins++;
	} else if ((made = inode_alloc(k, key, len))) {
		if (table_add(t, made, !fresh)) {
			made->dent = dent_ref(k->dent);
			in = made;
		} else {
			inode_destroy(fs, made);
		}
	}
	pthread_mutex_unlock(&t->lock);
	mem_free(key);
	return in;
}

struct inode *inode_of(struct fs *fs, enum view view, struct dent *d)
{
	struct inodes *t = fs->inodes;
	struct inode_key k = {.view = view, .is_dir = dent_kind(d) == CORE_DIR, .dent = d};
	struct inode_links *l = NULL;
	size_t len;
	char *key = key_bytes(&k, &len);
	if (!key)
		return NULL;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(by_key, t->by_key, key, len, l);
	if (l)
		l->in->pins++;
	pthread_mutex_unlock(&t->lock);
	mem_free(key);
	return l ? l->in : NULL;
}

void inode_supersede(struct fs *fs, struct inode *in)
{
	struct inodes *t = fs->inodes;
	pthread_mutex_lock(&t->lock);
	if (in->keyed) {
		HASH_DELETE(by_key, t->by_key, in->links);
		in->keyed = false;
	}
	pthread_mutex_unlock(&t->lock);
}

void inode_remember(struct fs *fs, struct inode *in)
{
	pthread_mutex_lock(&fs->inodes->lock);
	in->nlookup++;
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_forget(struct fs *fs, uint64_t ino, uint64_t n)
{
	struct inodes *t = fs->inodes;
	struct inode_links *l;
	bool dead = false;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(by_id, t->by_id, &ino, sizeof(ino), l);
	if (l) {
		/* A count the table does not have is the kernel's of another worker: harmless. */
		l->in->nlookup -= n < l->in->nlookup ? n : l->in->nlookup;
		dead = unlink_if_unused(t, l->in);
	}
	pthread_mutex_unlock(&t->lock);
	if (dead)
		inode_destroy(fs, l->in);
}

void inode_state(struct fs *fs, struct inode *in, struct inode_state *ret)
{
	pthread_mutex_lock(&fs->inodes->lock);
	*ret = (struct inode_state){in->follows, in->provisional, in->serial, in->size, in->mtime};
	pthread_mutex_unlock(&fs->inodes->lock);
}

/* Lock held. Returns what the caller must unref after unlocking. */
static struct secret *set_recent(struct inodes *t, struct inode *in, struct secret *bytes)
{
	struct secret *old = NULL;
	if (in->recent != bytes) {
		old = in->recent;
		in->recent = bytes ? secret_ref(bytes) : NULL;
	}
	in->recent_until = bytes ? clock_after(clock_boot(), RECENT_SECONDS) : 0;
	if (bytes && !in->links->listed) {
		DL_APPEND(t->recent, in->links);
		in->links->listed = true;
	}
	return old;
}

enum bind_result inode_bind(struct fs *fs, struct inode *in, uint64_t serial, struct secret *bytes,
	int64_t mtime, bool lookup)
{
	struct inodes *t = fs->inodes;
	struct secret *old = NULL;
	bool same, first, made;
	pthread_mutex_lock(&t->lock);
	first = !t->recent;
	made = in->serial == 0;
	if (made) {
		in->serial = serial;
		in->size = secret_len(bytes);
		in->mtime = mtime;
		in->provisional = false;
	}
	same = in->serial == serial;
	if (same && (made || lookup))
		old = set_recent(t, in, bytes);
	else
		first = false;
	pthread_mutex_unlock(&t->lock);
	secret_unref(old);
	if (first)
		parks_kick(fs); /* there is something to sweep again */
	return same ? BIND_SAME : BIND_OTHER;
}

void inode_show(struct fs *fs, struct inode *in, uint64_t size, int64_t mtime)
{
	pthread_mutex_lock(&fs->inodes->lock);
	in->resized = in->readers > 0;
	in->next_size = size;
	if (!in->resized)
		in->size = size;
	in->mtime = mtime;
	in->provisional = false;
	pthread_mutex_unlock(&fs->inodes->lock);
}

static struct away *away_row(struct inodes *t, pid_t tid)
{
	return t->away[(unsigned)tid % AWAY_ROWS];
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
	*oldest = (struct away){in->ino, 0, clock_after(clock_boot(), ESTALE_SECONDS), tid};
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_looked_up(struct fs *fs, struct inode *in, pid_t tid)
{
	struct away *a;
	pthread_mutex_lock(&fs->inodes->lock);
	a = away_row(fs->inodes, tid);
	for (size_t i = 0; i < AWAY_PER_ROW; i++)
		if (a[i].tid == tid && a[i].until)
			a[i].looked_up = in->ino;
	pthread_mutex_unlock(&fs->inodes->lock);
}

struct secret *inode_recent(struct fs *fs, struct inode *in)
{
	struct secret *s = NULL;
	pthread_mutex_lock(&fs->inodes->lock);
	if (in->recent && clock_boot() < in->recent_until)
		s = secret_ref(in->recent);
	pthread_mutex_unlock(&fs->inodes->lock);
	return s;
}

void inode_follow(struct fs *fs, struct inode *in)
{
	pthread_mutex_lock(&fs->inodes->lock);
	in->follows = true;
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inode_drop_recent(struct fs *fs, struct inode *in)
{
	struct secret *old;
	pthread_mutex_lock(&fs->inodes->lock);
	old = set_recent(fs->inodes, in, NULL);
	pthread_mutex_unlock(&fs->inodes->lock);
	secret_unref(old);
}

static bool sweep(struct fs *fs, int64_t now)
{
	struct inodes *t = fs->inodes;
	struct inode_links *l, *tmp;
	bool left;
	pthread_mutex_lock(&t->lock);
	DL_FOREACH_SAFE (t->recent, l, tmp) {
		if (l->in->recent && now < l->in->recent_until)
			continue;
		secret_unref(set_recent(t, l->in, NULL)); /* only the arena's lock is below ours */
		DL_DELETE(t->recent, l);
		l->listed = false;
	}
	left = t->recent != NULL;
	pthread_mutex_unlock(&t->lock);
	return left;
}

bool inodes_sweep(struct fs *fs)
{
	return sweep(fs, clock_boot());
}

void inodes_drop_recent(struct fs *fs)
{
	sweep(fs, CLOCK_NEVER);
}

struct handle *handle_new(struct fs *fs, struct inode *in, struct secret *bytes, bool cached)
{
	struct inodes *t = fs->inodes;
	struct handle_links *h = mem_calloc(1, sizeof(*h)), *found = NULL;
	if (h) {
		h->h.inode = in;
		h->h.bytes = bytes;
		h->h.cached = cached;
		h->h.text = (struct buf)BUF_INIT(SFS_TEXT_MAX);
		pthread_mutex_lock(&t->lock);
		h->h.id = t->next_handle++;
		HASH_ADD(hh, t->handles, h.id, sizeof(h->h.id), h);
		HASH_FIND(hh, t->handles, &h->h.id, sizeof(h->h.id), found);
		if (found) {
			in->pins++;
			in->readers += cached;
		}
		pthread_mutex_unlock(&t->lock);
	}
	if (found)
		return &h->h;
	mem_free(h);
	secret_unref(bytes);
	return NULL;
}

struct handle *handle_get(struct fs *fs, uint64_t id)
{
	struct inodes *t = fs->inodes;
	struct handle_links *h;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->handles, &id, sizeof(id), h);
	if (h)
		h->h.pins++;
	pthread_mutex_unlock(&t->lock);
	return h ? &h->h : NULL;
}

static void handle_destroy(struct fs *fs, struct handle *h)
{
	struct inode *in = h->inode;
	bool resized;
	pthread_mutex_lock(&fs->inodes->lock);
	in->readers -= h->cached;
	resized = in->resized && in->readers == 0;
	if (resized) {
		in->size = in->next_size;
		in->resized = false;
	}
	pthread_mutex_unlock(&fs->inodes->lock);
	if (resized)
		notify_inode(fs, in);
	handle_clear(h);
	inode_put(fs, in);
	mem_free(h); /* the first member of struct handle_links */
}

void handle_put(struct fs *fs, struct handle *h)
{
	bool dead;
	if (!h)
		return;
	pthread_mutex_lock(&fs->inodes->lock);
	dead = --h->pins == 0 && h->closed;
	pthread_mutex_unlock(&fs->inodes->lock);
	if (dead)
		handle_destroy(fs, h);
}

void handle_close(struct fs *fs, uint64_t id)
{
	struct inodes *t = fs->inodes;
	struct handle_links *h;
	bool dead = false;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->handles, &id, sizeof(id), h);
	if (h) {
		HASH_DEL(t->handles, h);
		h->h.closed = true;
		dead = h->h.pins == 0;
	}
	pthread_mutex_unlock(&t->lock);
	if (dead)
		handle_destroy(fs, &h->h);
}

void inodes_count(struct fs *fs, uint64_t *ret_inodes, uint64_t *ret_handles)
{
	pthread_mutex_lock(&fs->inodes->lock);
	*ret_inodes = HASH_CNT(by_id, fs->inodes->by_id);
	*ret_handles = HASH_COUNT(fs->inodes->handles);
	pthread_mutex_unlock(&fs->inodes->lock);
}
