/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/notify.h"

#include "base/alloc.h"
#include "base/log.h"
#include "mount/jobs.h"
#include "mount/onchange.h"
#include "mount/rename.h"
#include <string.h>

enum note_kind { NOTE_NAME, NOTE_GONE, NOTE_INODE, NOTE_ATTR, NOTE_ACTION };

struct note {
	struct job job; /* first */
	struct fs *fs;
	enum note_kind kind;
	uint64_t dir; /* NOTE_NAME, NOTE_GONE */
	uint64_t ino; /* NOTE_GONE, NOTE_INODE, NOTE_ATTR */
	void (*action)(void *arg);
	void *arg;
	char name[]; /* NOTE_NAME, NOTE_GONE */
};

/* ENOENT: the kernel forgot it first. ENODEV, EBADF: unmounted. ENOTDIR, EEXIST cannot be helped
 * either; none is an error for us. */
static void send_note(struct job *j)
{
	struct note *n = (struct note *)j;
	switch (n->kind) {
	case NOTE_NAME:
		fuse_lowlevel_notify_inval_entry(n->fs->se, n->dir, n->name, strlen(n->name));
		break;
	case NOTE_GONE:
		fuse_lowlevel_notify_delete(n->fs->se, n->dir, n->ino, n->name, strlen(n->name));
		break;
	case NOTE_INODE:
		fuse_lowlevel_notify_inval_inode(n->fs->se, n->ino, 0, 0);
		break;
	case NOTE_ATTR:
		fuse_lowlevel_notify_inval_inode(n->fs->se, n->ino, -1, 0);
		break;
	case NOTE_ACTION:
		n->action(n->arg);
		break;
	}
	mem_free(n);
}

static struct note *note_new(struct fs *fs, enum note_kind kind, const char *name)
{
	size_t len = name ? strlen(name) + 1 : 0;
	struct note *n = mem_calloc(1, sizeof(*n) + len);
	if (!n)
		return NULL;
	n->job.run = send_note;
	n->fs = fs;
	n->kind = kind;
	if (len)
		memcpy(n->name, name, len);
	return n;
}

static void lost(void)
{
	static struct log_rate rate = LOG_RATE(60);
	if (log_due(&rate))
		log_warn("no memory to announce a change to the kernel; it will notice within %d "
			 "seconds",
			(int)FS_TIMEOUT);
}

static void push(struct note *n)
{
	if (n)
		jobs_push(n->fs->notifier, &n->job);
	else
		lost();
}

/* A name in its directory; one that the kernel does not know has no names in its cache. */
static void push_name(struct fs *fs, enum note_kind kind, struct dent *d, uint64_t ino)
{
	struct dent *parent = dent_parent(d);
	struct inode *dir = parent ? inode_of(fs, VIEW_TREE, parent) : NULL;
	if (!dir)
		return;
	struct note *n = note_new(fs, kind, dent_basename(d));
	if (n) {
		n->dir = dir->ino;
		n->ino = ino;
	}
	inode_put(fs, dir);
	push(n);
}

void notify_name(struct fs *fs, struct dent *d)
{
	push_name(fs, NOTE_NAME, d, 0);
}

static void push_inode(struct fs *fs, enum note_kind kind, const struct inode *in)
{
	struct note *n = note_new(fs, kind, NULL);
	if (n)
		n->ino = in->ino;
	push(n);
}

void notify_inode(struct fs *fs, struct inode *in)
{
	push_inode(fs, NOTE_INODE, in);
}

void notify_then(struct fs *fs, void (*action)(void *arg), void *arg)
{
	struct note *n = note_new(fs, NOTE_ACTION, NULL);
	if (!n) {
		action(arg);
		return;
	}
	n->action = action;
	n->arg = arg;
	jobs_push(fs->notifier, &n->job);
}

/* The name gets a new node, or is gone. The old one keeps what open files hold. */
static void node_over(struct fs *fs, struct dent *d, enum core_change what)
{
	struct inode *in;
	const bool renamed = rename_change(fs, d, what, &in);
	if (in) {
		inode_supersede(fs, in);
		if (what == CORE_GONE || what == CORE_PURGED) {
			inode_drop_held(fs, in);
			notify_inode(fs, in);
		} else if (fs->no_open) {
			/* A bind mount of the file is to ask; who reads it keeps its pages. */
			push_inode(fs, NOTE_ATTR, in);
		}
	}
	if (!renamed) {
		if (in && what == CORE_GONE)
			push_name(fs, NOTE_GONE, d, in->ino);
		else
			notify_name(fs, d);
	}
	inode_put(fs, in);
}

/* The node stays: what the kernel knows of it is over. */
static void node_changed(struct fs *fs, struct dent *d, enum core_change what)
{
	struct inode *in = inode_of(fs, VIEW_TREE, d);
	if (!in)
		return;
	if (what == CORE_EXPIRED)
		inode_drop_held(fs, in);
	notify_inode(fs, in);
	inode_put(fs, in);
	if (what == CORE_ATTR)
		notify_name(fs, d); /* a name that is no longer cached gets another node */
}

void notify_changed(void *arg, struct dent *d, enum core_change what)
{
	struct fs *fs = arg;
	const bool stays = dent_kind(d) == CORE_DIR && what != CORE_NEW && what != CORE_GONE;
	if (!atomic_load(&fs->serving))
		return; /* the kernel knows nothing yet, or no more */
	onchange_note(fs->onchange, d, what);
	if (stays || what == CORE_EXPIRED || what == CORE_ATTR)
		node_changed(fs, d, what);
	else
		node_over(fs, d, what);
}
