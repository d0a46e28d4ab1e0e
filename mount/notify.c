/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/notify.h"

#include "base/alloc.h"
#include "base/log.h"
#include "mount/jobs.h"
#include "mount/onchange.h"
#include <string.h>

enum note_kind { NOTE_NAME, NOTE_INODE, NOTE_ACTION };

struct note {
	struct job job; /* first */
	struct fs *fs;
	enum note_kind kind;
	uint64_t ino; /* NOTE_NAME: the directory; NOTE_INODE: the inode */
	void (*action)(void *arg);
	void *arg;
	char name[]; /* NOTE_NAME */
};

/* ENOENT: the kernel forgot it first. ENODEV, EBADF: unmounted. ENOTDIR, EEXIST cannot be helped
 * either; none is an error for us. */
static void send_note(struct job *j)
{
	struct note *n = (struct note *)j;
	switch (n->kind) {
	case NOTE_NAME:
		fuse_lowlevel_notify_inval_entry(n->fs->se, n->ino, n->name, strlen(n->name));
		break;
	case NOTE_INODE:
		fuse_lowlevel_notify_inval_inode(n->fs->se, n->ino, 0, 0);
		break;
	case NOTE_ACTION:
		n->action(n->arg);
		break;
	}
	mem_free(n);
}

static struct note *note_new(struct fs *fs, enum note_kind kind, uint64_t ino, const char *name)
{
	size_t len = name ? strlen(name) + 1 : 0;
	struct note *n = mem_calloc(1, sizeof(*n) + len);
	if (!n)
		return NULL;
	n->job.run = send_note;
	n->fs = fs;
	n->kind = kind;
	n->ino = ino;
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

void notify_name(struct fs *fs, struct dent *d)
{
	struct dent *parent = dent_parent(d);
	struct inode *dir = parent ? inode_of(fs, VIEW_TREE, parent) : NULL;
	struct note *n;
	if (!dir)
		return; /* a directory the kernel does not know has no names in its cache */
	n = note_new(fs, NOTE_NAME, dir->ino, dent_basename(d));
	inode_put(fs, dir);
	if (n)
		jobs_push(fs->notifier, &n->job);
	else
		lost();
}

void notify_inode(struct fs *fs, struct inode *in)
{
	struct note *n = note_new(fs, NOTE_INODE, in->ino, NULL);
	if (n)
		jobs_push(fs->notifier, &n->job);
	else
		lost();
}

void notify_then(struct fs *fs, void (*action)(void *arg), void *arg)
{
	struct note *n = note_new(fs, NOTE_ACTION, 0, NULL);
	if (!n) {
		action(arg);
		return;
	}
	n->action = action;
	n->arg = arg;
	jobs_push(fs->notifier, &n->job);
}

/* The name gets a new node: rotation, purge, or it is gone. The old one keeps what open files hold.
 */
static void node_over(struct fs *fs, struct dent *d, bool drop_pages)
{
	struct inode *in = inode_of(fs, VIEW_TREE, d);
	if (in) {
		inode_supersede(fs, in);
		if (drop_pages) {
			inode_drop_held(fs, in);
			notify_inode(fs, in);
		}
		inode_put(fs, in);
	}
	notify_name(fs, d);
}

void notify_changed(void *arg, struct dent *d, enum core_change what)
{
	struct fs *fs = arg;
	struct inode *in;
	if (!atomic_load(&fs->serving))
		return; /* the kernel knows nothing yet, or no more */
	onchange_note(fs->onchange, d, what);
	switch (what) {
	case CORE_NEW:
		notify_name(fs, d); /* a provisional node may stand for it */
		break;
	case CORE_ROTATED:
		node_over(fs, d, false);
		break;
	case CORE_GONE:
	case CORE_PURGED:
		node_over(fs, d, true);
		break;
	case CORE_EXPIRED:
	case CORE_ATTR:
		in = inode_of(fs, VIEW_TREE, d);
		if (!in)
			break;
		if (what == CORE_EXPIRED)
			inode_drop_held(fs, in);
		notify_inode(fs, in);
		inode_put(fs, in);
		if (what == CORE_ATTR)
			notify_name(fs, d); /* a name that is no longer cached gets another node */
		break;
	}
}
