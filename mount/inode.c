/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "mount/inode_priv.h"
#include "mount/park.h"
#include <errno.h>
#include <string.h>

#define HELD_SECONDS 1

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
	secret_unref(in->held);
	buf_clear(&in->text);
	buf_clear(&in->pending);
	mem_free(in->events);
	if (in->dent)
		dent_unref(fs->core, in->dent);
	mem_free(in->sub);
	mem_free(in->version);
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
		DL_DELETE(t->due, l);
	return true;
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

/* --- numbers --- */

#define VIEW_NUMBERS                                                                 \
	UINT64_C(0x80000000) /* above those of the tree, below 2^32 for old programs \
			      */

static uint64_t mix_bytes(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < len; i++) /* FNV-1a */
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t view_number(const struct inode_key *k)
{
	const char *path = dent_path(k->dent);
	const int what[] = {(int)k->view, k->is_dir, k->control};
	uint64_t h = mix_bytes(UINT64_C(0xcbf29ce484222325), what, sizeof(what));
	h = mix_bytes(h, path, strlen(path) + 1);
	if (k->sub)
		h = mix_bytes(h, k->sub, strlen(k->sub) + 1);
	return VIEW_NUMBERS | ((h ^ h >> 32) & (VIEW_NUMBERS - 1));
}

/* Lock held. The number of a new node. */
static uint64_t number_for(const struct inode *in, const struct inode_key *k)
{
	if (k->view != VIEW_TREE)
		return view_number(k);
	struct dent_mark *m = dent_mark(k->dent);
	bool other = m->serial && k->serial && m->serial != k->serial;
	if (!m->number || other)
		*m = (struct dent_mark){.number = in->ino, .serial = k->serial};
	return m->number;
}

uint64_t inode_number(struct fs *fs, struct inode *in)
{
	struct inode_state s;
	if (in->view != VIEW_FIELDS || in->is_dir)
		return in->number;
	inode_state(fs, in, &s); /* a node for a path, but of one value */
	return VIEW_NUMBERS |
	       (mix_bytes(in->number, &s.serial, sizeof(s.serial)) & (VIEW_NUMBERS - 1));
}

/* Lock held. False when uthash had no memory. */
static bool table_add(struct inodes *t, struct inode *in, const struct inode_key *k, bool keyed)
{
	struct inode_links *l = in->links, *found = NULL;
	in->ino = t->next_ino;
	in->number = number_for(in, k);
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
		if (table_add(t, made, k, !fresh)) {
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
		in->superseded = true;
		if (in->view == VIEW_TREE && dent_mark(in->dent)->number == in->number)
			*dent_mark(in->dent) = (struct dent_mark){0}; /* the next one is new */
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
	*ret = (struct inode_state){.follows = in->follows,
		.provisional = in->provisional,
		.filled = in->filled,
		.used = in->used,
		.held = in->held,
		.serial = in->serial,
		.size = in->size,
		.mtime = in->mtime,
		.superseded = in->superseded};
	pthread_mutex_unlock(&fs->inodes->lock);
}

struct secret *inode_set_held(
	struct inodes *t, struct inode *in, struct secret *bytes, int64_t until)
{
	struct secret *old = NULL;
	if (in->held != bytes) {
		old = in->held;
		in->held = bytes ? secret_ref(bytes) : NULL;
	}
	in->held_until = bytes ? until : 0;
	if (bytes && until != CLOCK_NEVER)
		inode_due(t, in);
	return old;
}

void inode_due(struct inodes *t, struct inode *in)
{
	if (in->links->listed)
		return;
	DL_APPEND(t->due, in->links);
	in->links->listed = true;
}

enum bind_result inode_bind(struct fs *fs, struct inode *in, uint64_t serial, struct secret *bytes,
	int64_t mtime, bool lookup)
{
	struct inodes *t = fs->inodes;
	struct secret *old = NULL;
	bool same, first, made;
	int64_t until = fs->no_open ? CLOCK_NEVER : clock_after(clock_boot(), HELD_SECONDS);
	pthread_mutex_lock(&t->lock);
	first = !t->due;
	made = in->serial == 0;
	if (made) {
		in->serial = serial;
		in->size = secret_len(bytes);
		in->mtime = mtime;
		in->provisional = false;
		in->filled = true;
		if (in->keyed && in->view == VIEW_TREE)
			dent_mark(in->dent)->serial = serial;
	}
	same = in->serial == serial;
	if (same && (made || lookup || fs->no_open))
		old = inode_set_held(t, in, bytes, until);
	first = first && t->due;
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

struct secret *inode_held(struct fs *fs, struct inode *in)
{
	struct secret *s = NULL;
	pthread_mutex_lock(&fs->inodes->lock);
	if (in->held && clock_boot() < in->held_until)
		s = secret_ref(in->held);
	pthread_mutex_unlock(&fs->inodes->lock);
	return s;
}

void inode_follow(struct fs *fs, struct inode *in)
{
	pthread_mutex_lock(&fs->inodes->lock);
	in->follows = true;
	pthread_mutex_unlock(&fs->inodes->lock);
}

void inodes_count(struct fs *fs, uint64_t *ret_inodes, uint64_t *ret_handles)
{
	pthread_mutex_lock(&fs->inodes->lock);
	*ret_inodes = HASH_CNT(by_id, fs->inodes->by_id);
	*ret_handles = HASH_COUNT(fs->inodes->handles);
	pthread_mutex_unlock(&fs->inodes->lock);
}
