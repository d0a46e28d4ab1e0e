/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/rename.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "mount/jobs.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include "mount/renamer.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#define TIMEOUT_MS  2000
#define WAITING_MAX 256 /* more than so many changes at once are announced as notifications */
#define ID_TEXT	    24

struct change {
	struct job job; /* first */
	struct fs *fs;
	struct dent *dent; /* a reference */
	enum core_change what;
	struct inode *old; /* pinned, or NULL */
	struct inode *dir; /* pinned: a directory that is deleted itself is still known here */
	struct change *prev, *next;

	/* while it is the current one */
	struct inode *new; /* pinned; NULL for a deletion */
	bool made;	   /* the kernel has its answer: readers may see the new node already */
	char id[ID_TEXT];
};

struct renames {
	struct jobs *jobs;
	pthread_mutex_t lock; /* protects what follows; a leaf */
	struct change *waiting, *current;
	uint64_t next_id;
	size_t pending; /* waiting, current, and actions */
	bool stop;
};

/* --- a change --- */

static void change_free(struct change *c)
{
	struct fs *fs = c->fs;
	inode_put(fs, c->old);
	inode_put(fs, c->new);
	inode_put(fs, c->dir);
	dent_unref(fs->core, c->dent);
	mem_free(c);
}

/* The directory of the name, pinned, if the kernel knows it. */
static struct inode *known_dir(struct fs *fs, struct dent *d)
{
	struct dent *parent = dent_parent(d);
	return parent ? inode_of(fs, VIEW_TREE, parent) : NULL;
}

static bool is_dir(const struct change *c)
{
	return dent_kind(c->dent) == CORE_DIR;
}

/* The current node of the name, made if there is none. */
static struct inode *node_of(struct change *c)
{
	struct found f = {.key = {.view = VIEW_TREE,
				  .is_dir = is_dir(c),
				  .dent = c->dent,
				  .control = -1,
				  .provisional = dent_kind(c->dent) == CORE_UNKNOWN}};
	return found_current(c->fs, &f);
}

/* A deleted name that the kernel does not know yet is looked up by the renamer first. */
static int prepare(struct change *c)
{
	struct renames *rs = c->fs->renames;
	bool gone = c->what == CORE_GONE, made = !gone || !c->old;
	struct inode *in = made ? node_of(c) : NULL;
	pthread_mutex_lock(&rs->lock);
	if (gone && made)
		c->old = in;
	else
		c->new = in;
	pthread_mutex_unlock(&rs->lock);
	return made && !in ? -ENOMEM : 0;
}

static int make(struct change *c)
{
	_cleanup_free_ char *from = mem_asprintf("%s/%s", RENAME_DIR, c->id);
	const char *path = dent_path(c->dent);
	struct renamer *r = c->fs->renamer;
	if (!from)
		return -ENOMEM;
	if (c->what == CORE_GONE)
		return renamer_do(
			r, is_dir(c) ? RENAMER_RMDIR : RENAMER_UNLINK, path, NULL, TIMEOUT_MS);
	if (is_dir(c))
		return renamer_do(r, RENAMER_MKDIR, path, NULL, TIMEOUT_MS);
	return renamer_do(r, RENAMER_RENAME, from, path, TIMEOUT_MS);
}

/* Lock held. */
static const struct change *waiting_for(const struct renames *rs, const struct dent *d)
{
	const struct change *c;
	DL_FOREACH (rs->waiting, c)
		if (c->dent == d)
			return c;
	return NULL;
}

/* The name got another node while the kernel was given this one (a TTL was set, say), and no change
 * that waits will tell: what the kernel was told before the rename was too early. */
static bool overtaken(struct change *c)
{
	struct renames *rs = c->fs->renames;
	if (!c->new || is_dir(c))
		return false;
	struct inode *now = node_of(c);
	bool other = now != c->new;
	inode_put(c->fs, now);
	pthread_mutex_lock(&rs->lock);
	other = other && !waiting_for(rs, c->dent);
	pthread_mutex_unlock(&rs->lock);
	return other;
}

/* In the rename thread. */
static void change_run(struct job *j)
{
	struct change *c = (struct change *)j;
	struct fs *fs = c->fs;
	struct renames *rs = fs->renames;
	pthread_mutex_lock(&rs->lock);
	DL_DELETE(rs->waiting, c);
	rs->current = c; /* at once: until it has happened the name is the old node */
	bool stop = rs->stop;
	snprintf(c->id, sizeof(c->id), "%" PRIu64, rs->next_id++);
	pthread_mutex_unlock(&rs->lock);
	int r = stop ? -EPIPE : prepare(c);
	if (r == 0)
		r = make(c);
	pthread_mutex_lock(&rs->lock);
	rs->current = NULL;
	rs->pending--;
	pthread_mutex_unlock(&rs->lock);
	if (r < 0 || overtaken(c))
		notify_name(fs, c->dent);
	change_free(c);
}

/* Lock held. True if a change that waits covers this one: it takes what is current when it is made.
 */
static bool covered(const struct renames *rs, const struct dent *d, enum core_change what)
{
	const struct change *c = waiting_for(rs, d);
	return c && c->what != CORE_GONE && what != CORE_GONE;
}

/* NULL: it is not made as a rename. */
static struct change *change_new(struct fs *fs, struct dent *d, enum core_change what)
{
	struct inode *dir = known_dir(fs, d);
	struct core_attr a;
	struct change *c = NULL;
	core_attr(fs->core, d, &a);
	/* What is never cached has no version that another could replace. */
	const bool replaces = !a.nocache || (what != CORE_ROTATED && what != CORE_PURGED);
	if (dir && replaces && renamer_ready(fs->renamer) && !atomic_load(&fs->parked_lookups))
		c = mem_calloc(1, sizeof(*c));
	if (!c) {
		inode_put(fs, dir);
		return NULL;
	}
	*c = (struct change){.job.run = change_run, .fs = fs, .what = what, .dir = dir};
	c->dent = dent_ref(d);
	return c;
}

/* Which node is the old one is looked up as the change becomes known: a LOOKUP that makes a node
 * before is the old one's, and one that makes it later looks again (found_inode()). Otherwise a
 * reader would see the new node, and then the old one until the change is made. */
bool rename_change(struct fs *fs, struct dent *d, enum core_change what, struct inode **ret_old)
{
	struct renames *rs = fs->renames;
	struct change *c = change_new(fs, d, what);
	bool done = false, made = false;
	pthread_mutex_lock(&rs->lock);
	struct inode *old = inode_of(fs, VIEW_TREE, d);
	if (c) {
		done = covered(rs, d, what);
		made = !done && !rs->stop && rs->pending < WAITING_MAX;
	}
	if (made) {
		c->old = old ? inode_get(fs, old->ino) : NULL;
		rs->pending++;
		DL_APPEND(rs->waiting, c);
		jobs_push(rs->jobs, &c->job);
	}
	pthread_mutex_unlock(&rs->lock);
	if (c && !made)
		change_free(c);
	*ret_old = old;
	return done || made;
}

struct inode *rename_old(struct fs *fs, const struct dent *d)
{
	struct renames *rs = fs->renames;
	struct inode *in = NULL;
	pthread_mutex_lock(&rs->lock);
	const struct change *c = rs->current;
	if (rs->pending && (!c || c->dent != d || c->made))
		c = waiting_for(rs, d);
	if (c && c->what != CORE_GONE && c->old)
		in = inode_get(fs, c->old->ino);
	pthread_mutex_unlock(&rs->lock);
	return in;
}

/* --- actions --- */

struct action {
	struct job job; /* first */
	struct renames *rs;
	void (*run)(void *arg);
	void *arg;
};

static void action_run(struct job *j)
{
	struct action *a = (struct action *)j;
	a->run(a->arg);
	pthread_mutex_lock(&a->rs->lock);
	a->rs->pending--;
	pthread_mutex_unlock(&a->rs->lock);
	mem_free(a);
}

void rename_then(struct fs *fs, void (*action)(void *arg), void *arg)
{
	struct renames *rs = fs->renames;
	struct action *a = mem_calloc(1, sizeof(*a));
	pthread_mutex_lock(&rs->lock);
	bool wait = a && rs->pending;
	if (wait) {
		*a = (struct action){.job.run = action_run, .rs = rs, .run = action, .arg = arg};
		rs->pending++;
		jobs_push(rs->jobs, &a->job);
	}
	pthread_mutex_unlock(&rs->lock);
	if (wait)
		return;
	mem_free(a);
	action(arg);
}

/* --- the renamer's requests --- */

static bool is_renamer(struct fs *fs, fuse_req_t req)
{
	return fs->renamer && renamer_tid(fs->renamer, fuse_req_ctx(req)->pid);
}

enum role { PART_NONE, PART_DIR, PART_NEW, PART_NAME, PART_PARENT };

/* Lock held. A directory on the way to the name that is deleted too, after what is in it. */
static const struct inode *gone_dir(
	const struct renames *rs, const struct inode *dir, const char *name)
{
	const struct change *c;
	DL_FOREACH (rs->waiting, c)
		if (c->what == CORE_GONE && c->dir == dir && is_dir(c) &&
			strcmp(name, dent_basename(c->dent)) == 0)
			return c->old;
	return NULL;
}

/* What a name is to the operation announced. *ret_in: pinned, or NULL for nothing there yet. */
static enum role part_of(
	struct fs *fs, const struct inode *dir, const char *name, struct inode **ret_in)
{
	struct renames *rs = fs->renames;
	enum role part = PART_NONE;
	pthread_mutex_lock(&rs->lock);
	const struct change *c = rs->current;
	const struct inode *in = NULL;
	if (!c) {
		part = PART_NONE;
	} else if (dir->ino == FUSE_ROOT_ID && strcmp(name, RENAME_DIR) == 0) {
		part = PART_DIR;
	} else if (dir->view == VIEW_NEXT && strcmp(name, c->id) == 0) {
		part = PART_NEW;
		in = c->new;
	} else if (dir == c->dir && strcmp(name, dent_basename(c->dent)) == 0) {
		part = PART_NAME;
		in = c->old;
	} else if ((in = gone_dir(rs, dir, name))) {
		part = PART_PARENT;
	}
	*ret_in = in ? inode_get(fs, in->ino) : NULL;
	pthread_mutex_unlock(&rs->lock);
	return part;
}

static struct inode *next_dir(struct fs *fs)
{
	struct inode_key key = {.view = VIEW_NEXT, .is_dir = true, .control = -1};
	key.dent = core_root(fs->core);
	struct inode *in = inode_obtain(fs, &key, false);
	dent_unref(fs->core, key.dent);
	return in;
}

bool rename_lookup(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name)
{
	struct inode *in;
	if (!is_renamer(fs, req))
		return false;
	enum role part = part_of(fs, dir, name, &in);
	if (part == PART_NONE)
		return false;
	if (part == PART_DIR)
		in = next_dir(fs);
	if (in)
		node_reply_entry(fs, req, in);
	else
		fuse_reply_err(req, ENOENT);
	inode_put(fs, in);
	return true;
}

/* Whether `name` in the directory is that part of what was announced to the renamer. */
static bool is_part(struct fs *fs, uint64_t parent, const char *name, enum role wanted)
{
	struct inode *dir = inode_get(fs, parent), *in = NULL;
	bool yes = dir && part_of(fs, dir, name, &in) == wanted;
	inode_put(fs, in);
	inode_put(fs, dir);
	return yes;
}

static bool announced(struct fs *fs, bool gone, bool dir)
{
	struct renames *rs = fs->renames;
	pthread_mutex_lock(&rs->lock);
	const struct change *c = rs->current;
	bool yes = c && (c->what == CORE_GONE) == gone && is_dir(c) == dir;
	pthread_mutex_unlock(&rs->lock);
	return yes;
}

static void set_made(struct renames *rs)
{
	pthread_mutex_lock(&rs->lock);
	if (rs->current)
		rs->current->made = true;
	pthread_mutex_unlock(&rs->lock);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	bool ours = is_renamer(fs, req) && !flags && announced(fs, false, false) &&
		    is_part(fs, parent, name, PART_NEW) &&
		    is_part(fs, newparent, newname, PART_NAME);
	if (ours)
		set_made(fs->renames);
	fuse_reply_err(req, ours ? 0 : EROFS);
}

static void removed(fuse_req_t req, fuse_ino_t parent, const char *name, bool dir)
{
	struct fs *fs = fs_of(req);
	bool ours = is_renamer(fs, req) && announced(fs, true, dir) &&
		    is_part(fs, parent, name, PART_NAME);
	fuse_reply_err(req, ours ? 0 : EROFS);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	removed(req, parent, name, false);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	removed(req, parent, name, true);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	struct renames *rs = fs->renames;
	struct inode *in = NULL;
	(void)mode;
	if (is_renamer(fs, req) && announced(fs, false, true) &&
		is_part(fs, parent, name, PART_NAME)) {
		pthread_mutex_lock(&rs->lock);
		if (rs->current && rs->current->new)
			in = inode_get(fs, rs->current->new->ino);
		pthread_mutex_unlock(&rs->lock);
	}
	if (in)
		node_reply_entry(fs, req, in);
	else
		fuse_reply_err(req, EROFS);
	inode_put(fs, in);
}

/* --- life --- */

int renames_new(struct fs *fs)
{
	struct renames *rs = mem_calloc(1, sizeof(*rs));
	if (!rs)
		return -ENOMEM;
	pthread_mutex_init(&rs->lock, NULL);
	rs->next_id = 1;
	int r = jobs_new(&rs->jobs);
	if (r < 0) {
		pthread_mutex_destroy(&rs->lock);
		mem_free(rs);
		return r;
	}
	fs->renames = rs;
	return 0;
}

void renames_free(struct fs *fs)
{
	struct renames *rs = fs->renames;
	if (!rs)
		return;
	pthread_mutex_lock(&rs->lock);
	rs->stop = true;
	pthread_mutex_unlock(&rs->lock);
	if (fs->renamer)
		renamer_stop(fs->renamer);
	jobs_free(rs->jobs);
	pthread_mutex_destroy(&rs->lock);
	mem_free(rs);
	fs->renames = NULL;
}
