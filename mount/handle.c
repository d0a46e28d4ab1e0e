/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/limits.h"
#include "mount/inode_priv.h"
#include "mount/notify.h"

void handle_clear(struct handle *h)
{
	secret_unref(h->bytes);
	buf_clear(&h->text);
	mem_free(h->events);
	for (size_t i = 0; i < h->nnames; i++)
		mem_free(h->names[i]);
	mem_free(h->names);
	mem_free(h->types);
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
